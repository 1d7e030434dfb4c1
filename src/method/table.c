/* SPDX-License-Identifier: MIT
 * table.c - a method's table in this precision, by its non-zero weights, and its continuous
 * extension. */
#include "method/body.h"
#include "core/isa.h"
#include "method/extension.h"

#include <math.h>
#include <string.h>

static void lay_row(nde_row *row, nde_arena *arena, const double *weight, int count) {
    int *index = nde_arena_take(arena, (size_t)count, sizeof *index);
    nde_real *value = nde_arena_take(arena, (size_t)count, sizeof *value);
    int used = 0;
    if (index && value)
        for (int j = 0; j < count; j++)
            if (weight[j] != 0) index[used] = j, value[used++] = (nde_real)weight[j];
    *row = (nde_row){ used, index, value };
}

/* Who has a share of slope j: the new state, at index m->stages, and then the states of the stages from the last one down.
 * That of a last stage taken at the new state has gone into that. */
static void lay_column(nde_row *row, nde_arena *arena, const nde_method *m, int j, bool last_is_new) {
    int *index = nde_arena_take(arena, (size_t)m->stages, sizeof *index), used = 0;
    nde_real *value = nde_arena_take(arena, (size_t)m->stages, sizeof *value);
    for (int i = m->stages; index && value && i > j; i--) {
        const double weight = i == m->stages ? m->b[j] : i == m->stages - 1 && last_is_new ? 0 : m->a[i*(i - 1)/2 + j];
        if (weight != 0) index[used] = i, value[used++] = (nde_real)weight;
    }
    *row = (nde_row){ used, index, value };
}

/* Where nothing that is judged sees what is not finite. */
static void lay_unseen(nde_row *row, nde_arena *arena, const nde_method *m, bool with_error) {
    double unseen[NDE_MOST_STAGES];
    for (int i = 0; arena->base && i < m->stages; i++) {
        bool used = m->first_same_as_last && i == m->stages - 1;
        for (int j = 0; j < m->dense_terms; j++) used = used || m->dense[i*m->dense_terms + j] != 0;
        unseen[i] = used && m->b[i] == 0 && !(with_error && m->e && m->e[i] != 0);
    }
    lay_row(row, arena, unseen, m->stages);
}

static void lay_composition(nde_table *table, nde_arena *arena, const nde_method *m, size_t split) {
    *table = (nde_table){ .method = m, .stages = m->stages, .slopes = m->stages + m->dense_stages, .split = split,
                          .fsal = m->first_same_as_last, .fresh = m->first_same_as_last,
                          .evals = m->stages - m->first_same_as_last, .quantum = table->quantum };
    table->node = nde_arena_take(arena, (size_t)m->stages, sizeof *table->node);
    double gone[2] = { 0, 0 }; /* of positions, of velocities */
    for (int i = 0; table->node && i < m->stages; i++) {
        const int moved = nde_method_moves(m, i);
        table->node[i] = fabs(gone[!moved] - 1) < 1e-14 ? 1 : gone[!moved];
        gone[moved] += m->b[i];
    }
}

/* Stages i < j at the same time, as far back as there are any. */
static bool find_pair(const nde_method *m, int *i, int *j) {
    for (*j = m->stages - 1; *j > 0; --*j)
        for (*i = *j - 1; *i >= 0; --*i)
            if (fabs(m->c[*i] - m->c[*j]) < 1e-12) return true;
    return false;
}

/* Two stages at the same time, or the error estimate: both are small where the solution is smooth, and large in what is
 * stiff. */
static void lay_probe(nde_table *table, nde_arena *arena, const nde_method *m) {
    double w[NDE_MOST_STAGES] = { 0 }, v[NDE_MOST_STAGES] = { 0 };
    int first, second;
    if (arena->base && find_pair(m, &first, &second)) w[second] = 1, w[first] = -1;
    else if (arena->base) memcpy(w, m->e, (size_t)m->stages*sizeof *w);
    for (int i = 0; arena->base && i < m->stages; i++)
        for (int j = 0; j < i; j++) v[j] += w[i]*m->a[i*(i - 1)/2 + j];
    lay_row(&table->probe[0], arena, w, m->stages);
    lay_row(&table->probe[1], arena, v, m->stages);
}

