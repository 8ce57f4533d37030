// Test whether keys and certificates are taken as they are: bytes of any value, and new ones while it runs.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  type DtlsContext,
  type DtlsOptions,
  ESTABLISHED,
  PSK_IDENTITY_BYTES_MAX,
  PSK_KEY_BYTES_MAX,
} from "../../../../src/native/dtls/binding.ts";
import { Authority } from "../../../support/dtls-certificates.ts";
import { client, DtlsPair, requireAddon, server } from "../../../support/dtls-pair.ts";
import { requirePeer } from "../../../support/peers.ts";

const work = mkdtempSync(join(tmpdir(), "sluice-dtls-"));
after(() => rmSync(work, { recursive: true, force: true }));

const skip = requireAddon() || requirePeer("openssl");
const authority = skip === false ? new Authority(join(work, "ours")) : (undefined as never);
const ca = authority?.ca;
const gateway = authority?.issue({ name: "gateway" });
const renewed = authority?.issue({ name: "renewed" });

type Options = Omit<DtlsOptions, "role">;

function entry(identity: string | Uint8Array, key: string | Uint8Array): { identity: Buffer; key: Buffer } {
  return { identity: Buffer.from(identity), key: Buffer.from(key) };
}

function isEstablished(context: DtlsContext, theirs: Options): boolean {
  const pair = new DtlsPair(context, client(theirs)).settle();
  const done = (pair.bits.client & pair.bits.server & ESTABLISHED) !== 0;
  pair.free();
  return done;
}

test("identities and keys of any bytes and of every length up to the limit", { skip }, () => {
  const identities = [
    Buffer.from([1]),
    Buffer.from([255]),
    Buffer.from("sensor/1:ü", "utf8"),
    Buffer.from(Array.from({ length: 255 }, (_, at) => at + 1)),
    Buffer.alloc(PSK_IDENTITY_BYTES_MAX - 1, 200),
  ];
  const keys = [
    Buffer.from([0]),
    Buffer.from([0, 0, 0, 0]),
    randomBytes(16),
    randomBytes(64),
    Buffer.alloc(PSK_KEY_BYTES_MAX, 0),
  ];
  for (const identity of identities) {
    for (const key of keys) {
      const psk = [{ identity, key }];
      const pair = new DtlsPair(server({ psk }), client({ psk })).settle();
      assert.equal(pair.bits.server, ESTABLISHED, `${identity.length} and ${key.length} bytes`);
      assert.deepEqual(pair.session?.identity, identity);
      pair.free();
    }
  }
});

test("keys that differ in one byte, or in length, or behind a NUL, are not the same", { skip }, () => {
  const context = server({ psk: [entry("a", [1, 0, 2] as never)] });
  const key = (bytes: number[]) => ({ psk: [{ identity: Buffer.from("a"), key: Buffer.from(bytes) }] });
  assert.equal(isEstablished(context, key([1, 0, 2])), true);
  for (const other of [[1], [1, 0], [1, 0, 3], [1, 0, 2, 0], [0, 1, 0, 2]])
    assert.equal(isEstablished(context, key(other)), false, other.join());
});

test("of two entries with one identity the later counts", { skip }, () => {
  const context = server({ psk: [entry("a", "old"), entry("b", "b"), entry("a", "new")] });
  assert.equal(isEstablished(context, { psk: [entry("a", "old")] }), false);
  assert.equal(isEstablished(context, { psk: [entry("a", "new")] }), true);
});

test("10,000 identities are told apart", { skip }, () => {
  const psk = Array.from({ length: 10_000 }, (_, at) => entry(`sensor-${at}`, `key-${at}`));
  const context = server({ psk });
  for (const at of [0, 1, 4_999, 9_999]) assert.equal(isEstablished(context, { psk: [psk[at]!] }), true);
  assert.equal(isEstablished(context, { psk: [entry("sensor-1", "key-2")] }), false);
});

