import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Allowance } from "../../../src/base/allowance.ts";
import { Counters } from "../../../src/base/counters.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { DeliveryQueue } from "../../../src/core/delivery-queue.ts";
import { Ledger } from "../../../src/core/ledger.ts";
import type { Authority, Principal } from "../../../src/core/ports.ts";
import { Publication } from "../../../src/core/publication.ts";
import type { Receiver } from "../../../src/core/receiver.ts";
import { Retained } from "../../../src/core/retained.ts";
import { ROUTE_WIDTH_MAX } from "../../../src/core/route-cache.ts";
import { NO_SUBSCRIBERS, QUOTA_EXCEEDED, ROUTED, Router, STORED_LATER } from "../../../src/core/router.ts";
import { TopicTree } from "../../../src/core/topic-tree.ts";
import { clockOf } from "../../support/clock-of.ts";
import { cutsOf } from "../../support/cuts.ts";
import { MemoryStore } from "../../support/memory-store.ts";

class World {
  store = new MemoryStore();
  counters = new Counters();
  ledger = new Ledger(this.counters);
  authority = {
    generation: 0,
    get open(): boolean {
      return this.forbidden === "" && this.asked === null;
    },
    forbidden: "",
    asked: null as (() => void) | null,
    scramRecord: () => null,
    authenticate(): void {},
    mayPublish: (): boolean => true,
    mayRead(principal: Principal): boolean {
      this.asked?.();
      return principal.name !== this.forbidden;
    },
    maySubscribe: (): boolean => true,
  } satisfies Authority & { forbidden: string; asked: (() => void) | null };
  time = clockOf(() => 1000);
  retained = new Retained(
    this.store,
    this.time,
    { retainedMessages: 2, retainedBytes: 1000, retainedPayloadBytes: 1000 },
    this.counters,
  );
  router = new Router({
    store: this.store,
    retained: this.retained,
    authority: this.authority,
    time: this.time,
    ledger: this.ledger,
    counters: this.counters,
    durabilityOf: null,
    gate: null,
  });
  told: [token: number, reason: number][] = [];
  waiter = { onStored: (token: number, reason: number): void => void this.told.push([token, reason]) };

  publish(topic: string, payload: string, qos = 0, retain = false, publisher = -1): number {
    const p = new Publication();
    p.setParts(topic, Buffer.from(payload), qos, retain);
    p.publisher = publisher;
    return this.router.publish(p, this.waiter, 7);
  }

  /** A receiver that writes down what it gets: "topic payload qos retain ids". */
  receiver(name: string, whenFull: "none" | "refuse" | "drop-newest" = "none", messages = 1): Recorder {
    const receiver = new Recorder(this, name, whenFull, messages);
    this.router.join(receiver);
    return receiver;
  }
}

class Recorder implements Receiver {
  slot = -1;
  principal: Principal;
  queue: DeliveryQueue | null = null;
  durable: boolean;
  got: string[] = [];
  raise = 0;
  slow = false;
  /** What it does when it is given something. */
  onGiven: () => void = () => {};

  constructor(world: World, name: string, whenFull: "none" | "refuse" | "drop-newest", messages: number) {
    this.principal = { name, clientId: name };
    this.durable = whenFull !== "none";
    if (whenFull === "none") return;
    const host = {
      store: world.store,
      time: world.time,
      ledger: world.ledger,
      waitingMemory: new Allowance(1e6),
      cuts: cutsOf(world.time),
      schedule: (): void => {},
    };
    const limits = {
      messages,
      bytes: 1e6,
      onlineMessages: messages,
      onlineBytes: 1e6,
      maxAgeMs: Number.POSITIVE_INFINITY,
      whenFull,
      windowBytes: 1e6,
    };
    this.queue = new DeliveryQueue(host, `session:${name}`, world.store.createReceiver("session", name), limits);
    world.store.register(this.queue);
  }

