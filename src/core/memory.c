/* SPDX-License-Identifier: MIT
 * memory.c - the one place where sizes are multiplied, structs of the caller are read, and memory comes from. */
#include "core/core.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ALIGN = 64 }; /* bytes: a cache line, and the widest vector */

bool nde_size_multiply(size_t a, size_t b, size_t *product) { return !__builtin_mul_overflow(a, b, product); }
bool nde_size_add(size_t a, size_t b, size_t *sum) { return !__builtin_add_overflow(a, b, sum); }

/* Rows whose distance is a multiple of 512 bytes fall into at most 8 of the 64 sets of a first-level cache: such a stride costs
 * up to a third of a step. */
size_t nde_leading_dimension(size_t n, size_t bytes) {
    size_t row;
    if (n == 1) return 1;
    if (!nde_size_multiply(n, bytes, &row) || !nde_size_add(row, 2*ALIGN, &row)) return 0;
    row = (row - ALIGN - 1)/ALIGN*ALIGN;
    if (row > 0 && row%512 == 0) row += ALIGN;
    return row/bytes;
}

bool nde_read_sized(void *to, size_t bytes, const void *from, size_t first) {
    memset(to, 0, bytes);
    if (!from) return true;
    size_t size;
    memcpy(&size, from, sizeof size);
    if (size == 0) size = first;
    if (size < first) return false;
    const unsigned char *source = from;
    for (size_t i = bytes; i < size; i++)
        if (source[i] != 0) return false; /* a later release's field is set */
    memcpy(to, from, size < bytes ? size : bytes);
    memcpy(to, &size, sizeof size);
    return true;
}

void *nde_arena_take(nde_arena *arena, size_t count, size_t bytes) {
    size_t total, end;
    if (!nde_size_multiply(count, bytes, &total) || !nde_size_add(total, ALIGN - 1, &total) ||
        !nde_size_add(arena->used, total/ALIGN*ALIGN, &end)) {
        arena->overflow = true;
        return NULL;
    }
    void *block = arena->base && end > arena->used && !arena->overflow ? arena->base + arena->used : NULL;
    arena->used = end;
    return block;
}

void *nde_arena_take_rows(nde_arena *arena, size_t rows, size_t columns, size_t bytes) {
    size_t count;
    if (!nde_size_multiply(rows, columns, &count)) return arena->overflow = true, NULL;
    return nde_arena_take(arena, count, bytes);
}

static void *take(void *ctx, size_t bytes, size_t align) {
    (void)ctx;
    size_t rounded; /* aligned_alloc wants a multiple */
    if (align < ALIGN) align = ALIGN;
    if (!nde_size_add(bytes, align - 1, &rounded) || rounded > PTRDIFF_MAX) return NULL;
    return aligned_alloc(align, rounded/align*align);
}

static void give(void *ctx, void *block, size_t bytes) {
    (void)ctx, (void)bytes;
    free(block);
}

const nde_allocator nde_allocator_default = { .take = take, .give = give };

size_t nde_budget_default(void) {
    const size_t most = (size_t)1 << 30;
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t memory;
    if (pages <= 0 || page <= 0 || !nde_size_multiply((size_t)pages, (size_t)page, &memory)) return most;
    return memory/8 < most ? memory/8 : most;
}
