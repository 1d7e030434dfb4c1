/* SPDX-License-Identifier: MIT
 * tensors.c - named arrays as safetensors files: replaced as a whole, with a checksum; read as hostile input.
 *
 *   8 bytes, length of the header | header, blanks up to a multiple of 8 | data, without a gap
 *   {"__metadata__":{"key":"text"},"name":{"dtype":"F64","shape":[2,3],"data_offsets":[0,48]}}
 *
 * The reader takes this grammar and nothing else, from a window on the file, without recursion; its only memory is a table of
 * the tensors. It reads headers of at most 16 MiB.
 * Sources: Hugging Face, safetensors (2022), "Format"; RFC 8259 for JSON; RFC 3629 for UTF-8. */
#include "nde/file.h"

#include <stdio.h>
#include <string.h>

#include "train/disk.h"

enum { PREFIX = 8, RANK = 8, NAME = 255, CHUNK = 4096, TYPES = 5 };
#define MOST_HEADER ((uint64_t)16 << 20)
#define MOST_FILE ((uint64_t)INT64_MAX)
#define METADATA "__metadata__"
#define CHECKSUM "nde.crc32c"

static const struct {
    const char *name;
    size_t bytes;
} types[TYPES] = { [NDE_F64] = { "F64", 8 }, [NDE_F32] = { "F32", 4 }, [NDE_I64] = { "I64", 8 }, [NDE_U8] = { "U8", 1 } };

/* ---- UTF-8 ----------------------------------------------------------------------------------------------------------- */

/* How many bytes of a character are to come, and in which range the next one is. */
typedef struct utf8 {
    unsigned char more, low, high;
} utf8;

/* False: the byte cannot come here. */
static bool utf8_takes(utf8 *u, unsigned char byte) {
    const bool good = u->more ? byte >= u->low && byte <= u->high : byte < 0x80 || (byte >= 0xc2 && byte <= 0xf4);
    if (u->more) u->more--;
    else u->more = byte < 0x80 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    u->low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80; /* no longer form than needed ... */
    u->high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf; /* ... no surrogates, nothing above 0x10ffff */
    return good;
}

static bool is_utf8(const char *text) {
    utf8 u = { 0 };
    for (; *text; text++)
        if (!utf8_takes(&u, (unsigned char)*text)) return false;
    return !u.more;
}

/* ---- arguments ------------------------------------------------------------------------------------------------------- */

/* Of a checked tensor. */
static size_t bytes_of(const nde_tensor *t) {
    size_t bytes = types[t->type].bytes;
    for (int i = 0; i < t->rank; i++) bytes *= t->shape[i];
    return bytes;
}

static const char *wrong_name(const char *name) {
    if (!name) return "is NULL";
    if (!*name) return "is empty";
    if (strnlen(name, NAME + 1) > NAME) return "has more than 255 bytes";
    if (!is_utf8(name)) return "is not UTF-8";
    return strcmp(name, METADATA) == 0 ? "is " METADATA : NULL;
}

static nde_status check_tensor(const char *function, const nde_tensor *t, size_t i) {
    const char *wrong = wrong_name(t->name);
    if (wrong) return nde_fail(NDE_E_ARG, "%s: tensor[%zu].name %s", function, i, wrong);
    if (t->type < NDE_F64 || t->type > NDE_U8)
        return nde_fail(NDE_E_ARG, "%s: tensor[%zu].type is %d", function, i, (int)t->type);
    if (t->rank < 0 || t->rank > RANK) return nde_fail(NDE_E_ARG, "%s: tensor[%zu].rank is %d", function, i, (int)t->rank);
    size_t bytes = types[t->type].bytes;
    for (int k = 0; k < t->rank; k++)
        if (!nde_size_multiply(bytes, t->shape[k], &bytes))
            return nde_fail(NDE_E_SIZE, "%s: tensor[%zu].shape has a product that no memory holds", function, i);
    if (bytes && !t->data) return nde_fail(NDE_E_ARG, "%s: tensor[%zu].data is NULL", function, i);
    return NDE_OK;
}

