/* SPDX-License-Identifier: MIT
 * neural_sde - networks learn drift and diffusion of a particle in a double well from pairs of its places, a lag apart.
 *   neural_sde [ITERATIONS [SEED [PICTURE.svg]]]    1 to 100000; 1500. SEED: of data, noise and networks, > 0; 1
 * What is learned by is a proper score of where the particle goes from a place, the continuous ranked probability score E|X
 * - x| - E|X - X'|/2, X and X' of the model, x seen: least where both distributions are the same. Through reversible Heun
 * and its exact gradient.
 * After: P. Kidger, J. Foster, X. Li, T. Lyons, Efficient and accurate gradients for neural SDEs, NeurIPS (2021); T.
 * Gneiting, A. Raftery, J. Amer. Statist. Assoc. 102 (2007) 359-378 (the score). */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "fit.h"
#include "plot.h"

enum { PAIRS = 8192, HELD = 2048, BATCH = 128, DRAWS = 4, STEPS = 16 };
enum { WIDTH = 16, NET = 2*WIDTH + WIDTH*(WIDTH + 1) + WIDTH + 1, NP = 2*NET };
enum { SIDE = 241, BINS = 60, PATHS = 4096 };
static const double lag = 0.5, view = 2.4;
static const char well[] = "state x; dx = 2*(x - x^3)", mobility[] = "state x; dx = 0.8 + 0.2*sin(2*x)";

/* A drift and what stands before the noise, in Stratonovich's calculus. */
typedef struct model {
    nde_field drift, diffusion;
    nde_noise noise;
    nde_term term;
} model;

/* [1] -> [1]; the diffusion is positive. */
static nde_program *build(size_t p, bool positive) {
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = 1, .np = NP), &g), NULL);
    const nde_var a = nde_dense(g, NDE_TANH, p, WIDTH, nde_y(g, 0, 1));
    const nde_var b = nde_dense(g, NDE_TANH, p + 2*WIDTH, WIDTH, a);
    need(nde_program_finish(g, nde_dense(g, positive ? NDE_SOFTPLUS : NDE_IDENTITY, p + NET - WIDTH - 1, 1, b)), NULL);
    return g;
}

static void make(model *to, const nde_program *drift, const nde_program *diffusion) {
    to->drift = nde_field_program(drift), to->diffusion = nde_field_program(diffusion);
    to->noise = NDE_INIT(nde_noise, .seed = 1);
    to->term = NDE_INIT(nde_term, .field = &to->diffusion, .noise = &to->noise, .kind = NDE_NOISE_DIAGONAL);
}

static nde_problem problem_of(const model *m, size_t n, const double *y0, const double *p, double duration) {
    return NDE_INIT(nde_problem, .n = n, .drift = &m->drift, .terms = &m->term, .n_terms = 1, .calculus = NDE_STRATONOVICH,
                    .y0 = y0, .p = p, .t1 = duration);
}

/* Where n particles are that start at y0 [n], in steps of lag/STEPS; not by reversible Heun, which is not stable for long. */
static void move(model *m, uint64_t seed, size_t n, const double *y0, const double *p, double duration, double *y) {
    nde_solution s = { 0 };
    m->noise.seed = seed;
    const nde_problem problem = problem_of(m, n, y0, p, duration);
    const int64_t steps = (int64_t)rint(duration/lag*STEPS);
    need(nde_solve(&problem, &NDE_INIT(nde_options, .method = NDE_HEUN, .steps = steps), &s), s.solver);
    memcpy(y, s.y_end, n*sizeof *y);
    nde_solution_free(&s);
}

/* The score of n places x, from DRAWS of the model for each: y [DRAWS][n]; a its derivative by y, or NULL. */
static double score(size_t n, const double *x, const double *y, double *a) {
    double sum = 0;
    const double each = 1.0/(DRAWS*(double)n), pair = each/(DRAWS - 1);
    for (size_t i = 0; i < DRAWS*n; i++) {
        const double off = y[i] - x[i%n];
        double slope = off > 0 ? each : -each;
        sum += each*fabs(off);
        for (size_t j = i%n; j < DRAWS*n; j += n) {
            sum -= 0.5*pair*fabs(y[i] - y[j]);
            slope -= y[i] > y[j] ? pair : y[i] < y[j] ? -pair : 0;
        }
        if (a) a[i] = slope;
    }
    return sum;
}

