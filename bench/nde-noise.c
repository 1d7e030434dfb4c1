/* SPDX-License-Identifier: MIT
 * nde-noise.c - normals by the library's kernels of each instruction set beside those of the reference, and steps of a grid
 * beside those of a tree, as Markdown tables. Best of several runs, processor time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "child.h"
#include "noise/kernel.h"
#include "singles.h"

enum { LANES = NDE_NOISE_PIECE, MOST = 16, RUNS = 7, ROUNDS = 2000 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

/* ---- normals --------------------------------------------------------------------------------- */

/* What is drawn, by whom. */
typedef struct normal {
    const nde_noise_kernels *kernels; /* its normals in double, or with `noise` increments of cells, one of a normal */
    const nde_noise *noise;
    bench_singles *singles;           /* normals of 32 bits */
    child *reference;                 /* its normals, 4096 a time */
} normal;

/* Seconds for one. */
static double draw(const normal *of) {
    static double z[MOST*LANES];
    static float singles[MOST*LANES];
    size_t who[LANES];
    uint64_t position[LANES];
    int64_t first[LANES];
    double cell[LANES];
    if (of->reference) return child_run(of->reference, ROUNDS/4)/((double)(ROUNDS/4)*4096);
    for (size_t b = 0; b < LANES; b++) who[b] = b, position[b] = 1000*b, first[b] = 0, cell[b] = 0.01;
    const double start = now();
    for (uint64_t round = 0; round < ROUNDS; round++) {
        position[0] = round, first[0] = (int64_t)round;
        if (of->singles) of->singles(1, MOST, LANES, who, position, singles);
        else if (of->noise) of->kernels->cells(of->noise, 100, MOST, LANES, LANES, who, cell, first, 1, z, NULL, NULL);
        else of->kernels->normals(1, NDE_PURPOSE_TREE, MOST, LANES, who, position, 1, z);
    }
    return (now() - start)/((double)ROUNDS*MOST*LANES);
}

/* One row, all in turns. */
static void normals(const char *name, int isa, bench_singles *singles) {
    enum { KINDS = 6 };
    const nde_noise in_double = { .seed = 1 }, in_single = { .seed = 1, .normals = NDE_NORMALS_SINGLE };
    const nde_noise_kernels *kernels = nde_noise_kernels_get(isa);
    char program[64], text[256];
    child reference[2];
    if (!kernels) return;
    snprintf(program, sizeof program, "reference_sde_roofline_%s", name);
    const bool has[2] = { child_start(&reference[0], program, "normals", "double", text, sizeof text),
                          child_start(&reference[1], program, "normals", "single", text, sizeof text) };
    const normal of[KINDS] = { { .kernels = kernels }, { .reference = has[0] ? &reference[0] : NULL },
                               { .singles = singles }, { .reference = has[1] ? &reference[1] : NULL },
                               { kernels, &in_double, NULL, NULL }, { kernels, &in_single, NULL, NULL } };
    double best[KINDS];
    for (int run = 0; run < RUNS; run++)
        for (int i = 0; i < KINDS; i++) {
            const bool is = of[i].kernels || of[i].singles || of[i].reference;
            const double each = is ? draw(&of[i]) : 0;
            best[i] = run == 0 || each < best[i] ? each : best[i];
        }
    printf("| %s |", name);
    for (int i = 0; i < KINDS; i++) printf(best[i] > 0 ? " %.2f |" : " |", 1e9*best[i]);
    printf("\n");
    for (int i = 0; i < 2; i++)
        if (has[i]) child_end(&reference[i]);
}

/* ---- sources --------------------------------------------------------------------------------- */

/* Equal steps on [0, 1], by an instruction set; `apart`: each trajectory takes its own a little earlier than the one before. */
typedef struct stroll {
    int64_t steps;
    bool apart;
    int isa;
} stroll;

static double time_of(const stroll *how, int64_t node, size_t lane) {
    const double t = (double)node/(double)how->steps;
    return how->apart && node > 0 && node < how->steps ? t - 1e-6*(double)lane : t;
}

