/* SPDX-License-Identifier: MIT
 * sde_train: native/sde_train_roofline.c, a training step of a neural SDE. Its noise is given, made as its main makes it.
 * Answer: the loss and the gradients of drift and diffusion. Error: none, nde-bench compares. */
#define main native_main
#include "native/sde_train_roofline.c"
#undef main
#include "products.h"
#include "serve.h"

int main(int argc, char **argv) {
    static double answer[1 + 2*NP];
    if (argc != 3 || strcmp(argv[1], "sde_train") != 0) return no_case(argv[0]);
    if (!has_own_products(argv)) return 1;
    uint64_t state = 5;
    for (int q = 0; q < NS; q++)
        for (int i = 0; i < B*D; i++) {
            const double u = 1 - sm64_u(&state), v = sm64_u(&state);
            NOISE[q][i] = sqrt(-2*log(u))*cos(6.283185307179586*v)/8.0;
        }
    init_f(), init_d();
    const int single = strcmp(argv[2], "single") == 0;
    bench_fn run = single ? step_f : step_d;
    run(0);
    answer[0] = single ? loss_f : loss_d;
    for (int i = 0; i < NP; i++) {
        answer[1 + i] = single ? nf_f.g[i] : nf_d.g[i];
        answer[1 + NP + i] = single ? ng_f.g[i] : ng_d.g[i];
    }
    return serve(run, 0, 2L*NS + 1, 0, answer, sizeof answer/sizeof *answer);
}
