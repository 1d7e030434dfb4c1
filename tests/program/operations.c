/* SPDX-License-Identifier: MIT
 * operations.c - every operation, and programs at random: values against a naive evaluator, derivatives against differences and
 * each other, a lane's bits in any company. NDE_TEST_LONG: 10^5 programs. */
#include "../field/rig.h"
#include "recorder.h"
#include "taped.h"

#include <stdio.h>

static rec_lane lane_of(const rig *r, size_t b) {
    rec_lane lane = { .t = r->at.t[b] };
    for (size_t i = 0; i < REC_DIM; i++) lane.y[i] = (double)r->y[i*r->at.ld + b];
    for (size_t i = 0; i < REC_NU; i++) lane.u[i] = (double)r->at.u[i*r->at.ld + b];
    for (size_t i = 0; i < REC_NP; i++) lane.p[i] = (double)r->at.p[i];
    for (size_t i = 0; i < REC_NQ; i++) lane.q[i] = (double)r->at.q[i*r->at.ld + b];
    return lane;
}

static void print(const recording *r) {
    for (int k = 0; k < r->count; k++) {
        const rec_step *s = &r->step[k];
        print_error("%d = %s(%d, %d, %d) first %zu rows %zu value %g\n", k, rec_names[s->op], s->x[0], s->x[1], s->x[2],
                    s->first, s->rows, s->value);
    }
}

/* Rounding grows along a program; what was small beside its terms has few digits. */
static const double loose = 1e5;

/* Values of lane b; false: a step is decided in the last digits, or so large that a sine of it has none. */
static bool values_of(const rig *r, const recording *rec, size_t b, double v[][REC_ROWS]) {
    const rec_lane lane = lane_of(r, b);
    bool plain = true;
    for (int k = 0; k < rec->count; k++) {
        rec_eval(rec, k, &lane, v), plain &= !rec_close(rec, &rec->step[k], v);
        for (size_t i = 0; i < rec->step[k].rows; i++) plain &= fabs(v[k][i]) < 100;
    }
    return plain;
}

static void check_values(rig *r, const recording *rec, int outputs) {
    const nde_field *f = r->field;
    static double v[REC_STEPS][REC_ROWS];
    assert_int_equal(f->eval(f, &r->at, r->y, r->dy), 0);
    for (size_t b = 0; b < r->at.n; b++) {
        size_t row = 0;
        const bool plain = values_of(r, rec, b, v);
        for (int k = rec->count - outputs; plain && k < rec->count; k++) {
            for (size_t i = 0; i < rec->step[k].rows; i++, row++) {
                const double got = (double)r->dy[row*r->at.ld + b], want = v[k][i];
                if (fabs(got - want) <= loose*NDE_TEST_EPS*(1 + fabs(want))) continue;
                print(rec);
                fail_msg("n %zu, lane %zu, step %d, row %zu: %.17g, not %.17g", r->at.n, b, k, i, got, want);
            }
        }
    }
    rig_check_guards(r, r->dy, f->out, r->at.ld);
}

/* <J v, a> = <v, J' a>; sizes of what cancels within J are not seen here. */
static void check_identity(rig *r, const recording *rec) {
    const nde_field *f = r->field;
    double size = 0;
    rig_zero(r, &r->to);
    assert_int_equal(f->jvp(f, &r->at, r->y, &r->v, r->dv), 0);
    assert_int_equal(f->vjp(f, &r->at, r->y, r->a, &r->to), 0);
    const double left = rig_dot(r, r->dv, r->a, f->out, &size), right = rig_pair(r, &r->to, &size);
    if (fabs(left - right) <= loose*NDE_TEST_EPS*(1 + size)) return;
    print(rec);
    fail_msg("n %zu: <Jv, a> = %.17g, <v, J'a> = %.17g", r->at.n, left, right);
}

/* <b, F''(v, w)> = <b, F''(w, v)>, v the rig's direction and w its cotangents' numbers. */
static void check_symmetry(rig *r, const recording *rec) {
    const nde_field *f = r->field;
    nde_tangent w = { .t = r->v.t, .y = rig_block(r, f->dim, RIG_INITIAL), .u = rig_block(r, f->nu, RIG_INITIAL + 1),
                      .q = rig_block(r, f->nq, RIG_INITIAL + 2), .p = r->v.p };
    const nde_tangent v = r->v;
    double size = 0, one, other;
    rig_zero(r, &r->to), rig_zero(r, &r->to_v);
    assert_int_equal(f->vjp_jvp(f, &r->at, r->y, &v, NULL, r->b, &r->to, NULL), 0);
    assert_int_equal(f->vjp_jvp(f, &r->at, r->y, &w, NULL, r->b, &r->to_v, NULL), 0);
    r->v = w, one = rig_pair(r, &r->to, &size);
    r->v = v, other = rig_pair(r, &r->to_v, &size);
    if (fabs(one - other) <= loose*NDE_TEST_EPS*(1 + size)) return;
    print(rec);
    fail_msg("second derivatives: %.17g and %.17g", one, other);
}

