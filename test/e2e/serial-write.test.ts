// Frames to a device in turns, and its responses, over pairs of pseudo terminals that socat makes.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";

function config(port: string, write: unknown): Record<string, unknown> {
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [{ name: "bus", port, publish: { topic: "bus/says" }, write }],
  };
}

const request = { timeout: "20s", match: "R*", reply: "{topic}/reply" };

test("requests of MQTT 5 clients are answered one by one, each at its Response Topic with its Correlation Data", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const write = { topic: "bus/+/ask", payload: "{1}?{payload}", request };
  await using gateway = new GatewayProcess(folder.path, config(cable.port, write));
  await gateway.start();
  await gateway.opened();
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
  await gateway.opened();
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

test("while the port is away QoS 1 waits within the limits of a queue and status says how much; QoS 0 is dropped and counted", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  const limits = (whenFull: string) => ({ session_queue_messages: 5, session_when_full: whenFull });
  const settings = config(cable.port, { topic: "set" });
  await using gateway = new GatewayProcess(folder.path, { ...settings, limits: limits("drop-newest") });
  await gateway.start();
  await eventually("the port is away", () => gateway.stderr.includes("serial-away"));
  const status = async (...words: string[]) =>
    (await sluice(["status", "--data-dir", join(folder.path, "data"), ...words])).stdout;
  const publish = async (payload: string) => {
    await using client = await MqttCollector.open(gateway.port(), "none");
    client.client.publish("set", `${payload} at QoS 0`, { qos: 0 });
    return await client.client.publishAsync("set", payload, { qos: 1 }).then(
      () => "taken",
      ({ code }: { code: number }) => code,
    );
  };
  const answers: (string | number)[] = [];
  for (let i = 1; i <= 7; i++) answers.push(await publish(`kept ${i}`));
  assert.deepEqual(answers, [...Array(5).fill("taken"), 0x97, 0x97], "nobody else could keep it");
  const { counters, serial } = JSON.parse(await status("--json")) as {
    counters: Record<string, number>;
    serial: { waiting: { messages: number } }[];
  };
  assert.deepEqual([serial[0]?.waiting.messages, counters["serial.writes_dropped"]], [5, 7]);
  assert.match(await status(), /^ +5 messages of \d+ bytes wait to be written$/m);

  await gateway.end();
  gateway.configure({ ...settings, limits: limits("drop-oldest") });
  await gateway.start();
  assert.equal(await publish("newest"), "taken");
  assert.match(await status("--drops"), /queue-full.*serial:bus|serial:bus.*queue-full/);
  await cable.plug();
  await eventually("what waited", () => cable.heard === "kept 2\nkept 3\nkept 4\nkept 5\nnewest\n");
  assert.equal(await gateway.end(), 0);
});
