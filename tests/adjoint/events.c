/* SPDX-License-Identifier: MIT
 * events.c - derivatives of when events happen and of everything after them: closed forms, both modes against each other,
 * differences of the program itself, equal bits in every form of the record; and where there is no derivative. */
#include "adjoint/hits.h"
#include "adjoint/reference.h"

/* ---- closed forms -------------------------------------------------------------------------------------------------- */

/* A solve and its seeds, one number of one output at a time. */
typedef struct lone {
    nde_field f, g, map;
    nde_event event[2];
    nde_problem problem;
    nde_options options;
    nde_solver *solver;
    nde_solution s;
    nde_real y0[2], p[4], q[2], g_y0[2], g_p[4], g_q[2];
    double g_t0, g_t1, g_jump[2];
} lone;

static void lone_solve(lone *a, nde_status expected) {
    if (!a->options.adjoint) a->options.adjoint = NDE_ADJOINT_DISCRETE;
    a->options.budget = 1 << 22;
    if (nde_solver_create(&a->problem, &a->options, &a->solver)) fail_msg("%s", nde_error());
    a->s = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solver_run(a->solver, &a->s), expected);
}

/* Of seeds that are all zero but for one. */
static void lone_gradient(lone *a, const nde_seed *seed) {
    const nde_gradient g = NDE_INIT(nde_gradient, .y0 = a->g_y0, .p = a->g_p, .q = a->g_q, .t0 = &a->g_t0, .t1 = &a->g_t1,
                                    .jump_t = a->problem.n_jumps ? a->g_jump : NULL);
    const nde_status status = nde_backward(a->solver, seed, &g);
    if (status) fail_msg("%s", nde_solver_error(a->solver));
}

static void is_near(const char *what, double x, double exact, double most) {
    if (!(fabs(x - exact) <= most*(1 + fabs(exact)))) fail_msg("%s is %.16g, exactly %.16g", what, x, exact);
}

/* p = (gravity, restitution). */
static void fall_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[1], f[1] = -x->p[0], j[0][1] = 1, j[1][2] = -1;
}
static void floor_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) { f[0] = x->y[0], j[0][0] = 1; }
static void rebound_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = 0, f[1] = -x->p[1]*x->y[1], j[1][1] = -x->p[1], j[1][3] = -x->y[1];
}
static const model fall_model = { 2, 2, 0, 2, 0, fall_formula }, floor_model = { 2, 1, 0, 2, 0, floor_formula },
                   rebound_model = { 2, 2, 0, 2, 0, rebound_formula };

/* Of the k-th impact, its time and speed by the height h, gravity and restitution: t_k = t_1 (1 + 2 (e + ... + e^(k-1))). */
typedef struct impact {
    double t, by_h, by_g, by_e, v, v_h, v_g, v_e;
} impact;
static impact impact_of(int k, double h, double g, double e) {
    const double t1 = sqrt(2*h/g), v1 = sqrt(2*h*g), power = pow(e, k - 1);
    double sum = 1, slope = 0;
    for (int i = 1; i < k; i++) sum += 2*pow(e, i), slope += 2*i*pow(e, i - 1);
    return (impact){ t1*sum, t1*sum/(2*h), -t1*sum/(2*g), t1*slope,
                     -v1*power, -v1*power/(2*h), -v1*power/(2*g), k > 1 ? -v1*(k - 1)*pow(e, k - 2) : 0 };
}

static const int adjoints[] = { NDE_ADJOINT_DISCRETE, NDE_ADJOINT_REVERSIBLE, NDE_ADJOINT_BACKSOLVE, NDE_ADJOINT_INTERPOLATED,
                                NDE_ADJOINT_QUADRATURE, NDE_ADJOINT_GAUSS };

