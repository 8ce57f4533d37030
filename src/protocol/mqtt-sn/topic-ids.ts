/**
 * What topic ids mean to one client. Normal ids are given as names come, from 1, and stay until the client connects anew;
 * predefined ones are the configuration's; a short name is its own id.
 *
 * @see MQTT-SN 1.2 sections 3 and 6.5
 */
import type { Allowance } from "../../base/allowance.ts";
import { TOPIC_NORMAL, TOPIC_PREDEFINED, TOPIC_SHORT } from "../../wire/mqtt-sn/codes.ts";
import { TOPIC_IDS_MAX } from "./limits.ts";

/** Of an entry, besides its name twice. */
const ENTRY_BYTES = 64;
const PLUS = 0x2b;
const HASH = 0x23;

/** A topic as publications need it: bytes to copy, text for rights. */
export interface Topic {
  readonly name: string;
  readonly bytes: Buffer;
}

export type Predefined = ReadonlyMap<number, Topic>;

/** What the client calls a topic. */
export interface TopicRef {
  readonly type: number;
  readonly id: number;
}

export function topicOf(name: string): Topic {
  return { name, bytes: Buffer.from(name) };
}

/** @returns the topic of two characters, null when they are none */
export function shortTopic(id: number): Topic | null {
  const bytes = Buffer.from([id >> 8, id & 0xff]);
  for (const byte of bytes) if (byte <= 0x20 || byte > 0x7e || byte === PLUS || byte === HASH) return null;
  return { name: bytes.toString("latin1"), bytes };
}

/** What every sender may use, connected or not. */
export function commonTopic(predefined: Predefined, type: number, id: number): Topic | null {
  if (type === TOPIC_SHORT) return shortTopic(id);
  return type === TOPIC_PREDEFINED ? (predefined.get(id) ?? null) : null;
}

export class TopicIds {
  readonly #predefined: Predefined;
  readonly #memory: Allowance;
  readonly #byId = new Map<number, Topic>();
  readonly #byName = new Map<string, TopicRef>();
  #next = 1;
  #taken = 0;

  constructor(predefined: Predefined, memory: Allowance) {
    this.#predefined = predefined;
    this.#memory = memory;
  }

  find(type: number, id: number): Topic | null {
    return type === TOPIC_NORMAL ? (this.#byId.get(id) ?? null) : commonTopic(this.#predefined, type, id);
  }

  /** What the client knows the topic by; null when it has to be told. */
  refOf(name: string): TopicRef | null {
    const ref = this.#byName.get(name);
    if (ref !== undefined) return ref;
    if (name.length !== 2) return null;
    const id = (name.charCodeAt(0) << 8) | name.charCodeAt(1);
    return id <= 0xffff && shortTopic(id)?.name === name ? { type: TOPIC_SHORT, id } : null;
  }

  /** @returns its normal id, given now if it has none; 0 = no room for one more */
  register(name: string): number {
    const known = this.#byName.get(name);
    if (known?.type === TOPIC_NORMAL) return known.id;
    if (known !== undefined) this.#forgetName(name);
    const bytes = ENTRY_BYTES + 2 * name.length;
    if (this.#byId.size >= TOPIC_IDS_MAX || !this.#memory.take(bytes)) return 0;
    this.#taken += bytes;
    const id = this.#next++;
    this.#byId.set(id, topicOf(name));
    this.#byName.set(name, { type: TOPIC_NORMAL, id });
    return id;
  }

  /** The client has shown that it knows a predefined id. False without room to remember that. */
  knowsPredefined(id: number, name: string): boolean {
    if (this.#byName.has(name)) return true;
    const bytes = ENTRY_BYTES + 2 * name.length;
    if (this.#byName.size >= 2 * TOPIC_IDS_MAX || !this.#memory.take(bytes)) return false;
    this.#taken += bytes;
    this.#byName.set(name, { type: TOPIC_PREDEFINED, id });
    return true;
  }

  /** The client says that it does not know what we call this topic: it will be told again, under another id. */
  forget(name: string): void {
    const ref = this.#byName.get(name);
    if (ref === undefined) return;
    this.#forgetName(name);
    if (ref.type === TOPIC_NORMAL) this.#byId.delete(ref.id);
  }

  clear(): void {
    this.#byId.clear();
    this.#byName.clear();
    this.#memory.give(this.#taken);
    this.#taken = 0;
  }

  #forgetName(name: string): void {
    this.#byName.delete(name);
    const bytes = ENTRY_BYTES + 2 * name.length;
    this.#taken -= bytes;
    this.#memory.give(bytes);
  }
}
