import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../../../src/config/load.ts";
import { linesOf } from "../../../src/config/serial.ts";

function read(lines: string): { listener: unknown; complaints: string[] } {
  const text = `listeners:\n  - type: mqtt-sn\n${lines.replaceAll(/^/gm, "    ")}\n`;
  const { config, complaints } = load(text, { directory: "/none", checkFiles: false });
  return {
    listener: config?.listeners[0]?.mqttSn,
    complaints: complaints.map(({ path, problem }) => `${path} ${problem}`),
  };
}

test("an mqtt-sn listener without keys of its own", () => {
  const { config } = load("listeners: [{type: mqtt-sn}]", { directory: "/none", checkFiles: false });
  const { host, port, mqttSn } = config?.listeners[0] ?? assert.fail("no listener");
  assert.deepEqual([host, port], ["127.0.0.1", 1884]);
  assert.deepEqual(mqttSn, { gatewayId: 1, maxClients: 64, rate: 500, advertise: null, predefined: [] });
});

test("predefined topics go by numbers, in the order of these", () => {
  assert.deepEqual(
    read('gateway_id: 9\npredefined: {12: b/c, "3": a}\nadvertise: {to: "239.1.1.1:1884", interval: 60s, hops: 3}'),
    {
      listener: {
        gatewayId: 9,
        maxClients: 64,
        rate: 500,
        advertise: { address: "239.1.1.1", port: 1884, intervalMs: 60_000, hops: 3 },
        predefined: [
          [3, "a"],
          [12, "b/c"],
        ],
      },
      complaints: [],
    },
  );
});

for (const [title, lines, path] of [
  ["a topic id of 0", "predefined: {0: a}", "listeners[0].predefined.0"],
  ["a topic id that is reserved", "predefined: {65535: a}", "listeners[0].predefined.65535"],
  ["a topic id that is a word", "predefined: {door: a}", "listeners[0].predefined.door"],
  ["a wildcard", "predefined: {1: a/#}", "listeners[0].predefined.1"],
  ["a topic of the gateway's own", "predefined: {1: $SYS/x}", "listeners[0].predefined.1"],
  ["an address that is no group", 'advertise: {to: "10.0.0.1:1884"}', "listeners[0].advertise.to"],
  [
    "an interval beyond two bytes",
    'advertise: {to: "239.1.1.1:1884", interval: 20h}',
    "listeners[0].advertise.interval",
  ],
  ["no hop", 'advertise: {to: "239.1.1.1:1884", hops: 0}', "listeners[0].advertise.hops"],
  ["a gateway id beyond a byte", "gateway_id: 256", "listeners[0].gateway_id"],
  ["TLS", "tls: {cert: a, key: b}", "listeners[0].tls"],
  ["what another type has", "max_qos: 1", "listeners[0].max_qos"],
] as const) {
  test(`${title} is complained about`, () => {
    const { complaints } = read(lines);
    assert.ok(
      complaints.some((complaint) => complaint.startsWith(`${path} `)),
      complaints.join("; "),
    );
  });
}

test("keys of mqtt-sn mean nothing to another type", () => {
  const { complaints } = load("listeners: [{type: mqtt, gateway_id: 2, predefined: {1: a}}]", {
    directory: "/none",
    checkFiles: false,
  });
  assert.deepEqual(
    complaints.map(({ path }) => path),
    ["listeners[0].gateway_id", "listeners[0].predefined"],
  );
});

test("an mqtt-sn listener and a coap listener cannot share a port", () => {
  const { complaints } = load(
    'listeners: [{type: coap, bind: "127.0.0.1:5683"}, {type: mqtt-sn, bind: "127.0.0.1:5683"}]',
    {
      directory: "/none",
      checkFiles: false,
    },
  );
  assert.deepEqual(
    complaints.map(({ path }) => path),
    ["listeners[1].bind"],
  );
});

test("a serial line with MQTT-SN has its own keys, and no others", () => {
  const { config, complaints } = load(
    "serial: [{port: /dev/ttyS0, protocol: mqtt-sn, mqtt_sn: {framing: length, predefined: {1: a}}}]",
    { directory: "/none", checkFiles: false },
  );
  assert.deepEqual(complaints, []);
  assert.deepEqual(linesOf(config?.serial ?? [], "mqtt-sn")[0]?.mqttSn, {
    framing: "length",
    gatewayId: 1,
    maxClients: 1,
    messageBytesMax: 1024,
    predefined: [[1, "a"]],
  });
  const wrong = load("serial: [{port: /dev/ttyS0, protocol: mqtt-sn, write: {topic: a}}, {port: b, mqtt_sn: {}}]", {
    directory: "/none",
    checkFiles: false,
  });
  assert.deepEqual(
    wrong.complaints.map(({ path }) => path),
    ["serial[0].write", "serial[1].mqtt_sn"],
  );
});
