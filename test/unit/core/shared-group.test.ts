import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SPAN_MAX } from "../../../src/core/packet-ids.ts";
import type { Authority, LoginRequest, LoginWaiter } from "../../../src/core/ports.ts";
import { Hub } from "../../support/mqtt-hub.ts";
import {
  bytes,
  field,
  type Packet,
  PUBACK,
  PUBLISH,
  PUBREC,
  packet,
  properties,
  readPublish,
  readSuback,
  SUBACK,
  subscribe,
  u16,
} from "../../support/mqtt-packets.ts";
import { SHARE, Source, Worker } from "../../support/mqtt-workers.ts";

const KEPT = { version: 5, clean: false, expirySeconds: 600 } as const;
function gotBy(workers: readonly Worker[]): string[] {
  return workers.flatMap((worker) => worker.got.map(({ payload }) => payload)).sort(byNumber);
}

function byNumber(a: string, b: string): number {
  return Number(a.slice(1)) - Number(b.slice(1));
}

function payloads(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `m${i}`);
}

describe("the choice of a member", () => {
  for (const qos of [0, 1, 2]) {
    test(`QoS ${qos}: members that keep up get equal shares, each message once`, () => {
      const hub = new Hub();
      const workers = ["a", "b", "c"].map((clientId) => Worker.sharing(hub, { clientId, kept: true }));
      const source = new Source(hub);
      for (let i = 0; i < 30; i++) {
        source.send(qos);
        for (const worker of workers) worker.drain(hub);
      }
      assert.deepEqual(
        workers.map(({ got }) => got.length),
        [10, 10, 10],
      );
      assert.deepEqual(gotBy(workers), payloads(30));
      assert.ok(workers.every(({ got }) => got.every((message) => message.qos === qos && !message.dup)));
    });
  }

  test("a member that is slower gets fewer, and holds nobody up", () => {
    const hub = new Hub();
    const fast = Worker.sharing(hub, { clientId: "fast" });
    const slow = Worker.sharing(hub, { clientId: "slow", receiveMaximum: 3 });
    const source = new Source(hub);
    for (let i = 0; i < 200; i++) {
      source.send(1);
      fast.drain(hub);
    }
    slow.read();
    assert.equal(slow.got.length, 3, "its Receive Maximum");
    assert.equal(fast.got.length, 197);
  });

  test("a member's own messages and those of the group share its Receive Maximum", () => {
    const hub = new Hub();
    const worker = Worker.sharing(hub, { clientId: "a", receiveMaximum: 4, kept: true });
    worker.subscribe("own", 1);
    hub.settle();
    const source = new Source(hub);
    for (let i = 0; i < 5; i++) {
      source.send(1, "own");
      source.send(1);
    }
    hub.settle();
    worker.read();
    assert.equal(worker.owed.length, 4);
    const ids = new Set(worker.owed.map(({ packetId }) => packetId));
    assert.equal(ids.size, 4, "all under packet ids of their own");
    for (let open = 10; open > 0; open--) {
      worker.answer();
      hub.settle();
      worker.read();
      assert.ok(worker.owed.length <= 4);
    }
    assert.equal(worker.got.length, 10);
  });

  test("with nobody free the messages wait, and go to whoever is free first", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a", receiveMaximum: 1 });
    const b = Worker.sharing(hub, { clientId: "b", receiveMaximum: 1 });
    const source = new Source(hub);
    for (let i = 0; i < 5; i++) source.send(1);
    hub.settle();
    assert.deepEqual([a.read(), b.read()], [["m0"], ["m1"]]);
    b.answer();
    assert.deepEqual([a.read(), b.read()], [[], ["m2"]]);
    b.drain(hub);
    assert.deepEqual(b.got.length, 4);
    assert.deepEqual(a.got.length, 1);
  });

  test("the groups of one member take turns in its window", () => {
    const hub = new Hub();
    const worker = Worker.sharing(hub, { clientId: "a", receiveMaximum: 1 });
    worker.subscribe("$share/h/u", 1);
    const source = new Source(hub);
    for (let i = 0; i < 20; i++) {
      source.send(1, "t");
      source.send(1, "u");
    }
    hub.settle();
    for (let i = 0; i < 20; i++) {
      worker.read();
      worker.answer();
    }
    const ofT = worker.got.filter(({ topic }) => topic === "t").length;
    assert.ok(ofT >= 5 && ofT <= 15, `${ofT} of 20 are of the one group`);
  });

  test("a member whose output is full is passed over", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a" });
    const b = Worker.sharing(hub, { clientId: "b" });
    const source = new Source(hub);
    a.peer.blocked = true;
    for (const qos of [0, 1, 0, 1]) source.send(qos);
    hub.settle();
    assert.deepEqual([a.read(), b.read()], [[], payloads(4)]);
    b.peer.blocked = true;
    source.send(0);
    assert.equal(hub.counters.counter("session.output_full").value, 1, "QoS 0 with everybody full is a drop");
    source.send(1);
    a.peer.blocked = false;
    a.peer.handler.onDrain();
    assert.deepEqual(a.read(), ["m5"]);
  });

  test("QoS 0 with no member connected is not delivered, and not kept", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a", kept: true });
    a.peer.drop();
    new Source(hub).send(0);
    hub.settle();
    assert.equal(hub.store.rows.length, 0);
    assert.deepEqual(new Worker(hub, { clientId: "a", kept: true }).read(), []);
  });
});

