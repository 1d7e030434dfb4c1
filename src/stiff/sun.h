/* SPDX-License-Identifier: MIT
 * sun.h - what the parts of libnde-stiff share. Names: nde_stiff_ is public, nde_sun_ is what stands between libnde and
 * SUNDIALS.
 *
 * A solver has workers; a worker solves one trajectory at a time with a SUNDIALS object of its own, the engine's (cvodes.c,
 * idas.c). run.c takes internal steps one by one and does the rest itself: saves, jumps, clips and events (roots.c) by the
 * polynomial of the step. Of libnde it uses hidden parts too (reading of problems, calls of fields), from the static library of
 * the same build. SUNDIALS 6.4 to 7: the build looks at its version, and where the two differ stands SUNDIALS_VERSION_MAJOR. */
#ifndef NDE_SUN_H
#define NDE_SUN_H

#include <pthread.h>
#include <stdatomic.h>

#include <cvodes/cvodes.h>
#include <cvodes/cvodes_ls.h>
#include <idas/idas.h>
#include <idas/idas_ls.h>
#include <nvector/nvector_serial.h>
#include <sundials/sundials_version.h>
#include <sunlinsol/sunlinsol_spgmr.h>
#include <sunnonlinsol/sunnonlinsol_fixedpoint.h>

#include "nde/stiff.h"
#include "core/core.h"
#include "method/rhs.h"

/* ---- vectors and matrices of a worker: given back to a shelf, not to the allocator ------------------------------- */

typedef struct nde_sun_vector nde_sun_vector;
typedef struct nde_sun_matrix nde_sun_matrix;
enum { NDE_SUN_SHELVES = 3 }; /* lengths of vectors: dim, rows of the quadrature, parameters */
typedef struct nde_sun_pool {
    const nde_allocator *memory;
    pthread_mutex_t *lock; /* around the allocator: SUNDIALS clones in the threads of workers too */
    SUNContext context;
    struct _generic_N_Vector_Ops vector_ops;
    struct _generic_SUNMatrix_Ops matrix_ops;
    size_t length[NDE_SUN_SHELVES];
    nde_sun_vector *shelf[NDE_SUN_SHELVES], *vectors; /* those that are free; all that were made */
    nde_sun_vector *reserve[NDE_SUN_SHELVES];
    nde_sun_matrix *matrices;
    bool failed; /* SUNDIALS (6.4.1) goes on with a clone that is NULL: it gets the reserve,
        and everything ends with NDE_E_NOMEM */
} nde_sun_pool;
/* False when there is no memory. The lengths are set. */
bool nde_sun_pool_make(nde_sun_pool *pool, SUNContext context);
void nde_sun_pool_free(nde_sun_pool *pool);
/* NULL when there is no memory, as SUNDIALS expects it; values are zero. Destroyed by N_VDestroy, SUNMatDestroy. */
N_Vector nde_sun_vector_new(nde_sun_pool *pool, size_t length);
static inline double *nde_sun_data(N_Vector v) { return NV_DATA_S(v); }

/* Square, column-major, with room for the fill of an LU: element (i, j), -upper <= i - j <= lower, at a[j*stride + shift + i].
 * */
struct nde_sun_matrix {
    struct _generic_SUNMatrix matrix; /* first: a SUNMatrix points here */
    nde_sun_pool *pool;
    nde_sun_matrix *next;
    size_t n, lower, upper, stride, shift, count; /* count: doubles */
    double *a;
    bool free;
};
SUNMatrix nde_sun_matrix_new(nde_sun_pool *pool, size_t n, size_t lower, size_t upper);
static inline nde_sun_matrix *nde_sun_matrix_of(SUNMatrix m) { return (nde_sun_matrix *)m; }
static inline double *nde_sun_at(const nde_sun_matrix *m, size_t i, size_t j) { return m->a + j*m->stride + m->shift + i; }

/* LU with partial pivoting in place. Returns 0, or k + 1 where column k has no pivot. pivot [n]. */
size_t nde_sun_factor(const nde_sun_matrix *m, int *pivot, bool lapack);
void nde_sun_substitute(const nde_sun_matrix *m, const int *pivot, bool lapack, double *x);

/* SUNDIALS' face of the two. */
typedef struct nde_sun_lu {
    struct _generic_SUNLinearSolver solver; /* first */
    struct _generic_SUNLinearSolver_Ops ops;
    int *pivot; /* [n] */
    bool lapack;
    sunindextype flag;
    int64_t count; /* factorisations */
} nde_sun_lu;
/* pivot [n] is the caller's, and so is the struct: nothing is allocated. */
SUNLinearSolver nde_sun_lu_make(nde_sun_lu *lu, SUNContext context, int *pivot, bool lapack);

/* ---- calls of fields --------------------------------------------------------------------------------------------- */

/* Lanes that all see one trajectory. */
typedef struct nde_sun_lanes {
    nde_lanes lanes;
    nde_scratch scratch;
    size_t n, ld;
    size_t *index, *interval;
    unsigned char *mark;
    double *t, *q; /* [ld], [nq][ld] */
    double *y, *v, *k; /* [dim][ld]; k of the wide ones has [dim][dim] where the matrix is the field's own */
} nde_sun_lanes;

