/* SPDX-License-Identifier: MIT
 * field.c - a finished program as a field: its code on the site of a call.
 *
 * work: the rows of the longest code, its uniform values, one row of zeros for directions that are NULL, a direction for the
 * Jacobian, and what comes of it. Lanes go through the code in strips whose rows stay in the first-level cache. */
#include "nde/program.h"
#include "field/parts.h"
#include "program/graph.h"
#include "program/kernel.h"

#include <string.h>

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

static void set(nde_frame *f, int space, nde_real *x, size_t ld) {
    f->read[space] = f->write[space] = x;
    f->ld[space] = ld;
    f->used |= 1u << space;
}

/* Rows that are read. */
static void lend(nde_frame *f, int space, const nde_real *x, size_t ld) {
    f->read[space] = x;
    f->write[space] = NULL;
    f->ld[space] = ld;
    f->used |= 1u << space;
}

/* Rows that are read, or zeros: one row for all, written when it is needed. */
static void give(nde_frame *f, int space, const nde_real *x, size_t ld, nde_real *zeros) {
    if (!x) memset(zeros, 0, f->n*sizeof *zeros);
    lend(f, space, x ? x : zeros, x ? ld : 0);
}

static nde_real *zeros_of(const nde_field *self, const nde_site *at) {
    const nde_program *g = self->ctx;
    return at->work + (g->rows + g->small)*at->ld;
}

/* Spaces are set by those who use them: to clear them all would take as long as some instructions. */
static void begin(nde_frame *f, const nde_program *g, size_t n, const nde_kernels *kernels) {
    f->used = 0, f->n = n, f->want = NDE_WANT_ALL;
    f->kernels = kernels ? kernels : nde_kernels_get(NDE_ISA_AUTO, true);
    f->lists = g->lists.data;
    f->transforms = g->transforms.data;
    f->t = f->vt = NULL;
    f->to_t = f->to_vt = f->to_p = f->to_vp = NULL;
}

static void enter(nde_frame *f, const nde_field *self, const nde_site *at, const nde_real *y) {
    const nde_program *g = self->ctx;
    begin(f, g, at->n, at->kernels);
    f->t = at->t;
    lend(f, NDE_SPACE_Y, y, at->ld);
    lend(f, NDE_SPACE_U, at->u, at->ld);
    lend(f, NDE_SPACE_Q, at->q, at->ld);
    lend(f, NDE_SPACE_P, at->p, 1);
    lend(f, NDE_SPACE_PREPARED, at->prepared, 1);
    set(f, NDE_SPACE_WORK, at->work, at->ld);
    set(f, NDE_SPACE_SMALL, at->work + g->rows*at->ld, 1);
}

static void move(nde_frame *f, const nde_site *at, const nde_tangent *v, nde_real *zeros) {
    f->vt = v->t;
    give(f, NDE_SPACE_VY, v->y, at->ld, zeros);
    give(f, NDE_SPACE_VU, v->u, at->ld, zeros);
    give(f, NDE_SPACE_VQ, v->q, at->ld, zeros);
    give(f, NDE_SPACE_VP, v->p, 1, zeros);
}

/* Where cotangents of the inputs from `first` (T or VT) on go. */
static unsigned collect(nde_frame *f, const nde_site *at, const nde_cotangent *to, int first) {
    nde_real *const lanes[] = { to->y, to->u, to->q };
    const int spaces[] = { NDE_SPACE_Y, NDE_SPACE_U, NDE_SPACE_Q }, base = NDE_SPACE_TO + first - NDE_SPACE_T;
    unsigned want = (to->t ? NDE_WANT(base + NDE_SPACE_T) : 0) | (to->p ? NDE_WANT(base + NDE_SPACE_P) : 0);
    for (size_t i = 0; i < 3; i++) {
        set(f, base + spaces[i], lanes[i], at->ld);
        if (lanes[i]) want |= NDE_WANT(base + spaces[i]);
    }
    return want;
}

static const double *later(const double *x, size_t b) { return x ? x + b : NULL; }

/* The frame's lanes [b, b + n). */
static nde_frame strip_of(const nde_frame *all, size_t b, size_t n) {
    nde_frame f = *all;
    f.n = n;
    f.t = later(f.t, b), f.vt = later(f.vt, b);
    if (f.to_t) f.to_t += b;
    if (f.to_vt) f.to_vt += b;
    for (int space = 0; space < NDE_SPACES; space++) {
        if (!(f.used >> space & 1u)) continue;
        const bool shared = space == NDE_SPACE_P || space == NDE_SPACE_VP || space == NDE_SPACE_PREPARED ||
            space == NDE_SPACE_SMALL;
        if (shared || space == NDE_SPACE_WORK || f.ld[space] == 0) continue;
        if (f.read[space]) f.read[space] += b;
        if (f.write[space]) f.write[space] += b;
    }
    return f;
}

