/* SPDX-License-Identifier: MIT
 * own_times.c - save times of each trajectory's own: the rows of a solve that saves there, without a step being changed,
 * and the gradients of all inputs through them. */
#include "adjoint/cases.h"

enum { ROWS = 5 };

static size_t rows_of(size_t who) { return who % 7 == 4 ? 0 : 1 + (who*5 + 2) % ROWS; }

/* rows_of(who) times of each trajectory within its span, NaN behind them; some at its start, some at its end. */
static void own_times(proof *f) {
    double *t = proof_input_make(f, IN_SAVE_T, ROWS, false, true, 0, 0);
    const nde_problem *q = &f->problem;
    for (size_t who = 0; who < f->n; who++) {
        const double t0 = q->t0_each ? q->t0_each[who] : q->t0, t1 = q->t1_each ? q->t1_each[who] : q->t1;
        const size_t rows = rows_of(who);
        for (size_t i = 0; i < ROWS; i++)
            t[i*f->n + who] = i < rows ? t0 + (t1 - t0)*((double)i + 0.5 + 0.4*proof_number(i, who))/(double)rows : (double)NAN;
        if (rows && who % 3 == 0) t[who] = t0;
        if (rows > 1 && who % 4 == 0) t[(rows - 1)*f->n + who] = t1;
    }
    f->options.save_t = NULL, f->options.save_t_each = t, f->options.n_save = ROWS;
}

static void make(proof *f, int which, bool spans) {
    case_make(which, f, 0, false);
    if (f->n > 300) proof_resize(f, 300);
    if (spans) proof_spans(f, 0.2, 0.15, 1.4, 0.5);
    own_times(f);
}

static bool has_spans(int which) { return which != CASE_LORENZ && which != CASE_GENERAL_NOISE; }

static void rows_are_those_of_common_times(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++) {
        proof f, g;
        make(&f, which, false);
        proof_solve(&f);
        assert_int_equal(f.solution.n_save, ROWS);
        for (size_t who = 0; who < f.n; who += f.n > 9 ? 41 : 1) {
            const size_t rows = rows_of(who);
            double t[ROWS] = { 0 };
            assert_int_equal(f.solution.saved[who], rows);
            for (size_t i = 0; i < rows; i++) t[i] = f.solution.t[i*f.n + who];
            case_make(which, &g, 0, false);
            if (g.n > 300) proof_resize(&g, 300);
            g.in[IN_SAVE_T] = (proof_input){ 0 };
            g.options.save_t = rows ? t : NULL, g.options.n_save = rows, g.options.adjoint = 0;
            proof_create(&g);
            assert_int_equal(proof_run(&g), NDE_OK);
            for (size_t i = 0; i < ROWS*f.dim; i++) {
                const nde_real y = f.solution.y[i*f.n + who];
                if (i >= rows*f.dim) assert_true(isnan(y));
                else assert_memory_equal(&y, &g.solution.y[i*f.n + who], sizeof y);
            }
            assert_memory_equal(&f.solution.stats[who].h_first, &g.solution.stats[who].h_first, 2*sizeof(double));
            assert_int_equal(f.solution.stats[who].accepted, g.solution.stats[who].accepted);
            assert_int_equal(f.solution.stats[who].rejected, g.solution.stats[who].rejected);
            proof_end(&g);
        }
        proof_end(&f);
    }
}

static void gradients_go_through_them(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++)
        for (int spans = 0; spans <= has_spans(which); spans++)
            for (int form = NDE_RECORD_TAPE; form <= NDE_RECORD_CHECKPOINTS; form += 3) {
                proof f;
                make(&f, which, spans);
                f.options.record = form;
                proof_solve(&f);
                proof_check_identity(&f);
                double moved = 0;
                for (size_t i = 0; i < ROWS*f.n; i++) {
                    const double g = ((double *)f.in[IN_SAVE_T].g)[i];
                    assert_true(isfinite(g) && (i/f.n < rows_of(i % f.n) || g == 0));
                    moved = fmax(moved, fabs(g));
                }
                assert_true(moved > 1e-3);
                proof_end(&f);
            }
}

