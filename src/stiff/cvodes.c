/* SPDX-License-Identifier: MIT
 * cvodes.c - the engine of BDF and Adams methods. */
#include "stiff/sun.h"

#include <string.h>

static int rhs(sunrealtype t, N_Vector y, N_Vector dy, void *data) {
    nde_sun_worker *w = data;
    w->evals++;
    return nde_sun_eval(w, &w->solver->rhs.drift, t, nde_sun_data(y), nde_sun_data(dy), w->solver->rhs.dim);
}

static int integrand(sunrealtype t, N_Vector y, N_Vector dz, void *data) {
    nde_sun_worker *w = data;
    return nde_sun_eval(w, &w->solver->rhs.quadrature, t, nde_sun_data(y), nde_sun_data(dz), w->solver->rhs.nz);
}

static int jacobian(sunrealtype t, N_Vector y, N_Vector fy, SUNMatrix to, void *data, N_Vector a, N_Vector b, N_Vector c) {
    (void)fy, (void)a, (void)b, (void)c;
    (void)SUNMatZero(to);
    return nde_sun_jacobian(data, t, nde_sun_data(y), 1, false, nde_sun_matrix_of(to));
}

static int product(N_Vector v, N_Vector jv, sunrealtype t, N_Vector y, N_Vector fy, void *data, N_Vector a) {
    (void)fy, (void)a;
    return nde_sun_product(data, t, nde_sun_data(y), nde_sun_data(v), nde_sun_data(jv));
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

#if SUNDIALS_VERSION_MAJOR < 7
void nde_sun_hear(int code, const char *module, const char *function, char *text, void *data) {
    nde_sun_worker *w = data;
    (void)code, (void)module, (void)function;
    strncpy(w->said, text, sizeof w->said - 1);
}

void nde_sun_listen(nde_sun_worker *w) { /* of the context there is nothing to hear: the objects speak */
    if (w->solver->method == NDE_STIFF_DAE) (void)IDASetErrHandlerFn(w->memory, nde_sun_hear, w);
    else (void)CVodeSetErrHandlerFn(w->memory, nde_sun_hear, w);
}
#else
static void hear(int line, const char *function, const char *file, const char *text, SUNErrCode code, void *data,
                 SUNContext context) {
    nde_sun_worker *w = data;
    (void)line, (void)function, (void)file, (void)code, (void)context;
    if (text) strncpy(w->said, text, sizeof w->said - 1);
}

void nde_sun_listen(nde_sun_worker *w) {
    (void)SUNContext_ClearErrHandlers(w->context);
    (void)SUNContext_PushErrHandler(w->context, hear, w);
}
#endif

/* ---- making ------------------------------------------------------------------------------------------------------ */

static bool attach(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    if (s->linear == NDE_STIFF_NONE) {
        w->functional = SUNNonlinSol_FixedPoint(w->y, 0, w->context);
        return w->functional && !CVodeSetNonlinearSolver(w->memory, w->functional);
    }
    if (s->linear == NDE_STIFF_KRYLOV) {
        w->krylov = SUNLinSol_SPGMR(w->y, SUN_PREC_NONE, (int)s->stiff.krylov, w->context);
        return w->krylov && !CVodeSetLinearSolver(w->memory, w->krylov, NULL) &&
               (s->differences || !CVodeSetJacTimes(w->memory, NULL, product));
    }
    w->matrix = nde_sun_matrix_new(&w->pool, s->rhs.dim, s->lower, s->upper);
    return w->matrix && !CVodeSetLinearSolver(w->memory, nde_sun_lu_make(&w->lu, w->context, w->pivot, s->lapack), w->matrix) &&
           !CVodeSetJacFn(w->memory, jacobian);
}

static bool limits(nde_sun_worker *w) {
    const nde_options *o = &w->solver->options;
    return !CVodeSetMaxNumSteps(w->memory, -1) && !CVodeSetMaxHnilWarns(w->memory, -1) &&
           !CVodeSetMaxOrd(w->memory, w->solver->stiff.max_order) && (!(o->h_max > 0) || !CVodeSetMaxStep(w->memory,
               o->h_max)) &&
           (!(o->h_min > 0) || !CVodeSetMinStep(w->memory, o->h_min));
}

/* They count in the error test: their formula is not that of the state's step. */
static bool integrals(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    return !CVodeQuadInit(w->memory, integrand, w->z) && !CVodeQuadSStolerances(w->memory, s->rtol, s->atol_least) &&
           !CVodeSetQuadErrCon(w->memory, 1);
}

static nde_status make(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    w->memory = CVodeCreate(s->method == NDE_STIFF_ADAMS ? CV_ADAMS : CV_BDF, w->context);
    if (!w->memory) return NDE_E_NOMEM;
    nde_sun_listen(w);
    const bool made = !CVodeInit(w->memory, rhs, 0, w->y) && !CVodeSVtolerances(w->memory, s->rtol, w->atol) &&
                      !CVodeSetUserData(w->memory, w) && attach(w) && limits(w) &&
                      (!s->rhs.nz || integrals(w)) &&
                      (!s->adjoint || !CVodeAdjInit(w->memory, (long)s->stiff.checkpoint, s->stiff.polynomial ? CV_POLYNOMIAL
                                                    : CV_HERMITE));
    return made ? NDE_OK : NDE_E_NOMEM;
}

static void destroy(nde_sun_worker *w) {
    if (w->memory) CVodeFree(&w->memory);
}

/* ---- stepping ---------------------------------------------------------------------------------------------------- */

static int start(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    memcpy(nde_sun_data(w->y), w->state, s->rhs.dim*sizeof(double));
    int flag = CVodeReInit(w->memory, w->t, w->y);
    if (!flag && s->rhs.nz) {
        memcpy(nde_sun_data(w->z), w->z_state, s->rhs.nz*sizeof(double));
        flag = CVodeQuadReInit(w->memory, w->z);
    }
    if (!flag && s->adjoint) flag = CVodeAdjReInit(w->memory);
    if (!flag) flag = CVodeSetInitStep(w->memory, w->direction*s->options.h0);
    return flag ? flag : CVodeSetStopTime(w->memory, w->stop);
}

static int step(nde_sun_worker *w, double *t) {
    int checkpoints;
    return w->solver->adjoint ? CVodeF(w->memory, w->stop, w->y, t, CV_ONE_STEP, &checkpoints)
                              : CVode(w->memory, w->stop, w->y, t, CV_ONE_STEP);
}

static int value(nde_sun_worker *w, double t, int k, double *out) {
    const int flag = CVodeGetDky(w->memory, t, k, w->probe);
    if (!flag) memcpy(out, nde_sun_data(w->probe), w->solver->rhs.dim*sizeof *out);
    return flag;
}

static int quadrature(nde_sun_worker *w, double t, double *out) {
    const int flag = CVodeGetQuadDky(w->memory, t, 0, w->z);
    if (!flag) memcpy(out, nde_sun_data(w->z), w->solver->rhs.nz*sizeof *out);
    return flag;
}

static int64_t refused(nde_sun_worker *w) {
    long failures = 0, newton = 0;
    (void)CVodeGetNumErrTestFails(w->memory, &failures);
    (void)CVodeGetNumStepSolveFails(w->memory, &newton);
    return failures + newton;
}

static void count(nde_sun_worker *w, nde_stats *stats) {
    long steps = 0, failures = 0, iterations = 0, setups = 0, newton = 0, linear = 0;
    (void)CVodeGetNumSteps(w->memory, &steps);
    (void)CVodeGetNumErrTestFails(w->memory, &failures);
    (void)CVodeGetNumNonlinSolvIters(w->memory, &iterations);
    (void)CVodeGetNumLinSolvSetups(w->memory, &setups);
    (void)CVodeGetNumStepSolveFails(w->memory, &newton);
    if (w->solver->linear == NDE_STIFF_KRYLOV) (void)CVodeGetNumLinIters(w->memory, &linear);
    stats->accepted += steps, stats->rejected += failures + newton;
    stats->factorisations += setups, stats->newton_iterations += iterations, stats->linear_iterations += linear;
    w->counts.error_failures += failures, w->counts.newton_failures += newton;
}

static int order(nde_sun_worker *w) {
    int last = 0;
    (void)CVodeGetLastOrder(w->memory, &last);
    return last;
}

static nde_status status(int flag) {
    switch (flag) {
    case CV_MEM_FAIL: case CV_LINIT_FAIL: case CV_NLS_INIT_FAIL: case CV_NLS_SETUP_FAIL: return NDE_E_NOMEM;
    case CV_RHSFUNC_FAIL: case CV_REPTD_RHSFUNC_ERR: case CV_UNREC_RHSFUNC_ERR: case CV_QRHSFUNC_FAIL:
    case CV_REPTD_QRHSFUNC_ERR: case CV_UNREC_QRHSFUNC_ERR: case CV_LSETUP_FAIL: case CV_LSOLVE_FAIL: return NDE_E_FIELD;
    case CV_FIRST_RHSFUNC_ERR: case CV_FIRST_QRHSFUNC_ERR: return NDE_E_FIELD_FIRST;
    case CV_ILL_INPUT: case CV_BAD_T: case CV_BAD_K: return NDE_E_ARG;
    default: return NDE_E_STEPSIZE; /* too much accuracy, convergence and error failures, no room for a step */
    }
}

const nde_sun_engine nde_sun_cvodes = { make, start, step, value, quadrature, refused, count, order, status, destroy };
