/* SPDX-License-Identifier: MIT
 * events.c - events against closed forms: where they are, how many, what they do; and what can go wrong in them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/method.h"

#define LENGTH(a) (sizeof(a)/sizeof *(a))
static const double pi = 3.14159265358979323846;

/* ---- fields -------------------------------------------------------------------------------------------------------- */

static int decay(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    dy[0] = -y[0];
    return 0;
}
static int growth(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    dy[0] = y[0];
    return 0;
}
static int ones(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)y, (void)p, (void)ctx;
    dy[0] = dy[1] = 1;
    return 0;
}
static int circle(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    dy[0] = y[1], dy[1] = -y[0];
    return 0;
}
static int falling(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    dy[0] = y[1], dy[1] = -8;
    return 0;
}
/* y_i - level. */
typedef struct level {
    int component, code; /* the code is returned from t = fail_t on; NaN for code 1000 */
    double at, fail_t;
} level;
static int above(double t, const nde_real *y, const nde_real *p, nde_real *g, void *ctx) {
    const level *l = ctx;
    (void)p;
    g[0] = (nde_real)((double)y[l->component] - l->at);
    if (l->code == 1000 && t >= l->fail_t) g[0] = (nde_real)NAN;
    return t >= l->fail_t && l->code != 1000 ? l->code : 0;
}
static int clock_of(double t, const nde_real *y, const nde_real *p, nde_real *g, void *ctx) {
    (void)y, (void)p;
    g[0] = (nde_real)(t - ((const level *)ctx)->at);
    return 0;
}
/* (y_0 - 5)^9, flat at its zero. */
static int flat(double t, const nde_real *y, const nde_real *p, nde_real *g, void *ctx) {
    long *calls = ctx;
    (void)t, (void)p;
    g[0] = (nde_real)pow((double)y[0] - 5, 9);
    ++*calls;
    return 0;
}
static int counted_circle(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    long *calls = ctx;
    ++*calls;
    return circle(t, y, p, dy, NULL);
}
/* Half of y, but for states above 1.5: those fail with the code; NaN for code 1000. */
static int picky(double t, const nde_real *y, const nde_real *p, nde_real *z, void *ctx) {
    const int code = *(const int *)ctx;
    const bool fails = y[0] > (nde_real)1.5;
    (void)t, (void)p;
    z[0] = fails && code == 1000 ? (nde_real)NAN : y[0]/2;
    return fails && code != 1000 ? code : 0;
}
static int opposite(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *z) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) z[b] = -y[b];
    return 0;
}
static int bounce(double t, const nde_real *y, const nde_real *p, nde_real *z, void *ctx) {
    (void)t, (void)p;
    z[0] = y[0], z[1] = (nde_real)-(*(const double *)ctx*(double)y[1]);
    return 0;
}
static int failing(double t, const nde_real *y, const nde_real *p, nde_real *z, void *ctx) {
    (void)t, (void)p;
    z[0] = y[0], z[1] = (nde_real)NAN;
    return *(const int *)ctx;
}

static nde_field field(int (*f)(double, const nde_real *, const nde_real *, nde_real *, void *), const void *ctx, size_t dim,
                       size_t out, nde_pointwise *keep) {
    union { const void *in; void *out; } pointer = { .in = ctx };
    *keep = NDE_INIT(nde_pointwise, .f = f, .ctx = pointer.out);
    nde_field made = nde_field_pointwise(keep, dim, 0);
    made.out = out;
    assert_non_null(made.eval);
    return made;
}

static const double coarsest = sizeof(nde_real) == sizeof(double) ? 1e-6 : 1e-4,
    finest = sizeof(nde_real) == sizeof(double) ? 1e-12 : 1e-5;
static nde_options within(double tolerance) {
    return NDE_INIT(nde_options, .rtol = tolerance, .atol = tolerance);
}

/* ---- places -------------------------------------------------------------------------------------------------------- */

/* y' = -y from many places passes 1 at log y0: every adaptive method whose extension is about as good as its steps. */
static void decay_stops_at_one(void **state) {
    (void)state;
    enum { N = 13 };
    nde_pointwise keep[2];
    const level one = { .at = 1, .fail_t = (double)INFINITY };
    nde_real y0[N] = { 10, 100, 1000 };
    for (int i = 3; i < N; i++) y0[i] = (nde_real)(i - 1);
    const nde_field f = field(decay, NULL, 1, 1, &keep[0]), g = field(above, &one, 1, 1, &keep[1]);
    const nde_event stop = NDE_INIT(nde_event, .g = &g, .terminal = 1);
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .dim = 1, .t1 = 10, .y0 = y0, .drift = &f, .events = &stop,
                                         .n_events = 1);
    int methods = 0;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        if (!m->e || m->kind != NDE_KIND_RUNGE_KUTTA || nde_method_order(m) < 4 || nde_method_dense_order(m) +
            1 < nde_method_order(m))
            continue;
        methods++;
        for (int joint = 0; joint < 2; joint++)
            for (double tolerance = coarsest; tolerance >= finest*0.99; tolerance *= 1e-1) {
                nde_options o = within(tolerance);
                o.method = nde_method_id(m), o.stepping = joint;
                nde_solution s = NDE_INIT(nde_solution, .n = 0);
                assert_int_equal(nde_solve(&problem, &o, &s), NDE_EVENT);
                for (size_t i = 0; i < N; i++) {
                    const double error = fabs(s.t_end[i] - log((double)y0[i]));
                    assert_int_equal(s.status[i], NDE_EVENT);
                    assert_int_equal(s.event_end[i], 0);
                    assert_int_equal(s.event_count[i], 1);
                    assert_true(s.event_t[i] == s.t_end[i]);
                    if (error > 20*tolerance)
                        fail_msg("%s%s at %g from %g: off by %g", m->name, joint ? " joint" : "", tolerance, (double)y0[i],
                                 error);
                    assert_true(fabs((double)s.y_end[i] - 1) <= 400*NDE_TEST_EPS); /* weights of 100 cancel in vern8's
                                                                                    * extension */
                    assert_true(isnan(s.y[i])); /* the end of the span was not reached */
                }
                nde_solution_free(&s);
            }
    }
    assert_true(methods >= 6);
}

