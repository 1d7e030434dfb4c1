/* SPDX-License-Identifier: MIT
 * nde/field.h - one type for every function of the state: out = F(t, y, u; p, q) on a block of lanes.
 *
 * Drift, diffusion (as the product g dW), CDE field (as the product with dX), quadrature, jump map, observation are all
 * fields; u is what drives them: values of problem.input first, then dW, dX/dt or the jump's input.
 *
 * Arrays of a block: component i of lane b at a[i*ld + b], b < n <= ld. One trajectory (n = ld = 1) is a plain vector. */
#ifndef NDE_FIELD_H
#define NDE_FIELD_H

#include "base.h"
#include "real.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where a field is evaluated. Everything it may depend on is here; eval and vjp of one field may run at the same time in
 * several workers. */
typedef struct nde_site {
    size_t n, ld;             /* lanes, distance between components of every [..][ld] array of the call */
    const double *t;          /* [n] */
    const size_t *index;      /* [n] number of the trajectory in the ensemble */
    const size_t *interval;   /* [n] how many scheduled jumps lie behind */
    const nde_real *u;        /* [nu][ld]; NULL when nu = 0 */
    const nde_real *p;        /* [np] shared by all trajectories, from field.p_first on */
    const nde_real *q;        /* [nq][ld] of each trajectory, from row field.q_first on; NULL when nq = 0 */
    const nde_real *prepared; /* [prepared] what field.prepare made of p for this run; NULL when prepared = 0 */
    nde_real *tape;           /* [tape][tape_ld]: eval writes it, vjp reads it; NULL: eval leaves none, vjp recomputes */
    size_t tape_ld;           /* >= n; distance of the rows of tape and cotape */
    nde_real *work;           /* [work][ld] scratch, 64-byte aligned for the first row, undefined on entry */
    unsigned char *lane;      /* [n] NDE_LANE_OK or NDE_LANE_IDLE on entry; a field may mark RETRY or STOP */
    const struct nde_kernels *kernels; /* the library's own: kernels of this solver's instruction set; may be NULL */
    int worker;               /* number of the calling worker */
    unsigned flags;           /* NDE_SAME_TIME, NDE_HAS_IDLE, NDE_POSITIONS, NDE_VELOCITIES */
} nde_site;

/* A direction; NULL members are zero. */
typedef struct nde_tangent {
    const double *t;           /* [n] */
    const nde_real *y, *u, *q; /* [dim][ld], [nu][ld], [nq][ld] */
    const nde_real *p;         /* [np] */
    size_t lanes, p_stride;    /* lanes > 0, only with the trait NDE_DIRECTIONS: several directions beside each other, so
                                * many lanes each; that of lane b has its p at p + b/lanes*p_stride, and all else repeats:
                                * lane b is as lane b%lanes. 0: one direction */
} nde_tangent;

/* Cotangents; added to, never overwritten; NULL members are not wanted and cost nothing. */
typedef struct nde_cotangent {
    double *t;             /* [n] */
    nde_real *y, *u, *q;   /* [dim][ld], [nu][ld], [nq][ld] */
    double *p;             /* [np], double in both precisions */
    nde_real *cotape;      /* [cotape][tape_ld]: when not NULL, a field with vjp_window leaves its deltas here (overwritten)
                            * and does not touch p; a field without vjp_window ignores it */
} nde_cotangent;

