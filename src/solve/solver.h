/* SPDX-License-Identifier: MIT
 * solver.h - what a solver is made of. Its life: options.c reads what is wanted, choose.c picks method, kernels and controller,
 * setup.c lays it out, solver.c runs it, loop.c steps (joint.c: all together), turnover.c lets trajectories in and out, panel.c
 * carries out what the loop decides (and what the sweep replays), record.c logs it (walk.c reads that), adjoint/ walks the log
 * back.
 *
 * A panel is a block of lanes with everything it needs; a shard is what one task works on: with independent steps one panel
 * with a queue of trajectories, with joint steps a run of panels that hold all of theirs. Shards depend on n and dim only. */
#ifndef NDE_SOLVER_H
#define NDE_SOLVER_H

#include <math.h>
#include <stdatomic.h>

#include "nde/adjoint.h"
#include "nde/solve.h"
#include "controller/clock.h"
#include "controller/weigh.h"
#include "method/body.h"
#include "save/rows.h"
#include "solve/record.h"

/* Times at which every step ends: jumps, and knots of linear paths that drive a term. */
typedef struct nde_forced {
    size_t count;
    double *t;     /* in the direction of time */
    size_t *jump;  /* which jump; SIZE_MAX: none: a knot, a clip */
    bool *clip;    /* in options.clip_t */
} nde_forced;

/* The part of a panel that is a number and outlives a step; saved with the state. */
typedef struct nde_live {
    size_t n, next;        /* active lanes; next trajectory of the queue */
    int64_t attempts, lane_attempts, lane_room; /* block steps, lanes in them, lanes there was room for */
    int64_t accepted;      /* block steps with an accepted lane */
    int flip;              /* which of the two states is y */
    bool clean;            /* every slope 0 is that of its lane */
} nde_live;

/* What undoing the steps of a panel does to what is wrong in a state. */
typedef struct nde_growth {
    double square;        /* of the roundings since the last anchor, summed up */
    double rate, size;    /* of the lane where neighbours part fastest; of the Jacobian along their direction */
    double since;         /* time since that was looked at */
    int steps;            /* steps since then */
} nde_growth;

/* Of 2^32 accepted steps, those at which a lane is looked at: one of 64. */
enum { NDE_STIFF_LOOK = 1 << 26 };

/* What is known of a lane's stiffness. */
typedef struct nde_stiffness {
    double since, jacobian; /* when the score left zero; the estimate at the last hit */
    int64_t score;          /* two for a hit, one less for a miss */
} nde_stiffness;

/* Rejected attempts within each other. */
enum { NDE_MOST_REVISITS = 64 };

typedef struct nde_panel {
    nde_lanes lanes;
    size_t first, count;   /* trajectories of this panel */
    size_t shard;
    size_t capacity, ld, slab;
    nde_live *live;
    /* lanes, between steps: [capacity] */
    size_t *trajectory, *interval, *forced, *saved; /* forced: the next one ahead */
    int64_t *node, *accepted, *rejected, *evals;    /* node: number of the fixed step */
    double *t, *t1, *h, *past, *h_first, *h_last;   /* h: proposed, or of whole fixed steps; past: see nde_weigh_past */
    double *stop, *watch;                           /* next forced time or t1; the next time at which there is something to
                                                     * do */
    double *refused;                                /* attempts rejected in a row */
    double *past2, *h_last2;                        /* of the accepted step before the last; NULL: no controller asks */
    double *error_last, *error_last2;               /* of the last accepted steps, at least 1e-4; NULL: the caller does not
                                                     * decide */
    double *rtol, *atol;                            /* of the lanes; NULL: one for all */
    double *revisit;                                /* [NDE_MOST_REVISITS][capacity] ends of attempts that were rejected
                                                     * and lie ahead, the last one last; NULL: solver.revisits is not set */
    size_t *revisits;                               /* how many */
    int64_t *iterations;                            /* of Newton's method; NULL: there is none */
    int64_t *products;                              /* of GMRES, likewise */
    int64_t *forced_steps;                          /* accepted at the least step beyond the tolerance; NULL: none are */
    int64_t *implicit;                              /* attempts that were implicit; NULL: the method does not switch */
    nde_stiffness *stiff;                           /* NULL: steps are fixed, or the method's stability is not known */
    nde_real *state[2], *q, *carry;                 /* [state_rows][ld] twice, [nq][ld], [rows][ld] slope 0 */
    /* one attempt */
    double *t_stage;                                /* t_new, or just before it at a clip; NULL: no clips */
    double *t_new, *dt;                             /* of the attempt that is made, or comes next */
    double *t_done, *dt_done;                       /* of the one before, once it is judged */
    double *error;                                  /* times error_scale: square of the norm relative to the tolerance */
    double *error2;                                 /* of a method's second estimate */
    double error_scale;
    nde_real *estimate, *point;                     /* for the caller's norm and domain: [dim][ld], [dim] */
    double *norm;                                   /* [ld] */
    unsigned char *accept, *mark;
    nde_real *h_real, *chosen;                      /* [ld] */
    nde_real *kept;                                 /* [state_rows + rows][ld] to where `run` of march.c goes back */
    nde_real *y, *z, *k;                            /* k [s][rows][ld]: own or in the record */
    nde_real *own_k;
    nde_real *tape;                                 /* of `inside` */
    bool tried;                                     /* an attempt waits for its decision */
    bool over_budget;                               /* the record had no room: it is lost */
    int rc;                                         /* what the attempt returned */
    nde_real *g;                                    /* [n_events][ld] values of the events at the state; 0: not left zero yet */
    double *since;                                  /* when an event last cut a step; NaN: never. NULL: without events or
                                                     * record */
    int64_t step_goal;                              /* pause when live->accepted gets there */
    nde_growth growth;
    nde_real *along;                                /* [dim][ld] the direction in which lanes came closest; NULL: nobody asks */
    nde_record record;
    nde_entry slot;                                 /* of the attempt */
} nde_panel;

