/* SPDX-License-Identifier: MIT
 * tensors.c - safetensors files: there and back; damaged in every way; made by others; disks that are full. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "train/disk.h"
#include "train/files.h"

enum { MOST = 1 << 16 };

static int make_folder(void **state) {
    (void)state;
    return make_folder_for("state.safetensors");
}

/* A file of this header, padded by `padding` blanks, and `data` bytes 0, 1, 2 ... */
static void spill_header(const char *header, size_t padding, size_t data) {
    static unsigned char bytes[MOST];
    const size_t text = strlen(header), length = text + padding;
    assert_true(8 + length + data < MOST);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)length >> 8*i);
    memcpy(bytes + 8, header, text);
    memset(bytes + 8 + text, ' ', padding);
    for (size_t i = 0; i < data; i++) bytes[8 + length + i] = (unsigned char)i;
    spill(bytes, 8 + length + data);
}

static nde_tensor tensor(const char *name, int32_t type, int32_t rank, const size_t *shape, void *data) {
    nde_tensor t = { .name = name, .type = type, .rank = rank, .data = data };
    for (int i = 0; i < rank; i++) t.shape[i] = shape[i];
    return t;
}

/* ---- there and back -------------------------------------------------------------------------------------------------- */

static void every_type_and_rank(void **state) {
    (void)state;
    static const size_t shapes[][8] = { { 0 }, { 5 }, { 2, 3 }, { 1, 1, 4 }, { 2, 2, 2, 2 }, { 1, 2, 1, 2, 1 },
                                        { 2, 1, 2, 1, 2, 1 }, { 1, 1, 1, 1, 1, 1, 7 }, { 2, 2, 2, 1, 1, 2, 2, 3 } };
    enum { BYTES = 8*96 };
    static unsigned char values[36][BYTES], back[36][BYTES + 1];
    char names[36][64];
    nde_tensor to[36], from[36];
    uint64_t random = 1;
    for (int i = 0; i < 36; i++) {
        for (size_t k = 0; k < BYTES; k++)
            values[i][k] = (unsigned char)((random = random*UINT64_C(6364136223846793005) + 1) >> 56);
        snprintf(names[i], sizeof names[i], "layer.%d/\"weight\" \\%c\xc3\xa9 \xf0\x9f\x90\xba", i, 1 + i);
        to[i] = tensor(names[i], i%4 + 1, i/4, shapes[i/4], values[i]);
    }
    for (int i = 0; i < 36; i++) from[i] = to[35 - i], from[i].data = back[35 - i];
    for (size_t count = 0; count <= 36; count++) {
        memset(back, 0x5a, sizeof back);
        assert_int_equal(nde_tensors_save(path, to, count), NDE_OK);
        if (nde_tensors_load(path, from + 36 - count, count)) fail_msg("%s", nde_error());
        assert_int_equal(files(), 1);
        for (size_t i = 0; i < 36; i++) {
            size_t bytes = to[i].type == NDE_U8 ? 1 : to[i].type == NDE_F32 ? 4 : 8;
            for (int k = 0; k < to[i].rank; k++) bytes *= to[i].shape[k];
            if (i >= count) bytes = 0;
            assert_memory_equal(back[i], values[i], bytes);
            for (size_t k = bytes; k < sizeof back[i]; k++) assert_int_equal(back[i][k], 0x5a);
        }
    }
    assert_int_equal(nde_tensors_load(path, NULL, 0), NDE_OK); /* only looks whether it is whole */
}

/* The file as it is promised: its bytes, once for ever. */
static void the_bytes(void **state) {
    (void)state;
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"nde\",\"nde.crc32c\":\"cafa4b29\"},"
        "\"b\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"step\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[8,16]},"
        "\"q\\\"\\\\\\u0001\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[16,16]},"
        "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[16,19]}} ";
    static const unsigned char data[] = { 0, 0, 0, 0, 0, 0, 0xf8, 0xbf, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                          1, 2, 3 };
    unsigned char a[] = { 1, 2, 3 }, bytes[MOST];
    double b = -1.5;
    int64_t step = -2;
    const nde_tensor all[] = { tensor("a", NDE_U8, 1, (size_t[]){ 3 }, a), tensor("b", NDE_F64, 0, NULL, &b),
                               tensor("q\"\\\x01", NDE_F32, 2, (size_t[]){ 0, 3 }, NULL),
                               tensor("step", NDE_I64, 1, (size_t[]){ 1 }, &step) };
    assert_int_equal(nde_tensors_save(path, all, 4), NDE_OK);
    const size_t size = slurp(bytes, MOST), length = sizeof header - 1;
    assert_int_equal(length%8, 0);
    assert_int_equal(size, 8 + length + sizeof data);
    assert_int_equal(bytes[0] | bytes[1] << 8, length);
    assert_memory_equal(bytes + 2, "\0\0\0\0\0", 6);
    assert_memory_equal(bytes + 8, header, length);
    assert_memory_equal(bytes + 8 + length, data, sizeof data);
}

