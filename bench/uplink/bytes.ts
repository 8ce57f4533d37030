/**
 * Bytes on the link for each reading, with and without rules that gather: 1,000 readings of two numbers from five devices,
 * 200 a second, over TLS to mosquitto. What is counted is what a data cap counts (transport/traffic.ts): TCP and IP headers,
 * acknowledgements and the connection itself included.
 */
import { mkdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { connectAsync } from "mqtt";
import { eventually } from "../../test/support/eventually.ts";
import { GatewayProcess, sluice } from "../../test/support/gateway-process.ts";
import { Mosquitto } from "../../test/support/mosquitto.ts";
import { MqttPeer } from "../../test/support/mqtt-peer.ts";
import type { Figure } from "../figures.ts";
import { table, threeDigits } from "../table.ts";
import type { UplinkBench, UplinkReport } from "./run.ts";

const READINGS = 1000;
const DEVICES = 5;
const PAUSE_MS = 5;
/** A data cap looks at its traffic this often, and a little more. */
const COUNTED_MS = 11_000;
const BATCH = { max_messages: 200, max_bytes: "64KiB", max_delay: "5s" };
const FIGURES = ["mean", "min", "max"];

const RULES: Readonly<Record<string, Record<string, unknown>>> = {
  "each by itself": {},
  "on_change, 0.5 degrees": { on_change: { deadband: 0.5, fields: ["temp"] } },
  "batches of 200, json-array": { batch: BATCH },
  "the same, gzip": { batch: { ...BATCH, compress: "gzip" } },
  "batches of 200, senml-json": { batch: { ...BATCH, format: "senml-json" } },
  "senml-json, gzip": { batch: { ...BATCH, format: "senml-json", compress: "gzip" } },
  "batches of 200, senml-cbor": { batch: { ...BATCH, format: "senml-cbor" } },
  "senml-cbor, gzip": { batch: { ...BATCH, format: "senml-cbor", compress: "gzip" } },
  "mean, min, max of each second": { reduce: { window: "1s", emit: FIGURES } },
  "the same in batches, senml-cbor": {
    reduce: { window: "1s", emit: FIGURES },
    batch: { ...BATCH, format: "senml-cbor" },
  },
};

interface Cost {
  readonly messages: number;
  readonly payload: number;
  readonly sent: number;
  readonly received: number;
}

export async function bytes({ directory, messages, progress }: UplinkBench): Promise<UplinkReport> {
  const readings = Math.min(READINGS, messages);
  const rows = [["bytes for each reading", "messages", "payload", "sent", "both ways"]];
  const details: Record<string, Cost> = {};
  const figures: Figure[] = [];
  for (const [i, [name, rule]] of Object.entries(RULES).entries()) {
    progress.show(`bytes: ${name}`);
    const folder = `${directory}/bytes-${i}`;
    mkdirSync(folder);
    const cost = await costOf(folder, rule, readings);
    details[name] = cost;
    const each = (count: number): string => threeDigits(count / readings);
    const both = cost.sent + cost.received;
    rows.push([name, String(cost.messages), each(cost.payload), each(cost.sent), each(both)]);
    figures.push({ name: `uplink bytes a reading: ${name}`, better: "less", values: [both / readings] });
  }
  return { text: table(rows), details, figures };
}

async function costOf(folder: string, rule: Record<string, unknown>, readings: number): Promise<Cost> {
  await using cloud = await Mosquitto.start(folder);
  const consumer = await connectAsync(`mqtt://127.0.0.1:${cloud.port}`, { protocolVersion: 5 });
  const came = { messages: 0, payload: 0 };
  consumer.on("message", (_topic, payload) => {
    came.messages++;
    came.payload += payload.length;
  });
  await consumer.subscribeAsync("site/#", { qos: 0 });
  const uplink = {
    name: "cloud",
    url: `mqtts://localhost:${cloud.tlsPort}`,
    tls: { ca: cloud.ca, cert: cloud.client.cert, key: cloud.client.key },
    data_cap: { per_month: "1GB", when_reached: "warn" },
    forward: [{ match: "sensors/#", to: "site/17/{topic}", ...rule }],
  };
  const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
  await using gateway = new GatewayProcess(folder, { listeners, memory_limit: "64MiB", uplinks: [uplink] });
  await gateway.start();
  await eventually("the uplink is live", async () => (await statusOf(gateway)).state === "live");
  using device = new MqttPeer("device", 4, readings);
  await device.connect(gateway.port());
  for (let i = 0; i < readings; i++) {
    const d = i % DEVICES;
    const temp = (21 + d + 2 * Math.sin(i / 60)).toFixed(2);
    const payload = `{"temp":${temp},"hum":${(40 + 3 * Math.cos(i / 90)).toFixed(1)}}`;
    device.publish({ topic: `sensors/boiler-${d}/climate`, payload, qos: 1, retain: false });
    await delay(PAUSE_MS);
  }
  await eventually("nothing is held or waits", async () => {
    const { aggregates, spool } = await statusOf(gateway);
    return device.outstanding === 0 && spool.messages === 0 && aggregates.every((one) => one.messages === 0);
  });
  await delay(COUNTED_MS);
  const { metered } = await statusOf(gateway);
  await consumer.endAsync(true);
  return { ...came, sent: metered.dataCap.sentBytes, received: metered.dataCap.receivedBytes };
}

interface Status {
  readonly state: string;
  readonly spool: { readonly messages: number };
  readonly aggregates: readonly { readonly messages: number }[];
  readonly metered: { readonly dataCap: { readonly sentBytes: number; readonly receivedBytes: number } };
}

async function statusOf(gateway: GatewayProcess): Promise<Status> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return (JSON.parse(stdout) as { uplinks: Status[] }).uplinks[0] as Status;
}
