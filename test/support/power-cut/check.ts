/**
 * Opens what a power cut has left, as the product starts, lets all clients come back, and compares with what they
 * know. Three acts: receivers fetch what waits for them; publishers send again what was not answered; packet ids are
 * used again.
 */
import fs from "node:fs";
import path from "node:path";
import Database from "better-sqlite3";
import { SystemClock } from "../../../src/base/clock.ts";
import { WorldClient } from "./client.ts";
import { type Core, startCore } from "./core.ts";
import { gatheredIn } from "./gatherer.ts";
import { PUBLISHERS } from "./habits.ts";
import type { World } from "./world.ts";

/** Sparse: a start then does not write them. */
const RESERVES = ["sluice.reserve", "sluice.reserve-start"];
const RESERVE_BYTES = 64 * 1024 * 1024;
/** For each act, on a machine that has other things to do as well. */
const QUIET_MS_MAX = 10_000;

export interface Examination {
  readonly payloadBytes: number;
  /** Goes through all acts, not the first alone. */
  readonly deep: boolean;
}

/** @param world what the clients know; is changed  @returns what is wrong, or null */
export async function examine(
  dir: string,
  files: ReadonlyMap<string, Buffer>,
  world: World,
  { payloadBytes, deep }: Examination,
): Promise<string | null> {
  layOut(dir, files);
  let core: Core;
  try {
    core = await startCore(dir, new SystemClock(), { sync: "full", commitDelayMs: 0 });
  } catch (error) {
    return `does not start: ${String(error)}`;
  }
  let problem: string | null;
  try {
    problem = await new Visit(core, world, payloadBytes).run(deep);
  } finally {
    await core.stop();
  }
  if (problem !== null) return problem;
  const db = new Database(path.join(dir, "sluice.db"));
  const answer = db.pragma("integrity_check(1)", { simple: true });
  db.close();
  return answer === "ok" ? null : `corrupt: ${answer}`;
}

export function layOut(dir: string, files: ReadonlyMap<string, Buffer>): void {
  fs.rmSync(dir, { recursive: true, force: true });
  fs.mkdirSync(dir, { mode: 0o700 });
  for (const [name, data] of files) fs.writeFileSync(path.join(dir, name), data);
  for (const name of RESERVES) {
    fs.writeFileSync(path.join(dir, name), "");
    fs.truncateSync(path.join(dir, name), RESERVE_BYTES);
  }
}

class Visit {
  readonly #core: Core;
  readonly #world: World;
  readonly #violations: string[] = [];
  readonly #clients: WorldClient[];

  constructor(core: Core, world: World, payloadBytes: number) {
    this.#core = core;
    this.#world = world;
    const say = (line: string): void => world.apply(line);
    this.#clients = [...world.clients.keys()].map(
      (name) => new WorldClient(name, world, payloadBytes, say, this.#violations),
    );
  }