/* A block of trajectories for nde_step.run. Component i of lane b of slope j: k[j*slab + i*ld + b]. */
typedef struct nde_step_site {
    size_t n, ld, slab;           /* ld: a multiple of 64 bytes; what stands between n and ld does not count */
    int64_t steps;                /* 0: one step from y to z; else as many in z, of equal length in all lanes */
    const double *t, *t_new, *dt; /* [ld] from where to where, and dt = t_new - t; steps > 0: of the first one, t_new is not
                                   * set */
    const double *start;          /* [ld] steps > 0: the time of node 0; the first step begins at node[b], the end of step j
                                   * is at */
    const int64_t *node;          /*      start + (node[b] + j + 1) dt */
    const nde_real *p, *q;        /* [np], [nq][ld]; NULL when there are none */
    const nde_real *y;            /* [dim][ld] steps 0: the state */
    nde_real *z;                  /* [dim][ld] out: the new state; steps > 0: in, the state */
    nde_real *k;                  /* in: slope 0; out: steps 0: all the others; steps > 0: slope 0 of the step to come */
    unsigned char *lane;          /* [n] a lane may be marked RETRY or STOP; NULL never */
    double rtol, atol;            /* steps 0: what the error of component i is measured by, atol + rtol max(|y|, |z|) */
    const double *atol_each;      /* [dim] in place of atol, or NULL */
    double *error;                /* [ld] out: steps 0: the sum of (error of component i over that)^2; NaN: z is not finite */
    /* Of a step with noise, and then the only difference: steps is 0, k has no slope 0 to begin with, z may be y. */
    size_t slopes;                /* how many of k are wanted; k NULL: none */
    const nde_real *rate, *area;  /* [dim][ld] W/h and the integral of W over h^2, W the path's increment in the step; area
                                   * NULL: the method does without */
    const nde_real *root;         /* [2][ld] sqrt(h) and its inverse, 0 where h is not > 0; NULL like area */
} nde_step_site;

/* A method's steps with a field compiled in, or a drift and its diffusion: NDE_INLINE_STEP and NDE_INLINE_NOISY_STEP of
 * nde/inline.h make them, and say what they are good for. */
typedef struct nde_step {
    size_t size;
    const char *method;           /* which one's */
    size_t dim, nq;               /* of the field */
    int (*run)(const nde_step_site *at); /* returns what eval may return */
    int measures;                 /* 1: fills error; 0: the library measures */
    int noise;                    /* NDE_NOISE_DIAGONAL: of a drift and of such a diffusion; 0: of a drift alone */
} nde_step;

/* A field. Only dim, out and eval are required. The struct belongs to the caller and must outlive every solver made with
 * it. What is missing is refused by name when it is needed: NDE_E_NO_VJP, NDE_E_NO_JVP.
 *
 * eval, vjp, jvp, ... return 0; > 0: the block cannot be evaluated here, retry with a smaller step; NDE_FIELD_STOP: the
 * user stops; < 0: failed, the value is kept in nde_stats.callback. One lane alone fails by at->lane[b] or by NaN. */
typedef struct nde_field nde_field;
struct nde_field {
    size_t size;
    const char *name;          /* for messages; NULL: "field" */
    const void *ctx;           /* the field's own; read-only to the library */
    size_t dim, nu, np, nq;    /* rows of y, u, p, q that it sees */
    size_t out;                /* rows of its value */
    size_t p_first, q_first;   /* it sees p + p_first and the rows of q from q_first on */
    size_t tape, cotape, work; /* reals a lane; work is for each call, vjp's included */
    size_t prepared;           /* reals that prepare makes of p, once a run */
    unsigned traits;           /* NDE_AUTONOMOUS | NDE_LINEAR_IN_U | NDE_LANEWISE | NDE_DIRECTIONS */
    /* dy [out][ld] = F; every lane b < n is written. */
    int (*eval)(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy);
    /* Adds the product of a [out][ld] with the derivatives of F to `to`. */
    int (*vjp)(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to);
    /* ap [np] += gradient of a window of n columns whose tape and cotape were left by eval and vjp; window->tape,
     * tape_ld, n, p and prepared are set, t, u, q, index are NULL. */
    int (*vjp_window)(const nde_field *self, const nde_site *window, const nde_real *cotape, double *ap);
    /* dv [out][ld] = derivative of F along v. jvp and vjp_jvp are called without a tape. */
    int (*jvp)(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv);
    /* Reverse of (y, v) -> (F, J v): the cotangents a of F and b of J v [out][ld] go to to_y (cotangents of y, u, q, p, t)
     * and to to_v (cotangents of v, as if it were a state, input ...). a or b NULL: zero. to_v NULL: not wanted. */
    int (*vjp_jvp)(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v,
                   const nde_real *a, const nde_real *b, nde_cotangent *to_y, nde_cotangent *to_v);
    /* j [out][dim][ld] = dF/dy. */
    int (*jacobian)(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *j);
    /* Non-zeros of the Jacobian by rows: [out + 1], [nnz]; NULL: dense. */
    const size_t *sparsity_start, *sparsity_index;
    /* prepared [prepared] from p [np]: transposed weights and the like; once a run, by one thread. */
    int (*prepare)(const nde_field *self, const nde_real *p, nde_real *prepared);
    /* Flops in dense products, a lane: of eval, and of vjp to y and p. For nde_plan; 0: none. */
    double gemm_eval, gemm_vjp;
    /* The field compiled into the steps of one method. A solve of an ensemble by that method, whose right-hand side is
     * this field alone, or a drift and a diffusion that both have this step, takes them instead of calling eval in each stage;
     * all others do as if it were not there. NULL: none. */
    const nde_step *step;
};

