/* SPDX-License-Identifier: MIT
 * solve.c - solves over every source of noise: states and gradients against closed forms of the same increments, one path
 * for any number of steps, threads and trajectories beside. */
#include "noise/noise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 2, N = 10, STEPS = 12, ALL = DIM*N };
static const double factor[DIM*DIM] = { 0.8, 99, -0.6, 0.5 };
static double stored[STEPS*ALL];

static const nde_noise kinds[] = {
    { .grid = 2*STEPS }, { .source = NDE_SOURCE_TREE }, { .source = NDE_SOURCE_TREE, .levy = NDE_LEVY_K, .tolerance = 0.01 },
    { .antithetic = 1 }, { .source = NDE_SOURCE_TREE, .antithetic = 1 }, { .grid = 2*STEPS, .correlation = factor },
    { .grid = 2*STEPS, .correlation = factor, .normals = NDE_NORMALS_SINGLE },
    { .source = NDE_SOURCE_TREE, .correlation = factor }, { .source = NDE_SOURCE_STORED, .w = stored },
};
enum { KINDS = sizeof kinds/sizeof *kinds };

/* Geometric Brownian motion, component by component: drift p0 y, diffusion p1 y. */
static int grow(const nde_real *y, nde_real p, nde_real *dy) {
    for (size_t i = 0; i < DIM; i++) dy[i] = p*y[i];
    return 0;
}
static void grow_vjp(const nde_real *y, nde_real p, const nde_real *a, nde_real *ay, double *ap) {
    for (size_t i = 0; i < DIM; i++) {
        ay[i] += p*a[i];
        if (ap) *ap += (double)a[i]*(double)y[i];
    }
}
static int drift(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    return grow(y, p[0], dy);
}
static int drift_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap,
                     double *at, void *ctx) {
    (void)t, (void)ctx, (void)at;
    return grow_vjp(y, p[0], a, ay, ap), 0;
}
static int diffusion(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    return grow(y, p[1], dy);
}
static int diffusion_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap,
                         double *at, void *ctx) {
    (void)t, (void)ctx, (void)at;
    return grow_vjp(y, p[1], a, ay, ap ? ap + 1 : NULL), 0;
}

typedef struct rig {
    nde_pointwise of_drift, of_diffusion;
    nde_field drift, diffusion;
    nde_noise noise;
    nde_term term;
    nde_problem problem;
    nde_options options;
    nde_real y0[16*ALL], p[2];
} rig;

static void make(rig *r, const nde_noise *noise, size_t n, int64_t steps) {
    memset(r, 0, sizeof *r);
    for (size_t i = 0; i < DIM*n; i++) r->y0[i] = 1;
    r->p[0] = (nde_real)0.3, r->p[1] = (nde_real)0.4;
    r->of_drift = NDE_INIT(nde_pointwise, .f = drift, .vjp = drift_vjp);
    r->of_diffusion = NDE_INIT(nde_pointwise, .f = diffusion, .vjp = diffusion_vjp);
    r->drift = nde_field_pointwise(&r->of_drift, DIM, 2), r->diffusion = nde_field_pointwise(&r->of_diffusion, DIM, 2);
    r->noise = *noise;
    r->noise.size = sizeof r->noise, r->noise.seed = 5;
    r->term = NDE_INIT(nde_term, .field = &r->diffusion, .noise = &r->noise, .kind = NDE_NOISE_DIAGONAL);
    r->problem = NDE_INIT(nde_problem, .n = n, .drift = &r->drift, .terms = &r->term, .n_terms = 1, .y0 = r->y0, .p = r->p,
                          .t1 = 1.5, .calculus = NDE_ITO);
    r->options = NDE_INIT(nde_options, .method = NDE_EULER_MARUYAMA, .steps = steps);
}

/* dw [STEPS][DIM][N]. */
static void increments(const rig *r, double *dw) {
    nde_noise noise;
    assert_int_equal(nde_noise_read(&noise, &r->noise), NDE_OK);
    assert_int_equal(nde_noise_need(&noise, NDE_LEVY_W), NDE_OK);
    void *work = malloc(nde_noise_bytes(&noise, DIM, N) + 1);
    assert_non_null(work);
    nde_noise_clear(&noise, work, N);
    const int64_t cells = noise.grid ? noise.grid/STEPS : 1;
    for (int64_t j = 0; j < STEPS; j++) {
        size_t who[N];
        double t0[N], t1[N], s[N], t[N];
        int64_t first[N];
        for (size_t b = 0; b < N; b++)
            who[b] = b, t0[b] = 0, t1[b] = 1.5, s[b] = 1.5*(double)j/STEPS, t[b] = 1.5*(double)(j + 1)/STEPS,
            first[b] = j*cells;
        const nde_noise_at at = { .n = N, .ld = N, .trajectory = who, .t0 = t0, .t1 = t1, .s = s, .t = t, .first = first,
                                  .count = cells, .grid = STEPS*cells, .N = N, .work = work, .room = N };
        nde_noise_over(&noise, &at, DIM, dw + j*ALL, NULL, NULL);
    }
    free(work);
}

