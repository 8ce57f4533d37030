/**
 * The one place that ends a conversation: turns the reason into a DISCONNECT (5.0), or just closes, and counts it.
 */
import { CONNACK, DISCONNECT, MQTT_5, reasonName, SUCCESS } from "../../wire/mqtt/codes.ts";
import { writeConnack } from "../../wire/mqtt/connack.ts";
import { writeDisconnect } from "../../wire/mqtt/disconnect.ts";
import { frameBytes } from "../../wire/mqtt/frame.ts";
import { type PropertiesWriter, propertiesBlockBytes } from "../../wire/mqtt/properties.ts";
import type { Connection } from "./connection.ts";
import { reasonString, takeWords } from "./reason-words.ts";
import { CLOSED, CONNECTED } from "./states.ts";

/** The system's, OpenSSL's or ws's code behind the words of an error, which may be the peer's (a WebSocket's close code). */
const CODE = /\(([A-Z][A-Z_]{2,40})\)$/;

/** Room for a DISCONNECT or CONNACK around its properties. */
const GOODBYE_BYTES = 16;

/** Ends the conversation for `reasonCode` of MQTT 5; in 5.0 the peer is told ([MQTT5-4.13.1-1]). */
export function close(connection: Connection, reasonCode: number): void {
  const { link, server, version, state } = connection;
  const words = takeWords(server, reasonCode);
  if (state === CLOSED) return;
  if (state === CONNECTED && version === MQTT_5) {
    const properties = reasonFor(connection, words, 1);
    const at = link.output.reserve(GOODBYE_BYTES + propertiesBlockBytes(properties));
    const end = writeDisconnect(link.output.buffer, at, version, reasonCode, properties);
    commitIfTaken(connection, DISCONNECT, at, end);
  }
  note(connection, reasonName(reasonCode), words);
  connection.dispose();
  link.end();
}

/** Refuses a CONNECT. Nothing is sent when the version has no code for the reason ([MQTT311-3.2.2-6]). */
export function refuseConnect(connection: Connection, reasonCode: number): void {
  const { link, server, version, state } = connection;
  const words = takeWords(server, reasonCode);
  if (state === CLOSED) return;
  const properties = version === MQTT_5 && reasonCode !== SUCCESS ? reasonFor(connection, words, 2) : null;
  const at = link.output.reserve(GOODBYE_BYTES + propertiesBlockBytes(properties));
  commitIfTaken(connection, CONNACK, at, writeConnack(link.output.buffer, at, version, false, reasonCode, properties));
  note(connection, reasonName(reasonCode), words);
  connection.dispose();
  link.end();
}

/** [MQTT5-3.1.2-24]: a peer that does not even take a goodbye gets none. */
function commitIfTaken(connection: Connection, type: number, at: number, end: number): void {
  if (end === at || end - at > connection.peerPacketBytesMax) return;
  connection.link.output.commit(end);
  connection.server.traffic.onSent(type);
}

/** The link is gone. @param error  in words; null = closed in order */
export function onLinkClosed(connection: Connection, error: string | null): void {
  if (error === null) closeSilently(connection, "closed by peer");
  else closeSilently(connection, CODE.exec(error)?.[1] ?? "connection lost", error);
}

/**
 * Ends it without a word: the link is gone already, or the peer said goodbye, or never said hello.
 * @param why    of the program's making: it names a counter
 * @param words  more of it, for the log
 */
export function closeSilently(connection: Connection, why: string, words = ""): void {
  if (connection.state === CLOSED) return;
  note(connection, why, words);
  connection.dispose();
  connection.link.end();
}

/** [MQTT5-3.14.2-3], [MQTT5-3.2.2-19]: null when the peer would not take the packet with the words. */
function reasonFor(connection: Connection, words: string, headBytes: number): PropertiesWriter | null {
  const properties = reasonString(connection.server, words);
  const bytes = frameBytes(headBytes + propertiesBlockBytes(properties));
  return bytes > connection.peerPacketBytesMax ? null : properties;
}

function note(connection: Connection, why: string, words: string): void {
  const { counters, log } = connection.server.parts;
  counters.counter(`mqtt.closed.${why.replaceAll(" ", "-")}`).value++;
  log.debug("mqtt-closed", {
    remote: connection.link.remote,
    client: connection.session?.clientId ?? "",
    why,
    ...(words === "" ? {} : { words }),
  });
}
