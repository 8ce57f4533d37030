// Test whether a ticket spares a client the handshake, and only as long as it should.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type DtlsContext, type DtlsOptions, ESTABLISHED } from "../../../../src/native/dtls/binding.ts";
import { Authority } from "../../../support/dtls-certificates.ts";
import { client, DtlsPair, requireAddon, server } from "../../../support/dtls-pair.ts";
import { requirePeer } from "../../../support/peers.ts";

const work = mkdtempSync(join(tmpdir(), "sluice-dtls-"));
after(() => rmSync(work, { recursive: true, force: true }));

const skip = requireAddon() || requirePeer("openssl");
const authority = skip === false ? new Authority(work) : (undefined as never);
const ca = authority?.ca;
const gateway = authority?.issue({ name: "gateway" });
const device = authority?.issue({ name: "device" });
const psk = [{ identity: Buffer.from("sensor-1"), key: Buffer.from("key") }];

type Options = Omit<DtlsOptions, "role">;

/** @returns the pair, and what the client keeps of it */
function shake(context: DtlsContext, theirs: Options, resume?: Uint8Array): [DtlsPair, Uint8Array | null] {
  const pair = new DtlsPair(context, client(theirs), resume === undefined ? {} : { resume }).settle();
  assert.deepEqual(pair.bits, { client: ESTABLISHED, server: ESTABLISHED }, pair.client.error + pair.session?.error);
  pair.send("client", "up");
  pair.send("server", "down");
  assert.deepEqual(pair.received, { client: ["down"], server: ["up"] });
  return [pair, pair.client.resumption()];
}

/** @returns whether the second handshake was spared */
function resumes(context: DtlsContext, between: () => void = () => undefined, theirs: Options = { psk }): boolean {
  const [, ticket] = shake(context, theirs);
  assert.ok(ticket !== null);
  between();
  const [again] = shake(context, theirs, ticket);
  assert.equal(again.client.resumed, again.session?.resumed);
  return again.client.resumed;
}

test("a resumed session has the identity of the first one, in a flight less", { skip }, () => {
  const context = server({ psk });
  const [first, ticket] = shake(context, { psk });
  assert.equal(first.session?.resumed, false);
  const [again] = shake(context, { psk }, ticket ?? assert.fail());
  assert.equal(again.session?.resumed, true);
  assert.equal(again.session?.identity?.toString(), "sensor-1");
  // Of the server: the cookie, its flight or two, content.
  assert.equal(first.sent.client.length, 4);
  assert.equal(again.sent.client.length, 3);
});

test("a resumed session has the client certificate of the first one", { skip }, () => {
  const context = server({ ...gateway, ca, requireClientCert: true });
  const [first, ticket] = shake(context, { ca, ...device });
  const [again] = shake(context, { ca, ...device }, ticket ?? assert.fail());
  assert.equal(again.session?.resumed, true);
  assert.ok(again.session?.peerCertificate !== null);
  assert.deepEqual(again.session?.peerCertificate, first.session?.peerCertificate);
  assert.equal(again.session?.identity, null);
});

test("a ticket outlives one change of keys, and not two", { skip }, () => {
  const context = server({ psk });
  assert.equal(
    resumes(context, () => context.rotate()),
    true,
  );
  const twice = () => {
    context.rotate();
    context.rotate();
  };
  assert.equal(resumes(context, twice), false);
});

test("a ticket of the keys before is exchanged for one of the keys in use", { skip }, () => {
  const context = server({ psk });
  let [, ticket] = shake(context, { psk });
  for (let i = 0; i < 5; i++) {
    context.rotate();
    const [again, next] = shake(context, { psk }, ticket ?? assert.fail());
    assert.equal(again.session?.resumed, true);
    assert.equal(again.session?.identity?.toString(), "sensor-1");
    ticket = next;
  }
});

test("new credentials void the tickets of the old ones, whatever they are", { skip }, () => {
  const context = server({ psk });
  assert.equal(
    resumes(context, () => context.update({ psk })),
    false,
  );
  const mutual = server({ ...gateway, ca, requireClientCert: true });
  const update = () => mutual.update({ ...gateway, ca, requireClientCert: true });
  assert.equal(resumes(mutual, update, { ca, ...device }), false);
});

test("a ticket of another server, and one that was tampered with, cost a full handshake and nothing else", {
  skip,
}, () => {
  const context = server({ psk });
  const [, foreign] = shake(server({ psk }), { psk });
  assert.equal(shake(context, { psk }, foreign ?? assert.fail())[0].session?.resumed, false);
  const [, ticket] = shake(context, { psk });
  for (let at = 0; at < ticket!.length; at += 7) {
    const changed = Uint8Array.from(ticket!);
    changed[at] = changed[at]! ^ 1;
    // What the client cannot read any more it does not send.
    const pair = new DtlsPair(context, client({ psk }), { resume: changed }).settle();
    pair.free();
  }
});

test("without tickets nothing can be resumed: the server keeps no sessions", { skip }, () => {
  const context = server({ psk, ticketSeconds: 0 });
  const [pair, ticket] = shake(context, { psk });
  assert.equal(pair.session?.resumed, false);
  if (ticket === null) return;
  const [again] = shake(context, { psk }, ticket);
  assert.equal(again.session?.resumed, false);
});