static nde_status check_arguments(const char *function, const char *file, const nde_tensor *tensor, size_t count) {
    if (!file || !*file) return nde_fail(NDE_E_ARG, "%s: file is %s", function, file ? "empty" : "NULL");
    if (!tensor && count) return nde_fail(NDE_E_ARG, "%s: tensor is NULL", function);
    for (size_t i = 0; i < count; i++) {
        const nde_status status = check_tensor(function, tensor + i, i);
        if (status) return status;
        for (size_t k = 0; k < i; k++)
            if (strcmp(tensor[i].name, tensor[k].name) == 0)
                return nde_fail(NDE_E_ARG, "%s: tensor[%zu] and tensor[%zu] have the same name", function, k, i);
    }
    return NDE_OK;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* Where bytes go: to a checksum, to a file, or nowhere but into the count. */
typedef struct sink {
    nde_crc32c *crc;
    nde_replacement *file;
    uint64_t bytes; /* saturates */
} sink;

static void put(sink *to, const void *bytes, size_t count) {
    if (to->crc) nde_crc32c_add(to->crc, bytes, count);
    if (to->file) nde_replacement_write(to->file, bytes, count);
    to->bytes = count < UINT64_MAX - to->bytes ? to->bytes + count : UINT64_MAX;
}

static void put_text(sink *to, const char *text) { put(to, text, strlen(text)); }

static void put_number(sink *to, uint64_t number) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    put_text(to, text);
}

static void put_string(sink *to, const char *text) {
    put_text(to, "\"");
    for (; *text; text++) {
        char escaped[8] = { *text };
        if (*text == '"' || *text == '\\') snprintf(escaped, sizeof escaped, "\\%c", *text);
        else if ((unsigned char)*text < 0x20) snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)*text);
        put_text(to, escaped);
    }
    put_text(to, "\"");
}

/* The order in the file: the widest types first, so that each array is aligned, as PyTorch wants it. k of 0 ... count - 1, then
 * again: *i goes through the tensors of each width in turn. */
static bool next_tensor(const nde_tensor *tensor, size_t count, size_t *width, size_t *i) {
    for (; *width; *width /= 2, *i = 0)
        for (; *i < count; ++*i)
            if (types[tensor[*i].type].bytes == *width) return true;
    return false;
}

/* Numbers as the file has them: as they are, or turned around in pieces. */
static void put_data(sink *to, const nde_tensor *t) {
    const size_t width = types[t->type].bytes, bytes = bytes_of(t);
    const unsigned char *data = t->data;
    unsigned char chunk[CHUNK];
    if (!bytes) return;
    if (nde_is_little_endian()) {
        put(to, data, bytes);
        return;
    }
    for (size_t done = 0, some; done < bytes; done += some) {
        some = bytes - done < CHUNK ? bytes - done : CHUNK;
        nde_little_endian(chunk, data + done, some/width, width);
        put(to, chunk, some);
    }
}

static void put_all_data(sink *to, const nde_tensor *tensor, size_t count) {
    size_t width = 8, i = 0;
    for (; next_tensor(tensor, count, &width, &i); i++) put_data(to, tensor + i);
}

/* *end is where the tensor before ended and where this one ends. */
static void put_entry(sink *to, const nde_tensor *t, uint64_t *end) {
    put_text(to, ",");
    put_string(to, t->name);
    put_text(to, ":{\"dtype\":\"");
    put_text(to, types[t->type].name);
    put_text(to, "\",\"shape\":[");
    for (int i = 0; i < t->rank; i++) {
        if (i) put_text(to, ",");
        put_number(to, t->shape[i]);
    }
    put_text(to, "],\"data_offsets\":[");
    put_number(to, *end);
    put_text(to, ",");
    put_number(to, *end += bytes_of(t));
    put_text(to, "]}");
}

static void put_header(sink *to, const nde_tensor *tensor, size_t count, uint32_t crc) {
    char metadata[80];
    uint64_t end = 0;
    size_t width = 8, i = 0;
    snprintf(metadata, sizeof metadata, "{\"" METADATA "\":{\"format\":\"nde\",\"" CHECKSUM "\":\"%08lx\"}",
             (unsigned long)crc);
    put_text(to, metadata);
    for (; next_tensor(tensor, count, &width, &i); i++) put_entry(to, tensor + i, &end);
    put_text(to, "}");
    while (to->bytes%PREFIX) put_text(to, " ");
}

