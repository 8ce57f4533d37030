// Test whether what hostile clients can make the gateway remember, all of it at once, stays near its memory bill: the
// JavaScript heap has a fixed limit (scripts/launcher.sh), and a gateway that reaches it dies.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { memoryOf } from "../../scripts/kept/proc.ts";
import { ROOT } from "../../scripts/root.mjs";
import { totalBytes } from "../../src/config/budget.ts";
import { load } from "../../src/config/load.ts";
import { memoryBill } from "../../src/gateway/bill.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import {
  ack,
  type ConnectFields,
  connect,
  type Packet,
  PINGRESP,
  PUBACK,
  PUBLISH,
  pingreq,
  publish,
  readAck,
  readPublish,
  subscribe,
} from "../support/mqtt-packets.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";

/** Two of the gateway's 1,024 are for the healthy client and for who fills the retained values. */
const CONNECTIONS = 1022;
const FLOODER = { version: 5, clientId: "flooder", keepAliveSeconds: 0 } as const;
const QUOTA_EXCEEDED = 0x97;
const LONG = 1000;
const LEVELS = 190;
const DEEP_VALUES = 40;
const PACKET_BYTES = 256 * 1024;
const RECEIVE_MAXIMUM = 1024;
/** Sockets, 5 KiB each, code that is compiled, garbage, and what malloc keeps: 17 MB measured. */
const SLACK_BYTES = 40e6;
/** The launcher's limit is 48 MiB; 22 MB measured, garbage included. */
const HEAP_BYTES_MAX = 40e6;

test("connections, sessions, filters, wills, retained values, half packets, slow readers and ids at their limits stay within the bill", {
  timeout: 60_000,
}, async (context) => {
  using folder = temporaryFolder();
  const config = {
    memory_limit: "16MiB",
    limits: { handshakes_per_second: 100_000 },
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
  };
  await using gateway = new GatewayProcess(folder.path, config, {}, [join(ROOT, "build/sluice")]);
  await gateway.start();
  const restBytes = memoryOf(gateway.pid).rssBytes;
  const billBytes = await billOf(gateway);
  const healthy = await RawMqtt.connected(gateway.port(), { version: 5, clientId: "healthy", keepAliveSeconds: 0 });
  await healthy.subscribe(5, "healthy/+", 1);
  await roundTrip(healthy, 1);

  await putDeepValues(healthy);

  const crowd = Array.from({ length: CONNECTIONS }, (_, i) => new Peer(gateway.port(), i));
  try {
    await eventually("everybody has a session or was refused one", () => crowd.every(({ settled }) => settled));
    const guests = crowd.filter(({ connected }) => connected);
    assert.ok(guests.length > 300, `${guests.length} have a session`);
    for (const guest of guests) guest.attack();
    const kept = await fillRetained(() => RawMqtt.connected(gateway.port(), FLOODER));
    for (let n = 2; n < 10; n++) await roundTrip(healthy, n);
    const counters = await tell(context, gateway, folder.path);
    for (const full of [
      "session.refused",
      "session.wills_refused",
      "session.subscriptions_refused",
      "retained.refused",
      "mqtt.input_full",
      "mqtt.inbound_full",
    ])
      assert.ok((counters[full] ?? 0) > 0, full);
    // Half of them lose their connections, wills go out, and others come.
    for (const guest of guests.slice(0, guests.length / 2)) guest.socket.destroy();
    for (let n = 10; n < 20; n++) await roundTrip(healthy, n);
    await tell(context, gateway, folder.path);
    const { peakBytes } = memoryOf(gateway.pid);
    context.diagnostic(`${kept} retained values of ${LONG} B, ${guests.length} guests`);
    context.diagnostic(`RSS at rest ${mb(restBytes)}, bill ${mb(billBytes)}, peak ${mb(peakBytes)}`);
    assert.ok(peakBytes < restBytes + billBytes + SLACK_BYTES, mb(peakBytes));
    assert.ok(gateway.running);
  } finally {
    for (const { socket } of crowd) socket.destroy();
    healthy.socket.destroy();
  }
  assert.equal(await gateway.end(), 0);
});

async function billOf({ configFile }: GatewayProcess): Promise<number> {
  const { config } = load(readFileSync(configFile, "utf8"), { directory: "/", checkFiles: false });
  assert.ok(config !== null);
  return totalBytes(await memoryBill(config));
}