  effectiveQos(publishQos: number, grantedQos: number): number {
    return Math.max(Math.min(publishQos, grantedQos), this.raise);
  }

  deliver(p: Publication, options: number, ids: readonly number[] | null): void {
    const payload = p.bytes.toString("utf8", p.payloadFrom, p.payloadEnd);
    this.got.push(`${p.topic} ${payload} ${options & 3} ${options >> 2} ${ids?.join(",") ?? "-"}`);
    this.onGiven();
  }

  congested(): boolean {
    return this.slow;
  }
}

describe("live delivery", () => {
  test("goes to those who match, and says when nobody does", () => {
    const w = new World();
    const a = w.receiver("a");
    const b = w.receiver("b");
    w.router.subscribe(a, "x/+", 0, 0);
    w.router.subscribe(b, "x/#", 1, 0);
    assert.equal(w.publish("x/1", "p"), ROUTED);
    assert.equal(w.publish("y", "p", 1), NO_SUBSCRIBERS);
    assert.deepEqual(a.got, ["x/1 p 0 0 -"]);
    assert.deepEqual(b.got, ["x/1 p 0 0 -"]);
  });

  test("[MQTT5-3.3.4-2] overlapping subscriptions are one copy with the highest QoS and all identifiers", () => {
    const w = new World();
    const a = w.receiver("a");
    w.router.subscribe(a, "x/1", 0, 5);
    w.router.subscribe(a, "x/#", 2, 6);
    w.publish("x/1", "p", 2);
    assert.match(a.got.join(), /^x\/1 p 2 0 (5,6|6,5)$/);
  });

  test("[MQTT5-3.8.3-3] No Local keeps a message from its publisher, unless another subscription wants it", () => {
    const w = new World();
    const a = w.receiver("a");
    w.router.subscribe(a, "x/#", 0b100, 0);
    w.publish("x/1", "own", 0, false, a.slot);
    w.publish("x/1", "other", 0, false, -1);
    w.router.subscribe(a, "x/1", 0, 0);
    w.publish("x/1", "both", 0, false, a.slot);
    assert.deepEqual(a.got, ["x/1 other 0 0 -", "x/1 both 0 0 -"]);
  });

  test("[MQTT5-3.3.1-12] [MQTT5-3.3.1-13] RETAIN is cleared unless Retain As Published is set", () => {
    const w = new World();
    const a = w.receiver("a");
    const b = w.receiver("b");
    w.router.subscribe(a, "x", 0, 0);
    w.router.subscribe(b, "x", 0b1000, 0);
    w.publish("x", "p", 0, true);
    assert.deepEqual(a.got, ["x p 0 0 -"]);
    assert.deepEqual(b.got, ["x p 0 1 -"]);
  });

  test("a change of subscriptions holds from the next message on, with and without wildcards", () => {
    const w = new World();
    const a = w.receiver("a");
    for (const filter of ["x/1", "x/+", "#"]) {
      assert.equal(w.publish("x/1", "before"), NO_SUBSCRIBERS);
      w.router.subscribe(a, filter, 0, 0);
      assert.equal(w.publish("x/1", filter), ROUTED);
      w.router.unsubscribe(a, filter);
    }
    assert.deepEqual(a.got.length, 3);
  });

  test("with hundreds of wildcards and all places of the route cache used up, everybody gets what the plain tree says", () => {
    const w = new World();
    const tree = new TopicTree();
    const random = seededRandom(3);
    const dice = (sides: number): number => Math.floor(random() * sides);
    const receivers = Array.from({ length: 300 }, (_, i) => w.receiver(`r${i}`));
    const filters = ["#", "a/#", "a/+", ...Array.from({ length: 20 }, (_, i) => `a/${i}`)];
    let widest = 0;
    for (let step = 0; step < 6_000; step++) {
      const receiver = receivers[dice(receivers.length)] as Recorder;
      const filter = filters[dice(filters.length)] as string;
      if (step < 400 || random() < 0.1) {
        w.router.subscribe(receiver, filter, 0, 0);
        tree.add(filter, { slot: receiver.slot, options: 0, subscriptionId: 0 });
      } else if (random() < 0.05) {
        w.router.unsubscribe(receiver, filter);
        tree.remove(filter, receiver.slot);
      }
      const topic = `a/${dice(40)}`;
      const expected = new Set<number>();
      const bytes = Buffer.from(topic);
      tree.match(bytes, 0, bytes.length, ({ slot }) => void expected.add(slot));
      w.publish(topic, "x");
      for (const { got, slot } of receivers) assert.equal(got.splice(0).length, expected.has(slot) ? 1 : 0);
      widest = Math.max(widest, w.counters.get("router.cache_width") ?? 0);
    }
    assert.ok(widest <= ROUTE_WIDTH_MAX && widest > ROUTE_WIDTH_MAX - 300, `${widest}`);
  });

  test("who may not read a topic does not get it, also when his rights change later", () => {
    const w = new World();
    const a = w.receiver("a");
    w.router.subscribe(a, "x", 0, 0);
    w.publish("x", "1");
    w.authority.forbidden = "a";
    w.authority.generation++;
    w.publish("x", "2");
    assert.deepEqual(a.got, ["x 1 0 0 -"]);
  });

  for (const topic of ["x/1", `x/${"long".repeat(40)}`]) {
    test(`who is given ${topic.slice(0, 6)} may publish meanwhile, to as many and more; it goes to those behind it all the same`, () => {
      const w = new World();
      const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => w.receiver(name)) as [
        Recorder,
        Recorder,
        Recorder,
        Recorder,
      ];
      for (const receiver of [a, b]) w.router.subscribe(receiver, "x/+", 0, 0);
      for (const receiver of [c, d]) w.router.subscribe(receiver, "result/+", 0, 0);
      // So many topics that one of them has the place of the one that is gone through.
      a.onGiven = () => {
        for (let i = 0; i < 5000; i++) w.publish(`result/${i % 2500}`, "done");
      };
      w.publish(topic, "1");
      a.onGiven = () => {};
      w.publish(topic, "2");
      assert.deepEqual(b.got, [`${topic} 1 0 0 -`, `${topic} 2 0 0 -`]);
      assert.deepEqual([c.got.length, d.got.length], [5000, 5000]);
    });
  }

  test("after a receiver that threw, routes are looked up as before", () => {
    const w = new World();
    const a = w.receiver("a");
    w.router.subscribe(a, "x/+", 0, 0);
    a.onGiven = () => {
      throw new Error("a mistake");
    };
    assert.throws(() => w.publish("x/1", "1"), /a mistake/);
    a.onGiven = () => {};
    const misses = w.counters.get("router.cache_misses");
    w.publish("x/2", "1");
    assert.equal(w.counters.get("router.cache_misses"), misses + 1);
  });

  test("whoever is asked about rights may publish meanwhile, to as many and more", () => {
    const w = new World();
    const [a, b, c] = ["a", "b", "c"].map((name) => w.receiver(name)) as [Recorder, Recorder, Recorder];
    for (const receiver of [a, b]) w.router.subscribe(receiver, "x/+", 0, 0);
    for (const receiver of [c, b, a]) w.router.subscribe(receiver, "audit/+", 0, 0);
    let asked = 0;
    w.authority.asked = () => {
      if (asked < 2) w.publish(`audit/${asked++}`, "?");
    };
    w.publish("x/1", "1");
    w.publish("x/1", "2");
    assert.deepEqual(c.got, ["audit/1 ? 0 0 -", "audit/0 ? 0 0 -"]);
    for (const { got } of [a, b])
      assert.deepEqual(got, ["audit/1 ? 0 0 -", "audit/0 ? 0 0 -", "x/1 1 0 0 -", "x/1 2 0 0 -"]);
  });
});

