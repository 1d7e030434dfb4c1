/* SPDX-License-Identifier: MIT
 * rig.h - problems of every kind whose fields can be made to misbehave at one call, an allocator that fails at one call, and
 * everything that a run and its gradients write, as one number. */
#ifndef NDE_TESTS_RELIABILITY_RIG_H
#define NDE_TESTS_RELIABILITY_RIG_H

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "method/method.h"

#define LENGTH(a) (sizeof(a)/sizeof *(a))

/* ---- an allocator that fails, and whose memory is not zero -------------------------------------------------------- */

typedef struct allocator {
    long at;                 /* this call fails; < 0: none */
    bool for_ever;           /* and all after it */
    int fill;                /* FILL_*: what fresh memory, and memory given back, holds */
    atomic_long live, total; /* blocks held; calls */
    atomic_size_t largest;   /* bytes of the largest call */
    nde_allocator hook;
} allocator;
enum { FILL_NOTHING, FILL_ZERO, FILL_A5, FILL_NAN, FILLS };

static inline void fill_with(int fill, void *block, size_t bytes) {
    static const double nan = (double)NAN;
    static const float nans[2] = { NAN, NAN };
    if (fill == FILL_ZERO || fill == FILL_A5) memset(block, fill == FILL_A5 ? 0xa5 : 0, bytes);
    for (size_t i = 0; fill == FILL_NAN && i + 8 <= bytes; i += 8)
        memcpy((char *)block + i, sizeof(nde_real) == 8 ? (const void *)&nan : (const void *)nans, 8);
}

static inline void *allocator_take(void *ctx, size_t bytes, size_t align) {
    allocator *a = ctx;
    const long call = atomic_fetch_add(&a->total, 1);
    if (a->at >= 0 && (call == a->at || (a->for_ever && call > a->at))) return NULL;
    if (bytes > atomic_load(&a->largest)) atomic_store(&a->largest, bytes);
    void *block = NULL;
    if (posix_memalign(&block, align < 64 ? 64 : align, bytes)) return NULL;
    fill_with(a->fill, block, bytes);
    atomic_fetch_add(&a->live, 1);
    return block;
}

static inline void allocator_give(void *ctx, void *block, size_t bytes) {
    allocator *a = ctx;
    fill_with(a->fill, block, bytes); /* use after it is given back shows */
    free(block);
    atomic_fetch_sub(&a->live, 1);
}

static inline void allocator_make(allocator *a, long at, bool for_ever, int fill) {
    memset(a, 0, sizeof *a);
    a->at = at, a->for_ever = for_ever, a->fill = fill;
    a->hook = (nde_allocator){ .take = allocator_take, .give = allocator_give, .ctx = a };
}

/* ---- callbacks that misbehave ------------------------------------------------------------------------------------- */

enum { DRIFT, TERM, QUADRATURE, JUMP, OBSERVE, ROLES };
enum { EVAL, VJP, JVP, CALLS };

typedef struct saboteur {
    int role, what;     /* which callback of which field */
    long at;            /* at this call of it; < 0: never */
    bool for_ever;      /* and at every later one */
    int code;           /* what it returns */
    size_t component;   /* < out: `value` stands there afterwards */
    nde_real value;
    bool silent;        /* writes nothing */
    int mark;           /* NDE_LANE_*: for one lane */
    size_t trajectory;  /* of the lane that is struck; SIZE_MAX: all */
    void (*leave)(void *ctx); /* instead: does not return */
    void *leave_ctx;
    atomic_long calls[ROLES][CALLS];
} saboteur;

typedef struct part {
    int role;
    const nde_field *inner;
    saboteur *bad;
} part;

static inline void saboteur_reset(saboteur *bad) {
    for (int r = 0; r < ROLES; r++)
        for (int c = 0; c < CALLS; c++) atomic_store_explicit(&bad->calls[r][c], 0, memory_order_relaxed);
}

static inline void saboteur_rest(saboteur *bad) {
    saboteur_reset(bad);
    bad->at = -1, bad->code = 0, bad->component = SIZE_MAX, bad->silent = bad->for_ever = false, bad->mark = 0;
    bad->trajectory = SIZE_MAX;
    bad->leave = NULL;
}

