/**
 * The uplinks that run, and what a reload makes of them. Their room is loaded with the first one.
 *
 *     added     a receiver at once, in the turn in which the reload takes hold; connects when the others are done
 *     changed   says goodbye, then gives its place in the router and in the store to a new one within one turn: between
 *               the two nothing is published, so nothing is acknowledged that the new one does not have
 *     removed   says goodbye, then leaves router and store; what waited for it is given up, counted and told
 *     the same  is not touched
 *
 * What is changed is made anew as a restart would make it, from the same rows: one way that is tested by crashes, instead
 * of a second one that changes parts of it while they run.
 */
import type { NamesUnder } from "../base/counters.ts";
import type { UplinkConfig } from "../config/uplinks.ts";
import { toldMax } from "../core/sys-topics.ts";
import { SERVER_KINDS, uplinkOfRecord } from "../uplink/link/server-records.ts";
import type { Uplink, UplinkParts } from "../uplink/uplink.ts";
import { changedKeys } from "./changed-keys.ts";
import { type GivenUp, giveUp, settled } from "./removal.ts";
import type { Ground, Rooms } from "./rooms.ts";
import { type Contents, changedFiles, contentsOf } from "./uplink-files.ts";
import { addUplinkValues, removeUplinkValues } from "./uplink-values.ts";

/** What waits for the link, and what is gathered before it does. */
const REMOVABLE = { word: "uplink", kinds: ["uplink", "aggregate"], nameOf: uplinkOf } as const;

interface Entry {
  config: UplinkConfig;
  contents: Contents;
  uplink: Uplink;
}

/** What a reload would do; nothing of it is done yet. */
export interface UplinkChanges {
  readonly next: readonly { config: UplinkConfig; contents: Contents; entry: Entry | null; what: readonly string[] }[];
  readonly removed: readonly Entry[];
}

type Make = (config: UplinkConfig) => Uplink;

export class Uplinks {
  readonly #ground: Ground;
  readonly #rooms: Rooms;
  #entries: readonly Entry[] = [];
  #make: Make | null = null;

  constructor(ground: Ground, rooms: Rooms) {
    this.#ground = ground;
    this.#rooms = rooms;
  }

  /** In the order of the configuration. */
  get all(): readonly Uplink[] {
    return this.#entries.map(({ uplink }) => uplink);
  }

  /** Starts those of the configuration; gives up the spools of those that it does not have any more. */
  async start(): Promise<void> {
    const { uplinks } = this.#ground.config;
    this.#giveUpOthers((name) => uplinks.some((uplink) => uplink.name === name));
    await this.apply(await this.prepare(uplinks));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#entries.map(({ uplink }) => uplink.stop()));
  }

  // ---- changes -----------------------------------------------------------------------------------------------

