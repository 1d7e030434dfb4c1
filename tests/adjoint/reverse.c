/* SPDX-License-Identifier: MIT
 * reverse.c - the reversible adjoint against the discrete one: every method that can undo a step on every composition of
 * what a problem can hold; bit for bit with a quantum; over many steps (10^6 with NDE_TEST_LONG) of a contracting, a
 * neutral and a chaotic problem; its memory; what fails on the way; pauses, threads; what has no meaning. */
#include "adjoint/cases.h"
#include "adjoint/ways.h"
#include "solve/solver.h"

#include <stdio.h>

#define SINGLE (sizeof(nde_real) == sizeof(float))

/* ---- every composition ----------------------------------------------------------------------- */

static double most_apart;

static void agrees(int which, int64_t steps, bool tape, bool back, const way *w, double quantum) {
    proof f;
    char what[200];
    case_make(which, &f, steps, tape);
    if (back) turn_time(&f);
    take_way(&f, w);
    f.options.quantum = SINGLE && which == CASE_LORENZ ? 16*quantum : quantum; /* slopes up to 1000 */
    if (!steps && which != CASE_VERLET) f.options.rtol = f.options.atol = 1e-3;
    f.options.estimates = can_adapt(w) ? NDE_ESTIMATES_ALL : NDE_ESTIMATES_NONE;
    if (w->method == NDE_VELOCITY_VERLET && quantum == 0) proof_no_saves(&f); /* inside steps it has another extension then */
    static const double clips[] = { 0.55, 0.8 };
    if (which == CASE_ENSEMBLE) f.options.clip_t = clips, f.options.n_clip = LENGTH(clips);
    const undone found = undo(&f);
    most_apart = fmax(most_apart, found.apart);
    snprintf(what, sizeof what, "%s, %s, steps %d, tape %d, back %d", name_of(w), case_names[which], (int)steps, tape, back);
    /* long steps of methods with large coefficients round by more than an ulp */
    check_undone(&found, what, quantum, !SINGLE ? 1e-10 : which == CASE_LORENZ ? 1e-2 : 1e-4);
    proof_end(&f);
}

static void every_composition(double quantum) {
    static const struct { int which, steps; } some[] = { { CASE_ENSEMBLE, 0 }, { CASE_LORENZ, 0 }, { CASE_CONTROLLED, 20 },
                                                         { CASE_CONTROLLED, 0 }, { CASE_DOSES, 0 }, { CASE_DOSES, 37 } };
    most_apart = 0;
    for (size_t i = 0; i < n_ways; i++) {
        if (quantum > 0 && !is_exact(&ways[i])) continue;
        for (int back = 0; back <= 1; back++) {
            if (i < n_split) agrees(CASE_VERLET, 0, (i + (size_t)back) % 2, back, &ways[i], quantum);
            for (size_t k = 0; i >= n_split && k < LENGTH(some); k++)
                if ((some[k].steps || can_adapt(&ways[i])) && !(back && some[k].which == CASE_LORENZ))
                    agrees(some[k].which, some[k].steps, (k + i + (size_t)back) % 2, back, &ways[i], quantum);
        }
    }
    print_message("apart by %.1e at most\n", most_apart);
}

static void equals_the_discrete_gradient(void **state) {
    (void)state;
    every_composition(0);
}
static void equals_its_bits_with_a_quantum(void **state) {
    (void)state;
    every_composition(SINGLE ? 0x1p-16 : 0x1p-40);
}

/* ---- many steps ------------------------------------------------------------------------------ */

