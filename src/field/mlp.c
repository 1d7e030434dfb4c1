/* SPDX-License-Identifier: MIT
 * mlp.c - the fully connected network as a field: x_0 = (y, u, q, t), z_l = W_l x_l + b_l, x_{l+1} = s(z_l), F = x_L.
 *
 * tape      x_0 ... x_{L-1}, and x_L when the last layer has an activation: its derivative is taken from its value
 * cotape    the deltas, cotangents of z_0 ... z_{L-1}
 * prepared  W_0' ... W_{L-1}', each [in][out]: the forward product reads its weights along rows, and below one vector of
 *           lanes the lanes run over outputs
 * All sums run over k ascending in one accumulator, so that a lane has the same bits in every batch. */
#include "field/parts.h"
#include "core/blas.h"
#include "core/dense.h"

#include <math.h>
#include <string.h>

static int activation(const nde_mlp *mlp, size_t layer) {
    if (layer + 1 < mlp->layers) return mlp->hidden == NDE_ACTIVATION_DEFAULT ? NDE_TANH : mlp->hidden;
    return mlp->last == NDE_ACTIVATION_DEFAULT ? NDE_IDENTITY : mlp->last;
}

static size_t widest(const nde_mlp *mlp) {
    size_t rows = 0;
    for (size_t i = 0; i <= mlp->layers; i++) rows = mlp->width[i] > rows ? mlp->width[i] : rows;
    return nde_aligned_rows(rows);
}

static const nde_kernels *kernels_of(const nde_site *at) {
    return at->kernels ? at->kernels : nde_kernels_get(NDE_ISA_AUTO, false);
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

/* Rows of x_0 that a cotangent is wanted of: none, y's, all. */
static size_t rows_wanted(const nde_field *self, const nde_cotangent *to) {
    const nde_mlp *mlp = self->ctx;
    if ((to->u && mlp->inputs_u) || (to->q && mlp->inputs_q) || (to->t && mlp->time_input)) return mlp->width[0];
    return to->y ? self->dim : 0;
}

static void scatter(const nde_field *self, const nde_site *at, size_t rows, const nde_real *d, nde_cotangent *to) {
    const nde_mlp *mlp = self->ctx;
    d = add_rows(self->dim, at, d, to->y);
    if (rows == self->dim) return;
    d = add_rows(mlp->inputs_u, at, d, to->u);
    d = add_rows(mlp->inputs_q, at, d, to->q);
    if (mlp->time_input && to->t)
        for (size_t b = 0; b < at->n; b++) to->t[b] += (double)d[b];
}

/* ---- F and its derivatives ---- */

/* x   keep: [tape][ldx], all of the tape; else two buffers of widest() rows in turn
 * out [out][ld]; NULL: F itself is not wanted, only the tape */
static void forward(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *x, size_t ldx, bool keep,
                    nde_real *out) {
    const nde_mlp *mlp = self->ctx;
    const nde_kernels *kernels = kernels_of(at);
    const nde_dense_kernels *dense = kernels->dense;
    const nde_real *from = x, *p = at->p, *weights = at->prepared;
    nde_real *buffer[2] = { x, x + widest(mlp)*ldx };
    size_t ld = ldx;
    if (keep || mlp->width[0] > self->dim) gather(self, at, y, at->u, at->q, at->t, x, ldx);
    else from = y, ld = at->ld;
    for (size_t l = 0; l < mlp->layers; l++) {
        const size_t in = mlp->width[l], rows = mlp->width[l + 1];
        const bool last = l + 1 == mlp->layers;
        const int id = activation(mlp, l);
        if (last && !out && id == NDE_IDENTITY) return;
        nde_real *next = keep ? (x += in*ldx) : buffer[(l + 1) % 2], *to = last && out ? out : next;
        const size_t ld_to = last && out ? at->ld : ldx;
        nde_dense_product(kernels, rows, at->n, in, weights, 1, rows, from, ld, p + in*rows, to, ld_to);
        dense->activate(id, rows, at->n, to, ld_to);
        if (keep && to == out && id != NDE_IDENTITY) copy_rows(rows, at->n, out, at->ld, next, ldx);
        from = to, ld = ld_to;
        p += (in + 1)*rows;
        weights += in*rows;
    }
}

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    if (at->tape) forward(self, at, y, at->tape, at->tape_ld, true, dy);
    else forward(self, at, y, at->work, at->ld, false, dy);
    return NDE_FIELD_OK;
}

