/* SPDX-License-Identifier: MIT
 * vecmath.c - functions of vectors in every instruction set: float against double, at every 113th input and all near the hard
 * points (all 2^32 with NDE_TEST_LONG in the environment); double against long double, at the hard points and 10^7 random ones
 * (10^8). Limits, symmetry, bits. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/isa.h"
#include "core/vecmath_kernel.h"

#ifdef NDE_TEST_SINGLE
#define BY(d, f) f
typedef uint32_t word;
typedef double wide;
#define WIDE(f) f
#else
#define BY(d, f) d
typedef uint64_t word;
typedef long double wide;
#define WIDE(f) f##l
#endif

enum { BLOCK = 1024, SETS = 3 };
static const char *const set_names[SETS] = { "baseline", "v3", "v4" };

static vecmath_function *const *functions(int set) {
#ifdef NDE_HAVE_V4
    if (set == 2) return nde_isa_has(NDE_ISA_V4) ? vecmath_v4 : NULL;
    if (set == 1) return nde_isa_has(NDE_ISA_V3) ? vecmath_v3 : NULL;
#endif
    return set == 0 ? vecmath_baseline : NULL;
}

static wide softplus(wide x) { return (x > 0 ? x : 0) + WIDE(log1p)(WIDE(exp)(-WIDE(fabs)(x))); }
static const struct {
    const char *name;
    wide (*f)(wide);
} exact[VECMATH_COUNT] = {
#define softplusl softplus
#define NDE_X(name) { #name, WIDE(name) },
    VECMATH_LIST(NDE_X)
#undef NDE_X
};

static nde_real real_of(word w) {
    nde_real x;
    memcpy(&x, &w, sizeof x);
    return x;
}
static word word_of(nde_real x) {
    word w;
    memcpy(&w, &x, sizeof w);
    return w;
}

/* Distance in units of the last place of the exact value. */
static double ulps(nde_real got, wide want) {
    const nde_real near = (nde_real)WIDE(fabs)(want);
    if (isnan(got) || isnan(want) || isinf(near))
        return (isnan(got) && isnan(want)) || got == (nde_real)want ? 0 : (double)INFINITY;
    const word w = word_of(near) - (word)((wide)near > WIDE(fabs)(want)); /* rounded down */
    const int digits = BY(53, 24), e = (int)(w >> (digits - 1));
    return (double)WIDE(ldexp)(WIDE(fabs)((wide)got - want), BY(1022, 126) + digits - (e > 1 ? e : 1));
}

/* ---- points ---- */

static uint64_t random_state = 1;
static uint64_t random_word(void) { /* S. Vigna's splitmix64 */
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30)*0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27)*0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Any bits, and evenly in +-800, 40, 4 and 1. */
static nde_real random_point(void) {
    static const double range[] = { 800, 800, 40, 40, 4, 4, 1 };
    const uint64_t r = random_word();
    if (r % 8 == 7) return real_of((word)random_word());
    return (nde_real)(((double)(r >> 11)*0x1p-52 - 1)*range[r % 8]);
}

static size_t filled;
static nde_real points[BLOCK], values[SETS][BLOCK];
static double worst[SETS][VECMATH_COUNT];
static nde_real worst_at[SETS][VECMATH_COUNT];

static void check_points(void) {
    for (int f = 0; f < VECMATH_COUNT; f++) {
        wide want[BLOCK];
        for (size_t i = 0; i < BLOCK; i++) want[i] = exact[f].f((wide)points[i]);
        for (int s = 0; s < SETS; s++) {
            if (!functions(s)) continue;
            functions(s)[f](BLOCK, points, values[s]);
            for (size_t i = 0; i < BLOCK && !(s == 2 && functions(1)); i++) { /* v4's bits are v3's: below */
                const double error = ulps(values[s][i], want[i]);
                if (error > worst[s][f]) worst[s][f] = error, worst_at[s][f] = points[i];
            }
        }
        if (functions(1) && functions(2))
            for (size_t i = 0; i < BLOCK; i++) {
                if (isnan(values[1][i])) assert_true(isnan(values[2][i])); /* sign and payload of NaN are free */
                else assert_true(word_of(values[1][i]) == word_of(values[2][i]));
            }
    }
    filled = 0;
}
static void check_point(nde_real x) {
    points[filled++] = x;
    if (filled == BLOCK) check_points();
}
static void report(void) {
    while (filled) check_point(0);
    for (int s = 0; s < (functions(1) ? 2 : SETS); s++)
        for (int f = 0; f < VECMATH_COUNT && functions(s); f++)
            print_message("%s %s: %.3f ulp at %a\n", set_names[s], exact[f].name, worst[s][f], (double)worst_at[s][f]);
    for (int s = 0; s < SETS; s++)
        for (int f = 0; f < VECMATH_COUNT && functions(s); f++) assert_true(worst[s][f] <= 2);
}

