/* SPDX-License-Identifier: MIT
 * rhs.h - the right-hand side of a problem as a method sees it: one function of (t, y) on a block of lanes, whatever it is
 * made of (drift, path terms, noise terms, quadrature), with its transpose and its tangent.
 *
 * Letters: dim rows of y, nz of the quadrature, rows = dim + nz of a slope: [F; l]. A noise term enters with the slope
 * dW/h over the step, so that y + h k is y + h f + g dW; a path term with dX/dt. */
#ifndef NDE_RHS_H
#define NDE_RHS_H

#include "nde/solve.h"
#include "core/kernels.h"
#include "core/step.h"

/* One field of the problem and where its parts of the shared arrays begin. */
typedef struct nde_part {
    const nde_field *field;
    size_t tape, cotape, prepared; /* first row, first row, first real */
    size_t piece;                  /* row of its path in nde_lanes.piece */
    size_t rate, rates;            /* noise: first row and rows in nde_lanes.rate */
    nde_noise noise;               /* in today's layout; its seed is that of when it was read */
} nde_part;

/* An event of the problem. */
typedef struct nde_watched {
    nde_part g, reset; /* reset.field NULL: none */
    int direction;     /* 1, -1, 0 */
    bool at_start;
    int64_t terminal;
} nde_watched;
enum { NDE_MOST_EVENTS = 64, NDE_CUT_TIED = NDE_MOST_EVENTS };

typedef struct nde_rhs {
    nde_problem problem; /* resolved: sizes filled in */
    size_t N, dim, nz, rows, np, nq;
    size_t channels;     /* of the input path: first rows of every u */
    nde_part drift, quadrature, jump, observe, *term;
    nde_part second;     /* of problem.splitting; else field NULL */
    nde_splitting splitting;
    bool plain;          /* drift alone, without u, its q from the first on: the fast way */
    const nde_step *step; /* of a plain problem: the drift compiled into the steps of the method in use; NULL: it is not */
    bool autonomous;     /* nothing depends on t: stages need no times of their own */
    bool noisy;
    bool paced;          /* slopes depend on the length of the step: noise, flows */
    size_t pieces;       /* > 0: of a slope that is kept apart from the noise of a step: all but the noise, and g of each
                          * diagonal term */
    size_t tape, cotape, work, u_rows, prepared, paths, rates; /* totals over fields */
    int64_t steps, cells; /* of fixed steps; cells of the noise in one step */
    int noise;            /* NDE_NOISE_*: what all terms together are; 0 without */
    bool driven;          /* stages of the method have multipliers of the noise of their own: nde_drive */
    bool areas;           /* some of them have the integral of W */
    bool follows;         /* some of them are derivatives of the noise along a slope, or brackets */
    bool brackets;        /* slopes have the brackets of general noise, of one term */
    size_t pairs;         /* with brackets: of its components */
    double correction;    /* what is added to the drift is that times sum_j dg_j/dy g_j, g_j the columns of g: 1/2 or -1/2
                           * for a method of the other calculus; 0: nothing */
    size_t rate_rows;     /* of nde_lanes.rate */
    const nde_kernels *kernels;
    nde_real *prepared_values;
    nde_watched event[NDE_MOST_EVENTS];
} nde_rhs;

/* What a worker works with: nothing in it outlives a call of rhs or body. */
typedef struct nde_scratch {
    nde_real *work, *u, *a_u, *value; /* [work][ld], [u_rows][ld] twice, [rows][ld] with terms or a splitting */
    nde_real *Y, *a_Y;                /* [dim][ld] a stage and its cotangent or tangent */
    double *t, *a_t;                  /* [ld] time of a stage and its cotangent */
    double *dw, *cell;                /* [rates][ld], [ld] */
    double *from, *to;                /* [ld] ends of the whole spans */
    double *dh;                       /* [rates][ld] with rhs.areas or rhs.brackets */
    double *area, *area_work;         /* [pairs][ld] with rhs.brackets, and what they are made with */
    void **noise;                     /* [n_terms] what their sources work with, for noise_room lanes */
    size_t noise_room;
    int64_t *cell_first;              /* [ld] */
    nde_real *part, *weight, *point;  /* of a Chebyshev method: mean slopes [][rows][ld], weights of a stage [4][ld], a
                                       * state [dim] */
    int *count;                       /* its stages [ld] */
    nde_real *along, *a_along, *bent; /* with rhs.correction or rhs.follows, [dim][ld]: a direction, its cotangent, a
                                       * derivative along it */
    nde_real *v_along, *unit, *row;   /* with these and derivatives, [dim][ld]: its tangent, cotangents of one row of a
                                       * derivative, and of y */
    nde_real *start_h, *start_tape;   /* of a multistep method's starting one: its steps [ld], [s][tape][ld]; slopes are
                                       * in part, its evaluations in count */
    double *start_dt, *start_end;     /* [ld] */
    struct nde_linear *linear;        /* of an implicit method */
    int worker;
    int stage;                        /* at which the last attempt failed */
} nde_scratch;

