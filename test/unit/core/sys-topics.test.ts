import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ManualClock } from "../../../src/base/clock.ts";
import { Counters } from "../../../src/base/counters.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { LoadAverage } from "../../../src/core/load-average.ts";
import type { Publication } from "../../../src/core/publication.ts";
import { budget, SysTopics, toldMax } from "../../../src/core/sys-topics.ts";

const INTERVAL_MS = 10_000;

class World {
  readonly clock = new ManualClock();
  readonly wheel = new TimerWheel(this.clock);
  readonly counters = new Counters();
  readonly sys: SysTopics;
  watched = true;
  /** Slots of those who are not there. */
  away = "";
  readonly #sent: string[] = [];

  constructor(max = 100) {
    const router = {
      hasSubscriptionsUnder: (level: string) => this.watched && level === "$SYS",
      publishLive: ({ topic, bytes, payloadFrom, qos, retain }: Publication) => {
        this.#sent.push(`${topic} ${bytes.toString("utf8", payloadFrom)}`);
        assert.deepEqual([qos, retain], [0, false]);
        return this.away;
      },
      awayFrom: () => this.away,
    };
    const { counters, clock: time, wheel } = this;
    this.sys = new SysTopics({ router, counters, time, wheel, intervalMs: INTERVAL_MS, toldMax: max });
    this.sys.start();
  }

  /** What goes out at the end of the next interval, of topics that begin with `prefix`. */
  interval(prefix = "$SYS/broker/"): string[] {
    this.clock.advance(INTERVAL_MS);
    this.wheel.tick();
    return this.#sent.splice(0).filter((line) => line.startsWith(prefix));
  }

  /** What went out since the last call. */
  sent(): string[] {
    return this.#sent.splice(0);
  }

  get(topic: string): string | undefined {
    return this.sys.get(topic)?.payload.toString();
  }
}

describe("load averages", () => {
  test("are Mosquitto's: the rate per minute, weighed by what the span has not forgotten", () => {
    let packets = 7;
    const load = new LoadAverage(() => packets);
    const is = (...expected: number[]): void => {
      for (const [i, value] of expected.entries()) assert.equal(load.perMinute[i]?.toFixed(4), value.toFixed(4));
    };
    is(0, 0, 0); // what was counted before does not count
    packets += 10;
    load.sample(10_000); // 60 a minute: 60 x (1 - e^(-10/60)), 60 x (1 - e^(-10/300)), 60 x (1 - e^(-10/900))
    is(9.2111, 1.967, 0.663);
    load.sample(10_000); // nothing: x e^(-10/60), x e^(-10/300), x e^(-10/900)
    is(7.797, 1.9025, 0.6557);
    packets += 100;
    load.sample(60_000); // late: 100 in a minute. 100 + (7.797 - 100) e^-1, ...
    is(66.0804, 19.6846, 7.0627);
  });

  test("are sampled at every interval, also while nobody looks", () => {
    const world = new World();
    let packets = 0;
    world.sys.addLoad("broker/load/messages/received", () => packets);
    world.watched = false;
    packets = 10;
    world.interval();
    world.interval();
    const read = ["1min", "5min", "15min"].map((span) => world.get(`$SYS/broker/load/messages/received/${span}`));
    assert.deepEqual(read, ["7.80", "1.90", "0.66"]);
  });
});