/* Coefficients r [stages + 1] of the stability polynomial: y+ = sum r_j z^j y for y' = lambda y, z = h lambda. */
static void expand_stability(const nde_method *m, double *r) {
    double power[NDE_MOST_STAGES]; /* row sums of the powers of a */
    for (int i = 0; i < m->stages; i++) power[i] = 1;
    r[0] = 1;
    for (int k = 1; k <= m->stages; k++) {
        r[k] = 0;
        for (int i = 0; i < m->stages; i++) r[k] += m->b[i]*power[i];
        for (int i = m->stages - 1; i >= 0; i--) {
            double sum = 0;
            for (int j = 0; j < i; j++) sum += m->a[i*(i - 1)/2 + j]*power[j];
            power[i] = sum;
        }
    }
}

/* The x > 0 up to which |R(-x)| <= 1. Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.2. */
static double stable_interval(const nde_method *m) {
    enum { FINE = 16, MOST = 64*NDE_MOST_STAGES*FINE };
    double r[NDE_MOST_STAGES + 1];
    expand_stability(m, r);
    int x = 0;
    for (double size = 0; size <= 1 + 1e-9 && x < MOST; ) {
        const double z = -(double)++x/FINE;
        size = r[m->stages];
        for (int k = m->stages - 1; k >= 0; k--) size = size*z + r[k];
        size = fabs(size);
    }
    return (double)(x - 1)/FINE;
}

void nde_chebyshev_lay(nde_chebyshev *c, nde_arena *arena) {
    c->stage = nde_arena_take(arena, (size_t)(c->most*(c->most + 1) - c->least*(c->least - 1))/2, sizeof *c->stage);
    nde_chebyshev_stage *stage = c->stage;
    for (int s = c->least; stage && s <= c->most; stage += s, s++) nde_chebyshev_write(s, stage);
}

void nde_chebyshev_lay_scratch(nde_scratch *scratch, nde_arena *arena, const nde_rhs *rhs, const nde_chebyshev *c, size_t ld,
                               bool sweeps) {
    size_t reals = 0;
    const size_t parts = sweeps ? (size_t)c->most + 4 : 1; /* D_0 ... D_m, and three more */
    if (!nde_size_multiply(rhs->rows, ld, &reals) || !nde_size_multiply(reals, parts, &reals)) arena->overflow = true;
    scratch->part = nde_arena_take(arena, reals, sizeof *scratch->part);
    scratch->weight = nde_arena_take(arena, 4*ld, sizeof *scratch->weight);
    scratch->point = nde_arena_take(arena, rhs->dim, sizeof *scratch->point);
    scratch->count = nde_arena_take(arena, ld, sizeof *scratch->count);
}

/* One slab more than stages: see nystrom.c. */
static void lay_nystrom(nde_table *table, nde_arena *arena, const nde_method *m, size_t split) {
    const int s = m->stages;
    double weight[NDE_MOST_STAGES + 1];
    *table = (nde_table){ .method = m, .stages = s + 1, .slopes = s + 1, .evals = s - 1, .fsal = true, .fresh = true,
                          .split = split };
    table->row[0] = nde_arena_take(arena, (size_t)s, sizeof(nde_row));
    for (int i = 0; i <= s; i++) { /* the last one is the new state */
        const int count = i < s ? i : s;
        const double *a = i < s ? m->a + i*(i - 1)/2 : m->b;
        for (int j = 0; j < s; j++) weight[j] = j < count ? a[j] : 0;
        weight[s] = i < s ? m->c[i] : 1;
        nde_row row;
        lay_row(&row, arena, weight, s + 1);
        if (i == s) table->out[0] = row;
        else if (table->row[0]) table->row[0][i] = row;
    }
    lay_row(&table->out[1], arena, m->b2, s);
    if (m->e) lay_row(&table->error, arena, m->e, s), lay_row(&table->velocity_error, arena, m->e_velocity, s);
    for (int i = 0; i < s; i++) weight[i] = 0;
    weight[s] = 1;
    for (int i = 0; i < 2; i++) lay_row(&table->unseen[i], arena, weight, s + 1);
}

static void lay_weights(nde_real **weight, nde_arena *arena, const nde_coefficient *all, int order) {
    *weight = all ? nde_arena_take(arena, (size_t)order, sizeof **weight) : NULL;
    for (int j = 0; *weight && j < order; j++) (*weight)[j] = (nde_real)nde_adams_weights(all, order)[j];
}

