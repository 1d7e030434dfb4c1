/* SPDX-License-Identifier: MIT
 * text.c - programs as text: a parser by descent, a function for each strength of an operator. Names stand in the program,
 * so that they can be found again. */
#include "program/graph.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of expressions within each other: each takes some frames of the stack. Of operations: derivatives within derivatives
 * multiply them. */
enum { DEPTH = 200, MOST_NODES = 1 << 16 };

typedef struct parser {
    nde_program *g;
    const char *text, *at; /* the next character that is not blank */
    const char *token;     /* where what is spoken of begins */
    int depth, brackets;   /* within brackets lines do not end statements */
    uint32_t out;          /* of `out = ...`; 0: none */
} parser;

static const nde_var none = { 0 };

/* ---- failures ---- */

/* The first one, with the place of the token, in front of what the program says already. */
static nde_var fail(parser *p, const char *format, const char *word, size_t length) {
    nde_program *g = p->g;
    int line = 1, column = 1;
    char what[160];
    if (p->depth < 0) return none; /* it has been said */
    p->depth = -1;
    for (const char *c = p->text; c < p->token; c++) {
        column = *c == '\n' ? 1 : column + 1;
        line += *c == '\n';
    }
    const int shown = length > 40 ? 40 : (int)length;
    if (g->status == NDE_OK) {
        int n = 0;
        for (const char *c = format; *c && n < 110; c++) {
            if (*c != '@') what[n++] = *c;
            for (int i = 0; *c == '@' && i < shown; i++) what[n++] = word[i] >= ' ' && word[i] < 127 ? word[i] : '?';
        }
        what[n] = 0;
        return nde_program_fail(g, NDE_E_ARG, "line %d, column %d: %s", line, column, what);
    }
    if (g->status == NDE_E_NOMEM) return none;
    memcpy(what, g->text, sizeof what - 1);
    what[sizeof what - 1] = 0;
    const nde_status status = g->status;
    g->status = NDE_OK;
    return nde_program_fail(g, status, "line %d, column %d: %s", line, column, what);
}
static nde_var fail_here(parser *p, const char *format) {
    p->token = p->at;
    return fail(p, format, p->at, *p->at != 0);
}

/* What a call has made, which may have failed. */
static nde_var made(parser *p, nde_var x) { return x.id ? x : fail(p, "", "", 0); }

/* ---- characters ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

static void skip(parser *p) {
    for (;; p->at++) {
        if (*p->at == '#')
            while (*p->at && *p->at != '\n') p->at++;
        if (*p->at != ' ' && *p->at != '\t' && *p->at != '\r' && !(*p->at == '\n' && p->brackets > 0)) return;
    }
}

static bool take(parser *p, char c) {
    if (*p->at != c) return false;
    p->brackets += (c == '(' || c == '[') - (c == ')' || c == ']');
    p->at++;
    skip(p);
    return true;
}
static bool expect(parser *p, char c) {
    char what[] = "expected ' ', not '@'";
    what[10] = c;
    if (take(p, c)) return true;
    if (*p->at) fail_here(p, what);
    else what[12] = 0, fail_here(p, what);
    return false;
}

/* A word; its length, 0: there is none. */
static size_t take_word(parser *p, const char **word) {
    *word = p->token = p->at;
    if (!is_letter(*p->at)) return 0;
    while (is_letter(*p->at) || is_digit(*p->at)) p->at++;
    const size_t length = (size_t)(p->at - *word);
    skip(p);
    return length;
}

static bool is_word(const char *word, size_t length, const char *text) {
    return strlen(text) == length && !memcmp(word, text, length);
}

static bool take_size(parser *p, size_t *value) {
    p->token = p->at;
    *value = 0;
    if (!is_digit(*p->at)) return fail_here(p, "expected a whole number"), false;
    for (; is_digit(*p->at); p->at++) {
        *value = 10**value + (size_t)(*p->at - '0');
        if (*value > 1 << 26) return fail(p, "the number is too large", "", 0), false;
    }
    skip(p);
    return true;
}