static void states_and_gradients(void **state) {
    (void)state;
    static rig r;
    static double dw[STEPS*ALL];
    for (size_t i = 0; i < STEPS*ALL; i++) stored[i] = 0.3*nde_normal(1, 200, i, 0, 0);
    for (size_t kind = 0; kind < KINDS; kind++) {
        make(&r, &kinds[kind], N, STEPS);
        r.options.adjoint = NDE_ADJOINT_DISCRETE;
        increments(&r, dw);
        nde_solver *solver = NULL;
        nde_solution solution = { 0 };
        if (nde_solver_create(&r.problem, &r.options, &solver)) fail_msg("%zu: %s", kind, nde_error());
        assert_int_equal(nde_solver_run(solver, &solution), NDE_OK);
        const double h = 1.5/STEPS; /* dW/dt1 = W/(2 t1) */
        double of_p[2] = { 0 }, of_t1[N] = { 0 };
        for (size_t i = 0; i < ALL; i++) {
            double y = 1, p0 = 0, p1 = 0, t1 = 0;
            for (size_t j = 0; j < STEPS; j++) {
                const double w = dw[j*ALL + i], step = 1 + (double)r.p[0]*h + (double)r.p[1]*w;
                y *= step, p0 += h/step, p1 += w/step, t1 += ((double)r.p[0]*h + 0.5*(double)r.p[1]*w)/1.5/step;
            }
            if (!(fabs((double)solution.y_end[i] - y) < 50*NDE_TEST_EPS*y))
                fail_msg("%zu: %g, not %g", kind, (double)solution.y_end[i], y);
            of_p[0] += y*p0, of_p[1] += y*p1, of_t1[i % N] += y*t1;
        }
        nde_real p[2], a[ALL];
        double t1[N];
        for (size_t i = 0; i < ALL; i++) a[i] = 1;
        assert_int_equal(nde_backward(solver, &NDE_INIT(nde_seed, .y_end = a), &NDE_INIT(nde_gradient, .p = p, .t1 = t1)),
                         NDE_OK);
        for (size_t i = 0; i < 2; i++) assert_true(fabs((double)p[i] - of_p[i]) < 500*NDE_TEST_EPS*fabs(of_p[0]));
        for (size_t b = 0; b < N; b++)
            if (!(fabs(t1[b] - of_t1[b]) < 500*NDE_TEST_EPS*3)) fail_msg("%zu: by t1 %g, not %g", kind, t1[b], of_t1[b]);
        nde_solver_destroy(solver);
    }
}

static void run(rig *r, nde_real *y_end) {
    nde_solution s = { 0 };
    if (nde_solve(&r->problem, &r->options, &s)) fail_msg("%s", nde_error());
    memcpy(y_end, s.y_end, DIM*r->problem.n*sizeof *y_end);
    nde_solution_free(&s);
}

/* dy = dW ends at W(t1), whatever the steps. */
static int ones(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx, (void)p, (void)y;
    for (size_t i = 0; i < DIM; i++) dy[i] = 1;
    return 0;
}
static void steps_see_one_path(void **state) {
    (void)state;
    static rig r;
    for (size_t kind = 0; kind < 7; kind++) {
        if (kind == 3) continue; /* its grid is of the steps */
        nde_real y[2][ALL];
        for (size_t k = 0; k < 2; k++) {
            make(&r, &kinds[kind], N, k ? STEPS : 2*STEPS);
            r.of_diffusion.f = ones, r.problem.drift = NULL;
            run(&r, y[k]);
        }
        for (size_t i = 0; i < ALL; i++) assert_true(fabs((double)y[0][i] - (double)y[1][i]) < 50*NDE_TEST_EPS);
    }
}

/* Whoever else is there, and whoever computes. */
static void trajectories_do_not_meet(void **state) {
    (void)state;
    static rig r;
    static nde_real few[ALL], many[16*ALL];
    for (size_t kind = 0; kind + 1 < KINDS; kind++)
        for (int stepping = 0; stepping < 2; stepping++)
            for (int threads = 1; threads < 4; threads++) {
                make(&r, &kinds[kind], N, STEPS);
                r.options.stepping = stepping ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
                run(&r, few);
                make(&r, &kinds[kind], 16*N, STEPS);
                r.options.stepping = stepping ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
                r.options.threads = threads;
                run(&r, many);
                for (size_t i = 0; i < DIM; i++)
                    assert_memory_equal(few + i*N, many + i*16*N, N*sizeof *few);
            }
}

/* A solver sees the seed of each run. */
static void seeds_may_change(void **state) {
    (void)state;
    static rig r;
    for (size_t kind = 0; kind < 3; kind++) {
        make(&r, &kinds[kind], N, STEPS);
        nde_solver *solver = NULL;
        nde_solution s = { 0 };
        nde_real y[3][ALL];
        assert_int_equal(nde_solver_create(&r.problem, &r.options, &solver), NDE_OK);
        for (size_t k = 0; k < 3; k++) {
            r.noise.seed = k == 1 ? 6 : 5;
            assert_int_equal(nde_solver_run(solver, &s), NDE_OK);
            memcpy(y[k], s.y_end, sizeof y[k]);
        }
        assert_memory_equal(y[0], y[2], sizeof *y);
        for (size_t i = 0; i < ALL; i++) assert_true(y[0][i] != y[1][i]);
        nde_solver_destroy(solver);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_and_gradients), cmocka_unit_test(steps_see_one_path),
            cmocka_unit_test(trajectories_do_not_meet),
        cmocka_unit_test(seeds_may_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
