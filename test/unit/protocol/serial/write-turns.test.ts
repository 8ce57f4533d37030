// Paced writes, and requests with their responses, on a fake port and a clock that the test moves.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SerialRequestConfig } from "../../../../src/config/serial-write.ts";
import { STORED_LATER } from "../../../../src/core/router.ts";
import { PENDING_ENTRY_BYTES } from "../../../../src/protocol/serial/held-publications.ts";
import {
  REPLY_BYTES_MAX,
  RESPONSES_PENDING_MAX,
  STORING_BYTES_MAX,
  UNWRITTEN_MAX,
} from "../../../../src/protocol/serial/replies.ts";
import { budget } from "../../../../src/protocol/serial/serial-line.ts";
import { BATCH_BYTES } from "../../../../src/protocol/serial/write-lane.ts";
import { TURNS_MAX } from "../../../../src/protocol/serial/write-turns.ts";
import { Harness, request, write } from "./harness.ts";

const TOPIC = "serial/meter/set";

function paced(gapMs: number): Harness {
  return new Harness({ write: [write({ topic: TOPIC, gapMs })] });
}

function asking(part: Partial<SerialRequestConfig> = {}, rest: Parameters<typeof write>[0] = {}): Harness {
  return new Harness({ write: [write({ topic: TOPIC, request: request(part), ...rest })] });
}

const asked = { responseTopic: "reply/7", correlationData: Buffer.from([1, 2, 3]) };

// ---- gap -------------------------------------------------------------------------------------------------------

test("frames go one at a time, with the gap between the end of one and the next; each is acknowledged when written", () => {
  const h = paced(20);
  for (const payload of ["a", "b", "c"]) h.deliver(payload, 1);
  assert.deepEqual(h.device.written, ["a\n"]);
  h.tick(50);
  assert.deepEqual(h.device.written, ["a\n"], "it is still being written");
  assert.deepEqual([h.sent(), h.queue.count], [["a\n"], 2]);
  h.tick(19);
  assert.deepEqual(h.device.written, []);
  h.tick(1);
  assert.deepEqual(h.device.written, ["b\n"]);
  h.sent();
  h.tick(20);
  assert.deepEqual([h.sent(), h.queue.count], [["c\n"], 0]);
  h.tick(20);
  h.deliver("d", 1);
  assert.deepEqual(h.device.written, ["d\n"], "the gap is over");
});

test("between two frames lies the larger gap of both", () => {
  const h = new Harness({ write: [write({ topic: "fast", gapMs: 5 }), write({ topic: "slow", gapMs: 30 })] });
  for (const topic of ["fast", "slow", "fast"]) h.deliver(topic, 0, topic);
  h.sent();
  h.tick(29);
  assert.deepEqual(h.device.written, []);
  h.tick(1);
  assert.deepEqual(h.sent(), ["slow\n"]);
  h.tick(29);
  assert.deepEqual(h.device.written, []);
  h.tick(1);
  assert.deepEqual(h.sent(), ["fast\n"]);
});

test("frames that wait for their turn are bounded in number: QoS 0 is dropped and counted, QoS 1 waits in the queue", () => {
  const h = paced(20);
  for (let i = 0; i < TURNS_MAX + 1 + 5; i++) h.deliver("", 0);
  assert.equal(h.counters.get("serial.writes_dropped"), 5);
  h.deliver("kept", 1);
  assert.deepEqual([h.queue.count, h.queue.inFlight], [1, 0]);
  let last = "";
  for (let i = 0; i < TURNS_MAX + 2; i++) {
    last = h.sent().join("");
    h.tick(20);
  }
  assert.deepEqual([last, h.queue.count], ["kept\n", 0]);
});

test("frames that wait for their turn are bounded in bytes, too", () => {
  const h = paced(20);
  h.deliver("first", 0);
  for (let bytes = 0; bytes < BATCH_BYTES; bytes += 1001) h.deliver("x".repeat(1000), 0);
  assert.equal(h.counters.get("serial.writes_dropped"), 0);
  h.deliver("x", 0);
  assert.equal(h.counters.get("serial.writes_dropped"), 1);
});