/* The value of a field, without a solver.
 *   at      n, ld, t, p, q, u as the field needs them, index and interval if it does; the other members do not matter
 *   y       [dim][ld]
 *   value   out [out][ld]; undefined on error
 * Errors: NDE_E_ARG, NDE_E_SIZE, NDE_E_NOMEM; NDE_E_FIELD when it fails, in a lane too. A value that is not finite is none. */
NDE_API NDE_CHECK nde_status nde_field_value(const nde_field *field, const nde_site *at, const nde_real *y, nde_real *value);

/* The value with cotangents, and the derivative along a direction, without a solver: a loss that a field computes and its
 * gradient in one call.
 *   a, value   [out][ld]; value: out, NULL: not wanted
 *   to         added to; its members as in nde_cotangent, cotape is not looked at
 *   v, dv      dv out [out][ld]; v->lanes is not looked at
 * Errors: as above; NDE_E_NO_VJP, NDE_E_NO_JVP. What is added to `to` is undefined on error. */
NDE_API NDE_CHECK nde_status nde_field_vjp(const nde_field *field, const nde_site *at, const nde_real *y, const nde_real *a,
                                           nde_real *value, nde_cotangent *to);
NDE_API NDE_CHECK nde_status nde_field_jvp(const nde_field *field, const nde_site *at, const nde_real *y, const nde_tangent *v,
                                           nde_real *dv);

/* Compares every derivative that a field gives, and 0 where its sparsity has no entry, with central differences of its
 * eval, at one site.
 *   at     n, ld, t, p, q, u as the field needs them; tape, work, lane, prepared may be NULL: they are made here
 *   y      [dim][ld]
 *   worst  out: largest error relative to 1 + the size of what is compared; may be NULL
 *   text   out: which derivative and entry is worst, in a sentence; text_size bytes; may be NULL
 * Errors: NDE_E_ARG, NDE_E_NOMEM, NDE_E_FIELD; NDE_E_NONFINITE when a value is not finite. A wrong derivative is not an
 * error of the call: *worst says it (healthy: below 1e-6 in double, 1e-2 in float). */
NDE_API NDE_CHECK nde_status nde_field_check(const nde_field *field, const nde_site *at, const nde_real *y, double *worst,
                                             char *text, size_t text_size);

/* ---- constructors: each takes a description that must outlive the field; .eval is NULL when it is wrong, and
 * nde_error() says why -------------------------------------------------------------------------------------------- */

/* Five lines of physics: one trajectory, no lanes. Arrays are plain vectors; u and q are left out.
 *   f      dy [out] from y [dim], p [np]
 *   vjp    ay [dim], ap [np] += from a [out]; NULL: no gradient through it. ap is double in both precisions; may be NULL
 *   jvp    dv [out] from vy [dim], vp [np], vt; NULL: no forward mode through it. vy, vp may be NULL: zero
 *   at     NULL, or adds df/dt . a to *at when the field depends on t (only needed for gradients of times) */
typedef struct nde_pointwise {
    size_t size;
    int (*f)(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx);
    int (*vjp)(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
               void *ctx);
    int (*jvp)(double t, const nde_real *y, const nde_real *p, double vt, const nde_real *vy, const nde_real *vp,
               nde_real *dv, void *ctx);
    void *ctx;
} nde_pointwise;
/* out = dim. */
NDE_API nde_field nde_field_pointwise(const nde_pointwise *one, size_t dim, size_t np);

/* Several fields side by side. Parameters: each part sees p from its own p_first on, so that parts share parameters
 * where their ranges overlap; np and nq of the whole are the largest ends. */
