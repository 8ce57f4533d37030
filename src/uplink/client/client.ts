/**
 * The MQTT client, 3.1.1 and 5.0: one connection at a time, from the dial to the last byte. The uplink, the command
 * line and the library each put their own session behind it.
 *
 *     IDLE ──open──> DIALLING ──link──> CONNECTING ──CONNACK──> CONNECTED ──> ENDING ──> IDLE
 *                       ^                   │ version refused: the next rung of the ladder
 *                       └───────────────────┘
 *
 * The client knows packets and their order, nothing of messages: which packet ids are in flight, what was received
 * and not released, and when to try again are its handler's. An acknowledgement leaves when the handler has asked for
 * it and for all before it ([MQTT311-4.6.0-2], [MQTT5-4.6.0-2]).
 */
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import { type Dial, DialError, type Dialing, type DialTarget } from "../../transport/dialer.ts";
import { type Link, type LinkHandler, NO_HANDLER } from "../../transport/link.ts";
import {
  CONNACK,
  KEEP_ALIVE_TIMEOUT,
  MALFORMED_PACKET,
  MQTT_3_1_1,
  MQTT_5,
  NORMAL_DISCONNECTION,
  OK,
  PROTOCOL_ERROR,
  PUBACK,
  PUBCOMP,
  PUBREC,
  PUBREL,
  QUOTA_EXCEEDED,
  SUCCESS,
  UNSUPPORTED_PROTOCOL_VERSION,
} from "../../wire/mqtt/codes.ts";
import { ConnackView, decodeConnack } from "../../wire/mqtt/connack.ts";
import { encodeConnect } from "../../wire/mqtt/connect.ts";
import { areFlagsValid } from "../../wire/mqtt/frame.ts";
import { readU16 } from "../../wire/mqtt/primitives.ts";
import type { PublishView } from "../../wire/mqtt/publish.ts";
import { linkWords, reasonWords, withServerText } from "../words.ts";
import type { ClientHandler } from "./client-handler.ts";
import {
  type ClientOptions,
  connectBytesMax,
  connectOptions,
  type LadderPlace,
  ladder,
  pingSeconds,
  type Rung,
  type ServerLimits,
  serverLimits,
} from "./client-options.ts";
import { sendAck, sendDisconnect, sendPingreq } from "./client-packets.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import { KeepAlive, type KeptAlive } from "./keep-alive.ts";
import { type Owed, OwedAcks } from "./owed.ts";
import { ServerPackets, type ServerPacketsSink } from "./server-packets.ts";

/** States. */
export const IDLE = 0;
export const DIALLING = 1;
export const CONNECTING = 2;
export const CONNECTED = 3;
/** Our last bytes are on their way; nothing that arrives is looked at. */
export const ENDING = 4;

/** From the CONNECT to the CONNACK. */
export const CONNACK_DEADLINE_MS = 30_000;
/** Bytes that wait for the socket until `writable` says no. */
export const OUTPUT_BYTES_MAX = 256 * 1024;

export class MqttClient implements LinkHandler, FrameSink, ServerPacketsSink, KeptAlive, Expirable {
  state = IDLE;
  /** What the server allows; null unless CONNECTED. */
  server: ServerLimits | null = null;
  /** Reason code the server ended it with, by CONNACK or DISCONNECT; 0 = none. Valid from `onClosed` to `open`. */
  endCode = 0;
  /** The connection ended without a word of the server's: a try costs next to nothing. Valid as `endCode` is. */
  unreached = false;
  readonly #dial: Dial;
  readonly #wheel: TimerWheel;
  readonly #handler: ClientHandler;
  readonly #packets: ServerPackets;
  readonly #keepAlive: KeepAlive;
  readonly #connackTimer = new Timer(this, 0);
  readonly #connack = new ConnackView();
  readonly #owed = new OwedAcks();
  #reader: FrameReader;
  #options: ClientOptions | null = null;
  #target: DialTarget | null = null;
  #dialling: Dialing | null = null;
  #link: Link | null = null;
  #rungs: readonly Rung[] = [];
  #place: LadderPlace = { rung: 0, proven: false };
  #version: number = MQTT_5;
  #why: string | null = null;

  constructor(dial: Dial, wheel: TimerWheel, handler: ClientHandler) {
    this.#dial = dial;
    this.#wheel = wheel;
    this.#handler = handler;
    this.#packets = new ServerPackets(this, handler);
    this.#keepAlive = new KeepAlive(wheel, this);
    this.#reader = new FrameReader(0, this);
  }

  /** "127.0.0.1:8883"; "" without a link. */
  get remote(): string {
    return this.#link?.remote ?? "";
  }

  /** Of ours; "" without a link. */
  get localAddress(): string {
    return this.#link?.localAddress ?? "";
  }

  /** The next `open` asks for an older version than the first did, which the server closed without an answer. */
  get asksDifferently(): boolean {
    return this.#place.rung > 0 && !this.#place.proven;
  }

  // ---- open and close ----------------------------------------------------------------------------------------

