/*
 * A board whose wall clock the test sets: preloaded (LD_PRELOAD) into a process, it stands between the program and
 * libc. $CLOCK_CONTROL names a file of words, read at every call, so that the clock jumps while the process runs:
 *   offset_s=N   the wall clock shows N seconds more than the machine's
 *   boot=N       which start of the machine this is: what /proc/sys/kernel/random/boot_id tells
 *
 *   cc -shared -fPIC -O1 -o clock-shim.so clock-shim.c -ldl
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The number behind `word=` in the control file; 0 when it is not there. */
static long control(const char *word) {
  char text[256] = "";
  const char *file = getenv("CLOCK_CONTROL");
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

int clock_gettime(clockid_t id, struct timespec *time) {
  int result = (int)syscall(SYS_clock_gettime, id, time);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) time->tv_sec += control("offset_s");
  return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}

static int open_boot_id(void) {
  char text[64];
  int n = snprintf(text, sizeof text, "00000000-0000-4000-8000-%012ld\n", control("boot"));
  int fd = (int)syscall(SYS_memfd_create, "boot_id", MFD_CLOEXEC);
  if (fd < 0) return fd;
  syscall(SYS_write, fd, text, n);
  syscall(SYS_lseek, fd, 0, SEEK_SET);
  return fd;
}

static int open_through(const char *path, int flags, mode_t mode) {
  if (strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) return open_boot_id();
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list values;
  va_start(values, flags);
  mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(values, mode_t) : 0;
  va_end(values);
  return open_through(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list values;
  va_start(values, flags);
  mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(values, mode_t) : 0;
  va_end(values);
  return open_through(path, flags | O_LARGEFILE, mode);
}
