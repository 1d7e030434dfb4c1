/* SPDX-License-Identifier: MIT
 * npy.c - .npy files: there and back, through NumPy too; damaged in every way; disks that are full. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/files.h"

enum { COUNT = 600, MOST = 8192 };

static nde_real values[COUNT];

static int make_folder(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        values[i] = (nde_real)(nde_normal(1, 200, 0, i, 0)*pow(10, (double)(i % 60) - 30));
    values[3] = 0, values[4] = (nde_real)-0.0, values[5] = (nde_real)INFINITY,
        values[6] = (nde_real)NAN;
    return make_folder_for("values.npy");
}

static void there_and_back(void **state) {
    (void)state;
    for (size_t count = 0; count <= COUNT; count = 3*count + 1) {
        nde_real back[COUNT + 1];
        back[count] = 77;
        assert_int_equal(nde_npy_save(path, values, count), NDE_OK);
        assert_int_equal(nde_npy_load(path, back, count), NDE_OK);
        assert_memory_equal(back, values, count*sizeof *back);
        assert_true(back[count] == 77);
        assert_int_equal(files(), 1);
    }
    assert_int_equal(nde_npy_save(path, NULL, 0), NDE_OK);
    assert_int_equal(nde_npy_load(path, NULL, 0), NDE_OK);
}

static void a_bare_name_is_a_file_here(void **state) {
    (void)state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    nde_real back[3];
    assert_int_equal(nde_npy_save("values.npy", values, 3), NDE_OK);
    assert_int_equal(nde_npy_load("values.npy", back, 3), NDE_OK);
    assert_memory_equal(back, values, sizeof back);
    assert_int_equal(chdir(before), 0);
}

static int python(const char *program) {
    char command[1024];
    snprintf(command, sizeof command,
             "/usr/bin/python3 -c \"import sys, numpy as np; path, kind = '%s', '%s'; %s\"", path,
             sizeof(nde_real) == 8 ? "<f8" : "<f4", program);
    return system(command);
}

static void numpy_agrees(void **state) {
    (void)state;
    nde_real back[COUNT], line[5];
    assert_int_equal(nde_npy_save(path, values, COUNT), NDE_OK);
    assert_int_equal(python("a = np.load(path); assert a.dtype == kind and a.shape == (600,); "
                            "assert np.isnan(a[6]); np.save(path, a)"), 0);
    assert_int_equal(nde_npy_load(path, back, COUNT), NDE_OK);
    assert_memory_equal(back, values, sizeof back);
    assert_int_equal(python("np.save(path, np.array([1, 2, 4, 8, 16.5], kind))"), 0);
    assert_int_equal(nde_npy_load(path, line, 5), NDE_OK);
    assert_true(line[0] == 1 && line[3] == 8 && line[4] == (nde_real)16.5);
    const char *const others[] = {
        "np.save(path, np.zeros(5, '<f8' if kind == '<f4' else '<f4'))",
        "np.save(path, np.zeros(5, '>f8'))", "np.save(path, np.zeros(5, '<i8'))",
        "np.save(path, np.zeros((5, 1), kind))", "np.save(path, np.zeros((1, 5), kind))",
        "np.save(path, np.array(5, kind))",
        "np.save(path, np.zeros(4, kind))", "np.save(path, np.zeros(6, kind))",
        "np.save(path, np.zeros(5, [('x', kind)]))",
        "np.save(path, np.array([None]*5, object), allow_pickle=True)",
        "np.lib.format.write_array(open(path, 'wb'), np.zeros(5, kind), version=(2, 0))",
    };
    for (size_t i = 0; i < sizeof others/sizeof *others; i++) {
        line[0] = 42;
        assert_int_equal(python(others[i]), 0);
        assert_int_equal(nde_npy_load(path, line, 5), NDE_E_IO);
        assert_non_null(strstr(nde_error(), "values.npy"));
        assert_true(line[0] == 42);
    }
}

static void truncated_anywhere(void **state) {
    (void)state;
    unsigned char bytes[MOST];
    nde_real back[20];
    assert_int_equal(nde_npy_save(path, values, 20), NDE_OK);
    const size_t size = slurp(bytes, MOST);
    assert_int_equal(size, 128 + 20*sizeof(nde_real));
    for (size_t cut = 0; cut < size; cut++) {
        spill(bytes, cut);
        back[0] = 42;
        assert_int_equal(nde_npy_load(path, back, 20), NDE_E_IO);
        assert_true(strlen(nde_error()) > 20 && back[0] == 42);
    }
    bytes[size] = 0;
    spill(bytes, size + 1);
    assert_int_equal(nde_npy_load(path, back, 20), NDE_E_IO);
}

/* Every byte of the dictionary with every value, and every other bit: it is refused, or it means
 * the same. */
