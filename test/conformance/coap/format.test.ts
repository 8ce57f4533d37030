// RFC 7252 section 3, Message Format, and section 4.1: what is a message, and what is none.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ACK, CON, DELETE, GET, message, NON, Option, option, POST, PUT, uri } from "./bytes.ts";
import { get, product, put, unique } from "./harness.ts";

const gateway = product();

/** GET /health behind a header and a token. */
const HEALTH = Buffer.from("b66865616c7468", "hex");

test("[RFC7252-3-1] [RFC7252-3.1-1] [RFC7252-4.1-1] [RFC7252-4.1-2] all that comes back is version 1, its options in order, Empty messages four bytes", async (t) => {
  // The strict reader and sent-rules.ts throw on anything else; here is one message of each kind.
  const raw = await gateway.open(t);
  const topic = unique("kinds");
  const answers = [
    await raw.ask({ code: 0, token: "" }),
    await raw.ask(put(`/ps/${topic}?retain=true`, "x", [Option.ContentFormat, 50])),
    await raw.ask(get(`/ps/${topic}`)),
    await raw.ask(get(`/ps/${topic}`, [Option.Block2, 0])),
    await raw.ask(get("/nowhere")),
    await raw.ask({ ...get("/health"), type: NON }),
    await raw.ask({ code: DELETE, options: uri(`/ps/${topic}`) }),
  ];
  assert.deepEqual(
    answers.map(({ type, code }) => `${type} ${code}`),
    ["RST 0.00", "ACK 2.01", "ACK 2.05", "ACK 2.05", "ACK 4.04", "NON 2.05", "ACK 2.02"],
  );
  for (const { bytes } of answers) assert.equal(bytes[0]! >> 6, 1);
  assert.equal(answers[0]?.bytes.length, 4);
  const numbers = answers[3]!.options.map(([number]) => number);
  assert.ok(numbers.length >= 3, `several options: ${numbers}`);
  assert.deepEqual(
    numbers,
    [...numbers].sort((a, b) => a - b),
  );
});

for (const version of [0, 2, 3]) {
  test(`[RFC7252-3-2] a message of version ${version} is silently ignored, whatever its type and code`, async (t) => {
    const raw = await gateway.open(t);
    for (const type of [0, 1, 2, 3]) {
      for (const code of [0, GET, POST, PUT, DELETE, 0x45, 0xe0]) {
        const bytes = message({ type, code, id: raw.id(), token: "", ...(code === 0 ? {} : get("/health")) });
        bytes[0] = (bytes[0]! & 0x3f) | (version << 6);
        raw.send(bytes);
      }
    }
    assert.deepEqual(await raw.untilNow(), []);
  });
}

test("fewer than four bytes are no message: silence", async (t) => {
  const raw = await gateway.open(t);
  for (const bytes of ["", "40", "4001", "400112", "70ffff"]) raw.send(bytes);
  assert.deepEqual(await raw.untilNow(), []);
});

test("[RFC7252-3-3] tokens of 0 to 8 bytes come back as they are, and none longer", async (t) => {
  const raw = await gateway.open(t);
  for (let length = 0; length <= 8; length++) {
    const token = Buffer.alloc(length, 0xa0 + length);
    const answer = await raw.ask({ ...get("/health"), token });
    assert.deepEqual([answer.code, answer.token], ["2.05", token.toString("hex")]);
  }
});

for (let length = 9; length <= 15; length++) {
  test(`[RFC7252-3-3] [RFC7252-3-4] a token length of ${length} is a format error: RST to a CON, silence otherwise`, async (t) => {
    const raw = await gateway.open(t);
    const token = Buffer.alloc(length, 0xff);
    const bytes = (type: number, code: number) => {
      const id = raw.id();
      const header = Buffer.from([0x40 | (type << 4) | length, code, id >> 8, id & 0xff]);
      raw.send(Buffer.concat([header, token, HEALTH]));
      return id;
    };
    const id = bytes(CON, GET);
    const [reset] = await raw.take();
    assert.deepEqual([reset?.type, reset?.code, reset?.id], ["RST", "0.00", id]);
    for (const type of [NON, 2, 3]) bytes(type, GET);
    assert.deepEqual(await raw.untilNow(), []);
  });
}

/** Requests that break the format behind a sound header and a token of no bytes. */
const MALFORMED: Readonly<Record<string, readonly [id: string, bytes: string]>> = {
  "a payload marker without payload": ["RFC7252-3-5", "b66865616c7468 ff"],
  "a payload marker alone": ["RFC7252-3-5", "ff"],
  "an Option Delta of 15 that is no payload marker": ["RFC7252-3.1-2", "f0"],
  "an Option Delta of 15 behind an option": ["RFC7252-3.1-2", "b66865616c7468 f16d"],
  "an Option Length of 15": ["RFC7252-3.1-3", "bf"],
  "an Option Length of 15 behind an option": ["RFC7252-3.1-3", "b66865616c7468 1f00"],
};

