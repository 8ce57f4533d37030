// A board without a battery, for real: the bundle under a wall clock that the test sets (clock-shim.c), which starts in
// 1970 and jumps by 56 years when the network comes. Nothing expires before it has lived its time, and what has does.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MovedClock } from "../support/moved-clock.ts";
import {
  ack,
  CONNACK,
  connect,
  disconnect,
  PUBACK,
  PUBLISH,
  publish,
  readConnack,
  readPublish,
  readPublishProperties,
  u32,
} from "../support/mqtt-packets.ts";
import { requirePeer } from "../support/peers.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";

const HOUR = 3600;
/** From now to 1970 and an hour, seconds. */
const TO_1970 = HOUR - Math.floor(Date.now() / 1000);
const WEEK = 7 * 24 * HOUR;
const MESSAGE_EXPIRY_INTERVAL = 0x02;
/** What a run of this test may take, seconds. */
const SLACK = 60;

interface Status {
  readonly clock: { readonly state: string; readonly offTimeSinceMs: number; readonly offTimeCountedMs: number };
  readonly counters: Readonly<Record<string, number>>;
}

class Board {
  readonly gateway: GatewayProcess;
  readonly #clock: MovedClock;
  #boot = 0;

  constructor(folder: string) {
    this.#clock = new MovedClock(folder);
    const config = { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }] };
    this.gateway = new GatewayProcess(folder, config, this.#clock.env);
  }

  get port(): number {
    return this.gateway.port();
  }

  /** The machine starts anew, its clock `offsetSeconds` from the right one. */
  async boot(offsetSeconds: number): Promise<void> {
    this.#boot++;
    this.set(offsetSeconds);
    await this.gateway.start();
  }

  set(offsetSeconds: number): void {
    this.#clock.set({ offsetSeconds, boot: this.#boot });
  }

  async status(): Promise<Status> {
    const { stdout } = await sluice(["status", "--json", "--data-dir", join(this.gateway.folder, "data")]);
    return JSON.parse(stdout) as Status;
  }

  /** The network sets the clock, and the gateway has seen it. */
  async network(offsetSeconds: number): Promise<void> {
    this.set(offsetSeconds);
    await eventually("the clock is set", async () => (await this.status()).clock.state === "set");
  }

  /** Publishes messages that live an hour. */
  async publish(retain: boolean, ...payloads: string[]): Promise<void> {
    using publisher = await RawMqtt.connected(this.port, { version: 5, clientId: "publisher" });
    for (const [i, payload] of payloads.entries()) {
      const message = { topic: retain ? `kept/${payload}` : "t", payload, qos: 1, retain, packetId: i + 1 };
      publisher.send(publish(5, message, MESSAGE_EXPIRY_INTERVAL, u32(HOUR)));
      assert.equal((await publisher.next()).type, PUBACK);
    }
  }

  /** The session `away` comes, takes `count` messages, and goes. @returns what each had left, in seconds */
  async come(count: number): Promise<{ present: boolean; left: Record<string, number> }> {
    using away = await RawMqtt.open(this.port);
    away.send(connect({ version: 5, clientId: "away", clean: false, expirySeconds: WEEK }));
    const connack = await away.next();
    assert.equal(connack.type, CONNACK);
    const left = await take(away, count, true);
    await leave(away);
    return { present: readConnack(connack).sessionPresent, left };
  }

  /** `$SYS/sluice/clock/`: the state, and since when off-time is not counted. */
  async told(): Promise<Record<string, string>> {
    using reader = await RawMqtt.connected(this.port, { version: 5, clientId: "sys" });
    const values: Record<string, string> = {};
    for (const name of ["state", "off_time_since"]) {
      await reader.subscribe(5, `$SYS/sluice/clock/${name}`, 0);
      values[name] = readPublish(5, await reader.next()).payload;
    }
    return values;
  }

  /** What retained values have left. */
  async retained(count: number): Promise<Record<string, number>> {
    using reader = await RawMqtt.connected(this.port, { version: 5, clientId: "reader" });
    await reader.subscribe(5, "kept/#", 0);
    return take(reader, count, false);
  }
}

/** Goes for good: what is published then finds it away. */
async function leave(raw: RawMqtt): Promise<void> {
  raw.send(disconnect());
  await raw.end();
}

async function take(raw: RawMqtt, count: number, answer: boolean): Promise<Record<string, number>> {
  const left: Record<string, number> = {};
  while (Object.keys(left).length < count) {
    const found = await raw.next();
    assert.equal(found.type, PUBLISH);
    const { payload, packetId } = readPublish(5, found);
    const property = readPublishProperties(found).find(([id]) => id === MESSAGE_EXPIRY_INTERVAL);
    left[payload] = property?.[1] as number;
    if (answer) raw.send(ack(PUBACK, packetId));
  }
  return left;
}

