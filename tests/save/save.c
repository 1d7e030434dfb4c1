/* SPDX-License-Identifier: MIT
 * save.c - three ways to see one solution: rows at given times, rows of steps, and the dense solution; and what does not depend
 * on how it is seen: the steps, the direction of time. */
#include "adjoint/cases.h"
#include "method/method.h"

enum { MOST_SAVES = 400 };

/* The nodes of one trajectory: a solve of the same problem that saves every step. */
static size_t nodes_of(const proof *f, size_t who, double *t, nde_real *y) {
    nde_options every = f->options;
    every.save_every = 1, every.save_t = NULL, every.n_save = 0, every.save_rows = MOST_SAVES;
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solve(&f->problem, &every, &s), NDE_OK);
    const size_t count = s.saved[who];
    assert_true(count >= 3 && count < MOST_SAVES);
    assert_int_equal(s.stats[who].accepted + 1, (int64_t)count);
    for (size_t row = 0; row < count; row++) {
        t[row] = s.t[row*f->n + who];
        for (size_t i = 0; i < f->dim; i++) y[row*f->dim + i] = s.y[(row*f->dim + i)*f->n + who];
    }
    for (size_t row = count; row < s.n_save; row++)
        assert_true(isnan(s.t[row*f->n + who]) && isnan(s.y[row*f->dim*f->n + who]));
    nde_solution_free(&s);
    return count;
}

static void check_row(const proof *f, size_t row, size_t who, const nde_real *y, const char *name) {
    for (size_t i = 0; i < f->dim; i++)
        if (memcmp(&f->solution.y[(row*f->dim + i)*f->n + who], &y[i], sizeof *y))
            fail_msg("%s: row %zu at t = %g, component %zu: %.17g is not %.17g", name, row, f->options.save_t[row], i,
                     (double)f->solution.y[(row*f->dim + i)*f->n + who], (double)y[i]);
}

/* Rows at the nodes are the rows of the steps; rows between are the dense solution; no row changes a step. */
static void ways_to_see_agree(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++)
        for (int form = NDE_RECORD_TAPE; form <= NDE_RECORD_CHECKPOINTS; form++) {
            proof f;
            double t[MOST_SAVES], save[2*MOST_SAVES];
            nde_real y[4*MOST_SAVES], value[4], slope[4], before[4], after[4];
            case_make(which, &f, 0, false);
            f.options.record = form, f.options.budget = (size_t)1 << 28;
            proof_no_saves(&f);
            if (f.n > 9) proof_resize(&f, 9);
            proof_solve(&f);
            const nde_stats plain = f.solution.stats[1];
            const size_t count = nodes_of(&f, 1, t, y);
            for (size_t k = 0; k + 1 < count; k++) save[2*k] = t[k], save[2*k + 1] = t[k] + 0.375*(t[k + 1] - t[k]);
            save[2*count - 2] = t[count - 1];
            f.options.save_t = save, f.options.n_save = 2*count - 1;
            proof_solve(&f);
            assert_int_equal(f.solution.n_save, 2*count - 1);
            nde_stats with = f.solution.stats[1]; /* each step has a row inside */
            with.evals -= nde_method_get(f.options.method)->dense_stages*((int64_t)count - 1);
            assert_memory_equal(&plain, &with, sizeof plain);
            for (size_t row = 0; row < f.rows; row++) {
                assert_int_equal(nde_solver_dense(f.solver, 1, save[row], value, slope), NDE_OK);
                check_row(&f, row, 1, value, case_names[which]);
                if (row % 2 == 0) {
                    check_row(&f, row, 1, y + row/2*f.dim, case_names[which]);
                    continue;
                }
                const double h = 1e-3*(t[row/2 + 1] - t[row/2]);
                assert_int_equal(nde_solver_dense(f.solver, 1, save[row] - h, before, NULL), NDE_OK);
                assert_int_equal(nde_solver_dense(f.solver, 1, save[row] + h, after, NULL), NDE_OK);
                for (size_t i = 0; i < f.dim; i++)
                    assert_true(fabs((double)(after[i] - before[i])/(2*h) - (double)slope[i]) <=
                                (1e-4 + 10*NDE_TEST_EPS/h)*(1 + fabs((double)slope[i]) + fabs((double)value[i])));
            }
            for (size_t i = 0; i < f.dim; i++)
                assert_memory_equal(&f.solution.y[((f.rows - 1)*f.dim + i)*f.n + 1], &f.solution.y_end[i*f.n + 1], sizeof *y);
            assert_int_equal(nde_solver_dense(f.solver, 1, f.problem.t1 + 0.01, value, NULL), NDE_E_ARG);
            assert_int_equal(nde_solver_dense(f.solver, 1, f.problem.t0 - 0.01, value, NULL), NDE_E_ARG);
            assert_int_equal(nde_solver_dense(f.solver, 1, (double)NAN, value, NULL), NDE_E_ARG);
            assert_int_equal(nde_solver_dense(f.solver, f.n, 1, value, NULL), NDE_E_ARG);
            proof_end(&f);
        }
}