/* RFC 3720, B.4; and pieces of any size give what one piece gives. */
static void checksum(void **state) {
    (void)state;
    unsigned char bytes[64];
    nde_crc32c crc;
    const struct { int first, slope; size_t count; uint32_t value; } known[] = {
        { 0, 0, 32, 0x8a9136aau }, { 0xff, 0, 32, 0x62a8ab43u }, { 0, 1, 32, 0x46dd794eu }, { 31, -1, 32, 0x113fdb5cu },
        { 0, 0, 0, 0 } };
    for (size_t k = 0; k < sizeof known/sizeof *known; k++) {
        for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)(known[k].first + i*known[k].slope);
        nde_crc32c_begin(&crc);
        nde_crc32c_add(&crc, bytes, known[k].count);
        assert_int_equal(nde_crc32c_value(&crc), known[k].value);
        for (size_t cut = 0; cut <= known[k].count; cut++) {
            nde_crc32c_begin(&crc);
            nde_crc32c_add(&crc, bytes, cut);
            nde_crc32c_add(&crc, bytes + cut, known[k].count - cut);
            assert_int_equal(nde_crc32c_value(&crc), known[k].value);
        }
    }
}

static void more_in_the_file(void **state) {
    (void)state;
    double a[3] = { 1, 2, (double)NAN }, b = 7, back[4] = { 9, 9, 9, 9 };
    const nde_tensor all[] = { tensor("a", NDE_F64, 1, (size_t[]){ 3 }, a), tensor("b", NDE_F64, 0, NULL, &b) };
    const nde_tensor one = tensor("a", NDE_F64, 1, (size_t[]){ 3 }, back);
    assert_int_equal(nde_tensors_save(path, all, 2), NDE_OK);
    assert_int_equal(nde_tensors_load(path, &one, 1), NDE_OK);
    assert_memory_equal(back, a, sizeof a);
    assert_true(back[3] == 9);
}

/* A header of many tensors: longer than any window. */
static void many(void **state) {
    (void)state;
    enum { COUNT = 3000 };
    static char names[COUNT][262];
    static nde_tensor all[COUNT];
    static int64_t values[COUNT], back[COUNT];
    for (int i = 0; i < COUNT; i++) {
        memset(names[i], 'a' + i%26, (size_t)(i%250));
        snprintf(names[i] + i%250, 12, "%d", i);
        values[i] = i;
        all[i] = tensor(names[i], NDE_I64, 0, NULL, &values[i]);
    }
    assert_int_equal(nde_tensors_save(path, all, COUNT), NDE_OK);
    for (int i = 0; i < COUNT; i++) all[i].data = &back[i];
    assert_int_equal(nde_tensors_load(path, all, COUNT), NDE_OK);
    assert_memory_equal(back, values, sizeof back);
}

/* Names that need more than 16 MiB are refused before a file is touched. */
static void too_many_names(void **state) {
    (void)state;
    enum { COUNT = 11000 };
    nde_tensor *all = calloc(COUNT, sizeof *all);
    char (*names)[256] = calloc(COUNT, sizeof *names);
    assert_true(all && names);
    for (int i = 0; i < COUNT; i++) {
        memset(names[i], 1 + i%31, 255); /* written as six bytes each */
        char number[12];
        snprintf(number, sizeof number, "%05d", i);
        memcpy(names[i], number, 5);
        all[i] = tensor(names[i], NDE_F64, 1, (size_t[]){ 0 }, NULL);
    }
    unlink(path);
    assert_int_equal(nde_tensors_save(path, all, COUNT), NDE_E_SIZE);
    assert_non_null(strstr(nde_error(), "16 MiB"));
    assert_int_equal(files(), 0);
    assert_int_equal(nde_tensors_save(path, all, COUNT/2), NDE_OK);
    assert_int_equal(nde_tensors_load(path, all, COUNT/2), NDE_OK);
    free(all), free(names);
}

/* ---- damaged --------------------------------------------------------------------------------------------------------- */

typedef struct small {
    double w[2];
    int64_t step;
    float f[3];
    unsigned char u[3];
} small;

static void small_tensors(nde_tensor to[4], small *s) {
    to[0] = tensor("w", NDE_F64, 2, (size_t[]){ 1, 2 }, s->w);
    to[1] = tensor("step", NDE_I64, 0, NULL, &s->step);
    to[2] = tensor("f", NDE_F32, 1, (size_t[]){ 3 }, s->f);
    to[3] = tensor("u", NDE_U8, 1, (size_t[]){ 3 }, s->u);
}

