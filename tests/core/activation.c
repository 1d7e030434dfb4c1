/* SPDX-License-Identifier: MIT
 * activation.c - activations of every instruction set: value, slope and curvature against long double, limits, NaN, bits
 * by place and width, guards. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/activation.h"

#ifdef NDE_TEST_SINGLE
#define BY(d, f) f
typedef uint32_t word;
#else
#define BY(d, f) d
typedef uint64_t word;
#endif

enum { SETS = 3, FIRST = NDE_IDENTITY, LAST = NDE_LIPSWISH };
static const nde_activation_kernels *sets(int i) {
    static const int isa[SETS] = { NDE_ISA_BASELINE, NDE_ISA_V3, NDE_ISA_V4 };
    const nde_kernels *kernels = nde_kernels_get(isa[i], false); /* NULL: not on this machine */
    return kernels ? kernels->activation : NULL;
}

static uint64_t state_of_numbers;
static double number(void) { /* in (-1, 1) */
    state_of_numbers = state_of_numbers*6364136223846793005u + 1442695040888963407u;
    return (double)(state_of_numbers >> 11)*0x1p-52 - 1;
}

/* ---- what is right ---- */

static long double logistic(long double z) { return 1/(1 + expl(-z)); }
static long double density(long double z) { return expl(-z*z/2)/sqrtl(2*acosl(-1)); }
static long double normal(long double z) { return erfcl(-z/sqrtl(2))/2; }

static long double exact_value(int id, long double z) {
    switch (id) {
    case NDE_TANH: return tanhl(z);
    case NDE_SOFTPLUS: return (z > 0 ? z : 0) + log1pl(expl(-fabsl(z)));
    case NDE_RELU: return z > 0 ? z : 0;
    case NDE_SILU: return z*logistic(z);
    case NDE_GELU: return z*normal(z);
    case NDE_ELU: return z > 0 ? z : expm1l(z);
    case NDE_SIGMOID: return logistic(z);
    case NDE_SIN: return sinl(z);
    case NDE_LIPSWISH: return z*logistic(z)/1.1L;
    default: return z;
    }
}
/* From the value s, or from z for those that keep it. */
static long double exact_slope(int id, long double s) {
    switch (id) {
    case NDE_TANH: return (1 - s)*(1 + s);
    case NDE_SOFTPLUS: return -expm1l(-s);
    case NDE_RELU: return s > 0;
    case NDE_SILU: return logistic(s)*(1 + s*logistic(-s));
    case NDE_GELU: return normal(s) + s*density(s);
    case NDE_ELU: return s > 0 ? 1 : 1 + s;
    case NDE_SIGMOID: return s*(1 - s);
    case NDE_SIN: return cosl(s);
    case NDE_LIPSWISH: return exact_slope(NDE_SILU, s)/1.1L;
    default: return 1;
    }
}
static long double exact_curvature(int id, long double s) {
    switch (id) {
    case NDE_TANH: return -2*s*(1 - s)*(1 + s);
    case NDE_SOFTPLUS: return -expm1l(-s)*expl(-s);
    case NDE_SILU: return logistic(s)*logistic(-s)*(2 + s*(logistic(-s) - logistic(s)));
    case NDE_GELU: return (2 - s*s)*density(s);
    case NDE_ELU: return s > 0 ? 0 : 1 + s;
    case NDE_SIGMOID: return s*(1 - s)*(1 - 2*s);
    case NDE_SIN: return -sinl(s);
    case NDE_LIPSWISH: return exact_curvature(NDE_SILU, s)/1.1L;
    default: return 0;
    }
}

/* Distance in units of the last place of what is right or of `least`, whichever is more. */
static double ulps(nde_real got, long double want, long double least) {
    if (isnan(got) || fabsl(want) > (long double)BY(DBL_MAX, FLT_MAX)) return (long double)got == want ? 0 : (double)INFINITY;
    int e;
    (void)frexpl(fmaxl(fabsl(want), least), &e);
    const int smallest = BY(DBL_MIN_EXP, FLT_MIN_EXP), digits = BY(DBL_MANT_DIG, FLT_MANT_DIG);
    return (double)ldexpl(fabsl((long double)got - want), digits - (e < smallest ? smallest : e));
}

/* The bounds of activation.h: units of the last place of what is right, of no less than the second number where parts
 * cancel, and of no less than the smallest normal number times 1024, since a product with a subnormal has lost its digits. */
