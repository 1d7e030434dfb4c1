/* SPDX-License-Identifier: MIT
 * jets.c - Taylor coefficients and mixed derivatives: against Cauchy's integrals, against nested derivatives for every
 * operation and for programs at random; their own derivatives; what is refused. */
#include "../field/rig.h"
#include "create.h"
#include "recorder.h"

#include <complex.h>
#include <stdio.h>

enum { ORDER = 8, POINTS = 128 };

static double factorial(size_t k) { return k < 2 ? 1 : (double)k*factorial(k - 1); }

/* ---- closed forms ---- */

typedef double complex number;
static number own_exp(number z) { return cexp(z); }
static number own_expm1(number z) { return cexp(z) - 1; }
static number own_log(number z) { return clog(z); }
static number own_log1p(number z) { return clog(1 + z); }
static number own_sqrt(number z) { return csqrt(z); }
static number own_square(number z) { return z*z; }
static number own_sin(number z) { return csin(z); }
static number own_cos(number z) { return ccos(z); }
static number own_tan(number z) { return ctan(z); }
static number own_sinh(number z) { return csinh(z); }
static number own_cosh(number z) { return ccosh(z); }
static number own_tanh(number z) { return ctanh(z); }
static number own_sigmoid(number z) { return 1/(1 + cexp(-z)); }
static number own_softplus(number z) { return clog(1 + cexp(z)); }
static number own_silu(number z) { return z*own_sigmoid(z); }
static number own_lipswish(number z) { return own_silu(z)/1.1; }
static number own_inverse(number z) { return 1/z; }
static number own_ratio(number z) { return (1 + z*z)/(2 + z); }
static number own_power(number z) { return cexp(2.5*clog(z)); }
static number own_erf(number z) {
    number term = 2/sqrt(acos(-1))*z, sum = term;
    for (int k = 1; k < 80; k++) term *= -z*z/k, sum += term/(2*k + 1);
    return sum;
}
static number own_gelu(number z) { return z*(1 + own_erf(z/sqrt(2)))/2; }

static nde_var sigmoid_of(nde_program *g, nde_var x) { return nde_activate(g, NDE_SIGMOID, x); }
static nde_var softplus_of(nde_program *g, nde_var x) { return nde_activate(g, NDE_SOFTPLUS, x); }
static nde_var silu_of(nde_program *g, nde_var x) { return nde_activate(g, NDE_SILU, x); }
static nde_var lipswish_of(nde_program *g, nde_var x) { return nde_activate(g, NDE_LIPSWISH, x); }
static nde_var gelu_of(nde_program *g, nde_var x) { return nde_activate(g, NDE_GELU, x); }
static nde_var sine_of(nde_program *g, nde_var x) { return nde_activate(g, NDE_SIN, x); }
static nde_var inverse_of(nde_program *g, nde_var x) { return nde_div(g, nde_constant(g, 1), x); }
static nde_var power_of(nde_program *g, nde_var x) { return nde_pow(g, x, nde_constant(g, 2.5)); }
static nde_var ratio_of(nde_program *g, nde_var x) {
    return nde_div(g, nde_add(g, nde_constant(g, 1), nde_square(g, x)), nde_add(g, nde_constant(g, 2), x));
}

static const struct function {
    const char *name;
    nde_var (*build)(nde_program *g, nde_var x);
    number (*value)(number z);
    bool positive; /* singular at 0 */
} functions[] = {
    { "exp", nde_exp, own_exp, false }, { "expm1", nde_expm1, own_expm1, false }, { "log", nde_log, own_log, true },
    { "log1p", nde_log1p, own_log1p, true }, { "sqrt", nde_sqrt, own_sqrt, true }, { "square", nde_square, own_square, false },
    { "sin", nde_sin, own_sin, false }, { "cos", nde_cos, own_cos, false }, { "tan", nde_tan, own_tan, false },
    { "sinh", nde_sinh, own_sinh, false }, { "cosh", nde_cosh, own_cosh, false }, { "tanh", nde_tanh, own_tanh, false },
    { "erf", nde_erf, own_erf, false }, { "sigmoid", sigmoid_of, own_sigmoid, false }, { "silu", silu_of, own_silu, false },
    { "softplus", softplus_of, own_softplus, false }, { "lipswish", lipswish_of, own_lipswish, false },
    { "gelu", gelu_of, own_gelu, false }, { "sine", sine_of, own_sin, false }, { "inverse", inverse_of, own_inverse, true },
    { "power", power_of, own_power, true }, { "ratio", ratio_of, own_ratio, true },
};

