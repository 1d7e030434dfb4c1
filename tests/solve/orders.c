/* SPDX-License-Identifier: MIT
 * orders.c - the order of every method of the registry, measured: at least what it claims less
 * 0.2, at most 0.3 more (float: 0.4 either way), on a non-linear, non-autonomous, separable
 * problem; the order of its continuous extension; the strong order of Euler-Maruyama. Above order
 * 6 too few points lie between 1e-3 and rounding: slopes are reported, and the trees of
 * tests/method/tables.c decide. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/method.h"
#include "noise/noise.h"

enum { FIXED = 6 };

/* q = sin t + t/2, v = q': q' = v, v' = sin(q(t)) - sin(q) - sin t. Couples t, q and v; a wrong
 * node, weight or row changes the order. */
static double exact_q(double t) { return sin(t) + 0.5*t; }
static double exact_v(double t) { return cos(t) + 0.5; }

static int pendulum(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)p, (void)ctx;
    dy[0] = y[1];
    dy[1] = (nde_real)(sin(exact_q(t)) - sin((double)y[0]) - sin(t));
    return 0;
}

/* For methods without a partition: y0 = sin t + 2, y1 = cos w t + 3/2, each right-hand side
 * their derivative plus a function of y less the same of the solution: every elementary
 * differential is there. */
static const double slow = 2, fast = 5;
static double exact_0(double t) { return sin(t) + 2; }
static double exact_slow(double t) { return cos(slow*t) + 1.5; }
static double exact_fast(double t) { return cos(fast*t) + 1.5; }
static double pull_0(double x, double y) { return -0.3*x*x*y + 0.5*sin(y); }
static double pull_1(double x, double y) { return 0.6*x*y - 0.4*y*y*y; }

static int swing(double t, double w, const nde_real *y, nde_real *dy) {
    const double a = exact_0(t), b = cos(w*t) + 1.5, x = (double)y[0], z = (double)y[1];
    dy[0] = (nde_real)(cos(t) + (1 + 0.3*sin(t))*(pull_0(x, z) - pull_0(a, b)));
    dy[1] = (nde_real)(-w*sin(w*t) + pull_1(x, z) - pull_1(a, b));
    return 0;
}
static int swing_slow(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    return (void)p, (void)ctx, swing(t, slow, y, dy);
}
static int swing_fast(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    return (void)p, (void)ctx, swing(t, fast, y, dy);
}

static const struct {
    int (*f)(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx);
    double (*exact[2])(double t);
} problems[] = { { pendulum, { exact_q, exact_v } },
                 { swing_slow, { exact_0, exact_slow } },
                 { swing_fast, { exact_0, exact_fast } } };
enum { PROBLEMS = sizeof problems/sizeof *problems };

typedef struct run {
    /* largest error at the nodes; of the extension inside one step from the solution */
    double end, inside;
} run;

static run errors(const nde_method *method, int32_t error, size_t which, int64_t steps) {
    const bool partitioned = nde_method_is_split(method);
    double (*const *exact)(double t) = problems[which].exact;
    const nde_pointwise one = { .f = problems[which].f };
    const nde_field field = nde_field_pointwise(&one, 2, 0);
    const double t0 = 0.2, t1 = 4.2, h = (t1 - t0)/(double)steps;
    const nde_real y0[2] = { (nde_real)exact[0](t0), (nde_real)exact[1](t0) };
    const double save[2] = { t0 + 0.3*h, t0 + 0.7*h };
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t0 = t0, .t1 = t1,
                                         .split = partitioned ? 1 : 0);
    nde_problem one_step = problem;
    one_step.t1 = t0 + h;
    const int32_t jacobian = test_iterates(method) ? NDE_JACOBIAN_DIFFERENCES : NDE_JACOBIAN_AUTO;
    const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(method), .error = error, .steps = 1,
                                         .save_t = save, .n_save = 2, .jacobian = jacobian);
    nde_solution s = { 0 };
    run e = { 0, 0 };
    if (nde_solve(&one_step, &options, &s)) { /* a step far too long */
        nde_solution_free(&s);
        return (run){ HUGE_VAL, HUGE_VAL };
    }
    for (int i = 0; i < 2; i++) {
        e.inside = fmax(e.inside, fabs((double)s.y[2*i] - exact[0](save[i])));
        e.inside = fmax(e.inside, fabs((double)s.y[2*i + 1] - exact[1](save[i])));
    }
    nde_solution_free(&s);
    if (nde_solve(&problem,
                  &NDE_INIT(nde_options, .method = nde_method_id(method), .error = error, .steps = steps, .save_every = 1,
                            .jacobian = jacobian),
                  &s))
        e.end = HUGE_VAL;
    for (size_t i = 0; i < s.saved[0]; i++) {
        e.end = fmax(e.end, fabs((double)s.y[2*i] - exact[0](s.t[i])));
        e.end = fmax(e.end, fabs((double)s.y[2*i + 1] - exact[1](s.t[i])));
    }
    nde_solution_free(&s);
    return e;
}

