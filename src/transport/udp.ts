/**
 * Datagrams over UDP: what the core calls a DatagramPort (the shapes are the same; rooms of one floor do not import
 * one another). Loading this file loads node:dgram.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { lookup } from "node:dns";
import { isIP, isIPv6 } from "node:net";
import { copyBytes } from "../base/copy-bytes.ts";
import type { Counter } from "../base/counters.ts";
import { type Listener, ListenerError, type ListenOptions, tcpName } from "./listener.ts";
import { addressAndPort, plainAddress } from "./peer-address.ts";
import { describeError } from "./socket-error.ts";
import type { Transport } from "./transport.ts";

export interface DatagramReceiver {
  /** `bytes` valid until return. `identity` is null: UDP knows none. */
  onDatagram(bytes: Buffer, address: string, port: number, identity: string | null): void;
}

/** Bytes that may wait for the kernel; beyond it datagrams are dropped. */
const SEND_QUEUE_BYTES_MAX = 256 * 1024;
/** Of one datagram over IPv4. */
const DATAGRAM_BYTES_MAX = 65_507;

export interface UdpOptions extends ListenOptions {
  /** Sockets for multicast groups will be bound to the same port (`udp-groups.ts`); default: false. */
  readonly groups?: boolean;
}

/** Datagrams up to this need no memory of their own. */
const PLACE_BYTES = 1536;
const NO_PLACE: Buffer = Buffer.alloc(0);

/** @throws ListenerError */
export async function listenUdp(options: UdpOptions): Promise<UdpPort> {
  const isWildcard = options.host === "0.0.0.0" || options.host === "::";
  if (options.groups !== true || !isWildcard) return open(options, options.port, false);
  // A port that may be shared is taken without a word from whoever shares his as well; this one asks first.
  const first = await open(options, options.port, false);
  await first.closed();
  return open(options, first.port, true);
}

function open(options: ListenOptions, port: number, shared: boolean): Promise<UdpPort> {
  const name = tcpName(options);
  const family = isIPv6(options.host) ? "udp6" : "udp4";
  return new Promise((resolve, reject) => {
    const socket = createSocket({
      type: family,
      reuseAddr: shared,
      // Peers are addresses already; node's own look-up would put every datagram off to another tick.
      lookup: (host, options, callback) => {
        const literal = isIP(host);
        if (literal === 0) lookup(host, options, callback);
        else callback(null, host, literal);
      },
    });
    const refuse = (error: Error) => {
      const inUse = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      reject(new ListenerError(`${name}: ${inUse ? "address in use" : describeError(error)}`));
    };
    socket.once("error", refuse);
    socket.bind(port, options.host, () => {
      socket.off("error", refuse);
      resolve(new UdpPort(socket, family === "udp6", options.type, name, options.transport));
    });
  });
}

export class UdpPort {
  readonly address: string;
  readonly port: number;
  readonly maxPayload = DATAGRAM_BYTES_MAX;
  readonly peersVerified = false;
  /** The same port as a listener, for lists of listeners. */
  readonly listener: Listener;
  handler: DatagramReceiver | null = null;
  readonly #socket: Socket;
  /** IPv4 peers are written ::ffff:10.0.0.7 on this socket. */
  readonly #dualStack: boolean;
  readonly #received: Counter;
  readonly #sent: Counter;
  readonly #dropped: Counter;
  readonly #onSent: (error: Error | null) => void;
  /** Where a datagram is copied to: node mostly hands it to the kernel within the call, and then the next takes its place. */
  #place: Buffer = NO_PLACE;
  /** Something waited for the kernel after the last call. */
  #queued = false;
  #closed = false;

  constructor(socket: Socket, dualStack: boolean, type: string, name: string, transport: Transport) {
    const bound = socket.address();
    this.address = bound.address;
    this.port = bound.port;
    this.listener = {
      type,
      name,
      address: addressAndPort(bound.address, bound.port),
      close: () => Promise.resolve(this.close()),
    };
    this.#socket = socket;
    this.#dualStack = dualStack;
    this.#received = transport.counters.counter("transport.datagrams_received");
    this.#sent = transport.counters.counter("transport.datagrams_sent");
    this.#dropped = transport.counters.counter("transport.datagrams_dropped");
    this.#onSent = (error) => {
      if (error !== null) this.#dropped.value++;
    };
    socket.on("message", (bytes, peer) => this.#take(bytes, peer));
    socket.on("error", (error) => transport.log.error("udp-failed", { listener: name, error: describeError(error) }));
  }

  /** Queues one datagram, copied. @returns false when it was dropped: too much waits for the kernel, or closed */
  send(bytes: Buffer, from: number, end: number, address: string, port: number): boolean {
    if (this.#closed || (this.#queued && this.#socket.getSendQueueSize() > SEND_QUEUE_BYTES_MAX)) {
      this.#dropped.value++;
      return false;
    }
    const target = this.#dualStack && !address.includes(":") ? `::ffff:${address}` : address;
    this.#socket.send(this.#copyOf(bytes, from, end), port, target, this.#onSent);
    this.#queued = this.#socket.getSendQueueSize() > 0;
    if (this.#queued) this.#place = NO_PLACE; // what waits is not written over
    this.#sent.value++;
    return true;
  }

  #copyOf(bytes: Buffer, from: number, end: number): Buffer {
    const length = end - from;
    if (length > PLACE_BYTES) return Buffer.copyBytesFrom(bytes, from, length);
    if (this.#place.length === 0) this.#place = Buffer.allocUnsafeSlow(PLACE_BYTES);
    copyBytes(bytes, from, length, this.#place, 0);
    return this.#place.subarray(0, length);
  }

  /**
   * Queues one datagram to a multicast group, copied. It leaves through one interface, as memberships name it, and goes over
   * `hops` networks at most. @returns false when it was dropped
   */
  sendToGroup(
    bytes: Buffer,
    from: number,
    end: number,
    group: string,
    port: number,
    local: string,
    hops: number,
  ): boolean {
    try {
      this.#socket.setMulticastInterface(local);
      this.#socket.setMulticastTTL(hops);
    } catch {
      this.#dropped.value++; // the interface is gone, or the socket is closed
      return false;
    }
    return this.send(bytes, from, end, group, port);
  }

  /** Takes datagrams to a multicast group from nobody but `source`, which is nobody's address. May throw. */
  shutOut(group: string, local: string, source: string): void {
    this.#socket.addSourceSpecificMembership(source, group, local);
  }

  /** Takes that back; the interface may be gone. */
  letIn(group: string, local: string, source: string): void {
    try {
      this.#socket.dropSourceSpecificMembership(source, group, local);
    } catch {
      // The interface took its memberships along.
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }

  /** Closes it, and waits until the port is free. */
  closed(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.once("close", resolve);
      this.close();
    });
  }

  #take(bytes: Buffer, peer: RemoteInfo): void {
    this.#received.value++;
    // Nobody can be answered at port 0; such a source is forged.
    if (peer.port === 0) this.#dropped.value++;
    else this.handler?.onDatagram(bytes, plainAddress(peer.address), peer.port, null);
  }
}
