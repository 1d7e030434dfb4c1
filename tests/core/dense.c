/* SPDX-License-Identifier: MIT
 * dense.c - products and activations of every instruction set: against long double, bits by place and width, guards. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/blas.h"
#include "core/dense.h"

#ifdef NDE_TEST_SINGLE
#define BY(d, f) f
#else
#define BY(d, f) d
#endif

enum { SETS = 3, MOST = 140 };
static const nde_dense_kernels *sets(int i) {
    static const int isa[SETS] = { NDE_ISA_BASELINE, NDE_ISA_V3, NDE_ISA_V4 };
    const nde_kernels *k = nde_kernels_get(isa[i], true);
    return k ? k->dense : NULL; /* NULL: not on this machine */
}

static uint64_t state_of_numbers = 1;
static double number(void) { /* in (-1, 1) */
    state_of_numbers = state_of_numbers*6364136223846793005u + 1442695040888963407u;
    return (double)(state_of_numbers >> 11)*0x1p-52 - 1;
}
static void fill(nde_real *x, size_t count) {
    for (size_t i = 0; i < count; i++) x[i] = (nde_real)number();
}

static nde_real a[MOST*MOST], a_transposed[MOST*MOST], b[MOST*MOST], c[MOST*MOST], start[MOST], one[MOST], other[MOST*MOST];

/* All shapes near the edges of tiles and vectors, both ways of storing a, tight and loose rows. */
static void product(void **state) {
    (void)state;
    static const size_t sizes[] = { 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 23, 24, 25, 31, 33, 47, 49, 65, 129 };
    enum { COUNT = sizeof sizes/sizeof *sizes };
    for (int s = 0; s < SETS; s++) {
        const nde_dense_kernels *dense = sets(s);
        if (!dense) continue;
        for (size_t shape = 0; shape < COUNT*COUNT; shape++) {
            const size_t m = sizes[shape % COUNT], n = sizes[shape/COUNT], k = sizes[(shape*7 + 3) % COUNT];
            const size_t ldb = n + shape % 3, ldc = n + shape % 4;
            fill(a, m*k), fill(b, k*ldb), fill(start, m), fill(c, m*ldc);
            memcpy(other, c, m*ldc*sizeof *c);
            for (size_t i = 0; i < m; i++)
                for (size_t j = 0; j < k; j++) a_transposed[j*m + i] = a[i*k + j];
            const nde_real *from = shape % 5 ? start : NULL;
            dense->product(m, n, k, a_transposed, 1, m, b, ldb, from, c, ldc);
            for (size_t i = 0; i < m; i++) {
                for (size_t l = 0; l < n; l++) {
                    long double sum = from ? (long double)from[i] : 0, size = fabsl(sum);
                    for (size_t j = 0; j < k; j++) {
                        const long double term = (long double)a[i*k + j]*(long double)b[j*ldb + l];
                        sum += term, size += fabsl(term);
                    }
                    assert_true(fabsl((long double)c[i*ldc + l] - sum) <= (long double)k*size*(long double)NDE_TEST_EPS);
                }
                assert_memory_equal(c + i*ldc + n, other + i*ldc + n, (ldc - n)*sizeof *c);
            }
            dense->product(m, n, k, a, k, 1, b, ldb, from, other, ldc); /* stored by rows: the same bits */
            for (size_t i = 0; i < m; i++) assert_memory_equal(other + i*ldc, c + i*ldc, n*sizeof *c);
            const size_t l = shape % n; /* a column alone: the same bits */
            for (size_t j = 0; j < k; j++) one[j] = b[j*ldb + l];
            dense->product(m, 1, k, a_transposed, 1, m, one, 1, from, other, 1);
            for (size_t i = 0; i < m; i++) assert_memory_equal(other + i, c + i*ldc + l, sizeof *c);
        }
    }
}

static double dw[SETS][MOST*MOST], db[SETS][MOST];

