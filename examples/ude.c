/* SPDX-License-Identifier: MIT
 * ude - Lotka-Volterra with a network in the place of its interactions: where they are known, and for hares and lynxes.
 *   ude [SEED [PICTURE.svg]]    SEED: of the data and of the networks, > 0; 1
 * After: C. Rackauckas et al., Universal differential equations for scientific machine learning, arXiv:2001.04385 (2020). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fit.h"
#include "lynx_hare/table.h"
#include "plot.h"

enum { N = 6, TIMES = 46, PIECE = 10, STRIDE = 6, PIECES = N*((TIMES - PIECE)/STRIDE + 1) }; /* known */
enum { YEARS = 21, TRAINED = 17, WINDOW = 6, WINDOWS = TRAINED - WINDOW + 1, AHEAD = YEARS - WINDOWS }; /* not known */
enum { WIDTH = 10, NP = 3*WIDTH + (WIDTH + 1)*(WIDTH + 2), SIDE = 40, SHOWN = 20*AHEAD + 1 };
static const double alpha = 1.3, beta = 0.9, gain = 0.8, delta = 1.8, noise = 0.01;
static const size_t width[] = { 2, WIDTH, WIDTH, 2 };
static const nde_mlp shape = { .size = sizeof shape, .layers = 3, .width = width };

/* x' = rate_x x - f1(x, y), y' = rate_y y + f2(x, y), f a network; of logarithms: x' = rate_x - f1(x, y) ...; rate NULL: f. */
static nde_program *build(const double *rate, bool logarithms) {
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = 2, .np = NP), &g), NULL);
    const nde_var y = nde_y(g, 0, 2), x = logarithms ? y : nde_mul(g, nde_constant(g, 0.3), y);
    const nde_var a = nde_dense(g, NDE_TANH, 0, WIDTH, x), b = nde_dense(g, NDE_TANH, 3*WIDTH, WIDTH, a);
    nde_var f = nde_dense(g, NDE_IDENTITY, (WIDTH + 4)*WIDTH, 2, b);
    if (rate) {
        const nde_var known = nde_constants(g, rate, 2), sign = nde_constants(g, (const double[]){ -1, 1 }, 2);
        f = nde_add(g, logarithms ? known : nde_mul(g, known, y), nde_mul(g, sign, f));
    }
    need(nde_program_finish(g, f), NULL);
    return g;
}

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
    nde_program *network = build(NULL, false);
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
    static double z[NP + 2*PIECES];
    double y0[2*N];
    nde_program *truth, *hybrid = build((const double[]){ alpha, -delta }, false);
    need(nde_program_parse("state x, y; dx = 1.3*x - 0.9*x*y; dy = 0.8*x*y - 1.8*y", NULL, &truth), NULL);
    const nde_field exact = nde_field_program(truth), drift = nde_field_program(hybrid);
    for (size_t b = 0; b < N; b++) y0[b] = delta/gain*(0.3 + 0.1*(double)b), y0[N + b] = alpha/beta;
    const trajectories data = follow(&exact, NULL, N, y0, TIMES, 4.5, 1e-9);
    for (size_t i = 0; i < TIMES*2*N; i++) data.y[i] += noise*nde_normal(seed, 129, 0, i, 0);
    const trajectories learned = cut(&data, PIECE, STRIDE);
    need(nde_mlp_init(&shape, NDE_GLOROT_UNIFORM, seed, z), NULL);
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