for (const [what, [id, bytes]] of Object.entries(MALFORMED)) {
  test(`[${id}] [RFC7252-4.2-1] [RFC7252-4.3-3] ${what} is a format error: RST to a CON, silence to a NON`, async (t) => {
    const raw = await gateway.open(t);
    const body = Buffer.from(bytes.replaceAll(" ", ""), "hex");
    const send = (type: number) => {
      const id = raw.id();
      raw.send(Buffer.concat([Buffer.from([0x40 | (type << 4), GET, id >> 8, id & 0xff]), body]));
      return id;
    };
    const id = send(CON);
    const [reset] = await raw.take();
    assert.deepEqual([reset?.type, reset?.code, reset?.id], ["RST", "0.00", id]);
    for (const type of [NON, 2, 3]) send(type);
    assert.deepEqual(await raw.untilNow(), []);
  });
}

test("options cut off by the end of the datagram, at every byte: RST to a CON, silence to a NON", async (t) => {
  const raw = await gateway.open(t);
  const whole = Buffer.concat([option(11, Buffer.from("health")), option(300, Buffer.alloc(300, 1))]);
  for (let length = 1; length < whole.length; length++) {
    if (length === 7) continue; // the first option is whole there
    const ids = [NON, CON].map((type) => {
      const id = raw.id();
      const header = Buffer.from([0x40 | (type << 4), GET, id >> 8, id & 0xff]);
      raw.send(Buffer.concat([header, whole.subarray(0, length)]));
      return id;
    });
    const answers = await raw.untilNow();
    assert.deepEqual(
      answers.map(({ type, id }) => [type, id]),
      [["RST", ids[1]]],
      `cut after ${length} bytes`,
    );
  }
});

test("a payload of 0xff bytes, and options with 0xff in their values and lengths, are no payload markers", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("marker");
  const marker = Buffer.alloc(16, 0xff);
  const stored = await raw.ask(put(`/ps/${topic}?retain=true`, marker, [Option.ETag, Buffer.alloc(8, 0xff)]));
  assert.equal(stored.code, "2.01");
  // 268 = 13 + 255: the extended length is the byte 0xff; elective and unknown, it is passed over.
  const answer = await raw.ask(get(`/ps/${topic}`, [65_000, Buffer.alloc(268, 0xff)]));
  assert.deepEqual([answer.code, answer.payload.toString("hex")], ["2.05", marker.toString("hex")]);
});

test("[RFC7252-3.2-1] integers have no leading zeros: Content-Format 0 and Max-Age 0 have no bytes", async (t) => {
  const raw = await gateway.open(t);
  const { options } = await raw.ask(get("/health"));
  const lengths = options.map(([number, value]) => [number, value.length]);
  assert.deepEqual(lengths, [
    [Option.ContentFormat, 0],
    [Option.MaxAge, 0],
  ]);
});

test("[RFC7252-3.2-2] integers with leading zeros are taken for what they are", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("zeros");
  const zero = (...bytes: number[]) => Buffer.from(bytes);
  const stored = await raw.ask(put(`/ps/${topic}?retain=true`, "{}", [Option.ContentFormat, zero(0, 50)]));
  assert.equal(stored.code, "2.01");
  const answer = await raw.ask(
    get(
      `/ps/${topic}`,
      [Option.UriPort, zero(0, 99)],
      [Option.Accept, zero(0, 50)],
      [Option.Block2, zero(0, 0, 6)],
      [Option.Size2, zero(0, 0, 0, 0)],
    ),
  );
  assert.equal(answer.code, "2.05");
  assert.equal(answer.payload.toString(), "{}");
  const text = await raw.ask(get(`/ps/${topic}`, [Option.Accept, zero(0, 0)]));
  assert.equal(text.code, "4.06", "0x0000 is text/plain, which the value is not");
});

test("[RFC7252-4.1-3] an Empty message with bytes behind its Message ID, or a token length, is a format error", async (t) => {
  const raw = await gateway.open(t);
  const id = raw.id();
  const empty = (type: number, tokenLength: number, rest: string) =>
    Buffer.concat([Buffer.from([0x40 | (type << 4) | tokenLength, 0, id >> 8, id & 0xff]), Buffer.from(rest, "hex")]);
  for (const [tokenLength, rest] of [
    [0, "00"],
    [0, "ff01"],
    [1, "aa"],
    [4, ""],
    [8, "0102030405060708"],
    [0, "b66865616c7468"],
  ] as const) {
    raw.send(empty(CON, tokenLength, rest));
    const [reset] = await raw.take();
    assert.deepEqual([reset?.type, reset?.id, reset?.bytes.length], ["RST", id, 4]);
    for (const type of [NON, ACK, 3]) raw.send(empty(type, tokenLength, rest));
  }
  assert.deepEqual(await raw.untilNow(), []);
});
