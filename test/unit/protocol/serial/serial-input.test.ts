// Lines that become several publications, or none: what is held, tried again and dropped.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ROUTED, STORED_LATER } from "../../../../src/core/router.ts";
import { WORK_PER_TURN } from "../../../../src/protocol/serial/frame-reader.ts";
import type { FrameMapping } from "../../../../src/protocol/serial/parts.ts";
import { FRAMES_PENDING_MAX } from "../../../../src/protocol/serial/serial-input.ts";
import { Harness } from "./harness.ts";

const REFUSED = 0x97;

/** "a b c" is published as a to t/0, b to t/1, c to t/2, at QoS 1, but `silent` of them at QoS 0. */
function words(publicationsMax: number, silent = 1): FrameMapping {
  return {
    publicationsMax,
    onRead: () => {},
    workOf: () => 0,
    map: (bytes, from, end, sink) => {
      const parts = bytes.toString("utf8", from, end).split(" ");
      for (const [i, part] of parts.entries())
        sink.onPublication(`t/${i}`, Buffer.from(part), i === silent ? 0 : 1, false);
    },
  };
}

const topics = (h: Harness) => h.published.splice(0).map(({ topic, payload, qos }) => `${topic} ${payload} ${qos}`);

test("a line's publications go out in order, each with its own topic and QoS, by the line's own slot", () => {
  const h = new Harness({ publish: words(3) });
  h.device.data("a b c\n");
  assert.deepEqual(new Set(h.published.map(({ publisher }) => publisher)), new Set([7]));
  assert.deepEqual(topics(h), ["t/0 a 1", "t/1 b 0", "t/2 c 1"]);
  assert.equal(h.counters.get("serial.lines_received"), 1);
});

test("behind a refused publication the others of its line wait; each is tried again until it is taken, none twice after", () => {
  const h = new Harness({ publish: words(3) });
  h.answers = [ROUTED, REFUSED];
  h.outcome = REFUSED;
  h.device.data("a b c\nd e f\n");
  assert.deepEqual(topics(h), ["t/0 a 1", "t/1 b 0"]);
  assert.equal(h.device.paused, true);
  h.answers = [ROUTED, REFUSED];
  h.advance(500);
  assert.deepEqual(topics(h), ["t/1 b 0", "t/2 c 1"]);
  assert.equal(h.device.paused, true, "the line is not through");
  h.outcome = STORED_LATER;
  h.answers = [];
  h.advance(500);
  assert.deepEqual(topics(h), ["t/2 c 1", "t/0 d 1", "t/1 e 0", "t/2 f 1"]);
  assert.equal(h.device.paused, false);
  h.settle(4);
  assert.equal(h.counters.get("serial.lines_refused"), 0);
  assert.equal(h.wheel.armed, 0);
});

test("a publication that the store refuses later is tried again, the others of its line are not", () => {
  const h = new Harness({ publish: words(3) });
  h.outcome = STORED_LATER;
  h.device.data("a b c\n");
  topics(h);
  h.settle(1, REFUSED);
  assert.equal(h.device.paused, true);
  h.settle(1);
  assert.equal(h.device.paused, true);
  h.advance(500);
  assert.deepEqual(topics(h), ["t/0 a 1"]);
  assert.equal(h.device.paused, false);
});

test("at the end of refusal_hold each publication is dropped and counted, and they are listed", () => {
  const h = new Harness({ publish: words(2) });
  h.outcome = REFUSED;
  h.device.data("a b\n");
  h.advance(10_600);
  assert.equal(h.counters.get("serial.lines_refused"), 2);
  assert.equal(h.device.paused, false);
  assert.deepEqual(
    h.ledger
      .entries()
      .map(({ topic, count }) => [topic, count])
      .sort(),
    [["t/0", 2]],
  );
});

