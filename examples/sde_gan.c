/* SPDX-License-Identifier: MIT
 * sde_gan - a neural SDE learns the law of the paths of an Ornstein-Uhlenbeck process against a neural CDE that tells them
 * apart.
 *   sde_gan [ITERATIONS [SEED [PICTURE.svg]]]    2 to 100000; 2000. SEED: of data, noise and networks, > 0; 1
 * The generator: dx = f(t, x) dt + g(t, x) dW from a normal start, of which a linear readout is seen. The critic: dh = F(h)
 * dX along the path X of time, value and the value a time before, which begins at 0 so that the first value is seen as well;
 * what it says is the first component of h at the end. Its weights are clipped to 1/inputs, so that with LipSwish F changes
 * no faster than h. The generator goes down what the critic says of its paths: by the gradient of the CDE by the knots of
 * its control, which becomes the cotangent of the SDE's values.
 * After: P. Kidger, J. Foster, X. Li, H. Oberhauser, T. Lyons, Neural SDEs as infinite-dimensional GANs, ICML (2021), and
 * Efficient and accurate gradients for neural SDEs, NeurIPS (2021). */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "fit.h"
#include "plot.h"

enum { N = 128, TIMES = 17, EACH = 2, SHOWN = 4096, LINES = 24 }; /* paths of each kind, their times, steps between */
enum { DIM = 3, WIDE = 16, NET = (DIM + 2)*WIDE + (WIDE + 1)*DIM, READ = 2*NET };
enum { MEAN = READ + DIM, SPREAD = MEAN + DIM, GEN = SPREAD + DIM };
enum { SEEN = 3, H = 8, HIDDEN = 16, LAST = (H + 1)*HIDDEN, CRITIC = LAST + (HIDDEN + 1)*SEEN*H, KNOTS = TIMES + 1 };
/* dY = (rise t - pull Y) dt + size dW, Y0 normal with deviation `start`. */
static const double duration = 4, pull = 1, rise = 0.5, size = 0.5, start = 0.3;

enum { DRIFT, DIFFUSION, READOUT };

static nde_program *build(int what) {
    const size_t first = what == DIFFUSION ? NET : 0;
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = DIM, .np = GEN), &g), NULL);
    const nde_var x = nde_y(g, 0, DIM),
        a = nde_dense(g, NDE_LIPSWISH, first, WIDE, nde_concat(g, (nde_var[]){ x, nde_t(g) }, 2));
    const nde_var f = nde_dense(g, what == DIFFUSION ? NDE_SIGMOID : NDE_IDENTITY, first + (DIM + 2)*WIDE, DIM, a);
    need(nde_program_finish(g, what == READOUT ? nde_dot(g, nde_p(g, READ, DIM), x) : f), NULL);
    return g;
}

static nde_program *build_critic(void) {
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = H, .np = CRITIC, .nu = SEEN), &g), NULL);
    const nde_var a = nde_dense(g, NDE_LIPSWISH, 0, HIDDEN, nde_y(g, 0, H)), f = nde_dense(g, NDE_TANH, LAST, SEEN*H, a);
    need(nde_program_finish(g, nde_matvec(g, f, nde_u(g, 0, SEEN))), NULL);
    return g;
}

typedef struct generator {
    nde_program *program[3];
    nde_field drift, diffusion, readout;
    nde_noise noise;
    nde_term term;
    double t[TIMES];
} generator;

typedef struct critic {
    nde_program *program;
    nde_field field;
    double t[KNOTS];
    nde_path path;
    nde_term term;
} critic;

static void make(generator *g) {
    for (int k = 0; k < 3; k++) g->program[k] = build(k);
    g->drift = nde_field_program(g->program[0]), g->diffusion = nde_field_program(g->program[1]);
    g->readout = nde_field_program(g->program[2]);
    g->noise = NDE_INIT(nde_noise, .seed = 1);
    g->term = NDE_INIT(nde_term, .field = &g->diffusion, .noise = &g->noise, .kind = NDE_NOISE_DIAGONAL);
    for (size_t k = 0; k < TIMES; k++) g->t[k] = duration*(double)k/(TIMES - 1);
}

