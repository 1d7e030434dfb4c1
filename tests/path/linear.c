/* SPDX-License-Identifier: MIT
 * linear.c - the piecewise linear path: pieces, values, slopes; transposes and tangents against
 * each other and differences. */
#include "path/path.h"

#include <math.h>
#include <string.h>

enum { C = 3, K = 5, N = 4, L = 6, LD = 8 };

static const double knots[K] = { -1, 0, 0.5, 2, 3.25 };

static double uniform(uint64_t i) { return 2*nde_uniform(1, 200, 0, i, 0) - 1; }

static void fill(nde_real *x, size_t count, uint64_t from) {
    for (size_t i = 0; i < count; i++) x[i] = (nde_real)uniform(from + i);
}

static nde_path path_of(const nde_real *x) {
    return (nde_path){ .size = sizeof(nde_path), .channels = C, .knots = K, .t = knots, .x = x };
}

/* Lanes in the first and last constant end and in four pieces, some of the same trajectory. */
static const size_t trajectory[L] = { 0, 2, 1, 3, 2, 0 };
static const double times[L] = { -3, -0.25, 0.3, 1.75, 3, 9 };

static void pieces(void **state) {
    (void)state;
    const nde_path path = path_of((const nde_real[1]){ 0 });
    assert_int_equal(nde_path_piece(&path, -2), 0);
    for (size_t k = 0; k < K; k++) { /* a knot belongs to the piece on its right */
        assert_int_equal(nde_path_piece(&path, knots[k]), k + 1);
        assert_int_equal(nde_path_piece(&path, nextafter(knots[k], -9)), k);
    }
    assert_int_equal(nde_path_piece(&path, (double)INFINITY), K);
    assert_true(nde_path_piece(&path, (double)NAN) <= K);
    double many[100];
    for (size_t k = 0; k < 100; k++) many[k] = (double)k;
    for (size_t k = 2; k <= 100; k++) {
        const nde_path other = { .channels = 1, .knots = k, .t = many };
        for (size_t j = 0; j <= 100; j++)
            assert_int_equal(nde_path_piece(&other, (double)j - 0.5), j < k ? j : k);
    }
}

static void values_and_slopes(void **state) {
    (void)state;
    nde_real x[K*C*N], u[C*LD], du[C*LD];
    fill(x, K*C*N, 0);
    const nde_path path = path_of(x);
    size_t piece[L];
    for (size_t b = 0; b < L; b++) piece[b] = nde_path_piece(&path, times[b]);
    nde_path_value(&path, N, L, LD, trajectory, piece, times, u);
    nde_path_slope(&path, N, L, LD, trajectory, piece, du);
    for (size_t b = 0; b < L; b++)
        for (size_t i = 0; i < C; i++) {
            const size_t p = piece[b], left = p ? p - 1 : 0, right = p < K ? p : K - 1;
            const double x0 = (double)x[(left*C + i)*N + trajectory[b]],
                x1 = (double)x[(right*C + i)*N + trajectory[b]];
            const double slope = left == right ? 0 : (x1 - x0)/(knots[right] - knots[left]);
            const double value = left == right ? x0 : x0 + slope*(times[b] - knots[left]);
            assert_true(fabs((double)u[i*LD + b] - value) < 4*NDE_TEST_EPS);
            assert_true(fabs((double)du[i*LD + b] - slope) < 16*NDE_TEST_EPS);
        }
}

/* At a knot, from both sides, the value is the knot's to the bit. */
static void knots_are_met(void **state) {
    (void)state;
    nde_real x[K*C*N], u[C];
    fill(x, K*C*N, 300);
    const nde_path path = path_of(x);
    const size_t who = 2;
    for (size_t k = 0; k < K; k++)
        for (size_t piece = k; piece <= k + 1; piece++) {
            nde_path_value(&path, N, 1, 1, &who, &piece, &knots[k], u);
            for (size_t i = 0; i < C; i++) assert_true(u[i] == x[(k*C + i)*N + who]);
        }
}

static double dot(const nde_real *a, const nde_real *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i]*(double)b[i];
    return sum;
}