test("the port is paused while the publications of one more line may have no room", () => {
  const h = new Harness({ publish: words(3, -1) });
  h.outcome = STORED_LATER;
  for (let lines = 0; !h.device.paused; lines++) {
    assert.ok(lines < FRAMES_PENDING_MAX / 3);
    h.device.data("a b c\n");
  }
  assert.equal(h.published.length, Math.floor(FRAMES_PENDING_MAX / 3) * 3);
  h.settle(3);
  assert.equal(h.device.paused, false);
  h.device.data("a b c\na b c\n");
  assert.equal(h.published.length, Math.floor(FRAMES_PENDING_MAX / 3) * 3 + 3);
  assert.equal(h.device.paused, true);
  h.settle(1000);
  h.settle(1000);
  assert.equal(h.device.paused, false);
});

test("a line works off so many frames in a turn, and the others in later ones, in order", () => {
  const h = new Harness();
  h.device.data("a\n".repeat(WORK_PER_TURN + 10));
  assert.equal(h.published.length, WORK_PER_TURN / 2, "a frame and its publication");
  assert.equal(h.device.paused, true);
  h.device.turn();
  assert.equal(h.published.length, WORK_PER_TURN);
  assert.equal(h.device.paused, true);
  h.device.turn();
  assert.equal(h.published.length, WORK_PER_TURN + 10);
  assert.equal(h.device.paused, false);
});

test("frames that become many publications, empty ones, and noise have the same share", () => {
  const many = new Harness({ publish: words(3) });
  many.device.data("a b c\n".repeat(100));
  assert.equal(many.published.length, 3 * (WORK_PER_TURN / 4));
  const empty = new Harness();
  empty.device.data("\n".repeat(1000));
  assert.equal(empty.device.awaitsTurn, true);
  const noise = new Harness({ framing: { type: "slip", frameBytesMax: 100 } });
  noise.line.onData(Buffer.from("db00c0".repeat(500), "hex"));
  assert.equal(noise.device.awaitsTurn, true);
});

test("a line that waits for the store goes on when that is done, and with its turn when it has used that up", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  const half = WORK_PER_TURN / 2; // a frame and its publication
  h.device.data("a\n".repeat(400));
  assert.equal(h.published.length, half);
  h.device.turn();
  assert.equal(h.published.length, FRAMES_PENDING_MAX);
  assert.equal(h.device.awaitsTurn, false, "the store is waited for");
  h.settle(FRAMES_PENDING_MAX);
  assert.equal(h.device.awaitsTurn, true, "the share is used up");
  assert.equal(h.published.length, 2 * half);
  h.device.turn();
  assert.equal(h.published.length, 2 * FRAMES_PENDING_MAX);
  h.settle(FRAMES_PENDING_MAX);
  h.device.turn();
  assert.equal(h.published.length, 400);
  assert.equal(h.device.paused, false);
});

test("frames that patterns may take long for are few in a turn", () => {
  const h = new Harness({ publish: { ...words(1), workOf: (bytes) => bytes } });
  h.device.data(`${"a".repeat(99)}\n`.repeat(10));
  assert.equal(h.published.length, 3, "3 x (99 + 2) is more than a turn's work");
  h.device.turn();
  assert.equal(h.published.length, 6);
  const one = new Harness({ publish: { ...words(1), workOf: () => 1e6 } });
  one.device.data("a\nb\n");
  assert.equal(one.published.length, 1, "one at least");
  one.device.turn();
  assert.equal(one.published.length, 2);
});

test("a line of which nothing is published is taken", () => {
  const h = new Harness({ publish: { publicationsMax: 1, onRead: () => {}, workOf: () => 0, map: () => {} } });
  h.device.data("a\nb\n");
  assert.equal(h.device.paused, false);
  assert.equal(h.counters.get("serial.lines_received"), 2);
});

test("rights are asked for each topic", () => {
  const h = new Harness({ publish: words(3) });
  h.denied = "t/1";
  h.device.data("a b c\n");
  assert.deepEqual(topics(h), ["t/0 a 1", "t/2 c 1"]);
  assert.equal(h.counters.get("serial.lines_denied"), 1);
});
