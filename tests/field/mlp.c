/* SPDX-License-Identifier: MIT
 * mlp.c - the network's derivatives, its independence of the batch, its sizes and refusals. */
#include <inttypes.h>

#include "rig.h"
#include "mlp_torch.h"

typedef struct net {
    nde_mlp mlp;
    size_t width[5];
    nde_field field;
} net;

static void finish(net *m, const size_t *width) {
    memcpy(m->width, width, (m->mlp.layers + 1)*sizeof *width);
    m->mlp.width = m->width;
    m->field = nde_field_mlp(&m->mlp);
    if (!m->field.eval) fail_msg("%s", nde_error());
}

static void make(net *m, size_t layers, const size_t *width, int hidden, int last, size_t nu, size_t nq, int time) {
    m->mlp = NDE_INIT(nde_mlp, .layers = layers, .hidden = hidden, .last = last, .inputs_u = nu, .inputs_q = nq,
                      .time_input = time);
    finish(m, width);
}

/* The kinds of deep layers: bit 0 residual, bit 1 normalised. The large epsilon keeps norms of few rows within the reach of
 * differences. */
static void make_deep(net *m, size_t layers, const size_t *width, int hidden, int last, int kind, size_t nu, size_t nq,
                      int time) {
    m->mlp = NDE_INIT(nde_mlp, .layers = layers, .hidden = hidden, .last = last, .inputs_u = nu, .inputs_q = nq,
                      .time_input = time, .residual = kind & 1, .layer_norm = kind >> 1, .norm_epsilon = kind ? 0.1 : 0);
    finish(m, width);
}

/* Networks with every activation in hidden layers and last, plain, residual, normalised and both, with and without further
 * inputs, wider and narrower than a vector. */
enum { NETS = 16 };
static void make_one(net *m, size_t i) {
    switch (i) {
    case 0: make(m, 1, (size_t[]){ 3, 2 }, 0, 0, 0, 0, 0); break;
    case 1: make(m, 2, (size_t[]){ 2, 50, 2 }, NDE_TANH, 0, 0, 0, 0); break;
    case 2: make(m, 3, (size_t[]){ 8, 9, 17, 3 }, NDE_SOFTPLUS, NDE_TANH, 2, 3, 1); break;
    case 3: make(m, 3, (size_t[]){ 4, 7, 5, 6 }, NDE_TANH, NDE_SOFTPLUS, 0, 0, 1); break;
    case 4: make(m, 4, (size_t[]){ 5, 6, 33, 2, 1 }, NDE_IDENTITY, NDE_IDENTITY, 1, 0, 0); break;
    case 5: make(m, 3, (size_t[]){ 4, 32, 32, 4 }, NDE_TANH, NDE_IDENTITY, 0, 1, 0); break;
    case 6: make_deep(m, 4, (size_t[]){ 5, 5, 5, 9, 3 }, NDE_SOFTPLUS, NDE_SILU, 1, 1, 0, 1); break;
    case 7: make_deep(m, 3, (size_t[]){ 4, 18, 18, 4 }, NDE_SILU, NDE_IDENTITY, 2, 0, 1, 1); break;
    case 8: make_deep(m, 4, (size_t[]){ 6, 6, 17, 17, 6 }, NDE_GELU, NDE_GELU, 3, 1, 1, 1); break;
    case 9: make_deep(m, 3, (size_t[]){ 3, 8, 8, 2 }, NDE_ELU, NDE_SIGMOID, 3, 0, 0, 0); break;
    case 10: make_deep(m, 3, (size_t[]){ 3, 8, 8, 2 }, NDE_SIGMOID, NDE_SIN, 3, 0, 0, 0); break;
    case 11: make_deep(m, 3, (size_t[]){ 3, 7, 7, 2 }, NDE_SIN, NDE_ELU, 1, 0, 0, 0); break;
    case 12: make_deep(m, 3, (size_t[]){ 3, 7, 7, 2 }, NDE_LIPSWISH, NDE_RELU, 3, 0, 0, 0); break;
    case 13: make_deep(m, 3, (size_t[]){ 3, 7, 7, 2 }, NDE_RELU, NDE_LIPSWISH, 1, 0, 0, 0); break;
    case 14: make_deep(m, 3, (size_t[]){ 3, 3, 1, 4 }, NDE_IDENTITY, NDE_TANH, 3, 0, 0, 0); break;
    default: make_deep(m, 4, (size_t[]){ 2, 2, 2, 2, 2 }, NDE_TANH, NDE_IDENTITY, 3, 0, 0, 0); break;
    }
}

