/* SPDX-License-Identifier: MIT
 * latent_sde - a latent stochastic differential equation learns the Lorenz system from noisy observations, and what lies
 * under them.
 *   latent_sde [ITERATIONS [SEED [PICTURE.svg]]]    1 to 100000; 1500. SEED: of data, noise and networks, > 0; 1
 * Prior: dz = f(z) dt + s dW; posterior: dz = (f(z) + s c(z, u)) dt + s dW, f and c networks, u a path of context whose
 * knots are parameters, as are mean and width of each start. What is learned by is the evidence lower bound (ELBO): the mean
 * log likelihood of the observations along the posterior, less its divergence from the prior, the integral of |c|^2/2
 * (Girsanov) and that of the starts.
 * After: X. Li, T. Wong, R. Chen, D. Duvenaud, Scalable gradients for stochastic differential equations, AISTATS (2020). */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "fit.h"
#include "plot.h"

enum { N = 48, DIM = 3, TIMES = 31, EACH = 4, SAMPLES = 16, FREE = 2001 }; /* sequences, times, steps between */
enum { WIDTH = 32, CONTROL = (DIM + 1)*WIDTH + (WIDTH + 1)*(WIDTH + DIM) };
enum { SIZE = CONTROL + (2*DIM + 1)*WIDTH + (WIDTH + 1)*DIM, NP = SIZE + DIM };
enum { KNOTS = TIMES*DIM*N, MEAN = NP + KNOTS, SPREAD = MEAN + DIM*N, ALL = SPREAD + DIM*N }; /* of what is learned */
enum { ROWS = TIMES*DIM };
static const double duration = 1.5, noise = 0.1, pi = 3.141592653589793;
/* In tens, about z = 25. */
static const char lorenz[] = "state x, y, z; dx = 10*(y - x); dy = x*(3 - 10*z) - y; dz = 10*x*y - 8/3*(z + 2.5)";
enum { PRIOR, POSTERIOR, DIVERGENCE, NOISE };

static nde_program *build(int what) {
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = DIM, .np = NP, .nu = what == PRIOR ? 0 : DIM), &g), NULL);
    const nde_var z = nde_y(g, 0, DIM), s = nde_exp(g, nde_p(g, SIZE, DIM)), a = nde_dense(g, NDE_TANH, 0, WIDTH, z);
    const nde_var ahead = what == PRIOR ? z : nde_sub(g, nde_u(g, 0, DIM), z);
    const nde_var b = nde_dense(g, NDE_TANH, (DIM + 1)*WIDTH, WIDTH, a);
    const nde_var f = nde_dense(g, NDE_IDENTITY, (DIM + 1)*WIDTH + (WIDTH + 1)*WIDTH, DIM, b);
    const nde_var hidden = nde_dense(g, NDE_TANH, CONTROL, WIDTH, nde_concat(g, (nde_var[]){ z, ahead }, 2));
    const nde_var c = nde_dense(g, NDE_IDENTITY, CONTROL + (2*DIM + 1)*WIDTH, DIM, hidden);
    const nde_var value[] = { f, nde_add(g, f, nde_mul(g, s, c)), nde_mul(g, nde_constant(g, 0.5), nde_dot(g, c, c)), s };
    need(nde_program_finish(g, value[what]), NULL);
    return g;
}

typedef struct model {
    nde_program *program[4];
    nde_field field[4];
    nde_noise noise;
    nde_term term;
    double t[TIMES];
    nde_path context;
} model;

static void make(model *to, const double *knots) {
    for (int k = 0; k < 4; k++) to->program[k] = build(k), to->field[k] = nde_field_program(to->program[k]);
    for (size_t k = 0; k < TIMES; k++) to->t[k] = duration*(double)k/(TIMES - 1);
    to->context = NDE_INIT(nde_path, .kind = NDE_PATH_LINEAR, .channels = DIM, .knots = TIMES, .t = to->t, .x = knots);
    to->noise = NDE_INIT(nde_noise, .seed = 1);
    to->term = NDE_INIT(nde_term, .field = &to->field[NOISE], .noise = &to->noise, .kind = NDE_NOISE_DIAGONAL);
}

static nde_problem problem_of(const model *m, int drift, const double *y0, const double *p) {
    return NDE_INIT(nde_problem, .n = N, .drift = &m->field[drift], .terms = &m->term, .n_terms = 1,
                    .calculus = NDE_STRATONOVICH, .y0 = y0, .p = p, .t1 = duration, .input = &m->context,
                    .quadrature = drift == POSTERIOR ? &m->field[DIVERGENCE] : NULL);
}

static nde_options options_of(const model *m) {
    return NDE_INIT(nde_options, .method = NDE_REVERSIBLE_HEUN, .steps = (TIMES - 1)*EACH, .save_t = m->t, .n_save = TIMES);
}