/* Neighbours come closer, by e^-2 and e^-1 in a unit of time, on a circle that is driven. */
static void falling_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y, *p = x->p, w = tanh(y[1]);
    f[0] = p[0]*w - y[0] + cos(x->t), f[1] = p[1]*y[0] - 2*y[1];
    j[0][0] = -1, j[0][1] = p[0]*(1 - w*w), j[0][2] = w, j[0][4] = -sin(x->t);
    j[1][0] = p[1], j[1][1] = -2, j[1][3] = y[0];
}
/* A planet of mass p[0]. */
static void orbit_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y, m = x->p[0], r2 = y[0]*y[0] + y[1]*y[1], r3 = r2*sqrt(r2);
    for (size_t i = 0; i < 2; i++) {
        f[i] = y[2 + i], f[2 + i] = -m*y[i]/r3;
        j[i][2 + i] = 1, j[2 + i][4] = -y[i]/r3;
        for (size_t k = 0; k < 2; k++) j[2 + i][k] = 3*m*y[i]*y[k]/(r3*r2) - (i == k ? m/r3 : 0);
    }
}
/* A pendulum of frequency p[0]. */
static void swing_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y, p = x->p[0];
    f[0] = y[1], f[1] = -p*sin(y[0]);
    j[0][1] = 1, j[1][0] = -p*cos(y[0]), j[1][2] = -sin(y[0]);
}
static const model falling_model = { 2, 2, 0, 2, 0, falling_formula }, orbit_model = { 4, 4, 0, 1, 0, orbit_formula },
                   swing_model = { 2, 2, 0, 1, 0, swing_formula };

/* What is solved over many steps, to t1 with 10^4 of them, or to far with 10^6; anchors: at most, in a unit of time,
 * beside those of the method. */
typedef struct march {
    const char *name;
    const model *field;
    double y0[4], p[3], t1, far, anchors;
    size_t split;
    way by;
} march;
static const march marches[] = {
    { "contracting", &falling_model, { 1, 0.5 }, { 0.5, 0.75 }, 100, 1000, 0.5, 0, { NDE_RK4, 0, 0.95, 0 } },
    { "contracting", &falling_model, { 1, 0.5 }, { 0.5, 0.75 }, 100, 1000, 0.5, 0, { NDE_ALF, 0, 0, 0.95 } },
    { "neutral", &swing_model, { 1, 0 }, { 1 }, 100, 100, 0.2, 0, { NDE_ALF, 0, 0, 0 } },
    { "neutral", &swing_model, { 1, 0 }, { 1 }, 100, 100, 0.2, 0, { NDE_REVERSIBLE_HEUN, 0, 0, 0 } },
    { "neutral", &swing_model, { 1, 0 }, { 1 }, 100, 100, 0.2, 1, { NDE_LEAPFROG, 0, 0, 0 } },
    { "neutral", &orbit_model, { 0.5, 0, 0, 1.7320508075688772 }, { 1 }, 100, 100, 1, 2, { NDE_YOSHIDA4, 0, 0, 0 } },
    { "chaotic", &lorenz_model, { 1, 2, 20 }, { 10, 28, 8.0/3 }, 10, 10, 3, 0, { NDE_RK4, 0, 0.95, 0 } },
    { "chaotic", &lorenz_model, { 1, 2, 20 }, { 10, 28, 8.0/3 }, 10, 10, 3, 0, { NDE_BOSH3, 0, 0.9, 0 } },
};

static size_t anchors_of(const nde_solver *s) {
    size_t anchors = 0;
    for (size_t k = 0; k < s->n_panels; k++) anchors += s->panel[k].record.slots.count;
    return anchors;
}

