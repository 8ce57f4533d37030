// RFC 7252 sections 5.4 and 5.10: options that are known, unknown, repeated, of the wrong length, or out of place.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DELETE, type Fields, NON, Option, type OptionField, optionOf, optionsOf, POST, PUT, uri } from "./bytes.ts";
import { get, product, put, read, unique } from "./harness.ts";

const gateway = product();

/** Elective numbers that nothing stands for, low and high, with each kind of encoding of their delta. */
const ELECTIVE = [2, 10, 18, 26, 100, 268, 270, 1000, 2048, 65_000, 65_534];
const CRITICAL = [9, 13, 19, 21, 31, 33, 101, 269, 271, 1001, 2049, 65_001, 65_535];

for (const number of ELECTIVE) {
  test(`[RFC7252-5.4.1-1] the elective option ${number} is ignored, of any length, in every method`, async (t) => {
    const raw = await gateway.open(t);
    const topic = unique("elective");
    for (const length of [0, 1, 12, 13, 268, 269, 300]) {
      const unknown: OptionField = [number, Buffer.alloc(length, 1)];
      assert.equal((await raw.ask(put(`/ps/${topic}?retain=true`, "x", unknown))).code.slice(0, 2), "2.");
      assert.equal((await raw.ask(get(`/ps/${topic}`, unknown))).code, "2.05");
      assert.equal((await raw.ask({ ...get("/health", unknown, unknown), type: NON })).code, "2.05");
    }
  });
}

for (const number of CRITICAL) {
  test(`[RFC7252-5.4.1-2] [RFC7252-5.4.1-3] [RFC7252-5.4.1-5] the critical option ${number} is 4.02 with words in a CON, and rejects a NON`, async (t) => {
    const raw = await gateway.open(t);
    const topic = unique("critical");
    const subscriber = await gateway.subscriber(t, `${topic}/#`);
    for (const length of [0, 1, 13, 269]) {
      const unknown: OptionField = [number, Buffer.alloc(length, 1)];
      for (const fields of [get("/health", unknown), put(`/ps/${topic}/x`, "x", unknown)]) {
        const answer = await raw.ask(fields);
        assert.deepEqual([answer.type, answer.code], ["ACK", "4.02"]);
        assert.match(answer.payload.toString(), new RegExp(`\\b${number}\\b`), "names the option");
        raw.request({ ...fields, type: NON });
      }
    }
    assert.deepEqual(await raw.untilNow(), []);
    assert.equal((await raw.ask(put(`/ps/${topic}/end`, "end"))).code, "2.04");
    assert.deepEqual(
      (await subscriber.take(1)).map(({ payload }) => payload),
      ["end"],
    );
  });
}

/** Section 5.10, table 4; RFC 7641 section 2, RFC 7959 section 2.1, RFC 9175: a length outside of what is defined. */
const WRONG_CRITICAL: Readonly<Record<string, readonly [number: number, length: number]>> = {
  "If-Match of 9 bytes": [Option.IfMatch, 9],
  "Uri-Host of no bytes": [Option.UriHost, 0],
  "Uri-Host of 256 bytes": [Option.UriHost, 256],
  "If-None-Match with a value": [Option.IfNoneMatch, 1],
  "Uri-Port of 3 bytes": [Option.UriPort, 3],
  "Uri-Path of 256 bytes": [Option.UriPath, 256],
  "Uri-Query of 256 bytes": [Option.UriQuery, 256],
  "Accept of 3 bytes": [Option.Accept, 3],
  "Block2 of 4 bytes": [Option.Block2, 4],
  "Block1 of 4 bytes": [Option.Block1, 4],
};

for (const [what, [number, length]] of Object.entries(WRONG_CRITICAL)) {
  test(`[RFC7252-5.4.3-1] ${what} is like a critical option that is not known: 4.02 to a CON, a NON rejected`, async (t) => {
    const raw = await gateway.open(t);
    const wrong: OptionField = [number, Buffer.alloc(length, 0x61)];
    for (const fields of [get("/ps/length", wrong), put("/ps/length", "x", wrong)]) {
      assert.equal((await raw.ask(fields)).code, "4.02");
      raw.request({ ...fields, type: NON });
    }
    assert.deepEqual(await raw.untilNow(), []);
  });
}

