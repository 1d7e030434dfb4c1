/* SPDX-License-Identifier: MIT
 * mlp.h - what a description of a network comes to, layer by layer; for mlp.c and mlp_init.c. */
#ifndef NDE_MLP_H
#define NDE_MLP_H

#include "core/activation.h"
#include "field/parts.h"

typedef struct nde_layer {
    size_t in, out;
    int id;        /* activation, not DEFAULT */
    bool norm;     /* z is normalised before its activation */
    bool residual; /* x_{l+1} = s + x_l */
    bool apart;    /* the activation's derivative is taken from rows of the tape that are kept for it alone */
    bool slopes;   /* it stands there itself */
    size_t tape;   /* rows of the tape from x_l to x_{l+1} */
    size_t np;     /* parameters */
} nde_layer;

static inline nde_layer nde_layer_at(const nde_mlp *mlp, size_t l) {
    const bool last = l + 1 == mlp->layers;
    const int given = last ? mlp->last : mlp->hidden;
    nde_layer y = { .in = mlp->width[l], .out = mlp->width[l + 1] };
    y.id = given != NDE_ACTIVATION_DEFAULT ? given : last ? NDE_IDENTITY : NDE_TANH;
    y.norm = !last && mlp->layer_norm;
    y.residual = !last && mlp->residual && y.in == y.out;
    y.apart = y.id != NDE_IDENTITY && (last || (nde_activation_keeps_input(y.id) ? !y.norm : y.residual));
    y.slopes = y.apart && nde_activation_keeps_input(y.id);
    y.tape = y.in + (y.norm ? y.out + 1 : 0) + (y.apart ? y.out : 0);
    y.np = (y.in + 1)*y.out + (y.norm ? 2*y.out : 0);
    return y;
}

/* Is this a network? Errors: NDE_E_ARG, NDE_E_SIZE, text set in the name of `who`. */
nde_status nde_mlp_validate(const nde_mlp *mlp, const char *who);

#endif