static inline bool strikes(const part *c, int what) {
    saboteur *bad = c->bad;
    const long call = atomic_fetch_add_explicit(&bad->calls[c->role][what], 1, memory_order_relaxed);
    const bool now = bad->at >= 0 && bad->role == c->role && bad->what == what &&
        (call == bad->at || (bad->for_ever && call > bad->at));
    if (now && bad->leave) bad->leave(bad->leave_ctx);
    return now;
}

/* Leaves its mark on the value x [rows][ld]. */
static inline int strike(const saboteur *bad, const nde_site *at, size_t rows, nde_real *x) {
    bool any = false;
    for (size_t b = 0; b < at->n; b++) {
        if (bad->trajectory != SIZE_MAX && at->index[b] != bad->trajectory) continue;
        any = true;
        if (bad->component < rows && x) x[bad->component*at->ld + b] = bad->value;
        if (bad->mark) at->lane[b] = (unsigned char)bad->mark;
    }
    return any ? bad->code : 0;
}

static inline int bad_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const part *c = self->ctx;
    const bool now = strikes(c, EVAL);
    const int rc = now && c->bad->silent ? 0 : c->inner->eval(c->inner, at, y, dy);
    return now && !rc ? strike(c->bad, at, self->out, dy) : rc;
}

static inline int bad_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const part *c = self->ctx;
    const bool now = strikes(c, VJP);
    const int rc = c->inner->vjp(c->inner, at, y, a, to);
    return now && !rc ? strike(c->bad, at, self->dim, to->y) : rc;
}

static inline int bad_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const part *c = self->ctx;
    const bool now = strikes(c, JVP);
    const int rc = c->inner->jvp(c->inner, at, y, v, dv);
    return now && !rc ? strike(c->bad, at, self->out, dv) : rc;
}

static inline int bad_vjp_window(const nde_field *self, const nde_site *window, const nde_real *cotape, double *ap) {
    const part *c = self->ctx;
    return c->inner->vjp_window(c->inner, window, cotape, ap);
}

static inline int bad_prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const part *c = self->ctx;
    return c->inner->prepare(c->inner, p, prepared);
}

/* ---- fields ------------------------------------------------------------------------------------------------------- */

/* y' = s(t, y) + u for three components, p [2], q [1]; rows beyond are damped. */
static inline int drift_eval(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    const size_t ld = at->ld;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real t = (nde_real)at->t[b], q = f->nq ? at->q[b] : 1;
        const nde_real y0 = y[b], y1 = y[ld + b], y2 = y[2*ld + b];
        dy[b] = at->p[0]*(y1 - y0) + (f->nu ? at->u[b] : 0);
        dy[ld + b] = y0*(at->p[1] - q*y2) - y1 + t;
        dy[2*ld + b] = y0*y1 - 2*y2;
    }
    return 0;
}

static inline int drift_vjp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const size_t ld = at->ld;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real q = f->nq ? at->q[b] : 1, a0 = a[b], a1 = a[ld + b], a2 = a[2*ld + b];
        const nde_real y0 = y[b], y1 = y[ld + b], y2 = y[2*ld + b];
        if (to->y) {
            to->y[b] += -at->p[0]*a0 + (at->p[1] - q*y2)*a1 + y1*a2;
            to->y[ld + b] += at->p[0]*a0 - a1 + y0*a2;
            to->y[2*ld + b] += -q*y0*a1 - 2*a2;
        }
        if (to->u) to->u[b] += a0;
        if (to->q) to->q[b] += -y0*y2*a1;
        if (to->p) to->p[0] += (double)((y1 - y0)*a0), to->p[1] += (double)(y0*a1);
        if (to->t) to->t[b] += (double)a1;
    }
    return 0;
}

static inline int drift_jvp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const size_t ld = at->ld;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real q = f->nq ? at->q[b] : 1, vq = f->nq && v->q ? v->q[b] : 0, vt = v->t ? (nde_real)v->t[b] : 0;
        const nde_real y0 = y[b], y1 = y[ld + b], y2 = y[2*ld + b];
        const nde_real v0 = v->y ? v->y[b] : 0, v1 = v->y ? v->y[ld + b] : 0, v2 = v->y ? v->y[2*ld + b] : 0;
        const nde_real p0 = v->p ? v->p[0] : 0, p1 = v->p ? v->p[1] : 0;
        dv[b] = at->p[0]*(v1 - v0) + p0*(y1 - y0) + (f->nu && v->u ? v->u[b] : 0);
        dv[ld + b] = v0*(at->p[1] - q*y2) + y0*(p1 - q*v2 - vq*y2) - v1 + vt;
        dv[2*ld + b] = v0*y1 + y0*v1 - 2*v2;
    }
    return 0;
}