static bool same(const small *a, const small *b) {
    return memcmp(a->w, b->w, sizeof a->w) == 0 && a->step == b->step && memcmp(a->f, b->f, sizeof a->f) == 0 &&
        memcmp(a->u, b->u, sizeof a->u) == 0;
}

static const small first = { { 1.5, -2 }, 12345, { 1, 2, 3 }, "ab" }, blank = { { 42, 42 }, 42, { 42, 42, 42 }, "xx" };

static size_t save_small(unsigned char *bytes) {
    small s = first;
    nde_tensor t[4];
    small_tensors(t, &s);
    assert_int_equal(nde_tensors_save(path, t, 4), NDE_OK);
    return slurp(bytes, MOST);
}

static nde_status load_small(small *s) {
    nde_tensor t[4];
    *s = blank;
    small_tensors(t, s);
    return nde_tensors_load(path, t, 4);
}

static void truncated_anywhere(void **state) {
    (void)state;
    unsigned char bytes[MOST];
    const size_t size = save_small(bytes);
    small s;
    for (size_t cut = 0; cut < size; cut++) {
        spill(bytes, cut);
        assert_int_equal(load_small(&s), NDE_E_IO);
        assert_true(same(&s, &blank) && strstr(nde_error(), "state.safetensors"));
    }
    for (size_t more = 1; more < 20; more++) {
        memset(bytes + size, 0, more);
        spill(bytes, size + more);
        assert_int_equal(load_small(&s), NDE_E_IO);
        assert_true(same(&s, &blank));
    }
}

/* Every byte with every value: in the data and in the length it is refused; in the header it is refused or means the same. */
static void changed_anywhere(void **state) {
    (void)state;
    unsigned char bytes[MOST];
    const size_t size = save_small(bytes), data = 8 + (size_t)bytes[0] + 256*(size_t)bytes[1];
    size_t taken = 0;
    small s;
    const int file = open(path, O_WRONLY);
    assert_true(file >= 0);
    for (size_t i = 0; i < size; i++)
        for (int flip = 0; flip < 256; flip++) { /* from the last one back to what it was */
            const unsigned char byte = bytes[i] ^ (unsigned char)(255 - flip);
            assert_int_equal(pwrite(file, &byte, 1, (off_t)i), 1);
            if (byte == bytes[i]) continue;
            const nde_status status = load_small(&s);
            assert_int_equal(status, status ? NDE_E_IO : NDE_OK);
            assert_true(same(&s, status ? &blank : &first));
            if (i < 8 || i >= data) assert_int_equal(status, NDE_E_IO);
            taken += status == NDE_OK;
        }
    close(file);
    /* another "format", another key for the checksum, blanks of other kinds: no more than that */
    assert_in_range(taken, 1, (6 + 3 + 10)*128 + 8*3);
}

/* A tensor of a header. X: the one that is asked for. */
#define T(name, type, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"
#define X T("x", "F64", "2", "0,16")

