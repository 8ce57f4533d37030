// Closed-loop MQTT load: publishers send as long as fewer than `window` deliveries are outstanding, so every broker is
// driven as fast as it goes and none is flooded. One thread, epoll. The result is one line of JSON on standard output.
//
// Every payload starts with the time of sending, the publisher and its sequence number:
//
//     | ns, 8 bytes | publisher, 4 | sequence, 4 | filling |
//
// so that a broker that is fast because it drops, repeats or reorders messages is found out.
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "clock.h"
#include "cpu.h"
#include "crowd.h"
#include "histogram.h"

enum { STAMP_BYTES = 16, DRAIN_TIMEOUT_MS = 3000, STALL_MS = 1000, UNIQUE_BYTES = 11 };

static network net = {.version = 4};
static int publishers = 1, subscribers = 1, topics = 1;
static int payload_bytes = 64, burst = 50, unacknowledged_max = 100, broker_pid = 0;
static long window = 5000, seconds_ms = 3000, warm_up_ms = 1000;
static bool wildcard = false, plus = false;
static bool unique = false;  // each message goes to a topic of its own, below the publisher's
static bool durable = false; // subscribers have sessions that the broker keeps
static bool properties = false;

// Message Expiry Interval of an hour, Content Type and a User Property: what a device with MQTT 5 says about a reading.
static const uint8_t PROPERTIES[] = "\x02\0\0\x0e\x10" "\x03\0\x10" "application/json" "\x26\0\4" "unit" "\0\7" "celsius";
enum { PROPERTIES_BYTES = sizeof PROPERTIES - 1 };

static uint8_t *payload;
static histogram latency;
static uint64_t delivered, published, lost, repeated, refused, stalls;
static long outstanding; // deliveries that published messages still owe

// Notes one delivery and checks its place in the publisher's sequence.
static void on_publish(client *c, uint8_t header, const uint8_t *body, uint32_t length) {
  uint32_t at = 2 + (body[0] << 8 | body[1]);
  int qos = header >> 1 & 3;
  uint16_t packet_id = 0;
  if (qos) {
    packet_id = body[at] << 8 | body[at + 1];
    at += 2;
  }
  if (net.version == 5) at += 1 + body[at]; // properties; a load has less than 128 bytes of them
  if (at + STAMP_BYTES > length) fail("a message of somebody else arrived on %s", c->topic);
  uint64_t sent_ns;
  uint32_t from, sequence;
  memcpy(&sent_ns, body + at, 8);
  memcpy(&from, body + at + 8, 4);
  memcpy(&sequence, body + at + 12, 4);
  if (from >= (uint32_t)publishers) fail("a message of somebody else arrived on %s", c->topic);
  uint32_t expected = c->expected[from];
  if (sequence < expected) {
    repeated++; // or out of order: then it has been counted as lost before
  } else {
    lost += sequence - expected;
    outstanding -= (long)(sequence - expected) + 1;
    c->expected[from] = sequence + 1;
    delivered++;
    histogram_add(&latency, (now_ns() - sent_ns) / 1000);
  }
  if (qos) {
    uint8_t answer[4] = {qos == 1 ? 0x40 : 0x50, 2, packet_id >> 8, packet_id};
    client_append(c, answer, 4);
  }
}

static void on_packet(client *c, uint8_t header, const uint8_t *body, uint32_t length) {
  switch (header >> 4) {
    case 2: // CONNACK
      if (length < 2 || body[1]) fail("connection refused with code %d", length < 2 ? -1 : body[1]);
      c->connected = true;
      break;
    case 3:
      on_publish(c, header, body, length);
      break;
    case 4: // PUBACK
      c->unacknowledged--;
      if (length > 2 && body[2] >= 0x80) refused++;
      break;
    case 5: { // PUBREC
      if (length > 2 && body[2] >= 0x80) {
        c->unacknowledged--;
        refused++;
        break;
      }
      uint8_t pubrel[4] = {0x62, 2, body[0], body[1]};
      client_append(c, pubrel, 4);
      break;
    }
    case 6: { // PUBREL
      uint8_t pubcomp[4] = {0x70, 2, body[0], body[1]};
      client_append(c, pubcomp, 4);
      break;
    }
    case 7: // PUBCOMP
      c->unacknowledged--;
      break;
    case 9: // SUBACK
      if (length < 3 || body[length - 1] > 2) fail("subscription to %s refused", c->topic);
      c->subscribed = true;
      break;
    default:
      fail("unexpected packet type %d", header >> 4);
  }
}

