/* SPDX-License-Identifier: MIT
 * others.c - callbacks besides the right-hand side: event functions and resets, norms, controllers, domains, losses. Every
 * call of each fails once in every way: the status is the documented one, states are finite and accepted, and the solver,
 * run again, gives the bits of before. */
#include "rig.h"

#include <limits.h>

enum { GUARD, RESET, NORM, DECIDE, INSIDE, LOSS, OTHERS };
static const char *const names[OTHERS] = { "event", "reset", "norm", "controller", "domain", "loss" };

/* One call of one of them, and what it does then. */
typedef struct culprit {
    int who;
    long at;
    bool for_ever, silent;
    int code, mark;
    double value; /* written where it is not 1 */
    long calls[OTHERS];
} culprit;

static culprit bad;

static bool now(int who) {
    const long call = bad.calls[who]++;
    return bad.who == who && bad.at >= 0 && (call == bad.at || (bad.for_ever && call > bad.at));
}

static int spoil(int who, const nde_site *at, size_t rows, nde_real *out) {
    if (!now(who)) return 0;
    if (bad.mark) at->lane[0] = (unsigned char)bad.mark;
    if (bad.value != 1) out[(rows - 1)*at->ld] = (nde_real)bad.value;
    return bad.code;
}

/* ---- a ball on a spring that bounces ------------------------------------------------------------------------------- */

static int spring(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)f;
    for (size_t b = 0; b < at->n; b++) dy[b] = y[at->ld + b], dy[at->ld + b] = -y[b] - (nde_real)0.5;
    return 0;
}
static int height(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *g) {
    (void)f;
    const bool silent = bad.silent && bad.who == GUARD && bad.calls[GUARD] == bad.at;
    for (size_t b = 0; !silent && b < at->n; b++) g[b] = y[b];
    return spoil(GUARD, at, 1, g);
}
static int bounce(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *z) {
    (void)f;
    const bool silent = bad.silent && bad.who == RESET && bad.calls[RESET] == bad.at;
    for (size_t b = 0; !silent && b < at->n; b++) z[b] = y[b], z[at->ld + b] = -(nde_real)0.9*y[at->ld + b];
    return spoil(RESET, at, 2, z);
}

static int largest(void *ctx, size_t n, size_t ld, const size_t *who, const nde_real *error, const nde_real *y,
                   const nde_real *z, double *norm) {
    (void)ctx, (void)who;
    const bool struck = now(NORM);
    for (size_t b = 0; b < n && !(struck && bad.silent); b++) {
        norm[b] = 0;
        for (size_t i = 0; i < 2; i++)
            norm[b] = fmax(norm[b],
                           fabs((double)error[i*ld + b])/(1e-6 + 1e-5*fmax(fabs((double)y[i*ld + b]),
                                                                           fabs((double)z[i*ld + b]))));
        if (struck && bad.value != 1) norm[b] = bad.value;
    }
    return struck ? bad.code : 0;
}
static int agree(void *ctx, nde_decision *d) {
    (void)ctx;
    if (!now(DECIDE)) return 0;
    if (bad.value != 1) d->factor = d->error = bad.value, d->accept = 7;
    return bad.code;
}
static int near(void *ctx, size_t who, double t, const nde_real *y) {
    (void)ctx, (void)who, (void)t;
    return now(INSIDE) ? bad.code : isfinite(y[0]) && y[0] > -10;
}
static int squares(void *ctx, size_t save, double t, size_t n, const nde_real *y, double *value, nde_real *a_y) {
    (void)ctx, (void)save, (void)t, (void)a_y;
    const bool struck = now(LOSS);
    for (size_t i = 0; i < 2*n && !(struck && bad.silent); i++) *value += (double)y[i]*(double)y[i];
    if (struck && bad.value != 1) *value = bad.value;
    return struck ? bad.code : 0;
}

typedef struct ball {
    nde_field drift, g, reset;
    nde_event event;
    nde_error_norm norm;
    nde_domain domain;
    nde_controller decide;
    nde_loss loss;
    nde_real y0[6];
    double save_t[4];
    nde_problem problem;
    nde_options options;
    nde_solver *solver;
    nde_solution solution;
} ball;

