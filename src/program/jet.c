/* SPDX-License-Identifier: MIT
 * jet.c - Taylor coefficients of a program's values as more nodes of it. A value along x + s v is a series in s; what is
 * known of a function is how its derivative follows from series that are there already, y' = w a', which gives coefficient
 * k of y from those below k. Mixed derivatives are the same series in several variables, each to its first power:
 * hyper-dual numbers.
 * Sources: A. Griewank, A. Walther, Evaluating Derivatives (2008), 13.2; J. Fike, J. Alonso, AIAA 2011-886. */
#include "program/graph.h"

#include <string.h>

enum { ORDERS = 8, DIRECTIONS = 3, MOST = ORDERS + 1 };

static const nde_var none = { 0 };

/* Coefficient k is of s^k; with `mixed` of the product of the variables whose bits k has. */
typedef struct jet {
    nde_program *g;
    bool mixed;
    size_t count;
    uint32_t *at[MOST]; /* [count][top + 1], at[0][id] = id; 0: zero */
} jet;

/* Coefficients of one value; 0: zero. */
typedef struct series {
    nde_var c[MOST];
} series;

/* ---- sums that may lack terms ---- */

static nde_var plus(nde_program *g, nde_var a, nde_var b) { return !a.id ? b : !b.id ? a : nde_add(g, a, b); }
static nde_var negative(nde_program *g, nde_var x) { return x.id ? nde_neg(g, x) : none; }
static nde_var minus(nde_program *g, nde_var a, nde_var b) { return !a.id ? negative(g, b) : !b.id ? a : nde_sub(g, a, b); }
static nde_var scale(nde_program *g, double factor, nde_var x) { return x.id ? nde_mul(g, nde_constant(g, factor), x) : none; }
static nde_var share(nde_program *g, nde_var x, nde_var of) { return x.id ? nde_div(g, x, of) : none; }
static nde_var choose(nde_program *g, nde_var c, nde_var a, nde_var b) {
    const nde_var zero = nde_constant(g, 0);
    return a.id || b.id ? nde_select(g, c, a.id ? a : zero, b.id ? b : zero) : none;
}

/* ---- products and integrals of series ---- */

/* Has coefficient k of a product a share of coefficient i of one factor, and *rest of the other? */
static bool splits(const jet *j, size_t k, size_t i, size_t *rest) {
    *rest = j->mixed ? k ^ i : k - i;
    return j->mixed ? (i & ~k) == 0 : i <= k;
}

/* The power in coefficient i of the variable by which coefficient k is integrated. */
static size_t power(const jet *j, size_t k, size_t i) {
    size_t bit = 1;
    while (2*bit <= k) bit *= 2;
    return j->mixed ? (i & bit) != 0 : i;
}

/* Coefficient k of a b, or of the bilinear node n of them; of a square when both are one. */
static nde_var product(const jet *j, const nde_node *n, const series *a, const series *b, size_t k) {
    nde_program *g = j->g;
    nde_var sum = none, middle = none;
    for (size_t i = 0, rest; i <= k; i++) {
        if (!splits(j, k, i, &rest) || !a->c[i].id || !b->c[rest].id || (a == b && rest < i)) continue;
        const nde_var term = n ? nde_again(g, n, a->c[i], b->c[rest]) : nde_mul(g, a->c[i], b->c[rest]);
        if (a == b && rest == i) middle = term;
        else sum = plus(g, sum, term);
    }
    return plus(g, a == b ? scale(g, 2, sum) : sum, middle);
}

/* Coefficient k of the y with y' = w a'. */
static nde_var integral(const jet *j, const series *w, const series *a, size_t k) {
    nde_program *g = j->g;
    nde_var sum = none;
    for (size_t i = 1, rest; i <= k; i++)
        if (splits(j, k, i, &rest) && power(j, k, i) && a->c[i].id && w->c[rest].id)
            sum = plus(g, sum, nde_mul(g, scale(g, (double)power(j, k, i), a->c[i]), w->c[rest]));
    return scale(g, 1/(double)power(j, k, k), sum);
}

/* ---- functions: c[0] is there, of y too ---- */

static void exponential(const jet *j, const series *a, series *y) {
    for (size_t k = 1; k < j->count; k++) y->c[k] = integral(j, y, a, k);
}

