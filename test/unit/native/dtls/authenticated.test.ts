// Test whether a peer that has its keys, and keeps no rules, gets no further than to end its own session.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import {
  CLOSED,
  DATA,
  type DtlsSession,
  ESTABLISHED,
  FAILED,
  OUTPUT,
  RECORD_BYTES_MAX,
} from "../../../../src/native/dtls/binding.ts";
import { fragment } from "../../../support/dtls-garbage.ts";
import { addon, requireAddon, server, weighs } from "../../../support/dtls-pair.ts";
import { RawClient } from "../../../support/dtls-raw-client.ts";

const skip = requireAddon();
const identity = Buffer.from("00610062ff00", "hex");
const key = Buffer.from([0, 7, 0]);
const psk = [
  { identity, key },
  { identity: Buffer.from([0]), key: Buffer.from("other") },
];
const into = Buffer.alloc(RECORD_BYTES_MAX);
const [ALERT, HANDSHAKE, DATA_TYPE] = [21, 22, 23];

function established(extensions = Buffer.alloc(0)): { peer: RawClient; session: DtlsSession } {
  const peer = new RawClient(server({ psk }), { identity, key, extensions });
  const session = peer.begin();
  assert.equal(peer.finish() & (ESTABLISHED | FAILED), ESTABLISHED, session.error);
  return { peer, session };
}

/** Content that the server takes for honest arrives: the session is alive. */
function isAlive({ peer, session }: { peer: RawClient; session: DtlsSession }): boolean {
  if ((peer.send(peer.sealed(DATA_TYPE, Buffer.from("alive"))) & DATA) === 0) return false;
  const count = session.read(into);
  assert.equal(into.toString("latin1", 0, count), "alive");
  return session.read(into) === 0;
}

test("an identity with NULs is known whole, one that is cut at a NUL is another", { skip }, () => {
  const pair = established();
  assert.deepEqual(pair.session.identity, identity);
  assert.ok(isAlive(pair));
  for (const other of ["", "00", "0061", "00610062ff", "00610062ff0000"]) {
    const peer = new RawClient(server({ psk: psk.slice(0, 1) }), { identity: Buffer.from(other, "hex"), key });
    try {
      peer.begin();
    } catch {
      continue; // refused at once
    }
    assert.equal(peer.finish() & ESTABLISHED, 0, other);
  }
});

test("nothing is delivered before the handshake is complete, though its keys are right", { skip }, () => {
  const peer = new RawClient(server({ psk }), { identity, key });
  const session = peer.begin();
  for (let i = 0; i < 40; i++) {
    assert.equal(peer.send(peer.sealed(DATA_TYPE, Buffer.from("early"))) & ~OUTPUT, 0);
    assert.equal(session.read(into), 0);
  }
  assert.equal(session.send(Buffer.from("x"), 0, 1), 0);
});

test("a Finished with another hash fails, and content right behind it is not delivered", { skip }, () => {
  const peer = new RawClient(server({ psk }), { identity, key });
  const session = peer.begin();
  peer.send(peer.plain(20, Buffer.from([1])));
  const wrong = peer.sealed(HANDSHAKE, fragment(20, 3, 12, 0, Buffer.alloc(12, 7)));
  const bits = peer.send(Buffer.concat([wrong, peer.sealed(DATA_TYPE, Buffer.from("content"))]));
  assert.equal(bits & ~OUTPUT, FAILED);
  assert.match(session.error, /digest check failed; sent alert decrypt error/);
  assert.equal(session.read(into), 0);
});

test("who shakes hands anew under its keys ends its own session with the next content, without an answer before", {
  skip,
}, () => {
  for (const type of [0, 1, 2, 11, 16]) {
    const pair = established();
    assert.equal(pair.peer.send(pair.peer.sealed(HANDSHAKE, fragment(type, 4, 60, 0, Buffer.alloc(60, 1)))), 0);
    assert.equal(isAlive(pair), false);
    assert.match(pair.session.error, /unexpected record/);
  }
  const repeated = established();
  const last = fragment(20, 3, 12, 0, Buffer.alloc(12));
  assert.equal(repeated.peer.send(repeated.peer.sealed(HANDSHAKE, last)), OUTPUT, "our last flight, again");
  repeated.peer.hear();
  assert.ok(isAlive(repeated));
});

