/* SPDX-License-Identifier: MIT
 * lynx_hare - learns the law of motion of hares and lynxes from 17 years of pelts and forecasts
 * four more. A neural ODE is compared with the Lotka-Volterra equations, fitted through the same
 * gradient, and with two forecasts that know no law.
 *   lynx_hare [--csv FILE] [--seed N] [--iterations N] [--out FOLDER] [--quick] [--state FILE]
 *             [--every N] */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "experiment.h"

enum { HELD_OUT = 4, LEAST_ROWS = 12, SEEDS = FIGURE_SEEDS, QUICK_SEEDS = 3 };

static int usage(FILE *to, int status) {
    fputs("usage: lynx_hare [--csv FILE] [--seed N] [--iterations N] [--out FOLDER] [--quick]\n"
          "                 [--state FILE] [--every N]\n"
          "  --csv FILE        lines year,lynx,hare; the last four years are held out\n"
          "  --seed N          the first of the seeds (1)\n"
          "  --iterations N    of each fit (10000; quick: 1000)\n"
          "  --out FOLDER      where the picture and the parameters go (lynx_hare.out)\n"
          "  --quick           3 seeds instead of 10, and few iterations\n"
          "  --state FILE      goes on from this file if it is there, and keeps it up to date\n"
          "  --every N         every so many iterations (1000)\n", to);
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
        { "quick", no_argument, NULL, 'q' }, { "help", no_argument, NULL, 'h' },
        { "state", required_argument, NULL, 't' }, { "every", required_argument, NULL, 'e' },
        { NULL, 0, NULL, 0 } };
    long long number = 0;
    int option;
    *to = (settings){ .csv = LYNX_HARE_CSV, .out = "lynx_hare.out", .seed = 1, .seeds = SEEDS,
                        .every = 1000 };
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'c': to->csv = optarg; break;
        case 'o': to->out = optarg; break;
        case 't': to->state = optarg; break;
        case 'q': to->seeds = QUICK_SEEDS; break;
        case 'h': return usage(stdout, EXIT_SUCCESS);
        case 's':
            if (!read_integer(optarg, 0, INT32_MAX, &number))
                return fprintf(stderr, "lynx_hare: --seed %s: not a whole number from 0 on\n",
                               optarg), EXIT_FAILURE;
            to->seed = (uint64_t)number;
            break;
        case 'i':
            if (!read_integer(optarg, 10, 1000000, &number))
                return fprintf(stderr, "lynx_hare: --iterations %s: not between 10 and 1000000\n",
                               optarg), EXIT_FAILURE;
            to->iterations = number;
            break;
        case 'e':
            if (!read_integer(optarg, 1, 1000000, &number))
                return fprintf(stderr, "lynx_hare: --every %s: not between 1 and 1000000\n",
                               optarg), EXIT_FAILURE;
            to->every = number;
            break;
        default: return usage(stderr, EXIT_FAILURE); /* getopt_long has said what is wrong */
        }
    }
    if (optind < argc)
        return fprintf(stderr, "lynx_hare: what is %s?\n", argv[optind]),
               usage(stderr, EXIT_FAILURE);
    if (!to->iterations) to->iterations = to->seeds == QUICK_SEEDS ? 1000 : 10000;
    return -1;
}

/* One line of the report: medians and quartiles over the seeds. */
static void report(const char *name, const score *scores, int seeds) {
    double value[2][SEEDS];
    for (int s = 0; s < seeds; s++)
        value[0][s] = scores[s].training, value[1][s] = scores[s].held_out;
    printf("%-16s", name);
    for (int column = 0; column < 2; column++) {
        const double middle = score_quantile(value[column], (size_t)seeds, 0.5);
        printf("   %5.3f", middle);
        if (seeds == 1) printf("%16s", "");
        else printf(" [%.3f, %.3f]", score_quantile(value[column], (size_t)seeds, 0.25),
                    score_quantile(value[column], (size_t)seeds, 0.75));
    }
    putchar('\n');
}

/* In how many of the seeds the first model has the smaller error. */
static int wins(const score *first, const score *second, int seeds, bool held_out) {
    int count = 0;
    for (int s = 0; s < seeds; s++)
        count += held_out ? first[s].held_out < second[s].held_out
                          : first[s].training < second[s].training;
    return count;
}

static nde_status score_fit(const model *of, const series *data, const double *theta, score *to) {
    double z[MOST_ROWS*SPECIES];
    const nde_status status = model_solve(of, data, theta, data->rows, data->year, z);
    if (status) return status;
    *to = (score){ score_rmse(data, z, 0, data->train),
                   score_rmse(data, z, data->train, data->rows) };
    return NDE_OK;
}

/* training.keep */
static bool keep(void *ctx) {
    experiment *x = ctx;
    return !x->set.state || x->at.iteration%x->set.every || state_save(x);
}

