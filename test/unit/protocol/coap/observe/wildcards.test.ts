/** Observing filters: MQTT's wildcards, percent-encoded in the path. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { WAITING_TOPICS_MAX } from "../../../../../src/protocol/coap/observe/backlog.ts";
import { type Seen, World } from "./world.ts";

/** Acknowledges what comes until nothing does. */
function drain(w: World): Seen[] {
  const all: Seen[] = [];
  for (let idle = 0; idle < 5; ) {
    const messages = w.take();
    idle = messages.length > 0 ? 0 : idle + 1;
    for (const message of messages) {
      all.push(message);
      if (message.type === "CON") w.acknowledge(message);
    }
    w.advance(1_000);
  }
  return all;
}

test("+ and # match as in MQTT, and Location-Path names the topic of each notification", () => {
  const w = new World();
  assert.equal(w.proven("/ps/hall/%2B/speed", "01").payload, "");
  w.proven("/ps/hall/%23", "02");
  w.publish("hall/line-1/speed", "7");
  const both = drain(w);
  assert.deepEqual(both.map(({ token, payload }) => [token, payload]).sort(), [
    ["01", "7"],
    ["02", "7"],
  ]);
  for (const { location } of both) assert.deepEqual(location, ["ps", "hall", "line-1", "speed"]);
  w.publish("hall", "parent");
  w.publish("hall/line-1/state", "on");
  w.publish("yard/line-1/speed", "8");
  assert.deepEqual(
    drain(w).map(({ token, location }) => [token, location.join("/")]),
    [
      ["02", "ps/hall"],
      ["02", "ps/hall/line-1/state"],
    ],
  );
});

test("retained values come as notifications, one after the other, each topic named", () => {
  const w = new World();
  for (let i = 0; i < 40; i++) w.publish(`s/${String(i).padStart(2, "0")}`, String(i), { retain: true });
  w.publish("other", "x", { retain: true });
  w.proven("/ps/s/%2B");
  const seen = drain(w);
  assert.deepEqual(
    seen.map(({ location, payload }) => [location.join("/"), payload]),
    Array.from({ length: 40 }, (_, i) => [`ps/s/${String(i).padStart(2, "0")}`, String(i)]),
  );
});

test("rh=2 sends no retained values, rh=1 none to a renewal", () => {
  const w = new World();
  w.publish("s/1", "1", { retain: true });
  w.proven("/ps/s/%2B?rh=2", "01");
  assert.deepEqual(drain(w), []);
  w.observe("/ps/s/%2B?rh=1", "02");
  assert.equal(drain(w).length, 1);
  w.observe("/ps/s/%2B?rh=1", "02");
  assert.deepEqual(drain(w), []);
  w.observe("/ps/s/%2B", "02");
  assert.equal(drain(w).length, 1);
});

test("retained values that the client may not read are passed over", () => {
  const w = new World();
  for (const topic of ["s/1", "s/2", "s/3"]) w.publish(topic, topic, { retain: true });
  w.forbidden.add("s/2");
  w.proven("/ps/s/%23");
  w.publish("s/2", "secret");
  assert.deepEqual(
    drain(w).map(({ payload }) => payload),
    ["s/1", "s/3"],
  );
});

test("# does not match topics of the gateway's own", () => {
  const w = new World();
  w.proven("/ps/%23");
  w.publish("$SYS/broker/uptime", "1");
  assert.deepEqual(drain(w), []);
});

test("of each topic the newest message waits; beyond 16 topics the oldest gives way, and is counted", () => {
  const w = new World();
  w.proven("/ps/s/%2B");
  w.publish("s/first", "in flight");
  const first = w.one();
  for (const round of ["old", "new"]) for (let i = 0; i < WAITING_TOPICS_MAX; i++) w.publish(`s/${i}`, `${round} ${i}`);
  assert.equal(w.count("coap.notifications_superseded"), WAITING_TOPICS_MAX);
  assert.equal(w.count("coap.notifications_dropped"), 0);
  w.publish("s/more", "more");
  assert.equal(w.count("coap.notifications_dropped"), 1);
  w.acknowledge(first);
  assert.deepEqual(
    drain(w).map(({ payload }) => payload),
    [...Array.from({ length: WAITING_TOPICS_MAX - 1 }, (_, i) => `new ${i + 1}`), "more"],
  );
});

test("a retransmission tells a newer state of its own topic, not of another", () => {
  const w = new World({ notify: "con" });
  w.proven("/ps/s/%2B");
  w.publish("s/1", "a");
  const first = w.one();
  w.publish("s/2", "b");
  w.publish("s/1", "c");
  w.advance(3_100);
  const again = w.one();
  assert.deepEqual([again.location.at(-1), again.payload], ["1", "c"]);
  assert.notEqual(again.messageId, first.messageId);
  w.acknowledge(again);
  assert.deepEqual([w.one().payload], ["b"]);
});

test("a topic with a level of more than 255 bytes has no path in CoAP: it is passed over and counted", () => {
  const w = new World();
  w.proven("/ps/s/%2B");
  w.publish(`s/${"x".repeat(256)}`, "1");
  w.publish(`s/${"y".repeat(255)}`, "2");
  assert.deepEqual(
    drain(w).map(({ payload }) => payload),
    ["2"],
  );
  assert.equal(w.count("coap.notifications_dropped"), 1);
});

test("Accept of a wildcard: values in another format are passed over and counted", () => {
  const w = new World();
  w.publish("s/1", "{}", { retain: true, mediaType: "application/json" });
  w.publish("s/2", "x", { retain: true, mediaType: "text/plain" });
  const accept = { options: [{ name: "Accept" as const, value: Buffer.from([50]) }] };
  w.observe("/ps/s/%2B", "01", undefined, 0, accept);
  assert.deepEqual(
    drain(w).map(({ payload }) => payload),
    ["{}"],
  );
  assert.equal(w.count("coap.notifications_dropped"), 1);
});

test("formats may differ from topic to topic of a wildcard", () => {
  const w = new World();
  w.proven("/ps/s/%2B");
  w.publish("s/1", "{}", { mediaType: "application/json" });
  w.publish("s/2", "x", { mediaType: "text/plain" });
  assert.deepEqual(
    drain(w).map(({ format }) => format),
    [50, 0],
  );
});

test("a value that is deleted is told under its name", () => {
  const w = new World();
  w.publish("s/1", "1", { retain: true });
  w.proven("/ps/s/%2B?rh=2");
  w.publish("s/1", "", { retain: true });
  assert.deepEqual(
    drain(w).map(({ payload, location }) => [payload, location.join("/")]),
    [["", "ps/s/1"]],
  );
});

test("FETCH names the filter in its payload, and /ps alone is #", () => {
  const w = new World();
  const fetched = w.observe("/ps/s", "01", undefined, 0, { code: "FETCH", payload: Buffer.from("+") });
  assert.deepEqual([fetched.code, fetched.observe !== undefined], ["2.05", true]);
  assert.notEqual(w.observe("/ps", "02").observe, undefined);
  w.publish("s/1", "one");
  w.publish("other", "two");
  const seen = drain(w).map(({ token, payload }) => `${token} ${payload}`);
  assert.deepEqual(seen.sort(), ["01 one", "02 one", "02 two"]);
  assert.equal(w.observe("/ps/s", "01", undefined, 1, { code: "FETCH", payload: Buffer.from("+") }).observe, undefined);
  assert.equal(w.count("coap.observers"), 1);
});
