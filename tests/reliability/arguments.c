/* SPDX-License-Identifier: MIT
 * arguments.c - every argument and every struct member takes every hostile value. What is refused is named, with its
 * value; what is allowed runs to a documented status; nothing is written where it should not be. */
#include "rig.h"

#include <limits.h>

/* ---- members and their values ------------------------------------------------------------------------------------- */

enum type { SIZE, INT32, INT64, DOUBLE, POINTER };

static const size_t sizes[] = { 0, 1, 2, SIZE_MAX/8 + 1, SIZE_MAX/2, SIZE_MAX };
static const int32_t ints[] = { 0, -1, 1, 7777, INT32_MAX, INT32_MIN };
static const int64_t longs[] = { 0, -1, 1, 7777, INT64_MAX, INT64_MIN };
static const double doubles[] = { 0, -1, -2, (double)NAN, (double)INFINITY, -(double)INFINITY, 1e308, 5e-324 };

/* What each value brings: '.' it is allowed, 'r' refused (E_ARG or E_SIZE), 'R' with another member's name, 'n' too large
 * (or E_NOMEM), 'c' E_CALCULUS, 'h' E_STEPSIZE, '-' not tried: it would describe an array that is not there. */
typedef struct member {
    const char *name;
    size_t offset;
    enum type type;
    const char *expected;
} member;

static size_t set_member(void *object, const member *m, size_t i) { /* returns 0 behind the last value */
    char *at = (char *)object + m->offset;
    switch (m->type) {
    case SIZE: if (i < LENGTH(sizes)) return memcpy(at, &sizes[i], sizeof *sizes), 1; break;
    case INT32: if (i < LENGTH(ints)) return memcpy(at, &ints[i], sizeof *ints), 1; break;
    case INT64: if (i < LENGTH(longs)) return memcpy(at, &longs[i], sizeof *longs), 1; break;
    case DOUBLE: if (i < LENGTH(doubles)) return memcpy(at, &doubles[i], sizeof *doubles), 1; break;
    case POINTER: if (i < 1) return memset(at, 0, sizeof(void *)), 1; break;
    }
    return 0;
}

static void write_value(const member *m, size_t i, char *text, size_t size) {
    if (m->type == SIZE) snprintf(text, size, "%zu", sizes[i]);
    if (m->type == INT32) snprintf(text, size, "%d", (int)ints[i]);
    if (m->type == INT64) snprintf(text, size, "%lld", (long long)longs[i]);
    if (m->type == DOUBLE) snprintf(text, size, "%g", doubles[i]);
    if (m->type == POINTER) snprintf(text, size, "%s", m->name);
}

static bool fits(char expected, nde_status status) {
    switch (expected) {
    case 'r': case 'R': return status == NDE_E_ARG || status == NDE_E_SIZE;
    case 'n': return status == NDE_E_ARG || status == NDE_E_SIZE || status == NDE_E_NOMEM;
    case 'c': return status == NDE_E_CALCULUS;
    case 'h': return status == NDE_E_STEPSIZE;
    case '.': return status != NDE_E_ARG && status != NDE_E_SIZE && status != NDE_E_NOMEM && status != NDE_E_CALCULUS;
    default: return false;
    }
}

/* An allocator without more than a few GiB, so that no test asks the machine for what it promises and does not have. */
static void *cap_take(void *ctx, size_t bytes, size_t align) {
    (void)ctx;
    void *block = NULL;
    return bytes > (size_t)3 << 30 || posix_memalign(&block, align < 64 ? 64 : align, bytes) ? NULL : block;
}
static void cap_give(void *ctx, void *block, size_t bytes) { (void)ctx, (void)bytes; free(block); }
static const nde_allocator capped = { cap_take, cap_give, NULL };

static long tried, refused;

/* A value of a member of `object`, which r's problem and options use: create, and run what can be created. `text` must be
 * in the reason. */
static void attempt(rig *r, const char *of, const member *m, size_t i) {
    const char expected = m->expected[i];
    const size_t bytes = nde_solver_bytes(&r->problem, &r->options);
    const char *text = bytes ? "" : nde_error();
    char reason[300] = "";
    snprintf(reason, sizeof reason, "%s", text);
    nde_solver *solver = (nde_solver *)(void *)r;
    nde_status status = nde_solver_create(&r->problem, &r->options, &solver);
    if (status) {
        snprintf(reason, sizeof reason, "%s", nde_error());
        if (solver || (!bytes && strcmp(reason, text))) fail_msg("%s.%s: *solver, or bytes and create differ", of, m->name);
    } else {
        if (!bytes) fail_msg("%s.%s: create succeeds, bytes fails: %s", of, m->name, text);
        memset(&r->solution, 0, sizeof r->solution);
        status = nde_solver_run(solver, &r->solution);
        snprintf(reason, sizeof reason, "%s", nde_solver_error(solver));
        if (r->solution.y && !states_are_finite(&r->solution))
            fail_msg("%s.%s value %zu: states are not finite", of, m->name, i);
        if (r->options.adjoint && (status == NDE_OK || status == NDE_E_LANES))
            assert_int_equal(nde_backward(solver, &r->seed, &(nde_gradient){ .y0 = r->g_y0, .p = r->g_p }), NDE_OK);
        nde_solver_destroy(solver);
    }
    if (!fits(expected, status))
        fail_msg("%s.%s value %zu: status %s, expected '%c'; %s", of, m->name, i, nde_status_name(status), expected, reason);
    if (status < 0 && !reason[0]) fail_msg("%s.%s value %zu: no text", of, m->name, i);
    char value[40];
    write_value(m, i, value, sizeof value);
    if (strchr("rh", expected) && !strstr(reason, m->name) && !strstr(reason, value))
        fail_msg("%s.%s value %zu is not named: %s", of, m->name, i, reason);
    tried++;
    refused += expected != '.';
}

