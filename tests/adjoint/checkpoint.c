/* SPDX-License-Identifier: MIT
 * checkpoint.c - the schedule repeats as few steps as any schedule can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "adjoint/checkpoint.h"

enum { STEPS = 160, SLOTS = 8 };

/* Steps made again to undo n of them with s slots, by choosing the split of each segment: all states
 * at once where they fit, one by one without slots. */
static size_t least[STEPS + 1][SLOTS + 1], made[STEPS + 1][SLOTS + 1];

static void schedule_is_optimal(void **state) {
    (void)state;
    for (size_t n = 1; n <= STEPS; n++)
        for (size_t s = 0; s <= SLOTS; s++) {
            if (n - 1 <= s || s == 0) {
                least[n][s] = made[n][s] = n - 1 <= s ? n - 1 : n*(n - 1)/2;
                continue;
            }
            least[n][s] = SIZE_MAX;
            for (size_t first = 1; first < n; first++) {
                const size_t cost = first + least[n - first][s - 1] + least[first][s];
                if (cost < least[n][s]) least[n][s] = cost;
            }
            const size_t last = nde_checkpoint_last(n, s);
            assert_in_range(last, 1, n - 1);
            made[n][s] = (n - last) + made[last][s - 1] + made[n - last][s];
            assert_int_equal(made[n][s], least[n][s]);
        }
}

static void long_runs_stay_within_reach(void **state) {
    (void)state;
    for (size_t n = 1000; n <= 1000000000; n *= 10)
        for (size_t s = 1; s <= 100; s *= 10) assert_in_range(nde_checkpoint_last(n, s), 1, n - 1);
    assert_in_range(nde_checkpoint_last(SIZE_MAX/4, 1000), 1, SIZE_MAX/4 - 1);
}

/* A piece is there when any length would do, and fits; no more is asked of memory than of time. */
static void pieces_fit(void **state) {
    (void)state;
    long none = 0, some = 0, long_ones = 0;
    for (size_t steps = 2; steps <= 3000; steps += 1 + steps/5)
        for (size_t state_bytes = 16; state_bytes <= 1024; state_bytes *= 4)
            for (size_t step_bytes = state_bytes; step_bytes <= 64*state_bytes; step_bytes *= 4)
                for (size_t room = step_bytes; room <= (steps + 1)*step_bytes; room += room/3) {
                    const size_t piece = nde_checkpoint_piece(steps, room, state_bytes, step_bytes);
                    size_t fewest = SIZE_MAX;
                    for (size_t l = 2; l <= steps; l++) {
                        const size_t bytes = l*step_bytes + (steps + l - 1)/l*state_bytes;
                        if (bytes < fewest) fewest = bytes;
                        if (l == piece) assert_true(bytes <= room);
                        else if (piece && l > piece && l <= 16) assert_true(bytes > room);
                    }
                    if (piece) assert_in_range(piece, 2, steps);
                    else assert_true(fewest + state_bytes + step_bytes > room); /* of the length that is even to rounding */
                    none += !piece, some += piece > 0, long_ones += piece > 16;
                }
    assert_true(none > 100 && some > 100 && long_ones > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedule_is_optimal),
        cmocka_unit_test(long_runs_stay_within_reach),
        cmocka_unit_test(pieces_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
