/* SPDX-License-Identifier: MIT
 * heap.h - an allocator that counts, and fails at one of its calls. */
#ifndef NDE_TESTS_HEAP_H
#define NDE_TESTS_HEAP_H

#include <stdlib.h>
#include <string.h>

typedef struct heap {
    long blocks, calls, fail_at;
    size_t bytes;
} heap;

static void *heap_take(void *ctx, size_t bytes, size_t align) {
    heap *h = ctx;
    void *block = NULL;
    if (h->calls++ == h->fail_at || posix_memalign(&block, align < 64 ? 64 : align, bytes)) return NULL;
    memset(block, 0xff, bytes);
    h->blocks++, h->bytes += bytes;
    return block;
}

static void heap_give(void *ctx, void *block, size_t bytes) {
    heap *h = ctx;
    h->blocks--, h->bytes -= bytes;
    free(block);
}

#endif
