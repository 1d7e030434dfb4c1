/* SPDX-License-Identifier: MIT
 * chebyshev.c - the body of Runge-Kutta-Chebyshev methods, with transpose and tangent; compiled once for each instruction set.
 * Each lane takes as many stages as its own step needs: a pure function of h and the bound on the spectral radius, so that
 * nobody has to remember it. What is recurred are mean slopes D_j = (Y_j - y)/h, of which the last is slope 1 of the step: they
 * carry less rounding than states, which are h D_j away from y. A lane that has done its stages waits with the last one.
 *
 * Letters: m the most stages of a lane in this step; part j [rows][ld] of the scratch.
 * Source: B. P. Sommeijer, L. F. Shampine, J. G. Verwer, J. Comput. Appl. Math. 88 (1998) 315-326. */
#include "core/isa.h"
#include "method/shared.h"

enum { BEFORE, BEFORE2, SLOPE, FIRST, WEIGHTS };
enum { MEAN = 1, NEW = 2 }; /* slopes of the step, after that of its start */

/* ---- stages ---------------------------------------------------------------------------------- */

static double radius_of(const nde_attempt *s, size_t b) {
    const nde_chebyshev *c = &s->table->chebyshev;
    nde_scratch *scratch = s->lanes->scratch;
    if (!c->spectrum.radius) return c->radius;
    for (size_t i = 0; i < s->rhs->dim; i++) scratch->point[i] = s->y[i*s->lanes->site.ld + b];
    return c->spectrum.radius(c->spectrum.ctx, s->lanes->site.index[b], s->t[b], scratch->point);
}

/* The stages of each lane. Returns the most. */
static int count_stages(const nde_attempt *s) {
    int *count = s->lanes->scratch->count, most = 0;
    for (size_t b = 0; b < s->lanes->site.n; b++) {
        const double radius = radius_of(s, b);
        if (!(radius >= 0)) s->lanes->site.lane[b] = NDE_LANE_RETRY;
        count[b] = nde_chebyshev_count(&s->table->chebyshev, s->dt[b], radius >= 0 ? radius : 0);
        if (count[b] > most) most = count[b];
    }
    return most;
}

static const nde_chebyshev_stage *stage_of(const nde_attempt *s, int count, int j) {
    const nde_chebyshev *c = &s->table->chebyshev;
    return c->stage + (count*(count - 1) - c->least*(c->least - 1))/2 + j - 1;
}

/* Weights of stage j. Those of a lane that waits keep D_j = D_(j-1). */
static void weigh(const nde_attempt *s, int j) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const int *count = s->lanes->scratch->count;
    nde_real *w = s->lanes->scratch->weight;
    for (size_t b = 0; b < n; b++) {
        const nde_chebyshev_stage stay = { .before = 1 }, *x = j <= count[b] ? stage_of(s, count[b], j) : &stay;
        w[BEFORE*ld + b] = (nde_real)x->before, w[BEFORE2*ld + b] = (nde_real)x->before2;
        w[SLOPE*ld + b] = (nde_real)x->slope, w[FIRST*ld + b] = (nde_real)x->first;
    }
}

static double node_of(const nde_attempt *s, size_t b, int j) {
    const int count = s->lanes->scratch->count[b];
    return j < count ? stage_of(s, count, j)->node : 1;
}

static const double *times(const nde_attempt *s, int j) {
    if (s->rhs->autonomous) return s->t;
    double *t = s->lanes->scratch->t;
    for (size_t b = 0; b < s->lanes->site.n; b++) {
        const double node = node_of(s, b, j);
        t[b] = node == 1 ? s->t_new[b] : s->t[b] + node*s->dt[b];
    }
    return t;
}

static nde_real *part(const nde_attempt *s, int i) { return s->lanes->scratch->part + (size_t)i*s->slab; }

/* d = D_j, from D_(j-1), D_(j-2) (which d may be), F_(j-1) and F_0. */
static void recur(const nde_attempt *s, int j, const nde_real *before, const nde_real *before2, const nde_real *f,
                  const nde_real *f0, nde_real *d) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real *w = s->lanes->scratch->weight;
    const int *count = s->lanes->scratch->count;
    for (size_t r = 0; r < s->rhs->rows; r++, before += ld, before2 += ld, f += ld, f0 += ld, d += ld) NDE_IVDEP
        for (size_t b = 0; b < n; b++) {
            const nde_real next = w[b]*before[b] + w[BEFORE2*ld + b]*before2[b] + w[SLOPE*ld + b]*f[b] + w[FIRST*ld + b]*f0[b];
            d[b] = j <= count[b] ? next : before[b];
        }
}

