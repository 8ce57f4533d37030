import assert from "node:assert/strict";
import { test } from "node:test";
import { IN_FLIGHT_BYTES_MAX } from "../../../../src/uplink/out/spool.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import * as table from "../../../../src/wire/mqtt/property-table.ts";
import { type FakeConnection, properties } from "../fake-server.ts";
import { forward, published, UplinkWorld } from "../uplink-world.ts";

test("a live message goes out at once, and its publisher is told when the store has it", () => {
  const world = new UplinkWorld({ forward: [forward("s/#", { to: "site/{topic}" })] });
  const connection = world.connect();
  const token = world.publish("s/a", "1");
  const packet = connection.takeOne(codes.PUBLISH);
  assert.deepEqual([packet.topic, packet.payload, packet.qos, packet.dup], ["site/s/a", "1", 1, false]);
  assert.deepEqual(world.told, []);
  world.persist();
  assert.deepEqual(world.told, [[token, 0]]);
  assert.equal(world.uplink.status().inFlight, 1);
  connection.puback(packet.packetId);
  assert.deepEqual([world.uplink.status().inFlight, world.uplink.status().forwarded], [0, 1]);
});

test("elision: acknowledged by the server before the commit was due, a message is never written", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  const token = world.publish("a", "1");
  connection.puback(connection.takeOne(codes.PUBLISH).packetId);
  assert.deepEqual(world.told, [[token, 0]]);
  assert.equal(world.store.elided, 1);
});

test("offline messages wait in the store and drain in order through the window", async () => {
  const world = new UplinkWorld({ forward: [forward("#")], window: 3 });
  for (let i = 0; i < 20; i++) world.publish("a", `${i}`, i % 2);
  assert.equal(world.uplink.status().spool.messages, 20);
  const connection = world.connect();
  assert.equal(world.uplink.status().state, "draining");
  assert.equal(connection.take().length, 3);
  connection.drop("reset");
  world.server.advance(1000);
  const again = world.accept();
  const packets = await world.serve(again);
  assert.deepEqual(
    packets.map(({ payload }) => payload),
    Array.from({ length: 20 }, (_, i) => `${i}`),
  );
  assert(packets.every(({ qos }) => qos === 1));
  assert.deepEqual(
    packets.map(({ dup }) => dup),
    packets.map((_, i) => i < 3),
  );
  assert.equal(world.uplink.status().state, "live");
  assert.equal(world.uplink.status().spool.messages, 0);
});

test("the window is ours, or one less than the server's Receive Maximum", () => {
  const world = new UplinkWorld({ forward: [forward("#")], window: 8 });
  world.uplink.start();
  const connection = world.server.accept();
  connection.take();
  connection.connack({ properties: properties((p) => p.two(table.RECEIVE_MAXIMUM, 5)) });
  for (let i = 0; i < 10; i++) world.publish("a", `${i}`);
  assert.equal(connection.take().length, 4);
  assert.equal(world.uplink.status().window, 4);
});

test("a server of 3.1.1 cannot say how many QoS 2 messages it takes at once: it gets no more than Mosquitto takes", () => {
  for (const [qos, window] of [
    [1, 64],
    [2, 19],
    ["keep", 19],
  ] as const) {
    const world = new UplinkWorld({ protocol: 4, forward: [forward("#", { qos })], window: 64 });
    world.connect();
    assert.equal(world.uplink.status().window, window, `forwarded with QoS ${qos}`);
  }
});