test("an update holds for handshakes that begin; sessions, and a handshake under way, go on", { skip }, () => {
  const context = server({ psk: [entry("a", "1")] });
  const before = new DtlsPair(context, client({ psk: [entry("a", "1")] })).settle();
  const during = new DtlsPair(context, client({ psk: [entry("a", "1")] }));
  // Up to the second ClientHello, which makes the session.
  during.wire = (datagram, to, count) => (to === "client" && count === 1 ? [] : [datagram]);
  during.settle();
  assert.ok(during.session !== null);
  context.update({ psk: [entry("b", "2")] });
  before.send("client", "still here");
  assert.deepEqual(before.received.server, ["still here"]);
  during.wire = (datagram) => [datagram];
  for (const lost of during.sent.client.slice(1)) during.deliver(lost, "client");
  during.settle();
  assert.deepEqual(during.bits, { client: ESTABLISHED, server: ESTABLISHED });
  assert.equal(isEstablished(context, { psk: [entry("a", "1")] }), false);
  assert.equal(isEstablished(context, { psk: [entry("b", "2")] }), true);
});

test("an update replaces the certificate, and takes away what it does not name", { skip }, () => {
  const context = server({ ...gateway, psk: [entry("a", "1")] });
  const name = () => {
    const pair = new DtlsPair(context, client({ ca })).settle();
    return pair.client.peerCertificate?.toString().includes("renewed") ?? null;
  };
  assert.ok(isEstablished(context, { ca }));
  context.update({ ...renewed });
  assert.ok(isEstablished(context, { ca }));
  assert.notEqual(name(), null);
  assert.equal(isEstablished(context, { psk: [entry("a", "1")] }), false);
  context.update({ psk: [entry("a", "1")] });
  assert.equal(isEstablished(context, { ca }), false);
  assert.equal(isEstablished(context, { psk: [entry("a", "1")] }), true);
});

test("an update that is no good throws why, and all is as before", { skip }, () => {
  const context = server({ ...gateway });
  const bad: readonly (readonly [options: Options, why: RegExp])[] = [
    [{}, /neither a certificate nor a PSK/],
    [{ cert: gateway.cert }, /cert and key go together/],
    [{ cert: gateway.cert, key: renewed.key }, /^Error: key: key values mismatch/],
    [{ cert: Buffer.from("no PEM"), key: gateway.key }, /^Error: cert: no start line/],
    [{ cert: gateway.cert, key: Buffer.from("no PEM") }, /^Error: key: /],
    [{ cert: gateway.cert.subarray(0, 200), key: gateway.key }, /^Error: cert: /],
    [{ cert: Buffer.concat([gateway.cert, gateway.cert.subarray(0, 200)]), key: gateway.key }, /^Error: cert: /],
    [{ ...gateway, ca: Buffer.from("no PEM") }, /^Error: ca/],
    [{ ...gateway, ca: Buffer.alloc(0), requireClientCert: true }, /requireClientCert needs ca/],
    [{ ...gateway, requireClientCert: true }, /requireClientCert needs ca/],
  ];
  for (const [options, why] of bad) {
    assert.throws(() => context.update(options), why);
    assert.throws(() => server(options), why);
  }
  assert.ok(isEstablished(context, { ca }));
});

test("a key with a password is refused without asking anybody", { skip }, () => {
  const encrypted = authority.encrypt("gateway", "secret");
  assert.throws(() => server({ cert: gateway.cert, key: encrypted }), /^Error: key: /);
});

test("a client that nothing could prove the server to is not made", { skip }, () => {
  assert.throws(() => client({}), /nothing proves the server/);
  assert.throws(() => client({ ...gateway }), /nothing proves the server/);
  assert.throws(() => client({ ca, cipherList: "no such suite" }), /^Error: cipherList: no cipher match/);
  for (const cipherList of ["ALL", "ECDHE-ECDSA-AES128-SHA256", "PSK-AES128-CBC-SHA256"])
    assert.throws(() => client({ ca, cipherList }), /cipherList has a suite that is no AEAD/);
});

test("an RSA key of 1,024 bits is refused, though CCM8 is allowed", { skip }, () => {
  const weak = authority.issue({ name: "weak", key: "RSA-1024" });
  assert.throws(() => server({ ...weak }), /key too small/);
});
