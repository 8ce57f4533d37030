/**
 * One MQTT conversation: finds the packets in the bytes of its link and hands each to the file of its type.
 *
 *     link ── onData ──> frames in place ── switch ──> on-publish.ts, on-subscribe.ts, ...
 *     link <── output <── send.ts <── session's queue, router
 */
import { type Expirable, Timer } from "../../base/timer-wheel.ts";
import type { Message } from "../../core/message.ts";
import type { LoginWaiter, Principal, StoreWaiter } from "../../core/ports.ts";
import type { Publication } from "../../core/publication.ts";
import type { Session, SessionOutlet } from "../../core/session.ts";
import type { Link, LinkHandler } from "../../transport/link.ts";
import {
  AUTH,
  CONNECT,
  DISCONNECT,
  KEEP_ALIVE_TIMEOUT,
  MALFORMED_PACKET,
  MQTT_5,
  OK,
  PINGREQ,
  PROTOCOL_ERROR,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  QUOTA_EXCEEDED,
  SESSION_TAKEN_OVER,
  SUBSCRIBE,
  UNSUBSCRIBE,
} from "../../wire/mqtt/codes.ts";
import type { AliasesIn } from "./aliases-in.ts";
import type { AliasesOut } from "./aliases-out.ts";
import { close, closeSilently, onLinkClosed } from "./close.ts";
import { dropCodes } from "./filter-codes.ts";
import type { FilterList } from "./filter-list.ts";
import { FrameInput, type PacketHandler } from "./frame-input.ts";
import { onAck } from "./on-ack.ts";
import { onAuth, refuseExchange } from "./on-auth.ts";
import { type ConnectRequest, finishConnect, onConnect } from "./on-connect.ts";
import { onDisconnect } from "./on-disconnect.ts";
import { onPingreq } from "./on-pingreq.ts";
import { onPublish } from "./on-publish.ts";
import { onPubrel } from "./on-pubrel.ts";
import { onStored } from "./on-stored.ts";
import { onSubscribe } from "./on-subscribe.ts";
import { onUnsubscribe } from "./on-unsubscribe.ts";
import { PendingAcks } from "./pending-acks.ts";
import { because, becauseOf } from "./reason-words.ts";
import { sendLive, sendMessage, sendPubrel } from "./send.ts";
import type { MqttListenerOptions, MqttServer } from "./server.ts";
import {
  AUTHENTICATING,
  CLOSED,
  CONNECTED,
  HELD_RETRY_MS,
  HOLD,
  LOGGING_IN,
  PAUSED_RECHECK_MS,
  SEGMENT_BYTES_MIN,
  WAITING_FOR_CONNECT,
} from "./states.ts";

/** Kinds of the connection's timers. */
const DEADLINE = 0;
const HELD_RETRY = 1;

export class Connection implements LinkHandler, PacketHandler, SessionOutlet, StoreWaiter, LoginWaiter, Expirable {
  readonly server: MqttServer;
  readonly link: Link;
  readonly options: MqttListenerOptions;
  state = WAITING_FOR_CONNECT;
  version = 4;
  /** 4 or 5: which of a publication's frames may be copied as they stand (3.1 and 3.1.1 are the same). */
  frameVersion = 4;
  session: Session | null = null;
  /** The session it had, for what the store says after its end. */
  left: Session | null = null;
  /** What CONNECT asked for, while the login is under way. */
  request: ConnectRequest | null = null;
  /** Largest packet the peer takes. */
  peerPacketBytesMax = Number.POSITIVE_INFINITY;
  /** Whether acknowledgements may say more than a code [MQTT5-3.1.2-29]. */
  wantsReasons = true;
  keepAliveMs = 0;
  /** CONNECT named an authentication method. */
  authenticates = false;
  readonly acks: PendingAcks;
  /** Our Topic Alias Maximum. */
  aliasesAnnounced = 0;
  /** The client's aliases, once it has set one. */
  aliasesIn: AliasesIn | null = null;
  /** Answers that do not fit in the ring: codes of SUBACK and UNSUBACK by token, and their bytes. */
  subackCodes: Map<number, Uint8Array> | null = null;
  subackBytes = 0;
  /** The SUBSCRIBE or UNSUBSCRIBE of which a part is done. */
  filters: FilterList | null = null;
  /** False once the peer said goodbye in order: no will. */
  sendWill = true;
  /** Aliases that we give, for a peer that allows them. */
  aliasesOut: AliasesOut | null = null;
  readonly #input: FrameInput;
  #receivedMs = 0;
  #heldSinceMs = 0;
  #waitsForAcks = false;
  /** Somebody was told that the output is full. Else the end of a turn need not look at the session: 500 are not in the cache. */
  #awaitsDrain = false;
  readonly #timer = new Timer(this, DEADLINE);
  readonly #heldTimer = new Timer(this, HELD_RETRY);