/* Sets the parameters, and what the field prepares of them. */
static void set_parameters(rig *r, const nde_real *p) {
    nde_real *prepared = rig_take(r, r->field->prepared*sizeof *prepared);
    assert_int_equal(r->field->prepare(r->field, p, prepared), 0);
    r->at.p = p, r->at.prepared = prepared;
}

/* Puts the inputs of activations with a kink at 0 beyond the reach of a difference, on both sides: small weights, large biases
 * (shifts, where there is a norm). */
static void keep_off_kinks(rig *r) {
    const nde_mlp *mlp = r->field->ctx;
    const bool hidden = mlp->hidden == NDE_RELU || mlp->hidden == NDE_ELU, last = mlp->last == NDE_RELU || mlp->last == NDE_ELU;
    nde_real *p = rig_take(r, r->field->np*sizeof *p), *at = p;
    memcpy(p, r->at.p, r->field->np*sizeof *p);
    for (size_t l = 0; l < mlp->layers; l++) {
        const size_t in = mlp->width[l], out = mlp->width[l + 1], end = l + 1 == mlp->layers;
        const bool norm = mlp->layer_norm && !end, kinks = end ? last : hidden;
        if (kinks && !norm)
            for (size_t i = 0; i < in*out; i++) at[i] *= (nde_real)0.2;
        at += in*out + (norm ? 2*out : 0);
        for (size_t i = 0; i < out && kinks; i++) at[i] = (nde_real)(i % 2 ? 3.5 : -3.5);
        at += out;
    }
    set_parameters(r, p);
}

