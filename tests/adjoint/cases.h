/* SPDX-License-Identifier: MIT
 * cases.h - nine compositions of everything that a problem can hold. Each has its own steps, adaptive where its method is; with
 * `steps` > 0 that many equal ones. */
#ifndef NDE_TESTS_CASES_H
#define NDE_TESTS_CASES_H

#include "adjoint/proof.h"

enum { CASE_LORENZ, CASE_ENSEMBLE, CASE_GROWTH, CASE_GENERAL_NOISE, CASE_CONTROLLED, CASE_VERLET, CASE_DOSES, CASE_INSIDE,
       CASE_NYSTROM, CASES };
static const char *const case_names[CASES] = { "joint Lorenz", "refilled ensemble", "geometric Brownian motion",
                                               "general noise", "controlled", "velocity Verlet", "quadrature and doses",
                                               "stages inside", "Nystrom pair" };

/* A batch with one step size, over several column panels. */
static inline void case_lorenz(proof *f, int64_t steps, bool tape) {
    proof_begin(f, 520, &lorenz_model, tape, 0.25, 1, 1);
    proof_parameters(f, 3, (double[]){ 10, 28, 8.0/3 });
    proof_save(f, 3, (double[]){ 0.5, 0.625, 1 });
    f->options.method = NDE_DOPRI5, f->options.stepping = NDE_STEP_JOINT, f->options.steps = steps;
}

/* Trajectories that wait for a lane, with shared p and their own q: frequencies from 1 to 12. */
static inline void case_ensemble(proof *f, int64_t steps, bool tape) {
    proof_begin(f, 320, &duffing_model, tape, 0, 3, 0.75);
    proof_parameters(f, 2, (double[]){ 0.5, 0.125 });
    nde_real *q = proof_input_make(f, IN_Q, 2, false, false, 0.5, 0.25);
    for (size_t b = 0; b < f->n; b++) q[b] = (nde_real)(float)pow(12, 0.5 + 0.5*proof_number(7, b));
    f->problem.q = q;
    proof_save(f, 3, (double[]){ 0.1, 1.7, 2.9 });
    f->options.method = NDE_TSIT5, f->options.steps = steps, f->options.group = 160;
    f->options.rtol = sizeof(nde_real) == 8 ? 1e-7 : 1e-5;
}

static inline void case_growth(proof *f, int64_t steps, bool tape) {
    proof_begin(f, 6, &growth_model, tape, 0.5, 2, 1);
    proof_parameters(f, 2, (double[]){ 0.25, 0.5 });
    f->noise = NDE_INIT(nde_noise, .seed = 20);
    proof_term(f, 0, &volatility_model, NULL, &f->noise, NDE_NOISE_DIAGONAL, tape);
    proof_save(f, 3, (double[]){ 0.5, 1.3, 2 });
    f->options.method = NDE_EULER_MARUYAMA, f->options.steps = steps ? steps : 48;
}

/* Two terms of noise, one with more components than the state and its own finer grid. */
static inline void case_general_noise(proof *f, int64_t steps, bool tape) {
    case_growth(f, steps, tape);
    static const nde_noise fine = { .size = sizeof fine, .seed = 21, .grid = 192 };
    proof_term(f, 1, &general_model, NULL, &fine, NDE_NOISE_GENERAL, tape);
}

/* dy = f(t, y, input) dX + drift dt on linear paths, with a drift that the input drives. */
static inline void case_controlled(proof *f, int64_t steps, bool tape) {
    proof_begin(f, 5, &relaxing_model, tape, 0, 1.5, 0.5);
    proof_parameters(f, 18, NULL);
    proof_path(f, &f->input, IN_INPUT_X, 1, 0.25, 1.25);
    proof_path(f, &f->path, IN_TERM_X, 2, 0.25, 1.25);
    f->problem.input = &f->input;
    proof_term(f, 0, &controlled_model, &f->path, NULL, 0, tape);
    proof_save(f, 3, (double[]){ 0.2, 0.7, 1.4 });
    f->options.method = NDE_DOPRI5, f->options.steps = steps;
}

static inline void case_verlet(proof *f, int64_t steps, bool tape) {
    proof_begin(f, 4, &pendulums_model, tape, 0.25, 2.5, 0.75);
    f->problem.split = 2;
    proof_parameters(f, 2, (double[]){ 1.5, 0.25 });
    f->problem.q = proof_input_make(f, IN_Q, 1, false, false, 0.5, 0.25);
    proof_save(f, 3, (double[]){ 0.5, 1.33, 2.5 });
    f->options.method = NDE_VELOCITY_VERLET, f->options.steps = steps ? steps : 60;
}

static inline void case_nystrom(proof *f, int64_t steps, bool tape) {
    proof_begin(f, 6, &swings_model, tape, 0.25, 2.5, 0.75);
    f->problem.split = 2;
    proof_parameters(f, 2, (double[]){ 1.5, 0.25 });
    f->problem.q = proof_input_make(f, IN_Q, 1, false, false, 0.5, 0.25);
    proof_save(f, 3, (double[]){ 0.5, 1.33, 2.5 });
    f->options.method = NDE_DPRKN6, f->options.steps = steps;
}

/* The running counts of a reaction with three doses, the first and last saves at the start and the end. */
static inline void case_doses(proof *f, int64_t steps, bool tape) {
    proof_begin(f, 5, &reaction_model, tape, 0, 2, 1);
    proof_parameters(f, 3, (double[]){ 0.75, 0.5, 0.25 });
    proof_quadrature(f, &count_model, tape);
    proof_jumps(f, &dose_model, 3, (double[]){ 0.5, 1, 1.625 });
    proof_save(f, 4, (double[]){ 0.3, 0.9, 1.5, 1.9 });
    f->options.method = NDE_TSIT5, f->options.steps = steps;
}

/* A method whose continuous extension has stages of its own, with saves in some steps and some lanes only. */
static inline void case_inside(proof *f, int64_t steps, bool tape) {
    case_controlled(f, steps, tape);
    f->options.method = NDE_VERN7;
}

/* A network with the time and own parameters as inputs, and its own dense products; not among the CASES: its fields are not
 * models. */
static inline void case_network(proof *f, int64_t steps, size_t n) {
    static const size_t width[] = { 2 + 2 + 1, 12, 12, 2 };
    static const nde_mlp mlp = {
        .size = sizeof mlp, .layers = 3, .width = width, .hidden = NDE_TANH, .time_input = 1, .inputs_q = 2
    };
    proof_begin(f, n, &duffing_model, false, 0, 2, 0.5);
    f->drift = nde_field_mlp(&mlp);
    proof_parameters(f, f->drift.np, NULL);
    assert_int_equal(nde_mlp_init(&mlp, NDE_GLOROT_UNIFORM, 11, f->in[IN_P].x), NDE_OK);
    f->problem.q = proof_input_make(f, IN_Q, 2, false, false, 0.5, 0.5);
    proof_save(f, 3, (double[]){ 0.25, 1.5, 2 });
    f->options.method = NDE_TSIT5, f->options.steps = steps, f->options.reproducible = 1;
}

static inline void case_make(int which, proof *f, int64_t steps, bool tape) {
    static void (*const make[CASES])(proof *, int64_t, bool) = { case_lorenz, case_ensemble, case_growth, case_general_noise,
                                                                 case_controlled, case_verlet, case_doses, case_inside,
                                                                 case_nystrom };
    make[which](f, steps, tape);
}

#endif