/* q' = v, v' = -p0 q for four components, split at two. */
static inline int split_eval(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)f;
    for (size_t i = 0; i < 2; i++)
        for (size_t b = 0; b < at->n; b++) {
            dy[i*at->ld + b] = y[(i + 2)*at->ld + b];
            dy[(i + 2)*at->ld + b] = -at->p[0]*y[i*at->ld + b];
        }
    return 0;
}
static inline int split_vjp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    (void)f;
    for (size_t i = 0; i < 2; i++)
        for (size_t b = 0; b < at->n; b++) {
            const nde_real aq = a[i*at->ld + b], av = a[(i + 2)*at->ld + b];
            if (to->y) to->y[(i + 2)*at->ld + b] += aq, to->y[i*at->ld + b] -= at->p[0]*av;
            if (to->p) to->p[0] -= (double)(y[i*at->ld + b]*av);
        }
    return 0;
}
static inline int split_jvp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    (void)f;
    for (size_t i = 0; i < 2; i++)
        for (size_t b = 0; b < at->n; b++) {
            dv[i*at->ld + b] = v->y ? v->y[(i + 2)*at->ld + b] : 0;
            dv[(i + 2)*at->ld + b] = -at->p[0]*(v->y ? v->y[i*at->ld + b] : 0) - (v->p ? v->p[0] : 0)*y[i*at->ld + b];
        }
    return 0;
}

/* g_i(y) = 0.1 (1 + 0.1 y_i), times the last u where there is one. */
static inline nde_real drive_of(const nde_field *f, const nde_site *at, size_t b) {
    return f->nu ? at->u[(f->nu - 1)*at->ld + b] : 1;
}
static inline int term_eval(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    for (size_t i = 0; i < f->dim; i++)
        for (size_t b = 0; b < at->n; b++)
            dy[i*at->ld + b] = ((nde_real)0.1 + (nde_real)0.01*y[i*at->ld + b])*drive_of(f, at, b);
    return 0;
}
static inline int term_vjp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    for (size_t i = 0; i < f->dim; i++)
        for (size_t b = 0; b < at->n; b++) {
            if (to->y) to->y[i*at->ld + b] += (nde_real)0.01*drive_of(f, at, b)*a[i*at->ld + b];
            if (to->u)
                to->u[(f->nu - 1)*at->ld + b] += ((nde_real)0.1 + (nde_real)0.01*y[i*at->ld + b])*a[i*at->ld + b];
        }
    return 0;
}
static inline int term_jvp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    for (size_t i = 0; i < f->dim; i++)
        for (size_t b = 0; b < at->n; b++) {
            const nde_real vu = f->nu && v->u ? v->u[(f->nu - 1)*at->ld + b] : 0, vy = v->y ? v->y[i*at->ld + b] : 0;
            dv[i*at->ld + b] = (nde_real)0.01*vy*drive_of(f, at, b) + ((nde_real)0.1 + (nde_real)0.01*y[i*at->ld + b])*vu;
        }
    return 0;
}

/* l = (y0^2, y1 y2). */
static inline int quadrature_eval(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)f;
    for (size_t b = 0; b < at->n; b++) {
        dy[b] = y[b]*y[b];
        dy[at->ld + b] = y[at->ld + b]*y[2*at->ld + b];
    }
    return 0;
}
static inline int quadrature_vjp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_real *a,
                                 nde_cotangent *to) {
    (void)f;
    for (size_t b = 0; to->y && b < at->n; b++) {
        to->y[b] += 2*y[b]*a[b];
        to->y[at->ld + b] += y[2*at->ld + b]*a[at->ld + b];
        to->y[2*at->ld + b] += y[at->ld + b]*a[at->ld + b];
    }
    return 0;
}
static inline int quadrature_jvp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_tangent *v,
                                 nde_real *dv) {
    (void)f;
    const size_t ld = at->ld;
    for (size_t b = 0; b < at->n; b++) {
        dv[b] = v->y ? 2*y[b]*v->y[b] : 0;
        dv[ld + b] = v->y ? v->y[ld + b]*y[2*ld + b] + y[ld + b]*v->y[2*ld + b] : 0;
    }
    return 0;
}

