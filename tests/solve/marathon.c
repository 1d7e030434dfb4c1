/* SPDX-License-Identifier: MIT
 * marathon.c - very many steps: adaptive ones of tsit5, on Lorenz, whose averages obey identities that hold on any
 * attractor, and on Kepler's orbit; fixed ones of leapfrog, whose energy and time must not drift. A thousand million steps
 * and 10^5 orbits with NDE_TEST_LONG, a thousandth and a hundredth of that without. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIELD(name) static int name(double t, const double *y, const double *p, double *dy, void *ctx)
#define UNUSED return (void)t, (void)p, (void)ctx, (void)y, 0

static bool is_long(void) { return getenv("NDE_TEST_LONG"); }

/* Pages of this process. */
static long resident(void) {
    long total, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &total, &pages) != 2) pages = 0;
    if (file) fclose(file);
    return pages;
}

/* Runs to the end with pauses: the mean step between pauses stays within a band about their mean, and memory does not grow. */
static void run(const nde_problem *problem, const nde_options *options, double band, nde_solution *s) {
    enum { PAUSES = 40, MOST = 100000 };
    nde_solver *solver;
    assert_int_equal(nde_solver_create(problem, options, &solver), NDE_OK);
    const int64_t piece = is_long() ? 1000000 : 20000;
    nde_status status = NDE_UNFINISHED;
    double before = problem->t0, least = HUGE_VAL, most = 0;
    long pages = 0, pauses = 0;
    for (; pauses < MOST && (status = nde_solver_steps(solver, piece, s)) == NDE_UNFINISHED; pauses++) {
        const double mean = (s->t_end[0] - before)/(double)piece;
        if (pauses) least = fmin(least, mean), most = fmax(most, mean); /* the first one comes from outside */
        if (!pauses) pages = resident();
        before = s->t_end[0];
    }
    assert_int_equal(status, NDE_OK);
    print_message("  %lld steps, %lld rejected, mean step %.6g to %.6g between %ld pauses, %ld pages more\n",
                  (long long)s->stats[0].accepted, (long long)s->stats[0].rejected, least, most, pauses, resident() - pages);
    assert_true(pauses > 5 && most < least*(1 + band));
    assert_true(resident() - pages <= 64 +
                (long)(options->n_save*(problem->drift->dim + 2)*sizeof(double))/sysconf(_SC_PAGESIZE));
    s->solver = solver;
}

/* ---- Lorenz -------------------------------------------------------------------------------------------------------- */

FIELD(lorenz) {
    dy[0] = 10*(y[1] - y[0]), dy[1] = y[0]*(28 - y[2]) - y[1], dy[2] = y[0]*y[1] - 8.0/3*y[2];
    UNUSED;
}

/* Quantities whose average over the attractor is 0: x and y by its symmetry, the others as derivatives of x^2/20, z and
 * (y^2 + z^2)/2, which are bounded. */
enum { IDENTITIES = 5 };
static void identities(const double *y, double *value) {
    value[0] = y[0];
    value[1] = y[1];
    value[2] = y[0]*(y[1] - y[0]);
    value[3] = y[0]*y[1] - 8.0/3*y[2];
    value[4] = y[1]*(y[0]*(28 - y[2]) - y[1]) + y[2]*(y[0]*y[1] - 8.0/3*y[2]);
}

