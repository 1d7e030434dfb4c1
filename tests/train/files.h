/* SPDX-License-Identifier: MIT
 * files.h - a folder with one file in it, for tests of what is written and read: the whole file in and out of memory. */
#ifndef NDE_TEST_FILES_H
#define NDE_TEST_FILES_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], path[128];

/* A fresh folder, and the path of `name` in it. Returns what cmocka wants of a set-up. */
static inline int make_folder_for(const char *name) {
    snprintf(folder, sizeof folder, "/tmp/nde-test-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return 0;
}

static inline int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when something was left behind */
}

/* Files in the folder. */
static inline int files(void) {
    int count = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) count += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    closedir(d);
    return count;
}

/* At most `most` bytes of the file; how many. */
static inline size_t slurp(unsigned char *bytes, size_t most) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    const size_t size = fread(bytes, 1, most, f);
    fclose(f);
    return size;
}

static inline void spill(const void *bytes, size_t size) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

#endif
