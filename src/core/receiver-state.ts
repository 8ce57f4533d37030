/** `ReceiverRecord.state`, whatever order its queue keeps: for those who look at a store without a queue. */
import { AnyOrderPlace } from "./any-order-place.ts";
import { isAnyOrder, isAnyOrderState } from "./any-order-record.ts";
import { isInflightState } from "./inflight-record.ts";
import { LogPlace } from "./log-place.ts";
import type { ReceiverRecord } from "./ports.ts";

/** Where a receiver stands in the log. */
export interface StoredPlace {
  /** Whether row `seq`, which lists it and is not below its head, is still to be acknowledged. */
  needs(seq: number): boolean;
}

/** Whether a queue can have written `state`: a damaged one could ask for any number of entries. */
export function isReceiverState(state: Buffer): boolean {
  return isAnyOrder(state) ? isAnyOrderState(state) : isInflightState(state);
}

/** @param record with a state that `isReceiverState` */
export function placeOf(record: ReceiverRecord): StoredPlace {
  const { headSeq, state } = record;
  return isAnyOrder(state) ? new AnyOrderPlace(record, headSeq) : new LogPlace(record, headSeq);
}
