/*
 * A resolver for tests. Preloaded (LD_PRELOAD) into a process under test, it stands in for getaddrinfo where the name
 * ends in ".dead": as long as the file $RESOLVER_BLOCKS exists such a look-up does not come back, otherwise it fails at
 * once, unless the file $RESOLVER_ANSWERS exists: then the name is 127.0.0.1. $RESOLVER_LOG gets a line when a look-up
 * begins to wait.
 *
 *   cc -shared -fPIC -O1 -o resolver-shim.so resolver-shim.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_there(const char *variable) {
  const char *file = getenv(variable);
  return file != NULL && access(file, F_OK) == 0;
}

static int blocks(void) { return is_there("RESOLVER_BLOCKS"); }

static void say(const char *line) {
  const char *file = getenv("RESOLVER_LOG");
  if (file == NULL) return;
  int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (write(fd, line, strlen(line)) < 0) abort();
  close(fd);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
  static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  size_t length = node == NULL ? 0 : strlen(node);
  if (length < 5 || strcmp(node + length - 5, ".dead") != 0) return real(node, service, hints, result);
  if (blocks()) say("waits\n");
  while (blocks()) usleep(20000);
  return is_there("RESOLVER_ANSWERS") ? real("127.0.0.1", service, hints, result) : EAI_AGAIN;
}
