/* SPDX-License-Identifier: MIT
 * choose.c - which method is run, and what is made of it (doubled, coupled, split, of an order); which kernels, which
 * controller. */
#include "solve/solver.h"

#include <math.h>
#include <string.h>

#include "core/isa.h"
#include "adjoint/retrace.h"
#include "field/parts.h"
#include "solve/sprint.h"

/* ---- the method ------------------------------------------------------------------------------ */

static nde_status choose_doubling(nde_solver *s) {
    const nde_method *m = s->base;
    const char *name = m->name ? m->name : "(tableau)";
    if (m->kind != NDE_KIND_RUNGE_KUTTA)
        return nde_fail(NDE_E_ARG,
                        "options.error: method %s is not an explicit Runge-Kutta method, its steps cannot be doubled", name);
    if (m->order < 1 || m->order > m->stages)
        return nde_fail(NDE_E_ARG, "options.tableau.order is %d, with %d stages", m->order, m->stages);
    nde_doubling_claim(m, &s->doubled);
    if (s->doubled.stages > NDE_MOST_STAGES)
        return nde_fail(NDE_E_ARG, "options.error: method %s has %d stages, too many to double its steps", name, m->stages);
    s->table.method = &s->doubled;
    return NDE_OK;
}

static nde_status choose_coupling(nde_solver *s) {
    const double coupling = s->options.coupling;
    const nde_method *m = s->table.method;
    const char *name = m->name ? m->name : "(tableau)";
    if (coupling == 0) return NDE_OK;
    if (!(coupling > 0 && coupling <= 1)) return nde_wrong_option("coupling", coupling);
    if (m->kind != NDE_KIND_RUNGE_KUTTA)
        return nde_fail(NDE_E_ARG, "options.coupling is %g: method %s is not an explicit Runge-Kutta method", coupling, name);
    if (s->options.compensated)
        return nde_fail(NDE_E_ARG, "options.compensated is 1, options.coupling %g: two states that are not summed", coupling);
    nde_coupling_claim(m, &s->coupled);
    if (s->coupled.stages > NDE_MOST_STAGES)
        return nde_fail(NDE_E_ARG, "options.coupling: method %s has %d stages, too many to be coupled", name, m->stages);
    s->table.method = &s->coupled;
    return NDE_OK;
}

/* Velocity Verlet moves in turns where its steps are to be undone. */
static const nde_method *plain_of(const nde_solver *s) {
    const bool turns = s->options.quantum > 0 || s->undoes;
    return s->base == &nde_method_velocity_verlet && turns ? &nde_method_velocity_verlet_kicks : s->base;
}

static nde_status choose_order(nde_solver *s) {
    const int order = s->options.order;
    const nde_method *m = s->table.method;
    if (m->kind != NDE_KIND_MULTISTEP)
        return !order ? NDE_OK : nde_fail(NDE_E_ARG, "options.order is %d: method %s has no choice of orders", order,
                                          m->name ? m->name : "(tableau)");
    if (order < 0 || order > NDE_MOST_ADAMS) return nde_wrong_option("order", order);
    nde_multistep_claim(m, order ? order : m->order, &s->multistep);
    s->table.method = &s->multistep;
    return NDE_OK;
}

/* The table that is run: that, or what has been made of it. */
const nde_method *nde_chosen_method(const nde_solver *s) {
    if (s->base->kind == NDE_KIND_MULTISTEP) return &s->multistep;
    if (s->base->kind == NDE_KIND_SWITCHING) return &s->switching;
    if (s->rhs.noisy && (s->base->kind == NDE_KIND_REVERSIBLE || s->base->kind == NDE_KIND_STOCHASTIC)) return &s->anew;
    return s->options.coupling > 0                  ? &s->coupled
           : s->options.error == NDE_ERROR_DOUBLING ? &s->doubled
           : s->rhs.problem.splitting               ? &s->composed
                                                    : plain_of(s);
}

