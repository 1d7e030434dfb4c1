/* SPDX-License-Identifier: MIT
 * field.c - validation of a field, and a part's view of the arrays of the whole. */
#include "field/parts.h"

nde_status nde_field_validate(const nde_field *field, const char *who) {
    if (!field) return nde_fail(NDE_E_ARG, "%s is NULL", who);
    nde_field f;
    if (!nde_read_sized(&f, sizeof f, field, sizeof f))
        return nde_fail(NDE_E_ARG, "%s: size is %zu, this library knows %zu", who, field->size, sizeof f);
    const char *name = nde_field_name(&f);
    if (!f.eval) return nde_fail(NDE_E_ARG, "%s (%s): eval is NULL", who, name);
    if (f.dim == 0) return nde_fail(NDE_E_ARG, "%s (%s): dim is 0", who, name);
    if (f.out == 0) return nde_fail(NDE_E_ARG, "%s (%s): out is 0", who, name);

    static const unsigned known = NDE_AUTONOMOUS | NDE_LINEAR_IN_U | NDE_LANEWISE | NDE_DIRECTIONS;
    if (f.traits & ~known) return nde_fail(NDE_E_ARG, "%s (%s): traits has unknown bits: 0x%x", who, name, f.traits);
    if (f.vjp_window && !f.vjp) return nde_fail(NDE_E_ARG, "%s (%s): vjp_window without vjp", who, name);
    if (f.vjp_jvp && !f.jvp) return nde_fail(NDE_E_ARG, "%s (%s): vjp_jvp without jvp", who, name);
    if (f.prepared > 0 && !f.prepare)
        return nde_fail(NDE_E_ARG, "%s (%s): prepared is %zu, prepare is NULL", who, name, f.prepared);
    if (!f.sparsity_start != !f.sparsity_index)
        return nde_fail(NDE_E_ARG, "%s (%s): only one of sparsity_start and sparsity_index is given", who, name);

    /* No array of such rows could be had, for one lane; this also makes ends like p_first + np safe. */
    const struct { const char *name; size_t value; } sizes[] = {
        { "dim", f.dim }, { "nu", f.nu }, { "np", f.np }, { "nq", f.nq }, { "out", f.out }, { "p_first", f.p_first },
        { "q_first", f.q_first }, { "tape", f.tape }, { "cotape", f.cotape }, { "work", f.work }, { "prepared", f.prepared },
    };
    for (size_t i = 0; i < sizeof sizes/sizeof *sizes; i++)
        if (sizes[i].value > PTRDIFF_MAX/sizeof(double)/4)
            return nde_fail(NDE_E_SIZE, "%s (%s): %s is %zu", who, name, sizes[i].name, sizes[i].value);

    if (f.step && (f.step->size < offsetof(nde_step, measures) || !f.step->run || !f.step->method))
        return nde_fail(NDE_E_ARG, "%s (%s): step.size is %zu, run %s, method %s", who, name, f.step->size,
                        f.step->run ? "given" : "NULL", f.step->method ? f.step->method : "NULL");
    if (f.step && (f.step->dim != f.dim || f.step->nq != f.nq))
        return nde_fail(NDE_E_ARG, "%s (%s): step is of dim %zu and nq %zu, the field of %zu and %zu", who, name, f.step->dim,
                        f.step->nq, f.dim, f.nq);
    if (f.step && f.step->size >= sizeof *f.step && f.step->noise && f.step->noise != NDE_NOISE_DIAGONAL)
        return nde_fail(NDE_E_ARG, "%s (%s): step.noise is %d", who, name, f.step->noise);
    if (f.sparsity_start) {
        for (size_t i = 0; i < f.out; i++)
            if (f.sparsity_start[i + 1] < f.sparsity_start[i] || f.sparsity_start[0] != 0)
                return nde_fail(NDE_E_ARG, "%s (%s): sparsity_start does not ascend from 0 at row %zu", who, name, i);
        for (size_t i = 0; i < f.sparsity_start[f.out]; i++)
            if (f.sparsity_index[i] >= f.dim)
                return nde_fail(NDE_E_ARG, "%s (%s): sparsity_index[%zu] is %zu, dim is %zu", who, name, i,
                                f.sparsity_index[i], f.dim);
    }
    return NDE_OK;
}

nde_site nde_part_site(const nde_field *part, const nde_site *at, nde_slice slice) {
    nde_site s = *at;
    if (part->nu == 0) s.u = NULL;
    s.p = at->p ? at->p + part->p_first : NULL;
    s.q = at->q && part->nq ? at->q + part->q_first*at->ld : NULL;
    s.prepared = at->prepared && part->prepared ? at->prepared + slice.prepared : NULL;
    s.tape = at->tape ? at->tape + slice.tape*at->tape_ld : NULL;
    s.work = at->work ? at->work + slice.work*at->ld : NULL;
    return s;
}

nde_cotangent nde_part_cotangent(const nde_field *part, const nde_site *at, const nde_cotangent *to, nde_slice slice) {
    nde_cotangent c = *to;
    if (part->nu == 0) c.u = NULL;
    c.q = to->q && part->nq ? to->q + part->q_first*at->ld : NULL;
    c.p = to->p && part->np ? to->p + part->p_first : NULL;
    c.cotape = to->cotape && part->vjp_window ? to->cotape + slice.cotape*at->tape_ld : NULL;
    return c;
}

nde_tangent nde_part_tangent(const nde_field *part, const nde_site *at, const nde_tangent *v) {
    nde_tangent w = *v;
    if (part->nu == 0) w.u = NULL;
    w.q = v->q && part->nq ? v->q + part->q_first*at->ld : NULL;
    w.p = v->p && part->np ? v->p + part->p_first : NULL;
    return w;
}
