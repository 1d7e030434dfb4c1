/* SPDX-License-Identifier: MIT
 * gaps.c - gaps in a treap, each operation in the logarithm of their number. Source: R. Seidel, C. Aragon, Randomized
 * search trees, Algorithmica 16 (1996) 464-497; the weights are a hash of the gap's number. */
#include "program/gaps.h"

enum { MOST = 1 << 30 };

typedef struct gap {
    uint32_t first, rows, most; /* most: rows of the largest gap of this tree */
    uint32_t left, right, weight;
} gap;

static gap *gap_at(const nde_gaps *r, uint32_t k) { return (gap *)r->list.data + k; }

/* k, after its trees have changed. */
static uint32_t renew(const nde_gaps *r, uint32_t k) {
    gap *x = gap_at(r, k);
    const uint32_t left = gap_at(r, x->left)->most, right = gap_at(r, x->right)->most;
    x->most = left > right ? left : right;
    if (x->rows > x->most) x->most = x->rows;
    return k;
}

/* One tree of two, all of a being lower than b. */
static uint32_t join(const nde_gaps *r, uint32_t a, uint32_t b) {
    if (!a || !b) return a ? a : b;
    if (gap_at(r, a)->weight > gap_at(r, b)->weight) {
        gap_at(r, a)->right = join(r, gap_at(r, a)->right, b);
        return renew(r, a);
    }
    gap_at(r, b)->left = join(r, a, gap_at(r, b)->left);
    return renew(r, b);
}

/* Those that begin before `first`, and the others. */
static void split(const nde_gaps *r, uint32_t k, uint32_t first, uint32_t *low, uint32_t *high) {
    *low = *high = 0;
    if (!k) return;
    gap *x = gap_at(r, k);
    if (x->first < first) split(r, x->right, first, &x->right, high), *low = renew(r, k);
    else split(r, x->left, first, low, &x->left), *high = renew(r, k);
}

static uint32_t make_gap(nde_program *g, nde_gaps *r, uint32_t first, uint32_t rows) {
    if (r->count == 0) r->count = 1;
    if (!nde_grow(g, &r->list, (size_t)r->count + 1, sizeof(gap))) return 0;
    const uint32_t hash = r->count*0x9e3779b9u;
    *gap_at(r, r->count) = (gap){ .first = first, .rows = rows, .most = rows, .weight = (hash ^ hash >> 15)*0x85ebca6bu };
    return r->count++;
}

static uint32_t take(const nde_gaps *r, uint32_t k, uint32_t count) {
    gap *x = gap_at(r, k);
    uint32_t first = x->first;
    if (gap_at(r, x->left)->most >= count) first = take(r, x->left, count);
    else if (x->rows >= count) x->first += count, x->rows -= count; /* of no rows it waits for what is given beside it */
    else first = take(r, x->right, count);
    renew(r, k);
    return first;
}

uint32_t nde_gaps_take(nde_program *g, nde_gaps *r, uint32_t count) {
    if (r->count == 0) r->root = make_gap(g, r, 0, MOST);
    if (r->root && gap_at(r, r->root)->most >= count) return take(r, r->root, count);
    nde_program_fail(g, NDE_E_SIZE, "%s: too many rows", g->shape.name);
    return 0;
}

void nde_gaps_give(nde_program *g, nde_gaps *r, uint32_t first, uint32_t count) {
    uint32_t low, high, end = first + count, next = make_gap(g, r, first, count), touching;
    if (!next) return;
    split(r, r->root, first, &low, &high);
    for (uint32_t k = low; k; k = gap_at(r, k)->right)
        if (gap_at(r, k)->first + gap_at(r, k)->rows == first) first = gap_at(r, k)->first;
    split(r, low, first, &low, &touching);
    for (uint32_t k = high; k; k = gap_at(r, k)->left)
        if (gap_at(r, k)->first == end) end += gap_at(r, k)->rows;
    split(r, high, end, &touching, &high);
    *gap_at(r, next) = (gap){ .first = first, .rows = end - first, .most = end - first, .weight = gap_at(r, next)->weight };
    r->root = join(r, join(r, low, next), high);
}

void nde_gaps_free(nde_program *g, nde_gaps *r) {
    nde_growing_free(g, &r->list);
    *r = (nde_gaps){ 0 };
}
