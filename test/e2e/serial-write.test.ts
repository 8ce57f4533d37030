// Frames to a device in turns, and its responses, over pairs of pseudo terminals that socat makes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";

function config(port: string, write: unknown): Record<string, unknown> {
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [{ name: "bus", port, publish: { topic: "bus/says" }, write }],
  };
}

const opened = (gateway: GatewayProcess, times: number) => () => gateway.stderr.split("serial-open").length > times;
const request = { timeout: "500ms", match: "R*", reply: "{topic}/reply" };

test("requests of MQTT 5 clients are answered one by one, each at its Response Topic with its Correlation Data", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const write = { topic: "bus/+/ask", payload: "{1}?{payload}", request };
  await using gateway = new GatewayProcess(folder.path, config(cable.port, write));
  await gateway.start();
  await eventually("the port is open", opened(gateway, 1));
  await using client = await MqttCollector.open(gateway.port(), "#");

  const ask = (unit: string, payload: string, correlation: string) =>
    client.client.publishAsync(`bus/${unit}/ask`, payload, {
      qos: 1,
      properties: { responseTopic: `answers/${unit}`, correlationData: Buffer.from(correlation) },
    });
  await Promise.all([ask("7", "temp", "first"), ask("8", "level", "second")]);
  await client.client.publishAsync("bus/9/ask", "plain", { qos: 1 });
  await eventually("the first request", () => cable.heard !== "");
  assert.equal(cable.heard, "7?temp\n", "the others wait for its response");
  cable.say("debug: reading\nR 21.5\n");
  await eventually("the second request", () => cable.heard === "7?temp\n8?level\n");
  cable.say("R 80\n");
  await eventually("the third request", () => cable.heard.endsWith("9?plain\n"));
  cable.say("R ok\n");

  const said = () => client.messages.filter(({ topic }) => !topic.endsWith("/ask"));
  await eventually("all responses", () => said().length === 4);
  const told = said().map(({ topic, payload, packet }) => [
    topic,
    payload,
    packet.properties?.correlationData?.toString() ?? null,
  ]);
  assert.deepEqual(told, [
    ["bus/says", "debug: reading", null],
    ["answers/7", "R 21.5", "first"],
    ["answers/8", "R 80", "second"],
    ["bus/9/ask/reply", "R ok", null],
  ]);
  assert.equal(await gateway.end(), 0);
});

test("a device that says nothing: the request is written again, then its client is told of the timeout", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const write = { topic: "ask", format: "hex", gap: "20ms", request: { ...request, timeout: "100ms", retries: 2 } };
  await using gateway = new GatewayProcess(folder.path, config(cable.port, write));
  await gateway.start();
  await eventually("the port is open", opened(gateway, 1));
  await using client = await MqttCollector.open(gateway.port(), "answer");
  const properties = { responseTopic: "answer", correlationData: Buffer.from("x") };
  await client.client.publishAsync("ask", "no hex", { qos: 1, properties });
  await client.client.publishAsync("ask", "41 42", { qos: 1, properties });
  const answers = await client.take(2);
  assert.equal(cable.heard, "AB\nAB\nAB\n");
  assert.deepEqual(
    answers.map(({ payload, packet: { properties: p } }) => [
      payload,
      p?.correlationData?.toString(),
      p?.userProperties?.["serial-error"],
    ]),
    [
      ["", "x", "invalid"],
      ["", "x", "timeout"],
    ],
  );
  assert.equal(await gateway.end(), 0);
});
