/* SPDX-License-Identifier: MIT
 * least_squares.c - Levenberg-Marquardt for few parameters, m residuals and np parameters.
 *
 * Each step solves min |r + J d|^2 + lambda |D d|^2 by orthogonal transformations: J = Q R once a point, then R over
 * sqrt(lambda) D for each lambda. D holds the largest norm that each column has had (J. More, 1978), so that scaling a
 * parameter changes nothing. lambda follows the ratio of the decrease to what the linear model promised (H. Nielsen, Damping
 * parameter in Marquardt's method, IMM-REP-1999-05, Technical University of Denmark). With bounds the same problem is solved in
 * the box, by an active-set method: J. Nocedal, S. Wright, Numerical Optimization (2006), algorithm 16.3. Inside, everything is
 * in units of D: z = D d, columns J_j/D_j. */
#include "nde/train.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/core.h"

/* In units of the squared norm of a column: below the least, the rounding of a singular J would become a step; above the most,
 * steps are lost in rounding. first_damping is Nielsen's tau. */
static const double least_damping = 1e-12, first_damping = 1e-3, most_damping = 1e32;

enum { FREE, AT_LOWER, AT_UPPER }; /* where a step leaves a parameter */

typedef struct fitting {
    nde_least_squares call;
    size_t m, np, k;              /* k: rows of the triangle, min(m, np) */
    nde_real *p, *trial;          /* [np] p: the caller's, the best so far */
    double *lower, *upper;        /* [np] the nearest numbers of this precision inside */
    double *residual, *jacobian;  /* [m], [m][np] */
    double *scale, *norm;         /* [np] D, norms of the columns at p */
    double *r, *q;                /* [k][np] the triangle at p, with its columns in `order`; [k] Q'residual */
    size_t *order, rank;          /* [np]; rows of r that are not rounding */
    double *gradient;             /* [np] J'residual/D */
    double *a, *b;                /* [k + np][np], [k + np] damped system */
    double *z, *target, *w;       /* [np] step in units of D, where it wants to go; [k] R z */
    double *dot, *square;         /* [np] scratch of reduce */
    unsigned char *place;         /* [np] FREE ... */
    double half, half_trial;      /* |residual|^2/2 at p and trial */
    nde_fit fit;
} fitting;

/* ---- linear algebra ---- */

/* Householder's a = Q r, b = Q'b, in place; a [rows][columns], its strict lower triangle is not set to zero. With `order`,
 * columns are taken by the size of what is left of them. Sweeps go along rows, where a is contiguous.
 * Source: P. Businger, G. Golub, Numer. Math. 7 (1965) 269-276. */
static void reduce(size_t rows, size_t columns, double *a, double *b, size_t *order, double *dot, double *square) {
    const size_t steps = rows < columns ? rows : columns;
    memset(square, 0, columns*sizeof *square);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) square[j] += a[i*columns + j]*a[i*columns + j];
    for (size_t c = 0; c < steps; c++) {
        size_t best = c;
        for (size_t j = c + 1; order && j < columns; j++)
            if (square[j] > square[best]) best = j;
        if (best != c) {
            const size_t other = order[c];
            order[c] = order[best], order[best] = other;
            for (size_t i = 0; i < rows; i++) {
                const double x = a[i*columns + c];
                a[i*columns + c] = a[i*columns + best], a[i*columns + best] = x;
            }
        }
        double *top = a + c*columns, sum = 0;
        for (size_t i = c; i < rows; i++) sum += a[i*columns + c]*a[i*columns + c];
        if (sum > 0) {
            /* v = column - alpha e, without cancellation; 1/beta = v'v/2 = -alpha v_c */
            const double alpha = top[c] > 0 ? -sqrt(sum) : sqrt(sum), v = top[c] - alpha, beta = -1/(alpha*v);
            double against = v*b[c];
            for (size_t j = c + 1; j < columns; j++) dot[j] = v*top[j];
            for (size_t i = c + 1; i < rows; i++) {
                const double *row = a + i*columns, vi = row[c];
                for (size_t j = c + 1; j < columns; j++) dot[j] += vi*row[j];
                against += vi*b[i];
            }
            top[c] = alpha, b[c] -= beta*against*v;
            for (size_t j = c + 1; j < columns; j++) top[j] -= beta*dot[j]*v;
            memset(square + c + 1, 0, (columns - c - 1)*sizeof *square);
            for (size_t i = c + 1; i < rows; i++) {
                double *row = a + i*columns;
                const double vi = beta*row[c];
                for (size_t j = c + 1; j < columns; j++) row[j] -= vi*dot[j], square[j] += row[j]*row[j];
                b[i] -= vi*against;
            }
        }
    }
}

