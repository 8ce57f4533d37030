import assert from "node:assert/strict";
import { test } from "node:test";
import { ROUTED, STORED_LATER } from "../../../../src/core/router.ts";
import { PENDING_ENTRY_BYTES } from "../../../../src/protocol/serial/held-publications.ts";
import { FRAMES_PENDING_MAX, PENDING_BYTES_MAX } from "../../../../src/protocol/serial/serial-input.ts";
import { BATCH_BYTES } from "../../../../src/protocol/serial/write-lane.ts";
import { Harness, LINE_BYTES_MAX, write } from "./harness.ts";

const REFUSED = 0x97;
const FAILED = 0x83;

// ---- from the device -----------------------------------------------------------------------------------------

test("each line is published to publish.topic with its QoS, by the line's own slot; empty lines are not", () => {
  const h = new Harness({ publish: { topic: "serial/meter", qos: 2 } });
  h.device.data("21.5\r\n\n22");
  h.device.data(".0\nrest");
  assert.deepEqual(h.published, [
    { topic: "serial/meter", payload: "21.5", qos: 2, publisher: 7 },
    { topic: "serial/meter", payload: "22.0", qos: 2, publisher: 7 },
  ]);
  assert.equal(h.counters.get("serial.lines_received"), 2);
});

test("a line under way when the port goes away is not joined with what comes after; it is counted", () => {
  const h = new Harness();
  h.device.data("ab");
  h.device.away();
  h.device.open();
  h.device.data("c\nd\n");
  assert.deepEqual(h.lines(), ["c", "d"]);
  assert.equal(h.counters.get("serial.lines_cut"), 1);
});

test("a line beyond the limit is dropped and counted, the next one is published", () => {
  const h = new Harness();
  h.device.data(`${"x".repeat(LINE_BYTES_MAX + 1)}\n${"y".repeat(LINE_BYTES_MAX)}\n`);
  assert.deepEqual(
    h.lines().map((line) => line.length),
    [LINE_BYTES_MAX],
  );
  assert.equal(h.counters.get("serial.lines_too_long"), 1);
});

test("who may not publish: lines are dropped and counted, one line of log", () => {
  const h = new Harness();
  h.writable = false;
  h.device.data("a\nb\n");
  assert.equal(h.published.length, 0);
  assert.equal(h.counters.get("serial.lines_denied"), 2);
  assert.equal(h.logged.filter((line) => line.includes("serial-publish-denied")).length, 1);
});

test("lines that wait for the store are bounded: the port is paused at the limit, and goes on in order", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  const lines = Array.from({ length: FRAMES_PENDING_MAX + 10 }, (_, i) => `line ${i}`);
  for (let i = 0; i < lines.length - 10; i += 64) h.device.data(`${lines.slice(i, i + 64).join("\n")}\n`);
  assert.equal(h.published.length, FRAMES_PENDING_MAX);
  assert.equal(h.device.paused, true);
  h.settle(1);
  h.device.data(`${lines.slice(-10).join("\n")}\n`);
  assert.equal(h.device.paused, true);
  assert.equal(h.published.length, FRAMES_PENDING_MAX + 1);
  assert.equal(h.device.paused, true);
  h.settle(20);
  assert.equal(h.device.paused, false);
  assert.deepEqual(h.lines(), lines);
  h.settle(1000);
  h.device.data("more\n");
  assert.deepEqual(h.lines(), ["more"]);
});

test("lines that wait for the store are bounded in bytes, too", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  const line = `${"x".repeat(8000)}\n`;
  let given = 0;
  while (!h.device.paused) {
    h.device.data(line);
    given += 8000;
  }
  assert.equal(given / 8000, Math.ceil(PENDING_BYTES_MAX / (8000 + PENDING_ENTRY_BYTES)));
});