describe("values", () => {
  test("go out when they have changed since the last interval, and only then", () => {
    const world = new World();
    let clients = 1;
    world.sys.add("broker/version", () => "sluice version 1");
    world.sys.add("broker/clients/total", () => clients);
    assert.deepEqual(world.interval(), ["$SYS/broker/version sluice version 1", "$SYS/broker/clients/total 1"]);
    assert.deepEqual(world.interval(), []);
    clients = 2;
    assert.deepEqual(world.interval(), ["$SYS/broker/clients/total 2"]);
  });

  test("are not read while nobody has subscribed, and all go out to the first who does", () => {
    const world = new World();
    let reads = 0;
    world.sys.add("broker/clients/total", () => ++reads * 0 + 5);
    world.watched = false;
    assert.deepEqual(world.interval(), []);
    assert.equal(reads, 0);
    world.watched = true;
    assert.deepEqual(world.interval(), ["$SYS/broker/clients/total 5"]);
    world.watched = false;
    world.interval();
    world.watched = true;
    assert.deepEqual(world.interval(), ["$SYS/broker/clients/total 5"]);
  });

  test("that somebody was told between two intervals are told again, to all, also when they are as they were", () => {
    const world = new World();
    let clients = 1;
    world.sys.add("broker/clients/total", () => clients);
    world.interval();
    clients = 2;
    assert.equal(world.get("$SYS/broker/clients/total"), "2");
    clients = 1;
    assert.deepEqual(world.interval(), ["$SYS/broker/clients/total 1"]);
    clients = 3;
    assert.equal(world.get("$SYS/broker/clients/total"), "3");
    assert.deepEqual(world.interval(), ["$SYS/broker/clients/total 3"]); // the others do not know it yet
    assert.equal(world.get("$SYS/broker/clients/total"), "3");
    assert.deepEqual(world.interval(), []);
  });

  test("go out to all when rights have changed", () => {
    const world = new World();
    world.sys.add("broker/version", () => "v");
    world.interval();
    world.sys.forget();
    assert.deepEqual(world.interval(), ["$SYS/broker/version v"]);
  });

  test("that somebody missed go out again when he is back, and once only", () => {
    const world = new World();
    let clients = 1;
    world.sys.add("broker/clients/total", () => clients);
    world.sys.add("broker/version", () => "v");
    world.interval();
    world.away = " 3";
    assert.deepEqual(world.interval(), []); // he knows
    clients = 2;
    assert.deepEqual(world.interval(), ["$SYS/broker/clients/total 2"]);
    assert.deepEqual(world.interval(), []);
    world.away = "";
    assert.deepEqual(world.interval(), ["$SYS/broker/clients/total 2"]);
    assert.deepEqual(world.interval(), []);
  });

  test("are messages of QoS 0 with RETAIN, good for an interval, for those who ask", () => {
    const world = new World();
    world.sys.add("broker/uptime", () => "3 seconds");
    const message = world.sys.get("$SYS/broker/uptime");
    assert.ok(message !== undefined);
    const { topic, payload, qos, retain, acceptedMs, expiresMs } = message;
    assert.deepEqual([topic, payload.toString(), qos, retain], ["$SYS/broker/uptime", "3 seconds", 0, true]);
    assert.equal(expiresMs - acceptedMs, INTERVAL_MS);
    assert.equal(world.sys.get("$SYS/broker"), undefined);
  });

  test("match by the rules of filters", () => {
    const world = new World();
    world.sys.add("broker/clients/total", () => 1);
    world.sys.add("broker/uptime", () => 1);
    const match = (filter: string) =>
      [...world.sys.match(filter)].filter((topic) => topic?.includes("broker") === true);
    assert.deepEqual(match("$SYS/#"), ["$SYS/broker/clients/total", "$SYS/broker/uptime"]);
    assert.deepEqual(match("$SYS/broker/+"), ["$SYS/broker/uptime"]);
    assert.deepEqual(match("$SYS/+/+/total"), ["$SYS/broker/clients/total"]);
    for (const filter of ["#", "+/#", "+/broker/uptime", "$SYS", "$SYS/broker", "$SYSTEM/#"])
      assert.deepEqual(match(filter), []);
  });

  test("remember the largest that was seen at an interval", () => {
    const world = new World();
    let heap = 10;
    world.sys.addWithPeak("broker/heap/current", "broker/heap/maximum", () => heap);
    world.watched = false;
    heap = 30;
    world.interval();
    heap = 20;
    assert.equal(world.get("$SYS/broker/heap/maximum"), "30");
    heap = 40;
    assert.equal(world.get("$SYS/broker/heap/current"), "40");
    heap = 5;
    assert.equal(world.get("$SYS/broker/heap/maximum"), "40");
  });

  test("of more than 128 characters are cut, and fractions have two places", () => {
    const world = new World();
    world.sys.addOwn("a.text", () => "x".repeat(200));
    world.counters.gauge("a.fraction", () => 1 / 3);
    assert.equal(world.get("$SYS/sluice/a/text")?.length, 128);
    assert.equal(world.get("$SYS/sluice/a/fraction"), "0.33");
  });
});

describe("counters", () => {
  test("are values from when they come into being, each level a part of the name", () => {
    const world = new World();
    world.counters.counter("mqtt.publish.received").value = 3;
    assert.equal(world.get("$SYS/sluice/mqtt/publish/received"), "3");
    world.counters.counter("mqtt.closed.a+b#c").value = 1;
    assert.equal(world.get("$SYS/sluice/mqtt/closed/a-b-c"), "1");
    world.interval("$SYS/sluice/");
    world.counters.gauge("late", () => 9);
    const sent = world.interval("$SYS/sluice/").filter((line) => !line.includes("/sys/"));
    assert.deepEqual(sent, ["$SYS/sluice/late 9"]);
  });

  test("give way to a text of the same name", () => {
    const world = new World();
    world.counters.gauge("store.health", () => 2);
    world.sys.addOwn("store.health", () => "failed");
    assert.equal(world.get("$SYS/sluice/store/health"), "failed");
    world.counters.gauge("uplink.a.state", () => 2);
    assert.equal(world.get("$SYS/sluice/uplink/a/state"), "2");
    world.sys.addOwn("uplink.a.state", () => "live");
    assert.equal(world.get("$SYS/sluice/uplink/a/state"), "live");
    const topics = [...world.sys.match("$SYS/#")].filter((topic) => topic !== null);
    assert.equal(new Set(topics).size, topics.length);
  });

  test("beyond those that are remembered go out at every interval, counted, and are there for who asks", () => {
    const world = new World(3);
    for (let i = 0; i < 5; i++) world.counters.counter(`c.${i}`);
    // The counter of those that are repeated is a value, and the first of them.
    assert.equal(world.interval("$SYS/sluice/c/").length, 5);
    assert.deepEqual(world.interval("$SYS/sluice/c/"), ["$SYS/sluice/c/2 0", "$SYS/sluice/c/3 0", "$SYS/sluice/c/4 0"]);
    assert.equal(world.counters.get("sys.repeated"), 6);
    assert.equal(world.get("$SYS/sluice/c/4"), "0");
  });
});

