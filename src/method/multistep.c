/* SPDX-License-Identifier: MIT
 * multistep.c - the body of Adams methods, with transpose and tangent; compiled once for each instruction set. Slopes of the
 * steps before, f_1 ... f_(q-1), are partners behind the state; two more hold, in their first row, how many of them are
 * there and the length of the steps between them: where that is another, none counts, so that weights are constants. A
 * lane with too few takes its step by an explicit Runge-Kutta method, run on all lanes while the others stand still, and
 * repeated on the way back.
 *
 * Letters: q the order; d the mean slope (y+ - y)/h, which is slope 1; part j [rows][ld] of the scratch: with s stages of the
 * starting method its slopes, its state, d of the predictor; on the way back the cotangents or tangents of the slopes and
 * of the state. */
#include "core/isa.h"
#include "method/shared.h"

enum { MEAN = 1, PREDICTED = 2 };
enum { EXPLICIT, IMPLICIT };

static int order_of(const nde_attempt *s) { return s->table->multistep.order; }
static int last_of(const nde_attempt *s) { return s->table->stages - 1; }
static bool corrects(const nde_attempt *s) { return last_of(s) > PREDICTED; }
static nde_real *slope(const nde_attempt *s, int i) { return s->k + (size_t)i*s->slab; }
static nde_real *part(const nde_attempt *s, int i) { return s->lanes->scratch->part + (size_t)i*s->slab; }
static int starting_stages(const nde_attempt *s) { return s->table->multistep.start->stages; }

/* ---- starts ---------------------------------------------------------------------------------- */

static nde_real steps_behind(const nde_attempt *s, size_t b) {
    const nde_real *count = s->y + (size_t)order_of(s)*s->slab, *length = count + s->slab;
    return length[b] == s->h[b] ? count[b] : 0;
}

static bool is_starting(const nde_attempt *s, size_t b) { return s->lanes->scratch->count[b] > 0; }

/* The starting method's step of the lanes that need it, with slope 0; false: none does. */
static bool begin(const nde_attempt *s, nde_attempt *start) {
    nde_scratch *scratch = s->lanes->scratch;
    const nde_table *table = s->table->multistep.start;
    const nde_real most = (nde_real)(order_of(s) - 1);
    bool any = false;
    for (size_t b = 0; b < s->lanes->site.n; b++) {
        const bool starts = s->h[b] != 0 && steps_behind(s, b) < most;
        any = any || starts;
        scratch->count[b] = starts ? table->stages - 1 : 0;
        scratch->start_h[b] = starts ? s->h[b] : 0;
        scratch->start_dt[b] = starts ? s->dt[b] : 0;
        scratch->start_end[b] = starts ? s->t_new[b] : s->t[b];
    }
    if (!any) return false;
    *start = *s;
    start->table = table, start->h = scratch->start_h, start->dt = scratch->start_dt, start->t_new = scratch->start_end;
    start->k = part(s, 0), start->z = part(s, table->stages);
    start->tape = NULL, start->onward = false;
    memcpy(start->k, s->k, s->slab*sizeof *start->k);
    return true;
}

/* ---- mean slopes ----------------------------------------------------------------------------- */

/* Slope f_j of a step, of which slopes are in k and what it carries behind y; -1: the predicted one. */
static const nde_real *past(const nde_attempt *s, const nde_real *k, const nde_real *y, int j) {
    return j < 0 ? k + PREDICTED*s->slab : j ? y + (size_t)j*s->slab : k;
}

/* d = sum_j w_j f_j; in lanes that start that of the starting method, whose slopes are `start`; NULL: none does. */
static void average(const nde_attempt *s, int rule, const nde_real *k, const nde_real *y, const nde_real *start, nde_real *d) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, end = s->rhs->rows*ld;
    const nde_real *w = s->table->multistep.weight[rule];
    for (int j = 0; j < order_of(s); j++) {
        const nde_real *f = past(s, k, y, j - rule), weight = w[j];
        for (size_t i = 0; i < end; i += ld)
            NDE_LANES(b, n) d[i + b] = j ? d[i + b] + weight*f[i + b] : weight*f[i + b];
    }
    const nde_row *row = &s->table->multistep.start->out[0];
    for (size_t i = 0; start && i < end; i += ld)
        for (size_t b = 0; b < n; b++) {
            if (!is_starting(s, b)) continue;
            nde_real sum = 0;
            for (int j = 0; j < row->count; j++) sum += row->weight[j]*start[(size_t)row->index[j]*s->slab + i + b];
            d[i + b] = sum;
        }
}

