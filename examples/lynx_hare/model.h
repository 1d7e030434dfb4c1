/* SPDX-License-Identifier: MIT
 * model.h - the two models of hares and lynxes, and how they are fitted: one function for both,
 * through the exact gradient.
 *
 * The state of both is z = (log population - mean)/sd, species by species, so that every trajectory
 * is positive and of order one. Their initial state is fitted too. */
#ifndef MODEL_H
#define MODEL_H

#include "nde.h"
#include "table.h"

/* The data as the models see them: the first `train` rows are fitted, the others are held out. */
typedef struct series {
    size_t rows, train;
    double year[MOST_ROWS], z[MOST_ROWS][SPECIES], weight[MOST_ROWS][SPECIES];
    double mean[SPECIES], sd[SPECIES]; /* of the logarithms of the training rows */
} series;
void series_make(series *to, const table *from, size_t held_out);

/* A model: dz/dt = field(z; p). theta is what is fitted: p [np], then the initial z. Not to be
 * copied: it points into itself. */
enum { MOST_PARAMETERS = 512, MOST_THETA = MOST_PARAMETERS + SPECIES };
typedef struct model model;
struct model {
    const char *name;
    nde_field field;
    size_t np;
    int starts;   /* fits of a seed, of which the best on the training rows is kept */
    double decay; /* of p towards 0, for each unit of rate */
    nde_status (*begin)(const model *self, const series *data, uint64_t seed, int start,
                        double *theta);
    /* what the fields are made of */
    nde_mlp network;
    size_t width[3];
    nde_pointwise equations;
    double sd[SPECIES], period;
};
/* A network 2-32-2, tanh. Source: R. Chen et al., Neural ordinary differential equations, NeurIPS
 * (2018). */
void model_neural(model *to);
/* log(hare)' = alpha - beta lynx, log(lynx)' = delta hare - gamma. p are the logarithms of (alpha,
 * beta e^mean, delta e^mean, gamma): the rates are positive and of one scale. They begin around an
 * equilibrium at the mean populations with swings of this period. Source: A. Lotka, Elements of
 * physical biology (1925); V. Volterra, Nature 118 (1926) 558-560. */
void model_lotka_volterra(model *to, const series *data, double period);
/* alpha, beta, delta, gamma of theta, in units of the table. */
void model_rates(const series *data, const double *theta, double rates[4]);

typedef struct training {
    int64_t iterations;
    uint64_t seed;
    bool talk;    /* print lines of progress */
    double begun; /* when the program began: now() */
    /* is called after each iteration, with everything in its place; false: stop. May be NULL */
    bool (*keep)(void *ctx);
    void *ctx;
} training;
/* Where a fit stands between two iterations. All zero: it has not begun. Brought back from a file,
 * it goes on to the same bits. */
typedef struct fitting {
    int64_t start, iteration;      /* iteration of this start; 0: it has not begun */
    int64_t failures, evaluations; /* of this start; of the field, forwards, in all */
    nde_optimiser adam;            /* its step and rate change */
    double moments[2*MOST_THETA];  /* its state */
    /* before: the last one that could be solved; best: of this start; winner: of all starts */
    double theta[MOST_THETA], before[MOST_THETA], best[MOST_THETA], winner[MOST_THETA];
    double loss, least, winner_least;
} fitting;
/* Fits by Adam on a horizon that grows from a few rows to all training rows, `starts` times; winner
 * is the best that was seen there. message says what is wrong when it fails; NDE_STOPPED: keep did
 * it. */
nde_status model_fit(const model *of, const series *data, const training *how, fitting *at,
                     char *message, size_t bytes);

/* z [n][SPECIES] at rising times from the first year on. */
nde_status model_solve(const model *of, const series *data, const double *theta, size_t n,
                       const double *year, double *z);

/* Seconds of a clock that does not jump. */
double now(void);

#endif
