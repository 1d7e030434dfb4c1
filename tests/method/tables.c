/* SPDX-License-Identifier: MIT
 * Every table of the registry: pattern, nodes, order conditions of the solution, of the embedded
 * solution and of the dense output by all rooted trees; and these checks themselves, by changing
 * each coefficient a little. Built twice: with the compiled tables, and as NDE_TEST_EXTENDED with
 * the same sources read in extended arithmetic.
 *
 * Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993),
 * II.2, II.4, II.6, II.15 (separable partitioned methods: the colours of a tree alternate from
 * parent to child). */
#include "method/extended.h"

#include "method/expand.h"
#include "method/method.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ORDER = 9, MOST_TREES = 486, MOST_STAGES = 64, MOST_TERMS = 16 };

/* A residual that a table may have, from the sum of its absolute terms. */
#ifdef NDE_TEST_EXTENDED
static extended allowed(extended terms) {
    const extended rounding = EXTENDED(0x1p-108)*terms; /* 16 of 113 bits */
    return rounding > (extended)1e-30 ? rounding : (extended)1e-30;
}
#else
static extended allowed(extended terms) { return 16*(extended)DBL_EPSILON*terms; }
#endif

static extended size_of(extended x) { return x < 0 ? -x : x; }

/* ---- rooted trees ---------------------------------------------------------------------------- */

/* A root and its children, which stand before it in the list, in an order that never rises. */
typedef struct tree {
    int nodes, gamma, symmetry, children, child[MOST_ORDER];
} tree;

static tree trees[MOST_TREES];
static int tree_count;

static void add_tree(tree t) {
    t.gamma = t.nodes, t.symmetry = 1;
    for (int i = 0, alike = 1; i < t.children; i++) {
        alike = i && t.child[i] == t.child[i - 1] ? alike + 1 : 1;
        t.gamma *= trees[t.child[i]].gamma;
        t.symmetry *= alike*trees[t.child[i]].symmetry;
    }
    assert_true(tree_count < MOST_TREES);
    trees[tree_count++] = t;
}

/* Adds every tree of `nodes` nodes whose root has the children of t and more of them up to number
 * `last`. */
static void grow(const tree *t, int nodes, int last) {
    if (t->nodes == nodes) add_tree(*t);
    for (int i = 0; i <= last && t->nodes + trees[i].nodes <= nodes; i++) {
        tree more = *t;
        more.nodes += trees[i].nodes;
        more.child[more.children++] = i;
        grow(&more, nodes, i);
    }
}

static int grow_all(void **state) {
    (void)state;
    const tree root = { .nodes = 1 };
    for (int nodes = 1; nodes <= MOST_ORDER; nodes++) grow(&root, nodes, tree_count - 1);
    return 0;
}

/* Counts: OEIS A000081. A tree has n!/(gamma symmetry) monotonic labellings, all trees of n nodes
 * together (n - 1)! (HNW II.2). */
static void trees_are_all_there(void **state) {
    (void)state;
    const int expected[] = { 1, 1, 2, 4, 9, 20, 48, 115, 286 };
    int count[MOST_ORDER] = { 0 }, labellings[MOST_ORDER] = { 0 };
    for (int i = 0; i < tree_count; i++) {
        int ways = 1;
        for (int n = 2; n <= trees[i].nodes; n++) ways *= n;
        assert_int_equal(ways % (trees[i].gamma*trees[i].symmetry), 0);
        count[trees[i].nodes - 1]++;
        labellings[trees[i].nodes - 1] += ways/(trees[i].gamma*trees[i].symmetry);
    }
    for (int n = 1, factorial = 1; n <= MOST_ORDER; factorial *= n++) {
        assert_int_equal(count[n - 1], expected[n - 1]);
        assert_int_equal(labellings[n - 1], factorial);
    }
}

/* ---- a table and its faults ------------------------------------------------------------------ */

/* Half X of a method gives k of colour X. A method that is not partitioned has one half. */
typedef struct half {
    extended a[MOST_STAGES][MOST_STAGES], b[MOST_STAGES], dense[MOST_TERMS][MOST_STAGES];
} half;

