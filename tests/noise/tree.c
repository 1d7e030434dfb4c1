/* SPDX-License-Identifier: MIT
 * tree.c - the virtual Brownian tree: bits that do not depend on what was asked before, sums that are exact, and the laws
 * of W, H and K, also given the path around. The law's test is tested with a wrong bridge that was published. */
#include "noise/noise.h"
#include "core/bits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a path is asked through: with memory of the questions before, or without. */
typedef struct asker {
    nde_noise noise;
    size_t m, n;
    void *work;
    double t0, t1;
    int isa;
} asker;

static asker begin(nde_noise noise, size_t m, size_t n, double t0, double t1) {
    asker a = { .m = m, .n = n, .t0 = t0, .t1 = t1 };
    noise.size = sizeof noise;
    assert_int_equal(nde_noise_read(&a.noise, &noise), NDE_OK);
    assert_int_equal(nde_noise_need(&a.noise, NDE_LEVY_W), NDE_OK);
    a.work = malloc(nde_noise_bytes(&a.noise, m, n) + 1);
    assert_non_null(a.work);
    memset(a.work, 0xff, nde_noise_bytes(&a.noise, m, n)); /* not a number: what is read has been written */
    nde_noise_clear(&a.noise, a.work, n);
    return a;
}
static void end(asker *a) { free(a->work); }

enum { MOST = 512 };

/* x [3][m n]: W, H, K of lanes' trajectories over [from, to], as far as the tree knows them. */
static void ask_each(asker *a, const size_t *who, const double *from, const double *to, double *x) {
    double t0[MOST], t1[MOST];
    const int64_t cell[MOST] = { 0 };
    for (size_t b = 0; b < a->n; b++) t0[b] = a->t0, t1[b] = a->t1;
    const nde_noise_at at = { .n = a->n, .ld = a->n, .trajectory = who, .t0 = t0, .t1 = t1, .s = from, .t = to,
                              .first = cell, .count = 1, .grid = 1, .N = a->n, .isa = a->isa, .work = a->work, .room = a->n };
    const size_t all = a->m*a->n;
    nde_noise_over(&a->noise, &at, a->m, x, a->noise.levy > 1 ? x + all : NULL, a->noise.levy > 2 ? x + 2*all : NULL);
}

/* The same of trajectories first to first + n - 1 over [s, t]. */
static void ask(asker *a, size_t first, double s, double t, double *x) {
    size_t who[MOST];
    double from[MOST], to[MOST];
    for (size_t b = 0; b < a->n; b++) who[b] = first + b, from[b] = s, to[b] = t;
    ask_each(a, who, from, to, x);
}

/* Random questions, in order and out of it, answered with memory and without: the same bits, in every order. */
static void no_order_matters(void **state) {
    (void)state;
    enum { M = 3, N = 5, TIMES = 60, ALL = 3*M*N };
    for (int kind = 0; kind < 6; kind++) { /* the large tolerance has several times in one cell */
        const nde_noise noise = { .seed = 8, .source = NDE_SOURCE_TREE, .levy = 1 + kind/2,
                                  .tolerance = kind % 2 ? 0.25 : 0x1p-9 };
        asker with = begin(noise, M, N, -1, 2);
        double times[TIMES];
        for (size_t i = 0; i < TIMES; i++)
            times[i] = i < 9 ? -1 + 3*(double)i/8 : i < 30 ? -1 + 3*floor(64*nde_uniform(1, 200, 0, i, 0))/64
                                                  : -1 + 3*nde_uniform(1, 200, 0, i, 0);
        for (size_t round = 0; round < 3000; round++) {
            const double few = round % 400 < 200 ? 9 : TIMES; /* eighths of the span, again and again */
            double s = times[(size_t)(few*nde_uniform(1, 201, round, 0, 0))],
                t = times[(size_t)(few*nde_uniform(1, 201, round, 0, 1))];
            if (s > t) { const double u = s; s = t, t = u; }
            double x[ALL] = { 0 }, y[ALL] = { 0 };
            const size_t first = round % 16 ? 10 : round;
            ask(&with, first, s, t, x);
            asker without = begin(noise, M, N, -1, 2);
            ask(&without, first, s, t, y);
            end(&without);
            assert_memory_equal(x, y, sizeof x);
        }
        end(&with);
    }
}