static void ball_bounces(void **state) {
    (void)state;
    enum { LAST = 5 };
    const double h = 1.25, g = 8, e = 0.75, near = 32768*NDE_TEST_EPS; /* the last impact itself is 122 eps off */
    for (int d = -1; d <= 1; d += 2)
        for (int way = 0; way < 2*(int)LENGTH(adjoints); way++) {
            const int steps = way % 2*12;
            lone a = { .f = model_field("f", &fall_model, false), .g = model_field("g", &floor_model, false),
                       .map = model_field("map", &rebound_model, false), .y0 = { (nde_real)h },
                       .p = { (nde_real)g, (nde_real)e } };
            const impact last = impact_of(LAST, h, g, e);
            const double end = last.t + 0.125, since = end - last.t, w = -e*last.v;
            a.event[0] = NDE_INIT(nde_event, .g = &a.g, .reset = &a.map, .direction = -1);
            a.problem = NDE_INIT(nde_problem, .dim = 2, .t1 = d*end, .y0 = a.y0, .p = a.p, .drift = &a.f, .events = a.event,
                                 .n_events = 1);
            a.options = NDE_INIT(nde_options, .method = NDE_TSIT5, .steps = steps, .adjoint = adjoints[way/2]);
            if (a.options.adjoint == NDE_ADJOINT_REVERSIBLE) a.options.coupling = 1;
            lone_solve(&a, NDE_OK);
            assert_int_equal(a.s.event_count[0], LAST);
            for (int k = 1; k <= LAST; k++) {
                const impact at = impact_of(k, h, g, e);
                double when[16] = { 0 };
                nde_real where[32] = { 0 };
                when[k - 1] = 1, where[2*(k - 1) + 1] = 1;
                lone_gradient(&a, &NDE_INIT(nde_seed, .event_t = when));
                is_near("t", a.s.event_t[k - 1], d*at.t, near);
                is_near("t by h", (double)a.g_y0[0], d*at.by_h, near), is_near("t by g", (double)a.g_p[0], d*at.by_g, near);
                is_near("t by e", (double)a.g_p[1], d*at.by_e, near), is_near("t by t0", a.g_t0, 1, near),
                    is_near("t by t1", a.g_t1, 0, near);
                lone_gradient(&a, &NDE_INIT(nde_seed, .event_y = where));
                is_near("v by h", (double)a.g_y0[0], d*at.v_h, near), is_near("v by g", (double)a.g_p[0], d*at.v_g, near);
                is_near("v by e", (double)a.g_p[1], d*at.v_e, near), is_near("v by t0", a.g_t0, 0, near);
            }
            /* y = w s - g s^2/2, s = t1 - t_k, w = -e v_k */
            const nde_real up[] = { 1, 0 };
            const double by_t = -(w - g*since);
            lone_gradient(&a, &NDE_INIT(nde_seed, .y_end = up));
            is_near("y", (double)a.s.y_end[0], w*since - g*since*since/2, near);
            is_near("y by h", (double)a.g_y0[0], by_t*last.by_h - e*last.v_h*since, near);
            is_near("y by g", (double)a.g_p[0], by_t*last.by_g - e*last.v_g*since - since*since/2, near);
            is_near("y by e", (double)a.g_p[1], by_t*last.by_e - (last.v + e*last.v_e)*since, near);
            is_near("y by t1", a.g_t1, -d*by_t, near), is_near("y by t0", a.g_t0, d*by_t, near);
            nde_solver_destroy(a.solver);
        }
}

/* Leaky integrate-and-fire: tau V' = I - V, back to V_r at the threshold; p = (tau, threshold, V_r), q = I. */
static void leak_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = (x->q[0] - x->y[0])/x->p[0], j[0][0] = -1/x->p[0], j[0][1] = -f[0]/x->p[0], j[0][4] = 1/x->p[0];
}
static void threshold_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[0] - x->p[1], j[0][0] = 1, j[0][2] = -1;
}
static void fire_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) { f[0] = x->p[2], j[0][3] = 1; }
static const model leak_model = { 1, 1, 0, 3, 1, leak_formula }, threshold_model = { 1, 1, 0, 3, 1, threshold_formula },
                   fire_model = { 1, 1, 0, 3, 1, fire_formula };

