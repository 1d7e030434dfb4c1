/* SPDX-License-Identifier: MIT
 * check.c - compares what a field says of its derivatives with central differences of its values. */
#include "field/parts.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#ifdef nde_real
#define EPSILON ((double)FLT_EPSILON)
#else
#define EPSILON DBL_EPSILON
#endif

/* What a field depends on, in the order of the arrays below. */
enum { Y, U, Q, P, T, KINDS };
static const char *const kind_names[KINDS] = { "y", "u", "q", "p", "t" };

/* One array for each kind: [rows][ld] of y, u, q; [np] of p; [n] of t. `wide` are the double ones, of cotangents p and t
 * and of the times. */
typedef struct bundle {
    nde_real *x[P + 1];
    double *wide[KINDS];
} bundle;

typedef struct finding {
    double error, got, want;
    const char *what, *of;
    size_t row, lane;
} finding;

typedef struct check {
    const nde_field *field;
    nde_site at;
    size_t rows[KINDS];      /* entries of each kind, for one lane */
    bundle point, direction; /* direction.wide[T] is the direction of t */
    bundle plain, taped, windowed, to_y, to_v; /* cotangents */
    nde_real *a, *b, *dv, *f[4], *j, *cotape, *tape;
    nde_real *prepared;
    double *slope, *bend;    /* [out][n] dF/dx and d(Jv)/dx for one entry x */
    double *along_one, *along_all; /* [out][n] J v along one kind of input, and along all */
    double *base, *moved[4]; /* [n] one entry of all lanes, where it is and where the differences put it */
    bool tangents;           /* evaluate J v instead of F */
    unsigned char *lane;
    size_t *index, *interval;
    finding worst;
} check;

/* ---- one block of memory ---- */

static void *take(nde_arena *arena, size_t rows, size_t columns, size_t bytes) {
    size_t count;
    if (!nde_size_multiply(rows, columns, &count)) {
        arena->overflow = true;
        return NULL;
    }
    return nde_arena_take(arena, count, bytes);
}

/* double_p: a cotangent, whose p is double */
static void take_bundle(check *c, nde_arena *arena, bundle *one, bool double_p) {
    for (int kind = Y; kind <= Q; kind++) one->x[kind] = take(arena, c->rows[kind], c->at.ld, sizeof(nde_real));
    if (double_p) one->wide[P] = take(arena, c->rows[P], 1, sizeof(double));
    else one->x[P] = take(arena, c->rows[P], 1, sizeof(nde_real));
    one->wide[T] = take(arena, c->at.n, 1, sizeof(double));
}

static void lay_out(check *c, nde_arena *arena) {
    const nde_field *field = c->field;
    const size_t ld = c->at.ld, n = c->at.n, real = sizeof(nde_real);
    take_bundle(c, arena, &c->point, false);
    take_bundle(c, arena, &c->direction, false);
    take_bundle(c, arena, &c->plain, true);
    take_bundle(c, arena, &c->taped, true);
    take_bundle(c, arena, &c->windowed, true);
    take_bundle(c, arena, &c->to_y, true);
    take_bundle(c, arena, &c->to_v, true);
    c->a = take(arena, field->out, ld, real);
    c->b = take(arena, field->out, ld, real);
    c->dv = take(arena, field->out, ld, real);
    for (int i = 0; i < 4; i++) c->f[i] = take(arena, field->out, ld, real);
    c->slope = take(arena, field->out, n, sizeof(double));
    c->bend = take(arena, field->out, n, sizeof(double));
    c->along_one = take(arena, field->out, n, sizeof(double));
    c->along_all = take(arena, field->out, n, sizeof(double));
    c->base = take(arena, n, 1, sizeof(double));
    for (int i = 0; i < 4; i++) c->moved[i] = take(arena, n, 1, sizeof(double));
    c->tape = take(arena, field->tape, ld, real);
    c->cotape = take(arena, field->cotape, ld, real);
    c->prepared = take(arena, field->prepared, 1, real);
    c->at.work = take(arena, field->work, ld, real);
    c->lane = take(arena, n, 1, 1);
    c->index = take(arena, n, 1, sizeof(size_t));
    c->interval = take(arena, n, 1, sizeof(size_t));
    size_t columns;
    if (!nde_size_multiply(field->dim, ld, &columns)) arena->overflow = true;
    else c->j = take(arena, field->jacobian ? field->out : 0, columns, real);
}

/* ---- filling it ---- */

