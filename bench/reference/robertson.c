/* SPDX-License-Identifier: MIT
 * robertson, robertson_ensemble: Robertson's reactions to t = 10^5 by Rosenbrock 2(3) at rtol = 1e-3, atol = 1e-6, written by
 * hand for these three equations: field, Jacobian and factors are inlined, nothing is looked at but the error. Once, or 10,000
 * times with different first rates, one after the other. Answer: the exact end, of the one with the rate 0.04.
 * Sources: L. F. Shampine, M. W. Reichelt, SIAM J. Sci. Comput. 18 (1997) 1-22, section 3; controller and first step: E.
 * Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993), II.4. */
#include "native/bench.h"
#include "serve.h"

static const double exact[3] = { 0.0178659211421, 7.27475146844e-08, 0.9821340061104 };
static const double k2 = 1e4, k3 = 3e7, rtol = 1e-3, atol_ = 1e-6;
enum { MANY = 10000 };

typedef struct answer {
    double y[3];
    long evaluations, steps;
} answer;

static inline void field(double k1, const double *y, double *f) {
    const double slow = k1*y[0], back = k2*y[1]*y[2], fast = k3*y[1]*y[1];
    f[0] = back - slow, f[1] = slow - back - fast, f[2] = fast;
}

/* W = I - g J, factored: L below the diagonal, inverses of U's diagonal on it. Columns are dominated by their diagonal. */
static inline void factor(double k1, const double *y, double g, double w[3][3]) {
    const double a = g*k1, b = g*k2*y[2], c = g*k2*y[1], d = 2*g*k3*y[1];
    const double m[3][3] = { { 1 + a, -b, -c }, { -a, 1 + b + d, c }, { 0, -d, 1 } };
    w[0][0] = 1/m[0][0], w[0][1] = m[0][1], w[0][2] = m[0][2];
    w[1][0] = m[1][0]*w[0][0];
    w[1][1] = 1/(m[1][1] - w[1][0]*w[0][1]), w[1][2] = m[1][2] - w[1][0]*w[0][2];
    w[2][1] = m[2][1]*w[1][1];
    w[2][2] = 1/(m[2][2] - w[2][1]*w[1][2]);
}

static inline void solve(double w[3][3], double *x) {
    x[1] -= w[1][0]*x[0];
    x[2] -= w[2][1]*x[1];
    x[2] *= w[2][2];
    x[1] = (x[1] - w[1][2]*x[2])*w[1][1];
    x[0] = (x[0] - w[0][1]*x[1] - w[0][2]*x[2])*w[0][0];
}

static double norm(const double *x, const double *y, const double *z) {
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        const double scale = x[i]/(atol_ + rtol*fmax(fabs(y[i]), fabs(z[i])));
        sum += scale*scale;
    }
    return sqrt(sum/3);
}

static double first_step(double k1, const double *y, const double *f) {
    double z[3], g[3];
    const double d0 = norm(y, y, y), d1 = norm(f, y, y), h = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01*d0/d1;
    for (int i = 0; i < 3; i++) z[i] = y[i] + h*f[i];
    field(k1, z, g);
    for (int i = 0; i < 3; i++) g[i] = (g[i] - f[i])/h;
    const double most = fmax(d1, norm(g, y, y));
    return fmin(100*h, most <= 1e-15 ? fmax(1e-6, 1e-3*h) : cbrt(0.01/most));
}

static void solve_one(double k1, answer *s) {
    const double d = 1/(2 + sqrt(2)), e = 6 + sqrt(2), end = 1e5;
    double t = 0, y[3] = { 1, 0, 0 }, f0[3];
    s->evaluations += 2;
    field(k1, y, f0);
    for (double h = first_step(k1, y, f0); t < end; ) {
        double w[3][3], a[3], b[3], c[3], f1[3], f2[3], z[3];
        if (t + h > end) h = end - t;
        factor(k1, y, h*d, w);
        for (int i = 0; i < 3; i++) a[i] = f0[i];
        solve(w, a);
        for (int i = 0; i < 3; i++) z[i] = y[i] + 0.5*h*a[i];
        field(k1, z, f1);
        for (int i = 0; i < 3; i++) b[i] = f1[i] - a[i];
        solve(w, b);
        for (int i = 0; i < 3; i++) b[i] += a[i], z[i] = y[i] + h*b[i];
        field(k1, z, f2);
        for (int i = 0; i < 3; i++) c[i] = f2[i] - e*(b[i] - f1[i]) - 2*(a[i] - f0[i]);
        solve(w, c);
        for (int i = 0; i < 3; i++) c[i] = h/6*(a[i] - 2*b[i] + c[i]);
        const double error = norm(c, y, z);
        s->evaluations += 2;
        if (error > 1) {
            h *= fmax(0.2, 0.9*cbrt(1/error));
            continue;
        }
        t += h, s->steps++;
        for (int i = 0; i < 3; i++) y[i] = z[i], f0[i] = f2[i];
        h *= fmin(10, fmax(0.2, 0.9*cbrt(1/fmax(error, 1e-10))));
    }
    for (int i = 0; i < 3; i++) s->y[i] = y[i];
}

static void run(void *to) {
    answer *s = to;
    *s = (answer){ 0 };
    solve_one(0.04, s);
}

static void run_many(void *to) {
    answer *s = to, one = { 0 };
    for (int b = 0; b < MANY; b++) {
        solve_one(0.04*(0.5 + (double)b/MANY), &one);
        if (b == MANY/2) memcpy(s->y, one.y, sizeof s->y);
    }
    s->evaluations = one.evaluations;
}

int main(int argc, char **argv) {
    answer s;
    double error = 0;
    const int many = argc == 3 && !strcmp(argv[1], "robertson_ensemble");
    if (argc != 3 || (!many && strcmp(argv[1], "robertson")) || strcmp(argv[2], "double")) return no_case(argv[0]);
    (many ? run_many : run)(&s);
    for (int i = 0; i < 3; i++) error = fmax(error, fabs(s.y[i] - exact[i]));
    return serve(many ? run_many : run, &s, s.evaluations, error, exact, 3);
}
