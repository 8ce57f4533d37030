// A microcontroller that speaks CoAP over a serial line (slipmux) to the running gateway.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { CabledGateway } from "../support/cabled-gateway.ts";
import { uintOption } from "../support/coap-messages.ts";
import { LibcoapObserver, libcoap } from "../support/coap-peers.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import type { Observed } from "../support/raw-coap.ts";
import { coapFrame, coapOver, SlipmuxBridge, slip } from "../support/slipmux-peer.ts";
import { preloadable } from "../support/store-process.ts";

function config(port: string): Record<string, unknown> {
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [{ name: "node", port, protocol: "coap", coap: { diagnostics: "site/console" } }],
  };
}

test("a device publishes, reads, observes and uploads in blocks over its line; what it says to people is published", {
  skip: requirePeer("socat"),
}, async () => {
  await using line = await CabledGateway.start(config);
  const { cable, gateway } = line;
  await using mqtt = await MqttCollector.open(gateway.port(), "#");
  using device = coapOver(cable);

  assert.equal((await device.put("/ps/plant/temperature?retain=true&qos=1", "21.5")).code, "2.01");
  const [first] = await mqtt.take(1);
  assert.equal(`${first?.topic} ${first?.payload}`, "plant/temperature 21.5");
  assert.equal((await device.request("/ps/plant/temperature")).payload, "21.5");

  const { observed } = await device.observe("/ps/plant/setpoint");
  await mqtt.client.publishAsync("plant/setpoint", "19", { qos: 1 });
  await eventually("the setpoint", () => observed.value === "19");

  const log = randomBytes(1900);
  assert.match((await device.upload("/ps/plant/log?qos=1", log, {}, 5)).code, /^2\.0[14]$/);
  await eventually("the log", () => mqtt.messages.some(({ topic }) => topic === "plant/log"));

  cable.say(slip(Buffer.from("\nbooted, 3 sensors\r\n")));
  await eventually("the text", () => mqtt.messages.some(({ topic }) => topic === "site/console"));
  assert.equal(mqtt.messages.find(({ topic }) => topic === "site/console")?.payload, "booted, 3 sensors");
  const told = observed.notifications.length;
  assert.equal(await gateway.end(), 0);
  assert.equal(observed.notifications.length, told, "no goodbye: the observation is kept");
});

test("frames hit by noise, packets and text without frames are dropped; CoAP goes on behind them", {
  skip: requirePeer("socat"),
}, async () => {
  await using line = await CabledGateway.start(config);
  const { cable, gateway } = line;
  using device = coapOver(cable);
  const hit = coapFrame(Buffer.from("40030001b27073", "hex"));
  hit[4] = 0x55;
  cable.say(
    Buffer.concat([Buffer.from("bootloader 1.2\r\n"), hit, slip(Buffer.from([0x45, 0, 0, 20])), randomBytes(700)]),
  );
  assert.equal((await device.put("/ps/plant/a?qos=1", "1")).code, "2.04");
  await device.ping();
  assert.equal(await gateway.end(), 0);
});

/** Whether the device was told of `value` by one more notification. */
const sees = (observed: Observed, value: string) => () => observed.value === value;

test("what a device observes outlives its unplugging, a reload and the gateway's kill -9, without a word of its own", {
  skip: requirePeer("socat"),
}, async () => {
  await using line = await CabledGateway.start(config);
  const { cable, gateway } = line;
  await using first = await MqttCollector.open(gateway.port(), "nothing");
  using device = coapOver(cable);
  const { observed } = await device.observe("/ps/plant/setpoint");
  const all = await device.observe("/ps/plant/%2B/mode");

  await cable.unplug();
  await eventually("the gateway notices", () => gateway.stderr.includes("serial-away"));
  await first.client.publishAsync("plant/setpoint", "20", { qos: 1, retain: true });
  await first.client.publishAsync("plant/a/mode", "auto", { qos: 1, retain: true });
  await cable.plug();
  await eventually("the setpoint of meanwhile", sees(observed, "20"));
  await eventually("the mode of meanwhile", () => all.observed.notifications.at(-1)?.payload === "auto");

  const { serial } = config(cable.port) as { serial: [Record<string, unknown>] };
  gateway.configure({ ...config(cable.port), serial: [{ ...serial[0], coap: { rate: 50 } }] });
  gateway.signal("SIGHUP");
  await gateway.opened(3);
  await first.client.publishAsync("plant/setpoint", "20.5", { qos: 1, retain: true });
  await eventually("the setpoint after the reload", sees(observed, "20.5"));

  await gateway.end("SIGKILL");
  await gateway.start();
  await using second = await MqttCollector.open(gateway.port(), "nothing");
  await second.client.publishAsync("plant/setpoint", "21", { qos: 1, retain: true });
  await eventually("the setpoint after the restart", sees(observed, "21"));
  assert.equal(await gateway.end(), 0);
});

