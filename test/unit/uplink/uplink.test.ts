import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { OWED_DEADLINE_MS, QUIET_MS } from "../../../src/uplink/client/keep-alive.ts";
import { REASONS_TOLD_MAX } from "../../../src/uplink/link/outage.ts";
import { LEAVE_MS, STABLE_MS } from "../../../src/uplink/link/reach.ts";
import { AGAIN_MS, RETRY_CAP_MS } from "../../../src/uplink/link/retry.ts";
import { STALL_MS } from "../../../src/uplink/link/stall.ts";
import * as codes from "../../../src/wire/mqtt/codes.ts";
import { forward, published, receive, UplinkWorld } from "./uplink-world.ts";

test("connects as configured: client id, session expiry, keep alive, user", () => {
  const world = new UplinkWorld({ username: "u", bindAddress: "10.1.2.3" });
  world.uplink.start();
  const way = { bindAddress: "10.1.2.3", interface: null, proxy: null, timeoutMs: 30_000, againMs: 750 };
  assert.deepEqual(world.server.dials, [{ host: "cloud", port: 1883, tls: null, ...way }]);
  const { connect } = world.server.accept().takeOne(codes.CONNECT);
  assert.equal(connect?.clientId, "gw-17");
  assert.equal(connect?.cleanStart, false);
  assert.equal(connect?.sessionExpirySeconds, 3600);
  assert.equal(connect?.keepAliveSeconds, 60);
  assert.equal(connect?.userName, "u");
});

test("session_expiry 0 is a clean start each time", () => {
  const world = new UplinkWorld({ sessionExpiryMs: 0 });
  world.uplink.start();
  const { connect } = world.server.accept().takeOne(codes.CONNECT);
  assert.deepEqual([connect?.cleanStart, connect?.sessionExpirySeconds], [true, -1]);
});

test("protocol 4 says that it is a bridge", () => {
  const world = new UplinkWorld({ protocol: 4, urls: ["mqtt://[::1]:1884"] });
  world.uplink.start();
  assert.equal(world.server.dials[0]?.host, "::1");
  assert.equal(world.server.accept().takeOne(codes.CONNECT).connect?.bridge, true);
});

test("tries for ever: the wait for a server that was reached doubles to its cap, a stable minute resets it", () => {
  const world = new UplinkWorld({});
  world.uplink.start();
  const waits: number[] = [];
  for (let i = 0; i < 9; i++) {
    world.server.refuse("cloud:1883: connection refused (ECONNREFUSED)");
    waits.push(world.uplink.status().retryInMs ?? -1);
    assert.equal(world.uplink.status().state, "down");
    world.server.advance((waits.at(-1) ?? 0) + 50);
  }
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, RETRY_CAP_MS, RETRY_CAP_MS, RETRY_CAP_MS]);
  const short = world.accept();
  world.server.advance(STABLE_MS - 1000);
  short.drop();
  assert.equal(world.uplink.status().retryInMs, RETRY_CAP_MS);
  world.server.advance(RETRY_CAP_MS + 50);
  const long = world.accept();
  world.server.advance(STABLE_MS + 1000);
  long.drop();
  assert.equal(world.uplink.status().retryInMs, AGAIN_MS);
});

test("trouble is logged once per change, in words, and stands in the status", () => {
  const world = new UplinkWorld({});
  world.uplink.start();
  for (let i = 0; i < 5; i++) {
    world.server.refuse("cloud:1883: name not found (ENOTFOUND)");
    world.server.advance(20_000);
  }
  world.server.refuse("cloud:1883: connection refused (ECONNREFUSED)");
  assert.equal(world.uplink.status().lastError, "cloud:1883: connection refused (ECONNREFUSED)");
  world.server.advance(60_000);
  const connection = world.accept(false);
  assert.equal(world.uplink.status().lastError, null);
  connection.drop("connection reset by peer (ECONNRESET)");
  assert.deepEqual(
    world.log.map((line) => line.replace(/ retryMs=\d+/, "")),
    [
      'warn  uplink-down uplink=cloud reason="cloud:1883: name not found (ENOTFOUND)"',
      'warn  uplink-down uplink=cloud reason="cloud:1883: connection refused (ECONNREFUSED)"',
      "info  uplink-connected uplink=cloud remote=fake:1883 protocol=5 session=new waiting=0 awayMs=160000 failedTries=6",
      'warn  uplink-down uplink=cloud reason="connection reset by peer (ECONNRESET)"',
    ],
  );
  assert.equal(world.counters.get("uplink.cloud.failures"), 7);
});

