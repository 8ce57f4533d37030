#define _GNU_SOURCE
#include "websocket.h"

#include <string.h>
#include <sys/socket.h>

#include "client.h"

// Any key does; one of zeros would let a broker off the unmasking.
static const uint8_t KEY[4] = {0x37, 0xfa, 0x21, 0x3d};

void websocket_open(int fd) {
  static const char request[] =
      "GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2x1aWNlIGJlbmNobG9hZA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
  if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1) fail("the WebSocket request does not leave");
  char answer[2048];
  size_t length = 0;
  do {
    if (length == sizeof answer || recv(fd, answer + length, 1, 0) != 1) fail("no answer to the WebSocket request");
    length++;
  } while (length < 4 || memcmp(answer + length - 4, "\r\n\r\n", 4));
  if (memcmp(answer, "HTTP/1.1 101", 12)) fail("not a WebSocket: %.12s", answer);
}

int websocket_head(uint8_t *to, size_t length) {
  int n = 0;
  to[n++] = 0x82; // the whole message, binary
  if (length < 126) {
    to[n++] = 0x80 | length;
  } else {
    int length_bytes = length < 65536 ? 2 : 8;
    to[n++] = 0x80 | (length_bytes == 2 ? 126 : 127);
    for (int shift = 8 * (length_bytes - 1); shift >= 0; shift -= 8) to[n++] = (uint64_t)length >> shift;
  }
  memcpy(to + n, KEY, sizeof KEY);
  return n + sizeof KEY;
}

void websocket_mask(uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) bytes[i] ^= KEY[i & 3];
}

// Bytes of a head, by its second byte; nothing that comes from a broker is masked.
static int head_bytes(uint8_t second) { return second < 126 ? 2 : second == 126 ? 4 : 10; }

static void read_head(websocket *w) {
  int opcode = w->head[0] & 15, bytes = head_bytes(w->head[1]);
  if (opcode != 0 && opcode != 2) fail("WebSocket frame of type %d", opcode);
  w->left = 0;
  for (int i = 2; i < bytes; i++) w->left = w->left << 8 | w->head[i];
  if (bytes == 2) w->left = w->head[1];
  w->head_length = 0;
}

size_t websocket_unwrap(websocket *w, uint8_t *bytes, size_t length) {
  size_t at = 0, end = 0; // bytes[0..end) are payload
  while (at < length) {
    if (w->left == 0) {
      w->head[w->head_length++] = bytes[at++];
      if (w->head_length >= 2 && w->head_length == head_bytes(w->head[1])) read_head(w);
      continue;
    }
    size_t part = length - at < w->left ? length - at : w->left;
    memmove(bytes + end, bytes + at, part);
    at += part;
    end += part;
    w->left -= part;
  }
  return end;
}
