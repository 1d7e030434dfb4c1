/* SPDX-License-Identifier: MIT
 * reference.h - the frozen-fraction map written once more, as plainly as possible: one trajectory, one step after the other,
 * each a fixed fraction of its segment between forced times; and its derivatives by Richardson-extrapolated differences. Double
 * only. */
#ifndef NDE_TESTS_REFERENCE_H
#define NDE_TESTS_REFERENCE_H

#include "adjoint/proof.h"
#include "method/expand.h"
#include "noise/noise.h"

enum { MOST_ROWS = 8, MOST_REFERENCE_STAGES = EXPANDED_STAGES, MOST_FORCED = 16 };

/* The steps of one trajectory at the base point. */
typedef struct frozen_step {
    int segment;
    double from, to;           /* fractions of the segment */
    size_t saves;              /* rows saved before the end of this step */
    double middle, length;     /* at the base point: finds the piece of paths, scales the noise */
} frozen_step;


typedef struct frozen {
    proof *f;
    const nde_method *method;
    expanded expanded;   /* what method is then */
    nde_method written;  /* or this, with options.coupling, options.order or problem.splitting */
    nde_coefficient space[EXPANDED_STAGES*(EXPANDED_STAGES + 9)/2];
    frozen_step **step;        /* [n] */
    size_t *steps, *first_save;
    double *span, *loss;       /* [n] t1 - t0 at the base point; the loss */
} frozen;

/* Forced times of a trajectory, its own start and end included; jump[i] SIZE_MAX where nothing jumps. */
static inline size_t forced_times(const proof *f, size_t b, double *t, size_t *jump) {
    const double t0 = ((const double *)f->in[IN_T0].x)[b], t1 = ((const double *)f->in[IN_T1].x)[b], d = t1 > t0 ? 1 : -1;
    size_t count = 0;
    t[count] = t0, jump[count++] = SIZE_MAX;
    for (size_t j = 0; j < f->problem.n_jumps; j++)
        if (d*f->problem.jump_t[j] > d*t0 && d*f->problem.jump_t[j] < d*t1) t[count] = f->problem.jump_t[j], jump[count++] = j;
    for (size_t k = 0; k < f->problem.n_terms; k++)
        for (size_t j = 0; f->term[k].path && j < f->term[k].path->knots; j++) {
            const double knot = f->term[k].path->t[j];
            if (d*knot <= d*t0 || d*knot >= d*t1) continue;
            size_t at = count;
            while (d*t[at - 1] > d*knot) at--;
            if (t[at - 1] == knot) continue;
            memmove(t + at + 1, t + at, (count - at)*sizeof *t), memmove(jump + at + 1, jump + at, (count - at)*sizeof *jump);
            t[at] = knot, jump[at] = SIZE_MAX, count++;
        }
    t[count] = t1, jump[count++] = SIZE_MAX;
    assert_true(count <= MOST_FORCED);
    return count;
}

/* Reads the steps off a run of the same solve that saves every one of them. */
static inline frozen freeze(proof *f) {
    nde_options every = f->options;
    every.save_every = 1, every.save_t = NULL, every.n_save = 0, every.adjoint = 0;
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solve(&f->problem, &every, &s), NDE_OK);
    frozen z = { .f = f, .method = nde_method_get(f->options.method) };
    z.step = proof_take(f, f->n, sizeof *z.step), z.steps = proof_take(f, f->n, sizeof *z.steps);
    z.first_save = proof_take(f, f->n, sizeof *z.first_save), z.loss = proof_take(f, f->n, sizeof *z.loss);
    z.span = proof_take(f, f->n, sizeof *z.span);
    for (size_t b = 0; b < f->n; b++) {
        double forced[MOST_FORCED];
        size_t jump[MOST_FORCED];
        const size_t boundaries = forced_times(f, b, forced, jump);
        int segment = 0;
        z.span[b] = forced[boundaries - 1] - forced[0];
        z.steps[b] = s.saved[b] - 1;
        z.step[b] = z.steps[b] ? calloc(z.steps[b], sizeof **z.step) : NULL;
        const double d = forced[boundaries - 1] > forced[0] ? 1 : -1;
        size_t row = 0;
        while (row < f->options.n_save && d*f->options.save_t[row] <= d*forced[0]) row++;
        z.first_save[b] = row;
        for (size_t k = 0; k < z.steps[b]; k++) {
            const double from = s.t[k*f->n + b], to = s.t[(k + 1)*f->n + b];
            while (d*from >= d*forced[segment + 1]) segment++;
            const double length = forced[segment + 1] - forced[segment];
            while (row < f->options.n_save && d*f->options.save_t[row] <= d*to) row++;
            z.step[b][k] = (frozen_step){ segment, (from - forced[segment])/length, (to - forced[segment])/length, row,
                                          from + 0.5*(to - from), to - from };
        }
    }
    nde_solution_free(&s);
    return z;
}