static void derivatives(void **state) {
    (void)state;
    static const size_t n[][3] = { { 1, 1, 1 }, { 1, 4, 2 }, { 3, 3, 5 }, { 18, 24, 18 } };
    for (size_t i = 0; i < NETS; i++) {
        for (size_t j = 0; j < sizeof n/sizeof *n; j++) {
            net m;
            make_one(&m, i);
            rig r = rig_make(&m.field, n[j][0], n[j][1], n[j][2], NULL, 0);
            keep_off_kinks(&r);
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
    const nde_kernels *fused[] = { nde_kernels_get(NDE_ISA_V3, false), nde_kernels_get(NDE_ISA_V4, false) };
    const nde_kernels *base = nde_kernels_get(NDE_ISA_BASELINE, false);
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

/* <J v, a> = <v, J' a> to a few roundings of the terms. */
static void check_identity_closely(rig *r) {
    const nde_field *f = r->field;
    double size = 0;
    rig_zero(r, &r->to);
    assert_int_equal(f->jvp(f, &r->at, r->y, &r->v, r->dv), 0);
    assert_int_equal(f->vjp(f, &r->at, r->y, r->a, &r->to), 0);
    const double left = rig_dot(r, r->dv, r->a, f->out, &size), right = rig_pair(r, &r->to, &size);
    const double tolerance = sizeof(nde_real) == 8 ? 1e-14 : 1e-6;
    if (!(fabs(left - right) <= tolerance*size)) fail_msg("<Jv, a> = %.17g, <v, J'a> = %.17g", left, right);
}

/* Every activation in every kind of layer with every kind of input: all derivatives against differences, both orders of the
 * dot product; numbers of lanes on both sides of a vector and of the direct parameter gradient. */
static void everything(void **state) {
    (void)state;
    static const struct { size_t n, nu, nq; int time; } site[] = {
        { 1, 1, 1, 1 }, { 5, 0, 0, 0 }, { 5, 0, 0, 1 }, { 5, 2, 0, 0 }, { 5, 0, 2, 0 }, { 64, 1, 1, 1 }, { 130, 1, 1, 1 }
    };
    for (int id = NDE_IDENTITY; id <= NDE_LIPSWISH; id++) {
        for (int kind = 0; kind < 4; kind++) {
            for (size_t i = 0; i < sizeof site/sizeof *site; i++) {
                if (site[i].n > 5 && (id + kind) % 4) continue; /* large blocks take their time: each id and each kind once */
                const size_t in = 2 + site[i].nu + site[i].nq + (size_t)site[i].time;
                net m;
                make_deep(&m, 3, (size_t[]){ in, 5, 5, 2 }, id, 1 + (id + kind) % 10, kind, site[i].nu, site[i].nq,
                          site[i].time);
                rig r = rig_make(&m.field, site[i].n, site[i].n + 1, site[i].n + 2, NULL, 0);
                keep_off_kinks(&r);
                double worst = 1;
                char text[300] = "";
                assert_int_equal(nde_field_check(&m.field, &r.at, r.y, &worst, text, sizeof text), NDE_OK);
                /* float, many lanes: the rounding of so many differences; the header's limit */
                if (!(worst < (sizeof(nde_real) == 8 ? 1e-8 : site[i].n <= 5 ? 1e-3 : 1e-2))) fail_msg("%s", text);
                check_identity_closely(&r);
                rig_free(&r);
            }
        }
    }
}

static void check_near(const char *what, size_t i_net, size_t count, const double *got, const double *want,
                       double tolerance) {
    double most = 0;
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs(want[i]));
    for (size_t i = 0; i < count; i++)
        if (!(fabs(got[i] - want[i]) <= tolerance*most))
            fail_msg("net %zu, %s %zu is %.17g, PyTorch says %.17g: %.2g", i_net, what, i, got[i], want[i],
                     fabs(got[i] - want[i])/most);
}

/* PyTorch's numbers for the same parameters in the documented order. */
static void torch(void **state) {
    (void)state;
    const double tolerance = sizeof(nde_real) == 8 ? 2e-15 : 1e-6;
    for (size_t i = 0; i < sizeof torch_nets/sizeof *torch_nets; i++) {
        const struct torch_net *t = &torch_nets[i];
        net m;
        m.mlp = NDE_INIT(nde_mlp, .layers = TORCH_LAYERS, .hidden = t->hidden, .last = t->last, .residual = t->residual,
                         .layer_norm = t->norm, .norm_epsilon = t->epsilon, .inputs_u = 1, .inputs_q = 1, .time_input = 1);
        finish(&m, torch_widths);
        const nde_field *f = &m.field;
        rig r = rig_make(f, TORCH_LANES, TORCH_LANES, TORCH_LANES, NULL, 0);
        assert_int_equal(f->eval(f, &r.at, r.y, r.dy), 0);
        assert_int_equal(f->vjp(f, &r.at, r.y, r.a, &r.to), 0);
        double value[TORCH_MOST], x[TORCH_MOST];
        size_t count = 0;
        for (size_t j = 0; j < f->out*TORCH_LANES; j++) value[j] = (double)r.dy[j];
        for (size_t j = 0; j < f->dim*TORCH_LANES; j++) x[count++] = (double)r.to.y[j];
        for (size_t j = 0; j < TORCH_LANES; j++) x[count++] = (double)r.to.u[j];
        for (size_t j = 0; j < TORCH_LANES; j++) x[count++] = (double)r.to.q[j];
        for (size_t j = 0; j < TORCH_LANES; j++) x[count++] = r.to.t[j];
        check_near("F", i, f->out*TORCH_LANES, value, t->value, tolerance);
        check_near("J'a", i, count, x, t->x, tolerance);
        check_near("parameter", i, f->np, r.to.p, t->p, tolerance);
        rig_free(&r);
    }
}

/* The same vjp for cotangents of some inputs only: what is asked for has the bits that it has among all. */
static void some_inputs(void **state) {
    (void)state;
    for (size_t i = 0; i < NETS; i++) {
        net m;
        make_one(&m, i);
        const nde_field *f = &m.field;
        rig r = rig_make(f, 9, 11, 9, NULL, 0);
        assert_int_equal(f->vjp(f, &r.at, r.y, r.a, &r.to), 0);
        for (int wanted = 0; wanted < 32; wanted++) {
            rig_zero(&r, &r.to_v);
            nde_cotangent to = { 0 };
            if (wanted & 1) to.y = r.to_v.y;
            if (wanted & 2) to.u = r.to_v.u;
            if (wanted & 4) to.q = r.to_v.q;
            if (wanted & 8) to.t = r.to_v.t;
            if (wanted & 16) to.p = r.to_v.p;
            assert_int_equal(f->vjp(f, &r.at, r.y, r.a, &to), 0);
            for (size_t b = 0; b < 9; b++) {
                if (to.y) rig_same_lane(to.y, 11, b, r.to.y, 11, b, f->dim);
                if (to.u) rig_same_lane(to.u, 11, b, r.to.u, 11, b, f->nu);
                if (to.q) rig_same_lane(to.q, 11, b, r.to.q, 11, b, f->nq);
            }
            if (to.t) assert_memory_equal(to.t, r.to.t, 9*sizeof *to.t);
            if (to.p) assert_memory_equal(to.p, r.to.p, f->np*sizeof *to.p);
        }
        rig_free(&r);
    }
}

/* jacobian, by columns and by rows, is what jvp and vjp say of unit vectors. */
static void whole_jacobian(void **state) {
    (void)state;
    for (size_t i = 0; i < NETS; i++) {
        for (size_t n = 1; n <= 33; n += 16) {
            net m;
            make_one(&m, i);
            const nde_field *f = &m.field;
            const size_t ld = n + 1;
            rig r = rig_make(f, n, ld, n, NULL, 0);
            nde_real *j = rig_block(&r, f->out*f->dim, -1), *unit = rig_block(&r, f->dim, -1);
            assert_int_equal(f->jacobian(f, &r.at, r.y, j), 0);
            rig_check_guards(&r, j, f->out*f->dim, ld);
            for (size_t c = 0; c < f->dim; c++) {
                for (size_t b = 0; b < n; b++)
                    for (size_t k = 0; k < f->dim; k++) unit[k*ld + b] = k == c;
                const nde_tangent v = { .y = unit };
                assert_int_equal(f->jvp(f, &r.at, r.y, &v, r.dv), 0);
                for (size_t o = 0; o < f->out; o++) {
                    for (size_t b = 0; b < n; b++) {
                        const double got = (double)j[(o*f->dim + c)*ld + b], want = (double)r.dv[o*ld + b];
                        assert_true(fabs(got - want) <= 50*NDE_TEST_EPS*(1 + fabs(want)));
                        if (f->dim < f->out) assert_true(got == want);
                    }
                }
            }
            rig_free(&r);
        }
    }
}

/* A norm of rows whose mean is far above their deviation keeps the accuracy of its inputs. */
static void norm_of_large_means(void **state) {
    (void)state;
    enum { ROWS = 300 };
    net m;
    make_deep(&m, 2, (size_t[]){ 1, ROWS, ROWS }, NDE_IDENTITY, NDE_IDENTITY, 2, 0, 0, 0);
    const nde_field *f = &m.field;
    rig r = rig_make(f, 3, 3, 3, NULL, 0);
    nde_real *p = rig_take(&r, f->np*sizeof *p);
    memset(p, 0, f->np*sizeof *p);
    for (size_t i = 0; i < ROWS; i++) p[ROWS + i] = (nde_real)(1000 + rig_number(RIG_P, i, 0)); /* z = bias */
    for (size_t i = 0; i < ROWS; i++) p[2*ROWS + i] = 1;                                        /* gain */
    for (size_t i = 0; i < ROWS; i++) p[4*ROWS + i*ROWS + i] = 1;                               /* F = x_1 */
    set_parameters(&r, p);
    assert_int_equal(f->eval(f, &r.at, r.y, r.dy), 0);
    long double mean = 0, variance = 0;
    for (size_t i = 0; i < ROWS; i++) mean += (long double)p[ROWS + i]/ROWS;
    for (size_t i = 0; i < ROWS; i++) variance += ((long double)p[ROWS + i] - mean)*((long double)p[ROWS + i] - mean)/ROWS;
    for (size_t i = 0; i < ROWS; i++) {
        const long double want = ((long double)p[ROWS + i] - mean)/sqrtl(variance + 0.1L);
        /* double: the mean's own rounding, 1000 eps; float sums are double's */
        const double error = fabs((double)((long double)r.dy[3*i] - want));
        assert_true(error <= (sizeof(nde_real) == 8 ? 4000*NDE_TEST_EPS : 4*NDE_TEST_EPS));
    }
    rig_free(&r);
}

static uint64_t hash;
static void add_to_hash(const void *block, size_t bytes) { /* FNV-1a */
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ ((const unsigned char *)block)[i])*0x100000001b3u;
}

/* The bits of every form on instruction sets that fuse products, by any compiler. */
static void stored_bits(void **state) {
    (void)state;
    const uint64_t stored = sizeof(nde_real) == 8 ? 0x892c2a665c46fee2u : 0xfa771a030b61a918u;
    static const int isa[] = { NDE_ISA_V3, NDE_ISA_V4 };
    for (int k = 0; k < 2; k++) {
        const nde_kernels *kernels = nde_kernels_get(isa[k], false);
        if (!kernels) continue;
        hash = 0xcbf29ce484222325u;
        for (size_t i = 0; i < NETS; i++) {
            net m;
            make_one(&m, i);
            const nde_field *f = &m.field;
            rig r = rig_make(f, 37, 37, 37, kernels, 0);
            assert_int_equal(f->eval(f, &r.at, r.y, r.dy), 0);
            assert_int_equal(f->jvp(f, &r.at, r.y, &r.v, r.dv), 0);
            assert_int_equal(f->vjp_jvp(f, &r.at, r.y, &r.v, r.a, r.b, &r.to, &r.to_v), 0);
            assert_int_equal(f->vjp(f, &r.at, r.y, r.a, &r.to), 0);
            add_to_hash(r.dy, f->out*37*sizeof *r.dy);
            add_to_hash(r.dv, f->out*37*sizeof *r.dv);
            add_to_hash(r.to.y, f->dim*37*sizeof *r.to.y);
            add_to_hash(r.to_v.y, f->dim*37*sizeof *r.to_v.y);
            add_to_hash(r.to.p, f->np*sizeof *r.to.p);
            add_to_hash(r.to_v.p, f->np*sizeof *r.to_v.p);
            rig_free(&r);
        }
        if (hash != stored) fail_msg("%s: hash 0x%016" PRIx64, kernels->name, hash);
    }
}

/* ---- initialisation ---- */

static void glorot(void **state) {
    (void)state;
    const size_t width[] = { 20, 30, 10 };
    const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 2, .width = width);
    enum { NP = 20*30 + 30 + 30*10 + 10 };
    static nde_real p[NP + 1], again[NP], other[NP];
    p[NP] = 7;
    assert_int_equal(nde_field_mlp(&mlp).np, NP);
    assert_int_equal(nde_mlp_init(&mlp, NDE_GLOROT_UNIFORM, 5, p), NDE_OK);
    assert_int_equal(nde_mlp_init(&mlp, NDE_GLOROT_UNIFORM, 5, again), NDE_OK);
    assert_int_equal(nde_mlp_init(&mlp, NDE_GLOROT_UNIFORM, 6, other), NDE_OK);
    assert_memory_equal(p, again, sizeof again);
    assert_true(p[NP] == 7);
    hash = 0xcbf29ce484222325u;
    add_to_hash(p, NP*sizeof *p);
    /* for ever: of a start, a seed is all that is stored */
    assert_true(hash == (sizeof(nde_real) == 8 ? 0xa2eaa2292c6fea95u : 0x84c3508edb7b4ee9u));
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

static double mean_square(const nde_real *w, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)w[i]*(double)w[i];
    return sum/(double)count;
}

