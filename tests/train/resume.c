/* SPDX-License-Identifier: MIT
 * resume.c - a small but whole training run, which keeps its state in a file after every iteration and goes on from there: a
 * neural ODE, mini-batches, AdamW with a warm-up and a cosine, an average of the parameters, early stopping; then one long
 * solve in pieces. resume.py kills it.
 *   resume STATE RESULT [--stop N] [--forget NAME]
 * --stop: ends after N saved states, as if killed; --forget: does not bring this tensor back, for which the result must pay. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIM = 2, TRAJECTORIES = 12, TIMES = 13, WINDOW = 5, WIDTH = 8, NP = DIM*WIDTH + WIDTH + WIDTH*DIM + DIM, BATCH = 8,
       ITERATIONS = 300, MOST_WINDOWS = 256, MOST_SOLVER = 1 << 16, TENSORS = 20, LONG_STEPS = 3 };
static const uint64_t SEED = 7;
static const double SPACING = 0.25;

/* Everything that has to survive. */
typedef struct run {
    int64_t iteration, over; /* over: early stopping has said so */
    nde_real p[NP], best_p[NP];
    nde_optimiser optimiser;
    double moments[3*NP], mean[NP];
    nde_average average;
    nde_patience patience;
    double loss;             /* of the epoch so far */
    int64_t pieces, paused;  /* of the long solve */
    unsigned char solver[MOST_SOLVER];
    nde_real end[DIM];
} run;

static int failed(const char *where) { return fprintf(stderr, "resume: %s: %s\n", where, nde_error()), EXIT_FAILURE; }

/* ---- the state in its file ------------------------------------------------------------------------------------------- */

static size_t list(run *r, nde_tensor *to) {
    const int32_t real = sizeof(nde_real) == 8 ? NDE_F64 : NDE_F32;
    const nde_tensor all[] = {
        { .name = "iteration", .type = NDE_I64, .data = &r->iteration },
        { .name = "over", .type = NDE_I64, .data = &r->over },
        { .name = "p", .type = real, .rank = 1, .shape = { NP }, .data = r->p },
        { .name = "optimiser.step", .type = NDE_I64, .data = &r->optimiser.step },
        { .name = "optimiser.state", .type = NDE_F64, .rank = 1, .shape = { 3*NP }, .data = r->moments },
        { .name = "average.count", .type = NDE_I64, .data = &r->average.count },
        { .name = "average.mean", .type = NDE_F64, .rank = 1, .shape = { NP }, .data = r->mean },
        { .name = "patience.count", .type = NDE_I64, .data = &r->patience.count },
        { .name = "patience.waited", .type = NDE_I64, .data = &r->patience.waited },
        { .name = "patience.best_at", .type = NDE_I64, .data = &r->patience.best_at },
        { .name = "patience.best", .type = NDE_F64, .data = &r->patience.best },
        { .name = "patience.best_p", .type = real, .rank = 1, .shape = { NP }, .data = r->best_p },
        { .name = "loss", .type = NDE_F64, .data = &r->loss },
        { .name = "pieces", .type = NDE_I64, .data = &r->pieces },
        { .name = "paused", .type = NDE_I64, .data = &r->paused },
        { .name = "solver", .type = NDE_U8, .rank = 1, .shape = { MOST_SOLVER }, .data = r->solver },
        { .name = "end", .type = real, .rank = 1, .shape = { DIM }, .data = r->end },
    };
    memcpy(to, all, sizeof all);
    return sizeof all/sizeof *all;
}

static const char *file, *forgotten = "";
static long left = -1; /* states to be saved until the end by --stop */

static int save(run *r) {
    nde_tensor tensor[TENSORS];
    if (nde_tensors_save(file, tensor, list(r, tensor))) return failed("save");
    if (left > 0 && --left == 0) exit(EXIT_SUCCESS);
    return 0;
}

static int load(run *r) {
    nde_tensor tensor[TENSORS], kept[TENSORS];
    size_t n = 0;
    const size_t count = list(r, tensor);
    if (access(file, F_OK) != 0) return 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(tensor[i].name, forgotten) != 0) kept[n++] = tensor[i];
    return nde_tensors_load(file, kept, n) ? failed("load") : 0;
}

