/* SPDX-License-Identifier: MIT
 * ruth3.c - Ruth's method of order 3. Source: R. D. Ruth, A canonical integration technique, IEEE Trans. Nucl. Sci. 30
 * (1983) 2669-2671. */
#include "method/method.h"

/* positions, velocities, ... */
static const nde_coefficient b[] = { R(7, 24), R(2, 3), R(3, 4), R(-2, 3), R(-1, 24), R(1, 1) };

const nde_method nde_method_ruth3 = {
    .name = "ruth3", .source = "R. D. Ruth, IEEE Trans. Nucl. Sci. 30 (1983) 2669-2671",
    .kind = NDE_KIND_COMPOSITION, .order = 3, .dense_order = 3, .stages = 6, .dense_stages = 2,
    .b = b,
};
