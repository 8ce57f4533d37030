/** The table of peers, filled. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../../src/base/random.ts";
import { STORED_LATER } from "../../../../../src/core/router.ts";
import { PEER_LIMITS } from "../../../../../src/protocol/coap/message/peer-table.ts";
import { REPLY_LIMITS } from "../../../../../src/protocol/coap/message/reply-pool.ts";
import { Harness } from "../harness.ts";

const { peersMax, heldMax } = PEER_LIMITS;
const addressOf = (i: number): string => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;

test("10,000 sources: all are served, the table keeps the newest, and the first to come is forgotten first", () => {
  const h = new Harness();
  for (let i = 0; i < 10_000; i++) assert.equal(h.request({ code: "PUT" }, "/ps/a", addressOf(i))[0]?.code, "2.04");
  const { peers } = h.shared.messages;
  assert.equal(peers.size, peersMax);
  assert.equal(h.counters.get("coap.peers_evicted"), 10_000 - peersMax);
  assert.doesNotThrow(() => h.peer(addressOf(9999)));
  assert.doesNotThrow(() => h.peer(addressOf(10_000 - peersMax)));
  assert.throws(() => h.peer(addressOf(10_000 - peersMax - 1)));
});

test("who was heard of again is newer than who was not", () => {
  const h = new Harness();
  for (let i = 0; i < peersMax; i++) h.request({ code: "PUT" }, "/ps/a", addressOf(i));
  h.request({ code: "PUT" }, "/ps/a", addressOf(0));
  h.request({ code: "PUT" }, "/ps/a", addressOf(peersMax));
  assert.doesNotThrow(() => h.peer(addressOf(0)));
  assert.throws(() => h.peer(addressOf(1)));
});

test("who is proven to be there outlasts 10,000 sources that are not; those who are not have a quarter of the places all the same", () => {
  const h = new Harness();
  h.port.peersVerified = false;
  const { peers } = h.shared.messages;
  const ask = (i: number) => h.request({ code: "PUT" }, "/ps/a", addressOf(i));
  for (let i = 0; i < 100; i++) {
    ask(i);
    peers.verify(h.peer(addressOf(i)));
  }
  const proven = h.peer(addressOf(99));
  for (let i = 1000; i < 11_000; i++) ask(i);
  assert.equal(h.peer(addressOf(99)), proven);
  assert.throws(() => h.peer(addressOf(1000)));
  assert.equal(peers.size, peersMax);
  for (let i = 20_000; i < 20_000 + 2 * peersMax; i++) {
    ask(i);
    peers.verify(h.peer(addressOf(i)));
  }
  assert.equal(peers.size, peersMax);
  assert.throws(() => h.peer(addressOf(99)));
  for (let i = 30_000; i < 30_000 + peersMax / 4; i++) ask(i);
  for (let i = 30_000; i < 30_000 + peersMax / 4; i++)
    assert.doesNotThrow(() => h.peer(addressOf(i)), "a quarter is theirs");
});

test("held peers stay, more than heldMax are refused, and with all of them held and all replies taken newcomers are still answered", () => {
  const h = new Harness();
  for (let i = 0; i < heldMax; i++) {
    h.request({ code: "PUT" }, "/ps/a", addressOf(i));
    assert.equal(h.peer(addressOf(i)).hold(), true);
    assert.equal(h.peer(addressOf(i)).hold(), true, "a second time costs no place");
  }
  h.request({ code: "PUT" }, "/ps/a", addressOf(heldMax));
  assert.equal(h.peer(addressOf(heldMax)).hold(), false);

  h.outcome = STORED_LATER;
  for (let i = 0; i < REPLY_LIMITS.repliesMax; i++) h.request({ code: "PUT" }, "/ps/a", addressOf(10_000 + i));
  for (let i = 0; i < 2000; i++) {
    assert.equal(h.request({ code: "PUT" }, "/ps/a", addressOf(20_000 + i))[0]?.code, "5.03");
  }
  assert.equal(h.shared.messages.peers.size, peersMax);
  for (let i = 0; i < heldMax; i++) assert.equal(h.peer(addressOf(i)).holds, 2);
  for (let i = 0; i < REPLY_LIMITS.repliesMax; i++) assert.equal(h.peer(addressOf(10_000 + i)).busy, 1);

  for (let i = 0; i < heldMax; i++) {
    h.peer(addressOf(i)).release();
    h.peer(addressOf(i)).release();
  }
  assert.equal(h.shared.messages.peers.held, 0);
  assert.equal(h.peer(addressOf(heldMax - 1)).hold(), true);
});

test("another address, port, identity or listener is another peer; the same again is the same", () => {
  const h = new Harness();
  const { peers } = h.shared.messages;
  const { endpoint } = h.server;
  const take = (address: string, port: number, identity: string | null) =>
    peers.take(endpoint, peers.hashOf(address), address, port, identity, true);
  const all = [
    take("::1", 1, null),
    take("::1", 2, null),
    take("::2", 1, null),
    take("::1", 1, "a"),
    take("::1", 1, "b"),
  ];
  assert.equal(new Set(all).size, all.length);
  assert.equal(new Set(all.map((peer) => peer.serial)).size, all.length);
  assert.equal(take("::1", 1, "a"), all[3]);
});

test("random holds, requests, ends and departures: whoever is held or busy is found, whoever is gone is not", () => {
  const h = new Harness();
  const random = seededRandom(7252);
  const { peers } = h.shared.messages;
  const { endpoint } = h.server;
  const held = new Map<string, number>();
  for (let i = 0; i < 30_000; i++) {
    const address = addressOf(Math.floor(random() * 3000));
    const peer = peers.take(endpoint, peers.hashOf(address), address, 1, null, false);
    const dice = random();
    if (dice < 0.3 && peer.hold()) held.set(address, (held.get(address) ?? 0) + 1);
    if (dice > 0.97) {
      const others = [...held.keys()];
      const other = others[Math.floor(random() * others.length)];
      if (other === undefined) continue;
      const count = held.get(other)!;
      h.peer(other, 1).release();
      if (count === 1) held.delete(other);
      else held.set(other, count - 1);
    }
    assert.ok(peers.size <= peersMax);
    assert.equal(peers.held, held.size);
  }
  for (const [address, count] of held) assert.equal(h.peer(address, 1).holds, count);
  for (const address of held.keys()) {
    const peer = h.peer(address, 1);
    endpoint.onPeerGone(address, 1);
    assert.throws(() => h.peer(address, 1));
    for (let count = held.get(address)!; count > 0; count--) peer.release();
  }
  assert.equal(peers.held, 0);
});
