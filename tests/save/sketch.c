/* SPDX-License-Identifier: MIT
 * sketch.c - the guarantee of quantiles, for numbers of every kind, and that no order of numbers and merges changes a bit. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nde.h"
#include "save/sketch.h"

enum { COUNT = 3000, KINDS = 8 };

static double number(int kind, size_t i) {
    const double z = nde_normal(5, 200, 0, i, (uint64_t)kind);
    switch (kind) {
    case 0: return z;
    case 1: return 1e3 + z;
    case 2: return exp(5*z);
    case 3: return z < 0 ? -exp(3*z) : z;
    case 4: return i % 3 ? 0 : z;
    case 5: return -1e-300*fabs(z);
    case 6: return i == 17 ? DBL_MAX : i == 18 ? -DBL_MAX : z*0x1p-1060;
    default: return (double)(i % 5) - 2;
    }
}

static int compare(const void *a, const void *b) {
    double x, y;
    memcpy(&x, a, sizeof x), memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static uint32_t *empty(const nde_buckets *of) {
    uint32_t *sketch = calloc(nde_sketch_size(of), sizeof *sketch);
    assert_non_null(sketch);
    return sketch;
}

static void values_are_within_the_error(void **state) {
    (void)state;
    static double x[COUNT];
    double worst = 0;
    for (int kind = 0; kind < KINDS; kind++)
        for (int bits = 0; bits <= 8; bits += 4)
            for (int octaves = 1; octaves <= (bits < 8 ? 1024 : 32); octaves *= 32) {
                const double error = ldexp(0.5, -bits);
                const nde_buckets of = nde_buckets_make(error, octaves);
                assert_int_equal(of.bits, bits);
                uint32_t *sketch = empty(&of);
                for (size_t i = 0; i < COUNT; i++) x[i] = number(kind, i), nde_sketch_add(&of, sketch, x[i]);
                qsort(x, COUNT, sizeof *x, compare);
                const double most = fmax(fabs(x[0]), fabs(x[COUNT - 1]));
                for (uint64_t rank = 1; rank <= COUNT; rank += 31) {
                    const double is = x[rank - 1], got = nde_sketch_value(&of, sketch, rank, COUNT, x[0], x[COUNT - 1]);
                    const double bound = fmax(error*fabs(is), ldexp(most, 1 - octaves) + 5e-324);
                    if (!(fabs(got - is) <= bound))
                        fail_msg("kind %d, error %g, %d octaves: %g is not %g", kind, error, octaves, got, is);
                    if (bound == error*fabs(is) && bound > 0) worst = fmax(worst, fabs(got - is)/bound);
                }
                assert_true(nde_sketch_value(&of, sketch, 1, COUNT, x[0], x[COUNT - 1]) == x[0]);
                assert_true(nde_sketch_value(&of, sketch, COUNT, COUNT, x[0], x[COUNT - 1]) == x[COUNT - 1]);
                free(sketch);
            }
    assert_true(worst > 0.9); /* the bound is no larger than it must be */
}

static void order_and_merges_change_no_bit(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (int octaves = 1; octaves <= 64; octaves *= 8) {
            const nde_buckets of = nde_buckets_make(1.0/32, octaves);
            const size_t bytes = nde_sketch_size(&of)*sizeof(uint32_t);
            uint32_t *forth = empty(&of), *back = empty(&of), *part[4], *sum = empty(&of);
            for (size_t k = 0; k < 4; k++) part[k] = empty(&of);
            for (size_t i = 0; i < COUNT; i++) {
                nde_sketch_add(&of, forth, number(kind, i));
                nde_sketch_add(&of, back, number(kind, COUNT - 1 - i));
                nde_sketch_add(&of, part[i*i % 7 % 4], number(kind, i));
            }
            for (size_t k = 4; k-- > 0;) nde_sketch_merge(&of, sum, part[k]);
            assert_memory_equal(forth, back, bytes);
            assert_memory_equal(forth, sum, bytes);
            for (size_t k = 0; k < 4; k++) free(part[k]);
            free(forth), free(back), free(sum);
        }
}

static void errors_make_buckets(void **state) {
    (void)state;
    static const struct { double error; int bits; } cases[] = { { 0.5, 0 }, { 0.25, 1 }, { 1.0/64, 5 }, { 0.01, 6 },
                                                                { 0x1p-13, 12 } };
    for (size_t i = 0; i < sizeof cases/sizeof *cases; i++) {
        const nde_buckets of = nde_buckets_make(cases[i].error, 3);
        assert_int_equal(of.bits, cases[i].bits);
        assert_int_equal(of.window, 3 << cases[i].bits);
        assert_int_equal(nde_sketch_size(&of), 2 + 2*of.window);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_within_the_error),
        cmocka_unit_test(order_and_merges_change_no_bit),
        cmocka_unit_test(errors_make_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
