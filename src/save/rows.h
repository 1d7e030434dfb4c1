/* SPDX-License-Identifier: MIT
 * rows.h - rows of the output that do not go straight to their place: a block of them is observed, kept, given away and
 * summed up. Letters: rows of the output with `out` components, N trajectories. */
#ifndef NDE_ROWS_H
#define NDE_ROWS_H

#include "method/rhs.h"
#include "save/sketch.h"

/* Rows of one panel that wait; one block a worker. Column j is row[j] of trajectory[j], which is in lane[j]. */
typedef struct nde_rows {
    nde_lanes lanes;
    size_t capacity;
    size_t *lane, *trajectory, *interval, *row;
    double *t;
    unsigned char *mark;
    nde_real *y, *q, *out;            /* [dim][ld], [nq][ld], [out][ld]; out is y where nothing observes */
    nde_real *one;                    /* [dim + nq + out] a row alone */
    nde_real *a_y, *a_q, *a_out;      /* with an observation and an adjoint: cotangents and tangents; a_t [ld] */
    double *a_t;
} nde_rows;

/* Sums over the trajectories of each shard, [shards][rows][..]; own: the caller's states, `stride` apart. */
typedef struct nde_sums {
    size_t *count;
    double *mean, *square, *least, *greatest; /* square: sum of squares about the mean */
    unsigned char *own;
    size_t stride;
    nde_buckets buckets;
    size_t sketch_size;               /* of all rows and components */
    uint32_t *sketch, *sketches;      /* worker 0's, and those of the others until the run ends or pauses */
    double *levels, *edges;
    uint64_t *bins, *more_bins;       /* histograms of all rows and components, likewise; `bins_size` numbers */
    size_t bins_size;
    /* over all shards */
    size_t *all_count;                /* [rows] */
    double *all_mean, *all_variance, *all_least, *all_greatest, *all_error, *quantile;
    unsigned char *all_own;
} nde_sums;

#endif
