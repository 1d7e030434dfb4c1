/* SPDX-License-Identifier: MIT
 * levy.c - approximations of the full Levy area: what is left over of it has, given W and H, the variance that they say,
 * as fine steps show; areas of adjoining steps add up. */
#include "noise/noise.h"

#include <math.h>
#include <string.h>

enum { M = 3, PAIRS = M*(M - 1)/2, N = 64 };

typedef struct result {
    double w[M*N], h[M*N], a[PAIRS*N];
} result;

/* Over `count` cells of a grid of 64 on [0, 2], from cell `from` on. */
static void area(const nde_noise *noise, size_t trajectory, int64_t from, int64_t count, result *x) {
    static double work[(PAIRS + 3*M)*NDE_NOISE_PIECE];
    size_t who[N];
    double t0[N] = { 0 }, t1[N];
    int64_t first[N];
    for (size_t b = 0; b < N; b++) who[b] = trajectory + b, t1[b] = 2, first[b] = from;
    const nde_noise_at at = { .n = N, .ld = N, .trajectory = who, .t0 = t0, .t1 = t1, .first = first, .count = count,
                              .grid = 64, .N = N };
    nde_noise_area(noise, &at, M, x->w, x->h, x->a, work);
}

/* Chen's relation. */
static void areas_add_up(void **state) {
    (void)state;
    const nde_noise noise = { .seed = 3 };
    result whole, part;
    double w[M*N] = { 0 }, a[PAIRS*N] = { 0 };
    area(&noise, 5, 2, 6, &whole);
    for (int64_t j = 0; j < 6; j += 2) {
        area(&noise, 5, 2 + j, 2, &part);
        for (size_t i = 0, pair = 0; i < M; i++)
            for (size_t k = 0; k < i; k++, pair++)
                for (size_t b = 0; b < N; b++)
                    a[pair*N + b] += part.a[pair*N + b] + 0.5*(w[i*N + b]*part.w[k*N + b] - w[k*N + b]*part.w[i*N + b]);
        for (size_t i = 0; i < M*N; i++) w[i] += part.w[i];
    }
    for (size_t i = 0; i < M*N; i++) assert_true(w[i] == whole.w[i]);
    for (size_t i = 0; i < PAIRS*N; i++) assert_true(fabs(a[i] - whole.a[i]) < 1e-15);
}

/* Mean square of what is left over, with its part that follows H: 1.2 million areas. Of one cell by the approximation;
 * over 64 cells, which are nearly the area itself, it is Foster's whatever is drawn within the cells. */
static void leftover(int which, int64_t count, double *constant, double *slope) {
    const nde_noise noise = { .seed = 11, .area = which };
    const double h = 2*(double)count/64;
    double n = 0, sum_x = 0, sum_xx = 0, sum_y = 0, sum_xy = 0;
    static result x;
    for (size_t lot = 0; lot < (count > 1 ? 500 : 6000); lot++) {
        area(&noise, lot*N, 0, count, &x);
        for (size_t i = 0, pair = 0; i < M; i++)
            for (size_t k = 0; k < i; k++, pair++)
                for (size_t b = 0; b < N; b++) {
                    const size_t p = i*N + b, q = k*N + b;
                    const double left = (x.a[pair*N + b] - (x.h[p]*x.w[q] - x.w[p]*x.h[q]))/h;
                    const double of = (x.h[p]*x.h[p] + x.h[q]*x.h[q])/h - 1.0/6, square = left*left;
                    n++, sum_x += of, sum_xx += of*of, sum_y += square, sum_xy += of*square;
                }
    }
    *slope = (sum_xy - sum_x*sum_y/n)/(sum_xx - sum_x*sum_x/n);
    *constant = sum_y/n - *slope*sum_x/n - *slope/6;
}

static void leftovers_have_their_variance(void **state) {
    (void)state;
    double constant, slope;
    leftover(NDE_AREA_FOSTER, 1, &constant, &slope);
    assert_true(fabs(constant - 0.05) < 0.001 && fabs(slope - 0.2) < 0.005);
    leftover(NDE_AREA_DAVIE, 1, &constant, &slope);
    assert_true(fabs(constant - 1.0/12) < 0.001 && fabs(slope) < 0.005);
    for (int which = 0; which < 2; which++) { /* standard errors 0.002 and 0.01 */
        leftover(which, 64, &constant, &slope);
        print_message("leftover: %.4f + %.4f (H_i^2 + H_j^2)/h\n", constant, slope);
        assert_true(fabs(constant - 0.05) < 0.006 && fabs(slope - 0.2) < 0.03);
    }
}

/* Mean 0 and variance h^2/4; different pairs, and W, uncorrelated. */
static void law(void **state) {
    (void)state;
    const nde_noise noise = { .seed = 12 };
    enum { VALUES = PAIRS + M };
    static result x;
    double n = 0, sum[VALUES] = { 0 }, product[VALUES][VALUES] = { { 0 } };
    for (size_t lot = 0; lot < 16000; lot++) {
        area(&noise, lot*N, 7, 1, &x);
        for (size_t b = 0; b < N; b++, n++) {
            double v[VALUES];
            for (size_t a = 0; a < PAIRS; a++) v[a] = x.a[a*N + b]/(0.5*2/64);
            for (size_t a = 0; a < M; a++) v[PAIRS + a] = x.w[a*N + b]/sqrt(2.0/64);
            for (size_t a = 0; a < VALUES; a++) {
                sum[a] += v[a];
                for (size_t c = 0; c < VALUES; c++) product[a][c] += v[a]*v[c];
            }
        }
    }
    for (size_t a = 0; a < VALUES; a++) {
        assert_true(fabs(sum[a]/n) < 4/sqrt(n));
        for (size_t c = 0; c < VALUES; c++) /* the fourth moment of an area is 5 times its variance squared */
            assert_true(fabs(product[a][c]/n - (a == c)) < 4*sqrt((a == c ? 4 : 2)/n));
    }
}

static void pairs_share_it(void **state) {
    (void)state;
    const nde_noise noise = { .seed = 3, .antithetic = 1 };
    static result x;
    area(&noise, 4, 3, 5, &x);
    for (size_t i = 0; i < PAIRS; i++)
        for (size_t b = 0; b < N; b += 2) assert_true(x.a[i*N + b] == x.a[i*N + b + 1] && x.w[i*N + b] == -x.w[i*N + b + 1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(areas_add_up), cmocka_unit_test(leftovers_have_their_variance), cmocka_unit_test(law),
        cmocka_unit_test(pairs_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
