/* SPDX-License-Identifier: MIT
 * detest.c - the 25 problems of DETEST, with their original data, by every adaptive method of order 4 or more: error at t = 20
 * below 4e-5 at tolerance 1e-8. References: closed forms where there is one, else vern9 at 1e-13, which dop853 must confirm.
 * Evaluations and the largest error at t = 1 ... 20 are reported.
 *
 * Source: T. E. Hull, W. H. Enright, B. M. Fellen, A. E. Sedgwick, SIAM J. Numer. Anal. 9 (1972) 603-637. */
#include <math.h>
#include <string.h>

#include "method/method.h"

enum { TIMES = 20, MOST = 51 };

#define FIELD(name) static int name(double t, const double *y, const double *p, double *dy, void *ctx)
#define UNUSED return (void)t, (void)p, (void)ctx, (void)y, 0

/* ---- A: single equations --------------------------------------------------------------------- */

FIELD(a1) { dy[0] = -y[0]; UNUSED; }
FIELD(a2) { dy[0] = -y[0]*y[0]*y[0]/2; UNUSED; }
FIELD(a3) { dy[0] = y[0]*cos(t); UNUSED; }
FIELD(a4) { dy[0] = y[0]/4*(1 - y[0]/20); UNUSED; }
FIELD(a5) { dy[0] = (y[0] - t)/(y[0] + t); UNUSED; }

static void exact_a1(double t, double *y) { y[0] = exp(-t); }
static void exact_a2(double t, double *y) { y[0] = 1/sqrt(1 + t); }
static void exact_a3(double t, double *y) { y[0] = exp(sin(t)); }
static void exact_a4(double t, double *y) { y[0] = 20/(1 + 19*exp(-t/4)); }

/* ---- B: small systems ------------------------------------------------------------------------ */

FIELD(b1) { dy[0] = 2*(y[0] - y[0]*y[1]), dy[1] = -(y[1] - y[0]*y[1]); UNUSED; }
FIELD(b2) { dy[0] = -y[0] + y[1], dy[1] = y[0] - 2*y[1] + y[2], dy[2] = y[1] - y[2]; UNUSED; }
FIELD(b3) { dy[0] = -y[0], dy[1] = y[0] - y[1]*y[1], dy[2] = y[1]*y[1]; UNUSED; }
FIELD(b4) {
    const double r = hypot(y[0], y[1]);
    dy[0] = -y[1] - y[0]*y[2]/r, dy[1] = y[0] - y[1]*y[2]/r, dy[2] = y[0]/r;
    UNUSED;
}
FIELD(b5) { dy[0] = y[1]*y[2], dy[1] = -y[0]*y[2], dy[2] = -0.51*y[0]*y[1]; UNUSED; }

/* Eigenvalues 0, -1, -3 with eigenvectors (1, 1, 1), (1, 0, -1), (1, -2, 1). */
static void exact_b2(double t, double *y) {
    const double slow = exp(-t)/2, fast = exp(-3*t)/2;
    y[0] = 1 + slow + fast, y[1] = 1 - 2*fast, y[2] = 1 - slow + fast;
}

/* ---- C: moderate systems --------------------------------------------------------------------- */

FIELD(c1) {
    for (int i = 0; i < 10; i++) dy[i] = (i > 0 ? y[i - 1] : 0) - (i < 9 ? y[i] : 0);
    UNUSED;
}
FIELD(c2) {
    for (int i = 0; i < 10; i++) dy[i] = (i > 0 ? i*y[i - 1] : 0) - (i < 9 ? (i + 1)*y[i] : 0);
    UNUSED;
}
static void diffuse(int n, const double *y, double *dy) {
    for (int i = 0; i < n; i++) dy[i] = (i > 0 ? y[i - 1] : 0) - 2*y[i] + (i < n - 1 ? y[i + 1] : 0);
}
FIELD(c3) { diffuse(10, y, dy); UNUSED; }
FIELD(c4) { diffuse(51, y, dy); UNUSED; }

