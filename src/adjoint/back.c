/* SPDX-License-Identifier: MIT
 * back.c - continuous adjoints: the way back as a problem with a solver of its own, and gradients from its solution. */
#include "adjoint/back.h"
#include "adjoint/saltation.h"

#include <math.h>
#include <string.h>

/* ---- the problem ----------------------------------------------------------------------------- */

/* With noise that is not additive the solution is Ito's, whichever method finds it. */
static bool is_ito(const nde_solver *s) {
    return s->rhs.noisy && s->rhs.problem.calculus == NDE_ITO && s->rhs.noise != NDE_NOISE_ADDITIVE;
}

/* Noise goes back as Stratonovich's, along the same path. */
static nde_status check_noise(const nde_solver *s) {
    const nde_rhs *r = &s->rhs;
    if (s->adjoint != NDE_ADJOINT_BACKSOLVE && s->adjoint != NDE_ADJOINT_INTERPOLATED)
        return nde_fail(NDE_E_ARG, "options.adjoint is %d: with noise, the integrals for p and q are solved along the path: "
                        "NDE_ADJOINT_BACKSOLVE or INTERPOLATED", s->adjoint);
    if (is_ito(s) && !s->options.convert)
        return nde_fail(NDE_E_CALCULUS,
                        "options.adjoint is %d: Ito noise goes back as Stratonovich noise with another drift: see "
                        "options.convert", s->adjoint);
    for (size_t i = 0; i < r->problem.n_terms && is_ito(s); i++) {
        const nde_field *f = r->term[i].field;
        if (r->problem.terms[i].noise && !(f->jvp && f->vjp_jvp))
            return nde_fail(f->jvp ? NDE_E_NO_VJP : NDE_E_NO_JVP,
                            "options.adjoint is %d: field '%s' has no %s: the drift of Ito noise "
                            "on its way back needs it", s->adjoint, f->name ? f->name : "field", f->jvp ? "vjp_jvp" : "jvp");
    }
    return NDE_OK;
}

static nde_status check(const nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    const char *what = q->n_jumps           ? "jumps"
                       : s->options.n_clip  ? "clips"
                       : s->save_lane       ? "save times of each trajectory (save_t_each)"
                       : s->options.discard ? "rows that are not kept (discard)"
                       : q->observe         ? "observations (problem.observe)"
                                            : NULL;
    if (what) return nde_fail(NDE_E_ARG, "options.adjoint is %d: continuous adjoints know no %s", s->adjoint, what);
    return s->rhs.noisy ? check_noise(s) : NDE_OK;
}

/* Events end trajectories, and with them pieces of the way back, at times of their own. */
static bool goes_together(const nde_solver *s) { return s->joint && !s->rhs.problem.n_events; }

/* How it is solved: the caller's choice, and what must be as in the solve. */
static nde_status choose(nde_back *k) {
    const nde_solver *s = k->s;
    const nde_options *o = &s->options;
    const bool plain = s->base->kind == NDE_KIND_RUNGE_KUTTA;
    nde_options own;
    if (!nde_read_sized(&own, sizeof own, o->back ? o->back : o, sizeof own))
        return nde_fail(NDE_E_ARG, "options.back->size: %zu bytes are not a layout that this library knows", o->back->size);
    nde_options *to = &k->options;
    *to = (nde_options){ .size = sizeof *to, .method = own.method, .tableau = own.tableau, .error = own.error,
                         .controller = own.controller, .steps = own.steps, .rtol = own.rtol, .atol = own.atol,
                         .h0 = o->back ? own.h0 : 0, .h_min = own.h_min, .h_max = own.h_max, .h_min_policy = own.h_min_policy,
                         .safety = own.safety, .factor_min = own.factor_min, .factor_max = own.factor_max,
                         .max_steps = own.max_steps, .max_evals = own.max_evals, .max_seconds = own.max_seconds,
                         .norm = own.norm, .budget = own.budget ? own.budget : o->budget };
    memcpy(to->pid, own.pid, sizeof to->pid);
    if (o->back) to->damping = own.damping, to->stages = own.stages, to->spectral_radius = own.spectral_radius;
    if (!o->back && !plain) to->method = 0, to->error = 0;
    if (o->back && !to->method && !to->tableau && plain) to->method = o->method, to->tableau = o->tableau, to->error = o->error;
    if (to->rtol == 0) to->rtol = o->rtol;
    if (to->atol == 0) to->atol = o->atol;
    to->rtol_n = o->rtol_n, to->atol_n = o->atol_n;
    to->stepping = goes_together(s) ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT, k->shared = goes_together(s) && !to->steps;
    to->group = o->group, to->isa = o->isa, to->blas = o->blas, to->reproducible = o->reproducible;
    to->threads = o->threads, to->executor = s->executor;
    to->adjoint = k->solves_integrals ? NDE_ADJOINT_NONE : NDE_ADJOINT_DISCRETE, to->record = NDE_RECORD_STAGES;
    if (k->rows > k->a + s->rhs.dim || k->solves_state) to->norm = 0; /* its own: see norm_of_parts */
    return NDE_OK;
}