/* Upper triangle a [n][ld] x = b. */
static void solve_upper(size_t n, size_t ld, const double *a, const double *b, double *x) {
    for (size_t i = n; i-- > 0;) {
        double sum = b[i];
        for (size_t j = i + 1; j < n; j++) sum -= a[i*ld + j]*x[j];
        x[i] = sum/a[i*ld + i];
    }
}

/* ---- the linear model at p ---- */

/* J and residual at p become the triangle, the gradient and D. The Jacobian is used up. */
static nde_status model(fitting *f) {
    const size_t m = f->m, np = f->np;
    f->rank = 0;
    memset(f->norm, 0, np*sizeof *f->norm);
    memset(f->gradient, 0, np*sizeof *f->gradient);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < np; j++) f->norm[j] += f->jacobian[i*np + j]*f->jacobian[i*np + j];
    for (size_t j = 0; j < np; j++) {
        f->norm[j] = sqrt(f->norm[j]);
        if (!isfinite(f->norm[j]))
            return nde_fail(NDE_E_NONFINITE, "nde_least_squares_fit: the norm of the Jacobian's column %zu overflows", j);
        f->scale[j] = fmax(f->scale[j], f->norm[j]);
        f->order[j] = j;
    }
    for (size_t j = 0; j < np; j++) f->dot[j] = f->scale[j] > 0 ? 1/f->scale[j] : 1;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < np; j++) f->jacobian[i*np + j] *= f->dot[j];
    reduce(m, np, f->jacobian, f->residual, f->order, f->dot, f->square);
    const double noise = DBL_EPSILON*(double)(m > np ? m : np)*fabs(f->jacobian[0]);
    while (f->rank < f->k && fabs(f->jacobian[f->rank*np + f->rank]) > noise) f->rank++;
    memcpy(f->r, f->jacobian, f->k*np*sizeof *f->r);
    memcpy(f->q, f->residual, f->k*sizeof *f->q);
    for (size_t i = 0; i < f->rank; i++)
        for (size_t c = i; c < np; c++) f->gradient[f->order[c]] += f->r[i*np + c]*f->q[i];
    return NDE_OK;
}

static double unit(const fitting *f, size_t j) { return f->scale[j] > 0 ? f->scale[j] : 1; }

/* The bound at which parameter j stays because the descent points out. */
static unsigned char held_at(const fitting *f, size_t j) {
    const double p = (double)f->p[j];
    if (p <= f->lower[j] && (f->gradient[j] > 0 || f->lower[j] == f->upper[j])) return AT_LOWER;
    return p >= f->upper[j] && f->gradient[j] < 0 ? AT_UPPER : FREE;
}

/* The largest cosine between the residual and a column that may move; 0 without any residual. */
static double cosine(const fitting *f) {
    const double length = sqrt(2*f->half);
    double most = 0;
    for (size_t j = 0; j < f->np && length > 0; j++)
        if (f->norm[j] > 0 && !held_at(f, j)) most = fmax(most, fabs(f->gradient[j])*unit(f, j)/f->norm[j]/length);
    return most;
}

