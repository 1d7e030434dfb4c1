/* SPDX-License-Identifier: MIT
 * Symplectic compositions of the registry: the symmetric ones go back to where they came from, none loses energy (10^5 orbits
 * with NDE_TEST_LONG), and a field that evaluates what is asked for gives the same bits as one that evaluates everything. */
#include "method/method.h"
#include "nde.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int kepler(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    const nde_real r2 = y[0]*y[0] + y[1]*y[1], r3 = r2*(nde_real)sqrt((double)r2);
    dy[0] = y[2], dy[1] = y[3];
    dy[2] = -y[0]/r3, dy[3] = -y[1]/r3;
    return 0;
}

/* At the pericentre of an orbit of eccentricity 0.2, with period 2 pi. */
static const nde_real start[4] = { (nde_real)0.8, 0, 0, (nde_real)1.224744871391589 };
static const double period = 6.283185307179586;

static double energy(const nde_real *y) {
    const double q = (double)y[0], r = (double)y[1], v = (double)y[2], w = (double)y[3];
    return 0.5*(v*v + w*w) - 1/sqrt(q*q + r*r);
}

static bool is_composition(const nde_method *m) { return nde_method_kind(m) == NDE_KIND_COMPOSITION; }

/* ---- there and back ---- */

static void go(const nde_method *m, double t0, double t1, int64_t steps, const nde_real *from, nde_real *to) {
    const nde_pointwise one = { .f = kepler };
    const nde_field field = nde_field_pointwise(&one, 4, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = from, .t0 = t0, .t1 = t1, .split = 2);
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solve(&problem, &(nde_options){ .method = nde_method_id(m), .steps = steps }, &s), NDE_OK);
    memcpy(to, s.y_end, 4*sizeof *to);
    nde_solution_free(&s);
}

static void the_symmetric_ones_go_back(void **state) {
    (void)state;
    int symmetric = 0, others = 0;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        if (!is_composition(m)) continue;
        nde_real there[4], back[4];
        double off = 0;
        bool palindrome = true;
        for (int i = 0; i < m->stages; i++) palindrome = palindrome && m->b[i] == m->b[m->stages - 1 - i];
        palindrome = palindrome && m->stages % 2;
        go(m, 0, period, 90, start, there), go(m, period, 0, 90, there, back);
        for (int i = 0; i < 4; i++) off = fmax(off, fabs((double)(back[i] - start[i])));
        const bool tells = NDE_TEST_EPS < 1e-10; /* in float rounding hides the others' error */
        if (palindrome ? off > 2000*NDE_TEST_EPS : tells && off < 2000*NDE_TEST_EPS)
            fail_msg("%s comes back to %g", m->name, off);
        palindrome ? symmetric++ : others++;
    }
    assert_true(symmetric >= 8 && others >= 2);
}

/* ---- bit for bit ---- */

/* 10^5 steps, with NDE_TEST_LONG 10^7: over many orbits of a start that is no multiple of the quantum. */
static void bits_come_back(const nde_method *m, int64_t steps, double quantum, bool come) {
    const nde_pointwise one = { .f = kepler };
    const nde_field field = nde_field_pointwise(&one, 4, 0);
    const nde_real y0[8] = { start[0], (nde_real)0.9, 0, (nde_real)0.1, 0, (nde_real)-0.2, start[3], (nde_real)1.1 };
    nde_problem problem = NDE_INIT(nde_problem, .n = 2, .drift = &field, .y0 = y0, .t1 = 0.05*(double)steps, .split = 2);
    const double at[] = { 0, problem.t1 };
    const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .steps = steps, .quantum = quantum,
                                         .save_t = at, .n_save = 2);
    nde_solution there = NDE_INIT(nde_solution, .n = 0), back = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solve(&problem, &options, &there), NDE_OK);
    problem.t0 = problem.t1, problem.t1 = 0, problem.y0 = there.y_end;
    nde_options home = options;
    home.save_t = NULL, home.n_save = 0;
    assert_int_equal(nde_solve(&problem, &home, &back), NDE_OK);
    for (int i = 0; i < 8 && quantum > 0; i++) {
        assert_true(fmod((double)there.y[i], quantum) == 0);
        assert_true(fabs((double)(there.y[i] - y0[i])) <= quantum/2);
    }
    if (!memcmp(back.y_end, there.y, sizeof y0) != come) fail_msg("%s comes back: %d", m->name, !come);
    nde_solution_free(&there), nde_solution_free(&back);
}

