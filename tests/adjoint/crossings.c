/* SPDX-License-Identifier: MIT
 * crossings.c - what events do to trajectories, on the other ways back: the reversible adjoint against the discrete one, for
 * every method that can undo a step, bit for bit with a quantum; the continuous ones, which converge to it as fast as their
 * methods do. Closed forms are in events.c. */
#include "adjoint/hits.h"
#include "adjoint/ways.h"

#define SINGLE (sizeof(nde_real) == sizeof(float))

/* ---- undone ----------------------------------------------------------------------------------- */

enum { BALLS, BALLS_THAT_END, REACTION, PENDULUMS, UNDONE };

static void make(proof *f, int which, int64_t steps) {
    switch (which) {
    case BALLS: oscillators(f, 130, steps, 0); break;
    case BALLS_THAT_END: oscillators(f, 70, steps, 5); break;
    case REACTION: reaction(f, true); break;
    default: pendulums(f);
    }
    if (which == BALLS) f->options.group = 65;
    if (steps) f->options.steps = steps;
}

static void undoes(const way *w, int which, int64_t steps, bool back, double quantum) {
    proof f;
    char what[200];
    make(&f, which, steps);
    if (back) turn_time(&f);
    if (back) f.event[0].direction = 0;
    take_way(&f, w);
    f.options.quantum = quantum;
    if (!steps && which != PENDULUMS) f.options.rtol = f.options.atol = 1e-3;
    const undone found = undo(&f);
    const int64_t hits = count_hits(&f, 0);
    snprintf(what, sizeof what, "%s, case %d, steps %d, back %d: %d resets", name_of(w), which, (int)steps, back, (int)hits);
    if (!(hits >= 4)) fail_msg("%s", what);
    check_undone(&found, what, quantum, SINGLE ? 1e-4 : 1e-10);
    proof_end(&f);
}

static void every_way(double quantum) {
    int solved = 0;
    for (size_t i = 0; i < n_ways; i++)
        for (int which = 0; which < UNDONE; which++)
            for (int how = 0; how < 4; how++) {
                const bool fixed = how & 1, back = how & 2;
                if ((which == PENDULUMS) != (i < n_split) || (quantum > 0 && !is_exact(&ways[i]))) continue;
                /* undone, it is a composition, which extends its steps otherwise and has its events elsewhere */
                if (ways[i].method == NDE_VELOCITY_VERLET && quantum == 0) continue;
                if (which == PENDULUMS ? fixed : !fixed && !can_adapt(&ways[i])) continue;
                undoes(&ways[i], which, which != PENDULUMS && fixed ? 61 : 0, back, quantum);
                solved++;
            }
    assert_true(solved >= 20);
}

static void steps_are_undone_through_events(void **state) {
    (void)state;
    every_way(0);
}
static void with_a_quantum_bits_are_equal(void **state) {
    (void)state;
    every_way(SINGLE ? 0x1p-16 : 0x1p-40);
}

/* ---- continuous ------------------------------------------------------------------------------- */

static const int modes[] = { NDE_ADJOINT_BACKSOLVE, NDE_ADJOINT_INTERPOLATED, NDE_ADJOINT_QUADRATURE, NDE_ADJOINT_GAUSS };
static const char *const mode_names[] = { "backsolve", "interpolated", "quadrature", "gauss" };
/* What all adjoints give. */
static const int given[] = { IN_Y0, IN_P, IN_Q, IN_T0, IN_T1, IN_SAVE_T };

enum { OSCILLATORS, OSCILLATORS_THAT_END, NEURAL, COUNTED, DRIVEN, PROBLEMS };
static const char *const problem_names[] = { "oscillators", "oscillators that end", "neural field", "quadrature", "paths" };

/* A network of the state, the time and two parameters of the trajectory's own, with the walls of the oscillators. */
static void neural(proof *f, size_t n) {
    case_network(f, 0, n);
    ((nde_real *)f->in[IN_P].x)[2] = (nde_real)0.375, ((nde_real *)f->in[IN_P].x)[3] = (nde_real)0.75;
    proof_event(f, &wall_model, &bounce_model);
    proof_event(f, &turn_model, NULL);
}

