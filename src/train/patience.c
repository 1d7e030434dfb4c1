/* SPDX-License-Identifier: MIT
 * patience.c - early stopping: when the loss has not improved for a while, and the best parameters so far.
 * Source: L. Prechelt, Early stopping - but when?, Lecture Notes in Computer Science 1524 (1998) 55-69, criterion UP. */
#include "nde/train.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/core.h"

static nde_status check(const nde_patience *s, size_t np, const nde_real *p) {
    static const char *const function = "nde_patience_update";
    const double improvement = s->improvement == NDE_ZERO ? 0 : s->improvement;
    if (s->patience < 1)
        return nde_fail(NDE_E_ARG, "%s: patience is %lld: it must be at least 1", function, (long long)s->patience);
    if (!(improvement >= 0 && improvement <= DBL_MAX))
        return nde_fail(NDE_E_ARG, "%s: improvement is %g: it must be 0 or more, and finite", function, s->improvement);
    const int64_t least = s->waited < s->best_at ? s->waited : s->best_at;
    if (s->count < 0 || least < 0)
        return nde_fail(NDE_E_ARG, "%s: count is %lld, waited %lld, best_at %lld: none may be negative", function,
                        (long long)s->count, (long long)s->waited, (long long)s->best_at);
    if (s->count > 0 && isnan(s->best)) return nde_fail(NDE_E_ARG, "%s: best is %g", function, s->best);
    if (s->best_p && !np) return nde_fail(NDE_E_ARG, "%s: np is 0", function);
    if (s->best_p && !p) return nde_fail(NDE_E_ARG, "%s: p is NULL", function);
    return NDE_OK;
}

nde_status nde_patience_update(nde_patience *patience, double loss, size_t np, const nde_real *p) {
    nde_patience s;
    size_t bytes;
    if (!patience) return nde_fail(NDE_E_ARG, "nde_patience_update: patience is NULL");
    if (!nde_read_sized(&s, sizeof s, patience, sizeof s))
        return nde_fail(NDE_E_ARG, "nde_patience_update: size is %zu, which is not a layout that this library knows",
                        patience->size);
    const nde_status bad = check(&s, np, p);
    if (bad) return bad;
    if (!nde_size_multiply(np, sizeof *p, &bytes)) return nde_fail(NDE_E_ARG, "nde_patience_update: np is %zu", np);
    if (s.count == 0) s.waited = s.best_at = 0, s.best = (double)INFINITY;
    if (s.count < INT64_MAX) s.count++;
    if (loss < s.best - (s.improvement > 0 ? s.improvement : 0)) {
        s.best = loss, s.best_at = s.count, s.waited = 0;
        if (s.best_p) memmove(s.best_p, p, bytes); /* p may be best_p */
    } else if (s.waited < INT64_MAX) {
        s.waited++;
    }
    patience->count = s.count, patience->waited = s.waited, patience->best_at = s.best_at, patience->best = s.best;
    return s.waited >= s.patience ? NDE_STOPPED : NDE_OK;
}