/* A fresh rig, of which `object` is a part. */
static void make(rig *r, int kind) {
    rig_make(r, kind, 3);
    r->options.allocator = &capped;
    r->options.max_steps = 1000;
    r->options.adjoint = NDE_ADJOINT_DISCRETE;
    if (kind == NOISE || kind == SCALAR_NOISE || kind == SPLIT) r->options.steps = 8;
}

static void sweep(const char *of, int kind, size_t offset, const member *members, size_t count, void (*prepare)(rig *)) {
    static rig r;
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; members[k].expected[i]; i++) {
            make(&r, kind);
            if (prepare) prepare(&r);
            assert_int_equal(set_member((char *)&r + offset, &members[k], i), 1);
            if (members[k].expected[i] != '-') attempt(&r, of, &members[k], i);
        }
}

#define M(struct_, name_, type_, expected_) { #name_, offsetof(struct_, name_), type_, expected_ }

/* ---- N1: members ------------------------------------------------------------------------------------------------- */

static void problem_members(void **state) {
    (void)state;
    static const member all[] = {
        M(nde_problem, n, SIZE, "...rrr"),
        M(nde_problem, dim, SIZE, ".rrrrr"),
        M(nde_problem, np, SIZE, ".r.rrr"),
        M(nde_problem, nq, SIZE, "...rrr"),
        M(nde_problem, t0, DOUBLE, "...rrrr."),
        M(nde_problem, t1, DOUBLE, "rrrrrr.r"),
        M(nde_problem, y0, POINTER, "r"),
        M(nde_problem, p, POINTER, "r"),
        M(nde_problem, q, POINTER, "."), /* q of the drift is gone with np = 0: see below */
        M(nde_problem, drift, POINTER, "."),
        M(nde_problem, terms, POINTER, "r"),
        M(nde_problem, n_terms, SIZE, "..-rrr"),
        M(nde_problem, quadrature, POINTER, "."),
        M(nde_problem, input, POINTER, "R"),
        M(nde_problem, calculus, INT32, "......"),
        M(nde_problem, split, SIZE, ".RRrrr"),
        M(nde_problem, jump_t, POINTER, "r"),
        M(nde_problem, n_jumps, SIZE, "...rrr"),
        M(nde_problem, jump, POINTER, "r"),
        M(nde_problem, jump_inputs, SIZE, "r.rrrr"),
        M(nde_problem, jump_u, POINTER, "r"),
        M(nde_problem, n_events, SIZE, ".rrrrr"),
        M(nde_problem, observe, POINTER, "."), M(nde_problem, stream, POINTER, "."), M(nde_problem, reduction, POINTER, "."),
    };
    member fixed[LENGTH(all)];
    memcpy(fixed, all, sizeof all);
    for (size_t i = 0; i < LENGTH(all); i++)
        if (!strcmp(fixed[i].name, "q")) fixed[i].expected = "r"; /* the drift has a q */
    sweep("problem", EVERYTHING, offsetof(rig, problem), fixed, LENGTH(fixed), NULL);
    static const member noisy[] = { M(nde_problem, calculus, INT32, "cc.ccc") };
    sweep("problem", NOISE, offsetof(rig, problem), noisy, LENGTH(noisy), NULL);
    static const member partitioned[] = { M(nde_problem, split, SIZE, "...rrr") };
    sweep("problem", SPLIT, offsetof(rig, problem), partitioned, LENGTH(partitioned), NULL);
    static const member plain[] = { M(nde_problem, drift, POINTER, "r") };
    sweep("problem", PLAIN, offsetof(rig, problem), plain, LENGTH(plain), NULL);
}

static void no_save_times(rig *r) { r->options.save_t = NULL, r->options.n_save = 0; }
static void save_every_one(rig *r) { no_save_times(r), r->options.save_every = 1; }