/* The seventh spike of each neuron ends it, at tau (log((I - V_0)/(I - h)) + 6 log((I - V_r)/(I - h))). */
static void neurons_spike_by(int adjoint) {
    enum { N = 200, SPIKES = 7 };
    const bool discrete = adjoint == NDE_ADJOINT_DISCRETE;
    const double tau = 0.75, h = 1, r = 0.25, tolerance = sizeof(nde_real) == 4 ? 1e-5 : discrete ? 1e-12 : 1e-9,
                 most = sizeof(nde_real) == 8 ? 1000*tolerance : 2e-3;
    nde_real y0[N], q[N], p[] = { (nde_real)tau, (nde_real)h, (nde_real)r }, g_y0[N], g_q[N], g_p[3];
    double seed_t[N], by_p[3] = { 0 };
    for (size_t i = 0; i < N; i++)
        y0[i] = (nde_real)(0.5*proof_number(1, i)), q[i] = (nde_real)(1.75 + 0.5*proof_number(2, i)),
        seed_t[i] = proof_number(3, i);
    const nde_field f = model_field("f", &leak_model, false), g = model_field("g", &threshold_model, false),
                    map = model_field("map", &fire_model, false);
    const nde_event spike = NDE_INIT(nde_event, .g = &g, .reset = &map, .direction = 1, .terminal = SPIKES);
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .t1 = 50, .y0 = y0, .p = p, .q = q, .drift = &f,
                                         .events = &spike, .n_events = 1);
    const nde_options o = NDE_INIT(nde_options, .method = discrete ? NDE_VERN7 : NDE_TSIT5, .rtol = tolerance,
                                   .atol = tolerance, .adjoint = adjoint, .budget = 1 << 25, .group = 100,
                                   .event_rows = 3); /* the others are known all the same */
    nde_solver *s;
    nde_solution out = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solver_create(&problem, &o, &s), NDE_OK);
    assert_int_equal(nde_solver_run(s, &out), NDE_EVENT);
    const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = g_y0, .q = g_q, .p = g_p);
    assert_int_equal(nde_backward(s, &NDE_INIT(nde_seed, .t_end = seed_t), &gradient), NDE_OK);
    for (size_t i = 0; i < N; i++) {
        const double I = (double)q[i], v = (double)y0[i], to = 1/(I - h), w = seed_t[i];
        const double time = tau*(log((I - v)*to) + (SPIKES - 1)*log((I - r)*to));
        is_near("t", out.t_end[i], time, most);
        is_near("t by V_0", (double)g_y0[i], w*-tau/(I - v), most);
        is_near("t by I", (double)g_q[i], w*tau*(1/(I - v) + (SPIKES - 1)/(I - r) - SPIKES*to), most);
        by_p[0] += w*time/tau, by_p[1] += w*tau*SPIKES*to, by_p[2] -= w*tau*(SPIKES - 1)/(I - r);
    }
    for (int k = 0; k < 3; k++) is_near("t by p", (double)g_p[k], by_p[k], most);
    nde_solver_destroy(s);
}

static void neurons_spike(void **state) {
    (void)state;
    for (size_t k = 0; k < LENGTH(adjoints); k++)
        if (adjoints[k] != NDE_ADJOINT_REVERSIBLE) neurons_spike_by(adjoints[k]); /* it needs a method of its own */
}

/* y' = p0, doubled at two announced times; between them it reaches p1 and begins anew at p2. All is linear in between. */
static void climb_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) { f[0] = x->p[0], j[0][1] = 1; }
static void top_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->y[0] - x->p[1], j[0][0] = 1, j[0][2] = -1;
}
static void again_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) { f[0] = x->p[2], j[0][3] = 1; }
static void double_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) { f[0] = 2*x->y[0], j[0][0] = 2; }
static const model climb_model = { 1, 1, 0, 3, 0, climb_formula }, top_model = { 1, 1, 0, 3, 0, top_formula },
                   again_model = { 1, 1, 0, 3, 0, again_formula }, double_model = { 1, 1, 0, 3, 0, double_formula };

