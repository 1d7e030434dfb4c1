/* SPDX-License-Identifier: MIT
 * klu.c - see klu.h. KLU reads columns, W is kept by rows: it factors the transpose. */
#include "implicit/klu.h"

#include <math.h>

#if defined(NDE_HAVE_KLU) && !defined(nde_real)
#include <suitesparse/klu.h>

typedef struct factors {
    klu_common common;
    klu_numeric *numeric;
} factors;
struct nde_klu {
    klu_common common;
    klu_symbolic *symbolic;
    factors *lane; /* [ld] */
};

/* A pivot of zero gives what is not finite. One on the diagonal is taken if it is a tenth of the largest in its column, where
 * KLU's own choice, a thousandth, would leave errors a thousand times as large. */
static void set(klu_common *common) {
    klu_defaults(common);
    common->halt_if_singular = 0, common->tol = 0.1;
}

bool nde_klu_is_there(void) { return true; }

nde_status nde_klu_predict(size_t n, int *row_start, int *column, double *flops) {
    klu_common common;
    set(&common);
    klu_symbolic *symbolic = klu_analyze((int)n, row_start, column, &common);
    if (!symbolic) return nde_fail(NDE_E_NOMEM, "out of memory: KLU's analysis of %d entries", row_start[n]);
    *flops = symbolic->est_flops > 0 ? symbolic->est_flops : HUGE_VAL;
    klu_free_symbolic(&symbolic, &common);
    return NDE_OK;
}

void nde_klu_lay(nde_lu *lu, nde_arena *arena) {
    lu->klu = nde_arena_take(arena, 1, sizeof *lu->klu);
    factors *lane = nde_arena_take(arena, lu->ld, sizeof *lane);
    if (lu->klu) lu->klu->lane = lane;
}

nde_status nde_klu_open(nde_lu *lu) {
    const nde_form *f = lu->form;
    set(&lu->klu->common);
    lu->klu->symbolic = klu_analyze((int)f->dim, f->row_start, f->column, &lu->klu->common);
    for (size_t b = 0; b < lu->ld; b++) set(&lu->klu->lane[b].common), lu->klu->lane[b].numeric = NULL;
    return lu->klu->symbolic ? NDE_OK : nde_fail(NDE_E_NOMEM, "out of memory: KLU's analysis of %zu entries", f->entries);
}

void nde_klu_close(nde_lu *lu) {
    for (size_t b = 0; b < lu->ld; b++) klu_free_numeric(&lu->klu->lane[b].numeric, &lu->klu->lane[b].common);
    klu_free_symbolic(&lu->klu->symbolic, &lu->klu->common);
}

bool nde_klu_factor(nde_lu *lu, size_t b) {
    factors *to = &lu->klu->lane[b];
    klu_free_numeric(&to->numeric, &to->common);
    to->numeric = klu_factor(lu->form->row_start, lu->form->column, lu->a, lu->klu->symbolic, &to->common);
    return to->numeric || to->common.status != KLU_OUT_OF_MEMORY;
}

void nde_klu_solve(const nde_lu *lu, size_t b, bool transposed, nde_real *x) {
    factors *by = &lu->klu->lane[b];
    const int n = (int)lu->dim;
    if (!by->numeric)
        for (int i = 0; i < n; i++) x[i] = (nde_real)NAN;
    else if (transposed)
        klu_solve(lu->klu->symbolic, by->numeric, n, 1, x, &by->common);
    else
        klu_tsolve(lu->klu->symbolic, by->numeric, n, 1, x, &by->common);
}

#else

bool nde_klu_is_there(void) { return false; }
nde_status nde_klu_predict(size_t n, int *row_start, int *column, double *flops) {
    return (void)n, (void)row_start, (void)column, *flops = HUGE_VAL, NDE_OK;
}
void nde_klu_lay(nde_lu *lu, nde_arena *arena) { (void)lu, (void)arena; }
nde_status nde_klu_open(nde_lu *lu) { return (void)lu, NDE_OK; }
void nde_klu_close(nde_lu *lu) { (void)lu; }
bool nde_klu_factor(nde_lu *lu, size_t b) { return (void)lu, (void)b, true; }
void nde_klu_solve(const nde_lu *lu, size_t b, bool transposed, nde_real *x) { (void)lu, (void)b, (void)transposed, (void)x; }

#endif
