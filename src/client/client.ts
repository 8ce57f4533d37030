/**
 * The client that programs get: keeps a connection, and puts the session back together after each lost one. What is in
 * it is next door: publishes (publish-queue.ts), subscriptions (subscriptions.ts), messages (arrivals.ts, inbox.ts).
 *
 *     connecting ──CONNACK──> connected ──close──> closing ──> closed
 *         ^                       │ lost: backoff
 *         └───────────────────────┘          (no reconnecting: closed)
 */
import { Backoff } from "../base/backoff.ts";
import { type Expirable, Timer, type TimerWheel } from "../base/timer-wheel.ts";
import type { TimeSource } from "../core/ports.ts";
import type { Dial, DialTarget } from "../transport/dialer.ts";
import { IDLE, MqttClient } from "../uplink/client/client.ts";
import type { ClientHandler } from "../uplink/client/client-handler.ts";
import type { ClientOptions } from "../uplink/client/client-options.ts";
import type { Owed } from "../uplink/client/owed.ts";
import {
  BAD_AUTHENTICATION_METHOD,
  BANNED,
  CLIENT_IDENTIFIER_NOT_VALID,
  SESSION_TAKEN_OVER,
  UNSUPPORTED_PROTOCOL_VERSION,
} from "../wire/mqtt/codes.ts";
import type { PublishView } from "../wire/mqtt/publish.ts";
import type {
  Client,
  ClientEvent,
  ConnectOptions,
  Granted,
  PublishOptions,
  PublishResult,
  ServerInfo,
  SubscribeOptions,
} from "./api.ts";
import { Arrivals } from "./arrivals.ts";
import { ClientError } from "./error.ts";
import { Inbox, type InboxOwner } from "./inbox.ts";
import {
  checkQos,
  checkTopic,
  clientOptions,
  filtersOf,
  type Policy,
  policyOf,
  propertiesOf,
  serverInfo,
  targetOf,
  wantedOf,
} from "./options.ts";
import { PacketIds } from "./packet-ids.ts";
import { Outgoing, PublishQueue } from "./publish-queue.ts";
import { Subscriptions } from "./subscriptions.ts";

const RETRY_TIMER = 0;
const CLOSE_TIMER = 1;
/** For the publishes under way when the client is closed. */
const CLOSE_TIMEOUT_MS = 10_000;
/** A server that says one of these will say it again; and two clients of one id would take turns for ever. */
const FINAL: ReadonlySet<number> = new Set([
  SESSION_TAKEN_OVER,
  UNSUPPORTED_PROTOCOL_VERSION,
  CLIENT_IDENTIFIER_NOT_VALID,
  BANNED,
  BAD_AUTHENTICATION_METHOD,
]);

/** What a client is given. */
export interface ClientParts {
  readonly wheel: TimerWheel;
  readonly dial: Dial;
  readonly time: TimeSource;
  readonly random: () => number;
}

export class ReconnectingClient implements Client, ClientHandler, InboxOwner, Expirable {
  state: Client["state"] = "connecting";
  server: ServerInfo | null = null;
  readonly closed: Promise<ClientError | null>;
  readonly messages: Inbox;
  readonly #client: MqttClient;
  readonly #wheel: TimerWheel;
  readonly #policy: Policy;
  readonly #target: DialTarget;
  readonly #tell: (event: ClientEvent) => void;
  readonly #backoff: Backoff | null;
  readonly #retryTimer = new Timer(this, RETRY_TIMER);
  readonly #closeTimer = new Timer(this, CLOSE_TIMER);
  readonly #publishes: PublishQueue;
  readonly #subscriptions: Subscriptions;
  readonly #arrivals: Arrivals;
  #options: ClientOptions;
  /** Tells `connect` how the first connection went; null once it has. */
  #onOpened: ((error: ClientError | null) => void) | null;
  #onClosed: (error: ClientError | null) => void = () => {};

  /** @param onOpened called once, in a later turn  @throws ClientError about the options; nothing has been begun then */
  constructor(options: ConnectOptions, parts: ClientParts, onOpened: (error: ClientError | null) => void) {
    const { wheel, dial, time, random } = parts;
    this.#options = clientOptions(options);
    this.#target = targetOf(options);
    this.#policy = policyOf(options);
    this.#wheel = wheel;
    const { onEvent } = options;
    // Outside of our own calls: it may call us, and throw.
    this.#tell = onEvent === undefined ? () => {} : (event) => queueMicrotask(() => onEvent(event));
    this.#onOpened = onOpened;
    this.#backoff = this.#policy.reconnect === null ? null : new Backoff(this.#policy.reconnect, random);
    this.#client = new MqttClient(dial, wheel, this);
    this.messages = new Inbox(this, this.#policy.manualAcknowledge);
    const ids = new PacketIds();
    this.#publishes = new PublishQueue(this.#client, ids, time, this.#policy.queue);
    this.#subscriptions = new Subscriptions(this.#client, ids, (filter, error) =>
      this.#tell({ type: "subscription-lost", filter, error }),
    );
    this.#arrivals = new Arrivals(this.#client, this.messages);
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
  }

  /** Once. */
  open(): void {
    this.#client.open(this.#options, this.#target);
  }

