/* SPDX-License-Identifier: MIT
 * problems.h - the problems of the work-precision pictures, in whatever real type: define REAL and REAL_SQRT before. */
#ifndef PEERS_PROBLEMS_H
#define PEERS_PROBLEMS_H

#include <stddef.h>

#ifndef REAL
#include <math.h>
#define REAL double
#define REAL_SQRT sqrt
#endif

enum { MOST_DIM = 28, BODIES = 7 };

/* E. N. Lorenz, J. Atmos. Sci. 20 (1963) */
static inline void lorenz(REAL t, const REAL *y, REAL *dy) {
    (void)t;
    dy[0] = 10*(y[1] - y[0]);
    dy[1] = y[0]*(28 - y[2]) - y[1];
    dy[2] = y[0]*y[1] - (REAL)8/3*y[2];
}

/* Seven bodies of masses 1 ... 7 in a plane: x, y, x', y'. E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential
 * Equations I (1993), II.10. */
static inline void pleiades(REAL t, const REAL *y, REAL *dy) {
    (void)t;
    for (int i = 0; i < 14; i++) dy[i] = y[14 + i], dy[14 + i] = 0;
    for (int i = 0; i < BODIES; i++)
        for (int j = 0; j < i; j++) {
            const REAL dx = y[j] - y[i], ex = y[7 + j] - y[7 + i], r2 = dx*dx + ex*ex, r3 = r2*REAL_SQRT(r2);
            const REAL to_i = (REAL)(j + 1)/r3, to_j = (REAL)(i + 1)/r3;
            dy[14 + i] += to_i*dx, dy[21 + i] += to_i*ex;
            dy[14 + j] -= to_j*dx, dy[21 + j] -= to_j*ex;
        }
}

/* A satellite in the field of Earth and Moon; a periodic orbit. R. F. Arenstorf (1963); the book above, II.0. */
static inline void arenstorf(REAL t, const REAL *y, REAL *dy) {
    (void)t;
    const REAL mu = (REAL)12277471/1000000000, nu = 1 - mu, a = y[0] + mu, b = y[0] - nu;
    const REAL r1 = a*a + y[1]*y[1], r2 = b*b + y[1]*y[1], d1 = r1*REAL_SQRT(r1), d2 = r2*REAL_SQRT(r2);
    dy[0] = y[2], dy[1] = y[3];
    dy[2] = y[0] + 2*y[3] - nu*a/d1 - mu*b/d2;
    dy[3] = y[1] - 2*y[2] - nu*y[1]/d1 - mu*y[1]/d2;
}

/* A. J. Lotka (1925), V. Volterra (1926) */
static inline void lotka_volterra(REAL t, const REAL *y, REAL *dy) {
    (void)t;
    dy[0] = y[0]*((REAL)3/2 - y[1]);
    dy[1] = y[1]*(y[0] - 3);
}

/* The figure eight of three equal masses: x, y of each, then velocities. A. Chenciner, R. Montgomery, Ann. of Math. 152
 * (2000). */
static inline void three_body(REAL t, const REAL *y, REAL *dy) {
    (void)t;
    for (int i = 0; i < 6; i++) dy[i] = y[6 + i], dy[6 + i] = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < i; j++) {
            const REAL dx = y[2*j] - y[2*i], ex = y[2*j + 1] - y[2*i + 1], r2 = dx*dx + ex*ex, g = 1/(r2*REAL_SQRT(r2));
            dy[6 + 2*i] += g*dx, dy[7 + 2*i] += g*ex;
            dy[6 + 2*j] -= g*dx, dy[7 + 2*j] -= g*ex;
        }
}

typedef struct problem {
    const char *name;
    int dim;
    double t1; /* from 0 */
    double y0[MOST_DIM];
} problem;

/* X(name): its number is its place in `problems`. */
#define EACH_PROBLEM(X) X(lorenz, 3) X(pleiades, 28) X(arenstorf, 4) X(lotka_volterra, 2) X(three_body, 12)
#define PROBLEM_NUMBER(name, dim) NUMBER_##name,
enum { EACH_PROBLEM(PROBLEM_NUMBER) PROBLEMS };

static const problem problems[PROBLEMS] = {
    { "lorenz", 3, 10, { 1, 1, 1 } },
    { "pleiades", 28, 3, { 3, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4, 0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0,
                           0 } },
    { "arenstorf", 4, 17.0652165601579625588917206249, { 0.994, 0, 0, -2.00158510637908252240537862224 } },
    { "lotka_volterra", 2, 20, { 1, 1 } },
    { "three_body", 12, 6.3259139829, { 0.97000436, -0.24308753, -0.97000436, 0.24308753, 0, 0, 0.466203685, 0.43236573,
                                        0.466203685, 0.43236573, -0.93240737, -0.86473146 } },
};

#endif