static void pose(proof *f, int which, bool back) {
    switch (which) {
    case OSCILLATORS: oscillators(f, 7, 0, 0); break;
    case OSCILLATORS_THAT_END: oscillators(f, 7, 0, 3); break;
    case NEURAL: neural(f, 9); break;
    case COUNTED:
        reaction(f, true);
        f->problem.n_jumps = 0, f->problem.jump_t = NULL, f->in[IN_JUMP_T] = f->in[IN_JUMP_U] = (proof_input){ 0 };
        ((nde_real *)f->in[IN_P].x)[3] = (nde_real)(back ? 1.5 : 1.25);
        break;
    default: driven(f, NDE_TSIT5);
    }
    if (back) turn_time(f);
    f->event[0].direction = 0, f->options.event_rows = 64;
}

/* Gradients by all that is given, one after the other, in double. */
static double *differentiate(proof *f, int adjoint, nde_stats *stats, double *reconstruction) {
    const nde_gradient g = NDE_INIT(nde_gradient, .y0 = f->in[IN_Y0].g, .p = f->in[IN_P].g, .q = f->in[IN_Q].g,
                                    .t0 = f->in[IN_T0].g, .t1 = f->in[IN_T1].g, .save_t = f->in[IN_SAVE_T].g, .back = stats,
                                    .reconstruction = reconstruction);
    f->options.adjoint = adjoint;
    proof_create(f);
    const nde_status status = proof_run(f);
    if (status != NDE_OK && status != NDE_EVENT) fail_msg("run: %s", nde_solver_error(f->solver));
    const nde_seed seed = proof_seeds(f);
    if (nde_backward(f->solver, &seed, &g)) fail_msg("backward: %s", nde_solver_error(f->solver));
    size_t total = 0;
    for (size_t k = 0; k < LENGTH(given); k++) total += f->in[given[k]].count;
    double *all = proof_take(f, total, sizeof *all), *to = all;
    for (size_t k = 0; k < LENGTH(given); k++)
        for (size_t i = 0; i < f->in[given[k]].count; i++) *to++ = input_get(&f->in[given[k]], f->in[given[k]].g, i);
    return all;
}

/* The largest distance of one kind of gradient, relative to its size. */
static double apart_of(const proof *f, const double *a, const double *b, int *of) {
    double worst = 0;
    for (size_t k = 0; k < LENGTH(given); k++) {
        double sum = 0, size = 0;
        for (size_t i = 0; i < f->in[given[k]].count; i++, a++, b++) sum += (*a - *b)*(*a - *b), size += *b* *b;
        if (size > 0 && !(sqrt(sum/size) <= worst)) worst = sqrt(sum/size), *of = given[k];
    }
    assert_true(isfinite(worst));
    return worst;
}

static void errors_follow_tolerances(void **state) {
    (void)state;
    const double finest = SINGLE ? 2e-7 : 1e-12, wanted[] = { SINGLE ? 1e-4 : 1e-6, SINGLE ? 1e-5 : 1e-9 };
    for (int which = 0; which < PROBLEMS; which++)
        for (int back = 0; back < 2; back++) {
            proof f;
            int of = 0;
            pose(&f, which, back);
            f.options.rtol = f.options.atol = finest;
            const double *exact = differentiate(&f, NDE_ADJOINT_DISCRETE, NULL, NULL);
            const int64_t hits = count_hits(&f, 0);
            if (!(hits >= 4)) fail_msg("%s: %d resets", problem_names[which], (int)hits);
            for (size_t k = 0; k < LENGTH(wanted); k++) {
                f.options.rtol = f.options.atol = wanted[k];
                const double least = apart_of(&f, differentiate(&f, NDE_ADJOINT_DISCRETE, NULL, NULL), exact, &of);
                for (size_t m = 0; m < LENGTH(modes); m++) {
                    nde_stats stats[16];
                    double reconstruction[16] = { 0 };
                    const bool solved = modes[m] == NDE_ADJOINT_BACKSOLVE;
                    const double error = apart_of(&f, differentiate(&f, modes[m], stats, solved ? reconstruction : NULL), exact,
                                                  &of);
                    if (getenv("PROOF_VERBOSE"))
                        fprintf(stderr, "%s, %s, back %d, tolerance %g: error %g of %s, discrete %g; %d resets\n",
                                problem_names[which], mode_names[m], back, wanted[k], error, input_names[of], least, (int)hits);
                    if (!(error <= 100*wanted[k] || error <= 10*least))
                        fail_msg("%s, %s, back %d, tolerance %g: error %g of %s", problem_names[which], mode_names[m], back,
                                 wanted[k], error, input_names[of]);
                    for (size_t b = 0; b < f.n; b++) {
                        assert_true(stats[b].accepted > 0 && stats[b].evals >= stats[b].accepted);
                        if (!(reconstruction[b] <= 1e4*wanted[k])) fail_msg("state solved back: %g", reconstruction[b]);
                    }
                }
            }
            proof_end(&f);
        }
}

