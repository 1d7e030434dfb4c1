/* SPDX-License-Identifier: MIT
 * serve.h - how a reference program talks to nde-bench over its standard input and output.
 *   first line out   EVALUATIONS ERROR COUNT, then COUNT raw doubles: what the answer is checked against
 *   each line in     how many times to run
 *   each line out    seconds that these runs took
 * It ends when its input ends. Included after the unchanged file, whose `main` is renamed; run goes through a
 * pointer, as there. */
#ifndef NDE_BENCH_SERVE_H
#define NDE_BENCH_SERVE_H

static int serve(bench_fn volatile run, void *arg, long evaluations, double error, const double *answer,
                 size_t count) {
    printf("%ld %.17g %zu\n", evaluations, error, count);
    fwrite(answer, sizeof *answer, count, stdout);
    fflush(stdout);
    for (char line[32]; fgets(line, sizeof line, stdin);) {
        long times = atol(line);
        double start = now_s();
        for (long i = 0; i < times; i++) run(arg);
        printf("%.9g\n", now_s() - start);
        fflush(stdout);
    }
    return 0;
}

static inline int no_case(const char *program) {
    fprintf(stderr, "%s: run by nde-bench, with a case and a precision\n", program);
    return 2;
}

#endif
