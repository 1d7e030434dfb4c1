/* SPDX-License-Identifier: MIT
 * crossing.c - continuous adjoints through events. Where g(t, y-; p, q) = 0 and y+ = R(t, y-; p, q), with F+ and F- the slopes
 * there, cotangents a+ of what follows, and the quadrature among the rows of F and a:
 *   b = <a+, R_t - F+>    a = a+ R_y    of the time and of y-, with what is seeded to them
 *   a- = a + pull g_y, and pull g_p, pull g_q beside a+ R_p, a+ R_q    pull = -(b + <a, F->)/(g_t + g_y F-)
 * Where nothing is reset a+ and F+ are zero, and what follows does not move. Sources: those of saltation.c. */
#include "adjoint/back.h"
#include "adjoint/saltation.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- which ------------------------------------------------------------------------------------- */

static double time_of(const nde_back *k, size_t row, size_t who) { return k->s->hits.t[row*k->s->N + who]; }

/* The cut that the way back comes to next; NULL: there is none. */
static const nde_cut *next_cut(const nde_back *k, size_t who) {
    return k->cut[who] ? &k->forward.cut[who][k->cut[who] - 1] : NULL;
}

static bool is_asked(const nde_back *k) { return k->seed.event_t || k->seed.event_y; }

void nde_crossing_aim(nde_back *k, size_t who) {
    const nde_solver *s = k->s;
    const nde_cut *cut = next_cut(k, who);
    k->t1[who] = cut ? cut->t : nde_start_of(s, who);
    if (is_asked(k) && k->hit[who]) {
        const double t = time_of(k, k->hit[who] - 1, who);
        if (s->direction*t > s->direction*k->t1[who] && !(cut && nde_events_meet(t, cut->t))) k->t1[who] = t;
    }
    if (!k->solves_state) nde_history_between(&k->forward, who, k->t1[who], k->t0[who]);
}

bool nde_crossing_is_due(const nde_back *k, size_t who) {
    return k->hit && k->t0[who] == k->t1[who] && k->t1[who] != nde_start_of(k->s, who);
}

nde_status nde_crossing_check(const nde_back *k) {
    const nde_solver *s = k->s;
    for (size_t who = 0; s->rhs.noisy && k->hit && who < s->N; who++)
        if (s->status[who] >= 0 && ((s->logs && k->forward.cuts[who]) || (is_asked(k) && s->hits.kept[who])))
            return nde_fail(NDE_E_ARG, "nde_backward: with noise, continuous adjoints do not know what events do: "
                            "NDE_ADJOINT_DISCRETE does");
    return NDE_OK;
}

/* ---- across one ----------------------------------------------------------------------------------- */

/* A hit of a trajectory; a and b become cotangents of the state before it and of its time. */
typedef struct crossing {
    nde_back *k;
    nde_worker *w;
    size_t who, event;
    double t, b, *p;            /* p: the shard's sum, NULL: none */
    nde_real *before, *after;   /* [dim] y- and y+ */
    nde_real *rate, *a;         /* [rows] F-; a */
    nde_real *normal, *q;       /* [dim] g_y; [nq] */
} crossing;

/* y [dim]: y-, `apart` apart. */
static crossing look_at(nde_back *k, size_t who, size_t event, double t, const nde_real *y, size_t apart) {
    nde_solver *s = k->s;
    const size_t rows = s->rhs.rows;
    nde_real *to = k->at_hit;
    const crossing c = { .k = k, .w = s->worker, .who = who, .event = event, .t = t,
                         .p = s->shard[s->panel[who/s->panel[0].count].shard].p, .before = to, .after = to + rows,
                         .rate = to + 2*rows, .a = to + 3*rows, .normal = to + 4*rows, .q = to + 5*rows };
    for (size_t i = 0; i < s->rhs.dim; i++) c.before[i] = y[i*apart];
    return c;
}

/* Slopes [rows] at the hit with state y [dim], before or after it; the worker's group is then that trajectory at that time. */
static int slope_at(const crossing *c, const nde_real *y, bool after, const nde_real **slope) {
    nde_solver *s = c->k->s;
    const double ahead = 1e-9*(nde_end_of(s, c->who) - nde_start_of(s, c->who));
    return nde_slope_at(s, c->who, c->t, after ? ahead : -ahead, y, 1, slope);
}

