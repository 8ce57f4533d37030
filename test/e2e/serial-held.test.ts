// Devices that hold their line up, by CTS and by XOFF: they may, for as long as they like. Nothing is lost or given up, and
// nobody else waits.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MovedClock } from "../support/moved-clock.ts";
import { MqttCollector, persistent } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { Uart } from "../support/uart.ts";

const skip = requirePeer("socat", "cc");
/** More than libuv's pool has threads. */
const LINES = 6;
const SPEED = 20;
const XOFF = "\x13";
const XON = "\x11";

function line(name: string, port: string, flow: string): Record<string, unknown> {
  return { name, port, flow, publish: { topic: name, qos: 1 }, write: { topic: `${name}/set`, qos: 1 } };
}

test(`${LINES} devices with CTS off hold up themselves alone, for minutes: others are stored, acknowledged and written`, {
  skip,
}, async () => {
  using folder = temporaryFolder();
  const cables = Array.from({ length: LINES + 1 }, (_, i) => {
    mkdirSync(join(folder.path, `${i}`));
    return new Cable(join(folder.path, `${i}`));
  });
  try {
    for (const cable of cables) await cable.plug();
    const uart = new Uart(folder.path);
    const clock = new MovedClock(folder.path);
    const env = { ...uart.env, ...clock.env, LD_PRELOAD: `${clock.env["LD_PRELOAD"]} ${uart.env["LD_PRELOAD"]}` };
    const serial = cables.map(({ port }, i) => line(`line${i}`, port, i < LINES ? "rts-cts" : "none"));
    const config = { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }], serial };
    await using gateway = new GatewayProcess(folder.path, config, env);
    await gateway.start();
    await gateway.opened(LINES + 1);
    await using client = await MqttCollector.open(gateway.port(), "kept", persistent("reader"));
    const publish = (topic: string, payload: string) => client.client.publishAsync(topic, payload, { qos: 1 });
    uart.set({ outq: 40, cts: 0 });
    for (let i = 0; i < LINES; i++) await publish(`line${i}/set`, "held");
    await eventually("the kernel has them", () => cables.slice(0, LINES).every((cable) => cable.heard === "held\n"));
    clock.set({ speed: SPEED });
    await eventually("they are held up", () => gateway.logged("serial-held") === LINES);
    assert.match(gateway.stderr, /serial-held name=line0 .*reason="CTS is off"/);
    const { stdout } = await sluice(["status", "--data-dir", join(folder.path, "data")]);
    assert.match(stdout, /line0 .*flow rts-cts, open since \S+, held up: CTS is off$/m);
    const heldAt = performance.now();
    // Each of these has to be synced to the disk, by a thread of the pool, before it is acknowledged.
    let stored = 0;
    await eventually("minutes of the gateway's", async () => {
      await publish("kept", `${stored++}`);
      return performance.now() - heldAt > 100_000 / SPEED;
    });
    assert.ok(stored > 3, `${stored} messages stored`);
    assert.deepEqual([gateway.logged("serial-away"), gateway.logged("serial-held")], [0, LINES]);
    uart.set({ outq: 0, cts: 1 });
    await eventually("they go on", () => gateway.logged("serial-flows") === LINES);
    uart.set({ outq: -1 });
    await publish(`line${LINES}/set`, "free");
    await eventually("a line of no flow control", () => cables[LINES]?.heard === "free\n");
    clock.set({ speed: 1 });
    uart.set({ outq: 40, cts: 0 });
    await publish("line0/set", "under way at the end");
    const endAt = performance.now();
    assert.equal(await gateway.end(), 0);
    assert.ok(performance.now() - endAt < 15_000, "its end waits for no device");
  } finally {
    for (const cable of cables) await cable.unplug();
  }
});

test("a device that says XOFF is waited for, and gets everything once, in order, after XON", { skip }, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const clock = new MovedClock(folder.path);
  const config = {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [line("meter", cable.port, "xon-xoff")],
  };
  await using gateway = new GatewayProcess(folder.path, config, clock.env);
  await gateway.start();
  await gateway.opened();
  await using client = await MqttCollector.open(gateway.port(), "meter");
  const publish = (payload: string) => client.client.publishAsync("meter/set", payload, { qos: 1 });
  await publish("before");
  await eventually("the first frame", () => cable.heard === "before\n");
  cable.say(XOFF);
  cable.say("reading\n");
  assert.equal((await client.take(1))[0]?.payload, "reading", "it is heard all the same, without its XOFF");
  const frames = Array.from({ length: 20 }, (_, i) => `frame ${i}`);
  for (const frame of frames) await publish(frame);
  clock.set({ speed: SPEED });
  await eventually("the line is held up", () => gateway.logged("serial-held") === 1);
  const heldAt = performance.now();
  await eventually("a minute of the gateway's", () => performance.now() - heldAt > 60_000 / SPEED);
  assert.equal(cable.heard, "before\n");
  assert.equal(gateway.logged("serial-away"), 0);
  cable.say(XON);
  await eventually("all frames", () => cable.heard === `before\n${frames.join("\n")}\n`);
  await eventually("it flows", () => gateway.logged("serial-flows") === 1);
  assert.equal(gateway.logged("serial-held"), 1);
  clock.set({ speed: 1 });
  assert.equal(await gateway.end(), 0);
});