static int halves;
static half part[2];
static extended node[MOST_STAGES], error[2][2][MOST_STAGES]; /* error: of each half, of e and e2 */
static bool linear; /* in k of colour 0, which then have one child at most */
/* Elementary weights of each stage, and the sums of their absolute terms. */
static extended phi[2][MOST_TREES][MOST_STAGES], terms[2][MOST_TREES][MOST_STAGES];
static int weighed; /* trees */

/* A k of colour X is evaluated at the sums of the other half. */
static int other(int X) { return halves == 2 ? 1 - X : X; }

/* Those of the step and those of the extension alone. */
static int all_stages(const nde_method *m) { return m->stages + m->dense_stages; }

static void unpack(const nde_method *m) {
    halves = m->kind == NDE_KIND_PARTITIONED ? 2 : 1;
    weighed = 0;
    for (int X = 0; X < halves; X++) {
        const nde_coefficient *a = X ? m->a2 : m->a, *b = X ? m->b2 : m->b;
        const nde_coefficient *dense = X ? m->dense2 : m->dense;
        for (int i = 0; i < all_stages(m); i++) {
            for (int j = 0; j < i; j++) part[X].a[i][j] = (extended)*a++;
            for (int j = 0; j < m->dense_terms; j++) part[X].dense[j][i] = (extended)*dense++;
            part[X].b[i] = i < m->stages ? (extended)b[i] : 0;
        }
    }
    for (int i = 0; i < all_stages(m); i++) {
        node[i] = (extended)m->c[i];
        for (int X = 0; X < halves; X++) {
            const nde_coefficient *e = X ? m->e_velocity : m->e;
            error[X][0][i] = e && i < m->stages ? (extended)e[i] : 0;
            error[X][1][i] = m->e2 && i < m->stages ? (extended)m->e2[i] : 0;
        }
    }
}

/* Trees up to number n, which have not been weighed since the table was unpacked. */
static void weigh(int stages, int n) {
    static extended sum[2][MOST_TREES][MOST_STAGES], size[2][MOST_TREES][MOST_STAGES]; /* of A */
    for (; weighed <= n; weighed++) {
        const tree *t = &trees[weighed];
        for (int X = 0; X < halves; X++)
            for (int i = 0; i < stages; i++) {
                extended value = 1, absolute = 1;
                for (int k = 0; k < t->children; k++) {
                    value *= sum[other(X)][t->child[k]][i];
                    absolute *= size[other(X)][t->child[k]][i];
                }
                phi[X][weighed][i] = value, terms[X][weighed][i] = absolute;
            }
        for (int X = 0; X < halves; X++)
            for (int i = 0; i < stages; i++) {
                extended *to = &sum[X][weighed][i], *absolute = &size[X][weighed][i];
                *to = *absolute = 0;
                for (int j = 0; j < i; j++) {
                    *to += part[X].a[i][j]*phi[X][weighed][j];
                    *absolute += size_of(part[X].a[i][j])*terms[X][weighed][j];
                }
            }
    }
}

static bool meets(int X, int n, int stages, const extended *w, extended value) {
    extended sum = -value, absolute = value;
    for (int i = 0; i < stages; i++) {
        sum += w[i]*phi[X][n][i];
        absolute += size_of(w[i])*terms[X][n][i];
    }
    return size_of(sum) <= allowed(absolute);
}

/* Coefficient j of theta^power by Bernstein polynomials of this degree: choose(j, power)/choose(degree, power). */
static extended bernstein(int degree, int j, int power) {
    extended value = 1;
    for (int i = 0; i < power; i++) value *= (extended)(j - i)/(degree - i);
    return value;
}

static bool counts(const tree *t, int X) {
    if (!linear) return true;
    bool all = X || t->children <= 1;
    for (int k = 0; k < t->children; k++) all = all && counts(&trees[t->child[k]], other(X));
    return all;
}

/* Weights w [rows][stages] of the end of the step alone, or of the powers theta^1 ... theta^rows, or of as many Bernstein
 * polynomials: the order up to which they meet every condition. */