/* Target: the best z of the free parameters, the others being where they are. */
static void aim(fitting *f, double lambda) {
    const size_t np = f->np, rank = f->rank;
    size_t n = 0;
    for (size_t j = 0; j < np; j++) n += f->place[j] == FREE;
    memset(f->a, 0, (rank + n)*n*sizeof *f->a);
    memset(f->b, 0, (rank + n)*sizeof *f->b);
    for (size_t i = 0; i < rank; i++) {
        f->b[i] = -f->q[i];
        for (size_t c = 0, at = 0; c < np; c++) {
            const double r = c < i ? 0 : f->r[i*np + c];
            if (f->place[f->order[c]] == FREE) f->a[i*n + at++] = r;
            else f->b[i] -= r*f->z[f->order[c]];
        }
    }
    for (size_t i = 0; i < n; i++) f->a[(rank + i)*n + i] = sqrt(lambda);
    reduce(rank + n, n, f->a, f->b, NULL, f->dot, f->square);
    solve_upper(n, n, f->a, f->b, f->dot);
    for (size_t c = 0, at = 0; c < np; c++)
        if (f->place[f->order[c]] == FREE) f->target[f->order[c]] = f->dot[at++];
}

/* z goes to its target, or to the first bound on the way: true. */
static bool blocked(fitting *f) {
    const size_t np = f->np;
    double part = 1;
    size_t first = np;
    for (size_t j = 0; j < np; j++) {
        if (f->place[j] != FREE) continue;
        const double way = f->target[j] - f->z[j], p = (double)f->p[j];
        const double room = ((way < 0 ? f->lower[j] : f->upper[j]) - p)*unit(f, j) - f->z[j];
        if (fabs(way) > fabs(room)) {
            const double reach = room/way > 0 ? room/way : 0;
            if (reach < part) part = reach, first = j;
        }
    }
    for (size_t j = 0; j < np; j++)
        if (f->place[j] == FREE) f->z[j] = part < 1 ? f->z[j] + part*(f->target[j] - f->z[j]) : f->target[j];
    if (first == np) return false;
    f->place[first] = f->target[first] < f->z[first] ? AT_LOWER : AT_UPPER;
    f->z[first] = ((f->place[first] == AT_LOWER ? f->lower[first] : f->upper[first]) - (double)f->p[first])*unit(f, first);
    return true;
}

/* w = R z; returns by how much the linear model says that half falls. */
static double promised(fitting *f) {
    double promise = 0;
    for (size_t i = 0; i < f->rank; i++) {
        f->w[i] = 0;
        for (size_t c = i; c < f->np; c++) f->w[i] += f->r[i*f->np + c]*f->z[f->order[c]];
        promise -= f->w[i]*(f->q[i] + 0.5*f->w[i]);
    }
    return promise;
}

/* Frees the parameter at a bound that would most like to come back: true; false when none would. */
static bool release(fitting *f, double lambda) {
    double most = 1e-14*sqrt(2*f->half); /* less is rounding: no column is longer than 1 */
    size_t which = f->np;
    (void)promised(f);
    for (size_t c = 0; c < f->np; c++) {
        const size_t j = f->order[c];
        if (f->place[j] == FREE || f->lower[j] == f->upper[j]) continue;
        double slope = lambda*f->z[j];
        for (size_t i = 0; i < f->rank && i <= c; i++) slope += f->r[i*f->np + c]*(f->q[i] + f->w[i]);
        if (f->place[j] == AT_LOWER) slope = -slope;
        if (slope > most) most = slope, which = j;
    }
    if (which == f->np) return false;
    f->place[which] = FREE;
    return true;
}

/* The step for lambda in the box; returns by how much the linear model says that half falls, >= 0 up to rounding. */
static double step(fitting *f, double lambda) {
    for (size_t j = 0; j < f->np; j++) f->place[j] = held_at(f, j), f->z[j] = 0;
    aim(f, lambda);
    for (size_t rounds = 10 + 3*f->np; rounds-- && (blocked(f) || release(f, lambda));) aim(f, lambda);
    return promised(f);
}

/* |z| over |D p|. */
static double relative_step(const fitting *f) {
    double top = 0, bottom = 0;
    for (size_t j = 0; j < f->np; j++) {
        const double p = unit(f, j)*(double)f->p[j];
        top += f->z[j]*f->z[j], bottom += p*p;
    }
    return top == 0 ? 0 : sqrt(top/bottom);
}

