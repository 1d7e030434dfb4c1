/* SPDX-License-Identifier: MIT
 * ou - the Ornstein-Uhlenbeck process dy = a (m - y) dt + s dW from y0: moments of 20000 paths beside theory, a histogram
 * of the ends beside their normal law, and a picture: some paths, the mean, bands of the quantiles.
 *   ou [PATHS [PICTURE.svg]]
 * G. E. Uhlenbeck, L. S. Ornstein, On the theory of the Brownian motion, Phys. Rev. 36 (1930) 823-841. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "nde.h"
#include "plot.h"

enum { SAVES = 81, LEVELS = 4, EDGES = 7, SHOWN = 5, STEPS = 320 };
static const double a = 1.5, m = 1, s = 0.6, start = -1, span = 4;

static int drift(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    return dy[0] = a*(m - y[0]), NDE_FIELD_OK;
}
static int diffusion(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)y, (void)p, (void)ctx;
    return dy[0] = s, NDE_FIELD_OK;
}

static double mean_at(double t) { return m + (start - m)*exp(-a*t); }
static double variance_at(double t) { return s*s*(1 - exp(-2*a*t))/(2*a); }
static double normal_cdf(double x) { return 0.5*erfc(-x/sqrt(2)); }

static void tell(const nde_solution *y, const double *edges) {
    printf("   t      mean  theory   error    variance  theory   error\n");
    for (size_t row = 20; row < SAVES; row += 20)
        printf("%4g  %8.5f %7.5f %7.5f    %8.5f %7.5f %7.5f\n", y->t[row], y->mean[row], mean_at(y->t[row]), y->mean_error[row],
               y->variance[row], variance_at(y->t[row]), y->variance[row]*sqrt(2/((double)y->n - 1)));
    const size_t last = SAVES - 1;
    printf("of %zu ends, below, expected:\n", y->n);
    for (size_t bin = 0, sum = 0; bin < EDGES; bin++) {
        sum += (size_t)y->histogram[last*y->n_bins + bin];
        printf("%5.2f  %7zu %10.1f\n", edges[bin], sum,
               (double)y->n*normal_cdf((edges[bin] - mean_at(span))/sqrt(variance_at(span))));
    }
}

static int draw(const char *file, const nde_solution *y) {
    plot_picture picture;
    double theory[SAVES], band[LEVELS][SAVES];
    for (size_t row = 0; row < SAVES; row++) {
        theory[row] = mean_at(y->t[row]);
        for (size_t l = 0; l < LEVELS; l++) band[l][row] = y->quantile[row*LEVELS + l];
    }
    plot_open(&picture, file, 900, 480);
    plot_panel(&picture, 0, 0, 900, 480, "Ornstein-Uhlenbeck paths", (plot_axis){ "t", 0, span, false },
               (plot_axis){ "y", -2, 2.2, false });
    plot_band(&picture, (plot_look){ .name = "98 %", .color = PLOT_SKY }, SAVES, y->t, band[0], band[3]);
    plot_band(&picture, (plot_look){ .name = "50 %", .color = PLOT_BLUE }, SAVES, y->t, band[1], band[2]);
    for (size_t b = 0; b < SHOWN && b < y->n; b++)
        plot_line(&picture, (plot_look){ .color = PLOT_GREY, .width = 0.8 }, SAVES, y->t, 1, y->y + b, y->n);
    plot_line(&picture, (plot_look){ .name = "mean, theory", .color = PLOT_RED, .dash = "6 4" }, SAVES, y->t, 1, theory, 1);
    return plot_finish(&picture, "ou", file);
}

int main(int argc, char **argv) {
    long paths = 20000;
    const char *file = command_line(argc, argv, "ou", 1, &(argument){ "PATHS", &paths, 2, 10000000 });
    static const double levels[LEVELS] = { 0.01, 0.25, 0.75, 0.99 }, edges[EDGES] = { 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75 };
    double times[SAVES], *y0 = malloc((size_t)paths*sizeof *y0);
    if (!y0) return fprintf(stderr, "ou: out of memory\n"), EXIT_FAILURE;
    for (long b = 0; b < paths; b++) y0[b] = start;
    for (size_t row = 0; row < SAVES; row++) times[row] = span*(double)row/(SAVES - 1);

    const nde_pointwise of_drift = NDE_INIT(nde_pointwise, .f = drift), of_diffusion = NDE_INIT(nde_pointwise, .f = diffusion);
    const nde_field f = nde_field_pointwise(&of_drift, 1, 0), g = nde_field_pointwise(&of_diffusion, 1, 0);
    const nde_noise noise = NDE_INIT(nde_noise, .seed = 1930);
    const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &noise, .kind = NDE_NOISE_DIAGONAL);
    const nde_reduction reduction = NDE_INIT(nde_reduction, .levels = levels, .n_levels = LEVELS, .edges = edges,
                                             .n_edges = EDGES);
    const nde_problem problem = NDE_INIT(nde_problem, .n = (size_t)paths, .y0 = y0, .t1 = span, .drift = &f, .terms = &term,
                                         .n_terms = 1, .calculus = NDE_STRATONOVICH, .reduction = &reduction);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_HEUN, .steps = STEPS, .save_t = times, .n_save = SAVES);
    nde_solution y = { 0 };
    const nde_status status = nde_solve(&problem, &options, &y);
    if (status) fprintf(stderr, "ou: %s\n", y.error ? y.error : nde_error());
    else tell(&y, edges);
    const int drawn = status ? EXIT_FAILURE : draw(file, &y);
    nde_solution_free(&y);
    free(y0);
    return drawn;
}
