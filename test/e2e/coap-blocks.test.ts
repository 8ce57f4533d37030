// Block-wise transfer against the running gateway: libcoap's client, npm's, one by hand; a path that loses; DTLS; a slow
// disk. What comes back is compared byte by byte.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Packet } from "coap-packet";
import { seededRandom } from "../../src/base/random.ts";
import { blockBytes, uintOption } from "../support/coap-messages.ts";
import { ask, type LibcoapOptions, libcoap, libcoapBy } from "../support/coap-peers.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { LossyUdp } from "../support/lossy-udp.ts";
import { MqttCollector, persistent } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { type Answer, RawCoap } from "../support/raw-coap.ts";
import { preloadable } from "../support/store-process.ts";

const SEED = Number(process.env["SLUICE_LONG"] ?? 1);
const KIB = 1024;

async function startGateway(t: TestContext, config: Record<string, unknown> = {}, env: NodeJS.ProcessEnv = {}) {
  const folder = temporaryFolder();
  const gateway = new GatewayProcess(
    folder.path,
    {
      listeners: [
        { type: "mqtt", bind: "127.0.0.1:0" },
        { type: "coap", bind: "127.0.0.1:0" },
      ],
      ...config,
    },
    env,
  );
  t.after(async () => {
    await gateway.end("SIGKILL");
    folder[Symbol.dispose]();
  });
  await gateway.start();
  return { gateway, folder: folder.path };
}

