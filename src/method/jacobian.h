/* SPDX-License-Identifier: MIT
 * jacobian.h - derivatives of the right-hand side by the state and by time, on a block of lanes.
 *
 * Letters: rows = dim + nz of a slope; element (i, j) of lane b of a Jacobian [rows][dim] at j[(i*dim + j)*ld + b]; where W is
 * kept by its non-zeros (nde_form), there are these alone: element e of the pattern at j[e*ld + b]. */
#ifndef NDE_METHOD_JACOBIAN_H
#define NDE_METHOD_JACOBIAN_H

#include "implicit/gmres.h"
#include "implicit/lu.h"
#include "method/rhs.h"

/* How the Jacobian is had. Columns of one colour have no row in common, so that one direction gives all of them. */
typedef struct nde_jacobian {
    int how;                     /* NDE_JACOBIAN_*, not AUTO; 0: nobody asks */
    bool timed;                  /* F_t by jvp, else by differences */
    bool second;                 /* of problem.splitting's second field alone, where it has the turn */
    size_t colours;
    size_t *colour;              /* [dim] of columns; NULL: each has its own */
    const size_t *start, *index; /* with colours: the non-zeros by rows */
    size_t krylov;               /* vectors of GMRES, which needs no Jacobian; 0: there are matrices */
    nde_preconditioner preconditioner; /* of GMRES; solve: NULL without */
    nde_form form;               /* how W is kept, and J */
    size_t row_colours;          /* of rows without a common column; row_colour [dim], NULL: each has its own */
    size_t *row_colour;
} nde_jacobian;

/* The entries of row i of j, and the column of one of them. */
static inline size_t nde_row_start(const nde_jacobian *of, size_t dim, size_t i) {
    return of->form.kind == NDE_LINEAR_DENSE ? i*dim : of->form.start[i];
}
static inline size_t nde_column_of(const nde_jacobian *of, size_t dim, size_t i, size_t e) {
    return of->form.kind == NDE_LINEAR_DENSE ? e - i*dim : of->form.index[e];
}

/* W at a point without a matrix: see matrix_free.h. */
typedef struct nde_matrix_free {
    const double *t;             /* the point */
    const nde_real *y;
    nde_real *tape;
    bool turned, again;
    double *h;                   /* [ld] gamma times the step */
    nde_real *scale, *side, *solution, *v; /* [dim][ld] each */
    nde_real *u, *product;       /* [rows][ld] */
    nde_real *basis, *small, *goal; /* of GMRES */
    int *products;               /* [ld] in this step */
} nde_matrix_free;

/* What a worker needs for it: [rows][dim][ld] or [nonzeros][ld], [rows][ld] slope by time, [dim][ld] a direction, [rows][ld]
 * what comes of it, [ld]; and W. */
typedef struct nde_linear {
    nde_real *j, *f_t, *v, *dv;
    double *t;
    nde_lu lu;
    nde_real *v_j, *v_f_t;       /* tangents of j and f_t */
    unsigned char *fate;         /* [ld] of Newton's method in the stages of a step, all of these: see dirk.c */
    int *iterations;
    double *size, *before, *eta;
    nde_real *change, *most;
    nde_matrix_free free;
    nde_lu pair, whole;          /* of a collocation method, as all of these: of 2 dim rows, and of all stages */
    nde_real *j_each;            /* [stages] of j; where nothing goes back NULL, as whole.a */
    nde_real *rest, *part;       /* [stages][rows][ld], [stages][dim][ld] */
    nde_real *given;             /* as rest; NULL as j_each */
} nde_linear;

/* As options.jacobian and options.linear ask; memory for the while. Errors: NDE_E_ARG, NDE_E_NO_JVP, NDE_E_NOMEM. */
nde_status nde_jacobian_choose(nde_jacobian *jacobian, const nde_rhs *rhs, int asked, int linear, const nde_allocator *memory);
void nde_jacobian_lay(nde_jacobian *jacobian, nde_arena *arena, const nde_rhs *rhs);
void nde_linear_lay(nde_linear *linear, nde_arena *arena, const nde_rhs *rhs, const nde_jacobian *jacobian, size_t ld);
void nde_matrix_free_lay(nde_matrix_free *of, nde_arena *arena, const nde_rhs *rhs, size_t krylov, size_t ld);
void nde_linear_lay_newton(nde_linear *linear, nde_arena *arena, size_t ld);
void nde_linear_lay_stages(nde_linear *linear, nde_arena *arena, const nde_rhs *rhs, size_t stages, size_t ld, bool sweeps);
void nde_linear_lay_tangents(nde_linear *linear, nde_arena *arena, const nde_rhs *rhs, const nde_jacobian *jacobian, size_t ld);

/* Evaluations of the right-hand side that a Jacobian and a slope by time take: those of differences. */
int nde_jacobian_evaluations(const nde_jacobian *jacobian, const nde_rhs *rhs);
/* j = dF/dy at (t, y), where F is f [rows][ld], which only differences need. Returns what a field returned. */
int nde_jacobian_eval(const nde_jacobian *jacobian, const nde_rhs *rhs, nde_lanes *lanes, nde_linear *linear, const double *t,
                      const nde_real *y, const nde_real *f);
/* f_t = dF/dt at (t, y), for a step of dt: differences are taken inside it. */
int nde_jacobian_eval_time(const nde_jacobian *jacobian, const nde_rhs *rhs, nde_lanes *lanes, nde_linear *linear,
                           const double *t, const double *dt, const nde_real *y, const nde_real *f);
/* to [rows][ld] = j x, x [dim][ld]. */
void nde_jacobian_apply(const nde_jacobian *jacobian, const nde_rhs *rhs, const nde_lanes *lanes, const nde_real *j,
                        const nde_real *x, nde_real *to);

#endif
