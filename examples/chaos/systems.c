/* SPDX-License-Identifier: MIT
 * systems.c - see systems.h. Each system is its equations and, below, their derivative along v.
 *
 * Published exponents: J. C. Sprott, Chaos and Time-Series Analysis (2003), appendix A; of sprott_b, his paper. Those of
 * lorenz, roessler, chua, chen, thomas and halvorsen were compared with a second copy of that table
 * (github.com/DuncDennis/esnchaos), the others with what this program finds, and not with the book. Copies differ: for duffing
 * 0.0999 is found too (sites.google.com/view/lyapunov-spectrum). */
#include "systems.h"

#include <math.h>
#include <string.h>

static void lorenz(const double *x, const double *p, double *dx) {
    dx[0] = p[0]*(x[1] - x[0]);
    dx[1] = x[0]*(p[1] - x[2]) - x[1];
    dx[2] = x[0]*x[1] - p[2]*x[2];
}
static void lorenz_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = p[0]*(v[1] - v[0]);
    dv[1] = v[0]*(p[1] - x[2]) - x[0]*v[2] - v[1];
    dv[2] = v[0]*x[1] + x[0]*v[1] - p[2]*v[2];
}

static void roessler(const double *x, const double *p, double *dx) {
    dx[0] = -x[1] - x[2];
    dx[1] = x[0] + p[0]*x[1];
    dx[2] = p[1] + x[2]*(x[0] - p[2]);
}
static void roessler_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = -v[1] - v[2];
    dv[1] = v[0] + p[0]*v[1];
    dv[2] = v[2]*(x[0] - p[2]) + x[2]*v[0];
}

/* Slope p[2] of the diode between -1 and 1, p[3] outside. */
static void chua(const double *x, const double *p, double *dx) {
    const double diode = p[3]*x[0] + 0.5*(p[2] - p[3])*(fabs(x[0] + 1) - fabs(x[0] - 1));
    dx[0] = p[0]*(x[1] - diode);
    dx[1] = x[0] - x[1] + x[2];
    dx[2] = -p[1]*x[1];
}
static void chua_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = p[0]*(v[1] - (fabs(x[0]) < 1 ? p[2] : p[3])*v[0]);
    dv[1] = v[0] - v[1] + v[2];
    dv[2] = -p[1]*v[1];
}

static void chen(const double *x, const double *p, double *dx) {
    dx[0] = p[0]*(x[1] - x[0]);
    dx[1] = (p[2] - p[0])*x[0] - x[0]*x[2] + p[2]*x[1];
    dx[2] = x[0]*x[1] - p[1]*x[2];
}
static void chen_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = p[0]*(v[1] - v[0]);
    dv[1] = (p[2] - p[0])*v[0] - v[0]*x[2] - x[0]*v[2] + p[2]*v[1];
    dv[2] = v[0]*x[1] + x[0]*v[1] - p[1]*v[2];
}

static void lue(const double *x, const double *p, double *dx) {
    dx[0] = p[0]*(x[1] - x[0]);
    dx[1] = p[2]*x[1] - x[0]*x[2];
    dx[2] = x[0]*x[1] - p[1]*x[2];
}
static void lue_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = p[0]*(v[1] - v[0]);
    dv[1] = p[2]*v[1] - v[0]*x[2] - x[0]*v[2];
    dv[2] = v[0]*x[1] + x[0]*v[1] - p[1]*v[2];
}

static void sprott_b(const double *x, const double *p, double *dx) {
    dx[0] = x[1]*x[2];
    dx[1] = x[0] - x[1];
    dx[2] = p[0] - x[0]*x[1];
}
static void sprott_b_jvp(const double *x, const double *p, const double *v, double *dv) {
    (void)p;
    dv[0] = v[1]*x[2] + x[1]*v[2];
    dv[1] = v[0] - v[1];
    dv[2] = -v[0]*x[1] - x[0]*v[1];
}

static void thomas(const double *x, const double *p, double *dx) {
    for (int i = 0; i < 3; i++) dx[i] = sin(x[(i + 1)%3]) - p[0]*x[i];
}
static void thomas_jvp(const double *x, const double *p, const double *v, double *dv) {
    for (int i = 0; i < 3; i++) dv[i] = cos(x[(i + 1)%3])*v[(i + 1)%3] - p[0]*v[i];
}

