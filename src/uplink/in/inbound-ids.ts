/**
 * Packet ids of QoS 2 messages that came from the server and are not released: in memory and in the store, by the receiver
 * they are kept under. An uplink has one of those, or one for each server (server-sessions.ts).
 */
import { IdSet } from "../../base/id-set.ts";
import type { Message } from "../../core/message.ts";
import type { Store } from "../../core/ports.ts";

export class InboundIds {
  /** Of the connection. */
  receiverId: number;
  readonly #store: Store;
  readonly #setOf = new Map<number, IdSet>();

  constructor(store: Store, receiverId: number) {
    this.#store = store;
    this.receiverId = receiverId;
  }

  #set(receiverId: number): IdSet {
    const known = this.#setOf.get(receiverId);
    if (known !== undefined) return known;
    const set = new IdSet();
    for (const id of this.#store.loadInbound(receiverId)) set.add(id);
    this.#setOf.set(receiverId, set);
    return set;
  }

  /** @param resumed false: the server uses its packet ids anew */
  begin(resumed: boolean, receiverId: number): void {
    this.receiverId = receiverId;
    const set = this.#set(receiverId);
    if (resumed) return;
    for (const id of set) this.#store.deleteInbound(receiverId, id);
    set.clear();
  }

  has(packetId: number): boolean {
    return this.#set(this.receiverId).has(packetId);
  }

  /** @param message see Store.putInbound */
  add(packetId: number, message: Message | null): void {
    this.#set(this.receiverId).add(packetId);
    this.#store.putInbound(this.receiverId, packetId, message);
  }

  /** @returns false when it was not there */
  delete(packetId: number, receiverId: number = this.receiverId): boolean {
    if (!this.#set(receiverId).delete(packetId)) return false;
    this.#store.deleteInbound(receiverId, packetId);
    return true;
  }
}