static void make(ball *r, size_t n, bool joint) {
    r->drift = NDE_INIT(nde_field, .dim = 2, .out = 2, .traits = NDE_LANEWISE, .eval = spring);
    r->g = NDE_INIT(nde_field, .dim = 2, .out = 1, .traits = NDE_LANEWISE, .eval = height);
    r->reset = NDE_INIT(nde_field, .dim = 2, .out = 2, .traits = NDE_LANEWISE, .eval = bounce);
    r->event = NDE_INIT(nde_event, .g = &r->g, .direction = -1, .reset = joint && n > 1 ? NULL : &r->reset);
    r->norm = NDE_INIT(nde_error_norm, .of = largest);
    r->domain = NDE_INIT(nde_domain, .inside = near);
    r->decide = NDE_INIT(nde_controller, .decide = agree);
    r->loss = NDE_INIT(nde_loss, .at = squares);
    for (size_t i = 0; i < 6; i++) r->y0[i] = i < n ? (nde_real)(1 + 0.125*(double)i) : 0;
    for (size_t i = 0; i < 4; i++) r->save_t[i] = (double)i + 0.5;
    r->problem = NDE_INIT(nde_problem, .n = n, .drift = &r->drift, .y0 = r->y0, .t1 = 4, .events = &r->event, .n_events = 1,
                          .norm = &r->norm, .domain = &r->domain, .loss = &r->loss);
    r->options = NDE_INIT(nde_options, .decide = &r->decide, .save_t = r->save_t, .n_save = 4, .stepping = joint,
                          .max_steps = 2000);
    r->solution = (nde_solution){ 0 };
    assert_int_equal(nde_solver_create(&r->problem, &r->options, &r->solver), NDE_OK);
}

static uint64_t hash_all(const nde_solution *s) {
    uint64_t h = hash_solution(s);
    h = hash_more(h, &s->loss, sizeof s->loss);
    h = hash_more(h, s->event_count, s->n*sizeof *s->event_count);
    return hash_more(h, s->event_t, s->event_rows*s->n*sizeof *s->event_t);
}

/* ---- every call, every way ------------------------------------------------------------------------------------------ */

static bool is_one_of(int status, const int *list) { /* ends with 1000 */
    for (; *list != 1000; list++)
        if (status == *list) return true;
    return false;
}

typedef struct way {
    int code, mark;
    double value;
    bool silent, for_ever;
    int may[OTHERS][7]; /* status of the trajectory that is struck; OK, or a good end, where it is not listed */
} way;

#define E(...) { __VA_ARGS__, 1000 }
#define FIELD_FAILS NDE_E_FIELD, NDE_E_FIELD_FIRST
#define NEVER E(999)
static const way ways[] = {
    { NDE_FIELD_RETRY, 0, 1, 0, 0, { E(FIELD_FAILS), E(FIELD_FAILS), E(NDE_OK), E(NDE_STOPPED), E(NDE_OK), E(FIELD_FAILS) } },
    { NDE_FIELD_RETRY, 0, 1, 0, 1,
      { E(FIELD_FAILS), E(FIELD_FAILS), E(FIELD_FAILS, NDE_OK), E(NDE_STOPPED), E(NDE_OK), E(FIELD_FAILS) } },
    { NDE_FIELD_STOP, 0, 1, 0, 0,
      { E(NDE_STOPPED), E(NDE_STOPPED), E(NDE_STOPPED, NDE_OK), E(NDE_STOPPED), E(NDE_OK), E(NDE_STOPPED, FIELD_FAILS) } },
    { -1, 0, 1, 0, 0,
      { E(FIELD_FAILS), E(FIELD_FAILS), E(FIELD_FAILS, NDE_OK), E(NDE_STOPPED), E(NDE_OK), E(FIELD_FAILS) } },
    { INT_MIN, 0, 1, 0, 0,
      { E(FIELD_FAILS), E(FIELD_FAILS), E(FIELD_FAILS, NDE_OK), E(NDE_STOPPED), E(NDE_OK), E(FIELD_FAILS) } },
    { 0, 0, 1, 0, 0, { E(NDE_OK), E(NDE_OK), E(NDE_OK), E(NDE_OK), E(NDE_OK, NDE_E_DOMAIN), E(NDE_OK) } },
    { 0, 0, 1, 0, 1, { E(NDE_OK), E(NDE_OK), E(NDE_OK), E(NDE_OK), E(NDE_E_DOMAIN), E(NDE_OK) } },
    { 0, 0, (double)NAN, 0, 0, { E(NDE_E_NONFINITE), E(NDE_E_NONFINITE), E(NDE_OK), E(NDE_OK), NEVER, E(NDE_OK) } },
    { 0, 0, (double)NAN, 0, 1,
      { E(NDE_E_NONFINITE), E(NDE_E_NONFINITE), E(NDE_E_NONFINITE, NDE_OK),
        E(NDE_E_NONFINITE, NDE_E_STEPSIZE, NDE_E_STEPS, NDE_OK), NEVER, E(NDE_OK) } },
    { 0, 0, (double)INFINITY, 0, 1,
      { E(NDE_OK, NDE_E_NONFINITE), E(NDE_E_NONFINITE), E(NDE_E_NONFINITE, NDE_E_STEPSIZE, NDE_OK),
        E(NDE_E_NONFINITE, NDE_E_STEPSIZE, NDE_E_STEPS, NDE_OK), NEVER, E(NDE_OK) } },
    { 0, 0, -1e308, 0, 1,
      { E(NDE_OK, NDE_E_NONFINITE), E(NDE_E_NONFINITE, NDE_E_DOMAIN, NDE_E_STEPSIZE, NDE_OK, NDE_E_STEPS),
        E(NDE_E_NONFINITE, NDE_E_STEPSIZE, NDE_OK), E(NDE_E_NONFINITE, NDE_E_STEPSIZE, NDE_E_STEPS, NDE_OK), NEVER,
        E(NDE_OK) } },
    { 0, 0, 5e-324, 0, 0, { E(NDE_OK), E(NDE_OK), E(NDE_OK), E(NDE_OK), NEVER, E(NDE_OK) } },
    { 0, 0, 1, 1, 0, { E(NDE_E_NONFINITE), E(NDE_E_NONFINITE), E(NDE_OK), E(NDE_OK), NEVER, E(NDE_OK) } },
    { 0, NDE_LANE_RETRY, 1, 0, 0, { E(FIELD_FAILS), E(FIELD_FAILS), NEVER, NEVER, NEVER, NEVER } },
    { 0, NDE_LANE_STOP, 1, 0, 0, { E(NDE_STOPPED), E(NDE_STOPPED), NEVER, NEVER, NEVER, NEVER } },
};