/* y+ = 0.9 y + 0.1 u */
static inline int jump_eval(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    for (size_t i = 0; i < f->dim; i++)
        for (size_t b = 0; b < at->n; b++) dy[i*at->ld + b] = (nde_real)0.9*y[i*at->ld + b] + (nde_real)0.1*at->u[b];
    return 0;
}
static inline int jump_vjp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    (void)y;
    for (size_t i = 0; i < f->dim; i++)
        for (size_t b = 0; b < at->n; b++) {
            if (to->y) to->y[i*at->ld + b] += (nde_real)0.9*a[i*at->ld + b];
            if (to->u) to->u[b] += (nde_real)0.1*a[i*at->ld + b];
        }
    return 0;
}
static inline int jump_jvp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    (void)y;
    for (size_t i = 0; i < f->dim; i++)
        for (size_t b = 0; b < at->n; b++)
            dv[i*at->ld + b] = (v->y ? (nde_real)0.9*v->y[i*at->ld + b] : 0) + (v->u ? (nde_real)0.1*v->u[b] : 0);
    return 0;
}

/* w = (y0 y1, p0 y2 + t) */
static inline int observe_eval(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *w) {
    (void)f;
    for (size_t b = 0, ld = at->ld; b < at->n; b++) {
        w[b] = y[b]*y[ld + b];
        w[ld + b] = at->p[0]*y[2*ld + b] + (nde_real)at->t[b];
    }
    return 0;
}
static inline int observe_vjp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    (void)f;
    for (size_t b = 0, ld = at->ld; b < at->n; b++) {
        if (to->y) {
            to->y[b] += y[ld + b]*a[b], to->y[ld + b] += y[b]*a[b];
            to->y[2*ld + b] += at->p[0]*a[ld + b];
        }
        if (to->p) to->p[0] += (double)(y[2*ld + b]*a[ld + b]);
        if (to->t) to->t[b] += (double)a[ld + b];
    }
    return 0;
}
static inline int observe_jvp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dw) {
    (void)f;
    for (size_t b = 0, ld = at->ld; b < at->n; b++) {
        const nde_real v0 = v->y ? v->y[b] : 0, v1 = v->y ? v->y[ld + b] : 0, v2 = v->y ? v->y[2*ld + b] : 0;
        dw[b] = v0*y[ld + b] + y[b]*v1;
        dw[ld + b] = at->p[0]*v2 + (v->p ? v->p[0] : 0)*y[2*ld + b] + (v->t ? (nde_real)v->t[b] : 0);
    }
    return 0;
}

/* ---- problems of every kind --------------------------------------------------------------------------------------- */

enum { PLAIN, QUADRATURES, JUMPS, INPUT, PATH, NOISE, SCALAR_NOISE, SPLIT, NETWORK, OBSERVED, EVERYTHING, KINDS };
static const char *const kind_names[KINDS] = { "plain", "quadrature", "jumps", "input", "path", "noise", "scalar noise",
                                               "split", "network", "observed", "everything" };

enum { MOST = 24, KNOTS = 4, N_JUMPS = 2, N_SAVE = 4, MOST_P = 256 };

