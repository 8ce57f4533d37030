/**
 * What topic ids mean to one client. Normal ids are given as names come, and stay until the client connects anew;
 * predefined ones are the configuration's; a short name is its own id.
 *
 * A client that does not know yet that it was forgotten publishes by ids of before: none of them may mean another topic by
 * now. So each table begins elsewhere (`TopicIdBlocks`), and an old id is unknown, which PUBACK says.
 *
 * @see MQTT-SN 1.2 sections 6.5 and 6.7
 */
import type { Allowance } from "../../base/allowance.ts";
import { TOPIC_ID_MAX, TOPIC_ID_MIN, TOPIC_NORMAL, TOPIC_PREDEFINED, TOPIC_SHORT } from "../../wire/mqtt-sn/codes.ts";
import { TOPIC_IDS_MAX } from "./limits.ts";

/** Of an entry in both tables, besides its name; 130 measured. */
const ENTRY_BYTES = 136;
const PLUS = 0x2b;
const HASH = 0x23;

/** Names by predefined topic id. */
export type Predefined = ReadonlyMap<number, string>;

export function randomTopicId(random: () => number = Math.random): number {
  return TOPIC_ID_MIN + Math.floor(random() * (TOPIC_ID_MAX - TOPIC_ID_MIN + 1));
}

/** What a client calls a topic: TopicIdType and id in one number. */
export const NO_REF = -1;
export const typeOfRef = (ref: number): number => ref >> 16;
export const idOfRef = (ref: number): number => ref & 0xffff;

function refFor(type: number, id: number): number {
  return (type << 16) | id;
}

/** @returns the topic of two characters, null when they are none */
function shortTopic(id: number): string | null {
  return isShortByte(id >> 8) && isShortByte(id & 0xff) ? String.fromCharCode(id >> 8, id & 0xff) : null;
}

function isShortByte(byte: number): boolean {
  return byte > 0x20 && byte <= 0x7e && byte !== PLUS && byte !== HASH;
}

/** What every sender may use, connected or not. */
export function commonTopic(predefined: Predefined, type: number, id: number): string | null {
  if (type === TOPIC_SHORT) return shortTopic(id);
  return type === TOPIC_PREDEFINED ? (predefined.get(id) ?? null) : null;
}

/** Where tables begin: one after the other, each with room for its ids, from a random id on. */
export class TopicIdBlocks {
  #next: number;

  constructor(first: number) {
    this.#next = first;
  }

  take(): number {
    const first = this.#next;
    this.#next = first + TOPIC_IDS_MAX > TOPIC_ID_MAX ? TOPIC_ID_MIN : first + TOPIC_IDS_MAX;
    return first;
  }
}

export class TopicIds {
  readonly #predefined: Predefined;
  readonly #memory: Allowance;
  /** Made with the first entry: a client with short names alone has none. */
  #byId: Map<number, string> | null = null;
  #byName: Map<string, number> | null = null;
  #next: number;
  #taken = 0;

  /** @param first the id that is given first */
  constructor(predefined: Predefined, memory: Allowance, first: number) {
    this.#predefined = predefined;
    this.#memory = memory;
    this.#next = first;
  }

  find(type: number, id: number): string | null {
    return type === TOPIC_NORMAL ? (this.#byId?.get(id) ?? null) : commonTopic(this.#predefined, type, id);
  }

  /** What the client knows the topic by; NO_REF when it has to be told. */
  refOf(name: string): number {
    const ref = this.#byName?.get(name);
    if (ref !== undefined) return ref;
    if (name.length !== 2 || !isShortByte(name.charCodeAt(0)) || !isShortByte(name.charCodeAt(1))) return NO_REF;
    return refFor(TOPIC_SHORT, (name.charCodeAt(0) << 8) | name.charCodeAt(1));
  }

  /** @returns its normal id, given now if it has none; 0 = no room for one more */
  register(name: string): number {
    const known = this.#byName?.get(name);
    if (known !== undefined && typeOfRef(known) === TOPIC_NORMAL) return idOfRef(known);
    if (known !== undefined) this.forget(name);
    this.#byId ??= new Map();
    if (this.#byId.size >= TOPIC_IDS_MAX || !this.#enter(name, refFor(TOPIC_NORMAL, this.#next))) return 0;
    const id = this.#next;
    this.#byId.set(id, name);
    do this.#next = this.#next === TOPIC_ID_MAX ? TOPIC_ID_MIN : this.#next + 1;
    while (this.#byId.has(this.#next));
    return id;
  }

  /** The client has shown that it knows a predefined id. False without room to remember that. */
  knowsPredefined(id: number, name: string): boolean {
    if (this.#byName?.has(name)) return true;
    if ((this.#byName?.size ?? 0) >= 2 * TOPIC_IDS_MAX) return false;
    return this.#enter(name, refFor(TOPIC_PREDEFINED, id));
  }

  /** The client says that it does not know what we call this topic: it will be told again, under another id. */
  forget(name: string): void {
    const ref = this.#byName?.get(name);
    if (ref === undefined) return;
    this.#byName?.delete(name);
    if (typeOfRef(ref) === TOPIC_NORMAL) this.#byId?.delete(idOfRef(ref));
    this.#taken -= bytesOf(name);
    this.#memory.give(bytesOf(name));
  }

  clear(): void {
    this.#byId = null;
    this.#byName = null;
    this.#memory.give(this.#taken);
    this.#taken = 0;
  }

  #enter(name: string, ref: number): boolean {
    const bytes = bytesOf(name);
    if (!this.#memory.take(bytes)) return false;
    this.#taken += bytes;
    this.#byName ??= new Map();
    this.#byName.set(name, ref);
    return true;
  }
}

function bytesOf(name: string): number {
  return ENTRY_BYTES + 2 * name.length;
}