/* What the next step has behind it, behind z; its cotangents go the other way. */
static void push(const nde_attempt *s, const nde_real *k, const nde_real *y, nde_real *z) {
    const size_t slab = s->slab, q = (size_t)order_of(s);
    if (q > 1) memcpy(z + slab, k, slab*sizeof *z);
    if (q > 2) memcpy(z + 2*slab, y + slab, (q - 2)*slab*sizeof *z);
    memset(z + q*slab, 0, 2*slab*sizeof *z);
}

static void push_transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    const size_t slab = s->slab, q = (size_t)order_of(s);
    for (size_t i = 0; q > 1 && i < slab; i++) c->k[i] += c->y[slab + i];
    if (q > 2) memmove(c->y + slab, c->y + 2*slab, (q - 2)*slab*sizeof *c->y);
    memset(c->y + (q > 1 ? q - 1 : q)*slab, 0, (q > 1 ? 3 : 2)*slab*sizeof *c->y);
}

/* ---- the step -------------------------------------------------------------------------------- */

static int evaluate(const nde_attempt *s, int i, const nde_real *Y) {
    s->lanes->scratch->stage = i;
    return nde_rhs_eval(s->rhs, s->lanes, nde_stage_time(s, 1), Y, slope(s, i), nde_stage_tape(s, i), s->lanes->site.ld);
}

static int attempt(const nde_attempt *s) {
    nde_real *Y = s->lanes->scratch->Y, *d = slope(s, MEAN);
    nde_real *count = s->z + (size_t)order_of(s)*s->slab, *length = count + s->slab;
    nde_attempt start;
    const bool starts = begin(s, &start);
    int rc = starts ? NDE_ISA_NAME(nde_body_runge_kutta).attempt(&start) : 0;
    if (rc) return rc;
    average(s, EXPLICIT, s->k, s->y, starts ? start.k : NULL, d);
    if (corrects(s)) {
        nde_place(s, s->rhs->dim, s->y, d, Y);
        if ((rc = evaluate(s, PREDICTED, Y))) return rc;
        average(s, IMPLICIT, s->k, s->y, starts ? start.k : NULL, d);
    }
    nde_place(s, s->rhs->rows, s->y, d, s->z);
    push(s, s->k, s->y, s->z);
    for (size_t b = 0; b < s->lanes->site.n; b++) {
        const nde_real behind = steps_behind(s, b), most = (nde_real)(order_of(s) - 1);
        count[b] = behind < most ? behind + 1 : most, length[b] = s->h[b];
    }
    return evaluate(s, last_of(s), s->z);
}

/* ---- transpose ------------------------------------------------------------------------------- */

/* Of average, from a of d, in lanes that do not start. */
static void average_transpose(const nde_attempt *s, const nde_step_cotangent *c, int rule, const nde_real *a) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real *w = s->table->multistep.weight[rule];
    for (int j = 0; j < order_of(s); j++) {
        const int at = j - rule;
        nde_real *to = at < 0 ? c->k + PREDICTED*s->slab : at ? c->y + (size_t)at*s->slab : c->k;
        const nde_real weight = w[j];
        for (size_t i = 0; i < s->rhs->rows*ld; i += ld)
            NDE_LANES(b, n) to[i + b] += weight*a[i + b];
    }
}

/* From a of F(t + h, Y) to y; a of Y stays in scratch->a_Y. */
static int evaluate_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i, const nde_real *d) {
    const size_t ld = s->lanes->site.ld;
    nde_real *Y = s->lanes->scratch->Y, *a_Y = s->lanes->scratch->a_Y;
    nde_place(s, s->rhs->dim, s->y, d, Y);
    const int rc = nde_evaluate_transpose(s, c, i, 1, Y);
    for (size_t r = 0; r < s->rhs->dim*ld; r += ld)
        for (size_t b = 0; b < s->lanes->site.n; b++) c->y[r + b] += a_Y[r + b];
    return rc;
}

/* Steps of the lanes that start: takes what belongs to them out of c, and leaves that of slope 0 and of the state in a. */
static int start_transpose(const nde_attempt *s, const nde_step_cotangent *c, const nde_attempt *start, nde_step_cotangent *a) {
    const size_t ld = s->lanes->site.ld, slab = s->slab;
    const int stages = starting_stages(s);
    const nde_row *row = &start->table->out[0];
    nde_real *a_d = c->k + MEAN*slab;
    *a = *c;
    a->k = part(s, stages + 2), a->y = part(s, 2*stages + 2), a->loss = NULL;
    memset(a->k, 0, (size_t)(stages + 1)*slab*sizeof *a->k);
    for (size_t b = 0; b < s->lanes->site.n; b++)
        for (size_t i = b; is_starting(s, b) && i < s->rhs->rows*ld; i += ld) {
            for (int j = 0; j < row->count; j++) a->k[(size_t)row->index[j]*slab + i] = row->weight[j]*a_d[i];
            a->y[i] = c->y[i];
            a_d[i] = c->y[i] = 0;
        }
    return NDE_ISA_NAME(nde_body_runge_kutta).transpose(start, a);
}