/** Bytes that differ at each place, the same for each length. */
function bytesOf(length: number): Buffer {
  const random = seededRandom(length);
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

/** The last message that libcoap's client got, as it printed it. */
function lastOf(printed: string): string {
  return printed.match(/^v:1 t:\w+ c:[245]\.\d\d .*$/gm)?.at(-1) ?? "";
}

/** Uploads and fetches by libcoap's client. */
async function upAndDown(
  door: Parameters<typeof libcoap>[0],
  folder: string,
  length: number,
  block: number,
  how: LibcoapOptions = {},
  ...more: string[]
): Promise<void> {
  const bytes = bytesOf(length);
  const path = `/ps/files/${length}-${block}`;
  const file = join(folder, "up");
  const output = join(folder, "down");
  writeFileSync(file, bytes);
  const put = await libcoapBy(how, door, `${path}?retain=true`, ...more, "-b", `${block}`, "-m", "put", "-f", file);
  assert.match(lastOf(put), /c:2\.0[14] .*Block1:\d+\/_\/\d+/, `PUT of ${length} by ${block}`);
  writeFileSync(output, "");
  const get = await libcoapBy(how, door, path, ...more, "-b", `${block}`, "-o", output);
  assert.match(lastOf(get), /c:2\.05 /, `GET of ${length} by ${block}`);
  assert.ok(readFileSync(output).equals(bytes), `${length} bytes by ${block}`);
}

test("libcoap uploads and fetches files of sizes around all borders, by blocks of 16 to 1,024 bytes", {
  skip: requirePeer("coap-client"),
}, async (t) => {
  const { gateway, folder } = await startGateway(t);
  for (const [length, ...blocks] of [
    [1, 16, 1024],
    [15, 16],
    [16, 16, 64],
    [17, 16],
    [255, 128],
    [257, 128],
    [1023, 16, 1024],
    [1024, 64, 1024],
    [1025, 256, 1024],
    [5000, 512, 1024],
    [64 * KIB - 1, 1024],
    [64 * KIB, 512],
    [256 * KIB, 1024],
  ] as const) {
    for (const block of blocks) await upAndDown(gateway, folder, length, block);
  }
});

test("libcoap: a byte more than max_packet_bytes is 4.13 with Size1, and nothing is published", {
  skip: requirePeer("coap-client"),
}, async (t) => {
  const { gateway, folder } = await startGateway(t);
  await using subscriber = await MqttCollector.open(gateway.port(), "#");
  const file = join(folder, "up");
  writeFileSync(file, bytesOf(256 * KIB + 1));
  const put = await libcoap(gateway, "/ps/files/much", "-m", "put", "-f", file);
  assert.match(lastOf(put), /c:4\.13 .*Size1:262144/);
  await libcoap(gateway, "/ps/files/end", "-m", "put", "-e", "end");
  assert.deepEqual(
    (await subscriber.take(1)).map(({ topic }) => topic),
    ["files/end"],
  );
});

test("libcoap: an upload reaches MQTT subscribers once and whole, with its content type", {
  skip: requirePeer("coap-client"),
}, async (t) => {
  const { gateway, folder } = await startGateway(t);
  await using subscriber = await MqttCollector.open(gateway.port(), "#");
  const file = join(folder, "up");
  writeFileSync(file, bytesOf(100_000));
  for (const type of [["-N"], []]) {
    await libcoap(gateway, "/ps/files/a", "-m", "post", "-t", "60", ...type, "-f", file);
    const [message] = await subscriber.take(1);
    assert.equal(sha1(Buffer.from(message?.payload ?? "", "latin1")), sha1(bytesOf(100_000)));
    assert.equal(message?.packet.properties?.contentType, "application/cbor");
  }
  assert.equal(subscriber.messages.length, 0);
});

test("libcoap over DTLS: uploads and fetches by a shared key, in datagrams of an mtu of 300 bytes", {
  skip: requirePeer("coap-client-openssl"),
}, async (t) => {
  const psk = temporaryFolder();
  t.after(() => psk[Symbol.dispose]());
  const pskFile = join(psk.path, "psk");
  writeFileSync(pskFile, "valve:0123456789abcdef\n", { mode: 0o600 });
  const { gateway, folder } = await startGateway(t, {
    listeners: [{ type: "coap", bind: "127.0.0.1:0", dtls: { psk_file: pskFile, mtu: 300 } }],
    auth: { anonymous: "never" },
  });
  const how = { program: "coap-client-openssl", scheme: "coaps" } as const;
  const key = ["-u", "valve", "-k", "0123456789abcdef"];
  await upAndDown(gateway, folder, 20_000, 1024, how, ...key);
  await upAndDown(gateway, folder, 1025, 64, how, ...key);
});

test("libcoap lists topics by GET and FETCH, block by block: what an MQTT subscriber sees, and no more", {
  skip: requirePeer("coap-client"),
}, async (t) => {
  const { gateway, folder } = await startGateway(t);
  await using publisher = await MqttCollector.open(gateway.port(), "none");
  const topics = Array.from({ length: 300 }, (_, i) => `hall ${i % 3}/é/${String(i).padStart(3, "0")}`);
  await Promise.all(topics.map((topic) => publisher.client.publishAsync(topic, "21.5", { qos: 1, retain: true })));
  const output = join(folder, "list");
  const listed = async (path: string, ...words: string[]): Promise<string[]> => {
    writeFileSync(output, "");
    await libcoap(gateway, path, ...words, "-o", output);
    const links = readFileSync(output, "utf8").split(",");
    return links.map((link) => decodeURIComponent(link.replace(/^<\/ps\/(.*)>;sz=4$/, "$1"))).sort();
  };
  const inHall = topics.filter((topic) => topic.startsWith("hall 1/")).sort();
  assert.deepEqual(await listed("/ps"), [...topics].sort());
  assert.deepEqual(await listed("/ps/hall%201/%23", "-b", "64"), inHall);
  assert.deepEqual(await listed("/ps", "-m", "fetch", "-t", "0", "-e", "hall 1/+/+"), inHall);
});

test("npm coap fetches a value in blocks, from an address that was never heard of", async (t) => {
  const { gateway } = await startGateway(t);
  await using publisher = await MqttCollector.open(gateway.port(), "none");
  const value = bytesOf(20_000);
  await publisher.client.publishAsync("big", value, { qos: 1, retain: true });
  const response = await ask(gateway, "/ps/big");
  assert.equal(response.code, "2.05");
  assert.ok(response.payload.equals(value));
});

// ---- by hand ---------------------------------------------------------------------------------------------------

const sha1 = (bytes: Buffer): string => createHash("sha1").update(bytes).digest("hex");

interface Hand {
  szx: number;
  tag?: Buffer;
  packet?: Packet;
}

async function uploadByHand(raw: RawCoap, path: string, bytes: Buffer, { szx, tag, packet }: Hand): Promise<Answer> {
  const size = 16 << szx;
  for (let num = 0; ; num++) {
    const more = (num + 1) * size < bytes.length;
    const options = [
      { name: "Block1" as const, value: blockBytes(num, more, szx) },
      ...(tag === undefined ? [] : [{ name: "292" as never, value: tag }]),
    ];
    const answer = await raw.put(path, bytes.subarray(num * size, (num + 1) * size), { ...packet, options });
    if (answer.code !== "2.31") return answer;
  }
}

/** Each block of the size that the one before had, which may be less than what was asked for. */
async function fetchByHand(raw: RawCoap, path: string, szxMax: number): Promise<string> {
  let value = "";
  let szx = szxMax;
  const etags = new Set<string | undefined>();
  for (let more = true; more; ) {
    const num = value.length / (16 << szx);
    const answer = await raw.request(path, { options: [{ name: "Block2", value: blockBytes(num, false, szx) }] });
    assert.equal(answer.code, "2.05");
    etags.add(answer.options.get("ETag")?.toString("hex"));
    const block = uintOption(answer, "Block2") ?? 0;
    szx = block & 7;
    more = (block & 8) !== 0;
    value += answer.payload;
  }
  assert.equal(etags.size, 1);
  return value;
}

test("a path that loses, repeats, delays and overtakes: eight clients upload and fetch at a time; nothing is mixed or published twice", async (t) => {
  const { gateway } = await startGateway(t);
  await using subscriber = await MqttCollector.open(gateway.port(), "up/#");
  const weather = { lose: 0.2, duplicate: 0.1, delay: 0.1, overtake: 0.1 };
  const path = await LossyUdp.open(gateway.port("coap"), { seed: SEED, up: weather, down: weather });
  await using _ = path;
  const clients = process.env["SLUICE_LONG"] === undefined ? 8 : 24;
  const texts = Array.from({ length: clients }, (_, i) => `${i}.`.repeat(400 + 40 * i));
  await Promise.all(
    texts.map(async (text, i) => {
      using raw = await RawCoap.open(path, { ackTimeoutMs: 60, maxRetransmit: 30 });
      const tag = i % 2 === 0 ? { tag: Buffer.from([i]) } : {};
      const answer = await uploadByHand(raw, `/ps/up/${i}?retain=true`, Buffer.from(text), {
        szx: 3 + (i % 4),
        ...tag,
      });
      assert.equal(answer.code, "2.01");
      assert.equal(await fetchByHand(raw, `/ps/up/${i}`, 2 + (i % 5)), text);
    }),
  );
  const got = (await subscriber.take(clients)).map(({ topic, payload }) => [topic, payload]);
  assert.deepEqual(new Map(got as [string, string][]), new Map(texts.map((text, i) => [`up/${i}`, text])));
  assert.equal(subscriber.messages.length, 0);
  assert.ok(path.tally.up.lost > 10 && path.tally.down.lost > 10);
});

test("a disk that takes 1.5 s for a sync: Empty ACK, the response as a CON, and one message, in one datagram or in blocks", {
  skip: requirePeer("cc"),
}, async (t) => {
  const disk = temporaryFolder();
  t.after(() => disk[Symbol.dispose]());
  const control = join(disk.path, "control");
  const set = (words: string): void => {
    writeFileSync(`${control}-new`, words);
    renameSync(`${control}-new`, control);
  };
  set("");
  const { gateway } = await startGateway(
    t,
    {},
    {
      LD_PRELOAD: preloadable("fsync-shim"),
      SHIM_MATCH: "/data/sluice.",
      SHIM_CONTROL: control,
      SHIM_LOG: join(disk.path, "log"),
    },
  );
  await using subscriber = await MqttCollector.open(gateway.port(), "slow/#", persistent("slow"));
  await subscriber.client.endAsync();
  set("slow_us=1500000");
  using raw = await RawCoap.open(gateway, { ackTimeoutMs: 300 });
  const whole = raw.put("/ps/slow/1", "whole");
  const blocks = uploadByHand(raw, "/ps/slow/2", Buffer.from("b".repeat(100)), { szx: 2 });
  const answers = await Promise.all([whole, blocks]);
  for (const answer of answers) {
    assert.deepEqual([answer.type, answer.code], ["CON", "2.04"]);
    assert.ok(answer.tries > 1, "it was repeated meanwhile, and got the Empty ACK");
  }
  set("");
  assert.equal((await raw.put("/ps/slow/3", "end")).code, "2.04");
  await using again = await MqttCollector.open(gateway.port(), "slow/#", persistent("slow"));
  assert.deepEqual(
    (await again.take(3)).map(({ payload }) => payload),
    ["whole", "b".repeat(100), "end"],
  );
  assert.equal(again.messages.length, 0);
});
