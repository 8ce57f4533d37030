/** Named limits and times of MQTT-SN conversations. @see MQTT-SN 1.2 section 7.2 */
import type { Line } from "../../config/budget.ts";
import { RATE_BUCKETS } from "../../transport/source-rates.ts";

/** Tretry and Nretry: an unanswered message is sent again after so long, so often; then its client counts as lost. */
export const RETRY_MS = 10_000;
export const RETRIES_MAX = 4;
/** Up to here a client may be silent for half of what it said more, beyond for a tenth more. */
const SHORT_MS = 60_000;
/** Section 6.2: of a CONNECT, as its client answers each message of it. */
export const CONNECT_MS = RETRY_MS * (RETRIES_MAX + 1);
/** A client that is awake for what waits, of which nothing comes out of the store, is let go back to sleep after so long. */
export const AWAKE_MS = 1000;
/** Sections 6.6 and 6.10: one message at a time waits for the client's acknowledgement. */
export const WINDOW = 1;
/** Topic ids of a client, beyond those that are predefined. */
export const TOPIC_IDS_MAX = 128;
/** Messages that wait for REGACK, or for a sleeping client, beside those in its session's queue. */
export const HELD_MAX = 32;
/** Acknowledgements that a client is owed while the store stores; who sends more is told of congestion. */
export const OWED_MAX = 16;
/** Clients that publish at QoS -1 and of whom it is not decided yet who they are. */
export const STRANGERS_MAX = 16;
/** What a CONNECT counts as, which makes a client and perhaps a row in the store. */
export const CONNECT_COST = 10;
/** A client that said nothing after CONNECT for so long makes room for another when there is none. */
export const SILENT_MS = RETRY_MS;
/** Answers to SEARCHGW that go to a whole group. */
export const GWINFOS_PER_SECOND = 5;

/** Of a client with its timers, 1,365 measured without its session, and of the answers it is owed, 91 measured each. */
const CLIENT_BYTES = 1408 + OWED_MAX * 96;
/** For names of topics and for messages held, of all clients of a listener together, for each that there may be. */
const NAMES_BYTES = 1024;
const HELD_BYTES = 1024;
/** Messages held, however few clients there may be. */
const HELD_BYTES_MIN = 16_384;
/** The longest datagram, in and out. */
const SCRATCH_BYTES = 2 * 65_536;
/** What `transport/source-rates` takes. */
const RATES_BYTES = 2 * RATE_BUCKETS * 8;

/** How long a client may be silent that said `ms`. @see section 7.2 */
export function toleratedMs(ms: number): number {
  return Math.max(ms + ms / 10, Math.min(ms, SHORT_MS) * 1.5);
}

export function namesBytesOf(clientsMax: number): number {
  return clientsMax * NAMES_BYTES;
}

export function heldBytesOf(clientsMax: number): number {
  return HELD_BYTES_MIN + clientsMax * HELD_BYTES;
}

/** Worst case of listeners with so many clients each, without their sessions. */
export function budget(clients: readonly number[]): Line[] {
  const listenerBytes = HELD_BYTES_MIN + SCRATCH_BYTES + RATES_BYTES;
  const clientBytes = CLIENT_BYTES + NAMES_BYTES + HELD_BYTES;
  let bytes = clients.length * listenerBytes;
  for (const max of clients) bytes += max * clientBytes;
  const how = `${clients.join(" + ")} clients x ${clientBytes} B, ${listenerBytes} B a listener`;
  return [{ owner: "mqtt-sn clients", bytes, how }];
}
