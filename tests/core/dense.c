/* SPDX-License-Identifier: MIT
 * dense.c - products of every instruction set: against long double, bits by place and width, order of the sums, guards. */
#include <float.h>
#include <inttypes.h>
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
static const nde_kernels *kernels_of(int i) {
    static const int isa[SETS] = { NDE_ISA_BASELINE, NDE_ISA_V3, NDE_ISA_V4 };
    return nde_kernels_get(isa[i], false); /* NULL: not on this machine */
}
static const nde_dense_kernels *sets(int i) { return kernels_of(i) ? kernels_of(i)->dense : NULL; }

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
    static const size_t sizes[] = { 1, 2, 3, 5, 8, 9, 16, 17, 24, 25, 33, 49, 65 };
    static const size_t columns[] = { 1, 2, 7, 8, 20, 33, 127, 128, 129 };
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

/* ---- the order of the sums, which dense.h promises: bits ---- */

enum { ROWS_MOST = 530, COLUMNS_MOST = 1100, ROOM = ROWS_MOST*COLUMNS_MOST };
static nde_real big_a[ROOM], big_b[ROOM], big_c[ROOM], big_start[ROWS_MOST], expected[ROOM], turned[ROOM];
static double sums[ROWS_MOST*ROWS_MOST], sums_expected[ROWS_MOST*ROWS_MOST];

/* a*b + c as this set does it. */
static nde_real fused(int set, nde_real x, nde_real y, nde_real z) {
    const volatile nde_real once = x*y; /* not contracted, whatever the flags */
    return set == 0 ? once + z : BY(fma, fmaf)(x, y, z);
}

/* Few rows and columns, and blocks of copied weights with ends of all kinds; a stored by columns, then by rows. */
static void product_order(void **state) {
    (void)state;
    static const struct { size_t m, n, k; } shapes[] = {
        { 1, 1, 1 }, { 3, 2, 7 }, { 5, 1, 9 }, { 37, 1, 20 }, { 129, 3, 5 }, { 9, 50, 3 }, { 33, 33, 33 }, { 2, 19, 50 },
        { 517, 17, 523 }, { 520, 16, 512 }, { 523, 50, 511 }, { 64, 25, 4200 },
    };
    for (size_t i = 0; i < sizeof shapes/sizeof *shapes; i++) {
        const size_t m = shapes[i].m, n = shapes[i].n, k = shapes[i].k, ldc = n + i % 2;
        fill(big_a, m*k), fill(big_b, k*n), fill(big_start, m);
        for (int s = 0; s < SETS; s++) {
            const nde_dense_kernels *dense = sets(s);
            if (!dense) continue;
            for (size_t r = 0; r < m; r++) {
                for (size_t l = 0; l < n; l++) {
                    nde_real sum = i % 3 ? big_start[r] : 0;
                    for (size_t j = 0; j < k; j++) sum = fused(s, big_a[j*m + r], big_b[j*n + l], sum);
                    expected[r*n + l] = sum;
                }
            }
            for (int by_rows = 0; by_rows < 2; by_rows++) {
                if (by_rows)
                    for (size_t r = 0; r < m; r++)
                        for (size_t j = 0; j < k; j++) turned[r*k + j] = big_a[j*m + r];
                dense->product(m, n, k, by_rows ? turned : big_a, by_rows ? k : 1, by_rows ? 1 : m, big_b, n,
                               i % 3 ? big_start : NULL, big_c, ldc);
                for (size_t r = 0; r < m; r++) assert_memory_equal(big_c + r*ldc, expected + r*n, n*sizeof *big_c);
            }
        }
    }
}

/* One entry of a panel's gradient. */
static nde_real panel_sum(int set, bool in_order, size_t count, const nde_real *x, const nde_real *y) {
    enum { PARTS = BY(8, 16) };
    nde_real part[PARTS] = { 0 };
    for (size_t l = 0; l < count; l++) part[in_order ? 0 : l % PARTS] = fused(set, x[l], y[l], part[in_order ? 0 : l % PARTS]);
    for (size_t s = PARTS/2; s > 0 && !in_order; s /= 2)
        for (size_t l = 0; l < s; l++) part[l] += part[l + s];
    return part[0];
}

static void outer_order(void **state) {
    (void)state;
    static const struct { size_t out, in, n; } shapes[] = {
        { 50, 2, 20 }, { 2, 50, 240 }, { 32, 4, 256 }, { 3, 33, 31 }, { 32, 32, 1025 }, { 63, 130, 40 }, { 1, 1, 9 },
        { 7, 1, 600 }, { 64, 65, 1 }, { 16, 17, 64 }, { 16, 15, 64 }, { 16, 16, 65 }, { 64, 64, 127 }, { 65, 71, 257 },
        { 300, 67, 130 },
    };
    for (size_t i = 0; i < sizeof shapes/sizeof *shapes; i++) {
        const size_t out = shapes[i].out, in = shapes[i].in, n = shapes[i].n, ld = n + i % 2;
        const size_t least = out < in ? out : in;
        const bool in_order = least >= (n <= 64 ? 16 : 64);
        const size_t panel = in_order ? 128 : 512;
        fill(big_a, out*ld), fill(big_b, in*ld);
        for (int s = 0; s < SETS; s++) {
            const nde_dense_kernels *dense = sets(s);
            if (!dense) continue;
            for (size_t e = 0; e < out*in; e++) {
                sums[e] = sums_expected[e] = 0.125;
                for (size_t l = 0; l < n; l += panel)
                    sums_expected[e] += (double)panel_sum(s, in_order, n - l < panel ? n - l : panel, big_a + e/in*ld + l,
                                                          big_b + e % in*ld + l);
            }
            dense->outer(out, n, in, big_a, ld, big_b, ld, sums, NULL);
            assert_memory_equal(sums, sums_expected, out*in*sizeof *sums);
        }
    }
}