typedef struct nde_parts {
    size_t size;
    const nde_field *const *part; /* [n] */
    size_t n;                     /* >= 1 */
} nde_parts;
/* F = F1 + F2 + ...: physics and network. All parts have the same dim, nu and out. */
NDE_API nde_field nde_field_sum(const nde_parts *parts);
/* F = (F1, F2, ...): out is the sum of the parts'. All parts have the same dim and nu. */
NDE_API nde_field nde_field_concatenation(const nde_parts *parts);
/* F = outer(t, inner(t, y, u), u): part[0] is outer, part[1] inner; outer.dim = inner.out; both have the same nu or
 * none. */
NDE_API nde_field nde_field_composition(const nde_parts *outer_inner);
/* F_i = y_i^3, dim = out. */
NDE_API nde_field nde_field_cube(size_t dim);

/* F = (phi(t, y, u) - y)/tau, tau the last u: the mean slope over tau of a flow that is known in closed form, for
 * problem.splitting. phi: dim = out, nu >= 1; y after tau, from y at t. It must outlive the field. Where phi - y is known
 * without a difference (expm1), a field written so is exact for small tau as well. */
NDE_API nde_field nde_field_flow(const nde_field *phi);

/* A step of an exponential integrator for y' = L y + N(t, y; p, q), as the mean slope over tau of a flow, tau the only u: for
 * problem.splitting, beside a second part that may be zero, with NDE_LIE or what else splits. A constant L, stiff as it
 * may be, does not bound the step; where N is 0 the step is exact.
 *   rest       N: dim = out, nu = 0; must outlive the field
 *   diagonal   [dim] L, if it is diagonal; matrix [dim][dim]: if it is not; linear, a field x -> L x (dim = out, nu = np =
 *              nq = 0, the same at all times; its vjp for gradients): if L is known by its products only. One of them;
 *              diagonal and matrix are read by each run, linear must outlive the field
 *   scheme     NDE_ETDRK2 ...; 0: NDE_KROGSTAD4
 *   h          the tau that is expected, whose matrix functions are made once a run; those of other lengths are made in each
 *              evaluation, which takes dim^3 (10 log2(tau |L|) + 150) operations for a matrix. 0: none is
 *   krylov     of a linear field: products at most by which a function of tau L is applied to a vector (Arnoldi), at most
 *              1000; 0: 30. Never more than dim. A trajectory that needs more ends with NDE_E_FIELD, of which shorter
 *              steps need fewer. It takes 6 krylov dim numbers a trajectory
 *   tolerance  of what they leave out, relative to the vector; 0: 1e-13, in float 1e-6
 * Gradients by p, q, y and times are exact, also by tau; L has none. */
typedef struct nde_exponential {
    size_t size;
    const nde_field *rest;
    const double *diagonal, *matrix;
    int32_t scheme;
    double h;
    const nde_field *linear;
    size_t krylov;
    double tolerance;
} nde_exponential;
NDE_API nde_field nde_field_exponential(const nde_exponential *exponential);

/* The field of a finished program (nde/program.h), with all derivatives. Its tape has those values that cost more to make
 * again than to keep, and its gradients have the same bits with and without it. The program must outlive it. */
typedef struct nde_program nde_program;
NDE_API nde_field nde_field_program(const nde_program *program);

/* How far a state is from rest: root of the mean of (f_i/(atol + rtol |y_i|))^2 over the rows, minus 1. As nde_event.g, with
 * direction < 0, terminal 1 and at_start 1, it ends a trajectory once it is steady. It has no derivatives.
 *   field        out = dim; the drift of the problem
 *   rtol, atol   of a slope, for one unit of time: >= 0, literal, not both zero */
typedef struct nde_steady {
    size_t size;
    const nde_field *field;
    double rtol, atol;
} nde_steady;
NDE_API nde_field nde_field_steady(const nde_steady *steady);

/* How fast the state moves, |F|^2: as problem.quadrature its integral is RNODE's kinetic energy, which a loss counts so that
 * trajectories become straight. out = 1. It has the derivatives that `field` has, which must outlive it.
 * Source: C. Finlay et al., How to train your neural ODE, ICML (2020). */
