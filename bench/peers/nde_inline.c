/* SPDX-License-Identifier: MIT
 * libnde with each problem compiled into the step by nde/inline.h, as Boost's templates have it. */
#include "driver.h"

#include <nde/inline.h>

const char program[] = "libnde inline";
const char *const methods[] = { "bosh3", "dopri5", "tsit5", "vern6", "vern7", "vern8", "vern9", NULL };

typedef nde_status run(double t0, double t1, double *y, const double *p, void *ctx, const nde_options *options, double *saved,
                       nde_stats *stats);

#define DEFINE(name, dim, method) NDE_INLINE_SOLVER(name##_##method, at_##name, dim, method)
#define FIELD(name, dim)                                                                                   \
    static inline int at_##name(double t, const double *y, const double *p, double *dy, void *ctx) {       \
        (void)p, (void)ctx;                                                                                \
        name(t, y, dy);                                                                                    \
        return 0;                                                                                          \
    }                                                                                                      \
    DEFINE(name, dim, bosh3) DEFINE(name, dim, dopri5) DEFINE(name, dim, tsit5) DEFINE(name, dim, vern6)   \
    DEFINE(name, dim, vern7) DEFINE(name, dim, vern8) DEFINE(name, dim, vern9)
EACH_PROBLEM(FIELD)
#define ROW(name, dim)                                                                                             \
    { name##_bosh3, name##_dopri5, name##_tsit5, name##_vern6, name##_vern7, name##_vern8, name##_vern9 },
static run *const runs[][7] = { EACH_PROBLEM(ROW) };

static long solve(int which, int method, double tolerance, double *y) {
    const problem *p = &problems[which];
    const nde_options o = NDE_INIT(nde_options, .rtol = tolerance, .atol = tolerance);
    nde_stats stats;
    memcpy(y, p->y0, (size_t)p->dim*sizeof *y);
    return runs[which][method](0, p->t1, y, NULL, NULL, &o, NULL, &stats) == NDE_OK ? (long)stats.evals : 0;
}
