// Test whether clients behind a path that loses a fifth of the datagrams each way, and repeats, delays and reorders
// others, get everything done: what was acknowledged reached its subscribers once, and values arrive whole and newest.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { seededRandom } from "../../src/base/random.ts";
import { loadDtls } from "../../src/native/dtls/binding.ts";
import { blockBytes, uintOption } from "../support/coap-messages.ts";
import { type Door, libcoap, libcoapBy } from "../support/coap-peers.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { LossyUdp, type Weather } from "../support/lossy-udp.ts";
import { MovedClock } from "../support/moved-clock.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer, requireThat } from "../support/peers.ts";
import { RawCoap } from "../support/raw-coap.ts";

/** `npm test -- --long SEED` goes on from another seed, for longer, and with libcoap's own timeouts. */
const LONG = process.env["SLUICE_LONG"];
const SEED = LONG === undefined ? 1 : Number(LONG);
const TIMES = LONG === undefined ? 1 : 20;
const CLIENTS = 8;
const PUTS = 20 * TIMES;
const OBSERVERS = 8;
const VALUES = 30 * TIMES;
const VALUE_BYTES = 20 * 1024;
const SESSIONS_AT_ONCE = 6;
const SESSIONS = SESSIONS_AT_ONCE * TIMES;
/** A fifth each way: of four exchanges, more than one needs another try. */
const STORM: Weather = { lose: 0.2, duplicate: 0.1, delay: 0.2, delayMs: 25, overtake: 0.1 };
/** A client's first timeout is 60 ms in place of 2 s, the gateway's clock runs so many times as fast: minutes become seconds. */
const SPEED = 10;
const CLIENT = { ackTimeoutMs: 60, maxRetransmit: 14 } as const;

const LIBCOAP = ["coap-client-notls", "coap-client-openssl", "coap-client-gnutls"] as const;
const SECURE = ["coap-client-openssl", "coap-client-gnutls"] as const;
const addon = loadDtls();
const PSK = { identity: Buffer.from("meter"), key: Buffer.from("0123456789abcdef") };

/** Of libcoap's programs. */
const KEY = ["-u", `${PSK.identity}`, "-k", `${PSK.key}`];

class Stormy extends DisposableStack implements AsyncDisposable {
  readonly gateway: GatewayProcess;
  /** To the listener without DTLS, and to the one with it. */
  plain!: LossyUdp;
  secure!: LossyUdp;
  readonly #folder = temporaryFolder();
  readonly folder = this.#folder.path;

  constructor(speed: number) {
    super();
    const clock = new MovedClock(this.folder);
    clock.set({ speed });
    const pskFile = join(this.folder, "psk");
    writeFileSync(pskFile, `${PSK.identity}:${PSK.key}\n`, { mode: 0o600 });
    const listeners = [
      { type: "mqtt", bind: "127.0.0.1:0" },
      { type: "coap", bind: "127.0.0.1:0", rate: 100_000 },
      ...(typeof addon === "string"
        ? []
        : [{ type: "coap", bind: "127.0.0.1:0", rate: 100_000, dtls: { psk_file: pskFile } }]),
    ];
    this.gateway = new GatewayProcess(this.folder, { listeners }, clock.env);
  }

  static async start(speed = SPEED): Promise<Stormy> {
    const stormy = new Stormy(speed);
    const { gateway } = stormy;
    await gateway.start();
    const both = { seed: SEED, up: STORM, down: STORM };
    stormy.plain = stormy.use(await LossyUdp.open(gateway.port("coap"), both));
    if (typeof addon !== "string") stormy.secure = stormy.use(await LossyUdp.open(gateway.port("coap", 1), both));
    return stormy;
  }

