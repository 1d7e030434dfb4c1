/* SPDX-License-Identifier: MIT
 * table.c - a method's table in this precision, by its non-zero weights, and its continuous
 * extension. */
#include "method/body.h"
#include "core/isa.h"

static void lay_row(nde_row *row, nde_arena *arena, const double *weight, int count) {
    int *index = nde_arena_take(arena, (size_t)count, sizeof *index);
    nde_real *value = nde_arena_take(arena, (size_t)count, sizeof *value);
    int used = 0;
    if (index && value)
        for (int j = 0; j < count; j++)
            if (weight[j] != 0) index[used] = j, value[used++] = (nde_real)weight[j];
    *row = (nde_row){ used, index, value };
}

nde_status nde_table_lay(nde_table *table, nde_arena *arena, const nde_method *m, size_t dim,
                         size_t split) {
    const bool partitioned = m->kind == NDE_KIND_PARTITIONED;
    table->method = m;
    table->stages = m->stages;
    table->fsal = m->first_same_as_last;
    table->last_is_new = m->first_same_as_last && !partitioned;
    table->split = partitioned ? split : dim;
    for (int set = 0; set <= partitioned; set++) {
        const double *a = set ? m->a2 : m->a;
        table->row[set] = nde_arena_take(arena, (size_t)m->stages, sizeof(nde_row));
        for (int i = 0; i < m->stages; a += i, i++) {
            nde_row row;
            lay_row(&row, arena, a, i);
            if (table->row[set]) table->row[set][i] = row;
        }
        lay_row(&table->out[set], arena, set ? m->b2 : m->b, m->stages);
    }
    if (m->e) lay_row(&table->error, arena, m->e, m->stages);
    return NDE_OK;
}

void nde_table_dense(const nde_table *table, int set, double theta, double *w, double *dw) {
    const nde_method *m = table->method;
    const double *d = set ? m->dense2 : m->dense, *b = set ? m->b2 : m->b;
    const int terms = m->dense_terms;
    for (int i = 0; i < m->stages; i++) {
        double value = 0, slope = 0;
        for (int j = terms - 1; j >= 0; j--) {
            slope = slope*theta + (j + 1)*d[i*terms + j];
            value = value*theta + d[i*terms + j];
        }
        if (w) w[i] = theta == 1 ? b[i] : value*theta;
        if (dw) dw[i] = slope;
    }
}

const nde_body *nde_body_get(int isa) {
    switch (isa) {
#ifdef NDE_HAVE_V4
    case NDE_ISA_V4: return &nde_body_runge_kutta_v4;
#endif
#ifdef NDE_HAVE_V3
    case NDE_ISA_V3: return &nde_body_runge_kutta_v3;
#endif
    default: return &nde_body_runge_kutta_baseline;
    }
}
