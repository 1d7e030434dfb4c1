/* SPDX-License-Identifier: MIT
 * exceptions.cpp - C++ exceptions that fields throw go through nde_solver_run and nde_backward: nothing leaks, and the solver
 * gives fresh bits. */
#include <nde.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

static long left; /* calls until one throws */
static long blocks;

static void *take(void *, size_t bytes, size_t align) {
    void *block = nullptr;
    if (posix_memalign(&block, align < sizeof(void *) ? sizeof(void *) : align, bytes)) return nullptr;
    blocks++;
    return block;
}
static void give(void *, void *block, size_t) { std::free(block), blocks--; }

static int decay(const nde_field *, const nde_site *at, const double *y, double *dy) {
    if (left-- == 0) throw std::runtime_error("eval");
    for (size_t b = 0; b < at->n; b++) dy[b] = -y[b];
    return 0;
}
static int decay_vjp(const nde_field *, const nde_site *at, const double *, const double *a, nde_cotangent *to) {
    if (left-- == 0) throw std::logic_error("vjp");
    for (size_t b = 0; b < at->n; b++) to->y[b] -= a[b];
    return 0;
}

#define CHECK(condition) \
    do { \
        if (!(condition)) return std::fprintf(stderr, "line %d: not %s\n", __LINE__, #condition), 1; \
    } while (0)

int main() {
    double y0[3] = { 1, 2, 3 }, good[3], a_y[3], ones[3] = { 1, 1, 1 };
    nde_field field = {};
    field.dim = field.out = 1, field.eval = decay, field.vjp = decay_vjp;
    nde_problem problem = {};
    problem.n = 3, problem.drift = &field, problem.y0 = y0, problem.t1 = 1;
    nde_allocator allocator = { take, give, nullptr };
    nde_options options = {};
    options.adjoint = NDE_ADJOINT_DISCRETE, options.allocator = &allocator, options.budget = 1 << 20;
    nde_seed seed = {};
    seed.y_end = ones;
    nde_gradient gradient = {};
    gradient.y0 = a_y;
    nde_solution s = {};
    nde_solver *solver;
    CHECK(nde_solver_create(&problem, &options, &solver) == NDE_OK);
    left = -1;
    CHECK(nde_solver_run(solver, &s) == NDE_OK);
    std::memcpy(good, s.y_end, sizeof good);
    int caught = 0;
    for (long k = 0, way = 0; way < 2; k++) {
        bool threw = false;
        try {
            left = k;
            const nde_status status = way ? nde_backward(solver, &seed, &gradient) : nde_solver_run(solver, &s);
            CHECK(status == NDE_OK);
        } catch (const std::exception &e) {
            threw = true, caught++;
            CHECK(way || std::strcmp(e.what(), "eval") == 0);
        }
        left = -1;
        CHECK(way || nde_solver_run(solver, &s) == NDE_OK);
        CHECK(std::memcmp(good, s.y_end, sizeof good) == 0);
        if (!threw) way++, k = -1;
    }
    CHECK(caught > 30);
    left = 5;
    bool threw = false;
    try {
        (void)!nde_solver_run(solver, &s);
    } catch (const std::runtime_error &) {
        threw = true;
    }
    CHECK(threw && blocks == 1);
    nde_solver_destroy(solver);
    CHECK(blocks == 0);
    return 0;
}