/* ---- data: damped rotations, each with its own amplitude ------------------------------------------------------------- */

static double times[TIMES];
static nde_real observed[TIMES][DIM][TRAJECTORIES];

static void make_data(void) {
    for (size_t k = 0; k < TIMES; k++) {
        const double t = times[k] = SPACING*(double)k, size = exp(-0.15*t);
        for (size_t b = 0; b < TRAJECTORIES; b++) {
            const double angle = 6.283185307179586*nde_uniform(SEED, 200, b, 0, 0), noise = 0.02*nde_normal(SEED, 201, b, k, 0);
            observed[k][0][b] = (nde_real)(size*cos(angle + 1.3*t) + noise);
            observed[k][1][b] = (nde_real)(size*sin(angle + 1.3*t) - noise);
        }
    }
    observed[3][1][4] = (nde_real)NAN; /* a value that is missing */
}

/* ---- training -------------------------------------------------------------------------------------------------------- */

typedef struct trainer {
    run *r;
    nde_series series;
    nde_window window[MOST_WINDOWS];
    size_t windows, order[MOST_WINDOWS];
    nde_mlp network;
    size_t width[3];
    nde_field field;
    nde_solver *solver;
    double t[WINDOW];
    nde_real y0[DIM*BATCH], data[WINDOW*DIM*BATCH];
} trainer;

/* Windows whose first state is not missing. */
static int make_windows(trainer *x) {
    nde_window all[MOST_WINDOWS];
    size_t count;
    x->series = NDE_INIT(nde_series, .n = TRAJECTORIES, .dim = DIM, .times = TIMES, .t = times, .y = observed[0][0]);
    if (nde_windows(&x->series, WINDOW, 2, all, MOST_WINDOWS, &count)) return failed("nde_windows");
    for (size_t i = 0; i < count; i++)
        if (all[i].trajectory != 4 || all[i].start != 3) x->window[x->windows++] = all[i];
    return 0;
}

/* The batch of this iteration: a function of it alone. */
static int next_batch(trainer *x) {
    const uint64_t batches = x->windows/BATCH, epoch = (uint64_t)x->r->iteration/batches,
                   first = (uint64_t)x->r->iteration%batches*BATCH;
    nde_window chosen[BATCH];
    if (nde_shuffle(SEED, epoch, x->windows, x->order)) return failed("nde_shuffle");
    for (size_t b = 0; b < BATCH; b++) chosen[b] = x->window[x->order[first + b]];
    if (nde_batch(&x->series, chosen, BATCH, WINDOW, x->t, x->y0, x->data, NULL, NULL)) return failed("nde_batch");
    return 0;
}

static int make_solver(trainer *x) {
    if (next_batch(x)) return EXIT_FAILURE; /* the times are the same in every batch */
    const nde_problem problem = NDE_INIT(nde_problem, .n = BATCH, .drift = &x->field, .t1 = x->t[WINDOW - 1], .y0 = x->y0,
                                         .p = x->r->p);
    const nde_options options = NDE_INIT(nde_options, .rtol = 1e-4, .atol = 1e-5, .save_t = x->t, .n_save = WINDOW,
                                         .adjoint = NDE_ADJOINT_DISCRETE, .budget = (size_t)1 << 20, .reproducible = 1);
    return nde_solver_create(&problem, &options, &x->solver) ? failed("nde_solver_create") : 0;
}

static int differentiate(trainer *x, double *loss, nde_real *gradient) {
    nde_real seed_y[WINDOW*DIM*BATCH];
    nde_solution solution = NDE_INIT(nde_solution, 0);
    const nde_seed seed = NDE_INIT(nde_seed, .y = seed_y);
    const nde_gradient wanted = NDE_INIT(nde_gradient, .p = gradient);
    if (nde_solver_run(x->solver, &solution) || nde_loss_mse(&solution, x->data, NULL, loss, seed_y) ||
        nde_backward(x->solver, &seed, &wanted))
        return failed("differentiate");
    return 0;
}

