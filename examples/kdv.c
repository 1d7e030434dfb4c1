/* SPDX-License-Identifier: MIT
 * kdv - two solitons of the Korteweg-de Vries equation u_t = -a u u_x - b u_xxx: the fast one overtakes. A pseudo-spectral
 * field of Fourier transforms, as a program, with explicit steps; solution and gradient against the closed form.
 *   kdv [PICTURE.svg]
 * Sources: N. Zabusky, M. Kruskal, Phys. Rev. Lett. 15 (1965) 240-243; R. Hirota, Phys. Rev. Lett. 27 (1971) 1192-1194. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "nde.h"
#include "plot.h"

enum { N = 256, SAVED = 21, EVERY = 650, STEPS = (SAVED - 1)*EVERY }; /* rk4 needs steps below 2.8/(largest wave number)^3 */
static const double length = 40, duration = 4, pi = 3.14159265358979323846; /* x from -20 to 20, t from -2 to 2 */
static const double p[2] = { 6, 1 };

static void need(nde_status status, const nde_solver *solver) {
    if (status) fprintf(stderr, "kdv: %s\n", solver ? nde_solver_error(solver) : nde_error()), exit(EXIT_FAILURE);
}

/* a'(x_i) in rows of a transform is, row by row, a multiple of the row n - i: sines and cosines change places. */
static nde_program *build(void) {
    nde_program *g;
    double wave[N];
    size_t mirror[N];
    for (size_t i = 0; i < N; i++) {
        wave[i] = 2*i == N ? 0 : 2*pi/length*(2*i < N ? (double)i : (double)i - N);
        mirror[i] = (N - i)%N;
    }
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = N, .np = 2), &g), NULL);
    const nde_var u = nde_y(g, 0, N), a = nde_p(g, 0, 1), b = nde_p(g, 1, 1), k = nde_constants(g, wave, N);
    const nde_var bent = nde_mul(g, nde_mul(g, a, nde_constant(g, 0.5)), nde_fft(g, nde_square(g, u)));
    const nde_var spread = nde_mul(g, nde_mul(g, b, nde_square(g, k)), nde_fft(g, u));
    need(nde_program_finish(g, nde_fft_inverse(g, nde_mul(g, k, nde_gather(g, nde_sub(g, bent, spread), mirror, N)))), NULL);
    return g;
}

/* 2 (log F)'' with F = 1 + e1 + e2 + c e1 e2, which meet at x = t = 0; for p as above. */
static double exact(double x, double t) {
    const double k1 = 2.4, k2 = 1.6, c = pow((k1 - k2)/(k1 + k2), 2);
    const double e1 = exp(k1*(x - k1*k1*t))/sqrt(c), e2 = exp(k2*(x - k2*k2*t))/sqrt(c), both = c*e1*e2, k = k1 + k2;
    const double f = 1 + e1 + e2 + both, slope = k1*e1 + k2*e2 + k*both, bend = k1*k1*e1 + k2*k2*e2 + k*k*both;
    return 2*(bend*f - slope*slope)/(f*f);
}
static double exact_slope(double x, double t) { return (exact(x + 1e-4, t) - exact(x - 1e-4, t))/2e-4; }
static double exact_rate(double x, double t) { return (exact(x, t + 1e-5) - exact(x, t - 1e-5))/2e-5; }

static void row(const char *what, double found, double known) {
    printf("%-40s %14.8f %14.8f %10.1e\n", what, found, known, fabs(found - known));
}

int main(int argc, char **argv) {
    static double x[N], u0[N], weight[N], of_u0[N], of_p[2], of_t1, line[N];
    const char *file = command_line(argc, argv, "kdv", 0, NULL);
    for (size_t i = 0; i < N; i++) {
        x[i] = length*((double)i/N - 0.5);
        u0[i] = exact(x[i], -duration/2), weight[i] = sin(2*pi*x[i]/length)*length/N;
    }
    nde_program *program = build();
    const nde_field drift = nde_field_program(program);
    nde_solver *solver;
    nde_solution s = { 0 };
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .y0 = u0, .p = p, .t0 = -duration/2, .t1 = duration/2);
    need(nde_solver_create(&problem, &NDE_INIT(nde_options, .method = NDE_RK4, .steps = STEPS, .save_every = EVERY,
                                               .adjoint = NDE_ADJOINT_DISCRETE), &solver), NULL);
    need(nde_solver_run(solver, &s), solver);
    need(nde_backward(solver, &NDE_INIT(nde_seed, .y_end = weight),
                      &NDE_INIT(nde_gradient, .y0 = of_u0, .p = of_p, .t1 = &of_t1)), solver);

    double error = 0, loss = 0, known = 0, shift = 0, known_shift = 0, known_t1 = 0;
    for (size_t i = 0; i < N*SAVED; i++) error = fmax(error, fabs(s.y[i] - exact(x[i%N], s.t[i/N])));
    for (size_t i = 0; i < N; i++) { /* u0 as it is a little to the right, which moves all of the solution */
        loss += weight[i]*s.y_end[i], known += weight[i]*exact(x[i], duration/2);
        shift -= of_u0[i]*exact_slope(x[i], -duration/2), known_shift -= weight[i]*exact_slope(x[i], duration/2);
        known_t1 += weight[i]*exact_rate(x[i], duration/2);
    }
    printf("largest error of u at %d times: %.1e\n", SAVED, error);
    printf("%-40s %14s %14s %10s\n", "of the end, times a sine", "found", "closed form", "error");
    row("integral", loss, known);
    row("derivative by a shift of the start", shift, known_shift);
    row("derivative by the end's time", of_t1, known_t1);
    row("derivative by a and b, as time goes by", (p[0]*of_p[0] + p[1]*of_p[1])/duration, known_t1);

    plot_picture to;
    plot_open(&to, file, 700, 520);
    plot_panel(&to, 0, 0, 700, 520, "Two solitons", (plot_axis){ "x", -20, 20, 0 }, (plot_axis){ "t + u/15", -2.1, 2.4, 0 });
    for (size_t k = SAVED; k-- > 0;) {
        for (size_t i = 0; i < N; i++) line[i] = s.t[k] + s.y[k*N + i]/15;
        plot_line(&to, (plot_look){ NULL, PLOT_BLUE, NULL, 0, false }, N, x, 1, line, 1);
    }
    nde_solver_destroy(solver);
    nde_program_destroy(program);
    return plot_finish(&to, "kdv", file);
}
