/* SPDX-License-Identifier: MIT
 * runge_kutta.c - the one body of all explicit Runge-Kutta methods, partitioned ones included,
 * with transpose and tangent; compiled once for each instruction set. Source: E. Hairer, C.
 * Lubich, G. Wanner, Geometric Numerical Integration (2006), II.1, II.2, VI.6. */
#include "core/isa.h"
#include "method/one.h"
#include "method/shared.h"

/* ---- the step -------------------------------------------------------------------------------- */

/* Are slopes that are multiples of others made where they are summed, and not stored? */
static bool makes_none(const nde_attempt *s) { return s->bare && s->rhs->driven && !s->rhs->nz; }

/* z = y + h sum w k for the rows of both sets, z rows of the quadrature with the first one's. */
static void combine(const nde_attempt *s, const nde_row *first, const nde_row *second, size_t rows,
                    const nde_real *k, const nde_real *y, nde_real *z) {
    const nde_step_kernels *use = s->rhs->kernels->step;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, split = s->table->split,
                 dim = s->rhs->dim;
    const nde_drive *drive = s->table->method->drive;
    if (makes_none(s) && nde_like_sum(s->rhs, s->lanes, drive, s->equal, s->h, first, k, s->slab, y, z)) return;
    if (split == dim && s->equal) {
        use->combine_equal(rows, ld, s->h[0], first, k, s->slab, y, z);
        return;
    }
    if (split == dim) {
        use->combine(rows, n, ld, s->h, first, k, s->slab, y, z);
        return;
    }
    use->combine(split, n, ld, s->h, first, k, s->slab, y, z);
    use->combine(rows - split, n, ld, s->h, second, k + split*ld, s->slab, y + split*ld,
                 z + split*ld);
}

/* The state of stage i, from the slopes before it. */
static const nde_real *stage_state(const nde_attempt *s, int i, nde_real *to) {
    const nde_table *t = s->table;
    if (i == 0) return s->y;
    combine(s, &t->row[0][i], t->row[1] ? &t->row[1][i] : NULL, s->rhs->dim, s->k, s->y, to);
    return to;
}

NDE_SCALAR static int attempt_one(const nde_attempt *s) {
    const int rc = nde_attempt_one(s->rhs, s->table, s->lanes, s->rhs->dim, s->t[0], s->t_new[0], s->dt[0], s->y, s->z, s->k,
                                   s->slab, s->tape, s->tape_slab);
    if (s->onward) memcpy(s->k, s->k + (size_t)(s->table->stages - 1)*s->slab, s->rhs->rows*sizeof *s->k);
    return rc;
}

/* The new state, all rows, with what rounding took from the old one; what it takes now goes behind z. Exact for any sizes.
 * Source: D. Knuth, The Art of Computer Programming 2 (1997), 4.2.2, theorem B. */
static const nde_real *sum_exactly(const nde_attempt *s) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, rows = s->rhs->rows;
    const nde_real *y = s->y;
    nde_real *z = s->z, *rest = z + s->slab;
    combine(s, &s->table->out[0], &s->table->out[1], rows, s->k, y + s->slab, rest);
    for (size_t i = 0; i < rows; i++, y += ld, z += ld, rest += ld)
        for (size_t b = 0; b < n; b++) {
            const nde_real sum = y[b] + rest[b], added = sum - y[b];
            rest[b] = (y[b] - (sum - added)) + (rest[b] - added);
            z[b] = sum;
        }
    return s->z;
}

/* Of a splitting: which field has its turn. Of a stochastic method: drift or noise. */
static void take_turn(const nde_attempt *s, int i) {
    const nde_method *m = s->table->method;
    if (m->part) s->lanes->turned = m->part[i] != 0, s->lanes->share = (nde_real)m->share[i];
    if (m->drive) nde_rhs_turn(s->lanes, &m->drive[i]);
}