const WRONG_ELECTIVE: Readonly<Record<string, readonly [number: number, length: number]>> = {
  "ETag of no bytes": [Option.ETag, 0],
  "ETag of 9 bytes": [Option.ETag, 9],
  "Observe of 4 bytes": [Option.Observe, 4],
  "Location-Path of 256 bytes": [Option.LocationPath, 256],
  "Content-Format of 3 bytes": [Option.ContentFormat, 3],
  "Max-Age of 5 bytes": [Option.MaxAge, 5],
  "Size2 of 5 bytes": [Option.Size2, 5],
  "Size1 of 5 bytes": [Option.Size1, 5],
  "Echo of 41 bytes": [Option.Echo, 41],
  "No-Response of 2 bytes": [Option.NoResponse, 2],
  "Request-Tag of 9 bytes": [Option.RequestTag, 9],
};

for (const [what, [number, length]] of Object.entries(WRONG_ELECTIVE)) {
  test(`[RFC7252-5.4.3-1] ${what} is like an elective option that is not known: ignored`, async (t) => {
    const raw = await gateway.open(t);
    const topic = unique("length");
    const wrong: OptionField = [number, Buffer.alloc(length, 1)];
    assert.equal((await raw.ask(put(`/ps/${topic}?retain=true`, "x", wrong))).code.slice(0, 2), "2.");
    const answer = await raw.ask(get(`/ps/${topic}`, wrong));
    assert.deepEqual([answer.code, answer.payload.toString()], ["2.05", "x"]);
    assert.equal(optionOf(answer, Option.Observe), undefined);
  });
}

test("[RFC7252-5.4-1] responses hold no option that is not defined for them", async (t) => {
  // sent-rules.ts knows which are, and throws on others; here is one of each kind of response.
  const raw = await gateway.open(t);
  const topic = unique("defined");
  const answers = [
    await raw.ask(put(`/ps/${topic}?retain=true`, "x", [Option.ContentFormat, 0])),
    await raw.ask(get(`/ps/${topic}`, [Option.Block2, 0])),
    await raw.ask(get(`/ps/${topic}`, [Option.Accept, 60])),
    await raw.ask({ code: DELETE, options: uri(`/ps/${topic}`) }),
    await raw.ask(put(`/ps/${topic}?qos=9`, "x")),
    await raw.ask(get("/nowhere")),
  ];
  const kinds = answers.map(({ code, options }) => [code, ...options.map(([number]) => number)]);
  assert.ok([2.01, 2.04].map(String).includes(String(Number(kinds[0]?.[0]))));
  assert.deepEqual(kinds.slice(2), [["4.06"], ["2.02"], ["4.00"], ["4.04"]]);
  for (const number of kinds[1]!.slice(1)) {
    assert.ok([Option.ETag, Option.ContentFormat, Option.Block2, Option.Size2].some((one) => one === number));
  }
});

test("[RFC7252-5.4-2] options that are not defined for a method are like unknown ones: elective ones are ignored", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("undefined");
  const misplaced: OptionField[] = [
    [Option.LocationPath, "elsewhere"],
    [Option.LocationQuery, "a=b"],
    [Option.MaxAge, 1],
    [Option.Size2, 1],
  ];
  for (const fields of [
    put(`/ps/${topic}?retain=true`, "x", ...misplaced, [Option.Observe, 0]),
    { ...put(`/ps/${topic}?retain=true`, "y", ...misplaced, [Option.Observe, 0]), code: POST },
  ]) {
    const answer = await raw.ask(fields);
    assert.match(answer.code, /^2\.0[14]$/);
    assert.equal(optionOf(answer, Option.Observe), undefined);
  }
  assert.deepEqual(await raw.untilNow(), [], "no notification of the second");
  assert.equal((await raw.ask(get(`/ps/${topic}`, ...misplaced, [Option.ContentFormat, 50]))).code, "2.05");
  assert.equal((await raw.ask({ code: DELETE, options: [...uri(`/ps/${topic}`), ...misplaced] })).code, "2.02");
});

test("[RFC7252-5.4.4-1] absent options have their defaults: no host and port is this gateway, as its own name is", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("defaults");
  await gateway.retain(topic, "value");
  const hosts: OptionField[][] = [
    [],
    [
      [Option.UriHost, "127.0.0.1"],
      [Option.UriPort, gateway.port],
    ],
    [[Option.UriHost, "gateway.local"]],
  ];
  for (const options of hosts) {
    const answer = await raw.ask(get(`/ps/${topic}`, ...options));
    assert.deepEqual([answer.code, answer.payload.toString()], ["2.05", "value"]);
    assert.equal(optionOf(answer, Option.Block2), undefined, "without Block2, one message");
  }
});

