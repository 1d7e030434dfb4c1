/* SPDX-License-Identifier: MIT
 * output.c - programs written out: C is compiled, with all warnings as errors, and computes what the field does; text and
 * picture say what they should. output CC. NDE_TEST_LONG: 1,000 programs. */
#include "recorder.h"

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

static const char *compiler;

typedef void eval_call(double t, const double *y, const double *u, const double *p, const double *q, double *out);
typedef void vjp_call(double t, const double *y, const double *u, const double *p, const double *q, const double *a, double *at,
                      double *ay, double *au, double *ap, double *aq);
typedef void jvp_call(double t, const double *y, const double *u, const double *p, const double *q, double vt, const double *vy,
                      const double *vu, const double *vp, const double *vq, double *out);
typedef void second_call(double t, const double *y, const double *u, const double *p, const double *q, double vt,
                         const double *vy, const double *vu, const double *vp, const double *vq, const double *a,
                         const double *b, double *at, double *ay, double *au, double *ap, double *aq, double *bt,
                         double *by, double *bu, double *bp, double *bq);

/* Cotangents of all inputs; begin at zero. */
typedef struct sums {
    double t, y[REC_DIM], u[REC_NU], p[REC_NP], q[REC_NQ];
} sums;

static int to_file(void *ctx, const char *text, size_t length) { return fwrite(text, 1, length, ctx) != length; }

/* What stands in a library is no pointer to a function for C. */
#define FIND(call, library, name) \
    do {                                                             \
        void *const address = dlsym(library, name);                  \
        if (!address) fail_msg("%s", dlerror());                     \
        memcpy(&(call), &address, sizeof address);                   \
    } while (0)

static void near(const double *x, const double *y, size_t n, const char *what) {
    for (size_t i = 0; i < n; i++)
        if (!(fabs(x[i] - y[i]) <= 1e-10*(1 + fabs(y[i])))) fail_msg("%s: row %zu is %.17g, in C %.17g", what, i, y[i], x[i]);
}

static void near_sums(const sums *x, const rig *r, const nde_cotangent *to, const char *what) {
    near(&x->t, to->t, 1, what), near(x->y, to->y, r->field->dim, what), near(x->u, to->u, r->field->nu, what);
    near(x->p, to->p, r->field->np, what), near(x->q, to->q, r->field->nq, what);
}

static void compare(void *library, int number, const nde_program *g) {
    const nde_field f = nde_field_program(g);
    rig r = rig_make(&f, 1, 1, 1, NULL, 0);
    char name[40];
    eval_call *eval;
    vjp_call *vjp;
    jvp_call *jvp;
    second_call *second;
    double out[3*REC_ROWS];
    sums first = { 0 }, bent = { 0 }, moved = { 0 };
    snprintf(name, sizeof name, "p%d", number);
    FIND(eval, library, name);
    snprintf(name, sizeof name, "p%d_vjp", number);
    FIND(vjp, library, name);
    snprintf(name, sizeof name, "p%d_jvp", number);
    FIND(jvp, library, name);
    snprintf(name, sizeof name, "p%d_vjp_jvp", number);
    FIND(second, library, name);
    assert_int_equal(f.eval(&f, &r.at, r.y, r.dy), 0);
    eval(r.at.t[0], r.y, r.at.u, r.at.p, r.at.q, out);
    near(out, r.dy, f.out, "eval");
    assert_int_equal(f.jvp(&f, &r.at, r.y, &r.v, r.dv), 0);
    jvp(r.at.t[0], r.y, r.at.u, r.at.p, r.at.q, r.v.t[0], r.v.y, r.v.u, r.v.p, r.v.q, out);
    near(out, r.dv, f.out, "jvp");
    assert_int_equal(f.vjp(&f, &r.at, r.y, r.a, &r.to), 0);
    vjp(r.at.t[0], r.y, r.at.u, r.at.p, r.at.q, r.a, &first.t, first.y, first.u, first.p, first.q);
    near_sums(&first, &r, &r.to, "vjp");
    rig_zero(&r, &r.to);
    assert_int_equal(f.vjp_jvp(&f, &r.at, r.y, &r.v, r.a, r.b, &r.to, &r.to_v), 0);
    second(r.at.t[0], r.y, r.at.u, r.at.p, r.at.q, r.v.t[0], r.v.y, r.v.u, r.v.p, r.v.q, r.a, r.b, &bent.t, bent.y, bent.u,
           bent.p, bent.q, &moved.t, moved.y, moved.u, moved.p, moved.q);
    near_sums(&bent, &r, &r.to, "vjp_jvp by the inputs"), near_sums(&moved, &r, &r.to_v, "vjp_jvp by the direction");
    rig_free(&r);
}

