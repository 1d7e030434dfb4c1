/* SPDX-License-Identifier: MIT
 * events.c - derivatives of when events happen and of everything after them: closed forms, both modes against each other, differences of
 * the program itself, equal bits in every form of the record; and where there is no derivative. */
#include "adjoint/cases.h"

/* ---- fields ------------------------------------------------------------------------------------------------------- */

/* y0 = p2 + q1 sin(2t)/10, the last rows of p in events alone. */
static void wall_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[0] - x->p[2] - 0.1*x->q[1]*sin(2*x->t);
    j[0][0] = 1, j[0][4] = -1, j[0][7] = -0.1*sin(2*x->t), j[0][8] = -0.2*x->q[1]*cos(2*x->t);
}
static void bounce_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y;
    f[0] = y[0] - 0.05 - 0.02*y[1]*sin(x->t), f[1] = -x->p[3]*y[1] + 0.1*x->q[1]*y[0];
    j[0][0] = 1, j[0][1] = -0.02*sin(x->t), j[0][8] = -0.02*y[1]*cos(x->t);
    j[1][0] = 0.1*x->q[1], j[1][1] = -x->p[3], j[1][5] = -y[1], j[1][7] = 0.1*y[0];
}
static void turn_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[1] - 0.3*x->p[3] + 0.1*x->t;
    j[0][1] = 1, j[0][5] = -0.3, j[0][8] = 0.1;
}
static const model wall_model = { 2, 1, 0, 4, 2, wall_formula }, bounce_model = { 2, 2, 0, 4, 2, bounce_formula },
                   turn_model = { 2, 1, 0, 4, 2, turn_formula };

/* Of the reaction: a level that falls with time, and what is then taken out. */
static void level_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[1]*x->y[1] - x->p[3]*exp(-0.2*x->t);
    j[0][1] = 2*x->y[1], j[0][5] = -exp(-0.2*x->t), j[0][7] = 0.2*x->p[3]*exp(-0.2*x->t);
}
static void harvest_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y, *p = x->p;
    f[0] = y[0] + 0.1*x->t*y[1], f[1] = p[4]*y[1];
    j[0][0] = 1, j[0][1] = 0.1*x->t, j[0][7] = 0.1*y[1], j[1][1] = p[4], j[1][6] = y[1];
}
static const model level_model = { 2, 1, 0, 5, 0, level_formula }, harvest_model = { 2, 2, 0, 5, 0, harvest_formula };

/* Of what an input drives: it is a part of the event and of the reset. */
static void gate_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[0] + 0.3*x->y[2] - x->p[18] - 0.2*x->u[0];
    j[0][0] = 1, j[0][2] = 0.3, j[0][3] = -0.2, j[0][22] = -1;
}
static void push_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    for (size_t i = 0; i < 3; i++)
        f[i] = 0.6*x->y[i] + 0.2*x->p[i]*x->u[0] + 0.1*x->t, j[i][i] = 0.6, j[i][3] = 0.2*x->p[i], j[i][4 + i] = 0.2*x->u[0], j[i][23] = 0.1;
}
static const model gate_model = { 3, 1, 1, 19, 0, gate_formula }, push_model = { 3, 3, 1, 19, 0, push_formula };

static void reaction(proof *f, bool tape) {
    case_doses(f, 0, tape);
    proof_parameters(f, 5, (double[]){ 0.75, 0.5, 0.25, 0.8, 0.7 });
    f->problem.p = f->in[IN_P].x;
    proof_event(f, &level_model, &harvest_model);
}

static void driven(proof *f, int32_t method) {
    case_controlled(f, 0, true);
    proof_parameters(f, 19, NULL);
    ((nde_real *)f->in[IN_P].x)[18] = (nde_real)0.6;
    proof_event(f, &gate_model, &push_model);
    proof_event(f, &gate_model, NULL)->direction = -1;
    f->options.method = method;
}

/* Duffing oscillators that meet a moving wall, of which the fifth turn is the last thing to be seen. */
static void oscillators(proof *f, size_t n, int64_t steps, int32_t terminal) {
    static const double p[] = { 0.5, 0.125, 0.25, 0.75 };
    proof_begin(f, n, &duffing_model, true, 0, 3, 0.75);
    proof_parameters(f, 4, p);
    nde_real *q = proof_input_make(f, IN_Q, 2, false, false, 0.5, 0.25);
    for (size_t b = 0; b < n; b++) q[b] = (nde_real)(float)pow(6, 0.5 + 0.5*proof_number(7, b));
    f->problem.q = q;
    proof_save(f, 4, (double[]){ 0.1, 0.9, 1.7, 2.9 });
    proof_event(f, &wall_model, &bounce_model)->direction = 1;
    proof_event(f, &turn_model, NULL)->terminal = terminal;
    f->options.method = NDE_TSIT5, f->options.steps = steps;
    f->options.rtol = f->options.atol = sizeof(nde_real) == 8 ? 1e-7 : 1e-5;
}

