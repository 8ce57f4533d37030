// Test whether each datagram of a handshake may be lost, come twice, or come late.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type DtlsOptions, ESTABLISHED, FAILED } from "../../../../src/native/dtls/binding.ts";
import { Authority } from "../../../support/dtls-certificates.ts";
import { client, DtlsPair, requireAddon, type Side, server, type Wire } from "../../../support/dtls-pair.ts";
import { requirePeer } from "../../../support/peers.ts";

const work = mkdtempSync(join(tmpdir(), "sluice-dtls-"));
after(() => rmSync(work, { recursive: true, force: true }));

const skip = requireAddon() || requirePeer("openssl");
const authority = skip === false ? new Authority(work) : (undefined as never);
const ca = authority?.ca;
const gateway = authority?.issue({ name: "gateway", key: "RSA" });
const device = authority?.issue({ name: "device", key: "RSA" });
const psk = [{ identity: Buffer.from("sensor-1"), key: Buffer.from("key") }];

type Options = Omit<DtlsOptions, "role">;

/** Short, so that nobody waits; long enough for this process to be held up and no timer to run out by that. */
const retransmitMs = 80;

const KINDS: readonly (readonly [kind: string, ours: Options, theirs: Options])[] = [
  ["PSK", { psk }, { psk }],
  // Flights of several datagrams each way.
  ["mutual RSA", { ...gateway, ca, requireClientCert: true, mtu: 600 }, { ca, ...device, mtu: 600 }],
];

/** Drives a handshake through `wire` until content has come through both ways, at most `ticks` timeouts long. */
async function through(ours: Options, theirs: Options, wire: Wire, ticks = 8): Promise<DtlsPair> {
  const pair = new DtlsPair(server({ ...ours, retransmitMs }), client({ ...theirs, retransmitMs }));
  pair.wire = wire;
  pair.settle();
  for (let tick = 0; tick < ticks && (pair.bits.client & pair.bits.server) !== ESTABLISHED; tick++) await pair.tick();
  assert.deepEqual(pair.bits, { client: ESTABLISHED, server: ESTABLISHED }, pair.client.error + pair.session?.error);
  pair.wire = (datagram) => [datagram];
  pair.send("client", "up");
  pair.send("server", "down");
  assert.deepEqual(pair.received, { client: ["down"], server: ["up"] });
  return pair;
}

for (const [kind, ours, theirs] of KINDS) {
  test(`${kind}: each single datagram may be lost; it is sent again when the timer has run out`, { skip }, async () => {
    const all = (await through(ours, theirs, (datagram) => [datagram])).sent;
    for (const side of ["server", "client"] as Side[]) {
      for (let lost = 0; lost < all[side].length - 1; lost++) {
        const wire: Wire = (datagram, to, count) => (to === side && count === lost ? [] : [datagram]);
        const { sent } = await through(ours, theirs, wire);
        assert.ok(
          sent.server.length + sent.client.length > all.server.length + all.client.length,
          `${lost} to ${side}`,
        );
      }
    }
  });

  test(`${kind}: each datagram may come twice`, { skip }, async () => {
    await through(ours, theirs, (datagram) => [datagram, datagram]);
  });

  test(`${kind}: datagrams of a flight may come in any order`, { skip }, async () => {
    const pair = new DtlsPair(server({ ...ours, retransmitMs }), client({ ...theirs, retransmitMs }));
    const held: [Uint8Array, Side][] = [];
    pair.wire = (datagram, to) => {
      held.push([datagram, to]);
      return [];
    };
    for (let flight = 0; flight < 12; flight++) {
      pair.settle();
      for (const [datagram, to] of held.splice(0).reverse()) pair.deliver(datagram, to);
      if ((pair.bits.client & pair.bits.server) === ESTABLISHED) break;
      if (held.length === 0) await pair.tick();
    }
    assert.deepEqual(pair.bits, { client: ESTABLISHED, server: ESTABLISHED });
  });
}

test("while nothing comes back each wait is twice the last, and each sends the flight once", { skip }, async () => {
  const pair = new DtlsPair(server({ psk }), client({ psk, retransmitMs }));
  pair.wire = () => [];
  pair.settle();
  for (let tick = 0; tick < 4; tick++) {
    const wait = pair.client.timeoutMs();
    assert.ok(wait >= 0 && wait <= retransmitMs * 2 ** tick, `${wait} ms at ${tick}`);
    await pair.tick();
    assert.equal(pair.sent.server.length, tick + 2);
  }
  assert.equal(pair.bits.client & FAILED, 0);
});

test("before its time a timeout does nothing, and an established session has none", { skip }, () => {
  const pair = new DtlsPair(server({ psk }), client({ psk, retransmitMs: 60_000 }));
  const wait = pair.client.timeoutMs();
  assert.ok(wait > 59_000 && wait <= 60_000, `${wait}`);
  pair.client.takeOutput();
  assert.equal(pair.client.onTimeout(), 0);
  assert.equal(pair.client.takeOutput(), null);
  const done = new DtlsPair(server({ psk }), client({ psk })).settle();
  assert.deepEqual([done.client.timeoutMs(), done.session?.timeoutMs()], [-1, -1]);
  assert.deepEqual([done.client.onTimeout(), done.session?.onTimeout()], [0, 0]);
});

test("a server that is established answers the client's last flight again when its own was lost", {
  skip,
}, async () => {
  const pair = new DtlsPair(server({ psk }), client({ psk, retransmitMs }));
  pair.wire = (datagram, to, count) => (to === "client" && count === 2 ? [] : [datagram]);
  pair.settle();
  assert.equal(pair.bits.server, ESTABLISHED);
  assert.equal(pair.bits.client, 0);
  await pair.tick();
  assert.equal(pair.bits.client, ESTABLISHED);
});
