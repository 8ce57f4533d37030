import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../../src/base/clock.ts";
import { Counter } from "../../../../src/base/counters.ts";
import { TimerWheel } from "../../../../src/base/timer-wheel.ts";
import type { PaceConfig, RateConfig } from "../../../../src/config/uplink-pace.ts";
import { Pace } from "../../../../src/uplink/metering/pace.ts";

const NONE: RateConfig = { messagesPerSecond: null, bytesPerSecond: null };
const bytes = (bytesPerSecond: number): RateConfig => ({ messagesPerSecond: null, bytesPerSecond });
const messages = (messagesPerSecond: number): RateConfig => ({ messagesPerSecond, bytesPerSecond: null });

/** Something that always has packets of this class and size to send. */
interface Source {
  readonly priority: number;
  readonly backlog: boolean;
  readonly bytes: number;
  sent: number;
  /** Packets it has; Infinity = never an end. */
  left: number;
}

class PaceWorld {
  readonly clock = new ManualClock();
  readonly wheel = new TimerWheel(this.clock, 50);
  readonly paced = new Counter();
  readonly pace: Pace;
  readonly sources: Source[] = [];

  constructor(config: Partial<PaceConfig>) {
    const parts = { time: this.clock, wheel: this.wheel, paced: this.paced, onTokens: () => this.pumpAll() };
    this.pace = new Pace({ all: NONE, drain: NONE, live: NONE, ...config }, parts);
  }

  source(priority: number, backlog: boolean, size: number, left = Number.POSITIVE_INFINITY): Source {
    const source = { priority, backlog, bytes: size, sent: 0, left };
    this.sources.push(source);
    this.sources.sort((a, b) => b.priority - a.priority);
    return source;
  }

  pump(source: Source): void {
    while (source.left > 0 && this.pace.allows(source.priority, source.backlog, source.bytes)) {
      this.pace.spend(source.backlog, source.bytes);
      source.sent++;
      source.left--;
    }
  }

  pumpAll(): void {
    for (const source of this.sources) this.pump(source);
  }

  /** Time passes; nobody pumps but the pace's own timer. */
  run(ms: number): void {
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(Math.min(50, left));
      this.wheel.tick();
    }
  }
}

test("backlog goes at its own rate, live at its own, and both together at the rate of all", () => {
  const world = new PaceWorld({ all: bytes(1000), drain: bytes(400), live: bytes(5000) });
  const [live, drain] = [world.source(0, false, 20), world.source(0, true, 20)];
  world.pump(drain);
  assert.equal(drain.sent * 20, 400);
  world.pump(live);
  assert.equal(live.sent * 20, 600);
  world.run(100_000);
  assert.ok((live.sent + drain.sent) * 20 <= 101_000);
  assert.ok((live.sent + drain.sent) * 20 >= 100_980);
  assert.ok(drain.sent * 20 <= 40_400);
});

test("messages a second are counted beside bytes a second: the scarcer holds up", () => {
  const world = new PaceWorld({ all: { messagesPerSecond: 10, bytesPerSecond: 1000 } });
  const small = world.source(0, true, 10);
  world.pump(small);
  assert.equal(small.sent, 10);
  world.run(10_000);
  assert.equal(small.sent, 110);
  small.left = 0;
  world.run(1000);
  const large = world.source(0, true, 500);
  world.pump(large);
  assert.equal(large.sent, 2);
  world.run(10_000);
  assert.equal(large.sent, 22);
});

test("one message a second is one a second", () => {
  const world = new PaceWorld({ all: messages(1) });
  const source = world.source(0, true, 10);
  world.pump(source);
  assert.equal(source.sent, 1);
  world.run(3_600_000);
  assert.equal(source.sent, 3601);
});

test("small packets of a lower class do not take what a large one of a higher class waits for", () => {
  const world = new PaceWorld({ all: bytes(1000) });
  const low = world.source(0, true, 10);
  world.pump(low);
  const high = world.source(7, false, 800, 5);
  world.pump(high);
  for (let ms = 0; ms < 4000; ms += 50) {
    world.run(50);
    world.pump(low); // as after an acknowledgement
  }
  assert.equal(high.sent, 5);
  assert.equal(low.sent, 100);
  world.run(1000);
  assert.ok(low.sent >= 195, `${low.sent}`);
});

test("a higher class that waits for its own rate holds nobody else up", () => {
  const world = new PaceWorld({ all: bytes(1000), live: bytes(10) });
  const high = world.source(7, false, 10);
  const low = world.source(0, true, 10);
  world.pumpAll();
  for (let ms = 0; ms < 20_000; ms += 50) {
    world.run(50);
    world.pump(high);
  }
  assert.equal(high.sent, 21);
  assert.ok(high.sent + low.sent >= 2098, `${high.sent} + ${low.sent}`);
});

test("a higher class whose message is gone meanwhile holds nobody up for longer than it would have waited", () => {
  const world = new PaceWorld({ all: bytes(1000) });
  const low = world.source(0, true, 100);
  world.pump(low);
  const high = world.source(7, false, 500);
  world.pump(high);
  high.left = 0;
  world.run(550);
  assert.ok(low.sent >= 14, `${low.sent}`);
});

test("what cannot wait goes while there are tokens that nobody of its class or a higher one waits for", () => {
  const world = new PaceWorld({ all: bytes(1000), drain: bytes(500) });
  const { pace } = world;
  const drain = world.source(0, true, 100);
  world.pump(drain);
  assert.equal(drain.sent, 5);
  assert.equal(pace.opensNow(0, 100), true, "backlog waits for its own rate alone");
  for (let i = 0; i < 5; i++) pace.spend(false, 100);
  assert.equal(pace.opensNow(0, 100), false, "there are none left");
  world.run(50);
  const waiting = world.source(3, false, 900);
  world.pump(waiting);
  world.run(200);
  assert.equal(waiting.sent, 0);
  assert.equal(pace.opensNow(0, 10), false);
  assert.equal(pace.opensNow(3, 10), false);
  assert.equal(pace.opensNow(4, 10), true);
});

test("without a connection nobody waits, and what was spent stays spent", () => {
  const world = new PaceWorld({ all: bytes(1000) });
  const source = world.source(0, true, 100);
  world.pump(source);
  assert.equal(world.wheel.armed, 1);
  assert.ok(world.pace.waitMs > 0 && world.pace.waitMs <= 100);
  assert.equal(world.paced.value, 1);
  world.pace.end();
  assert.deepEqual([world.wheel.armed, world.pace.waitMs], [0, 0]);
  world.pump(source);
  assert.equal(source.sent, 10);
});

test("what is not limited has no tokens to wait for", () => {
  const world = new PaceWorld({ drain: bytes(10) });
  const live = world.source(0, false, 1_000_000, 1000);
  world.pump(live);
  assert.equal(live.sent, 1000);
});
