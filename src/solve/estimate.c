/* SPDX-License-Identifier: MIT
 * estimate.c - what accepted steps say of themselves (options.estimates): |h| times the size of the embedded error, and
 * the stiffness, for each trajectory summed up or of one drawn step, with transposes and tangents. Both are made of h and
 * of sums of slopes, x = sum_j w_j k_j, by their squares |x|^2: the sums of the two error estimates, and the differences
 * of the slopes and of the states (over h) of two stages. Sources: see NDE_ESTIMATES_ALL. */
#include "solve/solver.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { ERROR, ERROR2, SLOPES, STATES };

void nde_estimates_clear(nde_solver *s) {
    if (s->error_estimate) memset(s->error_estimate, 0, s->N*sizeof *s->error_estimate);
    if (s->stiffness_estimate) memset(s->stiffness_estimate, 0, s->N*sizeof *s->stiffness_estimate);
}

void nde_estimates_begin(nde_solver *s) {
    nde_estimates_clear(s);
    if (s->estimate_step) memset(s->estimate_step, 0, s->N*sizeof *s->estimate_step);
    s->estimate_seed = s->options.estimate_seed ? *s->options.estimate_seed : 0;
}

nde_status nde_estimate_check(const nde_solver *s, const char *call, const char *what, const double *error,
                              const double *stiffness) {
    if (error && !s->error_estimate) return nde_fail(NDE_E_ARG, "%s: %s.error_estimate without options.estimates", call, what);
    if (stiffness && !s->stiffness_estimate)
        return nde_fail(NDE_E_ARG, "%s: %s.stiffness_estimate without options.estimates, or of method %s", call, what,
                        s->base->name ? s->base->name : "(tableau)");
    return NDE_OK;
}

double nde_estimate_loss(nde_solver *s) {
    const double error = s->loss.error_estimate, stiffness = s->loss.stiffness_estimate;
    double sum = 0;
    for (size_t who = 0; who < s->N && (error != 0 || stiffness != 0); who++) {
        if (s->a_estimate) s->a_estimate[who] = error, s->a_estimate[s->N + who] = stiffness;
        if (s->status[who] < 0) continue;
        if (error != 0) sum += error*s->error_estimate[who];
        if (stiffness != 0) sum += stiffness*s->stiffness_estimate[who];
    }
    return sum;
}

/* ---- sums of slopes -------------------------------------------------------------------------- */

static const nde_row *row_of(const nde_table *t, int sum, size_t i) {
    if (sum == ERROR) return i < t->split || !t->velocity_error.count ? &t->error : &t->velocity_error;
    return sum == ERROR2 ? &t->error2 : &t->probe[sum - SLOPES];
}

/* x [n] = sum_j w_j k_j, component i. */
static void combine(const nde_panel *p, const nde_row *row, const nde_real *k, size_t i, double *x) {
    memset(x, 0, p->live->n*sizeof *x);
    for (int j = 0; j < row->count; j++) {
        const nde_real *from = k + (size_t)row->index[j]*p->slab + i*p->ld;
        for (size_t b = 0; b < p->live->n; b++) x[b] += (double)row->weight[j]*(double)from[b];
    }
}

/* size [n] += sum_j (w_j k_j)^2: what x may have lost in rounding is relative to it. */
static void add_sizes(const nde_panel *p, const nde_row *row, size_t i, double *size) {
    for (int j = 0; j < row->count; j++) {
        const nde_real *k = p->k + (size_t)row->index[j]*p->slab + i*p->ld;
        for (size_t b = 0; b < p->live->n; b++)
            size[b] += ((double)row->weight[j]*(double)k[b])*((double)row->weight[j]*(double)k[b]);
    }
}

/* square = |x|^2 and, with v_k, product = <x, v_x>, of all lanes; 0 where differences of slopes or states are lost in
 * rounding: then they tell nothing, and their derivatives are noise. */
