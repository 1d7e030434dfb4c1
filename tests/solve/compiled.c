/* SPDX-License-Identifier: MIT
 * compiled.c - ensembles whose field is compiled into the step: the bits, counts and statuses of those that call it. */
#include <math.h>
#include <string.h>

#ifdef NDE_TEST_SINGLE
#include "nde/formulaf.h"
#include "nde/inlinef.h"
#define NDE_INLINE_STEP NDEF_INLINE_STEP
#define NDE_FORMULA NDEF_FORMULA
#else
#include "nde/formula.h"
#include "nde/inline.h"
#endif

#define LENGTH(a) (sizeof(a)/sizeof(a)[0])
enum { MOST = 131, DIM = 10, ROWS = 9 };

NDE_FORMULA(lorenz, 3, 2, 1, {
    dy[0] = p[0]*(y[1] - y[0]);
    dy[1] = y[0]*(q[0] - y[2]) - y[1];
    dy[2] = y[0]*y[1] - p[1]*y[2];
})
NDE_FORMULA(forced, 2, 1, 0, {
    dy[0] = p[0]*sin(t) - y[0];
    dy[1] = t*t*t*y[0] - y[1];
})
/* More components than loops are unrolled for. */
NDE_FORMULA(chain, 10, 1, 1, {
    for (int r = 0; r < 10; r++) dy[r] = q[0]*(y[(r + 1) % 10] - y[r])/p[0];
})
/* Refused, or stopped, above q[0], which differs from lane to lane. */
NDE_FORMULA(fragile, 1, 2, 1, {
    dy[0] = p[0]*y[0];
    if (NDE_PART(y[0]) > NDE_PART(q[0])) return NDE_PART(p[1]) > 1 ? NDE_FIELD_STOP : (int)NDE_PART(p[1]);
})
/* Not finite above q[0]. */
NDE_FORMULA(brittle, 1, 1, 1, {
    dy[0] = p[0]*y[0]/(NDE_PART(y[0]) <= NDE_PART(q[0]));
})

#define EACH_FIELD(X) \
    X(lorenz, 3, 1, dopri5) X(lorenz, 3, 1, vern6) X(forced, 2, 0, bosh3) X(forced, 2, 0, dopri5) X(forced, 2, 0, tsit5) \
    X(forced, 2, 0, vern6) X(forced, 2, 0, vern9) X(chain, 10, 1, dopri5) X(fragile, 1, 1, dopri5) X(brittle, 1, 1, dopri5)
#define DEFINE(field, dim, nq, method) NDE_INLINE_STEP(field##_by_##method, field, dim, nq, method)
EACH_FIELD(DEFINE)
static const struct variant {
    const char *text;
    nde_field (*field)(void);
    const nde_step *step;
} variants[] = {
#define ROW(field, dim, nq, method) { #field " by " #method, field##_field, &field##_by_##method },
    EACH_FIELD(ROW)
};

/* ---- both ways ---------------------------------------------------------------------------------------------------- */

static long calls;
static nde_field counted;
static int count(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    calls++;
    return counted.eval(self, at, y, dy);
}

static void check_bits(const struct variant *v, const char *what, const void *a, const void *b, size_t bytes) {
    if (memcmp(a, b, bytes)) fail_msg("%s: other bits in %s", v->text, what);
}

/* Solves with and without the step, and compares all that both say; less: fewer calls of eval. */
static nde_status both_ways(const struct variant *v, nde_problem problem, const nde_options *given, double *less) {
    nde_solution s[2] = { { .size = sizeof s[0] }, { .size = sizeof s[0] } };
    nde_status status[2];
    nde_options options = *given;
    long called[2];
    options.method = nde_method_id(nde_method_find(v->step->method));
    for (int k = 0; k < 2; k++) {
        counted = v->field();
        nde_field field = counted;
        field.eval = count, field.step = k ? v->step : NULL, calls = 0;
        problem.drift = &field;
        status[k] = nde_solve(&problem, &options, &s[k]);
        called[k] = calls;
    }
    assert_int_equal(status[0], status[1]);
    const size_t n = problem.n, dim = v->step->dim;
    check_bits(v, "the ends", s[0].y_end, s[1].y_end, dim*n*sizeof(nde_real));
    check_bits(v, "the statuses", s[0].status, s[1].status, n*sizeof *s[0].status);
    for (size_t i = 0; i < n; i++) {
        nde_stats a = s[0].stats[i], b = s[1].stats[i];
        if (isnan(a.error_fail) && isnan(b.error_fail)) a.error_fail = b.error_fail = 0, a.worst = b.worst = 0;
        check_bits(v, "the statistics", &a, &b, sizeof a);
    }
    if (s[0].y) check_bits(v, "the rows", s[0].y, s[1].y, s[0].n_save*dim*n*sizeof(nde_real));
    *less = (double)called[1]/(double)called[0];
    nde_solution_free(&s[0]), nde_solution_free(&s[1]);
    return status[0];
}

typedef struct scene {
    nde_real y0[DIM*MOST], q[MOST], p[2];
    double t0[MOST], t1[MOST];
} scene;

static nde_problem scene_make(scene *c, const struct variant *v, size_t n) {
    for (size_t i = 0; i < v->step->dim*n; i++) c->y0[i] = 1 + (nde_real)(i % 7)/4;
    for (size_t i = 0; i < n; i++) c->q[i] = 3 + (nde_real)(i*20)/(nde_real)n, c->t0[i] = (double)i/64;
    c->p[0] = v->step->dim == 1 ? 2 : 10, c->p[1] = (nde_real)(8.0/3);
    return NDE_INIT(nde_problem, .n = n, .t1 = 1, .y0 = c->y0, .p = c->p, .q = v->step->nq ? c->q : NULL);
}

