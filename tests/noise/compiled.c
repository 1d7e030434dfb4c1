/* SPDX-License-Identifier: MIT
 * compiled.c - ensembles of paths whose drift and diffusion are compiled into the step: the bits, counts and statuses of those
 * that call them. */
#include <math.h>
#include <string.h>

#ifdef NDE_TEST_SINGLE
#include "nde/formulaf.h"
#include "nde/inlinef.h"
#define NDE_INLINE_STEP NDEF_INLINE_STEP
#define NDE_INLINE_NOISY_STEP NDEF_INLINE_NOISY_STEP
#define NDE_FORMULA NDEF_FORMULA
#else
#include "nde/formula.h"
#include "nde/inline.h"
#endif

#define LENGTH(a) (sizeof(a)/sizeof(a)[0])
enum { MOST = 70, DIM = 18, ROWS = 4 };

/* Neither is autonomous, and each component sees the other. */
NDE_FORMULA(swing, 2, 2, 1, {
    dy[0] = y[1]*(1 + t*t) - p[0]*y[0];
    dy[1] = -y[0]*y[0]*q[0] - t;
})
NDE_FORMULA(shake, 2, 2, 1, {
    dy[0] = p[1]*y[0]*(1 + y[1])/4 + t*t*t;
    dy[1] = q[0]*y[0]*y[1]/8 - p[0];
})
/* More components than loops are unrolled for. */
NDE_FORMULA(chain, 18, 1, 0, {
    for (int r = 0; r < 18; r++) dy[r] = (y[(r + 1) % 18] - y[r])/p[0];
})
NDE_FORMULA(each, 18, 1, 0, {
    for (int r = 0; r < 18; r++) dy[r] = p[0]*y[r]/8;
})
NDE_FORMULA(growth, 1, 2, 1, { dy[0] = y[0]/4; })
/* Refused, stopped or failed above q[0], which differs from lane to lane. */
NDE_FORMULA(fragile, 1, 2, 1, {
    dy[0] = y[0]/4;
    if (NDE_PART(y[0]) > NDE_PART(q[0])) return NDE_PART(p[1]) > 1 ? NDE_FIELD_STOP : (int)NDE_PART(p[1]);
})
/* Not finite above q[0]. */
NDE_FORMULA(brittle, 1, 2, 1, {
    dy[0] = y[0]/4/(NDE_PART(y[0]) <= NDE_PART(q[0]));
})

#define EACH_PAIR(X) \
    X(swing, shake, 2, 1, euler_maruyama) X(swing, shake, 2, 1, milstein_free) X(swing, shake, 2, 1, sriw1) \
    X(swing, shake, 2, 1, sosri) X(swing, shake, 2, 1, euler_heun) X(swing, shake, 2, 1, heun) X(swing, shake, 2, 1, midpoint) \
    X(swing, shake, 2, 1, ralston) X(chain, each, 18, 0, sriw1) X(growth, growth, 1, 1, sriw1)
#define EACH_FAILURE(X) \
    X(fragile, growth, 1, 1, euler_maruyama) X(growth, fragile, 1, 1, euler_maruyama) X(fragile, growth, 1, 1, sriw1) \
    X(growth, fragile, 1, 1, sriw1) X(brittle, growth, 1, 1, sriw1) X(growth, brittle, 1, 1, sriw1)
#define DEFINE(f, g, dim, nq, method) NDE_INLINE_NOISY_STEP(f##_and_##g##_by_##method, f, g, dim, nq, method)
EACH_PAIR(DEFINE)
EACH_FAILURE(DEFINE)
static const struct variant {
    const char *text;
    nde_field (*drift)(void), (*diffusion)(void);
    const nde_step *step;
} variants[] = {
#define ROW(f, g, dim, nq, method) { #f " and " #g " by " #method, f##_field, g##_field, &f##_and_##g##_by_##method },
    EACH_PAIR(ROW)
}, failures[] = {
    EACH_FAILURE(ROW)
};

/* ---- both ways ---------------------------------------------------------------------------------------------------- */