/* The harmonic oscillator passes zero every pi: as many hits as there are, in either direction or both, forwards and
 * backwards. */
static void circles_pass_zero(void **state) {
    (void)state;
    nde_pointwise keep[2];
    const level zero = { .at = 0, .fail_t = (double)INFINITY };
    const nde_field f = field(circle, NULL, 2, 2, &keep[0]), g = field(above, &zero, 2, 1, &keep[1]);
    nde_event e[3];
    for (int k = 0; k < 3; k++) e[k] = NDE_INIT(nde_event, .g = &g, .direction = k - 1);
    for (int start = 0; start < 2; start++)
        for (int backwards = 0; backwards < 2; backwards++) {
            const nde_real y0[2] = { (nde_real)start, (nde_real)!start }; /* from the top, or from zero itself */
            const double sign = backwards ? -1 : 1;
            const nde_problem problem = NDE_INIT(nde_problem, .t1 = sign*20, .y0 = y0, .drift = &f, .events = e, .n_events = 3);
            nde_options o = within(finest);
            o.event_rows = 40;
            nde_solution s = NDE_INIT(nde_solution, .n = 0);
            assert_int_equal(nde_solve(&problem, &o, &s), NDE_OK);
            assert_int_equal(s.event_count[1], 6); /* the zero at t0 is none */
            assert_int_equal(s.event_count[0], 3);
            assert_int_equal(s.event_count[2], 3);
            assert_int_equal(s.event_saved[0], 12);
            assert_int_equal(s.event_end[0], -1);
            assert_true(s.t_end[0] == problem.t1);
            for (size_t row = 0; row < 12; row++) {
                const double t = s.event_t[row], exact = sign*pi*((double)(row/2) + (start ? 0.5 : 1));
                const bool rising = (row/2 % 2 != 0) != (!start && backwards);
                assert_true(fabs(t - exact) <= 100*finest);
                assert_int_equal(s.event_together[row], row % 2);
                assert_true(t == s.event_t[row/2*2]);
                assert_int_equal(s.event_which[row], (row % 2 ? 1 : 0) + rising);
                assert_true(fabs((double)s.event_y[row*2]) <= 100*finest);
            }
            for (size_t row = 12; row < 40; row++) assert_true(isnan(s.event_t[row]) && s.event_which[row] == -1);
            nde_solution_free(&s);
            o.event_rows = 5; /* the first ones; all are counted */
            assert_int_equal(nde_solve(&problem, &o, &s), NDE_OK);
            assert_true(s.event_saved[0] == 5 && s.event_count[0] + s.event_count[1] + s.event_count[2] == 12);
            nde_solution_free(&s);
        }
}

