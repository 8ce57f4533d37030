// A gateway and its cloud, with a path between them that can be made bad, as most tests of the uplink have them:
//
//     sources ──> gateway ══TLS══> BadLink ══TLS══> TlsDoor (client certificate, ALPN) ──MqttTap──> mosquitto
//                                                                                                            └─> collector
//                                                                                                                 Judge
//
// Sources publish below s/1 and s/2 (QoS 1 and 2), which arrive under site/.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type CertificatePaths, makeCertificates } from "../../scripts/demo/certificates.ts";
import type { UplinkStatus } from "../../src/uplink/uplink.ts";
import { BadLink } from "./bad-link.ts";
import { eventually } from "./eventually.ts";
import { GatewayProcess, sluice } from "./gateway-process.ts";
import { Judge } from "./judge.ts";
import { Mosquitto } from "./mosquitto.ts";
import type { Version } from "./mqtt-packets.ts";
import { MqttPeer } from "./mqtt-peer.ts";
import { MqttTap } from "./mqtt-tap.ts";
import { Source } from "./source.ts";
import { ALPN_NAME, TlsDoor } from "./tls-door.ts";

/** What stands at the other end: it can be killed, and starts again under the same port. */
export interface Cloud extends AsyncDisposable {
  readonly port: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
  restart(): Promise<void>;
}

export interface SiteOptions {
  /** Debian's mosquitto, unless it is to be another gateway, which forgets nothing by kill -9. */
  readonly cloud?: "mosquitto" | "sluice";
  /** Of the uplink. */
  readonly version?: Version;
  /** Messages in flight on the uplink. */
  readonly window?: number;
  /** More of the uplink's configuration, and of the gateway's. */
  readonly uplink?: Readonly<Record<string, unknown>>;
  readonly gateway?: Readonly<Record<string, unknown>>;
  /** Added to mosquitto's configuration. */
  readonly lines?: readonly string[];
  /** What the collector subscribes with, 0 when what it was sent must be there although mosquitto dies by kill -9. */
  readonly collectQos?: 0 | 2;
  /** For the gateway's process. */
  readonly env?: NodeJS.ProcessEnv;
}

interface Certificates {
  readonly ca: string;
  /** The gateway's. */
  readonly client: CertificatePaths;
  /** The door's; and one that ended on `EXPIRED_ON`, for `TlsDoor.show`. */
  readonly server: CertificatePaths;
  readonly expired: CertificatePaths;
}

export const EXPIRED_ON = new Date("2024-02-01");
export const WINDOW = 20;
/**
 * Mosquitto 2.0.11 counts a subscriber's window wrongly (its issue 2306): with a queue behind the window, a message that
 * comes may go out before those that wait. With so large a window nothing waits.
 */
const IN_ORDER = ["max_inflight_messages 60000"];

export class RemoteSite {
  readonly cloud: Cloud;
  readonly door: TlsDoor;
  readonly link: BadLink;
  readonly tap: MqttTap;
  readonly gateway: GatewayProcess;
  readonly judge = new Judge(
    (topic) => `site/${topic}`,
    (topic) => topic.startsWith("site/s/2/"),
  );
  readonly certificates: Certificates;
  readonly version: Version;
  readonly #options: SiteOptions;
  readonly #inside: BadLink;
  #collector: MqttPeer | null = null;
  readonly #sources: Source[] = [];

  private constructor(
    folder: string,
    options: SiteOptions,
    parts: { cloud: Cloud; inside: BadLink; door: TlsDoor; link: BadLink; tap: MqttTap; certificates: Certificates },
  ) {
    this.#options = options;
    this.version = options.version ?? 5;
    ({ cloud: this.cloud, door: this.door, link: this.link, tap: this.tap } = parts);
    this.#inside = parts.inside;
    this.certificates = parts.certificates;
    this.gateway = new GatewayProcess(folder, this.configuration(), options.env);
  }

  /** The cloud is up and collects; the gateway is not started. */
  static async open(folder: string, options: SiteOptions = {}): Promise<RemoteSite> {
    const { ca, issued } = await makeCertificates(join(folder, "door"), [
      { name: "cloud", usage: "server" },
      { name: "gateway", usage: "client" },
      { name: "expired", usage: "server", notAfter: EXPIRED_ON },
    ]);
    const [server, client, expired] = issued as [CertificatePaths, CertificatePaths, CertificatePaths];
    const cloud =
      options.cloud === "sluice"
        ? await SluiceCloud.start(join(folder, "cloud"))
        : await Mosquitto.start(folder, [...IN_ORDER, ...(options.lines ?? [])]);
    const tap = new MqttTap(options.version ?? 5);
    const inside = await BadLink.open(cloud.port, tap.pair);
    const door = await TlsDoor.open(ca, server, inside.port);
    const link = await BadLink.open(door.port);
    const certificates = { ca, client, server, expired };
    const site = new RemoteSite(folder, options, { cloud, inside, door, link, tap, certificates });
    await site.collect();
    return site;
  }

  /** The gateway's, with `uplink` changed. */
  configuration(uplink: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    const { ca, client } = this.certificates;
    return {
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
      uplinks: [
        {
          name: "cloud",
          client_id: "gateway",
          url: `mqtts://localhost:${this.link.port}`,
          tls: { ca, cert: client.cert, key: client.key, alpn: [ALPN_NAME] },
          protocol: this.version,
          window: this.#options.window ?? WINDOW,
          forward: [
            { match: "s/1/#", qos: 1, to: "site/{topic}" },
            { match: "s/2/#", qos: 2, to: "site/{topic}" },
          ],
          ...this.#options.uplink,
          ...uplink,
        },
      ],
      ...this.#options.gateway,
    };
  }

