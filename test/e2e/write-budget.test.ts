// The write budget through the product's doors: a gateway whose budget is far too small goes on acknowledging, says
// that its commits wait longer, and keeps its numbers over kill -9 and restarts.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";

/** In memory: the kernel does not count what goes there. */
const TMPFS = 0x01021994;
const MIB = 2 ** 20;
const BUDGET = 32 * MIB;
const PAYLOAD = "x".repeat(20_000);

interface Written {
  readonly day: { readonly total: number; readonly messages: number };
  readonly lifetime: { readonly total: number; readonly messages: number; readonly upkeep: number };
  readonly budget: { readonly state: string; readonly windowMs: number; readonly usedPercent: number };
  readonly wear: { readonly usedPercent: number };
}

async function statusOf(gateway: GatewayProcess): Promise<{ written: Written; text: string }> {
  const at = ["--config", gateway.configFile];
  const [json, text] = await Promise.all([sluice(["status", "--json", ...at]), sluice(["status", ...at])]);
  return { written: (JSON.parse(json.stdout) as { store: { written: Written } }).store.written, text: text.stdout };
}

test("over its write budget a gateway acknowledges all, commits once a second, says so, and keeps its numbers over kill -9", async (t) => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    limits: { session_queue_bytes: "64MiB", session_queue_messages: 10_000, output_bytes: "1MiB" },
    store: { write_budget_per_day: BUDGET, endurance: "30TB" },
    sys_interval: "1s",
  });
  await gateway.start();
  const away = new MqttPeer("away", 4);
  await away.connect(gateway.port());
  await away.subscribe("data/#", 1);
  await away.leave();
  const device = new MqttPeer("device", 5);
  let acknowledged = 0;
  device.onAcknowledged = () => acknowledged++;
  await device.connect(gateway.port());
  const publish = async (count: number, payload: string): Promise<void> => {
    for (let n = 0; n < count; n++) device.publish({ topic: "data/x", payload, qos: 1, retain: false });
    await eventually("all acknowledged", () => device.outstanding === 0);
  };

  await publish(1, "so that something was written");
  const reserve = path.join(folder.path, "data", "sluice.reserve");
  await eventually("the reserve for a full disk", () => fs.existsSync(reserve));
  const atFirst = await statusOf(gateway);
  assert.equal(atFirst.written.budget.state, "normal");
  assert.match(atFirst.text, /^written .* of 32 MiB/m);
  assert.match(atFirst.text, /^wear .* of 30 TB used, no pace yet in the first hour$/m);
  let sent = 0;
  for (let state = "normal"; state !== "spent"; { state } = (await statusOf(gateway)).written.budget) {
    assert.ok(sent < 4000, "so much was written, and the budget is not spent");
    await publish(100, PAYLOAD);
    sent += 100;
  }
  assert.equal(acknowledged, sent + 1);
  assert.equal(device.refusals, 0);
  assert.deepEqual(
    [...gateway.stderr.matchAll(/store-write-budget .*?state=(\w+)/g)].map(([, state]) => state),
    ["widened", "spent"],
  );

  const beganMs = performance.now();
  await publish(1, "small");
  const waitedMs = performance.now() - beganMs;
  assert.ok(waitedMs > 900, `acknowledged after ${waitedMs} ms`);
  const values = new Map<string, string>();
  const watcher = new MqttPeer("watcher", 4);
  watcher.onMessage = ({ topic, payload }) => values.set(topic, payload.toString());
  await watcher.connect(gateway.port());
  await watcher.subscribe("$SYS/sluice/store/#", 0);
  const sys = (name: string): string | undefined => values.get(`$SYS/sluice/store/${name}`);
  await eventually("$SYS", () => sys("wear/years_left") !== undefined && sys("commit_delay_ms") !== undefined);
  assert.deepEqual(
    [sys("budget/state"), sys("budget/bytes_per_day"), sys("commit_delay_ms"), sys("wear/years_left")],
    ["spent", String(BUDGET), "1000", "none"],
  );
  assert.ok(Number(sys("written/messages/day")) > sent * PAYLOAD.length);
  assert.ok(Number(sys("written/total/lifetime")) >= BUDGET);

  const before = await statusOf(gateway);
  if (fs.statfsSync(folder.path).type !== TMPFS) {
    const io = fs.readFileSync(`/proc/${gateway.pid}/io`, "latin1");
    const ratio = before.written.lifetime.total / Number(/^write_bytes: (\d+)$/m.exec(io)?.[1]);
    t.diagnostic(`metered ${before.written.lifetime.total}, ${ratio.toFixed(3)} of what the kernel counts`);
    assert.ok(ratio > 0.9 && ratio < 1.1, `${ratio}`);
  }
  assert.match(before.text, /^written .*, budget spent: commits wait 1s \(messages /m);
  await gateway.end("SIGKILL");
  await gateway.start();
  const after = await statusOf(gateway);
  assert.equal(after.written.budget.state, "spent");
  assert.ok(after.written.lifetime.total >= before.written.lifetime.total, "the inherited log was counted");
  assert.ok(after.written.lifetime.total < before.written.lifetime.total + 16 * MIB, "and once");
  assert.ok(after.written.day.messages >= before.written.day.messages * 0.8);
  await device.connect(gateway.port());
  await publish(10, "again");
  assert.equal(acknowledged, sent + 12);

  const last = await statusOf(gateway);
  assert.equal(await gateway.end(), 0);
  await gateway.start();
  const { written } = await statusOf(gateway);
  assert.ok(written.lifetime.total >= last.written.lifetime.total);
  assert.ok(written.lifetime.messages >= last.written.lifetime.messages);
  assert.equal(written.day.total, written.lifetime.total, "it is the same day");
});
