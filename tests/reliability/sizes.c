/* SPDX-License-Identifier: MIT
 * sizes.c - sizes whose products do not fit: refused, or counted rightly, in no time; and the door to BLAS. */
#include "rig.h"

#include <limits.h>

#include "core/blas.h"

static const size_t sizes[] = { 1, 3, (size_t)1 << 16, INT_MAX, (size_t)INT_MAX + 1, (size_t)1 << 32, ((size_t)1 << 40) + 1,
                                (size_t)1 << 49, (size_t)1 << 53, (size_t)1 << 60, SIZE_MAX/8, SIZE_MAX/2 + 1, SIZE_MAX };

static void *cap_take(void *ctx, size_t bytes, size_t align) {
    (void)ctx;
    void *block = NULL;
    return bytes > (size_t)1 << 25 || posix_memalign(&block, align < 64 ? 64 : align, bytes) ? NULL : block;
}
static void cap_give(void *ctx, void *block, size_t bytes) { (void)ctx, (void)bytes; free(block); }
static const nde_allocator capped = { cap_take, cap_give, NULL };

static int never(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)f, (void)at, (void)y, (void)dy;
    return -1;
}
static int never_prepare(const nde_field *f, const nde_real *p, nde_real *prepared) {
    (void)f, (void)p, (void)prepared;
    return -1;
}
static int run_here(void *ctx, size_t count, void (*task)(void *arg, size_t i, int worker), void *arg) {
    (void)ctx;
    for (size_t i = 0; i < count; i++) task(arg, i, 0);
    return 0;
}

/* A problem of which nothing is read but sizes. `least`: bytes that it needs at the very least. */
typedef struct big {
    nde_field drift, term_field, quadrature, jump;
    nde_path path;
    nde_term term;
    nde_problem problem;
    nde_options options;
    nde_executor executor;
    nde_tableau tableau;
    long double least;
} big;

static double t_two[2] = { 0, 1 };
static nde_real x_none[8];

static void make(big *b) {
    memset(b, 0, sizeof *b);
    b->drift = NDE_INIT(nde_field, .dim = 3, .out = 3, .eval = never);
    b->problem = NDE_INIT(nde_problem, .t1 = 1, .y0 = x_none, .drift = &b->drift);
    b->options = NDE_INIT(nde_options, .allocator = &capped, .adjoint = NDE_ADJOINT_DISCRETE, .budget = 4096);
}

static long combinations, too_large;

/* Create says the same as bytes, at once, and nothing has wrapped round. */
static void try(const big *b, const char *what, size_t x, size_t y) {
    const size_t bytes = nde_solver_bytes(&b->problem, &b->options);
    if (bytes && (long double)bytes < b->least)
        fail_msg("%s %zu, %zu: %zu bytes are fewer than %Lg", what, x, y, bytes, b->least);
    nde_solver *s = (nde_solver *)(void *)x_none;
    const nde_status status = nde_solver_create(&b->problem, &b->options, &s);
    const nde_status expected = !bytes ? status : bytes > (size_t)1 << 25 ? NDE_E_NOMEM : status == NDE_E_NOMEM
        ? NDE_E_NOMEM : NDE_OK;
    if (status != expected || (status && status != NDE_E_SIZE && status != NDE_E_ARG && status != NDE_E_NOMEM) ||
        (status && s) || (status == NDE_OK && !bytes))
        fail_msg("%s %zu, %zu: %zu bytes, %s %s", what, x, y, bytes, nde_status_name(status), nde_error());
    if (status == NDE_OK) nde_solver_destroy(s);
    combinations++;
    too_large += status != NDE_OK;
}

static void pairs(const char *what, void (*set)(big *b, size_t x, size_t y)) {
    static big b;
    for (size_t i = 0; i < LENGTH(sizes); i++)
        for (size_t j = 0; j < LENGTH(sizes); j++)
            for (int joint = 0; joint < 2; joint++) {
                make(&b);
                b.options.stepping = joint;
                set(&b, sizes[i], sizes[j]);
                try(&b, what, sizes[i], sizes[j]);
            }
}

#define REAL ((long double)sizeof(nde_real))

