/* SPDX-License-Identifier: MIT
 * grid.c - increments of the Brownian path on a grid: exact sums, equal bits. */
#include "noise/noise.h"
#include "noise/cells.h"

#include <math.h>
#include <string.h>

static void increment(const nde_noise *noise, const lanes *l, size_t from, size_t n, int64_t offset,
                      int64_t count, double *dw) {
    int64_t first[N];
    for (size_t b = 0; b < n; b++) first[b] = l->first[from + b] + offset;
    nde_noise_increment(noise, 1024, M, n, LD, l->trajectory + from, l->cell + from, first, count,
                        dw);
}

/* Over eight cells it is the sum of the eight, and of two halves, bit for bit. */
static void cells_add_exactly(void **state) {
    (void)state;
    const nde_noise noise = seeded(99);
    const lanes l = some_lanes();
    static double whole[M*LD], part[M*LD], sum[M*LD];
    increment(&noise, &l, 0, N, 0, 8, whole);
    for (int step = 1; step <= 4; step *= 4) {
        memset(sum, 0, sizeof sum);
        for (int64_t j = 8 - step; j >= 0; j -= step) { /* in the other order */
            increment(&noise, &l, 0, N, j, step, part);
            for (size_t i = 0; i < M*LD; i++) sum[i] += part[i];
        }
        for (size_t i = 0; i < M; i++)
            for (size_t b = 0; b < N; b++) assert_true(sum[i*LD + b] == whole[i*LD + b]);
    }
}

/* A cell is sqrt(cell)*normal to half a unit, and a multiple of the unit 2^(e - 44) with 2^e the
 * least >= sqrt(span). */
static void a_cell_is_its_normal(void **state) {
    (void)state;
    const nde_noise noise = seeded(123456789012345);
    const lanes l = some_lanes();
    static double dw[M*LD];
    increment(&noise, &l, 0, N, 0, 1, dw);
    for (size_t i = 0; i < M; i++)
        for (size_t b = 0; b < N; b++) {
            const double z = normal_of(noise.seed, NDE_PURPOSE_W, l.trajectory[b],
                                        (uint64_t)l.first[b], i);
            const double unit = 0x1p-44*exp2(ceil(log2(sqrt(1024*l.cell[b])))),
                value = dw[i*LD + b];
            assert_true(value/unit == floor(value/unit));
            assert_true(fabs(value - sqrt(l.cell[b])*z) <= 0.5*unit);
        }
}

/* Cells from rounded times: at spans of a power of four, where the unit changes, the unit does not
 * follow the rounding. */
static void the_unit_is_stable(void **state) {
    (void)state;
    const nde_noise noise = seeded(3);
    const size_t trajectory[3] = { 1, 1, 1 };
    const double cell[3] = { 1.0/1024, 1.0/1024*(1 + 0x1p-45), 1.0/1024*(1 + 0x1p-30) };
    const int64_t first[3] = { 0, 0, 0 };
    double dw[3];
    int odd = 0;
    for (int64_t j = 0; j < 64; j++) {
        nde_noise_increment(&noise, 1024, 1, 3, 3, trajectory, cell, (const int64_t[]){ j, j, j },
                            1, dw);
        assert_true(fmod(dw[1], 0x1p-44) == 0 && fmod(dw[2], 0x1p-43) == 0);
        odd += fmod(dw[1], 0x1p-43) != 0;
    }
    assert_true(odd > 10 || normals == NDE_NORMALS_SINGLE); /* those are multiples of more than a unit */
    nde_noise_increment(&noise, 1024, 1, 3, 3, trajectory, cell, first, 1, dw);
    assert_true(fabs(dw[0] - dw[1]) <= 0x1p-44);
}

static void lanes_do_not_meet(void **state) {
    (void)state;
    const nde_noise noise = seeded(7);
    const lanes l = some_lanes();
    static double all[M*LD], one[M*LD], some[M*LD];
    increment(&noise, &l, 0, N, 0, 3, all);
    for (size_t n = 1; n < N; n = 2*n + 1)
        for (size_t from = 0; from + n <= N; from += n) {
            increment(&noise, &l, from, n, 0, 3, some);
            for (size_t i = 0; i < M; i++)
                assert_memory_equal(some + i*LD, all + i*LD + from, n*sizeof *all);
        }
    lanes l2 = l;
    l2.trajectory[20]++; /* only that lane changes */
    increment(&noise, &l2, 0, N, 0, 3, one);
    for (size_t i = 0; i < M; i++)
        for (size_t b = 0; b < N; b++) assert_true((one[i*LD + b] == all[i*LD + b]) == (b != 20));
}

static void rows_beyond_are_untouched(void **state) {
    (void)state;
    const nde_noise noise = seeded(7);
    const lanes l = some_lanes();
    static double dw[(M + 1)*LD];
    for (size_t i = 0; i < (M + 1)*LD; i++) dw[i] = -77;
    increment(&noise, &l, 0, N, 0, 1, dw);
    for (size_t b = 0; b < LD; b++) assert_true(dw[M*LD + b] == -77);
    for (size_t i = 0; i < M; i++)
        for (size_t b = N; b < LD; b++) assert_true(dw[i*LD + b] == -77);
    increment(&noise, &l, 0, N, 0, 0, dw); /* no cells: nothing moves */
    for (size_t i = 0; i < M; i++)
        for (size_t b = 0; b < N; b++) assert_true(dw[i*LD + b] == 0);
}