/* The slope along which stage i is a derivative of the noise; -1: it is none. */
static int followed(const nde_attempt *s, int i) {
    const nde_drive *drive = s->table->method->drive;
    return drive ? drive[i].along - 1 : -1;
}

/* The slope of whose noise stage i has another multiple; -1: none. */
static int likened(const nde_attempt *s, int i) {
    const nde_drive *drive = s->table->method->drive;
    return drive ? drive[i].like - 1 : -1;
}

static int evaluate_stage(const nde_attempt *s, int i, const nde_real *Y, nde_real *k) {
    const double *t = nde_stage_time(s, s->table->method->c[i]);
    const int j = followed(s, i);
    if (j >= 0) return nde_along_eval(s->rhs, s->lanes, t, s->h, Y, s->k + (size_t)j*s->slab, k);
    return nde_rhs_eval(s->rhs, s->lanes, t, Y, k, nde_stage_tape(s, i), s->lanes->site.ld);
}

/* Stages from `first` to before `end`. */
static int evaluate(const nde_attempt *s, int first, int end) {
    const nde_table *table = s->table;
    for (int i = first; i < end; i++) {
        take_turn(s, i);
        const int like = likened(s, i);
        if (like >= 0 && makes_none(s)) continue;
        if (like >= 0) {
            nde_like_eval(s->rhs, s->lanes, s->k + (size_t)like*s->slab, s->k + (size_t)i*s->slab);
            continue;
        }
        const bool is_new = i == table->stages - 1 && table->last_is_new;
        const nde_real *Y = is_new && table->compensated ? sum_exactly(s)
                                                         : stage_state(s, i, is_new ? s->z : s->lanes->scratch->Y);
        nde_real *k = s->k + (is_new && s->onward ? 0 : (size_t)i*s->slab);
        const int rc = evaluate_stage(s, i, Y, k);
        if (rc) return s->lanes->scratch->stage = i, rc;
    }
    return 0;
}

static int attempt_compiled(const nde_attempt *s) {
    const nde_site *at = &s->lanes->site;
    const nde_rhs *r = s->rhs;
    nde_step_site site = { .n = at->n, .ld = at->ld, .slab = s->slab, .t = s->t, .t_new = s->t_new, .dt = s->dt,
                           .p = r->plain ? at->p : r->problem.p, .q = at->q, .y = s->y, .z = s->z, .k = s->k, .lane = at->lane,
                           .rtol = s->tolerance->rtol, .atol = s->tolerance->atol,
                           .atol_each = s->tolerance->atol_each, .error = s->error };
    if (r->noisy) {
        const nde_real *const rate = s->lanes->rate, *const area = rate + r->rates*at->ld;
        if (s->bare) site.k = NULL;
        site.slopes = (size_t)s->table->stages, site.rate = rate;
        if (r->areas) site.area = area;
        if (r->driven) site.root = area + 2*r->rates*at->ld;
    }
    s->lanes->scratch->stage = 1;
    return r->step->run(&site);
}

static int extend(const nde_attempt *s) { return evaluate(s, s->table->stages, s->table->slopes); }

static int attempt(const nde_attempt *s) {
    const nde_table *table = s->table;
    if (s->rhs->step && s->lanes->site.ld > 1) {
        const int rc = attempt_compiled(s);
        if (!rc || s->bare || !s->rhs->noisy) return rc; /* else at which stage it failed is for the calls to say */
    }
    if (!table->compensated && nde_is_one(s->rhs, table, s->lanes)) return attempt_one(s);
    const size_t ld = s->lanes->site.ld, dim = s->rhs->dim, rows = s->rhs->rows;
    const int rc = evaluate(s, table->fsal ? 1 : 0, table->stages);
    if (rc) return rc;
    if (table->compensated) return table->last_is_new ? 0 : (sum_exactly(s), 0);
    const size_t from = table->last_is_new ? dim : 0; /* the rows that are not there yet */
    if (from == rows) return 0;
    if (from)
        s->rhs->kernels->step->combine(rows - from, s->lanes->site.n, ld, s->h, &table->out[0],
                                       s->k + from*ld, s->slab, s->y + from*ld, s->z + from*ld);
    else
        combine(s, &table->out[0], &table->out[1], rows, s->k, s->y, s->z);
    return 0;
}