static void lorenz_goes_on(void **state) {
    (void)state;
    enum { BATCHES = 200 };
    const double span = is_long() ? 2.6e7 : 2.6e4, every = is_long() ? 13 : 0.4;
    const size_t rows = (size_t)(span/every);
    double *save_t = malloc(rows*sizeof *save_t), y0[3] = { 1, 1, 20 }, sum[IDENTITIES] = { 0 }, square[IDENTITIES] = { 0 };
    for (size_t i = 0; i < rows; i++) save_t[i] = (double)(i + 1)*every;
    const nde_pointwise one = { .f = lorenz };
    const nde_field field = nde_field_pointwise(&one, 3, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = save_t[rows - 1]);
    const nde_options options = NDE_INIT(nde_options, .max_steps = NDE_ZERO, .save_t = save_t, .n_save = rows);
    nde_solution s = { 0 };
    run(&problem, &options, is_long() ? 0.01 : 0.05, &s);
    const size_t each = rows/BATCHES;
    for (size_t k = 0; k < BATCHES; k++) {
        double mean[IDENTITIES] = { 0 }, value[IDENTITIES];
        for (size_t i = k*each; i < (k + 1)*each; i++) {
            identities(s.y + 3*i, value);
            for (int j = 0; j < IDENTITIES; j++) mean[j] += value[j]/(double)each;
        }
        for (int j = 0; j < IDENTITIES; j++) sum[j] += mean[j]/BATCHES, square[j] += mean[j]*mean[j]/BATCHES;
    }
    for (int j = 0; j < IDENTITIES; j++) {
        const double sigma = sqrt((square[j] - sum[j]*sum[j])/(BATCHES - 1));
        print_message("  identity %d: %.3g, standard error %.3g\n", j, sum[j], sigma);
        assert_true(fabs(sum[j]) <= 3*sigma);
    }
    assert_true(s.stats[0].accepted > (is_long() ? 1000000000 : 1000000));
    nde_solution_free(&s);
    free(save_t);
}

/* ---- Kepler -------------------------------------------------------------------------------------------------------- */

FIELD(kepler) {
    const double r = hypot(y[0], y[1]), pull = -1/(r*r*r);
    dy[0] = y[2], dy[1] = y[3], dy[2] = pull*y[0], dy[3] = pull*y[1];
    UNUSED;
}

/* Eccentricity 0.5, energy -1/2: tsit5 is not symplectic, so that energy drifts with time, evenly, and no faster than the
 * tolerance allows. */
static void kepler_goes_on(void **state) {
    (void)state;
    const double pi = acos(-1), orbits = is_long() ? 1e5 : 1e3;
    double y0[4] = { 0.5, 0, 0, sqrt(3) }, save_t[10], drift[10];
    for (int i = 0; i < 10; i++) save_t[i] = (i + 1)*orbits/10*2*pi;
    const nde_pointwise one = { .f = kepler };
    const nde_field field = nde_field_pointwise(&one, 4, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = save_t[9]);
    const nde_options options = NDE_INIT(nde_options, .max_steps = NDE_ZERO, .rtol = 1e-9, .atol = 1e-12, .save_t = save_t,
                                         .n_save = 10);
    nde_solution s = { 0 };
    run(&problem, &options, is_long() ? 0.02 : 0.05, &s);
    for (int i = 0; i < 10; i++) {
        const double *y = s.y + 4*i;
        drift[i] = 2*((y[2]*y[2] + y[3]*y[3])/2 - 1/hypot(y[0], y[1])) + 1;
    }
    print_message("  energy: %.3g of itself in %g orbits, %.3g in the first tenth\n", drift[9], orbits, drift[0]);
    assert_true(fabs(drift[9]) < 1e-8*orbits && fabs(drift[9]/drift[0] - 10) < 1);
    nde_solution_free(&s);
}

/* ---- leapfrog ------------------------------------------------------------------------------------------------------ */

/* Kepler's field, of which mostly half is asked for. */
static int kepler_halves(const nde_field *self, const nde_site *at, const double *y, double *dy) {
    const size_t ld = at->ld;
    (void)self;
    if (!(at->flags & NDE_VELOCITIES)) dy[0] = y[2*ld], dy[ld] = y[3*ld];
    if (at->flags & NDE_POSITIONS) return 0;
    const double r2 = y[0]*y[0] + y[ld]*y[ld], pull = -1/(r2*sqrt(r2));
    dy[2*ld] = pull*y[0], dy[3*ld] = pull*y[ld];
    return 0;
}