static void make_critic(critic *c, const double *x) {
    for (size_t k = 0; k < KNOTS; k++) c->t[k] = duration*((double)k - 1)/(TIMES - 1);
    c->program = build_critic(), c->field = nde_field_program(c->program);
    c->path = NDE_INIT(nde_path, .kind = NDE_PATH_LINEAR, .channels = SEEN, .knots = KNOTS, .t = c->t, .x = x);
    c->term = NDE_INIT(nde_term, .field = &c->field, .path = &c->path);
}

static nde_problem problem_of(const generator *g, size_t n, const double *y0, const double *p) {
    return NDE_INIT(nde_problem, .n = n, .drift = &g->drift, .terms = &g->term, .n_terms = 1, .calculus = NDE_STRATONOVICH,
                    .y0 = y0, .p = p, .t1 = duration, .observe = &g->readout);
}

static nde_options options_of(const generator *g) {
    return NDE_INIT(nde_options, .method = NDE_REVERSIBLE_HEUN, .steps = (TIMES - 1)*EACH, .save_t = g->t, .n_save = TIMES);
}

static void begin(const double *p, uint64_t seed, size_t n, double *normals, double *y0) {
    for (size_t i = 0; i < DIM*n; i++) {
        normals[i] = nde_normal(seed, 130, i%n, 0, i/n);
        y0[i] = p[MEAN + i/n] + p[SPREAD + i/n]*normals[i];
    }
}

/* A path of the process itself, exactly: y [TIMES] at y[k*n]. */
static void draw_truth(uint64_t seed, size_t b, size_t n, double *y) {
    const double h = duration/(TIMES - 1), keep = exp(-pull*h), spread = size*sqrt((1 - keep*keep)/(2*pull));
    y[0] = start*nde_normal(seed, 128, b, 0, 0);
    for (size_t k = 1; k < TIMES; k++) {
        /* a solution without noise */
        const double from = rise/pull*(h*(double)(k - 1) - 1/pull), to = rise/pull*(h*(double)k - 1/pull);
        y[k*n] = to + (y[(k - 1)*n] - from)*keep + spread*nde_normal(seed, 128, b, k, 0);
    }
}

/* Knots x [KNOTS][SEEN][2 N] of N true paths and of N others, y [TIMES][N]: time, value, and the value before. */
static void lay(uint64_t seed, const double *y, double *x) {
    double path[TIMES + 2] = { 0 }; /* before the first point it is 0 */
    for (size_t b = 0; b < 2*N; b++) {
        if (b < N) draw_truth(seed, b, 1, path + 2);
        for (size_t k = 0; k < TIMES && b >= N; k++) path[k + 2] = y[k*N + b - N];
        for (size_t k = 0; k < KNOTS; k++) {
            double *to = x + k*SEEN*2*N + b;
            to[0] = duration*((double)k - 1)/(TIMES - 1), to[2*N] = path[k + 1], to[4*N] = path[k];
        }
    }
}

/* From the cotangents of knots to those of the values of the N other paths. */
static void lay_transpose(const double *a_x, double *a_y) {
    for (size_t i = 0; i < TIMES*N; i++) {
        const double *a = a_x + (i/N + 1)*SEEN*2*N + N + i%N;
        a_y[i] = a[2*N] + (i/N + 1 < TIMES ? a[SEEN*2*N + 4*N] : 0);
    }
}

static void clip(double *p) {
    for (size_t i = 0; i < H*HIDDEN; i++) p[i] = fmin(fmax(p[i], -1.0/H), 1.0/H);
    for (size_t i = LAST; i < LAST + HIDDEN*SEEN*H; i++) p[i] = fmin(fmax(p[i], -1.0/HIDDEN), 1.0/HIDDEN);
}

/* Minimises what the critic says of the generator's paths less what it says of true ones, by the generator; the critic is
 * against it. Keeps the mean of the second half of the steps. */
