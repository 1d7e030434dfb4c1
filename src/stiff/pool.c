/* SPDX-License-Identifier: MIT
 * pool.c - vectors and matrices of a worker, out of the caller's allocator: what SUNDIALS destroys waits on a shelf to be
 * cloned again. */
#include "stiff/sun.h"

#include <string.h>

struct nde_sun_vector {
    struct _generic_N_Vector vector; /* first: an N_Vector points here */
    struct _N_VectorContent_Serial content;
    nde_sun_pool *pool;
    nde_sun_vector *next, *made;
    size_t bytes;
    int shelf;
};

enum { ALIGN = 64 };

static size_t round_up(size_t bytes) { return (bytes + ALIGN - 1)/ALIGN*ALIGN; }

/* A header and doubles behind it; NULL when they do not fit. */
static void *take(nde_sun_pool *pool, size_t header, size_t count, size_t *bytes) {
    size_t data;
    if (!nde_size_multiply(count, sizeof(double), &data) || !nde_size_add(data, round_up(header), bytes)) return NULL;
    pthread_mutex_lock(pool->lock);
    unsigned char *block = pool->memory->take(pool->memory->ctx, *bytes, ALIGN);
    pthread_mutex_unlock(pool->lock);
    if (block) memset(block, 0, *bytes);
    return block;
}

/* ---- vectors ----------------------------------------------------------------------------------------------------- */

N_Vector nde_sun_vector_new(nde_sun_pool *pool, size_t length) {
    int shelf = 0;
    while (shelf + 1 < NDE_SUN_SHELVES && pool->length[shelf] != length) shelf++; /* equal ones share the first */
    nde_sun_vector *v = pool->shelf[shelf];
    if (v) {
        pool->shelf[shelf] = v->next;
        memset(v->content.data, 0, length*sizeof(double));
        return &v->vector;
    }
    size_t bytes;
    v = take(pool, sizeof *v, length, &bytes);
    if (!v) return NULL;
    v->content = (struct _N_VectorContent_Serial){ .length = (sunindextype)length,
        .data = (double *)(void *)((char *)v + round_up(sizeof *v)) };
    v->vector = (struct _generic_N_Vector){ .content = &v->content, .ops = &pool->vector_ops, .sunctx = pool->context };
    v->pool = pool, v->bytes = bytes, v->shelf = shelf;
    v->made = pool->vectors, pool->vectors = v;
    return &v->vector;
}

static N_Vector clone_vector(N_Vector like) {
    const nde_sun_vector *of = (nde_sun_vector *)like;
    N_Vector made = nde_sun_vector_new(of->pool, (size_t)NV_LENGTH_S(like));
    if (made) return made;
    of->pool->failed = true;
    return &of->pool->reserve[of->shelf]->vector;
}

static void destroy_vector(N_Vector vector) {
    nde_sun_vector *v = (nde_sun_vector *)vector;
    if (!v || v == v->pool->reserve[v->shelf]) return;
    v->next = v->pool->shelf[v->shelf], v->pool->shelf[v->shelf] = v;
}

/* ---- matrices ---------------------------------------------------------------------------------------------------- */

SUNMatrix nde_sun_matrix_new(nde_sun_pool *pool, size_t n, size_t lower, size_t upper) {
    const bool full = lower + upper + 1 >= n;
    const size_t ld = full ? n : 2*lower + upper + 1;
    size_t count, bytes;
    for (nde_sun_matrix *m = pool->matrices; m; m = m->next)
        if (m->free && m->n == n && m->lower == lower && m->upper == upper) {
            m->free = false;
            memset(m->a, 0, m->count*sizeof *m->a);
            return &m->matrix;
        }
    if (!nde_size_multiply(ld, n, &count)) return NULL;
    nde_sun_matrix *m = take(pool, sizeof *m, count, &bytes);
    if (!m) return NULL;
    *m = (nde_sun_matrix){ .matrix = { .ops = &pool->matrix_ops, .sunctx = pool->context },
                           .pool = pool, .next = pool->matrices, .n = n, .lower = lower, .upper = upper,
                           .stride = full ? n : ld - 1, .shift = full ? 0 : lower + upper, .count = count,
                           .a = (double *)(void *)((char *)m + round_up(sizeof *m)) };
    m->matrix.content = m;
    pool->matrices = m;
    return &m->matrix;
}

