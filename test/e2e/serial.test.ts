// Serial lines against the running gateway, over pairs of pseudo terminals that socat makes and unplugs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";

function config(port: string): Record<string, unknown> {
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [
      {
        name: "meter",
        port,
        baud: 115_200,
        framing: "line",
        publish: { topic: "serial/meter", qos: 1 },
        write: { topic: "serial/meter/set", qos: 1 },
      },
    ],
  };
}

test("lines go both ways; unplugged, the gateway keeps what is to be written and delivers it when the port is back", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  await using gateway = new GatewayProcess(folder.path, config(cable.port));
  await gateway.start();
  await gateway.opened();
  await using client = await MqttCollector.open(gateway.port(), "serial/meter");

  cable.say("21.5\r\n22.");
  cable.say("0\n");
  assert.deepEqual(
    (await client.take(2)).map(({ payload }) => payload),
    ["21.5", "22.0"],
  );
  const publish = (payload: string, qos: 0 | 1) => client.client.publishAsync("serial/meter/set", payload, { qos });
  await publish("on", 1);
  await publish("level 7", 0);
  await publish("two\nlines", 1);
  await eventually("both commands", () => cable.heard === "on\nlevel 7\n");

  await cable.unplug();
  await eventually("the gateway notices", () => gateway.stderr.includes("serial-away"));
  for (let i = 0; i < 20; i++) await publish(`queued ${i}`, 1);
  await publish("lost", 0);
  await cable.plug();
  await gateway.opened(2);
  const queued = Array.from({ length: 20 }, (_, i) => `queued ${i}\n`).join("");
  await eventually("what was queued", () => cable.heard.endsWith("queued 19\n"));
  assert.equal(cable.heard, `on\nlevel 7\n${queued}`);
  cable.say("back\n");
  assert.equal((await client.take(1))[0]?.payload, "back");
  assert.equal(gateway.logged("serial-away") <= 2, true, "one line of log per change of state");
  assert.equal(await gateway.end(), 0);
});

test("commands acknowledged while the port is away survive kill -9", { skip: requirePeer("socat") }, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await using gateway = new GatewayProcess(folder.path, config(cable.port));
  await gateway.start();
  {
    await using client = await MqttCollector.open(gateway.port(), "none");
    for (let i = 0; i < 10; i++) await client.client.publishAsync("serial/meter/set", `command ${i}`, { qos: 1 });
  }
  await gateway.end("SIGKILL");
  await cable.plug();
  await gateway.start();
  await eventually("all commands", () => cable.heard.includes("command 9\n"));
  assert.equal(cable.heard, Array.from({ length: 10 }, (_, i) => `command ${i}\n`).join(""));
});

test("2,000 lines arrive in order, in and out", { skip: requirePeer("socat") }, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const settings = config(cable.port);
  const [serial] = settings["serial"] as Record<string, unknown>[];
  settings["serial"] = [{ ...serial, baud: 4_000_000 }];
  settings["limits"] = { session_queue_messages: 5000, session_queue_bytes: "1MiB" };
  await using gateway = new GatewayProcess(folder.path, settings);
  await gateway.start();
  await gateway.opened();
  await using client = await MqttCollector.open(gateway.port(), "serial/meter");
  const lines = Array.from({ length: 2000 }, (_, i) => `line ${i}`);
  for (let i = 0; i < lines.length; i += 50) {
    cable.say(
      lines
        .slice(i, i + 50)
        .map((line) => `${line}\n`)
        .join(""),
    );
    await eventually("these lines", () => client.messages.length >= i + 50);
  }
  assert.deepEqual(client.payloads, lines);
  // MQTT.js does not look at the gateway's Receive Maximum.
  for (let i = 0; i < lines.length; i += 500) {
    const publish = (line: string) => client.client.publishAsync("serial/meter/set", line, { qos: 1 });
    await Promise.all(lines.slice(i, i + 500).map(publish));
  }
  await eventually("all lines", () => cable.heard.endsWith("line 1999\n"), 30_000);
  assert.equal(cable.heard, `${lines.join("\n")}\n`);
});
