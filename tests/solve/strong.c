/* SPDX-License-Identifier: MIT
 * strong.c - the strong order of every method with every kind of noise that it claims, in both calculi: at least what is
 * claimed less 0.2; at most 0.3 more on those equations where drift and noise do not commute in the higher terms, so that
 * nothing hides. All step sizes see the same paths. Solutions are functions of W(1), or else those of a method that is
 * tested on such ones, on a fine grid. And what a method makes of an equation of the other calculus: not its solution,
 * unless it is told to convert.
 * Sources of the equations: C. Rackauckas, Q. Nie, Discrete Contin. Dyn. Syst. B 22 (2017) 2731-2761; Kloeden, Platen
 * (1992), 4.4. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/method.h"

/* A sanitizer looks for other faults than of orders: a few paths and two step sizes, of which the smaller must have the
 * smaller error. */
#if defined(__SANITIZE_ADDRESS__)
enum { REDUCED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { REDUCED = 1 };
#else
enum { REDUCED = 0 };
#endif
#else
enum { REDUCED = 0 };
#endif
enum { DIM = 2, PATHS = REDUCED ? 64 : sizeof(nde_real) == sizeof(double) ? 1000 : 250, CELLS = 512,
       SIZES = REDUCED ? 2 : 5, FINE = 256 };

/* Component i is driven by X_i = sum_j mix_ij W_j. GROWTH: y' = a y + s y X'. ANGLE: y' = s cos^2 y X', solved by
 * atan(s X + tan y0). DECAY: additive, y' = b/sqrt(1 + t) - y/(2 + 2 t) + s b/sqrt(1 + t) X'. AREA: y_0' = X_0', y_1' =
 * y_0 X_1'. TWIST:
 * y_0' = s cos y_1 X_0', y_1' = s sin y_0 X_1'. WELL: additive, y' = y - y^3 + s (1 + t) X'. SWITCH: y' = cos 2 y + s sin
 * y X'. */
enum { GROWTH, ANGLE, DECAY, AREA, TWIST, WELL, SWITCH };
typedef struct equation {
    const char *name;
    int kind, of[DIM];
    size_t m;
    double mix[DIM][2];
    bool separates;
} equation;

static const equation equations[] = {
    { "diagonal", NDE_NOISE_DIAGONAL, { GROWTH, ANGLE }, 2, { { 1, 0 }, { 0, 1 } }, false },
    { "diagonal", NDE_NOISE_DIAGONAL, { SWITCH, SWITCH }, 2, { { 1, 0 }, { 0, 1 } }, true },
    { "scalar", NDE_NOISE_SCALAR, { GROWTH, ANGLE }, 1, { { 1, 0 }, { 1, 0 } }, false },
    { "scalar", NDE_NOISE_SCALAR, { SWITCH, SWITCH }, 1, { { 1, 0 }, { 1, 0 } }, true },
    { "additive", NDE_NOISE_ADDITIVE, { DECAY, DECAY }, 2, { { 1, 0.5 }, { -0.25, 1 } }, false },
    { "additive", NDE_NOISE_ADDITIVE, { WELL, WELL }, 2, { { 1, 0.5 }, { -0.25, 1 } }, true },
    { "commutative", NDE_NOISE_COMMUTATIVE, { GROWTH, ANGLE }, 2, { { 0.75, 0.5 }, { 1, -0.5 } }, true },
    { "general", NDE_NOISE_GENERAL, { AREA, AREA }, 2, { { 1, 0 }, { 0, 1 } }, false },
    { "general", NDE_NOISE_GENERAL, { TWIST, TWIST }, 2, { { 1, 0 }, { 0, 1 } }, true },
};
enum { EQUATIONS = sizeof equations/sizeof *equations };
static const double growth = 0.5, strength = 0.8, height = 1.5;

/* The factor of X' in component i, and its derivative by y_i. */
static double noise_of(const equation *e, size_t i, double t, double y, double other) {
    switch (e->of[i]) {
    case GROWTH: return strength*y;
    case ANGLE: return strength*cos(y)*cos(y);
    case DECAY: return strength*height/sqrt(1 + t);
    case WELL: return 0.5*strength*(1 + t);
    case SWITCH: return strength*sin(y);
    case TWIST: return strength*(i ? sin(other) : cos(other));
    default: return i ? other : 1;
    }
}
static double slope_of(int of, double y) {
    return of == GROWTH ? strength : of == ANGLE ? -strength*sin(2*y) : of == SWITCH ? strength*cos(y) : 0;
}

static double drift_of(int of, double t, double y) {
    return of == GROWTH ? growth*y : of == DECAY ? height/sqrt(1 + t) - y/(2 + 2*t) : of == WELL ? y - y*y*y : of == SWITCH
        ? cos(2*y) : 0;
}

/* A drift in a calculus: Ito's is Stratonovich's and 1/2 sum_j dg_j/dy g_j. */
typedef struct posed {
    const equation *e;
    int calculus;
} posed;

static int drift(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const posed *p = self->ctx;
    for (size_t i = 0; i < DIM; i++) {
        double square = 0;
        for (size_t j = 0; j < 2; j++) square += p->e->mix[i][j]*p->e->mix[i][j];
        for (size_t b = 0; b < at->n; b++) {
            const double x = (double)y[i*at->ld + b], t = at->t[b],
                slope = p->calculus == NDE_ITO ? slope_of(p->e->of[i], x) : 0;
            dy[i*at->ld + b] = (nde_real)(drift_of(p->e->of[i], t, x) +
                                          (slope != 0 ? 0.5*square*slope*noise_of(p->e, i, t, x, 0) : 0));
        }
    }
    return 0;
}

/* g, or its derivative along v; with inputs the product. */
static int diffuse(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *v, nde_real *dy) {
    const equation *e = self->ctx;
    for (size_t i = 0; i < DIM; i++)
        for (size_t b = 0; b < at->n; b++) {
            const double own = (double)y[i*at->ld + b], other = (double)y[(1 - i)*at->ld + b];
            double x = 0;
            const double along = !v                    ? noise_of(e, i, at->t[b], own, other)
                                 : e->of[i] == AREA  ? (i ? (double)v[b] : 0)
                                 : e->of[i] == TWIST ? strength*(i ? cos(other) : -sin(other))*(double)v[(1 - i)*at->ld + b]
                                                       : slope_of(e->of[i], own)*(double)v[i*at->ld + b];
            for (size_t j = 0; at->u && j < e->m; j++) x += e->mix[i][j]*(double)at->u[j*at->ld + b];
            dy[i*at->ld + b] = (nde_real)(at->u ? along*x : along);
        }
    return 0;
}
static int value(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    return diffuse(self, at, y, NULL, dy);
}
static int along(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    return diffuse(self, at, y, v->y, dv);
}

static nde_real start[DIM][PATHS];

/* States at t = 1. */
static void solve(const nde_method *m, const equation *e, int stated, int meant, int convert, int64_t steps,
                  nde_real (*y)[PATHS]) {
    const posed p = { e, meant };
    const bool diagonal = e->kind == NDE_NOISE_DIAGONAL;
    const nde_field f = NDE_INIT(nde_field, .ctx = &p, .dim = DIM, .out = DIM, .eval = drift);
    const nde_field g = NDE_INIT(nde_field, .ctx = e, .dim = DIM, .out = DIM, .nu = diagonal ? 0 : e->m, .eval = value,
                                 .jvp = along);
    const nde_noise noise = NDE_INIT(nde_noise, .seed = 7, .grid = CELLS);
    const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &noise, .kind = e->kind);
    const nde_problem problem = NDE_INIT(nde_problem, .n = PATHS, .drift = &f, .terms = &term, .n_terms = 1, .y0 = start[0],
                                         .t1 = 1, .calculus = stated);
    nde_solution s = { 0 };
    const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .steps = steps, .convert = convert,
                                         .jacobian = nde_method_is_implicit(m) ? NDE_JACOBIAN_DIFFERENCES : 0);
    if (nde_solve(&problem, &options, &s)) fail_msg("%s, %s: %s", nde_method_name(m), e->name, nde_error());
    memcpy(y, s.y_end, DIM*sizeof *y);
    nde_solution_free(&s);
}