test("50 failed tries, whose reasons take turns, are a line for each reason, and one when it is over", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  world.connect().drop("connection reset by peer (ECONNRESET)");
  world.publish("a", "1");
  const reasons = ["cloud:1883: name not found (ENOTFOUND)", "cloud:1883: no route to host (EHOSTUNREACH)"];
  for (let i = 0; i < 50; i++) {
    world.server.advance(RETRY_CAP_MS + 50);
    world.server.refuse(reasons[i % 2] as string);
    assert.equal(world.uplink.status().failedTries, i + 2);
  }
  const { forMs, lastErrorAtMs } = world.uplink.status();
  assert.equal(forMs, 50 * (RETRY_CAP_MS + 50));
  assert.equal(lastErrorAtMs, world.server.clock.wallMs());
  world.server.advance(RETRY_CAP_MS + 50);
  world.accept();
  assert.deepEqual(
    world.log.slice(1).map((line) => line.replace(/ retryMs=\d+| remote=.*(?= waiting)/, "")),
    [
      'warn  uplink-down uplink=cloud reason="connection reset by peer (ECONNRESET)"',
      'warn  uplink-down uplink=cloud reason="cloud:1883: name not found (ENOTFOUND)"',
      'warn  uplink-down uplink=cloud reason="cloud:1883: no route to host (EHOSTUNREACH)"',
      `info  uplink-connected uplink=cloud waiting=1 awayMs=${51 * (RETRY_CAP_MS + 50)} failedTries=51`,
    ],
  );
  assert.deepEqual(world.uplink.status().lastOutage, {
    reason: "connection reset by peer (ECONNRESET)",
    endedAtMs: world.server.clock.wallMs(),
    lastedMs: 51 * (RETRY_CAP_MS + 50),
  });
});

test("a server with a new reason each time is told of 16 times; the status has the last", () => {
  const world = new UplinkWorld({});
  world.uplink.start();
  for (let i = 0; i < 50; i++) {
    world.server.refuse(`cloud:1883: trouble ${i}`);
    world.server.advance(RETRY_CAP_MS + 50);
  }
  assert.equal(world.log.length, REASONS_TOLD_MAX);
  assert.equal(world.uplink.status().lastError, "cloud:1883: trouble 49");
});

test("a refused login is told in words", () => {
  const world = new UplinkWorld({});
  world.uplink.start();
  const connection = world.server.accept();
  connection.take();
  connection.connack({ code: codes.NOT_AUTHORIZED });
  connection.drop();
  assert.equal(world.uplink.status().lastError, "refused: not authorised");
});

test("each code by which a server refuses a login is told in words, 3.1.1 and 5.0", () => {
  const words = (version: 4 | 5, connack: number[]): string => {
    const world = new UplinkWorld({ protocol: version });
    world.uplink.start();
    let connection = world.server.accept();
    for (;;) {
      connection.take();
      connection.send(Buffer.from(connack));
      if (!world.server.dialling) break;
      connection = world.server.accept(); // an older version, or without the bridge bit
    }
    connection.drop();
    return world.uplink.status().lastError ?? "";
  };
  const v3 = [1, 2, 3, 4, 5].map((code) => words(4, [0x20, 2, 0, code]));
  assert.deepEqual(v3, [
    "refused: unsupported protocol version",
    "refused: client id not accepted",
    "refused: server unavailable",
    "refused: bad user name or password",
    "refused: not authorised",
  ]);
  const all = [
    0x80, 0x81, 0x82, 0x83, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d,
    0x9f,
  ];
  const v5 = all.map((code) => words(5, [0x20, 3, 0, code, 0]));
  assert(
    v5.every((text) => /^refused: [a-z][a-z0-9 ]+$/i.test(text) && !text.includes("unknown")),
    v5.join(", "),
  );
  assert.equal(new Set(v5).size, all.length);
});

test("while the clock is not set, trouble with certificates says so", () => {
  const tls = { ca: null, cert: null, key: null, alpn: [], servername: null };
  const world = new UplinkWorld({ urls: ["mqtts://cloud:8883"], tls });
  world.clockSet = false;
  world.uplink.start();
  world.server.refuse("cloud:8883: the certificate is not valid yet: it begins on 2026-01-01");
  assert.match(world.uplink.status().lastError ?? "", /; the clock is not set$/);
});

