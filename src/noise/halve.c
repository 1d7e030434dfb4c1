/* SPDX-License-Identifier: MIT
 * halve.c - the loops over lanes of a virtual Brownian tree: an interval and its parts, and sums over intervals beside each
 * other, whose law is in tree.c. Compiled once for each instruction set; without fused products, the same bits in all. */
#include "core/isa.h"
#include "noise/kernel.h"
#include "noise/unit.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))

typedef nde_tree_halves halves;

/* What lanes and components have in common: r, 1 - r and functions of them, and deviations of the normals. */
typedef struct law {
    double r, rest, x, skew, p, v, g, of_h, of_k, of_b, of_d, of_y;
} law;

INLINE law law_of(const size_t levy, const halves *c) {
    const double r = c->r, rest = 1 - r, x = r*rest, p = 1 - 3*x, v = 1 - 5*x + 5*x*x, g = 1 - 8*x + 20*x*x;
    return (law){ .r = r, .rest = rest, .x = x, .skew = rest - r, .p = p, .v = v, .g = g,
                  .of_h = 6*x, .of_k = 60*x*(rest - r), .of_b = sqrt(c->length*x*(levy == 1 ? 1 : levy == 2 ? p : g)),
                  .of_d = sqrt(c->length*x*(levy == 2 ? 1/p : v/g)/12), .of_y = sqrt(c->length*x/(720*v)) };
}

/* a/b; in the middle p, v and g are powers of two, and nothing is to be divided by 12. */
INLINE double over(const bool middle, double a, double b) { return middle ? a*(1/b) : a/b; }

/* The parts of row i, and where the one that is kept begins. levy, stays and middle are constants: a loop for each case. */
INLINE void halve_row(const size_t levy, const bool stays, const bool middle, const halves *c, const law *by, size_t i) {
    const double r = by->r, rest = by->rest, x = by->x, skew = by->skew, p = by->p, v = by->v, g = by->g, round = c->round;
    const double of_h = by->of_h, of_k = by->of_k, of_b = by->of_b, of_d = by->of_d, of_y = by->of_y;
    const size_t from_kind = c->m*c->ld, left_kind = c->m*c->left_ld, right_kind = c->m*c->right_ld, set = c->m*NDE_NOISE_PIECE;
    const double *start = c->from + i*c->ld, *w = start + from_kind, *h = w + from_kind, *k = h + from_kind;
    const double *z1 = c->z + i*NDE_NOISE_PIECE, *z2 = z1 + set, *z3 = z2 + set;
    double *left = c->left + i*c->left_ld, *h1 = left + left_kind, *k1 = h1 + left_kind, *begin = c->begin + i*c->ld;
    double *right = c->right + i*c->right_ld, *h2 = right + right_kind, *k2 = h2 + right_kind;
    NDE_IVDEP
    for (size_t l = 0; l < c->n; l++) {
        const double of_areas = levy == 1 ? 0 : levy == 2 ? of_h*h[l] : of_h*h[l] + of_k*k[l];
        const double w1 = nde_to_unit(start[l] + (r*w[l] + of_areas + of_b*z1[l]), round) - start[l];
        if (levy > 1 || stays) left[l] = w1; /* else nobody asks for it */
        right[l] = w[l] - w1;
        begin[l] = stays ? start[l] : start[l] + w1;
        if (levy == 1) continue;
        const double bend = w1 - r*w[l], mean = h[l] - 0.5*bend, tilt = over(middle, -skew*mean, p);
        if (levy == 2) {
            const double d = tilt + 0 + of_d*z2[l];
            h1[l] = mean + rest*d, h2[l] = mean - r*d;
            continue;
        }
        const double drop = k[l] - over(middle, skew*bend, 12);
        const double d = tilt + over(middle, 30*x*x*(drop - 0.5*x*tilt), g) + of_d*z2[l];
        const double sum = drop - 0.5*x*d, y = of_y*z3[l];
        h1[l] = mean + rest*d, h2[l] = mean - r*d;
        k1[l] = over(middle, r*r*r*sum, v) + rest*rest*y, k2[l] = over(middle, rest*rest*rest*sum, v) - r*r*y;
    }
}

INLINE void halve(const size_t levy, const bool stays, const bool middle, const halves *c) {
    const law by = law_of(levy, c);
    for (size_t i = 0; i < c->m; i++) halve_row(levy, stays, middle, c, &by, i);
}

void NDE_ISA_NAME(nde_tree_halve)(const nde_tree_halves *c) {
#define HALVE(levy) \
    (c->stays ? halve(levy, true, true, c) : c->r == 0.5 ? halve(levy, false, true, c) : halve(levy, false, false, c))
    if (c->levy == 1) HALVE(1);
    else if (c->levy == 2) HALVE(2);
    else HALVE(3);
#undef HALVE
}

void NDE_ISA_NAME(nde_tree_pass)(size_t m, size_t n, size_t levy, size_t ld, double *level) {
    double *w = level + m*ld;
    const size_t kinds = levy*m;
    for (size_t i = 0; i < m; i++) NDE_IVDEP
        for (size_t l = i*ld; l < i*ld + n; l++) level[l] += w[l];
    for (size_t i = 0; i < kinds; i++) NDE_IVDEP
        for (size_t l = i*ld; l < i*ld + n; l++) w[l] = w[kinds*ld + l];
}

/* H, and W behind it. */
static void append_h(const nde_tree_sum *to, size_t i) {
    const double r = to->r, rest = 1 - r, *w2 = to->w + i*to->ld, *h2 = to->h ? to->h + i*to->ld : NULL;
    double *w1 = to->sum[0] + i*to->sum_ld, *h1 = to->sum[1] + i*to->sum_ld;
    NDE_IVDEP
    for (size_t l = 0; l < to->n; l++) {
        h1[l] = r*h1[l] + rest*(h2 ? h2[l] : 0) + 0.5*(rest*w1[l] - r*w2[l]);
        w1[l] += w2[l];
    }
}

static void append_k(const nde_tree_sum *to, size_t i) {
    const double r = to->r, rest = 1 - r, *w1 = to->sum[0] + i*to->sum_ld, *h1 = to->sum[1] + i*to->sum_ld;
    const double *w2 = to->w + i*to->ld, *h2 = to->h ? to->h + i*to->ld : NULL, *k2 = to->k ? to->k + i*to->ld : NULL;
    double *k1 = to->sum[2] + i*to->sum_ld;
    NDE_IVDEP
    for (size_t l = 0; l < to->n; l++) {
        const double skew = rest*w1[l] - r*w2[l], other = h2 ? h2[l] : 0;
        k1[l] = r*r*k1[l] + rest*rest*(k2 ? k2[l] : 0) + 0.5*r*rest*(h1[l] - other) + (rest - r)*skew/12;
    }
}

void NDE_ISA_NAME(nde_tree_append)(const nde_tree_sum *to) {
    for (size_t i = 0; i < to->m; i++) {
        if (to->sum[2]) append_k(to, i);
        append_h(to, i);
    }
}
