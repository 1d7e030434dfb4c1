/* SPDX-License-Identifier: MIT
 * tensors.c - any bytes as a safetensors file: it is loaded or refused; refused, nothing was written; what is asked for changes
 * neither what is found nor whether the file is sound. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "train/disk.h"

/* A tensor of a header. X: the one that is asked for. */
#define T(name, type, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"
#define X T("x", "F64", "2", "0,16")

static const char *const headers[] = {
    "{" X "}",
    "{\"__metadata__\":{\"format\":\"nde\",\"nde.crc32c\":\"00000000\"}," X ","
    T("w", "F32", "1,3", "16,28") "," T("n", "I64", "", "28,36") "}   ",
    "{" T("w", "F32", "1,3", "2,14") "," T("h", "BF16", "", "0,2") ",\n"
    "\"x\":{\"shape\":[2],\"data_offsets\":[14,30],\"dtype\":\"F64\"}," T("\\u00e9", "U8", "2,0,9", "14,14") "}",
    "{\"__metadata__\":{\"\\ud83d\\udc3a\":\"\xf0\x9f\x90\xba\\n\"}}",
    "{}",
};
static const size_t data_bytes[] = { 16, 36, 30, 0, 0 };

const char *const fuzz_tokens[] = {
    "\"", "\\", "{", "}", "[", "]", ",", ":", " ", "\n", "0", "1", "-1", "1.0", "1e1", "16", "28", "18446744073709551615",
    "18446744073709551616", "9223372036854775808", "4294967296", "\"x\"", "\"w\"", "\"shape\"", "\"dtype\"",
    "\"data_offsets\"", "\"F64\"", "\"F32\"", "\"U8\"", "\"BF16\"", "\"__metadata__\"", "\"nde.crc32c\"", "\"00000000\"",
    "\\u0078", "\\ud83d\\udc3a", "\\ud83d", "\\udc3a",
    "\xed\xa0\x80", "\xc3\xa9", "\xff", "\xef\xbb\xbf", "null", "{}", "[]",
    "\"__metadata__\":{\"nde.crc32c\":\"00000000\"},",
    T("y", "U8", "0", "0,0") ",", "," T("y", "F64", "1", "16,24"), NULL };

size_t fuzz_seed(size_t i, uint8_t *to) {
    if (i >= sizeof headers/sizeof *headers) return 0;
    const size_t length = strlen(headers[i]), size = 8 + length + data_bytes[i];
    memcpy(to + 8, headers[i], length);
    for (size_t k = 0; k < data_bytes[i]; k++) to[8 + length + k] = (uint8_t)(7*k);
    fuzz_mend(to, size);
    return size;
}

/* The header ends with the last brace; every checksum is the right one. */
void fuzz_mend(uint8_t *data, size_t size) {
    static const char key[] = "\"nde.crc32c\":\"";
    size_t length = 0;
    if (size < 9) return;
    for (size_t i = 8; i < size; i++)
        if (data[i] == '}') length = i - 7;
    while (8 + length < size && data[8 + length] == ' ') length++;
    for (size_t k = 0; k < 8; k++) data[k] = (uint8_t)((uint64_t)length >> 8*k);
    nde_crc32c crc;
    nde_crc32c_begin(&crc);
    nde_crc32c_add(&crc, data + 8 + length, size - 8 - length);
    char digits[9];
    snprintf(digits, sizeof digits, "%08lx", (unsigned long)nde_crc32c_value(&crc));
    for (size_t i = 8; i + sizeof key - 1 + 8 <= 8 + length; i++)
        if (memcmp(data + i, key, sizeof key - 1) == 0) memcpy(data + i + sizeof key - 1, digits, 8);
}

#define MUST(condition) ((condition) ? (void)0 : must(#condition, __LINE__))
static void must(const char *what, int line) {
    fprintf(stderr, "tests/fuzz/tensors.c:%d: not so: %s (%s)\n", line, what, nde_error());
    abort();
}

typedef struct values {
    double x[3]; /* the last one of each is nobody's */
    float w[4];
} values;
static const values blank = { { 42, 43, 44 }, { 45, 46, 47, 48 } };

static nde_status load(const char *path, values *v, size_t count) {
    const nde_tensor wanted[] = { { .name = "x", .type = NDE_F64, .rank = 1, .shape = { 2 }, .data = v->x },
                                  { .name = "w", .type = NDE_F32, .rank = 2, .shape = { 1, 3 }, .data = v->w } };
    *v = blank;
    const nde_status status = nde_tensors_load(path, wanted, count);
    MUST(status == NDE_OK || (status == NDE_E_IO && memcmp(v, &blank, sizeof blank) == 0));
    MUST(v->x[2] == blank.x[2] && v->w[3] == blank.w[3]);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int file = -1;
    static char path[64];
    if (file < 0) {
        file = memfd_create("fuzz", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    MUST(file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
    values none, one, two;
    const nde_status sound = load(path, &none, 0), x = load(path, &one, 1), both = load(path, &two, 2);
    MUST(x == NDE_E_IO || sound == NDE_OK);
    MUST(both == NDE_E_IO || x == NDE_OK);
    if (both == NDE_OK) MUST(memcmp(one.x, two.x, sizeof one.x) == 0);
    return 0;
}
