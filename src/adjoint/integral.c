/* SPDX-License-Identifier: MIT
 * integral.c - the gradients for p and q as integrals of a F_p + c l_p along the dense solutions of the way there and
 * back: nodes are lanes, their weights scale the cotangents. */
#include <string.h>

#include "adjoint/back.h"

/* Lanes to be evaluated, and where their sums go: q NULL: to s->g_q. */
typedef struct batch {
    nde_back *k;
    nde_worker *w;
    size_t n, most, ld;
    double *p, *q;
    int rc;
} batch;

int nde_slope_at(nde_solver *s, size_t who, double t, double ahead, const nde_real *y, size_t stride, const nde_real **k) {
    nde_worker *w = &s->worker[0];
    nde_group *g = &w->group;
    nde_group_open(s, w, 1);
    g->trajectory[0] = who, g->interval[0] = 0, g->node[0] = 0;
    g->t[0] = t, g->dt[0] = ahead, g->mark[0] = NDE_LANE_OK;
    for (size_t i = 0; i < s->rhs.dim; i++) g->y[i] = y[i*stride];
    for (size_t i = 0; i < s->rhs.nq; i++) g->q[i] = s->rhs.problem.q[i*s->N + who];
    if (s->rhs.paths) nde_rhs_begin(&s->rhs, &g->lanes, g->t, g->dt, g->node);
    *k = g->k;
    return nde_rhs_eval(&s->rhs, &g->lanes, g->t, g->y, g->k, NULL, 0);
}

static void flush(batch *c) {
    nde_solver *s = c->k->s;
    nde_group *g = &c->w->group;
    const size_t ld = c->ld, nq = s->rhs.nq;
    if (!c->n || c->rc) return;
    nde_group_open(s, c->w, c->n);
    g->lanes.site.ld = ld;
    memset(g->a_y, 0, s->rhs.rows*ld*sizeof *g->a_y);
    if (nq) memset(g->a_q, 0, nq*ld*sizeof *g->a_q);
    if (s->rhs.paths) nde_rhs_begin(&s->rhs, &g->lanes, g->t, g->dt, g->node);
    const nde_sink sink = { .p = c->p, .q = nq ? g->a_q : NULL };
    if (s->rhs.tape) c->rc = nde_rhs_eval(&s->rhs, &g->lanes, g->t, g->y, g->k, c->w->tape, ld);
    if (!c->rc) c->rc = nde_rhs_vjp(&s->rhs, &g->lanes, g->t, g->y, g->a_k, c->w->tape, ld, g->a_y, &sink);
    for (size_t i = 0; i < nq; i++)
        for (size_t j = 0; j < c->n; j++) {
            if (c->q) c->q[i] += (double)g->a_q[i*ld + j];
            else s->g_q[i*s->N + g->trajectory[j]] += g->a_q[i*ld + j];
        }
    c->n = 0;
}

static void add_node(batch *c, size_t who, double t, double weight) {
    const nde_back *k = c->k;
    const nde_solver *s = k->s;
    nde_group *g = &c->w->group;
    const size_t ld = c->ld, j = c->n, dim = s->rhs.dim;
    const int worker = c->w->scratch.worker;
    if (c->rc) return;
    c->rc = nde_history_at(&k->adjoint, worker, who, t, g->a_k + j, ld); /* first: where it repeats a step it asks for y */
    if (!c->rc) c->rc = nde_history_at(&k->forward, worker, who, t, g->y + j, ld);
    g->trajectory[j] = who, g->interval[j] = 0, g->node[j] = 0, g->t[j] = t, g->dt[j] = 0, g->mark[j] = NDE_LANE_OK;
    for (size_t i = 0; i < dim; i++) g->a_k[i*ld + j] *= (nde_real)weight;
    for (size_t i = 0; i < s->rhs.nz; i++)
        g->a_k[(dim + i)*ld + j] = k->seed.quadrature ? (nde_real)weight*k->seed.quadrature[i*s->N + who] : 0;
    for (size_t i = 0; i < s->rhs.nq; i++) g->q[i*ld + j] = s->rhs.problem.q[i*s->N + who];
    if (++c->n == c->most) flush(c);
}

/* ---- Gauss-Legendre -------------------------------------------------------------------------- */

enum { MOST_NODES = 6 };

/* Nodes and weights on (-1, 1): Newton's method on the Legendre polynomial.
 * Source: P. Davis, P. Rabinowitz, Methods of Numerical Integration (1984), 2.7. */
static void legendre(int n, double *x, double *w) {
    for (int i = 0; i < n; i++) {
        double z = cos(3.14159265358979323846*(i + 0.75)/(n + 0.5)), slope = 1;
        for (int turn = 0; turn < 8; turn++) {
            double before = 1, p = z;
            for (int m = 2; m <= n; m++) {
                const double next = ((2*m - 1)*z*p - (m - 1)*before)/m;
                before = p, p = next;
            }
            slope = n*(z*p - before)/(z*z - 1);
            z -= p/slope;
        }
        x[i] = z, w[i] = 2/((1 - z*z)*slope*slope);
    }
}

/* As many nodes in a step of the way back as its order asks for. */
static void gauss(batch *c, size_t who) {
    const nde_solver *s = c->k->solver;
    const nde_history *h = &c->k->adjoint;
    const int wanted = s->table.method->order/2 + 1, n = wanted > MOST_NODES ? MOST_NODES : wanted;
    double x[MOST_NODES], w[MOST_NODES];
    legendre(n, x, w);
    for (size_t i = 0; i < h->count[who] && !c->rc; i++) {
        const double t = h->step[who][i].t, t_new = i + 1 < h->count[who] ? h->step[who][i + 1].t : s->t_end[who],
                     half = 0.5*(t_new - t);
        for (int j = 0; j < n; j++) add_node(c, who, t + half*(1 + x[j]), -half*w[j]);
    }
}