/* As C has it, with a point whatever the locale; at least one digit. */
static bool take_number(parser *p, double *value) {
    char number[80], *end;
    size_t n = 0, digits = 0;
    const char *c = p->token = p->at;
    for (; is_digit(*c) || *c == '.'; c++) digits += is_digit(*c);
    if (digits && (*c == 'e' || *c == 'E')) {
        const char *e = c + 1 + (c[1] == '+' || c[1] == '-');
        if (is_digit(*e)) c = e;
        while (is_digit(*c)) c++;
    }
    const char *point = localeconv()->decimal_point;
    for (const char *from = p->at; from < c && n < sizeof number - 8; from++) {
        if (*from != '.') number[n++] = *from;
        else for (const char *d = point; *d && n < sizeof number - 8; d++) number[n++] = *d;
    }
    number[n] = 0;
    *value = strtod(number, &end);
    if (digits == 0 || *end || n >= sizeof number - 8 || !isfinite(*value))
        return fail(p, "'@' is no number", p->at, (size_t)(c - p->at)), false;
    p->at = c;
    skip(p);
    return true;
}

/* ---- names ---- */

static nde_name *names(const nde_program *g) { return g->names.data; }

static nde_name *find(const nde_program *g, const char *word, size_t length) {
    for (uint32_t i = 0; i < g->named; i++)
        if (names(g)[i].length == length && memcmp((char *)g->letters.data + names(g)[i].at, word, length) == 0)
            return &names(g)[i];
    return NULL;
}

static nde_name *add_name(parser *p, const char *word, size_t length, nde_name name) {
    nde_program *g = p->g;
    if (find(g, word, length)) return fail(p, "'@' is there already", word, length), NULL;
    if (!nde_grow(g, &g->names, (size_t)g->named + 1, sizeof name) || !nde_grow(g, &g->letters, g->lettered + length, 1))
        return NULL;
    memcpy((char *)g->letters.data + g->lettered, word, length);
    name.at = g->lettered, name.length = (uint32_t)length;
    g->lettered += (uint32_t)length;
    names(g)[g->named] = name;
    return &names(g)[g->named++];
}

/* ---- expressions ---- */

static nde_var expression(parser *p);

typedef nde_var unary(nde_program *g, nde_var x);
typedef nde_var binary(nde_program *g, nde_var a, nde_var b);
static const struct { const char *name; unary *call; } unaries[] = {
    { "sqrt", nde_sqrt }, { "square", nde_square }, { "exp", nde_exp }, { "expm1", nde_expm1 }, { "log", nde_log },
    { "log1p", nde_log1p }, { "sin", nde_sin }, { "cos", nde_cos }, { "tan", nde_tan }, { "sinh", nde_sinh },
    { "cosh", nde_cosh }, { "tanh", nde_tanh }, { "erf", nde_erf }, { "abs", nde_abs }, { "sign", nde_sign },
    { "sum", nde_sum }, { "independent", nde_independent }, { "fft", nde_fft }, { "fft_inverse", nde_fft_inverse },
};
static const struct { const char *name; binary *call; } binaries[] = {
    { "pow", nde_pow }, { "maximum", nde_maximum }, { "minimum", nde_minimum }, { "less", nde_less },
    { "less_equal", nde_less_equal }, { "dot", nde_dot }, { "cross", nde_cross }, { "matvec", nde_matvec },
    { "matvec_transposed", nde_matvec_transposed }, { "outer", nde_outer }, { "divergence", nde_divergence_of },
};
enum { UNARIES = sizeof unaries/sizeof *unaries, BINARIES = sizeof binaries/sizeof *binaries };

/* What stands between the parentheses of a call, kind by kind: x a value, n a whole number, r a number, s an activation's
 * name, l a list of whole numbers. */
