/* SPDX-License-Identifier: MIT
 * curvature.c - Hessian-vector products against a closed form, differences of gradients and their own symmetry;
 * Gauss-Newton products against the Jacobian. The loss is sum w (y + y^3/6) over all outputs. */
#include "adjoint/proof.h"

static nde_real *zeros(proof *f, size_t count) { return proof_take(f, count, sizeof(nde_real)); }

/* One array for every output: y, y_end, quadrature. */
enum { OUTPUTS = 3 };
typedef struct outputs {
    nde_real *x[OUTPUTS];
} outputs;

static size_t count_of(const proof *f, int k) {
    const size_t counts[] = { f->rows*f->out*f->n, f->dim*f->n, f->nz*f->n };
    return counts[k];
}
static outputs make_outputs(proof *f) {
    outputs o;
    for (int k = 0; k < OUTPUTS; k++) o.x[k] = count_of(f, k) ? zeros(f, count_of(f, k)) : NULL;
    return o;
}
static nde_seed seed_of(const outputs *o) { return NDE_INIT(nde_seed, .y = o->x[0], .y_end = o->x[1], .quadrature = o->x[2]); }

/* First derivative of the loss, and its derivative along v. */
static void differentiate(const proof *f, const outputs *v, outputs *first, outputs *second) {
    const nde_real *value[] = { f->solution.y, f->solution.y_end, f->solution.quadrature };
    const nde_real *weight[] = { f->seed_y, f->seed_end, f->seed_z };
    for (int k = 0; k < OUTPUTS; k++)
        for (size_t i = 0; i < count_of(f, k); i++) {
            const nde_real y = value[k][i], w = weight[k][i];
            first->x[k][i] = w*(1 + y*y/2);
            if (v) second->x[k][i] = w*y*v->x[k][i];
        }
}

/* Inputs that may move: y0, p, q, one after the other. */
enum { MOVING = 3 };
typedef struct inputs {
    nde_real *x[MOVING];
} inputs;

static inputs make_inputs(proof *f, uint64_t draw) {
    inputs a = { 0 };
    for (int k = 0; k < MOVING; k++) {
        const proof_input *in = &f->in[k];
        if (!in->count) continue;
        a.x[k] = zeros(f, in->count);
        for (size_t i = 0; draw && i < in->count; i++) a.x[k][i] = (nde_real)(float)proof_number(draw + (uint64_t)k, i);
    }
    return a;
}
static double dot(const proof *f, const inputs *a, const inputs *b) {
    double sum = 0;
    for (int k = 0; k < MOVING; k++)
        for (size_t i = 0; i < f->in[k].count; i++) sum += (double)a->x[k][i]*(double)b->x[k][i];
    return sum;
}
static nde_gradient gradient_of(const inputs *a) { return NDE_INIT(nde_gradient, .y0 = a->x[0], .p = a->x[1], .q = a->x[2]); }

static void must(proof *f, nde_status status) {
    if (status != NDE_OK) fail_msg("%s: %s", nde_status_name(status), nde_solver_error(f->solver));
}

static inputs hessian_product(proof *f, const inputs *v) {
    inputs product = make_inputs(f, 0);
    outputs moved = make_outputs(f), first = make_outputs(f), second = make_outputs(f);
    const nde_direction along = NDE_INIT(nde_direction, .y0 = v->x[0], .p = v->x[1], .q = v->x[2]);
    const nde_output_tangent out = NDE_INIT(nde_output_tangent, .y = moved.x[0], .y_end = moved.x[1], .quadrature = moved.x[2]);
    must(f, nde_forward(f->solver, &along, &out));
    differentiate(f, &moved, &first, &second);
    const nde_seed seed = seed_of(&first), seed_tangent = seed_of(&second);
    const nde_gradient to = gradient_of(&product);
    must(f, nde_hessian_product(f->solver, &along, &seed, &seed_tangent, &to));
    return product;
}