static nde_status lay_multistep(nde_multistep *to, nde_arena *arena, const nde_method *m, size_t dim) {
    const nde_method *start = nde_multistep_start(m->order);
    nde_table *table = nde_arena_take(arena, 1, sizeof *table), counted = { 0 };
    to->order = m->order, to->start = table;
    lay_weights(&to->weight[0], arena, m->predictor, m->order);
    lay_weights(&to->weight[1], arena, m->corrector, m->order);
    if (!table) table = &counted;
    const nde_status bad = nde_table_lay(table, arena, start, dim, dim);
    table->fsal = true, table->last_is_new = false; /* slope 0 is there */
    while (start->b[table->stages - 1] == 0) table->stages--; /* what only an error estimate needs */
    return bad;
}

void nde_multistep_lay_scratch(nde_scratch *scratch, nde_arena *arena, const nde_rhs *rhs, const nde_multistep *m, size_t ld,
                               bool sweeps) {
    const size_t stages = (size_t)nde_multistep_start(m->order)->stages;
    size_t reals = 0;
    if (!nde_size_multiply(rhs->rows, ld, &reals) || !nde_size_multiply(reals, sweeps ? 2*stages + 3 : stages + 1, &reals))
        arena->overflow = true;
    scratch->part = nde_arena_take(arena, reals, sizeof *scratch->part);
    scratch->count = nde_arena_take(arena, ld, sizeof *scratch->count);
    scratch->start_h = nde_arena_take(arena, (ld + 15)/16*16, sizeof *scratch->start_h);
    scratch->start_dt = nde_arena_take(arena, ld, sizeof *scratch->start_dt);
    scratch->start_end = nde_arena_take(arena, ld, sizeof *scratch->start_end);
    if (!nde_size_multiply(rhs->tape*stages, ld, &reals)) arena->overflow = true;
    scratch->start_tape = sweeps ? nde_arena_take(arena, reals, sizeof *scratch->start_tape) : NULL;
}

void nde_switching_lay_scratch(nde_scratch *scratch, nde_arena *arena, const nde_rhs *rhs, const nde_method *m, size_t ld) {
    const nde_method *of = m->way[0];
    size_t reals = 0;
    const size_t slabs = of->dense_stages ? 1 + 2*(size_t)(of->stages + of->dense_stages) : 1;
    if (!nde_size_multiply(rhs->rows, ld, &reals) || !nde_size_multiply(reals, slabs, &reals)) arena->overflow = true;
    scratch->part = nde_arena_take(arena, reals, sizeof *scratch->part);
    scratch->count = nde_arena_take(arena, ld, sizeof *scratch->count);
    scratch->start_h = nde_arena_take(arena, (ld + 15)/16*16, sizeof *scratch->start_h);
    scratch->start_dt = nde_arena_take(arena, ld, sizeof *scratch->start_dt);
    scratch->start_end = nde_arena_take(arena, ld, sizeof *scratch->start_end);
}

static nde_status lay_ways(nde_table *table, nde_arena *arena, const nde_method *m, size_t dim) {
    nde_table counted[2] = { 0 }, *way = table->way = nde_arena_take(arena, 2, sizeof *table->way);
    if (!way) way = counted;
    for (int i = 0; i < 2; i++) {
        way[i] = (nde_table){ .known = true };
        const nde_status bad = nde_table_lay(&way[i], arena, m->way[i], dim, dim);
        if (bad) return bad;
    }
    table->evals = way[0].evals;
    return NDE_OK;
}

static void lay_rosenbrock(nde_table *table, nde_arena *arena, const nde_method *m) {
    table->coupling = nde_arena_take(arena, (size_t)m->stages, sizeof *table->coupling);
    for (int i = 0; i < m->stages; i++) {
        nde_row row;
        lay_row(&row, arena, m->coupling + i*(i - 1)/2, i);
        if (table->coupling) table->coupling[i] = row;
    }
}

/* The error before W^-1 goes to the filter; what is judged is slope 1. */
static void lay_filter(nde_table *table, nde_arena *arena, const nde_method *m) {
    double weight[NDE_MOST_STAGES] = { 0 };
    weight[1] = 1;
    table->filter = table->error;
    lay_row(&table->error, arena, weight, m->stages);
}

