/**
 * A broker in the test's hand: what the client wrote as packets, and packets for it to read, over links without a
 * socket. Time is a ManualClock; nothing happens that the test did not do.
 */
import assert from "node:assert/strict";
import { ManualClock } from "../../../src/base/clock.ts";
import { Counters } from "../../../src/base/counters.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { type Dial, DialError, type DialTarget } from "../../../src/transport/dialer.ts";
import { Flusher } from "../../../src/transport/flusher.ts";
import { type Link, type LinkHandler, NO_HANDLER } from "../../../src/transport/link.ts";
import { Output, type OutputOwner, type Writer } from "../../../src/transport/output.ts";
import { outputMemory } from "../../../src/transport/output-buffers.ts";
import { AckView, decodeAck, writeAck } from "../../../src/wire/mqtt/ack.ts";
import * as codes from "../../../src/wire/mqtt/codes.ts";
import { writeConnack } from "../../../src/wire/mqtt/connack.ts";
import { ConnectView, decodeConnect } from "../../../src/wire/mqtt/connect.ts";
import { DisconnectView, decodeDisconnect, writeDisconnect } from "../../../src/wire/mqtt/disconnect.ts";
import { FrameHeader, readFrameHeader } from "../../../src/wire/mqtt/frame.ts";
import { PropertiesWriter } from "../../../src/wire/mqtt/properties.ts";
import { decodePublish, PublishView, writePublish } from "../../../src/wire/mqtt/publish.ts";
import { writeSuback } from "../../../src/wire/mqtt/suback.ts";
import { decodeSubscribeHead, nextSubscription, SubscribeView } from "../../../src/wire/mqtt/subscribe.ts";
import { decodeUnsubscribeHead, nextUnsubscription, UnsubscribeView } from "../../../src/wire/mqtt/unsubscribe.ts";

/** A packet of the client's, with the fields that tests look at. */
export interface Packet {
  readonly type: number;
  readonly packetId: number;
  readonly reasonCode: number;
  readonly dup: boolean;
  readonly qos: number;
  readonly retain: boolean;
  readonly topic: string;
  readonly payload: string;
  readonly properties: Buffer;
  readonly expirySeconds: number;
  readonly filters: readonly {
    filter: string;
    qos: number;
    noLocal: boolean;
    retainAsPublished: boolean;
    retainHandling: number;
  }[];
  /** Of a SUBSCRIBE; 0 = none. */
  readonly subscriptionId: number;
  readonly connect: Connect | null;
  /** Its length on the wire. */
  readonly bytes: number;
}

export interface Connect {
  readonly version: number;
  readonly bridge: boolean;
  readonly clientId: string;
  readonly cleanStart: boolean;
  readonly keepAliveSeconds: number;
  readonly userName: string | null;
  readonly password: string | null;
  readonly sessionExpirySeconds: number;
  readonly receiveMaximum: number;
  readonly maximumPacketSize: number;
}

export class FakeServer {
  readonly clock = new ManualClock();
  readonly wheel = new TimerWheel(this.clock, 50);
  readonly flusher = new Flusher(1024 * 1024, outputMemory(1), new Counters());
  readonly dials: DialTarget[] = [];
  #onLink: ((link: Link) => void) | null = null;
  #onError: ((error: Error) => void) | null = null;
  #onConnecting: (() => void) | undefined;

  readonly dial: Dial = (target, onLink, onError, onConnecting) => {
    assert.equal(this.#onLink, null, "one dial at a time");
    this.dials.push(target);
    this.#onLink = onLink;
    this.#onError = onError;
    this.#onConnecting = onConnecting;
    return {
      cancel: () => {
        this.#onLink = null;
      },
    };
  };

  get dialling(): boolean {
    return this.#onLink !== null;
  }

  /** The name of the server that is dialled is known. */
  resolve(): void {
    this.#onConnecting?.();
    this.#onConnecting = undefined;
  }

  /** The dial succeeds. */
  accept(): FakeConnection {
    const onLink = this.#onLink;
    assert(onLink !== null, "somebody dials");
    this.resolve();
    this.#onLink = null;
    const connection = new FakeConnection(this.flusher);
    onLink(connection);
    return connection;
  }

  /** The dial fails. @param unreached nobody has answered */
  refuse(words: string, unreached = false): void {
    const onError = this.#onError;
    assert(this.#onLink !== null && onError !== null, "somebody dials");
    this.#onLink = null;
    onError(new DialError(words, unreached));
  }

  /** Moves the clock in small steps, so that timers fire in order. */
  advance(ms: number): void {
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(Math.min(50, left));
      this.wheel.tick();
    }
  }
}

const EMPTY = Buffer.alloc(0);

/** The server's end of a link. */
export class FakeConnection implements Link, Writer, OutputOwner {
  readonly remote = "fake:1883";
  readonly remoteAddress = "fake";
  readonly localAddress = "10.0.0.2";
  readonly loopback = true;
  readonly certificateName = null;
  readonly output: Output;
  handler: LinkHandler = NO_HANDLER;
  paused = false;
  /** The client called `end`. */
  ended = false;
  closed = false;
  /** Bytes that the kernel has and the peer has not acknowledged; set by the test. */
  sendQueue = 0;
  /** Bytes that a slow socket has not taken; set by the test. */
  writableLength = 0;
  version = 5;
  #written: Buffer = EMPTY;

