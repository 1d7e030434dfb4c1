/* SPDX-License-Identifier: MIT
 * experiment.h - everything that a run knows, and the file from which a run that was stopped,
 * however rudely, goes on to the same bits. */
#ifndef EXPERIMENT_H
#define EXPERIMENT_H

#include "figure.h"
#include "score.h"

typedef struct settings {
    const char *csv, *out, *state; /* state: NULL: none is kept */
    uint64_t seed;
    int64_t iterations, every;     /* every: so many iterations the state is written */
    int seeds;
} settings;

typedef struct experiment {
    settings set;
    double begun, period; /* period: of the repeat, and where Lotka-Volterra begins */
    table rows;
    series data;
    model models[FIGURE_MODELS];
    int64_t fits; /* finished: model by model, seed by seed */
    fitting at;   /* where the next one stands */
    score scores[FIGURE_MODELS][FIGURE_SEEDS];
    double best[FIGURE_MODELS][MOST_THETA]; /* theta of the seed with the least training error */
    figure picture;
} experiment;

/* False: a message was printed. */
bool state_save(experiment *x);
/* A file that is missing is the state of a run that begins; that of a run with another seed, other
 * data and so on is refused. */
bool state_load(experiment *x);

#endif
