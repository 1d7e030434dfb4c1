/* SPDX-License-Identifier: MIT
 * exponential.c - a step of an exponential integrator for y' = L y + N(t, y) as the mean slope of a flow.
 *
 * With z = tau L, phi_0(z) = e^z, phi_(k+1)(z) = (phi_k(z) - 1/k!)/z, mean slopes D_i up to node c_i, and N_j at t + c_j tau
 * and y + tau D_j:
 *     D_i = c_i phi_1(c_i z) L y + sum over the terms of i of w phi_k(c z) N_j
 * The last one is that of the step: exact where N is 0. d phi_k/dz = phi_k - k phi_(k+1) gives derivatives by tau.
 * prepared: L, phi of the step that is expected, then the rest's own, then that of a linear field. work: a row of each array of
 * `step`, then the fields'. A linear field has no phi: each vector has a space in which phi is applied to it (krylov.c).
 * Sources: S. Cox, P. Matthews, J. Comput. Phys. 176 (2002) 430-455; S. Krogstad, J. Comput. Phys. 203 (2005) 72-88; J. D.
 * Lawson, SIAM J. Numer. Anal. 4 (1967) 372-380; M. Hochbruck, A. Ostermann, Acta Numerica 19 (2010) 209-286. */
#include "field/phi.h"

#include <math.h>
#include <string.h>

enum { PHIS = NDE_PHIS, MOST = 4, OPERATORS = PHIS*NDE_PHI_NODES }; /* phi at half a step and at a whole one; stages */
enum { NOW, HALF, WHOLE };                                      /* 0, z/2, z */

typedef struct term {
    int stage, slope, phi, node; /* node NOW: the number 1 */
    double weight;
} term;
typedef struct scheme {
    int stages, node[MOST + 1]; /* the last one is the step */
    const term *terms;
    int count;
} scheme;

#define COUNT(x) (int)(sizeof(x)/sizeof *(x))
static const term etdrk2[] = { { 1, 0, 1, WHOLE, 1 }, { 2, 0, 1, WHOLE, 1 }, { 2, 0, 2, WHOLE, -1 }, { 2, 1, 2, WHOLE, 1 } };
static const term etdrk3[] = {
    { 1, 0, 1, HALF, 0.5 }, { 2, 0, 1, WHOLE, -1 }, { 2, 1, 1, WHOLE, 2 },
    { 3, 0, 1, WHOLE, 1 }, { 3, 0, 2, WHOLE, -3 }, { 3, 0, 3, WHOLE, 4 }, { 3, 1, 2, WHOLE, 4 }, { 3, 1, 3, WHOLE, -8 },
    { 3, 2, 2, WHOLE, -1 }, { 3, 2, 3, WHOLE, 4 },
};
#define LAST /* of both methods of order 4 */                                                                           \
    { 4, 0, 1, WHOLE, 1 }, { 4, 0, 2, WHOLE, -3 }, { 4, 0, 3, WHOLE, 4 }, { 4, 1, 2, WHOLE, 2 }, { 4, 1, 3, WHOLE, -4 }, \
    { 4, 2, 2, WHOLE, 2 }, { 4, 2, 3, WHOLE, -4 }, { 4, 3, 2, WHOLE, -1 }, { 4, 3, 3, WHOLE, 4 }
static const term etdrk4[] = { { 1, 0, 1, HALF, 0.5 }, { 2, 1, 1, HALF, 0.5 }, { 3, 0, 1, WHOLE, 1 }, { 3, 0, 1, HALF, -1 },
                               { 3, 2, 1, HALF, 1 }, LAST };
static const term krogstad[] = { { 1, 0, 1, HALF, 0.5 }, { 2, 0, 1, HALF, 0.5 }, { 2, 0, 2, HALF, -1 }, { 2, 1, 2, HALF, 1 },
                                 { 3, 0, 1, WHOLE, 1 }, { 3, 0, 2, WHOLE, -2 }, { 3, 2, 2, WHOLE, 2 }, LAST };