/* Errors: NDE_E_SIZE. */
static nde_status check_size(const nde_tensor *tensor, size_t count, uint64_t header) {
    uint64_t whole = PREFIX + MOST_HEADER;
    for (size_t i = 0; i < count; i++) {
        const uint64_t bytes = bytes_of(tensor + i);
        if (bytes > MOST_FILE - whole) return nde_fail(NDE_E_SIZE, "nde_tensors_save: the data need more than 2^63 - 1 bytes");
        whole += bytes;
    }
    if (header <= MOST_HEADER) return NDE_OK;
    return nde_fail(NDE_E_SIZE, "nde_tensors_save: names and shapes need %llu bytes, more than 16 MiB",
                    (unsigned long long)header);
}

nde_status nde_tensors_save(const char *file, const nde_tensor *tensor, size_t count) {
    nde_status status = check_arguments("nde_tensors_save", file, tensor, count);
    if (status) return status;
    sink size = { 0 };
    put_header(&size, tensor, count, 0);
    status = check_size(tensor, count, size.bytes);
    if (status) return status;

    nde_crc32c crc;
    nde_crc32c_begin(&crc);
    put_all_data(&(sink){ .crc = &crc }, tensor, count);

    nde_replacement to;
    unsigned char prefix[PREFIX];
    nde_little_endian(prefix, &size.bytes, 1, PREFIX);
    nde_replacement_begin(&to, file);
    nde_replacement_write(&to, prefix, PREFIX);
    put_header(&(sink){ .file = &to }, tensor, count, nde_crc32c_value(&crc));
    put_all_data(&(sink){ .file = &to }, tensor, count);
    return nde_replacement_end(&to, "nde_tensors_save");
}

/* ---- reading: the catalogue ------------------------------------------------------------------------------------------ */

/* A tensor of the file. */
typedef struct entry {
    uint64_t begin, end, hash; /* bytes of the data; of its name */
} entry;

/* What a header says. The first pass counts its tensors, the second one lists them. */
typedef struct catalogue {
    const nde_tensor *wanted;
    size_t count;
    uint64_t *begin; /* [count] where the data of the wanted ones begin; UINT64_MAX: not found */
    entry *list;     /* [capacity]; NULL: they are counted only */
    size_t capacity, entries;
    uint32_t crc;
    bool has_crc, has_metadata;
    char wrong[160]; /* the first thing that is not as it should be; "": nothing */
} catalogue;

/* By place or by name. */
static bool before(const entry *a, const entry *b, bool by_name) {
    if (by_name) return a->hash < b->hash;
    return a->begin < b->begin || (a->begin == b->begin && a->end < b->end);
}

static void sift(entry *list, size_t root, size_t count, bool by_name) {
    for (size_t child; (child = 2*root + 1) < count; root = child) {
        if (child + 1 < count && before(list + child, list + child + 1, by_name)) child++;
        if (!before(list + root, list + child, by_name)) return;
        const entry swap = list[root];
        list[root] = list[child], list[child] = swap;
    }
}

/* Heapsort: in place, and no file makes it slow. Source: J. Williams, Algorithm 232 (1964). */
static void sort(entry *list, size_t count, bool by_name) {
    for (size_t i = count/2; i-- > 0;) sift(list, i, count, by_name);
    for (size_t i = count; i-- > 1;) {
        const entry swap = list[0];
        list[0] = list[i], list[i] = swap;
        sift(list, 0, i, by_name);
    }
}

/* NULL: the tensors have different names and fill the data without a gap. Two names with one hash are as bad as one name. */
static const char *wrong_list(const catalogue *c, uint64_t data) {
    uint64_t end = 0;
    sort(c->list, c->entries, false);
    for (size_t i = 0; i < c->entries; end = c->list[i++].end)
        if (c->list[i].begin != end)
            return c->list[i].begin < end ? "two tensors overlap" : "there is a gap before a tensor";
    if (end != data) return end < data ? "there is more data than tensors" : "there is less data than its tensors need";
    sort(c->list, c->entries, true);
    for (size_t i = 1; i < c->entries; i++)
        if (c->list[i].hash == c->list[i - 1].hash) return "two tensors have one name";
    return NULL;
}