/* Lanes that are asked for one step after different ones, or change places, or for no time at all: each as if it were alone,
 * by any instruction set. */
static void lanes_part_and_meet(void **state) {
    (void)state;
    enum { M = 3, N = 7 };
    double stored[M*N];
    for (size_t i = 0; i < M*N; i++) stored[i] = (double)i;
    for (int levy = 0; levy <= 3; levy++) { /* 0: stored */
        const nde_noise tree = { .seed = 8, .source = NDE_SOURCE_TREE, .levy = levy, .tolerance = 0x1p-6 };
        asker together = begin(levy ? tree : (nde_noise){ .source = NDE_SOURCE_STORED, .w = stored }, M, N, 0, 1);
        for (size_t round = 0; round < 400; round++) {
            size_t who[N];
            double from[N], to[N], x[3*M*N], y[3*M];
            for (size_t b = 0; b < N; b++) {
                const size_t draw = round % 2 ? b/(1 + round % 5) : 0;
                const double s = floor(8*nde_uniform(2, 200, round, draw, 0))/8, t = nde_uniform(2, 200, round, draw, 1);
                who[b] = round % 9 < 6 ? b : (b*(1 + round % 6) + round) % N;
                from[b] = fmin(s, t), to[b] = (round + b) % 11 ? fmax(s, t) : from[b];
            }
            ask_each(&together, who, from, to, x);
            for (size_t b = 0; b < N && levy; b++) {
                asker alone = begin(tree, M, 1, 0, 1);
                alone.isa = round % 2 ? NDE_ISA_BASELINE : NDE_ISA_AUTO;
                ask_each(&alone, &who[b], &from[b], &to[b], y);
                end(&alone);
                for (size_t i = 0; i < M*(size_t)levy; i++) assert_true(x[i*N + b] == y[i]);
            }
            for (size_t i = 0; i < M*N && !levy; i++) assert_true(x[i] == stored[i/N*N + who[i % N]]);
        }
        end(&together);
    }
}

/* Steps forwards, their sums in any cut, and all at once. */
static void increments_add_exactly(void **state) {
    (void)state;
    enum { M = 2, N = 3, STEPS = 100 };
    for (int kind = 0; kind < 6; kind++) {
        asker a = begin((nde_noise){ .seed = 4, .source = NDE_SOURCE_TREE, .levy = 1 + kind/2,
                                     .tolerance = kind % 2 ? 0.25 : 0x1p-12 },
                        M, N, 0, 1);
        double x[3*M*N], sum[M*N] = { 0 }, whole[3*M*N];
        double t = 0;
        for (size_t k = 0; k < STEPS; k++) {
            const double next = k + 1 == STEPS ? 1 : t + (1 - t)*nde_uniform(3, 200, k, 0, 0)*0.2;
            ask(&a, 0, t, next, x);
            for (size_t i = 0; i < M*N; i++) sum[i] += x[i];
            t = next;
        }
        ask(&a, 0, 0, 1, whole);
        for (size_t i = 0; i < M*N; i++) assert_true(sum[i] == whole[i] && whole[i] != 0);
        end(&a);
    }
}

