/* SPDX-License-Identifier: MIT
 * optimiser.c - the optimisers against PyTorch (optimiser_torch.py), their schedules, clipping, resumption and refusals. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/kernels.h"
#include "optimiser_torch.h"
#include "train/update.h"

#define LENGTH(array) (sizeof(array)/sizeof *(array))

enum { NP = 4, STEPS = 200 };

/* Every kind, with and without what changes its rule. */
static const nde_optimiser every[] = {
    { .kind = NDE_ADAM }, { .kind = NDE_ADAMW }, { .kind = NDE_SGD }, { .kind = NDE_SGD, .momentum = 0.9 },
    { .kind = NDE_SGD, .momentum = 0.9, .nesterov = 1 }, { .kind = NDE_RMSPROP }, { .kind = NDE_RMSPROP, .momentum = 0.9 },
    { .kind = NDE_ADADELTA },
};
static const size_t arrays[] = { 2, 2, 0, 1, 1, 1, 2, 2 };

/* Gradient of sum w[i] (p[i] + 3/4 sqrt(1 + (p[i] - c[i])^2)) + 1/8 sum sqrt(1 + (p[i+1] - p[i])^2). */
static void slope(const nde_real *p, nde_real *g) {
    static const double w[NP] = { 0.5, -1, 1.5, -2 }, c[NP] = { -2, 1.5, 0.25, 3 };
    double pull[NP + 1] = { 0 }; /* of p[i - 1] on p[i] */
    for (int i = 1; i < NP; i++) {
        const double d = (double)p[i] - (double)p[i - 1];
        pull[i] = d/sqrt(1 + d*d)/8;
    }
    for (int i = 0; i < NP; i++) {
        const double d = (double)p[i] - c[i];
        g[i] = (nde_real)(w[i]*(1 + 0.75*d/sqrt(1 + d*d)) + pull[i] - pull[i + 1]);
    }
}

static void begin(nde_real *p) {
    static const double start[NP] = { -1.25, 1, 0.75, 2 };
    for (int i = 0; i < NP; i++) p[i] = (nde_real)start[i];
}

static void walk(nde_optimiser *o, int steps, nde_real *p) {
    nde_real g[NP];
    for (int k = 0; k < steps; k++) {
        slope(p, g);
        assert_int_equal(nde_optimiser_step(o, NP, g, p), NDE_OK);
    }
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

/* Double: to 1e-12. Float: each step rounds p, and its gradient, to an ulp or less. */
static void as_torch(void **state) {
    (void)state;
    const double tolerance = sizeof(nde_real) == 8 ? 1e-12 : STEPS*NDE_TEST_EPS;
    double worst = 0;
    for (size_t k = 0; k < LENGTH(torch_cases); k++) {
        double memory[3*NP];
        nde_real p[NP];
        nde_optimiser o = torch_cases[k].how;
        for (int i = 0; i < 3*NP; i++) memory[i] = 9; /* zeroed at step 0 */
        o.state = memory;
        begin(p);
        for (int part = 0; part < 2; part++) {
            walk(&o, part ? 180 : 20, p);
            for (int i = 0; i < NP; i++) {
                const double expected = torch_cases[k].p[part][i];
                const double error = fabs((double)p[i] - expected)/fmax(1, fabs(expected));
                if (error > worst) worst = error;
                if (!(error <= tolerance))
                    fail_msg("case %zu: p[%d] is %.17g, not %.17g (%.1e)", k, i, (double)p[i], expected, error);
            }
        }
        assert_int_equal(o.step, STEPS);
    }
    print_message("%zu cases, largest relative difference %.1e\n", LENGTH(torch_cases), worst);
}

/* A parameter's steps depend on nothing but its own gradients: many together move as each alone, to the bit. */
static void parameters_are_independent(void **state) {
    (void)state;
    enum { N = 1291 }; /* two blocks and a part */
    static double memory[3*N];
    static nde_real p[N], g[4][N];
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < 4; k++) g[k][i] = (nde_real)(nde_normal(1, 128, 0, k, i)*(i % 7 == 0 ? 0 : 1));
    for (size_t k = 0; k < LENGTH(every); k++) {
        nde_optimiser together = every[k];
        together.state = memory, together.weight_decay = 0.125, together.clip_value = 1.5;
        assert_int_equal(nde_optimiser_length(&together, N), arrays[k]*N);
        for (size_t i = 0; i < N; i++) p[i] = (nde_real)(1 + 0.5*(double)(i % 5));
        for (size_t step = 0; step < 4; step++) assert_int_equal(nde_optimiser_step(&together, N, g[step], p), NDE_OK);
        for (size_t i = 0; i < N; i++) {
            double own[3];
            nde_real alone = (nde_real)(1 + 0.5*(double)(i % 5));
            nde_optimiser single = together;
            single.step = 0, single.state = own;
            for (size_t step = 0; step < 4; step++)
                assert_int_equal(nde_optimiser_step(&single, 1, &g[step][i], &alone), NDE_OK);
            assert_memory_equal(&alone, p + i, sizeof alone);
            for (size_t j = 0; j < arrays[k]; j++) assert_memory_equal(own + j, memory + j*N + i, sizeof *own);
        }
    }
}