describe("what is removed", () => {
  test("is told once as empty to who is there, and is nothing afterwards; what has a longer name stays", () => {
    const world = new World();
    world.counters.counter("uplink.a.sent").value = 3;
    world.counters.gauge("uplink.a.b.in_flight", () => 1);
    world.sys.addOwn("uplink.a.state", () => "live");
    world.sys.add("broker/connection/a/state", () => 1);
    const before = world.interval("$SYS/");
    assert.ok(before.includes("$SYS/sluice/uplink/a/sent 3"));
    const own = { under: "uplink.a.", except: ["uplink.a.b."] };
    world.sys.remove("broker/connection/a/state");
    world.sys.removeOwn(own);
    world.counters.remove(own);
    const sent = world.interval("$SYS/").filter((line) => line.includes("/a/"));
    assert.deepEqual(sent, [
      "$SYS/broker/connection/a/state ",
      "$SYS/sluice/uplink/a/state ",
      "$SYS/sluice/uplink/a/sent ",
    ]);
    assert.equal(world.get("$SYS/sluice/uplink/a/sent"), undefined);
    assert.equal(world.get("$SYS/sluice/uplink/a/state"), undefined);
    assert.equal(world.get("$SYS/sluice/uplink/a/b/in_flight"), "1");
    assert.deepEqual(
      world.interval("$SYS/").filter((line) => line.includes("/a/")),
      [],
    );
  });

  test("is told to nobody while nobody watches", () => {
    const world = new World();
    world.sys.addOwn("uplink.a.state", () => "live");
    world.watched = false;
    world.sys.removeOwn({ under: "uplink.a.", except: [] });
    world.watched = true;
    assert.deepEqual(
      world.interval("$SYS/").filter((line) => line.includes("/a/")),
      [],
    );
  });
});

describe("what is told soon", () => {
  const RESOLUTION_MS = 100;

  test("goes out with the next tick, once however often it changed, and alone", () => {
    const world = new World();
    let state = "down";
    let other = 0;
    world.sys.addOwn("uplink.a.state", () => state);
    world.sys.addOwn("uplink.b.state", () => other);
    world.sys.add("broker/connection/a/state", () => (state === "live" ? 1 : 0));
    world.interval("");
    state = "connecting";
    other = 1;
    world.sys.tellSoon("uplink.a.", "broker/connection/a/state");
    state = "live";
    world.sys.tellSoon("uplink.a.", "broker/connection/a/state");
    assert.deepEqual(world.sent(), [], "not from within the call");
    world.clock.advance(RESOLUTION_MS);
    world.wheel.tick();
    assert.deepEqual(world.sent(), ["$SYS/sluice/uplink/a/state live", "$SYS/broker/connection/a/state 1"]);
    world.clock.advance(RESOLUTION_MS);
    world.wheel.tick();
    assert.deepEqual(world.sent(), []);
    assert.deepEqual(world.interval("$SYS/sluice/uplink/"), ["$SYS/sluice/uplink/b/state 1"]);
  });

  test("waits for nobody while nobody watches", () => {
    const world = new World();
    world.sys.addOwn("uplink.a.state", () => "live");
    world.watched = false;
    const { armed } = world.wheel;
    world.sys.tellSoon("uplink.a.", "broker/connection/a/state");
    assert.equal(world.wheel.armed, armed);
  });
});

test("a value with its topic and what was told takes no more than its line of the bill allows", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const heap = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const ADDED = 80; // of a gateway with an uplink
  const values = toldMax(1);
  const worlds = Array.from({ length: 20 }, () => new World(values));
  for (const { counters } of worlds)
    for (let i = 0; i < values - ADDED; i++) counters.counter(`mqtt.publish.some_counter_${i}`).value = 100_000 + i;
  const before = heap();
  for (const [n, world] of worlds.entries()) {
    for (let i = 0; i < ADDED; i++) world.sys.addOwn(`uplink.cloud.some_value_${i}`, () => 200_000 + i * n);
    world.interval();
  }
  const bytes = (heap() - before) / worlds.length;
  const [line] = budget(1);
  assert.ok(bytes < (line?.bytes ?? 0), `${bytes} ${JSON.stringify(line)}`);
  assert.ok(bytes > (line?.bytes ?? 0) / 3, "and not much less");
});
