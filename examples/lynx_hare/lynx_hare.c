/* SPDX-License-Identifier: MIT
 * lynx_hare - learns the law of motion of hares and lynxes from 17 years of pelts and forecasts four more. A neural ODE is
 * compared with the Lotka-Volterra equations, fitted through the same gradient, and with two forecasts that know no law.
 *   lynx_hare [--csv FILE] [--seed N] [--iterations N] [--out FOLDER] [--quick] */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "figure.h"
#include "model.h"

enum { HELD_OUT = 4, LEAST_ROWS = 12, SEEDS = 10, QUICK_SEEDS = 3, STARTS = 3 };

typedef struct settings {
    const char *csv, *out;
    uint64_t seed;
    int64_t iterations;
    int seeds;
} settings;

/* Root mean square error in the logarithms of the populations, over rows [from, to) of z. */
static double rmse(const series *data, const double *z, size_t from, size_t to) {
    double sum = 0;
    for (size_t k = from; k < to; k++)
        for (int i = 0; i < SPECIES; i++) sum += pow(data->sd[i]*(z[k*SPECIES + (size_t)i] - data->z[k][i]), 2);
    return sqrt(sum/(double)((to - from)*SPECIES));
}

/* z of one species at any time within the training rows, by linear interpolation. */
static double interpolate(const series *data, int species, double year) {
    size_t k = 1;
    while (k + 1 < data->train && data->year[k] < year) k++;
    const double part = (year - data->year[k - 1])/(data->year[k] - data->year[k - 1]);
    return data->z[k - 1][species] + part*(data->z[k][species] - data->z[k - 1][species]);
}

/* What came `period` years before; of held-out years whole periods before. NaN before the first period is over. */
static void repeat(const series *data, double period, double *z) {
    for (size_t k = 0; k < data->rows; k++)
        for (int i = 0; i < SPECIES; i++) {
            double year = data->year[k] - period;
            while (year > data->year[data->train - 1]) year -= period;
            z[k*SPECIES + (size_t)i] = year < data->year[0] ? (double)NAN : interpolate(data, i, year);
        }
}

/* First row that a repeat with this period says something about. */
static size_t repeat_from(const series *data, double period) {
    size_t k = 0;
    while (k < data->train && data->year[k] - period < data->year[0]) k++;
    return k;
}

/* The period, to a tenth of a year or row, whose repeat fits the training rows best; between a quarter and two thirds of
 * their span. */
static double find_period(const series *data) {
    double z[MOST_ROWS*SPECIES], best = (double)INFINITY, found = 0;
    const double span = data->year[data->train - 1] - data->year[0], step = span/(double)(data->train - 1)/10;
    for (double period = span/4; period <= span*2/3; period += step) {
        repeat(data, period, z);
        const double error = rmse(data, z, repeat_from(data, period), data->train);
        if (error < best) best = error, found = period;
    }
    return found;
}

/* Persistence: the held-out rows are as the last training row. Its training error is that of the same forecast, as many rows
 * long, begun at every training row. */
static score score_persistence(const series *data) {
    double sum = 0, z[MOST_ROWS*SPECIES];
    size_t count = 0;
    for (size_t from = 0; from + HELD_OUT < data->train; from++) {
        for (size_t k = 0; k <= HELD_OUT; k++) memcpy(z + (from + k)*SPECIES, data->z[from], sizeof data->z[from]);
        sum += pow(rmse(data, z, from + 1, from + 1 + HELD_OUT), 2), count++;
    }
    for (size_t k = data->train; k < data->rows; k++) memcpy(z + k*SPECIES, data->z[data->train - 1], sizeof data->z[0]);
    return (score){ sqrt(sum/(double)count), rmse(data, z, data->train, data->rows) };
}

static score score_repeat(const series *data, double period) {
    double z[MOST_ROWS*SPECIES];
    repeat(data, period, z);
    return (score){ rmse(data, z, repeat_from(data, period), data->train), rmse(data, z, data->train, data->rows) };
}

/* Errors of a fitted model, and its curve for the picture. */
static nde_status score_model(const model *from, const series *data, score *to, curve *drawn) {
    double z[MOST_ROWS*SPECIES];
    nde_status status = model_solve(from, data, data->rows, data->year, z);
    if (status) return status;
    *to = (score){ rmse(data, z, 0, data->train), rmse(data, z, data->train, data->rows) };
    return model_solve(from, data, GRID, drawn->year, drawn->z[0]);
}

static int usage(FILE *to, int status) {
    fputs("usage: lynx_hare [--csv FILE] [--seed N] [--iterations N] [--out FOLDER] [--quick]\n"
          "  --csv FILE        lines year,lynx,hare; the last four years are held out\n"
          "  --seed N          the first of the seeds (1)\n"
          "  --iterations N    of the training of one network (3000; quick: 300)\n"
          "  --out FOLDER      where the picture and the parameters go (lynx_hare.out)\n"
          "  --quick           3 seeds instead of 10, and few iterations\n", to);
    return status;
}

/* A whole number in [low, high]. */
static bool read_integer(const char *text, long long low, long long high, long long *number) {
    char *stop;
    errno = 0;
    *number = strtoll(text, &stop, 10);
    return stop != text && !*stop && !errno && *number >= low && *number <= high;
}

