/* SPDX-License-Identifier: MIT
 * clock.c - time and step size of each lane of a block; compiled once for each instruction set. */
#include "controller/clock.h"
#include "controller/filter.h"
#include "core/isa.h"

#include <float.h>

/* By a filter: all its history is in the lanes. */
static void judge_filtered(const nde_control *control, const nde_clock *clock, size_t n, const nde_judgement *j) {
    enum { CHUNK = 64 };
    const double direction = clock->direction, most_h = clock->h_max > 0 ? clock->h_max : DBL_MAX, scale = j->scale;
    const nde_control c = *control;
    const nde_filter f = *j->filter;
    const double *restrict error = j->error, *restrict t = j->t, *restrict t_new = j->t_new, *restrict dt = j->dt,
                           *restrict stop = j->stop, *restrict h_last = j->h_last;
    double *restrict refused = j->refused, *restrict past = j->past, *restrict past2 = j->past2,
        *restrict h_last2 = j->h_last2, *restrict h = j->h,
                     *restrict t_next = j->t_next, *restrict dt_next = j->dt_next;
    for (size_t b = 0; b < n; b += CHUNK) {
        const size_t m = n - b < CHUNK ? n - b : CHUNK;
        double good[CHUNK];
        NDE_IVDEP
        for (size_t l = 0; l < m; l++) {
            nde_weigh_filter(&c, &f, direction, most_h, error[b + l]*scale, refused[b + l], past[b + l], past2[b + l],
                             h_last[b + l], h_last2[b + l], t[b + l], t_new[b + l], dt[b + l], stop[b + l], past + b + l,
                             past2 + b + l, good + l, h + b + l, t_next + b + l, dt_next + b + l);
            h_last2[b + l] = good[l] != 0 ? h_last[b + l] : h_last2[b + l];
            refused[b + l] = good[l] != 0 ? 0 : refused[b + l] + 1;
        }
        for (size_t l = 0; l < m; l++) j->accept[b + l] = good[l] != 0;
    }
}

static void judge(const nde_control *control, const nde_clock *clock, size_t n,
                  const nde_judgement *j) {
    enum { CHUNK = 128 };
    const double direction = clock->direction, most_h = clock->h_max > 0 ? clock->h_max : DBL_MAX,
                 scale = j->scale;
    if (j->filter) {
        judge_filtered(control, clock, n, j);
        return;
    }
    if (n == 1) { /* no vector set-up for one trajectory */
        double good;
        nde_weigh(control, direction, most_h, *j->error*scale, *j->refused, *j->past, *j->t,
                  *j->t_new, *j->dt, *j->stop, j->past, &good, j->h, j->t_next, j->dt_next);
        *j->accept = good != 0;
        *j->refused = good != 0 ? 0 : *j->refused + 1;
        return;
    }
    const nde_control c = *control;
    const double *restrict error = j->error, *restrict t = j->t, *restrict t_new = j->t_new,
                           *restrict dt = j->dt, *restrict stop = j->stop;
    double *restrict past = j->past, *restrict refused = j->refused, *restrict h = j->h, *restrict t_next = j->t_next,
                     *restrict dt_next = j->dt_next;
    unsigned char *restrict accept = j->accept;
    for (size_t b = 0; b < n; b += CHUNK) {
        const size_t m = n - b < CHUNK ? n - b : CHUNK;
        double e[CHUNK], is[CHUNK], rate[CHUNK], factor[CHUNK];
        NDE_IVDEP
        for (size_t l = 0; l < m; l++) e[l] = error[b + l]*scale, is[l] = nde_weigh_log(e[l]);
        NDE_IVDEP
        for (size_t l = 0; l < m; l++) rate[l] = nde_weigh_rate(&c, e[l], is[l], past[b + l], past + b + l);
        NDE_IVDEP
        for (size_t l = 0; l < m; l++) {
            factor[l] = nde_weigh_factor(&c, e[l], rate[l], refused[b + l]);
            refused[b + l] = e[l] <= 1 ? 0 : refused[b + l] + 1;
        }
        NDE_IVDEP
        for (size_t l = 0; l < m; l++)
            nde_weigh_step(factor[l], direction, most_h, e[l] <= 1, t[b + l], t_new[b + l], dt[b + l], stop[b + l], h + b + l,
                           t_next + b + l, dt_next + b + l);
        for (size_t l = 0; l < m; l++) accept[b + l] = (unsigned char)(refused[b + l] == 0);
    }
}

static size_t attend(const nde_clock *clock, size_t n, const double *refused, const double *t_new,
                     const double *watch, const int64_t *accepted, const int64_t *rejected,
                     size_t *restrict lane) {
    enum { CHUNK = 128 };
    const double direction = clock->direction;
    const int64_t most = clock->max_steps > 0 ? clock->max_steps : INT64_MAX;
    const uint32_t look = clock->look;
    size_t count = 0;
    if (n == 1) {
        lane[0] = 0;
        return direction**t_new >= direction**watch || *refused != 0 ||
               *accepted + *rejected + 1 >= most || nde_clock_looks(clock->look, *accepted + 1);
    }
    for (size_t b = 0; b < n; b += CHUNK) {
        const size_t m = n - b < CHUNK ? n - b : CHUNK;
        uint64_t flag[CHUNK], any = 0; /* as wide as the clocks */
        for (size_t l = 0; l < m; l++) {
            const int64_t good = accepted[b + l], bad = rejected[b + l];
            uint64_t f = refused[b + l] != 0;
            f |= direction*t_new[b + l] >= direction*watch[b + l];
            f |= good + bad + 1 >= most;
            f |= nde_clock_looks(look, good + 1);
            flag[l] = f, any |= f;
        }
        for (size_t l = 0; any && l < m; l++) lane[count] = b + l, count += flag[l];
    }
    return count;
}

static void move(size_t n, const double *refused, const double *t_new, const double *dt, double *restrict t,
                 double *restrict h_first, double *restrict h_last, int64_t *restrict accepted) {
    for (size_t b = 0; b < n; b++) {
        const bool good = refused[b] == 0;
        t[b] = good ? t_new[b] : t[b];
        h_first[b] = accepted[b] == 0 ? dt[b] : h_first[b];
        h_last[b] = good ? dt[b] : h_last[b];
        accepted[b] += good;
    }
}

const nde_clock_kernels NDE_ISA_NAME(nde_clock_kernels) = { .judge = judge,
                                                            .attend = attend,
                                                            .move = move };