static void n_dim(big *b, size_t n, size_t dim) {
    b->problem.n = n, b->drift.dim = b->drift.out = dim;
    b->least = 3*REAL*(long double)n*(long double)dim; /* y, y_end, gradient */
}
static void n_np(big *b, size_t n, size_t np) {
    b->problem.n = n, b->drift.np = np;
    b->least = REAL*(long double)n + 8*(long double)np;
}
static void n_nq(big *b, size_t n, size_t nq) {
    b->problem.n = n, b->drift.nq = nq;
    b->least = REAL*(long double)n*(long double)nq;
}
static void n_rows(big *b, size_t n, size_t rows) {
    b->problem.n = n, b->options.save_every = 1, b->options.save_rows = rows;
    b->least = REAL*(long double)n*(long double)rows;
}
static void tape_work(big *b, size_t tape, size_t work) {
    b->drift.tape = tape, b->drift.work = work;
    b->least = 7*REAL*(long double)tape + REAL*(long double)work;
}
static void prepared_cotape(big *b, size_t prepared, size_t cotape) {
    b->drift.prepared = prepared, b->drift.prepare = never_prepare, b->drift.cotape = cotape;
    b->least = REAL*(long double)prepared;
}
static void n_quadrature(big *b, size_t n, size_t nz) {
    b->quadrature = NDE_INIT(nde_field, .dim = 3, .out = nz, .eval = never);
    b->problem.n = n, b->problem.quadrature = &b->quadrature;
    b->least = REAL*(long double)n*(long double)nz;
}
static void n_channels(big *b, size_t n, size_t channels) {
    b->path = NDE_INIT(nde_path, .channels = channels, .knots = 2, .t = t_two, .x = x_none);
    b->term_field = NDE_INIT(nde_field, .dim = 3, .out = 3, .nu = channels, .eval = never);
    b->term = NDE_INIT(nde_term, .field = &b->term_field, .path = &b->path);
    b->problem.n = n, b->problem.terms = &b->term, b->problem.n_terms = 1;
    b->least = 2*REAL*(long double)n*(long double)channels;
}
static void jumps_inputs(big *b, size_t jumps, size_t inputs) {
    b->jump = NDE_INIT(nde_field, .dim = 3, .out = 3, .nu = inputs, .eval = never);
    b->problem.n = 7, b->problem.jump = &b->jump, b->problem.n_jumps = jumps, b->problem.jump_inputs = inputs;
    b->problem.jump_t = t_two, b->problem.jump_u = x_none;
    b->least = 7*REAL*(long double)jumps*(long double)inputs;
}
static void n_group(big *b, size_t n, size_t group) {
    b->problem.n = n, b->options.group = group;
    b->least = 3*REAL*(long double)n;
}
static void workers_budget(big *b, size_t workers, size_t budget) {
    b->executor = (nde_executor){ run_here, NULL, workers > INT_MAX ? INT_MAX : (int)workers };
    b->options.executor = &b->executor, b->options.budget = budget;
    b->least = (long double)b->executor.workers*1000;
}
static void stages_dim(big *b, size_t stages, size_t dim) {
    static double zeros[64*63/2], ones[64] = { 1 };
    b->tableau = NDE_INIT(nde_tableau, .stages = stages > 64 ? 65 : 64, .a = zeros, .b = ones, .order = 1);
    b->drift.dim = b->drift.out = dim, b->options.tableau = &b->tableau, b->options.steps = 4;
    b->least = 64*REAL*(long double)dim;
}
static void seven_tapes(big *b, size_t tape, size_t cotape) { /* each fits, their sum does not */
    b->drift.tape = tape, b->drift.cotape = cotape;
    b->quadrature = b->drift;
    b->problem.quadrature = &b->quadrature;
    b->path = NDE_INIT(nde_path, .channels = 1, .knots = 2, .t = t_two, .x = x_none);
    static nde_term terms[8];
    b->term_field = b->drift, b->term_field.nu = 1;
    for (size_t i = 0; i < LENGTH(terms); i++) terms[i] = NDE_INIT(nde_term, .field = &b->term_field, .path = &b->path);
    b->problem.terms = terms, b->problem.n_terms = LENGTH(terms);
    b->least = 7*10*REAL*(long double)tape;
}

static void overflows_are_found(void **state) {
    (void)state;
    static const struct { const char *name; void (*set)(big *, size_t, size_t); } all[] = {
        { "n, dim", n_dim }, { "n, np", n_np }, { "n, nq", n_nq }, { "n, save_rows", n_rows }, { "tape, work", tape_work },
        { "prepared, cotape", prepared_cotape }, { "n, nz", n_quadrature }, { "n, channels", n_channels },
        { "jumps, inputs", jumps_inputs }, { "n, group", n_group }, { "workers, budget", workers_budget },
        { "stages, dim", stages_dim }, { "tape, cotape of ten", seven_tapes },
    };
    for (size_t i = 0; i < LENGTH(all); i++) pairs(all[i].name, all[i].set);
    print_message("N2: %ld combinations, %ld refused, nothing wraps round\n", combinations, too_large);
    assert_true(combinations >= 500);
}