/* <J v, a> = <v, J' a> for values (knots and times) and for slopes. */
static void transposes_and_tangents(void **state) {
    (void)state;
    nde_real x[K*C*N], v_x[K*C*N], a_x[K*C*N] = { 0 }, v_u[C*LD] = { 0 }, a_u[C*LD] = { 0 };
    double v_t[L], a_t[L] = { 0 }, right = 0;
    size_t piece[L];
    fill(x, K*C*N, 0), fill(v_x, K*C*N, 500);
    for (size_t i = 0; i < C; i++) fill(a_u + i*LD, L, 700 + 10*i);
    const nde_path path = path_of(x);
    for (size_t b = 0; b < L; b++)
        piece[b] = nde_path_piece(&path, times[b]), v_t[b] = uniform(800 + b);

    nde_path_value_tangent(&path, N, L, LD, trajectory, piece, times, v_x, v_t, v_u);
    nde_path_value_transpose(&path, N, L, LD, trajectory, piece, times, a_u, a_x, a_t);
    for (size_t b = 0; b < L; b++) right += v_t[b]*a_t[b];
    right += dot(v_x, a_x, K*C*N);
    assert_true(fabs(dot(v_u, a_u, C*LD) - right) < 64*NDE_TEST_EPS);
    /* both are added to; NULL: not wanted */
    nde_path_value_transpose(&path, N, L, LD, trajectory, piece, times, a_u, a_x, NULL);
    nde_path_value_transpose(&path, N, L, LD, trajectory, piece, times, a_u, NULL, a_t);
    double twice = dot(v_x, a_x, K*C*N);
    for (size_t b = 0; b < L; b++) twice += v_t[b]*a_t[b];
    assert_true(fabs(twice - 2*right) < 128*NDE_TEST_EPS);

    nde_real by_x[C*LD] = { 0 }, by_t[C*LD] = { 0 };
    nde_path_value_tangent(&path, N, L, LD, trajectory, piece, times, v_x, NULL, by_x);
    nde_path_value_tangent(&path, N, L, LD, trajectory, piece, times, NULL, v_t, by_t);
    for (size_t i = 0; i < C*LD; i++)
        assert_true(fabs((double)(by_x[i] + by_t[i]) - (double)v_u[i]) < 8*NDE_TEST_EPS);

    memset(a_x, 0, sizeof a_x);
    nde_path_slope_tangent(&path, N, L, LD, trajectory, piece, v_x, v_u);
    nde_path_slope_transpose(&path, N, L, LD, trajectory, piece, a_u, a_x);
    assert_true(fabs(dot(v_u, a_u, C*LD) - dot(v_x, a_x, K*C*N)) < 128*NDE_TEST_EPS);
}

static void assert_near(nde_real value, nde_real expected) {
    assert_true(fabs((double)value - (double)expected) < 8*NDE_TEST_EPS);
}

/* Linear in the knots and, within a piece, in t: one difference is exact. */
static void tangents_are_differences(void **state) {
    (void)state;
    nde_real x[K*C*N], v_x[K*C*N], moved[K*C*N], u0[C*LD], u1[C*LD], v_u[C*LD];
    double t[L], v_t[L];
    size_t piece[L];
    fill(x, K*C*N, 0), fill(v_x, K*C*N, 500);
    for (size_t i = 0; i < K*C*N; i++) moved[i] = x[i] + v_x[i];
    const nde_path path = path_of(x), other = path_of(moved);
    for (size_t b = 0; b < L; b++) {
        piece[b] = nde_path_piece(&path, times[b]);
        v_t[b] = 0.125, t[b] = times[b] + v_t[b];
    }
    nde_path_value(&path, N, L, LD, trajectory, piece, times, u0);
    nde_path_value(&other, N, L, LD, trajectory, piece, times, u1);
    nde_path_value_tangent(&path, N, L, LD, trajectory, piece, times, v_x, NULL, v_u);
    for (size_t i = 0; i < C; i++)
        for (size_t b = 0; b < L; b++)
            assert_near(u1[i*LD + b] - u0[i*LD + b], v_u[i*LD + b]);
    nde_path_value(&path, N, L, LD, trajectory, piece, t, u1);
    nde_path_value_tangent(&path, N, L, LD, trajectory, piece, times, NULL, v_t, v_u);
    for (size_t i = 0; i < C; i++)
        for (size_t b = 0; b < L; b++)
            assert_near(u1[i*LD + b] - u0[i*LD + b], v_u[i*LD + b]);
}

static void refuse(const nde_path *path, const char *name, const char *value) {
    assert_int_equal(nde_path_validate(path, "problem.input"), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "problem.input"));
    assert_non_null(strstr(nde_error(), name));
    assert_non_null(strstr(nde_error(), value));
}

static void validation(void **state) {
    (void)state;
    const nde_real x[1] = { 0 };
    const nde_path good = path_of(x);
    nde_path bad;
    assert_int_equal(nde_path_validate(&good, "problem.input"), NDE_OK);
    bad = good, bad.size = 0;
    assert_int_equal(nde_path_validate(&bad, "problem.input"), NDE_OK);
    refuse(NULL, "", "NULL");
    bad = good, bad.size = 7, refuse(&bad, "size", "7");
    bad = good, bad.kind = (nde_path_kind)9, refuse(&bad, "kind", "9");
    bad = good, bad.channels = 0, refuse(&bad, "channels", "0");
    bad = good, bad.knots = 1, refuse(&bad, "knots", "1");
    bad = good, bad.t = NULL, refuse(&bad, "t is", "NULL");
    bad = good, bad.x = NULL, refuse(&bad, "x is", "NULL");
    bad = good, bad.t = (const double[]){ 0, 1, 1, 2, 3 }, refuse(&bad, "t[2]", "1");
    bad = good, bad.t = (const double[]){ 0, 1, 2, (double)NAN, 3 }, refuse(&bad, "t[3]", "nan");
    bad = good, bad.t = (const double[]){ 0, 1, 2, 3, (double)INFINITY };
    refuse(&bad, "t[4]", "inf");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces), cmocka_unit_test(values_and_slopes),
        cmocka_unit_test(knots_are_met),
        cmocka_unit_test(transposes_and_tangents), cmocka_unit_test(tangents_are_differences),
        cmocka_unit_test(validation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
