/* SPDX-License-Identifier: MIT
 * deq - a deep equilibrium model learns to read handwritten digits: z = tanh(k W z + U x + b) for an image x, and of z a digit;
 * with k = 1/sqrt(1 + |W|^2) there is one equilibrium, however W is. The gradient is that of the equilibrium, not of the
 * way there.
 *   deq [SEED [PICTURE.svg]]    SEED: of the parameters and of the batches, > 0; 1
 * After: S. Bai, J. Z. Kolter, V. Koltun, Deep equilibrium models, NeurIPS (2019). Data: see data/digits.txt. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "fit.h"
#include "plot.h"

enum { IMAGES = 1797, TRAINED = 1500, TESTED = IMAGES - TRAINED, PIXELS = 64, DIGITS = 10 };
enum { WIDTH = 32, INNER = (WIDTH + PIXELS + 1)*WIDTH, NP = INNER + (WIDTH + 1)*DIGITS };
enum { BATCH = 50, EPOCHS = 30, STEPS = TRAINED/BATCH, SHOWN = 25 };

/* Images and digits, [PIXELS][n] and [DIGITS][n]: one is 1, the others 0. */
typedef struct images {
    size_t n;
    double pixel[PIXELS*IMAGES], digit[DIGITS*IMAGES];
} images;

static int pixels[IMAGES][PIXELS], digits[IMAGES];

static void read_images(void) {
    char line[256];
    int count = 0;
    FILE *file = fopen(DIGITS_TXT, "r");
    while (file && fgets(line, sizeof line, file) && count < IMAGES) {
        if (*line == '#' || strlen(line) < PIXELS + 2) continue;
        for (int i = 0; i < PIXELS; i++) pixels[count][i] = line[i] <= '9' ? line[i] - '0' : line[i] - 'a' + 10;
        digits[count++] = line[PIXELS + 1] - '0';
    }
    if (file) fclose(file);
    if (count < IMAGES) fprintf(stderr, "deq: cannot read %s\n", DIGITS_TXT), exit(EXIT_FAILURE);
}

static void put(images *to, size_t b, size_t image) {
    for (size_t i = 0; i < PIXELS; i++) to->pixel[i*to->n + b] = pixels[image][i]/16.0;
    for (int i = 0; i < DIGITS; i++) to->digit[(size_t)i*to->n + b] = digits[image] == i;
}

/* Both see their own parameters: W, U and b; of the reader, whose value is minus the logarithm of the digit's probability
 * and the logits, a matrix and b. */
static nde_program *build_cell(void) {
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = WIDTH, .nu = PIXELS, .np = INNER), &g), NULL);
    const nde_var W = nde_p(g, 0, WIDTH*WIDTH), U = nde_p(g, WIDTH*WIDTH, WIDTH*PIXELS), b = nde_p(g, INNER - WIDTH, WIDTH);
    const nde_var size = nde_sqrt(g, nde_add(g, nde_constant(g, 1), nde_sum(g, nde_square(g, W))));
    const nde_var inner = nde_div(g, nde_matvec(g, W, nde_y(g, 0, WIDTH)), size);
    const nde_var sum = nde_add(g, nde_add(g, inner, nde_matvec(g, U, nde_u(g, 0, PIXELS))), b);
    need(nde_program_finish(g, nde_tanh(g, sum)), NULL);
    return g;
}
static nde_program *build_reader(void) {
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = WIDTH, .np = NP - INNER, .nq = DIGITS), &g), NULL);
    const nde_var A = nde_p(g, 0, WIDTH*DIGITS), b = nde_p(g, WIDTH*DIGITS, DIGITS);
    const nde_var logits = nde_add(g, nde_matvec(g, A, nde_y(g, 0, WIDTH)), b);
    const nde_var loss = nde_sub(g, nde_log(g, nde_sum(g, nde_exp(g, logits))), nde_dot(g, nde_q(g, 0, DIGITS), logits));
    need(nde_program_finish(g, nde_concat(g, (const nde_var[]){ loss, logits }, 2)), NULL);
    return g;
}

/* The share of images that are read as what they are. */
static double accuracy(const images *of, const double *value) {
    int right = 0;
    for (size_t b = 0; b < of->n; b++) {
        int best = 0;
        for (int i = 1; i < DIGITS; i++)
            if (value[(size_t)(i + 1)*of->n + b] > value[(size_t)(best + 1)*of->n + b]) best = i;
        right += of->digit[(size_t)best*of->n + b] > 0;
    }
    return (double)right/(double)of->n;
}

/* The largest residual among the images after so many iterations, relative to 1. */
static double residual_after(nde_implicit layer, int iterations, const nde_site *at, const images *of) {
    static double value[WIDTH*IMAGES], residual[IMAGES];
    double most = 0;
    layer.max_iterations = iterations, layer.atol = 1e-14, layer.rtol = NDE_ZERO;
    nde_implicit_report report = NDE_INIT(nde_implicit_report, .residual = residual);
    const nde_status status = nde_implicit_solve(&layer, at, of->pixel, value, &report);
    if (status && status != NDE_E_LANES) need(status, NULL);
    for (size_t b = 0; b < of->n; b++) most = fmax(most, residual[b]*layer.atol);
    return most;
}

