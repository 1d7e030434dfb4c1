/* SPDX-License-Identifier: MIT
 * identity.c - one problem with everything in it (drift with input, path term, noise,
 * quadrature, jumps, shared and own parameters, saves inside steps): <w, J v> = <J' w, v> for
 * all inputs at once, equal bits in every form of the record, and central differences of the
 * program itself. */
#include "nde.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#ifdef NDE_TEST_SINGLE
#define TOLERANCE 1e-5
#else
#define TOLERANCE 1e-12
#endif

/* ---- the fields: p = (p0, p1, p2), q, u ------------------------------------------------------ */

static nde_real input_of(const nde_field *f, const nde_site *at, size_t b) {
    return f->nu ? at->u[b] : (nde_real)0.3;
}
static nde_real part(const nde_real *v, size_t i) { return v ? v[i] : 0; }
static nde_real cosine(double t) { return (nde_real)cos(t); }
static nde_real sine(double t) { return (nde_real)sin(t); }

/* F = (p0 y1 cos t + q u, -p1 sin y0 + u y1/10) */
static int drift(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    const size_t ld = at->ld;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real u = input_of(f, at, b);
        dy[b] = at->p[0]*y[ld + b]*cosine(at->t[b]) + at->q[b]*u;
        dy[ld + b] = -at->p[1]*sine((double)y[b]) + (nde_real)0.1*u*y[ld + b];
    }
    return 0;
}

static int drift_vjp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_real *a,
                     nde_cotangent *to) {
    const size_t ld = at->ld;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real u = input_of(f, at, b), c = cosine(at->t[b]), a0 = a[b], a1 = a[ld + b];
        if (to->y) {
            to->y[b] -= at->p[1]*cosine((double)y[b])*a1;
            to->y[ld + b] += at->p[0]*c*a0 + (nde_real)0.1*u*a1;
        }
        if (to->p) {
            to->p[0] += (double)(y[ld + b]*c*a0);
            to->p[1] -= (double)(sine((double)y[b])*a1);
        }
        if (to->q) to->q[b] += u*a0;
        if (to->u) to->u[b] += at->q[b]*a0 + (nde_real)0.1*y[ld + b]*a1;
        if (to->t) to->t[b] -= (double)(at->p[0]*y[ld + b]*sine(at->t[b])*a0);
    }
    return 0;
}

static int drift_jvp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_tangent *v,
                     nde_real *dv) {
    const size_t ld = at->ld;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real u = input_of(f, at, b), c = cosine(at->t[b]), s = sine(at->t[b]);
        const nde_real v0 = part(v->y, b), v1 = part(v->y, ld + b), vu = part(v->u, b);
        dv[b] = part(v->p, 0)*y[ld + b]*c + at->p[0]*v1*c + part(v->q, b)*u + at->q[b]*vu;
        if (v->t) dv[b] -= at->p[0]*y[ld + b]*s*(nde_real)v->t[b];
        dv[ld + b] = -part(v->p, 1)*sine((double)y[b]) - at->p[1]*cosine((double)y[b])*v0 +
                     (nde_real)0.1*(vu*y[ld + b] + u*v1);
    }
    return 0;
}

/* G dZ = (p2 sin y1 dZ, y0 dZ/2): the drive is the last input */
static int drive(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    const size_t ld = at->ld;
    const nde_real *x = at->u + (f->nu - 1)*ld;
    for (size_t b = 0; b < at->n; b++) {
        dy[b] = at->p[2]*sine((double)y[ld + b])*x[b];
        dy[ld + b] = (nde_real)0.5*y[b]*x[b];
    }
    return 0;
}

static int drive_vjp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_real *a,
                     nde_cotangent *to) {
    const size_t ld = at->ld, row = (f->nu - 1)*ld;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real x = at->u[row + b], s = sine((double)y[ld + b]), c = cosine((double)y[ld + b]);
        if (to->y) to->y[b] += (nde_real)0.5*x*a[ld + b], to->y[ld + b] += at->p[2]*c*x*a[b];
        if (to->p) to->p[2] += (double)(s*x*a[b]);
        if (to->u) to->u[row + b] += at->p[2]*s*a[b] + (nde_real)0.5*y[b]*a[ld + b];
    }
    return 0;
}

