/**
 * Connections that we open: name look-up (one at a time in the process, since a dead resolver blocks one of libuv's
 * four threads for seconds), TCP or a unix socket, TLS and WebSocket where wanted, all under one deadline.
 */
import { type LookupAddress, lookup } from "node:dns";
import { connect, type IpcNetConnectOpts, isIP, type Socket, type TcpNetConnectOpts } from "node:net";
import { Semaphore } from "../base/semaphore.ts";
import type { TlsClientConfig } from "../config/uplinks.ts";
import type { Link } from "./link.ts";
import { addressAndPort } from "./peer-address.ts";
import { describeError } from "./socket-error.ts";
import { SocketLink } from "./socket-link.ts";
import type { Transport } from "./transport.ts";

export interface DialTarget {
  readonly host: string;
  readonly port: number;
  /** null = plain TCP. The files are read anew for each connection. */
  readonly tls: TlsClientConfig | null;
  /** Path of a unix socket, instead of host and port. */
  readonly unix?: string;
  /** Path and query of a WebSocket over the connection. */
  readonly webSocketPath?: string;
  /** Local address to leave from. */
  readonly bindAddress?: string | null;
  /** For everything together. */
  readonly timeoutMs: number;
}

export interface Dialing {
  /** Gives up; neither callback is called afterwards. No effect once one has been. */
  cancel(): void;
}

/**
 * Calls exactly one of `onLink` and `onError`, and before it `onConnecting` once the name is known; none from within the
 * call itself. The link reads nothing before its handler is set. The error's message begins with host and port.
 */
export type Dial = (
  target: DialTarget,
  onLink: (link: Link) => void,
  onError: (error: Error) => void,
  onConnecting?: () => void,
) => Dialing;

export class DialError extends Error {
  override readonly name = "DialError";
}

const lookups = new Semaphore(1);
const KEEP_ALIVE_DELAY_MS = 60_000;

export function createDial(transport: Transport): Dial {
  return (target, onLink, onError, onConnecting) => {
    const attempt = new Attempt(transport, target, { onLink, onError, onConnecting });
    void attempt.run();
    return attempt;
  };
}

interface Callbacks {
  readonly onLink: (link: Link) => void;
  readonly onError: (error: Error) => void;
  readonly onConnecting: (() => void) | undefined;
}

class Attempt implements Dialing {
  readonly #transport: Transport;
  readonly #target: DialTarget;
  readonly #callbacks: Callbacks;
  readonly #timeout: NodeJS.Timeout;
  #stage = "looking up the name";
  #socket: Socket | null = null;
  #over = false;

  constructor(transport: Transport, target: DialTarget, callbacks: Callbacks) {
    this.#transport = transport;
    this.#target = target;
    this.#callbacks = callbacks;
    this.#timeout = setTimeout(
      () => this.#fail(`timed out after ${target.timeoutMs} ms, ${this.#stage}`),
      target.timeoutMs,
    );
  }

  cancel(): void {
    if (this.#over) return;
    this.#finish();
    this.#socket?.destroy();
  }

  async run(): Promise<void> {
    try {
      const { unix } = this.#target;
      const addresses = unix === undefined ? await this.#resolve() : await Promise.resolve([]);
      if (this.#over) return;
      this.#stage = "connecting";
      this.#callbacks.onConnecting?.();
      if (this.#over) return;
      await this.#connect(unix === undefined ? this.#tcpOptions(addresses) : { path: unix });
    } catch (error) {
      this.#fail(describeError(error));
    }
  }

  /** Addresses in the system's order of preference; only those that `bindAddress` can reach. */
  async #resolve(): Promise<LookupAddress[]> {
    const { host, bindAddress } = this.#target;
    const literal = isIP(host);
    // Also puts the callbacks off to a later tick.
    const all = await (literal === 0
      ? lookups.run(() => (this.#over ? Promise.resolve([]) : lookUp(host)))
      : Promise.resolve([{ address: host, family: literal }]));
    const family = isIP(bindAddress ?? "");
    const usable = family === 0 ? all : all.filter((entry) => entry.family === family);
    if (usable.length === 0 && !this.#over) throw new DialError(`no address that ${bindAddress} can reach`);
    return usable;
  }

  #tcpOptions(addresses: LookupAddress[]): TcpNetConnectOpts {
    const { host, port, bindAddress, timeoutMs } = this.#target;
    const options: TcpNetConnectOpts = {
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
      autoSelectFamily: addresses.length > 1,
      // Node gives up on an address after 250 ms, which many mobile links need for one round trip.
      autoSelectFamilyAttemptTimeout: Math.ceil(timeoutMs / (2 * addresses.length)),
      lookup: (_name, { all }, callback) => {
        const [first] = addresses;
        if (all || first === undefined) callback(null, addresses);
        else callback(null, first.address, first.family);
      },
    };
    if (bindAddress) options.localAddress = bindAddress;
    return options;
  }

  async #connect(options: TcpNetConnectOpts | IpcNetConnectOpts): Promise<void> {
    const { tls, webSocketPath } = this.#target;
    const ws = webSocketPath === undefined ? null : await import("./ws.ts");
    const secure = tls === null ? null : await import("./tls-client.ts");
    if (this.#over) return;
    let describe: (error: Error) => string = describeError;
    let socket: Socket;
    if (tls === null || secure === null) {
      socket = connect(options);
    } else {
      const tlsSocket = secure.connectTls(options as TcpNetConnectOpts, tls);
      describe = secure.handshakeErrors(tlsSocket);
      socket = tlsSocket;
    }
    this.#socket = socket;
    const onSocketError = (error: Error) => this.#fail(describe(error));
    const onSocketClose = () => this.#fail("closed by peer");
    socket.on("error", onSocketError);
    socket.on("close", onSocketClose);
    if (tls !== null) socket.once("connect", () => (this.#stage = "in the TLS handshake"));
    socket.once(tls === null ? "connect" : "secureConnect", () => {
      if (this.#over) return;
      socket.off("error", onSocketError);
      socket.off("close", onSocketClose);
      if (ws === null) {
        this.#opened(new SocketLink(socket, this.#transport, null));
        return;
      }
      this.#stage = "in the WebSocket handshake";
      const { host, port } = this.#target;
      const url = `ws://${addressAndPort(host, port)}${webSocketPath}`;
      ws.connectWs(url, socket, this.#transport, {
        onLink: (link) => this.#opened(link),
        onError: (error) => this.#fail(describeError(error)),
      });
    });
  }

  #opened(link: Link): void {
    if (this.#over) {
      link.destroy();
      return;
    }
    this.#finish();
    this.#callbacks.onLink(link);
  }

  #fail(words: string): void {
    if (this.#over) return;
    this.#finish();
    this.#socket?.destroy();
    const { unix, host, port } = this.#target;
    this.#callbacks.onError(
      new DialError(`${unix === undefined ? addressAndPort(host, port) : `unix:${unix}`}: ${words}`),
    );
  }

  #finish(): void {
    this.#over = true;
    clearTimeout(this.#timeout);
  }
}

function lookUp(host: string): Promise<LookupAddress[]> {
  return new Promise((resolve, reject) => {
    lookup(host, { all: true }, (error, addresses) => {
      if (error === null) resolve(addresses);
      else reject(error);
    });
  });
}