/* A few lanes taken out of a panel: starting, jumping, asked for values inside a step. One a worker. */
typedef struct nde_group {
    nde_lanes lanes;
    size_t *trajectory, *interval, *piece;
    int64_t *node;
    double *t, *dt, *t_new;
    double *square[3];                              /* [capacity] norms of a first step */
    unsigned char *mark;
    nde_real *h, *y, *z, *k, *q, *rate, *u;         /* y, z [rows][ld], k [2, pieces or slopes][rows][ld], u
                                                     * [jump_inputs][ld] */
    nde_real *a_y, *a_k, *a_q, *a_u;                /* with an adjoint; a_k [1, pieces or slopes][rows][ld] */
    double *a_t, *a_h;
} nde_group;

/* Of the lanes of a step, [ld]: sums over components of the squares of four sums of slopes, and of their products with
 * tangents. */
enum { NDE_ESTIMATE_SUMS = 4 };
typedef struct nde_estimates {
    double *square[NDE_ESTIMATE_SUMS], *product[NDE_ESTIMATE_SUMS], *size, *x, *v_x;
} nde_estimates;
/* Where no derivative goes through an event. */
typedef struct nde_obstacle {
    bool any, tied; /* tied: something else happens at the same time; else it is touched, not crossed */
    size_t who, event;
    double t;
} nde_obstacle;

/* What a worker owns. */
typedef struct nde_worker {
    nde_scratch scratch;
    nde_group group;
    size_t *list, *list2, *list3, *attend;  /* [capacity] */
    nde_status *status, *crossed;
    /* with events, by lane of the panel: what they make of its step (NDE_OK: nothing; NDE_UNFINISHED: it goes on from a reset),
     * [n_events][capacity] which passed where the step is cut; [n_events][ld] their values after the step */
    nde_status *verdict;
    unsigned char *passed;
    size_t *cut_by;        /* [capacity] which cuts it, as in nde_cuts; SIZE_MAX: none */
    nde_real *g_new;
    double *length;        /* [capacity] of the step, from where it began to its cut */
    double *root;          /* [n_events] of one lane, and their order */
    size_t *order;
    nde_panel inside;      /* the group as a panel: lanes of a step with the stages of the extension alone; nothing of its
                            * own */
    bool loaded;           /* they are those of w->list, of the attempt that is being settled */
    nde_rows rows;         /* with rows that do not go straight to their place */
    nde_status *fate;      /* [capacity] what becomes of lanes by their rows */
    /* with an adjoint */
    nde_panel replica;     /* recomputes states */
    nde_ring window;
    size_t *who, *saved, *forced;  /* the sweep's lanes: trajectory, cursor into the saves, next forced time */
    int64_t *accepted;
    double *now;                   /* their time */
    nde_real *a_y, *a_carry, *a_k, *a_q, *a_z, *tape; /* [tangent_rows][ld], [rows][ld], [s + 1][rows][ld], [nq][ld],
                                                       * [state_rows][ld], [slopes][tape][ld] */
    double *a_t, *a_h, *loss;
    nde_estimates estimates;       /* with options.estimates */
    /* and events (adjoint/saltation.c): rows of hits to come, when the lane was last cut, cotangent or tangent of that
     * time, cotangents [rows][ld] of states inside a step that go to its start, and of one lane: a state, its slope, the
     * normal of an event, a cotangent or tangent [4][rows] */
    size_t *hit;
    double *since, *a_since;
    nde_real *a_start, *at_hit;
    nde_obstacle obstacle;
    bool turn;             /* with slopes in pieces: which of two tapes is that of the state that steps undone have come to */
    bool unread;           /* the store has not read a state: NDE_STORE_FAILED is then no code of a field */
    struct nde_worker *wide; /* scratch, group, replica and a_* for lanes x directions (a_since [directions][capacity]);
                              * NULL: one direction at a time */
} nde_worker;

/* Has a factorisation had no memory? Only once. */
static inline bool nde_worker_starved(nde_worker *w) {
    nde_linear *l = w->scratch.linear;
    const bool starved = l && l->lu.starved;
    if (starved) l->lu.starved = false;
    return starved;
}

/* Sums of one shard. */
typedef struct nde_shard {
    size_t first, count;   /* panels */
    double *p, *save_t, *jump_t, loss_error, loss_squares;
    int64_t recomputed;    /* steps, on the way back */
} nde_shard;

/* Hits of events: see nde_solution. */
typedef struct nde_hits {
    size_t rows, *kept;
    int64_t *count;
    int32_t *which, *end;
    unsigned char *together;
    double *t;
    nde_real *y;
} nde_hits;

