/* SPDX-License-Identifier: MIT
 * adjoint.c - the continuous adjoint by CVODES: a' = -J' a - l_y' a_z backwards from the seeds, with the integrals of f_p' a +
 * l_p' a_z, along the solution that CVODES makes again between its checkpoints. */
#include "stiff/sun.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void negate(double *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = -x[i];
}

static int rhs(sunrealtype t, N_Vector y, N_Vector a, N_Vector da, void *data) {
    nde_sun_worker *w = data;
    const size_t n = w->solver->rhs.dim;
    double *out = nde_sun_data(da);
    memset(out, 0, n*sizeof *out);
    w->evals++;
    const int verdict = nde_sun_transpose(w, t, nde_sun_data(y), nde_sun_data(a), w->a_z, out, NULL, NULL);
    negate(out, n);
    return verdict;
}

static int integrand(sunrealtype t, N_Vector y, N_Vector a, N_Vector dp, void *data) {
    nde_sun_worker *w = data;
    const nde_rhs *r = &w->solver->rhs;
    const size_t count = r->np + r->nq;
    double *out = nde_sun_data(dp), *unwanted = w->one.k;
    memset(out, 0, count*sizeof *out);
    memset(unwanted, 0, r->dim*sizeof *unwanted);
    const int verdict = nde_sun_transpose(w, t, nde_sun_data(y), nde_sun_data(a), w->a_z, unwanted, out, r->nq ? out + r->np
                                          : NULL);
    negate(out, count);
    return verdict ? verdict : nde_sun_verdict(w, 0, w->one.mark, 1, out, count, 1);
}

static int jacobian(sunrealtype t, N_Vector y, N_Vector a, N_Vector da, SUNMatrix to, void *data, N_Vector b, N_Vector c,
                    N_Vector d) {
    (void)a, (void)da, (void)b, (void)c, (void)d;
    (void)SUNMatZero(to);
    return nde_sun_jacobian(data, t, nde_sun_data(y), -1, true, nde_sun_matrix_of(to));
}

