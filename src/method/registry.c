/* SPDX-License-Identifier: MIT
 * registry.c - the methods of methods.def and their facts. */
#include "method/method.h"

#include <string.h>

#define NDE_METHOD(number, name) extern const nde_method nde_method_##name;
#include "method/methods.def"
#undef NDE_METHOD

static const struct { int id; const nde_method *method; } list[] = {
#define NDE_METHOD(number, name) { number, &nde_method_##name },
#include "method/methods.def"
#undef NDE_METHOD
};
enum { COUNT = sizeof list/sizeof *list };

size_t nde_method_count(void) { return COUNT; }
const nde_method *nde_method_at(size_t i) { return i < COUNT ? list[i].method : NULL; }

const nde_method *nde_method_find(const char *name) {
    for (size_t i = 0; name && i < COUNT; i++)
        if (!strcmp(list[i].method->name, name)) return list[i].method;
    return NULL;
}

const nde_method *nde_method_get(int id) {
    for (size_t i = 0; i < COUNT; i++)
        if (list[i].id == id) return list[i].method;
    return NULL;
}

int nde_method_id(const nde_method *m) {
    for (size_t i = 0; m && i < COUNT; i++)
        if (list[i].method == m) return list[i].id;
    return m ? NDE_METHOD_TABLEAU : NDE_METHOD_AUTO;
}

void nde_multistep_claim(const nde_method *m, int order, nde_method *claimed) {
    *claimed = *m;
    claimed->order = order, claimed->dense_order = order < 3 ? order : 3, claimed->partners = order + 1;
}

/* Its error is in few steps: one order less is enough. */
const nde_method *nde_multistep_start(int order) { return order <= 4 ? &nde_method_rk4 : &nde_method_vern7; }

const char *nde_method_name(const nde_method *m) { return m ? m->name : NULL; }
const char *nde_method_source(const nde_method *m) { return m ? m->source : NULL; }
int nde_method_kind(const nde_method *m) { return m ? m->kind : 0; }
int nde_method_order(const nde_method *m) { return m ? m->order : 0; }
int nde_method_error_order(const nde_method *m) { return m && m->kind != NDE_KIND_STOCHASTIC ? m->error_order : 0; }
int nde_method_dense_order(const nde_method *m) { return m ? m->dense_order : 0; }
int nde_method_calculus(const nde_method *m) { return !m ? 0 : m->converts ? NDE_ITO | NDE_STRATONOVICH : m->calculus; }
int nde_method_strong(const nde_method *m, int kind) {
    return m && kind > 0 && kind <= NDE_NOISE_GENERAL ? m->strong[kind] : 0;
}
int nde_method_estimate(const nde_method *m, int kind) {
    return m && kind > 0 && kind <= NDE_NOISE_GENERAL ? m->estimate[kind] : 0;
}
size_t nde_method_stages(const nde_method *m) { return m ? (size_t)m->stages : 0; }
size_t nde_method_evaluations(const nde_method *m) {
    /* a slope that is none of the field */
    const bool beside = m && (m->kind == NDE_KIND_COUPLED || m->kind == NDE_KIND_MULTISTEP);
    if (m && m->kind == NDE_KIND_ROSENBROCK) /* the first and the last slope are one evaluation, and perhaps that of the
                                              * last stage */
        return (size_t)m->stages - (m->first_same_as_last ? m->c[m->stages - 2] == 1 ? 3 : 2 : 0);
    if (m && nde_method_iterates(m)) return 0; /* as many as Newton's method takes */
    if (m && m->way[0]) return nde_method_evaluations(m->way[0]);
    size_t copies = 0;
    for (int i = 0; m && m->drive && i < m->stages; i++) copies += m->drive[i].like > 0;
    return m && m->kind != NDE_KIND_CHEBYSHEV ? (size_t)m->stages -
        (m->first_same_as_last || m->partner == NDE_PARTNER_PIECES) - beside - copies : 0;
}
