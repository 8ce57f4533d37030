import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SUBSCRIBE_PART_BYTES, UNSUBSCRIBE_PART_BYTES } from "../../../../src/protocol/mqtt/work.ts";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import { PINGRESP, pingreq, publish, SUBACK, subscribe, UNSUBACK, unsubscribe } from "../../../support/mqtt-packets.ts";

const FILTERS = 3000;
const GRANTED = 100; // limits.subscriptions_per_client of the hub
const REFUSED = 0x80;

const filterOf = (i: number): string => `f/${i}`;
const manyFilters = (count = FILTERS): string[] => Array.from({ length: count }, (_, i) => filterOf(i));
const subscribeTo = (filters: readonly string[], packetId = 7): Buffer =>
  subscribe(4, packetId, ...filters.map((filter): [string, number] => [filter, 1]));

/** A peer whose link lets what is left wait, as a socket's does. */
class Waiting {
  readonly peer: HubPeer;
  rest: Buffer | null = null;
  turns = 0;

  constructor(hub: Hub, clientId: string) {
    this.peer = hub.connect({ version: 4, clientId });
    this.peer.take();
    this.peer.putBack = (bytes, from, end) => {
      assert.equal(this.rest, null, "one rest at a time");
      this.rest = Buffer.from(bytes.subarray(from, end));
      return true;
    };
  }

  /** @returns false when there is none to be had */
  turn(): boolean {
    if (this.rest === null) return false;
    const { rest } = this;
    this.rest = null;
    this.turns++;
    this.peer.handler.onData(rest);
    return true;
  }

  drain(): void {
    while (this.turn());
  }
}

const codesOf = (body: Buffer): number[] => [...body.subarray(2)];
const expectedCodes = (count = FILTERS) => Array.from({ length: count }, (_, i) => (i < GRANTED ? 1 : REFUSED));

