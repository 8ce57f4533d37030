/** Connections of clients that came with a password once: how many, how long, who may use them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../../../src/base/clock.ts";
import { Counters } from "../../../../../src/base/counters.ts";
import { seededRandom } from "../../../../../src/base/random.ts";
import { TimerWheel } from "../../../../../src/base/timer-wheel.ts";
import type { Principal } from "../../../../../src/core/ports.ts";
import {
  budget,
  CONNECTIONS_MAX,
  Connection,
  ConnectionTable,
  FOREIGN,
  FULL,
  NAMES_BYTES_MAX,
} from "../../../../../src/protocol/coap/connection/connection-table.ts";

const HEARTBEAT_MS = 30_000;

class World {
  readonly clock = new ManualClock();
  readonly wheel = new TimerWheel(this.clock, 50);
  readonly counters = new Counters();
  readonly table = new ConnectionTable(this);
  readonly ended: string[] = [];

  constructor() {
    this.table.follower = {
      onConnectionEnded: ({ name, clientId }, saidGoodbye) =>
        this.ended.push(`${clientId} of ${name}${saidGoodbye ? " said goodbye" : ""}`),
    };
  }

  open(clientId: string, name = "alice", heartbeatMs = HEARTBEAT_MS, identity: string | null = null): Connection {
    const opened = this.table.open({ name, clientId } satisfies Principal, identity, heartbeatMs);
    assert.ok(opened instanceof Connection, `${clientId}: ${opened}`);
    return opened;
  }

  /** Time passes as it does in the gateway: the wheel ticks all along. */
  advance(ms: number): void {
    for (let rest = ms; rest > 0; rest -= 50) {
      this.clock.advance(Math.min(50, rest));
      this.wheel.tick();
    }
  }

  count(name: string): number {
    return this.counters.counter(`coap.connections.${name}`).value;
  }
}

test("a token names its connection, for its client id alone", () => {
  const w = new World();
  const { token } = w.open("c1");
  w.open("c2");
  assert.equal(w.table.find("c1", token, null)?.principal.name, "alice");
  assert.equal(w.table.find("c2", token, null), null);
  assert.equal(w.table.find("c3", token, null), null);
  for (const other of ["", token.slice(1), `${token}A`, `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`]) {
    assert.equal(w.table.find("c1", other, null), null, other);
  }
  assert.equal(w.count("tokens_refused"), 6);
});

test("tokens are 96 random bits that a URI takes as they are, and none comes twice", () => {
  const w = new World();
  const tokens = new Set<string>();
  for (let i = 0; i < 500; i++) {
    const { token } = w.open("c1");
    assert.match(token, /^[A-Za-z0-9_-]{16}$/);
    tokens.add(token);
  }
  assert.equal(tokens.size, 500);
});

test("a connection ends after one and a half heartbeats of silence, not earlier, and its follower is told once", () => {
  const w = new World();
  const { token } = w.open("c1");
  w.advance(1.5 * HEARTBEAT_MS - 100);
  assert.deepEqual(w.ended, []);
  assert.ok(w.table.find("c1", token, null) !== null, "that was a sign of life");
  w.advance(1.5 * HEARTBEAT_MS - 100);
  assert.deepEqual(w.ended, []);
  w.advance(150);
  assert.deepEqual(w.ended, ["c1 of alice"]);
  assert.equal(w.table.find("c1", token, null), null);
  assert.deepEqual([w.table.size, w.wheel.armed, w.count("expired")], [0, 0, 1]);
});

test("a token is worth nothing once its time has come, even before the sweep", () => {
  const w = new World();
  const { token } = w.open("c1");
  w.clock.advance(1.5 * HEARTBEAT_MS);
  assert.equal(w.table.find("c1", token, null), null);
});

test("a heartbeat of another listener is its own: the shorter one ends in time whichever came first", () => {
  const w = new World();
  w.open("slow", "alice", 600_000);
  w.open("fast", "alice", 1000);
  w.advance(1550);
  assert.deepEqual(w.ended, ["fast of alice"]);
  w.advance(900_000);
  assert.deepEqual(w.ended, ["fast of alice", "slow of alice"]);
});

test("opening again ends the earlier connection and its token; another principal may not", () => {
  const w = new World();
  const first = w.open("c1");
  const second = w.open("c1");
  assert.deepEqual(w.ended, ["c1 of alice"]);
  assert.equal(w.table.find("c1", first.token, null), null);
  assert.ok(w.table.find("c1", second.token, null) !== null);
  assert.equal(w.table.open({ name: "mallory", clientId: "c1" }, null, HEARTBEAT_MS), FOREIGN);
  assert.equal(w.table.open({ name: "", clientId: "c1" }, null, HEARTBEAT_MS), FOREIGN);
  assert.ok(w.table.find("c1", second.token, null) !== null);
  assert.equal(w.count("taken_over"), 1);
});