enum { END, POWERS, BERNSTEIN };
static int order_of(int stages, int X, int rows, int basis, extended (*w)[MOST_STAGES]) {
    const bool end = basis == END;
    for (int n = 0; n < tree_count; n++) {
        weigh(stages, n);
        const int nodes = trees[n].nodes;
        if (!end && nodes > rows) return nodes - 1;
        if (!counts(&trees[n], X)) continue;
        for (int j = 1; j <= rows; j++) {
            const extended share = end ? 1 : basis == BERNSTEIN ? bernstein(rows, j, nodes) : j == nodes;
            const extended value = share/trees[n].gamma;
            if (!meets(X, n, stages, w[j - 1], value)) return nodes - 1;
        }
    }
    return MOST_ORDER;
}

/* Does anything read k of colour X of stage i? */
static bool is_used(int stages, int X, int i) {
    bool used = part[X].b[i] != 0;
    for (int j = i + 1; j < stages; j++) used = used || part[X].a[j][i] != 0;
    return used;
}

/* Row sums are nodes. What stands still in a partitioned method is at a node where it has been
 * before. */
static const char *fault_of_nodes(const nde_method *m) {
    for (int X = 0; X < halves; X++)
        for (int i = 0; i < all_stages(m); i++) {
            const extended *row = part[X].a[i];
            extended sum = 0, absolute = 1;
            for (int j = 0; j < i; j++) sum += row[j], absolute += size_of(row[j]);
            int at = i;
            while (at >= 0 && size_of(sum - node[at]) > allowed(absolute)) at--;
            if (at < 0) return "a row sum is no node";
            if (node[at] != node[i] && (halves == 1 || is_used(m->stages, other(X), i)))
                return "a row sum is not its node";
        }
    return NULL;
}

static const char *fault_of_last_stage(const nde_method *m) {
    const int last = m->stages - 1;
    if (!m->first_same_as_last) return NULL;
    if (last < 1 || node[last] != 1) return "the last stage is not at the end";
    for (int X = 0; X < halves; X++)
        for (int j = 0; is_used(m->stages, X, 0) && j <= last; j++)
            if (part[other(X)].b[j] != (j < last ? part[other(X)].a[last][j] : 0))
                return "the last stage is not the new state";
    return NULL;
}

/* At theta = 1 it is the solution; a first-same-as-last method's has the slopes of both ends. */
static const char *fault_of_dense_ends(const nde_method *m, int X) {
    for (int i = 0; i < all_stages(m); i++) {
        extended value = 0, slope = 0, absolute = 0, steep = 1;
        const int last = m->dense_terms - 1;
        for (int j = 0; j <= last; j++) {
            const extended d = part[X].dense[j][i];
            const int at_end = m->bernstein ? j == last : 1, rise = m->bernstein ? (j == last) - (j == last - 1) : 1;
            const int times = m->bernstein ? last + 1 : j + 1;
            value += at_end*d, absolute += size_of(d), slope += rise*times*d, steep += times*size_of(d);
        }
        if (size_of(value - part[X].b[i]) > allowed(absolute))
            return "dense output does not end in the solution";
        if (halves == 2 || !m->first_same_as_last) continue;
        const extended begin = (i == 0)/(extended)(m->bernstein ? m->dense_terms : 1);
        if (part[X].dense[0][i] != (extended)(nde_coefficient)begin)
            return "dense output does not begin with the first slope";
        if (size_of(slope - (i == m->stages - 1)) > allowed(steep))
            return "dense output does not end with the last slope";
    }
    return NULL;
}

static const char *fault_of_orders(const nde_method *m, int X) {
    extended embedded[2][MOST_STAGES];
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < all_stages(m); i++) embedded[k][i] = part[X].b[i] - error[X][k][i];
    if (order_of(all_stages(m), X, 1, END, &part[X].b) != m->order) return "order";
    if (m->e && order_of(all_stages(m), X, 1, END, &embedded[0]) != m->error_order) return "error_order";
    if (m->e2 && order_of(all_stages(m), X, 1, END, &embedded[1]) != m->e2_order) return "e2_order";
    const int dense_order =
        order_of(all_stages(m), X, m->dense_terms, m->bernstein ? BERNSTEIN : POWERS, part[X].dense);
    const bool more = dense_order > m->dense_order;
    return dense_order < m->dense_order || (halves == 1 && more) ? "dense_order" : NULL;
}