/* In site.lane of an implicit method's step, beside NDE_LANE_*: a stage has no solution that is found. */
enum { NDE_LANE_UNSOLVED = 254 };

enum { NDE_TURN_ALL = 0, NDE_TURN_DRIFT = 1 /* and path terms, and quadrature */, NDE_TURN_NOISE = 2 };

/* The lanes that a call works on. */
typedef struct nde_lanes {
    nde_site site;      /* complete for the drift but for t and tape */
    size_t *piece;      /* [paths][ld] */
    nde_real *rate;     /* [rates][ld] dW/h of this step; of a splitting with flows its h. rhs.driven: behind it
                         * [rates][ld] of the integral of W over the step, over h^2, as many that nde_rhs_rate writes, and
                         * sqrt(h) and its inverse, 0 where h is not > 0. rhs.brackets: behind it [pairs][ld] of the Levy
                         * areas, over h */
    int turn;           /* NDE_TURN_*: what the stage evaluates */
    nde_multipliers by; /* of NDE_TURN_NOISE */
    bool turned;        /* of a splitting: second is evaluated, not the drift */
    nde_real share;     /* of the step that this flow takes */
    size_t apart;       /* > 0: slopes are evaluated in their pieces, so far apart */
    nde_scratch *scratch;
} nde_lanes;

/* Does the field stand for its own flow: with the length of the sub-step behind its inputs? */
static inline bool nde_is_flow(const nde_rhs *r, const nde_field *field) { return field && field->nu == r->channels + 1; }

/* What multiplies the noise of term k in this stage, over h: [rates][ld]. */
const nde_real *nde_rhs_rate(const nde_rhs *r, const nde_lanes *lanes, size_t k);
/* z [rates][ld] = x times that, or added to z; z may be x. */
void nde_rhs_times_rate(const nde_rhs *r, const nde_lanes *lanes, size_t k, const nde_real *x, bool adds, nde_real *z);

enum { NDE_MOST_TERMS = 32 };

/* Reads the problem (sizes checked, everything but the values in its arrays): E_ARG, E_SIZE, E_CALCULUS with text.
 * parts, terms: [NDE_MOST_TERMS], which the result points to. */
nde_status nde_rhs_make(nde_rhs *rhs, const nde_problem *problem, nde_part *parts, nde_term *terms);
/* Runs every field's prepare. */
nde_status nde_rhs_prepare(const nde_rhs *rhs);
/* The scratch of one worker, out of the workspace; for transposes and tangents too. */
void nde_scratch_lay(nde_scratch *scratch, nde_arena *arena, const nde_rhs *rhs, size_t ld, bool derivatives);
/* Points lanes at a worker's scratch and fills in the site. */
void nde_lanes_bind(nde_lanes *lanes, const nde_rhs *rhs, nde_scratch *scratch);

/* Pieces of the paths that drive terms, and slopes of the noise, for a step from t to t + dt; step [n]: number of the
 * fixed step. */
void nde_rhs_begin(const nde_rhs *rhs, const nde_lanes *lanes, const double *t, const double *dt, const int64_t *step);

/* The site of one field from that of the drift's lanes. */
nde_site nde_rhs_site(const nde_rhs *rhs, const nde_lanes *lanes, const nde_part *part, nde_real *tape, size_t tape_ld);
/* The first rows of u: values of the input path; and of a_u: their tangents. */
void nde_rhs_inputs(const nde_rhs *rhs, nde_lanes *lanes, const double *t);
struct nde_source;
void nde_rhs_input_tangents(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const struct nde_source *source);
/* to += value of term k, times what multiplies diagonal noise. */
void nde_rhs_add(const nde_rhs *rhs, const nde_lanes *lanes, size_t k, const nde_real *value, nde_real *to);

