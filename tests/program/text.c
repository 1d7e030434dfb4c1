/* SPDX-License-Identifier: MIT
 * text.c - programs as text: what they mean, and where they are wrong. */
#include "../field/rig.h"
#include "heap.h"

#include <stdio.h>

/* ---- values ---- */

/* `out = expression` of x = 0.5, v = (1, -2, 3), k = 4 at t = 2. */
static void value_is(const char *expression, const double *want, size_t rows) {
    char text[400];
    nde_program *g;
    snprintf(text, sizeof text, "state x, v[3]; param k; out = %s", expression);
    if (nde_program_parse(text, NULL, &g) != NDE_OK) fail_msg("%s: %s", expression, nde_error());
    const nde_field f = nde_field_program(g);
    assert_int_equal(f.out, rows);
    rig r = rig_make(&f, 1, 1, 1, NULL, 0);
    const nde_real y[] = { (nde_real)0.5, 1, -2, 3 }, p[] = { 4 };
    const double t[] = { 2 };
    nde_real *prepared = rig_take(&r, f.prepared*sizeof *prepared);
    if (f.prepare) assert_int_equal(f.prepare(&f, p, prepared), 0);
    nde_site at = r.at;
    at.p = p, at.t = t, at.prepared = prepared;
    assert_int_equal(f.eval(&f, &at, y, r.dy), 0);
    for (size_t i = 0; i < rows; i++)
        if (!(fabs((double)r.dy[i] - want[i]) <= 8*NDE_TEST_EPS*(1 + fabs(want[i]))))
            fail_msg("%s: row %zu is %.17g, not %.17g", expression, i, (double)r.dy[i], want[i]);
    rig_free(&r);
    nde_program_destroy(g);
}
#define VALUE(expression, ...) \
    value_is(expression, (const double[]){ __VA_ARGS__ }, sizeof (const double[]){ __VA_ARGS__ }/sizeof(double))

static void values(void **state) {
    (void)state;
    VALUE("1 + 2*3 - 4/8", 6.5);
    VALUE("-x^2", -0.25);
    VALUE("2^-1", 0.5);
    VALUE("2^3^2", 512);
    VALUE("(1 - 2) - 3", -4);
    VALUE("8/4/2", 1);
    VALUE("k*v", 4, -8, 12);
    VALUE("v[1]", -2);
    VALUE("v[1:3]", -2, 3);
    VALUE("[x, v[0], t]", 0.5, 1, 2);
    VALUE("[v, 1][2:4]", 3, 1);
    VALUE("1.5e1 + .5 + 2.", 17.5);
    VALUE("pi", 3.14159265358979323846);
    VALUE("x < 1", 1);
    VALUE("[x > 1, x >= 0.5, x <= 0.5]", 0, 1, 1);
    VALUE("select(v, 10, 20)", 10, 20, 10);
    VALUE("sum(v) + dot(v, v) + maximum(x, 2) + minimum(x, 2)", 18.5);
    VALUE("cross(v, [0, 0, 1])", -2, -1, 0);
    VALUE("matvec([1, 2, 3, 4, 5, 6], v)", 6, 12);
    VALUE("exp(x) + relu(v[1]) + sigmoid(0)", 2.1487212707001282);
    VALUE("repeat(x, 2)", 0.5, 0.5);
    VALUE("blend(0, x, 2, 0.1)", 1.25);
    VALUE("grad(x^3*v[0], x)", 0.75);
    VALUE("jvp(v*v, v, [1, 0, 1])", 2, 0, 6);
    VALUE("vjp(v*v, v, 1)", 2, -4, 6);
    VALUE("jet(x^3*v, x, 2, 2)", 6, -12, 18);
    VALUE("divergence(x*v*v + [v[1], v[2], v[0]], v)", 2);
    VALUE("divergence_by(x*v*v, v, [1, -1, 1, 0, 2, 0])", -3);
    VALUE("mixed(x^3*v, x, 2, v, [0, 1, 0])", 0, 1.5, 0);
    VALUE("(1 +\n 2) # a comment\n", 3);
    VALUE("gather(v, [2, 0, 2])", 3, 1, 3);
    VALUE("scatter(v, [1, 1, 0], 3)", 3, -1, 0);
    VALUE("dense(relu, [1, 0, 0,\n -1, 0, 0], [k, 2], v)", 5, 1);
    VALUE("matmul([1, 2, 3, 4], [1, 0, 2, 1], 2)", 5, 2, 11, 4);
    VALUE("matmul_transposed([1, 2, 3, 4], [1, 0, 2, 1], 2)", 1, 4, 3, 10);
    VALUE("softmax([0, log(3), 1000, 1000], 2)", 0.25, 0.75, 0.5, 0.5);
    VALUE("softmax([-1000, 1000, 1, -1000], 4)", 0, 1, 0, 0);
    VALUE("attention([1, 0], [0, 1, 0, 2], v[0:2], 2)", -0.5);
    VALUE("convolve([1, 10], v, 0)", 31, 8, -17);
    VALUE("convolve([1, 10], v, 1)", 8, -17, 31);
    VALUE("csr_matvec(3, [0, 2, 2, 3], [0, 2, 1], [1, 2, 3], v)", 7, 0, -6);
    VALUE("csr_matvec(3, [0, 2], [0, 2], 2, v)", 8);
    VALUE("csr_columns(3, [0, 1, 3], [2, 0, 0], v)", 3, 1, 1);
    VALUE("csr_rows(9, [0, 1, 1, 3], [2, 0, 0], v)", 1, 3, 3);
    VALUE("csr_sum(9, [0, 1, 1, 3], [2, 0, 0], v)", 1, 0, 1);
#ifdef NDE_TEST_FFTW
    VALUE("fft([1, 2, 3, 5])", 11, -2, -3, 3);
    VALUE("fft_inverse(fft(v))", 1, -2, 3);
#endif
}