static int product(N_Vector v, N_Vector jv, sunrealtype t, N_Vector y, N_Vector a, N_Vector da, void *data, N_Vector b) {
    nde_sun_worker *w = data;
    double *out = nde_sun_data(jv);
    (void)a, (void)da, (void)b;
    memset(out, 0, w->solver->rhs.dim*sizeof *out);
    w->products++;
    const int verdict = nde_sun_transpose(w, t, nde_sun_data(y), nde_sun_data(v), NULL, out, NULL, NULL);
    negate(out, w->solver->rhs.dim);
    return verdict;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static bool attach(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    if (s->linear == NDE_STIFF_NONE) {
        w->back_functional = SUNNonlinSol_FixedPoint(w->a_y, 0, w->context);
        return w->back_functional && !CVodeSetNonlinearSolverB(w->memory, w->which, w->back_functional);
    }
    if (s->linear == NDE_STIFF_KRYLOV) {
        w->back_krylov = SUNLinSol_SPGMR(w->a_y, SUN_PREC_NONE, (int)s->stiff.krylov, w->context);
        return w->back_krylov && !CVodeSetLinearSolverB(w->memory, w->which, w->back_krylov, NULL) &&
               !CVodeSetJacTimesB(w->memory, w->which, NULL, product);
    }
    w->back_matrix = nde_sun_matrix_new(&w->pool, s->rhs.dim, s->upper, s->lower);
    return w->back_matrix &&
           !CVodeSetLinearSolverB(w->memory, w->which, nde_sun_lu_make(&w->back_lu, w->context, w->pivot_back, s->lapack),
                                  w->back_matrix) &&
           !CVodeSetJacFnB(w->memory, w->which, jacobian);
}

static bool limits(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    const nde_stiff_options *f = &s->stiff;
    const int most = f->back_method == NDE_STIFF_ADAMS ? 12 : 5;
    const double rtol = f->back_rtol > 0 ? f->back_rtol : s->rtol;
    for (size_t i = 0; i < s->rhs.dim; i++) nde_sun_data(w->back_atol)[i] = f->back_atol > 0 ? f->back_atol : s->atol[i];
    return !CVodeSVtolerancesB(w->memory, w->which, rtol, w->back_atol) && !CVodeSetUserDataB(w->memory, w->which, w) &&
           !CVodeSetMaxNumStepsB(w->memory, w->which, s->options.max_steps > 0 ? (long)s->options.max_steps : LONG_MAX) &&
           !CVodeSetMaxOrdB(w->memory, w->which, f->max_order < most ? f->max_order : most) &&
           !CVodeSetMaxHnilWarns(CVodeGetAdjCVodeBmem(w->memory, w->which), -1);
}

static bool integrals(nde_sun_worker *w) {
    const nde_stiff_options *f = &w->solver->stiff;
    const bool counted = f->integral_rtol > 0 || f->integral_atol > 0;
    if (!w->a_p) return true;
    if (CVodeQuadInitB(w->memory, w->which, integrand, w->a_p)) return false;
    return !counted || (!CVodeQuadSStolerancesB(w->memory, w->which, f->integral_rtol, f->integral_atol > 0 ? f->integral_atol
                                                : DBL_MIN) &&
                        !CVodeSetQuadErrConB(w->memory, w->which, 1));
}

/* The backward problem from t, where a_y and a_p are. */
static nde_status restart(nde_sun_worker *w, double t) {
    const nde_stiff_solver *s = w->solver;
    if (w->which >= 0) {
        int flag = CVodeReInitB(w->memory, w->which, t, w->a_y);
        if (!flag && w->a_p) flag = CVodeQuadReInitB(w->memory, w->which, w->a_p);
        return flag ? NDE_E_STEPSIZE : NDE_OK;
    }
    const int lmm = s->stiff.back_method == NDE_STIFF_ADAMS ? CV_ADAMS : CV_BDF;
    int which;
    if (CVodeCreateB(w->memory, lmm, &which)) return NDE_E_NOMEM;
    w->which = which;
    const bool made = !CVodeInitB(w->memory, which, rhs, t, w->a_y) && limits(w) && attach(w) && integrals(w);
    if (w->pool.failed) return NDE_E_NOMEM;
    if (!made) w->which = -2; /* half of it is there: the way back is closed */
    return made ? NDE_OK : NDE_E_NOMEM;
}

static nde_status vectors(nde_sun_worker *w) {
    const nde_rhs *r = &w->solver->rhs;
    const size_t count = r->np + r->nq;
    if (w->which == -2) return NDE_E_NOMEM;
    if (!w->a_y) w->a_y = nde_sun_vector_new(&w->pool, r->dim);
    if (!w->back_atol) w->back_atol = nde_sun_vector_new(&w->pool, r->dim);
    if (count && !w->a_p) w->a_p = nde_sun_vector_new(&w->pool, count);
    if (!w->a_y || !w->back_atol || (count && !w->a_p)) return NDE_E_NOMEM;
    memset(nde_sun_data(w->a_y), 0, r->dim*sizeof(double));
    if (w->a_p) memset(nde_sun_data(w->a_p), 0, count*sizeof(double));
    return NDE_OK;
}

/* ---- the way back ------------------------------------------------------------------------------------------------ */

static void count(nde_sun_worker *w) {
    void *memory = CVodeGetAdjCVodeBmem(w->memory, w->which);
    long steps = 0, failures = 0, iterations = 0, setups = 0, newton = 0, linear = 0;
    int order = 0;
    nde_stats *stats = &w->solver->back_stats[w->who];
    (void)CVodeGetNumSteps(memory, &steps);
    (void)CVodeGetNumErrTestFails(memory, &failures);
    (void)CVodeGetNumNonlinSolvIters(memory, &iterations);
    (void)CVodeGetNumLinSolvSetups(memory, &setups);
    (void)CVodeGetNumStepSolveFails(memory, &newton);
    (void)CVodeGetLastOrder(memory, &order);
    if (w->solver->linear == NDE_STIFF_KRYLOV) (void)CVodeGetNumLinIters(memory, &linear);
    stats->accepted += steps, stats->rejected += failures + newton;
    nde_stiff_counts *c = &w->counts;
    stats->factorisations += setups, stats->newton_iterations += iterations, stats->linear_iterations += linear;
    c->error_failures += failures, c->newton_failures += newton;
    c->last_order = order;
    if (order > c->most_order) c->most_order = order;
}

/* Adds the seeds of the rows at the times that are t; those that were added count down *row. */
static bool add_rows(nde_sun_worker *w, double t, size_t *row) {
    const nde_stiff_solver *s = w->solver;
    const size_t n = s->rhs.dim, N = s->rhs.N;
    bool any = false;
    for (; *row > 0 && fabs(s->save_t[*row - 1] - t) <= 100*DBL_EPSILON*fabs(t); --*row, any = true)
        for (size_t i = 0; i < n; i++) nde_sun_data(w->a_y)[i] += s->seed->y[((*row - 1)*n + i)*N + w->who];
    return any;
}

static int back_to(nde_sun_worker *w, double t) {
    int flag = CVodeB(w->memory, t, CV_NORMAL);
    double at;
    if (flag >= 0) flag = CVodeGetB(w->memory, w->which, &at, w->a_y);
    if (flag >= 0 && w->a_p) flag = CVodeGetQuadB(w->memory, w->which, &at, w->a_p);
    count(w);
    return flag;
}

static nde_status ended(const nde_sun_worker *w, int flag) {
    if (w->pool.failed) return NDE_E_NOMEM;
    if (w->trouble.kind == NDE_SUN_STOPPED) return NDE_STOPPED;
    if (w->trouble.kind) return w->trouble.kind == NDE_SUN_NONFINITE ? NDE_E_NONFINITE : NDE_E_FIELD;
    return flag == CV_TOO_MUCH_WORK ? NDE_E_STEPS : w->solver->engine->status(flag);
}

/* From t1 to t0, with a stop at each row that has a seed. */
static nde_status sweep(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    size_t row = s->seed->y ? s->options.n_save : 0;
    (void)add_rows(w, w->t1, &row);
    if (w->t0 == w->t1) return NDE_OK;
    nde_status bad = restart(w, w->t1);
    while (!bad) {
        const double t = row > 0 ? s->save_t[row - 1] : w->t0, near = 100*DBL_EPSILON*fabs(w->t0);
        const bool last = row == 0 || fabs(t - w->t0) <= near;
        const int flag = back_to(w, last ? w->t0 : t);
        if (flag < 0 || w->pool.failed) return ended(w, flag);
        (void)add_rows(w, last ? w->t0 : t, &row);
        if (last) return NDE_OK;
        bad = restart(w, t);
    }
    return bad;
}

static void seed_end(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    const nde_seed *seed = s->seed;
    const size_t n = s->rhs.dim, N = s->rhs.N;
    double *a = nde_sun_data(w->a_y);
    for (size_t i = 0; seed->y_end && i < n; i++) a[i] += seed->y_end[i*N + w->who];
    for (size_t i = 0; seed->y && !s->options.n_save && i < n; i++) a[i] += seed->y[i*N + w->who];
    w->a_z = seed->quadrature ? w->a_z_space : NULL;
    for (size_t i = 0; w->a_z && i < s->rhs.nz; i++) w->a_z_space[i] = seed->quadrature[i*N + w->who];
}

static void deliver(nde_sun_worker *w) {
    nde_stiff_solver *s = w->solver;
    const nde_gradient *g = s->gradient;
    const size_t N = s->rhs.N, np = s->rhs.np;
    for (size_t i = 0; g->y0 && i < s->rhs.dim; i++) g->y0[i*N + w->who] = nde_sun_data(w->a_y)[i];
    if (np) memcpy(s->sum_p + w->who*np, nde_sun_data(w->a_p), np*sizeof *s->sum_p);
    for (size_t i = 0; g->q && i < s->rhs.nq; i++) g->q[i*N + w->who] = nde_sun_data(w->a_p)[np + i];
}

static nde_status back(nde_sun_worker *w, size_t who) {
    nde_status bad = NDE_OK;
    if (!w->recorded || w->who != who) {
        w->replaying = true;
        bad = nde_sun_trajectory(w, who);
        w->replaying = false;
    }
    w->evals = w->products = w->jacobians = 0;
    w->counts = (nde_stiff_counts){ 0 };
    w->trouble = (nde_sun_trouble){ 0 }, w->said[0] = 0;
    if (!bad) bad = vectors(w);
    if (bad) return bad;
    seed_end(w);
    bad = sweep(w);
    w->counts.products = w->products;
    w->solver->back_counts[who] = w->counts;
    w->solver->back_stats[who].evals = w->evals, w->solver->back_stats[who].jacobians = w->jacobians;
    if (!bad) deliver(w);
    return bad;
}

static void task(void *arg, size_t i, int worker) {
    nde_stiff_solver *s = arg;
    nde_sun_worker *w = &s->worker[worker];
    s->back_stats[i] = (nde_stats){ 0 };
    s->back_counts[i] = (nde_stiff_counts){ 0 };
    s->back_status[i] = s->status[i] < 0 ? NDE_OK : back(w, i);
    if (s->back_status[i]) memcpy(s->said[i], w->said, sizeof w->said);
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

static nde_status check(const nde_stiff_solver *s, const nde_seed *seed, const nde_gradient *gradient) {
    if (!s->adjoint) return nde_fail(NDE_E_ARG, "nde_stiff_backward: options.adjoint was not set");
    if (!s->ran) return nde_fail(NDE_E_ARG, "nde_stiff_backward: there is no finished run");
    if (seed->error_estimate || seed->stiffness_estimate || seed->event_t || seed->event_y || seed->t_end)
        return nde_fail(NDE_E_ARG, "nde_stiff_backward: of seed only y, y_end and quadrature are known");
    if (gradient->t0 || gradient->t1 || gradient->save_t || gradient->jump_t || gradient->jump_u || gradient->input_x ||
        gradient->term_x ||
        gradient->loss_error || gradient->reconstruction || gradient->recomputed || gradient->loss_spread)
        return nde_fail(NDE_E_ARG, "nde_stiff_backward: of gradient only y0, p, q and back are known");
    for (size_t i = 0; i < s->rhs.N; i++) {
        const char *what = s->counts[i].restarts ? "has a jump, clip or reset" : "was ended by an event";
        if (s->counts[i].restarts || s->status[i] == NDE_EVENT)
            return nde_fail(NDE_E_ARG, "nde_stiff_backward: trajectory %zu %s, through which CVODES' adjoint does not go: "
                            "libnde's own methods do", i, what);
    }
    return NDE_OK;
}

static nde_status first_failure(nde_stiff_solver *s, int refused) {
    if (refused) return nde_fail(NDE_E_FIELD, "nde_stiff_backward: options.executor refused to run");
    for (size_t i = 0; i < s->rhs.N; i++)
        if (s->back_status[i])
            return nde_fail(s->back_status[i], "nde_stiff_backward: trajectory %zu: %s%s%.120s", i,
                            nde_status_text(s->back_status[i]),
                            s->said[i][0] ? "; SUNDIALS says: " : "", s->said[i]);
    return NDE_OK;
}

/* Gradients of trajectories that failed are zero. */
static void clear(const nde_stiff_solver *s, const nde_gradient *g) {
    const size_t N = s->rhs.N;
    for (size_t i = 0; i < s->rhs.np*N; i++) s->sum_p[i] = 0;
    if (g->y0) memset(g->y0, 0, s->rhs.dim*N*sizeof *g->y0);
    if (g->q) memset(g->q, 0, s->rhs.nq*N*sizeof *g->q);
}

nde_status nde_stiff_backward(nde_stiff_solver *s, const nde_seed *seed, const nde_gradient *gradient) {
    nde_seed from;
    nde_gradient to;
    if (!s) return nde_fail(NDE_E_ARG, "nde_stiff_backward: solver is NULL");
    if (!seed || !gradient) return nde_sun_refuse(s, nde_fail(NDE_E_ARG, "nde_stiff_backward: %s is NULL", seed ? "gradient"
                                                              : "seed"));
    if (!nde_read_sized(&from, sizeof from, seed, offsetof(nde_seed, error_estimate)) ||
        !nde_read_sized(&to, sizeof to, gradient, offsetof(nde_gradient, recomputed)))
        return nde_sun_refuse(s, nde_fail(NDE_E_ARG, "nde_stiff_backward: size of seed or gradient is not a layout that this "
                                                     "library knows"));
    const nde_status bad = check(s, &from, &to);
    if (bad) return nde_sun_refuse(s, bad);
    s->seed = &from, s->gradient = &to;
    atomic_store(&s->stop, 0);
    if (s->options.max_seconds > 0) s->deadline = nde_nanoseconds() + (int64_t)(1e9*fmin(s->options.max_seconds, 1e9));
    clear(s, &to);
    const nde_status status = first_failure(s, nde_sun_each(s, task));
    s->seed = NULL, s->gradient = NULL;
    if (status) return nde_sun_refuse(s, status);
    for (size_t j = 0; to.p && j < s->rhs.np; j++) {
        double sum = 0;
        for (size_t i = 0; i < s->rhs.N; i++) sum += s->sum_p[i*s->rhs.np + j];
        to.p[j] = sum;
    }
    if (to.back) memcpy(to.back, s->back_stats, s->rhs.N*sizeof *to.back);
    return NDE_OK;
}
