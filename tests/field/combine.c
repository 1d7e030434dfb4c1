/* SPDX-License-Identifier: MIT
 * combine.c - sums, concatenations, compositions and the cube, nested, with shared and own parameters. */
#include "rig.h"

/* Parts: a network with u, q and t; one without; one on top of it; physics with vjp and jvp only. */
static const size_t wide_width[] = { 8, 9, 3 }, plain_width[] = { 3, 5, 3 }, top_width[] = { 5, 4, 2 };
static const nde_mlp wide_mlp = { .size = sizeof(nde_mlp), .layers = 2, .width = wide_width, .last = NDE_SOFTPLUS,
                                  .time_input = 1, .inputs_u = 2, .inputs_q = 2 };
static const nde_mlp with_u_mlp = { .size = sizeof(nde_mlp), .layers = 2, .width = top_width, .hidden = NDE_SOFTPLUS,
                                    .inputs_u = 2 };
static const nde_mlp plain_mlp = { .size = sizeof(nde_mlp), .layers = 2, .width = plain_width, .last = NDE_TANH };

static int decay(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    for (int i = 0; i < 3; i++) dy[i] = -p[0]*y[i];
    return 0;
}
static int decay_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                     void *ctx) {
    (void)t, (void)ctx, (void)at;
    for (int i = 0; i < 3; i++) {
        ay[i] -= p[0]*a[i];
        if (ap) ap[0] -= (double)(y[i]*a[i]);
    }
    return 0;
}
static int decay_jvp(double t, const nde_real *y, const nde_real *p, double vt, const nde_real *vy, const nde_real *vp,
                     nde_real *dv, void *ctx) {
    (void)t, (void)vt, (void)ctx;
    for (int i = 0; i < 3; i++) dv[i] = -(vy ? p[0]*vy[i] : 0) - (vp ? vp[0]*y[i] : 0);
    return 0;
}
static const nde_pointwise physics = { sizeof(nde_pointwise), decay, decay_vjp, decay_jvp, NULL };

static void check(const nde_field *f) {
    if (!f->eval) fail_msg("%s", nde_error());
    static const size_t n[][3] = { { 1, 1, 1 }, { 1, 3, 2 }, { 4, 4, 6 }, { 19, 24, 19 } };
    for (size_t i = 0; i < sizeof n/sizeof *n; i++) {
        rig r = rig_make(f, n[i][0], n[i][1], n[i][2], NULL, 0);
        rig_check_derivatives(&r);
        rig_check_identity(&r);
        nde_site with = r.at; /* with and without tape: the same bits */
        with.tape = r.tape;
        assert_int_equal(f->eval(f, &r.at, r.y, r.dy), 0);
        assert_int_equal(f->eval(f, &with, r.y, r.dv), 0);
        assert_int_equal(f->vjp(f, &with, r.y, r.a, &r.to_v), 0);
        rig_zero(&r, &r.to);
        assert_int_equal(f->vjp(f, &r.at, r.y, r.a, &r.to), 0);
        for (size_t b = 0; b < r.at.n; b++) {
            rig_same_lane(r.dy, r.at.ld, b, r.dv, r.at.ld, b, f->out);
            rig_same_lane(r.to.y, r.at.ld, b, r.to_v.y, r.at.ld, b, f->dim);
        }
        assert_memory_equal(r.to.p, r.to_v.p, f->np*sizeof(double));
        rig_check_guards(&r, r.dv, f->out, r.at.ld);
        rig_check_guards(&r, r.tape, f->tape, r.at.tape_ld);
        rig_check_guards(&r, r.to.y, f->dim, r.at.ld);

        /* forward mode leaves the tape alone, whatever is in it */
        memset(r.tape, 0xff, f->tape*r.at.tape_ld*sizeof *r.tape);
        assert_int_equal(f->jvp(f, &r.at, r.y, &r.v, r.dy), 0);
        assert_int_equal(f->jvp(f, &with, r.y, &r.v, r.dv), 0);
        if (f->vjp_jvp) assert_int_equal(f->vjp_jvp(f, &with, r.y, &r.v, r.a, r.b, &r.to_v, NULL), 0);
        for (size_t b = 0; b < r.at.n; b++) rig_same_lane(r.dy, r.at.ld, b, r.dv, r.at.ld, b, f->out);
        for (size_t j = 0; j < f->tape*r.at.tape_ld; j++) assert_true(isnan(r.tape[j]));
        assert_int_equal(f->eval(f, &with, r.y, r.dy), 0);

        if (f->vjp_window) { /* cotape: p is left alone, and the window gives it */
            nde_cotangent to = { .y = r.to_v.y, .p = r.to_v.p, .cotape = r.cotape };
            rig_zero(&r, &r.to_v);
            assert_int_equal(f->vjp(f, &with, r.y, r.a, &to), 0);
            for (size_t j = 0; j < f->np; j++) assert_true(to.p[j] == 0);
            const nde_site window = { .n = r.at.n, .ld = 1, .tape = r.tape, .tape_ld = r.at.tape_ld, .p = r.at.p,
                                      .prepared = r.at.prepared };
            assert_int_equal(f->vjp_window(f, &window, r.cotape, to.p), 0);
            for (size_t j = 0; j < f->np; j++)
                assert_true(fabs(to.p[j] - r.to.p[j]) <= 100*NDE_TEST_EPS*(1 + fabs(r.to.p[j])));
        }
        rig_free(&r);
    }
}