describe("what is published live only", () => {
  test("goes at QoS 0 to whoever is there and may read it, whatever was granted, and is kept for nobody", () => {
    const w = new World();
    const here = w.receiver("here");
    const uplink = w.receiver("uplink", "refuse");
    const forbidden = w.receiver("forbidden");
    w.authority.forbidden = "forbidden";
    uplink.raise = 1;
    for (const receiver of [here, uplink, forbidden]) w.router.subscribe(receiver, "$SYS/#", 2, 3);
    const p = new Publication();
    p.setParts("$SYS/a", Buffer.from("1"), 0, false);
    const misses = w.counters.get("router.cache_misses");
    assert.equal(w.router.publishLive(p), ` ${uplink.slot}`); // away: its queue has no outlet
    assert.equal(w.router.awayFrom("$SYS/a"), ` ${uplink.slot}`);
    assert.deepEqual([here.got, uplink.got, forbidden.got], [["$SYS/a 1 0 0 3"], [], []]);
    assert.deepEqual([w.store.rows, w.ledger.entries(), uplink.queue?.count], [[], [], 0]);
    // A thousand such topics must not push the devices' out of the route cache.
    assert.equal(w.counters.get("router.cache_misses"), misses);
    for (const receiver of [here, uplink, forbidden]) w.router.unsubscribe(receiver, "$SYS/#");
    assert.equal(w.router.publishLive(p), "");
    assert.equal(here.got.length, 1);
  });

  test("goes to those behind a receiver that publishes meanwhile", () => {
    const w = new World();
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => w.receiver(name)) as [
      Recorder,
      Recorder,
      Recorder,
      Recorder,
    ];
    for (const receiver of [a, b]) w.router.subscribe(receiver, "$SYS/#", 0, 0);
    for (const receiver of [c, d]) w.router.subscribe(receiver, "result/+", 0, 0);
    const long = `result/${"long".repeat(40)}`; // its route is not kept
    a.onGiven = () => void w.publish(long, "done");
    const p = new Publication();
    p.setParts("$SYS/a", Buffer.from("1"), 0, false);
    assert.equal(w.router.publishLive(p), "");
    assert.deepEqual([b.got, c.got, d.got], [["$SYS/a 1 0 0 -"], [`${long} done 0 0 -`], [`${long} done 0 0 -`]]);
  });
});