/* Many times at once, in order and not, are the same bits as one by one. */
static void many_times_at_once(void **state) {
    (void)state;
    enum { TIMES = 61 };
    for (int which = 0; which < CASES; which++)
        for (int form = NDE_RECORD_TAPE; form <= NDE_RECORD_CHECKPOINTS; form++) {
            proof f;
            double t[TIMES];
            nde_real y[4*TIMES], dy[4*TIMES], value[4], slope[4];
            case_make(which, &f, 0, false);
            f.options.record = form, f.options.budget = (size_t)1 << 28;
            proof_no_saves(&f);
            proof_solve(&f);
            const double t0 = f.problem.t0, t1 = f.solution.t_end[1];
            for (int order = 0; order < 3; order++) {
                for (size_t k = 0; k < TIMES; k++)
                    t[k] = t0 + (t1 - t0)*(double)(order == 0 ? k : order == 1 ? TIMES - 1 - k : k*23 % TIMES)/(TIMES - 1);
                for (size_t k = 0; k < TIMES; k++)
                    if (fabs(t[k] - t1) < 1e-9) t[k] = t1;
                assert_int_equal(nde_solver_dense_many(f.solver, 1, TIMES, t, y, dy), NDE_OK);
                for (size_t k = 0; k < TIMES; k++) {
                    assert_int_equal(nde_solver_dense(f.solver, 1, t[k], value, slope), NDE_OK);
                    assert_memory_equal(value, y + k*f.dim, f.dim*sizeof *y);
                    assert_memory_equal(slope, dy + k*f.dim, f.dim*sizeof *y);
                }
            }
            assert_int_equal(nde_solver_dense_many(f.solver, 1, 0, NULL, y, dy), NDE_OK);
            assert_int_equal(nde_solver_dense_many(f.solver, 1, 1, NULL, y, dy), NDE_E_ARG);
            t[1] = t1 + 1;
            assert_int_equal(nde_solver_dense_many(f.solver, 1, 2, t, y, NULL), NDE_E_ARG);
            proof_end(&f);
        }
}

/* At a jump the row holds what was there before, as a solve that ends there does; just after, what came of it. */
static void rows_at_jumps_are_before_them(void **state) {
    (void)state;
    for (int64_t steps = 0; steps <= 16; steps += 16) {
        static const double jumps[] = { 0.5, 1, 1.625 };
        proof f;
        case_doses(&f, steps, false);
        f.in[IN_SAVE_T] = (proof_input){ 0 };
        f.options.save_t = jumps, f.options.n_save = 3;
        proof_solve(&f);
        for (size_t j = 0; j < 3; j++) {
            proof_no_saves(&f);
            const double t1 = f.problem.t1;
            nde_options to = f.options;
            to.n_save = 0, to.save_t = NULL;
            if (steps) to.steps = (int64_t)((double)steps*jumps[j]/2 + 0.5);
            f.problem.t1 = jumps[j];
            nde_solution s = NDE_INIT(nde_solution, .n = 0);
            assert_int_equal(nde_solve(&f.problem, &to, &s), NDE_OK);
            f.problem.t1 = t1;
            for (size_t i = 0; i < f.dim*f.n; i++)
                assert_true(fabs((double)(s.y_end[i] - f.solution.y[j*f.dim*f.n + i])) <=
                            (steps ? 20*NDE_TEST_EPS : 0)*(1 + fabs((double)s.y_end[i])));
            nde_real before[2], after[2];
            assert_int_equal(nde_solver_dense(f.solver, 2, jumps[j], before, NULL), NDE_OK);
            assert_int_equal(nde_solver_dense(f.solver, 2, jumps[j] + 1e-9, after, NULL), NDE_OK);
            for (size_t i = 0; i < f.dim; i++)
                assert_memory_equal(&before[i], &f.solution.y[(j*f.dim + i)*f.n + 2], sizeof *before);
            nde_real u[2] = { f.problem.jump_u[(j*2)*f.n + 2], f.problem.jump_u[(j*2 + 1)*f.n + 2] }, mapped[2];
            const nde_site at = { .n = 1, .ld = 1, .t = &jumps[j], .interval = &j, .u = u, .p = f.problem.p };
            assert_int_equal(f.jump.eval(&f.jump, &at, before, mapped), 0);
            for (size_t i = 0; i < f.dim; i++)
                assert_true(fabs((double)(mapped[i] - after[i])) <= 1e-7 + 4*NDE_TEST_EPS*fabs((double)mapped[i]));
            nde_solution_free(&s);
        }
        proof_end(&f);
    }
}