#define NDE_ROWS_UNLIMITED (SIZE_MAX/2)

/* See adjoint/retrace.h. */
struct nde_recall;
typedef int (*nde_retrace)(const struct nde_recall *recall, nde_entry *step, const nde_seed *seed, const nde_sink *sink);

/* Steps in a row of one trajectory: where a record of the form tape would keep them. */
typedef struct nde_made {
    size_t count;
    const double *t;            /* [count + 1] from one to the next */
    nde_real *y, *k, *tape;     /* of the first one; [dim], [s][dim], [s][tape] or NULL */
    size_t apart;               /* from there to those of the next one */
} nde_made;
typedef int (*nde_remake)(nde_solver *s, nde_worker *w, const nde_made *steps);

struct nde_solver {
    nde_options options;   /* adjoint: DISCRETE where a record is kept, whatever the adjoint */
    int adjoint;           /* NDE_ADJOINT_* that was asked for */
    bool undoes;           /* that is REVERSIBLE */
    nde_rhs rhs;
    nde_part term[NDE_MOST_TERMS];
    nde_term own_term[NDE_MOST_TERMS]; /* the problem's, in today's layout */
    nde_method own_method; /* the caller's tableau */
    nde_method doubled;    /* with options.error DOUBLING: of `base` */
    nde_method coupled;    /* with options.coupling: of `base` or `doubled` */
    nde_method composed;   /* with problem.splitting: `base` along the drift and along second */
    const nde_method *by[2]; /* the methods for these */
    nde_method multistep;  /* of options.order: `base` is a multistep method */
    nde_method switching;  /* `base` switches between two */
    nde_method anew;       /* a reversible method with noise: its slopes are not handed on */
    const nde_method *base; /* the method that was asked for */
    nde_table table;
    nde_kernels kernels;   /* of options.isa, with the product of options.blas */
    const nde_body *body;
    void (*sprint)(nde_solver *s, nde_panel *p); /* NULL where the general loop is needed */
    nde_retrace retrace;   /* NULL where the general sweep is needed */
    nde_remake remake;     /* of the same */
    bool marches;          /* fixed steps between which nothing needs to be looked at */
    bool runs;             /* and that may be looked at many at a time */
    nde_control control;
    nde_filter filter;
    nde_clock clock;
    nde_controller decide; /* the caller's; decide NULL: none */
    nde_store store;       /* write NULL: none */
    nde_tolerance tolerance;
    double *clip_t;        /* [n_clip] or NULL */
    double *rtol_n, *atol_n, *weight, *atol_each; /* [N], [N], [dim], [dim] or NULL; the last one is that of tolerance */
    nde_error_norm norm;   /* of: NULL without */
    nde_domain domain;     /* guarded: there is one */
    bool measured;         /* errors are measured otherwise than in kernels->error */
    bool measured_inside;  /* by the compiled step */
    bool largest;          /* the norm is the largest of its parts, over rows and joint lanes, instead of their mean */
    bool guarded;
    double counted;        /* parts of the mean: dim, or what weights leave of it; 1 when largest */
    enum { NDE_SAVE_END, NDE_SAVE_TIMES, NDE_SAVE_EVERY } saving;
    bool restless;         /* adaptive with noise: steps end where something is saved */
    bool revisits;         /* and where an attempt was rejected: what is known of an area depends on what has been asked */
    double cell_share;     /* restless: the longest cell of a path, as a share of its span */
    double cell;           /* restless: no step is shorter than the longest cell of a path */
    bool adaptive, joint;  /* joint: adaptive with one step size for all */
    bool started, finished;
    bool logs;             /* what happens goes to the record: with BACKSOLVE where an event may end or reset a trajectory */
    bool logged, recorded; /* in this run, so far; and steps too */
    double direction, per_dim; /* 1/counted */
    size_t directions;     /* that forward mode follows at once */
    size_t N, rows_saved;  /* rows of the output; NDE_ROWS_UNLIMITED */
    size_t tangent_rows;   /* of a state that have derivatives: rhs.rows, and as many behind them for each partner of the
                            * method */
    size_t state_rows;     /* of all of it: with compensated sums rhs.rows more for what rounding took */
    nde_forced forced;
    size_t n_panels, n_shards, n_workers;
    nde_panel *panel;
    nde_shard *shard;
    nde_worker *worker;
    const nde_executor *executor;
    nde_executor own_executor;
    nde_pool *pool;
    _Atomic size_t done;   /* trajectories that have ended */
    atomic_int stop;       /* set by a field, the progress callback or a failure; seen by all */
    atomic_int late;       /* it is max_seconds after the start of the run that stops it */
    int64_t deadline;      /* in nde_nanoseconds */
    int64_t step_limit;    /* of this call, for each panel; < 0: none */
    double joint_error;    /* squared */
    int joint_rc;
    bool joint_outside;    /* a lane left the domain */
    nde_decision decision; /* of the caller's controller on the joint step */
    int decision_rc;
    /* outputs, [N] */
    nde_real *y_out, *y_end, *z_end;
    size_t out;            /* rows of y_out */
    nde_real *y_rows, *a_rows; /* [rows][dim][N] states at the rows, and cotangents of them or [directions] tangents: with
                                * an observation and adjoint */
    nde_real *a_out;       /* cotangent of y_out by problem.loss */
    nde_loss loss;         /* at: NULL without */
    double loss_value;
    nde_stream stream;     /* at: NULL without */
    nde_reduction reduction;
    nde_sums sums;
    atomic_int closed;     /* the caller's stream or reduction takes no more rows */
    bool reduces, emits;   /* emits: rows are observed, streamed, reduced or not kept */
    double *save_t, *save_t_out, *t_end;
    double *since;         /* [N] as in nde_panel, at the end */
    size_t save_row, save_lane; /* steps through save_t from row to row and from trajectory to trajectory: 1, 0, or with own
                                 * times N, 1 */
    size_t *saved;
    nde_status *status;
    nde_stats *stats;
    nde_hits hits;
    double *error_estimate, *stiffness_estimate; /* NULL without, as in the solution */
    int64_t *estimate_step;
    uint64_t estimate_seed; /* of this run */
    double *a_estimate;    /* [2][N] cotangents of them by problem.loss; NULL: it has none */
    /* gradients until they are complete */
    nde_real *g_y0, *g_p, *g_q, *g_jump_u, *g_input, **g_term;
    double *g_t0, *g_t1, *g_save_t, *g_jump_t, *g_p_sum, *g_apart; /* apart [N]: gradient.reconstruction of the reversible
                                                                    * adjoint */
    /* memory */
    struct nde_back *back; /* NULL: the adjoint is the transpose of the record (adjoint/sweep.c) */
    size_t back_bytes, back_slopes; /* of its solver, behind the records */
    struct nde_curvature *curvature; /* NULL: no second derivatives */
    size_t curvature_bytes;          /* of its solver, behind that of the way back */
    nde_allocator allocator;
    void *block;
    size_t bytes, state_from, state_to;
    bool own_block;
    char error[512];
};