/* Arrays of a method and their lengths. */
enum { ARRAYS = 12 };
typedef struct array {
    const nde_coefficient **values;
    int count;
} array;

static void list_arrays(nde_method *m, array *list) {
    const int s = m->stages, all_of_them = all_stages(m), triangle = all_of_them*(all_of_them - 1)/2,
              rows = all_of_them*m->dense_terms;
    const array all[ARRAYS] = {
        { &m->a, m->a ? triangle : 0 }, { &m->b, s }, { &m->c, m->c ? all_of_them : 0 },
        { &m->e, m->e ? s : 0 }, { &m->e2, m->e2 ? s : 0 },
        { &m->dense, m->dense ? rows : 0 }, { &m->a2, m->a2 ? triangle : 0 }, { &m->b2, m->b2 ? s : 0 },
        { &m->dense2, m->dense2 ? rows : 0 }, { &m->e_velocity, m->e_velocity ? s : 0 },
        { &m->predictor, m->predictor ? NDE_ADAMS_WEIGHTS : 0 }, { &m->corrector, m->corrector ? NDE_ADAMS_WEIGHTS : 0 },
    };
    memcpy(list, all, sizeof all);
}

static const char *fault_of_pattern(const nde_method *m) {
    const bool partitioned = m->kind == NDE_KIND_PARTITIONED;
    if (!m->name || !m->source || !m->a || !m->b || !m->c || !m->dense) return "missing";
    if (m->stages < 1 || m->dense_stages < 0 || all_stages(m) > MOST_STAGES) return "stages";
    if (m->dense_terms < 1 || m->dense_terms > MOST_TERMS) return "dense_terms";
    if (!m->a2 == partitioned || !m->b2 == partitioned || !m->dense2 == partitioned)
        return "second half";
    if ((m->e != NULL) != (m->error_order > 0)) return "error estimate";
    if ((m->e2 != NULL) != (m->e2_order > 0) || m->e2_order > m->error_order) return "second error estimate";
    array list[ARRAYS];
    nde_method copy = *m;
    list_arrays(&copy, list);
    for (int k = 0; k < ARRAYS; k++)
        for (int i = 0; i < list[k].count; i++) {
            const extended x = (extended)(*list[k].values)[i];
            if (x != 0 && !(size_of(x) > (extended)1e-9 && size_of(x) < (extended)1e9))
                return "a coefficient is neither zero nor sensible";
        }
    return NULL;
}

static const char *fault_of_conditions(const nde_method *m) {
    const char *fault;
    unpack(m);
    if ((fault = fault_of_nodes(m)) || (fault = fault_of_last_stage(m))) return fault;
    for (int X = 0; X < halves; X++)
        if ((fault = fault_of_dense_ends(m, X)) || (fault = fault_of_orders(m, X))) return fault;
    return NULL;
}

static const char *fault_of_full(const nde_method *m) {
    const char *fault = fault_of_pattern(m);
    return fault ? fault : fault_of_conditions(m);
}

/* Flows of positions alone, or of velocities, must end where the step does: a sum that is not 1 is a drift of its own. */
static const char *fault_of_composition(const nde_method *m) {
    if (!m->name || !m->source || !m->b || m->a || m->c || m->e || m->dense) return "arrays";
    if (m->stages < 2 || all_stages(m) > MOST_STAGES || m->dense_stages != 2) return "stages";
    if (m->error_order || m->e2_order) return "error estimate";
    if (m->first_same_as_last && m->stages % 2 == 0) return "the last stage moves what the first does not";
    extended sum[2] = { -1, -1 };
    for (int i = 0; i < m->stages; i++) sum[nde_method_moves(m, i)] += (extended)m->b[i];
    for (int X = 0; X < 2; X++)
        if (size_of(sum[X]) > (sizeof(nde_coefficient) > sizeof(double) ? (extended)1e-33 : (extended)DBL_EPSILON))
            return "sum";
    static expanded table;
    return fault_of_full(expand(m, &table));
}

/* The first step of a reversible method, whose partner is the state or slope 0 itself: reversible Heun's is Heun's, and
 * leapfrog's, where k1 = 2 F - k0, the midpoint rule. */
