/* SPDX-License-Identifier: MIT
 * status.c - texts and names of statuses, and the error text of calls that have no object. */
#include "core/core.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NDE_TEXT_(x) #x
#define NDE_TEXT(x) NDE_TEXT_(x)

static const struct {
    nde_status value;
    const char *name, *text;
} list[] = {
#define NDE_X(name, value, text) { NDE_##name, #name, text },
    NDE_STATUS_LIST(NDE_X)
#undef NDE_X
};
enum { COUNT = sizeof list/sizeof *list };

/* The library's only variable: one text a thread, because a call without an object has no other place for it. */
static _Thread_local struct {
    char text[2][256]; /* the last one and the one before */
    int last;
} error;

static size_t find(int status) {
    size_t i = 0;
    while (i < COUNT && (int)list[i].value != status) i++;
    return i;
}

const char *nde_status_text(int status) {
    const size_t i = find(status);
    return i < COUNT ? list[i].text : "unknown status";
}

const char *nde_status_name(int status) {
    const size_t i = find(status);
    return i < COUNT ? list[i].name : "?";
}

nde_status nde_status_find(const char *name, nde_status *status) {
    if (!name || !status) return nde_fail(NDE_E_ARG, "nde_status_find: name and status must not be NULL");
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(list[i].name, name) == 0) {
            *status = list[i].value;
            return NDE_OK;
        }
    return nde_fail(NDE_E_ARG, "nde_status_find: no status is called '%.64s'", name);
}

nde_status nde_fail(nde_status status, const char *format, ...) {
    char text[sizeof error.text[0]]; /* an argument may be a text from here */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    error.last = !error.last;
    memcpy(error.text[error.last], text, sizeof text);
    return status;
}

void nde_fail_undo(void) { error.last = !error.last; }

const char *nde_error(void) { return error.text[error.last]; }

const char *nde_version(void) {
    return NDE_TEXT(NDE_VERSION_MAJOR) "." NDE_TEXT(NDE_VERSION_MINOR) "." NDE_TEXT(NDE_VERSION_PATCH);
}