/* Twenty bounces of a ball, each at 0.9 of the speed; and the end at the twentieth. */
static void ball_bounces(void **state) {
    (void)state;
    nde_pointwise keep[3];
    const double keeps = 0.9, x0 = 10, a = 8;
    const level floor = { .at = 0, .fail_t = (double)INFINITY };
    const nde_real y0[2] = { 10, 0 };
    const nde_field f = field(falling, NULL, 2, 2, &keep[0]), g = field(above, &floor, 2, 1, &keep[1]),
                    r = field(bounce, &keeps, 2, 2, &keep[2]);
    const nde_event e = NDE_INIT(nde_event, .g = &g, .direction = -1, .terminal = 20, .reset = &r);
    const nde_problem problem = NDE_INIT(nde_problem, .t1 = 1000, .y0 = y0, .drift = &f, .events = &e, .n_events = 1);
    double save[64];
    for (size_t i = 0; i < LENGTH(save); i++) save[i] = 0.5*(double)i;
    for (int joint = 0; joint < 2; joint++)
        for (double tolerance = coarsest; tolerance >= finest*0.99; tolerance *= 1e-1) {
            nde_options o = within(tolerance);
            o.event_rows = 20, o.stepping = joint, o.save_t = save, o.n_save = LENGTH(save);
            nde_solution s = NDE_INIT(nde_solution, .n = 0);
            assert_int_equal(nde_solve(&problem, &o, &s), NDE_EVENT);
            assert_int_equal(s.event_count[0], 20);
            double t = sqrt(2*x0/a), v = a*t, begin = -t, kick = v;
            size_t row = 0;
            for (int k = 0; k < 20; k++) {
                const double near = 20*tolerance + 200*NDE_TEST_EPS;
                if (fabs(s.event_t[k] - t) > near*(1 + t))
                    fail_msg("at %g bounce %d is off by %g", tolerance, k, s.event_t[k] - t);
                assert_true(fabs((double)s.event_y[2*k]) <= near*(1 + t)*10);
                assert_true(fabs((double)s.event_y[2*k + 1] + v) <= near*(1 + t)*10);
                for (; row < LENGTH(save) && save[row] <= s.event_t[k]; row++) {
                    const double since = save[row] - begin, x = since*(kick - 0.5*a*since);
                    assert_true(fabs((double)s.y[2*row] - x) <= near*(1 + t)*20);
                }
                v *= keeps, begin = t, kick = v, t += 2*v/a;
            }
            for (; row < LENGTH(save); row++) assert_true(isnan(s.y[2*row]));
            assert_true(s.t_end[0] == s.event_t[19]);
            nde_solution_free(&s);
        }
}

/* Flights that begin at the floor and are shorter than a step do not fall through it: 4 m/s up, then 0.4 of the speed. */
static void short_flights_are_seen(void **state) {
    (void)state;
    nde_pointwise keep[3];
    const double keeps = 0.4;
    const level floor = { .at = 0, .fail_t = (double)INFINITY };
    const nde_real y0[2] = { 0, 4 };
    const nde_field f = field(falling, NULL, 2, 2, &keep[0]), g = field(above, &floor, 2, 1, &keep[1]),
                    r = field(bounce, &keeps, 2, 2, &keep[2]);
    const nde_event e = NDE_INIT(nde_event, .g = &g, .direction = -1, .terminal = 4, .reset = &r);
    const nde_problem problem = NDE_INIT(nde_problem, .t1 = 3, .y0 = y0, .drift = &f, .events = &e, .n_events = 1);
    const double times[] = { 1, 1.4, 1.56, 1.624 };
    for (int64_t steps = 2; steps <= 3; steps++) {
        nde_options o = within(coarsest);
        o.steps = steps;
        nde_solution s = NDE_INIT(nde_solution, .n = 0);
        assert_int_equal(nde_solve(&problem, &o, &s), NDE_EVENT);
        for (size_t k = 0; k < LENGTH(times); k++)
            if (!(fabs(s.event_t[k] - times[k]) <= 1000*NDE_TEST_EPS))
                fail_msg("%lld steps: bounce %zu at %.17g", (long long)steps, k, s.event_t[k]);
        nde_solution_free(&s);
    }
}

/* Flights that grow shorter for ever, on and on until no step brings them on: that is said, and nothing falls through. */
static void endless_bounces_are_ended(void **state) {
    (void)state;
    nde_pointwise keep[3];
    const double kept[] = { 0.1, 0.25, 0.5, 0.9 }, fall = sqrt(2*10.0/8);
    const level floor = { .at = 0, .fail_t = (double)INFINITY };
    const nde_real y0[2] = { 10, 0 };
    const nde_field f = field(falling, NULL, 2, 2, &keep[0]), g = field(above, &floor, 2, 1, &keep[1]);
    for (size_t k = 0; k < LENGTH(kept); k++) {
        const nde_field r = field(bounce, &kept[k], 2, 2, &keep[2]);
        const nde_event e = NDE_INIT(nde_event, .g = &g, .direction = -1, .reset = &r);
        const nde_problem problem = NDE_INIT(nde_problem, .t1 = 100, .y0 = y0, .drift = &f, .events = &e, .n_events = 1);
        const nde_options o = within(coarsest);
        nde_solution s = NDE_INIT(nde_solution, .n = 0);
        assert_int_equal(nde_solve(&problem, &o, &s), NDE_E_STEPSIZE);
        assert_true(fabs(s.t_end[0] - fall*(1 + 2*kept[k]/(1 - kept[k]))) < 1000*coarsest);
        assert_true(fabs((double)s.y_end[0]) < 1e-6);
        nde_solution_free(&s);
    }
}

/* A zero costs at most one evaluation more than by bisection, even where g is flat; evaluations of the field are counted with
 * those of late slopes. */