static inline void thaw(frozen *z) {
    for (size_t b = 0; b < z->f->n; b++) free(z->step[b]);
}

#ifndef NDE_TEST_SINGLE

static inline double path_at(const nde_path *path, size_t n, size_t b, size_t c, double t, double *slope, double middle) {
    size_t piece = 0;
    while (piece < path->knots && path->t[piece] <= middle) piece++;
    const double *x = path->x + c*n + b;
    const size_t row = path->channels*n;
    if (slope) *slope = 0;
    if (piece == 0) return x[0];
    if (piece == path->knots) return x[(path->knots - 1)*row];
    const double rate = (x[piece*row] - x[(piece - 1)*row])/(path->t[piece] - path->t[piece - 1]);
    if (slope) *slope = rate;
    return x[(piece - 1)*row] + rate*(t - path->t[piece - 1]);
}

typedef struct reference {
    frozen *z;
    size_t b, node, interval;
    frozen_step step;
    double dt, q[MOST_ROWS], dw[2][MOST_ROWS];
    int stage;
} reference;

static inline void reference_field(const reference *r, const nde_field *field, double t, const double *y, const double *u,
                                   double *out) {
    unsigned char mark = 0;
    nde_site at = { .n = 1, .ld = 1, .tape_ld = 1, .t = &t, .index = &r->b, .interval = &r->interval, .u = field->nu ? u : NULL,
                    .lane = &mark };
    at.p = r->z->f->problem.p ? r->z->f->problem.p + field->p_first : NULL;
    at.q = r->q + field->q_first;
    assert_int_equal(field->eval(field, &at, y, out), 0);
}

/* [F; l] at (t, y). */
static inline void reference_rhs(const reference *r, double t, const double *y, double *k) {
    const proof *f = r->z->f;
    const nde_problem *q = &f->problem;
    double u[MODEL_INPUTS], value[MOST_ROWS];
    const size_t channels = q->input ? q->input->channels : 0;
    for (size_t c = 0; c < channels; c++) u[c] = path_at(q->input, f->n, r->b, c, t, NULL, r->step.middle);
    const nde_method *m = r->z->method;
    if (m->part) u[channels] = m->share[r->stage]*r->dt; /* for a flow */
    reference_field(r, m->part && m->part[r->stage] != 0 ? q->splitting->second : q->drift, t, y, u, k);
    for (size_t j = 0; j < q->n_terms; j++) {
        const nde_term *term = &q->terms[j];
        const bool diagonal = term->noise && term->kind == NDE_NOISE_DIAGONAL;
        for (size_t c = 0; term->path && c < term->path->channels; c++)
            (void)path_at(term->path, f->n, r->b, c, t, &u[channels + c], r->step.middle);
        for (size_t c = 0; term->noise && !diagonal && c < term->field->nu - channels; c++) u[channels + c] = r->dw[j][c]/r->dt;
        reference_field(r, term->field, t, y, u, value);
        for (size_t i = 0; i < f->dim; i++) k[i] += diagonal ? value[i]*r->dw[j][i]/r->dt : value[i];
    }
    if (q->quadrature) reference_field(r, q->quadrature, t, y, u, k + f->dim);
}

