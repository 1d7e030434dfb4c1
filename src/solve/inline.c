/* SPDX-License-Identifier: MIT
 * inline.c - what a solver makes of its options, for functions of nde/inline.h. */
#include "solve/solver.h"

#include <math.h>

/* Stands for a field that is not known here. */
static int nothing(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self, (void)at, (void)y, (void)dy;
    return NDE_FIELD_STOP;
}

static nde_status refuse(const char *member, double value) {
    return nde_fail(NDE_E_ARG, "options.%s is %g: not for functions of nde/inline.h", member, value);
}

/* What these functions cannot do. */
static nde_status admit(const nde_options *o, const nde_method *method) {
    if (o->method && o->method != nde_method_id(method)) return refuse("method", o->method);
    if (o->tableau) return refuse("tableau", 1);
    if (o->controller > NDE_CONTROLLER_PI) return refuse("controller", o->controller);
    if (o->adjoint) return refuse("adjoint", o->adjoint);
    if (o->steps) return refuse("steps", (double)o->steps);
    if (o->save_every) return refuse("save_every", (double)o->save_every);
    if (o->progress) return refuse("progress", 1);
    const unsigned char *bytes = (const unsigned char *)o;
    for (size_t i = offsetof(nde_options, allocator) + sizeof o->allocator; i < sizeof *o; i++)
        if (bytes[i])
            return nde_fail(NDE_E_ARG, "options: a member behind allocator is set: not for functions of nde/inline.h");
    return NDE_OK;
}

static nde_status check_times(double t0, double t1, const nde_options *o, const nde_real *saved) {
    if (!isfinite(t0) || !isfinite(t1) || !isfinite(t1 - t0)) return nde_fail(NDE_E_ARG, "t0 is %g, t1 is %g", t0, t1);
    if (o->n_save && !saved) return nde_fail(NDE_E_ARG, "options.n_save is %zu, saved is NULL", o->n_save);
    if (!o->n_save) return NDE_OK;
    const double first = o->save_t[0], end = o->save_t[o->n_save - 1], low = fmin(t0, t1), high = fmax(t0, t1);
    if (first < low || first > high || end < low || end > high)
        return nde_fail(NDE_E_ARG, "options.save_t runs from %g to %g: outside [%g, %g]", first, end, low, high);
    if ((end - first)*(t1 - t0) < 0)
        return nde_fail(NDE_E_ARG, "options.save_t runs from %g to %g: against the direction of time", first, end);
    return NDE_OK;
}

nde_status nde_inline_read(const char *method, size_t dim, double t0, double t1, const nde_options *options,
                           const nde_real *saved, nde_inline_plan *plan) {
    const nde_method *m = method ? nde_method_find(method) : NULL;
    const nde_options standard = { .size = sizeof standard };
    nde_options o;
    if (!m || !plan) return nde_fail(NDE_E_ARG, "nde_inline_read: %s is unknown", m ? "plan" : "method");
    if (plan->size < sizeof *plan) return nde_fail(NDE_E_ARG, "nde_inline_read: plan.size is %zu", plan->size);
    if (!nde_read_sized(&o, sizeof o, options ? options : &standard, sizeof o))
        return nde_fail(NDE_E_ARG, "options.size: %zu bytes are not a layout that this library knows", options->size);
    nde_status bad = admit(&o, m);
    if (bad) return bad;
    o.method = nde_method_id(m), o.threads = 0, o.executor = NULL;
    const nde_field field = { .size = sizeof field, .name = "inline", .dim = dim, .out = dim, .eval = nothing };
    const nde_problem problem = { .size = sizeof problem, .t0 = t0, .t1 = t1, .drift = &field };
    nde_solver s;
    size_t total, slice;
    if ((bad = nde_solver_measure(&s, &problem, &o, &total, &slice)) || (bad = check_times(t0, t1, &o, saved))) return bad;
    *plan = (nde_inline_plan){
        .size = plan->size, .rtol = s.tolerance.rtol, .atol = s.tolerance.atol, .atol_each = o.atol_each,
        .alpha = s.control.alpha, .beta = s.control.beta, .reject = s.control.reject, .safety = s.control.safety,
        .factor_min = s.control.factor_min, .factor_max = s.control.factor_max, .h0 = o.h0, .h_min = o.h_min,
        .h_max = s.options.h_max, .max_steps = s.options.max_steps, .save_t = o.save_t, .n_save = o.n_save,
    };
    return NDE_OK;
}