  constructor(server: MqttServer, link: Link, options: MqttListenerOptions) {
    this.server = server;
    this.link = link;
    this.options = options;
    this.acks = new PendingAcks(server.limits.receiveMaximum, server.ackMemory);
    this.#input = new FrameInput(server, this);
    link.handler = this;
    if (link.held !== undefined) link.held = this.#input;
    this.startDeadline();
  }

  /** What is under way (CONNECT, an exchange) has so long. */
  startDeadline(): void {
    this.server.parts.wheel.schedule(this.#timer, this.server.limits.connectTimeoutMs);
  }

  // ---- bytes in ----------------------------------------------------------------------------------------------

  onData(chunk: Buffer, goesOn = false): void {
    if (this.state === CLOSED) return;
    const waited = this.#input.waiting;
    // [MQTT311-3.1.0-1] A browser's GET, for one, reads like the begin of a packet that would be waited for in vain.
    if (this.state === WAITING_FOR_CONNECT && waited === 0 && (chunk[0] as number) >> 4 !== CONNECT) {
      close(this, PROTOCOL_ERROR);
      return;
    }
    this.#input.read(chunk, goesOn);
    this.link.output.settleLate();
    // [MQTT5-3.1.2-22] speaks of packets: crumbs of one are no sign of life. A segment is: its link may be slow.
    if (chunk.length >= SEGMENT_BYTES_MIN || this.#input.waiting !== waited + chunk.length)
      this.#receivedMs = this.server.parts.time.nowMs();
  }

  get closed(): boolean {
    return this.state === CLOSED;
  }

  get entered(): boolean {
    return this.state === CONNECTED;
  }

  putBack(bytes: Buffer, from: number, end: number): boolean {
    return this.link.putBack?.(bytes, from, end) ?? false;
  }

  onUnreadable(reasonCode: number, type: number): void {
    becauseOf(this.server, reasonCode, type);
    close(this, reasonCode);
  }

  /** The table of contents: a file per packet type. @returns OK, HOLD, PART, or the reason to close with */
  onPacket(bytes: Buffer, frameAt: number, type: number, flags: number, at: number, end: number): number {
    if (this.state !== CONNECTED) {
      // [MQTT311-3.1.0-1] the first packet is CONNECT; what follows it waits for the login.
      if (this.state === LOGGING_IN) return HOLD;
      if (this.state === AUTHENTICATING) return this.#onExchange(bytes, type, flags, at, end);
      return type === CONNECT ? onConnect(this, bytes, flags, at, end) : PROTOCOL_ERROR;
    }
    switch (type) {
      case PUBLISH:
        return onPublish(this, bytes, frameAt, flags, at, end);
      case PUBACK:
      case PUBREC:
      case PUBCOMP:
        return onAck(this, bytes, type, flags, at, end);
      case PUBREL:
        return onPubrel(this, bytes, flags, at, end);
      case SUBSCRIBE:
        return flags === 2 || this.version === 3 ? onSubscribe(this, bytes, at, end) : MALFORMED_PACKET;
      case UNSUBSCRIBE:
        return flags === 2 || this.version === 3 ? onUnsubscribe(this, bytes, at, end) : MALFORMED_PACKET;
      case PINGREQ:
        return onPingreq(this, flags, at, end);
      case DISCONNECT:
        return flags === 0 || this.version === 3 ? onDisconnect(this, bytes, at, end) : MALFORMED_PACKET;
      case AUTH:
        return this.version === MQTT_5 ? onAuth(this, bytes, flags, at, end) : MALFORMED_PACKET;
      default:
        // [MQTT311-3.1.0-2] a second CONNECT, and what only a server sends.
        return type === 0 ? MALFORMED_PACKET : PROTOCOL_ERROR;
    }
  }

  /** [MQTT5-3.1.2-30] until CONNACK the client may send AUTH and DISCONNECT, nothing else. */
  #onExchange(bytes: Buffer, type: number, flags: number, at: number, end: number): number {
    if (type === DISCONNECT) closeSilently(this, "disconnect");
    const code = type === AUTH ? onAuth(this, bytes, flags, at, end) : PROTOCOL_ERROR;
    if (code !== OK) refuseExchange(this, code, type);
    return OK;
  }

  // ---- reading stops and goes on -----------------------------------------------------------------------------

  /** Stops reading; a handler that also answers HOLD has its packet looked at again afterwards. */
  pauseReading(): void {
    this.link.pause();
  }

  resumeReading(): void {
    if (this.state === CLOSED) return;
    this.#receivedMs = this.server.parts.time.nowMs();
    this.link.resume();
    this.#input.readAgain();
  }

  /**
   * A refused packet before 5.0, which has no negative answer: kept and tried again until `limits.refusal_hold`.
   * @returns HOLD, or the reason to close with
   */
  hold(): number {
    const now = this.server.parts.time.nowMs();
    if (this.#heldSinceMs === 0) {
      this.#heldSinceMs = now;
      this.server.held.value++;
    } else if (now - this.#heldSinceMs >= this.server.limits.refusalHoldMs) {
      return QUOTA_EXCEEDED;
    }
    this.pauseReading();
    this.server.parts.wheel.schedule(this.#heldTimer, HELD_RETRY_MS);
    return HOLD;
  }

  /** CONNECT is here. What follows it waits until the login is decided, however long that takes: it is our work now. */
  beginLogin(): void {
    this.state = LOGGING_IN;
    this.server.parts.wheel.cancel(this.#timer);
    this.pauseReading();
  }

  /** More devices log in than `limits.handshakes_per_second` allows: this CONNECT or AUTH waits its turn. @returns HOLD */
  waitForLogin(waitMs: number): number {
    const { wheel } = this.server.parts;
    if (this.state !== CONNECTED) wheel.cancel(this.#timer);
    this.pauseReading();
    wheel.schedule(this.#heldTimer, waitMs);
    return HOLD;
  }

  /** Too many acknowledgements are owed: the packet waits until half of them have left. @returns HOLD */
  waitForAcks(): number {
    this.#waitsForAcks = true;
    this.server.acksFull.value++;
    this.pauseReading();
    return HOLD;
  }

  /** Acknowledgements have left. */
  onAcksFlushed(): void {
    if (!this.#waitsForAcks || this.acks.count > this.acks.capacity / 2) return;
    this.#waitsForAcks = false;
    this.resumeReading();
  }

  /** The held packet was taken. */
  release(): void {
    this.#heldSinceMs = 0;
  }

  // ---- the link ----------------------------------------------------------------------------------------------

  onDrain(): void {
    if (!this.#awaitsDrain || this.session === null || this.state === CLOSED) return;
    this.#awaitsDrain = false;
    this.session.pump();
  }

  onClose(error: string | null): void {
    onLinkClosed(this, error);
  }

  /** Everything that must end with the connection; called once, by close.ts. */
  dispose(): void {
    this.state = CLOSED;
    this.#input.forget();
    this.filters = null;
    this.acks.end();
    dropCodes(this);
    this.server.exchanges.end(this);
    this.aliasesIn?.end();
    this.aliasesOut?.end();
    this.server.parts.wheel.cancel(this.#timer);
    this.server.parts.wheel.cancel(this.#heldTimer);
    this.server.paused.remove(this);
    this.server.connections.delete(this);
    // The login is not decided yet.
    if (this.request !== null) this.server.parts.registry.releaseWill(this.request.will);
    this.request = null;
    const session = this.session;
    this.left ??= session;
    this.session = null;
    if (session !== null) this.server.parts.registry.detach(session, this, this.sendWill);
  }

  onTimer(kind: number): void {
    if (kind === HELD_RETRY) {
      this.resumeReading();
      return;
    }
    if (this.state !== CONNECTED) {
      closeSilently(this, "no CONNECT in time");
      return;
    }
    // [MQTT311-3.1.2-24] one and a half times the keep alive; a connection that we paused is not late.
    const idleMs = this.server.parts.time.nowMs() - this.#receivedMs;
    if (idleMs < this.keepAliveMs * 1.5 || this.link.paused) this.startKeepAlive(idleMs);
    else close(this, because(this.server, KEEP_ALIVE_TIMEOUT, `nothing came for ${this.keepAliveMs * 0.0015} seconds`));
  }

  /** Arms the keep-alive deadline, `idleMs` of it gone. */
  startKeepAlive(idleMs: number): void {
    const { wheel } = this.server.parts;
    if (this.keepAliveMs === 0) wheel.cancel(this.#timer);
    else {
      const restMs = this.keepAliveMs * 1.5 - idleMs;
      wheel.schedule(this.#timer, restMs > 0 ? restMs : PAUSED_RECHECK_MS);
    }
  }

  // ---- answers that come later -------------------------------------------------------------------------------

  onLogin(principal: Principal | null, reason: number): void {
    if (this.state === LOGGING_IN || this.state === AUTHENTICATING) finishConnect(this, principal, reason);
  }

  onStored(token: number, reason: number): void {
    onStored(this, token, reason);
  }

  onTakenOver(): void {
    this.left = this.session;
    this.session = null;
    close(this, SESSION_TAKEN_OVER);
  }

  // ---- Outlet: packets to the peer ---------------------------------------------------------------------------

  writable(): boolean {
    const hasRoom = this.link.output.hasRoom(this.server.limits.outputBytes);
    if (!hasRoom) this.#awaitsDrain = true;
    return hasRoom;
  }

  get crowded(): boolean {
    return this.link.output.pendingBytes > this.server.limits.outputBytes / 2;
  }

  parts(_message: Message): number {
    return 1;
  }

  partOptions(_message: Message, _part: number, options: number): number {
    return options;
  }

  sendLive(p: Publication, options: number, subscriptionIds: readonly number[] | null, packetId: number): void {
    sendLive(this, p, options, subscriptionIds, packetId);
  }

  sendPublish(
    message: Message,
    _part: number,
    options: number,
    subscriptionIds: readonly number[] | null,
    packetId: number,
    dup: boolean,
  ): void {
    sendMessage(this, message, options, subscriptionIds, packetId, dup);
  }

  sendPubrel(packetId: number): void {
    sendPubrel(this, packetId);
  }
}
