/* SPDX-License-Identifier: MIT
 * SUNDIALS 6: ARKODE's explicit methods, and CVODE's Adams methods with functional iteration. */
#include "driver.h"

#include <arkode/arkode_erkstep.h>
#include <cvode/cvode.h>
#include <nvector/nvector_serial.h>
#include <sunnonlinsol/sunnonlinsol_fixedpoint.h>

const char program[] = "SUNDIALS";
const char *const methods[] = { "ARKODE Dormand-Prince 5", "ARKODE Verner 6", "ARKODE Fehlberg 8", "CVODE Adams", NULL };
static const ARKODE_ERKTableID tables[] = { ARKODE_DORMAND_PRINCE_7_4_5, ARKODE_VERNER_8_5_6, ARKODE_FEHLBERG_13_7_8 };

#define EVAL(name, dim)                                                       \
    static int eval_##name(realtype t, N_Vector y, N_Vector dy, void *ctx) { \
        (void)ctx;                                                            \
        name(t, NV_DATA_S(y), NV_DATA_S(dy));                                 \
        return 0;                                                             \
    }
EACH_PROBLEM(EVAL)
#define FUNCTION(name, dim) eval_##name,
static int (*const functions[])(realtype, N_Vector, N_Vector, void *) = { EACH_PROBLEM(FUNCTION) };

static long solve(int which, int method, double tolerance, double *y) {
    static SUNContext context;
    static void *memory;
    static N_Vector state;
    static SUNNonlinearSolver iteration;
    static int of_which = -1, of_method;
    static double of_tolerance;
    const problem *p = &problems[which];
    const bool adams = methods[method][0] == 'C';
    double t = 0;
    if (of_which != which || of_method != method || of_tolerance != tolerance) {
        if (memory && iteration) CVodeFree(&memory), SUNNonlinSolFree(iteration), iteration = NULL;
        else if (memory) ERKStepFree(&memory);
        if (state) N_VDestroy(state);
        if (!context && SUNContext_Create(NULL, &context)) exit(1);
        state = N_VNew_Serial(p->dim, context);
        memcpy(NV_DATA_S(state), p->y0, (size_t)p->dim*sizeof *y);
        if (adams) {
            memory = CVodeCreate(CV_ADAMS, context);
            CVodeInit(memory, functions[which], 0, state), CVodeSStolerances(memory, tolerance, tolerance);
            CVodeSetNonlinearSolver(memory, iteration = SUNNonlinSol_FixedPoint(state, 0, context));
            CVodeSetMaxNumSteps(memory, 1000000), CVodeSetErrFile(memory, NULL);
        } else {
            memory = ERKStepCreate(functions[which], 0, state, context);
            ERKStepSStolerances(memory, tolerance, tolerance), ERKStepSetTableNum(memory, tables[method]);
            ERKStepSetMaxNumSteps(memory, 1000000), ERKStepSetErrFile(memory, NULL);
        }
        of_which = which, of_method = method, of_tolerance = tolerance;
    }
    memcpy(NV_DATA_S(state), p->y0, (size_t)p->dim*sizeof *y);
    long evaluations = 0;
    int bad;
    if (adams) {
        bad = CVodeReInit(memory, 0, state) || CVodeSetStopTime(memory, p->t1) || CVode(memory, p->t1, state, &t,
                                                                                        CV_NORMAL) < 0;
        CVodeGetNumRhsEvals(memory, &evaluations);
    } else {
        bad = ERKStepReInit(memory, functions[which], 0, state) || ERKStepSetStopTime(memory, p->t1) ||
            ERKStepEvolve(memory, p->t1, state, &t, ARK_NORMAL) < 0;
        ERKStepGetNumRhsEvals(memory, &evaluations);
    }
    memcpy(y, NV_DATA_S(state), (size_t)p->dim*sizeof *y);
    return bad ? 0 : evaluations;
}
