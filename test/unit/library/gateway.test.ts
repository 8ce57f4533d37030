// The library's gateway in this process, with MQTT.js as a device.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { ConfigurationError, Gateway, GatewayError, type GatewayOptions, type Message } from "../../../src/index.ts";
import { PUBLISHES_MAX } from "../../../src/library/publishing.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/gateway-process.ts";

type Config = Record<string, unknown>;

const ends = new WeakMap<TestContext, AsyncDisposableStack>();

/** What ends with the test, the last one first. */
function endOf(t: TestContext): AsyncDisposableStack {
  let end = ends.get(t);
  if (end === undefined) {
    const stack = new AsyncDisposableStack();
    end = stack;
    ends.set(t, stack);
    t.after(() => stack.disposeAsync());
  }
  return end;
}

function folderOf(t: TestContext): string {
  return endOf(t).use(temporaryFolder()).path;
}

/** @param more keys beside data_dir and one MQTT listener on a free port */
function optionsOf(folder: string, more: Config = {}, options: GatewayOptions = {}): GatewayOptions {
  const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
  return { config: { data_dir: join(folder, "data"), listeners, ...more }, log: { write: () => {} }, ...options };
}

async function started(t: TestContext, options: GatewayOptions): Promise<{ gateway: Gateway; port: number }> {
  const gateway = new Gateway(options);
  endOf(t).defer(() => gateway.stop());
  const [listener] = await gateway.start();
  return { gateway, port: Number(listener?.address.split(":").at(-1)) };
}

async function device(t: TestContext, port: number, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    ...options,
  });
  endOf(t).defer(() => client.endAsync(true));
  return client;
}

function counterOf(gateway: Gateway, name: string): number {
  return (gateway.status()["counters"] as Record<string, number>)[name] ?? 0;
}

test("the program publishes to devices and hears them, with all properties", async (t) => {
  const { gateway, port } = await started(t, optionsOf(folderOf(t)));
  const heard: Message[] = [];
  gateway.subscribe("up/#", (message) => void heard.push(message));
  const client = await device(t, port);
  await client.subscribeAsync("down/#", { qos: 1 });
  const came = new Promise<[string, string, unknown]>((resolve) =>
    client.once("message", (topic, payload, packet) => resolve([topic, payload.toString(), packet.properties])),
  );
  await gateway.publish("down/1", "on", {
    qos: 1,
    properties: {
      payloadFormat: "utf8",
      contentType: "text/plain",
      responseTopic: "up/reply",
      correlationData: Buffer.from([1, 2]),
      userProperties: [
        ["b", "1"],
        ["a", "2"],
        ["b", "3"],
      ],
    },
  });
  const [topic, payload, properties] = await came;
  assert.deepEqual([topic, payload], ["down/1", "on"]);
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = properties as Record<
    string,
    unknown
  >;
  assert.deepEqual([payloadFormatIndicator, contentType, responseTopic], [true, "text/plain", "up/reply"]);
  assert.deepEqual(correlationData, Buffer.from([1, 2]));
  assert.deepEqual({ ...(userProperties as object) }, { a: "2", b: ["1", "3"] });
  await client.publishAsync("up/1", Buffer.from([0, 255]), {
    qos: 1,
    properties: {
      messageExpiryInterval: 60,
      contentType: "x/y",
      correlationData: Buffer.from("c"),
      responseTopic: "r",
    },
  });
  await eventually("it was heard", () => heard.length === 1);
  assert.deepEqual(heard, [
    {
      topic: "up/1",
      payload: Buffer.from([0, 255]),
      qos: 1,
      retain: false,
      properties: {
        messageExpirySeconds: 60,
        contentType: "x/y",
        responseTopic: "r",
        correlationData: Buffer.from("c"),
      },
    },
  ]);
});

test("a configuration with mistakes throws all of them at once, and touches nothing", (t) => {
  const folder = folderOf(t);
  assert.throws(
    () => new Gateway(optionsOf(folder, { memory_limit: "lots", limits: { max_conections: 3 } })),
    (error: ConfigurationError) => {
      assert.ok(error instanceof ConfigurationError);
      assert.deepEqual(error.complaints.map(({ path }) => path).sort(), ["limits.max_conections", "memory_limit"]);
      assert.match(error.message, /max_connections/);
      return true;
    },
  );
  assert.ok(!existsSync(join(folder, "data")));
});

