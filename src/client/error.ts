/** Why something a program asked its MQTT client for did not happen. */

/**
 * Stable words for programs:
 *
 * - `invalid-argument`      what was asked for is none: a bad URL, topic, filter or property
 * - `unreachable`           no connection, or no answer to CONNECT
 * - `refused`               the server refused the connection; `reasonCode` says why
 * - `connection-lost`       the connection ended, and the client does not reconnect (or the session was taken over)
 * - `closed`                the client was closed by its owner
 * - `aborted`               the `signal` given with the call
 * - `queue-full`            as much waits as the client was allowed to keep (`queueMessages`, `queueBytes`)
 * - `too-large`             the server takes no packet of this size
 * - `not-supported`         the server takes no message of this QoS
 * - `publish-refused`       the server's answer to a publish; `reasonCode` says why
 * - `subscription-refused`  the server's answer to a SUBSCRIBE or UNSUBSCRIBE; `reasonCode` is the first refusal's
 */
export type ClientErrorCode =
  | "invalid-argument"
  | "unreachable"
  | "refused"
  | "connection-lost"
  | "closed"
  | "aborted"
  | "queue-full"
  | "too-large"
  | "not-supported"
  | "publish-refused"
  | "subscription-refused";

/** Thrown and rejected with by everything here; `message` says it in words. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  /** For programs; never changes its meaning. */
  readonly code: ClientErrorCode;
  /** MQTT 5.0 reason code of the server's answer (the return codes of 3.1.1 as their 5.0 equals); 0 = none. */
  readonly reasonCode: number;

  constructor(code: ClientErrorCode, message: string, reasonCode = 0) {
    super(message);
    this.code = code;
    this.reasonCode = reasonCode;
  }
}