  constructor(flusher: Flusher) {
    this.output = new Output(flusher, this, this);
  }

  // ---- Link, Writer, OutputOwner
  sendQueueBytes(): number {
    return this.sendQueue;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.output.flush();
    this.ended = true;
  }

  destroy(): void {
    this.ended = true;
  }

  write(bytes: Buffer): void {
    this.#written = Buffer.concat([this.#written, bytes]);
  }

  onEmpty(): void {
    if (!this.closed && !this.ended) this.handler.onDrain();
  }

  onOverflow(): void {}

  // ---- the test's side

  /** The link closes. @param error null: in order */
  drop(error: string | null = null): void {
    if (this.closed) return;
    this.closed = true;
    this.output.drop();
    this.handler.onClose(error);
  }

  /** The turn of the event loop ends: what was written leaves, the client hears of it. */
  turn(): void {
    this.output.endTurn();
  }

  /** Sends bytes, in one chunk. */
  send(...parts: Buffer[]): void {
    assert(!this.closed, "the link is open");
    this.handler.onData(Buffer.concat(parts));
  }

  /** What the client sent since the last call. */
  take(): Packet[] {
    if (!this.closed) this.output.flush();
    const packets: Packet[] = [];
    let from = 0;
    const header = new FrameHeader();
    while (from < this.#written.length) {
      assert.equal(readFrameHeader(this.#written, from, this.#written.length, header), codes.OK);
      assert(header.end <= this.#written.length, "whole packets");
      packets.push({ ...this.#decode(this.#written, header), bytes: header.end - from });
      from = header.end;
    }
    this.#written = EMPTY;
    return packets;
  }

  /** The client sent exactly one packet, of this type. */
  takeOne(type: number): Packet {
    const packets = this.take();
    assert.deepEqual(
      packets.map((packet) => packet.type),
      [type],
    );
    return packets[0] as Packet;
  }

  connack(options: { present?: boolean; code?: number; properties?: PropertiesWriter } = {}): void {
    const out = Buffer.alloc(256);
    const end = writeConnack(
      out,
      0,
      this.version,
      options.present ?? false,
      options.code ?? 0,
      options.properties ?? null,
    );
    this.send(out.subarray(0, end));
  }

  ack(type: number, packetId: number, reasonCode = 0): Buffer {
    const out = Buffer.alloc(8);
    return out.subarray(0, writeAck(out, 0, this.version, type, packetId, reasonCode));
  }

  puback(packetId: number, reasonCode = 0): void {
    this.send(this.ack(codes.PUBACK, packetId, reasonCode));
  }

  publish(topic: string, payload: string, qos = 0, packetId = 0, options: PublishOptions = {}): Buffer {
    const out = Buffer.alloc(
      64 + Buffer.byteLength(topic) + Buffer.byteLength(payload) + (options.properties?.length ?? 0),
    );
    const t = Buffer.from(topic);
    const p = Buffer.from(payload);
    const block = options.properties ?? EMPTY;
    const end = writePublish(
      out,
      0,
      this.version,
      options.dup ?? false,
      qos,
      options.retain ?? false,
      packetId,
      t,
      0,
      t.length,
      block,
      0,
      block.length,
      p,
      0,
      p.length,
    );
    return out.subarray(0, end);
  }

  suback(packetId: number, granted: readonly number[]): Buffer {
    const out = Buffer.alloc(64);
    return out.subarray(0, writeSuback(out, 0, this.version, packetId, Uint8Array.from(granted), granted.length));
  }

  disconnect(reasonCode: number): void {
    const out = Buffer.alloc(16);
    this.send(out.subarray(0, writeDisconnect(out, 0, this.version, reasonCode, null)));
  }

  #decode(bytes: Buffer, header: FrameHeader): Packet {
    const { type, flags, bodyAt, end } = header;
    const blank: Packet = { ...BLANK, type };
    switch (type) {
      case codes.CONNECT:
        return { ...blank, connect: this.#decodeConnect(bytes, bodyAt, end) };
      case codes.PUBLISH: {
        const view = new PublishView();
        assert.equal(decodePublish(bytes, flags, bodyAt, end, this.version, view), codes.OK);
        return {
          ...blank,
          packetId: view.packetId,
          dup: view.dup,
          qos: view.qos,
          retain: view.retain,
          topic: text(bytes, view.topicAt, view.topicLength),
          payload: text(bytes, view.payloadAt, view.payloadLength),
          properties: Buffer.from(bytes.subarray(view.propertiesAt, view.propertiesAt + view.propertiesLength)),
          expirySeconds: view.messageExpirySeconds,
        };
      }
      case codes.PUBACK:
      case codes.PUBREC:
      case codes.PUBREL:
      case codes.PUBCOMP: {
        const view = new AckView();
        assert.equal(decodeAck(bytes, type, flags, bodyAt, end, this.version, view), codes.OK);
        return { ...blank, packetId: view.packetId, reasonCode: view.reasonCode };
      }
      case codes.SUBSCRIBE: {
        const view = new SubscribeView();
        assert.equal(decodeSubscribeHead(bytes, bodyAt, end, this.version, view), codes.OK);
        const filters = [];
        while (nextSubscription(bytes, view) === codes.OK) {
          const { qos, noLocal, retainAsPublished, retainHandling } = view;
          filters.push({
            filter: text(bytes, view.filterAt, view.filterLength),
            qos,
            noLocal,
            retainAsPublished,
            retainHandling,
          });
        }
        return { ...blank, packetId: view.packetId, subscriptionId: view.subscriptionIdentifier, filters };
      }
      case codes.UNSUBSCRIBE: {
        const view = new UnsubscribeView();
        assert.equal(decodeUnsubscribeHead(bytes, bodyAt, end, this.version, view), codes.OK);
        const filters = [];
        while (nextUnsubscription(bytes, view) === codes.OK) {
          filters.push({ ...NO_OPTIONS, filter: text(bytes, view.filterAt, view.filterLength) });
        }
        return { ...blank, packetId: view.packetId, filters };
      }
      case codes.DISCONNECT: {
        const view = new DisconnectView();
        assert.equal(decodeDisconnect(bytes, bodyAt, end, this.version, view), codes.OK);
        return { ...blank, reasonCode: view.reasonCode };
      }
      default:
        assert.equal(type, codes.PINGREQ);
        return blank;
    }
  }

  #decodeConnect(bytes: Buffer, bodyAt: number, end: number): Connect {
    const view = new ConnectView();
    assert.equal(decodeConnect(bytes, bodyAt, end, view), codes.OK);
    this.version = view.version;
    return {
      version: view.version,
      bridge: view.bridge,
      clientId: text(bytes, view.clientIdAt, view.clientIdLength),
      cleanStart: view.cleanStart,
      keepAliveSeconds: view.keepAliveSeconds,
      userName: view.hasUserName ? text(bytes, view.userNameAt, view.userNameLength) : null,
      password: view.hasPassword ? text(bytes, view.passwordAt, view.passwordLength) : null,
      sessionExpirySeconds: view.properties.sessionExpirySeconds,
      receiveMaximum: view.properties.receiveMaximum,
      maximumPacketSize: view.properties.maximumPacketSize,
    };
  }
}

interface PublishOptions {
  dup?: boolean;
  retain?: boolean;
  properties?: Buffer;
}

const NO_OPTIONS = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 };

const BLANK: Packet = {
  type: 0,
  packetId: 0,
  reasonCode: 0,
  dup: false,
  qos: 0,
  retain: false,
  topic: "",
  payload: "",
  properties: EMPTY,
  expirySeconds: -1,
  filters: [],
  subscriptionId: 0,
  connect: null,
  bytes: 0,
};

function text(bytes: Buffer, at: number, length: number): string {
  return bytes.toString("utf8", at, at + length);
}

/** A property block. */
export function properties(fill: (writer: PropertiesWriter) => void): PropertiesWriter {
  const writer = new PropertiesWriter();
  fill(writer);
  return writer;
}
