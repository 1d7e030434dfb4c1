/* SPDX-License-Identifier: MIT
 * gbm_option - the price of a European call on dS = r S dt + v S dW by multilevel Monte Carlo, with its standard error and
 * what each level costs, and what plain Monte Carlo would, beside the formula of Black and Scholes; by Euler's method and
 * Milstein's.
 *   gbm_option [ERROR]
 * F. Black, M. Scholes, The pricing of options and corporate liabilities, J. Political Economy 81 (1973) 637-654. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "nde.h"

enum { BATCH = 2000 };
static const double r = 0.05, v = 0.2, strike = 1, maturity = 1;

static int drift(double t, const double *s, const double *p, double *ds, void *ctx) {
    (void)t, (void)p, (void)ctx;
    return ds[0] = r*s[0], NDE_FIELD_OK;
}
static int diffusion(double t, const double *s, const double *p, double *ds, void *ctx) {
    (void)t, (void)p, (void)ctx;
    return ds[0] = v*s[0], NDE_FIELD_OK;
}
static int diffusion_jvp(double t, const double *s, const double *p, double vt, const double *vs, const double *vp,
                         double *dv, void *ctx) {
    (void)t, (void)s, (void)p, (void)vt, (void)vp, (void)ctx;
    return dv[0] = v*vs[0], NDE_FIELD_OK;
}

/* What the option is worth today on each path. */
static int pay(void *ctx, const nde_solution *y, double *value) {
    (void)ctx;
    for (size_t b = 0; b < y->n; b++) value[b] = exp(-r*maturity)*fmax(y->y_end[b] - strike, 0);
    return 0;
}

static double normal_cdf(double x) { return 0.5*erfc(-x/sqrt(2)); }
static double black_scholes(double s) {
    const double d = (log(s/strike) + (r + 0.5*v*v)*maturity)/(v*sqrt(maturity));
    return s*normal_cdf(d) - strike*exp(-r*maturity)*normal_cdf(d - v*sqrt(maturity));
}

/* Levels of batches of BATCH paths; `plain`: what all of them with the finest steps would cost. */
static nde_status price(const nde_problem *problem, int method, double error) {
    const nde_options options = NDE_INIT(nde_options, .method = method, .steps = 2);
    const nde_multilevel what = NDE_INIT(nde_multilevel, .problem = problem, .options = &options, .value = pay,
                                         .error = error, .weak = 1);
    nde_multilevel_report found = NDE_INIT(nde_multilevel_report, .levels = 0);
    const nde_status status = nde_multilevel_run(&what, &found);
    if (status) return status;
    printf("%s\n  steps    samples          mean      variance  cost\n", nde_method_name(nde_method_get(method)));
    for (int l = 0; l < found.levels; l++) {
        const nde_level *level = &found.level[l];
        printf("%7lld %10lld %13.6e %13.6e %5.0f\n", (long long)level->steps, (long long)level->samples, level->mean,
               level->variance, level->cost);
    }
    printf("value %.6f +- %.6f, bias %.1e%s\ncost %.3e, plain %.3e: %.1f times as much\n\n", found.value,
           found.standard_error, found.bias, found.reached ? "" : " (not as wanted)", found.cost, found.plain_cost,
           found.plain_cost/found.cost);
    return NDE_OK;
}

int main(int argc, char **argv) {
    char *rest = NULL;
    const double error = argc > 1 ? strtod(argv[1], &rest) : 2e-4;
    if (argc > 2 || (rest && *rest) || !(error >= 2e-5) || error > 1)
        return fprintf(stderr, "usage: gbm_option [ERROR]\n"), EXIT_FAILURE;
    static double s0[BATCH];
    for (size_t b = 0; b < BATCH; b++) s0[b] = 1;
    const nde_pointwise of_drift = NDE_INIT(nde_pointwise, .f = drift),
                        of_diffusion = NDE_INIT(nde_pointwise, .f = diffusion, .jvp = diffusion_jvp);
    const nde_field f = nde_field_pointwise(&of_drift, 1, 0), g = nde_field_pointwise(&of_diffusion, 1, 0);
    const nde_noise noise = NDE_INIT(nde_noise, .seed = 1973);
    const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &noise, .kind = NDE_NOISE_DIAGONAL);
    const nde_problem problem = NDE_INIT(nde_problem, .n = BATCH, .y0 = s0, .t1 = maturity, .drift = &f, .terms = &term,
                                         .n_terms = 1, .calculus = NDE_ITO);
    printf("Black and Scholes: %.6f\n\n", black_scholes(1));
    nde_status status = price(&problem, NDE_EULER_MARUYAMA, error);
    if (!status) status = price(&problem, NDE_MILSTEIN, error);
    if (status) fprintf(stderr, "gbm_option: %s\n", nde_error());
    return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