static void repeat(size_t n, const double *x, double *to) {
    for (size_t i = 0; i < DRAWS*n; i++) to[i] = x[i%n];
}

static void learn(model *m, double (*data)[PAIRS], int iterations, uint64_t seed, double *p) {
    static double state[2*NP], g[NP], y0[DRAWS*BATCH], x[BATCH], from[BATCH], a[DRAWS*BATCH];
    static size_t order[PAIRS];
    nde_optimiser adam = NDE_INIT(nde_optimiser, .rate = 0.02, .state = state, .schedule = NDE_SCHEDULE_COSINE,
                                  .decay_steps = iterations);
    const nde_problem problem = problem_of(m, DRAWS*BATCH, y0, p, lag);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_REVERSIBLE_HEUN, .steps = STEPS,
                                         .adjoint = NDE_ADJOINT_REVERSIBLE);
    nde_solver *solver;
    nde_solution solution = { 0 };
    need(nde_solver_create(&problem, &options, &solver), NULL);
    for (size_t k = 0; k < (size_t)iterations; k++) {
        const size_t first = k*BATCH%PAIRS;
        if (!first) need(nde_shuffle(seed, k, PAIRS, order), NULL);
        for (size_t b = 0; b < BATCH; b++) from[b] = data[0][order[first + b]], x[b] = data[1][order[first + b]];
        repeat(BATCH, from, y0);
        m->noise.seed = seed << 32 | k;
        need(nde_solver_run(solver, &solution), solver);
        score(BATCH, x, solution.y_end, a);
        need(nde_backward(solver, &NDE_INIT(nde_seed, .y_end = a), &NDE_INIT(nde_gradient, .p = g)), solver);
        need(nde_optimiser_step(&adam, NP, g, p), NULL);
    }
    nde_solver_destroy(solver);
}

/* Where particles are after a long time: 1/g exp of the integral of 2 f/g^2; with drift f and diffusion g at SIDE places. */
typedef struct law {
    double x[SIDE], drift[SIDE], diffusion[SIDE], density[SIDE];
} law;

static void describe(const model *m, const double *p, law *to) {
    double exponent = 0, sum = 0, most = -HUGE_VAL;
    static const double t[SIDE];
    const double dx = 2*view/(SIDE - 1);
    const nde_site at = { .n = SIDE, .ld = SIDE, .t = t, .p = p };
    for (size_t i = 0; i < SIDE; i++) to->x[i] = -view + dx*(double)i;
    need(nde_field_value(&m->drift, &at, to->x, to->drift), NULL);
    need(nde_field_value(&m->diffusion, &at, to->x, to->diffusion), NULL);
    for (size_t i = 0; i < SIDE; i++) {
        const double slope = 2*to->drift[i]/(to->diffusion[i]*to->diffusion[i]);
        const double before = i ? 2*to->drift[i - 1]/(to->diffusion[i - 1]*to->diffusion[i - 1]) : slope;
        exponent += i ? 0.5*(slope + before)*dx : 0;
        to->density[i] = exponent - log(to->diffusion[i]), most = fmax(most, to->density[i]);
    }
    for (size_t i = 0; i < SIDE; i++) sum += dx*(to->density[i] = exp(to->density[i] - most));
    for (size_t i = 0; i < SIDE; i++) to->density[i] /= sum;
}

/* Half the area between two densities; how far drift and diffusion are off where particles are (RMS, by the true density). */
static void compare(const char *name, const law *truth, const law *of, double crps) {
    const double dx = 2*view/(SIDE - 1);
    double between = 0, drift = 0, diffusion = 0;
    for (size_t i = 0; i < SIDE; i++) {
        between += 0.5*dx*fabs(of->density[i] - truth->density[i]);
        drift += dx*truth->density[i]*pow(of->drift[i] - truth->drift[i], 2);
        diffusion += dx*truth->density[i]*pow(of->diffusion[i] - truth->diffusion[i], 2);
    }
    printf("%-10s %10.4f %12.4f %12.4f %12.4f\n", name, crps, between, sqrt(drift), sqrt(diffusion));
}

static double held_score(model *m, const double *p, double (*held)[HELD]) {
    static double y0[DRAWS*HELD], y[DRAWS*HELD];
    repeat(HELD, held[0], y0);
    move(m, 99, DRAWS*HELD, y0, p, lag, y);
    return score(HELD, held[1], y, NULL);
}