/* The gradient at the inputs moved by h v; with fixed steps the map is the same. */
static inputs gradient_at(proof *f, const inputs *v, double h) {
    inputs g = make_inputs(f, 0);
    outputs first = make_outputs(f);
    nde_real *kept[MOVING] = { 0 };
    for (int k = 0; k < MOVING; k++) {
        nde_real *x = f->in[k].x;
        if (!f->in[k].count) continue;
        kept[k] = zeros(f, f->in[k].count);
        memcpy(kept[k], x, f->in[k].count*sizeof *x);
        for (size_t i = 0; i < f->in[k].count; i++) x[i] = (nde_real)((double)x[i] + h*(double)v->x[k][i]);
    }
    must(f, proof_run(f));
    differentiate(f, NULL, &first, NULL);
    const nde_seed seed = seed_of(&first);
    const nde_gradient to = gradient_of(&g);
    must(f, nde_backward(f->solver, &seed, &to));
    for (int k = 0; k < MOVING; k++)
        if (kept[k]) memcpy(f->in[k].x, kept[k], f->in[k].count*sizeof *kept[k]);
    return g;
}

static double symmetry(proof *f) {
    const inputs v = make_inputs(f, 400), w = make_inputs(f, 500), hv = hessian_product(f, &v), hw = hessian_product(f, &w);
    const double left = dot(f, &w, &hv), right = dot(f, &v, &hw);
    assert_true(isfinite(left) && left != 0);
    return fabs(left - right)/sqrt(dot(f, &w, &w)*dot(f, &hv, &hv));
}

/* Of central differences, extrapolated once, relative to the size of the product. Rounding in a gradient is divided by h:
 * in float they show little more than that the product is the right quantity. */
static const double difference = sizeof(nde_real) == 8 ? 1e-9 : 1e-2;

static double differences(proof *f) {
    const double h = sizeof(nde_real) == 8 ? 0x1p-12 : 0x1p-6;
    const inputs v = make_inputs(f, 400), exact = hessian_product(f, &v);
    const inputs g[] = { gradient_at(f, &v, h), gradient_at(f, &v, -h), gradient_at(f, &v, h/2), gradient_at(f, &v, -h/2) };
    double sum = 0, size = 0;
    for (int k = 0; k < MOVING; k++)
        for (size_t i = 0; i < f->in[k].count; i++) {
            const double wide = ((double)g[0].x[k][i] - (double)g[1].x[k][i])/(2*h),
                near = ((double)g[2].x[k][i] - (double)g[3].x[k][i])/h;
            const double error = (double)exact.x[k][i] - (4*near - wide)/3;
            sum += error*error, size += (double)exact.x[k][i]*(double)exact.x[k][i];
        }
    must(f, proof_run(f));
    return sqrt(sum/size);
}

/* ---- problems of networks, which have second derivatives ---------------------------------------------------------- */

#define NETWORK(name, ...) static const nde_mlp name = { .size = sizeof name, .layers = 2, __VA_ARGS__ }
static const size_t width_drift[] = { 2 + 1 + 1, 5, 2 }, width_term[] = { 2 + 2, 4, 2 }, width_count[] = { 2, 3, 1 },
    width_jump[] = { 2 + 1, 4, 2 },
                    width_seen[] = { 2, 4, 3 };
NETWORK(net_drift, .width = width_drift, .inputs_q = 1, .time_input = 1);
NETWORK(net_term, .width = width_term, .inputs_u = 2);
NETWORK(net_count, .width = width_count);
NETWORK(net_jump, .width = width_jump, .inputs_u = 1);
NETWORK(net_seen, .width = width_seen);

enum { PLAIN, PATHS, DOSES, SEEN, KINDS };