  async client(): Promise<RawCoap> {
    return this.use(await RawCoap.open(this.plain, CLIENT));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    await this.gateway[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

const skip = requirePeer("cc");

test(`${CLIENTS * PUTS} CON PUTs: each that was acknowledged comes once, each client's in their order`, {
  skip,
}, async (context) => {
  await using stormy = await Stormy.start();
  await using subscriber = await MqttCollector.open(stormy.gateway.port(), "loss/#");
  const senders = Array.from({ length: CLIENTS }, async (_, sender) => {
    const client = await stormy.client();
    let tries = 0;
    for (let n = 0; n < PUTS; n++) {
      const answer = await client.put(`/ps/loss/${sender}`, `${n}`);
      assert.equal(answer.code, "2.04");
      tries += answer.tries;
    }
    return tries;
  });
  const tries = (await Promise.all(senders)).reduce((sum, each) => sum + each, 0);
  const { up, down } = stormy.plain.tally;
  context.diagnostic(`${tries} tries; up ${JSON.stringify(up)}, down ${JSON.stringify(down)}`);
  assert.ok(tries > 1.2 * CLIENTS * PUTS && up.lost > 0 && down.lost > 0 && up.duplicated > 0, "it was a storm");
  // What is in flight still, repetitions among it, has an end: a client that is done asks once more, directly.
  using last = await RawCoap.open(stormy.gateway);
  assert.equal((await last.put("/ps/loss/last", "0")).code, "2.04");
  const { messages } = subscriber;
  await eventually("all are there", () => messages.length >= CLIENTS * PUTS + 1);
  for (let sender = 0; sender < CLIENTS; sender++) {
    const got = messages.filter(({ topic }) => topic === `loss/${sender}`).map(({ payload }) => payload);
    assert.deepEqual(
      got,
      Array.from({ length: PUTS }, (_, n) => `${n}`),
      `client ${sender}`,
    );
  }
});

test("NON PUTs come at most once each, and most of them do", { skip }, async () => {
  await using stormy = await Stormy.start();
  await using subscriber = await MqttCollector.open(stormy.gateway.port(), "non/#");
  const client = await stormy.client();
  const sent = CLIENTS * PUTS;
  const { up } = stormy.plain.tally;
  for (let n = 0; n < sent; n++) {
    client.put("/ps/non/x", `${n}`, { confirmable: false }).catch(() => {}); // nobody waits for the response
    if (n % 50 === 49) await eventually("they came", () => up.came > n);
  }
  await eventually("what was not lost has passed", () => up.passed === up.came - up.lost + up.duplicated);
  await eventually("it is delivered", () => subscriber.messages.length >= sent - up.lost);
  const { payloads } = subscriber;
  assert.equal(new Set(payloads).size, payloads.length);
});

test(`${OBSERVERS} observers end at the newest of ${VALUES} values, by their sequence numbers`, {
  skip,
}, async () => {
  await using stormy = await Stormy.start();
  await using publisher = await MqttCollector.open(stormy.gateway.port(), "none");
  await publisher.client.publishAsync("seen/x", "0", { qos: 1, retain: true });
  const observers = await Promise.all(
    Array.from({ length: OBSERVERS }, async () => {
      const client = await stormy.client();
      return { client, ...(await client.observe("/ps/seen/x")) };
    }),
  );
  for (const { answer } of observers) assert.deepEqual([answer.code, answer.options.has("Observe")], ["2.05", true]);
  for (let n = 1; n <= VALUES; n++) {
    await publisher.client.publishAsync("seen/x", `${n}`, { qos: 1, retain: true });
  }
  const settled = observers.map(async ({ client, observed: first, token }) => {
    let observed = first;
    const newest = () => observed.value === `${VALUES}`;
    // Of two hundred CONs one is lost five times, which ends its registration: the client registers again (RFC 7641 section 3.3.1).
    while (
      !(await eventually("the newest", newest, 5000).then(
        () => true,
        () => false,
      ))
    ) {
      ({ observed } = await client.observe("/ps/seen/x", { token }));
    }
  });
  await Promise.all(settled);
});

test(`${VALUE_BYTES} bytes go up and down block by block, whole`, { skip }, async () => {
  await using stormy = await Stormy.start();
  await using subscriber = await MqttCollector.open(stormy.gateway.port(), "big/#");
  const random = seededRandom(SEED);
  const upload = async (n: number): Promise<Buffer> => {
    const value = Buffer.from(Array.from({ length: VALUE_BYTES }, () => Math.floor(random() * 256)));
    const client = await stormy.client();
    const options = [{ name: "292", value: Buffer.of(n) }];
    assert.equal((await client.upload(`/ps/big/${n}?retain=true`, value, { options })).code, "2.01");
    const path = `/ps/big/${n}?clientid=client-${n}`;
    await proven(client, path);
    assert.deepEqual(await client.download(path), value);
    return value;
  };
  const values: Buffer[] = [];
  for (let n = 0; n < 2 * TIMES; n += 2) values.push(...(await Promise.all([upload(n), upload(n + 1)])));
  await eventually("all were published", () => subscriber.messages.length >= values.length);
  const got = subscriber.messages.map(({ packet }) => packet.payload as Buffer);
  assert.equal(got.length, values.length, "once each");
  for (const value of values) assert.ok(got.some((bytes) => bytes.equals(value)));
});

test(`${SESSIONS} DTLS handshakes, and PUTs in their sessions`, {
  skip: skip || requireThat(typeof addon !== "string", String(addon)),
}, async () => {
  await using stormy = await Stormy.start(1);
  await using subscriber = await MqttCollector.open(stormy.gateway.port(), "secure/#");
  const puts = async (device: number): Promise<void> => {
    const client = stormy.use(await handshake(stormy.secure));
    for (let n = 0; n < 10; n++) assert.equal((await client.put(`/ps/secure/${device}`, `${n}`)).code, "2.04");
  };
  for (let device = 0; device < SESSIONS; device += SESSIONS_AT_ONCE) {
    await Promise.all(Array.from({ length: SESSIONS_AT_ONCE }, (_, n) => puts(device + n)));
  }
  const { messages } = subscriber;
  await eventually("all are there", () => messages.length >= 10 * SESSIONS);
  for (let device = 0; device < SESSIONS; device++) {
    const got = messages.filter(({ topic }) => topic === `secure/${device}`).map(({ payload }) => payload);
    assert.deepEqual(
      got,
      Array.from({ length: 10 }, (_, n) => `${n}`),
      `device ${device}`,
    );
  }
});

test("libcoap's clients with their own timeouts: a PUT over each, and a value of blocks up and down", {
  skip: LONG === undefined ? "with --long" : requirePeer(...LIBCOAP),
  timeout: 600_000,
}, async () => {
  await using stormy = await Stormy.start(1);
  await using subscriber = await MqttCollector.open(stormy.gateway.port(), "lib/#");
  const patient = ["-B", "240", "-m", "put", "-e"];
  for (const program of LIBCOAP) {
    const said = await libcoapBy({ program }, stormy.plain, `/ps/lib/${program}`, ...patient, program);
    assert.match(said, /t:ACK c:2\.04/, said);
  }
  for (const program of typeof addon === "string" ? [] : SECURE) {
    const how = { program, scheme: "coaps" } as const;
    const said = await libcoapBy(how, stormy.secure, `/ps/lib/${program}-secure`, ...KEY, ...patient, "secure");
    assert.match(said, /t:ACK c:2\.04/, said);
  }
  const [file, copy] = [join(stormy.folder, "file"), join(stormy.folder, "copy")];
  writeFileSync(file, Buffer.alloc(VALUE_BYTES, "0123456789"));
  const up = await libcoap(stormy.plain, "/ps/lib/file?retain=true", "-B", "240", "-m", "put", "-f", file);
  assert.match(up, /c:2\.01/, up);
  // From an address that is not proven, a ping that was lost makes blocks of 32 bytes: those take a quarter of an hour.
  if (typeof addon !== "string") {
    const how = { program: "coap-client-openssl", scheme: "coaps" } as const;
    const down = await libcoapBy(how, stormy.secure, "/ps/lib/file", ...KEY, "-B", "240", "-o", copy);
    assert.match(down, /c:2\.05/, down);
    assert.deepEqual(readFileSync(copy), readFileSync(file));
  }
  const count = LIBCOAP.length + 1 + (typeof addon === "string" ? 0 : SECURE.length);
  await eventually("all were published, once", () => subscriber.messages.length >= count);
  assert.equal(subscriber.messages.length, count);
});

/** Blocks are small until the gateway's ping has been answered: whoever lost it, asks again. */
async function proven(client: RawCoap, path: string): Promise<void> {
  const options = [{ name: "Block2", value: blockBytes(0, false, 6) }];
  for (let size = 0; size < 6; ) size = (uintOption(await client.request(path, { options }), "Block2") ?? 0) & 7;
}

/** Both sides give up after 15 s; as a device would, it begins again. */
async function handshake(door: Door): Promise<RawCoap> {
  const credentials = { psk: [PSK], retransmitMs: CLIENT.ackTimeoutMs };
  for (let attempts = 1; ; attempts++) {
    try {
      return await RawCoap.overDtls(door, credentials, CLIENT);
    } catch (error) {
      if (attempts === 3) throw error;
    }
  }
}
