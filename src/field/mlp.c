/* SPDX-License-Identifier: MIT
 * mlp.c - the fully connected network as a field: x_0 = (y, u, q, t), z_l = W_l x_l + b_l, in hidden layers perhaps
 * normalised (z'), x_{l+1} = s(z') perhaps + x_l, F = x_L.
 *
 * tape      for each layer: x_l [in]; of a normalised one z before gain and shift [out] and 1/deviation [1] (norm.h's x and r);
 *           and [out] rows of what the activation's derivative is taken from, where neither x_{l+1} nor what was normalised
 *           gives it: its value, or where that does not determine the derivative, the derivative itself, which shares its
 *           exponential with the value (its input, where second derivatives are to come). z' is made again from the
 *           normalised z, one product an entry: to keep it would cost a store and a load of a row that is long out of the
 *           cache. x_{l+1} is kept beside all the same: the weights' gradient reads it, and an exponential costs more than
 *           a load
 * cotape    for each layer the delta, cotangent of z_l [out], and of a normalised one that of z'_l [out]
 * prepared  W_0' ... W_{L-1}', each [in][out]: the forward product reads its weights along rows, and below one vector of
 *           lanes the lanes run over outputs
 * work      a tape where the call has none, then buffers
 * All sums run over k ascending in one accumulator, so that a lane has the same bits in every batch. */
#include "field/mlp.h"
#include "core/blas.h"
#include "core/dense.h"
#include "core/norm.h"

#include <math.h>
#include <string.h>

static const nde_kernels *kernels_of(const nde_site *at) {
    return at->kernels ? at->kernels : nde_kernels_get(NDE_ISA_AUTO, true);
}

static size_t widest(const nde_mlp *mlp) {
    size_t rows = 0;
    for (size_t i = 0; i <= mlp->layers; i++) rows = mlp->width[i] > rows ? mlp->width[i] : rows;
    return nde_aligned_rows(rows);
}

/* A layer's rows among the tangents of vjp_jvp: dx_l [in], dz [out], of a normalised layer the normalised dz, dz' too. */
static size_t tangent_rows(const nde_layer *k) { return k->in + (k->norm ? 3 : 1)*k->out; }

typedef struct sums {
    size_t np, weights, tape, cotape, tangents;
} sums;
static sums sum_up(const nde_mlp *mlp) {
    sums s = { 0 };
    for (size_t l = 0; l < mlp->layers; l++) {
        const nde_layer k = nde_layer_at(mlp, l);
        s.np += k.np, s.weights += k.in*k.out;
        s.tape += k.tape, s.cotape += (k.norm ? 2 : 1)*k.out, s.tangents += tangent_rows(&k);
    }
    return s;
}

/* ---- the input x_0 [width[0]][ldx] and its transpose ---- */

static nde_real *copy_rows(size_t rows, size_t n, const nde_real *from, size_t ld, nde_real *x, size_t ldx) {
    for (size_t i = 0; i < rows; i++, x += ldx) {
        if (from) memcpy(x, from + i*ld, n*sizeof *x);
        else for (size_t b = 0; b < n; b++) x[b] = 0;
    }
    return x;
}

/* NULL parts are zero: a direction leaves out what does not move. */
static void gather(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *u, const nde_real *q,
                   const double *t, nde_real *x, size_t ldx) {
    const nde_mlp *mlp = self->ctx;
    x = copy_rows(self->dim, at->n, y, at->ld, x, ldx);
    x = copy_rows(mlp->inputs_u, at->n, u, at->ld, x, ldx);
    x = copy_rows(mlp->inputs_q, at->n, q, at->ld, x, ldx);
    if (mlp->time_input)
        for (size_t b = 0; b < at->n; b++) x[b] = t ? (nde_real)t[b] : 0;
}

static const nde_real *add_rows(size_t rows, const nde_site *at, const nde_real *d, nde_real *to) {
    if (to)
        for (size_t i = 0; i < rows; i++)
            for (size_t b = 0; b < at->n; b++) to[i*at->ld + b] += d[i*at->ld + b];
    return d + rows*at->ld;
}

