// Test whether a server keeps nothing of strangers, and knows its own cookies.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import type { DtlsContext } from "../../../../src/native/dtls/binding.ts";
import { addon, client, requireAddon, server, weighs } from "../../../support/dtls-pair.ts";

const skip = requireAddon();
const psk = [{ identity: Buffer.from("sensor-1"), key: Buffer.from("key") }];
const PEER = Buffer.from("192.0.2.1:40000");
const COOKIE_BYTES = 32;

/** Both ClientHellos of a client at `peer`: before and after it got its cookie. */
function hellos(context: DtlsContext, peer: Uint8Array): [first: Uint8Array, second: Uint8Array, answer: Uint8Array] {
  const session = client({ psk }).connect();
  const first = session.takeOutput() ?? assert.fail();
  const answer = context.hello(first, peer);
  assert.ok(answer instanceof Uint8Array);
  session.receive(answer);
  const second = session.takeOutput() ?? assert.fail();
  session.free();
  return [first, second, answer];
}

function isSession(answer: ReturnType<DtlsContext["hello"]>): boolean {
  if (answer === null || answer instanceof Uint8Array) return false;
  answer.free();
  return true;
}

test("a hello without a cookie is answered with less than it brought, and begins no session", { skip }, () => {
  const context = server({ psk });
  const before = addon().live().sessions;
  const [first, , answer] = hellos(context, PEER);
  assert.ok(answer.length <= first.length);
  assert.equal(answer[13], 3, "a HelloVerifyRequest");
  assert.equal(addon().live().sessions, before);
});

test("the cookie is good for its address and port alone", { skip }, () => {
  const context = server({ psk });
  const [, second] = hellos(context, PEER);
  assert.equal(isSession(context.hello(second, Buffer.from("192.0.2.1:40001"))), false);
  assert.equal(isSession(context.hello(second, Buffer.from("192.0.2.2:40000"))), false);
  assert.equal(isSession(context.hello(second, PEER)), true);
});

test("whether a cookie holds can be asked without a handshake", { skip }, () => {
  const context = server({ psk });
  const [, , answer] = hellos(context, PEER);
  const cookie = answer.subarray(answer.length - COOKIE_BYTES);
  assert.equal(context.isCookieOf(PEER, cookie), true);
  assert.equal(context.isCookieOf(Buffer.from("192.0.2.1:40001"), cookie), false);
  assert.equal(context.isCookieOf(PEER, randomBytes(COOKIE_BYTES)), false);
  for (const length of [0, 1, COOKIE_BYTES - 1])
    assert.equal(context.isCookieOf(PEER, cookie.subarray(0, length)), false);
  context.rotate();
  assert.equal(context.isCookieOf(PEER, cookie), true);
  context.rotate();
  assert.equal(context.isCookieOf(PEER, cookie), false);
  assert.throws(() => context.isCookieOf("text" as never, cookie), /TypeError: peer/);
  assert.throws(() => context.isCookieOf(PEER, null as never), /TypeError: cookie/);
  assert.throws(() => client({ psk }).isCookieOf(PEER, cookie), /this is for a server's context/);
  context.free();
  assert.throws(() => context.isCookieOf(PEER, cookie), /the context is freed/);
});

test("a cookie is accepted for one more period, and not for two", { skip }, () => {
  const context = server({ psk });
  const [, second] = hellos(context, PEER);
  context.rotate();
  assert.equal(isSession(context.hello(second, PEER)), true);
  context.rotate();
  assert.equal(isSession(context.hello(second, PEER)), false);
});

test("the cookie outlives new credentials", { skip }, () => {
  const context = server({ psk });
  const [, second] = hellos(context, PEER);
  context.update({ psk });
  assert.equal(isSession(context.hello(second, PEER)), true);
});

test("a forged cookie, a changed one, and one of another server get another HelloVerifyRequest", { skip }, () => {
  const context = server({ psk });
  const [, second, answer] = hellos(context, PEER);
  const cookie = answer.subarray(answer.length - COOKIE_BYTES);
  const at = Buffer.from(second).indexOf(cookie);
  assert.ok(at > 0);
  const forge = (bytes: Uint8Array) => {
    const forged = Uint8Array.from(second);
    forged.set(bytes, at);
    return context.hello(forged, PEER);
  };
  const changed = Uint8Array.from(cookie);
  changed[COOKIE_BYTES - 1] = changed[COOKIE_BYTES - 1]! ^ 1;
  const [, , others] = hellos(server({ psk }), PEER);
  for (const bytes of [randomBytes(COOKIE_BYTES), changed, others.subarray(others.length - COOKIE_BYTES)]) {
    const again = forge(bytes);
    assert.ok(again instanceof Uint8Array);
    assert.equal(again[13], 3);
  }
  assert.equal(isSession(forge(cookie)), true);
});

test("what is no ClientHello is not answered: each truncation, other records, other messages, other epochs", {
  skip,
}, () => {
  const context = server({ psk });
  const [first] = hellos(context, PEER);
  for (let length = 0; length < first.length; length++) {
    assert.equal(context.hello(first.subarray(0, length), PEER), null, `${length} bytes`);
  }
  const silent: readonly (readonly [at: number, value: number])[] = [
    [0, 20],
    [0, 21],
    [0, 23],
    [0, 25],
    [1, 3],
    [3, 1],
    [4, 1],
    [13, 0],
    [13, 2],
    [13, 11],
    [13, 20],
  ];
  for (const [at, value] of silent) {
    const other = Uint8Array.from(first);
    other[at] = value;
    assert.equal(context.hello(other, PEER), null, `${value} at ${at}`);
  }
});

test("60,000 hellos without a cookie leave no session and no memory behind", { skip: skip || weighs }, () => {
  const context = server({ psk });
  const [first] = hellos(context, PEER);
  const peer = Buffer.alloc(6);
  const before = addon().live().sessions;
  const flood = (count: number) => {
    for (let i = 0; i < count; i++) {
      peer.writeUInt32BE(i);
      assert.ok(context.hello(first, peer) instanceof Uint8Array);
    }
  };
  flood(20_000); // buffers of V8 grow to their size
  const rss = process.memoryUsage.rss();
  flood(60_000);
  const grown = process.memoryUsage.rss() - rss;
  assert.equal(addon().live().sessions, before);
  assert.ok(grown < 8_000_000, `grew by ${grown} bytes`);
});
