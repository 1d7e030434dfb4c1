/* SPDX-License-Identifier: MIT
 * spiral, mid, small: native/node_roofline.c, a training step. The settings are those of its main. Answer: accepted steps,
 * loss, gradient [np], then loss and gradient [np] at tolerance 1e-10 in double. Error: of the gradient, relative, in the
 * 2-norm. */
#define main native_main
#include "native/node_roofline.c"
#undef main
#include "serve.h"

static const double ends[] = { 0, 1 };
static double tenths[10];
static const struct net {
    const char *name;
    int layers, width[4], cube, batch, times;
    const double *t;
    double rtol, atol;
    int l1;
    double bound; /* of the weights; 0: 1/sqrt(inputs) */
    int zero_bias;
    double y0;
} nets[] = {
    { "spiral", 2, { 2, 50, 2 }, 1, 20, 10, tenths, 1e-7, 1e-9, 1, 0.17320508075688773, 1, 2.0 },
    { "mid", 3, { 64, 256, 256, 64 }, 0, 256, 2, ends, 1e-5, 1e-5, 0, 0, 0, 1.0 },
    { "small", 3, { 4, 32, 32, 4 }, 0, 1, 2, ends, 1e-5, 1e-5, 0, 0, 0, 1.0 },
};

#define SETUP(suffix, job, rtol, atol, steps) \
    setup##suffix(job, net->layers, net->width, net->cube, net->batch, net->times, net->t, rtol, atol, net->l1, net->bound, \
                  net->zero_bias, net->y0, steps)
#define SERVE(suffix) do { \
        static job##suffix job; \
        SETUP(suffix, &job, net->rtol, net->atol, 40); \
        step##suffix(&job); \
        answer[0] = (double)job.acc; \
        answer[1] = job.loss; \
        for (long i = 0; i < np; i++) answer[2 + i] = job.m.g[i]; \
        double error = gradient_error(answer + 2, exact.m.g, np); \
        return serve(step##suffix, &job, job.nfev, error, answer, (size_t)(3 + 2*np)); \
    } while (0)

static double gradient_error(const double *g, const double *exact, long np) {
    double error = 0, norm = 0;
    for (long i = 0; i < np; i++) {
        error += (g[i] - exact[i])*(g[i] - exact[i]);
        norm += exact[i]*exact[i];
    }
    return sqrt(error/norm);
}

int main(int argc, char **argv) {
    const struct net *net = nets;
    for (int i = 0; i < 10; i++) tenths[i] = 0.25*i/9;
    while (argc == 3 && net < nets + 3 && strcmp(argv[1], net->name) != 0) net++;
    if (argc != 3 || net == nets + 3) return no_case(argv[0]);

    static job_d exact;
    SETUP(_d, &exact, 1e-10, 1e-10, 400);
    step_d(&exact);
    free(exact.S); /* not needed again, and large */
    long np = exact.m.np;
    double *answer = malloc((size_t)(3 + 2*np)*sizeof *answer);
    if (!answer) return 1;
    answer[2 + np] = exact.loss;
    memcpy(answer + 3 + np, exact.m.g, (size_t)np*sizeof *answer);
    if (strcmp(argv[2], "single") == 0) SERVE(_f);
    SERVE(_d);
}
