/* SPDX-License-Identifier: MIT
 * area.c - space-time Levy areas of the grid: their laws, and that coarse steps see the path of the fine ones. */
#include "noise/noise.h"
#include "noise/cells.h"
#include "method/extended.h"

#include <math.h>
#include <string.h>

typedef double rows[3][M*LD];

static void cells(uint64_t seed, const lanes *l, int64_t offset, int64_t count, rows x) {
    const nde_noise noise = seeded(seed);
    const lanes at = later(l, offset);
    nde_noise_cells(&noise, 1024, M, N, LD, at.trajectory, at.cell, at.first, count, x[0], x[1], x[2]);
}

static void w_is_the_same_with_areas(void **state) {
    (void)state;
    const lanes l = some_lanes(), at = later(&l, 3);
    static rows x, y;
    double *const w = y[0];
    for (int64_t count = 0; count < 4; count++) {
        const nde_noise noise = seeded(4);
        cells(4, &l, 3, count, x);
        nde_noise_increment(&noise, 1024, M, N, LD, at.trajectory, at.cell, at.first, count, w);
        assert_memory_equal(x[0], w, sizeof x[0]);
        nde_noise_cells(&noise, 1024, M, N, LD, at.trajectory, at.cell, at.first, count, y[0], y[1], NULL);
        assert_memory_equal(x[0], y[0], sizeof x[0]);
        assert_memory_equal(x[1], y[1], sizeof x[1]);
    }
}

static void a_cell_is_its_normals(void **state) {
    (void)state;
    const lanes l = some_lanes();
    const double divisor[3] = { 1, 12, 720 };
    static rows x;
    cells(77, &l, 2, 1, x);
    for (size_t i = 0; i < M; i++)
        for (size_t b = 0; b < N; b++)
            for (unsigned what = 0; what < 3; what++) {
                const double z = normal_of(77, what, l.trajectory[b], (uint64_t)l.first[b] + 2, i);
                const double unit = 0x1p-44*exp2(ceil(log2(sqrt(1024*l.cell[b])))), value = x[what][i*LD + b];
                assert_true(value/unit == floor(value/unit));
                assert_true(fabs(value - sqrt(l.cell[b]/divisor[what])*z) <= 0.5*unit);
            }
}

/* Over `count` cells: by integrating the cells' polynomials. Within cell k the path has the moments
 *   int W = cell (S + W/2 + H), int W (s - middle of the cell) = cell^2 (W/12 - K). */
static void areas_are_those_of_the_path(void **state) {
    (void)state;
    const lanes l = some_lanes();
    static rows whole, one;
    static extended s[M*LD], zero[M*LD], first[M*LD];
    const int64_t counts[] = { 1, 2, 3, 8, 100 };
    double worst[2] = { 0, 0 };
    for (size_t c = 0; c < sizeof counts/sizeof *counts; c++) {
        const extended length = (extended)counts[c]; /* in cells */
        memset(s, 0, sizeof s), memset(zero, 0, sizeof zero), memset(first, 0, sizeof first);
        cells(5, &l, 1, counts[c], whole);
        for (int64_t j = 0; j < counts[c]; j++) {
            cells(5, &l, 1 + j, 1, one);
            for (size_t i = 0; i < M*LD; i++) {
                const extended w = (extended)one[0][i], mean = s[i] + w/2 + (extended)one[1][i],
                    middle = (extended)j + (extended)0.5;
                zero[i] += mean;
                first[i] += mean*middle + (w/12 - (extended)one[2][i]);
                s[i] += w;
            }
        }
        for (size_t i = 0; i < M; i++)
            for (size_t b = 0; b < N; b++) {
                const size_t at = i*LD + b;
                /* the bridge: take s/h W away, whose moments are h W/2 and h^2 W/3 */
                const extended bridge0 = zero[at] - s[at]*length/2, bridge1 = first[at] - s[at]*length*length/3;
                const extended h = bridge0/length, k = (bridge0*length/2 - bridge1)/(length*length);
                assert_true((extended)whole[0][at] == s[at]);
                const double of_h = fabs((double)((extended)whole[1][at] - h)/(0x1p-52*(double)h));
                const double of_k = fabs((double)((extended)whole[2][at] - k)/(0x1p-52*(double)k));
                worst[0] = fmax(worst[0], of_h), worst[1] = fmax(worst[1], of_k);
            }
    }
    print_message("ulp: H %.2f, K %.2f\n", worst[0], worst[1]);
    assert_true(worst[0] <= 4 && worst[1] <= 4);
}

