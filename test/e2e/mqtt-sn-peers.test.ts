// Whether a client that somebody else wrote gets along with the running gateway: each message to it is made by scapy from
// fields, each answer read by scapy, and in the end all answers once more by tshark.
import assert from "node:assert/strict";
import { test } from "node:test";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { ScapyClient } from "../support/mqtt-sn-peer.ts";
import { requirePeer, requirePython } from "../support/peers.ts";
import { dissect } from "../support/tshark.ts";

const LISTENERS = [
  { type: "mqtt", bind: "127.0.0.1:0" },
  { type: "mqtt-sn", bind: "127.0.0.1:0", gateway_id: 9, predefined: { 5: "plant/five" } },
];
const PREDEFINED = 1;
const SHORT = 2;
const QOS_MINUS_ONE = 3;

/** Every message must be one that tshark knows, whole, and without a complaint. */
function assertKnownToTshark(messages: readonly Buffer[]): void {
  for (const [i, layer] of dissect("mqttsn", messages).entries()) {
    const shown = JSON.stringify(layer);
    assert.ok(
      shown.includes("mqttsn.msg.type") && !shown.includes("_ws."),
      `${messages[i]?.toString("hex")}: ${shown}`,
    );
  }
}

test("scapy and MQTT.js hear one another: every QoS, topic ids of all kinds, the will, sleep", {
  skip: requirePython("scapy.contrib.mqttsn") || requirePeer("tshark"),
}, async () => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, { listeners: LISTENERS });
  await gateway.start();
  await using mqtt = await MqttCollector.open(gateway.port(), "plant/#");
  await using scapy = new ScapyClient(gateway.port("mqtt-sn"));

  assert.equal((await scapy.ask("SEARCHGW", { radius: 1 }, "GWINFO"))["gw_id"], 9);
  await scapy.ask("CONNECT", { client_id: "node", duration: 60, cleansess: 1, will: 1 }, "WILLTOPICREQ");
  await scapy.ask("WILLTOPIC", { will_topic: "plant/will", qos: 1 }, "WILLMSGREQ");
  assert.equal((await scapy.ask("WILLMSG", { will_msg: "gone" }, "CONNACK"))["return_code"], 0);
  assert.equal((await scapy.ask("WILLTOPICUPD", { will_topic: "plant/last" }, "WILLTOPICRESP"))["return_code"], 0);
  assert.equal((await scapy.ask("WILLMSGUPD", { will_msg: "left" }, "WILLMSGRESP"))["return_code"], 0);

  const { tid, mid, return_code } = await scapy.ask("REGISTER", { mid: 1, topic_name: "plant/a" }, "REGACK");
  assert.deepEqual([mid, return_code], [1, 0]);
  scapy.send("PUBLISH", { tid: tid as number, data: "q0" });
  const puback = await scapy.ask("PUBLISH", { qos: 1, tid: tid as number, mid: 2, data: "q1" }, "PUBACK");
  assert.deepEqual([puback["tid"], puback["mid"], puback["return_code"]], [tid, 2, 0]);
  assert.equal((await scapy.ask("PUBLISH", { qos: 2, tid: tid as number, mid: 3, data: "q2" }, "PUBREC"))["mid"], 3);
  assert.equal((await scapy.ask("PUBREL", { mid: 3 }, "PUBCOMP"))["mid"], 3);
  scapy.send("PUBLISH", { qos: QOS_MINUS_ONE, tid_type: PREDEFINED, tid: 5, data: "-1" });
  assert.equal((await scapy.ask("PUBLISH", { qos: 1, tid: 0, mid: 4, data: "x" }, "PUBACK"))["return_code"], 2);
  const long = "x".repeat(400);
  await scapy.ask("PUBLISH", { qos: 1, tid: tid as number, mid: 5, data: long }, "PUBACK");
  assert.deepEqual(
    (await mqtt.take(5)).map(({ topic, payload }) => `${topic} ${payload}`),
    ["plant/a q0", "plant/a q1", "plant/a q2", "plant/five -1", `plant/a ${long}`],
  );

  const suback = await scapy.ask("SUBSCRIBE", { qos: 2, mid: 6, topic_name: "down/#" }, "SUBACK");
  assert.deepEqual([suback["qos"], suback["tid"], suback["mid"], suback["return_code"]], [2, 0, 6, 0]);
  await scapy.ask("SUBSCRIBE", { qos: 1, mid: 7, tid_type: SHORT, short_topic: "dn" }, "SUBACK");
  const predefined = await scapy.ask("SUBSCRIBE", { mid: 8, tid_type: PREDEFINED, tid: 5 }, "SUBACK");
  assert.equal(predefined["tid"], 5);
  await mqtt.client.publishAsync("down/x", "once", { qos: 2 });
  const register = await scapy.take("REGISTER");
  assert.equal(register["topic_name"], "down/x");
  scapy.send("REGACK", { tid: register["tid"] as number, mid: register["mid"] as number });
  const publish = await scapy.take("PUBLISH");
  assert.deepEqual([publish["qos"], publish["tid"], publish["data"]], [2, register["tid"], "once"]);
  await scapy.ask("PUBREC", { mid: publish["mid"] as number }, "PUBREL");
  scapy.send("PUBCOMP", { mid: publish["mid"] as number });
  await mqtt.client.publishAsync("dn", "short", { qos: 1 });
  const short = await scapy.take("PUBLISH");
  assert.deepEqual([short["tid_type"], short["tid"], short["data"]], [SHORT, 0x646e, "short"]);
  scapy.send("PUBACK", { tid: short["tid"] as number, mid: short["mid"] as number });

  assert.equal((await scapy.ask("DISCONNECT", { duration: 60 }, "DISCONNECT"))["len"], 2);
  await mqtt.client.publishAsync("down/x", "night", { qos: 1 });
  await scapy.ask("PINGREQ", { client_id: "node" }, "PUBLISH").then((late) => {
    assert.deepEqual([late["qos"], late["data"]], [1, "night"]);
    scapy.send("PUBACK", { tid: late["tid"] as number, mid: late["mid"] as number });
  });
  await scapy.take("PINGRESP");
  await scapy.ask("CONNECT", { client_id: "node", duration: 60 }, "CONNACK");
  await scapy.ask("UNSUBSCRIBE", { mid: 9, topic_name: "down/#" }, "UNSUBACK");
  await scapy.ask("DISCONNECT", {}, "DISCONNECT");
  assert.deepEqual(scapy.came, []);
  assertKnownToTshark(scapy.bytes);
});

