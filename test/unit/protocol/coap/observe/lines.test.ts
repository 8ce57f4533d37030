/** Observations of a device at the end of a serial line: its identity is the line's, so they outlive what ends a session. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Client, World, type WorldOptions } from "./world.ts";

const LINE: Client = { address: "serial:node", port: 0 };
const principal = { name: "serial:node", clientId: "serial:node" };

/** A line whose device is there. */
function line(options: WorldOptions = {}): World {
  const w = new World({ principal, ...options });
  w.port.handler?.onPeerBack?.();
  return w;
}

function unplug(w: World): void {
  w.port.handler?.onPeerGone?.(LINE.address, LINE.port);
}

function plug(w: World): void {
  w.port.handler?.onPeerBack?.();
}

function records(w: World): number {
  const receiver = w.store.loadReceiver("coap-observers", "");
  return receiver === null ? 0 : w.store.loadSubscriptions(receiver.id).length;
}

test("an observation needs no clientid to be kept, and a restart tells it the present value once the device is there", () => {
  const w = line();
  w.publish("a", "1", { retain: true });
  w.observe("/ps/a", "0a", LINE);
  assert.equal(records(w), 1);
  const next = w.restarted({ principal });
  next.advance(120_000);
  assert.deepEqual(next.take(), [], "nobody is there yet");
  next.publish("a", "2", { retain: true });
  plug(next);
  const told = next.one();
  assert.deepEqual([told.type, told.payload, told.token, told.address], ["CON", "2", "0a", "serial:node"]);
  next.acknowledge(told);
  next.publish("a", "3", { retain: true });
  assert.equal(next.one().payload, "3");
});

test("a device that was unplugged is told the present value when it is back, whatever was under way", () => {
  const w = line();
  w.observe("/ps/a", "01", LINE);
  w.observe("/ps/b/%2B", "02", LINE);
  w.publish("a", "1", { retain: true, qos: 1 });
  w.publish("b/x", "1", { retain: true });
  w.take();
  for (let round = 0; round < 3; round++) {
    unplug(w);
    assert.equal(w.count("coap.observers"), 0);
    w.publish("a", `${round}`, { retain: true, qos: 1 });
    w.advance(150_000);
    assert.deepEqual(w.take(), []);
    plug(w);
    assert.equal(w.count("coap.observers"), 2);
    const told = new Set<string>(); // a CON may come twice
    for (let seen = w.take(); seen.length > 0; w.advance(3_500), seen = w.take()) {
      for (const message of seen) {
        told.add(`${message.token} ${message.location.join("/")} ${message.payload}`);
        if (message.type === "CON") w.acknowledge(message);
      }
    }
    assert.deepEqual([...told].sort(), [`01  ${round}`, "02  ", "02 ps/b/x 1"]);
  }
  assert.equal(records(w), 2);
});

test("who is back and does not know the token resets it: that is the end of it", () => {
  const w = line();
  w.observe("/ps/a", "01", LINE);
  unplug(w);
  plug(w);
  w.reset(w.one());
  assert.equal(records(w), 0);
  unplug(w);
  plug(w);
  assert.deepEqual(w.take(), []);
});

test("a device that acknowledges all and takes new tokens with each start does not use up its places", () => {
  const w = line();
  for (let start = 0; start < 100; start++) {
    const answer = w.observe("/ps/a", start.toString(16).padStart(4, "0"), LINE);
    assert.equal(answer.observe === undefined, false, `start ${start}`);
    assert.equal(w.count("coap.observers"), 1);
    unplug(w);
    plug(w);
    w.acknowledge(w.one());
  }
  assert.equal(records(w), 1);
});

test("two observations of one topic live on as long as the device asks for both again", () => {
  const w = line();
  w.observe("/ps/a", "01", LINE);
  w.observe("/ps/a", "02", LINE);
  unplug(w);
  plug(w);
  w.observe("/ps/a", "01", LINE);
  w.observe("/ps/a", "02", LINE);
  assert.equal(w.count("coap.observers"), 2);
});

test("the places of a line that is away stay its own", () => {
  const w = line({ coapObservers: 4 });
  for (let i = 0; i < 4; i++) w.observe(`/ps/${i}`, `0${i}`, LINE);
  unplug(w);
  assert.equal(w.observe("/ps/other", "0a", { address: "serial:other", port: 0 }).observe, undefined);
  assert.equal(w.count("coap.observers_refused"), 1);
  plug(w);
  assert.equal(w.count("coap.observers"), 4);
});

test("a line that is closed and opened again has its observations; one that stays closed loses them after a minute", () => {
  const w = line();
  w.observe("/ps/a", "01", LINE);
  w.server.close();
  w.advance(50_000);
  assert.equal(records(w), 1);
  assert.deepEqual(w.take(), [], "no goodbye to who is kept");
  w.advance(15_000);
  assert.equal(records(w), 0);
});

test("on a slow line a CON is repeated when the line could have brought its acknowledgement, and not before", () => {
  for (const [answerMs, notBefore, by] of [
    [2_000, 1_900, 3_100],
    [6_877, 6_800, 10_400],
  ] as const) {
    const w = line({ answerMs });
    w.observe("/ps/a", "01", LINE);
    w.publish("a", "1", { qos: 1 });
    assert.equal(w.take().length, 1);
    w.advance(notBefore);
    assert.deepEqual(w.take(), []);
    w.advance(by - notBefore);
    assert.equal(w.take().length, 1);
  }
});