static int64_t count_hits(const proof *f, size_t event) {
    int64_t hits = 0;
    for (size_t b = 0; b < f->n; b++) hits += f->solution.event_count[event*f->n + b];
    return hits;
}

/* ---- both modes --------------------------------------------------------------------------------------------------- */

static void modes_agree_on_an_ensemble(void **state) {
    (void)state;
    for (int terminal = 0; terminal <= 5; terminal += 5) {
        proof f;
        oscillators(&f, 520, 0, terminal);
        f.options.group = 260;
        proof_solve(&f);
        if (getenv("PROOF_VERBOSE")) fprintf(stderr, "    %d resets, %d turns\n", (int)count_hits(&f, 0), (int)count_hits(&f, 1));
        assert_true(count_hits(&f, 0) > 600 && count_hits(&f, 1) > 600);
        proof_check_identity(&f);
        proof_end(&f);
    }
}

/* Every method that extends its steps, with its own steps and with fixed ones, forwards in time and backwards. */
static void modes_agree_with_every_method(void **state) {
    (void)state;
    int methods = 0;
    double worst = 0;
    for (size_t k = 0; k < nde_method_count(); k++)
        for (int way = 0; way < 4; way++) {
            const nde_method *m = nde_method_at(k);
            proof f;
            if (nde_method_kind(m) == NDE_KIND_EULER_MARUYAMA || nde_method_kind(m) == NDE_KIND_SPLITTING) continue;
            if (!(way & 1) && !nde_method_error_order(m)) continue;
            oscillators(&f, 7, way & 1 ? 40 : 0, 5);
            if (way & 2) {
                for (size_t i = 0; i < f.n; i++) ((double *)f.in[IN_T1].x)[i] = -3;
                for (size_t i = 0; i < 4; i++) ((double *)f.in[IN_SAVE_T].x)[i] *= -1;
                f.problem.t1 = -3;
            }
            f.options.method = nde_method_id(m);
            nde_solver *probe;
            if (nde_solver_create(&f.problem, &f.options, &probe) != NDE_OK) { /* it asks for a separable problem */
                proof_end(&f);
                continue;
            }
            nde_solver_destroy(probe);
            proof_solve(&f);
            methods++;
            const double error = proof_identity(&f), most = 4096*NDE_TEST_EPS;
            worst = fmax(worst, error);
            if (!(error <= most)) fail_msg("%s, way %d: <w, Jv> and <J'w, v> differ by %g", nde_method_name(m), way, error);
            assert_true(count_hits(&f, 0) > 0);
            proof_end(&f);
        }
    assert_true(methods > 60);
    if (getenv("PROOF_VERBOSE")) fprintf(stderr, "    %d cases, at most %g of rounding\n", methods, worst/NDE_TEST_EPS);
}

static void modes_agree_with_jumps_paths_and_quadrature(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        proof f;
        if (k < 2) reaction(&f, k);
        else driven(&f, k == 2 ? NDE_TSIT5 : NDE_VERN7);
        proof_solve(&f);
        if (getenv("PROOF_VERBOSE")) fprintf(stderr, "    %d resets\n", (int)count_hits(&f, 0));
        assert_true(count_hits(&f, 0) >= 4);
        proof_check_identity(&f);
        proof_end(&f);
    }
}

/* ---- the record --------------------------------------------------------------------------------------------------- */

/* Equal bits from tape, stages, states, checkpoints, and from very few of them. */
static void every_record_has_equal_bits(void **state) {
    (void)state;
    for (int k = 0; k < 6; k++) {
        proof f;
        if (k < 3) oscillators(&f, 130, 0, k == 1 ? 5 : 0);
        else if (k == 3) reaction(&f, true);
        else driven(&f, k == 4 ? NDE_TSIT5 : NDE_VERN7);
        if (k == 2) f.options.method = NDE_DOP853, f.options.save_every = 2, f.options.save_rows = 512, proof_no_saves(&f);
        if (k < 3) f.options.group = 65;
        proof_solve(&f);
        const proof_copy kept = proof_keep(&f);
        const int richest = f.solution.record;
        const size_t kept_bytes = f.solution.record_bytes;
        size_t bytes = f.solution.record_bytes, fewest = bytes;
        int least = 0;
        for (int form = richest; form <= NDE_RECORD_CHECKPOINTS; form++) {
            f.options.record = form;
            proof_solve(&f);
            const char *differs = proof_differs(&f, &kept);
            if (differs) fail_msg("case %d, form %d: %s differs", k, form, differs);
        }
        for (f.options.record = 0; bytes > 1024; bytes = bytes*3/4) {
            f.options.budget = bytes;
            proof_create(&f);
            if (proof_run(&f) == NDE_E_BUDGET || f.solution.record_bytes == 0) break;
            const nde_seed seed = proof_seeds(&f);
            const nde_gradient gradient = proof_gradient(&f);
            const nde_status status = nde_backward(f.solver, &seed, &gradient);
            if (status == NDE_E_ARG) break;
            assert_int_equal(status, NDE_OK);
            least = f.solution.record, fewest = f.solution.record_bytes;
            const char *differs = proof_differs(&f, &kept);
            if (differs) fail_msg("case %d, %zu bytes: %s differs", k, bytes, differs);
        }
        if (getenv("PROOF_VERBOSE")) fprintf(stderr, "    case %d: %zu bytes and less, down to %zu\n", k, kept_bytes, fewest);
        assert_int_equal(least, NDE_RECORD_CHECKPOINTS);
        proof_end(&f);
    }
}

