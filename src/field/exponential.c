/* SPDX-License-Identifier: MIT
 * exponential.c - a step of an exponential integrator for y' = L y + N(t, y) as the mean slope of a flow.
 *
 * With z = tau L, phi_0(z) = e^z, phi_(k+1)(z) = (phi_k(z) - 1/k!)/z, mean slopes D_i up to node c_i, and N_j at t + c_j tau
 * and y + tau D_j:
 *     D_i = c_i phi_1(c_i z) L y + sum over the terms of i of w phi_k(c z) N_j
 * The last one is that of the step: exact where N is 0. d phi_k/dz = phi_k - k phi_(k+1) gives derivatives by tau.
 * prepared: L, phi of the step that is expected, then the field's own. work: a row of each array of `step`, then the field's.
 * Sources: S. Cox, P. Matthews, J. Comput. Phys. 176 (2002) 430-455; S. Krogstad, J. Comput. Phys. 203 (2005) 72-88; J. D. Lawson,
 * SIAM J. Numer. Anal. 4 (1967) 372-380; M. Hochbruck, A. Ostermann, Acta Numerica 19 (2010) 209-286; B. Skaflestad, W. Wright,
 * Appl. Numer. Math. 59 (2009) 783-799 (scaling and squaring). */
#include "field/parts.h"

#include <math.h>
#include <string.h>

enum { PHIS = 5, NODES = 2, MOST = 4, OPERATORS = PHIS*NODES }; /* phi_0 ... phi_4 at half a step and at a whole one; stages */
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

/* ---- phi ------------------------------------------------------------------------------------- */

static const double inverse[] = { 1, 1, 0.5, 1/6.0, 1/24.0 }; /* 1/k! */

/* phi_0 ... phi_4 of a number: by the recurrence where nothing cancels, else by the series of the last one. */
static void phi_number(double z, double *phi) {
    phi[0] = exp(z);
    if (fabs(z) >= 1) {
        phi[1] = expm1(z)/z;
        for (int k = 2; k < PHIS; k++) phi[k] = (phi[k - 1] - inverse[k - 1])/z;
        return;
    }
    double next = 1/24.0;
    phi[4] = 0;
    for (int n = 0; n < 20; n++) phi[4] += next, next *= z/(n + 5);
    for (int k = 3; k > 0; k--) phi[k] = z*phi[k + 1] + inverse[k];
}

/* c = a b + c, all [d][d]. */
static void add_product(size_t d, const nde_real *a, const nde_real *b, nde_real *c) {
    for (size_t i = 0; i < d; i++)
        for (size_t k = 0; k < d; k++)
            for (size_t j = 0; j < d; j++) c[i*d + j] += a[i*d + k]*b[k*d + j];
}
static void fill(size_t d, double diagonal, nde_real *a) {
    memset(a, 0, d*d*sizeof *a);
    for (size_t i = 0; i < d; i++) a[i*d + i] = (nde_real)diagonal;
}

/* phi_k(2 z) = 2^-k (phi_0(z) phi_k(z) + sum of phi_l(z)/(k - l)!, 0 < l <= k). */
static void double_phi(size_t d, nde_real *phi, nde_real *space) {
    const size_t size = d*d;
    for (int k = PHIS - 1; k >= 0; k--) {
        memset(space, 0, size*sizeof *space);
        add_product(d, phi, phi + (size_t)k*size, space);
        for (size_t e = 0; e < size; e++) {
            double sum = (double)space[e];
            for (int l = 1; l <= k; l++) sum += inverse[k - l]*(double)phi[(size_t)l*size + e];
            space[e] = (nde_real)ldexp(sum, -k);
        }
        memcpy(phi + (size_t)k*size, space, size*sizeof *space);
    }
}

/* phi_0 ... phi_4 of the matrix z [d][d], which is overwritten: the series where it is small, then doubled. space [d][d]. */
static void phi_matrix(size_t d, nde_real *z, nde_real *phi, nde_real *space) {
    enum { DEGREE = 13 };
    const size_t size = d*d;
    nde_real *last = phi + (PHIS - 1)*size;
    double norm = 0;
    int halves = 0;
    for (size_t i = 0; i < d; i++) {
        double sum = 0;
        for (size_t j = 0; j < d; j++) sum += fabs((double)z[i*d + j]);
        norm = fmax(norm, sum);
    }
    if (norm > 0.5 && isfinite(norm)) (void)frexp(2*norm, &halves);
    for (size_t e = 0; e < size; e++) z[e] = (nde_real)ldexp((double)z[e], -halves);
    double factorial = inverse[PHIS - 1];
    for (int n = 1; n <= DEGREE; n++) factorial /= n + PHIS - 1;
    fill(d, factorial, last);
    for (int n = DEGREE; n > 0; n--) {
        factorial *= n + PHIS - 1;
        fill(d, factorial, space);
        add_product(d, z, last, space);
        memcpy(last, space, size*sizeof *space);
    }
    for (int k = PHIS - 2; k >= 0; k--) {
        nde_real *to = phi + (size_t)k*size;
        fill(d, inverse[k], to);
        add_product(d, z, to + size, to);
    }
    for (; halves > 0; halves--) double_phi(d, phi, space);
}

