/* SPDX-License-Identifier: MIT
 * norm.c - layer normalisation with its derivatives; compiled once for each instruction set. Lanes of a vector go side by
 * side; what is added or multiplied is double, so that a float lane has the accuracy of its numbers, not of their sums. */
#include "core/norm.h"
#include "core/vector.h"

#include <math.h>

typedef double wide __attribute__((vector_size(8*LANES)));
INLINE wide widen(vec x) { return __builtin_convertvector(x, wide); }
INLINE vec narrow(wide x) { return __builtin_convertvector(x, vec); }

/* `count` lanes at x: a full vector, one value in all lanes, or a part of a vector. */
INLINE vec get(const nde_real *x, const size_t count) {
    if (count == LANES) return load(x);
    if (count == 1) return splat(*x);
    nde_real t[LANES] = { 0 };
    for (size_t l = 0; l < count; l++) t[l] = x[l];
    return load(t);
}
INLINE void put(nde_real *x, vec v, const size_t count) {
    if (count == LANES) store(x, v);
    else for (size_t l = 0; l < count; l++) x[l] = v[l];
}
/* A row's own number: a gain or a shift; none: `without`. */
INLINE wide of_row(const nde_real *x, size_t i, double without) {
    return (x ? (double)x[i] : without) - (wide){0};
}

/* Runs body(b, count) over the lanes, with a count known to the compiler for full vectors and for one lane. */
#define EACH_VECTOR(n, body)                                            \
    do {                                                                \
        size_t b = 0;                                                   \
        for (; b + LANES <= (n); b += LANES) body(LANES);               \
        if ((n) - b == 1) body(1);                                      \
        else if (b < (n)) body((n) - b);                                \
    } while (0)

/* sum over i < rows of term(i), in four parts. */
#define SUM(total, rows, term)                                          \
    do {                                                                \
        wide s[4] = { { 0 } };                                          \
        size_t i = 0;                                                   \
        for (; i + 4 <= (rows); i += 4) {                               \
            s[0] += term(i), s[1] += term(i + 1);                       \
            s[2] += term(i + 2), s[3] += term(i + 3);                   \
        }                                                               \
        for (; i < (rows); i++) s[0] += term(i);                        \
        total = (s[0] + s[1]) + (s[2] + s[3]);                          \
    } while (0)

/* ---- value ---- */

INLINE void value_of(size_t rows, const size_t count, double epsilon, const nde_real *gain, const nde_real *shift, nde_real *z,
                     size_t ldz, nde_real *r, nde_real *out, size_t ld_out) {
    const double share = 1/(double)rows;
    wide mean, variance, scale = { 0 };
#define Z(i) widen(get(z + (i)*ldz, count))
    SUM(mean, rows, Z);
    mean *= share;
#define SQUARE(i) ((Z(i) - mean)*(Z(i) - mean))
    SUM(variance, rows, SQUARE);
    variance = variance*share + epsilon;
    for (size_t l = 0; l < LANES; l++) scale[l] = 1/sqrt(variance[l]);
    for (size_t i = 0; i < rows; i++) {
        const vec x = narrow((Z(i) - mean)*scale);
        if (r) put(z + i*ldz, x, count);
        put(out + i*ld_out, splat(gain[i])*x + splat(shift[i]), count);
    }
    if (r) put(r, narrow(scale), count);
#undef Z
#undef SQUARE
}
static void value(size_t rows, size_t n, double epsilon, const nde_real *gain, const nde_real *shift, nde_real *z, size_t ldz,
                  nde_real *r, nde_real *out, size_t ld_out) {
#define BODY(count) value_of(rows, count, epsilon, gain, shift, z + b, ldz, r ? r + b : NULL, out + b, ld_out)
    EACH_VECTOR(n, BODY);
#undef BODY
}

static void again(size_t rows, size_t n, const nde_real *gain, const nde_real *shift, const nde_real *x, size_t ldx,
                  nde_real *out, size_t ld_out) {
    for (size_t i = 0; i < rows; i++) {
        const vec g = splat(gain[i]), h = splat(shift[i]);
#define BODY(count) put(out + i*ld_out + b, g*get(x + i*ldx + b, count) + h, count)
        EACH_VECTOR(n, BODY);
#undef BODY
    }
}

/* ---- P and its neighbours ---- */

/* Means over the rows of gain a and of gain a x; gain NULL: 1. */
INLINE void means(size_t rows, const size_t count, const nde_real *gain, const nde_real *a, size_t lda, const nde_real *x,
                  size_t ldx, wide *mean, wide *along) {
    const double share = 1/(double)rows;
#define A(i) (of_row(gain, i, 1)*widen(get(a + (i)*lda, count)))
#define AX(i) (A(i)*widen(get(x + (i)*ldx, count)))
    SUM(*mean, rows, A);
    SUM(*along, rows, AX);
#undef A
#undef AX
    *mean *= share, *along *= share;
}

INLINE void reverse_of(size_t rows, const size_t count, const nde_real *gain, const nde_real *x, size_t ldx, const nde_real *r,
                       const nde_real *a, size_t lda, nde_real *d, size_t ldd) {
    wide mean, along;
    const wide scale = widen(get(r, count));
    means(rows, count, gain, a, lda, x, ldx, &mean, &along);
    for (size_t i = 0; i < rows; i++) {
        const wide g = of_row(gain, i, 1)*widen(get(a + i*lda, count));
        put(d + i*ldd, narrow(scale*(g - mean - widen(get(x + i*ldx, count))*along)), count);
    }
}
static void reverse(size_t rows, size_t n, const nde_real *gain, const nde_real *x, size_t ldx, const nde_real *r,
                    const nde_real *a, size_t lda, nde_real *d, size_t ldd) {
#define BODY(count) reverse_of(rows, count, gain, x + b, ldx, r + b, a + b, lda, d + b, ldd)
    EACH_VECTOR(n, BODY);
#undef BODY
}

