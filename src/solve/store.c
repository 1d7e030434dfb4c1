/* SPDX-License-Identifier: MIT
 * store.c - a file as a store of states. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/core.h"
#include "nde/file.h"

/* The file is the context, one more so that NULL is none. */
static int file_of(void *ctx) { return (int)((intptr_t)ctx - 1); }

/* All of it, however often it is interrupted or comes short. */
static int write_all(void *ctx, uint64_t offset, const void *from, size_t bytes) {
    const unsigned char *at = from;
    while (bytes) {
        const ssize_t done = pwrite(file_of(ctx), at, bytes, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return 1;
        at += done, offset += (uint64_t)done, bytes -= (size_t)done;
    }
    return 0;
}

static int read_all(void *ctx, uint64_t offset, void *to, size_t bytes) {
    unsigned char *at = to;
    while (bytes) {
        const ssize_t done = pread(file_of(ctx), at, bytes, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return 1;
        at += done, offset += (uint64_t)done, bytes -= (size_t)done;
    }
    return 0;
}

nde_status nde_store_open(nde_store *store, const char *path) {
    if (!store || !path) return nde_fail(NDE_E_ARG, "nde_store_open: %s is NULL", store ? "file" : "store");
    const int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
    if (file < 0) return nde_fail(NDE_E_IO, "nde_store_open: cannot open '%s': %s", path, strerror(errno));
    *store = (nde_store){ .size = sizeof *store, .write = write_all, .read = read_all, .ctx = (void *)((intptr_t)file + 1) };
    return NDE_OK;
}

void nde_store_close(nde_store *store) {
    if (store && store->ctx) close(file_of(store->ctx));
    if (store) store->ctx = NULL;
}
