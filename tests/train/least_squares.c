/* SPDX-License-Identifier: MIT
 * least_squares.c - Levenberg-Marquardt: certified regressions, bounds, singular Jacobians, callbacks that refuse or fail. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/nist.h"

/* ---- certified results ---- */

static int nist_residual(void *ctx, size_t np, const nde_real *p, size_t m, double *r, double *jacobian) {
    const nist *n = ctx;
    double b[NIST_P], dy[NIST_P], y;
    for (size_t j = 0; j < np; j++) b[j] = (double)p[j];
    for (size_t i = 0; i < m; i++) {
        n->model(b, n->data[i][1], &y, dy);
        if (!isfinite(y)) return 1;
        r[i] = y - n->data[i][0];
        for (size_t j = 0; jacobian && j < np; j++) jacobian[i*np + j] = dy[j];
    }
    for (size_t i = 0; jacobian && i < m*np; i++)
        if (!isfinite(jacobian[i])) return 1;
    return 0;
}

/* Digits that agree. */
static double digits(double found, double certified) {
    return found == certified ? 16 : -log10(fabs(found - certified)/fabs(certified));
}

/* With the default tolerance a deviation's fifth digit is certain (Thurber's is 5.0); with less, six digits and more.
 * Parameters that are float cannot have as many. */
static void certified_results(void **state) {
    (void)state;
    static const struct {
        double tolerance, digits;
    } wanted[] = { { 0, sizeof(nde_real) == 8 ? 4.9 : 3 }, { 1e-14, 6 } };
    for (size_t w = 0; w < (sizeof(nde_real) == 8 ? 2 : 1); w++)
        for (size_t k = 0; k < NIST_PROBLEMS; k++)
            for (int start = 0; start < 2; start++) {
                nist n = nist_problems[k];
                nde_real p[NIST_P];
                double covariance[NIST_P*NIST_P], least = 16, least_deviation = 16;
                nde_fit fit;
                for (size_t j = 0; j < n.np; j++) p[j] = (nde_real)n.start[start][j];
                const nde_least_squares problem = NDE_INIT(nde_least_squares, .m = n.m, .residual = nist_residual, .ctx = &n,
                                                           .tolerance = wanted[w].tolerance);
                assert_int_equal(nde_least_squares_fit(&problem, n.np, p, covariance, &fit), NDE_OK);
                for (size_t i = 0; i < n.np; i++) {
                    least = fmin(least, digits((double)p[i], n.certified[i]));
                    least_deviation = fmin(least_deviation, digits(sqrt(covariance[i*n.np + i]), n.deviation[i]));
                    for (size_t j = 0; j < n.np; j++) assert_true(covariance[i*n.np + j] == covariance[j*n.np + i]);
                }
                print_message("%-8s from start %d, tolerance %g: %lld iterations, %lld evaluations; digits: parameters %.1f, "
                              "deviations %.1f, squares %.1f\n", n.name, start + 1, wanted[w].tolerance,
                              (long long)fit.iterations, (long long)fit.evaluations, least, least_deviation,
                              digits(2*fit.last, n.squares));
                assert_true(least >= wanted[w].digits && least_deviation >= wanted[w].digits);
                assert_true(digits(2*fit.last, n.squares) >= 2*wanted[w].digits - 2);
                assert_true(fit.first > fit.last && fit.evaluations > fit.iterations);
            }
}

/* ---- problems with a formula ---- */

enum { MOST_P = 6, MOST_M = 40 };

/* r = A (p - b) or what `formula` makes of p; what happened is counted. */
typedef struct scene {
    void (*formula)(const struct scene *s, const double *p, double *r, double (*j)[MOST_P]);
    double least, most;      /* of the last entry of p, and of the first: others are refused */
    double tolerance;
    double lower[MOST_P], upper[MOST_P]; /* a trial outside fails the test */
    bool bounded;
    int64_t calls, refusals, fail_at, fail_with; /* evaluation at which it returns fail_with */
    int64_t poison_at;       /* evaluation with a NaN: > 0 in r, < 0 in the Jacobian */
    int64_t iterations, stop_at;
    bool wrong;              /* the Jacobian has the wrong sign */
    double scale[MOST_P];    /* parameters are p*scale */
    size_t m, np;
} scene;