static const term lawson[] = { { 1, 0, 0, HALF, 0.5 }, { 2, 1, 0, NOW, 0.5 }, { 3, 2, 0, HALF, 1 }, { 4, 0, 0, WHOLE, 1/6.0 },
                               { 4, 1, 0, HALF, 1/3.0 }, { 4, 2, 0, HALF, 1/3.0 }, { 4, 3, 0, NOW, 1/6.0 } };
static const scheme schemes[] = {
    [NDE_ETDRK2] = { 2, { NOW, WHOLE, WHOLE }, etdrk2, COUNT(etdrk2) },
    [NDE_ETDRK3] = { 3, { NOW, HALF, WHOLE, WHOLE }, etdrk3, COUNT(etdrk3) },
    [NDE_ETDRK4] = { 4, { NOW, HALF, HALF, WHOLE, WHOLE }, etdrk4, COUNT(etdrk4) },
    [NDE_KROGSTAD4] = { 4, { NOW, HALF, HALF, WHOLE, WHOLE }, krogstad, COUNT(krogstad) },
    [NDE_LAWSON4] = { 4, { NOW, HALF, HALF, WHOLE, WHOLE }, lawson, COUNT(lawson) },
};
static double length_of(int node) { return node == HALF ? 0.5 : node == WHOLE; }

/* ---- the operators of a step ----------------------------------------------------------------- */

static size_t entries(const nde_exponential *e) {
    return e->linear ? 0 : e->diagonal ? e->rest->dim : e->rest->dim*e->rest->dim;
}

/* All of them for one length: to [OPERATORS][entries]; space [2*entries]. */
static void write_operators(const nde_exponential *e, double tau, nde_real *to, nde_real *space) {
    const size_t d = e->rest->dim, size = entries(e);
    for (int node = HALF; node <= WHOLE && size; node++, to += PHIS*size) {
        const double c = tau*length_of(node);
        for (size_t i = 0; i < size && e->diagonal; i++) {
            double phi[PHIS];
            nde_phi_number(c*e->diagonal[i], phi);
            for (size_t k = 0; k < PHIS; k++) to[k*size + i] = (nde_real)phi[k];
        }
        if (e->diagonal) continue;
        for (size_t i = 0; i < size; i++) space[i] = (nde_real)(c*e->matrix[i]);
        nde_phi_matrix(d, space, to, space + size);
    }
}

typedef struct step {
    const nde_exponential *e;
    const scheme *by;
    const nde_field *rest;
    nde_site site;                 /* of the rest */
    size_t d, n, ld;
    const nde_real *tau, *linear, *known; /* [ld]; L; operators of lanes whose fit is 1 */
    nde_real *fit, *odd;           /* [ld], [OPERATORS*entries][ld] of the other lanes, else 0 */
    bool any_odd;
    nde_real *one;                 /* [(OPERATORS + 2)*entries] of one lane */
    double *t, *v_t;               /* [ld] */
    nde_real *ly, *state, *slope[MOST], *mean[MOST + 1]; /* [d][ld] each: L y, and so on */
    nde_real *a_ly, *v_state, *v_slope[MOST], *v_mean, *bend; /* and of derivatives */
    nde_krylov of_ly, of_slope[MOST], of_other;               /* with a linear field: of L y, the slopes, a vector of
                                                               * derivatives */
    nde_real *scratch, *product;                              /* [d][ld] L times something */
    int code;                                                 /* of the linear field */
} step;