/* ---- transpose ------------------------------------------------------------------------------- */

static void combine_transpose_sets(const nde_attempt *s, const nde_step_cotangent *c,
                                   const nde_row *first, const nde_row *second, size_t rows,
                                   const nde_real *a_z) {
    const size_t split = s->table->split, ld = s->lanes->site.ld;
    nde_combine_transpose(s, c, first, 0, split == s->rhs->dim ? rows : split, a_z);
    if (split < s->rhs->dim) nde_combine_transpose(s, c, second, split, rows - split, a_z + split*ld);
}

/* From the cotangent of slope i to that of its state, of what it follows, and of the sink. */
static int evaluate_stage_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i, const nde_real *Y,
                                    const nde_sink *sink) {
    nde_scratch *scratch = s->lanes->scratch;
    const size_t ld = s->lanes->site.ld, at = (size_t)i*s->slab;
    const double *t = nde_stage_time(s, s->table->method->c[i]);
    const int j = followed(s, i);
    if (j < 0) return nde_rhs_vjp(s->rhs, s->lanes, t, Y, c->k + at, nde_stage_tape(s, i), ld, scratch->a_Y, sink);
    const size_t from = (size_t)j*s->slab;
    const int rc = nde_along_vjp(s->rhs, s->lanes, t, s->h, Y, s->k + from, s->k + at, c->k + at, scratch->a_Y, sink);
    if (!rc) nde_place_transpose(s, c, s->rhs->dim, s->k + from, scratch->a_along, c->k + from);
    return rc;
}

/* Stages from before `end` down to `first`. */
static int evaluate_transpose(const nde_attempt *s, const nde_step_cotangent *c, int first, int end) {
    const nde_table *table = s->table;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, dim = s->rhs->dim;
    nde_scratch *scratch = s->lanes->scratch;
    nde_sink sink = *c->sink;
    sink.t = c->t ? scratch->a_t : NULL;
    /* cell is free once the step has begun */
    sink.noise = c->h && s->rhs->paced ? scratch->cell : NULL;
    if (sink.noise) memset(sink.noise, 0, n*sizeof *sink.noise);
    for (int i = end - 1; i >= first; i--) {
        /* taken at the new state itself, to whose cotangent it adds */
        const bool idle = nde_is_idle(s, c, i), newest = i == table->stages - 1 && table->last_is_new;
        take_turn(s, i);
        const int like = likened(s, i);
        if (like >= 0) {
            nde_like_vjp(s->rhs, s->lanes, c->k + (size_t)i*s->slab, c->k + (size_t)like*s->slab);
            continue;
        }
        const nde_real *Y = idle ? NULL : stage_state(s, i, scratch->Y);
        for (size_t r = 0; r < dim; r++) memset(scratch->a_Y + r*ld, 0, n*sizeof(nde_real));
        if (sink.t) memset(sink.t, 0, n*sizeof *sink.t);
        if (!idle) {
            const int rc = evaluate_stage_transpose(s, c, i, Y, &sink);
            if (rc) return rc;
            nde_add_rows(s, dim, scratch->a_Y, c->y);
        }
        if (newest) {
            nde_add_loss(s, c, &table->error, 0, dim);
            combine_transpose_sets(s, c, &table->out[0], &table->out[1], s->rhs->rows, c->y);
        }
        if (idle) continue;
        if (i && !newest)
            combine_transpose_sets(s, c, &table->row[0][i], table->row[1] ? &table->row[1][i] : NULL,
                                   dim, scratch->a_Y);
        const double node = table->method->c[i];
        if (c->t)
            for (size_t b = 0; b < n; b++) c->t[b] += sink.t[b], c->h[b] += node*sink.t[b];
    }
    if (sink.noise)
        for (size_t b = 0; b < n; b++) c->h[b] += s->dt[b] != 0 ? sink.noise[b]/s->dt[b] : 0;
    return 0;
}

