/* SPDX-License-Identifier: MIT
 * models.h - fields for tests from their formula: one trajectory's value and whole Jacobian, in double. The field made of it
 * has eval, vjp and jvp, with a tape or without, in both precisions. */
#ifndef NDE_TESTS_MODELS_H
#define NDE_TESTS_MODELS_H

#include <math.h>
#include <string.h>

enum { MODEL_ROWS = 4, MODEL_INPUTS = 32 };

/* What a formula sees of its lane. */
typedef struct model_at {
    double t, interval;
    const double *y, *u, *p, *q;
} model_at;

/* f [out], j [out][y | u | p | q | t]: zero before. */
typedef struct model {
    size_t dim, out, nu, np, nq;
    void (*formula)(const model_at *at, double *f, double (*j)[MODEL_INPUTS]);
} model;

static inline size_t model_columns(const model *m) { return m->dim + m->nu + m->np + m->nq + 1; }

static inline void model_fill(size_t rows, const nde_real *from, size_t stride, double *to) {
    for (size_t i = 0; i < rows; i++) to[i] = (double)from[i*stride];
}

static inline void model_value(const model *m, const nde_site *at, const nde_real *y, size_t b, double *f,
                               double (*j)[MODEL_INPUTS]) {
    double x[4][MODEL_INPUTS];
    const nde_real *p = at->p, *u = at->u, *q = at->q;
    model_fill(m->dim, y + b, at->ld, x[0]);
    if (m->nu) model_fill(m->nu, u + b, at->ld, x[1]);
    if (m->np) model_fill(m->np, p, 1, x[2]);
    if (m->nq) model_fill(m->nq, q + b, at->ld, x[3]);
    memset(j, 0, m->out*sizeof *j);
    const model_at lane = { at->t[b], (double)at->interval[b], x[0], x[1], x[2], x[3] };
    m->formula(&lane, f, j);
}

/* The tape: the Jacobian, by rows. */
static inline int model_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const model *m = self->ctx;
    double f[MODEL_ROWS], j[MODEL_ROWS][MODEL_INPUTS];
    for (size_t b = 0; b < at->n; b++) {
        model_value(m, at, y, b, f, j);
        for (size_t i = 0; i < m->out; i++) dy[i*at->ld + b] = (nde_real)f[i];
        for (size_t k = 0; at->tape && k < self->tape; k++)
            at->tape[k*at->tape_ld + b] = (nde_real)j[k/model_columns(m)][k%model_columns(m)];
    }
    return 0;
}

static inline double model_entry(const nde_field *self, const nde_site *at, double (*j)[MODEL_INPUTS], size_t i, size_t k,
                                 size_t b) {
    if (!at->tape || !self->tape) return (double)(nde_real)j[i][k];
    return (double)at->tape[(i*model_columns(self->ctx) + k)*at->tape_ld + b];
}

static inline int model_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a,
                            nde_cotangent *to) {
    const model *m = self->ctx;
    double f[MODEL_ROWS], j[MODEL_ROWS][MODEL_INPUTS] = { { 0 } };
    for (size_t b = 0; b < at->n; b++) {
        if (!at->tape || !self->tape) model_value(m, at, y, b, f, j);
        for (size_t k = 0; k < model_columns(m); k++) {
            double sum = 0;
            for (size_t i = 0; i < m->out; i++) sum += model_entry(self, at, j, i, k, b)*(double)a[i*at->ld + b];
            size_t r = k;
            if (r < m->dim) {
                if (to->y) to->y[r*at->ld + b] += (nde_real)sum;
            } else if ((r -= m->dim) < m->nu) {
                if (to->u) to->u[r*at->ld + b] += (nde_real)sum;
            } else if ((r -= m->nu) < m->np) {
                if (to->p) to->p[r] += sum;
            } else if ((r -= m->np) < m->nq) {
                if (to->q) to->q[r*at->ld + b] += (nde_real)sum;
            } else if (to->t) {
                to->t[b] += sum;
            }
        }
    }
    return 0;
}

static inline int model_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const model *m = self->ctx;
    double f[MODEL_ROWS], j[MODEL_ROWS][MODEL_INPUTS];
    const size_t ld = at->ld;
    for (size_t b = 0; b < at->n; b++) {
        model_value(m, at, y, b, f, j);
        for (size_t i = 0; i < m->out; i++) {
            const double *row = j[i];
            double sum = 0;
            for (size_t k = 0; k < m->dim; k++, row++) sum += *row*(v->y ? (double)v->y[k*ld + b] : 0);
            for (size_t k = 0; k < m->nu; k++, row++) sum += *row*(v->u ? (double)v->u[k*ld + b] : 0);
            for (size_t k = 0; k < m->np; k++, row++) sum += *row*(v->p ? (double)v->p[k] : 0);
            for (size_t k = 0; k < m->nq; k++, row++) sum += *row*(v->q ? (double)v->q[k*ld + b] : 0);
            dv[i*ld + b] = (nde_real)(sum + *row*(v->t ? v->t[b] : 0));
        }
    }
    return 0;
}