static nde_status read_quantum(nde_solver *s) {
    const double quantum = s->options.quantum;
    const nde_method *m = s->table.method;
    int exponent;
    if (quantum == 0) return NDE_OK;
    if (!(quantum > 0) || !isfinite(quantum) || frexp(quantum, &exponent) != 0.5 || exponent < -100 || exponent > 100)
        return nde_fail(NDE_E_ARG, "options.quantum is %g: not a power of two between 2^-100 and 2^100", quantum);
    if (s->options.coupling != 1 && m->kind == NDE_KIND_COUPLED)
        return nde_fail(NDE_E_ARG, "options.quantum is %g, options.coupling %g: only 1 is reversible in every bit", quantum,
                        s->options.coupling);
    if (!(m->kind == NDE_KIND_COMPOSITION && m->first_same_as_last) && m->kind != NDE_KIND_REVERSIBLE &&
        m->kind != NDE_KIND_COUPLED)
        return nde_fail(NDE_E_ARG, "options.quantum is %g: method %s is neither a symmetric composition nor reversible",
                        quantum, m->name ? m->name : "(tableau)");
    if (s->table.damping != 1)
        return nde_fail(NDE_E_ARG,
                        "options.quantum is %g, options.damping %g: damped steps are not reversible in every bit", quantum,
                        s->options.damping);
    s->table.quantum = quantum;
    return NDE_OK;
}

static nde_status read_damping(nde_solver *s) {
    const double damping = s->options.damping;
    const nde_method *m = s->table.method;
    s->table.damping = damping == 0 ? 1 : damping;
    if (!(s->table.damping > 0.5 && s->table.damping <= 1)) return nde_wrong_option("damping", damping);
    if (damping != 0 && !(m->kind == NDE_KIND_REVERSIBLE && m->partner == NDE_PARTNER_SLOPE))
        return nde_fail(NDE_E_ARG, "options.damping is %g: method %s has no slope of its own to damp", damping,
                        m->name ? m->name : "(tableau)");
    return NDE_OK;
}

enum { MOST_CHEBYSHEV = 500, USUAL_MOST = 200, USUAL = 10 };

/* How many stages the steps may have: see options.stages. */
static nde_status choose_stages(nde_solver *s) {
    nde_options *o = &s->options;
    const nde_problem *q = &s->rhs.problem;
    nde_chebyshev *c = &s->table.chebyshev;
    if (o->stages != 0 && (o->stages < 2 || o->stages > MOST_CHEBYSHEV)) return nde_wrong_option("stages", o->stages);
    if (!nde_is_size(o->spectral_radius)) return nde_wrong_option("spectral_radius", o->spectral_radius);
    if (s->table.method->kind != NDE_KIND_CHEBYSHEV) {
        const char *given = o->stages ? "options.stages" : o->spectral_radius > 0 ? "options.spectral_radius"
                                                         : q->spectrum ? "problem.spectrum" : NULL;
        return given ? nde_fail(NDE_E_ARG, "%s is given: method %s has no use for it", given,
                                s->table.method->name ? s->table.method->name : "(tableau)") : NDE_OK;
    }
    if (q->spectrum && !nde_read_sized(&c->spectrum, sizeof c->spectrum, q->spectrum, sizeof c->spectrum))
        return nde_fail(NDE_E_ARG, "problem.spectrum.size is %zu", q->spectrum->size);
    if (q->spectrum && !c->spectrum.radius) return nde_fail(NDE_E_ARG, "problem.spectrum.radius is NULL");
    if (q->spectrum && o->spectral_radius > 0)
        return nde_fail(NDE_E_ARG, "options.spectral_radius is %g beside problem.spectrum", o->spectral_radius);
    const bool known = q->spectrum || o->spectral_radius > 0;
    c->radius = o->spectral_radius;
    c->most = o->stages ? o->stages : known ? USUAL_MOST : USUAL;
    c->least = known ? 2 : c->most;
    if (!(c->radius > 0)) return NDE_OK;
    const double longest = nde_chebyshev_longest(c->most, c->radius), whole = fabs(q->t1 - q->t0)/(double)o->steps;
    if (!s->adaptive && !q->t0_each && !q->t1_each && whole > longest)
        return nde_fail(NDE_E_ARG,
                        "options.steps is %lld: with spectral_radius %g and %d stages, no step may be longer than %g",
                        (long long)o->steps, c->radius, c->most, longest);
    if (!(o->h_max > 0 && o->h_max < longest)) o->h_max = longest;
    if (s->adaptive && o->h_min > o->h_max)
        return nde_fail(NDE_E_ARG, "options.h_min is %g: with spectral_radius %g and %d stages, no step may be longer than %g",
                        o->h_min, c->radius, c->most, longest);
    return NDE_OK;
}

static bool lacks_second(const nde_field *f) { return !f->vjp_jvp || !f->jvp; }