static void announced_times_move_events(void **state) {
    (void)state;
    for (int d = -1; d <= 1; d += 2) {
        lone a = { .f = model_field("f", &climb_model, false), .g = model_field("g", &top_model, false),
                   .map = model_field("map", &again_model, false), .y0 = { (nde_real)0.5 },
                   .p = { (nde_real)d, 4, (nde_real)0.25 } };
        const nde_field twice = model_field("twice", &double_model, false);
        const double jump[] = { d*0.75, d*3.25 }, near = 100*NDE_TEST_EPS;
        a.event[0] = NDE_INIT(nde_event, .g = &a.g, .reset = &a.map);
        a.problem = NDE_INIT(nde_problem, .dim = 1, .t1 = d*4, .y0 = a.y0, .p = a.p, .drift = &a.f, .events = a.event,
                             .n_events = 1, .jump = &twice, .jump_t = jump, .n_jumps = 2);
        a.options = NDE_INIT(nde_options, .method = NDE_DOPRI5);
        lone_solve(&a, NDE_OK);
        /* the event: 2 (y0 + p0 (j0 - t0)) + p0 (t - j0) = p1; y = 2 (p2 + p0 (j1 - t)) + p0 (t1 - j1) */
        const double when = 1;
        const nde_real up = 1;
        lone_gradient(&a, &NDE_INIT(nde_seed, .event_t = &when));
        is_near("t", a.s.event_t[0], d*2.25, near);
        is_near("t by y0", (double)a.g_y0[0], -2*d, near), is_near("t by p1", (double)a.g_p[1], d, near),
            is_near("t by j0", a.g_jump[0], -1, near);
        is_near("t by j1", a.g_jump[1], 0, near), is_near("t by t0", a.g_t0, 2, near),
            is_near("t by p2", (double)a.g_p[2], 0, near);
        is_near("t by p0", (double)a.g_p[0], -(2*0.75 + 1.5), near);
        lone_gradient(&a, &NDE_INIT(nde_seed, .y_end = &up));
        is_near("y by j0", a.g_jump[0], 2*d, near), is_near("y by j1", a.g_jump[1], d, near),
            is_near("y by t1", a.g_t1, d, near);
        is_near("y by y0", (double)a.g_y0[0], 4, near), is_near("y by p1", (double)a.g_p[1], -2, near),
            is_near("y by p2", (double)a.g_p[2], 2, near);
        is_near("y by t0", a.g_t0, -4*d, near);
        nde_solver_destroy(a.solver);
    }
}

/* ---- both modes --------------------------------------------------------------------------------------------------- */

static void modes_agree_on_an_ensemble(void **state) {
    (void)state;
    for (int terminal = 0; terminal <= 5; terminal += 5) {
        proof f;
        oscillators(&f, 520, 0, terminal);
        f.options.group = 260;
        proof_solve(&f);
        if (getenv("PROOF_VERBOSE"))
            fprintf(stderr, "    %d resets, %d turns\n", (int)count_hits(&f, 0), (int)count_hits(&f, 1));
        assert_true(count_hits(&f, 0) > 600 && count_hits(&f, 1) > 600);
        proof_check_identity(&f);
        proof_end(&f);
    }
}

/* What steps say of themselves, those that are cut as well: as they were attempted. */
static void estimates_go_through_events(void **state) {
    (void)state;
    for (int32_t of = NDE_ESTIMATES_ALL; of <= NDE_ESTIMATES_STEP; of++) {
        proof f;
        oscillators(&f, 60, 0, 5);
        f.options.estimates = of, f.options.rtol = 1e-3, f.options.atol = 1e-4;
        proof_solve(&f);
        const double error = proof_identity(&f);
        assert_true(count_hits(&f, 0) > 60);
        if (!(error <= (sizeof(nde_real) == 8 ? 1e-10 : 1e-3))) fail_msg("estimates %d: %g", (int)of, error);
        proof_end(&f);
    }
}

/* Every method that extends its steps, with its own steps and with fixed ones, forwards in time and backwards. */
static void modes_agree_with_every_method(void **state) {
    (void)state;
    int methods = 0, ends = 0;
    double worst = 0;
    for (size_t k = 0; k < nde_method_count(); k++)
        for (int way = 0; way < 4; way++) {
            const nde_method *m = nde_method_at(k);
            proof f;
            if (nde_method_kind(m) == NDE_KIND_STOCHASTIC || nde_method_kind(m) == NDE_KIND_SPLITTING) continue;
            if (nde_method_kind(m) == NDE_KIND_IMEX) continue; /* two fields: tests/method/imex.c */
            if (!(way & 1) && !nde_method_error_order(m)) continue;
            oscillators(&f, 7, way & 1 ? 40 : 0, 3);
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
            for (size_t i = 0; i < f.n; i++) ends += f.solution.event_end[i] == 1;
            proof_end(&f);
        }
    assert_true(methods > 60 && ends > 60);
    if (getenv("PROOF_VERBOSE")) fprintf(stderr, "    %d cases, at most %g of rounding\n", methods, worst/NDE_TEST_EPS);
}