  /** Begins a connection; only while IDLE. @param place  of the server, where there are several */
  open(options: ClientOptions, target: DialTarget, place: LadderPlace = this.#place): void {
    this.#options = options;
    this.#target = target;
    this.#place = place;
    this.endCode = 0;
    this.unreached = false;
    this.#rungs = ladder(options);
    if (place.rung >= this.#rungs.length) place.rung = 0;
    this.#reader = new FrameReader(options.packetBytesMax, this);
    this.#dialNow();
  }

  /** Says goodbye and closes: `onClosed(null)` follows, at once if there is no link yet. No effect while IDLE. */
  close(): void {
    this.#sendDisconnect(NORMAL_DISCONNECTION);
    this.#end(null);
  }

  /** Ends the connection for a reason of the handler's, told to the server in 5.0. */
  fail(reasonCode: number, why: string): void {
    if (this.#version === MQTT_5) this.#sendDisconnect(reasonCode);
    this.#end(why);
  }

  #dialNow(): void {
    this.state = DIALLING;
    this.#dialling = this.#dial(this.#target as DialTarget, this.#onLink, this.#onDialError, this.#onConnecting);
  }

  readonly #onConnecting = (): void => this.#handler.onConnecting?.();

  readonly #onDialError = (error: Error): void => {
    this.unreached = error instanceof DialError && error.unreached;
    this.#closed(linkWords(error.message));
  };

