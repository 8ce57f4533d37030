/** What a program sees of an MQTT client. */
import type { MessageProperties } from "../core/message-properties.ts";
import type { ClientError } from "./error.ts";

export type { MessageProperties };

/** What the server publishes when the connection ends otherwise than by `close`. */
export interface Will extends MessageProperties {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  /** Default 0. */
  readonly qos?: 0 | 1 | 2;
  readonly retain?: boolean;
  /** 5.0: seconds from the end of the connection to the will. Default 0. */
  readonly delaySeconds?: number;
}

/** Paths of PEM files, read anew for each connection; without `ca` the authorities that come with node hold. */
export interface TlsFiles {
  readonly ca?: string | null;
  readonly cert?: string | null;
  readonly key?: string | null;
  readonly alpn?: readonly string[];
  /** Default: the host of the URL. */
  readonly servername?: string | null;
}

export interface ReconnectOptions {
  /** Before the first try after a lost connection; doubles with each one that fails. Default 500. */
  readonly minDelayMs?: number;
  /** Longest delay. Delays are random below their ceiling, and at least half of `minDelayMs`. Default 30,000. */
  readonly maxDelayMs?: number;
}

export interface ConnectOptions {
  /**
   * `mqtt://host[:1883]`, `mqtts://host[:8883]`, `ws://host[:80]/path`, `wss://host[:443]/path` (without a path:
   * `/mqtt`), or `unix:/path/of/socket`.
   */
  readonly url: string;
  /** 5 goes down to 4 (3.1.1) when the server does not know it; 3 is 3.1. Default 5. */
  readonly protocol?: 3 | 4 | 5;
  /** Default "": the server chooses one, which is kept for later connections. */
  readonly clientId?: string;
  readonly userName?: string | null;
  readonly password?: string | Uint8Array | null;
  /** For mqtts and wss. */
  readonly tls?: TlsFiles;
  /** The first connection begins a new session. Later ones go on with it if the server still has it. Default true. */
  readonly cleanStart?: boolean;
  /**
   * How long the server keeps the session while there is no connection. Default 0: it ends with the connection, and
   * what is published meanwhile does not come. Before 5.0 sessions are kept when `cleanStart` is false.
   */
  readonly sessionExpirySeconds?: number;
  /** Default 60; 0 = off. */
  readonly keepAliveSeconds?: number;
  /** Messages of QoS 1 and 2 that may be here and not acknowledged: the server sends no more. 1 to 1000, default 64. */
  readonly receiveMaximum?: number;
  /** Largest packet taken. Default 1 MiB. */
  readonly maxPacketBytes?: number;
  readonly will?: Will | null;
  /** Messages of QoS 1 and 2 are acknowledged by `message.acknowledge()` alone. Default false. */
  readonly manualAcknowledge?: boolean;
  /** After a lost connection. Default: yes, with the defaults of `ReconnectOptions`. */
  readonly reconnect?: boolean | ReconnectOptions;
  /** The first connection is tried until it succeeds, too. Default false: its failure rejects. */
  readonly retryFirst?: boolean;
  /** Publishes that are not settled: beyond it `publish` rejects with `queue-full`. Default 16,384. */
  readonly queueMessages?: number;
  /** Their topics, properties and payloads. Default 16 MiB. */
  readonly queueBytes?: number;
  /** Local address to leave from. */
  readonly bindAddress?: string | null;
  /** Name look-up, TCP, TLS and WebSocket together, for each try. Default 30,000. */
  readonly timeoutMs?: number;
  /** Gives up connecting; no effect once `connect` has resolved. */
  readonly signal?: AbortSignal;
  /** Told how the connection stands; what it throws is an uncaught exception. */
  readonly onEvent?: (event: ClientEvent) => void;
}

export type ClientEvent =
  /** CONNACK came. */
  | { readonly type: "connected"; readonly server: ServerInfo }
  /** The connection was lost, or could not be made; the next try follows. */
  | { readonly type: "disconnected"; readonly error: ClientError; readonly retryInMs: number }
  /** The server had lost the session and refused this filter when it was asked again: nothing comes for it any more. */
  | { readonly type: "subscription-lost"; readonly filter: string; readonly error: ClientError }
  /** The end: null after `close`. */
  | { readonly type: "closed"; readonly error: ClientError | null };