static void measure(const nde_solver *s, const nde_panel *p, const nde_real *v_k, nde_estimates *e) {
    const size_t n = p->live->n;
    const double lost = 100*(sizeof(nde_real) == sizeof(float) ? (double)FLT_EPSILON : DBL_EPSILON);
    for (int sum = 0; sum < NDE_ESTIMATE_SUMS; sum++) {
        memset(e->square[sum], 0, n*sizeof(double)), memset(e->size, 0, n*sizeof *e->size);
        if (v_k) memset(e->product[sum], 0, n*sizeof(double));
        for (size_t i = 0; i < s->rhs.dim && row_of(&s->table, sum, i)->count; i++) {
            const nde_row *row = row_of(&s->table, sum, i);
            combine(p, row, p->k, i, e->x);
            for (size_t b = 0; b < n; b++) e->square[sum][b] += e->x[b]*e->x[b];
            if (sum >= SLOPES) add_sizes(p, row, i, e->size);
            if (!v_k) continue;
            combine(p, row, v_k, i, e->v_x);
            for (size_t b = 0; b < n; b++) e->product[sum][b] += e->x[b]*e->v_x[b];
        }
        for (size_t b = 0; b < n; b++)
            if (e->square[sum][b] < lost*lost*e->size[b]) e->square[sum][b] = 0;
    }
}

/* ---- one step -------------------------------------------------------------------------------- */

/* A term, its derivatives by the squares of its two sums, and by h. */
typedef struct term {
    double value, by[2], by_h;
} term;

/* h^2 times the root mean square; see nde_error_of_two. */
static term error_of(const nde_solver *s, const nde_estimates *e, size_t b, double h) {
    const double dim = (double)s->rhs.dim, a = e->square[ERROR][b]/dim, c = 0.01*e->square[ERROR2][b]/dim, whole = a + c;
    const double size = sqrt(nde_error_of_two(a, e->square[ERROR2][b]/dim));
    if (!(size > 0)) return (term){ .value = h*h*size };
    const double by = h*h/(2*size*dim)*(a/whole);
    return (term){ .value = h*h*size, .by = { by*((a + 2*c)/whole), -0.01*by*(a/whole) }, .by_h = 2*h*size };
}

static term stiffness_of(const nde_estimates *e, size_t b, double h) {
    const double slopes = e->square[SLOPES][b], states = e->square[STATES][b];
    if (!(slopes > 0 && states > 0)) return (term){ .value = 0 };
    const double value = sqrt(slopes/states)/fabs(h);
    return (term){ .value = value, .by = { 0.5*value/slopes, -0.5*value/states }, .by_h = -value/h };
}

/* Does accepted step `number` of a trajectory count, once it is known which do? */
static bool counts(const nde_solver *s, size_t who, int64_t number) {
    return !s->estimate_step || s->estimate_step[who] == number;
}

/* Is an accepted step drawn? The last one that is stays. With probability 1/number each, all are as likely.
 * Source: J. Vitter, Random sampling with a reservoir, ACM TOMS 11 (1985) 37-57. */
static bool is_drawn(const nde_solver *s, const nde_panel *p, size_t b, int64_t number) {
    const size_t who = p->trajectory[b];
    const uint64_t seed = s->estimate_seed;
    if (s->options.estimates == NDE_ESTIMATES_STEP)
        return nde_uniform(seed, NDE_PURPOSE_STEP, who, (uint64_t)number, 0)*(double)number < 1;
    const double t0 = nde_start_of(s, who), t = t0 + nde_uniform(seed, NDE_PURPOSE_STEP, who, 0, 0)*(nde_end_of(s, who) - t0);
    return s->direction*t <= s->direction*p->t_new[b] && (number == 1 || s->direction*t > s->direction*p->t[b]);
}