static void halvorsen(const double *x, const double *p, double *dx) {
    for (int i = 0; i < 3; i++) {
        const double y = x[(i + 1)%3], z = x[(i + 2)%3];
        dx[i] = -p[0]*x[i] - 4*y - 4*z - y*y;
    }
}
static void halvorsen_jvp(const double *x, const double *p, const double *v, double *dv) {
    for (int i = 0; i < 3; i++) {
        const double y = x[(i + 1)%3], vy = v[(i + 1)%3], vz = v[(i + 2)%3];
        dv[i] = -p[0]*v[i] - 4*vy - 4*vz - 2*y*vy;
    }
}

static void rabinovich_fabrikant(const double *x, const double *p, double *dx) {
    dx[0] = x[1]*(x[2] - 1 + x[0]*x[0]) + p[0]*x[0];
    dx[1] = x[0]*(3*x[2] + 1 - x[0]*x[0]) + p[0]*x[1];
    dx[2] = -2*x[2]*(p[1] + x[0]*x[1]);
}
static void rabinovich_fabrikant_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = v[1]*(x[2] - 1 + x[0]*x[0]) + x[1]*(v[2] + 2*x[0]*v[0]) + p[0]*v[0];
    dv[1] = v[0]*(3*x[2] + 1 - x[0]*x[0]) + x[0]*(3*v[2] - 2*x[0]*v[0]) + p[0]*v[1];
    dv[2] = -2*v[2]*(p[1] + x[0]*x[1]) - 2*x[2]*(v[0]*x[1] + x[0]*v[1]);
}

static void moore_spiegel(const double *x, const double *p, double *dx) {
    dx[0] = x[1];
    dx[1] = x[2];
    dx[2] = -x[2] - (p[0] - p[1] + p[1]*x[0]*x[0])*x[1] - p[0]*x[0];
}
static void moore_spiegel_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = v[1];
    dv[1] = v[2];
    dv[2] = -v[2] - (p[0] - p[1] + p[1]*x[0]*x[0])*v[1] - 2*p[1]*x[0]*v[0]*x[1] - p[0]*v[0];
}

/* Duffing's equation as Ueda took it: x'' + p[0] x' + x^3 = p[1] cos t. */
static void duffing(const double *x, const double *p, double *dx) {
    dx[0] = x[1];
    dx[1] = -p[0]*x[1] - x[0]*x[0]*x[0] + p[1]*cos(x[2]);
    dx[2] = 1;
}
static void duffing_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = v[1];
    dv[1] = -p[0]*v[1] - 3*x[0]*x[0]*v[0] - p[1]*sin(x[2])*v[2];
    dv[2] = 0;
}

static void van_der_pol(const double *x, const double *p, double *dx) {
    dx[0] = x[1];
    dx[1] = -x[0] + p[0]*(1 - x[0]*x[0])*x[1] + p[1]*sin(x[2]);
    dx[2] = p[2];
}
static void van_der_pol_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = v[1];
    dv[1] = -v[0] + p[0]*((1 - x[0]*x[0])*v[1] - 2*x[0]*v[0]*x[1]) + p[1]*cos(x[2])*v[2];
    dv[2] = 0;
}

/* x = (q1, q2, v1, v2), energy (v1^2 + v2^2 + q1^2 + q2^2)/2 + p[0] (q1^2 q2 - q2^3/3); p[0] = 1. */
static void henon_heiles(const double *x, const double *p, double *dx) {
    dx[0] = x[2];
    dx[1] = x[3];
    dx[2] = -x[0] - 2*p[0]*x[0]*x[1];
    dx[3] = -x[1] - p[0]*(x[0]*x[0] - x[1]*x[1]);
}
static void henon_heiles_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = v[2];
    dv[1] = v[3];
    dv[2] = -v[0] - 2*p[0]*(v[0]*x[1] + x[0]*v[1]);
    dv[3] = -v[1] - 2*p[0]*(x[0]*v[0] - x[1]*v[1]);
}

/* Two equal masses on two massless rods of length 1, p[0] is g. x: both angles from the vertical, both rates. The rates'
 * rates a, b solve 2 a + c b = r, c a + b = s with c the cosine of the angle between the rods. */