static void learn(generator *g, int iterations, uint64_t seed, double *p) {
    static double y0[DIM*N], normals[DIM*N], to_y0[DIM*N], gradient[GEN], state[2*GEN], mean[GEN], a_y[TIMES*N];
    static double q[CRITIC], to_q[CRITIC], state_q[2*CRITIC], x[KNOTS*SEEN*2*N], a_x[KNOTS*SEEN*2*N], h0[H*2*N], a_h[H*2*N];
    static const size_t width[] = { H, HIDDEN, SEEN*H };
    critic c;
    make_critic(&c, x);
    need(nde_mlp_init(&NDE_INIT(nde_mlp, .layers = 2, .width = width), NDE_GLOROT_UNIFORM, seed + 7, q), NULL);
    nde_optimiser down = NDE_INIT(nde_optimiser, .rate = 5e-3, .beta1 = 0.5, .beta2 = 0.9, .state = state);
    nde_optimiser up = NDE_INIT(nde_optimiser, .rate = 1e-2, .beta1 = 0.5, .beta2 = 0.9, .state = state_q);
    nde_average average = NDE_INIT(nde_average, .mean = mean);
    const nde_problem making = problem_of(g, N, y0, p);
    const nde_problem judging = NDE_INIT(nde_problem, .n = 2*N, .dim = H, .terms = &c.term, .n_terms = 1, .y0 = h0, .p = q,
                                         .t0 = c.t[0], .t1 = duration);
    nde_options made = options_of(g);
    made.adjoint = NDE_ADJOINT_REVERSIBLE;
    const nde_options judged = NDE_INIT(nde_options, .method = NDE_HEUN, .steps = TIMES, .adjoint = NDE_ADJOINT_DISCRETE);
    nde_solver *maker, *judge;
    nde_solution paths = { 0 };
    need(nde_solver_create(&making, &made, &maker), NULL);
    need(nde_solver_create(&judging, &judged, &judge), NULL);
    for (size_t b = 0; b < 2*N; b++) a_h[b] = b < N ? -1.0/N : 1.0/N; /* the critic's last word is row 0 of its state */
    for (uint64_t k = 0; k < (uint64_t)iterations; k++) {
        g->noise.seed = seed << 32 | k;
        clip(q);
        begin(p, g->noise.seed, N, normals, y0);
        need(nde_solver_run(maker, &paths), maker);
        lay(g->noise.seed, paths.y, x);
        double *const control[] = { a_x };
        need(nde_solver_run(judge, NULL), judge);
        need(nde_backward(judge, &NDE_INIT(nde_seed, .y_end = a_h), &NDE_INIT(nde_gradient, .p = to_q, .term_x = control)),
             judge);
        lay_transpose(a_x, a_y);
        need(nde_backward(maker, &NDE_INIT(nde_seed, .y = a_y), &NDE_INIT(nde_gradient, .p = gradient, .y0 = to_y0)), maker);
        for (size_t i = 0; i < DIM*N; i++) gradient[MEAN + i/N] += to_y0[i], gradient[SPREAD + i/N] += to_y0[i]*normals[i];
        for (size_t i = 0; i < CRITIC; i++) to_q[i] = -to_q[i];
        need(nde_optimiser_step(&up, CRITIC, to_q, q), NULL);
        if (k%2) need(nde_optimiser_step(&down, GEN, gradient, p), NULL);
        if (2*k >= (uint64_t)iterations) need(nde_average_update(&average, GEN, p), NULL);
    }
    need(nde_average_get(&average, GEN, p), NULL);
    nde_solver_destroy(maker), nde_solver_destroy(judge), nde_program_destroy(c.program);
}

/* Mean and standard deviation at each time, and the correlation with the value a unit of time before. */
typedef struct moments {
    double mean[TIMES], deviation[TIMES], correlation;
} moments;

static moments theory(const generator *g) {
    moments m;
    double before = 0;
    for (size_t k = 0; k < TIMES; k++) {
        const double t = g->t[k], fade = exp(-pull*t);
        m.mean[k] = rise/pull*(t - (1 - fade)/pull);
        m.deviation[k] = sqrt(start*start*fade*fade + size*size*(1 - fade*fade)/(2*pull));
        if (k == TIMES - 1 - (TIMES - 1)/4) before = m.deviation[k];
    }
    m.correlation = exp(-pull)*before/m.deviation[TIMES - 1];
    return m;
}

