// Subscribers that never read, beside one that does, under a firehose: what the gateway holds for them is bounded, and
// each message is delivered, counted as dropped for who did not get it, or refused to who sent it.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { memoryOf } from "../../scripts/kept/proc.ts";
import type { ReceiverDrops } from "../../src/core/drop-counts.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, LAUNCHER, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { ack, PUBACK, PUBLISH, publish, readPublish } from "../support/mqtt-packets.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";

const TOPIC = "firehose";

interface Flood {
  readonly messages: number;
  readonly payloadBytes: number;
}

/** Four times what the kernel's buffers of a connection were seen to take, so that the gateway's fill as well. */
const FLOOD_QOS0: Flood = { messages: 60_000, payloadBytes: 340 };
/** As many bytes in fewer reads: the publisher's reading is paused after each. */
const FLOOD_QOS1: Flood = { messages: 8000, payloadBytes: 2000 };
/**
 * Messages that wait for the medium or for the healthy subscriber: half of what may wait for the medium (a 40th of
 * memory_limit; then 0x97), a fifth of `output_bytes`, which is what may wait for who is there.
 */
const BEHIND_MAX = 100;
const PAUSE_MAX = "10ms";

/** As for a firehose that everybody reads. */
const PEAK_BYTES_MAX = 96e6;

const KINDS = [
  { kind: "qos0", qos: 0, durable: false },
  { kind: "clean", qos: 1, durable: false },
  { kind: "durable", qos: 1, durable: true },
] as const;
/** Slow subscribers of each kind. */
const SLOW_EACH = 3;
/** The default of `output_bytes` for each; messages that many wait for count for each of them. */
const HELD_BYTES_MAX = KINDS.length * SLOW_EACH * 2 ** 20;

/** Counts the firehose and acknowledges it; while it is paused it reads nothing. */
class Reader {
  readonly name: string;
  readonly raw: RawMqtt;
  received = 0;
  /** Messages that came twice or after a later one. */
  disorder = 0;
  onMessages: () => void = () => {};
  #last = -1;

