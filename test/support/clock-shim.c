/*
 * A board whose clocks the test sets: preloaded (LD_PRELOAD) into a process, it stands between the program and libc.
 * $CLOCK_CONTROL names a file of words, read at every call, so that the clock jumps while the process runs:
 *   offset_s=N   the wall clock shows N seconds more than the machine's
 *   speed=N      all clocks run N times as fast, and what waits for a time in epoll waits a Nth of it: ten minutes of an
 *                outage are over in ten seconds at 60. since_ns=M: from this time of the machine's monotonic clock on,
 *                which may be yet to come, before=N: until then; ahead_ns=A: so much is gained then
 *   boot=N       which start of the machine this is: what /proc/sys/kernel/random/boot_id tells
 *
 *   cc -shared -fPIC -O1 -o clock-shim.so clock-shim.c -ldl
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000L

static int read_control(char *text, int size) {
  const char *file = getenv("CLOCK_CONTROL");
  if (file == NULL) return 0;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return 0;
  long n = syscall(SYS_read, fd, text, size - 1);
  syscall(SYS_close, fd);
  if (n <= 0) return 0;
  text[n] = 0;
  return 1;
}

static long word_of(const char *text, const char *word) {
  const char *at = strstr(text, word);
  return at == NULL || at[strlen(word)] != '=' ? 0 : atol(at + strlen(word) + 1);
}

/* The number behind `word=` in the control file; 0 when it is not there. */
static long control(const char *word) {
  char text[512];
  return read_control(text, sizeof text) ? word_of(text, word) : 0;
}

/*
 * How much more monotonic time has passed for the program than for the machine. It follows from the file alone, so that a
 * program that is started anew goes on where the last one was, as the uptime of a machine does.
 */
static long gained_ns(const char *text) {
  struct timespec now;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  long passed = now.tv_sec * NS + now.tv_nsec - word_of(text, "since_ns");
  long speed = word_of(text, passed < 0 ? "before" : "speed");
  return word_of(text, "ahead_ns") + (speed > 1 ? passed * (speed - 1) : 0);
}

static void add_ns(struct timespec *time, long ns) {
  long sum = time->tv_nsec + ns % NS;
  time->tv_sec += ns / NS + (sum >= NS ? 1 : 0);
  time->tv_nsec = sum >= NS ? sum - NS : sum;
}

int clock_gettime(clockid_t id, struct timespec *time) {
  int result = (int)syscall(SYS_clock_gettime, id, time);
  if (result != 0) return result;
  char text[512];
  switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
      if (!read_control(text, sizeof text)) return result;
      add_ns(time, gained_ns(text));
      if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) time->tv_sec += word_of(text, "offset_s");
  }
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

/* A sleep is cut into pieces, so that a change of speed is noticed soon. */
#define PIECE_MS 20

int epoll_pwait(int fd, struct epoll_event *events, int max, int timeout, const sigset_t *signals) {
  for (long left = timeout;;) {
    long fast = control("speed");
    if (fast < 1) fast = 1;
    long piece = (left < 0 || left / fast > PIECE_MS) ? PIECE_MS : (left + fast - 1) / fast;
    int found = (int)syscall(SYS_epoll_pwait, fd, events, max, (int)piece, signals, _NSIG / 8);
    if (found != 0) return found;
    if (left < 0) continue;
    left -= piece * fast;
    if (left <= 0) return 0;
  }
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout) {
  return epoll_pwait(fd, events, max, timeout, NULL);
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