/* Fits and scores the next model and seed. False: a message was printed. */
static bool fit(experiment *x) {
    const int m = (int)x->fits/x->set.seeds, s = (int)x->fits%x->set.seeds;
    const model *of = &x->models[m];
    const training how = { .iterations = x->set.iterations, .seed = x->set.seed + (uint64_t)s,
                           .talk = true, .begun = x->begun, .keep = keep, .ctx = x };
    char message[512] = "";
    const double *theta = x->at.winner;
    double *curve = x->picture.z[m][s][0];
    nde_status status = model_fit(of, &x->data, &how, &x->at, message, sizeof message);
    if (status == NDE_STOPPED) return false;
    if (!status) status = score_fit(of, &x->data, theta, &x->scores[m][s]);
    if (!status) status = model_solve(of, &x->data, theta, FIGURE_TIMES, x->picture.year, curve);
    if (status) {
        fprintf(stderr, "lynx_hare: %s: %s\n", of->name,
                message[0] ? message : nde_status_text(status));
        return false;
    }
    bool least = true;
    for (int i = 0; i < s; i++)
        least = least && x->scores[m][s].training < x->scores[m][i].training;
    if (least) memcpy(x->best[m], theta, (of->np + SPECIES)*sizeof *theta);
    x->fits++;
    x->at = (fitting){ .start = 0 };
    return keep(x);
}

static void print_report(const experiment *x) {
    const series *data = &x->data;
    const int seeds = x->set.seeds;
    const score persistence = score_persistence(data), periodic = score_repeat(data, x->period);
    double rates[4];
    printf("\nRMSE in log populations, %d seeds: median [quartiles]\n", seeds);
    printf("%-16s   training (%g-%g)       held out (%g-%g)\n", "", data->year[0],
           data->year[data->train - 1], data->year[data->train], data->year[data->rows - 1]);
    for (int m = 0; m < FIGURE_MODELS; m++) report(x->models[m].name, x->scores[m], seeds);
    report("persistence", &persistence, 1);
    report("periodic repeat", &periodic, 1);
    printf("The neural ODE has the smaller training error in %d, the smaller held-out error in %d "
           "of %d seeds.\n", wins(x->scores[0], x->scores[1], seeds, false),
           wins(x->scores[0], x->scores[1], seeds, true), seeds);
    model_rates(data, x->best[1], rates);
    printf("Lotka-Volterra: alpha %.3f, beta %.4f, delta %.4f, gamma %.3f a year. Period of the "
           "repeat: %.1f years.\n\n", rates[0], rates[1], rates[2], rates[3], x->period);
}

/* The parameters of the best fits and the picture. False: a message was printed. */
static bool write_out(const experiment *x) {
    static const char *const names[] = { "neural_ode.npy", "lotka_volterra.npy", "lynx_hare.svg" };
    for (int i = 0; i <= FIGURE_MODELS; i++) {
        char file[4096];
        const bool picture = i == FIGURE_MODELS;
        bool good = snprintf(file, sizeof file, "%s/%s", x->set.out, names[i]) < (int)sizeof file;
        if (good && picture) good = figure_draw(&x->picture, &x->data, x->period, file);
        if (good && !picture)
            good = nde_npy_save(file, x->best[i], x->models[i].np + SPECIES) == NDE_OK;
        if (!good) return fprintf(stderr, "lynx_hare: cannot write %s\n", file), false;
        printf("%s: %s\n", picture ? "picture" : "parameters", file);
    }
    return true;
}

int main(int argc, char **argv) {
    static experiment x;
    char message[512];
    x.begun = now();

    const int done = read_settings(argc, argv, &x.set);
    if (done >= 0) return done;
    if (!table_read(x.set.csv, LEAST_ROWS, &x.rows, message, sizeof message))
        return fprintf(stderr, "lynx_hare: %s\n", message), EXIT_FAILURE;
    if (mkdir(x.set.out, 0777) && errno != EEXIST)
        return fprintf(stderr, "lynx_hare: %s: %s\n", x.set.out, strerror(errno)), EXIT_FAILURE;

    series_make(&x.data, &x.rows, HELD_OUT);
    x.period = score_period(&x.data);
    model_neural(&x.models[0]);
    model_lotka_volterra(&x.models[1], &x.data, x.period);
    figure_begin(&x.picture, &x.data, x.set.seeds);
    for (int m = 0; m < FIGURE_MODELS; m++) x.picture.name[m] = x.models[m].name;
    if (x.set.state && !state_load(&x)) return EXIT_FAILURE;
    while (x.fits < FIGURE_MODELS*x.set.seeds)
        if (!fit(&x)) return EXIT_FAILURE;
    print_report(&x);
    return write_out(&x) ? EXIT_SUCCESS : EXIT_FAILURE;
}
