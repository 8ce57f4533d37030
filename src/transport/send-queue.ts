/**
 * What the kernel has taken for a connection and the peer's has not acknowledged. Node does not tell; Linux lists it, in
 * a line for each connection of the machine, so this is for moments of doubt, not for every packet.
 */
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";

const LISTS = { IPv4: "/proc/net/tcp", IPv6: "/proc/net/tcp6" };

/** @returns 0 when it is not known, too */
export function sendQueueBytes({ localPort, remotePort, remoteFamily }: Socket): number {
  if (localPort === undefined || remotePort === undefined) return 0;
  try {
    return queueIn(readFileSync(LISTS[remoteFamily === "IPv6" ? "IPv6" : "IPv4"], "latin1"), localPort, remotePort);
  } catch {
    return 0;
  }
}

export interface SendQueue {
  readonly bytes: number;
  /**
   * The peer's window is closed: it is there, and takes nothing for now. The kernel asks it again and again; false once it
   * has left that unanswered.
   */
  readonly held: boolean;
}

const EMPTY: SendQueue = { bytes: 0, held: false };

/**
 * Of whom a "no" must never be heard as a "yes": of all connections between these ports the longest queue.
 * @returns null when there is none in the list, as after a reset that node has not read yet; an empty one where there is
 *          no list
 */
export function listedQueue({ localPort, remotePort, remoteFamily }: Socket): SendQueue | null {
  if (localPort === undefined || remotePort === undefined) return null;
  let list: string;
  try {
    list = readFileSync(LISTS[remoteFamily === "IPv6" ? "IPv6" : "IPv4"], "latin1");
  } catch {
    return EMPTY;
  }
  return longestQueueIn(list, localPort, remotePort);
}

/** What `icsk_pending` is while a closed window is probed. */
const PROBING = "04";

/** The line's next words: "tr:when retransmits uid probes", of which the last counts those without an answer. */
export function longestQueueIn(list: string, localPort: number, remotePort: number): SendQueue | null {
  let longest: SendQueue | null = null;
  const line = `${lineBetween(localPort, remotePort)}[0-9A-F]+ (0[0-9]):[0-9A-F]+ [0-9A-F]+ +\\d+ +(\\d+) `;
  for (const [, queue = "", timer, probes] of list.matchAll(new RegExp(line, "g"))) {
    const bytes = Number.parseInt(queue, 16);
    if (bytes >= (longest?.bytes ?? 0)) longest = { bytes, held: timer === PROBING && probes === "0" };
  }
  return longest;
}

/** "0: 0100007F:B419 0200000A:22B3 01 00000A40:00000000 ...": both ends, the state (01 = connected), the queue to be sent. */
export function queueIn(list: string, localPort: number, remotePort: number): number {
  const line = new RegExp(lineBetween(localPort, remotePort)).exec(list);
  return line === null ? 0 : Number.parseInt(line[1] as string, 16);
}

function lineBetween(localPort: number, remotePort: number): string {
  return `:${hex(localPort)} [0-9A-F]+:${hex(remotePort)} 0[1-9A-F] ([0-9A-F]+):`;
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, "0");
}

/** Of the tty addon. */
export interface OutputAsker {
  /** @returns bytes, or an errno negated */
  outputBytes(fd: number): number;
}

/**
 * What is said of one connection, by the tty addon: for a socket TIOCOUTQ is SIOCOUTQ. Costs nothing, where the list is
 * half a ms and more.
 * @returns bytes that the peer's kernel has not acknowledged; after a reset those of that moment; -1 = not known
 */
export function unacknowledgedBytes(addon: OutputAsker, socket: Socket): number {
  // Node has no other way to the descriptor of a socket.
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: number } | null };
  const { fd } = handle ?? {};
  return fd === undefined || fd < 0 ? -1 : addon.outputBytes(fd);
}
