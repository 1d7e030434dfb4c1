/* SPDX-License-Identifier: MIT
 * method.h - what a method is: a constant table, and the kind of body that runs it. No real type: coefficients are double in
 * both precisions.
 *
 * A method's file writes R(p, q) for the exact fraction p/q and D(x) for a decimal, so that the tests can read the same
 * text in extended arithmetic (they define both before they include the file). */
#ifndef NDE_METHOD_H
#define NDE_METHOD_H

#include <stdbool.h>

#include "nde/base.h"

enum { NDE_KINDS = NDE_KIND_COLLOCATION + 1 };

#ifndef R
typedef double nde_coefficient;
#define R(p, q) ((double)(p)/(double)(q))
#define D(x) x
#endif

enum {
    NDE_PARTNER_STATE = 1, /* the state; slope 0 is F(t, partner) */
    NDE_PARTNER_SLOPE = 2, /* slope 0, of which a step makes the next one: it is a function of no state */
    NDE_PARTNER_ZERO = 3,  /* 0: nothing is there yet */
    NDE_PARTNER_PIECES = 4 /* the first is the state, the others the pieces of the slope there: nde_rhs.pieces */
};

/* A method. Row i of `a` is the strictly lower row of stage i: i entries, rows one after the other (row 0 empty).
 *   KIND_RUNGE_KUTTA     Y_i = y + h sum_j a_ij k_j, k_i = F(t + c_i h, Y_i), y+ = y + h sum b_i k_i, error = h sum e_i k_i
 *   KIND_PARTITIONED     the same, where rows >= problem.split use a2, b2 and rows below a, b
 *   KIND_COMPOSITION     flows of q' = F1(t, v) and of v' = F2(t, q) in turn, stage i for b_i h, q first (kick_first: v);
 *                        a time of its own goes with each, so that F1 is taken at t + h sum of the kicks before, F2 at t +
 *                        h sum of the drifts. b alone: the extension is the cubic Hermite polynomial, on two stages more
 *                        (the slopes of both ends)
 *   KIND_NYSTROM         q'' = F2(t, q) with q' = v: Q_i = q + c_i h v + h^2 sum_j a_ij f_j, f_i = F2(t + c_i h, Q_i), q+
 *                        = q + h v + h^2 sum b_i f_i, v+ = v + h sum b2_i f_i; errors h^2 sum e_i f_i and h sum
 *                        e_velocity_i f_i. Extension:
 *                        q(theta) = q + theta h v + h^2 sum b_i(theta) f_i, and its derivative. First same as last: Q of
 *                        the last stage is q+
 *   KIND_SPLITTING       flows of y' = drift and of y' = problem.splitting.second in turn, stage i for b_i h: see
 *                        splitting.c, which writes it, and compositions too where there is a splitting, as an explicit table
 *   part, share          of such a table: stage i evaluates the drift (0) or second (1), in a flow of share_i h
 *   dense                y(theta) = y + h sum_i b_i(theta) k_i, b_i(theta) = sum_{j < m} dense[i*m + j] theta^(j+1), m =
 *                        dense_terms; at theta = 1 it equals b to rounding. Partitioned: dense2 for rows >= split
 *   bernstein            dense[i*m + j] belongs to the Bernstein polynomial choose(m, j+1) theta^(j+1) (1 - theta)^(m-j-1)
 *                        instead:
 *                        the powers of a long extension have coefficients of 1e6 that cancel
 *   dense_stages         further rows of a and c, after those of the step (b, e and e2 have none): stages for the extension
 *                        alone, evaluated only where a value inside the step is asked for
 *   e2                   a second estimate, of lower order: the norm of the error is that of e squared, over the
 *                        root of its square and a hundredth of that of e2 squared (HNW II.10)
 *   first_same_as_last   k of the last stage is k_0 of the next step
 *   KIND_STOCHASTIC      needs noise. An explicit table like the first, in which W/h is part of the slope, or whose stages have
 *                        drives: then c is the time of each, and Y_i sums over slopes of drift and noise alike. With gamma
 *                        the stages after the first, of the noise, are of the drift, and solved for as KIND_DIRK's are
 *   KIND_CHEBYSHEV       `stages` slopes: F(t, y), the mean slope of the step, F(t + h, y+); how many evaluations the mean
 *                        slope takes is the body's affair
 *   KIND_REVERSIBLE      two stages: k_1 from what reflects the partner, b = 1/2, 1/2: see reversible.c
 *   KIND_MULTISTEP       `stages` slopes: F(t, y), the mean slope of the step, where there is a corrector F(t + h, predicted),
 *                        F(t + h, y+); partners: the slopes of the steps before, and two of which multistep.c has one row
 *   KIND_ROSENBROCK      (I - gamma h J) k_i = gamma (F(t + c_i h, y + h sum_j a_ij k_j) + sum_j coupling_ij k_j + lift_i
 *                        h F_t), coupling as `a`; J and F_t at the start of the step: see rosenbrock.c
 *   KIND_DIRK            k_0 = F(t, y), k_i = F(t + c_i h, y + h sum_j a_ij k_j + h gamma k_i): see dirk.c. filtered:
 *                        slope 1 is no stage but W^-1 times the error sum_j e_j k_j, and what is judged; its rows and
 *                        weights are empty
 *   KIND_IMEX            Y_i = y + h sum_j (a_ij F(t + c_j h, Y_j) + a2_ij G_j) + h gamma G_i, G_i = second(t + c_i h,
 *                        Y_i); G_0 = second(t, y); b, e and dense are those of both, or b2 and dense2 those of second: imex.c
 *   KIND_SWITCHING       a step of way[0], explicit, first same as last, or of way[1], a Rosenbrock method that is not:
 *                        see switching.c
 *   KIND_COLLOCATION     slopes 2, 3, 4 solve k_i = F(t + c_i h, y + h sum_j collocation.a_ij k_j) together; 0 is F(t, y), 1
 *                        the filtered error as above; no `a`: see collocation.c
 *   KIND_COUPLED         an explicit method coupled with itself backwards: see coupling.c
 *   partners             what the method carries from step to step beside y and slope 0, as so many blocks of rows behind
 *                        the state; `partner` says what they are where slope 0 is made anew: at starts, jumps, knots,
 *                        clips and resets */
