#pragma once
#include <stdio.h>
#include <string.h>

#include "client.h"

// User and system time of a process, all its threads, in clock ticks; zeros for process 0.
static inline void read_cpu(int pid, unsigned long *user, unsigned long *system) {
  *user = *system = 0;
  if (!pid) return;
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (!file) fail("the process %d is gone", pid);
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = 0;
  char *after_name = strrchr(text, ')');
  if (!after_name || sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", user, system) != 2)
    fail("cannot read %s", path);
}