static void double_pendulum(const double *x, const double *p, double *dx) {
    const double c = cos(x[0] - x[1]), sine = sin(x[0] - x[1]);
    const double r = -sine*x[3]*x[3] - 2*p[0]*sin(x[0]), s = sine*x[2]*x[2] - p[0]*sin(x[1]);
    dx[0] = x[2];
    dx[1] = x[3];
    dx[2] = (r - c*s)/(2 - c*c);
    dx[3] = (2*s - c*r)/(2 - c*c);
}
static void double_pendulum_jvp(const double *x, const double *p, const double *v, double *dv) {
    double dx[4];
    double_pendulum(x, p, dx);
    const double c = cos(x[0] - x[1]), sine = sin(x[0] - x[1]), vc = -sine*(v[0] - v[1]), vsine = c*(v[0] - v[1]);
    const double vr = -vsine*x[3]*x[3] - 2*sine*x[3]*v[3] - 2*p[0]*cos(x[0])*v[0];
    const double vs = vsine*x[2]*x[2] + 2*sine*x[2]*v[2] - p[0]*cos(x[1])*v[1];
    const double r = vr - vc*dx[3], s = vs - vc*dx[2]; /* the two equations, differentiated */
    dv[0] = v[2];
    dv[1] = v[3];
    dv[2] = (r - c*s)/(2 - c*c);
    dv[3] = (2*s - c*r)/(2 - c*c);
}

static void lorenz84(const double *x, const double *p, double *dx) {
    dx[0] = -x[1]*x[1] - x[2]*x[2] - p[0]*x[0] + p[0]*p[2];
    dx[1] = x[0]*x[1] - p[1]*x[0]*x[2] - x[1] + p[3];
    dx[2] = p[1]*x[0]*x[1] + x[0]*x[2] - x[2];
}
static void lorenz84_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = -2*x[1]*v[1] - 2*x[2]*v[2] - p[0]*v[0];
    dv[1] = v[0]*x[1] + x[0]*v[1] - p[1]*(v[0]*x[2] + x[0]*v[2]) - v[1];
    dv[2] = p[1]*(v[0]*x[1] + x[0]*v[1]) + v[0]*x[2] + x[0]*v[2] - v[2];
}

enum { SITES = 40 };
static void lorenz96(const double *x, const double *p, double *dx) {
    for (int i = 0; i < SITES; i++) {
        const int next = (i + 1)%SITES, last = (i + SITES - 1)%SITES, before = (i + SITES - 2)%SITES;
        dx[i] = (x[next] - x[before])*x[last] - x[i] + p[0];
    }
}
static void lorenz96_jvp(const double *x, const double *p, const double *v, double *dv) {
    (void)p;
    for (int i = 0; i < SITES; i++) {
        const int next = (i + 1)%SITES, last = (i + SITES - 1)%SITES, before = (i + SITES - 2)%SITES;
        dv[i] = (v[next] - v[before])*x[last] + (x[next] - x[before])*v[last] - v[i];
    }
}

/* p: a, b, c, d, r, s, x_R, I of the paper. */
static void hindmarsh_rose(const double *x, const double *p, double *dx) {
    dx[0] = x[1] - p[0]*x[0]*x[0]*x[0] + p[1]*x[0]*x[0] - x[2] + p[7];
    dx[1] = p[2] - p[3]*x[0]*x[0] - x[1];
    dx[2] = p[4]*(p[5]*(x[0] - p[6]) - x[2]);
}
static void hindmarsh_rose_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = v[1] - 3*p[0]*x[0]*x[0]*v[0] + 2*p[1]*x[0]*v[0] - v[2];
    dv[1] = -2*p[3]*x[0]*v[0] - v[1];
    dv[2] = p[4]*(p[5]*v[0] - v[2]);
}

static void rikitake(const double *x, const double *p, double *dx) {
    dx[0] = -p[0]*x[0] + x[2]*x[1];
    dx[1] = -p[0]*x[1] + (x[2] - p[1])*x[0];
    dx[2] = 1 - x[0]*x[1];
}
static void rikitake_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = -p[0]*v[0] + v[2]*x[1] + x[2]*v[1];
    dv[1] = -p[0]*v[1] + v[2]*x[0] + (x[2] - p[1])*v[0];
    dv[2] = -v[0]*x[1] - x[0]*v[1];
}