// A last level that no message had before.
static void write_unique(char *to, uint32_t number) {
  to[0] = '/';
  for (int i = UNIQUE_BYTES - 1; i > 0; i--, number /= 10) to[i] = '0' + number % 10;
}

// Publishes up to `burst` messages in one write; returns how many.
static int publish(client *c, long window_now) {
  enum { OUT_MAX = 1 << 16 };
  if (c->out_end > OUT_MAX) return 0;
  uint64_t ns = now_ns();
  uint32_t from = c->index;
  memcpy(payload, &ns, 8);
  memcpy(payload + 8, &from, 4);
  char topic[sizeof c->topic + UNIQUE_BYTES];
  strcpy(topic, c->topic);
  int topic_length = strlen(topic) + (unique ? UNIQUE_BYTES : 0), sent = 0;
  while (sent < burst && outstanding < window_now) {
    if (net.qos && c->unacknowledged >= unacknowledged_max) break;
    uint8_t packet[128];
    int n = 0, property_bytes = properties ? PROPERTIES_BYTES : 0;
    packet[n++] = 0x30 | net.qos << 1;
    n += put_length(packet + n, 2 + topic_length + (net.qos ? 2 : 0) + (net.version == 5) + property_bytes + payload_bytes);
    packet[n++] = 0;
    packet[n++] = topic_length;
    if (unique) write_unique(topic + topic_length - UNIQUE_BYTES, c->sequence);
    memcpy(packet + n, topic, topic_length);
    n += topic_length;
    if (net.qos) {
      if (!++c->packet_id) c->packet_id = 1;
      packet[n++] = c->packet_id >> 8;
      packet[n++] = c->packet_id;
      c->unacknowledged++;
    }
    if (net.version == 5) packet[n++] = property_bytes;
    memcpy(packet + n, PROPERTIES, property_bytes);
    n += property_bytes;
    memcpy(payload + 12, &c->sequence, 4);
    c->sequence++;
    client_append_parts(c, packet, n, payload, payload_bytes);
    outstanding += c->fan_out;
    sent++;
  }
  published += sent;
  if (sent) client_flush(&net, c);
  return sent;
}

static void subscribe_all(client **all, int count) {
  for (int i = 0; i < count; i++) {
    if (wildcard) strcpy(all[i]->topic, "b/#");
    else snprintf(all[i]->topic, sizeof all[i]->topic, plus ? "+/%d" : "b/%d", i % topics);
    all[i]->expected = calloc(publishers, sizeof *all[i]->expected);
    client_subscribe(&net, all[i]);
  }
  crowd_await_subscribed(&net, all, count, on_packet);
}

static void parse(int count, char **arguments) {
  static const struct option options[] = {
      {"port", 1, 0, 'p'},    {"publishers", 1, 0, 'P'},         {"subscribers", 1, 0, 'S'}, {"topics", 1, 0, 'T'},
      {"wildcard", 0, 0, 'w'}, {"qos", 1, 0, 'q'},               {"payload", 1, 0, 's'},     {"burst", 1, 0, 'b'},
      {"window", 1, 0, 'W'},  {"milliseconds", 1, 0, 'd'},       {"warm-up", 1, 0, 'u'},     {"broker-pid", 1, 0, 'B'},
      {"plus", 0, 0, 'l'},    {"unacknowledged", 1, 0, 'a'},     {"mqtt", 1, 0, 'v'},        {"properties", 0, 0, 'r'},
      {"unique", 0, 0, 'U'},  {"durable", 0, 0, 'D'},            {"tls", 0, 0, 't'},         {"websocket", 0, 0, 'x'},
      {0},
  };
  int option;
  while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
    long value = optarg ? atol(optarg) : 0;
    switch (option) {
      case 'p': net.port = value; break;
      case 'P': publishers = value; break;
      case 'S': subscribers = value; break;
      case 'T': topics = value; break;
      case 'w': wildcard = true; break;
      case 'q': net.qos = value; break;
      case 's': payload_bytes = value; break;
      case 'b': burst = value; break;
      case 'W': window = value; break;
      case 'd': seconds_ms = value; break;
      case 'u': warm_up_ms = value; break;
      case 'B': broker_pid = value; break;
      case 'l': plus = true; break;
      case 'a': unacknowledged_max = value; break;
      case 'v': net.version = value; break;
      case 'r': properties = true; break;
      case 'U': unique = true; break;
      case 'D': durable = true; break;
      case 't': net.tls = true; break;
      case 'x': net.websocket = true; break;
      default: exit(2);
    }
  }
  if (!net.port || publishers < 1 || subscribers < 1 || topics < 1 || payload_bytes < STAMP_BYTES || (properties && net.version != 5) ||
      (durable && net.version != 4) || (unique && !wildcard))
    exit(2);
}