static void make(proof *f, int kind, size_t n, int64_t steps, int method) {
    static const model shape = { .dim = 2, .out = 2 };
    static const nde_field *seen;
    static nde_field seen_field;
    memset(f, 0, sizeof *f);
    proof_begin(f, n, &shape, false, 0, 2, 0.5);
    f->drift = nde_field_mlp(&net_drift);
    f->problem.q = proof_input_make(f, IN_Q, 1, false, false, 0.5, 0.5);
    size_t np = f->drift.np;
    if (kind == PATHS) {
        proof_path(f, &f->path, IN_TERM_X, 2, 0.25, 1.25);
        f->term_field[0] = nde_field_mlp(&net_term);
        f->term_field[0].p_first = np, np += f->term_field[0].np;
        f->term[0] = NDE_INIT(nde_term, .field = &f->term_field[0], .path = &f->path);
        f->problem.terms = f->term, f->problem.n_terms = 1;
    }
    if (kind == DOSES) {
        f->quadrature = nde_field_mlp(&net_count), f->jump = nde_field_mlp(&net_jump);
        f->quadrature.p_first = np, np += f->quadrature.np;
        f->jump.p_first = np, np += f->jump.np;
        double *t = proof_input_make(f, IN_JUMP_T, 2, true, true, 0, 0);
        t[0] = 0.7, t[1] = 1.2;
        f->problem.quadrature = &f->quadrature, f->nz = 1;
        f->problem.jump = &f->jump, f->problem.n_jumps = 2, f->problem.jump_t = t, f->problem.jump_inputs = 1;
        f->problem.jump_u = proof_input_make(f, IN_JUMP_U, 2, false, false, 0.3, 0.2);
    }
    if (kind == SEEN) {
        seen_field = nde_field_mlp(&net_seen), seen = &seen_field;
        seen_field.p_first = np, np += seen_field.np;
        f->problem.observe = seen;
    }
    proof_parameters(f, np, NULL);
    proof_save(f, 3, (double[]){ 0.25, 1.5, 2 });
    f->options.method = method, f->options.steps = steps, f->options.curvature = 1, f->options.reproducible = 1;
    f->options.rtol = sizeof(nde_real) == 8 ? 1e-6 : 1e-4;
}

static void begin(proof *f) {
    proof_create(f);
    must(f, proof_run(f));
}

static const double rounding = sizeof(nde_real) == 8 ? 1e-13 : 1e-5;

/* Independent and joint steps, one trajectory and several, fixed and adaptive steps, both directions of time. */
static void is_symmetric(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t n = 1; n <= 70; n += 69)
            for (int how = 0; how < 4; how++) {
                proof f;
                make(&f, kind, n, how & 1 ? 11 : 0, NDE_TSIT5);
                if (how & 2) f.options.stepping = NDE_STEP_JOINT;
                begin(&f);
                const double error = symmetry(&f);
                if (!(error <= rounding)) fail_msg("kind %d, %zu trajectories, %d: %g", kind, n, how, error);
                proof_end(&f);
            }
}

static void is_the_difference_of_gradients(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < nde_method_count(); i++) {
            const nde_method *m = nde_method_at(i);
            const int of = nde_method_kind(m), id = nde_method_id(m);
            if (of == NDE_KIND_COMPOSITION || of == NDE_KIND_NYSTROM || id == NDE_VELOCITY_VERLET ||
                of == NDE_KIND_STOCHASTIC || of >= NDE_KIND_ROSENBROCK || id == NDE_LIE || id == NDE_STRANG)
                continue;
            if (kind && i % KINDS != (size_t)kind) continue; /* every method once, some with all that there is */
            proof f;
            make(&f, kind, 3, 12, id);
            begin(&f);
            const double error = differences(&f);
            if (!(error <= difference)) fail_msg("kind %d, %s: %g", kind, nde_method_name(m), error);
            proof_end(&f);
        }
}

/* ---- partitioned -------------------------------------------------------------------------------------------------- */

