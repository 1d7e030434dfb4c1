/* SPDX-License-Identifier: MIT
 * faults.c - F7: every call that reads or writes a file of tensors fails, comes short, or is interrupted, one at a time.
 * The program's own pread, write, fsync and rename stand before the system's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "train/files.h"

enum { FAIL, SHORT, INTERRUPT, END, FAULTS };
enum { VALUES = 3000 };
static int fault = FAIL, countdown = -1; /* calls until the fault; < 0: none any more */

static bool due(void) { return countdown >= 0 && countdown-- == 0; }

/* The count that a call may move, or -1 with errno: it is not to be made. */
ssize_t allowed(size_t count);
ssize_t allowed(size_t count) {
    if (!due()) return (ssize_t)count;
    if (fault == SHORT) return count > 1 ? (ssize_t)(count/2) : (ssize_t)count;
    if (fault == END) return 0;
    return errno = fault == INTERRUPT ? EINTR : EIO, -1;
}

ssize_t pread(int file, void *bytes, size_t count, off_t at) {
    const ssize_t part = allowed(count);
    return part > 0 ? (ssize_t)syscall(SYS_pread64, file, bytes, part, at) : part;
}
ssize_t write(int file, const void *bytes, size_t count) {
    if (file <= 2) return (ssize_t)syscall(SYS_write, file, bytes, count); /* the test's own words */
    const ssize_t part = allowed(count);
    return part > 0 ? (ssize_t)syscall(SYS_write, file, bytes, part) : part;
}
int fsync(int file) { return due() && fault == FAIL ? (errno = EIO, -1) : (int)syscall(SYS_fsync, file); }
int rename(const char *from, const char *to) {
    return due() && fault == FAIL ? (errno = EIO, -1) : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

static double values[VALUES], old[VALUES];

static nde_tensor tensor_of(double *data) {
    return (nde_tensor){ .name = "x", .type = NDE_F64, .rank = 1, .shape = { VALUES }, .data = data };
}

static int make_folder(void **state) {
    (void)state;
    return make_folder_for("x.safetensors");
}

/* The file holds these values. */
static bool holds(const double *want) {
    static double found[VALUES];
    countdown = -1;
    const nde_tensor t = tensor_of(found);
    return nde_tensors_load(path, &t, 1) == NDE_OK && memcmp(found, want, sizeof found) == 0;
}

/* Until a save is through without the fault: an error and the old file, or the new file; once it is in place only its
 * folder is left to be synced. */
static void writes(void **state) {
    (void)state;
    for (fault = FAIL; fault < FAULTS; fault++) {
        bool done = false;
        int failures = 0;
        for (int call = 0; !done; call++) {
            for (size_t i = 0; i < VALUES; i++) old[i] = (double)i, values[i] = -(double)i - call;
            const nde_tensor before = tensor_of(old), t = tensor_of(values);
            countdown = -1;
            assert_int_equal(nde_tensors_save(path, &before, 1), NDE_OK);
            countdown = call;
            const nde_status status = nde_tensors_save(path, &t, 1);
            done = countdown >= 0;
            assert_int_equal(files(), 1);
            if (status) {
                assert_int_equal(status, NDE_E_IO);
                assert_true(fault == FAIL || fault == END);
                assert_true(holds(old) || (strstr(nde_error(), "folder") && holds(values)));
                failures++;
            } else assert_true(holds(values));
        }
        assert_true((fault == FAIL || fault == END) == (failures > 0));
    }
}

static void reads(void **state) {
    (void)state;
    for (size_t i = 0; i < VALUES; i++) old[i] = (double)i;
    const nde_tensor before = tensor_of(old), t = tensor_of(values);
    countdown = -1;
    assert_int_equal(nde_tensors_save(path, &before, 1), NDE_OK);
    for (fault = FAIL; fault < FAULTS; fault++) {
        bool done = false;
        for (int call = 0; !done; call++) {
            for (size_t i = 0; i < VALUES; i++) values[i] = 42;
            countdown = call;
            const nde_status status = nde_tensors_load(path, &t, 1);
            done = countdown >= 0;
            const bool harmless = done || fault == SHORT || fault == INTERRUPT;
            assert_int_equal(status, harmless ? NDE_OK : NDE_E_IO);
            for (size_t i = 0; i < VALUES; i++) assert_true(values[i] == (harmless ? (double)i : 42));
            if (done) assert_true(call > 1);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(writes), cmocka_unit_test(reads) };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
