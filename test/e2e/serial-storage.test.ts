// What a line without acknowledgements is promised: frames become publications that are stored in order, one by one; while
// the store refuses, the port is paused and the device waits; what is dropped after refusal_hold is counted; and kill -9
// costs the end of what had been read, nothing before it.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "../../src/base/random.ts";
import { Cable } from "../support/cable.ts";
import { SmallDisk } from "../support/disk.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector, persistent } from "../support/mqtt-collector.ts";
import { requirePeer, requireRoot } from "../support/peers.ts";

const LONG_SEED = process.env["SLUICE_LONG"];
const SEED = LONG_SEED === undefined ? 1 : Number(LONG_SEED);
const KILLS = LONG_SEED === undefined ? 3 : 20;
const DISK_MIB = 32;
/** Of a line that shall fill a disk. */
const LINE_BYTES = 1500;
/** Said in the longest time that the gateway may take to read and store them: 1 s. At most 192 publications wait for the store. */
const LOST_LINES_MAX = 2000;

/** Two publications of a line "number,number,anything". */
function config(port: string, hold = "10s"): Record<string, unknown> {
  const entry = (topic: string) => ({
    topic: `line/${topic}`,
    match: "^(\\d+),(\\d+)(,|$)",
    payload: "{1} {2} {frame}",
  });
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [{ name: "node", port, baud: 4_000_000, publish: [entry("a"), entry("b")] }],
    limits: { refusal_hold: hold, session_queue_messages: 1_000_000, session_queue_bytes: "256MiB" },
    memory_limit: "32MiB",
  };
}

/** A device that says numbered lines, as fast as they are taken. */
class Talker {
  readonly #cable: Cable;
  readonly #filling: string;
  /** Lines that were taken whole, or in part. */
  said = 0;
  #rest = Buffer.alloc(0);

  constructor(cable: Cable, bytes = 0) {
    this.#cable = cable;
    this.#filling = bytes === 0 ? "" : `,${"x".repeat(bytes)}`;
  }

  /** @returns whether anything was taken */
  say(): boolean {
    if (this.#rest.length === 0) {
      this.#rest = Buffer.from(`${this.said},${this.said}${this.#filling}\n`);
      this.said++;
    }
    const taken = this.#cable.trySay(this.#rest);
    this.#rest = this.#rest.subarray(taken);
    return taken > 0;
  }

  /** Until nothing was taken for so long. */
  async untilStuck(ms: number): Promise<void> {
    for (let lastMs = performance.now(); performance.now() - lastMs < ms; ) {
      if (this.say()) lastMs = performance.now();
      else await sleep(5);
    }
  }

