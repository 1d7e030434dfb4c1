/* SPDX-License-Identifier: MIT
 * adaptive.c - steps by error control on a fixed path: error estimates go to zero as they claim; means of the solution are
 * right where a new draw after each rejection, which the test does for comparison, is wrong; what was rejected is come
 * back to; saved rows are the path's; gradients are those of the steps that were taken; and what would be biased is refused.
 * Sources: J. Gaines, T. Lyons, SIAM J. Appl. Math. 57 (1997) 1455-1484; J. Foster, arXiv 2311.14201 (2023). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/method.h"
#include "noise/noise.h"

enum { DIM = 2, M = 2 };

/* y' = f + g dW: W = (W_0, W_1), of a scalar equation W_0 alone. */
typedef struct equation {
    const char *name;
    int kind, calculus, method;
    size_t m;
    double y0, tolerance, exact; /* of the mean of `of` */
    double (*of)(const double *y);
    void (*f)(const double *y, double *dy);
    void (*g)(const double *y, const double *w, double *dy); /* g w */
} equation;

static void decay(const double *y, double *dy) { dy[0] = y[1], dy[1] = -y[1]; }
static void constant(const double *y, const double *w, double *dy) { (void)y, dy[0] = w[0], dy[1] = 0.5*w[0] + w[1]; }
static void share(const double *y, const double *w, double *dy) { dy[0] = 0.5*y[0]*w[0], dy[1] = 0.25*y[1]*w[1]; }
static void push(const double *y, const double *w, double *dy) { (void)y, dy[0] = 0, dy[1] = w[0]; }
static void still(const double *y, double *dy) { (void)y, dy[0] = dy[1] = 0; }
static void area(const double *y, const double *w, double *dy) { dy[0] = w[0], dy[1] = y[0]*w[1]; }
static void waves(const double *y, double *dy) { dy[0] = cos(2*y[0]), dy[1] = sin(y[1]); }
static void switches(const double *y, const double *w, double *dy) { dy[0] = 0.8*sin(y[0])*w[0], dy[1] = 0.8*cos(y[1])*w[1]; }
static void switch_all(const double *y, const double *w, double *dy) { dy[0] = 0.8*sin(y[0])*w[0], dy[1] = 0.8*cos(y[1])*w[0]; }
static void twist(const double *y, const double *w, double *dy) { dy[0] = cos(y[1])*w[0], dy[1] = sin(y[0])*w[1]; }

static double square0(const double *y) { return y[0]*y[0]; }
static double square1(const double *y) { return y[1]*y[1]; }
static double first(const double *y) { return y[0]; }

/* Means at t = 1. */
static const equation means[] = {
    { "additive", NDE_NOISE_ADDITIVE, NDE_ITO, NDE_SRA1, 1, 0, 0.01, 0.16809124072457835, square0, decay, push },
    { "diagonal", NDE_NOISE_DIAGONAL, NDE_STRATONOVICH, NDE_HEUN, 2, 1, 0.002, 1.1331484530668263, first, still, share },
    { "general", NDE_NOISE_GENERAL, NDE_STRATONOVICH, NDE_SPARK, 2, 0, 0.003, 0.5, square1, still, area },
};
enum { MEANS = sizeof means/sizeof *means };

/* ---- the library ------------------------------------------------------------------------------ */

static int drift(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const equation *e = self->ctx;
    for (size_t b = 0; b < at->n; b++) {
        double x[DIM], to[DIM];
        for (size_t i = 0; i < DIM; i++) x[i] = (double)y[i*at->ld + b];
        e->f(x, to);
        for (size_t i = 0; i < DIM; i++) dy[i*at->ld + b] = (nde_real)to[i];
    }
    return 0;
}
static int noise(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const equation *e = self->ctx;
    for (size_t b = 0; b < at->n; b++) {
        double x[DIM], w[M] = { 1, 1 }, to[DIM];
        for (size_t i = 0; i < DIM; i++) x[i] = (double)y[i*at->ld + b];
        for (size_t j = 0; at->u && j < e->m; j++) w[j] = (double)at->u[j*at->ld + b];
        e->g(x, w, to);
        for (size_t i = 0; i < DIM; i++) dy[i*at->ld + b] = (nde_real)to[i];
    }
    return 0;
}

