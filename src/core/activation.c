/* SPDX-License-Identifier: MIT
 * activation.c - activations of whole blocks with slope and curvature; compiled once for each instruction set. An activation is
 * a case in value_of and a case in derivatives_of. */
#include "core/activation.h"
#include "core/vecmath.h"

/* ---- the activations ---- */

/* From here on exp(z) is 0, and exp(-z^2/2). */
#define NOTHING BY_PRECISION(-750, -105)
#define FAR_OUT BY_PRECISION(40, 15)

/* exp(-|z|); *sum = scale (1 + exp(-|z|)) */
INLINE vec logistic_parts(vec z, nde_real scale, vec *sum) {
    const vec e = exp_negative(-magnitude(z), splat(-(nde_real)0));
    *sum = fused(e, splat(scale), splat(scale));
    return e;
}

INLINE vec sigmoid(vec z) {
    vec sum;
    const vec e = logistic_parts(z, 1, &sum);
    return if_above(z, splat(0), splat(1), e)/sum;
}

/* z/(1 + exp(-z))/scale; -0 at -infinity, before which z is cut. */
INLINE vec silu(vec z, nde_real scale) {
    vec sum;
    z = larger(splat(NOTHING), z);
    const vec e = logistic_parts(z, scale, &sum);
    return if_above(z, splat(0), z, z*e)/sum;
}

/* A derivative of each order. */
typedef struct pair {
    vec slope, curvature;
} pair;

/* s (1 + z (1 - s)) and s (1 - s) (2 + z (1 - 2 s)), both by scale; s = 1/(1 + exp(-z)), 1 - s = s exp(-z); e = exp(-|z|) */
INLINE pair silu_from(vec z, vec e, nde_real scale) {
    z = smaller(splat(-NOTHING), larger(splat(NOTHING), z));
    const vec high = 1/fused(e, splat(1), splat(1)), low = e*high;
    const vec s = if_above(z, splat(0), high, low), rest = if_above(z, splat(0), low, high), scaled = s*(1/scale);
    return (pair){ scaled*fused(z, rest, splat(1)), scaled*rest*fused(z, rest - s, splat(2)) };
}
INLINE pair silu_derivatives(vec z, nde_real scale) {
    vec sum;
    return silu_from(z, logistic_parts(z, 1, &sum), scale);
}
INLINE vec silu_with_slope(vec z, nde_real scale, vec *slope) {
    vec sum;
    const vec e = logistic_parts(z, scale, &sum), bounded = larger(splat(NOTHING), z);
    *slope = silu_from(z, e, scale).slope;
    return if_above(z, splat(0), z, bounded*e)/sum;
}

/* z Phi(z) = max(z, 0) - |z| Phi(-|z|), Phi the normal distribution; 0 at -infinity */
INLINE vec gelu(vec z) {
    vec ratio;
    const vec y = smaller(splat(FAR_OUT), magnitude(z)), e = gaussian(y, &ratio);
    return fused(-y, e*ratio, larger(splat(0), z));
}

/* Phi + z phi and (2 - z^2) phi, phi = exp(-z^2/2)/sqrt(2 pi) the density */
INLINE pair gelu_derivatives(vec z) {
    vec ratio;
    z = smaller(splat(FAR_OUT), larger(splat(-FAR_OUT), z));
    const vec e = gaussian(z, &ratio), density = e*(nde_real)0.39894228040143267794, tail = e*ratio;
    return (pair){ fused(z, density, if_above(z, splat(0), 1 - tail, tail)), density*fused(-z, z, splat(2)) };
}

INLINE vec value_of(const int id, vec z) {
    vec sine, cosine;
    switch (id) {
    case NDE_TANH: return vector_tanh(z);
    case NDE_SOFTPLUS: return vector_softplus(z);
    case NDE_RELU: return larger(splat(0), z);
    case NDE_SILU: return silu(z, 1);
    case NDE_GELU: return gelu(z);
    case NDE_ELU: return if_above(z, splat(0), z, vector_expm1(z));
    case NDE_SIGMOID: return sigmoid(z);
    case NDE_SIN: vector_sincos(z, &sine, &cosine); return sine;
    case NDE_LIPSWISH: return silu(z, (nde_real)1.1);
    default: return z;
    }
}

