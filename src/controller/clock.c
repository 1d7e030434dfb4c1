/* SPDX-License-Identifier: MIT
 * clock.c - time and step size of each lane of a block; compiled once for each instruction set. */
#include "controller/clock.h"
#include "controller/power.h"
#include "core/isa.h"

#include <float.h>

/* One lane; without branches and in one width, so that lanes vectorise. All in registers from the error to the next step: this
 * is on the way to every stage that follows. */
static inline void weigh(const nde_control *c, double direction, double most_h, double error, double refused, double was,
                         double t, double t_new, double dt, double stop, double *before, double *good, double *h, double *t_next,
                         double *dt_next) {
    const double e = error > 1e-60 ? error < 1e60 ? error : 1e60 : 1e-60; /* beyond, the factor is cut anyhow */
    const double past = 0.5*c->beta*nde_log2_normal(was), is = nde_log2_normal(e);
    const double rate = error <= 1 ? past - 0.5*c->alpha*is : -0.5*c->reject*is;
    const double f = c->safety*nde_exp2_normal(rate);
    const double most = error <= 1 ? (refused == 0 ? c->factor_max : 1) : 1, cut = f < most ? f : most;
    const double kept = cut > c->factor_min ? cut : c->factor_min, factor = error <= DBL_MAX ? kept : c->factor_min;
    const double next = dt*factor, bounded = next > most_h ? most_h : next < -most_h ? -most_h : next;
    const double from = error <= 1 ? t_new : t, to = nde_clock_target(direction, from, bounded, stop);
    *before = error <= 1 ? (e > 1e-8 ? e : 1e-8) : was;
    *good = error <= 1 ? 1 : 0;
    *h = bounded;
    *t_next = to;
    *dt_next = to - from;
}

static void judge(const nde_control *control, const nde_clock *clock, size_t n, const nde_judgement *j) {
    enum { CHUNK = 64 };
    const double direction = clock->direction, most_h = clock->h_max > 0 ? clock->h_max : DBL_MAX, scale = j->scale;
    if (n == 1) { /* no vector set-up for one trajectory */
        double good;
        weigh(control, direction, most_h, *j->error*scale, *j->rejected, *j->before, *j->t, *j->t_new, *j->dt, *j->stop, j->before,
              &good, j->h, j->t_next, j->dt_next);
        *j->accept = good != 0;
        *j->rejected = good == 0;
        return;
    }
    const nde_control c = *control;
    const double *restrict error = j->error, *restrict t = j->t, *restrict t_new = j->t_new, *restrict dt = j->dt, *restrict stop = j->stop;
    double *restrict before = j->before, *restrict h = j->h, *restrict t_next = j->t_next, *restrict dt_next = j->dt_next;
    for (size_t b = 0; b < n; b += CHUNK) {
        const size_t m = n - b < CHUNK ? n - b : CHUNK;
        double refused[CHUNK], good[CHUNK];
        for (size_t l = 0; l < m; l++) refused[l] = j->rejected[b + l];
#pragma GCC ivdep
        for (size_t l = 0; l < m; l++)
            weigh(&c, direction, most_h, error[b + l]*scale, refused[l], before[b + l], t[b + l], t_new[b + l], dt[b + l], stop[b + l],
                  before + b + l, good + l, h + b + l, t_next + b + l, dt_next + b + l);
        for (size_t l = 0; l < m; l++) {
            j->accept[b + l] = good[l] != 0;
            j->rejected[b + l] = good[l] == 0;
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

static void move(size_t n, const unsigned char *accept, const double *t_new, const double *dt, double *restrict t,
                 double *restrict h_first, double *restrict h_last, int64_t *restrict accepted, int64_t *restrict rejected,
                 int64_t *restrict refusals) {
    for (size_t b = 0; b < n; b++) {
        const int64_t good = accept[b];
        t[b] = good ? t_new[b] : t[b];
        h_first[b] = accepted[b] == 0 ? dt[b] : h_first[b];
        h_last[b] = good ? dt[b] : h_last[b];
        accepted[b] += good;
        rejected[b] += 1 - good;
        refusals[b] = good ? 0 : refusals[b] + 1;
    }
}

const nde_clock_kernels NDE_ISA_NAME(nde_clock_kernels) = { .judge = judge, .attend = attend, .move = move };