/* By the sine transform. */
static void diffused(int n, double t, double *y) {
    const double pi = acos(-1), w = pi/(n + 1);
    for (int i = 0; i < n; i++) y[i] = 0;
    for (int k = 1; k <= n; k++)
        for (int i = 0; i < n; i++)
            y[i] += 2.0/(n + 1)*sin(k*w)*sin((i + 1)*k*w)*exp(-4*sin(k*w/2)*sin(k*w/2)*t);
}
static void exact_c3(double t, double *y) { diffused(10, t, y); }
static void exact_c4(double t, double *y) { diffused(51, t, y); }

/* Jupiter, Saturn, Uranus, Neptune, Pluto about the sun: y [5][3] places, then speeds. */
static const double sun = 1.00000597682, gravity = 2.95912208286;
static const double mass[5] = { 0.000954786104043, 0.000285583733151, 0.0000437273164546, 0.0000517759138449,
                                0.00000277777777778 };
static double cube(const double *x) { return pow(x[0]*x[0] + x[1]*x[1] + x[2]*x[2], 1.5); }

FIELD(c5) {
    for (int j = 0; j < 5; j++) {
        const double *at = y + 3*j, pull = -(sun + mass[j])/cube(at);
        double *speed = dy + 3*j, *force = dy + 15 + 3*j;
        for (int i = 0; i < 3; i++) speed[i] = y[15 + 3*j + i], force[i] = gravity*pull*at[i];
        for (int k = 0; k < 5; k++) {
            const double *other = y + 3*k, apart[3] = { other[0] - at[0], other[1] - at[1], other[2] - at[2] };
            for (int i = 0; k != j && i < 3; i++)
                force[i] += gravity*mass[k]*(apart[i]/cube(apart) - other[i]/cube(other));
        }
    }
    UNUSED;
}

/* ---- D: orbits ------------------------------------------------------------------------------- */

FIELD(orbit) {
    const double r = hypot(y[0], y[1]), pull = -1/(r*r*r);
    dy[0] = y[2], dy[1] = y[3], dy[2] = pull*y[0], dy[3] = pull*y[1];
    UNUSED;
}
/* By Kepler's equation E - e sin E = t. */
static void orbited(double e, double t, double *y) {
    double E = t;
    for (int i = 0; i < 100; i++) E -= (E - e*sin(E) - t)/(1 - e*cos(E));
    const double rate = 1/(1 - e*cos(E)), b = sqrt(1 - e*e);
    y[0] = cos(E) - e, y[1] = b*sin(E), y[2] = -sin(E)*rate, y[3] = b*cos(E)*rate;
}
static void exact_d1(double t, double *y) { orbited(0.1, t, y); }
static void exact_d2(double t, double *y) { orbited(0.3, t, y); }
static void exact_d3(double t, double *y) { orbited(0.5, t, y); }
static void exact_d4(double t, double *y) { orbited(0.7, t, y); }
static void exact_d5(double t, double *y) { orbited(0.9, t, y); }

/* ---- E: equations of second order ------------------------------------------------------------ */

FIELD(e1) {
    const double x = t + 1;
    dy[0] = y[1], dy[1] = -(y[1]/x + (1 - 0.25/(x*x))*y[0]);
    UNUSED;
}
FIELD(e2) { dy[0] = y[1], dy[1] = (1 - y[0]*y[0])*y[1] - y[0]; UNUSED; }
FIELD(e3) { dy[0] = y[1], dy[1] = y[0]*y[0]*y[0]/6 - y[0] + 2*sin(2.78535*t); UNUSED; }
FIELD(e4) { dy[0] = y[1], dy[1] = 0.032 - 0.4*y[1]*y[1]; UNUSED; }
FIELD(e5) { dy[0] = y[1], dy[1] = sqrt(1 + y[1]*y[1])/(25 - t); UNUSED; }