/* From the value s, or for those of nde_activation_keeps_input from z = s. */
INLINE pair derivatives_of(const int id, vec s) {
    const vec one = splat(1), zero = splat(0);
    vec d, sine;
    switch (id) {
    case NDE_TANH: d = (1 - s)*(1 + s); return (pair){ d, -2*s*d };
    case NDE_SOFTPLUS: d = -vector_expm1(-s); return (pair){ d, d*(1 - d) };
    case NDE_RELU: return (pair){ if_above(s, zero, one, s), zero }; /* not above 0, s is 0 or NaN */
    case NDE_SILU: return silu_derivatives(s, 1);
    case NDE_GELU: return gelu_derivatives(s);
    case NDE_ELU: d = 1 + s; return (pair){ if_above(s, zero, one, d), if_above(s, zero, zero, d) };
    case NDE_SIGMOID: d = s*(1 - s); return (pair){ d, d*(1 - 2*s) };
    case NDE_SIN: vector_sincos(s, &sine, &d); return (pair){ d, -sine };
    case NDE_LIPSWISH: return silu_derivatives(s, (nde_real)1.1);
    default: return (pair){ one, zero };
    }
}

/* The value with its slope, of those that keep their input: they share the dearest part. */
INLINE vec both_of(const int id, vec z, vec *slope) {
    switch (id) {
    case NDE_SILU: return silu_with_slope(z, 1, slope);
    case NDE_LIPSWISH: return silu_with_slope(z, (nde_real)1.1, slope);
    default: *slope = derivatives_of(id, z).slope; return value_of(id, z);
    }
}

/* ---- blocks ----
 * Rows that touch are one row. A row ends with a vector that overlaps the one before it, read before that one is written; a row
 * shorter than a vector is worked on in a padded copy. */

static inline void join(size_t *rows, size_t *n, bool touching) {
    if (touching) *n *= *rows, *rows = 1;
}

INLINE void copy_part(nde_real *to, const nde_real *from, size_t count) {
    UNROLL for (size_t size = LANES/2; size > 0; size /= 2) { /* sizes known to the compiler: no call, no rep movs */
        if (!(count & size)) continue;
        memcpy(to, from, size*sizeof *to);
        to += size, from += size;
    }
}
/* The row, or its copy in pad. */
INLINE const nde_real *read_row(nde_real *pad, const nde_real *row, size_t n) {
    if (n >= LANES) return row;
    copy_part(pad, row, n);
    return pad;
}
INLINE void write_row(nde_real *row, const nde_real *pad, size_t n) {
    if (n < LANES) copy_part(row, pad, n);
}

#define EACH_VECTOR(b, last) for (size_t b = 0, more = 1; more; more = b != last, b = b + LANES < last ? b + LANES : last)

INLINE void value_rows(const int id, size_t rows, size_t n, const nde_real *z, size_t ldz, nde_real *x, size_t ldx) {
    if (id == NDE_IDENTITY) {
        for (; x != z && rows > 0; rows--) memcpy(x + (rows - 1)*ldx, z + (rows - 1)*ldz, n*sizeof *x);
        return;
    }
    join(&rows, &n, ldz == n && ldx == n);
    nde_real pad[LANES] = { 0 };
    const size_t last = n < LANES ? 0 : n - LANES;
    for (; rows > 0; rows--, z += ldz, x += ldx) {
        const nde_real *from = read_row(pad, z, n);
        nde_real *to = n < LANES ? pad : x;
        const vec end = load(from + last);
        EACH_VECTOR(b, last) store(to + b, value_of(id, b == last ? end : load(from + b)));
        write_row(x, pad, n);
    }
}

INLINE void both_rows(const int id, size_t rows, size_t n, nde_real *z, size_t ldz, nde_real *x, size_t ldx) {
    if (!nde_activation_keeps_input(id)) return;
    join(&rows, &n, ldz == n && ldx == n);
    nde_real pad_z[LANES] = { 0 }, pad[LANES];
    const size_t last = n < LANES ? 0 : n - LANES;
    for (; rows > 0; rows--, z += ldz) {
        const nde_real *from = read_row(pad_z, z, n);
        nde_real *slope = n < LANES ? pad_z : z, *to = n < LANES ? pad : x;
        const vec end = load(from + last);
        EACH_VECTOR(b, last) {
            vec d;
            const vec v = both_of(id, b == last ? end : load(from + b), &d);
            store(slope + b, d);
            if (x) store(to + b, v);
        }
        write_row(z, pad_z, n);
        if (x) write_row(x, pad, n), x += ldx;
    }
}