/* Fixed numbers in (-1, 1), no two alike: multiples of the golden ratio. */
static double pattern(size_t i) {
    const double x = (double)(i + 1)*0.61803398874989485;
    return 2*(x - floor(x)) - 1;
}
static void fill(nde_real *x, size_t count, size_t from) {
    for (size_t i = 0; i < count; i++) x[i] = (nde_real)pattern(from + i);
}
static void copy(nde_real *x, const nde_real *from, size_t count) {
    if (x && from && count) memcpy(x, from, count*sizeof *x);
}

static void begin(check *c, const nde_site *at, const nde_real *y) {
    const nde_field *field = c->field;
    const size_t ld = at->ld, n = at->n;
    copy(c->point.x[P], at->p, field->np);
    for (size_t b = 0; b < n; b++) {
        for (size_t i = 0; i < field->dim; i++) c->point.x[Y][i*ld + b] = y[i*ld + b];
        for (size_t i = 0; i < field->nu; i++) c->point.x[U][i*ld + b] = at->u[i*ld + b];
        for (size_t i = 0; i < field->nq; i++) c->point.x[Q][i*ld + b] = at->q[i*ld + b];
        c->point.wide[T][b] = at->t[b];
        c->direction.wide[T][b] = pattern(b + 7);
        c->index[b] = at->index ? at->index[b] : b;
        c->interval[b] = at->interval ? at->interval[b] : 0;
    }
    for (int kind = Y; kind <= Q; kind++) fill(c->direction.x[kind], c->rows[kind]*ld, 100 + (size_t)kind);
    fill(c->direction.x[P], field->np, 211);
    fill(c->a, field->out*ld, 307);
    fill(c->b, field->out*ld, 401);

    c->at.t = c->point.wide[T];
    c->at.index = c->index;
    c->at.interval = c->interval;
    c->at.u = field->nu ? c->point.x[U] : NULL;
    c->at.p = field->np ? c->point.x[P] : NULL;
    c->at.q = field->nq ? c->point.x[Q] : NULL;
    c->at.prepared = c->prepared;
    c->at.lane = c->lane;
    c->at.tape = NULL;
    c->at.tape_ld = ld;
    c->at.flags = 0; /* times move apart */
}

/* ---- calls ---- */

static nde_status judge(const check *c, const char *what, int code) {
    if (code) return nde_fail(NDE_E_FIELD, "nde_field_check: %s of %s returned %d", what, nde_field_name(c->field), code);
    for (size_t b = 0; b < c->at.n; b++)
        if (c->lane[b] != NDE_LANE_OK)
            return nde_fail(NDE_E_FIELD, "nde_field_check: %s of %s failed in lane %zu", what, nde_field_name(c->field), b);
    return NDE_OK;
}

/* Before each call: no lane is marked, and work is undefined, so that a field that counts on zeros shows. */
static void begin_call(const check *c) {
    memset(c->lane, NDE_LANE_OK, c->at.n);
    for (size_t i = 0; i < c->field->work*c->at.ld; i++) c->at.work[i] = (nde_real)NAN;
}
/* ... and an entry of the value that is not written shows too. */
static void poison(const check *c, nde_real *f) {
    begin_call(c);
    for (size_t i = 0; i < c->field->out*c->at.ld; i++) f[i] = (nde_real)NAN;
}

static nde_status finite(const check *c, const char *what, const nde_real *f) {
    for (size_t i = 0; i < c->field->out; i++)
        for (size_t b = 0; b < c->at.n; b++)
            if (!isfinite((double)f[i*c->at.ld + b]))
                return nde_fail(NDE_E_NONFINITE, "nde_field_check: %s of %s: row %zu of lane %zu is %g", what,
                                nde_field_name(c->field), i, b, (double)f[i*c->at.ld + b]);
    return NDE_OK;
}

/* The direction of one kind, or of all. */
static nde_tangent along(const check *c, int kind) {
    const bundle *v = &c->direction;
    const bool all = kind == KINDS;
    return (nde_tangent){ .t = all || kind == T ? v->wide[T] : NULL, .y = all || kind == Y ? v->x[Y] : NULL,
                          .u = (all || kind == U) && c->field->nu ? v->x[U] : NULL,
                          .q = (all || kind == Q) && c->field->nq ? v->x[Q] : NULL,
                          .p = (all || kind == P) && c->field->np ? v->x[P] : NULL };
}

static nde_status jvp(check *c, int kind, nde_real *dv) {
    const nde_tangent v = along(c, kind);
    poison(c, dv);
    const nde_status status = judge(c, "jvp", c->field->jvp(c->field, &c->at, c->point.x[Y], &v, dv));
    return status ? status : finite(c, "jvp", dv);
}

