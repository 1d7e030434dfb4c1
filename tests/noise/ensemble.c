/* SPDX-License-Identifier: MIT
 * ensemble.c - many paths: the same bits, and those of gradients, for any number of threads; means and variances of
 * geometric Brownian motion and of the Ornstein-Uhlenbeck process by every method and kind of noise that it takes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/method.h"
#include "nde/adjoint.h"
#include "nde/program.h"

#define LENGTH(a) (sizeof(a)/sizeof *(a))
static const bool is_double = sizeof(nde_real) == sizeof(double);

static nde_program *parsed(const char *text) {
    nde_program *g;
    if (nde_program_parse(text, NULL, &g) != NDE_OK) fail_msg("%s: %s", text, nde_error());
    return g;
}

/* ---- threads ------------------------------------------------------------------------------------------------------ */

static uint64_t more(uint64_t h, const void *data, size_t bytes) {
    for (const unsigned char *at = data; bytes; bytes--, at++) h = (h ^ *at)*0x100000001b3u;
    return h;
}

static void threads_leave_the_bits(void **state) {
    (void)state;
    enum { N = 10000 };
    static const int threads[] = { 1, 2, 3, 4, 7, 8, 16, 64 };
    static nde_real y0[2*N], seed[2*N], g_y0[2*N], g_p[2];
    nde_program *drift = parsed("state y[2]; param p[2]; dy = [p[0]*y[1], -y[0]]");
    nde_program *noise = parsed("state y[2]; input u[2]; param p[2]; dy = [p[1]*y[0]*u[0] + u[1]/4, p[1]*u[0]]");
    const nde_field f = nde_field_program(drift), g = nde_field_program(noise);
    const nde_real p[] = { 1, (nde_real)0.5 };
    for (size_t i = 0; i < 2*N; i++) y0[i] = (nde_real)(1 + 1e-4*(double)(i % 17)), seed[i] = (nde_real)(1e-3*(double)(i % 29));
    for (int source = NDE_SOURCE_GRID; source <= NDE_SOURCE_TREE; source++) {
        uint64_t first = 0;
        for (size_t k = 0; k < LENGTH(threads); k++) {
            const nde_noise path = NDE_INIT(nde_noise, .seed = 6, .source = source, .antithetic = 1);
            const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &path, .kind = NDE_NOISE_GENERAL);
            const nde_problem problem = NDE_INIT(nde_problem, .n = N, .y0 = y0, .p = p, .t1 = 1, .drift = &f,
                                                 .terms = &term, .n_terms = 1, .calculus = NDE_STRATONOVICH);
            const nde_options options = NDE_INIT(nde_options, .method = NDE_HEUN, .steps = 4, .adjoint = NDE_ADJOINT_DISCRETE,
                                                 .threads = threads[k]);
            double error[2];
            nde_solver *s;
            nde_solution y = { 0 };
            assert_int_equal(nde_solver_create(&problem, &options, &s), NDE_OK);
            assert_int_equal(nde_solver_run(s, &y), NDE_OK);
            assert_int_equal(nde_backward(s, &NDE_INIT(nde_seed, .y_end = seed),
                                          &NDE_INIT(nde_gradient, .y0 = g_y0, .p = g_p, .p_error = error)),
                             NDE_OK);
            uint64_t h = more(more(more(88172645463325252u, y.y_end, sizeof y0), g_y0, sizeof g_y0), g_p, sizeof g_p);
            h = more(h, error, sizeof error);
            if (!k) first = h;
            if (h != first) fail_msg("source %d, %d threads: other bits", source, threads[k]);
            nde_solver_destroy(s);
        }
    }
    nde_program_destroy(drift), nde_program_destroy(noise);
}

/* ---- moments ------------------------------------------------------------------------------------------------------ */

