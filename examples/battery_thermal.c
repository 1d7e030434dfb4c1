/* SPDX-License-Identifier: MIT
 * battery_thermal - a battery cell that warms while it gives current: its resistances, the activation energy, what it stores of
 * charge and heat and how it cools, found from voltage and temperature. The data are synthetic: the same model with noise of
 * 1 mV and 0.1 K, so that the truth is known; least squares within bounds, with standard errors.
 *   battery_thermal [SEED [PICTURE.svg]]    SEED: of the noise, > 0; 1
 * The model: two pairs of resistor and capacitor, of which the fast one's resistance follows Arrhenius, and one lump of heat
 * that the losses warm. After: X. Lin et al., A lumped-parameter electro-thermal model for cylindrical batteries, J. Power
 * Sources 257 (2014) 1-11. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "fit.h"
#include "plot.h"

enum { TIMES = 361, NP = 6, COUNT = 2*TIMES };
/* Charge s, overvoltages f (0.2 s) and w (30 s), temperature T above 25 degrees; the current i of 10 A comes and goes. */
#define CELL "state s, f, w, T; param R, E, W, C, M, k; i = 5*(1 + tanh(4*sin(pi*t/300)))\n"
static const char drift_text[] = CELL "r = 1e-3*R*exp(E/8.314e-3*(1/(T + 298.15) - 1/298.15))\n"
                                      "ds = -i/18000; df = (i - f/r)/10; dw = (i - 1e3*w/W)/(1e3*C)\n"
                                      "dT = (i*(0.005*i + f + w) - k*T)/M";
static const char observe_text[] = CELL "out = [3.4 + 0.7*s - 0.1*exp(-20*s) - 0.005*i - f - w, T]";

static const char *const name[NP] = { "fast resistance, mOhm", "activation energy, kJ/mol", "slow resistance, mOhm",
                                      "slow capacity, kF", "heat capacity, J/K", "cooling, W/K" };
static const double y0[] = { 1, 0, 0, 0 }, truth[NP] = { 20, 40, 15, 2, 100, 0.25 };
static const double lower[NP] = { 5, 5, 2, 0.2, 20, 0.05 }, upper[NP] = { 200, 100, 100, 20, 500, 2 };
static const double start[NP] = { 60, 10, 5, 8, 50, 1 };

typedef struct model {
    nde_solver *solver;
    nde_solution s;
    double p[NP], data[COUNT], weight[COUNT], work[COUNT + NP];
} model;

static void follow_cell(model *m, const double *p) {
    memcpy(m->p, p, sizeof m->p);
    need(nde_solver_run(m->solver, &m->s), m->solver);
}
static int residual(void *ctx, size_t np, const double *p, size_t count, double *r, double *jacobian) {
    model *m = ctx;
    follow_cell(m, p);
    need(nde_residuals(m->solver, &m->s, m->data, m->weight, np, &count, r, jacobian, m->work), m->solver);
    return 0;
}

/* Voltage and temperature below each other, of the data and of p before and after. */
static int draw(model *m, const char *file, const double *t, const double *p) {
    const plot_axis axis[] = { { "voltage, V", 2.6, 4.2, false }, { "warmer by, K", 0, 10, false } };
    const plot_look before = { "start", PLOT_ORANGE, "6 4", 0, false }, after = { "fit", PLOT_BLUE, NULL, 0, false };
    const plot_look data = { "data", PLOT_GREY, NULL, 3, false };
    double y[2][COUNT];
    plot_picture to;
    follow_cell(m, start), memcpy(y[0], m->s.y, sizeof y[0]);
    follow_cell(m, p), memcpy(y[1], m->s.y, sizeof y[1]);
    plot_open(&to, file, 640, 520);
    for (size_t i = 0; i < 2; i++) {
        plot_panel(&to, 0, 260*(double)i, 640, 260, NULL, (plot_axis){ "seconds", 0, 3600, false }, axis[i]);
        plot_points(&to, data, TIMES, t, 1, m->data + i, 2);
        plot_line(&to, before, TIMES, t, 1, y[0] + i, 2);
        plot_line(&to, after, TIMES, t, 1, y[1] + i, 2);
    }
    return plot_finish(&to, "battery_thermal", file);
}

int main(int argc, char **argv) {
    static model m;
    long seed = 1;
    const char *file = command_line(argc, argv, "battery_thermal", 1, &(argument){ "SEED", &seed, 1, LONG_MAX });
    nde_program *cell, *meter;
    need(nde_program_parse(drift_text, NULL, &cell), NULL);
    need(nde_program_parse(observe_text, NULL, &meter), NULL);
    const nde_field drift = nde_field_program(cell), observe = nde_field_program(meter);
    double t[TIMES], p[NP], covariance[NP*NP];
    for (int k = 0; k < TIMES; k++) t[k] = 10*k;
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .observe = &observe, .y0 = y0, .p = m.p, .t1 = 3600);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_RODAS5P, .rtol = 1e-6, .atol = 1e-8, .save_t = t,
                                         .n_save = TIMES, .adjoint = NDE_ADJOINT_DISCRETE);
    need(nde_solver_create(&problem, &options, &m.solver), NULL);
    follow_cell(&m, truth);
    for (size_t i = 0; i < COUNT; i++) {
        const double noise = i%2 ? 0.1 : 1e-3;
        m.data[i] = m.s.y[i] + noise*nde_normal((uint64_t)seed, 130, 0, i, 0);
        m.weight[i] = 1/(noise*noise);
    }

    nde_fit fit;
    const nde_least_squares fitting = NDE_INIT(nde_least_squares, .m = COUNT, .residual = residual, .ctx = &m, .lower = lower,
                                               .upper = upper);
    memcpy(p, start, sizeof p);
    need(nde_least_squares_fit(&fitting, NP, p, covariance, &fit), NULL);
    printf("%lld iterations, %lld solves; chi-square per degree of freedom: %.0f, then %.3f\n", (long long)fit.iterations,
           (long long)fit.evaluations, 2*fit.first/(COUNT - NP), 2*fit.last/(COUNT - NP));
    printf("%-26s %10s %10s %10s %14s\n", "parameter", "start", "truth", "estimate", "standard error");
    for (size_t i = 0; i < NP; i++)
        printf("%-26s %10g %10g %10.4f %14.4f\n", name[i], start[i], truth[i], p[i], sqrt(covariance[i*NP + i]));
    const int status = draw(&m, file, t, p);
    nde_solver_destroy(m.solver), nde_program_destroy(cell), nde_program_destroy(meter);
    return status;
}
