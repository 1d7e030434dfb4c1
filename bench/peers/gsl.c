/* SPDX-License-Identifier: MIT
 * GSL's odeiv2. */
#include "driver.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_odeiv2.h>

const char program[] = "GSL";
const char *const methods[] = { "rkf45", "rkck", "rk8pd", "msadams", NULL };
static long evaluations;

#define EVAL(name, dim)                                                         \
    static int eval_##name(double t, const double *y, double *dy, void *ctx) { \
        (void)ctx;                                                              \
        evaluations++;                                                          \
        name(t, y, dy);                                                         \
        return GSL_SUCCESS;                                                     \
    }
EACH_PROBLEM(EVAL)
#define SYSTEM(name, n) { .function = eval_##name, .dimension = n },
static const gsl_odeiv2_system systems[] = { EACH_PROBLEM(SYSTEM) };

static long solve(int which, int method, double tolerance, double *y) {
    const gsl_odeiv2_step_type *const types[] = { gsl_odeiv2_step_rkf45, gsl_odeiv2_step_rkck, gsl_odeiv2_step_rk8pd,
                                                  gsl_odeiv2_step_msadams };
    static gsl_odeiv2_driver *driver;
    static int of_which = -1, of_method;
    static double of_tolerance;
    const problem *p = &problems[which];
    gsl_set_error_handler_off();
    if (of_which != which || of_method != method || of_tolerance != tolerance) {
        if (driver) gsl_odeiv2_driver_free(driver);
        driver = gsl_odeiv2_driver_alloc_y_new(&systems[which], types[method], 1e-3, tolerance, tolerance);
        gsl_odeiv2_driver_set_nmax(driver, 1000000);
        of_which = which, of_method = method, of_tolerance = tolerance;
    }
    double t = 0;
    memcpy(y, p->y0, (size_t)p->dim*sizeof *y);
    gsl_odeiv2_driver_reset(driver), gsl_odeiv2_driver_reset_hstart(driver, 1e-3);
    evaluations = 0;
    return gsl_odeiv2_driver_apply(driver, &t, p->t1, y) == GSL_SUCCESS ? evaluations : 0;
}
