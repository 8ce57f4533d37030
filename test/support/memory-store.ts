/**
 * A store in memory with the timing of the real one in the test's hand: messages are OPEN until `commit`, WRITTEN until
 * `sync`. `crash` gives what a process started after `kill -9` would find.
 */
import type { DataUse, UseStore } from "../../src/core/data-use.ts";
import { DURABLE, Message, WITHDRAWN, WRITTEN } from "../../src/core/message.ts";
import type {
  BacklogSink,
  ReceiverRecord,
  SessionRecord,
  Store,
  StoredReceiver,
  StoreHealth,
  StoreWaiter,
  SubscriptionRecord,
  WillRecord,
} from "../../src/core/ports.ts";

interface Row {
  readonly message: Message;
  receivers: { id: number; options: number; subscriptionIds: readonly number[] | null }[];
}

interface Waiting {
  readonly waiter: StoreWaiter;
  readonly token: number;
}

/** What uplinks have used; what is not committed is lost in a crash. */
export class MemoryUses implements UseStore {
  latest = new Map<string, DataUse>();
  committed = new Map<string, DataUse>();
  /** Transactions that were asked for. */
  saves = 0;

  load(uplink: string): DataUse | null {
    return this.latest.get(uplink) ?? null;
  }

  put(uplink: string, use: DataUse): void {
    this.latest.set(uplink, use);
  }

  unsaved(uplink: string): number {
    const [put, committed] = [this.latest, this.committed].map((uses) => uses.get(uplink));
    return put === undefined ? 0 : put.sent + put.received - ((committed?.sent ?? 0) + (committed?.received ?? 0));
  }

  save(): void {
    this.saves++;
    this.commit();
  }

  commit(): void {
    this.committed = new Map(this.latest);
  }

  crash(): MemoryUses {
    const next = new MemoryUses();
    next.latest = new Map(this.committed);
    next.committed = new Map(this.committed);
    return next;
  }
}

export class MemoryStore implements Store {
  uses = new MemoryUses();
  health: StoreHealth = "ok";
  lastSeq = 0;
  /** Answer of `admits`. */
  refusal = 0;
  rows: Row[] = [];
  #open: Message[] = [];
  #written: Message[] = [];
  #barriers: Waiting[] = [];
  #writtenBarriers: Waiting[] = [];
  #records = new Map<number, ReceiverRecord>();
  #committed = new Map<number, ReceiverRecord>();
  /** By receiver: its committed record counts rows up to here. */
  #counted = new Map<number, number>();
  #receivers = new Map<number, StoredReceiver>();
  #touched = new Set<StoredReceiver>();
  #recordWaiters = new Set<() => void>();
  /** By receiver and filter; committed at once. */
  #subscriptions = new Map<number, Map<string, SubscriptionRecord>>();
  /** By receiver; committed at once. */
  #sessions = new Map<number, SessionRecord>();
  #inbound = new Map<number, Set<number>>();
  #inboundOpen: { receiverId: number; packetId: number; message: Message | null; known: boolean }[] = [];
  /** By client id, as committed; and what the open group changes, null = deleted. */
  wills = new Map<string, WillRecord>();
  #willsOpen = new Map<string, WillRecord | null>();
  retained = new Map<string, Message>();
  elided = 0;
  #nextId = 1;

  admits(): number {
    return this.refusal;
  }

  append(message: Message): void {
    message.seq = ++this.lastSeq;
    this.#open.push(message);
  }

  settle(message: Message, id: number): void {
    const entry = message.receiverIds.indexOf(id);
    if (entry < 0) return;
    message.receiverIds[entry] = 0;
    message.pending--;
    if (message.pending > 0) return;
    message.state = WITHDRAWN;
    this.elided++;
    this.#open.splice(this.#open.indexOf(message), 1);
    message.tellWaiter(0);
  }

  absorb(receiver: StoredReceiver, messages: readonly Message[]): void {
    for (const { receiverIds } of messages) {
      const index = receiverIds.indexOf(receiver.id);
      if (index >= 0) receiverIds[index] = 0;
    }
    this.touch(receiver);
  }