static const struct bounds {
    double value, slope, slope_least, curvature, curvature_least;
} bounds[LAST + 1] = {
    [NDE_IDENTITY] = { 0, 0, 0, 0, 0 },
    [NDE_TANH] = { 2, 2, 0, 3, 0 },
    [NDE_SOFTPLUS] = { 2, 2, 0, 3, 0.25 },
    [NDE_RELU] = { 0, 0, 0, 0, 0 },
    [NDE_SILU] = { 4, 4, 0.5, 5, 0.125 },
    [NDE_GELU] = { 7, 4, 0.5, 4, 0.125 },
    [NDE_ELU] = { 2, 1, 0, 1, 0 },
    [NDE_SIGMOID] = { 3, 2, 0, 3, 0.0625 },
    [NDE_SIN] = { 1, 1, 0, 1, 0 },
    [NDE_LIPSWISH] = { 4, 4, 0.5, 6, 0.125 },
};

enum { N = 1000 };

/* Inputs up to 10^range either way, dense near zero. */
static void inputs(size_t round, nde_real *x) {
    for (size_t i = 0; i < N; i++) {
        const double u = number();
        x[i] = (nde_real)(round % 5 == 0 ? 40*u : round % 5 == 1 ? 4*u : round % 5 == 2 ? 0.7*u : round % 5 == 3 ? BY(760,
                110)*u
                          : copysign(pow(10, 4*number() - 3), u)*(1 + 0.1*u));
    }
}

static void accuracy(void **state) {
    (void)state;
    static nde_real x[N], z[N], ones[N], a[N], b[N], d[N];
#if defined(__SANITIZE_ADDRESS__)
    const size_t rounds = 40;
#else
    const size_t rounds = 300;
#endif
    for (size_t i = 0; i < N; i++) ones[i] = 1;
    bool good = true;
    for (int s = 0; s < SETS; s++) {
        const nde_activation_kernels *kernels = sets(s);
        for (int id = FIRST; id <= LAST && kernels; id++) {
            const struct bounds *most = &bounds[id];
            const double factor = s == 0 ? 1.5 : 1; /* baseline: nothing is fused */
            const long double tiny = 1024*(long double)BY(DBL_MIN, FLT_MIN);
            double value = 0, slope = 0, curvature = 0;
            state_of_numbers = 1;
            for (size_t round = 0; round < rounds; round++) {
                inputs(round, x);
                kernels->value(id, 1, N, x, N, z, N);
                for (size_t i = 0; i < N; i++)
                    value = fmax(value, ulps(z[i], exact_value(id, (long double)x[i]), tiny));
                const nde_real *kept = nde_activation_keeps_input(id) ? x : z;
                kernels->slope(id, 1, N, kept, N, ones, N, d, N);
                memset(a, 0, sizeof a), memcpy(b, ones, sizeof b);
                kernels->curve(id, 1, N, N, kept, ones, a, b);
                assert_memory_equal(b, d, sizeof d);
                for (size_t i = 0; i < N; i++) {
                    const long double k = (long double)kept[i];
                    slope = fmax(slope, ulps(d[i], exact_slope(id, k), fmaxl((long double)most->slope_least, tiny)));
                    curvature = fmax(curvature,
                                     ulps(a[i], exact_curvature(id, k), fmaxl((long double)most->curvature_least, tiny)));
                }
            }
            print_message("set %d %s: value %.2f, slope %.2f, curvature %.2f ulp\n", s, nde_activation_name(id), value,
                          slope, curvature);
            good &= value <= factor*most->value && slope <= factor*most->slope && curvature <= factor*most->curvature;
        }
    }
    assert_true(good);
}

/* ---- limits ---- */

