/* SPDX-License-Identifier: MIT
 * ude_hares - Lotka-Volterra for hares and lynxes, beside one with a network in the place of its interactions.
 *   ude_hares [SEED [PICTURE.svg]]    SEED: of the network, > 0; 1
 * After: C. Rackauckas et al., Universal differential equations for scientific machine learning, arXiv:2001.04385 (2020). */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "interactions.h"
#include "lynx_hare/table.h"
#include "plot.h"

enum { YEARS = 21, TRAINED = 17, WINDOW = 6, WINDOWS = TRAINED - WINDOW + 1, AHEAD = YEARS - WINDOWS, SHOWN = 20*AHEAD + 1 };

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
    static double hybrid_z[INTERACTIONS_NP + 2*WINDOWS];
    double logs[YEARS][2], z[4 + 2*WINDOWS] = { 0.5, 0.5, 0.5, 0.5 }, time[SHOWN];
    char message[256];
    if (!table_read(LYNX_HARE_CSV, YEARS, &rows, message, sizeof message))
        fprintf(stderr, "ude_hares: %s\n", message), exit(EXIT_FAILURE);
    for (size_t i = 0; i < 2*YEARS; i++) logs[i/2][i%2] = log(rows.population[i/2][i%2]/20);
    const trajectories years = { .n = 1, .dim = 2, .times = YEARS, .duration = YEARS - 1, .y = logs[0] };
    nde_program *equations, *hybrid;
    need(nde_program_parse("state h, l; param a, b, c, d; dh = a - b*exp(l); dl = c*exp(h) - d", NULL, &equations), NULL);
    const nde_field known = nde_field_program(equations);
    printf("%-16s %10s %20s %20s\n", "hares and lynxes", "parameters", "RMS of five years", "of the next four");
    const trajectories old = study("Lotka-Volterra", &known, &years, z);
    hybrid = build_interactions((const double[]){ z[0], -z[3] }, true);
    const nde_field drift = nde_field_program(hybrid);
    begin_interactions(seed, hybrid_z);
    const trajectories new = study("hybrid", &drift, &years, hybrid_z);
    for (size_t k = 0; k < SHOWN; k++) time[k] = rows.year[WINDOWS - 1] + AHEAD*(double)k/(SHOWN - 1);
    for (size_t i = 0; i < 2; i++) {
        plot_panel(to, 0, 210*(double)i, 760, 210, i ? "lynxes" : "hares", (plot_axis){ "year", 1900, 1921, 0 },
                   (plot_axis){ "log", -2, 2, 0 });
        plot_points(to, (plot_look){ i ? NULL : "data", PLOT_GREY, NULL, 4, false }, YEARS, rows.year, 1, logs[0] + i, 2);
        plot_line(to, (plot_look){ i ? NULL : "Lotka-Volterra", PLOT_ORANGE, NULL, 0, false }, SHOWN, time, 1, old.y + i, 2);
        plot_line(to, (plot_look){ i ? NULL : "hybrid", PLOT_BLUE, NULL, 0, false }, SHOWN, time, 1, new.y + i, 2);
    }
    free(old.y), free(new.y);
    nde_program_destroy(equations), nde_program_destroy(hybrid);
}

int main(int argc, char **argv) {
    long seed = 1;
    const char *file = command_line(argc, argv, "ude_hares", 1, &(argument){ "SEED", &seed, 1, LONG_MAX });
    plot_picture to;
    if (plot_open(&to, file, 760, 420)) learn_years((uint64_t)seed, &to);
    return plot_finish(&to, "ude_hares", file);
}