const ONCE: Readonly<Record<string, OptionField>> = {
  "Uri-Host": [Option.UriHost, "a"],
  "Uri-Port": [Option.UriPort, 5683],
  "If-None-Match": [Option.IfNoneMatch, ""],
  Accept: [Option.Accept, 0],
  Block2: [Option.Block2, 6],
  Block1: [Option.Block1, 6],
};

for (const [name, once] of Object.entries(ONCE)) {
  test(`[RFC7252-5.4.5-2] a second ${name} is like a critical option that is not known`, async (t) => {
    const raw = await gateway.open(t);
    const fields = put(`/ps/${unique("once")}?qos=0`, "x", once, once);
    assert.equal((await raw.ask(fields)).code, "4.02");
    raw.request({ ...fields, type: NON });
    assert.deepEqual(await raw.untilNow(), []);
  });
}

test("[RFC7252-5.4.5-2] a second Content-Format, Max-Age, Observe or Size is ignored: the first one counts", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("first");
  const stored = await raw.ask(
    put(
      `/ps/${topic}?retain=true`,
      "{}",
      [Option.ContentFormat, 50],
      [Option.ContentFormat, 60],
      [Option.MaxAge, 1],
      [Option.MaxAge, 2],
    ),
  );
  assert.equal(stored.code.slice(0, 2), "2.");
  const answer = await raw.ask(get(`/ps/${topic}`, [Option.Size2, 0], [Option.Size2, 1]));
  assert.equal(answer.code, "2.05");
  assert.deepEqual(optionOf(answer, Option.ContentFormat), Buffer.from([50]));
});

test("[RFC7252-5.4.5-1] [RFC7252-5.10.6.1-1] a response has each option once, the ETag too, however many the request has", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("etags");
  await gateway.retain(topic, "value");
  const first = await raw.ask(get(`/ps/${topic}`));
  const tag = optionOf(first, Option.ETag)!;
  const others: OptionField[] = [1, 2, 3].map((byte) => [Option.ETag, Buffer.alloc(byte, byte)]);
  for (const known of [[], others, [...others, [Option.ETag, tag], [Option.ETag, tag]]] as OptionField[][]) {
    const answer = await raw.ask(get(`/ps/${topic}`, ...known));
    assert.equal(answer.code, known.length > 3 ? "2.03" : "2.05");
    assert.deepEqual(optionsOf(answer, Option.ETag), [tag]);
    const numbers = answer.options.map(([number]) => number);
    assert.deepEqual(numbers, [...new Set(numbers)]);
  }
});

const PROXY: Readonly<Record<string, readonly OptionField[]>> = {
  "Proxy-Uri": [[Option.ProxyUri, "coap://127.0.0.1/health"]],
  "Proxy-Uri with http": [[Option.ProxyUri, "http://example.com/"]],
  "Proxy-Scheme": [[Option.ProxyScheme, "coap"], [Option.UriHost, "example.com"], ...uri("/health")],
};

for (const [what, options] of Object.entries(PROXY)) {
  test(`[RFC7252-5.7.2-1] [RFC7252-5.10.2-2] ${what} is 5.05: the gateway is no proxy`, async (t) => {
    const raw = await gateway.open(t);
    for (const code of [1, POST, PUT, DELETE]) {
      for (const type of [0, NON]) assert.equal((await raw.ask({ type, code, options })).code, "5.05");
    }
  });
}

test("[RFC7252-5.10.2-3] Proxy-Uri takes precedence over Uri-Path: nothing is published under the path", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("proxied");
  const subscriber = await gateway.subscriber(t, topic);
  const proxied = await raw.ask(put(`/ps/${topic}`, "proxied", [Option.ProxyUri, "coap://elsewhere/ps/x"]));
  assert.equal(proxied.code, "5.05");
  assert.equal((await raw.ask(put(`/ps/${topic}`, "own"))).code, "2.04");
  assert.deepEqual(
    (await subscriber.take(1)).map(({ payload }) => payload),
    ["own"],
  );
});

test("[RFC7252-5.10.4-1] a format that Accept asks for and the value is not in is 4.06; the value's own is served", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("accept");
  await gateway.retain(topic, "{}", "application/json");
  for (const [accept, code] of [
    [50, "2.05"],
    [0, "4.06"],
    [60, "4.06"],
    [65_535, "4.06"],
  ] as const) {
    for (const type of [0, NON]) {
      assert.equal((await raw.ask({ ...get(`/ps/${topic}`, [Option.Accept, accept]), type })).code, code);
    }
  }
  for (const path of ["/health", "/.well-known/core"]) {
    assert.equal((await raw.ask(get(path, [Option.Accept, 60]))).code, "4.06", path);
  }
  assert.equal((await raw.ask(get("/ps/no/value", [Option.Accept, 60]))).code, "4.04", "another error goes before");
});