static void limits(void **state) {
    (void)state;
    const nde_real inf = (nde_real)INFINITY, nan = (nde_real)NAN, big = BY(DBL_MAX, FLT_MAX);
    /* value, slope and curvature at x, where both infinities and both largest numbers count as one */
    const struct { int id; nde_real x, value, slope, curvature; } list[] = {
        { NDE_IDENTITY, inf, inf, 1, 0 }, { NDE_IDENTITY, -inf, -inf, 1, 0 },
        { NDE_TANH, inf, 1, 0, 0 }, { NDE_TANH, -inf, -1, 0, 0 }, { NDE_TANH, big, 1, 0, 0 }, { NDE_TANH, -big, -1, 0, 0 },
        { NDE_SOFTPLUS, inf, inf, 1, 0 }, { NDE_SOFTPLUS, -inf, 0, 0, 0 }, { NDE_SOFTPLUS, big, big, 1, 0 },
        { NDE_SOFTPLUS, -big, 0, 0, 0 },
        { NDE_RELU, inf, inf, 1, 0 }, { NDE_RELU, -inf, 0, 0, 0 }, { NDE_RELU, big, big, 1, 0 }, { NDE_RELU, 0, 0, 0, 0 },
        { NDE_SILU, inf, inf, 1, 0 }, { NDE_SILU, -inf, 0, 0, 0 }, { NDE_SILU, big, big, 1, 0 }, { NDE_SILU, -big, 0, 0, 0 },
        { NDE_SILU, 0, 0, (nde_real)0.5, (nde_real)0.5 },
        { NDE_GELU, inf, inf, 1, 0 }, { NDE_GELU, -inf, 0, 0, 0 }, { NDE_GELU, big, big, 1, 0 }, { NDE_GELU, -big, 0, 0, 0 },
        { NDE_ELU, inf, inf, 1, 0 }, { NDE_ELU, -inf, -1, 0, 0 }, { NDE_ELU, big, big, 1, 0 }, { NDE_ELU, -big, -1, 0, 0 },
        { NDE_ELU, 0, 0, 1, 1 },
        { NDE_SIGMOID, inf, 1, 0, 0 }, { NDE_SIGMOID, -inf, 0, 0, 0 }, { NDE_SIGMOID, big, 1, 0, 0 },
        { NDE_SIGMOID, -big, 0, 0, 0 }, { NDE_SIGMOID, 0, (nde_real)0.5, (nde_real)0.25, 0 },
        { NDE_SIN, inf, nan, nan, nan }, { NDE_SIN, -inf, nan, nan, nan }, { NDE_SIN, 0, 0, 1, 0 },
        { NDE_LIPSWISH, inf, inf, (nde_real)(1/1.1), 0 }, { NDE_LIPSWISH, -inf, 0, 0, 0 }, { NDE_LIPSWISH, -big, 0, 0, 0 },
        { NDE_LIPSWISH, big, (nde_real)((long double)big/1.1L), (nde_real)(1/1.1), 0 },
    };
    for (int s = 0; s < SETS; s++) {
        const nde_activation_kernels *kernels = sets(s);
        for (size_t i = 0; i < sizeof list/sizeof *list && kernels; i++) {
            const int id = list[i].id;
            nde_real kept = list[i].x, value = kept, one = 1, a = 0, b = 1, d;
            kernels->value(id, 1, 1, &value, 1, &value, 1);
            if (!nde_activation_keeps_input(id)) kept = value;
            kernels->slope(id, 1, 1, &kept, 1, &one, 1, &d, 1);
            kernels->curve(id, 1, 1, 1, &kept, &one, &a, &b);
            if (isnan(list[i].value)) {
                assert_true(isnan(value) && isnan(d) && isnan(a) && isnan(b));
                continue;
            }
            const bool scaled = id == NDE_LIPSWISH; /* a rounding of 1/1.1 more */
            assert_true(value == list[i].value || (scaled && ulps(value, (long double)list[i].value, 0) <= 1));
            assert_true(d == list[i].slope || (scaled && ulps(d, (long double)list[i].slope, 0) <= 1));
            assert_true(a == list[i].curvature && b == d);
        }
        for (int id = FIRST; id <= LAST && kernels; id++) {
            nde_real value = nan, one = 1, a = 0, b = 1, d;
            kernels->value(id, 1, 1, &value, 1, &value, 1);
            kernels->slope(id, 1, 1, &value, 1, &one, 1, &d, 1);
            kernels->curve(id, 1, 1, 1, &value, &one, &a, &b);
            assert_true(isnan(value));
            if (id != NDE_IDENTITY) assert_true(isnan(d) && isnan(b) && (isnan(a) || id == NDE_RELU || id == NDE_ELU));
        }
    }
}

/* ---- bits ---- */

/* What the three kernels make of blocks of n numbers in rows of distance ld. */
typedef struct outcome {
    nde_real value[N + 1], slope[N + 1], a[N + 1], b[N + 1];
} outcome;
static nde_real x[N + 1], dz[N + 1], p[N + 1], q[N + 1];