test("a refused line is held with the port paused, tried again, and published once it is taken; order is kept", () => {
  const h = new Harness();
  h.outcome = REFUSED;
  h.device.data("a\nb\nc\n");
  assert.deepEqual(h.lines(), ["a"]);
  assert.equal(h.device.paused, true);
  h.advance(3000);
  assert.deepEqual(new Set(h.lines()), new Set(["a"]));
  h.outcome = STORED_LATER;
  h.advance(500);
  assert.deepEqual(h.lines(), ["a", "b", "c"]);
  assert.equal(h.device.paused, false);
  h.settle(3);
  assert.equal(h.counters.get("serial.lines_refused"), 0);
  assert.equal(h.wheel.armed, 0);
});

test("at the end of refusal_hold the line is dropped, counted and listed; refused ones after it at once, until one is taken", () => {
  const h = new Harness();
  h.outcome = REFUSED;
  h.device.data("a\nb\n");
  h.advance(9900);
  assert.equal(h.counters.get("serial.lines_refused"), 0);
  h.advance(700);
  assert.equal(h.counters.get("serial.lines_refused"), 2);
  assert.equal(h.device.paused, false);
  h.device.data("c\n");
  assert.equal(h.counters.get("serial.lines_refused"), 3);
  assert.equal(h.device.paused, false);
  h.outcome = 0;
  h.lines();
  h.device.data("d\n");
  assert.deepEqual(h.lines(), ["d"]);
  h.outcome = REFUSED;
  h.device.data("e\n");
  assert.equal(h.device.paused, true, "the next refusal is held again");
  const drop = h.ledger.entries()[0];
  assert.deepEqual(
    [drop?.receiver, drop?.cause, drop?.topic, drop?.count],
    ["serial:meter", "queue-full", "serial/meter", 3],
  );
  assert.equal(h.logged.filter((line) => line.includes("serial-lines-refused")).length, 1);
  assert.match(h.logged.find((line) => line.includes("taken-again")) ?? "", /dropped=3/);
});

test("lines that the store refuses later are held and tried again in order; those it took are not repeated", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  h.device.data("a\nb\nc\n");
  h.lines();
  h.settle(1);
  h.settle(2, FAILED);
  assert.equal(h.device.paused, true);
  h.advance(500);
  assert.deepEqual(h.lines(), ["b", "c"]);
  assert.equal(h.device.paused, false);
  h.settle(2);
  assert.equal(h.counters.get("serial.lines_refused"), 0);
  h.device.data("d\n");
  assert.deepEqual(h.lines(), ["d"]);
});

test("a port that comes back while lines are held stays paused", () => {
  const h = new Harness();
  h.outcome = REFUSED;
  h.device.data("a\n");
  h.device.away();
  h.device.open();
  assert.equal(h.device.paused, true);
  h.outcome = 0;
  h.advance(500);
  assert.equal(h.device.paused, false);
});

test("QoS 0 lines are neither kept nor held", () => {
  const h = new Harness({ publish: { topic: "serial/meter", qos: 0 } });
  h.device.data("x\n".repeat(100));
  assert.equal(h.lines().length, 100);
  assert.equal(h.device.paused, false);
});

// ---- to the device -------------------------------------------------------------------------------------------

test("write.topic is subscribed at QoS 1 at most, without what the line itself publishes", () => {
  assert.deepEqual(new Harness({ write: [write({ qos: 2 })] }).subscriptions, [{ filter: "w", options: 0b101 }]);
  assert.deepEqual(new Harness({ write: [write({ qos: 0 })] }).subscriptions, [{ filter: "w", options: 0b100 }]);
  assert.deepEqual(new Harness({ write: [] }).subscriptions, []);
  const { receiver } = new Harness();
  assert.deepEqual([receiver?.effectiveQos(2, 1), receiver?.effectiveQos(0, 1), receiver?.durable], [1, 0, true]);
});

test("a message is a line; at QoS 1 it is acknowledged when it is written, not before", () => {
  const h = new Harness();
  h.deliver("on", 1);
  assert.deepEqual(h.device.written, ["on\n"]);
  assert.equal(h.queue.count, 1);
  h.device.handler?.onWritten();
  assert.equal(h.queue.count, 0);
});