static void goes_far(const march *m, bool far) {
    proof f;
    int of = 0;
    const int64_t steps = far ? 1000000 : 10000;
    const double t1 = far ? m->far : m->t1, saves[] = { 0.001*t1, 0.01*t1, 0.1*t1, 0.5*t1, t1 };
    proof_begin(&f, 1, m->field, false, 0, t1, 0);
    for (size_t i = 0; i < f.dim; i++) ((nde_real *)f.in[IN_Y0].x)[i] = (nde_real)m->y0[i];
    proof_parameters(&f, m->field->np, m->p);
    proof_save(&f, LENGTH(saves), saves);
    take_way(&f, &m->by);
    f.problem.split = m->split, f.options.steps = steps, f.options.budget = (size_t)(far ? 512 : 16) << 20;
    f.options.record = NDE_RECORD_STATES;
    proof_solve(&f);
    const proof_copy c = proof_keep(&f);
    f.options.adjoint = NDE_ADJOINT_REVERSIBLE, f.options.record = 0;
    proof_solve(&f);
    double back;
    const nde_seed seed = proof_seeds(&f);
    const nde_gradient to = NDE_INIT(nde_gradient, .reconstruction = &back);
    assert_int_equal(nde_backward(f.solver, &seed, &to), NDE_OK);
    const double apart = distance(&f, &c, &of);
    const size_t anchors = anchors_of(f.solver);
    print_message("%-12s %-45s %7lld steps, %4zu anchors, states off by %.1e, gradient by %.1e of %s\n", m->name,
                  name_of(&m->by), (long long)steps, anchors, back, apart, input_names[of]);
    if (!(apart <= (SINGLE ? 2e-2 : 1e-9)))
        fail_msg("%s: gradient of %s is off by %g", name_of(&m->by), input_names[of], apart);
    assert_true((double)anchors <= 2 + (double)steps/(double)nde_anchors_apart(f.solver) + m->anchors*t1*(SINGLE ? 2 : 1));
    proof_end(&f);
}

static void many_steps(void **state) {
    (void)state;
    const char *suite = getenv("NDE_TEST_LONG");
    const bool far = suite && !SINGLE;
    for (size_t k = 0; k < LENGTH(marches); k++) goes_far(&marches[k], far);
}

/* Without anchors what comes closer comes back from far away. */
static void anchors_are_needed(void **state) {
    (void)state;
    double back[2];
    for (int k = 0; k < 2; k++) {
        proof f;
        proof_begin(&f, 3, &falling_model, true, 0, 20, 1);
        proof_parameters(&f, 2, (double[]){ 0.5, 0.75 });
        f.options.method = NDE_RK4, f.options.coupling = 0.95, f.options.steps = 2000;
        f.options.adjoint = NDE_ADJOINT_REVERSIBLE, f.options.anchor_limit = k ? HUGE_VAL : 0;
        proof_solve(&f);
        double each[3];
        const nde_seed seed = proof_seeds(&f);
        const nde_gradient to = NDE_INIT(nde_gradient, .reconstruction = each);
        assert_int_equal(nde_backward(f.solver, &seed, &to), NDE_OK);
        back[k] = fmax(each[0], fmax(each[1], each[2]));
        assert_int_equal(anchors_of(f.solver) == 1, k);
        proof_end(&f);
    }
    assert_true(back[0] <= 1e5*NDE_TEST_EPS && back[1] >= 1e4*back[0]);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Neighbours keep their distance: anchors are those of the method. */
static void tide_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    for (size_t i = 0; i < 4; i++) f[i] = cos(x->t + (double)i), j[i][4] = -sin(x->t + (double)i);
}
static const model tide_model = { 4, 4, 0, 0, 0, tide_formula };

static nde_status plan_and_run(proof *f, nde_needs *needs) {
    *needs = NDE_INIT(nde_needs, .bytes = 0);
    assert_int_equal(nde_plan(&f->problem, &f->options, needs), NDE_OK);
    assert_int_equal(needs->bytes, nde_solver_bytes(&f->problem, &f->options));
    proof_create(f);
    const nde_status status = proof_run(f);
    if (status == NDE_OK) assert_int_equal(f->solution.record_bytes, needs->record_used);
    return status;
}