static void run_all(const nde_activation_kernels *kernels, int id, size_t from, size_t rows, size_t n, size_t ld, outcome *o) {
    const size_t size = (rows*ld + 1)*sizeof *x;
    nde_real kept[N + 1], beside[N + 1];
    memcpy(o->value, x + from, size), memcpy(o->slope, q + from, size), memcpy(o->a, p + from, size),
        memcpy(o->b, q + from, size);
    memcpy(beside, q + from, size);
    for (size_t i = 0; i < rows; i++) memcpy(beside + i*ld + n, x + from + i*ld + n, (ld - n)*sizeof *x);
    beside[rows*ld] = x[from + rows*ld];
    kernels->value(id, rows, n, x + from, ld, beside, ld);
    kernels->value(id, rows, n, o->value, ld, o->value, ld);
    assert_memory_equal(beside, o->value, size);
    memcpy(kept, nde_activation_keeps_input(id) ? x + from : o->value, size);
    kernels->slope(id, rows, n, kept, ld, o->slope, ld, o->slope, ld);
    kernels->curve(id, rows, n, ld, kept, dz + from, o->a, o->b);
    if (!nde_activation_keeps_input(id)) return;
    nde_real slope[N + 1], value[N + 1]; /* both at once: the same, and nothing beyond is touched */
    memcpy(slope, x + from, size), memcpy(value, beside, size);
    for (size_t i = 0; i < rows; i++) memset(value + i*ld, 0, n*sizeof *x);
    kernels->with_slope(id, rows, n, slope, ld, value, ld);
    assert_memory_equal(value, beside, size);
    memcpy(value, x + from, size);
    kernels->with_slope(id, rows, n, value, ld, NULL, 0);
    assert_memory_equal(value, slope, size);
    for (size_t i = 0; i < rows*ld; i++)
        if (i % ld < n) slope[i] *= q[from + i];
    for (size_t i = 0; i <= rows*ld; i++) {
        const bool inside = i < rows*ld && i % ld < n;
        assert_memory_equal(slope + i, (inside ? o->slope : x + from) + i, sizeof *x);
    }
}

/* The same bits in every place of a row, in rows of every length, tight or not; nothing beyond is touched. */
static void places(void **state) {
    (void)state;
    static outcome whole, part;
    state_of_numbers = 5;
    for (size_t i = 0; i <= N; i++)
        x[i] = (nde_real)(number()*pow(10, 2*number())), dz[i] = (nde_real)number(), p[i] = (nde_real)number(),
        q[i] = (nde_real)number();
    for (int s = 0; s < SETS; s++) {
        const nde_activation_kernels *kernels = sets(s);
        for (int id = FIRST; id <= LAST && kernels; id++) {
            run_all(kernels, id, 0, 1, N, N, &whole);
            for (size_t n = 1; n < 40; n++) {
                const size_t ld = n + n % 3, rows = 1 + n % 4, from = n*13 % (N - rows*ld);
                run_all(kernels, id, from, rows, n, ld, &part);
                for (size_t i = 0; i <= rows*ld; i++) {
                    const bool inside = i < rows*ld && i % ld < n;
                    assert_memory_equal(part.value + i, inside ? whole.value + from + i : x + from + i, sizeof *x);
                    assert_memory_equal(part.slope + i, inside ? whole.slope + from + i : q + from + i, sizeof *x);
                    assert_memory_equal(part.a + i, inside ? whole.a + from + i : p + from + i, sizeof *x);
                    assert_memory_equal(part.b + i, inside ? whole.b + from + i : q + from + i, sizeof *x);
                }
            }
            nde_real other[N]; /* not in place: the same */
            const nde_real *kept = nde_activation_keeps_input(id) ? x : whole.value;
            kernels->slope(id, 1, N, kept, N, q, N, other, N);
            assert_memory_equal(other, whole.slope, sizeof other);
        }
    }
}

