// Load for a CoAP server: requests from several source ports, so many under way at a time, each answered before its place
// is used again. One thread, epoll. The result is one line of JSON on standard output.
//
//     --port P --broker-pid N          the server on 127.0.0.1, and whose CPU time counts
//     --requests N --warm-up N         counted, and before
//     --sources N --window N           source ports, and requests under way on all of them together
//     --method get|put  --non          NON instead of CON
//     --path a/b --query q=1           --payload B bytes of a PUT
//
// A CON without an answer is sent again after two seconds, as RFC 7252 section 4.2 has it; a NON is given up then.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"
#include "cpu.h"
#include "histogram.h"

enum { WINDOW_MAX = 1024, DATAGRAM_BYTES = 1500, TIMEOUT_MS = 2000, ATTEMPTS = 5, TOKEN_BYTES = 2 };
enum { CON = 0, NON = 1, ACK = 2, GET = 1, PUT = 3, URI_PATH = 11, URI_QUERY = 15 };

typedef struct {
  int fd;
  uint16_t message_id;
  bool waits;
  int attempts;
  uint64_t sent_ns; // first
  uint64_t due_ns;  // when it is sent again
} place;

static int port, broker_pid, sources = 8, window = 32, payload_bytes = 50, method = PUT;
static bool non;
static const char *path = "ps/b/0", *query = "";
static long requests = 100000, warm_up;

static place places[WINDOW_MAX];
static int *sockets;
static uint16_t *message_ids;
static uint8_t datagram[DATAGRAM_BYTES];
static int datagram_bytes;
static histogram latency;
static long sent, answered, refused, repeated, unanswered;

static int put_option(uint8_t *at, int *number, int option, const char *value, size_t length) {
  if (length > 12) fail("a part of the path or query is longer than 12 bytes");
  at[0] = (option - *number) << 4 | length;
  memcpy(at + 1, value, length);
  *number = option;
  return 1 + length;
}

static int put_options(uint8_t *at, int *number, int option, const char *text, char separator) {
  int n = 0;
  while (*text) {
    const char *end = strchrnul(text, separator);
    n += put_option(at + n, number, option, text, end - text);
    text = *end ? end + 1 : end;
  }
  return n;
}

static void compose(void) {
  int number = 0, n = 4 + TOKEN_BYTES;
  datagram[0] = 1 << 6 | (non ? NON : CON) << 4 | TOKEN_BYTES;
  datagram[1] = method;
  n += put_options(datagram + n, &number, URI_PATH, path, '/');
  n += put_options(datagram + n, &number, URI_QUERY, query, '&');
  if (method == PUT && payload_bytes) {
    datagram[n++] = 0xff;
    memset(datagram + n, 'x', payload_bytes);
    n += payload_bytes;
  }
  datagram_bytes = n;
}

static void transmit(place *p) {
  int token = p - places;
  datagram[2] = p->message_id >> 8;
  datagram[3] = p->message_id;
  datagram[4] = token >> 8;
  datagram[5] = token;
  if (send(p->fd, datagram, datagram_bytes, 0) < 0) fail("cannot send");
}

static void next_request(place *p, uint64_t now) {
  p->message_id = message_ids[(p - places) % sources]++;
  p->waits = true;
  p->attempts = 1;
  p->sent_ns = now;
  p->due_ns = now + TIMEOUT_MS * 1000000ull;
  sent++;
  transmit(p);
}

static void on_response(const uint8_t *bytes, ssize_t length, uint64_t now) {
  if (length < 4 || bytes[0] >> 6 != 1 || !bytes[1]) return;
  if (length < 4 + TOKEN_BYTES || (bytes[0] & 15) != TOKEN_BYTES) fail("a response without its token");
  int token = bytes[4] << 8 | bytes[5];
  if (token >= window) fail("a response of somebody else");
  place *p = &places[token];
  if (!p->waits || (!non && (bytes[2] << 8 | bytes[3]) != p->message_id)) {
    repeated++;
    return;
  }
  p->waits = false;
  if (bytes[1] >> 5 != 2) refused++;
  answered++;
  histogram_add(&latency, (now - p->sent_ns) / 1000);
}

