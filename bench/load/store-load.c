// Load for what is stored, MQTT 3.1.1: a session that is parked, a publisher that counts acknowledgements, and the
// session's return. One thread, epoll. The result is one line of JSON on standard output.
//
//     --park ID --topic T                                  subscribes at QoS 1 and goes away
//     --publish --topic T --window W --payload B           at most W messages without PUBACK
//               --messages N | --milliseconds M --warm-up U
//     --drain ID --messages N                              takes N messages and acknowledges them
//
// A payload starts with the sequence number, so that what is missing, comes again or out of order is found out.
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"
#include "histogram.h"

enum { STAMP_BYTES = 4, IDS = 65536, OUT_MAX = 1 << 16, SILENCE_MS = 30000 };

static network net = {.version = 4, .qos = 1};
static const char *park, *drain, *topic = "";
static bool publishing;
static int payload_bytes = 200;
static long window = 1, messages, duration_ms, warm_up_ms;

static uint64_t sent_ns[IDS]; // by packet id
static histogram latency;
static uint64_t acknowledged, refused, received, repeated;
static uint32_t expected;

static void on_message(client *c, uint8_t header, const uint8_t *body, uint32_t length) {
  uint32_t at = 2 + (body[0] << 8 | body[1]), sequence;
  if ((header >> 1 & 3) != 1 || at + 2 + STAMP_BYTES > length) fail("a message of somebody else arrived");
  memcpy(&sequence, body + at + 2, STAMP_BYTES);
  if (sequence < expected) repeated++;
  else expected = sequence + 1;
  received++;
  uint8_t answer[4] = {0x40, 2, body[at], body[at + 1]};
  client_append(c, answer, 4);
}

static void on_packet(client *c, uint8_t header, const uint8_t *body, uint32_t length) {
  switch (header >> 4) {
    case 2: // CONNACK
      if (length < 2 || body[1]) fail("connection refused with code %d", length < 2 ? -1 : body[1]);
      c->connected = true;
      break;
    case 3:
      on_message(c, header, body, length);
      break;
    case 4: { // PUBACK
      uint16_t id = body[0] << 8 | body[1];
      acknowledged++;
      c->unacknowledged--;
      if (length > 2 && body[2] >= 0x80) refused++;
      histogram_add(&latency, (now_ns() - sent_ns[id]) / 1000);
      break;
    }
    case 9: // SUBACK
      if (length < 3 || body[length - 1] > 2) fail("subscription refused");
      c->subscribed = true;
      break;
    default:
      fail("unexpected packet type %d", header >> 4);
  }
}

static void await(const bool *flag, const char *what) {
  uint64_t deadline = now_ns() + SILENCE_MS * 1000000ull;
  while (!*flag) {
    network_pump(&net, 100, on_packet);
    if (now_ns() > deadline) fail("no %s in %d ms", what, SILENCE_MS);
  }
}

static client *resume(client_role role, const char *id) {
  client *c = client_resume(&net, role, id);
  await(&c->connected, "CONNACK");
  return c;
}

// Appends messages until the window is full or enough waits for the socket.
static void publish(client *c, uint8_t *head, int head_bytes, uint8_t *payload) {
  while (c->unacknowledged < window && c->out_end - c->out_from < OUT_MAX) {
    if (messages && c->sequence == (uint32_t)messages) break;
    if (!++c->packet_id) c->packet_id = 1;
    head[head_bytes - 2] = c->packet_id >> 8;
    head[head_bytes - 1] = c->packet_id;
    memcpy(payload, &c->sequence, STAMP_BYTES);
    c->sequence++;
    c->unacknowledged++;
    sent_ns[c->packet_id] = now_ns();
    client_append_parts(c, head, head_bytes, payload, payload_bytes);
  }
  client_flush(&net, c);
}

