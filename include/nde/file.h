/* SPDX-License-Identifier: MIT
 * nde/file.h - named arrays of any type in one file: parameters, optimiser state, where a run stands; and states of a
 * record. */
#ifndef NDE_FILE_H
#define NDE_FILE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Types of tensors. */
enum { NDE_F64 = 1, NDE_F32 = 2, NDE_I64 = 3, NDE_U8 = 4 };
/* A named array. Its layout never changes. */
typedef struct nde_tensor {
    const char *name;   /* UTF-8, 1 to 255 bytes, unique in a call, not "__metadata__" */
    int32_t type;       /* NDE_F64 ... */
    int32_t rank;       /* 0 to 8; 0: one value */
    size_t shape[8];    /* [rank], last index fastest */
    void *data;         /* the caller's, aligned for its type; NULL: only when a dimension is 0 */
} nde_tensor;
/* Writes tensors as a safetensors file, which PyTorch and JAX read, with a checksum ("nde.crc32c" in its metadata): to a
 * temporary name first, synced, renamed when complete, so that a reader, or a run that goes on after a crash, finds the old
 * file or the new one. Parameters, optimiser state and positions together make a training run resumable to the bit. The widest
 * types come first in the file, so that each array is aligned. A process that is killed here leaves a file .nde-*.tmp in the
 * folder, which the next one takes over.
 * Errors: NDE_E_ARG; NDE_E_SIZE (the file would have more than 2^63 - 1 bytes, or 16 MiB of names); NDE_E_IO (the old file is
 * as it was, unless only its folder could not be synced). */
NDE_API NDE_CHECK nde_status nde_tensors_save(const char *file, const nde_tensor *tensor, size_t count);
/* Fills the tensors' data from such a file, by name; type, rank and shape must be those of the file; more in the file is fine.
 * The file is read as hostile input; the checksum is verified where there is one. It is read twice: nothing is written before
 * all of it was found good.
 * Errors: NDE_E_ARG, NDE_E_SIZE, NDE_E_NOMEM, NDE_E_IO (missing, not a regular file, damaged, another type or shape): nothing
 * is written, unless another program changes the file in place at this moment. */
NDE_API NDE_CHECK nde_status nde_tensors_load(const char *file, const nde_tensor *tensor, size_t count);

/* A store in a file, which is made, or emptied when it is there, and stays when it is closed. Close it after the solver is
 * destroyed.
 * Errors: NDE_E_ARG; NDE_E_IO (it cannot be opened to read and write): the store is untouched. */
NDE_API NDE_CHECK nde_status nde_store_open(nde_store *store, const char *file);
/* NULL, and a store that was zeroed and never opened, are allowed. */
NDE_API void nde_store_close(nde_store *store);

#ifdef __cplusplus
}
#endif
#endif