static int scene_residual(void *ctx, size_t np, const nde_real *p, size_t m, double *r, double *jacobian) {
    scene *s = ctx;
    double q[MOST_P], j[MOST_M][MOST_P] = { { 0 } };
    s->calls++;
    assert_true(np == s->np && m == s->m);
    for (size_t i = 0; i < np; i++) {
        q[i] = (double)p[i]*s->scale[i];
        assert_true(!s->bounded || ((double)p[i] >= s->lower[i] && (double)p[i] <= s->upper[i]));
    }
    if (q[np - 1] < s->least || q[0] > s->most) return s->refusals++, 7;
    if (s->calls == s->fail_at) return (int)s->fail_with;
    s->formula(s, q, r, j);
    if (s->calls == s->poison_at) r[m - 1] = (double)NAN;
    if (jacobian && s->poison_at < 0 && s->calls >= -s->poison_at) j[1][0] = (double)INFINITY;
    for (size_t i = 0; jacobian && i < m*np; i++) jacobian[i] = (s->wrong ? -1 : 1)*j[i/np][i%np]*s->scale[i%np];
    return 0;
}

static int scene_progress(void *ctx, int64_t iteration, double value, const nde_real *p) {
    scene *s = ctx;
    assert_int_equal(iteration, s->iterations + 1);
    assert_true(value >= 0 && p);
    s->iterations = iteration;
    return iteration == s->stop_at;
}

static scene scene_make(void (*formula)(const scene *s, const double *p, double *r, double (*j)[MOST_P]), size_t m, size_t np) {
    scene s = { .formula = formula, .least = (double)-INFINITY, .most = (double)INFINITY, .m = m, .np = np,
                .tolerance = sizeof(nde_real) == 8 ? 1e-14 : 0 };
    for (size_t i = 0; i < MOST_P; i++)
        s.scale[i] = 1, s.lower[i] = (double)-INFINITY, s.upper[i] = (double)INFINITY;
    return s;
}

static nde_status scene_fit(scene *s, nde_real *p, double *covariance, nde_fit *fit) {
    const nde_least_squares problem = NDE_INIT(nde_least_squares, .m = s->m, .residual = scene_residual,
                                               .progress = scene_progress, .ctx = s, .tolerance = s->tolerance,
                                               .lower = s->bounded ? s->lower : NULL, .upper = s->bounded ? s->upper : NULL);
    return nde_least_squares_fit(&problem, s->np, p, covariance, fit);
}

static double number(uint64_t i) { return 2*nde_uniform(1, 200, 0, i, 0) - 1; }

/* Linear: A random with columns of very different sizes, residual not zero at the minimum. */
static void linear(const scene *s, const double *p, double *r, double (*j)[MOST_P]) {
    for (size_t i = 0; i < s->m; i++) {
        r[i] = number(1000 + i);
        for (size_t c = 0; c < s->np; c++) j[i][c] = number(i*MOST_P + c)*pow(10, (double)c - 2), r[i] += j[i][c]*p[c];
    }
}

/* Rosenbrock's function as two residuals. */
static void rosenbrock(const scene *s, const double *p, double *r, double (*j)[MOST_P]) {
    (void)s;
    r[0] = 10*(p[1] - p[0]*p[0]), r[1] = 1 - p[0];
    j[0][0] = -20*p[0], j[0][1] = 10, j[1][0] = -1;
}

/* A residual that no parameter changes. */
static void apart(const scene *s, const double *p, double *r, double (*j)[MOST_P]) {
    (void)s;
    r[0] = p[0] - 1, r[1] = 1;
    j[0][0] = 1, j[1][0] = 0;
}