/* The bits of every machine that fuses, whatever the compiler. */
static void bits(void **state) {
    (void)state;
    static const uint64_t known[LAST + 1] = {
        [NDE_IDENTITY] = BY(0x589dbc187e1e9bfd, 0xf0125315b6ceb257),
        [NDE_TANH] = BY(0x311d079dcac6bfa7, 0xa2df94eb8b7f381e),
        [NDE_SOFTPLUS] = BY(0x5a8ec38be982433a, 0x521d6483fe64092d),
        [NDE_RELU] = BY(0x6d534afdcaaf7ef6, 0x95cfaa07c7e9f5bd),
        [NDE_SILU] = BY(0xfcdc0df26ea35919, 0x29fa5cb513d7e026),
        [NDE_GELU] = BY(0x3d0cc1f916cc6be4, 0xb884e1d501e69157),
        [NDE_ELU] = BY(0x9c2548af27692960, 0x975be73c71917ef5),
        [NDE_SIGMOID] = BY(0x45bf7cdb968c0063, 0x3e06a31c235c104c),
        [NDE_SIN] = BY(0xc006b359b00cf4f7, 0x893d76138631ad2f),
        [NDE_LIPSWISH] = BY(0xc86718d7d23d6487, 0x9b13c9d0375707fb),
    };
    static outcome o;
    bool agree = true;
    state_of_numbers = 6;
    for (size_t i = 0; i <= N; i++)
        x[i] = (nde_real)(number()*40), dz[i] = (nde_real)number(), p[i] = (nde_real)number(), q[i] = (nde_real)number();
    for (int s = 1; s < SETS; s++) {
        const nde_activation_kernels *kernels = sets(s);
        for (int id = FIRST; id <= LAST && kernels; id++) {
            run_all(kernels, id, 0, 1, N, N, &o);
            uint64_t hash = 0xcbf29ce484222325;
            for (size_t i = 0; i < 4*N; i++) {
                const nde_real *from = i % 4 == 0 ? o.value : i % 4 == 1 ? o.slope : i % 4 == 2 ? o.a : o.b;
                word w;
                memcpy(&w, from + i/4, sizeof w);
                hash = (hash ^ w)*0x100000001b3;
            }
            print_message("set %d %s: 0x%016llx\n", s, nde_activation_name(id), (unsigned long long)hash);
            agree &= hash == known[id];
        }
    }
    assert_true(agree);
}

/* Derivatives of what is differentiated: slope and curve against differences of value and slope. */
static void differences(void **state) {
    (void)state;
    enum { FEW = 37 };
    const double h = BY(1e-4, 1e-2);
    for (int s = 0; s < SETS; s++) {
        const nde_activation_kernels *kernels = sets(s);
        for (int id = FIRST; id <= LAST && kernels; id++) {
            nde_real z[FEW], up[FEW], down[FEW], kept[3][FEW], t[FEW], f[FEW], g[FEW], up_slope[FEW], down_slope[FEW],
                ones[FEW];
            for (size_t i = 0; i < FEW; i++) {
                do z[i] = (nde_real)(3*number()); while (fabs((double)z[i]) < 2*h); /* relu and elu have a corner at 0 */
                t[i] = (nde_real)number(), f[i] = (nde_real)number(), g[i] = (nde_real)number();
                up[i] = z[i] + (nde_real)h, down[i] = z[i] - (nde_real)h, ones[i] = 1;
            }
            nde_real a0[FEW], b0[FEW], slope[FEW];
            memcpy(a0, f, sizeof f), memcpy(b0, g, sizeof g);
            memcpy(kept[0], z, sizeof z), memcpy(kept[1], up, sizeof z), memcpy(kept[2], down, sizeof z);
            kernels->value(id, 1, FEW, z, FEW, z, FEW);
            kernels->value(id, 1, FEW, up, FEW, up, FEW);
            kernels->value(id, 1, FEW, down, FEW, down, FEW);
            if (!nde_activation_keeps_input(id))
                memcpy(kept[0], z, sizeof z), memcpy(kept[1], up, sizeof z), memcpy(kept[2], down, sizeof z);
            kernels->slope(id, 1, FEW, kept[0], FEW, ones, FEW, slope, FEW);
            kernels->slope(id, 1, FEW, kept[1], FEW, ones, FEW, up_slope, FEW);
            kernels->slope(id, 1, FEW, kept[2], FEW, ones, FEW, down_slope, FEW);
            kernels->curve(id, 1, FEW, FEW, kept[0], t, f, g);
            for (size_t i = 0; i < FEW; i++) {
                const double first = ((double)up[i] - (double)down[i])/(2*h);
                const double second = ((double)up_slope[i] - (double)down_slope[i])/(2*h);
                assert_true(fabs((double)slope[i] - first) < BY(1e-8, 1e-4));
                assert_true(fabs((double)g[i] - (double)b0[i]*first) < BY(1e-8, 1e-4));
                assert_true(fabs((double)f[i] - (double)a0[i]*first - (double)b0[i]*(double)t[i]*second) < BY(1e-8, 1e-4));
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits), cmocka_unit_test(places), cmocka_unit_test(differences), cmocka_unit_test(bits),
        cmocka_unit_test(accuracy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
