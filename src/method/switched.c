/* SPDX-License-Identifier: MIT
 * switched.c - the body of methods that change between an explicit way and an implicit one, with transpose and tangent;
 * compiled once for each instruction set. Which way a lane goes stands in the first row of its partner: m >= 0 is explicit,
 * after m steps that looked stiff; m < 0 is implicit, after -1 - m that did not. The bodies of both methods run on parts of the
 * slopes, and the lanes that go the other way stand still meanwhile. See switching.c for the table.
 *
 * Sources: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.2 (2.10); L. Petzold, SIAM J. Sci. Stat.
 * Comput. 4 (1983) 136-148. */
#include "core/isa.h"
#include "method/shared.h"

enum { EXPLICIT, IMPLICIT };
enum { STIFF = 10, CALM = 5 }; /* so many steps in a row, but for a few, change the way */
/* h times the Jacobian's size, over what the explicit method is stable for: stiff above the one, calm below the other. */
static const double near = 0.8, far = 0.4;

static const nde_body *body_of(int way) {
    return way == EXPLICIT ? &NDE_ISA_NAME(nde_body_runge_kutta) : &NDE_ISA_NAME(nde_body_rosenbrock);
}
static const nde_table *table_of(const nde_attempt *s, int way) { return &s->table->way[way]; }
static int first_of(const nde_attempt *s, int way) { return nde_switching_first(s->table->method, way); }
static int last_of(const nde_attempt *s) { return s->table->stages - 1; }
static nde_real *slope(const nde_attempt *s, nde_real *k, int i) { return k + (size_t)i*s->slab; }
static bool goes(const nde_attempt *s, int way, size_t b) { return (s->y[s->slab + b] < 0) == (way == IMPLICIT); }

/* ---- ways ------------------------------------------------------------------------------------ */

/* The step of the lanes that go one way, with slope 0; 0: none does, 1: some, 2: all. */
static int begin(const nde_attempt *s, int way, nde_attempt *part) {
    nde_scratch *x = s->lanes->scratch;
    const size_t n = s->lanes->site.n;
    size_t going = 0;
    for (size_t b = 0; b < n; b++) going += goes(s, way, b);
    if (!going) return 0;
    *part = *s;
    part->table = table_of(s, way), part->k = slope(s, s->k, first_of(s, way)), part->onward = false;
    part->tape = s->tape ? s->tape + (size_t)first_of(s, way)*s->tape_slab : NULL;
    if (going == n) return 2;
    for (size_t b = 0; b < n; b++) {
        const bool here = goes(s, way, b);
        x->start_h[b] = here ? s->h[b] : 0, x->start_dt[b] = here ? s->dt[b] : 0,
            x->start_end[b] = here ? s->t_new[b] : s->t[b];
    }
    part->h = x->start_h, part->dt = x->start_dt, part->t_new = x->start_end;
    return 1;
}

/* Slopes of a way, or their cotangents or tangents, are zero in lanes that do not go it. */
static void clear(const nde_attempt *s, int way, int going, nde_real *k) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const size_t slabs = (size_t)table_of(s, way)->stages;
    nde_real *x = slope(s, k, first_of(s, way));
    if (!going) memset(x, 0, slabs*s->slab*sizeof *x);
    for (size_t i = 0; going == 1 && i < slabs; i++)
        for (size_t r = 0; r < s->rhs->rows; r++)
            for (size_t b = 0; b < n; b++)
                if (!goes(s, way, b)) x[i*s->slab + r*ld + b] = 0;
}

/* Rows of x, in lanes that go explicitly, become those of `from`. */
static void blend(const nde_attempt *s, const nde_real *from, nde_real *x) {
    const size_t ld = s->lanes->site.ld;
    for (size_t r = 0; r < s->rhs->rows; r++)
        for (size_t b = 0; b < s->lanes->site.n; b++)
            if (goes(s, EXPLICIT, b)) x[r*ld + b] = from[r*ld + b];
}