/* What the gradients of a Rosenbrock method ask of problem and options. */
static nde_status check_rosenbrock(const nde_solver *s, const char *name) {
    const nde_rhs *r = &s->rhs;
    if (r->problem.n_terms || r->channels)
        return nde_fail(NDE_E_ARG, "options.adjoint is %d: method %s has no gradients with problem.%s", s->adjoint, name,
                        r->channels ? "input" : "terms");
    if (s->table.jacobian.how == NDE_JACOBIAN_DIFFERENCES)
        return nde_fail(NDE_E_ARG, "options.adjoint is %d: not with options.jacobian by differences", s->adjoint);
    const nde_field *drift = r->drift.field, *integrand = r->quadrature.field;
    const nde_field *without = lacks_second(drift) ? drift : integrand && lacks_second(integrand) ? integrand : NULL;
    return without ? nde_fail(NDE_E_NO_VJP, "field '%s' has no vjp_jvp: gradients and tangents of method %s need it",
                              nde_field_name(without), name)
                   : NDE_OK;
}

/* How stages are solved: within a fraction of the tolerance, or where nothing is judged as well as can be. */
static nde_status choose_newton(nde_solver *s) {
    const double given = s->options.newton_tolerance;
    nde_newton *to = &s->table.newton;
    if (given != NDE_ZERO && !(given >= 0 && given <= 1)) return nde_wrong_option("newton_tolerance", given);
    to->fraction = given == NDE_ZERO ? 0 : given != 0 ? given : s->adaptive ? 0.01 : 0;
    to->most = to->fraction > 0 ? NDE_NEWTON_ITERATIONS : NDE_NEWTON_MOST;
    s->table.jacobian.timed = true; /* nobody asks */
    return NDE_OK;
}

/* Of a method without any. */
static nde_status refuse_linear(const nde_solver *s, const char *name) {
    const nde_options *o = &s->options;
    const char *given = o->jacobian ? "options.jacobian" : o->linear ? "options.linear" : o->krylov ? "options.krylov" : NULL;
    if (given)
        return nde_fail(NDE_E_ARG, "%s is %d: method %s has no use for it", given,
                        o->jacobian ? o->jacobian : o->linear ? o->linear : o->krylov, name);
    return !s->rhs.problem.preconditioner
           ? NDE_OK : nde_fail(NDE_E_ARG, "problem.preconditioner: method %s has no use for it", name);
}

/* Matrices, or products alone. */
static nde_status choose_linear(nde_solver *s, const char *name) {
    enum { VECTORS = 30 };
    const nde_options *o = &s->options;
    const nde_preconditioner *by = s->rhs.problem.preconditioner;
    nde_jacobian *to = &s->table.jacobian;
    if (o->linear != NDE_LINEAR_GMRES) {
        if (s->base->collocation && o->linear > NDE_LINEAR_GMRES)
            return nde_fail(NDE_E_ARG, "options.linear is %d: the matrices of method %s are dense", o->linear, name);
        if (o->krylov) return nde_fail(NDE_E_ARG, "options.krylov is %d: options.linear is not GMRES", o->krylov);
        return !by ? NDE_OK : nde_fail(NDE_E_ARG, "problem.preconditioner: options.linear is not GMRES");
    }
    if (s->base->kind != NDE_KIND_DIRK && s->base->kind != NDE_KIND_IMEX)
        return nde_fail(NDE_E_ARG, "options.linear is %d: method %s factors its matrices", o->linear, name);
    if (o->jacobian != NDE_JACOBIAN_AUTO && o->jacobian != NDE_JACOBIAN_JVP)
        return nde_fail(NDE_E_ARG, "options.jacobian is %d: GMRES takes jvp", o->jacobian);
    if (o->krylov < 0) return nde_fail(NDE_E_ARG, "options.krylov is %d", o->krylov);
    if (by && !nde_read_sized(&to->preconditioner, sizeof to->preconditioner, by, sizeof to->preconditioner))
        return nde_fail(NDE_E_ARG, "problem.preconditioner.size is %zu", by->size);
    if (by && !to->preconditioner.solve) return nde_fail(NDE_E_ARG, "problem.preconditioner.solve is NULL");
    const size_t asked = o->krylov ? (size_t)o->krylov : VECTORS;
    to->krylov = asked < s->rhs.dim ? asked : s->rhs.dim;
    return NDE_OK;
}

