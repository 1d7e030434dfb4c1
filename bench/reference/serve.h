/* SPDX-License-Identifier: MIT
 * serve.h - how a reference program talks to nde-bench over its standard input and output.
 *   first line out   EVALUATIONS ERROR COUNT, then COUNT raw doubles: what the answer is checked against
 *   each line in     how many times to run
 *   each line out    seconds that these runs took, of processor time where NDE_BENCH_CPU is set
 * It ends when its input ends. Included after the unchanged file, whose `main` is renamed; run goes through a
 * pointer, as there. */
#ifndef NDE_BENCH_SERVE_H
#define NDE_BENCH_SERVE_H

static double passed_s(void) {
    struct timespec t;
    if (!getenv("NDE_BENCH_CPU")) return now_s();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

static int serve(bench_fn volatile run, void *arg, long evaluations, double error, const double *answer,
                 size_t count) {
    printf("%ld %.17g %zu\n", evaluations, error, count);
    fwrite(answer, sizeof *answer, count, stdout);
    fflush(stdout);
    for (char line[32]; fgets(line, sizeof line, stdin);) {
        long times = atol(line);
        double start = passed_s();
        for (long i = 0; i < times; i++) run(arg);
        printf("%.9g\n", passed_s() - start);
        fflush(stdout);
    }
    return 0;
}

static inline int no_case(const char *program) {
    fprintf(stderr, "%s: run by nde-bench, with a case and a precision\n", program);
    return 2;
}

#endif
