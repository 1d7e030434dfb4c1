/* SPDX-License-Identifier: MIT
 * ensemble: native/ode_batch.c, variant "SIMD, per-lane adaptive, refill", tolerance 1e-6. Answer: the ends
 * [NTR][3] at 1e-12. Error: the median over trajectories of the largest component's, as there. ensemble_million:
 * the same, a hundred times. */
#define main native_main
#include "native/ode_batch.c"
#undef main
#include "serve.h"

static void run_hundred(void *lockstep) {
    for (int i = 0; i < 100; i++) run_simd(lockstep);
}

int main(int argc, char **argv) {
    static double e[NTR];
    int lockstep = 0;
    const int million = argc == 3 && strcmp(argv[1], "ensemble_million") == 0;
    if (argc != 3 || (!million && strcmp(argv[1], "ensemble") != 0) || strcmp(argv[2], "double") != 0)
        return no_case(argv[0]);
    for (int i = 0; i < NTR; i++) rho[i] = 20 + 20.0*i/(NTR - 1);
    tol = 1e-12;
    run_scalar(0);
    memcpy(R, Y, sizeof R);
    tol = 1e-6;
    run_simd(&lockstep);
    for (int i = 0; i < NTR; i++) e[i] = max_abs_err(Y[i], R[i], 3);
    qsort(e, NTR, sizeof *e, cmpd);
    return serve(million ? run_hundred : run_simd, &lockstep, million ? 100*nfev : nfev, e[NTR/2], R[0], 3*NTR);
}
