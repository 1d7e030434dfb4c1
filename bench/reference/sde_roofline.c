/* SPDX-License-Identifier: MIT
 * gbm: native/sde_roofline.c, Euler-Maruyama, 4096 x 16 x 1000 steps, one thread; gbm_srk: by SRIW1. Error: mean strong
 * error at T = 1. No answer: every path has its own noise. normals: its normals alone, 4096 of them. */
#define main native_main
#include "native/sde_roofline.c"
#undef main
#include "serve.h"

int main(int argc, char **argv) {
    const int normals = argc == 3 && strcmp(argv[1], "normals") == 0;
    if (argc != 3 || (!normals && strcmp(argv[1], "gbm") != 0 && strcmp(argv[1], "gbm_srk") != 0)) return no_case(argv[0]);
    if (!philox_kat()) {
        fprintf(stderr, "%s: philox known-answer test failed\n", argv[0]);
        return 1;
    }
    const int single = strcmp(argv[2], "single") == 0;
    if (normals) return serve(single ? g_philox_f : g_philox_d, 0, NB, 0, 0, 0);
    METHOD = argv[1][3] ? 2 : 0;
    NTH = 1;
    NSTEPS = NST;
    bench_fn run = single ? gbm_f : gbm_d;
    run(0);
    return serve(run, 0, (long)BATCH*NST*(METHOD ? 7 : 1), ERR, 0, 0);
}