/* exp(-p0 x) + p1 x + p2, against cosines; the curves are alike: parameters are correlated. */
static void decay(const scene *s, const double *p, double *r, double (*j)[MOST_P]) {
    for (size_t i = 0; i < s->m; i++) {
        const double x = 2*(double)i/(double)s->m, e = exp(-p[0]*x);
        r[i] = e + p[1]*x + p[2] - cos(2*x);
        j[i][0] = -x*e, j[i][1] = x, j[i][2] = 1;
    }
}

/* Only p0 + p1 matters; p2 does not at all. */
static void degenerate(const scene *s, const double *p, double *r, double (*j)[MOST_P]) {
    for (size_t i = 0; i < s->m; i++) {
        const double x = 1 + (double)i/(double)s->m, e = exp((p[0] + p[1])*x);
        r[i] = e - x, j[i][0] = j[i][1] = x*e;
    }
}

/* Three residuals that vanish in a plane of five parameters. */
static void wide(const scene *s, const double *p, double *r, double (*j)[MOST_P]) {
    for (size_t i = 0; i < s->m; i++) {
        r[i] = -1 - (double)i;
        for (size_t c = 0; c < s->np; c++) j[i][c] = number(i*MOST_P + c), r[i] += j[i][c]*p[c];
    }
}

/* Normal equations in extended arithmetic: what a linear fit must give, and the inverse. */
static void normal_equations(const scene *s, double *p, double (*inverse)[MOST_P], double *squares) {
    const double zero[MOST_P] = { 0 };
    double r[MOST_M], j[MOST_M][MOST_P] = { { 0 } };
    long double a[MOST_P][2*MOST_P] = { { 0 } }, b[MOST_P] = { 0 }, x[MOST_P] = { 0 }, sum = 0;
    s->formula(s, zero, r, j);
    const size_t np = s->np;
    for (size_t c = 0; c < np; c++) {
        for (size_t d = 0; d < np; d++)
            for (size_t i = 0; i < s->m; i++) a[c][d] += (long double)j[i][c]*(long double)j[i][d];
        a[c][np + c] = 1;
        for (size_t i = 0; i < s->m; i++) b[c] -= (long double)j[i][c]*(long double)r[i];
    }
    for (size_t c = 0; c < np; c++) /* Gauss-Jordan; the matrix is positive definite */
        for (size_t d = 0; d < np; d++) {
            const long double by = a[d][c]/a[c][c];
            for (size_t k = 0; k < 2*np && d != c; k++) a[d][k] -= by*a[c][k];
        }
    for (size_t c = 0; c < np; c++)
        for (size_t d = 0; d < np; d++) inverse[c][d] = (double)(a[c][np + d]/a[c][c]), x[c] += a[c][np + d]/a[c][c]*b[d];
    for (size_t c = 0; c < np; c++) p[c] = (double)x[c];
    for (size_t i = 0; i < s->m; i++) {
        long double e = (long double)r[i];
        for (size_t c = 0; c < np; c++) e += x[c]*(long double)j[i][c];
        sum += e*e;
    }
    *squares = (double)sum;
}

static void linear_problems_are_solved_at_once(void **state) {
    (void)state;
    scene s = scene_make(linear, 30, 5);
    nde_real p[5] = { 0 };
    double exact[MOST_P], inverse[MOST_P][MOST_P], covariance[25], squares;
    nde_fit fit;
    normal_equations(&s, exact, inverse, &squares);
    assert_int_equal(scene_fit(&s, p, covariance, &fit), NDE_OK);
    assert_true(fit.iterations <= 4);
    for (size_t i = 0; i < 5; i++) {
        assert_true(fabs((double)p[i] - exact[i]) <= (sizeof(nde_real) == 8 ? 1e-11 : 1e-6)*sqrt(inverse[i][i]*squares/25));
        for (size_t j = 0; j < 5; j++) {
            const double expected = inverse[i][j]*squares/25, size = sqrt(inverse[i][i]*inverse[j][j])*squares/25;
            assert_true(fabs(covariance[i*5 + j] - expected) <= (sizeof(nde_real) == 8 ? 1e-12 : 1e-6)*size);
        }
    }
    assert_true(fabs(2*fit.last - squares) <= (sizeof(nde_real) == 8 ? 1e-13 : 1e-7)*squares);
}

