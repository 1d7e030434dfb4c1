/* SPDX-License-Identifier: MIT
 * mlp.c - the network's derivatives, its independence of the batch, its sizes and refusals. */
#include "rig.h"

typedef struct net {
    nde_mlp mlp;
    size_t width[5];
    nde_field field;
} net;

static void make(net *m, size_t layers, const size_t *width, int hidden, int last, size_t nu, size_t nq, int time) {
    memcpy(m->width, width, (layers + 1)*sizeof *width);
    m->mlp = NDE_INIT(nde_mlp, .layers = layers, .width = m->width, .hidden = hidden, .last = last, .inputs_u = nu,
                      .inputs_q = nq, .time_input = time);
    m->field = nde_field_mlp(&m->mlp);
    if (!m->field.eval) fail_msg("%s", nde_error());
}

/* Networks with every activation, at both ends, with and without further inputs. */
enum { NETS = 6 };
static void make_one(net *m, size_t i) {
    switch (i) {
    case 0: make(m, 1, (size_t[]){ 3, 2 }, 0, 0, 0, 0, 0); break;
    case 1: make(m, 2, (size_t[]){ 2, 50, 2 }, NDE_TANH, 0, 0, 0, 0); break;
    case 2: make(m, 3, (size_t[]){ 8, 9, 17, 3 }, NDE_SOFTPLUS, NDE_TANH, 2, 3, 1); break;
    case 3: make(m, 3, (size_t[]){ 4, 7, 5, 6 }, NDE_TANH, NDE_SOFTPLUS, 0, 0, 1); break;
    case 4: make(m, 4, (size_t[]){ 5, 6, 33, 2, 1 }, NDE_IDENTITY, NDE_IDENTITY, 1, 0, 0); break;
    default: make(m, 3, (size_t[]){ 4, 32, 32, 4 }, NDE_TANH, NDE_IDENTITY, 0, 1, 0); break;
    }
}

static void derivatives(void **state) {
    (void)state;
    static const size_t n[][3] = { { 1, 1, 1 }, { 1, 4, 2 }, { 3, 3, 5 }, { 18, 24, 18 } };
    for (size_t i = 0; i < NETS; i++) {
        for (size_t j = 0; j < sizeof n/sizeof *n; j++) {
            net m;
            make_one(&m, i);
            rig r = rig_make(&m.field, n[j][0], n[j][1], n[j][2], NULL, 0);
            rig_check_derivatives(&r);
            rig_free(&r);
        }
    }
}

/* N10: every layer size from 1 to 65, batches from 1 to 130, ld and tape_ld larger than n. */
static void adjoint_identity(void **state) {
    (void)state;
    for (size_t w = 1; w <= 65; w++) {
        net m;
        make(&m, 2, (size_t[]){ w, 66 - w, w }, w % 2 ? NDE_TANH : NDE_SOFTPLUS, w % 3 ? NDE_IDENTITY : NDE_TANH, 0, 0, 0);
        const size_t n = w <= 40 ? w : 2*w;
        rig r = rig_make(&m.field, n, n + w % 4, n + w % 5, NULL, 0);
        rig_check_identity(&r);
        rig_check_guards(&r, r.dv, m.field.out, r.at.ld);
        rig_check_guards(&r, r.to.y, m.field.dim, r.at.ld);
        rig_free(&r);
    }
}

static void check_same(const nde_cotangent *x, const nde_cotangent *y, const rig *r, bool p) {
    for (size_t b = 0; b < r->at.n; b++) {
        rig_same_lane(x->y, r->at.ld, b, y->y, r->at.ld, b, r->field->dim);
        rig_same_lane(x->u, r->at.ld, b, y->u, r->at.ld, b, r->field->nu);
        rig_same_lane(x->q, r->at.ld, b, y->q, r->at.ld, b, r->field->nq);
    }
    assert_memory_equal(x->t, y->t, r->at.n*sizeof *x->t);
    if (p) assert_memory_equal(x->p, y->p, r->field->np*sizeof *x->p);
}

/* Value and vjp with and without tape, and with cotape: the same bits; vjp_window sums up to the same. NULL members leave
 * the others' bits alone. */
