/* SPDX-License-Identifier: MIT
 * bouncing_ball - a ball falls from 10 m and bounces, each time with 0.8 of its speed; its flights are known in closed form and
 * so is the time at which it comes to rest after infinitely many of them. Then, by the derivative of the time of the last
 * bounce:
 * how much speed another ball has to keep, so that it bounces for the twentieth time after 10 s.
 *   bouncing_ball
 * Your own impacts: change field() (what happens between), height() (zero at an impact) and bounce() (what it does), and with
 * each its transpose, which adds J'a. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "nde.h"

enum { BOUNCES = 20 };
static const double gravity = 9.81, start = 10, wanted = 10;

/* y = (height, velocity), p = (speed kept). */
static int field(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    dy[0] = y[1];
    dy[1] = -gravity;
    return 0;
}

static int field_vjp(double t, const double *y, const double *p, const double *a, double *a_y, double *a_p, double *a_t,
                     void *ctx) {
    (void)t, (void)y, (void)p, (void)a_p, (void)a_t, (void)ctx;
    a_y[1] += a[0];
    return 0;
}

static int height(double t, const double *y, const double *p, double *g, void *ctx) {
    (void)t, (void)p, (void)ctx;
    g[0] = y[0];
    return 0;
}

static int height_vjp(double t, const double *y, const double *p, const double *a, double *a_y, double *a_p, double *a_t,
                      void *ctx) {
    (void)t, (void)y, (void)p, (void)a_p, (void)a_t, (void)ctx;
    a_y[0] += a[0];
    return 0;
}

static int bounce(double t, const double *before, const double *p, double *after, void *ctx) {
    (void)t, (void)ctx;
    after[0] = before[0];
    after[1] = -p[0]*before[1];
    return 0;
}

static int bounce_vjp(double t, const double *before, const double *p, const double *a, double *a_y, double *a_p, double *a_t,
                      void *ctx) {
    (void)t, (void)a_t, (void)ctx;
    a_y[0] += a[0];
    a_y[1] -= p[0]*a[1];
    if (a_p) a_p[0] -= before[1]*a[1];
    return 0;
}

/* Newton's method on t_end(kept) = wanted. */
static int keep_time(const nde_problem *problem, nde_options options, double *kept) {
    const double one = 1;
    double slope;
    nde_solver *solver;
    nde_solution s = { 0 };
    options.adjoint = NDE_ADJOINT_DISCRETE, options.budget = 1 << 20;
    if (nde_solver_create(problem, &options, &solver)) return fprintf(stderr, "bouncing_ball: %s\n", nde_error()), EXIT_FAILURE;
    for (int k = 0; k < 6; k++) {
        const nde_gradient gradient = NDE_INIT(nde_gradient, .p = &slope);
        if (nde_solver_run(solver, &s) < 0 || nde_backward(solver, &NDE_INIT(nde_seed, .t_end = &one), &gradient)) break;
        printf("with %.12f of its speed: bounce %d at %.9f s\n", *kept, BOUNCES, s.t_end[0]);
        *kept -= (s.t_end[0] - wanted)/slope;
    }
    const int reached = s.t_end && fabs(s.t_end[0] - wanted) < 1e-9;
    nde_solver_destroy(solver);
    return reached ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) return fprintf(stderr, "usage: bouncing_ball\n"), EXIT_FAILURE;
    const double y0[] = { start, 0 };
    double kept = 0.8;
    const nde_pointwise fall = NDE_INIT(nde_pointwise, .f = field, .vjp = field_vjp),
                        above = NDE_INIT(nde_pointwise, .f = height, .vjp = height_vjp),
                        up = NDE_INIT(nde_pointwise, .f = bounce, .vjp = bounce_vjp);
    const nde_field drift = nde_field_pointwise(&fall, 2, 0), reset = nde_field_pointwise(&up, 2, 1);
    nde_field floor = nde_field_pointwise(&above, 2, 0);
    floor.out = 1;
    const nde_event impact = NDE_INIT(nde_event, .g = &floor, .direction = -1, .terminal = BOUNCES, .reset = &reset);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .t1 = 60, .y0 = y0, .p = &kept, .events = &impact,
                                         .n_events = 1);
    const nde_options options = NDE_INIT(nde_options, .rtol = 1e-10, .atol = 1e-10, .event_rows = BOUNCES);

    nde_solution s = { 0 };
    if (nde_solve(&problem, &options, &s) != NDE_EVENT)
        return fprintf(stderr, "bouncing_ball: %s\n", s.error ? s.error : nde_error()), EXIT_FAILURE;
    double t = sqrt(2*start/gravity), v = gravity*t, worst = 0;
    for (size_t k = 0; k < s.event_saved[0]; k++, v *= kept, t += 2*v/gravity) {
        printf("bounce %2zu at %9.6f s with %9.6f m/s\n", k + 1, s.event_t[k], s.event_y[2*k + 1]);
        worst = fmax(worst, fabs(s.event_t[k] - t));
    }
    printf("%lld bounces in %lld steps, off by %.1e s at most; at rest after %.6f s\n", (long long)s.event_count[0],
           (long long)s.stats->accepted, worst, t + 2*kept*v/(gravity*(1 - kept)));
    nde_solution_free(&s);
    return worst < 1e-8 ? keep_time(&problem, options, &kept) : EXIT_FAILURE;
}
