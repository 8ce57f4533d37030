// Lines behind Debian's ser2net: both ways, killed and started anew, held up by the device, and cut off without a word.
import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { FramePublisher } from "../support/frame-publisher.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MovedClock } from "../support/moved-clock.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { Namespace } from "../support/namespace.ts";
import { requirePeer, requireRoot } from "../support/peers.ts";
import { freePort } from "../support/program.ts";
import { Ser2net } from "../support/ser2net.ts";

const LONG = process.env["SLUICE_LONG"];
const skip = requirePeer("socat", "ser2net");
/** Of the gateway's clock. The kernel's probes of a closed window keep their own time. */
const SPEED = 8;
/** Silence of a second, ten probes a second apart; a busy machine may take three times as long. */
const CUT_MS = 33_000;

function config(line: Record<string, unknown>): Record<string, unknown> {
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [{ name: "meter", publish: { topic: "meter", qos: 1 }, write: { topic: "meter/set", qos: 1 }, ...line }],
    limits: { session_queue_messages: 1000, session_queue_bytes: "1MiB" },
  };
}

for (const kind of ["tcp", "unix"] as const) {
  test(`over ${kind} a line goes both ways, and comes back each time ser2net was killed, with all that was acknowledged`, {
    skip,
  }, async () => {
    using folder = temporaryFolder();
    await using cable = new Cable(folder.path);
    await cable.plug();
    const port = await freePort();
    const socket = join(folder.path, "line.sock");
    const accepter = kind === "tcp" ? `tcp,127.0.0.1,${port}` : `unix,${socket}`;
    await using server = new Ser2net(folder.path, accepter, cable.port);
    server.start();
    const place = kind === "tcp" ? `tcp://127.0.0.1:${port}` : `unix:${socket}`;
    await using gateway = new GatewayProcess(folder.path, config({ port: place }));
    await gateway.start();
    await gateway.opened();
    await using client = await MqttCollector.open(gateway.port(), "meter");
    const publisher = new FramePublisher(client);
    const heard = () => cable.heard.includes(`${publisher.acknowledged.at(-1)}\n`);
    for (let i = 1; i <= 3; i++) {
      await publisher.burst();
      await eventually("what was written", heard);
      cable.say(`reading ${i}\n`);
      assert.equal((await client.take(1))[0]?.payload, `reading ${i}`);
      await server.kill();
      if (existsSync(socket)) rmSync(socket);
      await eventually("the gateway notices", () => gateway.logged("serial-away") >= i);
      await publisher.burst();
      server.start();
      await gateway.opened(i + 1);
      await eventually("what waited", heard);
    }
    publisher.assertHeard(cable.heard);
    assert.ok(gateway.logged("serial-away") <= 6, "not a line for each try");
    assert.equal(await gateway.end(), 0);
  });
}

