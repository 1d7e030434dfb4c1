/* SPDX-License-Identifier: MIT
 * noisy.h - a problem with noise of each kind, which every input moves. */
#ifndef NDE_TESTS_NOISY_H
#define NDE_TESTS_NOISY_H

#include "adjoint/proof.h"

#include "method/method.h"

/* p = (a, s, c), q of each trajectory. */
static const char drift_text[] = "state y[2]; param p[3]; own q; dy = [p[0]*y[0]*cos(t) + q*y[1], p[2] - sin(y[0])*y[1]/2]";
static const char *const noise_text[] = {
    [NDE_NOISE_DIAGONAL] = "state y[2]; param p[3]; own q; dy = p[1]*(1 + t/4)*[sin(y[0]) + q, tanh(y[1])]",
    [NDE_NOISE_SCALAR] = "state y[2]; input u; param p[3]; own q; dy = p[1]*u*[cos(y[1]) + t*q, y[0] + p[2]*y[1]]",
    [NDE_NOISE_ADDITIVE] = "state y[2]; input u[3]; param p[3]; own q; dy = p[1]*[u[0] + q*u[1], (1 + t)*u[2] - p[2]*u[0]]",
    [NDE_NOISE_COMMUTATIVE] =
    "state y[2]; input u[2]; param p[3]; own q; dy = [p[1]*y[0]*(u[0] + q*u[1]), sin(y[1])*(t*u[0] - p[2]*u[1])]",
    [NDE_NOISE_GENERAL] = "state y[2]; input u[3]; param p[3]; own q;"
                          "dy = [p[1]*y[1]*u[0] + q*sin(y[0])*u[1], p[2]*y[0]*u[2] + t*cos(y[1])*u[0]]",
};
static const char quadrature_text[] = "state y[2]; param p[3]; out = p[0]*y[0]*y[1] + t";

typedef struct fields {
    nde_program *drift, *noise, *quadrature;
} fields;

static inline nde_program *parsed(const char *text) {
    nde_program *g;
    if (nde_program_parse(text, NULL, &g) != NDE_OK) fail_msg("%s: %s", text, nde_error());
    return g;
}

static inline void make(proof *f, fields *g, const nde_method *m, int kind, int calculus) {
    const bool other = !(nde_method_calculus(m) & calculus) && kind != NDE_NOISE_ADDITIVE;
    proof_begin(f, 5, &growth_model, false, 0.25, 1.75, 1);
    *g = (fields){ parsed(drift_text), parsed(noise_text[kind]), parsed(quadrature_text) };
    f->drift = nde_field_program(g->drift);
    proof_parameters(f, 3, (double[]){ 0.5, 0.375, 0.25 });
    f->problem.q = proof_input_make(f, IN_Q, 1, false, false, 0.5, 0.25);
    proof_quadrature(f, &count_model, false);
    f->quadrature = nde_field_program(g->quadrature), f->nz = 1;
    f->noise = NDE_INIT(nde_noise, .seed = 20, .grid = 24);
    proof_term(f, 0, &volatility_model, NULL, &f->noise, kind, false);
    f->term_field[0] = nde_field_program(g->noise);
    f->problem.calculus = calculus;
    proof_save(f, 3, (double[]){ 0.5, 1.3, 1.75 });
    f->options.method = nde_method_id(m), f->options.steps = 12, f->options.budget = (size_t)16 << 20,
        f->options.convert = other;
}

static inline void end(proof *f, fields *g) {
    proof_end(f);
    nde_program_destroy(g->drift), nde_program_destroy(g->noise), nde_program_destroy(g->quadrature);
}

#endif
