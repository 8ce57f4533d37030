import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import { AnyOrderQueue } from "../../../src/core/any-order-queue.ts";
import { isAnyOrder } from "../../../src/core/any-order-record.ts";
import type { DrainOrder } from "../../../src/core/any-order-source.ts";
import { DeliveryQueue } from "../../../src/core/delivery-queue.ts";
import type { Message } from "../../../src/core/message.ts";
import type { QueueLimits } from "../../../src/core/queue-limits.ts";
import { STRETCHES_MAX } from "../../../src/core/unread.ts";
import { inOrder, LIMITS, type MakeQueue, Peer, World } from "../../support/queue-world.ts";

const ORDERS: readonly DrainOrder[] = ["newest-first", "interleave", "oldest-first"];

function world(order: DrainOrder, limits = LIMITS): World<ReturnType<ReturnType<typeof inOrder>>> {
  return new World(limits, inOrder(order));
}

function names(from: number, to: number): string[] {
  const step = from <= to ? 1 : -1;
  return Array.from({ length: Math.abs(to - from) + 1 }, (_, i) => `m${from + i * step}`);
}

describe("what comes first", () => {
  test("newest-first: a backlog comes from the newest down, and what is published meanwhile before all that waits", () => {
    const w = world("newest-first");
    for (let i = 0; i < 40; i++) w.publish(1);
    w.store.commit();
    w.store.sync();
    w.queue.attach(w.peer, 2, false);
    for (let i = 0; i < 10; i++) w.peer.answer(w.queue, 0);
    w.publish(1);
    w.publish(1);
    w.settle();
    assert.deepEqual(w.peer.delivered, [...names(39, 28), "m40", "m41", ...names(27, 0)]);
    assert.deepEqual([w.queue.count, w.queue.bytes], [0, 0]);
  });

  test("interleave: live and backlog, oldest first, take turns", () => {
    const w = world("interleave", { ...LIMITS, windowBytes: 20_000 });
    for (let i = 0; i < 20; i++) w.publish(1);
    w.store.commit();
    w.store.sync();
    w.queue.attach(w.peer, 1, false);
    for (let i = 0; i < 10; i++) w.publish(1);
    w.settle();
    const turns = names(1, 10).flatMap((old, i) => [`m${20 + i}`, old]);
    assert.deepEqual(w.peer.delivered, ["m0", ...turns, ...names(11, 19)]);
  });

  test("oldest-first: what another order has left comes like a log, what is published meanwhile behind it", () => {
    const w = world("oldest-first");
    for (let i = 0; i < 20; i++) w.publish(1);
    w.queue.attach(w.peer, 1, false);
    for (let i = 0; i < 10; i++) w.publish(1);
    w.settle();
    assert.deepEqual(w.peer.delivered, names(0, 29));
  });
});

test(`newest-first: more than ${STRETCHES_MAX} parts of the log that were passed over become fewer, and each message comes once`, () => {
  const w = world("newest-first");
  w.queue.attach(w.peer, 1, false);
  for (let burst = 0; burst < 3 * STRETCHES_MAX; burst++) {
    // More than memory takes; then the link takes what memory has, and little of the rest.
    for (let i = 0; i < 20; i++) w.publish(1);
    w.store.commit();
    w.store.sync();
    for (let i = 0; i < 6; i++) w.peer.answer(w.queue, 0);
  }
  assert.ok(w.host.cuts.stretchesMerged.value > 0);
  w.settle();
  assert.deepEqual([w.queue.count, w.queue.bytes], [0, 0]);
  assert.equal(w.peer.delivered.length, 60 * STRETCHES_MAX);
  assert.equal(new Set(w.peer.delivered).size, 60 * STRETCHES_MAX);
});