/* The largest of the parts' root mean squares: a mean of all would drown the adjoint in parameters. Joint steps take that
 * of the worst trajectory. */
static int norm_of_parts(void *ctx, size_t n, size_t ld, const size_t *trajectory, const nde_real *error, const nde_real *y,
                         const nde_real *z, double *norm) {
    const nde_back *k = ctx;
    const size_t end[] = { k->a, k->q, k->s->options.parameters_in_norm ? k->rows : k->q };
    memset(norm, 0, n*sizeof *norm);
    for (size_t part = 0, i = 0; part < 3; part++) {
        const size_t from = i;
        for (size_t b = 0; b < n && end[part] > from; b++) {
            double sum = 0;
            for (i = from; i < end[part]; i++) {
                const double size = fmax(fabs((double)y[i*ld + b]), fabs((double)z[i*ld + b]));
                const double e = (double)error[i*ld + b]/nde_tolerance_of(k->solver, trajectory[b], i, size);
                sum += e*e;
            }
            const double mean = sqrt(sum/(double)(end[part] - from));
            norm[b] = isnan(norm[b]) || mean <= norm[b] ? norm[b] : mean;
        }
        i = end[part];
    }
    return 0;
}

static const nde_field *augment(nde_back *k, nde_augmented *of, nde_field *field) {
    of->back = k;
    if (!of->part[0] && !of->part[1] && !of->corrected) return NULL;
    *field = nde_augmented_field(of);
    return field;
}

/* A term of the problem, and its path: the same steps, or others on the same grid. */
static void augment_term(nde_back *k, size_t i) {
    const nde_rhs *r = &k->s->rhs;
    nde_term *to = &k->term[i];
    *to = r->problem.terms[i];
    k->term_of[i] = (nde_augmented){ .part = { r->term[i].field }, .diagonal = to->noise && to->kind == NDE_NOISE_DIAGONAL };
    to->size = sizeof *to, to->field = augment(k, &k->term_of[i], &k->term_field[i]);
    if (!to->noise) return;
    k->noise[i] = r->term[i].noise;
    k->noise[i].dim = r->term[i].rates;
    if (!k->noise[i].grid) k->noise[i].grid = k->s->options.steps;
    to->noise = &k->noise[i];
    if (to->kind == NDE_NOISE_DIAGONAL || to->kind == NDE_NOISE_ADDITIVE) to->kind = NDE_NOISE_COMMUTATIVE;
}

/* Each save time once. While counting there is no array, and all that is wanted is its largest size. */
static size_t gather_saves(nde_back *k) {
    const nde_solver *s = k->s;
    size_t jumps = 0;
    if (s->saving != NDE_SAVE_TIMES) return 0;
    if (!k->jump_t) return s->rows_saved;
    for (size_t row = s->rows_saved; row-- > 0; k->jump_row[jumps] = row)
        if (!jumps || k->jump_t[jumps - 1] != s->options.save_t[row]) {
            k->jump_t[jumps] = s->options.save_t[row];
            k->jump_row[jumps++] = row + 1;
        }
    return jumps;
}