typedef struct rig {
    int kind;
    size_t n, nz;
    saboteur bad;
    part parts[ROLES];
    nde_field inner[ROLES], field[ROLES];
    nde_mlp mlp;
    size_t width[4];
    nde_path path, input;
    nde_noise noise;
    nde_term term;
    double path_t[KNOTS], input_t[KNOTS], jump_t[N_JUMPS], save_t[N_SAVE];
    nde_real path_x[KNOTS*MOST], input_x[KNOTS*MOST], jump_u[N_JUMPS*MOST], y0[4*MOST], p[MOST_P], q[MOST];
    nde_problem problem;
    nde_options options;
    nde_solver *solver;
    nde_solution solution;
    /* gradients, and the seeds they come from */
    nde_real seed_y[N_SAVE*4*MOST], seed_end[4*MOST], seed_z[2*MOST];
    nde_real g_y0[4*MOST], g_p[MOST_P], g_q[MOST], g_jump_u[N_JUMPS*MOST], g_input[KNOTS*MOST], g_path[KNOTS*MOST];
    nde_real *g_terms[1];
    double g_t0[MOST], g_t1[MOST], g_save[N_SAVE], g_jump_t[N_JUMPS], g_loss;
    nde_seed seed;
    nde_gradient gradient;
    /* forward mode: the direction is made of the seeds' numbers */
    nde_real v_y0[4*MOST], v_p[MOST_P], v_q[MOST], v_x[KNOTS*MOST], w_y[N_SAVE*4*MOST], w_end[4*MOST], w_z[2*MOST];
    double v_t[MOST];
    nde_direction direction;
    nde_output_tangent tangent;
} rig;

/* The caller's arrays of a rig: what is read and what is written. */
typedef struct array_ref {
    void *pointer; /* to the pointer */
    size_t bytes;
    bool written;
} array_ref;
enum { MOST_ARRAYS = 48 };

static inline void *pointer_of(const array_ref *a) {
    void *p;
    memcpy(&p, a->pointer, sizeof p);
    return p;
}

static inline size_t rig_arrays(rig *r, array_ref *list) {
    const size_t n = r->n, dim = r->field[DRIFT].dim, np = r->field[DRIFT].np, real = sizeof(nde_real),
        jumps = r->problem.n_jumps;
    size_t count = 0;
#define REF(member, length, out) if (member) list[count++] = (array_ref){ &member, (length), out }
    REF(r->problem.y0, dim*n*real, false); REF(r->problem.p, np*real, false); REF(r->problem.q, n*real, false);
    REF(r->problem.jump_t, jumps*sizeof(double), false); REF(r->problem.jump_u, jumps*n*real, false);
    REF(r->path.t, KNOTS*sizeof(double), false); REF(r->path.x, KNOTS*n*real, false);
    REF(r->input.t, KNOTS*sizeof(double), false); REF(r->input.x, KNOTS*n*real, false);
    REF(r->options.save_t, r->options.n_save*sizeof(double), false); REF(r->options.atol_each, dim*sizeof(double), false);
    REF(r->seed.y, N_SAVE*dim*n*real, false); REF(r->seed.y_end, dim*n*real, false);
        REF(r->seed.quadrature, r->nz*n*real, false);
    REF(r->gradient.y0, dim*n*real, true); REF(r->gradient.p, np*real, true); REF(r->gradient.q, n*real, true);
    REF(r->gradient.t0, n*sizeof(double), true); REF(r->gradient.t1, n*sizeof(double), true);
    REF(r->gradient.save_t, N_SAVE*sizeof(double), true); REF(r->gradient.jump_t, jumps*sizeof(double), true);
    REF(r->gradient.jump_u, jumps*n*real, true); REF(r->gradient.input_x, KNOTS*n*real, true);
    REF(r->g_terms[0], KNOTS*n*real, true); REF(r->gradient.loss_error, sizeof(double), true);
    REF(r->tangent.y, N_SAVE*dim*n*real, true); REF(r->tangent.y_end, dim*n*real, true);
        REF(r->tangent.quadrature, r->nz*n*real, true);
#undef REF
    return count;
}

static inline void rig_admit(rig *r, int role, nde_field inner) {
    r->inner[role] = inner;
    r->parts[role] = (part){ role, &r->inner[role], &r->bad };
    nde_field *f = &r->field[role];
    *f = inner;
    f->ctx = &r->parts[role];
    f->eval = bad_eval, f->vjp = bad_vjp, f->jvp = bad_jvp, f->vjp_jvp = NULL, f->jacobian = NULL;
    if (inner.vjp_window) f->vjp_window = bad_vjp_window;
    if (inner.prepare) f->prepare = bad_prepare;
}

