/*
 * Records what a process does to the files whose path contains $RECORD_MATCH, in the order in which it does it, for
 * power-cut/disk.ts: preloaded, it stands between the program and libc. What the process writes to its standard
 * output goes into the same record, so that acknowledgements stand in their place among the writes.
 *
 * $RECORD_TO: one line per event, data after it:
 *   open INO NAME · create INO NAME · rename FROM TO · unlink NAME · write INO OFFSET LENGTH (+ data) · size INO LENGTH ·
 *   begin ID INO · end ID RESULT · say LENGTH (+ text) · unknown CALL                   a directory has INO and no name
 * $RECORD_FAIL=END:N: the N-th sync of a file whose name ends in END is not done and answers EIO.
 * $RECORD_SLOW_US: each sync takes that much longer, so that more happens while it runs.
 * Reserve files hold no content and are left out. A call that changes files and is not modelled says `unknown`, so that
 * nobody takes what it did for damage.
 *
 *   cc -shared -fPIC -O1 -o store-recorder.so store-recorder.c -ldl -lpthread
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int record_fd = -2;
static long syncs;
static long failing_syncs;

static void put(const void *data, size_t bytes) {
  if (record_fd == -2) {
    const char *file = getenv("RECORD_TO");
    record_fd = file == NULL ? -1 : (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
  if (record_fd >= 0) syscall(SYS_write, record_fd, data, bytes);
}

static void line(const char *format, ...) {
  char text[2 * PATH_MAX];
  va_list values;
  va_start(values, format);
  int n = vsnprintf(text, sizeof text, format, values);
  va_end(values);
  put(text, (size_t)n);
}

static int matches(const char *path) {
  const char *match = getenv("RECORD_MATCH");
  return match != NULL && strstr(path, match) != NULL && strstr(path, "/sluice.reserve") == NULL;
}

static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

static int path_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, PATH_MAX - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return matches(path);
}

static unsigned long inode_of(int fd) {
  struct stat file;
  return fstat(fd, &file) == 0 ? (unsigned long)file.st_ino : 0;
}

static int open_through(const char *path, int flags, mode_t mode) {
  if (!matches(path)) return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  pthread_mutex_lock(&lock);
  int existed = faccessat(AT_FDCWD, path, F_OK, 0) == 0;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  int error = errno;
  struct stat file;
  if (fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode)) {
    line("%s %lu %s\n", existed ? "open" : "create", (unsigned long)file.st_ino, name_of(path));
    if (existed && (flags & O_TRUNC)) line("size %lu 0\n", (unsigned long)file.st_ino);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return fd;
}

#define OPEN(name)                                    \
  int name(const char *path, int flags, ...) {        \
    va_list values;                                   \
    va_start(values, flags);                          \
    mode_t mode = va_arg(values, mode_t);             \
    va_end(values);                                   \
    return open_through(path, flags, mode);           \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                   \
  int name(int directory, const char *path, int flags, ...) {                          \
    va_list values;                                                                    \
    va_start(values, flags);                                                           \
    mode_t mode = va_arg(values, mode_t);                                              \
    va_end(values);                                                                    \
    if (directory == AT_FDCWD || path[0] == '/') return open_through(path, flags, mode); \
    return (int)syscall(SYS_openat, directory, path, flags, mode);                     \
  }
OPENAT(openat)
OPENAT(openat64)

static ssize_t write_through(int fd, const void *data, size_t bytes, off_t offset) {
  char path[PATH_MAX];
  int said = fd == 1;
  int at_position = offset < 0;
  if (!said && !path_of(fd, path))
    return at_position ? syscall(SYS_write, fd, data, bytes) : syscall(SYS_pwrite64, fd, data, bytes, offset);
  pthread_mutex_lock(&lock);
  if (at_position && !said) offset = lseek(fd, 0, SEEK_CUR);
  ssize_t n = at_position ? syscall(SYS_write, fd, data, bytes) : syscall(SYS_pwrite64, fd, data, bytes, offset);
  int error = errno;
  if (n > 0) {
    if (said) line("say %ld\n", (long)n);
    else line("write %lu %ld %ld\n", inode_of(fd), (long)offset, (long)n);
    put(data, (size_t)n);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return n;
}

ssize_t write(int fd, const void *data, size_t bytes) { return write_through(fd, data, bytes, -1); }
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return write_through(fd, data, bytes, offset); }
ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) {
  return write_through(fd, data, bytes, (off_t)offset);
}

int ftruncate64(int fd, off64_t bytes) {
  char path[PATH_MAX];
  if (!path_of(fd, path)) return (int)syscall(SYS_ftruncate, fd, bytes);
  pthread_mutex_lock(&lock);
  int result = (int)syscall(SYS_ftruncate, fd, bytes);
  if (result == 0) line("size %lu %ld\n", inode_of(fd), (long)bytes);
  pthread_mutex_unlock(&lock);
  return result;
}
int ftruncate(int fd, off_t bytes) { return ftruncate64(fd, (off64_t)bytes); }

int posix_fallocate64(int fd, off64_t from, off64_t bytes) {
  (void)fd, (void)from, (void)bytes;
  return EINVAL; /* the caller writes instead */
}

