/** What DTLS listeners may take: our records are in the bill, OpenSSL's sessions are besides it. */
import type { Line } from "../config/budget.ts";
import type { DtlsServerConfig } from "../config/coap-listener.ts";
import { halfOpenMaxOf } from "./dtls-sessions.ts";

/** Of an open session with its place in the table, 210 measured, and the addon's object. */
const RECORD_BYTES = 264;
/** What a handshake has besides, with the count of its address: 225 measured. */
const HANDSHAKE_BYTES = 232;
/** An identity with a name of its own, 163 measured. */
const IDENTITY_BYTES = 168;
/** RSS of a session, 62 KiB with a shared key and 68 KiB with certificates on both sides (1,500 held, OpenSSL 3.5.8). */
const OPENSSL_SESSION_BYTES = 72 * 1024;

/** @param identities in all their files */
export function budget(listeners: readonly DtlsServerConfig[], identities: number): Line[] {
  let sessions = 0;
  let halfOpen = 0;
  for (const { maxSessions } of listeners) {
    sessions += maxSessions;
    halfOpen += halfOpenMaxOf(maxSessions);
  }
  return [
    {
      owner: "dtls: records of sessions",
      bytes: sessions * RECORD_BYTES + halfOpen * HANDSHAKE_BYTES + identities * IDENTITY_BYTES,
      how: `${sessions} sessions x ${RECORD_BYTES} B + ${halfOpen} handshakes x ${HANDSHAKE_BYTES} B + ${identities} identities x ${IDENTITY_BYTES} B`,
    },
    {
      owner: "dtls: sessions in OpenSSL",
      bytes: sessions * OPENSSL_SESSION_BYTES,
      how: `${sessions} sessions x ${OPENSSL_SESSION_BYTES} B`,
      outside: true,
    },
  ];
}
