/**
 * What a reading costs on the link, counted by a proxy outside of the gateway, beside mosquitto's bridge: one at a time, and
 * gathered before. What the gateway itself counts: bytes.ts.
 */
import { mkdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import mqtt from "mqtt";
import type { Figure } from "../figures.ts";
import { startMosquitto } from "../peers/mosquitto.ts";
import type { Peer } from "../peers/peer.ts";
import { startSluice } from "../peers/sluice.ts";
import { table, threeDigits } from "../table.ts";
import { type CountingProxy, startCountingProxy } from "./counting-proxy.ts";
import { TOPICS } from "./remotes.ts";
import type { UplinkBench, UplinkReport } from "./run.ts";

const READINGS = 1_000;
const DEVICES = 20;
/** Each leaves by itself, as on a site with a few readings a second. */
const APART_MS = 3;
const IN_A_BATCH = 100;
const QUIET_MS = 1_000;
/** Of IPv4 20, of TCP 20, timestamps 12. */
const HEADER_BYTES = 52;

interface Way {
  readonly name: string;
  /** Of the forward rule; null = mosquitto's bridge. */
  readonly rule: string | null;
}

const batch = (format: string, compress: string): string =>
  `to: "site/17/readings", batch: {max_messages: ${IN_A_BATCH}, max_bytes: 64KiB, max_delay: 1m, format: ${format}, compress: ${compress}}`;

const WAYS: readonly Way[] = [
  { name: "mosquitto's bridge", rule: null },
  { name: "as they come", rule: 'to: "{topic}"' },
  ...["json-array", "lines", "senml-json", "senml-cbor"].flatMap((format) => [
    { name: `${IN_A_BATCH} a message, ${format}`, rule: batch(format, "none") },
    { name: `${IN_A_BATCH} a message, ${format}, gzip`, rule: batch(format, "gzip") },
  ]),
  {
    name: "mean, min and max of 1 s for each device",
    rule: 'to: "{topic}", reduce: {window: 1s, emit: [mean, min, max]}',
  },
];

interface Cost {
  /** Of TCP's payload, each reading. */
  readonly up: number;
  readonly down: number;
  readonly segments: number;
  readonly withHeaders: number;
}

export async function link(bench: UplinkBench): Promise<UplinkReport> {
  const { progress, certificates } = bench;
  const directory = `${bench.directory}/link`;
  mkdirSync(directory, { recursive: true });
  const cloud = await startMosquitto(`${directory}/cloud`, { certificate: certificates.broker });
  if (cloud === null) throw new Error("mosquitto is not there");
  const costs: { readonly name: string; readonly cost: Cost }[] = [];
  try {
    for (const [i, way] of WAYS.entries()) {
      progress.show(`link: ${way.name}`);
      const cost = await costOf(bench, `${directory}/${i}`, way, cloud);
      if (cost === null) progress.note(`${way.name} is not there and is left out`);
      else costs.push({ name: way.name, cost });
    }
  } finally {
    await cloud.process?.stop();
  }
  const head = ["bytes on the link for each reading", "up", "down", "segments", "with headers of TCP and IP"];
  const rows = costs.map(({ name, cost }) => [
    name,
    threeDigits(cost.up),
    threeDigits(cost.down),
    threeDigits(cost.segments),
    threeDigits(cost.withHeaders),
  ]);
  const figures = costs.map(({ name, cost }): Figure => {
    return { name: `bytes of a reading, ${name}`, better: "less", values: [cost.withHeaders] };
  });
  const what = `${READINGS.toLocaleString("en")} readings of ${DEVICES} devices, like ${reading(7)}, over TLS`;
  return {
    text: `${what}\n\n${table([head, ...rows])}`,
    details: Object.fromEntries(costs.map((c) => [c.name, c.cost])),
    figures,
  };
}

async function costOf(bench: UplinkBench, directory: string, way: Way, cloud: Peer): Promise<Cost | null> {
  const proxy = await startCountingProxy(cloud.port);
  const sender = await startSender(bench, directory, way, proxy);
  if (sender === null) return null;
  try {
    await quiet(proxy);
    const before = proxy.passed();
    const device = await mqtt.connectAsync(`mqtt://127.0.0.1:${sender.port}`);
    const published: Promise<unknown>[] = [];
    for (let i = 0; i < READINGS; i++) {
      published.push(device.publishAsync(`${TOPICS}/device-${i % DEVICES}/climate`, reading(i), { qos: 1 }));
      await delay(APART_MS);
    }
    await Promise.all(published);
    await device.endAsync();
    await quiet(proxy);
    const { up, down } = proxy.passed();
    const bytesUp = up.bytes - before.up.bytes;
    const bytesDown = down.bytes - before.down.bytes;
    const segmentsUp = up.segments - before.up.segments;
    const segmentsDown = down.segments - before.down.segments;
    // An answer says that what it answers came; that the answer came is said by a segment of its own.
    const segments = segmentsUp + segmentsDown + segmentsDown;
    return {
      up: bytesUp / READINGS,
      down: bytesDown / READINGS,
      segments: segments / READINGS,
      withHeaders: (bytesUp + bytesDown + segments * HEADER_BYTES) / READINGS,
    };
  } finally {
    await sender.process?.stop();
    proxy.close();
  }
}

/** Connected already when it is there. */
function startSender(bench: UplinkBench, directory: string, { rule }: Way, proxy: CountingProxy): Promise<Peer | null> {
  const { ca } = bench.certificates;
  if (rule !== null) {
    const url = `mqtts://127.0.0.1:${proxy.port}`;
    const forward = `forward: [{match: "${TOPICS}/#", ${rule}}]`;
    return startSluice(directory, {
      config: ["memory_limit: 24MiB", `uplinks: [{name: cloud, url: "${url}", tls: {ca: ${ca}}, ${forward}}]`],
    });
  }
  const bridge = [
    "connection cloud",
    `address 127.0.0.1:${proxy.port}`,
    `topic ${TOPICS}/# out 1`,
    `bridge_cafile ${ca}`,
  ];
  return startMosquitto(directory, { persistence: ["persistence false", ...bridge, "notifications false"] });
}

/** Returns once nothing passes any more. */
async function quiet(proxy: CountingProxy): Promise<void> {
  for (let last = -1; ; ) {
    const { up, down } = proxy.passed();
    const now = up.bytes + down.bytes;
    if (now === last) return;
    last = now;
    await delay(QUIET_MS);
  }
}

/** Of a device that measures, as JSON. */
function reading(i: number): string {
  const temperature = 20 + ((i * 37) % 500) / 100;
  const humidity = 40 + ((i * 13) % 200) / 10;
  return JSON.stringify({ temp: temperature, hum: humidity, bat: 3.6 });
}