static void lay(step *s, nde_rows_of_work *w) {
    const size_t d = s->rest->dim, size = entries(s->e);
    void *t = nde_take_rows(w, 2, 1), *v_t = nde_take_rows(w, 2, 1);
    s->t = t, s->v_t = v_t;
    s->fit = nde_take_rows(w, 1, 1), s->odd = nde_take_rows(w, OPERATORS, size), s->one = nde_take_rows(w, OPERATORS + 2, size);
    s->ly = nde_take_rows(w, d, 1), s->state = nde_take_rows(w, d, 1), s->a_ly = nde_take_rows(w, d, 1),
        s->v_state = nde_take_rows(w, d, 1);
    s->v_mean = nde_take_rows(w, d, 1), s->bend = nde_take_rows(w, d, 1);
    for (int i = 0; i < MOST; i++) s->slope[i] = nde_take_rows(w, d, 1), s->v_slope[i] = nde_take_rows(w, d, 1);
    for (int i = 0; i <= MOST; i++) s->mean[i] = nde_take_rows(w, d, 1);
    if (!s->e->linear) return;
    const size_t most = nde_krylov_most(d, s->e->krylov);
    nde_krylov *const all[] = { &s->of_ly, &s->of_slope[0], &s->of_slope[1], &s->of_slope[2], &s->of_slope[3], &s->of_other };
    for (size_t i = 0; i < sizeof all/sizeof *all; i++) {
        *all[i] = (nde_krylov){ .linear = s->e->linear, .d = d, .n = s->n, .ld = s->ld, .most = most };
        nde_krylov_lay(all[i], w);
    }
    s->scratch = nde_take_rows(w, nde_krylov_scratch(most), 1), s->product = nde_take_rows(w, d, 1);
}

/* Has the space of a vector made; transposed: that of L'. */
static void span(step *s, nde_krylov *of, bool transposed, const nde_real *x) {
    if (!s->e->linear || s->code) return;
    const double usual = sizeof(nde_real) == sizeof(float) ? 1e-6 : 1e-13;
    of->tolerance = s->e->tolerance > 0 ? s->e->tolerance : usual;
    s->code = nde_krylov_build(of, transposed, s->tau, x, s->scratch);
}

static void clear(const step *s, nde_real *x) { memset(x, 0, s->d*s->ld*sizeof *x); }

/* The same with a linear field, where `of` is the space of x. */
static void apply_linear(step *s, const nde_krylov *of, int phi, int node, bool transposed, nde_real w, const nde_real *x,
                         nde_real *to) {
    if (s->code) return;
    if (phi >= 0) {
        nde_krylov_add(of, phi, node - HALF, w, to);
        return;
    }
    s->code = nde_krylov_multiply(&s->of_other, transposed, x, s->product);
    for (size_t i = 0; i < s->d*s->ld; i += s->ld) NDE_LANES(b, s->n) to[i + b] += w*s->product[i + b];
}

/* to += w A x, or A' x, A one of the operators, the number 1 (node NOW) or, with phi < 0, L; `of`: where x has been spanned. */
static void apply(step *s, const nde_krylov *of, int phi, int node, bool transposed, nde_real w, const nde_real *x,
                  nde_real *to) {
    const size_t d = s->d, ld = s->ld, size = entries(s->e);
    const size_t number = (size_t)((node - HALF)*PHIS + phi)*size;
    const bool plain = phi < 0, diagonal = s->e->diagonal != NULL;
    if (node == NOW && !plain) {
        for (size_t i = 0; i < d*ld; i += ld) NDE_LANES(b, s->n) to[i + b] += w*x[i + b];
        return;
    }
    if (s->e->linear) {
        apply_linear(s, of, phi, node, transposed, w, x, to);
        return;
    }
    const nde_real *all = plain ? s->linear : s->known + number;
    for (size_t i = 0; i < d; i++)
        for (size_t j = diagonal ? i : 0; j < (diagonal ? i + 1 : d); j++) {
            const size_t e = diagonal ? i : transposed ? j*d + i : i*d + j;
            const nde_real a = all[e], *other = s->odd + (number + e)*ld;
            if (plain || !s->any_odd) NDE_LANES(b, s->n) to[i*ld + b] += w*a*x[j*ld + b];
            else NDE_LANES(b, s->n) to[i*ld + b] += w*(s->fit[b]*a + other[b])*x[j*ld + b];
        }
}

