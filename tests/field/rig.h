/* SPDX-License-Identifier: MIT
 * rig.h - a site for a field, with all arrays, for tests. Each number is a function of (array, row, trajectory), so that a
 * lane can be compared with the same trajectory elsewhere. What lies beyond the lanes holds a guard: whoever reads it
 * gets NaN, whoever writes it is found by rig_check_guards. */
#ifndef NDE_TESTS_RIG_H
#define NDE_TESTS_RIG_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "field/parts.h"

enum { RIG_Y, RIG_U, RIG_Q, RIG_P, RIG_T, RIG_A, RIG_B, RIG_VY, RIG_VU, RIG_VQ, RIG_VP, RIG_VT, RIG_INITIAL };

/* In (-1, 1): splitmix64 of its arguments. Source: G. Steele, D. Lea, C. Flood, OOPSLA (2014). */
static inline double rig_number(size_t array, size_t row, size_t trajectory) {
    uint64_t z = (uint64_t)array*1000003u + (uint64_t)row*10007u + (uint64_t)trajectory*0x9e3779b97f4a7c15u + 12345u;
    z = (z ^ (z >> 30))*0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27))*0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11)*0x1p-52 - 1;
}

typedef struct rig {
    const nde_field *field;
    nde_site at;
    size_t first;              /* trajectory of lane 0 */
    nde_real *y, *dy, *a, *b, *dv, *tape, *cotape;
    nde_tangent v;
    nde_cotangent to, to_v;    /* all members but cotape; begin at zero */
    void *blocks[40];
    size_t count;
} rig;

static inline void *rig_take(rig *r, size_t bytes) {
    void *block = NULL;
    assert_int_equal(posix_memalign(&block, 64, bytes + 64), 0);
    memset(block, 0xff, bytes + 64); /* NaN */
    return r->blocks[r->count++] = block;
}

static inline nde_real *rig_block(rig *r, size_t rows, int array) {
    if (rows == 0) return NULL;
    nde_real *x = rig_take(r, rows*r->at.ld*sizeof *x);
    for (size_t i = 0; i < rows && array >= 0; i++)
        for (size_t b = 0; b < r->at.n; b++) x[i*r->at.ld + b] = (nde_real)rig_number((size_t)array, i, r->first + b);
    return x;
}

static inline void rig_zero(rig *r, nde_cotangent *to) {
    const nde_field *f = r->field;
    for (size_t b = 0; b < r->at.n; b++) {
        for (size_t i = 0; i < f->dim; i++) to->y[i*r->at.ld + b] = 0;
        for (size_t i = 0; i < f->nu; i++) to->u[i*r->at.ld + b] = 0;
        for (size_t i = 0; i < f->nq; i++) to->q[i*r->at.ld + b] = 0;
        to->t[b] = 0;
    }
    for (size_t i = 0; i < f->np; i++) to->p[i] = 0;
}

static inline nde_cotangent rig_cotangent(rig *r) {
    const nde_field *f = r->field;
    nde_cotangent to = { .t = rig_take(r, r->at.n*sizeof(double)), .y = rig_block(r, f->dim, -1), .u = rig_block(r, f->nu, -1),
                         .q = rig_block(r, f->nq, -1), .p = rig_take(r, f->np*sizeof(double)) };
    rig_zero(r, &to);
    return to;
}

/* Prepares for the field as it stands: work, prepared and the weights' scale are as a solver would have them. */
static inline rig rig_make(const nde_field *field, size_t n, size_t ld, size_t tape_ld, const nde_kernels *kernels,
                           size_t first) {
    assert_non_null(field->eval);
    rig r = { .field = field, .first = first };
    r.at.n = n, r.at.ld = ld, r.at.tape_ld = tape_ld, r.at.kernels = kernels;
    double *t = rig_take(&r, n*sizeof *t), *vt = rig_take(&r, n*sizeof *vt);
    size_t *index = rig_take(&r, n*sizeof *index), *interval = rig_take(&r, n*sizeof *interval);
    for (size_t b = 0; b < n; b++) {
        t[b] = rig_number(RIG_T, 0, first + b);
        vt[b] = rig_number(RIG_VT, 0, first + b);
        index[b] = first + b;
        interval[b] = 0;
    }
    nde_real *p = rig_take(&r, field->np*sizeof *p), *vp = rig_take(&r, field->np*sizeof *vp);
    nde_real *prepared = rig_take(&r, field->prepared*sizeof *prepared);
    for (size_t i = 0; i < field->np; i++) p[i] = (nde_real)(0.6*rig_number(RIG_P, i, 0));
    for (size_t i = 0; i < field->np; i++) vp[i] = (nde_real)rig_number(RIG_VP, i, 0);
    if (field->prepared) assert_int_equal(field->prepare(field, p, prepared), 0);
    r.at.t = t, r.at.index = index, r.at.interval = interval;
    r.at.p = p, r.at.prepared = prepared;
    r.at.u = rig_block(&r, field->nu, RIG_U), r.at.q = rig_block(&r, field->nq, RIG_Q);
    r.at.work = rig_block(&r, field->work ? field->work : 1, -1);
    r.at.lane = rig_take(&r, n);
    memset(r.at.lane, NDE_LANE_OK, n);
    r.y = rig_block(&r, field->dim, RIG_Y);
    r.dy = rig_block(&r, field->out, -1), r.dv = rig_block(&r, field->out, -1);
    r.a = rig_block(&r, field->out, RIG_A), r.b = rig_block(&r, field->out, RIG_B);
    r.tape = rig_take(&r, field->tape*tape_ld*sizeof(nde_real));
    r.cotape = rig_take(&r, field->cotape*tape_ld*sizeof(nde_real));
    r.v = (nde_tangent){ .t = vt, .y = rig_block(&r, field->dim, RIG_VY), .u = rig_block(&r, field->nu, RIG_VU),
                         .q = rig_block(&r, field->nq, RIG_VQ), .p = vp };
    r.to = rig_cotangent(&r);
    r.to_v = rig_cotangent(&r);
    return r;
}