/* Geometric Brownian motion dy = r y dt + s y dW in both calculi, or dy = a (m - y) dt + s dW. */
static const double r = 0.25, s = 0.3, a = 1, m = 0.5;
static const char *text_of(int kind) {
    return kind == NDE_NOISE_DIAGONAL   ? "state y; dy = 0.3*y"
           : kind == NDE_NOISE_ADDITIVE ? "state y; input u; dy = 0.3*u + 0*y"
                                        : "state y; input u; dy = 0.3*y*u";
}

static void moments(const nde_method *method, int kind, size_t paths, nde_real *y0) {
    enum { BATCHES = 10 };
    const bool additive = kind == NDE_NOISE_ADDITIVE, ito = method->calculus & NDE_ITO;
    nde_program *drift = parsed(additive ? "state y; dy = 0.5 - y" : "state y; dy = 0.25*y"), *noise = parsed(text_of(kind));
    const nde_field f = nde_field_program(drift), g = nde_field_program(noise);
    nde_noise path = NDE_INIT(nde_noise, .seed = 0);
    const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &path, .kind = kind);
    const nde_reduction sums = NDE_INIT(nde_reduction, .n_levels = 0);
    const nde_problem problem = NDE_INIT(nde_problem, .n = paths/BATCHES, .y0 = y0, .t1 = 1, .drift = &f, .terms = &term,
                                         .n_terms = 1, .calculus = ito ? NDE_ITO : NDE_STRATONOVICH, .reduction = &sums);
    const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(method), .steps = 64, .discard = 1);
    nde_solver *solver;
    nde_solution y = { 0 };
    double mean = 0, square = 0;
    if (nde_solver_create(&problem, &options, &solver)) fail_msg("%s: %s", method->name, nde_error());
    for (uint64_t k = 0; k < BATCHES; k++) {
        path.seed = k + 1;
        assert_int_equal(nde_solver_run(solver, &y), NDE_OK);
        mean += y.mean[0]/BATCHES, square += (y.variance[0] + y.mean[0]*y.mean[0])/BATCHES;
    }
    const double rate = ito ? r : r + 0.5*s*s, level = additive ? m + (1 - m)*exp(-a) : exp(rate);
    const double variance = additive ? s*s*(1 - exp(-2*a))/(2*a) : level*level*expm1(s*s), n = (double)paths;
    const double e = exp(s*s), kurtosis = additive ? 3 : e*e*e*e + 2*e*e*e + 3*e*e - 3;
    const double seen = square - mean*mean, error = sqrt(variance*variance*(kurtosis - 1)/n);
    /* the bias of 64 steps: of weak order 1 at least */
    const double bias = (method->order > 1 ? 0.1 : 1)/64.0*0.2*level;
    if (!(fabs(mean - level) <= 4*sqrt(variance/n) + bias*(additive ? a*a : r*r)))
        fail_msg("%s, kind %d: mean %g, not %g (%g)", method->name, kind, mean, level, sqrt(variance/n));
    if (!(fabs(seen - variance) <= 4*error + 2*variance/64))
        fail_msg("%s, kind %d: variance %g, not %g (%g)", method->name, kind, seen, variance, error);
    nde_solver_destroy(solver);
    nde_program_destroy(drift), nde_program_destroy(noise);
}

static void moments_are_right(void **state) {
    (void)state;
    const size_t paths = getenv("NDE_TEST_LONG") ? 1000000 : 4000;
    nde_real *y0 = malloc(paths*sizeof *y0);
    assert_non_null(y0);
    for (size_t i = 0; i < paths; i++) y0[i] = 1;
    for (size_t k = 0; k < nde_method_count() && is_double; k++)
        for (int kind = NDE_NOISE_DIAGONAL; kind <= NDE_NOISE_GENERAL; kind++)
            if (nde_method_strong(nde_method_at(k), kind)) moments(nde_method_at(k), kind, paths, y0);
    free(y0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_leave_the_bits),
        cmocka_unit_test(moments_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