static void tape_and_window(void **state) {
    (void)state;
    for (size_t i = 0; i < NETS; i++) {
        for (size_t n = 1; n <= 130; n += n < 20 ? 1 : 55) {
            net m;
            make_one(&m, i);
            const nde_field *f = &m.field;
            rig r = rig_make(f, n, n + 3, n + 1, NULL, 0);
            nde_site with = r.at;
            with.tape = r.tape;
            assert_int_equal(f->eval(f, &r.at, r.y, r.dy), 0);
            assert_int_equal(f->eval(f, &with, r.y, r.dv), 0);
            for (size_t b = 0; b < n; b++) rig_same_lane(r.dy, r.at.ld, b, r.dv, r.at.ld, b, f->out);
            rig_check_guards(&r, r.dv, f->out, r.at.ld);
            rig_check_guards(&r, r.tape, f->tape, r.at.tape_ld);

            assert_int_equal(f->vjp(f, &r.at, r.y, r.a, &r.to), 0);
            assert_int_equal(f->vjp(f, &with, r.y, r.a, &r.to_v), 0);
            check_same(&r.to, &r.to_v, &r, true);

            rig_zero(&r, &r.to_v);
            r.to_v.cotape = r.cotape;
            assert_int_equal(f->vjp(f, &with, r.y, r.a, &r.to_v), 0);
            check_same(&r.to, &r.to_v, &r, false);
            rig_check_guards(&r, r.cotape, f->cotape, r.at.tape_ld);
            for (size_t j = 0; j < f->np; j++) assert_true(r.to_v.p[j] == 0);
            const nde_site window = { .n = n, .ld = 1, .tape = r.tape, .tape_ld = r.at.tape_ld, .p = r.at.p,
                                      .prepared = r.at.prepared };
            assert_int_equal(f->vjp_window(f, &window, r.cotape, r.to_v.p), 0);
            assert_memory_equal(r.to.p, r.to_v.p, f->np*sizeof *r.to.p); /* n < 128 and 128 | first: the same panels */

            nde_cotangent only = { .y = r.to_v.y };
            rig_zero(&r, &r.to_v);
            assert_int_equal(f->vjp(f, &with, r.y, r.a, &only), 0);
            for (size_t b = 0; b < n; b++) rig_same_lane(only.y, r.at.ld, b, r.to.y, r.at.ld, b, f->dim);
            only = (nde_cotangent){ .p = r.to_v.p };
            assert_int_equal(f->vjp(f, &with, r.y, r.a, &only), 0);
            assert_memory_equal(r.to.p, r.to_v.p, f->np*sizeof *r.to.p);
            rig_free(&r);
        }
    }
}

/* R4: a lane alone and in batches of 2 to 257, in every place, has the same bits in every form but the sums over lanes. */
static void bits_in_batches(void **state) {
    (void)state;
    static const size_t sizes[] = { 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 25, 31, 33, 47, 64, 65, 100, 257 };
    for (size_t i = 0; i < NETS; i++) {
        net m;
        make_one(&m, i);
        const nde_field *f = &m.field;
        rig one[257];
        for (size_t b = 0; b < 257; b++) {
            rig *r = one + b;
            *r = rig_make(f, 1, 1, 1, NULL, b);
            assert_int_equal(f->eval(f, &r->at, r->y, r->dy), 0);
            assert_int_equal(f->jvp(f, &r->at, r->y, &r->v, r->dv), 0);
            assert_int_equal(f->vjp(f, &r->at, r->y, r->a, &r->to), 0);
            assert_int_equal(f->vjp_jvp(f, &r->at, r->y, &r->v, r->a, r->b, &r->to, &r->to_v), 0);
        }
        for (size_t s = 0; s < sizeof sizes/sizeof *sizes; s++) {
            const size_t n = sizes[s], ld = n + s % 3;
            rig r = rig_make(f, n, ld, ld, NULL, 0);
            assert_int_equal(f->eval(f, &r.at, r.y, r.dy), 0);
            assert_int_equal(f->jvp(f, &r.at, r.y, &r.v, r.dv), 0);
            assert_int_equal(f->vjp(f, &r.at, r.y, r.a, &r.to), 0);
            assert_int_equal(f->vjp_jvp(f, &r.at, r.y, &r.v, r.a, r.b, &r.to, &r.to_v), 0);
            for (size_t b = 0; b < n; b++) {
                rig_same_lane(r.dy, ld, b, one[b].dy, 1, 0, f->out);
                rig_same_lane(r.dv, ld, b, one[b].dv, 1, 0, f->out);
                rig_same_lane(r.to.y, ld, b, one[b].to.y, 1, 0, f->dim);
                rig_same_lane(r.to.u, ld, b, one[b].to.u, 1, 0, f->nu);
                rig_same_lane(r.to.q, ld, b, one[b].to.q, 1, 0, f->nq);
                rig_same_lane(r.to_v.y, ld, b, one[b].to_v.y, 1, 0, f->dim);
                assert_memory_equal(r.to.t + b, one[b].to.t, sizeof(double));
            }
            rig_free(&r);
        }
        for (size_t b = 0; b < 257; b++) rig_free(one + b);
    }
}