static nde_status pose(nde_back *k) {
    const nde_solver *s = k->s;
    const nde_rhs *r = &s->rhs;
    nde_problem *to = &k->problem;
    const nde_status bad = choose(k);
    if (bad) return bad;
    *to = NDE_INIT(nde_problem, .n = s->N, .dim = k->rows, .np = r->np, .nq = r->nq, .t0 = r->problem.t1, .t1 = r->problem.t0,
                   .y0 = k->y0, .p = r->problem.p, .q = r->problem.q, .input = r->problem.input);
    if (!goes_together(s) && k->t0) to->t0_each = k->t0, to->t1_each = k->t1;
    k->norm = (nde_error_norm){ .size = sizeof k->norm, .of = norm_of_parts, .ctx = k };
    if (k->rows > k->a + s->rhs.dim || k->solves_state) to->norm = &k->norm;
    if (r->noisy) to->calculus = NDE_STRATONOVICH;
    k->bent = *r, k->bent.correction = is_ito(s) ? -0.5 : 0;
    k->drift_of = (nde_augmented){ .part = { r->drift.field, r->quadrature.field }, .corrected = is_ito(s) };
    to->drift = augment(k, &k->drift_of, &k->drift);
    for (size_t i = 0; i < r->problem.n_terms; i++) augment_term(k, i);
    to->terms = k->term, to->n_terms = r->problem.n_terms;
    k->jump = nde_augmented_jump(k);
    to->n_jumps = gather_saves(k);
    if (to->n_jumps) to->jump = &k->jump, to->jump_t = k->jump_t;
    return NDE_OK;
}

static void shape(nde_back *k, nde_solver *s) {
    const size_t dim = s->rhs.dim;
    k->s = s;
    k->solves_state = s->adjoint == NDE_ADJOINT_BACKSOLVE;
    k->solves_integrals = k->solves_state || s->adjoint == NDE_ADJOINT_INTERPOLATED;
    k->a = k->solves_state ? dim : 0, k->q = k->a + dim;
    k->p = k->q + (k->solves_integrals ? s->rhs.nq : 0);
    k->rows = k->p + (k->solves_integrals ? s->rhs.np : 0);
}

#define TAKE(pointer, rows, columns) ((pointer) = nde_arena_take_rows(arena, (rows), (columns), sizeof *(pointer)))

static void lay_scratch(nde_back *k, nde_arena *arena) {
    const nde_solver *s = k->s;
    if (!is_ito(s)) return;
    k->scratch_ld = nde_leading_dimension(nde_solver_divide(s).capacity, sizeof(nde_real));
    k->bent = s->rhs, k->bent.correction = -0.5;
    TAKE(k->scratch, s->n_workers, 1), TAKE(k->piece, s->n_workers*s->rhs.paths, k->scratch_ld);
    for (size_t i = 0; i < s->n_workers; i++) {
        nde_scratch counted = { 0 }, *to = k->scratch ? &k->scratch[i] : &counted;
        nde_scratch_lay(to, arena, &k->bent, k->scratch_ld, true);
        to->worker = (int)i;
    }
}

/* Bytes of the way back's solver, before there are arrays: its problem with the most jumps. */
static nde_status count(nde_back *k) {
    nde_solver *s = k->s, plan;
    size_t slice;
    nde_status bad = pose(k);
    k->problem.jump_t = s->options.save_t;
    if (bad || (bad = nde_solver_measure(&plan, &k->problem, &k->options, &s->back_bytes, &slice))) return bad;
    s->back_slopes = (size_t)plan.table.slopes;
    return NDE_OK;
}

nde_status nde_back_lay(nde_solver *s, nde_arena *arena) {
    const size_t N = s->N, saves = s->saving == NDE_SAVE_TIMES ? s->rows_saved : 0;
    nde_back counted = { 0 }, *k;
    nde_status bad = check(s);
    if (bad) return bad;
    TAKE(s->back, 1, 1);
    k = s->back ? s->back : &counted;
    shape(k, s);
    TAKE(k->y0, k->rows, N), TAKE(k->t0, 1, N), TAKE(k->t1, 1, N), TAKE(k->deviation, k->solves_state, N);
    TAKE(k->stats, 1, N), TAKE(k->hit, s->rhs.problem.n_events > 0, N);
    TAKE(k->cut, s->rhs.problem.n_events > 0, N);
    TAKE(k->at_hit, s->rhs.problem.n_events > 0, 5*s->rhs.rows + s->rhs.nq);
    lay_scratch(k, arena);
    TAKE(k->jump_t, saves, 1), TAKE(k->jump_row, saves + 1, 1);
    if (s->adjoint == NDE_ADJOINT_QUADRATURE) {
        size_t sums;
        if (!nde_size_add(s->rhs.np, s->rhs.nq, &sums)) arena->overflow = true;
        TAKE(k->estimate, 2*s->n_workers, sums);
    }
    if (!s->back && (bad = count(k))) return bad;
    if (s->logs) nde_history_lay(&k->forward, arena, N, k->solves_state ? 0 : s->rhs.dim, (size_t)s->table.slopes);
    if (!k->solves_integrals) nde_history_lay(&k->adjoint, arena, N, k->rows, s->back_slopes);
    return NDE_OK;
}

