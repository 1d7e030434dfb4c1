/* SPDX-License-Identifier: MIT
 * ensemble_fixed: native/ode_batch_fixed.c, 10,000 trajectories, whichever of its variants is the fastest here: scalar, a
 * vector in registers, interleaved chains, blocks in memory. Answer: the ends [3][NTR] of the scalar variant. Error: the
 * median of 100 trajectories against 8000 steps, as there. */
#define main native_main
#include "native/ode_batch_fixed.c"
#undef main
#include "serve.h"

typedef struct variant {
    bench_fn run;
    int lanes; /* of run_blk */
    double best;
} variant;

int main(int argc, char **argv) {
    static double answer[3*10000], e8[100];
    variant variants[] = { { HV == 8 ? run_v8 : run_v4, 0, 0 }, { run_g2, 0, 0 }, { run_g3, 0, 0 }, { run_g4, 0, 0 },
                           { run_blk, 32, 0 }, { run_blk, 64, 0 }, { run_blk, 128, 0 }, { run_blk, 256, 0 } };
    const int count = sizeof variants/sizeof variants[0];
    int fastest = 0;
    if (argc != 3 || strcmp(argv[1], "ensemble_fixed") != 0 || strcmp(argv[2], "double") != 0) return no_case(argv[0]);
    NTR = 10000;
    for (int i = 0; i < NTR; i++) rho[i] = 20 + 20.0*i/9999;
    run_scalar(0);
    for (int j = 0; j < 3; j++) memcpy(answer + j*NTR, Y[j], NTR*sizeof *answer);
    for (int k = 0; k < 100; k++) {
        double o[3];
        one(rho[50 + 100*k], 8*NST, o);
        for (int j = 0; j < 3; j++) e8[k] = fmax(e8[k], fabs(o[j] - Y[j][50 + 100*k]));
    }
    qsort(e8, 100, sizeof *e8, cmp_d_);
    for (int turn = 0; turn < 5; turn++)
        for (int i = 0; i < count; i++) {
            const double start = now_s();
            variants[i].run(&variants[i].lanes);
            const double seconds = now_s() - start;
            if (!turn || seconds < variants[i].best) variants[i].best = seconds;
        }
    for (int i = 1; i < count; i++)
        if (variants[i].best < variants[fastest].best) fastest = i;
    return serve(variants[fastest].run, &variants[fastest].lanes, (long)NTR*NST*6, e8[50], answer, 3*NTR);
}
