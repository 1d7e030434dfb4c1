/* SPDX-License-Identifier: MIT
 * directions.c - many directions at once: the bits of one call for each. */
#include "adjoint/hits.h"
#include "adjoint/noisy.h"
#include "solve/solver.h"

enum { COUNT = 5 };

/* Directions of every input that the proof has, and tangents of every output: `count` of each in a row. */
typedef struct fan {
    size_t count;
    void *v[INPUTS];
    const nde_real *term[2];
    nde_real *y, *end, *z;
    double *estimate[2];
    nde_real *hit;       /* of events; NULL without */
    double *when, *last;
} fan;

static fan fan_make(proof *f, size_t count) {
    fan a = { .count = count };
    for (int k = 0; k < INPUTS; k++) {
        const proof_input *in = &f->in[k];
        if (!in->count) continue;
        a.v[k] = proof_take(f, count*in->count, in->time ? sizeof(double) : sizeof(nde_real));
        for (size_t i = 0; i < count*in->count; i++)
            input_set(in, a.v[k], i, (double)(float)proof_number((uint64_t)k + 300, i));
    }
    a.y = proof_seed(f, count*f->rows*f->out*f->n, 0), a.end = proof_seed(f, count*f->dim*f->n, 0);
    a.z = proof_seed(f, count*f->nz*f->n, 0);
    for (int k = 0; k < 2; k++)
        if (f->out_estimate[k]) a.estimate[k] = proof_take(f, count*f->n, sizeof(double));
    const size_t hits = f->problem.n_events ? f->solution.event_rows*f->n : 0;
    if (hits) a.hit = proof_seed(f, count*hits*f->dim, 0), a.when = proof_times(f, count*hits, 0);
    if (hits) a.last = proof_times(f, count*f->n, 0);
    return a;
}

static const void *at(const proof *f, const fan *a, int k, size_t d) {
    const proof_input *in = &f->in[k];
    return in->time ? (const void *)((const double *)a->v[k] + d*in->count)
        : (const void *)((const nde_real *)a->v[k] + d*in->count);
}

/* From direction d on. without: bits of inputs that do not move. */
static nde_direction direction_of(proof *f, fan *a, size_t d, unsigned without) {
    const void *v[INPUTS] = { 0 };
    for (int k = 0; k < INPUTS; k++)
        if (a->v[k] && !(without >> k & 1)) v[k] = at(f, a, k, d);
    for (size_t k = 0; k < f->problem.n_terms; k++) a->term[k] = f->problem.terms[k].path ? v[IN_TERM_X] : NULL;
    return NDE_INIT(nde_direction, .y0 = v[IN_Y0], .p = v[IN_P], .q = v[IN_Q], .t0 = v[IN_T0], .t1 = v[IN_T1],
                    .save_t = v[IN_SAVE_T], .jump_t = v[IN_JUMP_T], .jump_u = v[IN_JUMP_U], .input_x = v[IN_INPUT_X],
                    .term_x = f->problem.n_terms && v[IN_TERM_X] ? a->term : NULL);
}

static void same_bits(const nde_real *one, const nde_real *many, size_t count, const char *what, size_t d) {
    if (!count || !memcmp(one, many, count*sizeof *one)) return;
    double worst = 0, size = 0;
    for (size_t i = 0; i < count; i++)
        worst = fmax(worst, fabs((double)(one[i] - many[i]))), size = fmax(size, fabs((double)one[i]));
    fail_msg("%s along direction %zu has other bits: by %g of %g", what, d, worst, size);
}

static void same_times(const double *one, const double *many, size_t count, const char *what, size_t d) {
    if (many && memcmp(one, many + d*count, count*sizeof *one)) fail_msg("%s along direction %zu has other bits", what, d);
}