/* Rows of x_0 that a cotangent is wanted of, from `first` up to the result: y's, the others, all or none. */
static size_t rows_wanted(const nde_field *self, const nde_cotangent *to, size_t *first) {
    const nde_mlp *mlp = self->ctx;
    const bool others = (to->u && mlp->inputs_u) || (to->q && mlp->inputs_q) || (to->t && mlp->time_input);
    *first = to->y ? 0 : self->dim;
    return others ? mlp->width[0] : self->dim;
}

/* d: rows from `first` up to `end`, as rows_wanted gave them. */
static void scatter(const nde_field *self, const nde_site *at, size_t first, size_t end, const nde_real *d, nde_cotangent *to) {
    const nde_mlp *mlp = self->ctx;
    if (first == 0) d = add_rows(self->dim, at, d, to->y);
    if (end == self->dim) return;
    d = add_rows(mlp->inputs_u, at, d, to->u);
    d = add_rows(mlp->inputs_q, at, d, to->q);
    if (mlp->time_input && to->t)
        for (size_t b = 0; b < at->n; b++) to->t[b] += (double)d[b];
}

/* ---- F ---- */

/* Rows of a block: a tape's or a buffer's, or the caller's. */
typedef struct block {
    nde_real *x;
    size_t ld;
} block;

/* A tape for first derivatives, or for second ones: it has the inputs of activations where the other has slopes. */
typedef enum keeping { NO_TAPE, SLOPES, INPUTS } keeping;

/* x   keep: [tape][ldx], all of the tape; else work, whose halves serve in turn
 * out [out][ld]; NULL: F itself is not wanted, only the tape */
static void forward(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *x, size_t ldx, keeping keep,
                    nde_real *out) {
    const nde_mlp *mlp = self->ctx;
    const nde_kernels *kernels = kernels_of(at);
    const nde_real *from = x, *p = at->p, *weights = at->prepared;
    nde_real *const buffer[2] = { x, x + self->work/32*16*ldx };
    size_t ld = ldx;
    if (keep || mlp->width[0] > self->dim) gather(self, at, y, at->u, at->q, at->t, x, ldx);
    else from = y, ld = at->ld;
    for (size_t l = 0; l < mlp->layers; l++) {
        const nde_layer k = nde_layer_at(mlp, l);
        const size_t n = at->n, rows = k.out;
        const bool last = l + 1 == mlp->layers, by_input = nde_activation_keeps_input(k.id);
        const bool wanted = !last || out;
        if (!wanted && k.id == NDE_IDENTITY) return;
        const block next = last && out ? (block){ out, at->ld } : (block){ keep ? x + k.tape*ldx : buffer[(l + 1) % 2], ldx };
        const block kept = keep && k.apart ? (block){ x + (k.tape - rows)*ldx, ldx } : next;
        const block z = keep && k.norm ? (block){ x + k.in*ldx, ldx } : kept, s = by_input ? next : kept;
        nde_dense_product(kernels, rows, n, k.in, weights, 1, rows, from, ld, p + k.in*rows, z.x, z.ld);
        if (k.norm) {
            const nde_real *gain = p + (k.in + 1)*rows;
            kernels->norm->value(rows, n, mlp->norm_epsilon > 0 ? mlp->norm_epsilon : 1e-5, gain, gain + rows, z.x, z.ld,
                                 keep ? z.x + rows*ldx : NULL, kept.x, kept.ld);
        }
        if (keep == SLOPES && k.slopes)
            kernels->activation->with_slope(k.id, rows, n, kept.x, kept.ld, wanted ? s.x : NULL, s.ld);
        else if (wanted || !by_input)
            kernels->activation->value(k.id, rows, n, kept.x, kept.ld, s.x, s.ld);
        if (!wanted) return;
        if (k.residual) kernels->norm->add(rows, n, s.x, s.ld, from, ld, next.x, next.ld);
        else if (s.x != next.x) copy_rows(rows, n, s.x, s.ld, next.x, next.ld);
        from = next.x, ld = next.ld;
        x += keep ? k.tape*ldx : 0;
        p += k.np;
        weights += k.in*rows;
    }
}

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    if (at->tape) forward(self, at, y, at->tape, at->tape_ld, SLOPES, dy);
    else forward(self, at, y, at->work, at->ld, NO_TAPE, dy);
    return NDE_FIELD_OK;
}