int main(int argc, char **argv) {
    static images batch = { .n = BATCH }, test = { .n = TESTED };
    static double p[NP], gradient[NP], state[3*NP], value[(DIGITS + 1)*IMAGES], a[(DIGITS + 1)*BATCH], t[IMAGES];
    static double epoch[EPOCHS + 1], loss[EPOCHS + 1], right[EPOCHS + 1], count[SHOWN], residual[SHOWN];
    long seed = 1;
    const char *file = command_line(argc, argv, "deq", 1, &(argument){ "SEED", &seed, 1, LONG_MAX });
    read_images();
    for (size_t b = 0; b < TESTED; b++) put(&test, b, TRAINED + b);

    nde_program *cell = build_cell(), *program = build_reader();
    const nde_field once = nde_field_program(cell);
    const nde_implicit layer = NDE_INIT(nde_implicit, .field = &once, .inputs = PIXELS, .rtol = 1e-8, .atol = 1e-8);
    const nde_field equilibrium = nde_field_implicit(&layer);
    nde_field reader = nde_field_program(program);
    reader.p_first = INNER;
    const nde_field *both[] = { &reader, &equilibrium };
    const nde_parts parts = NDE_INIT(nde_parts, .part = both, .n = 2);
    const nde_field model = nde_field_composition(&parts);
    for (size_t i = 0; i < NP; i++) p[i] = 0.1*nde_normal((uint64_t)seed, NDE_PURPOSE_INITIALISATION, 0, i, 0);

    nde_optimiser adam = NDE_INIT(nde_optimiser, .rate = 3e-3, .state = state);
    const nde_site at = { .n = BATCH, .ld = BATCH, .t = t, .p = p, .q = batch.digit };
    const nde_site at_test = { .n = TESTED, .ld = TESTED, .t = t, .p = p, .q = test.digit };
    for (size_t b = 0; b < BATCH; b++) a[b] = 1.0/BATCH; /* of the loss, none of the logits */
    for (int k = 0;; k++) {
        need(nde_field_value(&model, &at_test, test.pixel, value), NULL);
        epoch[k] = k, right[k] = accuracy(&test, value), loss[k] = 0;
        for (size_t b = 0; b < TESTED; b++) loss[k] += value[b]/TESTED;
        if (k == EPOCHS) break;
        for (size_t i = 0; i < STEPS; i++) {
            for (size_t b = 0; b < BATCH; b++)
                put(&batch, b, (size_t)(TRAINED*nde_uniform((uint64_t)seed, 128, b, (uint64_t)k*STEPS + i, 0)));
            memset(gradient, 0, sizeof gradient);
            need(nde_field_vjp(&model, &at, batch.pixel, a, value, &(nde_cotangent){ .p = gradient }), NULL);
            need(nde_optimiser_step(&adam, NP, gradient, p), NULL);
        }
    }
    printf("%d parameters, %d images to learn from, %d to be tested with\n", (int)NP, (int)TRAINED, (int)TESTED);
    printf("before: %.1f %% read right, loss %.3f; after %d epochs: %.1f %%, loss %.3f\n", 100*right[0], loss[0], (int)EPOCHS,
           100*right[EPOCHS], loss[EPOCHS]);

    static const struct { const char *name, *color; int32_t iteration, memory; } ways[] = {
        { "plain iteration", PLOT_GREY, NDE_ANDERSON, NDE_ZERO }, { "Anderson", PLOT_BLUE, NDE_ANDERSON, 5 },
        { "Broyden", PLOT_GREEN, NDE_BROYDEN, 20 }, { "Newton", PLOT_RED, NDE_NEWTON, 0 },
    };
    plot_picture to;
    plot_open(&to, file, 900, 360);
    plot_panel(&to, 0, 0, 440, 360, "Digits that are read right", (plot_axis){ "epoch", 0, EPOCHS, 0 },
               (plot_axis){ "share", 0, 1, 0 });
    plot_line(&to, (plot_look){ NULL, PLOT_BLUE, NULL, 0, false }, EPOCHS + 1, epoch, 1, right, 1);
    plot_panel(&to, 440, 0, 460, 360, "To the equilibrium", (plot_axis){ "iteration", 1, SHOWN, 0 },
               (plot_axis){ "residual", 1e-14, 1, 1 });
    for (size_t w = 0; w < sizeof ways/sizeof *ways; w++) {
        nde_implicit way = layer;
        way.iteration = ways[w].iteration, way.memory = ways[w].memory;
        for (int k = 0; k < SHOWN; k++) count[k] = k + 1, residual[k] = residual_after(way, k + 1, &at_test, &test);
        plot_line(&to, (plot_look){ ways[w].name, ways[w].color, NULL, 0, false }, SHOWN, count, 1, residual, 1);
        printf("residual after 5, 15, 25 iterations: %-16s %.0e %.0e %.0e\n", ways[w].name, residual[4], residual[14],
               residual[24]);
    }
    nde_program_destroy(cell), nde_program_destroy(program);
    return plot_finish(&to, "deq", file);
}
