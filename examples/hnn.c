/* SPDX-License-Identifier: MIT
 * hnn - networks learn the Hamiltonian of a pendulum and of a planet, or their slopes, from noisy data: which keep the energy?
 *   hnn [SEED [PICTURE.svg]]    SEED: of the data and of the networks, > 0; 1
 * After: S. Greydanus, M. Dzamba, J. Yosinski, Hamiltonian neural networks, NeurIPS (2019), which learns from slopes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fit.h"
#include "plot.h"

enum { N = 64, TIMES = 30, STARTS = 6, SHOWN = 1001 }; /* trajectories that are learned from, their times; that are foretold */
enum { DIM = 4, WIDTH = 32, NP = (DIM + 1)*WIDTH + (WIDTH + 1)*(WIDTH + DIM) }; /* at most */
static const double pi = 3.141592653589793, duration = 2.9; /* of the data */
static const double period = 7.858; /* of the pendulum's longest swing: 2 pi/agm(1, cos(1.8/2)) */

/* What has as many positions as momenta. */
typedef struct body {
    const char *name, *text;
    size_t dim, width;
    int iterations;
    double noise, time, view;                           /* time that is foretold; half a side of the picture */
    void (*begin)(uint64_t seed, size_t n, double *y0); /* seed 0: in the order in which they are foretold */
    double (*energy)(const double *y, size_t n);
} body;

static void begin_pendulum(uint64_t seed, size_t n, double *y0) {
    for (size_t i = 0; i < 2*n; i++)
        y0[i] = seed ? (i < n ? 4 : 1)*(nde_uniform(seed, 128, i, 0, 0) - 0.5) : i < n ? 0.3*(double)(i + 1) : 0;
}
static double energy_pendulum(const double *y, size_t n) { return y[n]*y[n]/2 - cos(y[0]); }

/* Nearest to the sun or farthest from it, where it would go round in a circle with 1/1.15 to 1/0.85 times its speed. */
static void begin_planet(uint64_t seed, size_t n, double *y0) {
    for (size_t b = 0; b < n; b++) {
        const double u = ((double)b + 2)/((double)n + 3), r = 0.8 + 0.4*(seed ? nde_uniform(seed, 128, b, 0, 0) : u);
        const double v = (0.85 + 0.3*(seed ? nde_uniform(seed, 128, b, 1, 0) : 1 - u))/sqrt(r);
        const double angle = seed ? 2*pi*nde_uniform(seed, 128, b, 2, 0) : 0;
        y0[b] = r*cos(angle), y0[n + b] = r*sin(angle), y0[2*n + b] = -v*sin(angle), y0[3*n + b] = v*cos(angle);
    }
}
static double energy_planet(const double *y, size_t n) {
    return (y[2*n]*y[2*n] + y[3*n]*y[3*n])/2 - 1/hypot(y[0], y[n]);
}

static const body bodies[] = {
    { "pendulum", "state q, p; dq = p; dp = -sin(q)", 2, 24, 700, 0.1, 20*period, 2.2, begin_pendulum, energy_pendulum },
    { "planet", "state q[2], p[2]; r2 = dot(q, q); dq = p; dp = -q/(r2*sqrt(r2))", 4, WIDTH, 1500, 0.01, 5*2*pi, 1.7,
      begin_planet, energy_planet },
};
enum { BODIES = sizeof bodies/sizeof *bodies };

/* What a field makes of the starts; the energies of the last one; errors of the energy, of all. */
typedef struct forecast {
    trajectories to;
    double energy[SHOWN], rms, largest;
} forecast;

/* With one output y = (q, p) -> H, and dq/dt = dH/dp, dp/dt = -dH/dq; else y -> dy/dt. */
static nde_program *build(const size_t *width, size_t np) {
    const size_t dim = width[0], half = dim/2;
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = dim, .np = np), &g), NULL);
    const nde_var y = nde_y(g, 0, dim);
    nde_var f = y;
    for (size_t k = 0, first = 0; k < 3; first += (width[k] + 1)*width[k + 1], k++)
        f = nde_dense(g, k < 2 ? NDE_TANH : NDE_IDENTITY, first, width[k + 1], f);
    if (width[3] == 1) {
        const nde_var slope = nde_vjp_of(g, f, y, nde_constant(g, 1));
        f = nde_concat(g, (nde_var[]){ nde_cut(g, slope, half, half), nde_neg(g, nde_cut(g, slope, 0, half)) }, 2);
    }
    need(nde_program_finish(g, f), NULL);
    return g;
}

