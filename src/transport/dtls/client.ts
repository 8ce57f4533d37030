/**
 * A DTLS connection that we open: a UDP socket of its own, a handshake under a deadline, then records both ways. The
 * shape is that of `tls.connect`: secure, data, close. For tests, and for whoever speaks CoAP to a server.
 */
import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import {
  CLOSED,
  type ConnectOptions,
  DATA,
  type DtlsAddon,
  type DtlsOptions,
  type DtlsSession,
  ESTABLISHED,
  FAILED,
  OUTPUT,
  RECORD_BYTES_MAX,
} from "../../native/dtls/binding.ts";
import { addressAndPort } from "../peer-address.ts";
import { describeError } from "../socket-error.ts";
import { dtlsAddon } from "./addon.ts";

export interface DtlsClientOptions extends ConnectOptions {
  /** An address, not a name. */
  readonly host: string;
  readonly port: number;
  /** 0 or absent = any free one. */
  readonly localPort?: number;
  readonly credentials: Omit<DtlsOptions, "role">;
  /** Default 15 s. */
  readonly handshakeTimeoutMs?: number;
  readonly wheel: TimerWheel;
}

export interface DtlsClientHandler {
  /** The content of one record; valid until return. */
  onData(bytes: Buffer): void;
  /** @param error null = the server said goodbye */
  onClose(error: string | null): void;
}

const HANDSHAKE_TIMEOUT_MS = 15_000;
/** Kinds of timers. */
const RETRANSMIT = 0;
const DEADLINE = 1;

/**
 * Resolves when the handshake is complete.
 * @param addon for tests  @throws ListenerUnavailable without the addon; Error in words when there is no session
 */
export function connectDtls(
  options: DtlsClientOptions,
  handler: DtlsClientHandler,
  addon?: DtlsAddon,
): Promise<DtlsClient> {
  const { DtlsContext } = addon ?? dtlsAddon(`coaps://${addressAndPort(options.host, options.port)}`);
  const context = new DtlsContext({ role: "client", ...options.credentials });
  const { serverName, resume } = options;
  try {
    const session = context.connect({
      ...(serverName === undefined ? {} : { serverName }),
      ...(resume === undefined ? {} : { resume }),
    });
    return new Promise((resolve, reject) => {
      new DtlsClient(options, session, handler, (client, error) => {
        if (error === null) resolve(client);
        else reject(new Error(error));
      });
    });
  } finally {
    context.free();
  }
}

type Done = (client: DtlsClient, error: string | null) => void;

export class DtlsClient implements Expirable {
  readonly session: DtlsSession;
  readonly #socket: Socket;
  readonly #wheel: TimerWheel;
  readonly #handler: DtlsClientHandler;
  readonly #record = Buffer.allocUnsafeSlow(RECORD_BYTES_MAX);
  readonly #retransmit = new Timer(this, RETRANSMIT);
  readonly #deadline = new Timer(this, DEADLINE);
  /** Whoever waits for the handshake; null = it is over. */
  #done: Done | null;
  #closed = false;

  /** @param done told once: null when the handshake is complete, otherwise why there is none */
  constructor(options: DtlsClientOptions, session: DtlsSession, handler: DtlsClientHandler, done: Done) {
    this.session = session;
    this.#wheel = options.wheel;
    this.#handler = handler;
    this.#done = done;
    this.#socket = createSocket(isIPv6(options.host) ? "udp6" : "udp4");
    this.#socket.on("message", (bytes) => {
      if (!this.#closed) this.#after(this.session.receive(bytes));
    });
    this.#socket.on("error", (error) => this.#end(describeError(error)));
    this.#wheel.schedule(this.#deadline, options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS);
    this.#socket.bind(options.localPort ?? 0, () => {
      // Connected, the socket hears of nobody but the server.
      this.#socket.connect(options.port, options.host, () => {
        if (!this.#closed) this.#after(OUTPUT);
      });
    });
  }

  /** Port of the socket. */
  get localPort(): number {
    return this.#socket.address().port;
  }

  /** @returns false when it does not fit in a datagram of ours, or there is no session */
  send(bytes: Uint8Array, from = 0, end: number = bytes.length): boolean {
    if (this.#closed) return false;
    const bits = this.session.send(bytes, from, end);
    this.#after(bits & (OUTPUT | FAILED));
    return (bits & OUTPUT) !== 0;
  }

  /** Says goodbye; the handler is not told. */
  close(): void {
    if (this.#closed) return;
    this.#done = null;
    this.#sayGoodbye();
    this.#release();
  }

  /** Goes without a word, as a client that lost its power. */
  vanish(): void {
    if (!this.#closed) this.#release();
  }

  onTimer(kind: number): void {
    if (this.#closed) return;
    if (kind === RETRANSMIT) this.#after(this.session.onTimeout());
    else this.#end("no handshake within its time");
  }

  #after(happened: number): void {
    let bits = happened;
    if ((bits & OUTPUT) !== 0) this.#flush();
    if ((bits & ESTABLISHED) !== 0) {
      this.#wheel.cancel(this.#deadline);
      const done = this.#done;
      this.#done = null;
      done?.(this, null);
    }
    if ((bits & DATA) !== 0 && !this.#closed) bits |= this.#read();
    if (this.#closed) return;
    if ((bits & FAILED) !== 0) {
      this.#end(this.session.error);
    } else if ((bits & CLOSED) !== 0) {
      this.#sayGoodbye();
      this.#end(null);
    } else {
      this.#plan();
    }
  }

  #plan(): void {
    const timeoutMs = this.session.timeoutMs();
    if (timeoutMs < 0) this.#wheel.cancel(this.#retransmit);
    else this.#wheel.schedule(this.#retransmit, timeoutMs);
  }

  /** @returns what came behind the records in their datagram */
  #read(): number {
    const record = this.#record;
    let length = this.session.read(record);
    for (; length > 0; length = this.session.read(record)) {
      this.#handler.onData(record.subarray(0, length));
      if (this.#closed) return 0;
    }
    if ((-length & OUTPUT) !== 0) this.#flush();
    return -length;
  }

  #flush(): void {
    for (let output = this.session.takeOutput(); output !== null; output = this.session.takeOutput())
      this.#socket.send(output, ignore);
  }

  #sayGoodbye(): void {
    if ((this.session.close() & OUTPUT) !== 0) this.#flush();
  }

  #end(error: string | null): void {
    if (this.#closed) return;
    const done = this.#done;
    this.#release();
    if (done === null) this.#handler.onClose(error);
    else done(this, error ?? "the server broke the handshake off");
  }

  #release(): void {
    this.#closed = true;
    this.#done = null;
    this.#wheel.cancel(this.#retransmit);
    this.#wheel.cancel(this.#deadline);
    this.session.free();
    this.#socket.close();
  }
}

/** The server may not be there; the handshake's deadline says so. */
function ignore(): void {}
