/* SPDX-License-Identifier: MIT
 * sosra.c - SOSRA: an SRA method of strong order 3/2 for additive noise whose stability is optimised. Its error is the
 * difference to Euler-Maruyama's method.
 * Source: C. Rackauckas, Q. Nie, Stability-optimized high order methods and stiffness detection for pathwise stiff
 * stochastic differential equations, IEEE HPEC (2020), arXiv 1804.04344. */
#include "method/method.h"

static const nde_coefficient a[] = {
    0,
    D(0.6923962376159507), D(1.3371632704399763),
    0, 0, 0,
    D(-3.1609142252828395), D(1.442371048468624), D(4.1609142252828395), D(1.8632741501139225),
    0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0,
};
static const nde_coefficient b[] = { D(0.2889874966892885), D(0.4237535769069274), D(0.6859880440839937),
    D(0.6010381474428539), D(0.025024459226717772), D(-16.792534242221663), D(17.514995785380226), R(1, 1) };
static const nde_coefficient c[] = { 0, 0, D(0.6923962376159507), D(0.041248171110700504), R(1, 1), 0,
    D(0.041248171110700504), R(1, 1) };
static const nde_coefficient e[] = { D(0.2889874966892885) - R(1, 1), D(0.4237535769069274), D(0.6859880440839937),
    D(0.6010381474428539), D(0.025024459226717772), D(-16.792534242221663) - R(1, 1), D(17.514995785380226), R(1, 1) };
static const nde_drive drive[] = {
    { .w = 0 },
    { .area = R(1, 1) },
    { .w = 0 },
    { .area = R(1, 1) },
    { .w = 0 },
    { .w = R(1, 1) },
    { .w = R(1, 1) },
    { .w = D(0.27753845684143835), .area = D(-1.0247917243497813) },
};

const nde_method nde_method_sosra = {
    .name = "sosra", .source = "C. Rackauckas, Q. Nie, IEEE HPEC (2020), arXiv 1804.04344",
    .kind = NDE_KIND_STOCHASTIC, .order = 2, .error_order = 1, .dense_order = 1, .stages = 8, .dense_terms = 1,
    .calculus = NDE_ITO | NDE_STRATONOVICH, NDE_STRONG(0, 0, 3, 0, 0), NDE_ESTIMATE(0, 0, 3, 0, 0),
    .a = a, .b = b, .c = c, .e = e, .dense = b, .drive = drive,
};
