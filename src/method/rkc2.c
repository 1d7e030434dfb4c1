/* SPDX-License-Identifier: MIT
 * rkc2.c - the Runge-Kutta-Chebyshev method of order 2: s stages are stable on the real axis down to -0.653 (s^2 - 1), damped
 * by eps = 2/13, so that a stiff problem with real eigenvalues costs the root of its stiffness. Body: chebyshev.c.
 * Source: B. P. Sommeijer, L. F. Shampine, J. G. Verwer, J. Comput. Appl. Math. 88 (1998) 315-326: the recursion of section 2
 * and the estimate of section 3; extension: Hermite's cubic. The estimate is that of the step that is continued, as h^3, while
 * the solution's error is as h^2: it goes with the tolerance to the power 2/3 (tests/solve/proportion.c: 0.64 to 0.67). */
#include "method/method.h"

/* of the slope F(t, y), of the mean slope (y+ - y)/h, of F(t + h, y+) */
static const nde_coefficient b[] = { R(0, 1), R(1, 1), R(0, 1) };
static const nde_coefficient c[] = { R(0, 1), R(0, 1), R(1, 1) };
static const nde_coefficient e[] = { R(-2, 5), R(4, 5), R(-2, 5) };
static const nde_coefficient dense[] = {
    R(1, 1), R(-2, 1), R(1, 1),
    R(0, 1), R(3, 1), R(-2, 1),
    R(0, 1), R(-1, 1), R(1, 1),
};

const nde_method nde_method_rkc2 = {
    .name = "rkc2", .source = "B. P. Sommeijer, L. F. Shampine, J. G. Verwer, J. Comput. Appl. Math. 88 (1998) 315-326",
    .kind = NDE_KIND_CHEBYSHEV, .order = 2, .error_order = 2, .dense_order = 2, .stages = 3, .dense_terms = 3,
    .first_same_as_last = true, .b = b, .c = c, .e = e, .dense = dense,
};

/* T_j(w), its derivatives, and b_j = T_j''/T_j'^2 at w = 1 + eps/s^2. */
typedef struct chebyshev {
    nde_coefficient value, slope, bend, weight;
} chebyshev;

static chebyshev next(nde_coefficient w, chebyshev x, chebyshev before) {
    chebyshev y = { .value = 2*w*x.value - before.value, .slope = 2*(x.value + w*x.slope) - before.slope,
                    .bend = 2*(2*x.slope + w*x.bend) - before.bend };
    y.weight = y.bend/(y.slope*y.slope);
    return y;
}

void nde_chebyshev_write(int s, nde_chebyshev_stage *stage) {
    const nde_coefficient w = 1 + R(2, 13)/(nde_coefficient)(s*s), first = 1/(4*w*w);
    const chebyshev T0 = { 1, 0, 0, first }, T1 = { w, 1, 0, first };
    chebyshev last = T1, x = T1, before = T0;
    for (int j = 2; j <= s; j++) {
        const chebyshev y = next(w, last, before);
        before = last, last = y;
    }
    const nde_coefficient scale = last.slope/last.bend;
    before = T0;
    stage[0] = (nde_chebyshev_stage){ 0, 0, scale*first, 0, scale*first };
    for (int j = 2; j <= s; j++) {
        const chebyshev y = next(w, x, before);
        const nde_coefficient mu = 2*w*y.weight/x.weight, nu = -y.weight/before.weight, slope = mu*scale/w;
        stage[j - 1] = (nde_chebyshev_stage){ mu, nu, slope, -(1 - x.weight*x.value)*slope, scale*y.bend/y.slope };
        before = x, x = y;
    }
    stage[s - 1].node = 1;
}