/* E1 is Bessel's equation of order 1/2: the start is J(1) and J'(1), J(x) = sqrt(2/(pi x)) sin x. */
static void exact_e1(double t, double *y) {
    const double x = t + 1, scale = sqrt(2/(acos(-1)*x));
    y[0] = scale*sin(x), y[1] = scale*(cos(x) - sin(x)/(2*x));
}
/* v' = 0.032 - 0.4 v^2 from 0: v = a tanh(b t), a = sqrt(0.08), b = 0.4 a. */
static void exact_e4(double t, double *y) {
    const double a = sqrt(0.08), b = 0.4*a;
    y[0] = 30 + log(cosh(b*t))/0.4, y[1] = a*tanh(b*t);
}
/* asinh y' = log(25/(25 - t)): a curve of pursuit. */
static void exact_e5(double t, double *y) {
    const double s = 1 - t/25;
    y[0] = 12.5*((s*s - 1)/2 - log(s)), y[1] = (1/s - s)/2;
}

typedef struct detest {
    const char *name;
    size_t dim, split; /* split > 0: q'' = f(t, q) */
    int (*f)(double t, const double *y, const double *p, double *dy, void *ctx);
    void (*exact)(double t, double *y); /* NULL: by a method of high order */
    double y0[MOST];
} detest;

static const detest problems[] = {
    { "A1", 1, 0, a1, exact_a1, { 1 } }, { "A2", 1, 0, a2, exact_a2, { 1 } }, { "A3", 1, 0, a3, exact_a3, { 1 } },
    { "A4", 1, 0, a4, exact_a4, { 1 } }, { "A5", 1, 0, a5, NULL, { 4 } },
    { "B1", 2, 0, b1, NULL, { 1, 3 } }, { "B2", 3, 0, b2, exact_b2, { 2, 0, 1 } }, { "B3", 3, 0, b3, NULL, { 1 } },
    { "B4", 3, 0, b4, NULL, { 3 } }, { "B5", 3, 0, b5, NULL, { 0, 1, 1 } },
    { "C1", 10, 0, c1, NULL, { 1 } }, { "C2", 10, 0, c2, NULL, { 1 } }, { "C3", 10, 0, c3, exact_c3, { 1 } },
    { "C4", 51, 0, c4, exact_c4, { 1 } },
    { "C5", 30, 15, c5, NULL,
      { 3.42947415189, 3.35386959711, 1.35494901715, 6.64145542550, 5.97156957878, 2.18231499728,
        11.2630437207, 14.6952576794, 6.27960525067, -30.1552268759, 1.65699966404, 1.43785752721,
        -21.1238353380, 28.4465098142, 15.3882659679,
        -0.557160570446, 0.505696783289, 0.230578543901, -0.415570776342, 0.365682722812, 0.169143213293,
        -0.325325669158, 0.189706021964, 0.0877265322780, -0.0240476254170, -0.287659532608, -0.117219543175,
        -0.176860753121, -0.216393453025, -0.0148647893090 } },
    { "D1", 4, 2, orbit, exact_d1, { 0 } }, { "D2", 4, 2, orbit, exact_d2, { 0 } }, { "D3", 4, 2, orbit, exact_d3, { 0 } },
    { "D4", 4, 2, orbit, exact_d4, { 0 } }, { "D5", 4, 2, orbit, exact_d5, { 0 } },
    { "E1", 2, 0, e1, exact_e1, { 0.6713967071418030, 0.09540051444747446 } }, { "E2", 2, 0, e2, NULL, { 2 } },
    { "E3", 2, 1, e3, NULL, { 0 } }, { "E4", 2, 0, e4, exact_e4, { 30 } }, { "E5", 2, 0, e5, exact_e5, { 0 } },
};
enum { PROBLEMS = sizeof problems/sizeof *problems };

/* ---- runs ------------------------------------------------------------------------------------ */

