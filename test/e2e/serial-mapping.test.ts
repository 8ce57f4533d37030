// What a serial line's frames become, against the running gateway over a pair of pseudo terminals.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CabledGateway } from "../support/cabled-gateway.ts";
import { eventually } from "../support/eventually.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";

test("lines of JSON, of values and of debug words on one wire become values under topics of their own", {
  skip: requirePeer("socat"),
}, async () => {
  await using node = await CabledGateway.start((port) => ({
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [
      {
        name: "node",
        port,
        ignore: "^(DBG|I \\()",
        publish: [
          { topic: "raw/node", qos: 0, format: "json", match: "^[{]" },
          {
            topic: "dev/{id}/temperature",
            retain: true,
            match: "^[{]",
            format: "json",
            payload: '{"value": {t}, "at": {ms}}',
            fields: { id: { json: "id" }, t: { json: "s.t", scale: 0.1 } },
          },
          { topic: "csv/{1}", match: "^([A-Z]),", payload: "{v}", fields: { v: { column: 2, type: "number" } } },
        ],
      },
    ],
  }));
  const { cable, gateway } = node;
  await using client = await MqttCollector.open(gateway.port(), "#");

  cable.say('DBG boot 3\r\n{"id":"a1","s":{"t":215}}\r\nA,7.50\r\nI (12) wifi: up\n');
  const [raw, dev, csv] = await client.take(3);
  assert.deepEqual([raw?.topic, raw?.payload], ["raw/node", '{"id":"a1","s":{"t":215}}']);
  assert.equal(dev?.topic, "dev/a1/temperature");
  const { value, at } = JSON.parse(dev?.payload ?? "") as { value: number; at: number };
  assert.ok(value === 21.5 && Math.abs(at - Date.now()) < 600_000);
  assert.deepEqual([csv?.topic, csv?.payload], ["csv/A", "7.5"]);

  // A device may not choose a wildcard, nor $SYS; what else is in the frame goes its way.
  cable.say('{"id":"#","s":{"t":1}}\n{"id":\nB,x\nC,1\n');
  assert.deepEqual(
    (await client.take(2)).map(({ topic }) => topic),
    ["raw/node", "csv/C"],
  );
  for (const cause of ["topic_wildcard", "not_json", "field_missing"])
    await eventually(cause, () => gateway.stderr.includes(`cause=${cause}`));

  await using late = await MqttCollector.open(gateway.port(), "dev/#");
  assert.equal((await late.take(1))[0]?.packet.retain, true);
  assert.equal(await gateway.end(), 0);
});

test("a line that a pattern nearly matches in 2^n ways holds nobody up", { skip: requirePeer("socat") }, async () => {
  await using node = await CabledGateway.start((port) => ({
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [{ name: "node", port, ignore: "^(\\w+\\s?)*#$", publish: { topic: "{1}", match: "^(a|a)*(b)$" } }],
  }));
  const { cable, gateway } = node;
  await using client = await MqttCollector.open(gateway.port(), "#");
  cable.say(`${"a".repeat(3000)}!\n${"a ".repeat(1000)}!\naab\n`);
  assert.equal((await client.take(1))[0]?.topic, "a");
  assert.equal(await gateway.end(), 0);
});
