/* SPDX-License-Identifier: MIT
 * slots.c - which states are kept: with the number of steps known the best ones, without not much worse ones; and that
 * they stay what they are while slots are taken away. */
#include <stdlib.h>
#include <string.h>

#include "solve/slots.h"

/* Steps made again to undo n with s states beside the first, by the closed form of Griewank and Walther (2000): with no
 * step made more than r times, n r - C(s + 1 + r, r - 1). */
static double repeated(double n, double s) {
    double r = 0, reach = 1, sum = 0;
    while (reach < n) r++, reach = reach*(s + 1 + r)/r;
    if (r >= 1) sum = 1;
    for (double k = 1; k <= r - 1; k++) sum = sum*(s + 2 + k)/k;
    return r*n - sum;
}

/* The same after a run that has passed all steps once and left states where it liked: it is the way to undo one step more,
 * of no length, behind the last. */
static double optimum(double n, double slots) { return repeated(n + 1, slots - 1) - n; }

/* Of the states that are there, with all the slots that are free by then. */
static double cost(const nde_slots *slots, size_t steps, size_t room) {
    double sum = 0;
    for (size_t i = 0; i < slots->count; i++) {
        const size_t end = i + 1 < slots->count ? nde_slots_key(slots, i + 1) : steps;
        sum += repeated((double)(end - nde_slots_key(slots, i)), (double)(room - i - 1));
    }
    return sum;
}

enum { BYTES = 24, MOST = 2000 };
static unsigned char arena[MOST*BYTES + 8] __attribute__((aligned(8)));

static void begin(nde_slots *slots) { nde_slots_open(slots, arena + MOST*BYTES, BYTES - 16); }

static void step(nde_slots *slots, size_t number, size_t limit) {
    assert_true(nde_slots_fit(slots, limit));
    if (!nde_slots_admit(slots, number, limit)) return;
    memcpy(nde_slots_place(slots), &number, sizeof number);
    nde_slots_push(slots, number, number);
    assert_true(slots->count <= limit && slots->taken <= limit);
}

/* Keys ascend from 0 and go with their states; others are not found. */
static void check(const nde_slots *slots, size_t steps) {
    size_t rank = 0;
    assert_int_equal(nde_slots_key(slots, 0), 0);
    for (size_t key = 0; key < steps; key++) {
        const size_t *state = nde_slots_find(slots, key, &(size_t){ 0 });
        if (rank + 1 < slots->count && nde_slots_key(slots, rank + 1) == key) rank++;
        assert_int_equal(nde_slots_rank(slots, key), rank);
        assert_true((state != NULL) == (nde_slots_key(slots, rank) == key));
        if (state) assert_int_equal(*state, key);
    }
    for (size_t key = steps, down = 0; key-- > 0;) { /* wherever one looks first */
        const void *state = nde_slots_find(slots, key, &down);
        size_t far = key % (slots->count + 2);
        assert_true(nde_slots_find(slots, key, &far) == state);
        assert_int_equal(far, nde_slots_rank(slots, key));
        assert_int_equal(far, down);
    }
    assert_int_equal(rank + 1, slots->count);
}

/* By every choice of the first segment. */
static void closed_form(void **state) {
    (void)state;
    enum { STEPS = 150, SLOTS = 9 };
    static double back[STEPS + 1][SLOTS], all[STEPS + 1][SLOTS];
    for (int n = 1; n <= STEPS; n++)
        for (int s = 0; s < SLOTS; s++) {
            const bool fit = n - 1 <= s;
            back[n][s] = fit ? n - 1 : n*(n - 1)/2, all[n][s] = fit ? 0 : n*(n - 1)/2;
            for (int first = 1; s && first < n; first++) {
                const double again = first + back[n - first][s - 1] + back[first][s],
                    once = all[n - first][s - 1] + back[first][s];
                if (again < back[n][s]) back[n][s] = again;
                if (once < all[n][s]) all[n][s] = once;
            }
            assert_true(repeated(n, s) == back[n][s] && optimum(n, s + 1) == all[n][s]);
        }
}

static void known_is_optimal(void **state) {
    (void)state;
    nde_slots slots;
    begin(&slots);
    for (size_t room = 1; room <= 100; room += room < 10 ? 1 : 15)
        for (size_t n = 1; n <= 100000; n += 1 + n/7) {
            nde_slots_clear(&slots, 1);
            nde_slots_expect(&slots, n, room, 0);
            const size_t expected = nde_slots_expected(&slots);
            for (size_t i = 0; i < n; i++) step(&slots, i, room);
            assert_int_equal(slots.count, expected);
            assert_true(cost(&slots, n, room) == optimum((double)n, (double)room));
        }
}

