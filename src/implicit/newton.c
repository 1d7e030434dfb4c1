/* SPDX-License-Identifier: MIT
 * newton.c - Newton's method on a block of lanes, with directions by LU or by GMRES. Where the residual does not shrink
 * enough the step is halved, lane by lane. */
#include "implicit/layer.h"

#include <math.h>
#include <string.h>

enum { HALVES = 20 };

/* How exactly the direction is worth finding: the residual that GMRES may leave goes like the square of how the last step has
 * shrunk it; less than a tenth of the tolerance is of no use. Source: Eisenstat, Walker (1996), choice 2. */
static void set_goals(nde_unknowns *x) {
    for (size_t b = 0; b < x->n; b++) {
        const nde_real shrunk = x->norm[b]/x->begin[b], least = (nde_real)0.1/x->norm[b], most = (nde_real)0.1;
        const nde_real goal = x->steps[b] > 0 ? (nde_real)0.9*shrunk*shrunk : most;
        x->goal[b] = goal > most ? most : goal > least ? goal : least < most ? least : most;
    }
}

/* J direction = -G in the live lanes. */
static int find_direction(nde_unknowns *x) {
    int rc = nde_unknowns_factor(x, x->y, false);
    if (rc) return rc;
    for (size_t i = 0; i < x->dim*x->ld; i += x->ld)
        NDE_LANES(b, x->n) x->trial[i + b] = x->live[b] > 0 ? -x->residual[i + b] : 0;
    set_goals(x);
    memcpy(x->begin, x->norm, x->n*sizeof *x->begin);
    rc = nde_unknowns_solve(x, x->y, false, x->goal, x->trial, x->direction);
    if (!rc) nde_unknowns_refuse(x, x->direction, NDE_SINGULAR);
    return rc;
}

/* Is the trial so much better than y that its step is taken? Armijo's rule. */
static bool is_better(const nde_unknowns *x, size_t b, nde_real length) {
    return x->trial_norm[b] <= (1 - (nde_real)1e-4*length)*x->norm[b];
}

/* length [ld] is that of lanes which have not found their step yet, else 0. */
static int search(nde_unknowns *x, nde_real *length, nde_real *found) {
    memcpy(length, x->live, x->n*sizeof *length);
    for (int half = 0; half < HALVES; half++) {
        nde_unknowns_place(x, length);
        const int rc = nde_unknowns_evaluate(x, x->trial, length, x->trial_residual, x->trial_norm);
        if (rc) return rc;
        bool more = false;
        for (size_t b = 0; b < x->n; b++) {
            found[b] = length[b] > 0 && is_better(x, b, length[b]) ? 1 : 0;
            if (length[b] > 0 && x->lane[b] == NDE_LANE_STOP) nde_unknowns_end(x, b, NDE_STOPS), length[b] = 0;
            length[b] = found[b] > 0 ? 0 : length[b]/2;
            more = more || length[b] > 0;
        }
        nde_unknowns_take(x, found);
        if (!more) return 0;
    }
    for (size_t b = 0; b < x->n; b++)
        if (length[b] > 0) nde_unknowns_end(x, b, NDE_TOO_SLOW);
    return 0;
}

int nde_newton(nde_unknowns *x) {
    int rc = 0;
    while (!rc && nde_unknowns_any(x)) {
        rc = find_direction(x);
        if (!rc) rc = search(x, x->goal, x->weight);
    }
    return rc;
}