static uint64_t mix(uint64_t h, const void *bytes, size_t count) { /* FNV-1a */
    for (size_t i = 0; i < count; i++) h = (h ^ ((const unsigned char *)bytes)[i])*1099511628211u;
    return h;
}

/* The layers of four nets: the bits that every FMA machine and every compiler give. */
static void hashes(void **state) {
    (void)state;
    static const struct { size_t out, in, n; } layers[] = {
        { 50, 2, 20 }, { 2, 50, 20 }, { 32, 4, 1 }, { 32, 32, 1 }, { 4, 32, 8 }, { 32, 32, 8 }, { 32, 32, 64 }, { 16, 64, 512 },
        { 64, 256, 256 }, { 520, 512, 33 },
    };
    static const uint64_t forward = BY(8587490309783113594u, 16386326645618123766u),
                          input = BY(2852837034808487471u, 1296374892696038729u),
                          weights = BY(2702352494454740567u, 3849933844965671322u);
    for (int s = 1; s < SETS; s++) {
        const nde_dense_kernels *dense = sets(s);
        if (!dense) continue;
        uint64_t h[3] = { 14695981039346656037u, 14695981039346656037u, 14695981039346656037u };
        state_of_numbers = 20240229;
        for (size_t i = 0; i < sizeof layers/sizeof *layers; i++) {
            const size_t out = layers[i].out, in = layers[i].in, n = layers[i].n;
            fill(big_a, out*in), fill(big_b, (out + in)*n), fill(big_start, out);
            dense->product(out, n, in, big_a, 1, out, big_b, n, big_start, big_c, n);
            h[0] = mix(h[0], big_c, out*n*sizeof *big_c);
            dense->product(in, n, out, big_a, 1, in, big_b, n, NULL, big_c, n);
            h[1] = mix(h[1], big_c, in*n*sizeof *big_c);
            for (size_t e = 0; e < out*in; e++) sums[e] = 0;
            dense->outer(out, n, in, big_b, n, big_b + out*n, n, sums, NULL);
            h[2] = mix(h[2], sums, out*in*sizeof *sums);
        }
        if (h[0] != forward || h[1] != input || h[2] != weights)
            print_error("BY: %" PRIu64 "u %" PRIu64 "u %" PRIu64 "u\n", h[0], h[1], h[2]);
        assert_true(h[0] == forward && h[1] == input && h[2] == weights);
    }
}

/* ---- the door to a BLAS ---- */

static struct call { bool transposed; int m, n, k, lda, ldb, ldc, count; } last;
static void fake_gemm(int order, int transpose_x, int transpose_y, int m, int n, int k, nde_real alpha, const nde_real *x,
                      int lda, const nde_real *y, int ldb, nde_real beta, nde_real *z, int ldc) {
    (void)x, (void)y, (void)z;
    assert_true(order == 101 && (transpose_x == 111 || transpose_x == 112) && transpose_y == 111 && alpha == 1 && beta == 1);
    last = (struct call){ transpose_x == 112, m, n, k, lda, ldb, ldc, last.count + 1 };
}
static int one_thread(void) { return 1; }
static int two_threads(void) { return 2; }