static int extend_transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    return evaluate_transpose(s, c, s->table->stages, s->table->slopes);
}

static int transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    const nde_table *table = s->table;
    if (!table->last_is_new) {
        combine_transpose_sets(s, c, &table->out[0], &table->out[1], s->rhs->rows, c->y);
        nde_add_loss(s, c, &table->error, 0, s->rhs->dim);
    }
    return evaluate_transpose(s, c, table->fsal ? 1 : 0, table->stages);
}

/* ---- tangent --------------------------------------------------------------------------------- */

static void combine_tangent_sets(const nde_attempt *s, const nde_step_tangent *v, const nde_row *first,
                                 const nde_row *second, size_t rows, nde_real *v_z) {
    const size_t split = s->table->split;
    nde_combine_tangent(s, v, first, 0, split == s->rhs->dim ? rows : split, v->y, v_z);
    if (split < s->rhs->dim)
        nde_combine_tangent(s, v, second, split, rows - split, v->y + split*s->lanes->site.ld, v_z + split*s->lanes->site.ld);
}

static int evaluate_stage_tangent(const nde_attempt *s, const nde_step_tangent *v, int i, const nde_real *Y,
                                  const nde_real *v_Y, const nde_source *source) {
    const double *t = nde_stage_time(s, s->table->method->c[i]);
    const size_t at = (size_t)i*s->slab, from = (size_t)followed(s, i)*s->slab;
    if (followed(s, i) < 0) return nde_rhs_jvp(s->rhs, s->lanes, t, Y, v_Y, source, v->k + at);
    return nde_along_jvp(s->rhs, s->lanes, t, s->h, Y, s->k + from, s->k + at, v_Y, v->k + from, source, v->k + at);
}

static int evaluate_tangent(const nde_attempt *s, const nde_step_tangent *v, int first, int end) {
    const nde_table *table = s->table;
    nde_scratch *scratch = s->lanes->scratch;
    nde_source source = *v->source;
    source.t = scratch->a_t, source.h = s->dt, source.v_h = v->h;
    for (int i = first; i < end; i++) {
        take_turn(s, i);
        const int like = likened(s, i);
        if (like >= 0) {
            nde_like_eval(s->rhs, s->lanes, v->k + (size_t)like*s->slab, v->k + (size_t)i*s->slab);
            continue;
        }
        const nde_real *Y = stage_state(s, i, scratch->Y), *v_Y = v->y;
        if (i) {
            combine_tangent_sets(s, v, &table->row[0][i], table->row[1] ? &table->row[1][i] : NULL,
                                 s->rhs->dim, scratch->a_Y);
            v_Y = scratch->a_Y;
        }
        const double node = table->method->c[i];
        for (size_t b = 0; b < s->lanes->site.n; b++) scratch->a_t[b] = v->t[b] + node*v->h[b];
        const int rc = evaluate_stage_tangent(s, v, i, Y, v_Y, &source);
        if (rc) return rc;
    }
    return 0;
}

static int extend_tangent(const nde_attempt *s, const nde_step_tangent *v) {
    return evaluate_tangent(s, v, s->table->stages, s->table->slopes);
}

static int tangent(const nde_attempt *s, const nde_step_tangent *v) {
    const nde_table *table = s->table;
    const int rc = evaluate_tangent(s, v, table->fsal ? 1 : 0, table->stages);
    if (!rc) combine_tangent_sets(s, v, &table->out[0], &table->out[1], s->rhs->rows, v->z);
    return rc;
}

const nde_body NDE_ISA_NAME(nde_body_runge_kutta) = { .attempt = attempt,
                                                      .transpose = transpose,
                                                      .tangent = tangent,
                                                      .extend = extend,
                                                      .extend_transpose = extend_transpose,
                                                      .extend_tangent = extend_tangent };
