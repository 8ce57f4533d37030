/** What this machine's network looks like, for those who wait for it to come back. Linux tells nobody but netlink sockets. */
import { readFileSync } from "node:fs";
import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { plainAddress } from "./peer-address.ts";

export interface Network {
  /** Another text when an address or a route came or went. */
  fingerprint(): string;
  /** Whether an interface that is up has this address now. */
  has(address: string): boolean;
}

const ROUTES = ["/proc/net/route", "/proc/net/ipv6_route"];
/** Columns that count packets and references: they change by themselves. */
const COUNTED_COLUMNS: Readonly<Record<string, readonly number[]>> = {
  "/proc/net/route": [4, 5],
  "/proc/net/ipv6_route": [6, 7],
};

/** One look takes 0.1 ms on a machine with four interfaces. */
export const systemNetwork: Network = {
  fingerprint() {
    const addresses = Object.entries(interfaces() ?? {}).flatMap(([name, own = []]) =>
      own.map(({ address }) => `${name} ${address}`),
    );
    return [...addresses, ...ROUTES.map(routes)].join("\n");
  },

  has(address) {
    const [plain] = plainAddress(address).split("%"); // without the zone of a link-local one
    const all = interfaces();
    return all === null || Object.values(all).some((own) => own?.some((entry) => entry.address === plain));
  },
};

/** Interfaces that are up, with their addresses; null: this system does not tell. */
export function interfaces(): NodeJS.Dict<NetworkInterfaceInfo[]> | null {
  try {
    return networkInterfaces();
  } catch {
    return null;
  }
}

function routes(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "latin1");
  } catch {
    return "";
  }
  const counted = COUNTED_COLUMNS[path] ?? [];
  const lines = text.split("\n").map((line) =>
    line
      .trim()
      .split(/\s+/)
      .filter((_, column) => !counted.includes(column))
      .join(" "),
  );
  return lines.join("\n");
}