static void run_publisher(void) {
  client *c = client_dial(&net, PUBLISHER, 0);
  await(&c->connected, "CONNACK");
  uint8_t head[64];
  int n = 0, topic_length = strlen(topic);
  head[n++] = 0x32;
  n += put_length(head + n, 2 + topic_length + 2 + payload_bytes);
  head[n++] = 0;
  head[n++] = topic_length;
  memcpy(head + n, topic, topic_length);
  n += topic_length + 2; // the packet id comes with each message
  uint8_t *payload = calloc(1, payload_bytes);

  uint64_t start = now_ns(), warm = start + warm_up_ms * 1000000ull, end = warm + duration_ms * 1000000ull;
  uint64_t at_start = 0, last = 0, progress_ns = start, now;
  bool measuring = false;
  while ((now = now_ns()), messages ? acknowledged < (uint64_t)messages : now < end) {
    if (!measuring && now >= warm) {
      measuring = true;
      start = now;
      at_start = acknowledged;
      histogram_clear(&latency);
    }
    if (acknowledged != last) {
      last = acknowledged;
      progress_ns = now;
    } else if (now - progress_ns > SILENCE_MS * 1000000ull) fail("no PUBACK in %d ms", SILENCE_MS);
    publish(c, head, n, payload);
    network_pump(&net, 1, on_packet);
  }
  uint64_t count = acknowledged - at_start;
  double seconds = (now - start) / 1e9;
  histogram result = latency;
  while (c->unacknowledged > 0) network_pump(&net, 1, on_packet);
  client_disconnect(&net, c);
  printf("{\"acknowledged\":%lu,\"refused\":%lu,\"seconds\":%.4f,\"p50Us\":%lu,\"p99Us\":%lu}\n", count, refused, seconds,
         histogram_percentile(&result, .5), histogram_percentile(&result, .99));
}

static void run_drain(void) {
  uint64_t start = now_ns(), last = 0, progress_ns = start, now = start;
  client *c = resume(SUBSCRIBER, drain);
  while (received - repeated < (uint64_t)messages) {
    network_pump(&net, 1, on_packet);
    now = now_ns();
    if (received != last) {
      last = received;
      progress_ns = now;
    } else if (now - progress_ns > SILENCE_MS * 1000000ull) break;
  }
  double seconds = (progress_ns - start) / 1e9; // without the silence after what is missing
  while (c->out_end) network_pump(&net, 1, on_packet);
  client_disconnect(&net, c);
  printf("{\"received\":%lu,\"seconds\":%.4f,\"repeated\":%lu,\"missing\":%lu}\n", received, seconds, repeated,
         messages - (received - repeated));
}

int main(int count, char **arguments) {
  static const struct option options[] = {
      {"port", 1, 0, 'p'},   {"park", 1, 0, 'k'},    {"drain", 1, 0, 'r'},    {"publish", 0, 0, 'P'},      {"topic", 1, 0, 't'},
      {"window", 1, 0, 'W'}, {"payload", 1, 0, 's'}, {"messages", 1, 0, 'n'}, {"milliseconds", 1, 0, 'd'}, {"warm-up", 1, 0, 'u'},
      {0},
  };
  int option;
  while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
    switch (option) {
      case 'p': net.port = atol(optarg); break;
      case 'k': park = optarg; break;
      case 'r': drain = optarg; break;
      case 'P': publishing = true; break;
      case 't': topic = optarg; break;
      case 'W': window = atol(optarg); break;
      case 's': payload_bytes = atol(optarg); break;
      case 'n': messages = atol(optarg); break;
      case 'd': duration_ms = atol(optarg); break;
      case 'u': warm_up_ms = atol(optarg); break;
      default: exit(2);
    }
  }
  if (!net.port || strlen(topic) > 31 || payload_bytes < STAMP_BYTES || window < 1 || window >= IDS) exit(2);
  prctl(PR_SET_PDEATHSIG, SIGKILL); // ends with whoever started it
  net.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (park) {
    client *c = resume(SUBSCRIBER, park);
    strcpy(c->topic, topic);
    client_subscribe(&net, c);
    await(&c->subscribed, "SUBACK");
    client_disconnect(&net, c);
  } else if (publishing) run_publisher();
  else if (drain) run_drain();
  else exit(2);
  return 0;
}