/* ---- options.c ---- */

/* Reads and checks what the caller wants into an empty solver; nothing is allocated. */
nde_status nde_solver_read(nde_solver *s, const nde_problem *problem, const nde_options *options);
nde_status nde_wrong_option(const char *what, double value);
static inline bool nde_is_size(double x) { return x >= 0 && isfinite(x); }

/* ---- choose.c ---- */

/* The method of the options, and what they make of it: its claims. */
nde_status nde_choose_method(nde_solver *s);
/* Its coefficients, where they are written when a solver is made; counted with base NULL. */
nde_status nde_write_method(nde_solver *s, nde_arena *arena);
/* The table that is run: that of the method, or what has been made of it. */
const nde_method *nde_chosen_method(const nde_solver *s);
nde_status nde_choose_kernels(nde_solver *s);
nde_status nde_choose_controller(nde_solver *s);
void (*nde_choose_sprint(int isa))(nde_solver *s, nde_panel *p);
void nde_choose_retrace(int isa, nde_retrace *retrace, nde_remake *remake);

/* ---- setup.c ---- */
/* Reads the problem and the options into a solver without memory, and counts its bytes and those of each panel's record. */
nde_status nde_solver_measure(nde_solver *s, const nde_problem *problem, const nde_options *options, size_t *total,
                              size_t *slice);
/* How trajectories are divided, by the problem alone; each: trajectories of a panel, capacity: its lanes. */
typedef struct nde_division {
    size_t panels, shards, capacity, each;
} nde_division;
nde_division nde_solver_divide(const nde_solver *s);
/* A panel's record, lanes ld apart, in size bytes at base. */
void nde_solver_open_record(const nde_solver *s, nde_record *record, size_t ld, void *base, size_t size);

/* ---- plan.c ---- */
/* Are the steps of a run fixed, with nothing between them? */
bool nde_steps_are_known(const nde_solver *s);
/* Sets the form of an empty record to the one that such a run of a panel of `count` trajectories will need, and the steps that
 * keep their states. Bytes that it then holds; 0: there is no room in any form. */
size_t nde_record_foresee(const nde_solver *s, nde_record *record, size_t count, size_t capacity);

static inline int64_t nde_most_of_newton(const nde_solver *s) {
    return 2 + (int64_t)s->rhs.dim + (int64_t)s->table.stages*s->table.newton.most;
}

/* The right-hand side is evaluated no more often in a step and at its end. */
static inline int64_t nde_most_evaluations(const nde_solver *s) {
    /* rows.c */
    const int64_t own = s->table.slopes - s->table.stages, again = s->emits && s->saving == NDE_SAVE_TIMES ? own : 0;
    const int64_t stages = s->table.chebyshev.most ? s->table.chebyshev.most
                           : s->table.newton.most  ? nde_most_of_newton(s)
                                                   : s->table.evals;
    const int64_t starting = s->table.multistep.order ? s->table.multistep.start->stages - 1
                             : s->table.way ? s->table.way[1].stages + nde_jacobian_evaluations(&s->table.jacobian, &s->rhs)
                             : 0;
    return stages + starting + own + again + (s->table.fresh && s->forced.count) + (s->undoes ? 2 : 0);
}