static long calls;
static nde_field counted[2];
static int count_drift(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    calls++;
    return counted[0].eval(self, at, y, dy);
}
static int count_diffusion(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    calls++;
    return counted[1].eval(self, at, y, dy);
}

static void check_bits(const struct variant *v, const char *what, const void *a, const void *b, size_t bytes) {
    if (memcmp(a, b, bytes)) fail_msg("%s: other bits in %s", v->text, what);
}

static void compare(const struct variant *v, const nde_problem *p, nde_solution *s) {
    const size_t n = p->n, dim = v->step->dim;
    check_bits(v, "the ends", s[0].y_end, s[1].y_end, dim*n*sizeof(nde_real));
    check_bits(v, "the statuses", s[0].status, s[1].status, n*sizeof *s[0].status);
    for (size_t i = 0; i < n; i++) {
        nde_stats a = s[0].stats[i], b = s[1].stats[i];
        if (isnan(a.error_fail) && isnan(b.error_fail)) a.error_fail = b.error_fail = 0, a.worst = b.worst = 0;
        check_bits(v, "the statistics", &a, &b, sizeof a);
    }
    if (s[0].y) check_bits(v, "the rows", s[0].y, s[1].y, s[0].n_save*dim*n*sizeof(nde_real));
}

/* Solves with and without the step, and compares all that both say; less: fewer calls. */
static nde_status both_ways(const struct variant *v, nde_problem problem, const nde_options *given, double *less) {
    nde_solution s[2] = { { .size = sizeof s[0] }, { .size = sizeof s[0] } };
    nde_status status[2];
    nde_options options = *given;
    nde_term term = problem.terms[0];
    long called[2];
    options.method = nde_method_id(nde_method_find(v->step->method));
    problem.terms = &term;
    for (int k = 0; k < 2; k++) {
        counted[0] = v->drift(), counted[1] = v->diffusion();
        nde_field drift = counted[0], diffusion = counted[1];
        drift.eval = count_drift, diffusion.eval = count_diffusion, calls = 0;
        drift.step = diffusion.step = k ? v->step : NULL;
        problem.drift = &drift, term.field = &diffusion;
        status[k] = nde_solve(&problem, &options, &s[k]);
        called[k] = calls;
    }
    if (status[0] == NDE_E_ARG || status[0] == NDE_E_CALCULUS) fail_msg("%s: %s", v->text, nde_error());
    assert_int_equal(status[0], status[1]);
    compare(v, &problem, s);
    *less = (double)called[1]/(double)called[0];
    nde_solution_free(&s[0]), nde_solution_free(&s[1]);
    return status[0];
}

typedef struct scene {
    nde_real y0[DIM*MOST], q[MOST], p[2];
    double t0[MOST], t1[MOST];
    nde_noise noise;
    nde_term term;
} scene;

static nde_problem scene_make(scene *c, const struct variant *v, size_t n, bool adaptive) {
    const nde_method *m = nde_method_find(v->step->method);
    for (size_t i = 0; i < v->step->dim*n; i++) c->y0[i] = (nde_real)(i % 7 + 1)/4;
    for (size_t i = 0; i < n; i++) c->q[i] = (nde_real)(i + 1)/(nde_real)n, c->t0[i] = (double)i/64;
    c->p[0] = (nde_real)0.5, c->p[1] = (nde_real)0.75;
    c->noise = NDE_INIT(nde_noise, .seed = 5, .source = adaptive ? NDE_SOURCE_TREE : NDE_SOURCE_GRID);
    c->term = NDE_INIT(nde_term, .noise = &c->noise, .kind = NDE_NOISE_DIAGONAL);
    return NDE_INIT(nde_problem, .n = n, .t1 = 1, .y0 = c->y0, .p = c->p, .q = v->step->nq ? c->q : NULL, .terms = &c->term,
                    .n_terms = 1, .calculus = nde_method_calculus(m));
}

/* ---- tests -------------------------------------------------------------------------------------------------------- */