/* The step at a site, with the operators of every lane. */
static step begin(const nde_field *self, const nde_site *at) {
    step s = { .e = self->ctx, .n = at->n, .ld = at->ld };
    nde_rows_of_work w = { .base = at->work, .ld = at->ld };
    const size_t size = entries(s.e), own = (OPERATORS + 3)*size;
    s.by = &schemes[s.e->scheme ? s.e->scheme : NDE_KROGSTAD4];
    s.rest = s.e->rest, s.d = s.rest->dim, s.tau = at->u;
    s.linear = at->prepared, s.known = s.linear + size;
    lay(&s, &w);
    const nde_field *linear = s.e->linear;
    const size_t shared = linear && linear->work > s.rest->work ? linear->work : s.rest->work;
    s.site = nde_part_site(s.rest, at, (nde_slice){ .prepared = own, .work = self->work - shared });
    s.site.tape = NULL, s.site.t = s.t, s.site.u = NULL, s.site.flags &= ~(unsigned)NDE_SAME_TIME;
    if (linear) {
        nde_site site = nde_part_site(linear, at,
                                      (nde_slice){ .prepared = own + s.rest->prepared, .work = self->work - shared });
        site.tape = NULL, site.u = NULL;
        s.of_ly.site = s.of_other.site = site;
        for (int i = 0; i < MOST; i++) s.of_slope[i].site = site;
        memset(s.of_ly.look, 0, s.n*sizeof *s.of_ly.look), memset(s.of_other.look, 0, s.n*sizeof *s.of_other.look);
        for (int i = 0; i < MOST; i++) s.of_slope[i].look = s.of_ly.look;
        return s;
    }
    const double near = sizeof(nde_real) == sizeof(float) ? 1e-6 : 1e-9;
    for (size_t b = 0; b < s.n; b++) {
        s.fit[b] = fabs((double)s.tau[b] - s.e->h) <= near*fabs(s.e->h) ? 1 : 0;
        s.any_odd = s.any_odd || !(s.fit[b] > 0);
    }
    for (size_t b = 0; b < s.n && s.any_odd; b++) {
        const bool odd = !(s.fit[b] > 0);
        if (odd) write_operators(s.e, (double)s.tau[b], s.one, s.one + OPERATORS*size);
        for (size_t i = 0; i < OPERATORS*size; i++) s.odd[i*s.ld + b] = odd ? s.one[i] : 0;
    }
    return s;
}

/* ---- value ----------------------------------------------------------------------------------- */

static void set_times(const step *s, const nde_site *at, int i) {
    const double c = length_of(s->by->node[i]);
    for (size_t b = 0; b < s->n; b++) s->t[b] = at->t[b] + c*(double)s->tau[b];
}

/* x = y + tau d */
static void place(const step *s, const nde_real *y, const nde_real *d, nde_real *x) {
    for (size_t i = 0; i < s->d*s->ld; i += s->ld) NDE_LANES(b, s->n) x[i + b] = y[i + b] + s->tau[b]*d[i + b];
}

/* to += mean slope of stage i from L y and the slopes, which have been spanned. */
static void add_mean(step *s, int i, nde_real *to) {
    const int node = s->by->node[i];
    apply(s, &s->of_ly, 1, node, false, (nde_real)length_of(node), s->ly, to);
    for (const term *x = s->by->terms; x < s->by->terms + s->by->count; x++)
        if (x->stage == i)
            apply(s, &s->of_slope[x->slope], x->phi, x->node, false, (nde_real)x->weight, s->slope[x->slope], to);
}

/* The same of derivatives, which have not: those by one vector together. */
static void add_mean_along(step *s, int i, nde_real *to) {
    const int node = s->by->node[i];
    span(s, &s->of_other, false, s->a_ly);
    apply(s, &s->of_other, 1, node, false, (nde_real)length_of(node), s->a_ly, to);
    for (int j = 0; j < i && j < s->by->stages; j++) {
        span(s, &s->of_other, false, s->v_slope[j]);
        for (const term *x = s->by->terms; x < s->by->terms + s->by->count; x++)
            if (x->stage == i && x->slope == j)
                apply(s, &s->of_other, x->phi, x->node, false, (nde_real)x->weight, s->v_slope[j], to);
    }
}

/* Where stage i is evaluated. */
static const nde_real *state_of(const step *s, int i, const nde_real *y) {
    if (i == 0) return y;
    place(s, y, s->mean[i], s->state);
    return s->state;
}