static void modes_agree_with_jumps_paths_and_quadrature(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        proof f;
        if (k < 2) reaction(&f, k);
        else driven(&f, k == 2 ? NDE_TSIT5 : NDE_VERN7);
        f.options.estimates = k == 1 ? NDE_ESTIMATES_ALL : 0;
        proof_solve(&f);
        if (getenv("PROOF_VERBOSE")) fprintf(stderr, "    %d resets\n", (int)count_hits(&f, 0));
        assert_true(count_hits(&f, 0) >= 4);
        /* of small differences */
        if (f.options.estimates) assert_true(proof_identity(&f) <= (sizeof(nde_real) == 8 ? 1e-10 : 1e-3));
        else proof_check_identity(&f);
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

/* In pieces, and by several threads. */
static void pieces_and_threads_have_equal_bits(void **state) {
    (void)state;
    proof f;
    oscillators(&f, 300, 0, 5);
    f.options.group = 60;
    proof_solve(&f);
    const proof_copy kept = proof_keep(&f);
    f.options.threads = 3;
    proof_solve(&f);
    assert_null(proof_differs(&f, &kept));
    f.options.threads = 1;
    proof_create(&f);
    nde_status status;
    do status = nde_solver_steps(f.solver, 3, &f.solution); while (status == NDE_UNFINISHED);
    assert_int_equal(status, NDE_EVENT);
    proof_backward(&f);
    assert_null(proof_differs(&f, &kept));
    proof_end(&f);
}

/* Directions one by one, or together. */
static void many_directions_have_equal_bits(void **state) {
    (void)state;
    enum { N = 30, DIRECTIONS = 3 };
    proof f;
    oscillators(&f, N, 0, 3);
    f.options.directions = 8;
    proof_solve(&f);
    const size_t rows = f.solution.event_rows*N;
    nde_real *y0 = proof_take(&f, DIRECTIONS*2*N, sizeof *y0), *end = proof_take(&f, (DIRECTIONS + 1)*2*N, sizeof *end);
    double *when = proof_take(&f, (DIRECTIONS + 1)*rows, sizeof *when),
        *last = proof_take(&f, (DIRECTIONS + 1)*N, sizeof *last);
    for (size_t i = 0; i < DIRECTIONS*2*N; i++) y0[i] = (nde_real)proof_number(11, i);
    const nde_direction along = NDE_INIT(nde_direction, .y0 = y0);
    const nde_output_tangent all = NDE_INIT(nde_output_tangent, .y_end = end, .event_t = when, .t_end = last);
    assert_int_equal(nde_forward_many(f.solver, DIRECTIONS, &along, &all), NDE_OK);
    for (size_t d = 0; d < DIRECTIONS; d++) {
        const nde_direction one = NDE_INIT(nde_direction, .y0 = y0 + d*2*N);
        const nde_output_tangent of = NDE_INIT(nde_output_tangent, .y_end = end + DIRECTIONS*2*N,
                                               .event_t = when + DIRECTIONS*rows, .t_end = last + DIRECTIONS*N);
        assert_int_equal(nde_forward(f.solver, &one, &of), NDE_OK);
        assert_memory_equal(of.y_end, end + d*2*N, 2*N*sizeof *end);
        assert_memory_equal(of.event_t, when + d*rows, rows*sizeof *when);
        assert_memory_equal(of.t_end, last + d*N, N*sizeof *last);
    }
    proof_end(&f);
}

/* ---- where there is none ------------------------------------------------------------------------------------------- */

static void cube_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double from = x->y[0] - 1;
    f[0] = from*from*from, j[0][0] = 3*from*from;
}
static const model cube_model = { 1, 1, 0, 3, 0, cube_formula };

static void lone_is_refused(lone *a, nde_status run, const nde_seed *seed, nde_status expected, const char *what) {
    double when[16];
    lone_solve(a, run);
    const nde_gradient g = NDE_INIT(nde_gradient, .y0 = a->g_y0);
    const nde_direction v = NDE_INIT(nde_direction, .y0 = a->y0);
    assert_int_equal(nde_backward(a->solver, seed, &g), expected);
    if (expected && !strstr(nde_solver_error(a->solver), what)) fail_msg("%s", nde_solver_error(a->solver));
    const nde_output_tangent out = NDE_INIT(nde_output_tangent, .event_t = a->problem.n_events ? when : NULL, .t_end = when);
    const nde_status forward = nde_forward(a->solver, &v, &out);
    if (expected == NDE_E_ARG && a->problem.n_events) assert_int_equal(forward, NDE_E_ARG);
    nde_solver_destroy(a->solver);
    for (int adjoint = NDE_ADJOINT_BACKSOLVE; adjoint <= NDE_ADJOINT_GAUSS; adjoint++) {
        a->options.adjoint = adjoint;
        lone_solve(a, run);
        assert_int_equal(nde_backward(a->solver, seed, &g), expected);
        if (!strstr(nde_solver_error(a->solver), what)) fail_msg("adjoint %d: %s", adjoint, nde_solver_error(a->solver));
        nde_solver_destroy(a->solver);
    }
    a->options.adjoint = NDE_ADJOINT_DISCRETE;
}