static void cube(void **state) {
    (void)state;
    const nde_field f = nde_field_cube(3);
    assert_true(f.traits & NDE_AUTONOMOUS);
    check(&f);
    rig r = rig_make(&f, 2, 3, 2, NULL, 0);
    assert_int_equal(f.eval(&f, &r.at, r.y, r.dy), 0);
    for (size_t i = 0; i < 3; i++)
        for (size_t b = 0; b < 2; b++) assert_true(r.dy[i*3 + b] == r.y[i*3 + b]*r.y[i*3 + b]*r.y[i*3 + b]);
    rig_free(&r);
}

static void sum(void **state) {
    (void)state;
    const nde_field wide = nde_field_mlp(&wide_mlp), cubed = nde_field_cube(3), plain = nde_field_mlp(&plain_mlp);
    nde_field shared = plain, later = plain;
    shared.p_first = 7; /* parameters overlap */
    later.p_first = wide.np;
    nde_field own = wide;
    own.q_first = 1, own.p_first = 2;
    const nde_field *list[] = { &plain, &shared, &cubed, &later };
    const nde_parts parts = NDE_INIT(nde_parts, list, 4);
    const nde_field f = nde_field_sum(&parts);
    assert_int_equal(f.np, wide.np + plain.np);
    assert_int_equal(f.cotape, 3*plain.cotape);
    assert_non_null(f.vjp_window); /* the cube has no parameters, and needs none */
    assert_non_null(f.vjp_jvp);
    check(&f);

    const nde_field *pair[] = { &wide, &own };
    const nde_parts two = NDE_INIT(nde_parts, pair, 2);
    const nde_field g = nde_field_sum(&two);
    assert_int_equal(g.nq, 3);
    assert_int_equal(g.nu, 2);
    assert_false(g.traits & NDE_AUTONOMOUS);
    check(&g);
}

static void concatenation(void **state) {
    (void)state;
    const nde_field plain = nde_field_mlp(&plain_mlp), cubed = nde_field_cube(3);
    nde_field second = plain;
    second.p_first = plain.np/2;
    const nde_field *list[] = { &cubed, &plain, &second };
    const nde_parts parts = NDE_INIT(nde_parts, list, 3);
    const nde_field f = nde_field_concatenation(&parts);
    assert_int_equal(f.out, 9);
    check(&f);
}

static void composition(void **state) {
    (void)state;
    const nde_field wide = nde_field_mlp(&wide_mlp), cubed = nde_field_cube(3);
    nde_field top = nde_field_mlp(&with_u_mlp);
    top.p_first = wide.np;
    const nde_field *list[] = { &top, &wide }, *cubes[] = { &cubed, &cubed };
    const nde_parts parts = NDE_INIT(nde_parts, list, 2), nine = NDE_INIT(nde_parts, cubes, 2);
    const nde_field f = nde_field_composition(&parts), g = nde_field_composition(&nine);
    assert_int_equal(f.dim, 3);
    assert_int_equal(f.out, 2);
    assert_int_equal(f.nu, 2);
    check(&f);
    check(&g);
    assert_int_equal(g.tape, 3);
}

/* Sum of (composition of a concatenation) and physics: everything nested once. The physics has no vjp_window and no vjp_jvp,
 * so the whole has none. */
static void nested(void **state) {
    (void)state;
    static const size_t join_width[] = { 6, 7, 3 };
    static const nde_mlp join_mlp = { .size = sizeof(nde_mlp), .layers = 2, .width = join_width };
    const nde_field plain = nde_field_mlp(&plain_mlp), cubed = nde_field_cube(3);
    nde_field join = nde_field_mlp(&join_mlp), force = nde_field_pointwise(&physics, 3, 1);
    join.p_first = plain.np;
    force.p_first = plain.np + join.np;
    const nde_field *beside_list[] = { &plain, &cubed };
    const nde_parts beside_parts = NDE_INIT(nde_parts, beside_list, 2);
    const nde_field beside = nde_field_concatenation(&beside_parts);
    const nde_field *after_list[] = { &join, &beside };
    const nde_parts after_parts = NDE_INIT(nde_parts, after_list, 2);
    nde_field after = nde_field_composition(&after_parts);
    check(&after);
    assert_non_null(after.vjp_window);
    assert_non_null(after.vjp_jvp);
    after.p_first = 1; /* the combination itself may be shifted */
    force.p_first++;
    const nde_field *sum_list[] = { &force, &after };
    const nde_parts sum_parts = NDE_INIT(nde_parts, sum_list, 2);
    const nde_field f = nde_field_sum(&sum_parts);
    assert_int_equal(f.np, plain.np + join.np + 2);
    assert_null(f.vjp_window);
    assert_null(f.vjp_jvp);
    assert_int_equal(f.cotape, 0);
    check(&f);
}