test("a port that goes away forgets the gap and what waited: QoS 1 is written anew in order, QoS 0 is counted", () => {
  const h = paced(20);
  h.deliver("a", 1);
  h.deliver("b", 1);
  h.deliver("lost", 0);
  h.device.away();
  h.tick(100);
  assert.deepEqual([h.counters.get("serial.writes_dropped"), h.queue.count, h.busWheel.armed], [1, 2, 0]);
  h.device.written.length = 0;
  h.device.open();
  assert.deepEqual(h.sent(), ["a\n"]);
  h.tick(20);
  assert.deepEqual([h.sent(), h.queue.count], [["b\n"], 0]);
});

// ---- requests --------------------------------------------------------------------------------------------------

test("the response goes to the Response Topic with the Correlation Data; the next request has waited for it", () => {
  const h = asking();
  h.deliver("one?", 1, TOPIC, asked);
  h.deliver("two?", 1, TOPIC, { responseTopic: "reply/8" });
  assert.deepEqual(h.sent(), ["one?\n"]);
  h.tick(50);
  assert.deepEqual([h.device.written, h.queue.count], [[], 2]);
  h.device.data("one!\n");
  assert.equal(h.queue.count, 1, "acknowledged when its response is here");
  h.sent();
  h.device.data("two!\n");
  assert.deepEqual(h.published, [
    { topic: "reply/7", payload: "one!", qos: 1, publisher: 7 },
    { topic: "reply/8", payload: "two!", qos: 1, publisher: 7 },
  ]);
  assert.deepEqual(h.properties, [{ correlationData: Buffer.from([1, 2, 3]) }, {}]);
  h.device.data("unasked\n");
  assert.equal(h.published.at(-1)?.topic, "serial/meter");
  assert.deepEqual([h.counters.get("serial.requests"), h.counters.get("serial.responses")], [2, 2]);
  assert.deepEqual([h.queue.count, h.busWheel.armed], [0, 0]);
});

test("a device that answers twice: what was read together with the response is none to the next request", () => {
  const h = asking();
  for (const _ of [1, 2]) h.deliver("?", 1, TOPIC, asked);
  h.sent();
  h.device.data("!\nagain\nand again\n");
  assert.deepEqual(
    h.published.map(({ topic }) => topic),
    ["reply/7", "serial/meter", "serial/meter"],
  );
  assert.deepEqual(h.sent(), ["?\n"]);
  h.device.data("!\n");
  assert.equal(h.published.at(-1)?.topic, "reply/7");
});

test("a response that silence ends is followed by the next request, too", () => {
  const h = new Harness({
    framing: { type: "idle", gapMs: 5, frameBytesMax: 100 },
    write: [write({ topic: TOPIC, request: request() })],
  });
  for (const _ of [1, 2]) h.deliver("?", 1, TOPIC, asked);
  h.sent();
  h.device.data("!");
  h.tick(5);
  assert.equal(h.published.at(-1)?.topic, "reply/7");
  h.tick(1);
  assert.deepEqual(h.device.written, ["?"]);
});

test("a gap lies between a response and the next request", () => {
  const h = asking({}, { gapMs: 10 });
  h.deliver("one?", 1, TOPIC, asked);
  h.deliver("two?", 1, TOPIC, asked);
  h.sent();
  h.tick(30);
  h.device.data("one!\n");
  h.tick(9);
  assert.deepEqual(h.device.written, []);
  h.device.data("between\n");
  assert.equal(h.published.at(-1)?.topic, "serial/meter");
  h.tick(1);
  assert.deepEqual(h.sent(), ["two?\n"]);
});

test("frames that do not match go the way of all frames, and the request waits on", () => {
  const h = asking({ match: "OK*" });
  h.deliver("?", 1, TOPIC, asked);
  h.sent();
  h.device.data("debug\nOK 5\n");
  assert.deepEqual(
    h.published.map(({ topic, payload }) => [topic, payload]),
    [
      ["serial/meter", "debug"],
      ["reply/7", "OK 5"],
    ],
  );
});

