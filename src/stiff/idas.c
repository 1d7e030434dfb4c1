/* SPDX-License-Identifier: MIT
 * idas.c - the engine of M y' = F(t, y), M constant and perhaps singular: residual M y' - F. */
#include "stiff/sun.h"

#include <math.h>
#include <string.h>

/* to += factor M v. */
static void add_mass(const nde_stiff_solver *s, double factor, const double *v, double *to) {
    const size_t n = s->rhs.dim;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; s->mass && j < n; j++) sum += s->mass[i*n + j]*v[j];
        to[i] += factor*(s->mass ? sum : s->diagonal ? s->diagonal[i]*v[i] : v[i]);
    }
}

static int residual(sunrealtype t, N_Vector y, N_Vector dy, N_Vector r, void *data) {
    nde_sun_worker *w = data;
    const size_t n = w->solver->rhs.dim;
    double *out = nde_sun_data(r);
    w->evals++;
    const int verdict = nde_sun_eval(w, &w->solver->rhs.drift, t, nde_sun_data(y), out, n);
    for (size_t i = 0; !verdict && i < n; i++) out[i] = -out[i];
    if (!verdict) add_mass(w->solver, 1, nde_sun_data(dy), out);
    return verdict;
}

static int integrand(sunrealtype t, N_Vector y, N_Vector dy, N_Vector dz, void *data) {
    nde_sun_worker *w = data;
    (void)dy;
    return nde_sun_eval(w, &w->solver->rhs.quadrature, t, nde_sun_data(y), nde_sun_data(dz), w->solver->rhs.nz);
}

/* to += factor M. */
static void add_mass_matrix(const nde_stiff_solver *s, double factor, const nde_sun_matrix *to) {
    const size_t n = s->rhs.dim;
    for (size_t j = 0; j < n; j++)
        for (size_t i = s->mass ? 0 : j; i < (s->mass ? n : j + 1); i++) {
            const double m = s->mass ? s->mass[i*n + j] : s->diagonal ? s->diagonal[j] : 1;
            if (m != 0) *nde_sun_at(to, i, j) += factor*m;
        }
}

static int jacobian(sunrealtype t, sunrealtype c, N_Vector y, N_Vector dy, N_Vector r, SUNMatrix to, void *data, N_Vector a,
                    N_Vector b,
                    N_Vector d) {
    nde_sun_worker *w = data;
    (void)dy, (void)r, (void)a, (void)b, (void)d;
    (void)SUNMatZero(to);
    const int verdict = nde_sun_jacobian(w, t, nde_sun_data(y), -1, false, nde_sun_matrix_of(to));
    if (!verdict) add_mass_matrix(w->solver, c, nde_sun_matrix_of(to));
    return verdict;
}

