// What the cloud acknowledges in time is not written: bytes that the gateway sends to the storage, from /proc/PID/io.
import assert from "node:assert/strict";
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { test } from "node:test";
import type { UplinkStatus } from "../../src/uplink/uplink.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { Journal } from "../support/journal.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { MqttPeer, type Outgoing } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";

const MESSAGES = 3000;
const PER_SECOND = 1000;
/** Topic and payload. */
const MESSAGE_BYTES = 200;
/** Stored, a message of 200 bytes costs about 1,000; and what else there is to write goes into this. */
const ELIDED_BYTES_MAX = 20;
/** A machine that stops everybody for 200 ms makes messages due: the run is made again. */
const RUNS_MAX = 3;
const TMPFS_MAGIC = 0x01021994;

/** Bytes of pages that the process has made to be written to a medium; 0 for ever where the file system has none. */
function bytesWritten(pid: number): number {
  return Number(/^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

async function uplinkState(gateway: GatewayProcess): Promise<UplinkStatus> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return (JSON.parse(stdout) as { uplinks: UplinkStatus[] }).uplinks[0] as UplinkStatus;
}

/** Publishes at an even pace and counts what is acknowledged. */
class Sensor {
  readonly peer: MqttPeer;
  readonly sent: Outgoing[] = [];
  acknowledged = 0;

  constructor(peer: MqttPeer) {
    this.peer = peer;
    peer.onAcknowledged = () => this.acknowledged++;
  }

  async publish(count: number): Promise<void> {
    const startMs = performance.now();
    const first = this.sent.length;
    await eventually(
      "all are sent",
      () => {
        const due = Math.min(count, Math.floor(((performance.now() - startMs) * PER_SECOND) / 1000));
        while (this.sent.length - first < due) this.#publishNext();
        return due === count;
      },
      60_000,
    );
  }

  #publishNext(): void {
    const topic = "s/temperature";
    const number = ` ${this.sent.length}`;
    const payload = "x".repeat(MESSAGE_BYTES - topic.length - number.length) + number;
    const message: Outgoing = { topic, payload, qos: 1, retain: false };
    this.sent.push(message);
    this.peer.publish(message);
  }
}

test("1,000 QoS 1 messages a second to a healthy cloud write next to nothing; to one that is away they are stored", {
  skip: requirePeer("mosquitto"),
}, async (t) => {
  using folder = temporaryFolder();
  assert.notEqual(
    statfsSync(folder.path).type,
    TMPFS_MAGIC,
    `${folder.path} is on tmpfs, where nothing counts as written: set TMPDIR to a file system with a disk`,
  );
  using scope = new DisposableStack();
  await using cloud = await Mosquitto.start(folder.path);
  const { ca, client, tlsPort } = cloud;
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    store: { commit_delay: "200ms" },
    uplinks: [
      {
        name: "cloud",
        client_id: "gateway",
        url: `mqtts://localhost:${tlsPort}`,
        tls: { ca, cert: client.cert, key: client.key },
        forward: [{ match: "s/#" }],
      },
    ],
  });
  await gateway.start();
  await eventually("the uplink is live", async () => (await uplinkState(gateway)).state === "live");
  const atCloud = scope.use(new MqttPeer("at-cloud", 4));
  const journal = new Journal("at-cloud");
  atCloud.onMessage = (message) => journal.arrive(message);
  await atCloud.connect(cloud.port);
  await atCloud.subscribe("s/#", 1);
  const sensor = new Sensor(scope.use(new MqttPeer("sensor", 4, 1000)));
  await sensor.peer.connect(gateway.port());
  await sensor.publish(100);
  // The file that keeps room on the disk is made once, after the start.
  let written = -1;
  await eventually("what is written at the start is written", async () => {
    const before = written;
    await uplinkState(gateway);
    written = bytesWritten(gateway.pid);
    return written === before && existsSync(`${gateway.folder}/data/sluice.reserve`);
  });

  const run = async (): Promise<number> => {
    const before = bytesWritten(gateway.pid);
    await sensor.publish(MESSAGES);
    await eventually("all are acknowledged", () => sensor.acknowledged === sensor.sent.length, 60_000);
    return (bytesWritten(gateway.pid) - before) / MESSAGES;
  };

  const healthy: number[] = [];
  do healthy.push(await run());
  while (Math.min(...healthy) >= ELIDED_BYTES_MAX && healthy.length < RUNS_MAX);
  t.diagnostic(`healthy: ${healthy.map((bytes) => bytes.toFixed(1)).join(", ")} bytes a message`);
  assert.ok(Math.min(...healthy) < ELIDED_BYTES_MAX, `${healthy} bytes a message`);
  await eventually("all are at the cloud", () => journal.count === sensor.sent.length);

  await cloud.stop();
  await eventually("the uplink knows", async () => (await uplinkState(gateway)).state !== "live");
  const stored = await run();
  t.diagnostic(`away: ${stored.toFixed(1)} bytes a message`);
  assert.ok(stored > MESSAGE_BYTES, `${stored} bytes a message of ${MESSAGE_BYTES}`);
  await cloud.restart();
  await atCloud.connect(cloud.port);
  await atCloud.subscribe("s/#", 1);
  await eventually("all are at the cloud", () => journal.count === sensor.sent.length, 60_000);
  assert.deepEqual(journal.missing(sensor.sent), []);
});