static void its_record_is_times(void **state) {
    static const way some[] = { { NDE_ALF, 0, 0, 0 }, { NDE_REVERSIBLE_HEUN, 0, 0, 0 }, { NDE_ALF, 0, 0, 0.9 },
                                { NDE_RK4, 0, 0.95, 0 }, { NDE_BOSH3, 0, 0.99, 0 }, { NDE_EULER, 0, 0.98, 0 } };
    (void)state;
    for (size_t k = 0; k < LENGTH(some); k++)
        for (size_t n = 1; n <= 150; n += 149) { /* one, and lanes that are filled again */
            enum { STEPS = 400 };
            nde_needs once, twice;
            proof f;
            proof_begin(&f, n, &tide_model, false, 0, 1, 1);
            take_way(&f, &some[k]);
            f.options.adjoint = NDE_ADJOINT_REVERSIBLE, f.options.anchor_limit = 1e4, f.options.steps = STEPS,
                f.options.group = n;
            assert_int_equal(plan_and_run(&f, &once), NDE_OK);
            const size_t anchors = anchors_of(f.solver);
            f.options.steps = 2*STEPS;
            assert_int_equal(plan_and_run(&f, &twice), NDE_OK);
            const size_t more = anchors_of(f.solver) - anchors, grown = twice.record_used - once.record_used;
            if (n == 1) assert_int_equal(grown, STEPS*sizeof(double) + more*f.solver->panel->record.slots.bytes);
            if (nde_undo_growth(f.solver) == 1) assert_int_equal(more, 0);
            else assert_true(more > 0);
            size_t enough = 0; /* no more than is planned is needed */
            for (size_t budget = twice.record_used/64*64 - 256; !enough; budget += 64*n) {
                f.options.budget = budget;
                const nde_status status = plan_and_run(&f, &once);
                assert_int_equal(status, once.record_used ? NDE_OK : NDE_E_BUDGET);
                enough += once.record_used > 0;
            }
            assert_true(f.options.budget <= twice.record_used + 64*(n + 2));
            proof_end(&f);
        }
}

/* ---- what fails, pauses, threads --------------------------------------------------------------- */

/* Beyond t = 1 where y[0] has begun too large, and some time later where it becomes so. */
static int fragile(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    dy[0] = p[0]*y[1], dy[1] = -p[0]*(nde_real)sin((double)y[0]);
    return (void)ctx, (t >= 1 && y[1] > (nde_real)1) || y[0] < (nde_real)-2 ? NDE_FIELD_RETRY : 0;
}
static int fragile_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap,
                       double *at, void *ctx) {
    const nde_real s = (nde_real)sin((double)y[0]);
    ay[0] -= p[0]*(nde_real)cos((double)y[0])*a[1], ay[1] += p[0]*a[0];
    ap[0] += (double)(y[1]*a[0] - s*a[1]);
    return (void)t, (void)at, (void)ctx, 0;
}

/* All that a run gives, with bits to compare. */
typedef struct outcome {
    nde_real y0[300], p;
    double apart[150];
    size_t failed;
} outcome;

