/**
 * The one place that ends a conversation: turns the reason into a DISCONNECT (5.0), or just closes, and counts it.
 */
import { MQTT_5, reasonName } from "../../wire/mqtt/codes.ts";
import { writeConnack } from "../../wire/mqtt/connack.ts";
import { writeDisconnect } from "../../wire/mqtt/disconnect.ts";
import type { Connection } from "./connection.ts";
import { CLOSED, CONNECTED } from "./states.ts";

/** Room for a DISCONNECT or CONNACK without properties. */
const GOODBYE_BYTES = 16;

/** Ends the conversation for `reasonCode` of MQTT 5; in 5.0 the peer is told ([MQTT5-4.13.1-1]). */
export function close(connection: Connection, reasonCode: number): void {
  if (connection.state === CLOSED) return;
  const { link, version, state } = connection;
  if (state === CONNECTED && version === MQTT_5) {
    const at = link.output.reserve(GOODBYE_BYTES);
    commitIfTaken(connection, at, writeDisconnect(link.output.buffer, at, version, reasonCode, null));
  }
  note(connection, reasonName(reasonCode));
  connection.dispose();
  link.end();
}

/** Refuses a CONNECT. Nothing is sent when the version has no code for the reason ([MQTT311-3.2.2-6]). */
export function refuseConnect(connection: Connection, reasonCode: number): void {
  if (connection.state === CLOSED) return;
  const { link, version } = connection;
  const at = link.output.reserve(GOODBYE_BYTES);
  commitIfTaken(connection, at, writeConnack(link.output.buffer, at, version, false, reasonCode, null));
  note(connection, reasonName(reasonCode));
  connection.dispose();
  link.end();
}

/** [MQTT5-3.1.2-24]: a peer that does not even take a goodbye gets none. */
function commitIfTaken(connection: Connection, at: number, end: number): void {
  if (end - at <= connection.peerPacketBytesMax) connection.link.output.commit(end);
}

/** Ends it without a word: the link is gone already, or the peer said goodbye, or never said hello. */
export function closeSilently(connection: Connection, why: string): void {
  if (connection.state === CLOSED) return;
  note(connection, why);
  connection.dispose();
  connection.link.end();
}

function note(connection: Connection, why: string): void {
  const { counters, log } = connection.server.parts;
  counters.counter(`mqtt.closed.${why.replaceAll(" ", "-")}`).value++;
  log.debug("mqtt-closed", { remote: connection.link.remote, client: connection.session?.clientId ?? "", why });
}
