/* SPDX-License-Identifier: MIT
 * densities.c - see densities.h. */
#include "densities.h"

#include <math.h>

#include "nde.h"

static const double pi = 3.141592653589793;

/* ---- two moons ------------------------------------------------------------------------------- */

static const double blur = 0.12, radius = 1.2, middle[2][2] = { { -0.6, -0.3 }, { 0.6, 0.3 } };

static void draw_moons(uint64_t seed, uint64_t i, double x[2]) {
    const size_t half = nde_uniform(seed, 128, i, 0, 0) < 0.5;
    const double angle = pi*(nde_uniform(seed, 128, i, 0, 1) + (double)half);
    x[0] = radius*cos(angle) + middle[half][0] + blur*nde_normal(seed, 129, i, 0, 0);
    x[1] = radius*sin(angle) + middle[half][1] + blur*nde_normal(seed, 129, i, 0, 1);
}

static double moons(double x, double y) {
    enum { ANGLES = 400 };
    double sum = 0;
    for (size_t j = 0; j < ANGLES; j++) {
        const double angle = 2*pi*((double)j + 0.5)/ANGLES, *from = middle[j >= ANGLES/2];
        const double off = hypot(x - from[0] - radius*cos(angle), y - from[1] - radius*sin(angle))/blur;
        sum += exp(-off*off/2)/(2*pi*blur*blur*ANGLES);
    }
    return sum;
}

/* ---- checkerboard ---------------------------------------------------------------------------- */

static void draw_squares(uint64_t seed, uint64_t i, double x[2]) {
    const double column = floor(4*nde_uniform(seed, 128, i, 0, 0)), row = 2*floor(2*nde_uniform(seed, 128, i, 0, 1));
    x[0] = column - 2 + nde_uniform(seed, 128, i, 1, 0);
    x[1] = row + fmod(column, 2) - 2 + nde_uniform(seed, 128, i, 1, 1);
}

static double squares(double x, double y) {
    return fmax(fabs(x), fabs(y)) < 2 && fmod(floor(x) + floor(y) + 4, 2) < 1 ? 1.0/8 : 0;
}

const density two_moons = { "two moons", moons, draw_moons, 0.35 },
    checkerboard = { "checkerboard", squares, draw_squares, 0.2 };

/* ---- both ------------------------------------------------------------------------------------ */

void draw_points(const density *of, uint64_t seed, uint64_t first, size_t n, double *x) {
    for (size_t b = 0; b < n; b++) {
        double point[2];
        of->draw(seed, first + b, point);
        x[b] = point[0], x[n + b] = point[1];
    }
}

double mean_log(const density *of, size_t n, const double *x) {
    double sum = 0;
    for (size_t b = 0; b < n; b++) sum += log(of->at(x[b], x[n + b]));
    return sum/(double)n;
}

void cells(size_t side, double view, double *x) {
    for (size_t i = 0; i < 2*side*side; i++) {
        const size_t cell = i % (side*side);
        x[i] = view*(2*((double)(i < side*side ? cell % side : cell/side) + 0.5)/(double)side - 1);
    }
}

void draw_densities(plot_picture *to, const density *of, double top, size_t n, const double *x, const char *const *titles,
                    size_t side, double view, double *const *logs) {
    for (int k = 0; k < 3; k++) {
        plot_panel(to, 340*k, top, 340, 340, titles[k], (plot_axis){ "x", -view, view, 0 }, (plot_axis){ "y", -view, view, 0 });
        if (k == 0) plot_dots(to, (plot_look){ NULL, PLOT_BLUE, NULL, 1.2, false }, n, x, 1, x + n, 1);
        for (size_t i = 0; k > 0 && i < side*side; i++) logs[k - 1][i] = fmin(1, exp(logs[k - 1][i])/of->dark);
        if (k > 0) plot_shade(to, PLOT_BLUE, side, side, logs[k - 1]);
    }
}
