import { memoryOf } from "../../scripts/kept/proc.ts";
import type { Peer } from "../peers/peer.ts";
import type { Progress } from "../progress.ts";
import type { PeerReport } from "./report.ts";
import { type PeerName, type Setting, startersOf } from "./settings.ts";

/** What start-up left is collected by then. */
const SETTLE_MS = 1_000;

/**
 * Starts the peers of a setting, all at once, and stops them when `use` is through with them.
 * @param more  brokers that run already
 * @returns their memory before and after
 */
export async function withBrokers(
  setting: Setting,
  names: readonly PeerName[],
  more: readonly Peer[],
  directory: string,
  progress: Progress,
  use: (peers: readonly Peer[]) => Promise<void>,
): Promise<PeerReport[]> {
  const peers: Peer[] = [];
  try {
    const starters = await startersOf(setting, directory);
    for (const name of names) {
      const start = starters[name];
      if (start === undefined) continue;
      progress.show(`starting ${name}, ${setting}`);
      const peer = await start(`${directory}/${setting}-${name}`);
      if (peer === null) progress.note(`${name} (${setting}) is not installed, or needs root, and is left out`);
      else peers.push(peer);
    }
    peers.push(...more);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const atRest = peers.map(({ pid }) => memoryOf(pid));
    await use(peers);
    return peers.map(({ name, version, pid, process: broker }, i) => ({
      name,
      version,
      setting,
      atRest: atRest[i]!,
      afterwards: broker?.running === false ? null : memoryOf(pid),
    }));
  } finally {
    await Promise.all(peers.map((peer) => peer.process?.stop()));
  }
}