/* All instruction sets that fuse products agree to the bit in every form; the baseline to rounding. */
static void instruction_sets(void **state) {
    (void)state;
    const nde_kernels *fused[] = { nde_kernels_get(NDE_ISA_V3, true), nde_kernels_get(NDE_ISA_V4, true) };
    const nde_kernels *base = nde_kernels_get(NDE_ISA_BASELINE, true);
    for (size_t i = 0; i < NETS; i++) {
        for (size_t n = 1; n <= 67; n += 6) {
            net m;
            make_one(&m, i);
            const nde_field *f = &m.field;
            rig r[3];
            for (int k = 0; k < 3; k++) {
                r[k] = rig_make(f, n, n + 2, n, k < 2 ? fused[k] : base, 0);
                if (!r[k].at.kernels) continue;
                assert_int_equal(f->eval(f, &r[k].at, r[k].y, r[k].dy), 0);
                assert_int_equal(f->jvp(f, &r[k].at, r[k].y, &r[k].v, r[k].dv), 0);
                assert_int_equal(f->vjp(f, &r[k].at, r[k].y, r[k].a, &r[k].to), 0);
                assert_int_equal(f->vjp_jvp(f, &r[k].at, r[k].y, &r[k].v, r[k].a, r[k].b, &r[k].to, &r[k].to_v), 0);
            }
            if (fused[0] && fused[1]) {
                for (size_t b = 0; b < n; b++) {
                    rig_same_lane(r[0].dy, n + 2, b, r[1].dy, n + 2, b, f->out);
                    rig_same_lane(r[0].dv, n + 2, b, r[1].dv, n + 2, b, f->out);
                }
                check_same(&r[0].to, &r[1].to, &r[0], true);
                check_same(&r[0].to_v, &r[1].to_v, &r[0], true);
            }
            for (size_t j = 0; j < f->np && fused[0]; j++)
                assert_true(fabs(r[0].to.p[j] - r[2].to.p[j]) <= 1e3*NDE_TEST_EPS*(1 + fabs(r[2].to.p[j])));
            for (int k = 0; k < 3; k++) rig_free(r + k);
        }
    }
}

/* Two layers by hand, in long double. */
static void value(void **state) {
    (void)state;
    net m;
    make(&m, 2, (size_t[]){ 4, 3, 2 }, NDE_TANH, NDE_SOFTPLUS, 1, 1, 1);
    assert_int_equal(m.field.dim, 1);
    rig r = rig_make(&m.field, 5, 5, 5, NULL, 0);
    assert_int_equal(m.field.eval(&m.field, &r.at, r.y, r.dy), 0);
    for (size_t b = 0; b < 5; b++) {
        const long double x[4] = { (long double)r.y[b], (long double)r.at.u[b], (long double)r.at.q[b],
                                   (long double)(nde_real)r.at.t[b] };
        const nde_real *p = r.at.p;
        long double hidden[3];
        for (size_t o = 0; o < 3; o++) {
            long double z = (long double)p[12 + o];
            for (size_t i = 0; i < 4; i++) z += (long double)p[o*4 + i]*x[i];
            hidden[o] = tanhl(z);
        }
        p += 15;
        for (size_t o = 0; o < 2; o++) {
            long double z = (long double)p[6 + o];
            for (size_t i = 0; i < 3; i++) z += (long double)p[o*3 + i]*hidden[i];
            assert_true(fabsl((long double)r.dy[o*5 + b] - log1pl(expl(z))) < 8*(long double)NDE_TEST_EPS);
        }
    }
    rig_free(&r);
}