/* W(1) of the paths: the solution of y' = W'. */
static int identity(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self, (void)y;
    for (size_t i = 0; i < DIM; i++)
        for (size_t b = 0; b < at->n; b++) dy[i*at->ld + b] = 1;
    return 0;
}

static void solve_exactly(const equation *e, nde_real (*y)[PATHS]) {
    static nde_real w[DIM][PATHS], zero[DIM][PATHS];
    const nde_field g = NDE_INIT(nde_field, .dim = DIM, .out = DIM, .eval = identity);
    const nde_noise noise = NDE_INIT(nde_noise, .seed = 7, .grid = CELLS);
    const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &noise, .kind = NDE_NOISE_DIAGONAL);
    const nde_problem problem = NDE_INIT(nde_problem, .n = PATHS, .terms = &term, .n_terms = 1, .y0 = zero[0], .t1 = 1,
                                         .calculus = NDE_ITO);
    nde_solution s = { 0 };
    if (e->of[0] >= AREA) { /* general noise here is the same in both calculi */
        const bool general = e->kind == NDE_NOISE_GENERAL;
        const int by = general ? NDE_LOG_ODE : e->of[0] == WELL ? NDE_SRA1 : NDE_SRIW1,
            calculus = general ? NDE_STRATONOVICH : NDE_ITO;
        solve(nde_method_get(by), e, calculus, calculus, 0, CELLS, y);
        return;
    }
    assert_int_equal(nde_solve(&problem, &(nde_options){ .steps = CELLS }, &s), NDE_OK);
    memcpy(w, s.y_end, sizeof w);
    nde_solution_free(&s);
    for (size_t i = 0; i < DIM; i++)
        for (size_t b = 0; b < PATHS; b++) {
            const double y0 = (double)start[i][b];
            double x = 0;
            for (size_t j = 0; j < e->m; j++) x += e->mix[i][j]*(double)w[j][b];
            y[i][b] = (nde_real)(e->of[i] == GROWTH  ? y0*exp(growth + strength*x)
                                 : e->of[i] == ANGLE ? atan(strength*x + tan(y0))
                                                     : (y0 + height*(1 + strength*x))/sqrt(2));
        }
}