describe("a run of random events in another order", () => {
  for (const order of ORDERS) {
    for (const qos of [1, 2, 0]) {
      for (let seed = 1; seed <= 40; seed++) {
        const words = qos === 0 ? "QoS 1 and 2 mixed" : `QoS ${qos}`;
        test(`${order}, ${words}, seed ${seed}: nothing stored is lost, QoS 2 comes once, ids hold, counts agree`, () => {
          run(qos, seed, { queueOf: () => inOrder(order), isSteady: order !== "oldest-first" });
        });
      }
    }
  }
  for (const qos of [1, 2, 0]) {
    for (let seed = 1; seed <= 30; seed++) {
      test(`each restart with another order, QoS ${qos === 0 ? "1 and 2" : qos}, seed ${seed}: nothing stored is lost, QoS 2 comes once`, () => {
        run(qos, seed, {
          queueOf: (random) => anyOrNone(ORDERS[Math.floor(random() * 3)] as DrainOrder),
          isSteady: false,
        });
      });
    }
  }
  for (const order of ORDERS) {
    for (let seed = 1; seed <= 40; seed++) {
      test(`${order}, up to three parts for each message, seed ${seed}: none is lost, those of QoS 2 come once`, () => {
        run(0, seed, { queueOf: () => inOrder(order), peer: () => new PartsPeer() });
      });
    }
  }
  for (const order of ORDERS) {
    for (const whenFull of ["drop-oldest", "latest-per-topic"] as const) {
      for (let seed = 1; seed <= 30; seed++) {
        test(`${order}, ${whenFull}, seed ${seed}: within its limits, QoS 2 comes once, what is dropped is counted`, () => {
          run(0, seed, { queueOf: () => inOrder(order), whenFull, isSteady: order !== "oldest-first" });
        });
      }
    }
  }
});

/** As an uplink does: in log order when it may be. */
function anyOrNone(order: DrainOrder): MakeQueue<DeliveryQueue | AnyOrderQueue> {
  return (host, label, record, limits) =>
    order === "oldest-first" && !isAnyOrder(record.state)
      ? new DeliveryQueue(host, label, record, limits)
      : new AnyOrderQueue(host, label, record, limits, order, 8);
}

/** To whom each message goes as several: how many, and with which QoS, its number says. */
class PartsPeer extends Peer {
  override parts(m?: Message): number {
    return 1 + (numberOf(m) % 3);
  }

  override partOptions(m: Message, part: number): number {
    return Math.floor((numberOf(m) + part * 5) / 3) % 3;
  }

  override payloadOf(m: Message, part: number): string {
    return `${m.payload}/${part}`;
  }
}

function numberOf(m: Message | undefined): number {
  return Number(m?.payload.toString().slice(1));
}

interface Variant {
  readonly queueOf: (random: () => number) => MakeQueue<DeliveryQueue | AnyOrderQueue>;
  readonly peer?: () => Peer;
  readonly whenFull?: QueueLimits["whenFull"];
  /** The order is the same in each life. */
  readonly isSteady?: boolean;
}

