/* SPDX-License-Identifier: MIT
 * ways.h - the ways to solve that can be undone, and how far two gradients are from each other. */
#ifndef NDE_TESTS_WAYS_H
#define NDE_TESTS_WAYS_H

#include "adjoint/proof.h"
#include "solve/solver.h"

/* A way to solve that can be undone. */
typedef struct way {
    int32_t method, error;
    double coupling, damping;
} way;

enum { MOST_WAYS = 40 };
static way ways[MOST_WAYS];
static size_t n_ways, n_split; /* those of partitioned problems come first */

static inline void find_ways(void) {
    static const way more[] = { { NDE_ALF, 0, 0, 0.9 }, { NDE_EULER, 0, 0.99, 0 }, { NDE_BOSH3, 0, 0.99, 0 },
                                { NDE_DOPRI5, 0, 1, 0 }, { NDE_DOP853, 0, 0.9, 0 }, { NDE_RK4, NDE_ERROR_DOUBLING, 0.99, 0 } };
    for (int reversible = 0; reversible <= 1; reversible++) {
        for (size_t k = 0; k < nde_method_count(); k++) {
            const nde_method *m = nde_method_at(k);
            const int kind = nde_method_kind(m);
            if (reversible ? kind == NDE_KIND_REVERSIBLE : kind == NDE_KIND_COMPOSITION || kind == NDE_KIND_PARTITIONED)
                ways[n_ways++] = (way){ .method = nde_method_id(m) };
        }
        if (!reversible) n_split = n_ways;
    }
    for (size_t k = 0; k < LENGTH(more); k++) ways[n_ways++] = more[k];
}

static inline void take_way(proof *f, const way *w) {
    f->options.method = w->method, f->options.error = w->error, f->options.coupling = w->coupling,
        f->options.damping = w->damping;
}
static inline const char *name_of(const way *w) {
    static char text[128];
    snprintf(text, sizeof text, "%s, coupling %g, damping %g", nde_method_name(nde_method_get(w->method)), w->coupling,
             w->damping);
    return text;
}
static inline bool can_adapt(const way *w) { return w->error || nde_method_error_order(nde_method_get(w->method)) > 0; }
static inline bool is_exact(const way *w) {
    const nde_method *m = nde_method_get(w->method);
    return w->coupling > 0 ? w->coupling == 1 : w->damping == 0 &&
        (nde_method_kind(m) != NDE_KIND_COMPOSITION || m->first_same_as_last);
}

/* The largest distance of a gradient from the kept one, relative to its size; of an input. */
static inline double distance(const proof *f, const proof_copy *c, int *of) {
    double worst = 0;
    for (int k = 0; k < INPUTS; k++) {
        double apart = 0, size = 0;
        for (size_t i = 0; i < f->in[k].count; i++) {
            const double a = input_get(&f->in[k], c->g[k], i), b = input_get(&f->in[k], f->in[k].g, i);
            apart += (a - b)*(a - b), size += a*a;
        }
        if (size > 0 && !(sqrt(apart/size) <= worst)) worst = sqrt(apart/size), *of = k;
    }
    return worst;
}

/* A solve with its discrete gradient, and again with the reversible one: how far apart they are, relative to their size, of
 * which input; differs: an input whose bits are others, or NULL. */
typedef struct undone {
    double apart;
    int of;
    const char *differs;
} undone;

static inline undone undo(proof *f) {
    undone found = { .of = 0 };
    proof_solve(f);
    const proof_copy c = proof_keep(f);
    f->options.adjoint = NDE_ADJOINT_REVERSIBLE;
    proof_solve(f);
    assert_int_equal(f->solution.record, NDE_RECORD_TIMES);
    found.differs = proof_differs(f, &c);
    found.apart = distance(f, &c, &found.of);
    return found;
}
static inline void check_undone(const undone *of, const char *what, double quantum, double most) {
    if (getenv("PROOF_VERBOSE")) fprintf(stderr, "%s: %.1e of %s\n", what, of->apart, input_names[of->of]);
    if (quantum > 0 && of->differs) fail_msg("%s: other bits of %s, %g apart", what, of->differs, of->apart);
    if (!(of->apart <= most)) fail_msg("%s: gradient of %s is off by %g", what, input_names[of->of], of->apart);
}

/* The same case forwards, and backwards in time. */
static inline void turn_time(proof *f) {
    const double t0 = f->problem.t0, t1 = f->problem.t1, sum = t0 + t1;
    f->problem.t0 = t1, f->problem.t1 = t0;
    double *save = f->in[IN_SAVE_T].x, *jump = f->in[IN_JUMP_T].x;
    for (size_t i = 0; i < f->in[IN_SAVE_T].count; i++) save[i] = sum - save[i];
    for (size_t i = 0; i < f->in[IN_JUMP_T].count; i++) jump[i] = sum - jump[i];
}

#endif
