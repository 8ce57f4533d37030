// A microcontroller that speaks CoAP over a serial line (slipmux) to the running gateway.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { coapFrame, coapOver, slip } from "../support/slipmux-peer.ts";

function config(port: string): Record<string, unknown> {
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [{ name: "node", port, protocol: "coap", coap: { diagnostics: "site/console" } }],
  };
}

const opened = (gateway: GatewayProcess, times: number) => () => gateway.stderr.split("serial-open").length > times;

test("a device publishes, reads, observes and uploads in blocks over its line; what it says to people is published", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  await using gateway = new GatewayProcess(folder.path, config(cable.port));
  await gateway.start();
  await eventually("the port is open", opened(gateway, 1));
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
  assert.equal(await gateway.end(), 0);
  await eventually("goodbye", () => observed.notifications.at(-1)?.code === "5.03");
});

test("frames hit by noise, packets and text without frames are dropped; CoAP goes on behind them", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  await using gateway = new GatewayProcess(folder.path, config(cable.port));
  await gateway.start();
  await eventually("the port is open", opened(gateway, 1));
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
    await eventually("the port is open", opened(gateway, round));
    using device = coapOver(cable, { messageId: 1 });
    assert.equal((await device.put("/ps/plant/boots?qos=1", `${round}`)).code, "2.04");
    const { observed } = await device.observe("/ps/plant/setpoint");
    await mqtt.client.publishAsync("plant/setpoint", `${round}`, { qos: 1 });
    await eventually("the setpoint", () => observed.value === `${round}`);
    await cable.unplug();
    await eventually("the gateway notices", () => gateway.stderr.split("serial-away").length > round);
  }
  const boots = mqtt.messages.filter(({ topic }) => topic === "plant/boots").map(({ payload }) => payload);
  assert.deepEqual(boots, ["1", "2", "3"]);
  assert.equal(await gateway.end(), 0);
});
