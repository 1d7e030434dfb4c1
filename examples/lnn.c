/* SPDX-License-Identifier: MIT
 * lnn - networks learn the Lagrangian of a double pendulum, or its accelerations, from noisy data: which keeps the energy?
 *   lnn [SEED [PICTURE.svg]]    SEED: of the data and of the networks, > 0; 1
 * After: M. Cranmer, S. Greydanus, S. Hoyer, P. Battaglia, D. Spergel, S. Ho, Lagrangian neural networks, arXiv:2003.04630
 * (2020), which learns from accelerations. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "command.h"
#include "conserved.h"

static const char *const pendulums = /* masses, lengths and gravity are 1 */
    "state q1, q2, v1, v2; c = cos(q1 - q2); s = sin(q1 - q2); r1 = -v2*v2*s - 2*sin(q1); r2 = v1*v1*s - sin(q2)\n"
    "dq1 = v1; dq2 = v2; dv1 = (r1 - c*r2)/(2 - c*c); dv2 = (2*r2 - c*r1)/(2 - c*c)";

static double energy(const double *y, size_t n) {
    const double q1 = y[0], q2 = y[n], v1 = y[2*n], v2 = y[3*n];
    return v1*v1 + v2*v2/2 + v1*v2*cos(q1 - q2) - 2*cos(q1) - cos(q2);
}

static void begin(uint64_t seed, size_t n, double *y0) {
    for (size_t i = 0; i < 4*n; i++) y0[i] = (i < 2*n ? 2 : 1)*(nde_uniform(seed, 128, i, 0, 0) - 0.5);
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
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = 4, .np = np), &g), NULL);
    const nde_var q = nde_y(g, 0, 2), v = nde_y(g, 2, 2);
    nde_var f = nde_concat(g, (nde_var[]){ nde_sin(g, q), nde_cos(g, q), v }, 3);
    for (size_t k = 0, first = 0; k < 3; first += (width[k] + 1)*width[k + 1], k++)
        f = nde_dense(g, k == 2 ? NDE_IDENTITY : plain ? NDE_TANH : NDE_SOFTPLUS, first, width[k + 1], f);
    if (!plain) f = accelerate(g, nde_add(g, nde_dot(g, v, v), f), q, v);
    need(nde_program_finish(g, nde_concat(g, (nde_var[]){ v, f }, 2)), NULL);
    return g;
}

int main(int argc, char **argv) {
    static const conserved pendulum = { "double pendulum", pendulums, 4, 0.01, 100, 1000, 0.02, begin, energy };
    static const design both[] = { { "plain", { 6, 32, 32, 2 }, build },
                                   { "Lagrangian", { 6, 32, 32, 1 }, build } };
    static forecast all[3];
    long seed = 1;
    const char *file = command_line(argc, argv, "lnn", 1, &(argument){ "SEED", &seed, 1, LONG_MAX });
    plot_picture to;
    if (plot_open(&to, file, 1030, 360)) {
        compare_designs(&pendulum, both, (uint64_t)seed, all);
        const double level = all[2].energy[0], *q2[3];
        double time[SHOWN];
        for (int k = 0; k < SHOWN; k++) time[k] = pendulum.ahead*k/(SHOWN - 1);
        for (int k = 0; k < 3; k++) q2[k] = all[k].to.y + 2*STARTS - 1;
        plot_panel(&to, 0, 0, 480, 360, "the first 15 units", (plot_axis){ "time", 0, 15, 0 }, (plot_axis){ "q2", -3, 3, 0 });
        draw_forecasts(&to, both, SHOWN*15/100, (const double *[]){ time, time, time }, 1, q2, 4*STARTS);
        plot_panel(&to, 490, 0, 540, 360, "energy", (plot_axis){ "time", 0, pendulum.ahead, 0 },
                   (plot_axis){ "E", level - 0.5, level + 0.5, 0 });
        draw_energies(&to, &pendulum, both, all);
        for (int k = 0; k < 3; k++) free(all[k].to.y);
    }
    return plot_finish(&to, "lnn", file);
}
