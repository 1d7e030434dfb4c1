/* SPDX-License-Identifier: MIT
 * observe.c - rows that are what a field makes of the states: their values, gradients through them, a loss on them, and
 * what follows when the field fails. */
#include "adjoint/cases.h"

/* Three numbers of two components, one parameter, the time, and where the case has them an own parameter and an input. */
static model watch;

static void watch_formula(const model_at *at, double *f, double (*j)[MODEL_INPUTS]) {
    const size_t u = watch.dim, p = u + watch.nu, q = p + 1, t = q + watch.nq;
    const double *y = at->y, drive = watch.nu ? at->u[0] : 1, own = watch.nq ? at->q[0] : 1;
    f[0] = sin(y[0]) + at->p[0]*y[1]*at->t, j[0][0] = cos(y[0]), j[0][1] = at->p[0]*at->t, j[0][p] = y[1]*at->t,
        j[0][t] = at->p[0]*y[1];
    f[1] = y[0]*y[1]*own, j[1][0] = y[1]*own, j[1][1] = y[0]*own;
    f[2] = drive*y[0] + at->interval, j[2][0] = drive;
    if (watch.nq) j[1][q] = y[0]*y[1];
    if (watch.nu) j[2][u] = y[0];
}

static nde_field observation;

enum { SAVE_AT, SAVE_OWN, SAVE_END, SAVE_STEPS, WAYS };

static void make(proof *f, int which, int way) {
    case_make(which, f, 0, false);
    if (f->n > 150) proof_resize(f, 150);
    watch = (model){ f->dim, 3, f->problem.input ? 1 : 0, 1, f->problem.q ? 1 : 0, watch_formula };
    observation = model_field("observation", &watch, false);
    f->problem.observe = &observation;
    if (way == SAVE_AT) return;
    proof_no_saves(f);
    if (way == SAVE_STEPS) f->options.save_every = 2, f->options.save_rows = 80;
    if (way != SAVE_OWN) return;
    double *t = proof_input_make(f, IN_SAVE_T, 4, false, true, 0, 0);
    for (size_t i = 0; i < 4*f->n; i++)
        t[i] = i % f->n % 5 == 3 && i >= 2*f->n ? (double)NAN
                                                : f->problem.t0 + (f->problem.t1 - f->problem.t0)*((double)(i/f->n) + 0.2 +
                                                        0.1*proof_number(3, i))/4;
    f->options.save_t_each = t, f->options.n_save = 4;
}

/* Values are those of the field at the rows of a solve without it, whose steps are the same. */
static void values_are_the_fields(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++)
        for (int way = 0; way < WAYS; way++) {
            proof f, g;
            make(&f, which, way), make(&g, which, way);
            f.options.adjoint = 0;
            g.options.adjoint = 0, g.problem.observe = NULL;
            proof_create(&f), proof_create(&g);
            assert_int_equal(proof_run(&f), NDE_OK);
            assert_int_equal(proof_run(&g), NDE_OK);
            const nde_solution *a = &f.solution, *b = &g.solution;
            assert_int_equal(a->out, 3);
            assert_int_equal(a->dim, f.dim);
            assert_int_equal(b->out, f.dim);
            assert_memory_equal(a->y_end, b->y_end, f.dim*f.n*sizeof *a->y_end);
            assert_memory_equal(a->saved, b->saved, f.n*sizeof *a->saved);
            for (size_t who = 0; who < f.n; who++) {
                nde_stats without = b->stats[who];
                without.evals = a->stats[who].evals;
                assert_memory_equal(&a->stats[who], &without, sizeof without);
                for (size_t row = 0; row < a->n_save; row++) {
                    double y[4], x, q, value[MODEL_ROWS], j[MODEL_ROWS][MODEL_INPUTS];
                    for (size_t i = 0; i < f.dim; i++) y[i] = (double)b->y[(row*f.dim + i)*f.n + who];
                    const bool each = way == SAVE_OWN || way == SAVE_STEPS;
                    const double t = a->t[each ? row*f.n + who : row];
                    const double p = (double)f.problem.p[0];
                    double interval = 0;
                    for (size_t k = 0; k < f.problem.n_jumps; k++) interval += f.problem.jump_t[k] < t;
                    q = watch.nq ? (double)f.problem.q[who] : 0, x = 0;
                    const model_at at = { t, interval, y, &x, &p, &q };
                    watch_formula(&at, value, j);
                    for (size_t i = 0; i < 3; i++) {
                        const nde_real is = a->y[(row*3 + i)*f.n + who];
                        if (row >= a->saved[who]) assert_true(isnan(is));
                        else if (i < 2 || !watch.nu) assert_true(is == (nde_real)value[i]);
                        else assert_true(isfinite(is));
                    }
                }
            }
            proof_end(&f), proof_end(&g);
        }
}