/* What a layer's rows of a tape at x give; gain and shift of its parameters p. */
typedef struct part {
    const nde_real *kept, *normal, *r, *gain, *shift;
    size_t ld_kept;
} part;

/* again: [out][ld], written where z' is needed and not on the tape. */
static part read_part(const nde_kernels *kernels, const nde_layer *k, size_t n, const nde_real *x, size_t ldx,
                      const nde_real *p, nde_real *again, size_t ld) {
    part y = { .kept = x + (k->tape - (k->apart ? k->out : 0))*ldx, .ld_kept = ldx };
    if (!k->norm) return y;
    y.normal = x + k->in*ldx, y.r = y.normal + k->out*ldx;
    y.gain = p + (k->in + 1)*k->out, y.shift = y.gain + k->out;
    if (!nde_activation_keeps_input(k->id)) return y;
    kernels->norm->again(k->out, n, y.gain, y.shift, y.normal, ldx, again, ld);
    y.kept = again, y.ld_kept = ld;
    return y;
}

/* d = a s', from what the layer has on a tape for first derivatives. */
static void apply_slope(const nde_kernels *kernels, const nde_layer *k, size_t n, const part *on, const nde_real *a, size_t lda,
                        nde_real *d, size_t ldd) {
    if (k->slopes) kernels->norm->multiply(k->out, n, a, lda, on->kept, on->ld_kept, d, ldd);
    else kernels->activation->slope(k->id, k->out, n, on->kept, on->ld_kept, a, lda, d, ldd);
}

/* ---- reverse ---- */

/* The first of the buffers, `size` reals apart, that is neither a nor b. */
static nde_real *other_than(nde_real *buffer, size_t size, const nde_real *a, const nde_real *b) {
    while (buffer == a || buffer == b) buffer += size;
    return buffer;
}

/* ap [np of the layer] += gradient of n columns: d and d_norm the cotangents of z and z', x the layer's rows of the tape. */
static void add_gradient(const nde_kernels *kernels, const nde_layer *k, size_t n, const nde_real *d, const nde_real *d_norm,
                         size_t ld, const nde_real *x, size_t ldx, double *ap) {
    kernels->dense->outer(k->out, n, k->in, d, ld, x, ldx, ap, ap + k->in*k->out);
    ap += (k->in + 1)*k->out;
    if (k->norm) kernels->norm->gradient(k->out, n, d_norm, ld, x + k->in*ldx, ldx, ap, ap + k->out);
}