test("the password file is read before each connect; the line end is not part of it", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "uplink-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "pw");
  const world = new UplinkWorld({ username: "u", passwordFile: file });
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise((resolve) => setImmediate(resolve));
  };
  world.uplink.start();
  await until(() => world.uplink.status().state === "down");
  assert.match(world.uplink.status().lastError ?? "", /^password_file .*pw: no such file or directory/);
  for (const [content, password] of [
    ["one\n", "one"],
    ["two\r\n", "two"],
    ["three", "three"],
  ] as const) {
    writeFileSync(file, content);
    world.server.advance(70_000);
    await until(() => world.server.dialling);
    const connection = world.server.accept();
    assert.equal(connection.takeOne(codes.CONNECT).connect?.password, password);
    connection.drop("reset");
  }
});

test("session present 0: everything unacknowledged is sent anew, without DUP; what has a PUBREC counts as delivered", async () => {
  const world = new UplinkWorld({ forward: [forward("1/#"), forward("2/#", { qos: 2 })] });
  const connection = world.connect();
  world.publish("1/a", "puback lost");
  world.publish("2/a", "received");
  world.publish("2/b", "publish lost");
  world.persist();
  const packets = connection.take();
  assert.equal(packets.length, 3);
  connection.send(connection.ack(codes.PUBREC, packets[1]!.packetId));
  connection.drop("reset");
  world.server.advance(1000);
  const again = await world.serve(world.accept(false));
  assert.deepEqual(published(again), ["1/a puback lost 1", "2/b publish lost 2"]);
  assert(again.every(({ dup }) => !dup));
});

test("session present 1: sent again with DUP under the same ids, PUBREL for what has a PUBREC", () => {
  const world = new UplinkWorld({ forward: [forward("1/#"), forward("2/#", { qos: 2 })] });
  const connection = world.connect();
  world.publish("1/a", "x");
  world.publish("2/a", "y");
  world.persist();
  const [one, two] = connection.take();
  connection.send(connection.ack(codes.PUBREC, two!.packetId));
  connection.drop("reset");
  world.server.advance(1000);
  const next = world.accept(true);
  world.persist();
  const packets = next.take();
  assert.deepEqual(
    packets.map(({ type, packetId, dup }) => [type, packetId, dup]).sort(),
    [
      [codes.PUBLISH, one!.packetId, true],
      [codes.PUBREL, two!.packetId, false],
    ].sort(),
  );
});

test("PUBREC of an id that is not in flight: PUBREL with 0x92; unknown PUBACK and PUBCOMP are ignored", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  connection.send(
    connection.ack(codes.PUBREC, 77),
    connection.ack(codes.PUBACK, 78),
    connection.ack(codes.PUBCOMP, 79),
  );
  const packet = connection.takeOne(codes.PUBREL);
  assert.deepEqual([packet.packetId, packet.reasonCode], [77, codes.PACKET_IDENTIFIER_NOT_FOUND]);
});

test("a message the server refuses is lost, counted and named; the others go on", () => {
  const world = new UplinkWorld({ forward: [forward("#", { qos: "keep" })] });
  const connection = world.connect();
  world.publish("no", "1", 1);
  world.publish("no", "2", 2);
  world.persist();
  for (const { qos, packetId } of connection.take()) {
    connection.send(connection.ack(qos === 1 ? codes.PUBACK : codes.PUBREC, packetId, codes.NOT_AUTHORIZED));
  }
  assert.deepEqual(world.uplink.status().dropped, { refused: 2 });
  assert.equal(world.ledger.entries()[0]?.topic, "no");
  assert.equal(world.uplink.status().spool.messages, 0);
  assert.equal(world.uplink.status().forwarded, 0);
  assert.equal(world.log.filter((line) => line.includes("uplink-message-refused")).length, 1);
});

test("0x97 is a full server, not a refusal: the message stays and is sent again on the next connection", async () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  world.publish("a", "1");
  connection.puback(connection.takeOne(codes.PUBLISH).packetId, codes.QUOTA_EXCEEDED);
  assert(connection.ended);
  connection.drop();
  assert.equal(world.uplink.status().lastError, "the server has no room: quota exceeded");
  world.server.advance(1000);
  assert.deepEqual(published(await world.serve(world.accept())), ["a 1 1"]);
  assert.deepEqual(world.uplink.status().dropped, {});
});