/* Every k-th step, the start and the end; no more rows than there is room for. */
static void every_kth_step(void **state) {
    (void)state;
    proof f;
    double t[MOST_SAVES];
    nde_real y[4*MOST_SAVES];
    case_ensemble(&f, 0, false);
    proof_no_saves(&f);
    proof_resize(&f, 200);
    const size_t who = 77, count = nodes_of(&f, who, t, y);
    for (int64_t every = 2; every <= 7; every += 5)
        for (size_t room = 0; room <= 5; room += 5) {
            nde_options o = f.options;
            o.save_every = every, o.save_rows = room;
            nde_solution s = NDE_INIT(nde_solution, .n = 0);
            assert_int_equal(nde_solve(&f.problem, &o, &s), NDE_OK);
            const size_t all = (count - 2 + (size_t)every)/(size_t)every + 1, rows = room && room < all ? room : all;
            assert_int_equal(s.saved[who], rows);
            for (size_t row = 0; row < rows; row++) {
                const size_t node = row*(size_t)every < count - 1 ? row*(size_t)every : count - 1;
                assert_true(s.t[row*f.n + who] == t[node]);
                for (size_t i = 0; i < f.dim; i++)
                    assert_memory_equal(&s.y[(row*f.dim + i)*f.n + who], &y[node*f.dim + i], sizeof *y);
            }
            nde_solution_free(&s);
        }
    proof_end(&f);
}

/* ---- backward in time --------------------------------------------------------------------------------------------- */

/* F*(t, y, u) = -F(-t, y, u), or a map R*(t) = R(-t). */
typedef struct mirror {
    const nde_field *inner;
    nde_real sign;
} mirror;

static int mirror_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const mirror *m = self->ctx;
    double t[1024];
    nde_site there = *at;
    assert_true(at->n <= LENGTH(t));
    for (size_t b = 0; b < at->n; b++) t[b] = -at->t[b];
    there.t = t;
    const int rc = m->inner->eval(m->inner, &there, y, dy);
    for (size_t i = 0; i < self->out; i++)
        for (size_t b = 0; b < at->n; b++) dy[i*at->ld + b] *= m->sign;
    return rc;
}
static int mirror_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const mirror *m = self->ctx;
    double t[1024], a_t[1024] = { 0 };
    nde_real *minus = calloc(self->out*at->ld, sizeof *minus);
    nde_site there = *at;
    nde_cotangent back = *to;
    assert_true(minus && at->n <= LENGTH(t));
    for (size_t b = 0; b < at->n; b++) t[b] = -at->t[b];
    for (size_t i = 0; i < self->out; i++)
        for (size_t b = 0; b < at->n; b++) minus[i*at->ld + b] = m->sign*a[i*at->ld + b];
    there.t = t;
    back.t = to->t ? a_t : NULL;
    const int rc = m->inner->vjp(m->inner, &there, y, minus, &back);
    for (size_t b = 0; to->t && b < at->n; b++) to->t[b] -= a_t[b];
    free(minus);
    return rc;
}
static nde_field mirrored(const nde_field *inner, const mirror *m) {
    nde_field f = *inner;
    f.ctx = m, f.eval = mirror_eval, f.vjp = mirror_vjp, f.jvp = NULL, f.tape = 0;
    return f;
}

static void negate(proof *f, int which) {
    for (size_t i = 0; i < f->in[which].count; i++)
        input_set(&f->in[which], f->in[which].x, i, -input_get(&f->in[which], f->in[which].x, i));
}