static int vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const nde_mlp *mlp = self->ctx;
    const nde_kernels *kernels = kernels_of(at);
    size_t first;
    const size_t n = at->n, end = rows_wanted(self, to, &first), size = widest(mlp)*at->ld;
    if (first == end && !to->p && !to->cotape) return NDE_FIELD_OK;

    nde_real *const buffer = at->work + nde_aligned_rows(self->tape)*at->ld;
    const size_t ldx = at->tape ? at->tape_ld : at->ld;
    const nde_real *x = at->tape ? at->tape : at->work, *p = at->p + self->np;
    if (!at->tape) forward(self, at, y, at->work, ldx, SLOPES, NULL);
    x += self->tape*ldx;

    double *ap = to->p && !to->cotape ? to->p + self->np : NULL;
    nde_real *cotape = to->cotape ? to->cotape + self->cotape*at->tape_ld : NULL;
    const nde_real *upper = a; /* cotangent of x_{l+1}; own: the same where it may be overwritten */
    nde_real *own = NULL;
    size_t ld_upper = at->ld;
    for (size_t l = mlp->layers; l-- > 0;) {
        const nde_layer k = nde_layer_at(mlp, l);
        x -= k.tape*ldx, p -= k.np;
        const part on = read_part(kernels, &k, n, x, ldx, p, buffer + 3*size, at->ld);
        const nde_real *held = k.residual ? own : NULL, *d = upper, *d_norm = upper;
        size_t ld = ld_upper;
        if (cotape || k.norm || k.id != NDE_IDENTITY) {
            ld = cotape ? at->tape_ld : at->ld;
            nde_real *z = own && !held ? own : other_than(buffer, size, own, NULL);
            if (cotape) z = cotape - k.out*ld, cotape -= (k.norm ? 2 : 1)*k.out*ld;
            apply_slope(kernels, &k, n, &on, upper, ld_upper, z, ld);
            d = d_norm = z;
            if (k.norm) {
                nde_real *to_z = cotape ? cotape : other_than(buffer, size, z, held);
                kernels->norm->reverse(k.out, n, on.gain, on.normal, ldx, on.r, z, ld, to_z, ld);
                d = to_z;
            }
        }
        if (ap) add_gradient(kernels, &k, n, d, d_norm, ld, x, ldx, ap -= k.np);

        const size_t from = l ? 0 : first, rows = l ? k.in : end - first;
        if (rows == 0) return NDE_FIELD_OK;
        const bool straight = cotape && l > 0 && !(mlp->residual && mlp->width[l - 1] == k.in);
        nde_real *below = straight ? cotape - k.in*ld : other_than(buffer, size, d, held);
        const size_t ld_below = straight ? ld : at->ld;
        nde_dense_product(kernels, rows, n, k.out, p + from, 1, k.in, d, ld, NULL, below, ld_below);
        if (held) kernels->norm->add(rows, n, held + from*ld_upper, ld_upper, below, ld_below, below, ld_below);
        upper = own = below, ld_upper = ld_below;
    }
    scatter(self, at, first, end, upper, to);
    return NDE_FIELD_OK;
}

static int vjp_window(const nde_field *self, const nde_site *window, const nde_real *cotape, double *ap) {
    const nde_mlp *mlp = self->ctx;
    const nde_kernels *kernels = kernels_of(window);
    const nde_real *x = window->tape;
    const size_t ld = window->tape_ld;
    for (size_t l = 0; l < mlp->layers; l++) {
        const nde_layer k = nde_layer_at(mlp, l);
        add_gradient(kernels, &k, window->n, cotape, cotape + k.out*ld, ld, x, ld, ap);
        x += k.tape*ld;
        cotape += (k.norm ? 2 : 1)*k.out*ld;
        ap += k.np;
    }
    return NDE_FIELD_OK;
}

/* ---- forward mode ---- */

/* x_l of a layer for the lanes of one direction: those of the tape where there is one, else a tape of their own. */
typedef struct primal {
    const nde_real *x;
    size_t lanes, ld;
} primal;

/* dz = W dx + V x + c, (V, c) the direction of the layer's parameters: NULL is zero. sum: scratch. */
static void tangent_product(const nde_kernels *kernels, size_t n, size_t ld, const nde_layer *k, const nde_real *weights,
                            const nde_real *dx, const nde_real *v_p, size_t stride, primal of, nde_real *sum, nde_real *dz) {
    nde_dense_product(kernels, k->out, n, k->in, weights, 1, k->out, dx, ld, NULL, dz, ld);
    for (size_t b = 0; b < n && v_p; b += of.lanes, v_p += stride) {
        nde_dense_product(kernels, k->out, of.lanes, k->in, v_p, k->in, 1, of.x, of.ld, v_p + k->in*k->out, sum, of.ld);
        kernels->norm->add(k->out, of.lanes, dz + b, ld, sum, of.ld, dz + b, ld);
    }
}