/* Fits windows of the years that are learned from, and goes on where the last of them begins. z [np + 2 WINDOWS]. */
static trajectories study(const char *name, const nde_field *drift, const trajectories *years, double *z) {
    const trajectories learned = { .n = 1, .dim = 2, .times = TRAINED, .duration = TRAINED - 1, .y = years->y };
    const trajectories windows = cut(&learned, WINDOW, 1);
    const double loss = fit(drift, &windows, 2, 1000, 0.01, z), *last = z + drift->np + WINDOWS - 1;
    const trajectories model = follow(drift, z, 1, (const double[]){ last[0], last[WINDOWS] }, SHOWN, AHEAD, 1e-8);
    double sum = 0;
    for (size_t i = 2*TRAINED; i < 2*YEARS; i++)
        sum += pow(model.y[20*2*(i/2 - WINDOWS + 1) + i%2] - years->y[i], 2)/(2*(YEARS - TRAINED));
    printf("%-16s %10zu %20.4f %20.4f\n", name, drift->np, sqrt(2*loss), sqrt(sum));
    free(windows.y);
    return model;
}

/* In logarithms: what is between one year and the next is a matter of factors. The hybrid has the rates of the equations. */
static void learn_years(uint64_t seed, plot_picture *to) {
    static table rows;
    static double hybrid_z[NP + 2*WINDOWS];
    double logs[YEARS][2], z[4 + 2*WINDOWS] = { 0.5, 0.5, 0.5, 0.5 }, time[SHOWN];
    char message[256];
    if (!table_read(LYNX_HARE_CSV, YEARS, &rows, message, sizeof message))
        fprintf(stderr, "ude: %s\n", message), exit(EXIT_FAILURE);
    for (size_t i = 0; i < 2*YEARS; i++) logs[i/2][i%2] = log(rows.population[i/2][i%2]/20);
    const trajectories years = { .n = 1, .dim = 2, .times = YEARS, .duration = YEARS - 1, .y = logs[0] };
    nde_program *equations, *hybrid;
    need(nde_program_parse("state h, l; param a, b, c, d; dh = a - b*exp(l); dl = c*exp(h) - d", NULL, &equations), NULL);
    const nde_field known = nde_field_program(equations);
    printf("%-16s %10s %20s %20s\n", "hares and lynxes", "parameters", "RMS of five years", "of the next four");
    const trajectories old = study("Lotka-Volterra", &known, &years, z);
    hybrid = build((const double[]){ z[0], -z[3] }, true);
    const nde_field drift = nde_field_program(hybrid);
    need(nde_mlp_init(&shape, NDE_GLOROT_UNIFORM, seed, hybrid_z), NULL);
    const trajectories new = study("hybrid", &drift, &years, hybrid_z);
    for (size_t k = 0; k < SHOWN; k++) time[k] = rows.year[WINDOWS - 1] + AHEAD*(double)k/(SHOWN - 1);
    for (size_t i = 0; i < 2; i++) {
        plot_panel(to, 800, 210*(double)i, 380, 210, i ? "lynxes" : "hares", (plot_axis){ "year", 1900, 1921, 0 },
                   (plot_axis){ "log", -2, 2, 0 });
        plot_points(to, (plot_look){ i ? NULL : "data", PLOT_GREY, NULL, 4, false }, YEARS, rows.year, 1, logs[0] + i, 2);
        plot_line(to, (plot_look){ i ? NULL : "Lotka-Volterra", PLOT_ORANGE, NULL, 0, false }, SHOWN, time, 1, old.y + i, 2);
        plot_line(to, (plot_look){ i ? NULL : "hybrid", PLOT_BLUE, NULL, 0, false }, SHOWN, time, 1, new.y + i, 2);
    }
    free(old.y), free(new.y);
    nde_program_destroy(equations), nde_program_destroy(hybrid);
}

int main(int argc, char **argv) {
    const char *file = argc > 2 ? argv[2] : "ude.svg";
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    if (argc > 3 || !seed) return fprintf(stderr, "usage: ude [SEED [PICTURE.svg]]\n"), EXIT_FAILURE;
    plot_picture to;
    if (plot_open(&to, file, 1180, 420)) find_again(seed, &to), learn_years(seed, &to);
    if (!plot_close(&to)) return fprintf(stderr, "ude: cannot write %s\n", file), EXIT_FAILURE;
    printf("picture: %s\n", file);
    return EXIT_SUCCESS;
}
