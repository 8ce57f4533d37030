/** What DTLS listeners may take: our records are in the bill, OpenSSL's sessions are besides it. */
import type { Line } from "../../config/budget.ts";
import type { DtlsServerConfig } from "../../config/coap-listener.ts";
import { RECORD_BYTES_MAX } from "../../native/dtls/binding.ts";
import { REMEMBERED_MAX } from "./failure.ts";
import { halfOpenMaxOf } from "./sessions.ts";
import { WAITING_BYTES } from "./waiting.ts";

/** Of an open session with its place in the table, its address and name, and the addon's object: 333 measured. */
const RECORD_BYTES = 336;
/** What a handshake has besides, with the count of its address: 194 measured. */
const HANDSHAKE_BYTES = 208;
/** Of an identity, and of a name of its own, 130 measured. */
const IDENTITY_BYTES = 16;
const NAME_BYTES = 144;
/** Estimated bytes of a failure that is not to be told again. */
const FAILURE_BYTES = 176;
/** RSS of a session, 62 KiB with a shared key and 68 KiB with certificates on both sides (1,500 held, OpenSSL 3.5.8). */
const OPENSSL_SESSION_BYTES = 72 * 1024;

/** @param identities in all their files  @param named those of them that have a name of their own */
export function budget(listeners: readonly DtlsServerConfig[], identities: number, named: number): Line[] {
  let sessions = 0;
  let halfOpen = 0;
  for (const { maxSessions } of listeners) {
    sessions += maxSessions;
    halfOpen += halfOpenMaxOf(maxSessions);
  }
  const failures = listeners.length * REMEMBERED_MAX;
  return [
    {
      owner: "dtls: records of sessions",
      bytes: sessions * RECORD_BYTES + halfOpen * HANDSHAKE_BYTES,
      how: `${sessions} sessions x ${RECORD_BYTES} B + ${halfOpen} handshakes x ${HANDSHAKE_BYTES} B`,
    },
    {
      owner: "dtls: listeners",
      bytes:
        RECORD_BYTES_MAX +
        listeners.length * WAITING_BYTES +
        failures * FAILURE_BYTES +
        identities * IDENTITY_BYTES +
        named * NAME_BYTES,
      how: `${RECORD_BYTES_MAX} B to read into + ${listeners.length} x ${WAITING_BYTES} B of ClientHellos that wait + ${failures} failures x ${FAILURE_BYTES} B + ${identities} identities x ${IDENTITY_BYTES} B + ${named} names x ${NAME_BYTES} B`,
    },
    {
      owner: "dtls: sessions in OpenSSL",
      bytes: sessions * OPENSSL_SESSION_BYTES,
      how: `${sessions} sessions x ${OPENSSL_SESSION_BYTES} B`,
      outside: true,
    },
  ];
}
