/* SPDX-License-Identifier: MIT
 * save.c - which values the caller wants: rows of the output from steps, with their transposes
 * and tangents. Save times never change the steps: values inside come from the method's
 * continuous extension. Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary
 * Differential Equations I (1993), II.6. */
#include "solve/solver.h"

#include <math.h>
#include <string.h>

static nde_real *row_of(const nde_solver *s, nde_real *y, size_t row, size_t who) {
    return y + row*s->rhs.dim*s->N + who;
}

static const nde_real *seed_row(const nde_solver *s, const nde_seed *seed, size_t row, size_t who) {
    return seed->y + row*s->rhs.dim*s->N + who;
}

static void copy(size_t rows, const nde_real *from, size_t from_stride, nde_real *to,
                 size_t to_stride) {
    for (size_t i = 0; i < rows; i++) to[i*to_stride] = from[i*from_stride];
}

/* Set of weights of component i. */
static int set_of(const nde_solver *s, size_t i) { return i >= s->table.split && i < s->rhs.dim; }

/* Weights of the continuous extension at theta, and of its derivative, for both sets. */
typedef struct weights {
    double w[2][NDE_MOST_STAGES], dw[2][NDE_MOST_STAGES];
} weights;
static void weigh(const nde_solver *s, double theta, weights *at) {
    for (int set = 0; set <= (s->table.split < s->rhs.dim); set++)
        nde_table_dense(&s->table, set, theta, at->w[set], at->dw[set]);
}

static void dense(const nde_solver *s, const nde_panel *p, size_t b, double theta, size_t rows, nde_real *value,
                  nde_real *slope, size_t stride) {
    const int stages = s->table.slopes;
    weights at;
    weigh(s, theta, &at);
    for (size_t i = 0; i < rows; i++) {
        const int set = set_of(s, i);
        nde_real v = p->y[i*p->ld + b], d = 0;
        for (int j = 0; j < stages; j++) {
            if (at.w[set][j] == 0 && at.dw[set][j] == 0) continue; /* a slope without weight may be anything */
            const nde_real k = p->k[(size_t)j*p->slab + i*p->ld + b];
            v += (nde_real)(p->dt[b]*at.w[set][j])*k;
            d += (nde_real)at.dw[set][j]*k;
        }
        if (value) value[i*stride] = v;
        if (slope) slope[i*stride] = d;
    }
}

void nde_save_dense(const nde_solver *s, const nde_panel *p, size_t b, double theta, nde_real *value, nde_real *slope,
                    size_t stride) {
    dense(s, p, b, theta, s->rhs.dim, value, slope, stride);
}

void nde_save_state_inside(const nde_solver *s, const nde_panel *p, size_t b, double theta, nde_real *value, nde_real *slope,
                           size_t stride) {
    dense(s, p, b, theta, s->rhs.rows, value, slope, stride);
}

void nde_save_inside_transpose(const nde_solver *s, const nde_panel *p, size_t b, double theta, size_t rows, const nde_real *a,
                               size_t stride, nde_real *a_k, double *along, double *stretch) {
    weights of;
    weigh(s, theta, &of);
    for (size_t i = 0; i < rows; i++) {
        const int set = set_of(s, i);
        for (int j = 0; j < s->table.slopes; j++) {
            const size_t at = (size_t)j*p->slab + i*p->ld;
            if (of.w[set][j] == 0 && of.dw[set][j] == 0) continue;
            const double ak = (double)a[i*stride]*(double)p->k[at + b];
            if (a_k) a_k[at] += (nde_real)(p->dt[b]*of.w[set][j])*a[i*stride];
            *stretch += of.w[set][j]*ak;
            *along += of.dw[set][j]*ak;
        }
    }
}

/* ---- which row belongs to which step --------------------------------------------------------- */

size_t nde_save_row_of_step(const nde_solver *s, int64_t step, bool last) {
    const int64_t every = s->options.save_every;
    const size_t row = step > 0 ? (size_t)((step - 1)/every) + 1 : 0;
    return (step % every == 0 || last) && row < s->rows_saved ? row : SIZE_MAX;
}

bool nde_save_row_is_due(const nde_solver *s, size_t row, size_t who, double t_new) {
    return row < s->rows_saved && s->direction*nde_save_time(s, row, who) <= s->direction*t_new;
}

bool nde_save_due(const nde_solver *s, const nde_panel *p, size_t b) {
    if (s->saving == NDE_SAVE_TIMES) return nde_save_row_is_due(s, p->saved[b], p->trajectory[b], p->t_new[b]);
    return s->saving == NDE_SAVE_EVERY &&
           nde_save_row_of_step(s, p->accepted[b] + 1, p->t_new[b] == p->t1[b]) != SIZE_MAX;
}

