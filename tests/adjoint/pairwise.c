/* SPDX-License-Identifier: MIT
 * pairwise.c - every adjoint beside every other and beside a truth that knows nothing of the library: complex steps
 * through equal steps of the classical Runge-Kutta method. Networks and formulas, one trajectory and several, with their
 * own steps and with one for all, there and back in time, seen once and often. And the problem of diffrax's test_adjoint,
 * in closed form. Replay kit R9. */
#include "adjoint/proof.h"

#include <complex.h>

enum { LINEAR, LOTKA, SPIRAL, SMALL, DEEP, WIDE, PROBLEMS };
static const char *const problem_names[PROBLEMS] = { "linear", "Lotka-Volterra", "cubic spiral", "2-8-2",
                                                     "3-16-16-2 with time", "2-50-2" };
static const size_t widths[PROBLEMS][4] = { [SMALL] = { 2, 8, 2 }, [DEEP] = { 3, 16, 16, 2 }, [WIDE] = { 2, 50, 2 } };
static const nde_mlp nets[PROBLEMS] = {
    [SMALL] = { .size = sizeof(nde_mlp), .layers = 2, .width = widths[SMALL], .hidden = NDE_TANH },
    [DEEP] = { .size = sizeof(nde_mlp), .layers = 3, .width = widths[DEEP], .hidden = NDE_TANH, .time_input = 1 },
    [WIDE] = { .size = sizeof(nde_mlp), .layers = 2, .width = widths[WIDE], .hidden = NDE_TANH },
};

static const int modes[] = { NDE_ADJOINT_DISCRETE, NDE_ADJOINT_REVERSIBLE, NDE_ADJOINT_BACKSOLVE, NDE_ADJOINT_INTERPOLATED,
                             NDE_ADJOINT_QUADRATURE, NDE_ADJOINT_GAUSS };
static const char *const mode_names[] = { "discrete", "reversible", "backsolve", "interpolated", "quadrature", "gauss" };
enum { EXACT = 2 /* the first ones */, MODES = LENGTH(modes), DIM = 2, MOST_P = 400 };
static const bool single = sizeof(nde_real) == sizeof(float);

/* ---- the truth ------------------------------------------------------------------------------------------------------ */

static void network(const nde_mlp *net, double t, const double complex *y, const double complex *p, double complex *dy) {
    double complex x[64] = { y[0], y[1], t }, z[64];
    for (size_t l = 0; l < net->layers; l++) {
        const size_t in = net->width[l], out = net->width[l + 1];
        for (size_t i = 0; i < out; i++) {
            z[i] = p[in*out + i];
            for (size_t k = 0; k < in; k++) z[i] += p[i*in + k]*x[k];
        }
        for (size_t i = 0; i < out; i++) x[i] = l + 1 < net->layers ? ctanh(z[i]) : z[i];
        p += (in + 1)*out;
    }
    dy[0] = x[0], dy[1] = x[1];
}

static void slope(int which, double t, const double complex *y, const double complex *p, double complex *dy) {
    const double complex c0 = y[0]*y[0]*y[0], c1 = y[1]*y[1]*y[1];
    switch (which) {
    case LINEAR: dy[0] = p[0]*y[0] + p[1]*y[1], dy[1] = p[2]*y[0] + p[3]*y[1]; break;
    case LOTKA: dy[0] = y[0]*(p[0] - p[1]*y[1]), dy[1] = y[1]*(p[2]*y[0] - p[3]); break;
    case SPIRAL: dy[0] = p[0]*c0 + p[1]*c1, dy[1] = p[2]*c0 + p[3]*c1; break;
    default: network(&nets[which], t, y, p, dy);
    }
}

static void advance(int which, double from, double to, double complex *y, const double complex *p) {
    enum { STEPS = 300 };
    const double h = (to - from)/STEPS;
    for (int k = 0; k < STEPS && h != 0; k++) {
        const double t = from + k*h;
        double complex a[DIM], b[DIM], c[DIM], d[DIM], x[DIM];
        slope(which, t, y, p, a);
        for (int i = 0; i < DIM; i++) x[i] = y[i] + h/2*a[i];
        slope(which, t + h/2, x, p, b);
        for (int i = 0; i < DIM; i++) x[i] = y[i] + h/2*b[i];
        slope(which, t + h/2, x, p, c);
        for (int i = 0; i < DIM; i++) x[i] = y[i] + h*c[i];
        slope(which, t + h, x, p, d);
        for (int i = 0; i < DIM; i++) y[i] += h/6*(a[i] + 2*b[i] + 2*c[i] + d[i]);
    }
}

