// Topic aliases and Receive Maximum with clients that see to them by themselves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectAsync, type IPublishPacket } from "mqtt";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { mosquittoPub } from "../support/mqtt-programs.ts";
import { requirePeer } from "../support/peers.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto_pub") };

test("MQTT.js publishes and receives under aliases, both assigned by themselves", async () => {
  using folder = temporaryFolder();
  const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
  await using gateway = new GatewayProcess(folder.path, { listeners, limits: { topic_aliases: 5 } });
  await gateway.start();
  const address = { host: "127.0.0.1", port: gateway.port(), protocolVersion: 5, reconnectPeriod: 0 } as const;
  await using stack = new AsyncDisposableStack();

  const subscriber = await connectAsync({ ...address, properties: { topicAliasMaximum: 4 } });
  const collector = stack.use(new MqttCollector(subscriber));
  const received: IPublishPacket[] = [];
  subscriber.on("packetreceive", (packet) => {
    // A copy: MQTT.js puts the topic back into the packet.
    if (packet.cmd === "publish") received.push({ ...packet });
  });
  await subscriber.subscribeAsync("#", { qos: 2 });

  const publisher = await connectAsync({ ...address, autoAssignTopicAlias: true });
  stack.defer(() => publisher.endAsync());
  const sent: IPublishPacket[] = [];
  publisher.on("packetsend", (packet) => {
    if (packet.cmd === "publish") sent.push({ ...packet });
  });

  const expected: string[] = [];
  for (let i = 0; i < 60; i++) {
    // More topics than aliases on either side.
    const topic = `room/${i % 3 === 0 ? i % 7 : 1}/temperature`;
    expected.push(`${topic} ${i}`);
    await publisher.publishAsync(topic, `${i}`, { qos: i % 6 === 5 ? 2 : i % 2 === 0 ? 0 : 1 });
  }
  const got = (await collector.take(60)).map(({ topic, payload }) => `${topic} ${payload}`);
  assert.deepEqual(got.toSorted(), expected.toSorted());

  const aliasesOf = (packets: readonly IPublishPacket[]) =>
    packets.map(({ properties }) => properties?.topicAlias ?? 0);
  assert.ok(Math.max(...aliasesOf(sent)) === 5, "it uses all that we allow");
  assert.ok(sent.filter(({ topic }) => topic.length === 0).length > 20);
  assert.ok(Math.max(...aliasesOf(received)) <= 4);
  assert.ok(aliasesOf(received).filter((alias) => alias > 0).length > 30);
  assert.ok(received.filter(({ topic }) => topic.length === 0).length > 20);
});

test("mosquitto_pub publishes under an alias: the topic with the first message only", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }] });
  await gateway.start();
  await using collector = await MqttCollector.open(gateway.port(), "#");
  const alias = ["-D", "PUBLISH", "topic-alias", "7"];
  await mosquittoPub(gateway.port(), "-V", "mqttv5", "-q", "1", ...alias, "--repeat", "4", "-t", "room/1", "-m", "21");
  const got = await collector.take(4);
  assert.deepEqual(
    got.map(({ topic, payload, packet }) => [topic, payload, packet.properties?.topicAlias]),
    Array.from({ length: 4 }, () => ["room/1", "21", undefined]),
  );
});

test("mosquitto_pub keeps to a Receive Maximum of 2", MOSQUITTO, async () => {
  for (const qos of ["1", "2"]) {
    using folder = temporaryFolder();
    const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
    await using gateway = new GatewayProcess(folder.path, { listeners, limits: { receive_maximum: 2 } });
    await gateway.start();
    await using collector = await MqttCollector.open(gateway.port(), "#");
    const { code } = await mosquittoPub(
      ...([gateway.port(), "-V", "mqttv5", "-q", qos, "--repeat", "60", "-t", "a", "-m", "x"] as const),
    );
    assert.equal(code, 0);
    assert.equal((await collector.take(60)).length, 60);
  }
});
