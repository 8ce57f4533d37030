/*
 * A UART behind a pseudo terminal: preloaded (LD_PRELOAD) into a process, it answers the ioctls that a pseudo terminal does
 * not have, and says in $TTY_LOG what was asked, a line each. $TTY_CONTROL names a file of words, read at every call:
 *   rs485_errno=N    TIOCSRS485 fails so; 0 or absent: the driver takes it, but for the bits of rs485_lacks=N
 *   cmspar=0         the driver knows no mark and no space parity
 *   outq=N           so many bytes have not left yet, and tcdrain waits until they have
 *   cts=N            the other end lets us send
 *   framing=N ...    what TIOCGICOUNT tells; it fails without icount=1
 *   excl=1           another program has the port for itself alone
 *
 *   cc -shared -fPIC -O1 -o tty-shim.so tty-shim.c
 */
#define _GNU_SOURCE
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TIOCGICOUNT_ 0x545D
#define FDS 4096

/* What a driver keeps of a line, and a pseudo terminal does not. */
static tcflag_t kept[FDS];

static long word(const char *name, long absent) {
  const char *file = getenv("TTY_CONTROL");
  char text[512];
  int fd = file == NULL ? -1 : (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return absent;
  long n = syscall(SYS_read, fd, text, sizeof text - 1);
  syscall(SYS_close, fd);
  if (n <= 0) return absent;
  text[n] = 0;
  size_t length = strlen(name);
  for (char *line = text; line != NULL && *line; line = strchr(line, '\n'), line = line == NULL ? NULL : line + 1)
    if (strncmp(line, name, length) == 0 && line[length] == '=') return atol(line + length + 1);
  return absent;
}

static void say(const char *text) {
  const char *file = getenv("TTY_LOG");
  int fd = file == NULL ? -1 : (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return;
  char line[256];
  int n = snprintf(line, sizeof line, "%s\n", text);
  syscall(SYS_write, fd, line, n);
  syscall(SYS_close, fd);
}

static int fail(int reason) {
  errno = reason;
  return -1;
}

static int set_rs485(struct serial_rs485 *settings) {
  char text[128] = "rs485 ";
  for (size_t i = 0; i < sizeof *settings; i++)
    snprintf(text + 6 + 2 * i, 3, "%02x", ((unsigned char *)settings)[i]);
  say(text);
  long reason = word("rs485_errno", 0);
  if (reason != 0) return fail((int)reason);
  settings->flags &= ~(unsigned)word("rs485_lacks", 0);
  return 0;
}

static int count(struct serial_icounter_struct *counts) {
  if (word("icount", 0) == 0) return fail(ENOTTY);
  memset(counts, 0, sizeof *counts);
  counts->frame = (int)word("framing", 0);
  counts->parity = (int)word("parity", 0);
  counts->overrun = (int)word("overrun", 0);
  counts->brk = (int)word("break", 0);
  counts->buf_overrun = (int)word("buffer_overrun", 0);
  return 0;
}

int ioctl(int fd, unsigned long request, ...) {
  va_list values;
  va_start(values, request);
  void *value = va_arg(values, void *);
  va_end(values);
  switch (request) {
    case TIOCSRS485:
      return set_rs485(value);
    case TIOCGICOUNT_:
      return count(value);
    case TIOCMSET:
      say(*(int *)value & TIOCM_RTS ? "rts on" : "rts off");
      return 0;
    case TIOCMGET:
      *(int *)value = word("cts", 1) ? TIOCM_CTS : 0;
      return 0;
    case TIOCGSERIAL:
      memset(value, 0, sizeof(struct serial_struct));
      return 0;
    case TIOCSSERIAL:
      say(((struct serial_struct *)value)->flags & ASYNC_LOW_LATENCY ? "low latency" : "no low latency");
      return 0;
    case TIOCGEXCL:
      *(int *)value = (int)word("excl", 0);
      return 0;
    case TIOCOUTQ: {
      long waiting = word("outq", -1);
      if (waiting < 0) break;
      *(int *)value = (int)waiting;
      return 0;
    }
    case TCSETS2: {
      struct termios2 *line = value;
      const unsigned flags = line->c_cflag;
      char text[128];
      snprintf(text, sizeof text, "line %u, %u bits, %s%s%s, %d stop", line->c_ospeed, 5 + (flags & CSIZE) / CS6,
               flags & PARENB ? "parity" : "no parity", flags & PARODD ? " odd" : "", flags & CMSPAR ? " stick" : "",
               flags & CSTOPB ? 2 : 1);
      say(text);
      if (fd >= 0 && fd < FDS) kept[fd] = line->c_cflag & ~(word("cmspar", 1) ? 0 : CMSPAR);
      break;
    }
    case TCGETS2: {
      int result = (int)syscall(SYS_ioctl, fd, request, value);
      if (result == 0 && fd >= 0 && fd < FDS && kept[fd] != 0) ((struct termios2 *)value)->c_cflag = kept[fd];
      return result;
    }
  }
  return (int)syscall(SYS_ioctl, fd, request, value);
}

int tcdrain(int fd) {
  say("drain");
  while (word("outq", -1) > 0) syscall(SYS_clock_nanosleep, 0, 0, &(struct { long s, ns; }){0, 5000000}, NULL);
  return (int)syscall(SYS_ioctl, fd, TCSBRK, 1);
}

int close(int fd) {
  if (fd >= 0 && fd < FDS) kept[fd] = 0;
  return (int)syscall(SYS_close, fd);
}
