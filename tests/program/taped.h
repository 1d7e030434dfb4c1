/* SPDX-License-Identifier: MIT
 * taped.h - a program's value and cotangents have the same bits with a tape, without one, and, in up to 64 lanes, by
 * windows. */
#ifndef NDE_TESTS_TAPED_H
#define NDE_TESTS_TAPED_H

#include "../field/rig.h"

static inline void taped_same(const rig *r, const char *what, const nde_cotangent *x, const nde_cotangent *y) {
    const nde_field *f = r->field;
    const struct { const nde_real *x, *y; size_t rows; } blocks[] = { { x->y, y->y, f->dim }, { x->u, y->u, f->nu },
                                                                      { x->q, y->q, f->nq } };
    for (size_t k = 0; k < 3; k++)
        for (size_t b = 0; b < r->at.n; b++) rig_same_lane(blocks[k].x, r->at.ld, b, blocks[k].y, r->at.ld, b, blocks[k].rows);
    assert_memory_equal(x->t, y->t, r->at.n*sizeof(double));
    for (size_t i = 0; i < f->np; i++)
        if (memcmp(x->p + i, y->p + i, sizeof(double)) != 0) fail_msg("%s: p[%zu] has %.17g, %.17g", what, i, x->p[i], y->p[i]);
}

static inline void taped_check(rig *r) {
    const nde_field *f = r->field;
    nde_site at = r->at;
    at.tape = r->tape;
    rig_zero(r, &r->to), rig_zero(r, &r->to_v);
    assert_int_equal(f->eval(f, &r->at, r->y, r->dy), 0);
    assert_int_equal(f->vjp(f, &r->at, r->y, r->a, &r->to), 0);
    assert_int_equal(f->eval(f, &at, r->y, r->dv), 0);
    for (size_t b = 0; b < at.n; b++) rig_same_lane(r->dy, at.ld, b, r->dv, at.ld, b, f->out);
    assert_int_equal(f->vjp(f, &at, r->y, r->a, &r->to_v), 0);
    taped_same(r, "with tape", &r->to, &r->to_v);
    rig_check_guards(r, r->tape, f->tape, at.tape_ld);
    if (!f->vjp_window || at.n > 64) return;
    rig_zero(r, &r->to_v);
    r->to_v.cotape = r->cotape;
    assert_int_equal(f->vjp(f, &at, r->y, r->a, &r->to_v), 0);
    for (size_t i = 0; i < f->np; i++) assert_true(r->to_v.p[i] == 0);
    const nde_site window = { .n = at.n, .ld = at.ld, .p = at.p, .prepared = at.prepared, .tape = r->tape,
                              .tape_ld = at.tape_ld, .kernels = at.kernels };
    assert_int_equal(f->vjp_window(f, &window, r->cotape, r->to_v.p), 0);
    taped_same(r, "by a window", &r->to, &r->to_v);
    rig_check_guards(r, r->cotape, f->cotape, at.tape_ld);
    r->to_v.cotape = NULL;
}

#endif
