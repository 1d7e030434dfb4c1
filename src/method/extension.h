/* SPDX-License-Identifier: MIT
 * extension.h - the weights of a continuous extension at theta. Installed too, as a part of nde/inline.h. */
#ifndef NDE_EXTENSION_H
#define NDE_EXTENSION_H

#include <stdbool.h>

enum { NDE_MOST_DEGREE = 16 }; /* tables with more are refused by the tests */

/* The Bernstein polynomials [degree + 1] and their derivatives at theta, from those of lower degrees. Source: G. Farin, Curves
 * and Surfaces for Computer-Aided Geometric Design (2002), 5.1, 5.3. */
static inline void nde_bernstein(int degree, double theta, double *value, double *slope) {
    value[0] = 1;
    for (int n = 1; n <= degree; n++) {
        if (n == degree)
            for (int j = 0; j <= n; j++) slope[j] = n*((j ? value[j - 1] : 0) - (j < n ? value[j] : 0));
        value[n] = theta*value[n - 1];
        for (int j = n - 1; j > 0; j--) value[j] = theta*value[j - 1] + (1 - theta)*value[j];
        value[0] *= 1 - theta;
    }
}

/* The weight of a slope with coefficients d [terms], and its derivative: of powers of theta, or of the Bernstein
 * polynomials at theta and their derivatives. */
static inline double nde_extension_weight(int terms, const double *d, double theta, bool bernstein, const double *basis,
                                          const double *rise, double *slope) {
    double value = 0;
    *slope = 0;
    if (bernstein) {
        for (int j = 0; j < terms; j++) value += d[j]*basis[j + 1], *slope += d[j]*rise[j + 1];
        return value;
    }
    for (int j = terms - 1; j >= 0; j--) *slope = *slope*theta + (j + 1)*d[j], value = value*theta + d[j];
    return value*theta;
}

#endif