static double dot(size_t rows, const nde_real *a, const nde_real *b) {
    double sum = 0;
    for (size_t i = 0; i < rows; i++) sum += (double)a[i]*(double)b[i];
    return sum;
}

static nde_sink sink_of(const crossing *c) {
    const nde_rhs *r = &c->k->s->rhs;
    memset(c->q, 0, r->nq*sizeof *c->q);
    return (nde_sink){ .p = r->np ? c->p : NULL, .q = r->nq ? c->q : NULL };
}

static void add_q(const crossing *c) {
    nde_solver *s = c->k->s;
    for (size_t i = 0; i < s->rhs.nq; i++) s->g_q[i*s->N + c->who] += c->q[i];
}

/* From what follows the reset to what was before it. */
static int through_reset(crossing *c) {
    nde_solver *s = c->k->s;
    const nde_part *reset = &s->rhs.event[c->event].reset;
    nde_lanes *lanes = &c->w->group.lanes;
    const nde_real *slope;
    int rc = slope_at(c, c->before, false, &slope);
    if (!rc) rc = nde_part_eval(&s->rhs, lanes, reset, &c->t, c->before, c->after);
    if (!rc) rc = slope_at(c, c->after, true, &slope);
    if (rc) return rc;
    c->b -= dot(s->rhs.rows, c->a, slope);
    nde_real *const from = c->normal;
    memcpy(from, c->a, s->rhs.dim*sizeof *from);
    memset(c->a, 0, s->rhs.dim*sizeof *c->a);
    nde_sink sink = sink_of(c);
    sink.t = &c->b;
    rc = nde_part_vjp(&s->rhs, lanes, reset, &c->t, c->before, from, c->a, &sink);
    add_q(c);
    return rc;
}

/* Is g, with its slope dg/dt at the zero, crossed? Where it is flat against its value a little before. */
static int check_crossing(const crossing *c, double slope) {
    const nde_solver *s = c->k->s;
    const double eps = sizeof(nde_real) == sizeof(double) ? DBL_EPSILON : (double)FLT_EPSILON;
    const double little = sqrt(eps)*fmax(fabs(c->t), fabs(c->t - nde_start_of(s, c->who))), t = c->t - s->direction*little;
    nde_real value = 0;
    for (size_t i = 0; i < s->rhs.dim; i++) c->normal[i] = c->before[i] - (nde_real)(s->direction*little)*c->rate[i];
    const int rc = nde_part_eval(&s->rhs, &c->w->group.lanes, &s->rhs.event[c->event].g, &t, c->normal, &value);
    if (rc) return rc;
    const bool crossed = isfinite(slope) && slope != 0 && fabs(slope*little) > sqrt(eps)*fabs((double)value);
    return crossed ? 0 : nde_saltation_meet(c->w, c->who, c->event, c->t, false);
}

/* Cotangents a and b become one of the state alone, at fixed t. */
static int through_zero(crossing *c) {
    nde_solver *s = c->k->s;
    nde_lanes *lanes = &c->w->group.lanes;
    const nde_part *g = &s->rhs.event[c->event].g;
    const nde_real one = 1, *rate;
    double slope = 0;
    int rc = slope_at(c, c->before, false, &rate);
    if (rc) return rc;
    memcpy(c->rate, rate, s->rhs.rows*sizeof *rate);
    memset(c->normal, 0, s->rhs.dim*sizeof *c->normal);
    rc = nde_part_vjp(&s->rhs, lanes, g, &c->t, c->before, &one, c->normal, &(nde_sink){ .t = &slope });
    slope += dot(s->rhs.dim, c->normal, c->rate);
    if (rc || (rc = check_crossing(c, slope))) return rc;
    const nde_real pull = (nde_real)(-(c->b + dot(s->rhs.rows, c->a, c->rate))/slope);
    const nde_sink sink = sink_of(c);
    rc = nde_part_vjp(&s->rhs, lanes, g, &c->t, c->before, &pull, c->a, &sink);
    add_q(c);
    return rc;
}

/* ---- all at one time -------------------------------------------------------------------------------- */

/* The state solved backwards begins anew; how far it was from what followed the hit. */
static void begin_state(const crossing *c, bool reset) {
    nde_back *k = c->k;
    const size_t dim = k->s->rhs.dim, N = k->s->N;
    const nde_real *was = reset ? c->after : c->before;
    double sum = 0;
    for (size_t i = 0; i < dim; i++) {
        nde_real *y = &k->y0[i*N + c->who];
        const double distance = (double)*y - (double)was[i];
        sum += distance*distance, *y = c->before[i];
    }
    k->deviation[c->who] = fmax(k->deviation[c->who], sqrt(sum/(double)dim));
}

