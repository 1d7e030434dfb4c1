/* SPDX-License-Identifier: MIT
 * npy.c - vectors as NumPy .npy files, version 1.0: written atomically, read as hostile input,
 * without an allocation.
 * Source: NumPy Enhancement Proposal 1, a simple file format for NumPy arrays (2007). */
#include "nde/train.h"

#include <stdio.h>
#include <string.h>

#include "train/disk.h"

enum { PREFIX = 10, HEADER = 4096, CHUNK = 4096 };

/* "<f8" or "<f4". */
static const char *type_name(void) { return sizeof(nde_real) == 8 ? "<f8" : "<f4"; }

/* ---- saving ---------------------------------------------------------------------------------- */

/* Prefix and header: a multiple of 64 bytes, at most HEADER. */
static size_t write_header(unsigned char *bytes, size_t count) {
    char dictionary[128];
    const int length = snprintf(dictionary, sizeof dictionary,
                                "{'descr': '%s', 'fortran_order': False, 'shape': (%zu,), }",
                                type_name(), count);
    const size_t whole = (PREFIX + (size_t)length + 1 + 63)/64*64, header = whole - PREFIX;
    memset(bytes, ' ', whole);
    memcpy(bytes, "\x93NUMPY\x01\x00", 8);
    bytes[8] = (unsigned char)(header & 0xff);
    bytes[9] = (unsigned char)(header >> 8);
    memcpy(bytes + PREFIX, dictionary, (size_t)length);
    bytes[whole - 1] = '\n';
    return whole;
}

static void write_values(nde_replacement *to, const nde_real *values, size_t count) {
    nde_real chunk[CHUNK/sizeof(nde_real)];
    for (size_t i = 0, some; i < count; i += some) {
        some = count - i < CHUNK/sizeof *values ? count - i : CHUNK/sizeof *values;
        nde_little_endian(chunk, values + i, some, sizeof *values);
        nde_replacement_write(to, chunk, some*sizeof *values);
    }
}

nde_status nde_npy_save(const char *file, const nde_real *values, size_t count) {
    if (!file || !*file)
        return nde_fail(NDE_E_ARG, "nde_npy_save: file is %s", file ? "empty" : "NULL");
    if (!values && count) return nde_fail(NDE_E_ARG, "nde_npy_save: values is NULL");
    unsigned char header[256];
    nde_replacement to;
    nde_replacement_begin(&to, file);
    nde_replacement_write(&to, header, write_header(header, count));
    write_values(&to, values, count);
    return nde_replacement_end(&to, "nde_npy_save");
}

/* ---- loading --------------------------------------------------------------------------------- */

/* Reading position in the header; at the end it stands on a 0. */
typedef struct text {
    const char *at;
} text;

static bool take(text *t, const char *token) {
    while (*t->at == ' ' || *t->at == '\t' || *t->at == '\n' || *t->at == '\r') t->at++;
    const size_t length = strlen(token);
    if (strncmp(t->at, token, length) != 0) return false;
    t->at += length;
    return true;
}

/* A quoted string without escapes, into at most `size` bytes. */
static bool take_string(text *t, char *to, size_t size) {
    const char quote = take(t, "'") ? '\'' : take(t, "\"") ? '"' : 0;
    const char *end = quote ? strchr(t->at, quote) : NULL;
    if (!end || (size_t)(end - t->at) >= size || memchr(t->at, '\\', (size_t)(end - t->at)))
        return false;
    memcpy(to, t->at, (size_t)(end - t->at));
    to[end - t->at] = 0;
    t->at = end + 1;
    return true;
}

/* "(count,)" */
static bool take_shape(text *t, size_t *count) {
    if (!take(t, "(") || !take(t, "") || *t->at < '0' || *t->at > '9') return false;
    for (*count = 0; *t->at >= '0' && *t->at <= '9'; t->at++)
        if (!nde_size_multiply(*count, 10, count) ||
            !nde_size_add(*count, (size_t)(*t->at - '0'), count))
            return false;
    return take(t, ",") && take(t, ")");
}

typedef struct description {
    char type[16];
    size_t count;
    bool has_type, has_order, has_shape;
} description;