// Nearly all of the time is waiting, so they wait together.
describe("a terminal server that says nothing", { concurrency: true }, () => {
  test("an idle line whose terminal server is cut off without a word is found by keepalive, and back with all that waited", {
    skip: skip || requirePeer("ip") || requireRoot(),
  }, async () => {
    using folder = temporaryFolder();
    using far = new Namespace("s");
    await using cable = new Cable(folder.path);
    await cable.plug();
    await using server = new Ser2net(folder.path, "tcp,0.0.0.0,2001", cable.port, far.name);
    server.start();
    const line = { port: `tcp://${far.address}:2001`, keepalive: "1s" };
    await using gateway = new GatewayProcess(folder.path, config(line));
    await gateway.start();
    await gateway.opened();
    await using client = await MqttCollector.open(gateway.port(), "none");
    const publisher = new FramePublisher(client);
    await publisher.burst();
    await eventually("what was written", () => cable.heard.includes(`${publisher.acknowledged.at(-1)}\n`));
    far.setDeaf(true);
    await eventually("keepalive finds it", () => gateway.logged("serial-away") > 0, CUT_MS);
    assert.match(gateway.stderr, /serial-away .*timed out \(ETIMEDOUT\)/);
    await publisher.burst();
    far.setDeaf(false);
    await eventually("the line is open again", () => gateway.logged("serial-open") === 2, CUT_MS);
    await eventually("what waited", () => cable.heard.includes(`${publisher.acknowledged.at(-1)}\n`));
    publisher.assertHeard(cable.heard);
    assert.ok(gateway.logged("serial-away") <= 2, "gone, and at most: no answer");
    assert.equal(await gateway.end(), 0);
  });

  test("a terminal server that takes nothing, and is then cut off without a word, is found by the kernel's probes", {
    skip: skip || requirePeer("ip", "cc") || requireRoot() || (LONG === undefined && "with --long alone"),
  }, async () => {
    using folder = temporaryFolder();
    using far = new Namespace("t");
    await using cable = new Cable(folder.path);
    await cable.plug();
    await using server = new Ser2net(folder.path, "tcp,0.0.0.0,2001", cable.port, far.name);
    server.start();
    const line = { port: `tcp://${far.address}:2001`, keepalive: "1s", baud: 4_000_000 };
    await using gateway = new GatewayProcess(folder.path, config(line));
    await gateway.start();
    await gateway.opened();
    await using client = await MqttCollector.open(gateway.port(), "none");
    const frames = Array.from({ length: 80 }, (_, i) => `${i} `.padEnd(4000, "x"));
    await Promise.all(frames.slice(0, 40).map((frame) => client.client.publishAsync("meter/set", frame, { qos: 1 })));
    await Promise.all(frames.slice(40).map((frame) => client.client.publishAsync("meter/set", frame, { qos: 1 })));
    await eventually("the line is held up", () => gateway.logged("serial-held") === 1, 30_000);
    assert.equal(gateway.logged("serial-away"), 0, "for longer than 11 s of silence");
    far.setDeaf(true);
    await eventually("a probe is not answered", () => gateway.logged("serial-away") === 1, 3 * CUT_MS);
    assert.match(gateway.stderr, /serial-away .*what was written is not acknowledged/);
    far.setDeaf(false);
    let heard = "";
    await eventually(
      "all frames",
      () => {
        heard += cable.hear().toString("latin1");
        return heard.endsWith(`${frames.at(-1)}\n`);
      },
      60_000,
    );
    for (const frame of frames) assert.ok(heard.includes(`${frame}\n`), frame.slice(0, 3));
    assert.equal(await gateway.end(), 0);
  });

  test("a device that holds its line up for long is waited for; its terminal server is not taken for gone", {
    skip: skip || requirePeer("cc"),
  }, async () => {
    using folder = temporaryFolder();
    await using cable = new Cable(folder.path);
    await cable.plug();
    const port = await freePort();
    await using server = new Ser2net(folder.path, `tcp,127.0.0.1,${port}`, cable.port);
    server.start();
    const clock = new MovedClock(folder.path);
    await using gateway = new GatewayProcess(
      folder.path,
      config({ port: `tcp://127.0.0.1:${port}`, baud: 4_000_000 }),
      clock.env,
    );
    await gateway.start();
    await gateway.opened();
    await using client = await MqttCollector.open(gateway.port(), "none");
    // More than pseudo terminals, ser2net and both kernels take while nobody reads at the device's end.
    const frames = Array.from({ length: 80 }, (_, i) => `${i} `.padEnd(4000, "x"));
    for (let i = 0; i < frames.length; i += 50) {
      const publish = (frame: string) => client.client.publishAsync("meter/set", frame, { qos: 1 });
      await Promise.all(frames.slice(i, i + 50).map(publish));
    }
    clock.set({ speed: SPEED });
    await eventually("the line is held up", () => gateway.logged("serial-held") >= 1);
    const { stdout } = await sluice(["status", "--data-dir", join(folder.path, "data")]);
    assert.match(stdout, /^serial +meter .* open since .*, held up: the other end takes nothing/m);
    const heldAt = performance.now();
    await eventually("longer than one may be silent that is there", () => performance.now() - heldAt > 40_000 / SPEED);
    assert.equal(gateway.logged("serial-away"), 0, gateway.stderr);
    let heard = "";
    await eventually("all frames", () => {
      heard += cable.hear().toString("latin1");
      return heard.endsWith(`${frames.at(-1)}\n`);
    });
    assert.equal(heard, `${frames.join("\n")}\n`);
    // What follows may be late once more on a busy machine.
    await eventually("it flows", () => gateway.logged("serial-flows") === gateway.logged("serial-held"));
    assert.ok(gateway.logged("serial-held") <= 3, gateway.stderr);
    assert.equal(gateway.logged("serial-open"), 1);
    clock.set({ speed: 1 });
    assert.equal(await gateway.end(), 0);
  });
});