static nde_status prepare(check *c) {
    const int code = c->prepared ? c->field->prepare(c->field, c->at.p, c->prepared) : 0;
    if (!code) return NDE_OK;
    return nde_fail(NDE_E_FIELD, "nde_field_check: prepare of %s returned %d", nde_field_name(c->field), code);
}

/* F, or J v, at the point. */
static nde_status evaluate(check *c, nde_real *f) {
    nde_status status = prepare(c);
    if (status || c->tangents) return status ? status : jvp(c, KINDS, f);
    poison(c, f);
    status = judge(c, "eval", c->field->eval(c->field, &c->at, c->point.x[Y], f));
    return status ? status : finite(c, "eval", f);
}

/* Cotangents begin with 1: a derivative that overwrites them shows. */
static nde_cotangent begin_cotangent(const check *c, bundle *to) {
    for (int kind = Y; kind <= Q; kind++)
        for (size_t i = 0; i < c->rows[kind]*c->at.ld; i++) to->x[kind][i] = 1;
    for (size_t i = 0; i < c->rows[P]; i++) to->wide[P][i] = 1;
    for (size_t b = 0; b < c->at.n; b++) to->wide[T][b] = 1;
    begin_call(c);
    return (nde_cotangent){ .t = to->wide[T], .y = to->x[Y], .u = c->rows[U] ? to->x[U] : NULL,
                            .q = c->rows[Q] ? to->x[Q] : NULL, .p = c->rows[P] ? to->wide[P] : NULL };
}

/* ---- comparison ---- */

static nde_status compare(check *c, const char *what, const char *of, size_t row, size_t lane, double got, double want) {
    const double error = fabs(got - want)/(1 + fabs(want));
    if (!isfinite(error))
        return nde_fail(NDE_E_NONFINITE, "nde_field_check: %s of %s: entry %zu of %s, lane %zu is %g", what,
                        nde_field_name(c->field), row, of, lane, got);
    if (error > c->worst.error || !c->worst.what) c->worst = (finding){ error, got, want, what, of, row, lane };
    return NDE_OK;
}

/* The fifth root of epsilon balances the error of the extrapolated difference, h^4, with rounding, epsilon/h. */
static double step_of(double x, int halvings) { return ldexp(pow(EPSILON, 0.2)*fmax(1, fabs(x)), -halvings); }

/* Entry `row` of a kind in one lane; parameters have only lane 0. */
static double get(const check *c, int kind, size_t row, size_t lane) {
    if (kind == T) return c->point.wide[T][lane];
    return (double)c->point.x[kind][kind == P ? row : row*c->at.ld + lane];
}
static void set(check *c, int kind, size_t row, size_t lane, double x) {
    if (kind == T) c->point.wide[T][lane] = x;
    else c->point.x[kind][kind == P ? row : row*c->at.ld + lane] = (nde_real)x;
}

/* slope [out][n] = derivative of what `evaluate` gives by entry `row` of a kind, in all lanes at once: central differences
 * with steps h and h/2, extrapolated. */
static nde_status difference(check *c, int kind, size_t row, double *slope) {
    const size_t n = c->at.n, ld = c->at.ld, lanes = kind == P ? 1 : n;
    for (size_t b = 0; b < lanes; b++) c->base[b] = get(c, kind, row, b);
    for (int i = 0; i < 4; i++) {
        for (size_t b = 0; b < lanes; b++) {
            const double h = step_of(c->base[b], i/2);
            set(c, kind, row, b, c->base[b] + (i % 2 ? -h : h));
            c->moved[i][b] = get(c, kind, row, b); /* as rounded */
        }
        const nde_status status = evaluate(c, c->f[i]);
        if (status) return status;
    }
    for (size_t b = 0; b < n; b++) {
        const size_t at = kind == P ? 0 : b;
        const double coarse = c->moved[0][at] - c->moved[1][at], fine = c->moved[2][at] - c->moved[3][at];
        for (size_t o = 0, i = b; o < c->field->out; o++, i += ld)
            slope[o*n + b] = (4*((double)c->f[2][i] - (double)c->f[3][i])/fine -
                              ((double)c->f[0][i] - (double)c->f[1][i])/coarse)/3;
    }
    for (size_t b = 0; b < lanes; b++) set(c, kind, row, b, c->base[b]);
    return kind == P ? prepare(c) : NDE_OK;
}

