/* Makes the n-th change that a process makes below a folder fail, or ends the process there.

   Loaded before the C library (LD_PRELOAD), so that Python and C libraries are seen alike. Counts
   what changes a file or folder below one root: opening for writing, writing, syncing, renaming,
   linking, removing, making folders, cutting. Does nothing until it is armed, and then only in the
   process that was armed and those that it forks. What the C library writes by itself (fwrite,
   fprintf) passes unseen: nothing that is tested here writes so.

   What happened stands in memory that is shared with the process that forks the others, so that it
   can be read after a kill. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN = 1, WRITE, SYNC, RENAME, LINK, UNLINK, MKDIR, TRUNCATE, COPY };
enum mode { COUNT = 0, FAIL, FULL, HALF, KILL_BEFORE, KILL_AFTER, KILL_HALF, STOP };

#define MOST 8192 /* operations that are remembered by kind and name */
#define NAME 112
#define CLONE 0x40049409 /* FICLONE */

struct told { /* as helpers/fork_server.py reads it */
    _Atomic long count;
    _Atomic long hit; /* whether the n-th was reached */
    struct { int kind; char name[NAME]; } seen[MOST];
};

static struct told *told;
static volatile int armed;
static char root[PATH_MAX];
static size_t root_length;
static long nth;
static enum mode mode;
static int number;            /* errno of FAIL */
static volatile int disk_full; /* from the n-th operation on, for FULL and HALF */

/* -- what the fork server calls ---------------------------------------------------------------- */

void *faults_prepare(void) {
    if (!told) {
        told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (told == MAP_FAILED) abort();
    }
    return told;
}

void faults_clear(void) { memset(told, 0, sizeof *told); }

/* A second process of the same case: it counts for itself, and nothing happens to it. */
void faults_arm(const char *folder, long at, int how, int error) {
    if (!realpath(folder, root)) abort();
    root_length = strlen(root);
    nth = at, mode = how, number = error, disk_full = 0;
    armed = 1;
}

/* -- which of them count ----------------------------------------------------------------------- */

static int is_below(const char *path) {
    return !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int path_of(int file, char *path) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return length > 0;
}

/* Where a name leads, with the links of its folder followed, but not one in its last place. */
static int full_path(int folder, const char *name, char *path) {
    char whole[2 * PATH_MAX], above[PATH_MAX];
    if (!name || !*name) return 0;
    if (*name == '/') above[0] = 0;
    else if (folder == AT_FDCWD ? !getcwd(above, sizeof above) : !path_of(folder, above)) return 0;
    snprintf(whole, sizeof whole, "%s/%s", above, name);
    size_t end = strlen(whole);
    while (end > 1 && whole[end - 1] == '/') whole[--end] = 0;
    char *last = strrchr(whole, '/');
    *last = 0;
    if (!realpath(*whole ? whole : "/", path)) return 0;
    size_t length = strlen(path);
    snprintf(path + length, PATH_MAX - length, "/%s", last + 1);
    return 1;
}

static int takes_room(enum kind kind) {
    return kind == OPEN || kind == WRITE || kind == LINK || kind == MKDIR || kind == COPY;
}

/* Counts an operation; -1: it fails, with errno set. 1: it is the n-th and goes on. */
static int count(enum kind kind, const char *path) {
    long at = atomic_fetch_add(&told->count, 1);
    if (at < MOST) {
        told->seen[at].kind = kind;
        snprintf(told->seen[at].name, NAME, "%s", path + root_length);
    }
    if (disk_full && takes_room(kind)) return errno = ENOSPC, -1;
    if (at != nth || mode == COUNT) return 0;
    atomic_store(&told->hit, 1);
    switch (mode) {
    case KILL_BEFORE: kill(getpid(), SIGKILL); for (;;) pause();
    case STOP: raise(SIGSTOP); return 0;
    case FAIL: return errno = number, -1;
    case FULL: disk_full = 1; return errno = ENOSPC, -1;
    default: return 1; /* HALF, KILL_HALF, KILL_AFTER: see `after` */
    }
}

static void after(int state) {
    if (state == 1 && (mode == KILL_AFTER || mode == KILL_HALF)) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
}

static int count_file(enum kind kind, int file) {
    char path[PATH_MAX];
    return path_of(file, path) && is_below(path) ? count(kind, path) : 0;
}