/* The last slope of the explicit method, which that of the whole is there. */
static nde_real *newest(const nde_attempt *s, nde_real *k) {
    return slope(s, k, first_of(s, EXPLICIT) + table_of(s, EXPLICIT)->stages - 1);
}

/* ---- which way next -------------------------------------------------------------------------- */

static double norm(const nde_attempt *s, const nde_row *row, size_t b) {
    const nde_real *k = slope(s, s->k, first_of(s, EXPLICIT));
    double sum = 0;
    for (size_t r = 0; r < s->rhs->dim; r++) {
        const size_t i = r*s->lanes->site.ld + b;
        double x = 0;
        for (int j = 0; j < row->count; j++) x += (double)row->weight[j]*(double)k[(size_t)row->index[j]*s->slab + i];
        x /= nde_tolerance_at(&s->table->tolerance, r, fabs((double)s->y[i]));
        sum += x*x;
    }
    return sqrt(sum);
}

/* h times the size of the Jacobian: explicitly by slopes, which may be too small; implicitly by a bound, relative to
 * tolerances. */
static double stiffness(const nde_attempt *s, size_t b) {
    const nde_row *probe = table_of(s, EXPLICIT)->probe;
    if (goes(s, EXPLICIT, b)) return norm(s, &probe[0], b)/norm(s, &probe[1], b);
    const size_t dim = s->rhs->dim, ld = s->lanes->site.ld;
    const nde_jacobian *of = &table_of(s, IMPLICIT)->jacobian;
    const nde_real *j = s->lanes->scratch->linear->j + b;
    double most = 0;
    for (size_t r = 0; r < dim; r++) {
        double sum = 0;
        for (size_t e = nde_row_start(of, dim, r); e < nde_row_start(of, dim, r + 1); e++) {
            const size_t c = nde_column_of(of, dim, r, e);
            sum += fabs((double)j[e*ld])*nde_tolerance_at(&s->table->tolerance, c, fabs((double)s->y[c*ld + b]));
        }
        most = fmax(most, sum/nde_tolerance_at(&s->table->tolerance, r, fabs((double)s->y[r*ld + b])));
    }
    return most*fabs(s->dt[b]);
}

static nde_real turn(const nde_attempt *s, size_t b) {
    const nde_real mark = s->y[s->slab + b];
    const double stable = table_of(s, EXPLICIT)->stable, size = stiffness(s, b);
    if (mark >= 0) {
        if (!(size > near*stable)) return mark > 0 ? mark - 1 : 0;
        return mark + 1 < STIFF ? mark + 1 : -1;
    }
    if (!(size < far*stable)) return -1;
    return -mark < CALM ? mark - 1 : 0;
}

/* ---- the step -------------------------------------------------------------------------------- */

/* Evaluations of an implicit step beyond those of an explicit one. */
static int beyond(const nde_attempt *s) {
    return table_of(s, IMPLICIT)->stages + nde_jacobian_evaluations(&table_of(s, IMPLICIT)->jacobian, s->rhs) -
           (table_of(s, EXPLICIT)->stages - 1);
}

/* One way; 0 as begin returns it. */
static int go(const nde_attempt *s, int way, nde_real *z, int *going) {
    nde_attempt part;
    *going = begin(s, way, &part);
    int rc = 0;
    if (*going) {
        part.z = z;
        memcpy(part.k, s->k, s->slab*sizeof *part.k);
        rc = body_of(way)->attempt(&part);
    }
    clear(s, way, *going, s->k);
    return rc;
}