/* ---- tests -------------------------------------------------------------------------------------------------------- */

static void same_bits(void **state) {
    (void)state;
    static const double times[ROWS] = { 0, 0.125, 0.1875, 0.5, 0.625, 0.6875, 0.75, 0.875, 1 };
    static const size_t sizes[] = { 2, 7, 8, 9, 31, 33, 64, 130 };
    const nde_options options[] = {
        NDE_INIT(nde_options, .rtol = 0), NDE_INIT(nde_options, .rtol = 1e-2, .atol = 1e-2, .h0 = 0.5),
        NDE_INIT(nde_options, .save_t = times, .n_save = ROWS), NDE_INIT(nde_options, .steps = 300),
        NDE_INIT(nde_options, .steps = 30), NDE_INIT(nde_options, .steps = 150, .save_t = times, .n_save = ROWS),
        NDE_INIT(nde_options, .stepping = NDE_STEP_JOINT),
        NDE_INIT(nde_options, .adjoint = NDE_ADJOINT_DISCRETE, .budget = (size_t)1 << 24),
        NDE_INIT(nde_options, .rtol = 1e-4, .threads = 2, .group = 16),
    };
    for (size_t i = 0; i < LENGTH(variants) - 2; i++)
        for (size_t k = 0; k < LENGTH(options); k++)
            for (size_t j = 0; j < LENGTH(sizes); j++) {
                scene c;
                double less;
                const struct variant *v = &variants[i];
                nde_problem problem = scene_make(&c, v, sizes[j]);
                if (options[k].adjoint && !v->field().vjp) continue;
                assert_int_equal(both_ways(v, problem, &options[k], &less), NDE_OK);
                if (k < 7 && !(less < 0.75))
                    fail_msg("%s: %g of the calls, options %zu, %zu lanes", v->text, less, k, sizes[j]);
                if (options[k].n_save || options[k].stepping) continue;
                problem.t0_each = c.t0, problem.t1_each = c.t1;
                for (size_t b = 0; b < sizes[j]; b++) c.t1[b] = c.t0[b] + 1;
                assert_int_equal(both_ways(v, problem, &options[k], &less), NDE_OK);
                for (size_t b = 0; b < sizes[j]; b++) c.t1[b] = c.t0[b] + (double)(b % 5)/4;
                assert_int_equal(both_ways(v, problem, &options[k], &less), NDE_OK);
            }
}

static void same_failures(void **state) {
    (void)state;
    static const nde_real codes[] = { 1, 2, -7 };
    const nde_options options[] = { NDE_INIT(nde_options, .max_steps = 2000), NDE_INIT(nde_options, .steps = 200) };
    for (size_t i = LENGTH(variants) - 2; i < LENGTH(variants); i++)
        for (size_t k = 0; k < LENGTH(options); k++)
            for (size_t j = 0; j < LENGTH(codes); j++) {
                scene c;
                double less;
                const nde_problem problem = scene_make(&c, &variants[i], 50);
                c.p[1] = codes[j];
                assert_true(both_ways(&variants[i], problem, &options[k], &less) != NDE_OK);
            }
}

static int unmeasured(const nde_step_site *at) {
    const int rc = lorenz_by_dopri5.run(at);
    for (size_t b = 0; !at->steps && b < at->n; b++) at->error[b] = (double)NAN;
    return rc;
}

/* One that does not say that it measures, or is older than errors in a step. */
static void what_a_step_does_not_measure_the_library_does(void **state) {
    (void)state;
    scene c;
    double less;
    nde_step older[] = { lorenz_by_dopri5, lorenz_by_dopri5 };
    const nde_options standard = NDE_INIT(nde_options, .rtol = 0);
    older[0].measures = 0, older[1].size = offsetof(nde_step, measures);
    for (size_t i = 0; i < LENGTH(older); i++) {
        const struct variant v = { "unmeasured", lorenz_field, &older[i] };
        older[i].run = unmeasured;
        assert_int_equal(both_ways(&v, scene_make(&c, &v, 20), &standard, &less), NDE_OK);
        assert_true(less < 0.75);
    }
}

static void only_where_it_is_meant(void **state) {
    (void)state;
    scene c;
    double less;
    const nde_problem problem = scene_make(&c, &variants[0], 20);
    const nde_options compensated = NDE_INIT(nde_options, .compensated = 1),
        doubled = NDE_INIT(nde_options, .error = NDE_ERROR_DOUBLING);
    assert_int_equal(both_ways(&variants[0], problem, &compensated, &less), NDE_OK);
    assert_true(less == 1);
    assert_int_equal(both_ways(&variants[0], problem, &doubled, &less), NDE_OK);
    assert_true(less == 1);
    nde_field field = lorenz_field();
    nde_problem p = problem;
    nde_step wrong[] = { lorenz_by_dopri5, lorenz_by_dopri5, lorenz_by_dopri5, lorenz_by_dopri5, lorenz_by_dopri5 };
    nde_solution s = { .size = sizeof s };
    p.drift = &field;
    wrong[0].dim = 2, wrong[1].nq = 0, wrong[2].run = NULL, wrong[3].method = NULL, wrong[4].size = 8;
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        field.step = &wrong[i];
        assert_int_equal(nde_solve(&p, NULL, &s), NDE_E_ARG);
        assert_non_null(strstr(nde_error(), "step"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits), cmocka_unit_test(same_failures),
        cmocka_unit_test(what_a_step_does_not_measure_the_library_does), cmocka_unit_test(only_where_it_is_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