static const char *fault_of_reversible(const nde_method *m) {
    enum { TERMS = 2 };
    if (m->stages != 2 || m->dense_stages || m->dense_terms != TERMS || !m->first_same_as_last || m->partners != 1)
        return "stages";
    if (!m->a || !m->b || !m->c || !m->e || !m->dense) return "arrays";
    const bool turned = m->partner == NDE_PARTNER_SLOPE;
    nde_coefficient b[2], e[2], dense[2*TERMS];
    nde_method first = *m;
    for (int i = 0; i < 2; i++) {
        b[i] = !turned ? m->b[i] : i ? 2*m->b[1] : m->b[0] - m->b[1];
        e[i] = !turned ? m->e[i] : i ? 2*m->e[1] : m->e[0] - m->e[1];
    }
    for (int j = 0; j < TERMS; j++) {
        dense[j] = turned ? m->dense[j] - m->dense[TERMS + j] : m->dense[j];
        dense[TERMS + j] = turned ? 2*m->dense[TERMS + j] : m->dense[TERMS + j];
    }
    first.b = b, first.e = e, first.dense = dense, first.first_same_as_last = false;
    return fault_of_full(&first);
}

/* ---- Chebyshev methods ----------------------------------------------------------------------- */

/* The polynomial of stage j, P_j(z) = 1 + z D_j(z), by the recursion. */
static double polynomial(int j, const nde_chebyshev_stage *stage, double z) {
    double last = 0, before = 0;
    for (int i = 0; i < j; i++) {
        const double next = (double)stage[i].before*last + (double)stage[i].before2*before +
                            (double)stage[i].slope*(1 + z*last) + (double)stage[i].first;
        before = last, last = next;
    }
    return 1 + z*last;
}

/* T_j(w) and derivatives, w = cosh u > 1. */
static void hyperbolic(int j, double u, double *T) {
    const double w = cosh(u), root = sinh(u);
    T[0] = cosh(j*u), T[1] = j*sinh(j*u)/root, T[2] = (j*j*T[0] - w*T[1])/(root*root);
}

/* P_j(z) = 1 - b T_j(w) + b T_j(w + z T_s'/T_s''), b = T_j''/T_j'^2, w = 1 + eps/s^2: where the argument is within 1, |P_s| is
 * at most 1 - 0.7 eps/3: between -0.653 (s^2 - 1) and -0.06. */
static const char *fault_of_polynomials(int s, const nde_chebyshev_stage *stage) {
    const double eps = 2.0/13, u = acosh(1 + eps/(s*s)), longest = 0.653*(s*s - 1);
    double end[3], T[3];
    hyperbolic(s, u, end);
    for (int j = 1; j <= s; j++) {
        hyperbolic(j > 1 ? j : 2, u, T);
        const double b = T[2]/(T[1]*T[1]), a = 1 - b*cosh(j*u);
        const int points = j < s ? 16 : 8*s;
        for (int i = 0; i <= points; i++) {
            const double z = i == points ? -longest : -0.06 - (longest - 0.06)*i/points, x = cosh(u) + z*end[1]/end[2],
                         P = polynomial(j, stage, z);
            if (!(fabs(x) <= 1) || fabs(P - a - b*cos(j*acos(x))) > 1e-8) return "not the polynomial";
            if (j == s && !(fabs(P) <= 1 - 0.7*eps/3)) return "damping";
        }
    }
    return NULL;
}

static const char *fault_of_stages(const nde_method *m, int s, const nde_chebyshev_stage *stage) {
    static expanded table;
    const char *fault = fault_of_full(expand_chebyshev(m, s, stage, &table));
    return fault ? fault : fault_of_polynomials(s, stage);
}

static const char *fault_of_chebyshev(const nde_method *m) {
    nde_chebyshev_stage stage[EXPANDED_STAGES];
    if (!m->name || !m->source || m->a || !m->b || !m->c || !m->e || !m->dense) return "arrays";
    if (m->stages != 3 || m->dense_stages || m->dense_terms != 3 || m->e2 || m->e2_order) return "stages";
    if (m->c[0] != 0 || m->c[1] != 0 || m->c[2] != 1) return "nodes";
    if (m->b[0] != 0 || m->b[1] != 1 || m->b[2] != 0) return "weights";
    for (int s = 2; s <= 12; s += 5) {
        nde_chebyshev_write(s, stage);
        const char *fault = fault_of_stages(m, s, stage);
        if (fault) return fault;
    }
    return NULL;
}

