/* SPDX-License-Identifier: MIT
 * again.c - the same bits: of a solve that is saved, brought back elsewhere and goes on, for every method and controller
 * with all that they remember; and of a noisy path, alone, in blocks of any size and in any order. */
#include "rig.h"

/* ---- R5 ------------------------------------------------------------------------------------------------------------- */

static int shrink(void *ctx, nde_decision *d) {
    (void)ctx;
    d->factor *= d->error_last2 > d->error ? 0.9 : 0.95;
    return 0;
}

static int rms(void *ctx, size_t n, size_t ld, const size_t *who, const nde_real *error, const nde_real *y,
               const nde_real *z, double *norm) {
    (void)ctx, (void)who, (void)y, (void)z;
    for (size_t b = 0; b < n; b++) norm[b] = fabs((double)error[b]) + fabs((double)error[ld + b]), norm[b] *= 1e4;
    return 0;
}

/* What a method or controller may have to remember; false where it does not fit. */
enum { CONTROLLERS, DOUBLING = 14, COMPENSATED, OWN_CONTROLLER, OWN_NORM, LEAST_STEP, CLIPS, QUANTUM, VARIANTS };

static bool vary(rig *r, int variant, const nde_method *m) {
    static const nde_controller own = { .size = sizeof own, .decide = shrink };
    static const nde_error_norm norm = { .size = sizeof norm, .of = rms };
    static const double clips[] = { 0.3, 0.55 };
    nde_options *o = &r->options;
    const bool fixed = o->steps > 0;
    switch (variant) {
    case DOUBLING: o->error = NDE_ERROR_DOUBLING; return nde_method_kind(m) == NDE_KIND_RUNGE_KUTTA && !fixed;
    case COMPENSATED: o->compensated = 1; return nde_method_kind(m) == NDE_KIND_RUNGE_KUTTA;
    case OWN_CONTROLLER: o->decide = &own; return !fixed;
    case OWN_NORM: r->problem.norm = &norm; return !fixed;
    case LEAST_STEP: o->h_min = 0.01, o->h_min_policy = NDE_H_MIN_ACCEPT; return !fixed;
    case CLIPS: o->clip_t = clips, o->n_clip = 2; return r->kind != NOISE && r->kind != SCALAR_NOISE;
    case QUANTUM: o->quantum = 1.0/(1 << 20); return nde_method_kind(m) == NDE_KIND_COMPOSITION;
    default:
        o->controller = variant;
        o->pid[0] = 0.4, o->pid[1] = -0.2, o->pid[2] = 0.05;
        return !fixed || variant == 0;
    }
}

static long pauses;

/* From pause to pause through a new solver each time. */
static void go_by_pieces(rig *r, int64_t piece, uint64_t good) {
    enum { SOME = 1 << 20 };
    static unsigned char block[SOME];
    nde_status status;
    while ((status = nde_solver_steps(r->solver, piece, &r->solution)) == NDE_UNFINISHED) {
        size_t bytes = sizeof block;
        assert_int_equal(nde_solver_state(r->solver, block, &bytes), NDE_OK);
        nde_solver_destroy(r->solver);
        assert_int_equal(nde_solver_create(&r->problem, &r->options, &r->solver), NDE_OK);
        assert_int_equal(nde_solver_restore(r->solver, block, bytes), NDE_OK);
        pauses++;
    }
    assert_int_equal(status, NDE_OK);
    assert_true(hash_solution(&r->solution) == good);
}

static void every_method_and_controller_goes_on(void **state) {
    (void)state;
    static rig r;
    long cases = 0;
    for (size_t m = 0; m < nde_method_count(); m++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int bits = 0; bits < 8; bits++)
                for (int variant = CONTROLLERS; variant < VARIANTS; variant++) {
                    const nde_method *method = nde_method_at(m);
                    if (((bits & 1) && (bits & 2)) || (variant && kind != (int)(m % KINDS) && !rig_is_new(m))) continue;
                    if (kind == NETWORK && m % 4) continue;
                    rig_make(&r, kind, bits & 4 ? 5 : 1);
                    const bool doubled = variant == DOUBLING && !(bits & 1);
                    if (!rig_method(&r, method, bits & 1) && !(doubled && rig_method(&r, method, true))) continue;
                    if (doubled) r.options.steps = 0;
                    if (doubled && nde_method_order(method) == 1) r.options.rtol = 1e-2, r.options.atol = 1e-3;
                    if (!vary(&r, variant, method)) continue;
                    r.options.stepping = bits & 2 ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
                    if (nde_solver_create(&r.problem, &r.options, &r.solver)) continue; /* refused: tested elsewhere */
                    assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
                    const uint64_t good = hash_solution(&r.solution);
                    go_by_pieces(&r, r.solution.stats[0].accepted > 100 ? 29 : 2, good);
                    nde_solver_destroy(r.solver);
                    cases++;
                }
    print_message("R5: %ld solves saved and brought back %ld times\n", cases, pauses);
    assert_true(cases > 1000);
}