/* Along v, on the tape in work that `forward` left there.
 * dx  keep: [tangents], all of them but dx_L, and the tape is one for second derivatives; else two buffers
 * sum two buffers; dv [out][ld], not with keep */
static void push(const nde_field *self, const nde_site *at, const nde_tangent *v, primal of, nde_real *dx, bool keep,
                 nde_real *sum, nde_real *dv) {
    const nde_mlp *mlp = self->ctx;
    const nde_kernels *kernels = kernels_of(at);
    const size_t n = at->n, ld = at->ld, size = widest(mlp)*ld;
    nde_real *const buffer = dx;
    const nde_real *x = at->work, *p = at->p, *weights = at->prepared, *v_p = v->p;
    gather(self, at, v->y, v->u, v->q, v->t, dx, ld);
    for (size_t l = 0; l < mlp->layers; l++) {
        const nde_layer k = nde_layer_at(mlp, l);
        const bool last = l + 1 == mlp->layers;
        const part on = read_part(kernels, &k, n, x, ld, p, sum + size, ld);
        nde_real *dz = keep ? dx + k.in*ld : last ? dv : other_than(buffer, size, dx, NULL);
        nde_real *dz_norm = keep && k.norm ? dz + 2*k.out*ld : dz, *next = keep ? dz_norm + k.out*ld : dz;
        tangent_product(kernels, n, ld, &k, weights, dx, v_p, v->p_stride, of, sum, dz);
        for (size_t b = 0, d = 0; k.norm && b < n; b += of.lanes, d += v->p_stride) {
            const nde_real *gain = v_p ? v_p + d + (k.in + 1)*k.out : NULL;
            kernels->norm->tangent(k.out, of.lanes, on.gain, gain, gain ? gain + k.out : NULL, on.normal + b, ld, on.r + b,
                                   dz + b, (keep ? dz + k.out*ld : dz) + b, dz_norm + b, ld);
        }
        if (keep && last) return;
        if (keep) kernels->activation->slope(k.id, k.out, n, on.kept, on.ld_kept, dz_norm, ld, next, ld);
        else apply_slope(kernels, &k, n, &on, dz_norm, ld, next, ld);
        if (k.residual) kernels->norm->add(k.out, n, dx, ld, next, ld, next, ld);
        dx = next;
        x += k.tape*ld, of.x += k.tape*of.ld;
        p += k.np;
        weights += k.in*k.out;
        if (v_p) v_p += k.np;
    }
}

static primal forward_all(const nde_field *self, const nde_site *at, const nde_real *y, keeping keep) {
    forward(self, at, y, at->work, at->ld, keep, NULL);
    return (primal){ at->work, at->n, at->ld };
}

/* Lanes that repeat are evaluated once, onto a tape in `own`, and copied. */
static primal forward_once(const nde_field *self, const nde_site *at, const nde_real *y, size_t lanes, nde_real *own) {
    const size_t ld = nde_leading_dimension(lanes, sizeof *own);
    nde_site one = *at;
    one.n = lanes;
    forward(self, &one, y, own, ld, SLOPES, NULL);
    for (size_t i = 0; i < self->tape; i++)
        for (size_t b = 0; b < at->n; b += lanes) copy_rows(1, lanes, own + i*ld, ld, at->work + i*at->ld + b, at->ld);
    return (primal){ own, lanes, ld };
}

/* The tape of one direction has less than half of the lanes: it fits where vjp_jvp has tangents. */
static int jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const size_t size = widest(self->ctx)*at->ld;
    nde_real *const buffer = at->work + nde_aligned_rows(self->tape)*at->ld;
    const bool once = v->lanes && nde_leading_dimension(v->lanes, sizeof *y) <= at->ld/2;
    const primal of = once ? forward_once(self, at, y, v->lanes, buffer + 4*size) : forward_all(self, at, y, SLOPES);
    push(self, at, v, v->lanes && !once ? (primal){ of.x, v->lanes, of.ld } : of, buffer, false, buffer + 2*size, dv);
    return NDE_FIELD_OK;
}

