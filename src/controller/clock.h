/* SPDX-License-Identifier: MIT
 * clock.h - time and step size of each lane of a block: where it goes, whether it is accepted, how its clock moves. Always
 * double; compiled for each instruction set, with the same bits in all of them. */
#ifndef NDE_CLOCK_H
#define NDE_CLOCK_H

#include "controller/controller.h"

typedef struct nde_clock {
    double direction, h_max; /* h_max 0: no bound */
    int64_t max_steps;       /* <= 0: no limit */
} nde_clock;

typedef struct nde_clock_kernels {
    /* Adaptive steps: t_new = t + h, or the stop when that is within 1.01 h; dt = t_new - t. */
    void (*plan)(double direction, size_t n, const double *t, const double *h, const double *stop, double *t_new, double *dt);
    /* Judges n lanes: error[b] is the square of the norm relative to the tolerance (<= 1 accepts; NaN and Inf reject with
     * factor_min).
     *   before    in, out: error of the last accepted step (at least 1e-8), 1e-8 at the start
     *   rejected  in, out: was the last attempt rejected
     *   factor    out: of the next step size;  accept  out: 1 or 0 */
    void (*judge)(const nde_control *control, size_t n, const double *error, double *before, unsigned char *rejected,
                  double *factor, unsigned char *accept);
    /* Which lanes need more than their clock moved: those rejected, those accepted that reach their watch (the next save, forced
     * time or end) or have no step left. lane [n]: out, ascending; returns how many. */
    size_t (*attend)(const nde_clock *clock, size_t n, const unsigned char *accept, const double *t_new, const double *watch,
                     const int64_t *accepted, const int64_t *rejected, size_t *lane);
    /* Moves the clocks: accepted lanes to t_new; the next h is dt*factor within h_max. */
    void (*move)(const nde_clock *clock, size_t n, const unsigned char *accept, const double *t_new, const double *dt,
                 const double *factor, double *t, double *h, double *h_first, double *h_last, int64_t *accepted,
                 int64_t *rejected, int64_t *refusals);
} nde_clock_kernels;

extern const nde_clock_kernels nde_clock_kernels_baseline;
extern const nde_clock_kernels nde_clock_kernels_v3;
extern const nde_clock_kernels nde_clock_kernels_v4;

#endif