enum { NDE_SUN_FINE = 0, NDE_SUN_NONFINITE, NDE_SUN_RETRY, NDE_SUN_FAILED, NDE_SUN_STOPPED, NDE_SUN_NO_MEMORY };
typedef struct nde_sun_trouble {
    int kind;     /* NDE_SUN_*: of the last call that was not fine, since the last accepted step */
    int times;    /* how many since then */
    int code;     /* what the field returned */
    size_t worst; /* the first component that is not finite */
    bool final;   /* SUNDIALS was told to stop,
        which IDAS does not always hear: a product that fails counts as one of zeros there */
} nde_sun_trouble;

/* A step that is kept for nde_stiff_dense; behind it derivatives 0 ... order at `to` [order + 1][dim], the k-th over k!. */
typedef struct nde_sun_step {
    struct nde_sun_step *next;
    double from, end, at; /* where it is meant to be used: (from, end]; where its polynomial is centred */
    int order;
} nde_sun_step;
typedef struct nde_sun_chunk {
    struct nde_sun_chunk *next;
    size_t bytes, used;
} nde_sun_chunk;

typedef struct nde_sun_worker {
    nde_stiff_solver *solver;
    SUNContext context;
    nde_sun_pool pool;
    void *memory;                    /* CVODES' or IDAS' */
    N_Vector y, dy, z, atol, id, probe;
    SUNMatrix matrix, mass_matrix;
    nde_sun_lu lu;
    SUNLinearSolver krylov;
    SUNNonlinearSolver functional;
    int *pivot, *pivot_mass, *pivot_back;
    nde_sun_lanes one, wide;
    nde_sun_trouble trouble;
    char said[160];                  /* SUNDIALS' last message */
    /* the trajectory */
    size_t who, saved;
    double direction, t0, t1;        /* its span */
    double t, stop, limit;           /* where it is; the end of the segment; the last time at which fields are called in it */
    double *state, *z_state;         /* [dim], [nz] at t */
    int64_t evals, calls, steps;     /* of the drift for steps; of fields in all; accepted and refused in segments before */
    int64_t products, jacobians;
    nde_stiff_counts counts;
    /* events */
    double *g, *g_new, *root;        /* [n_events] */
    size_t *order;
    bool *passed;
    /* the way back */
    int which;                       /* CVODES' number of the backward problem; -1: not made yet */
    bool recorded;                   /* CVODES has the checkpoints of trajectory `who` */
    bool replaying;                  /* a run for those alone: nothing is written to the results */
    N_Vector a_y, a_p, back_atol;
    SUNMatrix back_matrix;
    nde_sun_lu back_lu;
    SUNLinearSolver back_krylov;
    SUNNonlinearSolver back_functional;
    const double *a_z;               /* [nz] cotangent of the quadrature */
    double *a_z_space;
    /* dense output */
    nde_sun_chunk *chunks;
    nde_sun_step *last; /* of the trajectory; NULL: none yet */
} nde_sun_worker;

/* The field of a part at (t, y) into out [rows]: 0, 1 (a smaller step may help) or -1 (the end), as SUNDIALS wants it; the
 * reason stands in trouble. */
int nde_sun_eval(nde_sun_worker *w, const nde_part *part, double t, const double *y, double *out, size_t rows);
/* out [dim] = J v of the drift. */
int nde_sun_product(nde_sun_worker *w, double t, const double *y, const double *v, double *out);
/* Adds to a_y [dim] and p [np], q [nq] (may be NULL) the transpose of the drift with a [dim], and of the quadrature with a_z
 * (may be NULL). */
int nde_sun_transpose(nde_sun_worker *w, double t, const double *y, const double *a, const double *a_z, double *a_y, double *p,
                      double *q);
/* to += factor J of the drift, or its transpose. */
int nde_sun_jacobian(nde_sun_worker *w, double t, const double *y, double factor, bool transposed, const nde_sun_matrix *to);
/* What a return code, marks and values say. */
int nde_sun_verdict(nde_sun_worker *w, int rc, const unsigned char *mark, size_t lanes, const double *x, size_t rows,
                    size_t ld);
/* The trajectory's parameters and number into the lanes. */
void nde_sun_lanes_enter(const nde_sun_worker *w, nde_sun_lanes *at, size_t who, size_t jumps);

/* ---- engines ----------------------------------------------------------------------------------------------------- */

typedef struct nde_sun_engine {
    /* Everything that a worker needs of SUNDIALS. */
    nde_status (*make)(nde_sun_worker *w);
    /* From w->state at w->t, z_state, towards w->stop. SUNDIALS' flag. */
    int (*start)(nde_sun_worker *w);
    /* One internal step, to w->y and *t. */
    int (*step)(nde_sun_worker *w, double *t);
    /* Derivative k at t in the last step: of the state, of the quadrature (k = 0). */
    int (*value)(nde_sun_worker *w, double t, int k, double *out);
    int (*quadrature)(nde_sun_worker *w, double t, double *out);
    /* Attempts of the segment that were tried again. */
    int64_t (*refused)(nde_sun_worker *w);
    /* Adds what the segment has cost to w->counts, and its steps to the stats. */
    void (*count)(nde_sun_worker *w, nde_stats *stats);
    int (*order)(nde_sun_worker *w);
    nde_status (*status)(int flag);
    void (*free)(nde_sun_worker *w);
} nde_sun_engine;
extern const nde_sun_engine nde_sun_cvodes, nde_sun_idas;

