import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../../src/base/clock.ts";
import { Counters } from "../../../../src/base/counters.ts";
import { Log } from "../../../../src/base/log.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { TimerWheel } from "../../../../src/base/timer-wheel.ts";
import { FAILED } from "../../../../src/native/dtls/binding.ts";
import type { Cause } from "../../../../src/transport/dtls/failure.ts";
import { DtlsServer, RECORDS_PER_DATAGRAM_MAX } from "../../../../src/transport/dtls/server.ts";
import type { DtlsLimits } from "../../../../src/transport/dtls/sessions.ts";
import {
  clientHello,
  cookieOf,
  data,
  FakeContext,
  type FakeSession,
  finished,
  goodbye,
  keyExchange,
  PAYLOAD_MAX,
  record,
} from "./fake.ts";

const LIMITS: DtlsLimits = { maxSessions: 256, idleTimeoutMs: 600_000, handshakeTimeoutMs: 15_000 };

class World {
  readonly clock = new ManualClock();
  readonly wheel = new TimerWheel(this.clock, 10);
  readonly counters = new Counters();
  readonly logged: string[] = [];
  readonly context = new FakeContext({ role: "server" });
  /** "10.0.0.1:5000 <- flight" */
  readonly sent: string[] = [];
  readonly events: string[] = [];
  readonly server: DtlsServer;
  readonly maxSessions: number;
  tokens = Number.POSITIVE_INFINITY;
  refusal: Cause | null = null;

  constructor(limits: Partial<DtlsLimits> = {}) {
    this.maxSessions = limits.maxSessions ?? LIMITS.maxSessions;
    const log = new Log({ level: "debug", format: "text", write: (line) => this.logged.push(line) });
    const admission = {
      mayHandshake: () => this.tokens > 0,
      handshakeBegan: () => {
        this.tokens--;
      },
    };
    this.server = new DtlsServer(
      "listener 4 (coap 127.0.0.1:5684)",
      {
        send: (bytes, from, end, address, port) => {
          this.sent.push(`${address}:${port} <- ${bytes.toString("utf8", from, end)}`);
          return true;
        },
      },
      this.context,
      {
        onSecure: (session) => {
          session.name = session.dtls.identity === null ? null : Buffer.from(session.dtls.identity).toString();
          this.events.push(`secure ${session.name}`);
          return this.refusal;
        },
        onData: (session, bytes) => {
          this.events.push(`data ${session.name} ${bytes}`);
          if (String(bytes) === "answer") this.server.send(Buffer.from("now"), 0, 3, session.address, session.port);
          if (String(bytes) === "close") this.server.close();
        },
        onClose: (session) => this.events.push(`close ${session.name} ${session.address}:${session.port}`),
      },
      { ...LIMITS, ...limits },
      { clock: this.clock, wheel: this.wheel, counters: this.counters, log, random: () => 0.5, admission },
    );
  }

  take(datagram: Buffer, port = 5000, address = "10.0.0.1"): void {
    this.server.onDatagram(datagram, address, port);
  }

  /** A ClientHello with the right cookie. @returns whether it began */
  begin(port = 5000, random = "random", address = "10.0.0.1"): boolean {
    const before = this.context.sessions.length;
    this.take(clientHello(random, cookieOf(`${address} ${port}`)), port, address);
    return this.context.sessions.length > before;
  }

  open(port = 5000, random = "random", address = "10.0.0.1"): FakeSession {
    assert.ok(this.begin(port, random, address), "a handshake begins");
    const { session } = this.context;
    this.take(keyExchange(`id-${port}`), port, address);
    this.take(finished(), port, address);
    return session;
  }

  later(ms: number): void {
    this.clock.advance(ms);
    this.wheel.tick();
  }

  count(name: string): number {
    return this.counters.get(`dtls.${name}`);
  }

  /** What was sent since last asked. */
  takeSent(): string[] {
    return this.sent.splice(0);
  }

  takeEvents(): string[] {
    return this.events.splice(0);
  }
}

