// Lines that are found by what the device is, not by its name: USB adapters that come back under another name, while
// others take theirs. And what `sluice serial list` says of such a machine.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { FramePublisher } from "../support/frame-publisher.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Machine } from "../support/machine.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer, requireRoot } from "../support/peers.ts";

const skip = requirePeer("socat", "unshare", "mount") || requireRoot();

function cableIn(folder: string, name: string): Cable {
  mkdirSync(join(folder, name));
  return new Cable(join(folder, name));
}

for (const by of ["match", "by-id"] as const) {
  test(`by ${by}: an adapter that comes back under another name is the one that is written to, and no frame is lost`, {
    skip,
  }, async () => {
    using folder = temporaryFolder();
    const machine = new Machine(folder.path);
    await using ours = cableIn(folder.path, "ours");
    await using other = cableIn(folder.path, "other");
    await ours.plug();
    machine.plug("ttyUSB0", "A10K", ours.port);
    const place = by === "match" ? { match: { vendor: "0403", serial: "A10K" } } : { port: machine.byId("A10K") };
    const line = {
      name: "meter",
      publish: { topic: "meter", qos: 1 },
      write: { topic: "meter/set", qos: 1 },
      ...place,
    };
    const config = { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }], serial: [line] };
    const command = [...machine.command, ...GatewayProcess.command];
    await using gateway = new GatewayProcess(folder.path, config, {}, command);
    await gateway.start();
    await gateway.opened();
    await using client = await MqttCollector.open(gateway.port(), "meter");
    const publisher = new FramePublisher(client);
    const heard = () => ours.heard.includes(`${publisher.acknowledged.at(-1)}\n`);
    await publisher.burst();
    await eventually("what was written", heard);

    await ours.unplug();
    machine.unplug("ttyUSB0", "A10K");
    await eventually("the gateway notices", () => gateway.logged("serial-away") >= 1);
    await other.plug();
    machine.plug("ttyUSB0", "B20L", other.port);
    await publisher.burst();
    await ours.plug();
    machine.plug("ttyUSB3", "A10K", ours.port);
    await gateway.opened(2);
    await eventually("what waited", heard);
    publisher.assertHeard(ours.heard);
    assert.equal(other.heard, "");
    if (by === "match") assert.match(gateway.stderr, /serial-open .*device=\/dev\/ttyUSB3 /);
    other.say("not ours\n");
    ours.say("ours\n");
    assert.deepEqual((await client.take(1))[0]?.payload, "ours");

    // Run there, too: the devices, and who has them.
    const [program = "", ...words] = [...command, "serial", "list", "--data-dir", join(folder.path, "data")];
    const { stdout, stderr } = spawnSync(program, words, { encoding: "utf8" });
    assert.deepEqual(stdout.trim().split("\n"), [
      `/dev/ttyUSB0  0403:6001 serial B20L interface 0 (FT232R USB UART)  ftdi_sio  ${machine.byId("B20L")}`,
      `/dev/ttyUSB3  0403:6001 serial A10K interface 0 (FT232R USB UART)  ftdi_sio  open as meter  ${machine.byId("A10K")}`,
    ]);
    assert.equal(stderr, "");
    assert.equal(await gateway.end(), 0);
  });
}

test("a machine without serial devices says so, and what a container is to be given", { skip }, () => {
  using folder = temporaryFolder();
  const [program = "", ...words] = [...new Machine(folder.path).command, ...GatewayProcess.command, "serial", "list"];
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: "utf8" });
  assert.equal(status, 0);
  assert.equal(stdout, "");
  assert.match(stderr, /^sluice: no serial device is here .*docker run --device/);
});
