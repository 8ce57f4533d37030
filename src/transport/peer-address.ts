/** IPv4 peers of a dual-stack socket appear as ::ffff:10.0.0.7; everywhere else they are 10.0.0.7. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

/** @param address plain */
export function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

/** "10.0.0.7:1883", "[::1]:1883" */
export function addressAndPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