NDE_API nde_field nde_field_kinetic(const nde_field *field);
/* How much the slopes of neighbours differ: the mean of |J' e|^2 over random e, J = dF/dy, of which the expectation is the
 * square of J's Frobenius norm. As problem.quadrature it is RNODE's other part; both together: nde_field_concatenation.
 * out = 1.
 *   field      with vjp, and vjp_jvp for a gradient through it; must outlive what is made of it
 *   seed       e is a function of (seed, trajectory, probe, component), the same all along a solve; read anew in each call
 *   probes     0: 1
 *   gaussian   0: components of e are 1 or -1; 1: normal
 *   forward    1: it has a jvp, at the cost of 2 np more numbers of work a lane
 * Sources: as above; M. Hutchinson, Comm. Statist. Simul. 19 (1990) 433-450. */
typedef struct nde_frobenius {
    size_t size;
    const nde_field *field;
    uint64_t seed;
    size_t probes;
    int32_t gaussian, forward;
} nde_frobenius;
NDE_API nde_field nde_field_frobenius(const nde_frobenius *frobenius);

/* What distance two drifts make between the laws of their paths, |u|^2/2 with g u = posterior - prior: as
 * problem.quadrature of the posterior's problem its mean over paths is the Kullback-Leibler divergence of the posterior's
 * law from the prior's (Girsanov's theorem), which the evidence lower bound of a latent SDE counts. out = 1. Both drifts
 * are of one calculus, and share the noise.
 *   posterior, prior   dim = out; nu = 0 or inputs
 *   diffusion          the field of the noise's term; kind its kind. DIAGONAL: nu = 0 or inputs, and u_i =
 *                      difference_i/g_i. Others:
 *                      nu = inputs + m, m evaluations give g [dim][m], and u is the shortest one that solves it, or solves
 *                      it best (m < dim: what lies outside of the range of g is not seen, and has no density). Where g has less
 *                      than full rank, the value is not finite, or of rounding
 *   inputs             channels of problem.input
 * It has vjp, jvp and vjp_jvp where all three have them. All must outlive it. Sources: X. Li et al., Scalable gradients for
 * stochastic differential equations, AISTATS (2020), 5; B. Oksendal, Stochastic Differential Equations (2003), 8.6. */
typedef struct nde_girsanov {
    size_t size;
    const nde_field *posterior, *prior, *diffusion;
    int32_t kind;
    size_t inputs;
} nde_girsanov;
NDE_API nde_field nde_field_girsanov(const nde_girsanov *girsanov);

/* Fully connected network. Input: y, then (u), then (q), then (t): width[0] = dim + inputs_u + inputs_q + time_input.
 *   z_l = W_l x_l + b_l;  hidden layers: z_l normalised when layer_norm;  x_{l+1} = s(z_l), plus x_l in hidden layers whose two
 *   widths agree when residual
 * Parameters, layer after layer: weight [out][in] row-major (PyTorch's Linear.weight), bias [out], and with layer_norm in
 * hidden layers gain [out], shift [out] (PyTorch's LayerNorm.weight, .bias): gain (z - mean)/sqrt(variance + norm_epsilon) +
 * shift, mean and variance over the rows of a lane.
 * width [layers + 1] must outlive the field. Source of the norm: J. Ba, J. Kiros, G. Hinton, Layer normalization (2016). */
typedef struct nde_mlp {
    size_t size;
    size_t layers;
    const size_t *width;
    int32_t hidden, last;       /* nde_activation */
    int32_t time_input;         /* 1: t is the last input */
    int32_t residual;           /* 1: hidden layers of equal widths add their input */
    int32_t layer_norm;         /* 1: hidden layers are normalised before their activation */
    size_t inputs_u, inputs_q;
    double norm_epsilon;        /* 0: 1e-5 */
} nde_mlp;
NDE_API nde_field nde_field_mlp(const nde_mlp *mlp);
/* Weights, zero biases, unit gains and zero shifts into p [np], a pure function of the seed.
 *   scheme   NDE_GLOROT_UNIFORM (0), ...
 * Errors: NDE_E_ARG. */
NDE_API NDE_CHECK nde_status nde_mlp_init(const nde_mlp *mlp, int32_t scheme, uint64_t seed, nde_real *p);

#ifdef __cplusplus
}
#endif
#endif