/* The increments of the base point, scaled with the square root of the step. */
static inline void reference_noise(reference *r) {
    const proof *f = r->z->f;
    for (size_t j = 0; j < f->problem.n_terms; j++) {
        const nde_noise *noise = f->term[j].noise;
        if (!noise) continue;
        const int64_t grid = noise->grid ? noise->grid : f->options.steps, cells = grid/f->options.steps;
        const int64_t first = (int64_t)r->node*cells;
        const double cell = r->z->span[r->b]/(double)grid;
        const size_t m = f->term[j].kind == NDE_NOISE_DIAGONAL ? f->dim : f->term_field[j].nu;
        nde_noise_increment(noise, grid, m, 1, 1, &r->b, &cell, &first, cells, r->dw[j]);
        for (size_t i = 0; i < m; i++) r->dw[j][i] *= sqrt(r->dt/r->step.length);
    }
}

static inline double reference_saves(const reference *r, size_t from, size_t to, double t, const double *y,
                                     double (*k)[MOST_ROWS]) {
    const proof *f = r->z->f;
    const nde_method *m = r->z->method;
    double loss = 0;
    for (size_t row = from; row < to; row++) {
        const double theta = k ? (f->options.save_t[row] - t)/r->dt : 0;
        for (size_t i = 0; i < f->dim; i++) {
            const double *dense = m->dense2 && i >= f->problem.split ? m->dense2 : m->dense;
            double value = y[i];
            for (int j = 0; k && j < m->stages; j++) {
                double w = 0;
                for (int e = m->dense_terms - 1; e >= 0; e--) w = (w + dense[j*m->dense_terms + e])*theta;
                value += r->dt*w*k[j][i];
            }
            loss += f->seed_y[(row*f->dim + i)*f->n + r->b]*value;
        }
    }
    return loss;
}

/* Slopes of a step of asynchronous leapfrog or reversible Heun: k[0] comes from the step before, x is Heun's second state. */
static inline void reference_reversible(const reference *r, double t, const double *y, double *x, double (*k)[MOST_ROWS]) {
    const proof *f = r->z->f;
    const bool leapfrog = r->z->method->partner == NDE_PARTNER_SLOPE;
    const double damping = f->options.damping > 0 ? f->options.damping : 1;
    double Y[MOST_ROWS];
    if (r->step.from == 0) {
        reference_rhs(r, t, y, k[0]);
        memcpy(x, y, f->dim*sizeof *x);
    }
    for (size_t c = 0; c < f->dim; c++) Y[c] = leapfrog ? y[c] + 0.5*r->dt*k[0][c] : (x[c] = 2*y[c] - x[c] + r->dt*k[0][c]);
    reference_rhs(r, t + r->z->method->c[1]*r->dt, Y, k[1]);
    for (size_t c = 0; leapfrog && c < f->dim + f->nz; c++) k[1][c] = k[0][c] + 2*damping*(k[1][c] - k[0][c]);
}

/* Slopes of a step of a coupled method; x is its second state. */
static inline void reference_coupled(const reference *r, double t, const double *y, double *x, double (*k)[MOST_ROWS]) {
    const proof *f = r->z->f;
    const nde_method *m = r->z->method;
    const int last = m->stages - 1, turn = m->stages/2;
    const size_t rows = f->dim + f->nz;
    double Y[MOST_ROWS], from[MOST_ROWS];
    if (r->step.from == 0)
        for (size_t c = 0; c < rows; c++) x[c] = y[c];
    memcpy(from, x, sizeof from);
    for (size_t c = 0; c < rows; c++) k[last][c] = (y[c] - x[c])/r->dt;
    for (int i = 0; i < last; i++) {
        for (size_t c = 0; i == turn && c < rows; c++) {
            from[c] = y[c];
            for (int j = 0; j <= last; j++) from[c] += j < turn || j == last ? r->dt*m->b[j]*k[j][c] : 0;
        }
        for (size_t c = 0; c < f->dim; c++) {
            Y[c] = from[c];
            for (int j = 0; j < i; j++) Y[c] += r->dt*m->a[i*(i - 1)/2 + j]*k[j][c];
        }
        reference_rhs(r, t + m->c[i]*r->dt, Y, k[i]);
    }
    for (size_t c = 0; c < rows; c++)
        for (int j = turn; j < last; j++) x[c] += r->dt*m->b2[j]*k[j][c];
}