static int advance(step *s, const nde_site *at, const nde_real *y) {
    clear(s, s->ly), apply(s, NULL, -1, WHOLE, false, 1, y, s->ly);
    span(s, &s->of_ly, false, s->ly);
    for (int i = 0; i <= s->by->stages; i++) {
        if (i > 0) clear(s, s->mean[i]), add_mean(s, i, s->mean[i]);
        if (s->code || i == s->by->stages) return s->code;
        set_times(s, at, i);
        const int rc = s->rest->eval(s->rest, &s->site, state_of(s, i, y), s->slope[i]);
        if (rc) return rc;
        span(s, &s->of_slope[i], false, s->slope[i]);
    }
    return 0;
}

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    step s = begin(self, at);
    const int rc = advance(&s, at, y);
    const nde_real *mean = s.mean[s.by->stages];
    for (size_t i = 0; i < s.d; i++) memcpy(dy + i*s.ld, mean + i*s.ld, s.n*sizeof *dy);
    return rc;
}

/* ---- derivatives ----------------------------------------------------------------------------- */

/* s->bend = derivative of mean slope i by tau where L y and the slopes stand still. */
static void set_bend(step *s, int i) {
    const int node = s->by->node[i];
    const nde_real c = (nde_real)length_of(node);
    nde_real *sum = s->v_state;
    clear(s, sum), clear(s, s->bend);
    apply(s, &s->of_ly, 1, node, false, c*c, s->ly, sum), apply(s, &s->of_ly, 2, node, false, -c*c, s->ly, sum);
    for (const term *x = s->by->terms; x < s->by->terms + s->by->count; x++) {
        const nde_real w = (nde_real)(x->weight*length_of(x->node));
        const nde_krylov *of = &s->of_slope[x->slope];
        if (x->stage != i || x->node == NOW) continue;
        apply(s, of, x->phi, x->node, false, w, s->slope[x->slope], sum);
        if (x->phi) apply(s, of, x->phi + 1, x->node, false, -(nde_real)x->phi*w, s->slope[x->slope], sum);
    }
    apply(s, NULL, -1, WHOLE, false, 1, sum, s->bend);
}

static void add_dot(const step *s, const nde_real *x, const nde_real *y, nde_real *to) {
    for (size_t i = 0; i < s->d*s->ld; i += s->ld) NDE_LANES(b, s->n) to[b] += x[i + b]*y[i + b];
}

/* From a of mean slope i to those of L y, of the slopes and of tau. */
static void add_mean_transpose(step *s, int i, const nde_real *a, nde_real *a_tau) {
    const int node = s->by->node[i];
    if (a_tau) set_bend(s, i), add_dot(s, a, s->bend, a_tau);
    span(s, &s->of_other, true, a);
    apply(s, &s->of_other, 1, node, true, (nde_real)length_of(node), a, s->a_ly);
    for (const term *x = s->by->terms; x < s->by->terms + s->by->count; x++)
        if (x->stage == i) apply(s, &s->of_other, x->phi, x->node, true, (nde_real)x->weight, a, s->v_slope[x->slope]);
}

