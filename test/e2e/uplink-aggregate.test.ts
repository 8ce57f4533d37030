// Rules that gather, towards Debian's mosquitto as the cloud: what a consumer gets in each format, a mix with what is no
// reading, and kill -9 in the middle of batches. Readings are recognised by their numbers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { decode } from "cborg";
import { connectAsync, type IPublishPacket, type MqttClient } from "mqtt";
import { seededRandom } from "../../src/base/random.ts";
import type { UplinkStatus } from "../../src/uplink/uplink.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto") };
const LONG_SEED = process.env["SLUICE_LONG"];
const SEED = LONG_SEED === undefined ? 1 : Number(LONG_SEED);
const KILLS = LONG_SEED === undefined ? 4 : 40;

interface Arrival {
  readonly topic: string;
  readonly payload: Buffer;
  readonly packet: IPublishPacket;
}

/** A consumer at the cloud, with a session, and what it got. */
async function consumer(cloud: Mosquitto): Promise<{ client: MqttClient; got: Arrival[]; [Symbol.dispose](): void }> {
  const url = `mqtt://127.0.0.1:${cloud.port}`;
  const client = await connectAsync(url, { protocolVersion: 5, clientId: "consumer" });
  const got: Arrival[] = [];
  client.on("message", (topic, payload, packet) => got.push({ topic, payload, packet }));
  await client.subscribeAsync("site/#", { qos: 1 });
  return { client, got, [Symbol.dispose]: () => void client.end(true) };
}

function configuration(
  cloud: Mosquitto,
  forward: readonly Record<string, unknown>[],
  more = {},
): Record<string, unknown> {
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    uplinks: [{ name: "cloud", url: `mqtt://127.0.0.1:${cloud.port}`, client_id: "gateway", forward, ...more }],
  };
}

async function uplinkStatus(gateway: GatewayProcess): Promise<UplinkStatus> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return (JSON.parse(stdout) as { uplinks: UplinkStatus[] }).uplinks[0] as UplinkStatus;
}

test("each format as a consumer gets it: payload, content type, compression", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  await using cloud = await Mosquitto.start(folder.path);
  using sink = await consumer(cloud);
  const batch = { max_messages: 3, max_delay: "30s" };
  const formats = ["json-array", "lines", "senml-json", "senml-cbor"];
  const rules = formats.map((format) => ({ match: `${format}/#`, to: "site/{topic}", batch: { ...batch, format } }));
  rules.push({ match: "gzip/#", to: "site/{topic}", batch: { ...batch, format: "lines", compress: "gzip" } as never });
  await using gateway = new GatewayProcess(folder.path, configuration(cloud, rules));
  await gateway.start();
  using device = new MqttPeer("device", 4);
  await device.connect(gateway.port());
  const startSeconds = Date.now() / 1000;
  const payloads = ["21.5", '{"temp": 22.25, "on": true, "motor": {"rpm": 900}}', '{"temp": 23, "state": "ok"}'];
  for (const name of [...formats, "gzip"])
    for (const payload of payloads) device.publish({ topic: `${name}/a`, payload, qos: 1, retain: false });
  await eventually("a batch of each came", () => sink.got.length >= 5);
  const of = (name: string): Arrival => sink.got.find(({ topic }) => topic === `site/${name}/a`) as Arrival;
  const type = (name: string): unknown => of(name).packet.properties?.contentType;

  assert.equal(of("json-array").payload.toString(), `[${payloads.join(",")}]`);
  assert.equal(type("json-array"), "application/json");
  assert.equal(of("lines").payload.toString(), payloads.map((payload) => `${payload}\n`).join(""));
  assert.equal(type("lines"), "application/x-ndjson");
  assert.equal(gunzipSync(of("gzip").payload).toString(), of("lines").payload.toString());
  assert.equal(type("gzip"), "application/x-ndjson");
  assert.equal(of("gzip").packet.properties?.userProperties?.["content-encoding"], "gzip");

  const json = JSON.parse(of("senml-json").payload.toString()) as Record<string, unknown>[];
  assert.equal(type("senml-json"), "application/senml+json");
  const { bn, bt } = json[0] as { bn: string; bt: number };
  assert.equal(bn, "senml-json/");
  assert(bt >= startSeconds - 1 && bt <= Date.now() / 1000, `${bt} is when the first was accepted`);
  assert.deepEqual(
    json.map(({ bn: _bn, bt: _bt, t: _t, ...rest }) => rest),
    [
      { n: "a", v: 21.5 },
      { n: "a/temp", v: 22.25 },
      { n: "a/on", vb: true },
      { n: "a/motor.rpm", v: 900 },
      { n: "a/temp", v: 23 },
      { n: "a/state", vs: "ok" },
    ],
  );
  const cbor = decode(of("senml-cbor").payload, { useMaps: true }) as Map<number, unknown>[];
  assert.equal(type("senml-cbor"), "application/senml+cbor");
  assert.deepEqual(
    cbor.map((map) => [map.get(0), map.get(2) ?? map.get(3) ?? map.get(4)]),
    [
      ["a", 21.5],
      ["a/temp", 22.25],
      ["a/on", true],
      ["a/motor.rpm", 900],
      ["a/temp", 23],
      ["a/state", "ok"],
    ],
  );
  assert(of("senml-cbor").payload.length < of("senml-json").payload.length);
});