static void options_members(void **state) {
    (void)state;
    static const member all[] = {
        M(nde_options, method, INT32, ".rrrrr"),
        M(nde_options, stepping, INT32, ".r.rrr"),
        M(nde_options, controller, INT32, ".r.rrr"),
        M(nde_options, adjoint, INT32, ".r.rrr"),
        M(nde_options, tableau, POINTER, "."),
        M(nde_options, rtol, DOUBLE, "..rrrr.."),
        M(nde_options, atol, DOUBLE, "..rrrr.."),
        M(nde_options, atol_each, POINTER, "."),
        M(nde_options, steps, INT64, ".r..hr"),
        M(nde_options, h0, DOUBLE, ".rrrrr.."),
        M(nde_options, h_min, DOUBLE, "..rrrr.."),
        M(nde_options, h_max, DOUBLE, "..rr.r.h"),
        M(nde_options, safety, DOUBLE, ".rrrrrrr"),
        M(nde_options, factor_min, DOUBLE, ".rrrrrrr"),
        M(nde_options, factor_max, DOUBLE, ".rrrrr.r"),
        M(nde_options, max_steps, INT64, ".....r"),
        M(nde_options, save_t, POINTER, "r"),
        M(nde_options, n_save, SIZE, "...rrr"),
        M(nde_options, save_every, INT64, ".rrrrr"), /* beside save_t */
        M(nde_options, save_t_each, POINTER, "."), M(nde_options, discard, INT32, ".r.rrr"),
        M(nde_options, save_rows, SIZE, "......"),  /* without save_every it means nothing */
        M(nde_options, budget, SIZE, "...nnn"),
        M(nde_options, record, INT32, ".r.rrr"),
        M(nde_options, threads, INT32, ".r.rrr"),
        M(nde_options, event_rows, SIZE, "......"), /* without events it means nothing */
        M(nde_options, executor, POINTER, "."),
        M(nde_options, group, SIZE, "......"),
        M(nde_options, reproducible, INT32, "......"),
        M(nde_options, isa, INT32, ".r.rrr"),
        M(nde_options, progress, POINTER, "."),
        M(nde_options, decide, POINTER, "."),
        M(nde_options, h_min_policy, INT32, ".r.rrr"),
        M(nde_options, compensated, INT32, ".r.rrr"),
        M(nde_options, error, INT32, ".r.rrr"),
        M(nde_options, max_evals, INT64, ".r...r"),
        M(nde_options, quantum, DOUBLE, ".rrrrrrr"),
        M(nde_options, damping, DOUBLE, ".rrrrrrr"),
        M(nde_options, stages, INT32, ".rrrrr"),
        M(nde_options, spectral_radius, DOUBLE, ".rrrrrrr"),
        M(nde_options, coupling, DOUBLE, ".rrrrrr."),
        M(nde_options, order, INT32, ".rrrrr"),
        M(nde_options, estimates, INT32, ".r.rrr"), M(nde_options, estimate_seed, POINTER, "."),
        M(nde_options, max_seconds, DOUBLE, ".rrr.r.."),
        M(nde_options, norm, INT32, ".r.rrr"),
        M(nde_options, clip_t, POINTER, "."),
        M(nde_options, n_clip, SIZE, ".rrrrr"),
        M(nde_options, weights, POINTER, "."),
        M(nde_options, rtol_n, POINTER, "."),
        M(nde_options, atol_n, POINTER, "."),
        M(nde_options, back, POINTER, "."),
        M(nde_options, anchor_limit, DOUBLE, ".rrr.r.r"),
        M(nde_options, store, POINTER, "."),
        M(nde_options, parameters_in_norm, INT32, ".r.rrr"),
        M(nde_options, curvature, INT32, ".r.rrr"),
        M(nde_options, convert, INT32, ".r.rrr"),
        M(nde_options, jacobian, INT32, ".rrrrr"), /* of implicit methods */
        M(nde_options, directions, SIZE, "......"), /* as many as there is room for */
    };
    sweep("options", PLAIN, offsetof(rig, options), all, LENGTH(all), NULL);
    static const member every[] = { M(nde_options, save_every, INT64, ".r...r") };
    sweep("options", PLAIN, offsetof(rig, options), every, LENGTH(every), no_save_times);
    static const member rows[] = { M(nde_options, save_rows, SIZE, "...nnn") };
    sweep("options", PLAIN, offsetof(rig, options), rows, LENGTH(rows), save_every_one);
}

static nde_executor no_executor;
static nde_allocator some_allocator;
static double a_heun[1] = { 1 }, b_heun[2] = { 0.5, 0.5 }, e_heun[2] = { -0.5, 0.5 };
static nde_tableau heun;

static int run_here(void *ctx, size_t count, void (*task)(void *arg, size_t i, int worker), void *arg) {
    (void)ctx;
    for (size_t i = 0; i < count; i++) task(arg, i, 0);
    return 0;
}

static void use_executor(rig *r) {
    no_executor = (nde_executor){ run_here, NULL, 1 };
    r->options.executor = &no_executor;
}
static void use_allocator(rig *r) {
    some_allocator = capped;
    r->options.allocator = &some_allocator;
}
static void use_tableau(rig *r) {
    heun = NDE_INIT(nde_tableau, .stages = 2, .a = a_heun, .b = b_heun, .e = e_heun, .order = 2, .error_order = 1);
    r->options.tableau = &heun;
}

/* Structs that stand outside of the rig. */
static void sweep_outside(const char *of, void *object, const member *members, size_t count, void (*prepare)(rig *)) {
    static rig r;
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; members[k].expected[i]; i++) {
            make(&r, PLAIN);
            prepare(&r);
            assert_int_equal(set_member(object, &members[k], i), 1);
            if (members[k].expected[i] != '-') attempt(&r, of, &members[k], i);
        }
}

static void structs_of_options(void **state) {
    (void)state;
    static const member executor[] = { M(nde_executor, run, POINTER, "r"), M(nde_executor, workers, INT32, "rr..nr") };
    sweep_outside("executor", &no_executor, executor, LENGTH(executor), use_executor);
    static const member allocator_members[] = { M(nde_allocator, take, POINTER, "r"), M(nde_allocator, give, POINTER, "r") };
    sweep_outside("allocator", &some_allocator, allocator_members, LENGTH(allocator_members), use_allocator);
    static const member tableau[] = {
        M(nde_tableau, stages, SIZE, "rr.rrr"), M(nde_tableau, a, POINTER, "r"), M(nde_tableau, b, POINTER, "r"),
        M(nde_tableau, c, POINTER, "."), M(nde_tableau, order, INT32, "rr.rrr"),
        M(nde_tableau, error_order, INT32, "rr.rrr"),
        M(nde_tableau, first_same_as_last, INT32, ".rrrrr"),
    };
    sweep_outside("tableau", &heun, tableau, LENGTH(tableau), use_tableau);
}

