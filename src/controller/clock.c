/* SPDX-License-Identifier: MIT
 * clock.c - time and step size of each lane of a block; compiled once for each instruction set. */
#include "controller/clock.h"
#include "controller/power.h"
#include "core/isa.h"

#include <float.h>

static void plan(double direction, size_t n, const double *t, const double *h, const double *stop, double *restrict t_new,
                 double *restrict dt) {
    for (size_t b = 0; b < n; b++) {
        const double near = direction*(t[b] + 1.01*h[b]), next = near >= direction*stop[b] ? stop[b] : t[b] + h[b];
        t_new[b] = next;
        dt[b] = next - t[b];
    }
}

/* One lane; without branches and in one width, so that lanes vectorise. */
static inline void weigh(const nde_control *c, double error, double refused, double *before, double *factor, double *good) {
    const double e = error > 1e-60 ? error < 1e60 ? error : 1e60 : 1e-60; /* beyond, the factor is cut anyhow */
    const double was = 0.5*c->beta*nde_log2_normal(*before), is = nde_log2_normal(e);
    const double rate = error <= 1 ? was - 0.5*c->alpha*is : -0.5*c->reject*is;
    const double f = c->safety*nde_exp2_normal(rate);
    const double most = error <= 1 ? (refused == 0 ? c->factor_max : 1) : 1, cut = f < most ? f : most;
    const double kept = cut > c->factor_min ? cut : c->factor_min;
    *factor = error <= DBL_MAX ? kept : c->factor_min;
    *before = error <= 1 ? (e > 1e-8 ? e : 1e-8) : *before;
    *good = error <= 1 ? 1 : 0;
}

static void judge(const nde_control *control, size_t n, const double *error, double *restrict before,
                  unsigned char *restrict rejected, double *restrict factor, unsigned char *restrict accept) {
    enum { CHUNK = 64 };
    if (n == 1) { /* no vector set-up for one trajectory */
        double good;
        weigh(control, *error, *rejected, before, factor, &good);
        *accept = good != 0;
        *rejected = good == 0;
        return;
    }
    const nde_control c = *control;
    for (size_t b = 0; b < n; b += CHUNK) {
        const size_t m = n - b < CHUNK ? n - b : CHUNK;
        double refused[CHUNK], good[CHUNK];
        for (size_t l = 0; l < m; l++) refused[l] = rejected[b + l];
        for (size_t l = 0; l < m; l++) weigh(&c, error[b + l], refused[l], before + b + l, factor + b + l, good + l);
        for (size_t l = 0; l < m; l++) {
            accept[b + l] = good[l] != 0;
            rejected[b + l] = good[l] == 0;
        }
    }
}

static size_t attend(const nde_clock *clock, size_t n, const unsigned char *accept, const double *t_new, const double *watch,
                     const int64_t *accepted, const int64_t *rejected, size_t *restrict lane) {
    enum { CHUNK = 64 };
    const double direction = clock->direction;
    const int64_t most = clock->max_steps > 0 ? clock->max_steps : INT64_MAX;
    size_t count = 0;
    if (n == 1) {
        lane[0] = 0;
        return direction**t_new >= direction**watch || !*accept || *accepted + *rejected + 1 >= most;
    }
    for (size_t b = 0; b < n; b += CHUNK) {
        const size_t m = n - b < CHUNK ? n - b : CHUNK;
        unsigned char flag[CHUNK];
        unsigned any = 0;
        for (size_t l = 0; l < m; l++) {
            flag[l] = direction*t_new[b + l] >= direction*watch[b + l];
            flag[l] |= accept[b + l] ^ 1;
            flag[l] |= accepted[b + l] + rejected[b + l] + 1 >= most;
            any |= flag[l];
        }
        for (size_t l = 0; any && l < m; l++)
            if (flag[l]) lane[count++] = b + l;
    }
    return count;
}

static void move(const nde_clock *clock, size_t n, const unsigned char *accept, const double *t_new, const double *dt,
                 const double *factor, double *restrict t, double *restrict h, double *restrict h_first, double *restrict h_last,
                 int64_t *restrict accepted, int64_t *restrict rejected, int64_t *restrict refusals) {
    const double most = clock->h_max > 0 ? clock->h_max : DBL_MAX;
    for (size_t b = 0; b < n; b++) {
        const int64_t good = accept[b];
        const double next = dt[b]*factor[b], bounded = next > most ? most : next < -most ? -most : next;
        t[b] = good ? t_new[b] : t[b];
        h_first[b] = accepted[b] == 0 ? dt[b] : h_first[b];
        h_last[b] = good ? dt[b] : h_last[b];
        h[b] = bounded;
        accepted[b] += good;
        rejected[b] += 1 - good;
        refusals[b] = good ? 0 : refusals[b] + 1;
    }
}

const nde_clock_kernels NDE_ISA_NAME(nde_clock_kernels) = { .plan = plan, .judge = judge, .attend = attend, .move = move };