static int vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const nde_mlp *mlp = self->ctx;
    const nde_kernels *kernels = kernels_of(at);
    const nde_dense_kernels *dense = kernels->dense;
    const size_t n = at->n, wanted = rows_wanted(self, to), wide = widest(mlp);
    if (!wanted && !to->p && !to->cotape) return NDE_FIELD_OK;

    const nde_real *x = at->tape;
    size_t ldx = at->tape_ld;
    nde_real *buffer[2] = { at->work + nde_aligned_rows(self->tape)*at->ld, NULL };
    buffer[1] = buffer[0] + wide*at->ld;
    if (!x) {
        forward(self, at, y, at->work, at->ld, true, NULL);
        x = at->work, ldx = at->ld;
    }

    size_t l = mlp->layers - 1;
    const size_t ld = to->cotape ? at->tape_ld : at->ld;
    nde_real *cotape = to->cotape ? to->cotape + (self->cotape - self->out)*at->tape_ld : NULL;
    const nde_real *p = at->p + self->np, *delta = a;
    double *ap = to->p ? to->p + self->np : NULL;
    size_t ld_delta = at->ld;
    x += (self->tape - (activation(mlp, l) == NDE_IDENTITY ? 0 : self->out))*ldx;
    if (cotape || activation(mlp, l) != NDE_IDENTITY) {
        nde_real *d = cotape ? cotape : buffer[0];
        dense->slope(activation(mlp, l), self->out, n, x, ldx, a, at->ld, d, ld);
        delta = d, ld_delta = ld;
    }
    for (;; l--) { /* delta is the cotangent of z_l */
        const size_t in = mlp->width[l], out = mlp->width[l + 1];
        x -= in*ldx;
        p -= (in + 1)*out;
        if (ap) ap -= (in + 1)*out;
        if (ap && !cotape) dense->outer(out, n, in, delta, ld_delta, x, ldx, ap, ap + in*out);
        if (l == 0) break;
        nde_real *d = cotape ? (cotape -= in*ld) : delta == buffer[0] ? buffer[1] : buffer[0];
        nde_dense_product(kernels, in, n, out, p, 1, in, delta, ld_delta, NULL, d, ld);
        dense->slope(activation(mlp, l - 1), in, n, x, ldx, d, ld, d, ld);
        delta = d, ld_delta = ld;
    }
    if (wanted) {
        nde_real *d = delta == buffer[0] ? buffer[1] : buffer[0];
        nde_dense_product(kernels, wanted, n, mlp->width[1], p, 1, mlp->width[0], delta, ld_delta, NULL, d, at->ld);
        scatter(self, at, wanted, d, to);
    }
    return NDE_FIELD_OK;
}

static int vjp_window(const nde_field *self, const nde_site *window, const nde_real *cotape, double *ap) {
    const nde_mlp *mlp = self->ctx;
    const nde_dense_kernels *dense = kernels_of(window)->dense;
    const nde_real *x = window->tape;
    const size_t ld = window->tape_ld;
    for (size_t l = 0; l < mlp->layers; l++) {
        const size_t in = mlp->width[l], out = mlp->width[l + 1];
        dense->outer(out, window->n, in, cotape, ld, x, ld, ap, ap + in*out);
        x += in*ld;
        cotape += out*ld;
        ap += (in + 1)*out;
    }
    return NDE_FIELD_OK;
}