static number unit(int i) { return cos(2*acos(-1)*i/POINTS) + (double complex)I*sin(2*acos(-1)*i/POINTS); }

/* By the trapezoidal rule around x, which is exact but for rounding and terms (radius/distance of the next
 * singularity)^POINTS. Rounding grows with radius^-k. */
static void cauchy(const struct function *f, double x, double *c) {
    const double radius = 0.5;
    memset(c, 0, (ORDER + 1)*sizeof *c);
    for (int i = 0; i < POINTS; i++) {
        const number value = f->value(x + radius*unit(i));
        for (int k = 0; k <= ORDER; k++) c[k] += creal(value*conj(unit(i*k%POINTS)))/POINTS/pow(radius, k);
    }
}

static void closed_forms(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof functions/sizeof *functions; i++) {
        const struct function *one = &functions[i];
        nde_program *g = create(1, 0, 0, 0);
        nde_var jet[ORDER + 1];
        const nde_var y = nde_y(g, 0, 1), x = one->positive ? nde_add(g, y, nde_constant(g, 2)) : nde_mul(g, y,
                nde_constant(g, 0.9));
        nde_jet_of(g, one->build(g, x), y, nde_constant(g, 1.25), ORDER, jet);
        const nde_field f = finish(g, nde_concat(g, jet, ORDER + 1));
        rig r = rig_make(&f, 9, 9, 9, NULL, 0);
        assert_int_equal(f.eval(&f, &r.at, r.y, r.dy), 0);
        for (size_t b = 0; b < 9; b++) {
            double c[ORDER + 1], y0 = (double)r.y[b];
            cauchy(one, one->positive ? y0 + 2 : 0.9*y0, c);
            for (size_t k = 0; k <= ORDER; k++) {
                const double want = c[k]*pow(one->positive ? 1.25 : 0.9*1.25, (double)k), got = (double)r.dy[k*9 + b];
                if (fabs(got - want) > 20*NDE_TEST_EPS*pow(2, (double)k)*(1 + fabs(want)))
                    fail_msg("%s at %g, order %zu: %.17g, not %.17g", one->name, y0, k, got, want);
            }
        }
        rig_free(&r);
        nde_program_destroy(g);
    }
}

/* ---- nested derivatives ---- */

static nde_var build(nde_program *g, const recording *rec) {
    nde_var v[REC_STEPS];
    for (int k = 0; k < rec->count; k++) v[k] = rec_build(g, &rec->step[k], v);
    return v[rec->count - 1];
}

/* Rows [0, half) of the value are those behind them, as far as rounding of what is added up lets them. */
static void check_halves(const nde_field *f, size_t n, const char *what) {
    const size_t half = f->out/2;
    rig r = rig_make(f, n, n, n, NULL, 0);
    assert_int_equal(f->eval(f, &r.at, r.y, r.dy), 0);
    for (size_t b = 0; b < n; b++) {
        double size = 1;
        for (size_t i = 0; i < half; i++) size = fmax(size, fabs((double)r.dy[(half + i)*n + b]));
        for (size_t i = 0; i < half; i++) {
            const double got = (double)r.dy[i*n + b], want = (double)r.dy[(half + i)*n + b];
            if (!(fabs(got - want) <= 1e5*NDE_TEST_EPS*size) && isfinite(size))
                fail_msg("%s, row %zu: %.17g, not %.17g", what, i, got, want);
        }
    }
    rig_free(&r);
}