/* One tensor x, F64 [2], 16 bytes of data. */
static void headers(void **state) {
    (void)state;
    static const char *const good[] = {
        "{" X "}",
        "{ \"x\" :\t{ \"data_offsets\" : [ 0 , 16 ] ,\r\n \"shape\" : [ 2 ] , \"dtype\" : \"F64\" } } \n",
        "{\"\\u0078\":{\"d\\u0074ype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}}",
        "{\"__metadata__\":{}," X "}",
        "{" X ",\"__metadata__\":{\"a\":\"\\\"\\/\\b\\f\\n\\r\\t{}\"}}",
        "{\"__metadata__\":{\"a\":\"\\ud83d\\udc3a\\u00E9\xf0\x9f\x90\xba\",\"b\":\"\"},"
        X "}",
        "{\"__metadata__\":{\"nde.crc32c\":\"d9c908eb\"}," X "}",
        /* others: empty ones anywhere, types and ranks that are not ours */
        "{" T("y", "F32", "7,0", "16,16") ","
        X "," T("", "U8", "0", "0,0") "}",
    };
    static const char *const bad[] = {
        "", " ", "{", "}", "[]", "null", "{\"x\"", "{\"x\":", "{\"x\":{", "{}}", "{,}", "{\"x\":null}",
        "{\"x\":[]}", "{\"x\":{}}",
        " {" X "}",            /* must begin with { */
        "\xef\xbb\xbf{" X "}", /* byte order mark */
        "{" X ",}",
        "{\"x\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16],}}",
        "{" T("x", "F64", "2,", "0,16") "}",
        "{" T("x", "F64", ",2", "0,16") "}",
        "{\"x\":{\"dtype\":\"F64\",\"shape\":2,\"data_offsets\":[0,16]}}",
        "{" X "}}",
        "{" X "} x",
        "{" X " ",
        "{x:{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}}",
        "{'x':{'dtype':'F64','shape':[2],'data_offsets':[0,16]}}",
        "{\"x\":{\"dtype\":\"F64\",\"shape\":[2]}}", "{\"x\":{\"dtype\":\"F64\",\"data_offsets\":[0,16]}}",
        "{\"x\":{\"shape\":[2],\"data_offsets\":[0,16]}}",
        "{" X ",\"y\":{\"dtype\":\"F16\",\"shape\":[0]}}", "{" X ",\"y\":{\"dtype\":\"F16\",\"data_offsets\":[0,0]}}",
        "{" X ",\"y\":{\"shape\":[0],\"data_offsets\":[0,0]}}",
        /* unknown and double keys */
        "{\"x\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16],\"z\":1}}",
        "{\"x\":{\"dtype\":\"F64\",\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}}",
        "{\"x\":{\"dtype\":\"F64\",\"shape\":[2],\"\\u0073hape\":[2],\"data_offsets\":[0,16]}}",
        "{\"x\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16],\"data_offsets\":[0,16]}}",
        "{" X "," T("x", "F64", "0", "16,16") "}",
        "{" X "," T("\\u0078", "U8", "0", "0,0") "}",
        "{" X "," T("y", "U8", "0", "0,0") "," T("y", "U8", "0", "16,16") "}",
        "{" X "," T("y", "F16", "0", "16,16") "," T("z", "U8", "0", "0,0") "," T("\\u0079", "U8", "0", "0,0") "}",
        "{\"__metadata__\":{},\"__metadata__\":{}," X "}",
        /* metadata */
        "{\"__metadata__\":{\"a\":1}," X "}",
        "{\"__metadata__\":{\"a\":{}}," X "}",
        "{\"__metadata__\":\"a\"," X "}",
        "{\"__metadata__\":{\"a\"}," X "}",
        "{\"__metadata__\":{\"nde.crc32c\":\"d9c908ea\"}," X "}",
        "{\"__metadata__\":{\"nde.crc32c\":\"D9C908EB\"}," X "}",
        "{\"__metadata__\":{\"nde.crc32c\":\"\"}," X "}",
        "{\"__metadata__\":{\"nde.crc32c\":\"0d9c908eb\"}," X "}",
        "{\"__metadata__\":{\"nde.crc32c\":\"d9c908eb\",\"nde.crc32c\":\"d9c908eb\"}," X "}",
        "{\"__metadata__\":{\"nde.crc32c\":\"d9c908ebx\"}," X "}",
        /* numbers */
        "{" T("x", "F64", "02", "0,16") "}", "{" T("x", "F64", "2.0", "0,16") "}",
        "{" T("x", "F64", "-2", "0,16") "}", "{" T("x", "F64", "+2", "0,16") "}",
        "{" T("x", "F64", "2e0", "0,16") "}", "{" T("x", "F64", "2", "-0,16") "}",
        "{" T("x", "F64", "2", "0,18446744073709551632") "}",
        "{" T("x", "F64", "18446744073709551618", "0,16") "}",
        /* 2^63, products that wrap to 2 */
        "{" T("x", "F64", "9223372036854775808", "0,16") "}",
        "{" T("x", "F64", "9223372036854775809,2", "0,16") "}",
        "{" T("x", "F64", "2305843009213693954", "0,16") "}",
        "{" T("x", "F64", "4294967296,4294967296,0", "0,0") "}",
        "{" X "," T("y", "U8", "9223372036854775808,2", "16,16") "}",
        "{" X "," T("y", "F64", "2305843009213693952", "16,16") "}",
        /* types and shapes that are not the caller's */
        "{" T("x", "F16", "2", "0,16") "}", "{" T("x", "I64", "2", "0,16") "}",
        "{" T("x", "f64", "2", "0,16") "}", "{" T("x", "", "2", "0,16") "}",
        "{" T("x", "F64", "1,2", "0,16") "}", "{" T("x", "F32", "4", "0,16") "}",
        "{" T("x", "F64", "2,1,1,1,1,1,1,1,1", "0,16") "}",
        "{" T("x", "F64", "", "0,16") "}",
        "{" T("y", "F64", "2", "0,16") "}", "{" T("x\\u0000", "F64", "2", "0,16") "}",
        /* offsets: reversed, too long, too short, gap, overlap, beyond the file */
        "{" T("x", "F64", "2", "16,0") "}", "{" T("x", "F64", "2", "0,17") "}",
        "{" T("x", "F64", "2", "0,15") "}", "{" T("x", "F64", "2", "1,17") "}",
        "{" T("x", "F64", "2", "0,16,16") "}", "{" T("x", "F64", "2", "16") "}",
        "{" T("x", "F64", "2", "18446744073709551600,18446744073709551615") "}",
        "{" T("x", "F64", "2", "18446744073709551600,0") "}",
        "{" X "," T("y", "U8", "8", "8,16") "}",
        "{" X "," T("y", "F16", "8", "8,16") "}",
        "{" X "," T("y", "U8", "0", "17,17") "}",
        "{" X "," T("y", "U8", "1", "16,17") "}",
        "{" X "," T("y", "??", "0", "4,2") "}",
        /* strings: control characters, escapes, UTF-8, surrogates */
        "{" X ",\"__metadata__\":{\"a\":\"\n\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\\x\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\\u12g4\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\\u12\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\\ud83d\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\\ud83dudc3a\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\\ud83d\\u0041\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\\udc3a\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\\udc3a\\udc3a\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\xff\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\xc3\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\xc0\xaf\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\xed\xa0\x80\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\xf4\x90\x80\x80\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\xe0\x80\x80\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"\xf0\x80\x80\x80\"}}",
        "{" X ",\"__metadata__\":{\"a\":\"",
    };
    double x[3];
    const nde_tensor one = tensor("x", NDE_F64, 1, (size_t[]){ 2 }, x);
    unsigned char bytes[16];
    for (int i = 0; i < 16; i++) bytes[i] = (unsigned char)i;
    for (size_t i = 0; i < 2*sizeof good/sizeof *good; i++) {
        spill_header(good[i/2], i%2 ? 9000 : 0, 16);
        if (nde_tensors_load(path, &one, 1)) fail_msg("good[%zu]: %s", i/2, nde_error());
        assert_memory_equal(x, bytes, 16);
    }
    for (size_t i = 0; i < sizeof bad/sizeof *bad; i++) {
        spill_header(bad[i], 0, 16);
        x[0] = x[1] = 42;
        if (nde_tensors_load(path, &one, 1) != NDE_E_IO || x[0] != 42 || x[1] != 42)
            fail_msg("bad[%zu] was taken: %s", i, bad[i]);
        assert_true(strstr(nde_error(), "nde_tensors_load: ") && strlen(nde_error()) > 40);
    }
    static const struct { const char *header; size_t data; } places[] = {
        { "{" T("x", "F64", "2", "8,24") "}", 24 }, { "{" X "," T("y", "U8", "7", "17,24") "}", 24 }, /* gaps */
        { "{" X "," T("y", "F16", "0", "16,8") "}", 8 }, { "{" X "}", 15 }, { "{" X "}", 17 },
        { "{" T("x", "F64", "2", "0,17") "}", 17 }, { "{" X "}", 0 },
    };
    for (size_t i = 0; i < sizeof places/sizeof *places; i++) {
        spill_header(places[i].header, 0, places[i].data);
        x[0] = x[1] = 42;
        if (nde_tensors_load(path, &one, 1) != NDE_E_IO || x[0] != 42 || x[1] != 42) fail_msg("places[%zu] was taken", i);
    }
    spill_header(good[0], 0, 16);
    unsigned char whole[MOST];
    size_t size = slurp(whole, MOST);
    whole[8 + strlen(good[0]) - 1] = 0; /* a zero byte is none of the grammar */
    spill(whole, size);
    assert_int_equal(nde_tensors_load(path, &one, 1), NDE_E_IO);
}