typedef struct rig {
    nde_field f, g;
    nde_noise noise;
    nde_term term;
    nde_problem problem;
    nde_options options;
} rig;

static void make(rig *r, const equation *e, size_t n, const nde_real *y0) {
    memset(r, 0, sizeof *r);
    r->f = NDE_INIT(nde_field, .ctx = e, .dim = DIM, .out = DIM, .eval = drift);
    r->g = NDE_INIT(nde_field, .ctx = e, .dim = DIM, .out = DIM, .nu = e->kind == NDE_NOISE_DIAGONAL ? 0 : e->m, .eval = noise);
    r->noise = NDE_INIT(nde_noise, .seed = 12, .source = NDE_SOURCE_TREE);
    r->term = NDE_INIT(nde_term, .field = &r->g, .noise = &r->noise, .kind = e->kind);
    r->problem = NDE_INIT(nde_problem, .n = n, .drift = &r->f, .terms = &r->term, .n_terms = 1, .y0 = y0, .t1 = 1,
                          .calculus = e->calculus);
    r->options = NDE_INIT(nde_options, .method = e->method, .h0 = 0.25, .rtol = e->tolerance, .atol = e->tolerance);
}

static nde_real *starts(double y0, size_t n) {
    nde_real *y = malloc(DIM*n*sizeof *y);
    assert_non_null(y);
    for (size_t i = 0; i < DIM*n; i++) y[i] = (nde_real)y0;
    return y;
}

/* ---- a new draw after each rejection ----------------------------------------------------------- */

enum { MOST = 20 };

/* By what stage s of a table multiplies the noise, over h: [M]; zeros where it is of the drift. */
static void multipliers(const nde_method *m, int s, double h, const double *w, const double *h_area, double *v) {
    const double root = sqrt(h);
    for (size_t j = 0; j < M; j++) {
        const nde_drive only = { .w = 1 }, *d = m->drive ? &m->drive[s] : &only;
        const double x = w[j]/root;
        v[j] = (d->w*w[j] + d->area*(0.5*w[j] + h_area[j]) +
                root*(d->root + d->twice*0.5*(x*x - 1) + d->thrice*(x*x - 3)*x/6))/h;
    }
}

/* One step of a table; error [DIM] of it. */
static void step_of(const equation *e, const nde_method *m, double h, const double *w, const double *h_area,
                    const double *y, double *z, double *error) {
    double k[MOST][DIM] = { { 0 } };
    for (size_t i = 0; i < DIM; i++) z[i] = y[i], error[i] = 0;
    for (int s = 0; s < m->stages; s++) {
        double Y[DIM], v[M], of_f[DIM] = { 0 };
        memcpy(Y, y, sizeof Y);
        for (size_t i = 0; i < DIM; i++)
            for (int j = 0; j < s; j++) Y[i] += h*m->a[s*(s - 1)/2 + j]*k[j][i];
        multipliers(m, s, h, w, h_area, v);
        e->g(Y, v, k[s]);
        if (!m->drive || (v[0] == 0 && v[1] == 0)) e->f(Y, of_f);
        for (size_t i = 0; i < DIM; i++) {
            k[s][i] += of_f[i];
            z[i] += h*m->b[s]*k[s][i], error[i] += h*m->e[s]*k[s][i];
        }
    }
}