test("a response that comes before the word that its request was written counts; the next one waits for that word", () => {
  const h = asking();
  h.deliver("?", 1, TOPIC, asked);
  h.deliver("next", 1, TOPIC, asked);
  h.device.data("!\n");
  assert.deepEqual([h.published[0]?.topic, h.queue.count], ["reply/7", 1]);
  h.device.data("more\n");
  assert.equal(h.published.at(-1)?.topic, "serial/meter", "it has its response");
  assert.deepEqual(h.device.written, ["?\n"]);
  assert.deepEqual(h.sent(), ["?\n", "next\n"]);
});

test("without a Response Topic the response goes to the topic that reply makes, and without reply as all frames do", () => {
  const h = asking({ reply: "{topic}/reply/{1}" }, { topic: "bus/+/set" });
  h.deliver("?", 1, "bus/7/set");
  h.sent();
  h.device.data("!\n");
  assert.equal(h.published[0]?.topic, "bus/7/set/reply/7");
  const plain = asking();
  plain.deliver("a", 1);
  plain.deliver("b", 1);
  plain.sent();
  plain.device.data("!\n");
  assert.deepEqual([plain.published[0]?.topic, plain.device.written], ["serial/meter", ["b\n"]]);
});

test("a response is published in the format of its request, with its QoS", () => {
  const h = asking({}, { format: "hex", qos: 0 });
  h.deliver("41", 0, TOPIC, asked);
  h.sent();
  h.device.data("AB\n");
  assert.deepEqual(h.published, [{ topic: "reply/7", payload: "4142", qos: 0, publisher: 7 }]);
});

test("without a response the request is written again as often as retries says, then the timeout is counted and published", () => {
  const h = asking({ retries: 2, failure: "none" });
  h.deliver("?", 1, TOPIC, asked);
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(h.sent(), ["?\n"]);
    h.tick(99);
    assert.deepEqual(h.device.written, []);
    h.tick(1);
  }
  assert.deepEqual(h.device.written, []);
  assert.deepEqual(h.published, [{ topic: "reply/7", payload: "none", qos: 1, publisher: 7 }]);
  assert.deepEqual(h.properties[0], {
    correlationData: Buffer.from([1, 2, 3]),
    userProperties: [["serial-error", "timeout"]],
  });
  const count = (name: string) => h.counters.get(`serial.${name}`);
  assert.deepEqual([count("requests"), count("request_retries"), count("request_timeouts")], [1, 2, 1]);
  h.device.data("late\n");
  assert.equal(h.published.at(-1)?.topic, "serial/meter");
});

test("a response that comes after a repetition ends the request", () => {
  const h = asking({ retries: 3 }, { gapMs: 150 });
  h.deliver("?", 1, TOPIC, asked);
  h.sent();
  h.tick(120);
  assert.deepEqual(h.device.written, [], "the gap also lies before a repetition");
  h.device.data("!\n");
  h.tick(1000);
  assert.deepEqual([h.device.written, h.published.length, h.busWheel.armed], [[], 1, 0]);
});

test("failure: off publishes nothing when no response comes", () => {
  const h = asking({ failure: null });
  h.deliver("?", 1, TOPIC, asked);
  h.sent();
  h.tick(100);
  assert.deepEqual([h.published.length, h.counters.get("serial.request_timeouts")], [0, 1]);
});

test("a port that goes away: a request without response is written again at QoS 1, at QoS 0 its client is told", () => {
  const h = asking();
  h.deliver("written", 1, TOPIC, asked);
  h.sent();
  h.deliver("waiting", 1, TOPIC, { responseTopic: "reply/8" });
  h.deliver("lost", 0, TOPIC, { responseTopic: "reply/9" });
  h.device.away();
  assert.deepEqual(
    h.published.map(({ topic }) => topic),
    ["reply/9"],
  );
  assert.deepEqual(h.properties, [{ userProperties: [["serial-error", "away"]] }]);
  assert.deepEqual([h.counters.get("serial.writes_dropped"), h.queue.count], [1, 2]);
  h.device.open();
  assert.deepEqual(h.sent(), ["written\n"]);
  h.device.data("!\n");
  h.sent();
  h.device.data("!\n");
  assert.deepEqual([h.published.at(-1)?.topic, h.queue.count], ["reply/8", 0]);
});

