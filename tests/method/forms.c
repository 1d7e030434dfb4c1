/* SPDX-License-Identifier: MIT
 * forms.c - implicit methods with matrices kept as bands or by KLU: solutions, gradients, tangents and records are those with
 * dense ones, memory grows with the number of points and not with its square, and what cannot be is refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "implicit/klu.h"
#include "method/loss.h"
#include "method/method.h"

#define EACH_FORM(form)                                                        \
    for (int form = NDE_LINEAR_BAND; form <= NDE_LINEAR_SPARSE; form++)         \
        if (form == NDE_LINEAR_BAND || nde_klu_is_there())
enum { POINTS = 24, DIM = 2*POINTS, SIDE = 6 };

/* The Brusselator on a rod, u before v, so that the band needs another order; or on a helix around a torus, whose every
 * SIDE-th point is a neighbour too. With a feed of each point, which may change in time. */
typedef struct model {
    size_t points;
    nde_program *program[3];
    nde_field field[3]; /* all of it; diffusion alone; noise */
    nde_noise noise;
    nde_term term;
    nde_real *y0, *p;
    size_t dim;
    nde_loss loss;
} model_t;

static void parse(nde_program **program, nde_field *field, const char *text) {
    if (nde_program_parse(text, NULL, program)) fail_msg("%s", nde_error());
    *field = nde_field_program(*program);
}

static model_t *rod(size_t n, bool timed) {
    model_t *m = calloc(1, sizeof *m);
    char text[600];
    const double by = (double)((n + 1)*(n + 1))/50;
    snprintf(text, sizeof text, "state u[%zu], v[%zu]; param a[%zu]; r = u*u*v\n"
             "du = %s + r - 4*u + %.17g*([1, u[0:%zu]] - 2*u + [u[1:%zu], 1])\n"
             "dv = 3*u - r + %.17g*([3, v[0:%zu]] - 2*v + [v[1:%zu], 3])", n, n, n,
             timed ? "a*(1 + sin(3*t)/2)" : "a", by, n - 1, n, by, n - 1, n);
    parse(&m->program[0], &m->field[0], text);
    snprintf(text, sizeof text, "state u[%zu], v[%zu]; du = %.17g*([1, u[0:%zu]] - 2*u + [u[1:%zu], 1])\n"
             "dv = %.17g*([3, v[0:%zu]] - 2*v + [v[1:%zu], 3])", n, n, by, n - 1, n, by, n - 1, n);
    parse(&m->program[1], &m->field[1], text);
    snprintf(text, sizeof text, "state u[%zu], v[%zu]; du = 0.1*u; dv = 0.1*v", n, n);
    parse(&m->program[2], &m->field[2], text);
    m->noise = NDE_INIT(nde_noise, .seed = 4);
    m->term = NDE_INIT(nde_term, .field = &m->field[2], .noise = &m->noise, .kind = NDE_NOISE_DIAGONAL);
    m->points = n, m->y0 = calloc(2*n, sizeof *m->y0), m->p = calloc(n, sizeof *m->p);
    for (size_t i = 0; i < n; i++)
        m->y0[i] = (nde_real)(1 + sin(6.28*(double)(i + 1)/(double)(n + 1))), m->y0[n + i] = 3, m->p[i] = 1;
    return m;
}

static model_t *helix(size_t side) {
    model_t *m = calloc(1, sizeof *m);
    const size_t n = side*side;
    char text[600];
    snprintf(text, sizeof text, "state u[%zu], v[%zu]; param a[%zu]; r = u*u*v\n"
             "du = a + r - 4*u + 5*([u[1:%zu], u[0:1]] + [u[%zu:%zu], u[0:%zu]]\n"
             "   + [u[%zu:%zu], u[0:%zu]] + [u[%zu:%zu], u[0:%zu]] - 4*u)\n"
             "dv = 3*u - r + 5*([v[1:%zu], v[0:1]] + [v[%zu:%zu], v[0:%zu]] - 2*v)", n, n, n, n, n - 1, n, n - 1, side, n, side,
             n - side, n, n - side, n, side, n, side);
    parse(&m->program[0], &m->field[0], text);
    m->points = n, m->y0 = calloc(2*n, sizeof *m->y0), m->p = calloc(n, sizeof *m->p);
    for (size_t i = 0; i < n; i++) m->y0[i] = (nde_real)(1 + 0.5*sin((double)i)), m->y0[n + i] = 3, m->p[i] = 1;
    return m;
}

