// Wills over the end of the gateway: kill -9, a power cut, an orderly stop. What a hub finds is what the one before it
// had committed (`crash`), at the time at which that one ended and whatever the machine was off.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer, OPEN_TO_ALL } from "../../support/mqtt-hub.ts";
import {
  type ConnectFields,
  disconnect,
  type Packet,
  PUBLISH,
  readConnack,
  readPublish,
  subscribe,
  u32,
} from "../../support/mqtt-packets.ts";

type Will = NonNullable<ConnectFields["will"]>;
const SESSION = { expirySeconds: 1000 };
/** Of the timer wheel. */
const RESOLUTION_MS = 50;

function connected(hub: Hub, clientId: string, fields: Partial<ConnectFields> = {}): HubPeer {
  const peer = hub.connect({ version: 5, clientId, clean: false, keepAliveSeconds: 0, ...fields });
  assert.equal(readConnack(peer.take()[0] as Packet).reason, 0);
  return peer;
}

function will(payload: string, delaySeconds = 0, more: Partial<Will> = {}): Will {
  return { topic: "will", payload, qos: 1, retain: false, properties: [0x18, u32(delaySeconds)], ...more };
}

/** A gateway with somebody away who is to get wills, at QoS 2. */
function begun(): Hub {
  const hub = new Hub();
  const away = connected(hub, "away", SESSION);
  away.send(subscribe(5, 1, ["will", 2]));
  hub.settle();
  away.send(disconnect());
  return hub;
}

/** kill -9, and the next start. */
function killed(hub: Hub, offMs = 0, rights = OPEN_TO_ALL): Hub {
  return new Hub(undefined, {}, hub.store.crash(), rights, hub.nowMs + offMs);
}

/** As `killed`, all committed. */
function cut(hub: Hub, offMs = 0): Hub {
  hub.settle();
  return killed(hub, offMs);
}

/** Wills that are in the log. */
function kept(hub: Hub): string[] {
  hub.settle();
  return hub.store.rows.map(({ message }) => message.payload.toString());
}

/** Not before `ms` have passed, and no later than a resolution after that. */
function comesAfter(hub: Hub, ms: number, payload: string): void {
  hub.advance(ms - 1);
  assert.deepEqual(kept(hub), [], `not after ${ms - 1} ms`);
  hub.advance(1 + RESOLUTION_MS);
  assert.deepEqual(kept(hub), [payload], `after ${ms} ms`);
}

describe("clients that were connected when the gateway was killed", () => {
  test("[MQTT5-3.1.2-8] their wills go out at the restart, whether their session outlives them or not", () => {
    const first = begun();
    connected(first, "stays", { ...SESSION, will: will("of a session") });
    connected(first, "ends", { will: will("of a connection") });
    connected(first, "delayed-and-ends", { will: will("delayed", 20) });
    connected(first, "old", { version: 4, clean: true, will: will("of 3.1.1", 0, { properties: [] }) });
    const next = cut(first, 10_000);
    assert.deepEqual(kept(next).sort(), ["delayed", "of 3.1.1", "of a connection", "of a session"]);
    assert.equal(next.registry.count, 2, "away and stays");
    assert.equal(next.store.wills.size, 0);
    // And never again.
    assert.deepEqual(kept(cut(next)).length, 4);
  });

  test("QoS, RETAIN, properties and Message Expiry Interval are those of the CONNECT", () => {
    const first = begun();
    const properties = [0x26, ...["k", "v"].flatMap((text) => [0, text.length, text]), 0x02, u32(60)];
    for (const qos of [0, 1, 2] as const) {
      connected(first, `q${qos}`, { will: will(`${qos}`, 0, { qos, retain: true, topic: `will/${qos}`, properties }) });
    }
    const next = cut(first);
    next.settle();
    for (const qos of [0, 1, 2]) {
      const message = next.store.getRetained(`will/${qos}`);
      assert.ok(message);
      assert.deepEqual([message.qos, message.retain, message.payload.toString()], [qos, true, `${qos}`]);
      assert.equal(message.expiresMs - message.acceptedMs, 60_000);
      assert.equal(message.acceptedMs, next.nowMs);
      assert.match(message.bytes.toString("latin1"), /\x26\0\x01k\0\x01v/);
    }
  });

  test("[MQTT5-3.1.2-8] a delay counts from the restart, and not anew when the gateway is killed again", () => {
    const first = begun();
    connected(first, "c", { ...SESSION, will: will("gone", 20) });
    first.advance(500_000);
    const second = cut(first, 100_000);
    assert.deepEqual(kept(second), []);
    second.advance(5000);
    const third = cut(second, 5000);
    comesAfter(third, 10_000, "gone");
  });

  test("[MQTT5-3.1.3-9] who is back within the delay takes the will back", () => {
    const first = begun();
    connected(first, "c", { ...SESSION, will: will("gone", 20) });
    const next = cut(first);
    next.advance(19_999);
    const peer = connected(next, "c", SESSION);
    next.advance(100_000);
    assert.deepEqual(kept(next), []);
    assert.equal(next.store.wills.size, 0);
    peer.drop();
    assert.deepEqual(kept(cut(next)), [], "it has no will now");
  });

  test("a clean start ends the session, and so publishes the will that waits", () => {
    const first = begun();
    connected(first, "c", { ...SESSION, will: will("gone", 20) });
    const next = cut(first);
    next.connect({ version: 5, clientId: "c", clean: true });
    assert.deepEqual(kept(next), ["gone"]);
  });
});