describe("what each member gets", () => {
  test("[MQTT5-4.8.2-3] its own QoS, Retain As Published and Subscription Identifier", () => {
    const hub = new Hub();
    const a = new Worker(hub, { clientId: "a" });
    a.subscribe(SHARE, 0x08 | 1, properties(5, 0x0b, 7));
    const b = new Worker(hub, { clientId: "b" });
    b.subscribe(SHARE, 0);
    hub.settle();
    a.read();
    b.read();
    const source = new Source(hub);
    source.send(2, "t", true);
    source.send(2, "t", true);
    hub.settle();
    const [toA] = a.peer.take().filter(({ type }) => type === PUBLISH) as [Packet];
    const [toB] = b.peer.take().filter(({ type }) => type === PUBLISH) as [Packet];
    assert.deepEqual(
      [readPublish(5, toA), readPublish(5, toB)].map(({ qos, retain }) => [qos, retain]),
      [
        [1, true],
        [0, false],
      ],
    );
    assert.deepEqual([...toA.body.subarray(5, 8)], [2, 0x0b, 7]);
    assert.equal(toB.body[3], 0, "no properties");
  });

  test("the same filter in two groups: each group gets a copy; share names are case-sensitive", () => {
    const hub = new Hub();
    const workers = ["$share/g/t", "$share/G/t", "$share/h/t", "t"].map((filter, i) =>
      Worker.sharing(hub, { clientId: `${i}`, filter }),
    );
    new Source(hub).send(1);
    assert.deepEqual(
      workers.map((worker) => worker.read()),
      [["m0"], ["m0"], ["m0"], ["m0"]],
    );
  });

  test("a client with a shared and an ordinary subscription gets both copies, under different packet ids", () => {
    const hub = new Hub();
    const worker = Worker.sharing(hub, { clientId: "a" });
    worker.subscribe("t", 1);
    worker.read();
    new Source(hub).send(1);
    assert.deepEqual(worker.read(), ["m0", "m0"]);
    assert.notEqual(worker.owed[0]?.packetId, worker.owed[1]?.packetId);
    worker.drain(hub);
    assert.equal(hub.registry.inFlight, 0);
  });

  test("a subscription that is changed holds from then on", () => {
    const hub = new Hub();
    const worker = Worker.sharing(hub, { clientId: "a", qos: 0 });
    const source = new Source(hub);
    source.send(1);
    worker.subscribe(SHARE, 1);
    source.send(1);
    worker.read();
    assert.deepEqual(
      worker.got.map(({ qos }) => qos),
      [0, 1],
    );
    assert.equal(hub.counters.get("share.groups"), 1);
  });

  test("a shared subscription brings no retained messages", () => {
    const hub = new Hub();
    new Source(hub).send(1, "t", true);
    hub.settle();
    const worker = new Worker(hub, { clientId: "a" });
    worker.subscribe(SHARE, 1);
    hub.settle();
    assert.deepEqual(worker.read(), []);
  });

  test("wildcards match behind the share name", () => {
    const hub = new Hub();
    const worker = Worker.sharing(hub, { clientId: "a", filter: "$share/g/a/+/#" });
    const source = new Source(hub);
    source.send(1, "a/b/c");
    source.send(1, "b");
    assert.deepEqual(worker.read(), ["m0"]);
  });

  test("clients of MQTT 3.1.1 take part", () => {
    const hub = new Hub();
    const peer = hub.connect({ version: 4, clientId: "a" });
    peer.send(subscribe(4, 1, [SHARE, 1]));
    assert.deepEqual(
      peer
        .take()
        .filter(({ type }) => type === SUBACK)
        .map((found) => readSuback(4, found)),
      [[1]],
    );
    new Source(hub).send(1);
    assert.equal(peer.take().filter(({ type }) => type === PUBLISH).length, 1);
  });
});