void nde_estimate_step(nde_solver *s, nde_worker *w, const nde_panel *p, bool again) {
    measure(s, p, NULL, &w->estimates);
    for (size_t b = 0; b < p->live->n; b++) {
        const size_t who = p->trajectory[b];
        const int64_t number = p->accepted[b] + 1;
        if (!p->accept[b]) continue;
        if (s->estimate_step && !again) {
            if (!is_drawn(s, p, b, number)) continue;
            s->estimate_step[who] = number, s->error_estimate[who] = 0;
            if (s->stiffness_estimate) s->stiffness_estimate[who] = 0;
        }
        if (!counts(s, who, number)) continue;
        s->error_estimate[who] += error_of(s, &w->estimates, b, p->dt[b]).value;
        if (s->stiffness_estimate) s->stiffness_estimate[who] += stiffness_of(&w->estimates, b, p->dt[b]).value;
    }
}

/* a_k += a w_j x for the cotangents a [n] of |x|^2/2. */
static void combine_transpose(const nde_solver *s, const nde_panel *p, int sum, const double *a, double *x, nde_real *a_k) {
    for (size_t i = 0; i < s->rhs.dim; i++) {
        const nde_row *row = row_of(&s->table, sum, i);
        combine(p, row, p->k, i, x);
        for (int j = 0; j < row->count; j++) {
            nde_real *to = a_k + (size_t)row->index[j]*p->slab + i*p->ld;
            for (size_t b = 0; b < p->live->n; b++) to[b] += (nde_real)(a[b]*(double)row->weight[j]*x[b]);
        }
    }
}

void nde_estimate_transpose(const nde_solver *s, nde_worker *w, const nde_seed *seed, bool times) {
    const nde_panel *p = &w->replica;
    nde_estimates *e = &w->estimates;
    measure(s, p, NULL, e);
    for (size_t b = 0; b < p->live->n; b++) {
        const size_t who = w->who[b];
        const bool in = p->accept[b] && s->status[who] >= 0 && counts(s, who, w->accepted[b]);
        const double a_error = in && seed->error_estimate ? seed->error_estimate[who] : 0;
        const double a_stiffness = in && seed->stiffness_estimate ? seed->stiffness_estimate[who] : 0;
        const term error = a_error != 0 ? error_of(s, e, b, p->dt[b]) : (term){ .value = 0 };
        const term stiffness = a_stiffness != 0 ? stiffness_of(e, b, p->dt[b]) : (term){ .value = 0 };
        for (int i = 0; i < 2; i++)
            e->square[ERROR + i][b] = 2*a_error*error.by[i], e->square[SLOPES + i][b] = 2*a_stiffness*stiffness.by[i];
        if (times) w->a_h[b] += a_error*error.by_h + a_stiffness*stiffness.by_h;
    }
    for (int sum = seed->error_estimate ? ERROR : SLOPES; sum <= (seed->stiffness_estimate ? STATES : ERROR2); sum++)
        combine_transpose(s, p, sum, e->square[sum], e->x, w->a_k);
}

static double tangent_of(const term *x, const nde_estimates *e, int sum, size_t b, double v_h) {
    return 2*(x->by[0]*e->product[sum][b] + x->by[1]*e->product[sum + 1][b]) + x->by_h*v_h;
}

void nde_estimate_tangent(const nde_solver *s, nde_worker *w, const nde_panel *p, const nde_real *v_k, size_t lanes,
                          const nde_output_tangent *out) {
    nde_estimates *e = &w->estimates;
    measure(s, p, v_k, e);
    for (size_t b = 0; b < p->live->n; b++) {
        const size_t who = p->trajectory[b], to = b/lanes*s->N + who;
        if (!p->accept[b] || s->status[who] < 0 || !counts(s, who, p->accepted[b] + 1)) continue;
        const term error = error_of(s, e, b, p->dt[b]), stiffness = stiffness_of(e, b, p->dt[b]);
        if (out->error_estimate) out->error_estimate[to] += tangent_of(&error, e, ERROR, b, w->a_h[b]);
        if (out->stiffness_estimate) out->stiffness_estimate[to] += tangent_of(&stiffness, e, SLOPES, b, w->a_h[b]);
    }
}