static int count_name(enum kind kind, int folder, const char *name) {
    char path[PATH_MAX + NAME_MAX + 2];
    return full_path(folder, name, path) && is_below(path) ? count(kind, path) : 0;
}

/* How much of a write happens: half of the n-th where that is asked for, and then the disk is full. */
static size_t share(int state, size_t size) {
    if (state != 1 || (mode != HALF && mode != KILL_HALF)) return size;
    disk_full = mode == HALF;
    return size / 2;
}

/* -- the operations ---------------------------------------------------------------------------- */

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* An operation whose answer is -1 where it fails. */
#define CHANGE(type, name, signature, arguments, counted) \
    type name signature { \
        static type (*real) signature; \
        if (!real) real = (type (*) signature)dlsym(RTLD_NEXT, #name); \
        if (!armed) return real arguments; \
        int state = counted; \
        if (state < 0) return -1; \
        type answer = real arguments; \
        int kept = errno; \
        after(state); \
        errno = kept; \
        return answer; \
    }

#define WRITING(name, signature, arguments, size) \
    ssize_t name signature { \
        static ssize_t (*real) signature; \
        if (!real) real = (ssize_t (*) signature)dlsym(RTLD_NEXT, #name); \
        if (!armed) return real arguments; \
        int state = count_file(WRITE, file); \
        if (state < 0) return -1; \
        size = share(state, size); \
        if (state == 1 && !size && disk_full) return errno = ENOSPC, -1; \
        ssize_t answer = size || state != 1 ? real arguments : 0; \
        int kept = errno; \
        after(state); \
        errno = kept; \
        return answer; \
    }

WRITING(write, (int file, const void *data, size_t size), (file, data, size), size)
WRITING(pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at), size)
WRITING(pwrite64, (int file, const void *data, size_t size, off64_t at), (file, data, size, at), size)

static ssize_t gathered(int file, const struct iovec *parts, int count_of, off_t at, int placed) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    static ssize_t (*real_at)(int, const struct iovec *, int, off_t);
    if (!real_at) real_at = dlsym(RTLD_NEXT, "pwritev");
    int state = armed ? count_file(WRITE, file) : 0;
    if (state < 0) return -1;
    struct iovec half;
    if (state == 1 && (mode == HALF || mode == KILL_HALF) && count_of > 0) {
        half = parts[0];
        half.iov_len = share(state, half.iov_len);
        parts = &half, count_of = 1;
    }
    ssize_t answer = placed ? real_at(file, parts, count_of, at) : real(file, parts, count_of);
    int kept = errno;
    after(state);
    errno = kept;
    return answer;
}

ssize_t writev(int file, const struct iovec *parts, int n) { return gathered(file, parts, n, 0, 0); }
ssize_t pwritev(int file, const struct iovec *parts, int n, off_t at) {
    return gathered(file, parts, n, at, 1);
}
ssize_t pwritev64(int file, const struct iovec *parts, int n, off64_t at) {
    return gathered(file, parts, n, at, 1);
}

#define COPYING(name, signature, arguments, target, size) \
    ssize_t name signature { \
        static ssize_t (*real) signature; \
        if (!real) real = (ssize_t (*) signature)dlsym(RTLD_NEXT, #name); \
        if (!armed) return real arguments; \
        int state = count_file(COPY, target); \
        if (state < 0) return -1; \
        if (state == 1 && (mode == HALF || mode == KILL_HALF)) { \
            struct stat about; \
            if (!fstat(from, &about) && (size_t)about.st_size < size) size = about.st_size; \
            size = share(state, size); \
        } \
        ssize_t answer = real arguments; \
        int kept = errno; \
        after(state); \
        errno = kept; \
        return answer; \
    }

COPYING(sendfile, (int to, int from, off_t *at, size_t size), (to, from, at, size), to, size)
COPYING(sendfile64, (int to, int from, off64_t *at, size_t size), (to, from, at, size), to, size)
COPYING(copy_file_range, (int from, off64_t *a, int to, off64_t *b, size_t size, unsigned flags),
        (from, a, to, b, size, flags), to, size)

CHANGE(int, fsync, (int file), (file), count_file(SYNC, file))
CHANGE(int, fdatasync, (int file), (file), count_file(SYNC, file))
CHANGE(int, ftruncate, (int file, off_t size), (file, size), count_file(TRUNCATE, file))
CHANGE(int, ftruncate64, (int file, off64_t size), (file, size), count_file(TRUNCATE, file))
CHANGE(int, truncate, (const char *name, off_t size), (name, size),
       count_name(TRUNCATE, AT_FDCWD, name))
CHANGE(int, truncate64, (const char *name, off64_t size), (name, size),
       count_name(TRUNCATE, AT_FDCWD, name))
CHANGE(int, rename, (const char *from, const char *to), (from, to),
       count_name(RENAME, AT_FDCWD, to))
CHANGE(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to),
       count_name(RENAME, b, to))