/* The last stage is at the new positions: first same as last. */
static const char *fault_of_nystrom(const nde_method *m) {
    const int s = m->stages;
    if (!m->name || !m->source || !m->a || !m->b || !m->c || !m->e || !m->dense || !m->b2 || !m->e_velocity) return "missing";
    if (m->a2 || m->dense2 || m->e2 || m->e2_order || m->dense_stages || m->bernstein) return "too much";
    if (s < 2 || 2*s + 1 > EXPANDED_STAGES || m->dense_terms < 2 || m->dense_terms > 6) return "stages";
    if (!m->first_same_as_last || m->c[s - 1] != 1 || m->b[s - 1] != 0) return "the last stage is not at the end";
    for (int j = 0; j < s - 1; j++)
        if (m->b[j] != m->a[(s - 1)*(s - 2)/2 + j]) return "the last stage is not the new state";
    static expanded table;
    linear = true;
    const char *fault = fault_of_conditions(expand(m, &table));
    linear = false;
    return fault;
}

/* Both flows go as far as the step does; order 2: sum b_i a_ij over stages i of one field and j of another, or the same,
 * is 1/2. */
static const char *fault_of_splitting(const nde_method *m) {
    enum { MOST = 16 };
    const nde_method *rk4 = nde_method_get(NDE_RK4), *const by[2] = { rk4, rk4 };
    nde_coefficient space[MOST*(MOST - 1)/2 + 5*MOST];
    nde_method whole;
    if (!m->name || !m->source || !m->b || m->a || m->c || m->e || m->dense) return "arrays";
    if (m->stages < 2 || 4*m->stages > MOST || m->dense_stages || m->first_same_as_last) return "stages";
    if (m->error_order || m->e2_order || m->dense_order != 1) return "claims";
    nde_splitting_write(m, by, &whole, space);
    extended sum[2] = { -1, -1 }, product[2][2] = { { 0 } };
    for (int i = 0; i < whole.stages; i++) {
        const int X = whole.part[i] != 0;
        sum[X] += (extended)whole.b[i];
        for (int j = 0; j < i; j++)
            product[X][whole.part[j] != 0] += (extended)whole.b[i]*(extended)whole.a[i*(i - 1)/2 + j];
    }
    int order = 2;
    for (int X = 0; X < 2; X++) {
        if (size_of(sum[X]) > allowed(2)) return "sum";
        for (int Y = 0; Y < 2; Y++)
            if (size_of(product[X][Y] - (extended)1/2) > allowed(2)) order = 1;
    }
    return order != m->order ? "order" : NULL;
}

/* ---- multistep methods ----------------------------------------------------------------------- */

/* Weights of an order integrate every polynomial of lower degree over [0, 1] exactly, from its values at the nodes first,
 * first - 1, ...: that is what the integral of the polynomial through them does, and nothing else does. */
static const char *fault_of_weights(const nde_coefficient *w, int order, int first) {
    for (int degree = 0; degree < order; degree++) {
        extended sum = -1/(extended)(degree + 1), size = -sum;
        for (int j = 0; j < order; j++) {
            extended power = (extended)w[j];
            for (int i = 0; i < degree; i++) power *= first - j;
            sum += power, size += size_of(power);
        }
        if (size_of(sum) > allowed(size)) return first ? "corrector" : "predictor";
    }
    return NULL;
}

