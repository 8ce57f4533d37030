/**
 * The way out: the classes of an uplink, by priority, and what they share: the connection, its window, the bytes in
 * flight. Priority is strict: a place in the window goes to the most urgent message that can be sent now.
 *
 *     class 7 ──┐  ids 57338..65528
 *     class 1 ──┼──> window (Receive Maximum), IN_FLIGHT_BYTES_MAX, gate ──> client
 *     class 0 ──┘  ids 1..8191
 *
 * A class that cannot send, because its oldest message is not answered or not on the medium yet, holds nobody up. One
 * that is reading its messages from the log does hold up those below it, as long as it finds any.
 */
import type { Counter, Counters } from "../../base/counters.ts";
import type { ForwardRule } from "../../config/uplink-rules.ts";
import { PRIORITY_MAX, type SpoolConfig, spoolLimitsOf } from "../../config/uplink-spool.ts";
import type { DropCause } from "../../core/ledger.ts";
import { DURABLE, type Message, WRITTEN } from "../../core/message.ts";
import type { QueueHost } from "../../core/outlet.ts";
import type { Router } from "../../core/router.ts";
import type { SpoolQueue } from "../../core/spool-queue.ts";
import { aggregates } from "../aggregate/rules.ts";
import type { MqttClient } from "../client/client.ts";
import { TopicMap } from "../topic-map.ts";
import type { Sights } from "./aim.ts";
import { className } from "./class-name.ts";
import type { LoopMark } from "./loop-mark.ts";
import type { Draining } from "./queue-order.ts";
import { Repeats } from "./repeats.ts";
import { CLASS_PACKET_IDS, type Gate, SpoolClass, type SpoolShared } from "./spool-class.ts";

export interface SpoolParts {
  readonly host: QueueHost;
  readonly router: Router;
  readonly counters: Counters;
  /** See queue-order.ts. */
  readonly AnyOrderQueue: Draining["AnyOrderQueue"];
}

export interface SpoolOptions {
  readonly name: string;
  readonly node: string;
  /** For {client}. */
  readonly clientId: string;
  /** null: loop_mark is off. */
  readonly mark: LoopMark | null;
  readonly forward: readonly ForwardRule[];
  readonly spool: SpoolConfig;
  readonly drain: Draining["order"];
  /** Messages in flight at most. */
  readonly window: number;
}

/** Bytes of messages in flight (Message.size) beyond which no further one is sent: they are in memory. */
export const IN_FLIGHT_BYTES_MAX = 256 * 1024;

export class Spool implements SpoolShared {
  readonly name: string;
  readonly client: MqttClient;
  readonly sights: Sights;
  readonly host: QueueHost;
  readonly router: Router;
  readonly draining: Draining;
  readonly sent: Counter;
  readonly rules: readonly ForwardRule[];
  /** The most urgent first. */
  readonly classes: SpoolClass[] = [];
  /** The connection is about to be closed in order: nothing more is sent from the queues. */
  closing = false;
  gate: Gate | null = null;
  onWaiting: ((priority: number) => void) | null = null;
  /** Of priority 0, which every uplink has: what came in and what is subscribed is kept under its id. */
  readonly #base: SpoolClass;
  readonly #byPriority: (SpoolClass | undefined)[] = [];
  readonly #dropped: ReadonlyMap<DropCause, number>[] = [];
  readonly #repeats: Repeats;
  #windowMax = 0;
  #inFlightBytes = 0;
  /** An answer is being dealt with: the place it makes is for the most urgent. */
  #answering = false;

