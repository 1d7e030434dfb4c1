/* SPDX-License-Identifier: MIT
 * lu.c - factors and solutions of small systems: residuals for every size and number of lanes, transposes, equal bits of a
 * lane alone and among others, singular lanes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/isa.h"
#include "implicit/lu.h"

typedef struct system {
    size_t d, n, ld;
    nde_real *j, *h, *x, *b;
    void *block;
    nde_lu lu;
} system_t;

static const size_t sizes[] = { 1, 2, 3, 4, 5, 8, 16, 17, 40, 120 };

static system_t make(size_t d, size_t n) {
    system_t s = { .d = d, .n = n, .ld = nde_leading_dimension(n, sizeof(nde_real)) };
    nde_arena arena = { 0 };
    nde_lu_lay(&s.lu, &arena, d, s.ld);
    assert_int_equal(posix_memalign(&s.block, 64, arena.used), 0);
    memset(s.block, 0xff, arena.used);
    arena = (nde_arena){ .base = s.block };
    nde_lu_lay(&s.lu, &arena, d, s.ld);
    s.j = calloc(d*d*s.ld, sizeof *s.j), s.h = calloc(s.ld, sizeof *s.h);
    s.x = calloc(d*s.ld, sizeof *s.x), s.b = calloc(d*s.ld, sizeof *s.b);
    return s;
}

static void drop(system_t *s) { free(s->j), free(s->h), free(s->x), free(s->b), free(s->block); }

static void fill(system_t *s, uint64_t seed, size_t first) {
    for (size_t b = 0; b < s->n; b++) {
        s->h[b] = (nde_real)(0.5 + nde_uniform(seed, 200, first + b, 0, 0));
        for (size_t e = 0; e < s->d*s->d; e++) s->j[e*s->ld + b] = (nde_real)nde_normal(seed, 200, first + b, e, 1)*10;
        for (size_t i = 0; i < s->d; i++)
            s->x[i*s->ld + b] = s->b[i*s->ld + b] = (nde_real)nde_normal(seed, 200, first + b, i, 2);
    }
}

/* The largest residual of W x = b, or of its transpose, relative to the sizes of W and x. */
static double residual(const system_t *s, nde_real gamma, bool transposed) {
    double worst = 0;
    for (size_t b = 0; b < s->n; b++)
        for (size_t i = 0; i < s->d; i++) {
            double sum = -(double)s->b[i*s->ld + b], size = fabs(sum);
            for (size_t k = 0; k < s->d; k++) {
                const size_t e = transposed ? k*s->d + i : i*s->d + k;
                const double w = (i == k) - (double)(gamma*s->h[b]*s->j[e*s->ld + b]), x = (double)s->x[k*s->ld + b];
                sum += w*x, size += fabs(w*x);
            }
            worst = fmax(worst, fabs(sum)/size);
        }
    return worst;
}

static void solves_and_transposes(void **state) {
    (void)state;
    static const size_t lanes[] = { 1, 2, 7, 64, 65 };
    static const int isas[] = { NDE_ISA_BASELINE, NDE_ISA_V3, NDE_ISA_V4 };
    for (size_t k = 0; k < 3; k++) {
        const nde_kernels *kernels = nde_kernels_get(isas[k], k == 2);
        for (size_t c = 0; kernels && c < sizeof sizes/sizeof *sizes; c++)
            for (size_t l = 0; l < (sizes[c] > 17 ? 2 : 5); l++) {
                system_t s = make(sizes[c], lanes[l]);
                for (int back = 0; back < 2; back++) {
                    fill(&s, 7 + k, 0);
                    nde_lu_factor(kernels, &s.lu, s.n, s.ld, s.h, (nde_real)0.25, s.j);
                    (back ? nde_lu_solve_transposed : nde_lu_solve)(kernels, &s.lu, s.n, s.ld, s.x);
                    /* growth of the elements aside, a residual is a few roundings for each row */
                    assert_true(residual(&s, (nde_real)0.25, back) < 8*NDE_TEST_EPS*(double)(s.d + 1));
                }
                drop(&s);
            }
    }
}

/* Of the own kernels. */
static void a_lane_alone_has_the_same_bits(void **state) {
    (void)state;
    const nde_kernels *kernels = nde_kernels_get(NDE_ISA_AUTO, false), *plain = nde_kernels_get(NDE_ISA_BASELINE, false);
    for (size_t c = 0; c < sizeof sizes/sizeof *sizes; c++)
        for (int back = 0; back < 2; back++) {
            system_t many = make(sizes[c], 11), one = make(sizes[c], 1);
            fill(&many, 3, 0);
            nde_lu_factor(kernels, &many.lu, many.n, many.ld, many.h, 1, many.j);
            (back ? nde_lu_solve_transposed : nde_lu_solve)(kernels, &many.lu, many.n, many.ld, many.x);
            for (size_t b = 0; b < many.n; b++) {
                fill(&one, 3, b);
                nde_lu_factor(plain, &one.lu, 1, 1, one.h, 1, one.j);
                (back ? nde_lu_solve_transposed : nde_lu_solve)(plain, &one.lu, 1, 1, one.x);
                for (size_t i = 0; i < one.d; i++) assert_memory_equal(&one.x[i], &many.x[i*many.ld + b], sizeof(nde_real));
            }
            drop(&many), drop(&one);
        }
}

/* W = 0 in lane 2, NaN in lane 4. */
static void singular_lanes_are_alone(void **state) {
    (void)state;
    const nde_kernels *kernels = nde_kernels_get(NDE_ISA_AUTO, true);
    for (size_t c = 0; c < sizeof sizes/sizeof *sizes; c++) {
        system_t s = make(sizes[c], 6), t = make(sizes[c], 6);
        fill(&s, 5, 0), fill(&t, 5, 0);
        s.h[2] = 1;
        for (size_t e = 0; e < s.d*s.d; e++) s.j[e*s.ld + 2] = e % (s.d + 1) == 0, s.j[e*s.ld + 4] = (nde_real)NAN;
        nde_lu_factor(kernels, &s.lu, s.n, s.ld, s.h, 1, s.j), nde_lu_solve(kernels, &s.lu, s.n, s.ld, s.x);
        nde_lu_factor(kernels, &t.lu, t.n, t.ld, t.h, 1, t.j), nde_lu_solve(kernels, &t.lu, t.n, t.ld, t.x);
        for (size_t b = 0; b < s.n; b++) {
            bool finite = true;
            for (size_t i = 0; i < s.d; i++) finite = finite && isfinite(s.x[i*s.ld + b]);
            assert_int_equal(finite, b != 2 && b != 4);
            for (size_t i = 0; finite && i < s.d; i++)
                assert_memory_equal(&s.x[i*s.ld + b], &t.x[i*t.ld + b], sizeof(nde_real));
        }
        drop(&s), drop(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solves_and_transposes),
        cmocka_unit_test(a_lane_alone_has_the_same_bits),
        cmocka_unit_test(singular_lanes_are_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
