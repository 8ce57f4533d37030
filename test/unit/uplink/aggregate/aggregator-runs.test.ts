// Random runs of rules that gather: publishes of all kinds, commits, syncs, full disks, crashes, clocks. Whatever happens,
// each reading that a publisher was told is stored comes out exactly once, in order with its topic.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import type { ForwardRule } from "../../../../src/config/uplink-rules.ts";
import { forward, UplinkWorld } from "../uplink-world.ts";

const LONG = process.env.SLUICE_LONG;
const RUNS = LONG === undefined ? 60 : 1000;
const SEED = Number(LONG ?? 1);
const TOPICS = ["s/a", "s/b", "s/c", "s/d"];

const BATCH = { maxMessages: 4, maxBytes: 300, maxDelayMs: 5_000, format: "lines", compress: "none" } as const;
const COUNT = { windowMs: 3_000, fields: null, emit: ["last", "count"] } as const;

const RULES: Record<string, Partial<ForwardRule>> = {
  batch: { batch: BATCH },
  "batch of all topics together": { to: "all", batch: { ...BATCH, maxMessages: 7 } },
  "compressed batch": { batch: { ...BATCH, compress: "gzip" } },
  reduce: { reduce: COUNT },
  "reduce and batch": { reduce: COUNT, batch: BATCH },
  "on_change that lets all pass": { onChange: { deadband: 0.5, maxSilenceMs: null, fields: null } },
  "on_change and batch": { onChange: { deadband: 0.5, maxSilenceMs: null, fields: null }, batch: BATCH },
};

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Published {
  readonly number: number;
  readonly topic: string;
  readonly token: number;
}

class Run {
  readonly random: () => number;
  world: UplinkWorld;
  readonly published: Published[] = [];
  /** Numbers that their publishers know to be stored. */
  readonly stored = new Set<number>();
  #next = 1;
  readonly #told = new Map<UplinkWorld, Map<number, number>>();

  constructor(seed: number, rule: Partial<ForwardRule>) {
    this.random = seededRandom(seed);
    this.world = new UplinkWorld({ forward: [forward("s/#", rule)], window: 64 });
  }

  pick(count: number): number {
    return Math.floor(this.random() * count);
  }

  /** Numbers ascend, so that each is one of its own: as a number, in an object, or as what is no reading. */
  publish(): void {
    const number = this.#next++;
    const topic = TOPICS[this.pick(TOPICS.length)] as string;
    const kind = this.pick(8);
    const payload = kind === 0 ? `text ${number}` : kind < 4 ? `{"n":${number}}` : `${number}`;
    const token = this.world.publish(topic, payload);
    this.published.push({ number, topic, token });
    const tokens = this.#told.get(this.world) ?? new Map<number, number>();
    this.#told.set(this.world, tokens.set(token, number));
  }

  note(): void {
    for (const [token, reason] of this.world.told.splice(0)) {
      const number = this.#told.get(this.world)?.get(token);
      if (reason === 0 && number !== undefined) this.stored.add(number);
    }
  }

  async step(): Promise<void> {
    const { world } = this;
    const { store, server } = world;
    switch (this.pick(14)) {
      case 0:
        store.commit();
        break;
      case 1:
        store.sync();
        break;
      case 2:
        world.persist();
        break;
      case 3:
        server.advance(this.pick(2000));
        break;
      case 4:
        if (this.random() < 0.3) store.withdraw();
        break;
      case 5:
        store.refusal = this.random() < 0.2 ? 0x97 : 0;
        break;
      case 6:
        if (this.random() < 0.5) {
          this.note();
          this.world = world.crash();
        }
        break;
      case 7:
      case 8:
        await turn();
        break;
      default:
        if (store.refusal === 0) this.publish();
    }
    this.note();
  }

  get held(): number {
    return this.world.uplink.status().aggregates[0]?.messages ?? 0;
  }

  /** Everything that is due goes out. @returns packets in order */
  async drain(): Promise<{ topic: string; payload: Buffer }[]> {
    const { world } = this;
    world.store.refusal = 0;
    for (let i = 0; i < 40; i++) {
      await turn();
      world.server.advance(500);
      world.persist();
    }
    // What is being compressed is ready when libuv's pool says so.
    for (let i = 0; i < 2000 && this.held > 0; i++) {
      await turn();
      if (i % 16 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      world.persist();
    }
    world.persist();
    this.note();
    const { id } = world.uplink.spool;
    const waiting = world.store.rows.filter(({ receivers }) => receivers.some((receiver) => receiver.id === id));
    const rows = waiting.map(({ message }) => ({ topic: message.topic, payload: message.payload }));
    assert.equal(this.held, 0, "nothing is held any more");
    return rows;
  }
}

/** The numbers in a payload; what a line of figures stands for is told by its count and last. */
function numbersOf(payload: string): { last: number; count: number }[] {
  return payload
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      if (line.startsWith("text ")) return { last: Number(line.slice(5)), count: 1 };
      const value = JSON.parse(line) as
        | number
        | { n?: number; count?: number; last?: number; fields?: { n: { last: number; count: number } } };
      if (typeof value === "number") return { last: value, count: 1 };
      if (value.n !== undefined) return { last: value.n, count: 1 };
      // A window may have had numbers and objects.
      const [bare, named] = [value.count ?? 0, value.fields?.n.count ?? 0];
      return { last: Math.max(value.last ?? 0, value.fields?.n.last ?? 0), count: bare + named };
    });
}

for (const [name, rule] of Object.entries(RULES)) {
  test(`${name}: what is acknowledged comes out once and in order, over crashes and full disks`, async () => {
    const { gunzipSync } = await import("node:zlib");
    for (let i = 0; i < RUNS; i++) {
      const seed = SEED * 10_000 + i;
      const run = new Run(seed, rule);
      const steps = 20 + run.pick(150);
      for (let n = 0; n < steps; n++) await run.step();
      const rows = await run.drain();
      const lasts = new Map<string, number>();
      let count = 0;
      const seen = new Set<number>();
      for (const { topic, payload } of rows) {
        const text = payload[0] === 0x1f && payload[1] === 0x8b ? gunzipSync(payload).toString() : payload.toString();
        for (const entry of numbersOf(text)) {
          assert(!seen.has(entry.last), `seed ${seed}: ${entry.last} came twice`);
          assert(entry.last > (lasts.get(topic) ?? 0), `seed ${seed}: ${entry.last} came after ${lasts.get(topic)}`);
          lasts.set(topic, entry.last);
          seen.add(entry.last);
          count += entry.count;
        }
      }
      assert(count >= run.stored.size, `seed ${seed}: ${run.stored.size} were stored, ${count} came`);
      assert(count <= run.published.length, `seed ${seed}: ${run.published.length} were published, ${count} came`);
      if (rule.reduce !== undefined) continue;
      for (const number of run.stored) assert(seen.has(number), `seed ${seed}: ${number} was stored and did not come`);
    }
  });
}
