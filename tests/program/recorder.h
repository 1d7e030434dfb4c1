/* SPDX-License-Identifier: MIT
 * recorder.h - programs twice: as calls of the builder, and as a list that a naive evaluator reads, one lane at a time in
 * double. */
#ifndef NDE_TESTS_RECORDER_H
#define NDE_TESTS_RECORDER_H

#include <math.h>
#include <string.h>

#include "../field/rig.h"
#include "create.h"

enum { REC_DIM = 5, REC_NU = 3, REC_NP = 24, REC_NQ = 2, REC_ROWS = 12, REC_STEPS = 64 };

/* name, operands (2 and 3: rows go together), smooth everywhere. The S_ ones keep their operands where the function is
 * defined. */
#define RECORD_LIST(X)                                                                                            \
    X(T, 0, 1) X(Y, 0, 1) X(U, 0, 1) X(P, 0, 1) X(Q, 0, 1) X(CONSTANT, 0, 1) X(CONSTANTS, 0, 1)                   \
    X(ADD, 2, 1) X(SUB, 2, 1) X(MUL, 2, 1) X(S_DIV, 2, 1) X(NEG, 1, 1) X(S_SQRT, 1, 1) X(SQUARE, 1, 1)            \
    X(S_EXP, 1, 1) X(S_EXPM1, 1, 1) X(S_LOG, 1, 1) X(S_LOG1P, 1, 1) X(SIN, 1, 1) X(COS, 1, 1) X(S_TAN, 1, 1)      \
    X(S_SINH, 1, 1) X(S_COSH, 1, 1) X(TANH, 1, 1) X(ERF, 1, 1) X(SOFTPLUS, 1, 1) X(SILU, 1, 1) X(GELU, 1, 1)      \
    X(SIGMOID, 1, 1) X(ACT_SIN, 1, 1) X(LIPSWISH, 1, 1) X(CUBE, 1, 1) X(S_POW, 2, 1) X(S_INVERSE, 1, 1)           \
    X(BLEND, 3, 1) X(ELU, 1, 0) X(RELU, 1, 0) X(ABS, 1, 0) X(SIGN, 1, 0) X(MAXIMUM, 2, 0) X(MINIMUM, 2, 0)        \
    X(LESS, 2, 0) X(LESS_EQUAL, 2, 0) X(SELECT, 3, 0)                                                             \
    X(CUT, 1, 1) X(CONCAT, 1, 1) X(GATHER, 1, 1) X(SCATTER, 1, 1) X(REPEAT, 1, 1) X(SUM, 1, 1)                    \
    X(DOT, 2, 1) X(CROSS, 2, 1) X(MATVEC, 2, 1) X(MATVEC_TRANSPOSED, 2, 1) X(OUTER, 2, 1) X(DENSE, 1, 1)          \
    X(MATMUL, 2, 1) X(MATMUL_TRANSPOSED, 2, 1) X(SOFTMAX, 1, 1) X(ATTENTION, 3, 1) X(CSR_MATVEC, 2, 1)            \
    X(CSR_COLUMNS, 1, 1) X(CSR_ROWS, 1, 1) X(CSR_SUM, 1, 1) X(CONVOLVE, 2, 1) RECORD_FFTW(X)                      \
    X(INDEPENDENT, 1, 1)
#ifdef NDE_TEST_FFTW
#define RECORD_FFTW(X) X(FFT, 1, 1) X(FFT_INVERSE, 1, 1)
#else
#define RECORD_FFTW(X)
#endif

enum {
#define X(name, operands, smooth) REC_##name,
    RECORD_LIST(X)
#undef X
    REC_COUNT
};
static const char *const rec_names[] = {
#define X(name, operands, smooth) #name,
    RECORD_LIST(X)
#undef X
};
static const int rec_operands[] = {
#define X(name, operands, smooth) operands,
    RECORD_LIST(X)
#undef X
};
static const bool rec_smooth[] = {
#define X(name, operands, smooth) smooth,
    RECORD_LIST(X)
#undef X
};

