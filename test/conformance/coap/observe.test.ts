// RFC 7641 section 4 and RFC 7959 section 2.6: who is on the list of observers, and what they are told.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { statusOf } from "../../support/dtls-home.ts";
import { blockOf, blockValue, DELETE, type Message, NON, Option, optionOf, optionsOf, uintOf, uri } from "./bytes.ts";
import { get, product, readBlocks, unique } from "./harness.ts";
import { isNewer, Observation } from "./observation.ts";
import { noSlowProduct, slowProduct } from "./slow-product.ts";

const gateway = product((folder) => {
  writeFileSync(join(folder, "acl"), "topic readwrite #\n");
  return { auth: { anonymous: "always", acl_file: join(folder, "acl") } };
});
const slow = slowProduct();

/** Publishes over MQTT; it is acknowledged when all who are to be told of it are known. */
async function publisher(t: TestContext, of = gateway) {
  const { client } = await of.subscriber(t, "nothing");
  return (topic: string, payload: string, qos: 0 | 1 = 1, contentType?: string) =>
    client.publishAsync(topic, payload, {
      qos,
      retain: true,
      ...(contentType === undefined ? {} : { properties: { contentType } }),
    });
}

/** Somebody else who observes the topic: when he has been told of a value, everybody has been. */
async function witness(t: TestContext, topic: string, of = gateway): Promise<Observation> {
  return Observation.begin(await of.open(t), `/ps/${topic}`);
}

const text = ({ payload }: Message) => payload.toString();

test("[RFC7641-4.1-1] [RFC7641-4.2-1] [RFC7641-4.2-2] [RFC7641-4.2-3] [RFC7641-4.2-6] every change is notified with the token of the registration, an Observe option, the first Content-Format", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("observed");
  await publish(topic, "0", 1, "text/plain");
  const observation = await Observation.begin(raw, `/ps/${topic}`);
  assert.deepEqual([observation.first.type, observation.first.code, text(observation.first)], ["ACK", "2.05", "0"]);
  assert.notEqual(uintOf(observation.first, Option.Observe), undefined);
  for (let i = 1; i <= 5; i++) {
    await publish(topic, `${i}`, 1, "text/plain");
    const notification = await observation.next();
    assert.deepEqual([notification.type, notification.code, text(notification)], ["CON", "2.05", `${i}`]);
    assert.notEqual(uintOf(notification, Option.Observe), undefined);
    assert.equal(uintOf(notification, Option.ContentFormat), 0);
  }
  assert.deepEqual(await raw.untilNow(), []);
});

test("[RFC7641-4.3.1-2] [RFC7641-4.3.1-3] every notification, the first response too, has a Max-Age", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("max-age");
  await publish(topic, "0");
  const observation = await Observation.begin(raw, `/ps/${topic}`);
  await publish(topic, "1");
  for (const read of [observation.first, await observation.next()]) {
    assert.ok((uintOf(read, Option.MaxAge) ?? 0) > 0);
  }
});

test("[RFC7641-4.3.1-1] [RFC7641-4.4-1] [RFC7641-4.4-2] [RFC7641-4.4-3] after a hundred quick changes the last value has come; numbers only rise, and slowly", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("quick");
  const observation = await Observation.begin(raw, `/ps/${topic}`);
  const published = Array.from({ length: 100 }, (_, i) => publish(topic, `${i + 1}`));
  const all = [observation.first, ...(await observation.until("100"))];
  await Promise.all(published);
  for (const [i, notification] of all.entries()) if (i > 0) assert.ok(isNewer(notification, all[i - 1]!), `${i}`);
  const values = all.map((read) => uintOf(read, Option.Observe)!);
  assert.ok(values.every((value) => value < 2 ** 24));
  assert.ok(((values.at(-1)! - values[0]!) & 0xff_ffff) < 1 << 20, "far from half of the numbers");
  assert.equal(text(all.at(-1)!), "100");
});

