/** What the library's gateway throws. */
import { IMPLEMENTATION_SPECIFIC_ERROR, NOT_AUTHORIZED, QUOTA_EXCEEDED } from "../wire/mqtt/codes.ts";

/** Stable: programs compare them. */
export type GatewayErrorCode =
  /** `start` was not called, or `stop` was. */
  | "not-running"
  /** The topic, filter or an option is not one. */
  | "invalid"
  /** The message is larger than `limits.max_packet_bytes`. */
  | "too-large"
  /** A receiver that must have the message, or the store, is full: nobody got it. Try again later. */
  | "full"
  /** The store cannot write: nobody got it. */
  | "store-failed"
  /** `onPublish` refused it. */
  | "forbidden"
  /** More than PUBLISHES_MAX messages wait for the store. */
  | "busy";

export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly code: GatewayErrorCode;

  constructor(code: GatewayErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** @param reason from the router or the store, as an MQTT 5 reason code */
export function refusal(reason: number): GatewayError {
  switch (reason) {
    case QUOTA_EXCEEDED:
      return new GatewayError("full", "a receiver that must have the message, or the store, takes no more");
    case NOT_AUTHORIZED:
      return new GatewayError("forbidden", "onPublish does not let this message pass");
    case IMPLEMENTATION_SPECIFIC_ERROR:
      return new GatewayError("store-failed", "the store cannot write");
    default:
      return new GatewayError("full", `not taken: reason 0x${reason.toString(16)}`);
  }
}
