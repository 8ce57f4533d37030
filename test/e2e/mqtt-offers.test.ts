// From gateway.yaml to the bytes of CONNACK and DISCONNECT: what the keys do through the product's door.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import {
  CONNACK,
  connect,
  DISCONNECT,
  field,
  PUBACK,
  publish,
  readConnack,
  readProperties,
  u32,
} from "../support/mqtt-packets.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";

const SESSION_EXPIRY_INTERVAL = 0x11;
const SERVER_KEEP_ALIVE = 0x13;
const RESPONSE_INFORMATION = 0x1a;
const REASON_STRING = 0x1f;
const MAXIMUM_QOS = 0x24;
const RETAIN_AVAILABLE = 0x25;
const MAXIMUM_PACKET_SIZE = 0x27;

describe("a gateway with limits of its own", () => {
  const folder = temporaryFolder();
  const gateway = new GatewayProcess(folder.path, {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0", max_qos: 1, retain_available: false }],
    limits: {
      keep_alive_max: "2m",
      session_expiry_max: "1h",
      max_packet_bytes: "8KiB",
      topic_levels: 5,
      string_bytes: 64,
    },
    response_information: "reply/{client}",
  });

  before(() => gateway.start());

  after(async () => {
    assert.equal(await gateway.end(), 0);
    folder[Symbol.dispose]();
  });

  /** The Reason String of the DISCONNECT that ends it. */
  async function lastWords(raw: RawMqtt): Promise<unknown> {
    await raw.end();
    const last = raw.packets.at(-1);
    assert.equal(last?.type, DISCONNECT);
    return new Map(readProperties(last?.body as Buffer, 1)).get(REASON_STRING);
  }

  test("[MQTT5-3.2.2-9] [MQTT5-3.2.2-21] CONNACK tells what the keys say", async () => {
    using raw = await RawMqtt.open(gateway.port());
    const properties = [0x19, 1, SESSION_EXPIRY_INTERVAL, u32(0xffffffff)];
    raw.send(connect({ version: 5, clientId: "pump", keepAliveSeconds: 0, properties }));
    const { reason, properties: told } = readConnack(await raw.next());
    const values = new Map(told);
    assert.equal(reason, 0);
    assert.deepEqual(
      [
        SESSION_EXPIRY_INTERVAL,
        SERVER_KEEP_ALIVE,
        RESPONSE_INFORMATION,
        MAXIMUM_QOS,
        RETAIN_AVAILABLE,
        MAXIMUM_PACKET_SIZE,
      ].map((id) => values.get(id)),
      [3600, 120, "reply/pump", 1, 0, 8192],
    );
  });

  test("who goes beyond is told which key it was", async () => {
    for (const [wrong, words] of [
      [publish(5, { topic: "t", retain: true, payload: "x" }), "retain_available is false here"],
      [publish(5, { topic: "t", qos: 2, packetId: 1 }), "QoS 2: max_qos is 1 here"],
      [publish(5, { topic: "a/b/c/d/e/f" }), "topic has 6 levels: limits.topic_levels is 5"],
      [publish(5, { topic: "t", payload: "x".repeat(8192) }), "packet of 8199 bytes: limits.max_packet_bytes is 8192"],
      [publish(5, { topic: "t" }, 0x03, field("x".repeat(65))), "property of 65 bytes: limits.string_bytes is 64"],
    ] as const) {
      using raw = await RawMqtt.connected(gateway.port(), { version: 5, clientId: "a" });
      raw.send(wrong);
      assert.equal(await lastWords(raw), words);
    }
    using raw = await RawMqtt.open(gateway.port());
    raw.send(connect({ version: 5, clientId: "x".repeat(65) }));
    const { type, body } = await raw.next();
    assert.equal(type, CONNACK);
    assert.deepEqual(readConnack({ type, flags: 0, body }).properties, [
      [REASON_STRING, "client id of 65 bytes: limits.string_bytes is 64"],
    ]);
  });

  test("what is refused is counted by its key", async () => {
    const { stdout } = await sluice(["status", "--json", "--data-dir", `${folder.path}/data`]);
    const { counters } = JSON.parse(stdout) as { counters: Record<string, number> };
    const refused = Object.entries(counters).filter(([name]) => name.startsWith("mqtt.refused."));
    assert.deepEqual(Object.fromEntries(refused), {
      "mqtt.refused.topic_levels": 1,
      "mqtt.refused.max_packet_bytes": 1,
      "mqtt.refused.string_bytes": 2,
    });
    assert.equal(counters["mqtt.closed.qos-not-supported"], 1);
    assert.equal(counters["mqtt.closed.retain-not-supported"], 1);
  });

  test("within the limits all is well, before 5.0 too", async () => {
    using raw = await RawMqtt.connected(gateway.port(), { version: 4, clientId: "a", keepAliveSeconds: 0 });
    raw.send(publish(4, { topic: "a/b/c/d/e", qos: 1, packetId: 1, payload: "x" }));
    assert.equal((await raw.next()).type, PUBACK);
  });
});
