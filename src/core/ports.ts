/**
 * What the core needs from the floors above it: interfaces that `store/`, `protocol/`, `transport/` and the
 * composition root implement. The core never imports them.
 */
import type { SyncMode } from "../config/store.ts";
import type { Message } from "./message.ts";
import type { ScramRecord } from "./scram.ts";

/** `onStored`'s word for "every durable receiver has it safely, or has already acknowledged it". */
export const SETTLED = 0;

/** What a topic has instead of the store's own settings: one object per rule of `durability`, shared by its messages. */
export interface Durability {
  /** How long its messages may wait for company; 0 closes their group for all at the end of the turn; null = `store.commit_delay`. */
  readonly commitDelayMs: number | null;
  /** The moment of acknowledgement; null = `store.sync`. */
  readonly sync: SyncMode | null;
}

/**
 * Somebody who waits for the store. The store calls each exactly once, never re-entrantly, and those whose messages
 * have the same durability in order of commit groups.
 */
export interface StoreWaiter {
  /**
   * @param token what the waiter gave
   * @param reason SETTLED, QUOTA_EXCEEDED (0x97: full) or IMPLEMENTATION_SPECIFIC_ERROR (0x83: disk failure)
   */
  onStored(token: number, reason: number): void;
}

/**
 * ok: stores. full: the disk or `store.max_bytes` is full, refuses until space returns. read-only: the file system takes
 * no writes, refuses until it does. failed: an I/O error; no durable service until restart.
 */
export type StoreHealth = "ok" | "full" | "read-only" | "failed";

/** Persisted part of a durable receiver: where it stands in the log. */
export interface ReceiverRecord {
  /** Positive, never reused while its row exists. */
  readonly id: number;
  /**
   * "session" | "share" | "uplink" | "serial"; "server", "server-sent" (uplink/link/server-sessions.ts) and
   * "coap-observers" (protocol/coap/observe/records.ts) are for no messages.
   */
  readonly kind: string;
  /** Client id, `{ShareName}/{filter}`, uplink name or serial port name: unique within its kind. */
  readonly name: string;
  /** Lowest sequence number it may still need. */
  headSeq: number;
  /** Delivery ordinal of the message at headSeq; packet ids derive from it (inflight.ts). */
  headOrdinal: number;
  /** Opaque: what was acknowledged or received above the head (inflight.ts encodes and decodes it). */
  state: Buffer;
  /** Messages and bytes (Message.size) in the log for it. */
  count: number;
  bytes: number;
  /** Of a session at start: the stamp its client went at; what was accepted later was never sent to it. 0 = not known. */
  awaySinceMs?: number;
}

/** A receiver whose messages the log keeps until it acknowledged them. core/delivery-queue.ts implements it. */
export interface StoredReceiver {
  readonly id: number;
  /** Lowest sequence number it needs, Infinity when it needs none. The log below the lowest head of all is deleted. */
  readonly headSeq: number;
  /** Whether it still needs row `seq`; consulted when dead rows between live ones are swept. */
  needs(seq: number): boolean;
  /** Its current record, for the commit under way; the store copies what it keeps before the call returns. */
  save(): ReceiverRecord;
  /** All groups up to now that hold messages for it are durable: QoS 2 messages may go out. */
  onDurable(): void;
  /** The store withdrew `message` (disk full): not in the log, never to be delivered if it has not been sent. */
  onWithdrawn(message: Message): void;
}

/** Takes backlog rows from `Store.read`, in log order, or from `Store.readBack`, against it. */
export interface BacklogSink {
  /** Messages may keep the memory of those that were read with them, up to twice the `maxBytes` of the read. */
  readonly sharesMemory?: boolean;
  /**
   * One message for this receiver. The message is the sink's; its receiver list is empty and its state is WRITTEN or DURABLE
   * (or OPEN, and then it is the shared object in the open group).
   * @returns false to stop after this one
   */
  onBacklog(message: Message, options: number, subscriptionIds: readonly number[] | null): boolean;
}

/** Persisted part of an MQTT session; `receiver` is its place in the log. */
export interface SessionRecord {
  receiver: ReceiverRecord;
  clientId: string;
  /** Who owns it: the principal's name, "" for anonymous. */
  principal: string;
  expirySeconds: number;
  /** Stamp; 0 while connected. */
  disconnectedMs: number;
  subscriptions: SubscriptionRecord[];
  /** Packet ids of QoS 2 messages received and not released yet. */
  inboundIds: number[];
}

export interface SubscriptionRecord {
  filter: string;
  /** As in SUBSCRIBE: QoS in bits 0-1, No Local 2, Retain As Published 3, Retain Handling 4-5. */
  options: number;
  /** 0 = none. */
  subscriptionId: number;
}