static void structs_of_problem(void **state) {
    (void)state;
    static const member term[] = {
        M(nde_term, field, POINTER, "r"), M(nde_term, path, POINTER, "r"), M(nde_term, kind, INT32, "......"),
    };
    sweep("term", PATH, offsetof(rig, term), term, LENGTH(term), NULL);
    static const member noise_term[] = {
        M(nde_term, noise, POINTER, "r"), M(nde_term, kind, INT32, "rr.rrr"),
    };
    sweep("term", NOISE, offsetof(rig, term), noise_term, LENGTH(noise_term), NULL);
    static const member noise[] = {
        M(nde_noise, dim, SIZE, ".rrrrr"), M(nde_noise, grid, INT64, ".rrrrr"), M(nde_noise, seed, INT64, "......"),
        M(nde_noise, source, INT32, ".r.rrr"), M(nde_noise, levy, INT32, ".r.rrr"), M(nde_noise, area, INT32, ".r.rrr"),
        M(nde_noise, antithetic, INT32, ".r.rrr"), M(nde_noise, tolerance, DOUBLE, ".rrrrrrr"), M(nde_noise, h, POINTER, "."),
        M(nde_noise, normals, INT32, ".r.rrr"),
    };
    sweep("noise", NOISE, offsetof(rig, noise), noise, LENGTH(noise), NULL);
    static const member path[] = {
        M(nde_path, kind, INT32, ".rrrrr"), M(nde_path, channels, SIZE, "r.----"), M(nde_path, knots, SIZE, "rr.rrr"),
        M(nde_path, t, POINTER, "r"), M(nde_path, x, POINTER, "r"),
    };
    sweep("path", PATH, offsetof(rig, path), path, LENGTH(path), NULL);
    sweep("path", INPUT, offsetof(rig, input), path, LENGTH(path), NULL);
    static const member field[] = {
        M(nde_field, name, POINTER, "."), M(nde_field, dim, SIZE, "rrrrrr"), M(nde_field, nu, SIZE, ".rrrrr"),
        M(nde_field, np, SIZE, "--.rrr"), M(nde_field, nq, SIZE, ".rrrrr"), M(nde_field, out, SIZE, "rrrrrr"),
        M(nde_field, p_first, SIZE, ".--rrr"), M(nde_field, q_first, SIZE, "...rrr"), M(nde_field, tape, SIZE, "...rrr"),
        M(nde_field, cotape, SIZE, "...rrr"), M(nde_field, work, SIZE, "...rrr"), M(nde_field, prepared, SIZE, ".rrrrr"),
        M(nde_field, traits, INT32, ".r.rrr"), M(nde_field, eval, POINTER, "r"), M(nde_field, jvp, POINTER, "."),
    };
    sweep("drift", PLAIN, offsetof(rig, field[DRIFT]), field, LENGTH(field), NULL);
}

/* ---- N1: sizes of structs ----------------------------------------------------------------------------------------- */

typedef struct tailed {
    _Alignas(64) unsigned char bytes[1024];
} tailed;

/* Calls `use` with a copy of the struct whose size is 0, exact, larger with a zero tail, larger with another tail, smaller. */
static void each_size(const char *name, const void *object, size_t bytes, nde_status (*use)(void *copy, rig *r), rig *r) {
    static const struct { bool add, tail; int by; bool good; } cases[] = {
        { false, false, 0, true }, { true, false, 0, true }, { true, false, 8, true }, { true, false, 200, true },
        { true, true, 8, false }, { true, true, 200, false }, { true, false, -1, false }, { true, false, -8, false },
    };
    for (size_t i = 0; i < LENGTH(cases) + 1; i++) {
        tailed copy;
        memset(&copy, 0, sizeof copy);
        memcpy(&copy, object, bytes);
        size_t size = i == LENGTH(cases) ? 1 : cases[i].add ? bytes + (size_t)cases[i].by : 0;
        const bool good = i < LENGTH(cases) && cases[i].good;
        memcpy(&copy, &size, sizeof size);
        if (i < LENGTH(cases) && cases[i].tail) copy.bytes[bytes + (size_t)cases[i].by - 1] = 1;
        const nde_status status = use(&copy, r);
        if (good ? status != NDE_OK : status != NDE_E_ARG)
            fail_msg("%s of size %zu (it has %zu)%s: %s, %s", name, size, bytes, good ? "" : ", refused",
                     nde_status_name(status), nde_error());
        tried++;
    }
}

static nde_status create_run_destroy(rig *r) {
    nde_status status = nde_solver_create(&r->problem, &r->options, &r->solver);
    if (status) return status;
    status = nde_solver_run(r->solver, &r->solution);
    nde_solver_destroy(r->solver);
    return status;
}

static nde_status use_problem(void *copy, rig *r) {
    nde_solver *s;
    const nde_status status = nde_solver_create(copy, &r->options, &s);
    if (status == NDE_OK) nde_solver_destroy(s);
    return status;
}
static nde_status use_options(void *copy, rig *r) {
    nde_solver *s;
    const nde_status status = nde_solver_create(&r->problem, copy, &s);
    if (status == NDE_OK) nde_solver_destroy(s);
    return status;
}
static nde_status use_term(void *copy, rig *r) { r->problem.terms = copy; return create_run_destroy(r); }
static nde_status use_path(void *copy, rig *r) { r->term.path = copy; return create_run_destroy(r); }
static nde_status use_input(void *copy, rig *r) { r->problem.input = copy; return create_run_destroy(r); }
static nde_status use_noise(void *copy, rig *r) { r->term.noise = copy; return create_run_destroy(r); }
static nde_status use_drift(void *copy, rig *r) { r->problem.drift = copy; return create_run_destroy(r); }
static nde_status use_the_tableau(void *copy, rig *r) { r->options.tableau = copy; return create_run_destroy(r); }
static nde_status use_seed(void *copy, rig *r) { return nde_backward(r->solver, copy, &r->gradient); }
static nde_status use_gradient(void *copy, rig *r) { return nde_backward(r->solver, &r->seed, copy); }
static nde_status use_direction(void *copy, rig *r) { return nde_forward(r->solver, copy, &r->tangent); }
static nde_status use_tangent(void *copy, rig *r) { return nde_forward(r->solver, &r->direction, copy); }
static nde_status use_solution(void *copy, rig *r) { return nde_solver_run(r->solver, copy); }
static nde_status use_solution_steps(void *copy, rig *r) {
    nde_status status;
    while ((status = nde_solver_steps(r->solver, 5, copy)) == NDE_UNFINISHED) continue;
    return status;
}
static nde_status use_solution_solve(void *copy, rig *r) {
    const nde_status status = nde_solve(&r->problem, &r->options, copy);
    if (status == NDE_OK) nde_solution_free(copy);
    return status;
}
static nde_status use_solution_loss(void *copy, rig *r) {
    double loss;
    return nde_loss_mse(copy, r->seed_y, NULL, &loss, NULL);
}
static nde_status use_optimiser(void *copy, rig *r) { return nde_optimiser_step(copy, 2, r->seed_y, r->g_p); }
static nde_status use_average(void *copy, rig *r) { return nde_average_update(copy, 2, r->p); }
static nde_status use_patience(void *copy, rig *r) { return nde_patience_update(copy, 1, 2, r->p); }
static nde_status use_bounds(void *copy, rig *r) { return nde_bounds_apply(copy, 2, r->p, r->g_p); }
static nde_status use_mlp(void *copy, rig *r) { return nde_mlp_init(copy, NDE_GLOROT_UNIFORM, 1, r->g_p); }
static nde_status use_mlp_field(void *copy, rig *r) { (void)r; return nde_field_mlp(copy).eval ? NDE_OK : NDE_E_ARG; }
static nde_status use_parts(void *copy, rig *r) { (void)r; return nde_field_sum(copy).eval ? NDE_OK : NDE_E_ARG; }
static nde_status use_pointwise(void *copy, rig *r) {
    (void)r; return nde_field_pointwise(copy, 3, 2).eval ? NDE_OK : NDE_E_ARG;
}