typedef struct arguments {
    nde_var x[5];
    size_t n, count[2];
    double r;
    int activation;
    nde_growing list[2];
} arguments;

static bool take_list(parser *p, arguments *to, size_t which) {
    size_t *n = &to->count[which];
    if (!expect(p, '[')) return false;
    do {
        if (!nde_grow(p->g, &to->list[which], *n + 1, sizeof(size_t)) || !take_size(p, (size_t *)to->list[which].data + *n))
            return false;
        ++*n;
    } while (take(p, ','));
    return expect(p, ']');
}

static bool take_activation(parser *p, int *activation) {
    const char *word;
    char name[32] = { 0 };
    const size_t length = take_word(p, &word);
    if (length < sizeof name) memcpy(name, word, length);
    *activation = nde_activation_find(name);
    return *activation || (fail(p, "'@' is no activation", word, length), false);
}

/* Up to the closing parenthesis; what it has taken is given back by release(). */
static bool take_arguments(parser *p, const char *kinds, arguments *to) {
    const char *start = p->token;
    size_t x = 0, l = 0;
    *to = (arguments){ 0 };
    if (!expect(p, '(')) return false;
    for (const char *kind = kinds; *kind; kind++) {
        p->token = start;
        if (kind > kinds && *p->at == ')') return fail(p, "too few arguments", "", 0), false;
        if (kind > kinds && !expect(p, ',')) return false;
        if (*kind == 'x' && !(to->x[x++] = expression(p)).id) return false;
        if (*kind == 'n' && !take_size(p, &to->n)) return false;
        if (*kind == 'r' && !take_number(p, &to->r)) return false;
        if (*kind == 's' && !take_activation(p, &to->activation)) return false;
        if (*kind == 'l' && !take_list(p, to, l++)) return false;
    }
    if (*p->at == ',') return fail_here(p, "too many arguments"), false;
    if (!expect(p, ')')) return false;
    p->token = start;
    return true;
}
static void release(parser *p, arguments *v) {
    for (size_t i = 0; i < 2; i++) nde_growing_free(p->g, &v->list[i]);
}

/* Functions of more than values. */
static nde_var call_select(parser *p, const arguments *v) { return nde_select(p->g, v->x[0], v->x[1], v->x[2]); }
static nde_var call_grad(parser *p, const arguments *v) { return nde_vjp_of(p->g, v->x[0], v->x[1], nde_constant(p->g, 1)); }
static nde_var call_vjp(parser *p, const arguments *v) { return nde_vjp_of(p->g, v->x[0], v->x[1], v->x[2]); }
static nde_var call_jvp(parser *p, const arguments *v) { return nde_jvp_of(p->g, v->x[0], v->x[1], v->x[2]); }
static nde_var call_divergence_by(parser *p, const arguments *v) { return nde_divergence_by(p->g, v->x[0], v->x[1], v->x[2]); }
static nde_var call_mixed(parser *p, const arguments *v) {
    return nde_mixed_of(p->g, v->x[0], (nde_var[]){ v->x[1], v->x[3] }, (nde_var[]){ v->x[2], v->x[4] }, 2);
}
static nde_var call_jet(parser *p, const arguments *v) {
    nde_var jet[9];
    nde_jet_of(p->g, v->x[0], v->x[1], v->x[2], v->n, v->n < sizeof jet/sizeof *jet ? jet : NULL);
    return p->g->status == NDE_OK ? jet[v->n] : none;
}
static nde_var call_repeat(parser *p, const arguments *v) { return nde_repeat(p->g, v->x[0], v->n); }
static nde_var call_blend(parser *p, const arguments *v) { return nde_blend(p->g, v->x[0], v->x[1], v->x[2], v->r); }
static nde_var call_matmul(parser *p, const arguments *v) { return nde_matmul(p->g, v->x[0], v->x[1], v->n); }
static nde_var call_matmul_transposed(parser *p, const arguments *v) {
    return nde_matmul_transposed(p->g, v->x[0], v->x[1], v->n);
}
static nde_var call_softmax(parser *p, const arguments *v) { return nde_softmax(p->g, v->x[0], v->n); }
static nde_var call_attention(parser *p, const arguments *v) { return nde_attention(p->g, v->x[0], v->x[1], v->x[2], v->n); }
static nde_var call_convolve(parser *p, const arguments *v) { return nde_convolve(p->g, v->x[0], v->x[1], v->n); }
static nde_var call_dense(parser *p, const arguments *v) {
    return nde_activate(p->g, v->activation, nde_add(p->g, nde_matvec(p->g, v->x[0], v->x[2]), v->x[1]));
}
static nde_var call_gather(parser *p, const arguments *v) { return nde_gather(p->g, v->x[0], v->list[0].data, v->count[0]); }
static nde_var call_scatter(parser *p, const arguments *v) {
    if (v->count[0] != nde_var_rows(p->g, v->x[0])) return fail(p, "the value has not as many rows as the list", "", 0);
    return nde_scatter(p->g, v->x[0], v->list[0].data, v->n);
}

