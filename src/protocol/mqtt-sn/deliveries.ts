/**
 * What goes to one client and waits for its answer: one exchange at a time, the rest held behind it.
 *
 *     session ── send ──> known topic, nothing before it ──────────────> PUBLISH
 *                    └──> held ── REGISTER ── REGACK ──> PUBLISH ──> PUBACK, or PUBREC, PUBREL, PUBCOMP
 *
 * An unanswered message is sent again after RETRY_MS, RETRIES_MAX times. While the client sleeps nothing is sent.
 *
 * @see MQTT-SN 1.2 sections 6.10, 6.13 and 6.14
 */
import { copyBytes } from "../../base/copy-bytes.ts";
import { type Expirable, Timer } from "../../base/timer-wheel.ts";
import {
  ACCEPTED,
  FLAG_DUP,
  FLAG_RETAIN,
  PUBACK,
  PUBCOMP,
  PUBREC,
  PUBREL,
  REGACK,
  REJECTED_CONGESTION,
  REJECTED_INVALID_TOPIC_ID,
} from "../../wire/mqtt-sn/codes.ts";
import {
  flagsOf,
  PUBLISH_OVERHEAD_MAX,
  REGISTER_OVERHEAD_MAX,
  writeMsgId,
  writePublish,
  writeRegister,
} from "../../wire/mqtt-sn/encode.ts";
import type { Client } from "./client.ts";
import { HELD_MAX, RETRIES_MAX, RETRY_MS } from "./limits.ts";
import { idOfRef, NO_REF, typeOfRef } from "./topic-ids.ts";

/** Of a held message besides its bytes; 339 measured, most of it node's buffer. */
const HELD_BYTES = 344;

/** A message on its way; with `released`, the PUBREL that follows it. */
interface Held {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: number;
  readonly retain: boolean;
  readonly msgId: number;
  dup: boolean;
  readonly released: boolean;
  /** The client did not know its topic id, and was told another one. */
  corrected: boolean;
}

export class Deliveries implements Expirable {
  readonly #client: Client;
  readonly #held: Held[] = [];
  #heldBytes = 0;
  /** What the client has to answer. */
  #current: Held | null = null;
  /** The message that answers it: REGACK, PUBACK, PUBREC or PUBCOMP. */
  #awaits = 0;
  #registerMsgId = 0;
  #registerTopicId = 0;
  #tries = 0;
  readonly #timer = new Timer(this, 0);

  constructor(client: Client) {
    this.#client = client;
  }

  get hasRoom(): boolean {
    return this.#held.length < HELD_MAX && this.#client.server.held.used < this.#client.server.held.bytesMax;
  }

  get crowded(): boolean {
    return this.#held.length > HELD_MAX / 2;
  }