static void glorot(void **state) {
    (void)state;
    const size_t width[] = { 20, 30, 10 };
    const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 2, .width = width);
    enum { NP = 20*30 + 30 + 30*10 + 10 };
    static nde_real p[NP + 1], again[NP], other[NP];
    p[NP] = 7;
    assert_int_equal(nde_field_mlp(&mlp).np, NP);
    assert_int_equal(nde_mlp_init(&mlp, 5, p), NDE_OK);
    assert_int_equal(nde_mlp_init(&mlp, 5, again), NDE_OK);
    assert_int_equal(nde_mlp_init(&mlp, 6, other), NDE_OK);
    assert_memory_equal(p, again, sizeof again);
    assert_true(p[NP] == 7);
    const double limit = sqrt(6/50.0);
    double squares = 0;
    size_t equal = 0;
    for (size_t i = 0; i < 600; i++) {
        assert_true(fabs((double)p[i]) <= limit);
        squares += (double)p[i]*(double)p[i];
        equal += p[i] == other[i];
    }
    for (size_t i = 600; i < 630; i++) assert_true(p[i] == 0);
    for (size_t i = 930; i < NP; i++) assert_true(p[i] == 0);
    assert_true(equal == 0);
    /* variance 2/(in + out); the sample's standard error is a factor sqrt(0.8/600) = 0.037 */
    assert_true(fabs(squares/600*25 - 1) < 0.15);
}

static void refused(const nde_mlp *mlp, const char *text) {
    const nde_field f = nde_field_mlp(mlp);
    nde_real p[8];
    assert_null(f.eval);
    if (!strstr(nde_error(), text)) fail_msg("'%s' does not speak of '%s'", nde_error(), text);
    assert_true(nde_mlp_init(mlp, 1, p) < 0);
}

static void refusals(void **state) {
    (void)state;
    static const size_t width[] = { 2, 3, 1 }, zero[] = { 2, 0, 1 };
    static const size_t huge[][3] = { { SIZE_MAX, 3, 1 }, { 2, SIZE_MAX, 1 }, { 2, SIZE_MAX/8, 1 }, { 2, SIZE_MAX/8 + 1, 8 },
                                      { (size_t)1 << 32, (size_t)1 << 32, 1 }, { SIZE_MAX/2, 3, SIZE_MAX/2 } };
    const nde_mlp good = NDE_INIT(nde_mlp, .layers = 2, .width = width);
    assert_non_null(nde_field_mlp(&good).eval);
    refused(NULL, "NULL");
    nde_mlp bad = good;
    bad.size = 8;
    refused(&bad, "size");
    bad = good, bad.layers = 0;
    refused(&bad, "layers");
    bad = good, bad.width = NULL;
    refused(&bad, "width");
    bad = good, bad.width = zero;
    refused(&bad, "width[1] is 0");
    bad = good, bad.hidden = 99;
    refused(&bad, "hidden is 99");
    bad = good, bad.last = -1;
    refused(&bad, "last is -1");
    bad = good, bad.time_input = 2;
    refused(&bad, "time_input is 2");
    bad = good, bad.inputs_u = 1, bad.time_input = 1;
    refused(&bad, "width[0] is 2");
    bad = good, bad.inputs_u = SIZE_MAX, bad.inputs_q = 2;
    refused(&bad, "too large");
    for (size_t i = 0; i < sizeof huge/sizeof *huge; i++) {
        bad = good, bad.width = huge[i];
        refused(&bad, "too large");
    }
    assert_int_equal(nde_mlp_init(&good, 1, NULL), NDE_E_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value), cmocka_unit_test(derivatives), cmocka_unit_test(adjoint_identity),
        cmocka_unit_test(tape_and_window), cmocka_unit_test(bits_in_batches), cmocka_unit_test(instruction_sets),
        cmocka_unit_test(glorot), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