test("at QoS 0 a request that was written when the port goes away has its client told so", () => {
  const h = asking();
  h.deliver("?", 0, TOPIC, asked);
  h.sent();
  h.device.away();
  assert.deepEqual(h.properties[0]?.userProperties, [["serial-error", "away"]]);
});

test("a frame without request takes its turn between requests and waits for no response", () => {
  const h = new Harness({ write: [write({ topic: "ask", request: request() }), write({ topic: "+" })] });
  h.deliver("?", 1, "ask", asked);
  h.deliver("command", 1, "tell");
  h.deliver("?", 1, "ask", asked);
  assert.deepEqual(h.sent(), ["?\n"]);
  h.device.data("!\n");
  assert.deepEqual([h.sent(), h.queue.count], [["command\n", "?\n"], 1]);
  h.sent();
  h.device.data("!\n");
  assert.equal(h.queue.count, 0);
});

test("with publish off responses are read all the same, other frames forgotten", () => {
  const h = new Harness({ publish: null, write: [write({ topic: TOPIC, request: request() })] });
  h.device.data("hello\n");
  h.deliver("?", 1, TOPIC, asked);
  h.sent();
  h.device.data("!\n");
  assert.deepEqual(
    h.published.map(({ topic, payload }) => [topic, payload]),
    [["reply/7", "!"]],
  );
});

test("a request that expires while it waits for the wire is not written any more", () => {
  const h = asking();
  for (const payload of ["a", "b", "c"]) h.deliver(payload, 1, TOPIC, asked);
  h.deliver("expires", 1, TOPIC, asked, 1);
  h.deliver("d", 1, TOPIC, asked);
  h.clock.advance(2000);
  const written: string[] = [];
  for (let i = 0; i < 4; i++) {
    written.push(...h.sent());
    h.device.data("!\n");
  }
  assert.deepEqual(written, ["a\n", "b\n", "c\n", "d\n"]);
  assert.deepEqual([h.ledger.entries()[0]?.cause, h.queue.count], ["expired", 0]);
});

test("a frame that expires in front of the wire is not written either; who asked is told", () => {
  const h = asking();
  h.deliver("a", 1, TOPIC, asked);
  h.deliver("expires", 1, TOPIC, { responseTopic: "reply/8" }, 1);
  h.deliver("expires too", 0, TOPIC, { responseTopic: "reply/9" }, 1);
  h.deliver("b", 0, TOPIC, asked);
  h.sent();
  h.clock.advance(1000);
  h.device.data("!\n");
  assert.deepEqual(h.device.written, ["b\n"]);
  h.tick(1);
  assert.deepEqual(
    h.published.map(({ topic }) => topic),
    ["reply/7", "reply/8", "reply/9"],
  );
  assert.deepEqual(h.properties.at(-1)?.userProperties, [["serial-error", "expired"]]);
  assert.deepEqual([h.counters.get("serial.writes_expired"), h.queue.count], [2, 0]);
  assert.deepEqual([h.ledger.entries()[0]?.cause, h.ledger.entries()[0]?.count], ["expired", 2]);
});

test("when requests may go again, those that have expired make way for one at a time", () => {
  const h = asking();
  h.outcome = REFUSED;
  h.deliver("a", 1, TOPIC, asked);
  for (const payload of ["x", "y"]) h.deliver(payload, 1, TOPIC, asked, 1);
  for (const payload of ["e", "f"]) h.deliver(payload, 1, TOPIC, asked);
  h.sent();
  h.device.data("!\n");
  h.advance(2000);
  h.outcome = 0;
  h.advance(500);
  for (const payload of ["e", "f"]) {
    assert.deepEqual(h.sent(), [`${payload}\n`]);
    h.device.data("!\n");
  }
  assert.deepEqual([h.counters.get("serial.writes_expired"), h.queue.count], [2, 0]);
});

