// Test whether mutated handshakes and records, thrown at each side in each state, do no harm. A seed replays a run;
// `--long SEED` makes it 40 times as long.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Random, seededRandom } from "../../../../src/base/random.ts";
import {
  CLOSED,
  DATA,
  type DtlsContext,
  type DtlsSession,
  ESTABLISHED,
  FAILED,
  OUTPUT,
  RECORD_BYTES_MAX,
} from "../../../../src/native/dtls/binding.ts";
import { Authority } from "../../../support/dtls-certificates.ts";
import { fragment, record } from "../../../support/dtls-garbage.ts";
import { addon, client, DtlsPair, requireAddon, type Side, server } from "../../../support/dtls-pair.ts";
import { requirePeer } from "../../../support/peers.ts";

const work = mkdtempSync(join(tmpdir(), "sluice-dtls-"));
after(() => rmSync(work, { recursive: true, force: true }));

const skip = requireAddon() || requirePeer("openssl");
const long = process.env["SLUICE_LONG"];
const seed = Number(long ?? 7252);
const ROUNDS = long === undefined ? 1_500 : 60_000;
const SHOTS = 40;
const KNOWN = ESTABLISHED | OUTPUT | DATA | CLOSED | FAILED;
const MTU = 700;

interface Kind {
  readonly context: DtlsContext;
  readonly from: DtlsContext;
  readonly resume?: Uint8Array;
}

function kinds(): Kind[] {
  const authority = new Authority(work);
  const gateway = authority.issue({ name: "gateway", key: "RSA" });
  const device = authority.issue({ name: "device" });
  const psk = [{ identity: Buffer.from("sensor-1"), key: Buffer.from("key") }];
  const ca = authority.ca;
  const byKey = { context: server({ psk, mtu: MTU }), from: client({ psk, mtu: MTU }) };
  const mutual = {
    context: server({ ...gateway, ca, requireClientCert: true, mtu: MTU }),
    from: client({ ca, ...device, mtu: MTU }),
  };
  const resume = new DtlsPair(byKey.context, byKey.from).settle().client.resumption() ?? assert.fail();
  return [byKey, mutual, { ...byKey, resume }];
}

/** What a mutation begins with: a whole handshake each way, with content and a goodbye. */
function capture({ context, from, resume }: Kind): Uint8Array[] {
  const pair = new DtlsPair(context, from, resume === undefined ? {} : { resume }).settle();
  pair.send("client", "content");
  pair.send("server", "content");
  pair.client.close();
  pair.settle();
  const all = [...pair.sent.client, ...pair.sent.server];
  pair.free();
  return all;
}

const EDGES = [0, 1, 2, 11, 12, 13, 14, 0x7f, 0x80, 0xfd, 0xfe, 0xff];

function mutate(random: Random, pool: readonly Uint8Array[]): Uint8Array {
  const below = (end: number) => Math.floor(random() * end);
  const pick = () => pool[below(pool.length)]!;
  let bytes = Buffer.from(pick());
  for (let times = 1 + below(3); times > 0; times--) {
    const at = below(bytes.length);
    switch (below(9)) {
      case 0:
        if (bytes.length > 0) bytes[at] = bytes[at]! ^ (1 << below(8));
        break;
      case 1:
        if (bytes.length > 0) bytes[at] = EDGES[below(EDGES.length)]!;
        break;
      case 2:
        bytes = bytes.subarray(0, at);
        break;
      case 3:
        bytes = Buffer.concat([bytes, pick()]);
        break;
      case 4: {
        // A record's head with another body.
        const other = pick();
        bytes = Buffer.concat([bytes.subarray(0, 13), other.subarray(below(other.length))]);
        break;
      }
      case 5:
        // The fields of both headers: sequence, length, offset.
        for (const field of [10, 12, 14, 16, 18, 21, 24])
          if (field < bytes.length && random() < 0.3) bytes[field] = below(256);
        break;
      case 6: {
        const body = Buffer.alloc(below(300), below(256));
        const length = random() < 0.5 ? body.length : below(70_000);
        const message = fragment(
          below(25),
          below(8),
          length,
          below(length + 2),
          body,
          random() < 0.8 ? undefined : below(70_000),
        );
        bytes = Buffer.concat([bytes, record(22, below(2), below(50), message)]);
        break;
      }
      case 7:
        bytes = record(20 + below(5), below(3), below(1_000), Buffer.alloc(below(600), below(256)));
        break;
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at), bytes.subarray(at)]);
    }
  }
  return bytes;
}

const into = Buffer.alloc(RECORD_BYTES_MAX);

/** Everything that may be asked of a session between two datagrams, with what must hold. */
function shoot(session: DtlsSession, datagram: Uint8Array): number {
  let bits = session.receive(datagram);
  assert.equal(bits & ~KNOWN, 0);
  if ((bits & DATA) !== 0) {
    let count = session.read(into);
    for (; count > 0; count = session.read(into)) assert.equal(into.toString("latin1", 0, count), "content");
    bits |= -count;
  }
  let datagrams = 0;
  for (let output = session.takeOutput(); output !== null; output = session.takeOutput()) {
    assert.ok(output.length <= MTU, `${output.length} bytes`);
    assert.ok(++datagrams <= 64);
  }
  const wait = session.timeoutMs();
  assert.ok(wait >= -1 && wait <= 60_000);
  return bits;
}

test(`mutated datagrams in every state do no harm (seed ${seed})`, { skip }, () => {
  const random = seededRandom(seed);
  const all = kinds();
  const pools = all.map(capture);
  const before = addon().live().sessions;
  const outcomes = { established: 0, failed: 0, hellos: 0, begun: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const which = round % all.length;
    const { context, from, resume } = all[which]!;
    const pair = new DtlsPair(context, from, resume === undefined ? {} : { resume });
    let steps = Math.floor(random() * 14);
    pair.wire = (datagram) => (steps-- > 0 ? [datagram] : []);
    pair.settle();
    const pool = [...pools[which]!, ...pair.sent.client, ...pair.sent.server];
    const wasEstablished = { client: pair.bits.client === ESTABLISHED, server: pair.bits.server === ESTABLISHED };
    const bits = { client: 0, server: 0 };
    for (let shot = 0; shot < SHOTS; shot++) {
      const datagram = mutate(random, pool);
      const side: Side = random() < 0.5 ? "client" : "server";
      const session = side === "client" ? pair.client : pair.session;
      if (session !== null) {
        bits[side] |= shoot(session, datagram);
        continue;
      }
      outcomes.hellos += 1;
      const answer = context.hello(datagram, Buffer.from("127.0.0.1:5684"));
      if (answer === null || answer instanceof Uint8Array) continue;
      outcomes.begun += 1;
      pair.session = answer;
    }
    for (const side of ["client", "server"] as const) {
      outcomes.failed += (bits[side] & FAILED) / FAILED;
      if (!wasEstablished[side]) continue;
      outcomes.established += 1;
      // Nobody without the keys ends an association.
      const { error } = side === "client" ? pair.client : pair.session!;
      assert.equal(bits[side] & (FAILED | CLOSED), 0, `${error} of the ${side}, round ${round}`);
    }
    pair.free();
  }
  assert.equal(addon().live().sessions, before);
  for (const [name, count] of Object.entries(outcomes)) assert.ok(count > ROUNDS / 50, `${name}: ${count}`);
});