  barrier(waiter: StoreWaiter, token: number): void {
    this.#barriers.push({ waiter, token });
  }

  /** The open group becomes rows. */
  /** At once, before whoever asked sends anything more: with all that is open. */
  recordsWritten(told: () => void, atOnce: boolean): void {
    this.#recordWaiters.add(told);
    if (atOnce) this.commit();
  }

  #tellOfRecords(): void {
    const waiters = this.#recordWaiters;
    this.#recordWaiters = new Set();
    for (const told of waiters) told();
  }

  commit(): void {
    this.uses.commit();
    const written = this.#open;
    for (const message of written) {
      const receivers = message.receiverIds
        .map((id, i) => ({
          id,
          options: message.receiverOptions[i] as number,
          subscriptionIds: message.subscriptionIds?.get(i) ?? null,
        }))
        .filter(({ id }) => id !== 0);
      if (receivers.length > 0) this.rows.push({ message, receivers });
    }
    this.#written.push(...written);
    this.#open = [];
    this.#writtenBarriers.push(...this.#barriers);
    this.#barriers = [];
    for (const receiver of this.#touched) {
      const record = receiver.save();
      this.#committed.set(receiver.id, { ...record, state: Buffer.from(record.state) });
      this.#counted.set(receiver.id, this.lastSeq);
    }
    this.#touched.clear();
    // As in the real one: records are written while the messages beside them are open.
    for (const message of written) message.state = WRITTEN;
    for (const { receiverId, packetId, known } of this.#inboundOpen.splice(0)) {
      const ids = this.#inbound.get(receiverId) ?? new Set();
      this.#inbound.set(receiverId, ids);
      if (known) ids.add(packetId);
      else ids.delete(packetId);
    }
    this.#writeStrikes();
    for (const [clientId, will] of this.#willsOpen) {
      if (will === null) this.wills.delete(clientId);
      else this.wills.set(clientId, will);
    }
    this.#willsOpen.clear();
    const lowest = Math.min(...[...this.#receivers.values()].map((r) => r.headSeq));
    this.rows = this.rows.filter(({ message }) => message.seq >= lowest);
    this.#tellOfRecords();
  }

  /** What is written becomes durable: waiters and queues are told. */
  sync(): void {
    const done = this.#written;
    this.#written = [];
    for (const message of done) message.state = DURABLE;
    for (const message of done) message.tellWaiter(0);
    const barriers = this.#writtenBarriers;
    this.#writtenBarriers = [];
    for (const { waiter, token } of barriers) waiter.onStored(token, 0);
    for (const receiver of this.#receivers.values()) receiver.onDurable();
  }

  /** The disk is full (0x97) or read-only (0x83): the open group is taken back. */
  withdraw(reason = 0x97): void {
    const messages = this.#open;
    this.#open = [];
    this.#inboundOpen = this.#inboundOpen.filter(({ message }) => message === null || !messages.includes(message));
    for (const message of messages) {
      message.state = WITHDRAWN;
      for (const id of message.receiverIds) this.#receivers.get(id)?.onWithdrawn(message);
      message.tellWaiter(reason);
    }
  }

  /** The disk fails: who waits is told, and nothing of it is kept. */
  fail(): void {
    this.health = "failed";
    this.#inboundOpen = [];
    for (const { waiter, token } of this.#barriers.splice(0)) waiter.onStored(token, 0x83);
  }

  /** The store as found after `kill -9`: only what was committed. */
  crash(): MemoryStore {
    const next = new MemoryStore();
    next.uses = this.uses.crash();
    next.rows = this.rows.map(({ message: m, receivers }) => {
      const copy = new Message(m.bytes, m.topicEnd, m.propertiesEnd, m.qos, m.retain, m.acceptedMs, m.expiresMs, -1);
      copy.seq = m.seq;
      copy.state = DURABLE;
      return { message: copy, receivers };
    });
    next.lastSeq = this.lastSeq - this.#open.length;
    next.#committed = new Map([...this.#committed].map(([id, r]) => [id, { ...r, state: Buffer.from(r.state) }]));
    for (const [id, record] of next.#committed) this.#recount(id, record);
    next.#counted = new Map([...next.#committed.keys()].map((id) => [id, next.lastSeq]));
    next.#records = new Map([...next.#committed].map(([id, r]) => [id, { ...r }]));
    next.#inbound = new Map([...this.#inbound].map(([id, ids]) => [id, new Set(ids)]));
    next.#subscriptions = new Map([...this.#subscriptions].map(([id, entries]) => [id, new Map(entries)]));
    next.#sessions = new Map(this.#sessions);
    next.wills = new Map(this.wills);
    next.#nextId = this.#nextId;
    next.learnRows = this.learnRows;
    next.strikesMax = this.strikesMax;
    return next;
  }

  /** Adds what was written since the record was. */
  #recount(id: number, record: ReceiverRecord): void {
    for (const { message, receivers } of this.rows) {
      if (message.seq <= (this.#counted.get(id) ?? 0) || !receivers.some((receiver) => receiver.id === id)) continue;
      record.count++;
      record.bytes += message.size;
    }
  }

  createReceiver(kind: string, name: string): ReceiverRecord {
    const found = this.loadReceiver(kind, name);
    if (found !== null) return found;
    const record: ReceiverRecord = {
      id: this.#nextId++,
      kind,
      name,
      headSeq: this.lastSeq + 1,
      headOrdinal: 0,
      state: Buffer.alloc(0),
      count: 0,
      bytes: 0,
    };
    this.#records.set(record.id, record);
    this.#committed.set(record.id, { ...record });
    this.#counted.set(record.id, this.lastSeq);
    return record;
  }

  register(receiver: StoredReceiver): void {
    this.#receivers.set(receiver.id, receiver);
  }

  touch(receiver: StoredReceiver): void {
    this.#touched.add(receiver);
  }

  deleteReceiver(receiver: StoredReceiver): void {
    this.#receivers.delete(receiver.id);
    this.#records.delete(receiver.id);
    this.#committed.delete(receiver.id);
    this.#touched.delete(receiver);
  }

  deleteOthers(kind: string, keep: (name: string) => boolean): string[] {
    const gone = [...this.#records.values()].filter((record) => record.kind === kind && !keep(record.name));
    for (const { id } of gone) {
      this.#receivers.delete(id);
      this.#records.delete(id);
      this.#committed.delete(id);
    }
    return gone.map(({ name }) => name);
  }

  /** Receivers to be taken out of rows with the next commit, as "seq id"; and the most that may wait. */
  #struck = new Set<string>();
  strikesMax = 8;

  strike(seq: number, id: number): boolean {
    if (this.#struck.size >= this.strikesMax) return false;
    this.#struck.add(`${seq} ${id}`);
    const receiver = this.#receivers.get(id);
    if (receiver !== undefined) this.#touched.add(receiver);
    return true;
  }

  #writeStrikes(): void {
    for (const row of this.rows) {
      const { seq } = row.message;
      row.receivers = row.receivers.filter(({ id }) => !this.#struck.has(`${seq} ${id}`));
    }
    this.#struck.clear();
    this.rows = this.rows.filter(({ receivers }) => receivers.length > 0);
  }

  /** Rows looked at in one call: small, so that tests meet the end of a slice. */
  sliceRows = 5;

  read(id: number, from: number, maxBytes: number, sink: BacklogSink): number {
    return (
      this.#read(
        this.#rowsAndOpen().filter(({ message }) => message.seq >= from),
        id,
        maxBytes,
        1,
        sink,
      ) ?? this.lastSeq + 1
    );
  }

  readBack(id: number, from: number, downTo: number, maxBytes: number, sink: BacklogSink): number {
    const rows = this.#rowsAndOpen().filter(({ message: { seq } }) => seq <= from && seq >= downTo);
    return this.#read(rows.reverse(), id, maxBytes, -1, sink) ?? downTo - 1;
  }

  /** Numbers in a stretch of which the first look finds out who has rows there, and nothing else; 0 = none is needed. */
  learnRows = 0;
  readonly #learned = new Set<number>();

  #learns(seq: number): boolean {
    const stretch = Math.floor(seq / this.learnRows);
    if (this.learnRows === 0 || this.#learned.has(stretch)) return false;
    this.#learned.add(stretch);
    return true;
  }

  #rowsAndOpen(): Row[] {
    const open = this.#open.map((message) => ({
      message,
      receivers: message.receiverIds.map((receiverId, i) => ({
        id: receiverId,
        options: message.receiverOptions[i] as number,
        subscriptionIds: message.subscriptionIds?.get(i) ?? null,
      })),
    }));
    return [...this.rows, ...open];
  }

  /** @returns the number to go on from, null when these were all */
  #read(rows: Row[], id: number, maxBytes: number, step: number, sink: BacklogSink): number | null {
    let bytes = 0;
    let looked = 0;
    for (const { message, receivers } of rows) {
      if (this.#learns(message.seq)) return message.seq;
      if (looked++ === this.sliceRows || bytes >= maxBytes) return message.seq;
      const entry = receivers.find((receiver) => receiver.id === id);
      if (entry === undefined || this.#struck.has(`${message.seq} ${id}`)) continue;
      bytes += message.size;
      if (!sink.onBacklog(message, entry.options, entry.subscriptionIds)) return message.seq + step;
    }
    return null;
  }

  onRetainedWithdrawn: (topic: string) => void = () => {};

  putRetained(message: Message): boolean {
    this.retained.set(message.topic, message);
    if (message.seq === 0 && message.waiter !== null) this.#open.push(message);
    return true;
  }

  getRetained(topic: string): Message | null {
    const message = this.retained.get(topic);
    return message === undefined || message.bytes.length === message.propertiesEnd ? null : message;
  }

  putSession(record: SessionRecord): void {
    this.#sessions.set(record.receiver.id, { ...record });
  }

  deleteSession(_clientId: string, receiver: StoredReceiver): void {
    this.#sessions.delete(receiver.id);
    this.deleteReceiver(receiver);
  }

  putSubscription(receiverId: number, subscription: SubscriptionRecord): void {
    const subscriptions = this.#subscriptions.get(receiverId) ?? new Map();
    this.#subscriptions.set(receiverId, subscriptions);
    subscriptions.set(subscription.filter, subscription);
  }

  deleteSubscription(receiverId: number, filter: string): void {
    this.#subscriptions.get(receiverId)?.delete(filter);
  }

  loadSubscriptions(receiverId: number): SubscriptionRecord[] {
    return [...(this.#subscriptions.get(receiverId)?.values() ?? [])];
  }

  putInbound(receiverId: number, packetId: number, message: Message | null): void {
    this.#inboundOpen.push({ receiverId, packetId, message, known: true });
  }

  deleteInbound(receiverId: number, packetId: number): void {
    this.#inboundOpen.push({ receiverId, packetId, message: null, known: false });
  }

  putWill(record: WillRecord): void {
    this.#willsOpen.set(record.clientId, record);
  }

  deleteWill(clientId: string): void {
    this.#willsOpen.set(clientId, null);
  }

  loadWills(visit: (record: WillRecord) => void): void {
    for (const will of this.wills.values()) visit(will);
  }

  loadSessions(visit: (record: SessionRecord) => void): void {
    for (const [id, record] of this.#sessions) {
      const receiver = this.#records.get(id);
      if (receiver === undefined) continue;
      receiver.awaySinceMs = record.disconnectedMs;
      visit({ ...record, receiver, subscriptions: this.loadSubscriptions(id), inboundIds: this.loadInbound(id) });
    }
  }

  loadReceiver(kind: string, name: string): ReceiverRecord | null {
    return [...this.#records.values()].find((record) => record.kind === kind && record.name === name) ?? null;
  }

  loadInbound(receiverId: number): number[] {
    return [...(this.#inbound.get(receiverId) ?? [])];
  }

  loadRetained(visit: (message: Message) => void): void {
    for (const message of this.retained.values()) visit(message);
  }
}