/* Variances and bounds of all schemes, zero biases and shifts, unit gains. */
static void schemes(void **state) {
    (void)state;
    enum { IN = 60, OUT = 40, WEIGHTS = IN*OUT, NP = WEIGHTS + 3*OUT + OUT*OUT + OUT };
    const size_t width[] = { IN, OUT, OUT };
    const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 2, .width = width, .layer_norm = 1);
    assert_int_equal(nde_field_mlp(&mlp).np, NP);
    static nde_real p[NP], again[NP];
    const struct { int scheme; double variance, bound; } kinds[] = {
        { NDE_GLOROT_UNIFORM, 2.0/(IN + OUT), sqrt(6.0/(IN + OUT)) },
        { NDE_GLOROT_NORMAL, 2.0/(IN + OUT), (double)INFINITY },
        { NDE_HE_UNIFORM, 2.0/IN, sqrt(6.0/IN) },
        { NDE_HE_NORMAL, 2.0/IN, (double)INFINITY },
        { NDE_ORTHOGONAL, 1.0/IN, 1 },
    };
    for (size_t k = 0; k < sizeof kinds/sizeof *kinds; k++) {
        assert_int_equal(nde_mlp_init(&mlp, kinds[k].scheme, 11, p), NDE_OK);
        assert_int_equal(nde_mlp_init(&mlp, kinds[k].scheme, 11, again), NDE_OK);
        assert_memory_equal(p, again, sizeof p);
        assert_int_equal(nde_mlp_init(&mlp, kinds[k].scheme, 12, again), NDE_OK);
        double most = 0;
        for (size_t i = 0; i < WEIGHTS; i++) {
            most = fmax(most, fabs((double)p[i]));
            assert_true(p[i] != again[i]);
        }
        /* a normal sample's variance has a relative standard error of sqrt(2/2400) = 0.029 */
        assert_true(fabs(mean_square(p, WEIGHTS)/kinds[k].variance - 1) < 0.12);
        assert_true(most <= kinds[k].bound);
        if (isinf(kinds[k].bound)) assert_true(most > 2.9*sqrt(kinds[k].variance)); /* beyond any uniform one: sqrt(3) */
        for (size_t i = 0; i < OUT; i++) {
            assert_true(p[WEIGHTS + i] == 0);
            assert_true(p[WEIGHTS + OUT + i] == 1);
            assert_true(p[WEIGHTS + 2*OUT + i] == 0);
            assert_true(p[NP - OUT + i] == 0);
        }
    }
}

