// What a program decides instead of the configuration.
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { AUTHENTICATING_MAX } from "../../../src/core/hook-authority.ts";
import { Gateway, type Hooks, type Verdict } from "../../../src/index.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/gateway-process.ts";
import { CONNACK, connect } from "../../support/mqtt-packets.ts";
import { RawMqtt } from "../../support/raw-mqtt.ts";

interface Running {
  readonly gateway: Gateway;
  readonly log: string[];
  port(type?: string): number;
}

async function gatewayWith(t: TestContext, hooks: Hooks): Promise<Running> {
  const folder = temporaryFolder();
  const log: string[] = [];
  const listeners = ["mqtt", "http"].map((type) => ({ type, bind: "127.0.0.1:0" }));
  const gateway = new Gateway({
    config: { data_dir: join(folder.path, "data"), listeners, limits: { handshakes_per_second: 10_000 } },
    hooks,
    log: { write: (line) => void log.push(line) },
  });
  t.after(async () => {
    await gateway.stop();
    folder[Symbol.dispose]();
  });
  const bound = await gateway.start();
  const port = (type = "mqtt"): number =>
    Number(
      bound
        .find((listener) => listener.type === type)
        ?.address.split(":")
        .at(-1),
    );
  return { gateway, log, port };
}

async function device(t: TestContext, port: number, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    ...options,
  });
  t.after(() => client.endAsync(true));
  return client;
}

test("authenticate says who it is, now or later, refuses, or leaves it to the configuration", async (t) => {
  const seen: string[] = [];
  const { gateway, port } = await gatewayWith(t, {
    authenticate: ({ userName, password }) => {
      if (userName === null) return undefined;
      if (userName === "slow") return new Promise((resolve) => setImmediate(resolve, { userName: "later" }));
      return password?.toString() === "secret" ? { userName } : null;
    },
    authorize: ({ name }, action, topic) => {
      seen.push(`${name} ${action} ${topic}`);
      return undefined;
    },
  });
  for (const username of ["anna", "slow"]) {
    const client = await device(t, port(), { username, password: "secret" });
    await client.publishAsync("t", "x", { qos: 1 });
  }
  assert.deepEqual(seen, ["anna publish t", "later publish t"]);
  await assert.rejects(device(t, port(), { username: "anna", password: "wrong" }), { code: 0x87 });
  await device(t, port()); // anonymous on loopback, as configured
  assert.equal((gateway.status()["counters"] as Record<string, number>)["hooks.failed"], 0);
});

test("authenticate that throws or never answers in numbers: refused, logged once, others told to come again", async (t) => {
  let broken = true;
  const { gateway, log, port } = await gatewayWith(t, {
    authenticate: ({ userName }): Verdict | Promise<Verdict> => {
      if (userName === "wait") return new Promise(() => {});
      if (broken) throw new Error("database away");
      return { userName: userName ?? "" };
    },
  });
  for (let i = 0; i < 3; i++)
    await assert.rejects(device(t, port(), { username: "anna", password: "x" }), { code: 0x87 });
  assert.equal(log.filter((line) => line.includes("hook-failed")).length, 1);
  broken = false;
  await device(t, port(), { username: "anna", password: "x" });
  assert.equal(log.filter((line) => line.includes("hook-works-again")).length, 1);
  assert.equal((gateway.status()["counters"] as Record<string, number>)["hooks.failed"], 3);

  const waiting: RawMqtt[] = [];
  t.after(() => {
    for (const raw of waiting) raw.socket.destroy();
  });
  for (let i = 0; i <= AUTHENTICATING_MAX; i++) {
    const raw = await RawMqtt.open(port());
    raw.send(connect({ version: 5, clientId: `w${i}`, user: "wait", password: "x" }));
    waiting.push(raw);
  }
  const last = waiting.at(-1) as RawMqtt;
  const { type, body } = await last.next();
  assert.deepEqual([type, body[1]], [CONNACK, 0x89]);
});

test("authorize decides on publishing, subscribing and reading; what it said is asked anew after rightsChanged", async (t) => {
  let readable = "a/1";
  const { gateway, port } = await gatewayWith(t, {
    authorize: (_who, action, topic) =>
      action === "publish" ? topic.startsWith("a/") : action === "read" ? topic === readable : topic !== "secret",
  });
  const client = await device(t, port());
  const heard: string[] = [];
  client.on("message", (topic) => heard.push(topic));
  await assert.rejects(client.subscribeAsync("secret"), /Not authorized/i);
  await client.subscribeAsync("a/#", { qos: 1 });
  await assert.rejects(client.publishAsync("b/1", "x", { qos: 1 }), { code: 0x87 });
  for (const topic of ["a/1", "a/2"]) await client.publishAsync(topic, "x", { qos: 1 });
  await eventually("what it may read", () => heard.length === 1);
  readable = "a/2";
  gateway.rightsChanged();
  for (const topic of ["a/1", "a/2"]) await client.publishAsync(topic, "x", { qos: 1 });
  await eventually("what it may read now", () => heard.length === 2);
  assert.deepEqual(heard, ["a/1", "a/2"]);
});