static int one_f(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)ctx;
    for (size_t i = 0; i < 3; i++) dy[i] = -p[i % 2]*y[i] + (nde_real)t;
    return 0;
}

static void struct_sizes(void **state) {
    (void)state;
    static rig r;
    make(&r, EVERYTHING);
    each_size("problem", &r.problem, sizeof r.problem, use_problem, &r);
    each_size("options", &r.options, sizeof r.options, use_options, &r);
    each_size("input", &r.input, sizeof r.input, use_input, &r);
    r.problem.input = &r.input;
    each_size("drift", &r.field[DRIFT], sizeof r.field[DRIFT], use_drift, &r);
    r.problem.drift = &r.field[DRIFT];
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
    assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
    each_size("seed", &r.seed, sizeof r.seed, use_seed, &r);
    each_size("gradient", &r.gradient, sizeof r.gradient, use_gradient, &r);
    each_size("direction", &r.direction, sizeof r.direction, use_direction, &r);
    each_size("tangent", &r.tangent, sizeof r.tangent, use_tangent, &r);
    const nde_solution kept = r.solution;
    each_size("loss's solution", &kept, sizeof kept, use_solution_loss, &r);
    const nde_solution none = NDE_INIT(nde_solution, 0);
    for (size_t size = 1; size < sizeof none; size += 7) {
        tailed copy;
        memset(&copy, 0xee, sizeof copy);
        memcpy(&copy, &size, sizeof size);
        const tailed before = copy;
        assert_int_equal(use_solution((void *)&copy, &r), NDE_E_ARG);
        assert_int_equal(use_solution_steps((void *)&copy, &r), NDE_E_ARG);
        assert_int_equal(use_solution_solve((void *)&copy, &r), NDE_E_ARG);
        assert_memory_equal(&copy, &before, sizeof copy);
    }
    for (size_t more = 0; more <= 64; more += 8) { /* of a later release: what is beyond stays as it is */
        tailed copy;
        memset(&copy, 0xee, sizeof copy);
        const size_t size = sizeof none + more;
        memcpy(&copy, &size, sizeof size);
        assert_int_equal(use_solution((void *)&copy, &r), NDE_OK);
        assert_int_equal(use_solution_steps((void *)&copy, &r), NDE_OK);
        for (size_t i = sizeof none; i < sizeof copy; i++) assert_int_equal(copy.bytes[i], 0xee);
    }
    nde_solver_destroy(r.solver);

    make(&r, PATH);
    each_size("path", &r.path, sizeof r.path, use_path, &r);
    make(&r, NOISE);
    each_size("noise", &r.noise, sizeof r.noise, use_noise, &r);
    make(&r, PATH);
    each_size("term", &r.term, sizeof r.term, use_term, &r);
    make(&r, PLAIN);
    use_tableau(&r);
    r.options.steps = 8;
    each_size("tableau", &heun, sizeof heun, use_the_tableau, &r);

    double optimiser_state[4], mean[2];
    const nde_optimiser optimiser = NDE_INIT(nde_optimiser, .state = optimiser_state);
    each_size("optimiser", &optimiser, sizeof optimiser, use_optimiser, &r);
    const nde_average average = NDE_INIT(nde_average, .mean = mean);
    each_size("average", &average, sizeof average, use_average, &r);
    const nde_patience patience = NDE_INIT(nde_patience, .patience = 1);
    each_size("patience", &patience, sizeof patience, use_patience, &r);
    const nde_bounds bounds = NDE_INIT(nde_bounds, .lower = NULL);
    each_size("bounds", &bounds, sizeof bounds, use_bounds, &r);
    make(&r, NETWORK);
    each_size("mlp", &r.mlp, sizeof r.mlp, use_mlp, &r);
    each_size("mlp", &r.mlp, sizeof r.mlp, use_mlp_field, &r);
    make(&r, PLAIN);
    const nde_field *two[2] = { &r.field[DRIFT], &r.inner[DRIFT] };
    const nde_parts parts = NDE_INIT(nde_parts, .part = two, .n = 2);
    each_size("parts", &parts, sizeof parts, use_parts, &r);
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = one_f);
    each_size("pointwise", &one, sizeof one, use_pointwise, &r);
    print_message("N1: %ld values so far\n", tried);
}