/* Rows, or columns where there are more rows, are orthonormal to the rounding of sums of so many terms. */
static void orthogonal(void **state) {
    (void)state;
    enum { MOST = 150 };
    static const size_t shapes[][2] = { { 1, 1 }, { 3, 3 }, { 7, 3 }, { 3, 7 }, { 150, 150 }, { 150, 33 }, { 20, 150 } };
    static nde_real w[(MOST + 1)*MOST];
    for (size_t s = 0; s < sizeof shapes/sizeof *shapes; s++) {
        const size_t in = shapes[s][0], out = shapes[s][1];
        const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 1, .width = shapes[s]);
        assert_int_equal(nde_mlp_init(&mlp, NDE_ORTHOGONAL, s, w), NDE_OK);
        const size_t count = out < in ? out : in, length = out < in ? in : out;
        const size_t step = out <= in ? in : 1, stride = out <= in ? 1 : in;
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; j <= i; j++) {
                long double dot = 0;
                for (size_t k = 0; k < length; k++)
                    dot += (long double)w[i*step + k*stride]*(long double)w[j*step + k*stride];
                assert_true(fabs((double)(dot - (i == j))) <= 0.5*NDE_TEST_EPS*sqrt((double)(4 + length)));
            }
        }
    }
}

/* Uniform over the orthogonal matrices: every entry of a 3 x 3 one has mean 0, variance 1/3 and fourth moment 1/5 (a point on
 * the sphere), and half of them are reflections. */