static void zeros_are_cheap(void **state) {
    (void)state;
    nde_pointwise keep[4];
    long calls = 0;
    const nde_real y0[2] = { 0, 0 }, top[2] = { 1, 0 };
    const nde_field line = field(ones, NULL, 2, 2, &keep[0]), g = field(flat, &calls, 2, 1, &keep[1]);
    const nde_event e = NDE_INIT(nde_event, .g = &g);
    nde_problem problem = NDE_INIT(nde_problem, .t1 = 20, .y0 = y0, .drift = &line, .events = &e, .n_events = 1);
    nde_options o = NDE_INIT(nde_options, .steps = 1);
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solve(&problem, &o, &s), NDE_OK);
    assert_true(s.event_count[0] == 1 && fabs(s.event_t[0] - 5) < 0.1); /* flat: it is zero around 5 */
    assert_true(calls <= 2 + 51 + 1); /* both ends; 20 to 4 ulp of 20 by halves */
    nde_solution_free(&s);

    const level zero = { .at = 0, .fail_t = (double)INFINITY };
    const nde_field f = field(counted_circle, &calls, 2, 2, &keep[2]), x = field(above, &zero, 2, 1, &keep[3]);
    const nde_event passing = NDE_INIT(nde_event, .g = &x);
    problem.y0 = top, problem.drift = &f, problem.events = &passing;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        if (!m->e || m->kind != NDE_KIND_RUNGE_KUTTA) continue;
        o = within(1e-4), o.method = nde_method_id(m);
        calls = 0;
        assert_int_equal(nde_solve(&problem, &o, &s), NDE_OK);
        assert_int_equal(s.event_count[0], 6);
        if (s.stats[0].evals != calls) fail_msg("%s: %lld of %ld", m->name, (long long)s.stats[0].evals, calls);
        nde_solution_free(&s);
    }
}

typedef struct log_of_steps {
    double after, t, h; /* the first attempt from `after` on */
} log_of_steps;
static int note(void *ctx, nde_decision *d) {
    log_of_steps *log = ctx;
    if (log->h == 0 && d->t >= log->after) log->t = d->t, log->h = d->h;
    return 0;
}

/* After a reset everything begins anew: the length of the first step too. */
static void resets_are_starts(void **state) {
    (void)state;
    nde_pointwise keep[3];
    const double keeps = 0.9;
    const level floor = { .at = 0, .fail_t = (double)INFINITY };
    nde_real y0[2] = { 10, 0 };
    const nde_field f = field(falling, NULL, 2, 2, &keep[0]), g = field(above, &floor, 2, 1, &keep[1]),
                    r = field(bounce, &keeps, 2, 2, &keep[2]);
    const nde_event e = NDE_INIT(nde_event, .g = &g, .direction = -1, .reset = &r);
    nde_problem problem = NDE_INIT(nde_problem, .t1 = 2.5, .y0 = y0, .drift = &f, .events = &e, .n_events = 1);
    log_of_steps bounced = { .after = 1 }, anew = { .after = 0 };
    nde_controller own = NDE_INIT(nde_controller, .decide = note, .ctx = &bounced);
    nde_options o = within(1e-4);
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    o.decide = &own, o.h0 = 0;
    bounced.after = sqrt(2*10.0/8)*(1 - 1e-3);
    assert_int_equal(nde_solve(&problem, &o, &s), NDE_OK);
    assert_int_equal(s.event_count[0], 1);
    y0[0] = s.event_y[0], y0[1] = (nde_real)-(keeps*(double)s.event_y[1]);
    problem.t0 = s.event_t[0], problem.n_events = 0, problem.events = NULL, own.ctx = &anew;
    nde_solution_free(&s);
    assert_int_equal(nde_solve(&problem, &o, &s), NDE_OK);
    nde_solution_free(&s);
    assert_true(bounced.t == problem.t0 && anew.t == problem.t0 && bounced.h == anew.h);
}

/* A jump over zero is no event. */
static void jumps_are_no_events(void **state) {
    (void)state;
    nde_pointwise keep[2];
    const level zero = { .at = 0, .fail_t = (double)INFINITY };
    const nde_real y0[1] = { 1 };
    const double half = 0.5;
    const nde_field f = field(decay, NULL, 1, 1, &keep[0]), g = field(above, &zero, 1, 1, &keep[1]),
                    flip = { .size = sizeof flip, .dim = 1, .out = 1, .eval = opposite };
    const nde_event e = NDE_INIT(nde_event, .g = &g);
    const nde_problem problem = NDE_INIT(nde_problem, .t1 = 1, .y0 = y0, .drift = &f, .events = &e, .n_events = 1,
                                         .jump = &flip, .jump_t = &half, .n_jumps = 1);
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    const nde_options o = within(coarsest);
    assert_int_equal(nde_solve(&problem, &o, &s), NDE_OK);
    assert_true(s.event_count[0] == 0 && s.y_end[0] < 0);
    nde_solution_free(&s);
}