/* Units of parameters mean nothing: with powers of two the same bits. */
static void parameters_have_no_scale(void **state) {
    (void)state;
    nde_real p[2][3] = { { 3, (nde_real)0.5, -1 }, { 3, (nde_real)0.5, -1 } };
    double covariance[2][9];
    nde_fit fit[2];
    const int power[3] = { 20, -13, 7 };
    for (int k = 0; k < 2; k++) {
        scene s = scene_make(decay, 20, 3);
        for (size_t i = 0; k && i < 3; i++)
            s.scale[i] = ldexp(1, power[i]), p[1][i] = (nde_real)ldexp((double)p[1][i], -power[i]);
        assert_int_equal(scene_fit(&s, p[k], covariance[k], &fit[k]), NDE_OK);
    }
    assert_true(fit[0].evaluations == fit[1].evaluations && fit[0].last == fit[1].last);
    for (size_t i = 0; i < 3; i++) {
        assert_true((double)p[0][i] == ldexp((double)p[1][i], power[i]));
        for (size_t j = 0; j < 3; j++)
            assert_true(covariance[0][3*i + j] == ldexp(covariance[1][3*i + j], power[i] + power[j]));
    }
}

static void curved_valley(void **state) {
    (void)state;
    scene s = scene_make(rosenbrock, 2, 2);
    nde_real p[2] = { (nde_real)-1.2, 1 };
    double covariance[4];
    nde_fit fit;
    assert_int_equal(scene_fit(&s, p, covariance, &fit), NDE_OK);
    assert_true(fabs((double)p[0] - 1) <= 4*NDE_TEST_EPS && fabs((double)p[1] - 1) <= 8*NDE_TEST_EPS);
    assert_true(fabs(fit.first - 12.1) < 1e-5 && fit.last <= 100*NDE_TEST_EPS*NDE_TEST_EPS);
    assert_true(fit.evaluations == s.calls && fit.iterations == s.iterations && fit.iterations < 40);
    assert_true(isnan(covariance[0]) && isnan(covariance[1]) && isnan(covariance[3])); /* m = np: no degrees of freedom */
}

/* ---- bounds ---- */

/* At a minimum inside bounds the derivative of half the squares is 0, or points out of the bound at which p stands. */
static double worst_derivative(const scene *s, const nde_real *p) {
    double q[MOST_P], r[MOST_M], j[MOST_M][MOST_P] = { { 0 } }, worst = 0;
    for (size_t c = 0; c < s->np; c++) q[c] = (double)p[c];
    s->formula(s, q, r, j);
    for (size_t c = 0; c < s->np; c++) {
        double g = 0, column = 0, length = 0;
        for (size_t i = 0; i < s->m; i++) g += j[i][c]*r[i], column += j[i][c]*j[i][c], length += r[i]*r[i];
        if ((q[c] == s->lower[c] && g > 0) || (q[c] == s->upper[c] && g < 0)) continue;
        worst = fmax(worst, fabs(g)/sqrt(column*length));
    }
    return worst;
}

/* Every box of a grid around the free minimum of three correlated parameters, some of them without room: the result is the
 * minimum in the box (the problem is convex enough there to have one), from inside and from outside. */