static void orthogonal_is_uniform(void **state) {
    (void)state;
    enum { DRAWS = 4000 };
    const size_t width[] = { 3, 3 };
    const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 1, .width = width);
    double first[9] = { 0 }, second[9] = { 0 }, fourth[9] = { 0 }, determinant = 0;
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        nde_real w[12];
        assert_int_equal(nde_mlp_init(&mlp, NDE_ORTHOGONAL, seed, w), NDE_OK);
        for (int i = 0; i < 9; i++) {
            const double x = (double)w[i], square = x*x;
            first[i] += x/DRAWS, second[i] += square/DRAWS, fourth[i] += square*square/DRAWS;
        }
        determinant += (double)(w[0]*(w[4]*w[8] - w[5]*w[7]) - w[1]*(w[3]*w[8] - w[5]*w[6]) +
                                w[2]*(w[3]*w[7] - w[4]*w[6]))/DRAWS;
    }
    /* standard errors: sqrt(1/3), sqrt(1/5 - 1/9), sqrt(1/9 - 1/25) over sqrt(4000), and 1/sqrt(4000) */
    for (int i = 0; i < 9; i++) {
        assert_true(fabs(first[i]) < 4*0.0092);
        assert_true(fabs(second[i] - 1/3.0) < 4*0.0048);
        assert_true(fabs(fourth[i] - 0.2) < 4*0.0043);
    }
    assert_true(fabs(determinant) < 4*0.0158);
}

