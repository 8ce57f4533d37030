// Rules that gather on the real store: what `kill -9` leaves at any moment has each acknowledged reading exactly once.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { Allowance } from "../../../../src/base/allowance.ts";
import { SystemClock } from "../../../../src/base/clock.ts";
import { Counters } from "../../../../src/base/counters.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { TimerWheel } from "../../../../src/base/timer-wheel.ts";
import type { ForwardRule } from "../../../../src/config/uplink-rules.ts";
import type { UplinkConfig } from "../../../../src/config/uplinks.ts";
import { cuttingShared } from "../../../../src/core/cutting.ts";
import { DeliveryQueue } from "../../../../src/core/delivery-queue.ts";
import { Ledger } from "../../../../src/core/ledger.ts";
import type { Message } from "../../../../src/core/message.ts";
import type { QueueHost } from "../../../../src/core/outlet.ts";
import { Publication } from "../../../../src/core/publication.ts";
import { DELIVERY_REMOTE, deliveryOptions } from "../../../../src/core/receiver.ts";
import { Retained } from "../../../../src/core/retained.ts";
import { Router } from "../../../../src/core/router.ts";
import { Turns } from "../../../../src/core/turns.ts";
import type { SqliteStore } from "../../../../src/store/store.ts";
import { Aggregation } from "../../../../src/uplink/aggregate/aggregation.ts";
import { eventually } from "../../../support/eventually.ts";
import { requireRoot } from "../../../support/peers.ts";
import { LIMITS } from "../../../support/queue-world.ts";
import { crashImage, dataDir, openTestStore } from "../../../support/store-fixture.ts";
import { forward } from "../uplink-world.ts";

const SEED = Number(process.env.SLUICE_LONG ?? 1);
const IMAGES = process.env.SLUICE_LONG === undefined ? 6 : 40;
const AUTHORITY = {
  generation: 0,
  open: true,
  scramRecord: () => null,
  authenticate(): void {},
  mayPublish: () => true,
  mayRead: () => true,
  maySubscribe: () => true,
};

const ROOMY = { ...LIMITS, messages: 1e6, bytes: 1e9 };

/** A gateway without links: a router, the rules, and the queue of their class, whose server is away. */
class Site {
  readonly router: Router;
  readonly aggregation: Aggregation;
  readonly queue: DeliveryQueue;
  readonly store: SqliteStore;
  readonly stored = new Set<number>();
  readonly #wheel: TimerWheel;