/* A rounding of the new state: large weights of either sign cancel. */
static double rounding(const nde_method *m) {
    double sum = 0;
    for (int i = 0; i < m->stages; i++) sum += fabs(m->b[i]);
    return NDE_TEST_EPS*fmax(1, sum);
}

static bool is_lost(double error, int64_t steps, double eps) { /* rounding adds up over the steps */
    return error < 100*eps || error < sqrt((double)steps)*4*eps;
}

/* Slope of log error against log h, over the smaller half of the errors from 1e-3 down to 100
 * roundings: pairs of order 5 are made so that their leading error is small, and shows last. */
static double slope(const double *error, const int64_t *steps, int count, double eps, int *used) {
    double x = 0, y = 0, xx = 0, xy = 0;
    int first = 0, end = 0;
    while (first < count && error[first] > 1e-3) first++;
    for (end = first; end < count; end++)
        if (is_lost(error[end], steps[end], eps)) break;
    if (end - first >= 6) first += (end - first)/2;
    *used = 0;
    for (int i = first; i < end; i++) {
        const double a = -log((double)steps[i]), b = log(error[i]);
        x += a, y += b, xx += a*a, xy += a*b, ++*used;
    }
    return (*used*xy - x*y)/(*used*xx - x*x);
}

static void orders_are_as_claimed(int32_t error) {
    const bool doubled = error == NDE_ERROR_DOUBLING; /* one order more, extended by degree five */
    const double window = NDE_TEST_EPS > 1e-10 ? 0.4 : 0.2, above = NDE_TEST_EPS > 1e-10 ? 0.4 : 0.3;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *method = nde_method_at(k);
        if (nde_method_kind(method) == NDE_KIND_STOCHASTIC) continue; /* below */
        if (nde_method_kind(method) == NDE_KIND_SPLITTING) continue; /* tests/method/splitting.c */
        if (nde_method_kind(method) == NDE_KIND_ROSENBROCK) continue; /* tests/method/implicit.c */
        if (nde_method_kind(method) == NDE_KIND_IMEX) continue;       /* tests/method/imex.c */
        if (nde_method_kind(method) == NDE_KIND_SWITCHING) continue;  /* tests/method/switching.c */
        if (doubled && nde_method_kind(method) != NDE_KIND_RUNGE_KUTTA) continue;
        const double eps = rounding(method);
        /* of one step */
        const int claimed = nde_method_order(method) + doubled,
                  dense = (!doubled ? nde_method_dense_order(method) : claimed < 5 ? claimed : 5) + 1;
        const size_t count = nde_method_is_split(method) ? 1 : PROBLEMS;
        /* A small leading error may hide behind the next order, but not on every problem; in
         * float that of order 5 is below rounding before it shows: the same table in double
         * decides. The pairs of order 6 and more hide theirs everywhere: the trees decide. So they do for
         * doubled steps of which one is as much work as three. In float few steps after the start of a multistep method lie
         * between too long ones and rounding: double decides. So it does for methods that iterate,
         * whose stages are left with a rounding. */
        const int kind = nde_method_kind(method);
        const bool few = sizeof(nde_real) == sizeof(float) && (kind == NDE_KIND_MULTISTEP || test_iterates(method));
        const bool reported = few || claimed > (!doubled ? 6 : sizeof(nde_real) == sizeof(float) ? 3 : 5);
        bool separated = claimed >= 6 || (sizeof(nde_real) == sizeof(float) && claimed >= 5);
        for (size_t which = 0; which < count; which++) {
            enum { POINTS = 76 };
            int64_t steps[POINTS];
            double end[POINTS], inside[POINTS];
            int points = 0;
            for (bool lost = false; points < POINTS && !lost; points++) {
                const int i = points;
                steps[i] = (int64_t)(4*pow(1.12, i) + 0.5);
                const run e = errors(method, error, which, steps[i]);
                end[i] = e.end, inside[i] = e.inside;
                lost = is_lost(e.end, steps[i], eps) && is_lost(e.inside, steps[i], eps);
            }
            int used;
            const double order = slope(end, steps, points, eps, &used);
            print_message("%-16s problem %zu, order %d: %.3f over %d points\n", nde_method_name(method),
                          which, claimed, order, used);
            const bool enough = used >= 3; /* else too hard, or too easy: another problem decides */
            if (enough && !reported && !(order >= claimed - window))
                fail_msg("%s: order %g over %d points, claimed is %d", nde_method_name(method), order,
                         used, claimed);
            separated = separated || (enough && order <= claimed + above);
            const double extension = slope(inside, steps, points, eps, &used);
            print_message("%-16s   extension, order %d: %.3f over %d points\n", "", dense, extension, used);
            const int least = NDE_TEST_EPS > 1e-10 ? 5 : 3; /* four in float begin above where the slope is reached */
            if (used >= least && !reported && !(extension >= dense - window))
                fail_msg("%s: extension %g over %d points, claimed is %d", nde_method_name(method),
                         extension, used, dense);
        }
        if (!separated)
            fail_msg("%s: no problem shows order %d and not more", nde_method_name(method), claimed);
    }
}