static void solve_fragile(const way *w, int32_t adjoint, int32_t threads, int64_t pause, outcome *out) {
    enum { N = 150 };
    static const double clips[] = { 1, 1.5 };
    const nde_pointwise one = { .f = fragile, .vjp = fragile_vjp };
    const nde_field field = nde_field_pointwise(&one, 2, 1);
    const nde_real p = 1;
    nde_real y0[2*N], seed_end[2*N];
    for (size_t b = 0; b < N; b++)
        y0[b] = (nde_real)(0.01*(double)b), y0[N + b] = (nde_real)(b % 7 ? 0.25 : 2.25), seed_end[b] = seed_end[N + b] = 1;
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = &field, .y0 = y0, .p = &p, .t1 = 4);
    nde_options options = NDE_INIT(nde_options, .method = w->method, .coupling = w->coupling, .steps = 64, .clip_t = clips,
                                   .n_clip = 2, .quantum = SINGLE ? 0x1p-18 : 0x1p-44, .adjoint = adjoint,
                                   .threads = threads, .group = 75, .budget = (size_t)16 << 20);
    nde_solver *s;
    nde_solution solution = NDE_INIT(nde_solution, .n = 0);
    if (nde_solver_create(&problem, &options, &s)) fail_msg("%s", nde_error());
    nde_status status = NDE_OK;
    while (!s->finished) status = pause ? nde_solver_steps(s, pause, &solution) : nde_solver_run(s, &solution);
    assert_int_equal(status, NDE_E_LANES);
    *out = (outcome){ .failed = 0 };
    for (size_t b = 0; b < N; b++) out->failed += solution.status[b] < 0;
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = seed_end);
    const nde_gradient to = NDE_INIT(nde_gradient, .y0 = out->y0, .p = &out->p,
                                     .reconstruction = adjoint == NDE_ADJOINT_REVERSIBLE ? out->apart : NULL);
    assert_int_equal(nde_backward(s, &seed, &to), NDE_OK);
    if (pause) { /* a saved state has no record */
        size_t bytes = 0;
        nde_solver_destroy(s);
        assert_int_equal(nde_solver_create(&problem, &options, &s), NDE_OK);
        assert_int_equal(nde_solver_steps(s, 1, NULL), NDE_UNFINISHED);
        assert_int_equal(nde_solver_state(s, NULL, &bytes), NDE_OK);
        void *block = malloc(bytes);
        assert_non_null(block);
        assert_int_equal(nde_solver_state(s, block, &bytes), NDE_OK);
        assert_int_equal(nde_solver_restore(s, block, bytes), NDE_OK);
        assert_int_equal(nde_solver_steps(s, 100000, NULL), NDE_E_LANES);
        assert_true(s->finished);
        assert_int_equal(nde_backward(s, &seed, &to), NDE_E_ARG);
        free(block);
    }
    nde_solver_destroy(s);
}

static void failures_pauses_and_threads(void **state) {
    (void)state;
    static const way some[] = { { NDE_ALF, 0, 0, 0 }, { NDE_REVERSIBLE_HEUN, 0, 0, 0 }, { NDE_RK4, 0, 1, 0 } };
    for (size_t k = 0; k < LENGTH(some); k++) {
        outcome discrete, reversible, other;
        solve_fragile(&some[k], NDE_ADJOINT_DISCRETE, 1, 0, &discrete);
        solve_fragile(&some[k], NDE_ADJOINT_REVERSIBLE, 1, 0, &reversible);
        assert_true(discrete.failed >= 10 && discrete.failed <= 100 && isfinite(discrete.p) && discrete.p != 0);
        assert_memory_equal(discrete.y0, reversible.y0, sizeof discrete.y0);
        assert_memory_equal(&discrete.p, &reversible.p, sizeof discrete.p);
        for (size_t b = 0; b < 150; b++) assert_true(reversible.apart[b] <= (SINGLE ? 0x1p-19 : 0x1p-45)); /* y0 was rounded */
        solve_fragile(&some[k], NDE_ADJOINT_REVERSIBLE, 3, 0, &other);
        assert_memory_equal(&other, &reversible, sizeof other);
        solve_fragile(&some[k], NDE_ADJOINT_REVERSIBLE, 1, 7, &other);
        assert_memory_equal(&other, &reversible, sizeof other);
    }
}

/* ---- the rest of what knows a record ----------------------------------------------------------- */

static void forward_mode_and_dense_values(void **state) {
    (void)state;
    for (size_t i = n_split; i < n_ways; i++) {
        proof f, g;
        for (int k = 0; k < 2; k++) {
            proof *at = k ? &g : &f;
            case_doses(at, 20, i % 2);
            take_way(at, &ways[i]);
            at->options.adjoint = k ? NDE_ADJOINT_DISCRETE : NDE_ADJOINT_REVERSIBLE;
            proof_solve(at);
            proof_check_identity(at);
        }
        for (double t = 0.05; t < 2; t += 0.3) {
            nde_real a[2], b[2];
            assert_int_equal(nde_solver_dense(f.solver, 3, t, a, NULL), NDE_OK);
            assert_int_equal(nde_solver_dense(g.solver, 3, t, b, NULL), NDE_OK);
            assert_memory_equal(a, b, sizeof a);
        }
        proof_end(&f), proof_end(&g);
    }
}