/* Lane b has no steps behind it: a filter has no opinion, PI grows as DOPRI5 does. */
static inline void nde_forget_steps(const nde_solver *s, nde_panel *p, size_t b) {
    p->past[b] = s->filter.on ? 0 : nde_weigh_past(0);
    if (p->past2) p->past2[b] = 0, p->h_last2[b] = 0;
    if (p->error_last) p->error_last[b] = p->error_last2[b] = 1e-4;
}

/* ---- times ---- */
static inline double nde_start_of(const nde_solver *s, size_t who) {
    return s->rhs.problem.t0_each ? s->rhs.problem.t0_each[who] : s->rhs.problem.t0;
}
static inline double nde_end_of(const nde_solver *s, size_t who) {
    return s->rhs.problem.t1_each ? s->rhs.problem.t1_each[who] : s->rhs.problem.t1;
}
/* Length of a step from t to t_new of trajectory `who`: whole fixed steps have all the same. */
double nde_step_length(const nde_solver *s, size_t who, double t, double t_new);
/* May a step end at t, as far as the noise knows: is it a node of the fixed steps of all that are on their way then? */
bool nde_at_node(const nde_solver *s, double t);
/* First forced time after t in the direction of time. */
size_t nde_forced_after(const nde_solver *s, double t);
/* Where the save time of a row stands in save_t and its gradient, and that time; NaN: the trajectory has no more. */
static inline size_t nde_save_index(const nde_solver *s, size_t row, size_t who) { return row*s->save_row + who*s->save_lane; }
static inline double nde_save_time(const nde_solver *s, size_t row, size_t who) {
    return s->save_t[nde_save_index(s, row, who)];
}

/* ---- panel.c: what a panel can do. All return what a field returned; 0 is fine ---- */
void nde_panel_bind(const nde_solver *s, nde_panel *p, nde_worker *w);
void nde_panel_resize(nde_panel *p, size_t n);
/* Sets stop and watch of a lane, from its next forced time and its next save, and with them its next attempt. */
void nde_panel_watch(const nde_solver *s, nde_panel *p, size_t lane);
/* The attempt of a lane was rejected: a step is to end where it would have, if the solver revisits. false: there are too
 * many of them. */
bool nde_panel_remember(const nde_solver *s, nde_panel *p, size_t lane);
/* Trajectories come into the lanes behind: y, q, t and counters as at their start. */
void nde_panel_enter(const nde_solver *s, nde_panel *p, const size_t *who, size_t m);
/* The last lane takes the place of this one. */
void nde_panel_leave(const nde_solver *s, nde_panel *p, size_t lane);
/* A lane gets another state [dim], ld apart. */
void nde_panel_put(const nde_solver *s, nde_panel *p, size_t lane, const nde_real *y, size_t ld);
/* Slope 0 of some lanes at (t, y), and partners with it; marks of lanes that fail are left in p->mark. */
int nde_panel_fresh(const nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m);
/* Evaluates the jump ahead of some lanes into the group, and takes over what is not marked there. */
int nde_panel_jump(const nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m);
void nde_panel_land(const nde_solver *s, nde_panel *p, const nde_worker *w, const size_t *lane, size_t m);
/* Room in the record for an attempt, its slopes and its tape (NULL: it keeps none); false: the panel is over its budget.
 * And: keeps the attempt, of all lanes or of those with accept[b]. */
bool nde_panel_reserve(const nde_solver *s, nde_panel *p, nde_real **tape);
void nde_panel_keep(const nde_solver *s, nde_panel *p, bool all);
/* One attempt from t to t_new with dt, into z and k. */
int nde_panel_attempt(const nde_solver *s, nde_panel *p, nde_real *tape);
/* Makes the new state and slope 0 of the lanes with accept[b] the present ones. */
void nde_panel_advance(const nde_solver *s, nde_panel *p, bool all);
nde_attempt nde_panel_step(const nde_solver *s, nde_panel *p, nde_real *tape);

/* Room for m lanes in the worker's group; what they hold is yet to be written. */
void nde_group_open(const nde_solver *s, nde_worker *w, size_t m);
/* Takes lanes out of a panel into the worker's group. */
void nde_group_gather(const nde_solver *s, const nde_panel *p, nde_worker *w, const size_t *lane, size_t m);
/* u of the jump ahead of each gathered lane; interval[j] numbers it. */
void nde_group_jump_inputs(const nde_solver *s, nde_worker *w, size_t m, const nde_real *from, nde_real *u);

/* ---- save.c: outputs of a step, and their transposes and tangents ---- */

/* Rows of the output: save_t, every k-th step, or the end alone. */
void nde_save_start(nde_solver *s, nde_panel *p, size_t lane);
bool nde_save_due(const nde_solver *s, const nde_panel *p, size_t lane);
/* The next time at which something may be due for this lane; against the direction of time without end: at every step. */
double nde_save_next(const nde_solver *s, const nde_panel *p, size_t lane);
void nde_save_step(nde_solver *s, nde_panel *p, size_t lane);
/* Can all lanes be saved at once? saved [n]: their cursors. Then the same with the same bits, the lanes side by side. */
bool nde_save_together(const nde_solver *s, const nde_panel *p, const size_t *saved);
void nde_save_step_together(nde_solver *s, nde_panel *p);
void nde_save_end(nde_solver *s, nde_panel *p, size_t lane, nde_status status);
/* The row that accepted step number `step` (from 1) fills with save_every, SIZE_MAX when none; last: it is the last one. */
size_t nde_save_row_of_step(const nde_solver *s, int64_t step, bool last);
/* With save times: does this row lie in the step to t_new? Rows are used up in order, so those before its start are gone. */
bool nde_save_row_is_due(const nde_solver *s, size_t row, size_t who, double t_new);

