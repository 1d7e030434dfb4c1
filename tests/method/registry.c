/* SPDX-License-Identifier: MIT
 * The registry: numbers that last for ever, ways to a method that agree, accessors that take
 * NULL. */
#include "method/method.h"

#include <ctype.h>
#include <string.h>

/* Every number ever given away. A new method adds a line; no line is ever changed. */
static const struct { int number, enumerator; const char *name; } given[] = {
    { 1, NDE_EULER, "euler" },
    { 2, NDE_RK4, "rk4" },
    { 3, NDE_MIDPOINT, "midpoint" },
    { 4, NDE_HEUN, "heun" },
    { 5, NDE_RALSTON, "ralston" },
    { 10, NDE_BOSH3, "bosh3" },
    { 11, NDE_DOPRI5, "dopri5" },
    { 12, NDE_TSIT5, "tsit5" },
    { 13, NDE_CASH_KARP, "cash_karp" },
    { 14, NDE_FEHLBERG45, "fehlberg45" },
    { 20, NDE_VERN6, "vern6" },
    { 21, NDE_VERN7, "vern7" },
    { 22, NDE_VERN8, "vern8" },
    { 23, NDE_VERN9, "vern9" },
    { 24, NDE_DOP853, "dop853" },
    { 25, NDE_DOPRI8, "dopri8" },
    { 26, NDE_RKC2, "rkc2" },
    { 30, NDE_ALF, "alf" },
    { 31, NDE_REVERSIBLE_HEUN, "reversible_heun" },
    { 40, NDE_EULER_MARUYAMA, "euler_maruyama" },
    { 41, NDE_EULER_HEUN, "euler_heun" },
    { 42, NDE_MILSTEIN, "milstein" },
    { 43, NDE_MILSTEIN_FREE, "milstein_free" },
    { 44, NDE_SRA1, "sra1" },
    { 45, NDE_SOSRA, "sosra" },
    { 46, NDE_SHARK, "shark" },
    { 47, NDE_SPARK, "spark" },
    { 48, NDE_SRIW1, "sriw1" },
    { 49, NDE_SOSRI, "sosri" },
    { 50, NDE_ADAMS_BASHFORTH, "adams_bashforth" },
    { 51, NDE_ADAMS_BASHFORTH_MOULTON, "adams_bashforth_moulton" },
    { 52, NDE_LOG_ODE, "log_ode" },
    { 53, NDE_DRIFT_IMPLICIT_EULER, "drift_implicit_euler" },
    { 70, NDE_VELOCITY_VERLET, "velocity_verlet" },
    { 71, NDE_SEMI_IMPLICIT_EULER, "semi_implicit_euler" },
    { 72, NDE_LEAPFROG, "leapfrog" },
    { 73, NDE_RUTH3, "ruth3" },
    { 74, NDE_MCLACHLAN4, "mclachlan4" },
    { 75, NDE_YOSHIDA4, "yoshida4" },
    { 76, NDE_YOSHIDA6, "yoshida6" },
    { 77, NDE_YOSHIDA8, "yoshida8" },
    { 78, NDE_KAHAN_LI6, "kahan_li6" },
    { 79, NDE_KAHAN_LI8, "kahan_li8" },
    { 80, NDE_MCLACHLAN8, "mclachlan8" },
    { 90, NDE_DPRKN6, "dprkn6" },
    { 91, NDE_DPRKN8, "dprkn8" },
    { 95, NDE_LIE, "lie" },
    { 96, NDE_STRANG, "strang" },
    { 100, NDE_ROSENBROCK23, "rosenbrock23" },
    { 101, NDE_RODAS4, "rodas4" },
    { 102, NDE_RODAS5P, "rodas5p" },
    { 110, NDE_IMPLICIT_EULER, "implicit_euler" },
    { 111, NDE_IMPLICIT_MIDPOINT, "implicit_midpoint" },
    { 112, NDE_TRBDF2, "trbdf2" },
    { 113, NDE_KVAERNO3, "kvaerno3" },
    { 114, NDE_KVAERNO4, "kvaerno4" },
    { 115, NDE_KVAERNO5, "kvaerno5" },
    { 116, NDE_KENCARP3, "kencarp3" },
    { 117, NDE_KENCARP4, "kencarp4" },
    { 118, NDE_KENCARP5, "kencarp5" },
    { 119, NDE_ARS222, "ars222" },
    { 120, NDE_ARS443, "ars443" },
    { 121, NDE_RADAU5, "radau5" },
    { 130, NDE_AUTO_TSIT5_RODAS5P, "auto_tsit5_rodas5p" },
    { 131, NDE_AUTO_VERN7_RODAS5P, "auto_vern7_rodas5p" },
};
enum { GIVEN = sizeof given/sizeof *given };