typedef struct rec_step {
    int op, x[3];
    size_t first, rows; /* side of a matrix, width, centre ...; rows of the result */
    double value;
    size_t index[REC_ROWS];
} rec_step;

typedef struct recording {
    rec_step step[REC_STEPS];
    int count;
} recording;

/* ---- the calls ---- */

static inline nde_var rec_safe(nde_program *g, nde_var x) { return nde_add(g, nde_square(g, x), nde_constant(g, 1)); }

/* A matrix of `rows`, some of them empty, with entries in the columns of step s. start [rows + 1]. */
static inline nde_csr rec_csr(const rec_step *s, size_t rows, size_t columns, size_t entries, size_t *start) {
    for (size_t i = 0; i <= rows; i++) start[i] = i*i*entries/(rows*rows);
    return NDE_INIT(nde_csr, .rows = rows, .columns = columns, .start = start, .column = s->index);
}

static inline nde_var rec_build(nde_program *g, const rec_step *s, const nde_var *v) {
    const nde_var none = { 0 }, a = rec_operands[s->op] > 0 ? v[s->x[0]] : none,
        b = rec_operands[s->op] > 1 ? v[s->x[1]] : none;
    const nde_var c = rec_operands[s->op] > 2 ? v[s->x[2]] : none;
    double values[REC_ROWS];
    size_t start[REC_ROWS + 1], na = nde_var_rows(g, a), nb = nde_var_rows(g, b);
    nde_csr csr;
    switch (s->op) {
    case REC_T: return nde_t(g);
    case REC_Y: return nde_y(g, s->first, s->rows);
    case REC_U: return nde_u(g, s->first, s->rows);
    case REC_P: return nde_p(g, s->first, s->rows);
    case REC_Q: return nde_q(g, s->first, s->rows);
    case REC_CONSTANT: return nde_constant(g, s->value);
    case REC_CONSTANTS:
        for (size_t i = 0; i < s->rows; i++) values[i] = s->value*(double)(i + 1);
        return nde_constants(g, values, s->rows);
    case REC_ADD: return nde_add(g, a, b);
    case REC_SUB: return nde_sub(g, a, b);
    case REC_MUL: return nde_mul(g, a, b);
    case REC_S_DIV: return nde_div(g, a, rec_safe(g, b));
    case REC_NEG: return nde_neg(g, a);
    case REC_S_SQRT: return nde_sqrt(g, rec_safe(g, a));
    case REC_SQUARE: return nde_square(g, a);
    case REC_S_EXP: return nde_exp(g, nde_tanh(g, a));
    case REC_S_EXPM1: return nde_expm1(g, nde_tanh(g, a));
    case REC_S_LOG: return nde_log(g, rec_safe(g, a));
    case REC_S_LOG1P: return nde_log1p(g, nde_square(g, a));
    case REC_SIN: return nde_sin(g, a);
    case REC_COS: return nde_cos(g, a);
    case REC_S_TAN: return nde_tan(g, nde_tanh(g, a));
    case REC_S_SINH: return nde_sinh(g, nde_tanh(g, a));
    case REC_S_COSH: return nde_cosh(g, nde_tanh(g, a));
    case REC_TANH: return nde_tanh(g, a);
    case REC_ERF: return nde_erf(g, a);
    case REC_SOFTPLUS: return nde_activate(g, NDE_SOFTPLUS, a);
    case REC_SILU: return nde_activate(g, NDE_SILU, a);
    case REC_GELU: return nde_activate(g, NDE_GELU, a);
    case REC_SIGMOID: return nde_activate(g, NDE_SIGMOID, a);
    case REC_ACT_SIN: return nde_activate(g, NDE_SIN, a);
    case REC_LIPSWISH: return nde_activate(g, NDE_LIPSWISH, a);
    case REC_CUBE: return nde_pow(g, a, nde_constant(g, 3));
    case REC_S_POW: return nde_pow(g, rec_safe(g, a), nde_tanh(g, b));
    case REC_S_INVERSE: return nde_pow(g, rec_safe(g, a), nde_constant(g, -2));
    case REC_BLEND: return nde_blend(g, a, b, c, 0.7);
    case REC_ELU: return nde_activate(g, NDE_ELU, a);
    case REC_RELU: return nde_activate(g, NDE_RELU, a);
    case REC_ABS: return nde_abs(g, a);
    case REC_SIGN: return nde_sign(g, a);
    case REC_MAXIMUM: return nde_maximum(g, a, b);
    case REC_MINIMUM: return nde_minimum(g, a, b);
    case REC_LESS: return nde_less(g, a, b);
    case REC_LESS_EQUAL: return nde_less_equal(g, a, b);
    case REC_SELECT: return nde_select(g, a, b, c);
    case REC_CUT: return nde_cut(g, a, s->first, s->rows);
    case REC_CONCAT: return nde_concat(g, (nde_var[]){ a, nde_square(g, a), a }, 3);
    case REC_GATHER: return nde_gather(g, a, s->index, s->rows);
    case REC_SCATTER: return nde_scatter(g, a, s->index, s->rows);
    case REC_REPEAT: return nde_repeat(g, a, s->rows);
    case REC_SUM: return nde_sum(g, a);
    case REC_DOT: return nde_dot(g, a, b);
    case REC_CROSS: return nde_cross(g, a, b);
    case REC_MATVEC: return nde_matvec(g, a, b);
    case REC_MATVEC_TRANSPOSED: return nde_matvec_transposed(g, a, b);
    case REC_OUTER: return nde_outer(g, a, b);
    case REC_DENSE: return nde_dense(g, NDE_TANH, s->first, s->rows, a);
    case REC_MATMUL: return nde_matmul(g, a, b, s->first);
    case REC_MATMUL_TRANSPOSED: return nde_matmul_transposed(g, a, b, s->first);
    case REC_SOFTMAX: return nde_softmax(g, a, s->first);
    case REC_ATTENTION: return nde_attention(g, a, b, c, s->first);
    case REC_CSR_MATVEC: csr = rec_csr(s, s->rows, nb, na == 1 ? 4 : na, start); return nde_csr_matvec(g, &csr, a, b);
    case REC_CSR_COLUMNS: csr = rec_csr(s, 3, na/s->first, s->rows/s->first, start); return nde_csr_columns(g, &csr, a);
    case REC_CSR_ROWS: csr = rec_csr(s, na/s->first, REC_ROWS, s->rows/s->first, start); return nde_csr_rows(g, &csr, a);
    case REC_CSR_SUM: csr = rec_csr(s, s->rows/s->first, REC_ROWS, na/s->first, start); return nde_csr_sum(g, &csr, a);
    case REC_CONVOLVE: return nde_convolve(g, a, b, s->first);
#ifdef NDE_TEST_FFTW
    case REC_FFT: return nde_fft(g, a);
    case REC_FFT_INVERSE: return nde_fft_inverse(g, a);
#endif
    default: return nde_independent(g, a);
    }
}