/* The same times for each are common times: their gradients have the same bits, and those of the times add up. */
static void equal_times_are_common_times(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++) {
        proof f;
        case_make(which, &f, 0, false);
        if (f.n > 300) proof_resize(&f, 300);
        proof_solve(&f);
        const double *t = f.options.save_t;
        const size_t rows = f.rows, count = rows*f.dim*f.n;
        double *each = proof_take(&f, rows*f.n, sizeof *each), *common = proof_take(&f, rows, sizeof *common),
               *own = proof_take(&f, rows*f.n, sizeof *own);
        nde_real *y = proof_take(&f, count, sizeof *y);
        memcpy(y, f.solution.y, count*sizeof *y);
        memcpy(common, f.in[IN_SAVE_T].g, rows*sizeof *common);
        f.in[IN_SAVE_T].count = 0;
        const proof_copy before = proof_keep(&f);
        for (size_t i = 0; i < rows*f.n; i++) each[i] = t[i/f.n];
        f.options.save_t = NULL, f.options.save_t_each = each;
        f.in[IN_SAVE_T].g = own;
        proof_solve(&f);
        assert_memory_equal(y, f.solution.y, count*sizeof *y);
        const char *differs = proof_differs(&f, &before);
        if (differs) fail_msg("%s: the gradient of %s differs", case_names[which], differs);
        for (size_t row = 0; row < rows; row++) {
            double sum = 0, size = 0;
            for (size_t who = 0; who < f.n; who++) sum += own[row*f.n + who], size += fabs(own[row*f.n + who]);
            assert_true(fabs(sum - common[row]) <= 1e-13*size);
        }
        proof_end(&f);
    }
}

/* Threads, and a pause whose state goes to another solver, change no bit. */
static void bits_do_not_depend_on_the_way(void **state) {
    (void)state;
    proof f;
    make(&f, CASE_ENSEMBLE, true);
    f.options.adjoint = 0, f.options.group = 100;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    const size_t count = ROWS*f.dim*f.n;
    nde_real *y = proof_take(&f, count, sizeof *y);
    memcpy(y, f.solution.y, count*sizeof *y);
    f.options.threads = 3;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    assert_memory_equal(y, f.solution.y, count*sizeof *y);
    f.options.threads = 0;
    size_t bytes = 0;
    proof_create(&f);
    assert_int_equal(nde_solver_steps(f.solver, 5, &f.solution), NDE_UNFINISHED);
    assert_int_equal(nde_solver_state(f.solver, NULL, &bytes), NDE_OK);
    void *block = proof_take(&f, bytes, 1);
    assert_int_equal(nde_solver_state(f.solver, block, &bytes), NDE_OK);
    proof_create(&f);
    assert_int_equal(nde_solver_restore(f.solver, block, bytes), NDE_OK);
    while (nde_solver_steps(f.solver, 3, &f.solution) == NDE_UNFINISHED) continue;
    assert_memory_equal(y, f.solution.y, count*sizeof *y);
    proof_end(&f);
}

static nde_status status_of(const proof *f, const char *text) {
    nde_solver *s;
    nde_status status = nde_solver_create(&f->problem, &f->options, &s);
    if (!status) {
        status = nde_solver_run(s, NULL);
        if (status && !strstr(nde_solver_error(s), text)) fail_msg("%s", nde_solver_error(s));
        nde_solver_destroy(s);
    } else if (!strstr(nde_error(), text)) {
        fail_msg("%s", nde_error());
    }
    return status;
}

static void wrong_times_are_refused(void **state) {
    (void)state;
    for (int which = 0; which < 7; which++) {
        proof f;
        make(&f, CASE_DOSES, true);
        double *t = f.in[IN_SAVE_T].x; /* of trajectory 3: 3 rows */
        assert_int_equal(rows_of(3), 3);
        const double common = 0.5;
        if (which == 0) t[3] = -(double)INFINITY;
        if (which == 1) t[f.n + 3] = t[3] - 0.01;
        if (which == 2) t[f.n + 3] = (double)NAN;
        if (which == 3) t[3] = f.problem.t0_each[3] - 0.01;
        if (which == 4) t[2*f.n + 3] = f.problem.t1_each[3] + 0.01;
        if (which == 5) f.options.save_t = &common;
        if (which == 6) { const double a = t[3], c = t[2*f.n + 3]; t[3] = c, t[2*f.n + 3] = a; }
        assert_int_equal(status_of(&f, "save_t_each"), NDE_E_ARG);
        proof_end(&f);
    }
    proof f;
    make(&f, CASE_DOSES, true);
    f.options.n_save = 0; /* then they mean nothing */
    assert_int_equal(status_of(&f, ""), NDE_OK);
    proof_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_common_times), cmocka_unit_test(gradients_go_through_them),
        cmocka_unit_test(equal_times_are_common_times),   cmocka_unit_test(bits_do_not_depend_on_the_way),
        cmocka_unit_test(wrong_times_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