static inline nde_field model_field(const char *name, const model *m, bool tape) {
    return NDE_INIT(nde_field, .name = name, .ctx = m, .dim = m->dim, .out = m->out, .nu = m->nu, .np = m->np, .nq = m->nq,
                    .tape = tape ? m->out*model_columns(m) : 0, .traits = NDE_LANEWISE, .eval = model_eval,
                    .vjp = model_vjp, .jvp = model_jvp);
}

/* ---- the formulas ------------------------------------------------------------------------------------------------- */

/* Source: E. Lorenz, J. Atmos. Sci. 20 (1963) 130-141. */
static inline void lorenz_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y, *p = x->p;
    f[0] = p[0]*(y[1] - y[0]), f[1] = y[0]*(p[1] - y[2]) - y[1], f[2] = y[0]*y[1] - p[2]*y[2];
    j[0][0] = -p[0], j[0][1] = p[0], j[0][3] = y[1] - y[0];
    j[1][0] = p[1] - y[2], j[1][1] = -1, j[1][2] = -y[0], j[1][4] = y[0];
    j[2][0] = y[1], j[2][1] = y[0], j[2][2] = -p[2], j[2][5] = -y[2];
}
static const model lorenz_model = { 3, 3, 0, 3, 0, lorenz_formula };

/* A driven Duffing oscillator, q = (frequency, drive). */
static inline void duffing_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y, *p = x->p, *q = x->q, force = y[0] + p[0]*y[0]*y[0]*y[0], drive = cos(x->t);
    f[0] = q[0]*y[1], f[1] = -q[0]*force - p[1]*y[1] + q[1]*drive;
    j[0][1] = q[0], j[0][4] = y[1];
    j[1][0] = -q[0]*(1 + 3*p[0]*y[0]*y[0]), j[1][1] = -p[1], j[1][2] = -q[0]*y[0]*y[0]*y[0], j[1][3] = -y[1];
    j[1][4] = -force, j[1][5] = drive, j[1][6] = -q[1]*sin(x->t);
}
static const model duffing_model = { 2, 2, 0, 2, 2, duffing_formula };

/* Geometric Brownian motion: p = (drift, volatility). */
static inline void growth_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    for (size_t i = 0; i < 2; i++) f[i] = x->p[0]*x->y[i], j[i][i] = x->p[0], j[i][2] = x->y[i];
}
static inline void volatility_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    for (size_t i = 0; i < 2; i++) f[i] = x->p[1]*x->y[i], j[i][i] = x->p[1], j[i][3] = x->y[i];
}
static const model growth_model = { 2, 2, 0, 2, 0, growth_formula }, volatility_model = { 2, 2, 0, 2, 0, volatility_formula };

/* Three general noises: sum_c g_ic(y) u_c; depends on t and y. */
static inline void general_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    for (size_t i = 0; i < 2; i++) {
        f[i] = 0;
        for (size_t c = 0; c < 3; c++) {
            const double s = sin((double)(c + 1)*x->y[i] + x->t), d = cos((double)(c + 1)*x->y[i] + x->t);
            f[i] += x->p[1]*s*x->u[c];
            j[i][i] += x->p[1]*(double)(c + 1)*d*x->u[c], j[i][2 + c] = x->p[1]*s, j[i][6] += s*x->u[c];
            j[i][7] += x->p[1]*d*x->u[c];
        }
    }
}
static const model general_model = { 2, 2, 3, 2, 0, general_formula };

/* A controlled equation: sum_c tanh(w_ic) u_{1+c}, where u_0 is the value of the input. */
static inline void controlled_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    for (size_t i = 0; i < 3; i++) {
        const size_t next = (i + 1)%3;
        f[i] = 0;
        for (size_t c = 0; c < 2; c++) {
            const size_t first = (i*2 + c)*3;
            const double *p = x->p + first, dx = x->u[1 + c];
            const double w = tanh(p[0]*x->y[i] + p[1]*x->y[next] + p[2] + 0.3*x->u[0] + 0.1*x->t), d = (1 - w*w)*dx;
            f[i] += w*dx;
            j[i][i] += d*p[0], j[i][next] += d*p[1], j[i][3] += 0.3*d, j[i][4 + c] = w;
            j[i][6 + first] = d*x->y[i], j[i][6 + first + 1] = d*x->y[next], j[i][6 + first + 2] = d, j[i][24] += 0.1*d;
        }
    }
}
static const model controlled_model = { 3, 3, 3, 18, 0, controlled_formula };

/* Its drift, driven by the input. */
static inline void relaxing_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    for (size_t i = 0; i < 3; i++)
        f[i] = x->u[0]*x->u[0] - 0.5*x->y[i]*x->y[i], j[i][i] = -x->y[i], j[i][3] = 2*x->u[0];
}
static const model relaxing_model = { 3, 3, 1, 0, 0, relaxing_formula };

