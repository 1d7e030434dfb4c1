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

#include "core/bits.h"
#include "noise/kernel.h"
#include "noise/unit.h"

enum { TICKS = 48, EMPTY = -2, END = -1, PIECE = NDE_NOISE_PIECE, LINE = 64 };
static const int64_t whole = (int64_t)1 << TICKS;

/* Where a lane stands: at the beginning of the interval of a level, 0: all. Beyond the depth: what is left of a cell. */
typedef struct cursor {
    uint64_t seed;
    size_t trajectory;
    double t0, t1, round; /* adding and subtracting it rounds to the unit of W */
    int level;            /* or END: at t1, or EMPTY */
    int64_t begin;        /* in ticks */
} cursor;

/* Rows of lanes, m of each. A level has W in the middle of the interval above, and H, K of its left half and of its right one.
 * Level 0: W(t1), and H, K of all. Behind the level of times within a cell: zeros, W(t0) among them. Since W is known at both
 * ends of an interval, it need not be known of it. A cut goes along all rows at once: they must not fall into the same sets of
 * a cache. */
typedef struct shape {
    size_t m, levy, rows, level, ld; /* level: rows of one */
    int depth;
    const nde_noise_kernels *kernels;
} shape;

/* What n lanes beside each other are asked for, which stand at one place and go to one place: the first one's cursor moves. */
typedef struct quest {
    cursor *at;
    size_t n, lane;      /* of lanes; the first one's number */
    int64_t from, x, to; /* in ticks; x: how far the sums go */
    int64_t target;      /* of the cut that is due */
    int64_t end;         /* of the part that is due: how far the sums go next */
    size_t areas;        /* its rows of H, K */
    bool moving;         /* it has found `from` */
} quest;

/* All that are asked for at a time. */
typedef struct walk {
    shape s;
    uint64_t seed;
    size_t count;
    quest *quests;
    double *levels, *z;  /* normals: [levy][m][PIECE] */
    double *start;       /* [m][PIECE]: W(from) */
    double *sum[3];      /* where W, H and K go, sum_ld apart; NULL: not wanted */
    size_t sum_ld;
} walk;

