/* SPDX-License-Identifier: MIT
 * names.c - activations by name. */
#include <string.h>

#include "nde/base.h"

const char *nde_activation_name(int activation) {
    switch (activation) {
#define NDE_X(name, value, text) case value: return text;
        NDE_ACTIVATION_LIST(NDE_X)
#undef NDE_X
    default: return "?";
    }
}

int nde_activation_find(const char *name) {
#define NDE_X(id, value, text) if (name && strcmp(name, text) == 0) return NDE_##id;
    NDE_ACTIVATION_LIST(NDE_X)
#undef NDE_X
    return NDE_ACTIVATION_DEFAULT;
}
