/**
 * PUBRELs on their way out: only once the PUBREC is stored. After PUBREL the peer forgets the packet id, and the message
 * must never be sent again.
 */
import type { Outlet } from "./outlet.ts";
import type { Store, StoreWaiter } from "./ports.ts";

const PACKET_IDS = 65_536;

export class PubrelReleases implements StoreWaiter {
  readonly #store: Store;
  #outlet: Outlet | null = null;
  /** Counts attachments, so that an answer of the store that comes after a reconnect is not sent to the wrong peer. */
  #epoch = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  attach(outlet: Outlet): void {
    this.#outlet = outlet;
    this.#epoch++;
  }

  detach(): void {
    this.#outlet = null;
  }

  /** PUBREC of `packetId` came, on this connection or on an earlier one. */
  send(packetId: number): void {
    this.#store.barrier(this, this.#epoch * PACKET_IDS + packetId);
  }

  /** The store has the PUBREC. After a failure it has not, and PUBREL stays away: the peer keeps the id. */
  onStored(token: number, reason: number): void {
    if (reason !== 0 || Math.floor(token / PACKET_IDS) !== this.#epoch) return;
    this.#outlet?.sendPubrel(token % PACKET_IDS);
  }
}
