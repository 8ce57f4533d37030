// Test whether strangers can keep clients out of a DTLS listener, or reach into their sessions: cookies of other
// addresses, ClientHellos in pieces, handshakes that are begun and left, and records forged in a client's name.
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { memoryOf } from "../../scripts/kept/proc.ts";
import { seededRandom } from "../../src/base/random.ts";
import { type DtlsContext, type DtlsSession, loadDtls } from "../../src/native/dtls/binding.ts";
import { CoapsPeer, psk, requireDtls } from "../support/coaps-peer.ts";
import { dtlsCount, dtlsHome, nobodyLeft, statusOf } from "../support/dtls-home.ts";
import { eventually } from "../support/eventually.ts";
import { LAUNCHER } from "../support/gateway-process.ts";
import { requireSpoof, spoof } from "../support/udp-spoof.ts";

const skip = requireDtls() || requireSpoof();
const SEED = Number(process.env["SLUICE_LONG"] ?? 1);
const KEYS = { "psk.txt": "a:1\n" };
const HALF_OPEN = 200;
const FLOOD = { count: 20_000, perSecond: 15_000 } as const;
const RSS_GROWTH_MAX = 8e6;
/** Of a record and of a handshake message, RFC 6347 sections 4.1 and 4.2.2. */
const RECORD_HEADER = 13;
const MESSAGE_HEADER = 12;

/** A client by hand, at an address of its own, that goes as far as the test wants. */
class Stranger {
  readonly socket: Socket;
  /** Its first ClientHello, and the one with the cookie that its address got. */
  readonly hello: Buffer;
  cookie: Buffer | null = null;
  answers = 0;

  private constructor(socket: Socket, session: DtlsSession, port: number) {
    this.socket = socket;
    this.hello = Buffer.from(session.takeOutput() as Uint8Array);
    socket.on("message", (datagram) => {
      this.answers++;
      if (this.cookie !== null) return; // a handshake that it leaves there
      session.receive(datagram);
      const output = session.takeOutput();
      if (output !== null) this.cookie = Buffer.from(output);
    });
    socket.send(this.hello, port, "127.0.0.1");
  }

  static async open(t: TestContext, context: DtlsContext, n: number, port: number): Promise<Stranger> {
    const socket = createSocket("udp4");
    socket.bind(0, `127.88.${n >> 8}.${n & 255}`);
    await once(socket, "listening");
    const session = context.connect();
    t.after(() => {
      socket.close();
      session.free();
    });
    const stranger = new Stranger(socket, session, port);
    await eventually("it has a cookie", () => stranger.cookie !== null);
    return stranger;
  }

  begin(port: number): void {
    this.socket.send(this.cookie as Buffer, port, "127.0.0.1");
  }
}

function clientContext(t: TestContext): DtlsContext {
  const addon = loadDtls();
  assert.ok(typeof addon !== "string");
  const context = new addon.DtlsContext({ role: "client", ...psk("a", "1") });
  t.after(() => context.free());
  return context;
}

/** A ClientHello as two fragments, each in a record of its own. */
function inPieces(hello: Buffer, at: number): Buffer[] {
  const record = hello.subarray(0, RECORD_HEADER);
  const message = hello.subarray(RECORD_HEADER, RECORD_HEADER + MESSAGE_HEADER);
  const body = hello.subarray(RECORD_HEADER + MESSAGE_HEADER);
  return [body.subarray(0, at), body.subarray(at)].map((piece, n) => {
    const [head, inner] = [Buffer.from(record), Buffer.from(message)];
    head.writeUInt8(n, RECORD_HEADER - 3); // sequence number
    head.writeUInt16BE(MESSAGE_HEADER + piece.length, RECORD_HEADER - 2);
    inner.writeUIntBE(n * at, 6, 3);
    inner.writeUIntBE(piece.length, 9, 3);
    return Buffer.concat([head, inner, piece]);
  });
}

