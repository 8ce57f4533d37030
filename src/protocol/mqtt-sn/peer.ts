/** Where a client is: at an address, or a wireless node behind the forwarder at one. @see MQTT-SN 1.2 sections 4 and 5.5 */

/** Longest wireless node id: an IPv6 address. */
export const NODE_ID_BYTES_MAX = 16;

export interface Peer {
  /** What peers are told apart by. */
  readonly key: string;
  readonly address: string;
  readonly port: number;
  /** null = it speaks for itself. */
  readonly nodeId: Buffer | null;
}

export function keyOf(address: string, port: number): string {
  return `${address} ${port}`;
}

/** @param bytes the wireless node id is `bytes[from..end)` */
export function nodeKeyOf(address: string, port: number, bytes: Buffer, from: number, end: number): string {
  return `${address} ${port} ${bytes.toString("hex", from, end)}`;
}