/* ---- the naive evaluator: values of one lane, [REC_ROWS] a step ---- */

typedef struct rec_lane {
    double t, y[REC_DIM], u[REC_NU], p[REC_NP], q[REC_NQ];
} rec_lane;

static inline double rec_sigmoid(double x) { return 1/(1 + exp(-x)); }

static inline double rec_entry(int op, double a, double b, double c) {
    switch (op) {
    case REC_ADD: return a + b;
    case REC_SUB: return a - b;
    case REC_MUL: return a*b;
    case REC_S_DIV: return a/(b*b + 1);
    case REC_NEG: return -a;
    case REC_S_SQRT: return sqrt(a*a + 1);
    case REC_SQUARE: return a*a;
    case REC_S_EXP: return exp(tanh(a));
    case REC_S_EXPM1: return expm1(tanh(a));
    case REC_S_LOG: return log(a*a + 1);
    case REC_S_LOG1P: return log1p(a*a);
    case REC_SIN: case REC_ACT_SIN: return sin(a);
    case REC_COS: return cos(a);
    case REC_S_TAN: return tan(tanh(a));
    case REC_S_SINH: return sinh(tanh(a));
    case REC_S_COSH: return cosh(tanh(a));
    case REC_TANH: return tanh(a);
    case REC_ERF: return erf(a);
    case REC_SOFTPLUS: return a > 0 ? a + log1p(exp(-a)) : log1p(exp(a));
    case REC_SILU: return a*rec_sigmoid(a);
    case REC_GELU: return a*0.5*erfc(-a/sqrt(2));
    case REC_SIGMOID: return rec_sigmoid(a);
    case REC_LIPSWISH: return a*rec_sigmoid(a)/1.1;
    case REC_CUBE: return a*a*a;
    case REC_S_POW: return pow(a*a + 1, tanh(b));
    case REC_S_INVERSE: return 1/((a*a + 1)*(a*a + 1));
    case REC_BLEND: return c + rec_sigmoid(a/0.7)*(b - c);
    case REC_ELU: return a > 0 ? a : expm1(a);
    case REC_RELU: return a > 0 ? a : 0;
    case REC_ABS: return fabs(a);
    case REC_SIGN: return a > 0 ? 1 : a < 0 ? -1 : 0;
    case REC_MAXIMUM: return a > b ? a : b;
    case REC_MINIMUM: return a < b ? a : b;
    case REC_LESS: return a < b;
    case REC_LESS_EQUAL: return a <= b;
    default: return a > 0 ? b : c; /* select */
    }
}