static void refused(const nde_mlp *mlp, const char *text) {
    const nde_field f = nde_field_mlp(mlp);
    nde_real p[8];
    assert_null(f.eval);
    if (!strstr(nde_error(), text)) fail_msg("'%s' does not speak of '%s'", nde_error(), text);
    assert_true(nde_mlp_init(mlp, NDE_GLOROT_UNIFORM, 1, p) < 0);
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
    bad = good, bad.hidden = 11;
    refused(&bad, "hidden is 11");
    bad = good, bad.last = -1;
    refused(&bad, "last is -1");
    bad = good, bad.time_input = 2;
    refused(&bad, "time_input is 2");
    bad = good, bad.residual = 2;
    refused(&bad, "residual is 2");
    bad = good, bad.layer_norm = -1;
    refused(&bad, "layer_norm is -1");
    bad = good, bad.norm_epsilon = -0.5;
    refused(&bad, "norm_epsilon is -0.5");
    bad = good, bad.norm_epsilon = (double)INFINITY;
    refused(&bad, "norm_epsilon is inf");
    bad = good, bad.norm_epsilon = (double)NAN;
    refused(&bad, "norm_epsilon is");
    bad = good, bad.inputs_u = 1, bad.time_input = 1;
    refused(&bad, "width[0] is 2");
    bad = good, bad.inputs_u = SIZE_MAX, bad.inputs_q = 2;
    refused(&bad, "too large");
    for (size_t i = 0; i < sizeof huge/sizeof *huge; i++) {
        bad = good, bad.width = huge[i];
        refused(&bad, "too large");
    }
    nde_real p[13];
    assert_int_equal(nde_mlp_init(&good, NDE_GLOROT_UNIFORM, 1, NULL), NDE_E_ARG);
    assert_int_equal(nde_mlp_init(&good, -1, 1, p), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "scheme is -1"));
    assert_int_equal(nde_mlp_init(&good, NDE_ORTHOGONAL + 1, 1, p), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "scheme is 5"));
}