describe("rights", () => {
  /** `secret` is for a alone, `nobody` for none. */
  const GUARDED: Authority = {
    generation: 0,
    open: false,
    scramRecord: () => null,
    authenticate({ clientId }: LoginRequest, waiter: LoginWaiter): void {
      waiter.onLogin({ name: "", clientId }, 0);
    },
    mayPublish: () => true,
    mayRead: ({ clientId }, topic) => topic !== "nobody" && (topic !== "secret" || clientId === "a"),
    maySubscribe: (_principal, filter) => filter !== "forbidden",
  };

  function guarded(): Hub {
    return new Hub(undefined, undefined, undefined, GUARDED);
  }

  for (const qos of [0, 1, 2]) {
    test(`QoS ${qos}: only a member that may read the topic gets the message`, () => {
      const hub = guarded();
      const a = Worker.sharing(hub, { clientId: "a", filter: "$share/g/#" });
      const b = Worker.sharing(hub, { clientId: "b", filter: "$share/g/#" });
      const source = new Source(hub);
      for (let i = 0; i < 4; i++) source.send(qos, "secret");
      for (let n = 0; n < 4; n++) {
        a.drain(hub);
        b.drain(hub);
      }
      assert.deepEqual(gotBy([a]), payloads(4));
      assert.deepEqual(gotBy([b]), []);
    });
  }

  test("what no member may read is done, and holds nothing up", () => {
    const hub = guarded();
    const b = Worker.sharing(hub, { clientId: "b", filter: "$share/g/#" });
    const source = new Source(hub);
    source.send(1, "nobody");
    source.send(1, "t");
    assert.deepEqual(b.read(), ["m1"]);
    b.drain(hub);
    assert.equal(hub.counters.get("share.waiting"), 0);
    assert.deepEqual(source.acknowledged(), [1, 2]);
  });

  test("what only a member that is away may read waits for it", () => {
    const hub = guarded();
    const a = Worker.sharing(hub, { clientId: "a", filter: "$share/g/#", kept: true });
    const b = Worker.sharing(hub, { clientId: "b", filter: "$share/g/#" });
    a.peer.drop();
    new Source(hub).send(1, "secret");
    hub.settle();
    assert.deepEqual(b.read(), []);
    assert.deepEqual(new Worker(hub, { clientId: "a", kept: true }).read(), ["m0"]);
  });

  test("the filter behind the share name is what the rights are asked for", () => {
    const hub = guarded();
    const worker = new Worker(hub, { clientId: "b" });
    worker.subscribe("$share/g/forbidden", 1);
    const [suback] = worker.peer.take().filter(({ type }) => type === SUBACK) as [Packet];
    assert.deepEqual(readSuback(5, suback), [0x87]);
    assert.equal(hub.counters.get("share.groups"), 0);
  });
});

