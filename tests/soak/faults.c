/*
 * Failing disks and jumping clocks for one process, by LD_PRELOAD: the first process that loads it, not its children.
 *
 * FAULTS_ROOT    only files below this folder count
 * FAULTS_CALL    only this call counts; unset: all of them
 * FAULTS_NAME    only paths that hold this count; unset: all of them
 * FAULTS_AT      number of the call that fails, from 1; 0 or unset: none
 * FAULTS_ERRNO   what it fails with
 * FAULTS_LASTING 1: every later call fails too, as on a full disk
 * FAULTS_LOG     gets a line "number call path" for the call that failed first; with FAULTS_TRACE=1 for every call
 * FAULTS_CLOCK   the wall clock jumps after every so many readings of it; unset: never
 *
 * Calls that count: write, pwrite, writev, fsync, fdatasync, rename, link, open for writing, ftruncate, fallocate,
 * mkdir, each in all its spellings.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *root, *log_path, *only_call, *only_name;
static size_t root_length;
static long fail_at, clock_every;
static int fail_errno, lasting, trace;
static pid_t owner;
static atomic_long calls, readings;

__attribute__((constructor)) static void prepare(void)
{
    char text[32];
    const char *named = getenv("FAULTS_OWNER");
    if (named == NULL) {
        snprintf(text, sizeof text, "%d", (int)getpid());
        setenv("FAULTS_OWNER", text, 1);
        owner = getpid();
    } else {
        owner = (pid_t)atol(named);
    }
    root = getenv("FAULTS_ROOT");
    root_length = root ? strlen(root) : 0;
    only_call = getenv("FAULTS_CALL");
    only_name = getenv("FAULTS_NAME");
    log_path = getenv("FAULTS_LOG");
    fail_at = getenv("FAULTS_AT") ? atol(getenv("FAULTS_AT")) : 0;
    fail_errno = getenv("FAULTS_ERRNO") ? atoi(getenv("FAULTS_ERRNO")) : EIO;
    lasting = getenv("FAULTS_LASTING") != NULL && *getenv("FAULTS_LASTING") == '1';
    trace = getenv("FAULTS_TRACE") != NULL && *getenv("FAULTS_TRACE") == '1';
    clock_every = getenv("FAULTS_CLOCK") ? atol(getenv("FAULTS_CLOCK")) : 0;
}

/* Straight to the kernel: this must not count itself. */
static void note(long number, const char *call, const char *path)
{
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%ld %s %s\n", number, call, path);
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (descriptor >= 0) {
        if (syscall(SYS_write, descriptor, line, (size_t)length) < 0)
            abort();
        syscall(SYS_close, descriptor);
    }
}

/* Whether this call on this path is the one, or one of those, that fail; sets errno then. */
static int fails(const char *call, const char *path)
{
    long number;
    if (root == NULL || path == NULL || strncmp(path, root, root_length) != 0 || getpid() != owner)
        return 0;
    if ((only_call && strcmp(call, only_call) != 0) || (only_name && strstr(path, only_name) == NULL))
        return 0;
    number = atomic_fetch_add(&calls, 1) + 1;
    if (trace && log_path)
        note(number, call, path);
    if (fail_at == 0 || number < fail_at || (number > fail_at && !lasting))
        return 0;
    if (!trace && log_path && number == fail_at)
        note(number, call, path);
    errno = fail_errno;
    return 1;
}

static int fails_on(const char *call, int descriptor)
{
    char link[64], path[PATH_MAX];
    ssize_t length;
    int former = errno;
    if (root == NULL || getpid() != owner)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, path, sizeof path - 1);
    errno = former;
    if (length < 0)
        return 0;
    path[length] = '\0';
    return fails(call, path);
}

#define REAL(result, name, ...)                                       \
    static result (*real)(__VA_ARGS__);                               \
    if (real == NULL)                                                 \
        real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define WRITE_CALL(name, offset_type)                                                    \
    ssize_t name(int descriptor, const void *data, size_t size, offset_type offset)      \
    {                                                                                    \
        REAL(ssize_t, name, int, const void *, size_t, offset_type);                     \
        return fails_on("pwrite", descriptor) ? -1 : real(descriptor, data, size, offset); \
    }
WRITE_CALL(pwrite, off_t)
WRITE_CALL(pwrite64, off64_t)

