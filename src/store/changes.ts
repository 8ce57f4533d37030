/**
 * What is to be written besides the log: rows of receivers, sessions, subscriptions, inbound packet ids, wills and
 * retained values. Collected per receiver, client and topic, the last word counting, so that what waits while the disk
 * is full is bounded by the number of sessions, subscriptions, wills and topics, not by the time.
 */
import { type Message, WITHDRAWN } from "../core/message.ts";
import type { ReceiverRecord, SessionRecord, SubscriptionRecord, WillRecord } from "../core/ports.ts";
import { DropRows } from "./drop-rows.ts";
import { Strikes } from "./strikes.ts";

/** "Never" on the wire, and the most the table takes. */
const EXPIRY_SECONDS_MAX = 0xffffffff;

export interface SessionRow {
  readonly principal: string;
  readonly expirySeconds: number;
  readonly disconnectedMs: number;
}

/** Changes around one receiver. */
export class ReceiverChanges {
  /** Its row is not in the database yet. */
  created: ReceiverRecord | null = null;
  /** It and all its rows go. */
  deleted = false;
  session: SessionRow | null = null;
  /** By filter; null = unsubscribed. */
  readonly subscriptions = new Map<string, SubscriptionRecord | null>();
  /** Packet ids to delete, before `received` is entered. */
  readonly released = new Set<number>();
  /** Packet ids to enter, with the message they came with. */
  readonly received = new Map<number, Message | null>();
}

export class Changes {
  readonly receivers = new Map<number, ReceiverChanges>();
  readonly strikes = new Strikes();
  /** By client id; null = to be deleted. */
  readonly wills = new Map<string, WillRecord | null>();
  /** They go with the next transaction, and have none of their own unless they are due. */
  readonly drops = new DropRows();
  /** By topic: the newest message. */
  readonly retained = new Map<string, Message>();
  /** By topic: a value that nobody waits for, under one in `retained` whose publisher may yet be refused. */
  readonly #displaced = new Map<string, Message>();
  /** Of all these messages. */
  retainedBytes = 0;

  get empty(): boolean {
    const { receivers, retained, wills, strikes, drops } = this;
    return receivers.size === 0 && retained.size === 0 && wills.size === 0 && strikes.empty && !drops.due;
  }

  of(id: number): ReceiverChanges {
    let changes = this.receivers.get(id);
    if (changes === undefined) {
      changes = new ReceiverChanges();
      this.receivers.set(id, changes);
    }
    return changes;
  }

  /** Receiver `id` goes; one that was never written leaves no trace. */
  delete(id: number): void {
    const created = this.receivers.get(id)?.created ?? null;
    this.receivers.delete(id);
    if (created === null) this.of(id).deleted = true;
  }

  /** The session's own row; its subscriptions and packet ids have calls of their own. */
  putSession(record: SessionRecord): void {
    this.of(record.receiver.id).session = {
      principal: record.principal,
      expirySeconds: Math.min(Math.ceil(record.expirySeconds), EXPIRY_SECONDS_MAX),
      disconnectedMs: Math.trunc(record.disconnectedMs),
    };
  }

  /** @param stored whether its row is as it should be */
  putWill(clientId: string, record: WillRecord | null, stored: boolean): void {
    if (stored) this.wills.delete(clientId);
    else this.wills.set(clientId, record);
  }

  putRetained(topic: string, message: Message): void {
    const old = this.retained.get(topic);
    if (message.waiter === null) this.#dropDisplaced(topic);
    if (old !== undefined && old.waiter === null && message.waiter !== null) this.#displaced.set(topic, old);
    else if (old !== undefined) this.retainedBytes -= old.size;
    this.retained.set(topic, message);
    this.retainedBytes += message.size;
  }

  dropRetained(topic: string): void {
    this.#dropDisplaced(topic);
    const old = this.retained.get(topic);
    if (old === undefined) return;
    this.retained.delete(topic);
    this.retainedBytes -= old.size;
  }

  #dropDisplaced(topic: string): void {
    const displaced = this.#displaced.get(topic);
    if (displaced === undefined) return;
    this.#displaced.delete(topic);
    this.retainedBytes -= displaced.size;
  }

  /** Takes back the values whose publishers are refused now: what was there before them is there again. @returns their topics */
  withdrawRetained(): string[] {
    const topics: string[] = [];
    for (const [topic, message] of this.retained) if (message.waiter !== null) topics.push(topic);
    for (const topic of topics) {
      const displaced = this.#displaced.get(topic);
      this.dropRetained(topic);
      if (displaced !== undefined) this.putRetained(topic, displaced);
    }
    return topics;
  }

  receive(id: number, packetId: number, message: Message | null): void {
    this.of(id).received.set(packetId, message);
  }

  release(id: number, packetId: number): void {
    const changes = this.of(id);
    changes.received.delete(packetId);
    changes.released.add(packetId);
  }

  /** Takes back the packet ids of messages that are refused now: they were never received. Elided ones were. */
  withdrawReceived(): void {
    for (const changes of this.receivers.values()) {
      for (const [packetId, message] of changes.received) {
        if (message !== null && message.state !== WITHDRAWN) changes.received.delete(packetId);
      }
    }
  }

  clear(): void {
    this.strikes.clear();
    this.drops.clear();
    this.receivers.clear();
    this.wills.clear();
    this.retained.clear();
    this.#displaced.clear();
    this.retainedBytes = 0;
  }
}