test("a connection opened over DTLS is used by the same identity alone, and one that was not, without any", () => {
  const w = new World();
  const secured = w.open("c1", "valve", HEARTBEAT_MS, "valve");
  assert.equal(w.table.find("c1", secured.token, null), null);
  assert.equal(w.table.find("c1", secured.token, "pump"), null);
  assert.ok(w.table.find("c1", secured.token, "valve") !== null);
  const plain = w.open("c2", "valve");
  assert.equal(w.table.find("c2", plain.token, "valve"), null);
  assert.ok(w.table.find("c2", plain.token, null) !== null);
});

test("a full table refuses newcomers while everybody keeps the heartbeat; the longest silent gives way after", () => {
  const w = new World();
  const tokens = Array.from({ length: CONNECTIONS_MAX }, (_, i) => w.open(`c${i}`).token);
  assert.equal(w.table.open({ name: "alice", clientId: "late" }, null, HEARTBEAT_MS), FULL);
  w.advance(HEARTBEAT_MS);
  for (const [i, token] of tokens.entries()) if (i !== 77) assert.ok(w.table.find(`c${i}`, token, null) !== null);
  w.open("late");
  assert.deepEqual(w.ended, ["c77 of alice"]);
  assert.equal(w.table.open({ name: "alice", clientId: "later" }, null, HEARTBEAT_MS), FULL);
  assert.deepEqual([w.table.size, w.count("evicted"), w.count("full")], [CONNECTIONS_MAX, 1, 2]);
});

test("long names are bounded together: there are fewer such connections, and each that ends makes room", () => {
  const w = new World();
  const long = (i: number): string => String(i).padStart(400, "x");
  let opened = 0;
  while (w.table.open({ name: "é€", clientId: long(opened) }, null, HEARTBEAT_MS) !== FULL) opened++;
  assert.equal(opened, Math.floor(NAMES_BYTES_MAX / 404), "two bytes a character where one is not Latin-1");
  w.table.close(long(0));
  w.open(long(opened), "é€");
  assert.equal(w.table.open({ name: "a", clientId: "b".repeat(400) }, null, HEARTBEAT_MS), FULL);
});

test("the memory of a full table is no more than its line in the bill, which is no more than 48 KiB", () => {
  assert.ok(budget().bytes <= 48 * 1024);
});

test("3,000 random steps: a token holds exactly as long as it should, and each connection ends once", () => {
  const random = seededRandom(7);
  const pick = (count: number): number => Math.floor(random() * count);
  const w = new World();
  /** What should be there, by client id; ends are compared by the count of openings. */
  const model = new Map<string, { token: string; heardMs: number; heartbeatMs: number }>();
  const isOver = (client: { heardMs: number; heartbeatMs: number }): boolean =>
    client.heardMs + 1.5 * client.heartbeatMs <= w.clock.nowMs();
  let opened = 0;
  for (let step = 0; step < 3_000; step++) {
    const clientId = `c${pick(12)}`;
    const known = model.get(clientId);
    switch (pick(5)) {
      case 0: {
        const heartbeatMs = 1_000 * (1 + pick(30));
        model.set(clientId, {
          token: w.open(clientId, "alice", heartbeatMs).token,
          heardMs: w.clock.nowMs(),
          heartbeatMs,
        });
        opened++;
        break;
      }
      case 1:
        w.table.close(clientId);
        model.delete(clientId);
        break;
      case 2:
        w.advance(pick(8_000));
        break;
      default: {
        const found = w.table.find(clientId, known?.token ?? "x", null) !== null;
        assert.equal(found, known !== undefined && !isOver(known), `${clientId} at step ${step}`);
        if (found && known !== undefined) known.heardMs = w.clock.nowMs();
      }
    }
    for (const [id, client] of model) if (isOver(client)) model.delete(id);
    assert.ok(w.table.size >= model.size && w.table.size <= model.size + 12, "no more than the sweep is late for");
  }
  w.advance(60_000);
  assert.deepEqual([w.table.size, w.ended.length, w.wheel.armed], [0, opened, 0]);
});

test("whoever says goodbye ends its connection at once, and only its own", () => {
  const w = new World();
  w.open("c1");
  w.open("c2");
  w.table.close("c1");
  w.table.close("c1");
  w.table.close("c3");
  assert.deepEqual([w.ended, w.table.size, w.count("closed")], [["c1 of alice said goodbye"], 1, 1]);
});

test("a stopped table holds nothing and tells nobody", () => {
  const w = new World();
  w.open("c1");
  w.table.stop();
  assert.deepEqual([w.table.size, w.wheel.armed, w.ended.length], [0, 0, 0]);
});