  /** Ends what `open` began before it has succeeded. */
  giveUp(error: ClientError): void {
    if (this.#onOpened === null) return;
    this.state = "closing";
    this.#ending = error;
    this.#endNow();
  }

  // ---- what programs call ------------------------------------------------------------------------------------

  publish(topic: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<PublishResult> {
    return new Promise((resolve, reject) => {
      const { qos = 0, retain = false, signal, messageExpirySeconds: expirySeconds = -1 } = options;
      checkTopic(topic);
      checkQos(qos);
      if (this.state === "closing" || this.state === "closed") throw this.#closedError();
      if (signal?.aborted === true) throw new ClientError("aborted", "aborted");
      const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
      const how = { qos, retain, expirySeconds };
      let onAbort: (() => void) | null = null;
      const settled = (): void => {
        if (onAbort !== null) signal?.removeEventListener("abort", onAbort);
      };
      const outgoing = new Outgoing(
        Buffer.from(topic),
        propertiesOf(options),
        bytes,
        how,
        (result) => {
          settled();
          resolve(result);
        },
        (error) => {
          settled();
          reject(error);
        },
      );
      if (!this.#publishes.push(outgoing)) throw new ClientError("queue-full", "too many publishes wait");
      if (signal === undefined || outgoing.settled) return;
      onAbort = () => this.#publishes.abort(outgoing);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  async subscribe(filters: string | readonly string[], options: SubscribeOptions = {}): Promise<Granted[]> {
    const wanted = wantedOf(filters, options);
    if (this.state === "closing" || this.state === "closed") throw this.#closedError();
    return this.#subscriptions.subscribe(wanted);
  }

  async unsubscribe(filters: string | readonly string[]): Promise<void> {
    const list = filtersOf(filters);
    if (this.state === "closing" || this.state === "closed") throw this.#closedError();
    await this.#subscriptions.unsubscribe(list);
  }

  async close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    if (this.state === "connecting") {
      this.state = "closing";
      this.#endNow();
    } else if (this.state === "connected") {
      this.state = "closing";
      this.#wheel.schedule(this.#closeTimer, options.timeoutMs ?? CLOSE_TIMEOUT_MS);
      this.#publishes.whenIdle(() => this.#endNow());
    }
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- connections -------------------------------------------------------------------------------------------

  /** Why it ends, when that is known before the connection is gone. */
  #ending: ClientError | null = null;

  #endNow(): void {
    this.#wheel.cancel(this.#closeTimer);
    if (this.#client.state === IDLE) this.#end(this.#ending);
    else this.#client.close();
  }

  onTimer(kind: number): void {
    if (kind === CLOSE_TIMER) this.#endNow();
    else this.#client.open(this.#options, this.#target);
  }

  onConnected(): void {
    const limits = this.#client.server;
    if (limits === null) return;
    const resumed = limits.sessionPresent;
    this.server = serverInfo(limits, this.#options.clientId);
    this.state = "connected";
    this.#backoff?.reset();
    // From now on the session is ours to go on with.
    this.#options = { ...this.#options, clientId: this.server.clientId, cleanStart: this.#endsWithConnection };
    this.messages.onConnected();
    this.#arrivals.onConnected(resumed);
    this.#onOpened?.(null);
    this.#onOpened = null;
    this.#tell({ type: "connected", server: this.server });
    this.#subscriptions.onConnected(resumed);
    this.#publishes.onConnected(resumed);
  }

  /** Whether the server forgets the session when the connection is gone. */
  get #endsWithConnection(): boolean {
    const { cleanStart, sessionExpirySeconds } = this.#options;
    return this.server?.protocol === 5 ? sessionExpirySeconds === 0 : cleanStart && sessionExpirySeconds === 0;
  }

  onClosed(why: string | null): void {
    this.server = null;
    if (this.state === "closing" || why === null) {
      this.#end(this.#ending);
      return;
    }
    const opened = this.#onOpened === null;
    if (!opened && this.#client.asksDifferently) {
      this.#client.open(this.#options, this.#target); // an older version, at once
      return;
    }
    const { endCode } = this.#client;
    const lost = this.state === "connected";
    const error = new ClientError(lost ? "connection-lost" : endCode > 0 ? "refused" : "unreachable", why, endCode);
    if (this.#backoff === null || FINAL.has(endCode) || !(opened || this.#policy.retryFirst)) {
      this.#end(error);
      return;
    }
    this.state = "connecting";
    const retryInMs = this.#backoff.next();
    this.#wheel.schedule(this.#retryTimer, retryInMs);
    this.#tell({ type: "disconnected", error, retryInMs });
  }

  #end(error: ClientError | null): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#wheel.cancel(this.#retryTimer);
    this.#wheel.cancel(this.#closeTimer);
    const reason = error ?? this.#closedError();
    this.#ending = error;
    this.#onOpened?.(reason);
    this.#onOpened = null;
    this.#publishes.fail(reason);
    this.#subscriptions.fail(reason);
    this.messages.close(error);
    this.#onClosed(error);
    this.#tell({ type: "closed", error });
  }

  #closedError(): ClientError {
    return this.#ending ?? new ClientError("closed", "closed");
  }

  // ---- what the engine says ----------------------------------------------------------------------------------

  onPublish(bytes: Buffer, view: PublishView, owed: Owed | null): void {
    this.#arrivals.onPublish(bytes, view, owed);
  }

  onOversize(): void {}

  onPubrel(packetId: number): void {
    this.#arrivals.onPubrel(packetId);
  }

  onAck(type: number, packetId: number, reasonCode: number): void {
    this.#publishes.onAck(type, packetId, reasonCode);
  }

  onSubscribed(type: number, packetId: number, codes: Uint8Array): void {
    this.#subscriptions.onAnswer(type, packetId, codes);
  }

  onWritable(): void {
    this.#publishes.pump();
  }

  setReading(on: boolean): void {
    this.#client.setReading(on);
  }
}