nde_status nde_back_make(nde_solver *s, void *block) {
    nde_back *k = s->back;
    const nde_status bad = pose(k);
    return bad ? bad : nde_solver_create_in(block, s->back_bytes, &k->problem, &k->options, &k->solver);
}

/* ---- gradients ------------------------------------------------------------------------------- */

static double row_dot(const nde_solver *s, const nde_real *a, size_t who, const nde_real *f) {
    double sum = 0;
    for (size_t i = 0; a && i < s->rhs.dim; i++) sum += (double)a[i*s->N + who]*(double)f[i];
    return sum;
}

static double quadrature_dot(const nde_solver *s, const nde_seed *seed, size_t who, const nde_real *k) {
    double sum = 0;
    for (size_t i = 0; seed->quadrature && i < s->rhs.nz; i++)
        sum += (double)seed->quadrature[i*s->N + who]*(double)k[s->rhs.dim + i];
    return sum;
}

/* Does a trajectory's row stand at its end? At its start, and not at its end? */
static bool at_end(const nde_solver *s, size_t row, size_t who) {
    return s->direction*s->save_t[row] >= s->direction*s->t_end[who];
}
static bool at_start(const nde_solver *s, size_t row, size_t who) {
    return !at_end(s, row, who) && s->direction*s->save_t[row] <= s->direction*nde_start_of(s, who);
}

/* Adds to a [dim], N apart, the seeds of rows at the end or at the start of a trajectory. */
static void add_rows(const nde_solver *s, const nde_seed *seed, size_t who, bool end, nde_real *a) {
    const size_t dim = s->rhs.dim, N = s->N;
    for (size_t row = 0; seed->y && s->saving == NDE_SAVE_TIMES && row < s->saved[who]; row++)
        if (end ? at_end(s, row, who) : at_start(s, row, who))
            for (size_t i = 0; i < dim; i++) a[i*N] += seed->y[(row*dim + i)*N + who];
}

/* The way back begins where the solve ended; trajectories that failed are constants, and do not move. */
static void begin(nde_back *k) {
    const nde_solver *s = k->s;
    nde_seed states = k->seed;
    states.quadrature = NULL;
    memset(k->y0, 0, k->rows*s->N*sizeof *k->y0);
    for (size_t who = 0; who < s->N; who++) {
        const bool failed = s->status[who] < 0;
        nde_real *a = k->y0 + k->a*s->N + who;
        k->t0[who] = failed ? nde_start_of(s, who) : s->t_end[who];
        k->t1[who] = nde_start_of(s, who);
        if (k->deviation) k->deviation[who] = 0;
        if (k->hit) k->hit[who] = failed ? 0 : s->hits.kept[who], k->cut[who] = failed || !s->logs ? 0 : k->forward.cuts[who];
        if (failed) continue;
        if (k->hit) nde_crossing_aim(k, who);
        nde_save_end_transpose(s, who, &states, a, s->N);
        add_rows(s, &states, who, true, a);
    }
    for (size_t i = 0; k->solves_state && i < s->rhs.dim; i++)
        for (size_t who = 0; who < s->N; who++) k->y0[i*s->N + who] = s->status[who] < 0 ? 0 : s->y_end[i*s->N + who];
}

/* How far the state solved backwards is from where the solve began. */
static void compare(nde_back *k) {
    const nde_solver *s = k->s;
    const nde_real *y = k->y0;
    for (size_t who = 0; who < s->N; who++) {
        double sum = 0;
        for (size_t i = 0; i < s->rhs.dim && s->status[who] >= 0; i++) {
            const double distance = (double)y[i*s->N + who] - (double)s->rhs.problem.y0[i*s->N + who];
            sum += distance*distance;
        }
        k->deviation[who] = fmax(k->deviation[who], sqrt(sum/(double)s->rhs.dim));
    }
}