// ---- what may not be -------------------------------------------------------------------------------------------

for (const topic of ["$SYS/x", "$other", "a".repeat(1025)]) {
  test(`a Response Topic like ${topic.slice(0, 8)} is denied and counted; the request is over`, () => {
    const h = asking();
    h.deliver("?", 1, TOPIC, { responseTopic: topic });
    h.deliver("next", 1);
    h.sent();
    h.device.data("!\n");
    assert.deepEqual([h.published.length, h.counters.get("serial.responses_denied")], [0, 1]);
    assert.deepEqual(h.device.written, ["next\n"]);
  });
}

test("a Response Topic that the line may not publish to is denied, with one line of log", () => {
  const h = asking();
  h.writable = false;
  for (let i = 0; i < 2; i++) {
    h.deliver("?", 1, TOPIC, asked);
    h.sent();
    h.device.data("!\n");
  }
  assert.deepEqual([h.published.length, h.counters.get("serial.responses_denied")], [0, 2]);
  assert.equal(h.logged.filter((line) => line.includes("serial-response-denied")).length, 1);
});

test("Response Topic and Correlation Data have room together; a message with more is counted and listed", () => {
  const h = asking();
  h.deliver("fits", 1, TOPIC, { responseTopic: "r", correlationData: Buffer.alloc(REPLY_BYTES_MAX - 1) });
  h.deliver("not", 1, TOPIC, { responseTopic: "r", correlationData: Buffer.alloc(REPLY_BYTES_MAX) });
  assert.deepEqual([h.counters.get("serial.writes_invalid"), h.queue.count], [1, 1]);
  assert.equal(h.ledger.entries()[0]?.cause, "too-large");
  h.sent();
  h.device.data("!\n");
  assert.equal(h.properties[0]?.correlationData?.length, REPLY_BYTES_MAX - 1);
});

// ---- responses that the gateway does not take -------------------------------------------------------------------

const REFUSED = 0x97;

test("a request is acknowledged when its response is stored; the next one does not wait for that", () => {
  const h = asking();
  h.outcome = STORED_LATER;
  for (const payload of ["a", "b"]) h.deliver(payload, 1, TOPIC, asked);
  for (const _ of [1, 2]) {
    h.sent();
    h.device.data("!\n");
  }
  assert.deepEqual([h.published.length, h.queue.count], [2, 2]);
  h.settle(1);
  assert.equal(h.queue.count, 1);
  h.settle(1);
  assert.equal(h.queue.count, 0);
});

test("a response stored after the port was away acknowledges nothing that is written anew", () => {
  const h = asking();
  h.outcome = STORED_LATER;
  h.deliver("a", 1, TOPIC, asked);
  h.sent();
  h.device.data("!\n");
  h.device.away();
  h.device.open();
  h.settle(1);
  assert.deepEqual([h.queue.count, h.sent()], [1, ["a\n"]]);
  h.device.data("!\n");
  h.settle(1);
  assert.equal(h.queue.count, 0);
});

for (const late of [false, true]) {
  test(`a response that ${late ? "the store refuses later" : "is refused"} is held and tried again; no request is written meanwhile`, () => {
    const h = asking();
    h.outcome = late ? STORED_LATER : REFUSED;
    for (const payload of ["a", "b"]) h.deliver(payload, 1, TOPIC, asked);
    h.sent();
    h.device.data("!\n");
    h.outcome = REFUSED;
    if (late) {
      h.sent(); // b was on the wire already
      h.settle(1, 0x83);
      h.device.data("!!\n");
      h.deliver("c", 1, TOPIC, asked);
    }
    h.published.length = 0;
    h.advance(3000);
    assert.deepEqual([h.device.written, h.queue.count], [[], late ? 3 : 2]);
    assert.deepEqual([...new Set(h.lines())], ["!"]);
    h.outcome = 0;
    h.advance(500);
    assert.deepEqual(h.lines(), late ? ["!", "!!"] : ["!"]);
    assert.deepEqual([h.device.written, h.queue.count], [[late ? "c\n" : "b\n"], 1]);
    assert.deepEqual([h.counters.get("serial.responses_refused"), h.wheel.armed], [0, 0]);
  });
}