  private constructor(name: string, raw: RawMqtt) {
    this.name = name;
    this.raw = raw;
    raw.socket.on("data", () => this.#take());
  }

  static async open(port: number, name: string, qos: number, durable: boolean): Promise<Reader> {
    const session = durable ? { clean: false, expirySeconds: 3600 } : {};
    const raw = await RawMqtt.connected(port, { version: 5, clientId: name, keepAliveSeconds: 0, ...session });
    await raw.subscribe(5, TOPIC, qos);
    return new Reader(name, raw);
  }

  #take(): void {
    const answers: Buffer[] = [];
    for (const packet of this.raw.packets.splice(0)) {
      if (packet.type !== PUBLISH) continue;
      const { payload, qos, packetId } = readPublish(5, packet);
      const number = Number.parseInt(payload, 10);
      if (number <= this.#last) this.disorder++;
      this.#last = number;
      this.received++;
      if (qos > 0) answers.push(ack(PUBACK, packetId));
    }
    if (answers.length > 0) this.raw.send(...answers);
    this.onMessages();
  }
}

interface Refusals {
  readonly count: number;
  readonly lastReason: number;
}

function payloadOf(number: number, { payloadBytes }: Flood): string {
  return `${number} `.padEnd(payloadBytes, "x");
}

/** As fast as the gateway reads. */
async function floodQos0(port: number): Promise<Refusals> {
  using raw = await RawMqtt.connected(port, { version: 5, clientId: "publisher" });
  for (let number = 0; number < FLOOD_QOS0.messages; ) {
    const few: Buffer[] = [];
    while (few.length < 100) few.push(publish(5, { topic: TOPIC, payload: payloadOf(number++, FLOOD_QOS0) }));
    if (!raw.socket.write(Buffer.concat(few))) await new Promise((done) => raw.socket.once("drain", done));
  }
  // Its answer says that all before it was read.
  raw.send(publish(5, { topic: "unheard", qos: 1, packetId: 1 }));
  assert.equal((await raw.next()).type, PUBACK);
  return { count: 0, lastReason: 0 };
}

/** At the pace of the healthy subscriber. */
async function floodQos1(port: number, healthy: Reader): Promise<Refusals> {
  using device = new MqttPeer("publisher", 5, BEHIND_MAX);
  await device.connect(port);
  let sent = 0;
  const more = (): void => {
    while (sent < FLOOD_QOS1.messages && sent - device.refusals - healthy.received < BEHIND_MAX)
      device.publish({ topic: TOPIC, payload: payloadOf(sent++, FLOOD_QOS1), qos: 1, retain: false });
  };
  device.onPacket = more;
  healthy.onMessages = more;
  more();
  await eventually("all are answered", () => sent === FLOOD_QOS1.messages && device.outstanding === 0, 60_000);
  assert.deepEqual(device.violations, []);
  return { count: device.refusals, lastReason: device.lastRefusal };
}

interface Status {
  readonly counters: Record<string, number>;
  readonly dropsByReceiver: readonly ReceiverDrops[];
}

async function statusOf(gateway: GatewayProcess): Promise<Status> {
  const { stdout } = await sluice(["status", "--drops", "--json", "--config", gateway.configFile]);
  return JSON.parse(stdout) as Status;
}

function numberOf({ counters }: Status, name: string): number {
  const value = counters[name];
  assert.ok(value !== undefined, name);
  return value;
}

function causesOf({ dropsByReceiver }: Status, { name }: Reader): ReceiverDrops["causes"] {
  return dropsByReceiver.find(({ receiver }) => receiver === `session:${name}`)?.causes ?? {};
}

interface Outcome {
  readonly refusals: Refusals;
  readonly status: Status;
  readonly healthy: Reader;
  /** Causes of what the slow subscribers of each kind lost, without repetition. */
  readonly lost: Readonly<Record<(typeof KINDS)[number]["kind"], readonly string[]>>;
}

/** Floods a gateway whose slow subscribers read only afterwards. Holds what is true with every policy. */
async function run(context: TestContext, qos: 0 | 1, limits: Record<string, unknown>): Promise<Outcome> {
  using folder = temporaryFolder();
  const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
  await using gateway = new GatewayProcess(folder.path, { listeners, limits, log: { level: "error" } }, {}, [LAUNCHER]);
  await gateway.start();
  const port = gateway.port();
  const readers: Reader[] = [];
  try {
    for (const { kind, qos, durable } of KINDS) {
      for (let n = 0; n < SLOW_EACH; n++) readers.push(await Reader.open(port, `${kind}-${n}`, qos, durable));
    }
    for (const { raw } of readers) raw.socket.pause();
    const healthy = await Reader.open(port, "healthy", 1, true);
    readers.push(healthy);

    const refusals = qos === 0 ? await floodQos0(port) : await floodQos1(port, healthy);
    assert.deepEqual(
      readers.filter(({ name, received }) => name !== "healthy" && received > 0),
      [],
      "who is slow has read nothing",
    );

    let status = await statusOf(gateway);
    const heldBytes = numberOf(status, "queue.waiting_bytes") + numberOf(status, "transport.output_bytes");
    assert.ok(heldBytes < HELD_BYTES_MAX, `${heldBytes} bytes wait`);

    for (const { raw } of readers) raw.socket.resume();
    const taken = (qos === 0 ? FLOOD_QOS0 : FLOOD_QOS1).messages - refusals.count;
    const accounts = (): [string, number][] =>
      readers.map((reader) => {
        const counts = Object.values(causesOf(status, reader));
        return [reader.name, counts.reduce((sum, count) => sum + count, reader.received)];
      });
    const settled = async (): Promise<boolean> => {
      status = await statusOf(gateway);
      return accounts().every(([, count]) => count >= taken);
    };
    await eventually("", settled).catch(() => {}); // what is missing shows below
    assert.deepEqual(
      accounts(),
      readers.map(({ name }) => [name, taken]),
      "delivered and dropped, of those that were not refused",
    );
    assert.ok(readers.every(({ disorder, raw }) => disorder === 0 && !raw.closed));
    const { peakBytes } = memoryOf(gateway.pid);
    context.diagnostic(`${(peakBytes / 1e6).toFixed(1)} MB RSS at most`);
    assert.ok(peakBytes < PEAK_BYTES_MAX, `${peakBytes} bytes RSS`);
    const causes = (kind: string): string[] => {
      const own = readers.filter(({ name }) => name.startsWith(kind));
      return [...new Set(own.map((reader) => Object.keys(causesOf(status, reader)).join()))];
    };
    return {
      refusals,
      status,
      healthy,
      lost: { qos0: causes("qos0"), clean: causes("clean"), durable: causes("durable") },
    };
  } finally {
    for (const { raw } of readers) raw.socket.destroy();
  }
}

test("slow subscribers under a QoS 0 firehose: memory is bounded, and what each did not get is counted as its drops", async (context) => {
  const { lost, healthy } = await run(context, 0, {});
  assert.deepEqual(lost, { qos0: ["output-full"], clean: ["output-full"], durable: ["output-full"] });
  assert.ok(healthy.received > 0);
});

for (const policy of ["drop-oldest", "drop-newest"]) {
  test(`slow subscribers at QoS 1, ${policy}: memory is bounded, the publisher slowed, drops are counted, who reads gets all`, async (context) => {
    const limits = { session_when_full: policy, pause_max: PAUSE_MAX };
    const { refusals, status, healthy, lost } = await run(context, 1, limits);
    assert.equal(healthy.received, FLOOD_QOS1.messages);
    assert.equal(refusals.count, 0);
    assert.ok(numberOf(status, "mqtt.reader_paused") > 0);
    assert.deepEqual(lost, { qos0: ["output-full"], clean: ["queue-full"], durable: ["queue-full"] });
  });
}

test("slow subscribers at QoS 1, refuse: the publisher gets 0x97, who reads all that was taken, no durable session loses any", async (context) => {
  const limits = { session_when_full: "refuse", pause_max: PAUSE_MAX };
  const { refusals, status, healthy, lost } = await run(context, 1, limits);
  assert.ok(refusals.count > 0);
  assert.equal(refusals.lastReason, 0x97);
  assert.equal(numberOf(status, "router.refused"), refusals.count);
  assert.equal(healthy.received, FLOOD_QOS1.messages - refusals.count);
  assert.deepEqual(lost.durable, [""]);
});