static void check_run(proof *f, unsigned without) {
    fan many = fan_make(f, COUNT);
    const nde_direction along = direction_of(f, &many, 0, without);
    const nde_output_tangent out = NDE_INIT(nde_output_tangent, .y = many.y, .y_end = many.end,
                                            .quadrature = f->nz ? many.z : NULL, .error_estimate = many.estimate[0],
                                            .stiffness_estimate = many.estimate[1], .event_y = many.hit,
                                            .event_t = many.when, .t_end = many.last);
    if (nde_forward_many(f->solver, COUNT, &along, &out) != NDE_OK) fail_msg("%s", nde_solver_error(f->solver));
    bool moved = false;
    for (size_t d = 0; d < COUNT; d++) {
        const size_t y = f->rows*f->out*f->n, end = f->dim*f->n, z = f->nz*f->n;
        const nde_direction one = direction_of(f, &many, d, without);
        const nde_output_tangent to = NDE_INIT(nde_output_tangent, .y = f->out_y, .y_end = f->out_end,
                                               .quadrature = f->nz ? f->out_z : NULL, .error_estimate = f->out_estimate[0],
                                               .stiffness_estimate = f->out_estimate[1],
                                               .event_y = many.hit ? f->out_hit : NULL,
                                               .event_t = many.hit ? f->out_when : NULL, .t_end = many.hit ? f->out_t : NULL);
        assert_int_equal(nde_forward(f->solver, &one, &to), NDE_OK);
        same_bits(f->out_y, many.y + d*y, y, "y", d);
        same_bits(f->out_end, many.end + d*end, end, "y_end", d);
        same_bits(f->out_z, many.z + d*z, z, "quadrature", d);
        const size_t hits = many.hit ? f->solution.event_rows*f->n : 0;
        if (hits) same_bits(f->out_hit, many.hit + d*hits*f->dim, hits*f->dim, "event_y", d);
        same_times(f->out_when, many.when, hits, "event_t", d), same_times(f->out_t, many.last, f->n, "t_end", d);
        for (int k = 0; k < 2; k++) same_times(f->out_estimate[k], many.estimate[k], f->n, "an estimate", d);
        for (size_t i = 0; i < end; i++) moved = moved || f->out_end[i] != 0;
    }
    assert_true(moved);
}

static size_t *n_followed; /* directions that the solver follows at once; NULL: nobody asks */

/* Every input moves; or those that fields see for all directions in one call. */
static void check(proof *f, size_t directions) {
    f->options.directions = directions;
    proof_create(f);
    const nde_status status = proof_run(f);
    if (status != NDE_OK && status != NDE_EVENT) fail_msg("run: %s", nde_solver_error(f->solver));
    if (n_followed) *n_followed = f->solver->directions;
    check_run(f, 0);
    check_run(f, 1u << IN_P | 1u << IN_INPUT_X | 1u << IN_TERM_X);
    proof_end(f);
}

static void every_case(void **state) {
    (void)state;
    for (int k = 0; k < CASES; k++)
        for (int64_t steps = 0; steps <= 24; steps += 24)
            for (size_t directions = 2; directions <= COUNT; directions += 3) { /* at once, and in parts of which one is
                                                                                 * left over */
                proof f;
                case_make(k, &f, steps, k % 2);
                if (f.n > 300) proof_resize(&f, 300);
                check(&f, directions);
            }
}

/* Every method that steps, where nothing but their steps differs. */
static void every_method(void **state) {
    (void)state;
    for (size_t i = 0; i < nde_method_count(); i++) {
        const nde_method *m = nde_method_at(i);
        proof f;
        const int kind = nde_method_kind(m);
        if (kind == NDE_KIND_COMPOSITION || nde_method_id(m) == NDE_VELOCITY_VERLET) case_verlet(&f, 17, i % 2);
        else if (kind == NDE_KIND_NYSTROM) case_nystrom(&f, 9, i % 2);
        else if (kind == NDE_KIND_ROSENBROCK || kind == NDE_KIND_SWITCHING || kind == NDE_KIND_IMEX) continue; /* two fields,
                                                                                                             * or vjp_jvp */
        else if (kind == NDE_KIND_STOCHASTIC || nde_method_id(m) == NDE_LIE || nde_method_id(m) == NDE_STRANG) continue;
        else case_doses(&f, 16, i % 2);
        f.options.method = nde_method_id(m);
        check(&f, COUNT);
    }
}

/* Every method with every kind of noise that it takes: those with derivatives of it in their steps follow one direction at
 * a time. */
