/* SPDX-License-Identifier: MIT
 * spiral, mid, small: native/node_roofline.c, a training step. The settings are those of its main.
 * Its last step goes past the end, and its interpolant is another than libnde's. So that the two can be
 * compared to rounding, there is one more run: from 0 to the node where its steps end, with the values at
 * these two times only.
 * Answer: that node, steps up to it with the rejected ones, loss and gradient [np] of that run; gradient
 * [np] of the case itself at tolerance 1e-10 in double. Error: of the gradient, relative, in the 2-norm. */
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
    setup##suffix(job, net->layers, net->width, net->cube, net->batch, net->times, net->t, rtol, atol, \
                  net->l1, net->bound, net->zero_bias, net->y0, steps)

/* last_node: the latest end that the case's steps reach, by bisection: where they end. The step sizes do
 * not depend on it. serve_step: all that one precision does. */
#define DEFINE(suffix) \
    static double last_node##suffix(job##suffix *job) { \
        double end[2] = { 0, job->tt[job->nt - 1] }, low = end[1], high = 0; \
        job->tt = end, job->nt = 2, job->train = 0; \
        step##suffix(job); \
        for (long steps = job->acc; high == 0 || nextafter(low, high) < high;) { \
            end[1] = high == 0 ? 2*low : 0.5*(low + high); \
            step##suffix(job); \
            *(job->acc > steps ? &high : &low) = end[1]; \
        } \
        return low; \
    } \
    static int serve_step##suffix(const struct net *net, const double *exact, long np) { \
        static job##suffix job; \
        double *answer = malloc((size_t)(3 + 2*np)*sizeof *answer), error = 0, norm = 0; \
        if (!answer) return 1; \
        SETUP(suffix, &job, net->rtol, net->atol, 40); \
        const double node[] = { 0, last_node##suffix(&job) }; \
        job.tt = node, job.train = 1; \
        step##suffix(&job); \
        answer[0] = node[1], answer[1] = (double)(job.acc + job.rej), answer[2] = job.loss; \
        for (long i = 0; i < np; i++) answer[3 + i] = job.m.g[i]; \
        job.tt = net->t, job.nt = net->times; \
        step##suffix(&job); \
        for (long i = 0; i < np; i++) { \
            answer[3 + np + i] = exact[i]; \
            error += (job.m.g[i] - exact[i])*(job.m.g[i] - exact[i]); \
            norm += exact[i]*exact[i]; \
        } \
        return serve(step##suffix, &job, job.nfev, sqrt(error/norm), answer, (size_t)(3 + 2*np)); \
    }
DEFINE(_f)
DEFINE(_d)

int main(int argc, char **argv) {
    const struct net *net = nets;
    for (int i = 0; i < 10; i++) tenths[i] = 0.25*i/9;
    while (argc == 3 && net < nets + 3 && strcmp(argv[1], net->name) != 0) net++;
    if (argc != 3 || net == nets + 3) return no_case(argv[0]);
    static job_d exact;
    SETUP(_d, &exact, 1e-10, 1e-10, 400);
    step_d(&exact);
    free(exact.S); /* large, and not needed again */
    return (strcmp(argv[2], "single") == 0 ? serve_step_f : serve_step_d)(net, exact.m.g, exact.m.np);
}
