// Wills and kill -9: every connection is cut, so the wills of all are due when the gateway is there again, or when the
// delay after that is over. A subscriber with a session, one at the cloud (Debian's mosquitto) and the retained values.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { type ConnectFields, disconnect, type Publish, readPublish, u32 } from "../support/mqtt-packets.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";

const DELAY_SECONDS = 2;

type Will = NonNullable<ConnectFields["will"]>;

function will(topic: string, qos: number, more: Partial<Will> = {}): Will {
  return { topic: `will/${topic}`, payload: `of ${topic}`, qos, retain: false, ...more };
}

const delayed = { properties: [0x18, u32(DELAY_SECONDS)] };
const session = { clean: false, expirySeconds: 600 };

function configuration(cloud: Mosquitto): Record<string, unknown> {
  const forward = [{ match: "will/#", qos: "keep", to: "up/{topic}" }];
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    uplinks: [{ name: "cloud", url: `mqtt://127.0.0.1:${cloud.port}`, client_id: "gateway", forward }],
    log: { level: "debug" },
  };
}

/** How often each payload came. */
function countsOf(messages: readonly Publish[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { payload } of messages) counts[payload] = (counts[payload] ?? 0) + 1;
  return counts;
}

function record(peer: MqttPeer): Publish[] {
  const messages: Publish[] = [];
  peer.onMessage = (message) => messages.push(message);
  return messages;
}

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  test(`[MQTT5-3.1.2-8] [MQTT311-3.1.2-8] wills reach a durable subscriber, an uplink and the retained values over ${signal}; a delay goes on`, {
    skip: requirePeer("mosquitto"),
  }, async () => {
    using folder = temporaryFolder();
    await using cloud = await Mosquitto.start(folder.path);
    await using gateway = new GatewayProcess(folder.path, configuration(cloud));
    await gateway.start();
    using away = new MqttPeer("away", 5);
    const here = record(away);
    await away.connect(gateway.port());
    await away.subscribe("will/#", 2);
    using atCloud = new MqttPeer("at-cloud", 5);
    const there = record(atCloud);
    await atCloud.connect(cloud.port);
    await atCloud.subscribe("up/#", 2);
    await eventually("the uplink is connected", () => gateway.stderr.includes("uplink-connected"));
    await away.leave();

    using scope = new DisposableStack();
    const client = async (clientId: string, fields: Partial<ConnectFields>): Promise<RawMqtt> =>
      scope.use(await RawMqtt.connected(gateway.port(), { version: 5, clientId, ...fields }));
    for (const qos of [0, 1, 2]) {
      for (const version of [4, 5] as const) {
        await client(`v${version}-q${qos}`, { version, will: will(`v${version}/q${qos}`, qos) });
        await client(`s-v${version}-q${qos}`, { version, ...session, will: will(`s/v${version}/q${qos}`, qos) });
      }
      await client(`retained-${qos}`, { ...session, will: will(`retained/${qos}`, qos, { retain: true }) });
    }
    await client("stays-away", { ...session, will: will("stays-away", 2, delayed) });
    await client("returns", { ...session, will: will("returns", 2, delayed) });
    await client("delayed-ends", { will: will("delayed-ends", 1, delayed) });
    (await client("goodbye", { ...session, will: will("goodbye", 1) })).send(disconnect());
    // SUBACK says that what was entered before is stored.
    await (await client("last", { version: 5, ...session })).subscribe(5, "nothing", 0);

    await gateway.end(signal);
    await gateway.start();
    await client("returns", session);
    await away.connect(gateway.port());

    const now = [1, 2].flatMap((qos) => [4, 5].flatMap((v) => [`v${v}/q${qos}`, `s/v${v}/q${qos}`]));
    const stored = [...now, "retained/1", "retained/2", "delayed-ends", "stays-away"];
    const expected = Object.fromEntries(stored.map((topic) => [`of ${topic}`, 1]));
    await eventually("the delayed one has come, behind all others", () =>
      [here, there].every((got) => got.some(({ payload }) => payload === "of stays-away")),
    );
    // A last message on the way that all have gone.
    const marker = { topic: "will/marker", payload: "marker", qos: 2, retain: false } as const;
    away.publish(marker);
    const ended = () => [here, there].every((got) => got.some(({ payload }) => payload === "marker"));
    await eventually("the marker", ended);
    assert.deepEqual(countsOf(here), { ...expected, marker: 1 });
    // A will of QoS 0 is nobody's to keep; one that is retained is, from whom the retained values are asked.
    const ofQos0 = ([text]: [string, number]): boolean => /q0$|retained\/0$/.test(text);
    const atTheCloud = Object.entries(countsOf(there)).filter((entry) => !ofQos0(entry));
    assert.deepEqual(Object.fromEntries(atTheCloud), { ...expected, marker: 1 });
    using reader = await RawMqtt.connected(gateway.port(), { version: 5, clientId: "reader" });
    await reader.subscribe(5, "will/retained/+", 0);
    await eventually("retained values", () => reader.packets.length >= 3);
    const values = reader.packets.map((packet) => readPublish(5, packet));
    assert.deepEqual(values.map(({ topic, payload }) => `${topic} ${payload}`).sort(), [
      "will/retained/0 of retained/0",
      "will/retained/1 of retained/1",
      "will/retained/2 of retained/2",
    ]);

    // They are published: no further start does it again.
    await gateway.end("SIGKILL");
    await gateway.start();
    await away.connect(gateway.port());
    away.publish({ ...marker, payload: "second marker" });
    await eventually("the second marker", () => here.some(({ payload }) => payload === "second marker"));
    assert.deepEqual(countsOf(here), { ...expected, marker: 1, "second marker": 1 });
    assert.deepEqual([...away.violations, ...atCloud.violations], []);
  });
}
