/** Named limits and times of MQTT-SN conversations. @see MQTT-SN 1.2 section 7.2 */
import type { Line } from "../../config/budget.ts";

/** Tretry and Nretry: an unanswered message is sent again after so long, so often; then its client counts as lost. */
export const RETRY_MS = 10_000;
export const RETRIES_MAX = 4;
/** A client is lost when it was silent for so many of its keep-alive or sleep intervals. */
export const TOLERANCE = 1.5;
/** Section 6.3: of a CONNECT, as its client must answer each message of it. */
export const CONNECT_MS = RETRY_MS * (RETRIES_MAX + 1);
/** A client that is awake for what waits, of which nothing comes out of the store, is let go back to sleep after so long. */
export const AWAKE_MS = 1000;
/** Section 6.10 and its like: one message at a time waits for the client's acknowledgement. */
export const WINDOW = 1;
/** Topic ids of a client, beyond those that are predefined. */
export const TOPIC_IDS_MAX = 128;
/** Messages that wait for REGACK, or for a sleeping client, beside those in its session's queue. */
export const HELD_MAX = 32;
/** Acknowledgements that a client is owed while the store stores; who sends more is told of congestion. */
export const OWED_MAX = 16;
/** Clients that publish at QoS -1 and of whom it is not decided yet who they are. */
export const STRANGERS_MAX = 16;

/** Estimated bytes of a client with its timers and empty tables. */
const CLIENT_BYTES = 2048;
/** For names of topics and for messages held, of all clients of a listener together, for each that there may be. */
const NAMES_BYTES = 1024;
const HELD_BYTES = 1024;
/** The longest datagram, in and out. */
const SCRATCH_BYTES = 2 * 65_536;

export function namesBytesOf(clientsMax: number): number {
  return clientsMax * NAMES_BYTES;
}

export function heldBytesOf(clientsMax: number): number {
  return 16_384 + clientsMax * HELD_BYTES;
}

/** Worst case of listeners with so many clients each, without their sessions. */
export function budget(clients: readonly number[]): Line[] {
  let bytes = 0;
  for (const max of clients) bytes += max * CLIENT_BYTES + namesBytesOf(max) + heldBytesOf(max) + SCRATCH_BYTES;
  return [
    {
      owner: "mqtt-sn clients",
      bytes,
      how: `${clients.join(" + ")} clients x ${CLIENT_BYTES + NAMES_BYTES + HELD_BYTES} B, ${16_384 + SCRATCH_BYTES} B a listener`,
    },
  ];
}