static void what_has_no_derivative_is_refused(void **state) {
    (void)state;
    const double one = 1;
    const nde_real up = 1;
    const nde_seed end = NDE_INIT(nde_seed, .y_end = &up), time = NDE_INIT(nde_seed, .event_t = &one);
    lone a = { .f = model_field("f", &climb_model, false), .g = model_field("g", &cube_model, false),
               .map = model_field("map", &again_model, false), .y0 = { 0 }, .p = { 1, 1, (nde_real)0.25 } };
    a.problem = NDE_INIT(nde_problem, .dim = 1, .t1 = 3, .y0 = a.y0, .p = a.p, .drift = &a.f, .events = a.event, .n_events = 1);
    a.options = NDE_INIT(nde_options, .method = NDE_TSIT5, .h_max = 0.3, .event_rows = 1);

    a.event[0] = NDE_INIT(nde_event, .g = &a.g, .terminal = 1); /* touched */
    lone_is_refused(&a, NDE_EVENT, &end, NDE_E_ARG, "event 0 of trajectory 0 at t = ");
    a.event[0].terminal = 0;
    lone_is_refused(&a, NDE_OK, &time, NDE_E_ARG, "not crossed");
    lone_solve(&a, NDE_OK); /* nobody asks when */
    lone_gradient(&a, &end);
    is_near("y by y0", (double)a.g_y0[0], 1, 100*NDE_TEST_EPS);
    nde_solver_destroy(a.solver);

    a.g = model_field("g", &top_model, false); /* two at a time */
    a.event[1] = NDE_INIT(nde_event, .g = &a.g, .reset = &a.map);
    a.problem.n_events = 2;
    a.event[0].terminal = 1;
    lone_is_refused(&a, NDE_EVENT, &end, NDE_E_ARG, "together");
    a.event[0].terminal = 0; /* of which one does nothing */
    lone_solve(&a, NDE_OK);
    lone_gradient(&a, &time);
    is_near("t by y0", (double)a.g_y0[0], -1, 100*NDE_TEST_EPS);
    nde_solver_destroy(a.solver);

    a.problem.n_events = 1, a.event[0].terminal = 1, a.problem.t1 = 1; /* at the end */
    a.options.method = NDE_EULER, a.options.steps = 4;
    if (sizeof(nde_real) == 8) lone_is_refused(&a, NDE_EVENT, &end, NDE_E_ARG, "together"); /* float passes it before */
    a.options.method = NDE_TSIT5, a.options.steps = 0, a.problem.t1 = 3;

    a.g.vjp = NULL; /* without derivatives */
    lone_is_refused(&a, NDE_EVENT, &end, NDE_E_NO_VJP, "'g'");
    a.g = model_field("g", &top_model, false), a.event[0].reset = &a.map, a.map.vjp = NULL;
    lone_is_refused(&a, NDE_EVENT, &end, NDE_E_NO_VJP, "'map'");

    a.problem.n_events = 0; /* no events */
    lone_is_refused(&a, NDE_OK, &time, NDE_E_ARG, "without problem.events");
}

/* Fields that fail on the way back are named, and gradients are left as they were. */
static int fails_from(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    return at->t[0] > 0.9 ? 7 : model_vjp(self, at, y, a, to);
}

static void failures_are_reported(void **state) {
    (void)state;
    for (int which = 0; which < 2; which++) {
        lone a = { .f = model_field("f", &climb_model, false), .g = model_field("g", &top_model, false),
                   .map = model_field("map", &again_model, false), .y0 = { 0 }, .p = { 1, 1, (nde_real)0.25 }, .g_y0 = { 3 } };
        *(which ? &a.map : &a.g) = model_field("fails", which ? &again_model : &top_model, false);
        (which ? &a.map : &a.g)->vjp = fails_from;
        a.event[0] = NDE_INIT(nde_event, .g = &a.g, .reset = &a.map);
        a.problem = NDE_INIT(nde_problem, .dim = 1, .t1 = 3, .y0 = a.y0, .p = a.p, .drift = &a.f, .events = a.event,
                             .n_events = 1);
        lone_solve(&a, NDE_OK);
        const nde_real up = 1;
        const nde_gradient g = NDE_INIT(nde_gradient, .y0 = a.g_y0);
        assert_int_equal(nde_backward(a.solver, &NDE_INIT(nde_seed, .y_end = &up), &g), NDE_E_FIELD);
        assert_non_null(strstr(nde_solver_error(a.solver), "returned 7"));
        assert_true(a.g_y0[0] == 3);
        nde_solver_destroy(a.solver);
    }
}