test("a server that answers pings but not the oldest message is left and tried again", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  world.publish("a", "stuck");
  const stuck = connection.takeOne(codes.PUBLISH).packetId;
  for (let second = 0; second < (2 * STALL_MS) / 1000 + 2 && !connection.ended; second++) {
    world.server.advance(1000);
    world.publish("a", `${second}`);
    for (const { type, packetId } of connection.take()) {
      if (type === codes.PUBLISH && packetId !== stuck) connection.puback(packetId);
      if (type === codes.PINGREQ) connection.send(Buffer.from([0xd0, 0]));
    }
  }
  assert(connection.ended);
  connection.drop();
  assert.equal(world.uplink.status().lastError, "no acknowledgement within 60 s");
});

test("a server that acknowledges slowly but steadily is left alone, and so is an idle connection", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  world.publish("a", "0");
  for (let i = 0; i < 10; i++) {
    const due = connection.take().filter(({ type }) => type === codes.PUBLISH);
    for (let part = 0; part < 11; part++) {
      world.server.advance(5000);
      connection.send(Buffer.from([0xd0, 0]));
    }
    world.publish("a", `${i}`);
    connection.puback(due[0]!.packetId);
  }
  for (let second = 0; second < 600; second++) {
    if (second % 5 === 0) connection.send(Buffer.from([0xd0, 0]));
    for (const { type, packetId } of connection.take()) if (type === codes.PUBLISH) connection.puback(packetId);
    world.server.advance(1000);
  }
  assert(!connection.ended);
});

test("a path that dies while an answer is owed is noticed within half a minute, a slow one is not taken for dead", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  world.publish("a", "1");
  connection.takeOne(codes.PUBLISH);
  connection.sendQueue = 5000;
  world.server.advance(2 * QUIET_MS + 100);
  connection.takeOne(codes.PINGREQ);
  for (let queue = 4000; queue > 0; queue -= 1000) {
    world.server.advance(OWED_DEADLINE_MS - 1000);
    connection.sendQueue = queue;
  }
  assert(!connection.ended, "its bytes get fewer");
  world.server.advance(2 * OWED_DEADLINE_MS + 100);
  assert(connection.ended);
  connection.drop();
  assert.equal(world.uplink.status().lastError, "no sign of life from the server");

  const dead = new UplinkWorld({ forward: [forward("#")] });
  const silent = dead.connect();
  dead.publish("a", "1");
  dead.server.advance(2 * QUIET_MS + OWED_DEADLINE_MS + 100);
  assert(silent.ended);
});

test("a server that answers pings and acknowledges late is asked again and again, and kept", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  world.publish("a", "1");
  let pings = 0;
  for (let second = 0; second < 60; second++) {
    world.server.advance(1000);
    for (const { type } of connection.take()) {
      if (type !== codes.PINGREQ) continue;
      pings++;
      connection.send(Buffer.from([0xd0, 0]));
    }
  }
  assert(!connection.ended);
  assert(pings >= 3 && pings <= 6, `${pings}`);
});

test("the socket is never paused", () => {
  const world = new UplinkWorld({ forward: [forward("#")], receive: [receive("r/#")], window: 1 });
  const connection = world.connect();
  world.store.refusal = 0x97;
  for (let i = 1; i <= 64; i++) connection.send(connection.publish("r/1", "x", 1, i, { retain: true }));
  world.store.refusal = 0;
  for (let i = 0; i < 2000; i++) world.publish("a", `${i}`);
  assert(!connection.paused);
});

test("stop: nothing new goes out, what is in flight is waited for, then goodbye; nothing is tried afterwards", async () => {
  const world = new UplinkWorld({ forward: [forward("#")], receive: [receive("r")] });
  const connection = world.connect();
  connection.take();
  world.publish("a", "1");
  const stopped = world.uplink.stop();
  world.publish("a", "2");
  connection.send(connection.publish("r", "in", 1, 7, { retain: true }));
  const { packetId, payload } = connection.takeOne(codes.PUBLISH);
  assert.equal(payload, "1");
  connection.puback(packetId);
  assert.deepEqual(connection.take(), []);
  world.persist();
  assert.deepEqual(
    connection.take().map(({ type }) => type),
    [codes.PUBACK, codes.DISCONNECT],
  );
  connection.drop();
  await stopped;
  assert.equal(world.uplink.status().spool.messages, 1);
  world.server.advance(120_000);
  assert(!world.server.dialling);

  const deaf = new UplinkWorld({ forward: [forward("#")] });
  const silent = deaf.connect();
  deaf.publish("a", "1");
  const closed = deaf.uplink.stop();
  deaf.server.advance(LEAVE_MS + 50);
  assert.equal(silent.take().at(-1)?.type, codes.DISCONNECT);
  silent.drop();
  await closed;

  const waiting = new UplinkWorld({});
  waiting.uplink.start();
  waiting.server.refuse("cloud:1883: connection refused");
  await waiting.uplink.stop();
  waiting.server.advance(120_000);
  assert(!waiting.server.dialling);

  const dialling = new UplinkWorld({});
  dialling.uplink.start();
  await dialling.uplink.stop();
  assert(!dialling.server.dialling);
});