/* exp - 1 */
static void exponential_less_one(const jet *j, const series *a, series *y) {
    series e = { { nde_add(j->g, y->c[0], nde_constant(j->g, 1)) } };
    exponential(j, a, &e);
    memcpy(y->c + 1, e.c + 1, (j->count - 1)*sizeof *y->c);
}

/* The sum in integral(a, y) lacks the term with c[k] of y, a_0 y_k. */
static void logarithm(const jet *j, const series *a, series *y) {
    for (size_t k = 1; k < j->count; k++) y->c[k] = share(j->g, minus(j->g, a->c[k], integral(j, a, y, k)), a->c[0]);
}

static void sine_and_cosine(const jet *j, const series *a, series *sine, series *cosine) {
    for (size_t k = 1; k < j->count; k++) {
        sine->c[k] = integral(j, cosine, a, k);
        cosine->c[k] = negative(j->g, integral(j, sine, a, k));
    }
}

/* By exp(-a^2). */
static void error_function(const jet *j, const series *a, series *y) {
    nde_program *g = j->g;
    series square = { 0 }, density;
    for (size_t k = 0; k < j->count; k++) square.c[k] = negative(g, product(j, NULL, a, a, k));
    density.c[0] = nde_exp(g, square.c[0]);
    exponential(j, &square, &density);
    for (size_t k = 1; k < j->count; k++) y->c[k] = scale(g, 1.1283791670955125739, integral(j, &density, a, k));
}

/* y y = a and b y = a, of which all but the terms with c[k] of y are known. */
static void root(const jet *j, const series *a, series *y) {
    nde_program *g = j->g;
    for (size_t k = 1; k < j->count; k++)
        y->c[k] = share(g, minus(g, a->c[k], product(j, NULL, y, y, k)), scale(g, 2, y->c[0]));
}
static void quotient(const jet *j, const series *a, const series *b, series *y) {
    for (size_t k = 1; k < j->count; k++) y->c[k] = share(j->g, minus(j->g, a->c[k], product(j, NULL, b, y, k)), b->c[0]);
}

/* ---- activations: y' = w a', w the slope, known from z, their value or their input (activation.h) ---- */

typedef struct slope {
    int activation;
    series w, s, p, q; /* of silu and gelu z S: S, S' and z S'; of softplus s = exp(-z), of sin its value */
} slope;

static slope begin_slope(const jet *j, int activation, nde_var z) {
    nde_program *g = j->g;
    slope to = { .activation = activation, .w = { { nde_slope(g, activation, z, nde_constant(g, 1)) } } };
    switch (activation) {
    case NDE_SOFTPLUS: to.s.c[0] = nde_exp(g, nde_neg(g, z)); break;
    case NDE_SIN: to.s.c[0] = nde_sin(g, z); break;
    case NDE_SILU: case NDE_LIPSWISH:
        to.s.c[0] = nde_activate(g, NDE_SIGMOID, z);
        to.p.c[0] = nde_slope(g, NDE_SIGMOID, to.s.c[0], nde_constant(g, 1));
        break;
    case NDE_GELU:
        to.p.c[0] = nde_normal_density(g, z);
        to.q.c[0] = nde_mul(g, z, to.p.c[0]);
        break;
    default: break;
    }
    return to;
}

/* Coefficient k of w, from those of z up to k. */
static void add_slope(const jet *j, slope *to, const series *z, size_t k) {
    nde_program *g = j->g;
    nde_var *w = &to->w.c[k];
    switch (to->activation) {
    case NDE_TANH: *w = negative(g, product(j, NULL, z, z, k)); break;
    case NDE_SIGMOID: *w = minus(g, z->c[k], product(j, NULL, z, z, k)); break;
    case NDE_ELU: *w = choose(g, z->c[0], none, z->c[k]); break;
    case NDE_SOFTPLUS:
        *w = integral(j, &to->s, z, k);
        to->s.c[k] = negative(g, *w);
        break;
    case NDE_SIN:
        *w = negative(g, integral(j, &to->s, z, k));
        to->s.c[k] = integral(j, &to->w, z, k);
        break;
    case NDE_SILU: case NDE_LIPSWISH:
        to->s.c[k] = integral(j, &to->p, z, k);
        to->p.c[k] = minus(g, to->s.c[k], product(j, NULL, &to->s, &to->s, k));
        *w = scale(g, to->activation == NDE_SILU ? 1 : 1/1.1, plus(g, to->s.c[k], product(j, NULL, z, &to->p, k)));
        break;
    case NDE_GELU:
        to->s.c[k] = integral(j, &to->p, z, k);
        to->p.c[k] = negative(g, integral(j, &to->q, z, k));
        to->q.c[k] = product(j, NULL, z, &to->p, k);
        *w = plus(g, to->s.c[k], to->q.c[k]);
        break;
    default: break;
    }
}

