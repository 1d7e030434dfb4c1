/* SPDX-License-Identifier: MIT
 * reversible.c - methods that can undo their steps: the order of coupled methods and of damped leapfrog, round trips
 * within 100 times what is predicted, bit for bit with a quantum (10^7 steps with NDE_TEST_LONG), and what carries a
 * partner along: refill, pauses, every form of the record, joint steps, events. */
#include "adjoint/reverse.h"
#include "nde.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SINGLE (sizeof(nde_real) == sizeof(float))
#define FIELD(name) static int name(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx)
#define VJP(name)                                                                                                    \
    static int name(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at, \
                    void *ctx)
#define LENGTH(a) (sizeof(a)/sizeof *(a))

/* A turn at a changing speed: neighbours keep their distance in either direction. */
FIELD(turning) {
    const nde_real speed = (nde_real)(1 + 0.5*sin(t));
    dy[0] = speed*y[1], dy[1] = -speed*y[0];
    return (void)p, (void)ctx, 0;
}
VJP(turning_vjp) {
    const nde_real speed = (nde_real)(1 + 0.5*sin(t));
    ay[0] -= speed*a[1], ay[1] += speed*a[0];
    return (void)y, (void)p, (void)ap, (void)at, (void)ctx, 0;
}
/* They come closer as e^-t, and part as much on the way back. */
FIELD(falling) {
    dy[0] = (nde_real)cos(t) - y[0], dy[1] = (nde_real)(0.5*sin(t)) - y[1];
    return (void)p, (void)ctx, 0;
}
VJP(falling_vjp) {
    ay[0] -= a[0], ay[1] -= a[1];
    return (void)t, (void)y, (void)p, (void)ap, (void)at, (void)ctx, 0;
}
FIELD(pendulum) {
    dy[0] = y[1], dy[1] = -(nde_real)sin((double)y[0]);
    return (void)t, (void)p, (void)ctx, 0;
}

VJP(pendulum_vjp) {
    ay[0] -= (nde_real)cos((double)y[0])*a[1], ay[1] += a[0];
    return (void)t, (void)p, (void)ap, (void)at, (void)ctx, 0;
}

static nde_field field_of(nde_pointwise *one, int (*f)(double, const nde_real *, const nde_real *, nde_real *, void *)) {
    *one = (nde_pointwise){ .f = f };
    return nde_field_pointwise(one, 2, 0);
}

/* A way to solve that can be undone. */
typedef struct way {
    int32_t method;
    double coupling, damping;
} way;
static const way ways[] = {
    { NDE_ALF, 0, 0 }, { NDE_ALF, 0, 0.99 }, { NDE_REVERSIBLE_HEUN, 0, 0 }, { NDE_EULER, 0.99, 0 }, { NDE_RK4, 0.999, 0 },
    { NDE_BOSH3, 0.999, 0 }, { NDE_DOPRI5, 0.99, 0 }, { NDE_TSIT5, 1, 0 }, { NDE_VERN9, 0.99, 0 },
};
static nde_options options_of(const way *w) {
    return NDE_INIT(nde_options, .method = w->method, .coupling = w->coupling, .damping = w->damping);
}
static void name_of(const way *w, char *text, size_t size) {
    snprintf(text, size, "%s, coupling %g, damping %g", nde_method_name(nde_method_get(w->method)), w->coupling, w->damping);
}

/* ---- orders ---------------------------------------------------------------------------------- */

#ifndef NDE_TEST_SINGLE
/* sin t + t/2 and its derivative. */
FIELD(driven) {
    dy[0] = y[1], dy[1] = (nde_real)(sin(sin(t) + 0.5*t) - sin((double)y[0]) - sin(t));
    return (void)p, (void)ctx, 0;
}

static double error_after(const nde_options *options, int64_t steps) {
    const nde_real y0[2] = { 0, (nde_real)1.5 };
    nde_pointwise one;
    const nde_field field = field_of(&one, driven);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = 4);
    nde_options o = *options;
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    o.steps = steps, o.save_every = 1;
    double error = nde_solve(&problem, &o, &s) ? HUGE_VAL : 0;
    for (size_t i = 0; i < s.n_save && error < HUGE_VAL; i++) {
        error = fmax(error, fabs((double)s.y[2*i] - sin(s.t[i]) - 0.5*s.t[i]));
        error = fmax(error, fabs((double)s.y[2*i + 1] - cos(s.t[i]) - 0.5));
    }
    nde_solution_free(&s);
    return error;
}

