/* SPDX-License-Identifier: MIT
 * stochastic.c - tables of drift and noise: what their steps make of linear equations, in exact moments, without samples. On
 * y' = a y + b y W' a step is a polynomial in W and the integral of W, whose moments quadrature has exactly: weak order of
 * the mean and of the mean square; on y' = a y + b W' (additive) of mean and variance. Strong orders: tests/solve/strong.c. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "method/method.h"
#include "nde.h"

/* Gauss-Hermite for the standard normal: exact to degree 2 POINTS - 1. Newton's method on the orthonormal polynomials. */
enum { POINTS = 24, MOST = 20 };
static double node[POINTS], weight[POINTS];

static double hermite(int n, double x, double *before) {
    double p = 1, q = 0;
    for (int k = 0; k < n; k++) {
        const double next = (x*p - sqrt((double)k)*q)/sqrt((double)k + 1);
        q = p, p = next;
    }
    return *before = q, p;
}

static int make_quadrature(void **state) {
    (void)state;
    double q;
    for (int i = 0, found = 0; found < POINTS; i++) { /* roots between changes of sign */
        double low = -12 + 0.01*i, high = low + 0.01;
        if ((hermite(POINTS, low, &q) > 0) == (hermite(POINTS, high, &q) > 0)) continue;
        const int sign = hermite(POINTS, low, &q) > 0 ? 1 : -1;
        for (int k = 0; k < 60; k++) {
            const double middle = 0.5*(low + high);
            if (sign*hermite(POINTS, middle, &q) > 0) low = middle; else high = middle;
        }
        node[found] = low;
        hermite(POINTS, low, &q);
        weight[found++] = 1/(POINTS*q*q);
    }
    return 0;
}

/* The stage at whose state stage i has the noise. */
static int place_of(const nde_method *m, int i) { return m->drive && m->drive[i].like ? m->drive[i].like - 1 : i; }

/* One step from y on f = a y, g = b y + c: W, and area, the integral of W over h. */
static double step_of(const nde_method *m, double h, double w, double area, double a, double b, double c, double y) {
    double k[MOST] = { 0 }, z = y;
    for (int i = 0; i < m->stages; i++) {
        const nde_drive whole = { .w = 1 }, *d = m->drive ? &m->drive[i] : &whole;
        const int at = place_of(m, i);
        const nde_coefficient *row = m->a + at*(at - 1)/2;
        double Y = y;
        for (int j = 0; j < at; j++) Y += h*row[j]*k[j];
        if (i > 0) Y /= 1 - h*m->gamma*a; /* solved for, k = a (Y + h gamma k) */
        const double x = w/sqrt(h), root = sqrt(h);
        const double drive = d->w*w + d->area*area + root*(d->root + d->twice*0.5*(x*x - 1) + d->thrice*(x*x*x - 3*x)/6);
        const int moves = d->w != 0 || d->area != 0 || d->root != 0 || d->twice != 0 || d->thrice != 0;
        k[i] = !moves ? a*Y : !m->drive ? a*Y + (b*Y + c)*w/h : d->along ? b*drive/h*(h*k[d->along - 1]) : (b*Y + c)*drive/h;
        z += h*m->b[i]*k[i];
    }
    return z;
}

/* Mean of the n-th power of a step, by exact quadrature. */
static double moment(const nde_method *m, double h, double a, double b, double c, double y, int n) {
    double sum = 0;
    for (int i = 0; i < POINTS; i++)
        for (int j = 0; j < POINTS; j++) {
            const double w = sqrt(h)*node[i], area = 0.5*w + sqrt(h/12)*node[j]; /* over h: W/2 + H */
            sum += weight[i]*weight[j]*pow(step_of(m, h, w, area, a, b, c, y), n);
        }
    return sum;
}

/* Error of the moment after one step, in the method's calculus: d y = a y dt + b y dW has mean e^(ah) and mean square
 * e^((2a + b^2)h). */