test("a ClientHello without the right cookie is answered and leaves nothing behind; with it a handshake begins", () => {
  const world = new World();
  world.take(clientHello("random", ""));
  world.take(clientHello("random", "wrong"));
  assert.deepEqual(world.takeSent(), Array(2).fill("10.0.0.1:5000 <- cookie <10.0.0.1 5000>"));
  assert.deepEqual([world.context.live, world.count("half_open"), world.wheel.armed], [0, 0, 0]);
  assert.ok(world.begin());
  assert.deepEqual(world.takeSent(), ["10.0.0.1:5000 <- flight"]);
  assert.deepEqual([world.count("half_open"), world.count("cookies_sent")], [1, 2]);
});

test("secure, data both ways, close: the handler hears who it is, and OpenSSL's memory is free", () => {
  const world = new World();
  const session = world.open();
  assert.deepEqual(world.takeSent().slice(1), ["10.0.0.1:5000 <- finished"]);
  world.take(data("hello", "answer"));
  assert.deepEqual(world.takeEvents(), ["secure id-5000", "data id-5000 hello", "data id-5000 answer"]);
  assert.deepEqual(world.takeSent(), ["10.0.0.1:5000 <- sealed now"]);
  assert.deepEqual([world.count("sessions"), world.count("half_open"), world.count("handshakes")], [1, 0, 1]);
  world.take(goodbye());
  assert.deepEqual(world.takeEvents(), ["close id-5000 10.0.0.1:5000"]);
  assert.deepEqual(world.takeSent(), ["10.0.0.1:5000 <- goodbye"]);
  assert.ok(session.freed);
  assert.equal(world.count("sessions"), 0);
});

test("what is for no session is dropped and counted: short, encrypted, in the clear, sent", () => {
  const world = new World();
  for (const datagram of [Buffer.alloc(0), Buffer.alloc(12), data("x"), finished(), keyExchange("x"), goodbye()])
    world.take(datagram);
  world.take(clientHello("random", "broken"));
  assert.equal(world.count("dropped.unknown"), 7);
  assert.equal(world.server.send(Buffer.from("x"), 0, 1, "10.0.0.1", 5000), false);
  assert.equal(world.count("dropped.no_session"), 1);
  assert.deepEqual(world.takeSent(), []);
});

test("what is larger than a datagram of ours takes is refused and counted, and the session goes on", () => {
  const world = new World();
  world.open();
  const bytes = Buffer.alloc(PAYLOAD_MAX + 2, "x");
  assert.equal(world.server.send(bytes, 0, PAYLOAD_MAX + 1, "10.0.0.1", 5000), false);
  assert.equal(world.server.send(bytes, 1, PAYLOAD_MAX + 1, "10.0.0.1", 5000), true);
  assert.equal(world.count("dropped.too_large"), 1);
  assert.equal(world.count("sessions"), 1);
});

test("a session that breaks while it sends is over", () => {
  const world = new World();
  const session = world.open();
  world.takeEvents();
  assert.equal(world.server.send(Buffer.from("break"), 0, 5, "10.0.0.1", 5000), false);
  assert.deepEqual([world.count("broken"), world.count("sessions"), session.freed], [1, 0, true]);
  assert.deepEqual(world.takeEvents(), ["close id-5000 10.0.0.1:5000"]);
});

test("of a datagram full of records 16 are handed on, the rest is dropped and counted", () => {
  const world = new World();
  world.open();
  world.takeEvents();
  world.take(data(...Array.from({ length: 20 }, (_, i) => `${i}`)));
  assert.equal(world.takeEvents().length, RECORDS_PER_DATAGRAM_MAX);
  assert.equal(world.count("dropped.records"), 4);
  world.take(data("next"));
  assert.deepEqual(world.takeEvents(), ["data id-5000 next"]);
});

test("data in the datagram that completes the handshake is handed on", () => {
  const world = new World();
  world.begin();
  world.take(record(22, 1, "identity=early finished data=hello"));
  assert.deepEqual(world.takeEvents(), ["secure early", "data early hello"]);
});

test("goodbye behind data in one datagram ends the session after the data", () => {
  const world = new World();
  const session = world.open();
  world.takeEvents();
  world.take(record(23, 1, "data=last close"));
  assert.deepEqual(world.takeEvents(), ["data id-5000 last", "close id-5000 10.0.0.1:5000"]);
  assert.deepEqual([session.saidGoodbye, session.freed, world.count("sessions")], [true, true, 0]);
});

