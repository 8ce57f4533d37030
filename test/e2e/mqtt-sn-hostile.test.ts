// Test whether the listener, as a process with its socket, stays what it is while strangers send it anything, and serves its
// clients while it is flooded from ten thousand sources; and whether it forgets them all.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryOf } from "../../scripts/kept/proc.ts";
import { seededRandom } from "../../src/base/random.ts";
import { OK } from "../../src/wire/mqtt-sn/codes.ts";
import { decode, MessageView } from "../../src/wire/mqtt-sn/decode.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, LAUNCHER, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MovedClock } from "../support/moved-clock.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { hexOf, messageOf, RawMqttSn } from "../support/raw-mqtt-sn.ts";
import { requireSpoof, spoof } from "../support/udp-spoof.ts";
import { bytesOf, VECTORS } from "../unit/wire/mqtt-sn/vectors.ts";

/** `npm test -- --long SEED` goes on from another seed, for longer. */
const LONG = process.env["SLUICE_LONG"];
const SEED = LONG === undefined ? 1 : Number(LONG);
const MUTATIONS = LONG === undefined ? 12_000 : 500_000;
/** Datagrams on their way at a time; the gateway's socket holds more. */
const BATCH = 64;
const SENDERS = 8;
const FLOOD = { count: 10_000, perSecond: 16_000 } as const;
const RSS_GROWTH_MAX = 8e6;
const CLIENTS_MAX = 64;
/** On a machine of two cores that runs the flood and other tests, too. */
const CALM_MS = 30;
const SLOWER_MAX = 10;

async function startGateway(folder: string, env: NodeJS.ProcessEnv = {}): Promise<GatewayProcess> {
  const listeners = [
    { type: "mqtt", bind: "127.0.0.1:0" },
    { type: "mqtt-sn", bind: "127.0.0.1:0", rate: 1_000_000, max_clients: CLIENTS_MAX, predefined: { 5: "good/five" } },
  ];
  const gateway = new GatewayProcess(folder, { listeners }, env, [LAUNCHER]);
  await gateway.start();
  return gateway;
}

async function countersOf(gateway: GatewayProcess): Promise<Record<string, number>> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return (JSON.parse(stdout) as { counters: Record<string, number> }).counters;
}