/* k [rows][ld] = [F; l] at (t, y); tape NULL or [tape][tape_ld]. The first row is poisoned before, so that a field that
 * writes nothing is seen. Returns what the field returned. */
int nde_rhs_eval(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, nde_real *k, nde_real *tape,
                 size_t tape_ld);

/* The same in pieces [rhs.pieces], slab apart: [rows][ld] of all but the noise, then g [dim][ld] of each term. Nothing of
 * it has seen an increment: pieces serve two steps. */
int nde_pieces_eval(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, nde_real *pieces, size_t slab,
                    nde_real *tape, size_t tape_ld);
/* k [rows][ld]: the slope that they are with the noise of the step. */
void nde_pieces_sum(const nde_rhs *rhs, const nde_lanes *lanes, const nde_real *pieces, size_t slab, nde_real *k);

/* The same of both fields of a splitting, neither of which is a flow. */
int nde_rhs_eval_whole(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, nde_real *k);

/* The value [out][ld] of a field beside the right-hand side: of an event. Its first row is poisoned before. */
int nde_part_eval(const nde_rhs *rhs, nde_lanes *lanes, const nde_part *part, const double *t, const nde_real *y,
                  nde_real *out);

/* Where cotangents go: NULL is not wanted; all are added to. x_input, x_term: the caller's whole arrays. */
typedef struct nde_sink {
    double *p;                 /* [np] */
    nde_real *q;               /* [nq][ld] */
    nde_real *x_input, *const *x_term;
    double *t;                 /* [ld], of the time of the call */
    double *noise;             /* [ld] += -1/2 <cotangent of rate, rate>: the cotangent of h from the noise, times h; also
                                * from tau */
    struct nde_ring *window; /* not NULL: parameter gradients of fields with vjp_window are formed in windows */
} nde_sink;

/* A ring of columns, flushed by one product a layer when full (deferring gains 4-6 x on small blocks, nothing on large
 * ones: a stage of at least NDE_WINDOW_DIRECT lanes goes straight through). Shared by all panels of a worker in turn. */
enum { NDE_WINDOW = 256, NDE_WINDOW_DIRECT = 128 };
typedef struct nde_ring {
    size_t used, ld;
    nde_real *tape, *cotape; /* [tape][ld], [cotape][ld]; NULL where every stage goes straight through */
    nde_real *delta;         /* [cotape][ld of a panel]: of one stage */
} nde_ring;
void nde_window_lay(nde_ring *window, nde_arena *arena, const nde_rhs *rhs, size_t panel_ld);
int nde_window_flush(nde_ring *window, const nde_rhs *rhs, const nde_lanes *lanes, double *p);

/* Adds to a_y [dim][ld] and to the sink from a [rows][ld]; tape as eval left it (needed when rhs.tape > 0). */
int nde_rhs_vjp(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *a,
                nde_real *tape, size_t tape_ld, nde_real *a_y, const nde_sink *sink);

/* Of their sum: adds to a_pieces and, where wanted, to a_h [n]; and its tangent. */
void nde_pieces_sum_transpose(const nde_rhs *rhs, const nde_lanes *lanes, const double *dt, const nde_real *pieces, size_t slab,
                              const nde_real *a_k, nde_real *a_pieces, double *a_h);
void nde_pieces_sum_tangent(const nde_rhs *rhs, const nde_lanes *lanes, const double *dt, const double *v_h,
                            const nde_real *pieces, const nde_real *v_pieces, size_t slab, nde_real *v_k);

/* The same of a field beside the right-hand side, without a tape. */
int nde_part_vjp(const nde_rhs *rhs, nde_lanes *lanes, const nde_part *part, const double *t, const nde_real *y,
                 const nde_real *a, nde_real *a_y, const nde_sink *sink);

/* A direction; NULL is zero. rate follows v_h: rate' = -rate/(2h) v_h; h [n]. Many directions: one after the other in p,
 * x_input and each of x_term, and in the lanes. */
