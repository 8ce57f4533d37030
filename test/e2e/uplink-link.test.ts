// The uplink over a link of its own: mosquitto as another machine, in a network namespace, with MQTT over WebSocket (its
// listener looks at no bind address, so it must not be on this machine), and a cable that can be pulled.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { FarMosquitto, MQTT_PORT, WS_PORT } from "../support/far-mosquitto.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Namespace } from "../support/namespace.ts";
import { peerPath, requirePeer, requireRoot } from "../support/peers.ts";
import { uplinkStatus } from "../support/remote-site.ts";

const NEEDS = { skip: requireRoot() || requirePeer("mosquitto", "mosquitto_pub", "mosquitto_sub", "ip") };

/** Who hears over there what arrives under `site/`. */
class Listener implements AsyncDisposable {
  heard = "";
  readonly #child: ChildProcess;

  private constructor(machine: Namespace) {
    const words = ["-h", machine.address, "-p", `${MQTT_PORT}`, "-t", "site/#", "-q", "1", "-F", "%t %p"];
    this.#child = spawn(peerPath("mosquitto_sub"), words, { stdio: ["ignore", "pipe", "inherit"] });
    this.#child.stdout?.on("data", (text: Buffer) => {
      this.heard += text;
    });
  }

  /** Subscribed. */
  static async start(machine: Namespace): Promise<Listener> {
    const listener = new Listener(machine);
    await eventually("the listener hears", async () => {
      await publish(machine.address, MQTT_PORT, "site/are you there", "?");
      return listener.heard !== "";
    });
    return listener;
  }

  async until(line: string): Promise<void> {
    await eventually(`${line} is heard`, () => this.heard.includes(`${line}\n`), 20_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

async function publish(host: string, port: number, topic: string, payload: string): Promise<void> {
  const words = ["-h", host, "-p", `${port}`, "-q", "1", "-t", topic, "-m", payload];
  const child = spawn(peerPath("mosquitto_pub"), words, { stdio: "inherit" });
  const [code] = await once(child, "exit");
  assert.equal(code, 0);
}

function publishTo(gateway: GatewayProcess, payload: string): Promise<void> {
  return publish("127.0.0.1", gateway.port(), "a", payload);
}

function configuration(uplink: Record<string, unknown>): Record<string, unknown> {
  const forward = [{ match: "#", qos: 1, to: "site/{topic}" }];
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    uplinks: [{ name: "cloud", client_id: "gateway", forward, ...uplink }],
    log: { format: "json" },
  };
}

async function state(gateway: GatewayProcess): Promise<string> {
  return (await uplinkStatus(gateway)).state;
}

test("MQTT over WebSocket to mosquitto, both versions", NEEDS, async () => {
  using folder = temporaryFolder();
  using machine = new Namespace("w");
  await using _far = await FarMosquitto.start(machine, folder.path);
  await using listener = await Listener.start(machine);
  for (const protocol of [5, 4]) {
    await using gateway = new GatewayProcess(
      folder.path,
      configuration({ url: `ws://${machine.address}:${WS_PORT}/mqtt`, protocol }),
    );
    await gateway.start();
    await eventually("it is live", async () => (await state(gateway)) === "live");
    assert.equal((await uplinkStatus(gateway)).protocol, protocol);
    await publishTo(gateway, `ws ${protocol}`);
    await listener.until(`site/a ws ${protocol}`);
  }
});

test(
  "a link that goes and comes: noticed without a ping, told in words, and the backlog goes out within a second",
  NEEDS,
  async () => {
    using folder = temporaryFolder();
    using machine = new Namespace("l");
    await using _far = await FarMosquitto.start(machine, folder.path);
    await using listener = await Listener.start(machine);
    await using gateway = new GatewayProcess(
      folder.path,
      configuration({
        url: `mqtt://${machine.address}:${MQTT_PORT}`,
        interface: machine.interfaceName,
        keepalive: "600s",
      }),
    );
    await gateway.start();
    await eventually("it is live", async () => (await state(gateway)) === "live");
    await publishTo(gateway, "before");
    await listener.until("site/a before");

    machine.setLink(false);
    await eventually("the link's end is noticed", async () => (await state(gateway)) === "down", 20_000);
    const words = `interface ${machine.interfaceName} has no address, is down or does not exist`;
    await eventually("it says so", async () => ((await uplinkStatus(gateway)).lastError ?? "").endsWith(words));
    assert.match(gateway.stderr, new RegExp(`the local address ${machine.ownAddress} is gone`));
    await publishTo(gateway, "in the dark");
    assert.equal((await uplinkStatus(gateway)).spool.messages, 1);

    machine.setLink(true);
    const backMs = performance.now();
    await listener.until("site/a in the dark");
    // A second, and the factor of three that times in tests have.
    assert(performance.now() - backMs < 3000, `${performance.now() - backMs} ms`);
  },
);

test(
  "a network that throws everything away without a word: the backlog goes out soon after it is back",
  NEEDS,
  async () => {
    using folder = temporaryFolder();
    using machine = new Namespace("d");
    await using _far = await FarMosquitto.start(machine, folder.path);
    await using listener = await Listener.start(machine);
    machine.setDeaf(true);
    await using gateway = new GatewayProcess(
      folder.path,
      configuration({ url: `mqtt://${machine.address}:${MQTT_PORT}` }),
    );
    await gateway.start();
    await publishTo(gateway, "in the dark");
    assert.equal(await state(gateway), "connecting");
    // The kernel has asked after 1 and 3 s, and would ask again after 7.
    await eventually("it has asked in vain", async () => (await uplinkStatus(gateway)).forMs > 3500);
    machine.setDeaf(false);
    const backMs = performance.now();
    await listener.until("site/a in the dark");
    assert(performance.now() - backMs < 3000, `${performance.now() - backMs} ms`);
  },
);