describe("a member that leaves", () => {
  type Way = (hub: Hub, worker: Worker) => void;
  const ways: [string, Way][] = [
    ["whose socket breaks", (_hub, { peer }) => peer.drop()],
    ["that disconnects in order", (_hub, { peer }) => peer.send(packet(14, 0))],
    ["that is taken over by a client that starts anew", (hub) => void hub.connect({ version: 5, clientId: "a" })],
    ["that is taken over by itself", (hub) => void hub.connect({ ...KEPT, clientId: "a" })],
  ];
  for (const [title, leave] of ways)
    for (const kept of [true, false]) {
      test(`QoS 1: ${title}: another gets what it did not answer (${kept ? "kept" : "clean"} session)`, () => {
        const hub = new Hub();
        const a = Worker.sharing(hub, { clientId: "a", kept });
        const b = Worker.sharing(hub, { clientId: "b" });
        const source = new Source(hub);
        for (let i = 0; i < 6; i++) source.send(1);
        assert.deepEqual(
          [a.read(), b.read()],
          [
            ["m0", "m2", "m4"],
            ["m1", "m3", "m5"],
          ],
        );
        a.answer(1);
        b.answer(2);
        // Half of them are in the log, half in the open group.
        hub.settle();
        for (let i = 6; i < 9; i++) source.send(1);
        a.read();
        b.read();
        b.peer.blocked = true;
        leave(hub, a);
        b.peer.blocked = false;
        b.peer.handler.onDrain();
        b.read();
        for (let n = 0; n < 4; n++) b.drain(hub);
        const seen = new Set(gotBy([b]));
        for (const { payload } of a.owed)
          if (!title.includes("itself")) assert.ok(seen.has(payload), `${payload} goes to the other`);
        assert.ok(!seen.has("m2"), "what was answered does not come again");
        assert.ok(
          b.got.every(({ dup }) => !dup),
          "DUP is 0: it is the first time for this member",
        );
      });
    }

  test("QoS 1: what nobody else is there for waits, and comes when a member is back", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a", kept: true });
    const source = new Source(hub);
    for (let i = 0; i < 3; i++) source.send(1);
    hub.settle();
    a.read();
    a.answer(1);
    a.peer.drop();
    source.send(1);
    hub.settle();
    const again = new Worker(hub, { clientId: "a", kept: true });
    assert.deepEqual(again.read(), ["m0", "m2", "m3"]);
    again.drain(hub);
    assert.equal(hub.counters.get("share.waiting"), 0);
  });

  test("[MQTT5-3.10.4-3] UNSUBSCRIBE: what was sent may still be answered, and comes to nobody else then", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a" });
    const b = Worker.sharing(hub, { clientId: "b" });
    const source = new Source(hub);
    for (let i = 0; i < 4; i++) source.send(1);
    a.read();
    a.unsubscribe(SHARE);
    source.send(1);
    assert.deepEqual(a.read(), []);
    a.answer();
    b.read();
    assert.deepEqual(
      b.got.map(({ payload }) => payload),
      ["m1", "m3", "m4"],
    );
    a.peer.drop();
    assert.deepEqual(b.read(), ["m2"], "what it did not answer before it left goes to the other");
  });

  test("the last member's UNSUBSCRIBE ends the group: record and messages go, counted", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a", receiveMaximum: 2, kept: true });
    const source = new Source(hub);
    for (let i = 0; i < 5; i++) source.send(1);
    hub.settle();
    a.read();
    const memory = hub.counters.get("session.subscription_bytes");
    a.unsubscribe(SHARE);
    assert.equal(hub.counters.get("share.groups"), 0);
    assert.equal(hub.store.loadReceiver("share", "g/t"), null);
    assert.ok(hub.counters.get("session.subscription_bytes") < memory);
    assert.equal(hub.counters.get("session.subscription_bytes"), 0);
    assert.deepEqual(
      hub.ledger.entries().map(({ receiver, cause, count }) => [receiver, cause, count]),
      [["share:g/t", "session-ended", 5]],
    );
    a.answer();
    a.answer();
    assert.equal(hub.registry.inFlight, 0);
    assert.equal(a.peer.closed, false);
  });

  test("the end of the last member's session ends the group", () => {
    const hub = new Hub();
    Worker.sharing(hub, { clientId: "a", kept: true }).peer.drop();
    const source = new Source(hub);
    for (let i = 0; i < 3; i++) source.send(1);
    hub.settle();
    hub.advance(599_000);
    assert.equal(hub.counters.get("share.groups"), 1);
    hub.advance(2000);
    assert.equal(hub.counters.get("share.groups"), 0);
    assert.equal(hub.counters.get("session.subscription_bytes"), 0);
    assert.equal(hub.store.loadReceiver("share", "g/t"), null);
    assert.equal(hub.counters.counter("drops.session-ended").value, 3);
  });

  test("[MQTT5-4.8.2-6] a message that a member refuses goes to nobody else", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a" });
    const b = Worker.sharing(hub, { clientId: "b" });
    new Source(hub).send(1);
    a.read();
    const packetId = a.owed[0]?.packetId ?? 0;
    a.peer.send(packet(PUBACK, 0, u16(packetId), 0x83));
    hub.settle();
    a.peer.drop();
    assert.deepEqual(b.read(), []);
    assert.deepEqual(
      hub.ledger.entries().map(({ receiver, cause, topic }) => [receiver, cause, topic]),
      [["share:g/t", "refused", "t"]],
    );
  });

  test("[MQTT5-4.8.2-4] QoS 2: delivery is completed to the same member when it is back", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a", kept: true });
    const b = Worker.sharing(hub, { clientId: "b", kept: true });
    new Source(hub).send(2);
    for (let i = 0; i < 4; i++) hub.settle();
    assert.deepEqual([a.read(), b.read()], [["m0"], []]);
    const sent = a.owed[0];
    a.peer.drop();
    hub.settle();
    assert.deepEqual(b.read(), []);
    const again = new Worker(hub, { clientId: "a", kept: true });
    again.read();
    assert.deepEqual(
      again.owed.map(({ packetId, dup }) => [packetId, dup]),
      [[sent?.packetId, true]],
    );
    again.drain(hub);
    assert.equal(hub.registry.inFlight, 0);
  });

  test("[MQTT5-4.8.2-5] QoS 2: with the member's session the message ends too", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a" });
    const b = Worker.sharing(hub, { clientId: "b" });
    new Source(hub).send(2);
    for (let i = 0; i < 4; i++) hub.settle();
    assert.deepEqual([a.read(), b.read()], [["m0"], []]);
    a.peer.drop();
    for (let i = 0; i < 4; i++) hub.settle();
    assert.deepEqual(b.read(), []);
    assert.equal(hub.counters.get("share.waiting"), 0);
  });

  test("QoS 2: what the disk refuses to hand over stays with the group, and comes once", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a", kept: true });
    const source = new Source(hub);
    for (let i = 0; i < 3; i++) source.send(2);
    hub.settle();
    assert.deepEqual(source.acknowledged(), [1, 2, 3]);
    assert.equal(hub.counters.get("share.waiting"), 0, "handed over, not stored yet");
    hub.store.refusal = 0x97;
    hub.store.withdraw();
    assert.equal(hub.counters.get("share.waiting"), 3);
    const next = new Hub(undefined, undefined, hub.store.crash());
    assert.equal(next.counters.get("share.waiting"), 3, "so says the store");
    hub.store.refusal = 0;
    a.drain(hub);
    assert.deepEqual(gotBy([a]), payloads(3));
    assert.equal(hub.counters.get("share.waiting"), 0);
    assert.equal(hub.registry.inFlight, 0);
  });

  test("[MQTT5-4.8.2-6] QoS 2: a message that a member refuses with PUBREC goes to nobody else", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a", kept: true });
    const b = Worker.sharing(hub, { clientId: "b", kept: true });
    new Source(hub).send(2);
    for (let i = 0; i < 4; i++) hub.settle();
    a.read();
    a.peer.send(packet(PUBREC, 0, u16(a.owed[0]?.packetId ?? 0), 0x83));
    for (let i = 0; i < 4; i++) hub.settle();
    assert.deepEqual(b.read(), []);
    assert.deepEqual(
      hub.ledger.entries().map(({ cause }) => cause),
      ["refused"],
    );
  });

  test("PUBREC for a QoS 1 message of a group is a protocol error, as for any other", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a" });
    const b = Worker.sharing(hub, { clientId: "b" });
    new Source(hub).send(1);
    a.read();
    a.peer.send(packet(PUBREC, 0, u16(a.owed[0]?.packetId ?? 0)));
    assert.equal(a.peer.closed, true);
    assert.deepEqual(b.read(), ["m0"]);
  });

  test("QoS 2: no more is handed over than the member's window takes", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a", kept: true, receiveMaximum: 3 });
    const source = new Source(hub);
    for (let i = 0; i < 10; i++) source.send(2);
    for (let i = 0; i < 4; i++) hub.settle();
    assert.equal(a.read().length, 3);
    assert.equal(hub.counters.get("share.waiting"), 7);
    a.peer.drop();
    const b = Worker.sharing(hub, { clientId: "b", kept: true });
    for (let n = 0; n < 5; n++) b.drain(hub);
    assert.equal(b.got.length, 7);
  });
});