/* slope [out][COLUMNS]: of the first lanes, along the rig's direction, by differences of fourth order. */
enum { COLUMNS = 8 };
static void differences(rig *r, double h, double slope[][COLUMNS]) {
    const nde_field *f = r->field;
    const nde_site at = r->at;
    const size_t n = at.n, ld = at.ld;
    static const double weight[] = { 1/12.0, -8/12.0, 8/12.0, -1/12.0 }, place[] = { -2, -1, 1, 2 };
    double t[200];
    nde_real p[REC_NP];
    const size_t before = r->count;
    nde_real *y = rig_block(r, f->dim, -1), *u = rig_block(r, f->nu, -1), *q = rig_block(r, f->nq, -1);
    nde_real *prepared = rig_take(r, f->prepared*sizeof *prepared);
    memset(slope, 0, f->out*sizeof *slope);
    for (int k = 0; k < 4; k++) {
        const double s = place[k]*h;
        for (size_t b = 0; b < n; b++) {
            t[b] = at.t[b] + s*r->v.t[b];
            for (size_t i = 0; i < f->dim; i++) y[i*ld + b] = (nde_real)((double)r->y[i*ld + b] + s*(double)r->v.y[i*ld + b]);
            for (size_t i = 0; i < f->nu; i++) u[i*ld + b] = (nde_real)((double)at.u[i*ld + b] + s*(double)r->v.u[i*ld + b]);
            for (size_t i = 0; i < f->nq; i++) q[i*ld + b] = (nde_real)((double)at.q[i*ld + b] + s*(double)r->v.q[i*ld + b]);
        }
        for (size_t i = 0; i < f->np; i++) p[i] = (nde_real)((double)at.p[i] + s*(double)r->v.p[i]);
        if (f->prepare) assert_int_equal(f->prepare(f, p, prepared), 0);
        nde_site there = at;
        there.t = t, there.u = u, there.q = q, there.p = p, there.prepared = prepared;
        assert_int_equal(f->eval(f, &there, y, r->dy), 0);
        for (size_t i = 0; i < f->out; i++)
            for (size_t b = 0; b < n && b < COLUMNS; b++) slope[i][b] += weight[k]*(double)r->dy[i*ld + b]/h;
    }
    while (r->count > before) free(r->blocks[--r->count]);
}

/* Where the program bends much, differences need shorter steps. */
static void check_differences(rig *r, const recording *rec) {
    static const double steps[2][4] = { { 1e-3, 1e-4, 1e-5, 1e-6 }, { 3e-2, 1e-2, 3e-3, 1e-3 } };
    const bool single = sizeof(nde_real) == 4;
    const nde_field *f = r->field;
    double slope[3*REC_ROWS][COLUMNS], worst = 0;
    static double v[REC_STEPS][REC_ROWS];
    bool plain[COLUMNS];
    for (size_t b = 0; b < r->at.n && b < COLUMNS; b++) plain[b] = values_of(r, rec, b, v);
    assert_int_equal(f->jvp(f, &r->at, r->y, &r->v, r->dv), 0);
    for (int k = 0; k < 4; k++) {
        differences(r, steps[single][k], slope);
        worst = 0;
        for (size_t i = 0; i < f->out; i++)
            for (size_t b = 0; b < r->at.n && b < COLUMNS; b++)
                if (plain[b]) worst = fmax(worst, fabs((double)r->dv[i*r->at.ld + b] - slope[i][b])/(1 + 10*fabs(slope[i][b])));
        if (worst <= (single ? 0.02 : 1e-6)) return;
    }
    print(rec);
    fail_msg("the derivative is %g from differences", worst);
}

/* The inputs that every test begins with, at rows of their own. */
static void begin(recording *r) {
    static const rec_step inputs[] = {
        { .op = REC_T, .rows = 1 }, { .op = REC_Y, .rows = REC_DIM }, { .op = REC_U, .rows = REC_NU },
        { .op = REC_P, .rows = 6 }, { .op = REC_Q, .rows = REC_NQ }, { .op = REC_Y, .rows = 3, .first = 1 },
        { .op = REC_Y, .rows = 1, .first = 4 }, { .op = REC_CONSTANT, .rows = 1, .value = 0.75 },
        { .op = REC_P, .rows = 3, .first = 7 }, { .op = REC_P, .rows = 1, .first = 11 },
        { .op = REC_GATHER, .x = { 1 }, .rows = 6, .index = { 0, 4, 2, 2, 1, 3 } },
        { .op = REC_CONSTANTS, .rows = 3, .value = 0.4 },
    };
    memcpy(r->step, inputs, sizeof inputs);
    r->count = sizeof inputs/sizeof *inputs;
}

