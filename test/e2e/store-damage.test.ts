// A damaged file under the product: it starts, says so, and what can be read goes on.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";

const MESSAGES = 200;
const PAGE = 4096;

test("a file with destroyed pages: ready, the session with the rest of its backlog, said in log and status", async () => {
  using folder = temporaryFolder();
  const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
  const limits = { session_queue_messages: 100_000, session_queue_bytes: "64MiB" };
  await using gateway = new GatewayProcess(folder.path, { listeners, limits });
  await gateway.start();
  const away = new MqttPeer("away", 5);
  const came: string[] = [];
  away.onMessage = ({ payload }) => came.push(payload);
  await away.connect(gateway.port());
  await away.subscribe("d/#", 2);
  await away.leave();
  const device = new MqttPeer("device", 5);
  let acknowledged = 0;
  device.onAcknowledged = () => acknowledged++;
  await device.connect(gateway.port());
  device.publish({ topic: "r/lamp", payload: "on", qos: 1, retain: true });
  for (let n = 0; n < MESSAGES; n++)
    device.publish({ topic: "d/x", payload: `${n} ${"x".repeat(300)}`, qos: n % 2 === 0 ? 1 : 2, retain: false });
  await eventually("all are acknowledged", () => acknowledged === MESSAGES + 1);
  await device.leave();
  assert.equal(await gateway.end(), 0);

  const file = join(folder.path, "data", "sluice.db");
  const bytes = readFileSync(file);
  // The file's header and schema, and two pages on which payloads lie.
  bytes.fill(0, 0, PAGE);
  const full = [];
  for (let at = PAGE; at < bytes.length; at += PAGE)
    if (bytes.subarray(at, at + PAGE).includes("x".repeat(250)) && bytes[at] === 0x0d) full.push(at);
  assert.ok(full.length > 10, `${full.length} pages of messages`);
  for (const at of full.slice(4, 6)) bytes.fill(0xa5, at, at + PAGE);
  writeFileSync(file, bytes);

  await gateway.start();
  assert.match(gateway.stderr, /store-damaged/);
  assert.match(gateway.stderr, /store-salvaged/);
  const dataDir = join(folder.path, "data");
  const { stdout } = await sluice(["status", "--data-dir", dataDir]);
  assert.match(stdout, /^damaged +1 file set aside, .* rows were saved/m);
  const json = JSON.parse((await sluice(["status", "--json", "--data-dir", dataDir])).stdout) as {
    counters: Record<string, number>;
  };
  assert.equal(json.counters["store.moved_aside"], 1);
  assert.ok((json.counters["store.salvaged_rows"] ?? 0) > 150);
  assert.equal(readdirSync(dataDir).filter((name) => /damaged-.*Z$/.test(name)).length, 1);

  await away.connect(gateway.port());
  assert.equal(away.sessionPresent, true);
  // At most a dozen rows of 330 bytes lie on a page.
  await eventually("the rest has come", () => came.length >= MESSAGES - 24);
  assert.deepEqual(
    came,
    [...came].sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)),
    "in order",
  );
  assert.equal(new Set(came).size, came.length, "each once");
  await device.connect(gateway.port());
  const lamps: string[] = [];
  device.onMessage = ({ payload }) => lamps.push(payload);
  await device.subscribe("r/#", 1);
  await eventually("the retained value", () => lamps[0] === "on");
  const before = acknowledged;
  device.publish({ topic: "d/x", payload: `${MESSAGES} new`, qos: 1, retain: false });
  await eventually("it goes on", () => acknowledged === before + 1 && came.at(-1) === `${MESSAGES} new`);
  assert.equal(await gateway.end(), 0);
});