/** Persisted will of a client that is connected, or whose will waits for its delay. */
export interface WillRecord {
  readonly clientId: string;
  /** Who publishes it: the principal's name, "" for anonymous. */
  readonly principal: string;
  /** From when the connection ended. */
  readonly delaySeconds: number;
  /** Message Expiry Interval, from when it is published; -1 = never expires. */
  readonly expirySeconds: number;
  /** 0 to 2. */
  readonly qos: number;
  readonly retain: boolean;
  /** Laid out as Message.bytes. */
  readonly bytes: Buffer;
  readonly topicEnd: number;
  readonly propertiesEnd: number;
}

/**
 * The log of durable messages and the rows around it. All writes go into the open group, which one transaction
 * commits; nothing here waits. Calls never throw for trouble with the disk: `health` and the waiters tell.
 */
export interface Store {
  readonly health: StoreHealth;
  /** Last sequence number given out. */
  readonly lastSeq: number;

  /** Admission of `bytes` (Message.size): SETTLED, or the refusal a waiter would get. */
  admits(bytes: number): number;
  /**
   * Enters `message` with its receiver list in the open group and gives it its seq. The store owns it from here.
   * When the group closes and when the waiter is told is `message.durability`'s affair.
   */
  append(message: Message): void;
  /** Receiver `id` acknowledged `message` while it was OPEN; at pending 0 it is elided and its waiter told. */
  settle(message: Message, id: number): void;
  /**
   * What `receiver` entered in the open group stands for rows that its record leaves out from now on: both are written in
   * one transaction, or neither is. Of those rows `messages` are in that group, too: they are not written for it, and
   * their publishers are told with the group.
   */
  absorb(receiver: StoredReceiver, messages: readonly Message[]): void;
  /** `waiter` is told when everything entered until now is durable. */
  barrier(waiter: StoreWaiter, token: number): void;

  /**
   * `told` is called once, later, when the records of receivers touched until now are in the database, safe from `kill -9`,
   * or when the disk refuses. @param atOnce at the end of this turn, instead of with other writes
   */
  recordsWritten(told: () => void, atOnce: boolean): void;

  /** Makes a receiver's row, with the next id, or returns the one that exists. Its head is the end of the log. */
  createReceiver(kind: string, name: string): ReceiverRecord;
  /** The receiver takes part: its head holds the log, its record is written when touched. */
  register(receiver: StoredReceiver): void;
  /** Its record changed; the next group writes it. Cheap to call often. */
  touch(receiver: StoredReceiver): void;
  /**
   * Receiver `id` does not need row `seq`, which is written (not OPEN) and lists it: `read` passes over it from now on, and the next
   * group takes it out of the row's list, or the row out of the log. The receiver's record is written with it.
   * @returns false when many wait to be taken out already: again after the next group
   */
  strike(seq: number, id: number): boolean;
  /** Removes the receiver and its row. */
  deleteReceiver(receiver: StoredReceiver): void;
  /** Removes the receivers of `kind` for which `keep` says no. @returns their names */
  deleteOthers(kind: string, keep: (name: string) => boolean): string[];
  /**
   * Reads messages for receiver `id` from sequence number `from` upwards, the open group included, until the sink
   * returns false, `maxBytes` are read or the slice of rows looked at is spent (bounded time).
   * @returns the sequence number to go on from; lastSeq + 1 when it has seen all
   */
  read(id: number, from: number, maxBytes: number, sink: BacklogSink): number;
  /**
   * The same from `from` downwards to `downTo`, both included.
   * @returns the sequence number to go on from; downTo - 1 when it has seen all
   */
  readBack(id: number, from: number, downTo: number, maxBytes: number, sink: BacklogSink): number;

  /**
   * Retained value of the message's topic, written with the next group; an empty payload deletes it. If the message has
   * a waiter that waits for this row, `message.pending` was counted up for it.
   * @returns false when too much waits already: the topic keeps the value it had. Never for a message with a waiter
   */
  putRetained(message: Message): boolean;
  /** Told of a topic whose new value a disk refused, with the publisher: it has the value before it again. */
  onRetainedWithdrawn: (topic: string) => void;
  putSession(record: SessionRecord): void;
  /** Deletes session, subscriptions, inbound ids and receiver. */
  deleteSession(clientId: string, receiver: StoredReceiver): void;
  putSubscription(receiverId: number, subscription: SubscriptionRecord): void;
  deleteSubscription(receiverId: number, filter: string): void;
  /**
   * @param message the message the packet id came with, `Publication.kept` after STORED_LATER: when the store withdraws
   * it, the id goes with it; null = none was stored
   */
  putInbound(receiverId: number, packetId: number, message: Message | null): void;
  deleteInbound(receiverId: number, packetId: number): void;
  /** Enters or replaces the client's will; the record's bytes stay as they are from here. What is stored already costs nothing. */
  putWill(record: WillRecord): void;
  /** Goes with the messages entered before and after it in the same turn: a will is published and deleted in one group. */
  deleteWill(clientId: string): void;

