/** How frames get onto the wire: together as fast as it takes them (write-batch.ts), or in turns (write-turns.ts). */
import type { Reply } from "./replies.ts";
import type { WriteRule } from "./write-rule.ts";

/** Bytes of frames that wait for the wire; the next one is taken when they are fewer. */
export const BATCH_BYTES = 4096;

export interface Frame {
  readonly bytes: Buffer;
  /** 0 at QoS 0. */
  readonly packetId: number;
  /** By the clock: in turns it is not begun after that. */
  readonly expiresMs: number;
  readonly rule: WriteRule;
  /** Where its response goes; null when it is no request. */
  readonly reply: Reply | null;
}

export interface WriteLane {
  /** Takes no more for now. */
  readonly isFull: boolean;
  /** What waits in the queue can still expire there, or be dropped for newer ones: it is to give no more than this takes. */
  readonly wantsMore: boolean;
  push(frame: Frame): void;
  onWritten(): void;
  /** The port is away: all is forgotten. @returns how many frames of QoS 0 were waiting, or not confirmed */
  onAway(): number;
}

/** Who gave the frames. */
export interface LaneOwner {
  /** The frame with this packet id has left the machine; a request has had its answer, or will have none. */
  acknowledge(packetId: number): void;
  /** The frame has waited for its turn until its message had expired. */
  onExpired(frame: Frame): void;
  /** The lane takes more. */
  onRoom(): void;
}
