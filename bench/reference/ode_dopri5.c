/* SPDX-License-Identifier: MIT
 * lorenz, kepler: native/ode_dopri5.c, variant "function-pointer, run-time n", rtol = atol = 1e-9; lorenz_inline: variant
 * "fully inlined". Answer: the exact end. */
#define main native_main
#include "native/ode_dopri5.c"
#undef main
#include "serve.h"

int main(int argc, char **argv) {
    for (int p = 0; argc == 3 && p < NPROB; p++) {
        const size_t name = strlen(PROBS[p].name);
        const int inlined = strcmp(argv[1] + (strlen(argv[1]) < name ? 0 : name), "_inline") == 0;
        if (strncmp(argv[1], PROBS[p].name, name) != 0 || (argv[1][name] && !inlined) || strcmp(argv[2], "double") != 0)
            continue;
        job_t job = { .p = p, .v = inlined ? 2 : 0, .tol = 1e-9, .T = PROBS[p].T };
        run(&job);
        double error = max_abs_err(job.y, PROBS[p].ref, PROBS[p].n);
        return serve(run, &job, job.st.nfev, error, PROBS[p].ref, (size_t)PROBS[p].n);
    }
    return no_case(argv[0]);
}
