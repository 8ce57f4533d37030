/**
 * The types of the DTLS addon, and how it is loaded. The addon does no I/O and has no timers: datagrams go in and come
 * out, and the caller asks when it wants to be called again.
 *
 *     socket -> hello() ---- no cookie yet: a HelloVerifyRequest to send back, nothing is kept
 *                  \-------- cookie proven: a session
 *     socket -> session.receive() -> bits -> read(), takeOutput() -> socket
 *     timer  -> session.onTimeout() -> bits -> takeOutput() -> socket
 *
 * Nothing that a peer sends throws. What throws are mistakes of the caller: wrong types, a freed session, material
 * that OpenSSL does not take.
 */
import { type Addon, loadAddon } from "../load.ts";

/** Bits that receive, send, onTimeout and close answer. Several may be set; 0 = nothing happened. */
/** takeOutput() has datagrams. */
export const OUTPUT = 1;
/** read() has a record. */
export const DATA = 2;
/** The handshake has just been completed: identity, peerCertificate, cipher, resumed are final. Set once. */
export const ESTABLISHED = 4;
/** The peer has said goodbye (close_notify). Send what close() says and free the session. Set once. */
export const CLOSED = 8;
/** The session is dead, `error` says why; OUTPUT beside it is the alert for the peer. Free it. Set once. */
export const FAILED = 16;
/** Of send() alone: the bytes are more than `payloadMax`; nothing was sent. */
export const TOO_LARGE = 32;

/** Largest content of one DTLS record; a buffer for read() has at least so much room. */
export const RECORD_BYTES_MAX = 16_384;
/** Datagrams that wait in a session for takeOutput(); what comes on top of them is dropped, as a network may do. */
export const OUTPUT_DATAGRAMS_MAX = 64;
/** Bounds of `mtu`. */
export const MTU_MIN = 256;
export const MTU_MAX = 16_384;
/** OpenSSL's limits. */
export const PSK_IDENTITY_BYTES_MAX = 256;
export const PSK_KEY_BYTES_MAX = 256;

export interface PskEntry {
  /** 1 to PSK_IDENTITY_BYTES_MAX bytes of any value; a client's one less, and without NUL (OpenSSL's API ends it there). */
  readonly identity: Uint8Array;
  /** 1 to PSK_KEY_BYTES_MAX bytes of any value. */
  readonly key: Uint8Array;
}

/** Who we are and whom we trust. All of it is copied. */
export interface DtlsCredentials {
  /** PEM: our certificate first, then the chain up to, but without, the root. Needs `key`. */
  readonly cert?: Uint8Array | null;
  /** PEM, not encrypted. */
  readonly key?: Uint8Array | null;
  /** PEM: the authorities whose certificates we accept from the peer. */
  readonly ca?: Uint8Array | null;
  /** Server: a client that comes by certificate suites must show a certificate of `ca`. PSK clients need none. */
  readonly requireClientCert?: boolean;
  /** Server: all that it knows; of two entries with one identity the later counts. Client: at most one. */
  readonly psk?: readonly PskEntry[];
}

export interface DtlsOptions extends DtlsCredentials {
  readonly role: "server" | "client";
  /** Largest datagram of ours: bytes of UDP payload, MTU_MIN to MTU_MAX; default 1200. */
  readonly mtu?: number;
  /** OpenSSL's notation, AEAD suites alone; default: the CCM8, CCM and GCM suites of PSK, ECDHE-ECDSA and ECDHE-RSA. */
  readonly cipherList?: string;
  /** Until the first retransmission, doubling up to 60 s; 20 to 60,000, default 1000. */
  readonly retransmitMs?: number;
  /** Server: lifetime of a session ticket, default 86,400; 0 = no tickets. Its keys change as often and serve twice as long. */
  readonly ticketSeconds?: number;
  /** Server: how long a cookie secret is used; it is accepted for one more period. Default 300. */
  readonly cookieSeconds?: number;
  /**
   * Client with certificate suites and no `ca`: true accepts whatever certificate the server shows. Without it and
   * without `ca` the constructor throws, unless there is a `psk`, which proves the server.
   */
  readonly insecure?: boolean;
}

export interface ConnectOptions {
  /** Name or address that the server's certificate must be for; a name is sent as SNI, too. */
  readonly serverName?: string;
  /** What `resumption()` of an earlier session to this server gave. Not usable any more: a full handshake. */
  readonly resume?: Uint8Array;
}

