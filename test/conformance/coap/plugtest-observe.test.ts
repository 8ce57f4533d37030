// The CoAP plugtests' cases OBS 01, 02 and 04 to 14; there is no 03. What /obs is here: see README.md.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { statusOf } from "../../support/dtls-home.ts";
import { GatewayProcess, temporaryFolder } from "../../support/gateway-process.ts";
import { MqttCollector } from "../../support/mqtt-collector.ts";
import { blockOf, DELETE, type Message, NON, Option, uintOf, uri } from "./bytes.ts";
import { HandEndpoint } from "./hand-endpoint.ts";
import { get, LISTENERS, product, put, readBlocks, unique } from "./harness.ts";
import { isNewer, Observation } from "./observation.ts";
import { noSlowProduct, slowProduct } from "./slow-product.ts";

const gateway = product();
const slow = slowProduct();

const TEXT = 0;
const text = ({ payload }: Message) => payload.toString();

/** Somebody who changes /obs. */
async function changer(t: TestContext, topic: string, of = gateway) {
  const other = await of.open(t);
  return async (value: string, format = TEXT, query = "retain=true&qos=1") => {
    const { code } = await other.ask(put(`/ps/${topic}?${query}`, value, [Option.ContentFormat, format]));
    assert.match(code, /^2\.0[14]$/);
  };
}

/** Steps 1 to 6: registered, and one notification seen and acknowledged. */
async function observed(t: TestContext, of = gateway) {
  const topic = unique("obs");
  const change = await changer(t, topic, of);
  await change("zero");
  const raw = await of.open(t);
  const observation = await Observation.begin(raw, `/ps/${topic}`);
  assertNotification(observation.first, observation, "ACK", "zero");
  await change("one");
  const notification = await observation.next();
  assertNotification(notification, observation, "CON", "one");
  assert.ok(isNewer(notification, observation.first));
  return { topic, change, raw, observation };
}

function assertNotification(read: Message, { token }: Observation, type: string, value: string): void {
  assert.deepEqual([read.type, read.code, read.token, text(read)], [type, "2.05", token.toString("hex"), value]);
  assert.equal(uintOf(read, Option.ContentFormat), TEXT);
  assert.notEqual(uintOf(read, Option.Observe), undefined);
}

/** Nothing comes to `raw` for another change, which somebody else is told of. */
async function assertEnded(
  t: TestContext,
  raw: HandEndpoint,
  topic: string,
  format = TEXT,
  of = gateway,
): Promise<void> {
  const witness = await Observation.begin(await of.open(t), `/ps/${topic}`);
  const change = await changer(t, topic, of);
  await change("the end", format);
  await witness.until("the end");
  assert.deepEqual(await raw.untilNow(), []);
}

test("TD_COAP_OBS_01 observing with CONs", async (t) => {
  const { change, observation } = await observed(t);
  let last = observation.first;
  for (const value of ["two", "three", "four"]) {
    await change(value);
    const notification = await observation.next();
    assertNotification(notification, observation, "CON", value);
    assert.ok(isNewer(notification, last));
    last = notification;
  }
});

test("TD_COAP_OBS_02 observing with NONs", async (t) => {
  const topic = unique("obs-non");
  const change = await changer(t, topic);
  await change("zero");
  const raw = await gateway.open(t);
  const observation = await Observation.begin(raw, `/ps/${topic}`, { type: NON });
  assertNotification(observation.first, observation, "NON", "zero");
  let last = observation.first;
  let nons = 0;
  for (let i = 1; i <= 10; i++) {
    await change(`${i}`, TEXT, "retain=true&qos=0");
    const notification = await observation.next();
    assertNotification(notification, observation, notification.type, `${i}`);
    assert.ok(isNewer(notification, last));
    last = notification;
    if (notification.type === "NON") nons++;
  }
  assert.ok(nons >= 5, "occasionally a CON, to see whether the client is there");
});

test("TD_COAP_OBS_04 the server loses its observers: the client registers again with its token, and hears again", async () => {
  using folder = temporaryFolder();
  await using own = new GatewayProcess(folder.path, { listeners: LISTENERS });
  await own.start();
  const publish = async (value: string) => {
    await using mqtt = await MqttCollector.open(own.port(), "nothing");
    await mqtt.client.publishAsync("obs", value, { qos: 1, retain: true });
  };
  await publish("before");
  let token: Buffer;
  {
    using raw = await HandEndpoint.open(own.port("coap"));
    const observation = await Observation.begin(raw, "/ps/obs");
    ({ token } = observation);
  }
  await own.end("SIGKILL");
  await own.start();
  using raw = await HandEndpoint.open(own.port("coap"));
  await publish("unheard");
  assert.deepEqual(await raw.untilNow(), []);
  const observation = await Observation.begin(raw, "/ps/obs", { token });
  assert.equal(text(observation.first), "unheard");
  await publish("after");
  const notification = await raw.next();
  observation.acknowledge(notification);
  assert.deepEqual([notification.token, text(notification)], [token.toString("hex"), "after"]);
});

