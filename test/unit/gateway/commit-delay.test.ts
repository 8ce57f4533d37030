import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../src/base/clock.ts";
import { AutoCommitDelay, type Awaited, autoCommitDelayMs, LOOK_MS } from "../../../src/gateway/commit-delay.ts";
import { Hub } from "../../support/mqtt-hub.ts";
import { SHARE, Source, Worker } from "../../support/mqtt-workers.ts";

function receiver(ackTimeMs: number, online = true): Awaited {
  return { online, inflight: { ackTimeMs } };
}

function delayOf(hub: Hub): number {
  return autoCommitDelayMs(hub.registry.durableQueues());
}

test("commit_delay auto is twice the slowest remote's time to acknowledge, from 20 to 250 ms", () => {
  for (const [ackTimeMs, delayMs] of [
    [0, 20],
    [10, 20],
    [11, 22],
    [125, 250],
    [126, 250],
    [4000, 250],
  ] as const) {
    assert.equal(autoCommitDelayMs([receiver(1), receiver(ackTimeMs)]), delayMs, `${ackTimeMs} ms`);
  }
});

test("commit_delay auto is 20 ms while a durable receiver is away", () => {
  assert.equal(autoCommitDelayMs([receiver(100)]), 200);
  assert.equal(autoCommitDelayMs([receiver(100), receiver(100, false)]), 20);
  assert.equal(autoCommitDelayMs([]), 20);
});

test("commit_delay auto looks at the receivers once a second", () => {
  const clock = new ManualClock();
  const receivers = [receiver(100)];
  let looks = 0;
  const delay = new AutoCommitDelay(clock, () => {
    looks++;
    return receivers;
  });
  for (let i = 0; i < 10; i++) assert.equal(delay.ms(), 200);
  assert.equal(looks, 1);
  receivers.push(receiver(100, false));
  clock.advance(LOOK_MS - 1);
  assert.equal(delay.ms(), 200);
  clock.advance(1);
  assert.equal(delay.ms(), 20);
  assert.equal(looks, 2);
});

test("the time of a session's own PUBACK counts, smoothed; of one that ends with its connection it does not", () => {
  const hub = new Hub();
  const source = new Source(hub);
  const exchange = (worker: Worker, topic: string, ms: number): void => {
    source.send(1, topic);
    worker.read();
    hub.advance(ms);
    worker.answer();
  };
  const clean = new Worker(hub, { clientId: "clean" });
  clean.subscribe("clean", 1);
  hub.settle();
  exchange(clean, "clean", 100);
  assert.equal(delayOf(hub), 20);
  const kept = new Worker(hub, { clientId: "kept", kept: true });
  kept.subscribe("kept", 1);
  hub.settle();
  exchange(kept, "kept", 100);
  assert.equal(delayOf(hub), 200);
  exchange(kept, "kept", 20);
  assert.equal(delayOf(hub), 180);
  kept.peer.drop();
  assert.equal(delayOf(hub), 20, "it is away");
});

test("a message that was not answered before the connection broke is no measure", () => {
  const hub = new Hub();
  const source = new Source(hub);
  const kept = new Worker(hub, { clientId: "kept", kept: true });
  kept.subscribe("t", 1);
  hub.settle();
  source.send(1);
  hub.advance(50);
  kept.peer.drop();
  const again = new Worker(hub, { clientId: "kept", kept: true });
  hub.settle();
  again.read();
  hub.advance(1000);
  again.answer();
  assert.equal(delayOf(hub), 20, "sent again: it may be the answer to the first");
  source.send(1);
  again.read();
  hub.advance(40);
  again.answer();
  assert.equal(delayOf(hub), 80);
});

test("a session without subscriptions is nobody's receiver: away, it does not count", () => {
  const hub = new Hub();
  const sensor = new Worker(hub, { clientId: "sensor", kept: true });
  const source = new Source(hub);
  const panel = new Worker(hub, { clientId: "panel", kept: true });
  panel.subscribe("t", 1);
  hub.settle();
  source.send(1);
  panel.read();
  hub.advance(60);
  panel.answer();
  sensor.peer.drop();
  assert.equal(delayOf(hub), 120);
});

test("a shared group counts as one: with the time of its members' answers, away when all of them are", () => {
  const hub = new Hub();
  const source = new Source(hub);
  const a = Worker.sharing(hub, { clientId: "a", kept: true, filter: SHARE, qos: 1 });
  const b = Worker.sharing(hub, { clientId: "b", kept: true, filter: SHARE, qos: 1 });
  source.send(1);
  hub.settle();
  for (const worker of [a, b]) worker.read();
  hub.advance(70);
  for (const worker of [a, b]) worker.answer();
  assert.equal(delayOf(hub), 140);
  a.peer.drop();
  assert.equal(delayOf(hub), 140, "the other one takes it");
  b.peer.drop();
  assert.equal(delayOf(hub), 20);
});
