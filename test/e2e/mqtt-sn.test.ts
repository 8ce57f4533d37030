// Test whether devices that speak MQTT-SN over UDP, by hand, and programs that speak MQTT, by MQTT.js, hear one another
// through the running gateway, what an acknowledgement is worth after kill -9, and what garbage does.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector, persistent } from "../support/mqtt-collector.ts";
import { hexOf, messageOf, RawMqttSn } from "../support/raw-mqtt-sn.ts";

const LISTENERS = [
  { type: "mqtt", bind: "127.0.0.1:0" },
  { type: "mqtt-sn", bind: "127.0.0.1:0", gateway_id: 9, predefined: { 5: "plant/five" } },
];

const CONNECT_A = `07 04 00 01 003c ${hexOf("a")}`;

test("devices and MQTT clients hear one another, at every QoS, awake and asleep", async () => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, { listeners: LISTENERS });
  await gateway.start();
  await using collector = await MqttCollector.open(gateway.port(), "plant/#");
  await using device = await RawMqttSn.open(gateway.port("mqtt-sn"));
  assert.equal(await device.ask("030100", "0302"), "030209");
  await device.ask(CONNECT_A, "030500");
  const regack = await device.ask(`0d 0a 0000 0001 ${hexOf("plant/a")}`, "070b");
  const id = regack.slice(4, 8);
  assert.equal(regack.slice(8), "000100");
  device.send(`09 0c 00 ${id} 0000 ${hexOf("q0")}`);
  await device.ask(`09 0c 20 ${id} 0002 ${hexOf("q1")}`, `070d${id}000200`);
  await device.ask(`09 0c 40 ${id} 0003 ${hexOf("q2")}`, "040f0003");
  await device.ask("0410 0003", "040e0003");
  device.send(`09 0c 61 0005 0000 ${hexOf("-1")}`);
  const messages = await collector.take(4);
  assert.deepEqual(
    messages.map(({ topic, payload }) => `${topic} ${payload}`),
    ["plant/a q0", "plant/a q1", "plant/a q2", "plant/five -1"],
  );
  assert.equal(await device.ask(`0b 12 20 0004 ${hexOf("down/")}23`, "0813"), "0813200000000400");
  await collector.client.publishAsync("down/x", "hello", { qos: 1 });
  const register = await device.take("0c0a");
  const [topicId, msgId] = [register.slice(4, 8), register.slice(8, 12)];
  device.send(`07 0b ${topicId} ${msgId} 00`);
  const publish = await device.take("0c0c20");
  assert.equal(publish.slice(14), hexOf("hello"));
  device.send(`07 0d ${topicId} ${publish.slice(10, 14)} 00`);
  await device.ask("04 18 003c", "0218");
  await collector.client.publishAsync("down/x", "night", { qos: 1 });
  const late = await device.ask(`03 16 ${hexOf("a")}`, "0c0c20");
  assert.equal(late.slice(14), hexOf("night"));
  assert.equal(await device.ask(`07 0d ${topicId} ${late.slice(10, 14)} 00`, "0217"), "0217");
});

test("what PUBACK was sent for, and what waits for a lasting session, outlives kill -9", async () => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, { listeners: LISTENERS });
  await gateway.start();
  {
    await using away = await MqttCollector.open(gateway.port(), "plant/#", persistent("away"));
    await using device = await RawMqttSn.open(gateway.port("mqtt-sn"));
    await device.ask(CONNECT_A, "030500");
    await device.ask(`0a 12 20 0004 ${hexOf("down1")}`, "0813");
    await away.client.endAsync(true);
    await device.ask(`09 0c 21 0005 0002 ${hexOf("q1")}`, "070d0005000200");
    await device.ask("04 18 003c", "0218");
    await using sender = await MqttCollector.open(gateway.port(), "none");
    await sender.client.publishAsync("down1", "kept", { qos: 1 });
    await gateway.end("SIGKILL");
  }
  await gateway.start();
  await using back = await MqttCollector.open(gateway.port(), "plant/#", persistent("away"));
  assert.deepEqual((await back.take(1))[0]?.payload, "q1");
  await using device = await RawMqttSn.open(gateway.port("mqtt-sn"));
  await device.ask(CONNECT_A, "030500");
  const register = await device.take("0b0a");
  device.send(`07 0b ${register.slice(4, 8)} ${register.slice(8, 12)} 00`);
  assert.equal((await device.take("0b0c")).slice(14), hexOf("kept"));
});