static void nose_hoover(const double *x, const double *p, double *dx) {
    dx[0] = x[1];
    dx[1] = -x[0] + x[1]*x[2];
    dx[2] = p[0] - x[1]*x[1];
}
static void nose_hoover_jvp(const double *x, const double *p, const double *v, double *dv) {
    (void)p;
    dv[0] = v[1];
    dv[1] = -v[0] + v[1]*x[2] + x[1]*v[2];
    dv[2] = -2*x[1]*v[1];
}

static void dadras(const double *x, const double *p, double *dx) {
    dx[0] = x[1] - p[0]*x[0] + p[1]*x[1]*x[2];
    dx[1] = p[2]*x[1] - x[0]*x[2] + x[2];
    dx[2] = p[3]*x[0]*x[1] - p[4]*x[2];
}
static void dadras_jvp(const double *x, const double *p, const double *v, double *dv) {
    dv[0] = v[1] - p[0]*v[0] + p[1]*(v[1]*x[2] + x[1]*v[2]);
    dv[1] = p[2]*v[1] - v[0]*x[2] - x[0]*v[2] + v[2];
    dv[2] = p[3]*(v[0]*x[1] + x[0]*v[1]) - p[4]*v[2];
}

#define SYSTEM(function, dimension) .name = #function, .f = function, .jvp = function##_jvp, .dim = dimension

