// Test whether a peer that does all it can makes the addon throw, grow, or keep what it should not.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  type DtlsSession,
  ESTABLISHED,
  FAILED,
  OUTPUT_DATAGRAMS_MAX,
  RECORD_BYTES_MAX,
} from "../../../../src/native/dtls/binding.ts";
import { Authority } from "../../../support/dtls-certificates.ts";
import { fragment, garbage, record } from "../../../support/dtls-garbage.ts";
import { addon, client, DtlsPair, requireAddon, type Side, server, weighs } from "../../../support/dtls-pair.ts";
import { requirePeer } from "../../../support/peers.ts";

const work = mkdtempSync(join(tmpdir(), "sluice-dtls-"));
after(() => rmSync(work, { recursive: true, force: true }));

const skip = requireAddon() || requirePeer("openssl");
const authority = skip === false ? new Authority(work) : (undefined as never);
const ca = authority?.ca;
const gateway = authority?.issue({ name: "gateway" });
const device = authority?.issue({ name: "device" });
const psk = [{ identity: Buffer.from("sensor-1"), key: Buffer.from("key") }];
const mutual = { ours: { ...gateway, ca, requireClientCert: true }, theirs: { ca, ...device } };

/** A pair of which only the first `steps` datagrams have arrived. */
function upTo(steps: number, kind: { ours: object; theirs: object } = mutual): DtlsPair {
  const pair = new DtlsPair(server(kind.ours), client(kind.theirs));
  let left = steps;
  pair.wire = (datagram) => (left-- > 0 ? [datagram] : []);
  return pair.settle();
}

const STEPS = 8;

test("every session may be freed in every state, and nothing is left", { skip }, () => {
  const before = addon().live();
  for (let steps = 0; steps <= STEPS; steps++) {
    const pair = upTo(steps);
    pair.free();
  }
  const closed = upTo(STEPS);
  closed.client.close();
  closed.free();
  assert.equal(addon().live().sessions, before.sessions);
});

test("a wrong key leaves nothing behind once the session is freed", { skip }, () => {
  const context = server({ psk });
  const before = addon().live().sessions;
  for (let i = 0; i < 200; i++) {
    const pair = new DtlsPair(context, client({ psk: [{ ...psk[0]!, key: Buffer.from(`not ${i}`) }] })).settle();
    assert.equal(addon().live().sessions, before + 2);
    assert.deepEqual(pair.bits, { client: 0, server: 0 });
    pair.free();
  }
  assert.equal(addon().live().sessions, before);
});

test("garbage in every state: nothing throws, and an established session goes on", { skip }, () => {
  for (let steps = 0; steps <= STEPS; steps++) {
    for (const side of ["client", "server"] as Side[]) {
      const pair = upTo(steps);
      const target = side === "client" ? pair.client : pair.session;
      if (target === null) continue;
      const wasEstablished = (pair.bits[side] & ESTABLISHED) !== 0;
      for (const datagram of garbage()) pair.deliver(datagram, side);
      if (wasEstablished) assert.equal(pair.bits[side] & FAILED, 0, `${steps} to ${side}`);
      pair.free();
    }
  }
});

test("each truncation of each datagram of a handshake, in its place, does not end the handshake", { skip }, () => {
  const whole = upTo(100);
  for (const side of ["client", "server"] as Side[]) {
    for (let at = side === "server" ? 2 : 1; at < whole.sent[side].length; at++) {
      const pair = new DtlsPair(server(mutual.ours), client(mutual.theirs));
      pair.wire = (datagram, to, count) => {
        if (to !== side || count !== at) return [datagram];
        return [...Array.from({ length: datagram.length }, (_, length) => datagram.subarray(0, length)), datagram];
      };
      pair.settle();
      assert.deepEqual(pair.bits, { client: ESTABLISHED, server: ESTABLISHED }, `${at} to ${side}`);
      pair.free();
    }
  }
});

