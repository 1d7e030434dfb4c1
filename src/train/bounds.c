/* SPDX-License-Identifier: MIT
 * bounds.c - bounded parameters as functions of free ones, the inverses and the transposes.
 *
 * Letters: z free, p bounded, [l, u] the bounds. Arithmetic is double in both precisions. With e = exp(-|z|) <= 1 nothing
 * overflows and p is accurate relative to the nearer bound:
 *   both   p = l + (u - l) e/(1 + e) for z < 0, u - (u - l) e/(1 + e) else;   dp/dz = (u - l) e/(1 + e)^2
 * u - l may be more than the largest number: half of it is used. */
#include "nde/train.h"

#include <float.h>
#include <math.h>

#include "core/core.h"

typedef struct interval {
    double lower, upper;
} interval;

static interval interval_of(const nde_bounds *b, size_t i) {
    return (interval){ b->lower ? b->lower[i] : -(double)INFINITY, b->upper ? b->upper[i] : (double)INFINITY };
}
static bool has_lower(interval in) { return in.lower > -(double)INFINITY; }
static bool has_upper(interval in) { return in.upper < (double)INFINITY; }

static nde_real next(nde_real x, double to) {
    if (sizeof x == sizeof(float)) return (nde_real)nextafterf((float)x, (float)to);
    return (nde_real)nextafter((double)x, to);
}
/* The nearest nde_real strictly inside: x rounded, off the bound if it came to lie there. */
static nde_real inside(interval in, double x) {
    nde_real p = (nde_real)x;
    if ((double)p <= in.lower) p = next(p, (double)INFINITY);
    if ((double)p >= in.upper) p = next(p, -(double)INFINITY);
    return p;
}

/* ---- one parameter ----------------------------------------------------------------------------------------------- */

static nde_real value(interval in, nde_real z) {
    if (!has_lower(in) && !has_upper(in)) return z;
    if (!has_upper(in)) return inside(in, in.lower + exp((double)z));
    if (!has_lower(in)) return inside(in, in.upper - exp((double)z));
    const double half = 0.5*in.upper - 0.5*in.lower, e = exp(-fabs((double)z)), part = half*(2*e/(1 + e));
    return inside(in, z < 0 ? in.lower + part : in.upper - part);
}

/* dp/dz, never more than DBL_MAX: where exp(z) is, p no longer moves. */
static double slope(interval in, nde_real z) {
    if (!has_lower(in) && !has_upper(in)) return 1;
    if (has_lower(in) && has_upper(in)) {
        const double half = 0.5*in.upper - 0.5*in.lower, e = exp(-fabs((double)z));
        return half*(2*e/((1 + e)*(1 + e)));
    }
    const double e = fmin(exp((double)z), DBL_MAX);
    return has_lower(in) ? e : -e;
}

/* log(a - b) for a > b. */
static double log_distance(double a, double b) {
    const double d = a - b, ln2 = 0.69314718055994530942;
    return d <= DBL_MAX ? log(d) : log(0.5*a - 0.5*b) + ln2;
}

static nde_real inverse(interval in, nde_real p) {
    const double x = (double)p;
    if (!has_lower(in) && !has_upper(in)) return p;
    if (!has_upper(in)) return (nde_real)log_distance(x, in.lower);
    if (!has_lower(in)) return (nde_real)log_distance(in.upper, x);
    const double odds = (x - in.lower)/(in.upper - x); /* its logarithm is the more accurate, when it is a normal number */
    return (nde_real)(odds >= DBL_MIN && odds <= DBL_MAX ? log(odds) : log_distance(x, in.lower) - log_distance(in.upper, x));
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* x [np] is z, or p when `bounded`: finite, and strictly inside. */
static nde_status read_bounds(const char *function, const nde_bounds *bounds, size_t np, const nde_real *x, bool bounded,
                              nde_bounds *b) {
    if (!bounds) return nde_fail(NDE_E_ARG, "%s: bounds is NULL", function);
    if (!nde_read_sized(b, sizeof *b, bounds, sizeof *b))
        return nde_fail(NDE_E_ARG, "%s: size is %zu, which is not a layout that this library knows", function, bounds->size);
    if (!np) return nde_fail(NDE_E_ARG, "%s: np is 0", function);
    if (!x) return nde_fail(NDE_E_ARG, "%s: %s is NULL", function, bounded ? "p" : "z");
    for (size_t i = 0; i < np; i++) {
        const interval in = interval_of(b, i);
        const double least = (double)inside((interval){ in.lower, (double)INFINITY }, in.lower);
        if (!(least > in.lower && least < in.upper))
            return nde_fail(NDE_E_ARG, "%s: lower[%zu] is %.17g and upper[%zu] is %.17g: a number must lie between them",
                            function, i, in.lower, i, in.upper);
        if (!isfinite(x[i]))
            return nde_fail(NDE_E_ARG, "%s: %s[%zu] is %g", function, bounded ? "p" : "z", i, (double)x[i]);
        if (bounded && !((double)x[i] > in.lower && (double)x[i] < in.upper))
            return nde_fail(NDE_E_ARG, "%s: p[%zu] is %g, which is not strictly between %g and %g", function, i, (double)x[i],
                            in.lower, in.upper);
    }
    return NDE_OK;
}

nde_status nde_bounds_apply(const nde_bounds *bounds, size_t np, const nde_real *z, nde_real *p) {
    nde_bounds b;
    const nde_status bad = read_bounds("nde_bounds_apply", bounds, np, z, false, &b);
    if (bad) return bad;
    if (!p) return nde_fail(NDE_E_ARG, "nde_bounds_apply: p is NULL");
    for (size_t i = 0; i < np; i++) p[i] = value(interval_of(&b, i), z[i]);
    return NDE_OK;
}

nde_status nde_bounds_free(const nde_bounds *bounds, size_t np, const nde_real *p, nde_real *z) {
    nde_bounds b;
    const nde_status bad = read_bounds("nde_bounds_free", bounds, np, p, true, &b);
    if (bad) return bad;
    if (!z) return nde_fail(NDE_E_ARG, "nde_bounds_free: z is NULL");
    for (size_t i = 0; i < np; i++) z[i] = inverse(interval_of(&b, i), p[i]);
    return NDE_OK;
}

nde_status nde_bounds_pullback(const nde_bounds *bounds, size_t np, const nde_real *z, const nde_real *gradient_p,
                               nde_real *gradient_z) {
    nde_bounds b;
    const nde_status bad = read_bounds("nde_bounds_pullback", bounds, np, z, false, &b);
    if (bad) return bad;
    if (!gradient_p || !gradient_z)
        return nde_fail(NDE_E_ARG, "nde_bounds_pullback: %s is NULL", gradient_p ? "gradient_z" : "gradient_p");
    for (size_t i = 0; i < np; i++) gradient_z[i] = (nde_real)(slope(interval_of(&b, i), z[i])*(double)gradient_p[i]);
    return NDE_OK;
}