/* The end of path `who` of an adaptive solve that draws W and H anew in each attempt. */
static void redraw(const equation *e, uint64_t who, double *y, int64_t *rejected) {
    const nde_method *m = nde_method_get(e->method);
    const double power = nde_method_estimate_power(m, e->kind);
    double t = 0, h = 0.25;
    for (size_t i = 0; i < DIM; i++) y[i] = e->y0;
    for (uint64_t attempt = 0; t < 1; attempt++) {
        const double length = t + 1.01*h >= 1 ? 1 - t : h;
        double w[M], area_of[M], z[DIM], error[DIM], square = 0;
        for (size_t j = 0; j < M; j++) {
            w[j] = sqrt(length)*nde_normal(5, 200, who, attempt, j);
            area_of[j] = sqrt(length/12)*nde_normal(5, 201, who, attempt, j);
        }
        step_of(e, m, length, w, area_of, y, z, error);
        for (size_t i = 0; i < DIM; i++) {
            const double x = error[i]/(e->tolerance*(1 + fmax(fabs(y[i]), fabs(z[i]))));
            square += x*x/DIM;
        }
        const double factor = 0.9*pow(square + 1e-12, -0.5/power);
        h = length*fmin(fmax(factor, 0.2), square <= 1 ? 5 : 0.9);
        if (square <= 1) t = length < 1 - t ? t + length : 1, memcpy(y, z, sizeof z);
        else ++*rejected;
    }
}

typedef struct sample {
    double sum, square;
    size_t n;
} sample;
static void add(sample *s, double x) { s->sum += x, s->square += x*x, s->n++; }

/* How far the mean is off, in standard errors. */
static double off(const sample *s, double exact) {
    const double n = (double)s->n, mean = s->sum/n;
    return (mean - exact)/sqrt((s->square/n - mean*mean)/(n - 1));
}

static void means_are_right(void **state) {
    (void)state;
    const size_t n = getenv("NDE_TEST_LONG") ? 1000000 : 4000;
    for (size_t q = 0; q < MEANS; q++) {
        const equation *e = &means[q];
        rig r;
        nde_real *y0 = starts(e->y0, n);
        nde_solution s = { 0 };
        sample right = { 0 }, wrong = { 0 };
        int64_t rejected = 0, refused = 0, accepted = 0;
        make(&r, e, n, y0);
        if (nde_solve(&r.problem, &r.options, &s)) fail_msg("%s: %s", e->name, s.error ? s.error : nde_error());
        for (size_t who = 0; who < n; who++) {
            const double y[DIM] = { (double)s.y_end[who], (double)s.y_end[n + who] };
            double x[DIM];
            redraw(e, who, x, &refused);
            add(&right, e->of(y)), add(&wrong, e->of(x));
            rejected += s.stats[who].rejected, accepted += s.stats[who].accepted;
        }
        const double good = off(&right, e->exact), bad = off(&wrong, e->exact);
        print_message("%-12s %zu paths, %.1f steps, %.1f rejected: off by %.2f standard errors; drawn anew (%.1f rejected) by %.1f\n", e->name,
                      n, (double)accepted/(double)n, (double)rejected/(double)n, good, (double)refused/(double)n, bad);
        if (!(fabs(good) <= 3 && fabs(bad) >= 10)) fail_msg("%s: %g, drawn anew %g", e->name, good, bad);
        nde_solution_free(&s);
        free(y0);
    }
}

/* ---- estimates --------------------------------------------------------------------------------- */

static const equation smooth[] = {
    { .name = "diagonal", .kind = NDE_NOISE_DIAGONAL, .m = 2, .y0 = 0.4, .f = waves, .g = switches },
    { .name = "scalar", .kind = NDE_NOISE_SCALAR, .m = 1, .y0 = 0.4, .f = waves, .g = switch_all },
    { .name = "additive", .kind = NDE_NOISE_ADDITIVE, .m = 2, .y0 = 0.4, .f = waves, .g = constant },
    { .name = "commutative", .kind = NDE_NOISE_COMMUTATIVE, .m = 1, .y0 = 0.4, .f = waves, .g = switch_all },
    { .name = "general", .kind = NDE_NOISE_GENERAL, .m = 2, .y0 = 0.4, .f = waves, .g = twist },
};
enum { SMOOTH = sizeof smooth/sizeof *smooth };

/* Mean of the sum of |h| E over the steps. */
static double estimate(const equation *e, const nde_method *m, int64_t steps) {
    enum { N = 400 };
    static rig r;
    nde_real *y0 = starts(e->y0, N);
    nde_solution s = { 0 };
    double sum = 0;
    make(&r, e, N, y0);
    r.problem.calculus = nde_method_calculus(m) & NDE_ITO ? NDE_ITO : NDE_STRATONOVICH;
    r.options = NDE_INIT(nde_options, .method = nde_method_id(m), .steps = steps, .estimates = NDE_ESTIMATES_ALL);
    if (nde_solve(&r.problem, &r.options, &s))
        fail_msg("%s, %s: %s", nde_method_name(m), e->name, s.error ? s.error : nde_error());
    for (size_t b = 0; b < N; b++) sum += s.error_estimate[b]/N;
    nde_solution_free(&s);
    free(y0);
    return sum;
}