/* dz = W dx + V x + c, (V, c) the direction of the layer's parameters: NULL is zero. sum: scratch. */
static void tangent_layer(const nde_kernels *kernels, size_t n, size_t ld, size_t in, size_t out, const nde_real *weights,
                          const nde_real *dx, const nde_real *v_p, const nde_real *x, size_t ld_x, nde_real *sum, nde_real *dz,
                          size_t ld_dz) {
    nde_dense_product(kernels, out, n, in, weights, 1, out, dx, ld, NULL, dz, ld_dz);
    if (!v_p) return;
    nde_dense_product(kernels, out, n, in, v_p, in, 1, x, ld_x, v_p + in*out, sum, ld);
    for (size_t i = 0; i < out; i++)
        for (size_t b = 0; b < n; b++) dz[i*ld_dz + b] += sum[i*ld + b];
}

static int jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const nde_mlp *mlp = self->ctx;
    const nde_kernels *kernels = kernels_of(at);
    const nde_dense_kernels *dense = kernels->dense;
    const size_t n = at->n, ld = at->ld, wide = widest(mlp)*ld;
    nde_real *x = at->work, *x_next = x + wide, *dx = x + 2*wide, *dx_next = x + 3*wide, *sum = x + 4*wide;
    const nde_real *p = at->p, *weights = at->prepared, *v_p = v->p;
    gather(self, at, y, at->u, at->q, at->t, x, ld);
    gather(self, at, v->y, v->u, v->q, v->t, dx, ld);
    for (size_t l = 0; l < mlp->layers; l++) {
        const size_t in = mlp->width[l], out = mlp->width[l + 1];
        const int id = activation(mlp, l);
        nde_real *dz = l + 1 < mlp->layers ? dx_next : dv, *swap;
        tangent_layer(kernels, n, ld, in, out, weights, dx, v_p, x, ld, sum, dz, ld);
        if (l + 1 < mlp->layers || id != NDE_IDENTITY) {
            nde_dense_product(kernels, out, n, in, weights, 1, out, x, ld, p + in*out, x_next, ld);
            dense->activate(id, out, n, x_next, ld);
            dense->slope(id, out, n, x_next, ld, dz, ld, dz, ld);
        }
        swap = x, x = x_next, x_next = swap;
        swap = dx, dx = dx_next, dx_next = swap;
        p += (in + 1)*out;
        weights += in*out;
        if (v_p) v_p += (in + 1)*out;
    }
    return NDE_FIELD_OK;
}

/* With cotangents alpha of z_l and beta of dz_l, from A of x_{l+1} and B of dx_{l+1}:
 *   alpha = A s'(z) + B dz s''(z), beta = B s'(z)
 *   A of x_l = W' alpha + V' beta, B of dx_l = W' beta;  W += alpha x' + beta dx', V += beta x'. */
