/* SPDX-License-Identifier: MIT
 * halve.c - the loops over lanes of a virtual Brownian tree: an interval and its parts, and sums over intervals beside each
 * other, whose law is in tree.c. Compiled once for each instruction set; without fused products, the same bits in all. */
#include "core/isa.h"
#include "noise/kernel.h"
#include "noise/unit.h"

#include <math.h>

typedef nde_tree_halves halves;

/* W of the parts, row i. */
static void halve_w(const halves *c, size_t i) {
    const double r = c->r, rest = 1 - r, x = r*rest, p = 1 - 3*x, g = 1 - 8*x + 20*x*x;
    const double of_h = 6*x, of_k = 60*x*(rest - r), of_b = sqrt(c->length*x*(c->levy == 1 ? 1 : c->levy == 2 ? p : g));
    const size_t kind = c->m*c->ld;
    const double *start = c->from + i*c->ld, *w = start + kind, *h = w + kind, *k = h + kind, *z = c->z + i*NDE_NOISE_PIECE;
    double *left = c->left + i*c->left_ld, *right = c->right + i*c->right_ld;
    NDE_IVDEP
    for (size_t l = 0; l < c->n; l++) {
        const double mean = c->levy == 1 ? 0 : c->levy == 2 ? of_h*h[l] : of_h*h[l] + of_k*k[l];
        left[l] = nde_to_unit(start[l] + (r*w[l] + mean + of_b*z[l]), c->round) - start[l];
        right[l] = w[l] - left[l];
    }
}

/* H alone. */
static void halve_h(const halves *c, size_t i) {
    const double r = c->r, rest = 1 - r, x = r*rest, skew = rest - r, p = 1 - 3*x, of_d = sqrt(c->length*x*(1/p)/12);
    const size_t kind = c->m*c->ld;
    const double *w = c->from + kind + i*c->ld, *h = w + kind, *z = c->z + (c->m + i)*NDE_NOISE_PIECE;
    double *left = c->left + i*c->left_ld, *h1 = left + c->m*c->left_ld, *h2 = c->right + c->m*c->right_ld + i*c->right_ld;
    NDE_IVDEP
    for (size_t l = 0; l < c->n; l++) {
        const double mean = h[l] - 0.5*(left[l] - r*w[l]), d = -skew*mean/p + 0 + of_d*z[l];
        h1[l] = mean + rest*d, h2[l] = mean - r*d;
    }
}

/* H and K. */
static void halve_areas(const halves *c, size_t i) {
    const double r = c->r, rest = 1 - r, x = r*rest, skew = rest - r, p = 1 - 3*x, v = 1 - 5*x + 5*x*x, g = 1 - 8*x + 20*x*x;
    const double of_d = sqrt(c->length*x*(v/g)/12), of_y = sqrt(c->length*x/(720*v));
    const size_t kind = c->m*c->ld, next = c->m*NDE_NOISE_PIECE;
    const double *w = c->from + kind + i*c->ld, *h = w + kind, *k = h + kind, *z = c->z + next + i*NDE_NOISE_PIECE;
    double *left = c->left + i*c->left_ld, *h1 = left + c->m*c->left_ld, *k1 = h1 + c->m*c->left_ld;
    double *h2 = c->right + (c->m + i)*c->right_ld, *k2 = h2 + c->m*c->right_ld;
    NDE_IVDEP
    for (size_t l = 0; l < c->n; l++) {
        const double bend = left[l] - r*w[l], mean = h[l] - 0.5*bend, tilt = -skew*mean/p, drop = k[l] - skew*bend/12;
        const double d = tilt + 30*x*x*(drop - 0.5*x*tilt)/g + of_d*z[l];
        const double sum = drop - 0.5*x*d, y = of_y*z[next + l];
        h1[l] = mean + rest*d, h2[l] = mean - r*d;
        k1[l] = r*r*r*sum/v + rest*rest*y, k2[l] = rest*rest*rest*sum/v - r*r*y;
    }
}

void NDE_ISA_NAME(nde_tree_halve)(const nde_tree_halves *c) {
    for (size_t i = 0; i < c->m; i++) {
        halve_w(c, i);
        if (c->levy == 2) halve_h(c, i);
        if (c->levy > 2) halve_areas(c, i);
    }
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