/* What the way back ended with goes to the solver's gradients. */
static void collect(nde_back *k) {
    nde_solver *s = k->s;
    const size_t N = s->N, dim = s->rhs.dim;
    const nde_real *end = k->y0;
    memcpy(s->g_y0, end + k->a*N, dim*N*sizeof *s->g_y0);
    for (size_t who = 0; who < N; who++) {
        if (s->status[who] >= 0) add_rows(s, &k->seed, who, false, s->g_y0 + who);
        nde_crossing_start(k, who);
    }
    if (!k->solves_integrals) return;
    for (size_t i = 0; i < s->rhs.nq*N; i++) s->g_q[i] += end[k->q*N + i];
    for (size_t i = 0; i < s->rhs.np; i++)
        for (size_t who = 0; who < N; who++)
            s->shard[s->panel[who/s->panel[0].count].shard].p[i] += (double)end[(k->p + i)*N + who];
}

/* Where the end of a trajectory is not an event's, it is that of its span. */
static void move_end(nde_back *k) {
    nde_solver *s = k->s;
    for (size_t who = 0; k->seed.t_end && who < s->N; who++) {
        const bool at_start = s->t_end[who] == nde_start_of(s, who);
        if (s->status[who] < 0 || (s->status[who] == NDE_EVENT && !at_start)) continue;
        *(at_start ? &s->g_t0[who] : &s->g_t1[who]) += k->seed.t_end[who];
    }
}

/* The end of a span moves along the slope there, its start against it. */
static int move_times(nde_back *k, const nde_gradient *g) {
    nde_solver *s = k->s;
    const nde_real *end = k->y0;
    const size_t N = s->N, dim = s->rhs.dim;
    const nde_seed *seed = &k->seed;
    const nde_real *slope;
    int rc = 0;
    for (size_t who = 0; who < N && !rc; who++) {
        const double t0 = nde_start_of(s, who), t1 = s->t_end[who], ahead = 1e-9*(t1 - t0);
        if (s->status[who] < 0 || t0 == t1) continue;
        if (g->t1 && s->status[who] != NDE_EVENT) {
            rc = nde_slope_at(s, who, t1, -ahead, s->y_end + who, N, &slope);
            if (!rc) s->g_t1[who] += row_dot(s, seed->y_end, who, slope) + quadrature_dot(s, seed, who, slope);
            if (!rc && s->saving == NDE_SAVE_END && s->saved[who]) s->g_t1[who] += row_dot(s, seed->y, who, slope);
        }
        if (g->t0 && !rc) {
            rc = nde_slope_at(s, who, t0, ahead, s->rhs.problem.y0 + who, N, &slope);
            if (!rc) s->g_t0[who] -= row_dot(s, end + k->a*N, who, slope) + quadrature_dot(s, seed, who, slope);
        }
        for (size_t row = 0; g->save_t && seed->y && row < s->saved[who] && !rc; row++) {
            if (at_start(s, row, who)) continue;
            rc = nde_slope_at(s, who, s->save_t[row], -ahead, s->y_out + row*dim*N + who, N, &slope);
            if (!rc) s->shard[0].save_t[row] += row_dot(s, seed->y + row*dim*N, who, slope);
        }
    }
    return rc;
}

static const char *not_given(const nde_solver *s, const nde_seed *seed, const nde_gradient *g) {
    if (seed->y && s->saving == NDE_SAVE_EVERY)
        return "nde_backward: seed.y with options.save_every: continuous adjoints need save times";
    if (g->reconstruction && s->adjoint != NDE_ADJOINT_BACKSOLVE)
        return "nde_backward: gradient.reconstruction without NDE_ADJOINT_BACKSOLVE";
    if (g->loss_error || g->loss_spread) return "nde_backward: gradient.loss_error and loss_spread need NDE_ADJOINT_DISCRETE";
    if (s->rhs.noisy && (g->t0 || g->t1 || g->save_t))
        return "nde_backward: with noise, gradients by times need NDE_ADJOINT_DISCRETE";
    if (g->p_error && s->joint) return "nde_backward: gradient.p_error with joint steps needs NDE_ADJOINT_DISCRETE";
    if (g->jump_t || g->jump_u) return "nde_backward: gradients of jumps need NDE_ADJOINT_DISCRETE";
    return g->input_x || g->term_x ? "nde_backward: gradients of paths need NDE_ADJOINT_DISCRETE" : NULL;
}