test("[RFC7641-4.1-2] a registration repeated with its token is the same one: each change is notified once; another token is another one", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("again");
  const observation = await Observation.begin(raw, `/ps/${topic}`);
  for (let i = 0; i < 3; i++) {
    const again = await observation.again();
    assert.notEqual(uintOf(again, Option.Observe), undefined);
    assert.ok(isNewer(again, observation.first));
  }
  const seen = await witness(t, topic);
  await publish(topic, "1");
  await seen.until("1");
  assert.equal(text(await observation.next()), "1");
  assert.deepEqual(await raw.untilNow(), [], "once");
  const second = await Observation.begin(raw, `/ps/${topic}`);
  assert.notDeepEqual(second.token, observation.token);
  await publish(topic, "2");
  const tokens = new Set<string>();
  for (let i = 0; i < 2; i++) {
    const notification = await raw.next();
    tokens.add(notification.token);
    observation.acknowledge(notification);
  }
  assert.equal(tokens.size, 2);
});

test("[RFC7641-4.1-3] what is not observable, an unknown value of Observe, and one observation too many get no Observe option", async (t) => {
  const raw = await gateway.open(t);
  for (const path of ["/health", "/.well-known/core"]) {
    assert.equal(uintOf(await raw.ask(get(path, [Option.Observe, 0])), Option.Observe), undefined, path);
  }
  const topic = unique("unable");
  await gateway.retain(topic, "value");
  for (const value of [2, 3, 255, 65_536]) {
    const answer = await raw.ask(get(`/ps/${topic}`, [Option.Observe, value]));
    assert.deepEqual([answer.code, uintOf(answer, Option.Observe)], ["2.05", undefined]);
  }
  let entered = 0;
  for (let i = 0; i < 200; i++) {
    const answer = await raw.ask({ ...get(`/ps/${topic}`, [Option.Observe, 0]), token: Buffer.from([7, i]) });
    assert.deepEqual([answer.code, text(answer)], ["2.05", "value"]);
    if (uintOf(answer, Option.Observe) === undefined) break;
    entered++;
  }
  assert.ok(entered > 10 && entered < 200, `${entered} were entered`);
});

test("[RFC7641-4.1-4] [RFC7641-4.1-5] Observe 1 removes the entry of its token only, and is answered without Observe", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("cancel");
  await publish(topic, "0");
  const [one, two] = [await Observation.begin(raw, `/ps/${topic}`), await Observation.begin(raw, `/ps/${topic}`)];
  const answer = await one.cancel();
  assert.deepEqual([answer.code, text(answer), uintOf(answer, Option.Observe)], ["2.05", "0", undefined]);
  await publish(topic, "1");
  assert.equal(text(await two.next()), "1");
  assert.deepEqual(await raw.untilNow(), []);
  await two.cancel();
  const seen = await witness(t, topic);
  await publish(topic, "2");
  await seen.until("2");
  assert.deepEqual(await raw.untilNow(), []);
});

test("[RFC7641-4.2-7] [RFC7641-4.2-8] [RFC7641-4.2-9] a value in another format ends the observation: 4.06 without Observe, then nothing", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("format");
  await publish(topic, "text", 1, "text/plain");
  const observation = await Observation.begin(raw, `/ps/${topic}`);
  await publish(topic, "{}", 1, "application/json");
  const notification = await observation.next();
  assert.deepEqual([notification.code, uintOf(notification, Option.Observe)], ["4.06", undefined]);
  const seen = await witness(t, topic);
  await publish(topic, "[]", 1, "application/json");
  await seen.until("[]");
  assert.deepEqual(await raw.untilNow(), []);
});

test("a publisher that names no format does not end an observation: its value is notified without Content-Format", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("formatless");
  await publish(topic, "named", 1, "text/plain");
  const observation = await Observation.begin(raw, `/ps/${topic}`);
  await publish(topic, "unnamed");
  const unnamed = await observation.next();
  assert.deepEqual(
    [unnamed.code, text(unnamed), uintOf(unnamed, Option.ContentFormat)],
    ["2.05", "unnamed", undefined],
  );
  await publish(topic, "again", 1, "text/plain");
  const again = await observation.next();
  assert.deepEqual([text(again), uintOf(again, Option.ContentFormat)], ["again", 0]);
});

