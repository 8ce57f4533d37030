// A microcontroller that speaks MQTT-SN over a serial line to the running gateway, and MQTT.js on the other side.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { hexOf } from "../support/raw-mqtt-sn.ts";
import { slip } from "../support/slipmux-peer.ts";

const UNPLUGGED = 10;

/** The device at the other end of a cable: it says and hears messages in hexadecimal. */
class LineDevice {
  readonly #cable: Cable;
  readonly #framing: "slip" | "length";
  heard = "";

  constructor(cable: Cable, framing: "slip" | "length") {
    this.#cable = cable;
    this.#framing = framing;
  }

  say(hex: string): void {
    const message = Buffer.from(hex.replaceAll(" ", ""), "hex");
    this.#cable.say(this.#framing === "slip" ? slip(message) : message);
  }

  listen(): string {
    this.heard += this.#cable.hear().toString("hex");
    return this.heard;
  }

  async hears(hex: string): Promise<void> {
    await eventually(`${hex}, heard ${this.heard}`, () => this.listen().includes(hex));
  }
}

for (const framing of ["slip", "length"] as const) {
  test(`a device connects, publishes at QoS 1 and is published to, framed by ${framing}`, {
    skip: requirePeer("socat"),
  }, async () => {
    using folder = temporaryFolder();
    await using cable = new Cable(folder.path);
    await cable.plug();
    const line = {
      name: "node",
      port: cable.port,
      protocol: "mqtt-sn",
      mqtt_sn: { framing, predefined: { 5: "plant/five" } },
    };
    await using gateway = new GatewayProcess(folder.path, {
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
      serial: [line],
    });
    await gateway.start();
    await gateway.opened();
    await using mqtt = await MqttCollector.open(gateway.port(), "plant/#");
    const device = new LineDevice(cable, framing);
    device.say(`07 04 04 01 003c ${hexOf("a")}`);
    await device.hears("030500");
    device.say(`09 0c 21 0005 0002 ${hexOf("q1")}`);
    await device.hears("070d0005000200");
    assert.equal((await mqtt.take(1))[0]?.payload, "q1");
    device.say(`07 12 02 0003 ${hexOf("dn")}`);
    await device.hears("0813000000000300");
    await mqtt.client.publishAsync("dn", "hello");
    await device.hears(`0c0c02${hexOf("dn")}0000${hexOf("hello")}`);
  });
}

test(`unplugged ${UNPLUGGED} times, a device that repeats what was not acknowledged loses nothing either way`, {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  const line = { name: "node", port: cable.port, protocol: "mqtt-sn", mqtt_sn: { predefined: { 5: "plant/five" } } };
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [line],
  });
  await cable.plug();
  await gateway.start();
  await using mqtt = await MqttCollector.open(gateway.port(), "plant/#");
  const u16 = (value: number): string => value.toString(16).padStart(4, "0");
  const sent: string[] = [];
  const down: string[] = [];
  const heard = new Set<string>();
  for (let round = 0; round <= UNPLUGGED; round++) {
    if (round > 0) await cable.plug();
    const device = new LineDevice(cable, "slip");
    // After each replug the device connects again, to its lasting session, until it is heard.
    await eventually("CONNACK", () => {
      device.say(`07 04 00 01 003c ${hexOf("a")}`);
      return device.listen().includes("c0030500c0");
    });
    if (round === 0) {
      device.say(`07 12 22 0001 ${hexOf("dn")}`);
      await device.hears("0813200000000100");
    }
    /** Takes what is published to it, and acknowledges that. */
    const listen = (): string => {
      for (const [, msgId, digits] of device.listen().matchAll(/c0090c[2a]2646e(....)(....)c0/g)) {
        heard.add(Buffer.from(digits as string, "hex").toString());
        device.say(`07 0d ${hexOf("dn")} ${msgId} 00`);
      }
      return device.heard;
    };
    await eventually("what waited while it was away", () => listen() !== "" && down.every((one) => heard.has(one)));
    for (let i = 0; i < 5; i++) {
      const payload = `m${round}-${i}`.padEnd(6, ".");
      const msgId = u16(2 + sent.length);
      sent.push(payload);
      const publish = `0d 0c 21 0005 ${msgId} ${hexOf(payload)}`;
      device.say(publish);
      await eventually(`PUBACK of ${payload}`, () => listen().includes(`070d0005${msgId}00`));
    }
    if (round === UNPLUGGED) break;
    const one = `${round}`.padStart(2, "0");
    down.push(one);
    // It is published while the cable is being pulled, or is out already.
    const published = mqtt.client.publishAsync("dn", one, { qos: 1 });
    await cable.unplug();
    await published;
  }
  const messages = await mqtt.take(sent.length);
  assert.deepEqual(
    messages.map(({ payload }) => payload),
    sent,
  );
  assert.deepEqual([...heard].sort(), down);
  // Gone; and, where it takes longer to plug in than to try again, not there.
  const away = gateway.logged("serial-away");
  assert.ok(away >= UNPLUGGED && away <= 2 * UNPLUGGED, `each change is said once: ${away}`);
});

test("wireless nodes behind a forwarder on a serial line are clients of their own", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const settings = { framing: "length", max_clients: 2, predefined: { 5: "plant/five" } };
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [{ name: "radio", port: cable.port, protocol: "mqtt-sn", mqtt_sn: settings }],
  });
  await gateway.start();
  await gateway.opened();
  await using mqtt = await MqttCollector.open(gateway.port(), "plant/#");
  const forwarder = new LineDevice(cable, "length");
  for (const node of ["01", "02"]) {
    forwarder.say(`04 fe 00 ${node} 07 04 04 01 003c ${node.replace("0", "6")}`);
    await forwarder.hears(`04fe00${node}030500`);
    forwarder.say(`04 fe 00 ${node} 08 0c 21 0005 0001 ${node.replace("0", "3")}`);
    await forwarder.hears(`04fe00${node}070d0005000100`);
  }
  forwarder.say("04 fe 00 03 07 04 04 01 003c 63");
  await forwarder.hears("04fe0003030501");
  assert.deepEqual((await mqtt.take(2)).map(({ payload }) => payload).sort(), ["1", "2"]);
});