static inline nde_field simple_field(const char *name, size_t dim, size_t out, size_t nu, size_t np, size_t nq,
                                     int (*eval)(const nde_field *, const nde_site *, const nde_real *, nde_real *),
                                     int (*vjp)(const nde_field *, const nde_site *, const nde_real *, const nde_real *,
                                                nde_cotangent *),
                                     int (*jvp)(const nde_field *, const nde_site *, const nde_real *, const nde_tangent *,
                                                nde_real *)) {
    return NDE_INIT(nde_field, .name = name, .dim = dim, .out = out, .nu = nu, .np = np, .nq = nq, .traits = NDE_LANEWISE,
                    .eval = eval, .vjp = vjp, .jvp = jvp);
}

static inline double rig_number(size_t i) { return (double)((i*2654435761u + 12345u) % 1009u)/1009; }

/* n <= MOST trajectories of one kind. Options: adaptive tsit5, four save times. */
static inline void rig_make(rig *r, int kind, size_t n) {
    memset(r, 0, sizeof *r);
    r->kind = kind, r->n = n;
    saboteur_rest(&r->bad);
    const bool all = kind == EVERYTHING, noise = kind == NOISE || kind == SCALAR_NOISE, path = all || kind == PATH;
    const size_t dim = kind == SPLIT ? 4 : 3, channels = all || kind == INPUT ? 1 : 0;
    r->problem = NDE_INIT(nde_problem, .n = n, .t0 = 0, .t1 = 1, .y0 = r->y0, .p = r->p, .drift = &r->field[DRIFT]);
    nde_problem *q = &r->problem;
    for (size_t i = 0; i < LENGTH(r->y0); i++) r->y0[i] = (nde_real)(0.5 + rig_number(i));
    for (size_t i = 0; i < LENGTH(r->p); i++) r->p[i] = (nde_real)(1 + rig_number(i + 7));
    for (size_t i = 0; i < LENGTH(r->q); i++) r->q[i] = (nde_real)(0.5 + rig_number(i + 11));
    for (size_t i = 0; i < KNOTS; i++) r->path_t[i] = (double)i/(KNOTS - 1)*1.25 - 0.1, r->input_t[i] = (double)i/(KNOTS - 1);
    for (size_t i = 0; i < LENGTH(r->path_x); i++)
        r->path_x[i] = (nde_real)rig_number(i + 3), r->input_x[i] = (nde_real)rig_number(i + 5);
    for (size_t i = 0; i < LENGTH(r->jump_u); i++) r->jump_u[i] = (nde_real)rig_number(i + 17);
    r->jump_t[0] = 0.25, r->jump_t[1] = 0.625;

    if (kind == SPLIT) {
        rig_admit(r, DRIFT, simple_field("oscillator", 4, 4, 0, 1, 0, split_eval, split_vjp, split_jvp));
        q->split = 2;
    } else if (kind == NETWORK) {
        r->width[0] = 4, r->width[1] = 5, r->width[2] = 3;
        r->mlp = NDE_INIT(nde_mlp, .layers = 2, .width = r->width, .time_input = 1);
        rig_admit(r, DRIFT, nde_field_mlp(&r->mlp));
        assert_int_equal(nde_mlp_init(&r->mlp, NDE_GLOROT_UNIFORM, 5, r->p), NDE_OK);
    } else {
        rig_admit(r, DRIFT, simple_field("drift", 3, 3, channels, 2, all, drift_eval, drift_vjp, drift_jvp));
    }
    if (all) q->q = r->q;
    if (channels) {
        r->input = NDE_INIT(nde_path, .channels = 1, .knots = KNOTS, .t = r->input_t, .x = r->input_x);
        q->input = &r->input;
    }
    if (path || noise) {
        const size_t nu = path ? channels + 1 : kind == SCALAR_NOISE;
        rig_admit(r, TERM, simple_field("term", dim, dim, nu, 0, 0, term_eval, term_vjp, term_jvp));
        r->path = NDE_INIT(nde_path, .channels = 1, .knots = KNOTS, .t = r->path_t, .x = r->path_x);
        r->noise = NDE_INIT(nde_noise, .seed = 42);
        r->term = NDE_INIT(nde_term, .field = &r->field[TERM], .path = path ? &r->path : NULL,
                           .noise = noise ? &r->noise : NULL,
                           .kind = kind == SCALAR_NOISE ? NDE_NOISE_SCALAR : NDE_NOISE_DIAGONAL);
        q->terms = &r->term, q->n_terms = 1;
        if (noise) q->calculus = NDE_ITO;
    }
    if (all || kind == QUADRATURES) {
        rig_admit(r, QUADRATURE, simple_field("quadrature", 3, 2, channels, 0, 0, quadrature_eval, quadrature_vjp,
                                              quadrature_jvp));
        q->quadrature = &r->field[QUADRATURE];
        r->nz = 2;
    }
    if (all || kind == JUMPS) {
        rig_admit(r, JUMP, simple_field("jump", 3, 3, 1, 0, 0, jump_eval, jump_vjp, jump_jvp));
        q->jump = &r->field[JUMP], q->jump_t = r->jump_t, q->n_jumps = N_JUMPS, q->jump_inputs = 1, q->jump_u = r->jump_u;
    }

    if (kind == OBSERVED) {
        rig_admit(r, OBSERVE, simple_field("observation", 3, 2, 0, 1, 0, observe_eval, observe_vjp, observe_jvp));
        q->observe = &r->field[OBSERVE];
    }

    for (size_t i = 0; i < N_SAVE; i++) r->save_t[i] = 0.1 + 0.3*(double)i;
    r->save_t[N_SAVE - 1] = 1;
    r->options = NDE_INIT(nde_options, .save_t = r->save_t, .n_save = N_SAVE, .budget = (size_t)1 << 20);

    for (size_t i = 0; i < LENGTH(r->seed_y); i++) r->seed_y[i] = (nde_real)(rig_number(i + 23) - 0.5);
    for (size_t i = 0; i < LENGTH(r->seed_end); i++) r->seed_end[i] = (nde_real)(rig_number(i + 29) - 0.5);
    for (size_t i = 0; i < LENGTH(r->seed_z); i++) r->seed_z[i] = (nde_real)(rig_number(i + 31) - 0.5);
    r->seed = NDE_INIT(nde_seed, .y = r->seed_y, .y_end = r->seed_end, .quadrature = r->nz ? r->seed_z : NULL);
    r->gradient = NDE_INIT(nde_gradient, .y0 = r->g_y0, .p = r->g_p, .q = all ? r->g_q : NULL, .t0 = r->g_t0, .t1 = r->g_t1,
                           .save_t = r->g_save, .loss_error = &r->g_loss);
    if (q->n_jumps) r->gradient.jump_t = r->g_jump_t, r->gradient.jump_u = r->g_jump_u;
    if (q->input) r->gradient.input_x = r->g_input;
    if (path) r->g_terms[0] = r->g_path, r->gradient.term_x = r->g_terms;
    for (size_t i = 0; i < LENGTH(r->v_y0); i++) r->v_y0[i] = (nde_real)(rig_number(i + 37) - 0.5);
    for (size_t i = 0; i < LENGTH(r->v_p); i++) r->v_p[i] = (nde_real)(rig_number(i + 41) - 0.5);
    for (size_t i = 0; i < LENGTH(r->v_q); i++)
        r->v_q[i] = (nde_real)(rig_number(i + 43) - 0.5), r->v_t[i] = 0.01*rig_number(i);
    for (size_t i = 0; i < LENGTH(r->v_x); i++) r->v_x[i] = (nde_real)(rig_number(i + 47) - 0.5);
    r->direction = NDE_INIT(nde_direction, .y0 = r->v_y0, .p = r->v_p, .q = all ? r->v_q : NULL, .t0 = r->v_t, .save_t = r->v_t,
                            .input_x = channels ? r->v_x : NULL);
    r->tangent = NDE_INIT(nde_output_tangent, .y = r->w_y, .y_end = r->w_end, .quadrature = r->nz ? r->w_z : NULL);
}