/* The slopes of the steps before, how many are there, and the length of those steps. */
typedef struct reference_past {
    double k[NDE_MOST_ADAMS][MOST_ROWS], length;
    int count;
} reference_past;

/* The step of an explicit Runge-Kutta method from slope k0: its mean slope. */
static inline void reference_start(const reference *r, const nde_method *m, double t, const double *y, const double *k0,
                                   double *mean) {
    const size_t dim = r->z->f->dim, rows = dim + r->z->f->nz;
    double k[MOST_REFERENCE_STAGES][MOST_ROWS], Y[MOST_ROWS];
    memcpy(k[0], k0, sizeof k[0]);
    for (int i = 1; i < m->stages; i++) {
        for (size_t c = 0; c < dim; c++) {
            Y[c] = y[c];
            for (int j = 0; j < i; j++) Y[c] += r->dt*m->a[i*(i - 1)/2 + j]*k[j][c];
        }
        reference_rhs(r, t + m->c[i]*r->dt, Y, k[i]);
    }
    for (size_t c = 0; c < rows; c++) {
        mean[c] = 0;
        for (int j = 0; j < m->stages; j++) mean[c] += m->b[j]*k[j][c];
    }
}

/* Slopes of a step of an Adams method: k[0] comes from the step before. */
static inline void reference_adams(const reference *r, double t, const double *y, reference_past *past,
                                   double (*k)[MOST_ROWS]) {
    const proof *f = r->z->f;
    const nde_method *m = r->z->method;
    const int q = m->order, last = m->stages - 1;
    double Y[MOST_ROWS];
    if (r->step.from == 0) reference_rhs(r, t, y, k[0]), past->length = 0;
    if (fabs(past->length - r->step.length) > 1e-9*fabs(r->step.length)) past->count = 0;
    const bool starts = past->count < q - 1;
    if (starts) reference_start(r, nde_multistep_start(q), t, y, k[0], k[1]);
    for (int stage = 2; stage <= last; stage++) { /* predicted, corrected; or at once */
        const nde_coefficient *w = nde_adams_weights(stage == 2 ? m->predictor : m->corrector, q) + (stage > 2);
        for (size_t c = 0; c < f->dim + f->nz && !starts; c++) {
            k[1][c] = w[0]*k[0][c] + (stage > 2 ? w[-1]*k[2][c] : 0);
            for (int j = 1; j < q - (stage > 2); j++) k[1][c] += w[j]*past->k[j - 1][c];
            if (stage > 2 && q == 1) k[1][c] = k[2][c];
        }
        for (size_t c = 0; c < f->dim; c++) Y[c] = y[c] + r->dt*k[1][c];
        reference_rhs(r, t + r->dt, Y, k[stage]);
    }
    memmove(past->k[1], past->k[0], (NDE_MOST_ADAMS - 1)*sizeof past->k[0]);
    memcpy(past->k[0], k[0], sizeof past->k[0]);
    past->count += past->count < q - 1, past->length = r->step.length;
}