typedef struct nde_source {
    const nde_real *p, *q, *x_input, *const *x_term; /* q [nq][ld] */
    const double *t, *h, *v_h;
    size_t directions, lanes; /* > 1: so many, each of so many lanes */
    size_t first;             /* the first one's number in x_term */
} nde_source;
/* Direction d alone, with the lanes' own tangents yet to be put in. */
nde_source nde_source_along(const nde_rhs *rhs, const nde_source *all, size_t d);
/* v_k [rows][ld] along v_y and the source. */
int nde_rhs_jvp(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *v_y,
                const nde_source *source, nde_real *v_k);

int nde_part_jvp(const nde_rhs *rhs, nde_lanes *lanes, const nde_part *part, const double *t, const nde_real *y,
                 const nde_real *v_y, const nde_source *source, nde_real *v);

/* Whose turn it is in a stage, and with which multipliers. */
struct nde_drive;
void nde_rhs_turn(nde_lanes *lanes, const struct nde_drive *drive);
/* k [rows][ld] = what the noise of slope `from`, whose multiplier is sqrt(h), is with that of this stage: their ratio times
 * `from`, and so are tangents; and the transpose, which adds to a_from. */
void nde_like_eval(const nde_rhs *rhs, const nde_lanes *lanes, const nde_real *from, nde_real *k);
/* z = y + h sum w_j k_j on the rows of the state, where those slopes are made that nde_like_eval has not; equal: with h[0] in
 * all lanes. false: there are none, and nothing is done. drive [stages] of the method. */
bool nde_like_sum(const nde_rhs *rhs, const nde_lanes *lanes, const struct nde_drive *drive, bool equal, const nde_real *h,
                  const nde_row *row, const nde_real *k, size_t slab, const nde_real *y, nde_real *z);
void nde_like_vjp(const nde_rhs *rhs, const nde_lanes *lanes, const nde_real *a, nde_real *a_from);
/* k [rows][ld] = derivative of the noise at (t, y) along h v: v [dim][ld]. */
int nde_along_eval(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *h, const nde_real *y,
                   const nde_real *v, nde_real *k);
/* Adds to a_y and the sink; scratch.along becomes h v, scratch.a_along its cotangent; k as before. */
int nde_along_vjp(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *h, const nde_real *y,
                  const nde_real *v, const nde_real *k, const nde_real *a, nde_real *a_y, const nde_sink *sink);
/* v_k [rows][ld] = the tangent of k: v_v is that of v; dt, h, y, v and k as before. Rows of derivatives by vjp_jvp: one
 * direction at a time. */
int nde_along_jvp(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *h, const nde_real *y,
                  const nde_real *v, const nde_real *k, const nde_real *v_y, const nde_real *v_v, const nde_source *source,
                  nde_real *v_k);
/* k += the brackets of the noise's columns times their areas over h; its transpose and tangent. */
int nde_bracket_eval(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, nde_real *k);
int nde_bracket_vjp(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *a, nde_real *a_y,
                    const nde_sink *sink);
int nde_bracket_jvp(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *v_y,
                    const nde_source *source, nde_real *v_k);
/* k += rhs.correction sum_j dg_j/dy g_j; its transpose and tangent. */
int nde_correction_eval(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, nde_real *k);
int nde_correction_vjp(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *a,
                       nde_real *a_y, const nde_sink *sink);

int nde_correction_jvp(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *v_y,
                       const nde_source *source, nde_real *v_k);

/* The jump map and its derivatives on lanes: u [jump_inputs][ld]. */
int nde_jump_eval(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *u, nde_real *z);
int nde_jump_vjp(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *u,
                 const nde_real *a, nde_real *a_y, nde_real *a_u, const nde_sink *sink);
int nde_jump_jvp(const nde_rhs *rhs, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *u,
                 const nde_real *v_y, const nde_real *v_u, const nde_source *source, nde_real *v_z);

/* The first field of the right-hand side, jumps and observations that lacks something: NULL when none does; vjp, or jvp. */
const nde_field *nde_rhs_without(const nde_rhs *rhs, bool (*lacks)(const nde_field *field));
const nde_field *nde_rhs_without_vjp(const nde_rhs *rhs);
const nde_field *nde_rhs_without_jvp(const nde_rhs *rhs);
/* A noise term's whose derivatives are in the step, without a vjp_jvp. */
const nde_field *nde_rhs_without_second(const nde_rhs *rhs);

#endif
