import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fits, totalBytes } from "../../../src/config/budget.ts";
import { load } from "../../../src/config/load.ts";
import { memoryBill } from "../../../src/gateway/bill.ts";

test("a gateway with every kind of listener, a serial line and an uplink fits in the default memory_limit", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-bill-"));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, "psk.txt"), Array.from({ length: 256 }, (_, i) => `meter-${i}:key-${i}`).join("\n"));
  const text = `
listeners:
  - {type: mqtt, bind: "127.0.0.1:1883"}
  - {type: ws, bind: "127.0.0.1:8083"}
  - {type: http, bind: "127.0.0.1:8080"}
  - {type: coap, bind: "127.0.0.1:5683"}
  - {type: coap, bind: "127.0.0.1:5684", dtls: {psk_file: psk.txt}}
serial: [{name: meter, port: /dev/ttyUSB0, write: {topic: serial/meter/set, qos: 1}}]
uplinks: [{name: cloud, url: "mqtt://broker.example.com", forward: [{match: "#"}, {match: "alarms/#", priority: 7}]}]
`;
  const { config, complaints } = load(text, { directory });
  assert.deepEqual(complaints, []);
  assert.ok(config !== null);
  const bill = await memoryBill(config);
  const outside = bill.filter((line) => line.outside === true);
  assert.deepEqual(
    outside.map(({ owner, bytes }) => [owner, bytes]),
    [["dtls: sessions in OpenSSL", 256 * 72 * 1024]],
  );
  assert.equal(totalBytes(bill), totalBytes(bill.filter((line) => !outside.includes(line))));
  assert.ok(fits(bill, config.memoryLimitBytes), JSON.stringify(bill, null, 1));
  assert.ok(!fits(bill, config.memoryLimitBytes / 2));
});

test("latest-per-topic of one priority of an uplink needs its index, as that of all does", async () => {
  const owners = async (spool: string): Promise<string[]> => {
    const text = `uplinks: [{url: "mqtt://a", spool: {${spool}}}]`;
    const { config } = load(text, { directory: "/", checkFiles: false });
    assert.ok(config !== null);
    return (await memoryBill(config)).map(({ owner }) => owner);
  };
  const index = "topics of receivers with latest-per-topic";
  assert.ok(!(await owners("when_full: refuse")).includes(index));
  assert.ok((await owners("when_full: latest-per-topic")).includes(index));
  assert.ok((await owners("priorities: [{priority: 3, when_full: latest-per-topic}]")).includes(index));
});