test("onPublish sees every message before anybody gets it, and refuses in each protocol's words", async (t) => {
  const seen: string[] = [];
  let kept: { payload: Buffer } | null = null;
  const { gateway, port } = await gatewayWith(t, {
    onPublish: (message) => {
      kept = message;
      const { topic, payload, qos, retain, publisher } = message;
      seen.push(`${publisher?.clientId ?? "-"} ${topic} ${payload} ${qos} ${retain}`);
      if (topic === "throws") throw new Error("no");
      return topic !== "refused";
    },
  });
  const heard: string[] = [];
  gateway.subscribe("#", ({ topic }) => void heard.push(topic));
  const five = await device(t, port(), { clientId: "five" });
  const four = await device(t, port(), { clientId: "four", protocolVersion: 4 });
  await five.publishAsync("fine", "1", { qos: 2, retain: true });
  await assert.rejects(five.publishAsync("refused", "2", { qos: 1 }), { code: 0x87 });
  await assert.rejects(five.publishAsync("refused", "3", { qos: 2 }), { code: 0x87 });
  await assert.rejects(five.publishAsync("throws", "4", { qos: 1 }), { code: 0x87 });
  await four.publishAsync("refused", "5", { qos: 1 }); // 3.1.1 has no word for it
  await five.publishAsync("refused", "6", { qos: 0 });
  await eventually("QoS 0 came", () => seen.length === 6);
  await assert.rejects(gateway.publish("refused", "7", { qos: 1 }), { code: "forbidden" });
  const answer = await fetch(`http://127.0.0.1:${port("http")}/topics/refused`, { method: "PUT", body: "8" });
  assert.equal(answer.status, 403);
  await five.publishAsync("end", "9", { qos: 1 });
  await eventually("the end", () => heard.includes("end"));
  assert.deepEqual(heard, ["fine", "end"]);
  assert.deepEqual(seen, [
    "five fine 1 2 true",
    "five refused 2 1 false",
    "five refused 3 2 false",
    "five throws 4 1 false",
    "four refused 5 1 false",
    "five refused 6 0 false",
    "- refused 7 1 false",
    "- refused 8 1 false",
    "five end 9 1 false",
  ]);
  assert.throws(() => kept?.payload, /only while its hook runs/);
  assert.equal(five.connected && four.connected, true);
});

test("what a hook publishes, subscribes or ends takes place when it has returned, and disturbs no route", async (t) => {
  const heard: string[] = [];
  let nested = 0;
  const running: Promise<void>[] = [];
  const hear =
    (who: string) =>
    ({ topic, payload }: { topic: string; payload: Buffer }) =>
      void heard.push(`${who} ${topic} ${payload}`);
  const calling = (action: string): void => {
    if (nested++ > 0) return;
    const payload = Buffer.from(action);
    running.push(gateway.publish("log/hook", payload));
    payload.fill("-");
    gateway.subscribe("b/#", hear("late"));
    leaving.close();
  };
  const made = await gatewayWith(t, {
    authorize: (_who, action, topic) => {
      if (action === "read" && topic === "b/1") calling(action);
      return true;
    },
  });
  const { gateway, port } = made;
  gateway.subscribe("log/#", hear("log"));
  const leaving = gateway.subscribe("b/+", hear("leaving"));
  const clients = await Promise.all([device(t, port()), device(t, port()), device(t, port())]);
  const got = clients.map(() => [] as string[]);
  for (const [i, client] of clients.entries()) {
    client.on("message", (topic, payload) => got[i]?.push(`${topic} ${payload}`));
    await client.subscribeAsync("b/#", { qos: 1 });
  }
  for (const payload of ["x", "y"]) await clients[0]?.publishAsync("b/1", payload, { qos: 1 });
  await Promise.all(running);
  await eventually("all have both", () => got.every(({ length }) => length === 2));
  for (const messages of got) assert.deepEqual(messages, ["b/1 x", "b/1 y"]);
  await eventually("what the hook wanted", () => heard.includes("late b/1 y"));
  assert.deepEqual(
    heard.filter((line) => line.startsWith("log")),
    ["log log/hook read"],
  );
  assert.ok(!heard.includes("leaving b/1 y"), "it has left");
});

test("onPublish may publish what it has seen under another topic", async (t) => {
  const { gateway, port } = await gatewayWith(t, {
    onPublish: ({ topic, payload }) => {
      if (topic.startsWith("in/")) void gateway.publish(`seen/${topic}`, payload);
      return true;
    },
  });
  const heard: string[] = [];
  gateway.subscribe("#", ({ topic, payload }) => void heard.push(`${topic} ${payload}`));
  const client = await device(t, port());
  for (let i = 0; i < 3; i++) await client.publishAsync("in/a", `${i}`, { qos: 1 });
  await eventually("six messages", () => heard.length === 6);
  assert.deepEqual(
    heard.filter((line) => line.startsWith("seen")),
    ["seen/in/a 0", "seen/in/a 1", "seen/in/a 2"],
  );
});
