/* SPDX-License-Identifier: MIT
 * conserved.c - see conserved.h. */
#include "conserved.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double duration = 2.9; /* of what is learned from */

static double *take(size_t count) {
    double *block = calloc(count, sizeof *block);
    if (!block) fprintf(stderr, "out of memory\n"), exit(EXIT_FAILURE);
    return block;
}

static forecast foretell(const conserved *of, const nde_field *drift, const double *z) {
    double *y0 = take(of->dim*STARTS);
    of->begin(0, STARTS, y0);
    forecast it = { .to = follow(drift, z, STARTS, y0, SHOWN, of->ahead, 1e-9) };
    for (size_t i = 0; i < SHOWN*STARTS; i++) {
        const size_t k = i/STARTS, b = i%STARTS;
        it.energy[k] = of->energy(it.to.y + k*of->dim*STARTS + b, STARTS);
        const double off = fabs(it.energy[k] - of->energy(y0 + b, STARTS));
        it.rms = hypot(it.rms, off/sqrt(SHOWN*STARTS)), it.largest = fmax(it.largest, off);
    }
    free(y0);
    return it;
}

static forecast study(const conserved *of, const design *how, uint64_t seed, const trajectories *data) {
    const nde_mlp shape = NDE_INIT(nde_mlp, .layers = 3, .width = how->width);
    nde_program *program = how->build(how->width, nde_field_mlp(&shape).np);
    const nde_field drift = nde_field_program(program);
    double *z = take(drift.np + of->dim*SEEN);
    need(nde_mlp_init(&shape, NDE_GLOROT_UNIFORM, seed, z), NULL);
    const double loss = fit(&drift, data, 1, of->iterations, of->rate, z);
    const forecast it = foretell(of, &drift, z);
    printf("%-16s %-12s %10zu %10.6f %16.5f %10.5f\n", of->name, how->name, drift.np, loss, it.rms, it.largest);
    free(z);
    nde_program_destroy(program);
    return it;
}

void compare_designs(const conserved *of, const design *both, uint64_t seed, forecast *all) {
    double *y0 = take(of->dim*SEEN);
    nde_program *program;
    need(nde_program_parse(of->text, NULL, &program), NULL);
    const nde_field truth = nde_field_program(program);
    of->begin(seed, SEEN, y0);
    const trajectories data = follow(&truth, NULL, SEEN, y0, TIMES, duration, 1e-9);
    for (size_t i = 0; i < TIMES*of->dim*SEEN; i++) data.y[i] += of->noise*nde_normal(seed, 129, 0, i, 0);
    printf("%-16s %-12s %10s %10s %16s %10s\n", "system", "network", "parameters", "loss", "energy off: RMS", "largest");
    for (size_t k = 0; k < 2; k++) all[k] = study(of, &both[k], seed, &data);
    all[2] = foretell(of, &truth, NULL);
    const int left = 34 - (int)strlen(both[1].name);
    printf("%-16s %s/%s %*.4f %10.4f\n", of->name, both[1].name, both[0].name, left, all[1].rms/all[0].rms,
           all[1].largest/all[0].largest);
    free(y0), free(data.y);
    nde_program_destroy(program);
}

void draw_forecasts(plot_picture *to, const design *both, size_t n, const double *const *x, size_t x_stride,
                    const double *const *y, size_t y_stride) {
    const plot_look look[] = { { both[0].name, PLOT_ORANGE, NULL, 0, false }, { both[1].name, PLOT_BLUE, NULL, 0, false },
                               { "true", "#333333", "6 4", 0, false } };
    for (int k = 0; k < 3; k++) plot_line(to, look[k], n, x[k], x_stride, y[k], y_stride);
}

void draw_energies(plot_picture *to, const conserved *of, const design *both, const forecast *all) {
    double time[SHOWN];
    for (size_t k = 0; k < SHOWN; k++) time[k] = of->ahead*(double)k/(SHOWN - 1);
    draw_forecasts(to, both, SHOWN, (const double *[]){ time, time, time }, 1,
                   (const double *[]){ all[0].energy, all[1].energy, all[2].energy }, 1);
}
