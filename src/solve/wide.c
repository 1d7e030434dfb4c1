/* SPDX-License-Identifier: MIT
 * wide.c - many directions at once: lanes of a panel, or of a group, once for each direction. What they are is computed
 * once and copied; their tangents stand beside each other, lane b of direction d in column d*n + b. */
#include "solve/solver.h"

#include <string.h>

/* n entries of some bytes, k times. */
static void repeat(size_t k, size_t n, size_t bytes, const void *from, void *to) {
    for (size_t d = 0; d < k && n; d++) memcpy((unsigned char *)to + d*n*bytes, from, n*bytes);
}

static void repeat_rows(size_t k, size_t n, size_t rows, const nde_real *from, size_t from_ld, nde_real *to, size_t ld) {
    for (size_t i = 0; i < rows; i++) repeat(k, n, sizeof *to, from + i*from_ld, to + i*ld);
}

/* What drives lanes beside their state. */
static void repeat_lanes(const nde_solver *s, size_t k, const nde_lanes *from, nde_lanes *to) {
    const nde_site *a = &from->site;
    for (size_t i = 0; i < s->rhs.paths; i++)
        repeat(k, a->n, sizeof *to->piece, from->piece + i*a->ld, to->piece + i*to->site.ld);
    repeat_rows(k, a->n, s->rhs.rate_rows, from->rate, a->ld, to->rate, to->site.ld);
}

#define REPEAT(member) repeat(k, n, sizeof *to->member, from->member, to->member)
#define REPEAT_ROWS(rows, member) repeat_rows(k, n, (rows), from->member, from_ld, to->member, ld)

nde_panel *nde_wide_panel(const nde_solver *s, nde_worker *w, size_t k) {
    nde_panel *from = &w->replica, *to = &w->wide->replica;
    const size_t n = from->live->n, from_ld = from->ld, ld = to->ld;
    nde_lanes_bind(&to->lanes, &s->rhs, &w->wide->scratch);
    nde_panel_resize(to, n*k);
    to->y = to->state[0], to->z = to->state[1], to->k = to->own_k;
    REPEAT(trajectory), REPEAT(interval), REPEAT(node), REPEAT(accepted), REPEAT(saved);
    REPEAT(t), REPEAT(t1), REPEAT(t_new), REPEAT(dt), REPEAT(h_real), REPEAT(accept), REPEAT(mark);
    REPEAT_ROWS(s->state_rows, y), REPEAT_ROWS(s->state_rows, z), REPEAT_ROWS(s->rhs.nq, q);
    REPEAT_ROWS((size_t)s->table.stages*s->rhs.rows, k);
    repeat_lanes(s, k, &from->lanes, &to->lanes);
    return to;
}

nde_group *nde_wide_group(const nde_solver *s, nde_worker *w, size_t k) {
    nde_group *from = &w->group, *to = &w->wide->group;
    const size_t n = from->lanes.site.n, from_ld = from->lanes.site.ld, inputs = s->rhs.problem.jump_inputs;
    nde_group_open(s, w->wide, n*k);
    const size_t ld = to->lanes.site.ld;
    to->lanes.site.flags = from->lanes.site.flags;
    REPEAT(trajectory), REPEAT(interval), REPEAT(node), REPEAT(t), REPEAT(dt), REPEAT(mark);
    REPEAT_ROWS(s->rhs.rows, y), REPEAT_ROWS(s->rhs.nq, q), REPEAT_ROWS(inputs, u);
    repeat_lanes(s, k, &from->lanes, &to->lanes);
    return to;
}

nde_panel *nde_wide_inside(const nde_solver *s, nde_worker *w, size_t k) {
    const nde_group *from = &w->group;
    nde_group *to = nde_wide_group(s, w, k);
    nde_panel *in = &w->wide->inside;
    const size_t n = from->lanes.site.n, from_ld = from->lanes.site.ld, ld = to->lanes.site.ld;
    REPEAT(t_new), REPEAT(h);
    REPEAT_ROWS((size_t)s->table.slopes*s->rhs.rows, k);
    *in = nde_inside_panel(s, to);
    return in;
}