static double error_of_linear(const nde_method *m, double h, int n) {
    const double a = -0.9, b = 0.7, drift = a + (m->calculus == NDE_ITO ? 0 : 0.5*b*b);
    return fabs(moment(m, h, a, b, 0, 1, n) - exp((n*drift + 0.5*n*(n - 1)*b*b)*h));
}

static double error_of_additive(const nde_method *m, double h, int n) {
    const double a = -0.7, c = 0.6, y = 0.4, mean = y*exp(a*h), variance = c*c*expm1(2*a*h)/(2*a);
    return fabs(moment(m, h, a, 0, c, y, n) - (n == 1 ? mean : mean*mean + variance));
}

/* Order of one step, less one. */
static double order_of(double (*error)(const nde_method *, double, int), const nde_method *m, int n) {
    const double h = 0x1p-8, one = error(m, h, n), two = error(m, h/2, n);
    return one < 3e-12 ? HUGE_VAL : log2(one/two) - 1;
}

static bool is_still(const nde_drive *d) {
    return d->w == 0 && d->area == 0 && d->root == 0 && d->twice == 0 && d->thrice == 0;
}

/* What the weights of drift and of each multiplier add up to, to a few roundings, so that a digit that is wrong is seen;
 * nodes are the drift before them, of the noise where order 3/2 asks for it. */
static const char *fault_of_sums(const nde_method *m) {
    const bool strict = m->strong[NDE_NOISE_SCALAR] > 2;
    double drift = -1, second = -0.5, sum[5] = { -1 };
    for (int i = 0; i < m->stages; i++) {
        const nde_drive *d = &m->drive[i];
        const double parts[5] = { d->w, d->area, d->root, d->twice, d->thrice };
        double before = 0;
        const int at = place_of(m, i);
        for (int j = 0; j < at; j++)
            if (is_still(&m->drive[j])) before += m->a[at*(at - 1)/2 + j];
        if (is_still(d)) before += m->gamma;
        if ((is_still(d) || strict) && fabs(before - m->c[i]) > 1e-14) return "node";
        if (is_still(d)) drift += m->b[i], second += m->b[i]*m->c[i];
        for (int j = 0; j < 5 && !d->along; j++) sum[j] += m->b[i]*parts[j];
    }
    const double most = 64*DBL_EPSILON;
    for (int j = 0; j < 5; j++)
        if (fabs(sum[j]) > most) return "multipliers";
    return fabs(drift) > most ? "drift" : m->order >= 2 && fabs(second) > most ? "order of the drift" : NULL;
}

/* Of weak order 1 all of them are, those of strong order 3/2 of that at least (sriw1 shows 2, sosri does not), and for
 * additive noise of weak order 2. Sources: Roessler (2010), Foster et al. (2024). */
static const char *fault_of(const nde_method *m) {
    const bool additive = m->strong[NDE_NOISE_ADDITIVE] > 2, linear = m->strong[NDE_NOISE_SCALAR] > 0;
    const double claimed = m->strong[NDE_NOISE_SCALAR] > 2 ? 1.5 : 1;
    for (int n = 1; n <= 2; n++) {
        if (linear && !(order_of(error_of_linear, m, n) > claimed - 0.2)) return n == 1 ? "mean" : "mean square";
        if (additive && !(order_of(error_of_additive, m, n) > 1.9)) return n == 1 ? "mean, additive" : "mean square, additive";
    }
    return fault_of_sums(m);
}

static void tables_have_no_fault(void **state) {
    (void)state;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        if (!m->drive) continue;
        assert_true(m->stages <= MOST && m->kind == NDE_KIND_STOCHASTIC && m->calculus);
        print_message("%-16s linear %.3f %.3f, additive %.3f %.3f\n", m->name, order_of(error_of_linear, m, 1),
                      order_of(error_of_linear, m, 2), order_of(error_of_additive, m, 1), order_of(error_of_additive, m, 2));
        const char *fault = fault_of(m);
        if (fault) fail_msg("%s: %s", m->name, fault);
    }
}