static int vjp_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, const nde_real *a,
                   const nde_real *b, nde_cotangent *to_y, nde_cotangent *to_v) {
    const nde_mlp *mlp = self->ctx;
    const nde_kernels *kernels = kernels_of(at);
    const nde_dense_kernels *dense = kernels->dense;
    const size_t n = at->n, ld = at->ld, wide = widest(mlp)*ld, all = nde_aligned_rows(self->cotape + mlp->width[0])*ld;
    nde_real *x = at->work, *dx = x + all, *dz = dx + all;
    nde_real *alpha = dz + all, *beta = alpha + wide, *alpha_next = alpha + 2*wide, *beta_next = alpha + 3*wide;
    nde_real *sum = alpha + 4*wide;

    const nde_real *p = at->p, *weights = at->prepared, *v_p = v->p;
    gather(self, at, y, at->u, at->q, at->t, x, ld);
    gather(self, at, v->y, v->u, v->q, v->t, dx, ld);
    for (size_t l = 0; l < mlp->layers; l++) {
        const size_t in = mlp->width[l], out = mlp->width[l + 1];
        const int id = activation(mlp, l);
        nde_real *x_next = x + in*ld, *dx_next = dx + in*ld;
        tangent_layer(kernels, n, ld, in, out, weights, dx, v_p, x, ld, sum, dz, ld);
        nde_dense_product(kernels, out, n, in, weights, 1, out, x, ld, p + in*out, x_next, ld);
        dense->activate(id, out, n, x_next, ld);
        dense->slope(id, out, n, x_next, ld, dz, ld, dx_next, ld);
        x = x_next, dx = dx_next;
        dz += out*ld;
        p += (in + 1)*out;
        weights += in*out;
        if (v_p) v_p += (in + 1)*out;
    }

    nde_cotangent none = { 0 };
    if (!to_v) to_v = &none;
    double *p_y = to_y->p ? to_y->p + self->np : NULL, *p_v = to_v->p ? to_v->p + self->np : NULL;
    copy_rows(self->out, n, a, ld, alpha, ld);
    copy_rows(self->out, n, b, ld, beta, ld);
    for (size_t l = mlp->layers; l-- > 0;) {
        const size_t in = mlp->width[l], out = mlp->width[l + 1];
        dz -= out*ld;
        dense->curve(activation(mlp, l), out, n, ld, x, dz, alpha, beta);
        x -= in*ld, dx -= in*ld;
        p -= (in + 1)*out;
        if (v_p) v_p -= (in + 1)*out;
        if (p_y) {
            p_y -= (in + 1)*out;
            dense->outer(out, n, in, alpha, ld, x, ld, p_y, p_y + in*out);
            dense->outer(out, n, in, beta, ld, dx, ld, p_y, NULL);
        }
        if (p_v) {
            p_v -= (in + 1)*out;
            dense->outer(out, n, in, beta, ld, x, ld, p_v, p_v + in*out);
        }
        nde_dense_product(kernels, in, n, out, p, 1, in, alpha, ld, NULL, alpha_next, ld);
        nde_dense_product(kernels, in, n, out, p, 1, in, beta, ld, NULL, beta_next, ld);
        if (v_p) {
            nde_dense_product(kernels, in, n, out, v_p, 1, in, beta, ld, NULL, sum, ld);
            add_rows(in, at, sum, alpha_next);
        }
        nde_real *swap;
        swap = alpha, alpha = alpha_next, alpha_next = swap;
        swap = beta, beta = beta_next, beta_next = swap;
    }
    scatter(self, at, mlp->width[0], alpha, to_y);
    scatter(self, at, mlp->width[0], beta, to_v);
    return NDE_FIELD_OK;
}

static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const nde_mlp *mlp = self->ctx;
    for (size_t l = 0; l < mlp->layers; l++) {
        const size_t in = mlp->width[l], out = mlp->width[l + 1];
        for (size_t o = 0; o < out; o++)
            for (size_t i = 0; i < in; i++) prepared[i*out + o] = p[o*in + i];
        p += (in + 1)*out;
        prepared += in*out;
    }
    return NDE_FIELD_OK;
}

/* ---- construction ---- */