/* Sets a method; false when it does not fit the kind. fixed: also for methods with an error estimate. */
static inline bool rig_method(rig *r, const nde_method *method, bool fixed) {
    const bool noise = r->kind == NOISE || r->kind == SCALAR_NOISE;
    const int kind = nde_method_kind(method);
    if (kind == NDE_KIND_SPLITTING || kind == NDE_KIND_IMEX) return false; /* tests/method/splitting.c, imex.c */
    if (kind == NDE_KIND_ROSENBROCK || kind == NDE_KIND_SWITCHING) return false; /* fields have no vjp_jvp */
    const int wanted = r->kind == SCALAR_NOISE ? NDE_NOISE_SCALAR : NDE_NOISE_DIAGONAL;
    /* fields have no vjp_jvp */
    if (noise && (!nde_method_strong(method, wanted) || nde_method_follows(method, wanted))) return false;
    if (noise) r->problem.calculus = nde_method_calculus(method) & NDE_ITO ? NDE_ITO : NDE_STRATONOVICH;
    if (noise != (kind == NDE_KIND_STOCHASTIC) || (r->kind == SPLIT) != nde_method_is_split(method)) return false;
    if (!fixed && !nde_method_error_order(method)) return false;
    r->options.method = nde_method_id(method);
    r->options.steps = fixed ? 8 : 0;
    r->options.stages = kind == NDE_KIND_CHEBYSHEV ? 3 : 0;
    const bool slow = nde_method_order(method) <= 2 || test_iterates(method);
    if (!fixed && slow) r->options.rtol = 1e-2, r->options.atol = 1e-3; /* else thousands of steps */
    return true;
}