static void estimates_go_to_zero_as_claimed(void **state) {
    (void)state;
    for (size_t q = 0; q < SMOOTH; q++)
        for (size_t k = 0; k < nde_method_count(); k++) {
            const nde_method *m = nde_method_at(k);
            const double claimed = m->error_order && m->calculus ? nde_method_estimate_power(m, smooth[q].kind) : 0;
            if (claimed == 0) continue;
            const double power = 0.25*log2(estimate(&smooth[q], m, 16)/estimate(&smooth[q], m, 256));
            print_message("%-16s %-12s %.3f, claimed %.1f\n", m->name, smooth[q].name, power, claimed);
            if (!(fabs(power - claimed) < 0.15)) fail_msg("%s, %s: %g, claimed %g", m->name, smooth[q].name, power, claimed);
        }
}

/* ---- rejected attempts ------------------------------------------------------------------------- */

enum { MOST_ATTEMPTS = 4000 };
typedef struct watch {
    size_t rejected;
    double end[MOST_ATTEMPTS];
} watch;
static int look(void *ctx, nde_decision *d) {
    watch *w = ctx;
    if (!d->accept && w->rejected < MOST_ATTEMPTS) w->end[w->rejected++] = d->t + d->h;
    return 0;
}

static void what_was_rejected_is_come_back_to(void **state) {
    (void)state;
    static watch seen;
    for (size_t q = 0; q < MEANS; q++) {
        if (means[q].kind == NDE_NOISE_DIAGONAL) continue; /* W is all that counts: no end of an attempt is worse than
                                                            * another */
        rig r;
        nde_real *y0 = starts(means[q].y0, 1);
        nde_solution s = { 0 };
        const nde_controller controller = NDE_INIT(nde_controller, .decide = look, .ctx = &seen);
        seen.rejected = 0;
        make(&r, &means[q], 1, y0);
        r.options.decide = &controller, r.options.save_every = 1;
        r.options.rtol = r.options.atol = 1e-3;
        assert_int_equal(nde_solve(&r.problem, &r.options, &s), NDE_OK);
        assert_true(seen.rejected > 0 && (size_t)s.stats[0].rejected == seen.rejected);
        for (size_t i = 0; i < seen.rejected; i++) {
            bool found = false;
            for (size_t j = 0; j < s.saved[0]; j++) found = found || fabs(s.t[j] - seen.end[i]) < 1e-12;
            if (!found) fail_msg("%s: no step ends at %g", means[q].name, seen.end[i]);
        }
        nde_solution_free(&s);
        free(y0);
    }
}

/* ---- what is saved ----------------------------------------------------------------------------- */

/* W at the save times does not depend on the steps, nor on whom it shares a block with. */
static void rows_are_the_path(void **state) {
    enum { N = 200, ROWS = 4 };
    static const double save_t[ROWS] = { 0, 0.3, 0.62, 1 };
    static const equation brownian = { "W", NDE_NOISE_ADDITIVE, NDE_ITO, NDE_SRA1, 2, 0, 1e-2, 0, first, waves, constant };
    static nde_real kept[ROWS*DIM*N];
    (void)state;
    for (int run = 0; run < 4; run++) {
        rig r;
        nde_real *y0 = starts(0, N);
        nde_solution s = { 0 };
        equation e = brownian;
        if (run) e.f = still;
        make(&r, &e, N, y0);
        if (run == 0) r.problem.drift = NULL;
        r.options.save_t = save_t, r.options.n_save = ROWS;
        r.options.h0 = run == 2 ? 0.01 : 0, r.options.h_max = run == 2 ? 0.013 : 0, r.options.group = run == 1 ? 7 : 0;
        r.options.stepping = run == 3 ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
        assert_int_equal(nde_solve(&r.problem, &r.options, &s), NDE_OK);
        if (!run) memcpy(kept, s.y, sizeof kept);
        for (size_t i = 0; i < ROWS*DIM*N; i++)
            if (!(fabs((double)(s.y[i] - kept[i])) < 100*NDE_TEST_EPS))
                fail_msg("run %d, %zu: %g, not %g", run, i, (double)s.y[i], (double)kept[i]);
        nde_solution_free(&s);
        free(y0);
    }
    double square = 0;
    for (size_t b = 0; b < N; b++) square += (double)kept[DIM*N + b]*(double)kept[DIM*N + b]/N;
    assert_true(fabs(square - 0.3) < 4*0.3*sqrt(2.0/N));
}

