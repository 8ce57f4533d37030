import assert from "node:assert/strict";
import { test } from "node:test";
import { message, published, SnHub, subscriber } from "./harness.ts";

test("[SN12-6.8-1] [SN12-6.8-2] QoS -1 needs no connection, and is never answered", () => {
  const hub = new SnHub({ predefined: new Map([[5, "pre/defined"]]) });
  const peer = subscriber(hub, "#", 0);
  const device = hub.device();
  assert.deepEqual(
    device.ask(
      message(0x0c, [0x61, 0, 5, 0, 0], "1"),
      message(0x0c, [0x62, 0x78, 0x79, 0, 0], "2"),
      message(0x0c, [0x60, 0, 1, 0, 0], "3"),
    ),
    [],
  );
  assert.deepEqual(published(peer), ["pre/defined 1", "xy 2"]);
  assert.equal(hub.clientCount, 0);
});