/* H and K over a step are those of its parts, by the rule for two parts of any length, to rounding. */
static void areas_are_those_of_the_parts(void **state) {
    (void)state;
    enum { M = 2, N = 3, ALL = M*N };
    asker a = begin((nde_noise){ .seed = 4, .source = NDE_SOURCE_TREE, .levy = 3, .tolerance = 0x1p-20 }, M, N, 0, 1);
    double worst = 0;
    for (size_t k = 0; k < 300; k++) {
        double t[3], x[3*ALL], y[3*ALL], z[3*ALL];
        for (size_t i = 0; i < 3; i++) t[i] = nde_uniform(3, 200, k, i, 0);
        if (k % 2) for (size_t i = 0; i < 3; i++) t[i] = floor(t[i]*64)/64;
        for (size_t i = 0; i < 2; i++)
            for (size_t j = 0; j < 2; j++) if (t[j] > t[j + 1]) { const double u = t[j]; t[j] = t[j + 1], t[j + 1] = u; }
        if (t[0] == t[1] || t[1] == t[2]) continue;
        ask(&a, 0, t[0], t[1], x), ask(&a, 0, t[1], t[2], y), ask(&a, 0, t[0], t[2], z);
        const double r = (t[1] - t[0])/(t[2] - t[0]), q = 1 - r, scale = sqrt(t[2] - t[0]);
        for (size_t i = 0; i < ALL; i++) {
            const double skew = q*x[i] - r*y[i];
            const double h = r*x[ALL + i] + q*y[ALL + i] + 0.5*skew;
            const double kk = r*r*x[2*ALL + i] + q*q*y[2*ALL + i] + 0.5*r*q*(x[ALL + i] - y[ALL + i]) + (q - r)*skew/12;
            assert_true(x[i] + y[i] == z[i]);
            worst = fmax(worst, fmax(fabs(h - z[ALL + i]), fabs(kk - z[2*ALL + i]))/scale);
        }
    }
    print_message("areas of parts: %.1e\n", worst);
    assert_true(worst < 1e-11); /* times are rounded to 2^-48 */
    end(&a);
}

/* From the first time within a cell to the second, W moves and has no areas; lanes together and apart. */
static void chords_have_no_areas(void **state) {
    (void)state;
    enum { N = 2 };
    const double from[N] = { 0.3, 0.4 }, to[N] = { 0.7, 0.8 };
    const size_t who[N] = { 0, 1 };
    double x[3*N];
    for (int apart = 0; apart < 2; apart++) {
        asker a = begin((nde_noise){ .source = NDE_SOURCE_TREE, .levy = 3, .tolerance = 1 }, 1, N, 0, 1);
        if (apart) ask_each(&a, who, from, to, x);
        else ask(&a, 0, 0.3, 0.7, x);
        for (size_t i = 0; i < 3*N; i++) assert_true((x[i] != 0) == (i < N));
        end(&a);
    }
}

/* ---- laws ------------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* sqrt(n) D of Kolmogorov and Smirnov against the standard normal. */
static double distance(double *x, size_t n) {
    double worst = 0;
    qsort(x, n, sizeof *x, ascending);
    for (size_t i = 0; i < n; i++) {
        const double p = 0.5*erfc(-x[i]/sqrt(2)), low = p - (double)i/(double)n, high = (double)(i + 1)/(double)n - p;
        worst = fmax(worst, fmax(low, high));
    }
    return worst*sqrt((double)n);
}

/* Means, variances, covariances and fourth moments of `count` standard normals in a sample; the largest deviation in standard
 * errors. x [count][n]. */
static double deviation(const double *x, size_t count, size_t n) {
    double worst = 0;
    for (size_t a = 0; a < count; a++) {
        double sum = 0, fourth = 0;
        for (size_t i = 0; i < n; i++) {
            const double v = x[a*n + i];
            sum += v, fourth += v*v*v*v;
        }
        worst = fmax(worst, fmax(fabs(sum)/sqrt((double)n), fabs(fourth/(double)n - 3)*sqrt((double)n/96)));
        for (size_t b = 0; b <= a; b++) {
            double product = 0;
            for (size_t i = 0; i < n; i++) product += x[a*n + i]*x[b*n + i];
            worst = fmax(worst, fabs(product/(double)n - (a == b))*sqrt((double)n/(a == b ? 2 : 1)));
        }
    }
    return worst;
}

enum { SAMPLES = 500000, STEPS = 4 };

/* W, H and K of adjoining steps of any lengths are independent normals: 10^6 samples, two components of half as many
 * paths. That holds the conditional laws too, since the path is made by them. */
