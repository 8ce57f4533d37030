// Shared subscriptions through the product's doors: MQTT.js and mosquitto_sub as members, one that is lost in the middle,
// and a gateway that is killed with messages of a group in its store.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectAsync, type IClientOptions } from "mqtt";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector, persistent } from "../support/mqtt-collector.ts";
import { mosquittoSub } from "../support/mqtt-programs.ts";
import { requirePeer } from "../support/peers.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto_sub") };
const SHARE = "$share/workers/jobs/#";

async function startGateway(folder: string): Promise<GatewayProcess> {
  const gateway = new GatewayProcess(folder, { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }] });
  await gateway.start();
  return gateway;
}

/** Publishes that many jobs at the same QoS, all acknowledged. @returns their payloads */
async function publishJobs(port: number, qos: 0 | 1 | 2, count: number, from = 0): Promise<string[]> {
  const client = await connectAsync({ host: "127.0.0.1", port, protocolVersion: 5, reconnectPeriod: 0 });
  const payloads = Array.from({ length: count }, (_, i) => `job ${from + i}`);
  await Promise.all(payloads.map((payload) => client.publishAsync("jobs/a", payload, { qos })));
  await client.endAsync();
  return payloads;
}

test("QoS 0, 1 and 2: members of every version take turns, each message comes once", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  const port = gateway.port();
  for (const qos of [0, 1, 2] as const) {
    await using five = await mosquittoSub(port, "-V", "mqttv5", "-t", SHARE, "-q", `${qos}`);
    await using old = await mosquittoSub(port, "-V", "mqttv311", "-t", SHARE, "-q", `${qos}`);
    const options: IClientOptions = { clientId: `js${qos}` };
    await using js = await MqttCollector.open(port, SHARE, options);
    await js.client.subscribeAsync(SHARE, { qos });
    const sent = await publishJobs(port, qos, 30);
    const got = (): string[] => [...[...five.messages, ...old.messages].map(({ payload }) => payload), ...js.payloads];
    await eventually("all messages", () => got().length >= sent.length);
    assert.deepEqual(got().toSorted(), sent.toSorted());
    for (const count of [five.messages.length, old.messages.length, js.payloads.length]) assert.equal(count, 10);
  }
});

test("QoS 1: what a member that is lost had not acknowledged goes to the others", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  const port = gateway.port();
  await using five = await mosquittoSub(port, "-V", "mqttv5", "-t", SHARE, "-q", "1");
  await using old = await mosquittoSub(port, "-V", "mqttv311", "-t", SHARE, "-q", "1");
  await using lost = await MqttCollector.open(port, SHARE);
  lost.client.handleMessage = () => {}; // it acknowledges nothing
  const sent = await publishJobs(port, 1, 60);
  await eventually("its share", () => lost.messages.length > 0);
  const others = (): string[] => [...five.messages, ...old.messages].map(({ payload }) => payload);
  await eventually("the others have two thirds", () => others().length >= 40);
  assert.equal(others().length, 40);
  lost.client.stream.destroy();
  await eventually("the others have all", () => others().length >= sent.length);
  assert.deepEqual(others().toSorted(), sent.toSorted());
});

test("kill -9 with messages of a group in the store: its members get them after the restart", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  const members = ["one", "two"];
  for (const clientId of members) {
    await using member = await MqttCollector.open(gateway.port(), SHARE, persistent(clientId));
    await member.client.subscribeAsync(SHARE, { qos: 2 });
  }
  const sent = await publishJobs(gateway.port(), 1, 150);
  sent.push(...(await publishJobs(gateway.port(), 2, 150, 150)));
  assert.equal(await gateway.end("SIGKILL"), "SIGKILL");
  await gateway.start();
  await using one = await MqttCollector.open(gateway.port(), "other", persistent("one"));
  await using two = await MqttCollector.open(gateway.port(), "other", persistent("two"));
  const got = (): string[] => [...one.payloads, ...two.payloads];
  await eventually("all messages", () => new Set(got()).size >= sent.length);
  assert.deepEqual([...new Set(got())].toSorted(), sent.toSorted());
  const once = got().filter((payload) => Number(payload.slice(4)) >= 150);
  assert.equal(once.length, 150, "those of QoS 2 come once");
});