test("each state is told once: resolving, connecting, draining, live, down", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const states: string[] = [];
  world.uplink.watch((state) => states.push(state));
  world.publish("a", "1");
  world.uplink.start();
  world.server.resolve();
  const connection = world.accept(false);
  connection.puback(connection.takeOne(codes.PUBLISH).packetId);
  connection.drop("reset");
  world.server.advance(1000);
  world.server.refuse("cloud:1883: name not found (ENOTFOUND)");
  assert.deepEqual(states, ["resolving", "connecting", "draining", "live", "down", "resolving", "down"]);
});

test("hold: leaves in order, spools, tries nothing; the release of the last reason connects at once", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  world.publish("a", "1");
  const { packetId } = connection.takeOne(codes.PUBLISH);
  world.uplink.hold("data-cap", () => "500 MB of this month are used");
  world.uplink.hold("schedule");
  world.publish("a", "2");
  assert.deepEqual(connection.take(), []);
  connection.puback(packetId);
  world.persist();
  connection.takeOne(codes.DISCONNECT);
  connection.drop();
  const { state, heldBy, lastError, retryInMs, spool } = world.uplink.status();
  assert.deepEqual([state, heldBy], ["held", ["500 MB of this month are used", "schedule"]]);
  assert.deepEqual([lastError, retryInMs, spool.messages], [null, null, 1]);
  world.server.advance(600_000);
  world.uplink.release("data-cap");
  world.uplink.release("never given");
  assert(!world.server.dialling);
  world.uplink.release("schedule");
  assert(world.server.dialling);
  const again = world.accept();
  assert.deepEqual(published(again.take()), ["a 2 1"]);
  assert.equal(world.counters.get("uplink.cloud.failures"), 0);
  assert.deepEqual(
    world.log.filter((line) => /held|released/.test(line)),
    ['info  uplink-held uplink=cloud reason="500 MB of this month are used"', "info  uplink-released uplink=cloud"],
  );
});

test("hold in every state: before the start, while dialling, before CONNACK, while waiting for the next try", () => {
  const unborn = new UplinkWorld({});
  unborn.uplink.hold("schedule");
  unborn.uplink.start();
  assert.deepEqual([unborn.uplink.status().state, unborn.server.dialling], ["held", false]);
  unborn.uplink.release("schedule");
  assert(unborn.server.dialling);

  const dialling = new UplinkWorld({});
  dialling.uplink.start();
  dialling.uplink.hold("schedule");
  assert.deepEqual([dialling.uplink.status().state, dialling.server.dialling], ["held", false]);

  const greeting = new UplinkWorld({});
  greeting.uplink.start();
  const connection = greeting.server.accept();
  greeting.uplink.hold("schedule");
  assert(connection.ended);
  greeting.uplink.release("schedule");
  connection.drop();
  assert(greeting.server.dialling, "held and released while the link was closing");

  const waiting = new UplinkWorld({});
  waiting.uplink.start();
  waiting.server.refuse("cloud:1883: connection refused (ECONNREFUSED)");
  waiting.uplink.hold("schedule");
  waiting.server.advance(600_000);
  assert.deepEqual([waiting.uplink.status().state, waiting.server.dialling], ["held", false]);
});

test("held with a server that acknowledges nothing: goodbye after a moment; stop while held", async () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  world.publish("a", "1");
  connection.take();
  world.uplink.hold("schedule");
  world.server.advance(LEAVE_MS + 50);
  connection.takeOne(codes.DISCONNECT);
  connection.drop();
  assert.equal(world.uplink.status().state, "held");
  await world.uplink.stop();
  world.uplink.release("schedule");
  world.server.advance(120_000);
  assert(!world.server.dialling);
  assert.equal(world.uplink.status().state, "down");
});
