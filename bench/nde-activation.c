/* SPDX-License-Identifier: MIT
 * nde-activation.c - activations by the library's kernels of each instruction set beside libm's functions, as Markdown
 * tables. */
#include "activation.h"
#include "nde.h"

#include <stdio.h>

static void cells(activation_seconds s) {
    if (s.libm > 0) printf(" %.2f | %.2f | %.2f | %.3f |", 1e9*s.own, 1e9*s.slope, 1e9*s.libm, s.own/s.libm);
    else printf(" %.2f | %.2f | | |", 1e9*s.own, 1e9*s.slope);
}

static void table(const char *name, int isa) {
    if (!(activation_time_double(isa, NDE_TANH).own > 0)) return;
    printf("\n%s; ns a number\n\n"
           "| activation | double: value | slope | libm | ratio | float: value | slope | libm | ratio |\n"
           "|---|---|---|---|---|---|---|---|---|\n", name);
    for (int id = NDE_TANH; *nde_activation_name(id) != '?'; id++) {
        printf("| %s |", nde_activation_name(id));
        cells(activation_time_double(isa, id)), cells(activation_time_single(isa, id));
        printf("\n"), fflush(stdout);
    }
}

int main(void) {
    table("baseline", NDE_ISA_BASELINE), table("v3", NDE_ISA_V3), table("v4", NDE_ISA_V4);
    return 0;
}