static void drop(model_t *m) {
    for (int k = 0; k < 3; k++)
        if (m->program[k]) nde_program_destroy(m->program[k]);
    free(m->y0), free(m->p), free(m);
}

/* ---- a run, there and back ------------------------------------------------------------------- */

typedef struct outcome {
    nde_real end[2*POINTS*4], a_y0[2*POINTS*4], v_end[2*POINTS*4], a_p[POINTS*4];
    nde_stats stats;
} outcome;

static nde_problem problem_of(model_t *m) {
    m->dim = 2*m->points, m->loss = NDE_INIT(nde_loss, .at = half_squares, .ctx = &m->dim);
    return NDE_INIT(nde_problem, .drift = &m->field[0], .y0 = m->y0, .p = m->p, .t1 = 0.5, .loss = &m->loss);
}

static void run(const nde_problem *problem, nde_options options, size_t dim, size_t np, outcome *to) {
    nde_real v_p[POINTS*4];
    nde_solver *solver;
    nde_solution s = { 0 };
    memset(to, 0, sizeof *to);
    options.adjoint = NDE_ADJOINT_DISCRETE;
    if (!options.budget) options.budget = (size_t)8 << 20;
    if (nde_solver_create(problem, &options, &solver)) fail_msg("%s", nde_error());
    if (nde_solver_run(solver, &s)) fail_msg("%s", nde_solver_error(solver));
    memcpy(to->end, s.y_end, dim*problem->n*sizeof *to->end), to->stats = s.stats[0];
    const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = to->a_y0, .p = to->a_p);
    if (nde_backward(solver, NULL, &gradient)) fail_msg("%s", nde_solver_error(solver));
    for (size_t k = 0; k < np; k++) v_p[k] = (nde_real)cos((double)k);
    const nde_direction along = NDE_INIT(nde_direction, .p = v_p);
    const nde_output_tangent out = NDE_INIT(nde_output_tangent, .y_end = to->v_end);
    if (nde_forward(solver, &along, &out)) fail_msg("%s", nde_solver_error(solver));
    nde_solver_destroy(solver);
}

static double apart(size_t n, const nde_real *a, const nde_real *b) {
    double off = 0, size = 0;
    for (size_t i = 0; i < n; i++) off = fmax(off, fabs((double)a[i] - (double)b[i])), size = fmax(size, fabs((double)b[i]));
    return off/size;
}

static void is_same(const char *name, int form, size_t dim, size_t np, const outcome *x, const outcome *dense) {
    const double off = fmax(fmax(apart(dim, x->end, dense->end), apart(dim, x->a_y0, dense->a_y0)),
                            fmax(apart(dim, x->v_end, dense->v_end), apart(np, x->a_p, dense->a_p)));
    if (!(off < 2e4*NDE_TEST_EPS)) fail_msg("%s, form %d: %g from the dense one", name, form, off);
}