/* trial = p + step, rounded and inside the bounds; false when that is p. */
static bool try_step(fitting *f) {
    bool moved = false;
    for (size_t j = 0; j < f->np; j++) {
        const double to = (double)f->p[j] + f->z[j]/unit(f, j);
        f->trial[j] = (nde_real)(f->place[j] == AT_LOWER ? f->lower[j] : f->place[j] == AT_UPPER ? f->upper[j] : to);
        if ((double)f->trial[j] < f->lower[j]) f->trial[j] = (nde_real)f->lower[j];
        if ((double)f->trial[j] > f->upper[j]) f->trial[j] = (nde_real)f->upper[j];
        moved = moved || f->trial[j] != f->p[j];
    }
    return moved;
}

/* ---- the search ---- */

/* Residual, half_trial and, when asked for, the Jacobian at trial. *possible is false where the callback refuses. */
static nde_status ask(fitting *f, bool jacobian, bool *possible) {
    const size_t m = f->m, np = f->np;
    const int failed = f->call.residual(f->call.ctx, np, f->trial, m, f->residual, jacobian ? f->jacobian : NULL);
    f->fit.evaluations++;
    *possible = failed == 0;
    if (failed < 0) return nde_fail(NDE_E_FIELD, "nde_least_squares_fit: residual returned %d", failed);
    if (failed) return NDE_OK;
    f->half_trial = 0;
    for (size_t i = 0; i < m; i++) {
        if (!isfinite(f->residual[i]))
            return nde_fail(NDE_E_NONFINITE, "nde_least_squares_fit: residual %zu of evaluation %lld is %g", i,
                            (long long)f->fit.evaluations, f->residual[i]);
        f->half_trial += f->residual[i]*f->residual[i];
    }
    f->half_trial *= 0.5;
    *possible = isfinite(f->half_trial);
    for (size_t i = 0; jacobian && i < m*np; i++)
        if (!isfinite(f->jacobian[i]))
            return nde_fail(NDE_E_NONFINITE, "nde_least_squares_fit: the derivative of residual %zu by p[%zu] in evaluation "
                            "%lld is %g", i/np, i%np, (long long)f->fit.evaluations, f->jacobian[i]);
    return NDE_OK;
}

/* Trial becomes p. */
static nde_status accept(fitting *f) {
    memcpy(f->p, f->trial, f->np*sizeof *f->p);
    f->half = f->half_trial;
    return model(f);
}

static nde_status begin(fitting *f) {
    bool possible;
    for (size_t j = 0; j < f->np; j++)
        f->trial[j] = (nde_real)fmin(fmax((double)f->p[j], f->lower[j]), f->upper[j]);
    memcpy(f->p, f->trial, f->np*sizeof *f->p);
    const nde_status bad = ask(f, true, &possible);
    if (bad) return bad;
    if (!possible)
        return nde_fail(NDE_E_FIELD, "nde_least_squares_fit: the start is refused, or its sum of squares overflows");
    f->fit.first = f->half_trial;
    return accept(f);
}

/* One iteration: steps with growing lambda until one is a descent. NDE_UNFINISHED: there is none; with `once`, the first is
 * none. */
static nde_status descend(fitting *f, double promise, double *lambda, bool once) {
    for (double growth = 2; try_step(f) && *lambda <= most_damping; growth *= 2) {
        bool possible;
        nde_status bad = ask(f, false, &possible);
        if (bad) return bad;
        const double gain = (f->half - f->half_trial)/promise;
        const bool level = once && f->half_trial <= f->half*(1 + 4*DBL_EPSILON); /* as far as values can tell */
        if (possible && promise > 0 && (gain > 0 || level)) {
            if ((bad = ask(f, true, &possible))) return bad;
            if (possible) {
                const double x = 2*gain - 1;
                *lambda = fmax(least_damping, *lambda*fmax(1.0/3, 1 - x*x*x));
                return accept(f);
            }
        }
        if (once) break;
        *lambda *= growth;
        promise = step(f, *lambda);
    }
    return NDE_UNFINISHED;
}