static void c(void **state) {
    (void)state;
    enum { EACH = 100 };
    const bool many = getenv("NDE_TEST_LONG");
    const int files = many ? 10 : 1, each = many ? EACH : 12;
    const rec_lane lane = rec_first_lane();
    char folder[] = "/tmp/nde_output_XXXXXX", source[60], object[60], command[400];
    assert_non_null(mkdtemp(folder));
    for (int file = 0; file < files; file++) {
        nde_program *programs[EACH];
        snprintf(source, sizeof source, "%s/p%d.c", folder, file);
        snprintf(object, sizeof object, "%s/p%d.so", folder, file);
        FILE *to = fopen(source, "w");
        assert_non_null(to);
        for (int i = 0; i < each; i++) {
            static double v[REC_STEPS][REC_ROWS];
            static recording rec;
            char name[20];
            rec_random(&rec, 10 + (int)rec_below(40), false, &lane, v);
            programs[i] = rec_program(&rec, 1 + (int)rec_below(3));
            snprintf(name, sizeof name, "p%d", i);
            fprintf(to, "void %s(), %s_vjp(), %s_jvp(), %s_vjp_jvp();\n", name, name, name, name);
            assert_int_equal(nde_program_write(programs[i], NDE_PROGRAM_C, name, to_file, to), NDE_OK);
        }
        assert_int_equal(fclose(to), 0);
        snprintf(command, sizeof command,
                 "%s -std=c99 -pedantic-errors -Wall -Werror -O1 -ffp-contract=off -shared -fPIC -o %s %s -lm", compiler,
                 object, source);
        if (system(command) != 0) fail_msg("%s", command);
        void *library = dlopen(object, RTLD_NOW);
        if (!library) fail_msg("%s", dlerror());
        for (int i = 0; i < each; i++) {
            compare(library, i, programs[i]);
            nde_program_destroy(programs[i]);
        }
        dlclose(library);
        unlink(source), unlink(object);
    }
    rmdir(folder);
}

typedef struct text {
    char at[20000];
    size_t length, most;
} text;
static int to_text(void *ctx, const char *piece, size_t length) {
    text *t = ctx;
    if (t->length + length > t->most) return 1;
    memcpy(t->at + t->length, piece, length);
    t->length += length;
    t->at[t->length] = 0;
    return 0;
}
static void contains(const text *t, const char *piece) {
    if (!strstr(t->at, piece)) fail_msg("'%s' is not in\n%s", piece, t->at);
}

static void pictures(void **state) {
    (void)state;
    static text t;
    nde_program *g;
    assert_int_equal(nde_program_parse("state x[2]; param k; dx = k*tanh(x) - x", NULL, &g), NDE_OK);
    t.most = sizeof t.at - 1, t.length = 0;
    assert_int_equal(nde_program_write(g, NDE_PROGRAM_TEXT, "spring", to_text, &t), NDE_OK);
    contains(&t, "# spring: y [2], u [0], p [1], q [0]\n");
    contains(&t, "[2] = tanh %1\n");
    contains(&t, "eval: 2 instructions, 6 flops and");
    t.length = 0;
    assert_int_equal(nde_program_write(g, NDE_PROGRAM_GRAPH, NULL, to_text, &t), NDE_OK);
    contains(&t, "digraph program {");
    contains(&t, "[label=\"tanh (2)\"];");
    contains(&t, "peripheries=2");
    t.length = 0, t.most = 30;
    assert_int_equal(nde_program_write(g, NDE_PROGRAM_C, NULL, to_text, &t), NDE_E_IO);
    assert_int_equal(nde_program_write(g, 0, NULL, to_text, &t), NDE_E_ARG);
    assert_int_equal(nde_program_write(g, 4, NULL, to_text, &t), NDE_E_ARG);
    assert_int_equal(nde_program_write(g, NDE_PROGRAM_C, "no name", to_text, &t), NDE_E_ARG);
    assert_int_equal(nde_program_write(g, NDE_PROGRAM_C, "", to_text, &t), NDE_E_ARG);
    assert_int_equal(nde_program_write(g, NDE_PROGRAM_C, "2nd", to_text, &t), NDE_E_ARG);
    assert_int_equal(nde_program_write(g, NDE_PROGRAM_C, NULL, NULL, &t), NDE_E_ARG);
    assert_int_equal(nde_program_write(NULL, NDE_PROGRAM_C, NULL, to_text, &t), NDE_E_ARG);
    nde_program_destroy(g);
}

int main(int argc, char **argv) {
    compiler = argc > 1 ? argv[argc - 1] : "cc"; /* behind a compiler cache, perhaps */
    const struct CMUnitTest tests[] = { cmocka_unit_test(c), cmocka_unit_test(pictures) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