int main(int count, char **arguments) {
  parse(count, arguments);
  prctl(PR_SET_PDEATHSIG, SIGKILL); // ends with whoever started it
  net.epoll = epoll_create1(EPOLL_CLOEXEC);
  alarm((CONNECT_TIMEOUT_MS + warm_up_ms + seconds_ms + DRAIN_TIMEOUT_MS) / 1000 + 5);
  payload = calloc(1, payload_bytes);

  client **subscriber = crowd_dial(&net, durable ? client_dial_durable : client_dial, SUBSCRIBER, subscribers, on_packet);
  subscribe_all(subscriber, subscribers);
  client **publisher = crowd_dial(&net, client_dial, PUBLISHER, publishers, on_packet);
  for (int i = 0; i < publishers; i++) {
    snprintf(publisher[i]->topic, sizeof publisher[i]->topic, "b/%d", i % topics);
    for (int j = 0; j < subscribers; j++) publisher[i]->fan_out += wildcard || j % topics == i % topics;
  }

  uint64_t start = now_ns(), warm = start + warm_up_ms * 1000000ull, end = warm + seconds_ms * 1000000ull;
  uint64_t delivered_at_start = 0, published_at_start = 0, delivered_last = 0, progress_ns = start, now;
  unsigned long user_at_start = 0, system_at_start = 0, user, system;
  long written_off = 0; // outstanding deliveries that a stall made us stop waiting for
  bool measuring = false;
  int next = 0;
  while ((now = now_ns()) < end) {
    if (!measuring && now >= warm) {
      measuring = true;
      start = now;
      delivered_at_start = delivered;
      published_at_start = published;
      histogram_clear(&latency);
      read_cpu(broker_pid, &user_at_start, &system_at_start);
    }
    if (delivered != delivered_last || outstanding == written_off) {
      delivered_last = delivered;
      progress_ns = now;
    } else if (now - progress_ns > STALL_MS * 1000000ull) {
      stalls++;
      written_off = outstanding;
      progress_ns = now;
    }
    int sent = 0;
    for (int i = 0; i < publishers && outstanding < window + written_off; i++) {
      sent += publish(publisher[next], window + written_off);
      next = next + 1 == publishers ? 0 : next + 1;
    }
    network_pump(&net, sent ? 0 : 1, on_packet);
  }
  read_cpu(broker_pid, &user, &system);
  double measured = (now - start) / 1e9, ticks = sysconf(_SC_CLK_TCK);
  uint64_t deliveries = delivered - delivered_at_start, publishes = published - published_at_start;
  histogram result = latency;

  // What is still on its way belongs to the check for losses, not to the measurement.
  uint64_t drained = now_ns() + DRAIN_TIMEOUT_MS * 1000000ull;
  while (outstanding > 0 && now_ns() < drained) network_pump(&net, 50, on_packet);
  if (outstanding > 0) lost += outstanding;
  for (int i = 0; i < publishers; i++) client_disconnect(&net, publisher[i]);
  for (int i = 0; i < subscribers; i++) (durable ? client_leave : client_disconnect)(&net, subscriber[i]);
  if (durable) { // no session stays
    subscriber = crowd_dial(&net, client_dial, SUBSCRIBER, subscribers, on_packet);
    for (int i = 0; i < subscribers; i++) client_disconnect(&net, subscriber[i]);
  }

  printf("{\"deliveries\":%lu,\"publishes\":%lu,\"seconds\":%.4f,\"userSeconds\":%.2f,\"systemSeconds\":%.2f,"
         "\"p50Us\":%lu,\"p99Us\":%lu,\"owed\":%lu,\"lost\":%lu,\"repeated\":%lu,\"refused\":%lu,\"stalls\":%lu}\n",
         deliveries, publishes, measured, (user - user_at_start) / ticks, (system - system_at_start) / ticks,
         histogram_percentile(&result, .5), histogram_percentile(&result, .99), delivered + lost, lost, repeated, refused, stalls);
  return 0;
}
