/* SPDX-License-Identifier: MIT
 * nde-bench.c - libnde beside hand-written programs, in one run on one machine.
 *
 * A pair is one sample of libnde and one of every build of the reference, in alternating order. A sample
 * repeats the work so often that it lasts SAMPLE seconds. `ratio` is libnde's median over that of the fastest
 * build; of an adjoint_ case, the median with the gradient over that without; of a program_ case, the program's over that
 * of the same field by hand. */
#include "bench.h"
#include "child.h"
#include "native_files.h"

#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLE 0.02
#define BUSY 1.02 /* more CPU time than this for each thread of wall time is said */
#define SETTLE 0.3 /* the threads that OpenBLAS has made when it was loaded spin for a tenth of a second before they sleep */
enum { PAIRS = 11, PAIRS_SLOW = 3, PAIRS_MIN = 7, PAIRS_MAX = 999, BUILDS = 4 }; /* slow: of cases that take seconds a run */

typedef struct bench_case {
    const char *name, *what;
    const bench_subject *subject[2]; /* double, single; NULL: not in this precision */
    const char *program, *argument;  /* of the reference: reference/PROGRAM.c */
    const char *builds[BUILDS];      /* each begins with its instruction set */
    bool slow;                       /* runs when it is asked for, PAIRS_SLOW times where nobody says how often */
    const char *beside;              /* no reference, but libnde itself, otherwise */
} bench_case;

#define ONE .subject = { &bench_one_double }, .program = "ode_dopri5", .builds = { "v3", "v4" }
#define TRAIN .subject = { &bench_train_double, &bench_train_single }, .program = "node_roofline", \
    .builds = { "v3", "v4" }

#define GRADIENT .subject = { &bench_gradient_double }
#define ADJOINT .subject = { &bench_adjoint_double, &bench_adjoint_single }, .beside = "forward"
#define NETWORK .subject = { &bench_train_double, &bench_train_single }, .beside = "by_hand"
#define ENSEMBLE                                                                                                             \
    .subject = { &bench_ensemble_double }, .program = "ode_batch", .builds = { "v3_w8", "v3_w16", "v4_w8", "v4_w16" }
/* The faster ones of each instruction set, by `ensemble`: a run of the others takes seven and eleven seconds. */
#define MILLION                                                                                                              \
    .subject = { &bench_ensemble_double }, .program = "ode_batch", .argument = "ensemble_million",                          \
    .builds = { "v3_w16", "v4_w8" }, .slow = true
#define ROBERTSON .subject = { &bench_robertson_double }
#define BROWNIAN                                                                                                             \
    .subject = { &bench_gbm_double, &bench_gbm_single }, .program = "sde_roofline", .builds = { "v3", "v4" }
#define FIXED .subject = { &bench_ensemble_double }, .program = "ode_batch_fixed", .builds = { "v3", "v4" }

