/* SPDX-License-Identifier: MIT
 * program.c - any bytes as the text of a program: it is refused with a line and a column, or it is a field that can be
 * evaluated and differentiated, and the same text makes the same field again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "field/parts.h"
#include "nde/program.h"

static const char *const texts[] = {
    "state x, y, z\nparam sigma, rho, beta\ndx = sigma*(y - x)\ndy = x*(rho - z) - y\ndz = x*y - beta*z\n",
    "state q[2], p[2]; param k;\nh = 0.5*dot(p, p) - k*sum(cos(q)) # energy\ng = grad(h, p); dq = g; dp = -grad(h, q)",
    "state x[3]; param w[9], b[3]; input u; own a[2]\ndx = tanh(matvec(w, x) + b)*a[0] + [u, t, a[1]^2]",
    "state x; out = [select(x < 1.5e-3, exp(x), log(2 + x^2)), maximum(x, -x), blend(x, 1, 2, 0.25), repeat(x/pi, 3)]",
    "state x[3]; v = independent(cross(x, x*t)); dx = jvp(softplus(v), v, x) + vjp(v, x, 1) - outer(x[0:1], x)[1:2]",
    "state x[4]; param w[8], b[2]; dx = scatter(dense(silu, w, b, gather(x, [3, 1, 1, 0])), [2, 0], 4) + softmax(x, 2)*convolve(b, x, 1)",
    "state x[4]; dx = attention(x, matmul(x, x, 2), matmul_transposed(x, x, 2), 2) - csr_matvec(4, [0, 2, 2, 3, 4], [1, 3, 0, 0], 2, x)",
    ("state x[6]; e = csr_columns(3, [0, 1, 3, 4], [2, 0, 1, 1], x) - csr_rows(3, [0, 1, 3, 4], [2, 0, 1, 1], x)\n"
     "dx = csr_sum(3, [0, 1, 3, 4], [2, 0, 1, 1], tanh(e)) + vjp(softmax(x*x, 3), x, x)"),
#ifdef NDE_TEST_FFTW
    "state x[8]; z = fft(x)*[0, 1, 2, 3, 0, -3, -2, -1]; dx = fft_inverse(gather(z, [0, 7, 6, 5, 4, 3, 2, 1]))*x - grad(dot(z, z), x)",
#endif
};
const char *const fuzz_tokens[] = {
    "state ", "param ", "input ", "own ", "out = ", "dx = ", "x", "y", "t", "pi", "0", "1", "2", "1e308", "1e-400", "0.5",
        ".", "67108864",
    "99999999999999999999", "+", "-", "*", "/", "^", "<", "<=", ">", ">=", "=", "(", ")", "[", "]", ",", ":", ";", "\n",
    "#", " ", "grad(x, x)", "jet(x, x, 1, 3)", "mixed(", "jvp(", "vjp(", "sum(", "dot(", "cross(", "matvec(",
    "matvec_transposed(", "outer(", "repeat(", "select(", "blend(",
    "gather(x, [", "scatter(x, [", "dense(tanh, ", "matmul(", "matmul_transposed(", "softmax(", "attention(x, x, x, ",
    "convolve(", "csr_matvec(", "csr_columns(", "csr_rows(", "csr_sum(", "fft(", "fft_inverse(", "[0, 1, 2]", "[2, 0]", ", ",
    "independent(", "tanh(", "gelu(", "pow(", "log1p(", "((((((((", "--------", "[[[[", "[0]", "[0:2]", "\xff", "\x80", NULL };

size_t fuzz_seed(size_t i, uint8_t *to) {
    if (i >= sizeof texts/sizeof *texts) return 0;
    memcpy(to, texts[i], strlen(texts[i]));
    return strlen(texts[i]);
}
void fuzz_mend(uint8_t *data, size_t size) { (void)data, (void)size; }

#define MUST(condition) ((condition) ? (void)0 : must(#condition, __LINE__))
static void must(const char *what, int line) {
    fprintf(stderr, "tests/fuzz/program.c:%d: not so: %s (%s)\n", line, what, nde_error());
    abort();
}

enum { LANES = 3, REALS = 1 << 14 };

/* What the field makes of numbers of small size; false: it is too large to be tried. */
static bool use(const nde_field *f, double *results) {
    static double y[REALS], u[REALS], p[REALS], q[REALS], dy[REALS], work[4*REALS], prepared[REALS], to_y[REALS], to_p[REALS];
    static const double t[LANES] = { 0.5, -1, 2 };
    const size_t most = REALS/LANES;
    if (f->dim > most || f->nu > most || f->np > REALS || f->nq > most || f->out > most || f->prepared > REALS) return false;
    if (f->work > 4*most || f->dim*f->out > 100000) return false;
    for (size_t i = 0; i < REALS; i++) y[i] = u[i] = p[i] = q[i] = 0.1*(double)(i%17) - 0.8, to_y[i] = to_p[i] = 0;
    if (f->prepare) MUST(f->prepare(f, p, prepared) == 0);
    const nde_site at = { .n = LANES, .ld = LANES, .t = t, .u = u, .p = p, .q = q, .prepared = prepared, .work = work };
    nde_cotangent to = { .y = to_y, .p = to_p };
    MUST(f->eval(f, &at, y, dy) == 0);
    MUST(f->vjp(f, &at, y, u, &to) == 0);
    for (size_t i = 0; i < 8; i++) results[i] = dy[i], results[8 + i] = to_y[i], results[16 + i] = to_p[i];
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char text[FUZZ_MOST + 1];
    if (size > FUZZ_MOST) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    nde_program *g, *again;
    const nde_status status = nde_program_parse(text, NULL, &g);
    if (status != NDE_OK) {
        MUST(g == NULL && (status == NDE_E_ARG || status == NDE_E_SIZE));
        MUST(strncmp(nde_error(), "line ", 5) == 0);
        return 0;
    }
    const nde_field f = nde_field_program(g);
    double one[24], two[24];
    MUST(f.eval && f.dim >= 1 && f.out >= 1);
    if (use(&f, one)) {
        MUST(nde_program_parse(text, NULL, &again) == NDE_OK);
        const nde_field same = nde_field_program(again);
        MUST(use(&same, two) && memcmp(one, two, sizeof one) == 0);
        nde_program_destroy(again);
    }
    nde_program_destroy(g);
    return 0;
}
