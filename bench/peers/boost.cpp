// SPDX-License-Identifier: MIT
// Boost.Odeint: templates, right-hand sides inlined; evaluations are counted in a run of its own.
#include <cmath>
#define REAL double
#define REAL_SQRT std::sqrt
#include "driver.h"

#include <array>
#include <boost/numeric/odeint.hpp>

using namespace boost::numeric::odeint;

extern const char program[] = "Boost";
extern const char *const methods[] = { "dopri5", "cash_karp54", "fehlberg78", "bulirsch_stoer", nullptr };
static long evaluations;

#define TYPE(name, n)                                                                          \
    struct type_##name {                                                                       \
        using state = std::array<double, n>;                                                   \
        void operator()(const state &y, state &dy, double t) const {                           \
            evaluations++;                                                                     \
            name(t, y.data(), dy.data());                                                      \
        }                                                                                      \
    };
EACH_PROBLEM(TYPE)

template <class F>
static long run(int which, int method, double tolerance, double *to) {
    using S = typename F::state;
    const problem &p = problems[which];
    S y;
    for (size_t i = 0; i < y.size(); i++) y[i] = p.y0[i];
    evaluations = 0;
    try {
        switch (method) {
        case 0: integrate_adaptive(make_controlled<runge_kutta_dopri5<S>>(tolerance, tolerance), F(), y, 0.0, p.t1, 1e-3); break;
        case 1: integrate_adaptive(make_controlled<runge_kutta_cash_karp54<S>>(tolerance, tolerance), F(), y, 0.0, p.t1, 1e-3); break;
        case 2: integrate_adaptive(make_controlled<runge_kutta_fehlberg78<S>>(tolerance, tolerance), F(), y, 0.0, p.t1, 1e-3); break;
        default: integrate_adaptive(bulirsch_stoer<S>(tolerance, tolerance), F(), y, 0.0, p.t1, 1e-3);
        }
    } catch (const std::exception &) {
        return 0;
    }
    for (size_t i = 0; i < y.size(); i++) to[i] = y[i];
    return evaluations;
}

static long solve(int which, int method, double tolerance, double *y) {
    switch (which) {
#define CASE(name, n) case NUMBER_##name: return run<type_##name>(which, method, tolerance, y);
        EACH_PROBLEM(CASE)
    default: return 0;
    }
}