/* y [TIMES][dim] at t = 1 ... 20. Returns evaluations. */
static int64_t run(const detest *q, int method, double tolerance, double *y) {
    const nde_pointwise one = { .f = q->f };
    const nde_field field = nde_field_pointwise(&one, q->dim, 0);
    double y0[MOST], save[TIMES];
    for (size_t i = 0; i < q->dim; i++) y0[i] = q->y0[i];
    if (q->f == orbit) q->exact(0, y0);
    for (int i = 0; i < TIMES; i++) save[i] = i + 1;
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = TIMES,
                                         .split = nde_method_is_split(nde_method_get(method)) ? q->split : 0);
    const nde_options options = NDE_INIT(nde_options, .method = method, .rtol = tolerance, .atol = tolerance,
                                         .save_t = save, .n_save = TIMES,
                                         .jacobian = test_iterates(nde_method_get(method))
                                         ? NDE_JACOBIAN_DIFFERENCES : 0);
    nde_solution s = { 0 };
    if (nde_solve(&problem, &options, &s))
        fail_msg("%s by %s: %s", q->name, nde_method_name(nde_method_get(method)), nde_error());
    for (size_t i = 0; i < TIMES*q->dim; i++) y[i] = s.y[i];
    const int64_t evals = s.stats->evals;
    nde_solution_free(&s);
    return evals;
}

/* Largest |y - x|/(1 + |x|) from time number `from` on. */
static double distance(const detest *q, int from, const double *y, const double *x) {
    double most = 0;
    for (size_t i = (size_t)from*q->dim; i < TIMES*q->dim; i++) most = fmax(most, fabs(y[i] - x[i])/(1 + fabs(x[i])));
    return most;
}

static double reference[PROBLEMS][TIMES*MOST];

/* At 1e-13 rounding adds up, most where an orbit comes close to its centre. */
static void references_confirm_each_other(void **state) {
    (void)state;
    for (int k = 0; k < PROBLEMS; k++) {
        const detest *q = &problems[k];
        double other[TIMES*MOST];
        run(q, NDE_VERN9, 1e-13, reference[k]);
        if (!q->exact) run(q, NDE_DOP853, 1e-13, other);
        for (int i = 0; q->exact && i < TIMES; i++) q->exact(i + 1, other + i*(int)q->dim);
        const double apart = distance(q, 0, reference[k], other);
        if (!(apart <= 1e-10)) fail_msg("%s: the references are %g apart", q->name, apart);
        if (q->exact) memcpy(reference[k], other, sizeof other);
    }
}

static void methods_keep_to_their_tolerance(void **state) {
    (void)state;
    for (size_t m = 0; m < nde_method_count(); m++) {
        const nde_method *method = nde_method_at(m);
        if (nde_method_order(method) < 4 || !nde_method_error_order(method)) continue;
        if (nde_method_kind(method) == NDE_KIND_ROSENBROCK) continue; /* tests/method/implicit.c */
        if (nde_method_kind(method) == NDE_KIND_IMEX) continue;       /* tests/method/imex.c */
        if (nde_method_kind(method) == NDE_KIND_SWITCHING) continue;  /* tests/method/switching.c */
        print_message("%-12s", nde_method_name(method));
        double worst = 0;
        for (int k = 0; k < PROBLEMS; k++) {
            double y[TIMES*MOST];
            if (nde_method_is_split(method) && !problems[k].split) continue;
            const int64_t evals = run(&problems[k], nde_method_id(method), 1e-8, y);
            const double error = distance(&problems[k], TIMES - 1, y, reference[k]);
            print_message(" %s %lld", problems[k].name, (long long)evals);
            worst = fmax(worst, distance(&problems[k], 0, y, reference[k]));
            if (!(error <= 4e-5)) fail_msg("%s on %s: error %g", nde_method_name(method), problems[k].name, error);
        }
        print_message("; largest error %.1e\n", worst);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_confirm_each_other),
        cmocka_unit_test(methods_keep_to_their_tolerance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