/* Fixed steps, so that all forms take the same ones. */
static void compare(const nde_method *m, const nde_problem *problem, nde_options options, size_t dim, size_t np) {
    static outcome dense, x;
    options.size = sizeof options, options.method = nde_method_id(m), options.steps = 12, options.linear = NDE_LINEAR_DENSE;
    run(problem, options, dim, np, &dense);
    EACH_FORM(form) {
        options.linear = form;
        run(problem, options, dim, np, &x);
        is_same(m->name, form, dim, np, &x, &dense);
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* KLU's malloc, where no sanitizer has its own. */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define INTERPOSED 1
static long mallocs, malloc_fails = -1;
void *__libc_malloc(size_t bytes);
void *malloc(size_t bytes) { return mallocs++ == malloc_fails ? NULL : __libc_malloc(bytes); }
#else
#define INTERPOSED 0
#endif

/* radau5 has dense matrices alone. */
#define EACH_METHOD(m)                                       \
    for (size_t m##_ = 0; m##_ < nde_method_count(); m##_++)  \
        for (const nde_method *m = nde_method_at(m##_); m && nde_method_is_implicit(m) && !m->collocation; m = NULL)

static void every_form_gives_the_same(void **state) {
    (void)state;
    for (int timed = 0; timed < 2; timed++) {
        model_t *m = rod(POINTS, timed);
        const nde_splitting apart = NDE_INIT(nde_splitting, .second = &m->field[1]);
        nde_problem problem = problem_of(m);
        EACH_METHOD(method) {
            problem.splitting = method->kind == NDE_KIND_IMEX ? &apart : NULL;
            problem.terms = method->kind == NDE_KIND_STOCHASTIC ? &m->term : NULL, problem.n_terms = problem.terms != NULL;
            problem.calculus = problem.terms ? NDE_ITO : 0;
            if (method->kind == NDE_KIND_IMEX && timed) continue; /* diffusion is never */
            compare(method, &problem, (nde_options){ 0 }, DIM, POINTS);
            if (method->kind == NDE_KIND_DIRK)
                compare(method, &problem,
                        (nde_options){ .jacobian = NDE_JACOBIAN_DIFFERENCES, .newton_tolerance = NDE_ZERO }, DIM, POINTS);
        }
        drop(m);
    }
}

static void two_dimensions(void **state) {
    (void)state;
    const size_t dim = 2*SIDE*SIDE;
    model_t *m = helix(SIDE);
    const nde_problem problem = problem_of(m);
    EACH_METHOD(method)
        if (method->kind != NDE_KIND_IMEX && method->kind != NDE_KIND_STOCHASTIC) /* of one field, as the problem is */
            compare(method, &problem, (nde_options){ 0 }, dim, SIDE*SIDE);
    drop(m);
}

/* Adaptive steps of four trajectories in lanes and threads: each has the bits that it has alone. */
static void lanes_do_not_see_each_other(void **state) {
    (void)state;
    enum { LANES = 4 };
    static nde_real y0[DIM*LANES], one[DIM];
    static outcome many, alone;
    model_t *m = rod(POINTS, false);
    for (size_t i = 0; i < DIM; i++)
        for (size_t b = 0; b < LANES; b++) y0[i*LANES + b] = m->y0[i] + (nde_real)(0.1*(double)b);
    nde_problem problem = problem_of(m);
    nde_options options = NDE_INIT(nde_options, .method = NDE_RODAS5P, .rtol = 1e-3, .atol = 1e-4);
    EACH_FORM(form) {
        problem.n = LANES, problem.y0 = y0, options.linear = form, options.threads = 2, options.group = 2;
        run(&problem, options, DIM, POINTS, &many);
        for (size_t b = 0; b < LANES; b++) {
            for (size_t i = 0; i < DIM; i++) one[i] = y0[i*LANES + b];
            problem.n = 1, problem.y0 = one, options.group = 0;
            run(&problem, options, DIM, POINTS, &alone);
            for (size_t i = 0; i < DIM; i++) {
                assert_memory_equal(&alone.end[i], &many.end[i*LANES + b], sizeof(nde_real));
                assert_memory_equal(&alone.a_y0[i], &many.a_y0[i*LANES + b], sizeof(nde_real));
            }
        }
    }
    drop(m);
}

/* From checkpoints that are few and far apart. */
static void steps_are_repeated_to_the_bit(void **state) {
    (void)state;
    static outcome kept, repeated;
    model_t *m = rod(POINTS, false);
    const nde_problem problem = problem_of(m);
    static const int methods[] = { NDE_RODAS5P, NDE_KVAERNO5, NDE_AUTO_TSIT5_RODAS5P };
    EACH_FORM(form)
        for (size_t k = 0; k < 3; k++) {
            nde_options options = NDE_INIT(nde_options, .method = methods[k], .linear = form, .rtol = 1e-3, .atol = 1e-5);
            run(&problem, options, DIM, POINTS, &kept);
            options.record = NDE_RECORD_CHECKPOINTS, options.budget = 16 << 10;
            run(&problem, options, DIM, POINTS, &repeated);
            assert_memory_equal(kept.a_y0, repeated.a_y0, sizeof kept.a_y0);
            assert_memory_equal(kept.a_p, repeated.a_p, sizeof kept.a_p);
        }
    drop(m);
}

static size_t bytes(size_t points, int method, int linear) {
    model_t *m = rod(points, false);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &m->field[0], .y0 = m->y0, .p = m->p, .t1 = 1);
    const nde_options options = NDE_INIT(nde_options, .method = method, .linear = linear, .adjoint = NDE_ADJOINT_DISCRETE,
                                         .budget = 4096);
    const size_t all = nde_solver_bytes(&problem, &options);
    assert_true(all > 0);
    drop(m);
    return all;
}

static void memory_is_that_of_the_band(void **state) {
    (void)state;
    static const int methods[] = { NDE_RODAS5P, NDE_KVAERNO5, NDE_AUTO_VERN7_RODAS5P };
    for (size_t k = 0; k < 3; k++) {
        const size_t few = bytes(200, methods[k], 0), more = bytes(400, methods[k], 0), most = bytes(800, methods[k], 0);
        print_message("%zu bytes for 800 points, %zu dense\n", most, bytes(800, methods[k], NDE_LINEAR_DENSE));
        assert_true(10*(most - more) < 21*(more - few));
        assert_true(most < 1600*400*sizeof(nde_real));
        assert_true(bytes(800, methods[k], NDE_LINEAR_DENSE) > (size_t)1600*1600*sizeof(nde_real));
        if (nde_klu_is_there()) assert_true(bytes(800, methods[k], NDE_LINEAR_SPARSE) < 1600*400*sizeof(nde_real));
    }
}

/* ---- what cannot be ---------------------------------------------------------------------------- */

static void refused(const nde_problem *problem, nde_options options, nde_status status, const char *word) {
    nde_solver *solver = NULL;
    options.size = sizeof options;
    if (!options.method) options.method = NDE_RODAS5P;
    assert_int_equal(nde_solver_create(problem, &options, &solver), status);
    if (!strstr(nde_error(), word)) fail_msg("'%s' is not in '%s'", word, nde_error());
    assert_null(solver);
}

static int lacks_all(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    return memcpy(dy, y, self->dim*at->ld*sizeof *dy), 0;
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    model_t *m = rod(POINTS, false);
    nde_problem problem = problem_of(m);
    refused(&problem, (nde_options){ .linear = -1 }, NDE_E_ARG, "options.linear is -1");
    refused(&problem, (nde_options){ .linear = 5 }, NDE_E_ARG, "options.linear is 5");
    refused(&problem, (nde_options){ .linear = NDE_LINEAR_GMRES }, NDE_E_ARG, "options.linear is 2: method rodas5p");
    refused(&problem, (nde_options){ .linear = NDE_LINEAR_BAND, .method = NDE_TSIT5 }, NDE_E_ARG, "is 3: method tsit5");
    if (!nde_klu_is_there()) refused(&problem, (nde_options){ .linear = NDE_LINEAR_SPARSE }, NDE_E_ARG, "without KLU");
    refused(&problem, (nde_options){ .linear = NDE_LINEAR_BAND, .method = NDE_RADAU5 }, NDE_E_ARG, "method radau5 are dense");
    nde_field plain = NDE_INIT(nde_field, .dim = DIM, .out = DIM, .eval = lacks_all);
    problem.drift = &plain;
    refused(&problem, (nde_options){ .linear = NDE_LINEAR_BAND }, NDE_E_ARG, "has no sparsity");
    plain.sparsity_start = m->field[0].sparsity_start, plain.sparsity_index = m->field[0].sparsity_index;
    refused(&problem, (nde_options){ .linear = NDE_LINEAR_BAND }, NDE_E_ARG, "has no jvp");
    problem.drift = &m->field[0];
    refused(&problem, (nde_options){ .linear = NDE_LINEAR_BAND, .jacobian = NDE_JACOBIAN_GIVEN }, NDE_E_ARG, "is dense");
    const nde_field integrand = NDE_INIT(nde_field, .dim = DIM, .out = 1, .eval = lacks_all);
    problem.quadrature = &integrand;
    refused(&problem, (nde_options){ .linear = NDE_LINEAR_BAND }, NDE_E_ARG, "not with a quadrature");
    drop(m);
}

/* Of everything that is taken while a solver is made, one after the other is refused. */
typedef struct counter {
    long taken, fail_at, open;
} counter;
static void *take(void *ctx, size_t size, size_t align) {
    counter *c = ctx;
    if (c->taken++ == c->fail_at) return NULL;
    c->open++;
    return nde_allocator_default.take(NULL, size, align);
}
static void give(void *ctx, void *block, size_t size) {
    ((counter *)ctx)->open--;
    nde_allocator_default.give(NULL, block, size);
}

static void memory_may_lack(void **state) {
    (void)state;
    counter c = { .fail_at = -1 };
    const nde_allocator counted = { .ctx = &c, .take = take, .give = give };
    model_t *m = rod(POINTS, false);
    const nde_problem problem = problem_of(m);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_RODAS5P, .allocator = &counted);
    nde_solver *solver;
    assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
    nde_solver_destroy(solver);
    const long calls = c.taken;
    assert_true(calls >= 2 && c.open == 0);
    for (long k = 0; k < calls; k++) {
        c = (counter){ .fail_at = k };
        assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_E_NOMEM);
        assert_null(solver);
        assert_int_equal(c.open, 0);
    }
    drop(m);
}

/* What KLU takes itself: wherever that fails, in making a solver or in a run, it is said, and the next run is as ever. */
static void klu_may_lack_memory(void **state) {
    (void)state;
#if INTERPOSED
    if (!nde_klu_is_there()) return;
    model_t *m = rod(POINTS, false);
    const nde_problem problem = problem_of(m);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_RODAS5P, .linear = NDE_LINEAR_SPARSE, .steps = 3);
    nde_solver *solver;
    long failed = 0, made = 0;
    for (long k = 0; k < 200; k++) {
        mallocs = 0, malloc_fails = k;
        const nde_status status = nde_solver_create(&problem, &options, &solver);
        malloc_fails = -1;
        assert_true(status == NDE_OK || status == NDE_E_NOMEM);
        if (status) {
            made++;
            continue;
        }
        mallocs = 0, malloc_fails = k - made;
        const nde_status ran = nde_solver_run(solver, NULL);
        malloc_fails = -1, failed += ran != NDE_OK;
        if (ran) assert_int_equal(ran, NDE_E_NOMEM);
        assert_int_equal(nde_solver_run(solver, NULL), NDE_OK);
        nde_solver_destroy(solver);
    }
    assert_true(made > 0 && failed > 0);
    drop(m);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_gives_the_same),  cmocka_unit_test(two_dimensions),
        cmocka_unit_test(lanes_do_not_see_each_other), cmocka_unit_test(steps_are_repeated_to_the_bit),
        cmocka_unit_test(memory_is_that_of_the_band), cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(memory_may_lack),            cmocka_unit_test(klu_may_lack_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