/* What a method that has to do with Jacobians asks of problem and options. */
static nde_status choose_implicit(nde_solver *s) {
    const nde_options *o = &s->options;
    const nde_method *m = s->base;
    const char *name = m->name ? m->name : "(tableau)";
    const bool newton = nde_method_iterates(m);
    if (o->newton_tolerance != 0 && !newton)
        return nde_fail(NDE_E_ARG, "options.newton_tolerance is %g: method %s has no use for it", o->newton_tolerance, name);
    if (!nde_method_is_implicit(m)) return refuse_linear(s, name);
    if (o->compensated) return nde_fail(NDE_E_ARG, "options.compensated is 1: method %s has plain sums only", name);
    s->table.jacobian.second = m->kind == NDE_KIND_IMEX;
    nde_status bad = choose_linear(s, name);
    const int how = s->table.jacobian.krylov ? NDE_JACOBIAN_JVP : o->jacobian;
    if (!bad)
        bad = nde_jacobian_choose(&s->table.jacobian, &s->rhs, how,
                                  m->collocation && !o->linear ? NDE_LINEAR_DENSE : o->linear,
                                  o->allocator ? o->allocator : &nde_allocator_default);
    if (!bad && newton) bad = choose_newton(s);
    if (bad || !o->adjoint) return bad;
    if (o->curvature) return nde_fail(NDE_E_ARG, "options.curvature is 1: not with method %s", name);
    if (m->filtered && o->estimates)
        return nde_fail(NDE_E_ARG,
                        "options.estimates is %d: the error of method %s goes through a Jacobian, and has no gradient",
                        o->estimates, name);
    return newton ? NDE_OK : check_rosenbrock(s, name);
}

/* The drift explicit, the second field implicit. */
static nde_status choose_imex(nde_solver *s) {
    const nde_rhs *r = &s->rhs;
    if (nde_is_flow(r, r->drift.field) || nde_is_flow(r, r->second.field))
        return nde_fail(NDE_E_ARG, "problem.splitting: a field stands for its own flow, method %s takes slopes", s->base->name);
    if (r->splitting.drift_by || r->splitting.second_by)
        return nde_fail(NDE_E_ARG, "problem.splitting.%s is %d: method %s steps along both fields itself",
                        r->splitting.drift_by ? "drift_by" : "second_by",
                        r->splitting.drift_by ? r->splitting.drift_by : r->splitting.second_by, s->base->name);
    nde_imex_claim(s->base, &s->composed);
    s->table.method = &s->composed;
    return NDE_OK;
}

/* The method along the drift (0) or along second (1). */
static nde_status choose_follower(nde_solver *s, int which) {
    const nde_rhs *r = &s->rhs;
    const bool flow = (which ? r->second : r->drift).field->nu == r->channels + 1;
    const int id = which ? r->splitting.second_by : r->splitting.drift_by;
    const char *name = which ? "second_by" : "drift_by";
    if (flow && id) return nde_fail(NDE_E_ARG, "problem.splitting.%s is %d: its field stands for its own flow", name, id);
    s->by[which] = nde_method_get(flow ? NDE_EULER : id ? id : NDE_RK4);
    return s->by[which] && s->by[which]->kind == NDE_KIND_RUNGE_KUTTA
               ? NDE_OK
               : nde_fail(NDE_E_ARG, "problem.splitting.%s is %d: no explicit Runge-Kutta method", name, id);
}

static nde_status choose_splitting(nde_solver *s) {
    const nde_method *m = s->base;
    nde_status bad = choose_follower(s, 0);
    if (bad || (bad = choose_follower(s, 1))) return bad;
    if (s->options.quantum != 0)
        return nde_fail(NDE_E_ARG, "options.quantum is %g: not with problem.splitting", s->options.quantum);
    nde_splitting_claim(m, s->by, &s->composed);
    if (s->composed.stages > NDE_MOST_STAGES)
        return nde_fail(NDE_E_ARG,
                        "problem.splitting: %d evaluations of method %s with %s and %s are too many, %d are possible",
                        s->composed.stages, m->name, s->by[0]->name, s->by[1]->name, NDE_MOST_STAGES);
    s->table.method = &s->composed;
    return NDE_OK;
}