/* Members of a method: its strong orders, twice each. */
#define NDE_STRONG(diagonal, scalar, additive, commutative, general) \
    .strong = { 0, diagonal, scalar, additive, commutative, general }

/* And with noise, twice the power of h with which the error estimate of a step goes to zero. */
#define NDE_ESTIMATE(diagonal, scalar, additive, commutative, general) \
    .estimate = { 0, diagonal, scalar, additive, commutative, general }

/* What stage i of a KIND_STOCHASTIC is: the drift, or the noise g with a multiplier of its own, over h. With I_1 = W(h),
 * I_10 the integral of W, and I_11, I_111 the repeated Ito integrals of dW, of one component each:
 *     w I_1 + area I_10/h + root sqrt(h) + twice I_11/sqrt(h) + thrice I_111/h
 * All of them are as sqrt(h) to h. root, twice and thrice are for diagonal and scalar noise.
 *   along   > 0: not g itself but its derivative at the stage's state along h times slope along - 1
 *   like    > 0: g where slope like - 1 has it, which has sqrt(h) alone as its multiplier: nothing is evaluated. For
 *           diagonal and scalar noise */
typedef struct nde_drive {
    nde_coefficient w, area, root, twice, thrice;
    int along, like;
} nde_drive;

/* Stages of a KIND_COLLOCATION: a = vectors diag(gamma, [real, imaginary; -imaginary, real]) inverse. */
enum { NDE_COLLOCATED = 3 };
typedef struct nde_collocation {
    const nde_coefficient *a, *vectors, *inverse; /* [3][3] by rows */
    nde_coefficient real, imaginary;
} nde_collocation;

