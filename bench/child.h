/* SPDX-License-Identifier: MIT
 * child.h - a reference program as a child process that runs when it is told to (reference/serve.h). */
#ifndef NDE_BENCH_CHILD_H
#define NDE_BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

typedef struct child {
    char name[96];
    pid_t pid;
    FILE *to, *from;
    long long evaluations;
    double error;
    double *answer; /* [count] */
    size_t count;
} child;

/* Starts PROGRAM, beside this executable, with two arguments, and waits for its first line. false: text says why,
 * except when there is no such program: then text is "". */
bool child_start(child *me, const char *program, const char *name, const char *precision, char *text,
                 size_t text_size);
/* Seconds of `times` runs; negative: the child has died. */
double child_run(child *me, long times);
void child_end(child *me);

#endif