static shape shape_of(const nde_noise *noise, size_t m, size_t lanes, int isa) {
    shape s = { .m = m, .levy = (size_t)noise->levy, .ld = nde_leading_dimension(lanes, sizeof(double)),
                .kernels = nde_noise_kernels_get(isa) };
    s.rows = 2*s.levy - 1, s.level = s.rows*m;
    (void)frexp(noise->tolerance, &s.depth); /* tolerance = f 2^depth, f in [1/2, 1) */
    s.depth = 1 - s.depth;
    return s;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Cursors; levels, normals and W where steps begin, from a cache line on: rows are then read and written by whole ones. */
size_t nde_tree_bytes(const nde_noise *noise, size_t m, size_t lanes) {
    size_t row, all, normals, cursors;
    const shape s = shape_of(noise, 1, lanes, NDE_ISA_AUTO);
    const size_t levels = s.rows*((size_t)s.depth + 3);
    if (s.ld < lanes || !nde_size_multiply(m, sizeof(double), &row) || !nde_size_multiply(row, levels, &all) ||
        !nde_size_multiply(all, s.ld, &all) || !nde_size_multiply(row, (s.levy + 1)*PIECE, &normals) ||
        !nde_size_multiply(lanes, sizeof(cursor), &cursors) || !nde_size_add(all, normals, &all) ||
        !nde_size_add(all, cursors, &all) || !nde_size_add(all, LINE - 1, &all))
        return SIZE_MAX;
    return all;
}

static double *levels_in(void *memory, size_t lanes) {
    char *end = memory;
    end += lanes*sizeof(cursor);
    void *line = end + (LINE - (uintptr_t)end%LINE)%LINE;
    return line;
}

double nde_tree_cell(const nde_noise *noise) { return ldexp(1, -shape_of(noise, 1, 1, NDE_ISA_AUTO).depth); }

void nde_tree_clear(void *memory, size_t lanes) {
    cursor *c = memory;
    for (size_t b = 0; b < lanes; b++) c[b] = (cursor){ .level = EMPTY };
}

/* ---- places ---------------------------------------------------------------------------------- */

static int64_t length_at(int level) { return whole >> level; }

/* First tick of the interval that holds the cursor on a level, and the one behind its last. */
static int64_t begin_at(const shape *s, const cursor *c, int level) {
    return level > s->depth ? c->begin : c->begin & ~(length_at(level) - 1);
}
static int64_t end_at(const shape *s, const cursor *c, int level) {
    const int l = level > s->depth ? s->depth : level;
    return (c->begin & ~(length_at(l) - 1)) + length_at(l);
}
static bool is_left(const shape *s, int level, int64_t begin) {
    return level && level <= s->depth && !(begin >> (TICKS - level) & 1);
}

/* The level that has W at a time. */
static int level_with(const shape *s, int64_t tick) {
    const int level = tick ? TICKS - __builtin_ctzll((uint64_t)tick) : s->depth + 2;
    return level > s->depth + 1 && tick ? s->depth + 1 : level;
}

/* Rows of the first lane: of a level, of W at a time, of H and K of a half, or the only interval, of a level. */
static size_t row_of(const shape *s, int level) { return (size_t)level*s->level*s->ld; }
static size_t row_at(const shape *s, int64_t tick) { return row_of(s, level_with(s, tick)); }
static size_t areas_of(const shape *s, int level, bool left) {
    return row_of(s, level) + (!level || left ? 1 : s->levy)*s->m*s->ld;
}
static size_t areas_here(const shape *s, const cursor *c) {
    const int level = c->level;
    return areas_of(s, level, is_left(s, level, c->begin));
}

/* ---- moving ---------------------------------------------------------------------------------- */

/* Takes the whole interval at which the cursor stands into the sums and goes behind it, to the longest that begins there. */
static void pass(const walk *w, quest *q) {
    cursor *c = q->at;
    const int64_t end = end_at(&w->s, c, c->level);
    q->end = end, q->areas = areas_here(&w->s, c);
    c->begin = end;
    c->level = end == whole ? END : level_with(&w->s, end);
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

/* The cursor stands at `from`. */
static void depart(const walk *w, quest *q) {
    const double *here = w->levels + row_at(&w->s, q->at->begin) + q->lane;
    double *start = w->start + q->lane;
    q->moving = true;
    for (size_t i = 0; i < w->s.m; i++, here += w->s.ld, start += PIECE)
        if (q->n == 1) *start = *here;
        else memcpy(start, here, q->n*sizeof *start);
}

/* What has to be done next with rows. */
typedef enum task { ROOT, CUT, APPEND, NOTHING } task;

static task advance(const walk *w, quest *q) {
    const shape *s = &w->s;
    cursor *c = q->at;
    if (q->x == q->to) return NOTHING;
    if (c->level == EMPTY) return ROOT;
    if (!q->moving) {
        climb(s, c, q->from);
        q->target = q->from;
        if (c->begin != q->from) return CUT;
        depart(w, q);
    }
    q->target = q->to;
    const bool part_by_part = w->sum[1]; /* W alone is known at the end */
    while (q->end < q->to && end_at(s, c, c->level) <= q->to && !(part_by_part && q->x < q->end)) pass(w, q);
    return q->end == q->to || (part_by_part && q->x < q->end) ? APPEND : CUT;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Quests that have the same to do. */
typedef struct party {
    size_t count;
    quest *of[PIECE];
} party;

/* The lanes of a party: one quest stands together, of more each lane goes by itself. */
static nde_tree_lanes lanes_of(const walk *w, const party *p) {
    nde_tree_lanes lanes = { .m = w->s.m, .levy = w->s.levy, .ld = w->s.ld, .levels = w->levels, .together = p->count == 1 };
    for (size_t j = 0; j < p->count; j++) lanes.n += p->of[j]->n;
    return lanes;
}
/* Lanes of a quest that are described, the first one's standing for all if they stand together. */
static size_t described(const party *p, const quest *q) { return p->count == 1 ? 1 : q->n; }

/* The number of the interval that is to be cut; 0: the root is to be drawn. */
static uint64_t number(const shape *s, const cursor *c) {
    if (c->level == EMPTY) return 0;
    const int level = c->level > s->depth ? s->depth : c->level;
    return (uint64_t)(length_at(TICKS - level) + (c->begin >> (TICKS - level)));
}

static void draw(const walk *w, const party *p) {
    size_t who[PIECE], n = 0;
    uint64_t position[PIECE];
    for (size_t j = 0; j < p->count; j++) {
        const quest *q = p->of[j];
        const uint64_t of = number(&w->s, q->at);
        for (size_t l = 0; l < q->n; l++) who[n] = q->at[l].trajectory, position[n++] = of;
    }
    w->s.kernels->normals(w->seed, NDE_PURPOSE_TREE, w->s.m, n, who, position, w->s.levy, w->z);
}

static void draw_root(const walk *w, const quest *q, const double *z) {
    static const double divisor[3] = { 1, 12, 720 };
    const shape *s = &w->s;
    cursor *c = q->at;
    double *to = w->levels + q->lane, *zeros = to + row_of(s, s->depth + 2);
    for (size_t what = 0; what < s->levy; what++) {
        const double scale = sqrt((c->t1 - c->t0)/divisor[what]);
        for (size_t i = what*s->m; i < (what + 1)*s->m; i++)
            for (size_t l = 0; l < q->n; l++) {
                const double x = scale*z[i*PIECE + l];
                to[i*s->ld + l] = what ? x : nde_to_unit(x, c->round), zeros[i*s->ld + l] = 0;
            }
    }
    c->level = 0, c->begin = 0;
}

static void draw_roots(const walk *w, const party *p) {
    draw(w, p);
    for (size_t j = 0, n = 0; j < p->count; n += p->of[j++]->n) draw_root(w, p->of[j], w->z + n);
}

/* Halves, and cells where they are asked for. Of a cell that has been cut before, when the path goes on within it, the part
 * from there on is a chord, without areas. */
static int64_t cut_at(const shape *s, const quest *q) {
    const cursor *c = q->at;
    return c->level >= s->depth ? q->target : c->begin + length_at(c->level + 1);
}

/* A step that goes on from the left half takes it, if it goes on beyond. */
static void enter(const walk *w, quest *q) {
    const shape *s = &w->s;
    cursor *c = q->at;
    const int64_t middle = cut_at(s, q);
    const bool is_cell = c->level >= s->depth;
    if (is_cell && q->moving) q->end = middle, q->areas = areas_of(s, s->depth + (c->level > s->depth ? 2 : 1), true);
    if (is_cell || (!q->moving && q->target >= middle)) c->begin = middle;
    c->level = is_cell ? s->depth + 1 : c->level + 1;
}

static void cut(const walk *w, const party *p) {
    const shape *s = &w->s;
    nde_tree_halves to;
    to.lanes = lanes_of(w, p), to.z = w->z;
    for (size_t j = 0, b = 0; j < p->count; j++) {
        const quest *q = p->of[j];
        const cursor *c = q->at;
        const int level = c->level > s->depth ? s->depth : c->level;
        const int64_t begin = begin_at(s, c, level), length = length_at(level);
        const double r = (double)(cut_at(s, q) - begin)*0x1p-48*(double)((int64_t)1 << level);
        const double span = (double)length*((c->t1 - c->t0)*0x1p-48);
        const size_t from = row_at(s, begin), end = row_at(s, begin + length), at = row_of(s, level + 1),
            areas = areas_of(s, level, is_left(s, level, begin));
        for (size_t l = 0; l < described(p, q); l++, b++) {
            const size_t lane = q->lane + l;
            to.r[b] = r, to.length[b] = span, to.round[b] = c->round;
            to.begin[b] = from + lane, to.end[b] = end + lane, to.areas[b] = areas + lane, to.cut[b] = at + lane;
        }
    }
    draw(w, p);
    s->kernels->halve(&to);
    for (size_t j = 0; j < p->count; j++) enter(w, p->of[j]);
}

static void append(const walk *w, const party *p) {
    nde_tree_sums to;
    to.lanes = lanes_of(w, p), to.start = w->start, to.sum_ld = w->sum_ld;
    memcpy(to.sum, w->sum, sizeof to.sum);
    for (size_t j = 0, b = 0; j < p->count; j++) {
        quest *q = p->of[j];
        const double r = (double)(q->x - q->from)/(double)(q->end - q->from);
        for (size_t l = 0; l < described(p, q); l++, b++) {
            const size_t lane = q->lane + l;
            to.r[b] = r, to.lane[b] = lane, to.end[b] = row_at(&w->s, q->end) + lane, to.areas[b] = q->areas + lane;
        }
        q->x = q->end;
    }
    w->s.kernels->append(&to);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int64_t ticks(double share) { return share > 0 ? share < 1 ? (int64_t)(share*0x1p48 + 0.5) : whole : 0; }

/* 0: the same. Many comparisons at once, without branches. */
static uint64_t difference(double a, double b) { return nde_bits_of(a) ^ nde_bits_of(b); }
static uint64_t distance(const cursor *a, const cursor *b) {
    return (uint64_t)(a->level ^ b->level) | (uint64_t)(a->begin ^ b->begin) | difference(a->t0, b->t0) |
           difference(a->t1, b->t1);
}

/* Where a lane that is asked for (s, t) of [t0, t1] stands; at nothing of use: nowhere. */
static void place(cursor *c, uint64_t seed, size_t trajectory, double t0, double t1) {
    const uint64_t other = (c->seed ^ seed) | (c->trajectory ^ trajectory) | difference(c->t0, t0) | difference(c->t1, t1);
    if (!other && c->level != EMPTY) return;
    *c = (cursor){ .seed = seed, .trajectory = trajectory, .t0 = t0, .t1 = t1, .level = EMPTY,
                   .round = nde_unit_round(sqrt(t1 - t0)) };
}

/* Lanes from `first` on as quests. */
static void ask(walk *w, const nde_noise_at *at, size_t first, size_t n, const size_t *trajectory) {
    cursor *c = (cursor *)at->work + first;
    w->count = 0;
    for (size_t b = 0; b < n; b++) {
        const size_t a = first + b;
        quest *q = &w->quests[w->count];
        place(&c[b], w->seed, trajectory[b], at->t0[a], at->t1[a]);
        if (b && !(distance(&c[b], q[-1].at) | difference(at->s[a], at->s[a - 1]) | difference(at->t[a], at->t[a - 1]))) {
            q[-1].n++;
            continue;
        }
        const double span = at->t1[a] - at->t0[a];
        const int64_t from = ticks((at->s[a] - at->t0[a])/span), to = ticks((at->t[a] - at->t0[a])/span);
        *q = (quest){ .at = &c[b], .n = 1, .lane = b, .from = from, .x = from, .to = to, .end = from };
        w->count++;
    }
}

/* The sums begin at zero; those of one quest begin with its first part. */
static void clear_sums(const walk *w, size_t n) {
    if (w->count == 1 && w->quests->from < w->quests->to) return;
    for (size_t i = 0; i < w->s.m; i++) {
        memset(w->start + i*PIECE, 0, n*sizeof *w->start);
        for (size_t what = 0; what < 3 && w->sum[what]; what++)
            memset(w->sum[what] + i*w->sum_ld, 0, n*sizeof *w->sum[what]);
    }
}

double *nde_tree_over(const nde_noise *noise, const nde_noise_at *at, size_t m, size_t first, size_t n,
                      const size_t *trajectory, double *const out[3]) {
    static void (*const act[NOTHING])(const walk *, const party *) = { draw_roots, cut, append };
    quest quests[PIECE];
    walk w = { .seed = noise->seed, .quests = quests, .sum = { out[0], out[1], out[2] }, .sum_ld = at->ld };
    party parties[NOTHING + 1];
    w.s = shape_of(noise, m, at->room, at->isa);
    double *levels = levels_in(at->work, at->room);
    w.levels = levels + first, w.z = levels + row_of(&w.s, w.s.depth + 3), w.start = w.z + w.s.levy*m*PIECE;
    ask(&w, at, first, n, trajectory);
    clear_sums(&w, n);
    do {
        for (size_t i = 0; i <= NOTHING; i++) parties[i].count = 0;
        for (size_t j = 0; j < w.count; j++) {
            party *p = &parties[advance(&w, &w.quests[j])];
            p->of[p->count++] = &w.quests[j];
        }
        for (size_t i = 0; i < NOTHING; i++)
            if (parties[i].count) act[i](&w, &parties[i]);
    } while (parties[NOTHING].count < w.count);
    for (size_t j = 0; j < w.count; j++) {
        const quest *q = &w.quests[j];
        for (size_t l = 1; l < q->n; l++) q->at[l].level = q->at->level, q->at[l].begin = q->at->begin;
    }
    return w.start;
}