static void zero(const nde_attempt *s, nde_real *x) { memset(x, 0, s->slab*sizeof *x); }

/* F at the end of stage j, whose mean slope is d. */
static int evaluate(const nde_attempt *s, int j, const nde_real *d, nde_real *f) {
    nde_real *Y = s->lanes->scratch->Y;
    nde_place(s, s->rhs->dim, s->y, d, Y);
    return nde_rhs_eval(s->rhs, s->lanes, times(s, j), Y, f, NULL, s->lanes->site.ld);
}

/* ---- the step -------------------------------------------------------------------------------- */

static int attempt(const nde_attempt *s) {
    const int m = count_stages(s);
    nde_real *d[] = { s->k + MEAN*s->slab, part(s, 0) }, *f = s->k + NEW*s->slab;
    zero(s, d[0]), zero(s, d[1]);
    int rc = 0;
    for (int j = 1; j <= m; j++) {
        nde_real *to = d[(m - j) % 2], *before = d[(m - j + 1) % 2];
        if (j > 1 && (rc = evaluate(s, j - 1, before, f))) return s->lanes->scratch->stage = j - 1, rc;
        weigh(s, j);
        recur(s, j, before, to, j > 1 ? f : s->k, s->k, to);
    }
    nde_place(s, s->rhs->rows, s->y, s->k + MEAN*s->slab, s->z);
    rc = nde_rhs_eval(s->rhs, s->lanes, s->t_new, s->z, f, nde_stage_tape(s, NEW), s->lanes->site.ld);
    return rc ? s->lanes->scratch->stage = m, rc : 0;
}

/* ---- transpose ------------------------------------------------------------------------------- */

/* Of recur: from a of D_j to those of F_(j-1), F_0, D_(j-1) (in place of a) and D_(j-2) (in place of what D_(j-1) had). */
static void recur_transpose(const nde_attempt *s, nde_real *a, nde_real *a_before, nde_real *a_f, nde_real *a_f0) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real *w = s->lanes->scratch->weight;
    for (size_t r = 0; r < s->rhs->rows; r++, a += ld, a_before += ld, a_f += ld, a_f0 += ld) NDE_IVDEP
        for (size_t b = 0; b < n; b++) {
            const nde_real x = a[b];
            a_f[b] = w[SLOPE*ld + b]*x, a_f0[b] += w[FIRST*ld + b]*x;
            a[b] = a_before[b] + w[b]*x, a_before[b] = w[BEFORE2*ld + b]*x;
        }
}

/* Of D_1 = slope F_0. */
static void begin_transpose(const nde_attempt *s, const nde_real *a, nde_real *a_f0) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real *w = s->lanes->scratch->weight + SLOPE*ld;
    for (size_t r = 0; r < s->rhs->rows; r++)
        for (size_t b = 0; b < n; b++) a_f0[r*ld + b] += w[b]*a[r*ld + b];
}

/* Of F(t, Y) at the end of stage j, from a of it: adds to c->y, and leaves the cotangent of Y in scratch->a_Y. */
static int evaluate_transpose(const nde_attempt *s, const nde_step_cotangent *c, int j, const nde_real *Y, const nde_real *a,
                              nde_real *tape) {
    nde_scratch *scratch = s->lanes->scratch;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    nde_sink sink = *c->sink;
    sink.t = c->t ? scratch->a_t : NULL, sink.noise = NULL;
    memset(scratch->a_Y, 0, s->rhs->dim*ld*sizeof *scratch->a_Y);
    if (sink.t) memset(sink.t, 0, n*sizeof *sink.t);
    const int rc = nde_rhs_vjp(s->rhs, s->lanes, times(s, j), Y, a, tape, ld, scratch->a_Y, &sink);
    for (size_t b = 0; sink.t && b < n; b++) c->t[b] += sink.t[b], c->h[b] += node_of(s, b, j)*sink.t[b];
    for (size_t r = 0; r < s->rhs->dim; r++)
        for (size_t b = 0; b < n; b++) c->y[r*ld + b] += scratch->a_Y[r*ld + b];
    return rc;
}

