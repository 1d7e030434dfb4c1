/* SPDX-License-Identifier: MIT
 * disk.c - files: replaced as a whole, opened as hostile input; bytes in the file's order. */
#include "train/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME = sizeof ((nde_replacement *)0)->temporary, BUFFER = sizeof ((nde_replacement *)0)->buffer, OWN = 64 };
/* No value of errno. */
enum { NOT_REGULAR = -1 };

static const char *text_of(int error) { return error == NOT_REGULAR ? "it is not a regular file" : strerror(error); }

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* Bytes of the folder's name in file, its slash included. */
static size_t folder_of(const char *file) {
    const char *slash = strrchr(file, '/');
    return slash ? (size_t)(slash + 1 - file) : 0;
}

/* A rename would put a file in the place of a device or a pipe. */
static int occupied(const char *file) {
    struct stat about;
    return stat(file, &about) == 0 && !S_ISREG(about.st_mode) ? NOT_REGULAR : 0;
}

/* Does the name still mean this file, one of ours without another name? */
static bool is_ours(int file, const char *name) {
    struct stat about, named;
    return fstat(file, &about) == 0 && lstat(name, &named) == 0 && about.st_ino == named.st_ino &&
        about.st_dev == named.st_dev && S_ISREG(about.st_mode) && about.st_nlink == 1 && about.st_uid == geteuid();
}

/* Opens a file of this name to write it alone: a new one, or one that a killed process left behind. -1: errno says why;
 * EEXIST: it is taken. Who writes a file holds its lock until it has its new name; between open and lock another may have
 * come, written it and given it that name. */
static int open_alone(const char *name) {
    int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    const bool is_new = file >= 0;
    if (!is_new && errno != EEXIST) return -1;
    if (!is_new) file = open(name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file >= 0) {
        const bool locked = flock(file, LOCK_EX | LOCK_NB) == 0;
        if (!locked && is_new && errno != EWOULDBLOCK) return file; /* a disk without locks: nothing is ever taken over there */
        if (locked && is_ours(file, name) && ftruncate(file, 0) == 0) return file;
        close(file);
    }
    return errno = EEXIST, -1;
}

void nde_replacement_begin(nde_replacement *r, const char *file) {
    const size_t folder = folder_of(file);
    r->file = file, r->out = -1, r->used = 0;
    r->error = folder > NAME - OWN ? ENAMETOOLONG : occupied(file);
    if (r->error) return;
    memcpy(r->temporary, file, folder);
    for (int attempt = 0; attempt < 1000 && r->out < 0; attempt++) {
        snprintf(r->temporary + folder, OWN, ".nde-%d.tmp", attempt);
        r->out = open_alone(r->temporary);
        if (r->out < 0 && errno != EEXIST) break;
    }
    if (r->out < 0) r->error = errno;
}

/* All of it, however often it is interrupted or comes short. */
static void write_all(nde_replacement *r, const unsigned char *bytes, size_t count) {
    while (count && !r->error) {
        const ssize_t done = write(r->out, bytes, count);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) r->error = done < 0 ? errno : EIO;
        else bytes += done, count -= (size_t)done;
    }
}

static void flush(nde_replacement *r) {
    write_all(r, r->buffer, r->used);
    r->used = 0;
}

void nde_replacement_write(nde_replacement *r, const void *bytes, size_t count) {
    if (!count) return;
    if (count > BUFFER - r->used) flush(r);
    if (count > BUFFER) {
        write_all(r, bytes, count);
        return;
    }
    memcpy(r->buffer + r->used, bytes, count);
    r->used += count;
}

/* The new name is on the disk when its folder is. 0, or errno; a folder that cannot be opened or synced for reasons of its kind
 * does not count. */
static int sync_folder(nde_replacement *r) {
    const size_t folder = folder_of(r->file);
    memcpy(r->temporary, folder ? r->file : ".", folder ? folder : 1);
    r->temporary[folder ? folder : 1] = 0;
    const int in = open(r->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (in < 0) return 0;
    const int error = fsync(in) != 0 && errno != EINVAL ? errno : 0;
    close(in);
    return error;
}

nde_status nde_replacement_end(nde_replacement *r, const char *function) {
    if (r->out >= 0) {
        flush(r);
        if (!r->error && fsync(r->out) != 0) r->error = errno;
        if (!r->error && rename(r->temporary, r->file) != 0) r->error = errno;
        if (r->error) unlink(r->temporary);
        close(r->out); /* with the lock, which must last until the name is gone */
    }
    if (r->error) return nde_fail(NDE_E_IO, "%s: cannot write '%s': %s", function, r->file, text_of(r->error));
    const int error = sync_folder(r);
    if (!error) return NDE_OK;
    return nde_fail(NDE_E_IO, "%s: '%s' is written, its folder cannot be synced: %s", function, r->file, strerror(error));
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

nde_status nde_input_open(nde_input *input, const char *function, const char *file) {
    struct stat about;
    *input = (nde_input){ .in = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }; /* nonblocking: a pipe must not hang */
    int error = input->in < 0 || fstat(input->in, &about) != 0 ? errno : S_ISREG(about.st_mode) ? 0 : NOT_REGULAR;
    if (!error && about.st_size < 0) error = EOVERFLOW;
    if (!error) input->size = (uint64_t)about.st_size;
    if (!error) return NDE_OK;
    if (input->in >= 0) close(input->in);
    return nde_fail(NDE_E_IO, "%s: cannot read '%s': %s", function, file, text_of(error));
}

bool nde_input_read(nde_input *input, void *bytes, size_t count) {
    unsigned char *to = bytes;
    while (count) {
        const ssize_t done = pread(input->in, to, count, (off_t)input->at);
        if (done < 0 && errno == EINTR) continue;
        if (done == 0) errno = 0;
        if (done <= 0) return false;
        to += done, count -= (size_t)done, input->at += (uint64_t)done;
    }
    return true;
}

void nde_input_close(nde_input *input) { close(input->in); }

const char *nde_input_reason(void) { return errno ? strerror(errno) : "it ends too early"; }

/* ---- bytes ----------------------------------------------------------------------------------------------------------- */

bool nde_is_little_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

void nde_little_endian(void *to, const void *from, size_t count, size_t width) {
    if (!count) return;
    if (to != from) memcpy(to, from, count*width);
    if (nde_is_little_endian()) return;
    for (unsigned char *value = to; count; count--, value += width)
        for (size_t i = 0; i < width/2; i++) {
            const unsigned char low = value[i];
            value[i] = value[width - 1 - i], value[width - 1 - i] = low;
        }
}
