/* SPDX-License-Identifier: MIT
 * halve.c - the loops over lanes of a virtual Brownian tree: an interval and its parts, and sums over intervals beside each
 * other, whose law is in tree.c. Rows of lanes that stand together are read and written where they are, those of others are
 * gathered first and scattered behind. Compiled once for each instruction set; the same bits in all. */
#include "core/isa.h"
#include "noise/kernel.h"
#include "noise/unit.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))
enum { PIECE = NDE_NOISE_PIECE };

/* ---- rows ------------------------------------------------------------------------------------ */

/* Entries of lanes of a row, one beside the other; row [n]: room for them. */
INLINE const double *gather(const bool together, size_t n, const double *from, const size_t *at, double *row) {
    if (together) return from + at[0];
    for (size_t l = 0; l < n; l++) row[l] = from[at[l]];
    return row;
}

/* Where the entries of lanes are best written, and their way from there. */
INLINE double *place(const bool together, double *to, const size_t *at, double *row) { return together ? to + at[0] : row; }
INLINE void scatter(const bool together, size_t n, const double *row, double *to, const size_t *at) {
    if (together) return;
    for (size_t l = 0; l < n; l++) to[at[l]] = row[l];
}

/* ---- cutting --------------------------------------------------------------------------------- */

/* What components have in common: r and functions of it, quotients by them, and deviations of the normals. */
typedef struct law {
    double r[PIECE], x[PIECE], skew[PIECE], p[PIECE], v[PIECE], g[PIECE], by_p[PIECE], by_v[PIECE], by_g[PIECE],
        of_h[PIECE], of_k[PIECE], of_b[PIECE], of_d[PIECE], of_y[PIECE];
} law;

INLINE void take_law(const size_t levy, size_t count, const nde_tree_halves *c, law *to) {
    NDE_IVDEP
    for (size_t l = 0; l < count; l++) {
        const double r = c->r[l], rest = 1 - r, x = r*rest, p = 1 - 3*x, v = 1 - 5*x + 5*x*x, g = 1 - 8*x + 20*x*x;
        to->r[l] = r;
        to->of_b[l] = sqrt(c->length[l]*x*(levy == 1 ? 1 : levy == 2 ? p : g));
        if (levy == 1) continue;
        to->x[l] = x, to->skew[l] = rest - r, to->p[l] = p, to->by_p[l] = 1/p, to->of_h[l] = 6*x;
        to->of_d[l] = sqrt(c->length[l]*x*(levy == 2 ? 1/p : v/g)/12);
        if (levy == 2) continue;
        to->v[l] = v, to->g[l] = g, to->by_v[l] = 1/v, to->by_g[l] = 1/g;
        to->of_k[l] = 60*x*(rest - r), to->of_y[l] = sqrt(c->length[l]*x/(720*v));
    }
}

/* a/b to the last bit, with 1/b, rounded: the quotient is corrected by its remainder, which a fused product has exactly.
 * Source: N. Brisebarre, J.-M. Muller, S. Raina, IEEE Trans. Comput. 53 (2004) 1069-1072. */
INLINE double over(double a, double b, double by_b) {
#ifdef __FMA__
    const double q = a*by_b;
    return nde_fma(nde_fma(-q, b, a), by_b, q);
#else
    (void)by_b;
    return a/b;
#endif
}

/* Row i. levy, together and middle are constants: a loop for each case. In the middle p, v and g are powers of two and the
 * skew is 0. */
INLINE void halve_row(const size_t levy, const bool together, const bool middle, const nde_tree_halves *c, const law *by,
                      size_t i) {
    const nde_tree_lanes *of = &c->lanes;
    const size_t n = of->n, kind = of->m*of->ld, set = of->m*PIECE;
    double row[9][PIECE], *levels = of->levels + i*of->ld, *h_left = levels + kind, *k_left = h_left + kind;
    double *h_right = levels + levy*kind, *k_right = h_right + kind;
    const double *start = gather(together, n, levels, c->begin, row[0]), *end = gather(together, n, levels, c->end, row[1]);
    const double *h = levy > 1 ? gather(together, n, levels, c->areas, row[2]) : NULL;
    const double *k = levy > 2 ? gather(together, n, levels + kind, c->areas, row[3]) : NULL;
    const double *z1 = c->z + i*PIECE, *z2 = z1 + set, *z3 = z2 + set;
    double *between = place(together, levels, c->cut, row[4]);
    double *h1 = place(together, h_left, c->cut, row[5]), *k1 = place(together, k_left, c->cut, row[6]);
    double *h2 = place(together, h_right, c->cut, row[7]), *k2 = place(together, k_right, c->cut, row[8]);
    NDE_IVDEP
    for (size_t l = 0; l < n; l++) {
        const size_t a = together ? 0 : l;
        const double r = middle ? 0.5 : by->r[a], rest = 1 - r, w = end[l] - start[l];
        const double of_areas = levy == 1 ? 0 : levy == 2 || middle ? by->of_h[a]*h[l] : by->of_h[a]*h[l] + by->of_k[a]*k[l];
        between[l] = nde_to_unit(start[l] + (r*w + of_areas + by->of_b[a]*z1[l]), c->round[a]);
        if (levy == 1) continue;
        const double x = middle ? 0.25 : by->x[a], skew = by->skew[a], bend = between[l] - start[l] - r*w;
        const double mean = h[l] - 0.5*bend, tilt = middle ? 0 : over(-skew*mean, by->p[a], by->by_p[a]);
        if (levy == 2) {
            const double d = tilt + by->of_d[a]*z2[l];
            h1[l] = mean + rest*d, h2[l] = mean - r*d;
            continue;
        }
        const double drop = middle ? k[l] : k[l] - over(skew*bend, 12, 1./12);
        const double more = middle ? 7.5*drop : over(30*x*x*(drop - 0.5*x*tilt), by->g[a], by->by_g[a]);
        const double d = tilt + more + by->of_d[a]*z2[l], sum = drop - 0.5*x*d, y = by->of_y[a]*z3[l];
        h1[l] = mean + rest*d, h2[l] = mean - r*d;
        k1[l] = (middle ? 2*sum : over(r*r*r*sum, by->v[a], by->by_v[a])) + rest*rest*y;
        k2[l] = (middle ? 2*sum : over(rest*rest*rest*sum, by->v[a], by->by_v[a])) - r*r*y;
    }
    scatter(together, n, between, levels, c->cut);
    if (levy > 1) scatter(together, n, h1, h_left, c->cut), scatter(together, n, h2, h_right, c->cut);
    if (levy > 2) scatter(together, n, k1, k_left, c->cut), scatter(together, n, k2, k_right, c->cut);
}