  /** Loads what `next` needs and compares it with what runs. @throws when a part cannot be loaded */
  async prepare(next: readonly UplinkConfig[]): Promise<UplinkChanges> {
    if (next.length > 0) this.#make = await this.#load(next);
    const before = new Map(this.#entries.map((entry) => [entry.config.name, entry]));
    const removed = this.#entries.filter(({ config }) => !next.some(({ name }) => name === config.name));
    return {
      removed,
      next: next.map((config) => {
        const entry = before.get(config.name) ?? null;
        const contents = contentsOf(config);
        return { config, contents, entry, what: entry === null ? [] : differences(entry, config, contents) };
      }),
    };
  }

  /**
   * Puts it to use. Those that are added are receivers when this returns, before what it returns is resolved.
   * @returns what was done, in words
   */
  async apply({ next, removed }: UplinkChanges): Promise<string[]> {
    const { sys } = this.#rooms;
    const done: string[] = [];
    const changed: Entry[] = [];
    const added: Entry[] = [];
    const entries: Entry[] = [];
    if (sys !== null) sys.toldMax += toldMax(next.length) - toldMax(this.#entries.length);
    for (const { config, contents, entry, what } of next) {
      if (entry === null) {
        const made = { config, contents, uplink: this.#made(config) };
        added.push(made);
        entries.push(made);
        done.push(`uplink ${config.name}: added`);
        continue;
      }
      entry.contents = contents;
      entries.push(entry);
      if (what.length === 0) continue;
      entry.config = config;
      changed.push(entry);
      done.push(`uplink ${config.name}: ${what.join(", ")} changed`);
    }
    // Those that go are listed until they are gone.
    this.#entries = [...entries, ...removed];
    const gone = await Promise.all([
      ...removed.map((entry) => this.#remove(entry)),
      ...changed.map((entry) => this.#replace(entry)),
    ]);
    this.#entries = entries;
    // Only now: one may have the client id that another had before.
    for (const { uplink } of [...changed, ...added]) uplink.start();
    return [...done, ...gone.filter((words) => words !== "")];
  }

  /** Gives the place of the entry's uplink to one of its new configuration. */
  async #replace(entry: Entry): Promise<string> {
    const { counters } = this.#ground;
    await entry.uplink.stop();
    await settled(this.#rooms);
    // One turn: nothing is published in between.
    entry.uplink.leave();
    counters.removeGauges(this.#own(entry.config.name));
    entry.uplink = this.#made(entry.config);
    return "";
  }

  async #remove({ config: { name }, uplink }: Entry): Promise<string> {
    await uplink.stop();
    uplink.leave();
    const { messages } = this.#giveUpOthers((other) => other !== name);
    const { counters } = this.#ground;
    const own = this.#own(name);
    if (this.#rooms.sys !== null) removeUplinkValues(this.#rooms.sys, name, own);
    counters.remove(own);
    for (const { label } of uplink.spool.queues()) this.#rooms.ledger.unwatch(label);
    return `uplink ${name}: removed${messages === 0 ? "" : `, ${messages} messages that waited for it were given up`}`;
  }

  #made(config: UplinkConfig): Uplink {
    const uplink = (this.#make as Make)(config);
    if (this.#rooms.sys !== null) addUplinkValues(this.#rooms.sys, uplink, this.#rooms.queueHost);
    return uplink;
  }

  /** Deletes what the store has of uplinks for which `keep` says no. */
  #giveUpOthers(keep: (uplink: string) => boolean): GivenUp {
    const { store } = this.#rooms;
    for (const kind of SERVER_KINDS) store.deleteOthers(kind, (record) => keep(uplinkOfRecord(record)));
    return giveUp(this.#rooms, this.#ground, REMOVABLE, keep);
  }

  /** The counters of uplink `name`: another uplink's name may begin with its name and a dot. */
  #own(name: string): NamesUnder {
    const others = this.#entries.map(({ config }) => config.name).filter((other) => other.startsWith(`${name}.`));
    return { under: `uplink.${name}.`, except: others.map((other) => `uplink.${other}.`) };
  }

  async #load(next: readonly UplinkConfig[]): Promise<Make> {
    const rooms = await import("./uplink-rooms.ts");
    const { Uplink, isMetered, createDial, network } = rooms;
    const { Metered } = next.some(isMetered) ? await import("../uplink/metering/metered.ts") : { Metered: null };
    const { wheel, queueHost, router, transport, store, registry } = this.#rooms;
    const host = { ...queueHost, ringMemory: registry.ringMemory };
    const { uses } = store;
    const { config, clock, counters, log } = this.#ground;
    const gathers = next.some((uplink) => rooms.hasAggregation(uplink, store));
    const { Aggregation } = gathers ? await import("../uplink/aggregate/aggregation.ts") : { Aggregation: null };
    // What runs may have something in flight by the time it is replaced.
    const running = this.#entries.map((entry) => entry.config);
    const unordered = [...running, ...next].some((uplink) => rooms.needsAnyOrder(uplink, store));
    const { AnyOrderQueue } = unordered ? await import("../core/any-order-queue.ts") : { AnyOrderQueue: null };
    const cbor = next.some(rooms.writesCbor) ? (await import("../wire/senml/cbor.ts")).encodeSenmlCbor : null;
    const { node, limits, memoryLimitBytes } = config;
    const isClockSet = (): boolean => clock.scale.state === "set";
    const dial = createDial(transport);
    const common = { wheel, counters, log, random: Math.random, isClockSet, network, uses };
    const loaded = { Metered, Aggregation, AnyOrderQueue, cbor };
    const parts: UplinkParts = { ...common, ...loaded, host, router, dial, node, limits, memoryLimitBytes };
    return (uplink) => new Uplink(uplink, parts);
  }
}

/** Receivers of one uplink have its name, or its name with something after a #. */
function uplinkOf(receiver: string): string {
  return receiver.split("#")[0] as string;
}

/** Keys of the configuration, and of the files it names, that are not what they were. */
function differences(entry: Entry, config: UplinkConfig, contents: Contents): string[] {
  const files = changedFiles(entry.contents, contents).map((key) => `the contents of ${key}`);
  return [...changedKeys(entry.config, config, { urls: "url" }), ...files];
}
