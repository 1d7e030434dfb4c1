/* SPDX-License-Identifier: MIT
 * child.c - a reference program as a child process. */
#include "child.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* PROGRAM in the folder of this executable. */
static bool find(const char *program, char *path, size_t size) {
    const ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length < 0) return false;
    path[length] = 0;
    char *slash = strrchr(path, '/');
    if (!slash || (size_t)(slash + 1 - path) + strlen(program) >= size) return false;
    strcpy(slash + 1, program);
    return access(path, X_OK) == 0;
}

/* The child's standard input and output are in[0] and out[1]; were another end open in it, it would never
 * see the end of its input. */
static bool spawn(child *me, const char *path, char *const argv[]) {
    int in[2], out[2];
    posix_spawn_file_actions_t actions;
    if (pipe2(in, O_CLOEXEC)) return false;
    if (pipe2(out, O_CLOEXEC)) {
        close(in[0]), close(in[1]);
        return false;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    const bool started = posix_spawn(&me->pid, path, &actions, NULL, argv, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]), close(out[1]);
    me->to = fdopen(in[1], "w");
    me->from = fdopen(out[0], "r");
    if (!started) me->pid = 0;
    return started && me->to && me->from;
}

static bool read_answer(child *me) {
    char line[128];
    if (!fgets(line, sizeof line, me->from)) return false;
    if (sscanf(line, "%lld %lf %zu", &me->evaluations, &me->error, &me->count) != 3) return false;
    if (me->count == 0) return true;
    me->answer = calloc(me->count, sizeof *me->answer);
    return me->answer && fread(me->answer, sizeof *me->answer, me->count, me->from) == me->count;
}

bool child_start(child *me, const char *program, const char *name, const char *precision, char *text,
                 size_t text_size) {
    char path[4096], words[3][96];
    *me = (child){ .pid = 0 };
    *text = 0;
    if (!find(program, path, sizeof path)) return false;
    snprintf(me->name, sizeof me->name, "%s", program);
    snprintf(words[0], sizeof words[0], "%s", program);
    snprintf(words[1], sizeof words[1], "%s", name);
    snprintf(words[2], sizeof words[2], "%s", precision);
    char *const argv[] = { words[0], words[1], words[2], NULL };
    if (spawn(me, path, argv) && read_answer(me)) return true;
    snprintf(text, text_size, "%s %s %s does not answer", program, name, precision);
    child_end(me);
    return false;
}

double child_run(child *me, long times) {
    char line[64];
    if (fprintf(me->to, "%ld\n", times) < 0 || fflush(me->to)) return -1;
    return fgets(line, sizeof line, me->from) ? strtod(line, NULL) : -1;
}

void child_end(child *me) {
    if (me->to) fclose(me->to);
    if (me->from) fclose(me->from);
    if (me->pid > 0) waitpid(me->pid, NULL, 0);
    free(me->answer);
    *me = (child){ .pid = 0 };
}