/* Starts y0 [DIM][N] of the posterior, from normals. */
static void begin(const double *z, uint64_t seed, double *normals, double *y0) {
    for (size_t i = 0; i < DIM*N; i++) {
        normals[i] = nde_normal(seed, 130, i%N, 0, i/N);
        y0[i] = z[MEAN + i] + exp(z[SPREAD + i])*normals[i];
    }
}

/* Mean log likelihood of a sequence; a NULL, or its derivative by y. */
static double likelihood(const double *y, const double *data, double *a) {
    double sum = -ROWS*log(noise*sqrt(2*pi));
    for (size_t i = 0; i < ROWS*N; i++) {
        const double off = (y[i] - data[i])/noise;
        sum -= 0.5*off*off/N;
        if (a) a[i] = -off/(noise*N);
    }
    return sum;
}

/* Mean divergence of the starts from the standard normal law. */
static double divergence(const double *z) {
    double sum = 0;
    for (size_t i = 0; i < DIM*N; i++)
        sum += (0.5*(z[MEAN + i]*z[MEAN + i] + exp(2*z[SPREAD + i]) - 1) - z[SPREAD + i])/N;
    return sum;
}

static void learn(model *m, const double *data, int iterations, uint64_t seed, double *z) {
    static double state[2*ALL], g[ALL], y0[DIM*N], normals[DIM*N], a[ROWS*N], price[N], to_y0[DIM*N];
    nde_optimiser adam = NDE_INIT(nde_optimiser, .rate = 0.02, .state = state, .schedule = NDE_SCHEDULE_COSINE, .clip_norm = 20,
                                  .decay_steps = iterations);
    const nde_problem problem = problem_of(m, POSTERIOR, y0, z);
    nde_options options = options_of(m);
    nde_solver *solver;
    nde_solution solution = { 0 };
    options.adjoint = NDE_ADJOINT_DISCRETE;
    need(nde_solver_create(&problem, &options, &solver), NULL);
    for (uint64_t k = 0; k < (uint64_t)iterations; k++) {
        m->noise.seed = seed << 32 | k;
        begin(z, m->noise.seed, normals, y0);
        need(nde_solver_run(solver, &solution), solver);
        likelihood(solution.y, data, a);
        for (size_t i = 0; i < ROWS*N; i++) a[i] = -a[i];
        for (size_t b = 0; b < N; b++) price[b] = 1.0/N;
        need(nde_backward(solver, &NDE_INIT(nde_seed, .y = a, .quadrature = price),
                          &NDE_INIT(nde_gradient, .p = g, .input_x = g + NP, .y0 = to_y0)), solver);
        for (size_t i = 0; i < DIM*N; i++) {
            const double spread = exp(z[SPREAD + i]);
            g[MEAN + i] = to_y0[i] + z[MEAN + i]/N;
            g[SPREAD + i] = to_y0[i]*normals[i]*spread + (spread*spread - 1)/N;
        }
        need(nde_optimiser_step(&adam, ALL, g, z), NULL);
    }
    nde_solver_destroy(solver);
}

/* Paths of the posterior, or of the prior from its starts: y [SAMPLES][TIMES][DIM][N]. Returns the bound in nats a number
 * observed. */
static double bound(model *m, int drift, const double *z, const double *data, double *y) {
    static double y0[DIM*N], normals[DIM*N];
    double sum = 0;
    const nde_problem problem = problem_of(m, drift, y0, z);
    const nde_options options = options_of(m);
    for (uint64_t k = 0; k < SAMPLES; k++) {
        nde_solution s = { 0 };
        m->noise.seed = 1000 + k;
        begin(z, m->noise.seed, normals, y0);
        need(nde_solve(&problem, &options, &s), s.solver);
        sum += likelihood(s.y, data, NULL)/SAMPLES;
        for (size_t b = 0; b < N && drift == POSTERIOR; b++) sum -= s.quadrature[b]/(N*SAMPLES);
        memcpy(y + k*ROWS*N, s.y, ROWS*N*sizeof *y);
        nde_solution_free(&s);
    }
    return (sum - divergence(z))/ROWS;
}

static double rms(size_t n, const double *x, const double *y) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (x[i] - y[i])*(x[i] - y[i])/(double)n;
    return sqrt(sum);
}

static void draw_sequence(plot_picture *to, const model *m, size_t i, const double *truth, const double *data,
                          const double *y) {
    plot_panel(to, 0, 210*(double)(i/2), 560, 210, i ? "z of a sequence" : "x of a sequence",
               (plot_axis){ "time", 0, duration, 0 }, (plot_axis){ i ? "z" : "x", -2.4, 2.4, 0 });
    for (size_t k = 0; k < SAMPLES; k++)
        plot_line(to, (plot_look){ k || i ? NULL : "posterior", PLOT_SKY, NULL, 0.7, false }, TIMES, m->t, 1,
                  y + (k*ROWS + i)*N, DIM*N);
    plot_line(to, (plot_look){ i ? NULL : "true", "#333333", "6 4", 0, false }, TIMES, m->t, 1, truth + i*N, DIM*N);
    plot_points(to, (plot_look){ i ? NULL : "observed", PLOT_RED, NULL, 3, false }, TIMES, m->t, 1, data + i*N, DIM*N);
}

