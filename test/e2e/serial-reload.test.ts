// Serial lines come, change and go by `sluice reload` while a client publishes to them all the time.
import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";

const RELOADS = 5;

type Keys = Record<string, unknown>;

/** Writes the configuration and has it taken over. @returns what was done, a line each */
async function reload(gateway: GatewayProcess, serial: Keys[]): Promise<string[]> {
  gateway.configure(configuration(serial));
  const { code, stdout, stderr } = await sluice(["reload", "--config", gateway.configFile]);
  assert.equal(code, 0, stdout + stderr);
  return stdout.trim().split("\n");
}

function configuration(serial: Keys[]): Keys {
  return { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }], serial };
}

/** The frames as they first came. */
function firsts(heard: string): string[] {
  return [...new Set(heard.split("\n").filter((line) => line !== ""))];
}

test("lines that are changed again and again lose nothing that was acknowledged, and their neighbour nothing at all", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  let heardOverTcp = "";
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      heardOverTcp += chunk.toString();
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const tcp = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const lines = (gap: number): Keys[] => [
    { name: "still", port: cable.port, write: { topic: "still/set" } },
    { name: "moved", port: tcp, write: { topic: "moved/set", ...(gap > 0 ? { gap: `${gap}ms` } : {}) } },
  ];
  await using gateway = new GatewayProcess(folder.path, configuration(lines(0)));
  await gateway.start();
  await using client = await MqttCollector.open(gateway.port(), "none");
  const acknowledged: string[] = [];
  let going = true;
  const publishing = (async () => {
    for (let i = 0; going; i++) {
      const topics = ["still/set", "moved/set"];
      await Promise.all(topics.map((topic) => client.client.publishAsync(topic, `frame ${i}`, { qos: 1 })));
      acknowledged.push(`frame ${i}`);
    }
  })();
  for (let i = 1; i <= RELOADS; i++) {
    const done = await reload(gateway, lines(i % 3));
    assert.ok(done.includes("serial moved: write changed"), done.join("\n"));
    const goal = acknowledged.length + 30;
    await eventually("some more", () => acknowledged.length >= goal);
  }
  going = false;
  await publishing;
  const last = `${acknowledged.at(-1)}\n`;
  await eventually("the last one at both", () => cable.heard.endsWith(last) && heardOverTcp.endsWith(last));
  assert.deepEqual(firsts(heardOverTcp), acknowledged);
  assert.equal(cable.heard, acknowledged.map((frame) => `${frame}\n`).join(""), "never closed, so nothing twice");

  const [still] = lines(0);
  const done = await reload(gateway, [still as Keys]);
  assert.ok(done.includes("serial moved: removed"), done.join("\n"));
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  const { serial } = JSON.parse(stdout) as { serial: { name: string; opened: number }[] };
  assert.deepEqual(
    serial.map(({ name, opened }) => [name, opened]),
    [["still", 1]],
  );
  server.close();
});
