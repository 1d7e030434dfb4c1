/* SPDX-License-Identifier: MIT
 * curvature.h - second derivatives: a solve of [y; v], the state and its tangent along a direction, whose gradient is the
 * derivative of the gradient. It is a problem like any other, with a solver of its own in the same block. */
#ifndef NDE_CURVATURE_H
#define NDE_CURVATURE_H

#include "solve/solver.h"

/* A field of the problem, and beside its value the tangent of it. */
typedef struct nde_variation {
    const struct nde_curvature *curvature;
    const nde_field *of;
    bool to_state;            /* its value is a state or the slope of one */
} nde_variation;

typedef struct nde_curvature {
    const nde_solver *s;
    nde_solver *solver;       /* of state and tangent */
    nde_direction along;
    nde_problem problem;
    nde_options options;
    nde_splitting splitting;
    nde_variation drift_of, second_of, quadrature_of, jump_of, observe_of, term_of[NDE_MOST_TERMS];
    nde_field drift, second, quadrature, jump, observe, term_field[NDE_MOST_TERMS];
    nde_term term[NDE_MOST_TERMS];
    nde_real *y0, *q;         /* [2 dim][N], [2 nq][N] */
    nde_real *a_y, *a_end, *a_z; /* seeds [rows][2 out][N], [2 dim][N], [2 nz][N] */
    double *weight, *atol;    /* [2 dim] */
} nde_curvature;

/* Row i of the states is this one of [y; v], and that of its tangent: of a partitioned state, positions of both come first. */
static inline size_t nde_row_of_state(const nde_rhs *r, size_t i) {
    return r->problem.split && i >= r->problem.split ? i + r->problem.split : i;
}
static inline size_t nde_row_of_tangent(const nde_rhs *r, size_t i) {
    return r->problem.split && i < r->problem.split ? i + r->problem.split : i + r->dim;
}

/* ---- variation.c ---- */
nde_field nde_variation_field(const nde_variation *of);

/* ---- curvature.c ---- */
/* In the solver's arena; s->curvature_bytes are needed besides. Errors as nde_solver_create. */
nde_status nde_curvature_lay(nde_solver *s, nde_arena *arena);
/* Makes the solver, in block. */
nde_status nde_curvature_make(nde_solver *s, void *block);

#endif