static const bench_case cases[] = {
    { "lorenz", "one Lorenz trajectory to t = 20, dopri5 at 1e-9; field by pointer, written for lanes",
      ONE, .argument = "lorenz" },
    { "lorenz_pointwise", "the same, field by nde_field_pointwise", ONE, .argument = "lorenz" },
    { "lorenz_inline", "the same, field compiled into the step by nde/inline.h, beside the reference that is inlined",
      ONE, .argument = "lorenz_inline" },
    { "kepler", "ten orbits of eccentricity 0.6, dopri5 at 1e-9; field by pointer, written for lanes",
      ONE, .argument = "kepler" },
    { "kepler_pointwise", "the same, field by nde_field_pointwise", ONE, .argument = "kepler" },
    { "spiral", "training step of MLP(y^3) 2-50-2, batch 20, 10 times, dopri5 at 1e-7",
      TRAIN, .argument = "spiral" },
    { "mid", "training step of 64-256-256-64, batch 256, dopri5 at 1e-5, beside its matrix products alone by OpenBLAS",
      TRAIN, .argument = "mid_gemm" },
    { "mid_step", "the same, beside a training step written by hand", TRAIN, .argument = "mid" },
    { "small", "training step of 4-32-32-4, batch 1, dopri5 at 1e-5", TRAIN, .argument = "small" },
    { "ensemble", "10,000 Lorenz trajectories to t = 10, own steps and refill, dopri5 at 1e-6; field compiled into the step",
      ENSEMBLE, .argument = "ensemble" },
    { "ensemble_pointer", "the same, field by pointer", ENSEMBLE, .argument = "ensemble" },
    { "ensemble_million", "a million, field compiled into the step; only when asked for", MILLION },
    { "ensemble_million_pointer", "the same, field by pointer; only when asked for", MILLION },
    { "ensemble_fixed", "10,000 Lorenz trajectories to t = 10 in 1000 equal steps of dopri5; field compiled into the step",
      FIXED, .argument = "ensemble_fixed" },
    { "ensemble_fixed_pointer", "the same, field by pointer", FIXED, .argument = "ensemble_fixed" },
    { "program_lorenz", "ensemble's with a program as the field, beside the field by pointer",
      .subject = { &bench_ensemble_double }, .beside = "by_hand" },
    { "program_lorenz_gradient", "the same to t = 1 and the gradient of all ends' sum by starts and rho",
      .subject = { &bench_ensemble_double }, .beside = "by_hand" },
    { "program_small", "small's with a program as the network, beside nde_field_mlp", NETWORK },
    { "program_mid", "mid's, likewise", NETWORK },
    { "gbm", "geometric Brownian motion, 4096 x 16, 1000 steps of Euler-Maruyama; fields compiled into the step",
      BROWNIAN, .argument = "gbm" },
    { "gbm_pointer", "the same, fields by pointer", BROWNIAN, .argument = "gbm" },
    { "gbm_srk", "by sriw1, of strong order 1.5; fields compiled into the step", BROWNIAN, .argument = "gbm_srk" },
    { "gbm_srk_pointer", "the same, fields by pointer", BROWNIAN, .argument = "gbm_srk" },
    { "sde_train", "training step of a neural SDE 16-64-16, batch 512, 64 steps of reversible Heun",
      .subject = { &bench_sde_train_double, &bench_sde_train_single }, .program = "sde_train", .argument = "sde_train",
      .builds = { "v3", "v4" } },
    { "lv_gradient", "gradient of a Lotka-Volterra loss at t = 10, dopri5 at 1e-6; field and vjp by pointer",
      GRADIENT, .program = "lv_gradient", .argument = "lv_gradient", .builds = { "v3", "v4" } },
    { "lv_gradient_times", "the same of squares at 21 times",
      GRADIENT, .program = "lv_gradient", .argument = "lv_gradient_times", .builds = { "v3", "v4" } },
    { "lv_gradient_cvodes", "the first one beside CVODES: Adams, Hermite interpolation, quadratures in the error test",
      GRADIENT, .program = "lv_gradient_cvodes", .argument = "lv_gradient_cvodes", .builds = { "v3" } },
    { "robertson", "Robertson's reactions to t = 1e5, rosenbrock23 at 1e-3; field and Jacobian by pointer",
      ROBERTSON, .program = "robertson", .argument = "robertson", .builds = { "v3", "v4" } },
    { "robertson_cvode", "the same beside CVODE: BDF, its own dense solver, the Jacobian too",
      ROBERTSON, .program = "robertson_cvode", .argument = "robertson_cvode", .builds = { "v3" } },
    { "robertson_ensemble", "10,000 with different rates, own steps and refill, beside as many one by one",
      ROBERTSON, .program = "robertson", .argument = "robertson_ensemble", .builds = { "v3", "v4" } },
    { "adjoint_small", "solve and gradient of an MLP 4-32-32-4 beside the solve alone, dopri5 at 1e-6", ADJOINT },
    { "adjoint_spiral", "the same of 2-50-2, batch 20", ADJOINT },
    { "adjoint_mid", "the same of 64-256-256-64, batch 256", ADJOINT },
    { "adjoint_lorenz", "the same of a Lorenz trajectory to t = 10; field by pointer", ADJOINT },
    { "adjoint_small_sqrt", "MLP 4-32-32-4 in 256 steps from 16 states", ADJOINT },
    { "adjoint_mid_sqrt", "64-256-256-64, batch 32, in 64 steps from 8 states", ADJOINT },
    { "adjoint_lorenz_sqrt", "Lorenz in 1024 steps from 32 states", ADJOINT },
};
enum { CASES = sizeof cases/sizeof cases[0] };
static const char *const precision_names[] = { "double", "single" };

typedef struct settings {
    bool wanted[CASES], any, json, cpu;
    int precision, threads, isa, pairs; /* pairs 0: nobody says */
} settings;

/* ---- instruction sets ---- */

