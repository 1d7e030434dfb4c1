/* SPDX-License-Identifier: MIT
 * create.h - programs that come into being, or the test fails. */
#ifndef NDE_TESTS_CREATE_H
#define NDE_TESTS_CREATE_H

#include "nde/program.h"

static inline nde_program *create(size_t dim, size_t nu, size_t np, size_t nq) {
    nde_program *g = NULL;
    const nde_program_shape shape = NDE_INIT(nde_program_shape, .dim = dim, .nu = nu, .np = np, .nq = nq, .name = "thing");
    assert_int_equal(nde_program_create(&shape, &g), NDE_OK);
    return g;
}

static inline nde_field finish(nde_program *g, nde_var value) {
    if (nde_program_finish(g, value) != NDE_OK) fail_msg("%s", nde_error());
    const nde_field f = nde_field_program(g);
    assert_non_null(f.eval);
    return f;
}

#endif
