/* SPDX-License-Identifier: MIT
 * yoshida6.c - seven leapfrog steps, Yoshida's solution A. Source: H. Yoshida, Construction of higher order symplectic
 * integrators, Phys. Lett. A 150 (1990) 262-268; their digits extended by Newton's method on the conditions of order 6 for
 * symmetric compositions (Hairer, Lubich, Wanner, Geometric Numerical Integration, V.3.2). */
#include "method/method.h"

/* positions, velocities, ... */
static const nde_coefficient b[] = {
    D(0.3922568052387786319097488169331749378884), D(0.7845136104775572638194976338663498757768),
    D(0.5100434119184576987521454084224422387316), D(0.2355732133593581336847931829785346016865),
    D(-0.4710533854097564366308112489928905664762), D(-1.177679984178871006946415680964315734639),
    D(0.06875316825252010596891702363727338985650), D(1.315186320683911218884249728238862514352),
    D(0.06875316825252010596891702363727338985650), D(-1.177679984178871006946415680964315734639),
    D(-0.4710533854097564366308112489928905664762), D(0.2355732133593581336847931829785346016865),
    D(0.5100434119184576987521454084224422387316), D(0.7845136104775572638194976338663498757768),
    D(0.3922568052387786319097488169331749378884),
};

const nde_method nde_method_yoshida6 = {
    .name = "yoshida6", .source = "H. Yoshida, Phys. Lett. A 150 (1990) 262-268",
    .kind = NDE_KIND_COMPOSITION, .order = 6, .dense_order = 3, .stages = 15, .dense_stages = 2,
    .first_same_as_last = true, .b = b,
};