/* k! jet[k] and derivatives of derivatives; x and v as `turn` says. */
static void check_jet(const recording *rec, size_t order, size_t turn, size_t n, const char *what) {
    nde_program *g = create(REC_DIM, REC_NU, REC_NP, REC_NQ);
    const nde_var f = build(g, rec), x = turn%3 == 0 ? nde_y(g, 0, REC_DIM) : turn%3 == 1 ? nde_t(g) : nde_y(g, 1, 3);
    const nde_var v = turn%2 ? nde_constant(g, 0.7) : nde_gather(g, nde_u(g, 0, 3), (size_t[]){ 0, 1, 2, 1, 0 },
                                                                 nde_var_rows(g, x));
    nde_var jet[ORDER + 1], both[2*ORDER];
    nde_jet_of(g, f, x, v, order, jet);
    assert_int_equal(jet[0].id, f.id);
    for (size_t k = 1; k <= order; k++) {
        both[k - 1] = nde_mul(g, nde_constant(g, factorial(k)), jet[k]);
        both[order + k - 1] = nde_jvp_of(g, k == 1 ? f : both[order + k - 2], x, v);
    }
    const nde_field field = finish(g, nde_concat(g, both, 2*order));
    check_halves(&field, n, what);
    nde_program_destroy(g);
}

static void check_mixed(const recording *rec, size_t count, size_t n, const char *what) {
    nde_program *g = create(REC_DIM, REC_NU, REC_NP, REC_NQ);
    const nde_var f = build(g, rec), x[] = { nde_y(g, 0, REC_DIM), nde_t(g), nde_y(g, 1, 3) };
    const nde_var v[] = { nde_constant(g, 0.7), nde_q(g, 0, 1), nde_u(g, 0, 3) };
    nde_var nested = f;
    for (size_t i = 0; i < count; i++) nested = nde_jvp_of(g, nested, x[i], v[i]);
    const nde_field field = finish(g, nde_concat(g, (nde_var[]){ nde_mixed_of(g, f, x, v, count), nested }, 2));
    check_halves(&field, n, what);
    nde_program_destroy(g);
}

/* Inputs, what mixes them, and op on it. */
static void one_operation(recording *rec, int op) {
    static const rec_step inputs[] = {
        { .op = REC_T, .rows = 1 }, { .op = REC_Y, .rows = REC_DIM }, { .op = REC_P, .rows = 6 },
            { .op = REC_Y, .rows = 3, .first = 1 },
        { .op = REC_U, .rows = REC_NU }, { .op = REC_SIN, .x = { 1 }, .rows = REC_DIM },
        { .op = REC_MUL, .x = { 5, 0 }, .rows = REC_DIM }, { .op = REC_ADD, .x = { 3, 0 }, .rows = 3 },
        { .op = REC_MUL, .x = { 7, 7 }, .rows = 3 }, { .op = REC_SUM, .x = { 6 }, .rows = 1 },
        { .op = REC_GATHER, .x = { 6 }, .rows = 6, .index = { 0, 4, 2, 2, 1, 3 } },
        { .op = REC_CONSTANTS, .rows = 3, .value = 0.4 },
    };
    memcpy(rec->step, inputs, sizeof inputs);
    rec->count = sizeof inputs/sizeof *inputs;
    rec_step *s = &rec->step[rec->count];
    while (!rec_choose(rec, op, s)) continue;
    rec->count++;
    const rec_step after[] = { { .op = REC_TANH, .x = { rec->count - 1 }, .rows = s->rows } };
    rec->step[rec->count++] = after[0];
}

static void operations(void **state) {
    (void)state;
    for (int op = REC_ADD; op < REC_COUNT; op++) {
        for (size_t turn = 0; turn < 12; turn++) {
            recording rec;
            one_operation(&rec, op);
            rec.count -= turn%4 == 3;
            check_jet(&rec, 4, turn, 3, rec_names[op]);
            check_mixed(&rec, 2 + turn%2, 3, rec_names[op]);
        }
    }
}