/* <seeds, derivative of the outputs along the directions of y0 and p>. */
static double truth(const proof *f, int which) {
    const double tiny = 1e-100;
    double complex p[MOST_P];
    double sum = 0;
    const proof_input *in_p = &f->in[IN_P], *in_y = &f->in[IN_Y0];
    for (size_t i = 0; i < in_p->count; i++)
        p[i] = input_get(in_p, in_p->x, i) + (double complex)I*tiny*input_get(in_p, in_p->v, i);
    for (size_t b = 0; b < f->n; b++) {
        double complex y[DIM];
        double t = f->problem.t0;
        for (size_t i = 0; i < DIM; i++)
            y[i] = input_get(in_y, in_y->x, i*f->n + b) + (double complex)I*tiny*input_get(in_y, in_y->v, i*f->n + b);
        for (size_t row = 0; row < f->rows; row++) {
            advance(which, t, f->options.save_t[row], y, p);
            t = f->options.save_t[row];
            for (size_t i = 0; i < DIM; i++) sum += (double)f->seed_y[(row*DIM + i)*f->n + b]*cimag(y[i])/tiny;
        }
        advance(which, t, f->problem.t1, y, p);
        for (size_t i = 0; i < DIM; i++) sum += (double)f->seed_end[i*f->n + b]*cimag(y[i])/tiny;
    }
    return sum;
}

/* ---- the adjoints ---------------------------------------------------------------------------------------------------- */

static const double parameters[SMALL][4] = { { -0.25, 1, -1.5, -0.125 }, { 1.5, 1, 1, 3 }, { -0.125, 2, -2, -0.125 } };

static void make(int which, proof *f, size_t n, bool backwards, bool often) {
    static const model *const models[] = { &linear_model, &lotka_model, &spiral_model };
    const double t0 = backwards ? 1 : 0, t1 = 1 - t0, times[] = { 0.25*t1 + 0.75*t0, 0.5, 0.625*t1 + 0.375*t0, t1 };
    proof_begin(f, n, which < SMALL ? models[which] : &linear_model, false, t0, t1, 0.9);
    if (which < SMALL) {
        proof_parameters(f, 4, parameters[which]);
    } else {
        f->drift = nde_field_mlp(&nets[which]);
        proof_parameters(f, f->drift.np, NULL);
        assert_true(f->drift.np <= MOST_P);
        assert_int_equal(nde_mlp_init(&nets[which], NDE_GLOROT_UNIFORM, 3, f->in[IN_P].x), NDE_OK);
    }
    proof_save(f, often ? LENGTH(times) : 1, often ? times : times + 1);
    f->options.method = NDE_VERN7, f->options.rtol = f->options.atol = single ? 1e-6 : 1e-11;
}

/* <gradient, directions> of one mode. nodes: fixed steps that end where something is observed, for the reversible one: inside a
 * step a coupled method is extended by a cubic, which is 1e-7 away. */
static double along(proof *f, int mode, int64_t nodes) {
    const bool undoes = mode == NDE_ADJOINT_REVERSIBLE;
    double sum = 0;
    f->options.adjoint = mode;
    f->options.coupling = undoes ? 0.999 : 0, f->options.steps = undoes ? nodes : 0;
    proof_create(f);
    assert_int_equal(proof_run(f), NDE_OK);
    const nde_seed seed = proof_seeds(f);
    const nde_gradient g = NDE_INIT(nde_gradient, .y0 = f->in[IN_Y0].g, .p = f->in[IN_P].g);
    if (nde_backward(f->solver, &seed, &g) != NDE_OK) fail_msg("%s", nde_solver_error(f->solver));
    for (int k = IN_Y0; k <= IN_P; k++)
        for (size_t i = 0; i < f->in[k].count; i++)
            sum += input_get(&f->in[k], f->in[k].g, i)*input_get(&f->in[k], f->in[k].v, i);
    return sum;
}

static void all_agree(void **state) {
    (void)state;
    const double exact = single ? 1e-3 : 1e-9, near = single ? 1e-3 : 1e-7;
    for (int which = 0; which < PROBLEMS; which++)
        for (int kind = 0; kind < 8; kind++) {
            proof f;
            double seen[MODES];
            make(which, &f, kind & 4 ? 5 : 1, kind & 1, kind & 2);
            for (int joint = 0; joint <= (kind & 4 ? 1 : 0); joint++) {
                f.options.stepping = joint ? NDE_STEP_JOINT : 0;
                for (size_t m = 0; m < MODES; m++) seen[m] = along(&f, modes[m], 64);
                const double right = truth(&f, which), size = fmax(fabs(right), 1);
                for (size_t m = 0; m < MODES; m++) {
                    if (!(fabs(seen[m] - right) <= (m < EXACT ? exact : near)*size))
                        fail_msg("%s, %s, kind %d, joint %d: %.15g, by complex steps %.15g", problem_names[which],
                                 mode_names[m], kind, joint, seen[m], right);
                    for (size_t k = 0; k < m; k++) assert_true(fabs(seen[m] - seen[k]) <= 2*near*size);
                }
            }
            proof_end(&f);
        }
}