static void receive(int fd) {
  uint8_t bytes[DATAGRAM_BYTES];
  for (ssize_t n; (n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) >= 0;) on_response(bytes, n, now_ns());
}

static void repeat_what_is_due(uint64_t now) {
  for (int i = 0; i < window; i++) {
    place *p = &places[i];
    if (!p->waits || now < p->due_ns) continue;
    if (non || p->attempts == ATTEMPTS) {
      unanswered++;
      p->waits = false;
    } else {
      p->attempts++;
      p->due_ns = now + (TIMEOUT_MS << (p->attempts - 1)) * 1000000ull;
      transmit(p);
    }
  }
}

// Sends until so many more requests are answered or given up.
static void run(int epoll, long count) {
  long end = answered + unanswered + count, send_end = sent + count;
  uint64_t checked = now_ns();
  while (answered + unanswered < end) {
    uint64_t now = now_ns();
    for (int i = 0; i < window && sent < send_end; i++)
      if (!places[i].waits) next_request(&places[i], now);
    struct epoll_event events[64];
    int ready = epoll_wait(epoll, events, 64, 100);
    for (int i = 0; i < ready; i++) receive(events[i].data.fd);
    if (now_ns() - checked > 100000000) {
      checked = now_ns();
      repeat_what_is_due(checked);
    }
  }
}

static void open_sockets(int epoll) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  sockets = calloc(sources, sizeof *sockets);
  message_ids = calloc(sources, sizeof *message_ids);
  for (int i = 0; i < sources; i++) {
    int fd = sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("no socket to port %d", port);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    message_ids[i] = now_ns() / 1000 + i;
  }
  for (int i = 0; i < window; i++) places[i].fd = sockets[i % sources];
}

static void parse(int count, char **arguments) {
  static const struct option options[] = {
      {"port", 1, 0, 'p'},   {"broker-pid", 1, 0, 'B'}, {"requests", 1, 0, 'n'}, {"warm-up", 1, 0, 'u'}, {"sources", 1, 0, 's'},
      {"window", 1, 0, 'W'}, {"method", 1, 0, 'm'},     {"non", 0, 0, 'N'},      {"path", 1, 0, 'P'},    {"query", 1, 0, 'Q'},
      {"payload", 1, 0, 'b'}, {0},
  };
  int option;
  while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
    long value = optarg ? atol(optarg) : 0;
    switch (option) {
      case 'p': port = value; break;
      case 'B': broker_pid = value; break;
      case 'n': requests = value; break;
      case 'u': warm_up = value; break;
      case 's': sources = value; break;
      case 'W': window = value; break;
      case 'm': method = strcmp(optarg, "get") ? PUT : GET; break;
      case 'N': non = true; break;
      case 'P': path = optarg; break;
      case 'Q': query = optarg; break;
      case 'b': payload_bytes = value; break;
      default: exit(2);
    }
  }
  if (!port || sources < 1 || window < sources || window > WINDOW_MAX || payload_bytes > 1024) exit(2);
}

int main(int count, char **arguments) {
  parse(count, arguments);
  prctl(PR_SET_PDEATHSIG, SIGKILL); // ends with whoever started it
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  open_sockets(epoll);
  compose();
  run(epoll, warm_up);
  histogram_clear(&latency);
  unsigned long user_at_start, system_at_start, user, system;
  read_cpu(broker_pid, &user_at_start, &system_at_start);
  long answered_at_start = answered;
  uint64_t start = now_ns();
  run(epoll, requests);
  double seconds = (now_ns() - start) / 1e9, ticks = sysconf(_SC_CLK_TCK);
  read_cpu(broker_pid, &user, &system);
  printf("{\"answered\":%ld,\"seconds\":%.4f,\"userSeconds\":%.2f,\"systemSeconds\":%.2f,\"p50Us\":%lu,\"p99Us\":%lu,"
         "\"refused\":%ld,\"repeated\":%ld,\"unanswered\":%ld}\n",
         answered - answered_at_start, seconds, (user - user_at_start) / ticks, (system - system_at_start) / ticks,
         histogram_percentile(&latency, .5), histogram_percentile(&latency, .99), refused, repeated, unanswered);
  return 0;
}
