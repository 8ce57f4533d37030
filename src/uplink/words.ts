/** Why a connection is not there, in words that a technician in front of the cabinet understands. */
import {
  BAD_USER_NAME_OR_PASSWORD,
  CLIENT_IDENTIFIER_NOT_VALID,
  NOT_AUTHORIZED,
  reasonName,
  SESSION_TAKEN_OVER,
} from "../wire/mqtt/codes.ts";

/** Texts of the server's making are cut here. */
const SERVER_TEXT_CHARACTERS_MAX = 200;

export function reasonWords(reasonCode: number): string {
  switch (reasonCode) {
    case NOT_AUTHORIZED:
      return "not authorised";
    case BAD_USER_NAME_OR_PASSWORD:
      return "bad user name or password";
    case CLIENT_IDENTIFIER_NOT_VALID:
      return "client id not accepted";
    case SESSION_TAKEN_OVER:
      return "session taken over, by another client with our client id";
    default:
      return reasonName(reasonCode).replaceAll("-", " ");
  }
}

/** Where a CONNACK or DISCONNECT has its texts; a length of 0 = none. */
export interface ServerTexts {
  readonly reasonStringAt: number;
  readonly reasonStringLength: number;
  readonly serverReferenceAt: number;
  readonly serverReferenceLength: number;
}

/** The server that it names, and its own Reason String, behind our words for its code. */
export function withServerText(words: string, bytes: Buffer, texts: ServerTexts): string {
  const { reasonStringAt, reasonStringLength, serverReferenceAt, serverReferenceLength } = texts;
  const reference = serverText(bytes, serverReferenceAt, serverReferenceLength);
  const said = serverText(bytes, reasonStringAt, reasonStringLength);
  return `${words}${reference === "" ? "" : `: ${reference}`}${said === "" ? "" : ` (the server says: ${said})`}`;
}

function serverText(bytes: Buffer, at: number, length: number): string {
  return bytes.toString("utf8", at, at + length).slice(0, SERVER_TEXT_CHARACTERS_MAX);
}

/** Alerts by which a server says what it thinks of our certificate; OpenSSL's words are for those who know OpenSSL. */
const ALERTS: readonly (readonly [RegExp, string])[] = [
  [/alert certificate required|alert handshake failure/i, "the server wants a client certificate"],
  [/alert unknown ca/i, "the server does not trust our certificate's issuer"],
  [/alert certificate expired/i, "the server says that our certificate has expired"],
  [
    /alert (bad certificate|decrypt error|certificate unknown|certificate revoked|unsupported certificate)/i,
    "the server refuses our certificate",
  ],
  [/no application protocol/i, "the server knows none of the configured ALPN protocols"],
];

/** What a dial or a link ended with, the server's verdict on our certificate in plain words. */
export function linkWords(error: string): string {
  for (const [pattern, words] of ALERTS) if (pattern.test(error)) return `${words}: ${error}`;
  return error;
}

/** "14:32 UTC"; of another day "2026-03-01 14:32 UTC". */
export function momentWords(wallMs: number, nowWallMs: number): string {
  const [day, time] = new Date(wallMs).toISOString().split("T") as [string, string];
  const today = new Date(nowWallMs).toISOString().startsWith(day);
  return `${today ? "" : `${day} `}${time.slice(0, 5)} UTC`;
}

/** "40 s", "7 min", "3 h", "12 days". */
export function spanWords(ms: number): string {
  const minutes = ms / 60_000;
  if (minutes < 1.5) return `${Math.ceil(ms / 1000)} s`;
  if (minutes < 90) return `${Math.round(minutes)} min`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`;
}