/* f = x + a x^3 with a = p[i], for q' = f(v) and v' = -f(q); of a Nystrom pair q' = v. Adds to what is not NULL. */
static void half_of(const nde_field *self, const nde_site *at, int i, const nde_real *y, const nde_tangent *v,
                    const nde_real *a, const nde_real *b, nde_real *f, nde_real *jv, nde_cotangent *to_y, nde_cotangent *to_v) {
    const bool straight = self->ctx && i == 0;
    const nde_real sign = i ? -1 : 1, c = straight ? 0 : at->p[i], vc = v && v->p && !straight ? v->p[i] : 0;
    const size_t from = (size_t)(1 - i)*at->ld, into = (size_t)i*at->ld;
    for (size_t l = 0; l < at->n; l++) {
        const nde_real x = y[from + l], vx = v && v->y ? v->y[from + l] : 0, slope = 1 + 3*c*x*x;
        const nde_real A = a ? sign*a[into + l] : 0, B = b ? sign*b[into + l] : 0;
        if (f) f[into + l] = sign*(x + c*x*x*x);
        if (jv) jv[into + l] = sign*(slope*vx + vc*x*x*x);
        if (to_y && to_y->y) to_y->y[from + l] += A*slope + B*(6*c*x*vx + 3*x*x*vc);
        if (to_y && to_y->p && !straight) to_y->p[i] += (double)(A*x*x*x + B*3*x*x*vx);
        if (to_v && to_v->y) to_v->y[from + l] += B*slope;
    }
}
static int halves(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *f) {
    for (int i = 0; i < 2; i++) half_of(self, at, i, y, NULL, NULL, NULL, f, NULL, NULL, NULL);
    return 0;
}
static int halves_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *jv) {
    for (int i = 0; i < 2; i++) half_of(self, at, i, y, v, NULL, NULL, NULL, jv, NULL, NULL);
    return 0;
}
static int halves_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    for (int i = 0; i < 2; i++) half_of(self, at, i, y, NULL, a, NULL, NULL, NULL, to, NULL);
    return 0;
}
static int halves_vjp_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, const nde_real *a,
                          const nde_real *b, nde_cotangent *to_y, nde_cotangent *to_v) {
    for (int i = 0; i < 2; i++) half_of(self, at, i, y, v, a, b, NULL, NULL, to_y, to_v);
    return 0;
}

static void positions_and_velocities(void **state) {
    (void)state;
    int methods = 0;
    for (size_t i = 0; i < nde_method_count(); i++) {
        const nde_method *m = nde_method_at(i);
        const int of = nde_method_kind(m), id = nde_method_id(m);
        if (of != NDE_KIND_COMPOSITION && of != NDE_KIND_NYSTROM && id != NDE_VELOCITY_VERLET) continue;
        if (id == NDE_LIE || id == NDE_STRANG) continue;
        proof f;
        make(&f, PLAIN, 3, 9, id);
        f.drift = NDE_INIT(nde_field, .name = "halves", .ctx = of == NDE_KIND_NYSTROM ? &f : NULL, .dim = 2, .out = 2, .np = 2,
                           .traits = NDE_LANEWISE | NDE_AUTONOMOUS, .eval = halves, .vjp = halves_vjp, .jvp = halves_jvp,
                           .vjp_jvp = halves_vjp_jvp);
        proof_parameters(&f, 2, (double[]){ 0.25, 0.5 });
        f.problem.split = 1, f.problem.q = NULL, f.in[IN_Q] = (proof_input){ 0 };
        begin(&f);
        const double error = differences(&f), apart = symmetry(&f);
        if (!(error <= difference && apart <= rounding))
            fail_msg("%s: %g from differences, %g from symmetry", nde_method_name(m), error, apart);
        proof_end(&f);
        methods++;
    }
    assert_true(methods > 8);
}

/* ---- closed form -------------------------------------------------------------------------------------------------- */