/* Cotangents of entry `row` of a kind against sum_o (a_o slope_o + b_o bend_o); a or b NULL: zero. */
static nde_status compare_cotangent(check *c, const char *what, const bundle *to, int kind, size_t row, const nde_real *a,
                                    const double *slope, const nde_real *b, const double *bend) {
    const size_t n = c->at.n, ld = c->at.ld;
    double sum = 0;
    for (size_t lane = 0; lane < n; lane++) {
        if (kind != P) sum = 0;
        for (size_t o = 0; o < c->field->out; o++)
            sum += (a ? (double)a[o*ld + lane]*slope[o*n + lane] : 0) + (b ? (double)b[o*ld + lane]*bend[o*n + lane] : 0);
        if (kind == P && lane + 1 < n) continue;
        const double got = kind == P ? to->wide[P][row] : kind == T ? to->wide[T][lane] : (double)to->x[kind][row*ld + lane];
        const nde_status status = compare(c, what, kind_names[kind], row, kind == P ? 0 : lane, got - 1, sum);
        if (status) return status;
    }
    return NDE_OK;
}

static nde_status compare_value(check *c, const char *what, const char *of, const nde_real *got, const double *want) {
    for (size_t o = 0; o < c->field->out; o++) {
        for (size_t b = 0; b < c->at.n; b++) {
            const nde_status status = compare(c, what, of, o, b, (double)got[o*c->at.ld + b], want[o*c->at.n + b]);
            if (status) return status;
        }
    }
    return NDE_OK;
}

/* ---- what the field says ---- */

static nde_status ask_vjp(check *c) {
    const nde_field *field = c->field;
    const nde_real *y = c->point.x[Y];
    nde_cotangent to = begin_cotangent(c, &c->plain);
    nde_status status = judge(c, "vjp", field->vjp(field, &c->at, y, c->a, &to));
    if (status) return status;
    nde_site at = c->at;
    at.tape = field->tape ? c->tape : NULL;
    if (field->tape) { /* the value must not depend on the tape */
        poison(c, c->f[1]);
        status = judge(c, "eval with tape", field->eval(field, &at, y, c->f[1]));
        for (size_t o = 0; o < field->out && !status; o++)
            for (size_t b = 0; b < at.n && !status; b++)
                status = compare(c, "eval with tape", "the value", o, b, (double)c->f[1][o*at.ld + b],
                                 (double)c->f[0][o*at.ld + b]);
        if (status) return status;
        to = begin_cotangent(c, &c->taped);
        status = judge(c, "vjp with tape", field->vjp(field, &at, y, c->a, &to));
        if (status) return status;
    }
    if (field->vjp_window) {
        to = begin_cotangent(c, &c->windowed);
        to.cotape = c->cotape;
        status = judge(c, "vjp with cotape", field->vjp(field, &at, y, c->a, &to));
        if (status) return status;
        /* Parameters must be left alone by vjp: then the window's sum on top of 1 is right. */
        const nde_site window = { .n = at.n, .ld = at.ld, .p = at.p, .prepared = at.prepared, .tape = at.tape,
                                  .tape_ld = at.tape_ld, .kernels = at.kernels };
        status = judge(c, "vjp_window", field->vjp_window(field, &window, c->cotape, c->windowed.wide[P]));
    }
    return status;
}

static nde_status ask_vjp_jvp(check *c) {
    nde_cotangent to_y = begin_cotangent(c, &c->to_y), to_v = begin_cotangent(c, &c->to_v);
    const nde_tangent v = along(c, KINDS);
    return judge(c, "vjp_jvp", c->field->vjp_jvp(c->field, &c->at, c->point.x[Y], &v, c->a, c->b, &to_y, &to_v));
}

/* ---- all of it ---- */

/* Is there an entry, as far as the field says? */
static bool has_entry(const nde_field *field, size_t row, size_t column) {
    if (!field->sparsity_start) return true;
    for (size_t e = field->sparsity_start[row]; e < field->sparsity_start[row + 1]; e++)
        if (field->sparsity_index[e] == column) return true;
    return false;
}

