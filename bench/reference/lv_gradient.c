/* SPDX-License-Identifier: MIT
 * lv_gradient, lv_gradient_times: native/lv_gradient.c, variant "function pointers, run-time n", losses "final" and "lsq21",
 * rtol = atol = 1e-6. lv_gradient_cvodes: "CVODES Adams, Hermite" and loss "final", set up as there. Answer: the gradient, and
 * CVODES's error. */
#define main native_main
#include "native/lv_gradient.c"
#undef main
#include "serve.h"

static const double tolerance = 1e-6;

static int serve_gradient(bench_fn work, void *job, const long *evaluations, const double *g, int loss) {
    double answer[7];
    work(job);
    for (int i = 0; i < 6; i++) answer[i] = (double)GREF[loss][i];
    answer[6] = gerr(g, loss);
    return serve(work, job, *evaluations, answer[6], answer, 7);
}

#ifdef HAVE_CVODES
static int serve_cvodes(void) {
    static cj_t c;
    realtype t;
    int checkpoints;
    OK(SUNContext_Create(NULL, &sc));
    c.tol = tolerance;
    c.y = N_VNew_Serial(2, sc), c.l = N_VNew_Serial(2, sc), c.q = N_VNew_Serial(4, sc);
    N_VConst(1, c.y), N_VConst(1, c.l), N_VConst(0, c.q);
    c.m = CVodeCreate(CV_ADAMS, sc);
    OK(CVodeInit(c.m, cf, 0, c.y));
    OK(CVodeSStolerances(c.m, tolerance, tolerance));
    OK(CVodeSetUserData(c.m, par));
    OK(CVodeSetNonlinearSolver(c.m, SUNNonlinSol_FixedPoint(c.y, 0, sc)));
    OK(CVodeAdjInit(c.m, 100000, CV_HERMITE));
    OK(CVodeF(c.m, T_END, c.y, &t, CV_NORMAL, &checkpoints));
    OK(CVodeCreateB(c.m, CV_ADAMS, &c.wb));
    OK(CVodeInitB(c.m, c.wb, cfb, T_END, c.l));
    OK(CVodeSStolerancesB(c.m, c.wb, tolerance, tolerance));
    OK(CVodeSetUserDataB(c.m, c.wb, par));
    OK(CVodeSetNonlinearSolverB(c.m, c.wb, SUNNonlinSol_FixedPoint(c.l, 0, sc)));
    OK(CVodeQuadInitB(c.m, c.wb, cqb, c.q));
    OK(CVodeSetQuadErrConB(c.m, c.wb, 1));
    OK(CVodeQuadSStolerancesB(c.m, c.wb, tolerance, tolerance));
    return serve_gradient(crun, &c, &c.nf, c.g, 0);
}
#endif

int main(int argc, char **argv) {
    if (argc != 3 || strcmp(argv[2], "double") != 0) return no_case(argv[0]);
    reference();
#ifdef HAVE_CVODES
    if (strcmp(argv[1], "lv_gradient_cvodes") == 0) return serve_cvodes();
#else
    static job_t job = { .train = 1 };
    job.tol = tolerance;
    job.loss = strcmp(argv[1], "lv_gradient_times") == 0;
    if (strncmp(argv[1], "lv_gradient", 11) == 0) return serve_gradient(run, &job, &job.st.nfev, job.g, job.loss);
#endif
    return no_case(argv[0]);
}
