import assert from "node:assert/strict";
import { once } from "node:events";
import { Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { ManualClock } from "../../../src/base/clock.ts";
import type { Gate } from "../../../src/transport/admission.ts";
import { listenTcp } from "../../../src/transport/tcp.ts";
import type { TransportLimits } from "../../../src/transport/transport.ts";
import { bench, client, Door, portOf } from "./fixture.ts";

/** Sockets that are connected to nothing: admission only holds, hands on and destroys them. */
class FakeGate implements Gate {
  readonly handshake: boolean;
  readonly entered: Socket[] = [];

  constructor(handshake: boolean) {
    this.handshake = handshake;
  }

  enter(socket: Socket): void {
    this.entered.push(socket);
  }
}

/** A socket that says it comes from there. */
function socketFrom(remoteAddress: string | undefined): Socket {
  return Object.defineProperty(new Socket(), "remoteAddress", { value: remoteAddress });
}

function manual(t: TestContext, limits: Partial<TransportLimits>) {
  const clock = new ManualClock();
  const made = bench(t, limits, clock);
  const { admission } = made.transport;
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  const arrive = (gate: Gate, from?: string) => {
    const socket = socketFrom(from);
    sockets.push(socket);
    admission.arrive(socket, gate);
    return socket;
  };
  /** The timer comes `lateMs` after its time. */
  const sample = (lateMs: number) => {
    clock.advance(20 + lateMs);
    admission.sample();
  };
  return { ...made, clock, admission, arrive, sample };
}

test("sockets beyond max_connections are closed, counted, and logged once per change of state", async (t) => {
  const made = bench(t, { maxConnections: 2 });
  const door = new Door();
  const { transport } = made;
  const listener = await listenTcp({ transport, index: 0, type: "mqtt", host: "127.0.0.1", port: 0 }, door.accept);
  made.listeners.push(listener);
  const first = await client(t, listener);
  await client(t, listener);
  await door.link(1);
  for (let i = 0; i < 3; i++) {
    const refused = new Socket();
    refused.on("error", () => {});
    refused.connect(portOf(listener), "127.0.0.1");
    refused.resume();
    await once(refused, "close");
  }
  assert.equal(made.counters.get("transport.refused.max_connections"), 3);
  assert.equal(made.counters.get("transport.connections"), 2);
  const told = () => made.logged.map((line) => line.split(" ").slice(1).join(" ").trim());
  assert.deepEqual(told(), ["warn  connections-at-limit max=2 refused=1"]);
  first.destroy();
  await door.links[0]?.until((self) => self.closes === 1);
  assert.deepEqual(told().slice(1), ["info  connections-below-limit max=2"]);
  await client(t, listener);
  await door.link(2);
});

test("handshakes beyond their rate wait, in order, and plain sockets pass them", (t) => {
  const { admission, arrive, sample, clock, counters } = manual(t, { handshakesPerSecond: 20 });
  const tls = new FakeGate(true);
  const plain = new FakeGate(false);
  const sockets = Array.from({ length: 9 }, () => arrive(tls));
  assert.equal(tls.entered.length, 5); // a burst of a quarter of a second's worth
  assert.equal(admission.waiting, 4);
  assert.equal(counters.get("transport.deferred"), 4);
  arrive(plain);
  assert.equal(plain.entered.length, 1);
  sample(0);
  assert.equal(tls.entered.length, 5);
  clock.advance(30);
  admission.sample();
  assert.equal(tls.entered.length, 6);
  clock.advance(100);
  admission.sample();
  assert.deepEqual(tls.entered, sockets.slice(0, 8));
});

test("while the event loop lags more than 100 ms newcomers wait, and one goes in at a time", (t) => {
  const { admission, arrive, sample } = manual(t, {});
  const gate = new FakeGate(false);
  arrive(gate);
  assert.equal(gate.entered.length, 1);
  sample(100);
  arrive(gate);
  assert.equal(gate.entered.length, 2);
  sample(101);
  for (let i = 0; i < 4; i++) arrive(gate);
  assert.equal(gate.entered.length, 2);
  assert.equal(admission.waiting, 4);
  sample(150);
  assert.equal(gate.entered.length, 3);
  sample(5);
  assert.equal(gate.entered.length, 6);
});

test("those who wait count as connections; a closing gate sends its own away", (t) => {
  const { admission, arrive, sample, counters } = manual(t, { maxConnections: 4 });
  const [gate, other] = [new FakeGate(false), new FakeGate(false)];
  arrive(gate);
  sample(500);
  const waiting = [arrive(gate), arrive(other), arrive(gate)];
  const refused = arrive(gate);
  assert.equal(refused.destroyed, true);
  assert.equal(counters.get("transport.refused.max_connections"), 1);
  admission.forget(gate);
  assert.deepEqual(
    waiting.map((socket) => socket.destroyed),
    [true, false, true],
  );
  sample(0);
  assert.deepEqual(other.entered, [waiting[1]]);
});

test("who has gone while waiting does not enter", (t) => {
  const { arrive, sample } = manual(t, {});
  const gate = new FakeGate(false);
  arrive(gate);
  sample(500);
  arrive(gate).destroy();
  sample(0);
  assert.equal(gate.entered.length, 1);
});

test("logins have the same rate, and are told when to come again", (t) => {
  const { admission, clock, counters } = manual(t, { handshakesPerSecond: 10 });
  assert.deepEqual(
    [1, 2, 3, 4].map(() => admission.login()),
    [true, true, true, false],
  );
  assert.equal(Math.round(admission.loginWaitMs()), 100);
  assert.equal(counters.get("transport.logins_deferred"), 1);
  clock.advance(100);
  assert.equal(admission.login(), true);
});

test("one address has connections_per_address at most; others, loopback and unix sockets do not care", async (t) => {
  const { admission, arrive, counters } = manual(t, { connectionsPerAddress: 2 });
  const gate = new FakeGate(false);
  const first = arrive(gate, "10.0.0.7");
  // The same in the form that a dual-stack socket gives it.
  arrive(gate, "::ffff:10.0.0.7");
  const refused = ["10.0.0.7", "::ffff:10.0.0.7"].map((from) => arrive(gate, from));
  assert.ok(refused.every(({ destroyed }) => destroyed));
  assert.equal(counters.get("transport.refused.connections_per_address"), 2);
  assert.equal(admission.connections, 2);
  for (const from of ["10.0.0.8", "fe80::1", "127.0.0.1", "::1", undefined]) {
    for (let i = 0; i < 2; i++) assert.equal(arrive(gate, from).destroyed, false, `${from}`);
  }
  for (const from of ["127.0.0.1", "::1", undefined]) assert.equal(arrive(gate, from).destroyed, false, `${from}`);
  assert.equal(arrive(gate, "fe80::1").destroyed, true);
  // Whoever leaves makes room for one.
  first.destroy();
  await once(first, "close");
  assert.equal(arrive(gate, "10.0.0.7").destroyed, false);
  assert.equal(arrive(gate, "10.0.0.7").destroyed, true);
});

test("who was refused for its address leaves no trace", async (t) => {
  const { admission, arrive } = manual(t, { maxConnections: 5, connectionsPerAddress: 1 });
  const gate = new FakeGate(false);
  for (let i = 0; i < 100; i++) arrive(gate, "10.0.0.7");
  assert.equal(admission.connections, 1);
  const others = [1, 2, 3, 4].map((i) => arrive(gate, `10.0.1.${i}`));
  assert.ok(others.every(({ destroyed }) => !destroyed));
});

test("DTLS handshakes take from the rate of TLS handshakes, and do not begin while the loop lags", (t) => {
  const { admission, arrive, sample, clock } = manual(t, { handshakesPerSecond: 20 });
  const gate = new FakeGate(true);
  for (let i = 0; i < 5; i++) {
    assert.ok(admission.mayHandshake());
    admission.handshakeBegan();
  }
  assert.ok(!admission.mayHandshake(), "a quarter of a second's worth at once");
  arrive(gate);
  assert.equal(gate.entered.length, 0, "and none is left for TLS");
  clock.advance(100);
  assert.ok(!admission.mayHandshake(), "it is the socket's turn");
  sample(0);
  assert.equal(gate.entered.length, 1);
  assert.ok(admission.mayHandshake());
  assert.ok(admission.mayHandshake(), "asking takes nothing");
  sample(500);
  assert.ok(!admission.mayHandshake(), "lagging");
  sample(0);
  assert.ok(admission.mayHandshake());
});

test("DTLS and TLS take turns where both wait", (t) => {
  const { admission, arrive, sample, clock } = manual(t, { handshakesPerSecond: 10 });
  const gate = new FakeGate(true);
  for (let i = 0; i < 20; i++) arrive(gate);
  const before = gate.entered.length;
  let dtls = 0;
  for (let i = 0; i < 100; i++) {
    // A ClientHello is there whenever a token is.
    clock.advance(1);
    if (admission.mayHandshake()) {
      admission.handshakeBegan();
      dtls++;
    }
    sample(0);
  }
  const tls = gate.entered.length - before;
  assert.ok(Math.abs(tls - dtls) <= 1 && tls + dtls >= 20, `${tls} of TLS, ${dtls} of DTLS`);
});
