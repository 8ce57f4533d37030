/**
 * Multicast beside a UDP port. Node does not tell where a datagram was sent to, so each group has sockets of its own,
 * bound to the group's address, which get nothing else; answers leave by the port's own socket.
 *
 *      224.0.1.187:5683         one socket, a membership for each interface
 *      [ff05::fd]:5683          the same
 *      [ff02::fd%eth0]:5683     link-local: one socket for each interface
 *
 * The kernel gives a group's datagrams to every socket on the port that is bound to the unspecified address, too, as
 * soon as anybody on the machine is a member (IP_MULTICAST_ALL, out of node's reach). Such a port would take each of
 * them a second time, for one that was sent to it. So it joins the group for a single source that does not exist, which
 * shuts all others out.
 *
 * Interfaces come and go; every REFRESH_MS those that there are now are joined.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIPv4, isIPv6 } from "node:net";
import type { Counter } from "../base/counters.ts";
import { type Expirable, Timer } from "../base/timer-wheel.ts";
import { interfaces } from "./network.ts";
import { plainAddress } from "./peer-address.ts";
import { describeError } from "./socket-error.ts";
import type { Transport } from "./transport.ts";
import type { DatagramReceiver, UdpPort } from "./udp.ts";

/** Interfaces joined, of those in the order of the system; memberships of a socket are limited to 20 by Linux. */
const GROUP_INTERFACES_MAX = 16;
export const REFRESH_MS = 10_000;
/** Nobody's address: loopback's broadcast, and one that no node has. */
const NO_SOURCE_V4 = "127.255.255.254";
const NO_SOURCE_V6 = "::2";

/** An interface as memberships name it. */
interface Place {
  readonly name: string;
  /** IPv4: an address of it; IPv6: `::%name`. */
  readonly local: string;
  readonly ipv6: boolean;
}

export interface GroupOptions {
  readonly transport: Transport;
  readonly port: UdpPort;
  /** Of the groups, where it is not that of `port`. */
  readonly groupPort?: number;
  /** As configured: which interfaces. 0.0.0.0 are those with IPv4, :: all of both kinds. */
  readonly host: string;
  /** IPv4 and IPv6; those that the host cannot have are passed over. */
  readonly groups: readonly string[];
  readonly receiver: DatagramReceiver;
}

export class UdpGroups implements Expirable {
  readonly #options: GroupOptions;
  readonly #timer = new Timer(this, 0);
  /** By bound address. */
  readonly #sockets = new Map<string, Socket>();
  /** `group local` of what is joined; with the reason of what could not be. */
  readonly #joined = new Map<string, string | null>();
  readonly #received: Counter;
  readonly #dropped: Counter;
  #refreshing: Promise<void> | null = null;
  #closed = false;

  constructor(options: GroupOptions) {
    this.#options = options;
    const { counters } = options.transport;
    this.#received = counters.counter("transport.datagrams_received");
    this.#dropped = counters.counter("transport.datagrams_dropped");
  }

  /** Memberships at present: a group on an interface each. */
  get memberships(): number {
    let count = 0;
    for (const problem of this.#joined.values()) if (problem === null) count++;
    return count;
  }

  /** Joins what there is and goes on looking. */
  async open(): Promise<void> {
    await this.refresh();
  }

  /** Sends `bytes[from..end)` from the port to a group, on all interfaces that are joined. @param hops networks at most */
  send(group: string, bytes: Buffer, from: number, end: number, hops: number): void {
    const { port } = this.#options;
    for (const [key, problem] of this.#joined) {
      const [joined = "", local = ""] = key.split(" ");
      if (problem === null && joined === group) {
        port.sendToGroup(bytes, from, end, group, this.#groupPort, local, hops);
      }
    }
  }

  /** Whether the port itself would take what is sent to a group. */
  get #comesTwice(): boolean {
    const { host, port } = this.#options;
    return isWildcard(host) && this.#groupPort === port.port;
  }

  get #groupPort(): number {
    return this.#options.groupPort ?? this.#options.port.port;
  }

  close(): void {
    this.#closed = true;
    this.#options.transport.wheel.cancel(this.#timer);
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
    this.#joined.clear();
  }

  onTimer(): void {
    void this.refresh();
  }