/* Full rows. */
static void lay_collocation(nde_table *table, nde_arena *arena, const nde_method *m) {
    const int first = m->stages - NDE_COLLOCATED;
    double weight[NDE_MOST_STAGES] = { 0 };
    for (int i = 0; i < NDE_COLLOCATED; i++) {
        nde_row row;
        memcpy(weight + first, m->collocation->a + i*NDE_COLLOCATED, NDE_COLLOCATED*sizeof *weight);
        lay_row(&row, arena, weight, m->stages);
        if (table->row[0]) table->row[0][first + i] = row;
    }
}

/* Rows with the diagonal. */
static void lay_dirk(nde_table *table, nde_arena *arena, const nde_method *m) {
    double weight[NDE_MOST_STAGES] = { 0 };
    for (int i = m->additive ? 2 : 1 + m->filtered; i < m->stages; i += 1 + m->additive) {
        nde_row row;
        if (arena->base) memcpy(weight, m->a + i*(i - 1)/2, (size_t)i*sizeof *weight);
        weight[i] = m->gamma;
        lay_row(&row, arena, weight, i + 1);
        if (table->row[0]) table->row[0][i] = row;
    }
}

nde_status nde_table_lay(nde_table *table, nde_arena *arena, const nde_method *m, size_t dim,
                         size_t split) {
    const bool partitioned = m->kind == NDE_KIND_PARTITIONED;
    if (m->kind == NDE_KIND_COMPOSITION) return lay_composition(table, arena, m, split), NDE_OK;
    if (m->kind == NDE_KIND_CHEBYSHEV) nde_chebyshev_lay(&table->chebyshev, arena);
    if (m->kind == NDE_KIND_NYSTROM) return lay_nystrom(table, arena, m, split), NDE_OK;
    if (m->kind == NDE_KIND_MULTISTEP) {
        const nde_status bad = lay_multistep(&table->multistep, arena, m, dim);
        if (bad) return bad;
    }
    table->method = m;
    table->stages = m->stages, table->slopes = m->stages + m->dense_stages;
    table->fsal = m->first_same_as_last;
    table->evals = (int)nde_method_evaluations(m);
    table->partners = m->partners;
    table->fresh = m->first_same_as_last || m->partners;
    table->last_is_new = m->first_same_as_last && !partitioned && !m->partners;
    table->split = partitioned ? split : dim;
    for (int set = 0; set <= partitioned; set++) {
        const double *a = set ? m->a2 : m->a;
        table->row[set] = nde_arena_take(arena, (size_t)table->slopes, sizeof(nde_row));
        const bool none = table->chebyshev.most || table->multistep.order || m->way[0] || m->collocation;
        for (int i = 0; i < table->slopes && !none; i++) {
            nde_row row;
            lay_row(&row, arena, a ? a + i*(i - 1)/2 : NULL, i);
            if (table->row[set]) table->row[set][i] = row;
        }
        lay_row(&table->out[set], arena, set ? m->b2 : m->b, m->stages);
    }
    const bool plain = m->kind == NDE_KIND_RUNGE_KUTTA;
    table->column = nde_arena_take(arena, plain ? (size_t)m->stages : 0, sizeof *table->column);
    for (int j = 0; plain && j < m->stages; j++) {
        nde_row column;
        lay_column(&column, arena, m, j, table->last_is_new);
        if (table->column) table->column[j] = column;
    }
    if (m->kind == NDE_KIND_COUPLED) lay_row(&table->out[1], arena, m->b2, m->stages);
    if (m->error_order) lay_row(&table->error, arena, m->e, m->stages);
    if (m->e2_order) lay_row(&table->error2, arena, m->e2, m->stages);
    if (m->error_order && m->kind == NDE_KIND_RUNGE_KUTTA) {
        lay_probe(table, arena, m);
        if (arena->base) table->stable = stable_interval(m);
    }
    for (int i = 0; i < 2; i++) lay_unseen(&table->unseen[i], arena, m, i);
    if (m->kind == NDE_KIND_ROSENBROCK) lay_rosenbrock(table, arena, m);
    if (m->kind == NDE_KIND_DIRK) lay_dirk(table, arena, m);
    if (m->kind == NDE_KIND_COLLOCATION) lay_collocation(table, arena, m);
    if (m->filtered) lay_filter(table, arena, m);
    if (m->kind == NDE_KIND_SWITCHING) return lay_ways(table, arena, m, dim);
    return NDE_OK;
}