/* ---- the operators of a step ----------------------------------------------------------------- */

static size_t entries(const nde_exponential *e) { return e->diagonal ? e->rest->dim : e->rest->dim*e->rest->dim; }

/* All of them for one length: to [OPERATORS][entries]; space [2*entries]. */
static void write_operators(const nde_exponential *e, double tau, nde_real *to, nde_real *space) {
    const size_t d = e->rest->dim, size = entries(e);
    for (int node = HALF; node <= WHOLE; node++, to += PHIS*size) {
        const double c = tau*length_of(node);
        for (size_t i = 0; i < size && e->diagonal; i++) {
            double phi[PHIS];
            phi_number(c*e->diagonal[i], phi);
            for (size_t k = 0; k < PHIS; k++) to[k*size + i] = (nde_real)phi[k];
        }
        if (e->diagonal) continue;
        for (size_t i = 0; i < size; i++) space[i] = (nde_real)(c*e->matrix[i]);
        phi_matrix(d, space, to, space + size);
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
} step;

static void lay(step *s, nde_rows_of_work *w) {
    const size_t d = s->rest->dim, size = entries(s->e);
    void *t = nde_take_rows(w, 2, 1), *v_t = nde_take_rows(w, 2, 1);
    s->t = t, s->v_t = v_t;
    s->fit = nde_take_rows(w, 1, 1), s->odd = nde_take_rows(w, OPERATORS, size), s->one = nde_take_rows(w, OPERATORS + 2, size);
    s->ly = nde_take_rows(w, d, 1), s->state = nde_take_rows(w, d, 1), s->a_ly = nde_take_rows(w, d, 1), s->v_state = nde_take_rows(w, d, 1);
    s->v_mean = nde_take_rows(w, d, 1), s->bend = nde_take_rows(w, d, 1);
    for (int i = 0; i < MOST; i++) s->slope[i] = nde_take_rows(w, d, 1), s->v_slope[i] = nde_take_rows(w, d, 1);
    for (int i = 0; i <= MOST; i++) s->mean[i] = nde_take_rows(w, d, 1);
}

static void clear(const step *s, nde_real *x) { memset(x, 0, s->d*s->ld*sizeof *x); }

/* to += w A x, or A' x, A one of the operators, the number 1 (node NOW) or, with phi < 0, L. */
static void apply(const step *s, int phi, int node, bool transposed, nde_real w, const nde_real *x, nde_real *to) {
    const size_t d = s->d, ld = s->ld, size = entries(s->e);
    const size_t number = (size_t)((node - HALF)*PHIS + phi)*size;
    const bool plain = phi < 0, diagonal = s->e->diagonal != NULL;
    if (node == NOW && !plain) {
        for (size_t i = 0; i < d*ld; i += ld) NDE_LANES(b, s->n) to[i + b] += w*x[i + b];
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
    s.site = nde_part_site(s.rest, at, (nde_slice){ .prepared = own, .work = self->work - s.rest->work });
    s.site.tape = NULL, s.site.t = s.t, s.site.u = NULL, s.site.flags &= ~(unsigned)NDE_SAME_TIME;
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

/* to += mean slope of stage i from L y and the slopes. */
static void add_mean(const step *s, int i, const nde_real *ly, nde_real *const *slope, nde_real *to) {
    const int node = s->by->node[i];
    apply(s, 1, node, false, (nde_real)length_of(node), ly, to);
    for (const term *x = s->by->terms; x < s->by->terms + s->by->count; x++)
        if (x->stage == i) apply(s, x->phi, x->node, false, (nde_real)x->weight, slope[x->slope], to);
}

/* Where stage i is evaluated. */
static const nde_real *state_of(const step *s, int i, const nde_real *y) {
    if (i == 0) return y;
    place(s, y, s->mean[i], s->state);
    return s->state;
}

static int advance(const step *s, const nde_site *at, const nde_real *y) {
    clear(s, s->ly), apply(s, -1, WHOLE, false, 1, y, s->ly);
    for (int i = 0; i <= s->by->stages; i++) {
        if (i > 0) clear(s, s->mean[i]), add_mean(s, i, s->ly, s->slope, s->mean[i]);
        if (i == s->by->stages) return 0;
        set_times(s, at, i);
        const int rc = s->rest->eval(s->rest, &s->site, state_of(s, i, y), s->slope[i]);
        if (rc) return rc;
    }
    return 0;
}

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const step s = begin(self, at);
    const int rc = advance(&s, at, y);
    const nde_real *mean = s.mean[s.by->stages];
    for (size_t i = 0; i < s.d; i++) memcpy(dy + i*s.ld, mean + i*s.ld, s.n*sizeof *dy);
    return rc;
}

/* ---- derivatives ----------------------------------------------------------------------------- */

/* s->bend = derivative of mean slope i by tau where L y and the slopes stand still. */
static void set_bend(const step *s, int i) {
    const int node = s->by->node[i];
    const nde_real c = (nde_real)length_of(node);
    nde_real *sum = s->v_state;
    clear(s, sum), clear(s, s->bend);
    apply(s, 1, node, false, c*c, s->ly, sum), apply(s, 2, node, false, -c*c, s->ly, sum);
    for (const term *x = s->by->terms; x < s->by->terms + s->by->count; x++) {
        const nde_real w = (nde_real)(x->weight*length_of(x->node));
        if (x->stage != i || x->node == NOW) continue;
        apply(s, x->phi, x->node, false, w, s->slope[x->slope], sum);
        if (x->phi) apply(s, x->phi + 1, x->node, false, -(nde_real)x->phi*w, s->slope[x->slope], sum);
    }
    apply(s, -1, WHOLE, false, 1, sum, s->bend);
}

static void add_dot(const step *s, const nde_real *x, const nde_real *y, nde_real *to) {
    for (size_t i = 0; i < s->d*s->ld; i += s->ld) NDE_LANES(b, s->n) to[b] += x[i + b]*y[i + b];
}

/* From a of mean slope i to those of L y, of the slopes and of tau. */
static void add_mean_transpose(const step *s, int i, const nde_real *a, nde_real *a_tau) {
    const int node = s->by->node[i];
    if (a_tau) set_bend(s, i), add_dot(s, a, s->bend, a_tau);
    apply(s, 1, node, true, (nde_real)length_of(node), a, s->a_ly);
    for (const term *x = s->by->terms; x < s->by->terms + s->by->count; x++)
        if (x->stage == i) apply(s, x->phi, x->node, true, (nde_real)x->weight, a, s->v_slope[x->slope]);
}

static int vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const step s = begin(self, at);
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
    if (to->y) apply(&s, -1, WHOLE, true, 1, s.a_ly, to->y);
    return 0;
}

static int jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const step s = begin(self, at);
    int rc = advance(&s, at, y);
    const nde_real *v_tau = v->u;
    nde_tangent along = nde_part_tangent(s.rest, at, v);
    along.u = NULL, along.t = s.v_t;
    clear(&s, s.a_ly);
    if (v->y) apply(&s, -1, WHOLE, false, 1, v->y, s.a_ly);
    for (int i = 0; !rc && i <= s.by->stages; i++) {
        const double c = length_of(s.by->node[i]);
        nde_real *mean = i == s.by->stages ? dv : s.v_mean;
        if (i > 0) {
            if (v_tau) set_bend(&s, i);
            for (size_t k = 0; k < s.d; k++)
                for (size_t b = 0; b < s.n; b++) mean[k*s.ld + b] = v_tau ? v_tau[b]*s.bend[k*s.ld + b] : 0;
            add_mean(&s, i, s.a_ly, s.v_slope, mean);
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
    return rc;
}

static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const nde_exponential *e = self->ctx;
    const size_t size = entries(e);
    const double *linear = e->diagonal ? e->diagonal : e->matrix;
    for (size_t i = 0; i < size; i++) prepared[i] = (nde_real)linear[i];
    write_operators(e, e->h, prepared + size, prepared + (OPERATORS + 1)*size);
    prepared += (OPERATORS + 3)*size;
    return nde_part_prepare(e->rest, p, &prepared);
}

/* ---- construction ---------------------------------------------------------------------------- */

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
    if (!e->diagonal == !e->matrix)
        return nde_fail(NDE_E_ARG, "%s: diagonal and matrix are %s", who, e->diagonal ? "both given" : "NULL");
    if (e->scheme < 0 || e->scheme > NDE_LAWSON4) return nde_fail(NDE_E_ARG, "%s: scheme is %d", who, (int)e->scheme);
    if (!isfinite(e->h)) return nde_fail(NDE_E_ARG, "%s: h is %g", who, e->h);
    size_t size;
    if (f->dim > SIZE_MAX/64 || (e->matrix && !nde_size_multiply(f->dim, f->dim, &size)))
        return nde_fail(NDE_E_SIZE, "%s: dim is %zu", who, f->dim);
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
    nde_field g = { .size = sizeof g, .name = "exponential", .ctx = exponential, .dim = f->dim, .nu = 1, .out = f->dim,
                    .traits = f->traits & (NDE_AUTONOMOUS | NDE_LANEWISE), .eval = eval, .vjp = f->vjp ? vjp : NULL,
                    .jvp = f->jvp ? jvp : NULL, .prepare = prepare };
    if (w.overflow || !nde_size_add(w.used, f->work, &g.work) ||
        !nde_size_grow(&g.prepared, OPERATORS + 3, entries(exponential)) ||
        !nde_size_add(g.prepared, f->prepared, &g.prepared) || (f->np && !nde_size_add(f->p_first, f->np, &g.np)) ||
        (f->nq && !nde_size_add(f->q_first, f->nq, &g.nq)))
        return (void)nde_fail(NDE_E_SIZE, "%s: work, prepared, np or nq of field '%s' is too large", who, nde_field_name(f)),
               none;
    return nde_field_validate(&g, who) == NDE_OK ? g : none;
}