static forecast foretell(const body *of, const nde_field *drift, const double *z) {
    double y0[DIM*STARTS];
    of->begin(0, STARTS, y0);
    forecast it = { .to = follow(drift, z, STARTS, y0, SHOWN, of->time, 1e-9) };
    for (size_t i = 0; i < SHOWN*STARTS; i++) {
        const size_t k = i/STARTS, b = i%STARTS;
        it.energy[k] = of->energy(it.to.y + k*of->dim*STARTS + b, STARTS);
        const double off = fabs(it.energy[k] - of->energy(y0 + b, STARTS));
        it.rms = hypot(it.rms, off/sqrt(SHOWN*STARTS)), it.largest = fmax(it.largest, off);
    }
    return it;
}

/* A network of so many outputs, from its making to its row of the table. */
static forecast study(const body *of, size_t outputs, uint64_t seed, const trajectories *data) {
    static double z[NP + DIM*N];
    const size_t width[] = { of->dim, of->width, of->width, outputs };
    const nde_mlp shape = NDE_INIT(nde_mlp, .layers = 3, .width = width);
    nde_program *program = build(width, nde_field_mlp(&shape).np);
    const nde_field drift = nde_field_program(program);
    need(nde_mlp_init(&shape, NDE_GLOROT_UNIFORM, seed, z), NULL);
    const double loss = fit(&drift, data, 1, of->iterations, 0.03, z);
    const forecast it = foretell(of, &drift, z);
    printf("%-8s %-12s %10zu %10.6f %16.5f %10.5f\n", of->name, outputs == 1 ? "Hamiltonian" : "plain", drift.np, loss, it.rms,
           it.largest);
    nde_program_destroy(program);
    return it;
}

static void draw(plot_picture *to, double top, const body *of, const forecast *all) {
    static const plot_look look[] = { { "plain", PLOT_ORANGE, NULL, 0, false }, { "Hamiltonian", PLOT_BLUE, NULL, 0, false },
                                      { "true", "#333333", "6 4", 0, false } };
    const size_t row = of->dim*STARTS;
    const double view = of->view, energy = all[2].energy[0];
    double time[SHOWN];
    for (size_t k = 0; k < SHOWN; k++) time[k] = of->time*(double)k/(SHOWN - 1);
    plot_panel(to, 0, top, 420, 400, of->name, (plot_axis){ of->dim == 2 ? "q" : "q1", -view, view, 0 },
               (plot_axis){ of->dim == 2 ? "p" : "q2", -view, view, 0 });
    for (int k = 0; k < 3; k++) plot_line(to, look[k], SHOWN, all[k].to.y + STARTS - 1, row, all[k].to.y + 2*STARTS - 1, row);
    plot_panel(to, 430, top, 600, 400, "energy", (plot_axis){ "time", 0, of->time, 0 },
               (plot_axis){ "H", energy - 0.9, energy + 0.6, 0 });
    for (int k = 0; k < 3; k++) plot_line(to, look[k], SHOWN, time, 1, all[k].energy, 1);
}

static void compare(const body *of, uint64_t seed, plot_picture *to, double top) {
    double y0[DIM*N];
    nde_program *program;
    need(nde_program_parse(of->text, NULL, &program), NULL);
    const nde_field truth = nde_field_program(program);
    of->begin(seed, N, y0);
    const trajectories data = follow(&truth, NULL, N, y0, TIMES, duration, 1e-9);
    for (size_t i = 0; i < TIMES*of->dim*N; i++) data.y[i] += of->noise*nde_normal(seed, 129, 0, i, 0);
    const forecast all[] = { study(of, of->dim, seed, &data), study(of, 1, seed, &data), foretell(of, &truth, NULL) };
    printf("%-8s Hamiltonian/plain %33.4f %10.4f\n", of->name, all[1].rms/all[0].rms, all[1].largest/all[0].largest);
    draw(to, top, of, all);
    for (int k = 0; k < 3; k++) free(all[k].to.y);
    free(data.y);
    nde_program_destroy(program);
}

int main(int argc, char **argv) {
    const char *file = argc > 2 ? argv[2] : "hnn.svg";
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    if (argc > 3 || !seed) return fprintf(stderr, "usage: hnn [SEED [PICTURE.svg]]\n"), EXIT_FAILURE;
    plot_picture to;
    if (plot_open(&to, file, 1030, 400*BODIES)) {
        printf("%-8s %-12s %10s %10s %16s %10s\n", "body", "network", "parameters", "loss", "energy off: RMS", "largest");
        for (int k = 0; k < BODIES; k++) compare(&bodies[k], seed, &to, 400*k);
    }
    if (!plot_close(&to)) return fprintf(stderr, "hnn: cannot write %s\n", file), EXIT_FAILURE;
    printf("picture: %s\n", file);
    return EXIT_SUCCESS;
}