test("a client without a suite in common gets its alert, is told of, and leaves nothing behind", () => {
  const world = new World();
  world.take(clientHello("random", "suites"));
  assert.match(world.takeSent()[0] ?? "", /alert$/);
  assert.deepEqual([world.count("failed.no-common-cipher"), world.count("cookies_sent")], [1, 0]);
  assert.equal(world.context.live, 0);
});

test("OpenSSL's timer runs on the wheel, and no timer is left when the handshake is complete", () => {
  const world = new World();
  world.begin();
  const { session } = world.context;
  world.takeSent();
  world.later(990);
  assert.equal(session.timeouts, 0);
  world.later(20);
  assert.deepEqual([session.timeouts, world.takeSent()], [1, ["10.0.0.1:5000 <- flight"]]);
  world.later(1990);
  assert.equal(session.timeouts, 1, "it doubles");
  world.later(20);
  assert.equal(session.timeouts, 2);
  world.take(finished());
  world.later(20_000);
  assert.equal(session.timeouts, 2);
  assert.equal(world.count("sessions"), 1);
});

test("a handshake that is not complete at its deadline leaves nothing behind and says what it probably is", () => {
  const world = new World();
  world.begin(5000);
  world.begin(5001, "other");
  world.take(keyExchange("meter"), 5001);
  world.later(14_900);
  assert.equal(world.count("half_open"), 2);
  world.later(200);
  assert.deepEqual([world.count("half_open"), world.context.live], [0, 0]);
  assert.deepEqual(
    [world.count("failed"), world.count("failed.silent"), world.count("failed.wrong-key"), world.count("sessions")],
    [2, 1, 1, 0],
  );
  assert.match(world.logged[0] ?? "", /dtls-handshake-failed .*address=10\.0\.0\.1 cause=silent meaning=/);
  assert.match(world.logged[1] ?? "", /cause=wrong-key meaning=".*another one than in psk_file" identity=meter/);
  assert.deepEqual(world.events, [], "nobody was told of what never was a session");
  assert.equal(world.wheel.armed, 1, "the sweep alone");
});

test("a failed handshake is told once for a cause and address, with its alert sent", () => {
  const world = new World();
  for (let port = 5000; port < 5005; port++) {
    world.begin(port);
    world.take(record(22, 0, "identity=nobody fail=psk_identity_not_found"), port);
  }
  assert.equal(world.count("failed.unknown-identity"), 5);
  assert.equal(world.context.live, 0);
  assert.equal(world.logged.length, 1);
  assert.match(world.logged[0] ?? "", /cause=unknown-identity .* identity=nobody error="psk identity not found"/);
  assert.equal(world.takeSent().filter((text) => text.endsWith("alert")).length, 5);
  world.later(600_001);
  world.begin(5009);
  world.take(record(22, 0, "fail=psk_identity_not_found"), 5009);
  assert.match(world.logged[1] ?? "", /more=4/);
});

test("a client that ends its handshake, or fails in the timer, leaves nothing behind", () => {
  const world = new World();
  world.begin();
  world.take(record(21, 0, "close"));
  assert.deepEqual([world.count("failed.refused-by-client"), world.context.live], [1, 0]);
  world.begin();
  world.context.session.onTimeoutBits = FAILED;
  world.later(1010);
  assert.deepEqual([world.count("failed.protocol"), world.context.live, world.count("half_open")], [1, 0, 0]);
});

test("the handler may refuse who has proven an identity", () => {
  const world = new World();
  world.refusal = "certificate-without-name";
  const session = world.open();
  assert.ok(session.freed && session.saidGoodbye);
  assert.deepEqual([world.count("failed.certificate-without-name"), world.count("sessions")], [1, 0]);
  assert.equal(world.count("handshakes"), 0);
});

test("a copy of the ClientHello that a handshake began with belongs to it", () => {
  const world = new World();
  world.begin();
  world.begin();
  assert.equal(world.context.sessions.length, 1);
  assert.equal(world.context.session.received.length, 1);
  world.take(clientHello("random", ""));
  assert.match(world.takeSent().at(-1) ?? "", /cookie/, "the one before it is answered without state");
  assert.equal(world.context.session.received.length, 1);
});

