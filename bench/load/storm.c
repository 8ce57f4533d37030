// A storm: all clients at once, each non-blocking from the first SYN on. Who is turned away tries again after a moment,
// so that what a broker refuses costs it as much as in the field.
//
//     standard input                      standard output, a line of JSON each
//     connect                             connect     when all have their CONNACK
//     subscribe                           subscribe   when all have their SUBACK; each asks for a filter of its own
//     reconnect PORT                      reconnect   when all were cut off and are back, at the broker on that port
//     end of file                         (ends)
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RETRY_MS = 200, EVENTS = 512, PACKET_MAX = 256 };
typedef enum { AWAY, DIALING, GREETING, IN, ASKING, SUBSCRIBED } state;

typedef struct {
  int fd;
  state state;
  uint64_t retry_ms; // while AWAY: not before
} client;

static client *clients;
static int count = 1000, epoll, here, subscribed;
static int version = 4, clean = 0;
static uint16_t port;
static char prefix[16] = "storm";
static unsigned long refused, broken; // CONNACKs that said no; connections that ended without one

static uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "storm: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void dial(client *c) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (c->fd < 0) fail("socket");
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  // 28,000 ports are free for one pair of addresses; a few local ones are enough for any storm.
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (c - clients) % 4)};
  setsockopt(c->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
  if (bind(c->fd, (struct sockaddr *)&own, sizeof own)) fail("bind");
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) fail("connect");
  c->state = DIALING;
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
  epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static void hang_up(client *c) {
  if (c->state >= IN) here--;
  if (c->state == SUBSCRIBED) subscribed--;
  close(c->fd);
  c->state = AWAY;
  c->retry_ms = now_ms() + RETRY_MS / 2 + rand() % RETRY_MS;
}

// Small packets: a socket's buffer takes them whole, or the client is as good as gone.
static void say(client *c, const uint8_t *packet, int length) {
  if (send(c->fd, packet, length, MSG_NOSIGNAL) == length) return;
  broken++;
  hang_up(c);
}

static void greet(client *c) {
  uint8_t packet[64] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', version, clean ? 2 : 0, 0, 0 /* no keep alive */};
  int n = 12;
  if (version == 5) packet[n++] = 0;
  char id[32];
  int length = snprintf(id, sizeof id, "%s-%d", prefix, (int)(c - clients));
  packet[n++] = 0;
  packet[n++] = length;
  memcpy(packet + n, id, length);
  n += length;
  packet[1] = n - 2;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
  c->state = GREETING;
  say(c, packet, n);
}

static void ask(client *c) {
  uint8_t packet[64] = {0x82, 0, 0, 1};
  int n = 4;
  if (version == 5) packet[n++] = 0;
  char filter[40];
  int length = snprintf(filter, sizeof filter, "storm/%d/+/set", (int)(c - clients));
  packet[n++] = 0;
  packet[n++] = length;
  memcpy(packet + n, filter, length);
  n += length;
  packet[n++] = 1;
  packet[1] = n - 2;
  c->state = ASKING;
  say(c, packet, n);
}

// The answers are of a few bytes each, and come one at a time.
static void hear(client *c) {
  uint8_t bytes[PACKET_MAX];
  ssize_t got = recv(c->fd, bytes, sizeof bytes, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got >= 4 && bytes[0] == 0x20 && c->state == GREETING) {
    if (bytes[3] == 0) {
      c->state = IN;
      here++;
      return;
    }
    refused++;
  } else if (got >= 5 && bytes[0] == 0x90 && c->state == ASKING) {
    if (bytes[got - 1] > 2) {
      fprintf(stderr, "storm: a subscription was refused with %d\n", bytes[got - 1]);
      exit(1);
    }
    c->state = SUBSCRIBED;
    subscribed++;
    return;
  } else {
    broken++;
  }
  hang_up(c);
}

static void pump(int timeout_ms) {
  struct epoll_event events[EVENTS];
  int n = epoll_wait(epoll, events, EVENTS, timeout_ms);
  for (int i = 0; i < n; i++) {
    client *c = events[i].data.ptr;
    if (c->state == DIALING && (events[i].events & (EPOLLERR | EPOLLHUP))) {
      broken++;
      hang_up(c);
    } else if (c->state == DIALING && (events[i].events & EPOLLOUT)) greet(c);
    else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) hear(c);
  }
}

static void report(const char *what, uint64_t start_ms) {
  printf("{\"event\":\"%s\",\"clients\":%d,\"seconds\":%.3f,\"refused\":%lu,\"broken\":%lu}\n", what, here,
         (now_ms() - start_ms) / 1000.0, refused, broken);
  fflush(stdout);
  refused = broken = 0;
}

static void all_in(const char *what, uint64_t start_ms) {
  while (here < count) {
    uint64_t now = now_ms();
    for (int i = 0; i < count; i++)
      if (clients[i].state == AWAY && clients[i].retry_ms <= now) dial(&clients[i]);
    pump(20);
  }
  report(what, start_ms);
}

static void all_subscribed(void) {
  uint64_t start_ms = now_ms();
  for (int i = 0; i < count; i++)
    if (clients[i].state == IN) ask(&clients[i]);
  while (subscribed < here) pump(20);
  report("subscribe", start_ms);
}

static void all_back(int to_port) {
  uint64_t start_ms = now_ms();
  while (here > 0) pump(20); // the old broker is gone; its sockets say so
  for (int i = 0; i < count; i++) clients[i].retry_ms = 0;
  broken = 0;
  port = to_port;
  all_in("reconnect", start_ms);
}

int main(int argument_count, char **arguments) {
  static const struct option options[] = {{"port", 1, 0, 'p'}, {"clients", 1, 0, 'n'}, {"prefix", 1, 0, 'i'},
                                          {"mqtt", 1, 0, 'v'}, {"clean", 0, 0, 'c'},   {0}};
  int option;
  while ((option = getopt_long(argument_count, arguments, "", options, NULL)) != -1) {
    switch (option) {
      case 'p': port = atoi(optarg); break;
      case 'n': count = atoi(optarg); break;
      case 'i': snprintf(prefix, sizeof prefix, "%s", optarg); break;
      case 'v': version = atoi(optarg); break;
      case 'c': clean = 1; break;
      default: return 2;
    }
  }
  if (!port || count < 1) return 2;
  prctl(PR_SET_PDEATHSIG, SIGKILL); // ends with whoever started it
  clients = calloc(count, sizeof *clients);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  char line[64];
  int to_port;
  while (fgets(line, sizeof line, stdin)) {
    if (!strcmp(line, "connect\n")) all_in("connect", now_ms());
    else if (!strcmp(line, "subscribe\n")) all_subscribed();
    else if (sscanf(line, "reconnect %d", &to_port) == 1) all_back(to_port);
  }
  return 0;
}
