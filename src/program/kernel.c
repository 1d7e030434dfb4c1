/* SPDX-License-Identifier: MIT
 * kernel.c - the instructions of a program on a block of lanes; compiled once for each instruction set. A pointwise
 * operation is a case in `apply`, made into a function for each way in which its operands are given: a vector of lanes, or
 * one number. */
#include "program/kernel.h"
#include "core/activation.h"
#include "core/blas.h"
#include "core/dense.h"
#include "core/vecmath.h"

typedef nde_instruction instruction;
typedef nde_frame frame;

/* ---- operands ---- */

/* Rows `step` apart; flat: one number a row. */
typedef struct view {
    const nde_real *x;
    size_t step;
    bool flat;
} view;

INLINE view view_of(const frame *f, const nde_operand *o) {
    const size_t ld = f->ld[o->space];
    return (view){ f->read[o->space] + o->row*ld, o->still ? 0 : ld, o->uniform };
}
INLINE nde_real *target(const frame *f, const nde_operand *o) { return f->write[o->space] + o->row*f->ld[o->space]; }

/* ---- pointwise ---- */

INLINE vec if_true(bits mask) { return (vec)(mask & (bits)splat(1)); }

INLINE vec apply(const int op, vec x, vec y, vec z) {
    vec sine, cosine;
    switch (op) {
    case NDE_OP_NEG: return -x;
    case NDE_OP_ABS: return magnitude(x);
    case NDE_OP_SIGN: return if_above(x, splat(0), splat(1), if_above(splat(0), x, splat(-1), x));
    case NDE_OP_EXP: return vector_exp(x);
    case NDE_OP_EXPM1: return vector_expm1(x);
    case NDE_OP_LOG: return vector_log(x);
    case NDE_OP_LOG1P: return vector_log1p(x);
    case NDE_OP_SIN: vector_sincos(x, &sine, &cosine); return sine;
    case NDE_OP_COS: vector_sincos(x, &sine, &cosine); return cosine;
    case NDE_OP_ERF: return vector_erf(x);
    case NDE_OP_ADD: return x + y;
    case NDE_OP_SUB: return x - y;
    case NDE_OP_MUL: return x*y;
    case NDE_OP_DIV: return x/y;
    case NDE_OP_MAXIMUM: return if_above(x, y, x, y);
    case NDE_OP_LESS: return if_true((bits)(x < y));
    case NDE_OP_LESS_EQUAL: return if_true((bits)(x <= y));
    case NDE_OP_SELECT: return if_above(x, splat(0), y, z);
    case NDE_OP_FMA: return fused(x, y, z);
    case NDE_OP_FMS: return fused(x, y, -z);
    case NDE_OP_FNMA: return fused(-x, y, z);
    default: return x;
    }
}

typedef struct operands {
    size_t rows, n;
    view x, y, z;
    nde_real *to;
    size_t step;
} operands;

/* A vector of lanes b ..., count of them or all; of a flat operand its number. */
INLINE vec get(const bool flat, const nde_real *x, size_t b, size_t count) {
    return flat ? splat(*x) : count == LANES ? load(x + b) : load_first(x + b, count);
}

/* [rows][n], which operands are flat being known to the compiler; so is how many there are. */
INLINE void pointwise(const int op, const int count, const bool fx, const bool fy, const bool fz, const operands *o) {
    const size_t n = o->n, full = n/LANES*LANES, rest = n - full;
    const nde_real *x = o->x.x, *y = o->y.x, *z = o->z.x;
    nde_real *to = o->to;
    const vec nothing = { 0 };
    for (size_t i = 0; i < o->rows; i++) {
        for (size_t b = 0; b < full; b += LANES)
            store(to + b, apply(op, get(fx, x, b, LANES), count > 1 ? get(fy, y, b, LANES) : nothing,
                                count > 2 ? get(fz, z, b, LANES) : nothing));
        if (rest)
            store_first(to + full, apply(op, get(fx, x, full, rest), count > 1 ? get(fy, y, full, rest) : nothing,
                                         count > 2 ? get(fz, z, full, rest) : nothing), rest);
        to += o->step, x += o->x.step;
        if (count > 1) y += o->y.step;
        if (count > 2) z += o->z.step;
    }
}

