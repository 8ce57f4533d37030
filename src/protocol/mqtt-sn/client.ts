/**
 * One client of an MQTT-SN listener: the outlet of a session like any other, with states of its own.
 *
 *     CONNECTING ── will, login, store ──> ACTIVE ── DISCONNECT(duration) ──> ASLEEP ── PINGREQ(id) ──> AWAKE
 *                                            ^                                  ^ └────────<── all sent, PINGRESP
 *                                            └────────────── CONNECT ───────────┘
 *
 * @see MQTT-SN 1.2 sections 6.2 and 6.14
 */
import { type Expirable, Timer } from "../../base/timer-wheel.ts";
import type { Message } from "../../core/message.ts";
import type { LoginWaiter, Principal, StoreWaiter } from "../../core/ports.ts";
import type { Publication } from "../../core/publication.ts";
import { DELIVERY_QOS, DELIVERY_RETAIN } from "../../core/receiver.ts";
import type { Session, SessionOutlet } from "../../core/session.ts";
import { DISCONNECT, PINGRESP } from "../../wire/mqtt-sn/codes.ts";
import { Deliveries } from "./deliveries.ts";
import { AWAKE_MS, CONNECT_MS, toleratedMs } from "./limits.ts";
import { type ConnectRequest, onDiscarded, onLogin } from "./on-connect.ts";
import { onStored } from "./on-stored.ts";
import { type Owed, OwedAcks } from "./owed-acks.ts";
import type { Peer } from "./peer.ts";
import type { MqttSnServer } from "./server.ts";
import { ASLEEP, AWAKE, CONNECTING, DISCARDED, GONE } from "./states.ts";
import type { TopicIds } from "./topic-ids.ts";

/** Kinds of timers. */
const LIFE = 0;
const REST = 1;

export class Client implements SessionOutlet, StoreWaiter, LoginWaiter, Expirable {
  readonly server: MqttSnServer;
  /** Where it is; `Clients.move` changes it. */
  peer: Peer;
  /** When its CONNECT came. */
  readonly connectedMs: number;
  state = CONNECTING;
  session: Session | null = null;
  /** The session it had, for what the store says after its end. */
  left: Session | null = null;
  /** What CONNECT asked for, until CONNACK. */
  request: ConnectRequest | null = null;
  topics: TopicIds;
  readonly owed = new OwedAcks();
  /** SUBACKs that wait for the store: PUBLISHes behind them, as they bring the topic id. */
  subacksOwed = 0;
  readonly deliveries: Deliveries;
  readonly #life = new Timer(this, LIFE);
  readonly #rest = new Timer(this, REST);
  #lifeMs = 0;
  #heardMs = 0;
  /** Since its CONNECT. */
  #silent = true;
  #msgId = 0;

  constructor(server: MqttSnServer, peer: Peer) {
    this.server = server;
    this.peer = peer;
    this.connectedMs = server.parts.time.nowMs();
    this.topics = server.topicIds();
    this.deliveries = new Deliveries(this);
  }

  /** It said that it would sleep, and may be awake for a moment. */
  get sleeps(): boolean {
    return this.state === ASLEEP || this.state === AWAKE;
  }

  /** Nothing may be sent to it. */
  get asleep(): boolean {
    return this.state === ASLEEP || this.state === CONNECTING;
  }

  /** Nothing new may be sent to it now. */
  get quiet(): boolean {
    return this.asleep || this.subacksOwed > 0;
  }

  // ---- life --------------------------------------------------------------------------------------------------