  readonly #onLink = (link: Link): void => {
    this.#dialling = null;
    this.#link = link;
    this.state = CONNECTING;
    this.#reader.reset();
    this.#keepAlive.received = false;
    this.#owed.clear();
    link.handler = this;
    const options = this.#options as ClientOptions;
    const rung = this.#rungs[this.#place.rung] as Rung;
    this.#version = rung.version;
    const at = link.output.reserve(connectBytesMax(options));
    const end = encodeConnect(link.output.buffer, at, connectOptions(options, rung));
    if (end < 0) {
      this.#end("client id, user name or password is longer than 65,535 bytes");
      return;
    }
    link.output.commit(end);
    this.#wheel.schedule(this.#connackTimer, CONNACK_DEADLINE_MS);
  };

  #end(why: string | null): void {
    if (this.state === IDLE || this.state === ENDING) return;
    if (this.state === DIALLING) {
      this.#dialling?.cancel();
      this.#closed(why);
      return;
    }
    this.#why = why;
    this.state = ENDING;
    this.server = null;
    this.#stopTimers();
    this.#link?.end();
  }

  onClose(error: string | null): void {
    this.unreached = this.state === CONNECTING && !this.#keepAlive.received && this.#target?.tls === null;
    if (this.state === ENDING) {
      this.#closed(this.#why);
    } else if (this.state === CONNECTING && error === null) {
      // Some servers answer a version they do not know, or the bridge bit, by closing: the next try asks differently.
      if (!this.#place.proven) this.#place.rung = (this.#place.rung + 1) % this.#rungs.length;
      this.#closed("closed by the server without an answer to CONNECT");
    } else {
      this.#closed(linkWords(error ?? "closed by the server"));
    }
  }

  #closed(why: string | null): void {
    this.state = IDLE;
    this.server = null;
    this.#link = null;
    this.#dialling = null;
    this.#stopTimers();
    this.#handler.onClosed(why);
  }

  #stopTimers(): void {
    this.#wheel.cancel(this.#connackTimer);
    this.#keepAlive.stop();
  }

  /** The CONNACK stays away. */
  onTimer(): void {
    this.#end(`no answer to CONNECT within ${CONNACK_DEADLINE_MS / 1000} s`);
  }

  // ---- bytes in ----------------------------------------------------------------------------------------------

  onData(chunk: Buffer): void {
    this.#keepAlive.hears();
    if (this.state === CONNECTED || this.state === CONNECTING) this.#reader.read(chunk);
  }

  onDrain(): void {
    if (this.state === CONNECTED) this.#handler.onWritable();
  }

  onFrame(bytes: Buffer, type: number, flags: number, bodyAt: number, end: number): boolean {
    let code = MALFORMED_PACKET;
    if (areFlagsValid(this.#version, type, flags)) {
      if (this.state === CONNECTED) code = this.#packets.read(bytes, this.#version, type, flags, bodyAt, end);
      else code = type === CONNACK ? this.#onConnack(bytes, bodyAt, end) : PROTOCOL_ERROR;
    }
    if (code !== OK) this.#violated(code);
    return this.state === CONNECTED;
  }

  onUnreadable(reasonCode: number): void {
    this.#violated(reasonCode);
  }

  onOversize(bytes: Buffer, flags: number, bodyAt: number): boolean {
    if (this.state !== CONNECTED || this.#version === MQTT_5) {
      this.#violated(PROTOCOL_ERROR); // [MQTT5-3.1.2-24]
      return false;
    }
    const qos = (flags >> 1) & 3;
    if (qos > 0) {
      const packetId = readU16(bytes, bodyAt + 2 + readU16(bytes, bodyAt));
      const owed = this.#owed.owe(packetId, qos === 1 ? PUBACK : PUBREC);
      if (owed !== null) this.acknowledge(owed);
    }
    this.#handler.onOversize();
    return this.state === CONNECTED;
  }

  #violated(reasonCode: number): void {
    this.fail(reasonCode, `the server broke the protocol: ${reasonWords(reasonCode)}`);
  }

  #onConnack(bytes: Buffer, at: number, end: number): number {
    const view = this.#connack;
    const options = this.#options as ClientOptions;
    const code = decodeConnack(bytes, at, end, this.#version, view);
    if (code !== OK) return code;
    if (view.reasonCode === UNSUPPORTED_PROTOCOL_VERSION) this.#onVersionRefused();
    else if (view.reasonCode !== SUCCESS) this.#onRefused(bytes, view);
    else if (view.sessionPresent && options.cleanStart)
      return PROTOCOL_ERROR; // [MQTT311-3.2.2-1] [MQTT5-3.2.2-2]
    else {
      if (view.olderVersion) this.#version = MQTT_3_1_1;
      this.#place.proven = true;
      this.#wheel.cancel(this.#connackTimer);
      this.server = serverLimits(options, this.#version, bytes, view);
      this.state = CONNECTED;
      this.#keepAlive.start(pingSeconds(options, this.server));
      this.#handler.onConnected();
    }
    return OK;
  }

  #onRefused(bytes: Buffer, view: ConnackView): void {
    this.endCode = view.reasonCode;
    this.#end(withServerText(`refused: ${reasonWords(view.reasonCode)}`, bytes, view.properties));
  }

  /** Dials again to ask for an older version, or without the bridge bit; gives up at the end of the ladder. */
  #onVersionRefused(): void {
    const place = this.#place;
    place.rung = (place.rung + 1) % this.#rungs.length;
    place.proven = false;
    if (place.rung === 0) {
      this.endCode = UNSUPPORTED_PROTOCOL_VERSION;
      this.#end(`refused: ${reasonWords(UNSUPPORTED_PROTOCOL_VERSION)}`);
      return;
    }
    const link = this.#link as Link;
    this.#link = null;
    this.#stopTimers();
    link.handler = NO_HANDLER;
    link.end();
    this.#dialNow();
  }

  // ---- what packets say --------------------------------------------------------------------------------------

  onPublish(bytes: Buffer, view: PublishView): void {
    if (view.qos === 0) {
      this.#handler.onPublish(bytes, view, null);
      return;
    }
    const owed = this.#owed.owe(view.packetId, view.qos === 1 ? PUBACK : PUBREC);
    if (owed !== null) this.#handler.onPublish(bytes, view, owed);
  }

  onDisconnect(why: string, reasonCode: number): void {
    this.endCode = reasonCode;
    this.#end(why);
  }

  // ---- packets out -------------------------------------------------------------------------------------------

  /** Whether more should be written now; when not, `onWritable` follows. */
  get writable(): boolean {
    return this.state === CONNECTED && this.#link?.output.hasRoom(OUTPUT_BYTES_MAX) === true;
  }

  get unsentBytes(): number {
    return (this.#link?.output.pendingBytes ?? 0) + (this.#link?.sendQueueBytes?.() ?? 0);
  }

  get awaitsAnswer(): boolean | undefined {
    return this.#handler.awaitsAnswer;
  }

  /** For whoever writes a packet of their own, now. Only while CONNECTED. */
  get output(): Link["output"] {
    this.#keepAlive.sent = true;
    return (this.#link as Link).output;
  }

  /** The handler is done with a message: PUBACK or PUBREC leaves, in order of arrival. An earlier connection's is ignored. */
  acknowledge(owed: Owed): void {
    owed.due = true;
    for (let due = this.#owed.shiftDue(); due !== undefined; due = this.#owed.shiftDue()) {
      if (due.taken) this.#sendAck(due.type, due.packetId, SUCCESS);
    }
    if (this.#owed.finished) this.fail(QUOTA_EXCEEDED, "more came at once than could be taken");
  }

  /** The handler cannot take the newest message: it comes again on the next connection (owed.ts). */
  refuse(owed: Owed): void {
    this.#owed.refuse(owed);
    this.acknowledge(owed);
  }

  sendPubrel(packetId: number, reasonCode: number = SUCCESS): void {
    this.#sendAck(PUBREL, packetId, reasonCode);
  }

  sendPubcomp(packetId: number, reasonCode: number): void {
    this.#sendAck(PUBCOMP, packetId, reasonCode);
  }

  #sendAck(type: number, packetId: number, reasonCode: number): void {
    if (this.state === CONNECTED) sendAck(this.output, this.#version, type, packetId, reasonCode);
  }

  /** For handlers that cannot take more; never the uplink's, as it would hide acknowledgements. */
  setReading(on: boolean): void {
    if (on) this.#link?.resume();
    else this.#link?.pause();
  }

  get paused(): boolean {
    return this.#link?.paused ?? false;
  }

  sendPingreq(): void {
    sendPingreq(this.output);
  }

  #sendDisconnect(reasonCode: number): void {
    if (this.state === CONNECTED) sendDisconnect(this.output, this.#version, reasonCode);
  }

  onDead(): void {
    this.fail(KEEP_ALIVE_TIMEOUT, "no sign of life from the server");
  }
}