/* ---- rows.c: the same for rows that are observed, streamed, reduced or not kept; what fails changes the status ---- */
void nde_rows_start(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m, nde_status *status);
/* Of the lanes to be attended to after a step; then w->fate says what becomes of them. */
void nde_rows_step(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *attend, size_t attending);
/* Of the lanes that end. */
void nde_rows_end(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m, nde_status *status);

/* ---- observe.c: all return what the field returned ---- */
/* Of the states in the block; of that in column j alone. */
int nde_observe(const nde_solver *s, nde_rows *r, nde_scratch *scratch);
int nde_observe_one(const nde_solver *s, nde_rows *r, size_t j, nde_scratch *scratch);
/* For the trajectories of a shard: fills a_rows from the seeds of observations, and adds to everything else; and the
 * tangents of observations from those of the states [rows][dim][N]. */
int nde_observe_transpose(nde_solver *s, nde_worker *w, nde_shard *shard, const nde_seed *seed, const nde_sink *wanted);
int nde_observe_tangent(const nde_solver *s, nde_worker *w, const nde_shard *shard, const nde_direction *along,
                        const nde_real *states, nde_real *out);

/* ---- reduce.c ---- */
void nde_reduce_begin(nde_solver *s);
/* Adds row j of the block; returns what the caller's add returned. */
int nde_reduce_add(nde_solver *s, size_t shard, int worker, const nde_rows *r, size_t j);
/* What has been summed up so far, over all shards. */
void nde_reduce_end(nde_solver *s);

/* Where the cotangents of one lane of a step are. */
typedef struct nde_save_sink {
    nde_real *y, *k;       /* column of [rows][ld], and of slab 0 of those of the panel */
    size_t ld;             /* of y */
    double *t, *h, *save_t; /* of the lane, the lane, as nde_save_index; NULL: times are not wanted */
} nde_save_sink;
/* Cotangents of the rows that lane b saved in the step of panel p, the last *cursor of them; before the body's transpose
 * those of the new state and the slopes, after it those of the old state (then the cursor moves). total: accepted steps of the
 * trajectory up to and with this one; ended: it is its last. */
void nde_save_before(const nde_solver *s, const nde_panel *p, size_t b, size_t cursor, int64_t step, const nde_seed *seed,
                     const nde_save_sink *sink);
void nde_save_after(const nde_solver *s, const nde_panel *p, size_t b, size_t *cursor, int64_t step, const nde_seed *seed,
                    const nde_save_sink *sink);
/* The same for all lanes at once, without times; cursor [n], a_y [rows][ld], a_k [s][rows][ld]. */
void nde_save_before_together(const nde_solver *s, const nde_panel *p, size_t cursor, const nde_seed *seed, nde_real *a_y,
                              nde_real *a_k);
void nde_save_after_together(const nde_solver *s, const nde_panel *p, size_t *cursor, const nde_seed *seed, nde_real *a_y);
/* Cotangents that meet a lane at its end and at its start. */
void nde_save_end_transpose(const nde_solver *s, size_t who, const nde_seed *seed, nde_real *a_y, size_t ld);
void nde_save_start_transpose(const nde_solver *s, size_t who, size_t *cursor, const nde_seed *seed, nde_real *a_y, size_t ld);

/* Tangents of the rows that lane b saves in a step; v_y, v_z, v_k are its columns. */
typedef struct nde_save_tangent {
    const nde_real *y, *z, *k;
    double t, h;
    const double *save_t;
    bool cut;              /* the step ends at an event: rows there are inside it too */
    bool at_end;           /* of the one value: it is that of the new state */
} nde_save_tangent;
void nde_save_step_tangent(const nde_solver *s, nde_panel *p, size_t b, const nde_save_tangent *v, nde_real *out);
/* Of the extension at theta, [rows]; along: what moves theta, times dt. */
void nde_save_inside_tangent(const nde_solver *s, const nde_panel *p, size_t b, double theta, size_t rows,
                             const nde_save_tangent *v, double along, nde_real *to, size_t stride);

/* Value and slope of lane b at theta of the step of panel p: columns with the given stride; either may be NULL. */
void nde_save_dense(const nde_solver *s, const nde_panel *p, size_t b, double theta, nde_real *value, nde_real *slope,
                    size_t stride);

/* The same for all rows of a state, quadrature included; and the transpose of the value: adds to columns of slopes (laid
 * out as those of p; NULL: not wanted), and what <a, value> grows by with theta, and with dt at the same theta, each by dt. */
void nde_save_state_inside(const nde_solver *s, const nde_panel *p, size_t b, double theta, nde_real *value,
                           nde_real *slope, size_t stride);
void nde_save_inside_transpose(const nde_solver *s, const nde_panel *p, size_t b, double theta, size_t rows, const nde_real *a,
                               size_t stride, nde_real *a_k, double *along, double *stretch);