/* ---- the problem of diffrax ------------------------------------------------------------------------------------------ */

/* exp(m t) of m [4][4], by squaring what a short step's series gives. */
static void exponential(const double m[4][4], double t, double e[4][4]) {
    enum { HALVINGS = 8 };
    double power[4][4], next[4][4];
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++) e[i][k] = power[i][k] = i == k;
    for (int n = 1; n < 20 + HALVINGS; n++) {
        const bool squaring = n >= 20;
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++) {
                next[i][k] = 0;
                for (int j = 0; j < 4; j++)
                    next[i][k] += squaring ? e[i][j]*e[j][k] : power[i][j]*m[j][k]*t/ldexp(n, HALVINGS);
            }
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++) {
                if (squaring) e[i][k] = next[i][k];
                else power[i][k] = next[i][k], e[i][k] += next[i][k];
            }
    }
}

/* The gradient of the sum of the state at the times, by y0 and by A: derivatives of the exponential are a block of that of
 * a block matrix. Source: R. Mathias, SIAM J. Matrix Anal. Appl. 17 (1996) 610-620. */
static void in_closed_form(const double *y0, const double *a, double t0, size_t count, const double *t, double *g) {
    memset(g, 0, 6*sizeof *g);
    for (size_t row = 0; row < count; row++)
        for (size_t e = 0; e < 4; e++) {
            double block[4][4] = { { 0 } }, x[4][4];
            for (size_t i = 0; i < 2; i++)
                for (size_t k = 0; k < 2; k++) block[i][k] = block[2 + i][2 + k] = a[2*i + k];
            block[e/2][2 + e%2] = 1;
            exponential((const double (*)[4])block, t[row] - t0, x);
            for (size_t i = 0; i < 2; i++)
                for (size_t k = 0; k < 2; k++) {
                    g[2 + e] += x[i][2 + k]*y0[k];
                    if (e == 0) g[k] += x[i][k];
                }
        }
}

/* Times of observation as there; none: the end. Source: P. Kidger, diffrax, test/test_adjoint.py. */
static void diffrax(void **state) {
    (void)state;
    static const struct { size_t count; double t[3]; } seen[] = {
        { 1, { 9.5 } }, { 1, { 0.3 } }, { 1, { 2 } }, { 2, { 1, 7 } }, { 3, { 0.3, 7, 9.5 } },
    };
    const double a[] = { 0.1, -1, 1, -0.1 }, y0[] = { (double)(nde_real)0.9, (double)(nde_real)5.4 };
    for (size_t c = 0; c < LENGTH(seen); c++)
        for (size_t m = 0; m < MODES; m++)
            for (int form = m ? 0 : 1; form <= (m ? 0 : NDE_RECORD_CHECKPOINTS); form++) {
                const int64_t tenths = 92; /* of the span */
                proof f;
                double g[6], off = 0, size = 0;
                proof_begin(&f, 1, &linear_model, false, 0.3, 9.5, 1);
                proof_parameters(&f, 4, a);
                proof_save(&f, seen[c].count, seen[c].t);
                for (size_t i = 0; i < 2; i++) ((nde_real *)f.in[IN_Y0].x)[i] = (nde_real)y0[i];
                f.options.method = NDE_TSIT5, f.options.rtol = f.options.atol = single ? 1e-6 : 1e-8, f.options.record = form;
                (void)along(&f, NDE_ADJOINT_DISCRETE, tenths); /* makes room for seeds */
                for (size_t i = 0; i < 2*f.rows; i++) f.seed_y[i] = 1;
                memset(f.seed_end, 0, 2*sizeof *f.seed_end);
                (void)along(&f, modes[m], tenths);
                in_closed_form(y0, a, 0.3, seen[c].count, seen[c].t, g);
                for (size_t i = 0; i < 6; i++) {
                    const double d = i < 2 ? input_get(&f.in[IN_Y0], f.in[IN_Y0].g, i) : input_get(&f.in[IN_P],
                            f.in[IN_P].g, i - 2);
                    off += (d - g[i])*(d - g[i]), size += g[i]*g[i];
                }
                if (!(sqrt(off) <= (single ? 1e-3 : 1e-5)*sqrt(size)))
                    fail_msg("times %zu, %s, record %d: off by %g of its norm", c, mode_names[m], form, sqrt(off/size));
                proof_end(&f);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(all_agree), cmocka_unit_test(diffrax) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