  /** What the database held at open, for the registries to build themselves from. */
  loadSessions(visit: (record: SessionRecord) => void): void;
  loadWills(visit: (record: WillRecord) => void): void;
  loadReceiver(kind: string, name: string): ReceiverRecord | null;
  loadInbound(receiverId: number): number[];
  loadSubscriptions(receiverId: number): SubscriptionRecord[];
  /** Visits all retained values; the message is valid during the call. */
  loadRetained(visit: (message: Message) => void): void;
  /** The retained value of `topic`: of the group under way, or its row; null = none. */
  getRetained(topic: string): Message | null;
}

/** Topic of row `seq`, which lists receiver `id`; "" when it is not there. */
export function topicAt(store: Store, id: number, seq: number): string {
  let topic = "";
  const onBacklog = (message: Message): boolean => {
    if (message.seq === seq) topic = message.topic;
    return false;
  };
  // A slice may be spent before the row is looked at.
  for (let at = seq; at > 0 && at <= seq; ) at = store.read(id, at, 1, { onBacklog });
  return topic;
}

/** The clock (base/clock.ts); tests move it. */
export interface TimeSource {
  /** Monotonic ms since some start. */
  nowMs(): number;
  /** Unix time in ms, for people: it may jump either way. */
  wallMs(): number;
  /** A stamp for what has an age or an expiry. */
  ageMs(): number;
  /** Ms that have passed since the stamp, off-time included; at least 0. */
  elapsedMs(stampMs: number): number;
}

/** Who a conversation speaks for. */
export interface Principal {
  /** User name, certificate CN, `serial:<name>`; "" for anonymous. */
  readonly name: string;
  readonly clientId: string;
}

export interface LoginRequest {
  clientId: string;
  /** null = none given. */
  userName: string | null;
  password: Buffer | null;
  /** CN of a verified client certificate; null = none. */
  certificateName: string | null;
  /** Loopback address or unix socket. */
  loopback: boolean;
  /** `never | loopback | always` of the listener; null = `auth.anonymous`. */
  anonymous: "never" | "loopback" | "always" | null;
  /**
   * Asked before a key is derived: false refuses the login as busy. null = admitted already. Requests that come with a
   * password each ask it, as what was verified before costs nothing and is not to be counted.
   */
  admit?: (() => boolean) | null;
}

export interface LoginWaiter {
  /**
   * Told once, never within the call of `authenticate`... except for logins that need no hashing.
   * @param principal null = refused with `reason` (0x86 or 0x87)
   */
  onLogin(principal: Principal | null, reason: number): void;
}

/** Identity and rights; reloadable. */
export interface Authority {
  /** Changes whenever rights may have changed: route cache and per-connection caches compare it. */
  readonly generation: number;
  /** True when no ACL restricts anybody: the packet path skips the checks. */
  readonly open: boolean;
  authenticate(request: LoginRequest, waiter: LoginWaiter): void;
  /** What there is to check a SCRAM proof of this user with; null = nothing, or no such user. */
  scramRecord(userName: string): ScramRecord | null;
  mayPublish(principal: Principal, topic: string): boolean;
  /** Whether messages of `topic` may be delivered to the principal. */
  mayRead(principal: Principal, topic: string): boolean;
  /** Whether it may subscribe: a filter without wildcards is checked like a read; one with wildcards is filtered at delivery. */
  maySubscribe(principal: Principal, filter: string): boolean;
}

/** UDP or DTLS: datagrams in, datagrams out. */
export interface DatagramPort {
  readonly address: string;
  readonly port: number;
  /** Most bytes of one datagram that `send` takes; what is longer it refuses. */
  readonly maxPayload: number;
  /** Whether a peer has proven that it receives at its address before anything of it is handed on (DTLS: the cookie). */
  readonly peersVerified: boolean;
  /** How long an answer may take before what asked for it counts as lost; absent = as the protocol has it for networks. */
  readonly answerMs?: number;
  handler: DatagramHandler | null;
  /** Queues one datagram; false when it was dropped (counted by the port). The bytes are copied or sent before return. */
  send(bytes: Buffer, from: number, end: number, address: string, port: number): boolean;
  close(): void;
}

export interface DatagramHandler {
  /** `bytes` valid until return. `identity`: name of the DTLS identity; null on plain UDP, and for a DTLS client that showed none. */
  onDatagram(bytes: Buffer, address: string, port: number, identity: string | null): void;
  /**
   * The session with this peer is over: closed, evicted, or replaced by a new one, which may be somebody else's. What is
   * under way for the peer must not go to whoever comes next from its address. Never called on plain UDP.
   */
  onPeerGone?(address: string, port: number): void;
  /** The one peer at the other end of a line is there, for the first time or again. */
  onPeerBack?(): void;
}
