/* SPDX-License-Identifier: MIT
 * adam.c - Adam with clipping and an exponential schedule.
 * Source: D. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR (2015), algorithm 1.
 * Clipping by the norm: R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent
 * neural networks, ICML (2013), algorithm 1. */
#include "nde/train.h"

#include <float.h>
#include <math.h>

#include "core/core.h"

/* value; what stands for 0; or 0 for NDE_ZERO. */
static double resolve(double value, double standard) {
    return value == 0 ? standard : value == NDE_ZERO ? 0 : value;
}

/* Copies the options with everything resolved. */
static nde_status read_adam(const nde_adam *adam, nde_adam *a) {
    if (!adam) return nde_fail(NDE_E_ARG, "nde_adam: adam is NULL");
    if (!nde_read_sized(a, sizeof *a, adam, sizeof *a))
        return nde_fail(NDE_E_ARG,
                        "nde_adam: size is %zu, which is not a layout that this library knows",
                        adam->size);
    a->rate = resolve(a->rate, 1e-3);
    a->beta1 = resolve(a->beta1, 0.9);
    a->beta2 = resolve(a->beta2, 0.999);
    a->epsilon = resolve(a->epsilon, 1e-8);
    a->clip = resolve(a->clip, 0);
    a->decay = adam->decay == NDE_ZERO ? 1 : resolve(a->decay, 1);
    if (!(a->rate >= 0 && a->rate <= DBL_MAX))
        return nde_fail(NDE_E_ARG, "nde_adam: rate is %g: it must not be negative", adam->rate);
    if (!(a->beta1 >= 0 && a->beta1 < 1))
        return nde_fail(NDE_E_ARG, "nde_adam: beta1 is %g: it must be in [0, 1)", adam->beta1);
    if (!(a->beta2 >= 0 && a->beta2 < 1))
        return nde_fail(NDE_E_ARG, "nde_adam: beta2 is %g: it must be in [0, 1)", adam->beta2);
    if (!(a->epsilon >= 0 && a->epsilon <= DBL_MAX))
        return nde_fail(NDE_E_ARG, "nde_adam: epsilon is %g: it must not be negative",
                        adam->epsilon);
    if (!(a->clip >= 0))
        return nde_fail(NDE_E_ARG, "nde_adam: clip is %g: it must not be negative", adam->clip);
    if (!(a->decay > 0 && a->decay <= DBL_MAX))
        return nde_fail(NDE_E_ARG, "nde_adam: decay is %g: it must be positive", adam->decay);
    if (a->decay_steps < 0)
        return nde_fail(NDE_E_ARG, "nde_adam: decay_steps is %lld: it must not be negative",
                        (long long)adam->decay_steps);
    if (a->step < 0)
        return nde_fail(NDE_E_ARG, "nde_adam: step is %lld: it must not be negative",
                        (long long)adam->step);
    return NDE_OK;
}

static double rate_of(const nde_adam *a) {
    return a->decay_steps ? a->rate*pow(a->decay, (double)a->step/(double)a->decay_steps) : a->rate;
}

double nde_adam_rate(const nde_adam *adam) {
    nde_adam a;
    return read_adam(adam, &a) ? (double)NAN : rate_of(&a);
}

/* The largest entry of the gradient in magnitude, NaN or Inf when one is not finite; its place. */
static double largest(size_t np, const nde_real *gradient, size_t *place) {
    double most = 0;
    for (size_t i = 0; i < np; i++) {
        const double g = fabs((double)gradient[i]);
        if (g > most || !(g <= DBL_MAX)) most = g, *place = i;
        if (!(g <= DBL_MAX)) break;
    }
    return most;
}

/* The factor that cuts the 2-norm to clip; scaled by the largest entry, so that squares neither
 * overflow nor vanish. */
static double clipping(const nde_adam *a, size_t np, const nde_real *gradient, double most) {
    if (a->clip == 0 || most == 0) return 1;
    double sum = 0;
    for (size_t i = 0; i < np; i++) {
        const double g = (double)gradient[i]/most;
        sum += g*g;
    }
    const double norm = sqrt(sum); /* in units of most */
    return norm > a->clip/most ? a->clip/most/norm : 1;
}

nde_status nde_adam_step(nde_adam *adam, size_t np, const nde_real *gradient, nde_real *p) {
    nde_adam a;
    const nde_status bad = read_adam(adam, &a);
    if (bad) return bad;
    if (!np) return nde_fail(NDE_E_ARG, "nde_adam_step: np is 0");
    if (!gradient || !p || !a.m || !a.v)
        return nde_fail(NDE_E_ARG, "nde_adam_step: %s is NULL",
                        !gradient ? "gradient" : !p ? "p" : !a.m ? "adam.m" : "adam.v");
    size_t place = 0;
    const double most = largest(np, gradient, &place);
    const double cut = clipping(&a, np, gradient, most);
    /* Inf and NaN too. The square of a larger entry would be Inf, and stay in v for ever */
    if (!(most*cut <= 0x1p511))
        return nde_fail(NDE_E_NONFINITE,
                        "nde_adam_step: gradient[%zu] is %g: it or its square is not finite; "
                        "nothing was changed", place, (double)gradient[place]);
    const double rate = rate_of(&a);
    if (!(rate <= DBL_MAX))
        return nde_fail(NDE_E_ARG, "nde_adam_step: the rate of step %lld is %g", (long long)a.step,
                        rate);
    const double t = (double)a.step + 1;
    const double debias1 = 1 - pow(a.beta1, t), debias2 = 1 - pow(a.beta2, t);
    for (size_t i = 0; i < np; i++) {
        const double g = cut*(double)gradient[i];
        const double m0 = a.step ? a.m[i] : 0, v0 = a.step ? a.v[i] : 0;
        const double m = a.beta1*m0 + (1 - a.beta1)*g, v = a.beta2*v0 + (1 - a.beta2)*(g*g);
        a.m[i] = m, a.v[i] = v;
        const double scale = sqrt(v/debias2) + a.epsilon;
        if (scale > 0) /* epsilon may be 0 */
            p[i] = (nde_real)((double)p[i] - rate*(m/debias1)/scale);
    }
    adam->step = a.step < INT64_MAX ? a.step + 1 : a.step;
    return NDE_OK;
}