/* All mean slopes: D_j in part j. */
static int repeat(const nde_attempt *s, int m, nde_real *f) {
    zero(s, part(s, 0));
    for (int j = 1; j <= m; j++) {
        const int rc = j > 1 ? evaluate(s, j - 1, part(s, j - 1), f) : 0;
        if (rc) return rc;
        weigh(s, j);
        recur(s, j, part(s, j - 1), part(s, j > 1 ? j - 2 : 0), j > 1 ? f : s->k, s->k, part(s, j));
    }
    return 0;
}

static int transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    const int m = count_stages(s), most = s->table->chebyshev.most;
    nde_real *a = part(s, most + 1), *a_before = part(s, most + 2), *f = part(s, most + 3), *Y = s->lanes->scratch->Y;
    nde_real *again = s->rhs->tape ? nde_stage_tape(s, MEAN) : NULL; /* no stage has that slot */
    int rc = repeat(s, m, f);
    if (rc) return rc;
    if (!nde_is_idle(s, c, NEW)) {
        nde_place(s, s->rhs->dim, s->y, part(s, m), Y);
        if ((rc = evaluate_transpose(s, c, m, Y, c->k + NEW*s->slab, nde_stage_tape(s, NEW)))) return rc;
    }
    nde_add_loss(s, c, &s->table->error, 0, s->rhs->dim);
    memcpy(a, c->k + MEAN*s->slab, s->slab*sizeof *a), zero(s, a_before);
    nde_place_transpose(s, c, s->rhs->rows, part(s, m), c->y, a);
    for (int j = m; j > 1; j--) {
        weigh(s, j);
        recur_transpose(s, a, a_before, f, c->k);
        nde_place(s, s->rhs->dim, s->y, part(s, j - 1), Y);
        if (again && (rc = nde_rhs_eval(s->rhs, s->lanes, times(s, j - 1), Y, part(s, j), again, s->lanes->site.ld))) return rc;
        if ((rc = evaluate_transpose(s, c, j - 1, Y, f, again))) return rc;
        nde_place_transpose(s, c, s->rhs->dim, part(s, j - 1), s->lanes->scratch->a_Y, a);
    }
    weigh(s, 1);
    begin_transpose(s, a, c->k);
    return 0;
}

/* ---- tangent --------------------------------------------------------------------------------- */

static int evaluate_tangent(const nde_attempt *s, const nde_step_tangent *v, int j, const nde_real *Y, const nde_real *v_Y,
                            nde_real *v_f) {
    double *t = s->lanes->scratch->a_t;
    nde_source source = *v->source;
    source.t = t, source.h = s->dt, source.v_h = v->h;
    for (size_t b = 0; b < s->lanes->site.n; b++) t[b] = v->t[b] + node_of(s, b, j)*v->h[b];
    return nde_rhs_jvp(s->rhs, s->lanes, times(s, j), Y, v_Y, &source, v_f);
}

static int tangent(const nde_attempt *s, const nde_step_tangent *v) {
    const int m = count_stages(s), most = s->table->chebyshev.most;
    nde_real *v_d[] = { v->k + MEAN*s->slab, part(s, most + 1) }, *v_f = v->k + NEW*s->slab, *f = part(s, most + 3);
    nde_real *Y = s->lanes->scratch->Y, *v_Y = s->lanes->scratch->a_Y;
    int rc = repeat(s, m, f);
    zero(s, v_d[0]), zero(s, v_d[1]);
    for (int j = 1; !rc && j <= m; j++) {
        nde_real *to = v_d[(m - j) % 2], *before = v_d[(m - j + 1) % 2];
        if (j > 1) {
            nde_place(s, s->rhs->dim, s->y, part(s, j - 1), Y);
            nde_place_tangent(s, v, s->rhs->dim, part(s, j - 1), before, v_Y);
            rc = evaluate_tangent(s, v, j - 1, Y, v_Y, v_f);
        }
        weigh(s, j);
        recur(s, j, before, to, j > 1 ? v_f : v->k, v->k, to);
    }
    if (rc) return rc;
    nde_place(s, s->rhs->dim, s->y, part(s, m), Y);
    nde_place_tangent(s, v, s->rhs->rows, part(s, m), v_d[0], v->z);
    return evaluate_tangent(s, v, m, Y, v->z, v_f);
}

const nde_body NDE_ISA_NAME(nde_body_chebyshev) = { .attempt = attempt, .transpose = transpose, .tangent = tangent };