describe("durable receivers", () => {
  test("the publisher is answered when the store has it", () => {
    const w = new World();
    const a = w.receiver("a", "drop-newest", 10);
    w.router.subscribe(a, "x", 1, 0);
    assert.equal(w.publish("x", "p", 1), STORED_LATER);
    assert.deepEqual(w.told, []);
    w.store.commit();
    assert.deepEqual(w.told, []);
    w.store.sync();
    assert.deepEqual(w.told, [[7, 0]]);
    assert.equal(a.queue?.count, 1);
  });

  test("one row serves all receivers", () => {
    const w = new World();
    for (let i = 0; i < 50; i++) w.router.subscribe(w.receiver(`s${i}`, "drop-newest", 10), "x", 1, 0);
    w.publish("x", "p", 1);
    w.store.commit();
    assert.equal(w.store.rows.length, 1);
    assert.equal(w.store.rows[0]?.receivers.length, 50);
  });

  test("a refusal reaches nobody, not even the live receivers", () => {
    const w = new World();
    const live = w.receiver("live");
    const full = w.receiver("full", "refuse", 1);
    w.router.subscribe(live, "x", 0, 0);
    w.router.subscribe(full, "x", 1, 0);
    assert.equal(w.publish("x", "1", 1), STORED_LATER);
    assert.equal(w.publish("x", "2", 1), QUOTA_EXCEEDED);
    assert.deepEqual(live.got, ["x 1 0 0 -"]);
    assert.equal(full.queue?.count, 1);
  });

  test("a receiver that drops does not hold up one that takes, and its drop is counted", () => {
    const w = new World();
    const full = w.receiver("full", "drop-newest", 1);
    const free = w.receiver("free", "drop-newest", 10);
    w.router.subscribe(full, "x", 1, 0);
    w.router.subscribe(free, "x", 1, 0);
    w.publish("x", "1", 1);
    assert.equal(w.publish("x", "2", 1), STORED_LATER);
    assert.equal(full.queue?.count, 1);
    assert.equal(free.queue?.count, 2);
    assert.equal(w.ledger.entries()[0]?.receiver, "session:full");
  });

  test("when no durable receiver can take it the answer is negative", () => {
    const w = new World();
    const full = w.receiver("full", "drop-newest", 1);
    w.router.subscribe(full, "x", 1, 0);
    w.publish("x", "1", 1);
    assert.equal(w.publish("x", "2", 1), QUOTA_EXCEEDED);
  });

  test("a disk that refuses: negative at QoS 1, QoS 0 goes on", () => {
    const w = new World();
    const live = w.receiver("live");
    const stored = w.receiver("stored", "drop-newest", 10);
    w.router.subscribe(live, "x", 0, 0);
    w.router.subscribe(stored, "x", 1, 0);
    w.store.refusal = 0x83;
    assert.equal(w.publish("x", "1", 1), 0x83);
    assert.equal(w.publish("x", "0", 0), ROUTED);
    assert.deepEqual(live.got, ["x 0 0 0 -"]);
  });

  test("a receiver that raises QoS 0 stores it without making the publisher wait", () => {
    const w = new World();
    const uplink = w.receiver("uplink", "drop-newest", 10);
    uplink.raise = 1;
    w.router.subscribe(uplink, "x", 1, 0);
    assert.equal(w.publish("x", "p", 0), ROUTED);
    assert.equal(uplink.queue?.count, 1);
    w.store.refusal = 0x97;
    assert.equal(w.publish("x", "q", 0), ROUTED);
    assert.equal(uplink.queue?.count, 1);
    assert.equal(w.ledger.entries()[0]?.count, 1);
  });

  test("a congested receiver is named, so that the publisher can slow down", () => {
    const w = new World();
    const a = w.receiver("a");
    w.router.subscribe(a, "x", 1, 0);
    w.publish("x", "p", 1);
    assert.equal(w.router.slowReceiver, null);
    a.slow = true;
    w.publish("x", "p", 1);
    assert.equal(w.router.slowReceiver, a);
  });
});

