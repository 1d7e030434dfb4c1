/* SPDX-License-Identifier: MIT */
#include "figure.h"

#include <math.h>
#include <stdio.h>

#include "plot.h"
#include "score.h"

void figure_begin(figure *to, const series *data, int seeds) {
    to->seeds = seeds;
    for (int k = 0; k < FIGURE_TIMES; k++)
        to->year[k] = data->year[0] +
            (data->year[data->rows - 1] - data->year[0])*k/(FIGURE_TIMES - 1);
}

static double population(const series *data, size_t species, double z) {
    return exp(data->mean[species] + data->sd[species]*z);
}

/* The q-quantile over the seeds of a model's population, at each time. */
static void quantiles(const figure *from, const series *data, int m, size_t species, double q,
                      double *to) {
    for (int k = 0; k < FIGURE_TIMES; k++) {
        double value[FIGURE_SEEDS];
        for (int s = 0; s < from->seeds; s++) value[s] = from->z[m][s][k][species];
        to[k] = population(data, species, score_quantile(value, (size_t)from->seeds, q));
    }
}

/* One panel: range and quartiles over the seeds as bands, medians, the repeat, the data. */
static void draw_species(plot_picture *to, const figure *from, const series *data, double period,
                         size_t species) {
    static const char *const color[FIGURE_MODELS] = { PLOT_BLUE, PLOT_RED };
    double low[FIGURE_TIMES], high[FIGURE_TIMES], middle[FIGURE_TIMES], value[MOST_ROWS],
        repeat[MOST_ROWS*SPECIES];
    for (int m = FIGURE_MODELS - 1; m >= 0; m--) {
        quantiles(from, data, m, species, 0, low);
        quantiles(from, data, m, species, 1, high);
        plot_band(to, (plot_look){ .name = m ? NULL : "range over seeds", .color = color[m] },
                  FIGURE_TIMES, from->year, low, high);
        quantiles(from, data, m, species, 0.25, low);
        quantiles(from, data, m, species, 0.75, high);
        plot_band(to, (plot_look){ .color = color[m] }, FIGURE_TIMES, from->year, low, high);
    }
    score_repeat_rows(data, period, repeat);
    for (size_t k = 0; k < data->rows; k++)
        value[k] = population(data, species, repeat[k*SPECIES + species]);
    plot_line(to, (plot_look){ .name = "periodic repeat", .color = PLOT_GREY, .dash = "2 3" },
              data->rows - data->train + 1, data->year + data->train - 1, 1,
              value + data->train - 1, 1);
    for (int m = FIGURE_MODELS - 1; m >= 0; m--) {
        quantiles(from, data, m, species, 0.5, middle);
        plot_line(to, (plot_look){ .name = from->name[m], .color = color[m],
                                   .dash = m ? "6 3" : NULL, .width = 2 },
                  FIGURE_TIMES, from->year, 1, middle, 1);
    }
    for (size_t k = 0; k < data->rows; k++)
        value[k] = population(data, species, data->z[k][species]);
    plot_points(to, (plot_look){ .name = "data", .color = "#222222", .width = 7 }, data->train,
                data->year, 1, value, 1);
    plot_points(to, (plot_look){ .name = "held out", .color = "#222222", .width = 7,
                                 .hollow = true },
                data->rows - data->train, data->year + data->train, 1, value + data->train, 1);
}

bool figure_draw(const figure *from, const series *data, double period, const char *file) {
    static const char *const title[SPECIES] = { [HARE] = "Hares", [LYNX] = "Lynxes" };
    plot_axis year = plot_range("year", data->rows, data->year, 1);
    plot_picture picture;
    plot_open(&picture, file, 900, 760);
    for (size_t i = 0; i < SPECIES; i++) {
        double low = (double)INFINITY, high = 0;
        for (size_t k = 0; k < data->rows; k++) {
            low = fmin(low, population(data, i, data->z[k][i]));
            high = fmax(high, population(data, i, data->z[k][i]));
        }
        plot_panel(&picture, 0, 380*(double)i, 900, 380, title[i], year,
                   (plot_axis){ "pelts, thousands a year", low/1.6, high*1.6, true });
        const double border = (data->year[data->train - 1] + data->year[data->train])/2;
        const double held[] = { border, year.high };
        const double floor[] = { low/1.6, low/1.6 }, ceiling[] = { high*1.6, high*1.6 };
        plot_band(&picture, (plot_look){ .color = "#bbbbbb" }, 2, held, floor, ceiling);
        draw_species(&picture, from, data, period, i);
    }
    return plot_close(&picture);
}