  /** The collector connects to its session at the cloud, or a new one, and subscribes. */
  async collect(): Promise<void> {
    const collector = this.#collector ?? new MqttPeer("collector", 5);
    this.#collector = collector;
    collector.onMessage = (message) => this.judge.arrive(message);
    await collector.connect(this.cloud.port);
    await collector.subscribe("site/#", this.#options.collectQos ?? 2);
  }

  /**
   * The cloud ends and starts again, without the gateway meanwhile: the collector is there before it. The link refuses
   * then; what the cloud had sent is collected.
   */
  async restartCloud(signal: NodeJS.Signals): Promise<void> {
    const stopped = this.cloud.stop(signal);
    this.link.refuse();
    await stopped;
    await eventually("the collector's connection ends", () => this.#collector?.connected !== true);
    await this.cloud.restart();
    await this.collect();
  }

  /** A device at the gateway; connected when the gateway runs. */
  async source(name: string, qos: 1 | 2, window?: number, padding?: number): Promise<Source> {
    const source = new Source(new MqttPeer(name, qos === 1 ? 4 : 5, window), qos, `s/${qos}`, window, padding);
    source.onAcknowledged = (message) => this.judge.acknowledged(message);
    this.#sources.push(source);
    if (this.gateway.running) await source.peer.connect(this.gateway.port());
    return source;
  }

  async status(): Promise<UplinkStatus> {
    return uplinkStatus(this.gateway);
  }

  /** Waits for a state of the uplink. */
  async untilState(state: string, timeoutMs?: number): Promise<void> {
    await untilStatus(this.gateway, state, (status) => status.state === state, timeoutMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const source of this.#sources) source.peer[Symbol.dispose]();
    this.#collector?.[Symbol.dispose]();
    await this.gateway[Symbol.asyncDispose]();
    await this.link[Symbol.asyncDispose]();
    await this.door[Symbol.asyncDispose]();
    await this.#inside[Symbol.asyncDispose]();
    await this.cloud[Symbol.asyncDispose]();
  }
}

/** Another gateway as the cloud. */
class SluiceCloud implements Cloud {
  readonly port: number;
  readonly #gateway: GatewayProcess;

  constructor(gateway: GatewayProcess) {
    this.#gateway = gateway;
    this.port = gateway.port();
  }

  static async start(folder: string): Promise<SluiceCloud> {
    mkdirSync(folder);
    const gateway = new GatewayProcess(folder, cloudConfiguration(0));
    await gateway.start();
    gateway.configure(cloudConfiguration(gateway.port()));
    return new SluiceCloud(gateway);
  }

  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.#gateway.end(signal);
  }

  restart(): Promise<void> {
    return this.#gateway.start();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#gateway[Symbol.asyncDispose]();
  }
}

function cloudConfiguration(port: number): Record<string, unknown> {
  return {
    listeners: [{ type: "mqtt", bind: `127.0.0.1:${port}` }],
    memory_limit: "64MiB",
    store: { commit_delay: "1ms" },
    limits: { session_queue_messages: 1_000_000, session_queue_bytes: "256MiB", session_when_full: "refuse" },
  };
}

/** Of the gateway's first uplink, as `sluice status` tells it. */
export async function uplinkStatus(gateway: GatewayProcess): Promise<UplinkStatus> {
  const { stdout, stderr } = await sluice(["status", "--json", "--config", gateway.configFile]);
  if (stdout === "") throw new Error(`no status: ${stderr}\n${gateway.stderr}`);
  return (JSON.parse(stdout) as { uplinks: UplinkStatus[] }).uplinks[0] as UplinkStatus;
}

/** Waits until the status of the first uplink is as `holds` says. @returns it */
export async function untilStatus(
  gateway: GatewayProcess,
  what: string,
  holds: (status: UplinkStatus) => boolean,
  timeoutMs?: number,
): Promise<UplinkStatus> {
  let seen: UplinkStatus | null = null;
  await eventually(
    what,
    async () => {
      seen = await uplinkStatus(gateway);
      return holds(seen);
    },
    timeoutMs,
  ).catch((error: Error) => {
    throw new Error(`${error.message}; the status is ${JSON.stringify(seen)}\n${gateway.stderr}`);
  });
  return seen as unknown as UplinkStatus;
}

/** What a drain may take from the connection on to begin: a second, three on a busy machine. */
const DRAIN_BEGINS_MS = 3000;

/**
 * The link comes back: the backlog begins to drain by itself, without a new publish, as soon as the connection is there.
 * @returns ms from the connection to the first message at the cloud
 */
export async function drainBegan(site: RemoteSite, restore: () => Promise<void> | void): Promise<number> {
  const { link, judge } = site;
  const arrived = judge.arrived;
  const { connections } = link;
  await restore();
  await link.untilConnections(connections + 1, 90_000);
  const from = performance.now();
  await judge.untilArrived(arrived + 1, 90_000);
  const tookMs = performance.now() - from;
  if (tookMs > DRAIN_BEGINS_MS) throw new Error(`the drain began ${tookMs.toFixed(0)} ms after the connection came`);
  return tookMs;
}