test("records before their keys: 16 are kept at most, so that a stranger takes no more than 1 MB", {
  skip: skip || weighs,
}, () => {
  const context = server({ psk });
  const attack = (session: DtlsSession) => {
    for (let i = 0; i < 300; i++) session.receive(record(22, 1, i, Buffer.alloc(200, i)));
    for (let sequence = 1; sequence < 40; sequence++)
      session.receive(record(22, 0, sequence + 1, fragment(16, sequence, 16_000, 0, Buffer.alloc(1_000))));
  };
  const begin = () => {
    const pair = new DtlsPair(context, client({ psk }));
    pair.wire = (datagram, to, count) => (to === "client" && count === 1 ? [] : [datagram]);
    return pair.settle();
  };
  const pairs = Array.from({ length: 40 }, begin);
  const before = process.memoryUsage.rss();
  for (const pair of pairs) attack(pair.session ?? assert.fail());
  const each = (process.memoryUsage.rss() - before) / pairs.length;
  assert.ok(each < 1_000_000, `${each} bytes each`);
  for (const pair of pairs) pair.free();
});

test("a session that is held takes less than 100 kB", { skip: skip || weighs }, () => {
  const context = server({ psk });
  const from = client({ psk });
  const hold = () => {
    const pair = new DtlsPair(context, from).settle();
    pair.send("client", "up");
    pair.send("server", "down");
    pair.client.free();
    return pair;
  };
  for (let i = 0; i < 50; i++) hold().free();
  const before = process.memoryUsage.rss();
  const held = Array.from({ length: 300 }, hold);
  const each = (process.memoryUsage.rss() - before) / held.length;
  assert.ok(each < 100_000, `${each} bytes each`);
  for (const pair of held) pair.free();
});

test("a client that never takes output is no leak: 64 datagrams wait at most", { skip }, () => {
  const pair = new DtlsPair(server({ psk }), client({ psk })).settle();
  const bytes = Buffer.from("x");
  for (let i = 0; i < 1_000; i++) pair.client.send(bytes, 0, 1);
  let count = 0;
  while (pair.client.takeOutput() !== null) count += 1;
  assert.equal(count, OUTPUT_DATAGRAMS_MAX);
  pair.send("client", "goes on");
  assert.deepEqual(pair.received.server, ["goes on"]);
});

test("what is not read is dropped by the network's rules, and the session goes on", { skip }, () => {
  const pair = new DtlsPair(server({ psk }), client({ psk })).settle();
  const session = pair.session ?? assert.fail();
  for (let i = 0; i < 100; i++) {
    pair.client.send(Buffer.from("unread"), 0, 6);
    session.receive(pair.client.takeOutput() ?? assert.fail());
  }
  const into = Buffer.alloc(RECORD_BYTES_MAX);
  let count = 0;
  while (session.read(into) > 0) count += 1;
  assert.equal(count, 1);
  pair.send("client", "goes on");
  assert.deepEqual(pair.received.server, ["goes on"]);
});

test("neither side begins anew: a ClientHello in an established session is refused", { skip }, () => {
  const pair = new DtlsPair(server({ psk }), client({ psk })).settle();
  for (const hello of [...pair.sent.server]) pair.deliver(hello, "server");
  pair.send("client", "goes on");
  assert.deepEqual(pair.received.server, ["goes on"]);
});

test("an identity longer than any may be, and an empty one, are refused with an alert", { skip }, () => {
  for (const length of [0, 257, 65_535]) {
    const pair = new DtlsPair(server({ psk }), client({ psk }));
    let sent = false;
    pair.wire = (datagram, to, count) => {
      if (to !== "server" || count !== 2) return [datagram];
      sent = true;
      const body = Buffer.alloc(2 + Math.min(length, 1_000));
      body.writeUInt16BE(length);
      return [record(22, 0, 9, fragment(16, 2, body.length, 0, body))];
    };
    pair.settle();
    assert.ok(sent);
    assert.equal(pair.bits.server, FAILED, `${length} bytes`);
    pair.free();
  }
});
