/** Connections that we open: name look-up, TCP or a unix socket, then proxy, TLS, WebSocket; one deadline for all. */
import { isIP, type Socket, type TcpNetConnectOpts } from "node:net";
import type { ProxyConfig } from "../config/uplink-urls.ts";
import type { TlsClientConfig } from "../config/uplinks.ts";
import type { Link } from "./link.ts";
import { leavingFrom } from "./local-address.ts";
import { addressesOf, type Found, keepAddresses } from "./names.ts";
import { addressAndPort } from "./peer-address.ts";
import { ProxyError } from "./proxy/request.ts";
import { describeError } from "./socket-error.ts";
import { SocketLink } from "./socket-link.ts";
import { type ConnectOptions, TcpOpening } from "./tcp-opening.ts";
import type { Traffic } from "./traffic.ts";
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
  /** What it goes through; it looks up the host's name. */
  readonly proxy?: ProxyConfig | null;
  /** Local address to leave from. */
  readonly bindAddress?: string | null;
  /** Interface whose address to leave from. */
  readonly interface?: string | null;
  /** For everything together. */
  readonly timeoutMs: number;
  /** While nothing answers, another SYN so often (tcp-opening.ts); absent = as the kernel does it. */
  readonly againMs?: number;
  /** Counts what the connection costs; absent = nobody wants to know. */
  readonly traffic?: Traffic | null;
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
  /** Nobody has said anything: the name, the way there or the machine is what is missing. */
  readonly unreached: boolean;

  constructor(message: string, unreached: boolean) {
    super(message);
    this.unreached = unreached;
  }
}

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
  #opening: TcpOpening | null = null;
  /** What all bytes go over. */
  #plain: Socket | null = null;
  /** Where the host's name led to; null = it has none. */
  #found: Found | null = null;
  /** Nobody here answers for `#socket` any more. */
  #unwatch: () => void = ignore;
  /** What happens is the proxy's affair. */
  #atProxy = false;
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
  }

  async run(): Promise<void> {
    try {
      const { unix, proxy } = this.#target;
      const options = unix === undefined ? await this.#tcpOptions() : await Promise.resolve({ path: unix });
      if (this.#over) return;
      this.#stage = "connecting";
      this.#callbacks.onConnecting?.();
      if (this.#over) return;
      const socket = await this.#connect(options);
      if (proxy && !this.#over) await this.#tunnel(socket, proxy);
      if (!this.#over) await this.#speak(socket);
    } catch (error) {
      this.#fail(describeError(error), error instanceof ProxyError && error.unreached);
    }
  }

  /** Of whoever the first connection goes to. */
  async #tcpOptions(): Promise<TcpNetConnectOpts> {
    const { bindAddress, interface: interfaceName, timeoutMs, proxy } = this.#target;
    const { host, port } = proxy ?? this.#target;
    this.#atProxy = Boolean(proxy);
    const literal = isIP(host);
    if (literal === 0) this.#target.traffic?.lookedUp();
    // Also puts the callbacks off to a later tick.
    const found = await (literal === 0
      ? addressesOf(host, this.#target.tls !== null && !proxy, () => !this.#over)
      : Promise.resolve({ addresses: [{ address: host, family: literal }], stale: false }));
    if (this.#over) return { host, port };
    if (literal === 0) this.#found = found;
    const { localAddress, addresses } = leavingFrom(found.addresses, bindAddress ?? null, interfaceName ?? null);
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
        if (all || first === undefined) callback(null, [...addresses]);
        else callback(null, first.address, first.family);
      },
    };
    if (localAddress !== null) options.localAddress = localAddress;
    return options;
  }

  /** What `#socket` ends with is the end of the attempt, until somebody else answers for it. */
  #watch(socket: Socket, describe: (error: Error) => string): () => void {
    const onError = (error: Error) => this.#fail(describe(error));
    const onClose = () => this.#fail("closed by peer");
    socket.on("error", onError);
    socket.on("close", onClose);
    this.#socket = socket;
    return () => {
      socket.off("error", onError);
      socket.off("close", onClose);
    };
  }

  /** The connection that all bytes go over. */
  async #connect(options: ConnectOptions): Promise<Socket> {
    const { traffic, againMs } = this.#target;
    const socket = await new Promise<Socket>((resolve, reject) => {
      this.#opening = new TcpOpening(options, againMs ?? null, {
        onAgain: () => traffic?.askedAgain(),
        onOpened: (opened, eager) => {
          if (eager) traffic?.opened(opened, true);
          resolve(opened);
        },
        onFailed: reject,
      });
      traffic?.opened(this.#opening.patient);
    });
    this.#opening = null;
    this.#plain = socket;
    this.#unwatch = this.#watch(socket, describeError);
    return socket;
  }

  async #tunnel(socket: Socket, proxy: ProxyConfig): Promise<void> {
    this.#stage = "waiting for its answer";
    const { throughProxy } = await import("./proxy/proxy.ts");
    if (this.#over) return;
    await throughProxy(socket, proxy, this.#target);
    this.#atProxy = false;
  }

  async #speak(plain: Socket): Promise<void> {
    const { tls, webSocketPath, host } = this.#target;
    let socket = plain;
    if (tls !== null) {
      this.#stage = "in the TLS handshake";
      const { connectTls, handshakeErrors } = await import("./tls-client.ts");
      if (this.#over) return;
      const tlsSocket = connectTls(plain, host, tls);
      this.#unwatch();
      plain.on("error", ignore); // the TLS socket has it, too
      this.#unwatch = this.#watch(tlsSocket, handshakeErrors(tlsSocket));
      await new Promise<void>((resolve) => tlsSocket.once("secureConnect", resolve));
      socket = tlsSocket;
    }
    const ws = webSocketPath === undefined ? null : await import("./ws.ts");
    if (this.#over) return;
    this.#unwatch();
    if (ws === null) {
      this.#opened(new SocketLink(socket, this.#transport, null));
      return;
    }
    this.#stage = "in the WebSocket handshake";
    ws.connectWs(this.#webSocketUrl(), socket, this.#transport, {
      onLink: (link) => this.#opened(link),
      onError: (error) => this.#fail(describeError(error)),
    });
  }

  /** Encrypted or not, `ws` is given the socket; a port that goes without saying is not said. */
  #webSocketUrl(): string {
    const { host, port, tls, webSocketPath } = this.#target;
    const server = addressAndPort(host, port);
    const said = tls !== null && port === 443 ? server.slice(0, -":443".length) : server;
    return `ws://${said}${webSocketPath}`;
  }

  #opened(link: Link): void {
    if (this.#over) {
      link.destroy();
      return;
    }
    this.#over = true;
    clearTimeout(this.#timeout);
    const { traffic, tls, proxy, host } = this.#target;
    if (tls !== null && !proxy && this.#found !== null) keepAddresses(host, this.#found.addresses);
    if (this.#plain !== null) traffic?.linked(this.#plain, link);
    this.#callbacks.onLink(link);
  }

  /** @param unreached the server, though somebody else has answered */
  #fail(words: string, unreached = false): void {
    if (this.#over) return;
    this.#finish();
    const { unix, host, port, proxy } = this.#target;
    const server = unix === undefined ? addressAndPort(host, port) : `unix:${unix}`;
    const where = proxy && this.#atProxy ? `${server}: proxy ${addressAndPort(proxy.host, proxy.port)}` : server;
    const stale = this.#found?.stale === true ? "; its address is an old one, as the name server does not answer" : "";
    this.#callbacks.onError(new DialError(`${where}: ${words}${stale}`, unreached || !this.#plain?.bytesRead));
  }

  /** Nothing of it is wanted any more. */
  #finish(): void {
    this.#over = true;
    clearTimeout(this.#timeout);
    this.#opening?.cancel();
    this.#socket?.destroy();
  }
}

function ignore(): void {}