  constructor(options: SpoolOptions, client: MqttClient, parts: SpoolParts) {
    const { name, node, clientId, mark, forward, spool } = options;
    const { host, router, counters, AnyOrderQueue } = parts;
    this.name = name;
    this.client = client;
    this.host = host;
    this.router = router;
    this.draining = { order: options.drain, windowMax: options.window, AnyOrderQueue };
    this.sent = counters.counter(`uplink.${name}.sent`);
    // What is gathered first enters by `SpoolClass.enter`.
    const gathers = forward.filter(aggregates);
    this.rules = forward.filter((rule) => !aggregates(rule));
    const names = { node, client: clientId };
    this.sights = {
      map: new TopicMap(this.rules, names),
      gathered: gathers.length === 0 ? null : new TopicMap(gathers, names),
      mark,
      looped: counters.counter(`uplink.${name}.looped`),
      time: host.time,
    };
    const priorities = prioritiesOf(name, forward, host);
    for (const priority of priorities) {
      const made = new SpoolClass(this, priority, spoolLimitsOf(spool, priority), {
        classes: priorities.length,
        retired: priority > 0 && !forward.some((rule) => rule.priority === priority),
      });
      this.#byPriority[priority] = made;
      this.classes.unshift(made);
      this.#dropped.push(host.ledger.watch(made.queue.label));
    }
    this.#base = this.#byPriority[0] as SpoolClass;
    this.#repeats = new Repeats(options.window, host.store, this);
    this.#dismiss();
  }

  /** In the router: of what the uplink publishes, and does not get back. */
  get slot(): number {
    return this.#byPriority[0]?.slot ?? -1;
  }

  /** Of the uplink in the store. */
  get id(): number {
    return this.#base.queue.id;
  }

  get durable(): boolean {
    return this.#base.durable;
  }

  /** Of the class of `priority`; undefined: no rule has it. */
  classOf(priority: number): SpoolClass | undefined {
    return this.#byPriority[priority];
  }

  *queues(): Generator<SpoolQueue> {
    for (const { queue } of this.classes) yield queue;
  }

  // ---- all classes together ----------------------------------------------------------------------------------

  /** Messages not acknowledged. */
  get count(): number {
    let count = 0;
    for (const { queue } of this.classes) count += queue.count;
    return count;
  }

  /** Their bytes. */
  get bytes(): number {
    let bytes = 0;
    for (const { queue } of this.classes) bytes += queue.bytes;
    return bytes;
  }

  get inFlight(): number {
    let inFlight = 0;
    for (const { queue } of this.classes) inFlight += queue.inFlight;
    return inFlight;
  }

  /** Oldest message that is not acknowledged, Infinity when all are. */
  get headSeq(): number {
    let seq = Number.POSITIVE_INFINITY;
    for (const { queue } of this.classes) seq = Math.min(seq, queue.headSeq);
    return seq;
  }

  /** Smoothed ms from sending a message to its answer; 0 = not known. */
  get ackTimeMs(): number {
    let ms = 0;
    for (const { queue } of this.classes) ms = Math.max(ms, queue.inflight.ackTimeMs);
    return ms;
  }

  /** Drops by cause. */
  get dropped(): Partial<Record<DropCause, number>> {
    const sums: Partial<Record<DropCause, number>> = {};
    for (const counts of this.#dropped) {
      for (const [cause, count] of counts) sums[cause] = (sums[cause] ?? 0) + count;
    }
    return sums;
  }

  /** To be asked from time to time: whether a class has an oldest message in flight that was its oldest last time. */
  isStuck(): boolean {
    let stuck = false;
    for (const one of this.classes) if (one.isStuck) stuck = true;
    return stuck;
  }

  // ---- the connection comes and goes -------------------------------------------------------------------------

  /** Before `attach`, with other rules: messages may be other parts now than those they were sent as. */
  sendAnew(): void {
    for (const one of this.classes) one.sendAnew();
  }

  /** CONNACK came. What waited goes out. */
  attach(windowMax: number, resumed: boolean): void {
    this.#windowMax = windowMax;
    this.#inFlightBytes = 0;
    this.closing = false;
    this.gate?.begin(this.host.store.lastSeq);
    for (const one of this.classes) one.attach(windowMax, resumed);
    this.#dismiss();
  }

  detach(): void {
    this.gate?.end();
    for (const one of this.classes) one.detach();
    this.#dismiss();
  }

  /** Its uplink has stopped for good: the router knows it no more. What the store has of it stays. */
  leave(): void {
    for (const one of this.classes) one.leave();
  }

  // ---- what goes out -----------------------------------------------------------------------------------------

  /** Sends what may be sent, the most urgent first. */
  pump(): void {
    for (const { queue } of this.classes) queue.pump();
  }

