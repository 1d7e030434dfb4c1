/* SPDX-License-Identifier: MIT
 * stiff_problems.h - stiff problems in the language of programs, with all derivatives, and their solutions at the end.
 *
 * Sources: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.1, IV.10; F. Mazzia, C. Magherini,
 * Test set for initial value problem solvers 2.4 (2008). */
#ifndef NDE_TESTS_STIFF_PROBLEMS_H
#define NDE_TESTS_STIFF_PROBLEMS_H

#include <stddef.h>

typedef struct stiff_problem {
    const char *name, *text;
    size_t dim, np;
    double t1;
    double y0[20], p[25];
    double atol;     /* relative to rtol: as small as the components that matter */
    double rounding; /* the error that stays at any tolerance: of E5 by radau5 1e-9 to 5e-9, from 1e-6 to 1e-12 */
} stiff_problem;

static const stiff_problem stiff_problems[] = {
    { "ROBER", "state a, b, c; param k1, k2, k3; v = k1*a; w = k2*b*c; u = k3*b*b; da = w - v; db = v - w - u; dc = u", 3,
      3, 1e5, { 1, 0, 0 }, { 0.04, 1e4, 3e7 }, 1e-6, 0 },
    { "OREGO", "state a, b, c; param k, q, w; da = k*(b + a*(1 - q*a - b)); db = (c - (1 + a)*b)/k; dc = w*(a - c)", 3, 3, 30,
      { 1, 2, 3 }, { 77.27, 8.375e-6, 0.161 }, 1e-3, 0 },
    { "HIRES",
      "state y[8]; param k, m\n"
      "d = k*y[5]*y[7]\n"
      "dy = [-1.71*y[0] + 0.43*y[1] + 8.32*y[2] + m, 1.71*y[0] - 8.75*y[1], -10.03*y[2] + 0.43*y[3] + 0.035*y[4],"
      " 8.32*y[1] + 1.71*y[2] - 1.12*y[3], -1.745*y[4] + 0.43*y[5] + 0.43*y[6],"
      " -d + 0.69*y[3] + 1.71*y[4] - 0.43*y[5] + 0.69*y[6], d - 1.81*y[6], 1.81*y[6] - d]",
      8, 2, 321.8122, { 1, 0, 0, 0, 0, 0, 0, 0.0057 }, { 280, 0.0007 }, 1e-4, 0 },
    { "VDPOL", "state x, v; param e; dx = v; dv = ((1 - x*x)*v - x)/e", 2, 1, 2, { 2, 0 }, { 1e-6 }, 1, 0 },
    { "E5", "state a, b, c, d; param A, B, C, M; u = A*a; v = B*a*c; w = M*C*b*c; da = -u - v; db = u - w; dd = v - C*d; dc = u - v - w + C*d",
      4, 4, 1e5, { 1.76e-3, 0, 0, 0 }, { 7.89e-10, 1.1e7, 1.13e3, 1e6 }, 1e-18, 1e-8 },
    { "POLLU",
      "state y[20]; param k[25]\n"
      "r1 = k[0]*y[0]; r2 = k[1]*y[1]*y[3]; r3 = k[2]*y[4]*y[1]; r4 = k[3]*y[6]; r5 = k[4]*y[6]; r6 = k[5]*y[6]*y[5]; r7 = k[6]*y[8]\n"
      "r8 = k[7]*y[8]*y[5]; r9 = k[8]*y[10]*y[1]; r10 = k[9]*y[10]*y[0]; r11 = k[10]*y[12]; r12 = k[11]*y[9]*y[1]; r13 = k[12]*y[13]\n"
      "r14 = k[13]*y[0]*y[5]; r15 = k[14]*y[2]; r16 = k[15]*y[3]; r17 = k[16]*y[3]; r18 = k[17]*y[15]; r19 = k[18]*y[15]\n"
      "r20 = k[19]*y[16]*y[5]; r21 = k[20]*y[18]; r22 = k[21]*y[18]; r23 = k[22]*y[0]*y[3]; r24 = k[23]*y[18]*y[0]; r25 = k[24]*y[19]\n"
      "dy = [-r1 - r10 - r14 - r23 - r24 + r2 + r3 + r9 + r11 + r12 + r22 + r25, -r2 - r3 - r9 - r12 + r1 + r21,"
      " -r15 + r1 + r17 + r19 + r22, -r2 - r16 - r17 - r23 + r15, -r3 + 2*r4 + r6 + r7 + r13 + r20,"
      " -r6 - r8 - r14 - r20 + r3 + 2*r18, -r4 - r5 - r6 + r13, r4 + r5 + r6 + r7, -r7 - r8, -r12 + r7 + r9,"
      " -r9 - r10 + r8 + r11, r9, -r11 + r10, -r13 + r12, r14, -r18 - r19 + r16, -r20, r20, -r21 - r22 - r24 + r23 + r25, -r25 + r24]",
      20, 25, 60, { 0, 0.2, 0, 0.04, 0, 0, 0.1, 0.3, 0.01, 0, 0, 0, 0, 0, 0, 0, 0.007, 0, 0, 0 },
      { 0.35, 26.6, 1.23e4, 8.6e-4, 8.2e-4, 1.5e4, 1.3e-4, 2.4e4, 1.65e4, 9e3, 0.022, 1.2e4, 1.88, 1.63e4, 4.8e6, 3.5e-4,
        0.0175, 1e8, 4.44e11, 1.24e3, 2.1, 5.78, 4.74e-2, 1.78e3, 3.12 }, 1e-4, 0 },
};
enum { STIFF_PROBLEMS = sizeof stiff_problems/sizeof *stiff_problems };

#endif