static void symmetric_ones_are_bit_reversible(void **state) {
    (void)state;
    const double quantum = NDE_TEST_EPS > 1e-10 ? 0x1p-20 : 0x1p-50;
    const bool many = getenv("NDE_TEST_LONG") != NULL;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        if (is_composition(m) && m->first_same_as_last) bits_come_back(m, many ? 1000000 : 20000, quantum, true);
    }
    bits_come_back(nde_method_get(NDE_LEAPFROG), many ? 10000000 : 100000, quantum, true);
    bits_come_back(nde_method_get(NDE_VELOCITY_VERLET), many ? 10000000 : 100000, quantum, true);
    bits_come_back(nde_method_get(NDE_LEAPFROG), 20000, 0, false);
}

static void what_is_too_large_for_the_quantum_is_refused(void **state) {
    (void)state;
    const nde_pointwise one = { .f = kepler };
    const nde_field field = nde_field_pointwise(&one, 4, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = start, .t1 = 1, .split = 2);
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    nde_options options = NDE_INIT(nde_options, .method = NDE_YOSHIDA4, .steps = 9, .quantum = 0x1p-80);
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_E_NONFINITE);
    nde_solution_free(&s);
    options.quantum = 0x3p-50;
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_E_ARG);
    options.quantum = 0x1p-50, options.method = NDE_RUTH3;
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "ruth3"));
}

/* ---- energy ---- */

typedef struct course {
    double drift, amplitude; /* of the mean energy between the first and the last quarter; of the energy */
} course;

static course follow(const nde_method *m, int64_t orbits) {
    enum { STEPS = 120, ROWS = 4000 };
    const nde_pointwise one = { .f = kepler };
    const nde_field field = nde_field_pointwise(&one, 4, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = start, .t1 = period*(double)orbits,
                                         .split = nde_method_is_split(m) ? 2 : 0);
    const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .steps = STEPS*orbits,
                                         .save_every = STEPS*orbits/ROWS + 1);
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
    const size_t rows = s.saved[0] - 1, quarter = rows/4;
    double first = 0, last = 0, least = HUGE_VAL, most = -HUGE_VAL;
    for (size_t i = 0; i < rows; i++) {
        const double e = energy(s.y + 4*i);
        if (i < quarter) first += e/(double)quarter;
        if (i >= rows - quarter) last += e/(double)quarter;
        least = fmin(least, e), most = fmax(most, e);
    }
    nde_solution_free(&s);
    return (course){ fabs(last - first), most - least };
}

#ifndef NDE_TEST_SINGLE
static void energy_is_kept(void **state) {
    (void)state;
    const int64_t orbits = getenv("NDE_TEST_LONG") ? 100000 : 400;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        if (!is_composition(m) && nde_method_kind(m) != NDE_KIND_PARTITIONED) continue; /* velocity Verlet */
        const course e = follow(m, orbits);
        const double walk = 8*NDE_TEST_EPS*sqrt(120.0*(double)orbits*m->stages);
        print_message("%-20s %lld orbits: energy within %.2e, drift %.2e (roundings %.2e)\n", m->name, (long long)orbits,
                      e.amplitude, e.drift, walk);
        if (!(e.drift <= 0.05*e.amplitude + walk)) fail_msg("%s: energy drifts by %g of %g", m->name, e.drift, e.amplitude);
    }
    const course other = follow(nde_method_get(NDE_RK4), 400); /* what is not symplectic is seen */
    assert_true(other.drift > 0.3*other.amplitude);
}
#else
static void energy_is_kept(void **state) {
    (void)state;
    const course e = follow(nde_method_get(NDE_LEAPFROG), 100);
    assert_true(e.drift <= 0.05*e.amplitude + 8*NDE_TEST_EPS*sqrt(120.0*100*3));
}
#endif

/* ---- halves ---- */

