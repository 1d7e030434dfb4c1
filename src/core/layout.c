/* SPDX-License-Identifier: MIT
 * layout.c - sizes of the public structs, for bindings. */
#include <string.h>

#include "layout.h"
#include "nde.h"

size_t nde_size_of(const char *type) {
#define NDE_X(name) if (type && strcmp(type, #name) == 0) return sizeof(name);
    NDE_STRUCTS(NDE_X)
#undef NDE_X
    return 0;
}