static double distance(nde_real (*a)[PATHS], nde_real (*b)[PATHS]) {
    double sum = 0;
    for (size_t i = 0; i < DIM; i++)
        for (size_t j = 0; j < PATHS; j++) sum += fabs((double)a[i][j] - (double)b[i][j])/(DIM*PATHS);
    return sum;
}

static void begin(void) {
    for (size_t j = 0; j < PATHS; j++) start[0][j] = 1, start[1][j] = (nde_real)0.5;
}

/* Slope of log error against log h, h = 1/8 ... 1/128; infinite where there is no error, since all brackets of brackets
 * are 0. */
static double order_of(const nde_method *m, const equation *e, int calculus, int convert, nde_real (*exact)[PATHS],
                       double *last) {
    static nde_real y[DIM][PATHS];
    double x = 0, z = 0, xx = 0, xz = 0;
    for (int i = 0; i < SIZES; i++) {
        const int64_t steps = (int64_t)8 << i;
        solve(m, e, calculus, calculus, convert, steps, y);
        const double a = -log((double)steps), b = log(*last = distance(y, exact));
        x += a, z += b, xx += a*a, xz += a*b;
    }
    if (*last < 40*NDE_TEST_EPS) return HUGE_VAL;
    return (SIZES*xz - x*z)/(SIZES*xx - x*x);
}

static void every_method_has_its_strong_order(void **state) {
    static nde_real exact[DIM][PATHS];
    (void)state, begin();
    for (size_t q = 0; q < EQUATIONS; q++) {
        const equation *e = &equations[q];
        solve_exactly(e, exact);
        for (size_t k = 0; k < nde_method_count(); k++) {
            const nde_method *m = nde_method_at(k);
            const double claimed = 0.5*nde_method_strong(m, e->kind);
            for (int calculus = NDE_ITO; claimed > 0 && calculus <= NDE_STRATONOVICH; calculus++) {
                double error;
                const bool additive = e->kind == NDE_NOISE_ADDITIVE;
                const int convert = !(nde_method_calculus(m) & calculus) && !additive;
                /* the same once more */
                if ((additive && calculus == NDE_STRATONOVICH) || (convert && e->of[0] != GROWTH)) continue;
                const double order = order_of(m, e, calculus, convert, exact, &error);
                print_message("%-16s %-12s %s%s: %.3f, claimed %.1f, error %.1e\n", nde_method_name(m), e->name,
                              calculus == NDE_ITO ? "Ito" : "Stratonovich", convert ? " converted" : "", order, claimed, error);
                if (REDUCED && order > 0) continue;
                if (!(order >= claimed - 0.2 && (order <= claimed + 0.3 || !e->separates)))
                    fail_msg("strong order %g, claimed %g", order, claimed);
            }
        }
    }
}

/* An equation of the other calculus, stated as the method's own, is another equation: what the orders above would show. */
static void the_wrong_calculus_is_seen(void **state) {
    static nde_real exact[DIM][PATHS], y[DIM][PATHS];
    (void)state, begin();
    for (size_t q = 0; q < EQUATIONS; q++) {
        const equation *e = &equations[q];
        if (e->of[0] != GROWTH) continue;
        solve_exactly(e, exact);
        for (size_t k = 0; k < nde_method_count(); k++) {
            const nde_method *m = nde_method_at(k);
            for (int own = NDE_ITO; nde_method_strong(m, e->kind) && own <= NDE_STRATONOVICH; own++) {
                if (!(nde_method_calculus(m) & own)) continue;
                solve(m, e, own, own, 0, FINE, y);
                const double right = distance(y, exact);
                solve(m, e, own, NDE_ITO + NDE_STRATONOVICH - own, 0, FINE, y);
                const double wrong = distance(y, exact);
                if (!(right < 0.05 && wrong > 0.15))
                    fail_msg("%s, %s: %g, wrong %g", nde_method_name(m), e->name, right, wrong);
            }
        }
    }
}

