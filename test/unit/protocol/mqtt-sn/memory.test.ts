// Whether a client takes what the bill says: the heap's growth over many clients, in a process that can collect.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { budget, heldBytesOf, namesBytesOf } from "../../../../src/protocol/mqtt-sn/limits.ts";
import { connectOf, message, SnHub, subscribeTo } from "./harness.ts";

const CLIENTS = 1000;
const TOPICS = 17;
const HELD = 32;

function usedBytes(): number {
  const { gc } = globalThis as { gc?: () => void };
  gc?.();
  gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Bytes that `step` adds for each of `count`, beside what the hub's other rooms take. */
function perOne(hub: SnHub, count: number, step: () => void): number {
  const before = usedBytes();
  step();
  hub.datagrams.sent.length = 0;
  return (usedBytes() - before) / count;
}

if (process.env["SLUICE_MEASURE"] === "mqtt-sn") {
  const hub = new SnHub({ clientsMax: 10_000 }, { maxSessions: 10_000 });
  const devices = Array.from({ length: CLIENTS }, (_, i) => hub.device(10_000 + i));
  const sessions = new SnHub({}, { maxSessions: 10_000 });
  const session = perOne(sessions, CLIENTS, () => {
    for (let i = 0; i < CLIENTS; i++) {
      const clientId = `client-${i}`;
      sessions.registry.open(clientId, { name: "anonymous", clientId }, true, 0);
    }
  });
  const withSession = perOne(hub, CLIENTS, () => {
    for (const [i, device] of devices.entries()) device.send(connectOf(`client-${i}`));
  });
  const namesBefore = hub.sn.names.used;
  const topic = perOne(hub, CLIENTS * TOPICS, () => {
    for (const [i, device] of devices.entries())
      for (let t = 0; t < TOPICS; t++) device.send(message(0x0a, [0, 0, 0, 1], `plant/${i}/${t}`.padEnd(20, "x")));
  });
  const topicBilled = (hub.sn.names.used - namesBefore) / (CLIENTS * TOPICS);
  const sleepers = devices.slice(0, 300);
  for (const sleeper of sleepers) sleeper.send(subscribeTo("#", 0), "0418003c");
  const held = perOne(hub, sleepers.length * HELD, () => {
    for (let i = 0; i < HELD; i++) {
      const p = hub.sn.publication;
      p.setParts("some/topic/name", Buffer.alloc(20), 0, false);
      hub.router.publish(p, { onStored(): void {} }, 0);
    }
  });
  const heldBilled = hub.sn.held.used / (sleepers.length * HELD);
  const clients = hub.clientCount;
  process.stdout.write(
    JSON.stringify({ clients, client: withSession - session, topic, topicBilled, held, heldBilled }),
  );
} else {
  test("a client, a topic id and a held message take no more than the bill has for them", (context) => {
    const { stdout, stderr } = spawnSync(process.execPath, ["--expose-gc", import.meta.filename], {
      encoding: "utf8",
      env: { ...process.env, NODE_OPTIONS: "", NODE_TEST_CONTEXT: "", SLUICE_MEASURE: "mqtt-sn" },
    });
    const measured = JSON.parse(stdout === "" ? stderr : stdout) as Record<string, number>;
    context.diagnostic(stdout);
    const [one, two] = [budget([1])[0]?.bytes ?? 0, budget([2])[0]?.bytes ?? 0];
    const billed = two - one - (namesBytesOf(2) - namesBytesOf(1)) - (heldBytesOf(2) - heldBytesOf(1));
    assert.equal(measured["clients"], CLIENTS);
    const { client = 0, topic = 0, topicBilled = 0, held = 0, heldBilled = 0 } = measured;
    assert.ok(client > 0 && client < billed, `${client} bytes a client, ${billed} billed`);
    assert.ok(topic < 1.2 * topicBilled, `${topic} bytes a topic id, ${topicBilled} billed`);
    assert.ok(held < 1.2 * heldBilled, `${held} bytes a held message, ${heldBilled} billed`);
  });
}