/* Tests are made on the undamped step, which is taken once more when they hold: what lambda happens to be says nothing about
 * how far the minimum is. The promised decrease relative to the value is the square of the cosine between the residual and all
 * columns together: D. Bates, D. Watts, A relative offset orthogonality convergence criterion for nonlinear least squares,
 * Technometrics 23 (1981). */
static nde_status search(fitting *f) {
    const double tolerance = f->call.tolerance;
    double lambda = first_damping;
    for (;;) {
        if (cosine(f) <= tolerance) return NDE_OK;
        double promise = step(f, least_damping), undamped = least_damping;
        const bool last = promise <= tolerance*f->half || relative_step(f) <= tolerance;
        if (!last && f->fit.iterations == f->call.iterations) return NDE_UNFINISHED;
        if (!last) promise = step(f, lambda);
        const nde_status status = descend(f, promise, last ? &undamped : &lambda, last);
        if (status < 0) return status;
        if (status == NDE_OK) {
            f->fit.iterations++;
            if (f->call.progress && f->call.progress(f->call.ctx, f->fit.iterations, f->half, f->p)) return NDE_STOPPED;
        }
        if (last) return NDE_OK;
        if (status) return status;
    }
}

/* (J'J)^-1 2 half/(m - np): with X = R^-1, P X X'P' in the units of D. */
static void covariance_of(fitting *f, double *covariance) {
    const size_t np = f->np;
    const bool regular = f->m > np && f->rank == np;
    double *x = f->a;
    for (size_t c = 0; regular && c < np; c++) { /* row c: column c of X */
        for (size_t i = 0; i < np; i++) f->b[i] = i == c;
        solve_upper(c + 1, np, f->r, f->b, x + c*np);
    }
    for (size_t i = 0; i < np; i++)
        for (size_t j = i; j < np; j++) {
            const size_t pi = f->order[i], pj = f->order[j];
            double sum = regular ? 0 : (double)NAN;
            for (size_t c = j; regular && c < np; c++) sum += x[c*np + i]*x[c*np + j];
            if (regular) sum *= 2*f->half/(double)(f->m - np)/f->scale[pi]/f->scale[pj];
            covariance[pi*np + pj] = covariance[pj*np + pi] = sum;
        }
}

/* ---- the call ---- */

/* The number of this precision that is nearest to a bound on the side of `towards`. */
static double inside(double bound, float towards) {
    const nde_real x = (nde_real)bound;
    const bool outside = towards > 0 ? (double)x < bound : (double)x > bound;
    return outside ? (double)nextafterf((float)x, towards) : (double)x; /* double holds every bound */
}

static nde_status read_problem(const nde_least_squares *problem, size_t np, const nde_real *p, fitting *f) {
    nde_least_squares *o = &f->call;
    size_t count, rows;
    if (!problem) return nde_fail(NDE_E_ARG, "nde_least_squares_fit: problem is NULL");
    if (!nde_read_sized(o, sizeof *o, problem, sizeof *o))
        return nde_fail(NDE_E_ARG, "nde_least_squares_fit: size is %zu, which is not a layout that this library knows",
                        problem->size);
    if (!o->iterations) o->iterations = 100;
    if (o->tolerance == 0) o->tolerance = sizeof(nde_real) == sizeof(double) ? 1e-10 : 1e-6;
    if (o->tolerance == NDE_ZERO) o->tolerance = 0;
    if (!o->residual) return nde_fail(NDE_E_ARG, "nde_least_squares_fit: residual is NULL");
    if (!p) return nde_fail(NDE_E_ARG, "nde_least_squares_fit: p is NULL");
    if (!o->m || !np) return nde_fail(NDE_E_ARG, "nde_least_squares_fit: %s is 0", o->m ? "np" : "m");
    if (!(o->iterations > 0))
        return nde_fail(NDE_E_ARG, "nde_least_squares_fit: iterations is %lld: it must be positive", (long long)o->iterations);
    if (!(o->tolerance >= 0 && o->tolerance <= DBL_MAX))
        return nde_fail(NDE_E_ARG, "nde_least_squares_fit: tolerance is %g: it must be finite and not negative",
                        problem->tolerance);
    if (!nde_size_multiply(o->m, np, &count) || !nde_size_multiply(np, 2, &rows) || !nde_size_multiply(rows, np, &rows))
        return nde_fail(NDE_E_ARG, "nde_least_squares_fit: m is %zu, np is %zu", o->m, np);
    for (size_t j = 0; j < np; j++) {
        const double lower = o->lower ? o->lower[j] : (double)-INFINITY, upper = o->upper ? o->upper[j] : (double)INFINITY;
        if (!isfinite(p[j])) return nde_fail(NDE_E_ARG, "nde_least_squares_fit: p[%zu] is %g", j, (double)p[j]);
        if (!(lower <= upper && lower < (double)INFINITY && upper > (double)-INFINITY))
            return nde_fail(NDE_E_ARG, "nde_least_squares_fit: bounds %zu are %g and %g", j, lower, upper);
    }
    f->m = o->m, f->np = np, f->k = o->m < np ? o->m : np;
    return NDE_OK;
}