/* A trajectory that fails is a constant: what its events do is nobody's affair. At the start, a hit is at t0. */
static void small_cases_by(int adjoint) {
    nde_field f = model_field("f", &climb_model, false), g = model_field("g", &top_model, false);
    const nde_event at_start = NDE_INIT(nde_event, .g = &g, .direction = 1, .terminal = 1, .at_start = 1);
    nde_real y0[] = { 2, 0 }, p[] = { 1, 1, 0 }, g_y0[2], where[] = { 3, 0 }, end[] = { 1, 0 };
    double when[] = { 5, 7 }, t_end[] = { 11, 13 }, g_t0[2];
    const nde_problem problem = NDE_INIT(nde_problem, .n = 2, .t1 = 3, .y0 = y0, .p = p, .drift = &f, .events = &at_start,
                                         .n_events = 1);
    const nde_options o = NDE_INIT(nde_options, .method = NDE_TSIT5, .adjoint = adjoint, .budget = 1 << 22, .event_rows = 1);
    nde_solver *s;
    assert_int_equal(nde_solver_create(&problem, &o, &s), NDE_OK);
    assert_int_equal(nde_solver_run(s, NULL), NDE_EVENT);
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = end, .event_t = when, .event_y = where, .t_end = t_end);
    const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = g_y0, .t0 = g_t0);
    assert_int_equal(nde_backward(s, &seed, &gradient), NDE_OK);
    is_near("y0", (double)g_y0[0], 4, 10*NDE_TEST_EPS), is_near("t0", g_t0[0], 16, 10*NDE_TEST_EPS); /* at (t0, y0) */
    is_near("y0", (double)g_y0[1], -20, 10*NDE_TEST_EPS), is_near("t0", g_t0[1], 20, 10*NDE_TEST_EPS); /* at t0 + 1 - y0 */
    nde_solver_destroy(s);
}

static void small_cases(void **state) {
    (void)state;
    for (size_t k = 0; k < LENGTH(adjoints); k++)
        if (adjoints[k] != NDE_ADJOINT_REVERSIBLE) small_cases_by(adjoints[k]);
}

