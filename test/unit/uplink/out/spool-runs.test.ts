// Days of trouble for an uplink with several priorities, played by a seed: publishes, answers in any order, cut
// connections, crashes, commits that come late, a remote that forgets its session.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "../../../../src/base/random.ts";
import { CLASS_PACKET_IDS } from "../../../../src/uplink/out/spool-class.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import * as table from "../../../../src/wire/mqtt/property-table.ts";
import { type FakeConnection, properties } from "../fake-server.ts";
import { forward, UplinkWorld } from "../uplink-world.ts";

const RUNS = 40;
const STEPS = 150;
const ROOMY = { maxBytes: 1e8, maxMessages: 1e6, maxAgeMs: 1e12, whenFull: "refuse", priorities: [] } as const;
/** As many as may be in flight: then the latest of a topic may have to go, too. */
const LATEST = { ...ROOMY, maxMessages: 8, whenFull: "latest-per-topic" } as const;
const PRIORITIES = [0, 2, 7] as const;
/** `c/<priority>/<qos>/<topic>`; `b/...` goes out under two topics of one class, `x/...` by two classes. */
const RULES = [
  ...PRIORITIES.flatMap((priority) => [
    forward(`c/${priority}/1/#`, { priority, qos: 1 }),
    forward(`c/${priority}/2/#`, { priority, qos: 2 }),
  ]),
  forward("b/#", { priority: 2, qos: 2, to: "b1/{rest}" }),
  forward("b/#", { priority: 2, qos: 1, to: "b2/{rest}" }),
  forward("x/#", { priority: 0, qos: 2, to: "x0/{rest}" }),
  forward("x/#", { priority: 7, qos: 2, to: "x7/{rest}" }),
  forward("x/#", { priority: 2, qos: 1, to: "x7/{rest}" }),
];

interface Owed {
  readonly type: number;
  readonly packetId: number;
}

/** A server by the book. */
class Remote {
  /** Remote topic and number of the message, in the order in which they came as new. */
  readonly got: { topic: string; number: number; qos: number }[] = [];
  readonly known = new Map<number, string>();
  owed: Owed[] = [];
  connection: FakeConnection | null = null;
  /** Its session went at some time: what it had taken may come once more. */
  readonly #lostSession = { at: -1 };

  take(): void {
    for (const packet of this.connection?.take() ?? []) {
      const { type, packetId, topic, payload, qos } = packet;
      if (type === codes.PUBREL) {
        this.known.delete(packetId);
        this.owed.push({ type: codes.PUBCOMP, packetId });
      } else if (type === codes.PUBLISH) {
        this.#check(topic, packetId);
        const content = `${topic} ${payload}`;
        const before = qos === 2 ? this.known.get(packetId) : undefined;
        if (before === undefined) this.got.push({ topic, number: Number(payload), qos });
        else assert.equal(content, before, `packet id ${packetId} comes with another message: this one would be lost`);
        if (qos === 2) this.known.set(packetId, content);
        this.owed.push({ type: qos === 2 ? codes.PUBREC : codes.PUBACK, packetId });
      }
    }
  }

  #check(topic: string, packetId: number): void {
    const priority = Math.floor((packetId - 1) / CLASS_PACKET_IDS);
    const expected = topic.startsWith("c/") ? topic[2] : topic.startsWith("b") ? "2" : topic[1];
    assert.equal(`${priority}`, expected, `${topic} has the ids of its class`);
  }

  answer(n: number): void {
    const [answer] = this.owed.splice(n, 1);
    if (answer !== undefined) this.connection?.send(this.connection.ack(answer.type, answer.packetId));
  }

  cut(): void {
    this.connection?.drop("reset");
    this.connection = null;
    this.owed = [];
  }

  forget(): void {
    this.known.clear();
    this.#lostSession.at = this.got.length;
  }

  get keptSession(): boolean {
    return this.#lostSession.at < 0;
  }
}

class Run {
  world: UplinkWorld;
  readonly remote = new Remote();
  readonly random: Random;
  /** By number. */
  readonly topics: string[] = [];
  readonly acknowledged = new Set<number>();
  /** By token of the world's. */
  #numbers = new Map<number, number>();
  #present = false;

  readonly #keepsAll: boolean;

  constructor(seed: number, spool: typeof ROOMY | typeof LATEST) {
    this.#keepsAll = spool === ROOMY;
    this.random = seededRandom(seed);
    this.world = new UplinkWorld({ window: 6, forward: RULES, spool });
  }

  below(n: number): number {
    return Math.floor(this.random() * n);
  }