/* Is the method for a drift of two parts, or of one, as the problem has it? */
static nde_status check_parts(const nde_problem *q, const nde_method *m) {
    const bool splits = m->kind == NDE_KIND_SPLITTING || m->kind == NDE_KIND_IMEX ||
        (q->splitting && m->kind == NDE_KIND_COMPOSITION);
    const char *name = m->name ? m->name : "(tableau)";
    if (splits != (q->splitting != NULL))
        return nde_fail(NDE_E_ARG, "problem.splitting is %s: method %s is %sa splitting", q->splitting ? "given" : "NULL", name,
                        q->splitting ? "not " : "");
    if (!splits && (q->split > 0) != nde_method_is_split(m))
        return nde_fail(NDE_E_ARG, "problem.split is %zu: method %s is %sfor partitioned problems", q->split, name,
                        q->split ? "not " : "");
    return NDE_OK;
}

/* The code that a field brings for steps of a method, if it is for such noise; NULL: none. */
static const nde_step *step_of(const nde_field *given, const nde_method *m, int noise) {
    nde_field f;
    if (!nde_read_sized(&f, sizeof f, given, sizeof f) || !f.step || f.tape || !m->name) return NULL;
    const int made_for = f.step->size >= sizeof *f.step ? f.step->noise : 0;
    return made_for == noise && !strcmp(m->name, f.step->method) ? f.step : NULL;
}

/* Is a drift without inputs and one term of diagonal noise, which see the same of q and all of p, all that there is? */
static bool is_drift_and_diffusion(const nde_rhs *r) {
    const nde_problem *q = &r->problem;
    if (!q->drift || q->n_terms != 1 || q->splitting || r->nz) return false;
    if (r->noise != NDE_NOISE_DIAGONAL || r->correction != 0) return false;
    const nde_field *f = r->drift.field, *g = r->term[0].field;
    return r->term[0].rates == r->dim && f->nq == g->nq && !f->nu && !g->nu && !f->q_first && !g->q_first && !f->p_first &&
           !g->p_first;
}

/* Steps with fields compiled in, where they are all that a step is. */
static void choose_step(nde_solver *s) {
    const nde_rhs *r = &s->rhs;
    const nde_method *m = s->base, *in_use = s->table.method;
    const bool explicit = in_use->kind == NDE_KIND_RUNGE_KUTTA || in_use->kind == NDE_KIND_STOCHASTIC;
    const nde_step *step = NULL;
    if (explicit && r->plain && m == in_use) step = step_of(r->problem.drift, m, 0);
    if (explicit && is_drift_and_diffusion(r)) step = step_of(r->problem.drift, m, NDE_NOISE_DIAGONAL);
    if (step && r->noisy && step != step_of(r->problem.terms[0].field, m, NDE_NOISE_DIAGONAL)) step = NULL;
    s->rhs.step = s->options.compensated ? NULL : step;
    s->measured_inside = s->rhs.step && s->adaptive && !s->measured && step->size >= sizeof *step && step->measures;
}

static const char *const noise_names[] = { "no", "diagonal", "scalar", "additive", "commutative", "general" };

/* The field of a noise term that has none. */
static const nde_field *noise_without_jvp(const nde_rhs *r) {
    for (size_t k = 0; k < r->problem.n_terms; k++) {
        const nde_field *f = r->term[k].field;
        if (r->problem.terms[k].noise && !f->jvp) return f;
    }
    return NULL;
}

/* Derivatives of the noise in the step itself. */
static nde_status check_second(const nde_solver *s, const char *who) {
    const nde_rhs *r = &s->rhs;
    if (r->correction == 0 && !r->follows) return NDE_OK;
    const nde_field *without = noise_without_jvp(r);
    if (without) return nde_fail(NDE_E_NO_JVP, "field '%s' has no jvp: %s needs it", nde_field_name(without), who);
    if (s->options.curvature) return nde_fail(NDE_E_ARG, "options.curvature is 1: not with %s", who);
    return NDE_OK;
}