static void law_over(int levy, double tolerance, const double *times) {
    enum { M = 2, N = 500 };
    const double divisor[3] = { 1, 12, 720 };
    const size_t each = (size_t)levy, count = STEPS*each, n = (size_t)M*SAMPLES;
    asker a = begin((nde_noise){ .seed = 77, .source = NDE_SOURCE_TREE, .levy = levy, .tolerance = tolerance }, M, N, 1, 4);
    double *x = malloc(count*n*sizeof *x), y[3*M*N];
    assert_non_null(x);
    for (size_t lot = 0; lot < SAMPLES/N; lot++)
        for (size_t step = 0; step < STEPS; step++) {
            ask(&a, lot*N, times[step], times[step + 1], y);
            for (size_t what = 0; what < each; what++)
                for (size_t i = 0; i < M*N; i++)
                    x[(step*each + what)*n + lot*M*N + i] = y[what*M*N + i]/sqrt((times[step + 1] - times[step])/divisor[what]);
        }
    end(&a);
    const double worst = deviation(x, count, n);
    double far = 0;
    for (size_t j = 0; j < count; j++) far = fmax(far, distance(x + j*n, n/10));
    print_message("levy %d: moments %.2f standard errors, distance %.2f\n", levy, worst, far);
    assert_true(worst < 4);
    assert_true(far < 2.5); /* of at most 12: 10^-4, by Bonferroni */
    free(x);
}

static void laws(void **state) {
    (void)state;
    const double halves[STEPS + 1] = { 1.75, 2.5, 3.25, 3.625, 4 }, any[STEPS + 1] = { 1.1, 1.83, 2.111, 2.6, 3.97 };
    for (int levy = 1; levy <= 3; levy++) {
        law_over(levy, 0x1p-4, halves);
        law_over(levy, 0x1p-4, any); /* at most one time in a cell */
    }
}

/* DiffEqNoiseProcess before 2026 drew the first part of a rejected step with variance q^2 (2 - q) dt instead of q dt. */
static void the_wrong_bridge_is_seen(void **state) {
    (void)state;
    enum { N = 100000 };
    const double q = 0.5, deviations[2] = { sqrt(q), q*sqrt(2 - q) };
    static double x[N];
    for (size_t wrong = 0; wrong < 2; wrong++) {
        for (size_t i = 0; i < N; i++) x[i] = deviations[wrong]*nde_normal(3, 200, i, 0, 0)/sqrt(q);
        assert_true((deviation(x, 1, N) > 4) == wrong);
        assert_true((distance(x, N) > 2.5) == wrong);
    }
}

/* ---- correlated, antithetic, stored ---------------------------------------------------------- */

static void pairs_are_opposite(void **state) {
    (void)state;
    enum { M = 3, N = 6, ALL = M*N };
    for (int source = NDE_SOURCE_GRID; source <= NDE_SOURCE_TREE; source++) {
        const nde_noise noise = { .seed = 4, .source = source, .levy = 3 };
        nde_noise twin = noise;
        twin.antithetic = 1;
        asker a = begin(twin, M, N, 0, 1), b = begin(noise, M, N/2, 0, 1);
        double x[3*ALL], y[3*ALL];
        ask(&a, 4, 0, 0.7, x), ask(&b, 2, 0, 0.7, y);
        for (size_t row = 0; row < 3*M; row++)
            for (size_t k = 0; k < N; k++) assert_true(x[row*N + k] == (k % 2 ? -1 : 1)*y[row*N/2 + k/2] && x[row*N + k] != 0);
        end(&a), end(&b);
    }
}

/* Correlated paths: W of steps adds up exactly, and W, H, K are the factor times those without, to a unit. */
static void factors(void **state) {
    (void)state;
    enum { M = 3, N = 70, ALL = M*N, CELLS = 12 };
    const double factor[M*M] = { 0.5, 99, 99, -1, 2, 99, 0, 0.25, 1e-3 };
    for (int source = NDE_SOURCE_GRID; source <= NDE_SOURCE_TREE; source++) {
        const nde_noise plain = { .seed = 4, .source = source, .levy = 3 };
        nde_noise noise = plain;
        noise.correlation = factor;
        asker a = begin(noise, M, N, 0, 1), b = begin(plain, M, N, 0, 1);
        static double x[3*ALL], y[3*ALL], sum[ALL];
        size_t who[N];
        double t0[N], t1[N], s[N], t[N];
        int64_t first[N];
        nde_noise_at at = { .n = N, .ld = N, .trajectory = who, .t0 = t0, .t1 = t1, .s = s, .t = t, .first = first,
                            .grid = CELLS, .room = N };
        memset(sum, 0, sizeof sum);
        for (int64_t j = 0; j <= CELLS; j++) { /* the last: all */
            const bool last = j == CELLS;
            for (size_t k = 0; k < N; k++)
                who[k] = k, t0[k] = 0, t1[k] = 1, first[k] = last ? 0 : j, s[k] = (double)first[k]/CELLS,
                t[k] = last ? 1 : (double)(j + 1)/CELLS;
            at.count = last ? CELLS : 1;
            at.work = a.work, nde_noise_over(&a.noise, &at, M, x, x + ALL, x + 2*ALL);
            at.work = b.work, nde_noise_over(&b.noise, &at, M, y, y + ALL, y + 2*ALL);
            for (size_t i = 0; i < ALL; i++) sum[i] += last ? -x[i] : x[i];
            for (size_t what = 0; what < 3; what++)
                for (size_t i = 0; i < M; i++)
                    for (size_t k = 0; k < N; k++) {
                        double mean = 0;
                        for (size_t l = 0; l <= i; l++) mean += factor[i*M + l]*y[what*ALL + l*N + k];
                        assert_true(fabs(x[what*ALL + i*N + k] - mean) <= (double)at.count*0x1p-42);
                    }
        }
        for (size_t i = 0; i < ALL; i++) assert_true(sum[i] == 0);
        end(&a), end(&b);
    }
}