/* By columns or rows, whichever are fewer, on one tape. */
static int jacobian(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *j) {
    const size_t ld = at->ld, size = widest(self->ctx)*ld, dim = self->dim, out = self->out;
    const bool by_columns = dim < out;
    nde_real *const buffer = at->work + nde_aligned_rows(self->tape)*ld, *unit = buffer + 4*size, *column = buffer + 5*size;
    nde_site taped = *at;
    taped.tape = at->work, taped.tape_ld = ld;
    const primal of = forward_all(self, at, y, SLOPES);
    copy_rows(by_columns ? dim : out, at->n, NULL, ld, unit, ld);
    if (!by_columns) copy_rows(out*dim, at->n, NULL, ld, j, ld);
    for (size_t i = 0; i < (by_columns ? dim : out); i++) {
        for (size_t b = 0; b < at->n; b++) unit[i*ld + b] = 1;
        if (by_columns) {
            const nde_tangent v = { .y = unit };
            push(self, at, &v, of, buffer, false, buffer + 2*size, column);
            for (size_t o = 0; o < out; o++) copy_rows(1, at->n, column + o*ld, ld, j + (o*dim + i)*ld, ld);
        } else {
            nde_cotangent row = { .y = j + i*dim*ld };
            vjp(self, &taped, y, unit, &row);
        }
        copy_rows(1, at->n, NULL, ld, unit + i*ld, ld);
    }
    return NDE_FIELD_OK;
}

/* ---- second order ---- */

/* With cotangents alpha of z_l and beta of dz_l, from A of x_{l+1} and B of dx_{l+1}, without a norm:
 *   alpha = A s'(z) + B dz s''(z), beta = B s'(z)
 *   A of x_l = W' alpha + V' beta, B of dx_l = W' beta, with a residual + A and + B;
 *   W += alpha x' + beta dx', V += beta x'. */
