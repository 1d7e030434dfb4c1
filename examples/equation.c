/* SPDX-License-Identifier: MIT
 * equation - solves equations that are given as text, and says how the end moves with each initial value and parameter.
 *   equation [TEXT TIME NAME=VALUE...]
 *   equation 'state x, v; param k; dx = v; dv = -k*sin(x)' 10 x=1 k=2
 * Without arguments: the Lorenz system to t = 1. The text is one of nde/program.h; what has no value is 0, and the
 * gradient is that of the discrete adjoint: nobody has written a derivative. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nde.h"

enum { MOST = 64 };

typedef struct quantity {
    char name[32];
    int kind; /* 'y' of the state, 'p' a parameter */
    size_t row;
    double value;
} quantity;

static char *lorenz[] = { "state x, y, z; param sigma, rho, beta; dx = sigma*(y - x); dy = x*(rho - z) - y; dz = x*y - beta*z",
                          "1", "x=1", "y=1", "z=1", "sigma=10", "rho=28", "beta=2.6666666666666665" };

/* NAME=VALUE of a name of one row that the text declares. */
static bool read_quantity(const nde_program *program, const char *from, quantity *to) {
    const char *equals = strchr(from, '=');
    const size_t length = equals ? (size_t)(equals - from) : 0;
    char *end = NULL;
    size_t rows;
    if (!length || length >= sizeof to->name) return fprintf(stderr, "equation: '%s' is not NAME=VALUE\n", from), false;
    memcpy(to->name, from, length), to->name[length] = '\0';
    to->value = strtod(equals + 1, &end);
    if (end == equals + 1 || *end) return fprintf(stderr, "equation: %s is no number\n", from), false;
    if (nde_program_find(program, to->name, &to->kind, &to->row, &rows))
        return fprintf(stderr, "equation: %s\n", nde_error()), false;
    if (rows != 1 || (to->kind != 'y' && to->kind != 'p'))
        return fprintf(stderr, "equation: %s is not one number of the state or of the parameters\n", to->name), false;
    return true;
}

/* A row for each quantity of the state: its end, and the derivatives of that by all quantities. */
static nde_status print_table(nde_solver *solver, const nde_problem *problem, const nde_solution *solution, const quantity *all,
                              size_t count) {
    const size_t dim = problem->drift->dim, np = problem->drift->np;
    double *seed_y = calloc(2*dim + np + 1, sizeof *seed_y), *g_y = seed_y ? seed_y + dim : NULL,
        *g_p = seed_y ? g_y + dim : NULL;
    nde_status status = seed_y ? NDE_OK : NDE_E_NOMEM;
    printf("%35s", "");
    for (size_t j = 0; j < count; j++) printf(" %3s%-11s", "d/d", all[j].name);
    for (size_t i = 0; i < count && !status; i++) {
        if (all[i].kind != 'y') continue;
        const nde_seed seed = NDE_INIT(nde_seed, .y_end = seed_y);
        const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = g_y, .p = np ? g_p : NULL);
        memset(seed_y, 0, dim*sizeof *seed_y);
        seed_y[all[i].row] = 1;
        if ((status = nde_backward(solver, &seed, &gradient))) break;
        printf("\n%7s(%3g) = %20.15g", all[i].name, problem->t1, solution->y_end[all[i].row]);
        for (size_t j = 0; j < count; j++)
            printf(" %14.6g", all[j].kind == 'y' ? g_y[all[j].row] : g_p[all[j].row]);
    }
    printf("\n");
    free(seed_y);
    return status;
}

static nde_status solve(const nde_program *program, double t1, const quantity *all, size_t count) {
    const nde_field field = nde_field_program(program);
    double *y0 = calloc(field.dim + field.np + 1, sizeof *y0), *p = y0 ? y0 + field.dim : NULL;
    nde_solver *solver = NULL;
    nde_solution solution = { .size = sizeof solution };
    nde_status status = y0 ? NDE_OK : NDE_E_NOMEM;
    for (size_t i = 0; i < count && !status; i++) (all[i].kind == 'y' ? y0 : p)[all[i].row] = all[i].value;
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = t1, .y0 = y0, .p = field.np ? p : NULL);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .rtol = 1e-10, .atol = 1e-12,
                                         .adjoint = NDE_ADJOINT_DISCRETE, .budget = (size_t)1 << 26);
    if (!status) status = nde_solver_create(&problem, &options, &solver);
    if (!status) status = nde_solver_run(solver, &solution);
    if (!status) status = print_table(solver, &problem, &solution, all, count);
    if (status) fprintf(stderr, "equation: %s\n", solver ? nde_solver_error(solver) : nde_error());
    nde_solver_destroy(solver);
    free(y0);
    return status;
}

int main(int argc, char **argv) {
    char **given = argc > 1 ? argv + 1 : lorenz, *end = NULL;
    const int arguments = argc > 1 ? argc - 1 : (int)(sizeof lorenz/sizeof *lorenz);
    quantity all[MOST];
    size_t count = 0;
    if (arguments < 2 || arguments > MOST + 2)
        return fprintf(stderr, "usage: equation [TEXT TIME NAME=VALUE...]\n"), EXIT_FAILURE;
    const double t1 = strtod(given[1], &end);
    if (end == given[1] || *end) return fprintf(stderr, "usage: equation [TEXT TIME NAME=VALUE...]\n"), EXIT_FAILURE;
    nde_program *program;
    if (nde_program_parse(given[0], NULL, &program)) return fprintf(stderr, "equation: %s\n", nde_error()), EXIT_FAILURE;
    bool good = true;
    for (int i = 2; i < arguments && good; i++) good = read_quantity(program, given[i], &all[count++]);
    if (good) good = solve(program, t1, all, count) == NDE_OK;
    nde_program_destroy(program);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