static size_t lay_out(fitting *f, void *block) {
    const size_t m = f->m, np = f->np, k = f->k;
    nde_arena a = { .base = block };
    f->trial = nde_arena_take(&a, np, sizeof *f->trial);
    double **const vectors[] = {
        &f->lower, &f->upper, &f->scale, &f->norm, &f->gradient, &f->z, &f->target, &f->dot, &f->square
    };
    for (size_t i = 0; i < sizeof vectors/sizeof *vectors; i++) *vectors[i] = nde_arena_take(&a, np, sizeof(double));
    f->residual = nde_arena_take(&a, m, sizeof *f->residual);
    f->jacobian = nde_arena_take(&a, m*np, sizeof *f->jacobian);
    f->r = nde_arena_take(&a, k*np, sizeof *f->r), f->q = nde_arena_take(&a, k, sizeof *f->q);
    f->w = nde_arena_take(&a, k, sizeof *f->w);
    f->a = nde_arena_take(&a, (k + np)*np, sizeof *f->a), f->b = nde_arena_take(&a, k + np, sizeof *f->b);
    f->order = nde_arena_take(&a, np, sizeof *f->order);
    f->place = nde_arena_take(&a, np, sizeof *f->place);
    return a.overflow ? SIZE_MAX : a.used;
}

nde_status nde_least_squares_fit(const nde_least_squares *problem, size_t np, nde_real *p, double *covariance, nde_fit *fit) {
    fitting f = { .p = p };
    nde_status status = read_problem(problem, np, p, &f);
    if (status) return status;
    const size_t bytes = lay_out(&f, NULL);
    void *block = bytes == SIZE_MAX ? NULL : nde_allocator_default.take(NULL, bytes, 64);
    if (!block)
        return nde_fail(NDE_E_NOMEM, "nde_least_squares_fit: no memory for %zu residuals, %zu parameters", f.m, np);
    lay_out(&f, block);
    for (size_t j = 0; j < np; j++) {
        const double lower = f.call.lower ? f.call.lower[j] : (double)-INFINITY;
        f.lower[j] = inside(lower, INFINITY);
        f.upper[j] = f.call.upper ? inside(f.call.upper[j], -INFINITY) : (double)INFINITY;
        if (f.lower[j] > f.upper[j]) f.lower[j] = f.upper[j] = (double)(nde_real)lower; /* no float between them */
        f.scale[j] = f.norm[j] = f.gradient[j] = 0, f.order[j] = j;
    }
    f.fit.first = f.half = (double)NAN;
    status = begin(&f);
    if (!status) status = search(&f);
    f.fit.last = f.half;
    for (size_t j = 0; j < np; j++)
        if (!held_at(&f, j)) f.fit.gradient_norm = fmax(f.fit.gradient_norm, fabs(f.gradient[j])*unit(&f, j));
    if (isnan(f.half)) f.fit.gradient_norm = (double)NAN;
    if (covariance) covariance_of(&f, covariance);
    if (fit) *fit = f.fit;
    nde_allocator_default.give(NULL, block, bytes);
    return status;
}