static int drive_jvp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_tangent *v,
                     nde_real *dv) {
    const size_t ld = at->ld, row = (f->nu - 1)*ld;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real x = at->u[row + b], s = sine((double)y[ld + b]), c = cosine((double)y[ld + b]);
        const nde_real v0 = part(v->y, b), v1 = part(v->y, ld + b), vx = part(v->u, row + b);
        dv[b] = part(v->p, 2)*s*x + at->p[2]*c*v1*x + at->p[2]*s*vx;
        dv[ld + b] = (nde_real)0.5*(v0*x + y[b]*vx);
    }
    return 0;
}

/* l = y0 y1 + t p0 */
static int loss(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *l) {
    (void)f;
    for (size_t b = 0; b < at->n; b++) l[b] = y[b]*y[at->ld + b] + (nde_real)at->t[b]*at->p[0];
    return 0;
}

static int loss_vjp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_real *a,
                    nde_cotangent *to) {
    (void)f;
    for (size_t b = 0; b < at->n; b++) {
        if (to->y) to->y[b] += y[at->ld + b]*a[b], to->y[at->ld + b] += y[b]*a[b];
        if (to->p) to->p[0] += at->t[b]*(double)a[b];
        if (to->t) to->t[b] += (double)(at->p[0]*a[b]);
    }
    return 0;
}

static int loss_jvp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_tangent *v,
                    nde_real *dv) {
    (void)f;
    for (size_t b = 0; b < at->n; b++) {
        dv[b] = part(v->y, b)*y[at->ld + b] + part(v->y, at->ld + b)*y[b];
        dv[b] += part(v->p, 0)*(nde_real)at->t[b];
        if (v->t) dv[b] += (nde_real)v->t[b]*at->p[0];
    }
    return 0;
}

/* y+ = (y0 p1 + u + sin(t)/10, y1 + y0 q) */
static int jump(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *z) {
    (void)f;
    for (size_t b = 0; b < at->n; b++) {
        z[b] = y[b]*at->p[1] + at->u[b] + (nde_real)0.1*sine(at->t[b]);
        z[at->ld + b] = y[at->ld + b] + y[b]*at->q[b];
    }
    return 0;
}

static int jump_vjp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_real *a,
                    nde_cotangent *to) {
    (void)f;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real a0 = a[b], a1 = a[at->ld + b];
        if (to->y) to->y[b] += at->p[1]*a0 + at->q[b]*a1, to->y[at->ld + b] += a1;
        if (to->p) to->p[1] += (double)(y[b]*a0);
        if (to->u) to->u[b] += a0;
        if (to->t) to->t[b] += 0.1*(double)(cosine(at->t[b])*a0);
        if (to->q) to->q[b] += y[b]*a1;
    }
    return 0;
}

static int jump_jvp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_tangent *v,
                    nde_real *dv) {
    (void)f;
    for (size_t b = 0; b < at->n; b++) {
        dv[b] = part(v->y, b)*at->p[1] + part(v->p, 1)*y[b] + part(v->u, b);
        if (v->t) dv[b] += (nde_real)0.1*cosine(at->t[b])*(nde_real)v->t[b];
        dv[at->ld + b] = part(v->y, at->ld + b) + part(v->y, b)*at->q[b] + part(v->q, b)*y[b];
    }
    return 0;
}

/* ---- the problem ----------------------------------------------------------------------------- */

enum { MOST = 150, SAVES = 4, JUMPS = 3, INPUT_KNOTS = 4, KNOTS = 5 };

/* Everything that a gradient is taken for, or a direction: the same shapes. */
typedef struct inputs {
    nde_real y0[2*MOST], p[3], q[MOST], jump_u[JUMPS*MOST], input_x[INPUT_KNOTS*MOST],
        term_x[KNOTS*MOST];
    double t0[MOST], t1[MOST], save_t[SAVES], jump_t[JUMPS];
} inputs;
typedef struct outputs {
    nde_real y[SAVES*2*MOST], y_end[2*MOST], quadrature[MOST];
} outputs;

typedef struct setting {
    const char *what;
    int method, steps, joint, noise, jumps, backwards;
    size_t n;
} setting;