test("a client without chance, whose every handshake begins with the same random, comes again all the same", () => {
  const world = new World();
  const first = world.open();
  assert.ok(world.begin());
  world.take(finished());
  assert.deepEqual([first.freed, world.count("sessions"), world.count("replaced")], [true, 1, 1]);
});

test("RFC 6347 section 4.2.8: a client that begins anew keeps its old session until the new one is complete", () => {
  const world = new World();
  const first = world.open(5000, "before");
  world.takeEvents();
  world.take(clientHello("after!", ""));
  assert.equal(world.count("half_open"), 0, "the cookie first");
  world.begin(5000, "after!");
  const second = world.context.session;
  world.take(data("old"));
  assert.deepEqual(world.takeEvents(), ["data id-5000 old"]);
  assert.equal(world.server.send(Buffer.from("x"), 0, 1, "10.0.0.1", 5000), true);
  assert.equal(first.freed, false);
  world.take(keyExchange("new"));
  assert.equal(first.received.includes("identity=new"), false, "a handshake's records are the new one's");
  world.take(finished());
  assert.deepEqual([first.freed, first.saidGoodbye, second.freed], [true, false, false]);
  assert.deepEqual(world.takeEvents(), ["secure new", "close id-5000 10.0.0.1:5000"]);
  world.take(data("x"));
  assert.deepEqual(world.takeEvents(), ["data new x"]);
  assert.deepEqual([world.count("sessions"), world.count("replaced"), world.count("half_open")], [1, 1, 0]);
});

test("a new handshake that comes to nothing leaves the old session as it was", () => {
  const world = new World();
  world.open(5000, "before");
  world.begin(5000, "after!");
  world.later(15_010);
  assert.deepEqual([world.count("sessions"), world.count("half_open")], [1, 0]);
  world.takeEvents();
  world.take(data("still"));
  assert.deepEqual(world.takeEvents(), ["data id-5000 still"]);
});

test("a handshake begun anew from one port replaces the one under way", () => {
  const world = new World();
  world.begin(5000, "before");
  const first = world.context.session;
  world.begin(5000, "after!");
  assert.deepEqual([first.freed, world.context.live, world.count("half_open")], [true, 1, 1]);
});

test("handshakes beyond limits.handshakes_per_second wait their turn, in order; a wrong cookie takes no token", () => {
  const world = new World();
  world.tokens = 1;
  world.take(clientHello("random", "wrong"));
  assert.equal(world.tokens, 1);
  assert.ok(world.begin(5000));
  for (const port of [5001, 5002, 5001, 5003]) assert.ok(!world.begin(port));
  assert.equal(world.context.hellos, 2, "nothing was computed for them");
  world.takeSent();
  world.later(30);
  assert.deepEqual(world.takeSent(), []);
  world.tokens = 2;
  world.later(30);
  assert.deepEqual(world.takeSent(), ["10.0.0.1:5001 <- flight", "10.0.0.1:5002 <- flight"]);
  world.tokens = 10;
  assert.ok(!world.begin(5004), "nobody passes those who wait");
  world.later(30);
  assert.equal(world.count("half_open"), 5);
  assert.ok(world.begin(5005));
  world.later(30);
  assert.equal(world.wheel.armed, 6 + 1, "handshakes and the sweep");
});

test("who waits for ten seconds has come in vain, and only so many wait", () => {
  const world = new World();
  world.tokens = 0;
  for (let i = 0; i < 20; i++) world.begin(5000 + i, "random", `10.1.0.${i}`);
  assert.equal(world.count("deferred"), 20);
  world.later(11_010);
  world.begin(6000);
  world.tokens = 30;
  world.later(30);
  assert.deepEqual([world.count("refused.rate"), world.count("half_open")], [20, 1]);
  world.tokens = 0;
  for (let i = 0; i < 500; i++) world.begin(5000, "random", `10.2.${i >> 8}.${i & 255}`);
  const waiting = world.count("deferred") - 21;
  assert.ok(waiting > 50 && waiting < 200, `${waiting}`);
  assert.equal(world.count("refused.rate"), 20 + 500 - waiting);
});