describe("a member that leaves its oldest loan unanswered", () => {
  test("loses it to another after half the group's ordinals; its late answer counts for nothing, and its window is its own again", () => {
    const hub = new Hub();
    const silent = Worker.sharing(hub, { clientId: "silent", receiveMaximum: 1 });
    const busy = Worker.sharing(hub, { clientId: "busy" });
    const source = new Source(hub);
    const pass = (count: number): void => {
      for (let i = 0; i < count; i++) {
        source.send(1);
        hub.settle();
        source.peer.take();
        busy.drain(hub);
      }
    };
    pass(SPAN_MAX / 2 - 1);
    assert.deepEqual([silent.read(), busy.got.length], [["m0"], SPAN_MAX / 2 - 2]);
    assert.equal(hub.counters.get("share.reclaimed"), 0);
    pass(SPAN_MAX);
    assert.equal(hub.counters.get("share.reclaimed"), 1);
    assert.deepEqual(gotBy([busy]), payloads(SPAN_MAX * 1.5 - 1), "all of them, the first one too");
    assert.equal(hub.counters.get("share.waiting"), 0);
    assert.equal(hub.registry.inFlight, 1, "the packet id is still taken");
    silent.answer();
    assert.equal(hub.registry.inFlight, 0);
    assert.equal(hub.registry.waitingMemory.used, 0);
    pass(2);
    assert.equal(silent.read().length, 1, "and takes part again");
  });

  test("so do as many as there are: all that they hold comes to the one that answers", () => {
    const hub = new Hub();
    for (let i = 0; i < 14; i++) {
      Worker.sharing(hub, { clientId: `s${i}`, receiveMaximum: 1, kept: i % 2 === 0 });
    }
    const busy = Worker.sharing(hub, { clientId: "busy" });
    const source = new Source(hub);
    for (let i = 0; i < SPAN_MAX + 200; i++) {
      source.send(1);
      hub.settle();
      source.peer.take();
      busy.drain(hub);
    }
    assert.equal(hub.counters.get("share.reclaimed"), 14);
    assert.deepEqual(gotBy([busy]), payloads(SPAN_MAX + 200));
    assert.equal(hub.counters.get("share.waiting"), 0);
  });

  test("each next holder has half of the ordinals that are left; at the last one the group waits", () => {
    const hub = new Hub();
    const workers = ["a", "b"].map((clientId) => Worker.sharing(hub, { clientId }));
    hub.store.sliceRows = SPAN_MAX;
    const source = new Source(hub);
    for (let i = 0; i < SPAN_MAX + 200; i++) {
      source.send(1);
      hub.settle();
      source.peer.take();
      for (const worker of workers) {
        worker.read();
        for (let n = worker.owed.length - 1; n >= 0; n--) if (worker.owed[n]?.payload !== "m0") worker.answer(n);
      }
    }
    assert.equal(hub.counters.get("share.reclaimed"), 12);
    assert.equal(hub.counters.get("share.waiting"), 201);
    for (const worker of workers) worker.drain(hub);
    for (const worker of workers) worker.drain(hub);
    assert.deepEqual([...new Set(gotBy(workers))], payloads(SPAN_MAX + 200));
    assert.equal(hub.counters.get("share.waiting"), 0);
    assert.equal(hub.registry.waitingMemory.used, 0);
  });

  test("keeps it while there is nobody else, and loses it to the first who comes", () => {
    const hub = new Hub();
    const silent = Worker.sharing(hub, { clientId: "silent" });
    const source = new Source(hub);
    for (let i = 0; i < SPAN_MAX + 100; i++) {
      source.send(1);
      hub.settle();
      source.peer.take();
      silent.read();
      while (silent.owed.length > 1) silent.answer(1);
    }
    assert.equal(hub.counters.get("share.reclaimed"), 0);
    assert.equal(hub.counters.get("share.waiting"), 101);
    const other = Worker.sharing(hub, { clientId: "other" });
    other.drain(hub);
    assert.equal(hub.counters.get("share.reclaimed"), 1);
    assert.equal(other.got[0]?.payload, "m0");
    silent.read();
    while (silent.owed.length > 1) silent.answer(1);
    other.drain(hub);
    assert.equal(hub.counters.get("share.waiting"), 0);
    silent.drain(hub);
    assert.deepEqual([...new Set(gotBy([silent, other]))], payloads(SPAN_MAX + 100));
    assert.equal(hub.registry.waitingMemory.used, 0);
  });
});