test("[RFC7252-5.10.6-1] an ETag of the client's is opaque: any bytes that are not the value's own get the value", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("opaque");
  await gateway.retain(topic, "value");
  const tag = optionOf(await raw.ask(get(`/ps/${topic}`)), Option.ETag)!;
  for (let length = 1; length <= 8; length++) {
    for (const byte of [0, 0x30, 0xff]) {
      const answer = await raw.ask(get(`/ps/${topic}`, [Option.ETag, Buffer.alloc(length, byte)]));
      assert.deepEqual([answer.code, answer.payload.toString()], ["2.05", "value"]);
    }
  }
  const shorter = await raw.ask(get(`/ps/${topic}`, [Option.ETag, tag.subarray(0, -1)]));
  assert.equal(shorter.code, "2.05", "the beginning of the tag is another tag");
});

test('[RFC7252-5.10.7-2] no Location-Path is "." or "..", for topics with such levels either', async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("dots");
  for (const [method, path] of [
    [PUT, `/ps/${topic}/./..?retain=true`],
    [POST, `/ps/${topic}/../.?retain=true`],
    [POST, `/ps/${topic}/../a?retain=true`],
    [POST, `/ps/./${topic}?retain=true`],
  ] as const) {
    const fields: Fields = { code: method, options: uri(path), payload: "x" };
    const answer = await raw.ask(fields);
    assert.match(answer.code, /^[24]\./);
    for (const value of optionsOf(answer, Option.LocationPath)) assert.doesNotMatch(value.toString(), /^\.\.?$/);
  }
});

for (const number of [128, 132, 136, 140]) {
  test(`[RFC7252-5.10.7-3] the reserved option ${number} beside Location-Path or Location-Query is 4.02, alone it is ignored`, async (t) => {
    const raw = await gateway.open(t);
    for (const location of [Option.LocationPath, Option.LocationQuery]) {
      const answer = await raw.ask(get("/health", [location, "a"], [number, "b"]));
      assert.equal(answer.code, "4.02");
    }
    assert.equal((await raw.ask(get("/health", [number, "b"]))).code, "2.05");
  });
}

test("[RFC7252-5.10.8-1] [RFC7252-5.10.8-2] If-Match that no representation matches: 4.12, and the value stays", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("if-match");
  const none = await raw.ask(put(`/ps/${topic}?retain=true`, "first", [Option.IfMatch, ""]));
  assert.equal(none.code, "4.12", "an empty If-Match needs a value to be there");
  await gateway.retain(topic, "value");
  const tag = optionOf(await raw.ask(get(`/ps/${topic}`)), Option.ETag)!;
  const wrong = Buffer.from(tag.map((byte) => byte ^ 0xff));
  for (const code of [PUT, DELETE]) {
    const fields = { code, options: [...uri(`/ps/${topic}?retain=true`), [Option.IfMatch, wrong] as const] };
    assert.equal((await raw.ask({ ...fields, ...(code === PUT ? { payload: "changed" } : {}) })).code, "4.12");
    assert.equal(await read(raw, `/ps/${topic}`), "value");
  }
  const right = await raw.ask(
    put(`/ps/${topic}?retain=true`, "changed", [Option.IfMatch, wrong], [Option.IfMatch, tag]),
  );
  assert.equal(right.code, "2.04", "one of several is enough");
  assert.equal(await read(raw, `/ps/${topic}`), "changed");
  assert.equal((await raw.ask(put(`/ps/${topic}?retain=true`, "again", [Option.IfMatch, ""]))).code, "2.04");
});

test("[RFC7252-5.10.8-1] [RFC7252-5.10.8-2] If-None-Match where a value is: 4.12, and it stays; where none is, it is made", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("if-none-match");
  const fields = put(`/ps/${topic}?retain=true`, "value", [Option.IfNoneMatch, ""]);
  assert.match((await raw.ask(fields)).code, /^2\.0[14]$/);
  assert.equal((await raw.ask({ ...fields, payload: "other" })).code, "4.12");
  assert.equal(await read(raw, `/ps/${topic}`), "value");
});
