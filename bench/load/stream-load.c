// A stream at a fixed rate, one message per write, from one publisher to one subscriber; QoS 0, MQTT 3.1.1. Latency counts
// from when a message was due, so that what holds up the publisher counts as well. One line of JSON on standard output.
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "crowd.h"
#include "histogram.h"

enum { PAYLOAD_BYTES = 64, DRAIN_TIMEOUT_MS = 3000 };
static const char TOPIC[] = "stream";

static network net = {.version = 4};
static long rate = 1000, duration_ms = 3000, warm_up_ms = 1000;
static uint64_t start_ns, received;
static uint64_t first_counted; // number of the first message after the warm-up
static uint32_t expected;
static uint64_t disordered, most_us;
static histogram latency;

static uint64_t due_ns(uint64_t number) { return start_ns + number * 1000000000ull / rate; }

static void on_packet(client *c, uint8_t header, const uint8_t *body, uint32_t length) {
  uint32_t number, at = 2 + sizeof TOPIC - 1;
  switch (header >> 4) {
    case 2:
      if (length < 2 || body[1]) fail("connection refused with code %d", length < 2 ? -1 : body[1]);
      c->connected = true;
      break;
    case 9:
      if (length < 3 || body[2] > 2) fail("subscription refused");
      c->subscribed = true;
      break;
    case 3: {
      if (length != at + PAYLOAD_BYTES) fail("a message of somebody else arrived");
      memcpy(&number, body + at, sizeof number);
      if (number < expected) disordered++;
      else expected = number + 1;
      received++;
      uint64_t us = (now_ns() - due_ns(number)) / 1000;
      if (number < first_counted) break;
      histogram_add(&latency, us);
      if (us > most_us) most_us = us;
      break;
    }
    default:
      fail("unexpected packet type %d", header >> 4);
  }
}

static void publish(client *c, uint32_t number) {
  uint8_t packet[2 + 2 + sizeof TOPIC - 1 + PAYLOAD_BYTES] = {0x30, sizeof packet - 2, 0, sizeof TOPIC - 1};
  memcpy(packet + 4, TOPIC, sizeof TOPIC - 1);
  memcpy(packet + 4 + sizeof TOPIC - 1, &number, sizeof number);
  client_append(c, packet, sizeof packet);
  client_flush(&net, c);
}

int main(int count, char **arguments) {
  static const struct option options[] = {
      {"port", 1, 0, 'p'}, {"rate", 1, 0, 'r'}, {"milliseconds", 1, 0, 'd'}, {"warm-up", 1, 0, 'u'}, {0},
  };
  int option;
  while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
    switch (option) {
      case 'p': net.port = atol(optarg); break;
      case 'r': rate = atol(optarg); break;
      case 'd': duration_ms = atol(optarg); break;
      case 'u': warm_up_ms = atol(optarg); break;
      default: exit(2);
    }
  }
  if (!net.port || rate < 1) exit(2);
  prctl(PR_SET_PDEATHSIG, SIGKILL); // ends with whoever started it
  net.epoll = epoll_create1(EPOLL_CLOEXEC);
  client *subscriber = crowd_dial(&net, client_dial, SUBSCRIBER, 1, on_packet)[0];
  strcpy(subscriber->topic, TOPIC);
  client_subscribe(&net, subscriber);
  crowd_await_subscribed(&net, &subscriber, 1, on_packet);
  client *publisher = crowd_dial(&net, client_dial, PUBLISHER, 1, on_packet)[0];

  // A timer in the epoll set wakes us when the next message is due: epoll_wait itself knows milliseconds only.
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
  epoll_ctl(net.epoll, EPOLL_CTL_ADD, timer, &event);
  start_ns = now_ns();
  first_counted = warm_up_ms * rate / 1000;
  uint64_t total = first_counted + duration_ms * rate / 1000;
  for (uint64_t sent = 0; sent < total;) {
    while (sent < total && due_ns(sent) <= now_ns()) publish(publisher, sent++);
    uint64_t next = due_ns(sent);
    struct itimerspec when = {.it_value = {next / 1000000000ull, next % 1000000000ull}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
    network_pump(&net, 100, on_packet);
  }
  uint64_t drained = now_ns() + DRAIN_TIMEOUT_MS * 1000000ull;
  while (received < total && now_ns() < drained) network_pump(&net, 50, on_packet);
  printf("{\"messages\":%lu,\"missing\":%lu,\"disordered\":%lu,\"p50Us\":%lu,\"p99Us\":%lu,\"p999Us\":%lu,\"maxUs\":%lu}\n", total,
         total - received, disordered, histogram_percentile(&latency, .5), histogram_percentile(&latency, .99),
         histogram_percentile(&latency, .999), most_us);
  return 0;
}