/* With their own steps: forward mode, and differences of the frozen map, in which events are looked for anew. */
static void the_check_finds_them_right(void **state) {
    (void)state;
    const double allowed[] = { sizeof(nde_real) == 8 ? 1e-11 : 1e-3, sizeof(nde_real) == 8 ? 1e-8 : 5e-2 };
    for (int k = 0; k < 6; k++) {
        proof f;
        if (k < 3) oscillators(&f, 7, 0, k == 1 ? 3 : 0);
        else if (k == 3) reaction(&f, true);
        else driven(&f, k == 4 ? NDE_TSIT5 : NDE_VERN7);
        if (k == 2) f.options.method = NDE_DOP853;
        proof_solve(&f);
        nde_seed seed = proof_seeds(&f);
        seed.event_t = NULL, seed.event_y = NULL, seed.t_end = NULL;
        nde_gradient_report r = NDE_INIT(nde_gradient_report, .h = 0);
        const nde_status status = nde_gradient_check(&f.problem, &f.options, &seed, 5, &r);
        if (status) fail_msg("case %d: %s", k, nde_error());
        if (getenv("PROOF_VERBOSE"))
            fprintf(stderr, "    case %d: %g from forward mode, %g from differences\n", k, r.forward_error, r.difference_error);
        if (!(r.forward_error <= allowed[0] && r.difference_error <= allowed[1]))
            fail_msg("case %d: %g from forward mode, %g from differences", k, r.forward_error, r.difference_error);
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

/* Times of jumps as parameters: steps of their own, joint or equal, with what a method carries on; both ways. */
static void announced_times_match_differences(void **state) {
    (void)state;
    static const int32_t methods[] = { NDE_TSIT5, NDE_VERN7, NDE_DOP853, NDE_BOSH3, NDE_REVERSIBLE_HEUN,
                                       NDE_ADAMS_BASHFORTH, NDE_EULER };
    for (size_t k = 0; k < LENGTH(methods); k++)
        for (int way = 0; way < 6; way++) {
            const double d = way % 2 ? -1 : 1;
            const bool adaptive = nde_method_error_order(nde_method_get(methods[k])) > 0 && way < 4;
            proof f;
            if (!adaptive && way < 4) continue;
            case_doses(&f, adaptive ? 0 : 23, false);
            for (size_t i = 0; i < f.problem.n_jumps; i++) ((double *)f.in[IN_JUMP_T].x)[i] *= d;
            for (size_t i = 0; i < f.options.n_save; i++) ((double *)f.in[IN_SAVE_T].x)[i] *= d;
            for (size_t i = 0; i < f.n; i++) ((double *)f.in[IN_T1].x)[i] *= d;
            f.problem.t1 *= d;
            /* the reference knows no stages inside */
            if (nde_method_stages(nde_method_get(methods[k])) > 7) proof_no_saves(&f);
            f.options.method = methods[k], f.options.stepping = adaptive && way >= 2 ? NDE_STEP_JOINT : 0;
            f.options.rtol = f.options.atol = 1e-5;
            proof_solve(&f);
            proof_check_identity(&f);
            if (getenv("PROOF_VERBOSE")) fprintf(stderr, "%s way %d\n", nde_method_name(nde_method_get(methods[k])), way);
            proof_check_differences(&f);
            proof_end(&f);
        }
}

static void fixed_steps_match_differences(void **state) {
    (void)state;
    static const int32_t methods[] = { NDE_RK4, NDE_TSIT5, NDE_VERN7, NDE_DOP853, NDE_MIDPOINT, NDE_ADAMS_BASHFORTH, NDE_RKC2 };
    for (size_t k = 0; k < LENGTH(methods); k++)
        for (int way = 0; way < 4; way++) {
            proof f;
            oscillators(&f, 20, 90, way % 2 ? 3 : 0);
            f.options.method = methods[k];
            proof_spans(&f, 0.1, 0.05, way < 2 ? 2.9 : -2.6, 0.05);
            if (way % 2) {
                f.options.save_every = 3;
            } else {
                const double d = way < 2 ? 1 : -1;
                proof_save(&f, 4, (double[]){ d*0.3, d*0.9, d*1.7, d*2.4 });
            }
            proof_solve(&f);
            if (getenv("PROOF_VERBOSE"))
                fprintf(stderr, "    %d resets, %d turns\n", (int)count_hits(&f, 0), (int)count_hits(&f, 1));
            assert_true(count_hits(&f, 0) >= 6);
            proof_check_identity(&f);
            double slope = 0;
            for (int i = 0; i < INPUTS; i++)
                for (size_t j = 0; j < f.in[i].count; j++)
                    slope += input_get(&f.in[i], f.in[i].g, j)*input_get(&f.in[i], f.in[i].v, j);
            const double by = slope_of(&f, 2e-5), error = fabs(slope - by)/fabs(by);
            if (getenv("PROOF_VERBOSE"))
                fprintf(stderr, "    %s, way %d: %g\n", f.solver ? nde_method_name(nde_method_get(methods[k])) : "", way,
                        error);
            if (!(error <= 1e-8))
                fail_msg("%s, way %d: %.12g, by differences %.12g", nde_method_name(nde_method_get(methods[k])), way, slope,
                         by);
            proof_end(&f);
        }
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ball_bounces),
        cmocka_unit_test(neurons_spike),
        cmocka_unit_test(announced_times_move_events),
        cmocka_unit_test(modes_agree_on_an_ensemble),
        cmocka_unit_test(modes_agree_with_every_method),
        cmocka_unit_test(estimates_go_through_events),
        cmocka_unit_test(modes_agree_with_jumps_paths_and_quadrature),
        cmocka_unit_test(every_record_has_equal_bits),
        cmocka_unit_test(pieces_and_threads_have_equal_bits),
        cmocka_unit_test(what_has_no_derivative_is_refused),
        cmocka_unit_test(many_directions_have_equal_bits),
        cmocka_unit_test(failures_are_reported),
        cmocka_unit_test(small_cases),
        cmocka_unit_test(the_check_finds_them_right),
#ifndef NDE_TEST_SINGLE
        cmocka_unit_test(fixed_steps_match_differences),
        cmocka_unit_test(announced_times_match_differences),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