/* ---- gradients --------------------------------------------------------------------------------- */

static int grow(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t;
    return dy[0] = p[ctx != NULL]*y[0], 0;
}
static int grow_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                    void *ctx) {
    (void)t, (void)at;
    ay[0] += p[ctx != NULL]*a[0];
    if (ap) ap[ctx != NULL] += (double)a[0]*(double)y[0];
    return 0;
}

/* dy = p_0 y dt + p_1 y dW by Heun's method: the product of 1 + x + x^2/2, x = p_0 h + p_1 W, over the steps that were
 * taken. Either way of time, with every form of the record. */
static void gradients_are_of_the_steps_taken(void **state) {
    (void)state;
    static const int records[] = { NDE_RECORD_TAPE, NDE_RECORD_STAGES, NDE_RECORD_STATES, NDE_RECORD_CHECKPOINTS };
    static const nde_real y0 = 1, p[2] = { (nde_real)0.3, (nde_real)0.6 }, one = 1;
    static const int marked;
    nde_pointwise of_f = NDE_INIT(nde_pointwise, .f = grow, .vjp = grow_vjp), of_g = of_f;
    of_g.ctx = (void *)(uintptr_t)&marked;
    const nde_field f = nde_field_pointwise(&of_f, 1, 2), g = nde_field_pointwise(&of_g, 1, 2);
    const nde_noise path = NDE_INIT(nde_noise, .seed = 3, .source = NDE_SOURCE_TREE);
    const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &path, .kind = NDE_NOISE_DIAGONAL);
    nde_noise known;
    assert_int_equal(nde_noise_read(&known, &path), NDE_OK);
    assert_int_equal(nde_noise_need(&known, NDE_LEVY_W), NDE_OK);
    void *work = malloc(nde_noise_bytes(&known, 1, 1));
    assert_non_null(work);
    for (int kind = 0; kind < 8; kind++) {
        const bool back = kind/4;
        const double begin = back ? 1.5 : 0, end = back ? 0 : 1.5;
        const nde_problem problem = NDE_INIT(nde_problem, .drift = &f, .terms = &term, .n_terms = 1, .y0 = &y0, .p = p,
                                             .t0 = begin, .t1 = end, .calculus = NDE_STRATONOVICH);
        const nde_options options = NDE_INIT(nde_options, .method = NDE_HEUN, .rtol = 1e-3, .atol = 1e-3, .save_every = 1,
                                             .adjoint = 1, .record = records[kind%4], .budget = (size_t)16 << 20);
        nde_solver *solver = NULL;
        nde_solution s = { 0 };
        assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
        assert_int_equal(nde_solver_run(solver, &s), NDE_OK);
        assert_true(s.stats[0].rejected > 0);
        double y = 1, of_p[2] = { 0 }, of_t1 = 0;
        nde_noise_clear(&known, work, 1);
        for (size_t i = 0; i + 1 < s.saved[0]; i++) {
            const size_t who = 0;
            const double t0 = 0, t1 = 1.5, from = fmin(s.t[i], s.t[i + 1]), to = fmax(s.t[i], s.t[i + 1]);
            const nde_noise_at at = { .n = 1, .ld = 1, .trajectory = &who, .t0 = &t0, .t1 = &t1, .s = &from, .t = &to,
                                      .N = 1, .grid = 1, .work = work, .room = 1 };
            double w;
            nde_noise_over(&known, &at, 1, &w, NULL, NULL);
            const double h = s.t[i + 1] - s.t[i], dw = back ? -w : w, x = (double)p[0]*h + (double)p[1]*dw,
                step = 1 + x + 0.5*x*x;
            const double slope = (1 + x)/step;
            y *= step, of_p[0] += h*slope, of_p[1] += dw*slope,
                of_t1 += ((double)p[0]*h + 0.5*(double)p[1]*dw)*slope/(end - begin);
        }
        nde_real of[2];
        double t1;
        assert_true(fabs((double)s.y_end[0] - y) < 100*NDE_TEST_EPS*y);
        assert_int_equal(nde_backward(solver, &NDE_INIT(nde_seed, .y_end = &one),
                                      &NDE_INIT(nde_gradient, .p = of, .t1 = &t1)), NDE_OK);
        for (size_t i = 0; i < 2; i++)
            if (!(fabs((double)of[i] - y*of_p[i]) < 500*NDE_TEST_EPS*y))
                fail_msg("%d: by p %g, not %g", kind, (double)of[i], y*of_p[i]);
        if (!(fabs(t1 - y*of_t1) < 500*NDE_TEST_EPS*y)) fail_msg("%d: by t1 %g, not %g", kind, t1, y*of_t1);
        nde_solver_destroy(solver);
    }
    free(work);
}