/* Two pendulums on a spring, separable and driven: q' = F1(t, v), v' = F2(t, q). */
static inline void pendulums_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y, *p = x->p, stretch = 1 + 0.1*sin(x->t);
    for (size_t i = 0; i < 2; i++) {
        const double other = y[1 - i] - y[i];
        f[i] = y[2 + i]*stretch, f[2 + i] = -p[0]*sin(y[i]) + p[1]*other + x->q[0]*cos(x->t);
        j[i][2 + i] = stretch, j[i][7] = 0.1*y[2 + i]*cos(x->t);
        j[2 + i][i] = -p[0]*cos(y[i]) - p[1], j[2 + i][1 - i] = p[1], j[2 + i][4] = -sin(y[i]), j[2 + i][5] = other;
        j[2 + i][6] = cos(x->t), j[2 + i][7] = -x->q[0]*sin(x->t);
    }
}
static const model pendulums_model = { 4, 4, 0, 2, 1, pendulums_formula };

/* The same without the time in q' = v: what a Nystrom method is for. */
static inline void swings_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    pendulums_formula(x, f, j);
    for (size_t i = 0; i < 2; i++) f[i] = x->y[2 + i], j[i][2 + i] = 1, j[i][7] = 0;
}
static const model swings_model = { 4, 4, 0, 2, 1, swings_formula };

/* Two reactants, what is counted of them, and doses. */
static inline void reaction_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y, *p = x->p;
    f[0] = -p[0]*y[0]*y[1] + sin(x->t), f[1] = p[0]*y[0]*y[1] - p[1]*y[1];
    j[0][0] = -p[0]*y[1], j[0][1] = -p[0]*y[0], j[0][2] = -y[0]*y[1], j[0][5] = cos(x->t);
    j[1][0] = p[0]*y[1], j[1][1] = p[0]*y[0] - p[1], j[1][2] = y[0]*y[1], j[1][3] = -y[1];
}
static inline void count_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y, *p = x->p;
    f[0] = p[2]*y[0]*y[0] + x->t*y[1], f[1] = y[0]*y[1];
    j[0][0] = 2*p[2]*y[0], j[0][1] = x->t, j[0][4] = y[0]*y[0], j[0][5] = y[1];
    j[1][0] = y[1], j[1][1] = y[0];
}
static inline void dose_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y, *p = x->p, *u = x->u;
    f[0] = y[0] + u[0]*(1 + p[2]*y[1]) + 0.1*x->t, f[1] = p[0]*y[1] + u[1]*y[0] + 0.05*x->interval;
    j[0][0] = 1, j[0][1] = u[0]*p[2], j[0][2] = 1 + p[2]*y[1], j[0][6] = u[0]*y[1], j[0][7] = 0.1;
    j[1][0] = u[1], j[1][1] = p[0], j[1][3] = y[0], j[1][4] = y[1];
}
static const model reaction_model = { 2, 2, 0, 3, 0, reaction_formula }, count_model = { 2, 2, 0, 3, 0, count_formula },
                   dose_model = { 2, 2, 2, 3, 0, dose_formula };

/* y' = A y, with the rows of A as parameters. */
static inline void linear_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 2; k++) {
            f[i] = (k ? f[i] : 0) + x->p[2*i + k]*x->y[k];
            j[i][k] = x->p[2*i + k], j[i][2 + 2*i + k] = x->y[k];
        }
}
static const model linear_model = { 2, 2, 0, 4, 0, linear_formula };

/* Hares and lynxes. Source: V. Volterra, Nature 118 (1926) 558-560. */
static inline void lotka_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y, *p = x->p;
    f[0] = y[0]*(p[0] - p[1]*y[1]), f[1] = y[1]*(p[2]*y[0] - p[3]);
    j[0][0] = p[0] - p[1]*y[1], j[0][1] = -p[1]*y[0], j[0][2] = y[0], j[0][3] = -y[0]*y[1];
    j[1][0] = p[2]*y[1], j[1][1] = p[2]*y[0] - p[3], j[1][4] = y[0]*y[1], j[1][5] = -y[1];
}
static const model lotka_model = { 2, 2, 0, 4, 0, lotka_formula };

/* The cubic spiral. Source: R. Chen et al., NeurIPS (2018). */
static inline void spiral_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 2; k++) {
            const double cube = x->y[k]*x->y[k]*x->y[k];
            f[i] = (k ? f[i] : 0) + x->p[2*i + k]*cube;
            j[i][k] = 3*x->p[2*i + k]*x->y[k]*x->y[k], j[i][2 + 2*i + k] = cube;
        }
}
static const model spiral_model = { 2, 2, 0, 4, 0, spiral_formula };

#endif
