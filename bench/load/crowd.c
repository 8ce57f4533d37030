#include "crowd.h"

#include <stdlib.h>

#include "clock.h"

client **crowd_dial(const network *net, dialer *dial, client_role role, int count, packet_handler *handle) {
  client **all = calloc(count + 1, sizeof *all);
  if (!all) fail("out of memory");
  uint64_t deadline = now_ns() + CONNECT_TIMEOUT_MS * 1000000ull;
  enum { TOGETHER = 50 }; // fewer than a listen backlog
  for (int i = 0; i < count; i++) {
    all[i] = dial(net, role, i);
    if (i % TOGETHER < TOGETHER - 1 && i < count - 1) continue;
    for (int j = i - i % TOGETHER; j <= i; j++)
      while (!all[j]->connected) {
        network_pump(net, 100, handle);
        if (now_ns() > deadline) fail("%d of %d clients connected in %d ms", j, count, CONNECT_TIMEOUT_MS);
      }
  }
  return all;
}

void crowd_await_subscribed(const network *net, client **all, int count, packet_handler *handle) {
  uint64_t deadline = now_ns() + CONNECT_TIMEOUT_MS * 1000000ull;
  for (int i = 0; i < count; i++)
    while (!all[i]->subscribed) {
      network_pump(net, 100, handle);
      if (now_ns() > deadline) fail("%d of %d subscriptions answered in time", i, count);
    }
}