/* Does the method converge to the solution of this problem? With noise only. */
static nde_status choose_calculus(nde_solver *s) {
    nde_rhs *r = &s->rhs;
    const nde_method *m = s->base;
    const char *name = m->name ? m->name : "(tableau)";
    const int asked = r->problem.calculus, convert = s->options.convert;
    if (convert != 0 && convert != 1) return nde_wrong_option("convert", convert);
    if (!r->noisy)
        return m->kind != NDE_KIND_STOCHASTIC ? NDE_OK : nde_fail(NDE_E_CALCULUS, "method %s needs a term with noise", name);
    if (!m->calculus) return nde_fail(NDE_E_CALCULUS, "method %s cannot integrate noise", name);
    if (!m->strong[r->noise])
        return nde_fail(NDE_E_CALCULUS, "method %s does not converge with %s noise", name, noise_names[r->noise]);
    if (s->options.steps == 0 && !m->estimate[r->noise])
        return nde_fail(NDE_E_ARG,
                        "options.steps is 0: method %s has no error estimate with %s noise and needs fixed steps", name,
                        noise_names[r->noise]);
    if (s->options.error == NDE_ERROR_DOUBLING || s->options.coupling != 0)
        return nde_fail(NDE_E_ARG, "options.%s is %g: not with noise", s->options.coupling != 0 ? "coupling" : "error",
                        s->options.coupling != 0 ? s->options.coupling : (double)s->options.error);
    const bool other = !(m->calculus & asked) && r->noise != NDE_NOISE_ADDITIVE;
    if (other && !m->converts && !convert)
        return nde_fail(NDE_E_CALCULUS,
                        "method %s converges to the %s solution, problem.calculus is %s: see options.convert", name,
                        m->calculus == NDE_ITO ? "Ito" : "Stratonovich", asked == NDE_ITO ? "Ito" : "Stratonovich");
    r->correction = !other ? 0 : asked == NDE_ITO ? -0.5 : 0.5;
    r->driven = m->drive != NULL, r->follows = nde_method_follows(m, r->noise), r->areas = nde_method_takes_area(m);
    r->brackets = m->brackets && r->noise == NDE_NOISE_GENERAL;
    r->pairs = r->brackets ? r->rates*(r->rates - 1)/2 : 0;
    r->rate_rows = r->rates + r->pairs;
    if (r->driven) r->rate_rows = 3*r->rates + 2, r->cotape = 0; /* a window would mix columns of drift and noise */
    return check_second(s, other && convert ? "options.convert" : name);
}

/* Pieces of a slope that no increment has gone into: all but the noise, and g of each term; 0 where some term is not
 * diagonal, whose field gives products. */
static size_t count_pieces(const nde_problem *q) {
    size_t count = 1;
    for (size_t k = 0; k < q->n_terms; k++) {
        if (q->terms[k].noise && q->terms[k].kind != NDE_NOISE_DIAGONAL) return 0;
        count += q->terms[k].noise != NULL;
    }
    return count;
}

/* What is run in place of a method of the registry where there is noise: not first same as last, since that slope has seen
 * another increment, but a reversible one hands on its pieces; and of a stochastic one, unless its error is wanted,
 * without the stages that serve nothing else; as a table of DIRK's kind where it solves for slopes. */
static const nde_method *choose_anew(nde_solver *s, const nde_method *m) {
    nde_method *anew = &s->anew;
    const bool stochastic = m->kind == NDE_KIND_STOCHASTIC;
    *anew = *m, anew->first_same_as_last = false;
    if (s->rhs.noisy && m->kind == NDE_KIND_REVERSIBLE && (s->rhs.pieces = count_pieces(&s->rhs.problem)))
        anew->partners = 1 + (int)s->rhs.pieces, anew->partner = NDE_PARTNER_PIECES;
    if (stochastic && !s->adaptive && !s->options.estimates && m->error_order) {
        while (m->b[anew->stages - 1] == 0) anew->stages--;
        anew->error_order = 0, anew->e = NULL;
    }
    if (stochastic && m->gamma != 0) anew->kind = NDE_KIND_DIRK;
    return s->rhs.noisy && (m->kind == NDE_KIND_REVERSIBLE || stochastic) ? anew : m;
}

