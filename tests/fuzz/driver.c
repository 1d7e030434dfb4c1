/* SPDX-License-Identifier: MIT
 * driver.c - runs a fuzz target on its seeds and on that many changed ones: fuzz_NAME RUNS [SEED], or fuzz_NAME FILE... */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* Source: G. Marsaglia, Xorshift RNGs, J. Stat. Software 8 (2003). */
static uint64_t state;
static size_t below(size_t n) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (size_t)((state >> 11)%n);
}

/* Puts `count` bytes in the place of `old` ones at `at`. */
static size_t replace(uint8_t *data, size_t size, size_t at, size_t old, const void *bytes, size_t count) {
    if (old > size - at) old = size - at;
    if (size - old + count > FUZZ_MOST) return size;
    memmove(data + at + count, data + at + old, size - at - old);
    memcpy(data + at, bytes, count);
    return size - old + count;
}

static size_t change(uint8_t *data, size_t size, size_t tokens) {
    uint8_t piece[64];
    const size_t at = below(size + 1), from = below(size + 1), length = below(sizeof piece) + 1;
    const char *token = fuzz_tokens[below(tokens)];
    switch (below(6)) {
    case 0: if (at < size) data[at] ^= (uint8_t)(1u << below(8)); return size;
    case 1: if (at < size) data[at] = (uint8_t)below(256); return size;
    case 2: return replace(data, size, at, 0, token, strlen(token));
    case 3: return replace(data, size, at, below(12), token, strlen(token));
    case 4: return replace(data, size, at, below(12), "", 0);
    default: /* a piece from elsewhere */
        if (from + length > size) return size;
        memcpy(piece, data + from, length);
        return replace(data, size, at, below(2)*length, piece, length);
    }
}

static int run_file(const char *name) {
    static uint8_t data[1 << 20];
    FILE *in = fopen(name, "rb");
    if (!in) return fprintf(stderr, "%s: %s\n", name, strerror(errno)), EXIT_FAILURE;
    const size_t size = fread(data, 1, sizeof data, in);
    fclose(in);
    return LLVMFuzzerTestOneInput(data, size);
}

int main(int argc, char **argv) {
    uint8_t data[FUZZ_MOST];
    char *end = NULL;
    const long runs = argc > 1 ? strtol(argv[1], &end, 10) : 0;
    size_t tokens = 0, seeds = 0;
    if (argc < 2) return fprintf(stderr, "usage: %s RUNS [SEED], or %s FILE...\n", argv[0], argv[0]), EXIT_FAILURE;
    if (*end) {
        for (int i = 1; i < argc; i++)
            if (run_file(argv[i])) return EXIT_FAILURE;
        return EXIT_SUCCESS;
    }
    state = 0x9e3779b97f4a7c15u ^ (argc > 2 ? strtoull(argv[2], NULL, 10) : 0);
    while (fuzz_tokens[tokens]) tokens++;
    for (size_t size; (size = fuzz_seed(seeds, data)); seeds++) LLVMFuzzerTestOneInput(data, size);
    LLVMFuzzerTestOneInput(data, 0);
    for (long i = 0; i < runs; i++) {
        size_t size = fuzz_seed(below(seeds), data);
        for (size_t k = below(5) + 1; k-- > 0;) size = change(data, size, tokens);
        if (below(8)) fuzz_mend(data, size);
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%ld changed inputs of %zu seeds\n", runs, seeds);
    return EXIT_SUCCESS;
}