static void activate(const jet *j, int activation, const series *a, series *y) {
    const series *z = nde_keeps_input(activation) ? a : y;
    slope to = begin_slope(j, activation, z->c[0]);
    for (size_t k = 1; k < j->count; k++) {
        y->c[k] = integral(j, &to.w, a, k);
        add_slope(j, &to, z, k);
    }
}

static void multiply_by_slope(const jet *j, int activation, const series *z, const series *a, series *y) {
    slope to = begin_slope(j, activation, z->c[0]);
    for (size_t k = 1; k < j->count; k++) {
        add_slope(j, &to, z, k);
        y->c[k] = product(j, NULL, &to.w, a, k);
    }
}

/* ---- nodes ---- */

static series series_of(const jet *j, uint32_t id) {
    series x = { 0 };
    for (size_t k = 0; id && k < j->count; k++) x.c[k].id = j->at[k][id];
    return x;
}

static bool moves(const jet *j, uint32_t id) {
    for (size_t k = 1; k < j->count; k++)
        if (j->at[k][id]) return true;
    return false;
}

/* Of functions that are taken coefficient by coefficient, on the side that c[0] is on. */
static nde_var entry(const jet *j, int op, const series *x, size_t k) {
    nde_program *g = j->g;
    const nde_var a = x[0].c[k], b = x[1].c[k];
    switch (op) {
    case NDE_OP_NEG: return negative(g, a);
    case NDE_OP_ABS: return a.id ? nde_mul(g, nde_sign(g, x[0].c[0]), a) : none;
    case NDE_OP_ADD: return plus(g, a, b);
    case NDE_OP_SUB: return minus(g, a, b);
    case NDE_OP_MAXIMUM: return choose(g, nde_less(g, x[1].c[0], x[0].c[0]), a, b);
    case NDE_OP_SELECT: return choose(g, x[0].c[0], b, x[2].c[k]);
    default: return none; /* sign, comparisons */
    }
}

/* y.c[1], ... of the pointwise node n of x. */
static void pointwise(const jet *j, const nde_node *n, const series *x, series *y) {
    const series *a = x, *b = n->x[0] == n->x[1] ? a : x + 1;
    series other;
    switch (n->op) {
    case NDE_OP_MUL:
        for (size_t k = 1; k < j->count; k++) y->c[k] = product(j, NULL, a, b, k);
        break;
    case NDE_OP_DIV: quotient(j, a, b, y); break;
    case NDE_OP_SQRT: root(j, a, y); break;
    case NDE_OP_EXP: exponential(j, a, y); break;
    case NDE_OP_EXPM1: exponential_less_one(j, a, y); break;
    case NDE_OP_LOG: logarithm(j, a, y); break;
    case NDE_OP_LOG1P:
        other = *a, other.c[0] = nde_add(j->g, nde_constant(j->g, 1), a->c[0]);
        logarithm(j, &other, y);
        break;
    case NDE_OP_SIN:
        other.c[0] = nde_cos(j->g, a->c[0]);
        sine_and_cosine(j, a, y, &other);
        break;
    case NDE_OP_COS:
        other.c[0] = nde_sin(j->g, a->c[0]);
        sine_and_cosine(j, a, &other, y);
        break;
    case NDE_OP_ERF: error_function(j, a, y); break;
    case NDE_OP_ACTIVATE: activate(j, n->detail, a, y); break;
    case NDE_OP_SLOPE: multiply_by_slope(j, n->detail, a, b, y); break;
    default:
        for (size_t k = 1; k < j->count; k++) y->c[k] = entry(j, n->op, x, k);
    }
    for (size_t k = 1; k < j->count; k++) y->c[k] = nde_widen(j->g, y->c[k], n->rows);
}