/* Checks a description and sums its sizes up: rows of x_0 ... x_L, weights. */
static nde_status measure(const nde_mlp *mlp, const char *who, size_t *rows, size_t *weights) {
    nde_mlp m;
    if (!mlp) return nde_fail(NDE_E_ARG, "%s: mlp is NULL", who);
    if (!nde_read_sized(&m, sizeof m, mlp, sizeof m))
        return nde_fail(NDE_E_ARG, "%s: mlp.size is %zu, this library knows %zu", who, mlp->size, sizeof m);
    if (m.layers == 0) return nde_fail(NDE_E_ARG, "%s: mlp.layers is 0", who);
    if (!m.width) return nde_fail(NDE_E_ARG, "%s: mlp.width is NULL", who);
    if (m.layers >= PTRDIFF_MAX/sizeof *m.width) return nde_fail(NDE_E_SIZE, "%s: mlp.layers is %zu", who, m.layers);
    if (m.hidden < 0 || m.hidden > NDE_SOFTPLUS) return nde_fail(NDE_E_ARG, "%s: mlp.hidden is %d", who, (int)m.hidden);
    if (m.last < 0 || m.last > NDE_SOFTPLUS) return nde_fail(NDE_E_ARG, "%s: mlp.last is %d", who, (int)m.last);
    if (m.time_input != 0 && m.time_input != 1)
        return nde_fail(NDE_E_ARG, "%s: mlp.time_input is %d", who, (int)m.time_input);
    size_t extra = (size_t)m.time_input;
    *rows = *weights = 0;
    bool fits = nde_size_grow(&extra, m.inputs_u, 1) && nde_size_grow(&extra, m.inputs_q, 1);
    for (size_t i = 0; i <= m.layers && fits; i++) {
        if (m.width[i] == 0) return nde_fail(NDE_E_ARG, "%s: mlp.width[%zu] is 0", who, i);
        fits = nde_size_grow(rows, m.width[i], 1) && (i == 0 || nde_size_grow(weights, m.width[i - 1], m.width[i]));
    }
    if (!fits || *rows > SIZE_MAX/64 || *weights > SIZE_MAX/64)
        return nde_fail(NDE_E_SIZE, "%s: the widths of mlp are too large", who);
    if (m.width[0] <= extra)
        return nde_fail(NDE_E_ARG, "%s: mlp.width[0] is %zu, but u, q and t alone take %zu inputs", who, m.width[0], extra);
    return NDE_OK;
}

nde_field nde_field_mlp(const nde_mlp *mlp) {
    const nde_field none = { 0 };
    size_t rows, weights;
    if (measure(mlp, "nde_field_mlp", &rows, &weights) != NDE_OK) return none;
    const size_t in = mlp->width[0], out = mlp->width[mlp->layers];
    const size_t dim = in - mlp->inputs_u - mlp->inputs_q - (size_t)mlp->time_input;
    const nde_field field = {
        .size = sizeof field, .name = "mlp", .ctx = mlp,
        .dim = dim, .nu = mlp->inputs_u, .nq = mlp->inputs_q, .np = weights + rows - in, .out = out,
        .tape = activation(mlp, mlp->layers - 1) == NDE_IDENTITY ? rows - out : rows, .cotape = rows - in,
        .work = 3*nde_aligned_rows(rows) + 5*widest(mlp), .prepared = weights,
        .traits = NDE_LANEWISE | (mlp->time_input ? 0u : NDE_AUTONOMOUS),
        .eval = eval, .vjp = vjp, .vjp_window = vjp_window, .jvp = jvp, .vjp_jvp = vjp_jvp, .prepare = prepare,
    };
    return nde_field_validate(&field, "nde_field_mlp") == NDE_OK ? field : none;
}

nde_status nde_mlp_init(const nde_mlp *mlp, uint64_t seed, nde_real *p) {
    size_t rows, weights;
    const nde_status status = measure(mlp, "nde_mlp_init", &rows, &weights);
    if (status != NDE_OK) return status;
    if (!p) return nde_fail(NDE_E_ARG, "nde_mlp_init: p is NULL");
    for (size_t l = 0; l < mlp->layers; l++) {
        const size_t in = mlp->width[l], out = mlp->width[l + 1];
        const double limit = sqrt(6/((double)in + (double)out));
        for (size_t i = 0; i < in*out; i++)
            *p++ = (nde_real)(limit*(2*nde_uniform(seed, NDE_PURPOSE_INITIALISATION, l, i, 0) - 1));
        for (size_t i = 0; i < out; i++) *p++ = 0;
    }
    return NDE_OK;
}
