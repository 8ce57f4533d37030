/**
 * The composition root's face: starts the rooms, opens the doors, closes them in order, and answers how things stand.
 */
import { SystemClock } from "../base/clock.ts";
import { Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import { addressText } from "../config/bind.ts";
import { fits, totalBytes } from "../config/budget.ts";
import { ConfigurationError } from "../config/complaint.ts";
import type { Config } from "../config/config.ts";
import type { ListenerConfig } from "../config/listeners.ts";
import { bytesText } from "../config/units.ts";
import type { BackupProgress } from "../store/backup.ts";
import type { StoreReport } from "../store/inspect.ts";
import { type Listener, ListenerUnavailable } from "../transport/listener.ts";
import { memoryBill } from "./bill.ts";
import type { BoundListener } from "./bound-listener.ts";
import { AutoCommitDelay, type Awaited } from "./commit-delay.ts";
import { SerialLines } from "./lines.ts";
import { openListener } from "./listeners.ts";
import { buildRooms, type Embedding, type Ground, type Rooms, readAuthorityFiles } from "./rooms.ts";
import { Uplinks } from "./uplinks.ts";

/** What a reload did. */
export interface ReloadReport {
  readonly applied: readonly string[];
  /** Keys that changed and hold only after a restart. */
  readonly restartRequired: readonly string[];
}

/** Sections of the configuration that `reload` does not take over. */
const RESTART_KEYS = [
  "node",
  "dataDir",
  "memoryLimitBytes",
  "listeners",
  "store",
  "durability",
  "limits",
  "responseInformation",
  "sysIntervalMs",
] as const satisfies readonly (keyof Config)[];

export class Gateway {
  readonly counters = new Counters();
  readonly #log: Log;
  readonly #clock = new SystemClock();
  readonly #startedMs = this.#clock.nowMs();
  readonly #embedding: Embedding | null;
  #config: Config;
  #rooms: Rooms | null = null;
  #listeners: { config: ListenerConfig; listener: Listener }[] = [];
  /** Those that this build or machine has not what it takes for, with the reason. */
  #refused: { type: string; address: string; refused: string }[] = [];
  #lines: SerialLines | null = null;
  #uplinks: Uplinks | null = null;
  /** How to end what was started, in order of starting. */
  #stops: (() => void | Promise<void>)[] = [];

  /** @param embedding of a program that is more than the gateway; null = none */
  constructor(config: Config, log: Log, embedding: Embedding | null = null) {
    this.#config = config;
    this.#log = log;
    this.#embedding = embedding;
  }

  /**
   * Opens store, uplinks, serial lines and listeners.
   * @returns the listeners as bound
   * @throws the error of the first part that could not start, in words; what had started is stopped again
   */
  async start(): Promise<readonly BoundListener[]> {
    try {
      const ground: Ground = {
        config: this.#config,
        log: this.#log,
        clock: this.#clock,
        counters: this.counters,
        stops: this.#stops,
      };
      const delay = new AutoCommitDelay(this.#clock, () => this.#durableQueues());
      const rooms = await buildRooms(ground, () => delay.ms(), this.#embedding?.hooks ?? null);
      this.#rooms = rooms;
      this.#embedding?.onRooms(rooms);
      // Before any listener: what a client publishes is acknowledged only if all that have to keep it are there.
      const lines = new SerialLines(ground, rooms);
      this.#lines = lines;
      this.#stops.push(() => lines.stop());
      await lines.start();
      const uplinks = new Uplinks(ground, rooms);
      this.#uplinks = uplinks;
      this.#stops.push(() => uplinks.stop());
      await uplinks.start();
      rooms.wheel.start();
      rooms.registry.resumeWills();
      for (const [index, config] of this.#config.listeners.entries()) {
        const listener = await this.#open(ground, rooms, index, config);
        if (listener !== null) this.#listeners.push({ config, listener });
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
    return this.#listeners.map(({ listener: { type, name, address } }) => ({ type, name, address }));
  }

  /** @returns null when this build or machine lacks what the listener is made with: it is refused, the others run */
  async #open(ground: Ground, rooms: Rooms, index: number, config: ListenerConfig): Promise<Listener | null> {
    try {
      return await openListener(ground, rooms, index, config);
    } catch (error) {
      if (!(error instanceof ListenerUnavailable)) throw error;
      this.#log.error("listener-refused", { reason: error.message });
      const { type, host, port } = config;
      this.#refused.push({ type, address: addressText(host, port), refused: error.message });
      return null;
    }
  }

  /** Of every durable receiver. */
  *#durableQueues(): Generator<Awaited> {
    if (this.#rooms !== null) yield* this.#rooms.registry.durableQueues();
    yield* this.#lines?.queues ?? [];
    for (const { spool } of this.#uplinks?.all ?? []) if (spool.durable) yield* spool.queues();
  }

  /** Stops accepting, says goodbye, writes what is open, closes the store. */
  async stop(): Promise<void> {
    for (const { listener } of this.#listeners) await listener.close();
    this.#listeners = [];
    this.#refused = [];
    const stops = this.#stops.reverse();
    this.#stops = [];
    for (const stop of stops) await stop();
    this.#rooms = null;
  }

  /**
   * Takes over what can change while running: serial lines, uplinks, log level, passwords and ACL, certificates. The rest
   * is compared and named. Lines and uplinks that are added are receivers before this resolves; those that go are gone.
   * @throws when something is unreadable, wrong or too large; then all stays as it was
   */
  async reload(next: Config): Promise<ReloadReport> {
    const uplinks = this.#uplinks;
    const lines = this.#lines;
    const rooms = this.#rooms;
    if (rooms === null || lines === null || uplinks === null) throw new Error("the gateway is not running");
    const restartRequired: string[] = RESTART_KEYS.filter(
      (key) => JSON.stringify(this.#config[key]) !== JSON.stringify(next[key]),
    );
    if (this.#config.log.format !== next.log.format) restartRequired.push("log.format");
    const log = { ...this.#config.log, level: next.log.level };
    const config: Config = { ...this.#config, auth: next.auth, serial: next.serial, uplinks: next.uplinks, log };
    const applied: string[] = [];
    // All is judged before anything is put to use; the authority, which takes over all or nothing, is asked last.
    await checkBill(config);
    const lineChanges = await lines.prepare(config.serial);
    const uplinkChanges = await uplinks.prepare(config.uplinks);
    const swaps: (() => void)[] = [];
    for (const { config, listener } of this.#listeners) {
      const reread = listener.reread?.();
      if (reread !== undefined) {
        swaps.push(reread.apply);
        applied.push(`${listener.name}: ${reread.what}`);
      }
      if (config.tls === null || listener.reload === undefined) continue;
      swaps.push(listener.reload(config.tls));
      applied.push(`${listener.name}: certificates`);
    }
    const complaints = rooms.files.reload(readAuthorityFiles(next.auth));
    if (complaints.length > 0) throw new ConfigurationError(complaints);
    for (const swap of swaps) swap();
    rooms.sys?.forget();
    applied.push("auth: passwords and access list");
    if (this.#log.level !== log.level) applied.push(`log.level: ${log.level}`);
    this.#log.level = log.level;
    this.#config = config;
    applied.push(...(await lines.apply(lineChanges)), ...(await uplinks.apply(uplinkChanges)));
    return { applied, restartRequired };
  }

  /** Whether the store stores nothing any more, and only a restart helps. */
  get storeFailed(): boolean {
    return this.#rooms?.store.health === "failed";
  }

  /**
   * Copies the store while all goes on. @param wanted asked now and then: false = break it off
   * @returns bytes of the copy  @throws Error in words
   */
  async backup(target: string, onProgress: (progress: BackupProgress) => void, wanted: () => boolean): Promise<number> {
    const startedMs = performance.now();
    try {
      const bytes = await this.#storeOpen().backups.run(target, onProgress, wanted);
      this.#log.info("backup-made", { path: target, bytes, ms: Math.round(performance.now() - startedMs) });
      return bytes;
    } catch (error) {
      this.#log.warn("backup-failed", { path: target, reason: (error as Error).message });
      throw error;
    }
  }

  /** What can be said of the store while it is in use. */
  checkStore(): Promise<StoreReport> {
    return this.#storeOpen().inspect();
  }

  #storeOpen(): Rooms["store"] {
    if (this.#rooms === null) throw new Error("the gateway is not running");
    return this.#rooms.store;
  }

  /** How things stand, as plain JSON. @param drops with the last messages lost, and why */
  status(drops = false): Record<string, unknown> {
    const rooms = this.#rooms;
    const memory = process.memoryUsage();
    return {
      node: this.#config.node,
      pid: process.pid,
      uptimeSeconds: Math.floor((this.#clock.nowMs() - this.#startedMs) / 1000),
      memory: { rssBytes: memory.rss, heapUsedBytes: memory.heapUsed },
      listeners: [...this.#listeners.map(({ listener: { type, address } }) => ({ type, address })), ...this.#refused],
      sessions: {
        count: rooms?.registry.count ?? 0,
        connected: rooms?.registry.connectedCount ?? 0,
        connectedMax: rooms?.registry.connectedMax ?? 0,
      },
      subscriptions: rooms?.router.subscriptionCount ?? 0,
      retained: { messages: rooms?.retained.count ?? 0, bytes: rooms?.retained.bytes ?? 0 },
      store: rooms?.store.status() ?? null,
      clock: rooms?.store.ages.status() ?? null,
      serial: this.#lines?.status() ?? [],
      uplinks: (this.#uplinks?.all ?? []).map((uplink) => uplink.status()),
      counters: Object.fromEntries(this.counters.entries()),
      ...(drops ? { drops: rooms?.ledger.entries() ?? [], dropsByReceiver: rooms?.ledger.byReceiver() ?? [] } : {}),
    };
  }
}

/** @throws ConfigurationError when what it may take does not fit */
async function checkBill(config: Config): Promise<void> {
  const lines = await memoryBill(config);
  const { memoryLimitBytes } = config;
  if (fits(lines, memoryLimitBytes)) return;
  const problem = `${bytesText(totalBytes(lines))} may be taken, and memory_limit is ${bytesText(memoryLimitBytes)}`;
  const advice = "lower limits; `sluice check` has a line per owner. Another memory_limit holds after a restart";
  throw new ConfigurationError([{ file: null, path: "memory_limit", line: 0, problem, advice }]);
}