typedef struct rig {
    setting set;
    inputs at;
    double input_t[INPUT_KNOTS], term_t[KNOTS];
    nde_field drift, plain, drive, loss, jump;
    nde_path input, path;
    nde_noise noise, own_noise;
    nde_term term[3];
    nde_problem problem;
    nde_options options;
} rig;

static uint64_t seed_of_numbers;
static double number(void) {
    seed_of_numbers = seed_of_numbers*6364136223846793005u + 1442695040888963407u;
    return (double)(seed_of_numbers >> 11)*0x1p-53 - 0.5;
}
static void fill(nde_real *x, size_t count, double offset, double scale) {
    for (size_t i = 0; i < count; i++) x[i] = (nde_real)(offset + scale*number());
}

static void make(rig *r, const setting *set) {
    static const double forwards[SAVES] = { 0.01, 0.41, 0.77, 1.49 }, jumps[JUMPS] = { 0.4, 0.9, 1.3 };
    static const double input_t[INPUT_KNOTS] = { -0.5, 0.313, 0.837, 2.5 };
    static const double term_t[KNOTS] = { -1, 0.25, 0.6, 1.1, 3 }, far[KNOTS] = { -4, -3, -2, -1, 3 };
    const size_t n = set->n;
    memset(r, 0, sizeof *r);
    r->set = *set;
    seed_of_numbers = 3;
    fill(r->at.input_x, INPUT_KNOTS*n, 1, 1), fill(r->at.term_x, KNOTS*n, 0, 2);
    fill(r->at.jump_u, JUMPS*n, 0, 1), fill(r->at.q, n, 0, 1), fill(r->at.y0, 2*n, 0, 2);
    fill(r->at.p, 3, 1, 0.5);
    memcpy(r->input_t, input_t, sizeof input_t);
    memcpy(r->term_t, set->jumps ? term_t : far, sizeof term_t); /* knots inside with the jumps */
    const double t0 = set->backwards ? 1.5 : 0, t1 = set->backwards ? 0 : 1.5;
    for (size_t i = 0; i < SAVES; i++)
        r->at.save_t[i] = set->backwards ? forwards[SAVES - 1 - i] : forwards[i];
    for (size_t i = 0; i < JUMPS; i++)
        r->at.jump_t[i] = set->backwards ? jumps[JUMPS - 1 - i] : jumps[i];
    r->drift = NDE_INIT(nde_field, .name = "drift", .dim = 2, .out = 2, .nu = 1, .np = 2, .nq = 1,
                        .eval = drift, .vjp = drift_vjp, .jvp = drift_jvp);
    r->plain = r->drift, r->plain.nu = 0;
    r->drive = NDE_INIT(nde_field, .name = "drive", .dim = 2, .out = 2, .nu = 2, .np = 3, .eval = drive,
                        .vjp = drive_vjp, .jvp = drive_jvp);
    r->loss = NDE_INIT(nde_field, .name = "loss", .dim = 2, .out = 1, .np = 1, .eval = loss,
                       .vjp = loss_vjp, .jvp = loss_jvp);
    r->jump = NDE_INIT(nde_field, .name = "jump", .dim = 2, .out = 2, .nu = 1, .np = 2, .nq = 1,
                       .eval = jump, .vjp = jump_vjp, .jvp = jump_jvp);
    r->input =
        NDE_INIT(nde_path, .channels = 1, .knots = INPUT_KNOTS, .t = r->input_t, .x = r->at.input_x);
    r->path = NDE_INIT(nde_path, .channels = 1, .knots = KNOTS, .t = r->term_t, .x = r->at.term_x);
    r->noise = NDE_INIT(nde_noise, .seed = 5, .dim = 1);
    r->own_noise = NDE_INIT(nde_noise, .seed = 9);
    r->term[0] = NDE_INIT(nde_term, .field = &r->drive, .path = &r->path);
    r->term[1] = NDE_INIT(nde_term, .field = &r->drive, .noise = &r->noise, .kind = NDE_NOISE_GENERAL);
    r->term[2] =
        NDE_INIT(nde_term, .field = &r->plain, .noise = &r->own_noise, .kind = NDE_NOISE_DIAGONAL);
    if (set->noise) memcpy(r->term_t, far, sizeof far);
    r->problem = NDE_INIT(
        nde_problem, .n = n, .drift = &r->drift, .terms = r->term, .n_terms = set->noise ? 3 : 1,
        .quadrature = &r->loss, .input = &r->input, .y0 = r->at.y0, .p = r->at.p, .q = r->at.q,
        .t0 = t0, .t1 = t1, .calculus = set->noise ? NDE_ITO : 0, .jump_t = r->at.jump_t,
        .n_jumps = set->jumps ? JUMPS : 0, .jump = &r->jump, .jump_inputs = 1, .jump_u = r->at.jump_u);
    r->options = NDE_INIT(nde_options, .method = set->method, .steps = set->steps, .rtol = 1e-4,
                          .atol = 1e-6, .save_t = r->at.save_t, .n_save = SAVES, .stepping = set->joint,
                          .adjoint = NDE_ADJOINT_DISCRETE, .budget = (size_t)16 << 20);
    if (set->method == NDE_RKC2) r->options.spectral_radius = 120, r->options.stages = 30; /* by the length of each step */
}