/* n columns, lists of starts and of columns. false: they do not belong together. */
static bool matrix_of(parser *p, const arguments *v, nde_csr *a) {
    const size_t *start = v->list[0].data, rows = v->count[0] - 1;
    *a = NDE_INIT(nde_csr, .rows = rows, .columns = v->n, .start = start, .column = v->list[1].data);
    return start[rows] == v->count[1] || (fail(p, "the last start is not the number of entries", "", 0), false);
}
static nde_var call_csr_matvec(parser *p, const arguments *v) {
    nde_csr a;
    return matrix_of(p, v, &a) ? nde_csr_matvec(p->g, &a, v->x[0], v->x[1]) : none;
}
static nde_var call_csr_columns(parser *p, const arguments *v) {
    nde_csr a;
    return matrix_of(p, v, &a) ? nde_csr_columns(p->g, &a, v->x[0]) : none;
}
static nde_var call_csr_rows(parser *p, const arguments *v) {
    nde_csr a;
    return matrix_of(p, v, &a) ? nde_csr_rows(p->g, &a, v->x[0]) : none;
}
static nde_var call_csr_sum(parser *p, const arguments *v) {
    nde_csr a;
    return matrix_of(p, v, &a) ? nde_csr_sum(p->g, &a, v->x[0]) : none;
}

static const struct { const char *name, *kinds; nde_var (*call)(parser *p, const arguments *v); } others[] = {
    { "select", "xxx", call_select }, { "grad", "xx", call_grad }, { "vjp", "xxx", call_vjp }, { "jvp", "xxx", call_jvp },
    { "divergence_by", "xxx", call_divergence_by }, { "mixed", "xxxxx", call_mixed }, { "jet", "xxxn", call_jet },
    { "repeat", "xn", call_repeat }, { "blend", "xxxr", call_blend }, { "gather", "xl", call_gather },
    { "scatter", "xln", call_scatter }, { "dense", "sxxx", call_dense }, { "matmul", "xxn", call_matmul },
    { "matmul_transposed", "xxn", call_matmul_transposed }, { "softmax", "xn", call_softmax },
    { "attention", "xxxn", call_attention }, { "convolve", "xxn", call_convolve },
    { "csr_matvec", "nllxx", call_csr_matvec }, { "csr_columns", "nllx", call_csr_columns },
    { "csr_rows", "nllx", call_csr_rows }, { "csr_sum", "nllx", call_csr_sum },
};
enum { OTHERS = sizeof others/sizeof *others };

/* All that the table says of a call, from its arguments to its value. */
static nde_var other_call(parser *p, size_t which) {
    arguments v;
    const bool taken = take_arguments(p, others[which].kinds, &v);
    const nde_var x = taken ? others[which].call(p, &v) : none;
    release(p, &v);
    return taken ? made(p, x) : none;
}