/* A lane of a combination is the same alone and among others. */
static void bits(void **state) {
    (void)state;
    const nde_field wide = nde_field_mlp(&wide_mlp), cubed = nde_field_cube(3);
    const nde_field *list[] = { &cubed, &wide };
    const nde_parts parts = NDE_INIT(nde_parts, list, 2);
    const nde_field f = nde_field_composition(&parts);
    rig all = rig_make(&f, 21, 24, 21, NULL, 0);
    assert_int_equal(f.eval(&f, &all.at, all.y, all.dy), 0);
    assert_int_equal(f.vjp(&f, &all.at, all.y, all.a, &all.to), 0);
    for (size_t b = 0; b < 21; b++) {
        rig r = rig_make(&f, 1, 1, 1, NULL, b);
        assert_int_equal(f.eval(&f, &r.at, r.y, r.dy), 0);
        assert_int_equal(f.vjp(&f, &r.at, r.y, r.a, &r.to), 0);
        rig_same_lane(all.dy, 24, b, r.dy, 1, 0, 3);
        rig_same_lane(all.to.y, 24, b, r.to.y, 1, 0, 3);
        rig_free(&r);
    }
    rig_free(&all);
}

static int failing(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self, (void)at, (void)y, (void)dy;
    return 42;
}

/* A part's code comes through, and a part that lacks a derivative makes the whole lack it. */
static void parts_that_fail(void **state) {
    (void)state;
    const nde_field bad = NDE_INIT(nde_field, .dim = 3, .out = 3, .eval = failing), cubed = nde_field_cube(3);
    const nde_field *list[] = { &cubed, &bad }, *inner_first[] = { &bad, &cubed };
    const nde_parts parts = NDE_INIT(nde_parts, list, 2), swapped = NDE_INIT(nde_parts, inner_first, 2);
    const nde_field all[] = { nde_field_sum(&parts), nde_field_concatenation(&parts), nde_field_composition(&parts),
                              nde_field_composition(&swapped) };
    for (size_t i = 0; i < sizeof all/sizeof *all; i++) {
        rig r = rig_make(all + i, 2, 2, 2, NULL, 0);
        assert_int_equal(all[i].eval(all + i, &r.at, r.y, r.dy), 42);
        assert_true(!all[i].vjp && !all[i].jvp && !all[i].vjp_jvp && !all[i].vjp_window);
        rig_free(&r);
    }
}

static void refused(nde_field f, const char *text) {
    assert_null(f.eval);
    if (!strstr(nde_error(), text)) fail_msg("'%s' does not speak of '%s'", nde_error(), text);
}

static void refusals(void **state) {
    (void)state;
    const nde_field plain = nde_field_mlp(&plain_mlp), wide = nde_field_mlp(&wide_mlp), two = nde_field_cube(2);
    const nde_field three = nde_field_cube(3), empty = { 0 };
    nde_field huge = three;
    huge.tape = SIZE_MAX/64;
    const nde_field *dims[] = { &three, &two }, *inputs[] = { &plain, &wide }, *null[] = { &plain, NULL };
    const nde_field *none[] = { &plain, &empty }, *alone[] = { &plain }, *many[300];
    for (size_t i = 0; i < 300; i++) many[i] = &huge;
    refused(nde_field_sum(NULL), "NULL");
    refused(nde_field_sum(&NDE_INIT(nde_parts, NULL, 2)), "part is NULL");
    refused(nde_field_sum(&(nde_parts){ 8, dims, 2 }), "size is 8");
    refused(nde_field_sum(&NDE_INIT(nde_parts, dims, 0)), "n is 0");
    refused(nde_field_sum(&NDE_INIT(nde_parts, dims, 2)), "dim 2");
    refused(nde_field_sum(&NDE_INIT(nde_parts, inputs, 2)), "nu 2");
    refused(nde_field_concatenation(&NDE_INIT(nde_parts, dims, 2)), "dim 2");
    refused(nde_field_concatenation(&NDE_INIT(nde_parts, null, 2)), "NULL");
    refused(nde_field_composition(&NDE_INIT(nde_parts, none, 2)), "eval is NULL");
    refused(nde_field_composition(&NDE_INIT(nde_parts, alone, 1)), "n is 1");
    refused(nde_field_composition(&NDE_INIT(nde_parts, dims, 2)), "has dim 3");
    refused(nde_field_sum(&NDE_INIT(nde_parts, many, 300)), "too large");
    refused(nde_field_cube(0), "dim is 0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cube), cmocka_unit_test(sum), cmocka_unit_test(concatenation), cmocka_unit_test(composition),
        cmocka_unit_test(nested), cmocka_unit_test(bits), cmocka_unit_test(parts_that_fail), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