INLINE void tangent_of(size_t rows, const size_t count, const nde_real *gain, const nde_real *v_gain, const nde_real *v_shift,
                       const nde_real *x, size_t ldx, const nde_real *r, const nde_real *dz, nde_real *dx, nde_real *dout,
                       size_t ld) {
    wide mean, along;
    const wide scale = widen(get(r, count));
    means(rows, count, NULL, dz, ld, x, ldx, &mean, &along);
    for (size_t i = 0; i < rows; i++) {
        const wide xi = widen(get(x + i*ldx, count));
        const wide w = scale*(widen(get(dz + i*ld, count)) - mean - xi*along);
        put(dx + i*ld, narrow(w), count);
        put(dout + i*ld, narrow(of_row(gain, i, 1)*w + of_row(v_gain, i, 0)*xi + of_row(v_shift, i, 0)), count);
    }
}
static void tangent(size_t rows, size_t n, const nde_real *gain, const nde_real *v_gain, const nde_real *v_shift,
                    const nde_real *x, size_t ldx, const nde_real *r, const nde_real *dz, nde_real *dx, nde_real *dout,
                    size_t ld) {
#define BODY(count) tangent_of(rows, count, gain, v_gain, v_shift, x + b, ldx, r + b, dz + b, dx + b, dout + b, ld)
    EACH_VECTOR(n, BODY);
#undef BODY
}

/* With B = gain b the cotangent of dx = r (dz - mean(dz) - x e), e = mean(x dz), q = mean(x B):
 *   cotangent of dz:  P B
 *   cotangent of x:   A = gain a + v_gain b - r (e B + q dz); of r: sum(B dx)/r
 *   cotangent of z:   P A - r x mean(B dx), as dr/dz_i = -r^2 x_i/rows */
INLINE void second_of(size_t rows, const size_t count, size_t ld, const nde_real *gain, const nde_real *v_gain,
                      const nde_real *x, const nde_real *r, const nde_real *dz, const nde_real *dx, nde_real *a, nde_real *b) {
    wide mean_b, q, mean_dz, e, mean, along;
    const wide scale = widen(get(r, count));
    const double share = 1/(double)rows;
    means(rows, count, gain, b, ld, x, ld, &mean_b, &q);
    means(rows, count, NULL, dz, ld, x, ld, &mean_dz, &e);
#define X(i) widen(get(x + (i)*ld, count))
#define B(i) widen(get(b + (i)*ld, count))
    for (size_t i = 0; i < rows; i++) {
        const wide g = of_row(gain, i, 1);
        const wide c = g*widen(get(a + i*ld, count)) + of_row(v_gain, i, 0)*B(i);
        put(a + i*ld, narrow(c - scale*(e*(g*B(i)) + q*widen(get(dz + i*ld, count)))), count);
    }
#define A(i) widen(get(a + (i)*ld, count))
#define ALONG(i) (X(i)*A(i) + of_row(gain, i, 1)*B(i)*widen(get(dx + (i)*ld, count)))
    SUM(mean, rows, A);
    SUM(along, rows, ALONG);
    mean *= share, along *= share;
    for (size_t i = 0; i < rows; i++) {
        put(a + i*ld, narrow(scale*(A(i) - mean - X(i)*along)), count);
        put(b + i*ld, narrow(scale*(of_row(gain, i, 1)*B(i) - mean_b - X(i)*q)), count);
    }
#undef A
#undef B
#undef X
#undef ALONG
}
static void second(size_t rows, size_t n, size_t ld, const nde_real *gain, const nde_real *v_gain, const nde_real *x,
                   const nde_real *r, const nde_real *dz, const nde_real *dx, nde_real *a, nde_real *c) {
#define BODY(count) second_of(rows, count, ld, gain, v_gain, x + b, r + b, dz + b, dx + b, a + b, c + b)
    EACH_VECTOR(n, BODY);
#undef BODY
}

/* ---- parameters ---- */

/* Sums of a row's products and of its values in eight interleaved parts. */
static void gradient(size_t rows, size_t n, const nde_real *a, size_t lda, const nde_real *x, size_t ldx, double *product,
                     double *sum) {
    for (size_t i = 0; i < rows; i++, a += lda, x += ldx) {
        double p[8] = { 0 }, s[8] = { 0 };
        size_t b = 0;
        for (; b + 8 <= n; b += 8)
            for (size_t j = 0; j < 8; j++) p[j] += (double)a[b + j]*(double)x[b + j], s[j] += (double)a[b + j];
        for (size_t j = 0; b + j < n; j++) p[j] += (double)a[b + j]*(double)x[b + j], s[j] += (double)a[b + j];
        product[i] += ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
        if (sum) sum[i] += ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }
}

/* ---- residual ---- */

static void add(size_t rows, size_t n, const nde_real *a, size_t lda, const nde_real *b, size_t ldb, nde_real *out,
                size_t ld_out) {
    for (size_t i = 0; i < rows; i++, a += lda, b += ldb, out += ld_out) NDE_LANES(l, n) out[l] = a[l] + b[l];
}

static void multiply(size_t rows, size_t n, const nde_real *a, size_t lda, const nde_real *b, size_t ldb, nde_real *out,
                     size_t ld_out) {
    for (size_t i = 0; i < rows; i++, a += lda, b += ldb, out += ld_out) NDE_LANES(l, n) out[l] = a[l]*b[l];
}

const nde_norm_kernels NDE_ISA_NAME(nde_norm_kernels) = {
    .value = value, .again = again, .reverse = reverse, .tangent = tangent, .second = second, .gradient = gradient,
    .add = add, .multiply = multiply,
};
