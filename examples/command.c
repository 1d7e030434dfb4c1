/* SPDX-License-Identifier: MIT
 * command.c - see command.h. */
#include "command.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void end_with_usage(const char *program, size_t n, const argument *of) {
    fprintf(stderr, "usage: %s ", program);
    for (size_t i = 0; i < n; i++) fprintf(stderr, "[%s ", of[i].name);
    fputs("[PICTURE.svg]", stderr);
    for (size_t i = 0; i < n; i++) fputc(']', stderr);
    for (size_t i = 0; i < n; i++) fprintf(stderr, "; %s: %ld to %ld", of[i].name, of[i].least, of[i].most);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static bool read(const char *text, const argument *of) {
    char *rest;
    errno = 0;
    *of->value = strtol(text, &rest, 10);
    return rest != text && !*rest && !errno && *of->value >= of->least && *of->value <= of->most;
}

const char *command_line(int argc, char **argv, const char *program, size_t n, const argument *of) {
    static char file[64];
    const size_t given = argc > 1 ? (size_t)argc - 1 : 0;
    for (size_t i = 0; i < n && i < given; i++)
        if (!read(argv[1 + i], &of[i])) end_with_usage(program, n, of);
    if (given > n + 1 || (given > n && *argv[1 + n] == '-')) end_with_usage(program, n, of);
    snprintf(file, sizeof file, "%s.svg", program);
    return given > n ? argv[1 + n] : file;
}
