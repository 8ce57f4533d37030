/** Where a listener listens: "0.0.0.0:8883", "[::]:1883", "localhost:0", "unix:/run/sluice.sock". */
import { isIP, isIPv4, isIPv6, SocketAddress } from "node:net";

export interface Bind {
  readonly host: string;
  readonly port: number;
  /** Path as written; null for an address. */
  readonly unix: string | null;
}

/** Room in sockaddr_un without the final NUL. */
export const UNIX_PATH_BYTES_MAX = 107;

/** @returns what is wrong, when something is */
export function parseBind(text: string): Bind | string {
  if (text.startsWith("unix:")) {
    const path = text.slice(5);
    return path === "" ? "names no path" : { host: "", port: 0, unix: path };
  }
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text);
  if (match === null) {
    if (isIP(text) !== 0 || !/:\d+$/.test(text)) return "has no port";
    return "is no address";
  }
  const [, bracketed, bare] = match;
  const port = Number(match[3]);
  if (port > 65_535) return `port ${port} is beyond 65535`;
  if (bracketed !== undefined) {
    return isIPv6(bracketed) ? { host: plainIpv6(bracketed), port, unix: null } : `[${bracketed}] is no IPv6 address`;
  }
  const host = bare ?? "";
  if (host === "") return "names no address";
  if (/^[\d.]+$/.test(host) ? !isIPv4(host) : !/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(host)) {
    return `${host} is no address`;
  }
  return { host, port, unix: null };
}

/** As the system writes it (RFC 5952), so that it can be compared with the addresses of interfaces; a zone stays. */
function plainIpv6(text: string): string {
  const [address = "", zone] = text.split("%");
  const plain = new SocketAddress({ address, family: "ipv6" }).address;
  return zone === undefined ? plain : `${plain}%${zone}`;
}

/** "127.0.0.1:1883", "[::1]:1883". */
export function addressText(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether the kernel would refuse one of them because of the other. Port 0 never collides. */
export function overlaps(a: Bind, b: Bind): boolean {
  if (a.unix !== null || b.unix !== null) return a.unix === b.unix;
  if (a.port === 0 || a.port !== b.port) return false;
  if (a.host === b.host || a.host === "::" || b.host === "::") return true;
  // 0.0.0.0 takes every IPv4 address; an IPv6 one is not among them.
  return (a.host === "0.0.0.0" && !b.host.includes(":")) || (b.host === "0.0.0.0" && !a.host.includes(":"));
}
