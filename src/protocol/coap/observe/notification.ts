/** What a notification says: a message of a topic, that there is no value, or that the observation ends. */

import type { Message } from "../../../core/message.ts";
import { entityTagOf, mediaTypeOf, secondsToExpiry } from "../../../core/plain-publish.ts";
import type { TimeSource } from "../../../core/ports.ts";
import {
  BLOCK2,
  CONTENT,
  CONTENT_FORMAT,
  ETAG,
  LOCATION_PATH,
  MAX_AGE,
  OBSERVE,
  SIZE2,
  VALID,
} from "../../../wire/coap/codes.ts";
import { formatOf, NO_FORMAT } from "../../../wire/coap/content-format.ts";
import { blockBytes, blockOption, type CoapOption, uintOption } from "../../../wire/coap/options.ts";
import { responseBytes } from "../../../wire/coap/response.ts";
import { observeValue } from "./sequence.ts";

/**
 * For how long a client may take a state for the present one without having heard: a change is notified, so only what
 * was lost on the way, or a gateway that is gone, makes it wrong. When it is over clients register again.
 */
export const FRESH_SECONDS = 3_600;
/** First segment of the paths of topics. */
const PATH = Buffer.from("ps");
/** Longest value of Location-Path. */
const SEGMENT_BYTES_MAX = 255;
/** SZX of the smallest block, 16 bytes. */
const SZX_MIN = 0;

const NO_BYTES: Buffer = Buffer.alloc(0);

/** `NotificationFrame.place` of an answer that is no notification. */
export const NO_PLACE = -1;

/** How large it may be, and what it has to say besides. */
export interface NotificationFrame {
  /** See sequence.ts. */
  readonly place: number;
  /** The topic is not that of the request: it is named. */
  readonly namesTopic: boolean;
  readonly szx: number;
  readonly tokenBytes: number;
  /** Of the whole datagram; Infinity = nothing but the block bounds it. */
  readonly bytesMax: number;
}

/** Reused for every notification; what it holds is valid until the next one. */
export class Notification {
  code = CONTENT;
  options: CoapOption[] = [];
  payload: Buffer = NO_BYTES;
  /** There is more than fits in one. */
  isPart = false;

  // What is the same for all observers of a message.
  #message: Message | null = null;
  #format = NO_FORMAT;
  #entityTag: Buffer = NO_BYTES;
  #whole: Buffer = NO_BYTES;

  /** Content-Format of `message`. */
  formatOf(message: Message): number {
    this.#look(message);
    return this.#format;
  }

  entityTagOf(message: Message): Buffer {
    this.#look(message);
    return this.#entityTag;
  }

  /** Lets go of the last message. */
  forget(): void {
    this.#message = null;
    this.#whole = NO_BYTES;
    this.payload = NO_BYTES;
    this.options = [];
  }

  /** The observation ends; an error has no Observe option (RFC 7641 section 4.2). */
  end(code: number): void {
    this.#begin(code);
  }

  /** There is no value, or nothing to be said but that the observation lives. */
  empty(place: number): void {
    this.#begin(CONTENT);
    this.#observe(place);
    this.options.push(uintOption(MAX_AGE, FRESH_SECONDS));
  }

  /** The client has it already (RFC 7252 section 5.9.1.3). */
  valid(message: Message, place: number, time: TimeSource): void {
    this.#look(message);
    this.#begin(VALID);
    this.#observe(place);
    this.options.push({ name: ETAG, value: this.#entityTag }, uintOption(MAX_AGE, maxAgeOf(message, time)));
  }

  /** @returns false when the topic has a level that no option can name, or nothing of it fits */
  tell(message: Message, frame: NotificationFrame, time: TimeSource): boolean {
    this.#look(message);
    this.#begin(CONTENT);
    const payload = this.#whole;
    this.#observe(frame.place);
    if (frame.namesTopic && !nameTopic(this.options, message.topic)) return false;
    if (payload.length > 0 && this.#format !== NO_FORMAT) {
      this.options.push(uintOption(CONTENT_FORMAT, this.#format));
    }
    const etag = { name: ETAG, value: this.#entityTag };
    const maxAge = uintOption(MAX_AGE, maxAgeOf(message, time));
    this.options.push(etag, maxAge);
    if (this.#fill(payload, frame)) return true;
    this.#leaveOut(etag); // a client can do without them
    this.#leaveOut(maxAge);
    return this.#fill(payload, frame);
  }

  #observe(place: number): void {
    if (place !== NO_PLACE) this.options.push(uintOption(OBSERVE, observeValue(place)));
  }

  #begin(code: number): void {
    this.code = code;
    this.options = [];
    this.payload = NO_BYTES;
    this.isPart = false;
  }

  #look(message: Message): void {
    if (this.#message === message) return;
    this.#message = message;
    this.#whole = message.payload;
    const mediaType = mediaTypeOf(message);
    this.#format = mediaType === null ? NO_FORMAT : formatOf(mediaType);
    this.#entityTag = entityTagOf(message);
  }

  /** All of the payload, or the largest first block that there is room for, with its Size2 if that fits. */
  #fill(payload: Buffer, frame: NotificationFrame): boolean {
    this.payload = payload;
    if (payload.length <= blockBytes(frame.szx) && this.#fits(frame)) return true;
    const size2 = uintOption(SIZE2, payload.length);
    this.isPart = true;
    for (let szx = frame.szx; szx >= SZX_MIN; szx--) {
      const bytes = blockBytes(szx);
      if (bytes >= payload.length) continue;
      const block = blockOption(BLOCK2, 0, true, szx);
      this.payload = payload.subarray(0, bytes);
      this.options.push(block, size2);
      if (this.#fits(frame)) return true;
      this.#leaveOut(size2);
      if (this.#fits(frame)) return true;
      this.#leaveOut(block);
    }
    this.isPart = false;
    return false;
  }

  #fits({ tokenBytes, bytesMax }: NotificationFrame): boolean {
    return responseBytes(tokenBytes, this.options, this.payload.length) <= bytesMax;
  }

  #leaveOut(option: CoapOption): void {
    this.options.splice(this.options.indexOf(option), 1);
  }
}

/** `/ps/{topic}` as Location-Path, which a client may GET (RFC 7252 section 5.10.7). */
function nameTopic(options: CoapOption[], topic: string): boolean {
  options.push({ name: LOCATION_PATH, value: PATH });
  for (const level of topic.split("/")) {
    const value = Buffer.from(level);
    if (value.length > SEGMENT_BYTES_MAX || level === "." || level === "..") return false;
    options.push({ name: LOCATION_PATH, value });
  }
  return true;
}

function maxAgeOf(message: Message, time: TimeSource): number {
  return Math.min(FRESH_SECONDS, secondsToExpiry(message, time));
}
