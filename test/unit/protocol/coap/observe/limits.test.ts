/** Observers are bounded: in number, per client, in bytes; and so is what a turn does for them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { observerLimits } from "../../../../../src/protocol/coap/observe/limits.ts";
import { CLIENT, World } from "./world.ts";

const { observersMax, observersPerPeerMax, textBytesMax, waitingBytesMax, inFlightBytesMax } = observerLimits(100);
const client = (i: number) => ({ address: `198.51.100.${i % 250}`, port: 1024 + i });

test("RFC 7641 section 4.1: beyond the limit a GET with Observe is answered as one without, and counted", () => {
  const w = new World();
  w.publish("a", "1", { retain: true });
  for (let i = 0; i < observersMax; i++) assert.notEqual(w.proven("/ps/a", "01", client(i)).observe, undefined);
  const refused = w.observe("/ps/a", "01", client(observersMax));
  assert.deepEqual([refused.code, refused.payload, refused.observe], ["2.05", "1", undefined]);
  assert.equal(w.count("coap.observers"), observersMax);
  assert.equal(w.count("coap.observers_refused"), 1);
  // Who is entered may renew, and leaves a place.
  assert.notEqual(w.observe("/ps/a", "01", client(0)).observe, undefined);
  w.observe("/ps/a", "01", client(0), 1);
  assert.notEqual(w.observe("/ps/a", "01", client(observersMax)).observe, undefined);
});

test("one client may have 32 observations", () => {
  const w = new World();
  for (let i = 0; i < observersPerPeerMax; i++) {
    assert.notEqual(w.proven(`/ps/a/${i}`, i.toString(16).padStart(4, "0")).observe, undefined);
  }
  assert.equal(w.observe("/ps/a/x", "ffff").observe, undefined);
  assert.notEqual(w.observe("/ps/a/x", "ffff", client(1)).observe, undefined);
});

test("filters and names have a limit in bytes together", () => {
  const w = new World();
  const topic = "t".repeat(190);
  let entered = 0;
  while (
    entered < observersMax &&
    w.proven(`/ps/${topic}?clientid=${entered + 100}`, "01", client(entered)).observe !== undefined
  )
    entered++;
  assert.equal(entered, Math.floor(textBytesMax / (topic.length + 3)));
  assert.equal(w.count("coap.observers_refused"), 1);
});

test("a client that never showed that it is at its address gives way when the list is full; one that did does not", () => {
  const w = new World();
  w.observe("/ps/a", "01", client(0));
  for (let i = 1; i < observersMax; i++) w.proven("/ps/a", "01", client(i));
  assert.equal(w.observe("/ps/a", "01", client(600)).observe, undefined);
  w.advance(11_000);
  assert.notEqual(w.observe("/ps/a", "01", client(600)).observe, undefined);
  assert.equal(w.count("coap.observers_evicted"), 1);
  assert.equal(w.observe("/ps/a", "01", client(601)).observe, undefined);
});

test("a fan-out to all observers sends 16 notifications a slice", () => {
  const w = new World();
  for (let i = 0; i < observersMax; i++) w.proven("/ps/a", "01", client(i));
  w.take();
  w.publish("a", "x");
  assert.equal(w.port.sent.length, 0);
  let slices = 0;
  while (w.slices.length > 0) {
    const before = w.port.sent.length;
    for (const sliced of w.slices.splice(0)) sliced.runScheduled();
    slices++;
    assert.ok(w.port.sent.length - before <= 16);
  }
  assert.equal(w.port.sent.length, observersMax);
  assert.equal(slices, Math.ceil(observersMax / 16));
});

test("what waits for all together is bounded in bytes; what is retained is told when its turn comes all the same", () => {
  const w = new World({ notify: "con" });
  const half = Buffer.alloc(waitingBytesMax / 2 - 500, "x");
  for (const [i, topic] of ["a", "b", "c"].entries()) {
    w.proven(`/ps/${topic}`, "01", client(i));
    w.publish(topic, "in flight");
  }
  const inFlight = w.take();
  assert.equal(inFlight.length, 3);
  w.publish("a", half);
  w.publish("b", half);
  assert.equal(w.count("coap.notifications_dropped"), 0);
  w.publish("c", half);
  assert.equal(w.count("coap.notifications_dropped"), 1);
  w.publish("c", half, { retain: true });
  assert.equal(w.count("coap.notifications_dropped"), 1);
  for (const message of inFlight) w.acknowledge(message);
  const sizes = w.take().map(({ size2 }) => size2);
  assert.deepEqual(sizes, [half.length, half.length, half.length]);
});

test("CONs in flight are bounded in bytes: with many clients values go in small blocks, one to each of them", () => {
  const w = new World({ notify: "con" });
  for (let i = 0; i < observersMax; i++) w.proven("/ps/a", "01", client(i));
  w.take();
  w.publish("a", Buffer.alloc(1000, "x"));
  const sent = w.take();
  assert.equal(sent.length, observersMax);
  // Without header, token and payload marker.
  const bytes = sent.reduce((sum, { length }) => sum + length - 6, 0);
  assert.ok(bytes + sent.length * 384 <= inFlightBytesMax, String(bytes));
  assert.ok(sent.filter(({ block2 }) => block2?.bytes === 64).length > observersMax - 5);
  for (const message of sent) w.acknowledge(message);
  for (let i = 20; i < observersMax; i++) w.observe("/ps/a", "01", client(i), 1);
  w.publish("a", Buffer.alloc(1000, "y"));
  const large = w.take();
  assert.equal(large.length, 20);
  for (const { block2 } of large) assert.equal(block2, undefined);
});

test("who does not fit waits until others are done", () => {
  const w = new World({ notify: "con" });
  const topic = ["l", ..."12345".split("").map((digit) => digit.repeat(35))].join("/");
  for (let i = 0; i < observersMax; i++) w.proven("/ps/l/%23", "01", client(i));
  w.take();
  w.publish(topic, "x");
  const sent = w.take();
  assert.ok(sent.length > 50 && sent.length < observersMax, String(sent.length));
  for (const message of sent) w.acknowledge(message);
  assert.equal(sent.length + w.take().length, observersMax);
});

test("nothing larger than three times the registration goes to an address that is not proven; an acknowledgement proves it", () => {
  const w = new World();
  const registered = w.observe("/ps/some/topic", "01");
  const requestBytes = 4 + 1 + 1 + 3 + 5 + 6;
  assert.ok(registered.length <= 3 * requestBytes);
  w.publish("some/topic", Buffer.alloc(500, "x"));
  const first = w.one();
  assert.ok(first.length <= 3 * requestBytes, String(first.length));
  assert.deepEqual([first.type, first.block2?.more, first.size2], ["CON", true, 500]);
  w.acknowledge(first);
  w.publish("some/topic", Buffer.alloc(500, "y"));
  assert.equal(w.one().payload.length, 500);
});

test("a wildcard's notification that does not fit goes when an empty one has been acknowledged", () => {
  const w = new World();
  w.observe("/ps/%23", "01");
  const topic = "x".repeat(150);
  w.publish(topic, "value");
  const probe = w.one();
  assert.deepEqual([probe.type, probe.payload, probe.location], ["CON", "", []]);
  w.acknowledge(probe);
  const told = w.one();
  assert.deepEqual([told.payload, told.location], ["value", ["ps", topic]]);
});

test("observations come and go without leaving anything behind", () => {
  const w = new World();
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < observersMax; i++) w.proven(`/ps/t/${i % 7}/%23`, "01", client(i));
    for (let i = 0; i < observersMax; i++) w.observe(`/ps/t/${i % 7}/%23`, "01", client(i), 1);
  }
  assert.equal(w.count("coap.observers"), 0);
  assert.equal(w.router.subscriptionCount, 0);
  w.observe("/ps/a", "01", CLIENT);
  assert.equal(w.count("coap.observers_refused"), 0);
  assert.equal(w.server.endpoint.tables.peers.held, 1);
});

for (const coapObservers of [1, 2, 512]) {
  test(`limits.coap_observers: ${coapObservers} of as many clients, each is notified, and no more are entered`, () => {
    const w = new World({ coapObservers, notify: "con" });
    for (let i = 0; i < coapObservers; i++) assert.notEqual(w.proven("/ps/a", "01", client(i)).observe, undefined);
    assert.equal(w.observe("/ps/a", "01", client(coapObservers)).observe, undefined);
    w.publish("a", Buffer.alloc(1000, "x"));
    assert.equal(w.take().length, coapObservers);
  });
}

test("a listener's largest datagram bounds notifications and answers: over DTLS with a small MTU values go in small blocks", () => {
  const w = new World({ secure: true, bytesMax: 200 });
  w.publish("a", Buffer.alloc(500, "x"), { retain: true });
  const answer = w.observe("/ps/a");
  assert.deepEqual([answer.block2?.bytes, answer.size2], [128, 500]);
  w.publish("a", Buffer.alloc(500, "y"), { retain: true });
  const notification = w.one();
  assert.deepEqual([notification.block2?.bytes, notification.size2], [128, 500]);
  assert.ok(answer.length <= 200 && notification.length <= 200);
});

test("an observer that is gone is not kept by the Message IDs of its NONs, and an RST to one of them finds nobody", () => {
  const w = new World({ notify: "non" });
  w.proven("/ps/a", "01");
  w.publish("a", "x");
  const non = w.one();
  assert.equal(non.type, "NON");
  const { peers, sentNons } = w.server.endpoint.tables;
  const peer = peers.find(w.server.endpoint, peers.hashOf(CLIENT.address), CLIENT.address, CLIENT.port, null);
  w.observe("/ps/a", "01", CLIENT, 1);
  w.observe("/ps/a", "01");
  assert.ok(peer !== null);
  assert.equal(sentNons.take(peer, non.messageId), null);
  w.reset(non);
  assert.equal(w.count("coap.observers"), 1);
});
