// One gateway with an uplink to each of several servers in the test's hand, that behave badly until the test has seen
// enough; a well-behaved one stands among them. What a device publishes is forwarded to all of them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { UplinkStatus } from "../../src/uplink/uplink.ts";
import { BadLink } from "./bad-link.ts";
import { eventually } from "./eventually.ts";
import { GatewayProcess, sluice } from "./gateway-process.ts";
import { HandServer, type Manners } from "./hand-server.ts";
import { Judge } from "./judge.ts";
import { MovedClock } from "./moved-clock.ts";
import type { Version } from "./mqtt-packets.ts";
import { MqttPeer } from "./mqtt-peer.ts";
import { Source } from "./source.ts";

export interface FleetCase {
  readonly name: string;
  /** How the server behaves; well from `heal` on. */
  readonly manners: (nth: number) => Manners;
  readonly version?: Version;
  /** Of its forward rule; 1 unless given. */
  readonly qos?: 0 | 1 | 2;
  readonly receiveMaximum?: number;
  /** A path of its own to the server, as bad as this makes it; good from `heal` on. */
  readonly path?: (link: BadLink) => void;
  /** More of the uplink's configuration. */
  readonly uplink?: Readonly<Record<string, unknown>>;
  /** What its last error must say while it behaves badly; null = it is to be live, and all is to arrive. */
  readonly words: RegExp | null;
}

interface Member {
  readonly spec: FleetCase;
  readonly server: HandServer;
  readonly link: BadLink | null;
  readonly judge: Judge;
}

const WINDOW = 20;
/** It is not asked for a sign of life: at the speed of these tests a busy machine may take too long to give one. */
const GOOD: FleetCase = { name: "good", manners: () => ({}), uplink: { keepalive: "1h" }, words: null };

export class Fleet {
  readonly gateway: GatewayProcess;
  readonly clock: MovedClock;
  readonly source: Source;
  readonly members: readonly Member[];
  #healed = false;

  private constructor(gateway: GatewayProcess, clock: MovedClock, members: readonly Member[]) {
    this.gateway = gateway;
    this.clock = clock;
    this.members = members;
    for (const { spec, server } of members) server.manners = (nth) => (this.#healed ? {} : spec.manners(nth));
    this.source = new Source(new MqttPeer("device", 5), 1, "s");
    this.source.onAcknowledged = (message) => {
      for (const { judge } of members) judge.acknowledged(message);
    };
  }

  /** The gateway runs, the device is connected. */
  static async open(folder: string, specs: readonly FleetCase[]): Promise<Fleet> {
    const clock = new MovedClock(folder);
    const members: Member[] = [];
    for (const spec of [GOOD, ...specs]) {
      const server = await HandServer.open();
      const judge = new Judge(
        (topic) => topic,
        () => spec.qos === 2,
      );
      server.receiveMaximum = spec.receiveMaximum ?? server.receiveMaximum;
      server.onMessage = (message) => judge.arrive(message);
      const link = spec.path === undefined ? null : await BadLink.open(server.port);
      if (link !== null) spec.path?.(link);
      members.push({ spec, server, link, judge });
    }
    const config = {
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
      memory_limit: "192MiB",
      log: { format: "json" },
      uplinks: members.map(({ spec, server, link }) => ({
        name: spec.name,
        url: `mqtt://127.0.0.1:${(link ?? server).port}`,
        client_id: spec.name,
        protocol: spec.version ?? 5,
        window: WINDOW,
        forward: [{ match: "s/#", qos: spec.qos ?? 1 }],
        ...spec.uplink,
      })),
    };
    const fleet = new Fleet(new GatewayProcess(folder, config, clock.env), clock, members);
    await fleet.gateway.start();
    await fleet.source.peer.connect(fleet.gateway.port());
    return fleet;
  }

  member(name: string): Member {
    return this.members.find(({ spec }) => spec.name === name) as Member;
  }

  async statuses(): Promise<Map<string, UplinkStatus>> {
    const { stdout } = await sluice(["status", "--json", "--config", this.gateway.configFile]);
    const { uplinks } = JSON.parse(stdout) as { uplinks: UplinkStatus[] };
    return new Map(uplinks.map((status) => [status.name, status]));
  }

  /** Waits until each says why it is not there, or has all messages. */
  async untilTold(timeoutMs = 30_000): Promise<void> {
    const open = (): Member[] =>
      this.members.filter(({ spec, judge }) => (spec.words === null ? judge.lacking > 0 : !this.#told(spec)));
    await eventually("each says why", () => open().length === 0, timeoutMs).catch(async () => {
      const seen = await this.statuses();
      const why = open().map(
        ({ spec, judge }) => `${spec.name}: ${seen.get(spec.name)?.lastError}, ${judge.lacking} are missing`,
      );
      assert.fail(`${why.join("\n")}\n${this.gateway.stderr.slice(-4000)}`);
    });
  }

  /** In the log, as the status has a last error only until the next connection. */
  #told({ name, words }: FleetCase): boolean {
    return this.gateway.stderr.split("\n").some((line) => {
      if (!line.includes(`"${name}"`) || !line.includes("uplink-down")) return false;
      return words?.test((JSON.parse(line) as { reason: string }).reason) === true;
    });
  }

  /** All behave well from now on, in new connections. */
  async heal(): Promise<void> {
    this.#healed = true;
    for (const { spec, server, link } of this.members) {
      await link?.restore();
      if (spec !== GOOD) server.cut();
    }
  }

  /** Waits until everything is everywhere, in order; the good one had one connection and each message once. */
  async untilComplete(): Promise<void> {
    for (const { spec, server, judge } of this.members) {
      await judge.untilComplete().catch((error: Error) => assert.fail(`${spec.name}: ${error.message}`));
      const cuts = server.connections - 1;
      try {
        judge.verdict({ cuts, window: WINDOW });
      } catch (error) {
        assert.fail(`${spec.name}: ${(error as Error).message}`);
      }
      assert.deepEqual(server.violations, [], spec.name);
    }
    assert.equal(this.member("good").server.connections, 1, "the good one was not disturbed");
    assert.ok(this.gateway.running, this.gateway.stderr);
  }

  /** What the gateway's process has resident, MiB. */
  get residentMib(): number {
    const status = readFileSync(`/proc/${this.gateway.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.source.peer[Symbol.dispose]();
    await this.gateway[Symbol.asyncDispose]();
    for (const { server, link } of this.members) {
      await link?.[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    }
  }
}