test("messages in flight are bounded in bytes as well", async () => {
  const world = new UplinkWorld({
    forward: [forward("#")],
    window: 64,
    spool: { maxBytes: 1e8, maxMessages: 1000, maxAgeMs: 1e9, whenFull: "refuse", priorities: [] },
  });
  const size = IN_FLIGHT_BYTES_MAX / 4;
  for (let i = 0; i < 8; i++) world.publish("a", `${i}`.padEnd(size, "x"));
  const connection = world.connect();
  for (let i = 0; i < 5; i++) {
    connection.turn();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const first = connection.take();
  assert.equal(first.length, 4);
  for (const { packetId } of first) connection.puback(packetId);
  const rest = await world.serve(connection);
  assert.equal(rest.length, 4);
});

test("one message to several topics is done when all are acknowledged", async () => {
  const world = new UplinkWorld({ forward: [forward("a/#", { to: "x/{rest}" }), forward("+/b", { to: "y", qos: 2 })] });
  const connection = world.connect();
  world.publish("a/b", "1");
  world.persist();
  const [one, two] = connection.take();
  assert.deepEqual(published([one!, two!]), ["x/b 1 1", "y 1 2"]);
  connection.puback(one!.packetId);
  assert.equal(world.uplink.status().spool.messages, 1);
  connection.send(connection.ack(codes.PUBREC, two!.packetId));
  assert.equal(world.uplink.status().spool.messages, 0);
});

test("qos: keep sends what the publisher used; QoS 0 is then not stored", () => {
  const world = new UplinkWorld({ forward: [forward("k/#", { qos: "keep" })] });
  world.publish("k/0", "lost", 0);
  world.publish("k/1", "kept", 1);
  assert.equal(world.uplink.status().spool.messages, 1);
  const connection = world.connect();
  world.publish("k/0", "live", 0);
  assert.deepEqual(published(connection.take()), ["k/1 kept 1", "k/0 live 0"]);
  assert.deepEqual(world.uplink.status().dropped, { offline: 1 });
});

test("where keep and a QoS overlap, the higher of both holds and QoS 0 is stored", () => {
  const world = new UplinkWorld({ forward: [forward("k/#", { qos: "keep" }), forward("k/+/s", { qos: 1 })] });
  world.publish("k/a/s", "0", 0);
  world.publish("k/a/t", "0", 0);
  assert.equal(world.uplink.status().spool.messages, 1);
  const connection = world.connect();
  assert.deepEqual(published(connection.take()), ["k/a/s 0 1"]);
});

test("a rule of QoS 0 stores nothing and sends live only", () => {
  const world = new UplinkWorld({ forward: [forward("#", { qos: 0 })] });
  assert.equal(world.publish("a", "1", 1), -1);
  const connection = world.connect();
  world.publish("a", "2", 1);
  world.publish("a", "3", 0);
  assert.deepEqual(published(connection.take()), ["a 2 0", "a 3 0"]);
  assert.deepEqual(world.uplink.status().dropped, { offline: 1 });
});

test("offline: drop stores while connected, nothing while not", async () => {
  const world = new UplinkWorld({ forward: [forward("d/#", { offline: "drop" }), forward("s/#")] });
  assert.equal(world.publish("d/1", "lost"), -1);
  world.publish("s/1", "kept");
  const connection = world.connect();
  assert.notEqual(world.publish("d/1", "live"), -1);
  assert.deepEqual(published(connection.take()), ["s/1 kept 1", "d/1 live 1"]);
  connection.drop("reset");
  assert.equal(world.publish("d/1", "lost too"), -1);
  world.server.advance(1000);
  const packets = await world.serve(world.accept());
  assert.deepEqual(published(packets), ["s/1 kept 1", "d/1 live 1"]);
  assert.deepEqual(world.uplink.status().dropped, { offline: 2 });
});

test("the RETAIN flag is forwarded as published, unless the server has no retained messages", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  world.publish("r", "1", 1, true);
  world.publish("r", "2", 1, false);
  assert.deepEqual(
    connection.take().map(({ retain }) => retain),
    [true, false],
  );
  connection.drop();
  world.server.advance(1000);
  const plain = world.server.accept();
  plain.take();
  plain.connack({ properties: properties((p) => p.byte(table.RETAIN_AVAILABLE, 0)) });
  assert(plain.take().every(({ retain }) => !retain));
});

test("[MQTT5-3.2.2-11] a server's Maximum QoS lowers ours", () => {
  const world = new UplinkWorld({ forward: [forward("#", { qos: 2 })] });
  world.uplink.start();
  const connection = world.server.accept();
  connection.take();
  connection.connack({ properties: properties((p) => p.byte(table.MAXIMUM_QOS, 1)) });
  world.publish("a", "1");
  assert.deepEqual(published(connection.take()), ["a 1 1"]);
});

test("[MQTT5-3.1.2-25] larger than the server takes: dropped, counted once, and the next one goes", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  world.uplink.start();
  const connection = world.server.accept();
  connection.take();
  connection.connack({ properties: properties((p) => p.four(table.MAXIMUM_PACKET_SIZE, 100)) });
  const overhead = 2 + 2 + 1 + 2 + 1;
  const told = [world.publish("a", "x".repeat(100 - overhead)), world.publish("a", "y".repeat(101 - overhead))];
  world.publish("a", "z");
  world.persist();
  assert.deepEqual(
    connection.take().map(({ payload }) => payload[0]),
    ["x", "z"],
  );
  assert.deepEqual(world.uplink.status().dropped, { "too-large": 1 });
  assert(told.every((token) => world.told.some(([t, reason]) => t === token && reason === 0)));
});