static void every_method_has_its_order(void **state) { (void)state, orders_are_as_claimed(NDE_ERROR_EMBEDDED); }
static void every_doubled_method_has_one_more(void **state) { (void)state, orders_are_as_claimed(NDE_ERROR_DOUBLING); }

/* ---- Euler-Maruyama -------------------------------------------------------------------------- */

static int growth(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    dy[0] = p[0]*y[0];
    return 0;
}
static int spread(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    dy[0] = p[1]*y[0];
    return 0;
}

/* Mean of |y - y0 exp((a - b^2/2) T + b W(T))| at T = 1, over the same 1000 paths for every
 * number of steps. */
static double strong_error(int64_t steps) {
    enum { PATHS = 1000, CELLS = 1024 };
    static nde_real y0[PATHS];
    static double w[PATHS], cell[PATHS];
    static size_t who[PATHS];
    static int64_t first[PATHS];
    const nde_real p[2] = { (nde_real)0.5, (nde_real)0.8 };
    for (size_t b = 0; b < PATHS; b++) y0[b] = 1, who[b] = b, cell[b] = 1.0/CELLS, first[b] = 0;
    const nde_pointwise drift = { .f = growth }, diffusion = { .f = spread };
    const nde_field f = nde_field_pointwise(&drift, 1, 2), g = nde_field_pointwise(&diffusion, 1, 2);
    const nde_noise noise = NDE_INIT(nde_noise, .seed = 1, .dim = 1, .grid = CELLS);
    const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &noise, .kind = NDE_NOISE_DIAGONAL);
    const nde_problem problem = NDE_INIT(nde_problem, .n = PATHS, .drift = &f, .terms = &term,
                                         .n_terms = 1, .y0 = y0, .p = p, .t1 = 1, .calculus = NDE_ITO);
    nde_solution s = { 0 };
    if (nde_solve(&problem, &(nde_options){ .steps = steps }, &s)) fail_msg("%s", nde_error());
    nde_noise_increment(&noise, CELLS, 1, PATHS, PATHS, who, cell, first, CELLS, w);
    double error = 0;
    for (size_t b = 0; b < PATHS; b++)
        error += fabs((double)s.y[b] - exp((0.5 - 0.32) + 0.8*w[b]))/PATHS;
    nde_solution_free(&s);
    return error;
}

static void euler_maruyama_has_strong_order_one_half(void **state) {
    (void)state;
    double x = 0, y = 0, xx = 0, xy = 0;
    for (int i = 0; i < FIXED; i++) {
        const int64_t steps = (int64_t)16 << i;
        const double a = -log((double)steps), b = log(strong_error(steps));
        x += a, y += b, xx += a*a, xy += a*b;
    }
    const double order = (FIXED*xy - x*y)/(FIXED*xx - x*x);
    print_message("euler_maruyama   strong order 1/2: %.3f\n", order);
    assert_true(order >= 0.3 && order <= 0.8);
}

/* Where values are saved must not change where steps end. */
static void saves_do_not_change_the_steps(void **state) {
    (void)state;
    const nde_pointwise one = { .f = pendulum };
    const nde_field field = nde_field_pointwise(&one, 2, 0);
    const nde_real y0[2] = { (nde_real)exact_q(0), (nde_real)exact_v(0) };
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = 9);
    double save[300];
    for (int i = 0; i < 300; i++) save[i] = 9*(i + 1)/300.0;
    nde_solution a = { 0 }, b = { 0 }, c = { 0 };
    assert_int_equal(nde_solve(&problem, NULL, &a), NDE_OK);
    assert_int_equal(nde_solve(&problem, &(nde_options){ .save_t = save, .n_save = 300 }, &b), NDE_OK);
    assert_int_equal(nde_solve(&problem, &(nde_options){ .save_every = 1 }, &c), NDE_OK);
    assert_int_equal(a.stats->evals, b.stats->evals);
    assert_int_equal(a.stats->accepted, c.stats->accepted);
    assert_memory_equal(a.y_end, b.y_end, sizeof y0);
    assert_memory_equal(a.y_end, c.y_end, sizeof y0);
    assert_memory_equal(a.y_end, b.y + 2*299, sizeof y0);
    assert_int_equal(c.saved[0], c.stats->accepted + 1);
    nde_solution_free(&a), nde_solution_free(&b), nde_solution_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_has_its_order),
        cmocka_unit_test(every_doubled_method_has_one_more),
        cmocka_unit_test(euler_maruyama_has_strong_order_one_half),
        cmocka_unit_test(saves_do_not_change_the_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