/* Slope of log error against log h, over the smaller half of the errors between 1e-3 and what rounding leaves. */
static double order_of(const nde_options *options, int *points) {
    double x = 0, y = 0, xx = 0, xy = 0, log_h[64], log_error[64];
    int count = 0;
    for (double n = 8; n < 50000; n *= 1.3) {
        const int64_t steps = (int64_t)n;
        const double error = error_after(options, steps);
        if (!(error < 1e-3)) continue;
        if (error < 1e-12 || error < 4e-16*n) break;
        log_h[count] = -log((double)steps), log_error[count++] = log(error);
    }
    *points = 0;
    for (int i = count/2; i < count; i++) {
        x += log_h[i], y += log_error[i], xx += log_h[i]*log_h[i], xy += log_h[i]*log_error[i], ++*points;
    }
    return (*points*xy - x*y)/(*points*xx - x*x);
}

static void coupling_keeps_the_order(void **state) {
    (void)state;
    int count = 0;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        if (nde_method_kind(m) != NDE_KIND_RUNGE_KUTTA || nde_method_stages(m) > 31) continue;
        for (int i = 0; i < 2; i++) {
            const nde_options o = NDE_INIT(nde_options, .method = nde_method_id(m), .coupling = i ? 0.999 : 0.9);
            const int claimed = nde_method_order(m);
            int points;
            const double order = order_of(&o, &points);
            print_message("%-12s coupled by %g: %.2f over %d points\n", nde_method_name(m), o.coupling, order, points);
            /* of order 5 the two halves of a step have small leading errors of either sign, which show last; above, the
             * trees of the methods decide */
            const double most = claimed < 5 ? claimed + 0.3 : HUGE_VAL;
            if ((claimed < 5 || (claimed == 5 && i)) && !(points >= 3 && order >= claimed - 0.2 && order <= most))
                fail_msg("%s: order %g, claimed is %d", nde_method_name(m), order, claimed);
            count++;
        }
    }
    assert_true(count >= 20);
}

static void damping_costs_an_order(void **state) {
    (void)state;
    int points;
    const nde_options none = NDE_INIT(nde_options, .method = NDE_ALF),
        damped = NDE_INIT(nde_options, .method = NDE_ALF, .damping = 0.8);
    const double two = order_of(&none, &points), one = order_of(&damped, &points);
    print_message("alf: order %.2f, damped %.2f\n", two, one);
    assert_true(two >= 1.8 && two <= 2.3 && one >= 0.8 && one <= 1.3);
}
#endif

/* ---- there and back -------------------------------------------------------------------------- */

/* How far from the start `n` trajectories come back, against what is predicted: the root of the sum of squares of the
 * growth of each rounding on its way back, times the problem's own. */
static void round_trip(const way *w, const nde_pointwise *one, double t1, double own, int64_t steps, double limit, size_t n,
                       int32_t stepping) {
    const nde_field field = nde_field_pointwise(one, 2, 0);
    nde_real *y0 = calloc(2*n, sizeof *y0);
    double *apart = calloc(n, sizeof *apart);
    assert_true(y0 && apart);
    for (size_t b = 0; b < n; b++) y0[b] = 1 + (nde_real)b/(nde_real)n, y0[n + b] = (nde_real)0.5;
    const nde_problem problem = NDE_INIT(nde_problem, .n = n, .drift = &field, .y0 = y0, .t1 = t1);
    nde_options options = options_of(w);
    options.steps = steps, options.rtol = options.atol = SINGLE ? 1e-3 : 1e-4, options.stepping = stepping;
    options.adjoint = NDE_ADJOINT_REVERSIBLE, options.anchor_limit = limit, options.budget = (size_t)64 << 20;
    nde_solver *solver;
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    char text[128];
    name_of(w, text, sizeof text);
    if (nde_solver_create(&problem, &options, &solver)) fail_msg("%s: %s", text, nde_error());
    if (nde_solver_run(solver, &s)) fail_msg("%s: %s", text, nde_solver_error(solver));
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = y0);
    const nde_gradient to = NDE_INIT(nde_gradient, .reconstruction = apart);
    int64_t anchors = (int64_t)solver->panel->record.slots.count, most = 0;
    if (nde_backward(solver, &seed, &to)) fail_msg("%s: %s", text, nde_solver_error(solver));
    double worst = 0;
    for (size_t b = 0; b < n; b++) most = s.stats[b].accepted > most ? s.stats[b].accepted : most;
    for (size_t b = 0; b < n; b++) worst = fmax(worst, apart[b]);
    const double growth = nde_undo_growth(solver), all = pow(growth, (double)most);
    const double reach = fmin(all, limit*growth), each = growth > 1 ? (reach*reach - 1)/(growth*growth - 1) : (double)most;
    const double predicted = sqrt(each)*own*NDE_TEST_EPS;
    print_message("%-44s %6lld steps, %lld anchors: off by %.1e, predicted %.1e, growth %.1e\n", text, (long long)most,
                  (long long)anchors, worst, predicted, all);
    if (!(worst <= 100*predicted)) fail_msg("%s: off by %g, predicted are %g", text, worst, predicted);
    if (limit < HUGE_VAL && all > 10*limit) assert_true(anchors > 1);
    else if (limit == (double)INFINITY) assert_int_equal(anchors, 1);
    nde_solver_destroy(solver);
    free(y0), free(apart);
}