test("[RFC7641-4.2-5] [RFC7641-4.2-9] a client that may no longer read is notified so, without Observe, and removed", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("rights");
  const observation = await Observation.begin(raw, `/ps/${topic}`);
  await publish(topic, "1");
  await observation.until("1");
  const { folder } = gateway.gateway;
  writeFileSync(join(folder, "acl"), `topic deny ${topic}\ntopic readwrite #\n`);
  gateway.gateway.signal("SIGHUP");
  const notification = await observation.next();
  assert.deepEqual([notification.code, uintOf(notification, Option.Observe)], ["4.03", undefined]);
  writeFileSync(join(folder, "acl"), "topic readwrite #\n");
  gateway.gateway.signal("SIGHUP");
  const { client } = await gateway.subscriber(t, "nothing");
  while ((await raw.ask(get(`/ps/${topic}`))).code === "4.03") await client.publishAsync("ping", "", { qos: 1 });
  const seen = await witness(t, topic);
  await publish(topic, "2");
  await seen.until("2");
  assert.deepEqual(await raw.untilNow(), []);
});

test("a value that is cleared is notified as an empty one, and the next one still comes", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("cleared");
  await publish(topic, "1");
  const observation = await Observation.begin(raw, `/ps/${topic}`);
  const other = await gateway.open(t);
  assert.equal((await other.ask({ code: DELETE, options: uri(`/ps/${topic}`) })).code, "2.02");
  const cleared = await observation.next();
  assert.deepEqual([cleared.code, cleared.payload.length], ["2.05", 0]);
  assert.ok(isNewer(cleared, observation.first));
  await publish(topic, "2");
  assert.equal(text(await observation.next()), "2");
});

test("[RFC7252-5.10.7-2] a wildcard is told each topic in Location-Path; topics that no path can name are passed over", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("wild");
  const observation = await Observation.begin(raw, `/ps/${topic}/%23`);
  for (const level of [".", "..", "a/../b", "named"]) await publish(`${topic}/${level}`, level);
  const all = (await observation.until("named")).filter(({ payload }) => payload.length > 0);
  assert.deepEqual(
    all.map((read) => optionsOf(read, Option.LocationPath).join("/")),
    [`ps/${topic}/named`],
  );
});

test("[RFC7641-4.3.2-1] a 2.03 names only an ETag that the last GET named", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("validated");
  await publish(topic, "one");
  const tag = optionOf(await raw.ask(get(`/ps/${topic}`)), Option.ETag)!;
  const observation = await Observation.begin(raw, `/ps/${topic}`, { options: [[Option.ETag, tag]] });
  assert.deepEqual(optionOf(observation.first, Option.ETag), tag);
  for (const value of ["two", "one", "two"]) {
    await publish(topic, value);
    const notification = await observation.next();
    if (notification.code === "2.03") assert.deepEqual(optionOf(notification, Option.ETag), tag);
    else assert.deepEqual([notification.code, text(notification)], ["2.05", value]);
  }
  assert.notEqual(uintOf(await observation.again(), Option.Observe), undefined);
  for (const value of ["one", "two", "one"]) {
    await publish(topic, value);
    const notification = await observation.next();
    assert.deepEqual([notification.code, text(notification)], ["2.05", value], "no ETag was named any more");
  }
});

for (const [kind, qos] of [
  ["CON", 1],
  ["NON", 0],
] as const) {
  test(`[RFC7641-4.5-1] an RST to a ${kind} notification removes the entry`, async (t) => {
    const raw = await gateway.open(t);
    const publish = await publisher(t);
    const topic = unique("reset");
    const observation = await Observation.begin(raw, `/ps/${topic}`);
    let notification: Message;
    let i = 0;
    do {
      await publish(topic, `${++i}`, qos);
      notification = await observation.pending();
      if (notification.type !== kind) observation.acknowledge(notification);
      assert.ok(i < 50, `no ${kind}`);
    } while (notification.type !== kind);
    observation.reset(notification);
    await raw.untilNow();
    const seen = await witness(t, topic);
    await publish(topic, "end", qos);
    await seen.until("end");
    assert.deepEqual(await raw.untilNow(), []);
  });
}

test("[RFC7641-7-1] among NONs there is a CON at least every 16th", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("non");
  const observation = await Observation.begin(raw, `/ps/${topic}`, { type: NON });
  assert.equal(observation.first.type, "NON");
  let nons = 0;
  let most = 0;
  for (let i = 1; i <= 60; i++) {
    await publish(topic, `${i}`, 0);
    const notification = await observation.next();
    assert.equal(text(notification), `${i}`);
    nons = notification.type === "NON" ? nons + 1 : 0;
    most = Math.max(most, nons);
  }
  assert.ok(most >= 2 && most <= 16, `${most} NONs in a row`);
});