/* The smaller cases of the peers: growth to e, a clock, the first of two, direction, rows cut at the event. */
static void small_cases(void **state) {
    (void)state;
    nde_pointwise keep[6];
    const level top = { .at = 2.718281828459045, .fail_t = (double)INFINITY }, ten = { .at = 10 },
                five = { .at = 5, .fail_t = (double)INFINITY }, half = { .at = 2.5, .fail_t = (double)INFINITY },
                other = { .at = 5, .component = 1, .fail_t = (double)INFINITY };
    const nde_field grow = field(growth, NULL, 1, 1, &keep[0]), to_e = field(above, &top, 1, 1, &keep[1]);
    const nde_real start[2] = { 1, 0 }, pair[2] = { 0, 1 };
    nde_event e[2] = { NDE_INIT(nde_event, .g = &to_e, .terminal = 1) };
    nde_problem problem = NDE_INIT(nde_problem, .t1 = 7, .y0 = start, .drift = &grow, .events = e, .n_events = 1);
    nde_options o = within(finest);
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solve(&problem, &o, &s), NDE_EVENT);
    assert_true(fabs(s.t_end[0] - 1) <= 20*finest);
    nde_solution_free(&s);

    const nde_field line = field(ones, NULL, 2, 2, &keep[2]), late = field(clock_of, &ten, 2, 1, &keep[3]),
                    first = field(above, &five, 2, 1, &keep[4]);
    nde_field second = field(above, &other, 2, 1, &keep[5]);
    e[0] = NDE_INIT(nde_event, .g = &late, .terminal = 1), e[1] = NDE_INIT(nde_event, .g = &first, .terminal = 1);
    problem = NDE_INIT(nde_problem, .t1 = 20, .y0 = pair, .drift = &line, .events = e, .n_events = 2);
    o.h0 = 20; /* both lie in the one step */
    assert_int_equal(nde_solve(&problem, &o, &s), NDE_EVENT);
    assert_true(s.stats[0].accepted == 1 && s.event_end[0] == 1 && fabs(s.t_end[0] - 5) <= 40*NDE_TEST_EPS);
    assert_int_equal(s.event_count[0], 0); /* what comes after the end does not count */
    assert_true(fabs(s.stats[0].h_last - 5) <= 40*NDE_TEST_EPS && s.stats[0].h_first == s.stats[0].h_last);
    nde_solution_free(&s);

    const double same = 1;
    const nde_field turn = field(bounce, &same, 2, 2, &keep[5]);
    for (int order = 0; order < 2; order++) { /* of two at one time, the one that ends goes before the one that resets */
        e[order] = NDE_INIT(nde_event, .g = &first, .reset = &turn),
            e[!order] = NDE_INIT(nde_event, .g = &first, .terminal = 1);
        assert_int_equal(nde_solve(&problem, &o, &s), NDE_EVENT);
        assert_true(s.event_end[0] == !order && s.event_count[0] == 1 && s.event_count[1] == 1 && s.event_together[1]);
        assert_true(fabs((double)s.y_end[1] - 6) <= 40*NDE_TEST_EPS);
        nde_solution_free(&s);
    }
    second = field(above, &other, 2, 1, &keep[5]);

    e[0] = NDE_INIT(nde_event, .g = &first, .direction = 1, .terminal = 1);
    e[1] = NDE_INIT(nde_event, .g = &second, .direction = -1, .terminal = 1);
    assert_int_equal(nde_solve(&problem, &o, &s), NDE_EVENT);
    assert_true(s.event_end[0] == 0 && fabs((double)s.y_end[1] - 6) <= 40*NDE_TEST_EPS);
    nde_solution_free(&s);
    e[0].direction = -1, e[1].direction = 1;
    assert_int_equal(nde_solve(&problem, &o, &s), NDE_EVENT);
    assert_true(s.event_end[0] == 1 && fabs((double)s.y_end[0] - 4) <= 40*NDE_TEST_EPS);
    nde_solution_free(&s);

    const double rows[] = { 0, 1, 2, 3, 4, 5 };
    const nde_field cut = field(above, &half, 2, 1, &keep[4]);
    e[0] = NDE_INIT(nde_event, .g = &cut, .terminal = 1), problem.n_events = 1;
    o.save_t = rows, o.n_save = LENGTH(rows);
    assert_int_equal(nde_solve(&problem, &o, &s), NDE_EVENT);
    assert_int_equal(s.saved[0], 3);
    for (size_t row = 0; row < LENGTH(rows); row++)
        assert_true(row < 3 ? fabs((double)s.y[2*row] - rows[row]) <= 40*NDE_TEST_EPS : isnan(s.y[2*row]));
    nde_solution_free(&s);
    o.save_t = NULL, o.n_save = 0, o.save_every = 2;
    assert_int_equal(nde_solve(&problem, &o, &s), NDE_EVENT);
    assert_int_equal(s.saved[0], 2);
    assert_true(s.t[1] == s.t_end[0] && fabs((double)s.y[2] - 2.5) <= 40*NDE_TEST_EPS);
    nde_solution_free(&s);
}

/* ---- ensembles ----------------------------------------------------------------------------------------------------- */

enum { MANY = 300 };
static const level ground = { .at = 0, .fail_t = (double)INFINITY };
static const double loses = 0.5;

