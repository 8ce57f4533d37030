// Whether others read in our messages what we mean: the dissectors of Wireshark (tshark) and of scapy, each written from
// the text by other people. Neither knows all: tshark 4.0 shows no flags of SUBSCRIBE, SUBACK and WILLTOPIC.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as codes from "../../../../src/wire/mqtt-sn/codes.ts";
import { ScapyClient } from "../../../support/mqtt-sn-peer.ts";
import { requirePeer, requirePython } from "../../../support/peers.ts";
import { dissect } from "../../../support/tshark.ts";
import { bytesOf, VECTORS, type Vector } from "./vectors.ts";

/** Our fields by type, and what follows them, in tshark's words. */
const REST_IN_TSHARK = new Map([
  [codes.CONNECT, "client.id"],
  [codes.PINGREQ, "client.id"],
  [codes.WILLTOPIC, "will.topic"],
  [codes.WILLTOPICUPD, "will.topic"],
  [codes.WILLMSG, "will.msg"],
  [codes.WILLMSGUPD, "will.msg"],
  [codes.REGISTER, "topic"],
  [codes.PUBLISH, "pub.msg"],
  [codes.SUBSCRIBE, "topic.name.or.id"],
  [codes.UNSUBSCRIBE, "topic.name.or.id"],
]);
const DURATION_IN_TSHARK = new Map([
  [codes.ADVERTISE, "adv.interv"],
  [codes.CONNECT, "keep.alive"],
  [codes.DISCONNECT, "sleep.timer"],
]);
const REST_IN_SCAPY = new Map([
  [codes.CONNECT, "client_id"],
  [codes.PINGREQ, "client_id"],
  [codes.WILLTOPIC, "will_topic"],
  [codes.WILLTOPICUPD, "will_topic"],
  [codes.WILLMSG, "will_msg"],
  [codes.WILLMSGUPD, "will_msg"],
  [codes.REGISTER, "topic_name"],
  [codes.PUBLISH, "data"],
  [codes.GWINFO, "gw_addr"],
  [codes.SUBSCRIBE, "topic_name"],
  [codes.UNSUBSCRIBE, "topic_name"],
]);

function inTshark({ fields, rest }: Vector): Record<string, string | number> {
  const type = fields.type as number;
  const shown: Record<string, string | number> = { "msg.type": type };
  const { topicId, msgId, returnCode, gatewayId, radius, duration, protocolId, qos, topicType } = fields;
  const named = type === codes.SUBSCRIBE || type === codes.UNSUBSCRIBE;
  if (topicId !== undefined && !named) shown["topic.id"] = topicId;
  if (msgId !== undefined) shown["msg.id"] = msgId;
  if (returnCode !== undefined) shown["return.code"] = returnCode;
  if (gatewayId !== undefined) shown["gw.id"] = gatewayId;
  if (radius !== undefined) shown["radius"] = radius;
  if (protocolId !== undefined) shown["protocol.id"] = protocolId;
  if (topicType !== undefined) shown["topic.id.type"] = topicType;
  if (qos !== undefined && type === codes.PUBLISH) shown["qos"] = qos & 3;
  const time = DURATION_IN_TSHARK.get(type);
  if (time !== undefined && duration !== undefined && duration >= 0) shown[time] = duration;
  const name = REST_IN_TSHARK.get(type);
  if (name !== undefined && rest !== undefined && rest !== "") shown[name] = rest;
  return shown;
}

function inScapy({ fields, rest }: Vector): Record<string, string | number> {
  const type = fields.type as number;
  const shown: Record<string, string | number> = {};
  const { topicId, msgId, returnCode, gatewayId, radius, duration, protocolId, qos, topicType, flags } = fields;
  const named = type === codes.SUBSCRIBE || type === codes.UNSUBSCRIBE;
  if (topicId !== undefined && !(named && topicType === codes.TOPIC_SHORT)) shown["tid"] = topicId;
  if (topicId !== undefined && named && topicType === codes.TOPIC_SHORT)
    shown["short_topic"] = String.fromCharCode(topicId >> 8, topicId & 0xff);
  if (msgId !== undefined) shown["mid"] = msgId;
  if (returnCode !== undefined) shown["return_code"] = returnCode;
  if (gatewayId !== undefined) shown["gw_id"] = gatewayId;
  if (radius !== undefined) shown["radius"] = radius;
  if (duration !== undefined && duration >= 0) shown["duration"] = duration;
  if (protocolId !== undefined) shown["prot_id"] = protocolId;
  if (qos !== undefined) shown["qos"] = qos & 3;
  if (topicType !== undefined) shown["tid_type"] = topicType;
  if (flags !== undefined && rest !== "") {
    shown["retain"] = (flags & codes.FLAG_RETAIN) >> 4;
    shown["will"] = (flags & codes.FLAG_WILL) >> 3;
    shown["cleansess"] = (flags & codes.FLAG_CLEAN_SESSION) >> 2;
  }
  const name = REST_IN_SCAPY.get(type);
  if (name !== undefined && rest !== undefined && rest !== "") shown[name] = rest;
  return shown;
}

const NUMBERS: ReadonlyMap<string, unknown> = new Map(Object.entries(codes));

test("tshark reads each message as we mean it", { skip: requirePeer("tshark") }, () => {
  const read = dissect(
    "mqttsn",
    VECTORS.map(({ hex }) => bytesOf(hex)),
  );
  for (const [i, vector] of VECTORS.entries()) {
    const message = read[i]?.["mqttsn.msg"] as Record<string, string>;
    assert.equal(Number(message["mqttsn.msg.len"]), bytesOf(vector.hex).length, vector.title);
    for (const [name, value] of Object.entries(inTshark(vector))) {
      const shown = message[`mqttsn.${name}`];
      assert.equal(typeof value === "number" ? Number(shown) : shown, value, `${vector.title}: ${name}`);
    }
  }
});

test("scapy reads each message as we mean it", { skip: requirePython("scapy.contrib.mqttsn") }, async () => {
  await using scapy = new ScapyClient();
  const read = await scapy.read(VECTORS.map(({ hex }) => bytesOf(hex)));
  for (const [i, vector] of VECTORS.entries()) {
    const message = read[i];
    assert.equal(message?.["stray"], undefined, vector.title);
    assert.equal(NUMBERS.get(message?.type ?? ""), vector.fields.type, vector.title);
    for (const [name, value] of Object.entries(inScapy(vector)))
      assert.equal(message?.[name], value, `${vector.title}: ${name}`);
  }
});

test("both find the message in a forwarder's envelope", {
  skip: requirePeer("tshark") || requirePython("scapy.contrib.mqttsn"),
}, async () => {
  const envelope = bytesOf("05 fe 01 aabb 0216");
  assert.deepEqual(dissect("mqttsn", [envelope])[0]?.["mqttsn.msg"], {
    "mqttsn.msg.type": "0xfe",
    "mqttsn.msg.len": "5",
    "mqttsn.control.info": "0x01",
    "mqttsn.wireless.node.id": `${0xaabb}`,
    "mqttsn.msg": { "mqttsn.msg.type": "0x16", "mqttsn.msg.len": "2" },
  });
  await using scapy = new ScapyClient();
  const [read] = await scapy.read([envelope]);
  assert.deepEqual([read?.node, read?.["radius"], read?.inner?.type], ["aabb", 1, "PINGREQ"]);
});
