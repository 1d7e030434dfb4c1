/* SPDX-License-Identifier: MIT
 * optimiser.c - what the optimisers share: arguments, schedules, clipping, the state. Their rules stand in update.c.
 * Clipping by the norm: R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural networks, ICML
 * (2013), algorithm 1. */
#include "nde/train.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/core.h"
#include "core/kernels.h"
#include "train/update.h"

/* What stands for 0, and the arrays of the state without momentum; momentum needs one more where `takes_momentum`. */
static const struct {
    double rate, rho, epsilon, weight_decay;
    size_t arrays;
    bool takes_momentum;
} kinds[] = {
    [NDE_ADAM] = { .rate = 1e-3, .epsilon = 1e-8, .arrays = 2 },
    [NDE_ADAMW] = { .rate = 1e-3, .epsilon = 1e-8, .weight_decay = 1e-2, .arrays = 2 },
    [NDE_SGD] = { .rate = 1e-2, .arrays = 0, .takes_momentum = true },
    [NDE_RMSPROP] = { .rate = 1e-2, .rho = 0.99, .epsilon = 1e-8, .arrays = 1, .takes_momentum = true },
    [NDE_ADADELTA] = { .rate = 1, .rho = 0.9, .epsilon = 1e-6, .arrays = 2 },
};
enum { KINDS = sizeof kinds/sizeof *kinds };

/* ---- arguments --------------------------------------------------------------------------------------------------- */

/* value; what stands for 0; or 0 for NDE_ZERO. */
static double resolve(double value, double standard) { return value == 0 ? standard : value == NDE_ZERO ? 0 : value; }

static nde_status check_numbers(const char *function, const nde_optimiser *given, const nde_optimiser *o) {
    const double below_1 = 1 - DBL_EPSILON/2;
    const struct {
        const char *name;
        double given, value, most;
    } list[] = {
        { "rate", given->rate, o->rate, DBL_MAX }, { "beta1", given->beta1, o->beta1, below_1 },
        { "beta2", given->beta2, o->beta2, below_1 }, { "momentum", given->momentum, o->momentum, below_1 },
        { "rho", given->rho, o->rho, below_1 }, { "epsilon", given->epsilon, o->epsilon, DBL_MAX },
        { "weight_decay", given->weight_decay, o->weight_decay, DBL_MAX },
        { "clip_norm", given->clip_norm, o->clip_norm, (double)INFINITY },
        { "clip_value", given->clip_value, o->clip_value, (double)INFINITY }, { "decay", given->decay, o->decay, DBL_MAX },
    };
    for (size_t i = 0; i < sizeof list/sizeof *list; i++)
        if (!(list[i].value >= 0 && list[i].value <= list[i].most))
            return nde_fail(NDE_E_ARG, "%s: %s is %g: it must be %s", function, list[i].name, list[i].given,
                            list[i].most < 1 ? "in [0, 1)" : list[i].most > DBL_MAX ? "0 or more" : "0 or more, and finite");
    return NDE_OK;
}

static nde_status check_schedule(const char *function, const nde_optimiser *o) {
    if (o->schedule < NDE_SCHEDULE_CONSTANT || o->schedule > NDE_SCHEDULE_COSINE)
        return nde_fail(NDE_E_ARG, "%s: schedule is %d, which is none", function, (int)o->schedule);
    if (o->schedule == NDE_SCHEDULE_EXPONENTIAL && o->decay == 0)
        return nde_fail(NDE_E_ARG, "%s: decay is literally 0, after which an exponential schedule has no rate", function);
    if (o->decay_steps < 0 || (o->schedule && o->decay_steps == 0))
        return nde_fail(NDE_E_ARG, "%s: decay_steps is %lld: it must be positive with a schedule", function,
                        (long long)o->decay_steps);
    if (o->warmup_steps < 0)
        return nde_fail(NDE_E_ARG, "%s: warmup_steps is %lld: it must not be negative", function, (long long)o->warmup_steps);
    if (o->step < 0) return nde_fail(NDE_E_ARG, "%s: step is %lld: it must not be negative", function, (long long)o->step);
    return NDE_OK;
}