static void bounds_are_kept(void **state) {
    (void)state;
    const double near = sizeof(nde_real) == 8 ? 1e-7 : 1e-3; /* the square root of the tolerance */
    scene plain = scene_make(decay, 20, 3);
    nde_real best[3] = { 1, 0, 0 };
    assert_int_equal(scene_fit(&plain, best, NULL, NULL), NDE_OK);
    int active = 0;
    for (int box = 0; box < 125; box++)
        for (int from = 0; from < 3; from++) {
            scene s = scene_make(decay, 20, 3);
            nde_real p[3];
            nde_fit fit;
            s.bounded = true;
            for (size_t i = 0, code = (size_t)box; i < 3; i++, code /= 5) {
                const double low[5] = { -0.4, 0.1, -0.6, (double)-INFINITY, 0.25 }, high[5] = { 0.3, 0.5, -0.2, 0, 0.25 };
                s.lower[i] = (double)(nde_real)((double)best[i] + low[code%5]);
                s.upper[i] = (double)(nde_real)((double)best[i] + high[code%5]);
                p[i] = (nde_real)(from == 0 ? fmax(s.lower[i], -2) : from == 1 ? s.upper[i] : 5);
            }
            assert_int_equal(scene_fit(&s, p, NULL, &fit), NDE_OK);
            if (worst_derivative(&s, p) > near)
                fail_msg("box %d from %d: cosine %g at %.17g %.17g %.17g", box, from, worst_derivative(&s, p), (double)p[0],
                         (double)p[1], (double)p[2]);
            for (size_t i = 0; i < 3; i++) active += (double)p[i] == s.lower[i] || (double)p[i] == s.upper[i];
            assert_true(fit.gradient_norm <= 20*near*sqrt(2*fit.last)); /* no column is longer than 20 */
        }
    assert_true(active > 300);
}

/* A linear problem in a box is solved by one undamped step, as without: parameters go to their bounds and come back in the
 * course of it. Columns are alike, so that what one parameter does turns the others round. */
static void alike(const scene *s, const double *p, double *r, double (*j)[MOST_P]) {
    for (size_t i = 0; i < s->m; i++) {
        r[i] = number(1000 + i);
        for (size_t c = 0; c < s->np; c++) j[i][c] = number(i) + 0.5*number(100 + i*MOST_P + c), r[i] += j[i][c]*p[c];
    }
}

static void boxes_are_solved_at_once(void **state) {
    (void)state;
    int active = 0, most = 0;
    for (uint64_t box = 0; box < 300; box++) {
        scene s = scene_make(alike, 12, 5);
        nde_real p[5];
        nde_fit fit;
        s.bounded = true;
        for (size_t i = 0; i < 5; i++) {
            s.lower[i] = (double)(nde_real)(-nde_uniform(1, 201, box, i, 0));
            s.upper[i] = (double)(nde_real)(s.lower[i] + 0.25*(double)(1 + i%3));
            p[i] = (nde_real)(s.lower[i] + (s.upper[i] - s.lower[i])*(0.25*(double)(box%5)));
        }
        assert_int_equal(scene_fit(&s, p, NULL, &fit), NDE_OK);
        assert_true(worst_derivative(&s, p) <= (sizeof(nde_real) == 8 ? 1e-7 : 1e-3));
        if (fit.iterations > most) most = (int)fit.iterations;
        for (size_t i = 0; i < 5; i++) active += (double)p[i] == s.lower[i] || (double)p[i] == s.upper[i];
    }
    print_message("300 boxes, %d of 1500 parameters at a bound: %d iterations at most\n", active, most);
    assert_true(active > 300 && most <= 4);
}