/* y' = w y + b by n steps of Euler, b = 0, L = y(1)^2/2: with g = 1 + w/n, y(1) = g^n y0. */
static void linear_problem_with_quadratic_loss(void **state) {
    (void)state;
    enum { STEPS = 8 };
    static const size_t width[] = { 1, 1 };
    static const nde_mlp line = { .size = sizeof line, .layers = 1, .width = width };
    const nde_field drift = nde_field_mlp(&line);
    const nde_real y0 = 1.5, p[2] = { (nde_real)-0.75, 0 }, vy = 1, vp[2] = { 1, 0 };
    const nde_problem problem = NDE_INIT(nde_problem, .t1 = 1, .y0 = &y0, .p = p, .drift = &drift);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_EULER, .steps = STEPS, .adjoint = NDE_ADJOINT_DISCRETE,
                                         .curvature = 1);
    const double g = 1 - 0.75/STEPS, whole = pow(g, STEPS), n = STEPS, y = 1.5, eps = 100*NDE_TEST_EPS;
    const double yy = whole*whole, wy = 2*whole*whole/g*y, ww = (2*n - 1)/n*whole*whole/(g*g)*y*y;
    nde_solver *s;
    nde_solution solution = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solver_create(&problem, &options, &s), NDE_OK);
    assert_int_equal(nde_solver_run(s, &solution), NDE_OK);
    for (int by_p = 0; by_p < 2; by_p++) {
        const nde_direction along = NDE_INIT(nde_direction, .y0 = by_p ? NULL : &vy, .p = by_p ? vp : NULL);
        nde_real moved, gy, gp[2];
        const nde_output_tangent out = NDE_INIT(nde_output_tangent, .y_end = &moved);
        assert_int_equal(nde_forward(s, &along, &out), NDE_OK);
        const nde_seed seed = NDE_INIT(nde_seed, .y_end = solution.y_end), seed_tangent = NDE_INIT(nde_seed, .y_end = &moved);
        const nde_gradient product = NDE_INIT(nde_gradient, .y0 = &gy, .p = gp);
        assert_int_equal(nde_hessian_product(s, &along, &seed, &seed_tangent, &product), NDE_OK);
        assert_true(fabs((double)gy - (by_p ? wy : yy)) <= eps*fabs(wy));
        assert_true(fabs((double)gp[0] - (by_p ? ww : wy)) <= eps*fabs(ww));
        /* with constant seeds, the loss is linear in the state, and so is the state in y0 */
        assert_int_equal(nde_hessian_product(s, &along, &seed, NULL, &product), NDE_OK);
        if (!by_p) assert_true((double)gy == 0);
    }
    nde_solver_destroy(s);
}

/* ---- Gauss-Newton ------------------------------------------------------------------------------------------------- */

/* J'WJ v from the Jacobian, by a direction for each input. */
static void gauss_newton(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        proof f;
        make(&f, kind, 3, 0, NDE_DOPRI5);
        f.options.directions = 8;
        begin(&f);
        const inputs v = make_inputs(&f, 400), product = make_inputs(&f, 0);
        outputs weight = { { f.seed_y, f.seed_end, f.nz ? f.seed_z : NULL } }, moved = make_outputs(&f);
        for (int k = 0; k < OUTPUTS; k++) /* those of the others are 1 */
            for (size_t i = 0; i < count_of(&f, k); i++) weight.x[k][i] = (nde_real)fabs((double)weight.x[k][i]);
        nde_seed w = seed_of(&weight);
        w.y_end = NULL;
        const nde_output_tangent tangent = NDE_INIT(nde_output_tangent, .y = moved.x[0], .y_end = moved.x[1],
                                                    .quadrature = moved.x[2]);
        const nde_direction along = NDE_INIT(nde_direction, .y0 = v.x[0], .p = v.x[1], .q = v.x[2]);
        const nde_gradient to = gradient_of(&product);
        must(&f, nde_gauss_newton_product(f.solver, &along, &w, &tangent, &to));
        double error = 0, size = 0;
        for (int k = 0; k < MOVING; k++) {
            const size_t count = f.in[k].count;
            nde_real *unit = zeros(&f, count*count), *columns[OUTPUTS];
            for (size_t i = 0; i < count; i++) unit[i*count + i] = 1;
            for (int o = 0; o < OUTPUTS; o++) columns[o] = count_of(&f, o) ? zeros(&f, count*count_of(&f, o)) : NULL;
            const nde_direction units = NDE_INIT(nde_direction, .y0 = k == 0 ? unit : NULL, .p = k == 1 ? unit : NULL,
                                                 .q = k == 2 ? unit : NULL);
            const nde_output_tangent j = NDE_INIT(nde_output_tangent, .y = columns[0], .y_end = columns[1],
                                                  .quadrature = columns[2]);
            must(&f, nde_forward_many(f.solver, count, &units, &j));
            for (size_t i = 0; i < count; i++) {
                double sum = 0; /* moved is W J v */
                for (int o = 0; o < OUTPUTS; o++)
                    for (size_t e = 0; e < count_of(&f, o); e++)
                        sum += (double)columns[o][i*count_of(&f, o) + e]*(double)moved.x[o][e];
                error += (sum - (double)product.x[k][i])*(sum - (double)product.x[k][i]), size += sum*sum;
            }
        }
        assert_true(size > 0);
        if (!(sqrt(error/size) <= rounding)) fail_msg("kind %d: %g", kind, sqrt(error/size));
        proof_end(&f);
    }
}