static const nde_pointwise turns = { .f = turning, .vjp = turning_vjp }, falls = { .f = falling, .vjp = falling_vjp };

static void round_trips_are_as_predicted(void **state) {
    (void)state;
    for (size_t k = 0; k < LENGTH(ways); k++) {
        const way *w = &ways[k];
        const double l = w->damping > 0 ? 2*w->damping - 1 : w->coupling > 0 ? w->coupling : 1;
        const int64_t most = l < 1 ? (int64_t)(log(1e4)/-log(l)) : SINGLE ? 2000 : 20000; /* without anchors */
        round_trip(w, &turns, 0.02*(double)most, 1, most, (double)INFINITY, 1, NDE_STEP_INDEPENDENT);
        round_trip(w, &turns, SINGLE ? 40 : 200, 1, SINGLE ? 2000 : 10000, 1e4, 3, NDE_STEP_INDEPENDENT); /* with anchors */
        if (l == 1 && w->coupling > 0) continue; /* unstable where slopes contract */
        round_trip(w, &falls, 2, exp(2), most < 200 ? most : 200, (double)INFINITY, 3, NDE_STEP_INDEPENDENT);
    }
}

/* Each lane has its own steps, some are rejected, lanes are filled again; or all step together. */
static void adaptive_steps_go_back(void **state) {
    (void)state;
    for (size_t k = 0; k < LENGTH(ways); k++) {
        const way *w = &ways[k];
        if (!nde_method_error_order(nde_method_get(w->method))) continue;
        for (int32_t stepping = 0; stepping < 2; stepping++) round_trip(w, &turns, 30, 1, 0, 1e4, stepping ? 5 : 150, stepping);
    }
}

/* ---- bit for bit ----------------------------------------------------------------------------- */

/* Steps from a start that is no multiple of the quantum, and back, without a record. */
static void bits_come_back(const way *w, double quantum, int64_t steps, bool come) {
    enum { N = 2 };
    const nde_real y0[2*N] = { (nde_real)0.7, (nde_real)-0.3, (nde_real)0.1, (nde_real)0.4 };
    nde_pointwise one;
    const nde_field field = field_of(&one, pendulum);
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = &field, .y0 = y0, .t1 = 0.05*(double)(steps + 1));
    nde_options options = options_of(w);
    options.quantum = quantum, options.steps = steps + 1;
    nde_solver *s;
    char text[128];
    name_of(w, text, sizeof text);
    if (nde_solver_create(&problem, &options, &s)) fail_msg("%s: %s", text, nde_error());
    nde_panel *p = s->panel;
    nde_real start[2*2*N], end[2*2*N];
    assert_int_equal(nde_solver_steps(s, 1, NULL), NDE_UNFINISHED);
    for (size_t i = 0; i < 4; i++)
        for (size_t b = 0; b < N; b++) start[i*N + b] = p->y[i*p->ld + b];
    if (nde_solver_steps(s, steps - 1, NULL) != NDE_UNFINISHED) fail_msg("%s: %s", text, nde_solver_error(s));
    bool moved = false;
    for (int64_t i = steps; i > 1; i--) {
        for (size_t b = 0; b < N; b++) {
            p->dt[b] = p->h[b], p->t[b] = 0.05*(double)(i - 1), p->t_new[b] = 0.05*(double)i;
        }
        assert_int_equal(nde_panel_reverse(s, p, NULL), 0);
    }
    for (size_t i = 0; i < 4; i++)
        for (size_t b = 0; b < N; b++) {
            end[i*N + b] = p->y[i*p->ld + b];
            moved = moved || !isfinite(end[i*N + b]);
            if (quantum > 0) assert_true(fmod((double)start[i*N + b], quantum) == 0);
        }
    assert_false(moved);
    if (!memcmp(start, end, sizeof start) != come) fail_msg("%s: comes back %d", text, !come);
    nde_solver_destroy(s);
}