/* exp(x_i) over the sum of all, which may be too large. */
static inline double rec_share(const double *x, size_t n, size_t i) {
    double sum = 0;
    for (size_t j = 0; j < n; j++) sum += exp(x[j] - x[i]);
    return 1/sum;
}

/* Row i of softmax(q k'/sqrt(d)) v, v [m][width]. */
static inline double rec_attention(const double *q, const double *k, const double *v, size_t d, size_t m, size_t width,
                                   size_t i) {
    double score[REC_ROWS] = { 0 }, sum = 0;
    for (size_t j = 0; j < m; j++)
        for (size_t r = 0; r < d; r++) score[j] += q[i/width*d + r]*k[j*d + r]/sqrt((double)d);
    for (size_t j = 0; j < m; j++) sum += rec_share(score, m, j)*v[j*width + i%width];
    return sum;
}

/* Entry (m, j) of the transform of n rows: cosines, then sines. */
static inline double rec_wave(size_t m, size_t j, size_t n) {
    const double angle = 6.283185307179586477*(double)(j*m%n)/(double)n;
    return 2*m <= n ? cos(angle) : sin(angle);
}

static inline void rec_eval(const recording *r, int k, const rec_lane *lane, double v[][REC_ROWS]) {
    const rec_step *s = &r->step[k];
    const int operands = rec_operands[s->op];
    const double *a = operands > 0 ? v[s->x[0]] : NULL, *b = operands > 1 ? v[s->x[1]] : NULL,
        *c = operands > 2 ? v[s->x[2]] : NULL;
    const size_t na = operands > 0 ? r->step[s->x[0]].rows : 0, nb = operands > 1 ? r->step[s->x[1]].rows : 0;
    const size_t nc = operands > 2 ? r->step[s->x[2]].rows : 0;
    double *to = v[k];
    size_t start[REC_ROWS + 1];
    memset(to, 0, sizeof(double[REC_ROWS]));
    for (size_t i = 0; i < s->rows; i++) {
        switch (s->op) {
        case REC_T: to[i] = lane->t; break;
        case REC_Y: to[i] = lane->y[s->first + i]; break;
        case REC_U: to[i] = lane->u[s->first + i]; break;
        case REC_P: to[i] = lane->p[s->first + i]; break;
        case REC_Q: to[i] = lane->q[s->first + i]; break;
        case REC_CONSTANT: to[i] = s->value; break;
        case REC_CONSTANTS: to[i] = s->value*(double)(i + 1); break;
        case REC_CUT: to[i] = a[s->first + i]; break;
        case REC_CONCAT: to[i] = i < na ? a[i] : i < 2*na ? a[i - na]*a[i - na] : a[i - 2*na]; break;
        case REC_GATHER: to[i] = a[s->index[i]]; break;
        case REC_SCATTER:
            for (size_t j = 0; j < na; j++) to[i] += s->index[j] == i ? a[j] : 0;
            break;
        case REC_REPEAT: to[i] = a[0]; break;
        case REC_SUM:
            for (size_t j = 0; j < na; j++) to[0] += a[j];
            break;
        case REC_DOT:
            for (size_t j = 0; j < na; j++) to[0] += a[j]*b[j];
            break;
        case REC_CROSS: to[i] = a[(i + 1)%3]*b[(i + 2)%3] - a[(i + 2)%3]*b[(i + 1)%3]; break;
        case REC_MATVEC:
            for (size_t j = 0; j < nb; j++) to[i] += a[i*nb + j]*b[j];
            break;
        case REC_MATVEC_TRANSPOSED:
            for (size_t j = 0; j < nb; j++) to[i] += a[j*s->rows + i]*b[j];
            break;
        case REC_OUTER: to[i] = a[i/nb]*b[i%nb]; break;
        case REC_DENSE:
            to[i] = lane->p[s->first + na*s->rows + i];
            for (size_t j = 0; j < na; j++) to[i] += lane->p[s->first + i*na + j]*a[j];
            to[i] = tanh(to[i]);
            break;
        case REC_MATMUL: case REC_MATMUL_TRANSPOSED: {
            const size_t inner = s->first, m = nb/inner;
            for (size_t j = 0; j < inner; j++)
                to[i] += a[i/m*inner + j]*b[s->op == REC_MATMUL ? j*m + i%m : i%m*inner + j];
            break;
        }
        case REC_SOFTMAX: to[i] = rec_share(a + i/s->first*s->first, s->first, i%s->first); break;
        case REC_ATTENTION: to[i] = rec_attention(a, b, c, s->first, nb/s->first, nc/(nb/s->first), i); break;
        case REC_CSR_MATVEC:
            rec_csr(s, s->rows, nb, na == 1 ? 4 : na, start);
            for (size_t e = start[i]; e < start[i + 1]; e++) to[i] += a[na == 1 ? 0 : e]*b[s->index[e]];
            break;
        case REC_CSR_COLUMNS: to[i] = a[s->index[i/s->first]*s->first + i%s->first]; break;
        case REC_CSR_ROWS:
            rec_csr(s, na/s->first, REC_ROWS, s->rows/s->first, start);
            for (size_t l = 0; l < na/s->first; l++)
                if (start[l] <= i/s->first && i/s->first < start[l + 1]) to[i] = a[l*s->first + i%s->first];
            break;
        case REC_CSR_SUM: {
            const size_t l = i/s->first;
            rec_csr(s, s->rows/s->first, REC_ROWS, na/s->first, start);
            for (size_t e = start[l]; e < start[l + 1]; e++) to[i] += a[e*s->first + i%s->first];
            break;
        }
        case REC_CONVOLVE:
            for (size_t j = 0; j < na; j++) to[i] += a[j]*b[(i + s->first + nb - j)%nb];
            break;
#ifdef NDE_TEST_FFTW
        case REC_FFT:
            for (size_t j = 0; j < na; j++) to[i] += rec_wave(i, j, na)*a[j];
            break;
        case REC_FFT_INVERSE:
            for (size_t m = 0; m < na; m++) to[i] += (m == 0 || 2*m == na ? 1 : 2)*rec_wave(m, i, na)*a[m]/(double)na;
            break;
#endif
        case REC_INDEPENDENT: to[i] = a[i]; break;
        default: to[i] = rec_entry(s->op, a[na == 1 ? 0 : i], b ? b[nb == 1 ? 0 : i] : 0, c ? c[nc == 1 ? 0 : i] : 0);
        }
    }
}