static void balls(nde_problem *problem, nde_event *e, nde_field f[3], nde_pointwise keep[3], nde_real *y0) {
    for (size_t i = 0; i < MANY; i++) y0[i] = (nde_real)(1 + 0.01*(double)((i*37) % MANY)), y0[MANY + i] = 0;
    f[0] = field(falling, NULL, 2, 2, &keep[0]), f[1] = field(above, &ground, 2, 1, &keep[1]),
    f[2] = field(bounce, &loses, 2, 2, &keep[2]);
    *e = NDE_INIT(nde_event, .g = &f[1], .direction = -1, .terminal = 4, .reset = &f[2]);
    *problem = NDE_INIT(nde_problem, .n = MANY, .t1 = 2.5, .y0 = y0, .drift = f, .events = e, .n_events = 1);
}

/* Lanes with hits of their own, refilled, on one thread and four, in one go or in pieces that go through a saved state. */
static void ensembles_are_the_same(void **state) {
    (void)state;
    nde_pointwise keep[3];
    nde_field f[3];
    nde_event e;
    nde_problem problem;
    static nde_real y0[2*MANY];
    balls(&problem, &e, f, keep, y0);
    const double save[] = { 0.25, 0.5, 1, 1.5, 2, 2.25 };
    for (int64_t steps = 0; steps <= 50; steps += 50) {
        nde_options o = within(1e-5);
        o.group = 150, o.save_t = save, o.n_save = LENGTH(save), o.steps = steps;
        nde_solution one = NDE_INIT(nde_solution, .n = 0), other = NDE_INIT(nde_solution, .n = 0);
        if (nde_solve(&problem, &o, &one) != NDE_EVENT) fail_msg("%s", one.error);
        size_t ended = 0;
        for (size_t i = 0; i < MANY; i++) {
            const double fall = sqrt(2*(double)y0[i]/8);
            double t = fall, v = 8*fall;
            for (size_t row = 0; row < one.event_saved[i]; row++, v *= loses, t += 2*v/8)
                assert_true(fabs(one.event_t[row*MANY + i] - t) <= 1e-4);
            assert_true(t >= 2.5 || one.event_count[i] == 4);
            ended += one.status[i] == NDE_EVENT;
        }
        assert_true(ended > 0 && ended < MANY);
        for (int how = 0; how < 3; how++) {
            nde_solver *a, *b;
            o.threads = how == 1 ? 4 : 0;
            assert_int_equal(nde_solver_create(&problem, &o, &a), NDE_OK);
            assert_int_equal(nde_solver_create(&problem, &o, &b), NDE_OK);
            if (how < 2) {
                assert_int_equal(nde_solver_run(a, &other), NDE_EVENT);
            } else {
                nde_status status = NDE_UNFINISHED;
                for (int piece = 0; status == NDE_UNFINISHED && piece < 10000; piece++) {
                    status = nde_solver_steps(a, 3, &other);
                    size_t bytes = 0;
                    assert_int_equal(nde_solver_state(a, NULL, &bytes), NDE_OK);
                    void *block = malloc(bytes);
                    assert_int_equal(nde_solver_state(a, block, &bytes), NDE_OK);
                    if (status == NDE_UNFINISHED) {
                        assert_int_equal(nde_solver_restore(b, block, bytes), NDE_OK);
                        nde_solver *swap = a;
                        a = b, b = swap;
                    }
                    free(block);
                }
                assert_int_equal(status, NDE_EVENT);
            }
            assert_memory_equal(one.y, other.y, LENGTH(save)*2*MANY*sizeof *one.y);
            assert_memory_equal(one.y_end, other.y_end, 2*MANY*sizeof *one.y_end);
            assert_memory_equal(one.t_end, other.t_end, MANY*sizeof *one.t_end);
            assert_memory_equal(one.event_t, other.event_t, 16*MANY*sizeof *one.event_t);
            assert_memory_equal(one.event_y, other.event_y, 16*2*MANY*sizeof *one.event_y);
            assert_memory_equal(one.event_count, other.event_count, MANY*sizeof *one.event_count);
            nde_solver_destroy(a), nde_solver_destroy(b);
        }
        nde_solution_free(&one);
    }
}

