/* SPDX-License-Identifier: MIT */
#include "experiment.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WHOSE = 2, TENSORS = 20 };

/* What tells one run from another. */
typedef struct origin {
    int64_t settings[6];
    double data[MOST_ROWS][1 + SPECIES];
} origin;

static origin origin_of(const experiment *x) {
    const series *data = &x->data;
    origin o = { .settings = { (int64_t)x->set.seed, x->set.seeds, x->set.iterations,
                               (int64_t)data->rows, (int64_t)data->train, FIGURE_MODELS } };
    for (size_t k = 0; k < data->rows; k++) {
        o.data[k][0] = data->year[k];
        memcpy(o.data[k] + 1, data->z[k], sizeof data->z[k]);
    }
    return o;
}

static nde_tensor integers(const char *name, int64_t *data, size_t count) {
    return (nde_tensor){ .name = name, .type = NDE_I64, .rank = 1, .shape = { count },
                         .data = data };
}

static nde_tensor reals(const char *name, double *data, size_t count) {
    return (nde_tensor){ .name = name, .type = NDE_F64, .rank = 1, .shape = { count },
                         .data = data };
}

/* The state; the first WHOSE of its tensors tell whose it is. */
static void list(experiment *x, origin *of, nde_tensor to[TENSORS]) {
    _Static_assert(sizeof(score) == 2*sizeof(double), "scores are pairs of doubles");
    fitting *at = &x->at;
    const nde_tensor all[TENSORS] = {
        integers("settings", of->settings, 6),
        reals("data", of->data[0], MOST_ROWS*(1 + SPECIES)),
        integers("fits", &x->fits, 1),
        integers("start", &at->start, 1),
        integers("iteration", &at->iteration, 1),
        integers("failures", &at->failures, 1),
        integers("evaluations", &at->evaluations, 1),
        integers("adam.step", &at->adam.step, 1),
        reals("adam.rate", &at->adam.rate, 1),
        reals("adam.moments", at->moments, 2*MOST_THETA),
        reals("theta", at->theta, MOST_THETA),
        reals("before", at->before, MOST_THETA),
        reals("best", at->best, MOST_THETA),
        reals("winner", at->winner, MOST_THETA),
        reals("loss", &at->loss, 1),
        reals("least", &at->least, 1),
        reals("winner_least", &at->winner_least, 1),
        reals("scores", &x->scores[0][0].training, FIGURE_MODELS*FIGURE_SEEDS*2),
        reals("best_of_seeds", x->best[0], FIGURE_MODELS*MOST_THETA),
        reals("curves", x->picture.z[0][0][0], FIGURE_MODELS*FIGURE_SEEDS*FIGURE_TIMES*SPECIES),
    };
    memcpy(to, all, sizeof all);
}

bool state_save(experiment *x) {
    nde_tensor tensor[TENSORS];
    origin mine = origin_of(x);
    list(x, &mine, tensor);
    if (nde_tensors_save(x->set.state, tensor, TENSORS) == NDE_OK) return true;
    return fprintf(stderr, "lynx_hare: %s\n", nde_error()), false;
}

bool state_load(experiment *x) {
    nde_tensor tensor[TENSORS];
    const origin mine = origin_of(x);
    origin theirs;
    if (access(x->set.state, F_OK) && errno == ENOENT) return true;
    list(x, &theirs, tensor);
    if (nde_tensors_load(x->set.state, tensor, WHOSE))
        return fprintf(stderr, "lynx_hare: %s\n", nde_error()), false;
    if (memcmp(&theirs, &mine, sizeof mine))
        return fprintf(stderr, "lynx_hare: %s is the state of a run with other settings or data\n",
                       x->set.state), false;
    if (nde_tensors_load(x->set.state, tensor, TENSORS))
        return fprintf(stderr, "lynx_hare: %s\n", nde_error()), false;
    if (x->fits >= 0 && x->fits <= FIGURE_MODELS*x->set.seeds && x->at.start >= 0 &&
        x->at.iteration >= 0 && x->at.iteration <= x->set.iterations && x->at.adam.step >= 0)
        return true;
    return fprintf(stderr, "lynx_hare: %s is no state of a run\n", x->set.state), false;
}