describe("limits", () => {
  test("a group counts as one receiver: a message waits once, and goes with the acknowledgement before the commit", () => {
    const hub = new Hub();
    const workers = ["a", "b"].map((clientId) => Worker.sharing(hub, { clientId, kept: true }));
    const source = new Source(hub);
    source.send(1);
    assert.deepEqual(source.acknowledged(), []);
    workers[0]?.read();
    workers[0]?.answer();
    assert.equal(hub.store.elided, 1);
    assert.deepEqual(source.acknowledged(), [1]);
    for (const worker of workers) worker.peer.drop();
    source.send(1);
    hub.settle();
    assert.equal(hub.store.rows.at(-1)?.receivers.length, 1);
    assert.deepEqual(source.acknowledged(), [2]);
  });

  test("the queue limit of a session is the group's: 3 wait, the 4th is refused", () => {
    const hub = new Hub(undefined, { sessionQueueMessages: 3 });
    const a = Worker.sharing(hub, { clientId: "a", kept: true });
    a.peer.drop();
    const source = new Source(hub);
    for (let i = 0; i < 4; i++) source.send(1);
    hub.settle();
    assert.deepEqual(source.acknowledged(), [1, 2, 3]);
    assert.equal(hub.counters.get("share.waiting"), 3);
  });

  test("a group for which there is no memory is refused with 0x97, and costs nothing", () => {
    const hub = new Hub(200 * 1024);
    const worker = new Worker(hub, { clientId: "a" });
    worker.peer.take();
    const answers: number[] = [];
    for (let i = 0; i < 10; i++) {
      worker.subscribe(`$share/g${i}/t`, 1);
      const [suback] = worker.peer.take().filter(({ type }) => type === SUBACK) as [Packet];
      answers.push(...readSuback(5, suback));
    }
    assert.equal(answers[0], 1);
    assert.equal(answers.at(-1), 0x97);
    const granted = answers.filter((code) => code === 1).length;
    assert.equal(hub.counters.get("share.groups"), granted);
    assert.equal(hub.counters.get("session.subscriptions_refused"), 10 - granted);
    worker.peer.drop();
    assert.equal(hub.counters.get("session.subscription_bytes"), 0);
  });

  test("with the memory of what waits used up, a group lends one message at a time", () => {
    const hub = new Hub();
    const memory = hub.registry.waitingMemory;
    const a = Worker.sharing(hub, { clientId: "a" });
    memory.takeAnyway(memory.bytesMax);
    const source = new Source(hub);
    for (let i = 0; i < 5; i++) source.send(1);
    assert.equal(a.read().length, 1);
    a.drain(hub);
    assert.deepEqual(gotBy([a]), payloads(5));
    memory.give(memory.bytesMax);
    assert.equal(memory.used, 0);
  });

  test("loans are in the window's memory account, and leave it", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a" });
    const source = new Source(hub);
    for (let i = 0; i < 3; i++) source.send(1);
    const lent = hub.registry.waitingMemory.used;
    assert.ok(lent > 0 && lent % 3 === 0);
    a.read();
    a.answer();
    assert.equal(hub.registry.waitingMemory.used, (lent / 3) * 2);
    a.peer.drop();
    assert.equal(hub.registry.waitingMemory.used, 0);
  });

  test("an ordinary message never takes the packet id of a loan: the queue waits for its answer", () => {
    const hub = new Hub();
    const worker = Worker.sharing(hub, { clientId: "a" });
    worker.subscribe("own", 1);
    worker.read();
    const source = new Source(hub);
    source.send(1);
    hub.settle();
    worker.read();
    const lent = worker.owed[0]?.packetId;
    let own = 0;
    for (; own < 70_000; own++) {
      source.send(1, "own");
      source.peer.take();
      worker.read();
      if (worker.owed.length === 1) break;
      assert.notEqual(worker.owed[1]?.packetId, lent);
      worker.answer(1);
    }
    assert.equal(own, 32_768, "half a turn away");
    source.send(1);
    hub.settle();
    assert.equal(worker.read().length, 1, "the group goes on");
    worker.answer(0);
    assert.equal(worker.read().length, 1, "the queue goes on");
    worker.drain(hub);
    assert.equal(hub.registry.inFlight, 0);
  });

  test("an expired message of a group is dropped, counted, and makes way", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a", kept: true });
    a.peer.drop();
    const source = hub.connect({ version: 5, clientId: "s" });
    for (const [qos, id] of [
      [1, 1],
      [2, 2],
    ] as const)
      source.send(packet(PUBLISH, qos << 1, field("t"), u16(id), properties(5, bytes(2, 0, 0, 0, 10)), "old"));
    hub.settle();
    hub.advance(20_000);
    const again = new Worker(hub, { clientId: "a", kept: true });
    new Source(hub).send(1);
    again.drain(hub);
    assert.deepEqual(gotBy([again]), ["m0"]);
    assert.equal(hub.counters.counter("drops.expired").value, 2);
    assert.equal(hub.counters.get("share.waiting"), 0);
  });
});