/* A method and a problem that do not fit are refused by name. */
static void refused(const nde_method *m, const equation *e, int calculus, nde_status as, const char *because) {
    const posed p = { e, calculus };
    const nde_field f = NDE_INIT(nde_field, .ctx = &p, .dim = DIM, .out = DIM, .eval = drift);
    nde_field g = NDE_INIT(nde_field, .ctx = e, .dim = DIM, .out = DIM, .nu = e->kind == NDE_NOISE_DIAGONAL ? 0 : e->m,
                           .eval = value);
    const nde_noise noise = NDE_INIT(nde_noise, .seed = 7);
    const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &noise, .kind = e->kind);
    const nde_problem problem = NDE_INIT(nde_problem, .n = PATHS, .drift = &f, .terms = &term, .n_terms = 1, .y0 = start[0],
                                         .t1 = 1, .calculus = calculus);
    const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .steps = 4, .convert = as == NDE_E_NO_JVP);
    nde_solver *s = NULL;
    assert_int_equal(nde_solver_create(&problem, &options, &s), as);
    assert_null(s);
    if (!strstr(nde_error(), because) || (as != NDE_E_NO_JVP && !strstr(nde_error(), nde_method_name(m))))
        fail_msg("%s", nde_error());
}

static void what_does_not_fit_is_refused(void **state) {
    (void)state, begin();
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        for (size_t q = 0; q < EQUATIONS; q++) {
            const equation *e = &equations[q];
            const int calculus = nde_method_calculus(m), other = NDE_ITO + NDE_STRATONOVICH - calculus;
            if (!calculus) refused(m, e, NDE_ITO, NDE_E_CALCULUS, "cannot integrate noise");
            else if (!nde_method_strong(m, e->kind)) refused(m, e, NDE_ITO, NDE_E_CALCULUS, e->name);
            else if (other && e->kind != NDE_NOISE_ADDITIVE) {
                refused(m, e, other, NDE_E_CALCULUS,
                        other == NDE_ITO ? "problem.calculus is Ito" : "problem.calculus is Stratonovich");
                refused(m, e, other, NDE_E_NO_JVP, "options.convert");
            }
        }
    }
}

/* What goes with fixed steps, on a grid, alone; adaptive ones: tests/noise/adaptive.c. */
static void steps_are_fixed(void **state) {
    (void)state;
    const equation *e = &equations[0];
    const posed p = { e, NDE_STRATONOVICH };
    const nde_field f = NDE_INIT(nde_field, .ctx = &p, .dim = DIM, .out = DIM, .eval = drift);
    const nde_field g = NDE_INIT(nde_field, .ctx = e, .dim = DIM, .out = DIM, .eval = value);
    const nde_noise noise = NDE_INIT(nde_noise, .seed = 7);
    const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &noise, .kind = NDE_NOISE_DIAGONAL);
    const nde_problem problem = NDE_INIT(nde_problem, .n = PATHS, .drift = &f, .terms = &term, .n_terms = 1, .y0 = start[0],
                                         .t1 = 1, .calculus = NDE_STRATONOVICH);
    const struct { nde_options options; const char *because; } cases[] = {
        { NDE_INIT(nde_options, .method = NDE_HEUN), "options.steps is 0" },
        { NDE_INIT(nde_options, .method = NDE_HEUN, .steps = 4, .error = NDE_ERROR_DOUBLING), "options.error is" },
        { NDE_INIT(nde_options, .method = NDE_HEUN, .steps = 4, .coupling = 0.5), "options.coupling is 0.5" },
        { NDE_INIT(nde_options, .method = NDE_HEUN, .steps = 4, .convert = 2), "options.convert is 2" },
    };
    for (size_t i = 0; i < sizeof cases/sizeof *cases; i++) {
        nde_solver *s = NULL;
        assert_int_equal(nde_solver_create(&problem, &cases[i].options, &s), NDE_E_ARG);
        if (!strstr(nde_error(), cases[i].because)) fail_msg("%s", nde_error());
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_has_its_strong_order),
        cmocka_unit_test(the_wrong_calculus_is_seen),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(steps_are_fixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