static void backward_in_time_is_the_mirror(void **state) {
    (void)state;
    static const int cases[] = { CASE_LORENZ, CASE_ENSEMBLE, CASE_VERLET, CASE_DOSES };
    for (size_t c = 0; c < LENGTH(cases); c++)
        for (int fixed = 0; fixed < 2; fixed++) {
            proof f;
            case_make(cases[c], &f, fixed ? 40 : 0, false);
            if (f.n > 150) proof_resize(&f, 150);
            proof_solve(&f);
            const proof_copy there = proof_keep(&f);
            nde_real *y = proof_take(&f, f.rows*f.dim*f.n, sizeof *y), *z = proof_take(&f, f.nz*f.n, sizeof *z);
            memcpy(y, f.solution.y, f.rows*f.dim*f.n*sizeof *y);
            if (f.nz) memcpy(z, f.solution.quadrature, f.nz*f.n*sizeof *z);
            const nde_stats stats = f.solution.stats[2];

            const mirror drift = { &f.drift, -1 }, quadrature = { &f.quadrature, -1 }, jump = { &f.jump, 1 };
            const nde_field m_drift = mirrored(&f.drift, &drift), m_quadrature = mirrored(&f.quadrature, &quadrature),
                            m_jump = mirrored(&f.jump, &jump);
            f.problem.drift = &m_drift;
            if (f.nz) f.problem.quadrature = &m_quadrature;
            if (f.problem.jump) f.problem.jump = &m_jump;
            f.problem.t0 = -f.problem.t0, f.problem.t1 = -f.problem.t1;
            negate(&f, IN_SAVE_T), negate(&f, IN_JUMP_T);
            proof_solve(&f);
            assert_memory_equal(f.solution.y, y, f.rows*f.dim*f.n*sizeof *y);
            if (f.nz) assert_memory_equal(f.solution.quadrature, z, f.nz*f.n*sizeof *z);
            assert_int_equal(f.solution.stats[2].accepted, stats.accepted);
            assert_int_equal(f.solution.stats[2].evals, stats.evals);
            assert_true(f.solution.stats[2].h_last == -stats.h_last && f.solution.stats[2].h_first == -stats.h_first);
            for (int k = 0; k < INPUTS; k++)
                for (size_t i = 0; i < f.in[k].count; i++) {
                    const double a = input_get(&f.in[k], there.g[k], i), b = input_get(&f.in[k], f.in[k].g, i);
                    if (a != (f.in[k].time ? -b : b))
                        fail_msg("%s: gradient of %s: %g, %g", case_names[cases[c]], input_names[k], a, b);
                }
            proof_end(&f);
        }
}

/* ---- own spans ---------------------------------------------------------------------------------------------------- */

static void own_spans_are_those_alone(void **state) {
    (void)state;
    static const int cases[] = { CASE_ENSEMBLE, CASE_GROWTH, CASE_CONTROLLED, CASE_VERLET, CASE_DOSES };
    for (size_t c = 0; c < LENGTH(cases); c++)
        for (int fixed = 0; fixed < 2; fixed++) {
            proof f;
            case_make(cases[c], &f, fixed ? 24 : 0, false);
            if (f.n > 200) proof_resize(&f, 200);
            proof_spans(&f, 0.2, 0.2, 1.4, 0.6);
            double *t1 = f.in[IN_T1].x;
            t1[3] = f.problem.t0_each[3]; /* one with nothing to do */
            proof_solve(&f);
            for (size_t b = 0; b < f.n; b += f.n > 9 ? 37 : 1) {
                proof one;
                proof_pick(&one, &f, &b, 1);
                one.problem.t0 = f.problem.t0_each[b], one.problem.t1 = f.problem.t1_each[b];
                one.problem.t0_each = one.problem.t1_each = NULL;
                if (cases[c] == CASE_GROWTH && b) { /* noise belongs to the number */
                    proof_end(&one);
                    continue;
                }
                proof_create(&one);
                assert_int_equal(proof_run(&one), NDE_OK);
                assert_true(f.solution.t_end[b] == one.problem.t1 && f.solution.saved[b] == 1);
                for (size_t i = 0; i < f.dim; i++)
                    assert_memory_equal(&f.solution.y_end[i*f.n + b], &one.solution.y_end[i], sizeof(nde_real));
                assert_memory_equal(&f.solution.stats[b], one.solution.stats, sizeof(nde_stats));
                proof_end(&one);
            }
            for (size_t i = 0; i < f.dim; i++) {
                assert_true(f.solution.y_end[i*f.n + 3] == f.problem.y0[i*f.n + 3]);
                assert_true(((nde_real *)f.in[IN_Y0].g)[i*f.n + 3] == f.seed_y[i*f.n + 3] + f.seed_end[i*f.n + 3]);
            }
            proof_end(&f);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ways_to_see_agree), cmocka_unit_test(many_times_at_once),
        cmocka_unit_test(rows_at_jumps_are_before_them),
        cmocka_unit_test(every_kth_step),
        cmocka_unit_test(backward_in_time_is_the_mirror),
        cmocka_unit_test(own_spans_are_those_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