static void outer(void **state) {
    (void)state;
    static const size_t sizes[] = { 1, 2, 3, 5, 8, 9, 16, 17, 24, 25, 33, 49, 65 }, columns[] = { 1, 2, 7, 8, 20, 33, 127, 128, 129 };
    enum { COUNT = sizeof sizes/sizeof *sizes, WIDTHS = sizeof columns/sizeof *columns };
    for (size_t shape = 0; shape < COUNT*COUNT*WIDTHS; shape++) {
        const size_t out = sizes[shape % COUNT], in = sizes[shape/COUNT % COUNT], n = columns[shape/COUNT/COUNT];
        const size_t lda = n + shape % 2, ldx = n + shape % 3;
        fill(a, out*lda), fill(b, in*ldx);
        for (int s = 0; s < SETS; s++) {
            const nde_dense_kernels *dense = sets(s);
            if (!dense) continue;
            for (size_t i = 0; i <= out*in; i++) dw[s][i] = 1;
            for (size_t i = 0; i <= out; i++) db[s][i] = 1;
            dense->outer(out, n, in, a, lda, b, ldx, dw[s], db[s]);
            assert_true(dw[s][out*in] == 1 && db[s][out] == 1);
            for (size_t i = 0; i < out; i++) {
                long double bias = 1;
                for (size_t l = 0; l < n; l++) bias += (long double)a[i*lda + l];
                assert_true(fabsl((long double)db[s][i] - bias) <= (long double)n*1e-15L);
                for (size_t j = 0; j < in; j++) {
                    long double sum = 1;
                    for (size_t l = 0; l < n; l++) sum += (long double)a[i*lda + l]*(long double)b[j*ldx + l];
                    assert_true(fabsl((long double)dw[s][i*in + j] - sum) <= (long double)(n + 1)*(long double)NDE_TEST_EPS);
                }
            }
        }
        if (sets(1) && sets(2)) {
            assert_memory_equal(dw[1], dw[2], out*in*sizeof(double));
            assert_memory_equal(db[1], db[2], out*sizeof(double));
        }
    }
}

/* ---- activations ---- */

static long double exact(int id, long double x) {
    return id == NDE_TANH ? tanhl(x) : (x > 0 ? x : 0) + log1pl(expl(-fabsl(x)));
}
static long double exact_slope(int id, long double value) {
    return id == NDE_TANH ? (1 - value)*(1 + value) : -expm1l(-value);
}

/* Distance in units of the last place of the exact value. */
static double ulps(nde_real got, long double want) {
    if (isnan(got) || fabsl(want) > (long double)BY(DBL_MAX, FLT_MAX)) return (long double)got == want ? 0 : (double)INFINITY;
    int e;
    (void)frexpl(want, &e);
    const int least = BY(DBL_MIN_EXP, FLT_MIN_EXP), digits = BY(DBL_MANT_DIG, FLT_MANT_DIG);
    return (double)ldexpl(fabsl((long double)got - want), digits - (e < least ? least : e));
}

/* At most `most` ulp on `count` points up to 10^range either way, dense near zero. */
static double worst_error(const nde_dense_kernels *dense, int id, bool slope, size_t count) {
    double worst = 0;
    static nde_real x[1000], z[1000], ones[1000];
    for (size_t i = 0; i < 1000; i++) ones[i] = 1;
    for (size_t round = 0; round < count/1000; round++) {
        for (size_t i = 0; i < 1000; i++) {
            const double u = number();
            x[i] = (nde_real)(round % 4 == 0 ? 40*u : round % 4 == 1 ? 4*u : round % 4 == 2 ? 0.7*u
                              : copysign(pow(10, 4*number() - 3), u)*(1 + 0.1*u));
        }
        if (slope && id == NDE_SOFTPLUS)
            for (size_t i = 0; i < 1000; i++) x[i] = (nde_real)fabs((double)x[i]);
        if (slope && id == NDE_TANH)
            for (size_t i = 0; i < 1000; i++) x[i] = (nde_real)tanh((double)x[i]);
        memcpy(z, x, sizeof z);
        if (slope) dense->slope(id, 1, 1000, x, 1000, ones, 1000, z, 1000);
        else dense->activate(id, 1, 1000, z, 1000);
        for (size_t i = 0; i < 1000; i++) {
            const long double v = (long double)x[i];
            worst = fmax(worst, ulps(z[i], slope ? exact_slope(id, v) : exact(id, v)));
        }
    }
    return worst;
}