static void expand_node(jet *j, uint32_t id) {
    const nde_node n = nde_node_at(j->g, id);
    const size_t operands = nde_operations[n.op].operands;
    const int form = nde_operations[n.op].form;
    series x[3], y = { { { id } } };
    bool any = false;
    for (size_t i = 0; i < 3; i++) x[i] = series_of(j, i < operands ? n.x[i] : 0);
    for (size_t i = 0; i < operands; i++) any |= moves(j, n.x[i]);
    if (form == NDE_FORM_LINEAR) {
        for (size_t k = 1; k < j->count; k++) y.c[k] = nde_linear_node(j->g, id, j->at[k]);
    } else if (any && form == NDE_FORM_BILINEAR) {
        for (size_t k = 1; k < j->count; k++) y.c[k] = product(j, &n, &x[0], &x[1], k);
    } else if (any) {
        pointwise(j, &n, x, &y);
    }
    for (size_t k = 1; k < j->count; k++) j->at[k][id] = y.c[k].id;
}

/* f's coefficients, where along direction i, which has coefficient 2^i, an input moves as move[i] says. */
static void expand(nde_program *g, bool mixed, size_t count, uint32_t f, const nde_moving *move, size_t directions,
                   nde_var *to) {
    const size_t nodes = (size_t)f + 1;
    uint32_t *at = nde_scratch(g, count*nodes, sizeof *at);
    bool *needed = nde_scratch(g, nodes, sizeof *needed);
    jet j = { .g = g, .mixed = mixed, .count = count };
    if (at && needed) nde_find_needed(g, f, needed);
    for (size_t k = 0; at && k < count; k++) j.at[k] = at + k*nodes;
    for (uint32_t id = 1; id <= f && g->status == NDE_OK; id++) {
        if (!needed[id]) continue;
        j.at[0][id] = id;
        expand_node(&j, id);
        for (size_t i = 0; i < directions; i++) {
            const int op = nde_node_at(g, id).op;
            const nde_var v = op == NDE_OP_INPUT || op == NDE_OP_INDEPENDENT ? nde_along(g, id, &move[i]) : none;
            if (v.id) j.at[(size_t)1 << i][id] = v.id;
        }
    }
    for (size_t k = 0; k < count && g->status == NDE_OK; k++) {
        to[k].id = j.at[k][f];
        if (!to[k].id) to[k] = nde_repeat(g, nde_constant(g, 0), nde_node_at(g, f).rows);
    }
    if (at) nde_scratch_free(g, at, count*nodes, sizeof *at);
    if (needed) nde_scratch_free(g, needed, nodes, sizeof *needed);
}

/* ---- for the user ---- */

void nde_jet_of(nde_program *g, nde_var f, nde_var x, nde_var v, size_t order, nde_var *to) {
    static const char who[] = "nde_jet_of";
    nde_var c[MOST] = { { 0 } };
    if (to) memset(to, 0, ((order < ORDERS ? order : ORDERS) + 1)*sizeof *to);
    if (!nde_may_derive(g, who, f, x, v, false)) return;
    if (order < 1 || order > ORDERS) nde_program_fail(g, NDE_E_ARG, "%s: order is %zu, not 1 to %d", who, order, ORDERS);
    else if (!to) nde_program_fail(g, NDE_E_ARG, "%s: jet is NULL", who);
    else expand(g, false, order + 1, f.id, &(nde_moving){ x.id, nde_widen(g, v, nde_node_at(g, x.id).rows) }, 1, c);
    if (g->status == NDE_OK) memcpy(to, c, (order + 1)*sizeof *to);
}

nde_var nde_mixed_of(nde_program *g, nde_var f, const nde_var *x, const nde_var *v, size_t count) {
    static const char who[] = "nde_mixed_of";
    nde_moving move[DIRECTIONS];
    nde_var c[1 << DIRECTIONS] = { { 0 } };
    if (!g) return (void)nde_fail(NDE_E_ARG, "%s: the program is NULL", who), none;
    if (!x || !v) return nde_program_fail(g, NDE_E_ARG, "%s: %s is NULL", who, x ? "v" : "x");
    if (count < 1 || count > DIRECTIONS)
        return nde_program_fail(g, NDE_E_ARG, "%s: count is %zu, not 1 to %d", who, count, DIRECTIONS);
    for (size_t i = 0; i < count; i++) {
        if (!nde_may_derive(g, who, f, x[i], v[i], false)) return none;
        move[i] = (nde_moving){ x[i].id, nde_widen(g, v[i], nde_node_at(g, x[i].id).rows) };
    }
    expand(g, true, (size_t)1 << count, f.id, move, count, c);
    return g->status == NDE_OK ? c[((size_t)1 << count) - 1] : none;
}