/** Messages of the tables with some bytes changed, cut, repeated or wrapped; half of them keep a Length that is right. */
class Mutations {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  next(): Buffer {
    const { hex } = VECTORS[this.#below(VECTORS.length)] ?? { hex: "" };
    let bytes = bytesOf(hex);
    for (let changes = this.#below(4); changes > 0; changes--) {
      const at = this.#below(bytes.length);
      switch (this.#below(4)) {
        case 0:
          bytes[at] = this.#below(256);
          break;
        case 1:
          bytes = bytes.subarray(0, at + 1);
          break;
        case 2:
          bytes = Buffer.concat([bytes, bytes.subarray(0, at)]);
          break;
        default:
          bytes = Buffer.concat([Buffer.of(3 + at, 0xfe, this.#below(4)), bytes.subarray(0, at), bytes]);
      }
    }
    if (this.#below(2) === 0 && bytes[1] !== 0xfe) bytes[0] = bytes.length;
    return bytes;
  }

  #below(end: number): number {
    return Math.floor(this.#random() * end);
  }
}

test(`${MUTATIONS} messages that grew from the tables leave a listener that answers, in messages of 1.2, and logs nothing`, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  const port = gateway.port("mqtt-sn");
  const senders = await Promise.all(Array.from({ length: SENDERS }, () => RawMqttSn.open(port)));
  await using asker = await RawMqttSn.open(port);
  const mutations = new Mutations(SEED);
  const view = new MessageView();
  let before = 0;
  for (let count = 0; count < MUTATIONS; count += BATCH) {
    for (let i = 0; i < BATCH; i++) senders[i % SENDERS]?.send(mutations.next().toString("hex"));
    await asker.ask("030100", "0302");
    for (const { got } of senders) {
      for (const hex of got.splice(0)) {
        const bytes = Buffer.from(hex, "hex");
        let from = 0;
        if (decode(bytes, 0, bytes.length, view) === OK && view.type === 0xfe) from = view.restEnd;
        assert.equal(decode(bytes, from, bytes.length, view), OK, `seed ${SEED}, ${count}: ${hex}`);
      }
    }
    if (count === 3000 - (3000 % BATCH)) before = memoryOf(gateway.pid).rssBytes;
  }
  for (const sender of senders) await sender[Symbol.asyncDispose]();
  const { "mqtt_sn.clients": clients, "mqtt_sn.malformed": malformed } = await countersOf(gateway);
  assert.ok((clients ?? 0) <= CLIENTS_MAX && (malformed ?? 0) > MUTATIONS / 10, `${clients} ${malformed}`);
  const after = memoryOf(gateway.pid).rssBytes;
  assert.ok(after - before < RSS_GROWTH_MAX, `RSS went from ${before} to ${after}`);
  assert.doesNotMatch(gateway.stderr, /warn|error/);
  assert.equal(await gateway.end(), 0);
});

/** What a flood is made of, by what it is after. */
const FLOODS: Readonly<Record<string, readonly Buffer[]>> = {
  "CONNECT, clean and lasting, with a will": ["04", "00", "0c"].flatMap((flags) =>
    ["a", "bb", "ccc"].map((id) => Buffer.from(messageOf(0x04, `${flags} 01 003c ${hexOf(`forged-${id}`)}`), "hex")),
  ),
  "questions of nobody, QoS -1 and garbage": [
    "030100",
    "0216",
    "04100001",
    "0912000001232323",
    "0a0c61000500002d2d2d",
    "05fe00aabb0216",
    "ff0c",
    "",
  ].map((hex) => Buffer.from(hex, "hex")),
};

/** Median of what each PUBLISH took to its PUBACK, in ms. */
async function publishOneByOne(
  device: RawMqttSn,
  when: { over: boolean } | number,
): Promise<{ count: number; ms: number }> {
  const took: number[] = [];
  while (typeof when === "number" ? took.length < when : !when.over) {
    const startedMs = performance.now();
    const msgId = (took.length + 1).toString(16).padStart(4, "0");
    const publish = messageOf(0x0c, `21 0005 ${msgId} ${hexOf("x")}`);
    device.send(publish);
    // The kernel's buffer may be full of the flood: a device sends again.
    const again = setInterval(() => device.send(publish), 250);
    assert.equal((await device.take(`070d0005${msgId}`)).slice(-2), "00");
    clearInterval(again);
    took.push(performance.now() - startedMs);
  }
  return { count: took.length, ms: took.sort((a, b) => a - b)[took.length >> 1] ?? 0 };
}

test("while ten thousand forged sources flood it, a device is served, and all make room for the next", {
  skip: requireSpoof() || requirePeer("cc"),
  timeout: 60_000,
}, async (context) => {
  using folder = temporaryFolder();
  const clock = new MovedClock(folder.path);
  await using gateway = await startGateway(folder.path, clock.env);
  await using subscriber = await MqttCollector.open(gateway.port(), "good/#");
  await using device = await RawMqttSn.open(gateway.port("mqtt-sn"));
  await device.ask(messageOf(0x04, `04 01 0e10 ${hexOf("honest")}`), "030500");
  const calm = await publishOneByOne(device, 200);
  for (const [what, templates] of Object.entries(FLOODS)) {
    const flood = { over: false };
    const flooding = spoof(gateway.port("mqtt-sn"), templates, FLOOD).finally(() => {
      flood.over = true;
    });
    const { count, ms } = await publishOneByOne(device, flood);
    await flooding;
    context.diagnostic(`${what}: ${count} PUBLISHes, median ${ms.toFixed(2)} ms; calm ${calm.ms.toFixed(2)} ms`);
    assert.ok(ms < Math.max(CALM_MS, SLOWER_MAX * calm.ms), `${what}: ${ms} ms; ${calm.ms} ms when it is calm`);
    assert.ok(count > 3, `${count} during ${what}`);
  }
  assert.ok(subscriber.payloads.includes("x"));
  const floodAgain = async (): Promise<void> => {
    for (const templates of Object.values(FLOODS)) await spoof(gateway.port("mqtt-sn"), templates, FLOOD);
    await publishOneByOne(device, 10);
  };
  await floodAgain(); // until then code is compiled, and the heap grows to what garbage there is between two collections
  const before = memoryOf(gateway.pid).rssBytes;
  await floodAgain();
  const after = memoryOf(gateway.pid).rssBytes;
  context.diagnostic(`RSS ${(before / 1e6).toFixed(1)} MB, then ${(after / 1e6).toFixed(1)} MB`);
  assert.ok(after - before < RSS_GROWTH_MAX, `RSS went from ${before} to ${after}`);
  const counters = await countersOf(gateway);
  assert.ok((counters["mqtt_sn.clients"] ?? 0) <= CLIENTS_MAX);
  // The forged ones have said nothing since their CONNECT: the next real one needs not wait for their keep-alive.
  clock.set({ speed: 10 });
  await using late = await RawMqttSn.open(gateway.port("mqtt-sn"));
  await eventually("a place", () => {
    late.send(messageOf(0x04, `04 01 0e10 ${hexOf("late")}`));
    return late.got.includes("030500");
  });
  await publishOneByOne(device, 1);
  assert.doesNotMatch(gateway.stderr, /error/);
});
