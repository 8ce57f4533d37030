/** What the transport may take at most; `config/budget.ts` adds it to the bill. */
import type { Line } from "../config/budget.ts";
import { LARGE_BYTES, MEDIUM_BYTES, outputMemory, SMALL_BYTES } from "./output-buffers.ts";
import { REST_BYTES_MAX } from "./turn-queue.ts";

/** Bytes of a link with its output and its listeners, 887 measured. Node's own socket, about 5 KiB, is the runtime's and comes on top. */
const LINK_BYTES = 896;

/** Estimated bytes of an address in `PerAddress`. */
const ADDRESS_BYTES = 128;

export interface BudgetLimits {
  readonly maxConnections: number;
  readonly connectionsPerAddress: number;
  readonly maxPacketBytes: number;
}

export function budget(limits: BudgetLimits): Line[] {
  const { maxConnections, maxPacketBytes } = limits;
  const addresses = limits.connectionsPerAddress < maxConnections ? maxConnections : 0;
  const { smallMax, mediumMax, largeMax, oneOffBytesMax } = outputMemory(maxConnections);
  return [
    {
      owner: "transport: connections",
      bytes: maxConnections * LINK_BYTES + addresses * ADDRESS_BYTES,
      how: `${maxConnections} of ${LINK_BYTES} bytes${addresses > 0 ? ` and ${ADDRESS_BYTES} for the address` : ""}`,
    },
    {
      owner: "transport: output",
      bytes: smallMax * SMALL_BYTES + mediumMax * MEDIUM_BYTES + largeMax * LARGE_BYTES,
      how: `${smallMax} buffers of ${SMALL_BYTES} bytes, ${mediumMax} of ${MEDIUM_BYTES}, ${largeMax} of ${LARGE_BYTES}`,
    },
    {
      owner: "transport: rests that wait for a turn",
      bytes: REST_BYTES_MAX,
      how: `${REST_BYTES_MAX} bytes of what links have read and not worked off`,
    },
    {
      owner: "transport: large packets on their way out",
      bytes: oneOffBytesMax + maxPacketBytes,
      how: `${oneOffBytesMax} bytes and one packet more`,
    },
  ];
}