static int attempt(const nde_attempt *s) {
    nde_scratch *x = s->lanes->scratch;
    nde_real *last = slope(s, s->k, last_of(s));
    const size_t n = s->lanes->site.n;
    int implicit, explicit;
    for (size_t b = 0; b < n; b++) x->count[b] = goes(s, IMPLICIT, b) ? beyond(s) : 0;
    int rc = go(s, IMPLICIT, s->z, &implicit);
    if (!rc) rc = go(s, EXPLICIT, implicit ? x->part : s->z, &explicit);
    if (rc) return rc;
    if (implicit && explicit) blend(s, x->part, s->z);
    if (implicit) rc = nde_rhs_eval(s->rhs, s->lanes, s->t_new, s->z, last, nde_stage_tape(s, last_of(s)), s->lanes->site.ld);
    if (rc) return rc;
    if (explicit) blend(s, newest(s, s->k), last);
    memset(s->z + s->slab, 0, s->slab*sizeof *s->z);
    for (size_t b = 0; b < n; b++) s->z[s->slab + b] = turn(s, b);
    return 0;
}

/* ---- transpose ------------------------------------------------------------------------------- */

/* From the cotangent of F(t + h, y+), in lanes that go implicitly, to that of y+; in the others it is the explicit method's
 * own. */
static int last_transpose(const nde_attempt *s, const nde_step_cotangent *c, const nde_attempt *implicit) {
    const size_t ld = s->lanes->site.ld, n = s->lanes->site.n;
    nde_real *a = slope(s, c->k, last_of(s)), *to = newest(s, c->k), *Y = s->lanes->scratch->Y;
    for (size_t r = 0; r < s->rhs->rows; r++)
        for (size_t b = 0; b < n; b++)
            if (goes(s, EXPLICIT, b)) to[r*ld + b] += a[r*ld + b], a[r*ld + b] = 0;
    if (!implicit || nde_is_idle(s, c, last_of(s))) return 0;
    s->rhs->kernels->step->combine(s->rhs->dim, n, ld, implicit->h, &implicit->table->out[0], implicit->k, s->slab, s->y, Y);
    const int rc = nde_evaluate_transpose(s, c, last_of(s), 1, Y);
    if (!rc) nde_add_rows(s, s->rhs->dim, s->lanes->scratch->a_Y, c->y);
    return rc;
}

static int transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    nde_attempt part;
    int going[2], rc = 0;
    memset(c->y + s->slab, 0, s->slab*sizeof *c->y);
    for (int way = 0; way < 2; way++) going[way] = begin(s, way, &part), clear(s, way, going[way], c->k);
    if ((rc = last_transpose(s, c, going[IMPLICIT] ? &part : NULL))) return rc;
    for (int way = 0; way < 2; way++) {
        nde_step_cotangent a = *c;
        if (!begin(s, way, &part)) continue;
        a.k = slope(s, c->k, first_of(s, way));
        if ((rc = body_of(way)->transpose(&part, &a))) return rc;
        nde_add_rows(s, s->rhs->rows, a.k, c->k);
    }
    return 0;
}

/* ---- tangent --------------------------------------------------------------------------------- */

static int go_along(const nde_attempt *s, const nde_step_tangent *v, int way, nde_real *z, int *going) {
    nde_attempt part;
    nde_step_tangent along = *v;
    *going = begin(s, way, &part);
    int rc = 0;
    if (*going) {
        along.k = slope(s, v->k, first_of(s, way)), along.z = z;
        memcpy(along.k, v->k, s->slab*sizeof *along.k);
        rc = body_of(way)->tangent(&part, &along);
    }
    clear(s, way, *going, v->k);
    return rc;
}

static int tangent(const nde_attempt *s, const nde_step_tangent *v) {
    nde_real *beside = s->lanes->scratch->part, *last = slope(s, v->k, last_of(s));
    int implicit, explicit;
    int rc = go_along(s, v, IMPLICIT, v->z, &implicit);
    if (!rc) rc = go_along(s, v, EXPLICIT, implicit ? beside : v->z, &explicit);
    if (rc) return rc;
    if (implicit && explicit) blend(s, beside, v->z);
    memset(v->z + s->slab, 0, s->slab*sizeof *v->z);
    if (implicit && (rc = nde_evaluate_tangent(s, v, last_of(s), 1, s->z, v->z))) return rc;
    if (explicit) blend(s, newest(s, v->k), last);
    return 0;
}

