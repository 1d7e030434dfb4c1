/* SPDX-License-Identifier: MIT
 * reduce.c - what all trajectories do together at each row, without their rows being kept. Each shard sums up its own, in the
 * order in which it meets them, which depends on nothing else; shards are merged in their order. Sketches count, so that a
 * worker has one for all its shards. Sources: nde_reduction. */
#include "solve/solver.h"

#include <math.h>
#include <string.h>

static uint32_t *sketch_of(const nde_solver *s, int worker, size_t entry) {
    const nde_sums *sums = &s->sums;
    uint32_t *all = worker ? sums->sketches + (size_t)(worker - 1)*sums->sketch_size : sums->sketch;
    return all + entry*nde_sketch_size(&sums->buckets);
}

static unsigned char *own_of(const nde_solver *s, unsigned char *own, size_t shard, size_t row) {
    return own + (shard*s->rows_saved + row)*s->sums.stride;
}

static uint64_t *bins_of(const nde_solver *s, int worker) {
    const nde_sums *sums = &s->sums;
    return worker ? sums->more_bins + (size_t)(worker - 1)*sums->bins_size : sums->bins;
}

/* How many edges are at or below x. */
static size_t bin_of(const nde_solver *s, double x) {
    size_t low = 0, high = s->reduction.n_edges;
    while (low < high) {
        const size_t middle = low + (high - low)/2;
        if (s->sums.edges[middle] <= x) low = middle + 1;
        else high = middle;
    }
    return low;
}

void nde_reduce_begin(nde_solver *s) {
    const nde_sums *sums = &s->sums;
    const size_t rows = s->n_shards*s->rows_saved, entries = rows*s->out;
    memset(sums->count, 0, rows*sizeof *sums->count);
    for (size_t i = 0; i < entries; i++) {
        sums->mean[i] = sums->square[i] = 0;
        sums->least[i] = (double)INFINITY, sums->greatest[i] = -(double)INFINITY;
    }
    if (sums->sketch) memset(sums->sketch, 0, sums->sketch_size*sizeof *sums->sketch);
    if (sums->bins) memset(sums->bins, 0, sums->bins_size*sizeof *sums->bins);
    if (sums->more_bins) memset(sums->more_bins, 0, (s->n_workers - 1)*sums->bins_size*sizeof *sums->more_bins);
    if (sums->sketches) memset(sums->sketches, 0, (s->n_workers - 1)*sums->sketch_size*sizeof *sums->sketches);
    for (size_t i = 0; sums->own && i < rows; i++)
        s->reduction.init(s->reduction.ctx, i % s->rows_saved, own_of(s, sums->own, 0, i));
}

int nde_reduce_add(nde_solver *s, size_t shard, int worker, const nde_rows *r, size_t j) {
    const nde_sums *sums = &s->sums;
    const size_t row = r->row[j], at = shard*s->rows_saved + row, ld = r->lanes.site.ld;
    const double part = 1/(double)++sums->count[at];
    for (size_t i = 0; i < s->out; i++) {
        const size_t e = at*s->out + i;
        const double x = (double)r->out[i*ld + j], off = x - sums->mean[e];
        sums->mean[e] += off*part;
        sums->square[e] += off*(x - sums->mean[e]);
        sums->least[e] = fmin(sums->least[e], x), sums->greatest[e] = fmax(sums->greatest[e], x);
        if (sums->sketch) nde_sketch_add(&sums->buckets, sketch_of(s, worker, row*s->out + i), x);
        if (sums->bins) bins_of(s, worker)[(row*(s->reduction.n_edges + 1) + bin_of(s, x))*s->out + i]++;
    }
    if (!sums->own) return 0;
    unsigned char *own = own_of(s, sums->own, shard, row);
    return s->reduction.add(s->reduction.ctx, own, row, r->trajectory[j], r->t[j], r->out + j, ld);
}

/* ---- over all -------------------------------------------------------------------------------- */

/* What the other workers have counted goes to the first. */
static void gather_sketches(nde_solver *s) {
    const nde_sums *sums = &s->sums;
    for (int k = 1; sums->sketch && k < (int)s->n_workers; k++) {
        for (size_t e = 0; e < s->rows_saved*s->out; e++)
            nde_sketch_merge(&sums->buckets, sketch_of(s, 0, e), sketch_of(s, k, e));
        memset(sketch_of(s, k, 0), 0, sums->sketch_size*sizeof *sums->sketches);
    }
}

