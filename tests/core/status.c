/* SPDX-License-Identifier: MIT
 * Statuses, their names and texts; the error text of a thread; the version. */
#include "core/core.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void every_status_has_its_name_and_text(void **state) {
    (void)state;
#define NDE_X(id, value, text)                                \
    {                                                         \
        nde_status found;                                     \
        assert_int_equal(NDE_##id, value);                    \
        assert_string_equal(nde_status_name(value), #id);     \
        assert_string_equal(nde_status_text(value), text);    \
        assert_int_equal(nde_status_find(#id, &found), 0);    \
        assert_int_equal(found, value);                       \
    }
    NDE_STATUS_LIST(NDE_X)
#undef NDE_X
}

static void unknown_statuses_are_said_to_be_so(void **state) {
    (void)state;
    nde_status found = NDE_EVENT;
    const int numbers[] = { 4, -1000, INT32_MAX, INT32_MIN };
    for (int i = 0; i < 4; i++) {
        assert_string_equal(nde_status_text(numbers[i]), "unknown status");
        assert_string_equal(nde_status_name(numbers[i]), "?");
    }
    assert_int_equal(nde_status_find("E_NOTHING", &found), NDE_E_ARG);
    assert_string_equal(nde_error(), "nde_status_find: no status is called 'E_NOTHING'");
    assert_int_equal(nde_status_find("ok", &found), NDE_E_ARG);
    assert_int_equal(nde_status_find(NULL, &found), NDE_E_ARG);
    assert_int_equal(nde_status_find("OK", NULL), NDE_E_ARG);
    assert_int_equal(found, NDE_EVENT);
}

static void *other_thread(void *arg) {
    (void)arg;
    const bool empty = nde_error()[0] == 0;
    (void)nde_fail(NDE_E_ARG, "other");
    return empty && strcmp(nde_error(), "other") == 0 ? arg : NULL;
}

static void the_text_belongs_to_the_thread(void **state) {
    pthread_t thread;
    void *result;
    int mark = 0;
    (void)state;
    assert_int_equal(nde_fail(NDE_E_SIZE, "a %d b %s", 7, "c"), NDE_E_SIZE);
    assert_string_equal(nde_error(), "a 7 b c");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &mark), 0);
    pthread_join(thread, &result);
    assert_ptr_equal(result, &mark);
    assert_string_equal(nde_error(), "a 7 b c");
    (void)nde_fail(NDE_E_SIZE, "around %s around", nde_error());
    assert_string_equal(nde_error(), "around a 7 b c around");
    (void)nde_fail(NDE_E_SIZE, "%0999d", 1);
    assert_int_equal(strlen(nde_error()), 255);
}

static void versions_agree(void **state) {
    char text[32];
    (void)state;
    snprintf(text, sizeof text, "%d.%d.%d", NDE_VERSION_MAJOR, NDE_VERSION_MINOR, NDE_VERSION_PATCH);
    assert_string_equal(nde_version(), text);
    assert_string_equal(nde_version(), NDE_TEST_VERSION); /* meson.build's */
    assert_non_null(strstr(nde_build_info(), text));
    assert_non_null(strstr(nde_build_info(), "baseline"));
    assert_null(strchr(nde_build_info(), '\n'));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_name_and_text),
        cmocka_unit_test(unknown_statuses_are_said_to_be_so),
        cmocka_unit_test(the_text_belongs_to_the_thread),
        cmocka_unit_test(versions_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
