/**
 * DISCONNECT from the peer: it leaves in order, and in 5.0 may change how long its session stays, or say that it does not
 * leave normally: then its will is published.
 *
 * @see MQTT 3.1.1 section 3.14, MQTT 5.0 section 3.14
 */
import type { Session } from "../../core/session.ts";
import { NORMAL_DISCONNECTION, OK, PROTOCOL_ERROR } from "../../wire/mqtt/codes.ts";
import { decodeDisconnect } from "../../wire/mqtt/disconnect.ts";
import { closeSilently } from "./close.ts";
import type { Connection } from "./connection.ts";
import { because } from "./reason-words.ts";

export function onDisconnect(connection: Connection, bytes: Buffer, at: number, end: number): number {
  const { server } = connection;
  const view = server.disconnectView;
  const code = decodeDisconnect(bytes, at, end, connection.version, view);
  if (code !== OK) return code;
  const session = connection.session as Session;
  const expirySeconds = view.sessionExpirySeconds;
  if (expirySeconds >= 0) {
    const maxSeconds = Math.floor(server.limits.sessionExpiryMaxMs / 1000);
    // [MQTT5-3.14.2-2]; where no session outlives its connection, 0 is what we made of CONNECT's interval.
    if (session.expirySeconds === 0 && expirySeconds > 0 && maxSeconds > 0)
      return because(server, PROTOCOL_ERROR, "a session expiry at DISCONNECT after 0 at CONNECT");
    session.expirySeconds = Math.min(expirySeconds, maxSeconds);
  }
  // [MQTT5-3.14.4-3]: only a normal goodbye throws the will away; a client that leaves for an error of its own has died.
  connection.sendWill = view.reasonCode !== NORMAL_DISCONNECTION;
  closeSilently(connection, "disconnect");
  return OK;
}