  /** Joins on interfaces that have come, and forgets those that have gone. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
      if (!this.#closed) this.#options.transport.wheel.schedule(this.#timer, REFRESH_MS);
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    const { host, groups } = this.#options;
    const wanted = new Set<string>();
    for (const place of placesOf(host)) {
      for (const group of groups) {
        if (isIPv6(group) !== place.ipv6) continue;
        wanted.add(keyOf(group, place.local));
        await this.#join(group, place);
        if (this.#closed) return;
      }
    }
    for (const key of this.#joined.keys()) if (!wanted.has(key)) this.#leave(key);
  }

  async #join(group: string, place: Place): Promise<void> {
    const key = keyOf(group, place.local);
    const before = this.#joined.get(key);
    if (before === null) return;
    let problem: string | null = null;
    try {
      const socket = await this.#socketFor(boundAddress(group, place), place.ipv6);
      if (this.#closed) return;
      socket.addMembership(group, place.local);
      if (this.#comesTwice) {
        this.#options.port.shutOut(group, place.local, place.ipv6 ? NO_SOURCE_V6 : NO_SOURCE_V4);
      }
    } catch (error) {
      problem = describeError(error);
    }
    this.#joined.set(key, problem);
    if (problem === null || problem === before) return;
    this.#options.transport.log.warn("group-not-joined", { group, interface: place.name, error: problem });
  }

  async #socketFor(address: string, ipv6: boolean): Promise<Socket> {
    const known = this.#sockets.get(address);
    if (known !== undefined) return known;
    const socket = createSocket({ type: ipv6 ? "udp6" : "udp4", reuseAddr: true });
    socket.bind(this.#groupPort, address);
    try {
      await once(socket, "listening");
    } catch (error) {
      socket.close();
      throw error;
    }
    if (this.#closed) {
      socket.close();
      return socket;
    }
    socket.on("message", (bytes, peer) => this.#take(bytes, peer));
    socket.on("error", (error) => {
      this.#options.transport.log.error("udp-failed", { group: address, error: describeError(error) });
    });
    this.#sockets.set(address, socket);
    return socket;
  }

  /** The interface has gone, and with it the kernel's membership, or soon. */
  #leave(key: string): void {
    const [group = "", local = ""] = key.split(" ");
    const wasJoined = this.#joined.get(key) === null;
    this.#joined.delete(key);
    const own = `${group}%${local.slice(local.indexOf("%") + 1)}`;
    const socket = this.#sockets.get(isLinkLocal(group) ? own : group);
    if (socket === undefined) return;
    if (isLinkLocal(group)) {
      socket.close();
      this.#sockets.delete(own);
    } else if (wasJoined) {
      dropQuietly(socket, group, local);
    }
    if (wasJoined && this.#comesTwice) {
      this.#options.port.letIn(group, local, isIPv6(group) ? NO_SOURCE_V6 : NO_SOURCE_V4);
    }
  }

  #take(bytes: Buffer, peer: RemoteInfo): void {
    this.#received.value++;
    if (peer.port === 0) this.#dropped.value++;
    else this.#options.receiver.onDatagram(bytes, plainAddress(peer.address), peer.port, null);
  }
}

export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

function isLinkLocal(group: string): boolean {
  return /^ff.2:/i.test(group);
}

function boundAddress(group: string, place: Place): string {
  return isLinkLocal(group) ? `${group}%${place.name}` : group;
}

function keyOf(group: string, local: string): string {
  return `${group} ${local}`;
}

/** One for each family of each interface that `host` stands for. */
function placesOf(host: string): Place[] {
  const places: Place[] = [];
  let count = 0;
  for (const [name, addresses = []] of Object.entries(interfaces() ?? {})) {
    if (count === GROUP_INTERFACES_MAX) break;
    const before = places.length;
    const ipv4 = addresses.find(({ address, family }) => family === "IPv4" && isAt(host, address, name));
    const ipv6 = addresses.find(({ address, family }) => family === "IPv6" && isAt(host, address, name));
    if (ipv4 !== undefined) places.push({ name, local: ipv4.address, ipv6: false });
    if (ipv6 !== undefined) places.push({ name, local: `::%${name}`, ipv6: true });
    if (places.length > before) count++;
  }
  return places;
}

function isAt(host: string, address: string, name: string): boolean {
  if (host === "::") return true;
  if (host === "0.0.0.0") return isIPv4(address);
  return host === address || host === `${address}%${name}`;
}

function dropQuietly(socket: Socket, group: string, local: string): void {
  try {
    socket.dropMembership(group, local);
  } catch {
    // The interface took its memberships along.
  }
}
