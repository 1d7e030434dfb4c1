/* SPDX-License-Identifier: MIT
 * command.h - the command lines of the examples: whole numbers and a picture's name, none of which need be there.
 * Not a part of libnde. */
#ifndef COMMAND_H
#define COMMAND_H

#include <stddef.h>

typedef struct argument {
    const char *name;
    long *value; /* in: when it is not given */
    long least, most;
} argument;

/* Reads the numbers in order; what follows them is the picture. Returns its name, "<program>.svg" when it is not given.
 * Ends the program with its usage when the command line says anything else. */
const char *command_line(int argc, char **argv, const char *program, size_t n, const argument *of);

#endif
