/* SPDX-License-Identifier: MIT
 * spiral, mid, small: native/node_roofline.c, a training step. The settings are those of its main.
 * mid_gemm: the same, but what is timed are its matrix products alone, as many as its accepted and rejected steps
 * need (forward: 2 + 6 a step tried; backwards, two a layer: 6 an accepted step), by OpenBLAS in the layout that it
 * likes best, with no weight transposed while they run; v3: with its kernels for AVX2, v4: for AVX-512.
 * Its last step goes past the end, and its interpolant is another than libnde's. So that the two can be
 * compared to rounding, there is one more run: from 0 to the node where its steps end, with the values at
 * these two times only.
 * Answer: that node, steps up to it with the rejected ones, loss and gradient [np] of that run; gradient
 * [np] of the case itself at tolerance 1e-10 in double. Error: of the gradient, relative, in the 2-norm. */
#define main native_main
#include "native/node_roofline.c"
#undef main
#include "products.h"
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
    int products; /* 1: only those are timed */
} nets[] = {
    { "spiral", 2, { 2, 50, 2 }, 1, 20, 10, tenths, 1e-7, 1e-9, 1, 0.17320508075688773, 1, 2.0 },
    { "mid", 3, { 64, 256, 256, 64 }, 0, 256, 2, ends, 1e-5, 1e-5, 0, 0, 0, 1.0 },
    { "small", 3, { 4, 32, 32, 4 }, 0, 1, 2, ends, 1e-5, 1e-5, 0, 0, 0, 1.0 },
    { "mid_gemm", 3, { 64, 256, 256, 64 }, 0, 256, 2, ends, 1e-5, 1e-5, 0, 0, 0, 1.0, 1 },
};
enum { NETS = sizeof nets/sizeof *nets };

/* Activations and weights are those of the step before; deltas stand in the scratch, as in vjp. */
#define PRODUCTS(suffix, REAL, GEMM) \
    static void products##suffix(void *u) { \
        job##suffix *J = u; \
        const mlp##suffix *m = &J->m; \
        const int B = m->B; \
        const long n = (long)B*m->sz[0], each = 2*n + m->act; \
        int wide = 0; \
        for (int l = 0; l <= m->nl; l++) wide = m->sz[l] > wide ? m->sz[l] : wide; \
        REAL *to = J->wk, *from = J->wk + (long)B*wide, *swap; \
        const long evaluations = 1 + 6*(J->acc + J->rej); /* and one at a trial step */ \
        for (long e = -1; e < evaluations; e++) { \
            REAL *k = J->S + (e < 0 ? 0 : e%(1 + 6*J->acc))*each, *x = k + 2*n; \
            for (int l = 0; l < m->nl; l++) { \
                const int I = m->sz[l], O = m->sz[l + 1]; \
                REAL *out = l == m->nl - 1 ? to : x + (long)B*I; \
                GEMM(CblasRowMajor, CblasNoTrans, CblasNoTrans, B, O, I, 1, x, I, m->pt + m->off[l], O, 0, out, O); \
                x = out; \
            } \
        } \
        memset(m->g, 0, sizeof(REAL)*m->np); \
        for (long e = 6*J->acc; e > 0; e--) { \
            const REAL *x = J->S + e*each + 2*n + m->act; \
            for (int l = m->nl - 1; l >= 0; l--) { \
                const int I = m->sz[l], O = m->sz[l + 1]; \
                x -= (long)B*I; \
                GEMM(CblasRowMajor, CblasTrans, CblasNoTrans, O, I, B, 1, from, O, x, I, 1, m->g + m->off[l], I); \
                GEMM(CblasRowMajor, CblasNoTrans, CblasNoTrans, B, I, O, 1, from, O, m->p + m->off[l], I, 0, to, I); \
                swap = to, to = from, from = swap; \
            } \
        } \
    }
PRODUCTS(_f, float, cblas_sgemm)
PRODUCTS(_d, double, cblas_dgemm)

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
        return serve(net->products ? products##suffix : step##suffix, &job, job.nfev, sqrt(error/norm), answer, (size_t)(3 + 2*np)); \
    }
DEFINE(_f)
DEFINE(_d)

int main(int argc, char **argv) {
    const struct net *net = nets;
    for (int i = 0; i < 10; i++) tenths[i] = 0.25*i/9;
    while (argc == 3 && net < nets + NETS && strcmp(argv[1], net->name) != 0) net++;
    if (argc != 3 || net == nets + NETS) return no_case(argv[0]);
    if (net->products && !has_own_products(argv)) return 1;
    static job_d exact;
    SETUP(_d, &exact, 1e-10, 1e-10, 400);
    step_d(&exact);
    free(exact.S); /* large, and not needed again */
    return (strcmp(argv[2], "single") == 0 ? serve_step_f : serve_step_d)(net, exact.m.g, exact.m.np);
}