static inline double reference_trajectory(frozen *z, size_t b) {
    const proof *f = z->f;
    const nde_method *m = z->method;
    const size_t rows = f->dim + f->nz;
    reference r = { .z = z, .b = b };
    double y[MOST_ROWS] = { 0 }, k[MOST_REFERENCE_STAGES][MOST_ROWS] = { { 0 } }, Y[MOST_ROWS], forced[MOST_FORCED],
        x[MOST_ROWS] = { 0 };
    reference_past past = { .count = 0 };
    size_t jump[MOST_FORCED], saved = z->first_save[b];
    forced_times(f, b, forced, jump);
    for (size_t i = 0; i < f->dim; i++) y[i] = f->problem.y0[i*f->n + b];
    for (size_t i = 0; i < f->in[IN_Q].rows; i++) r.q[i] = f->problem.q[i*f->n + b];
    double loss = reference_saves(&r, 0, saved, 0, y, NULL);
    for (r.node = 0; r.node < z->steps[b]; r.node++) {
        const frozen_step *s = &z->step[b][r.node];
        const double length = forced[s->segment + 1] - forced[s->segment], t = forced[s->segment] + s->from*length;
        r.step = *s, r.dt = (s->to - s->from)*length;
        reference_noise(&r);
        if (m->kind == NDE_KIND_REVERSIBLE) reference_reversible(&r, t, y, x, k);
        if (m->kind == NDE_KIND_COUPLED) reference_coupled(&r, t, y, x, k);
        if (m->kind == NDE_KIND_MULTISTEP) reference_adams(&r, t, y, &past, k);
        for (int i = 0; i < m->stages && !m->partners; i++) {
            const size_t row = (size_t)(i*(i - 1)/2);
            for (size_t c = 0; c < f->dim; c++) {
                const double *a = m->a2 && c >= f->problem.split ? m->a2 : m->a;
                Y[c] = y[c];
                for (int j = 0; j < i; j++) Y[c] += r.dt*a[row + (size_t)j]*k[j][c];
            }
            r.stage = i;
            reference_rhs(&r, t + m->c[i]*r.dt, Y, k[i]);
        }
        loss += reference_saves(&r, saved, s->saves, t, y, k);
        saved = s->saves;
        for (size_t c = 0; c < rows; c++) {
            const double *w = m->b2 && !m->partners && c >= f->problem.split && c < f->dim ? m->b2 : m->b;
            for (int j = 0; j < m->stages; j++) y[c] += r.dt*w[j]*k[j][c];
        }
        if (m->first_same_as_last && m->partners) memcpy(k[0], k[m->stages - 1], sizeof k[0]);
        if (s->to == 1 && jump[s->segment + 1] != SIZE_MAX) {
            const size_t number = jump[s->segment + 1], inputs = f->problem.jump_inputs;
            double u[MODEL_INPUTS];
            for (size_t i = 0; i < inputs; i++) u[i] = f->problem.jump_u[(number*inputs + i)*f->n + b];
            r.interval = number;
            memcpy(Y, y, sizeof Y);
            reference_field(&r, f->problem.jump, forced[s->segment + 1], Y, u, y);
            r.interval = number + 1;
        }
    }
    if (!f->options.n_save) /* the one row is the end */
        for (size_t i = 0; i < f->dim; i++) loss += f->seed_y[i*f->n + b]*y[i];
    for (size_t i = 0; i < f->dim; i++) loss += f->seed_end[i*f->n + b]*y[i];
    for (size_t i = 0; i < f->nz; i++) loss += f->seed_z[i*f->n + b]*y[f->dim + i];
    return loss;
}

/* Losses of all trajectories; their sum. */
static inline double reference_loss(frozen *z) {
    double sum = 0;
    for (size_t b = 0; b < z->f->n; b++) sum += z->loss[b] = reference_trajectory(z, b);
    return sum;
}

/* The loss of the solver's own outputs. */
static inline double proof_loss(const proof *f) {
    double aa = 0, bb = 0;
    return proof_dot(f->seed_y, f->solution.y, f->rows*f->dim*f->n, &aa, &bb) +
           proof_dot(f->seed_end, f->solution.y_end, f->dim*f->n, &aa, &bb) +
           (f->nz ? proof_dot(f->seed_z, f->solution.quadrature, f->nz*f->n, &aa, &bb) : 0);
}

/* d loss / d (row of an input), of each trajectory, or of the sum for shared inputs. The best of Neville's table by its own
 * estimate. Source: C. Ridders, Adv. Eng. Softw. 4 (1982) 75-76. */
static inline void reference_derivative(frozen *z, int which, size_t row, double *d) {
    enum { LEVELS = 6 };
    proof *f = z->f;
    const proof_input *in = &f->in[which];
    const size_t lanes = in->shared ? 1 : f->n;
    double *table = calloc(LEVELS*lanes, sizeof *table), *base = calloc(lanes, sizeof *base), *x = (double *)in->x;
    assert_true(table && base);
    for (size_t b = 0; b < lanes; b++) base[b] = x[row*lanes + b];
    for (int level = 0; level < LEVELS; level++) {
        const double h = ldexp(1, -5 - level);
        for (int side = 0; side < 2; side++) {
            for (size_t b = 0; b < lanes; b++) x[row*lanes + b] = side ? base[b] - h : base[b] + h;
            const double sum = reference_loss(z), sign = side ? -1 : 1;
            for (size_t b = 0; b < lanes; b++) table[(size_t)level*lanes + b] += sign*(in->shared ? sum : z->loss[b])/(2*h);
        }
    }
    for (size_t b = 0; b < lanes; b++) {
        double old[LEVELS], new[LEVELS], least = HUGE_VAL;
        for (int level = 0; level < LEVELS; level++) {
            double power = 4;
            new[0] = table[(size_t)level*lanes + b];
            for (int k = 1; k <= level; k++, power *= 4) {
                new[k] = new[k - 1] + (new[k - 1] - old[k - 1])/(power - 1);
                const double error = fmax(fabs(new[k] - new[k - 1]), fabs(new[k] - old[k - 1]));
                if (error <= least) least = error, d[b] = new[k];
            }
            memcpy(old, new, sizeof old);
        }
        x[row*lanes + b] = base[b];
    }
    free(table), free(base);
}