static void changed_anywhere(void **state) {
    (void)state;
    unsigned char bytes[MOST];
    nde_real back[4];
    assert_int_equal(nde_npy_save(path, values, 4), NDE_OK);
    const size_t size = slurp(bytes, MOST);
    const int file = open(path, O_WRONLY);
    assert_true(file >= 0);
    for (size_t i = 0; i < size; i++) {
        for (int flip = 1; flip < 256; flip = i < 80 ? flip + 1 : 2*flip) {
            const unsigned char byte = bytes[i] ^ (unsigned char)flip;
            assert_int_equal(pwrite(file, &byte, 1, (off_t)i), 1);
            const nde_status status = nde_npy_load(path, back, 4);
            assert_true(status == NDE_OK || status == NDE_E_IO);
            if (status == NDE_OK && i < 128) assert_memory_equal(back, values, sizeof back);
            if (i < 10) assert_int_equal(status, NDE_E_IO);
            if (i >= 128) assert_int_equal(status, NDE_OK);
        }
        assert_int_equal(pwrite(file, &bytes[i], 1, (off_t)i), 1);
    }
    close(file);
}

static size_t with_header(unsigned char *bytes, const char *dictionary, size_t padding) {
    const size_t length = strlen(dictionary), header = length + padding;
    memcpy(bytes, "\x93NUMPY\x01\x00", 8);
    bytes[8] = (unsigned char)header, bytes[9] = (unsigned char)(header >> 8);
    memset(bytes + 10, ' ', header + 2*sizeof(nde_real));
    memcpy(bytes + 10, dictionary, length);
    return 10 + header + 2*sizeof(nde_real);
}

static void headers(void **state) {
    (void)state;
    static unsigned char bytes[MOST];
    nde_real back[2];
    const char *const good[] = {
        "{'descr': '%s', 'fortran_order': False, 'shape': (2,), }\n",
        "{'shape':(2,),\"descr\":\"%s\",'fortran_order':True}",
        "  { 'fortran_order' : False , 'shape' : ( 2 , ) , 'descr' : '%s' }  ",
        "{'descr': '%s', 'fortran_order': False, 'shape': (0002,)}",
    };
    const char *const bad[] = {
        "", "{", "{}", "()", "{'descr': '%s'}", "{'descr': '%s', 'fortran_order': False}",
        "{'descr': '%s', 'fortran_order': False, 'shape': (2,)",
        "{'descr': '%s', 'descr': '%s', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '%s', 'fortran_order': 0, 'shape': (2,)}",
        "{'descr': '%s', 'fortran_order': False, 'shape': (2)}",
        "{'descr': '%s', 'fortran_order': False, 'shape': (-2,)}",
        "{'descr': '%s', 'fortran_order': False, 'shape': (2,1)}",
        "{'descr': '%s', 'fortran_order': False, 'shape': ()}",
        "{'descr': '%s', 'fortran_order': False, 'shape': (18446744073709551618,)}",
        "{'descr': '%s', 'fortran_order': False, 'shape': 2}",
        "{'descr': '%s', 'fortran_order': False, 'shape': (2,), 'x': 1}",
        "{'descr': '%s' 'fortran_order': False 'shape': (2,)}",
        "{'descr': '%s', 'fortran_order': False, 'shape': (2,)}}",
        "{'descr': '%s, 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '%s', 'fortran_order': False, 'shape': (2,)} 1", "{,}", "{'descr: '%s'",
        "{'descr': '%s\\", "{'descr': '<f8<f8<f8<f8<f8<f8<f8'",
    };
    const char *type = sizeof(nde_real) == 8 ? "<f8" : "<f4";
    char text[256];
    for (size_t i = 0; i < sizeof good/sizeof *good; i++) {
        snprintf(text, sizeof text, "%s", good[i]);
        char *hole = strstr(text, "%s");
        memmove(hole + 1, hole, strlen(hole) + 1), memcpy(hole, type, 3);
        spill(bytes, with_header(bytes, text, i == 0 ? 3000 : 0));
        assert_int_equal(nde_npy_load(path, back, 2), NDE_OK);
    }
    for (size_t i = 0; i < sizeof bad/sizeof *bad; i++) {
        snprintf(text, sizeof text, "%s", bad[i]);
        for (char *hole; (hole = strstr(text, "%s"));)
            memmove(hole + 1, hole, strlen(hole) + 1), memcpy(hole, type, 3);
        spill(bytes, with_header(bytes, text, 0));
        assert_int_equal(nde_npy_load(path, back, 2), NDE_E_IO);
    }
    snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (2,)}", type);
    spill(bytes, with_header(bytes, text, 5000)); /* longer than any header of a vector */
    assert_int_equal(nde_npy_load(path, back, 2), NDE_E_IO);
    const size_t size = with_header(bytes, text, 5);
    bytes[10 + strlen(text) + 2] = 0; /* a zero byte must not hide what follows */
    spill(bytes, size);
    assert_int_equal(nde_npy_load(path, back, 2), NDE_E_IO);
}

