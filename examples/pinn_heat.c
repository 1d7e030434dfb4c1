/* SPDX-License-Identifier: MIT
 * pinn_heat - a network solves the heat equation u_t = u_xx/10 on a rod with cold ends, beside the method of lines.
 *   pinn_heat [SEED [PICTURE.svg]]    SEED: of the network, > 0; 1
 * After: I. Lagaris, A. Likas, D. Fotiadis, IEEE Trans. Neural Netw. 9 (1998); M. Raissi, P. Perdikaris, G. Karniadakis,
 * J. Comput. Phys. 378 (2019). */
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "command.h"
#include "fit.h"
#include "heat.h"
#include "plot.h"

enum { WIDTH = 10, NQ = (WIDTH + 5)*WIDTH + 1, SIDE = 28, POINTS = SIDE*SIDE, ITERATIONS = 150 };
static const double pi = 3.14159265358979323846;
static double trail[ITERATIONS + 1]; /* mean square of the residuals */

/* u is right at t = 0 and at the ends, whatever the network is. Its weights are rows of q, a point's own: one vjp then
 * gives the derivatives of all residuals. */
static const char network_text[] =
    "state x, t; own w1[20], b1[10], w2[100], b2[10], w3[10], b3\n"
    "network = matvec(w3, tanh(matvec(w2, tanh(matvec(w1, [2*x - 1, t]) + b1)) + b2)) + b3\n"
    "u = sin(pi*x) + sin(3*pi*x)/2 + t*x*(1 - x)*network\n"
    "out = [jet(u, t, 1, 1) - 0.1*2*jet(u, x, 1, 2), u]";

/* The network at n points y [2][n]: out [2][n] and, unless NULL, the residuals' jacobian [n][NQ]. */
static void evaluate(const nde_field *f, size_t n, const double *y, const double *weight, double *out, double *jacobian) {
    static double q[NQ*ALL], slope[NQ*ALL], seed[2*ALL], t[ALL];
    const nde_site at = { .n = n, .ld = n, .t = t, .q = q };
    for (size_t i = 0; i < n*NQ; i++) q[i] = weight[i/n], slope[i] = 0;
    for (size_t b = 0; b < 2*n; b++) seed[b] = b < n; /* of the residuals; none of u */
    need(jacobian ? nde_field_vjp(f, &at, y, seed, out, &(nde_cotangent){ .q = slope }) : nde_field_value(f, &at, y, out),
         NULL);
    for (size_t i = 0; jacobian && i < n*NQ; i++) jacobian[i%n*NQ + i/n] = slope[i];
}

static int residuals(void *ctx, size_t nq, const double *weight, size_t m, double *r, double *jacobian) {
    static double y[2*POINTS], out[2*POINTS];
    (void)nq;
    for (size_t i = 0; i < m; i++) { /* more of them where the ends are */
        y[i] = (1 - cos(pi*((double)(i%SIDE) + 0.5)/SIDE))/2;
        y[m + i] = (1 - cos(pi*((double)(i/SIDE) + 0.5)/SIDE))/2;
    }
    evaluate(ctx, m, y, weight, out, jacobian);
    for (size_t i = 0; i < m; i++) r[i] = out[i];
    return 0;
}

static int note(void *ctx, int64_t iteration, double value, const double *weight) {
    (void)ctx, (void)weight;
    for (int64_t i = iteration; i <= ITERATIONS; i++) trail[i] = 2*value/POINTS;
    return 0;
}

int main(int argc, char **argv) {
    static const char *const color[] = { PLOT_BLUE, PLOT_GREEN, PLOT_ORANGE, PLOT_RED };
    static double weight[NQ], y[2*ALL], lines[ALL], network[2*ALL], exact[ALL];
    long seed = 1;
    const char *file = command_line(argc, argv, "pinn_heat", 1, &(argument){ "SEED", &seed, 1, LONG_MAX });
    nde_program *program;
    need(nde_program_parse(network_text, NULL, &program), NULL);
    nde_field field = nde_field_program(program);
    nde_fit fit;
    const size_t width[] = { 2, WIDTH, WIDTH, 1 };
    need(nde_mlp_init(&NDE_INIT(nde_mlp, .layers = 3, .width = width), NDE_GLOROT_NORMAL, (uint64_t)seed, weight), NULL);
    const nde_least_squares fitting = NDE_INIT(nde_least_squares, .m = POINTS, .residual = residuals, .progress = note,
                                               .ctx = &field, .iterations = ITERATIONS);
    const nde_status status = nde_least_squares_fit(&fitting, NQ, weight, NULL, &fit);
    if (status != NDE_UNFINISHED) need(status, NULL);
    printf("network: %d weights, %d points, %lld iterations\n", NQ, POINTS, (long long)fit.iterations);
    solve_lines(y, lines);
    evaluate(&field, ALL, y, weight, network, NULL);
    for (size_t i = 0; i < ALL; i++) exact[i] = temperature(y[i], y[ALL + i]);
    printf("%-36s %9s %9s\n", "difference", "largest", "RMS");
    compare_temperatures("method of lines - exact solution", lines, exact);
    compare_temperatures("network - exact solution", network + ALL, exact);
    compare_temperatures("network - method of lines", network + ALL, lines);
    nde_program_destroy(program);
    plot_picture to;
    plot_open(&to, file, 1030, 400);
    plot_panel(&to, 0, 0, 600, 400, "Temperature at t = 0, 0.1, 0.4 and 1", (plot_axis){ "x", 0, 1, 0 },
               (plot_axis){ "u", 0, 1.2, 0 });
    for (size_t k = 0; k < 4; k++) {
        const size_t row = (size_t[]){ 0, 1, 4, 10 }[k]*LINES;
        plot_line(&to, (plot_look){ k ? NULL : "method of lines", color[k], NULL, 0, false }, LINES, y, 1, lines + row, 1);
        plot_points(&to, (plot_look){ k ? NULL : "network", color[k], NULL, 0, true }, LINES/20, y + 9, 20,
                    network + ALL + row + 9, 20);
    }
    double iteration[ITERATIONS + 1];
    for (int i = 0; i <= ITERATIONS; i++) iteration[i] = i;
    plot_panel(&to, 610, 0, 420, 400, "Learning", (plot_axis){ "iteration", 0, ITERATIONS, 0 },
               (plot_axis){ "mean square of the residuals", 1e-8, 100, 1 });
    plot_line(&to, (plot_look){ NULL, PLOT_BLUE, NULL, 0, false }, (size_t)fit.iterations, iteration + 1, 1, trail + 1, 1);
    return plot_finish(&to, "pinn_heat", file);
}
