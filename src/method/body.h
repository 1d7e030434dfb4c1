/* SPDX-License-Identifier: MIT
 * body.h - one step of a method on a block of lanes, its transpose and its tangent: the struct of functions through which the
 * loop and the sweep know methods.
 *
 * Letters: s stages, rows = dim + nz of a state [y; z] and of a slope; slope j stands at k + j*slab, ld apart. */
#ifndef NDE_BODY_H
#define NDE_BODY_H

#include <float.h>
#include <math.h>

#include "method/jacobian.h"
#include "method/method.h"
#include "method/rhs.h"

enum { NDE_MOST_STAGES = 64 };

/* Stages of a Chebyshev method: `most`, or as few as the spectral radius asks for. */
typedef struct nde_chebyshev {
    int least, most;        /* 0: another method */
    double radius;          /* 0: unknown */
    nde_spectrum spectrum;  /* radius: NULL without */
    nde_chebyshev_stage *stage; /* of `least` stages, of one more, ... */
} nde_chebyshev;

/* The stages of a step of length h for a spectral radius; and the longest step of so many: 1/1.54 is half a per cent less than
 * the 0.653 that s^2 - 1 is multiplied by. Source: Sommeijer, Shampine, Verwer (1998). */
static inline int nde_chebyshev_count(const nde_chebyshev *c, double h, double radius) {
    const double s = 1 + floor(sqrt(1 + 1.54*fabs(h)*radius));
    return !(s > c->least) ? c->least : s < c->most ? (int)s : c->most;
}
static inline double nde_chebyshev_longest(int s, double radius) { return (s*(double)s - 1)/(1.5401*radius); }

/* Of a multistep method. */
typedef struct nde_multistep {
    int order;                     /* 0: another method */
    nde_real *weight[2];           /* [order] of the predictor, of the corrector */
    struct nde_table *start;       /* takes the steps of lanes that have too few behind them */
} nde_multistep;

/* How the stages of a DIRK or collocation method are solved. */
typedef struct nde_newton {
    int most;                      /* iterations of a stage; 0: another method */
    double fraction;               /* of the tolerance that may be left; 0: as exactly as can be */
    nde_tolerance tolerance;
    const double *rtol_n, *atol_n; /* [N] of each trajectory, or NULL */
} nde_newton;
enum { NDE_NEWTON_ITERATIONS = 10, NDE_NEWTON_MOST = 200 };

/* What may be left in component i of a trajectory, of a size. No less than rounding. */
static inline double nde_newton_wanted(const nde_newton *of, size_t who, size_t i, double size) {
    const double unit = sizeof(nde_real) == sizeof(double) ? DBL_EPSILON : (double)FLT_EPSILON;
    const double rtol = of->rtol_n ? of->rtol_n[who] : of->tolerance.rtol;
    const double atol = of->atol_n                ? of->atol_n[who]
                        : of->tolerance.atol_each ? of->tolerance.atol_each[i]
                                                  : of->tolerance.atol;
    return fmax(of->fraction*rtol, unit)*size + fmax(of->fraction, unit)*atol;
}