static int product(sunrealtype t, N_Vector y, N_Vector dy, N_Vector r, N_Vector v, N_Vector jv, sunrealtype c, void *data,
                   N_Vector a,
                   N_Vector b) {
    nde_sun_worker *w = data;
    double *out = nde_sun_data(jv);
    (void)dy, (void)r, (void)a, (void)b;
    const int verdict = nde_sun_product(w, t, nde_sun_data(y), nde_sun_data(v), out);
    for (size_t i = 0; !verdict && i < w->solver->rhs.dim; i++) out[i] = -out[i];
    if (!verdict) add_mass(w->solver, c, nde_sun_data(v), out);
    return verdict;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static bool attach(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    if (s->linear == NDE_STIFF_KRYLOV) {
        w->krylov = SUNLinSol_SPGMR(w->y, SUN_PREC_NONE, (int)s->stiff.krylov, w->context);
        return w->krylov && !IDASetLinearSolver(w->memory, w->krylov, NULL) &&
               (s->differences || !IDASetJacTimes(w->memory, NULL, product));
    }
    w->matrix = nde_sun_matrix_new(&w->pool, s->rhs.dim, s->lower, s->upper);
    return w->matrix && !IDASetLinearSolver(w->memory, nde_sun_lu_make(&w->lu, w->context, w->pivot, s->lapack), w->matrix) &&
           !IDASetJacFn(w->memory, jacobian);
}

static bool limits(nde_sun_worker *w) {
    const nde_options *o = &w->solver->options;
    return !IDASetMaxNumSteps(w->memory, -1) && !IDASetMaxOrd(w->memory, w->solver->stiff.max_order) &&
           (!(o->h_max > 0) || !IDASetMaxStep(w->memory, o->h_max)) && (!(o->h_min > 0) || !IDASetMinStep(w->memory, o->h_min));
}

/* Which components have a derivative in the equations. */
static bool name_components(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    if (!s->algebraic) return true;
    for (size_t i = 0; i < s->rhs.dim; i++) nde_sun_data(w->id)[i] = !s->algebraic[i];
    return !IDASetId(w->memory, w->id) && !IDASetSuppressAlg(w->memory, s->stiff.suppress_algebraic);
}

static bool integrals(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    return !IDAQuadInit(w->memory, integrand, w->z) && !IDAQuadSStolerances(w->memory, s->rtol, s->atol_least) &&
           !IDASetQuadErrCon(w->memory, 1);
}

static nde_status make(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    if (s->mass && !s->algebraic) { /* y' at starts: M is regular */
        w->mass_matrix = nde_sun_matrix_new(&w->pool, s->rhs.dim, s->rhs.dim - 1, s->rhs.dim - 1);
        if (!w->mass_matrix) return NDE_E_NOMEM;
        add_mass_matrix(s, 1, nde_sun_matrix_of(w->mass_matrix));
        const bool singular = nde_sun_factor(nde_sun_matrix_of(w->mass_matrix), w->pivot_mass, s->lapack);
        if (singular && !s->stiff.dy0)
            return nde_fail(NDE_E_ARG,
                            "stiff.mass is singular, and has no column that is zero: give dy0, or choose other components");
        if (singular) w->mass_matrix = NULL;
    }
    w->memory = IDACreate(w->context);
    if (!w->memory) return NDE_E_NOMEM;
    nde_sun_listen(w);
    const bool made = !IDAInit(w->memory, residual, 0, w->y, w->dy) && !IDASVtolerances(w->memory, s->rtol, w->atol) &&
                      !IDASetUserData(w->memory, w) && attach(w) && limits(w) && name_components(w) &&
                      (!s->rhs.nz || integrals(w));
    return made ? NDE_OK : NDE_E_NOMEM;
}

static void destroy(nde_sun_worker *w) {
    if (w->memory) IDAFree(&w->memory);
}

/* ---- stepping ---------------------------------------------------------------------------------------------------- */

/* y' at the start: given, or M y' = F for what has a derivative. */
static int slopes(nde_sun_worker *w, bool given) {
    const nde_stiff_solver *s = w->solver;
    const size_t n = s->rhs.dim;
    double *dy = nde_sun_data(w->dy);
    for (size_t i = 0; given && i < n; i++) dy[i] = s->stiff.dy0[i*s->rhs.N + w->who];
    if (given) return 0;
    if (s->mass && !s->algebraic && !w->mass_matrix) return IDA_NO_RECOVERY;
    w->evals++;
    const int verdict = nde_sun_eval(w, &s->rhs.drift, w->t, w->state, dy, n);
    if (verdict) return IDA_FIRST_RES_FAIL;
    for (size_t i = 0; !s->mass && s->diagonal && i < n; i++) dy[i] = s->diagonal[i] != 0 ? dy[i]/s->diagonal[i] : 0;
    if (w->mass_matrix) nde_sun_substitute(nde_sun_matrix_of(w->mass_matrix), w->pivot_mass, s->lapack, dy);
    for (size_t i = 0; s->mass && s->algebraic && i < n; i++) dy[i] = 0; /* to be found */
    return 0;
}

static nde_status status(int flag) {
    switch (flag) {
    case IDA_MEM_FAIL: case IDA_LINIT_FAIL: case IDA_NLS_INIT_FAIL: case IDA_NLS_SETUP_FAIL: return NDE_E_NOMEM;
    case IDA_RES_FAIL: case IDA_REP_RES_ERR: case IDA_LSETUP_FAIL: case IDA_LSOLVE_FAIL: case IDA_QRHS_FAIL:
    case IDA_REP_QRHS_ERR:
        return NDE_E_FIELD;
    case IDA_FIRST_RES_FAIL: case IDA_FIRST_QRHS_ERR: return NDE_E_FIELD_FIRST;
    case IDA_BAD_EWT: case IDA_ILL_INPUT: case IDA_NO_RECOVERY: case IDA_LINESEARCH_FAIL: case IDA_BAD_T: case IDA_BAD_K:
        return NDE_E_ARG;
    default: return NDE_E_STEPSIZE;
    }
}

/* Newton's updates of slopes cannot be as small as absolute tolerances that are far below the state: again with such that are
 * not. */
static int relaxed(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    double most = 0, *atol = nde_sun_data(w->probe);
    for (size_t i = 0; i < s->rhs.dim; i++) most = fmax(most, fabs(w->state[i]));
    for (size_t i = 0; i < s->rhs.dim; i++) atol[i] = fmax(s->atol[i], fmax(s->rtol, 1e-12)*most);
    int flag = IDASVtolerances(w->memory, s->rtol, w->probe);
    if (!flag) flag = IDAReInit(w->memory, w->t, w->y, w->dy);
    if (!flag) flag = IDACalcIC(w->memory, IDA_YA_YDP_INIT, w->stop);
    const int back = IDASVtolerances(w->memory, s->rtol, w->atol);
    return flag ? flag : back;
}

/* Components without a derivative, and slopes of the others. */
static int make_consistent(nde_sun_worker *w) {
    int flag = IDACalcIC(w->memory, IDA_YA_YDP_INIT, w->stop);
    if (flag < 0 && !w->trouble.kind) flag = relaxed(w);
    if (!flag) flag = IDAGetConsistentIC(w->memory, w->y, w->dy);
    if (!flag) memcpy(w->state, nde_sun_data(w->y), w->solver->rhs.dim*sizeof(double));
    return flag < 0 && status(flag) != NDE_E_NOMEM ? IDA_LINESEARCH_FAIL : flag;
}

static int start(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    const bool given = s->stiff.dy0 && w->counts.restarts == 0;
    memcpy(nde_sun_data(w->y), w->state, s->rhs.dim*sizeof(double));
    int flag = slopes(w, given);
    if (!flag) flag = IDAReInit(w->memory, w->t, w->y, w->dy);
    if (!flag && s->rhs.nz) {
        memcpy(nde_sun_data(w->z), w->z_state, s->rhs.nz*sizeof(double));
        flag = IDAQuadReInit(w->memory, w->z);
    }
    if (!flag) flag = IDASetInitStep(w->memory, w->direction*s->options.h0);
    if (!flag && s->algebraic && !given) flag = make_consistent(w);
    return flag ? flag : IDASetStopTime(w->memory, w->stop);
}

static int step(nde_sun_worker *w, double *t) { return IDASolve(w->memory, w->stop, t, w->y, w->dy, IDA_ONE_STEP); }

static int value(nde_sun_worker *w, double t, int k, double *out) {
    const int flag = IDAGetDky(w->memory, t, k, w->probe);
    if (!flag) memcpy(out, nde_sun_data(w->probe), w->solver->rhs.dim*sizeof *out);
    return flag;
}

static int quadrature(nde_sun_worker *w, double t, double *out) {
    const int flag = IDAGetQuadDky(w->memory, t, 0, w->z);
    if (!flag) memcpy(out, nde_sun_data(w->z), w->solver->rhs.nz*sizeof *out);
    return flag;
}

static int64_t refused(nde_sun_worker *w) {
    long failures = 0, newton = 0;
    (void)IDAGetNumErrTestFails(w->memory, &failures);
    (void)IDAGetNumStepSolveFails(w->memory, &newton);
    return failures + newton;
}

static void count(nde_sun_worker *w, nde_stats *stats) {
    long steps = 0, failures = 0, iterations = 0, setups = 0, newton = 0, linear = 0;
    (void)IDAGetNumSteps(w->memory, &steps);
    (void)IDAGetNumErrTestFails(w->memory, &failures);
    (void)IDAGetNumNonlinSolvIters(w->memory, &iterations);
    (void)IDAGetNumLinSolvSetups(w->memory, &setups);
    (void)IDAGetNumStepSolveFails(w->memory, &newton);
    if (w->solver->linear == NDE_STIFF_KRYLOV) (void)IDAGetNumLinIters(w->memory, &linear);
    stats->accepted += steps, stats->rejected += failures + newton;
    stats->factorisations += setups, stats->newton_iterations += iterations, stats->linear_iterations += linear;
    w->counts.error_failures += failures, w->counts.newton_failures += newton;
}

static int order(nde_sun_worker *w) {
    int last = 0;
    (void)IDAGetLastOrder(w->memory, &last);
    return last;
}

const nde_sun_engine nde_sun_idas = { make, start, step, value, quadrature, refused, count, order, status, destroy };