/* Is this method of the registry built like none before it, or the default? Others differ from one in numbers alone: what takes
 * a run for every call is tried with one of each build. */
static inline bool rig_is_new(size_t which) {
    const nde_method *m = nde_method_at(which);
    for (size_t i = 0; i < which && nde_method_id(m) != NDE_TSIT5; i++) {
        const nde_method *o = nde_method_at(i);
        if (o->kind == m->kind && !o->e == !m->e && !o->e2 == !m->e2 && o->first_same_as_last == m->first_same_as_last &&
            o->filtered == m->filtered && !o->dense_stages == !m->dense_stages)
            return false;
    }
    return true;
}

/* ---- what was written, as one number ------------------------------------------------------------------------------ */

static inline uint64_t hash_more(uint64_t h, const void *data, size_t bytes) {
    const unsigned char *at = data;
    for (; bytes >= 8; bytes -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        h = (h ^ word)*0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    for (; bytes; bytes--, at++) h = (h ^ *at)*0x100000001b3u;
    return h;
}

static inline uint64_t hash_solution(const nde_solution *s) {
    uint64_t h = 1469598103934665603u;
    h = hash_more(h, s->y, s->n_save*s->out*s->n*sizeof *s->y);
    h = hash_more(h, s->y_end, s->dim*s->n*sizeof *s->y);
    if (s->nz) h = hash_more(h, s->quadrature, s->nz*s->n*sizeof *s->y);
    h = hash_more(h, s->t_end, s->n*sizeof *s->t_end);
    h = hash_more(h, s->saved, s->n*sizeof *s->saved);
    h = hash_more(h, s->status, s->n*sizeof *s->status);
    h = hash_more(h, s->stats, s->n*sizeof *s->stats);
    return h;
}

/* Of everything that nde_backward and nde_forward write. */
static inline uint64_t hash_written(rig *r) {
    array_ref list[MOST_ARRAYS];
    const size_t count = rig_arrays(r, list);
    uint64_t h = 88172645463325252u;
    for (size_t i = 0; i < count; i++)
        if (list[i].written) h = hash_more(h, pointer_of(&list[i]), list[i].bytes);
    return h;
}

static inline void fill_written(rig *r, int byte) {
    array_ref list[MOST_ARRAYS];
    const size_t count = rig_arrays(r, list);
    for (size_t i = 0; i < count; i++)
        if (list[i].written) memset(pointer_of(&list[i]), byte, list[i].bytes);
}

static inline bool all_finite(const nde_real *x, size_t count) {
    for (size_t i = 0; x && i < count; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

/* Every state that a solution gives out is finite, whatever its status; rows that were not reached are NaN. */
static inline bool states_are_finite(const nde_solution *s) {
    if (!all_finite(s->y_end, s->dim*s->n) || !all_finite(s->quadrature, s->nz*s->n)) return false;
    for (size_t row = 0; row < s->n_save; row++)
        for (size_t b = 0; b < s->n; b++)
            for (size_t i = 0; i < s->out; i++)
                if ((row < s->saved[b]) != !!isfinite(s->y[(row*s->out + i)*s->n + b])) return false;
    return true;
}

#endif
