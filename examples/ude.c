/* SPDX-License-Identifier: MIT
 * ude - Lotka-Volterra with a network in the place of its interactions, which finds them again where they are known.
 *   ude [SEED [PICTURE.svg]]    SEED: of the data and of the network, > 0; 1
 * After: C. Rackauckas et al., Universal differential equations for scientific machine learning, arXiv:2001.04385 (2020). */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "interactions.h"
#include "plot.h"

enum { N = 6, TIMES = 46, PIECE = 10, STRIDE = 6, PIECES = N*((TIMES - PIECE)/STRIDE + 1), SIDE = 40, SHOWN = 181 };
static const double alpha = 1.3, beta = 0.9, gain = 0.8, delta = 1.8, noise = 0.01;

/* Constant along the orbits of Lotka-Volterra, least at rest. */
static double orbit(double x, double y) { return gain*x - delta*log(x) + beta*y - alpha*log(y); }

/* By how much the network's interactions are off between the innermost and the outermost orbit: root mean square, over that of
 * the interactions; and at most, over the interaction there. */
static void recover(const double *p, const double *y0, plot_picture *to) {
    static double y[2][SIDE*SIDE], f[2][SIDE*SIDE], t[SIDE*SIDE], product[SIDE*SIDE];
    size_t n = 0;
    double off = 0, size = 0, worst = 0;
    for (int i = 0; i < SIDE*SIDE; i++) {
        const double at_x = 6*(i/SIDE + 0.5)/SIDE, at_y = 4*(i%SIDE + 0.5)/SIDE, level = orbit(at_x, at_y);
        if (level < orbit(y0[0], y0[N]) && level > orbit(y0[N - 1], y0[2*N - 1])) y[0][n] = at_x, y[1][n++] = at_y;
    }
    nde_program *network = build_interactions(NULL, false);
    const nde_field field = nde_field_program(network);
    need(nde_field_value(&field, &(nde_site){ .n = n, .ld = SIDE*SIDE, .t = t, .p = p }, y[0], f[0]), NULL);
    for (size_t i = 0; i < 2*n; i++) {
        const size_t k = i/n, b = i%n;
        product[b] = y[0][b]*y[1][b];
        const double truth = (k ? gain : beta)*product[b], error = f[k][b] - truth;
        off += error*error, size += truth*truth, worst = fmax(worst, fabs(error)/truth);
    }
    printf("interactions at %zu places: %.4f off (RMS), %.4f at most\n", n, sqrt(off/size), worst);
    plot_panel(to, 400, 0, 400, 420, "interactions", (plot_axis){ "x y", 0, 14, 0 }, (plot_axis){ "of the network", 0, 12, 0 });
    plot_points(to, (plot_look){ "prey", PLOT_GREEN, NULL, 2, false }, n, product, 1, f[0], 1);
    plot_points(to, (plot_look){ "hunters", PLOT_RED, NULL, 2, false }, n, product, 1, f[1], 1);
    nde_program_destroy(network);
}

static void find_again(uint64_t seed, plot_picture *to) {
    static double z[INTERACTIONS_NP + 2*PIECES];
    double y0[2*N];
    nde_program *truth, *hybrid = build_interactions((const double[]){ alpha, -delta }, false);
    need(nde_program_parse("state x, y; dx = 1.3*x - 0.9*x*y; dy = 0.8*x*y - 1.8*y", NULL, &truth), NULL);
    const nde_field exact = nde_field_program(truth), drift = nde_field_program(hybrid);
    for (size_t b = 0; b < N; b++) y0[b] = delta/gain*(0.3 + 0.1*(double)b), y0[N + b] = alpha/beta;
    const trajectories data = follow(&exact, NULL, N, y0, TIMES, 4.5, 1e-9);
    for (size_t i = 0; i < TIMES*2*N; i++) data.y[i] += noise*nde_normal(seed, 129, 0, i, 0);
    const trajectories learned = cut(&data, PIECE, STRIDE);
    begin_interactions(seed, z);
    const double loss = fit(&drift, &learned, 1, 15000, 0.03, z);
    printf("data with a noise of %g: %.4f off (RMS)\n", noise, sqrt(2*loss));
    const trajectories model = follow(&drift, z, N, y0, SHOWN, 4.5, 1e-9);
    plot_panel(to, 0, 0, 400, 420, "known interactions", (plot_axis){ "x", 0, 6, 0 }, (plot_axis){ "y", 0, 4, 0 });
    for (size_t b = 0; b < N; b++) {
        const plot_look points = { b ? NULL : "data", PLOT_GREY, NULL, 3, false };
        const plot_look line = { b ? NULL : "hybrid", PLOT_BLUE, NULL, 0, false };
        plot_points(to, points, TIMES, data.y + b, 2*N, data.y + N + b, 2*N);
        plot_line(to, line, SHOWN, model.y + b, 2*N, model.y + N + b, 2*N);
    }
    recover(z, y0, to);
    free(data.y), free(learned.y), free(model.y);
    nde_program_destroy(truth), nde_program_destroy(hybrid);
}

int main(int argc, char **argv) {
    long seed = 1;
    const char *file = command_line(argc, argv, "ude", 1, &(argument){ "SEED", &seed, 1, LONG_MAX });
    plot_picture to;
    if (plot_open(&to, file, 800, 420)) find_again((uint64_t)seed, &to);
    return plot_finish(&to, "ude", file);
}
