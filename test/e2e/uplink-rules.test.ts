// Rules that overlap, against the brokers that may be at the other end: in 5.0 each says which subscription a copy is for.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { UplinkStatus } from "../../src/uplink/uplink.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";

const MESSAGES = 50;

interface Remote extends AsyncDisposable {
  readonly port: number;
}

const REMOTES: readonly { name: string; skip: string | false; start(folder: string): Promise<Remote> }[] = [
  {
    name: "mosquitto, which sends a copy for each subscription",
    skip: requirePeer("mosquitto"),
    start: (folder) => Mosquitto.start(folder),
  },
  {
    name: "another gateway, which sends one copy for all",
    skip: false,
    start: async (folder) => {
      const remote = new GatewayProcess(folder, { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }] });
      await remote.start();
      return { port: remote.port(), [Symbol.asyncDispose]: () => remote[Symbol.asyncDispose]() };
    },
  },
];

for (const { name, skip, start } of REMOTES) {
  test(`from ${name}: filters that overlap bring a message once for each rule`, { skip }, async () => {
    using remoteFolder = temporaryFolder();
    using folder = temporaryFolder();
    using scope = new DisposableStack();
    await using remote = await start(remoteFolder.path);
    await using gateway = new GatewayProcess(folder.path, {
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
      uplinks: [
        {
          name: "cloud",
          url: `mqtt://127.0.0.1:${remote.port}`,
          client_id: "gateway",
          receive: [
            { match: "a/+/c", qos: 2, to: "one/{1}" },
            { match: "a/b/#", qos: 1, to: "two/{rest}" },
            { match: "a/b/d", to: "three" },
            { match: "e", to: "four/{client}" },
          ],
        },
      ],
    });
    await gateway.start();
    await eventually("the uplink is up", async () => {
      const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
      return (JSON.parse(stdout) as { uplinks: UplinkStatus[] }).uplinks[0]?.state === "live";
    });
    const device = scope.use(new MqttPeer("device", 5));
    const got: string[] = [];
    device.onMessage = ({ topic, payload }) => got.push(`${topic} ${payload}`);
    await device.connect(gateway.port());
    await device.subscribe("#", 2);
    const cloud = scope.use(new MqttPeer("cloud", 5));
    await cloud.connect(remote.port);
    const expected: string[] = [];
    const publish = (topic: string, payload: string, ...local: string[]): void => {
      cloud.publish({ topic, payload, qos: 1, retain: false });
      for (const target of local) expected.push(`${target} ${payload}`);
    };
    for (let i = 0; i < MESSAGES; i++) {
      publish("a/b/c", `${i}`, "one/b", "two/c");
      publish("a/z/c", `${i}`, "one/z");
      publish("a/b/d", `${i}`, "two/d", "three");
      publish("e", `${i}`, "four/gateway");
    }
    await eventually("all are here", () => got.length >= expected.length);
    publish("e", "last", "four/gateway");
    await eventually("the last one is", () => got.includes("four/gateway last"));
    assert.deepEqual(got.toSorted(), expected.toSorted());
  });
}