/* The same bits by every instruction set. */
static void same_bits_everywhere(void **state) {
    (void)state;
    enum { N = 777 };
    static const int isas[] = { NDE_ISA_BASELINE, NDE_ISA_V3, NDE_ISA_V4 };
    static double memory[2][2*N];
    static nde_real p[2][N], g[N];
    for (size_t k = 0; k < LENGTH(every); k++)
        for (size_t a = 1; a < LENGTH(isas); a++) {
            const nde_kernels *kernels[2] = { nde_kernels_get(isas[0], true), nde_kernels_get(isas[a], true) };
            if (!kernels[1]) continue;
            const nde_update u = { .kind = every[k].kind, .arrays = arrays[k], .nesterov = every[k].nesterov == 1, .limit = 2,
                                   .cut = 0.7, .decay = 0.01, .rate = 0.03, .keep = 0.99, .beta1 = 0.9, .beta2 = 0.99,
                                   .debias1 = 0.3, .debias2 = 0.2, .momentum = every[k].momentum, .rho = 0.9,
                                   .epsilon = 1e-8 };
            for (size_t i = 0; i < 2*N; i++) memory[0][i] = memory[1][i] = nde_uniform(1, 128, 1, 0, i);
            for (size_t i = 0; i < N; i++) {
                p[0][i] = p[1][i] = (nde_real)nde_normal(1, 128, 2, 0, i);
                g[i] = (nde_real)(nde_normal(1, 128, 3, 0, i)*exp(9*nde_normal(1, 128, 4, 0, i)));
            }
            double top[2], sum[2];
            for (size_t j = 0; j < 2; j++) {
                top[j] = kernels[j]->update->largest(&u, N, g, p[j]);
                sum[j] = kernels[j]->update->squares(&u, N, g, p[j], 3);
                for (int step = 0; step < 3; step++) kernels[j]->update->step(&u, N, g, memory[j], p[j]);
            }
            assert_memory_equal(p[0], p[1], sizeof p[0]);
            assert_memory_equal(memory[0], memory[1], sizeof memory[0]);
            assert_true(top[0] == top[1] && sum[0] == sum[1] && top[0] > 0 && sum[0] > 0);
        }
}

/* A bowl with a condition of 20. */
static void bowl(void **state) {
    (void)state;
    enum { N = 20 };
    static const double rate[] = { 0.1, 0.1, 0.05, 0.01, 0.01, 0.03, 0.01, 5 };
    for (size_t k = 0; k < LENGTH(every); k++) {
        double memory[2*N], distance = 0;
        nde_real p[N] = { 0 }, g[N];
        nde_optimiser o = every[k];
        o.rate = rate[k], o.state = memory, o.clip_norm = 10, o.weight_decay = NDE_ZERO;
        o.schedule = NDE_SCHEDULE_COSINE, o.decay_steps = 3000;
        for (int step = 0; step < 3000; step++) {
            for (int i = 0; i < N; i++) g[i] = (nde_real)(i + 1)*(p[i] - (nde_real)(i - 10)/10);
            assert_int_equal(nde_optimiser_step(&o, N, g, p), NDE_OK);
        }
        for (int i = 0; i < N; i++) distance = fmax(distance, fabs((double)p[i] - (i - 10)/10.0));
        if (!(distance < 1e-4)) fail_msg("case %zu: distance %g", k, distance);
    }
}