static void same_bits(void **state) {
    (void)state;
    static const double times[ROWS] = { 0, 0.19, 0.5, 1 };
    static const size_t sizes[] = { 2, 9, 32, MOST };
    const nde_options options[] = {
        NDE_INIT(nde_options, .steps = 40), NDE_INIT(nde_options, .steps = 3),
        NDE_INIT(nde_options, .steps = 25, .save_t = times, .n_save = ROWS), NDE_INIT(nde_options, .steps = 25, .estimates = 1),
        NDE_INIT(nde_options, .rtol = 1e-2, .atol = 1e-2),
        NDE_INIT(nde_options, .rtol = 1e-2, .atol = 1e-2, .stepping = NDE_STEP_JOINT, .save_t = times, .n_save = ROWS),
        NDE_INIT(nde_options, .steps = 20, .threads = 2, .group = 16),
    };
    for (size_t i = 0; i < LENGTH(variants); i++)
        for (size_t k = 0; k < LENGTH(options); k++)
            for (size_t j = 0; j < LENGTH(sizes); j++) {
                scene c;
                double less;
                const struct variant *v = &variants[i];
                const bool adaptive = !options[k].steps, judged = adaptive || options[k].estimates;
                if (judged && !nde_method_estimate(nde_method_find(v->step->method), NDE_NOISE_DIAGONAL)) continue;
                nde_problem problem = scene_make(&c, v, sizes[j], adaptive);
                assert_int_equal(both_ways(v, problem, &options[k], &less), NDE_OK);
                if (!(less < (adaptive ? 0.5 : 0.1)))
                    fail_msg("%s: %g of the calls, options %zu, %zu lanes", v->text, less, k, sizes[j]);
                if (options[k].n_save || options[k].stepping) continue;
                problem.t0_each = c.t0, problem.t1_each = c.t1;
                for (size_t b = 0; b < sizes[j]; b++) c.t1[b] = c.t0[b] + (double)(b % 5)/4;
                assert_int_equal(both_ways(v, problem, &options[k], &less), NDE_OK);
            }
}

static void same_failures(void **state) {
    (void)state;
    static const nde_real codes[] = { 1, 2, -7 };
    for (size_t i = 0; i < LENGTH(failures); i++)
        for (size_t k = 0; k < 2; k++)
            for (size_t j = 0; j < LENGTH(codes); j++) {
                const struct variant *v = &failures[i];
                const bool adaptive = k && !strcmp(v->step->method, "sriw1");
                const nde_options options = NDE_INIT(nde_options, .steps = adaptive ? 0 : k ? 200 : 1, .max_steps = 2000);
                scene c;
                double less;
                const nde_problem problem = scene_make(&c, v, 50, adaptive);
                c.p[1] = codes[j];
                assert_true(both_ways(v, problem, &options, &less) != NDE_OK);
            }
}

/* ---- gradients: of dy = p_0 y dt + p_1 y dW --------------------------------------------------------------------------- */

/* Named like parameters of the header. */
static inline int first(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    return dy[0] = p[0]*y[0], 0;
}
static inline int n(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    return dy[0] = p[1]*y[0], 0;
}
NDE_INLINE_NOISY_STEP(gbm_by_sriw1, first, n, 1, 0, sriw1)

static int gbm_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const size_t which = (size_t)(self->ctx != NULL);
    calls++;
    for (size_t b = 0; b < at->n; b++) dy[b] = at->p[which]*y[b];
    return 0;
}
static int gbm_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const size_t which = (size_t)(self->ctx != NULL);
    for (size_t b = 0; b < at->n; b++) to->y[b] += at->p[which]*a[b];
    for (size_t b = 0; b < at->n && to->p; b++) to->p[which] += (double)(y[b]*a[b]);
    return 0;
}

