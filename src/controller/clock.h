/* SPDX-License-Identifier: MIT
 * clock.h - time and step size of each lane of a block: where it goes, whether it is accepted, how its clock moves. Always
 * double; compiled for each instruction set, with the same bits in all of them. */
#ifndef NDE_CLOCK_H
#define NDE_CLOCK_H

#include "controller/controller.h"

typedef struct nde_clock {
    double direction, h_max; /* h_max 0: no bound */
    int64_t max_steps;       /* <= 0: no limit */
    uint32_t look;           /* of 2^32 accepted steps, at how many a lane is looked at for stiffness */
} nde_clock;

/* Is it at this accepted step, counted from 1? At those where the fraction of step times the golden ratio is small: they
 * fall in with no pattern of step sizes. Source: D. Knuth, The Art of Computer Programming 3 (1998), 6.4. */
static inline bool nde_clock_looks(uint32_t look, int64_t step) { return (uint32_t)step*2654435769u < look; }

/* An attempt of n lanes, and the one after it. */
typedef struct nde_judgement {
    double scale;              /* the square of the norm relative to the tolerance is error*scale: <= 1 accepts; NaN and Inf
                                * reject with factor_min */
    const double *error;
    const double *t, *t_new, *dt, *stop;
    double *past;              /* in, out: nde_weigh_past of the last accepted step; nde_weigh_past(0) at the start */
    const nde_filter *filter;  /* NULL: I or PI, which need no more than that */
    double *past2, *h_last2;   /* in, out with a filter: of the accepted step before the last; all three 0 at the start */
    const double *h_last;      /* the last accepted step; 0: none */
    double *refused;           /* in, out: attempts rejected in a row */
    unsigned char *accept;     /* out: 1 or 0 */
    double *h;                 /* out: next step size */
    double *t_next, *dt_next;  /* out: t_new and dt of the next attempt */
} nde_judgement;

typedef struct nde_clock_kernels {
    void (*judge)(const nde_control *control, const nde_clock *clock, size_t n, const nde_judgement *attempt);
    /* Which lanes need more than their clock moved: those rejected, those accepted that reach their watch (the next save,
     * forced time or end), have no step left or are looked at. lane [n]: out, ascending; returns how many. */
    size_t (*attend)(const nde_clock *clock, size_t n, const double *refused, const double *t_new, const double *watch,
                     const int64_t *accepted, const int64_t *rejected, size_t *lane);
    /* Moves the clocks: accepted lanes to t_new. */
    void (*move)(size_t n, const double *refused, const double *t_new, const double *dt, double *t, double *h_first,
                 double *h_last, int64_t *accepted);
} nde_clock_kernels;

extern const nde_clock_kernels nde_clock_kernels_baseline;
extern const nde_clock_kernels nde_clock_kernels_v3;
extern const nde_clock_kernels nde_clock_kernels_v4;

#endif
