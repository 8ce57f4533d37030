// One MQTT client of the load: a non-blocking socket, what is still to be written, and the start of a packet that has
// not arrived whole. MQTT 3.1.1 or 5.0; only what a load needs.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls.h"
#include "websocket.h"

typedef enum { PUBLISHER, SUBSCRIBER, IDLE } client_role;

typedef struct client {
  int fd;
  tls *tls;             // null without TLS
  websocket *websocket; // null without WebSocket
  client_role role;
  int index; // among its role
  char topic[32];
  bool connected, subscribed, wants_out;

  uint8_t *out; // out[out_from..out_end) waits for the socket
  size_t out_from, out_end, out_capacity;
  uint8_t *rest; // bytes of a packet that has not arrived whole
  size_t rest_length, rest_capacity;

  // Publisher
  uint16_t packet_id;
  uint32_t sequence;  // of its next message
  int unacknowledged; // PUBLISH packets without PUBACK or PUBCOMP
  int fan_out;        // subscribers that get each of its messages

  // Subscriber: next sequence number per publisher
  uint32_t *expected;
} client;

typedef struct {
  int epoll;
  uint16_t port;
  int version; // 4 or 5
  int qos;
  bool tls, websocket;
} network;

// Called for every complete packet: its first byte and body[0..length).
typedef void packet_handler(client *c, uint8_t header, const uint8_t *body, uint32_t length);

// Connects and sends CONNECT, for a clean session with an id of its own; ends the program when the broker is not there.
client *client_dial(const network *net, client_role role, int index);
// The same for a session that the broker keeps, MQTT 3.1.1; a client_dial later removes it.
client *client_dial_durable(const network *net, client_role role, int index);
// Comes back to a session of that id, or begins one. MQTT 3.1.1.
client *client_resume(const network *net, client_role role, const char *id);
// The server's end of a connection that was accepted, with TLS on it or null. Nothing is sent.
client *client_adopt(const network *net, int fd, tls *tls);
void client_subscribe(const network *net, client *c);
// Appends a packet, whole.
void client_append(client *c, const void *packet, size_t length);
// The same for a packet in two parts.
void client_append_parts(client *c, const void *head, size_t head_length, const void *rest, size_t rest_length);
// Hands as much as the socket takes to the kernel; asks epoll for the rest.
void client_flush(const network *net, client *c);
// Reads what is there and hands over every complete packet; ends the program when the broker closes.
void client_read(client *c, packet_handler *handle);
// Waits up to `timeout_ms` for sockets and serves them; a descriptor in the set without a client just wakes.
void network_pump(const network *net, int timeout_ms, packet_handler *handle);
void client_disconnect(const network *net, client *c);
// The same, and waits until the broker has closed: it knows then that the client is gone.
void client_leave(const network *net, client *c);

// Writes a Variable Byte Integer; returns the bytes used.
static inline int put_length(uint8_t *to, uint32_t value) {
  int n = 0;
  do {
    to[n] = value & 127;
    value >>= 7;
    if (value) to[n] |= 128;
    n++;
  } while (value);
  return n;
}

_Noreturn void fail(const char *format, ...);
