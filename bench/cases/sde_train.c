/* SPDX-License-Identifier: MIT
 * sde_train: one training step of a neural SDE: the gradient of the mean square of y(1) by the parameters of drift and
 * diffusion, MLPs 16-64-16 with lipswish, the diffusion 0.1 times a sigmoid. Batch 512, 64 steps of reversible Heun,
 * reversible adjoint, as the reference has it; weights, starts and increments are the reference's, by splitmix64. Its
 * lipswish is 0.909 silu, not silu/1.1: what comes after it is scaled by that here; and 0.1 is in the increments. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 512, DIM = 16, HIDDEN = 64, STEPS = 64, SECOND = (DIM + 1)*HIDDEN, NP = SECOND + (HIDDEN + 1)*DIM };
static const size_t width[] = { DIM, HIDDEN, DIM };
static const double lipswish = 0.909*1.1, size = 0.1;

typedef struct sde_train {
    nde_mlp shape[2];
    nde_field network[2];
    nde_noise noise;
    nde_term term;
    nde_problem problem;
    nde_options options;
    nde_solver *solver;
    nde_solution solution;
    double loss, w[STEPS*DIM*BATCH];
    nde_real p[2*NP], gradient[2*NP], y0[DIM*BATCH], seed[DIM*BATCH];
} sde_train;

/* In [0, 1). */
static double uniform(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30))*0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27))*0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 11)*0x1p-53;
}

static double symmetric(uint64_t *state, double bound) { return (2*uniform(state) - 1)*bound; }

/* The reference has components beside each other, here trajectories are. */
static void fill(sde_train *me) {
    for (size_t k = 0; k < 2; k++) {
        uint64_t state = k ? 22 : 11;
        for (size_t i = 0; i < NP; i++) {
            const double bound = i < SECOND ? 0.25 : 0.125, scale = i < SECOND || i >= NP - DIM ? 1 : lipswish;
            me->p[k*NP + i] = (nde_real)(scale*symmetric(&state, bound));
        }
    }
    uint64_t state = 99;
    for (size_t b = 0; b < BATCH; b++)
        for (size_t i = 0; i < DIM; i++) me->y0[i*BATCH + b] = (nde_real)symmetric(&state, 1);
    state = 5;
    for (size_t j = 0; j < STEPS*BATCH*DIM; j++) {
        const double u = 1 - uniform(&state), v = uniform(&state);
        const size_t k = j/(BATCH*DIM), b = j/DIM%BATCH, i = j%DIM;
        me->w[(k*DIM + i)*BATCH + b] = size*sqrt(-2*log(u))*cos(6.283185307179586*v)/8;
    }
}

static void destroy(void *state) {
    sde_train *me = state;
    nde_solver_destroy(me->solver);
    free(me);
}

static void *make(const bench_setup *setup, char *text, size_t text_size) {
    sde_train *me = calloc(1, sizeof *me);
    if (!me) return NULL;
    fill(me);
    for (int k = 0; k < 2; k++) {
        me->shape[k] = NDE_INIT(nde_mlp, .layers = 2, .width = width, .hidden = NDE_LIPSWISH,
                                .last = k ? NDE_SIGMOID : NDE_IDENTITY);
        me->network[k] = nde_field_mlp(&me->shape[k]);
    }
    me->network[1].p_first = NP;
    me->noise = NDE_INIT(nde_noise, .source = NDE_SOURCE_STORED, .w = me->w);
    me->term = NDE_INIT(nde_term, .field = &me->network[1], .noise = &me->noise, .kind = NDE_NOISE_DIAGONAL);
    me->problem = NDE_INIT(nde_problem, .n = BATCH, .t1 = 1, .drift = &me->network[0], .y0 = me->y0, .p = me->p,
                           .terms = &me->term, .n_terms = 1, .calculus = NDE_STRATONOVICH);
    me->options = NDE_INIT(nde_options, .method = NDE_REVERSIBLE_HEUN, .steps = STEPS, .adjoint = NDE_ADJOINT_REVERSIBLE,
                           .anchor_limit = HUGE_VAL, .threads = setup->threads, .isa = setup->isa);
    if (nde_solver_create(&me->problem, &me->options, &me->solver) == NDE_OK) return me;
    snprintf(text, text_size, "%s", nde_error());
    destroy(me);
    return NULL;
}

static bool run(void *state) {
    sde_train *me = state;
    if (nde_solver_run(me->solver, &me->solution) != NDE_OK) return false;
    me->loss = 0;
    for (size_t i = 0; i < DIM*BATCH; i++) {
        const nde_real y = me->solution.y_end[i];
        me->loss += (double)y*(double)y/(DIM*BATCH), me->seed[i] = 2*y/(DIM*BATCH);
    }
    return nde_backward(me->solver, &NDE_INIT(nde_seed, .y_end = me->seed),
                        &NDE_INIT(nde_gradient, .p = me->gradient)) == NDE_OK;
}

/* error: of the gradient, relative, in the 2-norm. Both are the same map: they differ by rounding. */
static void check(void *state, const double *answer, size_t count, bench_facts *facts) {
    sde_train *me = state;
    const double bound = sizeof(nde_real) == sizeof(double) ? 1e-10 : 1e-3;
    facts->evaluations = me->solution.stats[0].evals;
    facts->bytes = nde_solver_bytes(&me->problem, &me->options);
    facts->error = (double)NAN;
    if (!answer || count != 1 + 2*NP) return;
    double error = 0, norm = 0;
    for (size_t i = 0; i < 2*NP; i++) {
        const double scale = i%NP < SECOND || i%NP >= NP - DIM ? 1 : lipswish, g = answer[1 + i];
        error += pow((double)me->gradient[i]*scale - g, 2), norm += g*g;
    }
    facts->error = sqrt(error/norm), facts->bound = bound;
    if (!(fabs(me->loss/answer[0] - 1) < bound))
        snprintf(facts->text, sizeof facts->text, "the loss is %.15g, the reference's %.15g", me->loss, answer[0]);
}

const bench_subject BENCH_NAME(bench_sde_train) = { make, run, check, destroy };