/* Of every method with an error estimate, along all inputs, by differences of its steps. */
static int bend(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t;
    if (ctx) dy[0] = p[2]*(nde_real)sin((double)y[0]), dy[1] = p[3]*(nde_real)cos((double)y[1]);
    else dy[0] = p[0]*y[1]*y[0], dy[1] = -p[1]*y[0];
    return 0;
}
static int bend_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                    void *ctx) {
    (void)t, (void)at;
    const double s = sin((double)y[0]), c = cos((double)y[1]);
    if (ctx) {
        ay[0] += a[0]*p[2]*(nde_real)cos((double)y[0]), ay[1] -= a[1]*p[3]*(nde_real)sin((double)y[1]);
        if (ap) ap[2] += (double)a[0]*s, ap[3] += (double)a[1]*c;
        return 0;
    }
    ay[0] += a[0]*p[0]*y[1] - a[1]*p[1], ay[1] += a[0]*p[0]*y[0];
    if (ap) ap[0] += (double)(a[0]*y[1]*y[0]), ap[1] -= (double)(a[1]*y[0]);
    return 0;
}
static int bend_jvp(double t, const nde_real *y, const nde_real *p, double v_t, const nde_real *v, const nde_real *v_p,
                    nde_real *dv, void *ctx) {
    (void)t, (void)v_t;
    const nde_real zero[4] = { 0 }, *w = v_p ? v_p : zero;
    if (ctx) {
        dv[0] = p[2]*(nde_real)cos((double)y[0])*v[0] + w[2]*(nde_real)sin((double)y[0]);
        dv[1] = -p[3]*(nde_real)sin((double)y[1])*v[1] + w[3]*(nde_real)cos((double)y[1]);
    } else {
        dv[0] = p[0]*(v[1]*y[0] + y[1]*v[0]) + w[0]*y[1]*y[0];
        dv[1] = -p[1]*v[0] - w[1]*y[0];
    }
    return 0;
}

