/* SPDX-License-Identifier: MIT
 * order.c - Cuthill and McKee's order: see order.h. */
#include "implicit/order.h"

#include <stdint.h>

static void sort_by_degree(const size_t *degree, size_t n, size_t *list) {
    for (size_t i = 1; i < n; i++) {
        const size_t x = list[i];
        size_t at = i;
        for (; at > 0 && degree[list[at - 1]] > degree[x]; at--) list[at] = list[at - 1];
        list[at] = x;
    }
}

/* Those next to a vertex that have no place yet come behind `end`. */
static size_t append(const nde_graph *g, const size_t *start, const size_t *index, size_t vertex, size_t end) {
    for (size_t e = start[vertex]; e < start[vertex + 1]; e++)
        if (g->order[index[e]] == SIZE_MAX) g->order[index[e]] = 0, g->queue[end++] = index[e];
    return end;
}

/* All that can be reached from a root, in the queue from `first` on, level by level; *depth levels, of which the last one
 * begins at *last. Returns where the queue ends. */
static size_t walk(const nde_graph *g, size_t root, size_t first, size_t *depth, size_t *last) {
    size_t end = first, level = first;
    g->order[root] = 0, g->queue[end++] = root, *depth = 0;
    for (size_t at = first; at < end; at++) {
        if (at == level) ++*depth, *last = at, level = end;
        const size_t from = end;
        end = append(g, g->row_start, g->row_index, g->queue[at], end);
        end = append(g, g->column_start, g->column_index, g->queue[at], end);
        sort_by_degree(g->degree, end - from, g->queue + from);
    }
    return end;
}

static void forget(const nde_graph *g, size_t first, size_t end) {
    for (size_t at = first; at < end; at++) g->order[g->queue[at]] = SIZE_MAX;
}

static size_t least_degree(const nde_graph *g, const size_t *list, size_t n) {
    size_t least = list[0];
    for (size_t i = 1; i < n; i++)
        if (g->degree[list[i]] < g->degree[least]) least = list[i];
    return least;
}

/* The part of the graph around a vertex, begun at one of its ends: from there there are the most levels, and narrow ones. */
static size_t walk_from_end(const nde_graph *g, size_t vertex, size_t first) {
    size_t depth, last, before = 0;
    size_t end = walk(g, vertex, first, &depth, &last);
    while (depth > before) {
        before = depth;
        const size_t root = least_degree(g, g->queue + last, end - last);
        forget(g, first, end);
        end = walk(g, root, first, &depth, &last);
    }
    return end;
}

void nde_order_band(const nde_graph *g) {
    size_t end = 0;
    for (size_t i = 0; i < g->n; i++) {
        g->order[i] = SIZE_MAX;
        g->degree[i] = g->row_start[i + 1] - g->row_start[i] + g->column_start[i + 1] - g->column_start[i];
    }
    for (size_t i = 0; i < g->n; i++)
        if (g->order[i] == SIZE_MAX) end = walk_from_end(g, i, end);
    for (size_t at = 0; at < g->n; at++) g->order[g->queue[at]] = g->n - 1 - at;
}

void nde_measure_band(size_t n, const size_t *start, const size_t *index, const size_t *order, size_t *lower, size_t *upper) {
    *lower = *upper = 0;
    for (size_t row = 0; row < n; row++)
        for (size_t e = start[row]; e < start[row + 1]; e++) {
            const size_t i = order ? order[row] : row, j = order ? order[index[e]] : index[e];
            if (i > j && i - j > *lower) *lower = i - j;
            if (j > i && j - i > *upper) *upper = j - i;
        }
}