test("handshake messages without end take no more memory than the first of them", { skip: skip || weighs }, () => {
  const pairs = Array.from({ length: 20 }, () => established());
  const flood = () => {
    for (const { peer } of pairs) {
      for (let i = 0; i < 500; i++) {
        const type = [1, 2, 11, 12, 16, 20][i % 6]!;
        peer.send(
          peer.sealed(HANDSHAKE, fragment(type, 3 + (i % 60), 16_000, (i * 500) % 15_000, Buffer.alloc(1_000, i))),
        );
        while (peer.session?.takeOutput() !== null);
      }
    }
    return process.memoryUsage.rss();
  };
  const begun = process.memoryUsage.rss();
  const first = (flood() - begun) / pairs.length;
  assert.ok(first < 1_500_000, `${first} bytes each, V8's garbage included`);
  flood();
  const before = flood();
  const later = (Math.min(flood(), flood(), flood()) - before) / pairs.length;
  assert.ok(later < 100_000, `${later} bytes each, later`);
  for (const { session } of pairs) session.free();
});

test("warnings without end fail the session; empty records and unknown types do not throw", { skip }, () => {
  const warned = established();
  let bits = 0;
  for (let i = 0; i < 20; i++) bits |= warned.peer.send(warned.peer.sealed(ALERT, Buffer.from([1, 90])));
  assert.equal(bits & FAILED, FAILED);
  assert.match(warned.session.error, /too many warn alerts/);
  const empty = established();
  for (let i = 0; i < 1_000; i++)
    assert.equal(empty.peer.send(empty.peer.sealed(DATA_TYPE, Buffer.alloc(0))) & DATA, 0);
  assert.equal(empty.session.read(into), 0);
  for (const type of [0, 19, 20, 24, 25, 255]) {
    const odd = established();
    for (let i = 0; i < 20; i++) odd.peer.send(odd.peer.sealed(type, Buffer.alloc(20, i)));
    assert.equal(odd.session.read(into), 0);
  }
});

test("a fatal alert ends the session, and says which it was", { skip }, () => {
  const { peer, session } = established();
  assert.equal(peer.send(peer.sealed(ALERT, Buffer.from([2, 20]))) & ~OUTPUT, FAILED);
  assert.match(session.error, /received alert bad record mac \(20\)/);
  assert.equal(peer.send(peer.sealed(DATA_TYPE, Buffer.from("after"))), 0);
});

test("who asks for records of 512 bytes gets them, and a larger one of its own hides nothing", { skip }, () => {
  const pair = established(Buffer.from([0, 1, 0, 1, 1]));
  const { peer, session } = pair;
  assert.ok(session.payloadMax >= 512);
  assert.equal(session.send(Buffer.alloc(512), 0, 512), OUTPUT);
  peer.hear();
  assert.equal(peer.heard.at(-1)?.content.length, 512);
  const short = Buffer.from("16fefd00010000000000ff0001a5", "hex");
  const large = peer.sealed(DATA_TYPE, Buffer.alloc(2_000));
  short.copy(large, 13);
  peer.send(large);
  assert.ok(isAlive(pair), session.error);
});

test("random messages under the keys: nothing throws, nothing comes through but content", { skip }, () => {
  const random = seededRandom(Number(process.env["SLUICE_LONG"] ?? 7252));
  const below = (end: number) => Math.floor(random() * end);
  const rounds = process.env["SLUICE_LONG"] === undefined ? 150 : 5_000;
  const before = addon().live().sessions;
  const seen = { failed: 0, closed: 0, alive: 0 };
  for (let round = 0; round < rounds; round++) {
    const peer = new RawClient(server({ psk }), { identity, key });
    const session = peer.begin();
    const early = random() < 0.3;
    let bits = early ? 0 : peer.finish();
    for (let shot = 0; shot < 30 && (bits & (FAILED | CLOSED)) === 0; shot++) {
      const body = Buffer.alloc(below(400), below(256));
      const message = fragment(
        below(26),
        below(12),
        random() < 0.7 ? body.length : below(20_000),
        below(3) * below(400),
        body,
      );
      const type = random() < 0.6 ? HANDSHAKE : 20 + below(5);
      bits |= peer.send(
        peer.sealed(type, type === HANDSHAKE ? message : body, random() < 0.1 ? below(1_000) : undefined),
      );
      for (let count = session.read(into); count > 0; count = session.read(into))
        assert.ok(type === DATA_TYPE || early);
      peer.hear();
    }
    seen[(bits & FAILED) !== 0 ? "failed" : (bits & CLOSED) !== 0 ? "closed" : "alive"] += 1;
    session.free();
  }
  assert.equal(addon().live().sessions, before);
  assert.ok(seen.failed > 0 && seen.alive > 0, JSON.stringify(seen));
});