test("TD_COAP_OBS_05 the client is switched off: transmissions end, and no notifications follow", {
  skip: noSlowProduct,
}, async (t) => {
  const { topic, change, raw, observation } = await observed(t, slow);
  await change("off");
  const numbers: Message[] = [];
  for (let i = 0; i < 5; i++) {
    const transmission = await observation.pending();
    assert.deepEqual([transmission.type, text(transmission)], ["CON", "off"]);
    numbers.push(transmission);
  }
  assert.ok(numbers.every((one) => one.id === numbers[0]!.id || isNewer(one, numbers[0]!)));
  const witness = await Observation.begin(await slow.open(t), `/ps/${topic}`);
  // After the last wait, of 48 s at most of the gateway's time, the entry is gone: changes go on until then.
  const observers = async () => (await statusOf(slow.gateway)).counters["coap.observers"];
  for (let i = 0; (await observers()) !== 1; i++) {
    await change(`${i}`);
    await witness.until(`${i}`);
  }
  await raw.untilNow();
  await assertEnded(t, raw, topic, TEXT, slow);
});

test("TD_COAP_OBS_06 the client forgot: an RST removes it", async (t) => {
  const { topic, change, raw, observation } = await observed(t);
  await change("unknown");
  observation.reset(await observation.pending());
  await raw.untilNow();
  await assertEnded(t, raw, topic);
});

test("TD_COAP_OBS_07 DELETE: observers are told of it; here the topic stays, without a value, and so do they", async (t) => {
  const { topic, change, raw, observation } = await observed(t);
  const other = await gateway.open(t);
  assert.equal((await other.ask({ code: DELETE, options: uri(`/ps/${topic}`) })).code, "2.02");
  const notification = await observation.next();
  assert.deepEqual([notification.type, notification.code, notification.payload.length], ["CON", "2.05", 0]);
  assert.equal((await raw.ask(get(`/ps/${topic}`))).code, "4.04");
  await change("back");
  assertNotification(await observation.next(), observation, "CON", "back");
});

test("TD_COAP_OBS_08 the content-format changes: 4.06 without Observe, and nothing after it", async (t) => {
  const { topic, change, raw, observation } = await observed(t);
  await change("{}", 50);
  const notification = await observation.next();
  assert.deepEqual(
    [notification.type, notification.code, uintOf(notification, Option.Observe)],
    ["CON", "4.06", undefined],
  );
  await assertEnded(t, raw, topic, 50);
});

test("TD_COAP_OBS_09 an update is notified with its payload", async (t) => {
  const { change, observation } = await observed(t);
  for (const value of ["new", "newer"]) {
    await change(value);
    assertNotification(await observation.next(), observation, "CON", value);
  }
});

test("TD_COAP_OBS_10 a plain GET does not cancel", async (t) => {
  const { topic, change, raw, observation } = await observed(t);
  const answer = await raw.ask(get(`/ps/${topic}`));
  assert.deepEqual([answer.type, answer.code, uintOf(answer, Option.Observe)], ["ACK", "2.05", undefined]);
  assert.notEqual(answer.token, observation.token.toString("hex"));
  await change("still");
  assertNotification(await observation.next(), observation, "CON", "still");
});

test("TD_COAP_OBS_11 in a lossy context: never two notifications at a time, and the last state arrives", {
  skip: noSlowProduct,
}, async (t) => {
  const { change, raw, observation } = await observed(t, slow);
  for (let i = 0; i < 4; i++) {
    await change(`${i}a`);
    const lost = await observation.pending();
    await change(`${i}b`);
    const [again, ...more] = [await observation.pending(), ...(await raw.untilNow())];
    assert.deepEqual([again.type, text(again), more.length], ["CON", `${i}b`, 0]);
    assert.ok(isNewer(again, lost));
    observation.acknowledge(again);
  }
});

test("TD_COAP_OBS_12 GET with Observe 1 cancels", async (t) => {
  const { topic, raw, observation } = await observed(t);
  const answer = await observation.cancel();
  assert.deepEqual(
    [answer.type, answer.code, answer.token, uintOf(answer, Option.ContentFormat), uintOf(answer, Option.Observe)],
    ["ACK", "2.05", observation.token.toString("hex"), TEXT, undefined],
  );
  await assertEnded(t, raw, topic);
});

for (const [id, sizes] of [
  ["TD_COAP_OBS_13", [1500, 1500]],
  ["TD_COAP_OBS_14", [1500, 3000, 40]],
] as const) {
  test(`${id} a large resource, of ${id.endsWith("13") ? "one size" : "changing sizes"}: first blocks are notified, the rest is fetched`, async (t) => {
    const topic = unique("obs-large");
    const change = await changer(t, topic);
    const value = (letter: string, size: number) => letter.repeat(size);
    await change("zero");
    const raw = await gateway.open(t);
    const observation = await Observation.begin(raw, `/ps/${topic}`);
    for (const [i, size] of sizes.entries()) {
      const letter = "abc"[i]!;
      await gateway.retain(topic, value(letter, size), "text/plain");
      const notification = await observation.next();
      const block = blockOf(notification, Option.Block2);
      assert.equal(block === undefined, size === 40);
      const rest = block === undefined ? [notification] : await readBlocks(raw, `/ps/${topic}`, block.szx);
      assert.equal(rest.map(text).join(""), value(letter, size));
    }
  });
}