/* ---- at random ---- */

static uint64_t rec_state = 0x9e3779b97f4a7c15u;
/* Source: G. Marsaglia, Xorshift RNGs, J. Stat. Software 8 (2003). */
static inline size_t rec_below(size_t n) {
    rec_state ^= rec_state << 13, rec_state ^= rec_state >> 7, rec_state ^= rec_state << 17;
    return (size_t)((rec_state >> 11)%n);
}

/* An earlier step with that many rows (0: any); -1: there is none. */
static inline int rec_pick(const recording *r, size_t rows) {
    for (int tries = 0; tries < 30 && r->count > 0; tries++) {
        const int k = r->count - 1 - (int)rec_below((size_t)(r->count < 12 || tries > 8 ? r->count : 12));
        if (rows == 0 || r->step[k].rows == rows) return k;
    }
    return -1;
}

/* Chooses operands and rows for op; false: not possible here. */
static inline bool rec_choose(const recording *r, int op, rec_step *s) {
    static const size_t all[] = { 1, REC_DIM, REC_NU, REC_NP, REC_NQ };
    *s = (rec_step){ .op = op, .rows = 1, .value = (double)rec_below(7)/2 - 1.25, .x = { -1, -1, -1 } };
    if (op >= REC_T && op <= REC_Q) {
        const size_t most = all[op] < REC_ROWS ? all[op] : REC_ROWS;
        s->rows = 1 + rec_below(most);
        s->first = rec_below(all[op] - s->rows + 1);
        return true;
    }
    if (op == REC_CONSTANT) return true;
    if (op == REC_CONSTANTS) return s->rows = 1 + rec_below(REC_DIM), true;
    s->x[0] = rec_pick(r, op == REC_REPEAT ? 1 : op == REC_CROSS ? 3 : 0);
    if (s->x[0] < 0) return false;
    const size_t na = r->step[s->x[0]].rows;
    s->rows = na;
    for (size_t i = 0; i < REC_ROWS; i++) s->index[i] = rec_below(op == REC_GATHER ? na : 4);
    switch (op) {
    case REC_CUT: s->rows = 1 + rec_below(na), s->first = rec_below(na - s->rows + 1); return true;
    case REC_CONCAT: s->rows = 3*na; return s->rows <= REC_ROWS;
    case REC_GATHER: case REC_REPEAT: s->rows = 1 + rec_below(6); return true;
    case REC_SCATTER: s->rows = 4; return true;
    case REC_SUM: s->rows = 1; return true;
    case REC_DENSE:
        s->rows = 1 + rec_below(3);
        if ((na + 1)*s->rows > REC_NP) return false;
        s->first = rec_below(REC_NP - (na + 1)*s->rows + 1);
        return true;
    case REC_DOT: case REC_CROSS: s->x[1] = rec_pick(r, na), s->rows = op == REC_DOT ? 1 : 3; return s->x[1] >= 0;
    case REC_OUTER: s->x[1] = rec_pick(r, 0), s->rows = na*r->step[s->x[1]].rows; return s->rows <= REC_ROWS;
    case REC_MATVEC: case REC_MATVEC_TRANSPOSED: {
        static const size_t sides[] = { 1, 2, 3 };
        const size_t side = sides[rec_below(3)];
        s->x[1] = rec_pick(r, side), s->rows = na/side;
        return na%side == 0 && s->x[1] >= 0;
    }
    case REC_MATMUL: case REC_MATMUL_TRANSPOSED:
        s->first = 1 + rec_below(3), s->x[1] = rec_pick(r, 0);
        if (s->x[1] < 0 || na%s->first || r->step[s->x[1]].rows%s->first) return false;
        return s->rows = na/s->first*(r->step[s->x[1]].rows/s->first), s->rows <= REC_ROWS;
    case REC_ATTENTION: {
        s->first = 1 + rec_below(3), s->x[1] = rec_pick(r, 0), s->x[2] = rec_pick(r, 0);
        if (s->x[1] < 0 || s->x[2] < 0 || na%s->first || r->step[s->x[1]].rows%s->first) return false;
        const size_t m = r->step[s->x[1]].rows/s->first, nv = r->step[s->x[2]].rows;
        return s->rows = na/s->first*(nv/m), nv%m == 0 && s->rows <= REC_ROWS;
    }
    case REC_SOFTMAX: s->first = rec_below(3) ? na : 1 + rec_below(3); return na%s->first == 0;
    case REC_CSR_MATVEC:
        s->x[1] = rec_pick(r, 0), s->rows = 1 + rec_below(4);
        for (size_t i = 0; i < REC_ROWS && s->x[1] >= 0; i++) s->index[i] = rec_below(r->step[s->x[1]].rows);
        return s->x[1] >= 0;
    case REC_CSR_COLUMNS: case REC_CSR_ROWS: case REC_CSR_SUM:
        s->first = 1 + rec_below(2), s->rows = (op == REC_CSR_SUM ? 3 : 5)*s->first;
        for (size_t i = 0; i < REC_ROWS && op == REC_CSR_COLUMNS; i++) s->index[i] = rec_below(na < 2 ? 1 : na/s->first);
        return na%s->first == 0;
    case REC_CONVOLVE:
        s->x[1] = rec_pick(r, 0), s->first = rec_below(na);
        return s->x[1] >= 0 && (s->rows = r->step[s->x[1]].rows) >= na;
    default: break;
    }
    for (int i = 1; i < rec_operands[op]; i++) { /* one row goes with any number */
        s->x[i] = rec_pick(r, s->rows == 1 ? 0 : rec_below(3) ? s->rows : 1);
        if (s->x[i] < 0) return false;
        if (r->step[s->x[i]].rows > 1) s->rows = r->step[s->x[i]].rows;
    }
    return true;
}