async function tell(context: TestContext, gateway: GatewayProcess, folder: string): Promise<Record<string, number>> {
  const { stdout } = await sluice(["status", "--json", "--data-dir", join(folder, "data")]);
  const { memory, counters } = JSON.parse(stdout) as {
    memory: { heapUsedBytes: number };
    counters: Record<string, number>;
  };
  context.diagnostic(`heap ${mb(memory.heapUsedBytes)}, RSS ${mb(memoryOf(gateway.pid).rssBytes)}`);
  assert.ok(memory.heapUsedBytes < HEAP_BYTES_MAX, mb(memory.heapUsedBytes));
  return counters;
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** PINGRESP comes, and a QoS 1 message that is not refused comes back. */
async function roundTrip(client: RawMqtt, n: number): Promise<void> {
  const { packets } = client;
  const has = (type: number): boolean => packets.some((packet) => packet.type === type);
  client.send(pingreq(), publish(5, { topic: "healthy/x", payload: `${n}`, qos: 1, packetId: n }));
  await eventually("PINGRESP and PUBACK", () => has(PINGRESP) && has(PUBACK));
  const answer = packets.find(({ type }) => type === PUBACK);
  assert.ok(answer !== undefined);
  const { reason } = readAck(answer);
  if (reason < 0x80) await eventually("the message comes back", () => has(PUBLISH));
  else assert.equal(reason, QUOTA_EXCEEDED);
  for (const packet of packets.splice(0))
    if (packet.type === PUBLISH) client.send(ack(PUBACK, readPublish(5, packet).packetId));
}

/** More values of as many levels as there may be than a session takes before it has to acknowledge some. */
async function putDeepValues(client: RawMqtt): Promise<void> {
  for (let n = 1; n <= DEEP_VALUES; n++) {
    const topic = `deep/${n}/`.padEnd(2 * LEVELS, "l/");
    client.send(publish(5, { topic, payload: "value", qos: 1, retain: true, packetId: n }));
  }
  await eventually("all are kept", () => pubacks(client).length === DEEP_VALUES);
  for (const answer of pubacks(client)) assert.ok(readAck(answer).reason < 0x80);
  client.packets.splice(0);
}

/**
 * Ever new topics, until a whole window of them is refused. While half packets are younger than a second, who comes with
 * another is closed, and comes back.
 * @returns how many were not refused
 */
async function fillRetained(open: () => Promise<RawMqtt>): Promise<number> {
  const window = 64;
  let kept = 0;
  let client = await open();
  for (let n = 0; n < 20_000; ) {
    const values = Array.from({ length: window }, (_, i) => {
      const topic = `${n + i}/`.padEnd(LONG, "t");
      return publish(5, { topic, payload: "value", qos: 1, retain: true, packetId: 1 + i });
    });
    client.packets.splice(0);
    client.send(...values);
    await eventually("all are answered", () => client.closed || pubacks(client).length === window);
    if (client.closed) {
      client = await open();
      continue;
    }
    const refused = pubacks(client).filter((answer) => readAck(answer).reason >= 0x80).length;
    kept += window - refused;
    if (refused === window) break;
    n += window;
  }
  client.socket.destroy();
  return kept;
}

function pubacks({ packets }: RawMqtt): Packet[] {
  return packets.filter(({ type }) => type === PUBACK);
}

/** A client that takes all it can get and reads nothing after its CONNACK. */
class Peer {
  socket!: Socket;
  connected = false;
  settled = false;
  #attempt = 0;
  readonly #port: number;
  readonly #i: number;

  constructor(port: number, i: number) {
    this.#port = port;
    this.#i = i;
    this.#open();
  }

  /** What it asks for: less with each refusal. */
  #fields(): ConnectFields {
    const base = { version: 5, clientId: `${this.#i}-`, keepAliveSeconds: 0, expirySeconds: 3600 } as const;
    if (this.#attempt > 1) return base;
    const long = { ...base, clientId: base.clientId.padEnd(LONG, "c") };
    if (this.#attempt === 1 || this.#i % 4 > 0) return this.#i % 2 > 0 ? base : long;
    const payload = "w".repeat(this.#i % 64 === 0 ? 60_000 : 2000);
    return { ...long, will: { topic: `will/${this.#i}`.padEnd(LONG, "w"), payload, qos: 1, retain: true } };
  }

  #open(): void {
    const socket = connectTcp({ port: this.#port, host: "127.0.0.1" });
    this.socket = socket;
    socket.on("error", () => {}); // "close" follows
    if (this.#attempt === 3) {
      // Holds a place with a CONNECT that never ends.
      const whole = connect({ version: 5, clientId: "c".repeat(LONG) });
      socket.write(whole.subarray(0, whole.length - 1));
      this.settled = true;
      return;
    }
    socket.write(connect(this.#fields()));
    socket.once("data", ([type, , , reason]: Buffer) => {
      if (type !== 0x20 || reason !== 0) return;
      this.connected = true;
      this.settled = true;
      socket.pause();
    });
    socket.on("close", () => {
      if (this.settled) return;
      this.#attempt++;
      this.#open();
    });
  }

  attack(): void {
    const i = this.#i;
    const parts = [subscribe(5, 1, ["all/#", i % 3], ["deep/#", 1])];
    for (let n = 0; n < 20; n++) {
      const name = `${i}/${n}/`;
      const filters = [name.padEnd(LONG, "f"), `${name}${"l/".repeat(LEVELS)}x`, `$share/${i}-${n}/`.padEnd(LONG, "s")];
      parts.push(subscribe(5, 2 + n, [filters[i % 3] as string, 1]));
    }
    const role = i % 5;
    if (role === 0) {
      const half = publish(5, { topic: "half", payload: "h".repeat(PACKET_BYTES - 20) });
      parts.push(half.subarray(0, half.length - 1));
    } else if (role === 1) {
      for (let packetId = 1; packetId <= RECEIVE_MAXIMUM; packetId++)
        parts.push(publish(5, { topic: "ids", payload: "x", qos: 2, packetId }));
    } else if (i % 50 === 2) {
      for (let n = 1; n <= 500; n++)
        parts.push(
          publish(5, { topic: `all/${i}/${n}`.padEnd(120, "r"), payload: "p".repeat(500), qos: n % 3, packetId: n }),
        );
    }
    this.socket.write(Buffer.concat(parts));
  }
}