/* What is not asked for is made unusable. Calls are counted: for positions, for velocities, for both. */
static long asked_for[4];
static int halves(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    nde_real all[4];
    const unsigned asked = at->flags & (NDE_POSITIONS | NDE_VELOCITIES);
    asked_for[asked/NDE_POSITIONS]++;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real here[4] = { y[b], y[at->ld + b], y[2*at->ld + b], y[3*at->ld + b] };
        kepler(0, here, NULL, all, NULL);
        for (size_t i = 0; i < 4; i++) {
            const bool wanted = !asked || !f->ctx || asked == (i < 2 ? NDE_POSITIONS : NDE_VELOCITIES);
            dy[i*at->ld + b] = wanted ? all[i] : (nde_real)NAN;
        }
    }
    return 0;
}

static void halves_are_all_that_is_read(void **state) {
    (void)state;
    enum { N = 150 };
    static nde_real y0[4*N];
    for (size_t i = 0; i < 4; i++)
        for (size_t b = 0; b < N; b++) y0[i*N + b] = start[i]*(1 + (nde_real)0.001*(nde_real)b);
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        if (!is_composition(m)) continue;
        const double save[] = { 0.11, 0.5, 1 };
        nde_solution s[2] = { NDE_INIT(nde_solution, .n = 0), NDE_INIT(nde_solution, .n = 0) };
        for (int i = 0; i < 2; i++) {
            const nde_field field = NDE_INIT(nde_field, .dim = 4, .out = 4, .eval = halves, .ctx = i ? "asked for" : NULL);
            const nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = &field, .y0 = y0, .t1 = 1, .split = 2);
            const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .steps = 8, .save_t = save,
                                                 .n_save = 3);
            memset(asked_for, 0, sizeof asked_for);
            assert_int_equal(nde_solve(&problem, &options, &s[i]), NDE_OK);
            assert_true(asked_for[1] + asked_for[2] >= 8*(m->stages - 1) && asked_for[1] > 0 && asked_for[2] > 0);
        }
        assert_memory_equal(s[0].y, s[1].y, 3*4*N*sizeof(nde_real));
        nde_solution_free(&s[0]), nde_solution_free(&s[1]);
    }
}

/* Between steps: slopes are the derivatives of values. */
static void slopes_inside_are_derivatives(void **state) {
    (void)state;
    const nde_pointwise one = { .f = kepler };
    const nde_field field = nde_field_pointwise(&one, 4, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = start, .t1 = 1, .split = 2);
    const double step = NDE_TEST_EPS > 1e-10 ? 0x1p-8 : 0x1p-17;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        if (!is_composition(m)) continue;
        nde_solver *solver;
        const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .steps = 4,
                                             .adjoint = NDE_ADJOINT_DISCRETE, .budget = 1 << 20);
        assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
        assert_int_equal(nde_solver_run(solver, NULL), NDE_OK);
        for (double t = 0.0625; t < 1; t += 0.125) {
            nde_real before[4], after[4], slope[4];
            assert_int_equal(nde_solver_dense(solver, 0, t - step, before, NULL), NDE_OK);
            assert_int_equal(nde_solver_dense(solver, 0, t + step, after, slope), NDE_OK);
            assert_int_equal(nde_solver_dense(solver, 0, t, NULL, slope), NDE_OK);
            for (int i = 0; i < 4; i++) {
                const double difference = ((double)after[i] - (double)before[i])/(2*step);
                if (!(fabs(difference - (double)slope[i]) <= 100*step*step + 8*NDE_TEST_EPS/step))
                    fail_msg("%s at %g: slope %g of component %d, differences say %g", m->name, t, (double)slope[i], i,
                             difference);
            }
        }
        nde_solver_destroy(solver);
    }
}

static void quadrature_is_refused(void **state) {
    (void)state;
    const nde_pointwise one = { .f = kepler };
    const nde_field field = nde_field_pointwise(&one, 4, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = start, .t1 = 1, .split = 2, .quadrature = &field);
    nde_solver *solver;
    assert_int_equal(nde_solver_create(&problem, &(nde_options){ .method = NDE_LEAPFROG, .steps = 3 }, &solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "leapfrog"));
    assert_non_null(strstr(nde_error(), "problem.quadrature"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_symmetric_ones_go_back),
        cmocka_unit_test(symmetric_ones_are_bit_reversible),
        cmocka_unit_test(what_is_too_large_for_the_quantum_is_refused),
        cmocka_unit_test(energy_is_kept),
        cmocka_unit_test(halves_are_all_that_is_read),
        cmocka_unit_test(slopes_inside_are_derivatives),
        cmocka_unit_test(quadrature_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