/* Of SHOWN paths y [TIMES][SHOWN] of the generator. */
static moments measure(generator *g, const double *p, double *y) {
    static double y0[DIM*SHOWN], normals[DIM*SHOWN];
    moments m = { { 0 }, { 0 }, 0 };
    nde_solution s = { 0 };
    g->noise.seed = 99;
    begin(p, 99, SHOWN, normals, y0);
    const nde_problem problem = problem_of(g, SHOWN, y0, p);
    const nde_options options = options_of(g);
    need(nde_solve(&problem, &options, &s), s.solver);
    memcpy(y, s.y, TIMES*SHOWN*sizeof *y);
    nde_solution_free(&s);
    for (size_t i = 0; i < TIMES*SHOWN; i++) m.mean[i/SHOWN] += y[i]/SHOWN;
    for (size_t i = 0; i < TIMES*SHOWN; i++)
        m.deviation[i/SHOWN] = hypot(m.deviation[i/SHOWN], (y[i] - m.mean[i/SHOWN])/sqrt(SHOWN));
    const size_t last = TIMES - 1, before = last - last/4;
    for (size_t b = 0; b < SHOWN; b++)
        m.correlation += (y[last*SHOWN + b] - m.mean[last])*(y[before*SHOWN + b] - m.mean[before])/
            (SHOWN*m.deviation[last]*m.deviation[before]);
    return m;
}

static void tell(const char *name, const moments *m, const moments *truth) {
    double mean = 0, deviation = 0;
    printf("%-10s", name);
    for (size_t k = 0; k < TIMES; k += 8) printf("  %6.3f +- %5.3f", m->mean[k], m->deviation[k]);
    for (size_t k = 0; k < TIMES; k++) {
        mean = fmax(mean, fabs(m->mean[k] - truth->mean[k]));
        deviation = fmax(deviation, fabs(m->deviation[k] - truth->deviation[k]));
    }
    printf(" %12.3f %10.4f %10.4f\n", m->correlation, mean, deviation);
}

static void draw_paths(plot_picture *to, double left, const char *title, const char *color, const generator *g, size_t n,
                       const double *y, const moments *truth) {
    double low[TIMES], high[TIMES];
    for (size_t k = 0; k < TIMES; k++)
        low[k] = truth->mean[k] - 2*truth->deviation[k], high[k] = truth->mean[k] + 2*truth->deviation[k];
    plot_panel(to, left, 0, 420, 380, title, (plot_axis){ "time", 0, duration, 0 }, (plot_axis){ "y", -2, 3.5, 0 });
    plot_band(to, (plot_look){ "two true deviations", PLOT_GREY, NULL, 0, false }, TIMES, g->t, low, high);
    for (size_t b = 0; b < LINES; b++) plot_line(to, (plot_look){ NULL, color, NULL, 0.8, false }, TIMES, g->t, 1, y + b, n);
}

static void study(int iterations, uint64_t seed, plot_picture *to) {
    static double p[GEN], y[TIMES*SHOWN], path[TIMES*LINES];
    static const size_t width[] = { DIM + 1, WIDE, DIM };
    generator g;
    for (size_t k = 0; k < 2; k++)
        need(nde_mlp_init(&NDE_INIT(nde_mlp, .layers = 2, .width = width), NDE_GLOROT_UNIFORM, seed + k, p + k*NET), NULL);
    for (size_t i = 0; i < DIM; i++) p[READ + i] = i == 0, p[SPREAD + i] = 1;
    make(&g);
    const moments truth = theory(&g), before = measure(&g, p, y);
    printf("%-10s  %15s  %15s  %15s %12s %10s %10s\n", "paths", "t = 0", "t = 2", "t = 4", "correlation", "mean off",
           "dev. off");
    tell("true", &truth, &truth), tell("untrained", &before, &truth);
    draw_paths(to, 860, "untrained", PLOT_ORANGE, &g, SHOWN, y, &truth);
    learn(&g, iterations, seed, p);
    const moments after = measure(&g, p, y);
    tell("learned", &after, &truth);
    for (size_t b = 0; b < LINES; b++) draw_truth(seed + 9, b, LINES, path + b);
    draw_paths(to, 0, "Ornstein-Uhlenbeck", "#333333", &g, LINES, path, &truth);
    draw_paths(to, 430, "learned", PLOT_BLUE, &g, SHOWN, y, &truth);
    for (int k = 0; k < 3; k++) nde_program_destroy(g.program[k]);
}

int main(int argc, char **argv) {
    long iterations = 2000, seed = 1;
    const argument given[] = { { "ITERATIONS", &iterations, 2, 100000 }, { "SEED", &seed, 1, LONG_MAX } };
    const char *file = command_line(argc, argv, "sde_gan", 2, given);
    plot_picture to;
    if (plot_open(&to, file, 1280, 380)) study((int)iterations, (uint64_t)seed, &to);
    return plot_finish(&to, "sde_gan", file);
}
