import assert from "node:assert/strict";
import { test } from "node:test";
import { Hub } from "../../../support/mqtt-hub.ts";
import { SUBACK, subscribe, unsubscribe } from "../../../support/mqtt-packets.ts";

test("SUBACKs that wait for the store take of the memory of acknowledgements; when it is used up each client has one", () => {
  const hub = new Hub(4 << 20, { maxSessions: 200 });
  const { ackMemory } = hub.server;
  const peers = Array.from({ length: 100 }, (_, i) =>
    hub.connect({ version: 5, clientId: `${i}`, expirySeconds: 3600 }),
  );
  hub.settle();
  for (const peer of peers) peer.take();
  const SENT = 64;
  for (const peer of peers)
    for (let n = 1; n <= SENT; n++)
      if (!peer.paused) peer.send(n % 2 === 0 ? unsubscribe(5, n, "t") : subscribe(5, n, ["t", 0]));
  assert.ok(peers.filter(({ paused }) => paused).length > 90);
  assert.ok(ackMemory.used > ackMemory.bytesMax / 2, `${ackMemory.used}`);
  // One each, and what the last of them found.
  assert.ok(ackMemory.used < ackMemory.bytesMax + peers.length * 300, `${ackMemory.used}`);
  const [first] = peers;
  first?.drop();
  for (let n = 0; n < SENT; n++) hub.settle();
  for (const peer of peers) if (peer !== first) assert.ok(peer.take().some(({ type }) => type === SUBACK));
  for (const peer of peers) peer.drop();
  hub.settle();
  assert.equal(ackMemory.used, 0);
});
