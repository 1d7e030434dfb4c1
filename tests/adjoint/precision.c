/* SPDX-License-Identifier: MIT
 * precision.c - float against double: the same steps, the same inputs, every gradient of every case. Compiled twice into one
 * program; the double half holds the test. */
#include "adjoint/cases.h"

/* Where the numbers of each input end in the list, and those of the outputs. */
typedef struct flat {
    size_t end[INPUTS + 1];
    double *value;
} flat;

void gradients_double(int which, int64_t steps, flat *to);
void gradients_single(int which, int64_t steps, flat *to);

#ifdef NDE_TEST_SINGLE
void gradients_single(int which, int64_t steps, flat *to) {
#else
void gradients_double(int which, int64_t steps, flat *to) {
#endif
    proof f;
    size_t at = 0;
    case_make(which, &f, steps, which % 2);
    proof_solve(&f);
    const size_t outputs = f.rows*f.dim*f.n;
    for (int k = 0; k < INPUTS; k++) at += f.in[k].count;
    to->value = calloc(at + outputs, sizeof *to->value);
    assert_non_null(to->value);
    at = 0;
    for (int k = 0; k < INPUTS; to->end[k++] = at)
        for (size_t i = 0; i < f.in[k].count; i++) to->value[at++] = input_get(&f.in[k], f.in[k].g, i);
    for (size_t i = 0; i < outputs; i++) to->value[at++] = (double)f.solution.y[i];
    to->end[INPUTS] = at;
    proof_end(&f);
}

#ifndef NDE_TEST_SINGLE
static void float_agrees_with_double(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++) {
        flat d, s;
        gradients_double(which, 48, &d), gradients_single(which, 48, &s);
        for (int k = 0; k <= INPUTS; k++) {
            double off = 0, all = 0;
            assert_int_equal(d.end[k], s.end[k]);
            for (size_t i = k ? d.end[k - 1] : 0; i < d.end[k]; i++)
                off += (s.value[i] - d.value[i])*(s.value[i] - d.value[i]), all += d.value[i]*d.value[i];
            if (getenv("PROOF_VERBOSE") && all > 0)
                fprintf(stderr, "    %-28s %-8s %.1e\n", case_names[which], k < INPUTS ? input_names[k] : "y", sqrt(off/all));
            if (!(sqrt(off) <= 5e-5*sqrt(all)))
                fail_msg("%s, %s: float is off by %g of the norm", case_names[which], k < INPUTS ? input_names[k] : "y",
                         sqrt(off/all));
        }
        free(d.value), free(s.value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(float_agrees_with_double) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