/* Is it decided in the last digits? */
static inline bool rec_close(const recording *r, const rec_step *s, double v[][REC_ROWS]) {
    const bool one = s->op == REC_SIGN || s->op == REC_SELECT, two = s->op == REC_LESS || s->op == REC_LESS_EQUAL;
    for (size_t i = 0; i < s->rows && (one || two); i++) {
        const double a = v[s->x[0]][r->step[s->x[0]].rows == 1 ? 0 : i];
        if (fabs(a - (two ? v[s->x[1]][r->step[s->x[1]].rows == 1 ? 0 : i] : 0)) < 1e-3) return true;
    }
    return false;
}

/* A program of `count` steps whose values at `lane` stay below 8. */
static inline void rec_random(recording *r, int count, bool smooth, const rec_lane *lane, double v[][REC_ROWS]) {
    r->count = 0;
    while (r->count < count) {
        const int op = r->count < 5 ? r->count : (int)rec_below(REC_COUNT);
        if ((smooth && !rec_smooth[op]) || !rec_choose(r, op, &r->step[r->count])) continue;
        rec_eval(r, r->count, lane, v);
        bool small = !rec_close(r, &r->step[r->count], v);
        for (size_t i = 0; i < r->step[r->count].rows; i++) small &= fabs(v[r->count][i]) < 8;
        r->count += small;
    }
}