static void fields(void **state) {
    (void)state;
    static const char text[] =
        "# Lorenz\nstate x, y, z\nparam sigma, rho, beta\nw = y - x\ndx = sigma*w\ndy = x*(rho - z) - y; dz = x*y - beta*z\n";
    nde_program *g;
    int kind;
    size_t first, rows;
    if (nde_program_parse(text, NULL, &g) != NDE_OK) fail_msg("%s", nde_error());
    const nde_field f = nde_field_program(g);
    assert_true(f.dim == 3 && f.out == 3 && f.np == 3 && f.nu == 0 && f.nq == 0);
    assert_int_equal(nde_program_find(g, "beta", &kind, &first, &rows), NDE_OK);
    assert_true(kind == 'p' && first == 2 && rows == 1);
    assert_int_equal(nde_program_find(g, "y", NULL, NULL, NULL), NDE_OK);
    assert_int_equal(nde_program_find(g, "w", &kind, &first, &rows), NDE_E_ARG);
    assert_int_equal(nde_program_find(g, "dx", &kind, &first, &rows), NDE_E_ARG);
    assert_int_equal(nde_program_find(g, NULL, &kind, &first, &rows), NDE_E_ARG);
    assert_int_equal(nde_program_find(NULL, "x", &kind, &first, &rows), NDE_E_ARG);
    rig r = rig_make(&f, 9, 9, 9, NULL, 0);
    assert_int_equal(f.eval(&f, &r.at, r.y, r.dy), 0);
    for (size_t b = 0; b < 9; b++) {
        const double x = (double)r.y[b], y = (double)r.y[9 + b], z = (double)r.y[18 + b];
        assert_true(fabs((double)r.dy[b] - (double)r.at.p[0]*(y - x)) < 4*NDE_TEST_EPS);
        assert_true(fabs((double)r.dy[9 + b] - (x*((double)r.at.p[1] - z) - y)) < 4*NDE_TEST_EPS);
        assert_true(fabs((double)r.dy[18 + b] - (x*y - (double)r.at.p[2]*z)) < 4*NDE_TEST_EPS);
    }
    rig_check_derivatives(&r);
    rig_free(&r);
    nde_program_destroy(g);

    assert_int_equal(nde_program_parse("state q[2], p[2]\ninput u; own m\nh = 0.5*dot(p, p)/m - sum(cos(q))\ndq = grad(h, p)\ndp = -grad(h, q) + u",
                                       NULL, &g), NDE_OK);
    const nde_field pendulum = nde_field_program(g);
    assert_true(pendulum.dim == 4 && pendulum.nu == 1 && pendulum.nq == 1);
    nde_program_destroy(g);
}