/* Steps of every size: the number of rows that fixed steps fill does not wrap round either. */
static void rows_of_fixed_steps(void **state) {
    (void)state;
    static big b;
    for (size_t i = 0; i < LENGTH(sizes); i++)
        for (size_t j = 0; j < LENGTH(sizes); j++) {
            if (sizes[i] > INT64_MAX || sizes[j] > INT64_MAX) continue;
            make(&b);
            b.options.steps = (int64_t)sizes[i], b.options.save_every = (int64_t)sizes[j];
            b.least = 3*REAL*(long double)sizes[i]/(long double)sizes[j];
            try(&b, "steps, save_every", sizes[i], sizes[j]);
        }
}

static void mlps_of_every_size(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(sizes); i++)
        for (size_t j = 0; j < LENGTH(sizes); j++) {
            const size_t width[] = { sizes[i], sizes[j], sizes[i] };
            const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 2, .width = width);
            const nde_field f = nde_field_mlp(&mlp);
            const long double np = 2*(long double)sizes[i]*(long double)sizes[j] + (long double)sizes[i] +
                (long double)sizes[j];
            if (f.eval) assert_true((long double)f.np == np);
            else assert_true(np > 0x1p50L && strstr(nde_error(), "nde_field_mlp"));
        }
}

/* ---- N3: BLAS counts in int --------------------------------------------------------------------------------------- */

static long products;
static void count_gemm(int order, int transpose_a, int transpose_b, int m, int n, int k, nde_real alpha, const nde_real *a,
                       int lda, const nde_real *b, int ldb, nde_real beta, nde_real *c, int ldc) {
    (void)a, (void)b, (void)c;
    const bool transposed = transpose_a == 112;
    assert_true(order == 101 && (transposed || transpose_a == 111) && transpose_b == 111 && alpha == 1 && beta == 1);
    assert_true(m >= 0 && n >= 0 && k >= 0 && lda >= 0 && ldb >= 0 && ldc >= 0);
    const long long rows_a = transposed ? k : m, most = INT_MAX;
    assert_true(rows_a*lda <= most && (long long)k*ldb <= most && (long long)m*ldc <= most);
    products++;
}

static void the_door_to_blas(void **state) {
    (void)state;
    static const size_t edges[] = { 1, 4, (size_t)INT_MAX/4, (size_t)INT_MAX/4 + 1, INT_MAX, (size_t)INT_MAX + 1,
                                    (size_t)1 << 32, SIZE_MAX/2, SIZE_MAX };
    static nde_real c[64];
    long passed = 0, refused = 0;
    for (size_t i = 0; i < LENGTH(edges); i++) /* k, lda, ldb: nothing of a and b is read, c is 4 x 4 */
        for (size_t j = 0; j < LENGTH(edges); j++)
            for (size_t l = 0; l < LENGTH(edges); l++)
                for (int transposed = 0; transposed < 2; transposed++) {
                    const size_t k = edges[i], lda = edges[j], ldb = edges[l];
                    const bool done = transposed ? nde_blas_product(count_gemm, 4, 4, k, c, 1, lda, c, ldb, NULL, c, 4)
                                                 : nde_blas_product(count_gemm, 4, 4, k, c, lda, 1, c, ldb, NULL, c, 4);
                    const long double rows = transposed ? k : 4, most = INT_MAX;
                    const bool expected = k <= INT_MAX && lda <= INT_MAX && ldb <= INT_MAX && rows*(long double)lda <= most &&
                                          (long double)k*(long double)ldb <= most;
                    if (lda == 1 && transposed == 0) { /* then a_row is 1 too: it is the transposed case */
                        done ? passed++ : refused++;
                        continue;
                    }
                    assert_int_equal(done, expected);
                    done ? passed++ : refused++;
                }
    assert_false(nde_blas_product(count_gemm, 4, 4, 4, c, 2, 3, c, 4, NULL, c, 4)); /* neither orientation */
    assert_true(products == passed && passed > 10 && refused > 10);
    print_message("N3: %ld products passed, %ld stayed outside\n", passed, refused);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overflows_are_found),
        cmocka_unit_test(rows_of_fixed_steps),
        cmocka_unit_test(mlps_of_every_size),
        cmocka_unit_test(the_door_to_blas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
