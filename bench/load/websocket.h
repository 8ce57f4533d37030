// A client's end of WebSocket (RFC 6455): a binary frame for each MQTT packet, as MQTT libraries send them.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WEBSOCKET_HEAD_MAX = 14 };

typedef struct {
  uint8_t head[10]; // of the frame that is coming in, as far as it is there
  int head_length;
  uint64_t left; // bytes of its payload still to come
} websocket;

// Asks for /mqtt and takes the answer; the socket still blocks.
void websocket_open(int fd);
// Writes the head of a frame of `length` bytes, masking key included; returns its bytes.
int websocket_head(uint8_t *to, size_t length);
// Masks a frame's payload.
void websocket_mask(uint8_t *bytes, size_t length);
// Takes the frames' heads out of what was received, in place; returns the bytes that are left.
size_t websocket_unwrap(websocket *w, uint8_t *bytes, size_t length);