/* Correlated, among lanes that move and alone: W at the start is asked for, but not of the tree. */
static void nothing_happens_in_no_time(void **state) {
    (void)state;
    enum { M = 2, N = 3 };
    const double factor[M*M] = { 0.5, 0, -1, 2 }, from[N] = { 0.2, 0.3, 0.9 }, to[N] = { 0.2, 0.7, 0.9 };
    const size_t who[N] = { 0, 1, 2 };
    for (size_t moving = 0; moving < 2; moving++) {
        asker a = begin((nde_noise){ .source = NDE_SOURCE_TREE, .levy = 3, .correlation = factor, .dim = M }, M, N, 0, 1);
        double x[3*M*N];
        if (moving) ask_each(&a, who, from, to, x);
        else ask(&a, 0, 0.5, 0.5, x);
        for (size_t i = 0; i < 3*M*N; i++) assert_true((x[i] != 0) == (moving && i % N == 1));
        end(&a);
    }
}

/* The increments of a grid, stored and played again: the same W, H and K over any number of cells. */
static void stored_increments_come_back(void **state) {
    (void)state;
    enum { M = 2, N = 5, CELLS = 8, ALL = M*N };
    static double cells[3][CELLS][ALL], x[3*ALL], y[3*ALL];
    asker grid = begin((nde_noise){ .seed = 4 }, M, N, 0, 1);
    asker stored = begin((nde_noise){ .source = NDE_SOURCE_STORED, .w = cells[0][0], .h = cells[1][0], .k = cells[2][0] },
                         M, N, 0, 1);
    size_t who[N] = { 0, 1, 2, 3, 4 }, other[N] = { 4, 2, 0, 1, 3 };
    const double t0[N] = { 0 }, t1[N] = { 1, 1, 1, 1, 1 };
    int64_t first[N];
    nde_noise_at at = { .n = N, .ld = N, .trajectory = who, .t0 = t0, .t1 = t1, .first = first, .count = 1, .grid = CELLS,
                        .N = N };
    for (int64_t j = 0; j < CELLS; j++) {
        for (size_t b = 0; b < N; b++) first[b] = j;
        nde_noise_over(&grid.noise, &at, M, cells[0][j], cells[1][j], cells[2][j]);
    }
    at.trajectory = other;
    for (at.count = 1; at.count <= 4; at.count++) {
        for (size_t b = 0; b < N; b++) first[b] = (int64_t)b % 4;
        nde_noise_over(&grid.noise, &at, M, x, x + ALL, x + 2*ALL);
        at.work = stored.work;
        nde_noise_over(&stored.noise, &at, M, y, y + ALL, y + 2*ALL);
        assert_memory_equal(x, y, sizeof x);
    }
    end(&grid), end(&stored);
}

static void refuse(nde_noise noise, nde_status status, const char *name, const char *value) {
    nde_noise known;
    noise.size = sizeof noise;
    assert_int_equal(nde_noise_read(&known, &noise), status);
    if (!strstr(nde_error(), name) || !strstr(nde_error(), value)) fail_msg("%s", nde_error());
}

