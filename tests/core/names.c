/* SPDX-License-Identifier: MIT
 * names.c - activations by name and back; sizes of structs by name. */
#include <string.h>

#include "nde.h"

static void names_and_back(void **state) {
    (void)state;
#define NDE_X(id, value, text)                                   \
    assert_int_equal(NDE_##id, value);                           \
    assert_string_equal(nde_activation_name(value), text);       \
    assert_int_equal(nde_activation_find(text), value);
    NDE_ACTIVATION_LIST(NDE_X)
#undef NDE_X
    assert_string_equal(nde_activation_name(NDE_LIPSWISH), "lipswish");
}

static void names_of_none(void **state) {
    (void)state;
    const int none[] = { 0, -1, 11, 1000, -2147483647 - 1, 2147483647 };
    for (size_t i = 0; i < sizeof none/sizeof *none; i++) assert_string_equal(nde_activation_name(none[i]), "?");
    const char *const other[] = { "", "tan", "tanhh", "Tanh", " tanh", "?", NULL };
    for (size_t i = 0; i < sizeof other/sizeof *other; i++)
        assert_int_equal(nde_activation_find(other[i]), NDE_ACTIVATION_DEFAULT);
}

static void sizes(void **state) {
    (void)state;
    assert_int_equal(nde_size_of("nde_options"), sizeof(nde_options));
    assert_int_equal(nde_size_of("nde_field"), sizeof(nde_field));
    assert_int_equal(nde_size_of("nde_allocator"), sizeof(nde_allocator));
    const char *const none[] = { "", "nde", "options", "nde_option", "nde_options ", "nde_solver", NULL };
    for (size_t i = 0; i < sizeof none/sizeof *none; i++) assert_int_equal(nde_size_of(none[i]), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(names_and_back), cmocka_unit_test(names_of_none),
                                        cmocka_unit_test(sizes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
