/* SPDX-License-Identifier: MIT
 * structure.c - what a program's operations say of its derivatives whatever the numbers: which entries of a Jacobian can
 * differ from zero, which columns of it one direction can give together, its trace by these, and whether a value is linear
 * in u. */
#include "program/graph.h"

#include <stdlib.h>
#include <string.h>

/* Above these a Jacobian is taken as dense: numbers in the sets of columns; pairs of entries that are looked at for colours. */
enum { MOST_LISTED = 1 << 24, MOST_PAIRS = 1 << 26 };

/* ---- sets of columns, each of them once ---- */

typedef struct set {
    uint32_t at, n; /* entries, ascending */
} set;

typedef struct sets {
    nde_program *g;
    uint32_t columns;
    nde_growing list, all, table; /* entries; set [count], set 0 is empty; ids by their hash, slots a power of two */
    uint32_t listed, count, slots;
    uint32_t *seen, *found, n;    /* [columns] the last union with a column in it; columns of this one */
    nde_growing taken;            /* [count] the last union with a set in it */
    uint32_t stamp, only;         /* this union; its set, when there is one alone */
    bool full;
} sets;

static const uint32_t *entries(const sets *s, uint32_t id) { return (uint32_t *)s->list.data + ((set *)s->all.data)[id].at; }
static uint32_t size_of(const sets *s, uint32_t id) { return ((set *)s->all.data)[id].n; }

static uint64_t hash_of(const uint32_t *x, uint32_t n) {
    uint64_t hash = n;
    for (uint32_t i = 0; i < n; i++) hash = (hash ^ x[i])*0x9e3779b97f4a7c15u, hash ^= hash >> 29;
    return hash;
}

static uint32_t *slot_of(const sets *s, const uint32_t *x, uint32_t n) {
    uint32_t *table = s->table.data;
    for (uint64_t i = hash_of(x, n);; i++) {
        uint32_t *slot = table + (i & (s->slots - 1));
        if (*slot == 0 || (size_of(s, *slot) == n && memcmp(entries(s, *slot), x, n*sizeof *x) == 0)) return slot;
    }
}

static bool widen_table(sets *s) {
    if (s->slots > 2*(s->count + 1)) return true;
    const uint32_t slots = s->slots ? 2*s->slots : 256;
    nde_growing table = { 0 };
    if (!nde_grow(s->g, &table, slots, sizeof(uint32_t))) return false;
    nde_growing_free(s->g, &s->table);
    s->table = table, s->slots = slots;
    for (uint32_t id = 1; id < s->count; id++) *slot_of(s, entries(s, id), size_of(s, id)) = id;
    return true;
}

static void begin_union(sets *s) { s->stamp++, s->n = 0, s->only = 0; }

static void unite(sets *s, uint32_t id) {
    uint32_t *taken = s->taken.data;
    if (id == 0 || taken[id] == s->stamp) return;
    taken[id] = s->stamp;
    s->only = s->n ? 0 : id;
    for (uint32_t i = 0; i < size_of(s, id); i++) {
        const uint32_t column = entries(s, id)[i];
        if (s->seen[column] != s->stamp) s->found[s->n++] = column;
        s->seen[column] = s->stamp;
    }
}