/* -1: go on; else the exit status. */
static int read_settings(int argc, char **argv, settings *to) {
    static const struct option known[] = {
        { "csv", required_argument, NULL, 'c' }, { "seed", required_argument, NULL, 's' },
        { "iterations", required_argument, NULL, 'i' }, { "out", required_argument, NULL, 'o' },
        { "quick", no_argument, NULL, 'q' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    long long number = 0;
    int option;
    *to = (settings){ .csv = LYNX_HARE_CSV, .out = "lynx_hare.out", .seed = 1, .seeds = SEEDS };
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'c': to->csv = optarg; break;
        case 'o': to->out = optarg; break;
        case 'q': to->seeds = QUICK_SEEDS; break;
        case 'h': return usage(stdout, EXIT_SUCCESS);
        case 's':
            if (!read_integer(optarg, 0, INT32_MAX, &number))
                return fprintf(stderr, "lynx_hare: --seed %s: not a whole number from 0 on\n", optarg), EXIT_FAILURE;
            to->seed = (uint64_t)number;
            break;
        case 'i':
            if (!read_integer(optarg, 10, 1000000, &number))
                return fprintf(stderr, "lynx_hare: --iterations %s: not between 10 and 1000000\n", optarg), EXIT_FAILURE;
            to->iterations = number;
            break;
        default: return usage(stderr, EXIT_FAILURE); /* getopt_long has said what is wrong */
        }
    }
    if (optind < argc) return fprintf(stderr, "lynx_hare: what is %s?\n", argv[optind]), usage(stderr, EXIT_FAILURE);
    if (!to->iterations) to->iterations = to->seeds == QUICK_SEEDS ? 300 : 3000;
    return -1;
}

/* One line of the report: medians and quartiles. */
static void report(const char *name, const score *scores, int seeds) {
    double training[SEEDS], held_out[SEEDS];
    for (int i = 0; i < seeds; i++) training[i] = scores[i].training, held_out[i] = scores[i].held_out;
    printf("%-16s", name);
    for (int column = 0; column < 2; column++) {
        double *value = column ? held_out : training;
        sort(value, (size_t)seeds);
        printf("   %6.3f", quantile(value, (size_t)seeds, 0.5));
        if (seeds > 1) printf("  [%.3f, %.3f]", quantile(value, (size_t)seeds, 0.25), quantile(value, (size_t)seeds, 0.75));
        else printf("%16s", "");
    }
    putchar('\n');
}

static bool save(const settings *set, const char *name, const model *from) {
    char file[4096];
    if (snprintf(file, sizeof file, "%s/%s", set->out, name) >= (int)sizeof file ||
        nde_npy_save(file, from->theta, from->np + SPECIES) != NDE_OK)
        return fprintf(stderr, "lynx_hare: cannot write %s: %s\n", file, nde_error()), false;
    return printf("parameters: %s\n", file), true;
}

int main(int argc, char **argv) {
    static table rows;
    static series data;
    static model network, equations, trial, best_network, best_equations;
    static figure picture;
    static score scores[2][SEEDS];
    settings set;
    char message[512] = "", label[64], file[4096];
    const double begun = now();

    const int done = read_settings(argc, argv, &set);
    if (done >= 0) return done;
    if (!table_read(set.csv, LEAST_ROWS, &rows, message, sizeof message))
        return fprintf(stderr, "lynx_hare: %s\n", message), EXIT_FAILURE;
    if (mkdir(set.out, 0777) && errno != EEXIST)
        return fprintf(stderr, "lynx_hare: %s: %s\n", set.out, strerror(errno)), EXIT_FAILURE;
    series_make(&data, &rows, HELD_OUT);
    const double period = find_period(&data);
    figure_begin(&picture, &data, set.seeds);
    printf("%s: %zu years, the last %d held out; period of the others: %.1f years\n", set.csv, data.rows, HELD_OUT, period);

    double least[2] = { (double)INFINITY, (double)INFINITY };
    for (int s = 0; s < set.seeds; s++) {
        const uint64_t seed = set.seed + (uint64_t)s;
        fit_options options = { .iterations = set.iterations, .rate = 2e-2, .label = label, .begun = begun };
        fit_result result, trial_result;
        snprintf(label, sizeof label, "seed %llu", (unsigned long long)seed);

        nde_status status = model_neural(&network, &data, seed);
        if (!status) status = model_fit(&network, &data, &options, &result, message, sizeof message);
        if (!status) status = score_model(&network, &data, &scores[0][s], figure_curve(&picture, 0, s));
        if (status) return fprintf(stderr, "lynx_hare: neural ODE: %s %s\n", nde_status_text(status), message), EXIT_FAILURE;
        if (scores[0][s].training < least[0]) least[0] = scores[0][s].training, best_network = network;

        options.iterations = set.iterations/STARTS;
        options.label = NULL;
        result.loss = (double)INFINITY;
        for (uint64_t start = 0; start < STARTS; start++) {
            status = model_lotka_volterra(&trial, &data, period, seed, start);
            if (!status) status = model_fit(&trial, &data, &options, &trial_result, message, sizeof message);
            if (status) return fprintf(stderr, "lynx_hare: Lotka-Volterra: %s %s\n", nde_status_text(status), message), EXIT_FAILURE;
            if (trial_result.loss < result.loss) result = trial_result, equations = trial;
        }
    }
    (void)file; (void)equations; (void)best_equations; (void)save; (void)report;
    return 0;
}
