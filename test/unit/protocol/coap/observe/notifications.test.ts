/** What is notified, when, and by which kind of message: RFC 7641 sections 4.2 and 4.5. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CON_EVERY } from "../../../../../src/protocol/coap/observe/notifier.ts";
import { CLIENT, type Seen, World } from "./world.ts";

/** Observed, proven, and a round trip of `rttMs` measured. */
function measured(w: World, path = "/ps/a", token = "01", client = CLIENT, rttMs = 100): void {
  w.proven(path, token, client);
  w.publish(path.slice(4).replaceAll("%2B", "x").replaceAll("%23", "x"), "first");
  const first = w.take().find(({ port, address }) => port === client.port && address === client.address) as Seen;
  assert.equal(first.type, "CON");
  w.advance(rttMs);
  w.acknowledge(first);
  w.take();
}

test("the first notification is a CON, from which the round trip is known; then QoS 0 goes as NON, QoS 1 as CON", () => {
  const w = new World();
  measured(w);
  w.publish("a", "0", { qos: 0 });
  const zero = w.one();
  assert.deepEqual([zero.type, zero.payload], ["NON", "0"]);
  w.advance(200);
  for (const qos of [1, 2]) {
    w.publish("a", String(qos), { qos });
    const confirmable = w.one();
    assert.deepEqual([confirmable.type, confirmable.payload], ["CON", String(qos)]);
    w.acknowledge(confirmable);
  }
});

test("?qos=0, as a NON registration, makes NONs of all; notify con and non of the listener do the same either way", () => {
  for (const [notify, path, qos, type] of [
    ["qos", "/ps/a?qos=0", 2, "NON"],
    ["con", "/ps/a", 0, "CON"],
    ["con", "/ps/a?qos=0", 0, "CON"],
    ["non", "/ps/a", 2, "NON"],
  ] as const) {
    const w = new World({ notify });
    w.proven(path);
    w.publish("a", "first");
    const first = w.one();
    if (first.type === "CON") w.acknowledge(first);
    w.advance(3000);
    w.publish("a", "x", { qos });
    assert.equal(w.one().type, type, `${notify} ${path}`);
  }
});

test("one notification in 16 is a CON, and after it the count begins anew", () => {
  const w = new World();
  measured(w);
  const types: string[] = [];
  for (let i = 0; i < 3 * CON_EVERY; i++) {
    w.advance(200);
    w.publish("a", String(i));
    const message = w.one();
    types.push(message.type);
    if (message.type === "CON") w.acknowledge(message);
  }
  const confirmable = types.flatMap((type, i) => (type === "CON" ? [i] : []));
  assert.deepEqual(confirmable, [CON_EVERY - 1, 2 * CON_EVERY - 1, 3 * CON_EVERY - 1]);
});

test("after five minutes without a sign of the client the next notification is a CON", () => {
  const w = new World();
  measured(w);
  w.advance(295_000);
  w.publish("a", "x");
  assert.equal(w.one().type, "NON");
  w.advance(6_000);
  w.publish("a", "y");
  assert.equal(w.one().type, "CON");
});

test("[RFC7641-4.5-2] after 24 hours of silence the state is notified by a CON although it did not change", () => {
  const w = new World();
  w.publish("a", "still", { retain: true });
  w.proven("/ps/a");
  w.advance(24 * 3_600_000 - 2_000);
  assert.deepEqual(w.take(), []);
  w.advance(4_000);
  const check = w.take()[0] as Seen;
  assert.deepEqual([check.type, check.payload], ["CON", "still"]);
  w.acknowledge(check);
  w.advance(10_000);
  assert.deepEqual(w.take(), []);
});

test("[RFC7641-4.5.1-2] while no round trip is known, NONs to a client are 3 s apart, the newest state each", () => {
  const w = new World({ notify: "non" });
  w.proven("/ps/a");
  const at: [number, string][] = [];
  for (let i = 0; i < 100; i++) {
    w.publish("a", String(i));
    w.advance(100);
    for (const { payload, type } of w.take()) {
      assert.equal(type, "NON");
      at.push([i, payload]);
    }
  }
  // What was the newest one at 3.0 s was published at 2.9 s.
  assert.deepEqual(at, [
    [0, "0"],
    [29, "29"],
    [59, "59"],
    [89, "89"],
  ]);
  // All but those four and the one that waits.
  assert.equal(w.count("coap.notifications_superseded"), 95);
});

