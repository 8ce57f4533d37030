/*
 * A disk that is slow, broken or full, without root: preloaded (LD_PRELOAD) into a process under test, it stands
 * between the program and libc for the files whose path contains $SHIM_MATCH.
 *
 * $SHIM_CONTROL names a file of words, read at every call, so that a test changes the disk while the process runs:
 *   slow_us=N    every fsync and fdatasync takes N us longer
 *   eio_sync=1   every fsync and fdatasync fails with EIO
 *   eio_write=1  every write fails with EIO
 *   erofs=1      every write fails with EROFS; syncs go well, as after a remount
 *   eio_read=1   every read fails with EIO
 *   eio_inode=N  with eio_page=M: reads of page M (of 4096 bytes, from 0) of the file with that inode fail with EIO
 *   full=1       every write that makes a file longer fails with ENOSPC
 * $SHIM_LOG gets a line for each sync: "main" or "pool" (which thread), and the file's name.
 *
 *   cc -shared -fPIC -O1 -o fsync-shim.so fsync-shim.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int path_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, PATH_MAX - 1);
  if (n < 0) return 0;
  path[n] = 0;
  const char *match = getenv("SHIM_MATCH");
  return match != NULL && strstr(path, match) != NULL;
}

/* The number behind `word=` in the control file; 0 when it is not there. */
static long control(const char *word) {
  char text[256] = "";
  const char *file = getenv("SHIM_CONTROL");
  if (file == NULL) return 0;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return 0;
  long n = syscall(SYS_read, fd, text, sizeof text - 1);
  syscall(SYS_close, fd);
  if (n <= 0) return 0;
  text[n] = 0;
  const char *at = strstr(text, word);
  return at == NULL || at[strlen(word)] != '=' ? 0 : atol(at + strlen(word) + 1);
}

static void log_sync(const char *path) {
  const char *file = getenv("SHIM_LOG");
  if (file == NULL) return;
  char line[PATH_MAX + 16];
  const char *name = strrchr(path, '/');
  int n = snprintf(line, sizeof line, "%s %s\n", syscall(SYS_gettid) == getpid() ? "main" : "pool",
                   name == NULL ? path : name + 1);
  int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  syscall(SYS_write, fd, line, n);
  syscall(SYS_close, fd);
}

static int sync_through(int fd, const char *name) {
  char path[PATH_MAX];
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  if (!path_of(fd, path)) return real(fd);
  log_sync(path);
  long slow_us = control("slow_us");
  if (slow_us > 0) usleep((useconds_t)slow_us);
  if (control("eio_sync")) {
    errno = EIO;
    return -1;
  }
  return real(fd);
}

int fsync(int fd) { return sync_through(fd, "fsync"); }
int fdatasync(int fd) { return sync_through(fd, "fdatasync"); }

/* 0, or the errno that a write of `bytes` at `offset` (-1 = the file's position) gets. */
static int refusal(int fd, size_t bytes, off_t offset) {
  char path[PATH_MAX];
  struct stat file;
  if (!path_of(fd, path)) return 0;
  if (control("eio_write")) return EIO;
  if (control("erofs")) return EROFS;
  if (!control("full") || fstat(fd, &file) != 0) return 0;
  if (offset < 0) offset = lseek(fd, 0, SEEK_CUR);
  return offset + (off_t)bytes > file.st_size ? ENOSPC : 0;
}

ssize_t write(int fd, const void *data, size_t bytes) {
  int error = refusal(fd, bytes, -1);
  if (error != 0) {
    errno = error;
    return -1;
  }
  return syscall(SYS_write, fd, data, bytes);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) {
  int error = refusal(fd, bytes, (off_t)offset);
  if (error != 0) {
    errno = error;
    return -1;
  }
  return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
  return pwrite64(fd, data, bytes, (off64_t)offset);
}

static int unreadable(int fd, size_t bytes, off64_t offset) {
  char path[PATH_MAX];
  struct stat file;
  if (!path_of(fd, path)) return 0;
  if (control("eio_read")) return 1;
  long inode = control("eio_inode");
  if (inode == 0 || fstat(fd, &file) != 0 || (long)file.st_ino != inode) return 0;
  long page = control("eio_page");
  return offset < (page + 1) * 4096 && offset + (off64_t)bytes > page * 4096;
}

ssize_t pread64(int fd, void *data, size_t bytes, off64_t offset) {
  if (unreadable(fd, bytes, offset)) {
    errno = EIO;
    return -1;
  }
  return syscall(SYS_pread64, fd, data, bytes, offset);
}

ssize_t pread(int fd, void *data, size_t bytes, off_t offset) { return pread64(fd, data, bytes, (off64_t)offset); }