static void as_the_baseline(const nde_noise_kernels *kernels) {
    const nde_noise noise = seeded(5);
    const lanes l = some_lanes();
    static double one[M*LD], other[M*LD];
    nde_noise_kernels_baseline.cells(&noise, 1024, M, N, LD, l.trajectory, l.cell, l.first, 300, one, NULL, NULL);
    kernels->cells(&noise, 1024, M, N, LD, l.trajectory, l.cell, l.first, 300, other, NULL, NULL);
    assert_memory_equal(one, other, sizeof one);
}

static void instruction_sets_agree(void **state) {
    (void)state;
    for_each_isa(as_the_baseline);
}

/* W(1) of 20,000 paths of 16 cells: mean and variance within four standard errors. */
static void variance_of_the_path(void **state) {
    (void)state;
    const nde_noise noise = seeded(2024);
    double sum = 0, square = 0, n = 0;
    for (size_t begin = 0; begin < 20000; begin += 100) {
        size_t trajectory[100];
        double cell[100], dw[2*100];
        int64_t first[100] = { 0 };
        for (size_t b = 0; b < 100; b++) trajectory[b] = begin + b, cell[b] = 1.0/16;
        nde_noise_increment(&noise, 16, 2, 100, 100, trajectory, cell, first, 16, dw);
        for (size_t i = 0; i < 200; i++) sum += dw[i], square += dw[i]*dw[i], n++;
    }
    assert_true(fabs(sum/n) < 4/sqrt(n));
    assert_true(fabs(square/n - 1) < 4*sqrt(2/n));
}

/* The bits for ever: equal on every machine and compiler. */
static void golden_bits(void **state) {
    (void)state;
    const nde_noise noise = seeded(UINT64_C(0x0123456789abcdef));
    const lanes l = some_lanes();
    static double dw[M*LD];
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    increment(&noise, &l, 0, N, 0, 5, dw);
    for (size_t i = 0; i < M; i++)
        for (size_t b = 0; b < N; b++)
            for (int k = 0; k < 64; k += 8)
                h = (h ^ (nde_bits_of(dw[i*LD + b]) >> k & 255))*UINT64_C(0x100000001b3);
    assert_int_equal(h, normals == NDE_NORMALS_DOUBLE ? UINT64_C(0x8a19411c593eb25)
                                                                 : UINT64_C(0x1adf1ffc564e48d));
}

static void refuse(const nde_noise *noise, nde_status status, const char *name, const char *value) {
    nde_noise known;
    assert_int_equal(nde_noise_read(&known, noise), status);
    assert_non_null(strstr(nde_error(), name));
    assert_non_null(strstr(nde_error(), value));
}

static void validation(void **state) {
    (void)state;
    nde_noise known;
    assert_int_equal(nde_noise_read(&known, &(nde_noise){ .seed = 1 }), NDE_OK);
    assert_int_equal(nde_noise_read(&known, &NDE_INIT(nde_noise, .dim = 1 << 25,
                                                  .grid = (int64_t)1 << 48)), NDE_OK);
    refuse(NULL, NDE_E_ARG, "noise", "NULL");
    refuse(&(nde_noise){ .size = 3 }, NDE_E_ARG, "size", "3");
    refuse(&(nde_noise){ .dim = (1 << 25) + 1 }, NDE_E_SIZE, "dim", "33554433");
    refuse(&(nde_noise){ .normals = 2 }, NDE_E_ARG, "noise.normals", "2");
    refuse(&(nde_noise){ .normals = -1 }, NDE_E_ARG, "noise.normals", "-1");
    refuse(&(nde_noise){ .normals = NDE_NORMALS_SINGLE, .source = NDE_SOURCE_TREE }, NDE_E_ARG, "noise.normals",
           "noise.source is 1");
    refuse(&(nde_noise){ .normals = NDE_NORMALS_SINGLE, .source = NDE_SOURCE_STORED, .w = &(double){ 0 } }, NDE_E_ARG,
           "noise.normals", "noise.source is 2");
    refuse(&(nde_noise){ .grid = -5 }, NDE_E_ARG, "grid", "-5");
    refuse(&(nde_noise){ .grid = ((int64_t)1 << 48) + 1 }, NDE_E_SIZE, "grid", "281474976710657");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_add_exactly), cmocka_unit_test(a_cell_is_its_normal),
        cmocka_unit_test(the_unit_is_stable),
        cmocka_unit_test(lanes_do_not_meet), cmocka_unit_test(rows_beyond_are_untouched),
        cmocka_unit_test(instruction_sets_agree),
        cmocka_unit_test(variance_of_the_path), cmocka_unit_test(golden_bits),
        cmocka_unit_test(validation),
    };
    int failed = 0;
    for (normals = NDE_NORMALS_DOUBLE; normals <= NDE_NORMALS_SINGLE; normals++)
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    return failed;
}
