/* SPDX-License-Identifier: MIT
 * core.h - status texts, memory and threads: what every part may use. No real type. */
#ifndef NDE_CORE_H
#define NDE_CORE_H

#include <stdbool.h>
#include <string.h>

#include "nde/base.h"

/* Sets this thread's text and returns the status: return nde_fail(NDE_E_ARG, "nde_solve: rtol is %g", rtol). */
nde_status nde_fail(nde_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Brings back the text before the last nde_fail: the failure belongs to an object, which has copied its text. */
void nde_fail_undo(void);

/* ---- sizes: the one place where they are multiplied ---- */

/* *product = a*b; false when it does not fit. */
bool nde_size_multiply(size_t a, size_t b, size_t *product);
/* *sum = a + b; false when it does not fit. */
bool nde_size_add(size_t a, size_t b, size_t *sum);
/* ld of an own block of n lanes of `bytes` each: n rounded up to 64 bytes, and away from multiples of 512 bytes; 1 for
 * n = 1. 0 when it does not fit. */
size_t nde_leading_dimension(size_t n, size_t bytes);

/* Are all of x [n] the same bits? */
static inline bool nde_are_equal(size_t n, const double *x) { return n < 2 || !memcmp(x, x + 1, (n - 1)*sizeof *x); }

/* ---- struct growth ---- */

/* Copies a sized struct of the caller into `to` (bytes of today's layout), zero-extended; `first` is the size of the first
 * release. False when the size is unknown and the tail is not zero, or smaller than first. `from` NULL: all zero. */
bool nde_read_sized(void *to, size_t bytes, const void *from, size_t first);

/* ---- the workspace: laid out twice by the same code, first to count (base NULL), then to hand out ---- */

typedef struct nde_arena {
    unsigned char *base;
    size_t used;
    bool overflow;
} nde_arena;
/* count*bytes at a multiple of 64; NULL while counting, on overflow, or for count*bytes = 0. */
void *nde_arena_take(nde_arena *arena, size_t count, size_t bytes);
/* The same for [rows][columns] of so many bytes. */
void *nde_arena_take_rows(nde_arena *arena, size_t rows, size_t columns, size_t bytes);

/* malloc and free, 64-byte aligned. */
extern const nde_allocator nde_allocator_default;
/* An eighth of the machine's memory, or 1 GiB, whichever is less. */
size_t nde_budget_default(void);

/* A clock that only goes forwards. */
int64_t nde_nanoseconds(void);

/* ---- a small pool: sleeping workers, spinning 20 us at most, recreated in a forked child ---- */

typedef struct nde_pool nde_pool;
/* threads >= 2; NULL when it cannot be had. The memory comes from the allocator. */
nde_pool *nde_pool_create(int threads, const nde_allocator *allocator);
void nde_pool_destroy(nde_pool *pool, const nde_allocator *allocator);
/* nde_executor.run: ctx is the pool; the calling thread is worker 0. */
int nde_pool_run(void *pool, size_t count, void (*task)(void *arg, size_t i, int worker), void *arg);

#endif