CHANGE(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
       (a, from, b, to, flags), count_name(RENAME, b, to))
CHANGE(int, link, (const char *from, const char *to), (from, to), count_name(LINK, AT_FDCWD, to))
CHANGE(int, linkat, (int a, const char *from, int b, const char *to, int flags),
       (a, from, b, to, flags), count_name(LINK, b, to))
CHANGE(int, symlink, (const char *from, const char *to), (from, to), count_name(LINK, AT_FDCWD, to))
CHANGE(int, symlinkat, (const char *from, int b, const char *to), (from, b, to),
       count_name(LINK, b, to))
CHANGE(int, unlink, (const char *name), (name), count_name(UNLINK, AT_FDCWD, name))
CHANGE(int, unlinkat, (int folder, const char *name, int flags), (folder, name, flags),
       count_name(UNLINK, folder, name))
CHANGE(int, rmdir, (const char *name), (name), count_name(UNLINK, AT_FDCWD, name))
CHANGE(int, mkdir, (const char *name, mode_t bits), (name, bits), count_name(MKDIR, AT_FDCWD, name))
CHANGE(int, mkdirat, (int folder, const char *name, mode_t bits), (folder, name, bits),
       count_name(MKDIR, folder, name))
CHANGE(int, creat, (const char *name, mode_t bits), (name, bits), count_name(OPEN, AT_FDCWD, name))
CHANGE(int, creat64, (const char *name, mode_t bits), (name, bits), count_name(OPEN, AT_FDCWD, name))

#define OPENING(name, signature, arguments, folder) \
    int name signature { \
        mode_t bits = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            bits = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        static int (*opens) arguments; \
        if (!opens) opens = dlsym(RTLD_NEXT, #name); \
        int state = armed && flags & (O_CREAT | O_TRUNC) ? count_name(OPEN, folder, path) : 0; \
        if (state < 0) return -1; \
        int answer = CALL_##name; \
        int kept = errno; \
        after(state); \
        errno = kept; \
        return answer; \
    }
#define CALL_open opens(path, flags, bits)
#define CALL_open64 opens(path, flags, bits)
#define CALL_openat opens(below, path, flags, bits)
#define CALL_openat64 opens(below, path, flags, bits)

OPENING(open, (const char *path, int flags, ...), (const char *, int, ...), AT_FDCWD)
OPENING(open64, (const char *path, int flags, ...), (const char *, int, ...), AT_FDCWD)
OPENING(openat, (int below, const char *path, int flags, ...), (int, const char *, int, ...), below)
OPENING(openat64, (int below, const char *path, int flags, ...), (int, const char *, int, ...), below)

static FILE *opened(FILE *(*real)(const char *, const char *), const char *path, const char *how) {
    int state = armed && strpbrk(how, "wa+x") ? count_name(OPEN, AT_FDCWD, path) : 0;
    if (state < 0) return NULL;
    FILE *answer = real(path, how);
    int kept = errno;
    after(state);
    errno = kept;
    return answer;
}

FILE *fopen(const char *path, const char *how) {
    REAL(FILE *, fopen, const char *, const char *);
    return opened(real, path, how);
}

FILE *fopen64(const char *path, const char *how) {
    REAL(FILE *, fopen64, const char *, const char *);
    return opened(real, path, how);
}

int ioctl(int file, unsigned long request, ...) {
    REAL(int, ioctl, int, unsigned long, void *);
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    int state = armed && request == CLONE ? count_file(COPY, file) : 0;
    if (state < 0) return -1;
    int answer = real(file, request, argument);
    int kept = errno;
    after(state);
    errno = kept;
    return answer;
}