/** Publishes, answers in any order, commits, disconnects and crashes at random; the peer keeps its session. @param fixedQos 0 = mixed */
function run(fixedQos: number, seed: number, { queueOf, peer, whenFull, isSteady = true }: Variant): void {
  const random = seededRandom(seed);
  const messages = whenFull === undefined ? 100_000 : 12 + Math.floor(random() * 30);
  const w = new World<DeliveryQueue | AnyOrderQueue>(
    {
      ...LIMITS,
      messages,
      onlineMessages: messages,
      whenFull: whenFull ?? "refuse",
      windowBytes: 1 + Math.floor(random() * 3000),
      maxAgeMs: whenFull !== undefined && seed % 4 === 0 ? 60_000 : Number.POSITIVE_INFINITY,
    },
    queueOf(random),
  );
  if (peer !== undefined) w.peer = peer();
  w.store.strikesMax = 1 + Math.floor(random() * 20);
  w.store.learnRows = 4;
  const windowMax = 1 + Math.floor(random() * 8);
  if (peer === undefined && isSteady) w.peer.receiveMax = windowMax;
  const stored = new Set<string>();
  const qosOf = new Map<string, number>();
  let open: string[] = [];
  let online = false;
  let first = true;
  let cuts = 0;
  /** Answered since the last commit: a crash shows them to the peer again. */
  let unstored = 0;
  let again = 0;
  const attach = (): void => {
    w.peer.owed = [];
    w.queue.attach(w.peer, windowMax, !first);
    first = false;
    online = true;
  };
  const store = (): void => {
    w.store.commit();
    unstored = 0;
    for (const payload of open) stored.add(payload);
    open = [];
  };
  for (let step = 0; step < 700; step++) {
    const dice = random();
    w.wallMs += 500;
    if (dice < 0.35) {
      const qos = fixedQos === 0 ? 1 + Math.floor(random() * 2) : fixedQos;
      const payload = w.publish(qos, 0, `t${Math.floor(random() * 3)}`);
      if (payload === null) continue;
      open.push(payload);
      qosOf.set(payload, qos);
    } else if (dice < 0.7) {
      if (!online) continue;
      unstored++;
      w.peer.answer(w.queue, Math.floor(random() * Math.min(w.peer.owed.length, 6)));
    } else if (dice < 0.85) {
      store();
      if (random() < 0.8) w.store.sync();
      w.turn();
    } else if (dice < 0.9) {
      if (online) {
        cuts++;
        w.queue.detach();
      }
      online = false;
    } else if (dice < 0.95) {
      if (!online) attach();
    } else if (dice < 0.955) {
      w.store.withdraw();
      open = [];
    } else if (dice < 0.96) {
      if (whenFull !== undefined) w.cuts.cutOld();
    } else if (dice < 0.98) {
      recount(w);
    } else if (dice < 0.985 && whenFull !== undefined) {
      store();
      for (let i = 0; i < 400; i++) {
        w.store.commit();
        w.store.sync();
        w.turn();
      }
      assert.ok(w.queue.count <= messages, `${w.queue.count} wait where ${messages} may`);
    } else {
      if (online) cuts++;
      again += unstored;
      unstored = 0;
      w.crash(queueOf(random));
      open = [];
      online = false;
      recount(w);
    }
  }
  store();
  if (!online) attach();
  w.settle();
  for (let i = 0; i < 5000 && !w.queue.inflight.empty; i++) {
    w.store.commit();
    w.store.sync();
    w.peer.answer(w.queue, 0);
  }
  assert.deepEqual([w.queue.count, w.queue.bytes], [0, 0], "everything was acknowledged");
  assert.equal(w.memory.used, 0, "memory was given back");
  assert.ok(w.queue.inflight.empty, "every packet id is free");
  const times = new Map<string, number>();
  for (const payload of w.peer.delivered) times.set(payload, (times.get(payload) ?? 0) + 1);
  if (peer === undefined && whenFull === undefined) {
    for (const payload of stored) assert.ok(times.has(payload), `${payload} was stored and never came`);
    let twice = 0;
    for (const count of times.values()) twice += count - 1;
    assert.ok(twice <= cuts * windowMax + again, `${twice} came again after ${cuts} cuts, the window ${windowMax}`);
  }
  if (peer === undefined) {
    for (const [payload, count] of times)
      if (qosOf.get(payload) === 2) assert.equal(count, 1, `${payload} came ${count} times`);
    return;
  }
  const parts = new PartsPeer();
  for (const payload of stored) {
    const m = { payload: Buffer.from(payload) } as Message;
    for (let part = 0; part < parts.parts(m); part++) {
      const count = times.get(`${payload}/${part}`) ?? 0;
      assert.ok(count > 0, `part ${part} of ${payload} never came`);
      if (parts.partOptions(m, part) === 2) assert.equal(count, 1, `part ${part} of ${payload} came ${count} times`);
    }
  }
}

/** The log has for the queue what it counts. */
function recount(w: World<DeliveryQueue | AnyOrderQueue>): void {
  let count = 0;
  let bytes = 0;
  const onBacklog = (m: { seq: number; size: number }): boolean => {
    if (m.seq >= w.queue.headSeq && w.queue.needs(m.seq)) {
      count++;
      bytes += m.size;
    }
    return true;
  };
  for (let from = 1; from <= w.store.lastSeq; ) from = w.store.read(w.queue.id, from, 1e9, { onBacklog });
  assert.deepEqual([w.queue.count, w.queue.bytes], [count, bytes]);
}
