// Random runs of a shared subscription: publishes, answers in any order, members that come, go, break off and are taken
// over, commits, a full disk and crashes. Nothing acknowledged is lost; QoS 2 comes exactly once; packet ids are unique (Worker).
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import { Hub } from "../../support/mqtt-hub.ts";
import { SHARE, Source, Worker } from "../../support/mqtt-workers.ts";

const SEEDS = Number(process.env["SLUICE_LONG"] ?? 40);
const STEPS = 500;

/** Publishers and members of QoS 1 and 2 together. */
const MIXED = 3;

for (const qos of [1, 2, MIXED])
  for (let seed = 1; seed <= SEEDS; seed++)
    test(`QoS ${qos === MIXED ? "1 and 2" : qos}, seed ${seed}: what was acknowledged comes ${qos === 2 ? "exactly" : "at least"} once`, () =>
      new Run(qos, seed).play());

class Run {
  readonly #qos: number;
  readonly #random: () => number;
  #hub = new Hub();
  #source: Source;
  /** Members whose sessions stay; null while away. Clean ones come and go besides them. */
  readonly #kept: (Worker | null)[] = [];
  readonly #before: (Worker | undefined)[] = [];
  readonly #clean = new Map<string, Worker>();
  readonly #acknowledged = new Set<string>();
  readonly #times = new Map<string, number>();

  constructor(qos: number, seed: number) {
    this.#qos = qos;
    this.#random = seededRandom(seed);
    this.#source = new Source(this.#hub);
    for (let i = 0; i < 2 + this.#dice(3); i++) this.#connectKept(i);
    for (const [i, worker] of this.#kept.entries()) {
      worker?.subscribe(SHARE, this.#anyQos);
      worker?.subscribe(`own${i}`, this.#anyQos);
    }
    this.#settle();
  }

  #dice(sides: number): number {
    return Math.floor(this.#random() * sides);
  }

  get #anyQos(): number {
    return this.#qos === MIXED ? 1 + this.#dice(2) : this.#qos;
  }

  play(): void {
    for (let step = 0; step < STEPS; step++) this.#step();
    for (let i = 0; i < this.#kept.length; i++) if (this.#kept[i] === null) this.#connectKept(i);
    for (let round = 0; round < 6; round++) for (const worker of this.#workers()) this.#drain(worker);
    this.#readAll();
    for (const payload of this.#acknowledged) assert.ok(this.#times.has(payload), `${payload} never came`);
    if (this.#qos === 2)
      for (const [payload, times] of this.#times) assert.equal(times, 1, `${payload} came ${times} times`);
    assert.equal(this.#hub.counters.get("share.waiting"), 0);
    assert.equal(this.#hub.registry.inFlight, 0);
    assert.equal(this.#hub.registry.waitingMemory.used, 0);
    assert.ok(this.#acknowledged.size > 20, "the run did something");
  }

  #step(): void {
    const dice = this.#random();
    if (dice < 0.35)
      this.#source.send(this.#anyQos, this.#random() < 0.8 ? "t" : `own${this.#dice(this.#kept.length)}`);
    else if (dice < 0.7) this.#answer();
    else if (dice < 0.82) this.#settle();
    else if (dice < 0.88) this.#leave();
    else if (dice < 0.96) this.#come();
    // The disk is full for a moment: what is not stored is taken back, and its publishers are told.
    else if (dice < 0.98) this.#hub.store.withdraw();
    else this.#crash();
    this.#readAll();
  }

  #answer(): void {
    const worker = this.#workers()[this.#dice(this.#workers().length)];
    if (worker === undefined) return;
    worker.answer(this.#dice(Math.min(worker.owed.length, 6)));
    if (this.#random() < 0.5) worker.complete();
  }

  #leave(): void {
    const i = this.#dice(this.#kept.length + 1);
    const worker = this.#kept[i];
    if (worker !== undefined && worker !== null) {
      worker.peer.drop();
      this.#kept[i] = null;
      return;
    }
    for (const [clientId, clean] of this.#clean) {
      if (this.#random() < 0.5) clean.unsubscribe(SHARE);
      this.#readOne(clean);
      if (this.#random() < 0.5) {
        clean.peer.drop();
        this.#clean.delete(clientId);
      }
    }
  }

  #come(): void {
    const i = this.#dice(this.#kept.length + 1);
    if (i < this.#kept.length) {
      // Also while it is connected: it takes itself over.
      this.#connectKept(i);
    } else if (this.#qos !== 2) {
      const clientId = `clean${this.#dice(3)}`;
      const worker = new Worker(this.#hub, { clientId, receiveMaximum: 1 + this.#dice(5) });
      worker.subscribe(SHARE, 1);
      this.#clean.set(clientId, worker);
    }
  }

  #connectKept(i: number): void {
    const old = this.#kept[i];
    if (old !== undefined && old !== null) this.#readOne(old);
    const fields = { clientId: `kept${i}`, kept: true, receiveMaximum: 1 + this.#dice(8) };
    const worker = new Worker(this.#hub, fields, this.#before[i]);
    this.#kept[i] = worker;
    this.#before[i] = worker;
  }

  #settle(): void {
    this.#hub.store.commit();
    if (this.#random() < 0.8) this.#hub.settle();
    for (const packetId of this.#source.acknowledged()) this.#acknowledged.add(`m${packetId - 1}`);
  }

  #crash(): void {
    this.#hub = new Hub(undefined, undefined, this.#hub.store.crash());
    this.#source = new Source(this.#hub, this.#source.next);
    this.#kept.fill(null);
    this.#clean.clear();
  }

  #workers(): Worker[] {
    return [...this.#kept.filter((worker) => worker !== null), ...this.#clean.values()];
  }

  #readAll(): void {
    for (const worker of this.#workers()) this.#readOne(worker);
  }

  #readOne(worker: Worker): void {
    for (const payload of worker.read()) this.#times.set(payload, (this.#times.get(payload) ?? 0) + 1);
  }

  #drain(worker: Worker): void {
    for (let idle = 0; idle < 4; ) {
      this.#settle();
      this.#readAll();
      idle = worker.owed.length + worker.releases.length > 0 ? 0 : idle + 1;
      while (worker.owed.length > 0) worker.answer();
      worker.complete();
    }
  }
}