static int run(const nde_program *g, int which, const nde_frame *f) {
    enum { CACHE = 32768/(int)sizeof(nde_real), LEAST = 64, LEAST_OF_PRODUCTS = 128, ALIGN = 64/(int)sizeof(nde_real) };
    const nde_code *code = &g->code[which];
    const size_t least = code->products ? LEAST_OF_PRODUCTS : LEAST;
    if (f->n <= least || f->n*(code->strip + 1) <= CACHE) return f->kernels->program->run(code, f), NDE_FIELD_OK;
    const size_t fits = most(CACHE/(code->strip + 1), least), strips = (f->n + fits - 1)/fits;
    const size_t each = ((f->n + strips - 1)/strips + ALIGN - 1)/ALIGN*ALIGN;
    for (size_t b = 0; b < f->n; b += each) {
        const nde_frame strip = strip_of(f, b, f->n - b < each ? f->n - b : each);
        f->kernels->program->run(code, &strip);
    }
    return NDE_FIELD_OK;
}

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    nde_frame f;
    enter(&f, self, at, y);
    set(&f, NDE_SPACE_OUT, dy, at->ld);
    if (!at->tape || !self->tape) return run(self->ctx, NDE_CODE_EVAL, &f);
    set(&f, NDE_SPACE_TAPE, at->tape, at->tape_ld);
    return run(self->ctx, NDE_CODE_EVAL_TAPE, &f);
}

static int vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    nde_frame f;
    enter(&f, self, at, y);
    give(&f, NDE_SPACE_A, a, at->ld, zeros_of(self, at));
    f.want = collect(&f, at, to, NDE_SPACE_T);
    f.to_t = to->t, f.to_p = to->p;
    if (!at->tape || !self->tape) return run(self->ctx, NDE_CODE_VJP, &f);
    lend(&f, NDE_SPACE_TAPE, at->tape, at->tape_ld);
    if (!to->cotape || !self->cotape) return run(self->ctx, NDE_CODE_VJP_TAPE, &f);
    set(&f, NDE_SPACE_COTAPE, to->cotape, at->tape_ld);
    f.want |= NDE_WANT(NDE_SPACE_TO + NDE_SPACE_P);
    return run(self->ctx, NDE_CODE_VJP_COTAPE, &f);
}

static int vjp_window(const nde_field *self, const nde_site *window, const nde_real *cotape, double *ap) {
    nde_frame f;
    begin(&f, self->ctx, window->n, window->kernels);
    lend(&f, NDE_SPACE_TAPE, window->tape, window->tape_ld);
    lend(&f, NDE_SPACE_COTAPE, cotape, window->tape_ld);
    f.to_p = ap;
    return run(self->ctx, NDE_CODE_WINDOW, &f);
}

/* Is the direction one of y alone? */
static bool of_y(const nde_tangent *v) { return !v->t && !v->u && !v->q && !v->p; }

/* Directions differ in p, which lanes share: one after the other. */
static int run_directions(const nde_program *g, const nde_tangent *v, const nde_frame *f) {
    for (size_t b = 0; b < f->n; b += v->lanes) {
        nde_frame one = strip_of(f, b, f->n - b < v->lanes ? f->n - b : v->lanes);
        lend(&one, NDE_SPACE_VP, v->p + b/v->lanes*v->p_stride, 1);
        run(g, NDE_CODE_JVP, &one);
    }
    return NDE_FIELD_OK;
}

static int jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    nde_frame f;
    enter(&f, self, at, y);
    move(&f, at, v, zeros_of(self, at));
    set(&f, NDE_SPACE_OUT, dv, at->ld);
    if (v->lanes && v->p) return run_directions(self->ctx, v, &f);
    return run(self->ctx, of_y(v) ? NDE_CODE_JVP_Y : NDE_CODE_JVP, &f);
}

static int vjp_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, const nde_real *a,
                   const nde_real *b, nde_cotangent *to_y, nde_cotangent *to_v) {
    nde_frame f;
    enter(&f, self, at, y);
    move(&f, at, v, zeros_of(self, at));
    give(&f, NDE_SPACE_A, a, at->ld, zeros_of(self, at));
    give(&f, NDE_SPACE_B, b, at->ld, zeros_of(self, at));
    f.want = collect(&f, at, to_y, NDE_SPACE_T);
    f.to_t = to_y->t, f.to_p = to_y->p;
    if (to_v) {
        f.want |= collect(&f, at, to_v, NDE_SPACE_VT);
        f.to_vt = to_v->t, f.to_vp = to_v->p;
    }
    const bool y_alone = of_y(v) && (!to_v || (!to_v->t && !to_v->u && !to_v->q && !to_v->p));
    return run(self->ctx, y_alone ? NDE_CODE_SECOND_Y : NDE_CODE_SECOND, &f);
}

