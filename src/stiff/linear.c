/* SPDX-License-Identifier: MIT
 * linear.c - LU of full and band matrices, as SUNDIALS' linear solver too. Debian's SUNDIALS has no LAPACK: large full ones go
 * there from here. Source: G. Golub, C. Van Loan, Matrix Computations (2013), 3.4, 4.3. */
#include "stiff/sun.h"

#include <math.h>
#include <string.h>

#ifdef NDE_HAVE_OPENBLAS
void dgetrf_(const int *m, const int *n, double *a, const int *lda, int *pivot, int *info);
void dgetrs_(const char *transposed, const int *n, const int *columns, const double *a, const int *lda, const int *pivot,
             double *b,
             const int *ldb, int *info, size_t length);
enum { LAPACK_PAYS = 64 };

static bool goes_to_lapack(const nde_sun_matrix *m, bool lapack) {
    return lapack && m->shift == 0 && m->stride == m->n && m->n >= LAPACK_PAYS;
}
#endif

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Rows are swapped from column k on only: what stands left of it stays where it was eliminated. */
size_t nde_sun_factor(const nde_sun_matrix *m, int *pivot, bool lapack) {
    const size_t n = m->n, fill = m->lower + m->upper;
#ifdef NDE_HAVE_OPENBLAS
    if (goes_to_lapack(m, lapack)) {
        const int size = (int)n;
        int info;
        dgetrf_(&size, &size, m->a, &size, pivot, &info);
        return info > 0 ? (size_t)info : 0;
    }
#else
    (void)lapack;
#endif
    for (size_t k = 0; k < n; k++) {
        const size_t below = least(n - 1, k + m->lower), right = least(n - 1, k + fill);
        double *column = nde_sun_at(m, 0, k);
        size_t p = k;
        for (size_t i = k + 1; i <= below; i++)
            if (fabs(column[i]) > fabs(column[p])) p = i;
        pivot[k] = (int)p;
        if (!(column[p] != 0)) return k + 1;
        for (size_t j = k; p != k && j <= right; j++) {
            double *a = nde_sun_at(m, p, j), *b = nde_sun_at(m, k, j), swap = *a;
            *a = *b, *b = swap;
        }
        const double inverse = 1/column[k];
        for (size_t i = k + 1; i <= below; i++) column[i] *= inverse;
        for (size_t j = k + 1; j <= right; j++) {
            double *to = nde_sun_at(m, 0, j);
            const double factor = to[k];
            for (size_t i = k + 1; factor != 0 && i <= below; i++) to[i] -= factor*column[i];
        }
    }
    return 0;
}

void nde_sun_substitute(const nde_sun_matrix *m, const int *pivot, bool lapack, double *x) {
    const size_t n = m->n, fill = m->lower + m->upper;
#ifdef NDE_HAVE_OPENBLAS
    if (goes_to_lapack(m, lapack)) {
        const int size = (int)n, one = 1;
        int info;
        dgetrs_("N", &size, &one, m->a, &size, pivot, x, &size, &info, 1);
        return;
    }
#else
    (void)lapack;
#endif
    for (size_t k = 0; k < n; k++) {
        const size_t p = (size_t)pivot[k], below = least(n - 1, k + m->lower);
        const double *column = nde_sun_at(m, 0, k), value = x[p];
        x[p] = x[k], x[k] = value;
        for (size_t i = k + 1; i <= below; i++) x[i] -= value*column[i];
    }
    for (size_t k = n; k-- > 0;) {
        const double *column = nde_sun_at(m, 0, k);
        x[k] /= column[k];
        for (size_t i = k > fill ? k - fill : 0; i < k; i++) x[i] -= x[k]*column[i];
    }
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
