/** What the optional parts of Sluice cost at rest, one by one. */
import { writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { openSerialLine, type SerialLine } from "../../scripts/demo/devices/serial-device.ts";
import { memoryOf } from "../../scripts/kept/proc.ts";
import { type Figure, median } from "../figures.ts";
import type { Peer } from "../peers/peer.ts";
import { type SluiceOptions, startSluice } from "../peers/sluice.ts";
import type { Progress } from "../progress.ts";
import { mebibytes } from "../table.ts";
import { startBareNode } from "./bare-node.ts";
import type { Certificates } from "./certificates.ts";

export const SETTLE_MS = 3_000;
const STARTS = 3;
const PASSWORD =
  "$7$101$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

interface Part {
  readonly name: string;
  /** Of the start with this number: each has a serial line of its own. */
  readonly options: (start: number) => SluiceOptions;
}

/** What the parts need around them. */
interface Surroundings {
  readonly directory: string;
  readonly certificates: Certificates;
  /** Where uplinks go: over TCP and over TLS. */
  readonly cloud: Peer;
  readonly tlsCloud: Peer;
  /** One for each start; none where the system has no pseudo terminals. */
  readonly lines: readonly SerialLine[];
}

/** A new part adds its row here. */
function partsOf({ directory, certificates, cloud, tlsCloud, lines }: Surroundings): Part[] {
  const certificate = certificates.broker;
  writeFileSync(`${directory}/passwd`, `user:${PASSWORD}\n`, { mode: 0o600 });
  writeFileSync(`${directory}/acl`, "topic readwrite #\n");
  const auth = `auth: {anonymous: always, password_file: ${directory}/passwd, acl_file: ${directory}/acl}`;
  const serial = (start: number): string =>
    `serial: [{name: meter, port: ${lines[start]?.path}, baud: 115200, framing: line, publish: {topic: meter, qos: 1}}]`;
  const forward = 'forward: [{match: "#"}]';
  const plain = (start: number): string =>
    `{name: cloud, client_id: gw-${start}, url: "mqtt://127.0.0.1:${cloud.port}", ${forward}}`;
  const secured = (start: number): string =>
    `{name: far, client_id: far-${start}, url: "mqtts://127.0.0.1:${tlsCloud.port}", tls: {ca: ${certificates.ca}}, ${forward}}`;
  const part = (name: string, ...listeners: string[]): Part => ({ name, options: () => ({ listeners }) });
  const withLines = (name: string, line: (start: number) => string): Part => ({
    name,
    options: (start) => ({ config: [line(start)] }),
  });
  const overTls = (name: string, ...listeners: string[]): Part => ({
    name,
    options: () => ({ listeners, certificate }),
  });
  const everything = (start: number): SluiceOptions => ({
    listeners: ["mqtt", "ws", "coap", "http"],
    certificate,
    config: ["memory_limit: 24MiB", auth, serial(start), `uplinks: [${plain(start)}, ${secured(start)}]`],
  });
  return [
    part("MQTT, the store", "mqtt"),
    overTls("MQTT over TLS", "mqtt"),
    part("MQTT, WebSocket", "mqtt", "ws"),
    overTls("MQTT over TLS, wss", "mqtt", "ws"),
    part("MQTT, CoAP", "mqtt", "coap"),
    part("MQTT, HTTP", "mqtt", "http"),
    overTls("MQTT over TLS, HTTPS", "mqtt", "http"),
    part("MQTT, CoAP, HTTP", "mqtt", "coap", "http"),
    withLines("MQTT, users and ACL", () => auth),
    withLines("MQTT, an uplink", (start) => `uplinks: [${plain(start)}]`),
    withLines("MQTT, an uplink over TLS", (start) => `uplinks: [${secured(start)}]`),
    ...(lines.length < STARTS
      ? []
      : [withLines("MQTT, a serial line", serial), { name: "all of these", options: everything }]),
  ];
}

/** @returns head and rows of the table: medians of several starts, a bare node first */
export async function weighParts(
  directory: string,
  certificates: Certificates,
  progress: Progress,
  figures: Figure[],
): Promise<string[][]> {
  const cloud = await startSluice(`${directory}/cloud`);
  const tlsCloud = await startSluice(`${directory}/tls-cloud`, { certificate: certificates.broker });
  if (cloud === null || tlsCloud === null) throw new Error("build first: npm run build");
  const opened = await Promise.all(Array.from({ length: STARTS }, (_, i) => openSerialLine(`${directory}/line-${i}`)));
  const lines = opened.filter((line) => line !== null);
  if (lines.length < STARTS) progress.note("no pseudo terminals: without a serial line");
  try {
    return await weighAll({ directory, certificates, cloud, tlsCloud, lines }, progress, figures);
  } finally {
    await Promise.all([cloud.process?.stop(), tlsCloud.process?.stop(), ...lines.map(({ line }) => line.stop())]);
  }
}

async function weighAll(around: Surroundings, progress: Progress, figures: Figure[]): Promise<string[][]> {
  const head = ["at rest", "RSS", "private dirty", "RSS beside MQTT alone", "private dirty beside it"];
  const rows = [head];
  for (const [name, kind] of [
    ["bare node", "tcp"],
    ["bare node, SQLite", "sqlite"],
  ] as const) {
    const { rssBytes, privateDirtyBytes } = await weighed(progress, name, () => startBareNode(kind));
    rows.push([name, mebibytes(rssBytes), mebibytes(privateDirtyBytes), "", ""]);
  }
  let alone: Weight | null = null;
  for (const [i, { name, options }] of partsOf(around).entries()) {
    const start = (n: number): Promise<Peer | null> => startSluice(`${around.directory}/part-${i}-${n}`, options(n));
    const weight = await weighed(progress, name, start);
    figures.push(
      { name: `${name}: RSS at rest, bytes`, better: "less", values: weight.allRssBytes },
      { name: `${name}: private dirty at rest, bytes`, better: "less", values: weight.allPrivateDirtyBytes },
    );
    alone ??= weight;
    rows.push([
      name,
      mebibytes(weight.rssBytes),
      mebibytes(weight.privateDirtyBytes),
      mebibytes(weight.rssBytes - alone.rssBytes),
      mebibytes(weight.privateDirtyBytes - alone.privateDirtyBytes),
    ]);
  }
  return rows;
}

interface Weight {
  /** The medians of all starts. */
  readonly rssBytes: number;
  readonly privateDirtyBytes: number;
  readonly allRssBytes: readonly number[];
  readonly allPrivateDirtyBytes: readonly number[];
}

async function weighed(progress: Progress, name: string, start: (n: number) => Promise<Peer | null>): Promise<Weight> {
  progress.show(`${name}, ${STARTS} starts`);
  const peers = await Promise.all(Array.from({ length: STARTS }, (_, n) => start(n)));
  try {
    await delay(SETTLE_MS);
    const memories = peers.filter((peer) => peer !== null).map((peer) => memoryOf(peer.pid));
    const allRssBytes = memories.map(({ rssBytes }) => rssBytes);
    const allPrivateDirtyBytes = memories.map(({ privateDirtyBytes }) => privateDirtyBytes);
    return {
      rssBytes: median(allRssBytes),
      privateDirtyBytes: median(allPrivateDirtyBytes),
      allRssBytes,
      allPrivateDirtyBytes,
    };
  } finally {
    await Promise.all(peers.map((peer) => peer?.process?.stop()));
  }
}