/* Does the row of lane b lie inside its step? */
static inline bool nde_save_inside(const nde_solver *s, const nde_panel *p, size_t b, size_t row) {
    if (row >= s->rows_saved) return false;
    const double d = s->direction, at = d*nde_save_time(s, row, p->trajectory[b]);
    return at > d*p->t[b] && at < d*p->t_new[b];
}

/* ---- inside.c: stages of the continuous extension alone, for the lanes [m] of an attempted step that need them ---- */

/* After an attempt: writes the rows inside it of lanes that may be accepted. What fails is rejected: error NaN, mark, rc. */
void nde_inside_attempt(nde_solver *s, nde_panel *p, nde_worker *w);
/* Puts the lanes, with all slopes, into w->inside, the only one that nde_save_dense and its derivatives can do with. Returns
 * what a field returned. */
int nde_inside_load(const nde_solver *s, const nde_panel *p, nde_worker *w, const size_t *lane, size_t m);
/* The same, with zero cotangents in w->group; then nde_save_before fills a_k; then the transpose adds to those of the step
 * (w->a_k, a_q, a_t, a_h); and when the step is undone, the rest to that of the old state. */
int nde_inside_load_transpose(const nde_solver *s, const nde_panel *p, nde_worker *w, const size_t *lane, size_t m);
int nde_inside_transpose(const nde_solver *s, nde_worker *w, const size_t *lane, size_t m, bool times, const nde_sink *sink);
void nde_inside_state_transpose(const nde_solver *s, nde_worker *w, const size_t *lane, size_t m);
/* Loads the lanes with the tangents of their step along k directions (x->a_*) into x->inside and x->group; x: w, or w->wide. */
int nde_inside_tangent(const nde_solver *s, const nde_panel *p, nde_worker *w, nde_worker *x, size_t k, const size_t *lane,
                       size_t m, const nde_source *source);
/* A group as a panel, with what a step needs. */
nde_panel nde_inside_panel(const nde_solver *s, const nde_group *g);

/* ---- wide.c: the lanes of w->replica, w->group or w->inside, once for each of k directions, in w->wide ---- */
nde_panel *nde_wide_panel(const nde_solver *s, nde_worker *w, size_t k);
nde_group *nde_wide_group(const nde_solver *s, nde_worker *w, size_t k);
nde_panel *nde_wide_inside(const nde_solver *s, nde_worker *w, size_t k);

/* ---- events.c: what happens to lanes stands in w->verdict ---- */

/* Are these two times the same, as far as roots are known? */
bool nde_events_meet(double a, double b);
/* Before a run: no hits. */
void nde_events_begin(nde_solver *s);
/* Values of the events at the states of lanes that begin or have jumped. */
void nde_events_look(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m);
/* Hits at the start of the lanes that begin. */
void nde_events_start(nde_solver *s, const nde_panel *p, nde_worker *w, const size_t *lane, size_t m);
/* After the decision on a step, before anything else is done with it: finds the hits in it, and cuts it at the first that
 * matters: t_new and z are then those of the event, and t1 too where that is terminal. False: no lane has a verdict. */
bool nde_events_step(nde_solver *s, nde_panel *p, nde_worker *w);
/* The zero of event e close to *t in the attempted step of lane b, which may have moved. */
nde_status nde_events_find(nde_solver *s, nde_panel *p, nde_worker *w, size_t b, size_t e, double *t);
/* Cuts the attempted step of lane b at t once more. Returns what a field returned. */
int nde_events_cut(const nde_solver *s, nde_panel *p, nde_worker *w, size_t b, double t);
/* Logs the cuts of a step that has been taken. */
void nde_events_log(const nde_solver *s, nde_panel *p, nde_worker *w);
/* Resets the states of lanes that have reached their cut; and as a record says. */
void nde_events_reset(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m);
int nde_events_reset_again(const nde_solver *s, nde_panel *p, nde_worker *w, const nde_entry *reset);
/* Has any event cut a step? */
bool nde_events_have_cut(const nde_solver *s);

/* Moves the text to the solver: the thread's is what it was. */
nde_status nde_solver_refuse(nde_solver *s, nde_status status);
/* ... when a field returned this code on the way back. */
nde_status nde_solver_refuse_code(nde_solver *s, const char *who, int code);

/* ---- measure.c: norms and domains ---- */

/* In nde_panel.mark, beside NDE_LANE_* and NDE_LANE_UNSOLVED: outside of the domain. */
enum { NDE_LANE_OUTSIDE = 255 };
/* Tolerance of component i of a trajectory, for values of a size. */
double nde_tolerance_of(const nde_solver *s, size_t who, size_t i, double size);
/* The sum of squares, or the largest so far, with one more; NaN stays. */
static inline double nde_add_square(const nde_solver *s, double sum, double square) {
    return s->largest ? (isnan(sum) || square <= sum ? sum : square) : sum + square;
}
/* What kernels->error does, otherwise measured: times error_scale the square of the norm. Returns what the caller's norm
 * returned. */
int nde_measure(const nde_solver *s, nde_panel *p, const nde_row *row, double *sum);
/* Squares of the norms of x - minus (NULL: 0) [rows][ld] in the lanes of the group, times counted; relative to its y. */
void nde_measure_group(const nde_solver *s, nde_group *g, const nde_real *x, const nde_real *minus, double *square);
/* The first component of column y that must not be negative and is; dim: none. */
size_t nde_negative_component(const nde_solver *s, const nde_real *y, size_t ld);
bool nde_is_outside(const nde_solver *s, const nde_panel *p, size_t who, double t, const nde_real *y, size_t ld);
/* Marks lanes whose attempt ends outside. */
void nde_guard(const nde_solver *s, nde_panel *p);