  /** The client is being told a topic id; whether it has heard is not known. */
  get #registers(): boolean {
    return this.#current !== null && this.#awaits === REGACK;
  }

  /** The client connects again: an id that it has not acknowledged stands for nothing. */
  unregister(): void {
    if (this.#registers) this.#client.topics.forget(this.#current?.topic ?? "");
  }

  /** Nothing is under way. */
  get idle(): boolean {
    return this.#current === null && this.#held.length === 0;
  }

  /** Takes one PUBLISH; at QoS 0 it goes at once if its topic is known and nothing is before it. */
  send(
    bytes: Buffer,
    topicFrom: number,
    topicEnd: number,
    payloadFrom: number,
    payloadEnd: number,
    qos: number,
    retain: boolean,
    msgId: number,
    dup: boolean,
  ): void {
    const { server, topics, quiet } = this.#client;
    const payloadLength = payloadEnd - payloadFrom;
    const topic = bytes.toString("utf8", topicFrom, topicEnd);
    const tooLong = Math.max(payloadLength + PUBLISH_OVERHEAD_MAX, topicEnd - topicFrom + REGISTER_OVERHEAD_MAX);
    if (tooLong > server.messageBytesMax(this.#client.peer)) {
      this.#client.giveUp(topic, qos, msgId, "too-large");
      return;
    }
    if (qos === 0 && !quiet && this.#held.length === 0 && !this.#registers) {
      const ref = topics.refOf(topic);
      if (ref !== NO_REF) {
        const flags = flagsOf(0, typeOfRef(ref) | (retain ? FLAG_RETAIN : 0));
        const out = server.room(payloadLength + PUBLISH_OVERHEAD_MAX);
        this.#client.write(writePublish(out, 0, flags, idOfRef(ref), 0, bytes, payloadFrom, payloadLength));
        server.publishesSent.value++;
        return;
      }
    }
    const payload = Buffer.allocUnsafeSlow(payloadLength);
    copyBytes(bytes, payloadFrom, payloadLength, payload, 0);
    this.#hold({ topic, payload, qos, retain, msgId, dup, released: false, corrected: false });
  }

  /** PUBREL: it takes the place of the message, or its turn. */
  release(msgId: number): void {
    this.#hold({
      topic: "",
      payload: NOTHING,
      qos: 2,
      retain: false,
      msgId,
      dup: false,
      released: true,
      corrected: false,
    });
  }

  /** Sends what may go. */
  flush(): void {
    while (!this.#client.quiet && this.#current === null) {
      const next = this.#held[0];
      if (next === undefined) return;
      this.#begin(next);
    }
  }

  /** The client is awake: what it has not answered goes again. */
  resume(): void {
    this.#tries = 0;
    if (this.#current === null) this.flush();
    else this.#transmit(true);
  }

  /** The client sleeps: nobody answers. */
  pause(): void {
    this.#client.server.parts.wheel.cancel(this.#timer);
  }

  /** The client is gone. @returns how many messages of QoS 0 were held, which are lost */
  end(): number {
    this.pause();
    let lost = 0;
    for (const { qos } of this.#held) if (qos === 0) lost++;
    this.#held.length = 0;
    this.#current = null;
    this.#client.server.held.give(this.#heldBytes);
    this.#heldBytes = 0;
    return lost;
  }

  // ---- answers -----------------------------------------------------------------------------------------------

  onRegack(msgId: number, topicId: number, code: number): void {
    const current = this.#current;
    if (current === null || !this.#registers || msgId !== this.#registerMsgId) return;
    if (topicId !== this.#registerTopicId) return;
    if (code === REJECTED_CONGESTION) {
      this.#tries = 0; // it is there; later again, which the timer does
      return;
    }
    this.#settle();
    if (code === ACCEPTED) {
      this.#held.unshift(current);
    } else {
      this.#give(current);
      this.#client.onTopicRejected(current.topic);
      this.#client.giveUp(current.topic, current.qos, current.msgId, "refused");
    }
    this.flush();
  }

  onPuback(msgId: number, topicId: number, code: number): void {
    const current = this.#current;
    const { topics } = this.#client;
    if (current === null || current.msgId !== msgId || msgId === 0) {
      // Of a message of QoS 0, perhaps: the next to its topic is announced.
      const unknown = code === REJECTED_INVALID_TOPIC_ID ? topics.find(0, topicId) : null;
      if (unknown !== null) topics.forget(unknown);
      return;
    }
    if (this.#awaits !== PUBACK && (this.#awaits !== PUBREC || code === ACCEPTED)) return;
    if (code === REJECTED_CONGESTION) {
      this.#tries = 0;
      return;
    }
    this.#settle();
    if (code === REJECTED_INVALID_TOPIC_ID && !current.corrected) {
      current.corrected = true;
      topics.forget(current.topic);
      this.#held.unshift(current);
    } else {
      this.#give(current);
      this.#client.onAnswered(msgId, code === ACCEPTED ? 0 : 0x83);
    }
    this.flush();
  }

  onPubrec(msgId: number): boolean {
    const current = this.#current;
    if (current?.msgId !== msgId || this.#awaits !== PUBREC) return false;
    this.#settle();
    this.#give(current);
    return true;
  }

  onPubcomp(msgId: number): boolean {
    const current = this.#current;
    if (current?.msgId !== msgId || this.#awaits !== PUBCOMP) return false;
    this.#settle();
    this.#give(current);
    return true;
  }

  onTimer(): void {
    if (this.#current === null || this.#client.asleep) return;
    if (this.#tries >= RETRIES_MAX) {
      this.#client.lose("unanswered");
      return;
    }
    this.#tries++;
    this.#client.server.retries.value++;
    const current = this.#current;
    const isPublish = this.#awaits === PUBACK || this.#awaits === PUBREC;
    if (isPublish && this.#client.topics.refOf(current.topic) === NO_REF) {
      // The client has forgotten its id meanwhile.
      this.#current = null;
      this.#held.unshift(current);
      this.flush();
    } else {
      this.#transmit(true);
    }
  }

  // ------------------------------------------------------------------------------------------------------------

  #hold(held: Held): void {
    if (held.qos === 0 && !this.hasRoom) {
      this.#client.server.heldDropped.value++;
      return;
    }
    this.#take(held);
    if (held.released) this.#held.unshift(held);
    else this.#held.push(held);
    this.flush();
  }

  #take(held: Held): void {
    const bytes = bytesOf(held);
    this.#heldBytes += bytes;
    // What the session's window let out is bounded by that.
    this.#client.server.held.takeAnyway(bytes);
  }

  #give(held: Held): void {
    const bytes = bytesOf(held);
    this.#heldBytes -= bytes;
    this.#client.server.held.give(bytes);
  }

  /** The first of what is held goes out, announced first if need be. */
  #begin(held: Held): void {
    const { topics } = this.#client;
    if (held.released) {
      this.#await(held, PUBCOMP);
    } else if (topics.refOf(held.topic) === NO_REF) {
      const id = topics.register(held.topic);
      if (id === 0) {
        this.#shift(held);
        this.#give(held);
        this.#client.giveUp(held.topic, held.qos, held.msgId, "output-full");
        return;
      }
      this.#registerTopicId = id;
      this.#registerMsgId = this.#client.nextMsgId();
      this.#await(held, REGACK);
    } else if (held.qos === 0) {
      this.#writePublish(held);
      this.#shift(held);
      this.#give(held);
      return;
    } else {
      this.#await(held, held.qos === 1 ? PUBACK : PUBREC);
    }
    this.#shift(held);
    this.#tries = 0;
    this.#transmit(false);
  }

  #shift(held: Held): void {
    const at = this.#held.indexOf(held);
    if (at >= 0) this.#held.splice(at, 1);
  }

  #await(held: Held, answer: number): void {
    this.#current = held;
    this.#awaits = answer;
  }

  #settle(): void {
    this.#current = null;
    this.#client.server.parts.wheel.cancel(this.#timer);
  }

  #transmit(again: boolean): void {
    const current = this.#current;
    if (current === null) return;
    const { server } = this.#client;
    if (this.#awaits === PUBCOMP) {
      this.#client.write(writeMsgId(server.room(8), 0, PUBREL, current.msgId));
    } else if (this.#awaits === REGACK) {
      const name = Buffer.from(current.topic);
      const out = server.room(name.length + REGISTER_OVERHEAD_MAX);
      this.#client.write(writeRegister(out, 0, this.#registerTopicId, this.#registerMsgId, name));
    } else {
      if (again) current.dup = true;
      this.#writePublish(current);
    }
    server.parts.wheel.schedule(this.#timer, RETRY_MS);
  }

  #writePublish({ topic, payload, qos, retain, msgId, dup }: Held): void {
    const { server, topics } = this.#client;
    const ref = topics.refOf(topic);
    if (ref === NO_REF) return;
    const bits = typeOfRef(ref) | (retain ? FLAG_RETAIN : 0) | (dup ? FLAG_DUP : 0);
    const out = server.room(payload.length + PUBLISH_OVERHEAD_MAX);
    this.#client.write(writePublish(out, 0, flagsOf(qos, bits), idOfRef(ref), msgId, payload, 0, payload.length));
    server.publishesSent.value++;
  }
}

function bytesOf({ topic, payload }: Held): number {
  return HELD_BYTES + topic.length + payload.length;
}

const NOTHING: Buffer = Buffer.alloc(0);