/* A bound that the precision does not have is not passed either. */
static void bounds_between_numbers(void **state) {
    (void)state;
    scene s = scene_make(rosenbrock, 2, 2);
    nde_real p[2] = { (nde_real)0.2, (nde_real)0.2 };
    s.bounded = true, s.upper[0] = 0.1, s.upper[1] = 1e300, s.lower[1] = -1e300;
    assert_int_equal(scene_fit(&s, p, NULL, NULL), NDE_OK);
    assert_true((double)p[0] <= 0.1 && 0.1 - (double)p[0] <= 0.1*NDE_TEST_EPS);
    assert_true(fabs((double)p[1] - 0.01) <= (sizeof(nde_real) == 8 ? 1e-12 : 1e-6));
    s = scene_make(rosenbrock, 2, 2);
    s.bounded = true, s.lower[0] = 1.3;
    p[0] = 2;
    assert_int_equal(scene_fit(&s, p, NULL, NULL), NDE_OK);
    assert_true((double)p[0] >= 1.3 && (double)p[0] - 1.3 <= NDE_TEST_EPS);
    s = scene_make(rosenbrock, 2, 2); /* held where no float is: at the nearest one */
    const double lower[2] = { 0.1, -2 }, upper[2] = { 0.1, 2 };
    const nde_least_squares held = NDE_INIT(nde_least_squares, .m = 2, .residual = scene_residual, .ctx = &s, .lower = lower,
                                            .upper = upper);
    p[0] = 3, p[1] = 0;
    assert_int_equal(nde_least_squares_fit(&held, 2, p, NULL, NULL), NDE_OK);
    assert_true(p[0] == (nde_real)0.1 && fabs((double)p[1] - 0.01) <= 4*NDE_TEST_EPS);
}

/* ---- singular Jacobians ---- */

static void rank_deficiency(void **state) {
    (void)state;
    scene s = scene_make(degenerate, 20, 3);
    nde_real p[3] = { 1, (nde_real)-0.25, 42 };
    double covariance[9];
    nde_fit fit;
    assert_int_equal(scene_fit(&s, p, covariance, &fit), NDE_OK);
    assert_true(p[2] == 42);
    assert_true(worst_derivative(&s, p) <= (sizeof(nde_real) == 8 ? 1e-8 : 1e-5));
    assert_true(fabs((double)p[0] - 1 - ((double)p[1] + 0.25)) <= 8*NDE_TEST_EPS); /* both move alike: the shortest step */
    for (size_t i = 0; i < 9; i++) assert_true(isnan(covariance[i]));

    s = scene_make(wide, 3, 5);
    nde_real many[5] = { 1, 1, 1, 1, 1 };
    double none[25];
    assert_int_equal(scene_fit(&s, many, none, &fit), NDE_OK);
    assert_true(fit.last <= 1000*NDE_TEST_EPS*NDE_TEST_EPS && isnan(none[0]) && isnan(none[24]));
}

/* ---- callbacks ---- */

static void refusals_shorten_the_step(void **state) {
    (void)state;
    scene s = scene_make(rosenbrock, 2, 2);
    nde_real p[2] = { (nde_real)-1.2, 1 };
    s.least = -0.125; /* the first steps go below */
    assert_int_equal(scene_fit(&s, p, NULL, NULL), NDE_OK);
    assert_true(s.refusals > 0);
    assert_true(fabs((double)p[0] - 1) <= 4*NDE_TEST_EPS && fabs((double)p[1] - 1) <= 8*NDE_TEST_EPS);

    s = scene_make(rosenbrock, 2, 2); /* an edge before the minimum: it gets near and says that it is not there */
    nde_real edge[2] = { (nde_real)-1.2, 1 };
    nde_fit fit;
    s.most = 0.5;
    const nde_status status = scene_fit(&s, edge, NULL, &fit);
    assert_true(status == NDE_UNFINISHED && (double)edge[0] <= 0.5 && fit.last < 1 && fit.gradient_norm > 1e-3);

    s = scene_make(rosenbrock, 2, 2);
    s.least = 5; /* the start itself */
    edge[0] = edge[1] = 1;
    assert_int_equal(scene_fit(&s, edge, NULL, NULL), NDE_E_FIELD);
    assert_non_null(strstr(nde_error(), "start"));
}