static nde_status compare_entry(check *c, int kind, size_t row) {
    const nde_field *field = c->field;
    const size_t n = c->at.n, ld = c->at.ld;
    nde_status status = difference(c, kind, row, c->slope);
    if (!status && field->vjp) status = compare_cotangent(c, "vjp", &c->plain, kind, row, c->a, c->slope, NULL, NULL);
    if (!status && field->vjp && field->tape)
        status = compare_cotangent(c, "vjp with tape", &c->taped, kind, row, c->a, c->slope, NULL, NULL);
    if (!status && field->vjp_window)
        status = compare_cotangent(c, kind == P ? "vjp_window" : "vjp with cotape", &c->windowed, kind, row, c->a, c->slope,
                                   NULL, NULL);
    if (!status && field->vjp_jvp) {
        c->tangents = true;
        status = difference(c, kind, row, c->bend);
        c->tangents = false;
        if (!status)
            status = compare_cotangent(c, "vjp_jvp to y", &c->to_y, kind, row, c->a, c->slope, c->b, c->bend);
        if (!status) status = compare_cotangent(c, "vjp_jvp to v", &c->to_v, kind, row, c->b, c->slope, NULL, NULL);
    }
    for (size_t o = 0; o < field->out && !status; o++) {
        for (size_t b = 0; b < n && !status; b++) {
            const double v = kind == T ? c->direction.wide[T][b]
                                       : (double)c->direction.x[kind][kind == P ? row : row*ld + b];
            c->along_one[o*n + b] += v*c->slope[o*n + b];
            c->along_all[o*n + b] += v*c->slope[o*n + b];
            if (kind == Y && field->jacobian)
                status = compare(c, "jacobian", "column", row, b, (double)c->j[(o*field->dim + row)*ld + b],
                                 c->slope[o*n + b]);
            if (kind == Y && !status && !has_entry(field, o, row))
                status = compare(c, "sparsity", "column", row, b, 0, c->slope[o*n + b]);
        }
    }
    return status;
}

static nde_status compare_all(check *c) {
    const nde_field *field = c->field;
    nde_status status = prepare(c);
    if (!status) status = evaluate(c, c->f[0]);
    if (!status && field->vjp) status = ask_vjp(c);
    if (!status && field->vjp_jvp) status = ask_vjp_jvp(c);
    if (!status && field->jacobian) {
        begin_call(c);
        status = judge(c, "jacobian", field->jacobian(field, &c->at, c->point.x[Y], c->j));
    }
    const size_t values = field->out*c->at.n;
    memset(c->along_all, 0, values*sizeof *c->along_all);
    for (int kind = 0; kind < KINDS && !status; kind++) {
        memset(c->along_one, 0, values*sizeof *c->along_one);
        for (size_t row = 0; row < c->rows[kind] && !status; row++) status = compare_entry(c, kind, row);
        if (status || !field->jvp || c->rows[kind] == 0) continue;
        status = jvp(c, kind, c->dv);
        if (!status) status = compare_value(c, "jvp along", kind_names[kind], c->dv, c->along_one);
    }
    if (!status && field->jvp) status = jvp(c, KINDS, c->dv);
    if (!status && field->jvp) status = compare_value(c, "jvp along", "all", c->dv, c->along_all);
    return status;
}

static void describe(const check *c, char *text, size_t text_size) {
    const finding *w = &c->worst;
    if (!w->what) (void)snprintf(text, text_size, "%s gives no derivatives", nde_field_name(c->field));
    else
        (void)snprintf(text, text_size, "%s: %s %s, entry %zu of lane %zu is %.9g, differences say %.9g: error %.2g",
                       nde_field_name(c->field), w->what, w->of, w->row, w->lane, w->got, w->want, w->error);
}

nde_status nde_field_check(const nde_field *field, const nde_site *at, const nde_real *y, double *worst, char *text,
                           size_t text_size) {
    nde_status status = nde_field_validate(field, "nde_field_check: field");
    if (!status) status = nde_site_validate("nde_field_check", field, at, y);
    if (status) return status;
    check c = { .field = field, .at = *at, .rows = { field->dim, field->nu, field->nq, field->np, 1 } };
    nde_arena arena = { 0 };
    lay_out(&c, &arena);
    if (arena.overflow) return nde_fail(NDE_E_NOMEM, "nde_field_check: %zu lanes at distance %zu do not fit", at->n, at->ld);
    const nde_allocator *memory = &nde_allocator_default;
    const size_t bytes = arena.used;
    void *block = memory->take(memory->ctx, bytes, 64);
    if (!block) return nde_fail(NDE_E_NOMEM, "nde_field_check: no memory for %zu bytes", bytes);
    memset(block, 0, bytes);
    arena = (nde_arena){ .base = block };
    lay_out(&c, &arena);
    begin(&c, at, y);
    status = compare_all(&c);
    memory->give(memory->ctx, block, bytes);
    if (status) return status;
    if (worst) *worst = c.worst.error;
    if (text && text_size) describe(&c, text, text_size);
    return NDE_OK;
}
