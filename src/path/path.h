/* SPDX-License-Identifier: MIT
 * path.h - values and slopes of a path on a block of lanes, with their transposes and tangents.
 *
 * Letters: c channels, K knots, N trajectories of the problem, n lanes, ld their distance. piece[b] in 0..K: t lies between
 * knot piece-1 and knot piece; 0 and K are the constant ends. One step lies in one piece, so slopes at its ends are
 * one-sided. x, a_x, v_x: [K][c][N]; u, a_u, v_u: [c][ld]; trajectory[b] picks the column. */
#ifndef NDE_PATH_INTERNAL_H
#define NDE_PATH_INTERNAL_H

#include "nde/path.h"
#include "core/core.h"

/* Errors: NDE_E_ARG (text set): knots not increasing, NULL arrays. `who` names the argument. */
nde_status nde_path_validate(const nde_path *path, const char *who);
size_t nde_path_piece(const nde_path *path, double t);

void nde_path_value(const nde_path *path, size_t N, size_t n, size_t ld, const size_t *trajectory, const size_t *piece,
                    const double *t, nde_real *u);
/* a_x += (may be NULL); a_t [n] += (may be NULL). */
void nde_path_value_transpose(const nde_path *path, size_t N, size_t n, size_t ld, const size_t *trajectory,
                              const size_t *piece, const double *t, const nde_real *a_u, nde_real *a_x, double *a_t);
/* v_u = tangent along v_x (may be NULL) and v_t (may be NULL). */
void nde_path_value_tangent(const nde_path *path, size_t N, size_t n, size_t ld, const size_t *trajectory,
                            const size_t *piece, const double *t, const nde_real *v_x, const double *v_t, nde_real *v_u);

void nde_path_slope(const nde_path *path, size_t N, size_t n, size_t ld, const size_t *trajectory, const size_t *piece,
                    nde_real *du);
void nde_path_slope_transpose(const nde_path *path, size_t N, size_t n, size_t ld, const size_t *trajectory,
                              const size_t *piece, const nde_real *a_du, nde_real *a_x);
/* v_x may be NULL: zero. */
void nde_path_slope_tangent(const nde_path *path, size_t N, size_t n, size_t ld, const size_t *trajectory,
                            const size_t *piece, const nde_real *v_x, nde_real *v_du);

#endif