/* N3: what does not fit an int does not pass; what passes is what was asked for. */
static void blas_sizes(void **state) {
    (void)state;
    const size_t big[] = { (size_t)INT32_MAX + 1, (size_t)1 << 32, ((size_t)1 << 32) + 3, SIZE_MAX/8, SIZE_MAX };
    last.count = 0;
    for (size_t i = 0; i < sizeof big/sizeof *big; i++) {
        const size_t x = big[i];
        assert_false(nde_blas_product(fake_gemm, x, 1, 1, a, 1, x, b, 1, NULL, c, 1));
        assert_false(nde_blas_product(fake_gemm, 1, x, 1, a, 1, 1, b, x, NULL, c, x));
        assert_false(nde_blas_product(fake_gemm, 1, 1, x, a, x, 1, b, 1, NULL, c, 1));
        assert_false(nde_blas_product(fake_gemm, 1, 1, 1, a, 1, x, b, 1, NULL, c, 1));
        assert_false(nde_blas_product(fake_gemm, 1, 1, 1, a, 1, 1, b, x, NULL, c, 1));
        assert_false(nde_blas_product(fake_gemm, 1, 1, 1, a, 1, 1, b, 1, NULL, c, x));
    }
    /* an index above INT_MAX from sizes below it */
    assert_false(nde_blas_product(fake_gemm, 50000, 1, 50000, a, 1, 50000, b, 1, NULL, c, 1));
    assert_false(nde_blas_product(fake_gemm, 1, 50000, 50000, a, 1, 1, b, 50000, NULL, c, 50000));
    assert_false(nde_blas_product(fake_gemm, 2, 2, 2, a, 2, 3, b, 2, NULL, c, 2)); /* neither rows nor columns */
    assert_int_equal(last.count, 0);

    start[0] = 5, start[1] = 6;
    assert_true(nde_blas_product(fake_gemm, 2, 3, 4, a, 1, 7, b, 8, start, c, 9));
    assert_true(last.transposed && last.m == 2 && last.n == 3 && last.k == 4);
    assert_true(last.lda == 7 && last.ldb == 8 && last.ldc == 9);
    assert_true(c[0] == 5 && c[2] == 5 && c[9] == 6 && c[11] == 6);
    assert_true(nde_blas_product(fake_gemm, 2, 3, 4, a, 7, 1, b, 8, NULL, c, 9));
    assert_true(!last.transposed && last.lda == 7 && c[0] == 0 && last.count == 2);
}

static void blas_choice(void **state) {
    (void)state;
    for (int i = 0; i < SETS; i++) {
        if (!kernels_of(i)) continue;
        nde_kernels k = *kernels_of(i);
        assert_false(nde_blas_pays(&k, 2048, 256, 2048)); /* reproducible */
        k.gemm = fake_gemm; /* the host's, whatever the instruction set and its threads */
        assert_true(nde_blas_pays(&k, 2048, 256, 2048));
        assert_false(nde_blas_pays(&k, 256, 256, 256));
        assert_false(nde_blas_pays(&k, 2048, 1, 2048));
        assert_false(nde_blas_pays(&k, 0, 256, 2048));
        k.gemm_threads = one_thread; /* OpenBLAS: the library's own kernels for AVX-512 are never slower */
        assert_int_equal(nde_blas_pays(&k, 2048, 256, 2048), k.isa != NDE_ISA_V4);
        k.gemm_threads = two_threads; /* would be split */
        assert_false(nde_blas_pays(&k, 2048, 256, 2048));
    }
}

static void blas_value(void **state) {
    (void)state;
    nde_gemm *gemm = nde_kernels_get(NDE_ISA_BASELINE, true)->gemm;
    if (!gemm) skip();
    const nde_dense_kernels *dense = sets(0);
    const size_t m = 19, n = 23, k = 31;
    fill(a, m*k), fill(b, k*n), fill(start, m);
    for (int transposed = 0; transposed < 2; transposed++) {
        const size_t row = transposed ? 1 : k, column = transposed ? m : 1;
        dense->product(m, n, k, a, row, column, b, n, start, c, n);
        assert_true(nde_blas_product(gemm, m, n, k, a, row, column, b, n, start, other, n));
        for (size_t i = 0; i < m*n; i++) assert_true(fabs((double)c[i] - (double)other[i]) < 64*NDE_TEST_EPS);
    }
}

/* A product that OpenBLAS would split among its threads is never given to it. */
static void blas_with_threads(void **state) {
    (void)state;
    enum { M = 512, N = 40, K = 512 };
    void (*set_threads)(int threads);
    if (!nde_openblas_find("openblas_set_num_threads", &set_threads)) skip();
    const int before = nde_kernels_get(NDE_ISA_BASELINE, true)->gemm_threads();
    fill(big_a, M*K), fill(big_b, K*N);
    for (int s = 0; s < SETS; s++) {
        if (!kernels_of(s)) continue;
        const nde_kernels *fast = nde_kernels_get(kernels_of(s)->isa, true);
        fast->dense->product(M, N, K, big_a, 1, M, big_b, N, NULL, expected, N);
        set_threads(2);
        if (fast->gemm_threads() > 1) { /* one core: it stays at one */
            assert_false(nde_blas_pays(fast, M, N, K));
            nde_dense_product(fast, M, N, K, big_a, 1, M, big_b, N, NULL, big_c, N);
            assert_memory_equal(big_c, expected, M*N*sizeof *big_c);
        }
        set_threads(1);
        nde_dense_product(fast, M, N, K, big_a, 1, M, big_b, N, NULL, big_c, N);
        nde_blas_product(fast->gemm, M, N, K, big_a, 1, M, big_b, N, NULL, turned, N);
        const bool pays = nde_blas_pays(fast, M, N, K);
        assert_int_equal(pays, fast->isa != NDE_ISA_V4);
        assert_memory_equal(big_c, pays ? turned : expected, M*N*sizeof *big_c);
    }
    set_threads(before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product), cmocka_unit_test(outer), cmocka_unit_test(product_order),
        cmocka_unit_test(outer_order), cmocka_unit_test(hashes), cmocka_unit_test(blas_sizes), cmocka_unit_test(blas_choice),
        cmocka_unit_test(blas_value), cmocka_unit_test(blas_with_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
