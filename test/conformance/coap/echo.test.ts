// RFC 9175 section 2 and RFC 7252 section 11.3: no more to an address that is not proven than three times what came.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { GatewayProcess, temporaryFolder } from "../../support/gateway-process.ts";
import { Harness } from "../../unit/protocol/coap/harness.ts";
import {
  blockValue,
  type Fields,
  type Message,
  message,
  NON,
  Option,
  type OptionField,
  optionOf,
  POST,
  readMessage,
  uri,
} from "./bytes.ts";
import { HandEndpoint } from "./hand-endpoint.ts";
import { get, LISTENERS, product, put, unique } from "./harness.ts";

const gateway = product();

/** An endpoint that has not shown that it is where it says: it answers no pings, either. */
async function stranger(t: TestContext): Promise<HandEndpoint> {
  const raw = await gateway.open(t);
  raw.pings = "ignore";
  return raw;
}

/** All bytes that a request got, pings for proof included, from an endpoint of its own. */
async function bytesBack(t: TestContext, fields: Fields): Promise<{ asked: number; got: number; answers: Message[] }> {
  const raw = await stranger(t);
  raw.pings = "keep";
  const bytes = message({ token: "", ...fields, id: raw.id() });
  raw.send(bytes);
  const isPing = ({ type, code }: Message) => type === "CON" && code === "0.00";
  const all = await raw.take();
  while (isPing(all.at(-1)!)) all.push(await raw.next());
  all.push(...(await raw.untilNow()));
  const got = all.reduce((sum, answer) => sum + answer.bytes.length, 0);
  return { asked: bytes.length, got, answers: all.filter((read) => !isPing(read)) };
}

/** The shortest topic there can be, so that a request for it is short. Each test file has one gateway. */
const SHORT = "s";
/** That many bytes of a request are not enough for a block of 16, its ETag and its options. */
const shortGet: Fields = { options: uri(`/ps/${SHORT}`), token: "" };

async function retainShort(): Promise<void> {
  await gateway.retain(SHORT, "v".repeat(5000), "application/json");
}

test("[RFC7252-11.3-1] an address that is not proven gets at most three times the bytes of its request, whatever it asks", async (t) => {
  await retainShort();
  const topic = unique("a-longer-topic-than-the-others/with/levels");
  await gateway.retain(topic, "v".repeat(5000), "text/plain");
  const asked: Fields[] = [
    shortGet,
    get(`/ps/${topic}`),
    get("/.well-known/core"),
    get("/health"),
    get("/ps"),
    get("/"),
  ];
  for (let szx = 0; szx <= 6; szx++) {
    for (const num of [0, 1, 3]) {
      asked.push(get(`/ps/${topic}`, [Option.Block2, blockValue(num, false, szx)]));
      asked.push({ ...shortGet, options: [...shortGet.options!, [Option.Block2, blockValue(num, false, szx)]] });
    }
  }
  for (const fields of [
    get("/nowhere"),
    get("/health", [9, ""]),
    { code: POST, options: [] },
    { code: 31, options: uri("/ps/a") },
    { options: [[Option.ProxyUri, "a"] as const] },
    put("/ps/a?qos=9", "x"),
    put("/ps/a", "x", [Option.Block1, blockValue(1, false, 0)]),
    get("/ps/+/#"),
  ] satisfies Fields[]) {
    asked.push(fields);
  }
  const requests = asked.flatMap((fields) => [0, NON].map((type) => ({ ...fields, type })));
  // A NON with a critical option that is not known gets nothing at all.
  const answered = requests.filter(({ type, options }) => type === 0 || !options?.some(([number]) => number === 9));
  // Those that wait for proof do so together.
  for (const { asked: bytes, got } of await Promise.all(answered.map((fields) => bytesBack(t, fields)))) {
    assert.ok(got <= 3 * bytes, `${got} bytes for ${bytes}`);
  }
});

test("[RFC7252-11.3-1] an observer that is not proven gets no datagram of more than three times the bytes of its registration", async (t) => {
  await retainShort();
  const topic = unique("a-longer-topic-than-the-others/with/levels");
  await gateway.retain(topic, "v".repeat(5000), "text/plain");
  const register = [Option.Observe, 0] as const;
  const asked = [`/ps/${SHORT}`, `/ps/${topic}`, "/ps/%2B/%23", "/ps/none"].flatMap((path) =>
    [0, NON].map((type) => ({ ...get(path, register), type })),
  );
  for (const { asked: bytes, answers } of await Promise.all(asked.map((fields) => bytesBack(t, fields)))) {
    for (const { bytes: got } of answers) assert.ok(got.length <= 3 * bytes, `${got.length} bytes for ${bytes}`);
  }
});

test("a block that is small enough is sent at once: an address that is not proven reads all of a value, step by step", async (t) => {
  const raw = await stranger(t);
  const topic = unique("step-by-step");
  const value = "0123456789abcdef".repeat(20);
  await gateway.retain(topic, value, "text/plain");
  let body = "";
  for (let num = 0; body.length < value.length; num++) {
    const answer = await raw.ask(get(`/ps/${topic}`, [Option.Block2, blockValue(num, false, 0)]));
    assert.equal(answer.code, "2.05");
    body += answer.payload.toString();
    await raw.untilNow();
  }
  assert.equal(body, value);
});