static void every_noise(void **state) {
    (void)state;
    for (size_t i = 0; i < nde_method_count(); i++)
        for (int kind = NDE_NOISE_DIAGONAL; kind <= NDE_NOISE_GENERAL; kind++) {
            if (!nde_method_strong(nde_method_at(i), kind)) continue;
            proof f;
            fields g;
            make(&f, &g, nde_method_at(i), kind, kind % 2 ? NDE_ITO : NDE_STRATONOVICH);
            check(&f, COUNT);
            nde_program_destroy(g.drift), nde_program_destroy(g.noise), nde_program_destroy(g.quadrature);
        }
}

static void one_trajectory_and_a_network(void **state) {
    (void)state;
    for (size_t n = 1; n <= 70; n += 69)
        for (int64_t steps = 0; steps <= 12; steps += 12) {
            proof f;
            case_network(&f, steps, n);
            check(&f, COUNT);
        }
}

/* Fields that see all directions of their parameters at once: normalised and residual layers, a sum, a composition. */
static void fields_that_know_directions(void **state) {
    (void)state;
    static const size_t width[] = { 2, 6, 6, 2 };
    static const nde_mlp mlp = { .size = sizeof mlp, .layers = 3, .width = width, .residual = 1, .layer_norm = 1,
                                 .hidden = NDE_SILU };
    nde_field net = nde_field_mlp(&mlp);
    const nde_field cube = nde_field_cube(2);
    const nde_field *const sum[] = { &net, &cube }, *const after[] = { &net, &cube };
    const nde_parts parts[] = { { sizeof *parts, sum, 2 }, { sizeof *parts, after, 2 } };
    for (int k = 0; k < 2; k++)
        for (size_t n = 1; n <= 9; n += 4) {
            proof f;
            case_network(&f, 6, n);
            f.drift = k ? nde_field_composition(&parts[1]) : nde_field_sum(&parts[0]);
            assert_true(f.drift.traits & NDE_DIRECTIONS);
            proof_parameters(&f, f.drift.np, NULL);
            proof_save(&f, 2, (double[]){ 0.1, 0.25 }), f.problem.t1 = 0.25; /* cubes grow */
            f.problem.q = NULL, f.in[IN_Q] = (proof_input){ 0 };
            check(&f, 4);
        }
}

/* Integrands that do not know directions, of a field that does. */
static void integrands(void **state) {
    (void)state;
    proof f;
    case_network(&f, 6, 3);
    const nde_frobenius of = NDE_INIT(nde_frobenius, .field = &f.drift, .seed = 3, .forward = 1);
    const nde_field speed = nde_field_kinetic(&f.drift), bend = nde_field_frobenius(&of), *const both[] = { &speed, &bend };
    const nde_parts parts = NDE_INIT(nde_parts, .part = both, .n = 2);
    f.quadrature = nde_field_concatenation(&parts);
    f.problem.quadrature = &f.quadrature, f.nz = 2;
    check(&f, 4);
}

static int pendulum(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    dy[0] = y[1], dy[1] = -p[0]*y[0] - p[1]*y[1]*y[0];
    return 0;
}
static int pendulum_jvp(double t, const nde_real *y, const nde_real *p, double vt, const nde_real *vy, const nde_real *vp,
                        nde_real *dv, void *ctx) {
    (void)t, (void)vt, (void)ctx;
    dv[0] = vy[1], dv[1] = -p[0]*vy[0] - p[1]*(vy[1]*y[0] + y[1]*vy[0]);
    if (vp) dv[1] -= vp[0]*y[0] + vp[1]*y[1]*y[0];
    return 0;
}

static void pointwise(void **state) {
    (void)state;
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = pendulum, .jvp = pendulum_jvp);
    for (size_t n = 1; n <= 5; n += 4) {
        proof f;
        case_ensemble(&f, 0, false);
        proof_resize(&f, n);
        f.drift = nde_field_pointwise(&one, 2, 2);
        check(&f, COUNT);
    }
}