static void accuracy(void **state) {
    (void)state;
    for (int s = 0; s < SETS; s++) {
        if (!sets(s)) continue;
        for (int id = NDE_TANH; id <= NDE_SOFTPLUS; id++) {
            for (int slope = 0; slope < 2; slope++) {
                const double worst = worst_error(sets(s), id, slope, 400000);
                print_message("set %d, activation %d, slope %d: %.2f ulp\n", s, id, slope, worst);
                assert_true(worst <= 2);
            }
        }
    }
}

static void limits(void **state) {
    (void)state;
    const nde_real inf = (nde_real)INFINITY, nan = (nde_real)NAN, tiny = BY(DBL_TRUE_MIN, FLT_TRUE_MIN);
    const nde_real big = BY(DBL_MAX, FLT_MAX), small = BY(DBL_MIN, FLT_MIN);
    const nde_real x[] = { 0, -(nde_real)0, tiny, -tiny, small, -small, 1, -1, 50, -50, -90, -700, -740, -745, -800, big, -big, inf,
                           -inf, nan };
    enum { COUNT = sizeof x/sizeof *x };
    for (int s = 0; s < SETS; s++) {
        const nde_dense_kernels *dense = sets(s);
        if (!dense) continue;
        nde_real z[COUNT];
        memcpy(z, x, sizeof z);
        dense->activate(NDE_TANH, 1, COUNT, z, COUNT);
        for (size_t i = 0; i + 1 < COUNT; i++) {
            assert_true(ulps(z[i], exact(NDE_TANH, (long double)x[i])) <= 2);
            assert_int_equal(!!signbit(z[i]), !!signbit(x[i]));
        }
        assert_true(z[COUNT - 3] == 1 && z[COUNT - 2] == -1 && isnan(z[COUNT - 1]));
        for (size_t i = 0; i < 5; i++) assert_true(z[i] == x[i]);

        memcpy(z, x, sizeof z);
        dense->activate(NDE_SOFTPLUS, 1, COUNT, z, COUNT);
        for (size_t i = 0; i + 1 < COUNT; i++) assert_true(ulps(z[i], exact(NDE_SOFTPLUS, (long double)x[i])) <= 2);
        assert_true(z[COUNT - 3] == inf && z[COUNT - 2] == 0 && isnan(z[COUNT - 1]));

        nde_real value[4] = { 0, inf, nan, tiny }, ones[4] = { 1, 1, 1, 1 }, slope[4];
        dense->slope(NDE_SOFTPLUS, 1, 4, value, 4, ones, 4, slope, 4);
        assert_true(slope[0] == 0 && slope[1] == 1 && isnan(slope[2]) && slope[3] == tiny);
    }
}