/* ---- seeds of problem.loss; what is refused ------------------------------------------------------------------------ */

static int linear_loss(void *ctx, size_t save, double t, size_t n, const nde_real *y, double *value, nde_real *a_y) {
    const proof *f = ctx;
    (void)t;
    for (size_t i = 0; i < f->dim*n; i++) {
        const nde_real w = (nde_real)proof_number(save, i);
        *value += (double)(w*y[i]);
        if (a_y) a_y[i] = w;
    }
    return 0;
}

static void loss_of_the_problem(void **state) {
    (void)state;
    proof f;
    make(&f, PLAIN, 5, 0, NDE_TSIT5);
    const nde_loss loss = NDE_INIT(nde_loss, .at = linear_loss, .ctx = &f);
    f.problem.loss = &loss;
    begin(&f);
    const inputs v = make_inputs(&f, 400), own = make_inputs(&f, 0), given = make_inputs(&f, 0);
    const nde_direction along = NDE_INIT(nde_direction, .y0 = v.x[0], .p = v.x[1], .q = v.x[2]);
    for (size_t row = 0; row < f.rows; row++)
        for (size_t i = 0; i < f.dim*f.n; i++) f.seed_y[row*f.dim*f.n + i] = (nde_real)proof_number(row, i);
    const nde_seed seed = NDE_INIT(nde_seed, .y = f.seed_y);
    const nde_gradient to_own = gradient_of(&own), to_given = gradient_of(&given);
    must(&f, nde_hessian_product(f.solver, &along, NULL, NULL, &to_own));
    must(&f, nde_hessian_product(f.solver, &along, &seed, NULL, &to_given));
    for (int k = 0; k < MOVING; k++) assert_memory_equal(own.x[k], given.x[k], f.in[k].count*sizeof(nde_real));
    proof_end(&f);
}

#define REFUSED(call, code, text)                                                                                       \
    do {                                                                                                                \
        assert_int_equal((call), (code));                                                                               \
        if (!strstr(nde_solver_error(f.solver), (text))) fail_msg("'%s' does not name '%s'", nde_solver_error(f.solver), text); \
    } while (0)