/* epsilon = 0: a parameter whose gradient is 0 stays, and what has no square is not divided by 0. */
static void epsilon_may_be_zero(void **state) {
    (void)state;
    const nde_real tiny = sizeof(nde_real) == 8 ? (nde_real)1e-170 : (nde_real)1e-38;
    for (size_t k = 0; k < LENGTH(every); k++) {
        double memory[6];
        nde_real p[3] = { 1, 2, 3 };
        nde_optimiser o = every[k];
        o.epsilon = o.weight_decay = NDE_ZERO, o.state = memory;
        for (int step = 0; step < 3; step++)
            assert_int_equal(nde_optimiser_step(&o, 3, (const nde_real[]){ 0, tiny, 1 }, p), NDE_OK);
        assert_true(p[0] == 1 && isfinite(p[1]) && isfinite(p[2]));
        assert_true(every[k].kind == NDE_ADADELTA ? p[2] == 3 : p[2] < 3); /* Adadelta without epsilon never begins */
        for (size_t i = 0; i < 3*arrays[k]; i++) assert_true(isfinite(memory[i]));
    }
}

/* ---- schedules and clipping -------------------------------------------------------------------------------------- */

static double rate_at(nde_optimiser o, int64_t step) {
    o.step = step;
    return nde_optimiser_rate(&o);
}

static void schedules(void **state) {
    (void)state;
    static const double standard[] = { 1e-3, 1e-3, 1e-2, 1e-2, 1e-2, 1e-2, 1e-2, 1 };
    for (size_t k = 0; k < LENGTH(every); k++) assert_true(nde_optimiser_rate(&every[k]) == standard[k]);
    assert_true(nde_optimiser_rate(&(nde_optimiser){ .size = 0 }) == 1e-3);

    nde_optimiser o = NDE_INIT(nde_optimiser, .rate = 0.5, .schedule = NDE_SCHEDULE_EXPONENTIAL, .decay_steps = 100);
    assert_true(rate_at(o, 0) == 0.5);
    assert_true(fabs(rate_at(o, 50) - 0.5*sqrt(0.1)) < 1e-15);
    assert_true(fabs(rate_at(o, 200) - 0.005) < 1e-17);
    assert_true(rate_at(o, INT64_MAX) == 0);
    o.decay = 2;
    assert_true(rate_at(o, 100) == 1);
    o.warmup_steps = 4;
    assert_true(rate_at(o, 0) == 0.125 && rate_at(o, 1) == 0.25 && rate_at(o, 2) == 0.375);
    assert_true(rate_at(o, 3) == 0.5 && rate_at(o, 4) == 0.5 && rate_at(o, 104) == 1);
    o.warmup_steps = 1;
    assert_true(rate_at(o, 0) == 0.5 && rate_at(o, 1) == 0.5);
    o.warmup_steps = INT64_MAX;
    assert_true(rate_at(o, 0) > 0 && rate_at(o, INT64_MAX - 1) == 0.5 && rate_at(o, INT64_MAX) == 0.5);

    o = NDE_INIT(nde_optimiser, .rate = 0.5, .schedule = NDE_SCHEDULE_COSINE, .decay_steps = 8, .warmup_steps = 2);
    assert_true(rate_at(o, 0) == 0.25 && rate_at(o, 1) == 0.5 && rate_at(o, 2) == 0.5);
    assert_true(fabs(rate_at(o, 6) - 0.25) < 1e-16);
    assert_true(rate_at(o, 10) == 0 && rate_at(o, 11) == 0 && rate_at(o, INT64_MAX) == 0);
    o.decay = 0.25;
    assert_true(fabs(rate_at(o, 4) - 0.5*(0.25 + 0.75*(1 + sqrt(0.5))/2)) < 1e-15);
    assert_true(rate_at(o, 10) == 0.125 && rate_at(o, INT64_MAX) == 0.125);
    for (int64_t k = 2; k < 10; k++) assert_true(rate_at(o, k + 1) < rate_at(o, k));
    o.decay = NDE_ZERO;
    assert_true(rate_at(o, 10) == 0);

    o = NDE_INIT(nde_optimiser, .rate = NDE_ZERO, .decay = 7); /* no schedule: decay and its steps do not matter */
    assert_true(rate_at(o, 5) == 0);
    o.rate = 0.5;
    assert_true(rate_at(o, 5) == 0.5);
}