/* A change of a thousandth of any weight is seen. */
static void every_changed_weight_is_caught(void **state) {
    (void)state;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *right = nde_method_at(k);
        if (!right->drive) continue;
        for (int i = 0; i < right->stages; i++) {
            nde_method m = *right;
            nde_coefficient b[MOST];
            if (right->b[i] == 0) continue;
            memcpy(b, right->b, (size_t)m.stages*sizeof *b);
            m.b = b, b[i] *= 1.001;
            if (!fault_of(&m)) fail_msg("%s: weight %d may change", m.name, i);
        }
    }
}

/* ---- many steps -------------------------------------------------------------------------------- */

/* What the method carries: y, and of reversible Heun its second state. */
enum { CARRIED = 2 };

static void carry(const nde_method *m, double h, double w, double area, double a, double b, const double *in, double *out) {
    const double f = a*h + b*w;
    if (m->kind == NDE_KIND_REVERSIBLE) {
        out[1] = 2*in[0] - in[1] + f*in[1];
        out[0] = in[0] + 0.5*f*(in[1] + out[1]);
    } else {
        out[0] = step_of(m, h, w, area, a, b, 0, in[0]), out[1] = 0;
    }
}

/* Means of the matrix of a step and of its products with itself. */
static void mean_step(const nde_method *m, double h, double a, double b, double (*one)[CARRIED],
                      double (*two)[CARRIED*CARRIED]) {
    memset(one, 0, CARRIED*sizeof *one), memset(two, 0, CARRIED*CARRIED*sizeof *two);
    for (int i = 0; i < POINTS*POINTS; i++) {
        const double w = sqrt(h)*node[i/POINTS], area = 0.5*w + sqrt(h/12)*node[i%POINTS],
            share = weight[i/POINTS]*weight[i%POINTS];
        double r[CARRIED][CARRIED]; /* columns */
        for (int j = 0; j < CARRIED; j++) carry(m, h, w, area, a, b, (double[CARRIED]){ j == 0, j == 1 }, r[j]);
        for (int j = 0; j < CARRIED*CARRIED; j++) {
            one[j/CARRIED][j%CARRIED] += share*r[j%CARRIED][j/CARRIED];
            for (int k = 0; k < CARRIED*CARRIED; k++)
                two[j][k] += share*r[k/CARRIED][j/CARRIED]*r[k%CARRIED][j%CARRIED];
        }
    }
}

static void apply(int n, const double *matrix, double *x) {
    double y[CARRIED*CARRIED] = { 0 };
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) y[i] += matrix[i*n + j]*x[j];
    memcpy(x, y, (size_t)n*sizeof *x);
}

/* Mean and mean square of y after `steps` steps to t = 1, from 1. */
static void moments_after(const nde_method *m, int steps, double a, double b, double *mean, double *square) {
    double one[CARRIED][CARRIED], two[CARRIED*CARRIED][CARRIED*CARRIED], x[CARRIED] = { 1, 1 },
        xx[CARRIED*CARRIED] = { 1, 1, 1, 1 };
    mean_step(m, 1.0/steps, a, b, one, two);
    for (int k = 0; k < steps; k++) apply(CARRIED, one[0], x), apply(CARRIED*CARRIED, two[0], xx);
    *mean = x[0], *square = xx[0];
}

/* y' = a y + b y W', in the method's calculus. */
static const double linear_a = -0.9, linear_b = 0.7;
static double ito_drift(const nde_method *m) { return linear_a + (m->calculus == NDE_ITO ? 0 : 0.5*linear_b*linear_b); }

static void weak_orders_hold_over_many_steps(void **state) {
    (void)state;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        double error[2][2], value[2];
        if (!m->calculus || !m->strong[NDE_NOISE_SCALAR]) continue;
        for (int half = 0; half < 2; half++) {
            moments_after(m, 512 << half, linear_a, linear_b, &value[0], &value[1]);
            for (int n = 1; n <= 2; n++)
                error[half][n - 1] = fabs(value[n - 1] - exp(n*ito_drift(m) + 0.5*n*(n - 1)*linear_b*linear_b));
        }
        const double claimed = m->strong[NDE_NOISE_SCALAR] > 2 ? 1.5 : 1, mean = log2(error[0][0]/error[1][0]),
            square = log2(error[0][1]/error[1][1]);
        print_message("%-16s mean %.3f, mean square %.3f\n", m->name, mean, square);
        if (!(mean > claimed - 0.2 && square > claimed - 0.2)) fail_msg("%s: weak order %g, %g", m->name, mean, square);
    }
}

