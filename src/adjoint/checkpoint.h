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

/* `steps` are to be undone from the slopes and tapes of a piece of them at a time, which is made again at once from the state
 * before it. Returns the steps of a piece: so many that their bytes and those of a state for each piece fit into `room`, and no
 * more than it takes to be quick; 0: there are none. */
size_t nde_checkpoint_piece(size_t steps, size_t room, size_t state_bytes, size_t step_bytes);

#endif