test("with a round trip of 400 ms NONs are so far apart, whichever observation of the client they are of", () => {
  const w = new World();
  measured(w, "/ps/a", "01", CLIENT, 400);
  w.proven("/ps/b", "02");
  const at: number[] = [];
  for (let ms = 0; ms < 4_000; ms += 50) {
    w.publish("a", String(ms));
    w.publish("b", String(ms));
    for (const message of w.take()) {
      at.push(ms);
      if (message.type === "CON") w.acknowledge(message);
    }
    w.advance(50);
  }
  for (let i = 1; i < at.length; i++) assert.ok((at[i] as number) - (at[i - 1] as number) >= 350, `${at}`);
  assert.ok(at.length >= 8);
});

test("NSTART: a second CON to a client waits for the first one's acknowledgement, of another topic, too", () => {
  const w = new World({ notify: "con" });
  w.proven("/ps/a", "01");
  w.proven("/ps/b", "02");
  w.publish("a", "1");
  w.publish("b", "2");
  const first = w.one();
  w.advance(1_000);
  assert.deepEqual(w.take(), []);
  w.acknowledge(first);
  const second = w.one();
  assert.deepEqual([first.payload, second.payload].sort(), ["1", "2"]);
});

test("RFC 7641 section 4.5.2: a retransmission carries the newest state, under a Message ID of its own and a later place", () => {
  const w = new World({ notify: "con" });
  w.proven("/ps/a");
  w.publish("a", "1");
  const first = w.one();
  for (const value of ["2", "3", "4"]) {
    w.advance(100);
    w.publish("a", value);
  }
  w.advance(3_000);
  const again = w.one();
  assert.deepEqual([again.type, again.payload], ["CON", "4"]);
  assert.notEqual(again.messageId, first.messageId);
  assert.ok((again.observe as number) > (first.observe as number));
  assert.equal(w.count("coap.notifications_superseded"), 3);
  w.acknowledge(again);
  w.advance(60_000);
  assert.deepEqual(w.take(), []);
});

test("when the older state is acknowledged before the newer one has left, the newer one is sent", () => {
  const w = new World({ notify: "con" });
  w.proven("/ps/a");
  w.publish("a", "1");
  const first = w.one();
  w.publish("a", "2");
  assert.deepEqual(w.take(), []);
  w.acknowledge(first);
  const second = w.one();
  assert.deepEqual([second.type, second.payload], ["CON", "2"]);
  w.acknowledge(second);
  assert.deepEqual(w.take(), []);
  assert.equal(w.count("coap.notifications_waiting_bytes"), 0);
});

test("a reset ends an observation, of a CON and of a NON, and that one alone", () => {
  const w = new World();
  measured(w, "/ps/a", "01");
  w.proven("/ps/b", "02");
  w.publish("a", "x");
  const non = w.one();
  assert.equal(non.type, "NON");
  w.reset(non);
  assert.equal(w.count("coap.observers"), 1);
  w.publish("a", "y");
  w.advance(1_000);
  assert.deepEqual(w.take(), []);
  w.publish("b", "z", { qos: 1 });
  w.reset(w.one());
  assert.equal(w.count("coap.observers"), 0);
  assert.equal(w.count("coap.observers_reset"), 2);
  w.advance(100_000);
  assert.deepEqual(w.take(), []);
});

test("a client that does not acknowledge is gone after five attempts, with its observation", () => {
  const w = new World();
  w.observe("/ps/a");
  w.publish("a", "x");
  w.advance(100_000);
  assert.equal(w.take().length, 5);
  assert.equal(w.count("coap.observers"), 0);
  assert.equal(w.count("coap.observers_timed_out"), 1);
  assert.equal(w.count("coap.notifications_waiting_bytes"), 0);
});