static void unknown(const char *call) {
  pthread_mutex_lock(&lock);
  line("unknown %s\n", call);
  pthread_mutex_unlock(&lock);
}

/* Of what follows only the fact is recorded, and only for files that matter. */
#define WATCHED(type, name, parameters, fd, arguments)              \
  type name parameters {                                            \
    char path[PATH_MAX];                                            \
    type (*real) parameters = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
    if (path_of(fd, path)) unknown(#name);                          \
    return real arguments;                                          \
  }
struct iovec;
WATCHED(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t offset), fd, (fd, parts, count, offset))
WATCHED(ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off64_t offset), fd, (fd, parts, count, offset))
WATCHED(ssize_t, writev, (int fd, const struct iovec *parts, int count), fd, (fd, parts, count))
WATCHED(int, fallocate, (int fd, int mode, off_t from, off_t bytes), fd, (fd, mode, from, bytes))
WATCHED(int, fallocate64, (int fd, int mode, off64_t from, off64_t bytes), fd, (fd, mode, from, bytes))
WATCHED(ssize_t, copy_file_range, (int in, off64_t *in_at, int out, off64_t *out_at, size_t bytes, unsigned flags), out,
        (in, in_at, out, out_at, bytes, flags))
WATCHED(ssize_t, sendfile, (int out, int in, off_t *at, size_t bytes), out, (out, in, at, bytes))
WATCHED(ssize_t, sendfile64, (int out, int in, off64_t *at, size_t bytes), out, (out, in, at, bytes))

int link(const char *from, const char *to) {
  if (matches(to)) unknown("link");
  return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int must_fail(const char *path) {
  const char *order = getenv("RECORD_FAIL");
  const char *colon = order == NULL ? NULL : strchr(order, ':');
  if (colon == NULL) return 0;
  size_t length = (size_t)(colon - order);
  size_t path_bytes = strlen(path);
  if (path_bytes < length || strncmp(path + path_bytes - length, order, length) != 0) return 0;
  return ++failing_syncs == atol(colon + 1);
}

static int sync_through(int fd, const char *call) {
  char path[PATH_MAX];
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
  if (!path_of(fd, path)) return real(fd);
  const char *slow = getenv("RECORD_SLOW_US");
  pthread_mutex_lock(&lock);
  long id = ++syncs;
  int fails = must_fail(path);
  line("begin %ld %lu\n", id, inode_of(fd));
  pthread_mutex_unlock(&lock);
  if (slow != NULL) usleep((useconds_t)atol(slow));
  int result = fails ? -1 : real(fd);
  int error = fails ? EIO : errno;
  pthread_mutex_lock(&lock);
  line("end %ld %d\n", id, result);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}
int fsync(int fd) { return sync_through(fd, "fsync"); }
int fdatasync(int fd) { return sync_through(fd, "fdatasync"); }

static int unlink_through(const char *path, int flags) {
  pthread_mutex_lock(&lock);
  int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
  int error = errno;
  if (result == 0 && matches(path)) line("unlink %s\n", name_of(path));
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}
int unlink(const char *path) { return unlink_through(path, 0); }
int unlinkat(int directory, const char *path, int flags) {
  if (directory == AT_FDCWD || path[0] == '/') return unlink_through(path, flags);
  return (int)syscall(SYS_unlinkat, directory, path, flags);
}
int remove(const char *path) {
  struct stat file;
  return unlink_through(path, lstat(path, &file) == 0 && S_ISDIR(file.st_mode) ? AT_REMOVEDIR : 0);
}

int rename(const char *from, const char *to) {
  pthread_mutex_lock(&lock);
  int result = (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
  int error = errno;
  if (result == 0 && matches(to)) line("rename %s %s\n", name_of(from), name_of(to));
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}
