// A microcontroller that speaks MQTT-SN over a serial line to the running gateway, and MQTT.js on the other side.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { slip } from "../support/slipmux-peer.ts";

const text = (words: string): string => Buffer.from(words).toString("hex");

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
    await eventually("the port is open", () => gateway.stderr.includes("serial-open"));
    await using mqtt = await MqttCollector.open(gateway.port(), "plant/#");
    let heard = "";
    const say = (hex: string): void => {
      const message = Buffer.from(hex.replaceAll(" ", ""), "hex");
      cable.say(framing === "slip" ? slip(message) : message);
    };
    const hears = async (hex: string): Promise<void> => {
      await eventually(`${hex}, heard ${heard}`, () => {
        heard += cable.hear().toString("hex");
        return heard.includes(hex);
      });
    };
    say(`07 04 04 01 003c ${text("a")}`);
    await hears("030500");
    say(`09 0c 21 0005 0002 ${text("q1")}`);
    await hears("070d0005000200");
    assert.equal((await mqtt.take(1))[0]?.payload, "q1");
    say(`07 12 02 0003 ${text("dn")}`);
    await hears("0813000000000300");
    await mqtt.client.publishAsync("dn", "hello");
    await hears(`0c0c02${text("dn")}0000${text("hello")}`);
  });
}