static void numbers_and_names_are_for_ever(void **state) {
    (void)state;
    assert_int_equal(nde_method_count(), GIVEN);
    for (size_t i = 0; i < GIVEN; i++) {
        const nde_method *m = nde_method_get(given[i].number);
        assert_non_null(m);
        assert_string_equal(nde_method_name(m), given[i].name);
        assert_int_equal(given[i].enumerator, given[i].number);
    }
    assert_true(NDE_METHOD_AUTO == 0 && NDE_METHOD_TABLEAU == -1);
}

static void all_ways_lead_to_the_same_method(void **state) {
    (void)state;
    for (size_t i = 0; i < nde_method_count(); i++) {
        const nde_method *m = nde_method_at(i);
        assert_non_null(m);
        assert_ptr_equal(m, nde_method_find(nde_method_name(m)));
        assert_ptr_equal(m, nde_method_get(nde_method_id(m)));
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(nde_method_name(m), nde_method_name(nde_method_at(j)));
            assert_true(nde_method_id(m) > nde_method_id(nde_method_at(j)));
        }
    }
}

static void facts_are_those_of_the_table(void **state) {
    (void)state;
    for (size_t i = 0; i < nde_method_count(); i++) {
        const nde_method *m = nde_method_at(i);
        assert_true(nde_method_id(m) > 0);
        for (const char *c = nde_method_name(m); *c; c++)
            assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
        assert_ptr_equal(nde_method_source(m), m->source);
        assert_true(strlen(m->source) > 20);
        assert_int_equal(nde_method_kind(m), m->kind);
        assert_int_equal(nde_method_order(m), m->order);
        assert_int_equal(nde_method_error_order(m), m->kind == NDE_KIND_STOCHASTIC ? 0 : m->error_order);
        for (int kind = -1; kind <= NDE_NOISE_GENERAL + 1; kind++) {
            const bool known = kind > 0 && kind <= NDE_NOISE_GENERAL;
            assert_int_equal(nde_method_estimate(m, kind), known ? m->estimate[kind] : 0);
            assert_true(!nde_method_estimate(m, kind) || (m->e && nde_method_strong(m, kind)));
        }
        assert_int_equal(nde_method_dense_order(m), m->dense_order);
        assert_int_equal(nde_method_stages(m), m->stages);
        const int saved = m->first_same_as_last ? 1 : 0;
        int beside = m->kind == NDE_KIND_MULTISTEP; /* the mean slope */
        for (int j = 0; m->drive && j < m->stages; j++) beside += m->drive[j].like > 0; /* multiples of another slope */
        if (m->kind == NDE_KIND_SWITCHING) { /* of an explicit step */
            assert_int_equal(nde_method_evaluations(m), m->way[0]->stages - 1);
            continue;
        }
        if (m->kind == NDE_KIND_ROSENBROCK) { /* both ends are one, and a last stage at the end is that */
            assert_int_equal(nde_method_evaluations(m), m->stages - (saved ? 2 + (m->c[m->stages - 2] == 1) : 0));
            continue;
        }
        const bool varies = m->kind == NDE_KIND_CHEBYSHEV || nde_method_iterates(m);
        assert_int_equal(nde_method_evaluations(m), varies ? 0 : m->stages - saved - beside);
        assert_true(m->kind >= NDE_KIND_RUNGE_KUTTA && m->kind < NDE_KINDS);
    }
}

static void what_is_not_there_is_not_found(void **state) {
    (void)state;
    assert_null(nde_method_at(nde_method_count()));
    assert_null(nde_method_at(SIZE_MAX));
    const int numbers[] = { NDE_METHOD_AUTO, NDE_METHOD_TABLEAU, 6, 999, INT32_MAX, INT32_MIN };
    for (size_t i = 0; i < sizeof numbers/sizeof *numbers; i++)
        assert_null(nde_method_get(numbers[i]));
    const char *const names[] = { NULL, "", "tsit", "tsit55", "TSIT5", "nde_tsit5", "tableau" };
    for (size_t i = 0; i < sizeof names/sizeof *names; i++) assert_null(nde_method_find(names[i]));
    const nde_method foreign = { .stages = 3 };
    assert_int_equal(nde_method_id(&foreign), NDE_METHOD_TABLEAU);
}

static void no_method_has_no_facts(void **state) {
    (void)state;
    assert_int_equal(nde_method_id(NULL), NDE_METHOD_AUTO);
    assert_null(nde_method_name(NULL));
    assert_null(nde_method_source(NULL));
    assert_int_equal(nde_method_kind(NULL), 0);
    assert_int_equal(nde_method_order(NULL), 0);
    assert_int_equal(nde_method_error_order(NULL), 0);
    assert_int_equal(nde_method_dense_order(NULL), 0);
    assert_int_equal(nde_method_stages(NULL), 0);
    assert_int_equal(nde_method_evaluations(NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_names_are_for_ever),
        cmocka_unit_test(all_ways_lead_to_the_same_method),
        cmocka_unit_test(facts_are_those_of_the_table),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(no_method_has_no_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
