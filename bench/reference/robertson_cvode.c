/* SPDX-License-Identifier: MIT
 * robertson_cvode: Robertson's reactions to t = 10^5 by CVODE (BDF) at rtol = 1e-3, atol = 1e-6, with its dense solver and the
 * Jacobian, begun anew each time. Answer: the exact end. */
#include "native/bench.h"
#include "serve.h"

#include <cvodes/cvodes.h>
#include <nvector/nvector_serial.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunmatrix/sunmatrix_dense.h>

static const double exact[3] = { 0.0178659211421, 7.27475146844e-08, 0.9821340061104 };
static const double k1 = 0.04, k2 = 1e4, k3 = 3e7;

typedef struct solver {
    void *cvode;
    N_Vector y;
    int failed;
} solver;

static int field(double t, N_Vector at, N_Vector to, void *data) {
    const double *y = N_VGetArrayPointer(at), slow = k1*y[0], back = k2*y[1]*y[2], fast = k3*y[1]*y[1];
    double *f = N_VGetArrayPointer(to);
    (void)t, (void)data;
    f[0] = back - slow, f[1] = slow - back - fast, f[2] = fast;
    return 0;
}

static int jacobian(double t, N_Vector at, N_Vector f, SUNMatrix to, void *data, N_Vector a, N_Vector b, N_Vector c) {
    const double *y = N_VGetArrayPointer(at);
    double *j = SM_DATA_D(to); /* by columns */
    (void)t, (void)f, (void)data, (void)a, (void)b, (void)c;
    j[0] = -k1, j[1] = k1, j[2] = 0;
    j[3] = k2*y[2], j[5] = 2*k3*y[1], j[4] = -j[3] - j[5];
    j[6] = k2*y[1], j[7] = -j[6], j[8] = 0;
    return 0;
}

static void start(solver *s) {
    double *y = N_VGetArrayPointer(s->y);
    y[0] = 1, y[1] = y[2] = 0;
}

static void run(void *to) {
    solver *s = to;
    double t;
    start(s);
    s->failed = s->failed || CVodeReInit(s->cvode, 0, s->y) || CVode(s->cvode, 1e5, s->y, &t, CV_NORMAL) < 0;
}

int main(int argc, char **argv) {
    SUNContext context;
    solver s = { 0 };
    long evaluations = 0;
    double error = 0;
    if (argc != 3 || strcmp(argv[1], "robertson_cvode") || strcmp(argv[2], "double")) return no_case(argv[0]);
    if (SUNContext_Create(NULL, &context)) return 1;
    s.cvode = CVodeCreate(CV_BDF, context), s.y = N_VNew_Serial(3, context);
    SUNMatrix w = SUNDenseMatrix(3, 3, context);
    SUNLinearSolver by = SUNLinSol_Dense(s.y, w, context);
    start(&s);
    s.failed = CVodeInit(s.cvode, field, 0, s.y) || CVodeSStolerances(s.cvode, 1e-3, 1e-6) ||
               CVodeSetLinearSolver(s.cvode, by, w) || CVodeSetJacFn(s.cvode, jacobian) || CVodeSetMaxNumSteps(s.cvode,
                       100000) || CVodeSetStopTime(s.cvode, 1e5);
    run(&s);
    if (s.failed) return 1;
    CVodeGetNumRhsEvals(s.cvode, &evaluations);
    for (int i = 0; i < 3; i++) error = fmax(error, fabs(N_VGetArrayPointer(s.y)[i] - exact[i]));
    return serve(run, &s, evaluations, error, exact, 3);
}