/* y' = -y comes to rest where |y| = 0.01, at log(100 y0); what rests already ends at once. */
static void rest_is_found(void **state) {
    (void)state;
    nde_pointwise keep;
    const nde_real y0[3] = { 1, 50, (nde_real)0.005 };
    const nde_field f = field(decay, NULL, 1, 1, &keep);
    const nde_steady slow = NDE_INIT(nde_steady, .field = &f, .atol = 0.01);
    const nde_field g = nde_field_steady(&slow);
    assert_non_null(g.eval);
    const nde_event e = NDE_INIT(nde_event, .g = &g, .direction = -1, .terminal = 1, .at_start = 1);
    const nde_problem problem = NDE_INIT(nde_problem, .n = 3, .t1 = 100, .y0 = y0, .drift = &f, .events = &e, .n_events = 1);
    const double save[] = { 0, 1 };
    for (int joint = 0; joint < 2; joint++) {
        nde_options o = within(finest);
        o.stepping = joint, o.save_t = save, o.n_save = 2;
        nde_solution s = NDE_INIT(nde_solution, .n = 0);
        assert_int_equal(nde_solve(&problem, &o, &s), NDE_EVENT);
        for (size_t i = 0; i < 3; i++) {
            const double exact = i < 2 ? log(100*(double)y0[i]) : 0; /* atol = rtol: 100 times the tolerance there */
            assert_int_equal(s.status[i], NDE_EVENT);
            assert_int_equal(s.event_count[i], 1);
            assert_true(fabs(s.t_end[i] - exact) <= 2e3*finest && s.event_t[i] == s.t_end[i]);
            assert_int_equal(s.saved[i], i < 2 ? 2 : 1);
        }
        assert_true(s.t_end[2] == 0 && s.y_end[2] == y0[2] && s.event_y[2] == y0[2] && s.stats[2].accepted == 0);
        nde_solution_free(&s);
    }
    const nde_field two = field(circle, NULL, 2, 2, &keep);
    const nde_steady mixed = NDE_INIT(nde_steady, .field = &two, .rtol = 0.5, .atol = 0.25);
    const nde_field distance = nde_field_steady(&mixed);
    const nde_real at_y[2] = { 3, -1 };
    const double now = 0;
    nde_real work[64], value = 0;
    assert_true(distance.work <= LENGTH(work));
    assert_int_equal(distance.eval(&distance, &(nde_site){ .n = 1, .ld = 1, .t = &now, .work = work }, at_y, &value), 0);
    assert_true(fabs((double)value - (hypot(1/1.75, 3/0.75)/sqrt(2) - 1)) <= 8*NDE_TEST_EPS);
    nde_steady bad = slow;
    bad.field = NULL;
    assert_null(nde_field_steady(&bad).eval);
    bad = slow, bad.atol = 0;
    assert_null(nde_field_steady(&bad).eval);
    assert_null(nde_field_steady(NULL).eval);
}

/* ---- what goes wrong ------------------------------------------------------------------------------------------------ */

static void failures_are_named(void **state) {
    (void)state;
    static const struct { int code; nde_status status; } cases[] = {
        { 1000, NDE_E_NONFINITE }, { -7, NDE_E_FIELD }, { 1, NDE_E_FIELD }, { NDE_FIELD_STOP, NDE_STOPPED },
    };
    nde_pointwise keep[4];
    const nde_real y0[2] = { 1, 0 };
    const nde_field f = field(circle, NULL, 2, 2, &keep[0]);
    const level fine = { .at = 5, .fail_t = (double)INFINITY };
    const nde_field never = field(above, &fine, 2, 1, &keep[1]);
    for (size_t k = 0; k < LENGTH(cases); k++)
        for (int at_once = 0; at_once < 2; at_once++)
            for (int joint = 0; joint < 2; joint++) {
                const level bad = { .at = 5, .code = cases[k].code, .fail_t = at_once ? 0 : 1 };
                const nde_field g = field(above, &bad, 2, 1, &keep[2]);
                const nde_event e[2] = { NDE_INIT(nde_event, .g = &never), NDE_INIT(nde_event, .g = &g) };
                const nde_problem problem = NDE_INIT(nde_problem, .t1 = 2, .y0 = y0, .drift = &f, .events = e, .n_events = 2);
                nde_options o = within(1e-5);
                o.stepping = joint;
                nde_solution s = NDE_INIT(nde_solution, .n = 0);
                assert_int_equal(nde_solve(&problem, &o, &s), cases[k].status);
                assert_int_equal(s.status[0], cases[k].status);
                assert_int_equal(s.event_end[0], 1);
                if (cases[k].status < 0) assert_non_null(strstr(s.error, "event 1"));
                assert_true(at_once ? s.t_end[0] == 0 : s.t_end[0] >= 1 && s.t_end[0] < 2);
                assert_true(isfinite(s.y_end[0]));
                nde_solution_free(&s);
            }
    const level zero = { .at = 0, .fail_t = (double)INFINITY };
    const nde_field g = field(above, &zero, 2, 1, &keep[2]);
    for (int code = -1; code <= 1; code++) { /* a reset that fails, or gives NaN */
        const nde_field r = field(failing, &code, 2, 2, &keep[3]);
        const nde_event e = NDE_INIT(nde_event, .g = &g, .reset = &r);
        const nde_problem problem = NDE_INIT(nde_problem, .t1 = 2, .y0 = y0, .drift = &f, .events = &e, .n_events = 1);
        nde_solution s = NDE_INIT(nde_solution, .n = 0);
        const nde_options o = within(1e-5);
        assert_int_equal(nde_solve(&problem, &o, &s), code ? NDE_E_FIELD : NDE_E_NONFINITE);
        assert_true(fabs(s.t_end[0] - 0.5*pi) < 1e-3 && isfinite(s.y_end[1]));
        assert_non_null(strstr(s.error, "event 0"));
        nde_solution_free(&s);
    }
}