nde_status nde_choose_method(nde_solver *s) {
    const nde_options *o = &s->options;
    const nde_problem *q = &s->rhs.problem;
    const nde_method *m = NULL;
    if (o->tableau) {
        if (o->method)
            return nde_fail(NDE_E_ARG,
                            "options: method is %d and tableau is given: one of them must be 0",
                            (int)o->method);
        nde_tableau table;
        if (!nde_read_sized(&table, sizeof table, o->tableau, sizeof table))
            return nde_fail(NDE_E_ARG, "options.tableau.size is %zu", o->tableau->size);
        if (table.stages < 1 || table.stages > NDE_MOST_STAGES || (!table.a && table.stages > 1) ||
            !table.b)
            return nde_fail(NDE_E_ARG, "options.tableau: %zu stages, a or b is NULL", table.stages);
        if (table.e && table.error_order < 1)
            return nde_fail(NDE_E_ARG, "options.tableau: error_order is %d, e is given", table.error_order);
        s->own_method = (nde_method){ .kind = NDE_KIND_RUNGE_KUTTA,
                                      .stages = (int)table.stages,
                                      .a = table.a,
                                      .b = table.b,
                                      .e = table.e,
                                      .order = table.order,
                                      .error_order = table.e ? table.error_order : 0,
                                      .first_same_as_last = table.first_same_as_last != 0 };
        m = &s->own_method;
    } else {
        const int id = o->method      ? o->method
                       : s->rhs.noisy ? q->calculus == NDE_ITO ? NDE_EULER_MARUYAMA : NDE_HEUN
                       : q->split     ? NDE_VELOCITY_VERLET
                       : q->splitting ? NDE_STRANG
                                      : NDE_TSIT5;
        m = nde_method_get(id);
        if (!m) return nde_fail(NDE_E_ARG, "options.method %d is unknown", (int)o->method);
    }
    s->base = m;
    m = plain_of(s);
    nde_status bad = choose_calculus(s);
    if (bad) return bad;
    if ((bad = check_parts(q, m))) return bad;
    if (m->kind == NDE_KIND_NYSTROM && (2*q->split != s->rhs.dim || q->n_terms))
        return nde_fail(NDE_E_ARG, q->n_terms ? "problem.n_terms is %zu: method %s is for q' = v, v' = F2(t, q) alone"
                                              : "problem.split is %zu: method %s is for as many positions as velocities",
                        q->n_terms ? q->n_terms : q->split, m->name);
    s->measured = s->measured || m->e_velocity;
    if (q->quadrature && m->kind == NDE_KIND_NYSTROM)
        return nde_fail(NDE_E_ARG, "problem.quadrature: method %s has velocities at the ends of a step only", m->name);
    if (q->quadrature && m->kind == NDE_KIND_COMPOSITION)
        return nde_fail(NDE_E_ARG, "problem.quadrature: method %s has positions and velocities of different times", m->name);
    if (o->compensated && !q->splitting && (m->kind == NDE_KIND_COMPOSITION || m->kind == NDE_KIND_NYSTROM))
        return nde_fail(NDE_E_ARG, "options.compensated is 1: method %s adds to the state otherwise than once in a step",
                        m->name);
    if (o->compensated && m->partners)
        return nde_fail(NDE_E_ARG, "options.compensated is 1: method %s carries a partner, which is not summed", m->name);
    if (o->compensated && m->kind == NDE_KIND_CHEBYSHEV)
        return nde_fail(NDE_E_ARG, "options.compensated is 1: method %s has plain sums only", m->name);
    s->adaptive = o->steps == 0;
    s->joint = s->adaptive && o->stepping == NDE_STEP_JOINT;
    s->restless = s->adaptive && s->rhs.noisy;
    s->revisits = s->restless && (s->rhs.areas || s->rhs.noise == NDE_NOISE_GENERAL);
    s->table.method = choose_anew(s, m);
    if (m->kind == NDE_KIND_IMEX && (bad = choose_imex(s))) return bad;
    if (m->kind == NDE_KIND_SWITCHING) nde_switching_claim(m, &s->switching), s->table.method = &s->switching;
    if ((bad = read_damping(s)) || (bad = choose_order(s)) || (o->error == NDE_ERROR_DOUBLING && (bad = choose_doubling(s))) ||
        (bad = choose_coupling(s)) || (bad = read_quantum(s)) || (bad = choose_stages(s)) ||
        (bad = choose_implicit(s)))
        return bad;
    if (s->adaptive && !s->table.method->error_order)
        return nde_fail(NDE_E_ARG,
                        "options.steps is 0: method %s has no error estimate and needs fixed steps, or options.error",
                        m->name ? m->name : "(tableau)");
    choose_step(s);
    return q->splitting && m->kind != NDE_KIND_IMEX ? choose_splitting(s) : NDE_OK;
}