/* x, its negative and their `steps` neighbours either way */
static void check_around(wide centre, int steps) {
    const nde_real x = (nde_real)WIDE(fabs)(centre);
    for (int i = -steps; i <= steps; i++) {
        const word w = word_of(x) + (word)(int64_t)i;
        if (i < 0 && word_of(x) < (word)-(int64_t)i) continue;
        check_point(real_of(w));
        check_point(-real_of(w));
    }
}

/* ---- tests ---- */

/* Breakpoints of the reductions, zeros, saturation, powers of two, and the worst angles. */
static void hard_points(void **state) {
    (void)state;
    const wide ln2 = WIDE(log)(2), half_pi = WIDE(acos)(0), third = (wide)1/3;
    for (int e = BY(-1074, -149); e <= BY(1023, 127); e++) {
        check_around(WIDE(ldexp)(1, e), 8);
        if (e > BY(-1022, -126)) check_around(WIDE(ldexp)(2*third, e), 8);
        if (e > BY(-53, -24) && e < 0) check_around(1 + WIDE(ldexp)(1, e), 8), check_around(1 - WIDE(ldexp)(1, e), 8);
    }
    for (int k = 1; k < BY(2200, 320); k++) check_around((wide)k*ln2/2, 4);
    for (int k = 1; k < 120; k++) check_around(((wide)k - (wide)0.5)*ln2/2 + (wide)0.0067, 8);
    for (int k = 1; k < BY(60000, 2000); k++) check_around((wide)k*half_pi/2, 2);
    for (int e = 0; e < BY(1022, 126); e++) /* nearest to a multiple of pi/2 among large angles, as well as long double
                                             * knows it */
        for (int odd = 1; odd < 16; odd += 2) check_around(WIDE(ldexp)(half_pi*odd, e), 2);
    const double angles[] = { BY(0x1.6ac5b262ca1ffp+849, 0x1.f37a22p+40), BY(0x1.6ac5b262ca1ffp+849*0.5, 0x1.47d0fep+34),
                            BY(5.319372648326541416e+255, 16367173.0*0x1p72) };
    for (size_t i = 0; i < sizeof angles/sizeof *angles; i++) check_around((wide)angles[i], 2);
    const double ends[] = { 19.06, 18.37, 9.01, 5.92, 3.92, 709.782712893384, 745.13321910194, 708.396418532264, 37.42,
                            36.74, 88.72284,
                          103.972, 87.33655, 17.33, 16.64, 1.25, 0.75, 65536, 512, BY(DBL_MAX, (double)FLT_MAX) };
    for (size_t i = 0; i < sizeof ends/sizeof *ends; i++)
        check_around((wide)ends[i], i + 1 < sizeof ends/sizeof *ends ? 50 : 0);
    report();
}

static bool is_long(void) { return getenv("NDE_TEST_LONG") != NULL; }

static void many_points(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    const size_t count = 100000;
#else
    const size_t count = is_long() ? 100000000 : 10000000;
#endif
    const word stride = count <= 100000 ? 6151 : is_long() ? 1 : 113;
    random_state = 2;
    for (size_t i = 0; i < count && sizeof(nde_real) == 8; i++) check_point(random_point());
    word w = 0;
    for (; sizeof(nde_real) == 4 && w <= (word)-1 - stride; w += stride) check_point(real_of(w));
    if (sizeof(nde_real) == 4) check_point(real_of(w));
    report();
}