static void gradients_of_every_method_hold(void **state) {
    (void)state;
    enum { N = 5 };
    static const nde_real y0[DIM*N] = { 1, (nde_real)0.5, (nde_real)0.7, (nde_real)1.2, (nde_real)0.2, 1, 1, 1, 1, 1 };
    static const nde_real p[4] = { (nde_real)0.5, (nde_real)0.4, (nde_real)0.5, (nde_real)0.6 };
    static const nde_real a[DIM*N] = { 1, 2, -1, 1, 1, 1, 1, 1, 1, 1 };
    static const int marked;
    nde_pointwise of_f = NDE_INIT(nde_pointwise, .f = bend, .vjp = bend_vjp, .jvp = bend_jvp), of_g = of_f;
    of_g.ctx = (void *)(uintptr_t)&marked;
    const nde_field f = nde_field_pointwise(&of_f, DIM, 4), g = nde_field_pointwise(&of_g, DIM, 4);
    const nde_noise path = NDE_INIT(nde_noise, .seed = 3, .source = NDE_SOURCE_TREE);
    const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &path, .kind = NDE_NOISE_DIAGONAL);
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        if (!m->estimate[NDE_NOISE_DIAGONAL]) continue;
        for (int stepping = 0; stepping < 2; stepping++) {
            const nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = &f, .terms = &term, .n_terms = 1, .y0 = y0,
                                                 .p = p, .t1 = 1,
                                                 .calculus = nde_method_calculus(m) & NDE_ITO ? NDE_ITO : NDE_STRATONOVICH);
            const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .rtol = 1e-2, .atol = 1e-2,
                                                 .adjoint = 1, .stepping = stepping, .budget = (size_t)16 << 20);
            nde_gradient_report report = { .size = sizeof report };
            if (nde_gradient_check(&problem, &options, &NDE_INIT(nde_seed, .y_end = a), 1, &report))
                fail_msg("%s: %s", m->name, nde_error());
            const double most = sizeof(nde_real) == sizeof(double) ? 1e-9 : 2e-3;
            print_message("%-16s forward %.1e differences %.1e\n", m->name, report.forward_error, report.difference_error);
            if (!(report.forward_error < most && report.difference_error < 10*most))
                fail_msg("%s: %g %g", m->name, report.forward_error, report.difference_error);
        }
    }
}

/* ---- refusals ---------------------------------------------------------------------------------- */

static void refused(const rig *r, nde_status as, const char *because) {
    nde_solver *s = NULL;
    assert_int_equal(nde_solver_create(&r->problem, &r->options, &s), as);
    if (!strstr(nde_error(), because)) fail_msg("%s", nde_error());
}

static int never(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    (void)self, (void)at, (void)y, (void)v, (void)dv;
    return 1;
}

static void what_would_be_biased_is_refused(void **state) {
    (void)state;
    rig r;
    nde_real *y0 = starts(0, 1);
    static const double stored[4];
    make(&r, &means[0], 1, y0);
    r.noise.source = NDE_SOURCE_GRID, r.noise.grid = 64;
    refused(&r, NDE_E_ARG, "need NDE_SOURCE_TREE");
    r.noise.source = NDE_SOURCE_STORED, r.noise.w = r.noise.h = stored;
    refused(&r, NDE_E_ARG, "need NDE_SOURCE_TREE");
    make(&r, &means[0], 1, y0);
    r.options.method = NDE_EULER_MARUYAMA;
    refused(&r, NDE_E_ARG, "no error estimate with additive noise");
    make(&r, &smooth[SMOOTH - 1], 1, y0); /* areas of rejected steps would be forgotten, those of others not add up */
    r.options.method = NDE_LOG_ODE, r.problem.calculus = NDE_STRATONOVICH;
    refused(&r, NDE_E_ARG, "log_ode has no error estimate with general noise");
    r.options.steps = 8, r.g.jvp = never;
    refused(&r, NDE_E_ARG, "a tree has none");
    make(&r, &means[2], 1, y0);
    r.options.error = NDE_ERROR_DOUBLING;
    refused(&r, NDE_E_ARG, "not with noise");
    make(&r, &means[2], 1, y0); /* cells of an eighth: no step is shorter */
    r.noise.tolerance = 0.125, r.options.rtol = r.options.atol = 1e-9;
    nde_solution s = { 0 };
    assert_int_equal(nde_solve(&r.problem, &r.options, &s), NDE_E_STEPSIZE);
    nde_solution_free(&s);
    free(y0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_go_to_zero_as_claimed),
        cmocka_unit_test(what_was_rejected_is_come_back_to),
        cmocka_unit_test(rows_are_the_path),
        cmocka_unit_test(gradients_are_of_the_steps_taken),
        cmocka_unit_test(gradients_of_every_method_hold),
        cmocka_unit_test(what_would_be_biased_is_refused),
        cmocka_unit_test(means_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