  mayGo(from: SpoolClass, message: Message | null): boolean {
    if (this.closing && message !== null) this.onWaiting?.(from.priority);
    if (this.closing || this.#inFlightBytes >= IN_FLIGHT_BYTES_MAX || !this.client.writable) return false;
    if (this.classes.length > 1 && !this.#isNext(from)) return false;
    if (this.gate === null || message === null) return true;
    // Last, as who is told no there waits for tokens.
    return this.gate.opens(from.priority, message, from.packetBytesMax(message));
  }

  /** Whether there is a place in the window, and it is not for a class above. */
  #isNext(from: SpoolClass): boolean {
    if (this.#answering || this.inFlight >= this.#windowMax) return false;
    for (const one of this.classes) {
      if (one === from) return true;
      if (one.queue.isReading) return false;
    }
    return true;
  }

  onSent(from: SpoolClass, message: Message | null, size: number, packetBytes: number): void {
    this.sent.value++;
    this.#inFlightBytes += size;
    this.gate?.passed(from.priority, message, packetBytes);
  }

  /** It has read what it could: those below may go on. */
  onTurn(from: SpoolClass): void {
    for (const one of this.classes) if (one.priority < from.priority) one.queue.pump();
  }

  // ---- answers -----------------------------------------------------------------------------------------------

  /** @returns false when the id is not in flight */
  onPuback(packetId: number, reasonCode = 0): boolean {
    const from = this.#classOfId(packetId);
    if (from === undefined) return false;
    this.#answering = this.classes.length > 1;
    const known = from.queue.onPuback(packetId, reasonCode);
    this.#answered(from, known ? from.queue.inflight.answeredSize : 0);
    return known;
  }

  /** @param reasonCode 0x80 and above: the server refused it, and the exchange ends here  @returns false when the id is not in flight */
  onPubrec(packetId: number, reasonCode: number): boolean {
    const from = this.#classOfId(packetId);
    if (from === undefined) return false;
    this.#answering = this.classes.length > 1;
    const known = from.queue.onPubrec(packetId, reasonCode);
    this.#answered(from, known ? from.queue.inflight.answeredSize : 0);
    return known;
  }

  /** @returns false when no PUBREL of that id is due */
  onPubcomp(packetId: number): boolean {
    const from = this.#classOfId(packetId);
    if (from === undefined) return false;
    this.#answering = this.classes.length > 1;
    const known = from.queue.onPubcomp(packetId);
    this.#answered(from, 0);
    return known;
  }

  #answered(from: SpoolClass, size: number): void {
    this.#answering = false;
    const wasFull = this.#inFlightBytes >= IN_FLIGHT_BYTES_MAX;
    this.#inFlightBytes -= size;
    if (size > 0 && isLogged(from.queue.inflight.answeredMessage)) this.#repeats.answered();
    // An only class has sent already what the window let it.
    if (wasFull || this.classes.length > 1) this.pump();
    if (from.retired) this.#dismiss();
  }

  #classOfId(packetId: number): SpoolClass | undefined {
    return this.#byPriority[Math.floor((packetId - 1) / CLASS_PACKET_IDS)];
  }

  /** Classes that no rule uses any more end when they are empty: every exchange is over, so their packet ids are free. */
  #dismiss(): void {
    for (const one of [...this.classes]) {
      if (!one.retired || one.queue.count > 0 || !one.queue.inflight.empty) continue;
      this.classes.splice(this.classes.indexOf(one), 1);
      delete this.#byPriority[one.priority];
      one.leave();
      this.host.store.deleteReceiver(one.queue);
    }
  }
}

/** @param message where only memory had it */
function isLogged(message: Message | null): boolean {
  return message === null || message.state === WRITTEN || message.state === DURABLE;
}

/** Ascending: 0, those of the rules, and those that hold messages from an earlier configuration. */
function prioritiesOf(name: string, forward: readonly ForwardRule[], { store }: QueueHost): number[] {
  const priorities = [0];
  for (let priority = 1; priority <= PRIORITY_MAX; priority++) {
    const used = forward.some((rule) => rule.priority === priority);
    if (used || store.loadReceiver("uplink", className(name, priority)) !== null) priorities.push(priority);
  }
  return priorities;
}