/* Where drift alone leads from a place on the attractor. */
static void draw_attractor(plot_picture *to, double left, const char *title, const char *color, const nde_field *drift,
                           const double *p, const double *y0) {
    const trajectories path = follow(drift, p, 1, y0, FREE, 20, 1e-6);
    plot_panel(to, left, 0, 330, 420, title, (plot_axis){ "x", -2.4, 2.4, 0 }, (plot_axis){ "z", -2.8, 2.8, 0 });
    plot_line(to, (plot_look){ NULL, color, NULL, 0.7, false }, FREE, path.y, DIM, path.y + 2, DIM);
    free(path.y);
}

static void study(int iterations, uint64_t seed, plot_picture *to) {
    static double z[ALL], data[ROWS*N], y[SAMPLES*ROWS*N], mean[ROWS*N], y0[DIM*N], slope[2][DIM*N], t[N];
    static const double none[DIM*N];
    static const size_t width[] = { DIM, WIDTH, WIDTH, DIM }, narrow[] = { 2*DIM, WIDTH, DIM };
    nde_program *exact;
    model m;
    need(nde_program_parse(lorenz, NULL, &exact), NULL);
    const nde_field field = nde_field_program(exact);
    for (size_t i = 0; i < DIM*N; i++) y0[i] = nde_normal(seed, 128, i%N, 0, i/N);
    const trajectories before = follow(&field, NULL, N, y0, 2, 5, 1e-8);
    const trajectories truth = follow(&field, NULL, N, before.y + DIM*N, TIMES, duration, 1e-8);
    for (size_t i = 0; i < ROWS*N; i++) data[i] = truth.y[i] + noise*nde_normal(seed, 129, i%N, i/N, 0);
    need(nde_mlp_init(&NDE_INIT(nde_mlp, .layers = 3, .width = width), NDE_GLOROT_UNIFORM, seed, z), NULL);
    need(nde_mlp_init(&NDE_INIT(nde_mlp, .layers = 2, .width = narrow), NDE_GLOROT_UNIFORM, seed, z + CONTROL), NULL);
    for (size_t i = 0; i < DIM; i++) z[SIZE + i] = log(0.5);
    memcpy(z + NP, data, sizeof data), memcpy(z + MEAN, data, DIM*N*sizeof *z);
    for (size_t i = 0; i < DIM*N; i++) z[SPREAD + i] = log(noise);
    make(&m, z + NP);
    printf("%-34s %8.3f\n", "ELBO before (nats a number)", bound(&m, POSTERIOR, z, data, y));
    learn(&m, data, iterations, seed, z);
    printf("%-34s %8.3f\n", "   of the prior, once learned", bound(&m, PRIOR, z, data, y));
    printf("%-34s %8.3f\n", "   of the posterior", bound(&m, POSTERIOR, z, data, y));
    for (size_t i = 0; i < SAMPLES*ROWS*N; i++) mean[i%(ROWS*N)] += y[i]/SAMPLES;
    printf("%-34s %8.4f\n%-34s %8.4f\n", "observations off (RMS)", rms(ROWS*N, data, truth.y), "   means of the posterior",
           rms(ROWS*N, mean, truth.y));
    for (int k = 0; k < 2; k++)
        need(nde_field_value(k ? &field : &m.field[PRIOR], &(nde_site){ .n = N, .ld = N, .t = t, .p = z },
                             truth.y + TIMES/2*DIM*N, slope[k]), NULL);
    printf("%-34s %8.4f\n", "drift of the prior off (relative)", rms(DIM*N, slope[0], slope[1])/rms(DIM*N, slope[1], none));
    printf("%-34s %8.3f %.3f %.3f\n", "diffusion", exp(z[SIZE]), exp(z[SIZE + 1]), exp(z[SIZE + 2]));
    for (size_t i = 0; i < DIM; i += 2) draw_sequence(to, &m, i, truth.y, data, y);
    const double start[DIM] = { truth.y[0], truth.y[N], truth.y[2*N] };
    draw_attractor(to, 570, "Lorenz", "#333333", &field, NULL, start);
    draw_attractor(to, 905, "drift of the prior", PLOT_BLUE, &m.field[PRIOR], z, start);
    free(before.y), free(truth.y);
    for (int k = 0; k < 4; k++) nde_program_destroy(m.program[k]);
    nde_program_destroy(exact);
}

int main(int argc, char **argv) {
    long iterations = 1500, seed = 1;
    const argument given[] = { { "ITERATIONS", &iterations, 1, 100000 }, { "SEED", &seed, 1, LONG_MAX } };
    const char *file = command_line(argc, argv, "latent_sde", 2, given);
    plot_picture to;
    if (plot_open(&to, file, 1240, 420)) study((int)iterations, (uint64_t)seed, &to);
    return plot_finish(&to, "latent_sde", file);
}
