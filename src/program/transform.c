/* SPDX-License-Identifier: MIT
 * transform.c - FFTW's plans. What a plan computes must not depend on where and when it was made: it is estimated, not
 * measured, and takes data of any alignment. FFTW's planner is one for the whole process; it is locked by FFTW itself, so
 * that others who use it are kept out, too. */
#include "program/transform.h"

#include "core/core.h"

#ifndef NDE_HAVE_FFTW

nde_status nde_transform_make(uint32_t n, nde_transform *to) {
    (void)n, (void)to;
    return nde_fail(NDE_E_ARG, "the library was built without FFTW (meson setup -Dfftw=enabled)");
}
void nde_transform_free(nde_transform *x) { (void)x; }
void nde_transform_run(const nde_transform *x, int back, double *data) { (void)x, (void)back, (void)data; }
void nde_transform_run_single(const nde_transform *x, int back, float *data) { (void)x, (void)back, (void)data; }

#else

#include <fftw3.h>

nde_status nde_transform_make(uint32_t n, nde_transform *to) {
    static const fftw_r2r_kind kinds[] = { FFTW_R2HC, FFTW_HC2R };
    const unsigned flags = FFTW_ESTIMATE | FFTW_UNALIGNED;
    double *data = fftw_malloc(n*sizeof *data);
    float *single = fftwf_malloc(n*sizeof *single);
    bool all = data && single;
    *to = (nde_transform){ .n = n };
    fftw_make_planner_thread_safe();
    fftwf_make_planner_thread_safe();
    for (int back = 0; all && back < 2; back++) {
        to->plan[back] = fftw_plan_r2r_1d((int)n, data, data, kinds[back], flags);
        to->single[back] = fftwf_plan_r2r_1d((int)n, single, single, kinds[back], flags);
        all = to->plan[back] && to->single[back];
    }
    fftw_free(data);
    fftwf_free(single);
    if (all) return NDE_OK;
    nde_transform_free(to);
    return nde_fail(NDE_E_NOMEM, "FFTW makes no plan for %u rows", (unsigned)n);
}

void nde_transform_free(nde_transform *x) {
    for (int back = 0; back < 2; back++) {
        if (x->plan[back]) fftw_destroy_plan(x->plan[back]);
        if (x->single[back]) fftwf_destroy_plan(x->single[back]);
    }
    *x = (nde_transform){ 0 };
}

void nde_transform_run(const nde_transform *x, int back, double *data) { fftw_execute_r2r(x->plan[back], data, data); }
void nde_transform_run_single(const nde_transform *x, int back, float *data) { fftwf_execute_r2r(x->single[back], data, data); }

#endif