  /** It is lost when nothing comes for `ms`, and some more. */
  expectWithin(ms: number): void {
    this.#lifeMs = toleratedMs(ms);
    this.#heardMs = this.server.parts.time.nowMs();
    this.server.parts.wheel.schedule(this.#life, this.#lifeMs);
  }

  /** Its CONNECT ends in CONNACK before long. */
  expectConnected(): void {
    this.server.parts.wheel.schedule(this.#life, CONNECT_MS);
  }

  /** A message has come from it. */
  heard(): void {
    this.#heardMs = this.server.parts.time.nowMs();
    if (this.#silent) {
      this.#silent = false;
      this.server.clients.heard(this);
    }
  }

  onTimer(kind: number): void {
    if (kind === REST) {
      if (this.state === AWAKE && this.deliveries.idle) this.sleepAgain();
      return;
    }
    if (this.state === CONNECTING) {
      this.server.count("lost.connecting");
      this.dispose(true);
      return;
    }
    // While it is awake its sleep is not timed: it answers, or is lost by that.
    const silentMs = this.state === AWAKE ? 0 : this.server.parts.time.nowMs() - this.#heardMs;
    if (silentMs < this.#lifeMs) this.server.parts.wheel.schedule(this.#life, this.#lifeMs - silentMs);
    else this.lose("silent");
  }

  /** It does not answer: its will goes out. */
  lose(why: string): void {
    this.server.count(`lost.${why}`);
    this.server.sendEmpty(this.peer, DISCONNECT);
    this.dispose(true);
  }

  /** Ends it without a word. */
  dispose(sendWill: boolean): void {
    if (this.state === GONE) return;
    if (this.sleeps) this.server.sleeping.value--;
    this.state = GONE;
    const { server, session } = this;
    const { wheel, registry } = server.parts;
    wheel.cancel(this.#life);
    wheel.cancel(this.#rest);
    server.heldDropped.value += this.deliveries.end();
    this.topics.clear();
    server.clients.remove(this, (session ?? this.left)?.clientId ?? null);
    const { request } = this;
    this.request = null;
    request?.previous?.dispose(true);
    this.left ??= session;
    this.session = null;
    if (session !== null) registry.detach(session, this, sendWill);
  }

  // ---- sleep -------------------------------------------------------------------------------------------------

  sleep(seconds: number): void {
    if (!this.sleeps) this.server.sleeping.value++;
    this.state = ASLEEP;
    this.deliveries.pause();
    this.expectWithin(seconds * 1000);
  }

  /** PINGREQ of a sleeping client: what waits goes out, then PINGRESP. */
  wake(): void {
    this.state = AWAKE;
    this.deliveries.resume();
    this.session?.pump();
    this.afterSending();
  }

  /** Lets a client that is awake go back to sleep when nothing is left for it. */
  afterSending(): void {
    if (this.state !== AWAKE || !this.deliveries.idle) return;
    // What waits for the store, or is read from it, comes in a later turn.
    if ((this.session?.queue.count ?? 0) === 0) this.sleepAgain();
    else if (!this.#rest.armed) this.server.parts.wheel.schedule(this.#rest, AWAKE_MS);
  }

  sleepAgain(): void {
    this.server.parts.wheel.cancel(this.#rest);
    this.server.sendEmpty(this.peer, PINGRESP);
    this.state = ASLEEP;
    this.#heardMs = this.server.parts.time.nowMs();
    this.deliveries.pause();
  }

  // ---- answers that come later -------------------------------------------------------------------------------

  onLogin(principal: Principal | null, reason: number): void {
    if (this.state === CONNECTING && this.request !== null) onLogin(this, principal, reason);
  }

  onStored(token: number, reason: number): void {
    if (token === DISCARDED) onDiscarded(this);
    else onStored(this, token, reason);
  }

  owe(owed: Owed): number {
    return this.owed.push(owed);
  }

  onTakenOver(): void {
    this.left = this.session;
    this.session = null;
    // The same device connects again: a DISCONNECT would be taken for an answer to that.
    if (this.server.clients.isCurrent(this)) this.server.sendEmpty(this.peer, DISCONNECT);
    this.dispose(true);
  }

  // ---- out ---------------------------------------------------------------------------------------------------

  /** Sends what was written to `server.room`. */
  write(end: number): void {
    this.server.sendTo(this.peer, end);
  }

  nextMsgId(): number {
    this.#msgId = this.#msgId === 0xffff ? 1 : this.#msgId + 1;
    return this.#msgId;
  }

  /** What cannot go to this client, longer than a datagram or with no id for its topic, counts as delivered. */
  giveUp(topic: string, qos: number, msgId: number, cause: "too-large" | "refused" | "output-full"): void {
    const { server, session } = this;
    server.undeliverable.value++;
    if (session === null) return;
    const { registry, time } = server.parts;
    registry.ledger.record(session.queue.label, () => topic, cause, time.wallMs());
    if (qos > 0) session.onPuback(msgId);
  }

  /** Section 6.10: who refuses a REGISTER unsubscribes from that topic; a wildcard that matched it stays. */
  onTopicRejected(topic: string): void {
    this.topics.forget(topic);
    if (this.session !== null) this.server.parts.registry.unsubscribe(this.session, topic);
  }

  /** The client has answered a message of its session, with 0 or a reason of MQTT. */
  onAnswered(msgId: number, reason: number): void {
    this.session?.onPuback(msgId, reason);
  }

  // ---- SessionOutlet -----------------------------------------------------------------------------------------

  writable(): boolean {
    return this.deliveries.hasRoom;
  }

  get crowded(): boolean {
    return this.deliveries.crowded;
  }

  get resting(): boolean {
    return this.asleep;
  }

  parts(): number {
    return 1;
  }

  partOptions(_message: Message, _part: number, options: number): number {
    return options;
  }

  sendLive(p: Publication, options: number, _ids: readonly number[] | null, packetId: number): void {
    const qos = options & DELIVERY_QOS;
    const retain = (options & DELIVERY_RETAIN) !== 0;
    this.deliveries.send(p.bytes, p.topicFrom, p.topicEnd, p.payloadFrom, p.payloadEnd, qos, retain, packetId, false);
  }

  sendPublish(
    m: Message,
    _part: number,
    options: number,
    _ids: readonly number[] | null,
    packetId: number,
    dup: boolean,
  ): void {
    const qos = options & DELIVERY_QOS;
    const retain = (options & DELIVERY_RETAIN) !== 0;
    this.deliveries.send(m.bytes, 0, m.topicEnd, m.propertiesEnd, m.bytes.length, qos, retain, packetId, dup);
  }

  sendPubrel(packetId: number): void {
    this.deliveries.release(packetId);
  }
}