static void limits(void **state) {
    (void)state;
    const nde_real inf = (nde_real)INFINITY, nan = (nde_real)NAN, tiny = BY(DBL_TRUE_MIN, FLT_TRUE_MIN), zero = 0;
    const struct { int f; nde_real x, y; } list[] = {
        { VECMATH_exp, -inf, 0 }, { VECMATH_exp, inf, inf }, { VECMATH_exp, 0, 1 }, { VECMATH_exp, -zero, 1 },
            { VECMATH_exp, 1e5, inf },
        { VECMATH_exp, -1e5, 0 },
        { VECMATH_expm1, -inf, -1 }, { VECMATH_expm1, inf, inf }, { VECMATH_expm1, 0, 0 }, { VECMATH_expm1, -zero, -zero },
        { VECMATH_expm1, tiny, tiny }, { VECMATH_expm1, -tiny, -tiny }, { VECMATH_expm1, -100, -1 },
        { VECMATH_log, 0, -inf }, { VECMATH_log, -zero, -inf }, { VECMATH_log, inf, inf }, { VECMATH_log, 1, 0 },
        { VECMATH_log, -1, nan }, { VECMATH_log, -tiny, nan }, { VECMATH_log, -inf, nan },
        { VECMATH_log1p, -1, -inf }, { VECMATH_log1p, inf, inf }, { VECMATH_log1p, 0, 0 }, { VECMATH_log1p, -zero, -zero },
        { VECMATH_log1p, tiny, tiny }, { VECMATH_log1p, -tiny, -tiny }, { VECMATH_log1p, (nde_real)-1.5, nan },
        { VECMATH_log1p, -inf, nan },
        { VECMATH_tanh, inf, 1 }, { VECMATH_tanh, -inf, -1 }, { VECMATH_tanh, 0, 0 }, { VECMATH_tanh, -zero, -zero },
        { VECMATH_tanh, tiny, tiny }, { VECMATH_tanh, -tiny, -tiny }, { VECMATH_tanh, 20, 1 }, { VECMATH_tanh, -20, -1 },
        { VECMATH_sin, 0, 0 }, { VECMATH_sin, -zero, -zero }, { VECMATH_sin, tiny, tiny }, { VECMATH_sin, inf, nan },
        { VECMATH_sin, -inf, nan }, { VECMATH_cos, 0, 1 }, { VECMATH_cos, -zero, 1 }, { VECMATH_cos, tiny, 1 },
        { VECMATH_cos, inf, nan }, { VECMATH_cos, -inf, nan },
        { VECMATH_erf, inf, 1 }, { VECMATH_erf, -inf, -1 }, { VECMATH_erf, 0, 0 }, { VECMATH_erf, -zero, -zero },
        { VECMATH_erf, 7, 1 }, { VECMATH_softplus, inf, inf }, { VECMATH_softplus, -inf, 0 },
        { VECMATH_softplus, 1e5, 1e5 }, { VECMATH_softplus, -1e5, 0 },
    };
    for (int s = 0; s < SETS; s++) {
        if (!functions(s)) continue;
        for (size_t i = 0; i < sizeof list/sizeof *list; i++) {
            nde_real x[16], y[16];
            for (int l = 0; l < 16; l++) x[l] = l % 2 ? 1 : list[i].x;
            functions(s)[list[i].f](16, x, y);
            for (int l = 0; l < 16; l += 2) {
                if (isnan(list[i].y)) assert_true(isnan(y[l]));
                else assert_true(word_of(y[l]) == word_of(list[i].y));
            }
        }
        for (int f = 0; f < VECMATH_COUNT; f++) {
            nde_real x[16], y[16];
            for (int l = 0; l < 16; l++) x[l] = nan;
            functions(s)[f](16, x, y);
            for (int l = 0; l < 16; l++) assert_true(isnan(y[l]));
        }
    }
}

/* Exactly odd, exactly even, never above 1. */
static void symmetry(void **state) {
    (void)state;
    nde_real x[BLOCK], minus[BLOCK], y[BLOCK], z[BLOCK];
    random_state = 3;
    for (int s = 0; s < SETS; s++)
        for (int round = 0; round < 300 && functions(s); round++) {
            for (size_t i = 0; i < BLOCK; i++) x[i] = random_point(), minus[i] = -x[i];
            for (int f = VECMATH_tanh; f <= VECMATH_erf; f++) {
                functions(s)[f](BLOCK, x, y);
                functions(s)[f](BLOCK, minus, z);
                for (size_t i = 0; i < BLOCK; i++) {
                    if (isnan(y[i])) assert_true(isnan(z[i]));
                    else assert_true(word_of(f == VECMATH_cos ? z[i] : -z[i]) == word_of(y[i]) && !(y[i] > 1));
                }
            }
        }
}

/* The bits of every machine that fuses, whatever the compiler. */
static void bits(void **state) {
    (void)state;
    static const uint64_t known[VECMATH_COUNT] = {
        BY(0xb47dce6af02c8cbb, 0xe7f619402e4f8189), BY(0x41f3b8585cbbf4a7, 0xd0680f2ab8b13b7d),
        BY(0x9143962258737760, 0x77772f54999c0d20), BY(0x72084dad9ef81d16, 0xfc554f7a9d9060dd),
        BY(0xc747f49d432aa6b8, 0xca2775dc34b3871a), BY(0x6168103eb2f5f4ef, 0xfe31e6f776dc5761),
        BY(0xb380e74fb953b23b, 0x4c0b9bd0d224c462), BY(0x50427e46255aa0a8, 0x7e337123d0e1ac23),
        BY(0x6d0be4e8a2e5144e, 0x99842c2e6f3e618f)
    };
    bool agree = true;
    for (int s = 1; s < SETS; s++)
        for (int f = 0; f < VECMATH_COUNT && functions(s); f++) {
            uint64_t hash = 0xcbf29ce484222325; /* FNV-1a by words, every NaN alike */
            random_state = 4;
            for (int round = 0; round < 400; round++) {
                nde_real x[BLOCK], y[BLOCK];
                for (size_t i = 0; i < BLOCK; i++) x[i] = random_point();
                functions(s)[f](BLOCK, x, y);
                for (size_t i = 0; i < BLOCK; i++) hash = (hash ^ (isnan(y[i]) ? 1 : word_of(y[i])))*0x100000001b3;
            }
            print_message("%s %s: 0x%016llx\n", set_names[s], exact[f].name, (unsigned long long)hash);
            agree &= hash == known[f];
        }
    assert_true(agree);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits), cmocka_unit_test(symmetry), cmocka_unit_test(bits), cmocka_unit_test(hard_points),
        cmocka_unit_test(many_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