  publish(): void {
    const number = this.topics.length;
    const priority = PRIORITIES[this.below(3)];
    const kind = this.below(8);
    const topic = kind === 0 ? "b/t" : kind === 1 ? "x/t" : `c/${priority}/${1 + this.below(2)}/t${this.below(2)}`;
    this.topics.push(topic);
    // Some are larger than a class may hold in memory.
    const payload = `${number}`.padEnd(this.below(6) === 0 ? 30_000 : 1);
    this.#numbers.set(this.world.publish(topic, payload, 1 + this.below(2)), number);
  }

  hear(): void {
    for (const [token, reason] of this.world.told.splice(0)) {
      assert.equal(reason, 0);
      this.acknowledged.add(this.#numbers.get(token) as number);
    }
  }

  connect(): void {
    const { world, remote } = this;
    if (!world.server.dialling) {
      if (world.uplink.status().state === "down" && world.uplink.status().retryInMs === null) world.uplink.start();
      else world.server.advance(61_000);
    }
    const connection = world.server.accept();
    connection.take();
    remote.connection = connection;
    const writer = properties((p) => p.two(table.RECEIVE_MAXIMUM, 2 + this.below(6)));
    connection.connack({ present: this.#present, properties: writer });
    this.#present = true;
  }

  crash(): void {
    this.remote.cut();
    this.world = this.world.crash();
    this.#numbers.clear();
  }

  async step(mayForget: boolean): Promise<void> {
    const { world, remote } = this;
    const kind = this.below(100);
    if (kind < 35) this.publish();
    else if (kind < 45) world.store.commit();
    else if (kind < 60) this.world.persist();
    else if (kind < 85) {
      remote.take();
      if (remote.owed.length > 0) remote.answer(this.below(remote.owed.length));
    } else if (kind < 92) {
      remote.connection?.turn();
      await new Promise((resolve) => setImmediate(resolve));
    } else if (kind < 96) {
      if (remote.connection === null) this.connect();
      else if (kind < 94) remote.cut();
    } else if (kind < 98) {
      if (remote.connection === null && mayForget) {
        remote.forget();
        this.#present = false;
      }
    } else this.crash();
    this.hear();
  }

  async settle(): Promise<void> {
    if (this.remote.connection === null) this.connect();
    const { spool } = this.world.uplink;
    for (let i = 0; i < 5000 && (spool.count > 0 || spool.inFlight > 0 || this.remote.owed.length > 0); i++) {
      this.world.persist();
      this.remote.take();
      this.remote.answer(0);
      this.remote.connection?.turn();
      if (i % 4 === 0) await new Promise((resolve) => setImmediate(resolve));
      this.hear();
    }
    assert.deepEqual([spool.count, spool.inFlight], [0, 0]);
  }

  check(): void {
    const { got, keptSession } = this.remote;
    const byTopic = new Map<string, number[]>();
    const twice = new Set<string>();
    for (const { topic, number, qos } of got) {
      const list = byTopic.get(topic) ?? [];
      byTopic.set(topic, list);
      if (!list.includes(number)) list.push(number);
      else if (qos === 2) twice.add(`${topic} ${number}`);
    }
    if (keptSession) assert.deepEqual([...twice], [], "QoS 2 arrives once");
    for (const [topic, list] of byTopic) {
      assert.deepEqual(
        list,
        list.toSorted((a, b) => a - b),
        `${topic} in order`,
      );
    }
    if (!this.#keepsAll) return;
    for (const number of this.acknowledged) {
      for (const remoteTopic of remoteTopics(this.topics[number] as string)) {
        assert(byTopic.get(remoteTopic)?.includes(number), `${remoteTopic} ${number} was acknowledged, and is lost`);
      }
    }
  }
}

function remoteTopics(topic: string): string[] {
  if (topic.startsWith("b/")) return ["b1/t", "b2/t"];
  return topic.startsWith("x/") ? ["x0/t", "x7/t"] : [topic];
}

const CASES = [
  { name: "nothing is lost, order is kept, QoS 2 comes once", mayForget: false, spool: ROOMY },
  { name: "a server that forgets its session at times: nothing is lost, order is kept", mayForget: true, spool: ROOMY },
  {
    name: "latest-per-topic: order is kept, QoS 2 comes once, and counts are right",
    mayForget: false,
    spool: LATEST,
  },
];

for (const { name, mayForget, spool } of CASES) {
  test(`${RUNS} random runs of an uplink with three priorities; ${name}`, async () => {
    let crashes = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      const run = new Run(seed + (mayForget ? 1000 : 0), spool);
      try {
        for (let step = 0; step < STEPS; step++) {
          const { world } = run;
          await run.step(mayForget);
          if (run.world !== world) crashes++;
        }
        await run.settle();
        run.check();
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
    assert(crashes > RUNS, "there were some");
  });
}
