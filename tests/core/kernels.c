/* SPDX-License-Identifier: MIT
 * The kernels of each instruction set can be asked for, and are those of this machine. */
#include "core/kernels.h"
#include "core/isa.h"
#include "core/step.h"

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

/* One trajectory: vectors of rows and passes of slopes change no bit, and nothing behind the last row. */
static void slopes_of_one_add_up(void **state) {
    (void)state;
    enum { ROWS = 37, SLOPES = 20 };
    static nde_real k[SLOPES*ROWS], y[ROWS], z[ROWS + 1], weight[SLOPES];
    int index[SLOPES];
    const nde_real h = (nde_real)0.3;
    for (size_t i = 0; i < SLOPES*ROWS; i++) k[i] = (nde_real)1/(nde_real)(i + 3);
    for (size_t i = 0; i < ROWS; i++) y[i] = (nde_real)(i + 1)/7;
    for (int j = 0; j < SLOPES; j++) index[j] = j, weight[j] = (nde_real)(j % 3 - 1.3);
    for (int isa = 0; isa < 3; isa++)
        for (size_t rows = 1; rows < ROWS; rows++)
            for (int count = 0; count <= SLOPES; count++) {
                const nde_kernels *kernels = nde_kernels_get(isas[isa], false);
                const nde_row row = { count, index, weight };
                if (!kernels) continue;
                z[rows] = 5;
                kernels->step->combine(rows, 1, 1, &h, &row, k, ROWS, y, z);
                assert_true(z[rows] == 5);
                for (size_t i = 0; i < rows; i++) {
                    nde_real sum = y[i];
                    for (int j = 0; j < count; j++) sum += h*weight[j]*k[(size_t)j*ROWS + i];
                    assert_true(z[i] == sum);
                }
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_instruction_set_has_its_kernels),
        cmocka_unit_test(the_best_is_taken_by_itself),
        cmocka_unit_test(unknown_instruction_sets_are_null),
        cmocka_unit_test(slopes_of_one_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
