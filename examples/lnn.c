/* SPDX-License-Identifier: MIT
 * lnn - networks learn the Lagrangian of a double pendulum, or its accelerations, from noisy data: which keeps the energy?
 *   lnn [SEED [PICTURE.svg]]    SEED: of the data and of the networks, > 0; 1
 * After: M. Cranmer, S. Greydanus, S. Hoyer, P. Battaglia, D. Spergel, S. Ho, Lagrangian neural networks, arXiv:2003.04630
 * (2020), which learns from accelerations. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fit.h"
#include "plot.h"

enum { N = 64, TIMES = 30, STARTS = 6, SHOWN = 1001, DIM = 4, WIDTH = 32, NP = 7*WIDTH + (WIDTH + 1)*(WIDTH + 2) };
static const double duration = 2.9, noise = 0.01, ahead = 100; /* of the data; time that is foretold */
static const char *const pendulums = /* masses, lengths and gravity are 1 */
    "state q1, q2, v1, v2; c = cos(q1 - q2); s = sin(q1 - q2); r1 = -v2*v2*s - 2*sin(q1); r2 = v1*v1*s - sin(q2)\n"
    "dq1 = v1; dq2 = v2; dv1 = (r1 - c*r2)/(2 - c*c); dv2 = (2*r2 - c*r1)/(2 - c*c)";

static double energy(const double *y, size_t n) {
    const double q1 = y[0], q2 = y[n], v1 = y[2*n], v2 = y[3*n];
    return v1*v1 + v2*v2/2 + v1*v2*cos(q1 - q2) - 2*cos(q1) - cos(q2);
}

static void begin(uint64_t seed, size_t n, double *y0) {
    for (size_t i = 0; i < DIM*n; i++) y0[i] = (i < 2*n ? 2 : 1)*(nde_uniform(seed, 128, i, 0, 0) - 0.5);
}

/* The a that makes the integral of L(q, v) stationary: (d2L/dv2) a = dL/dq - (d2L/dvdq) v. */
static nde_var accelerate(nde_program *g, nde_var lagrangian, nde_var q, nde_var v) {
    const nde_var one = nde_constant(g, 1), momentum = nde_vjp_of(g, lagrangian, v, one);
    const nde_var force = nde_sub(g, nde_vjp_of(g, lagrangian, q, one), nde_jvp_of(g, momentum, q, v));
    const nde_var m1 = nde_jvp_of(g, momentum, v, nde_constants(g, (const double[]){ 1, 0 }, 2));
    const nde_var m2 = nde_jvp_of(g, momentum, v, nde_constants(g, (const double[]){ 0, 1 }, 2));
    const nde_var a = nde_cut(g, m1, 0, 1), b = nde_cut(g, m2, 0, 1), c = nde_cut(g, m2, 1, 1), minus_b = nde_neg(g, b);
    const nde_var determinant = nde_sub(g, nde_mul(g, a, c), nde_square(g, b));
    return nde_div(g, nde_matvec(g, nde_concat(g, (nde_var[]){ c, minus_b, minus_b, a }, 4), force), determinant);
}

/* With one output (q, v) -> L - |v|^2, whose masses are positive from the start; with two (q, v) -> dv/dt. */
static nde_program *build(const size_t *width, size_t np) {
    const bool plain = width[3] == 2;
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = DIM, .np = np), &g), NULL);
    const nde_var q = nde_y(g, 0, 2), v = nde_y(g, 2, 2);
    nde_var f = nde_concat(g, (nde_var[]){ nde_sin(g, q), nde_cos(g, q), v }, 3);
    for (size_t k = 0, first = 0; k < 3; first += (width[k] + 1)*width[k + 1], k++)
        f = nde_dense(g, k == 2 ? NDE_IDENTITY : plain ? NDE_TANH : NDE_SOFTPLUS, first, width[k + 1], f);
    if (!plain) f = accelerate(g, nde_add(g, nde_dot(g, v, v), f), q, v);
    need(nde_program_finish(g, nde_concat(g, (nde_var[]){ v, f }, 2)), NULL);
    return g;
}

/* What a field makes of starts that it has not seen; the energies of the first one; errors of the energy, of all. */
typedef struct forecast {
    trajectories to;
    double energy[SHOWN], rms, largest;
} forecast;