/* What fails in one lane ends that one, with its own reason; the others do not know. */
static void failures_stay_in_their_lane(void **state) {
    (void)state;
    static const struct { int code; nde_status status; } cases[] = { { 1000, NDE_E_NONFINITE }, { -7, NDE_E_FIELD },
                                                                     { 1, NDE_E_FIELD } };
    nde_pointwise keep[3];
    const nde_real y0[3] = { (nde_real)0.125, 1, (nde_real)0.25 };
    const level at_half = { .at = 0.5 };
    const nde_field f = field(growth, NULL, 1, 1, &keep[0]), clock = field(clock_of, &at_half, 1, 1, &keep[1]);
    for (size_t k = 0; k < LENGTH(cases); k++)
        for (int resets = 0; resets < 2; resets++) {
            const nde_field bad = field(picky, &cases[k].code, 1, 1, &keep[2]);
            const nde_event e = resets ? NDE_INIT(nde_event, .g = &clock, .reset = &bad) : NDE_INIT(nde_event, .g = &bad);
            nde_problem problem = NDE_INIT(nde_problem, .n = 3, .t1 = 1, .y0 = y0, .drift = &f, .events = &e, .n_events = 1);
            const nde_options o = NDE_INIT(nde_options, .steps = 4);
            nde_solution s = NDE_INIT(nde_solution, .n = 0), alone = NDE_INIT(nde_solution, .n = 0);
            assert_int_equal(nde_solve(&problem, &o, &s), NDE_E_LANES);
            assert_true(s.status[0] == NDE_OK && s.status[1] == cases[k].status && s.status[2] == NDE_OK);
            assert_true(s.event_end[0] == -1 && s.event_end[1] == 0 && s.event_end[2] == -1);
            problem.n = 1, problem.y0 = y0 + 2;
            assert_int_equal(nde_solve(&problem, &o, &alone), NDE_OK);
            assert_true(alone.y_end[0] == s.y_end[2]);
            nde_solution_free(&s), nde_solution_free(&alone);
        }
}

static void what_is_wrong_is_refused(void **state) {
    (void)state;
    nde_pointwise keep[3];
    nde_field f[3];
    nde_event e;
    nde_problem problem;
    static nde_real y0[2*MANY];
    balls(&problem, &e, f, keep, y0);
    nde_solver *s;
    nde_options o = within(1e-5);
    o.stepping = NDE_STEP_JOINT;
    assert_int_equal(nde_solver_create(&problem, &o, &s), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "events[0].reset"));
    o.stepping = 0;
    const nde_event bad[] = { NDE_INIT(nde_event, .g = NULL), NDE_INIT(nde_event, .g = f),
                              NDE_INIT(nde_event, .g = &f[1], .terminal = -1),
                              NDE_INIT(nde_event, .g = &f[1], .reset = &f[1]) };
    for (size_t k = 0; k < LENGTH(bad); k++) {
        problem.events = &bad[k];
        assert_int_equal(nde_solver_create(&problem, &o, &s), NDE_E_ARG);
        assert_non_null(strstr(nde_error(), "events"));
    }
    problem.events = &e, o.event_rows = SIZE_MAX/8 + 1;
    assert_int_equal(nde_solver_create(&problem, &o, &s), NDE_E_SIZE);
    o.event_rows = 0, problem.events = NULL;
    assert_int_equal(nde_solver_create(&problem, &o, &s), NDE_E_ARG);
    problem.events = &e, problem.n_events = 65;
    assert_int_equal(nde_solver_create(&problem, &o, &s), NDE_E_SIZE);

    y0[1] = 0;
    problem.n_events = 1, problem.n = 1, o.adjoint = NDE_ADJOINT_DISCRETE, o.budget = 1 << 20;
    nde_real a[2] = { 1, 1 }, y[2];
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = a);
    const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = y);
    assert_int_equal(nde_solver_create(&problem, &o, &s), NDE_OK);
    assert_int_equal(nde_solver_run(s, NULL), NDE_EVENT);
    assert_int_equal(nde_backward(s, &seed, &gradient), NDE_E_NO_VJP);
    assert_int_equal(nde_solver_dense(s, 0, 0.1, y, NULL), NDE_OK);
    assert_true(fabs((double)y[0] - 0.96) <= 100*NDE_TEST_EPS);
    nde_solver_destroy(s);
    e.reset = NULL, e.terminal = 1;
    assert_int_equal(nde_solver_create(&problem, &o, &s), NDE_OK);
    assert_int_equal(nde_solver_run(s, NULL), NDE_EVENT);
    assert_int_equal(nde_solver_dense(s, 0, 0.25, y, NULL), NDE_OK);
    assert_true(fabs((double)y[0] - 0.75) <= 100*NDE_TEST_EPS);
    assert_int_equal(nde_backward(s, &seed, &gradient), NDE_E_NO_VJP);
    nde_solver_destroy(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decay_stops_at_one), cmocka_unit_test(circles_pass_zero), cmocka_unit_test(ball_bounces),
        cmocka_unit_test(short_flights_are_seen), cmocka_unit_test(endless_bounces_are_ended),
        cmocka_unit_test(zeros_are_cheap), cmocka_unit_test(resets_are_starts), cmocka_unit_test(jumps_are_no_events),
        cmocka_unit_test(small_cases), cmocka_unit_test(ensembles_are_the_same), cmocka_unit_test(failures_are_named),
        cmocka_unit_test(failures_stay_in_their_lane), cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(rest_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