/* Cubic Hermite interpolation: the new state by the weights of its slopes, and the slopes of both ends. */
static void weigh_hermite(const nde_table *table, int set, double theta, double *w, double *dw) {
    const nde_method *m = table->method;
    const double back = 1 - theta, value = theta*theta*(3 - 2*theta), slope = 6*theta*back;
    for (int i = 0; i < m->stages; i++) {
        const double b = nde_method_moves(m, i) == set ? m->b[i] : 0;
        if (w) w[i] = value*b;
        if (dw) dw[i] = slope*b;
    }
    if (w) w[m->stages] = theta*back*back, w[m->stages + 1] = -theta*theta*back;
    if (dw) dw[m->stages] = back*(1 - 3*theta), dw[m->stages + 1] = theta*(3*theta - 2);
}

/* Positions by their polynomials; velocities by the derivatives of these. */
static void weigh_nystrom(const nde_table *table, int set, double theta, double *w, double *dw) {
    const nde_method *m = table->method;
    const double *d = m->dense;
    for (int i = 0; i < m->stages; i++, d += m->dense_terms) {
        double value = 0, slope = 0, bend = 0;
        for (int j = m->dense_terms - 1; j >= 0; j--) {
            if (j) bend = bend*theta + (j + 1)*j*d[j];
            slope = slope*theta + (j + 1)*d[j], value = value*theta + d[j];
        }
        value *= theta;
        const double end = set ? m->b2[i] : m->b[i];
        if (w) w[i] = theta == 1 ? end : set ? slope : value;
        if (dw) dw[i] = set ? bend : slope;
    }
    if (w) w[m->stages] = set ? 0 : theta;
    if (dw) dw[m->stages] = !set;
}

void nde_table_dense(const nde_table *table, int set, double theta, double *w, double *dw) {
    if (table->method->kind == NDE_KIND_COMPOSITION) {
        weigh_hermite(table, set, theta, w, dw);
        return;
    }
    if (table->method->kind == NDE_KIND_NYSTROM) {
        weigh_nystrom(table, set, theta, w, dw);
        return;
    }
    const nde_method *m = table->method;
    const double *d = set ? m->dense2 : m->dense, *b = set ? m->b2 : m->b;
    const int terms = m->dense_terms;
    double basis[NDE_MOST_DEGREE + 1], rise[NDE_MOST_DEGREE + 1], slope;
    if (m->bernstein) nde_bernstein(terms, theta, basis, rise);
    for (int i = 0; i < table->slopes; i++, d += terms) {
        const double value = nde_extension_weight(terms, d, theta, m->bernstein, basis, rise, &slope);
        if (w) w[i] = theta != 1 ? value : i < m->stages ? b[i] : 0;
        if (dw) dw[i] = slope;
    }
}

/* By kind; 0 stands for the tables that the body of Runge-Kutta methods runs. */
#define BODIES(isa)                                                                                                      \
    { &nde_body_runge_kutta_##isa, [NDE_KIND_COMPOSITION] = &nde_body_composition_##isa,                                 \
      [NDE_KIND_REVERSIBLE] = &nde_body_reversible_##isa, [NDE_KIND_CHEBYSHEV] = &nde_body_chebyshev_##isa,              \
      [NDE_KIND_COUPLED] = &nde_body_coupled_##isa, [NDE_KIND_NYSTROM] = &nde_body_nystrom_##isa,                 \
      [NDE_KIND_MULTISTEP] = &nde_body_multistep_##isa, [NDE_KIND_ROSENBROCK] = &nde_body_rosenbrock_##isa, \
      [NDE_KIND_DIRK] = &nde_body_dirk_##isa, [NDE_KIND_COLLOCATION] = &nde_body_collocation_##isa, \
      [NDE_KIND_SWITCHING] = &nde_body_switched_##isa }

const nde_body *nde_body_get(int isa, int kind) {
    static const nde_body *const baseline[NDE_KINDS] = BODIES(baseline);
    const nde_body *const *of = baseline;
    (void)isa; /* where there is one set */
#ifdef NDE_HAVE_V3
    static const nde_body *const v3[NDE_KINDS] = BODIES(v3);
    if (isa == NDE_ISA_V3) of = v3;
#endif
#ifdef NDE_HAVE_V4
    static const nde_body *const v4[NDE_KINDS] = BODIES(v4);
    if (isa == NDE_ISA_V4) of = v4;
#endif
    return of[kind] ? of[kind] : of[0];
}