nde_status nde_write_method(nde_solver *s, nde_arena *arena) {
    double *space = NULL;
    if (s->options.tableau) {
        space = nde_arena_take(arena, nde_tableau_space(s->options.tableau->stages), sizeof *space);
        if (space) {
            const nde_status bad = nde_tableau_read(s->options.tableau, &s->own_method, space);
            if (bad) return bad;
        }
    }
    if (s->options.error == NDE_ERROR_DOUBLING) {
        space = nde_arena_take(arena, nde_doubling_space(s->base), sizeof *space);
        if (space) nde_doubling_write(s->base, &s->doubled, space);
    }
    if (s->base->kind == NDE_KIND_SWITCHING) {
        space = nde_arena_take(arena, nde_switching_space(s->base), sizeof *space);
        if (space) nde_switching_write(s->base, &s->switching, space);
    }
    if (s->base->kind == NDE_KIND_IMEX) {
        space = nde_arena_take(arena, nde_imex_space(s->base), sizeof *space);
        if (space) nde_imex_write(s->base, &s->composed, space);
    } else if (s->rhs.problem.splitting) {
        space = nde_arena_take(arena, nde_splitting_space(s->base, s->by), sizeof *space);
        if (space) nde_splitting_write(s->base, s->by, &s->composed, space);
    }
    if (s->options.coupling > 0) {
        const nde_method *m = s->options.error == NDE_ERROR_DOUBLING ? &s->doubled : s->base;
        space = nde_arena_take(arena, nde_coupling_space(m), sizeof *space);
        if (space) nde_coupling_write(m, s->options.coupling, &s->coupled, space);
    }
    return NDE_OK;
}

/* ---- kernels and controller ------------------------------------------------------------------ */

void (*nde_choose_sprint(int isa))(nde_solver *s, nde_panel *p) {
    switch (isa) {
#ifdef NDE_HAVE_V4
    case NDE_ISA_V4: return nde_sprint_v4;
#endif
#ifdef NDE_HAVE_V3
    case NDE_ISA_V3: return nde_sprint_v3;
#endif
    default: return nde_sprint_baseline;
    }
}

void nde_choose_retrace(int isa, nde_retrace *retrace, nde_remake *remake) {
    *retrace = nde_retrace_baseline, *remake = nde_remake_baseline;
#ifdef NDE_HAVE_V3
    if (isa == NDE_ISA_V3) *retrace = nde_retrace_v3, *remake = nde_remake_v3;
#endif
#ifdef NDE_HAVE_V4
    if (isa == NDE_ISA_V4) *retrace = nde_retrace_v4, *remake = nde_remake_v4;
#endif
}

/* The product of a BLAS's own table in this precision. */
#ifdef nde_real
#define GEMM sgemm
#else
#define GEMM dgemm
#endif

nde_status nde_choose_kernels(nde_solver *s) {
    const nde_options *o = &s->options;
    nde_blas blas = { 0 };
    const nde_kernels *kernels = nde_kernels_get(o->isa, !o->reproducible && !o->blas);
    if (!kernels) return nde_fail(NDE_E_ARG, "options.isa %d: not in this library, or not on this machine", (int)o->isa);
    if (o->blas && !nde_read_sized(&blas, sizeof blas, o->blas, sizeof blas))
        return nde_fail(NDE_E_ARG, "options.blas: its size, %zu bytes, is not a layout that this library knows", o->blas->size);
    s->kernels = *kernels;
    if (!o->reproducible && blas.GEMM) s->kernels.gemm = blas.GEMM;
    s->rhs.kernels = &s->kernels;
    return NDE_OK;
}

nde_status nde_choose_controller(nde_solver *s) {
    const nde_options *o = &s->options;
    const double order = nde_method_estimate_power(s->table.method, s->rhs.noise) - 1;
    const int id = o->controller == NDE_CONTROLLER_AUTO && s->restless ? NDE_CONTROLLER_PI31 : o->controller;
    const nde_status bad = nde_control_make(id, order, o, &s->control);
    if (bad || (o->decide && !nde_read_sized(&s->decide, sizeof s->decide, o->decide, sizeof s->decide)))
        return bad ? bad : nde_fail(NDE_E_ARG, "options.decide.size is %zu", o->decide->size);
    if (o->decide && !s->decide.decide) return nde_fail(NDE_E_ARG, "options.decide.decide is NULL");
    if (s->decide.decide || o->n_clip || s->measured || s->guarded || o->h_min_policy == NDE_H_MIN_ACCEPT || o->compensated)
        s->sprint = NULL;
    return nde_filter_make(id, order, o, &s->control, &s->filter);
}