double nde_save_next(const nde_solver *s, const nde_panel *p, size_t b) {
    if (s->saving == NDE_SAVE_EVERY) return -s->direction*(double)INFINITY;
    return s->saving == NDE_SAVE_TIMES && p->saved[b] < s->rows_saved ? nde_save_time(s, p->saved[b], p->trajectory[b])
                                                                      : s->direction*(double)INFINITY;
}

void nde_save_start(nde_solver *s, nde_panel *p, size_t b) {
    const size_t who = p->trajectory[b];
    if (s->saving == NDE_SAVE_EVERY) {
        s->save_t_out[who] = p->t[b];
        copy(s->rhs.dim, p->y + b, p->ld, row_of(s, s->y_out, 0, who), s->N);
        p->saved[b] = 1;
    } else if (s->saving == NDE_SAVE_TIMES) {
        for (; nde_save_row_is_due(s, p->saved[b], who, p->t[b]); p->saved[b]++)
            copy(s->rhs.dim, p->y + b, p->ld, row_of(s, s->y_out, p->saved[b], who), s->N);
    }
}

void nde_save_step(nde_solver *s, nde_panel *p, size_t b) {
    const size_t who = p->trajectory[b];
    if (s->saving == NDE_SAVE_EVERY) {
        const size_t row = nde_save_row_of_step(s, p->accepted[b] + 1, p->t_new[b] == p->t1[b]);
        s->save_t_out[row*s->N + who] = p->t_new[b];
        copy(s->rhs.dim, p->z + b, p->ld, row_of(s, s->y_out, row, who), s->N);
        p->saved[b] = row + 1;
        return;
    }
    for (; nde_save_row_is_due(s, p->saved[b], who, p->t_new[b]); p->saved[b]++) {
        const double t = nde_save_time(s, p->saved[b], who);
        nde_real *to = row_of(s, s->y_out, p->saved[b], who);
        if (t == p->t_new[b])
            copy(s->rhs.dim, p->z + b, p->ld, to, s->N);
        else if (s->table.slopes == s->table.stages) /* else nde_inside_attempt has done it */
            nde_save_dense(s, p, b, (t - p->t[b])/p->dt[b], to, NULL, s->N);
    }
}

/* ---- all lanes at once: joint steps, where they are at the same time ---- */

bool nde_save_together(const nde_solver *s, const nde_panel *p, const size_t *saved) {
    if (!s->joint || s->saving != NDE_SAVE_TIMES || s->save_lane || s->table.slopes > s->table.stages) return false;
    for (size_t b = 0; b < p->lanes.site.n; b++)
        if (p->trajectory[b] != p->trajectory[0] + b || saved[b] != saved[0] || !p->accept[b]) return false;
    return true;
}

void nde_save_step_together(nde_solver *s, nde_panel *p) {
    const size_t n = p->lanes.site.n, ld = p->ld;
    size_t row = p->saved[0];
    for (; nde_save_row_is_due(s, row, 0, p->t_new[0]); row++) {
        nde_real *to = row_of(s, s->y_out, row, p->trajectory[0]);
        const bool end = s->save_t[row] == p->t_new[0];
        weights at;
        if (!end) weigh(s, (s->save_t[row] - p->t[0])/p->dt[0], &at);
        for (size_t i = 0; i < s->rhs.dim; i++, to += s->N) {
            const int set = set_of(s, i);
            memcpy(to, (end ? p->z : p->y) + i*ld, n*sizeof *to);
            for (int j = 0; !end && j < s->table.stages; j++) {
                const nde_real w = (nde_real)(p->dt[0]*at.w[set][j]), *restrict k = p->k + (size_t)j*p->slab + i*ld;
                if (at.w[set][j] == 0 && at.dw[set][j] == 0) continue;
                for (size_t b = 0; b < n; b++) to[b] += w*k[b];
            }
        }
    }
    for (size_t b = 0; b < n; b++) p->saved[b] = row;
}

/* The transpose of values inside the step, where times are not wanted. */
static void values_transpose(const nde_solver *s, const nde_panel *p, size_t row, const nde_real *a, nde_real *a_k) {
    weights at;
    weigh(s, (s->save_t[row] - p->t[0])/p->dt[0], &at);
    for (int j = 0; j < s->table.stages; j++)
        for (size_t i = 0; i < s->rhs.dim; i++) {
            const int set = set_of(s, i);
            const nde_real w = (nde_real)(p->dt[0]*at.w[set][j]), *from = a + i*s->N;
            nde_real *restrict to = a_k + (size_t)j*p->slab + i*p->ld;
            if (at.w[set][j] == 0 && at.dw[set][j] == 0) continue;
            for (size_t b = 0; b < p->lanes.site.n; b++) to[b] += w*from[b];
        }
}