static SUNMatrix_ID matrix_id(SUNMatrix m) { return (void)m, SUNMATRIX_CUSTOM; }

static SUNMatrix clone_matrix(SUNMatrix like) {
    const nde_sun_matrix *m = nde_sun_matrix_of(like);
    SUNMatrix made = nde_sun_matrix_new(m->pool, m->n, m->lower, m->upper);
    if (made) return made;
    m->pool->failed = true;
    return like;
}

static void destroy_matrix(SUNMatrix m) {
    if (m) nde_sun_matrix_of(m)->free = true;
}

static int zero_matrix(SUNMatrix m) {
    memset(nde_sun_matrix_of(m)->a, 0, nde_sun_matrix_of(m)->count*sizeof(double));
    return 0;
}

static int copy_matrix(SUNMatrix from, SUNMatrix to) {
    memcpy(nde_sun_matrix_of(to)->a, nde_sun_matrix_of(from)->a, nde_sun_matrix_of(from)->count*sizeof(double));
    return 0;
}

/* A = c A + 1. */
static int scale_add_one(sunrealtype c, SUNMatrix matrix) {
    const nde_sun_matrix *m = nde_sun_matrix_of(matrix);
    for (size_t i = 0; i < m->count; i++) m->a[i] *= c;
    for (size_t i = 0; i < m->n; i++) *nde_sun_at(m, i, i) += 1;
    return 0;
}

/* B = c B + A. */
static int scale_add(sunrealtype c, SUNMatrix a, SUNMatrix b) {
    const nde_sun_matrix *to = nde_sun_matrix_of(b), *from = nde_sun_matrix_of(a);
    for (size_t i = 0; i < to->count; i++) to->a[i] = c*to->a[i] + from->a[i];
    return 0;
}

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

bool nde_sun_pool_make(nde_sun_pool *pool, SUNContext context) {
    pool->context = context;
    N_Vector serial = N_VNewEmpty_Serial(1, context);
    if (!serial) return false;
    (void)N_VEnableFusedOps_Serial(serial, 1);
    pool->vector_ops = *serial->ops;
    pool->vector_ops.nvclone = clone_vector;
    pool->vector_ops.nvcloneempty = NULL;
    pool->vector_ops.nvdestroy = destroy_vector;
    N_VDestroy(serial);
    pool->matrix_ops = (struct _generic_SUNMatrix_Ops){ .getid = matrix_id, .clone = clone_matrix, .destroy = destroy_matrix,
                                                        .zero = zero_matrix, .copy = copy_matrix, .scaleadd = scale_add,
                                                        .scaleaddi = scale_add_one };
    for (int i = 0; i < NDE_SUN_SHELVES; i++) {
        if (!pool->length[i]) continue;
        pool->reserve[i] = (nde_sun_vector *)nde_sun_vector_new(pool, pool->length[i]);
        if (!pool->reserve[i]) return false;
    }
    return true;
}

void nde_sun_pool_free(nde_sun_pool *pool) {
    while (pool->vectors) {
        nde_sun_vector *v = pool->vectors;
        pool->vectors = v->made;
        pool->memory->give(pool->memory->ctx, v, v->bytes);
    }
    while (pool->matrices) {
        nde_sun_matrix *m = pool->matrices;
        pool->matrices = m->next;
        pool->memory->give(pool->memory->ctx, m, round_up(sizeof *m) + m->count*sizeof *m->a);
    }
    for (int i = 0; i < NDE_SUN_SHELVES; i++) pool->shelf[i] = NULL;
}