/* ---- R3 ------------------------------------------------------------------------------------------------------------- */

static int falls(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)f;
    for (size_t b = 0; b < at->n; b++) dy[b] = -y[b], dy[at->ld + b] = y[b] - y[at->ld + b];
    return 0;
}
static int falls_along(const nde_field *f, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    (void)y;
    return falls(f, at, v->y, dv);
}
/* the same for all kinds of noise */
static int shakes(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    for (size_t b = 0; b < at->n; b++) {
        const nde_real dw = f->nu ? at->u[b] : 1;
        dy[b] = (nde_real)0.5*y[b]*dw, dy[at->ld + b] = (nde_real)0.25*dw;
    }
    return 0;
}

/* Tasks in an order of its own, by different workers. */
static int in_disorder(void *ctx, size_t count, void (*task)(void *arg, size_t i, int worker), void *arg) {
    const size_t stride = *(const size_t *)ctx;
    for (size_t i = 0; i < count; i++) {
        size_t k = count % stride ? i*stride % count : count - 1 - i;
        task(arg, k, (int)(i % 3));
    }
    return 0;
}

static void a_path_is_its_number(void **state) {
    (void)state;
    enum { N = 10000 };
    static nde_real y0[2*N], first[2*N];
    static size_t stride = 7919;
    const nde_executor disorder = { in_disorder, &stride, 3 };
    for (size_t i = 0; i < 2*N; i++) y0[i] = 1;
    for (size_t m = 0; m < nde_method_count(); m++)
        for (int kind = NDE_NOISE_DIAGONAL; kind <= NDE_NOISE_SCALAR; kind++) {
            if (!nde_method_strong(nde_method_at(m), kind) || nde_method_follows(nde_method_at(m), kind)) continue;
            const nde_field drift = NDE_INIT(nde_field, .dim = 2, .out = 2, .traits = NDE_LANEWISE, .eval = falls,
                                             .jvp = falls_along);
            const nde_field g = NDE_INIT(nde_field, .dim = 2, .out = 2, .nu = kind == NDE_NOISE_SCALAR, .traits = NDE_LANEWISE,
                                         .eval = shakes);
            const nde_noise noise = NDE_INIT(nde_noise, .seed = 7, .grid = 64);
            const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &noise, .kind = kind);
            static const struct { size_t n, group; bool shuffled; int threads; } how[] = {
                { N, 0, 0, 1 }, { N, N, 0, 1 }, { N, 7, 0, 1 }, { N, 7, 1, 1 }, { 2000, 1, 0, 1 }, { 2000, 1, 1, 1 },
                    { N, 0, 1, 1 },
                { N, 333, 0, 3 }, { 1, 0, 0, 1 }, { 7, 0, 0, 1 }
            };
            for (size_t i = 0; i < LENGTH(how); i++) {
                const size_t n = how[i].n;
                const nde_problem problem = NDE_INIT(nde_problem, .n = n, .drift = &drift, .terms = &term, .n_terms = 1,
                                                     .y0 = y0, .calculus = nde_method_calculus(nde_method_at(m)), .t1 = 1);
                const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(nde_method_at(m)), .steps = 16,
                                                     .group = how[i].group, .executor = how[i].shuffled ? &disorder : NULL,
                                                     .threads = how[i].threads);
                nde_solution s = { 0 };
                assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
                if (i == 0) memcpy(first, s.y_end, sizeof first);
                for (size_t row = 0; row < 2; row++) assert_memory_equal(s.y_end + row*n, first + row*N, n*sizeof *first);
                nde_solution_free(&s);
            }
            assert_true(first[0] != first[1] && first[N - 1] != first[0]);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_method_and_controller_goes_on),
                                        cmocka_unit_test(a_path_is_its_number) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
