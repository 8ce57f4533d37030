// 1 Data representation: strings, Variable Byte Integers.
import assert from "node:assert/strict";
import {
  bytes,
  CONNACK,
  CONNECT,
  connect,
  field,
  type Part,
  PUBLISH,
  packet,
  properties,
  publish,
  readConnack,
  readPublish,
  SUBSCRIBE,
  UNSUBSCRIBE,
  u16,
  type Version,
} from "../../support/mqtt-packets.ts";
import { assertEachCloses, forVersions, product, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;

const sluice = product();

/** Bytes that are not UTF-8. */
const ILL_FORMED: readonly (readonly [what: string, bytes: readonly number[]])[] = [
  ["an overlong slash", [0xc0, 0xaf]],
  ["an overlong slash in three bytes", [0xe0, 0x80, 0xaf]],
  ["the first surrogate, U+D800", [0xed, 0xa0, 0x80]],
  ["the last surrogate, U+DFFF", [0xed, 0xbf, 0xbf]],
  ["a continuation byte alone", [0x80]],
  ["a character cut off", [0xe2, 0x82]],
  ["above U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
  ["a byte that UTF-8 never has", [0xff]],
];
const NUL: readonly (readonly [string, readonly number[]])[] = [["U+0000", [0]]];

/** Every string of a packet that a connected client may send, with `bad` in it. */
function packetsWith(version: Version, bad: Buffer): Buffer[] {
  const out = [
    packet(PUBLISH, 0, field(bad), properties(version), "x"),
    packet(SUBSCRIBE, 2, u16(1), properties(version), field(bad), 0),
    packet(UNSUBSCRIBE, 2, u16(1), properties(version), field(bad)),
  ];
  if (version === 5) {
    const inProperties: Part[] = [
      bytes(0x03, field(bad)), // Content Type
      bytes(0x08, field(bad)), // Response Topic
      ...pairsWith(bad),
    ];
    out.push(...inProperties.map((property) => packet(PUBLISH, 0, field("a"), properties(5, property), "x")));
  }
  return out;
}

/** User Properties with `bad` as their name, or as their value. */
function pairsWith(bad: Buffer): Buffer[] {
  return [bytes(0x26, field(bad), field("value")), bytes(0x26, field("name"), field(bad))];
}

/** Every string of a CONNECT, with `bad` in it. */
function connectsWith(version: Version, bad: Buffer): Buffer[] {
  const head = (flags: number): Buffer => bytes(field("MQTT"), version, flags, u16(60), properties(version));
  return [
    packet(CONNECT, 0, head(0x02), field(bad)),
    packet(CONNECT, 0, head(0x06), field("c"), properties(version), field(bad), field("x")),
    packet(CONNECT, 0, head(0x82), field("c"), field(bad)),
  ];
}

for (const [ids, list] of [
  [{ 4: ["1.5.3-1"], 5: ["1.5.4-1"] }, ILL_FORMED],
  [{ 4: ["1.5.3-2"], 5: ["1.5.4-2"] }, NUL],
] as const) {
  for (const [what, bad] of list) {
    const text = Buffer.from([0x61, ...bad, 0x62]);
    forVersions(ids, `${what} in any string closes the connection`, async (version, t) => {
      await assertEachCloses(sluice, t, version, MALFORMED, packetsWith(version, text));
      for (const wrong of connectsWith(version, text)) {
        const client = await sluice.open(t);
        client.send(wrong);
        assert.equal(await client.end(), null);
        const [answer] = client.packets;
        if (version === 5) assert.equal(answer?.type === CONNACK && readConnack(answer).reason, MALFORMED);
        else assert.equal(answer, undefined);
      }
    });
  }
}

forVersions({ 5: ["1.5.7-1"] }, "a User Property with an ill-formed name or value is malformed", async (version, t) => {
  const pairs = [...ILL_FORMED, ...NUL].flatMap(([, bad]) => pairsWith(Buffer.from(bad)));
  const wrong = pairs.map((pair) => publish(version, { topic: "a" }, pair));
  await assertEachCloses(sluice, t, version, MALFORMED, wrong);
});

forVersions(
  { 4: ["1.5.3-3"], 5: ["1.5.4-3"] },
  "U+FEFF is a character like others, at the beginning of a topic, a client id and a user name",
  async (version, t) => {
    const bare = unique("bom");
    const marked = `\uFEFF${bare}`;
    const client = await sluice.connected(t, version, { clientId: marked, user: marked });
    await client.subscribe(version, marked, 0);
    await client.subscribe(version, `x/${marked}`, 0);
    for (const topic of [bare, marked, `x/${bare}`, `x/${marked}`]) client.send(publish(version, { topic }));
    const received = (await untilNow(client)).map((packet) => readPublish(version, packet).topic);
    assert.deepEqual(received, [marked, `x/${marked}`]);
    // The client id with the mark is another one than that without.
    const other = await sluice.connected(t, version, { clientId: bare });
    assert.deepEqual(await untilNow(other), []);
    assert.deepEqual(await untilNow(client), []);
  },
);

forVersions(
  { 5: ["1.5.5-1"] },
  "a Property Length and a Subscription Identifier in more bytes than needed are malformed",
  async (version, t) => {
    const wrong = [
      packet(PUBLISH, 0, field("a"), [0x80, 0x00], "x"),
      packet(PUBLISH, 0, field("a"), [0x82, 0x00, 0x01, 0x00], "x"),
      packet(SUBSCRIBE, 2, u16(1), properties(5, 0x0b, [0x81, 0x00]), field("a"), 0),
    ];
    await assertEachCloses(sluice, t, version, MALFORMED, wrong);
  },
);

for (const length of [127, 128, 16_383, 16_384]) {
  forVersions(
    { 5: ["1.5.5-1"] },
    `a Remaining Length of ${length} leaves in as few bytes as it needs`,
    async (v, t) => {
      const subscriber = await sluice.connected(t, v);
      const topic = unique("length");
      await subscriber.subscribe(v, topic, 0);
      const raw: Buffer[] = [];
      subscriber.socket.on("data", (chunk: Buffer) => raw.push(chunk));
      const payload = "x".repeat(length - topic.length - 3);
      subscriber.send(publish(v, { topic, payload }));
      const [message] = await untilNow(subscriber);
      assert.equal(message?.body.length, length);
      const header = Buffer.concat(raw).subarray(1, 1 + (length < 128 ? 1 : length < 16_384 ? 2 : 3));
      assert.equal((header.at(-1) ?? 0) < 0x80 && (header.length === 1 || header.at(-1) !== 0), true);
    },
  );
}

forVersions({ 4: ["1.5.3-1"], 5: ["1.5.4-1"] }, "every length of UTF-8 character is taken", async (version, t) => {
  const topic = `${unique("text")}/é€😀\u{10FFFD}\uD7FF\uE000`;
  const client = await sluice.connected(t, version, { clientId: topic, user: topic });
  await client.subscribe(version, topic, 0);
  client.send(publish(version, { topic }));
  assert.deepEqual(
    (await untilNow(client)).map((packet) => readPublish(version, packet).topic),
    [topic],
  );
  const again = await sluice.open(t);
  again.send(connect({ version, clientId: topic }));
  assert.equal(readConnack(await again.next()).reason, 0);
});