test("lines that come while one is written go together with the next write", () => {
  const h = new Harness();
  for (const payload of ["a", "b", "c"]) h.deliver(payload, 1);
  h.deliver("d", 0);
  assert.deepEqual(h.device.written, ["a\n"]);
  h.device.handler?.onWritten();
  assert.deepEqual(h.device.written, ["a\n", "b\nc\nd\n"]);
  assert.equal(h.queue.count, 2);
  h.device.handler?.onWritten();
  assert.equal(h.queue.count, 0);
  h.deliver("", 1);
  assert.equal(h.device.written.at(-1), "\n");
});

test("what waits for the port is bounded: QoS 1 waits in the queue, QoS 0 is dropped and counted", () => {
  const h = new Harness();
  const payload = "x".repeat(1000);
  for (let i = 0; i < 10; i++) h.deliver(payload, 1);
  for (let i = 0; i < 3; i++) h.deliver(payload, 0);
  assert.equal(h.counters.get("serial.writes_dropped"), 3);
  assert.equal(h.queue.count, 10);
  for (let i = 0; i < 10; i++) h.device.handler?.onWritten();
  assert.equal(h.queue.count, 0);
  assert.equal(h.device.written.join("").length, 10 * 1001);
  assert.ok(h.device.written.every((bytes) => bytes.length <= BATCH_BYTES + 1001));
});

test("while the port is away QoS 0 is dropped and counted", () => {
  const h = new Harness({ write: [write({ qos: 0 })] });
  h.device.away();
  h.deliver("a", 0);
  assert.equal(h.counters.get("serial.writes_dropped"), 1);
  h.device.open();
  h.deliver("b", 0);
  assert.deepEqual(h.device.written, ["b\n"]);
  h.deliver("c", 0);
  h.device.away();
  assert.equal(h.counters.get("serial.writes_dropped"), 3, "b was not confirmed, and c waited behind it");
});

for (const [title, payload, cause] of [
  ["a line feed inside", "a\nb", "invalid"],
  ["a carriage return inside", "a\rb", "invalid"],
  ["a byte over the limit", "x".repeat(LINE_BYTES_MAX + 1), "too-large"],
] as const) {
  test(`a message with ${title} is not written, but counted and listed, and does not block the queue`, () => {
    const h = new Harness();
    h.deliver(payload, 1);
    h.deliver(payload, 0);
    h.deliver("ok", 1);
    assert.deepEqual(h.device.written, ["ok\n"]);
    assert.equal(h.counters.get("serial.writes_invalid"), 2);
    assert.equal(h.ledger.entries()[0]?.cause, cause);
    h.device.handler?.onWritten();
    assert.equal(h.queue.count, 0);
  });
}

test("close unsubscribes and leaves no timer; what is held, or refused later, is dropped and counted", async () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  h.device.data("a\nb\n");
  h.outcome = REFUSED;
  h.device.data("c\nd\n");
  await h.line.stop();
  h.line.leave();
  assert.deepEqual([h.receiver, h.subscriptions.length, h.wheel.armed], [null, 0, 0]);
  assert.equal(h.counters.get("serial.lines_refused"), 1, "c; d was not taken from the port");
  h.settle(1);
  h.settle(1, FAILED);
  assert.deepEqual([h.counters.get("serial.lines_refused"), h.wheel.armed], [2, 0]);
});

test("of lines that wait when the port goes away the unfinished one is not joined with what comes after; it is counted", () => {
  const h = new Harness();
  h.outcome = REFUSED;
  h.device.data("a\nb\nhalf");
  assert.deepEqual(h.lines(), ["a"]);
  h.device.away();
  h.device.open();
  assert.equal(h.device.paused, true);
  h.outcome = ROUTED;
  h.advance(500);
  assert.equal(h.device.paused, false);
  h.device.data("\nc\n");
  assert.deepEqual(h.lines(), ["a", "b", "c"]);
  assert.equal(h.counters.get("serial.lines_cut"), 1);
});
