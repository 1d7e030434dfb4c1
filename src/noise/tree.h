/* SPDX-License-Identifier: MIT
 * tree.h - the virtual Brownian tree: any times in any order. */
#ifndef NDE_TREE_H
#define NDE_TREE_H

#include "noise/noise.h"

/* Memory for up to `lanes` lanes, PIECE of which are asked at a time: where each lane's last question ended, with the halved
 * intervals that led there. It saves work and never changes a value. */
size_t nde_tree_bytes(const nde_noise *noise, size_t m, size_t lanes);
void nde_tree_clear(void *memory, size_t lanes);

/* A cell, as a share of the span. */
double nde_tree_cell(const nde_noise *noise);

/* out [m][ld] as nde_noise_over's w, h, k, for lanes `first` to first + n - 1 of the memory, n <= NDE_NOISE_PIECE; trajectory
 * [n]. Returns W from t0 to s, zero where nothing is asked for: s is t; rows [m][NDE_NOISE_PIECE] of the memory, the caller's
 * until the next call. */
double *nde_tree_over(const nde_noise *noise, const nde_noise_at *at, size_t m, size_t first, size_t n,
                      const size_t *trajectory, double *const out[3]);

#endif
