// Holds idle connections, with subscriptions that no message of the load matches, until standard input closes. MQTT 3.1.1.
// --durable: of sessions that the broker keeps; --away: they say goodbye at once, and the sessions are all that stays.
// One line of JSON on standard output when all are there.
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "crowd.h"

enum { FILTER_MAX = 32 };

static network net = {.version = 4};
static int connections = 1, filters; // filters of each connection

static void on_packet(client *c, uint8_t header, const uint8_t *body, uint32_t length) {
  if (header >> 4 == 2) {
    if (length < 2 || body[1]) fail("connection refused with code %d", length < 2 ? -1 : body[1]);
    c->connected = true;
  } else if (header >> 4 == 9) {
    for (uint32_t i = 2; i < length; i++)
      if (body[i] > 2) fail("subscription %u of connection %d refused", i - 2, c->index);
    c->subscribed = true;
  }
}

// All in one SUBSCRIBE. They share levels with the load's topics, `b/0`, and are numbered from where those do not reach.
static void subscribe(client *c) {
  enum { FROM = 1000 };
  static const char *const KINDS[] = {"b/+/%d", "+/%d/#", "+/+/%d/#", "b/%d/+"};
  uint8_t *body = malloc(2 + filters * (2 + FILTER_MAX + 1)), head[8] = {0x82};
  if (!body) fail("out of memory");
  uint32_t n = 0;
  body[n++] = 0;
  body[n++] = 1;
  for (int i = 0; i < filters; i++) {
    int number = c->index * filters + i;
    char filter[FILTER_MAX];
    int length = snprintf(filter, sizeof filter, KINDS[number % 4], FROM + number);
    body[n++] = 0;
    body[n++] = length;
    memcpy(body + n, filter, length);
    n += length;
    body[n++] = 0;
  }
  client_append_parts(c, head, 1 + put_length(head + 1, n), body, n);
  client_flush(&net, c);
  free(body);
}

int main(int count, char **arguments) {
  static const struct option options[] = {
      {"port", 1, 0, 'p'}, {"connections", 1, 0, 'n'}, {"filters", 1, 0, 'f'}, {"tls", 0, 0, 'l'}, {"websocket", 0, 0, 'x'}, {"durable", 0, 0, 'd'}, {"away", 0, 0, 'a'}, {0},
  };
  dialer *dial = client_dial;
  bool away = false;
  int option;
  while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
    switch (option) {
      case 'p': net.port = atol(optarg); break;
      case 'n': connections = atol(optarg); break;
      case 'f': filters = atol(optarg); break;
      case 'l': net.tls = true; break;
      case 'x': net.websocket = true; break;
      case 'd': dial = client_dial_durable; break;
      case 'a': away = true; break;
      default: exit(2);
    }
  }
  if (!net.port || connections < 1 || filters < 0) exit(2);
  prctl(PR_SET_PDEATHSIG, SIGKILL); // ends with whoever started it
  net.epoll = epoll_create1(EPOLL_CLOEXEC);
  client **all = crowd_dial(&net, dial, IDLE, connections, on_packet);
  if (filters) {
    for (int i = 0; i < connections; i++) subscribe(all[i]);
    crowd_await_subscribed(&net, all, connections, on_packet);
  }
  if (away)
    for (int i = 0; i < connections; i++) client_leave(&net, all[i]);
  printf("{\"connections\":%d,\"filters\":%d}\n", connections, connections * filters);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) {}
  return 0;
}