static void gather_bins(nde_solver *s) {
    const nde_sums *sums = &s->sums;
    for (int k = 1; sums->bins && k < (int)s->n_workers; k++) {
        uint64_t *from = bins_of(s, k);
        for (size_t i = 0; i < sums->bins_size; i++) sums->bins[i] += from[i];
        memset(from, 0, sums->bins_size*sizeof *from);
    }
}

/* Does a trajectory depend on another one? */
static bool comes_in_pairs(const nde_solver *s) {
    for (size_t k = 0; k < s->rhs.problem.n_terms; k++)
        if (s->rhs.problem.terms[k].noise && s->rhs.term[k].noise.antithetic) return true;
    return false;
}

/* The standard error of a mean over all, from means of independent groups. */
static double spread(const nde_solver *s, size_t row, size_t i, double all, double mean) {
    const nde_sums *sums = &s->sums;
    double square = 0, groups = 0;
    for (size_t k = 0; k < s->n_shards; k++) {
        const size_t at = k*s->rows_saved + row;
        const double some = (double)sums->count[at], off = sums->mean[at*s->out + i] - mean;
        if (some > 0) square += some*off*off, groups++;
    }
    return groups > 1 ? sqrt(square/(groups - 1)/all) : (double)NAN;
}

/* Sums of one component of a row over the shards, in their order. */
static void merge(nde_solver *s, size_t row, size_t i) {
    const nde_sums *sums = &s->sums;
    const size_t to = row*s->out + i;
    double all = 0, mean = 0, square = 0, least = (double)INFINITY, greatest = -(double)INFINITY;
    for (size_t k = 0; k < s->n_shards; k++) {
        const size_t at = k*s->rows_saved + row, e = at*s->out + i;
        const double some = (double)sums->count[at], off = sums->mean[e] - mean;
        if (some == 0) continue;
        square += sums->square[e] + off*off*(all*some/(all + some));
        mean += off*(some/(all + some));
        all += some;
        least = fmin(least, sums->least[e]), greatest = fmax(greatest, sums->greatest[e]);
    }
    sums->all_mean[to] = all > 0 ? mean : (double)NAN;
    sums->all_variance[to] = all > 1 ? square/(all - 1) : (double)NAN;
    sums->all_error[to] = comes_in_pairs(s) ? spread(s, row, i, all, mean) : sqrt(sums->all_variance[to]/all);
    sums->all_least[to] = all > 0 ? least : (double)NAN;
    sums->all_greatest[to] = all > 0 ? greatest : (double)NAN;
}

static void read_quantiles(nde_solver *s, size_t row, size_t i) {
    const nde_sums *sums = &s->sums;
    const size_t e = row*s->out + i, levels = s->reduction.n_levels, all = sums->all_count[row];
    for (size_t l = 0; l < levels; l++)
        sums->quantile[(row*levels + l)*s->out + i] =
            all ? nde_sketch_value(&sums->buckets, sketch_of(s, 0, e), (uint64_t)ceil(sums->levels[l]*(double)all), all,
                                   sums->all_least[e], sums->all_greatest[e])
                : (double)NAN;
}

void nde_reduce_end(nde_solver *s) {
    const nde_sums *sums = &s->sums;
    gather_sketches(s), gather_bins(s);
    for (size_t row = 0; row < s->rows_saved; row++) {
        sums->all_count[row] = 0;
        for (size_t k = 0; k < s->n_shards; k++) sums->all_count[row] += sums->count[k*s->rows_saved + row];
        for (size_t i = 0; i < s->out; i++) {
            merge(s, row, i);
            if (sums->sketch) read_quantiles(s, row, i);
        }
        if (!sums->own) continue;
        unsigned char *to = own_of(s, sums->all_own, 0, row);
        s->reduction.init(s->reduction.ctx, row, to);
        for (size_t k = 0; k < s->n_shards; k++) s->reduction.merge(s->reduction.ctx, row, to, own_of(s, sums->own, k, row));
    }
}