test("when_full: refuse refuses the publisher, drop-newest drops, drop-oldest makes room", () => {
  const spool = { maxBytes: 1e6, maxMessages: 2, maxAgeMs: 1e9 };
  const payloads = (
    whenFull: "refuse" | "drop-newest" | "drop-oldest",
  ): { sent: string[]; last: number; dropped: object } => {
    const world = new UplinkWorld({ forward: [forward("#")], spool: { ...spool, whenFull, priorities: [] } });
    world.publish("a", "1");
    world.publish("a", "2");
    const p = world.publish("a", "3");
    const connection = world.connect();
    return { sent: connection.take().map(({ payload }) => payload), last: p, dropped: world.uplink.status().dropped };
  };
  assert.deepEqual(payloads("refuse"), { sent: ["1", "2"], last: -1, dropped: {} });
  assert.deepEqual(payloads("drop-newest").sent, ["1", "2"]);
  assert.deepEqual(payloads("drop-oldest").sent.at(-1), "3");
  assert.deepEqual(payloads("drop-oldest").dropped, { "queue-full": 1 });
});

test("older than max_age: dropped when its turn comes", () => {
  const world = new UplinkWorld({
    forward: [forward("#")],
    spool: { maxBytes: 1e6, maxMessages: 100, maxAgeMs: 5000, whenFull: "refuse", priorities: [] },
  });
  world.publish("a", "old");
  world.server.advance(5100);
  world.publish("a", "new");
  assert.deepEqual(published(world.connect().take()), ["a new 1"]);
  assert.deepEqual(world.uplink.status().dropped, { "too-old": 1 });
});

test("the time from PUBLISH to PUBACK is smoothed", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  const exchange = (ms: number): void => {
    world.publish("a", "1");
    const { packetId } = connection.takeOne(codes.PUBLISH);
    world.server.clock.advance(ms);
    connection.puback(packetId);
  };
  assert.equal(world.uplink.ackTimeMs, 0);
  exchange(100);
  assert.equal(world.uplink.ackTimeMs, 100);
  exchange(20);
  assert.equal(world.uplink.ackTimeMs, 90);
});

test("a message whose topic no rule wants any more (rules changed over a restart) is dropped as invalid, not sent", () => {
  const before = new UplinkWorld({ forward: [forward("old/#"), forward("new/#")] });
  before.publish("old/1", "x");
  before.publish("new/1", "y");
  before.persist();
  const after = before.crash({ forward: [forward("new/#")] });
  assert.deepEqual(published(after.connect(true).take()), ["new/1 y 1"]);
  assert.deepEqual(after.uplink.status().dropped, { invalid: 1 });
  assert.equal(after.uplink.status().spool.messages, 1);
});

test("QoS 2 over a crash at any step reaches the server once", async () => {
  for (let steps = 0; steps < 8; steps++) {
    let world = new UplinkWorld({ forward: [forward("#", { qos: 2 })] });
    const delivered: string[] = [];
    const taken = new Set<number>();
    /** A server that keeps its session; stops after `limit` packets of its own. */
    const serve = (connection: FakeConnection, limit: number): void => {
      let left = limit;
      for (let packets = connection.take(); packets.length > 0 && left > 0; packets = connection.take()) {
        for (const { type, packetId, payload } of packets) {
          if (type === codes.PUBLISH && !taken.has(packetId)) {
            taken.add(packetId);
            delivered.push(payload);
          }
          if (type === codes.PUBREL) taken.delete(packetId);
          if (left-- <= 0) return;
          const answer = type === codes.PUBLISH ? codes.PUBREC : codes.PUBCOMP;
          connection.send(connection.ack(answer, packetId));
        }
        if (left > 0) world.persist();
      }
    };
    const connection = world.connect();
    for (const payload of ["1", "2", "3"]) world.publish("a", payload, 2);
    world.persist();
    serve(connection, steps);
    world = world.crash();
    const next = world.connect(true);
    world.persist();
    for (let round = 0; round < 5; round++) {
      serve(next, 100);
      world.persist();
      next.turn();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(delivered, ["1", "2", "3"], `after ${steps} steps`);
    assert.equal(world.uplink.status().spool.messages, 0);
  }
});

test("[MQTT5-3.3.2-6] the time in the spool is taken off the Message Expiry Interval, to the second", async () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  for (const seconds of [200, 101, 100]) world.publish("a", `${seconds}`, 1, false, seconds);
  world.publish("a", "for ever");
  world.persist();
  // The dial's own way takes no time here.
  world.server.advance(99_999);
  const packets = await world.serve(world.connect());
  assert.deepEqual(
    packets.map(({ payload, expirySeconds }) => [payload, expirySeconds]),
    [
      ["200", 101],
      ["101", 2],
      ["100", 1],
      ["for ever", -1],
    ],
  );
});