/** What the server said in its CONNACK. */
export interface ServerInfo {
  /** The version in use. */
  readonly protocol: 3 | 4 | 5;
  /** The one in use: the server's choice if it made one. */
  readonly clientId: string;
  /** It had our session from before. */
  readonly sessionPresent: boolean;
  /** QoS 1 and 2 messages that it takes before the first is acknowledged. */
  readonly receiveMaximum: number;
  /** Infinity when it named none. */
  readonly maxPacketBytes: number;
  readonly maxQos: 0 | 1 | 2;
  readonly retainAvailable: boolean;
  /** The one in use; 0 = off. */
  readonly keepAliveSeconds: number;
}

export interface PublishOptions extends MessageProperties {
  /** Default 0. */
  readonly qos?: 0 | 1 | 2;
  readonly retain?: boolean;
  /** Gives up waiting. A message that was sent already may arrive all the same. */
  readonly signal?: AbortSignal;
}

export interface PublishResult {
  /** False: the server said that nobody had subscribed (5.0, reason code 0x10). */
  readonly matched: boolean;
}

export interface SubscribeOptions {
  /** Highest QoS that messages come with. Default 0. */
  readonly qos?: 0 | 1 | 2;
  /** 5.0: not what this client publishes itself. */
  readonly noLocal?: boolean;
  /** 5.0: with the RETAIN flag that the publisher set. */
  readonly retainAsPublished?: boolean;
  /** 5.0: retained messages come 0 = always, 1 = when the subscription is new, 2 = never. Default 0. */
  readonly retainHandling?: 0 | 1 | 2;
  /** 5.0: comes with each message of this subscription; 1 to 268,435,455. */
  readonly subscriptionIdentifier?: number;
}

export interface Granted {
  readonly filter: string;
  readonly qos: 0 | 1 | 2;
}

export interface ReceivedMessage {
  readonly topic: string;
  /** The message's own bytes. */
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  /** A retained value, from before the subscription. */
  readonly retain: boolean;
  /** The server sends it again: it may have come before. */
  readonly dup: boolean;
  readonly properties: MessageProperties;
  /** Of the subscriptions that it came by and that have one. */
  readonly subscriptionIdentifiers: readonly number[];
  /**
   * QoS 1 and 2: tells the server that the message is done with, once this has been said for all that came before it
   * ([MQTT5-4.6.0-2]). Without effect when said again, or when the connection it came by is gone and it comes anew.
   */
  acknowledge(): void;
}

/**
 * An MQTT client that stays connected: after a lost connection it connects again, subscribes again when the server
 * has lost the session, and sends again what was not acknowledged. Nothing is stored: with the process it all ends.
 */
export interface Client extends AsyncDisposable {
  /** "connecting" also while it waits for the next try. */
  readonly state: "connecting" | "connected" | "closing" | "closed";
  /** What the server allows; null while there is no connection. */
  readonly server: ServerInfo | null;
  /** Settles at the end: null after `close`, otherwise why. Never rejects. */
  readonly closed: Promise<ClientError | null>;
  /**
   * Messages of all subscriptions in order of arrival, for one reader. Asking for the next acknowledges the one before
   * (unless `manualAcknowledge`). When 1000 messages or 4 MiB wait, the client stops reading its connection, also the
   * answers to its publishes: who subscribes must read. After `close` the loop ends; when the connection is lost for
   * good it throws the ClientError, after the last message.
   */
  readonly messages: AsyncIterableIterator<ReceivedMessage, undefined>;
  /**
   * Resolves when the server has it (QoS 1 PUBACK, QoS 2 PUBCOMP), at QoS 0 when it is on its way. While there is no
   * connection it waits. Rejects with a ClientError: `publish-refused`, `queue-full`, `too-large`, `not-supported`,
   * `aborted`, `closed`, `connection-lost`, `invalid-argument`.
   * @param payload text is sent as UTF-8; bytes must not change until the promise settles
   */
  publish(topic: string, payload: string | Uint8Array, options?: PublishOptions): Promise<PublishResult>;
  /**
   * Subscribes, now and whenever the server has lost the session. Resolves with what was granted, one per filter in
   * order; rejects with `subscription-refused` when the server refused any (those not refused hold all the same).
   * At most 1000 filters at a time.
   */
  subscribe(filters: string | readonly string[], options?: SubscribeOptions): Promise<Granted[]>;
  /** Resolves when the server has said so; messages that had come before are still given out. */
  unsubscribe(filters: string | readonly string[]): Promise<void>;
  /**
   * Waits for the publishes under way, says goodbye and ends. Without a connection nothing is waited for. What is not
   * settled then rejects with `closed`. Never rejects.
   * @param options.timeoutMs for the publishes; default 10,000
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
