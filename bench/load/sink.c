// A server that takes what its clients publish and acknowledges it, the least that a cloud can do: MQTT 3.1.1 and 5.0,
// QoS 0 to 2, TCP or TLS, one thread. It says when the first message of a topic came, and when all had.
//
//     --port P --topic T --messages N      N messages of that topic, told apart by the number their payloads begin with
//     --certificate FILE --key FILE        TLS
//     --delay MS                           between a message and its acknowledgement, as on a long way
//     --receive-maximum N                  of the CONNACK, in 5.0
//
// On standard output a line of JSON for each of the two. It ends when the client goes, or whoever started it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"

enum { STAMP_BYTES = 4, ANSWERS = 65536 };

static network net = {.version = 4};
static const char *topic = "", *certificate, *key;
static long messages, delay_ms;
static int receive_maximum;

static uint8_t *seen; // a bit for each number
static uint64_t count, repeated, disordered, packets, bytes;
static uint32_t expected;
static uint64_t first_ns;

// Answers that are not due yet, oldest first.
static struct {
  uint64_t due_ns;
  uint8_t packet[4];
} answers[ANSWERS];
static uint32_t answers_from, answers_end;
static client *peer;

static uint64_t realtime_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

static void answer(client *c, uint8_t type, uint8_t high, uint8_t low) {
  uint8_t packet[4] = {type, 2, high, low};
  if (!delay_ms) {
    client_append(c, packet, 4);
    return;
  }
  if (answers_end - answers_from == ANSWERS) fail("more is unacknowledged than there are packet ids");
  answers[answers_end % ANSWERS].due_ns = now_ns() + delay_ms * 1000000ull;
  memcpy(answers[answers_end++ % ANSWERS].packet, packet, 4);
}

static void send_due(void) {
  if (answers_from == answers_end || !peer) return;
  uint64_t now = now_ns();
  while (answers_from != answers_end && answers[answers_from % ANSWERS].due_ns <= now)
    client_append(peer, answers[answers_from++ % ANSWERS].packet, 4);
  client_flush(&net, peer);
}

static uint32_t variable(const uint8_t **at) {
  uint32_t value = 0;
  for (int shift = 0;; shift += 7) {
    uint8_t byte = *(*at)++;
    value |= (uint32_t)(byte & 127) << shift;
    if (!(byte & 128)) return value;
  }
}

static void take(const uint8_t *payload, const uint8_t *end) {
  uint32_t number;
  if (end - payload < STAMP_BYTES) return;
  memcpy(&number, payload, STAMP_BYTES);
  if (number >= (uint64_t)messages) return;
  if (!count) {
    first_ns = now_ns();
    printf("{\"event\":\"first\",\"ms\":%lu}\n", realtime_ms());
  }
  if (seen[number >> 3] & 1 << (number & 7)) {
    repeated++;
    return;
  }
  seen[number >> 3] |= 1 << (number & 7);
  if (number < expected) disordered++;
  else expected = number + 1;
  if (++count < (uint64_t)messages) return;
  printf("{\"event\":\"all\",\"ms\":%lu,\"messages\":%lu,\"seconds\":%.4f,\"repeated\":%lu,\"disordered\":%lu,\"packets\":%lu,"
         "\"bytes\":%lu}\n",
         realtime_ms(), count, (now_ns() - first_ns) / 1e9, repeated, disordered, packets, bytes);
}

static void on_publish(client *c, uint8_t header, const uint8_t *body, uint32_t length) {
  const uint8_t *at = body, *end = body + length;
  int topic_length = at[0] << 8 | at[1], qos = header >> 1 & 3;
  bool ours = topic_length == (int)strlen(topic) && !memcmp(at + 2, topic, topic_length);
  at += 2 + topic_length;
  packets++;
  bytes += length;
  if (qos) {
    answer(c, qos == 1 ? 0x40 : 0x50, at[0], at[1]);
    at += 2;
  }
  if (net.version == 5) {
    uint32_t properties = variable(&at);
    at += properties;
  }
  if (ours) take(at, end);
}

static void on_connect(client *c, const uint8_t *body) {
  net.version = body[6];
  uint8_t packet[16] = {0x20, 2, 0, 0};
  int n = 4;
  if (net.version == 5) {
    packet[n++] = 0;
    if (receive_maximum) {
      packet[4] = 3;
      packet[n++] = 0x21;
      packet[n++] = receive_maximum >> 8;
      packet[n++] = receive_maximum;
    }
    packet[1] = n - 2;
  }
  client_append(c, packet, n);
}

static void on_packet(client *c, uint8_t header, const uint8_t *body, uint32_t length) {
  switch (header >> 4) {
    case 1: on_connect(c, body); break;
    case 3: on_publish(c, header, body, length); break;
    case 6: answer(c, 0x70, body[0], body[1]); break;
    case 8: client_append(c, (uint8_t[]){0x90, 3, body[0], body[1], 0}, 5); break; // one filter, without properties
    case 10: client_append(c, (uint8_t[]){0xb0, 2, body[0], body[1]}, 4); break;
    case 12: client_append(c, "\xd0\0", 2); break;
    case 14: exit(0);
    default: fail("unexpected packet type %d", header >> 4);
  }
}

static int listen_on(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 16)) fail("listen: %s", strerror(errno));
  return fd;
}

int main(int argument_count, char **arguments) {
  static const struct option options[] = {
      {"port", 1, 0, 'p'}, {"topic", 1, 0, 't'}, {"messages", 1, 0, 'n'},        {"certificate", 1, 0, 'c'},
      {"key", 1, 0, 'k'},  {"delay", 1, 0, 'd'}, {"receive-maximum", 1, 0, 'r'}, {0},
  };
  int option;
  while ((option = getopt_long(argument_count, arguments, "", options, NULL)) != -1) {
    switch (option) {
      case 'p': net.port = atol(optarg); break;
      case 't': topic = optarg; break;
      case 'n': messages = atol(optarg); break;
      case 'c': certificate = optarg; break;
      case 'k': key = optarg; break;
      case 'd': delay_ms = atol(optarg); break;
      case 'r': receive_maximum = atol(optarg); break;
      default: exit(2);
    }
  }
  if (!net.port || messages < 1) exit(2);
  prctl(PR_SET_PDEATHSIG, SIGKILL); // ends with whoever started it
  setvbuf(stdout, NULL, _IOLBF, 0);
  seen = calloc(1, messages / 8 + 1);
  net.epoll = epoll_create1(EPOLL_CLOEXEC);
  int listener = listen_on(net.port), fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) fail("accept: %s", strerror(errno));
  close(listener);
  peer = client_adopt(&net, fd, certificate ? tls_accept(fd, certificate, key) : NULL);
  client_read(peer, on_packet); // what came with the end of the handshake wakes nobody
  client_flush(&net, peer);
  for (;;) {
    network_pump(&net, delay_ms ? 1 : 1000, on_packet);
    send_due();
  }
}