test("at the end of refusal_hold the response is dropped, counted and listed; refused ones after it at once, until one is taken", () => {
  const h = asking();
  h.outcome = REFUSED;
  for (const payload of ["a", "b", "c", "d"]) h.deliver(payload, 1, TOPIC, asked);
  h.sent();
  h.device.data("!\n");
  h.advance(10_500);
  assert.deepEqual([h.sent(), h.queue.count], [["b\n"], 3]);
  h.device.data("!\n");
  assert.deepEqual([h.sent(), h.queue.count], [["c\n"], 2]);
  const [entry] = h.ledger.entries();
  assert.deepEqual([entry?.receiver, entry?.topic, entry?.cause], ["serial:meter", "reply/7", "queue-full"]);
  assert.equal(h.counters.get("serial.responses_refused"), 2);
  h.outcome = 0;
  h.device.data("!\n");
  assert.match(h.logged.at(-1) ?? "", /serial-responses-taken-again .*dropped=2/);
  h.outcome = REFUSED;
  h.sent();
  h.device.data("!\n");
  assert.equal(h.counters.get("serial.responses_refused"), 2, "it is held again");
});

test("a request that waits for its response does not time out while responses are held", () => {
  const h = asking({ match: "OK*" });
  h.outcome = STORED_LATER;
  for (const payload of ["a", "b"]) h.deliver(payload, 1, TOPIC, asked);
  h.sent();
  h.device.data("OK a\n");
  h.sent();
  h.outcome = REFUSED;
  h.settle(1, 0x83);
  h.advance(3000);
  assert.equal(h.counters.get("serial.request_timeouts"), 0);
  h.outcome = 0;
  h.advance(500);
  h.published.length = 0;
  h.device.data("OK b\n");
  assert.deepEqual([h.lines(), h.queue.count], [["OK b"], 0]);
});

test("a request neither times out nor is written while the port is paused for frames that are refused; a command is", () => {
  const asks = write({ topic: "ask", request: request({ match: "OK*" }) });
  const h = new Harness({ write: [asks, write({ topic: "tell" })] });
  h.deliver("a", 1, "ask", asked);
  h.sent();
  h.outcome = REFUSED;
  h.device.data("frame\n");
  h.advance(3000);
  assert.equal(h.counters.get("serial.request_timeouts"), 0);
  h.outcome = 0;
  h.advance(500);
  h.device.data("OK a\n");
  h.outcome = REFUSED;
  h.device.data("frame\n");
  h.deliver("c", 1, "tell");
  h.deliver("b", 1, "ask", asked);
  assert.deepEqual(h.sent(), ["c\n"]);
  assert.deepEqual([h.device.written, h.queue.count], [[], 1]);
  h.outcome = 0;
  h.advance(500);
  assert.deepEqual(h.device.written, ["b\n"]);
});

test("responses that wait for the store are bounded: no request is written until one is stored", () => {
  const h = asking();
  h.outcome = STORED_LATER;
  for (let i = 0; i < RESPONSES_PENDING_MAX; i++) {
    h.deliver("?", 0, TOPIC, asked);
    h.sent();
    h.device.data("!\n");
  }
  h.deliver("?", 0, TOPIC, asked);
  h.tick(10);
  assert.deepEqual([h.published.length, h.device.written], [RESPONSES_PENDING_MAX, []]);
  h.settle(1);
  assert.deepEqual(h.device.written, ["?\n"]);
});

