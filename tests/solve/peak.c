/* SPDX-License-Identifier: MIT
 * The memory that a training step touches is what the plan says it keeps, and little more. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 256, STEPS = 20 };
#define MOST_MORE 20e6 /* bytes: code, stacks, the buffers of the allocator */

/* A line of /proc/self/status in bytes; negative: there is none. */
static double status_of(const char *name) {
    char line[256];
    double kib = -1;
    FILE *f = fopen("/proc/self/status", "r");
    if (!f) return -1;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0 && sscanf(line + strlen(name), ": %lf kB", &kib) == 1) break;
    fclose(f);
    return kib*1024;
}

static int loss(void *ctx, size_t save, double t, size_t n, const nde_real *y, double *value, nde_real *a_y) {
    (void)ctx, (void)save, (void)t;
    for (size_t i = 0; i < 64*n; i++) *value += (double)(y[i]*y[i]), a_y[i] = 2*y[i];
    return 0;
}

/* Pages of the system: malloc would write on all of them where MALLOC_PERTURB_ is set. */
static void *take(void *ctx, size_t bytes, size_t alignment) {
    (void)ctx, (void)alignment;
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return block == MAP_FAILED ? NULL : block;
}
static void give(void *ctx, void *block, size_t bytes) {
    (void)ctx;
    munmap(block, bytes);
}

/* In a process of its own, whose peak is its own. 0: good; 1: too much; 2: it cannot be told. */
static int train(bool reproducible) {
    static const size_t width[] = { 64, 256, 256, 64 };
    const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 3, .width = width);
    const nde_field field = nde_field_mlp(&mlp);
    const nde_loss squares = NDE_INIT(nde_loss, .at = loss);
    nde_real *p = calloc(field.np, sizeof *p), *y0 = calloc(64*N, sizeof *y0), *g = calloc(field.np, sizeof *g);
    if (!p || !y0 || !g || nde_mlp_init(&mlp, NDE_GLOROT_UNIFORM, 1, p)) return 2;
    for (size_t i = 0; i < 64*N; i++) y0[i] = (nde_real)sin((double)i);
    for (size_t i = 0; i < field.np; i++) g[i] = 1;
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .t1 = 1, .y0 = y0, .p = p, .drift = &field, .loss = &squares);
    const nde_allocator pages = { .take = take, .give = give };
    const nde_options options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .steps = STEPS, .stepping = NDE_STEP_JOINT,
                                         .adjoint = NDE_ADJOINT_DISCRETE, .reproducible = reproducible,
                                         .save_t = (double[]){ 1 }, .n_save = 1, .allocator = &pages);
    const nde_gradient gradient = NDE_INIT(nde_gradient, .p = g);
    nde_needs needs = { .size = sizeof needs };
    nde_solver *solver;
    double value;
    if (nde_plan(&problem, &options, &needs) || !needs.record_used) return 2;
    const double before = status_of("VmRSS"), plan = (double)needs.workspace_bytes + (double)needs.record_used;
    if (before < 0 || nde_solver_create(&problem, &options, &solver)) return 2;
    for (int i = 0; i < 3; i++)
        if (nde_value_and_gradient(solver, &value, &gradient)) return 2;
    const double more = status_of("VmHWM") - before - plan;
    printf("plan %.1f MB, touched %.1f MB more\n", 1e-6*plan, 1e-6*more);
    fflush(stdout);
    nde_solver_destroy(solver);
    free(p), free(y0), free(g);
    return more <= MOST_MORE ? 0 : 1;
}

static void peak_is_as_planned(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* its shadow counts too */
#endif
    for (int reproducible = 0; reproducible < 2; reproducible++) {
        int status;
        const pid_t child = fork();
        assert_true(child >= 0);
        if (!child) _exit(train(reproducible));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(peak_is_as_planned) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
