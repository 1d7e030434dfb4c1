/* SPDX-License-Identifier: MIT
 * review.c - what has a word on a step besides the error and the controller: a controller of the caller's own, and the policy
 * at the least step size. */
#include "solve/solver.h"

#include <float.h>
#include <math.h>

/* The smallest step to go on with. */
double nde_least_step(const nde_solver *s, double t) {
    const double h_min = s->options.h_min;
    return fmax(h_min > 0 ? h_min : h_min == NDE_ZERO ? 0 : 16*DBL_EPSILON*fabs(t), s->cell);
}

void nde_judge(const nde_solver *s, const nde_panel *p, size_t b, size_t n) {
    const bool history = p->past2;
    s->rhs.kernels->clock->judge(&s->control, &s->clock, n,
                                 &(nde_judgement){ .scale = p->error_scale,
                                                   .error = p->error + b,
                                                   .t = p->t + b,
                                                   .t_new = p->t_new + b,
                                                   .dt = p->dt + b,
                                                   .stop = p->stop + b,
                                                   .past = p->past + b,
                                                   .filter = s->filter.on ? &s->filter : NULL,
                                                   .past2 = history ? p->past2 + b : NULL,
                                                   .h_last = p->h_last + b,
                                                   .h_last2 = history ? p->h_last2 + b : NULL,
                                                   .refused = p->refused + b,
                                                   .accept = p->accept + b,
                                                   .h = p->h + b,
                                                   .t_next = p->t_done + b,
                                                   .dt_next = p->dt_done + b });
}

/* The next step of lane b is h, from where the decision leaves it. */
static void go_on(const nde_solver *s, nde_panel *p, size_t b, double h) {
    const double most = s->clock.h_max > 0 ? s->clock.h_max : DBL_MAX, from = p->accept[b] ? p->t_new[b] : p->t[b];
    p->h[b] = copysign(fmin(fabs(h), most), s->direction);
    p->t_done[b] = nde_clock_target(s->direction, from, p->h[b], p->stop[b]);
    p->dt_done[b] = p->t_done[b] - from;
}

/* ---- the caller's controller ------------------------------------------------------------------------------------- */

int nde_ask_controller(const nde_solver *s, const nde_panel *p, size_t b, nde_decision *d) {
    const double past = p->past[b], past2 = p->past2[b], h_last2 = p->h_last2[b], refused = p->refused[b];
    *d = (nde_decision){ .trajectory = p->trajectory[b],
                         .order = (int32_t)nde_method_estimate_power(s->table.method, s->rhs.noise) - 1,
                         .refused = (int32_t)p->refused[b],
                         .t = p->t[b],
                         .h = p->dt[b],
                         .error = sqrt(p->error[b]*p->error_scale),
                         .h_last = p->h_last[b],
                         .h_last2 = h_last2,
                         .error_last = p->h_last[b] != 0 ? p->error_last[b] : 0,
                         .error_last2 = h_last2 != 0 ? p->error_last2[b] : 0 };
    nde_judge(s, p, b, 1);
    d->accept = p->accept[b];
    d->factor = fabs(p->h[b]/p->dt[b]);
    const int rc = s->decide.decide(s->decide.ctx, d);
    d->accept = d->accept && isfinite(d->error) && !rc;
    d->factor = !(d->factor >= s->control.factor_min) ? s->control.factor_min : fmin(d->factor, s->control.factor_max);
    p->past[b] = past, p->past2[b] = past2, p->h_last2[b] = h_last2, p->refused[b] = refused;
    return rc;
}

void nde_decide(nde_solver *s, nde_panel *p) {
    for (size_t b = 0; b < p->live->n; b++) {
        nde_decision own = { 0 }, *d = s->joint ? &s->decision : &own;
        const int rc = s->joint ? s->decision_rc : nde_ask_controller(s, p, b, d);
        if (rc) {
            p->mark[b] = NDE_LANE_STOP;
            s->stats[p->trajectory[b]].callback = rc;
            atomic_store(&s->stop, 1);
        }
        p->accept[b] = d->accept != 0;
        p->refused[b] = d->accept ? 0 : p->refused[b] + 1;
        if (d->accept) {
            p->past2[b] = p->past[b], p->h_last2[b] = p->h_last[b];
            p->past[b] = nde_weigh_past(d->error*d->error);
            p->error_last2[b] = p->error_last[b], p->error_last[b] = fmax(d->error, 1e-4);
        }
        go_on(s, p, b, d->factor*p->dt[b]);
    }
}

/* ---- the least step ---------------------------------------------------------------------------------------------- */

/* An attempt that is not longer than the least step is accepted when it could be made at all; none that follows is shorter. */
void nde_hold_least(const nde_solver *s, nde_panel *p) {
    for (size_t b = 0; b < p->live->n; b++) {
        const double least = nde_least_step(s, p->t[b]);
        if (!(fabs(p->h[b]) < least)) continue;
        /* a step may be stretched to a stop, and is rounded with its end */
        if (!p->accept[b] && fabs(p->dt[b]) <= 1.01*least + 2*DBL_EPSILON*fabs(p->t[b])) {
            if (isnan(p->error[b])) continue; /* it could not be made */
            p->accept[b] = 1, p->refused[b] = 0;
            p->forced_steps[b]++;
        }
        go_on(s, p, b, least);
    }
}