static nde_solver *solve(rig *r, nde_solution *solution) {
    nde_solver *solver;
    *solution = (nde_solution){ 0 };
    if (nde_solver_create(&r->problem, &r->options, &solver))
        fail_msg("%s: %s", r->set.what, nde_error());
    if (nde_solver_run(solver, solution)) fail_msg("%s: %s", r->set.what, nde_solver_error(solver));
    return solver;
}

static void gradients(const rig *r, nde_solver *solver, const outputs *w, inputs *g) {
    memset(g, 0, sizeof *g);
    nde_real *const term_x[3] = { g->term_x, NULL, NULL };
    const nde_seed seed = NDE_INIT(nde_seed, .y = w->y, .y_end = w->y_end, .quadrature = w->quadrature);
    const nde_gradient to = NDE_INIT(nde_gradient, .y0 = g->y0, .p = g->p, .q = g->q, .t0 = g->t0,
                                     .t1 = g->t1, .save_t = g->save_t, .jump_t = g->jump_t,
                                     .jump_u = g->jump_u, .input_x = g->input_x, .term_x = term_x);
    if (nde_backward(solver, &seed, &to)) fail_msg("%s: %s", r->set.what, nde_error());
}

static double dot(const nde_real *a, const nde_real *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i]*(double)b[i];
    return sum;
}
static double dot_times(const double *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i]*b[i];
    return sum;
}

enum { KINDS = 10 };
static void products(const inputs *g, const inputs *v, size_t n, double *to) {
    const double all[KINDS] = {
        dot(g->y0, v->y0, 2*n),
        dot(g->p, v->p, 3),
        dot(g->q, v->q, n),
        dot_times(g->t0, v->t0, n),
        dot_times(g->t1, v->t1, n),
        dot_times(g->save_t, v->save_t, SAVES),
        dot_times(g->jump_t, v->jump_t, JUMPS),
        dot(g->jump_u, v->jump_u, JUMPS*n),
        dot(g->input_x, v->input_x, INPUT_KNOTS*n),
        dot(g->term_x, v->term_x, KNOTS*n),
    };
    memcpy(to, all, sizeof all);
}

static void draw(outputs *w, inputs *v, size_t n) {
    memset(w, 0, sizeof *w), memset(v, 0, sizeof *v);
    fill(w->y, SAVES*2*n, 0, 1), fill(w->y_end, 2*n, 0, 1), fill(w->quadrature, n, 0, 1);
    fill(v->y0, 2*n, 0, 1), fill(v->p, 3, 0, 1), fill(v->q, n, 0, 1),
        fill(v->jump_u, JUMPS*n, 0, 1);
    fill(v->input_x, INPUT_KNOTS*n, 0, 1), fill(v->term_x, KNOTS*n, 0, 1);
    const double a = number(), b = number(); /* one span for all: joint steps need it */
    for (size_t i = 0; i < n; i++) v->t0[i] = a, v->t1[i] = b;
    for (size_t i = 0; i < SAVES; i++) v->save_t[i] = number();
    for (size_t i = 0; i < JUMPS; i++) v->jump_t[i] = number();
}