static void arguments(void **state) {
    (void)state;
    const double one = 1, bad[4] = { 1, 0, (double)NAN, 1 };
    const int32_t tree = NDE_SOURCE_TREE, stored = NDE_SOURCE_STORED;
    refuse((nde_noise){ .source = 3 }, NDE_E_ARG, "source", "3");
    refuse((nde_noise){ .source = -1 }, NDE_E_ARG, "source", "-1");
    refuse((nde_noise){ .levy = 4 }, NDE_E_ARG, "levy", "4");
    refuse((nde_noise){ .area = 2 }, NDE_E_ARG, "area", "2");
    refuse((nde_noise){ .antithetic = -1 }, NDE_E_ARG, "antithetic", "-1");
    refuse((nde_noise){ .source = tree, .tolerance = -1 }, NDE_E_ARG, "tolerance", "-1");
    refuse((nde_noise){ .source = tree, .tolerance = 1.5 }, NDE_E_ARG, "tolerance", "1.5");
    refuse((nde_noise){ .source = tree, .tolerance = 0x1p-41 }, NDE_E_ARG, "tolerance", "4.5");
    refuse((nde_noise){ .source = tree, .tolerance = (double)NAN }, NDE_E_ARG, "tolerance", "nan");
    refuse((nde_noise){ .source = stored }, NDE_E_ARG, "w", "NULL");
    refuse((nde_noise){ .w = &one }, NDE_E_ARG, "w", "not NULL");
    refuse((nde_noise){ .source = stored, .w = &one, .k = &one }, NDE_E_ARG, "h", "NULL");
    refuse((nde_noise){ .source = stored, .w = &one, .antithetic = 1 }, NDE_E_ARG, "antithetic", "stored");
    refuse((nde_noise){ .source = stored, .w = &one, .correlation = &one }, NDE_E_ARG, "correlation", "stored");
    refuse((nde_noise){ .dim = 2, .correlation = bad }, NDE_E_ARG, "correlation[2]", "nan");
    nde_noise known = { .source = stored, .w = &one };
    assert_int_equal(nde_noise_need(&known, NDE_LEVY_H), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "h is NULL"));
    known = (nde_noise){ .source = tree, .levy = NDE_LEVY_W };
    assert_int_equal(nde_noise_need(&known, NDE_LEVY_K), NDE_E_ARG);
    assert_int_equal(nde_noise_bytes(&(nde_noise){ .source = tree, .levy = 3, .tolerance = 0x1p-40 }, SIZE_MAX/64, 1000),
                     SIZE_MAX);
    assert_true(nde_noise_bytes(&(nde_noise){ .tolerance = 1 }, SIZE_MAX/64, 1000) == 0);
}

/* The bits for ever. */
static void golden_bits(void **state) {
    (void)state;
    enum { M = 3, N = 70 };
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (int levy = 1; levy <= 3; levy++) {
        asker a = begin((nde_noise){ .seed = UINT64_C(0x0123456789abcdef), .source = NDE_SOURCE_TREE, .levy = levy }, M, N,
                        0.5, 3);
        static double x[3*M*N];
        for (size_t k = 0; k < 20; k++) {
            ask(&a, k, 0.5 + 0.1*(double)k, 0.5 + 0.125*(double)(k + 1), x);
            for (size_t i = 0; i < (size_t)levy*M*N; i++)
                for (int bit = 0; bit < 64; bit += 8) h = (h ^ (nde_bits_of(x[i]) >> bit & 255))*UINT64_C(0x100000001b3);
        }
        end(&a);
    }
    assert_int_equal(h, UINT64_C(0xbcdeb8035a8c71fb));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_order_matters), cmocka_unit_test(lanes_part_and_meet), cmocka_unit_test(increments_add_exactly),
        cmocka_unit_test(areas_are_those_of_the_parts), cmocka_unit_test(chords_have_no_areas),
        cmocka_unit_test(laws), cmocka_unit_test(the_wrong_bridge_is_seen), cmocka_unit_test(pairs_are_opposite),
        cmocka_unit_test(factors), cmocka_unit_test(nothing_happens_in_no_time),
        cmocka_unit_test(stored_increments_come_back), cmocka_unit_test(arguments), cmocka_unit_test(golden_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
