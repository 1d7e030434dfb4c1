/* SPDX-License-Identifier: MIT
 * rosenbrock23.c - Shampine and Reichelt's modified Rosenbrock pair of order 2(3), L-stable, first same as last, as in Matlab's
 * ode23s;
 * written with u_2 = k_2 - k_1 and u_3 = k_3 - c_32 u_2 - 2 k_1, so that J multiplies nothing. d = 1/(2 + sqrt 2). Body:
 * rosenbrock.c.
 * Source: L. F. Shampine, M. W. Reichelt, The MATLAB ODE suite, SIAM J. Sci. Comput. 18 (1997) 1-22, section 3, there with
 * c_32 = 6 + sqrt 2; extension: (3.3). */
#include "method/method.h"

#define GAMMA D(0.29289321881345247559915563789515096071517)
#define INVERSE D(3.4142135623730950488016887242096980785697)

/* of F(t, y), of three stages, of F(t + h, y+) */
static const nde_coefficient a[] = {
    R(0, 1),
    R(0, 1), D(1.70710678118654752440084436210484903928485),
    R(0, 1), INVERSE, INVERSE,
    R(0, 1), INVERSE, INVERSE, R(0, 1),
};
static const nde_coefficient coupling[] = {
    R(0, 1),
    R(0, 1), -INVERSE,
    R(0, 1), D(-6.8284271247461900976033774484193961571394), D(-25.3137084989847603904135097936775846285576),
    R(0, 1), R(0, 1), R(0, 1), R(0, 1),
};
static const nde_coefficient b[] = { R(0, 1), INVERSE, INVERSE, R(0, 1), R(0, 1) };
static const nde_coefficient c[] = { R(0, 1), R(0, 1), R(1, 2), R(1, 1), R(1, 1) };
static const nde_coefficient lift[] = { R(0, 1), GAMMA, R(0, 1), -GAMMA, R(0, 1) };
static const nde_coefficient e[] = {
    R(0, 1), D(-0.56903559372884917480028145403494967976162), D(-3.0808802290397617154683553908763647452364),
    D(-0.56903559372884917480028145403494967976162), R(0, 1),
};
static const nde_coefficient dense[] = {
    R(0, 1), R(0, 1),
    INVERSE, R(0, 1),
    D(-4.8284271247461900976033774484193961571394), D(8.2426406871192851464050661726290942357090),
    R(0, 1), R(0, 1),
    R(0, 1), R(0, 1),
};

const nde_method nde_method_rosenbrock23 = {
    .name = "rosenbrock23", .source = "L. F. Shampine, M. W. Reichelt, SIAM J. Sci. Comput. 18 (1997) 1-22",
    .kind = NDE_KIND_ROSENBROCK, .order = 2, .error_order = 3, .dense_order = 2, .stages = 5, .dense_terms = 2,
    .first_same_as_last = true, .a = a, .b = b, .c = c, .e = e, .dense = dense, .gamma = GAMMA, .coupling = coupling,
    .lift = lift,
};
