// The link goes and comes back: for ten minutes, with a long backlog, again and again at any byte, slowly. The cloud is
// mosquitto behind a door that demands TLS, our certificate and an ALPN name. What must hold is in the judge's verdict.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { connectAsync } from "mqtt";
import { seededRandom } from "../../src/base/random.ts";
import { temporaryFolder } from "../support/gateway-process.ts";
import { MovedClock } from "../support/moved-clock.ts";
import { peerPath, requirePeer } from "../support/peers.ts";
import { drainBegan, RemoteSite, WINDOW } from "../support/remote-site.ts";

const LONG = process.env["SLUICE_LONG"];
const MOSQUITTO = { skip: requirePeer("mosquitto", "mosquitto_pub", "cc") };
const OUTAGE_MS = 600_000;
/** Ten minutes in three seconds, or in sixty. */
const SPEED = LONG === undefined ? 200 : 10;
/** The backlog drains within a second of the link's return; a busy machine may take three times as long. */
const BACK_MS = 3000;
/** How often devices have something to say. */
const READING_MS = 30_000;
const BACKLOG = LONG === undefined ? 4000 : 100_000;
/** Messages that MQTT.js has on its way at once. */
const BATCH = 100;
const FAULTS = LONG === undefined ? 8 : 60;

test("an outage of ten minutes: what came meanwhile drains by itself when the link is back", {
  skip: requirePeer("mosquitto", "cc"),
}, async (t) => {
  using folder = temporaryFolder();
  const clock = new MovedClock(folder.path);
  await using site = await RemoteSite.open(folder.path, { env: clock.env });
  const { link, judge, gateway, tap } = site;
  await gateway.start();
  const one = await site.source("one", 1);
  const two = await site.source("two", 2);
  await Promise.all([one.publishTo(50), two.publishTo(50)]);
  await judge.untilComplete();

  const from = performance.now();
  link.refuse("reset");
  clock.set({ speed: SPEED });
  for (let part = 2; (performance.now() - from) * SPEED < OUTAGE_MS; part++) {
    await Promise.all([one.publishTo(part * 50), two.publishTo(part * 50), setTimeout(READING_MS / SPEED)]);
  }
  assert.equal(judge.arrived, 100, "nothing came in the outage");
  // Time runs so fast that the name server may be late.
  const refused = `localhost:${link.port}: connection refused (ECONNREFUSED)`;
  assert.ok((await site.status()).lastError?.startsWith(refused));
  clock.set({ speed: 1 });
  const back = performance.now();
  await drainBegan(site, () => link.restore());
  const tookMs = Math.round(performance.now() - back);
  t.diagnostic(`${tookMs} ms from the return of the link to the first message`);
  assert.ok(tookMs < BACK_MS, `${tookMs} ms`);
  await judge.untilComplete();
  judge.verdict({ cuts: 1, window: WINDOW });
  assert.ok(tap.repeatedMax <= WINDOW && tap.outstandingMax <= WINDOW, `${tap.repeatedMax} ${tap.outstandingMax}`);
});

test(`a backlog of ${BACKLOG} messages drains whole, in order, each once`, MOSQUITTO, async () => {
  using folder = temporaryFolder();
  await using site = await RemoteSite.open(folder.path, { window: 256 });
  const { link, judge, gateway } = site;
  link.refuse();
  await gateway.start();
  const one = await site.source("one", 1, 500);
  const two = await site.source("two", 2, 500);
  const quarter = BACKLOG / 4;
  await Promise.all([
    one.publishTo(quarter, 120_000),
    two.publishTo(quarter, 120_000),
    publishWithMqttJs(site, quarter),
    publishWithMosquittoPub(site, quarter),
  ]);
  await drainBegan(site, () => link.restore());
  await judge.untilComplete();
  judge.verdict({ cuts: 0, window: 0 });
  assert.equal(judge.arrived, BACKLOG);
  await site.untilState("live");
  const { messages, bytes } = (await site.status()).spool;
  assert.deepEqual([messages, bytes], [0, 0]);
});

/** MQTT.js, at QoS 2; resolves when all are acknowledged. */
async function publishWithMqttJs(site: RemoteSite, count: number): Promise<void> {
  const client = await connectAsync({ host: "127.0.0.1", port: site.gateway.port(), protocolVersion: 5 });
  const topic = "s/2/js/0";
  for (let from = 0; from < count; from += BATCH) {
    const numbers = Array.from({ length: Math.min(BATCH, count - from) }, (_, i) => from + i);
    await Promise.all(
      numbers.map(async (number) => {
        const payload = `js ${topic} ${number}`;
        await client.publishAsync(topic, payload, { qos: 2 });
        site.judge.acknowledged({ topic, payload });
      }),
    );
  }
  await client.endAsync();
}

/** mosquitto_pub, at QoS 1: it ends with 0 when all that it read is acknowledged. */
async function publishWithMosquittoPub(site: RemoteSite, count: number): Promise<void> {
  const topic = "s/1/pub/0";
  const payloads = Array.from({ length: count }, (_, number) => `pub ${topic} ${number}`);
  const words = ["-h", "127.0.0.1", "-p", `${site.gateway.port()}`, "-q", "1", "-t", topic, "-l"];
  const child = spawn(peerPath("mosquitto_pub"), words, { stdio: ["pipe", "inherit", "inherit"] });
  child.stdin.end(`${payloads.join("\n")}\n`);
  const [code] = (await once(child, "exit")) as [number];
  assert.equal(code, 0);
  for (const payload of payloads) site.judge.acknowledged({ topic, payload });
}

test("mid-drain the path is slow, its bandwidth halves, it freezes, it is cut and reset at any byte", {
  ...MOSQUITTO,
}, async (t) => {
  const seed = Number(LONG ?? 1);
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  using folder = temporaryFolder();
  const clock = new MovedClock(folder.path);
  await using site = await RemoteSite.open(folder.path, { env: clock.env });
  const { link, judge, gateway, tap } = site;
  link.refuse();
  await gateway.start();
  const one = await site.source("one", 1, 100, 80);
  const two = await site.source("two", 2, 100, 80);
  const half = FAULTS * 100;
  await Promise.all([one.publishTo(half), two.publishTo(half)]);
  clock.set({ speed: 60 });
  await drainBegan(site, () => link.restore());
  clock.set({ speed: 1 });
  let cuts = 0;
  for (let fault = 0; fault < FAULTS; fault++) {
    const bytes = 1000 + Math.floor(random() * 12_000);
    link.bytesPerSecond = 400_000;
    link.delayMs = Math.floor(random() * 30);
    switch (fault % 4) {
      case 0:
        await link.after(bytes, () => (link.bytesPerSecond /= 2));
        break;
      case 1:
        await link.after(bytes, () => link.freeze());
        await link.restore();
        break;
      default: {
        const connections = link.connections;
        await link.after(bytes, () => (fault % 4 === 2 ? link.cut() : link.reset()));
        cuts++;
        clock.set({ speed: 60 });
        await link.untilConnections(connections + 1);
        await judge.untilArrived(judge.arrived + 1);
        clock.set({ speed: 1 });
      }
    }
  }
  await link.restore();
  await judge.untilComplete();
  judge.verdict({ cuts, window: WINDOW });
  assert.ok(tap.repeatedMax <= WINDOW && tap.outstandingMax <= WINDOW, `${tap.repeatedMax} ${tap.outstandingMax}`);
});