static void add_rows(const nde_solver *s, const nde_panel *p, const nde_real *a, nde_real *to) {
    for (size_t i = 0; i < s->rhs.dim; i++)
        for (size_t b = 0; b < p->lanes.site.n; b++) to[i*p->ld + b] += a[i*s->N + b];
}

void nde_save_before_together(const nde_solver *s, const nde_panel *p, size_t cursor, const nde_seed *seed, nde_real *a_y,
                              nde_real *a_k) {
    if (!seed->y) return;
    for (; cursor > 0 && s->direction*s->save_t[cursor - 1] > s->direction*p->t[0]; cursor--) {
        const nde_real *a = seed_row(s, seed, cursor - 1, p->trajectory[0]);
        if (s->save_t[cursor - 1] == p->t_new[0]) add_rows(s, p, a, a_y);
        else values_transpose(s, p, cursor - 1, a, a_k);
    }
}

void nde_save_after_together(const nde_solver *s, const nde_panel *p, size_t *cursor, const nde_seed *seed, nde_real *a_y) {
    size_t row = cursor[0];
    for (; row > 0 && s->direction*s->save_t[row - 1] > s->direction*p->t[0]; row--)
        if (seed->y && s->save_t[row - 1] != p->t_new[0])
            add_rows(s, p, seed_row(s, seed, row - 1, p->trajectory[0]), a_y);
    for (size_t b = 0; b < p->lanes.site.n; b++) cursor[b] = row;
}

/* ---- ends ---- */

void nde_save_end(nde_solver *s, nde_panel *p, size_t b, nde_status status) {
    const size_t who = p->trajectory[b];
    if (s->saving == NDE_SAVE_END && status == NDE_OK) {
        if (!s->emits) copy(s->rhs.dim, p->y + b, p->ld, row_of(s, s->y_out, 0, who), s->N);
        p->saved[b] = 1;
    }
    s->saved[who] = p->saved[b];
    for (size_t row = p->saved[b]; row < s->rows_saved && (s->y_out || s->save_t_out); row++) {
        for (size_t i = 0; s->y_out && i < s->out; i++) s->y_out[(row*s->out + i)*s->N + who] = (nde_real)NAN;
        if (s->save_t_out) s->save_t_out[row*s->N + who] = (double)NAN;
    }
}

/* ---- transposes ------------------------------------------------------------------------------ */

static void add(size_t rows, const nde_real *from, size_t from_stride, nde_real *to, size_t to_stride) {
    for (size_t i = 0; i < rows; i++) to[i*to_stride] += from[i*from_stride];
}

/* Does the row before the cursor lie behind the start of the step of lane b? */
static bool row_is_behind(const nde_solver *s, const nde_panel *p, size_t b, size_t cursor) {
    return cursor > 0 && s->direction*nde_save_time(s, cursor - 1, p->trajectory[b]) > s->direction*p->t[b];
}

/* One value inside a step, or at its end, whose own state is added elsewhere. */
static void value_transpose(const nde_solver *s, const nde_panel *p, size_t b, size_t row,
                            const nde_real *a, const nde_save_sink *sink) {
    const size_t index = nde_save_index(s, row, p->trajectory[b]);
    const double ts = s->save_t[index];
    const bool at_end = ts == p->t_new[b];
    const double theta = at_end ? 1 : (ts - p->t[b])/p->dt[b];
    double along = 0, stretch = 0;
    nde_save_inside_transpose(s, p, b, theta, s->rhs.dim, a, s->N, at_end ? NULL : sink->k, &along, &stretch);
    if (at_end) stretch = 0;
    if (!sink->h) return;
    *sink->t -= along;
    *sink->h += stretch - theta*along;
    sink->save_t[index] += along;
}