test("garbage is counted, and the next device is served", async () => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, { listeners: LISTENERS });
  await gateway.start();
  await using device = await RawMqttSn.open(gateway.port("mqtt-sn"));
  for (let i = 0; i < 500; i++) device.send(Buffer.from([i % 7, i % 256, i % 5, i % 11]).toString("hex"));
  // The kernel drops what comes faster than it is read.
  await eventually("CONNACK", () => {
    device.send(CONNECT_A);
    return device.got.includes("030500");
  });
});

test("the access list knows a device by its client id: rules for anonymous clients, and patterns with %c", async () => {
  using folder = temporaryFolder();
  writeFileSync(
    join(folder.path, "acl"),
    ["topic read down/#", "pattern write plant/%c/#", "user somebody", "topic readwrite #"].join("\n"),
  );
  await using gateway = new GatewayProcess(folder.path, {
    listeners: LISTENERS,
    auth: { acl_file: join(folder.path, "acl") },
  });
  await gateway.start();
  await using device = await RawMqttSn.open(gateway.port("mqtt-sn"));
  await device.ask(CONNECT_A, "030500");
  const idOf = async (topic: string): Promise<string> =>
    (await device.ask(messageOf(0x0a, `0000 0001 ${hexOf(topic)}`), "070b")).slice(4, 8);
  const mine = await idOf("plant/a/x");
  const his = await idOf("plant/b/x");
  const codeOf = (answer: string): string => answer.slice(-2);
  assert.equal(codeOf(await device.ask(messageOf(0x0c, `20 ${mine} 0003 ${hexOf("mine")}`), "070d")), "00");
  assert.equal(codeOf(await device.ask(messageOf(0x0c, `20 ${his} 0004 ${hexOf("his")}`), "070d")), "03");
  assert.equal(codeOf(await device.ask(messageOf(0x12, `00 0005 ${hexOf("plant/a/x")}`), "0813")), "03");
  // A filter with wildcards may be wider than the rights: what may not be read does not come.
  assert.equal(codeOf(await device.ask(messageOf(0x12, `00 0006 ${hexOf("#")}`), "0813")), "00");
  device.send(messageOf(0x0c, `00 ${mine} 0000 ${hexOf("mine")}`));
  await device.ask("0216", "0217");
  assert.deepEqual(device.got, []);
  // Who is not connected has no client id that a pattern could name.
  device.send(messageOf(0x0c, `61 0005 0000 ${hexOf("-1")}`));
  await eventually("it is refused", async () => {
    const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
    const { counters } = JSON.parse(stdout) as { counters: Record<string, number> };
    assert.deepEqual([counters["mqtt_sn.clients"], counters["mqtt_sn.sleeping"]], [1, 0]);
    return counters["mqtt_sn.not_authorized"] === 2;
  });
});

test("anonymous: never keeps devices out, and status shows the listener", async () => {
  using folder = temporaryFolder();
  const listeners = LISTENERS.map((listener) =>
    listener.type === "mqtt-sn" ? { ...listener, anonymous: "never" } : listener,
  );
  await using gateway = new GatewayProcess(folder.path, { listeners });
  await gateway.start();
  await using device = await RawMqttSn.open(gateway.port("mqtt-sn"));
  await device.ask(CONNECT_A, "030503");
  const { stdout } = await sluice(["status", "--config", gateway.configFile]);
  assert.match(stdout, new RegExp(`mqtt-sn\\s+127\\.0\\.0\\.1:${gateway.port("mqtt-sn")}`));
});