test("cookies of other addresses and ClientHellos in pieces: no handshake, no memory, and the door open", {
  skip,
}, async (t) => {
  const { gateway } = await dtlsHome(t, { psk_file: "psk.txt" }, {}, KEYS, { command: [LAUNCHER] });
  const port = gateway.port("coap");
  const stranger = await Stranger.open(t, clientContext(t), 1, port);
  const stolen = stranger.cookie as Buffer;
  const pieces = [...inPieces(stranger.hello, 20), ...inPieces(stolen, 50)];
  await spoof(port, [stolen, ...pieces], FLOOD); // until then code is compiled
  const before = memoryOf(gateway.pid).rssBytes;
  await spoof(port, [stolen], FLOOD);
  await spoof(port, pieces, FLOOD);
  using client = await CoapsPeer.open(port, psk("a", "1"));
  assert.equal((await client.ask("/health")).code, "2.05");
  const growth = memoryOf(gateway.pid).rssBytes - before;
  t.diagnostic(`RSS ${before} + ${growth} bytes`);
  assert.ok(growth < RSS_GROWTH_MAX, `RSS grew by ${growth} bytes`);
  const { counters } = await statusOf(gateway);
  assert.deepEqual([counters["dtls.sessions"], counters["dtls.half_open"], counters["dtls.handshakes"]], [1, 0, 1]);
  stranger.begin(port);
  await eventually("where it is at home, it counts", async () => (await dtlsCount(gateway, "half_open")) === 1);
});

test(`${HALF_OPEN} handshakes that are begun and left, more than max_sessions: clients get in, and nothing is left`, {
  skip,
  timeout: 60_000,
}, async (t) => {
  const dtls = { psk_file: "psk.txt", max_sessions: 16, handshake_timeout: "2s" };
  const { gateway } = await dtlsHome(t, dtls, { limits: { handshakes_per_second: 100_000 } }, KEYS);
  const port = gateway.port("coap");
  using early = await CoapsPeer.open(port, psk("a", "1"));
  const context = clientContext(t);
  for (let n = 0; n < HALF_OPEN; n++) (await Stranger.open(t, context, n, port)).begin(port);
  assert.ok((await dtlsCount(gateway, "half_open")) > 0, "some are under way");
  using late = await CoapsPeer.open(port, psk("a", "1"), { handshakeTimeoutMs: 30_000 });
  for (const client of [early, late]) assert.equal((await client.ask("/health")).code, "2.05");
  await eventually("the others are gone", async () => (await dtlsCount(gateway, "half_open")) === 0);
  assert.equal(await dtlsCount(gateway, "sessions"), 2);
  early[Symbol.dispose]();
  late[Symbol.dispose]();
  await nobodyLeft(gateway);
});

test("records forged in a client's name neither end its session nor are heard", { skip }, async (t) => {
  const { gateway } = await dtlsHome(t, { psk_file: "psk.txt" }, {}, KEYS);
  const port = gateway.port("coap");
  using client = await CoapsPeer.open(port, psk("a", "1"));
  assert.equal((await client.ask("/health")).code, "2.05");
  const random = seededRandom(SEED);
  const noise = (length: number) => Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
  const { hello } = await Stranger.open(t, clientContext(t), 1, port);
  const record = (type: number, epoch: number, body: Buffer) => {
    const head = Buffer.from([type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, Math.floor(random() * 256), 0, body.length]);
    return Buffer.concat([head, body]);
  };
  const forged = [hello, Buffer.alloc(0), noise(1), noise(13), noise(40)];
  for (const type of [20, 21, 22, 23, 24, 25, 255]) {
    for (const epoch of [0, 1, 2]) {
      forged.push(record(type, epoch, Buffer.from([1, 0])), record(type, epoch, Buffer.from([2, 40])));
      for (let n = 0; n < 20; n++) forged.push(record(type, epoch, noise(1 + Math.floor(random() * 80))));
    }
  }
  const from = `127.0.0.1:${client.client.localPort}`;
  const received = (await statusOf(gateway)).counters["coap.received"] ?? 0;
  await spoof(port, forged, { ...FLOOD, from });
  assert.equal((await client.ask("/health")).code, "2.05");
  assert.equal(client.closed, undefined);
  const { counters } = await statusOf(gateway);
  assert.deepEqual([counters["dtls.sessions"], counters["dtls.broken"]], [1, 0]);
  assert.equal(counters["coap.received"], received + 1, "nothing forged was heard");
});