static void gradient_check(void **state) {
    (void)state;
    proof f;
    case_network(&f, 40, 7);
    f.options.method = NDE_REVERSIBLE_HEUN, f.options.adjoint = NDE_ADJOINT_REVERSIBLE;
    proof_solve(&f);
    const nde_seed seed = NDE_INIT(nde_seed, .y = f.seed_y, .y_end = f.seed_end);
    nde_gradient_report report = NDE_INIT(nde_gradient_report, .h = 0);
    assert_int_equal(nde_gradient_check(&f.problem, &f.options, &seed, 5, &report), NDE_OK);
    print_message("a network: %.1e from forward mode, %.1e from differences\n", report.forward_error, report.difference_error);
    assert_true(report.forward_error <= (SINGLE ? 1e-4 : 1e-12));
    proof_end(&f);
}

/* ---- what has no meaning --------------------------------------------------------------------- */

static void refused(const nde_problem *problem, nde_options options, const char *word, const char *other) {
    nde_solver *s;
    options.adjoint = NDE_ADJOINT_REVERSIBLE;
    assert_int_equal(nde_solver_create(problem, &options, &s), NDE_E_ARG);
    if (!strstr(nde_error(), word) || !strstr(nde_error(), other))
        fail_msg("%s does not name %s, %s", nde_error(), word, other);
    assert_int_equal(nde_solver_bytes(problem, &options), 0);
}

static void what_has_no_meaning_is_refused(void **state) {
    (void)state;
    size_t methods = 0;
    proof f;
    case_verlet(&f, 8, false);
    nde_problem whole = f.problem, split = f.problem;
    whole.split = 0;
    for (size_t k = 0; k < nde_method_count(); k++) { /* by name */
        const nde_method *m = nde_method_at(k);
        const int kind = nde_method_kind(m);
        if (kind != NDE_KIND_RUNGE_KUTTA && kind != NDE_KIND_CHEBYSHEV && kind != NDE_KIND_MULTISTEP &&
            kind != NDE_KIND_NYSTROM) continue;
        refused(kind == NDE_KIND_NYSTROM ? &split : &whole, NDE_INIT(nde_options, .method = nde_method_id(m), .steps = 8),
                nde_method_name(m), "REVERSIBLE");
        methods++;
    }
    assert_true(methods >= 15);
    refused(&split, NDE_INIT(nde_options, .steps = 8, .record = NDE_RECORD_STATES), "record", "3");
    refused(&split, NDE_INIT(nde_options, .steps = 8, .anchor_limit = 0.5), "anchor_limit", "0.5");
    refused(&split, NDE_INIT(nde_options, .steps = 8, .anchor_limit = (double)NAN), "anchor_limit", "nan");
    nde_options discrete = NDE_INIT(nde_options, .steps = 8, .adjoint = NDE_ADJOINT_DISCRETE, .record = NDE_RECORD_TIMES);
    assert_int_equal(nde_solver_bytes(&split, &discrete), 0);
    assert_non_null(strstr(nde_error(), "record"));
    proof_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_discrete_gradient),
        cmocka_unit_test(equals_its_bits_with_a_quantum),
        cmocka_unit_test(many_steps),
        cmocka_unit_test(anchors_are_needed),
        cmocka_unit_test(its_record_is_times),
        cmocka_unit_test(failures_pauses_and_threads),
        cmocka_unit_test(forward_mode_and_dense_values),
        cmocka_unit_test(gradient_check),
        cmocka_unit_test(what_has_no_meaning_is_refused),
    };
    find_ways();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