/* Types, ranks and names that this library does not write stand beside those that are asked for. */
static void others(void **state) {
    (void)state;
    double x[2], y[2] = { 42, 42 };
    char header[4096], name[301] = { 0 };
    memset(name, 'n', 300);
    snprintf(header, sizeof header,
             "{" T("h", "F16", "4", "0,8") "," T("x", "F64", "2", "24,40") ","
            T("nine", "F64", "1,1,1,1,1,1,1,2,1", "8,24") ","
            T("%s", "F8_E4M3", "", "40,41") "," T("%s1", "BOOL", "3", "41,44") ","
            T("zero\\u0000byte", "F4", "0", "8,8") "}", name, name);
    spill_header(header, 0, 44);
    nde_tensor t[2] = { tensor("x", NDE_F64, 1, (size_t[]){ 2 }, x), tensor("nine", NDE_F64, 1, (size_t[]){ 2 }, y) };
    assert_int_equal(nde_tensors_load(path, t, 1), NDE_OK);
    assert_int_equal(((unsigned char *)x)[15], 39);
    x[0] = 42;
    assert_int_equal(nde_tensors_load(path, t, 2), NDE_E_IO);
    assert_non_null(strstr(nde_error(), "'nine' is F64 [1,1,1,1,1,1,1,2,...], not F64 [2]"));
    assert_true(x[0] == 42 && y[0] == 42);
    nde_tensor turned = tensor("turned", NDE_I64, 2, (size_t[]){ 1, 2 }, y);
    spill_header("{" X "," T("turned", "I64", "2,1", "16,32") "}", 0, 32);
    assert_int_equal(nde_tensors_load(path, &turned, 1), NDE_E_IO);
    assert_non_null(strstr(nde_error(), "'turned' is I64 [2,1], not I64 [1,2]"));
    spill_header(header, 0, 44);
    t[1].name = "h";
    assert_int_equal(nde_tensors_load(path, t, 2), NDE_E_IO);
    assert_non_null(strstr(nde_error(), "'h' is F16 [4], not F64 [2]"));
    t[1].name = "\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xba";
    spill_header("{" X ","
                T("\\u007f\\u00e9\\u20aC\\uD83d\\udc3a", "F64", "2", "16,32") "}", 0, 32);
    assert_int_equal(nde_tensors_load(path, t, 2), NDE_OK);
    assert_int_equal(((unsigned char *)y)[0], 16);
    spill_header(header, 0, 44);
    t[1].name = "zero";
    assert_int_equal(nde_tensors_load(path, t, 2), NDE_E_IO);
    assert_non_null(strstr(nde_error(), "holds no tensor 'zero'"));
}

