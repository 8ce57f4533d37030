// Anything may happen to the uplink, in any order: a seed chooses what comes next, of the path's faults, the ends that die
// or are restarted, reloads and clocks that move, while devices go on publishing. At the end the judge has its verdict.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { temporaryFolder } from "../support/gateway-process.ts";
import { MovedClock } from "../support/moved-clock.ts";
import { requirePeer } from "../support/peers.ts";
import { RemoteSite, WINDOW } from "../support/remote-site.ts";
import type { Source } from "../support/source.ts";

const LONG = process.env["SLUICE_LONG"];
const SEED = Number(LONG ?? 1);
const STEPS = LONG === undefined ? 14 : 300;
/** Of a device, for each step, and the bytes beside the name and number of each. */
const MESSAGES = 60;
const PADDING = 60;
/** Connections are tried again, and dead ones noticed, so much sooner. */
const SPEED = 30;
const FIFTY_YEARS = 50 * 365 * 24 * 3600;

class Run {
  readonly site: RemoteSite;
  readonly clock: MovedClock;
  readonly sources: readonly Source[];
  readonly random: Random;
  /** What may come twice at QoS 1. */
  repeatedMax = 0;
  #window = WINDOW;

  constructor(site: RemoteSite, clock: MovedClock, sources: readonly Source[], random: Random) {
    this.site = site;
    this.clock = clock;
    this.sources = sources;
    this.random = random;
  }

  upTo(most: number): number {
    return Math.floor(this.random() * most);
  }

  /** The connection may have been cut here. */
  cut(): void {
    this.repeatedMax += Math.max(WINDOW, this.#window);
  }

  async atSomeByte(then: () => void): Promise<void> {
    const { link } = this.site;
    link.bytesPerSecond = 300_000;
    const there = link.after(this.upTo(10_000), then);
    await Promise.race([there, setTimeout(2000)]); // nothing may be on its way
  }

  async startGateway(): Promise<void> {
    const { gateway } = this.site;
    await gateway.start();
    for (const { peer } of this.sources) await peer.connect(gateway.port());
  }

  readonly happenings: Readonly<Record<string, () => Promise<void>>> = {
    cut: async () => {
      await this.atSomeByte(() => this.site.link.cut());
      this.cut();
    },
    reset: async () => {
      await this.atSomeByte(() => this.site.link.reset());
      this.cut();
    },
    refusing: async () => {
      this.site.link.refuse(this.random() < 0.5 ? "cut" : "reset");
      this.cut();
      await setTimeout(this.upTo(500));
    },
    frozen: async () => {
      await this.atSomeByte(() => this.site.link.freeze());
      await setTimeout(this.upTo(500));
      this.cut(); // a freeze may have lasted too long at this speed
    },
    swallowing: async () => {
      await this.atSomeByte(() => this.site.link.swallow());
      await setTimeout(this.upTo(1500));
      this.cut();
    },
    slow: async () => {
      this.site.link.delayMs = this.upTo(30);
      this.site.link.bytesPerSecond = 50_000;
      await setTimeout(this.upTo(500));
    },
    "cloud killed": async () => {
      await this.site.restartCloud("SIGKILL");
      this.cut();
    },
    "cloud restarted": async () => {
      await this.site.restartCloud("SIGTERM");
      this.cut();
    },
    "gateway killed": async () => {
      const { gateway } = this.site;
      await this.atSomeByte(() => {});
      gateway.signal("SIGKILL");
      await gateway.end();
      this.cut();
      this.repeatedMax += WINDOW; // a device sends again what it has no answer for
      await this.startGateway();
    },
    "gateway restarted": async () => {
      const { gateway } = this.site;
      assert.equal(await gateway.end("SIGTERM"), 0);
      this.cut();
      this.repeatedMax += WINDOW;
      await this.startGateway();
    },
    reloaded: async () => {
      const { gateway, site } = { gateway: this.site.gateway, site: this.site };
      this.#window = 10 + this.upTo(30);
      gateway.configure(site.configuration({ window: this.#window }));
      const from = gateway.stderr.length;
      gateway.signal("SIGHUP");
      await this.until("a reload", () => gateway.stderr.includes("reload", from));
      this.cut();
    },
    "fifty years": async () => {
      this.clock.set({ offsetSeconds: this.random() < 0.5 ? FIFTY_YEARS : -FIFTY_YEARS });
      if (this.random() < 0.5) await this.happenings["cut"]?.();
      await setTimeout(this.upTo(300));
      this.clock.set({ offsetSeconds: 0 });
      this.cut();
    },
    "time flies": async () => {
      this.clock.set({ speed: SPEED * 4 });
      await setTimeout(this.upTo(500));
      this.clock.set({ speed: SPEED });
      this.cut();
    },
  };

  async until(what: string, holds: () => boolean): Promise<void> {
    for (let tries = 0; !holds(); tries++) {
      assert.ok(tries < 2000 && this.site.gateway.running, `${what}\n${this.site.gateway.stderr}`);
      await setTimeout(10);
    }
  }
}

test(`${STEPS} happenings in a random order: nothing is lost, order holds, QoS 2 comes once`, {
  skip: requirePeer("cc"),
}, async (t) => {
  t.diagnostic(`seed ${SEED}`);
  using folder = temporaryFolder();
  const clock = new MovedClock(folder.path);
  clock.set({ speed: SPEED });
  await using site = await RemoteSite.open(folder.path, { cloud: "sluice", env: clock.env });
  const { link, judge, gateway } = site;
  await gateway.start();
  const sources = [await site.source("one", 1, WINDOW, PADDING), await site.source("two", 2, WINDOW, PADDING)];
  const run = new Run(site, clock, sources, seededRandom(SEED));
  const names = Object.keys(run.happenings);
  const history: string[] = [];
  try {
    for (let step = 1; step <= STEPS; step++) {
      // Each of them once at first, in turn, so that the short form leaves none out.
      const name = names[step <= names.length ? step - 1 : run.upTo(names.length)] as string;
      history.push(name);
      const published = Promise.all(sources.map((source) => source.publishTo(step * MESSAGES, 60_000)));
      await run.happenings[name]?.();
      await link.restore();
      await published;
    }
    clock.set({ speed: 1 });
    await judge.untilComplete();
    judge.verdict({ cuts: 1, window: run.repeatedMax });
    assert.deepEqual((await site.status()).dropped, {});
  } catch (error) {
    t.diagnostic(`seed ${SEED}: ${history.join(", ")}`);
    t.diagnostic(gateway.stderr.slice(-3000));
    if (gateway.running) t.diagnostic(JSON.stringify(await site.status()));
    throw error;
  }
});