/* Odd symmetry, the same bits in every place of a row, and in every instruction set that fuses. */
static void activation_bits(void **state) {
    (void)state;
    enum { N = 997 };
    static nde_real x[N], z[SETS][N], part[N], guard[N + 1];
    for (size_t i = 0; i < N; i++) x[i] = (nde_real)(number()*pow(10, 2*number()));
    for (int id = NDE_TANH; id <= NDE_SOFTPLUS; id++) {
        for (int s = 0; s < SETS; s++) {
            const nde_dense_kernels *dense = sets(s);
            if (!dense) continue;
            memcpy(z[s], x, sizeof x);
            dense->activate(id, 1, N, z[s], N);
            for (size_t i = 0; i < N; i++) part[i] = -x[i];
            dense->activate(id, 1, N, part, N);
            for (size_t i = 0; i < N && id == NDE_TANH; i++) assert_true(part[i] == -z[s][i]);
            for (size_t n = 1; n < 40; n++) {
                const size_t from = n*13 % (N - n);
                memcpy(guard, x + from, (n + 1)*sizeof *x);
                dense->activate(id, 1, n, guard, n);
                assert_memory_equal(guard, z[s] + from, n*sizeof *x);
                assert_memory_equal(guard + n, x + from + n, sizeof *x);
            }
        }
        if (sets(1) && sets(2)) assert_memory_equal(z[1], z[2], sizeof x);
    }
}

/* Derivatives of what is differentiated: slope and curve against differences of activate. */
static void curvature(void **state) {
    (void)state;
    enum { N = 37 };
    const double h = BY(1e-4, 1e-2);
    for (int s = 0; s < SETS; s++) {
        const nde_dense_kernels *dense = sets(s);
        if (!dense) continue;
        for (int id = NDE_IDENTITY; id <= NDE_SOFTPLUS; id++) {
            nde_real x[N], up[N], down[N], dz[N], p[N], q[N], up_slope[N], down_slope[N], ones[N];
            for (size_t i = 0; i < N; i++) {
                x[i] = (nde_real)(3*number()), dz[i] = (nde_real)number(), p[i] = (nde_real)number(), q[i] = (nde_real)number();
                up[i] = x[i] + (nde_real)h, down[i] = x[i] - (nde_real)h, ones[i] = 1;
            }
            nde_real a0[N], b0[N], slope[N], value[N];
            memcpy(a0, p, sizeof p), memcpy(b0, q, sizeof q), memcpy(value, x, sizeof x);
            dense->activate(id, 1, N, value, N);
            dense->activate(id, 1, N, up, N);
            dense->activate(id, 1, N, down, N);
            dense->slope(id, 1, N, value, N, ones, N, slope, N);
            dense->slope(id, 1, N, up, N, ones, N, up_slope, N);
            dense->slope(id, 1, N, down, N, ones, N, down_slope, N);
            dense->curve(id, 1, N, N, value, dz, p, q);
            for (size_t i = 0; i < N; i++) {
                const double first = ((double)up[i] - (double)down[i])/(2*h);
                const double second = ((double)up_slope[i] - (double)down_slope[i])/(2*h);
                assert_true(fabs((double)slope[i] - first) < BY(1e-8, 1e-4));
                assert_true(fabs((double)q[i] - (double)b0[i]*first) < BY(1e-8, 1e-4));
                assert_true(fabs((double)p[i] - (double)a0[i]*first - (double)b0[i]*(double)dz[i]*second) < BY(1e-8, 1e-4));
            }
        }
    }
}

/* ---- the door to a BLAS ---- */

static struct call { bool transposed; int m, n, k, lda, ldb, ldc, count; } last;
static void fake_gemm(bool transposed, int m, int n, int k, const nde_real *x, int lda, const nde_real *y, int ldb, nde_real *z,
                      int ldc) {
    (void)x, (void)y, (void)z;
    last = (struct call){ transposed, m, n, k, lda, ldb, ldc, last.count + 1 };
}
static int one_thread(void) { return 1; }
static int two_threads(void) { return 2; }

