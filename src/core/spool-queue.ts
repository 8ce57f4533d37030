/**
 * What a class of an uplink's spool asks of its queue, whatever order the queue keeps: delivery-queue.ts goes by the log.
 */
import type { Message } from "./message.ts";
import type { Outlet } from "./outlet.ts";
import type { StoredReceiver } from "./ports.ts";
import type { QueueLimits } from "./queue-limits.ts";
import type { ReceiverQueue } from "./receiver.ts";
import type { Sliced } from "./turns.ts";

/** What is in flight, as far as others than its queue need to know. */
export interface InFlightView {
  /** Counts up as the oldest entries leave: while it stays, the oldest is not answered. */
  readonly head: number;
  /** Ordinal the next message takes. */
  readonly next: number;
  packetIdOf(ordinal: number): number;
  /** From head to next. */
  qosAt(ordinal: number): number;
  /** Nothing is sent and not answered to its end, on this connection or an earlier one. */
  readonly empty: boolean;
  /** Smoothed ms from sending a message to its answer; 0 = not known. */
  readonly ackTimeMs: number;
  /** Message.size of what the last PUBACK or PUBREC was about; 0 = it had been answered before. */
  readonly answeredSize: number;
  /** And the message itself, where only memory had it. */
  readonly answeredMessage: Message | null;
}

export interface SpoolQueue extends ReceiverQueue, StoredReceiver, Sliced {
  readonly id: number;
  limits: QueueLimits;
  /** Messages not acknowledged, and their bytes (Message.size). */
  readonly count: number;
  readonly bytes: number;
  /** Sent on this connection and not answered to their end. */
  readonly inFlight: number;
  readonly inflight: InFlightView;
  /** Reads the log, and finds what is to be sent: more will come in a later turn, before anything that is less urgent. */
  readonly isReading: boolean;
  attach(outlet: Outlet, windowMax: number, resumed: boolean): void;
  /** While away: what was sent may be other parts now, for this outlet. */
  sendAnew?(outlet: Outlet): void;
  detach(): void;
  /** Its receiver is no more. */
  end(): void;
  pump(): void;
  /** Answers of the peer. @returns false when the id is not in flight */
  onPuback(packetId: number, reasonCode?: number): boolean;
  onPubrec(packetId: number, reasonCode: number): boolean;
  onPubcomp(packetId: number): boolean;
}