static int ascending(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t end_union(sets *s) {
    if (s->only || s->n == 0) return s->only;
    qsort(s->found, s->n, sizeof *s->found, ascending);
    if (!widen_table(s)) return 0;
    uint32_t *slot = slot_of(s, s->found, s->n);
    const uint32_t known = *slot;
    if (known) return known;
    if (s->n > MOST_LISTED - s->listed) s->full = true;
    if (s->full || !nde_grow(s->g, &s->list, s->listed + s->n, sizeof(uint32_t)) ||
        !nde_grow(s->g, &s->all, s->count + 1, sizeof(set)) || !nde_grow(s->g, &s->taken, s->count + 1,
                                                                         sizeof(uint32_t))) return 0;
    memcpy((uint32_t *)s->list.data + s->listed, s->found, s->n*sizeof *s->found);
    ((set *)s->all.data)[s->count] = (set){ s->listed, s->n };
    s->listed += s->n;
    return *slot = s->count++;
}

/* ---- columns in which a row's derivative can differ from zero ---- */

typedef struct reach {
    sets sets;
    nde_growing rows; /* sets of nodes' rows, one after the other */
    uint32_t used;
    uint32_t *first;  /* [top + 1] a node's; 0: no row has any */
    uint32_t *head, *next; /* of a SCATTER: 1 + the first row of x that goes to a row, 1 + the next one behind 1 + a row; of
                            * a SPARSE: entries */
} reach;

static uint32_t set_of(const reach *to, uint32_t id, uint32_t row) {
    return to->first[id] ? ((uint32_t *)to->rows.data)[to->first[id] + row] : 0;
}

/* Is it 0 whatever the inputs? */
static bool is_zero(const nde_program *g, uint32_t id, uint32_t row) {
    const nde_node n = nde_node_at(g, id);
    return n.op == NDE_OP_CONSTANT && *nde_values(g, n.list + row) == 0;
}

static void unite_product(reach *to, uint32_t a, uint32_t row_a, uint32_t b, uint32_t row_b) {
    if (is_zero(to->sets.g, a, row_a) || is_zero(to->sets.g, b, row_b)) return;
    unite(&to->sets, set_of(to, a, row_a));
    unite(&to->sets, set_of(to, b, row_b));
}

static void pointwise_row(reach *to, const nde_node *n, uint32_t row) {
    const nde_program *g = to->sets.g;
    const size_t operands = nde_operations[n->op].operands;
    uint32_t at[3] = { 0 };
    for (size_t i = 0; i < operands; i++) at[i] = nde_node_at(g, n->x[i]).rows > 1 ? row : 0;
    switch (n->op) {
    case NDE_OP_SIGN: case NDE_OP_LESS: case NDE_OP_LESS_EQUAL: return;
    case NDE_OP_MUL: unite_product(to, n->x[0], at[0], n->x[1], at[1]); return;
    case NDE_OP_DIV:
        if (is_zero(g, n->x[0], at[0])) return;
        break;
    default: break;
    }
    for (size_t i = n->op == NDE_OP_SELECT; i < operands; i++) unite(&to->sets, set_of(to, n->x[i], at[i]));
}

static void linear_row(reach *to, const nde_node *n, uint32_t row) {
    const nde_program *g = to->sets.g;
    const uint32_t x = n->x[0];
    switch (n->op) {
    case NDE_OP_INDEPENDENT: unite(&to->sets, set_of(to, x, row)); return;
    case NDE_OP_PART: unite(&to->sets, set_of(to, x, n->first + row)); return;
    case NDE_OP_GATHER: unite(&to->sets, set_of(to, x, *nde_list(g, n->list + row))); return;
    case NDE_OP_REPEAT: unite(&to->sets, set_of(to, x, 0)); return;
    case NDE_OP_SCATTER: /* see begin_scatter */
        for (uint32_t i = to->head[row]; i; i = to->next[i]) unite(&to->sets, set_of(to, x, i - 1));
        return;
    default: /* a sum of all */
        for (uint32_t i = 0; i < nde_node_at(g, x).rows; i++) unite(&to->sets, set_of(to, x, i));
    }
}

static void bilinear_row(reach *to, const nde_node *n, uint32_t row) {
    const nde_program *g = to->sets.g;
    const uint32_t a = n->x[0], b = n->x[1], rows_a = nde_node_at(g, a).rows, rows_b = nde_node_at(g, b).rows;
    switch (n->op) {
    case NDE_OP_DOT:
        for (uint32_t i = 0; i < rows_a; i++) unite_product(to, a, i, b, i);
        return;
    case NDE_OP_CROSS:
        unite_product(to, a, (row + 1)%3, b, (row + 2)%3);
        unite_product(to, a, (row + 2)%3, b, (row + 1)%3);
        return;
    case NDE_OP_MATVEC:
        for (uint32_t i = 0; i < rows_b; i++) unite_product(to, a, row*rows_b + i, b, i);
        return;
    case NDE_OP_MATVEC_TRANSPOSED:
        for (uint32_t i = 0; i < rows_b; i++) unite_product(to, a, i*n->rows + row, b, i);
        return;
    case NDE_OP_OUTER: unite_product(to, a, row/rows_b, b, row%rows_b); return;
    case NDE_OP_SPARSE: /* see begin_scatter */
        for (uint32_t e = to->head[row]; e; e = to->next[e])
            unite_product(to, a, e - 1, b, *nde_list(g, n->list + rows_a + e - 1));
        return;
    case NDE_OP_CIRCULAR:
        for (uint32_t i = 0; i < rows_a; i++) {
            const uint32_t j = n->detail & NDE_CIRCULAR_MINUS_J ? rows_b - i : i,
                k = n->detail & NDE_CIRCULAR_MINUS_I ? rows_b - row : row;
            unite_product(to, a, i, b, (n->first + j + k)%rows_b);
        }
        return;
    default: { /* MATMUL */
        const uint32_t inner = n->first, rows = rows_a/inner, columns = rows_b/inner, r = row/columns, c = row%columns;
        for (uint32_t i = 0; i < inner; i++)
            unite_product(to, a, n->detail == NDE_MATMUL_ATB ? i*rows + r : r*inner + i, b,
                          n->detail == NDE_MATMUL_ABT ? c*inner + i : i*columns + c);
    }
    }
}

/* The column of row `row` of an input, or of x itself; columns: none. */
static uint32_t column_of(const nde_program *g, uint32_t id, uint32_t x, uint32_t row) {
    const nde_node n = nde_node_at(g, id), from = nde_node_at(g, x);
    if (id == x) return row;
    if (n.op != NDE_OP_INPUT || from.op != NDE_OP_INPUT || n.detail != from.detail) return from.rows;
    const uint32_t at = n.first + row;
    return at >= from.first && at - from.first < from.rows ? at - from.first : from.rows;
}

static uint32_t row_of_node(reach *to, uint32_t id, uint32_t x, uint32_t row) {
    sets *s = &to->sets;
    const nde_node n = nde_node_at(s->g, id);
    const int form = nde_operations[n.op].form;
    const uint32_t column = column_of(s->g, id, x, row);
    begin_union(s);
    if (column < s->columns) s->found[s->n++] = column;
    else if (form == NDE_FORM_POINTWISE || form == NDE_FORM_ROWS) pointwise_row(to, &n, row);
    else if (form == NDE_FORM_LINEAR) linear_row(to, &n, row);
    else if (form == NDE_FORM_BILINEAR) bilinear_row(to, &n, row);
    return end_union(s);
}

/* Of SCATTER the rows of x, of SPARSE the entries, by the rows of the result. */
static bool begin_scatter(reach *to, const nde_node *n) {
    nde_program *g = to->sets.g;
    const uint32_t count = n->op == NDE_OP_SPARSE ? n->n/2 : n->n;
    to->head = nde_scratch(g, n->rows, sizeof *to->head);
    to->next = nde_scratch(g, (size_t)n->n + 1, sizeof *to->next);
    for (uint32_t i = 0; to->head && to->next && i < count; i++) {
        uint32_t *head = to->head + *nde_list(g, n->list + i);
        to->next[i + 1] = *head, *head = i + 1;
    }
    return to->head && to->next;
}
static void end_scatter(reach *to, const nde_node *n) {
    if (to->head) nde_scratch_free(to->sets.g, to->head, n->rows, sizeof *to->head);
    if (to->next) nde_scratch_free(to->sets.g, to->next, (size_t)n->n + 1, sizeof *to->next);
    to->head = to->next = NULL;
}

/* Sets of all rows of node id, at `row`. */
static void reach_rows(reach *to, uint32_t id, uint32_t x, uint32_t *row) {
    nde_program *g = to->sets.g;
    const nde_node n = nde_node_at(g, id);
    if (n.op == NDE_OP_CONCAT) {
        for (uint32_t i = 0; i < n.n; i++) {
            const uint32_t one = *nde_list(g, n.list + i), rows = nde_node_at(g, one).rows;
            for (uint32_t k = 0; k < rows; k++) *row++ = set_of(to, one, k);
        }
        return;
    }
    if ((n.op == NDE_OP_SCATTER || n.op == NDE_OP_SPARSE) && !begin_scatter(to, &n)) {
        end_scatter(to, &n);
        return;
    }
    for (uint32_t i = 0; i < n.rows && g->status == NDE_OK && !to->sets.full; i++) row[i] = row_of_node(to, id, x, i);
    end_scatter(to, &n);
}

/* Can a row of it depend on x? */
static bool may_reach(const reach *to, uint32_t id, uint32_t x) {
    const nde_program *g = to->sets.g;
    const nde_node n = nde_node_at(g, id), from = nde_node_at(g, x);
    bool any = id == x || (n.op == NDE_OP_INPUT && from.op == NDE_OP_INPUT && n.detail == from.detail);
    for (size_t i = 0; i < nde_operations[n.op].operands; i++) any |= to->first[n.x[i]] != 0;
    for (uint32_t i = 0; n.op == NDE_OP_CONCAT && i < n.n; i++) any |= to->first[*nde_list(g, n.list + i)] != 0;
    return any;
}

static void reach_node(reach *to, uint32_t id, uint32_t x) {
    const uint32_t rows = nde_node_at(to->sets.g, id).rows;
    bool any = false;
    if (!may_reach(to, id, x) || !nde_grow(to->sets.g, &to->rows, (size_t)to->used + rows, sizeof(uint32_t))) return;
    uint32_t *row = (uint32_t *)to->rows.data + to->used;
    reach_rows(to, id, x, row);
    for (uint32_t i = 0; i < rows; i++) any |= row[i] != 0;
    if (any) to->first[id] = to->used, to->used += rows;
}

static void copy_pattern(const reach *from, uint32_t f, nde_pattern *to) {
    nde_program *g = from->sets.g;
    const uint32_t rows = nde_node_at(g, f).rows;
    size_t n = 0;
    for (uint32_t row = 0; row < rows; row++) n += size_of(&from->sets, set_of(from, f, row));
    to->rows = rows, to->columns = from->sets.columns;
    if (!nde_grow(g, &to->start, (size_t)rows + 1, sizeof(size_t)) || !nde_grow(g, &to->index, n + 1, sizeof(size_t))) return;
    size_t *start = to->start.data, *index = to->index.data;
    for (uint32_t row = 0; row < rows; row++) { /* start[0] is 0 */
        const uint32_t id = set_of(from, f, row), size = size_of(&from->sets, id);
        for (uint32_t i = 0; i < size; i++) index[start[row] + i] = entries(&from->sets, id)[i];
        start[row + 1] = start[row] + size;
    }
}

bool nde_find_pattern(nde_program *g, uint32_t f, uint32_t x, nde_pattern *to) {
    const uint32_t columns = nde_node_at(g, x).rows;
    reach r = { .sets = { .g = g, .columns = columns, .count = 1 }, .used = 1 };
    sets *s = &r.sets;
    bool *needed = nde_scratch(g, (size_t)f + 1, sizeof *needed);
    r.first = nde_scratch(g, (size_t)f + 1, sizeof *r.first);
    s->seen = nde_scratch(g, columns, sizeof *s->seen), s->found = nde_scratch(g, columns, sizeof *s->found);
    if (nde_grow(g, &s->all, 1, sizeof(set)) && nde_grow(g, &s->taken, 1, sizeof(uint32_t)) && g->status == NDE_OK)
        nde_find_needed(g, f, needed);
    for (uint32_t id = 1; id <= f && g->status == NDE_OK && !s->full; id++)
        if (needed[id]) reach_node(&r, id, x);
    if (g->status == NDE_OK && !s->full) copy_pattern(&r, f, to);
    if (needed) nde_scratch_free(g, needed, (size_t)f + 1, sizeof *needed);
    if (r.first) nde_scratch_free(g, r.first, (size_t)f + 1, sizeof *r.first);
    if (s->seen) nde_scratch_free(g, s->seen, columns, sizeof *s->seen);
    if (s->found) nde_scratch_free(g, s->found, columns, sizeof *s->found);
    nde_growing *const arrays[] = { &s->list, &s->all, &s->table, &s->taken, &r.rows };
    for (size_t i = 0; i < sizeof arrays/sizeof *arrays; i++) nde_growing_free(g, arrays[i]);
    return g->status == NDE_OK && !s->full;
}

void nde_pattern_free(nde_program *g, nde_pattern *pattern) {
    nde_growing_free(g, &pattern->start), nde_growing_free(g, &pattern->index);
}

/* ---- columns that one direction gives together ---- */

typedef struct coloring {
    const size_t *start, *index;       /* by rows, as in the pattern */
    size_t *start_column, *index_row;  /* by columns */
    uint32_t *color, *last;            /* color [columns] from 1 on, 0: none; [columns + 1] the last column that may not
                                        * have a color */
} coloring;

static void transpose(const nde_pattern *of, coloring *to) {
    for (size_t e = 0; e < to->start[of->rows]; e++) to->start_column[to->index[e] + 1]++;
    for (size_t c = 0; c < of->columns; c++) to->start_column[c + 1] += to->start_column[c];
    for (size_t r = of->rows; r-- > 0;) /* each column's end goes down to its start */
        for (size_t e = to->start[r]; e < to->start[r + 1]; e++) to->index_row[--to->start_column[to->index[e] + 1]] = r;
    for (size_t c = 0; c < of->columns; c++) to->start_column[c] = to->start_column[c + 1];
    to->start_column[of->columns] = to->start[of->rows];
}

static bool has(const coloring *x, size_t row, size_t column) {
    for (size_t e = x->start[row]; e < x->start[row + 1]; e++)
        if (x->index[e] == column) return true;
    return false;
}

/* Columns that have an entry in one row have different colors. `diagonal`: it is enough that a diagonal entry is alone in
 * its row. */
static void forbid(coloring *x, size_t column, bool diagonal) {
    const uint32_t mark = (uint32_t)column + 1;
    for (size_t e = x->start_column[column]; e < x->start_column[column + 1]; e++) {
        const size_t row = x->index_row[e];
        if (diagonal) x->last[x->color[row]] = mark;
        for (size_t k = x->start[row]; !diagonal && k < x->start[row + 1]; k++) x->last[x->color[x->index[k]]] = mark;
    }
    for (size_t k = x->start[column]; diagonal && k < x->start[column + 1]; k++) x->last[x->color[x->index[k]]] = mark;
}

static uint32_t color_all(const nde_pattern *of, bool diagonal, coloring *x) {
    uint32_t colors = 0;
    for (uint32_t c = 0; c < of->columns; c++) {
        uint32_t k = 1;
        if (x->start_column[c] == x->start_column[c + 1] || (diagonal && !has(x, c, c))) continue;
        forbid(x, c, diagonal);
        while (x->last[k] == c + 1) k++;
        x->color[c] = k;
        if (k > colors) colors = k;
    }
    return colors;
}

/* Is it worth to look for columns that go together? */
static bool is_sparse(const nde_pattern *of) {
    const size_t *start = of->start.data;
    double pairs = 0;
    for (size_t r = 0; r < of->rows; r++) {
        const size_t n = start[r + 1] - start[r];
        if (n == of->columns) return false;
        pairs += (double)n*(double)n;
    }
    return pairs <= MOST_PAIRS;
}

uint32_t nde_color_columns(nde_program *g, const nde_pattern *of, bool diagonal, uint32_t *color) {
    const size_t columns = of->columns, entries_of = ((const size_t *)of->start.data)[of->rows];
    coloring x = { .start = of->start.data, .index = of->index.data, .color = color };
    uint32_t colors = 0;
    if (!diagonal && !is_sparse(of)) {
        for (uint32_t c = 0; c < columns; c++) color[c] = c + 1;
        return (uint32_t)columns;
    }
    x.start_column = nde_scratch(g, columns + 1, sizeof *x.start_column);
    x.index_row = nde_scratch(g, entries_of + 1, sizeof *x.index_row);
    x.last = nde_scratch(g, columns + 2, sizeof *x.last);
    if (x.start_column && x.index_row && x.last) {
        transpose(of, &x);
        colors = color_all(of, diagonal, &x);
    }
    if (x.start_column) nde_scratch_free(g, x.start_column, columns + 1, sizeof *x.start_column);
    if (x.index_row) nde_scratch_free(g, x.index_row, entries_of + 1, sizeof *x.index_row);
    if (x.last) nde_scratch_free(g, x.last, columns + 2, sizeof *x.last);
    return colors;
}

/* Row `row` of x; of a product only that row is formed. */
static nde_var one_row(nde_program *g, nde_var x, uint32_t row) {
    const nde_node n = nde_node_at(g, x.id);
    if (n.op != NDE_OP_MATVEC) return nde_cut(g, x, row, 1);
    const nde_var v = { n.x[1] };
    const uint32_t in = nde_node_at(g, v.id).rows;
    return nde_matvec(g, nde_cut(g, (nde_var){ n.x[0] }, (size_t)row*in, in), v);
}

/* The diagonal entries of columns of a color, added up: those rows of the sum of the columns. index, unit [rows]: scratch. */
static nde_var trace_of(nde_program *g, nde_var f, nde_var x, const uint32_t *color, uint32_t k, size_t *index, double *unit) {
    const uint32_t rows = nde_node_at(g, x.id).rows;
    size_t n = 0;
    for (uint32_t i = 0; i < rows; i++) {
        unit[i] = color[i] == k;
        if (color[i] == k) index[n++] = i;
    }
    const nde_var columns = nde_jvp_of(g, f, x, nde_constants(g, unit, rows));
    if (!columns.id) return columns;
    return n == rows ? nde_sum(g, columns) : n == 1 ? one_row(g, columns, (uint32_t)*index) :
           nde_sum(g, nde_gather(g, columns, index, n));
}

static bool is_square(nde_program *g, const char *who, nde_var f, nde_var x) {
    if (!nde_may_derive(g, who, f, x, f, true)) return false;
    const uint32_t rows = nde_node_at(g, x.id).rows, own = nde_node_at(g, f.id).rows;
    if (own != rows) nde_program_fail(g, NDE_E_ARG, "%s: f has %u rows, x %u", who, (unsigned)own, (unsigned)rows);
    return own == rows;
}

nde_var nde_divergence_of(nde_program *g, nde_var f, nde_var x) {
    nde_var sum = { 0 };
    nde_pattern of = { 0 };
    if (!is_square(g, "nde_divergence_of", f, x)) return sum;
    const uint32_t rows = nde_node_at(g, x.id).rows;
    uint32_t *color = nde_scratch(g, rows, sizeof *color), colors = rows;
    size_t *index = nde_scratch(g, rows, sizeof *index);
    double *unit = nde_scratch(g, rows, sizeof *unit);
    for (uint32_t i = 0; color && i < rows; i++) color[i] = i + 1;
    if (g->status == NDE_OK && nde_find_pattern(g, f.id, x.id, &of)) {
        memset(color, 0, rows*sizeof *color);
        colors = nde_color_columns(g, &of, true, color);
    }
    for (uint32_t k = 1; k <= colors && g->status == NDE_OK; k++) {
        const nde_var one = trace_of(g, f, x, color, k, index, unit);
        sum = sum.id ? nde_add(g, sum, one) : one;
    }
    nde_pattern_free(g, &of);
    if (color) nde_scratch_free(g, color, rows, sizeof *color);
    if (index) nde_scratch_free(g, index, rows, sizeof *index);
    if (unit) nde_scratch_free(g, unit, rows, sizeof *unit);
    return sum.id || g->status != NDE_OK ? sum : nde_constant(g, 0);
}

nde_var nde_divergence_by(nde_program *g, nde_var f, nde_var x, nde_var v) {
    static const char who[] = "nde_divergence_by";
    nde_var sum = { 0 };
    if (!is_square(g, who, f, x)) return sum;
    const size_t rows = nde_node_at(g, x.id).rows, all = nde_var_rows(g, v), probes = all/rows;
    if (probes == 0 || all % rows)
        return nde_program_fail(g, NDE_E_ARG, "%s: v has %zu rows, not one or more times %zu", who, all, rows);
    for (size_t i = 0; i < probes && g->status == NDE_OK; i++) {
        const nde_var probe = nde_cut(g, v, i*rows, rows), one = nde_dot(g, probe, nde_jvp_of(g, f, x, probe));
        sum = i ? nde_add(g, sum, one) : one;
    }
    return nde_mul(g, nde_constant(g, 1/(double)probes), sum);
}

void nde_find_jacobian(nde_program *g, uint32_t value) {
    const nde_var y = nde_input_node(g, NDE_SPACE_Y, 0, g->shape.dim);
    const size_t dim = g->shape.dim;
    g->colors = (uint32_t)dim;
    if (!y.id || !nde_find_pattern(g, value, y.id, &g->jacobian)) return;
    const size_t *start = g->jacobian.start.data;
    if (start[g->jacobian.rows] == g->jacobian.rows*dim) {
        nde_pattern_free(g, &g->jacobian);
    } else if (nde_grow(g, &g->color, dim, sizeof(uint32_t))) {
        g->colors = nde_color_columns(g, &g->jacobian, false, g->color.data);
    }
}

/* ---- linear in u ---- */

enum { NO_U = 1 /* u has no part in it */, LINEAR = 2 /* a sum of products with u */ };

static bool is_zero_node(const nde_program *g, const nde_node *n) {
    for (uint32_t i = 0; i < n->n; i++)
        if (*nde_values(g, n->list + i) != 0) return false;
    return n->op == NDE_OP_CONSTANT;
}

/* Of a product, a quotient or a slope, that is linear in x. */
static unsigned of_factors(unsigned x, unsigned other, bool both) {
    const bool linear = (x & LINEAR && other & NO_U) || (both && x & NO_U && other & LINEAR);
    return (x & other & NO_U) | (linear ? LINEAR : 0u);
}

static unsigned degree_of(const nde_program *g, const nde_node *n, const uint8_t *degree) {
    const unsigned a = degree[n->x[0]], b = degree[n->x[1]], c = degree[n->x[2]];
    const int form = nde_operations[n->op].form;
    unsigned all = NO_U | LINEAR;
    if (n->op == NDE_OP_INPUT) return n->detail == NDE_SPACE_U ? LINEAR : NO_U;
    if (n->op == NDE_OP_CONSTANT) return is_zero_node(g, n) ? all : NO_U;
    for (size_t i = 0; i < nde_operations[n->op].operands; i++) all &= degree[n->x[i]];
    for (uint32_t i = 0; n->op == NDE_OP_CONCAT && i < n->n; i++) all &= degree[*nde_list(g, n->list + i)];
    if (form == NDE_FORM_LINEAR || n->op == NDE_OP_NEG || n->op == NDE_OP_ADD || n->op == NDE_OP_SUB) return all;
    if (form == NDE_FORM_BILINEAR || n->op == NDE_OP_MUL) return of_factors(a, b, true);
    if (n->op == NDE_OP_DIV) return of_factors(a, b, false);
    if (n->op == NDE_OP_SLOPE) return of_factors(b, a, false);
    if (n->op == NDE_OP_SELECT) return a & NO_U ? b & c : 0;
    return all & NO_U;
}

bool nde_is_linear_in_u(nde_program *g, uint32_t value) {
    uint8_t *degree = nde_scratch(g, (size_t)value + 1, 1);
    if (!degree) return false;
    for (uint32_t id = 1; id <= value; id++) {
        const nde_node n = nde_node_at(g, id);
        degree[id] = (uint8_t)degree_of(g, &n, degree);
    }
    const bool linear = degree[value] & LINEAR;
    nde_scratch_free(g, degree, (size_t)value + 1, 1);
    return linear;
}