/* ---- review.c: who has a word on a step ---- */

/* The smallest step to go on with from t. */
double nde_least_step(const nde_solver *s, double t);
/* The controller's decision on n lanes from b on. */
void nde_judge(const nde_solver *s, const nde_panel *p, size_t b, size_t n);
/* Asks the caller's controller about lane b, whose history stays what it is; accept and factor are then within the rules.
 * Returns what the caller returned. */
int nde_ask_controller(const nde_solver *s, const nde_panel *p, size_t b, nde_decision *decision);
/* The decision of the caller's controller on all lanes. */
void nde_decide(nde_solver *s, nde_panel *p);
/* The policy NDE_H_MIN_ACCEPT on decisions that are made. */
void nde_hold_least(const nde_solver *s, nde_panel *p);

/* ---- stiff.c ---- */

/* Looks at those of the lanes whose accepted step it is to look at. */
void nde_stiff_look(const nde_solver *s, nde_panel *p, const size_t *lane, size_t m);
/* Into stats, where the lane has looked stiff for long enough. */
void nde_stiff_report(const nde_panel *p, size_t b, nde_stats *stats);

/* ---- estimate.c: options.estimates ---- */

/* Before a run: nothing yet; before its record is repeated: the same, of the steps that were drawn. */
void nde_estimates_begin(nde_solver *s);
void nde_estimates_clear(nde_solver *s);
/* Their part of problem.loss, and its cotangents into s->a_estimate. */
double nde_estimate_loss(nde_solver *s);
/* The cotangents of problem.loss. */
static inline nde_seed nde_seed_of_loss(const nde_solver *s) {
    const double *e = s->a_estimate;
    return (nde_seed){ .size = sizeof(nde_seed), .y = s->a_out, .error_estimate = e && s->loss.error_estimate != 0 ? e : NULL,
                       .stiffness_estimate = e && s->loss.stiffness_estimate != 0 ? e + s->N : NULL };
}
/* Of the accepted lanes of an attempt; again: a recorded step, of those that count now. */
void nde_estimate_step(nde_solver *s, nde_worker *w, const nde_panel *p, bool again);
/* From the seeds to the slopes (w->a_k) and, where wanted, the length (w->a_h) of the step in w->replica, of lanes w->who. */
void nde_estimate_transpose(const nde_solver *s, nde_worker *w, const nde_seed *seed, bool times);
/* Adds the tangents of a step of panel p, with so many lanes for each direction: v_k of its slopes, w->a_h of its length. */
void nde_estimate_tangent(const nde_solver *s, nde_worker *w, const nde_panel *p, const nde_real *v_k, size_t lanes,
                          const nde_output_tangent *out);
/* Are these outputs there? Errors: NDE_E_ARG naming the call, the struct and the member. */
nde_status nde_estimate_check(const nde_solver *s, const char *call, const char *what, const double *error,
                              const double *stiffness);

/* ---- anchors.c ---- */

/* What undoing a step does to what is wrong in the difference of a state and its partner, at most, where slopes are small:
 * 1/l of a coupled method, 1/(2 d - 1) of asynchronous leapfrog with damping d, else 1. */
double nde_undo_growth(const nde_solver *s);
/* Steps between anchors, as if the problem itself let nothing grow. */
size_t nde_anchors_apart(const nde_solver *s);
void nde_anchors_begin(const nde_solver *s, nde_panel *p);
/* After a step that has been logged, before it is taken over: is the next one an anchor? */
void nde_anchors_step(const nde_solver *s, nde_panel *p, nde_worker *w);

/* ---- march.c ---- */

enum { NDE_LANE_UNIT = 64/(int)sizeof(nde_real) }; /* kernels pass over whole vectors of lanes */
/* Lanes with clocks that fill vectors: some of a vector take as long as all of it. All arrays of lanes end with a vector; what
 * is written behind the last lane is not read. */
static inline size_t nde_whole_vectors(size_t n) {
    enum { UNIT = 64/sizeof(double) };
    return n > 1 ? (n + UNIT - 1)/UNIT*UNIT : n;
}

/* Takes many fixed steps of a panel that marches, as long as nothing is due. WAITS: one more attempt has been made that is
 * not in order, and is not judged. */
typedef enum nde_marched { NDE_MARCH_NOT, NDE_MARCH_DONE, NDE_MARCH_WAITS } nde_marched;
nde_marched nde_march(nde_solver *s, nde_panel *p);

/* ---- loop.c ---- */
nde_status nde_loop(nde_solver *s);
/* Runs count tasks on the executor, or here. */
int nde_solver_tasks(nde_solver *s, size_t count, void (*task)(void *arg, size_t i, int worker), void *arg);

/* ---- turnover.c ---- */
/* Appends a list to the record; false without room: the record is lost, and with it nothing but the way back. */
bool nde_log_list(const nde_solver *s, nde_panel *p, int kind, size_t m, nde_entry *entry);

#endif