#ifndef NDE_TEST_SINGLE
/* Fixed steps: errors fall by the order of the method, or by that of its extension, by which events are found. */
static void steps_converge_by_their_order(void **state) {
    (void)state;
    static const int32_t methods[] = { NDE_EULER, NDE_HEUN, NDE_BOSH3, NDE_RK4, NDE_DOPRI5, NDE_TSIT5 };
    for (size_t i = 0; i < LENGTH(methods); i++)
        for (size_t m = 0; m < LENGTH(modes); m++) {
            const nde_method *method = nde_method_get(methods[i]);
            const int order = nde_method_order(method), dense = nde_method_dense_order(method) + 1,
                      least = order < dense ? order : dense;
            double error[2];
            int of = 0;
            proof f;
            neural(&f, 3);
            turn_time(&f);
            proof_no_saves(&f);
            f.options.event_rows = 64, f.options.rtol = f.options.atol = 1e-13;
            const double *exact = differentiate(&f, NDE_ADJOINT_DISCRETE, NULL, NULL);
            assert_true(count_hits(&f, 0) >= 3);
            f.options.method = methods[i];
            for (int k = 0; k < 2; k++) {
                f.options.steps = (order >= 5 ? 20 : order >= 3 ? 60 : 400) << k;
                error[k] = apart_of(&f, differentiate(&f, modes[m], NULL, NULL), exact, &of);
            }
            const double seen = log2(error[0]/error[1]);
            if (getenv("PROOF_VERBOSE"))
                fprintf(stderr, "%s, %s: order %.2f, of %d (%g, %g)\n", nde_method_name(method), mode_names[m], seen, least,
                        error[0], error[1]);
            if (!(seen >= least - 0.5 || error[1] < 1e-11))
                fail_msg("%s, %s: order %g seen, %d expected", nde_method_name(method), mode_names[m], seen, least);
            proof_end(&f);
        }
}
#endif

/* In an ensemble of many panels, and by threads, the same bits; joint steps, of which events end some. */
static void ensembles_agree(void **state) {
    (void)state;
    for (size_t m = 0; m < LENGTH(modes); m++) {
        proof f;
        oscillators(&f, 150, 0, 3);
        f.options.group = 50, f.options.event_rows = 64, f.options.rtol = f.options.atol = SINGLE ? 1e-5 : 1e-8;
        int of = 0;
        const double *exact = differentiate(&f, NDE_ADJOINT_DISCRETE, NULL, NULL);
        const double *one = differentiate(&f, modes[m], NULL, NULL), error = apart_of(&f, one, exact, &of);
        if (!(error <= (SINGLE ? 1e-2 : 1e-5))) fail_msg("%s: error %g of %s", mode_names[m], error, input_names[of]);
        f.options.threads = 3;
        assert_true(apart_of(&f, differentiate(&f, modes[m], NULL, NULL), one, &of) == 0);
        f.options.threads = 1, f.options.stepping = NDE_STEP_JOINT;
        f.event[0] = f.event[1], f.problem.n_events = 1; /* no resets with joint steps */
        exact = differentiate(&f, NDE_ADJOINT_DISCRETE, NULL, NULL);
        const double joint = apart_of(&f, differentiate(&f, modes[m], NULL, NULL), exact, &of);
        if (!(joint <= (SINGLE ? 1e-2 : 1e-5))) fail_msg("%s, joint: error %g of %s", mode_names[m], joint, input_names[of]);
        proof_end(&f);
    }
}