/* What a plain step with rate 1 leaves is the clipped gradient. */
static void clipped(nde_optimiser o, size_t np, const nde_real *gradient, const double *expected) {
    nde_real p[3] = { 0 };
    o.kind = NDE_SGD, o.rate = 1;
    assert_int_equal(nde_optimiser_step(&o, np, gradient, p), NDE_OK);
    for (size_t i = 0; i < np; i++) assert_true(fabs(-(double)p[i] - expected[i]) <= 4*NDE_TEST_EPS*fabs(expected[i]));
}

static void clipping(void **state) {
    (void)state;
    const nde_real huge = sizeof(nde_real) == 8 ? (nde_real)1e300 : (nde_real)5e37,
        tiny = sizeof(nde_real) == 8 ? (nde_real)1e-300 : (nde_real)1e-37;
    nde_optimiser o = NDE_INIT(nde_optimiser, .clip_norm = 1);
    clipped(o, 2, (const nde_real[]){ 3, -4 }, (const double[]){ 0.6, -0.8 });
    clipped(o, 2, (const nde_real[]){ (nde_real)0.6, (nde_real)-0.5 }, (const double[]){ (double)(nde_real)0.6, -0.5 });
    clipped(o, 2, (const nde_real[]){ 0, 0 }, (const double[]){ 0, 0 });
    clipped(o, 2, (const nde_real[]){ 3*huge, 4*huge }, (const double[]){ 0.6, 0.8 }); /* squares overflow */
    o.clip_norm = 5*(double)tiny;
    clipped(o, 2, (const nde_real[]){ 30*tiny, 40*tiny }, (const double[]){ 3*(double)tiny, 4*(double)tiny }); /* or vanish */
    o.clip_norm = (double)INFINITY;
    clipped(o, 2, (const nde_real[]){ 3, 4 }, (const double[]){ 3, 4 });
    o.clip_norm = NDE_ZERO, o.clip_value = 2;
    clipped(o, 3, (const nde_real[]){ 3, -4, 1 }, (const double[]){ 2, -2, 1 });
    clipped(o, 3, (const nde_real[]){ huge, -huge, 2 }, (const double[]){ 2, -2, 2 });
    o.clip_norm = 1.5; /* by value first */
    clipped(o, 3, (const nde_real[]){ 3, -4, 1 }, (const double[]){ 1, -1, 0.5 });
}

/* ---- resuming ---------------------------------------------------------------------------------------------------- */

static void resumes_with_the_same_bits(void **state) {
    (void)state;
    for (size_t k = 0; k < LENGTH(torch_cases); k++) {
        double memory[3*NP], saved[3*NP];
        nde_real through[NP], resumed[NP];
        nde_optimiser o = torch_cases[k].how;
        o.state = memory;
        begin(through);
        walk(&o, 73, through);
        nde_optimiser fresh = torch_cases[k].how;
        fresh.step = o.step, fresh.state = saved;
        memcpy(saved, memory, nde_optimiser_length(&o, NP)*sizeof *saved);
        memcpy(resumed, through, sizeof resumed);
        walk(&o, 60, through);
        walk(&fresh, 60, resumed);
        assert_memory_equal(through, resumed, sizeof through);
        assert_memory_equal(memory, saved, nde_optimiser_length(&o, NP)*sizeof *saved);
        assert_int_equal(o.step, fresh.step);
    }
}

