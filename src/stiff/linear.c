/* SPDX-License-Identifier: MIT
 * linear.c - LU of full and band matrices by libnde's kernels, as SUNDIALS' linear solver too. Debian's SUNDIALS has no LAPACK:
 * large full ones go there from here. */
#include "stiff/sun.h"

#include <math.h>
#include <string.h>

#include "core/isa.h"
#include "implicit/lu.h"

static bool is_full(const nde_sun_matrix *m) { return m->shift == 0 && m->stride == m->n; }

#ifdef NDE_HAVE_OPENBLAS
void dgetrf_(const int *m, const int *n, double *a, const int *lda, int *pivot, int *info);
void dgetrs_(const char *transposed, const int *n, const int *columns, const double *a, const int *lda, const int *pivot,
             double *b,
             const int *ldb, int *info, size_t length);
enum { LAPACK_PAYS = 64 };

static bool goes_to_lapack(const nde_sun_matrix *m, bool lapack) {
    return lapack && is_full(m) && m->n >= LAPACK_PAYS;
}
#endif

static const nde_lu_kernels *kernels(void) { return nde_kernels_get(NDE_ISA_AUTO, false)->lu; }

/* The kernels leave the inverses of the pivots. */
static size_t without_pivot(const nde_sun_matrix *m) {
    for (size_t k = 0; k < m->n; k++)
        if (isinf(*nde_sun_at(m, k, k))) return k + 1;
    return 0;
}

size_t nde_sun_factor(const nde_sun_matrix *m, int *pivot, bool lapack) {
#ifdef NDE_HAVE_OPENBLAS
    if (goes_to_lapack(m, lapack)) {
        const int size = (int)m->n;
        int info;
        dgetrf_(&size, &size, m->a, &size, pivot, &info);
        return info > 0 ? (size_t)info : 0;
    }
#else
    (void)lapack;
#endif
    if (is_full(m)) kernels()->factor(m->n, m->a, pivot);
    else kernels()->factor_band(m->n, m->lower, m->upper, m->a, pivot);
    return without_pivot(m);
}

void nde_sun_substitute(const nde_sun_matrix *m, const int *pivot, bool lapack, double *x) {
#ifdef NDE_HAVE_OPENBLAS
    if (goes_to_lapack(m, lapack)) {
        const int size = (int)m->n, one = 1;
        int info;
        dgetrs_("N", &size, &one, m->a, &size, pivot, x, &size, &info, 1);
        return;
    }
#else
    (void)lapack;
#endif
    if (is_full(m)) kernels()->solve(m->n, m->a, pivot, x);
    else kernels()->solve_band(m->n, m->lower, m->upper, m->a, pivot, x);
}

/* ---- SUNDIALS' face ---------------------------------------------------------------------------------------------- */

static nde_sun_lu *lu_of(SUNLinearSolver solver) { return solver->content; }
static SUNLinearSolver_Type type_of(SUNLinearSolver solver) { return (void)solver, SUNLINEARSOLVER_DIRECT; }
static SUNLinearSolver_ID id_of(SUNLinearSolver solver) { return (void)solver, SUNLINEARSOLVER_CUSTOM; }

/* > 0: singular, which another step may mend. */
static int setup(SUNLinearSolver solver, SUNMatrix matrix) {
    nde_sun_lu *lu = lu_of(solver);
    lu->count++;
    lu->flag = (sunindextype)nde_sun_factor(nde_sun_matrix_of(matrix), lu->pivot, lu->lapack);
    return lu->flag != 0;
}

static int solve(SUNLinearSolver solver, SUNMatrix matrix, N_Vector x, N_Vector b, sunrealtype tolerance) {
    const nde_sun_lu *lu = lu_of(solver);
    (void)tolerance;
    if (x != b) memcpy(nde_sun_data(x), nde_sun_data(b), nde_sun_matrix_of(matrix)->n*sizeof(double));
    nde_sun_substitute(nde_sun_matrix_of(matrix), lu->pivot, lu->lapack, nde_sun_data(x));
    return 0;
}

static sunindextype last_flag(SUNLinearSolver solver) { return lu_of(solver)->flag; }
static int initialize(SUNLinearSolver solver) { return (void)solver, 0; }
static int forget(SUNLinearSolver solver) { return (void)solver, 0; }

SUNLinearSolver nde_sun_lu_make(nde_sun_lu *lu, SUNContext context, int *pivot, bool lapack) {
    lu->ops = (struct _generic_SUNLinearSolver_Ops){ .gettype = type_of, .getid = id_of, .initialize = initialize,
        .setup = setup,
                                                     .solve = solve, .lastflag = last_flag, .free = forget };
    lu->solver = (struct _generic_SUNLinearSolver){ .content = lu, .ops = &lu->ops, .sunctx = context };
    lu->pivot = pivot, lu->lapack = lapack, lu->count = 0;
    return &lu->solver;
}