/* ---- reading: the scanner -------------------------------------------------------------------------------------------- */

typedef struct scanner {
    nde_input *input;
    catalogue *to;
    uint64_t left;   /* bytes of the header that are not in the window yet */
    size_t at, size; /* of the window */
    unsigned char window[CHUNK];
} scanner;

/* Always false. The first complaint stays. */
static bool complain(scanner *s, const char *what) {
    if (!s->to->wrong[0])
        snprintf(s->to->wrong, sizeof s->to->wrong, "%s at byte %llu", what,
                 (unsigned long long)(s->input->at - (s->size - s->at)));
    return false;
}

/* The next byte, which stays; -1 at the end. */
static int peek(scanner *s) {
    if (s->at < s->size) return s->window[s->at];
    if (!s->left) return -1;
    s->at = 0, s->size = s->left < CHUNK ? (size_t)s->left : CHUNK;
    if (!nde_input_read(s->input, s->window, s->size)) {
        s->left = s->size = 0;
        complain(s, nde_input_reason());
        return -1;
    }
    s->left -= s->size;
    return s->window[0];
}

static int next(scanner *s) {
    const int byte = peek(s);
    if (byte >= 0) s->at++;
    return byte;
}

static void skip_blanks(scanner *s) {
    for (int byte; (byte = peek(s)) == ' ' || byte == '\n' || byte == '\r' || byte == '\t';) s->at++;
}

static bool take(scanner *s, char byte) {
    skip_blanks(s);
    if (peek(s) != byte) return false;
    s->at++;
    return true;
}

static bool expect(scanner *s, char byte) {
    char what[] = "no ' '";
    what[4] = byte;
    return take(s, byte) || complain(s, what);
}

/* A string: its beginning, and what tells it from others. */
typedef struct string {
    size_t length;
    uint64_t hash; /* Source: G. Fowler, L. Noll, K.-P. Vo, FNV-1a */
    char text[NAME + 1];
} string;

static void append(string *to, unsigned char byte) {
    if (to->length < NAME) to->text[to->length] = (char)byte, to->text[to->length + 1] = 0;
    to->length++;
    to->hash = (to->hash ^ byte)*UINT64_C(0x100000001b3);
}

static bool equals(const string *s, const char *text) {
    return s->length == strlen(text) && memcmp(s->text, text, s->length) == 0;
}

static void append_character(string *to, uint32_t code) {
    if (code < 0x80) append(to, (unsigned char)code);
    else {
        const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        append(to, (unsigned char)(0xff00u >> (more + 1) | code >> 6*more));
        for (int i = more; i-- > 0;) append(to, (unsigned char)(0x80 | (code >> 6*i & 0x3f)));
    }
}

static bool take_hex(scanner *s, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < 4; i++) {
        const int c = next(s), lower = c | 0x20;
        if (c >= '0' && c <= '9') *code = *code << 4 | (uint32_t)(c - '0');
        else if (c > 0 && lower >= 'a' && lower <= 'f') *code = *code << 4 | (uint32_t)(lower - 'a' + 10);
        else return false;
    }
    return true;
}

/* After \u: four digits, or twice four for a character that UTF-16 writes as a pair. */
static bool take_unicode(scanner *s, string *to) {
    uint32_t high, low;
    if (!take_hex(s, &high)) return complain(s, "a wrong escape");
    if (high >= 0xd800 && high < 0xe000) {
        if (high >= 0xdc00 || next(s) != '\\' || next(s) != 'u' || !take_hex(s, &low) || low < 0xdc00 || low >= 0xe000)
            return complain(s, "half a surrogate pair");
        high = 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
    }
    append_character(to, high);
    return true;
}