/* In an array of terms the first one's size is the stride. */
static void later_terms_have_a_stride(void **state) {
    (void)state;
    static rig r;
    static struct { nde_term term; uint64_t later[3]; } two[2];
    make(&r, PATH);
    const nde_term both[2] = { r.term, r.term };
    r.problem.terms = both, r.problem.n_terms = 2;
    r.options.adjoint = NDE_ADJOINT_NONE;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
    assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
    const uint64_t good = hash_solution(&r.solution);
    nde_solver_destroy(r.solver);
    for (int i = 0; i < 2; i++) two[i].term = r.term, two[i].term.size = sizeof *two;
    r.problem.terms = &two[0].term;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
    assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
    assert_true(hash_solution(&r.solution) == good);
    nde_solver_destroy(r.solver);
    two[1].later[1] = 1;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "terms[1]"));
}

/* ---- N1: arguments ------------------------------------------------------------------------------------------------ */

#define REFUSED(call, word) \
    do { \
        if ((call) != NDE_E_ARG) fail_msg("%s is not refused", #call); \
        if (!strstr(nde_error(), word)) fail_msg("%s: '%s' does not say '%s'", #call, nde_error(), word); \
        tried++, refused++; \
    } while (0)
#define REFUSED_BY(solver, call, word) \
    do { \
        char before[300]; \
        snprintf(before, sizeof before, "%s", nde_error()); \
        if ((call) != NDE_E_ARG) fail_msg("%s is not refused", #call); \
        if (!strstr(nde_solver_error(solver), word)) fail_msg("%s: '%s' does not say '%s'", #call, nde_solver_error(solver), word); \
        if (strcmp(before, nde_error())) fail_msg("%s changes this thread's text", #call); \
        tried++, refused++; \
    } while (0)

static void arguments(void **state) {
    (void)state;
    static rig r;
    make(&r, EVERYTHING);
    nde_status found;
    double number = 0;
    char text[200];
    nde_real y[4], dy[4];
    REFUSED(nde_status_find(NULL, &found), "name");
    REFUSED(nde_status_find("OK", NULL), "status");
    REFUSED(nde_status_find("nonsense", &found), "nonsense");
    for (int i = -100; i < 100; i++) assert_true(nde_status_text(i) && nde_status_name(i) && nde_status_text(i)[0]);
    assert_string_equal(nde_status_name(INT_MIN), "?");
    assert_string_equal(nde_status_text(INT_MAX), "unknown status");
    assert_null(nde_method_at(SIZE_MAX));
    assert_null(nde_method_find(NULL));
    assert_null(nde_method_find(""));
    assert_null(nde_method_get(INT_MIN));
    assert_true(nde_method_name(NULL) == NULL && nde_method_source(NULL) == NULL && nde_method_stages(NULL) == 0);

    const uint64_t nowhere[] = { 0, UINT64_MAX };
    for (size_t i = 0; i < 2; i++) { /* numbers with any bits are numbers */
        assert_true(isfinite(nde_normal(UINT64_MAX, UINT_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX)));
        const double u = nde_uniform(nowhere[i], 0, 0, 0, 0);
        assert_true(u > 0 && u < 1);
    }

    REFUSED(nde_solver_bytes(NULL, NULL) == 0 ? NDE_E_ARG : NDE_OK, "problem");
    REFUSED(nde_solver_create(NULL, NULL, &r.solver), "problem");
    assert_null(r.solver);
    REFUSED(nde_solver_create(&r.problem, &r.options, NULL), "solver");
    REFUSED(nde_solver_create_in(NULL, SIZE_MAX, &r.problem, &r.options, &r.solver), "block");
    REFUSED(nde_solver_create_in(&r, 64, NULL, &r.options, &r.solver), "problem");
    REFUSED(nde_solver_create_in(&r, 64, &r.problem, &r.options, NULL), "solver");
    _Alignas(64) static char block[64];
    REFUSED(nde_solver_create_in(block, 0, &r.problem, &r.options, &r.solver), "bytes is 0");
    REFUSED(nde_solver_create_in(block, 64, &r.problem, &r.options, &r.solver), "bytes is 64");
    REFUSED(nde_solver_run(NULL, &r.solution), "solver");
    REFUSED(nde_solver_steps(NULL, 1, &r.solution), "solver");
    size_t bytes = 0;
    REFUSED(nde_solver_state(NULL, NULL, &bytes), "solver");
    REFUSED(nde_solver_restore(NULL, block, 64), "solver");
    REFUSED(nde_solver_dense(NULL, 0, 0, y, dy), "solver");
    REFUSED(nde_backward(NULL, &r.seed, &r.gradient), "solver");
    REFUSED(nde_forward(NULL, &r.direction, &r.tangent), "solver");
    REFUSED(nde_solve(NULL, NULL, &r.solution), "problem");
    REFUSED(nde_solve(&r.problem, &r.options, NULL), "solution");
    assert_string_equal(nde_solver_error(NULL), "");
    nde_solver_destroy(NULL);
    nde_solution_free(NULL);
    nde_solution_free(&(nde_solution){ .size = 0 });

    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
    nde_solver *s = r.solver;
    REFUSED_BY(s, nde_backward(s, &r.seed, &r.gradient), "no");
    REFUSED_BY(s, nde_forward(s, &r.direction, &r.tangent), "no");
    REFUSED_BY(s, nde_solver_dense(s, 0, 0.5, y, dy), "no record");
    assert_int_equal(nde_solver_run(s, NULL), NDE_OK); /* allowed */
    assert_int_equal(nde_solver_steps(s, 0, NULL), NDE_UNFINISHED);
    REFUSED_BY(s, nde_backward(s, &r.seed, &r.gradient), "no");
    REFUSED_BY(s, nde_solver_steps(s, -1, &r.solution), "-1");
    REFUSED_BY(s, nde_solver_steps(s, INT64_MIN, &r.solution), "steps");
    assert_int_equal(nde_solver_steps(s, INT64_MAX, NULL), NDE_OK);
    assert_int_equal(nde_solver_run(s, &r.solution), NDE_OK);
    REFUSED_BY(s, nde_backward(s, NULL, &r.gradient), "seed");
    REFUSED_BY(s, nde_backward(s, &r.seed, NULL), "gradient");
    REFUSED_BY(s, nde_forward(s, NULL, &r.tangent), "direction");
    REFUSED_BY(s, nde_forward(s, &r.direction, NULL), "tangent");
    REFUSED_BY(s, nde_solver_dense(s, 3, 0.5, y, dy), "trajectory is 3");
    REFUSED_BY(s, nde_solver_dense(s, SIZE_MAX, 0.5, y, dy), "trajectory");
    const double outside[] = { -0.1, 1.1, (double)NAN, (double)INFINITY, -(double)INFINITY, 1e308 };
    for (size_t i = 0; i < LENGTH(outside); i++) REFUSED_BY(s, nde_solver_dense(s, 0, outside[i], y, dy), "t is");
    assert_int_equal(nde_solver_dense(s, 0, 0.5, NULL, NULL), NDE_OK);
    assert_int_equal(nde_backward(s, &(nde_seed){ .size = 0 }, &(nde_gradient){ .size = 0 }), NDE_OK);
    assert_int_equal(nde_forward(s, &(nde_direction){ .size = 0 }, &(nde_output_tangent){ .size = 0 }), NDE_OK);
    REFUSED(nde_solver_state(s, NULL, NULL), "bytes");
    assert_int_equal(nde_solver_state(s, NULL, &bytes), NDE_OK);
    char *state_block = malloc(bytes + 1);
    size_t given = bytes - 1;
    REFUSED(nde_solver_state(s, state_block, &given), "bytes is");
    assert_int_equal(given, bytes);
    given = 0;
    REFUSED(nde_solver_state(s, state_block, &given), "bytes is 0");
    given = SIZE_MAX;
    assert_int_equal(nde_solver_state(s, state_block, &given), NDE_OK);
    assert_int_equal(given, bytes);
    REFUSED_BY(s, nde_solver_restore(s, NULL, bytes), "block");
    REFUSED_BY(s, nde_solver_restore(s, state_block, 0), "bytes is 0");
    REFUSED_BY(s, nde_solver_restore(s, state_block, bytes - 1), "state");
    state_block[0] ^= 1;
    REFUSED_BY(s, nde_solver_restore(s, state_block, bytes), "state");
    state_block[0] ^= 1;
    assert_int_equal(nde_solver_restore(s, state_block, bytes), NDE_OK);
    REFUSED_BY(s, nde_backward(s, &r.seed, &r.gradient), "no");
    free(state_block);
    nde_solver_destroy(s);

    const double t = 0.5;
    const nde_real u[2] = { 1, 1 };
    const nde_site at = { .n = 1, .ld = 1, .t = &t, .p = r.p, .q = r.q, .u = u };
    const nde_field *f = &r.inner[DRIFT];
    nde_site wrong = at;
    REFUSED(nde_field_check(NULL, &at, r.y0, &number, text, sizeof text), "field");
    REFUSED(nde_field_check(f, NULL, r.y0, &number, text, sizeof text), "at");
    REFUSED(nde_field_check(f, &at, NULL, &number, text, sizeof text), "y");
    wrong.n = 0; REFUSED(nde_field_check(f, &wrong, r.y0, &number, text, sizeof text), "at.n");
    wrong = at, wrong.ld = 0; REFUSED(nde_field_check(f, &wrong, r.y0, &number, text, sizeof text), "at.ld");
    wrong = at, wrong.t = NULL; REFUSED(nde_field_check(f, &wrong, r.y0, &number, text, sizeof text), "at.t");
    wrong = at, wrong.u = NULL; REFUSED(nde_field_check(f, &wrong, r.y0, &number, text, sizeof text), "at.u");
    wrong = at, wrong.p = NULL; REFUSED(nde_field_check(f, &wrong, r.y0, &number, text, sizeof text), "at.p");
    wrong = at, wrong.q = NULL; REFUSED(nde_field_check(f, &wrong, r.y0, &number, text, sizeof text), "at.q");
    nde_real value[8];
    REFUSED(nde_field_value(NULL, &at, r.y0, value), "field");
    REFUSED(nde_field_value(f, NULL, r.y0, value), "at");
    REFUSED(nde_field_value(f, &at, NULL, value), "y");
    REFUSED(nde_field_value(f, &at, r.y0, NULL), "value");
    REFUSED(nde_field_value(f, &wrong, r.y0, value), "at.q");
    assert_int_equal(nde_field_value(f, &at, r.y0, value), NDE_OK);
    assert_int_equal(nde_field_check(f, &at, r.y0, NULL, NULL, 0), NDE_OK);
    assert_int_equal(nde_field_check(f, &at, r.y0, &number, text, 1), NDE_OK);
    assert_string_equal(text, "");

    assert_true(!nde_field_mlp(NULL).eval && strstr(nde_error(), "mlp"));
    assert_true(!nde_field_sum(NULL).eval && strstr(nde_error(), "nde_field_sum"));
    assert_true(!nde_field_concatenation(NULL).eval && strstr(nde_error(), "nde_field_concatenation"));
    assert_true(!nde_field_composition(NULL).eval && strstr(nde_error(), "nde_field_composition"));
    assert_true(!nde_field_pointwise(NULL, 3, 2).eval && strstr(nde_error(), "nde_field_pointwise"));
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = one_f), no_f = NDE_INIT(nde_pointwise, .f = NULL);
    assert_true(!nde_field_pointwise(&no_f, 3, 2).eval && strstr(nde_error(), "f is NULL"));
    for (size_t i = 3; i < LENGTH(sizes); i++) {
        assert_true(!nde_field_pointwise(&one, sizes[i], 2).eval);
        assert_true(!nde_field_pointwise(&one, 3, sizes[i]).eval);
        assert_true(!nde_field_cube(sizes[i]).eval);
    }
    assert_true(!nde_field_pointwise(&one, 0, 2).eval && !nde_field_cube(0).eval);
    REFUSED(nde_mlp_init(NULL, NDE_GLOROT_UNIFORM, 0, y), "mlp");
    REFUSED(nde_mlp_init(&r.mlp, NDE_GLOROT_UNIFORM, 0, y), "layers");

    double optimiser_state[4] = { 0 };
    nde_optimiser optimiser = NDE_INIT(nde_optimiser, .state = optimiser_state);
    REFUSED(nde_optimiser_step(NULL, 2, r.p, r.g_p), "optimiser");
    REFUSED(nde_optimiser_step(&optimiser, 0, r.p, r.g_p), "np");
    REFUSED(nde_optimiser_step(&optimiser, SIZE_MAX, r.p, r.g_p), "np");
    REFUSED(nde_optimiser_step(&optimiser, 2, NULL, r.g_p), "gradient");
    REFUSED(nde_optimiser_step(&optimiser, 2, r.p, NULL), "p is");
    assert_true(isnan(nde_optimiser_rate(NULL)) && nde_optimiser_length(NULL, 2) == 0);
    REFUSED(nde_loss_mse(NULL, r.p, NULL, &number, NULL), "solution");
    REFUSED(nde_npy_save(NULL, r.p, 2), "file");
    REFUSED(nde_npy_save("", r.p, 2), "file");
    REFUSED(nde_npy_save("x", NULL, 2), "values");
    REFUSED(nde_npy_load(NULL, r.p, 2), "file");
    REFUSED(nde_npy_load("", r.p, 2), "file");
    REFUSED(nde_npy_load("x", NULL, 2), "values");
    REFUSED(nde_npy_load("x", r.p, SIZE_MAX), "count");
    print_message("N1: %ld values tried, %ld refused by name\n", tried, refused);
}

static void optimiser_and_loss_members(void **state) {
    (void)state;
    static const member optimiser_members[] = {
        M(nde_optimiser, kind, INT32, ".r.rrr"), M(nde_optimiser, nesterov, INT32, ".rrrrr"),
        M(nde_optimiser, rate, DOUBLE, "..rrrr.."), M(nde_optimiser, beta1, DOUBLE, "..rrrrr."),
        M(nde_optimiser, beta2, DOUBLE, "..rrrrr."), M(nde_optimiser, momentum, DOUBLE, "..rrrrr."),
        M(nde_optimiser, rho, DOUBLE, "..rrrrr."), M(nde_optimiser, epsilon, DOUBLE, "..rrrr.."),
        M(nde_optimiser, weight_decay, DOUBLE, "..rrrr.."), M(nde_optimiser, clip_norm, DOUBLE, "..rr.r.."),
        M(nde_optimiser, clip_value, DOUBLE, "..rr.r.."), M(nde_optimiser, schedule, INT32, ".r.rrr"),
        M(nde_optimiser, decay, DOUBLE, "..rrrr.."), M(nde_optimiser, decay_steps, INT64, ".r...r"),
        M(nde_optimiser, warmup_steps, INT64, ".r...r"), M(nde_optimiser, step, INT64, ".r...r"),
        M(nde_optimiser, state, POINTER, "r"),
    };
    for (size_t k = 0; k < LENGTH(optimiser_members); k++)
        for (size_t i = 0; optimiser_members[k].expected[i]; i++) {
            double memory[4] = { 0 };
            const nde_real gradient[2] = { 1, -2 };
            nde_real p[2] = { 3, 4 };
            nde_optimiser optimiser = NDE_INIT(nde_optimiser, .state = memory,
                                               .decay_steps = optimiser_members[k].type == INT32);
            set_member(&optimiser, &optimiser_members[k], i);
            const nde_optimiser before = optimiser;
            const nde_status status = nde_optimiser_step(&optimiser, 2, gradient, p);
            if (!fits(optimiser_members[k].expected[i], status))
                fail_msg("optimiser.%s value %zu: %s %s", optimiser_members[k].name, i, nde_status_name(status), nde_error());
            tried++;
            if (status == NDE_OK) continue;
            assert_memory_equal(&optimiser, &before, sizeof optimiser);
            assert_true(p[0] == 3 && p[1] == 4 && memory[0] == 0 && memory[2] == 0);
            assert_non_null(strstr(nde_error(), optimiser_members[k].name));
        }
    static rig r;
    static const member loss_members[] = {
        M(nde_solution, n, SIZE, "r..rrr"), M(nde_solution, dim, SIZE, "r..rrr"), M(nde_solution, n_save, SIZE, "r..rrr"),
        M(nde_solution, y, POINTER, "r"),
    };
    for (size_t k = 0; k < LENGTH(loss_members); k++)
        for (size_t i = 0; loss_members[k].expected[i]; i++) {
            make(&r, PLAIN);
            nde_solution solution = NDE_INIT(nde_solution, .n = 3, .dim = 3, .n_save = 4, .y = r.seed_y);
            set_member(&solution, &loss_members[k], i);
            double loss = 7;
            const nde_status status = nde_loss_mse(&solution, r.v_y0, NULL, &loss, NULL);
            if (!fits(loss_members[k].expected[i], status)) fail_msg("solution.%s value %zu", loss_members[k].name, i);
            if (status) assert_true(loss == 7);
            tried++;
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problem_members),
        cmocka_unit_test(options_members),
        cmocka_unit_test(structs_of_options),
        cmocka_unit_test(structs_of_problem),
        cmocka_unit_test(struct_sizes),
        cmocka_unit_test(later_terms_have_a_stride),
        cmocka_unit_test(optimiser_and_loss_members),
        cmocka_unit_test(arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
