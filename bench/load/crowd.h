// Many clients at once.
#pragma once
#include "client.h"

enum { CONNECT_TIMEOUT_MS = 60000 };

typedef client *dialer(const network *net, client_role role, int index);

// Connects clients 0 to count - 1; returns when all have their CONNACK, which `handle` notes in `connected`.
client **crowd_dial(const network *net, dialer *dial, client_role role, int count, packet_handler *handle);
// Returns when `handle` has noted all as `subscribed`.
void crowd_await_subscribed(const network *net, client **all, int count, packet_handler *handle);