static const char *fault_of_adams(const nde_method *m) {
    const int corrects = m->corrector != NULL;
    if (!m->name || !m->source || m->a || !m->b || !m->c || !m->dense || !m->predictor || m->e) return "arrays";
    if (m->stages != 3 + corrects || m->dense_stages || m->dense_terms != 3 || !m->first_same_as_last) return "stages";
    if (m->dense_order != 3 || m->error_order || m->e2_order) return "orders";
    if (m->partner != NDE_PARTNER_ZERO || m->partners != m->order + 1) return "partners";
    for (int i = 0; i < m->stages; i++) {
        const int first = i == 0, mean = i == 1, last = i == m->stages - 1;
        if (m->c[i] != (i > 1)) return "nodes";
        if (m->b[i] != mean) return "weights";
        const int slopes[3] = { first, 3*mean - 2*first - last, first - 2*mean + last };
        for (int j = 0; j < 3; j++) /* Hermite's cubic */
            if (m->dense[3*i + j] != slopes[j]) return "dense";
    }
    for (int order = 1; order <= NDE_MOST_ADAMS; order++) {
        const char *fault = fault_of_weights(nde_adams_weights(m->predictor, order), order, 0);
        if (!fault && corrects) fault = fault_of_weights(nde_adams_weights(m->corrector, order), order, 1);
        if (fault) return fault;
    }
    return NULL;
}

/* The first fault of a table; NULL: it has none. */
static const char *fault_of(const nde_method *m) {
    if (m->kind == NDE_KIND_REVERSIBLE) return fault_of_reversible(m);
    if (m->kind == NDE_KIND_MULTISTEP) return fault_of_adams(m);
    if (m->kind == NDE_KIND_CHEBYSHEV) return fault_of_chebyshev(m);
    if (m->kind == NDE_KIND_SPLITTING) return fault_of_splitting(m);
    return m->kind == NDE_KIND_COMPOSITION ? fault_of_composition(m)
           : m->kind == NDE_KIND_NYSTROM   ? fault_of_nystrom(m)
                                           : fault_of_full(m);
}

/* Of many stages. */
static void stability_grows_with_the_square_of_the_stages(void **state) {
    (void)state;
    enum { MOST = 500 };
    nde_chebyshev_stage *stage = malloc(MOST*sizeof *stage);
    assert_non_null(stage);
    for (int s = 2; s <= MOST; s += 1 + s/3) {
        nde_chebyshev_write(s, stage);
        const char *fault = fault_of_polynomials(s, stage);
        if (fault) fail_msg("%d stages: %s", s, fault);
    }
    free(stage);
}

/* What the trees and the polynomial see of the recursion, stage by stage. */
static void every_changed_stage_is_caught(void **state) {
    (void)state;
    enum { STAGES = 7 };
    const nde_method *m = nde_method_find("rkc2");
    nde_chebyshev_stage stage[STAGES];
    nde_chebyshev_write(STAGES, stage);
    assert_null(fault_of_stages(m, STAGES, stage));
    for (int j = 0; j < STAGES; j++)
        for (int k = 0; k < 5; k++) {
            nde_coefficient *x[] = { &stage[j].before, &stage[j].before2, &stage[j].slope, &stage[j].first, &stage[j].node };
            const nde_coefficient was = *x[k];
            const bool unused = (j == 0 && k < 2) || (j == 1 && k == 1); /* D_0 and before are zero */
            *x[k] = was + (nde_coefficient)1e-6;
            if (!unused && !fault_of_stages(m, STAGES, stage)) fail_msg("stage %d, coefficient %d may change", j + 1, k);
            *x[k] = was;
        }
}

/* Of drift and noise apart: tests/method/stochastic.c; implicit: tests/method/rosenbrock.c, tests/method/dirk.c. */
static bool is_driven(size_t k) { return nde_method_at(k)->drive != NULL || nde_method_is_implicit(nde_method_at(k)); }

static void tables_have_no_fault(void **state) {
    (void)state;
    for (size_t k = 0; k < nde_method_count(); k++) {
        if (is_driven(k)) continue;
        const char *fault = fault_of(nde_method_at(k));
        if (fault) fail_msg("%s: %s", nde_method_name(nde_method_at(k)), fault);
    }
}