static void quanta_come_back_bit_for_bit(void **state) {
    (void)state;
    static const way exact[] = { { NDE_REVERSIBLE_HEUN, 0, 0 }, { NDE_ALF, 0, 0 }, { NDE_EULER, 1, 0 }, { NDE_HEUN, 1, 0 },
                                 { NDE_TSIT5, 1, 0 } };
    const double quantum = SINGLE ? 0x1p-20 : 0x1p-50;
    const bool many = getenv("NDE_TEST_LONG") != NULL;
    for (size_t k = 0; k < LENGTH(exact); k++) {
        bits_come_back(&exact[k], quantum, many && k < 4 ? 10000000 : 50000, true);
        bits_come_back(&exact[k], 0, 20000, false);
    }
}

/* ---- what carries partners along ------------------------------------------------------------- */

/* The same gradient from every form of the record. */
static void forms_agree(const nde_problem *problem, const nde_options *asked, const nde_seed *seed, nde_real *first,
                        nde_real *g) {
    const size_t bytes = 2*problem->n*sizeof *g;
    for (int form = NDE_RECORD_TAPE; form <= NDE_RECORD_CHECKPOINTS; form++) {
        nde_options options = *asked;
        nde_solver *s;
        options.adjoint = NDE_ADJOINT_DISCRETE, options.record = form, options.budget = (size_t)16 << 20;
        assert_int_equal(nde_solver_create(problem, &options, &s), NDE_OK);
        assert_int_equal(nde_solver_run(s, NULL), NDE_OK);
        const nde_gradient to = NDE_INIT(nde_gradient, .y0 = form == NDE_RECORD_TAPE ? first : g);
        assert_int_equal(nde_backward(s, seed, &to), NDE_OK);
        if (form != NDE_RECORD_TAPE) assert_memory_equal(first, g, bytes);
        nde_solver_destroy(s);
    }
}

static void lanes_pauses_and_forms_agree(void **state) {
    (void)state;
    enum { N = 150 };
    static nde_real y0[2*N], seed_end[2*N], first[2*N], g[2*N];
    const nde_pointwise one = { .f = pendulum, .vjp = pendulum_vjp };
    const nde_field field = nde_field_pointwise(&one, 2, 0);
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = seed_end);
    for (size_t b = 0; b < N; b++)
        y0[b] = (nde_real)b/N, y0[N + b] = (nde_real)0.5, seed_end[b] = 1, seed_end[N + b] = (nde_real)0.5;
    for (size_t k = 0; k < LENGTH(ways); k++) {
        const bool adaptive = nde_method_error_order(nde_method_get(ways[k].method)) > 0;
        const nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = &field, .y0 = y0, .t1 = 3);
        nde_options options = options_of(&ways[k]);
        options.steps = adaptive ? 0 : 100, options.rtol = options.atol = 1e-4, options.group = N;
        nde_solution all = NDE_INIT(nde_solution, .n = 0), alone = all;
        assert_int_equal(nde_solve(&problem, &options, &all), NDE_OK);
        for (size_t b = 0; b < N; b += 37) { /* alone */
            const nde_real start[2] = { y0[b], y0[N + b] };
            nde_problem single = problem;
            single.n = 1, single.y0 = start;
            assert_int_equal(nde_solve(&single, &options, &alone), NDE_OK);
            for (size_t i = 0; i < 2; i++)
                assert_true(fabs((double)(alone.y_end[i] - all.y_end[i*N + b])) <= (SINGLE ? 1e-5 : 1e-12));
            assert_int_equal(alone.stats->accepted, all.stats[b].accepted);
            nde_solution_free(&alone);
        }
        /* paused, brought back elsewhere */
        nde_solver *a, *b;
        assert_int_equal(nde_solver_create(&problem, &options, &a), NDE_OK);
        assert_int_equal(nde_solver_create(&problem, &options, &b), NDE_OK);
        assert_int_equal(nde_solver_steps(a, 5, NULL), NDE_UNFINISHED);
        size_t bytes = 0;
        assert_int_equal(nde_solver_state(a, NULL, &bytes), NDE_OK);
        void *block = malloc(bytes);
        assert_non_null(block);
        assert_int_equal(nde_solver_state(a, block, &bytes), NDE_OK);
        assert_int_equal(nde_solver_restore(b, block, bytes), NDE_OK);
        assert_int_equal(nde_solver_steps(b, 1000000, &alone), NDE_OK);
        assert_memory_equal(alone.y_end, all.y_end, sizeof y0);
        free(block), nde_solver_destroy(a), nde_solver_destroy(b), nde_solution_free(&all);
        forms_agree(&problem, &options, &seed, first, g);
    }
}