static int iterate(trainer *x) {
    run *r = x->r;
    nde_real gradient[NP];
    double loss;
    if (next_batch(x) || differentiate(x, &loss, gradient)) return EXIT_FAILURE;
    if (nde_optimiser_step(&r->optimiser, NP, gradient, r->p)) return failed("nde_optimiser_step");
    if (nde_average_update(&r->average, NP, r->p)) return failed("nde_average_update");
    r->loss += loss;
    if ((uint64_t)++r->iteration%(x->windows/BATCH) == 0) { /* an epoch is over */
        const nde_status status = nde_patience_update(&r->patience, r->loss, NP, r->p);
        if (status < 0) return failed("nde_patience_update");
        r->over = status == NDE_STOPPED;
        r->loss = 0;
    }
    return save(r);
}

/* ---- a long solve in pieces, of the averaged parameters -------------------------------------------------------------- */

static int solve_long(trainer *x) {
    run *r = x->r;
    nde_real p[NP], y0[DIM] = { 1, 0 };
    nde_solver *solver;
    nde_solution solution = NDE_INIT(nde_solution, 0);
    size_t bytes = MOST_SOLVER;
    if (nde_average_get(&r->average, NP, p)) return failed("nde_average_get");
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &x->field, .t1 = 30, .y0 = y0, .p = p);
    const nde_options options = NDE_INIT(nde_options, .rtol = 1e-5, .atol = 1e-6, .reproducible = 1);
    if (nde_solver_create(&problem, &options, &solver)) return failed("nde_solver_create");
    if (nde_solver_state(solver, NULL, &bytes) || bytes > MOST_SOLVER) return failed("nde_solver_state");
    if (r->paused && nde_solver_restore(solver, r->solver, bytes)) return failed("nde_solver_restore");
    nde_status status;
    while ((status = nde_solver_steps(solver, LONG_STEPS, &solution)) == NDE_UNFINISHED) {
        if (nde_solver_state(solver, r->solver, &bytes)) return failed("nde_solver_state");
        r->pieces++, r->paused = 1;
        if (save(r)) return EXIT_FAILURE;
    }
    if (status) return failed("nde_solver_steps");
    memcpy(r->end, solution.y_end, sizeof r->end);
    nde_solver_destroy(solver);
    return 0;
}

static int read_options(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "usage: resume STATE RESULT [--stop N] [--forget NAME]\n"), EXIT_FAILURE;
    file = argv[1];
    for (int i = 3; i + 1 < argc; i += 2)
        if (strcmp(argv[i], "--stop") == 0) left = strtol(argv[i + 1], NULL, 10);
        else forgotten = argv[i + 1];
    return 0;
}

int main(int argc, char **argv) {
    static run r;
    static trainer x = { .r = &r, .width = { DIM, WIDTH, DIM } };
    nde_tensor tensor[TENSORS];
    if (read_options(argc, argv)) return EXIT_FAILURE;
    make_data();
    x.network = NDE_INIT(nde_mlp, .layers = 2, .width = x.width);
    x.field = nde_field_mlp(&x.network);
    if (x.field.np != NP || nde_mlp_init(&x.network, NDE_GLOROT_UNIFORM, SEED, r.p)) return failed("nde_mlp_init");
    r.optimiser = NDE_INIT(nde_optimiser, .kind = NDE_ADAMW, .rate = 3e-2, .weight_decay = 1e-2, .clip_norm = 1,
                           .schedule = NDE_SCHEDULE_COSINE, .decay = 0.01, .decay_steps = ITERATIONS, .warmup_steps = 10,
                           .state = r.moments);
    r.average = NDE_INIT(nde_average, .decay = 0.95, .mean = r.mean);
    r.patience = NDE_INIT(nde_patience, .patience = 3, .improvement = 1e-4, .best_p = r.best_p);
    if (load(&r) || make_windows(&x) || make_solver(&x)) return EXIT_FAILURE;
    while (r.iteration < ITERATIONS && !r.over)
        if (iterate(&x)) return EXIT_FAILURE;
    if (solve_long(&x)) return EXIT_FAILURE;
    nde_solver_destroy(x.solver);
    if (nde_tensors_save(argv[2], tensor, list(&r, tensor))) return failed("save");
    printf("%lld iterations, best loss %.4f in epoch %lld, %lld pieces of the long solve\n", (long long)r.iteration,
           r.patience.best, (long long)r.patience.best_at, (long long)r.pieces);
    return EXIT_SUCCESS;
}