/* The rate of the next step. */
static double rate_of(const nde_optimiser *o) {
    if (o->step < o->warmup_steps) return o->rate*(((double)o->step + 1)/(double)o->warmup_steps);
    const int64_t since = o->step - o->warmup_steps;
    const double j = (double)since, t = (double)o->decay_steps, pi = 3.14159265358979323846;
    switch (o->schedule) {
    case NDE_SCHEDULE_EXPONENTIAL: return o->rate*pow(o->decay, j/t);
    case NDE_SCHEDULE_COSINE:
        return o->rate*(since < o->decay_steps ? o->decay + (1 - o->decay)*(1 + cos(pi*(j/t)))/2 : o->decay);
    default: return o->rate;
    }
}

/* Copies the optimiser with everything resolved. */
static nde_status read_optimiser(const char *function, const nde_optimiser *given, nde_optimiser *o, double *rate) {
    if (!given) return nde_fail(NDE_E_ARG, "%s: optimiser is NULL", function);
    if (!nde_read_sized(o, sizeof *o, given, sizeof *o))
        return nde_fail(NDE_E_ARG, "%s: size is %zu, which is not a layout that this library knows", function, given->size);
    if (o->kind == 0) o->kind = NDE_ADAM;
    if (o->kind < NDE_ADAM || o->kind >= KINDS)
        return nde_fail(NDE_E_ARG, "%s: kind is %d, which is none", function, (int)o->kind);
    o->rate = resolve(o->rate, kinds[o->kind].rate);
    o->beta1 = resolve(o->beta1, 0.9);
    o->beta2 = resolve(o->beta2, 0.999);
    o->momentum = resolve(o->momentum, 0);
    o->rho = resolve(o->rho, kinds[o->kind].rho);
    o->epsilon = resolve(o->epsilon, kinds[o->kind].epsilon);
    o->weight_decay = resolve(o->weight_decay, kinds[o->kind].weight_decay);
    o->clip_norm = resolve(o->clip_norm, 0);
    o->clip_value = resolve(o->clip_value, 0);
    o->decay = resolve(o->decay, o->schedule == NDE_SCHEDULE_EXPONENTIAL ? 0.1 : 0);
    nde_status status = check_numbers(function, given, o);
    if (!status) status = check_schedule(function, o);
    if (status) return status;
    if (o->nesterov < 0 || o->nesterov > 1 || (o->nesterov && (o->kind != NDE_SGD || o->momentum == 0)))
        return nde_fail(NDE_E_ARG, "%s: nesterov is %d: it must be 0, or 1 with SGD and momentum", function, (int)o->nesterov);
    *rate = rate_of(o);
    if (!(*rate <= DBL_MAX))
        return nde_fail(NDE_E_ARG, "%s: the rate of step %lld is %g, by a decay of %g", function, (long long)o->step, *rate,
                        o->decay);
    return NDE_OK;
}

static size_t arrays_of(const nde_optimiser *o) {
    return kinds[o->kind].arrays + (kinds[o->kind].takes_momentum && o->momentum > 0);
}

static nde_status read_length(const char *function, const nde_optimiser *o, size_t np, size_t *length) {
    size_t bytes;
    if (np == 0) return nde_fail(NDE_E_ARG, "%s: np is 0", function);
    if (!nde_size_multiply(np, arrays_of(o), length) || !nde_size_multiply(np, 3*sizeof(double), &bytes))
        return nde_fail(NDE_E_ARG, "%s: np is %zu", function, np);
    return NDE_OK;
}

size_t nde_optimiser_length(const nde_optimiser *optimiser, size_t np) {
    static const char *const function = "nde_optimiser_length";
    nde_optimiser o;
    double rate;
    size_t length;
    return read_optimiser(function, optimiser, &o, &rate) || read_length(function, &o, np, &length) ? 0 : length;
}

