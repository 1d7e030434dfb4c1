/* SPDX-License-Identifier: MIT
 * checkpoint.c - the binomial schedule, and that which repeats no step that has no slopes.
 *
 * With s slots, and no step repeated more than r times, C(s + 1 + r, s + 1) steps can be undone. An
 * optimal split leaves the first part between its reaches at r - 2 and r - 1 repeats (it has gone
 * through once already), and the last part within its reach with a slot less.
 * Source: A. Griewank, A. Walther, Algorithm 799: revolve, ACM TOMS 26 (2000) 19-45. */
#include "adjoint/checkpoint.h"

#include <math.h>
#include <stdbool.h>

size_t nde_checkpoint_last(size_t steps, size_t slots) {
    const double n = (double)steps, s = (double)slots;
    double r = 0, reach = 1, before = 1; /* at r and at r - 1 repeats */
    while (reach < n) {
        before = reach;
        r++;
        reach = reach*(s + 1 + r)/r;
    }
    const double most_first = before, least_first = before*(r - 1)/(s + r);
    double last = reach*(s + 1)/(s + 1 + r); /* C(s + r, s) */
    if (last > n - least_first) last = n - least_first;
    last = (double)(size_t)(last + 0.5);
    if (last < n - most_first) last = n - most_first;
    if (last > n - 1) last = n - 1;
    return last < 1 ? 1 : (size_t)last < steps ? (size_t)last : steps - 1;
}

static bool fits(double piece, double steps, double room, double state, double step) {
    return piece <= steps && piece*step + ceil(steps/piece)*state <= room;
}

/* The slope that a piece begins with is evaluated once more: of QUICK steps that is little, and they stay in the cache. Where
 * states would then take too much, the sum is least with as many bytes of states as of the piece. */
size_t nde_checkpoint_piece(size_t steps, size_t room, size_t state_bytes, size_t step_bytes) {
    enum { QUICK = 16 };
    const double n = (double)steps, all = (double)room, state = (double)state_bytes, step = (double)step_bytes;
    const double even = floor(sqrt(n*state/step));
    for (double piece = fmin(QUICK, n); piece >= 2; piece--)
        if (fits(piece, n, all, state, step)) return (size_t)piece;
    return even > QUICK && fits(even, n, all, state, step) ? (size_t)even : 0;
}