/* Seconds for a component and a step, from the first to the last. */
static double walk(nde_noise noise, size_t m, const stroll *how) {
    const int64_t steps = how->steps;
    static double x[3*MOST*LANES];
    size_t who[LANES];
    double t0[LANES] = { 0 }, t1[LANES], s[LANES], t[LANES], best = 1;
    int64_t first[LANES];
    void *work = malloc(nde_noise_bytes(&noise, m, LANES) + 1);
    if (!work) return 0;
    const size_t all = m*LANES;
    const nde_noise_at at = { .n = LANES, .ld = LANES, .trajectory = who, .t0 = t0, .t1 = t1, .s = s, .t = t,
                              .first = first, .count = 1, .grid = steps, .N = LANES, .isa = how->isa, .work = work,
                              .room = LANES };
    nde_noise_clear(&noise, work, LANES);
    for (int run = 0; run < RUNS; run++) {
        const double start = now();
        for (int64_t j = 0; j < steps; j++) {
            for (size_t b = 0; b < LANES; b++)
                who[b] = (size_t)run*LANES + b, t1[b] = 1, first[b] = j, s[b] = time_of(how, j, b),
                t[b] = time_of(how, j + 1, b);
            nde_noise_over(&noise, &at, m, x, noise.levy > 1 ? x + all : NULL, noise.levy > 2 ? x + 2*all : NULL);
        }
        const double each = (now() - start)/((double)steps*(double)all);
        best = each < best ? each : best;
    }
    free(work);
    return best;
}

static void sources(const stroll *how, size_t m) {
    static const char *const names[] = { "W", "W, H", "W, H, K" };
    for (int levy = NDE_LEVY_W; levy <= NDE_LEVY_K; levy++) {
        nde_noise noise = { .size = sizeof noise, .seed = 1, .levy = levy, .tolerance = 0x1p-10 }, read;
        if (nde_noise_read(&read, &noise)) return;
        const double grid = walk(read, m, how);
        read.source = NDE_SOURCE_TREE;
        const double tree = walk(read, m, how);
        printf("| %lld%s | %zu | %s | %.2f | %.2f | %.2f |\n", (long long)how->steps, how->apart ? ", apart" : "", m,
               names[levy - 1], 1e9*grid, 1e9*tree, tree/grid);
    }
}

int main(int argc, char **argv) {
    const bool v3 = argc == 2 && strcmp(argv[1], "v3") == 0, v4 = argc == 2 && strcmp(argv[1], "v4") == 0;
    const int isa = v3 ? NDE_ISA_V3 : v4 ? NDE_ISA_V4 : NDE_ISA_AUTO;
    if (argc > 2 || (argc == 2 && !v3 && !v4) || !nde_noise_kernels_get(isa)) {
        fprintf(stderr, "usage: nde-noise [v3|v4]: what trees and grids are drawn by; the default is the machine's best\n");
        return 2;
    }
    setenv("NDE_BENCH_CPU", "1", 1);
    printf("normals in double, of 32 bits, and increments of a cell of either; ns each\n\n"
           "| kernel | normal | reference | 32 bits | reference | increment | of 32 bits |\n|---|---|---|---|---|---|---|\n");
    normals("baseline", NDE_ISA_BASELINE, bench_singles_baseline);
#ifdef BENCH_HAVE_X86
    normals("v3", NDE_ISA_V3, bench_singles_v3);
    normals("v4", NDE_ISA_V4, bench_singles_v4);
#endif
    printf("\nsteps of 64 trajectories, tolerance 2^-10; ns for a component and a step\n\n"
           "| steps | components | | grid | tree | ratio |\n|---|---|---|---|---|---|\n");
    const stroll strolls[] = { { 1024, false, isa }, { 1000, false, isa }, { 1000, true, isa } };
    for (size_t m = 1; m <= MOST; m *= 4)
        for (size_t i = 0; i < sizeof strolls/sizeof *strolls; i++) sources(&strolls[i], m);
    return 0;
}