static nde_var call(parser *p, const char *word, size_t length) {
    nde_program *g = p->g;
    arguments v;
    char name[32] = { 0 };
    for (size_t i = 0; i < UNARIES; i++)
        if (is_word(word, length, unaries[i].name))
            return take_arguments(p, "x", &v) ? made(p, unaries[i].call(g, v.x[0])) : none;
    for (size_t i = 0; i < BINARIES; i++)
        if (is_word(word, length, binaries[i].name))
            return take_arguments(p, "xx", &v) ? made(p, binaries[i].call(g, v.x[0], v.x[1])) : none;
    for (size_t i = 0; i < OTHERS; i++)
        if (is_word(word, length, others[i].name)) return other_call(p, i);
    if (length < sizeof name) memcpy(name, word, length);
    const int activation = nde_activation_find(name);
    if (activation) return take_arguments(p, "x", &v) ? made(p, nde_activate(g, activation, v.x[0])) : none;
    return fail(p, "no function is called '@'", word, length);
}

static nde_var name_or_call(parser *p) {
    const char *word;
    const size_t length = take_word(p, &word);
    if (*p->at == '(') return call(p, word, length);
    const nde_name *known = find(p->g, word, length);
    if (known && known->kind != 'd') return (nde_var){ known->id };
    if (is_word(word, length, "t")) return made(p, nde_t(p->g));
    if (is_word(word, length, "pi")) return made(p, nde_constant(p->g, 3.14159265358979323846));
    return fail(p, "nothing is called '@'", word, length);
}

/* [a, b, ...] */
static nde_var vector(parser *p) {
    nde_program *g = p->g;
    const char *start = p->at;
    nde_growing parts = { 0 };
    size_t n = 0;
    nde_var x = none;
    if (!expect(p, '[')) return none;
    do {
        x = expression(p);
        if (!x.id || !nde_grow(g, &parts, n + 1, sizeof x)) break;
        ((nde_var *)parts.data)[n++] = x;
    } while (take(p, ','));
    if (x.id && g->status == NDE_OK && expect(p, ']')) {
        p->token = start;
        x = made(p, nde_concat(g, parts.data, n));
    } else {
        x = none;
    }
    nde_growing_free(g, &parts);
    return x;
}

static nde_var primary(parser *p) {
    double value;
    if (is_letter(*p->at)) return name_or_call(p);
    if (is_digit(*p->at) || *p->at == '.') return take_number(p, &value) ? made(p, nde_constant(p->g, value)) : none;
    if (*p->at == '[') return vector(p);
    if (!take(p, '(')) return fail_here(p, *p->at ? "expected a value, not '@'" : "expected a value");
    const nde_var x = expression(p);
    return x.id && expect(p, ')') ? x : none;
}

/* x[2], x[0:2] */
static nde_var indexed(parser *p) {
    nde_var x = primary(p);
    while (x.id && *p->at == '[') {
        const char *start = p->at;
        size_t first, end;
        if (!take(p, '[') || !take_size(p, &first)) return none;
        end = first + 1;
        if (take(p, ':') && !take_size(p, &end)) return none;
        if (!expect(p, ']')) return none;
        p->token = start;
        x = end > first ? made(p, nde_cut(p->g, x, first, end - first)) : fail(p, "no rows", "", 0);
    }
    return x;
}

static nde_var negated(parser *p);

static nde_var power(parser *p) {
    const nde_var x = indexed(p);
    const char *start = p->at;
    if (!x.id || !take(p, '^')) return x;
    const nde_var y = negated(p);
    p->token = start;
    return y.id ? made(p, nde_pow(p->g, x, y)) : none;
}

/* The way down of all that nests. */
static nde_var negated(parser *p) {
    if (p->depth < 0) return none;
    if (++p->depth > DEPTH) return fail_here(p, "too many expressions within each other");
    const char *start = p->at;
    nde_var x;
    if (take(p, '-')) {
        x = negated(p);
        p->token = start;
        if (x.id) x = made(p, nde_neg(p->g, x));
    } else {
        x = power(p);
    }
    if (p->depth > 0) p->depth--;
    return x;
}