static void draw(plot_picture *to, model *learned, const double *p, const law *laws) {
    static const plot_look look[] = { { "true", "#333333", "6 4", 0, false }, { "learned", PLOT_BLUE, NULL, 0, false },
                                      { "untrained", PLOT_ORANGE, NULL, 0, false } };
    static double y0[PATHS], y[PATHS], bin[BINS], share[BINS];
    move(learned, 98, PATHS, y0, p, 40, y);
    for (size_t i = 0; i < BINS; i++) bin[i] = view*(2*((double)i + 0.5)/BINS - 1), share[i] = 0;
    for (size_t b = 0; b < PATHS; b++)
        if (fabs(y[b]) < view) share[(size_t)((y[b]/view + 1)/2*BINS)] += BINS/(2*view*PATHS);
    plot_panel(to, 0, 0, 420, 380, "after a long time", (plot_axis){ "x", -view, view, 0 },
               (plot_axis){ "density", 0, 1.6, 0 });
    plot_points(to, (plot_look){ "its paths", PLOT_SKY, NULL, 4, false }, BINS, bin, 1, share, 1);
    for (int k = 0; k < 3; k++) plot_line(to, look[k], SIDE, laws[k].x, 1, laws[k].density, 1);
    plot_panel(to, 430, 0, 420, 380, "drift", (plot_axis){ "x", -view, view, 0 }, (plot_axis){ "f", -6, 6, 0 });
    for (int k = 0; k < 3; k++) plot_line(to, look[k], SIDE, laws[k].x, 1, laws[k].drift, 1);
    plot_panel(to, 860, 0, 420, 380, "diffusion", (plot_axis){ "x", -view, view, 0 }, (plot_axis){ "g", 0, 1.6, 0 });
    for (int k = 0; k < 3; k++) plot_line(to, look[k], SIDE, laws[k].x, 1, laws[k].diffusion, 1);
}

static void study(int iterations, uint64_t seed, plot_picture *to) {
    static double data[2][PAIRS], held[2][HELD], p[NP];
    static law laws[3];
    static const size_t width[] = { 1, WIDTH, WIDTH, 1 };
    nde_program *of[4] = { NULL, NULL, build(0, false), build(NET, true) };
    model truth, learned;
    need(nde_program_parse(well, NULL, &of[0]), NULL);
    need(nde_program_parse(mobility, NULL, &of[1]), NULL);
    make(&truth, of[0], of[1]), make(&learned, of[2], of[3]);
    for (size_t b = 0; b < PAIRS; b++) data[1][b] = 1.8*(2*nde_uniform(seed, 128, b, 0, 0) - 1);
    move(&truth, seed, PAIRS, data[1], NULL, 2, data[0]); /* all over the wells */
    move(&truth, seed + 1, PAIRS, data[0], NULL, lag, data[1]);
    memcpy(held[1], data[0], sizeof held[1]);
    move(&truth, seed + 2, HELD, held[1], NULL, 8, held[0]);
    move(&truth, seed + 3, HELD, held[0], NULL, lag, held[1]);
    for (size_t k = 0; k < 2; k++)
        need(nde_mlp_init(&NDE_INIT(nde_mlp, .layers = 3, .width = width), NDE_GLOROT_UNIFORM, seed + k, p + k*NET), NULL);
    printf("%-10s %10s %12s %12s %12s\n", "model", "CRPS held", "density off", "drift off", "diffusion off");
    describe(&truth, NULL, &laws[0]), describe(&learned, p, &laws[2]);
    compare("untrained", &laws[0], &laws[2], held_score(&learned, p, held));
    learn(&learned, data, iterations, seed, p);
    describe(&learned, p, &laws[1]);
    compare("learned", &laws[0], &laws[1], held_score(&learned, p, held));
    compare("true", &laws[0], &laws[0], held_score(&truth, NULL, held));
    draw(to, &learned, p, laws);
    for (int k = 0; k < 4; k++) nde_program_destroy(of[k]);
}

int main(int argc, char **argv) {
    long iterations = 1500, seed = 1;
    const argument given[] = { { "ITERATIONS", &iterations, 1, 100000 }, { "SEED", &seed, 1, LONG_MAX } };
    const char *file = command_line(argc, argv, "neural_sde", 2, given);
    plot_picture to;
    if (plot_open(&to, file, 1280, 380)) study((int)iterations, (uint64_t)seed, &to);
    return plot_finish(&to, "neural_sde", file);
}