for (const framing of ["slipmux", "slip"] as const) {
  test(`libcoap at the end of a ${framing} line has the resources that it has over UDP`, {
    skip: requirePeer("socat", "coap-client", "python3"),
  }, async () => {
    using folder = temporaryFolder();
    await using cable = new Cable(folder.path);
    await cable.plug();
    const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
    const serial = [{ name: "node", port: cable.port, protocol: "coap", coap: { framing } }];
    await using gateway = new GatewayProcess(folder.path, { listeners, serial });
    await gateway.start();
    await gateway.opened();
    await using mqtt = await MqttCollector.open(gateway.port(), "plant/#");
    await using line = await SlipmuxBridge.open(cable, framing);

    assert.match(await libcoap(line, "/ps/plant/a"), / c:4\.04 /);
    assert.match(await libcoap(line, "/ps/plant/a?retain=true", "-m", "put", "-e", "21.5"), / c:2\.01 /);
    assert.match(await libcoap(line, "/ps/plant/a"), / c:2\.05 .* :: '21\.5'/);
    assert.match(await libcoap(line, "/mqtt/publish/plant/b", "-m", "post", "-e", "b"), / c:2\.04 /);
    assert.match(await libcoap(line, "/.well-known/core"), /<\/ps>/);
    assert.match(await libcoap(line, "/health"), / c:2\.05 /);

    const log = join(folder.path, "log");
    const text = randomBytes(3_000).toString("hex");
    writeFileSync(log, text);
    assert.match(await libcoap(line, "/ps/plant/log?retain=true", "-m", "put", "-f", log, "-b", "512"), / c:2\.01 /);
    const got = join(folder.path, "got");
    await libcoap(line, "/ps/plant/log", "-o", got);
    assert.equal(readFileSync(got, "utf8"), text);
    assert.deepEqual(
      (await mqtt.take(3)).map(({ topic }) => topic),
      ["plant/a", "plant/b", "plant/log"],
    );

    assert.match(await libcoap(line, "/ps/plant/a", "-m", "delete"), / c:2\.02 /);

    await mqtt.client.publishAsync("plant/setpoint", "18", { qos: 1, retain: true });
    await using observer = new LibcoapObserver(line, "/ps/plant/setpoint");
    await observer.sees("18");
    for (const value of ["19", "20", "21"]) {
      await mqtt.client.publishAsync("plant/setpoint", value, { qos: 1, retain: true });
      await observer.sees(value);
    }
    await gateway.end("SIGKILL");
    await gateway.start();
    await using again = await MqttCollector.open(gateway.port(), "nothing");
    await observer.sees("21");
    await again.client.publishAsync("plant/setpoint", "22", { qos: 1, retain: true });
    await observer.sees("22");
    assert.equal(await gateway.end(), 0);
  });
}

test("with a full disk a device hears 5.03, and its repetition is taken when there is room again", {
  skip: requirePeer("socat", "cc"),
}, async () => {
  using folder = temporaryFolder();
  const control = join(folder.path, "control");
  writeFileSync(control, "");
  await using cable = new Cable(folder.path);
  await cable.plug();
  await using gateway = new GatewayProcess(folder.path, config(cable.port), {
    LD_PRELOAD: preloadable("fsync-shim"),
    SHIM_MATCH: join(folder.path, "data/sluice."),
    SHIM_CONTROL: control,
  });
  await gateway.start();
  await gateway.opened();
  using device = coapOver(cable);
  writeFileSync(control, "full=1");
  const refused = await device.put("/ps/plant/a?retain=true&qos=1", "1");
  assert.deepEqual([refused.code, uintOption(refused, "Max-Age")], ["5.03", 10]);
  writeFileSync(control, "");
  let code = "";
  await eventually("it is taken", () => {
    void device.put("/ps/plant/a?retain=true&qos=1", "1").then((answer) => {
      code = answer.code;
    });
    return code === "2.01" || code === "2.04";
  });
  assert.equal((await device.request("/ps/plant/a")).payload, "1");
});

test("a device that is unplugged and comes back with the message ids of before is a new peer", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await using gateway = new GatewayProcess(folder.path, config(cable.port));
  await gateway.start();
  await using mqtt = await MqttCollector.open(gateway.port(), "plant/#");
  for (let round = 1; round <= 3; round++) {
    await cable.plug();
    await gateway.opened(round);
    using device = coapOver(cable, { messageId: 1 });
    assert.equal((await device.put("/ps/plant/boots?qos=1", `${round}`)).code, "2.04");
    const { observed } = await device.observe("/ps/plant/setpoint");
    await mqtt.client.publishAsync("plant/setpoint", `${round}`, { qos: 1 });
    await eventually("the setpoint", () => observed.value === `${round}`);
    await cable.unplug();
    await eventually("the gateway notices", () => gateway.logged("serial-away") >= round);
  }
  const boots = mqtt.messages.filter(({ topic }) => topic === "plant/boots").map(({ payload }) => payload);
  assert.deepEqual(boots, ["1", "2", "3"]);
  assert.equal(await gateway.end(), 0);
});