/* One "key: value" of the dictionary; each key once. For a vector both orders are the same. */
static bool take_item(text *t, description *d) {
    char key[16];
    if (!take_string(t, key, sizeof key) || !take(t, ":")) return false;
    bool *seen = NULL, good = false;
    if (strcmp(key, "descr") == 0)
        seen = &d->has_type, good = take_string(t, d->type, sizeof d->type);
    else if (strcmp(key, "fortran_order") == 0)
        seen = &d->has_order, good = take(t, "False") || take(t, "True");
    else if (strcmp(key, "shape") == 0) seen = &d->has_shape, good = take_shape(t, &d->count);
    if (!good || *seen) return false;
    return *seen = true;
}

/* {'descr': '<f8', 'fortran_order': False, 'shape': (count,), } and nothing after it but blanks. */
static bool read_dictionary(const char *header, description *d) {
    text t = { header };
    *d = (description){ .count = 0 };
    if (!take(&t, "{")) return false;
    while (!take(&t, "}")) {
        if (!take_item(&t, d)) return false;
        if (take(&t, ",")) continue;
        if (!take(&t, "}")) return false;
        break;
    }
    take(&t, "");
    return !*t.at && d->has_type && d->has_order && d->has_shape;
}

/* Everything before the values; *begin is where they begin. */
static nde_status read_header(nde_input *in, const char *file, size_t count, size_t *begin) {
    unsigned char prefix[PREFIX];
    char header[HEADER + 1];
    if (!nde_input_read(in, prefix, PREFIX))
        return nde_fail(NDE_E_IO, "nde_npy_load: cannot read '%s': %s", file, nde_input_reason());
    if (memcmp(prefix, "\x93NUMPY", 6) != 0)
        return nde_fail(NDE_E_IO, "nde_npy_load: '%s' is not an .npy file", file);
    if (prefix[6] != 1 || prefix[7] != 0)
        return nde_fail(NDE_E_IO, "nde_npy_load: '%s' has version %d.%d, not 1.0", file, prefix[6],
                        prefix[7]);
    const size_t length = (size_t)prefix[8] | (size_t)prefix[9] << 8;
    if (length > HEADER)
        return nde_fail(NDE_E_IO, "nde_npy_load: '%s' has a header of %zu bytes", file, length);
    if (!nde_input_read(in, header, length))
        return nde_fail(NDE_E_IO, "nde_npy_load: cannot read '%s': %s", file, nde_input_reason());
    header[length] = 0;
    description d;
    if (strlen(header) != length || !read_dictionary(header, &d))
        return nde_fail(NDE_E_IO, "nde_npy_load: '%s' has a header that does not describe a vector",
                        file);
    if (strcmp(d.type, type_name()) != 0)
        return nde_fail(NDE_E_IO, "nde_npy_load: '%s' has type '%s', not '%s'", file, d.type,
                        type_name());
    if (d.count != count)
        return nde_fail(NDE_E_IO, "nde_npy_load: '%s' has %zu values, not %zu", file, d.count,
                        count);
    *begin = PREFIX + length;
    return NDE_OK;
}

/* The length of the file is checked before the first value is read. */
static nde_status load(nde_input *in, const char *file, nde_real *values, size_t count, size_t bytes) {
    size_t begin, whole;
    const nde_status bad = read_header(in, file, count, &begin);
    if (bad) return bad;
    if (!nde_size_add(begin, bytes, &whole) || in->size != (uint64_t)whole)
        return nde_fail(NDE_E_IO, "nde_npy_load: '%s' has %llu bytes, its header promises %zu",
                        file, (unsigned long long)in->size, whole);
    if (!nde_input_read(in, values, bytes))
        return nde_fail(NDE_E_IO, "nde_npy_load: cannot read '%s': %s", file, nde_input_reason());
    nde_little_endian(values, values, count, sizeof *values);
    return NDE_OK;
}

nde_status nde_npy_load(const char *file, nde_real *values, size_t count) {
    if (!file || !*file)
        return nde_fail(NDE_E_ARG, "nde_npy_load: file is %s", file ? "empty" : "NULL");
    if (!values && count) return nde_fail(NDE_E_ARG, "nde_npy_load: values is NULL");
    size_t bytes;
    if (!nde_size_multiply(count, sizeof *values, &bytes))
        return nde_fail(NDE_E_ARG, "nde_npy_load: count is %zu", count);
    nde_input in;
    nde_status status = nde_input_open(&in, "nde_npy_load", file);
    if (status) return status;
    status = load(&in, file, values, count, bytes);
    nde_input_close(&in);
    return status;
}
