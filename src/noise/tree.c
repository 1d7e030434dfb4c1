/* SPDX-License-Identifier: MIT
 * tree.c - the virtual Brownian tree. [t0, t1] is halved down to cells of 2^-depth of it; each interval knows W, and from
 * noise.levy on H and K, and its halves follow from it and normals of its own number by the exact conditional law. A time
 * within a cell cuts the cell in two by the same law with another ratio: one such time a cell is exact, of two the path
 * between is a chord. Every value is a function of (seed, trajectory, component, times): what was asked before changes
 * nothing.
 *
 * Times are multiples (ticks) of 2^-48 of the span. W(t) - W(t0) is rounded to multiples of one power of two, as on a grid, so
 * that increments add up exactly.
 *
 * The law: an interval of length d is cut at r d; r' = 1 - r, x = r r', p = 1 - 3x, v = 1 - 5x + 5x^2, g = 1 - 8x + 20x^2; z
 * are normals. With W_1 = r W + B,
 *   B = 6x H + 60x (1 - 2r) K + sqrt(d x g) z_1                     (H only: sqrt(d x p); W only: sqrt(d x))
 *   R = H - B/2 = r H_1 + r' H_2
 *   E = K - (1 - 2r)B/12 - (x/2)(2r - 1)R/p
 *   D = H_1 - H_2 = (2r - 1)R/p + 30x^2 E/g + sqrt(d x v/(12 g)) z_2  (H only: without E, sqrt(d x/(12 p)) z_2)
 *   S = K - (1 - 2r)B/12 - (x/2)D = r^2 K_1 + r'^2 K_2
 *   K_1 = r^3 S/v + r'^2 y,  K_2 = r'^3 S/v - r^2 y,  y = sqrt(d x/(720 v)) z_3
 * which is conditioning of independent normals of variances d, d/12, d/720 on their sums over the two parts:
 *   H = r H_1 + r' H_2 + (r' W_1 - r W_2)/2
 *   K = r^2 K_1 + r'^2 K_2 + (x/2)(H_1 - H_2) + (r' - r)(r' W_1 - r W_2)/12.
 * Sources: J. Gaines, T. Lyons, SIAM J. Appl. Math. 57 (1997) 1455-1484; X. Li et al., Scalable gradients for stochastic
 * differential equations, AISTATS (2020); J. Foster, Numerical approximations for stochastic differential equations, thesis,
 * Oxford (2020). */
#include "noise/tree.h"

#include <math.h>
#include <string.h>

#include "noise/kernel.h"
#include "noise/unit.h"

enum { TICKS = 48, EMPTY = -2, END = -1 };
static const int64_t whole = (int64_t)1 << TICKS;

/* Where a lane stands: at the beginning of the interval of a level, 0: all. Beyond the depth: what is left of a cell. */
typedef struct cursor {
    uint64_t seed;
    size_t trajectory;
    double t0, t1, round; /* adding and subtracting it rounds to the unit of W */
    int level;            /* or END: at t1, or EMPTY */
    int64_t begin;        /* in ticks */
} cursor;

/* What a lane is asked for. */
typedef struct quest {
    cursor *at;
    double *levels;
    double tick;
    int64_t from, x, to; /* in ticks; x: how far the sums go */
    int64_t target;      /* of the cut that is due */
    bool moving;         /* it has found `from` */
    double *start;       /* NULL, or where W(from) goes */
} quest;

/* Rows of m of one level: W from t0 to the beginning; W, H, K of the interval; W, H, K of its right sibling, when it is a
 * left half. */
typedef struct shape {
    size_t m, levy, rows, level; /* level: reals of one */
    int depth;
} shape;