  async lines(count: number): Promise<void> {
    const end = this.said + count;
    while (this.said < end || this.#rest.length > 0) if (!this.say()) await sleep(1);
  }

  /** A line each half millisecond, so that what is said is read at once. */
  async pacedFor(ms: number): Promise<void> {
    const beganMs = performance.now();
    const first = this.said;
    for (let nowMs = beganMs; nowMs < beganMs + ms; nowMs = performance.now()) {
      while (this.said - first < 2 * (nowMs - beganMs) && this.say());
      await sleep(1);
    }
    await this.finish();
  }

  /** The end of the line that it is in. */
  async finish(): Promise<void> {
    while (this.#rest.length > 0) if (!this.say()) await sleep(1);
  }
}

/** Numbers of the lines that came under each topic, in order. Of two lines that lost their middle the numbers differ. */
function numbersOf(client: MqttCollector): Record<"a" | "b", number[]> {
  const of = (topic: string): number[] => {
    const pairs = client.messages
      .filter((message) => message.topic === `line/${topic}`)
      .map(({ payload }) => payload.split(/[ ,]/));
    return pairs.filter(([one, other]) => one === other).map(([one]) => Number(one));
  };
  return { a: of("a"), b: of("b") };
}

async function refused(gateway: GatewayProcess): Promise<number> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return (JSON.parse(stdout) as { counters: Record<string, number> }).counters["serial.lines_refused"] ?? 0;
}

/** A session that is away, with all that lines become. */
async function subscribed(gateway: GatewayProcess): Promise<void> {
  await using client = await MqttCollector.open(gateway.port(), "line/#", persistent("away"));
  assert.equal(client.messages.length, 0);
}

test("kill -9 costs the end of what was read: nothing before it, nothing twice, and no second publication without its first", {
  skip: requirePeer("socat"),
  timeout: 20_000 + KILLS * 5000,
}, async (t) => {
  const random = seededRandom(SEED);
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  await using gateway = new GatewayProcess(folder.path, config(cable.port));
  await gateway.start();
  await subscribed(gateway);
  const talker = new Talker(cable);
  for (let kill = 1; kill <= KILLS; kill++) {
    await gateway.opened();
    await talker.pacedFor(100 + random() * 200);
    await gateway.end("SIGKILL");
    await gateway.start();
  }
  await gateway.opened();
  await talker.lines(2); // the first may be the rest of one
  await using client = await MqttCollector.open(gateway.port(), "line/#", persistent("away"));
  const last = talker.said - 1;
  await eventually("the last line", () => numbersOf(client).b.at(-1) === last);
  const { a, b } = numbersOf(client);
  const lost: number[] = [];
  for (const numbers of [a, b]) {
    for (const [i, number] of numbers.entries()) {
      const gap = number - (i === 0 ? -1 : (numbers[i - 1] as number)) - 1;
      assert.ok(gap >= 0, `${number} comes behind ${numbers[i - 1]}`);
      if (gap > 0) lost.push(gap);
    }
  }
  t.diagnostic(`${last + 1} lines, ${KILLS} kills, lost at each topic: ${lost}`);
  assert.ok(lost.length <= 2 * KILLS, `${lost.length} gaps`);
  assert.ok(Math.max(0, ...lost) <= LOST_LINES_MAX, `${lost} lines lost`);
  const first = new Set(a);
  assert.deepEqual(
    b.filter((number) => !first.has(number)),
    [],
  );
  assert.equal(await gateway.end(), 0);
});

test("a full disk pauses the port; what waits is stored when there is room, and what is dropped after refusal_hold is counted", {
  skip: requirePeer("socat") || requireRoot(),
  timeout: 60_000,
}, async (t) => {
  using folder = temporaryFolder();
  using disk = new SmallDisk(DISK_MIB);
  await using cable = new Cable(folder.path);
  await cable.plug();
  const on = (hold: string) => ({ ...config(cable.port, hold), data_dir: join(disk.path, "data") });
  await using gateway = new GatewayProcess(folder.path, on("60s"));
  await gateway.start();
  await subscribed(gateway);
  const talker = new Talker(cable, LINE_BYTES);

  await talker.lines(100);
  disk.fill();
  await talker.untilStuck(500);
  assert.ok(talker.said > 100);
  assert.equal(await refused(gateway), 0);
  disk.free();
  await talker.lines(100);
  const kept = talker.said;
  {
    await using client = await MqttCollector.open(gateway.port(), "line/#", persistent("away"));
    await eventually("all lines", () => numbersOf(client).b.length >= kept);
    const all = Array.from({ length: kept }, (_, i) => i);
    assert.deepEqual(numbersOf(client), { a: all, b: all }, "in order, none lost, none twice");
    assert.equal(await refused(gateway), 0);
  }
  assert.equal(await gateway.end(), 0);

  gateway.configure(on("1s"));
  await gateway.start();
  await gateway.opened();
  disk.fill();
  await talker.untilStuck(500);
  await eventually("the hold is over", () => gateway.stderr.includes("serial-lines-refused"));
  await talker.finish();
  disk.free();
  await eventually("lines are taken again", () => {
    talker.say();
    return gateway.stderr.includes("serial-lines-taken-again");
  });
  await talker.finish();
  await talker.lines(20);
  const later = talker.said - kept;
  await using client = await MqttCollector.open(gateway.port(), "line/#", persistent("away"));
  await eventually("the last line", () => numbersOf(client).b.at(-1) === talker.said - 1);
  const { a, b } = numbersOf(client);
  const dropped = await refused(gateway);
  t.diagnostic(`${kept} lines, all kept; of ${later} more ${dropped} publications were dropped`);
  assert.equal(a.length + b.length + dropped, 2 * later, "each publication was stored or counted");
  assert.equal(new Set(a).size + new Set(b).size, a.length + b.length, "none twice");
  assert.equal(await gateway.end(), 0);
});