/* A description of a later library is understood when it says nothing new. */
static void later_layouts(void **state) {
    (void)state;
    static const size_t width[] = { 2, 3, 1 };
    struct { nde_mlp mlp; double later; } grown = { .mlp = { .size = sizeof grown, .layers = 2, .width = width } };
    assert_non_null(nde_field_mlp(&grown.mlp).eval);
    grown.later = 1;
    refused(&grown.mlp, "size");
}

/* A host's BLAS: called for wide layers, in its precision only, and never when results are to be reproducible. */
static int products;
static void host_gemm(int order, int transpose_a, int transpose_b, int m, int n, int k, nde_real alpha, const nde_real *a,
                      int lda, const nde_real *b, int ldb, nde_real beta, nde_real *c, int ldc) {
    const bool transposed = transpose_a == 112;
    assert_true(order == 101 && (transposed || transpose_a == 111) && transpose_b == 111);
    products++;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int l = 0; l < k; l++) sum += (double)a[transposed ? l*lda + i : i*lda + l]*(double)b[l*ldb + j];
            c[i*ldc + j] = (nde_real)((double)alpha*sum + (double)(beta*c[i*ldc + j]));
        }
}

static void blas_of_the_host(void **state) {
    (void)state;
    enum { DIM = 2, WIDE = 512, N = 40 };
    net m;
    make(&m, 3, (size_t[]){ DIM, WIDE, WIDE, DIM }, NDE_TANH, NDE_IDENTITY, 0, 0, 0);
    const size_t np = m.field.np;
    nde_real *p = calloc(np, sizeof *p), y0[DIM*N], ends[3][DIM*N];
    assert_non_null(p);
    assert_int_equal(nde_mlp_init(&m.mlp, NDE_GLOROT_UNIFORM, 3, p), NDE_OK);
    for (size_t i = 0; i < DIM*N; i++) y0[i] = (nde_real)sin((double)i);
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .t1 = 1, .y0 = y0, .p = p, .drift = &m.field);
    nde_blas blas = { .size = sizeof blas };
#ifdef nde_real
    blas.sgemm = host_gemm;
#else
    blas.dgemm = host_gemm;
#endif
    nde_options options = NDE_INIT(nde_options, .method = NDE_RK4, .steps = 2, .stepping = NDE_STEP_JOINT);
    const nde_blas none = { .size = sizeof none };
    const nde_blas *const tables[] = { &blas, &none, &blas };
    for (int run = 0; run < 3; run++) {
        nde_solution solution = { 0 };
        options.blas = tables[run], options.reproducible = run == 2;
        products = 0;
        assert_int_equal(nde_solve(&problem, &options, &solution), NDE_OK);
        assert_int_equal(products > 0, run == 0); /* the 512 x 512 layer, once for each stage */
        if (run == 0) assert_int_equal(products, 8);
        memcpy(ends[run], solution.y_end, sizeof ends[run]);
        nde_solution_free(&solution);
    }
    assert_memory_equal(ends[1], ends[2], sizeof ends[1]);
    for (size_t i = 0; i < DIM*N; i++) assert_true(fabs((double)(ends[0][i] - ends[1][i])) < 256*NDE_TEST_EPS);

    nde_solution solution = { 0 };
    blas.size = 7, options.blas = &blas;
    assert_int_equal(nde_solve(&problem, &options, &solution), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "options.blas"));
    free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value), cmocka_unit_test(torch), cmocka_unit_test(derivatives), cmocka_unit_test(everything),
        cmocka_unit_test(adjoint_identity), cmocka_unit_test(some_inputs), cmocka_unit_test(whole_jacobian),
        cmocka_unit_test(norm_of_large_means), cmocka_unit_test(stored_bits),
        cmocka_unit_test(tape_and_window), cmocka_unit_test(bits_in_batches), cmocka_unit_test(instruction_sets),
        cmocka_unit_test(glorot), cmocka_unit_test(schemes), cmocka_unit_test(orthogonal),
        cmocka_unit_test(orthogonal_is_uniform), cmocka_unit_test(refusals), cmocka_unit_test(later_layouts),
        cmocka_unit_test(blas_of_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