test("responses that wait for the store are bounded in bytes, too", () => {
  const h = asking();
  h.outcome = STORED_LATER;
  let given = 0;
  for (; given < RESPONSES_PENDING_MAX; given++) {
    h.deliver("?", 0, TOPIC, asked);
    if (h.sent().length === 0) break;
    h.device.data(`${"x".repeat(4000)}\n`);
  }
  assert.equal(given, Math.ceil(STORING_BYTES_MAX / (4000 + PENDING_ENTRY_BYTES)));
});

// ---- messages that are not written ------------------------------------------------------------------------------

test("who asks with what is no frame is told so, in a later turn", () => {
  const h = asking({ failure: "no" }, { format: "hex" });
  h.deliver("no hex", 1, TOPIC, asked);
  h.deliver("no hex", 1);
  h.deliver("0a", 1, TOPIC, { responseTopic: "reply/8" });
  assert.deepEqual([h.published, h.device.written], [[], []]);
  h.tick(1);
  assert.deepEqual(h.published, [
    { topic: "reply/7", payload: "no", qos: 1, publisher: 7 },
    { topic: "reply/8", payload: "no", qos: 1, publisher: 7 },
  ]);
  assert.deepEqual(h.properties[0], {
    correlationData: Buffer.from([1, 2, 3]),
    userProperties: [["serial-error", "invalid"]],
  });
  assert.deepEqual([h.counters.get("serial.writes_invalid"), h.queue.count], [3, 0]);
});

test("who asks at QoS 0 is told when the port is away, or too much waits for it", () => {
  const h = asking();
  for (let i = 0; i < TURNS_MAX + 2; i++) h.deliver("?", 0, TOPIC, asked);
  h.tick(1);
  assert.deepEqual(h.properties[0]?.userProperties, [["serial-error", "busy"]]);
  h.device.away();
  h.properties.length = 0;
  h.deliver("?", 0, TOPIC, asked);
  h.tick(1);
  assert.deepEqual(h.properties[0]?.userProperties, [["serial-error", "away"]]);
});

test("those who are told in one turn are bounded, the others only counted; failure: off tells nobody", () => {
  const h = asking({}, { format: "hex" });
  for (let i = 0; i < UNWRITTEN_MAX + 10; i++) h.deliver("no hex", 0, TOPIC, asked);
  h.tick(1);
  assert.deepEqual([h.published.length, h.counters.get("serial.writes_invalid")], [UNWRITTEN_MAX, UNWRITTEN_MAX + 10]);
  const off = asking({ failure: null }, { format: "hex" });
  off.deliver("no hex", 0, TOPIC, asked);
  off.tick(1);
  assert.equal(off.published.length, 0);
});

// ---- several entries -------------------------------------------------------------------------------------------

test("the first entry that matches holds: its format, its QoS; each filter is subscribed", () => {
  const h = new Harness({ write: [write({ topic: "a/+", qos: 0, format: "hex" }), write({ topic: "a/#", qos: 1 })] });
  assert.deepEqual(h.subscriptions, [
    { filter: "a/+", options: 0b100 },
    { filter: "a/#", options: 0b101 },
  ]);
  assert.deepEqual([h.receiver?.grantOf?.("a/b"), h.receiver?.grantOf?.("a/b/c")], [0, 1]);
  h.deliver("41", 0, "a/b");
  h.deliver("41", 1, "a/b/c");
  assert.deepEqual(h.sent(), ["A\n", "41\n"]);
  h.deliver("4", 0, "a/b");
  assert.equal(h.counters.get("serial.writes_invalid"), 1);
  assert.equal(h.ledger.entries()[0]?.cause, "invalid");
});

test("the memory bill has a line for lines with turns, and none without", () => {
  const limits = { maxPacketBytes: 1e6 };
  const plain = { framing: { type: "cobs", frameBytesMax: 100 }, check: null } as const;
  assert.equal(budget(limits, [{ ...plain, write: [write({})] }]).length, 1);
  const [, turns] = budget(limits, [
    { ...plain, write: [write({})] },
    { ...plain, write: [write({ gapMs: 1 })] },
  ]);
  assert.equal(turns?.owner, "serial turns");
});