/* A method's table in this precision, by its non-zero weights. Partitioned: the second set is for rows >= split. */
typedef struct nde_table {
    const nde_method *method;
    int stages, slopes;     /* of the step; with those of the extension alone */
    bool fsal;              /* slope s-1 is slope 0 of the next step */
    bool last_is_new;       /* the state of stage s-1 is the new state */
    bool fresh;             /* slope 0, or what else is carried, is made anew at starts and forced times */
    int evals;              /* of the right-hand side in every step; 0: a Chebyshev method counts them */
    int partners;           /* blocks of rows behind the state, slab apart, that the method carries from step to step */
    double damping;         /* of asynchronous leapfrog: 1 is none */
    bool compensated;       /* y and z have as many rows again, a slab behind: what rounding has taken from them */
    size_t split;           /* rows of the first set; dim when not partitioned */
    nde_row *row[2];        /* [slopes] each; none of a composition */
    nde_row *column;        /* [stages] of KIND_RUNGE_KUTTA, transposed: which cotangents slope j has a share of, that of
                             * the new state at index `stages`, that of stage i at i; from the last on down */
    double *node;           /* [stages] of a composition */
    double quantum;         /* > 0: states and increments are multiples of it */
    nde_chebyshev chebyshev;
    nde_multistep multistep;
    nde_jacobian jacobian;  /* of an implicit method */
    nde_row *coupling;      /* [stages] of a Rosenbrock method */
    nde_newton newton;      /* of a DIRK or collocation method, whose rows have the weight of a stage's own slope too */
    nde_row filter;         /* of one that is filtered: the error before */
    bool known;             /* of one: slope 0 comes in as F(t, y) */
    struct nde_table *way;  /* [2] of a method that switches */
    nde_tolerance tolerance; /* by which it judges what is large */
    nde_row out[2];         /* the second one: of the rows of the second set, or of a coupled method's partner */
    nde_row error, error2;  /* error2: empty without a second estimate */
    nde_row probe[2];       /* of an explicit Runge-Kutta method with an error estimate: differences of slopes, and of the
                             * states where they were taken: sum w_i k_i and sum w_i Y_i = h sum v_j k_j, with small smooth
                             * parts */
    double stable;          /* it is stable for -stable <= h lambda < 0; 0: not known */
    nde_row velocity_error; /* of rows >= split, which then have one of their own */
    nde_row unseen[2];      /* slopes that the new state [0], or state and error [1], do without, but not the extension or
                             * the next step: what is not finite there must be looked for */
} nde_table;

nde_status nde_table_lay(nde_table *table, nde_arena *arena, const nde_method *method, size_t dim, size_t split);

/* Weights [slopes] of the continuous extension at theta: y(theta) = y + h sum w_j k_j, and of its derivative: h dy/dt. set
 * 0 or 1. */
void nde_table_dense(const nde_table *table, int set, double theta, double *w, double *dw);

/* One attempt. k0 is in slab 0 when the method is first-same-as-last. */
typedef struct nde_attempt {
    const nde_rhs *rhs;
    const nde_table *table;
    nde_lanes *lanes;
    const double *t, *t_new, *dt; /* [n] */
    bool equal;                   /* all lanes have one dt */
    const nde_real *h;            /* [n] dt in nde_real */
    const nde_real *y;            /* [rows][ld], and what the method carries behind */
    nde_real *z;                  /* the same, out: new state */
    nde_real *k;                  /* [s][rows][ld] out: slopes */
    size_t slab;
    bool onward;                  /* of a method with last_is_new: the last slope goes to slab 0, for the next step, and not to
                                   * its own; z may be y */
    bool bare;                    /* nobody looks at k behind the step: slopes that are multiples of others need not be there */
    nde_real *tape;               /* stage i at tape + i*tape_slab, [tape][ld]; NULL: none kept */
    size_t tape_slab;
    const nde_tolerance *tolerance; /* of the errors that a compiled step measures */
    double *error;                /* [ld] out, by a compiled step only */
} nde_attempt;

/* The time of a node; the end of a step is the forced time itself. */
static inline const double *nde_stage_time(const nde_attempt *s, double node) {
    if (node == 0 || s->rhs->autonomous) return s->t;
    if (node == 1) return s->t_new;
    double *t = s->lanes->scratch->t;
    for (size_t b = 0; b < s->lanes->site.n; b++) t[b] = s->t[b] + node*s->dt[b];
    return t;
}

static inline nde_real *nde_stage_tape(const nde_attempt *s, int i) {
    return s->tape ? s->tape + (size_t)i*s->tape_slab : NULL;
}

/* Cotangents of a step. Lanes that were not accepted come with dt = 0 and zero cotangents of slopes. */
typedef struct nde_step_cotangent {
    nde_real *y;   /* [rows][ld] in: of the new state; out: of the old one; partners behind */
    nde_real *k;   /* [s][rows][ld] in: of the slopes (dense output, next step's k0); slab 0 out: of k0 when fsal */
    double *t, *h; /* [n] added to; NULL: times are not wanted */
    double *loss;  /* [n] += <cotangent of the new state, embedded error>; NULL: not wanted */
    const nde_sink *sink;
} nde_step_cotangent;

/* Does nothing depend on slope i? True of the last one of a step that no step with its slope follows. */
static inline bool nde_is_idle(const nde_attempt *s, const nde_step_cotangent *c, int i) {
    const nde_real *a = c->k + (size_t)i*s->slab;
    if (i != s->table->stages - 1 || !s->table->fsal) return false;
    for (size_t r = 0; r < s->rhs->rows; r++)
        for (size_t b = 0; b < s->lanes->site.n; b++)
            if (a[r*s->lanes->site.ld + b] != 0) return false;
    return true;
}