/* The program of the recording, its value the last `outputs` steps. */
static inline nde_program *rec_program(const recording *r, int outputs) {
    nde_program *g = create(REC_DIM, REC_NU, REC_NP, REC_NQ);
    nde_var v[REC_STEPS];
    for (int k = 0; k < r->count; k++) {
        v[k] = rec_build(g, &r->step[k], v);
        if (nde_var_rows(g, v[k]) == r->step[k].rows) continue;
        fail_msg("step %d (%s): %zu rows, %zu; %s", k, rec_names[r->step[k].op], nde_var_rows(g, v[k]), r->step[k].rows,
                 nde_error());
    }
    finish(g, nde_concat(g, v + r->count - outputs, (size_t)outputs));
    return g;
}

/* As rig.h numbers the inputs of trajectory 0. */
static inline rec_lane rec_first_lane(void) {
    rec_lane lane = { .t = rig_number(RIG_T, 0, 0) };
    for (size_t i = 0; i < REC_DIM; i++) lane.y[i] = rig_number(RIG_Y, i, 0);
    for (size_t i = 0; i < REC_NU; i++) lane.u[i] = rig_number(RIG_U, i, 0);
    for (size_t i = 0; i < REC_NP; i++) lane.p[i] = 0.6*rig_number(RIG_P, i, 0);
    for (size_t i = 0; i < REC_NQ; i++) lane.q[i] = rig_number(RIG_Q, i, 0);
    return lane;
}

#endif