describe("a SUBSCRIBE of thousands of filters", () => {
  for (const [title, chunkBytes] of [
    ["in one read", Number.POSITIVE_INFINITY],
    ["in reads of 1,000 bytes", 1000],
  ] as const) {
    test(`takes turns ${title}, is answered once with all codes, and what follows waits`, () => {
      const hub = new Hub();
      const waiting = new Waiting(hub, "s");
      const bytes = Buffer.concat([subscribeTo(manyFilters()), pingreq()]);
      const step = Math.min(chunkBytes, bytes.length);
      for (let at = 0; at < bytes.length; at += step) waiting.peer.send(bytes.subarray(at, at + step));
      assert.deepEqual(waiting.peer.take(), []);
      const granted = hub.router.subscriptionCount;
      assert.ok(granted > 0, "what is done holds at once");
      waiting.drain();
      const parts = Math.ceil(bytes.length / SUBSCRIBE_PART_BYTES);
      assert.ok(waiting.turns >= parts - 1 && waiting.turns <= parts, `${waiting.turns} turns for ${parts} parts`);
      const [suback, pingresp, ...more] = waiting.peer.take();
      assert.equal(suback?.type, SUBACK);
      assert.equal(suback?.body.readUInt16BE(0), 7);
      assert.deepEqual(codesOf(suback?.body as Buffer), expectedCodes());
      assert.equal(pingresp?.type, PINGRESP);
      assert.deepEqual(more, []);
      assert.equal(hub.counters.get("mqtt.input_bytes"), 0);
      assert.equal(hub.counters.get("mqtt.subscribe.received"), 1);
    });
  }

  test("is worked off at once when its rest has no room", () => {
    const hub = new Hub();
    const peer = hub.connect({ version: 4, clientId: "s" });
    peer.take();
    for (const step of [100_000, 1000]) {
      const bytes = subscribeTo(manyFilters());
      for (let at = 0; at < bytes.length; at += step) peer.send(bytes.subarray(at, at + step));
      const [suback] = peer.take();
      assert.equal(codesOf(suback?.body as Buffer).length, FILTERS);
    }
    assert.equal(hub.counters.get("mqtt.input_bytes"), 0);
  });

  test("is refused as a whole at the filter that breaks its form, however late it comes", () => {
    const hub = new Hub();
    const waiting = new Waiting(hub, "s");
    waiting.peer.send(subscribeTo([...manyFilters(), "a/#/b"]));
    waiting.drain();
    assert.equal(waiting.peer.closed, true);
    assert.deepEqual(waiting.peer.take(), []);
  });

  test("ends with its connection; the next one of that client begins anew", () => {
    const hub = new Hub();
    const waiting = new Waiting(hub, "s");
    waiting.peer.send(subscribeTo(manyFilters()));
    assert.notEqual(waiting.rest, null);
    const next = new Waiting(hub, "s");
    assert.equal(waiting.peer.closed, true);
    waiting.drain();
    assert.deepEqual(
      waiting.peer.take().filter(({ type }) => type === SUBACK),
      [],
    );
    next.peer.send(subscribeTo(["x"], 9));
    const [suback] = next.peer.take();
    assert.deepEqual([suback?.body.readUInt16BE(0), codesOf(suback?.body as Buffer)], [9, [1]]);
  });

  test("is answered once it is stored, when its session stays", () => {
    const hub = new Hub();
    const waiting = new Waiting(hub, "s");
    const kept = hub.connect({ version: 4, clientId: "kept", clean: false });
    kept.take();
    kept.putBack = waiting.peer.putBack as NonNullable<HubPeer["putBack"]>;
    kept.send(subscribeTo(manyFilters(1000)));
    while (waiting.rest !== null) {
      const { rest } = waiting;
      waiting.rest = null;
      kept.handler.onData(rest);
    }
    assert.deepEqual(kept.take(), []);
    hub.settle();
    assert.deepEqual(codesOf(kept.take()[0]?.body as Buffer), expectedCodes(1000));
  });

  test("that straddles reads waits in the connection, and what is behind it in the link; reading that goes on does not hurry it", () => {
    const hub = new Hub();
    const waiting = new Waiting(hub, "s");
    const { peer } = waiting;
    const long = subscribeTo(manyFilters());
    // Straddles: waits in the connection, behind it in the link.
    peer.send(long.subarray(0, 100), Buffer.concat([long.subarray(100), pingreq(), subscribeTo(["z"], 8)]));
    const held = waiting.rest;
    assert.deepEqual(held?.subarray(0, 2), pingreq());
    const granted = hub.router.subscriptionCount;
    for (const connection of hub.server.connections) connection.resumeReading();
    assert.deepEqual([waiting.rest, hub.router.subscriptionCount], [held, granted]);
    waiting.drain();
    assert.deepEqual(
      peer.take().map(({ type }) => type),
      [SUBACK, PINGRESP, SUBACK],
    );
  });
});

test("an UNSUBSCRIBE of thousands of filters takes turns and is answered once", () => {
  const hub = new Hub();
  const waiting = new Waiting(hub, "s");
  const { peer } = waiting;
  const filters = manyFilters(6000);
  peer.send(subscribeTo(filters.slice(0, 50)));
  peer.take();
  const bytes = unsubscribe(4, 11, ...filters);
  peer.send(bytes);
  assert.deepEqual(peer.take(), []);
  waiting.drain();
  assert.equal(waiting.turns, Math.ceil((bytes.length - 6) / UNSUBSCRIBE_PART_BYTES) - 1);
  const [unsuback] = peer.take();
  assert.equal(unsuback?.type, UNSUBACK);
  assert.equal(unsuback?.body.readUInt16BE(0), 11);
  assert.equal(hub.router.subscriptionCount, 0);
});

test("messages reach the subscriptions that are made already, in the order in which they were published", () => {
  const hub = new Hub();
  const waiting = new Waiting(hub, "s");
  const publisher = hub.connect({ version: 4, clientId: "p" });
  waiting.peer.send(subscribeTo(manyFilters()));
  publisher.send(publish(4, { topic: filterOf(0), payload: "1" }), publish(4, { topic: filterOf(1), payload: "2" }));
  waiting.drain();
  publisher.send(publish(4, { topic: filterOf(0), payload: "3" }));
  const payloads = waiting.peer.take().map(({ body }) => body.toString("latin1", body.length - 1));
  assert.deepEqual([payloads[0], payloads[1], payloads.at(-1)], ["1", "2", "3"]);
});