/* cos t falls through 1/2 at pi/3. */
FIELD(circle) {
    dy[0] = y[1], dy[1] = -y[0];
    return (void)t, (void)p, (void)ctx, 0;
}
FIELD(half) {
    dy[0] = y[0] - (nde_real)0.5;
    return (void)t, (void)p, (void)ctx, 0;
}
static void events_and_dense_values(void **state) {
    (void)state;
    nde_pointwise one, other = { .f = half };
    const nde_field field = field_of(&one, circle);
    nde_field g = nde_field_pointwise(&other, 2, 0);
    g.out = 1;
    const nde_event event = NDE_INIT(nde_event, .g = &g, .terminal = 1);
    const nde_real y0[2] = { 1, 0 };
    const double at[] = { 0.1, 0.333, 0.7, 1 };
    for (size_t k = 0; k < LENGTH(ways); k++) {
        const int order = ways[k].damping > 0 ? 1 : nde_method_order(nde_method_get(ways[k].method));
        const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = 4, .events = &event, .n_events = 1);
        nde_options options = options_of(&ways[k]);
        options.steps = 400, options.save_t = at, options.n_save = LENGTH(at);
        nde_solution s = NDE_INIT(nde_solution, .n = 0);
        assert_int_equal(nde_solve(&problem, &options, &s), NDE_EVENT);
        const double bound = order == 1 ? 5e-3 : order == 2 ? 5e-5 : SINGLE ? 2e-5 : 1e-7;
        char text[128];
        name_of(&ways[k], text, sizeof text);
        for (size_t i = 0; i < LENGTH(at); i++)
            if (!(fabs((double)s.y[2*i] - cos(at[i])) <= bound))
                fail_msg("%s: at %g off by %g", text, at[i], (double)s.y[2*i] - cos(at[i]));
        if (!(fabs(s.t_end[0] - acos(0.5)) <= 2*bound)) fail_msg("%s: event off by %g", text, s.t_end[0] - acos(0.5));
        nde_solution_free(&s);
    }
}

/* ---- what has no meaning --------------------------------------------------------------------- */

static void refused(nde_options options, size_t split, const char *word) {
    const nde_real y0[2] = { 1, 0 };
    nde_pointwise one;
    const nde_field field = field_of(&one, pendulum);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = 1, .split = split);
    nde_solver *s;
    assert_int_equal(nde_solver_create(&problem, &options, &s), NDE_E_ARG);
    if (!strstr(nde_error(), word)) fail_msg("%s does not name %s", nde_error(), word);
}

static void what_has_no_meaning_is_refused(void **state) {
    (void)state;
    refused(NDE_INIT(nde_options, .method = NDE_ALF, .compensated = 1), 0, "partner");
    refused(NDE_INIT(nde_options, .method = NDE_TSIT5, .coupling = 0.9, .compensated = 1), 0, "compensated");
    refused(NDE_INIT(nde_options, .method = NDE_ALF, .coupling = 0.9), 0, "coupling");
    refused(NDE_INIT(nde_options, .method = NDE_LEAPFROG, .steps = 9, .coupling = 0.9), 1, "coupling");
    refused(NDE_INIT(nde_options, .method = NDE_TSIT5, .coupling = 1.5), 0, "coupling");
    refused(NDE_INIT(nde_options, .method = NDE_TSIT5, .damping = 0.9), 0, "damping");
    refused(NDE_INIT(nde_options, .method = NDE_ALF, .damping = 0.5), 0, "damping");
    refused(NDE_INIT(nde_options, .method = NDE_ALF, .damping = 0.9, .quantum = 0x1p-40), 0, "damping");
    refused(NDE_INIT(nde_options, .method = NDE_TSIT5, .coupling = 0.9, .quantum = 0x1p-40), 0, "coupling");
    refused(NDE_INIT(nde_options, .method = NDE_RK4, .coupling = 0.9), 0, "no error estimate");
    refused(NDE_INIT(nde_options, .method = NDE_ALF, .error = NDE_ERROR_DOUBLING), 0, "alf");
}

int main(void) {
    const struct CMUnitTest tests[] = {
#ifndef NDE_TEST_SINGLE
        cmocka_unit_test(coupling_keeps_the_order),
        cmocka_unit_test(damping_costs_an_order),
#endif
        cmocka_unit_test(round_trips_are_as_predicted),
        cmocka_unit_test(adaptive_steps_go_back),
        cmocka_unit_test(quanta_come_back_bit_for_bit),
        cmocka_unit_test(lanes_pauses_and_forms_agree),
        cmocka_unit_test(events_and_dense_values),
        cmocka_unit_test(what_has_no_meaning_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