export interface DtlsContext {
  /**
   * Replaces all credentials for handshakes that begin from now on; what is not given is gone. Sessions and handshakes
   * that have begun go on. Tickets given out before are void: each client proves itself once to the new credentials.
   * Throws OpenSSL's reason; then everything is as before.
   */
  update(credentials: DtlsCredentials): void;
  /**
   * Server: a datagram from an address that has no session.
   * @param peer what identifies address and port, 1 to 64 bytes; the cookie is bound to it
   * @returns a datagram to send back and forget (a HelloVerifyRequest, never larger than what came; or, to whoever
   *          brings a cookie and has no suite in common with us, an alert, with `refusal` saying why), a session that
   *          has begun (begin with takeOutput()), or null: not a ClientHello, answer nothing
   */
  hello(datagram: Uint8Array, peer: Uint8Array): DtlsSession | Uint8Array | null;
  /**
   * Server: whether `cookie`, of a ClientHello, is one that `peer` was sent lately; costs a hash. So whoever has to wait
   * before it may say hello can be told from who forges addresses.
   */
  isCookieOf(peer: Uint8Array, cookie: Uint8Array): boolean;
  /** Why the last hello that brought a cookie was refused, for a log; "" = none was. */
  readonly refusal: string;
  /** Client: a session that has begun; begin with takeOutput(). Throws if there is nothing that it could offer. */
  connect(options?: ConnectOptions): DtlsSession;
  /** Server: a new cookie secret and new ticket keys, as time does it. Those before the last are forgotten. */
  rotate(): void;
  /** Frees what OpenSSL holds for new handshakes; every other method throws from then on. Sessions go on. */
  free(): void;
}

export interface DtlsSession {
  /**
   * A datagram of the peer; `datagram` is not kept.
   * With DATA call read() until it answers 0 or less, with OUTPUT takeOutput() until it answers null, before the next receive.
   */
  receive(datagram: Uint8Array): number;
  /**
   * Takes the next record.
   * @param into at least RECORD_BYTES_MAX bytes
   * @returns its bytes, 1 to RECORD_BYTES_MAX; 0 = there is none; negative = none, and bits negated (CLOSED or FAILED
   *          came behind it in the datagram, or OUTPUT)
   */
  read(into: Uint8Array): number;
  /**
   * Sends bytes[from..end) in one record and datagram.
   * @returns OUTPUT; TOO_LARGE; 0 = not established, or closed; FAILED
   */
  send(bytes: Uint8Array, from: number, end: number): number;
  /** @returns the next datagram to send, which is the caller's; null = there is none */
  takeOutput(): Uint8Array | null;
  /** @returns milliseconds until onTimeout is due, 0 = now; -1 = no timer. Ask after hello, connect, receive and onTimeout. */
  timeoutMs(): number;
  /** Sends the last flight again when its time has come; FAILED after twelve times without an answer. Too early: 0. */
  onTimeout(): number;
  /** Says goodbye (close_notify), if the handshake is complete. Nothing can be sent afterwards. */
  close(): number;
  /** Gives OpenSSL's memory back at once. Every other method throws from then on; getters answer null, "", 0 or false. */
  free(): void;
  /** For a later connect(): a client's session with its ticket. null while there is none. It is a secret. */
  resumption(): Uint8Array | null;
  /** The PSK identity that the client gave, known to us or not; null without PSK, or before it came. Proven only with ESTABLISHED. */
  readonly identity: Uint8Array | null;
  /** DER; null without. */
  readonly peerCertificate: Uint8Array | null;
  /** OpenSSL's name of the suite, "" before it is chosen. */
  readonly cipher: string;
  readonly resumed: boolean;
  /** The largest number of bytes that send() takes; 0 before ESTABLISHED. */
  readonly payloadMax: number;
  /** Why it FAILED, in words; "" = it did not. */
  readonly error: string;
}

export interface DtlsAddon {
  readonly DtlsContext: new (options: DtlsOptions) => DtlsContext;
  /** Contexts and sessions in this process that are neither freed nor collected. */
  live(): { readonly contexts: number; readonly sessions: number };
  /** The OpenSSL in use, "3.5.8". */
  readonly openssl: string;
}

const ADDON: Addon = { name: "dtls", title: "DTLS", revision: 2 };

let loaded: DtlsAddon | string | undefined;

/**
 * Loads the addon that was built for this CPU; the answer is kept.
 * @returns the addon, or the reason why there is none, for a log or a complaint
 */
export function loadDtls(): DtlsAddon | string {
  loaded ??= loadAddon<DtlsAddon>(ADDON);
  return loaded;
}

/**
 * @param folders where `dtls-<cpu>.node` may lie; the first one that is there is taken
 */
export function loadDtlsFrom(folders: readonly string[], cpu: string): DtlsAddon | string {
  return loadAddon<DtlsAddon>(ADDON, folders, cpu);
}
