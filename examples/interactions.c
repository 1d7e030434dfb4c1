/* SPDX-License-Identifier: MIT
 * interactions.c - see interactions.h. */
#include "interactions.h"

enum { WIDTH = INTERACTIONS_WIDTH };

void begin_interactions(uint64_t seed, double *p) {
    const nde_mlp shape = NDE_INIT(nde_mlp, .layers = 3, .width = (const size_t[]){ 2, WIDTH, WIDTH, 2 });
    need(nde_mlp_init(&shape, NDE_GLOROT_UNIFORM, seed, p), NULL);
}

nde_program *build_interactions(const double *rate, bool logarithms) {
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = 2, .np = INTERACTIONS_NP), &g), NULL);
    const nde_var y = nde_y(g, 0, 2), x = logarithms ? y : nde_mul(g, nde_constant(g, 0.3), y);
    const nde_var a = nde_dense(g, NDE_TANH, 0, WIDTH, x), b = nde_dense(g, NDE_TANH, 3*WIDTH, WIDTH, a);
    nde_var f = nde_dense(g, NDE_IDENTITY, (WIDTH + 4)*WIDTH, 2, b);
    if (rate) {
        const nde_var known = nde_constants(g, rate, 2), sign = nde_constants(g, (const double[]){ -1, 1 }, 2);
        f = nde_add(g, logarithms ? known : nde_mul(g, known, y), nde_mul(g, sign, f));
    }
    need(nde_program_finish(g, f), NULL);
    return g;
}