describe("retained values", () => {
  test("a retained QoS 1 message is answered when its row is stored", () => {
    const w = new World();
    assert.equal(w.publish("r", "v", 1, true), STORED_LATER);
    w.store.commit();
    w.store.sync();
    assert.deepEqual(w.told, [[7, 0]]);
    assert.equal(w.retained.get("r")?.payload.toString(), "v");
  });

  test("an empty payload deletes the value, a full table refuses a new one and lets an old one change", () => {
    const w = new World();
    w.publish("a", "1", 0, true);
    w.publish("b", "1", 0, true);
    assert.equal(w.publish("c", "1", 1, true), QUOTA_EXCEEDED);
    assert.equal(w.publish("a", "2", 1, true), STORED_LATER);
    w.publish("b", "", 0, true);
    assert.equal(w.retained.count, 1);
    assert.equal(w.publish("c", "1", 1, true), STORED_LATER);
    assert.equal(w.counters.get("retained.refused"), 1);
  });

  test("match follows the rules of filters", () => {
    const w = new World();
    w.publish("a/b", "1", 0, true);
    w.publish("$x/b", "2", 0, true);
    const found = (filter: string) => [...w.retained.match(filter)].filter((topic) => topic !== null);
    assert.deepEqual(found("#"), ["a/b"]);
    assert.deepEqual(found("+/b"), ["a/b"]);
    assert.deepEqual(found("$x/+"), ["$x/b"]);
    assert.deepEqual(found("a/#"), ["a/b"]);
    assert.deepEqual(found("a"), []);
  });
});