/* ---- errors ---- */

static void wrong(const char *text, const char *says) {
    nde_program *g = (void *)&says;
    const nde_status status = nde_program_parse(text, NULL, &g);
    assert_true(status == NDE_E_ARG || status == NDE_E_SIZE);
    assert_null(g);
    if (!strstr(nde_error(), says)) fail_msg("%s: '%s' does not say '%s'", text, nde_error(), says);
}

static void errors(void **state) {
    (void)state;
    wrong("", "line 1, column 1: no state is declared");
    wrong("state x\ndx = y", "line 2, column 6: nothing is called 'y'");
    wrong("state x\n\n  dx = 2*f(x)", "line 3, column 10: no function is called 'f'");
    wrong("state x; dx = (1", "expected ')'");
    wrong("state x; dx = [1, 2", "expected ']'");
    wrong("state x; dx = 1 2", "expected the end of the statement, not '2'");
    wrong("state x; dx = ", "line 1, column 15: expected a value");
    wrong("state x; dx = $", "expected a value, not '$'");
    wrong("state x; dx = 1..2", "'1..2' is no number");
    wrong("state x; dx = 1e999", "is no number");
    wrong("state x[3]; dx = x + [1, 2]", "line 1, column 20: nde_add, operation");
    wrong("state x[3]; dx = x[1:9]", "column 19: nde_cut, operation");
    wrong("state x[3]; dx = x[2:2]", "no rows");
    wrong("state x[3]; dx = x[a]", "expected a whole number");
    wrong("state x[3]; dx = [1, 2]", "'dx' has not the rows of its state");
    wrong("state x, y; dx = 1", "the derivative of 'y' is not given");
    wrong("state x; dx = 1; dx = 2", "column 18: 'dx' is there already");
    wrong("state x, x; dx = 1", "'x' is there already");
    wrong("state x; dx = 1; out = 2", "both 'out' and derivatives");
    wrong("state x; out = 1; out = 2", "'out' is there already");
    wrong("state x[0]; dx = 1", "'x' has no rows");
    wrong("state x[99999999999]; dx = 1", "too large");
    wrong("state; dx = 1", "expected a name");
    wrong("3 = x", "expected a statement, not '3'");
    wrong("state x; dx = sin(x, x)", "too many arguments");
    wrong("state x; dx = dot(x)", "too few arguments");
    wrong("state x; dx = repeat(x, x)", "expected a whole number");
    wrong("state x; dx = blend(x, x, x, 0)", "width is 0");
    wrong("state x; dx = grad(x, 2*x)", "x is mul");
    wrong("state x; dx = jet(x, x, 1, 9)", "order is 9, not 1 to 8");
    wrong("state x; dx = jet(x, x, 1, 0)", "order is 0, not 1 to 8");
    wrong("state x; dx = jet(x, x, 1, x)", "line 1");
    wrong("state x; dx = jet(x, x, 1)", "line 1");
    wrong("state x; dx = mixed(x, x, 1, 2*x, 1)", "x is mul");
    wrong("state x; y = dx", "nothing is called 'dx'");
    wrong("state x; dx = \x01\xff", "expected a value, not '?'");

    wrong("state x[3]; dx = gather(x, [0, 3])", "line 1, column 18: nde_gather, operation 2: index[1] is 3 of 3");
    wrong("state x[3]; dx = gather(x, [])", "column 29: expected a whole number");
    wrong("state x[3]; dx = gather(x, 1)", "column 28: expected '[', not '1'");
    wrong("state x[3]; dx = gather(x, [1, 2)", "expected ']', not ')'");
    wrong("state x[3]; dx = gather(x)", "column 18: too few arguments");
    wrong("state x[3]; dx = gather(x, [1], 2)", "too many arguments");
    wrong("state x[3]; dx = scatter(x, [0, 1], 3)", "column 18: the value has not as many rows as the list");
    wrong("state x[3]; dx = scatter(x, [0, 1, 2], 2)", "index[2] is 2 of 2");
    wrong("state x[3]; dx = dense(tan, x, x, x)", "column 24: 'tan' is no activation");
    wrong("state x[3]; dx = dense(2, x, x, x)", "'' is no activation");
    wrong("state x[3]; dx = dense(tanh, [x, 1], x, x)", "nde_matvec, operation");
    wrong("state x[3]; dx = matmul(x, x, 2)", "nde_matmul, operation 2: the first operand has 3 rows, no multiple of 2");
    wrong("state x[3]; dx = softmax(x, 0)", "no multiple of 0");
    wrong("state x[3]; dx = convolve(x, x, 3)", "the centre is 3 of 3");
    wrong("state x[3]; dx = csr_matvec(3, [0, 9], [0], x, x)", "the last start is not the number of entries");
    wrong("state x[3]; dx = csr_matvec(3, [1], [0], x, x)", "nde_csr_matvec");
    wrong("state x[3]; dx = csr_columns(3, [0, 2, 1, 3], [0, 1, 2], x)", "start[2] is 1, after 2");
    wrong("state x[3]; dx = csr_sum(3, [0, 3], [0, 1, 3], x)", "column[2] is 3 of 3");
#ifndef NDE_TEST_FFTW
    wrong("state x[3]; dx = fft(x)", "line 1, column 18: nde_fft, operation 2: the library was built without FFTW");
#endif

    char deep[5000] = "state x; dx = ";
    memset(deep + strlen(deep), '(', 4000);
    wrong(deep, "too many expressions within each other");
    char grown[5000] = "state x[2]; g0 = sum(sin(x)^2)*x[0]\n";
    for (int i = 1; i < 40; i++) snprintf(grown + strlen(grown), 80, "g%d = sum(grad(sin(g%d)*g%d, x)^3)\n", i, i - 1, i - 1);
    wrong(grown, "too many operations");
    nde_program *g;
    assert_int_equal(nde_program_parse(NULL, NULL, &g), NDE_E_ARG);
    assert_int_equal(nde_program_parse("", NULL, NULL), NDE_E_ARG);
}

/* ---- memory ---- */

static void allocation(void **state) {
    (void)state;
    long calls = 0;
    for (long k = -1; k < calls || k < 0; k++) {
        heap h = { .fail_at = k };
        const nde_allocator allocator = { heap_take, heap_give, &h };
        nde_program *g;
        const nde_status status =
            nde_program_parse("state x[3]; param w[9], b[3]; dx = [tanh(matvec(w, x) + b)][0:3] - grad(dot(x, x), x)"
                                                    " + csr_matvec(3, [0, 1, 2, 3], [2, 1, 0], gather(w, [0, 4, 8]), softmax(x, 3))",
                                                    &allocator, &g);
        assert_int_equal(status, k < 0 ? NDE_OK : NDE_E_NOMEM);
        if (k < 0) calls = h.calls;
        nde_program_destroy(g);
        assert_int_equal(h.blocks, 0);
        assert_int_equal(h.bytes, 0);
    }
    assert_in_range(calls, 20, 100000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values), cmocka_unit_test(fields), cmocka_unit_test(errors), cmocka_unit_test(allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