/* As far apart as they are to be. */
static void known_apart(void **state) {
    (void)state;
    nde_slots slots;
    begin(&slots);
    for (size_t n = 1; n <= 3000; n += 1 + n/7)
        for (size_t apart = 2; apart <= 40; apart += 3) {
            const size_t room = (n + apart - 1)/apart;
            nde_slots_clear(&slots, 1);
            nde_slots_expect(&slots, n, room, apart);
            assert_int_equal(nde_slots_expected(&slots), room);
            for (size_t i = 0; i < n; i++) step(&slots, i, room);
            assert_int_equal(slots.count, room);
            for (size_t rank = 0; rank < room; rank++) assert_int_equal(nde_slots_key(&slots, rank), rank*apart);
        }
}

/* More steps than were expected, or less room: it goes on online. */
static void wrong_expectations(void **state) {
    (void)state;
    nde_slots slots;
    begin(&slots);
    for (int less = 0; less < 2; less++)
        for (size_t apart = 0; apart <= 15; apart += 15) {
            nde_slots_clear(&slots, 1);
            nde_slots_expect(&slots, 300, 20, apart);
            for (size_t i = 0; i < 20000; i++) step(&slots, i, less && i >= 150 ? 8 : 20);
            check(&slots, 20000);
            assert_true(cost(&slots, 20000, less ? 8 : 20) < 2*optimum(20000, less ? 8 : 20));
        }
}

static void online_is_close(void **state) {
    (void)state;
    static const size_t rooms[] = { 6, 7, 8, 10, 20, 50, 100, 300, 1000, 2000 };
    nde_slots slots;
    begin(&slots);
    print_message("worst ratio of repeated steps to the optimum, online, up to\n%8s%8s%8s%8s%8s%8s\n", "slots", "10^2",
                  "10^3", "10^4", "10^5", "10^6");
    for (size_t k = 0; k < sizeof rooms/sizeof *rooms; k++) {
        double worst = 0;
        size_t next = 1, decade = 100;
        nde_slots_clear(&slots, 1);
        print_message("%8zu", rooms[k]);
        for (size_t n = 1; n <= 1000000; n++) {
            step(&slots, n - 1, rooms[k]);
            if (n == next || n == decade) {
                const double best = optimum((double)n, (double)rooms[k]), made = cost(&slots, n, rooms[k]);
                assert_true(best > 0 ? made <= 1.5*best : made == 0);
                if (best > 0 && made/best > worst) worst = made/best;
                next = n + 1 + n/300;
            }
            if (n != decade) continue;
            print_message("%8.3f", worst);
            decade *= 10, worst = 0;
        }
        print_message("\n");
    }
}

/* The log grows into the slots. */
static void room_shrinks(void **state) {
    (void)state;
    nde_slots slots;
    begin(&slots);
    for (size_t every = 1; every <= 64; every *= 4) {
        nde_slots_clear(&slots, every == 4 ? 2 : 1);
        size_t limit = MOST;
        for (size_t i = 0; limit > 1; i++) {
            step(&slots, i, limit);
            if (i % every == 0) limit--;
            if (i % 997 == 0) check(&slots, i + 1);
        }
        step(&slots, SIZE_MAX/2, 1);
        assert_int_equal(slots.count, 1);
        assert_false(nde_slots_fit(&slots, 0));
    }
}

/* As the way back does: forgets from behind, and keeps others there. */
static void a_stack(void **state) {
    (void)state;
    nde_slots slots;
    begin(&slots);
    for (size_t i = 0; i < 1000; i++) step(&slots, i, 30);
    for (size_t back = 1000; back > 1; back -= back > 40 ? 40 : 1) {
        nde_slots_forget(&slots, nde_slots_rank(&slots, back - 1) + 1);
        for (size_t key = nde_slots_key(&slots, slots.count - 1) + 1; key < back && slots.count < 30; key += 3) {
            memcpy(nde_slots_place(&slots), &key, sizeof key);
            nde_slots_push(&slots, key, key);
        }
        check(&slots, back);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_form),  cmocka_unit_test(known_is_optimal), cmocka_unit_test(known_apart),
        cmocka_unit_test(wrong_expectations),
        cmocka_unit_test(online_is_close), cmocka_unit_test(room_shrinks), cmocka_unit_test(a_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