static int isa_of_machine(void) {
#ifdef BENCH_HAVE_X86
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl");
    return v4 ? NDE_ISA_V4 : v3 ? NDE_ISA_V3 : NDE_ISA_BASELINE;
#else
    return NDE_ISA_BASELINE;
#endif
}

static const char *isa_name(int isa) {
    return isa == NDE_ISA_V4 ? "v4" : isa == NDE_ISA_V3 ? "v3" : "baseline";
}

static int isa_find(const char *name) {
    for (int isa = NDE_ISA_BASELINE; isa <= NDE_ISA_V4; isa++)
        if (strncmp(name, isa_name(isa), strlen(isa_name(isa))) == 0) return isa;
    return 0;
}

/* ---- samples ---- */

typedef struct samples {
    long times; /* runs of a sample */
    double seconds[PAIRS_MAX], median;
} samples;

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

/* What takes turns: libnde, or a reference. */
typedef struct side {
    const bench_subject *subject;
    void *state;
    child *reference; /* NULL: subject and state */
} side;

static clockid_t bench_clock = CLOCK_MONOTONIC; /* --cpu: another */

/* Seconds of `times` runs; negative: it failed. */
static double sample(const side *of, long times) {
    if (of->reference) return child_run(of->reference, times);
    const double start = now(bench_clock);
    for (long i = 0; i < times; i++)
        if (!of->subject->run(of->state)) return -1;
    return now(bench_clock) - start;
}

