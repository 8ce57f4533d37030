import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { WebSocket } from "ws";
import { makeCertificates } from "../../scripts/demo/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { connect, PUBACK, pingreq, publish, readPublish, subscribe } from "../support/mqtt-packets.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";
import { roundTrips } from "../support/round-trips.ts";
import type { Storm, StormOrder } from "../support/storm-worker.ts";

const PING_BYTES = 2;
const PINGS = 100_000;
const CONNACK_BYTES = 4;
/**
 * Of a bystander's round trips, 9 in 10: on a busy machine a few of a hundred wait for a core. A turn of the event loop
 * has about 2 ms of packet work and the firehoses' bytes: 4 to 25 ms measured here with two cores for all. Before work
 * was counted 11 round trips took 4 s; over WebSocket, while whole reads were taken in, 3 took 2.5 s; beside retained
 * values not one was made in 30 s.
 */
const P90_MS_MAX = 250;
const MEASURE_MS = 2500;
const ROUND_TRIPS_MIN = 15;
const RETAINED = 10_000;

interface Case {
  readonly title: string;
  readonly over: StormOrder["over"];
  readonly storms: readonly (readonly [storm: Storm, connections: number])[];
  /** Values that are there. */
  readonly retained?: number;
}

const CASES: readonly Case[] = [
  {
    title: "firehoses and storms of SUBSCRIBE, PINGREQ and single bytes",
    over: "tcp",
    storms: [
      ["firehose", 3],
      ["subscribe", 10],
      ["ping", 10],
      ["crumbs", 10],
    ],
  },
  {
    title: `30 clients that subscribe to ${RETAINED} retained values again and again`,
    over: "tcp",
    storms: [["replay", 30]],
    retained: RETAINED,
  },
  {
    title: "clients that subscribe to 4,000 filters in one packet again and again",
    over: "tcp",
    storms: [["filters", 10]],
  },
  {
    title: "firehoses and storms over WebSocket",
    over: "ws",
    storms: [
      ["firehose", 3],
      ["subscribe", 10],
      ["ping", 10],
    ],
  },
  {
    title: "firehoses and storms over TLS, a record for each packet",
    over: "tls",
    storms: [
      ["firehose", 2],
      ["subscribe", 5],
    ],
  },
];

/** What the gateway counts, as `sluice status --json` has it and as `$SYS` says it. */
async function counted(gateway: GatewayProcess, counter: string): Promise<readonly [status: number, sys: number]> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  const { counters } = JSON.parse(stdout) as { counters: Record<string, number> };
  using reader = await RawMqtt.connected(gateway.port(), { version: 4, clientId: "reader" });
  await reader.subscribe(4, `$SYS/sluice/${counter.replaceAll(".", "/")}`, 0);
  const { payload } = readPublish(4, await reader.next());
  return [counters[counter] ?? 0, Number(payload)];
}

async function retain(peer: RawMqtt, values: number): Promise<void> {
  for (let i = 0; i < values; i++) peer.send(publish(4, { topic: `r/${i}`, payload: "value", retain: true }));
  peer.send(publish(4, { topic: "done", qos: 1, packetId: 1 }));
  while ((await peer.next()).type !== PUBACK);
}

interface Running {
  readonly storm: Storm;
  readonly worker: Worker;
  readonly answers: Int32Array;
}

async function start(order: Omit<StormOrder, "answers">): Promise<Running> {
  const answers = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * order.connections);
  const workerData: StormOrder = { ...order, answers };
  const worker = new Worker(new URL("../support/storm-worker.ts", import.meta.url), { workerData });
  await once(worker, "message");
  return { storm: order.storm, worker, answers: new Int32Array(answers) };
}

for (const { title, over, storms, retained = 0 } of CASES) {
  test(`beside ${title} a bystander is served, and all get their share`, { timeout: 30_000 }, async (t) => {
    using folder = temporaryFolder();
    const { issued } = await makeCertificates(join(folder.path, "certificates"), [
      { name: "gateway", usage: "server" },
    ]);
    const tls = { cert: issued[0]?.cert, key: issued[0]?.key };
    await using gateway = new GatewayProcess(folder.path, {
      listeners: [
        { type: "mqtt", bind: "127.0.0.1:0" },
        { type: "mqtt", bind: "127.0.0.1:0", tls },
        { type: "ws", bind: "127.0.0.1:0" },
      ],
      log: { level: "warn" },
    });
    await gateway.start();
    const port = over === "ws" ? gateway.port("ws") : gateway.port("mqtt", over === "tls" ? 1 : 0);
    using bystander = await RawMqtt.connected(gateway.port(), { version: 4, clientId: "bystander" });
    await retain(bystander, retained);
    bystander.send(subscribe(4, 1, ["bystander", 0]));
    await bystander.next();
    await roundTrips(bystander, 300);
    const running: Running[] = [];
    try {
      for (const [storm, connections] of storms) running.push(await start({ port, over, storm, connections }));
      await roundTrips(bystander, 500);
      const before = running.map(({ answers }) => Array.from(answers));
      const times = await roundTrips(bystander, MEASURE_MS);
      const p90 = times[Math.floor(times.length * 0.9)] as number;
      const p99 = times[Math.floor(times.length * 0.99)] as number;
      t.diagnostic(`${times.length} round trips, p99 ${p99.toFixed(1)} ms, longest ${times.at(-1)?.toFixed(1)}`);
      assert.ok(times.length >= ROUND_TRIPS_MIN, `${times.length} round trips`);
      assert.ok(p90 <= P90_MS_MAX, `9 in 10 of ${times.length} round trips in ${p90.toFixed(1)} ms`);
      for (const [i, { storm, answers }] of running.entries()) {
        const shares = Array.from(answers, (bytes, index) => bytes - (before[i]?.[index] ?? 0));
        assert.ok(Math.min(...shares) > PING_BYTES, `${storm}: all get answers, ${shares}`);
      }
      for (const counter of ["transport.turns_cut", ...(retained > 0 ? ["queue.slices"] : [])]) {
        const [status, sys] = await counted(gateway, counter);
        assert.ok(status > 0 && sys >= status, `${counter}: ${status} in status, ${sys} under $SYS`);
      }
    } finally {
      for (const { worker } of running) await worker.terminate();
    }
  });
}

test("a WebSocket message of 100,000 packets is worked off in turns, and all are answered", {
  timeout: 30_000,
}, async () => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [
      { type: "ws", bind: "127.0.0.1:0" },
      { type: "mqtt", bind: "127.0.0.1:0" },
    ],
    log: { level: "warn" },
  });
  await gateway.start();
  const ws = new WebSocket(`ws://127.0.0.1:${gateway.port("ws")}/mqtt`, ["mqtt"]);
  await once(ws, "open");
  let bytes = 0;
  ws.on("message", (data: Buffer) => {
    bytes += data.length;
  });
  ws.send(connect({ version: 4, clientId: "w" }));
  for (let i = 0; i < 2; i++) ws.send(Buffer.concat(new Array<Buffer>(PINGS).fill(pingreq())));
  await eventually("all answers", () => bytes >= CONNACK_BYTES + 2 * PINGS * PING_BYTES, 20_000);
  assert.equal(bytes, CONNACK_BYTES + 2 * PINGS * PING_BYTES);
  assert.ok((await counted(gateway, "transport.turns_cut"))[0] > 2);
  assert.equal((await counted(gateway, "transport.turns_overrun"))[0], 0);
  assert.equal((await counted(gateway, "mqtt.input_bytes"))[0], 0);
  ws.terminate();
});