test("a configuration that may take more than memory_limit does not start", async (t) => {
  const folder = folderOf(t);
  const gateway = new Gateway(optionsOf(folder, { limits: { max_connections: 100_000 } }));
  await assert.rejects(gateway.start(), /memory_limit[\s\S]*does not fit/);
  assert.ok(!existsSync(join(folder, "data")));
});

test("two gateways in one process keep to themselves", async (t) => {
  const folder = folderOf(t);
  const one = await started(t, optionsOf(join(folder, "one")));
  const two = await started(t, optionsOf(join(folder, "two")));
  const heard: string[] = [];
  one.gateway.subscribe("#", ({ topic }) => void heard.push(`one ${topic}`));
  two.gateway.subscribe("#", ({ topic }) => void heard.push(`two ${topic}`));
  const clients = await Promise.all([device(t, one.port), device(t, two.port)]);
  await clients[0]?.publishAsync("a", "x", { qos: 1 });
  await clients[1]?.publishAsync("b", "x", { qos: 1 });
  await eventually("both heard", () => heard.length === 2);
  assert.deepEqual(heard.sort(), ["one a", "two b"]);
});

test("what is not running, no topic, too large or too much is rejected with a code", async (t) => {
  const gateway = new Gateway(optionsOf(folderOf(t), { limits: { max_packet_bytes: "1KiB", output_bytes: "64KiB" } }));
  const code = (expected: string) => (error: unknown) => error instanceof GatewayError && error.code === expected;
  await assert.rejects(gateway.publish("a", "x"), code("not-running"));
  await gateway.start();
  endOf(t).defer(() => gateway.stop());
  await assert.rejects(gateway.start(), code("invalid"));
  for (const topic of ["", "a/+", "$SYS/x", "a\0b"])
    await assert.rejects(gateway.publish(topic, "x"), code("invalid"), topic);
  await gateway.publish("a", "x".repeat(1023));
  await assert.rejects(gateway.publish("a", "x".repeat(1024)), code("too-large"));
  await assert.rejects(gateway.publish("a", "", { properties: { contentType: "x".repeat(5000) } }), code("too-large"));
  assert.throws(() => gateway.subscribe("a/#/b", () => {}), code("invalid"));
  assert.throws(() => gateway.subscribe("a", () => {}, { durable: "late" }), code("invalid"));
  const publishes = Array.from({ length: PUBLISHES_MAX }, (_, i) =>
    gateway.publish(`a/${i}`, "x", { qos: 1, retain: true }),
  );
  await assert.rejects(gateway.publish("a", "x", { qos: 1, retain: true }), code("busy"));
  await Promise.all(publishes);
  await gateway.publish("a", "x", { qos: 1, retain: true });
});

test("a QoS 1 publish is resolved when it is stored: it is there after a restart", async (t) => {
  const options = optionsOf(folderOf(t));
  const first = await started(t, options);
  const away = await device(t, first.port, {
    clientId: "away",
    clean: false,
    properties: { sessionExpiryInterval: 600 },
  });
  await away.subscribeAsync("t", { qos: 1 });
  await away.endAsync();
  await first.gateway.publish("t", "kept", { qos: 1, retain: true });
  await first.gateway.stop();
  const second = await started(t, options);
  const heard: Message[] = [];
  second.gateway.subscribe("t", (message) => void heard.push(message));
  await eventually("the retained value", () => heard.length === 1);
  assert.deepEqual([heard[0]?.payload.toString(), heard[0]?.retain], ["kept", true]);
  const back = mqtt.connect(`mqtt://127.0.0.1:${second.port}`, {
    protocolVersion: 5,
    clientId: "away",
    clean: false,
    properties: { sessionExpiryInterval: 600 },
  });
  endOf(t).defer(() => back.endAsync(true));
  const payload = await new Promise<string>((resolve) => back.once("message", (_, bytes) => resolve(bytes.toString())));
  assert.equal(payload, "kept");
});

