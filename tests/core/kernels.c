/* SPDX-License-Identifier: MIT
 * The kernels of each instruction set can be asked for, and are those of this machine. */
#include "core/kernels.h"
#include "core/isa.h"

#include <string.h>

static const int isas[] = { NDE_ISA_BASELINE, NDE_ISA_V3, NDE_ISA_V4 };
static const char *const names[] = { "baseline", "v3", "v4" };

static void each_instruction_set_has_its_kernels(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++)
        for (int openblas = 0; openblas < 2; openblas++) {
            const nde_kernels *kernels = nde_kernels_get(isas[i], openblas);
            assert_int_equal(kernels != NULL, nde_isa_has(isas[i]));
            if (!kernels) continue;
            assert_int_equal(kernels->isa, isas[i]);
            assert_string_equal(kernels->name, names[i]);
            assert_true(openblas ? !kernels->gemm == !kernels->gemm_threads : !kernels->gemm);
            assert_non_null(kernels->step);
            assert_non_null(kernels->dense);
        }
    assert_non_null(nde_kernels_get(NDE_ISA_BASELINE, true));
}

static void the_best_is_taken_by_itself(void **state) {
    (void)state;
    const nde_kernels *best = nde_kernels_get(NDE_ISA_AUTO, false);
    assert_non_null(best);
    assert_int_equal(best->isa, nde_isa_best());
    assert_true(nde_isa_has(best->isa));
    for (int i = 0; i < 3; i++) assert_true(isas[i] <= best->isa || !nde_isa_has(isas[i]));
    assert_non_null(strstr(nde_build_info(), best->name));
}

static void unknown_instruction_sets_are_null(void **state) {
    const int unknown[] = { -1, 2, 5, INT32_MAX };
    (void)state;
    for (int i = 0; i < 4; i++) assert_null(nde_kernels_get(unknown[i], true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_instruction_set_has_its_kernels),
        cmocka_unit_test(the_best_is_taken_by_itself),
        cmocka_unit_test(unknown_instruction_sets_are_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
