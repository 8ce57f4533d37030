/** Which local address a connection leaves from. */
import type { LookupAddress } from "node:dns";
import { isIP } from "node:net";
import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";

export interface Leaving {
  /** null = the system chooses. */
  readonly localAddress: string | null;
  /** Those that can be reached from it, in order of preference. */
  readonly addresses: readonly LookupAddress[];
}

export class NoAddress extends Error {
  override readonly name = "NoAddress";
}

/**
 * Of an interface the address is taken that it has now, of the first family that the server has, too: mobile links get
 * another with each dial-in.
 * @throws NoAddress in words
 */
export function leavingFrom(
  addresses: readonly LookupAddress[],
  bindAddress: string | null,
  interfaceName: string | null,
): Leaving {
  if (interfaceName !== null) return leavingBy(addresses, interfaceName);
  if (bindAddress === null) return { localAddress: null, addresses };
  const family = isIP(bindAddress);
  const usable = addresses.filter((entry) => entry.family === family);
  if (usable.length === 0) throw new NoAddress(`no address that ${bindAddress} can reach`);
  return { localAddress: bindAddress, addresses: usable };
}

function leavingBy(addresses: readonly LookupAddress[], name: string): Leaving {
  const own = networkInterfaces()[name];
  // The kernel's list has interfaces that are up and have an address; which of the two is missing it does not say.
  if (own === undefined) throw new NoAddress(`interface ${name} has no address, is down or does not exist`);
  for (const { family } of addresses) {
    const local = own.find((entry) => familyOf(entry) === family && !isLinkLocal(entry.address));
    if (local === undefined) continue;
    return { localAddress: local.address, addresses: addresses.filter((entry) => entry.family === family) };
  }
  const families = [...new Set(addresses.map(({ family }) => `IPv${family}`))].join(" or ");
  throw new NoAddress(`interface ${name} has no ${families} address, as the server has`);
}

/** 4 or 6. */
function familyOf(entry: NetworkInterfaceInfo): number {
  return entry.family === "IPv6" ? 6 : 4;
}

/** Reaches the neighbours alone. */
function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/i.test(address) || address.startsWith("169.254.");
}