static void same_gradients(void **state) {
    (void)state;
    enum { N = 20 };
    for (int record = NDE_RECORD_TAPE; record <= NDE_RECORD_CHECKPOINTS; record++) {
        scene c;
        nde_real p[2][2] = { { 0 } };
        nde_real y0[2][N] = { { 0 } }, seeds[N];
        long called[2];
        for (int k = 0; k < 2; k++) {
            nde_field f[2];
            const struct variant v = { "gbm", NULL, NULL, &gbm_by_sriw1 };
            nde_problem problem = scene_make(&c, &v, N, false);
            for (int i = 0; i < 2; i++)
                f[i] = NDE_INIT(nde_field, .ctx = i ? &c : NULL, .dim = 1, .out = 1, .np = 2, .eval = gbm_eval, .vjp = gbm_vjp,
                                .step = k ? &gbm_by_sriw1 : NULL);
            for (size_t b = 0; b < N; b++) seeds[b] = (nde_real)(b + 1);
            problem.drift = &f[0], c.term.field = &f[1];
            nde_options o = NDE_INIT(nde_options, .method = NDE_SRIW1, .steps = 30, .adjoint = NDE_ADJOINT_DISCRETE,
                                     .record = record, .budget = (size_t)1 << 22);
            nde_solver *s;
            const nde_seed seed = NDE_INIT(nde_seed, .y_end = seeds);
            const nde_gradient to = NDE_INIT(nde_gradient, .p = p[k], .y0 = y0[k]);
            assert_int_equal(nde_solver_create(&problem, &o, &s), NDE_OK);
            calls = 0;
            assert_int_equal(nde_solver_run(s, NULL), NDE_OK);
            called[k] = calls;
            assert_int_equal(nde_backward(s, &seed, &to), NDE_OK);
            nde_solver_destroy(s);
        }
        assert_memory_equal(p[0], p[1], sizeof p[0]);
        assert_memory_equal(y0[0], y0[1], sizeof y0[0]);
        assert_true(called[0] > 0 && called[1] == 0 && p[0][0] != 0 && p[0][1] != 0);
    }
}

/* ---- where it is meant ------------------------------------------------------------------------------------------------ */

/* How many calls a solve makes that has no use for the step. */
static long calls_of(nde_problem *problem, nde_options options) {
    nde_solution s = { .size = sizeof s };
    calls = 0;
    if (nde_solve(problem, &options, &s)) fail_msg("%s", nde_error());
    nde_solution_free(&s);
    return calls;
}

static void only_where_it_is_meant(void **state) {
    (void)state;
    scene c;
    const struct variant *v = &variants[0];
    nde_problem problem = scene_make(&c, v, 20, false);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_EULER_MARUYAMA, .steps = 10);
    nde_options other = options, converted = options, compensated = options;
    nde_step another = *v->step, older = *v->step;
    counted[0] = v->drift(), counted[1] = v->diffusion();
    nde_field drift = counted[0], diffusion = counted[1];
    nde_term terms[2] = { c.term, c.term };
    drift.eval = count_drift, diffusion.eval = count_diffusion;
    terms[0].field = terms[1].field = &diffusion, problem.drift = &drift, problem.terms = terms;
    drift.step = diffusion.step = v->step;
    assert_int_equal(calls_of(&problem, options), 0);
    other.method = NDE_MILSTEIN_FREE, compensated.compensated = 1;
    assert_true(calls_of(&problem, other) > 0);
    assert_true(calls_of(&problem, compensated) > 0);
    converted.convert = 1, problem.calculus = NDE_STRATONOVICH;
    assert_true(calls_of(&problem, converted) > 0);
    problem.calculus = NDE_ITO, problem.n_terms = 2;
    assert_true(calls_of(&problem, options) > 0);
    problem.n_terms = 1, diffusion.step = &another;
    assert_true(calls_of(&problem, options) > 0);
    diffusion.step = NULL;
    assert_true(calls_of(&problem, options) > 0);
    older.noise = 0, drift.step = diffusion.step = &older;
    assert_true(calls_of(&problem, options) > 0);
    older.noise = 7;
    nde_solution s = { .size = sizeof s };
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "noise is 7"));
    nde_field alone = v->drift();
    alone.step = v->step;
    nde_problem plain = problem;
    const nde_options standard = NDE_INIT(nde_options, .rtol = 0);
    plain.drift = &alone, plain.n_terms = 0, plain.calculus = 0;
    assert_int_equal(nde_solve(&plain, &standard, &s), NDE_OK);
    nde_solution_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits), cmocka_unit_test(same_failures), cmocka_unit_test(same_gradients),
        cmocka_unit_test(only_where_it_is_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