/* The entries that columns of one color have, from their sum [out][ld]. */
static void spread(const nde_program *g, uint32_t color, const nde_site *at, const nde_real *sum, nde_real *j) {
    const size_t *start = g->jacobian.start.data, *index = g->jacobian.index.data;
    const uint32_t *color_of = g->color.data;
    for (size_t row = 0; row < g->jacobian.rows; row++)
        for (size_t e = start[row]; e < start[row + 1]; e++)
            if (color_of[index[e]] == color)
                memcpy(j + (row*g->shape.dim + index[e])*at->ld, sum + row*at->ld, at->n*sizeof *j);
}

/* By directions that are the sum of columns of a color, or one column: then in its place, where rows stand dim rows apart. */
static int jacobian(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *j) {
    const nde_program *g = self->ctx;
    const bool apart = g->colors == self->dim;
    const uint32_t *color_of = g->color.data;
    nde_frame f;
    enter(&f, self, at, y);
    nde_real *v = zeros_of(self, at) + at->ld, *sum = v + self->dim*at->ld;
    lend(&f, NDE_SPACE_VY, v, at->ld);
    for (size_t i = 0; !apart && i < self->out*self->dim; i++) memset(j + i*at->ld, 0, at->n*sizeof *j);
    for (uint32_t k = 0; k < g->colors; k++) {
        for (size_t i = 0; i < self->dim; i++)
            for (size_t b = 0; b < at->n; b++) v[i*at->ld + b] = apart ? i == k : color_of[i] == k + 1;
        if (apart) set(&f, NDE_SPACE_OUT, j + k*at->ld, self->dim*at->ld);
        else set(&f, NDE_SPACE_OUT, sum, at->ld);
        run(g, NDE_CODE_JVP_Y, &f);
        if (!apart) spread(g, k + 1, at, sum, j);
    }
    return NDE_FIELD_OK;
}

/* Constants, and what is made of them and p. */
static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const nde_program *g = self->ctx;
    const nde_fixed *fixed = g->fixed.data;
    nde_frame f;
    begin(&f, g, 1, NULL);
    lend(&f, NDE_SPACE_P, p, 1);
    set(&f, NDE_SPACE_PREPARED, prepared, 1);
    for (uint32_t i = 0; i < g->constants; i++) prepared[fixed[i].at] = (nde_real)fixed[i].value;
    f.kernels->program->run(&g->prepare, &f);
    return NDE_FIELD_OK;
}

/* Has t a part in the value? */
static bool knows_time(const nde_program *g) {
    const nde_code *code = &g->code[NDE_CODE_EVAL];
    for (size_t i = 0; i < code->count; i++)
        if (code->at[i].op == NDE_OP_TIME) return true;
    return false;
}

nde_field nde_field_program(const nde_program *g) {
    const nde_field none = { 0 };
    if (!g) return (void)nde_fail(NDE_E_ARG, "nde_field_program: program is NULL"), none;
    if (g->status != NDE_OK) return (void)nde_fail(g->status, "%s", g->text), none;
    if (!g->finished) return (void)nde_fail(NDE_E_ARG, "nde_field_program: the program is not finished"), none;
    const size_t out = nde_node_at(g, g->value).rows;
    const nde_field field = {
        .size = sizeof field, .name = g->shape.name, .ctx = g,
        .dim = g->shape.dim, .nu = g->shape.nu, .np = g->shape.np, .nq = g->shape.nq, .out = out,
        .tape = g->taped, .cotape = g->cotaped, .vjp_window = g->cotaped ? vjp_window : NULL,
        .work = g->rows + g->small + 1 + g->shape.dim + (g->colors < g->shape.dim ? out : 0), .prepared = g->prepared,
        .prepare = g->prepared ? prepare : NULL,
        .traits = NDE_LANEWISE | NDE_DIRECTIONS | (knows_time(g) ? 0u : NDE_AUTONOMOUS) | (g->linear_in_u ? NDE_LINEAR_IN_U
                : 0u), .sparsity_start = g->jacobian.start.data, .sparsity_index = g->jacobian.index.data,
        .gemm_eval = g->gemm_eval, .gemm_vjp = g->gemm_vjp,
        .eval = eval, .vjp = vjp, .jvp = jvp, .vjp_jvp = vjp_jvp, .jacobian = jacobian,
    };
    return nde_field_validate(&field, "nde_field_program") == NDE_OK ? field : none;
}