test("one address has no more handshakes under way than its share; one that takes long gives way", () => {
  const world = new World();
  const { perAddressMax } = world.server.sessions;
  assert.equal(perAddressMax, 16);
  for (let i = 0; i < perAddressMax; i++) assert.ok(world.begin(5000 + i));
  assert.ok(!world.begin(6000));
  assert.equal(world.count("refused.per_address"), 1);
  assert.ok(world.begin(6000, "random", "10.0.0.2"), "another address");
  world.later(5010);
  assert.ok(world.begin(6000));
  assert.ok(world.context.sessions[0]?.freed);
  assert.equal(world.count("evicted_half_open"), 1);
  assert.equal(world.count("half_open"), perAddressMax + 1);
});

test("all handshakes under way are limited, and a storm waits instead of throwing out who has just begun", () => {
  const world = new World();
  const { halfOpenMax } = world.server.sessions;
  assert.equal(halfOpenMax, 64);
  for (let i = 0; i < halfOpenMax + 10; i++) world.begin(5000, "random", `10.0.1.${i}`);
  assert.deepEqual(
    [world.count("half_open"), world.count("deferred"), world.count("refused.full")],
    [halfOpenMax, 10, 0],
  );
  world.later(30);
  assert.equal(world.count("half_open"), halfOpenMax);
  world.take(finished(), 5000, "10.0.1.0");
  world.take(finished(), 5000, "10.0.1.1");
  world.later(30);
  assert.deepEqual([world.count("half_open"), world.count("sessions")], [halfOpenMax, 2]);
  assert.equal(world.context.sessions.length, halfOpenMax + 2, "the two that came first");
  assert.match(world.takeSent().at(-1) ?? "", new RegExp(`^10\\.0\\.1\\.${halfOpenMax + 1}:`));
});

test("with max_sessions reached the longest idle gives way after idle_timeout, and before that the newcomer waits", () => {
  const world = new World({ maxSessions: 3, idleTimeoutMs: 60_000 });
  const [first, second] = [world.open(5001), world.open(5002), world.open(5003)];
  world.later(40_000);
  world.take(data("here"), 5001);
  world.later(15_000);
  assert.ok(!world.begin(6000));
  assert.ok(!world.begin(6000));
  assert.deepEqual([world.count("refused.full"), world.count("sessions")], [2, 3]);
  assert.equal(world.logged.filter((line) => line.includes("dtls-sessions-full")).length, 1);
  world.later(5000);
  world.takeEvents();
  assert.ok(world.begin(6000));
  assert.deepEqual([first.freed, second?.freed, second?.saidGoodbye], [false, true, true]);
  assert.deepEqual(world.takeEvents(), ["close id-5002 10.0.0.1:5002"]);
  assert.deepEqual([world.count("evicted"), world.count("sessions"), world.count("half_open")], [1, 2, 1]);
  assert.equal(world.logged.filter((line) => line.includes("dtls-sessions-below-limit")).length, 1);
});

test("half-open ones go before open ones, and what we send counts as use", () => {
  const world = new World({ maxSessions: 2, idleTimeoutMs: 60_000 });
  world.open(5001);
  world.begin(5002);
  const slow = world.context.session;
  world.later(6000);
  assert.ok(world.begin(6000));
  assert.deepEqual([slow.freed, world.count("sessions")], [true, 1]);
  world.take(finished(), 6000);
  world.later(59_000);
  world.server.send(Buffer.from("x"), 0, 1, "10.0.0.1", 5001);
  world.later(2000);
  world.takeEvents();
  assert.ok(world.begin(7000));
  assert.deepEqual(world.takeEvents(), ["close null 10.0.0.1:6000"]);
});

test("in a full house a client that has proven its address takes the place of its own old session", () => {
  const world = new World({ maxSessions: 2 });
  const first = world.open(5001, "before");
  world.open(5002);
  assert.ok(world.begin(5001, "after!"));
  assert.equal(first.freed, true);
  world.take(finished(), 5001);
  assert.equal(world.count("sessions"), 2);
});