/* Cotangents [rows] of the state and the quadrature of a trajectory on its way back. */
static void take_cotangents(const crossing *c) {
    const nde_back *k = c->k;
    const nde_solver *s = k->s;
    for (size_t i = 0; i < s->rhs.dim; i++) c->a[i] = k->y0[(k->a + i)*s->N + c->who];
    for (size_t i = 0; i < s->rhs.nz; i++)
        c->a[s->rhs.dim + i] = k->seed.quadrature ? k->seed.quadrature[i*s->N + c->who] : 0;
}

static void put_cotangents(const crossing *c, bool add) {
    const nde_back *k = c->k;
    for (size_t i = 0; i < k->s->rhs.dim; i++) {
        nde_real *to = &k->y0[(k->a + i)*k->s->N + c->who];
        *to = add ? *to + c->a[i] : c->a[i];
    }
}

static int cross_cut(nde_back *k, size_t who, const nde_cut *cut) {
    const nde_solver *s = k->s;
    const bool end = !cut->y;
    crossing c = look_at(k, who, cut->event, cut->t, end ? s->y_end + who : cut->y, end ? s->N : cut->apart);
    int rc = 0;
    take_cotangents(&c);
    if (!end) rc = through_reset(&c);
    else if (k->seed.t_end) c.b = k->seed.t_end[who];
    if (!rc) rc = through_zero(&c);
    if (rc) return rc;
    put_cotangents(&c, false);
    if (k->solves_state) begin_state(&c, !end);
    return 0;
}

/* A hit that somebody asks for, one that cuts too: what is seeded to its row, beside what follows it. */
static int cross_asked(nde_back *k, size_t who, size_t row) {
    const nde_solver *s = k->s;
    const nde_seed *seed = &k->seed;
    const size_t N = s->N, dim = s->rhs.dim, at = row*N + who, y = row*dim*N + who;
    crossing c = look_at(k, who, (size_t)s->hits.which[at], s->hits.t[at], s->hits.y + y, N);
    memset(c.a, 0, s->rhs.rows*sizeof *c.a);
    if (seed->event_t) c.b = seed->event_t[at];
    for (size_t i = 0; seed->event_y && i < dim; i++) c.a[i] = seed->event_y[y + i*N];
    const int rc = through_zero(&c);
    if (!rc) put_cotangents(&c, true);
    return rc;
}

int nde_crossing_take(nde_back *k, size_t who) {
    nde_solver *s = k->s;
    const double t = k->t1[who];
    const nde_cut *cut = next_cut(k, who);
    const size_t N = s->N, dim = s->rhs.dim;
    int rc = 0;
    if (cut && cut->t == t) {
        if (cut->event >= NDE_CUT_TIED) return nde_saltation_meet(s->worker, who, cut->event - NDE_CUT_TIED, t, true);
        rc = cross_cut(k, who, cut);
        k->cut[who]--;
    }
    for (; is_asked(k) && !rc && k->hit[who] && nde_events_meet(time_of(k, k->hit[who] - 1, who), t); k->hit[who]--)
        rc = cross_asked(k, who, k->hit[who] - 1);
    const bool last = t == s->t_end[who]; /* whose rows have been there from the beginning */
    for (size_t row = 0; !last && k->seed.y && s->saving == NDE_SAVE_TIMES && row < s->saved[who]; row++)
        for (size_t i = 0; s->save_t[row] == t && i < dim; i++)
            k->y0[(k->a + i)*N + who] += k->seed.y[(row*dim + i)*N + who];
    nde_crossing_aim(k, who);
    return rc;
}

void nde_crossing_start(nde_back *k, size_t who) {
    nde_solver *s = k->s;
    const nde_seed *seed = &k->seed;
    const size_t N = s->N, dim = s->rhs.dim;
    for (size_t row = 0; k->hit && row < k->hit[who] && s->status[who] >= 0; row++) {
        if (seed->event_t) s->g_t0[who] += seed->event_t[row*N + who];
        for (size_t i = 0; seed->event_y && i < dim; i++) s->g_y0[i*N + who] += seed->event_y[(row*dim + i)*N + who];
    }
}