/* Rows of hits change nothing but what they are asked for. */
static void check_rows(proof *f) {
    f->seed_hit = NULL, f->seed_when = NULL;
    for (size_t m = 0; m < LENGTH(modes); m++) {
        int of = 0;
        f->options.event_rows = 64;
        const double *all = differentiate(f, modes[m], NULL, NULL);
        f->options.event_rows = 1;
        if (!(apart_of(f, differentiate(f, modes[m], NULL, NULL), all, &of) == 0)) fail_msg("%s: other bits", mode_names[m]);
    }
}

static void hits_need_no_rows(void **state) {
    (void)state;
    static const int problems[] = { OSCILLATORS, OSCILLATORS_THAT_END, COUNTED };
    const double wanted = SINGLE ? 1e-5 : 1e-9;
    for (size_t i = 0; i < LENGTH(problems); i++)
        for (int back = 0; back < 2; back++) {
            proof f;
            int of = 0;
            pose(&f, problems[i], back);
            f.options.rtol = f.options.atol = SINGLE ? 2e-7 : 1e-12, f.options.event_rows = 1;
            const double *exact = differentiate(&f, NDE_ADJOINT_DISCRETE, NULL, NULL);
            f.options.rtol = f.options.atol = wanted;
            const double least = apart_of(&f, differentiate(&f, NDE_ADJOINT_DISCRETE, NULL, NULL), exact, &of);
            for (size_t m = 0; m < LENGTH(modes); m++) {
                const double error = apart_of(&f, differentiate(&f, modes[m], NULL, NULL), exact, &of);
                if (!(error <= 100*wanted || error <= 10*least))
                    fail_msg("%s, %s, back %d: error %g of %s, discrete %g", problem_names[problems[i]], mode_names[m], back,
                             error, input_names[of], least);
            }
            assert_true(count_hits(&f, 0) >= 4);
            check_rows(&f);
            proof_end(&f);
        }
}

/* With the state solved backwards the record has nothing but what events did: in little, or it says so. */
static void cuts_stay_within_the_budget(void **state) {
    (void)state;
    int lost = 0, unlisted = 0;
    proof f;
    oscillators(&f, 7, 0, 0);
    f.event[0].direction = 0, f.options.event_rows = 1;
    const double *all = differentiate(&f, NDE_ADJOINT_BACKSOLVE, NULL, NULL);
    assert_true(f.solution.record_bytes > 0);
    for (f.options.budget = 256;; f.options.budget += 64) {
        const nde_seed seed = proof_seeds(&f);
        proof_create(&f);
        const nde_status run = proof_run(&f);
        if (run == NDE_OK && nde_backward(f.solver, &seed, &NDE_INIT(nde_gradient, .y0 = f.in[IN_Y0].g)) == NDE_OK) break;
        if (run == NDE_OK && !strstr(nde_solver_error(f.solver), "options.budget leaves no room to list 0 steps and"))
            fail_msg("%s", nde_solver_error(f.solver));
        if (run != NDE_OK && run != NDE_E_BUDGET && run != NDE_E_LANES) fail_msg("%s", nde_solver_error(f.solver));
        if (run != NDE_OK)
            assert_int_equal(nde_backward(f.solver, &seed, &NDE_INIT(nde_gradient, .y0 = f.in[IN_Y0].g)), NDE_E_ARG);
        lost += run != NDE_OK, unlisted += run == NDE_OK;
    }
    assert_true(lost && unlisted && f.options.budget < (size_t)1 << 15);
    int of = 0;
    assert_true(apart_of(&f, differentiate(&f, NDE_ADJOINT_BACKSOLVE, NULL, NULL), all, &of) == 0);
    proof_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_undone_through_events),
        cmocka_unit_test(with_a_quantum_bits_are_equal),
        cmocka_unit_test(errors_follow_tolerances),
#ifndef NDE_TEST_SINGLE
        cmocka_unit_test(steps_converge_by_their_order),
#endif
        cmocka_unit_test(ensembles_agree),
        cmocka_unit_test(hits_need_no_rows),
        cmocka_unit_test(cuts_stay_within_the_budget),
    };
    find_ways();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