describe("wills that waited for their delay when the gateway ended", () => {
  /** @returns a hub whose client has been gone for 5 of the 20 seconds */
  function waiting(fields: Partial<ConnectFields> = SESSION): Hub {
    const hub = begun();
    connected(hub, "c", { ...fields, will: will("gone", 20) }).drop();
    hub.advance(5000);
    return hub;
  }

  test("kill -9: the delay goes on, also while the gateway is off", () => {
    comesAfter(cut(waiting()), 15_000, "gone");
    comesAfter(cut(waiting(), 10_000), 5000, "gone");
    comesAfter(cut(waiting(), 100_000), 0, "gone");
  });

  test("an orderly stop: the same", () => {
    const hub = waiting();
    hub.server.stop();
    assert.deepEqual(kept(hub), []);
    comesAfter(cut(hub, 10_000), 5000, "gone");
  });

  test("[MQTT5-3.1.2-8] the end of the session comes first", () => {
    comesAfter(cut(waiting({ expirySeconds: 10 })), 5000, "gone");
  });

  test("[MQTT5-3.1.3-9] who is back within what is left takes it back, and may leave another", () => {
    const next = cut(waiting());
    next.advance(14_999);
    connected(next, "c", { ...SESSION, will: will("another", 1) }).drop();
    comesAfter(next, 1000, "another");
    next.advance(100_000);
    assert.deepEqual(kept(next), ["another"]);
  });

  test("off-time that a clock tells late counts, for the delay as for the session", () => {
    const next = cut(waiting());
    next.offTime = { untilMs: next.nowMs, ms: 12_000 };
    next.registry.onAged();
    comesAfter(next, 3000, "gone");
  });

  test("a clock that was set back does not make it wait longer than its delay", () => {
    comesAfter(cut(waiting(), -400_000), 20_000, "gone");
  });
});