static void at_random(void **state) {
    (void)state;
    const rec_lane lane = rec_first_lane();
    const size_t programs = getenv("NDE_TEST_LONG") ? 10000 : 200;
    for (size_t i = 0; i < programs; i++) {
        static double v[REC_STEPS][REC_ROWS];
        static recording rec;
        char what[40];
        (void)snprintf(what, sizeof what, "program %zu", i);
        rec_random(&rec, 6 + (int)rec_below(30), i%3, &lane, v);
        check_jet(&rec, 3, i, 1 + rec_below(9), what);
        check_mixed(&rec, 2 + i%2, 1 + rec_below(9), what);
    }
}

/* ---- derivatives of jets, and jets of derivatives ---- */

static void derivatives(void **state) {
    (void)state;
    for (int op = REC_ADD; op < REC_COUNT; op++) {
        recording rec;
        nde_program *g = create(REC_DIM, REC_NU, REC_NP, REC_NQ);
        nde_var jet[3];
        one_operation(&rec, op);
        const nde_var y = nde_y(g, 0, REC_DIM), f = build(g, &rec);
        nde_jet_of(g, f, y, nde_gather(g, nde_u(g, 0, 3), (size_t[]){ 0, 1, 2, 1, 0 }, REC_DIM), 2, jet);
        const nde_var mixed = nde_mixed_of(g, f, (nde_var[]){ y, nde_t(g) },
                                           (nde_var[]){ nde_constant(g, 1), nde_q(g, 0, 1) }, 2);
        const nde_field field = finish(g, nde_concat(g, (nde_var[]){ jet[2], mixed }, 2));
        rig r = rig_make(&field, 3, 5, 3, NULL, 0);
        if (sizeof(nde_real) == 8) rig_check_derivatives(&r); /* in float, differences of fourth derivatives have few digits */
        rig_check_identity(&r);
        rig_free(&r);
        nde_program_destroy(g);
    }
}

/* The pendulum's third derivative in time, by a jet of the slope of its Hamiltonian along the flow, is -cos(q) p. */
static void of_gradients(void **state) {
    (void)state;
    nde_program *g = create(2, 0, 0, 0);
    const nde_var y = nde_y(g, 0, 2), q = nde_y(g, 0, 1), p = nde_y(g, 1, 1), one = nde_constant(g, 1);
    const nde_var energy = nde_sub(g, nde_mul(g, nde_constant(g, 0.5), nde_square(g, p)), nde_cos(g, q));
    const nde_var slope = nde_vjp_of(g, energy, y, one);
    const nde_var flow = nde_concat(g, (nde_var[]){ nde_cut(g, slope, 1, 1), nde_neg(g, nde_cut(g, slope, 0, 1)) }, 2);
    nde_var jet[2];
    nde_jet_of(g, flow, y, flow, 1, jet);
    nde_var third = nde_jvp_of(g, jet[1], y, flow);
    const nde_field f = finish(g, nde_cut(g, third, 0, 1));
    rig r = rig_make(&f, 7, 7, 7, NULL, 0);
    assert_int_equal(f.eval(&f, &r.at, r.y, r.dy), 0);
    for (size_t b = 0; b < 7; b++) {
        const double want = -cos((double)r.y[b])*(double)r.y[7 + b];
        assert_true(fabs((double)r.dy[b] - want) <= 10*NDE_TEST_EPS);
    }
    rig_free(&r);
    nde_program_destroy(g);
}

/* The work of a jet does not double with the order, and what does not move costs nothing. */
static void work(void **state) {
    (void)state;
    size_t nodes[2];
    for (int i = 0; i < 2; i++) {
        nde_program *g = create(2, 0, 100, 0);
        const nde_var y = nde_y(g, 0, 2), f = nde_dense(g, NDE_TANH, 20, 4, nde_dense(g, NDE_TANH, 0, 4, y));
        nde_var jet[ORDER + 1];
        nde_jet_of(g, f, y, nde_constant(g, 1), i ? ORDER : 2, jet);
        nodes[i] = nde_var_rows(g, jet[2]) ? (size_t)jet[i ? ORDER : 2].id : 0;
        nde_program_destroy(g);
    }
    assert_in_range(nodes[1], nodes[0], 8*nodes[0]);
    nde_program *g = create(2, 0, 0, 0);
    const nde_var y = nde_y(g, 0, 1), f = nde_add(g, nde_mul(g, nde_constant(g, 3), y), nde_exp(g, nde_y(g, 1, 1)));
    nde_var jet[4];
    nde_jet_of(g, f, y, nde_constant(g, 1), 3, jet);
    assert_int_equal(jet[0].id, f.id);
    assert_int_equal(jet[1].id, nde_constant(g, 3).id);
    assert_int_equal(jet[2].id, nde_constant(g, 0).id);
    assert_int_equal(jet[3].id, jet[2].id);
    nde_program_destroy(g);
}