test("a handler gets one message at a time; what finds no room is dropped, counted and listed", async (t) => {
  const { gateway } = await started(t, optionsOf(folderOf(t)));
  let release = (): void => {};
  const heard: string[] = [];
  let running = 0;
  const subscription = gateway.subscribe(
    "t",
    async ({ payload }) => {
      assert.equal(++running, 1);
      heard.push(payload.toString());
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      running--;
    },
    { messagesMax: 3 },
  );
  await gateway.publish("t", "0");
  await eventually("the first", () => heard.length === 1);
  for (let i = 1; i <= 5; i++) await gateway.publish("t", `${i}`);
  assert.equal(counterOf(gateway, "library.dropped"), 2);
  const drops = gateway.status()["drops"] as { receiver: string; cause: string; count: number }[];
  assert.deepEqual(
    drops.map(({ receiver, cause, count }) => [receiver, cause, count]),
    [["library:t", "queue-full", 2]],
  );
  for (let n = 2; n <= 4; n++) {
    release();
    await eventually("the next", () => heard.length === n);
  }
  assert.deepEqual(heard, ["0", "1", "2", "3"]);
  subscription.close();
  release();
  await gateway.publish("t", "nobody");
  assert.equal(heard.length, 4);
});

test("what waits for a handler is bounded in bytes, too", async (t) => {
  const limits = { max_packet_bytes: "16KiB", output_bytes: "64KiB" };
  const { gateway } = await started(t, optionsOf(folderOf(t), { limits }));
  let heard = 0;
  gateway.subscribe("t", async () => {
    heard++;
    await new Promise(() => {});
  });
  for (let i = 0; i < 8; i++) await gateway.publish("t", "x".repeat(16_000));
  assert.equal(heard, 0, "never within publish");
  // Five make 80,000 bytes: the fifth still found less than 65,536.
  assert.equal(counterOf(gateway, "library.dropped"), 3);
});

test("a durable subscription: what its handler has not done with comes again after a restart, in order", async (t) => {
  const options = optionsOf(folderOf(t));
  const first = new Gateway(options);
  const heard: string[] = [];
  first.subscribe(
    "t",
    async ({ payload }) => {
      heard.push(payload.toString());
      if (payload.toString() === "2") await new Promise(() => {}); // never done
    },
    { durable: "worker" },
  );
  assert.throws(() => first.subscribe("t", () => {}, { durable: "worker" }), /there already/);
  await first.start();
  await Promise.all(["1", "2", "3"].map((payload) => first.publish("t", payload, { qos: 1 })));
  await eventually("two", () => heard.length === 2);
  await first.stop();

  const second = new Gateway(options);
  endOf(t).defer(() => second.stop());
  const again: string[] = [];
  second.subscribe("t", ({ payload }) => void again.push(payload.toString()), { durable: "worker" });
  await second.start();
  await eventually("what was not done", () => again.length === 2);
  await second.publish("t", "4", { qos: 1 });
  await eventually("the next", () => again.length === 3);
  assert.deepEqual(
    [heard, again],
    [
      ["1", "2"],
      ["2", "3", "4"],
    ],
  );
});

test("a handler that throws refuses its message: counted, listed, and the next one comes", async (t) => {
  const gateway = new Gateway(optionsOf(folderOf(t)));
  endOf(t).defer(() => gateway.stop());
  const heard: string[] = [];
  gateway.subscribe(
    "t",
    ({ payload }) => {
      heard.push(payload.toString());
      if (payload.toString() === "bad") throw new Error("no");
    },
    { durable: "worker" },
  );
  await gateway.start();
  for (const payload of ["bad", "good"]) await gateway.publish("t", payload, { qos: 1 });
  await eventually("both", () => heard.length === 2);
  assert.equal(counterOf(gateway, "library.handler_failed"), 1);
  await eventually("it is listed", () =>
    (gateway.status()["drops"] as { cause: string }[]).some(({ cause }) => cause === "refused"),
  );
});
