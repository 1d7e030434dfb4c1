/* SPDX-License-Identifier: MIT
 * fields.h - the callbacks of the cases, compiled for each precision and instruction set. */
#ifndef NDE_BENCH_FIELDS_H
#define NDE_BENCH_FIELDS_H

#include "bench.h"

typedef int bench_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy);
typedef int bench_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to);
typedef int bench_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv);
typedef int bench_point(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx);

typedef nde_status bench_solve(double t0, double t1, nde_real *y, const nde_real *p, void *ctx, const nde_options *options,
                               nde_real *saved, nde_stats *stats);

enum { BENCH_GBM = 16 }; /* components of the two */

typedef struct bench_fields {
    bench_eval *lorenz;        /* p: sigma, rho, beta */
    bench_eval *lorenz_rho;    /* q: rho; sigma = 10, beta = 8/3 */
    bench_eval *kepler;
    bench_eval *volterra;      /* p: a, b, c, d of x' = x (a - b y), y' = y (d x - c) */
    bench_vjp *lorenz_vjp, *lorenz_rho_vjp, *volterra_vjp;
    bench_jvp *lorenz_jvp;
    bench_eval *robertson, *robertson_jacobian; /* q: the first rate */
    bench_eval *growth;        /* p[0] y */
    bench_eval *volatility;    /* p[1] y */
    bench_eval *one;           /* 1 */
    bench_point *lorenz_point, *kepler_point;
    bench_solve *solve_lorenz; /* lorenz_point and dopri5 by nde/inline.h; double only */
    const nde_step *lorenz_rho_step; /* the same */
    const nde_step *gbm_step, *gbm_srk_step; /* growth and volatility */
} bench_fields;

extern const bench_fields BENCH_NAME(bench_fields_baseline);
#ifdef BENCH_HAVE_X86
extern const bench_fields BENCH_NAME(bench_fields_v3), BENCH_NAME(bench_fields_v4);
#endif

static inline const bench_fields *bench_fields_get(int isa) {
#ifdef BENCH_HAVE_X86
    if (isa == NDE_ISA_V4) return &BENCH_NAME(bench_fields_v4);
    if (isa == NDE_ISA_V3) return &BENCH_NAME(bench_fields_v3);
#endif
    (void)isa;
    return &BENCH_NAME(bench_fields_baseline);
}

#endif
