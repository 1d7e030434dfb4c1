/* SPDX-License-Identifier: MIT
 * hnn - networks learn the Hamiltonian of a pendulum and of a planet, or their slopes, from noisy data: which keep the energy?
 *   hnn [SEED [PICTURE.svg]]    SEED: of the data and of the networks, > 0; 1
 * After: S. Greydanus, M. Dzamba, J. Yosinski, Hamiltonian neural networks, NeurIPS (2019), which learns from slopes. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "command.h"
#include "conserved.h"

static const double pi = 3.141592653589793;

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

static const struct body {
    conserved of;
    design both[2];
    double view; /* half a side of the picture */
} bodies[] = {
    { { "pendulum", "state q, p; dq = p; dp = -sin(q)", 2, 0.1, 20*7.858 /* longest swings: 2 pi/agm(1, cos(1.8/2)) */,
        700, 0.03, begin_pendulum, energy_pendulum },
      { { "plain", { 2, 24, 24, 2 }, build }, { "Hamiltonian", { 2, 24, 24, 1 }, build } }, 2.2 },
    { { "planet", "state q[2], p[2]; r2 = dot(q, q); dq = p; dp = -q/(r2*sqrt(r2))", 4, 0.01, 10*3.141592653589793 /* rounds */,
        1500, 0.03, begin_planet, energy_planet },
      { { "plain", { 4, 32, 32, 4 }, build }, { "Hamiltonian", { 4, 32, 32, 1 }, build } }, 1.7 },
};

static void study(const struct body *b, uint64_t seed, plot_picture *to, double top) {
    static forecast all[3];
    const size_t dim = b->of.dim, last = STARTS - 1;
    compare_designs(&b->of, b->both, seed, all);
    const double view = b->view, energy = all[2].energy[0], *x[3], *y[3];
    for (int k = 0; k < 3; k++) x[k] = all[k].to.y + last, y[k] = x[k] + STARTS;
    plot_panel(to, 0, top, 420, 400, b->of.name, (plot_axis){ dim == 2 ? "q" : "q1", -view, view, 0 },
               (plot_axis){ dim == 2 ? "p" : "q2", -view, view, 0 });
    draw_forecasts(to, b->both, SHOWN, x, dim*STARTS, y, dim*STARTS);
    plot_panel(to, 430, top, 600, 400, "energy", (plot_axis){ "time", 0, b->of.ahead, 0 },
               (plot_axis){ "H", energy - 0.9, energy + 0.6, 0 });
    draw_energies(to, &b->of, b->both, all);
    for (int k = 0; k < 3; k++) free(all[k].to.y);
}

int main(int argc, char **argv) {
    long seed = 1;
    const char *file = command_line(argc, argv, "hnn", 1, &(argument){ "SEED", &seed, 1, LONG_MAX });
    plot_picture to;
    const bool open = plot_open(&to, file, 1030, 800);
    for (int k = 0; open && k < 2; k++) study(&bodies[k], (uint64_t)seed, &to, 400*k);
    return plot_finish(&to, "hnn", file);
}