double nde_optimiser_rate(const nde_optimiser *optimiser) {
    nde_optimiser o;
    double rate;
    return read_optimiser("nde_optimiser_rate", optimiser, &o, &rate) ? (double)NAN : rate;
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

/* The factor that cuts the 2-norm to `most`, for a gradient whose largest entry is `unit`: in units of it squares neither
 * overflow nor vanish. */
static double cut_of(const nde_update_kernels *k, const nde_update *u, size_t np, const nde_real *gradient, const nde_real *p,
                     double most, double unit) {
    if (most == 0 || unit == 0) return 1;
    const double norm = sqrt(k->squares(u, np, gradient, p, unit));
    return norm > most/unit ? most/unit/norm : 1;
}

/* The first entry that is not finite, else the largest. */
static nde_status blame(const nde_update_kernels *k, const nde_update *u, size_t np, const nde_real *gradient,
                        const nde_real *p) {
    size_t place = 0;
    double most = -1;
    for (size_t i = 0; i < np && most <= DBL_MAX; i++) {
        const double g = k->largest(u, 1, gradient + i, p + i);
        if (g > most || isnan(g)) most = g, place = i;
    }
    const char *and = u->decay > 0 ? ", plus weight_decay times p" : "";
    return nde_fail(NDE_E_NONFINITE, "nde_optimiser_step: gradient[%zu] is %g%s: it or its square is not finite; nothing was "
                    "changed", place, (double)gradient[place], and);
}

/* Clips, and refuses what would stay in the state for ever: what is not finite, and what has no square. */
static nde_status weigh(const nde_update_kernels *k, const nde_optimiser *o, size_t np, const nde_real *gradient,
                        const nde_real *p, nde_update *u) {
    const double decay = u->decay, most = 0x1p511;
    u->limit = (double)INFINITY, u->cut = 1, u->decay = 0;
    double top = k->largest(u, np, gradient, p);
    if (!(top <= DBL_MAX)) return blame(k, u, np, gradient, p);
    if (o->clip_value > 0 && o->clip_value < top) top = u->limit = o->clip_value;
    u->cut = cut_of(k, u, np, gradient, p, o->clip_norm, top);
    top *= u->cut;
    u->decay = decay;
    if (decay > 0) top = k->largest(u, np, gradient, p);
    return top <= most ? NDE_OK : blame(k, u, np, gradient, p);
}

nde_status nde_optimiser_step(nde_optimiser *optimiser, size_t np, const nde_real *gradient, nde_real *p) {
    static const char *const function = "nde_optimiser_step";
    const nde_update_kernels *k = nde_kernels_get(NDE_ISA_AUTO, true)->update;
    nde_optimiser o;
    double rate;
    size_t length;
    nde_status status = read_optimiser(function, optimiser, &o, &rate);
    if (!status) status = read_length(function, &o, np, &length);
    if (status) return status;
    if (!gradient || !p || (length && !o.state))
        return nde_fail(NDE_E_ARG, "%s: %s is NULL", function, !gradient ? "gradient" : !p ? "p" : "optimiser.state");
    const bool decoupled = o.kind == NDE_ADAMW;
    const double t = (double)o.step + 1;
    nde_update u = {
        .kind = o.kind, .arrays = arrays_of(&o), .nesterov = o.nesterov == 1, .rate = rate,
        .decay = decoupled ? 0 : o.weight_decay, .keep = decoupled ? 1 - rate*o.weight_decay : 1,
        .beta1 = o.beta1, .beta2 = o.beta2, .debias1 = 1 - pow(o.beta1, t), .debias2 = 1 - pow(o.beta2, t),
        .momentum = o.momentum, .rho = o.rho, .epsilon = o.epsilon,
    };
    status = weigh(k, &o, np, gradient, p, &u);
    if (status) return status;
    if (o.step == 0 && length) memset(o.state, 0, length*sizeof *o.state);
    k->step(&u, np, gradient, o.state, p);
    optimiser->step = o.step < INT64_MAX ? o.step + 1 : o.step;
    return NDE_OK;
}