static void gradients_go_through_it(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++)
        for (int way = 0; way < WAYS; way++)
            for (int form = NDE_RECORD_TAPE; form <= NDE_RECORD_CHECKPOINTS; form += 3) {
                proof f;
                make(&f, which, way);
                f.options.record = form;
                proof_solve(&f);
                proof_check_identity(&f);
                proof_end(&f);
            }
}

static void gradients_through_own_spans(void **state) {
    (void)state;
    static const int cases[] = { CASE_ENSEMBLE, CASE_CONTROLLED, CASE_VERLET, CASE_DOSES };
    for (size_t c = 0; c < LENGTH(cases); c++)
        for (int way = SAVE_END; way < WAYS; way++) {
            proof f;
            make(&f, cases[c], way);
            proof_spans(&f, 0.2, 0.15, 1.4, 0.5);
            proof_solve(&f);
            proof_check_identity(&f);
            proof_end(&f);
        }
}

/* Of the states themselves: what a solve without it gives, to the bit. */
static int same(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *out) {
    for (size_t i = 0; i < self->out; i++) memcpy(out + i*at->ld, y + i*at->ld, at->n*sizeof *y);
    return 0;
}
static int same_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    (void)y;
    for (size_t i = 0; i < self->out; i++)
        for (size_t b = 0; b < at->n; b++) to->y[i*at->ld + b] += a[i*at->ld + b];
    return 0;
}

static void the_identity_changes_nothing(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++)
        for (int way = 0; way < WAYS; way++) {
            proof f;
            make(&f, which, way);
            f.problem.observe = NULL;
            proof_solve(&f);
            const size_t count = f.rows*f.dim*f.n;
            nde_real *y = proof_take(&f, count, sizeof *y);
            memcpy(y, f.solution.y, count*sizeof *y);
            const proof_copy plain = proof_keep(&f);
            const nde_field identity = { .size = sizeof identity, .dim = f.dim, .out = f.dim, .eval = same, .vjp = same_vjp };
            f.problem.observe = &identity;
            proof_solve(&f);
            assert_memory_equal(y, f.solution.y, count*sizeof *y);
            const char *differs = proof_differs(&f, &plain);
            if (differs) fail_msg("%s: the gradient of %s differs", case_names[which], differs);
            proof_end(&f);
        }
}

/* ---- a loss ----------------------------------------------------------------------------------- */

static int half_square(void *ctx, size_t save, double t, size_t n, const nde_real *y, double *value, nde_real *a_y) {
    (void)ctx, (void)save, (void)t;
    for (size_t i = 0; i < 3*n; i++) {
        *value += 0.5*(double)y[i]*(double)y[i];
        if (a_y) a_y[i] = y[i];
    }
    return 0;
}

static void a_loss_sees_observations(void **state) {
    (void)state;
    proof f;
    double value = 0;
    make(&f, CASE_DOSES, SAVE_AT);
    const nde_loss loss = NDE_INIT(nde_loss, .at = half_square);
    f.problem.loss = &loss;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    double sum = 0;
    for (size_t i = 0; i < f.rows*3*f.n; i++) sum += 0.5*(double)f.solution.y[i]*(double)f.solution.y[i];
    memcpy(f.seed_y, f.solution.y, f.rows*3*f.n*sizeof *f.seed_y);
    memset(f.seed_end, 0, f.dim*f.n*sizeof *f.seed_end), memset(f.seed_z, 0, f.nz*f.n*sizeof *f.seed_z);
    proof_backward(&f);
    const proof_copy by_seed = proof_keep(&f);
    const nde_gradient gradient = proof_gradient(&f);
    assert_int_equal(nde_value_and_gradient(f.solver, &value, &gradient), NDE_OK);
    assert_true(fabs(value - sum) <= 1e-12*sum);
    assert_null(proof_differs(&f, &by_seed));
    proof_end(&f);
}

/* ---- failures --------------------------------------------------------------------------------- */

typedef struct trap {
    const nde_field *inner;
    size_t victim;
    int how;       /* 0: NaN; 1: RETRY; 2: STOP; 3: -5 for the whole call */
    double from;   /* time */
} trap;

static int trap_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *out) {
    const trap *t = self->ctx;
    const int rc = t->inner->eval(t->inner, at, y, out);
    for (size_t b = 0; b < at->n; b++) {
        if (at->index[b] != t->victim || at->t[b] < t->from) continue;
        if (t->how == 0) out[2*at->ld + b] = (nde_real)NAN;
        if (t->how == 1) at->lane[b] = NDE_LANE_RETRY;
        if (t->how == 2) at->lane[b] = NDE_LANE_STOP;
        if (t->how == 3) return -5;
    }
    return rc;
}