test("scapy as a forwarder: its wireless nodes are clients of their own", {
  skip: requirePython("scapy.contrib.mqttsn") || requirePeer("tshark"),
}, async () => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, { listeners: LISTENERS });
  await gateway.start();
  await using mqtt = await MqttCollector.open(gateway.port(), "plant/#");
  await using scapy = new ScapyClient(gateway.port("mqtt-sn"));
  for (const node of ["01", "aabb", "00112233445566778899aabbccddeeff"]) {
    assert.equal((await scapy.ask("SEARCHGW", { radius: 2 }, "GWINFO", node))["gw_id"], 9);
    await scapy.ask("CONNECT", { client_id: `node-${node}`, duration: 60, cleansess: 1 }, "CONNACK", node);
    await scapy.ask("SUBSCRIBE", { mid: 1, qos: 1, tid_type: SHORT, short_topic: "dn" }, "SUBACK", node);
    const fields = { qos: 1, tid_type: PREDEFINED, tid: 5, mid: 2, data: node };
    assert.equal((await scapy.ask("PUBLISH", fields, "PUBACK", node))["return_code"], 0);
    await scapy.ask("DISCONNECT", { duration: 60 }, "DISCONNECT", node);
  }
  assert.deepEqual((await mqtt.take(3)).map(({ payload }) => payload).sort(), [
    "00112233445566778899aabbccddeeff",
    "01",
    "aabb",
  ]);
  await mqtt.client.publishAsync("dn", "all", { qos: 1 });
  const late = await scapy.ask("PINGREQ", { client_id: "node-aabb" }, "PUBLISH", "aabb");
  assert.equal(late["data"], "all");
  await scapy.ask("PUBACK", { tid: late["tid"] as number, mid: late["mid"] as number }, "PINGRESP", "aabb");
  assert.deepEqual(scapy.came, []);
  assertKnownToTshark(scapy.bytes.filter((bytes) => bytes[0] === 5)); // tshark shows node ids of two bytes
});

test("scapy wakes up behind another port, and gets what waited for it", {
  skip: requirePython("scapy.contrib.mqttsn"),
}, async () => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, { listeners: LISTENERS });
  await gateway.start();
  await using mqtt = await MqttCollector.open(gateway.port(), "none");
  {
    await using before = new ScapyClient(gateway.port("mqtt-sn"));
    await before.ask("CONNECT", { client_id: "roamer", duration: 60 }, "CONNACK");
    await before.ask("SUBSCRIBE", { mid: 1, qos: 1, topic_name: "down/x" }, "SUBACK");
    await before.ask("DISCONNECT", { duration: 60 }, "DISCONNECT");
  }
  await mqtt.client.publishAsync("down/x", "kept", { qos: 1 });
  await using after = new ScapyClient(gateway.port("mqtt-sn"));
  const late = await after.ask("PINGREQ", { client_id: "roamer" }, "PUBLISH");
  assert.equal(late["data"], "kept");
  await after.ask("PUBACK", { tid: late["tid"] as number, mid: late["mid"] as number }, "PINGRESP");
});