INLINE void halve(const size_t levy, const bool together, const bool middle, const nde_tree_halves *c) {
    law by;
    take_law(levy, together ? 1 : c->lanes.n, c, &by);
    for (size_t i = 0; i < c->lanes.m; i++) halve_row(levy, together, middle, c, &by, i);
}

void NDE_ISA_NAME(nde_tree_halve)(const nde_tree_halves *c) {
#define HALVE(levy) \
    (!c->lanes.together ? halve(levy, false, false, c) : c->r[0] == 0.5 ? halve(levy, true, true, c) \
                                                       : halve(levy, true, false, c))
    if (c->lanes.levy == 1) HALVE(1);
    else if (c->lanes.levy == 2) HALVE(2);
    else HALVE(3);
#undef HALVE
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* Row i. levy: of the sums, with W alone of all parts at once; fresh: the sums begin with this part, r is 0. */
INLINE void append_row(const size_t levy, const bool together, const bool fresh, const nde_tree_sums *to, size_t i) {
    const nde_tree_lanes *of = &to->lanes;
    const size_t n = of->n, shift = i*to->sum_ld;
    double row[10][PIECE], *sums[3] = { to->sum[0] + shift, levy > 1 ? to->sum[1] + shift : NULL,
                                        levy > 2 ? to->sum[2] + shift : NULL };
    const double *levels = of->levels + i*of->ld, *w1 = NULL, *h1 = NULL, *k1 = NULL;
    const double *start = gather(together, n, to->start + i*PIECE, to->lane, row[0]);
    const double *end = gather(together, n, levels, to->end, row[1]);
    const double *h2 = levy > 1 ? gather(together, n, levels, to->areas, row[2]) : NULL;
    const double *k2 = levy > 2 ? gather(together, n, levels + of->m*of->ld, to->areas, row[3]) : NULL;
    if (levy > 1 && !fresh)
        w1 = gather(together, n, sums[0], to->lane, row[4]), h1 = gather(together, n, sums[1], to->lane, row[5]);
    if (levy > 2 && !fresh) k1 = gather(together, n, sums[2], to->lane, row[6]);
    double *w = place(together, sums[0], to->lane, row[7]), *h = levy > 1 ? place(together, sums[1], to->lane, row[8]) : NULL;
    double *k = levy > 2 ? place(together, sums[2], to->lane, row[9]) : NULL;
    NDE_IVDEP
    for (size_t l = 0; l < n; l++) {
        const double all = end[l] - start[l];
        if (levy > 1 && !fresh) {
            const double r = to->r[together ? 0 : l], rest = 1 - r, skew = rest*w1[l] - r*(all - w1[l]);
            if (levy > 2)
                k[l] = r*r*k1[l] + rest*rest*k2[l] + 0.5*r*rest*(h1[l] - h2[l]) + over((rest - r)*skew, 12, 1./12);
            h[l] = r*h1[l] + rest*h2[l] + 0.5*skew;
        } else if (levy > 1) {
            h[l] = h2[l];
            if (levy > 2) k[l] = k2[l];
        }
        w[l] = all;
    }
    scatter(together, n, w, sums[0], to->lane);
    if (levy > 1) scatter(together, n, h, sums[1], to->lane);
    if (levy > 2) scatter(together, n, k, sums[2], to->lane);
}

INLINE void append(const size_t levy, const bool together, const bool fresh, const nde_tree_sums *to) {
    for (size_t i = 0; i < to->lanes.m; i++) append_row(levy, together, fresh, to, i);
}

void NDE_ISA_NAME(nde_tree_append)(const nde_tree_sums *to) {
#define APPEND(levy) \
    (!to->lanes.together ? append(levy, false, false, to) : to->r[0] > 0 ? append(levy, true, false, to) \
                                                          : append(levy, true, true, to))
    if (to->sum[2]) APPEND(3);
    else if (to->sum[1]) APPEND(2);
    else APPEND(1);
#undef APPEND
}