ssize_t write(int descriptor, const void *data, size_t size)
{
    REAL(ssize_t, write, int, const void *, size_t);
    return fails_on("write", descriptor) ? -1 : real(descriptor, data, size);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count)
{
    REAL(ssize_t, writev, int, const struct iovec *, int);
    return fails_on("writev", descriptor) ? -1 : real(descriptor, parts, count);
}

#define SYNC_CALL(name)                                          \
    int name(int descriptor)                                     \
    {                                                            \
        REAL(int, name, int);                                    \
        return fails_on(#name, descriptor) ? -1 : real(descriptor); \
    }
SYNC_CALL(fsync)
SYNC_CALL(fdatasync)

#define LENGTH_CALL(name, offset_type)                                        \
    int name(int descriptor, offset_type length)                              \
    {                                                                         \
        REAL(int, name, int, offset_type);                                    \
        return fails_on("ftruncate", descriptor) ? -1 : real(descriptor, length); \
    }
LENGTH_CALL(ftruncate, off_t)
LENGTH_CALL(ftruncate64, off64_t)

#define RESERVE_CALL(name, offset_type)                                                       \
    int name(int descriptor, offset_type offset, offset_type length)                          \
    {                                                                                         \
        REAL(int, name, int, offset_type, offset_type);                                       \
        return fails_on("fallocate", descriptor) ? fail_errno : real(descriptor, offset, length); \
    }
RESERVE_CALL(posix_fallocate, off_t)
RESERVE_CALL(posix_fallocate64, off64_t)

#define PAIR_CALL(name)                                          \
    int name(const char *from, const char *to)                   \
    {                                                            \
        REAL(int, name, const char *, const char *);             \
        return fails(#name, to) ? -1 : real(from, to);           \
    }
PAIR_CALL(rename)
PAIR_CALL(link)

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    REAL(int, renameat, int, const char *, int, const char *);
    return fails("rename", to) ? -1 : real(from_dir, from, to_dir, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
    REAL(int, renameat2, int, const char *, int, const char *, unsigned int);
    return fails("rename", to) ? -1 : real(from_dir, from, to_dir, to, flags);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    REAL(int, linkat, int, const char *, int, const char *, int);
    return fails("link", to) ? -1 : real(from_dir, from, to_dir, to, flags);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(int, mkdir, const char *, mode_t);
    return fails("mkdir", path) ? -1 : real(path, mode);
}

static mode_t mode_of(int flags, va_list rest)
{
    return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(rest, int) : 0;
}

#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & O_CREAT))

#define OPEN_CALL(name)                                                                  \
    int name(const char *path, int flags, ...)                                           \
    {                                                                                    \
        REAL(int, name, const char *, int, ...);                                         \
        va_list rest;                                                                    \
        va_start(rest, flags);                                                           \
        mode_t mode = mode_of(flags, rest);                                              \
        va_end(rest);                                                                    \
        return WRITES(flags) && fails("open", path) ? -1 : real(path, flags, mode);      \
    }
OPEN_CALL(open)
OPEN_CALL(open64)

#define OPENAT_CALL(name)                                                                     \
    int name(int directory, const char *path, int flags, ...)                                 \
    {                                                                                         \
        REAL(int, name, int, const char *, int, ...);                                         \
        va_list rest;                                                                         \
        va_start(rest, flags);                                                                \
        mode_t mode = mode_of(flags, rest);                                                   \
        va_end(rest);                                                                         \
        return WRITES(flags) && fails("open", path) ? -1 : real(directory, path, flags, mode); \
    }
OPENAT_CALL(openat)
OPENAT_CALL(openat64)

/* Seconds that the wall clock is off: right, a day early, ten years late, an hour late, and so on. */
static time_t offset(void)
{
    static const time_t offsets[] = {0, -86400, 315360000, 3600};
    if (clock_every == 0 || getpid() != owner)
        return 0;
    return offsets[atomic_fetch_add(&readings, 1) / clock_every % 4];
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    int result = real(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *now, void *zone)
{
    REAL(int, gettimeofday, struct timeval *, void *);
    int result = real(now, zone);
    if (result == 0)
        now->tv_sec += offset();
    return result;
}

time_t time(time_t *now)
{
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return (time_t)-1;
    if (now)
        *now = precise.tv_sec;
    return precise.tv_sec;
}