  constructor(t: TestContext, store: SqliteStore, rules: readonly ForwardRule[]) {
    this.store = store;
    const clock = new SystemClock();
    const counters = new Counters();
    const ledger = new Ledger(counters);
    this.#wheel = new TimerWheel(clock, 5);
    this.#wheel.start();
    t.after(() => this.#wheel.stop());
    const retained = new Retained(
      store,
      clock,
      { retainedMessages: 10, retainedBytes: 1e6, retainedPayloadBytes: 1e6 },
      counters,
    );
    const authority = AUTHORITY;
    this.router = new Router({
      store,
      retained,
      authority,
      time: clock,
      ledger,
      counters,
      durabilityOf: null,
      gate: null,
    });
    const cuts = cuttingShared(this.#wheel, clock, counters, 64 * 2 ** 20);
    const { schedule } = new Turns(counters);
    const host: QueueHost = { store, time: clock, ledger, waitingMemory: new Allowance(1e6), cuts, schedule };
    this.queue = new DeliveryQueue(host, "uplink:cloud", store.createReceiver("uplink", "cloud"), ROOMY);
    store.register(this.queue);
    const { queue } = this;
    const door = {
      queue,
      enter(message: Message, qos: number, retain: boolean): number {
        const options = deliveryOptions(qos, retain) | DELIVERY_REMOTE;
        message.addReceiver(queue.id, options);
        store.append(message);
        queue.enqueue(message, options, null);
        return 0;
      },
    };
    const config = {
      name: "cloud",
      clientId: "gw",
      forward: rules,
      spool: { maxBytes: 1e8, maxMessages: 1e6, maxAgeMs: 1e9, whenFull: "refuse", priorities: [] },
    };
    const doors = { slot: -1, sights: { mark: null, looped: { value: 0 } }, classOf: () => door };
    const parts = {
      host,
      router: this.router,
      wheel: this.#wheel,
      isClockSet: () => true,
      cbor: null,
      counters,
      node: "gw",
      memoryLimitBytes: 16 * 2 ** 20,
    };
    this.aggregation = new Aggregation(config as unknown as UplinkConfig, doors, parts);
  }

  publish(topic: string, payload: string, number: number): void {
    const p = new Publication();
    p.setParts(topic, Buffer.from(payload), 1, false);
    const onStored = (_token: number, reason: number): void => void (reason === 0 && this.stored.add(number));
    this.router.publish(p, { onStored }, number);
  }

  get held(): number {
    return this.aggregation.status().reduce((sum, { messages }) => sum + messages, 0);
  }

  /** Numbers of all readings that wait for the server. */
  numbers(): number[] {
    const numbers: number[] = [];
    const onBacklog = (message: Message): boolean => {
      for (const line of message.payload.toString().split("\n"))
        if (line !== "") numbers.push(Number(line.replace(/^text | x+$/g, "")));
      return true;
    };
    for (let at = 1; at <= this.store.lastSeq; ) at = this.store.read(this.queue.id, at, 1e6, { onBacklog });
    return numbers;
  }

  /** Nothing is held any more, and everything is written. */
  async settled(): Promise<void> {
    await eventually("all is in the class", () => this.held === 0);
    await new Promise<void>((resolve) => this.store.barrier({ onStored: () => resolve() }, 0));
  }
}

const BATCH = { maxMessages: 5, maxBytes: 4096, maxDelayMs: 100, format: "lines", compress: "none" } as const;
const RULES = {
  batch: [forward("s/#", { batch: BATCH })],
  "on_change and batch, with a slow topic": [
    forward("s/#", { batch: BATCH, onChange: { deadband: 0, maxSilenceMs: null, fields: null } }),
  ],
  "two rules": [
    forward("s/+", { batch: { ...BATCH, maxMessages: 3 } }),
    forward("t/#", { to: "x/{rest}", onChange: { deadband: 0, maxSilenceMs: null, fields: null } }),
  ],
};

for (const [name, rules] of Object.entries(RULES)) {
  test(`${name}: at any moment the files hold each acknowledged reading exactly once`, async (t) => {
    const random = seededRandom(SEED);
    const pick = (count: number): number => Math.floor(random() * count);
    const dir = dataDir(t);
    const { store } = await openTestStore(dir, { commitDelayMs: 4 });
    const site = new Site(t, store, rules);
    const images: { image: string; stored: Set<number> }[] = [];
    let next = 1;
    for (let round = 0; images.length < IMAGES; round++) {
      for (let n = pick(12); n > 0; n--) {
        const number = next++;
        const topic = pick(40) === 0 ? "s/slow" : `${pick(4) === 0 ? "t" : "s"}/${pick(3)}`;
        site.publish(topic, pick(6) === 0 ? `text ${number}` : `${number}`, number);
      }
      const waits = pick(3);
      if (waits > 0)
        await new Promise((resolve) => (waits === 1 ? setImmediate(resolve) : setTimeout(resolve, pick(9))));
      if (round % 7 === 6) images.push({ image: crashImage(t, dir), stored: new Set(site.stored) });
    }
    await site.settled();
    for (const { image, stored } of [...images, { image: crashImage(t, dir), stored: site.stored }]) {
      const after = new Site(t, (await openTestStore(image)).store, rules);
      await after.settled();
      const numbers = after.numbers();
      assert.equal(new Set(numbers).size, numbers.length, "nothing comes twice");
      const missing = [...stored].filter((number) => !numbers.includes(number));
      assert.deepEqual(missing, []);
      after.aggregation.leave();
    }
  });
}

test("a full disk in the middle of batches: what was acknowledged is there once, before and after there is room", {
  skip: requireRoot(),
}, async (t) => {
  const dir = dataDir(t, 6);
  const { store } = await openTestStore(dir, { reserveBytes: 512 * 1024, checkpointFrames: 64, commitDelayMs: 4 });
  const ballast = path.join(dir, "ballast");
  fs.writeFileSync(ballast, Buffer.alloc(2 * 1024 * 1024));
  const site = new Site(t, store, RULES.batch);
  const filler = "x".repeat(1500);
  let next = 1;
  const publish = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++) {
      const number = next++;
      // Every fourth is no reading, and large: it passes through.
      site.publish(`s/${number % 3}`, number % 4 === 0 ? `text ${number} ${filler}` : `${number}`, number);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  };
  while (store.health === "ok") await publish(12);
  assert.equal(store.health, "full");
  for (let i = 0; i < 30; i++) await publish(1);
  const images = [crashImage(t, dir)];
  const stored = [new Set(site.stored)];
  fs.rmSync(ballast);
  await eventually("there is room", () => store.health === "ok");
  for (let i = 0; i < 10; i++) await publish(12);
  await site.settled();
  images.push(crashImage(t, dir));
  stored.push(site.stored);
  for (const [i, image] of images.entries()) {
    const after = new Site(t, (await openTestStore(image)).store, RULES.batch);
    await after.settled();
    const numbers = after.numbers();
    assert.equal(new Set(numbers).size, numbers.length, "nothing comes twice");
    assert.deepEqual(
      [...(stored[i] ?? [])].filter((number) => !numbers.includes(number)),
      [],
    );
  }
  assert((stored[1]?.size ?? 0) >= (stored[0]?.size ?? 0) + 100, "service is back");
});