static int vjp_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, const nde_real *a,
                   const nde_real *b, nde_cotangent *to_y, nde_cotangent *to_v) {
    const nde_mlp *mlp = self->ctx;
    const nde_kernels *kernels = kernels_of(at);
    nde_cotangent none = { 0 };
    if (!to_v) to_v = &none;
    const size_t n = at->n, ld = at->ld, size = widest(mlp)*ld, tangents = sum_up(mlp).tangents;
    nde_real *dx = at->work + nde_aligned_rows(self->tape)*ld;
    nde_real *alpha = dx + nde_aligned_rows(tangents)*ld, *beta = alpha + size, *alpha_next = alpha + 2*size;
    nde_real *beta_next = alpha + 3*size, *sum = alpha + 4*size, *held = alpha + 6*size;
    push(self, at, v, forward_all(self, at, y, INPUTS), dx, true, sum, NULL);

    const nde_real *x = at->work + self->tape*ld, *p = at->p + self->np, *v_p = v->p ? v->p + self->np : NULL;
    double *p_y = to_y->p ? to_y->p + self->np : NULL, *p_v = to_v->p ? to_v->p + self->np : NULL;
    dx += tangents*ld;
    copy_rows(self->out, n, a, ld, alpha, ld);
    copy_rows(self->out, n, b, ld, beta, ld);
    for (size_t l = mlp->layers; l-- > 0;) {
        const nde_layer k = nde_layer_at(mlp, l);
        const size_t in = k.in, out = k.out, gains = (in + 1)*out;
        x -= k.tape*ld, dx -= tangent_rows(&k)*ld, p -= k.np;
        if (v_p) v_p -= k.np;
        const part on = read_part(kernels, &k, n, x, ld, p, sum + size, ld);
        const nde_real *dz = dx + in*ld, *dz_normal = dz + out*ld, *dz_norm = k.norm ? dz + 2*out*ld : dz;
        if (k.residual) copy_rows(out, n, alpha, ld, held, ld), copy_rows(out, n, beta, ld, held + size, ld);
        kernels->activation->curve(k.id, out, n, ld, on.kept, dz_norm, alpha, beta);
        if (p_y) p_y -= k.np;
        if (p_v) p_v -= k.np;
        if (k.norm) {
            if (p_y) kernels->norm->gradient(out, n, alpha, ld, on.normal, ld, p_y + gains, p_y + gains + out);
            if (p_y) kernels->norm->gradient(out, n, beta, ld, dz_normal, ld, p_y + gains, NULL);
            if (p_v) kernels->norm->gradient(out, n, beta, ld, on.normal, ld, p_v + gains, p_v + gains + out);
            kernels->norm->second(out, n, ld, on.gain, v_p ? v_p + gains : NULL, on.normal, on.r, dz, dz_normal, alpha, beta);
        }
        if (p_y) kernels->dense->outer(out, n, in, alpha, ld, x, ld, p_y, p_y + in*out);
        if (p_y) kernels->dense->outer(out, n, in, beta, ld, dx, ld, p_y, NULL);
        if (p_v) kernels->dense->outer(out, n, in, beta, ld, x, ld, p_v, p_v + in*out);
        nde_dense_product(kernels, in, n, out, p, 1, in, alpha, ld, NULL, alpha_next, ld);
        nde_dense_product(kernels, in, n, out, p, 1, in, beta, ld, NULL, beta_next, ld);
        if (v_p) {
            nde_dense_product(kernels, in, n, out, v_p, 1, in, beta, ld, NULL, sum, ld);
            kernels->norm->add(in, n, sum, ld, alpha_next, ld, alpha_next, ld);
        }
        if (k.residual) {
            kernels->norm->add(in, n, held, ld, alpha_next, ld, alpha_next, ld);
            kernels->norm->add(in, n, held + size, ld, beta_next, ld, beta_next, ld);
        }
        nde_real *swap;
        swap = alpha, alpha = alpha_next, alpha_next = swap;
        swap = beta, beta = beta_next, beta_next = swap;
    }
    scatter(self, at, 0, mlp->width[0], alpha, to_y);
    scatter(self, at, 0, mlp->width[0], beta, to_v);
    return NDE_FIELD_OK;
}

/* to [in][out] = transpose of w [out][in], by strips that fill whole cache lines of both. */
static void transpose(size_t out, size_t in, const nde_real *w, nde_real *to) {
    enum { STRIP = 8 };
    size_t o = 0;
    for (; o + STRIP <= out; o += STRIP)
        for (size_t i = 0; i < in; i++)
            for (size_t j = 0; j < STRIP; j++) to[i*out + o + j] = w[(o + j)*in + i];
    for (; o < out; o++)
        for (size_t i = 0; i < in; i++) to[i*out + o] = w[o*in + i];
}

static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const nde_mlp *mlp = self->ctx;
    for (size_t l = 0; l < mlp->layers; l++) {
        const nde_layer k = nde_layer_at(mlp, l);
        transpose(k.out, k.in, p, prepared);
        p += k.np;
        prepared += k.in*k.out;
    }
    return NDE_FIELD_OK;
}

/* ---- construction ---- */

static bool is_flag(int32_t x) { return x == 0 || x == 1; }
static bool is_activation(int32_t x) { return x >= NDE_ACTIVATION_DEFAULT && x <= NDE_LIPSWISH; }