static int trap_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const trap *t = self->ctx;
    return t->inner->vjp(t->inner, at, y, a, to);
}

/* One trajectory ends at the end of the step whose row fails, with the rows before it; the others have the bits that they have
 * without it, and so have their gradients. */
static void failures_are_ordinary(void **state) {
    (void)state;
    static const nde_status expected[] = { NDE_E_NONFINITE, NDE_E_FIELD, NDE_STOPPED, NDE_E_FIELD };
    static const int cases[] = { CASE_LORENZ, CASE_ENSEMBLE, CASE_CONTROLLED, CASE_INSIDE };
    for (size_t c = 0; c < LENGTH(cases); c++)
        for (int how = 0; how < 4; how++)
            for (int way = 0; way < WAYS; way++) {
                proof f;
                make(&f, cases[c], way);
                proof_solve(&f);
                const size_t count = f.rows*3*f.n, victim = 2;
                const bool joint = f.options.stepping == NDE_STEP_JOINT; /* those go on without it in the norm */
                const double t0 = f.problem.t0, t1 = f.problem.t1, from = way == SAVE_END ? t0 : 0.5*(t0 + t1);
                nde_real *y = proof_take(&f, count, sizeof *y), *y0 = proof_take(&f, f.dim*f.n, sizeof *y0);
                memcpy(y, f.solution.y, count*sizeof *y), memcpy(y0, f.in[IN_Y0].g, f.dim*f.n*sizeof *y0);
                const trap bad = { &observation, victim, how, from };
                nde_field failing = observation;
                failing.ctx = &bad, failing.eval = trap_eval, failing.vjp = trap_vjp;
                f.problem.observe = &failing;
                proof_create(&f);
                const nde_status status = proof_run(&f);
                const nde_solution *s = &f.solution;
                assert_int_equal(status, how == 2 ? NDE_STOPPED : joint ? expected[how] : NDE_E_LANES);
                assert_int_equal(s->status[victim], expected[how]);
                if (how == 3) assert_int_equal(s->stats[victim].callback, -5);
                size_t rows = 0;
                for (size_t row = 0; row < f.rows; row++) {
                    const bool each = way == SAVE_OWN || way == SAVE_STEPS;
                    rows += way != SAVE_END && s->t[each ? row*f.n + victim : row] < from;
                    for (size_t i = 0; i < 3*f.n; i++) {
                        const nde_real is = s->y[row*3*f.n + i], was = y[row*3*f.n + i];
                        if (i % f.n != victim ? !joint : row < rows) assert_memory_equal(&is, &was, sizeof is);
                        else if (i % f.n != victim) assert_true(!isnan(is) == (row < s->saved[i % f.n]));
                        else assert_true(isnan(is));
                    }
                }
                assert_int_equal(s->saved[victim], rows);
                assert_true(way == SAVE_END || s->t_end[victim] >= from);
                if (how != 2) {
                    proof_backward(&f); /* a trajectory that failed is a constant */
                    const nde_real *g = f.in[IN_Y0].g;
                    for (size_t i = 0; i < f.dim*f.n; i++) assert_true(i % f.n == victim ? g[i] == 0 : joint || g[i] == y0[i]);
                }
                f.problem.observe = &observation;
                proof_end(&f);
            }
}

/* ---- refusals --------------------------------------------------------------------------------- */

static void what_is_missing_is_named(void **state) {
    (void)state;
    proof f;
    make(&f, CASE_ENSEMBLE, SAVE_AT);
    observation.vjp = NULL, observation.jvp = NULL;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    const nde_seed seed = proof_seeds(&f);
    const nde_gradient gradient = proof_gradient(&f);
    assert_int_equal(nde_backward(f.solver, &seed, &gradient), NDE_E_NO_VJP);
    assert_non_null(strstr(nde_solver_error(f.solver), "observation"));
    const nde_direction along = NDE_INIT(nde_direction, .y0 = NULL);
    const nde_output_tangent out = NDE_INIT(nde_output_tangent, .y = f.out_y);
    assert_int_equal(nde_forward(f.solver, &along, &out), NDE_E_NO_JVP);
    nde_solver *none;
    observation.dim = 7;
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &none), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "observe"));
    proof_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_the_fields),        cmocka_unit_test(gradients_go_through_it),
        cmocka_unit_test(gradients_through_own_spans),  cmocka_unit_test(the_identity_changes_nothing),
        cmocka_unit_test(a_loss_sees_observations),     cmocka_unit_test(failures_are_ordinary),
        cmocka_unit_test(what_is_missing_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