static int vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    step s = begin(self, at);
    int rc = advance(&s, at, y);
    if (rc) return rc;
    nde_real *a_tau = to->u, *a_y = s.v_mean; /* a_y is that of a stage, then of its mean slope */
    nde_cotangent there = nde_part_cotangent(s.rest, at, to, (nde_slice){ .tape = 0 });
    there.u = NULL, there.cotape = NULL, there.t = to->t || a_tau ? s.v_t : NULL;
    clear(&s, s.a_ly);
    for (int i = 0; i < s.by->stages; i++) clear(&s, s.v_slope[i]);
    add_mean_transpose(&s, s.by->stages, a, a_tau);
    for (int i = s.by->stages - 1; i >= 0; i--) {
        const nde_real c = (nde_real)length_of(s.by->node[i]);
        set_times(&s, at, i);
        clear(&s, a_y), memset(s.v_t, 0, s.n*sizeof *s.v_t);
        there.y = a_y;
        if ((rc = s.rest->vjp(s.rest, &s.site, state_of(&s, i, y), s.v_slope[i], &there))) return rc;
        for (size_t b = 0; b < s.n && to->t; b++) to->t[b] += s.v_t[b];
        for (size_t b = 0; b < s.n && a_tau; b++) a_tau[b] += c*(nde_real)s.v_t[b];
        for (size_t k = 0; k < s.d*s.ld && to->y; k += s.ld) NDE_LANES(b, s.n) to->y[k + b] += a_y[k + b];
        if (i == 0) break;
        if (a_tau) add_dot(&s, a_y, s.mean[i], a_tau);
        for (size_t k = 0; k < s.d*s.ld; k += s.ld) NDE_LANES(b, s.n) a_y[k + b] *= s.tau[b];
        add_mean_transpose(&s, i, a_y, a_tau);
    }
    if (to->y) apply(&s, NULL, -1, WHOLE, true, 1, s.a_ly, to->y);
    return s.code;
}

static int jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    step s = begin(self, at);
    int rc = advance(&s, at, y);
    const nde_real *v_tau = v->u;
    nde_tangent along = nde_part_tangent(s.rest, at, v);
    along.u = NULL, along.t = s.v_t;
    clear(&s, s.a_ly);
    if (v->y) apply(&s, NULL, -1, WHOLE, false, 1, v->y, s.a_ly);
    for (int i = 0; !rc && i <= s.by->stages; i++) {
        const double c = length_of(s.by->node[i]);
        nde_real *mean = i == s.by->stages ? dv : s.v_mean;
        if (i > 0) {
            if (v_tau) set_bend(&s, i);
            for (size_t k = 0; k < s.d; k++)
                for (size_t b = 0; b < s.n; b++) mean[k*s.ld + b] = v_tau ? v_tau[b]*s.bend[k*s.ld + b] : 0;
            add_mean_along(&s, i, mean);
        }
        if (i == s.by->stages) break;
        for (size_t k = 0; k < s.d*s.ld; k += s.ld)
            for (size_t b = 0; b < s.n; b++)
                s.v_state[k + b] = (v->y ? v->y[k + b] : 0) + (i ? s.tau[b]*mean[k + b] : 0) +
                                   (i && v_tau ? v_tau[b]*s.mean[i][k + b] : 0);
        for (size_t b = 0; b < s.n; b++) s.v_t[b] = (v->t ? v->t[b] : 0) + (v_tau ? c*(double)v_tau[b] : 0);
        set_times(&s, at, i);
        along.y = s.v_state;
        rc = s.rest->jvp(s.rest, &s.site, state_of(&s, i, y), &along, s.v_slope[i]);
    }
    return rc ? rc : s.code;
}

static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const nde_exponential *e = self->ctx;
    const size_t size = entries(e);
    const double *linear = e->diagonal ? e->diagonal : e->matrix;
    for (size_t i = 0; i < size; i++) prepared[i] = (nde_real)linear[i];
    write_operators(e, e->h, prepared + size, prepared + (OPERATORS + 1)*size);
    prepared += (OPERATORS + 3)*size;
    const int code = nde_part_prepare(e->rest, p, &prepared);
    return code || !e->linear ? code : nde_part_prepare(e->linear, p, &prepared);
}

/* ---- construction ---------------------------------------------------------------------------- */

static nde_status check_linear(const nde_exponential *e, const char *who) {
    const nde_field *f = e->linear;
    const nde_status status = nde_field_validate(f, who);
    if (status) return status;
    if (f->dim != e->rest->dim || f->out != f->dim || f->nu)
        return nde_fail(NDE_E_ARG, "%s: linear field '%s' has dim %zu, out %zu, nu %zu, the rest has dim %zu", who,
                        nde_field_name(f), f->dim, f->out, f->nu, e->rest->dim);
    if (f->np || f->nq)
        return nde_fail(NDE_E_ARG, "%s: linear field '%s' has np %zu, nq %zu: L has no parameters", who, nde_field_name(f),
                        f->np, f->nq);
    if (e->krylov > 1000) return nde_fail(NDE_E_ARG, "%s: krylov is %zu, at most 1000", who, e->krylov);
    return NDE_OK;
}

