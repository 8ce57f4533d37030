// The uplink against each broker that may stand at the other end: mosquitto in 5.0 and 3.1.1, aedes (3.1.1), another
// gateway of the same make. Each connection is cut twice in the middle of the stream.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../src/base/random.ts";
import { AedesBroker } from "../support/aedes-broker.ts";
import { BadLink } from "../support/bad-link.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Journal } from "../support/journal.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { MqttPeer, type Outgoing } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";
import { uplinkStatus } from "../support/remote-site.ts";

const MESSAGES = 300;
const WINDOW = 20;

interface Remote extends AsyncDisposable {
  readonly port: number;
}

interface Case {
  readonly name: string;
  /** What is configured, and what is spoken in the end. */
  readonly protocol: 4 | 5;
  readonly spoken: 4 | 5;
  readonly skip?: string | false;
  /** It publishes anew what it has a PUBREC for, when the PUBCOMP was lost: QoS 2 from it may come twice. */
  readonly repeats?: true;
  start(folder: string): Promise<Remote>;
}

const CASES: readonly Case[] = [
  {
    name: "mosquitto in 5.0",
    protocol: 5,
    spoken: 5,
    skip: requirePeer("mosquitto"),
    start: (folder) => Mosquitto.start(folder, ["max_inflight_messages 100"]),
  },
  {
    name: "mosquitto in 3.1.1",
    protocol: 4,
    spoken: 4,
    skip: requirePeer("mosquitto"),
    start: (folder) => Mosquitto.start(folder, ["max_inflight_messages 100"]),
  },
  { name: "aedes, which knows only 3.1.1", protocol: 5, spoken: 4, repeats: true, start: () => AedesBroker.start() },
  {
    name: "another gateway",
    protocol: 5,
    spoken: 5,
    start: async (folder) => {
      const remote = new GatewayProcess(folder, { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }] });
      await remote.start();
      return { port: remote.port(), [Symbol.asyncDispose]: () => remote[Symbol.asyncDispose]() };
    },
  },
];

for (const { name, protocol, spoken, skip = false, repeats = false, start } of CASES) {
  test(`to ${name}: QoS 0, 1 and 2 arrive over two cut connections, commands come down`, { skip }, async () => {
    using remoteFolder = temporaryFolder();
    using folder = temporaryFolder();
    using scope = new DisposableStack();
    await using remote = await start(remoteFolder.path);
    await using link = await BadLink.open(remote.port);
    await using gateway = new GatewayProcess(folder.path, {
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
      uplinks: [
        {
          name: "cloud",
          url: `mqtt://127.0.0.1:${link.port}`,
          client_id: "gateway",
          protocol,
          forward: [
            { match: "s/0/#", to: "site/{topic}" },
            { match: "s/1/#", qos: 1, to: "site/{topic}" },
            { match: "s/2/#", qos: 2, to: "site/{topic}" },
          ],
          receive: [{ match: "site/cmd/#", qos: 2, to: "cmd/{rest}" }],
        },
      ],
    });
    await gateway.start();

    const atCloud = scope.use(new MqttPeer("at-cloud", 4));
    const arrived = new Journal("at-cloud");
    atCloud.onMessage = (message) => arrived.arrive(message);
    await atCloud.connect(remote.port);
    await atCloud.subscribe("site/s/#", 2);
    const device = scope.use(new MqttPeer("device", 5));
    const commands = new Journal("device");
    device.onMessage = (message) => commands.arrive(message);
    await device.connect(gateway.port());
    await device.subscribe("cmd/#", 2);
    await eventually("the uplink is up", async () => (await uplinkStatus(gateway)).state === "live");
    assert.equal((await uplinkStatus(gateway)).protocol, spoken);

    const random = seededRandom(spoken);
    const sent: Outgoing[] = [];
    const sentDown: Outgoing[] = [];
    for (let part = 1; part <= 3; part++) {
      const cut = part < 3 ? link.cutAfter(2000 + Math.floor(random() * 8000)) : Promise.resolve();
      for (let i = 0; i < MESSAGES; i++) {
        for (const qos of [1, 2] as const) {
          const message = { topic: `s/${qos}/x`, payload: `m ${(part - 1) * MESSAGES + i}`, qos, retain: false };
          device.publish(message);
          sent.push(message);
        }
        if (i >= WINDOW) continue;
        const command = {
          topic: "site/cmd/valve",
          payload: `c ${(part - 1) * WINDOW + i}`,
          qos: 2 as const,
          retain: false,
        };
        atCloud.publish(command);
        sentDown.push(command);
      }
      const zero = { topic: "s/0/x", payload: `z ${part}`, qos: 1 as const, retain: false };
      device.publish(zero);
      sent.push(zero);
      await cut;
    }
    const remoteTopic = (topic: string): string => `site/${topic}`;
    await eventually("all are at the cloud", () => arrived.missing(sent, remoteTopic).length === 0, 60_000);
    await eventually("all commands are here", () => commands.missing(sentDown, () => "cmd/valve").length === 0, 60_000);
    assert.deepEqual(arrived.disorder, []);
    assert.deepEqual(
      arrived.repeated((topic) => topic === "site/s/2/x"),
      [],
      "QoS 2 once",
    );
    assert.deepEqual(commands.disorder, []);
    assert.deepEqual(
      commands.repeated(() => !repeats),
      [],
      "commands at QoS 2 once",
    );
    assert.deepEqual(device.violations, []);
  });
}