/* Rows of one lane that touch are one, where all do. */
INLINE operands operands_of(const instruction *i, const frame *f, const int count) {
    operands o = { .rows = i->rows, .n = f->n, .to = target(f, &i->to), .step = f->ld[i->to.space] };
    o.x = view_of(f, &i->x[0]);
    if (count > 1) o.y = view_of(f, &i->x[1]);
    if (count > 2) o.z = view_of(f, &i->x[2]);
    if (f->n != 1 || o.step != 1 || o.x.step > 1 || (count > 1 && o.y.step > 1) || (count > 2 && o.z.step > 1)) return o;
    o.n = o.rows, o.rows = 1;
    o.x.flat = o.x.step == 0;
    if (count > 1) o.y.flat = o.y.step == 0;
    if (count > 2) o.z.flat = o.z.step == 0;
    return o;
}

typedef void kernel(const instruction *i, const frame *f);

#define UNARY(OP)                                                       \
    static void run_##OP(const instruction *i, const frame *f) {        \
        const operands o = operands_of(i, f, 1);                        \
        pointwise(NDE_OP_##OP, 1, o.x.flat, false, false, &o);          \
    }
#define BINARY(OP)                                                                  \
    static void run_##OP(const instruction *i, const frame *f) {                    \
        const operands o = operands_of(i, f, 2);                                    \
        if (!o.x.flat && !o.y.flat) pointwise(NDE_OP_##OP, 2, false, false, false, &o); \
        else if (!o.y.flat) pointwise(NDE_OP_##OP, 2, true, false, false, &o);      \
        else if (!o.x.flat) pointwise(NDE_OP_##OP, 2, false, true, false, &o);      \
        else pointwise(NDE_OP_##OP, 2, true, true, false, &o);                      \
    }
#define TERNARY(OP)                                                                                 \
    static void run_##OP(const instruction *i, const frame *f) {                                    \
        const operands o = operands_of(i, f, 3);                                                    \
        switch ((o.x.flat ? 1 : 0) + (o.y.flat ? 2 : 0) + (o.z.flat ? 4 : 0)) {                     \
        case 0: pointwise(NDE_OP_##OP, 3, false, false, false, &o); break;                          \
        case 1: pointwise(NDE_OP_##OP, 3, true, false, false, &o); break;                           \
        case 2: pointwise(NDE_OP_##OP, 3, false, true, false, &o); break;                           \
        case 3: pointwise(NDE_OP_##OP, 3, true, true, false, &o); break;                            \
        case 4: pointwise(NDE_OP_##OP, 3, false, false, true, &o); break;                           \
        case 5: pointwise(NDE_OP_##OP, 3, true, false, true, &o); break;                            \
        case 6: pointwise(NDE_OP_##OP, 3, false, true, true, &o); break;                            \
        default: pointwise(NDE_OP_##OP, 3, true, true, true, &o); break;                            \
        }                                                                                           \
    }
UNARY(NEG) UNARY(ABS) UNARY(SIGN) UNARY(EXP) UNARY(EXPM1) UNARY(LOG) UNARY(LOG1P) UNARY(SIN) UNARY(COS) UNARY(ERF)
BINARY(ADD) BINARY(SUB) BINARY(MUL) BINARY(DIV) BINARY(MAXIMUM) BINARY(LESS) BINARY(LESS_EQUAL)
TERNARY(SELECT) TERNARY(FMA) TERNARY(FMS) TERNARY(FNMA)

/* ---- pairs ---- */

/* Four operands: one row each at a time, LANES or no lanes a step. */
typedef struct four {
    size_t rows, n;
    view x[4];
    nde_real *to;
    size_t step;
} four;

INLINE four four_of(const instruction *i, const int at, const int count, const frame *f) {
    const instruction *j = i + 1;
    four o = { .rows = j->rows, .n = f->n, .to = target(f, &j->to), .step = f->ld[j->to.space] };
    o.x[0] = view_of(f, &i->x[0]), o.x[1] = view_of(f, &i->x[1]);
    o.x[2] = view_of(f, &j->x[at == 0]);
    if (count > 3) o.x[3] = view_of(f, &j->x[at == 2 ? 1 : 2]);
    if (f->n != 1 || o.step != 1) return o;
    UNROLL for (int k = 0; k < count; k++)
        if (o.x[k].step > 1) return o;
    o.n = o.rows, o.rows = 1;
    for (int k = 0; k < count; k++) o.x[k].flat = o.x[k].step == 0;
    return o;
}

INLINE vec second_of(const int op, const int at, vec x, vec y, vec z) {
    return at == 0 ? apply(op, x, y, z) : at == 1 ? apply(op, y, x, z) : apply(op, y, z, x);
}

/* Which of the operands are flat is not known to the compiler, but the same all along a row. */
INLINE void pair(const int first, const int second, const int at, const instruction *i, const frame *f) {
    const int count = second == NDE_OP_ADD || second == NDE_OP_SUB || second == NDE_OP_MUL ? 3 : 4;
    four o = four_of(i, at, count, f);
    const size_t full = o.n/LANES*LANES, rest = o.n - full;
    for (; o.rows > 0; o.rows--, o.to += o.step) {
        vec v[4] = { { 0 } };
        UNROLL for (int k = 0; k < count; k++)
            if (o.x[k].flat) v[k] = splat(*o.x[k].x);
        for (size_t b = 0; b < full; b += LANES) {
            UNROLL for (int k = 0; k < count; k++)
                if (!o.x[k].flat) v[k] = load(o.x[k].x + b);
            store(o.to + b, second_of(second, at, apply(first, v[0], v[1], v[1]), v[2], v[3]));
        }
        UNROLL for (int k = 0; k < count; k++)
            if (rest && !o.x[k].flat) v[k] = load_first(o.x[k].x + full, rest);
        if (rest) store_first(o.to + full, second_of(second, at, apply(first, v[0], v[1], v[1]), v[2], v[3]), rest);
        UNROLL for (int k = 0; k < count; k++) o.x[k].x += o.x[k].step;
    }
}
#define NDE_X(first, second, operand)                                                   \
    static void run_##first##_##second##operand(const instruction *i, const frame *f) { \
        pair(NDE_OP_##first, NDE_OP_##second, operand, i, f);                           \
    }
NDE_PAIR_LIST(NDE_X)
#undef NDE_X

static kernel *const pairs[NDE_PAIRS] = {
#define NDE_X(first, second, operand) [NDE_PAIR_##first##_##second##operand] = run_##first##_##second##operand,
    NDE_PAIR_LIST(NDE_X)
#undef NDE_X
};

/* The compiler makes vectors of it, which rounds as IEEE 754 has it, too. */
static void run_SQRT(const instruction *i, const frame *f) {
    const operands o = operands_of(i, f, 1);
    for (size_t r = 0; r < o.rows; r++) {
        const nde_real *x = o.x.x + r*o.x.step;
        nde_real *to = o.to + r*o.step;
        for (size_t b = 0; b < o.n; b++) to[b] = BY_PRECISION(__builtin_sqrt, __builtin_sqrtf)(x[o.x.flat ? 0 : b]);
    }
}

/* ---- whole rows ---- */

static void copy_row(size_t n, const nde_real *x, bool flat, nde_real *to) {
    if (!flat) memmove(to, x, n*sizeof *to);
    else for (size_t b = 0; b < n; b++) to[b] = *x;
}

static void run_COPY(const instruction *i, const frame *f) {
    const operands o = operands_of(i, f, 1);
    for (size_t r = 0; r < o.rows; r++) copy_row(o.n, o.x.x + r*o.x.step, o.x.flat, o.to + r*o.step);
}

static void run_ACTIVATE(const instruction *i, const frame *f) {
    const operands o = operands_of(i, f, 1);
    const size_t ld = f->ld[i->to.space];
    if (o.x.flat) run_COPY(i, f);
    f->kernels->activation->value(i->detail, i->rows, f->n, o.x.flat ? o.to : o.x.x, o.x.flat ? ld : o.x.step, o.to, ld);
}

static void run_SLOPE(const instruction *i, const frame *f) {
    const view kept = view_of(f, &i->x[0]), a = view_of(f, &i->x[1]);
    f->kernels->activation->slope(i->detail, i->rows, f->n, kept.x, kept.step, a.x, a.step, target(f, &i->to),
                                  f->ld[i->to.space]);
}

static void run_GATHER(const instruction *i, const frame *f) {
    const view x = view_of(f, &i->x[0]);
    nde_real *to = target(f, &i->to);
    for (size_t r = 0; r < i->rows; r++) copy_row(f->n, x.x + f->lists[i->list + r]*x.step, false, to + r*f->ld[i->to.space]);
}

static void run_SCATTER(const instruction *i, const frame *f) {
    const view x = view_of(f, &i->x[0]);
    const size_t ld = f->ld[i->to.space];
    nde_real *to = target(f, &i->to);
    for (size_t r = 0; r < i->rows; r++) memset(to + r*ld, 0, f->n*sizeof *to);
    for (size_t r = 0; r < i->inner; r++) {
        nde_real *sum = to + f->lists[i->list + r]*ld;
        for (size_t b = 0; b < f->n; b++) sum[b] += x.x[r*x.step + b];
    }
}

static void run_TRANSPOSE(const instruction *i, const frame *f) {
    const nde_real *x = view_of(f, &i->x[0]).x;
    const size_t in = i->inner, out = i->rows/in;
    nde_real *to = target(f, &i->to);
    for (size_t o = 0; o < out; o++)
        for (size_t k = 0; k < in; k++) to[k*out + o] = x[o*in + k];
}

static void run_TIME(const instruction *i, const frame *f) {
    nde_real *to = target(f, &i->to);
    const double *t = i->detail == NDE_SPACE_VT ? f->vt : f->t;
    for (size_t b = 0; b < f->n; b++) to[b] = t ? (nde_real)t[b] : 0;
}

/* ---- sums of products, term by term in ascending order, lanes side by side ---- */

#define EACH_VECTOR(b, count) \
    for (size_t b = 0, count = f->n < LANES ? f->n : LANES; b < f->n; b += LANES, count = f->n - b < LANES ? f->n - b : LANES)

static void run_SUM(const instruction *i, const frame *f) {
    const view x = view_of(f, &i->x[0]);
    nde_real *to = target(f, &i->to);
    EACH_VECTOR(b, count) {
        vec sum = get(false, x.x, b, count);
        for (size_t r = 1; r < i->inner; r++) sum += get(false, x.x + r*x.step, b, count);
        store_first(to + b, sum, count);
    }
}

/* to = the sum over i < inner of x[i] y[i], rows x_step and y_step apart; flat: one number a row. */
INLINE void sum_any(const bool fx, const bool fy, const frame *f, size_t inner, const nde_real *x, size_t x_step,
                    const nde_real *y, size_t y_step, nde_real *to) {
    EACH_VECTOR(b, count) {
        vec sum = get(fx, x, b, count)*get(fy, y, b, count);
        for (size_t r = 1; r < inner; r++) sum = fused(get(fx, x + r*x_step, b, count), get(fy, y + r*y_step, b, count), sum);
        store_first(to + b, sum, count);
    }
}
INLINE void sum_products(const frame *f, size_t inner, const nde_real *x, size_t x_step, const nde_real *y, size_t y_step,
                         nde_real *to) {
    sum_any(false, false, f, inner, x, x_step, y, y_step, to);
}

static void run_DOT(const instruction *i, const frame *f) {
    const view x = view_of(f, &i->x[0]), y = view_of(f, &i->x[1]);
    sum_products(f, i->inner, x.x, x.step, y.x, y.step, target(f, &i->to));
}
static void run_MATVEC(const instruction *i, const frame *f) {
    const view w = view_of(f, &i->x[0]), x = view_of(f, &i->x[1]);
    nde_real *to = target(f, &i->to);
    for (size_t o = 0; o < i->rows; o++)
        sum_products(f, i->inner, w.x + o*i->inner*w.step, w.step, x.x, x.step, to + o*f->ld[i->to.space]);
}
static void run_MATVEC_TRANSPOSED(const instruction *i, const frame *f) {
    const view w = view_of(f, &i->x[0]), x = view_of(f, &i->x[1]);
    nde_real *to = target(f, &i->to);
    for (size_t k = 0; k < i->rows; k++)
        sum_products(f, i->inner, w.x + k*w.step, i->rows*w.step, x.x, x.step, to + k*f->ld[i->to.space]);
}
static void run_OUTER(const instruction *i, const frame *f) {
    const view x = view_of(f, &i->x[0]), y = view_of(f, &i->x[1]);
    nde_real *to = target(f, &i->to);
    for (size_t r = 0; r < i->rows; r++)
        sum_products(f, 1, x.x + r/i->inner*x.step, 0, y.x + r%i->inner*y.step, 0, to + r*f->ld[i->to.space]);
}
/* Not fused: of equal vectors it is 0. */
static void run_CROSS(const instruction *i, const frame *f) {
    const view x = view_of(f, &i->x[0]), y = view_of(f, &i->x[1]);
    nde_real *to = target(f, &i->to);
    for (size_t r = 0; r < 3; r++) {
        const size_t j = (r + 1)%3, k = (r + 2)%3;
        EACH_VECTOR(b, count) {
            const vec more = get(false, x.x + j*x.step, b, count)*get(false, y.x + k*y.step, b, count);
            const vec less = get(false, x.x + k*x.step, b, count)*get(false, y.x + j*y.step, b, count);
            store_first(to + r*f->ld[i->to.space] + b, more - less, count);
        }
    }
}

/* ---- matrices, sparse ones, convolutions: operands by lanes or flat ---- */

#define BY_OPERANDS(name, OP)                                                                \
    static void run_##OP(const instruction *i, const frame *f) {                             \
        const view x = view_of(f, &i->x[0]), y = view_of(f, &i->x[1]);                       \
        if (!x.flat && !y.flat) name(false, false, i, f, x, y);                              \
        else if (!y.flat) name(true, false, i, f, x, y);                                     \
        else if (!x.flat) name(false, true, i, f, x, y);                                     \
        else name(true, true, i, f, x, y);                                                   \
    }

/* A [n][k] or its transpose times B [k][m] or its transpose. */
INLINE void matmul(const bool fx, const bool fy, const instruction *i, const frame *f, view x, view y) {
    const size_t k = i->first, m = i->inner/k, n = i->outer/k, ld = f->ld[i->to.space];
    const size_t x_row = i->detail == NDE_MATMUL_ATB ? 1 : k, x_step = i->detail == NDE_MATMUL_ATB ? n : 1;
    const size_t y_column = i->detail == NDE_MATMUL_ABT ? k : 1, y_step = i->detail == NDE_MATMUL_ABT ? 1 : m;
    nde_real *to = target(f, &i->to);
    for (size_t r = 0; r < n; r++)
        for (size_t c = 0; c < m; c++, to += ld)
            sum_any(fx, fy, f, k, x.x + r*x_row*x.step, x_step*x.step, y.x + c*y_column*y.step, y_step*y.step, to);
}
BY_OPERANDS(matmul, MATMUL)

INLINE void sparse(const bool fx, const bool fy, const instruction *i, const frame *f, view x, view y) {
    const uint32_t *row = f->lists + i->list, *column = row + i->outer;
    const size_t ld = f->ld[i->to.space];
    nde_real *to = target(f, &i->to);
    for (size_t r = 0; r < i->rows; r++) memset(to + r*ld, 0, f->n*sizeof *to);
    for (size_t e = 0; e < i->outer; e++) {
        nde_real *sum = to + row[e]*ld;
        EACH_VECTOR(b, count)
            store_first(sum + b, fused(get(fx, x.x + e*x.step, b, count), get(fy, y.x + column[e]*y.step, b, count),
                                       get(false, sum, b, count)), count);
    }
}
BY_OPERANDS(sparse, SPARSE)

/* In two stretches, before and behind the end of the circle. */
INLINE void circular(const bool fx, const bool fy, const instruction *i, const frame *f, view x, view y) {
    const size_t all = i->inner, terms = i->outer;
    const bool down = i->detail & NDE_CIRCULAR_MINUS_J, back = i->detail & NDE_CIRCULAR_MINUS_I;
    nde_real *to = target(f, &i->to);
    for (size_t r = 0; r < i->rows; r++, to += f->ld[i->to.space]) {
        const size_t first = (i->first + (back ? all - r : r))%all;
        EACH_VECTOR(b, count) {
            vec sum = get(fx, x.x, b, count)*get(fy, y.x + first*y.step, b, count);
            for (size_t j = 1, m = first; j < terms; j++) {
                m = down ? (m == 0 ? all : m) - 1 : m + 1 == all ? 0 : m + 1;
                sum = fused(get(fx, x.x + j*x.step, b, count), get(fy, y.x + m*y.step, b, count), sum);
            }
            store_first(to + b, sum, count);
        }
    }
}
BY_OPERANDS(circular, CIRCULAR)

/* ---- Fourier transforms, largest rows ---- */

/* Lane after lane in rows of the work space, where a lane's numbers touch; uniform ones touch in their place. */
static void run_TRANSFORM(const instruction *i, const frame *f) {
    const view x = view_of(f, &i->x[0]);
    const size_t ld = f->ld[i->to.space], n = i->rows;
    nde_real *to = target(f, &i->to), *data = i->small ? to : target(f, &i->x[1]);
    for (size_t r = 0; r < n; r++)
        for (size_t b = 0; b < f->n; b++) data[b*n + r] = x.x[r*x.step + b];
    for (size_t b = 0; b < f->n; b++)
        BY_PRECISION(nde_transform_run, nde_transform_run_single)(&f->transforms[i->first], i->detail, data + b*n);
    for (size_t r = 0; !i->small && r < n; r++)
        for (size_t b = 0; b < f->n; b++) to[r*ld + b] = data[b*n + r];
}

static void run_LARGEST(const instruction *i, const frame *f) {
    const view x = view_of(f, &i->x[0]);
    nde_real *to = target(f, &i->to);
    for (size_t r = 0; r < i->rows; r++, to += f->ld[i->to.space])
        EACH_VECTOR(b, count) {
            const nde_real *from = x.x + r*i->first*x.step;
            vec most = get(false, from, b, count);
            for (size_t k = 1; k < i->first; k++) {
                const vec one = get(false, from + k*x.step, b, count);
                most = if_above(one, most, one, most);
            }
            store_first(to + b, most, count);
        }
}

/* ---- products with weights that all lanes share ---- */

static void weights_product(const instruction *i, const frame *f, size_t a_row, size_t a_col) {
    const view w = view_of(f, &i->x[0]), x = view_of(f, &i->x[1]);
    const nde_real *start = i->x[2].space ? view_of(f, &i->x[2]).x : NULL;
    nde_real *to = target(f, &i->to);
    const size_t ld = f->ld[i->to.space];
    if (i->x[2].space && f->ld[i->x[2].space] == 0) start = NULL;
    if (w.step) nde_dense_product(f->kernels, i->rows, f->n, i->inner, w.x, a_row, a_col, x.x, x.step, start, to, ld);
    for (size_t r = 0; !w.step && r < i->rows; r++) /* a direction in which weights do not move */
        for (size_t b = 0; b < f->n; b++) to[r*ld + b] = start ? start[r] : 0;
}
static void run_PRODUCT(const instruction *i, const frame *f) { weights_product(i, f, 1, i->rows); }
static void run_PRODUCT_ROWS(const instruction *i, const frame *f) { weights_product(i, f, i->inner, 1); }

/* ---- what is added in double ---- */

static void run_ADD_TIME(const instruction *i, const frame *f) {
    const nde_real *x = view_of(f, &i->x[0]).x;
    double *to = i->to.space == NDE_SPACE_TO + NDE_SPACE_VT ? f->to_vt : f->to_t;
    for (size_t b = 0; b < f->n; b++) to[b] += (double)x[b];
}

static double *parameters(const instruction *i, const frame *f) {
    return (i->to.space == NDE_SPACE_TO + NDE_SPACE_VP ? f->to_vp : f->to_p) + i->to.row;
}
/* As biases are summed: an outer product with no columns. */
static void run_ADD_LANES(const instruction *i, const frame *f) {
    const view x = view_of(f, &i->x[0]);
    double *to = parameters(i, f);
    f->kernels->dense->outer(i->rows, f->n, 0, x.x, x.step, x.x, x.step, to, to);
}
static void run_ADD_OUTER(const instruction *i, const frame *f) {
    const view x = view_of(f, &i->x[0]), y = view_of(f, &i->x[1]);
    f->kernels->dense->outer(i->rows, f->n, i->inner, x.x, x.step, y.x, y.step, parameters(i, f), NULL);
}

/* ---- all of it ---- */

/* What has no instruction of its own. */
static void nothing(const instruction *i, const frame *f) { (void)i, (void)f; }
#define run_INPUT nothing
#define run_CONSTANT nothing
#define run_INDEPENDENT nothing
#define run_PART nothing
#define run_CONCAT nothing
#define run_REPEAT nothing

static kernel *const kernels[NDE_OPERATIONS] = {
#define NDE_X(name, text, form, operands) [NDE_OP_##name] = run_##name,
    NDE_OPERATION_LIST(NDE_X)
#undef NDE_X
};

static void run(const nde_code *code, const nde_frame *f) {
    const instruction *i = code->at, *end = i + code->count;
    nde_frame one;
    one.n = 0; /* the rest is made when it is needed: to clear it takes as long as an instruction */
    for (; i < end; i++) {
        if (!(i->want & f->want)) continue;
        if (i->pair) {
            pairs[i->pair](i, f), i++;
        } else if (!i->small) {
            kernels[i->op](i, f);
        } else {
            if (one.n == 0) one = *f, one.n = 1;
            kernels[i->op](i, &one);
        }
    }
}

const nde_program_kernels NDE_ISA_NAME(nde_program_kernels) = { .run = run };
