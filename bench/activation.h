/* SPDX-License-Identifier: MIT
 * activation.h - one activation on an array, by the library's kernels and by libm, timed in turns. */
#ifndef NDE_BENCH_ACTIVATION_H
#define NDE_BENCH_ACTIVATION_H

/* Seconds for one number, the least of many samples; libm 0: the activation is no function of libm's. */
typedef struct activation_seconds {
    double own, slope, libm;
} activation_seconds;

activation_seconds activation_time_double(int isa, int id);
activation_seconds activation_time_single(int isa, int id);

#endif
