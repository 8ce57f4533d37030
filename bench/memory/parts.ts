/** What the optional parts of Sluice cost at rest, one by one. */
import { writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { CertificatePaths } from "../../scripts/demo/certificates.ts";
import { memoryOf } from "../../scripts/kept/proc.ts";
import type { Figure } from "../figures.ts";
import type { Peer } from "../peers/peer.ts";
import { type SluiceOptions, startSluice } from "../peers/sluice.ts";
import type { Progress } from "../progress.ts";
import { mebibytes } from "../table.ts";
import { startBareNode } from "./bare-node.ts";

export const SETTLE_MS = 3_000;
const STARTS = 3;
const PASSWORD =
  "$7$101$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

interface Part {
  readonly name: string;
  readonly options: SluiceOptions;
}

/** A new part adds its row here. */
function partsOf(directory: string, certificate: CertificatePaths): Part[] {
  writeFileSync(`${directory}/passwd`, `user:${PASSWORD}\n`, { mode: 0o600 });
  writeFileSync(`${directory}/acl`, "topic readwrite #\n");
  const auth = `auth: {anonymous: always, password_file: ${directory}/passwd, acl_file: ${directory}/acl}`;
  const serial =
    "serial: [{name: meter, port: /dev/none, baud: 115200, framing: line, publish: {topic: meter, qos: 1}}]";
  const uplink = 'uplinks: [{name: cloud, url: "mqtt://127.0.0.1:9", forward: [{match: "#"}]}]'; // nobody listens there
  return [
    { name: "MQTT", options: {} },
    { name: "MQTT over TLS", options: { certificate } },
    { name: "MQTT, WebSocket", options: { listeners: ["mqtt", "ws"] } },
    { name: "MQTT, CoAP", options: { listeners: ["mqtt", "coap"] } },
    { name: "MQTT, HTTP", options: { listeners: ["mqtt", "http"] } },
    { name: "MQTT, CoAP, HTTP", options: { listeners: ["mqtt", "coap", "http"] } },
    { name: "MQTT, users and ACL", options: { config: [auth] } },
    { name: "MQTT, a serial line", options: { config: [serial] } },
    { name: "MQTT, an uplink", options: { config: [uplink] } },
    {
      name: "all but TLS",
      options: { listeners: ["mqtt", "ws", "coap", "http"], config: ["memory_limit: 24MiB", auth, serial, uplink] },
    },
  ];
}

/** @returns head and rows of the table: medians of several starts, a bare node first */
export async function weighParts(
  directory: string,
  certificate: CertificatePaths,
  progress: Progress,
  figures: Figure[],
): Promise<string[][]> {
  const head = ["at rest", "RSS", "private dirty", "RSS beside MQTT alone", "private dirty beside it"];
  const bare = await weighed(progress, "bare node", () => startBareNode("tcp"));
  const rows = [["bare node", mebibytes(bare.rssBytes), mebibytes(bare.privateDirtyBytes), "", ""]];
  let alone: Weight | null = null;
  for (const [i, { name, options }] of partsOf(directory, certificate).entries()) {
    const weight = await weighed(progress, name, (n) => startSluice(`${directory}/part-${i}-${n}`, options));
    figures.push({ name: `${name}: RSS at rest, bytes`, better: "less", values: [weight.rssBytes] });
    alone ??= weight;
    rows.push([
      name,
      mebibytes(weight.rssBytes),
      mebibytes(weight.privateDirtyBytes),
      mebibytes(weight.rssBytes - alone.rssBytes),
      mebibytes(weight.privateDirtyBytes - alone.privateDirtyBytes),
    ]);
  }
  return [head, ...rows];
}

interface Weight {
  readonly rssBytes: number;
  readonly privateDirtyBytes: number;
}

async function weighed(progress: Progress, name: string, start: (n: number) => Promise<Peer | null>): Promise<Weight> {
  progress.show(`${name}, ${STARTS} starts`);
  const peers = await Promise.all(Array.from({ length: STARTS }, (_, n) => start(n)));
  try {
    await delay(SETTLE_MS);
    const memories = peers.filter((peer) => peer !== null).map((peer) => memoryOf(peer.pid));
    const rss = memories.map(({ rssBytes }) => rssBytes);
    return {
      rssBytes: median(rss),
      privateDirtyBytes: median(memories.map(({ privateDirtyBytes }) => privateDirtyBytes)),
    };
  } finally {
    await Promise.all(peers.map((peer) => peer?.process?.stop()));
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