INLINE void slope_rows(const int id, size_t rows, size_t n, const nde_real *kept, size_t ld_kept, const nde_real *a, size_t lda,
                       nde_real *d, size_t ldd) {
    if (id == NDE_IDENTITY) {
        for (; d != a && rows > 0; rows--) memcpy(d + (rows - 1)*ldd, a + (rows - 1)*lda, n*sizeof *d);
        return;
    }
    join(&rows, &n, ld_kept == n && lda == n && ldd == n);
    nde_real pad_kept[LANES] = { 0 }, pad[LANES] = { 0 };
    const size_t last = n < LANES ? 0 : n - LANES;
    for (; rows > 0; rows--, kept += ld_kept, a += lda, d += ldd) {
        const nde_real *s = read_row(pad_kept, kept, n), *from = read_row(pad, a, n);
        nde_real *to = n < LANES ? pad : d;
        const vec end = load(from + last);
        EACH_VECTOR(b, last) store(to + b, (b == last ? end : load(from + b))*derivatives_of(id, load(s + b)).slope);
        write_row(d, pad, n);
    }
}

INLINE void curve_rows(const int id, size_t rows, size_t n, size_t ld, const nde_real *kept, const nde_real *dz, nde_real *a,
                       nde_real *b) {
    if (id == NDE_IDENTITY) return;
    join(&rows, &n, ld == n);
    nde_real pads[4][LANES] = { { 0 } };
    const size_t last = n < LANES ? 0 : n - LANES;
    for (; rows > 0; rows--, kept += ld, dz += ld, a += ld, b += ld) {
        const nde_real *s = read_row(pads[0], kept, n), *from_dz = read_row(pads[1], dz, n);
        const nde_real *from_a = read_row(pads[2], a, n), *from_b = read_row(pads[3], b, n);
        nde_real *to_a = n < LANES ? pads[2] : a, *to_b = n < LANES ? pads[3] : b;
        const vec end_a = load(from_a + last), end_b = load(from_b + last);
        EACH_VECTOR(i, last) {
            const vec x = i == last ? end_a : load(from_a + i), y = i == last ? end_b : load(from_b + i);
            const pair d = derivatives_of(id, load(s + i));
            store(to_a + i, fused(x, d.slope, y*load(from_dz + i)*d.curvature));
            store(to_b + i, y*d.slope);
        }
        write_row(a, pads[2], n), write_row(b, pads[3], n);
    }
}

/* ---- a kernel for each ---- */

#define EACH_ACTIVATION(call) switch (id) { NDE_ACTIVATION_LIST(call) }

static void value(int id, size_t rows, size_t n, const nde_real *z, size_t ldz, nde_real *x, size_t ldx) {
#define NDE_X(name, number, text) case number: value_rows(number, rows, n, z, ldz, x, ldx); break;
    EACH_ACTIVATION(NDE_X)
#undef NDE_X
}

static void with_slope(int id, size_t rows, size_t n, nde_real *z, size_t ldz, nde_real *x, size_t ldx) {
#define NDE_X(name, number, text) case number: both_rows(number, rows, n, z, ldz, x, ldx); break;
    EACH_ACTIVATION(NDE_X)
#undef NDE_X
}

static void slope(int id, size_t rows, size_t n, const nde_real *kept, size_t ld_kept, const nde_real *a, size_t lda,
                  nde_real *d, size_t ldd) {
#define NDE_X(name, number, text) case number: slope_rows(number, rows, n, kept, ld_kept, a, lda, d, ldd); break;
    EACH_ACTIVATION(NDE_X)
#undef NDE_X
}

static void curve(int id, size_t rows, size_t n, size_t ld, const nde_real *kept, const nde_real *dz, nde_real *a,
                  nde_real *b) {
#define NDE_X(name, number, text) case number: curve_rows(number, rows, n, ld, kept, dz, a, b); break;
    EACH_ACTIVATION(NDE_X)
#undef NDE_X
}

const nde_activation_kernels NDE_ISA_NAME(nde_activation_kernels) = {
    .value = value, .with_slope = with_slope, .slope = slope, .curve = curve,
};
