/* SPDX-License-Identifier: MIT
 * spark.c - SPaRK, the splitting path Runge-Kutta method: two pieces of a straight path with the increment and the space-
 * time Levy area of the noise, each by a step of order 2; for Stratonovich equations. Its error is the difference to the
 * trapezoidal rule on the same states.
 * Source: J. Foster, On the convergence of adaptive approximations for stochastic differential equations, arXiv 2311.14201
 * (2023), definition 1.6. */
#include "method/method.h"

static const nde_coefficient a[] = {
    0,
    0, 0,
    R(1, 2), R(1, 1), 0,
    R(1, 2), R(1, 1), 0, 0,
    0, 0, 0, R(1, 1), R(1, 1),
    0, 0, 0, R(1, 1), R(1, 1), 0,
    0, 0, 0, R(1, 1), R(1, 1), 0, 0,
};
static const nde_coefficient b[] = { D(0.21132486540518711775), 0, R(1, 1), D(0.57735026918962576451),
    D(0.57735026918962576451), D(0.21132486540518711775), R(1, 1), 0 };
static const nde_coefficient c[] = { 0, 0, 0, R(1, 2), R(1, 2), R(1, 1), R(1, 1), R(1, 1) };
static const nde_coefficient e[] = { D(-0.28867513459481288225), D(-3.7320508075688772935), D(7.4641016151377545871),
    D(0.57735026918962576451), D(0.57735026918962576451), D(-0.28867513459481288225), R(1, 1), R(-1, 2) };
static const nde_drive drive[] = {
    { .w = 0 },
    { .w = D(-0.36602540378443864676), .area = D(1.7320508075688772935) },
    { .w = D(-0.28867513459481288225), .area = R(1, 1) },
    { .w = 0 },
    { .w = R(1, 1) },
    { .w = 0 },
    { .w = D(0.71132486540518711775), .area = R(-1, 1) },
    { .w = R(1, 1) },
};

const nde_method nde_method_spark = {
    .name = "spark", .source = "J. Foster, arXiv 2311.14201 (2023)",
    .kind = NDE_KIND_STOCHASTIC, .order = 2, .error_order = 1, .dense_order = 1, .stages = 8, .dense_terms = 1,
    .calculus = NDE_STRATONOVICH, NDE_STRONG(2, 2, 3, 2, 1), NDE_ESTIMATE(3, 3, 3, 3, 2),
    .a = a, .b = b, .c = c, .e = e, .dense = b, .drive = drive,
};