for (const [name, type] of [
  ["CON", 0],
  ["NON", NON],
] as const) {
  test(`[RFC9175-2.3-1] [RFC9175-2.3-2] [RFC9175-2.4-3] [RFC9175-2.6-1] where no block fits, a ${name} gets 4.01 with Echo and nothing of the value, ${name === "CON" ? "in its ACK" : "in a NON"}`, async (t) => {
    await retainShort();
    const { answers } = await bytesBack(t, { ...shortGet, type });
    const [answer] = answers;
    assert.deepEqual([answer?.type, answer?.code], [name === "CON" ? "ACK" : "NON", "4.01"]);
    const echo = optionOf(answer!, Option.Echo);
    assert.ok(echo !== undefined && echo.length >= 1 && echo.length <= 40);
    assert.doesNotMatch(answer!.payload.toString(), /v/);
    assert.ok(answers.length === 1, "one message, and no other later");
  });
}

test("[RFC9175-2.4-3] where an Empty ACK went before, because a login took its time, the 4.01 with Echo is one NON, and is not repeated", () => {
  const h = new Harness();
  Object.assign(h.port, { peersVerified: false });
  h.loginsWait = true;
  h.retain(SHORT, "v".repeat(1000), "application/json");
  const sent = () => h.port.sent.splice(0).map(({ bytes }) => readMessage(bytes));
  h.receive(message({ ...shortGet, id: 1 }));
  h.advance(1_100);
  assert.deepEqual(
    sent().map(({ type, code }) => `${type} ${code}`),
    ["ACK 0.00"],
  );
  h.loginWaiters[0]!.onLogin({ name: "", clientId: "a" }, 0);
  h.advance(100_000);
  const [challenge, ...more] = sent().filter(({ code }) => code !== "0.00");
  assert.deepEqual([challenge?.type, challenge?.code, more.length], ["NON", "4.01", 0]);
  assert.ok(optionOf(challenge!, Option.Echo) !== undefined && challenge!.id !== 1);
});

/** Asks without proof, and gives the Echo value. */
async function challenged(raw: HandEndpoint): Promise<Buffer> {
  const answer = await raw.ask(shortGet);
  assert.equal(answer.code, "4.01");
  return optionOf(answer, Option.Echo)!;
}

const withEcho = (echo: Uint8Array): Fields => ({ ...shortGet, options: [...shortGet.options!, [Option.Echo, echo]] });

test("[RFC9175-2.3-4] the request repeated with the Echo value is answered in full; after that, the address is known", async (t) => {
  await retainShort();
  const raw = await stranger(t);
  const echo = await challenged(raw);
  const answer = await raw.ask(withEcho(echo));
  assert.equal(answer.code, "2.05");
  assert.ok(answer.payload.length >= 512, `${answer.payload.length} bytes`);
  const again = await raw.ask(shortGet);
  assert.deepEqual([again.code, again.payload.length], ["2.05", answer.payload.length]);
});

test("[RFC9175-2.2.1-2] [RFC9175-5-2] values that are not the gateway's own, or another address's, prove nothing", async (t) => {
  await retainShort();
  const [raw, other] = [await stranger(t), await stranger(t)];
  const [own, others] = [await challenged(raw), await challenged(other)];
  assert.ok(own.length >= 8, "not to be guessed");
  assert.notDeepEqual(own, others);
  const forged: Buffer[] = [others, own.subarray(1), own.subarray(0, -1), Buffer.concat([own, own.subarray(0, 1)])];
  for (let length = 1; length <= 40; length += 3) forged.push(Buffer.alloc(length, length));
  for (let at = 0; at < own.length; at++) forged.push(Buffer.from(own.map((byte, i) => (i === at ? byte ^ 1 : byte))));
  for (const echo of forged) {
    const answer = await raw.ask(withEcho(echo));
    const size = message({ ...withEcho(echo), token: "" }).length;
    // A longer request has room for a block of its own; what counts is that it proves nothing.
    assert.ok(answer.bytes.length <= 3 * size, `${echo.toString("hex")}: ${answer.bytes.length} bytes for ${size}`);
  }
  assert.equal((await raw.ask(shortGet)).code, "4.01", "still not known");
  assert.equal((await raw.ask(withEcho(own))).payload.length >= 512, true);
});

test("[RFC9175-5-3] values from before a restart prove nothing after it", async () => {
  using folder = temporaryFolder();
  await using own = new GatewayProcess(folder.path, { listeners: LISTENERS });
  await own.start();
  const storeShort: Fields = put(`/ps/${SHORT}?retain=true`, "v".repeat(900), [Option.ContentFormat, 50]);
  let echo: Buffer;
  let localPort: number;
  {
    using raw = await HandEndpoint.open(own.port("coap"));
    raw.pings = "ignore";
    assert.equal((await raw.ask(storeShort)).code, "2.01");
    echo = await challenged(raw);
    localPort = raw.socket.address().port;
  }
  await own.end();
  await own.start();
  using raw = await HandEndpoint.open(own.port("coap"), "127.0.0.1", localPort);
  raw.pings = "ignore";
  await raw.ask(withEcho(echo));
  assert.equal((await raw.ask(shortGet)).code, "4.01");
});

test("Echo where it is not asked for, of any length, changes nothing", async (t) => {
  const raw = await gateway.open(t);
  const options: OptionField[] = [[Option.Echo, Buffer.alloc(40, 1)]];
  assert.equal((await raw.ask(get("/health", ...options))).code, "2.05");
  assert.equal((await raw.ask(put(`/ps/${unique("echo")}`, "x", ...options))).code, "2.04");
});