/* Keeps SUNDIALS' messages from stderr: of an object of CVODES or IDAS, and of a context. */
void nde_sun_listen(nde_sun_worker *w);
#if SUNDIALS_VERSION_MAJOR < 7
void nde_sun_hear(int code, const char *module, const char *function, char *text, void *data);
#endif

/* ---- the solver -------------------------------------------------------------------------------------------------- */

struct nde_stiff_solver {
    nde_allocator memory;
    size_t bytes; /* of the block that this stands in */
    pthread_mutex_t lock;
    bool locked;  /* the mutex was made */
    nde_rhs rhs;
    nde_options options;
    nde_stiff_options stiff;
    nde_part parts[1];
    nde_term terms[1];
    double rtol, *atol, atol_least; /* [dim]; the least of them */
    const nde_sun_engine *engine;
    int method, linear;
    size_t lower, upper, colours, wide;
    size_t *colour, *column_start, *column_row; /* [dim]; rows of each column of the Jacobian, NULL: all */
    unsigned char *taken;                       /* [dim] */
    double *mass;       /* [dim][dim] row-major, or NULL; */
    double *diagonal;   /* [dim], or NULL */
    bool *algebraic;    /* [dim]; NULL without */
    bool is_diagonal;   /* stiff.mass has nothing beside its diagonal */
    bool lapack, adjoint;
    bool differences, whole; /* the matrix is made of values; is the field's own */
    nde_sun_worker *worker;
    size_t workers;
    nde_pool *pool;
    nde_executor own;
    const nde_executor *executor;
    /* what stands in the way of steps */
    size_t n_forced;
    struct nde_sun_forced { double t; size_t jump; bool clip; } *forced; /* in the direction of time; jump SIZE_MAX: none */
    double *clip_t;
    /* results */
    size_t rows; /* of y */
    double *save_t, *y_out, *y_end, *z_end, *t_end;
    size_t *saved;
    nde_status *status;
    nde_stats *stats, *back_stats;
    nde_status *back_status;
    nde_stiff_counts *counts, *back_counts;
    int64_t *event_count;
    size_t *event_saved, event_rows;
    int32_t *event_which, *event_end;
    unsigned char *event_together;
    double *event_t, *event_y;
    nde_sun_step **steps; /* [n] the first one of each */
    atomic_size_t dense_used;
    size_t budget;
    /* gradients of single trajectories, added in their order */
    double *sum_p; /* [n][np] */
    const nde_seed *seed;
    const nde_gradient *gradient;
    atomic_int stop;
    int64_t deadline;
    bool ran;
    char (*said)[160]; /* [n] SUNDIALS' message of each failure */
    char error[512];
};

static inline double nde_sun_start_of(const nde_stiff_solver *s, size_t who) {
    return s->rhs.problem.t0_each ? s->rhs.problem.t0_each[who] : s->rhs.problem.t0;
}
static inline double nde_sun_end_of(const nde_stiff_solver *s, size_t who) {
    return s->rhs.problem.t1_each ? s->rhs.problem.t1_each[who] : s->rhs.problem.t1;
}

/* Reads and checks everything; s->memory is set. */
nde_status nde_sun_read(nde_stiff_solver *s, const nde_problem *problem, const nde_options *options,
                        const nde_stiff_options *stiff);
/* Makes what a worker needs of SUNDIALS, and destroys it. */
nde_status nde_sun_worker_make(nde_sun_worker *w);
void nde_sun_worker_free(nde_sun_worker *w);

/* One trajectory from its start to its end, or failure. */
nde_status nde_sun_trajectory(nde_sun_worker *w, size_t who);
/* Times, arrays and forced times of a run. */
nde_status nde_sun_begin(nde_stiff_solver *s);
/* Each of the trajectories, over the workers. Not 0: the executor refused. */
int nde_sun_each(nde_stiff_solver *s, void (*task)(void *arg, size_t i, int worker));
nde_status nde_sun_refuse(nde_stiff_solver *s, nde_status status);

/* Events at the start of a segment, and in a step from w->t to t. `first`: at_start counts. cut: where the step ends instead.
 * */
nde_status nde_sun_events_start(nde_sun_worker *w, bool first);
nde_status nde_sun_events_step(nde_sun_worker *w, double t, double *cut);
/* The resets that are due at the cut, on w->state. */
nde_status nde_sun_events_reset(nde_sun_worker *w);
void nde_sun_events_clear(nde_stiff_solver *s);

/* Keeps the step from w->t to t, or to `end` before. Drops all that is kept. */
nde_status nde_sun_keep(nde_sun_worker *w, double t, double end);
void nde_sun_drop(nde_sun_worker *w);

#endif