/* Promises of a small file: nothing is allocated for them. */
static void promised_sizes(void **state) {
    (void)state;
    static const uint64_t lengths[] = { 0, 1, (16 << 20) + 1, (uint64_t)1 << 30, (uint64_t)1 << 63, UINT64_MAX,
                                        UINT64_MAX - 7 };
    unsigned char bytes[MOST];
    small s;
    const size_t size = save_small(bytes);
    for (size_t k = 0; k < sizeof lengths/sizeof *lengths; k++) {
        for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(lengths[k] >> 8*i);
        spill(bytes, size);
        assert_int_equal(load_small(&s), NDE_E_IO);
    }
    const uint64_t longer = size - 7;
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(longer >> 8*i);
    spill(bytes, size);
    assert_int_equal(load_small(&s), NDE_E_IO);
    assert_non_null(strstr(nde_error(), "ends within the header"));
    /* a header of more than 16 MiB that is really there */
    const uint64_t length = (16 << 20) + 8;
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> 8*i);
    spill(bytes, size);
    assert_int_equal(truncate(path, (off_t)(8 + length)), 0);
    assert_int_equal(load_small(&s), NDE_E_IO);
    assert_non_null(strstr(nde_error(), "16 MiB"));
    assert_true(same(&s, &blank));
}

/* ---- disks and places ------------------------------------------------------------------------------------------------ */

/* A full disk at every place: an error, nothing left behind, the old file whole. */
static void full_disk(void **state) {
    (void)state;
    static unsigned char large[20000];
    nde_tensor big = tensor("large", NDE_U8, 1, (size_t[]){ sizeof large }, large);
    unsigned char bytes[MOST];
    struct rlimit limit, less;
    small s;
    save_small(bytes);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_IGN);
    nde_status status = NDE_E_IO;
    for (rlim_t most = 0; status; most += 331) {
        less = limit, less.rlim_cur = most;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
        status = nde_tensors_save(path, &big, 1);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_int_equal(files(), 1);
        if (!status) {
            assert_true(most > sizeof large);
            break;
        }
        assert_int_equal(status, NDE_E_IO);
        assert_non_null(strstr(nde_error(), strerror(EFBIG)));
        assert_int_equal(load_small(&s), NDE_OK);
        assert_true(same(&s, &first));
    }
    signal(SIGXFSZ, SIG_DFL);
    memset(large, 1, sizeof large);
    assert_int_equal(nde_tensors_load(path, &big, 1), NDE_OK);
    for (size_t i = 0; i < sizeof large; i++) assert_int_equal(large[i], 0);
}