static void every_call_in_every_way(void **state) {
    (void)state;
    static ball r;
    long count = 0;
    for (int bits = 0; bits < 4; bits++) {
        make(&r, bits & 1 ? 3 : 1, bits & 2);
        bad = (culprit){ .at = -1 };
        assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
        const uint64_t good = hash_all(&r.solution);
        const culprit healthy = bad;
        for (int who = 0; who < OTHERS; who++)
            for (long k = 0; k < healthy.calls[who]; k += healthy.calls[who] > 300 ? 3 : 1)
                for (size_t i = 0; i < LENGTH(ways); i++) {
                    const way *w = &ways[i];
                    if (w->may[who][0] == 999) continue;
                    bad = (culprit){ .who = who, .at = k, .for_ever = w->for_ever, .silent = w->silent, .code = w->code,
                                     .mark = w->mark, .value = w->value };
                    const nde_status status = nde_solver_run(r.solver, &r.solution);
                    const nde_solution *s = &r.solution;
                    /* a code that speaks for several lanes makes them be asked one by one */
                    bool listed = status == NDE_OK && s->n > 1 && w->code && !w->for_ever && who <= RESET;
                    for (size_t b = 0; b < s->n; b++) {
                        listed = listed || is_one_of(who == LOSS ? (int)status : (int)s->status[b], w->may[who]);
                        if (s->status[b] != NDE_OK && !is_one_of(s->status[b], w->may[who])) listed = false, b = s->n;
                    }
                    if (!listed || !states_are_finite(s) || (status < 0) != (s->error != NULL))
                        fail_msg("%s, call %ld of %ld, way %d, %d: %s, trajectory 0 %s, %s", names[who], k,
                                 healthy.calls[who], (int)i, bits, nde_status_name(status), nde_status_name(s->status[0]),
                                 s->error);
                    if (w->for_ever && who == NORM && status < 0) assert_true(bad.calls[who] <= k + 60*(long)s->n);
                    if (w->code && who != INSIDE && status == NDE_STOPPED && s->n == 1) assert_true(bad.calls[who] == k + 1);
                    count++;
                    bad = (culprit){ .at = -1 };
                    assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
                    assert_true(hash_all(&r.solution) == good);
                }
        nde_solver_destroy(r.solver);
    }
    print_message("C7: %ld injected solves\n", count);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_call_in_every_way) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