  async run(deep: boolean): Promise<string | null> {
    const { counters, store } = this.#core;
    if (counters.get("store.moved_aside") > 0) return "corrupt: moved aside";
    if (store.health !== "ok") return `does not start: ${store.status().reason}`;
    const problem = this.#wrongAtStart() ?? (await this.#receivers());
    if (problem !== null || !deep) return problem ?? this.#violations[0] ?? null;
    const later = (await this.#publishers()) ?? (await this.#idsAgain());
    if (later !== null) return later;
    return store.health === "ok" ? (this.#violations[0] ?? null) : store.status().reason;
  }

  /** Sessions, subscriptions, counts and retained values, before anybody comes. */
  #wrongAtStart(): string | null {
    const { registry, store, retained } = this.#core;
    const sessions = new Map([...registry.sessions()].map((session) => [session.clientId, session]));
    for (const [name, { sure, filters }] of this.#world.clients) {
      if (!sure) continue;
      const session = sessions.get(name);
      if (session === undefined) return `the session of ${name} is gone`;
      for (const [filter, { qos, state }] of filters) {
        const stored = session.subscriptions.get(filter);
        if (state === "there" && stored === undefined) return `subscription of ${name} is gone: ${filter}`;
        if (state === "there" && ((stored?.options ?? 0) & 3) !== qos)
          return `subscription of ${name} is another: ${filter}`;
      }
      for (const filter of session.subscriptions.keys())
        if (!filters.has(filter)) return `subscription of ${name} is back: ${filter}`;
      const record = store.loadReceiver("session", name);
      const rows = record === null ? 0 : rowsFor(store, record.id, record.headSeq);
      if (record !== null && record.state.length === 0 && record.count !== rows)
        return `${record.count} counted for ${name}, ${rows} there`;
    }
    const gathered = this.#wronglyGathered();
    if (gathered !== null) return gathered;
    for (const [topic, values] of this.#world.retained) {
      const message = retained.get(topic);
      const payload = message?.payload.toString() ?? "";
      const k = payload === "" ? 0 : Number.parseInt(payload, 10);
      const possible = k === 0 ? values.some((value) => this.#world.empty.has(value)) : values.includes(k);
      if (!possible) return `retained value of ${topic} is ${k}, not one of ${values.join(" ")}`;
    }
    return null;
  }

  /** What a rule gathers is at the cloud, or in the store: as it came, or in a batch. */
  #wronglyGathered(): string | null {
    const { gathered, atCloud, resent } = this.#world;
    const numbers = gatheredIn(this.#core);
    const there = new Set(numbers);
    for (const k of gathered) if (!there.has(k) && !atCloud.has(k)) return `lost: ${k} for the cloud was acknowledged`;
    const once = numbers.filter((k) => !resent.has(k));
    return new Set(once).size < once.length ? "twice: a message is in a batch and beside it" : null;
  }

  async #receivers(): Promise<string | null> {
    const { clients, resent } = this.#world;
    for (const client of this.#clients) if (!PUBLISHERS.includes(client.name)) client.connect(this.#core.mqtt);
    await this.#quiet();
    for (const { name, arrived } of this.#clients) {
      const state = clients.get(name);
      if (state === undefined || !state.sure) continue;
      for (const [k, { told }] of state.owed) {
        if (told) return `lost: ${k} for ${name} was acknowledged`;
        const later = arrived.find((other) => other > k && !resent.has(other));
        if (!resent.has(k) && later !== undefined) return `gap: ${name} got ${later} and not ${k}`;
      }
      const inOrder = arrived.filter((k) => !resent.has(k));
      for (const [i, k] of inOrder.entries()) {
        if (i > 0 && k <= (inOrder[i - 1] ?? 0)) return `order: ${name} got ${k} after ${inOrder[i - 1]}`;
        if (k < state.firstK) return `back: ${name} got ${k} of a session that it had ended`;
      }
    }
    return this.#violations[0] ?? null;
  }

  async #publishers(): Promise<string | null> {
    for (const client of this.#clients) if (client.link === null) client.connect(this.#core.mqtt);
    await this.#quiet();
    return this.#stillOwed("after everything was sent again");
  }

  /** [MQTT5-4.3.3-13]: ids whose exchange was over are free; a gateway that remembers one takes the next message for a copy. */
  async #idsAgain(): Promise<string | null> {
    for (const client of this.#clients) {
      if (!PUBLISHERS.includes(client.name) || !client.state.sure) continue;
      client.startFrom(client.state.over[0] ?? 0);
      for (let n = 0; n < client.state.over.length; n++) client.publish(`m/${client.name}/0`, 2, false, false);
    }
    await this.#quiet();
    return this.#stillOwed("with a packet id used before");
  }

  #stillOwed(when: string): string | null {
    for (const { name, state } of this.#clients) {
      if (state.outgoing.size > 0) return `no answer for ${[...state.outgoing.values()][0]?.k} of ${name} ${when}`;
      const [k] = state.owed.keys();
      if (state.sure && k !== undefined) return `lost: ${k} for ${name} ${when}`;
    }
    return this.#violations[0] ?? null;
  }

  /** Everybody answers everything until nothing more comes: the store has all, and nobody has anything to say. */
  async #quiet(): Promise<void> {
    const { store } = this.#core;
    let stored = false;
    const waiter = {
      onStored: () => {
        stored = true;
      },
    };
    const untilMs = performance.now() + QUIET_MS_MAX;
    for (let still = 0; still < 2 && performance.now() < untilMs; ) {
      let moved = false;
      for (const client of this.#clients) {
        moved = client.receive() || moved;
        client.acknowledge(Number.POSITIVE_INFINITY);
      }
      still = moved ? 0 : still + 1;
      stored = moved;
      if (!moved) store.barrier(waiter, 0);
      do await new Promise((resolve) => setImmediate(resolve));
      while (!stored && performance.now() < untilMs);
    }
  }
}

function rowsFor(store: Core["store"], id: number, from: number): number {
  let rows = 0;
  const onBacklog = (): boolean => rows++ >= 0;
  for (let at = from; at <= store.lastSeq; ) at = store.read(id, at, 1 << 20, { onBacklog });
  return rows;
}