void nde_save_before(const nde_solver *s, const nde_panel *p, size_t b, size_t cursor, int64_t step,
                     const nde_seed *seed, const nde_save_sink *sink) {
    const size_t who = p->trajectory[b];
    if (!seed->y) return;
    if (s->saving == NDE_SAVE_EVERY) {
        const size_t row =
            nde_save_row_of_step(s, step, step == s->stats[who].accepted &&
                                 (s->status[who] == NDE_OK || s->status[who] == NDE_EVENT));
        if (row != SIZE_MAX) add(s->rhs.dim, seed_row(s, seed, row, who), s->N, sink->y, sink->ld);
    } else if (s->saving == NDE_SAVE_TIMES) {
        for (; row_is_behind(s, p, b, cursor); cursor--) {
            const nde_real *a = seed_row(s, seed, cursor - 1, who);
            const bool at_end = nde_save_time(s, cursor - 1, who) == p->t_new[b];
            if (at_end) add(s->rhs.dim, a, s->N, sink->y, sink->ld);
            if (!at_end || sink->h) value_transpose(s, p, b, cursor - 1, a, sink);
        }
    }
}

void nde_save_after(const nde_solver *s, const nde_panel *p, size_t b, size_t *cursor, int64_t step,
                    const nde_seed *seed, const nde_save_sink *sink) {
    (void)step;
    if (s->saving != NDE_SAVE_TIMES) return;
    const size_t who = p->trajectory[b];
    for (; row_is_behind(s, p, b, *cursor); --*cursor)
        if (seed->y && nde_save_time(s, *cursor - 1, who) != p->t_new[b])
            add(s->rhs.dim, seed_row(s, seed, *cursor - 1, who), s->N, sink->y, sink->ld);
}

void nde_save_end_transpose(const nde_solver *s, size_t who, const nde_seed *seed, nde_real *a_y,
                            size_t ld) {
    if (s->status[who] < 0) return; /* a trajectory that failed counts as a constant */
    if (seed->y_end) add(s->rhs.dim, seed->y_end + who, s->N, a_y, ld);
    if (seed->quadrature) add(s->rhs.nz, seed->quadrature + who, s->N, a_y + s->rhs.dim*ld, ld);
    if (seed->y && s->saving == NDE_SAVE_END && s->saved[who])
        add(s->rhs.dim, seed->y + who, s->N, a_y, ld);
}

void nde_save_start_transpose(const nde_solver *s, size_t who, size_t *cursor, const nde_seed *seed,
                              nde_real *a_y, size_t ld) {
    if (!seed->y || s->saving == NDE_SAVE_END || s->status[who] < 0) return;
    if (s->saving == NDE_SAVE_EVERY) *cursor = s->saved[who] > 0;
    for (; *cursor > 0; --*cursor) add(s->rhs.dim, seed_row(s, seed, *cursor - 1, who), s->N, a_y, ld);
}

/* ---- tangents -------------------------------------------------------------------------------- */

void nde_save_inside_tangent(const nde_solver *s, const nde_panel *p, size_t b, double theta, size_t rows,
                             const nde_save_tangent *v, double along, nde_real *to, size_t stride) {
    weights of;
    weigh(s, theta, &of);
    for (size_t i = 0; i < rows; i++) {
        const int set = set_of(s, i);
        double sum = (double)(v->at_end ? v->z : v->y)[i*p->ld];
        for (int j = 0; j < s->table.slopes; j++) {
            const size_t at = (size_t)j*p->slab + i*p->ld;
            if (of.w[set][j] == 0 && of.dw[set][j] == 0) continue;
            sum += of.dw[set][j]*along*(double)p->k[at + b];
            if (!v->at_end) sum += p->dt[b]*of.w[set][j]*(double)v->k[at] + v->h*of.w[set][j]*(double)p->k[at + b];
        }
        to[i*stride] = (nde_real)sum;
    }
}

void nde_save_step_tangent(const nde_solver *s, nde_panel *p, size_t b, const nde_save_tangent *v,
                           nde_real *out) {
    const size_t who = p->trajectory[b];
    if (s->saving == NDE_SAVE_EVERY) {
        const size_t row = nde_save_row_of_step(s, p->accepted[b] + 1, p->t_new[b] == p->t1[b]);
        if (row != SIZE_MAX) copy(s->rhs.dim, v->z, p->ld, row_of(s, out, row, who), s->N);
        return;
    }
    if (s->saving != NDE_SAVE_TIMES) return;
    for (; nde_save_row_is_due(s, p->saved[b], who, p->t_new[b]); p->saved[b]++) {
        const size_t row = p->saved[b], index = nde_save_index(s, row, who);
        const double ts = s->save_t[index];
        nde_save_tangent at = *v;
        at.at_end = ts == p->t_new[b] && !v->cut;
        const double theta = at.at_end ? 1 : (ts - p->t[b])/p->dt[b];
        const double along = (v->save_t ? v->save_t[index] : 0) - v->t - theta*v->h;
        nde_save_inside_tangent(s, p, b, theta, s->rhs.dim, &at, along, row_of(s, out, row, who), s->N);
    }
}