static inline void rig_free(rig *r) {
    while (r->count > 0) free(r->blocks[--r->count]);
}

/* Lanes >= n of a block are as they were. */
static inline void rig_check_guards(const rig *r, const nde_real *x, size_t rows, size_t ld) {
    static const unsigned char guard[sizeof(nde_real)] = { 0xff, 0xff, 0xff, 0xff };
    for (size_t i = 0; x && i < rows; i++)
        for (size_t b = r->at.n; b < ld; b++) assert_memory_equal(x + i*ld + b, guard, 4);
}

/* One lane of two blocks, bit for bit. */
static inline void rig_same_lane(const nde_real *x, size_t ld_x, size_t b_x, const nde_real *y, size_t ld_y, size_t b_y,
                                 size_t rows) {
    for (size_t i = 0; i < rows; i++) assert_memory_equal(x + i*ld_x + b_x, y + i*ld_y + b_y, sizeof *x);
}

/* <x, y> over the lanes. */
static inline double rig_dot(const rig *r, const nde_real *x, const nde_real *y, size_t rows, double *size) {
    double sum = 0;
    for (size_t i = 0; x && y && i < rows; i++) {
        for (size_t b = 0; b < r->at.n; b++) {
            sum += (double)x[i*r->at.ld + b]*(double)y[i*r->at.ld + b];
            *size += fabs((double)x[i*r->at.ld + b]*(double)y[i*r->at.ld + b]);
        }
    }
    return sum;
}

/* <cotangent, direction> over all kinds. */
static inline double rig_pair(const rig *r, const nde_cotangent *to, double *size) {
    const nde_field *f = r->field;
    double sum = rig_dot(r, to->y, r->v.y, f->dim, size) + rig_dot(r, to->u, r->v.u, f->nu, size) +
                 rig_dot(r, to->q, r->v.q, f->nq, size);
    for (size_t b = 0; b < r->at.n; b++) sum += to->t[b]*r->v.t[b], *size += fabs(to->t[b]*r->v.t[b]);
    for (size_t i = 0; i < f->np; i++) sum += to->p[i]*(double)r->v.p[i], *size += fabs(to->p[i]*(double)r->v.p[i]);
    return sum;
}

/* <J v, a> = <v, J' a> to 1e-12 (float 1e-5) of the sizes of the terms. */
static inline void rig_check_identity(rig *r) {
    const nde_field *f = r->field;
    double left_size = 0, right_size = 0;
    rig_zero(r, &r->to);
    assert_int_equal(f->jvp(f, &r->at, r->y, &r->v, r->dv), 0);
    assert_int_equal(f->vjp(f, &r->at, r->y, r->a, &r->to), 0);
    const double left = rig_dot(r, r->dv, r->a, f->out, &left_size), right = rig_pair(r, &r->to, &right_size);
    const double tolerance = sizeof(nde_real) == 8 ? 1e-12 : 1e-5;
    if (!(fabs(left - right) <= tolerance*(left_size + right_size)))
        fail_msg("%s, n %zu: <Jv, a> = %.17g, <v, J'a> = %.17g", nde_field_name(f), r->at.n, left, right);
}

/* nde_field_check says that all is well. Limits: 1e-6 in double, 1e-2 in float, as the header promises. */
static inline double rig_check_derivatives(rig *r) {
    double worst = 1;
    char text[300] = "";
    assert_int_equal(nde_field_check(r->field, &r->at, r->y, &worst, text, sizeof text), NDE_OK);
    if (!(worst < (sizeof(nde_real) == 8 ? 1e-8 : 1e-3))) fail_msg("%s", text);
    return worst;
}

#endif