/* Runs of a sample; 0: it failed. */
static long calibrate(const side *of) {
    for (long times = 1;;) {
        const double seconds = sample(of, times);
        if (seconds < 0) return 0;
        if (seconds >= SAMPLE) return times;
        times = seconds < 0.01*SAMPLE ? 100*times : (long)((double)times*1.2*SAMPLE/seconds) + 1;
    }
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sort(samples *s, int pairs) {
    qsort(s->seconds, (size_t)pairs, sizeof *s->seconds, compare);
    s->median = 0.5*(s->seconds[(pairs - 1)/2] + s->seconds[pairs/2]);
}

/* Side 0 is libnde. *busy: its CPU time over its wall time. */
static bool measure(const side *sides, int count, int pairs, samples *s, double *busy) {
    double cpu = 0, wall = 0;
    for (int i = 0; i < count; i++) {
        s[i].times = calibrate(sides + i);
        if (!s[i].times) return false;
    }
    for (int k = 0; k < pairs; k++)
        for (int j = 0; j < count; j++) {
            const int i = k%2 ? count - 1 - j : j;
            const double start = now(CLOCK_PROCESS_CPUTIME_ID);
            const double seconds = sample(sides + i, s[i].times);
            if (seconds < 0) return false;
            s[i].seconds[k] = seconds/(double)s[i].times;
            if (i == 0) {
                cpu += now(CLOCK_PROCESS_CPUTIME_ID) - start;
                wall += seconds;
            }
        }
    for (int i = 0; i < count; i++) sort(s + i, pairs);
    *busy = cpu/wall;
    return true;
}

/* ---- threads ---- */

typedef struct loop {
    pthread_t thread;
    double seconds, result;
} loop;

/* Arithmetic in registers: what two threads of it gain is what the machine gives. */
static void *spin(void *arg) {
    loop *l = arg;
    double x[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    const double start = now(CLOCK_MONOTONIC);
    for (long i = 0; i < 4000000; i++)
        for (int j = 0; j < 8; j++) x[j] = x[j]*0.999999 + 1e-6;
    for (int j = 0; j < 8; j++) l->result += x[j];
    l->seconds = now(CLOCK_MONOTONIC) - start;
    return NULL;
}

/* How many times the work of one loop `threads` loops at a time do. */
static double loops(int threads) {
    static loop l[64];
    double alone, slowest = 0;
    const int count = threads < 64 ? threads : 64;
    spin(l);
    alone = l->seconds;
    for (int i = 1; i < count; i++)
        if (pthread_create(&l[i].thread, NULL, spin, l + i)) return (double)NAN;
    spin(l);
    for (int i = 1; i < count; i++) pthread_join(l[i].thread, NULL);
    for (int i = 0; i < count; i++) slowest = fmax(slowest, l[i].seconds);
    return count*alone/slowest;
}

/* libnde with one thread and with all, and the loops, in turns. */
static void scaling(const settings *set, const bench_case *c, void *state) {
    const bench_subject *subject = c->subject[set->precision];
    const bench_setup setup = { .name = c->name, .threads = 1, .isa = set->isa };
    static samples one, all, machine;
    char text[240];
    void *single = subject->make(&setup, text, sizeof text);
    const side here = { subject, state, NULL }, alone = { subject, single, NULL };
    if (!single) return;
    one.times = all.times = calibrate(&alone);
    for (int k = 0; k < set->pairs; k++) {
        one.seconds[k] = sample(&alone, one.times);
        machine.seconds[k] = loops(set->threads);
        all.seconds[k] = sample(&here, all.times);
    }
    sort(&one, set->pairs), sort(&all, set->pairs), sort(&machine, set->pairs);
    fprintf(set->json ? stderr : stdout,
            "# %s: %d threads are %.2f x one (of the least times: %.2f x); loops in registers %.2f x\n", c->name,
            set->threads, one.median/all.median, one.seconds[0]/all.seconds[0], machine.median);
    subject->free(single);
}

/* ---- output ---- */

static void number(char *text, size_t size, const char *format, double x, const char *without) {
    if (isfinite(x)) snprintf(text, size, format, x);
    else snprintf(text, size, "%s", without);
}

static const char json_line[] =
    "{\"case\":\"%s\",\"who\":\"%s\",\"precision\":\"%s\",\"threads\":%d,\"isa\":\"%s\",\"seconds_median\":%.6g,"
    "\"seconds_min\":%.6g,\"seconds_max\":%.6g,\"evaluations\":%lld,\"error\":%s,\"ratio\":%s,\"bytes\":%s}\n";
static const char table_head[] = "%-22s %-10s %-9s %7s  %-8s %11s %11s %11s %12s %10s %7s %10s\n";
static const char table_line[] = "%-22s %-10s %-9s %7d  %-8s %11.4g %11.4g %11.4g %12lld %10s %7s %10s\n";

static void print(const settings *set, const bench_case *c, const char *who, int threads, int isa, const samples *s,
                  const bench_facts *facts, double ratio) {
    char error_text[32], ratio_text[32], bytes_text[32];
    const char *none = set->json ? "null" : "";
    const double *seconds = s->seconds, most = seconds[set->pairs - 1];
    number(error_text, sizeof error_text, "%.4g", facts->error, set->json ? none : "-");
    number(ratio_text, sizeof ratio_text, "%.4g", ratio, none);
    number(bytes_text, sizeof bytes_text, "%.0f", facts->bytes ? (double)facts->bytes : (double)NAN, none);
    printf(set->json ? json_line : table_line, c->name, who, precision_names[set->precision], threads, isa_name(isa), s->median,
           seconds[0], most, facts->evaluations, error_text, ratio_text, bytes_text);
    fflush(stdout);
}

/* Standard output holds nothing but objects with --json. */
static void print_head(const settings *set) {
    FILE *out = set->json ? stderr : stdout;
    fprintf(out, "# %s%s\n", nde_build_info(), set->cpu ? ", processor time" : "");
    for (size_t i = 0; i < sizeof native_files/sizeof native_files[0]; i++)
        fprintf(out, "# %s  reference/native/%s\n", native_files[i].sha256, native_files[i].file);
    if (!set->json)
        printf(table_head, "case", "who", "precision", "threads", "isa", "median [s]", "min", "max",
               "evaluations", "error", "ratio", "bytes");
    fflush(out);
}

static bool wrong(const bench_case *c, const char *text) {
    fprintf(stderr, "nde-bench: %s: %s\n", c->name, text);
    return false;
}

/* ---- one case ---- */

/* Every build that this machine runs; how many, or -1. */
static int start_references(const settings *set, const bench_case *c, child *reference, int *isa) {
    int count = 0;
    for (int i = 0; i < BUILDS && c->builds[i]; i++) {
        char program[96], text[200];
        isa[count] = isa_find(c->builds[i]);
        if (isa[count] > set->isa) continue;
        snprintf(program, sizeof program, "reference_%s_%s", c->program, c->builds[i]);
        if (child_start(reference + count, program, c->argument, precision_names[set->precision], text,
                        sizeof text)) {
            count++;
        } else if (*text) {
            wrong(c, text);
            while (count) child_end(reference + --count);
            return -1;
        }
    }
    if (count == 0) fprintf(stderr, "nde-bench: %s: no reference is built\n", c->name);
    return count;
}

static bool within(const bench_case *c, const char *who, double error, double bound) {
    char text[200];
    if (!(bound > 0) || error <= bound) return true;
    snprintf(text, sizeof text, "%.80s: the error %.4g is above its bound %.4g", who, error, bound);
    return wrong(c, text);
}

/* Runs once, and says what is wrong with the result. */
static bool verify(const bench_case *c, const bench_subject *subject, void *state, const child *reference,
                   int references, bench_facts *facts) {
    *facts = (bench_facts){ .error = (double)NAN };
    if (!subject->run(state)) return wrong(c, "the solve failed");
    subject->check(state, references ? reference->answer : NULL, references ? reference->count : 0, facts);
    if (*facts->text) return wrong(c, facts->text);
    bool good = within(c, "libnde", facts->error, facts->bound);
    for (int i = 0; i < references; i++)
        good &= within(c, reference[i].name, reference[i].error, facts->bound);
    return good;
}

/* libnde's line, then one of the fastest build for each instruction set. */
static void report(const settings *set, const bench_case *c, const bench_facts *facts,
                   const child *reference, const int *isa, int references, const samples *s) {
    const double none = (double)NAN;
    double fastest = (double)INFINITY;
    for (int i = 1; i <= references; i++) fastest = fmin(fastest, s[i].median);
    print(set, c, "libnde", set->threads, set->isa, s, facts, references ? s[0].median/fastest : none);
    for (int one = NDE_ISA_BASELINE; one <= NDE_ISA_V4; one++) {
        int best = -1;
        for (int i = 0; i < references; i++)
            if (isa[i] == one && (best < 0 || s[1 + i].median < s[1 + best].median)) best = i;
        const bench_facts theirs = { .evaluations = best < 0 ? 0 : reference[best].evaluations,
                                     .error = best < 0 ? 0 : reference[best].error };
        if (best >= 0) print(set, c, "reference", 1, one, s + 1 + best, &theirs, none);
    }
}

static void say_busy(const settings *set, const bench_case *c, double busy) {
    if (busy > BUSY*set->threads)
        fprintf(stderr, "nde-bench: %s: libnde's CPU time is %.2f of its wall time\n", c->name, busy);
}

static bool run_case(const settings *set, const bench_case *c) {
    const bench_subject *subject = c->subject[set->precision];
    const bench_setup setup = { .name = c->name, .threads = set->threads, .isa = set->isa };
    static samples s[1 + BUILDS];
    child reference[BUILDS];
    side sides[1 + BUILDS];
    int isa[BUILDS];
    char text[240] = "out of memory";
    double busy = 0;
    bench_facts facts;
    const int references = start_references(set, c, reference, isa);
    if (references < 0) return false;
    void *state = subject->make(&setup, text, sizeof text);
    bool good = state ? verify(c, subject, state, reference, references, &facts) : wrong(c, text);
    if (good) {
        sides[0] = (side){ subject, state, NULL };
        for (int i = 0; i < references; i++) sides[1 + i] = (side){ .reference = reference + i };
        good = measure(sides, 1 + references, set->pairs, s, &busy);
        if (!good) wrong(c, "a run failed while it was timed");
        else report(set, c, &facts, reference, isa, references, s);
        if (good && set->threads > 1) scaling(set, c, state);
    }
    say_busy(set, c, busy);
    if (state) subject->free(state);
    for (int i = 0; i < references; i++) child_end(reference + i);
    return good;
}

/* A solve with its gradient beside the solve alone, a program beside a field by hand. */
static bool run_beside(const settings *set, const bench_case *c) {
    static samples s[2];
    side sides[2];
    bench_facts facts[2];
    char text[240] = "out of memory";
    double busy = 0;
    bool good = true;
    for (int i = 0; i < 2; i++) {
        const bench_subject *subject = c->subject[set->precision];
        const bench_setup setup = { .name = c->name, .threads = set->threads, .isa = set->isa, .beside = i == 1 };
        sides[i] = (side){ subject, good ? subject->make(&setup, text, sizeof text) : NULL, NULL };
        good = good && (sides[i].state ? verify(c, subject, sides[i].state, NULL, 0, facts + i) : wrong(c, text));
    }
    if (good && !(good = measure(sides, 2, set->pairs, s, &busy))) wrong(c, "a run failed while it was timed");
    if (good) {
        print(set, c, "libnde", set->threads, set->isa, s, facts, s[0].median/s[1].median);
        print(set, c, c->beside, set->threads, set->isa, s + 1, facts + 1, (double)NAN);
    }
    say_busy(set, c, busy);
    for (int i = 0; i < 2; i++)
        if (sides[i].state) sides[i].subject->free(sides[i].state);
    return good;
}

static bool run(const settings *set, const bench_case *c) {
    settings own = *set;
    if (!own.pairs) own.pairs = c->slow ? PAIRS_SLOW : PAIRS;
    return (c->beside ? run_beside : run_case)(&own, c);
}

/* ---- arguments ---- */

static const char usage[] =
    "usage: nde-bench [--list] [--case NAME]... [--precision single|double] [--threads N]\n"
    "                 [--isa baseline|v3|v4] [--pairs N] [--cpu] [--json]\n"
    "--cpu: processor time, of what is not held up by other programs' turns\n";

static int misuse(const char *what, const char *value) {
    fprintf(stderr, "nde-bench: %s %s\n%s", what, value, usage);
    return 2;
}

static bool whole(const char *text, int low, int high, int *value) {
    char *end;
    const long x = strtol(text, &end, 10);
    *value = (int)x;
    return *text && !*end && x >= low && x <= high;
}

static void list(void) {
    for (int i = 0; i < CASES; i++)
        printf("%-22s double%s  %s\n", cases[i].name, cases[i].subject[1] ? ", single" : "        ",
               cases[i].what);
}

/* 0: go on; else exit with it, less one. */
static int parse(int argc, char **argv, settings *set) {
    static const struct option options[] = {
        { "list", no_argument, NULL, 'l' }, { "case", required_argument, NULL, 'c' },
        { "precision", required_argument, NULL, 'p' }, { "threads", required_argument, NULL, 't' },
        { "isa", required_argument, NULL, 'i' }, { "pairs", required_argument, NULL, 'n' },
        { "json", no_argument, NULL, 'j' }, { "cpu", no_argument, NULL, 'u' }, { "help", no_argument, NULL, 'h' }, { 0 },
    };
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int i = 0;
        switch (o) {
        case 'l': list(); return 1;
        case 'h': printf("%s", usage); return 1;
        case 'j': set->json = true; break;
        case 'u': set->cpu = true; break;
        case 'c':
            while (i < CASES && strcmp(optarg, cases[i].name) != 0) i++;
            if (i == CASES) return 1 + misuse("there is no case", optarg);
            set->wanted[i] = set->any = true;
            break;
        case 'p':
            set->precision = strcmp(optarg, "single") == 0;
            if (!set->precision && strcmp(optarg, "double") != 0)
                return 1 + misuse("there is no precision", optarg);
            break;
        case 't':
            if (!whole(optarg, 1, 1024, &set->threads))
                return 1 + misuse("--threads: 1 to 1024, not", optarg);
            break;
        case 'n':
            if (!whole(optarg, PAIRS_MIN, PAIRS_MAX, &set->pairs))
                return 1 + misuse("--pairs: 7 to 999, not", optarg);
            break;
        case 'i':
            i = isa_find(optarg);
            if (!i || strcmp(optarg, isa_name(i)) != 0)
                return 1 + misuse("there is no instruction set", optarg);
            if (i > set->isa) return 1 + misuse("this machine does not have", optarg);
            set->isa = i;
            break;
        default: fprintf(stderr, "%s", usage); return 3;
        }
    }
    if (set->cpu && set->threads > 1) return 1 + misuse("--cpu: the processor time of several threads is no", "speed");
    return optind < argc ? 1 + misuse("what is", argv[optind]) : 0;
}

int main(int argc, char **argv) {
    settings set = { .threads = 1, .isa = isa_of_machine() };
    const int done = parse(argc, argv, &set);
    if (done) return done - 1;
    for (int i = 0; i < CASES; i++)
        if (set.wanted[i] && !cases[i].subject[set.precision])
            return misuse("not in this precision:", cases[i].name);
    if (set.cpu) bench_clock = CLOCK_PROCESS_CPUTIME_ID, setenv("NDE_BENCH_CPU", "1", 1);
    signal(SIGPIPE, SIG_IGN);
    /* For the references: this process has loaded OpenBLAS, which read its own then. */
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    print_head(&set);
    nanosleep(&(struct timespec){ .tv_nsec = (long)(1e9*SETTLE) }, NULL);
    bool good = true;
    for (int i = 0; i < CASES; i++)
        if ((set.wanted[i] || (!set.any && !cases[i].slow)) && cases[i].subject[set.precision])
            good &= run(&set, cases + i);
    return good ? 0 : 1;
}
