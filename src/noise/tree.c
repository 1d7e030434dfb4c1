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

/* What n lanes beside each other are asked for, which stand at one place and go to one place: the first one's cursor moves. */
typedef struct quest {
    cursor *at;
    size_t n, ld;        /* of lanes; of the shape */
    double *levels;
    double tick;
    int64_t from, x, to; /* in ticks; x: how far the sums go */
    int64_t target;      /* of the cut that is due */
    bool moving;         /* it has found `from` */
    double *sum[3];      /* where W, H and K go, sum_ld apart; NULL: not wanted */
    size_t sum_ld;
    double *start;       /* NULL, or where W(from) goes: [m][NDE_NOISE_PIECE] */
} quest;

/* Rows of lanes, m of each, of one level: W from t0 to the beginning; W, H, K of the interval; W, H, K of its right sibling,
 * when it is a left half. A cut goes along all of them at once: they must not fall into the same sets of a cache. */
typedef struct shape {
    size_t m, levy, rows, level, ld; /* level: rows of one */
    int depth;
    const nde_noise_kernels *kernels;
} shape;

static shape shape_of(const nde_noise *noise, size_t m, size_t lanes, int isa) {
    shape s = { .m = m, .levy = (size_t)noise->levy, .ld = nde_leading_dimension(lanes, sizeof(double)),
                .kernels = nde_noise_kernels_get(isa) };
    s.rows = 1 + 2*s.levy, s.level = s.rows*m;
    (void)frexp(noise->tolerance, &s.depth); /* tolerance = f 2^depth, f in [1/2, 1) */
    s.depth = 1 - s.depth;
    return s;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Cursors, levels, normals, the part of a cut that is not kept and a chord. */
size_t nde_tree_bytes(const nde_noise *noise, size_t m, size_t lanes) {
    size_t row, all, normals, cursors;
    const shape s = shape_of(noise, 1, lanes, NDE_ISA_AUTO);
    const size_t levels = s.rows*((size_t)s.depth + 2);
    if (s.ld < lanes || !nde_size_multiply(m, sizeof(double), &row) || !nde_size_multiply(row, levels, &all) ||
        !nde_size_multiply(all, s.ld, &all) || !nde_size_multiply(row, (2*s.levy + 1)*NDE_NOISE_PIECE, &normals) ||
        !nde_size_multiply(lanes, sizeof(cursor), &cursors) || !nde_size_add(all, normals, &all) ||
        !nde_size_add(all, cursors, &all))
        return SIZE_MAX;
    return all;
}

double nde_tree_cell(const nde_noise *noise) { return ldexp(1, -shape_of(noise, 1, 1, NDE_ISA_AUTO).depth); }

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

/* Lanes of a row, and of all rows of one kind. */
#define EACH_LANE(l, q) for (size_t l = 0; l < (q)->n; l++)
#define EACH_ENTRY(i, l, s, q) for (size_t i = 0; i < (s)->m; i++) EACH_LANE(l, q)

static double *level_of(const shape *s, const quest *q, int level) { return q->levels + (size_t)level*s->level*q->ld; }

/* Rows of W, H or K behind those of W; NULL: there are none. */
static const double *kind_of(const double *w, size_t what, const shape *s, size_t ld) {
    return what < s->levy ? w + what*s->m*ld : NULL;
}

/* Another part behind the sums: `ticks` long, with rows of W, H, K; NULL: zero. W alone needs no sum: see settle. */
static void append(const shape *s, quest *q, int64_t ticks, const double *w, const double *h, const double *k, size_t ld) {
    const nde_tree_sum to = { .m = s->m, .n = q->n, .sum = { q->sum[0], q->sum[1], q->sum[2] }, .sum_ld = q->sum_ld,
                              .w = w, .h = h, .k = k, .ld = ld,
                              .r = (double)(q->x - q->from)/(double)(q->x - q->from + ticks) };
    if (q->sum[1]) s->kernels->append(&to);
    q->x += ticks;
}

/* Takes the whole interval at which the cursor stands into the sums and goes behind it. */
static void pass(const shape *s, quest *q) {
    cursor *c = q->at;
    const size_t ld = q->ld;
    const double *own = level_of(s, q, c->level) + s->m*ld;
    const int64_t end = end_at(s, c, c->level);
    append(s, q, end - c->begin, own, kind_of(own, 1, s, ld), kind_of(own, 2, s, ld), ld);
    while (c->level > 0 && !is_left(s, c, c->level)) c->level--;
    c->begin = end;
    if (!c->level) {
        c->level = END;
        return;
    }
    s->kernels->pass(s->m, q->n, s->levy, ld, level_of(s, q, c->level));
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
    return q->at->level == END ? q->levels + s->m*q->ld : level_of(s, q, q->at->level);
}

/* W alone: at the end less at the start, exactly; areas were summed on the way. */
static void settle(const shape *s, const quest *q) {
    const double *w = q->moving && !q->sum[1] ? w_here(s, q) : NULL;
    for (size_t i = 0; w && i < s->m; i++)
        EACH_LANE(l, q) q->sum[0][i*q->sum_ld + l] = w[i*q->ld + l] - q->sum[0][i*q->sum_ld + l];
}

/* The cursor stands at `from`. */
static void depart(const shape *s, quest *q) {
    const double *w = w_here(s, q);
    q->moving = true;
    for (size_t i = 0; i < s->m; i++) {
        if (q->start) memcpy(q->start + i*NDE_NOISE_PIECE, w + i*q->ld, q->n*sizeof *w);
        if (!q->sum[1]) memcpy(q->sum[0] + i*q->sum_ld, w + i*q->ld, q->n*sizeof *w);
    }
}

/* Goes on until a cut is due, at q->target: true; or the sums are complete: false. */
static bool advance(const shape *s, quest *q) {
    cursor *c = q->at;
    if (q->x == q->to) return false;
    if (c->level == EMPTY) return true;
    if (!q->moving) {
        climb(s, c, q->from);
        q->target = q->from;
        if (c->begin != q->from) return true;
        depart(s, q);
    }
    while (q->x < q->to && end_at(s, c, c->level) <= q->to) pass(s, q);
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
    const size_t ld = q->ld, kind = s->m*ld;
    const double span = c->t1 - c->t0;
    EACH_ENTRY(i, l, s, q) q->levels[i*ld + l] = 0;
    for (size_t what = 0; what < s->levy; what++) {
        const double scale = sqrt(span/divisor[what]);
        double *to = q->levels + (1 + what)*kind;
        EACH_ENTRY(i, l, s, q) to[i*ld + l] = scale*z[(what*s->m + i)*NDE_NOISE_PIECE + l];
    }
    EACH_ENTRY(i, l, s, q) q->levels[kind + i*ld + l] = nde_to_unit(q->levels[kind + i*ld + l], c->round);
    c->level = 0, c->begin = 0;
}

/* Cuts the interval at which the cursor stands and takes the part that holds the target. left: rows for one that is
 * not kept. */
static void cut(const shape *s, quest *q, const double *z, double *left) {
    cursor *c = q->at;
    if (c->level == EMPTY) {
        draw_root(s, q, z);
        return;
    }
    const bool again = c->level > s->depth; /* moving on within one cell: the path from the first time is a chord */
    if (again) c->level = s->depth;
    const size_t m = s->m, ld = q->ld, spare = NDE_NOISE_PIECE;
    const int64_t begin = begin_at(s, c, c->level), length = length_at(c->level);
    const int64_t middle = c->level == s->depth ? q->target : begin + length/2;
    const bool stays = q->target < middle;
    const double *parent = level_of(s, q, c->level);
    double *child = level_of(s, q, c->level + 1), *own = child + m*ld, *chord = left + s->levy*m*spare;
    if (again) EACH_ENTRY(i, l, s, q) chord[i*spare + l] = -child[i*ld + l];
    const nde_tree_halves parts = { .m = m, .n = q->n, .levy = s->levy, .r = (double)(middle - begin)/(double)length,
                                    .length = (double)length*q->tick, .round = c->round, .z = z, .from = parent,
                                    .left = stays ? own : left, .right = stays ? own + s->levy*m*ld : own, .ld = ld,
                                    .begin = child, .stays = stays, .left_ld = stays ? ld : spare, .right_ld = ld };
    s->kernels->halve(&parts);
    if (again) {
        EACH_ENTRY(i, l, s, q) chord[i*spare + l] += child[i*ld + l];
        append(s, q, middle - c->begin, chord, NULL, NULL, spare);
    } else if (q->moving && !stays) {
        append(s, q, middle - begin, left, kind_of(left, 1, s, spare), kind_of(left, 2, s, spare), spare);
    }
    c->level++;
    c->begin = stays ? begin : middle;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int64_t ticks(double share) { return share > 0 ? share < 1 ? (int64_t)(share*0x1p48 + 0.5) : whole : 0; }

/* Where a lane that is asked for (s, t) of [t0, t1] stands; at nothing of use: nowhere. */
static void place(cursor *c, uint64_t seed, size_t trajectory, double t0, double t1) {
    if (c->level != EMPTY && c->seed == seed && c->trajectory == trajectory && c->t0 == t0 && c->t1 == t1) return;
    *c = (cursor){ .seed = seed, .trajectory = trajectory, .t0 = t0, .t1 = t1, .level = EMPTY,
                   .round = nde_unit_round(sqrt(t1 - t0)) };
}

static bool stand_together(const cursor *a, const cursor *b) {
    return a->level == b->level && a->begin == b->begin && a->t0 == b->t0 && a->t1 == b->t1;
}

static void ask(quest *q, double s, double t) {
    const cursor *c = q->at;
    const double span = c->t1 - c->t0;
    q->tick = span*0x1p-48;
    q->from = q->x = ticks((s - c->t0)/span);
    q->to = ticks((t - c->t0)/span);
    q->moving = false;
}

/* Lanes from `first` on as quests; their count. The sums begin at zero. */
static size_t ask_all(const nde_noise *noise, const nde_noise_at *at, const shape *s, size_t first, size_t n,
                      const size_t *trajectory, double *const out[3], double *start, quest *q) {
    cursor *c = (cursor *)at->work + first;
    double *levels = (double *)((cursor *)at->work + at->room) + first;
    size_t count = 0;
    for (size_t b = 0; b < n; b++) {
        const size_t a = first + b;
        place(&c[b], noise->seed, trajectory[b], at->t0[a], at->t1[a]);
        if (b && stand_together(&c[b], q[count - 1].at) && at->s[a] == at->s[a - 1] && at->t[a] == at->t[a - 1]) {
            q[count - 1].n++;
            continue;
        }
        quest *new = &q[count++];
        *new = (quest){ .at = &c[b], .n = 1, .ld = s->ld, .levels = levels + b, .sum_ld = at->ld,
                        .start = start ? start + b : NULL };
        for (size_t what = 0; what < 3; what++) new->sum[what] = out[what] ? out[what] + b : NULL;
        ask(new, at->s[a], at->t[a]);
    }
    for (size_t what = 0; what < 3; what++)
        for (size_t i = 0; i < s->m && out[what]; i++) memset(out[what] + i*at->ld, 0, n*sizeof *out[what]);
    return count;
}

void nde_tree_over(const nde_noise *noise, const nde_noise_at *at, size_t m, size_t first, size_t n, const size_t *trajectory,
                   double *w, double *h, double *k, double *start) {
    const shape s = shape_of(noise, m, at->room, at->isa);
    double *levels = (double *)((cursor *)at->work + at->room), *z = levels + ((size_t)s.depth + 2)*s.level*s.ld,
        *left = z + s.levy*m*NDE_NOISE_PIECE;
    quest q[NDE_NOISE_PIECE];
    size_t who[NDE_NOISE_PIECE], cuts[NDE_NOISE_PIECE], due, lanes;
    uint64_t position[NDE_NOISE_PIECE];
    const size_t count = ask_all(noise, at, &s, first, n, trajectory, (double *const[]){ w, h, k }, start, q);
    do {
        due = lanes = 0;
        for (size_t j = 0; j < count; j++) {
            if (!advance(&s, &q[j])) continue;
            for (size_t l = 0; l < q[j].n; l++) who[lanes] = q[j].at[l].trajectory, position[lanes++] = number(&s, q[j].at);
            cuts[due++] = j;
        }
        if (lanes) s.kernels->normals(noise->seed, NDE_PURPOSE_TREE, m, lanes, who, position, s.levy, z);
        for (size_t j = 0, from = 0; j < due; from += q[cuts[j++]].n) cut(&s, &q[cuts[j]], z + from, left);
    } while (due);
    for (size_t j = 0; j < count; j++) {
        settle(&s, &q[j]);
        for (size_t l = 1; l < q[j].n; l++) q[j].at[l].level = q[j].at->level, q[j].at[l].begin = q[j].at->begin;
    }
}