/* Every evaluation in turn fails, is not finite, or is refused at the Jacobian. The best point is kept. */
static void failures(void **state) {
    (void)state;
    scene free = scene_make(rosenbrock, 2, 2);
    nde_real p[2] = { (nde_real)-1.2, 1 };
    assert_int_equal(scene_fit(&free, p, NULL, NULL), NDE_OK);
    for (int kind = 0; kind < 4; kind++) {
        double before = (double)INFINITY;
        for (int64_t at = 1; at <= free.calls; at++) {
            scene s = scene_make(rosenbrock, 2, 2);
            nde_real q[2] = { (nde_real)-1.2, 1 };
            double covariance[4], r[2], j[MOST_M][MOST_P] = { { 0 } };
            nde_fit fit;
            if (kind == 0) s.fail_at = at, s.fail_with = -3;
            else if (kind == 1) s.poison_at = at;
            else if (kind == 2) s.poison_at = -at;
            else s.fail_at = at, s.fail_with = 3;
            const nde_status status = scene_fit(&s, q, covariance, &fit);
            if (kind == 0) assert_int_equal(status, NDE_E_FIELD);
            if (kind == 1 || kind == 2) assert_int_equal(status, s.poison_at < 0 && s.calls < at ? NDE_OK : NDE_E_NONFINITE);
            if (kind == 3) assert_int_equal(status, at == 1 ? NDE_E_FIELD : NDE_OK);
            if (kind == 0) assert_non_null(strstr(nde_error(), "-3"));
            if (kind == 1) assert_non_null(strstr(nde_error(), "residual 1"));
            if (kind == 2 && status) assert_non_null(strstr(nde_error(), "p[0]"));
            rosenbrock(&s, (const double[]){ (double)q[0], (double)q[1] }, r, j);
            const double half = (r[0]*r[0] + r[1]*r[1])/2;
            if (at == 1 && kind != 2) assert_true(isnan(fit.last) && isnan(fit.gradient_norm) && q[0] == (nde_real)-1.2);
            if (at > 1 && kind < 2) assert_true(fit.last == half && half <= before*(1 + 4*DBL_EPSILON));
            if (kind == 3 && at > 1) assert_true(half <= NDE_TEST_EPS*sqrt(NDE_TEST_EPS));
            if (at > 1 && kind < 2) before = half;
        }
    }
}

static void ends(void **state) {
    (void)state;
    nde_real p[2] = { (nde_real)-1.2, 1 };
    nde_fit fit;
    scene s = scene_make(rosenbrock, 2, 2);
    s.stop_at = 3;
    assert_int_equal(scene_fit(&s, p, NULL, &fit), NDE_STOPPED);
    assert_true(fit.iterations == 3 && fit.last < fit.first && fit.last > 1e-6);

    s = scene_make(rosenbrock, 2, 2);
    const nde_least_squares few = NDE_INIT(nde_least_squares, .m = 2, .residual = scene_residual, .ctx = &s, .iterations = 4);
    p[0] = (nde_real)-1.2, p[1] = 1;
    assert_int_equal(nde_least_squares_fit(&few, 2, p, NULL, &fit), NDE_UNFINISHED);
    assert_true(fit.iterations == 4 && fit.last < fit.first);

    s = scene_make(rosenbrock, 2, 2); /* uphill: no step is a descent */
    s.wrong = true;
    p[0] = (nde_real)-1.2, p[1] = 1;
    assert_int_equal(scene_fit(&s, p, NULL, &fit), NDE_UNFINISHED);
    assert_true(p[0] == (nde_real)-1.2 && p[1] == 1 && fit.iterations == 0 && s.calls < 100);

    s = scene_make(rosenbrock, 2, 2); /* there already */
    p[0] = p[1] = 1;
    assert_int_equal(scene_fit(&s, p, NULL, &fit), NDE_OK);
    assert_true(s.calls == 1 && fit.last == 0 && fit.gradient_norm == 0);

    s = scene_make(apart, 2, 1); /* or as good as there: one evaluation says so */
    p[0] = 1 + 4*NDE_TEST_EPS, s.tolerance = 0;
    assert_int_equal(scene_fit(&s, p, NULL, &fit), NDE_OK);
    assert_true(s.calls == 1 && fit.last >= 0.5);
}

