/**
 * Observations in the store, of clients that gave a `clientid`: after a restart they are told the present value, and go
 * on. In the store they are what one receiver, which no message is for, has subscribed to: a row for each, whose text
 * names listener, client, token and filter. A row is written when an observation begins and deleted when it ends;
 * notifications write nothing.
 */
import type { Store } from "../../../core/ports.ts";
import { textBytesOf } from "./limits.ts";
import type { Observer, Wanted } from "./observer.ts";

const KIND = "coap-observers";
const NAME = "";
/** Of the text. */
const FORMAT = 1;

export interface ObserverRecord {
  /** Name of the listener. */
  readonly listener: string;
  readonly address: string;
  readonly port: number;
  /** A character for each byte. */
  readonly token: string;
  readonly clientId: string;
  /** Principal's name, "" for anonymous. */
  readonly principal: string;
  readonly wanted: Wanted;
  /** Largest datagram before the client's address is proven. */
  readonly bytesMax: number;
  readonly filter: string;
}

export type RecordStore = Pick<
  Store,
  "loadReceiver" | "createReceiver" | "loadSubscriptions" | "putSubscription" | "deleteSubscription"
>;

export class ObserverRecords {
  readonly #store: RecordStore;
  /** Of the receiver; 0 = there is none yet. */
  #id: number;
  /** By text: what the process before this one left, and of lines that are away; nobody has taken it up. */
  readonly #left = new Map<string, ObserverRecord>();

  constructor(store: RecordStore) {
    this.#store = store;
    this.#id = store.loadReceiver(KIND, NAME)?.id ?? 0;
    if (this.#id === 0) return;
    for (const { filter: text } of store.loadSubscriptions(this.#id)) {
      const record = decode(text);
      if (record === null) this.#delete(text);
      else this.#left.set(text, record);
    }
  }

  /** Records that nobody has taken up. */
  get left(): number {
    return this.#left.size;
  }

  /** Of their strings. */
  get leftTextBytes(): number {
    let bytes = 0;
    for (const { filter, principal: name, clientId } of this.#left.values())
      bytes += textBytesOf(filter, { name, clientId });
    return bytes;
  }

  /** Takes up those of a listener. `restore` says whether the observation goes on; else its record is deleted. */
  takeUp(listener: string, restore: (record: ObserverRecord) => boolean): void {
    for (const [text, record] of this.#left) {
      if (record.listener !== listener) continue;
      this.#left.delete(text);
      if (!restore(record)) this.#delete(text);
    }
  }

  /** Forgets what is left of listeners other than these. */
  deleteLeft(listeners: ReadonlySet<string>): void {
    for (const [text, { listener }] of this.#left) {
      if (listeners.has(listener)) continue;
      this.#left.delete(text);
      this.#delete(text);
    }
  }

  keep(observer: Observer): void {
    if (this.#id === 0) this.#id = this.#store.createReceiver(KIND, NAME).id;
    observer.kept = true;
    this.#store.putSubscription(this.#id, { filter: encode(observer), options: 0, subscriptionId: 0 });
  }

  /** It is out of memory, and its record stays. */
  leave(observer: Observer): void {
    const text = encode(observer);
    const record = decode(text);
    if (record !== null) this.#left.set(text, record);
  }

  /** To be called before anything of it changes that its record has. */
  forget(observer: Observer): void {
    if (!observer.kept) return;
    observer.kept = false;
    this.#delete(encode(observer));
  }

  #delete(text: string): void {
    this.#store.deleteSubscription(this.#id, text);
  }
}

function encode({ watcher: { listener, peer }, token, principal, wanted, bytesMax, filter }: Observer): string {
  const { accept, szx, qos, noLocal } = wanted;
  const client = [
    listener.name,
    peer.address,
    peer.port,
    Buffer.from(token, "latin1").toString("hex"),
    principal.clientId,
    principal.name,
  ];
  return JSON.stringify([FORMAT, ...client, accept, szx, qos, noLocal, bytesMax, filter]);
}

/** @returns null when a program of another version wrote it */
function decode(text: string): ObserverRecord | null {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(fields) || fields[0] !== FORMAT || fields.length !== 13) return null;
  const [, listener, address, port, token, clientId, principal, accept, szx, qos, noLocal, bytesMax, filter] =
    fields as Fields;
  const wanted = { accept, szx, qos, noLocal };
  return {
    listener,
    address,
    port,
    token: Buffer.from(token, "hex").toString("latin1"),
    clientId,
    principal,
    wanted,
    bytesMax,
    filter,
  };
}

type Fields = [
  format: number,
  listener: string,
  address: string,
  port: number,
  token: string,
  clientId: string,
  principal: string,
  accept: number,
  szx: number,
  qos: number,
  noLocal: boolean,
  bytesMax: number,
  filter: string,
];