/* The compound steps of step doubling are tables like the others, one order above, but for zeros to rounding. */
static void doubled_tables_have_no_fault(void **state) {
    (void)state;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        if (m->kind != NDE_KIND_RUNGE_KUTTA) continue;
        nde_method doubled;
        nde_doubling_claim(m, &doubled);
        if (doubled.order > MOST_ORDER || doubled.stages > MOST_STAGES) continue;
        if (m->order > 5 && sizeof(nde_coefficient) == sizeof(double)) continue; /* rounding of b and e: see the other build */
        nde_coefficient *space = malloc(nde_doubling_space(m)*sizeof *space);
        assert_non_null(space);
        nde_doubling_write(m, &doubled, space);
        const char *fault = fault_of_conditions(&doubled);
        if (fault) fail_msg("%s, doubled: %s", m->name, fault);
        free(space);
    }
}

/* ---- the checks themselves ------------------------------------------------------------------- */

/* Copies an array of a method so that the test may change it. */
static nde_coefficient *own(array which) {
    nde_coefficient *copy = malloc((size_t)which.count*sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, *which.values, (size_t)which.count*sizeof *copy);
    *which.values = copy;
    return copy;
}

static void every_changed_coefficient_is_caught(void **state) {
    (void)state;
    for (size_t k = 0; k < nde_method_count(); k++) {
        for (int which = 0; which < ARRAYS && !is_driven(k); which++) {
            nde_method m = *nde_method_at(k);
            array list[ARRAYS];
            list_arrays(&m, list);
            if (!list[which].count) continue;
            nde_coefficient *x = own(list[which]);
            for (int i = 0; i < list[which].count; i++)
                for (int sign = -1; sign <= 1; sign += 2) { /* a zero becomes 1e-6 */
                    const nde_coefficient was = x[i];
                    x[i] = was + (nde_coefficient)(sign*1e-6)*(was != 0 ? was : 1);
                    if (!fault_of(&m))
                        fail_msg("%s: array %d, coefficient %d may change", m.name, which, i);
                    x[i] = was;
                }
            assert_null(fault_of(&m));
            free(x);
        }
    }
}

/* What the row sums cannot see. A partitioned table has rows that nothing reads, with row sums
 * alone. */
static void every_coefficient_moved_within_its_row_is_caught(void **state) {
    (void)state;
    for (size_t k = 0; k < nde_method_count(); k++) {
        nde_method m = *nde_method_at(k);
        array list[ARRAYS];
        list_arrays(&m, list);
        if (m.kind == NDE_KIND_PARTITIONED || !list[0].count || is_driven(k)) continue;
        nde_coefficient *row = own(list[0]), *all = row;
        for (int i = 1; i < all_stages(&m); row += i++)
            for (int j = 1; j < i; j++) {
                const nde_coefficient was[] = { row[j - 1], row[j] };
                row[j - 1] += (nde_coefficient)1e-6, row[j] -= (nde_coefficient)1e-6;
                if (!fault_of(&m))
                    fail_msg("%s: a[%d][%d] may change with its neighbour", m.name, i, j);
                row[j - 1] = was[0], row[j] = was[1];
            }
        free(all);
    }
}

static void every_claim_is_exact(void **state) {
    (void)state;
    for (size_t k = 0; k < nde_method_count(); k++)
        for (int by = -1; by <= 1 && !is_driven(k); by += 2) {
            const nde_method *right = nde_method_at(k);
            nde_method m = *right;
            m.order += by;
            assert_non_null(fault_of(&m));
            m = *right, m.error_order += by;
            assert_true(fault_of(&m) || (!right->e && by < 0));
            m = *right, m.e2_order += by;
            assert_true(fault_of(&m) || (!right->e2 && by < 0));
            m = *right, m.dense_order += by;
            assert_true(fault_of(&m) || (nde_method_is_split(right) && by < 0));
            m = *right, m.first_same_as_last = !right->first_same_as_last;
            assert_true(fault_of(&m) || right->first_same_as_last);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_are_all_there),
        cmocka_unit_test(tables_have_no_fault),
        cmocka_unit_test(doubled_tables_have_no_fault),
        cmocka_unit_test(every_changed_coefficient_is_caught),
        cmocka_unit_test(every_coefficient_moved_within_its_row_is_caught),
        cmocka_unit_test(every_claim_is_exact),
        cmocka_unit_test(stability_grows_with_the_square_of_the_stages),
        cmocka_unit_test(every_changed_stage_is_caught),
    };
    return cmocka_run_group_tests(tests, grow_all, NULL);
}
