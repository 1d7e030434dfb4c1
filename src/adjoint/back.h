/* SPDX-License-Identifier: MIT
 * back.h - continuous adjoints: the way back is a problem like any other, solved by a solver of its own in the same block.
 * Its state is [y; a; integrals for q and p]: y where the state is solved backwards too, the integrals where they are
 * solved along. With noise it is Stratonovich's problem along the same path. */
#ifndef NDE_BACK_H
#define NDE_BACK_H

#include "adjoint/history.h"

/* A field of the problem, and what its quadrature's cotangents drive, as one field of the way back. */
typedef struct nde_augmented {
    const struct nde_back *back;
    const nde_field *part[2]; /* [0] enters y'; [1] the quadrature; either may be NULL */
    bool diagonal;            /* of noise: what multiplies part[0] stands behind the inputs */
    bool corrected;           /* and the drift that makes Stratonovich noise of Ito's */
} nde_augmented;

typedef struct nde_back {
    nde_solver *s;                      /* whose gradients these are */
    nde_solver *solver;                 /* of the way back */
    bool solves_state, solves_integrals;
    bool shared;                        /* one step size for all: the integral for p of a block stands in its first lane */
    size_t rows, a, q, p;               /* of the state; first rows of its parts */
    nde_problem problem;
    nde_options options;
    nde_field drift, jump, term_field[NDE_MOST_TERMS];
    nde_augmented drift_of, term_of[NDE_MOST_TERMS];
    nde_term term[NDE_MOST_TERMS];
    nde_noise noise[NDE_MOST_TERMS];    /* the paths of the solve, on its grids */
    nde_rhs bent;                       /* with Ito noise: the right-hand side of the solve, as Stratonovich's */
    nde_scratch *scratch;               /* [n_workers] for its correction, of lanes so far apart; else NULL */
    size_t scratch_ld, *piece;          /* [n_workers][paths][scratch_ld] */
    nde_real *y0;                       /* [rows][N] */
    double *t0, *t1;                    /* [N] */
    nde_error_norm norm;
    double *jump_t;                     /* [n_jumps]: save times, each once, backwards */
    size_t *jump_row;                   /* [n_jumps + 1] a jump's rows end here, and begin where those of the next one end */
    double *deviation;                  /* [N] of the state solved backwards */
    double *estimate;                   /* [n_workers][2][np + nq] an interval by Gauss-Kronrod quadrature, and its error */
    size_t *hit, *cut;                  /* [N] rows of hits, and cuts, that the way back has not come to; NULL: no events */
    nde_real *at_hit;                   /* [5 rows + nq] of one of them: see crossing.c */
    nde_stats *stats;                   /* [N] of the way so far */
    nde_seed seed;
    nde_history forward, adjoint;       /* dense solutions; forward with the state solved backwards: its cuts alone */
} nde_back;

/* ---- augmented.c ---- */
/* The field of the way back made of fields of the problem; jump: what observations add to the adjoint. */
nde_field nde_augmented_field(const nde_augmented *of);
nde_field nde_augmented_jump(const nde_back *back);

/* ---- integral.c ---- */
/* Adds the integrals for p and q along both dense solutions to shards and s->g_q: by adaptive Gauss-Kronrod quadrature, or
 * at nodes in each step. Returns what a field returned. */
int nde_integral(nde_back *back);
/* k [rows] = [F; l] of one trajectory at (t, y [dim], components `stride` apart); ahead: whither the step from t goes. */
int nde_slope_at(nde_solver *s, size_t who, double t, double ahead, const nde_real *y, size_t stride, const nde_real **k);

/* ---- crossing.c: where the way back comes to events ---- */
/* Is it known what events do? NDE_E_ARG with text. */
nde_status nde_crossing_check(const nde_back *back);
/* From t0[who] it goes on to t1[who], the next cut or hit that is asked for, or the start: sets that. */
void nde_crossing_aim(nde_back *back, size_t who);
/* Does a trajectory stand at one? Then the next function takes it to the state and cotangents before that, and aims. Returns
 * what a field returned, or NDE_OBSTACLE. */
bool nde_crossing_is_due(const nde_back *back, size_t who);
int nde_crossing_take(nde_back *back, size_t who);
/* Seeds of hits at the start, to g_y0 and g_t0. */
void nde_crossing_start(nde_back *back, size_t who);

/* ---- back.c ---- */
/* In the solver's arena; s->back_bytes are needed besides. Errors as nde_solver_create. */
nde_status nde_back_lay(nde_solver *s, nde_arena *arena);
/* Makes the solver of the way back, in block. */
nde_status nde_back_make(nde_solver *s, void *block);
/* Gradients of a finished run. */
nde_status nde_back_run(nde_solver *s, const nde_seed *seed, const nde_gradient *gradient);

/* ---- gradient.c ---- */
/* Gradients before anything is added to them; results of the shards, added in their order, go to the caller. */
void nde_gradient_clear(nde_solver *s);
void nde_gradient_deliver(nde_solver *s, const nde_gradient *gradient);

#endif