static nde_status check(const nde_exponential *e, const char *who) {
    if (!e) return nde_fail(NDE_E_ARG, "%s: the description is NULL", who);
    nde_exponential x;
    if (!nde_read_sized(&x, sizeof x, e, sizeof x))
        return nde_fail(NDE_E_ARG, "%s: size is %zu, this library knows %zu", who, e->size, sizeof x);
    if (!e->rest) return nde_fail(NDE_E_ARG, "%s: rest is NULL", who);
    const nde_field *f = e->rest;
    const nde_status status = nde_field_validate(f, who);
    if (status) return status;
    if (f->out != f->dim || f->nu)
        return nde_fail(NDE_E_ARG, "%s: field '%s' has dim %zu, out %zu, nu %zu", who, nde_field_name(f), f->dim, f->out,
                        f->nu);
    if (!e->diagonal + !e->matrix + !e->linear != 2)
        return nde_fail(NDE_E_ARG, "%s: %s of diagonal, matrix and linear are given", who,
                        !e->diagonal + !e->matrix + !e->linear == 3 ? "none" : "several");
    if (e->scheme < 0 || e->scheme > NDE_LAWSON4) return nde_fail(NDE_E_ARG, "%s: scheme is %d", who, (int)e->scheme);
    if (!isfinite(e->h)) return nde_fail(NDE_E_ARG, "%s: h is %g", who, e->h);
    if (!(e->tolerance >= 0 && e->tolerance < 1)) return nde_fail(NDE_E_ARG, "%s: tolerance is %g", who, e->tolerance);
    size_t size;
    if (f->dim > SIZE_MAX/64 || (e->matrix && !nde_size_multiply(f->dim, f->dim, &size)))
        return nde_fail(NDE_E_SIZE, "%s: dim is %zu", who, f->dim);
    if (e->linear) return check_linear(e, who);
    const double *linear = e->diagonal ? e->diagonal : e->matrix;
    for (size_t i = 0; i < entries(e); i++)
        if (!isfinite(linear[i])) return nde_fail(NDE_E_NONFINITE, "%s: entry %zu of L is %g", who, i, linear[i]);
    return NDE_OK;
}

nde_field nde_field_exponential(const nde_exponential *exponential) {
    static const char who[] = "nde_field_exponential";
    const nde_field none = { .size = sizeof none };
    if (check(exponential, who)) return none;
    const nde_field *f = exponential->rest;
    step s = { .e = exponential, .rest = f };
    nde_rows_of_work w = { .ld = 1 };
    lay(&s, &w);
    const nde_field *linear = exponential->linear;
    const size_t shared = linear && linear->work > f->work ? linear->work : f->work;
    nde_field g = { .size = sizeof g, .name = "exponential", .ctx = exponential, .dim = f->dim, .nu = 1, .out = f->dim,
                    .traits = f->traits & (linear ? linear->traits : ~0u) & (NDE_AUTONOMOUS | NDE_LANEWISE), .eval = eval,
                    .vjp = f->vjp && (!linear || linear->vjp) ? vjp : NULL, .jvp = f->jvp ? jvp : NULL };
    if (w.overflow || !nde_size_add(w.used, shared, &g.work) ||
        !nde_size_grow(&g.prepared, OPERATORS + 3, entries(exponential)) ||
        !nde_size_add(g.prepared, f->prepared, &g.prepared) ||
        (linear && !nde_size_add(g.prepared, linear->prepared, &g.prepared)) ||
        (f->np && !nde_size_add(f->p_first, f->np, &g.np)) || (f->nq && !nde_size_add(f->q_first, f->nq, &g.nq)))
        return (void)nde_fail(NDE_E_SIZE, "%s: work, prepared, np or nq of field '%s' is too large", who, nde_field_name(f)),
               none;
    if (g.prepared) g.prepare = prepare;
    return nde_field_validate(&g, who) == NDE_OK ? g : none;
}
