#define _GNU_SOURCE
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 18 };
// All clients read into this one buffer; only an incomplete packet at its end is copied away.
static uint8_t scratch[READ_BYTES];

_Noreturn void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

static const char *role_name(client_role role) {
  return role == PUBLISHER ? "publisher" : role == SUBSCRIBER ? "subscriber" : "idle";
}

// Makes `length` more bytes fit behind out_end.
static void reserve(client *c, size_t length) {
  if (c->out_end + length <= c->out_capacity) return;
  memmove(c->out, c->out + c->out_from, c->out_end - c->out_from);
  c->out_end -= c->out_from;
  c->out_from = 0;
  while (c->out_end + length > c->out_capacity) {
    c->out_capacity = c->out_capacity ? c->out_capacity * 2 : 256;
    c->out = realloc(c->out, c->out_capacity);
    if (!c->out) fail("out of memory");
  }
}

void client_append_parts(client *c, const void *head, size_t head_length, const void *rest, size_t rest_length) {
  size_t length = head_length + rest_length;
  reserve(c, length + WEBSOCKET_HEAD_MAX);
  if (c->websocket) c->out_end += websocket_head(c->out + c->out_end, length);
  uint8_t *packet = c->out + c->out_end;
  memcpy(packet, head, head_length);
  if (rest_length) memcpy(packet + head_length, rest, rest_length);
  if (c->websocket) websocket_mask(packet, length);
  c->out_end += length;
}

void client_append(client *c, const void *packet, size_t length) { client_append_parts(c, packet, length, NULL, 0); }

void client_flush(const network *net, client *c) {
  while (c->out_from < c->out_end) {
    const uint8_t *from = c->out + c->out_from;
    size_t length = c->out_end - c->out_from;
    ssize_t sent = c->tls ? tls_send(c->tls, from, length) : send(c->fd, from, length, MSG_NOSIGNAL);
    if (sent <= 0) {
      if (errno == EAGAIN) break;
      fail("%s %d: send: %s", role_name(c->role), c->index, strerror(errno));
    }
    c->out_from += sent;
  }
  if (c->out_from == c->out_end) c->out_from = c->out_end = 0;
  bool wants_out = c->out_end > 0;
  if (wants_out == c->wants_out) return;
  c->wants_out = wants_out;
  struct epoll_event event = {.events = EPOLLIN | (wants_out ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(net->epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static client *dial(const network *net, client_role role, int index, const char *id, bool clean) {
  client *c = calloc(1, sizeof *c);
  if (!c) fail("out of memory");
  c->role = role;
  c->index = index;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(net->port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) fail("connect: %s", strerror(errno));
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (net->tls) c->tls = tls_open(c->fd);
  if (net->websocket) {
    websocket_open(c->fd);
    c->websocket = calloc(1, sizeof *c->websocket);
    if (!c->websocket) fail("out of memory");
  }
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(net->epoll, EPOLL_CTL_ADD, c->fd, &event);

  int id_length = strlen(id);
  uint8_t packet[64] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', net->version, clean ? 2 : 0, 0, 0 /* no keep alive */};
  int n = 12;
  if (net->version == 5) packet[n++] = 0; // no properties
  packet[n++] = 0;
  packet[n++] = id_length;
  memcpy(packet + n, id, id_length);
  n += id_length;
  packet[1] = n - 2;
  client_append(c, packet, n);
  client_flush(net, c);
  return c;
}

static client *dial_named(const network *net, client_role role, int index, bool clean) {
  char id[24];
  snprintf(id, sizeof id, "%.1s%d-%d", role_name(role), index, (int)getpid());
  return dial(net, role, index, id, clean);
}

client *client_dial(const network *net, client_role role, int index) { return dial_named(net, role, index, true); }

client *client_dial_durable(const network *net, client_role role, int index) { return dial_named(net, role, index, false); }

client *client_resume(const network *net, client_role role, const char *id) {
  if (strlen(id) > 23) fail("%s is longer than a client id may be", id);
  return dial(net, role, 0, id, false);
}

client *client_adopt(const network *net, int fd, tls *tls) {
  client *c = calloc(1, sizeof *c);
  if (!c) fail("out of memory");
  c->fd = fd;
  c->tls = tls;
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(net->epoll, EPOLL_CTL_ADD, fd, &event);
  return c;
}

void client_subscribe(const network *net, client *c) {
  uint8_t packet[64] = {0x82, 0, 0, 1};
  int length = strlen(c->topic), n = 4;
  if (net->version == 5) packet[n++] = 0;
  packet[n++] = 0;
  packet[n++] = length;
  memcpy(packet + n, c->topic, length);
  n += length;
  packet[n++] = net->qos;
  packet[1] = n - 2;
  client_append(c, packet, n);
  client_flush(net, c);
}

void client_disconnect(const network *net, client *c) {
  client_append(c, "\xe0\0", 2);
  client_flush(net, c);
  close(c->fd);
}

void client_leave(const network *net, client *c) {
  struct timeval second = {.tv_sec = 1};
  client_append(c, "\xe0\0", 2);
  client_flush(net, c);
  fcntl(c->fd, F_SETFL, 0);
  setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
  while (recv(c->fd, scratch, READ_BYTES, 0) > 0) {}
  close(c->fd);
}

static void keep_rest(client *c, const uint8_t *bytes, size_t length) {
  if (length > c->rest_capacity) {
    c->rest_capacity = length < 256 ? 256 : length;
    free(c->rest);
    c->rest = malloc(c->rest_capacity);
    if (!c->rest) fail("out of memory");
  }
  if (length) memcpy(c->rest, bytes, length);
  c->rest_length = length;
}

// Takes the whole packets from bytes[0..length); returns the bytes taken.
static size_t take_packets(client *c, const uint8_t *bytes, size_t length, packet_handler *handle) {
  const uint8_t *at = bytes, *end = bytes + length;
  for (;;) {
    uint32_t body = 0;
    int used = 1, shift = 0;
    bool complete = false;
    while (used < 5 && at + used < end) {
      uint8_t byte = at[used++];
      body |= (uint32_t)(byte & 127) << shift;
      shift += 7;
      if (!(byte & 128)) {
        complete = true;
        break;
      }
    }
    if (!complete || end - at < (ptrdiff_t)(used + body)) return at - bytes;
    handle(c, at[0], at + used, body);
    at += used + body;
  }
}

void client_read(client *c, packet_handler *handle) {
  ssize_t got;
  size_t room;
  do {
    if (c->rest_length) memcpy(scratch, c->rest, c->rest_length);
    uint8_t *to = scratch + c->rest_length;
    room = READ_BYTES - c->rest_length;
    got = c->tls ? tls_receive(c->tls, to, room) : recv(c->fd, to, room, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) fail("%s %d: closed by the broker", role_name(c->role), c->index);
    size_t length = c->rest_length + (c->websocket ? websocket_unwrap(c->websocket, to, got) : (size_t)got);
    size_t taken = take_packets(c, scratch, length, handle);
    keep_rest(c, scratch + taken, length - taken);
  } while ((size_t)got == room); // TLS may hold more that epoll does not see
}

void network_pump(const network *net, int timeout_ms, packet_handler *handle) {
  struct epoll_event events[256];
  int n = epoll_wait(net->epoll, events, 256, timeout_ms);
  for (int i = 0; i < n; i++) {
    client *c = events[i].data.ptr;
    if (!c) continue;
    if (events[i].events & EPOLLOUT) client_flush(net, c);
    if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
      client_read(c, handle);
      if (c->out_end) client_flush(net, c);
    }
  }
}