/* Each member by itself. */
static nde_status check_members(const nde_mlp *m, const char *who) {
    if (m->layers == 0) return nde_fail(NDE_E_ARG, "%s: mlp.layers is 0", who);
    if (!m->width) return nde_fail(NDE_E_ARG, "%s: mlp.width is NULL", who);
    if (m->layers >= PTRDIFF_MAX/sizeof *m->width) return nde_fail(NDE_E_SIZE, "%s: mlp.layers is %zu", who, m->layers);
    if (!is_activation(m->hidden)) return nde_fail(NDE_E_ARG, "%s: mlp.hidden is %d", who, (int)m->hidden);
    if (!is_activation(m->last)) return nde_fail(NDE_E_ARG, "%s: mlp.last is %d", who, (int)m->last);
    if (!is_flag(m->time_input)) return nde_fail(NDE_E_ARG, "%s: mlp.time_input is %d", who, (int)m->time_input);
    if (!is_flag(m->residual)) return nde_fail(NDE_E_ARG, "%s: mlp.residual is %d", who, (int)m->residual);
    if (!is_flag(m->layer_norm)) return nde_fail(NDE_E_ARG, "%s: mlp.layer_norm is %d", who, (int)m->layer_norm);
    if (!(m->norm_epsilon >= 0) || !isfinite(m->norm_epsilon))
        return nde_fail(NDE_E_ARG, "%s: mlp.norm_epsilon is %g", who, m->norm_epsilon);
    return NDE_OK;
}

nde_status nde_mlp_validate(const nde_mlp *mlp, const char *who) {
    nde_mlp m;
    if (!mlp) return nde_fail(NDE_E_ARG, "%s: mlp is NULL", who);
    if (!nde_read_sized(&m, sizeof m, mlp, sizeof m))
        return nde_fail(NDE_E_ARG, "%s: mlp.size is %zu, this library knows %zu", who, mlp->size, sizeof m);
    const nde_status status = check_members(&m, who);
    if (status != NDE_OK) return status;
    size_t extra = (size_t)m.time_input, rows = 0, weights = 0;
    bool fits = nde_size_grow(&extra, m.inputs_u, 1) && nde_size_grow(&extra, m.inputs_q, 1);
    for (size_t i = 0; i <= m.layers && fits; i++) {
        if (m.width[i] == 0) return nde_fail(NDE_E_ARG, "%s: mlp.width[%zu] is 0", who, i);
        fits = nde_size_grow(&rows, m.width[i], 1) && (i == 0 || nde_size_grow(&weights, m.width[i - 1], m.width[i]));
    }
    if (!fits || rows > SIZE_MAX/64 || weights > SIZE_MAX/64) /* room for all that is made of them: less than 32 times rows */
        return nde_fail(NDE_E_SIZE, "%s: the widths of mlp are too large", who);
    if (m.width[0] <= extra)
        return nde_fail(NDE_E_ARG, "%s: mlp.width[0] is %zu, but u, q and t alone take %zu inputs", who, m.width[0], extra);
    return NDE_OK;
}

nde_field nde_field_mlp(const nde_mlp *mlp) {
    const nde_field none = { 0 };
    if (nde_mlp_validate(mlp, "nde_field_mlp") != NDE_OK) return none;
    const sums s = sum_up(mlp);
    const size_t in = mlp->width[0], dim = in - mlp->inputs_u - mlp->inputs_q - (size_t)mlp->time_input;
    const nde_field field = {
        .size = sizeof field, .name = "mlp", .ctx = mlp,
        .dim = dim, .nu = mlp->inputs_u, .nq = mlp->inputs_q, .np = s.np, .out = mlp->width[mlp->layers],
        .tape = s.tape, .cotape = s.cotape, .prepared = s.weights,
        .work = nde_aligned_rows(s.tape) + nde_aligned_rows(s.tangents) + 8*widest(mlp),
        .traits = NDE_LANEWISE | NDE_DIRECTIONS | (mlp->time_input ? 0u : NDE_AUTONOMOUS),
        .gemm_eval = 2*(double)s.weights,
        .gemm_vjp = 4*(double)s.weights - 2*((double)in - (double)dim)*(double)mlp->width[1],
        .eval = eval, .vjp = vjp, .vjp_window = vjp_window, .jvp = jvp, .vjp_jvp = vjp_jvp, .jacobian = jacobian,
        .prepare = prepare,
    };
    return nde_field_validate(&field, "nde_field_mlp") == NDE_OK ? field : none;
}
