/* SPDX-License-Identifier: MIT
 * Checked sizes, leading dimensions, sized structs, the arena, the default allocator. */
#include "core/core.h"

#include <stdlib.h>
#include <string.h>

static void sizes_are_checked(void **state) {
    size_t r = 1;
    (void)state;
    assert_true(nde_size_multiply(SIZE_MAX/3, 3, &r));
    assert_true(r == SIZE_MAX/3*3);
    assert_false(nde_size_multiply(SIZE_MAX/3 + 1, 3, &r));
    assert_false(nde_size_multiply((size_t)1 << 32, (size_t)1 << 32, &r));
    assert_true(nde_size_multiply(0, SIZE_MAX, &r) && r == 0);
    assert_true(nde_size_add(SIZE_MAX - 1, 1, &r) && r == SIZE_MAX);
    assert_false(nde_size_add(SIZE_MAX, 1, &r));
}

static void leading_dimensions_avoid_both_tails_and_powers_of_two(void **state) {
    const size_t sizes[] = { sizeof(float), sizeof(double) };
    (void)state;
    for (int s = 0; s < 2; s++) {
        const size_t bytes = sizes[s];
        assert_int_equal(nde_leading_dimension(1, bytes), 1);
        for (size_t n = 2; n < 3000; n++) {
            const size_t row = nde_leading_dimension(n, bytes)*bytes;
            assert_true(row >= n*bytes && row%64 == 0 && row%512 != 0);
            assert_true(row < n*bytes + 64 || ((n*bytes + 63)/64*64%512 == 0 && row < n*bytes + 128));
        }
        assert_int_equal(nde_leading_dimension(SIZE_MAX, bytes), 0);
        assert_int_equal(nde_leading_dimension(SIZE_MAX/bytes, bytes), 0);
        assert_int_equal(nde_leading_dimension(SIZE_MAX/bytes - 8, bytes), 0);
        assert_true(nde_leading_dimension(SIZE_MAX/bytes - 64, bytes) > 0);
    }
}

/* Two releases of a struct. */
typedef struct first_release {
    size_t size;
    int32_t a, b;
} first_release;
typedef struct second_release {
    size_t size;
    int32_t a, b;
    double c;
} second_release;

static void sized_structs_grow(void **state) {
    const size_t first = sizeof(first_release);
    second_release to;
    first_release to_first;
    (void)state;

    const first_release old = { .size = sizeof old, .a = 1, .b = 2 };
    memset(&to, 0xA5, sizeof to);
    assert_true(nde_read_sized(&to, sizeof to, &old, first));
    assert_true(to.a == 1 && to.b == 2 && to.c == 0);

    const second_release unset = { .size = 0, .a = 3, .b = 4, .c = 5 }; /* 0: the first layout, c is not looked at */
    memset(&to, 0xA5, sizeof to);
    assert_true(nde_read_sized(&to, sizeof to, &unset, first));
    assert_true(to.a == 3 && to.b == 4 && to.c == 0);

    second_release late = { .size = sizeof late, .a = 5 };
    assert_true(nde_read_sized(&to_first, sizeof to_first, &late, first));
    assert_int_equal(to_first.a, 5);
    late.c = 1;
    assert_false(nde_read_sized(&to_first, sizeof to_first, &late, first));

    late.size = first - 1;
    assert_false(nde_read_sized(&to, sizeof to, &late, first));
    memset(&to, 0xA5, sizeof to);
    assert_true(nde_read_sized(&to, sizeof to, NULL, first));
    assert_true(to.size == 0 && to.a == 0 && to.b == 0 && to.c == 0);
}

static void the_arena_counts_what_it_hands_out(void **state) {
    const size_t counts[] = { 1, 0, 7, 64, 65 };
    nde_arena count = { 0 };
    (void)state;
    for (int i = 0; i < 5; i++) assert_null(nde_arena_take(&count, counts[i], 8));
    assert_int_equal(count.used, 64 + 0 + 64 + 512 + 576);
    assert_false(count.overflow);

    unsigned char *block = aligned_alloc(64, count.used);
    assert_non_null(block);
    nde_arena arena = { .base = block };
    unsigned char *before = block;
    for (int i = 0; i < 5; i++) {
        unsigned char *at = nde_arena_take(&arena, counts[i], 8);
        if (counts[i] == 0) {
            assert_null(at);
            continue;
        }
        assert_true(at >= before && (uintptr_t)at%64 == 0);
        memset(at, 0xFF, counts[i]*8); /* a sanitizer sees what lies outside */
        before = at + counts[i]*8;
    }
    assert_int_equal(arena.used, count.used);
    free(block);

    nde_arena huge = { .base = (unsigned char *)&huge };
    assert_null(nde_arena_take(&huge, SIZE_MAX, 2));
    assert_true(huge.overflow);
    assert_null(nde_arena_take(&huge, 1, 8)); /* and for ever after */
    nde_arena sum = { 0 };
    assert_null(nde_arena_take(&sum, SIZE_MAX/2, 1));
    assert_false(sum.overflow);
    assert_null(nde_arena_take(&sum, SIZE_MAX/2, 1));
    assert_null(nde_arena_take(&sum, 128, 1));
    assert_true(sum.overflow);
}

static void the_default_allocator_aligns(void **state) {
    const nde_allocator *a = &nde_allocator_default;
    (void)state;
    for (size_t align = 1; align <= 4096; align *= 2)
        for (size_t bytes = 1; bytes < 5000; bytes = bytes*3 + 1) {
            void *block = a->take(a->ctx, bytes, align);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block%align, 0);
            assert_int_equal((uintptr_t)block%64, 0);
            memset(block, 0, bytes);
            a->give(a->ctx, block, bytes);
        }
    assert_null(a->take(a->ctx, SIZE_MAX, 64));
    assert_null(a->take(a->ctx, SIZE_MAX - 63, 64));
    assert_true(nde_budget_default() > 0 && nde_budget_default() <= (size_t)1 << 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(leading_dimensions_avoid_both_tails_and_powers_of_two),
        cmocka_unit_test(sized_structs_grow),
        cmocka_unit_test(the_arena_counts_what_it_hands_out),
        cmocka_unit_test(the_default_allocator_aligns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