test("readings, text and garbage in one topic: all of it arrives in order, and is counted", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  await using cloud = await Mosquitto.start(folder.path);
  using sink = await consumer(cloud);
  const rules = [
    { match: "s/#", to: "site/{topic}", batch: { max_messages: 4, max_delay: "1s", format: "json-array" } },
  ];
  await using gateway = new GatewayProcess(folder.path, configuration(cloud, rules));
  await gateway.start();
  using device = new MqttPeer("device", 5);
  await device.connect(gateway.port());
  const odd = ["text", "{broken", "[1]", "1e400", "true", '"1"', "", "\ufeff1", `${"[".repeat(900)}${"]".repeat(900)}`];
  const sent: string[] = [];
  for (let n = 1; n <= 60; n++) {
    sent.push(n % 5 === 0 ? `${odd[(n / 5) % odd.length]}` : `${n}`);
    device.publish({ topic: "s/a", payload: sent.at(-1) as string, qos: 1, retain: false });
  }
  const arrived = (): string[] =>
    sink.got.flatMap(({ payload }) => {
      const text = payload.toString();
      return /^\[\d+(,\d+)*\]$/.test(text) && !odd.includes(text) ? text.slice(1, -1).split(",") : [text];
    });
  await eventually("all came", () => arrived().length >= sent.length);
  assert.deepEqual(arrived(), sent);
  const [rule] = (await uplinkStatus(gateway)).aggregates;
  assert.deepEqual([rule?.in, rule?.passedThrough, rule?.messages], [60, 12, 0]);
  assert(sink.got.length < 30, `${sink.got.length} messages for 60`);
});

test("kill -9 in the middle of batches: no acknowledged reading is missing at the cloud", MOSQUITTO, async () => {
  const random = seededRandom(SEED);
  using folder = temporaryFolder();
  await using cloud = await Mosquitto.start(folder.path);
  using sink = await consumer(cloud);
  const batch = { max_messages: 25, max_delay: "300ms", format: "lines" };
  const rules = [
    { match: "b/#", to: "site/{topic}", batch },
    { match: "z/#", to: "site/{topic}", priority: 3, batch: { ...batch, compress: "gzip" } },
    { match: "c/#", to: "site/{topic}", on_change: { deadband: 0.5 } },
    { match: "p/#", to: "site/{topic}" },
  ];
  await using gateway = new GatewayProcess(folder.path, configuration(cloud, rules));
  const device = new MqttPeer("device", 4);
  using _device = device;
  const acknowledged = new Set<string>();
  let next = 1;
  let until = 0;
  const topics = ["b/1", "b/2", "z/1", "c/1", "p/1"];
  const publish = (): void => {
    if (next >= until) return;
    const payload = `${next}`;
    device.publish({ topic: topics[next++ % topics.length] as string, payload, qos: 1, retain: false });
  };
  device.onAcknowledged = ({ payload }) => {
    acknowledged.add(payload);
    publish();
  };
  const arrivals = new Map<string, number>();
  let taken = 0;
  const take = (): void => {
    for (; taken < sink.got.length; taken++) {
      const { topic, payload } = sink.got[taken] as Arrival;
      const text = (topic.startsWith("site/z") ? gunzipSync(payload) : payload).toString();
      for (const number of text.split("\n")) if (number !== "") arrivals.set(number, (arrivals.get(number) ?? 0) + 1);
    }
  };
  for (let kill = 0; kill <= KILLS; kill++) {
    await gateway.start();
    await device.connect(gateway.port());
    const goal = acknowledged.size + 100 + Math.floor(random() * 300);
    until = next + 500;
    for (let i = device.outstanding; i < 20; i++) publish();
    await eventually("some are acknowledged", () => acknowledged.size >= goal);
    if (kill < KILLS) await gateway.end("SIGKILL");
  }
  const missing = (): string[] => [...acknowledged].filter((number) => !arrivals.has(number));
  await eventually("all that is acknowledged is at the cloud", () => {
    take();
    return device.outstanding === 0 && missing().length === 0;
  }).catch(() => assert.deepEqual(missing().slice(0, 10), []));
  // Each kill may repeat what the device had no answer for, what was on its way to the cloud, and what the cloud had
  // acknowledged before it was written: in batches of 25.
  const repeated = [...arrivals.values()].reduce((sum, count) => sum + count - 1, 0);
  assert(repeated <= KILLS * 12 * 25, `${repeated} came again`);
  await eventually("nothing is held", async () =>
    (await uplinkStatus(gateway)).aggregates.every(({ messages }) => messages === 0),
  );
  console.log(`# ${acknowledged.size} acknowledged, ${repeated} came again, ${sink.got.length} messages`);
});
