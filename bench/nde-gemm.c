/* SPDX-License-Identifier: MIT
 * nde-gemm.c - the products of layers by the library's kernels beside OpenBLAS on one thread, as Markdown tables. The program
 * runs itself once for each instruction set, with OpenBLAS's kernels for it: they are chosen when OpenBLAS is loaded. */
#include "gemm.h"
#include "nde.h"

#include <cblas.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

typedef struct shape {
    size_t out, in, n, window; /* window: columns that weight gradients are formed of, stage after stage; 0: n */
} shape;

/* The layers of 2-50-2, 4-32-32-4, 16-64-16 and 64-256-256-64. */
static const shape nets[] = {
    { 50, 2, 20, 240 }, { 2, 50, 20, 240 },
    { 32, 4, 1, 256 }, { 32, 32, 1, 256 }, { 4, 32, 1, 256 },
    { 32, 4, 8, 256 }, { 32, 32, 8, 256 }, { 4, 32, 8, 256 },
    { 32, 4, 64, 256 }, { 32, 32, 64, 256 }, { 4, 32, 64, 256 },
    { 64, 16, 512, 0 }, { 16, 64, 512, 0 },
    { 256, 64, 256, 0 }, { 256, 256, 256, 0 }, { 64, 256, 256, 0 },
};
enum { NETS = sizeof nets/sizeof *nets };

static const struct set {
    const char *name, *blas; /* OPENBLAS_CORETYPE */
    int isa;
} sets[] = { { "baseline", "Nehalem", NDE_ISA_BASELINE }, { "v3", "Haswell", NDE_ISA_V3 }, { "v4", "SkylakeX", NDE_ISA_V4 } };
enum { SETS = sizeof sets/sizeof *sets };

static const char *const names[GEMM_KINDS] = { "forward", "dX", "dW" };

static void cell(gemm_seconds s) {
    printf(" %.0f | %.0f | %.2f%s | %.2f |", 1e9*s.own, 1e9*s.blas, s.blas/s.own, s.takes_blas ? " B" : "", s.best/s.own);
}

static void row(const struct set *set, gemm_kind kind, size_t out, size_t in, size_t n) {
    const gemm_seconds d = gemm_time_double(set->isa, kind, out, in, n), f = gemm_time_single(set->isa, kind, out, in, n);
    printf("| %zu x %zu | %zu | %s |", out, in, n, names[kind]);
    cell(d), cell(f);
    printf("\n"), fflush(stdout);
}

static void table(const struct set *set, const shape *list, size_t count) {
    printf("\n%s, beside OpenBLAS's kernels for %s; ns a call; B: the library calls OpenBLAS\n\n"
           "| W | columns | product | double: own | OpenBLAS | ratio | best | float: own | OpenBLAS | ratio | best |\n"
           "|---|---|---|---|---|---|---|---|---|---|---|\n", set->name, openblas_get_corename());
    for (const shape *s = list; s < list + count; s++) {
        for (gemm_kind kind = 0; kind < GEMM_KINDS; kind++)
            row(set, kind, s->out, s->in, kind == GEMM_WEIGHTS && s->window ? s->window : s->n);
    }
}

static int start(char **argv, const struct set *set) {
    pid_t child;
    int status;
    setenv("OPENBLAS_CORETYPE", set->blas, 1), setenv("OPENBLAS_NUM_THREADS", "1", 1), setenv("NDE_GEMM_SET", set->name, 1);
    if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environ) || waitpid(child, &status, 0) < 0) return 1;
    return status != 0;
}

/* Arguments: OUTxINxCOLUMNS ..., or none for the nets; first of all the name of a set, else v3 and v4. */
int main(int argc, char **argv) {
    const char *inside = getenv("NDE_GEMM_SET");
    const char *only = argc > 1 && strpbrk(argv[1], "vb") ? argv[1] : NULL;
    static shape given[64];
    size_t count = 0;
    for (int i = only ? 2 : 1; i < argc; i++) {
        shape *s = given + count;
        if (count == 64 || sscanf(argv[i], "%zux%zux%zu", &s->out, &s->in, &s->n) != 3 || !s->out || !s->in || !s->n) {
            fprintf(stderr, "usage: nde-gemm [baseline|v3|v4] [OUTxINxCOLUMNS]...\n");
            return 2;
        }
        count++;
    }
    int bad = 0;
    for (int i = 0; i < SETS; i++) {
        if (inside && strcmp(inside, sets[i].name) == 0) table(sets + i, count ? given : nets, count ? count : NETS);
        else if (!inside && (only ? strcmp(only, sets[i].name) == 0 : i > 0)) bad |= start(argv, sets + i);
    }
    return bad;
}
