// Test whether content travels in whole records: sizes, borders, replays, the end, and the limit of our datagrams.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  CLOSED,
  DATA,
  type DtlsSession,
  ESTABLISHED,
  FAILED,
  OUTPUT,
  RECORD_BYTES_MAX,
  TOO_LARGE,
} from "../../../../src/native/dtls/binding.ts";
import { Authority } from "../../../support/dtls-certificates.ts";
import { client, DtlsPair, requireAddon, server } from "../../../support/dtls-pair.ts";
import { requirePeer } from "../../../support/peers.ts";

const work = mkdtempSync(join(tmpdir(), "sluice-dtls-"));
after(() => rmSync(work, { recursive: true, force: true }));

const skip = requireAddon();
const psk = [{ identity: Buffer.from("sensor-1"), key: Buffer.from("key") }];
const into = Buffer.alloc(RECORD_BYTES_MAX);

function established(mtu = 1200, cipherList = "PSK-AES128-CCM8"): DtlsPair & { session: DtlsSession } {
  const pair = new DtlsPair(server({ psk, mtu }), client({ psk, mtu, cipherList })).settle();
  assert.deepEqual(pair.bits, { client: ESTABLISHED, server: ESTABLISHED });
  return pair as DtlsPair & { session: DtlsSession };
}

/** One record of the client with `text` in it. */
function recordOf(pair: DtlsPair, text: string): Uint8Array {
  const bytes = Buffer.from(text);
  assert.equal(pair.client.send(bytes, 0, bytes.length), OUTPUT);
  return pair.client.takeOutput() ?? assert.fail();
}

test("from and end choose what is sent", { skip }, () => {
  const pair = established();
  const bytes = Buffer.from("-abc-");
  pair.client.send(bytes, 1, 4);
  pair.settle();
  assert.deepEqual(pair.received.server, ["abc"]);
  assert.equal(pair.client.send(bytes, 2, 2), 0, "nothing is nothing");
});

for (const cipher of ["PSK-AES128-CCM8", "PSK-AES128-CCM", "PSK-AES128-GCM-SHA256"]) {
  test(`${cipher}: payloadMax fits into the MTU to the byte, one more is refused`, { skip }, () => {
    for (const mtu of [256, 600, 1200, RECORD_BYTES_MAX]) {
      const pair = established(mtu, cipher);
      const max = pair.client.payloadMax;
      const bytes = Buffer.alloc(max + 1, "x");
      assert.equal(pair.client.send(bytes, 0, max + 1), TOO_LARGE);
      assert.equal(pair.client.takeOutput(), null);
      assert.equal(pair.client.send(bytes, 0, max), OUTPUT);
      pair.settle();
      assert.equal(pair.received.server[0]?.length, max);
      assert.equal(pair.sent.server.at(-1)?.length, mtu, `payloadMax ${max} in ${mtu}`);
    }
  });
}

test("several records in one datagram are read one by one", { skip }, () => {
  const pair = established();
  const records = ["one", "two", "three"].map((text) => recordOf(pair, text));
  assert.equal(pair.session.receive(Buffer.concat(records)), DATA);
  const read = () => into.toString("latin1", 0, pair.session.read(into));
  assert.deepEqual([read(), read(), read()], ["one", "two", "three"]);
  assert.equal(pair.session.read(into), 0);
});

test("a record that comes twice, and one from far behind, are dropped", { skip }, () => {
  const pair = established();
  const first = recordOf(pair, "first");
  pair.deliver(first, "server");
  pair.deliver(first, "server");
  assert.deepEqual(pair.received.server, ["first"]);
  const late = recordOf(pair, "late");
  const older = recordOf(pair, "older");
  pair.deliver(older, "server");
  pair.deliver(late, "server");
  assert.deepEqual(pair.received.server, ["first", "older", "late"], "within the window order does not matter");
  const stale = recordOf(pair, "stale");
  for (let i = 0; i < 70; i++) pair.deliver(recordOf(pair, "x"), "server");
  const count = pair.received.server.length;
  pair.deliver(stale, "server");
  assert.equal(pair.received.server.length, count);
});

test("a record that was changed at any byte is dropped, and the session goes on", { skip }, () => {
  const pair = established();
  for (let at = 0; ; at++) {
    const record = Uint8Array.from(recordOf(pair, "content"));
    if (at === record.length) break;
    record[at] = record[at]! ^ 0x40;
    pair.deliver(record, "server");
  }
  pair.send("client", "whole");
  assert.deepEqual(pair.received.server.at(-1), "whole");
  assert.equal(pair.bits.server & (CLOSED | FAILED), 0);
});

test("close: the peer is told, answers, and nothing more is sent", { skip }, () => {
  const pair = established();
  assert.equal(pair.client.close(), OUTPUT);
  pair.settle();
  assert.equal(pair.bits.server, ESTABLISHED | CLOSED);
  assert.equal(pair.client.send(Buffer.from("x"), 0, 1), 0);
  assert.equal(pair.session.close(), OUTPUT);
  pair.settle();
  assert.equal(pair.bits.client, ESTABLISHED | CLOSED);
  assert.equal(pair.client.close(), 0);
});

test("a goodbye behind content in the same datagram is told when the content has been read", { skip }, () => {
  const pair = established();
  const content = recordOf(pair, "last words");
  pair.client.close();
  const goodbye = pair.client.takeOutput() ?? assert.fail();
  assert.equal(pair.session.receive(Buffer.concat([content, goodbye])), DATA);
  assert.equal(pair.session.read(into), 10);
  assert.equal(pair.session.read(into), -CLOSED);
  assert.equal(pair.session.read(into), 0);
});

test("before it is established a session sends and says nothing", { skip }, () => {
  const session = client({ psk }).connect();
  session.takeOutput();
  assert.equal(session.send(Buffer.from("x"), 0, 1), 0);
  assert.equal(session.close(), 0);
  assert.equal(session.payloadMax, 0);
  assert.equal(session.resumption(), null);
});

test("no datagram of a handshake with a large chain is larger than the MTU", {
  skip: skip || requirePeer("openssl"),
}, () => {
  const authority = new Authority(work);
  const names = Array.from({ length: 60 }, (_, at) => `DNS:name-${at}.a-rather-long-domain.example`);
  const gateway = authority.issue({ name: "gateway", key: "RSA", names });
  const device = authority.issue({ name: "device", key: "RSA", names });
  for (const mtu of [256, 500, 1200]) {
    const ours = { ...gateway, ca: authority.ca, requireClientCert: true, mtu };
    const pair = new DtlsPair(server(ours), client({ ca: authority.ca, ...device, mtu })).settle();
    assert.deepEqual(pair.bits, { client: ESTABLISHED, server: ESTABLISHED }, pair.client.error);
    const sizes = [...pair.sent.client, ...pair.sent.server].map(({ length }) => length);
    assert.ok(sizes.length > (2 * gateway.cert.length * 0.7) / mtu, `${sizes.length} datagrams`);
    assert.ok(Math.max(...sizes) <= mtu, `${Math.max(...sizes)} of ${mtu}`);
    pair.free();
  }
});
