// One client that subscribes to ever new filters and unsubscribes from the one it took KEPT before, until standard input
// closes: `rate` SUBSCRIBE and as many UNSUBSCRIBE a second. Every other filter has a wildcard. MQTT 3.1.1. One line of
// JSON on standard output at the end.
#define _GNU_SOURCE
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "clock.h"
#include "crowd.h"
#include "histogram.h"

enum { KEPT = 50, IDS = 65536, MOST_AT_ONCE = 100 };

static network net = {.version = 4};
static long rate;
static uint64_t sent_ns[IDS]; // by packet id
static histogram latency;
static uint64_t asked, answered, unasked, unanswered, refused;

static void on_packet(client *c, uint8_t header, const uint8_t *body, uint32_t length) {
  switch (header >> 4) {
    case 2:
      if (length < 2 || body[1]) fail("connection refused with code %d", length < 2 ? -1 : body[1]);
      c->connected = true;
      break;
    case 9:
      answered++;
      if (length < 3 || body[2] > 2) refused++;
      histogram_add(&latency, (now_ns() - sent_ns[body[0] << 8 | body[1]]) / 1000);
      break;
    case 11:
      unanswered++;
      break;
    default:
      fail("unexpected packet type %d", header >> 4);
  }
}

static void ask(client *c, uint8_t header, uint64_t number) {
  uint8_t packet[64] = {header};
  int n = 2;
  if (!++c->packet_id) c->packet_id = 1;
  packet[n++] = c->packet_id >> 8;
  packet[n++] = c->packet_id;
  int length = snprintf((char *)packet + n + 2, sizeof packet - n - 3, number % 2 ? "c/+/%lu" : "c/%lu", number);
  packet[n++] = 0;
  packet[n++] = length;
  n += length;
  if (header == 0x82) packet[n++] = 0;
  packet[1] = n - 2;
  sent_ns[c->packet_id] = now_ns();
  client_append(c, packet, n);
}

static bool input_is_open(void) {
  struct pollfd input = {.fd = 0, .events = POLLIN};
  return poll(&input, 1, 0) == 0;
}

int main(int count, char **arguments) {
  static const struct option options[] = {{"port", 1, 0, 'p'}, {"rate", 1, 0, 'r'}, {0}};
  int option;
  while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
    switch (option) {
      case 'p': net.port = atol(optarg); break;
      case 'r': rate = atol(optarg); break;
      default: exit(2);
    }
  }
  if (!net.port || rate < 1) exit(2);
  prctl(PR_SET_PDEATHSIG, SIGKILL); // ends with whoever started it
  net.epoll = epoll_create1(EPOLL_CLOEXEC);
  client *c = crowd_dial(&net, client_dial, SUBSCRIBER, 1, on_packet)[0];
  printf("{\"ready\":true}\n");
  fflush(stdout);
  uint64_t start = now_ns();
  while (input_is_open()) {
    uint64_t due = (now_ns() - start) * rate / 1000000000ull;
    for (int i = 0; i < MOST_AT_ONCE && asked < due; i++) {
      ask(c, 0x82, asked++);
      if (asked > KEPT) ask(c, 0xa2, unasked++);
    }
    if (c->out_end) client_flush(&net, c);
    network_pump(&net, 1, on_packet);
  }
  printf("{\"subscribed\":%lu,\"unsubscribed\":%lu,\"refused\":%lu,\"seconds\":%.3f,\"p50Us\":%lu,\"p99Us\":%lu}\n", answered,
         unanswered, refused, (now_ns() - start) / 1e9, histogram_percentile(&latency, .5), histogram_percentile(&latency, .99));
  return 0;
}