static void the_last_step(void **state) {
    (void)state;
    for (size_t k = 0; k < LENGTH(every); k++) {
        double memory[2*NP] = { 0 };
        nde_real p[NP];
        nde_optimiser o = every[k];
        o.state = memory, o.step = INT64_MAX - 1;
        begin(p);
        walk(&o, 1, p);
        assert_true(o.step == INT64_MAX);
        walk(&o, 2, p);
        assert_true(o.step == INT64_MAX);
        for (int i = 0; i < NP; i++) assert_true(isfinite(p[i]));
    }
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void unchanged(nde_optimiser o, size_t np, const nde_real *gradient, nde_status status, const char *name,
                      const char *value) {
    double memory[6] = { 1, 2, 3, 4, 5, 6 };
    const double same[6] = { 1, 2, 3, 4, 5, 6 };
    nde_real p[2] = { 5, 6 };
    if (o.state) o.state = memory;
    const nde_optimiser before = o;
    if (nde_optimiser_step(&o, np, gradient, p) != status || !strstr(nde_error(), name) || !strstr(nde_error(), value))
        fail_msg("%s %s: %s", name, value, nde_error());
    assert_non_null(strstr(nde_error(), "nde_optimiser_step: "));
    assert_memory_equal(&before, &o, sizeof o);
    assert_memory_equal(memory, same, sizeof memory);
    assert_true(p[0] == 5 && p[1] == 6);
}

static void gradients_that_are_not_finite(void **state) {
    (void)state;
    double some;
    for (size_t k = 0; k < LENGTH(every); k++)
        for (int64_t step = 0; step < 8; step += 7)
            for (int clip = 0; clip < 4; clip++) {
                nde_optimiser o = every[k];
                o.state = &some, o.step = step, o.clip_value = clip & 1, o.clip_norm = clip & 2;
                unchanged(o, 2, (const nde_real[]){ 1, (nde_real)NAN }, NDE_E_NONFINITE, "gradient[1]", "nan");
                unchanged(o, 2, (const nde_real[]){ (nde_real)-INFINITY, 1 }, NDE_E_NONFINITE, "gradient[0]", "inf");
                if (sizeof(nde_real) == 8 && !clip)
                    unchanged(o, 2, (const nde_real[]){ 1, (nde_real)1e160 }, NDE_E_NONFINITE, "gradient[1]", "1e+160");
                if (every[k].kind == NDE_ADAMW) continue;
                o.weight_decay = 1e200; /* the weight's share has no square */
                unchanged(o, 2, (const nde_real[]){ 1, 2 }, NDE_E_NONFINITE, "gradient[1]", "2, plus weight_decay");
            }
}

static void refusals(void **state) {
    (void)state;
    static const nde_real g[2] = { 1, 2 };
    static const double below[] = { -0.5, -1e300, -(double)INFINITY, (double)NAN };
    static const struct {
        const char *name;
        size_t offset;
        bool below_1, infinite; /* must be < 1; may be Inf */
    } numbers[] = {
        { "rate", offsetof(nde_optimiser, rate), false, false }, { "beta1", offsetof(nde_optimiser, beta1), true, false },
        { "beta2", offsetof(nde_optimiser, beta2), true, false }, { "rho", offsetof(nde_optimiser, rho), true, false },
        { "momentum", offsetof(nde_optimiser, momentum), true, false },
        { "epsilon", offsetof(nde_optimiser, epsilon), false, false },
        { "weight_decay", offsetof(nde_optimiser, weight_decay), false, false },
        { "clip_norm", offsetof(nde_optimiser, clip_norm), false, true },
        { "clip_value", offsetof(nde_optimiser, clip_value), false, true },
        { "decay", offsetof(nde_optimiser, decay), false, false },
    };
    double some;
    char text[32];
    for (size_t k = 0; k < LENGTH(every); k++) {
        nde_optimiser a = every[k];
        a.state = &some;
        for (size_t i = 0; i < LENGTH(numbers); i++) {
            double wrong[6];
            size_t count = LENGTH(below);
            memcpy(wrong, below, sizeof below);
            if (!numbers[i].infinite) wrong[count++] = (double)INFINITY;
            if (numbers[i].below_1) wrong[count++] = 1;
            for (size_t j = 0; j < count; j++) {
                nde_optimiser b = a;
                memcpy((char *)&b + numbers[i].offset, wrong + j, sizeof *wrong);
                snprintf(text, sizeof text, "%g", wrong[j]);
                unchanged(b, 2, g, NDE_E_ARG, numbers[i].name, text);
                assert_true(isnan(nde_optimiser_rate(&b)) && nde_optimiser_length(&b, 2) == 0);
                assert_non_null(strstr(nde_error(), "nde_optimiser_length: "));
            }
        }
        unchanged(a, 0, g, NDE_E_ARG, "np", "0");
        unchanged(a, 2, NULL, NDE_E_ARG, "gradient", "NULL");
        a.state = NULL;
        if (arrays[k]) unchanged(a, 2, g, NDE_E_ARG, "optimiser.state", "NULL");
        assert_int_equal(nde_optimiser_step(&a, 2, g, NULL), NDE_E_ARG);
        assert_int_equal(nde_optimiser_length(&a, 0), 0);
        assert_int_equal(nde_optimiser_length(&a, SIZE_MAX), 0);
        assert_int_equal(nde_optimiser_length(&a, SIZE_MAX/8), 0);
    }
    nde_optimiser a = NDE_INIT(nde_optimiser, .state = &some);
    a.kind = -1, unchanged(a, 2, g, NDE_E_ARG, "kind", "-1");
    a.kind = 6, unchanged(a, 2, g, NDE_E_ARG, "kind", "6"), a.kind = 0;
    a.schedule = -1, unchanged(a, 2, g, NDE_E_ARG, "schedule", "-1");
    a.schedule = 3, unchanged(a, 2, g, NDE_E_ARG, "schedule", "3");
    a.schedule = NDE_SCHEDULE_COSINE, unchanged(a, 2, g, NDE_E_ARG, "decay_steps", "0");
    a.decay_steps = -4, unchanged(a, 2, g, NDE_E_ARG, "decay_steps", "-4");
    a.schedule = 0, unchanged(a, 2, g, NDE_E_ARG, "decay_steps", "-4"), a.decay_steps = 0;
    a.warmup_steps = -3, unchanged(a, 2, g, NDE_E_ARG, "warmup_steps", "-3"), a.warmup_steps = 0;
    a.step = -8, unchanged(a, 2, g, NDE_E_ARG, "step", "-8"), a.step = 0;
    a.schedule = NDE_SCHEDULE_EXPONENTIAL, a.decay_steps = 1;
    a.decay = NDE_ZERO, unchanged(a, 2, g, NDE_E_ARG, "decay", "0");
    a.step = 100, a.decay = 1e300, unchanged(a, 2, g, NDE_E_ARG, "rate of step 100", "inf");
    a = NDE_INIT(nde_optimiser, .state = &some, .nesterov = 1);
    unchanged(a, 2, g, NDE_E_ARG, "nesterov", "1");
    a.momentum = 0.5, unchanged(a, 2, g, NDE_E_ARG, "nesterov", "1");
    a.kind = NDE_SGD, a.momentum = NDE_ZERO, unchanged(a, 2, g, NDE_E_ARG, "nesterov", "1");
    a.momentum = 0.5, a.nesterov = 2, unchanged(a, 2, g, NDE_E_ARG, "nesterov", "2"), a.nesterov = 0;
    a.size = 3, unchanged(a, 2, g, NDE_E_ARG, "size", "3");
    nde_real p[1] = { 0 };
    assert_int_equal(nde_optimiser_step(NULL, 1, g, p), NDE_E_ARG);
    assert_true(isnan(nde_optimiser_rate(NULL)) && nde_optimiser_length(NULL, 1) == 0);

    struct {
        nde_optimiser o;
        double tail[2];
    } later = { .o = { .size = sizeof later, .kind = NDE_SGD } }; /* of a later release: accepted while its tail is zero */
    assert_int_equal(nde_optimiser_step(&later.o, 1, g, p), NDE_OK);
    later.tail[1] = 1;
    assert_int_equal(nde_optimiser_step(&later.o, 1, g, p), NDE_E_ARG);
    assert_int_equal(later.o.step, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_torch), cmocka_unit_test(parameters_are_independent), cmocka_unit_test(same_bits_everywhere),
        cmocka_unit_test(bowl), cmocka_unit_test(epsilon_may_be_zero), cmocka_unit_test(schedules), cmocka_unit_test(clipping),
        cmocka_unit_test(resumes_with_the_same_bits), cmocka_unit_test(the_last_step),
        cmocka_unit_test(gradients_that_are_not_finite), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