/* ---- arguments ---- */

static void refuse(const nde_least_squares *problem, size_t np, nde_real *p, nde_status status, const char *name,
                   const char *value) {
    nde_fit fit = { .iterations = 77 };
    double covariance[4] = { 78 };
    assert_int_equal(nde_least_squares_fit(problem, np, p, covariance, &fit), status);
    assert_non_null(strstr(nde_error(), "nde_least_squares_fit"));
    assert_non_null(strstr(nde_error(), name));
    assert_non_null(strstr(nde_error(), value));
    assert_true(fit.iterations == 77 && covariance[0] == 78);
}

static void refused_arguments(void **state) {
    (void)state;
    scene s = scene_make(rosenbrock, 2, 2);
    nde_real p[2] = { 1, 1 };
    double lower[2] = { 0, 0 }, upper[2] = { 2, 2 };
    const nde_least_squares good = NDE_INIT(nde_least_squares, .m = 2, .residual = scene_residual, .ctx = &s, .lower = lower,
                                            .upper = upper);
    nde_least_squares q = good;
    refuse(NULL, 2, p, NDE_E_ARG, "problem", "NULL");
    refuse(&good, 2, NULL, NDE_E_ARG, "p", "NULL");
    refuse(&good, 0, p, NDE_E_ARG, "np", "0");
    q.m = 0, refuse(&q, 2, p, NDE_E_ARG, "m", "0"), q = good;
    q.residual = NULL, refuse(&q, 2, p, NDE_E_ARG, "residual", "NULL"), q = good;
    q.size = 3, refuse(&q, 2, p, NDE_E_ARG, "size", "3"), q = good;
    q.iterations = -5, refuse(&q, 2, p, NDE_E_ARG, "iterations", "-5"), q = good;
    q.tolerance = -0.5, refuse(&q, 2, p, NDE_E_ARG, "tolerance", "-0.5");
    q.tolerance = (double)NAN, refuse(&q, 2, p, NDE_E_ARG, "tolerance", "nan"), q = good;
    q.m = SIZE_MAX/2, refuse(&q, 3, p, NDE_E_ARG, "m", "9223372036854775807");
    q.lower = q.upper = NULL, q.m = SIZE_MAX/64, refuse(&q, 2, p, NDE_E_NOMEM, "memory", "2 parameters"), q = good;
    lower[1] = 2.5, refuse(&good, 2, p, NDE_E_ARG, "bounds 1", "2.5");
    lower[1] = (double)NAN, refuse(&good, 2, p, NDE_E_ARG, "bounds 1", "nan");
    lower[1] = upper[1] = (double)INFINITY, refuse(&good, 2, p, NDE_E_ARG, "bounds 1", "inf"), lower[1] = 0;
    p[1] = (nde_real)NAN, refuse(&good, 2, p, NDE_E_ARG, "p[1]", "nan");
    assert_int_equal(s.calls, 0);
    p[1] = 1;
    assert_int_equal(nde_least_squares_fit(&good, 2, p, NULL, NULL), NDE_OK); /* it was good */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certified_results),
        cmocka_unit_test(linear_problems_are_solved_at_once),
        cmocka_unit_test(parameters_have_no_scale),
        cmocka_unit_test(curved_valley),
        cmocka_unit_test(bounds_are_kept),
        cmocka_unit_test(boxes_are_solved_at_once),
        cmocka_unit_test(bounds_between_numbers),
        cmocka_unit_test(rank_deficiency),
        cmocka_unit_test(refusals_shorten_the_step),
        cmocka_unit_test(failures),
        cmocka_unit_test(ends),
        cmocka_unit_test(refused_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