/** `seconds`, less what the test took. */
function assertLeft(left: Record<string, number>, expected: Record<string, number>): void {
  assert.deepEqual(Object.keys(left).sort(), Object.keys(expected).sort());
  for (const [payload, seconds] of Object.entries(expected)) {
    const has = left[payload] as number;
    assert.ok(has <= seconds && has > seconds - SLACK, `${payload} has ${has} s, not ${seconds}`);
  }
}

test("a board that starts in 1970 loses nothing to NTP, counts its off-time when the clock is set, and at once when it is right", {
  skip: requirePeer("cc"),
}, async () => {
  using folder = temporaryFolder();
  const board = new Board(folder.path);
  await using gateway = board.gateway;
  await board.boot(TO_1970);
  {
    using away = await RawMqtt.connected(board.port, {
      version: 5,
      clientId: "away",
      clean: false,
      expirySeconds: WEEK,
    });
    await away.subscribe(5, "t", 1);
    await leave(away);
  }
  await board.publish(false, "in 1970");
  await board.publish(true, "r1");
  assert.deepEqual(await board.told(), { state: "unset", off_time_since: "none" });
  await board.network(0);
  assertLeft(await board.retained(1), { r1: HOUR });
  await board.publish(false, "with NTP");
  await gateway.end("SIGKILL");

  // The power was away for half an hour. The board does not know.
  await board.boot(TO_1970);
  const { clock } = await board.status();
  assert.equal(clock.state, "unset");
  assert.ok(Math.abs(clock.offTimeSinceMs - Date.now()) < SLACK * 1000, "what the clock showed last is stored");
  assert.deepEqual(await board.told(), {
    state: "unset",
    off_time_since: new Date(clock.offTimeSinceMs).toISOString(),
  });
  await board.publish(false, "in 1970 again");
  await board.publish(true, "r2");
  assertLeft(await board.retained(2), { r1: HOUR, r2: HOUR });
  await board.network(HOUR / 2);
  assertLeft(await board.retained(2), { r1: HOUR / 2, r2: HOUR });
  const first = await board.come(3);
  assert.equal(first.present, true, "the session did not expire");
  assertLeft(first.left, { "in 1970": HOUR / 2, "with NTP": HOUR / 2, "in 1970 again": HOUR });
  await board.publish(false, "before the power went");
  await gateway.end();

  // Three quarters of an hour more, on a board whose clock is right: they count at once.
  await board.boot(HOUR / 2 + (3 * HOUR) / 4);
  const started = await board.status();
  assert.equal(started.clock.state, "set");
  assert.ok(Math.abs(started.clock.offTimeCountedMs / 1000 - (3 * HOUR) / 4) < SLACK);
  assertLeft(await board.retained(1), { r2: HOUR / 4 });
  assertLeft((await board.come(1)).left, { "before the power went": HOUR / 4 });
  await board.publish(false, "too late");
  await gateway.end();

  await board.boot(HOUR / 2 + (3 * HOUR) / 4 + 2 * HOUR);
  await board.publish(false, "in time");
  assertLeft((await board.come(1)).left, { "in time": HOUR });
  assert.equal((await board.status()).counters["drops.expired"], 1, "what had lived its hour");
});

test("kill -9 and a start on the same machine in 1970: the time between counts, without any clock", {
  skip: requirePeer("cc"),
}, async () => {
  using folder = temporaryFolder();
  const board = new Board(folder.path);
  await using gateway = board.gateway;
  await board.boot(TO_1970);
  {
    using away = await RawMqtt.connected(board.port, {
      version: 5,
      clientId: "away",
      clean: false,
      expirySeconds: WEEK,
    });
    await away.subscribe(5, "t", 1);
    await leave(away);
  }
  await board.publish(false, "m");
  const publishedMs = performance.now();
  await gateway.end("SIGKILL");
  await gateway.start();
  const { clock } = await board.status();
  assert.deepEqual([clock.state, clock.offTimeSinceMs], ["unset", 0]);
  const left = (await board.come(1)).left["m"] as number;
  const seconds = HOUR - (performance.now() - publishedMs) / 1000;
  assert.ok(left >= seconds - 1 && left <= HOUR, `${left} s left, at least ${seconds}`);
  // NTP, and a restart: neither session nor message counts the 56 years.
  await board.publish(false, "n");
  await board.network(0);
  await gateway.end();
  await gateway.start();
  const { present, left: then } = await board.come(1);
  assert.equal(present, true, "a session whose client went in 1970");
  assertLeft(then, { n: HOUR });
});