describe("a restart", () => {
  test("members come back with their sessions, and the group's messages with it", () => {
    const hub = new Hub();
    const a = Worker.sharing(hub, { clientId: "a", kept: true, qos: 1 });
    Worker.sharing(hub, { clientId: "b", kept: true, qos: 1 }).peer.drop();
    const source = new Source(hub);
    for (let i = 0; i < 4; i++) source.send(1);
    hub.settle();
    a.read();
    a.answer(2);
    hub.settle();
    const next = new Hub(undefined, undefined, hub.store.crash());
    assert.equal(next.counters.get("share.groups"), 1);
    const b = new Worker(next, { clientId: "b", kept: true });
    assert.deepEqual(b.read(), ["m0", "m1", "m3"]);
    b.drain(next);
    assert.equal(next.counters.get("share.waiting"), 0);
  });

  test("a group of members whose sessions ended with the gateway is gone, and the ledger says what it had", () => {
    const hub = new Hub();
    Worker.sharing(hub, { clientId: "a", receiveMaximum: 1 });
    const source = new Source(hub);
    for (let i = 0; i < 4; i++) source.send(1);
    hub.settle();
    const next = new Hub(undefined, undefined, hub.store.crash());
    assert.equal(next.store.loadReceiver("share", "g/t"), null);
    assert.deepEqual(
      next.ledger.entries().map(({ receiver, cause, count }) => [receiver, cause, count]),
      [["share:g/t", "session-ended", 4]],
    );
  });
});