/* ---- Gauss-Kronrod --------------------------------------------------------------------------- */

/* The pair of 7 and 15 nodes. Source: R. Piessens et al., QUADPACK (1983). */
enum { PAIR = 8, DEEPEST = 40 };
static const double node[PAIR] = { 0.991455371120812639206854697526329, 0.949107912342758524526189684047851,
                                   0.864864423359769072789712788640926, 0.741531185599394439863864773280788,
                                   0.586087235467691130294144691258357, 0.405845151377397166906606412076961,
                                   0.207784955007898467600689403773245, 0 };
static const double kronrod[PAIR] = { 0.022935322010529224963732008058970, 0.063092092629978553290700663189204,
                                      0.104790010322250183839876322541518, 0.140653259715525918745189590510238,
                                      0.169004726639267902826583426598550, 0.190350578064785409913256402421014,
                                      0.204432940075298892414161999234649, 0.209482141084727828012999174891714 };
static const double inner[PAIR] = { 0, 0.129484966168869693270611432679082, 0, 0.279705391489276667901467771423780,
                                    0, 0.381830050505118944950369775488975, 0, 0.417959183673469387755102040816327 };

static void add_nodes(batch *c, size_t who, double from, double to, bool error) {
    const double middle = 0.5*(from + to), half = 0.5*(to - from);
    for (int i = 0; i < 2*PAIR - 1; i++) { /* in the order of time */
        const int j = i < PAIR ? i : 2*PAIR - 2 - i;
        add_node(c, who, middle + (i < PAIR ? -half : half)*node[j], -half*(kronrod[j] - (error ? inner[j] : 0)));
    }
    flush(c);
}

/* Adds the integral over an interval to p [np] and the trajectory's q, in halves where its error is not within the
 * tolerance. */
static void interval(batch *c, size_t who, double from, double to, double *p, int depth) {
    nde_solver *s = c->k->s;
    const size_t np = s->rhs.np, nq = s->rhs.nq, N = s->N, total = np + nq;
    const nde_tolerance *tolerance = &c->k->solver->tolerance;
    double *value = c->k->estimate + 2*(size_t)c->w->scratch.worker*total, *error = value + total, sum = 0;
    memset(value, 0, 2*total*sizeof *value);
    c->p = value, c->q = value + np;
    add_nodes(c, who, from, to, false);
    c->p = error, c->q = error + np;
    add_nodes(c, who, from, to, true);
    if (c->rc) return;
    for (size_t i = 0; i < total; i++) {
        const double before = i < np ? p[i] : (double)s->g_q[(i - np)*N + who];
        const double part = error[i]/(tolerance->atol + tolerance->rtol*fabs(before + value[i]));
        sum += part*part;
    }
    const double middle = 0.5*(from + to);
    if (!(sum <= (double)total) && depth < DEEPEST && middle != from && middle != to) {
        interval(c, who, from, middle, p, depth + 1);
        interval(c, who, middle, to, p, depth + 1);
        return;
    }
    for (size_t i = 0; i < np; i++) p[i] += value[i];
    for (size_t i = 0; i < nq; i++) s->g_q[i*N + who] += (nde_real)value[np + i];
}

/* From the start of the way back to its end, in pieces at whose ends the integrand may jump. */
static void pieces(batch *c, size_t who, double *p) {
    const nde_solver *s = c->k->solver;
    const double end = nde_end_of(s, who);
    double from = nde_start_of(s, who);
    for (size_t f = nde_forced_after(s, from); from != end && !c->rc; f++) {
        const bool inside = f < s->forced.count && s->direction*s->forced.t[f] < s->direction*end;
        const double to = inside ? s->forced.t[f] : end;
        interval(c, who, from, to, p, 0);
        from = to;
    }
}

/* ---- all trajectories ------------------------------------------------------------------------ */

typedef struct order {
    nde_back *k;
    atomic_int failed;
} order;

static void integrate(void *arg, size_t i, int worker) {
    order *o = arg;
    nde_solver *s = o->k->s;
    const nde_shard *shard = &s->shard[i];
    nde_worker *w = &s->worker[worker];
    const size_t ld = nde_leading_dimension(s->panel[0].capacity, sizeof(nde_real));
    /* where steps are repeated, that happens in the arrays of the lanes */
    batch c = { .k = o->k, .w = w, .most = o->k->forward.quick ? s->panel[0].capacity : 1, .ld = ld,
                .p = s->rhs.np ? shard->p : NULL };
    for (size_t k = 0; k < shard->count && !c.rc; k++) {
        const nde_panel *p = &s->panel[shard->first + k];
        for (size_t who = p->first; who < p->first + p->count && !c.rc; who++) {
            if (s->adjoint == NDE_ADJOINT_GAUSS) gauss(&c, who);
            else pieces(&c, who, shard->p);
        }
    }
    if (s->adjoint == NDE_ADJOINT_GAUSS) flush(&c);
    if (c.rc) atomic_store(&o->failed, c.rc);
}

int nde_integral(nde_back *k) {
    order o = { .k = k };
    if (k->s->rhs.np + k->s->rhs.nq == 0) return 0;
    const int rc = nde_solver_tasks(k->s, k->s->n_shards, integrate, &o);
    return rc ? rc : atomic_load(&o.failed);
}
