/* SPDX-License-Identifier: MIT
 * noise.c - Philox, the layout of the counter, and the distribution of single numbers. */
#include "nde/base.h"
#include "noise/kernel.h"
#include "noise/normal.h"

#include <math.h>
#include <stdlib.h>

/* Known answers: tests/kat_vectors of Random123, https://github.com/DEShawResearch/random123, lines
 * philox4x32 10. */
static const struct {
    uint32_t counter[4], key[2], result[4];
} known[] = {
    { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
    { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff },
      { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
    { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
      { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
};

static void known_answers(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        nde_block x = {{ known[i].counter[0], known[i].counter[1], known[i].counter[2],
                         known[i].counter[3] }};
        x = nde_philox(x, known[i].key[0], known[i].key[1]);
        assert_memory_equal(x.x, known[i].result, sizeof x.x);
    }
}

/* The third known answer, reached through the public function: fixes every bit of the counter. */
static void counter_layout(void **state) {
    (void)state;
    const uint64_t seed = UINT64_C(0x299f31d0a4093822), position = UINT64_C(0x8a2e85a308d3),
        trajectory = UINT64_C(0x131903707344);
    const uint64_t even = UINT64_C(0x94fdccebd16cfe09), odd = UINT64_C(0x24126ea15001e420),
        component = 2*UINT64_C(0x3f6a88);
    const double u = nde_uniform(seed, 0x24, trajectory, position, component);
    const double v = nde_uniform(seed, 0x24, trajectory, position, component + 1);
    assert_true(u == (double)(even >> 12)*0x1p-52 + 0x1p-53);
    assert_true(v == (double)(odd >> 12)*0x1p-52 + 0x1p-53);
    const uint64_t high = UINT64_C(1) << 48; /* higher bits are ignored */
    assert_true(nde_uniform(seed, 0x124, trajectory + high, position + 3*high,
                            component + (UINT64_C(1) << 25)) == u);
}

static void uniforms_stay_inside(void **state) {
    (void)state;
    assert_true(nde_to_uniform(0) == 0x1p-53 && nde_to_uniform(UINT64_MAX) == 1 - 0x1p-53);
    assert_true(nde_to_uniform(UINT64_C(1) << 63) == 0.5 + 0x1p-53);
}

static double ulps(double value, long double exact) {
    const double near = fabs((double)exact);
    const double unit = nextafter(near, (double)INFINITY) - near;
    return (double)(fabsl((long double)value - exact)/(long double)unit);
}

/* Against 64-bit mantissas. On both sides the argument of sin and cos is reduced exactly first. */
static void logarithm_and_circle_are_accurate(void **state) {
    (void)state;
    const long double pi = 3.14159265358979323846264338327950288L;
    double worst_log = 0, worst_sine = 0, worst_cosine = 0, worst_normal = 0;
    for (uint64_t i = 0; i < 400000; i++) {
        const double u = nde_uniform(3, 201, 0, i, 0), v = nde_uniform(3, 201, 0, i, 1);
        const double near_one = 1 - u*0x1p-20, small = u*0x1p-30, near_half = 0.5*(1 + u*0x1p-4);
        const double x = i % 4 == 0 ? u : i % 4 == 1 ? near_one : i % 4 == 2 ? small : near_half;
        double error = ulps(nde_minus_log(x), -logl((long double)x));
        worst_log = error > worst_log ? error : worst_log;
        const double q = floor(4*v + 0.5), f = v - 0.25*q;
        const long double s0 = sinl(2*pi*(long double)f), c0 = cosl(2*pi*(long double)f);
        const int turn = (int)q & 3;
        const long double s = turn == 0 ? s0 : turn == 1 ? c0 : turn == 2 ? -s0 : -c0;
        const long double c = turn == 0 ? c0 : turn == 1 ? -s0 : turn == 2 ? -c0 : s0;
        double sine, cosine;
        nde_sincos(v, &sine, &cosine);
        error = ulps(sine, s), worst_sine = error > worst_sine ? error : worst_sine;
        error = ulps(cosine, c), worst_cosine = error > worst_cosine ? error : worst_cosine;
        error = ulps(nde_normal(3, 201, 0, i, 1), sqrtl(-2*logl((long double)u))*s);
        worst_normal = error > worst_normal ? error : worst_normal;
    }
    print_message("ulp: log %.3f, sin %.3f, cos %.3f, normal %.3f\n", worst_log, worst_sine,
                  worst_cosine, worst_normal);
    assert_true(worst_log < 1 && worst_sine < 2 && worst_cosine < 2 && worst_normal < 3.5);
}

/* Mean, variance, skewness and kurtosis of 10^6 normals within four standard errors: 1, 2, 6 and 24
 * over n. */
static void moments(void **state) {
    (void)state;
    const double n = 1e6;
    double sum[5] = { 0 };
    for (uint64_t i = 0; i < 1000000; i++) {
        const double z = nde_normal(1, NDE_PURPOSE_W, i/1000, i % 1000, i & 1);
        sum[1] += z, sum[2] += z*z, sum[3] += z*z*z, sum[4] += z*z*z*z;
    }
    assert_true(fabs(sum[1]/n) < 4*sqrt(1/n));
    assert_true(fabs(sum[2]/n - 1) < 4*sqrt(2/n));
    assert_true(fabs(sum[3]/n) < 4*sqrt(15/n));
    assert_true(fabs(sum[4]/n - 3) < 4*sqrt(96/n));
}

/* Those of 32 bits: their kernels against 64-bit mantissas, in units of float; no radius is beyond the header's bound. */
static void singles_are_accurate(void **state) {
    (void)state;
    const double pi = 3.14159265358979323846;
    double worst_log = 0, worst_wave = 0;
    for (uint64_t i = 0; i < 400000; i++) {
        const uint32_t bits = (uint32_t)(nde_uniform(3, 202, 0, i, 0)*0x1p32) >> (i % 4 ? 0 : i % 29);
        const float u = i % 3 ? nde_to_uniform_single(bits) : 1 - (float)(bits >> 8)*0x1p-28f;
        float k, f, wave[2];
        const float s = nde_log_parts_single(u, &k, &f), log = nde_minus_log_sum_single(k, f, s);
        nde_sincos_single(bits, &wave[1], &wave[0]);
        const uint32_t q = (bits + (UINT32_C(1) << 29)) >> 30; /* the nearest quarter */
        const double of_log = -log1p((double)u - 1), rest = 2*pi*0x1p-32*(double)(int32_t)(bits - (q << 30));
        const double sines[2] = { sin(rest), cos(rest) };
        const double exact[2] = { (q + 1) & 2 ? -sines[~q & 1] : sines[~q & 1], q & 2 ? -sines[q & 1] : sines[q & 1] };
        worst_log = fmax(worst_log, fabs((double)log - of_log)/(of_log*0x1p-23 + 1e-300));
        for (int j = 0; j < 2; j++)
            worst_wave = fmax(worst_wave, fabs((double)wave[j] - exact[j])/(fabs(exact[j])*0x1p-23 + 1e-300));
    }
    print_message("relative, in 2^-23: log %.3f, sin and cos %.3f\n", worst_log, worst_wave);
    assert_true(worst_log < 2 && worst_wave < 2);
    assert_true(nde_to_uniform_single(0) == 0x1p-31f && nde_to_uniform_single(UINT32_MAX) == 1);
    assert_true(sqrt(2*31*log(2)) < 6.56);
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov-Smirnov: the 0.1 % point of sqrt(n) D is 1.95. */
static double distance(double *x, size_t n, double (*distribution)(double)) {
    double worst = 0;
    qsort(x, n, sizeof *x, ascending);
    for (size_t i = 0; i < n; i++) {
        const double p = distribution(x[i]), low = p - (double)i/(double)n,
            high = (double)(i + 1)/(double)n - p;
        worst = fmax(worst, fmax(low, high));
    }
    return worst*sqrt((double)n);
}
static double normal_distribution(double x) { return 0.5*erfc(-x/sqrt(2)); }
static double uniform_distribution(double x) { return x; }

/* 2^20 normals of 32 bits by the kernels, of all components, many lanes and cells: four moments within four standard errors,
 * Kolmogorov-Smirnov, and products of those of one block. */
static void singles_are_normal(void **state) {
    (void)state;
    enum { M = 8, N = 128, CELLS = 1024, ALL = M*N*CELLS };
    const nde_noise noise = { .seed = 21, .normals = NDE_NORMALS_SINGLE };
    double *x = malloc(ALL*sizeof *x), sum[5] = { 0 }, product[4][4] = { { 0 } }, cell[N];
    size_t who[N];
    int64_t first[N];
    assert_non_null(x);
    for (int64_t j = 0; j < CELLS; j++) {
        double *z = x + j*M*N;
        for (size_t b = 0; b < N; b++) who[b] = b, cell[b] = 1, first[b] = j;
        nde_noise_increment(&noise, CELLS, M, N, N, who, cell, first, 1, z);
        for (size_t i = 0; i < M; i++)
            for (size_t k = 0; k < i % 4; k++)
                for (size_t b = 0; b < N; b++) product[i % 4][k] += z[i*N + b]*z[(i/4*4 + k)*N + b];
    }
    for (size_t i = 0; i < ALL; i++) sum[1] += x[i], sum[2] += x[i]*x[i], sum[3] += pow(x[i], 3), sum[4] += pow(x[i], 4);
    const double n = ALL;
    assert_true(fabs(sum[1]/n) < 4*sqrt(1/n) && fabs(sum[2]/n - 1) < 4*sqrt(2/n));
    assert_true(fabs(sum[3]/n) < 4*sqrt(15/n) && fabs(sum[4]/n - 3) < 4*sqrt(96/n));
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++) assert_true(fabs(product[i][k]) < 4*sqrt(n/4));
    assert_true(distance(x, ALL, normal_distribution) < 1.95);
    free(x);
}

static void distributions(void **state) {
    (void)state;
    enum { N = 100000 };
    double *x = malloc(N*sizeof *x);
    assert_non_null(x);
    for (uint64_t i = 0; i < N; i++) x[i] = nde_normal(5, NDE_PURPOSE_H, 3, i, 7);
    assert_true(distance(x, N, normal_distribution) < 1.95);
    for (uint64_t i = 0; i < N; i++) x[i] = nde_normal(5, NDE_PURPOSE_H, i, 3, 6);
    assert_true(distance(x, N, normal_distribution) < 1.95);
    /* 20 samples of uniforms: at most 5 above the 5 % point, which happens in all but 0.03 % of
     * such tests */
    int large = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        for (uint64_t i = 0; i < N; i++) x[i] = nde_uniform(seed, NDE_PURPOSE_SHUFFLE, 3, 0, i);
        large += distance(x, N, uniform_distribution) > 1.358;
    }
    assert_true(large <= 5);
    free(x);
}

/* Numbers that differ in one argument only: uncorrelated, and so are their squares. */
static void independence(void **state) {
    (void)state;
    const double n = 200000;
    enum { KINDS = 7 };
    double plain[KINDS] = { 0 }, square[KINDS] = { 0 };
    for (uint64_t i = 0; i < 200000; i++) {
        const double z = nde_normal(11, NDE_PURPOSE_W, 4, i, 2);
        const double other[KINDS] = {
            nde_normal(12, NDE_PURPOSE_W, 4, i, 2), nde_normal(11, NDE_PURPOSE_H, 4, i, 2),
            nde_normal(11, NDE_PURPOSE_W, 5, i, 2),
            nde_normal(11, NDE_PURPOSE_W, 4, i + 1, 2), nde_normal(11, NDE_PURPOSE_W, 4, i, 3),
            nde_normal(11, NDE_PURPOSE_W, 4, i, 4),
            nde_normal(11 + (UINT64_C(1) << 32), NDE_PURPOSE_W, 4, i, 2),
        };
        for (size_t k = 0; k < KINDS; k++) {
            plain[k] += z*other[k];
            square[k] += (z*z - 1)*(other[k]*other[k] - 1);
        }
    }
    for (size_t k = 0; k < KINDS; k++) {
        assert_true(fabs(plain[k]/n) < 4/sqrt(n));
        assert_true(fabs(square[k]/n) < 4*2/sqrt(n));
    }
}

/* 10^9 numbers: mean, variance, skewness and kurtosis; 10^7 of them: Kolmogorov-Smirnov, and correlations of neighbouring
 * positions up to 64 apart; seeds that differ in one bit: uncorrelated. Few enough of all that 5 standard errors are 1 in
 * 10^4, by Bonferroni. */
static void many(void **state) {
    (void)state;
    if (!getenv("NDE_TEST_LONG")) skip();
    enum { M = 16, N = NDE_NOISE_PIECE, PART = 10000000, LAGS = 64 };
    static double z[M*N], other[M*N];
    double *x = malloc(PART*sizeof *x), sum[5] = { 0 }, n = 0;
    size_t who[N];
    uint64_t position[N];
    assert_non_null(x);
    for (size_t b = 0; b < N; b++) who[b] = 0;
    for (uint64_t at = 0; n < 1e9; at += N) {
        double part[5] = { 0 };
        for (size_t b = 0; b < N; b++) position[b] = at + b;
        nde_noise_kernels_get(NDE_ISA_AUTO)->normals(2026, NDE_PURPOSE_W, M, N, who, position, 1, z);
        for (size_t i = 0; i < M*N; i++)
            part[1] += z[i], part[2] += z[i]*z[i], part[3] += z[i]*z[i]*z[i], part[4] += z[i]*z[i]*z[i]*z[i];
        for (size_t k = 1; k < 5; k++) sum[k] += part[k];
        for (size_t b = 0; b < N && at + b < PART; b++) x[at + b] = z[b];
        n += M*N;
    }
    assert_true(fabs(sum[1]/n) < 5*sqrt(1/n) && fabs(sum[2]/n - 1) < 5*sqrt(2/n));
    assert_true(fabs(sum[3]/n) < 5*sqrt(15/n) && fabs(sum[4]/n - 3) < 5*sqrt(96/n));
    for (size_t lag = 1; lag <= LAGS; lag++) {
        double product = 0;
        for (size_t i = lag; i < PART; i++) product += x[i]*x[i - lag];
        assert_true(fabs(product) < 5*sqrt((double)(PART - lag)));
    }
    assert_true(distance(x, PART, normal_distribution) < 2.3); /* 1 in 10^4 */
    for (int bit = 0; bit < 64; bit++) {
        double product = 0;
        for (uint64_t at = 0; at < 100*N; at += N) {
            for (size_t b = 0; b < N; b++) position[b] = at + b;
            nde_noise_kernels_get(NDE_ISA_AUTO)->normals(2026, NDE_PURPOSE_W, M, N, who, position, 1, z);
            nde_noise_kernels_get(NDE_ISA_AUTO)->normals(2026 ^ (UINT64_C(1) << bit), NDE_PURPOSE_W, M, N, who, position, 1,
                                                         other);
            for (size_t i = 0; i < M*N; i++) product += z[i]*other[i];
        }
        assert_true(fabs(product) < 5*sqrt(100.0*M*N));
    }
    free(x);
}

/* The bits for ever. */
static void golden_bits(void **state) {
    (void)state;
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (uint64_t i = 0; i < 4096; i++) {
        const uint64_t bits = nde_bits_of(nde_normal(i*i, (unsigned)i & 255, i/7, i*i*i, i));
        for (int k = 0; k < 64; k += 8) h = (h ^ (bits >> k & 255))*UINT64_C(0x100000001b3);
    }
    assert_int_equal(h, UINT64_C(0xab2b12ee85afb1ec));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers), cmocka_unit_test(counter_layout),
        cmocka_unit_test(uniforms_stay_inside),
        cmocka_unit_test(logarithm_and_circle_are_accurate), cmocka_unit_test(moments),
        cmocka_unit_test(singles_are_accurate), cmocka_unit_test(singles_are_normal),
        cmocka_unit_test(distributions),
        cmocka_unit_test(independence), cmocka_unit_test(many), cmocka_unit_test(golden_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
