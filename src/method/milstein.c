/* SPDX-License-Identifier: MIT
 * milstein.c - Milstein's method with the derivative of the noise, as a jvp along what the noise itself adds; for
 * commutative noise, where products of increments are all that it needs. An Ito equation is integrated as the Stratonovich
 * equation of the same solution, which for Euler's drift is Milstein's method for it, term by term.
 * Sources: G. Milstein, Approximate integration of stochastic differential equations, Theory Probab. Appl. 19 (1975) 557-562;
 * P. Kloeden, E. Platen, Numerical Solution of Stochastic Differential Equations (1992), 10.3. */
#include "method/method.h"

static const nde_coefficient a[] = {
    R(0, 1),
    R(0, 1), R(0, 1),
};
static const nde_coefficient b[] = { R(1, 1), R(1, 1), R(1, 2) };
static const nde_coefficient c[] = { R(0, 1), R(0, 1), R(0, 1) };
static const nde_drive drive[] = { { .w = 0 }, { .w = R(1, 1) }, { .w = R(1, 1), .along = 2 } };

const nde_method nde_method_milstein = {
    .name = "milstein", .source = "G. Milstein, Theory Probab. Appl. 19 (1975) 557-562",
    .kind = NDE_KIND_STOCHASTIC, .order = 1, .dense_order = 1, .stages = 3, .dense_terms = 1,
    .calculus = NDE_STRATONOVICH, .converts = true, NDE_STRONG(2, 2, 2, 2, 1),
    .a = a, .b = b, .c = c, .dense = b, .drive = drive,
};