/* Steps in the last digits decide nothing in double; in float, differences go across kinks. */
static void check_program(const recording *rec, int outputs, size_t n, bool smooth) {
    nde_program *g = rec_program(rec, outputs);
    const nde_field f = nde_field_program(g);
    rig r = rig_make(&f, n, 5, n, NULL, 0);
    check_values(&r, rec, outputs);
    if (smooth || sizeof(nde_real) == 8) rig_check_derivatives(&r);
    rig_check_identity(&r);
    taped_check(&r);
    check_symmetry(&r, rec);
    rig_free(&r);
    nde_program_destroy(g);
}

/* Each operation on lanes, parameters, constants, on one row and many: all derivatives, by nde_field_check. */
static void operations(void **state) {
    (void)state;
    for (int op = REC_ADD; op < REC_COUNT; op++) {
        for (int round = 0; round < 12; round++) {
            recording rec;
            begin(&rec);
            rec_step *s = &rec.step[rec.count];
            while (!rec_choose(&rec, op, s)) continue;
            rec.count++;
            rec.step[rec.count] = (rec_step){ .op = REC_TANH, .x = { rec.count - 1 }, .rows = s->rows };
            rec.count++;
            check_program(&rec, 2, (size_t)(round%5 + 1), rec_smooth[op]);
        }
    }
}

/* All sizes of blocks: values, and the bits of a lane alone. */
static void blocks(void **state) {
    (void)state;
    const rec_lane lane = rec_first_lane();
    static const int isa[] = { NDE_ISA_BASELINE, NDE_ISA_V3, NDE_ISA_V4, NDE_ISA_AUTO };
    for (int round = 0; round < 12; round++) {
        static double v[REC_STEPS][REC_ROWS];
        recording rec;
        const nde_kernels *kernels = nde_kernels_get(isa[round%4], false);
        rec_random(&rec, 40, false, &lane, v);
        if (!kernels) continue;
        nde_program *g = rec_program(&rec, 3);
        const nde_field f = nde_field_program(g);
        rig all = rig_make(&f, 130, 136, 130, kernels, 0);
        check_values(&all, &rec, 3);
        assert_int_equal(f.vjp(&f, &all.at, all.y, all.a, &all.to), 0);
        assert_int_equal(f.jvp(&f, &all.at, all.y, &all.v, all.dv), 0);
        for (size_t n = 1; n <= 130; n++) {
            rig r = rig_make(&f, n, n + n%3, n, kernels, 0);
            assert_int_equal(f.eval(&f, &r.at, r.y, r.dy), 0);
            assert_int_equal(f.vjp(&f, &r.at, r.y, r.a, &r.to), 0);
            assert_int_equal(f.jvp(&f, &r.at, r.y, &r.v, r.dv), 0);
            for (size_t b = 0; b < n; b++) {
                rig_same_lane(all.dy, 136, b, r.dy, r.at.ld, b, f.out);
                rig_same_lane(all.dv, 136, b, r.dv, r.at.ld, b, f.out);
                rig_same_lane(all.to.y, 136, b, r.to.y, r.at.ld, b, f.dim);
                rig_same_lane(all.to.q, 136, b, r.to.q, r.at.ld, b, f.nq);
            }
            rig_check_guards(&r, r.dy, f.out, r.at.ld);
            rig_check_guards(&r, r.to.y, f.dim, r.at.ld);
            rig_free(&r);
        }
        rig_free(&all);
        nde_program_destroy(g);
    }
}

static void at_random(void **state) {
    (void)state;
    const long programs = getenv("NDE_TEST_LONG") ? 100000 : 1000;
    const rec_lane lane = rec_first_lane();
    for (long i = 0; i < programs; i++) {
        static double v[REC_STEPS][REC_ROWS];
        static recording rec;
        const size_t n = 1 + rec_below(i%20 ? 9 : 130), ld = n + rec_below(4);
        const bool smooth = i%3;
        const int outputs = 1 + (int)rec_below(3);
        rec_random(&rec, 6 + (int)rec_below(45), smooth, &lane, v);
        nde_program *g = rec_program(&rec, outputs);
        const nde_field f = nde_field_program(g);
        rig r = rig_make(&f, n, ld, n, NULL, 0);
        check_values(&r, &rec, outputs);
        check_identity(&r, &rec);
        check_symmetry(&r, &rec);
        if (smooth) check_differences(&r, &rec);
        rig_free(&r);
        nde_program_destroy(g);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations), cmocka_unit_test(blocks), cmocka_unit_test(at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