/* Operators of one strength, from the left. */
static nde_var product(parser *p) {
    nde_var x = negated(p);
    while (x.id && (*p->at == '*' || *p->at == '/')) {
        const char *start = p->at, op = *start;
        take(p, op);
        const nde_var y = negated(p);
        p->token = start;
        x = y.id ? made(p, op == '*' ? nde_mul(p->g, x, y) : nde_div(p->g, x, y)) : none;
    }
    return x;
}
static nde_var sum(parser *p) {
    nde_var x = product(p);
    while (x.id && (*p->at == '+' || *p->at == '-')) {
        const char *start = p->at, op = *start;
        take(p, op);
        const nde_var y = product(p);
        p->token = start;
        x = y.id ? made(p, op == '+' ? nde_add(p->g, x, y) : nde_sub(p->g, x, y)) : none;
    }
    return x;
}
static nde_var expression(parser *p) {
    nde_var x = sum(p);
    while (x.id && (*p->at == '<' || *p->at == '>')) {
        const char *start = p->at, op = *start;
        take(p, op);
        const bool equal = take(p, '=');
        const nde_var y = sum(p), a = op == '<' ? x : y, b = op == '<' ? y : x;
        p->token = start;
        x = y.id ? made(p, equal ? nde_less_equal(p->g, a, b) : nde_less(p->g, a, b)) : none;
    }
    return x;
}

/* ---- statements ---- */

/* Is it a state's derivative? */
static nde_name *state_of(const nde_program *g, const char *word, size_t length) {
    nde_name *state = word[0] == 'd' ? find(g, word + 1, length - 1) : NULL;
    return state && state->kind == 'y' ? state : NULL;
}

static bool declare(parser *p, int kind) {
    nde_program *g = p->g;
    size_t *const all = kind == 'y' ? &g->shape.dim : kind == 'u' ? &g->shape.nu : kind == 'p' ? &g->shape.np : &g->shape.nq;
    do {
        const char *word;
        const size_t length = take_word(p, &word);
        size_t rows = 1;
        if (length == 0) return fail_here(p, "expected a name"), false;
        if (take(p, '[') && (!take_size(p, &rows) || !expect(p, ']'))) return false;
        p->token = word;
        if (rows == 0 || *all + rows > 1 << 26) return fail(p, "'@' has no rows, or too many", word, length), false;
        const size_t first = *all;
        *all += rows;
        const nde_var x = made(p, kind == 'y' ? nde_y(g, first, rows) : kind == 'u' ? nde_u(g, first, rows) :
                                  kind == 'p' ? nde_p(g, first, rows) : nde_q(g, first, rows));
        if (!x.id || !add_name(p, word, length, (nde_name){ .id = x.id, .first = (uint32_t)first, .rows = (uint32_t)rows,
                                                            .kind = kind }))
            return false;
    } while (take(p, ','));
    return true;
}

static bool assign(parser *p, const char *word, size_t length) {
    nde_program *g = p->g;
    if (!expect(p, '=')) return false;
    const nde_var x = expression(p);
    if (!x.id) return false;
    p->token = word;
    if (is_word(word, length, "out")) {
        if (p->out) return fail(p, "'@' is there already", word, length), false;
        p->out = x.id;
        return true;
    }
    const nde_name *state = state_of(g, word, length);
    nde_name name = { .id = x.id, .rows = (uint32_t)nde_var_rows(g, x), .kind = state ? 'd' : 0 };
    if (state && name.rows != state->rows && name.rows != 1)
        return fail(p, "'@' has not the rows of its state", word, length), false;
    if (state) name.id = nde_widen(g, x, state->rows).id;
    return name.id && add_name(p, word, length, name);
}