static shape shape_of(const nde_noise *noise, size_t m) {
    shape s = { .m = m, .levy = (size_t)noise->levy };
    s.rows = 1 + 2*s.levy, s.level = s.rows*m;
    (void)frexp(noise->tolerance, &s.depth); /* tolerance = f 2^depth, f in [1/2, 1) */
    s.depth = 1 - s.depth;
    return s;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Cursors, levels, normals, the part of a cut that is not kept and a row beside. */
size_t nde_tree_bytes(const nde_noise *noise, size_t m, size_t lanes) {
    size_t row, all, normals, cursors;
    const shape s = shape_of(noise, 1);
    if (!nde_size_multiply(m, sizeof(double), &row) || !nde_size_multiply(row, s.rows*((size_t)s.depth + 2), &all) ||
        !nde_size_multiply(all, lanes, &all) || !nde_size_multiply(row, s.levy*(NDE_NOISE_PIECE + 1) + 1, &normals) ||
        !nde_size_multiply(lanes, sizeof(cursor), &cursors) || !nde_size_add(all, normals, &all) ||
        !nde_size_add(all, cursors, &all))
        return SIZE_MAX;
    return all;
}

double nde_tree_cell(const nde_noise *noise) { return ldexp(1, -shape_of(noise, 1).depth); }

void nde_tree_clear(void *memory, size_t lanes) {
    cursor *c = memory;
    for (size_t b = 0; b < lanes; b++) c[b].level = EMPTY;
}

/* ---- moving ---------------------------------------------------------------------------------- */

static int64_t length_at(int level) { return whole >> level; }

/* First tick of the interval that holds the cursor on a level, and the one behind its last. */
static int64_t begin_at(const shape *s, const cursor *c, int level) {
    return level > s->depth ? c->begin : c->begin & ~(length_at(level) - 1);
}
static int64_t end_at(const shape *s, const cursor *c, int level) {
    const int l = level > s->depth ? s->depth : level;
    return (c->begin & ~(length_at(l) - 1)) + length_at(l);
}
static bool is_left(const shape *s, const cursor *c, int level) {
    return level && level <= s->depth && !(c->begin >> (TICKS - level) & 1);
}

/* Another part behind the sums: `ticks` long, with rows of W, H, K; NULL: zero. W alone needs no sum: see settle. */
static void append(const shape *s, quest *q, int64_t ticks, const double *w, const double *h, const double *k, size_t ld,
                   double *const *sum) {
    const double r = (double)(q->x - q->from)/(double)(q->x - q->from + ticks), rest = 1 - r;
    for (size_t i = 0; i < s->m && sum[1]; i++) {
        const double w1 = sum[0][i*ld], w2 = w[i], skew = rest*w1 - r*w2, h1 = sum[1][i*ld], h2 = h ? h[i] : 0;
        sum[0][i*ld] = w1 + w2;
        sum[1][i*ld] = r*h1 + rest*h2 + 0.5*skew;
        if (!sum[2]) continue;
        sum[2][i*ld] = r*r*sum[2][i*ld] + rest*rest*(k ? k[i] : 0) + 0.5*r*rest*(h1 - h2) + (rest - r)*skew/12;
    }
    q->x += ticks;
}

static const double *row(const double *rows, size_t what, const shape *s) { return what < s->levy ? rows + what*s->m : NULL; }

/* Takes the whole interval at which the cursor stands into the sums and goes behind it. */
static void pass(const shape *s, quest *q, size_t ld, double *const *sum) {
    cursor *c = q->at;
    const double *own = q->levels + (size_t)c->level*s->level + s->m;
    const int64_t end = end_at(s, c, c->level);
    append(s, q, end - c->begin, own, row(own, 1, s), row(own, 2, s), ld, sum);
    while (c->level > 0 && !is_left(s, c, c->level)) c->level--;
    c->begin = end;
    if (!c->level) {
        c->level = END;
        return;
    }
    double *at = q->levels + (size_t)c->level*s->level; /* on to its sibling */
    for (size_t i = 0; i < s->m; i++) at[i] += at[s->m + i];
    memcpy(at + s->m, at + s->m + s->levy*s->m, s->levy*s->m*sizeof *at);
}

/* Up to the interval that holds `target`, from which cuts lead to it; of those that begin there to the longest: what is
 * summed is to depend on the times alone. */
static void climb(const shape *s, cursor *c, int64_t target) {
    if (c->level == END) c->level = 0, c->begin = 0;
    if (c->begin == target && c->level > s->depth) return;
    if (c->level > s->depth) c->level = s->depth;
    while (c->level > 0 && (target < begin_at(s, c, c->level) || target >= end_at(s, c, c->level) ||
                            target == begin_at(s, c, c->level - 1)))
        c->level--;
    c->begin = begin_at(s, c, c->level);
}

/* W from t0 to where the cursor stands: [m]. */
static const double *w_here(const shape *s, const quest *q) {
    return q->levels + (q->at->level == END ? s->m : (size_t)q->at->level*s->level);
}

/* W alone: at the end less at the start, exactly; areas were summed on the way. */
static void settle(const shape *s, const quest *q, size_t ld, double *const *sum) {
    const double *w = q->moving && !sum[1] ? w_here(s, q) : NULL;
    for (size_t i = 0; w && i < s->m; i++) sum[0][i*ld] = w[i] - sum[0][i*ld];
}

/* Goes on until a cut is due, at q->target: true; or the sums are complete: false. */
static bool advance(const shape *s, quest *q, size_t ld, double *const *sum) {
    cursor *c = q->at;
    if (q->x == q->to) return false;
    if (c->level == EMPTY) return true;
    if (!q->moving) {
        climb(s, c, q->from);
        q->target = q->from;
        if (c->begin != q->from) return true;
        q->moving = true;
        const double *w = w_here(s, q);
        for (size_t i = 0; q->start && i < s->m; i++) q->start[i*NDE_NOISE_PIECE] = w[i];
        for (size_t i = 0; !sum[1] && i < s->m; i++) sum[0][i*ld] = w[i];
    }
    while (q->x < q->to && end_at(s, c, c->level) <= q->to) pass(s, q, ld, sum);
    q->target = q->to;
    return q->x < q->to;
}

/* ---- cutting --------------------------------------------------------------------------------- */

/* The number of the interval that is to be cut; 0: the root is to be drawn. */
static uint64_t number(const shape *s, const cursor *c) {
    if (c->level == EMPTY) return 0;
    const int level = c->level > s->depth ? s->depth : c->level;
    return (uint64_t)(length_at(TICKS - level) + (c->begin >> (TICKS - level)));
}

static void draw_root(const shape *s, quest *q, const double *z) {
    static const double divisor[3] = { 1, 12, 720 };
    cursor *c = q->at;
    const double span = c->t1 - c->t0;
    for (size_t i = 0; i < s->m; i++) q->levels[i] = 0;
    for (size_t what = 0; what < s->levy; what++) {
        const double scale = sqrt(span/divisor[what]);
        double *to = q->levels + (1 + what)*s->m;
        for (size_t i = 0; i < s->m; i++) to[i] = scale*z[(what*s->m + i)*NDE_NOISE_PIECE];
    }
    for (size_t i = 0; i < s->m; i++) q->levels[s->m + i] = nde_to_unit(q->levels[s->m + i], c->round);
    c->level = 0, c->begin = 0;
}

/* The parts [W; H; K] of an interval of rows `from` that is cut at r times its length. */
static void halve(const shape *s, double r, double length, double round, const double *z, const double *from, double *left,
                  double *right) {
    const size_t m = s->m, levy = s->levy, next = m*NDE_NOISE_PIECE;
    const double rest = 1 - r, x = r*rest, skew = rest - r, p = 1 - 3*x, v = 1 - 5*x + 5*x*x, g = 1 - 8*x + 20*x*x;
    const double of_b = sqrt(length*x*(levy == 1 ? 1 : levy == 2 ? p : g));
    const double *start = from, *w = from + m, *h = w + m, *k = h + m;
    for (size_t i = 0; i < m; i++) {
        const double mean = levy == 1 ? 0 : levy == 2 ? 6*x*h[i] : 6*x*h[i] + 60*x*skew*k[i];
        left[i] = nde_to_unit(start[i] + (r*w[i] + mean + of_b*z[i*NDE_NOISE_PIECE]), round) - start[i];
        right[i] = w[i] - left[i];
    }
    if (levy == 1) return;
    const double of_d = sqrt(length*x*(levy == 2 ? 1/p : v/g)/12), of_y = sqrt(length*x/(720*v));
    for (size_t i = 0; i < m; i++) {
        const double bend = left[i] - r*w[i], mean = h[i] - 0.5*bend, tilt = -skew*mean/p;
        const double *normal = z + i*NDE_NOISE_PIECE + next;
        const double drop = levy > 2 ? k[i] - skew*bend/12 : 0;
        const double d = tilt + (levy > 2 ? 30*x*x*(drop - 0.5*x*tilt)/g : 0) + of_d*normal[0];
        left[m + i] = mean + rest*d, right[m + i] = mean - r*d;
        if (levy == 2) continue;
        const double sum = drop - 0.5*x*d, y = of_y*normal[next];
        left[2*m + i] = r*r*r*sum/v + rest*rest*y, right[2*m + i] = rest*rest*rest*sum/v - r*r*y;
    }
}

/* Cuts the interval at which the cursor stands and takes the part that holds the target. left: rows for one that is
 * not kept. */
static void cut(const shape *s, quest *q, const double *z, double *left, size_t ld, double *const *sum) {
    cursor *c = q->at;
    if (c->level == EMPTY) {
        draw_root(s, q, z);
        return;
    }
    const bool again = c->level > s->depth; /* moving on within one cell: the path from the first time is a chord */
    if (again) c->level = s->depth;
    const int64_t begin = begin_at(s, c, c->level), length = length_at(c->level);
    const int64_t middle = c->level == s->depth ? q->target : begin + length/2;
    const bool stays = q->target < middle;
    const double *parent = q->levels + (size_t)c->level*s->level;
    double *child = q->levels + (size_t)(c->level + 1)*s->level, *own = child + s->m, *chord = left + s->levy*s->m;
    if (again) for (size_t i = 0; i < s->m; i++) chord[i] = -child[i];
    halve(s, (double)(middle - begin)/(double)length, (double)length*q->tick, c->round, z, parent, stays ? own : left,
          stays ? own + s->levy*s->m : own);
    for (size_t i = 0; i < s->m; i++) child[i] = parent[i] + (stays ? 0 : left[i]);
    if (again) {
        for (size_t i = 0; i < s->m; i++) chord[i] += child[i];
        append(s, q, middle - c->begin, chord, NULL, NULL, ld, sum);
    } else if (q->moving && !stays) append(s, q, middle - begin, left, row(left, 1, s), row(left, 2, s), ld, sum);
    c->level++;
    c->begin = stays ? begin : middle;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int64_t ticks(double share) { return share > 0 ? share < 1 ? (int64_t)(share*0x1p48 + 0.5) : whole : 0; }

static void ask(quest *q, cursor *c, uint64_t seed, size_t trajectory, double t0, double t1, double s, double t) {
    if (c->level == EMPTY || c->seed != seed || c->trajectory != trajectory || c->t0 != t0 || c->t1 != t1)
        *c = (cursor){ .seed = seed, .trajectory = trajectory, .t0 = t0, .t1 = t1, .level = EMPTY,
                       .round = nde_unit_round(sqrt(t1 - t0)) };
    q->at = c;
    q->tick = (t1 - t0)*0x1p-48;
    q->from = q->x = ticks((s - t0)/(t1 - t0));
    q->to = ticks((t - t0)/(t1 - t0));
    q->moving = false;
}

void nde_tree_over(const nde_noise *noise, const nde_noise_at *at, size_t m, size_t first, size_t n, const size_t *trajectory,
                   double *w, double *h, double *k, double *start) {
    const shape s = shape_of(noise, m);
    cursor *c = (cursor *)at->work + first;
    double *levels = (double *)((cursor *)at->work + at->room), *z = levels + ((size_t)s.depth + 2)*s.level*at->room,
        *left = z + s.levy*m*NDE_NOISE_PIECE;
    quest q[NDE_NOISE_PIECE];
    size_t who[NDE_NOISE_PIECE], lane[NDE_NOISE_PIECE], due;
    uint64_t position[NDE_NOISE_PIECE];
    for (size_t b = 0; b < n; b++) {
        const size_t a = first + b;
        ask(&q[b], &c[b], noise->seed, trajectory[b], at->t0[a], at->t1[a], at->s[a], at->t[a]);
        q[b].levels = levels + a*((size_t)s.depth + 2)*s.level;
        q[b].start = start ? start + b : NULL;
        for (size_t i = 0; i < m; i++) {
            w[i*at->ld + b] = 0;
            if (h) h[i*at->ld + b] = 0;
            if (k) k[i*at->ld + b] = 0;
        }
    }
#define SUM(b) (double *const[]){ w + (b), h ? h + (b) : NULL, k ? k + (b) : NULL }
    do {
        due = 0;
        for (size_t b = 0; b < n; b++)
            if (advance(&s, &q[b], at->ld, SUM(b)))
                who[due] = trajectory[b], position[due] = number(&s, q[b].at), lane[due++] = b;
        if (due) nde_noise_kernels_get(NDE_ISA_AUTO)->normals(noise->seed, NDE_PURPOSE_TREE, m, due, who, position, s.levy, z);
        for (size_t j = 0; j < due; j++) cut(&s, &q[lane[j]], z + j, left, at->ld, SUM(lane[j]));
    } while (due);
    for (size_t b = 0; b < n; b++) settle(&s, &q[b], at->ld, SUM(b));
}
