/* SPDX-License-Identifier: MIT
 * checkpoint.c - the binomial schedule.
 *
 * With s slots, and no step repeated more than r times, C(s + 1 + r, s + 1) steps can be undone. An
 * optimal split leaves the first part between its reaches at r - 2 and r - 1 repeats (it has gone
 * through once already), and the last part within its reach with a slot less.
 * Source: A. Griewank, A. Walther, Algorithm 799: revolve, ACM TOMS 26 (2000) 19-45. */
#include "adjoint/checkpoint.h"

#include <stdint.h>

/* C(slots + 1 + repeats, slots + 1), or SIZE_MAX/2 beyond it. */
static size_t reach(size_t slots, size_t repeats) {
    double product = 1;
    for (size_t i = 1; i <= repeats && product < 0x1p50; i++)
        product = product*(double)(slots + 1 + i)/(double)i;
    return product < 0x1p50 ? (size_t)(product + 0.5) : SIZE_MAX/2;
}

size_t nde_checkpoint_last(size_t steps, size_t slots) {
    size_t repeats = 1;
    while (reach(slots, repeats) < steps) repeats++;
    const size_t most_first = reach(slots, repeats - 1);
    const size_t least_first = repeats >= 2 ? reach(slots, repeats - 2) : 1;
    const size_t most_last = slots >= 1 ? reach(slots - 1, repeats) : 1;
    size_t last = steps - least_first < most_last ? steps - least_first : most_last;
    if (steps > most_first && last < steps - most_first) last = steps - most_first;
    return last < 1 ? 1 : last > steps - 1 ? steps - 1 : last;
}
