// Serial lines that go away and come back, and those behind sockets, against the running gateway.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { FramePublisher } from "../support/frame-publisher.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { freePort, Program } from "../support/program.ts";

/** Twenty times, and in the middle of writing: serial-loss.test.ts. */
const UNPLUGGED = process.env["SLUICE_LONG"] === undefined ? 5 : 20;

function config(line: Record<string, unknown>): Record<string, unknown> {
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [{ name: "meter", publish: { topic: "meter", qos: 1 }, write: { topic: "meter/set", qos: 1 }, ...line }],
  };
}

test(`unplugged ${UNPLUGGED} times, a line loses no frame that was acknowledged, and says each change once`, {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  await using gateway = new GatewayProcess(folder.path, config({ port: cable.port }));
  await gateway.start();
  await using client = await MqttCollector.open(gateway.port(), "none");
  const publisher = new FramePublisher(client);
  const lastHeard = () => cable.heard.includes(`${publisher.acknowledged.at(-1)}\n`);
  for (let i = 1; i <= UNPLUGGED; i++) {
    await publisher.burst();
    // A pseudo terminal has no wire: what socat has read and not handed on is lost with it, and nobody can tell.
    await eventually("what was written while the line was there", lastHeard);
    await cable.unplug();
    await publisher.burst(); // the gateway may not have noticed yet
    await eventually("the gateway notices", () => gateway.logged("serial-away") >= i);
    await publisher.burst();
    await cable.plug();
    await gateway.opened(i + 1);
    await eventually("what waited", lastHeard);
  }
  assert.equal(publisher.acknowledged.length, UNPLUGGED * 3 * FramePublisher.framesEach);
  publisher.assertHeard(cable.heard);
  assert.equal(gateway.logged("serial-open"), UNPLUGGED + 1);
  assert.ok(gateway.logged("serial-away") <= 3 * UNPLUGGED, "not a line for each try");
  assert.equal(await gateway.end(), 0);
});

test("a line behind a terminal server of socat goes both ways, and comes back after the server was killed", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  await using server = new Program(["socat"]);
  const port = await freePort();
  const serve = () => server.start(`TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr`, `${cable.port},raw,echo=0`);
  serve();
  await using gateway = new GatewayProcess(folder.path, config({ port: `tcp://127.0.0.1:${port}` }));
  await gateway.start();
  await gateway.opened();
  await using client = await MqttCollector.open(gateway.port(), "meter");
  const publisher = new FramePublisher(client);
  for (let i = 1; i <= 2; i++) {
    cable.say(`reading ${i}\n`);
    assert.equal((await client.take(1))[0]?.payload, `reading ${i}`);
    await publisher.burst();
    await eventually("what was written", () => cable.heard.includes(`${publisher.acknowledged.at(-1)}\n`));
    await server.kill();
    await publisher.burst();
    await eventually("the gateway notices", () => gateway.logged("serial-away") >= i);
    serve();
    await gateway.opened(i + 1);
    await eventually("what waited", () => cable.heard.includes(`${publisher.acknowledged.at(-1)}\n`));
  }
  publisher.assertHeard(cable.heard);
  assert.equal(await gateway.end(), 0);
});

test("status and serial list tell of the ports, also of one that is away", { skip: requirePeer("socat") }, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const settings = config({ port: cable.port, baud: 9600, data_bits: 7, parity: "even", stop_bits: 2 });
  (settings["serial"] as unknown[]).push({ name: "far", port: `unix:${join(folder.path, "none.sock")}` });
  await using gateway = new GatewayProcess(folder.path, settings);
  await gateway.start();
  await gateway.opened();
  await eventually("the other is not", () => gateway.logged("serial-away") === 1);
  const about = ["--data-dir", join(folder.path, "data")];
  const { stdout } = await sluice(["status", ...about]);
  assert.match(stdout, /^serial +meter \S+\/port \(\/dev\/pts\/\d+\), 9600 7E2, open since \S+Z$/m);
  assert.match(stdout, /^serial +far unix:\S+none.sock, away since \S+Z: no such file or directory \(ENOENT\)$/m);
  const listed = await sluice(["serial", "list", ...about, "--json"]);
  assert.equal(listed.code, 0);
  const open = (JSON.parse(listed.stdout) as { path: string; openAs: string | null }[]).filter(({ openAs }) => openAs);
  assert.deepEqual(
    open.map(({ openAs }) => openAs),
    ["meter"],
  );
  assert.match((await sluice(["serial", "list", ...about])).stdout, /^\/dev\/pts\/\d+ {2}open as meter$/m);
});
