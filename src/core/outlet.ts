/** What a delivery queue is given: where its messages go, and what all queues share. */
import type { Allowance } from "../base/allowance.ts";
import type { CuttingShared } from "./cutting.ts";
import type { DropCause, Ledger } from "./ledger.ts";
import type { Message } from "./message.ts";
import type { Store, TimeSource } from "./ports.ts";
import { DELIVERY_QOS } from "./receiver.ts";
import type { Sliced } from "./turns.ts";

/** Added to the options of a part that has lived too long: it is dropped, unless the peer may have it. */
export const PART_EXPIRED = 0x100;
/** Added to those of a part that is larger than the peer takes: it is dropped. */
export const PART_TOO_LARGE = 0x200;

/** Why a part with such an option is dropped. @param stale why its whole message is; null = it is not */
export function partCause(options: number, stale: DropCause | null): DropCause {
  return (options & PART_TOO_LARGE) !== 0 ? "too-large" : (stale ?? "expired");
}

/** Where a queue's messages go while its peer is there. */
export interface Outlet {
  /**
   * Publications one message becomes (an uplink may send it to several topics); 0 = none, it is done at once. As long as
   * it is in flight the answer stays the same, or those behind it would get other packet ids.
   */
  parts(message: Message, options: number): number;
  /** Delivery options of one part, from those the router entered, and PART_... when it is not to go. */
  partOptions(message: Message, part: number, options: number): number;
  /** Writes one PUBLISH. `packetId` is 0 at QoS 0. */
  sendPublish(
    message: Message,
    part: number,
    options: number,
    subscriptionIds: readonly number[] | null,
    packetId: number,
    dup: boolean,
  ): void;
  sendPubrel(packetId: number): void;
  /**
   * False while the peer's output is too full to take more; the outlet calls `pump` when it is not. With a message,
   * whether it takes that one, with these options: an outlet that stands for several peers chooses one now.
   */
  writable(message?: Message, options?: number): boolean;
  /**
   * The peer sleeps, as it said it would: publishers do not wait for it, and it is kept what one that is away is.
   * Absent: it never does.
   */
  readonly resting?: boolean;
}

/** Parts of the message that take a packet id. */
export function placedParts(outlet: Outlet, message: Message, parts: number, options: number): number {
  let placed = 0;
  for (let part = 0; part < parts; part++) {
    if ((outlet.partOptions(message, part, options) & DELIVERY_QOS) > 0) placed++;
  }
  return placed;
}

/** The outlet of a session. */
export interface LiveOutlet extends Outlet {
  /** Half of what the peer's output may hold is there, and not taken yet. */
  readonly crowded: boolean;
}

/** What all queues share. */
export interface QueueHost {
  readonly store: Store;
  readonly time: TimeSource;
  readonly ledger: Ledger;
  /** Bytes of messages that wait in memory, of all queues together. */
  readonly waitingMemory: Allowance;
  /** Of rings of what is in flight, beyond the shortest; absent for who has a line of its own in the bill. */
  readonly ringMemory?: Allowance;
  readonly cuts: CuttingShared;
  /** A message was entered while its peer is away; absent: nobody wants to know. */
  readonly onWaiting?: () => void;
  /** Calls `sliced.runScheduled()` in a later turn of the event loop, in turn with the others that asked. */
  schedule(sliced: Sliced): void;
}