struct nde_method {
    const char *name, *source;
    int kind, order, error_order, e2_order, dense_order;
    int stages, dense_stages, dense_terms;
    bool first_same_as_last, bernstein, kick_first;
    int partners, partner; /* NDE_PARTNER_* */
    const nde_coefficient *a, *b, *c, *e, *e2, *dense;
    const nde_coefficient *a2, *b2, *dense2, *e_velocity, *part, *share;
    int calculus;               /* NDE_ITO | NDE_STRATONOVICH: whose solution it finds with noise; 0: not for noise */
    int strong[NDE_NOISE_GENERAL + 1]; /* by NDE_NOISE_*: twice the strong order; 0: not for this kind */
    int estimate[NDE_NOISE_GENERAL + 1]; /* by NDE_NOISE_*: twice the power of h with which the error estimate goes to zero;
                                          * 0: none */
    bool converts;              /* it integrates the other calculus too, with the drift corrected */
    bool brackets;              /* part of its slopes are the brackets of the noise's columns times their areas over h */
    const nde_drive *drive;     /* [stages]; NULL: every stage has drift and noise, with W/h */
    const nde_coefficient *coupling, *lift; /* Rosenbrock */
    nde_coefficient gamma;                  /* ... and DIRK, collocation, and stochastic methods whose slopes of the drift are
                                             * solved for */
    bool filtered;
    const nde_collocation *collocation;
    bool additive;                          /* written by imex.c: even slopes are those of the second field */
    const nde_method *way[2];               /* switching: explicit, implicit */
    const nde_coefficient *predictor, *corrector; /* multistep: weights of order 1, 2, ..., q of order q, in one row */
};

enum { NDE_MOST_ADAMS = 8, NDE_ADAMS_WEIGHTS = NDE_MOST_ADAMS*(NDE_MOST_ADAMS + 1)/2 };
extern const nde_coefficient nde_adams_explicit[], nde_adams_implicit[];

/* The weights [order] of an order among those. */
static inline const nde_coefficient *nde_adams_weights(const nde_coefficient *all, int order) {
    return all + order*(order - 1)/2;
}

/* Is a derivative of noise of a kind, NDE_NOISE_*, part of its steps? */
static inline bool nde_method_follows(const nde_method *m, int kind) {
    if (m->brackets && kind == NDE_NOISE_GENERAL) return true;
    for (int i = 0; m->drive && i < m->stages; i++)
        if (m->drive[i].along) return true;
    return false;
}

/* Does it take the integral of W? */
static inline bool nde_method_takes_area(const nde_method *m) {
    for (int i = 0; m->drive && i < m->stages; i++)
        if (m->drive[i].area != 0) return true;
    return false;
}

/* Are its stages solved by Newton's method? */
static inline bool nde_method_iterates(const nde_method *m) {
    return m->kind == NDE_KIND_DIRK || m->kind == NDE_KIND_IMEX || m->kind == NDE_KIND_COLLOCATION ||
           (m->kind == NDE_KIND_STOCHASTIC && m->gamma != 0);
}

/* Does it solve systems with the Jacobian in its steps? */
static inline bool nde_method_is_implicit(const nde_method *m) {
    return nde_method_iterates(m) || m->kind == NDE_KIND_ROSENBROCK || m->kind == NDE_KIND_SWITCHING;
}

/* Does it want problem.split? */
static inline bool nde_method_is_split(const nde_method *m) {
    return m->kind == NDE_KIND_PARTITIONED || m->kind == NDE_KIND_COMPOSITION || m->kind == NDE_KIND_NYSTROM;
}

/* What stage i of a composition moves: 0 positions, 1 velocities. */
static inline int nde_method_moves(const nde_method *m, int i) { return (i + m->kick_first) % 2; }

