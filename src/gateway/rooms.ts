/** The rooms every gateway has, built from a configuration and joined to one another. */
import { readFileSync } from "node:fs";
import { Allowance } from "../base/allowance.ts";
import type { KeptClock } from "../base/clock.ts";
import type { Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import type { AuthConfig } from "../config/auth.ts";
import { ConfigurationError } from "../config/complaint.ts";
import type { Config } from "../config/config.ts";
import type { DurabilityRule } from "../config/durability.ts";
import { SYNC_MODES, type SyncMode } from "../config/store.ts";
import { type AuthorityFiles, FileAuthority } from "../core/authority.ts";
import { cuttingShared } from "../core/cutting.ts";
import { HookAuthority } from "../core/hook-authority.ts";
import { HookCalls, type Hooks } from "../core/hooks.ts";
import { Ledger } from "../core/ledger.ts";
import { LedgerKeeper } from "../core/ledger-keeper.ts";
import type { QueueHost } from "../core/outlet.ts";
import type { Authority, Durability } from "../core/ports.ts";
import type { QueueLimits } from "../core/queue-limits.ts";
import { Retained } from "../core/retained.ts";
import { Router } from "../core/router.ts";
import { SessionRegistry } from "../core/session-registry.ts";
import { SysTopics, toldMax } from "../core/sys-topics.ts";
import { filterMatches } from "../core/topic.ts";
import { Turns } from "../core/turns.ts";
import { waitingBytesOf } from "../core/waiting.ts";
import { MqttServer } from "../protocol/mqtt/server.ts";
import { pendingBytesOf } from "../store/options.ts";
import { openStoreOrStandIn } from "../store/stand-in.ts";
import type { SqliteStore } from "../store/store.ts";
import { Transport } from "../transport/transport.ts";
import { addSysValues } from "./sys-values.ts";

/** What a gateway's parts share, and the order in which they end. */
export interface Ground {
  readonly config: Config;
  readonly log: Log;
  readonly clock: KeptClock;
  readonly counters: Counters;
  /** How to end what was started, in order of starting; the last one ends first. */
  readonly stops: (() => void | Promise<void>)[];
}

/** What a program that embeds the gateway adds to it. */
export interface Embedding {
  readonly hooks: Hooks;
  /** The rooms are built, no listener is open yet. */
  onRooms(rooms: Rooms): void;
}

export interface Rooms {
  readonly store: SqliteStore;
  readonly wheel: TimerWheel;
  readonly authority: Authority;
  readonly hookCalls: HookCalls;
  /** The configuration's part of it. */
  readonly files: FileAuthority;
  readonly ledger: Ledger;
  readonly queueHost: QueueHost;
  readonly retained: Retained;
  readonly router: Router;
  readonly registry: SessionRegistry;
  readonly transport: Transport;
  readonly mqtt: MqttServer;
  /** null = `sys_interval: off`. */
  readonly sys: SysTopics | null;
}

/** Bytes of a receiver's messages that wait in memory before the log takes over. */
const WINDOW_BYTES = 32 * 1024;

/**
 * @param commitDelayMs `commit_delay: auto`, asked before each group
 * @param hooks         null = the configuration decides everything
 * @throws ConfigurationError, or the store's error in words; what had started is in `ground.stops`
 */
export async function buildRooms(ground: Ground, commitDelayMs: () => number, hooks: Hooks | null): Promise<Rooms> {
  const { config, log, clock, counters, stops } = ground;
  const { limits, memoryLimitBytes } = config;
  const wheel = new TimerWheel(clock);
  counters.gauge("timers.armed", () => wheel.armed);
  const files = new FileAuthority(counters);
  const complaints = files.reload(readAuthorityFiles(config.auth));
  if (complaints.length > 0) throw new ConfigurationError(complaints);
  const hookCalls = new HookCalls(counters, log);
  const authority = hooks === null ? files : new HookAuthority(files, hooks, hookCalls);
  const gate = hooks?.onPublish === undefined ? null : hookCalls.publishGate(hooks.onPublish);
  const store = await openStoreOrStandIn({
    dataDir: config.dataDir,
    config: config.store,
    clock,
    log,
    counters,
    autoCommitDelayMs: commitDelayMs,
    syncHighest: highestSync(config),
    pendingBytesMax: pendingBytesOf(memoryLimitBytes),
  });
  stops.push(() => store.close());
  stops.push(() => wheel.stop());
  const turns = new Turns(counters);
  const ledger = new Ledger(counters);
  const keeper = new LedgerKeeper(ledger, store, wheel, clock, counters);
  stops.push(() => keeper.close());
  const waitingMemory = new Allowance(waitingBytesOf(memoryLimitBytes));
  counters.gauge("queue.waiting_bytes", () => waitingMemory.used);
  const cuts = cuttingShared(wheel, clock, counters, memoryLimitBytes);
  const queueHost: QueueHost = { store, time: clock, ledger, waitingMemory, cuts, schedule: turns.schedule };
  const retained = new Retained(store, clock, limits, counters);
  const durabilityOf = durabilityBy(config.durability);
  const router = new Router({ store, retained, authority, time: clock, ledger, counters, durabilityOf, gate });
  const registry = new SessionRegistry({
    ...queueHost,
    wheel,
    retained,
    authority,
    router,
    counters,
    log,
    limits,
    memoryLimitBytes,
    queueLimits: {
      ...queueLimitsOf(config),
      onlineMessages: Number.POSITIVE_INFINITY,
      onlineBytes: Math.max(limits.outputBytes, limits.sessionQueueBytes),
    },
  });
  store.ages.onAged = () => registry.onAged();
  const transport = new Transport(limits, { clock, wheel, counters, log });
  const { admission } = transport;
  const loginWaitMs = (): number => (admission.login() ? 0 : admission.loginWaitMs());
  const time = clock;
  const shared = { router, registry, authority, store, time, wheel, counters, log, limits, memoryLimitBytes };
  const mqtt = new MqttServer({ ...shared, loginWaitMs, responseInformation: config.responseInformation });
  stops.push(() => mqtt.stop());
  const rooms = {
    store,
    wheel,
    authority,
    hookCalls,
    files,
    ledger,
    queueHost,
    retained,
    router,
    registry,
    transport,
    mqtt,
  };
  return { ...rooms, sys: startSys(ground, rooms) };
}

/** `$SYS`, which the retained values then have beside their own. */
function startSys(ground: Ground, rooms: Omit<Rooms, "sys">): SysTopics | null {
  const { config, clock: time, counters } = ground;
  const { sysIntervalMs: intervalMs } = config;
  if (intervalMs === "off") return null;
  const { router, wheel, retained } = rooms;
  // Uplinks and Modbus lines add theirs.
  const sys = new SysTopics({ router, counters, time, wheel, intervalMs, toldMax: toldMax(0) });
  addSysValues(sys, ground, rooms);
  retained.computed = sys;
  sys.start();
  return sys;
}

/** What may wait for a receiver, there or not: `limits.session_queue_*`. */
export function queueLimitsOf({ limits }: Config): QueueLimits {
  return {
    messages: limits.sessionQueueMessages,
    bytes: limits.sessionQueueBytes,
    onlineMessages: limits.sessionQueueMessages,
    onlineBytes: limits.sessionQueueBytes,
    maxAgeMs: limits.sessionQueueAgeMs,
    whenFull: limits.sessionWhenFull,
    windowBytes: WINDOW_BYTES,
  };
}

/** @throws when a file cannot be read */
export function readAuthorityFiles({ anonymous, passwordFile, aclFile }: AuthConfig): AuthorityFiles {
  const read = (file: string | null) => (file === null ? null : { text: readFileSync(file, "utf8"), file });
  return { anonymous, passwords: read(passwordFile), acl: read(aclFile) };
}

/** The most careful of what the store and the rules for topics ask for. */
function highestSync({ store, durability }: Config): SyncMode {
  const all = [store.sync, ...durability.map(({ sync }) => sync)];
  return SYNC_MODES.find((mode) => all.includes(mode)) ?? store.sync;
}

/** The first rule that matches a topic says what it has instead of the store's settings. */
function durabilityBy(rules: readonly DurabilityRule[]): ((topic: string) => Durability | null) | null {
  if (rules.length === 0) return null;
  return (topic) => rules.find(({ match }) => filterMatches(match, topic)) ?? null;
}