/* ---- paths ------------------------------------------------------------------------------------- */

/* y' = p y, by the address of p. */
static int times(const nde_field *self, const nde_site *at, const double *y, double *dy) {
    const double p = *(const double *)self->ctx;
    for (size_t b = 0; b < at->n; b++) dy[b] = p*y[b];
    return 0;
}

/* The moments of steps of 1/8 by sampling: antithetic paths, whose pairs are what is independent. */
static void paths_have_the_moments_of_the_recursion(void **state) {
    (void)state;
    enum { LOT = 100000, STEPS = 8 };
    const size_t lots = getenv("NDE_TEST_LONG") ? 100 : 1; /* 10^7 */
    static const int methods[] = { NDE_EULER_MARUYAMA, NDE_HEUN, NDE_MILSTEIN_FREE, NDE_SRIW1, NDE_REVERSIBLE_HEUN,
                                   NDE_DRIFT_IMPLICIT_EULER };
    static double y0[LOT];
    for (size_t b = 0; b < LOT; b++) y0[b] = 1;
    const nde_field f = NDE_INIT(nde_field, .ctx = &linear_a, .dim = 1, .out = 1, .eval = times);
    const nde_field g = NDE_INIT(nde_field, .ctx = &linear_b, .dim = 1, .out = 1, .eval = times);
    for (size_t k = 0; k < sizeof methods/sizeof *methods; k++) {
        const nde_method *m = nde_method_get(methods[k]);
        double sum[2] = { 0 }, squares[2] = { 0 }, exact[2];
        nde_noise noise = NDE_INIT(nde_noise, .antithetic = 1);
        const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &noise, .kind = NDE_NOISE_DIAGONAL);
        const nde_problem problem = NDE_INIT(nde_problem, .n = LOT, .drift = &f, .terms = &term, .n_terms = 1, .y0 = y0,
                                             .t1 = 1, .calculus = m->calculus);
        const nde_options options = NDE_INIT(nde_options, .method = methods[k], .steps = STEPS,
                                             .jacobian = nde_method_is_implicit(m) ? NDE_JACOBIAN_DIFFERENCES : 0);
        for (size_t lot = 0; lot < lots; lot++) {
            nde_solution s = { 0 };
            noise.seed = 100 + lot;
            assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
            for (size_t b = 0; b < LOT; b += 2)
                for (int n = 0; n < 2; n++) {
                    const double y = s.y_end[b], z = s.y_end[b + 1], x = n ? 0.5*(y*y + z*z) : 0.5*(y + z);
                    sum[n] += x, squares[n] += x*x;
                }
            nde_solution_free(&s);
        }
        moments_after(m, STEPS, linear_a, linear_b, &exact[0], &exact[1]);
        for (int n = 0; n < 2; n++) {
            const double pairs = (double)lots*LOT/2, mean = sum[n]/pairs, error = sqrt((squares[n]/pairs - mean*mean)/pairs);
            print_message("%-16s moment %d: %.6f, %.6f: %.2f standard errors\n", m->name, n + 1, mean, exact[n],
                          (mean - exact[n])/error);
            if (!(fabs(mean - exact[n]) < 4*error)) fail_msg("%s, moment %d: %g, not %g", m->name, n + 1, mean, exact[n]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_have_no_fault),
        cmocka_unit_test(every_changed_weight_is_caught),
        cmocka_unit_test(weak_orders_hold_over_many_steps),
        cmocka_unit_test(paths_have_the_moments_of_the_recursion),
    };
    return cmocka_run_group_tests(tests, make_quadrature, NULL);
}