static bool statement(parser *p) {
    static const struct { const char *name; int kind; } kinds[] = { { "state", 'y' }, { "input", 'u' }, { "param", 'p' },
                                                                    { "own", 'q' } };
    const char *word;
    const size_t length = take_word(p, &word);
    if (length == 0) return fail_here(p, "expected a statement, not '@'"), false;
    for (size_t i = 0; i < sizeof kinds/sizeof *kinds; i++)
        if (is_word(word, length, kinds[i].name) && *p->at != '=') return declare(p, kinds[i].kind);
    return assign(p, word, length);
}

static bool statements(parser *p) {
    for (skip(p); *p->at; skip(p)) {
        if (*p->at == ';' || *p->at == '\n') {
            p->at++;
            continue;
        }
        if (!statement(p)) return false;
        if (*p->at && *p->at != ';' && *p->at != '\n') return fail_here(p, "expected the end of the statement, not '@'"), false;
    }
    return true;
}

/* `out`, or the derivatives of all states. */
static nde_var value_of(parser *p) {
    nde_program *g = p->g;
    nde_growing parts = { 0 };
    size_t n = 0;
    p->token = p->at;
    if (g->shape.dim == 0) return fail(p, "no state is declared", "", 0);
    for (uint32_t i = 0; i < g->named && g->status == NDE_OK; i++) {
        const nde_name state = names(g)[i];
        if (p->out && state.kind == 'd') return fail(p, "both 'out' and derivatives are given", "", 0);
        if (p->out || state.kind != 'y') continue;
        const char *name = (char *)g->letters.data + state.at;
        uint32_t id = 0;
        for (uint32_t k = 0; k < g->named; k++) {
            const nde_name d = names(g)[k];
            if (d.kind == 'd' && d.length == state.length + 1 && !memcmp((char *)g->letters.data + d.at + 1, name,
                                                                         state.length)) id = d.id;
        }
        if (!id) fail(p, "the derivative of '@' is not given", name, state.length);
        else if (nde_grow(g, &parts, n + 1, sizeof(nde_var))) ((nde_var *)parts.data)[n++].id = id;
    }
    nde_var x = { p->out };
    if (g->status == NDE_OK && !p->out) x = made(p, nde_concat(g, parts.data, n));
    nde_growing_free(g, &parts);
    return x;
}

nde_status nde_program_parse(const char *text, const nde_allocator *allocator, nde_program **program) {
    const nde_program_shape shape = NDE_INIT(nde_program_shape, .dim = 1, .allocator = allocator);
    if (program) *program = NULL;
    if (!text || !program) return nde_fail(NDE_E_ARG, "nde_program_parse: %s is NULL", text ? "program" : "text");
    nde_program *g;
    nde_status status = nde_program_create(&shape, &g);
    if (status != NDE_OK) return status;
    parser p = { .g = g, .text = text, .at = text, .token = text };
    g->shape.dim = 0, g->most = MOST_NODES;
    if (statements(&p) && g->status == NDE_OK && nde_program_finish(g, value_of(&p)) != NDE_OK) made(&p, none);
    if (g->status != NDE_OK) status = g->status;
    if (status != NDE_OK) {
        status = nde_fail(status, "%s", g->text);
        nde_program_destroy(g);
        return status;
    }
    *program = g;
    return NDE_OK;
}

nde_status nde_program_find(const nde_program *g, const char *name, int *kind, size_t *first, size_t *rows) {
    if (!g || !name) return nde_fail(NDE_E_ARG, "nde_program_find: %s is NULL", g ? "name" : "program");
    const nde_name *found = find(g, name, strlen(name));
    if (!found || !strchr("yupq", found->kind) || found->kind == 0)
        return nde_fail(NDE_E_ARG, "nde_program_find: '%.40s' is not declared", name);
    if (kind) *kind = found->kind;
    if (first) *first = found->first;
    if (rows) *rows = found->rows;
    return NDE_OK;
}
