// Test whether two ends of the addon agree: PSK, certificates, client certificates, the suites; and when they must not.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { DATA, type DtlsOptions, ESTABLISHED, FAILED } from "../../../../src/native/dtls/binding.ts";
import { Authority } from "../../../support/dtls-certificates.ts";
import { client, DtlsPair, requireAddon, server } from "../../../support/dtls-pair.ts";
import { requirePeer } from "../../../support/peers.ts";

const work = mkdtempSync(join(tmpdir(), "sluice-dtls-"));
after(() => rmSync(work, { recursive: true, force: true }));

const skip = requireAddon() || requirePeer("openssl");
const authority = skip === false ? new Authority(join(work, "ours")) : (undefined as never);
const stranger = skip === false ? new Authority(join(work, "theirs")) : (undefined as never);
const ca = authority?.ca;
const issued = {
  server: authority?.issue({ name: "server", names: ["DNS:gateway.local", "IP:127.0.0.1"] }),
  rsa: authority?.issue({ name: "rsa", key: "RSA" }),
  device: authority?.issue({ name: "device" }),
  unknown: stranger?.issue({ name: "device" }),
};

const KEY = Buffer.from([0, 1, 0, 255, 0, 0, 7, 8]);
const psk = [{ identity: Buffer.from("sensor-1"), key: KEY }];
type Options = Omit<DtlsOptions, "role">;

/** A handshake that succeeds, with content both ways. */
function agree(ours: Options, theirs: Options, serverName?: string): DtlsPair {
  const pair = new DtlsPair(server(ours), client(theirs), serverName === undefined ? {} : { serverName }).settle();
  assert.deepEqual(pair.bits, { client: ESTABLISHED, server: ESTABLISHED }, pair.client.error + pair.session?.error);
  pair.send("client", "up");
  pair.send("server", "down");
  assert.deepEqual(pair.received, { client: ["down"], server: ["up"] });
  return pair;
}

/** A handshake that fails at once, on both sides. */
function refuse(ours: Options, theirs: Options, serverName?: string): DtlsPair {
  const pair = new DtlsPair(server(ours), client(theirs), serverName === undefined ? {} : { serverName }).settle();
  assert.deepEqual(pair.bits, { client: FAILED, server: FAILED });
  pair.send("client", "up");
  assert.equal((pair.bits.server | pair.bits.client) & DATA, 0);
  return pair;
}

const PSK_SUITES = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-CCM", "AES256-CCM", "AES128-CCM8", "AES256-CCM8"];
const SUITES: readonly (readonly [suite: string, of: "psk" | "server" | "rsa"])[] = [
  ...PSK_SUITES.map((suite) => [`PSK-${suite}`, "psk"] as const),
  ...PSK_SUITES.map((suite) => [`ECDHE-ECDSA-${suite}`, "server"] as const),
  ...PSK_SUITES.slice(0, 2).map((suite) => [`ECDHE-RSA-${suite}`, "rsa"] as const),
];

for (const [suite, of] of SUITES) {
  test(`${suite} is agreed on when a client has nothing else`, { skip }, () => {
    const [ours, theirs] = of === "psk" ? [{ psk }, { psk }] : [issued[of], { ca }];
    const pair = agree(ours, { ...theirs, cipherList: suite });
    assert.deepEqual([pair.client.cipher, pair.session?.cipher], [suite, suite]);
    assert.equal(pair.session?.identity?.toString(), of === "psk" ? "sensor-1" : undefined);
    pair.free();
  });
}

test("a client that has a key comes by it, also to a server with a certificate that asks for one", { skip }, () => {
  const pair = agree({ ...issued.server, ca, requireClientCert: true, psk }, { ca, psk });
  assert.match(pair.session?.cipher ?? "", /^PSK/);
  assert.equal(pair.session?.identity?.toString(), "sensor-1");
  assert.equal(pair.session?.peerCertificate, null);
});

test("a wrong key: neither side is established, and neither says a word about it", { skip }, () => {
  const pair = new DtlsPair(server({ psk }), client({ psk: [{ ...psk[0]!, key: Buffer.from("x") }] })).settle();
  assert.deepEqual(pair.bits, { client: 0, server: 0 });
});

test("an unknown identity is answered with the alert that says so", { skip }, () => {
  const pair = refuse({ psk }, { psk: [{ identity: Buffer.from("sensor-2"), key: KEY }] });
  assert.match(pair.client.error, /received alert unknown PSK identity \(115\)/);
  assert.match(pair.session?.error ?? "", /sent alert unknown PSK identity \(115\)/);
});

test("a client without a suite in common gets an alert and no session", { skip }, () => {
  const context = server({ ...issued.server });
  const pair = new DtlsPair(context, client({ psk })).settle();
  assert.equal(pair.session, null);
  assert.equal(pair.bits.client, FAILED);
  assert.match(pair.client.error, /received alert handshake failure \(40\)/);
  assert.match(context.refusal, /no shared cipher; sent alert handshake failure \(40\)/);
});

test("a client certificate is handed over as DER", { skip }, () => {
  const pair = agree({ ...issued.server, ca, requireClientCert: true }, { ca, ...issued.device });
  const certificate = new X509Certificate(pair.session?.peerCertificate ?? "");
  assert.equal(certificate.subject, "CN=device");
  assert.ok(certificate.raw.equals(new X509Certificate(issued.device.cert).raw));
  assert.ok(new X509Certificate(pair.client.peerCertificate ?? "").subject === "CN=server");
});

test("no client certificate where one is asked for: alert 40", { skip }, () => {
  const pair = refuse({ ...issued.server, ca, requireClientCert: true }, { ca });
  assert.match(pair.client.error, /received alert handshake failure \(40\)/);
});

test("a client certificate of another authority: alert 48", { skip }, () => {
  const pair = refuse({ ...issued.server, ca, requireClientCert: true }, { ca, ...issued.unknown });
  assert.match(pair.client.error, /received alert unknown CA \(48\)/);
});

test("a client accepts only its authority, and only the name that it asked for", { skip }, () => {
  refuse({ ...issued.server }, { ca: stranger.ca });
  agree({ ...issued.server }, { ca }, "gateway.local");
  agree({ ...issued.server }, { ca }, "127.0.0.1");
  assert.match(refuse({ ...issued.server }, { ca }, "other.local").client.error, /hostname mismatch/);
  assert.match(refuse({ ...issued.server }, { ca }, "127.0.0.2").client.error, /IP address mismatch/);
  agree({ ...issued.server }, { insecure: true });
});

test("a chain over two authorities in between is sent and believed", { skip }, () => {
  authority.issue({ name: "middle", isAuthority: true });
  authority.issue({ name: "lower", by: "middle", isAuthority: true });
  const leaf = authority.issue({ name: "leaf", by: "lower" });
  const between = ["lower", "middle"].map((name) => authority.read(`${name}.pem`));
  const chain = Buffer.concat([leaf.cert, ...between]);
  agree({ cert: chain, key: leaf.key }, { ca });
  refuse({ cert: leaf.cert, key: leaf.key }, { ca });
});