test("a session that nobody has used for a day ends", () => {
  const world = new World();
  world.open(5001);
  world.open(5002);
  for (let hour = 0; hour < 20; hour++) world.later(3_600_000);
  world.take(data("here"), 5002);
  for (let hour = 0; hour < 5; hour++) world.later(3_600_000);
  assert.deepEqual([world.count("sessions"), world.count("evicted")], [1, 1]);
  for (let hour = 0; hour < 30; hour++) world.later(3_600_000);
  assert.deepEqual([world.count("sessions"), world.wheel.armed], [0, 0]);
});

test("sessions of whom a reload has taken away hear goodbye; at the end all do, and nothing is taken any more", () => {
  const world = new World();
  world.open(5001);
  world.open(5002);
  world.begin(5003);
  world.takeSent();
  assert.equal(
    world.server.closeWhere(({ name }) => name === "id-5001"),
    1,
  );
  assert.deepEqual(world.takeSent(), ["10.0.0.1:5001 <- goodbye"]);
  world.take(data("close"), 5002);
  assert.deepEqual(world.takeSent(), ["10.0.0.1:5002 <- goodbye"]);
  assert.deepEqual([world.context.live, world.count("sessions"), world.count("half_open")], [0, 0, 0]);
  assert.equal(world.wheel.armed, 0);
  world.take(clientHello("random", ""));
  assert.deepEqual(world.takeSent(), []);
});

test("a resumed session is counted", () => {
  const world = new World();
  world.begin();
  world.take(record(22, 0, "resumed identity=again"));
  world.take(finished());
  assert.deepEqual([world.count("handshakes"), world.count("resumed")], [1, 1]);
});

test("any bytes at all: nothing throws, nothing is kept", () => {
  const world = new World();
  let seed = 7;
  const random = (): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return (seed >>> 8) & 0xff;
  };
  world.open(5000);
  for (let i = 0; i < 20_000; i++) {
    const datagram = Buffer.from(Array.from({ length: random() % 90 }, random));
    if (datagram.length > 13 && i % 2 === 0) datagram.set([22, 0xfe, 0xfd, 0, 0]);
    if (datagram.length > 13 && i % 4 === 0) datagram[13] = 1;
    world.take(datagram, 5000 + (i % 3));
  }
  assert.deepEqual([world.count("half_open"), world.count("sessions")], [0, 1]);
});

test("whatever happens in whatever order: within the limits, every session freed once, no timer left", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seededRandom(seed);
    const pick = (n: number): number => Math.floor(random() * n);
    const world = new World({ maxSessions: 1 + pick(20), idleTimeoutMs: 30_000 });
    const { sessions } = world.server;
    for (let step = 0; step < 400; step++) {
      const port = 5000 + pick(30);
      const address = `10.0.0.${pick(3)}`;
      world.tokens = random() < 0.9 ? 10 : 0;
      switch (pick(9)) {
        case 0:
        case 1:
        case 2:
          world.begin(port, `client${pick(3)}`, address);
          break;
        case 3:
        case 4:
          world.take(finished(), port, address);
          break;
        case 5:
          world.take(data("x"), port, address);
          break;
        case 6:
          world.take(random() < 0.5 ? goodbye() : record(22, 0, "fail=no"), port, address);
          break;
        case 7:
          world.server.send(Buffer.from(random() < 0.2 ? "break" : "x"), 0, 1, address, port);
          break;
        default:
          world.later(pick(8000));
      }
      const { openCount, begunCount } = sessions;
      assert.ok(begunCount <= sessions.halfOpenMax, `seed ${seed}, step ${step}`);
      assert.ok(openCount + begunCount <= world.maxSessions, `seed ${seed}, step ${step}`);
      assert.equal(world.context.live, openCount + begunCount, `seed ${seed}, step ${step}`);
      assert.deepEqual([world.count("sessions"), world.count("half_open")], [openCount, begunCount]);
      assert.ok(world.wheel.armed <= begunCount + 2, `seed ${seed}, step ${step}`);
      assert.equal([...sessions.all()].length, openCount + begunCount);
    }
    world.server.close();
    assert.deepEqual([world.context.live, world.wheel.armed, sessions.addressCount], [0, 0, 0]);
    assert.deepEqual([sessions.openCount, sessions.begunCount], [0, 0]);
  }
});