/* N3: what does not fit an int does not pass; what passes is what was asked for. */
static void blas_sizes(void **state) {
    (void)state;
    const nde_blas fake = { fake_gemm, one_thread };
    const size_t big[] = { (size_t)INT32_MAX + 1, (size_t)1 << 32, ((size_t)1 << 32) + 3, SIZE_MAX/8, SIZE_MAX };
    last.count = 0;
    for (size_t i = 0; i < sizeof big/sizeof *big; i++) {
        const size_t x = big[i];
        assert_false(nde_blas_product(&fake, x, 1, 1, a, 1, x, b, 1, NULL, c, 1));
        assert_false(nde_blas_product(&fake, 1, x, 1, a, 1, 1, b, x, NULL, c, x));
        assert_false(nde_blas_product(&fake, 1, 1, x, a, x, 1, b, 1, NULL, c, 1));
        assert_false(nde_blas_product(&fake, 1, 1, 1, a, 1, x, b, 1, NULL, c, 1));
        assert_false(nde_blas_product(&fake, 1, 1, 1, a, 1, 1, b, x, NULL, c, 1));
        assert_false(nde_blas_product(&fake, 1, 1, 1, a, 1, 1, b, 1, NULL, c, x));
    }
    /* an index above INT_MAX from sizes below it */
    assert_false(nde_blas_product(&fake, 50000, 1, 50000, a, 1, 50000, b, 1, NULL, c, 1));
    assert_false(nde_blas_product(&fake, 1, 50000, 50000, a, 1, 1, b, 50000, NULL, c, 50000));
    assert_false(nde_blas_product(&fake, 2, 2, 2, a, 2, 3, b, 2, NULL, c, 2)); /* neither rows nor columns */
    assert_int_equal(last.count, 0);

    start[0] = 5, start[1] = 6;
    assert_true(nde_blas_product(&fake, 2, 3, 4, a, 1, 7, b, 8, start, c, 9));
    assert_true(last.transposed && last.m == 2 && last.n == 3 && last.k == 4 && last.lda == 7 && last.ldb == 8 && last.ldc == 9);
    assert_true(c[0] == 5 && c[2] == 5 && c[9] == 6 && c[11] == 6);
    assert_true(nde_blas_product(&fake, 2, 3, 4, a, 7, 1, b, 8, NULL, c, 9));
    assert_true(!last.transposed && last.lda == 7 && c[0] == 0 && last.count == 2);
}

static void blas_choice(void **state) {
    (void)state;
    const nde_blas single = { fake_gemm, one_thread }, threaded = { fake_gemm, two_threads };
    const nde_kernels *fast = nde_kernels_get(NDE_ISA_BASELINE, false), *same = nde_kernels_get(NDE_ISA_BASELINE, true);
    assert_true(nde_blas_pays(&single, fast, 2048, 256, 2048));
    assert_false(nde_blas_pays(&single, same, 2048, 256, 2048));   /* reproducible */
    assert_false(nde_blas_pays(&threaded, fast, 2048, 256, 2048)); /* would be split */
    assert_false(nde_blas_pays(&single, fast, 256, 256, 256));
    assert_false(nde_blas_pays(&single, fast, 2048, 1, 2048));
    assert_false(nde_blas_pays(NULL, fast, 2048, 256, 2048));
}

static void blas_value(void **state) {
    (void)state;
    const nde_blas *blas = nde_blas_get();
    if (!blas) skip();
    const nde_dense_kernels *dense = sets(0);
    const size_t m = 19, n = 23, k = 31;
    fill(a, m*k), fill(b, k*n), fill(start, m);
    for (int transposed = 0; transposed < 2; transposed++) {
        const size_t row = transposed ? 1 : k, column = transposed ? m : 1;
        dense->product(m, n, k, a, row, column, b, n, start, c, n);
        assert_true(nde_blas_product(blas, m, n, k, a, row, column, b, n, start, other, n));
        for (size_t i = 0; i < m*n; i++) assert_true(fabs((double)c[i] - (double)other[i]) < 64*NDE_TEST_EPS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product), cmocka_unit_test(outer), cmocka_unit_test(accuracy), cmocka_unit_test(limits),
        cmocka_unit_test(activation_bits), cmocka_unit_test(curvature), cmocka_unit_test(blas_sizes),
        cmocka_unit_test(blas_choice), cmocka_unit_test(blas_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