static bool take_escape(scanner *s, string *to) {
    static const char from[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    const int byte = next(s);
    if (byte == 'u') return take_unicode(s, to);
    const char *which = byte > 0 ? strchr(from, byte) : NULL;
    if (!which) return complain(s, "a wrong escape");
    append(to, (unsigned char)means[which - from]);
    return true;
}

static bool take_string(scanner *s, string *to) {
    utf8 u = { 0 };
    *to = (string){ .hash = UINT64_C(0xcbf29ce484222325) };
    if (!expect(s, '"')) return false;
    for (;;) {
        const int byte = next(s);
        if (byte < 0x20) return complain(s, byte < 0 ? "a string without an end" : "a control character");
        if (!utf8_takes(&u, (unsigned char)byte)) return complain(s, "a string that is not UTF-8");
        if (byte == '"') return true;
        if (byte != '\\') append(to, (unsigned char)byte);
        else if (!take_escape(s, to)) return false;
    }
}

/* A whole number below 2^64: digits, the first not 0 but in 0. */
static bool take_number(scanner *s, uint64_t *to) {
    skip_blanks(s);
    int byte = next(s);
    if (byte < '0' || byte > '9') return complain(s, "no whole number");
    *to = (uint64_t)(byte - '0');
    while ((byte = peek(s)) >= '0' && byte <= '9') {
        if (!*to) return complain(s, "a number that begins with 0");
        if (__builtin_mul_overflow(*to, (uint64_t)10, to) || __builtin_add_overflow(*to, (uint64_t)(byte - '0'), to))
            return complain(s, "a number of 2^64 or more");
        s->at++;
    }
    return true;
}

/* What stands behind a name. */
typedef struct description {
    string type;
    uint64_t rank, shape[RANK], values; /* of rank; values: the product */
    uint64_t offset[2];
    bool has_type, has_shape, has_offsets;
} description;

static bool take_shape(scanner *s, description *d) {
    if (!expect(s, '[')) return false;
    d->values = 1;
    if (take(s, ']')) return true;
    do {
        uint64_t size;
        if (!take_number(s, &size)) return false;
        if (__builtin_mul_overflow(d->values, size, &d->values)) return complain(s, "a shape with a product of 2^64 or more");
        if (d->rank < RANK) d->shape[d->rank] = size;
        d->rank++;
    } while (take(s, ','));
    return expect(s, ']');
}

static bool take_offsets(scanner *s, description *d) {
    return expect(s, '[') && take_number(s, &d->offset[0]) && expect(s, ',') && take_number(s, &d->offset[1]) && expect(s, ']');
}

/* {"dtype":"F64","shape":[2,3],"data_offsets":[0,48]} in any order, each once. */
static bool take_description(scanner *s, description *d) {
    *d = (description){ .rank = 0 };
    if (!expect(s, '{')) return false;
    do {
        string key;
        if (!take_string(s, &key) || !expect(s, ':')) return false;
        bool *has = equals(&key, "dtype") ? &d->has_type : equals(&key, "shape") ? &d->has_shape :
            equals(&key, "data_offsets") ? &d->has_offsets : NULL;
        if (!has) return complain(s, "an unknown key");
        if (*has) return complain(s, "a key twice");
        *has = true;
        if (has == &d->has_type ? !take_string(s, &d->type) : has == &d->has_shape ? !take_shape(s, d) : !take_offsets(s, d))
            return false;
    } while (take(s, ','));
    if (!expect(s, '}')) return false;
    return (d->has_type && d->has_shape && d->has_offsets) || complain(s, "a tensor without type, shape or offsets");
}

/* {"key":"text", ...} of which only the checksum is of interest. */
static bool take_metadata(scanner *s) {
    catalogue *to = s->to;
    if (to->has_metadata) return complain(s, METADATA " twice");
    to->has_metadata = true;
    if (!expect(s, '{')) return false;
    if (take(s, '}')) return true;
    do {
        string key, text;
        if (!take_string(s, &key) || !expect(s, ':') || !take_string(s, &text)) return false;
        if (!equals(&key, CHECKSUM)) continue;
        if (to->has_crc || text.length != 8 || strspn(text.text, "0123456789abcdef") != 8)
            return complain(s, to->has_crc ? CHECKSUM " twice" : "a " CHECKSUM " that is not eight hexadecimal digits");
        to->has_crc = true;
        for (int i = 0; i < 8; i++)
            to->crc = to->crc << 4 | (uint32_t)(text.text[i] <= '9' ? text.text[i] - '0' : text.text[i] - 'a' + 10);
    } while (take(s, ','));
    return expect(s, '}');
}

/* The number of a type that this library writes; 0: of another. */
static int type_of(const string *name) {
    for (int i = 1; i < TYPES; i++)
        if (equals(name, types[i].name)) return i;
    return 0;
}

/* Type, rank and shape are those of the caller's tensor. */
static bool fits(const nde_tensor *t, const description *d) {
    if (type_of(&d->type) != t->type || d->rank != (uint64_t)t->rank) return false;
    for (int i = 0; i < t->rank; i++)
        if (d->shape[i] != t->shape[i]) return false;
    return true;
}

/* "F64 [2,3]" */
static void describe(char *to, size_t size, const char *type, uint64_t rank, const uint64_t *shape) {
    size_t used = (size_t)snprintf(to, size, "%.16s [", type);
    for (uint64_t i = 0; i < rank && i < RANK && used < size; i++)
        used += (size_t)snprintf(to + used, size - used, i ? ",%llu" : "%llu", (unsigned long long)shape[i]);
    if (used < size) snprintf(to + used, size - used, rank > RANK ? ",...]" : "]");
}

static bool complain_of_shape(scanner *s, const nde_tensor *t, const description *d) {
    char is[64], should[64];
    uint64_t shape[RANK];
    for (int i = 0; i < RANK; i++) shape[i] = t->shape[i];
    describe(is, sizeof is, d->type.text, d->rank, d->shape);
    describe(should, sizeof should, types[t->type].name, (uint64_t)t->rank, shape);
    if (!s->to->wrong[0])
        snprintf(s->to->wrong, sizeof s->to->wrong, "'%.20s' is %.60s, not %.60s", t->name, is, should);
    return false;
}

/* A tensor of the file goes into the list, and its place to the tensor of the caller that has its name. */
static bool list(scanner *s, const string *name, const description *d) {
    catalogue *to = s->to;
    const int type = type_of(&d->type);
    uint64_t bytes;
    if (d->offset[0] > d->offset[1]) return complain(s, "a tensor that ends before it begins");
    if (type && (__builtin_mul_overflow(d->values, (uint64_t)types[type].bytes, &bytes) ||
                 bytes != d->offset[1] - d->offset[0]))
        return complain(s, "a tensor whose offsets are not those of its shape");
    if (to->list) {
        if (to->entries == to->capacity) return complain(s, "the file was changed while it was read");
        to->list[to->entries] = (entry){ d->offset[0], d->offset[1], name->hash };
        for (size_t i = 0; i < to->count; i++) {
            if (!equals(name, to->wanted[i].name)) continue;
            if (!fits(to->wanted + i, d)) return complain_of_shape(s, to->wanted + i, d);
            to->begin[i] = d->offset[0];
        }
    }
    to->entries++;
    return true;
}

static bool take_entry(scanner *s) {
    string name;
    description d;
    if (!take_string(s, &name) || !expect(s, ':')) return false;
    if (equals(&name, METADATA)) return take_metadata(s);
    return take_description(s, &d) && list(s, &name, &d);
}

/* The whole header. */
static bool scan(nde_input *input, uint64_t length, catalogue *to) {
    scanner s = { .input = input, .to = to, .left = length };
    to->entries = 0, to->crc = 0, to->has_crc = to->has_metadata = false;
    input->at = PREFIX;
    if (peek(&s) != '{') return complain(&s, "a header that does not begin with '{'"); /* not even a blank before it */
    s.at++;
    if (!take(&s, '}')) {
        do if (!take_entry(&s)) return false;
        while (take(&s, ','));
        if (!expect(&s, '}')) return false;
    }
    skip_blanks(&s);
    return (peek(&s) < 0 && !to->wrong[0]) || complain(&s, "something after the header");
}

/* ---- reading: the data ----------------------------------------------------------------------------------------------- */

static nde_status damaged(const char *file, const char *why) {
    return nde_fail(NDE_E_IO, "nde_tensors_load: cannot read '%s': %s", file, why);
}

/* All of the data is read once: for the checksum, and so that what cannot be read is found before a value is written. */
static nde_status verify(nde_input *in, const char *file, uint64_t begin, const catalogue *c) {
    nde_crc32c crc;
    unsigned char chunk[4*CHUNK];
    nde_crc32c_begin(&crc);
    in->at = begin;
    for (uint64_t left = in->size - begin, some; left; left -= some) {
        some = left < sizeof chunk ? left : sizeof chunk;
        if (!nde_input_read(in, chunk, (size_t)some)) return damaged(file, nde_input_reason());
        nde_crc32c_add(&crc, chunk, (size_t)some);
    }
    return c->has_crc && c->crc != nde_crc32c_value(&crc) ? damaged(file, "its checksum is not that of its data") : NDE_OK;
}

static nde_status fill(nde_input *in, const char *file, uint64_t begin, const catalogue *c) {
    for (size_t i = 0; i < c->count; i++) {
        const nde_tensor *t = c->wanted + i;
        const size_t width = types[t->type].bytes, bytes = bytes_of(t);
        in->at = begin + c->begin[i];
        if (!nde_input_read(in, t->data, bytes)) return damaged(file, nde_input_reason());
        nde_little_endian(t->data, t->data, bytes/width, width);
    }
    return NDE_OK;
}

/* With the catalogue's memory in place. */
static nde_status load_listed(nde_input *in, const char *file, uint64_t length, catalogue *c) {
    const uint64_t begin = PREFIX + length;
    for (size_t i = 0; i < c->count; i++) c->begin[i] = UINT64_MAX;
    if (!scan(in, length, c)) return damaged(file, c->wrong);
    const char *wrong = wrong_list(c, in->size - begin);
    if (wrong) return damaged(file, wrong);
    for (size_t i = 0; i < c->count; i++)
        if (c->begin[i] == UINT64_MAX)
            return nde_fail(NDE_E_IO, "nde_tensors_load: '%.120s' holds no tensor '%.60s'", file, c->wanted[i].name);
    const nde_status status = verify(in, file, begin, c);
    return status ? status : fill(in, file, begin, c);
}

static nde_status load(nde_input *in, const char *file, const nde_tensor *tensor, size_t count) {
    uint64_t length;
    size_t places, bytes;
    catalogue c = { .wanted = tensor, .count = count };
    if (in->size < PREFIX || !nde_input_read(in, &length, PREFIX)) return damaged(file, "it has less than 8 bytes");
    nde_little_endian(&length, &length, 1, PREFIX);
    if (length > in->size - PREFIX || length > MOST_HEADER)
        return damaged(file, length > MOST_HEADER ? "it promises a header of more than 16 MiB" : "it ends within the header");
    if (!scan(in, length, &c)) return damaged(file, c.wrong);

    c.capacity = c.entries;
    if (!nde_size_multiply(count, sizeof *c.begin, &places) || !nde_size_multiply(c.capacity + 1, sizeof *c.list, &bytes) ||
        !nde_size_add(places, bytes, &bytes))
        return nde_fail(NDE_E_SIZE, "nde_tensors_load: count is %zu", count);
    const nde_allocator *from = &nde_allocator_default;
    c.list = from->take(from->ctx, bytes, sizeof(uint64_t));
    if (!c.list) return nde_fail(NDE_E_NOMEM, "nde_tensors_load: no memory for a table of %zu tensors", c.capacity);
    c.begin = (uint64_t *)(void *)(c.list + c.capacity + 1);
    const nde_status status = load_listed(in, file, length, &c);
    from->give(from->ctx, c.list, bytes);
    return status;
}

nde_status nde_tensors_load(const char *file, const nde_tensor *tensor, size_t count) {
    nde_input in;
    nde_status status = check_arguments("nde_tensors_load", file, tensor, count);
    if (!status) status = nde_input_open(&in, "nde_tensors_load", file);
    if (status) return status;
    status = load(&in, file, tensor, count);
    nde_input_close(&in);
    return status;
}