/* ---- differences of the program ----------------------------------------------------------------------------------- */

#ifndef NDE_TEST_SINGLE
/* The loss of a run from inputs x + h v. */
static double loss_at(proof *f, double h) {
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    double sum = 0;
    for (int k = 0; k < INPUTS; k++)
        for (size_t i = 0; i < f->in[k].count; i++)
            input_set(&f->in[k], f->in[k].x, i, input_get(&f->in[k], f->in[k].x, i) + h*input_get(&f->in[k], f->in[k].v, i));
    const nde_status status = nde_solve(&f->problem, &f->options, &s);
    assert_true(status == NDE_OK || status == NDE_EVENT);
    for (size_t b = 0; b < f->n; b++) {
        for (size_t i = 0; i < s.saved[b]*f->out; i++) sum += f->seed_y[i*f->n + b]*s.y[i*f->n + b];
        for (size_t i = 0; i < f->dim; i++) sum += f->seed_end[i*f->n + b]*s.y_end[i*f->n + b];
        for (size_t i = 0; i < f->nz; i++) sum += f->seed_z[i*f->n + b]*s.quadrature[i*f->n + b];
        for (size_t i = 0; i < s.event_saved[b]; i++) sum += f->seed_when[i*f->n + b]*s.event_t[i*f->n + b];
        for (size_t i = 0; i < s.event_saved[b]*f->dim; i++) sum += f->seed_hit[i*f->n + b]*s.event_y[i*f->n + b];
        sum += f->seed_t[b]*s.t_end[b];
        if (h != 0) assert_int_equal(s.event_saved[b], f->solution.event_saved[b]);
    }
    nde_solution_free(&s);
    return sum;
}

/* The slope of the loss by differences, extrapolated twice. */
static double slope_of(proof *f, double h) {
    double t[3], at = 0;
    for (int k = 0; k < 3; k++, h *= 0.5) {
        const double up = loss_at(f, h - at), down = loss_at(f, -2*h);
        at = -h;
        t[k] = (up - down)/(2*h);
    }
    return (64*t[2] - 20*t[1] + t[0])/45;
}

static void fixed_steps_match_differences(void **state) {
    (void)state;
    static const int32_t methods[] = { NDE_RK4, NDE_TSIT5, NDE_VERN7, NDE_DOP853, NDE_MIDPOINT, NDE_ADAMS_BASHFORTH, NDE_RKC2 };
    for (size_t k = 0; k < LENGTH(methods); k++)
        for (int way = 0; way < 4; way++) {
            proof f;
            oscillators(&f, 20, 90, way % 2 ? 5 : 0);
            f.options.method = methods[k];
            proof_spans(&f, 0.1, 0.05, way < 2 ? 2.9 : -2.6, 0.05);
            if (way % 2) {
                f.options.save_every = 3;
            } else {
                const double d = way < 2 ? 1 : -1;
                proof_save(&f, 4, (double[]){ d*0.3, d*0.9, d*1.7, d*2.4 });
            }
            proof_solve(&f);
            if (getenv("PROOF_VERBOSE")) fprintf(stderr, "    %d resets, %d turns\n", (int)count_hits(&f, 0), (int)count_hits(&f, 1));
            assert_true(count_hits(&f, 0) >= 6);
            proof_check_identity(&f);
            double slope = 0;
            for (int i = 0; i < INPUTS; i++)
                for (size_t j = 0; j < f.in[i].count; j++) slope += input_get(&f.in[i], f.in[i].g, j)*input_get(&f.in[i], f.in[i].v, j);
            const double by = slope_of(&f, 2e-5), error = fabs(slope - by)/fabs(by);
            if (getenv("PROOF_VERBOSE")) fprintf(stderr, "    %s, way %d: %g\n", f.solver ? nde_method_name(nde_method_get(methods[k])) : "", way, error);
            if (!(error <= 1e-8)) fail_msg("%s, way %d: %.12g, by differences %.12g", nde_method_name(nde_method_get(methods[k])), way, slope, by);
            proof_end(&f);
        }
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_agree_on_an_ensemble),
        cmocka_unit_test(modes_agree_with_every_method),
        cmocka_unit_test(modes_agree_with_jumps_paths_and_quadrature),
        cmocka_unit_test(every_record_has_equal_bits),
#ifndef NDE_TEST_SINGLE
        cmocka_unit_test(fixed_steps_match_differences),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