static void own_save_times_every_step_and_the_end(void **state) {
    (void)state;
    proof f;
    case_ensemble(&f, 0, false);
    proof_resize(&f, 100);
    proof_no_saves(&f);
    f.options.save_every = 3, f.options.save_rows = 40;
    check(&f, COUNT);
    case_ensemble(&f, 0, false);
    proof_resize(&f, 100);
    proof_spans(&f, 0, 0.1, 2, 0.5);
    check(&f, COUNT);
}

/* What is seen of the states: more components than they have. */
static void observed_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[0]*x->y[1], f[1] = x->p[0]*x->y[0], f[2] = x->t + x->q[0]*x->y[1];
    j[0][0] = x->y[1], j[0][1] = x->y[0], j[1][0] = x->p[0], j[1][2] = x->y[0];
    j[2][1] = x->q[0], j[2][3] = x->y[1], j[2][4] = 1;
}
static const model observed_model = { 2, 3, 0, 1, 1, observed_formula };

static void observations(void **state) {
    (void)state;
    proof f;
    case_ensemble(&f, 0, false);
    proof_resize(&f, 100);
    const nde_field seen = model_field("observe", &observed_model, false);
    f.problem.observe = &seen;
    check(&f, 3);
}

/* Times of events, what they do to trajectories, and the rows in the steps that they cut. */
static void through_events(void **state) {
    (void)state;
    static const int32_t methods[] = { NDE_TSIT5, NDE_VERN7, NDE_DOP853, NDE_REVERSIBLE_HEUN, NDE_KVAERNO5, NDE_RADAU5 };
    for (size_t k = 0; k < LENGTH(methods); k++)
        for (int way = 0; way < 5; way++) {
            size_t followed = 0;
            proof f;
            if (way < 3) oscillators(&f, 70, way == 1 ? 61 : 0, way == 2 ? 3 : 0);
            else if (way == 3) reaction(&f, true);
            else driven(&f, methods[k]);
            f.options.method = methods[k];
            if (way == 0) proof_no_saves(&f), f.options.save_every = 2, f.options.save_rows = 64;
            n_followed = &followed;
            check(&f, way ? COUNT : 2);
            n_followed = NULL;
            assert_true(followed == (way ? COUNT : 2));
        }
}

static void estimates(void **state) {
    (void)state;
    proof f;
    case_ensemble(&f, 0, false);
    proof_resize(&f, 100);
    f.options.estimates = NDE_ESTIMATES_ALL;
    check(&f, 3);
}

static void threads(void **state) {
    (void)state;
    proof f;
    case_ensemble(&f, 0, false);
    f.options.group = 64, f.options.threads = 3;
    check(&f, COUNT);
}

static void what_is_refused(void **state) {
    (void)state;
    proof f;
    case_doses(&f, 16, false);
    f.options.directions = 4;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    const nde_direction along = NDE_INIT(nde_direction, .y0 = f.in[IN_Y0].v);
    const nde_output_tangent out = NDE_INIT(nde_output_tangent, .y_end = f.out_end);
    assert_int_equal(nde_forward_many(NULL, 1, &along, &out), NDE_E_ARG);
    assert_int_equal(nde_forward_many(f.solver, 0, &along, &out), NDE_E_ARG);
    assert_non_null(strstr(nde_solver_error(f.solver), "count is 0"));
    assert_int_equal(nde_forward_many(f.solver, 1, NULL, &out), NDE_E_ARG);
    assert_int_equal(nde_forward_many(f.solver, 1, &along, NULL), NDE_E_ARG);
    f.drift.jvp = NULL;
    assert_int_equal(nde_forward_many(f.solver, 1, &along, &out), NDE_E_NO_JVP);
    assert_non_null(strstr(nde_solver_error(f.solver), "nde_forward_many: field 'drift' has no jvp"));
    proof_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case),
        cmocka_unit_test(every_method), cmocka_unit_test(every_noise),
        cmocka_unit_test(one_trajectory_and_a_network),
        cmocka_unit_test(fields_that_know_directions),
        cmocka_unit_test(integrands),
        cmocka_unit_test(pointwise),
        cmocka_unit_test(own_save_times_every_step_and_the_end),
        cmocka_unit_test(observations),
        cmocka_unit_test(through_events),
        cmocka_unit_test(estimates),
        cmocka_unit_test(threads),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