/* ---- refusals ---- */

static void refuse(const char *text, bool no_program, size_t f_rows, size_t x_kind, size_t v_rows, size_t order, bool no_jet) {
    nde_program *g = create(3, 0, 0, 0);
    nde_var jet[ORDER + 2];
    const nde_var y = nde_y(g, 0, 3), none = { 0 }, f = f_rows ? nde_exp(g, y) : none,
        x = x_kind == 0 ? none : x_kind == 1 ? y : f;
    const nde_var v = v_rows ? nde_repeat(g, nde_constant(g, 1), v_rows) : none;
    memset(jet, 0xff, sizeof jet);
    nde_jet_of(no_program ? NULL : g, f, x, v, order, no_jet ? NULL : jet);
    for (size_t k = 0; !no_jet && k <= (order < ORDER ? order : ORDER); k++) assert_int_equal(jet[k].id, 0);
    if (!strstr(nde_error(), text)) fail_msg("'%s' does not speak of '%s'", nde_error(), text);
    assert_int_equal(nde_program_status(g, NULL), no_program ? NDE_OK : NDE_E_ARG);
    nde_program_destroy(g);
}

#define REFUSED(call, text)                                                                             \
    do {                                                                                                \
        nde_program *g = create(3, 0, 0, 0);                                                            \
        const nde_var y = nde_y(g, 0, 3), f = nde_exp(g, y), x[4] = { y, y, y, y }, v[4] = { y, y, y, y }; \
        (void)f, (void)x, (void)v;                                                                      \
        assert_int_equal((call).id, 0);                                                                 \
        if (!strstr(nde_error(), text)) fail_msg("'%s' does not speak of '%s'", nde_error(), text);      \
        nde_program_destroy(g);                                                                         \
    } while (0)

static void refusals(void **state) {
    (void)state;
    refuse("the program is NULL", true, 3, 1, 1, 2, false);
    refuse("no value of this program", false, 0, 1, 1, 2, false);
    refuse("no value of this program", false, 3, 0, 1, 2, false);
    refuse("no value of this program", false, 3, 1, 0, 2, false);
    refuse("x is exp", false, 3, 2, 1, 2, false);
    refuse("the last operand has 2 rows, not 3", false, 3, 1, 2, 2, false);
    refuse("order is 0, not 1 to 8", false, 3, 1, 1, 0, false);
    refuse("order is 9, not 1 to 8", false, 3, 1, 1, 9, false);
    refuse("jet is NULL", false, 3, 1, 1, 2, true);
    REFUSED(nde_mixed_of(NULL, f, x, v, 2), "the program is NULL");
    REFUSED(nde_mixed_of(g, f, NULL, v, 2), "x is NULL");
    REFUSED(nde_mixed_of(g, f, x, NULL, 2), "v is NULL");
    REFUSED(nde_mixed_of(g, f, x, v, 0), "count is 0");
    REFUSED(nde_mixed_of(g, f, x, v, 4), "count is 4");
    REFUSED(nde_mixed_of(g, f, &f, v, 1), "x is exp");
    REFUSED(nde_mixed_of(g, (nde_var){ 0 }, x, v, 1), "no value");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_forms), cmocka_unit_test(operations), cmocka_unit_test(at_random),
            cmocka_unit_test(derivatives),
        cmocka_unit_test(of_gradients), cmocka_unit_test(work), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
