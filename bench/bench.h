/* SPDX-License-Identifier: MIT
 * bench.h - what a case tells nde-bench. Case files compile twice, as the library does: with nde.h, and
 * with ndef.h under the nde_ names (BENCH_SINGLE). */
#ifndef NDE_BENCH_H
#define NDE_BENCH_H

#ifdef BENCH_SINGLE
#include "ndef.h"
#include "bench_names.h"
#define BENCH_NAME_(name) name##_single
#else
#include "nde.h"
#define BENCH_NAME_(name) name##_double
#endif
#define BENCH_NAME(name) BENCH_NAME_(name)

#include <stdbool.h>

typedef struct bench_setup {
    const char *name; /* of the case: one file may hold several */
    int threads, isa; /* NDE_ISA_BASELINE, V3 or V4: of the library's kernels and of the bench's own fields */
    bool beside;      /* what a case without a reference is measured beside: the solve without its gradient, or a field by
                       * hand */
} bench_setup;

typedef struct bench_facts {
    long long evaluations; /* of the right-hand side: summed over independent trajectories, once for a joint batch */
    double error;          /* against what the answer says */
    double bound;          /* of the error, the reference's too; 0: none */
    size_t bytes;          /* that the solver used, record included; 0: not of interest */
    char text[240];        /* what else is wrong; "": nothing */
} bench_facts;

/* A case on libnde's side. check comes after run. answer [count] comes from the reference, whose file in reference/
 * says what it is; NULL: there is none, and the case checks what it can. */
typedef struct bench_subject {
    void *(*make)(const bench_setup *setup, char *text, size_t text_size); /* NULL: text says why */
    bool (*run)(void *state);                                             /* what is timed */
    void (*check)(void *state, const double *answer, size_t count, bench_facts *facts);
    void (*free)(void *state);
} bench_subject;

extern const bench_subject bench_one_double;
extern const bench_subject bench_ensemble_double;
extern const bench_subject bench_robertson_double;
extern const bench_subject bench_train_double, bench_train_single;
extern const bench_subject bench_gbm_double, bench_gbm_single;
extern const bench_subject bench_sde_train_double, bench_sde_train_single;
extern const bench_subject bench_gradient_double;
extern const bench_subject bench_adjoint_double, bench_adjoint_single;

#endif
