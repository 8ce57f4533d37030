/** The timer wheel with as many timers as a full gateway has: Keep Alives of 10,000 clients. */
import type { Clock } from "../../src/base/clock.ts";
import { type Expirable, Timer, TimerWheel } from "../../src/base/timer-wheel.ts";
import { type MicroCase, sink } from "./case.ts";

const TIMERS = 10_000;
const KEEP_ALIVE_MS = 90_000;
const TICK_MS = 50;

class Owner implements Expirable {
  expired = 0;

  onTimer(): void {
    this.expired++;
  }
}

/** Armed, each at a moment of its own within the next 90 s. */
function wheelOfTimers(): { clock: { ms: number }; wheel: TimerWheel; timers: Timer[]; owner: Owner } {
  const clock = { ms: 0 };
  const wheel = new TimerWheel({ nowMs: () => clock.ms } as Clock);
  const owner = new Owner();
  const timers = Array.from({ length: TIMERS }, () => new Timer(owner, 0));
  for (const [i, timer] of timers.entries()) wheel.schedule(timer, (i * KEEP_ALIVE_MS) / TIMERS);
  return { clock, wheel, timers, owner };
}

function schedule(): MicroCase {
  const { wheel, timers } = wheelOfTimers();
  return {
    name: `base/timer-wheel: schedule one of ${TIMERS} anew`,
    run: (times) => {
      for (let i = 0; i < times; i++) wheel.schedule(timers[i % TIMERS] as Timer, KEEP_ALIVE_MS);
      sink.value += wheel.armed;
    },
  };
}

function cancel(): MicroCase {
  const { wheel, timers } = wheelOfTimers();
  return {
    name: "base/timer-wheel: cancel and schedule",
    run: (times) => {
      for (let i = 0; i < times; i++) {
        const timer = timers[i % TIMERS] as Timer;
        wheel.cancel(timer);
        wheel.schedule(timer, KEEP_ALIVE_MS);
      }
      sink.value += wheel.armed;
    },
  };
}

/** Whoever expires is armed again, 90 s ahead: 5.6 of them a tick, and what lies further ahead moves down. */
function tick(): MicroCase {
  const { clock, wheel, timers, owner } = wheelOfTimers();
  let next = 0; // they expire in their order
  return {
    name: `base/timer-wheel: tick of ${TICK_MS} ms, ${TIMERS} timers`,
    run: (times) => {
      for (let i = 0; i < times; i++) {
        clock.ms += TICK_MS;
        wheel.tick();
        for (; wheel.armed < TIMERS; next = (next + 1) % TIMERS) wheel.schedule(timers[next] as Timer, KEEP_ALIVE_MS);
      }
      sink.value += owner.expired;
    },
  };
}

export const timerCases: readonly (() => MicroCase)[] = [schedule, cancel, tick];