describe("what is stored when", () => {
  test("[MQTT5-3.1.2-10] after DISCONNECT with 0, or once it was published, no restart publishes it", () => {
    const first = begun();
    connected(first, "c", { ...SESSION, will: will("gone") }).send(disconnect());
    const lost = connected(first, "d", { ...SESSION, will: will("once") });
    first.settle();
    assert.deepEqual([...first.store.wills.keys()], ["d"]);
    lost.drop();
    assert.deepEqual(kept(cut(first)), ["once"]);
    assert.deepEqual(kept(cut(cut(first))), ["once"]);
  });

  test("[MQTT5-4.3.3-1] the message and the end of the row are one group: QoS 2 comes once, whenever the gateway is killed", () => {
    const first = begun();
    connected(first, "c", { ...SESSION, will: will("once", 0, { qos: 2 }) });
    first.settle();
    // At the restart, and at the one after it: neither got as far as a commit.
    const second = killed(first);
    const third = killed(second);
    // Committed, not synced; and then all of it.
    third.store.commit();
    assert.deepEqual([third.store.rows.length, third.store.wills.size], [1, 0]);
    for (const next of [killed(third), cut(third)]) {
      const away = next.connect({ version: 5, clientId: "away", clean: false, ...SESSION });
      next.settle();
      const got = away.take().filter(({ type }) => type === PUBLISH);
      assert.deepEqual(
        got.map((packet) => readPublish(5, packet).payload),
        ["once"],
      );
    }
  });

  test("the same with a connection that breaks: the row until the message is there", () => {
    const first = begun();
    const peer = connected(first, "c", { ...SESSION, will: will("once", 0, { qos: 2 }) });
    first.settle();
    peer.drop();
    assert.deepEqual([first.store.wills.size, first.store.rows.length], [1, 0]);
    assert.deepEqual(kept(killed(first)), ["once"]);
    first.store.commit();
    assert.deepEqual([first.store.wills.size, first.store.rows.length], [0, 1]);
    assert.deepEqual(kept(killed(first)), ["once"]);
  });
});

describe("limits and rights after a restart", () => {
  test("who may not publish there any more has no will", () => {
    const first = begun();
    connected(first, "c", { ...SESSION, user: "u", will: will("gone") });
    connected(first, "d", { user: "u", will: will("gone") });
    first.settle();
    const asked: string[] = [];
    const mayPublish: typeof OPEN_TO_ALL.mayPublish = ({ name, clientId }, topic) => {
      asked.push(`${name} ${clientId} ${topic}`);
      return false;
    };
    const next = killed(first, 0, { ...OPEN_TO_ALL, mayPublish });
    assert.deepEqual(kept(next), []);
    assert.deepEqual(asked.sort(), ["u c will", "u d will"]);
    assert.equal(next.counters.get("session.wills_not_authorized"), 2);
    assert.equal(next.store.wills.size, 0);
  });

  test("they take their share of the sessions' memory again, and give it back when they are published", () => {
    const first = begun();
    const large = will("x".repeat(30_000), 20);
    let count = 0;
    for (; ; count++) {
      const peer = first.connect({ version: 5, clientId: `c${count}`, clean: false, ...SESSION, will: large });
      if (readConnack(peer.take()[0] as Packet).reason !== 0) break;
    }
    assert.ok(count > 20);
    const next = cut(first);
    assert.equal(next.counters.get("session.will_bytes"), first.counters.get("session.will_bytes"));
    const refused = next.connect({ version: 5, clientId: "new", clean: false, will: large });
    assert.equal(readConnack(refused.take()[0] as Packet).reason, 0x97);
    assert.equal(next.counters.get("session.wills_refused"), 1);
    next.advance(20_050);
    assert.equal(next.counters.get("session.will_bytes"), 0);
    connected(next, "new", { will: large });
  });

  test("more than the store takes at once go out one after the other; who comes back meanwhile gets nothing wrong", () => {
    const first = begun();
    const payload = (n: number): string => `${n} `.padEnd(10_000, "x");
    for (let n = 0; n < 30; n++) {
      connected(first, `c${n}`, { ...(n % 2 === 0 ? SESSION : {}), will: will(payload(n)) });
    }
    const next = cut(first);
    const numbers = (): number[] => kept(next).map(Number.parseFloat);
    next.store.commit();
    assert.equal(next.store.rows.length, 7, "64 KiB of them");
    // They are due: that their clients are back does not take them back. And who had no session has a new one.
    for (const n of [0, 1]) {
      const back = next.connect({ version: 5, clientId: `c${n}`, clean: false, ...SESSION, will: will(`new ${n}`, 5) });
      assert.equal(readConnack(back.take()[0] as Packet).sessionPresent, n === 0);
    }
    for (let turn = 0; turn < 5; turn++) next.settle();
    assert.deepEqual(
      numbers().sort((a, b) => a - b),
      Array.from({ length: 30 }, (_, n) => n),
    );
    assert.deepEqual([...next.store.wills.keys()].sort(), ["c0", "c1"], "the new ones");
  });
});