/* Relative difference of the gradient of one input from differences. */
static inline double reference_error(frozen *z, int which) {
    const proof_input *in = &z->f->in[which];
    const size_t lanes = in->shared ? 1 : z->f->n;
    double *d = calloc(lanes, sizeof *d), off = 0, all = 0;
    assert_non_null(d);
    for (size_t row = 0; row < in->rows; row++) {
        reference_derivative(z, which, row, d);
        for (size_t b = 0; b < lanes; b++) {
            const double g = input_get(in, in->g, row*lanes + b);
            off += (g - d[b])*(g - d[b]), all += d[b]*d[b];
        }
    }
    free(d);
    assert_true(all > 0);
    return sqrt(off/all);
}

static inline const nde_method *reference_splitting(frozen *z) {
    const nde_problem *q = &z->f->problem;
    const size_t tau = 1 + (q->input ? q->input->channels : 0);
    const nde_field *const field[2] = { q->drift, q->splitting->second };
    const int id[2] = { q->splitting->drift_by, q->splitting->second_by };
    const nde_method *by[2];
    for (int i = 0; i < 2; i++) by[i] = nde_method_get(field[i]->nu == tau ? NDE_EULER : id[i] ? id[i] : NDE_RK4);
    nde_splitting_claim(z->method, by, &z->written);
    assert_true(z->written.stages <= EXPANDED_STAGES);
    nde_splitting_write(z->method, by, &z->written, z->space);
    return &z->written;
}

/* The map is the solver's, and all of its gradients are those of the map. */
static inline void proof_check_differences(proof *f) {
    frozen z = freeze(f);
    if (f->options.coupling > 0) {
        nde_coupling_write(z.method, f->options.coupling, &z.written,
                           proof_take(f, nde_coupling_space(z.method), sizeof(double)));
        z.method = &z.written;
    }
    if (z.method->kind == NDE_KIND_MULTISTEP) {
        nde_multistep_claim(z.method, f->options.order ? f->options.order : z.method->order, &z.written);
        z.method = &z.written;
    } else if (f->problem.splitting) {
        z.method = reference_splitting(&z);
    } else if (z.method->kind == NDE_KIND_CHEBYSHEV) {
        nde_chebyshev_stage stage[EXPANDED_STAGES];
        const int stages = f->options.stages; /* of every step: no bound is known */
        nde_chebyshev_write(stages, stage);
        z.method = expand_chebyshev(z.method, stages, stage, &z.expanded);
    } else {
        z.method = expand(z.method, &z.expanded);
    }
    const double loss = reference_loss(&z), own = proof_loss(f);
    if (!(fabs(loss - own) <= 1e-12*(1 + fabs(own))*(double)f->n)) fail_msg("the map gives %.17g, the solver %.17g", loss, own);
    for (int k = 0; k < INPUTS; k++) {
        if (!f->in[k].count) continue;
        const double error = reference_error(&z, k);
        if (getenv("PROOF_VERBOSE")) fprintf(stderr, "    %-8s %.1e\n", input_names[k], error);
        if (!(error <= 1e-8)) fail_msg("gradient of %s is off by %g of its norm", input_names[k], error);
    }
    thaw(&z);
}

#else
static inline void proof_check_differences(proof *f) { (void)f; } /* float is compared with double: precision.c */
#endif

#endif