test("[MQTT5-3.3.2-5] what expired in the spool is dropped and listed; a server of 3.1.1 gets the rest without the property", async () => {
  for (const protocol of [4, 5] as const) {
    const world = new UplinkWorld({ protocol, forward: [forward("#")] });
    for (const seconds of [100, 101]) world.publish("a", `${seconds}`, 1, false, seconds);
    world.persist();
    world.server.advance(100_000);
    const packets = await world.serve(world.connect());
    assert.deepEqual(
      packets.map(({ payload, expirySeconds }) => [payload, expirySeconds]),
      [["101", protocol === 5 ? 1 : -1]],
    );
    assert.deepEqual(
      world.ledger.entries().map(({ receiver, cause }) => [receiver, cause]),
      [["uplink:cloud", "expired"]],
    );
    assert.equal(world.uplink.status().spool.messages, 0);
  }
});

test("a live message goes up with the interval as it came, and a clock that was set back does not lengthen it", async () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  world.publish("a", "live", 1, false, 100);
  assert.equal(connection.takeOne(codes.PUBLISH).expirySeconds, 100);
  const offline = new UplinkWorld({ forward: [forward("#")] });
  offline.publish("a", "kept", 1, false, 100);
  offline.persist();
  offline.server.clock.setWall(offline.server.clock.wallMs() - 50_000);
  assert.equal((await offline.serve(offline.connect()))[0]?.expirySeconds, 100);
});

test("one message to several topics through a window of one: done when the last is acknowledged, whichever came first", async () => {
  const rules = [forward("#", { to: "x/{topic}", qos: 2 }), forward("#", { to: "y/{topic}" })];
  const world = new UplinkWorld({ window: 1, forward: rules });
  for (const payload of ["1", "2", "3"]) world.publish("a", payload);
  world.persist();
  const packets = await world.serve(world.connect());
  assert.deepEqual(published(packets), ["x/a 1 2", "y/a 1 1", "x/a 2 2", "y/a 2 1", "x/a 3 2", "y/a 3 1"]);
  assert.deepEqual(world.uplink.status().spool, { ...world.uplink.status().spool, messages: 0, bytes: 0 });
});

test("[MQTT5-4.4.0-1] of a message to several topics only what is not acknowledged goes again, under its own packet id", () => {
  for (const crash of [false, true]) {
    for (const answered of [0, 1, 2]) {
      const rules = ["x", "y", "z"].map((to) => forward("#", { to, qos: 2 }));
      let world = new UplinkWorld({ forward: rules, window: 10 });
      let connection = world.connect();
      world.publish("a", "1", 2);
      world.publish("b", "2", 2);
      world.persist();
      const sent = connection.take();
      const { packetId: done } = sent[answered]!;
      connection.send(connection.ack(codes.PUBREC, done));
      world.persist();
      connection.send(connection.ack(codes.PUBCOMP, done));
      world.persist();
      if (crash) world = world.crash();
      else connection.drop("reset");
      if (!crash) world.server.advance(1000);
      connection = crash ? world.connect(true) : world.accept(true);
      world.persist();
      const again = connection.take().filter(({ type }) => type === codes.PUBLISH);
      assert.deepEqual(
        again.map(({ topic, packetId }) => [topic, packetId]),
        sent.filter((_, i) => i !== answered).map(({ topic, packetId }) => [topic, packetId]),
        `part ${answered} was answered`,
      );
    }
  }
});

for (const drain of ["oldest-first", "newest-first"] as const) {
  test(`${drain}: what comes, or becomes durable, while the connection is being closed waits for the next one`, () => {
    const world = new UplinkWorld({ forward: [forward("a", { qos: 2 }), forward("a", { qos: 2, to: "b" })], drain });
    const connection = world.connect();
    world.publish("a", "1", 2);
    connection.send(Buffer.from([0xf0, 0])); // AUTH, which nobody asked for
    world.publish("a", "2", 2);
    world.persist();
    connection.drop();
    world.server.advance(2000);
    const next = world.accept(true);
    world.persist();
    next.turn();
    assert.deepEqual(published(next.take()).sort(), ["a 1 2", "a 2 2", "b 1 2", "b 2 2"]);
  });
}
