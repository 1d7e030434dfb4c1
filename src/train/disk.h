/* SPDX-License-Identifier: MIT
 * disk.h - files: replaced as a whole, opened as hostile input; bytes in the file's order; checksums. No real type. */
#ifndef NDE_DISK_H
#define NDE_DISK_H

#include "core/core.h"

/* ---- writing ---- */

/* A file that is about to be replaced: bytes go to a new file beside it, which gets its name when it is complete and on the
 * disk. Readers, and whoever comes after a crash, find the old file or the new one. */
typedef struct nde_replacement {
    const char *file;
    int out;   /* the new file */
    int error; /* errno of the first failure; 0: none. After it nothing is written any more */
    size_t used;
    char temporary[4096];
    unsigned char buffer[4096];
} nde_replacement;
void nde_replacement_begin(nde_replacement *r, const char *file);
void nde_replacement_write(nde_replacement *r, const void *bytes, size_t count);
/* Puts it in its place, or says in the name of `function` why it cannot be, and leaves nothing behind. Errors: NDE_E_IO. */
nde_status nde_replacement_end(nde_replacement *r, const char *function);

/* ---- reading ---- */

typedef struct nde_input {
    int in;
    uint64_t size, at; /* bytes; where the next read begins */
} nde_input;
/* Opens a regular file; what is none must not hang the caller. Errors: NDE_E_IO. */
nde_status nde_input_open(nde_input *input, const char *function, const char *file);
/* The next `count` bytes, all of them. False: errno says why, 0 for an early end. */
bool nde_input_read(nde_input *input, void *bytes, size_t count);
void nde_input_close(nde_input *input);
/* Why the last read failed. */
const char *nde_input_reason(void);

/* ---- bytes ---- */

/* Numbers of this machine from or to their bytes in a file, least significant first: [count], `width` bytes each. to = from: in
 * place. */
void nde_little_endian(void *to, const void *from, size_t count, size_t width);
/* True where that changes nothing. */
bool nde_is_little_endian(void);

/* CRC-32C (Castagnoli). Source: G. Castagnoli et al., IEEE Trans. Commun. 41 (1993) 883-892; RFC 3720, 12.1. */
typedef struct nde_crc32c {
    uint32_t table[8][256];
    uint32_t state;
} nde_crc32c;
void nde_crc32c_begin(nde_crc32c *crc);
void nde_crc32c_add(nde_crc32c *crc, const void *bytes, size_t count);
uint32_t nde_crc32c_value(const nde_crc32c *crc);

#endif
