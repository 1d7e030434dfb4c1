/* SPDX-License-Identifier: MIT
 * fuzz.h - what a fuzz target is. With libFuzzer: clang -fsanitize=fuzzer,address tests/fuzz/NAME.c; without it driver.c
 * changes the seeds at random. */
#ifndef NDE_TESTS_FUZZ_H
#define NDE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* One input. What must hold is checked here: abort() when it does not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_MOST = 4096 };
/* Writes good input number i, at most FUZZ_MOST bytes, and returns its length; 0: there is none of that number. */
size_t fuzz_seed(size_t i, uint8_t *to);
/* Makes a changed input consistent again in what random changes would never hit (lengths, checksums). */
void fuzz_mend(uint8_t *data, size_t size);
/* Pieces that inputs are made of, NULL at the end. */
extern const char *const fuzz_tokens[];

#endif