static void what_is_refused(void **state) {
    (void)state;
    proof f;
    make(&f, PLAIN, 2, 6, NDE_RK4);
    proof_create(&f);
    const nde_direction along = NDE_INIT(nde_direction, .y0 = f.in[IN_Y0].v),
        times = NDE_INIT(nde_direction, .t1 = f.in[IN_T1].v);
    const nde_gradient to = NDE_INIT(nde_gradient, .y0 = f.in[IN_Y0].g),
        error = NDE_INIT(nde_gradient, .loss_error = &f.loss_error);
    const nde_seed none = NDE_INIT(nde_seed, .y = NULL);
    REFUSED(nde_hessian_product(f.solver, &along, &none, NULL, &to), NDE_E_ARG, "no run");
    must(&f, proof_run(&f));
    const nde_output_tangent out = NDE_INIT(nde_output_tangent, .y_end = f.out_end);
    const nde_seed estimates = NDE_INIT(nde_seed, .t_end = f.in[IN_T1].x);
    assert_int_equal(nde_hessian_product(NULL, &along, &none, NULL, &to), NDE_E_ARG);
    REFUSED(nde_hessian_product(f.solver, NULL, &none, NULL, &to), NDE_E_ARG, "direction");
    REFUSED(nde_hessian_product(f.solver, &along, &none, NULL, NULL), NDE_E_ARG, "product");
    REFUSED(nde_hessian_product(f.solver, &along, NULL, NULL, &to), NDE_E_ARG, "seed");
    REFUSED(nde_hessian_product(f.solver, &times, &none, NULL, &to), NDE_E_ARG, "direction.t1");
    REFUSED(nde_hessian_product(f.solver, &along, &estimates, NULL, &to), NDE_E_ARG, "seed.t_end");
    REFUSED(nde_hessian_product(f.solver, &along, &none, &estimates, &to), NDE_E_ARG, "seed_tangent.t_end");
    REFUSED(nde_hessian_product(f.solver, &along, &none, NULL, &error), NDE_E_ARG, "product.loss_error");
    REFUSED(nde_gauss_newton_product(f.solver, &along, NULL, NULL, &to), NDE_E_ARG, "tangent");
    REFUSED(nde_gauss_newton_product(f.solver, &along, NULL, &out, NULL), NDE_E_ARG, "product");
    REFUSED(nde_gauss_newton_product(f.solver, NULL, NULL, &out, &to), NDE_E_ARG, "direction");
    assert_int_equal(nde_gauss_newton_product(NULL, &along, NULL, &out, &to), NDE_E_ARG);
    f.drift.vjp_jvp = NULL, f.drift.name = "simple";
    REFUSED(nde_hessian_product(f.solver, &along, &none, NULL, &to), NDE_E_NO_VJP, "field 'simple' has no vjp_jvp");
    f.options.curvature = 0;
    begin(&f);
    REFUSED(nde_hessian_product(f.solver, &along, &none, NULL, &to), NDE_E_ARG, "options.curvature");
    nde_solver *s;
    const nde_domain positive = NDE_INIT(nde_domain, .positive = (size_t[]){ 0 }, .n_positive = 1);
    f.options.curvature = 1, f.problem.domain = &positive;
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &s), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "no problem.domain"));
    f.problem.domain = NULL, f.options.adjoint = 0;
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &s), NDE_E_ARG);
    proof_end(&f);
}

/* In a block of just as many bytes as are asked for, in threads: the same bits. */
static void own_block_and_threads(void **state) {
    (void)state;
    proof f;
    make(&f, DOSES, 150, 0, NDE_TSIT5);
    f.options.group = 50, f.options.budget = 1 << 20, f.options.weights = (double[]){ 1, 0.5 },
        f.options.atol_each = (double[]){ 1e-6, 1e-5 };
    begin(&f);
    const inputs v = make_inputs(&f, 400), one = hessian_product(&f, &v);
    const size_t bytes = nde_solver_bytes(&f.problem, &f.options);
    unsigned char *const space = proof_take(&f, bytes + 64, 1);
    nde_solver *const first = f.solver;
    assert_int_equal(nde_solver_create_in(space + (64 - (uintptr_t)space%64)%64, bytes, &f.problem, &f.options, &f.solver),
                     NDE_OK);
    must(&f, proof_run(&f));
    const inputs two = hessian_product(&f, &v);
    for (int k = 0; k < MOVING; k++) assert_memory_equal(one.x[k], two.x[k], f.in[k].count*sizeof(nde_real));
    nde_solver_destroy(f.solver);
    f.solver = first, f.options.threads = 3;
    begin(&f);
    const inputs three = hessian_product(&f, &v);
    for (int k = 0; k < MOVING; k++) assert_memory_equal(one.x[k], three.x[k], f.in[k].count*sizeof(nde_real));
    proof_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_symmetric),
        cmocka_unit_test(is_the_difference_of_gradients),
        cmocka_unit_test(positions_and_velocities),
        cmocka_unit_test(linear_problem_with_quadratic_loss),
        cmocka_unit_test(gauss_newton),
        cmocka_unit_test(loss_of_the_problem),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(own_block_and_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