test("[RFC7641-4.5.1-1] while a CON is not acknowledged nothing else comes, for other observations of the client either; then the newest", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const [a, b] = [unique("nstart"), unique("nstart")];
  const one = await Observation.begin(raw, `/ps/${a}`);
  const two = await Observation.begin(raw, `/ps/${b}`);
  const [seenA, seenB] = [await witness(t, a), await witness(t, b)];
  await publish(a, "1");
  const pending = await one.pending();
  assert.deepEqual([pending.type, text(pending)], ["CON", "1"]);
  for (const value of ["2", "3"]) await publish(a, value);
  await publish(b, "other");
  await seenA.until("3");
  await seenB.until("other");
  assert.deepEqual(await raw.untilNow(), [], "one is outstanding");
  one.acknowledge(pending);
  const rest = new Map<string, string>();
  while (rest.get(two.token.toString("hex")) !== "other" || rest.get(one.token.toString("hex")) !== "3") {
    const notification = await raw.next();
    one.acknowledge(notification);
    rest.set(notification.token, text(notification));
    assert.notEqual(text(notification), "2", "superseded");
  }
});

test("[RFC7641-4.4-4] what is transmitted again is the state by then, under a number greater than the first had", {
  skip: noSlowProduct,
}, async (t) => {
  const raw = await slow.open(t);
  const publish = await publisher(t, slow);
  const topic = unique("current");
  const observation = await Observation.begin(raw, `/ps/${topic}`);
  await publish(topic, "old");
  const first = await observation.pending();
  assert.deepEqual([first.type, text(first)], ["CON", "old"]);
  await publish(topic, "new");
  const second = await observation.pending();
  assert.deepEqual([second.type, text(second)], ["CON", "new"]);
  assert.ok(isNewer(second, first));
  observation.acknowledge(second);
});

test("[RFC7641-4.5-1] a client that does not acknowledge any of five transmissions is removed", {
  skip: noSlowProduct,
}, async (t) => {
  const raw = await slow.open(t);
  const publish = await publisher(t, slow);
  const topic = unique("gone");
  const observation = await Observation.begin(raw, `/ps/${topic}`);
  await publish(topic, "1");
  for (let i = 0; i < 5; i++) assert.equal(text(await observation.pending()), "1");
  // The last wait is over after at most 48 s of the gateway's time: until then, others are told as well.
  const seen = await witness(t, topic, slow);
  while ((await statusOf(slow.gateway)).counters["coap.observers"] !== 1) {
    await publish(topic, "2");
    await seen.next();
  }
  await publish(topic, "end");
  await seen.until("end");
  assert.deepEqual(
    (await raw.untilNow()).filter((read) => text(read) === "end"),
    [],
  );
});

test("[RFC7959-2.6-1] [RFC7959-2.6-2] notifications of a large value are its first block, no larger than was asked for, with an ETag; the rest is read with other tokens", async (t) => {
  const raw = await gateway.open(t);
  const publish = await publisher(t);
  const topic = unique("large");
  const value = (word: string) => word.repeat(100);
  await publish(topic, value("first"), 1, "text/plain");
  const observation = await Observation.begin(raw, `/ps/${topic}`, {
    options: [[Option.Block2, blockValue(0, false, 2)]],
  });
  await publish(topic, value("after"), 1, "text/plain");
  const notification = await observation.next();
  for (const [read, word] of [
    [observation.first, "first"],
    [notification, "after"],
  ] as const) {
    const block = blockOf(read, Option.Block2);
    assert.ok(block !== undefined && block.num === 0 && block.more && block.szx <= 2);
    assert.equal(text(read), value(word).slice(0, 16 << block.szx));
    assert.notEqual(optionOf(read, Option.ETag), undefined);
  }
  const rest = await readBlocks(raw, `/ps/${topic}`, blockOf(notification, Option.Block2)!.szx);
  assert.equal(Buffer.concat(rest.map(({ payload }) => payload)).toString(), value("after"));
  for (const read of rest) {
    assert.equal(uintOf(read, Option.Observe), undefined);
    assert.deepEqual(optionOf(read, Option.ETag), optionOf(notification, Option.ETag));
  }
});