static const setting settings[] = {
    { "euler", NDE_EULER, 30, 0, 0, 1, 0, 5 },
    { "rk4", NDE_RK4, 30, 0, 0, 1, 0, 5 },
    { "rk4 backwards", NDE_RK4, 30, 0, 0, 1, 1, 5 },
    { "dopri5", NDE_DOPRI5, 0, 0, 0, 1, 0, 5 },
    { "dopri5 alone", NDE_DOPRI5, 0, 0, 0, 1, 0, 1 },
    { "dopri5 joint", NDE_DOPRI5, 0, 1, 0, 1, 0, 7 },
    { "tsit5", NDE_TSIT5, 0, 0, 0, 1, 0, 3 },
    { "tsit5 backwards", NDE_TSIT5, 0, 0, 0, 1, 1, 3 },
    { "tsit5 fixed", NDE_TSIT5, 12, 0, 0, 1, 0, 3 },
    { "bosh3 refilled", NDE_BOSH3, 0, 0, 0, 1, 0, MOST },
    { "bosh3 joint", NDE_BOSH3, 0, 1, 0, 1, 0, MOST },
    { "vern6 refilled", NDE_VERN6, 0, 0, 0, 1, 0, MOST },
    { "vern7", NDE_VERN7, 0, 0, 0, 1, 0, 5 },
    { "vern8 alone", NDE_VERN8, 0, 0, 0, 1, 0, 1 },
    { "vern9 backwards", NDE_VERN9, 0, 0, 0, 1, 1, 3 },
    { "dop853 joint", NDE_DOP853, 0, 1, 0, 1, 0, 7 },
    { "dop853 fixed", NDE_DOP853, 4, 0, 0, 1, 0, 3 },
    { "heun fixed", NDE_HEUN, 30, 0, 0, 1, 0, 3 },
    { "alf refilled", NDE_ALF, 0, 0, 0, 1, 0, MOST },
    { "alf joint", NDE_ALF, 0, 1, 0, 1, 0, 7 },
    { "alf backwards", NDE_ALF, 30, 0, 0, 1, 1, 3 },
    { "reversible_heun refilled", NDE_REVERSIBLE_HEUN, 0, 0, 0, 1, 0, MOST },
    { "reversible_heun joint", NDE_REVERSIBLE_HEUN, 0, 1, 0, 1, 0, 7 },
    { "reversible_heun backwards", NDE_REVERSIBLE_HEUN, 30, 0, 0, 1, 1, 3 },
    { "adams_bashforth refilled", NDE_ADAMS_BASHFORTH, 30, 0, 0, 1, 0, MOST },
    { "adams_bashforth_moulton backwards", NDE_ADAMS_BASHFORTH_MOULTON, 30, 0, 0, 1, 1, MOST },
    { "adams_bashforth_moulton alone", NDE_ADAMS_BASHFORTH_MOULTON, 30, 0, 0, 1, 0, 1 },
    { "rkc2 refilled", NDE_RKC2, 0, 0, 0, 1, 0, MOST },
    { "rkc2 joint backwards", NDE_RKC2, 0, 1, 0, 1, 1, 7 },
    { "rkc2 alone", NDE_RKC2, 30, 0, 0, 1, 0, 1 },
    { "noise", 0, 60, 0, 1, 1, 0, 5 },
    { "noise refilled", 0, 60, 0, 1, 1, 0, MOST },
};

static void tangents_and_cotangents_agree(void **state) {
    (void)state;
    static rig r;
    static inputs v, g;
    static outputs w, out;
    for (size_t i = 0; i < sizeof settings/sizeof *settings; i++) {
        const size_t n = settings[i].n;
        nde_solution solution;
        make(&r, &settings[i]);
        nde_solver *solver = solve(&r, &solution);
        draw(&w, &v, n);
        gradients(&r, solver, &w, &g);
        const nde_real *const term_x[3] = { v.term_x, NULL, NULL };
        const nde_direction along = NDE_INIT(
            nde_direction, .y0 = v.y0, .p = v.p, .q = v.q, .t0 = v.t0, .t1 = v.t1, .save_t = v.save_t,
            .jump_t = v.jump_t, .jump_u = v.jump_u, .input_x = v.input_x, .term_x = term_x);
        const nde_output_tangent to =
            NDE_INIT(nde_output_tangent, .y = out.y, .y_end = out.y_end, .quadrature = out.quadrature);
        assert_int_equal(nde_forward(solver, &along, &to), NDE_OK);
        double back[KINDS], sum = 0;
        products(&g, &v, n, back);
        for (size_t k = 0; k < KINDS; k++) sum += back[k];
        const double ahead = dot(w.y, out.y, SAVES*2*n) + dot(w.y_end, out.y_end, 2*n) +
                             dot(w.quadrature, out.quadrature, n);
        const double size = sqrt(dot(w.y, w.y, SAVES*2*n) + dot(w.y_end, w.y_end, 2*n) +
                                 dot(w.quadrature, w.quadrature, n)) *
                            sqrt(dot(out.y, out.y, SAVES*2*n) + dot(out.y_end, out.y_end, 2*n) +
                                 dot(out.quadrature, out.quadrature, n));
        if (!(fabs(ahead - sum) <= TOLERANCE*size))
            fail_msg("%s: %.17g is not %.17g (size %g)", settings[i].what, ahead, sum, size);
        nde_solver_destroy(solver);
    }
}