static void impossible_places(void **state) {
    (void)state;
    char other[256], long_name[5000];
    unsigned char value = 1;
    struct stat about;
    const nde_tensor one = tensor("x", NDE_U8, 0, NULL, &value);
    const int before = files();
    snprintf(other, sizeof other, "%s/missing/x", folder);
    assert_int_equal(nde_tensors_save(other, &one, 1), NDE_E_IO);
    assert_non_null(strstr(nde_error(), "missing/x"));
    assert_int_equal(nde_tensors_load(other, &one, 1), NDE_E_IO);
    assert_int_equal(nde_tensors_save(folder, &one, 1), NDE_E_IO); /* a folder in its place */
    assert_int_equal(nde_tensors_load(folder, &one, 1), NDE_E_IO);
    snprintf(other, sizeof other, "%s/", folder);
    assert_int_equal(nde_tensors_save(other, &one, 1), NDE_E_IO);
    snprintf(other, sizeof other, "%s/pipe", folder);
    assert_int_equal(mkfifo(other, 0600), 0);
    assert_int_equal(nde_tensors_load(other, &one, 1), NDE_E_IO);
    assert_int_equal(nde_tensors_save(other, &one, 1), NDE_E_IO);
    assert_int_equal(unlink(other), 0);
    /* devices stay what they are */
    snprintf(other, sizeof other, "%s/full", folder);
    assert_int_equal(symlink("/dev/full", other), 0);
    const char *const devices[] = { "/dev/full", "/dev/zero", other };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(nde_tensors_save(devices[i], &one, 1), NDE_E_IO);
        assert_int_equal(nde_tensors_load(devices[i], &one, 1), NDE_E_IO);
        assert_non_null(strstr(nde_error(), "not a regular file"));
        assert_int_equal(stat(devices[i], &about), 0);
        assert_true(S_ISCHR(about.st_mode));
    }
    assert_int_equal(unlink(other), 0);
    memset(long_name, 'a', sizeof long_name), long_name[4998] = '/', long_name[4999] = 0;
    assert_int_equal(nde_tensors_save(long_name, &one, 1), NDE_E_IO);
    assert_int_equal(nde_tensors_load(long_name, &one, 1), NDE_E_IO);
    long_name[4998] = 'a';
    assert_int_equal(nde_tensors_save(long_name, &one, 1), NDE_E_IO);
    assert_int_equal(files(), before);
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(nde_tensors_save("state.safetensors", &one, 1), NDE_OK);
    assert_int_equal(nde_tensors_load("state.safetensors", &one, 1), NDE_OK);
    assert_int_equal(chdir(here), 0);
    assert_int_equal(value, 1);
}

/* What a killed process left is taken over; what somebody writes, what has another name and what is a link is let alone. */
static void left_behind(void **state) {
    (void)state;
    char name[4][128], linked[128];
    unsigned char value = 1, bytes[MOST];
    const nde_tensor one = tensor("x", NDE_U8, 0, NULL, &value);
    save_small(bytes);
    for (int i = 0; i < 4; i++) {
        snprintf(name[i], sizeof name[i], "%s/.nde-%d.tmp", folder, i);
        if (i == 1) {
            assert_int_equal(symlink(path, name[i]), 0);
            continue;
        }
        FILE *f = fopen(name[i], "w");
        assert_non_null(f);
        fprintf(f, "%300s", "more than the new file has");
        assert_int_equal(fclose(f), 0);
    }
    snprintf(linked, sizeof linked, "%s/linked", folder);
    assert_int_equal(link(name[2], linked), 0);
    const int held = open(name[0], O_WRONLY); /* 0 is being written, 1 a link, 2 has two names, 3 is abandoned */
    assert_int_equal(flock(held, LOCK_EX), 0);
    assert_int_equal(files(), 6);
    assert_int_equal(nde_tensors_save(path, &one, 1), NDE_OK);
    assert_int_equal(nde_tensors_load(path, &one, 1), NDE_OK);
    assert_int_equal(files(), 5);
    struct stat about;
    assert_int_equal(stat(linked, &about), 0);
    assert_true(about.st_size > 200);
    assert_int_equal(fstat(held, &about), 0);
    assert_true(about.st_size > 200);
    close(held);
    assert_int_equal(nde_tensors_save(path, &one, 1), NDE_OK); /* its writer is dead now */
    assert_int_equal(files(), 4);
    assert_int_equal(access(name[0], F_OK), -1);
    assert_int_equal(unlink(linked), 0);
    for (int i = 1; i < 3; i++) assert_int_equal(unlink(name[i]), 0);
}

/* Several processes write one file while it is read: each time it is one of theirs, and whole. */
static void writers_at_once(void **state) {
    (void)state;
    enum { WRITERS = 4, TIMES = 40, COUNT = 5000 };
    int64_t values[COUNT] = { 0 };
    const nde_tensor one = tensor("x", NDE_I64, 1, (size_t[]){ COUNT }, values);
    assert_int_equal(nde_tensors_save(path, &one, 1), NDE_OK);
    pid_t child[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        if (child[i]) continue;
        bool good = true;
        for (int64_t k = 0; k < TIMES && good; k++) {
            for (int j = 0; j < COUNT; j++) values[j] = i*TIMES + k;
            good = nde_tensors_save(path, &one, 1) == NDE_OK;
        }
        _exit(good ? 0 : 1);
    }
    int running = WRITERS, bad = 0, result;
    while (running) {
        if (nde_tensors_load(path, &one, 1)) fail_msg("%s", nde_error());
        for (int j = 1; j < COUNT; j++) bad += values[j] != values[0];
        if (waitpid(-1, &result, WNOHANG) > 0) running--, bad += result != 0;
    }
    assert_int_equal(bad, 0);
    assert_int_equal(files(), 1);
}