static int transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    const size_t ld = s->lanes->site.ld, rows = s->rhs->rows;
    nde_real *a_d = c->k + MEAN*s->slab, *predicted = part(s, starting_stages(s) + 1);
    nde_step_cotangent a;
    nde_attempt start;
    int rc = nde_is_idle(s, c, last_of(s)) ? 0 : evaluate_transpose(s, c, last_of(s), slope(s, MEAN));
    const bool starts = begin(s, &start);
    if (starts) start.tape = s->rhs->tape ? s->lanes->scratch->start_tape : NULL;
    push_transpose(s, c);
    if (!rc && starts) rc = NDE_ISA_NAME(nde_body_runge_kutta).attempt(&start);
    if (!rc && starts) rc = start_transpose(s, c, &start, &a);
    if (rc) return rc;
    nde_place_transpose(s, c, rows, slope(s, MEAN), c->y, a_d);
    if (corrects(s)) {
        average_transpose(s, c, IMPLICIT, a_d);
        average(s, EXPLICIT, s->k, s->y, starts ? start.k : NULL, predicted);
        if ((rc = evaluate_transpose(s, c, PREDICTED, predicted))) return rc;
        memset(a_d, 0, s->slab*sizeof *a_d);
        nde_place_transpose(s, c, s->rhs->dim, predicted, s->lanes->scratch->a_Y, a_d);
    }
    average_transpose(s, c, EXPLICIT, a_d);
    for (size_t i = 0; starts && i < rows*ld; i += ld)
        for (size_t b = 0; b < s->lanes->site.n; b++) c->y[i + b] += a.y[i + b], c->k[i + b] += a.k[i + b];
    return 0;
}

/* ---- tangent --------------------------------------------------------------------------------- */

/* Tangents of the starting method's slopes: NULL where no lane starts. */
static int start_tangent(const nde_attempt *s, const nde_step_tangent *v, const nde_attempt *start, const nde_real **v_start) {
    const int stages = starting_stages(s);
    nde_step_tangent of = *v;
    of.k = part(s, stages + 2), of.z = part(s, 2*stages + 2);
    memcpy(of.k, v->k, s->slab*sizeof *of.k);
    *v_start = of.k;
    const int rc = NDE_ISA_NAME(nde_body_runge_kutta).attempt(start);
    return rc ? rc : NDE_ISA_NAME(nde_body_runge_kutta).tangent(start, &of);
}

static int tangent(const nde_attempt *s, const nde_step_tangent *v) {
    nde_real *Y = s->lanes->scratch->Y, *v_Y = s->lanes->scratch->a_Y, *v_d = v->k + MEAN*s->slab;
    nde_real *predicted = part(s, starting_stages(s) + 1);
    const nde_real *v_start = NULL;
    nde_attempt start;
    const bool starts = begin(s, &start);
    int rc = starts ? start_tangent(s, v, &start, &v_start) : 0;
    if (rc) return rc;
    average(s, EXPLICIT, v->k, v->y, v_start, v_d);
    if (corrects(s)) {
        average(s, EXPLICIT, s->k, s->y, starts ? start.k : NULL, predicted);
        nde_place(s, s->rhs->dim, s->y, predicted, Y);
        nde_place_tangent(s, v, s->rhs->dim, predicted, v_d, v_Y);
        if ((rc = nde_evaluate_tangent(s, v, PREDICTED, 1, Y, v_Y))) return rc;
        average(s, IMPLICIT, v->k, v->y, v_start, v_d);
    }
    nde_place(s, s->rhs->dim, s->y, slope(s, MEAN), Y);
    nde_place_tangent(s, v, s->rhs->rows, slope(s, MEAN), v_d, v->z);
    push(s, v->k, v->y, v->z);
    return nde_evaluate_tangent(s, v, last_of(s), 1, Y, v->z);
}

const nde_body NDE_ISA_NAME(nde_body_multistep) = { .attempt = attempt, .transpose = transpose, .tangent = tangent };
