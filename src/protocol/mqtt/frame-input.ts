/**
 * Finds the packets in the bytes of a connection. A chunk is read where it lies; only a packet that straddles two
 * chunks, or that has to be looked at again later (HOLD), is copied into `#rest`, whose bytes come out of the room of
 * all connections (input-room.ts).
 *
 *     chunk | ...end of a packet | packet | packet | begin of a pac... |
 *             └─ behind #rest      in place           └─ copied to #rest
 */
import type { Counter } from "../../base/counters.ts";
import type { HeldBytes } from "../../transport/link.ts";
import { NEED_MORE, OK, PACKET_TOO_LARGE, QUOTA_EXCEEDED } from "../../wire/mqtt/codes.ts";
import { type FrameHeader, readFrameHeader } from "../../wire/mqtt/frame.ts";
import type { RoomHolder } from "./input-room.ts";
import { overLimit } from "./over-limit.ts";
import { because } from "./reason-words.ts";
import type { MqttServer } from "./server.ts";
import { HOLD, PART } from "./states.ts";
import { WORK_PER_READ, workOf } from "./work.ts";

/** Work of what cannot wait. */
const UNBOUNDED = Number.POSITIVE_INFINITY;
/** First size of `#rest`: it grows with what arrives, never ahead of it by more than a factor of two. */
const REST_BYTES_MIN = 256;
const NOTHING = Buffer.alloc(0);

export interface PacketHandler {
  /** One whole packet, valid until it returns. @returns OK, HOLD, PART, or the reason to close with */
  onPacket(bytes: Buffer, frameAt: number, type: number, flags: number, at: number, end: number): number;
  /** Its share of the turn is used up. @returns false when the rest cannot wait, and is handled now (Link.putBack) */
  putBack(bytes: Buffer, from: number, end: number): boolean;
  /** The stream cannot go on. @param type of the packet */
  onUnreadable(reasonCode: number, type: number): void;
  readonly closed: boolean;
  /** Its login is over: what it holds, it holds for us. */
  readonly entered: boolean;
}

export class FrameInput implements RoomHolder, HeldBytes {
  readonly #server: MqttServer;
  readonly #handler: PacketHandler;
  #rest: Buffer | null = null;
  #restLength = 0;
  /** `#readPackets` stopped because its share of the turn is used up. */
  #cut = false;
  /** Of the present go. */
  #workLeft = WORK_PER_READ;
  /** What is in `#rest` was cut; the link calls again in a turn to come. */
  #hasTurn = false;
  /** Bytes that the transport keeps of a message that is not whole. */
  #outside = 0;
  waitsSinceMs = 0;

  constructor(server: MqttServer, handler: PacketHandler) {
    this.#server = server;
    this.#handler = handler;
  }

  /** Bytes that wait: an incomplete packet, or held ones. */
  get waiting(): number {
    return this.#restLength;
  }