/* ---- arguments ------------------------------------------------------------------------------------------------------- */

static void refused(const nde_tensor *t, size_t count, nde_status status, const char *sentence) {
    assert_int_equal(nde_tensors_save(path, t, count), status);
    assert_non_null(strstr(nde_error(), "nde_tensors_save: "));
    if (!strstr(nde_error(), sentence)) fail_msg("'%s' does not say '%s'", nde_error(), sentence);
    assert_int_equal(nde_tensors_load(path, t, count), status);
    assert_non_null(strstr(nde_error(), "nde_tensors_load: "));
    assert_non_null(strstr(nde_error(), sentence));
}

static void arguments(void **state) {
    (void)state;
    double x[2] = { 1, 2 };
    const nde_tensor good = tensor("x", NDE_F64, 1, (size_t[]){ 2 }, x);
    char long_name[300];
    unsigned char bytes[MOST], after[MOST];
    const size_t size = save_small(bytes);
    assert_int_equal(nde_tensors_save(NULL, &good, 1), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "file is NULL"));
    assert_int_equal(nde_tensors_save("", &good, 1), NDE_E_ARG);
    assert_int_equal(nde_tensors_load(NULL, &good, 1), NDE_E_ARG);
    assert_int_equal(nde_tensors_load("", &good, 1), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "file is empty"));
    refused(NULL, 1, NDE_E_ARG, "tensor is NULL");
    const struct { const char *name, *sentence; } names[] = {
        { NULL, "tensor[1].name is NULL" }, { "", "tensor[1].name is empty" }, { "__metadata__", "is __metadata__" },
        { "\xc3", "not UTF-8" }, { "\x80", "not UTF-8" }, { "\xed\xa0\x80", "not UTF-8" }, { "\xf5\x80\x80\x80", "not UTF-8" },
        { long_name, "more than 255 bytes" }, { "x", "tensor[0] and tensor[1] have the same name" } };
    memset(long_name, 'n', sizeof long_name), long_name[256] = 0;
    for (size_t i = 0; i < sizeof names/sizeof *names; i++) {
        nde_tensor two[] = { good, good };
        two[1].name = names[i].name;
        refused(two, 2, NDE_E_ARG, names[i].sentence);
    }
    nde_tensor t = good;
    t.type = 0, refused(&t, 1, NDE_E_ARG, "tensor[0].type is 0");
    t.type = 5, refused(&t, 1, NDE_E_ARG, "tensor[0].type is 5");
    t = good, t.rank = -1, refused(&t, 1, NDE_E_ARG, "tensor[0].rank is -1");
    t.rank = 9, refused(&t, 1, NDE_E_ARG, "tensor[0].rank is 9");
    t = good, t.data = NULL, refused(&t, 1, NDE_E_ARG, "tensor[0].data is NULL");
    t = good, t.shape[0] = SIZE_MAX/4, refused(&t, 1, NDE_E_SIZE, "tensor[0].shape");
    t = good, t.shape[0] = SIZE_MAX/16;
    assert_int_equal(nde_tensors_save(path, &t, 1), NDE_E_SIZE); /* before a byte of it is read */
    assert_int_equal(slurp(after, MOST), size); /* the old file is as it was */
    assert_memory_equal(after, bytes, size);
    long_name[255] = 0;
    t = good, t.name = long_name;
    assert_int_equal(nde_tensors_save(path, &t, 1), NDE_OK);
    assert_int_equal(nde_tensors_load(path, &t, 1), NDE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_and_rank), cmocka_unit_test(the_bytes), cmocka_unit_test(checksum),
        cmocka_unit_test(more_in_the_file), cmocka_unit_test(many), cmocka_unit_test(too_many_names),
        cmocka_unit_test(truncated_anywhere), cmocka_unit_test(changed_anywhere), cmocka_unit_test(headers),
        cmocka_unit_test(others), cmocka_unit_test(promised_sizes),
        cmocka_unit_test(full_disk), cmocka_unit_test(impossible_places), cmocka_unit_test(left_behind),
        cmocka_unit_test(writers_at_once),
        cmocka_unit_test(arguments),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