/* Equal bits from the tape down to a few checkpoints, whatever falls back on the way. */
static void every_record_gives_the_same_bits(void **state) {
    (void)state;
    static rig r;
    static inputs v, first, g;
    static outputs w;
    for (size_t i = 0; i < sizeof settings/sizeof *settings; i++) {
        int seen[NDE_RECORD_CHECKPOINTS + 1] = { 0 };
        size_t needed = 0;
        for (int form = NDE_RECORD_TAPE; form <= NDE_RECORD_CHECKPOINTS + 6; form++) {
            nde_solution solution;
            make(&r, &settings[i]);
            if (form <= NDE_RECORD_CHECKPOINTS) r.options.record = form;
            /* 100 ... 50 % of the states */
            else
                r.options.budget = needed*(size_t)(11 - (form - NDE_RECORD_CHECKPOINTS))/10 + 256;
            nde_solver *solver;
            assert_int_equal(nde_solver_create(&r.problem, &r.options, &solver), NDE_OK);
            solution = (nde_solution){ 0 };
            const nde_status status = nde_solver_run(solver, &solution);
            /* no room even for the scalars: said so */
            if (form > NDE_RECORD_CHECKPOINTS && status != NDE_OK) {
                assert_true(status == NDE_E_BUDGET || status == NDE_E_LANES);
                nde_solver_destroy(solver);
                continue;
            }
            assert_int_equal(status, NDE_OK);
            if (form == NDE_RECORD_STATES) needed = solution.record_bytes;
            seen[solution.record]++;
            seed_of_numbers = 11;
            draw(&w, &v, settings[i].n);
            gradients(&r, solver, &w, form == NDE_RECORD_TAPE ? &first : &g);
            if (form != NDE_RECORD_TAPE && memcmp(&first, &g, sizeof g))
                fail_msg("%s: form %d differs", settings[i].what, form);
            nde_solver_destroy(solver);
        }
        if (!seen[NDE_RECORD_TAPE] || !seen[NDE_RECORD_STAGES] || !seen[NDE_RECORD_STATES] ||
            seen[NDE_RECORD_CHECKPOINTS] < 2)
            fail_msg("%s: forms seen %d %d %d %d", settings[i].what, seen[1], seen[2], seen[3],
                     seen[4]);
    }
}

#ifndef NDE_TEST_SINGLE
static const char *const kind[KINDS] = { "y0",     "p",      "q",      "t0",      "t1",
                                         "save_t", "jump_t", "jump_u", "input_x", "term_x" };

/* The linear functional of the outputs at the inputs moved by e along one kind of v. */
static double moved(const setting *set, const outputs *w, const inputs *v, size_t k, double e) {
    static rig r;
    const size_t n = set->n;
    make(&r, set);
    r.options.adjoint = 0;
    nde_real *to[KINDS] = { r.at.y0, r.at.p, r.at.q,      NULL,         NULL,
                            NULL,    NULL,   r.at.jump_u, r.at.input_x, r.at.term_x };
    const nde_real *from[KINDS] = { v->y0, v->p, v->q,      NULL,       NULL,
                                    NULL,  NULL, v->jump_u, v->input_x, v->term_x };
    const size_t count[KINDS] = { 2*n, 3, n, 0, 0, 0, 0, JUMPS*n, INPUT_KNOTS*n, KNOTS*n };
    for (size_t i = 0; i < count[k]; i++) to[k][i] += e*from[k][i];
    if (k == 3) r.problem.t0 += e*v->t0[0];
    if (k == 4) r.problem.t1 += e*v->t1[0];
    for (size_t i = 0; k == 5 && i < SAVES; i++) r.at.save_t[i] += e*v->save_t[i];
    nde_solution out;
    nde_solver *solver = solve(&r, &out);
    const double value = dot(w->y, out.y, SAVES*2*n) + dot(w->y_end, out.y_end, 2*n) +
                         dot(w->quadrature, out.quadrature, n);
    nde_solver_destroy(solver);
    return value;
}

