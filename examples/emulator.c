/* SPDX-License-Identifier: MIT
 * emulator - two networks of three numbers learn a long step of the heat equation from pairs of states: one multiplies by
 * a band matrix, the other solves with one, a linear implicit layer. Both fit what they have seen; over many steps the
 * explicit one blows up.
 *   emulator [PICTURE.svg] */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "fit.h"
#include "plot.h"

enum { POINTS = 32, PAIRS = 24, MODES = 3, ITERATIONS = 4000, STEPS = 60 };
static const double pi = 3.14159265358979323846, spread = 2; /* diffusion times step over the square of the grid's width */

/* States with the lowest waves alone, each as large as the others on average, and what becomes of them: exact. */
static void make_pair(uint64_t seed, size_t n, size_t b, int steps, double *y) {
    for (size_t i = 0; i < POINTS; i++) {
        double sum = 0;
        for (int k = 0; k < MODES; k++) {
            const double wave = 2*pi*k/POINTS, phase = 2*pi*nde_uniform(seed, 128, b, (uint64_t)k, 1);
            sum += nde_normal(seed, 129, b, (uint64_t)k, 0)*exp(-spread*wave*wave*steps)*cos(wave*(double)i + phase);
        }
        y[i*n + b] = sum;
    }
}

/* Three numbers on a circle times y, less u where there is one. */
static nde_program *build_band(bool solved) {
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = POINTS, .np = 3, .nu = solved ? POINTS : 0), &g), NULL);
    const nde_var product = nde_convolve(g, nde_p(g, 0, 3), nde_y(g, 0, POINTS), 1);
    need(nde_program_finish(g, solved ? nde_sub(g, product, nde_u(g, 0, POINTS)) : product), NULL);
    return g;
}
static nde_program *build_loss(void) {
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = POINTS, .nq = POINTS), &g), NULL);
    need(nde_program_finish(g, nde_sum(g, nde_square(g, nde_sub(g, nde_y(g, 0, POINTS), nde_q(g, 0, POINTS))))), NULL);
    return g;
}

/* Returns the root of the mean square of what is left. */
static double learn(const nde_field *step, const nde_field *loss, double *p) {
    static double before[POINTS*PAIRS], after[POINTS*PAIRS], t[PAIRS], a[PAIRS], value[PAIRS];
    const nde_field *both[] = { loss, step };
    const nde_parts parts = NDE_INIT(nde_parts, .part = both, .n = 2);
    const nde_field model = nde_field_composition(&parts);
    const nde_site at = { .n = PAIRS, .ld = PAIRS, .t = t, .p = p, .q = after };
    double state[9], gradient[3], sum = 0;
    nde_optimiser adam = NDE_INIT(nde_optimiser, .rate = 2e-2, .state = state, .schedule = NDE_SCHEDULE_COSINE,
                                  .decay_steps = ITERATIONS);
    for (size_t b = 0; b < PAIRS; b++)
        make_pair(1, PAIRS, b, 0, before), make_pair(1, PAIRS, b, 1, after), a[b] = 1.0/(PAIRS*POINTS);
    for (int i = 0; i < ITERATIONS; i++) {
        memset(gradient, 0, sizeof gradient), sum = 0;
        need(nde_field_vjp(&model, &at, before, a, value, &(nde_cotangent){ .p = gradient }), NULL);
        need(nde_optimiser_step(&adam, 3, gradient, p), NULL);
        for (size_t b = 0; b < PAIRS; b++) sum += a[b]*value[b];
    }
    return sqrt(sum);
}

static double norm(const double *x) {
    double sum = 0;
    for (size_t i = 0; i < POINTS; i++) sum += x[i]*x[i]/POINTS;
    return sqrt(sum);
}

int main(int argc, char **argv) {
    const char *file = command_line(argc, argv, "emulator", 0, NULL);
    nde_program *band = build_band(false), *equation = build_band(true), *squares = build_loss();
    const nde_field multiplied = nde_field_program(band), solved = nde_field_program(equation);
    const nde_field loss = nde_field_program(squares);
    const nde_implicit layer = NDE_INIT(nde_implicit, .field = &solved, .root = 1, .inputs = POINTS, .rtol = 1e-12,
                                        .atol = 1e-12);
    const nde_field implicit = nde_field_implicit(&layer);
    const struct { const char *name, *color; const nde_field *step; } way[] = {
        { "explicit", PLOT_RED, &multiplied }, { "implicit", PLOT_BLUE, &implicit },
    };
    double p[2][3] = { { 0, 1, 0 }, { 0, 1, 0 } }, exact[STEPS + 1], size[STEPS + 1], count[STEPS + 1], y[POINTS], next[POINTS];
    const double t = 0;
    plot_picture to;
    plot_open(&to, file, 560, 400);
    plot_panel(&to, 0, 0, 560, 400, "Steps that were learned", (plot_axis){ "step", 0, STEPS, 0 },
               (plot_axis){ "size", 1e-2, 1e4, 1 });
    for (int k = 0; k <= STEPS; k++) make_pair(2, 1, 0, k, y), exact[k] = norm(y), count[k] = k;
    plot_line(&to, (plot_look){ "exact", PLOT_GREY, "6 4", 0, false }, STEPS + 1, count, 1, exact, 1);
    printf("%-10s %10s %28s %14s %14s\n", "", "left over", "band", "size after 10", "after 60");
    for (int w = 0; w < 2; w++) {
        const double left = learn(way[w].step, &loss, p[w]);
        const nde_site at = { .n = 1, .ld = 1, .t = &t, .p = p[w] };
        make_pair(2, 1, 0, 0, y);
        for (int k = 0; k <= STEPS; k++) {
            size[k] = norm(y);
            need(nde_field_value(way[w].step, &at, y, next), NULL);
            memcpy(y, next, sizeof y);
        }
        printf("%-10s %10.1e %9.3f %9.3f %9.3f %14.3g %14.3g\n", way[w].name, left, p[w][0], p[w][1], p[w][2], size[10],
               size[STEPS]);
        plot_line(&to, (plot_look){ way[w].name, way[w].color, NULL, 0, false }, STEPS + 1, count, 1, size, 1);
    }
    printf("%-10s %10s %28s %14.3g %14.3g\n", "exact", "", "", exact[10], exact[STEPS]);
    nde_program_destroy(band), nde_program_destroy(equation), nde_program_destroy(squares);
    return plot_finish(&to, "emulator", file);
}