static forecast foretell(const nde_field *drift, const double *z, uint64_t seed) {
    double y0[DIM*STARTS];
    begin(seed + 1000, STARTS, y0);
    forecast it = { .to = follow(drift, z, STARTS, y0, SHOWN, ahead, 1e-9) };
    for (size_t i = 0; i < SHOWN*STARTS; i++) {
        const size_t k = i/STARTS, b = i%STARTS;
        const double here = energy(it.to.y + k*DIM*STARTS + b, STARTS), off = fabs(here - energy(y0 + b, STARTS));
        if (b == 0) it.energy[k] = here;
        it.rms = hypot(it.rms, off/sqrt(SHOWN*STARTS)), it.largest = fmax(it.largest, off);
    }
    return it;
}

/* A network of so many outputs, from its making to its row of the table. */
static forecast study(size_t outputs, uint64_t seed, const trajectories *data) {
    static double z[NP + DIM*N];
    const size_t width[] = { 6, WIDTH, WIDTH, outputs };
    const nde_mlp shape = NDE_INIT(nde_mlp, .layers = 3, .width = width);
    nde_program *program = build(width, nde_field_mlp(&shape).np);
    const nde_field drift = nde_field_program(program);
    need(nde_mlp_init(&shape, NDE_GLOROT_UNIFORM, seed, z), NULL);
    const double loss = fit(&drift, data, 1, 1000, 0.02, z);
    const forecast it = foretell(&drift, z, seed);
    printf("%-10s %10zu %10.6f %16.5f %10.5f\n", outputs == 1 ? "Lagrangian" : "plain", drift.np, loss, it.rms, it.largest);
    nde_program_destroy(program);
    return it;
}

static void draw(plot_picture *to, const forecast *all) {
    static const plot_look look[] = { { "plain", PLOT_ORANGE, NULL, 0, false }, { "Lagrangian", PLOT_BLUE, NULL, 0, false },
                                      { "true", "#333333", "6 4", 0, false } };
    const double level = all[2].energy[0];
    double time[SHOWN];
    for (size_t k = 0; k < SHOWN; k++) time[k] = ahead*(double)k/(SHOWN - 1);
    plot_panel(to, 0, 0, 480, 360, "the first 15 units", (plot_axis){ "time", 0, 15, 0 }, (plot_axis){ "q2", -3, 3, 0 });
    for (int k = 0; k < 3; k++) plot_line(to, look[k], SHOWN*15/100, time, 1, all[k].to.y + STARTS, DIM*STARTS);
    plot_panel(to, 490, 0, 540, 360, "energy", (plot_axis){ "time", 0, ahead, 0 },
               (plot_axis){ "E", level - 0.5, level + 0.5, 0 });
    for (int k = 0; k < 3; k++) plot_line(to, look[k], SHOWN, time, 1, all[k].energy, 1);
}

int main(int argc, char **argv) {
    const char *file = argc > 2 ? argv[2] : "lnn.svg";
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    if (argc > 3 || !seed) return fprintf(stderr, "usage: lnn [SEED [PICTURE.svg]]\n"), EXIT_FAILURE;
    plot_picture to;
    if (plot_open(&to, file, 1030, 360)) {
        double y0[DIM*N];
        nde_program *program;
        need(nde_program_parse(pendulums, NULL, &program), NULL);
        const nde_field truth = nde_field_program(program);
        begin(seed, N, y0);
        const trajectories data = follow(&truth, NULL, N, y0, TIMES, duration, 1e-9);
        for (size_t i = 0; i < TIMES*DIM*N; i++) data.y[i] += noise*nde_normal(seed, 129, 0, i, 0);
        printf("%-10s %10s %10s %16s %10s\n", "network", "parameters", "loss", "energy off: RMS", "largest");
        const forecast all[] = { study(2, seed, &data), study(1, seed, &data), foretell(&truth, NULL, seed) };
        printf("Lagrangian/plain %32.4f %10.4f\n", all[1].rms/all[0].rms, all[1].largest/all[0].largest);
        draw(&to, all);
        for (int k = 0; k < 3; k++) free(all[k].to.y);
        free(data.y);
        nde_program_destroy(program);
    }
    if (!plot_close(&to)) return fprintf(stderr, "lnn: cannot write %s\n", file), EXIT_FAILURE;
    printf("picture: %s\n", file);
    return EXIT_SUCCESS;
}