const chaos_system chaos_systems[SYSTEMS] = {
    { SYSTEM(lorenz, 3), .x0 = { 0, -0.01, 9 }, .p = { 10, 28, 8.0/3 }, .time = 0.75, .published = 0.9056, .up = 2,
      .source = "E. N. Lorenz, Deterministic nonperiodic flow, J. Atmos. Sci. 20 (1963) 130-141" },
    { SYSTEM(roessler, 3), .x0 = { -9, 0, 0 }, .p = { 0.2, 0.2, 5.7 }, .time = 6, .published = 0.0714, .up = 1,
      .source = "O. E. Roessler, An equation for continuous chaos, Phys. Lett. A 57 (1976) 397-398" },
    { SYSTEM(chua, 3), .x0 = { 0, 0, 0.6 }, .p = { 9, 100.0/7, -1.0/7, 2.0/7 }, .time = 2.5, .published = 0.3271, .up = 2,
      .source = "T. Matsumoto, A chaotic attractor from Chua's circuit, IEEE Trans. Circuits Syst. 31 (1984) 1055-1058" },
    { SYSTEM(chen, 3), .x0 = { -10, 0, 37 }, .p = { 35, 3, 28 }, .time = 0.5, .published = 2.0272, .up = 2,
      .source = "G. Chen, T. Ueta, Yet another chaotic attractor, Int. J. Bifurcation Chaos 9 (1999) 1465-1466" },
    { SYSTEM(lue, 3), .x0 = { 0.1, 0.3, -0.6 }, .p = { 36, 3, 20 }, .time = 0.5, .up = 2,
      .source = "J. Lue, G. Chen, A new chaotic attractor coined, Int. J. Bifurcation Chaos 12 (2002) 659-661" },
    { SYSTEM(sprott_b, 3), .x0 = { 0.05, 0.05, 0.05 }, .p = { 1 }, .time = 5, .published = 0.210, .up = 2,
      .source = "J. C. Sprott, Some simple chaotic flows, Phys. Rev. E 50 (1994) R647-R650" },
    { SYSTEM(thomas, 3), .x0 = { 0.1, 0, 0 }, .p = { 0.18 }, .time = 10, .published = 0.0349, .up = 1,
      .source = "R. Thomas, Deterministic chaos seen in terms of feedback circuits, "
                "Int. J. Bifurcation Chaos 9 (1999) 1889-1905" },
    { SYSTEM(halvorsen, 3), .x0 = { -5, 0, 0 }, .p = { 1.27 }, .time = 1.5, .published = 0.7899, .up = 1,
      .source = "A. Halvorsen in J. C. Sprott, Chaos and Time-Series Analysis (2003), A.5" },
    { SYSTEM(rabinovich_fabrikant, 3), .x0 = { -1, 0, 0.5 }, .p = { 0.87, 1.1 }, .time = 5, .published = 0.1981, .up = 1,
      .source = "M. I. Rabinovich, A. L. Fabrikant, Stochastic self-modulation of waves in nonequilibrium media, "
                "Sov. Phys. JETP 50 (1979) 311-317" },
    { SYSTEM(moore_spiegel, 3), .x0 = { 0.1, 0, 0 }, .p = { 6, 20 }, .time = 3, .up = 1,
      .source = "D. W. Moore, E. A. Spiegel, A thermally excited non-linear oscillator, Astrophys. J. 143 (1966) 871-887" },
    { SYSTEM(duffing, 3), .x0 = { 2.5, 0, 0 }, .p = { 0.05, 7.5 }, .time = 6.3, .published = 0.1034, .up = 1,
      .source = "Y. Ueda, Randomly transitional phenomena in the system governed by Duffing's equation, "
                "J. Stat. Phys. 20 (1979) 181-196" },
    { SYSTEM(van_der_pol, 3), .x0 = { -1.9, 0, 0 }, .p = { 3, 5, 1.788 }, .time = 3.5, .published = 0.1932, .up = 1,
      .source = "B. van der Pol, J. van der Mark, Frequency demultiplication, Nature 120 (1927) 363-364" },
    { SYSTEM(henon_heiles, 4), .x0 = { 0, -0.25, 0.42081, 0 }, .p = { 1 }, .time = 6.3, .up = 1,
      .source = "M. Henon, C. Heiles, The applicability of the third integral of motion, Astron. J. 69 (1964) 73-79" },
    { SYSTEM(double_pendulum, 4), .x0 = { 2, 2, 0, 0 }, .p = { 1 }, .time = 6.3, .across = 2, .up = 3,
      .source = "T. Shinbrot, C. Grebogi, J. Wisdom, J. A. Yorke, Chaos in a double pendulum, Am. J. Phys. 60 (1992) 491-499" },
    { SYSTEM(lorenz84, 3), .x0 = { 1, 0, 1 }, .p = { 0.25, 4, 8, 1 }, .time = 1.5, .across = 1, .up = 2,
      .source = "E. N. Lorenz, Irregularity: a fundamental property of the atmosphere, Tellus A 36 (1984) 98-110" },
    { SYSTEM(lorenz96, SITES), .x0 = { 1 }, .p = { 8 }, .time = 1, .up = 1,
      .source = "E. N. Lorenz, Predictability: a problem partly solved, ECMWF seminar on predictability (1996) 1-18" },
    { SYSTEM(hindmarsh_rose, 3), .x0 = { -1, 0, 3 }, .p = { 1, 3, 1, 5, 0.006, 4, -1.6, 3.25 }, .time = 20, .across = 2,
      .source = "J. L. Hindmarsh, R. M. Rose, A model of neuronal bursting using three coupled first order differential "
                "equations, Proc. R. Soc. B 221 (1984) 87-102" },
    { SYSTEM(rikitake, 3), .x0 = { 1, 0, 3 }, .p = { 2, 5 }, .time = 2.5, .up = 2,
      .source = "T. Rikitake, Oscillations of a system of disk dynamos, Proc. Cambridge Philos. Soc. 54 (1958) 89-105" },
    { SYSTEM(nose_hoover, 3), .x0 = { 0, 5, 0 }, .p = { 1 }, .time = 6, .published = 0.0138, .across = 1, .up = 2,
      .source = "H. A. Posch, W. G. Hoover, F. J. Vesely, Canonical dynamics of the Nose oscillator, "
                "Phys. Rev. A 33 (1986) 4253-4265" },
    { SYSTEM(dadras, 3), .x0 = { 1, 1, 0 }, .p = { 3, 2.7, 1.7, 2, 9 }, .time = 1, .up = 1,
      .source = "S. Dadras, H. R. Momeni, A novel three-dimensional autonomous chaotic system, "
                "Phys. Lett. A 373 (2009) 3637-3642" },
};

static int f(double t, const double *x, const double *none, double *dx, void *ctx) {
    (void)t, (void)none;
    const chaos_system *system = ctx;
    system->f(x, system->p, dx);
    return 0;
}
static int jvp(double t, const double *x, const double *none, double vt, const double *v, const double *vp, double *dv,
               void *ctx) {
    (void)t, (void)none, (void)vt, (void)vp;
    const chaos_system *system = ctx;
    if (v) system->jvp(x, system->p, v, dv);
    else memset(dv, 0, system->dim*sizeof *dv);
    return 0;
}

nde_pointwise chaos_pointwise(chaos_system *own) { return NDE_INIT(nde_pointwise, .f = f, .jvp = jvp, .ctx = own); }