/* Of the error estimate: it goes like h^(order + 1). The embedded solution may be the better one. */
static inline int nde_method_estimate_order(const nde_method *m) {
    if (m->error_order > m->order) return m->order;
    return m->e2_order ? 2*m->error_order - m->e2_order : m->error_order;
}

/* The power of h with which the error estimate goes to zero; noise: NDE_NOISE_*, 0 without. */
static inline double nde_method_estimate_power(const nde_method *m, int noise) {
    return noise ? 0.5*m->estimate[noise] : (double)nde_method_estimate_order(m) + 1;
}

/* The mean slope up to stage j of a Chebyshev method, D_j = (Y_j - y)/h: D_0 = 0, D_j = before D_(j-1) + before2 D_(j-2) +
 * slope F_(j-1) + first F_0, F_j = F(t + node h, Y_j). */
typedef struct nde_chebyshev_stage {
    nde_coefficient before, before2, slope, first, node;
} nde_chebyshev_stage;
/* Those of s >= 2 stages: [s], j = 1 ... s. */
void nde_chebyshev_write(int s, nde_chebyshev_stage *stage);

/* Checks a caller's table and writes it as a method; `text` gets the reason. b, c, e are kept in `space`: doubles,
 * nde_tableau_space(stages) of them. */
size_t nde_tableau_space(size_t stages);
nde_status nde_tableau_read(const nde_tableau *tableau, nde_method *method, double *space);

/* A splitting method, or a composition, as an explicit table; by: the explicit method along each field. Coefficients as
 * for step doubling. */
size_t nde_splitting_space(const nde_method *method, const nde_method *const by[2]);
void nde_splitting_claim(const nde_method *method, const nde_method *const by[2], nde_method *whole);
void nde_splitting_write(const nde_method *method, const nde_method *const by[2], nde_method *whole, nde_coefficient *space);

/* An additive method of two fields as a table of DIRK's kind, likewise. */
size_t nde_imex_space(const nde_method *method);
void nde_imex_claim(const nde_method *method, nde_method *whole);
void nde_imex_write(const nde_method *method, nde_method *whole, nde_coefficient *space);

/* Step doubling of an explicit method of order below 31 as a method: what it claims, all but the arrays; and those, in
 * nde_doubling_space coefficients. */
size_t nde_doubling_space(const nde_method *method);
void nde_doubling_claim(const nde_method *method, nde_method *doubled);
void nde_doubling_write(const nde_method *method, nde_method *doubled, nde_coefficient *space);

/* An Adams method in another order; and that which takes the steps of lanes that have too few behind them. */
void nde_multistep_claim(const nde_method *method, int order, nde_method *claimed);
const nde_method *nde_multistep_start(int order);

/* A method that switches as a table; the slab of the first slope of a way. Coefficients as for step doubling. */
int nde_switching_first(const nde_method *method, int way);
size_t nde_switching_space(const nde_method *method);
void nde_switching_claim(const nde_method *method, nde_method *claimed);
void nde_switching_write(const nde_method *method, nde_method *written, nde_coefficient *space);

/* The reversible coupling of an explicit method, likewise. */
size_t nde_coupling_space(const nde_method *method);
void nde_coupling_claim(const nde_method *method, nde_method *coupled);
void nde_coupling_write(const nde_method *method, double coupling, nde_method *coupled, nde_coefficient *space);

/* Those whose steps of one small trajectory are compiled with their tables: see one.h. */
extern const nde_method nde_method_dopri5, nde_method_tsit5;
/* What others switch between. */
extern const nde_method nde_method_vern7, nde_method_rodas5p;

/* Velocity Verlet as a composition, which has no quadrature: for the bit-reversible mode. */
extern const nde_method nde_method_velocity_verlet, nde_method_velocity_verlet_kicks;

#endif
