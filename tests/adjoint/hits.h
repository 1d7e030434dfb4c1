/* SPDX-License-Identifier: MIT
 * hits.h - problems with events whose functions and resets depend on everything that there is. */
#ifndef NDE_TESTS_HITS_H
#define NDE_TESTS_HITS_H

#include "adjoint/cases.h"

/* y0 = p2 + q1 sin(2t)/10, the last rows of p in events alone. */
static inline void wall_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[0] - x->p[2] - 0.1*x->q[1]*sin(2*x->t);
    j[0][0] = 1, j[0][4] = -1, j[0][7] = -0.1*sin(2*x->t), j[0][8] = -0.2*x->q[1]*cos(2*x->t);
}
static inline void bounce_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y;
    f[0] = y[0] - 0.05 - 0.02*y[1]*sin(x->t), f[1] = -x->p[3]*y[1] + 0.1*x->q[1]*y[0];
    j[0][0] = 1, j[0][1] = -0.02*sin(x->t), j[0][8] = -0.02*y[1]*cos(x->t);
    j[1][0] = 0.1*x->q[1], j[1][1] = -x->p[3], j[1][5] = -y[1], j[1][7] = 0.1*y[0];
}
static inline void turn_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[1] - 0.3*x->p[3] + 0.1*x->t;
    j[0][1] = 1, j[0][5] = -0.3, j[0][8] = 0.1;
}
static const model wall_model = { 2, 1, 0, 4, 2, wall_formula }, bounce_model = { 2, 2, 0, 4, 2, bounce_formula },
                   turn_model = { 2, 1, 0, 4, 2, turn_formula };

/* Of the reaction: a level that falls with time, and what is then taken out. */
static inline void level_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[1]*x->y[1] - x->p[3]*exp(-0.2*x->t);
    j[0][1] = 2*x->y[1], j[0][5] = -exp(-0.2*x->t), j[0][7] = 0.2*x->p[3]*exp(-0.2*x->t);
}
static inline void harvest_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y, *p = x->p;
    f[0] = y[0] + 0.1*x->t*y[1], f[1] = p[4]*y[1];
    j[0][0] = 1, j[0][1] = 0.1*x->t, j[0][7] = 0.1*y[1], j[1][1] = p[4], j[1][6] = y[1];
}
static const model level_model = { 2, 1, 0, 5, 0, level_formula }, harvest_model = { 2, 2, 0, 5, 0, harvest_formula };

/* Of what an input drives: it is a part of the event and of the reset. */
static inline void gate_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[0] + 0.3*x->y[2] - x->p[18] - 0.2*x->u[0];
    j[0][0] = 1, j[0][2] = 0.3, j[0][3] = -0.2, j[0][22] = -1;
}
static inline void push_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    for (size_t i = 0; i < 3; i++)
        f[i] = 0.6*x->y[i] + 0.2*x->p[i]*x->u[0] + 0.1*x->t, j[i][i] = 0.6, j[i][3] = 0.2*x->p[i],
        j[i][4 + i] = 0.2*x->u[0], j[i][23] = 0.1;
}
static const model gate_model = { 3, 1, 1, 19, 0, gate_formula }, push_model = { 3, 3, 1, 19, 0, push_formula };

static inline void reaction(proof *f, bool tape) {
    case_doses(f, 0, tape);
    proof_parameters(f, 5, (double[]){ 0.75, 0.5, 0.25, 0.8, 0.7 });
    f->problem.p = f->in[IN_P].x;
    proof_event(f, &level_model, &harvest_model);
}

static inline void driven(proof *f, int32_t method) {
    case_controlled(f, 0, true);
    proof_parameters(f, 19, NULL);
    ((nde_real *)f->in[IN_P].x)[18] = (nde_real)0.6;
    proof_event(f, &gate_model, &push_model);
    proof_event(f, &gate_model, NULL)->direction = -1;
    f->options.method = method;
}

/* Duffing oscillators that meet a moving wall, of which the fifth turn is the last thing to be seen. */
static inline void oscillators(proof *f, size_t n, int64_t steps, int32_t terminal) {
    static const double p[] = { 0.5, 0.125, 0.25, 0.75 };
    proof_begin(f, n, &duffing_model, true, 0, 3, 0.75);
    proof_parameters(f, 4, p);
    nde_real *q = proof_input_make(f, IN_Q, 2, false, false, 0.5, 0.25);
    for (size_t b = 0; b < n; b++) q[b] = (nde_real)(float)pow(6, 0.5 + 0.5*proof_number(7, b));
    f->problem.q = q;
    proof_save(f, 4, (double[]){ 0.1, 0.9, 1.7, 2.9 });
    proof_event(f, &wall_model, &bounce_model)->direction = 1;
    proof_event(f, &turn_model, NULL)->terminal = terminal;
    f->options.method = NDE_TSIT5, f->options.steps = steps;
    f->options.rtol = f->options.atol = sizeof(nde_real) == 8 ? 1e-7 : 1e-5;
}

/* Of the pendulums: a wall that the first one meets, and the kick that it then gets. */
static inline void stop_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[0] - 0.8*x->p[1] + 0.1*sin(x->t);
    j[0][0] = 1, j[0][5] = -0.8, j[0][7] = 0.1*cos(x->t);
}
static inline void kick_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y;
    for (size_t i = 0; i < 4; i++) f[i] = y[i], j[i][i] = 1;
    f[2] = -x->p[1]*y[2] + 0.1*x->q[0]*y[1] + 0.05*x->t;
    j[2][2] = -x->p[1], j[2][5] = -y[2], j[2][6] = 0.1*y[1], j[2][1] = 0.1*x->q[0], j[2][7] = 0.05;
}
static const model stop_model = { 4, 1, 0, 2, 1, stop_formula }, kick_model = { 4, 4, 0, 2, 1, kick_formula };

static inline void pendulums(proof *f) {
    case_verlet(f, 0, true);
    proof_parameters(f, 2, (double[]){ 1.5, 0.75 });
    f->problem.q = proof_input_make(f, IN_Q, 1, false, false, 0.5, 0.25);
    proof_event(f, &stop_model, &kick_model)->direction = -1;
}

static inline int64_t count_hits(const proof *f, size_t event) {
    int64_t hits = 0;
    for (size_t b = 0; b < f->n; b++) hits += f->solution.event_count[event*f->n + b];
    return hits;
}

#endif