static void as_the_baseline(const nde_noise_kernels *kernels) {
    const nde_noise noise = seeded(5);
    const lanes l = some_lanes();
    static rows a, b;
    for (int64_t count = 1; count < 50; count += 12) {
        nde_noise_kernels_baseline.cells(&noise, 1024, M, N, LD, l.trajectory, l.cell, l.first, count, a[0], a[1], a[2]);
        kernels->cells(&noise, 1024, M, N, LD, l.trajectory, l.cell, l.first, count, b[0], b[1], b[2]);
        assert_memory_equal(a, b, sizeof a);
    }
}

static void instruction_sets_agree(void **state) {
    (void)state;
    for_each_isa(as_the_baseline);
}

/* And those that trees and full areas are made of: each is nde_normal of its position. */
static void as_one_normal(const nde_noise_kernels *kernels) {
    enum { LANES = 61 };
    size_t who[LANES];
    uint64_t position[LANES];
    static double z[3*M*NDE_NOISE_PIECE];
    for (size_t b = 0; b < LANES; b++) who[b] = 7919*b, position[b] = ((uint64_t)1 << 40) + b*b;
    memset(z, 0, sizeof z);
    kernels->normals(9, NDE_PURPOSE_TREE, M, LANES, who, position, 3, z);
    for (uint64_t set = 0; set < 3; set++)
        for (size_t i = 0; i < M; i++)
            for (size_t b = 0; b < LANES; b++)
                assert_true(z[(set*M + i)*NDE_NOISE_PIECE + b] == nde_normal(9, NDE_PURPOSE_TREE, who[b],
                                                                             position[b] + (set << 46), i));
}

static void normals_agree(void **state) {
    (void)state;
    for_each_isa(as_one_normal);
}

/* Steps of three cells of 1.2 million paths: means, variances and covariances of (W, H, K), also with those of the step after,
 * within four standard errors. */
static void laws(void **state) {
    (void)state;
    enum { PATHS = 400, LOTS = 1000, VALUES = 6 };
    const double cell = 0.7, variance[3] = { 3*cell, 3*cell/12, 3*cell/720 };
    double sum[VALUES] = { 0 }, product[VALUES][VALUES] = { { 0 } }, fourth[VALUES] = { 0 };
    static double x[2][3][3*PATHS];
    const nde_noise noise = seeded(31);
    for (size_t lot = 0; lot < LOTS; lot++) {
        size_t trajectory[PATHS];
        double length[PATHS];
        int64_t first[2][PATHS];
        for (size_t b = 0; b < PATHS; b++) trajectory[b] = lot*PATHS + b, length[b] = cell, first[0][b] = 6, first[1][b] = 9;
        for (size_t step = 0; step < 2; step++)
            nde_noise_cells(&noise, 64, 3, PATHS, PATHS, trajectory, length, first[step], 3, x[step][0], x[step][1],
                            x[step][2]);
        for (size_t i = 0; i < 3*PATHS; i++) {
            double v[VALUES];
            for (size_t a = 0; a < VALUES; a++) v[a] = x[a/3][a % 3][i]/sqrt(variance[a % 3]);
            for (size_t a = 0; a < VALUES; a++) {
                sum[a] += v[a], fourth[a] += v[a]*v[a]*v[a]*v[a];
                for (size_t b = 0; b < VALUES; b++) product[a][b] += v[a]*v[b];
            }
        }
    }
    const double n = 3.0*PATHS*LOTS;
    for (size_t a = 0; a < VALUES; a++) {
        assert_true(fabs(sum[a]/n) < 4/sqrt(n));
        assert_true(fabs(fourth[a]/n - 3) < 4*sqrt(96/n));
        for (size_t b = 0; b < VALUES; b++)
            assert_true(fabs(product[a][b]/n - (a == b)) < 4*sqrt((a == b ? 2 : 1)/n));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(w_is_the_same_with_areas), cmocka_unit_test(a_cell_is_its_normals),
        cmocka_unit_test(areas_are_those_of_the_path), cmocka_unit_test(instruction_sets_agree),
        cmocka_unit_test(normals_agree), cmocka_unit_test(laws),
    };
    int failed = 0;
    for (normals = NDE_NORMALS_DOUBLE; normals <= NDE_NORMALS_SINGLE; normals++)
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    return failed;
}
