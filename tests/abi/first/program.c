/* SPDX-License-Identifier: MIT
 * A4: a program compiled against the series' first headers (the copy in this folder) and linked with today's library. `size` is
 * what that release's sizeof says, or 0, or larger: as a program of a later release would have it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "nde.h"

enum { TAIL = 64 };
typedef struct later_options {
    nde_options first;
    unsigned char tail[TAIL];
} later_options;
typedef struct later_problem {
    nde_problem first;
    unsigned char tail[TAIL];
} later_problem;
typedef struct later_solution {
    nde_solution first;
    unsigned char tail[TAIL];
} later_solution;
typedef struct later_field {
    nde_field first;
    unsigned char tail[TAIL];
} later_field;

static int decay(const nde_field *self, const nde_site *at, const double *y, double *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) dy[b] = -at->p[0]*y[b];
    return 0;
}

static const double y0[] = { 1 }, p[] = { 2 };

/* y' = -2 y on [0, 1]: did it come out right? */
static bool solves(size_t field_size, size_t problem_size, size_t options_size, size_t solution_size) {
    const nde_field field = { .size = field_size, .dim = 1, .np = 1, .out = 1, .eval = decay };
    const nde_problem problem = { .size = problem_size, .n = 1, .t0 = 0, .t1 = 1, .y0 = y0, .p = p, .drift = &field };
    const nde_options options = { .size = options_size, .method = NDE_DOPRI5, .rtol = 1e-10, .atol = 1e-12 };
    later_solution solution;
    memset(&solution, 0xA5, sizeof solution);
    solution.first.size = solution_size;
    if (nde_solve(&problem, &options, &solution.first) != NDE_OK) return false;
    bool good = fabs(solution.first.y_end[0] - exp(-2)) < 1e-9 && solution.first.status[0] == NDE_OK;
    nde_solution_free(&solution.first);
    for (int i = 0; i < TAIL; i++) good = good && solution.tail[i] == 0xA5; /* not ours to write */
    return good;
}

static void first_sizes_and_zero_are_read(void **state) {
    (void)state;
    assert_true(solves(sizeof(nde_field), sizeof(nde_problem), sizeof(nde_options), sizeof(nde_solution)));
    assert_true(solves(0, 0, 0, 0));
}

static nde_status later(const void *problem, const void *options) {
    nde_solver *solver = NULL;
    const nde_status status = nde_solver_create(problem, options, &solver);
    nde_solver_destroy(solver);
    return status;
}

static void larger_sizes_are_read_when_what_is_unknown_is_zero(void **state) {
    later_field field = { .first = { .size = sizeof field, .dim = 1, .np = 1, .out = 1, .eval = decay } };
    later_problem problem = { .first = { .size = sizeof problem, .t1 = 1, .y0 = y0, .p = p, .drift = &field.first } };
    later_options options = { .first = { .size = sizeof options } };
    unsigned char *const tails[] = { field.tail, problem.tail, options.tail };
    (void)state;
    assert_int_equal(later(&problem, &options), NDE_OK);
    for (int i = 0; i < 3; i++) {
        tails[i][TAIL - 1] = 1; /* far: later releases of the series may know the first ones */
        assert_int_equal(later(&problem, &options), NDE_E_ARG);
        assert_true(nde_error()[0] != 0);
        tails[i][TAIL - 1] = 0;
    }
    options.first.size = 8; /* no release was that small */
    assert_int_equal(later(&problem, &options), NDE_E_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_sizes_and_zero_are_read),
        cmocka_unit_test(larger_sizes_are_read_when_what_is_unknown_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