/* A full disk at every place: an error, nothing left behind, the old file whole. */
static void full_disk(void **state) {
    (void)state;
    nde_real back[4];
    struct rlimit limit, small;
    assert_int_equal(nde_npy_save(path, values, 4), NDE_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t most = 0; most < 128 + COUNT*sizeof(nde_real); most += 61) {
        small = limit, small.rlim_cur = most;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        const nde_status status = nde_npy_save(path, values + 100, COUNT - 100);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        if (most >= 128 + (COUNT - 100)*sizeof(nde_real)) {
            assert_int_equal(status, NDE_OK);
            break;
        }
        assert_int_equal(status, NDE_E_IO);
        assert_int_equal(files(), 1);
        assert_int_equal(nde_npy_load(path, back, 4), NDE_OK);
        assert_memory_equal(back, values, sizeof back);
    }
    signal(SIGXFSZ, SIG_DFL);
}

static void impossible_places(void **state) {
    (void)state;
    char other[256], long_name[5000];
    nde_real back[1];
    snprintf(other, sizeof other, "%s/missing/x.npy", folder);
    assert_int_equal(nde_npy_save(other, values, 1), NDE_E_IO);
    assert_non_null(strstr(nde_error(), "missing/x.npy"));
    assert_int_equal(nde_npy_load(other, back, 1), NDE_E_IO);
    assert_int_equal(nde_npy_load(folder, back, 1), NDE_E_IO);
    /* the name is taken by a folder: renaming fails */
    snprintf(other, sizeof other, "%s/folder", folder);
    assert_int_equal(mkdir(other, 0700), 0);
    const int before = files();
    assert_int_equal(nde_npy_save(other, values, 1), NDE_E_IO);
    assert_int_equal(files(), before);
    assert_int_equal(rmdir(other), 0);
    memset(long_name, 'a', sizeof long_name), long_name[4998] = '/', long_name[4999] = 0;
    assert_int_equal(nde_npy_save(long_name, values, 1), NDE_E_IO);
    snprintf(other, sizeof other, "%s/pipe", folder);
    assert_int_equal(mkfifo(other, 0600), 0);
    assert_int_equal(nde_npy_load(other, back, 1), NDE_E_IO);
    assert_int_equal(unlink(other), 0);
}

static void arguments(void **state) {
    (void)state;
    nde_real back[1];
    assert_int_equal(nde_npy_save(NULL, values, 1), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "file is NULL"));
    assert_int_equal(nde_npy_save("", values, 1), NDE_E_ARG);
    assert_int_equal(nde_npy_save(path, NULL, 1), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "values is NULL"));
    assert_int_equal(nde_npy_load(NULL, back, 1), NDE_E_ARG);
    assert_int_equal(nde_npy_load("", back, 1), NDE_E_ARG);
    assert_int_equal(nde_npy_load(path, NULL, 1), NDE_E_ARG);
    assert_int_equal(nde_npy_load(path, back, SIZE_MAX/2), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "count"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(a_bare_name_is_a_file_here),
        cmocka_unit_test(numpy_agrees),
        cmocka_unit_test(truncated_anywhere), cmocka_unit_test(changed_anywhere),
        cmocka_unit_test(headers),
        cmocka_unit_test(full_disk), cmocka_unit_test(impossible_places),
        cmocka_unit_test(arguments),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