  /** @param goesOn the work that the chunks before have left is all there is */
  read(chunk: Buffer, goesOn = false): void {
    let from = 0;
    let refused = false;
    if (!goesOn) this.#workLeft = WORK_PER_READ;
    this.#hasTurn = false;
    if (this.#rest !== null) {
      from = this.#fillRest(chunk);
      if (from < 0 || this.#handler.closed) return;
      // Its first packet waits in `#rest` for its next turn, what is behind it in the link.
      if (this.#cut && this.#waits(chunk, from)) return;
    }
    let at = from;
    // Holding again: what follows waits behind it.
    if (this.#rest === null) {
      at = this.#readPackets(chunk, from, chunk.length, this.#workLeft);
      if (this.#cut) {
        this.#cut = false;
        if (this.#handler.putBack(chunk, at, chunk.length)) return;
        refused = true;
        at = this.#readPackets(chunk, at, chunk.length, UNBOUNDED);
      }
    }
    if (this.#handler.closed) return;
    if (at < chunk.length) this.#keep(chunk, at, chunk.length);
    // Chunks of a packet each are never cut: then the next one waits.
    if (goesOn && this.#workLeft <= 0 && !refused) this.#handler.putBack(NOTHING, 0, 0);
  }

  /** Looks again at what waits. */
  readAgain(): void {
    if (this.#restLength === 0 || this.#hasTurn) return;
    this.#workLeft = WORK_PER_READ;
    this.#readRest(WORK_PER_READ);
    if (this.#cut) this.#waits(NOTHING, 0);
  }

  /** `#rest` was cut. @returns whether it waits, and `chunk[from..)` behind it; otherwise it is dealt with now */
  #waits(chunk: Buffer, from: number): boolean {
    this.#cut = false;
    this.#hasTurn =
      from === chunk.length ? this.#handler.putBack(NOTHING, 0, 0) : this.#handler.putBack(chunk, from, chunk.length);
    if (this.#hasTurn) return true;
    this.#readRest(UNBOUNDED);
    return this.#handler.closed;
  }

  /** What the transport keeps comes out of the same room (HeldBytes). */
  hold(bytes: number): void {
    const { input, parts } = this.#server;
    const more = bytes - this.#outside;
    if (this.#handler.closed) return;
    if (more <= 0) {
      input.give(-more);
      this.#outside = bytes;
      if (bytes === 0 && this.#rest === null) input.done(this);
      return;
    }
    const nowMs = parts.time.nowMs();
    if (!input.take(more, nowMs)) {
      this.#handler.onUnreadable(because(this.#server, QUOTA_EXCEEDED, "no room for incomplete packets"), 0);
      return;
    }
    if (this.#handler.closed) {
      // It had to make room itself.
      input.give(more);
      return;
    }
    if (this.#outside === 0 && this.#rest === null) {
      this.waitsSinceMs = nowMs;
      input.wait(this);
    }
    this.#outside = bytes;
  }

  /** Gives the memory back. */
  forget(): void {
    if (this.#rest !== null || this.#outside > 0) {
      this.#server.input.give((this.#rest?.length ?? 0) + this.#outside);
      this.#server.input.done(this);
    }
    this.#outside = 0;
    this.#rest = null;
    this.#restLength = 0;
  }

  evict(): void {
    this.#handler.onUnreadable(
      because(this.#server, QUOTA_EXCEEDED, "no room for incomplete packets, and this one waits for longest"),
      0,
    );
  }

  /**
   * Handles the whole packets in `bytes[from..end)`, as many as `work` units are enough for: then it is `#cut`.
   * @returns the index of the first one not dealt with
   */
  #readPackets(bytes: Buffer, from: number, end: number, work: number): number {
    const { header, traffic } = this.#server;
    const { received, publishesSent } = traffic;
    let at = from;
    // What is sent on the way comes closer to it, what is received brings it closer.
    let workEnd = publishesSent.value + work;
    while (at < end) {
      const code = readFrameHeader(bytes, at, end, header);
      if (code === NEED_MORE) return at;
      if (code !== OK) {
        this.#handler.onUnreadable(code, header.type);
        return end;
      }
      // [MQTT5-3.1.2-24]'s other direction: what is larger than we announced is refused before it is read.
      if (header.end - at > this.#server.limits.maxPacketBytes) {
        this.#refuseLarge(header, header.end - at);
        return end;
      }
      if (header.end > end) return at;
      const next = header.end;
      const answer = this.#handler.onPacket(bytes, at, header.type, header.flags, header.bodyAt, next);
      if (answer === HOLD) {
        this.#keep(bytes, at, end, this.#handler.entered);
        return end;
      }
      if (answer === PART) {
        if (this.#handler.closed) return end;
        if (work === UNBOUNDED) continue;
        this.#cut = true;
        this.#workLeft = 0;
        return at;
      }
      const first = bytes[at] as number;
      (received[first >> 4] as Counter).value++;
      if (answer !== OK) this.#handler.onUnreadable(answer, first >> 4);
      if (this.#handler.closed) return end;
      workEnd -= workOf(first, next - at);
      at = next;
      this.#workLeft = workEnd - publishesSent.value;
      if (this.#workLeft <= 0 && at < end) {
        this.#cut = true;
        return at;
      }
    }
    return at;
  }

  /** Completes the packet in `#rest` from the chunk and handles it. @returns where to go on in the chunk, -1 = not yet */
  #fillRest(chunk: Buffer): number {
    const header = this.#server.header;
    let from = 0;
    for (;;) {
      const rest = this.#rest as Buffer;
      const code = readFrameHeader(rest, 0, this.#restLength, header);
      // With a header not whole yet, one byte more at a time; a header has at most five.
      const wanted = code === OK ? header.end : this.#restLength + 1;
      if (code !== OK && code !== NEED_MORE) {
        this.#handler.onUnreadable(code, header.type);
        return -1;
      }
      if (code === OK && wanted <= this.#restLength) break;
      if (code === OK && wanted > this.#server.limits.maxPacketBytes) {
        this.#refuseLarge(header, wanted);
        return -1;
      }
      const take = Math.min(wanted - this.#restLength, chunk.length - from);
      if (take === 0) return -1;
      if (!this.#append(chunk, from, from + take, wanted)) return -1;
      from += take;
    }
    this.#readRest(this.#workLeft);
    return from;
  }

  /** Handles what is whole in `#rest`. */
  #readRest(work: number): void {
    const rest = this.#rest as Buffer;
    const length = this.#restLength;
    this.forget();
    const at = this.#readPackets(rest, 0, length, work);
    if (at === length || this.#handler.closed) this.#cut = false;
    else if (at > 0 || !this.#cut) this.#keep(rest, at, length, this.#cut);
    else this.#takeBack(rest, length);
  }

  /** As `#keep`, of what is in a buffer of its own: a long packet that goes on in many turns is not copied for each. */
  #takeBack(rest: Buffer, length: number): void {
    this.#server.input.takeAnyway(rest.length);
    this.#rest = rest;
    this.#restLength = length;
  }

  #refuseLarge({ type }: FrameHeader, bytes: number): void {
    const words = `packet of ${bytes} bytes: limits.max_packet_bytes is ${this.#server.limits.maxPacketBytes}`;
    this.#handler.onUnreadable(overLimit(this.#server, PACKET_TOO_LARGE, "max_packet_bytes", words), type);
  }

  /**
   * Copies `bytes[from..end)` for later.
   * @param held a whole packet that waits for us, not for its peer
   */
  #keep(bytes: Buffer, from: number, end: number, held = false): void {
    const begins = this.#rest === null;
    if (!this.#append(bytes, from, end, end - from) || !begins || held) return;
    this.waitsSinceMs = this.#server.parts.time.nowMs();
    this.#server.input.wait(this);
  }

  /** @param wanted bytes of the packet, as far as known: sizes the buffer, but never far beyond what has arrived */
  #append(bytes: Buffer, from: number, end: number, wanted: number): boolean {
    const length = this.#restLength + end - from;
    const capacity = this.#rest === null ? 0 : this.#rest.length;
    if (length > capacity) {
      const size = Math.max(length, Math.min(wanted, Math.max(2 * capacity, REST_BYTES_MIN)));
      const { input, parts } = this.#server;
      const more = size - capacity;
      if (!input.take(more, parts.time.nowMs())) {
        this.#handler.onUnreadable(because(this.#server, QUOTA_EXCEEDED, "no room for incomplete packets"), 0);
        return false;
      }
      if (this.#handler.closed) {
        // It had to make room itself.
        input.give(more);
        return false;
      }
      const grown = Buffer.allocUnsafeSlow(size);
      this.#rest?.copy(grown, 0, 0, this.#restLength);
      this.#rest = grown;
    }
    bytes.copy(this.#rest as Buffer, this.#restLength, from, end);
    this.#restLength = length;
    return true;
  }
}
