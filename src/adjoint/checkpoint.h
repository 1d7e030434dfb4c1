/* SPDX-License-Identifier: MIT
 * checkpoint.h - where to put the next checkpoint on the way back. No real type. */
#ifndef NDE_CHECKPOINT_H
#define NDE_CHECKPOINT_H

#include <stddef.h>

/* A segment of `steps` is to be undone, the state before its first one is known, `slots` >= 1 more
 * states can be kept, fewer than steps - 1. Returns how many of its last steps are to be undone from
 * a new checkpoint, with the slots that are left; the others follow, with all slots again. The
 * number of steps repeated is the least possible. */
size_t nde_checkpoint_last(size_t steps, size_t slots);

#endif
