/* SPDX-License-Identifier: MIT
 * huge.c - sizes beyond 32 bits that are solved in fact: a state of 2 x 10^8 doubles, and a batch of which times the width
 * of a layer is above 2^31. Suite long; tests that would need more memory than is free are skipped. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double gibibytes(size_t bytes) { return (double)bytes/(1 << 30); }

static bool is_free(size_t bytes) {
    const size_t have = (size_t)sysconf(_SC_AVPHYS_PAGES)*(size_t)sysconf(_SC_PAGESIZE);
    print_message("  %.1f GiB, %.1f GiB are free\n", gibibytes(bytes), gibibytes(have));
    return have > bytes + ((size_t)2 << 30);
}

/* y_i' = -rate_i y_i, rates in turn. */
static int decay(const nde_field *f, const nde_site *at, const double *y, double *dy) {
    for (size_t i = 0; i < f->dim; i++)
        for (size_t b = 0; b < at->n; b++) dy[i*at->ld + b] = -(double)(1 + i % 4)/4*y[i*at->ld + b];
    return 0;
}

static void a_very_long_state(void **state) {
    (void)state;
    enum { STEPS = 3 };
    const size_t dim = 200000000;
    const nde_field f = NDE_INIT(nde_field, .dim = dim, .out = dim, .eval = decay);
    nde_problem problem = NDE_INIT(nde_problem, .drift = &f, .t1 = 1);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_EULER, .steps = STEPS);
    const size_t bytes = nde_solver_bytes(&problem, &options) + dim*sizeof(double);
    assert_true(gibibytes(bytes) < 20);
    double *y0 = is_free(bytes) ? malloc(dim*sizeof *y0) : NULL;
    if (!y0) skip();
    for (size_t i = 0; i < dim; i++) y0[i] = 1 + (double)(i % 1000)/1000;
    problem.y0 = y0;
    nde_solution s = { 0 };
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
    size_t wrong = 0;
    double factor[4];
    for (size_t i = 0; i < 4; i++) factor[i] = pow(1 - (double)(1 + i)/4/STEPS, STEPS);
    for (size_t i = 0; i < dim; i++) {
        const double good = y0[i]*factor[i % 4];
        wrong += !(fabs(s.y_end[i] - good) <= 1e-14*good);
    }
    assert_int_equal(wrong, 0);
    nde_solution_free(&s);
    free(y0);
}

/* One layer of equal weights and biases 0, so that a lane's answer is known. */
static void a_very_wide_batch(void **state) {
    (void)state;
    const size_t n = 2200000, hidden = 1000, width[3] = { 2, hidden, 2 };
    assert_true(n*hidden > (size_t)1 << 31);
    nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 2, .width = width);
    const nde_field f = nde_field_mlp(&mlp);
    nde_problem problem = NDE_INIT(nde_problem, .n = n, .drift = &f, .t1 = 1);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_EULER, .steps = 1, .threads = 2);
    const size_t bytes = nde_solver_bytes(&problem, &options) + 2*n*sizeof(double);
    assert_true(gibibytes(bytes) < 20);
    double *y0 = is_free(bytes) ? malloc(2*n*sizeof *y0) : NULL, *p = calloc(f.np, sizeof *p);
    if (!y0 || !p) skip();
    size_t weights = 0;
    for (; weights < 2*hidden; weights++) p[weights] = 0.5; /* then hidden biases */
    for (size_t i = 0; i < 2*hidden; i++) p[3*hidden + i] = 1.0/(double)hidden;
    for (size_t i = 0; i < 2*n; i++) y0[i] = (double)(i % 1009)/1009;
    problem.y0 = y0, problem.p = p;
    nde_solution s = { 0 };
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
    size_t wrong = 0;
    for (size_t b = 0; b < n; b++)
        for (size_t i = 0; i < 2; i++) {
            const double good = y0[i*n + b] + tanh(0.5*(y0[b] + y0[n + b]));
            wrong += !(fabs(s.y_end[i*n + b] - good) <= 1e-12);
        }
    assert_int_equal(wrong, 0);
    nde_solution_free(&s);
    free(y0), free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_very_wide_batch), cmocka_unit_test(a_very_long_state) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