typedef struct nde_step_tangent {
    const nde_real *y; /* [rows][ld] of the old state */
    nde_real *z;       /* [rows][ld] out */
    nde_real *k;       /* [s][rows][ld] out; slab 0 in when fsal */
    const double *t, *h; /* [n] */
    const nde_source *source; /* t, h, v_h of it are filled in by the body */
} nde_step_tangent;

/* extend: the slopes of the extension alone, after an attempt; k then has [slopes] slabs, and so have those of the
 * cotangent and the tangent. Its transpose adds to the cotangents of the slopes of the step and, in cotangent.y, of the
 * old state.
 *
 * reverse: undoes a step of a method with partners, or of a composition (NULL: cannot): y is the state that it led to, z
 * becomes the one that it began from, to rounding or, with a quantum, in every bit; t, t_new, dt and h are those of the
 * step. The last slope comes in where it is the next step's first; then slopes and tape are as an attempt leaves them. */
typedef struct nde_body {
    int (*attempt)(const nde_attempt *step);
    int (*transpose)(const nde_attempt *step, const nde_step_cotangent *cotangent);
    int (*tangent)(const nde_attempt *step, const nde_step_tangent *tangent);
    int (*extend)(const nde_attempt *step);
    int (*extend_transpose)(const nde_attempt *step, const nde_step_cotangent *cotangent);
    int (*extend_tangent)(const nde_attempt *step, const nde_step_tangent *tangent);
    int (*reverse)(const nde_attempt *step);
} nde_body;

extern const nde_body nde_body_runge_kutta_baseline, nde_body_runge_kutta_v3, nde_body_runge_kutta_v4;
/* x to the nearest multiple of a power of two; NaN beyond what is exact in nde_real. */
static inline nde_real nde_quantised(nde_real x, nde_real quantum) {
    const nde_real most = (nde_real)2/(sizeof x == sizeof(float) ? (nde_real)FLT_EPSILON : (nde_real)DBL_EPSILON);
    const nde_real count = (nde_real)rint((double)(x/quantum));
    return count <= most && count >= -most ? count*quantum : (nde_real)NAN;
}

extern const nde_body nde_body_chebyshev_baseline, nde_body_chebyshev_v3, nde_body_chebyshev_v4;
/* What it needs of a worker, and its table; `sweeps`: for transposes and tangents too. */
void nde_chebyshev_lay_scratch(nde_scratch *scratch, nde_arena *arena, const nde_rhs *rhs, const nde_chebyshev *c, size_t ld,
                               bool sweeps);
void nde_chebyshev_lay(nde_chebyshev *c, nde_arena *arena);
extern const nde_body nde_body_multistep_baseline, nde_body_multistep_v3, nde_body_multistep_v4;
void nde_multistep_lay_scratch(nde_scratch *scratch, nde_arena *arena, const nde_rhs *rhs, const nde_multistep *m, size_t ld,
                               bool sweeps);

extern const nde_body nde_body_rosenbrock_baseline, nde_body_rosenbrock_v3, nde_body_rosenbrock_v4;
extern const nde_body nde_body_dirk_baseline, nde_body_dirk_v3, nde_body_dirk_v4;
extern const nde_body nde_body_collocation_baseline, nde_body_collocation_v3, nde_body_collocation_v4;
extern const nde_body nde_body_switched_baseline, nde_body_switched_v3, nde_body_switched_v4;
void nde_switching_lay_scratch(nde_scratch *scratch, nde_arena *arena, const nde_rhs *rhs, const nde_method *m, size_t ld);
extern const nde_body nde_body_composition_baseline, nde_body_composition_v3, nde_body_composition_v4;
extern const nde_body nde_body_coupled_baseline, nde_body_coupled_v3, nde_body_coupled_v4;
extern const nde_body nde_body_reversible_baseline, nde_body_reversible_v3, nde_body_reversible_v4;
extern const nde_body nde_body_nystrom_baseline, nde_body_nystrom_v3, nde_body_nystrom_v4;
/* The body of a kind of method, compiled for an instruction set. */
const nde_body *nde_body_get(int isa, int kind);

#endif