test("a client that does not answer holds up nobody else", () => {
  const w = new World({ notify: "con" });
  const live = { ...CLIENT, port: 40_001 };
  w.observe("/ps/a", "01");
  w.proven("/ps/a", "02", live);
  const payloads: string[] = [];
  for (let i = 0; i < 20; i++) {
    w.publish("a", String(i));
    for (const message of w.take()) {
      if (message.port !== live.port) continue;
      payloads.push(message.payload);
      w.acknowledge(message);
    }
    w.advance(100);
  }
  assert.deepEqual(
    payloads,
    Array.from({ length: 20 }, (_, i) => String(i)),
  );
});

test("an empty retained message, which deletes the value, is notified as an empty 2.05; the observation goes on", () => {
  const w = new World();
  w.publish("a", "1", { retain: true, mediaType: "application/json" });
  measured(w);
  w.publish("a", "", { retain: true });
  const gone = w.one();
  assert.deepEqual([gone.code, gone.payload, gone.format], ["2.05", "", undefined]);
  w.advance(500);
  w.publish("a", "2", { retain: true, mediaType: "application/json" });
  assert.equal(w.one().payload, "2");
});

test("a value that expires says so in Max-Age, and when it has expired an empty 2.05 is notified", () => {
  const w = new World();
  w.publish("a", "1", { retain: true, expirySeconds: 30 });
  assert.equal(w.proven("/ps/a").maxAge, 30);
  w.advance(28_000);
  assert.deepEqual(w.take(), []);
  w.advance(4_000);
  const expired = w.take()[0] as Seen;
  assert.deepEqual([expired.type, expired.code, expired.payload, expired.etag], ["CON", "2.05", "", undefined]);
  w.acknowledge(expired);
  w.publish("a", "2", { expirySeconds: 20 });
  assert.equal(w.take()[0]?.maxAge, 20);
});

test("RFC 7641 section 4.2: when the format is another one, 4.06 without Observe ends the observation", () => {
  const w = new World();
  w.publish("a", "1", { retain: true, mediaType: "application/json" });
  measured(w);
  w.publish("a", "2", { mediaType: "application/cbor" });
  const error = w.one();
  assert.deepEqual([error.type, error.code, error.observe], ["CON", "4.06", undefined]);
  w.acknowledge(error);
  assert.equal(w.count("coap.observers"), 0);
});

test("a publisher that names no format does not end it", () => {
  const w = new World();
  w.publish("a", "1", { retain: true, mediaType: "application/json" });
  measured(w);
  w.publish("a", "2");
  assert.deepEqual([w.one().format], [undefined]);
  w.advance(500);
  w.publish("a", "3", { mediaType: "application/json" });
  assert.equal(w.one().format, 50);
});

test("who may no longer read a topic is told by a 4.03, which ends the observation", () => {
  const w = new World();
  w.proven("/ps/a", "01");
  w.proven("/ps/b", "02");
  w.forbidden.add("a");
  w.authority.generation++;
  w.publish("a", "secret");
  w.advance(1_100);
  const error = w.one();
  assert.deepEqual([error.type, error.code, error.token, error.observe], ["CON", "4.03", "01", undefined]);
  w.acknowledge(error);
  assert.equal(w.count("coap.observers"), 1);
});

test("an error that ends an observation comes after the notification in flight, and is given up with the client", () => {
  const w = new World();
  w.proven("/ps/a");
  w.publish("a", "x");
  const first = w.one();
  w.forbidden.add("a");
  w.authority.generation++;
  w.advance(1_100);
  assert.deepEqual(w.take(), []);
  w.acknowledge(first);
  assert.equal(w.one().code, "4.03");
  w.advance(100_000);
  assert.equal(w.count("coap.observers"), 0);
});

test("places grow over all notifications of an observation, retransmissions and replacements included", () => {
  const w = new World();
  const places = [w.proven("/ps/a").observe as number];
  for (let i = 0; i < 50; i++) {
    w.publish("a", String(i), { qos: i % 2 });
    for (const message of w.take()) {
      places.push(message.observe as number);
      if (message.type === "CON" && i % 3 > 0) w.acknowledge(message);
    }
    w.advance(i % 5 === 0 ? 4_000 : 0);
  }
  assert.ok(places.length > 20);
  for (let i = 1; i < places.length; i++) {
    // A retransmission is the same message again.
    assert.ok((places[i] as number) >= (places[i - 1] as number));
  }
});