static void clear(nde_solver *s) {
    nde_gradient_clear(s);
    if (s->g_q) memset(s->g_q, 0, s->rhs.nq*s->N*sizeof *s->g_q);
    for (size_t k = 0; k < s->n_shards; k++) {
        if (s->shard[k].p) memset(s->shard[k].p, 0, s->rhs.np*sizeof *s->shard[k].p);
        if (s->shard[k].save_t) memset(s->shard[k].save_t, 0, s->rows_saved*sizeof *s->shard[k].save_t);
    }
}

/* Adds what a piece of the way cost. */
static void add_stats(nde_stats *to, const nde_stats *piece) {
    const nde_stats before = *to;
    *to = *piece;
    to->evals += before.evals, to->accepted += before.accepted, to->rejected += before.rejected, to->forced += before.forced;
    to->jacobians += before.jacobians, to->factorisations += before.factorisations;
    to->newton_iterations += before.newton_iterations, to->linear_iterations += before.linear_iterations;
    if (before.accepted) to->h_first = before.h_first;
    if (before.stiff > 0) to->stiff = before.stiff, to->stiff_t = before.stiff_t;
    if (before.accepted && !piece->accepted) to->h_last = before.h_last;
}

/* All trajectories go from t0 to t1, and y0 becomes what they come to. Integrals are taken along. */
static int go_piece(nde_back *k, nde_status *bad) {
    const size_t N = k->s->N;
    nde_solution end = NDE_INIT(nde_solution, .n = 0);
    *bad = nde_solver_run(k->solver, &end);
    if (*bad) *bad = nde_fail(*bad, "nde_backward: on the way back: %s", nde_solver_error(k->solver));
    if (!*bad && !k->solves_integrals) *bad = nde_history_open(&k->adjoint, k->solver);
    if (*bad) return 0;
    memcpy(k->y0, end.y_end, k->rows*N*sizeof *k->y0);
    for (size_t who = 0; who < N; who++) add_stats(&k->stats[who], &end.stats[who]);
    const int rc = k->solves_integrals ? 0 : nde_integral(k);
    memcpy(k->t0, k->t1, N*sizeof *k->t0);
    return rc;
}

/* The whole way, in pieces between events. */
static int go_back(nde_back *k, nde_status *bad) {
    const size_t N = k->s->N;
    int rc = 0;
    nde_saltation_begin(k->s);
    memset(k->stats, 0, N*sizeof *k->stats);
    for (bool moves = true; moves && !rc && !*bad;) {
        moves = false;
        for (size_t who = 0; who < N && !rc; who++) {
            while (!rc && nde_crossing_is_due(k, who)) rc = nde_crossing_take(k, who);
            moves = moves || k->t0[who] != k->t1[who];
        }
        if (moves && !rc) rc = go_piece(k, bad);
    }
    return rc;
}

nde_status nde_back_run(nde_solver *s, const nde_seed *seed, const nde_gradient *gradient) {
    nde_back *k = s->back;
    const char *refusal = not_given(s, seed, gradient);
    if (refusal) return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "%s", refusal));
    nde_status bad = s->logs ? nde_history_open(&k->forward, s) : NDE_OK;
    if (bad) return nde_solver_refuse(s, bad);
    k->seed = *seed;
    for (size_t row = 0; row < s->rows_saved && s->saving == NDE_SAVE_TIMES; row++)
        if (!nde_at_node(s, s->save_t[row]))
            return nde_solver_refuse(s,
                                     nde_fail(NDE_E_ARG,
                                              "nde_backward: options.save_t[%zu] is %g: with noise, continuous adjoints need "
                                                 "save times at nodes of the fixed steps", row, s->save_t[row]));
    if ((bad = nde_crossing_check(k))) return nde_solver_refuse(s, bad);
    for (size_t i = 0; i < s->rhs.problem.n_terms; i++)
        if (s->rhs.problem.terms[i].noise) k->noise[i].seed = s->rhs.problem.terms[i].noise->seed;
    clear(s);
    begin(k);
    int rc = go_back(k, &bad);
    if (bad) return nde_solver_refuse(s, bad);
    if (!rc) collect(k), move_end(k), rc = move_times(k, gradient);
    if (rc) return nde_saltation_refuse(s, "nde_backward", rc);
    if (k->solves_state) compare(k);
    nde_gradient_deliver(s, gradient);
    if (gradient->reconstruction) memcpy(gradient->reconstruction, k->deviation, s->N*sizeof *k->deviation);
    if (gradient->back) memcpy(gradient->back, k->stats, s->N*sizeof *k->stats);
    return NDE_OK;
}
