/* SPDX-License-Identifier: MIT
 * model.h - the two models of hares and lynxes, and how they are fitted: one function for both, through the exact gradient.
 *
 * The state of both is z = (log population - mean)/sd, species by species, so that every trajectory is positive and of order
 * one. Their initial state is fitted too. */
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

enum { MOST_PARAMETERS = 1024 };
typedef struct model {
    const char *name;
    nde_field field;
    size_t np;
    double theta[MOST_PARAMETERS + SPECIES]; /* parameters [np], then the initial z */
    double decay;                            /* of the parameters towards 0, for each unit of rate */
    nde_mlp network;
    size_t width[4];
    nde_pointwise equations;
    double sd[SPECIES];
} model;
/* dz/dt = network(z): 2-32-2, tanh; weights from the seed. Source: R. Chen et al., Neural ordinary differential equations,
 * NeurIPS (2018). */
nde_status model_neural(model *to, const series *data, uint64_t seed);
/* log(hare)' = alpha - beta lynx, log(lynx)' = delta hare - gamma. Its four parameters are the logarithms of (alpha,
 * beta e^mean, delta e^mean, gamma): positive and of one scale. They begin near an equilibrium at the mean populations with
 * this period, as the seed and the number of the start say. Source: A. Lotka (1925); V. Volterra (1926). */
nde_status model_lotka_volterra(model *to, const series *data, double period, uint64_t seed, uint64_t start);
/* alpha, beta, delta, gamma in units of the table. */
void model_rates(const model *from, const series *data, double rates[4]);

typedef struct fit_options {
    int64_t iterations;
    double rate;
    const char *label; /* of the lines of progress; NULL: none */
    double begun;      /* when the program began: now() */
} fit_options;
typedef struct fit_result {
    double loss;       /* of the best iteration over all training rows, whose theta the model keeps */
    int64_t evaluations, failures;
} fit_result;
/* Adam on a horizon that grows from a few rows to all training rows. message says what is wrong when it fails. */
nde_status model_fit(model *to, const series *data, const fit_options *options, fit_result *result, char *message, size_t bytes);

/* z [n][SPECIES] at rising times from the first year on. */
nde_status model_solve(const model *from, const series *data, size_t n, const double *year, double *z);

/* Seconds of a clock that does not jump. */
double now(void);

#endif