/* Fixed steps: the gradient is the derivative of the program itself. Times of segments only without
 * jumps and knots inside, which hold nodes on both sides in place. */
static void fixed_steps_match_differences(void **state) {
    (void)state;
    static const setting programs[] = {
        { "rk4 with jumps", NDE_RK4, 30, 0, 0, 1, 0, 4 },
        { "rk4", NDE_RK4, 30, 0, 0, 0, 0, 4 },
        { "tsit5", NDE_TSIT5, 13, 0, 0, 0, 0, 4 },
        { "bosh3 backwards", NDE_BOSH3, 17, 0, 0, 0, 1, 4 },
        { "vern7 with jumps", NDE_VERN7, 4, 0, 0, 1, 0, 4 },
        { "vern6", NDE_VERN6, 3, 0, 0, 0, 0, 4 },
        { "dop853 backwards", NDE_DOP853, 2, 0, 0, 0, 1, 4 },
        { "alf with jumps", NDE_ALF, 30, 0, 0, 1, 0, 4 },
        { "reversible_heun", NDE_REVERSIBLE_HEUN, 30, 0, 0, 0, 0, 4 },
        { "adams_bashforth_moulton with jumps", NDE_ADAMS_BASHFORTH_MOULTON, 30, 0, 0, 1, 0, 4 },
        { "adams_bashforth backwards", NDE_ADAMS_BASHFORTH, 30, 0, 0, 0, 1, 4 },
        { "rkc2 with jumps", NDE_RKC2, 20, 0, 0, 1, 0, 4 },
        { "rkc2 backwards", NDE_RKC2, 20, 0, 0, 0, 1, 4 },
        { "noise with jumps", 0, 60, 0, 1, 1, 0, 4 },
        { "noise", 0, 60, 0, 1, 0, 0, 4 },
    };
    static rig r;
    static inputs v, g;
    static outputs w;
    for (size_t i = 0; i < sizeof programs/sizeof *programs; i++) {
        nde_solution solution;
        make(&r, &programs[i]);
        nde_solver *solver = solve(&r, &solution);
        draw(&w, &v, programs[i].n);
        gradients(&r, solver, &w, &g);
        nde_solver_destroy(solver);
        double back[KINDS], size = 0;
        products(&g, &v, programs[i].n, back);
        for (size_t k = 0; k < KINDS; k++) size += fabs(back[k]);
        for (size_t k = 0; k < KINDS; k++) {
            if (programs[i].jumps && (k == 3 || k == 4 || k == 6)) continue;
            if (!programs[i].jumps && (k == 6 || k == 7)) continue;
            const double h = 1e-3; /* Richardson: error h^4 */
            const double wide =
                (moved(&programs[i], &w, &v, k, h) - moved(&programs[i], &w, &v, k, -h))/(2*h);
            const double narrow =
                (moved(&programs[i], &w, &v, k, h/2) - moved(&programs[i], &w, &v, k, -h/2))/h;
            const double difference = (4*narrow - wide)/3;
            /* increments of noise are multiples of 2^-44 of its size: times move them in steps */
            const double allowed = programs[i].noise && (k == 3 || k == 4) ? 1e-7 : 1e-8;
            if (!(fabs(difference - back[k]) <= allowed*size))
                fail_msg("%s, %s: %.12g, by differences %.12g", programs[i].what, kind[k], back[k],
                         difference);
        }
    }
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tangents_and_cotangents_agree),
        cmocka_unit_test(every_record_gives_the_same_bits),
#ifndef NDE_TEST_SINGLE
        cmocka_unit_test(fixed_steps_match_differences),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
