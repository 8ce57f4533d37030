/** Registering and deregistering, by RFC 7641 sections 3.1, 3.6 and 4.1. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CLIENT, World } from "./world.ts";

test("a registration is answered with the retained value and an Observe option, and then notified", () => {
  const w = new World();
  w.publish("hall/temperature", "21.5", { retain: true, mediaType: "application/json" });
  const answer = w.observe("/ps/hall/temperature", "0a0b");
  assert.deepEqual([answer.type, answer.code, answer.payload, answer.format], ["ACK", "2.05", "21.5", 50]);
  assert.ok(answer.observe !== undefined && answer.etag !== undefined);
  assert.equal(answer.maxAge, 3600);
  w.publish("hall/temperature", "22", { mediaType: "application/json" });
  const notification = w.one();
  assert.deepEqual(
    [notification.code, notification.token, notification.payload, notification.format, notification.location],
    ["2.05", "0a0b", "22", 50, []],
  );
  assert.ok((notification.observe as number) > answer.observe);
  assert.notEqual(notification.etag, answer.etag);
});

test("a topic without value can be observed: an empty 2.05 now, the first value when it comes", () => {
  const w = new World();
  const answer = w.observe("/ps/a");
  assert.deepEqual([answer.code, answer.payload, answer.etag, answer.maxAge], ["2.05", "", undefined, 3600]);
  assert.notEqual(answer.observe, undefined);
  w.publish("a", "x");
  assert.equal(w.one().payload, "x");
});

test("RFC 7641 section 4.1: the same client and token renews the entry; another token is another one", () => {
  const w = new World();
  w.proven("/ps/a", "01");
  w.observe("/ps/a", "01");
  w.observe("/ps/a", "02");
  assert.equal(w.count("coap.observers"), 2);
  w.publish("a", "x");
  const first = w.one();
  w.acknowledge(first);
  const second = w.one();
  assert.deepEqual([first.token, second.token].sort(), ["01", "02"]);
  w.acknowledge(second);
  assert.deepEqual(w.take(), []);
});

test("a token that registers for another topic stands for that one alone, and its values go on", () => {
  const w = new World();
  const first = w.proven("/ps/a", "01");
  const second = w.observe("/ps/b", "01");
  assert.ok((second.observe as number) > (first.observe as number));
  assert.equal(w.count("coap.observers"), 1);
  w.publish("a", "x");
  assert.deepEqual(w.take(), []);
  w.publish("b", "y");
  assert.equal(w.one().payload, "y");
});

test("clients at other ports and addresses are others, whatever their tokens", () => {
  const w = new World();
  w.observe("/ps/a", "01");
  w.observe("/ps/a", "01", { ...CLIENT, port: 40_001 });
  w.observe("/ps/a", "01", { ...CLIENT, address: "192.0.2.8" });
  assert.equal(w.count("coap.observers"), 3);
});

test("RFC 7641 section 3.6: Observe 1 ends it and is answered with the value, without the option", () => {
  const w = new World();
  w.publish("a", "1", { retain: true });
  w.proven("/ps/a", "01");
  const answer = w.observe("/ps/a", "01", CLIENT, 1);
  assert.deepEqual([answer.code, answer.payload, answer.observe], ["2.05", "1", undefined]);
  assert.equal(w.count("coap.observers"), 0);
  w.publish("a", "2");
  assert.deepEqual(w.take(), []);
});

test("Observe 1 for what has no value is an empty 2.05; for what is not observed, and for other values of the option, a plain GET", () => {
  const w = new World();
  w.proven("/ps/a", "01");
  const ended = w.observe("/ps/a", "01", CLIENT, 1);
  assert.deepEqual([ended.code, ended.payload], ["2.05", ""]);
  assert.equal(w.observe("/ps/a", "01", CLIENT, 1).code, "4.04");
  assert.equal(w.observe("/ps/a", "01", CLIENT, 2).code, "4.04");
  w.publish("a", "1", { retain: true });
  const plain = w.observe("/ps/a", "02", CLIENT, 1);
  assert.deepEqual([plain.code, plain.payload, plain.observe], ["2.05", "1", undefined]);
  assert.equal(w.count("coap.observers"), 0);
});

test("a deregistration ends a notification that is being retransmitted", () => {
  const w = new World();
  w.observe("/ps/a", "01");
  w.publish("a", "x");
  assert.equal(w.one().type, "CON");
  w.observe("/ps/a", "01", CLIENT, 1);
  w.advance(100_000);
  assert.deepEqual(w.take(), []);
});

test("a GET for a later block is no registration", () => {
  const w = new World();
  w.publish("a", Buffer.alloc(3000, "x"), { retain: true });
  const block2 = { name: "Block2" as const, value: Buffer.from([0x16]) };
  const answer = w.observe("/ps/a", "01", CLIENT, 0, { options: [block2] });
  assert.equal(answer.observe, undefined);
  assert.equal(w.count("coap.observers"), 0);
});

test("who may not read a topic may not observe it: 4.03", () => {
  const w = new World();
  w.forbidden.add("secret");
  assert.equal(w.observe("/ps/secret").code, "4.03");
  assert.equal(w.count("coap.observers"), 0);
});

for (const [path, words] of [
  ["/ps/a?qos=3", /qos/],
  ["/ps/a?nl=2", /nl/],
  ["/ps/a?rh=3", /rh/],
  ["/ps/a%23", /#/],
  ["/ps/%23/a", /#/],
  ["/ps/a%2B", /\+/],
  ["/ps/$share/g/a", /shared/],
  [`/ps/${"a".repeat(201)}`, /200 bytes/],
  ["/ps/1/2/3/4/5/6/7/8/9", /8 levels/],
] as const) {
  test(`observing ${path.slice(0, 20)} is 4.00 with words`, () => {
    const w = new World();
    const answer = w.observe(path);
    assert.equal(answer.code, "4.00");
    assert.match(answer.payload, words);
    assert.equal(w.count("coap.observers"), 0);
  });
}

test("Accept: another format than the value's is 4.06 and no registration; the same is observed", () => {
  const w = new World();
  w.publish("a", "1", { retain: true, mediaType: "application/json" });
  const accept = (format: number) => ({ options: [{ name: "Accept" as const, value: Buffer.from([format]) }] });
  assert.equal(w.observe("/ps/a", "01", CLIENT, 0, accept(60)).code, "4.06");
  assert.equal(w.count("coap.observers"), 0);
  assert.equal(w.observe("/ps/a", "01", CLIENT, 0, accept(50)).format, 50);
});

test("a client that has the value already gets 2.03 with Observe, and is notified", () => {
  const w = new World();
  w.publish("a", "1", { retain: true });
  const { etag } = w.proven("/ps/a", "01");
  const known = { name: "ETag" as const, value: Buffer.from(etag as string, "hex") };
  const answer = w.observe("/ps/a", "01", CLIENT, 0, { options: [known] });
  assert.deepEqual([answer.code, answer.payload, answer.etag], ["2.03", "", etag]);
  assert.notEqual(answer.observe, undefined);
  w.publish("a", "2");
  assert.equal(w.one().payload, "2");
});

test("rh=2 registers without the value, rh=1 tells it to a new registration alone", () => {
  const w = new World();
  w.publish("a", "1", { retain: true });
  assert.equal(w.observe("/ps/a?rh=2", "01").payload, "");
  assert.equal(w.observe("/ps/a?rh=1", "02").payload, "1");
  assert.equal(w.observe("/ps/a?rh=1", "02").payload, "");
  assert.equal(w.observe("/ps/a?rh=0", "02").payload, "1");
});

test("nl=1: what a client publishes itself is not notified to it, whichever of its observations it is", () => {
  const w = new World();
  const other = { ...CLIENT, port: 40_001 };
  w.proven("/ps/a?nl=1", "01");
  w.proven("/ps/b?nl=1", "02");
  w.proven("/ps/b", "03");
  w.proven("/ps/b?nl=1", "04", other);
  assert.equal(w.ask({ code: "PUT", payload: Buffer.from("x") }, "/ps/a").code, "2.04");
  assert.deepEqual(w.take(), []);
  assert.equal(w.ask({ code: "PUT", payload: Buffer.from("y") }, "/ps/b").code, "2.04");
  assert.deepEqual(
    w
      .take()
      .map(({ token }) => token)
      .sort(),
    ["03", "04"],
  );
});

test("a NON registration is answered by a NON, and its notifications need not be acknowledged", () => {
  const w = new World();
  const answer = w.observe("/ps/a", "01", CLIENT, 0, { confirmable: false });
  assert.equal(answer.type, "NON");
  assert.notEqual(answer.observe, undefined);
});

test("an empty token is a token", () => {
  const w = new World();
  assert.notEqual(w.observe("/ps/a", "").observe, undefined);
  w.publish("a", "x");
  assert.deepEqual([w.one().token], [""]);
});

test("a value that is larger than three times the request comes whole when the client has answered a ping", () => {
  const w = new World();
  w.publish("a", Buffer.alloc(500, "x"), { retain: true });
  w.answersPings = true;
  const answer = w.observe("/ps/a", "01");
  assert.deepEqual([answer.type, answer.payload.length, answer.block2], ["ACK", 500, undefined]);
  assert.notEqual(answer.observe, undefined);
  assert.equal(w.count("coap.observers"), 1);
});

test("a client that answers no ping gets a block of it, and is registered all the same", () => {
  const w = new World();
  w.publish("a", Buffer.alloc(500, "x"), { retain: true });
  const answer = w.observe("/ps/a", "01");
  assert.deepEqual([answer.block2, answer.size2], [{ num: 0, more: true, bytes: 16 }, undefined]);
  assert.notEqual(answer.observe, undefined);
  assert.ok(answer.length <= 3 * 11, String(answer.length));
});

test("what is in flight when a client registers again is told anew, later in order than the answer", () => {
  const w = new World({ notify: "con" });
  w.proven("/ps/s/%2B", "01");
  w.publish("s/1", "x");
  const first = w.one();
  const answer = w.observe("/ps/s/%2B", "01");
  const again = w.one();
  assert.deepEqual([again.type, again.payload, again.location.at(-1)], ["CON", "x", "1"]);
  assert.ok((again.observe as number) > (answer.observe as number));
  assert.notEqual(again.messageId, first.messageId);
  w.acknowledge(first); // too late to mean anything
  w.acknowledge(again);
  w.advance(60_000);
  assert.deepEqual(w.take(), []);
});

test("retained values that were being told when a client registers again with rh=1 are told from the beginning", () => {
  const w = new World({ notify: "con" });
  for (const topic of ["s/1", "s/2"]) w.publish(topic, topic, { retain: true });
  w.proven("/ps/s/%2B", "01");
  assert.equal(w.one().payload, "s/1");
  w.observe("/ps/s/%2B?rh=1", "01");
  for (const payload of ["s/1", "s/2"]) {
    const message = w.one();
    assert.equal(message.payload, payload);
    w.acknowledge(message);
  }
});
