/* SPDX-License-Identifier: MIT
 * lorenz, kepler: native/ode_dopri5.c, variant "function-pointer, run-time n", rtol = atol = 1e-9. Answer:
 * the exact end. */
#define main native_main
#include "native/ode_dopri5.c"
#undef main
#include "serve.h"

int main(int argc, char **argv) {
    for (int p = 0; argc == 3 && p < NPROB; p++) {
        if (strcmp(argv[1], PROBS[p].name) != 0 || strcmp(argv[2], "double") != 0) continue;
        job_t job = { .p = p, .v = 0, .tol = 1e-9, .T = PROBS[p].T };
        run(&job);
        double error = max_abs_err(job.y, PROBS[p].ref, PROBS[p].n);
        return serve(run, &job, job.st.nfev, error, PROBS[p].ref, (size_t)PROBS[p].n);
    }
    return no_case(argv[0]);
}