/* Mean energies of the tenths of a run, and how far times are from those of equal steps. */
enum { TENTHS = 10, STEPS_A_ROW = 10 };
typedef struct watch {
    long double span;
    int64_t rows;
    double mean[TENTHS], late; /* in ulps */
} watch;

static int look(void *ctx, size_t m, size_t ld, const size_t *trajectory, const size_t *row, const double *t, const double *y) {
    watch *w = ctx;
    (void)trajectory;
    for (size_t j = 0; j < m; j++) {
        if (row[j] == 0) continue;
        const double *q = y + j, r = sqrt(q[0]*q[0] + q[ld]*q[ld]), v2 = q[2*ld]*q[2*ld] + q[3*ld]*q[3*ld];
        const long double time = w->span*(long double)row[j]/(long double)w->rows;
        w->mean[((int64_t)row[j] - 1)*TENTHS/w->rows] += (v2/2 - 1/r)*TENTHS/(double)w->rows;
        w->late = fmax(w->late, (double)fabsl((long double)t[j] - time)/(nextafter(t[j], HUGE_VAL) - t[j]));
    }
    return 0;
}

/* A thousand steps an orbit of eccentricity 0.5: the mean energy of orbits stays where it is. */
static void leapfrog_keeps_energy_and_time(void **state) {
    (void)state;
    const int64_t steps = is_long() ? 1000000000 : 1000000;
    const double span = (double)steps/1000*2*acos(-1), y0[4] = { 0.5, 0, 0, sqrt(3) };
    watch w = { .span = (long double)span, .rows = steps/STEPS_A_ROW };
    const nde_stream stream = NDE_INIT(nde_stream, .at = look, .ctx = &w);
    const nde_field field = NDE_INIT(nde_field, .dim = 4, .out = 4, .traits = NDE_AUTONOMOUS, .eval = kepler_halves);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = span, .split = 2, .stream = &stream);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_LEAPFROG, .steps = steps, .max_steps = NDE_ZERO,
                                         .save_every = STEPS_A_ROW, .discard = 1);
    nde_solution s = { 0 };
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
    double least = w.mean[0], most = least;
    for (int i = 1; i < TENTHS; i++) least = fmin(least, w.mean[i]), most = fmax(most, w.mean[i]);
    print_message("  %lld steps: mean energies of tenths within %.3g of each other; times within %.3g ulp\n",
                  (long long)s.stats[0].accepted, (most - least)/fabs(least), w.late);
    assert_int_equal(s.stats[0].accepted, steps);
    assert_true(most - least <= 1e-9*fabs(least));
    assert_true(w.late <= 1);
    nde_solution_free(&s);
}

/* Forth and back: roundings alone are left, and they grow with the square of the steps at most. */
static void leapfrog_comes_back(void **state) {
    (void)state;
    const int64_t steps = is_long() ? 10000000 : 100000;
    const double span = (double)steps/1000*2*acos(-1), y0[4] = { 0.5, 0, 0, sqrt(3) };
    const nde_field field = NDE_INIT(nde_field, .dim = 4, .out = 4, .traits = NDE_AUTONOMOUS, .eval = kepler_halves);
    nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = span, .split = 2);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_LEAPFROG, .steps = steps, .max_steps = NDE_ZERO);
    nde_solution s = { 0 }, back = { 0 };
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
    problem.t0 = span, problem.t1 = 0, problem.y0 = s.y_end;
    assert_int_equal(nde_solve(&problem, &options, &back), NDE_OK);
    double off = 0;
    for (int i = 0; i < 4; i++) off = fmax(off, fabs(back.y_end[i] - y0[i]));
    print_message("  %lld steps and back: %.3g off\n", (long long)steps, off);
    assert_true(off <= 1e-6);
    nde_solution_free(&s), nde_solution_free(&back);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(kepler_goes_on), cmocka_unit_test(leapfrog_keeps_energy_and_time),
                                        cmocka_unit_test(leapfrog_comes_back), cmocka_unit_test(lorenz_goes_on) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