/* ---- the extension --------------------------------------------------------------------------- */

/* Its stages stand apart from those of the step: slopes of the explicit method, all of them, side by side. The state has no
 * partner here; lanes that went implicitly have no explicit slopes. */
static nde_real *gathered(const nde_attempt *s, int which) {
    const size_t slabs = 1 + (size_t)which*(size_t)table_of(s, EXPLICIT)->slopes;
    return s->lanes->scratch->part + slabs*s->slab;
}
static size_t own(const nde_attempt *s) { return (size_t)table_of(s, EXPLICIT)->stages*s->slab; }
static size_t more(const nde_attempt *s) { return (size_t)(s->table->slopes - s->table->stages)*s->slab; }

static nde_attempt extension(const nde_attempt *s) {
    nde_attempt part = *s;
    part.table = table_of(s, EXPLICIT), part.k = gathered(s, 0);
    part.tape = s->tape ? s->tape + (size_t)(s->table->stages - part.table->stages)*s->tape_slab : NULL;
    memcpy(part.k, slope(s, s->k, first_of(s, EXPLICIT)), own(s)*sizeof *part.k);
    return part;
}

/* What the extension has of its own, in k, is zero in lanes that went implicitly. */
static void clear_more(const nde_attempt *s, const nde_attempt *part, nde_real *k) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, end = more(s);
    for (size_t b = 0; b < n; b++) {
        bool went = false;
        for (size_t i = b; !went && i < own(s); i += ld) went = part->k[i] != 0;
        for (size_t i = b; !went && i < end; i += ld) k[i] = 0;
    }
}

static int extend(const nde_attempt *s) {
    const nde_attempt part = extension(s);
    nde_real *k = slope(s, s->k, s->table->stages);
    const int rc = body_of(EXPLICIT)->extend(&part);
    if (rc) return rc;
    memcpy(k, part.k + own(s), more(s)*sizeof *k);
    return clear_more(s, &part, k), 0;
}

static int extend_transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    const nde_attempt part = extension(s);
    nde_step_cotangent a = *c;
    nde_real *k = slope(s, c->k, s->table->stages), *to = slope(s, c->k, first_of(s, EXPLICIT));
    memcpy(part.k + own(s), slope(s, s->k, s->table->stages), more(s)*sizeof *k);
    clear_more(s, &part, k);
    a.k = gathered(s, 1);
    memset(a.k, 0, own(s)*sizeof *a.k);
    memcpy(a.k + own(s), k, more(s)*sizeof *k);
    const int rc = body_of(EXPLICIT)->extend_transpose(&part, &a);
    for (size_t i = 0; !rc && i < own(s); i++) to[i] += a.k[i];
    return rc;
}

static int extend_tangent(const nde_attempt *s, const nde_step_tangent *v) {
    const nde_attempt part = extension(s);
    nde_step_tangent along = *v;
    nde_real *k = slope(s, v->k, s->table->stages);
    memcpy(part.k + own(s), slope(s, s->k, s->table->stages), more(s)*sizeof *k);
    along.k = gathered(s, 1);
    memcpy(along.k, slope(s, v->k, first_of(s, EXPLICIT)), own(s)*sizeof *k);
    const int rc = body_of(EXPLICIT)->extend_tangent(&part, &along);
    if (rc) return rc;
    memcpy(k, along.k + own(s), more(s)*sizeof *k);
    return clear_more(s, &part, k), 0;
}

const nde_body NDE_ISA_NAME(nde_body_switched) = { .attempt = attempt,
                                                   .transpose = transpose,
                                                   .tangent = tangent,
                                                   .extend = extend,
                                                   .extend_transpose = extend_transpose,
                                                   .extend_tangent = extend_tangent };
