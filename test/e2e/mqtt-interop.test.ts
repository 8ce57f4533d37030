// What others' MQTT clients get from the gateway: mosquitto_pub and mosquitto_sub, Debian's paho, MQTT.js, in every
// version they speak. Access (TLS, passwords, rights) is in mqtt-access.test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectAsync, type IClientOptions } from "mqtt";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector, persistent } from "../support/mqtt-collector.ts";
import { type ClientProgram, type Message, mosquittoPub, mosquittoSub, Paho } from "../support/mqtt-programs.ts";
import { requirePeer, requirePython } from "../support/peers.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto_pub", "mosquitto_sub") };
const PEERS = { skip: MOSQUITTO.skip || requirePython("paho.mqtt.client") };
const V31 = ["-V", "mqttv31"];
const V311 = ["-V", "mqttv311"];
const V5 = ["-V", "mqttv5"];

async function startGateway(folder: string): Promise<GatewayProcess> {
  const gateway = new GatewayProcess(folder, { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }] });
  await gateway.start();
  return gateway;
}

/** In order of QoS: a client may hand out QoS 2 messages only when they are released. */
function byQos(messages: readonly Message[]): string[] {
  return messages.toSorted((a, b) => a.qos - b.qos).map(text);
}

const text = ({ topic, payload, qos, retain }: Message): string => `${topic} ${payload} ${qos}${retain ? " r" : ""}`;

/** MQTT.js keeps what it got in another form. */
async function takeFrom(collector: MqttCollector, count: number): Promise<Message[]> {
  return (await collector.take(count)).map(({ topic, payload, packet }) => ({
    topic,
    payload,
    qos: packet.qos,
    retain: packet.retain,
  }));
}

function mqttJs(port: number, version: 3 | 4 | 5, more: IClientOptions = {}): IClientOptions {
  const old: IClientOptions = version === 3 ? { protocolId: "MQIsdp" } : {};
  return { host: "127.0.0.1", port, protocolVersion: version, reconnectPeriod: 0, ...old, ...more };
}

test(
  "QoS 0, 1 and 2 from every client to every client, with the lower of the two QoS, once and in order",
  PEERS,
  async () => {
    using folder = temporaryFolder();
    await using gateway = await startGateway(folder.path);
    const port = gateway.port();
    await using stack = new AsyncDisposableStack();
    const subscribers = new Map<string, (count: number) => Promise<Message[]>>();
    for (const qos of [0, 1, 2]) {
      for (const version of [V31, V311, V5]) {
        const name = `mosquitto_sub ${version[1]} at ${qos}`;
        const program = stack.use(
          await mosquittoSub(port, ...version, "-i", `sub${version[1]}${qos}`, "-t", "all/#", "-q", `${qos}`),
        );
        subscribers.set(name, (count) => program.take(count));
      }
      for (const version of [3, 4, 5] as const) {
        const paho = stack.use(await Paho.start({ id: `paho${version}${qos}`, port, version }));
        await paho.subscribe("all/#", qos);
        assert.deepEqual(paho.granted, [qos]);
        subscribers.set(`paho ${version} at ${qos}`, (count) => paho.take(count));
        const client = await connectAsync(mqttJs(port, version, { clientId: `js${version}${qos}` }));
        const collector = stack.use(new MqttCollector(client));
        await client.subscribeAsync("all/#", { qos: qos as 0 | 1 | 2 });
        subscribers.set(`MQTT.js ${version} at ${qos}`, (count) => takeFrom(collector, count));
      }
    }

    const sent: { topic: string; payload: string; qos: number }[] = [];
    const said = (name: string, qos: number) => {
      const message = { topic: `all/${name}`, payload: `${qos} ä`, qos };
      sent.push(message);
      return message;
    };
    for (const version of [V31, V311, V5]) {
      for (const qos of [0, 1, 2]) {
        const { topic, payload } = said(`mosquitto/${version[1]}`, qos);
        const { code, output } = await mosquittoPub(port, ...version, "-t", topic, "-m", payload, "-q", `${qos}`);
        assert.equal(code, 0, output);
      }
    }
    for (const version of [3, 4, 5] as const) {
      await using paho = await Paho.start({ id: `publishes${version}`, port, version });
      const client = await connectAsync(mqttJs(port, version, { clientId: `publishes-js${version}` }));
      for (const qos of [0, 1, 2] as const) {
        const one = said(`paho/${version}`, qos);
        await paho.publish(one.topic, Buffer.from(one.payload).toString("latin1"), qos);
        const two = said(`js/${version}`, qos);
        await client.publishAsync(two.topic, two.payload, { qos });
      }
      await client.endAsync();
      await paho.leave();
    }

    for (const [name, take] of subscribers) {
      const granted = Number(name.at(-1));
      const got = await take(sent.length);
      const expected = sent.map(({ topic, payload, qos }) => `${topic} ${payload} ${Math.min(qos, granted)}`);
      const asText = got.map((message) =>
        text({ ...message, payload: name.startsWith("mosquitto") ? message.payload : utf8(message.payload) }),
      );
      assert.deepEqual(asText.toSorted(), expected.toSorted(), name);
      for (const topic of new Set(sent.map((message) => message.topic))) {
        const order = got.filter((message) => message.topic === topic).map(({ payload }) => payload[0]);
        if (granted > 0)
          assert.deepEqual(
            order.filter((qos) => qos !== "0"),
            ["1", "2"],
            `${name}, ${topic}`,
          );
      }
    }
  },
);

/** Payloads of paho and MQTT.js are kept byte by byte. */
function utf8(latin1: string): string {
  return Buffer.from(latin1, "latin1").toString();
}

/** Orders texts by their QoS, else leaves them. */
function lastNumber(a: string, b: string): number {
  return Number(a.at(-1)) - Number(b.at(-1));
}

test("wildcards: + for one level, # for the rest and the parent, neither for $SYS", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  const port = gateway.port();
  const topics = ["a", "a/b", "a/b/c", "a//c", "/a", "b/b", "a/b/c/d", "A/b"];
  const matches: Record<string, string[]> = {
    "#": topics,
    "a/#": ["a", "a/b", "a/b/c", "a//c", "a/b/c/d"],
    "+": ["a"],
    "+/+": ["a/b", "/a", "b/b", "A/b"],
    "a/+/c": ["a/b/c", "a//c"],
    "/+": ["/a"],
    "+/b/#": ["a/b", "a/b/c", "b/b", "a/b/c/d", "A/b"],
    "a/b": ["a/b"],
  };
  await using stack = new AsyncDisposableStack();
  const subscribers = new Map<string, ClientProgram>();
  for (const filter of Object.keys(matches)) {
    subscribers.set(filter, stack.use(await mosquittoSub(port, "-t", filter, "-t", "end", "-q", "1")));
  }
  await using publisher = await MqttCollector.open(port, "none");
  for (const topic of [...topics, "$local/a", "end"]) await publisher.client.publishAsync(topic, "x", { qos: 1 });
  for (const [filter, expected] of Object.entries(matches)) {
    const wanted = [...expected, "end"];
    const got = (await subscribers.get(filter)!.take(wanted.length)).map(({ topic }) => topic);
    assert.deepEqual(got, wanted, filter);
  }
});

test("overlapping subscriptions give one copy with the highest QoS, and unsubscribing ends it", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  await using collector = await MqttCollector.open(gateway.port(), "x/#", { protocolVersion: 4 });
  await collector.client.subscribeAsync("x/+", { qos: 2 });
  await collector.client.publishAsync("x/1", "both", { qos: 2 });
  await collector.client.unsubscribeAsync("x/+");
  await collector.client.publishAsync("x/1", "one", { qos: 2 });
  await collector.client.unsubscribeAsync("x/#");
  await collector.client.publishAsync("x/1", "none", { qos: 2 });
  await collector.client.subscribeAsync("end");
  await collector.client.publishAsync("end", "", { qos: 1 });
  assert.deepEqual((await takeFrom(collector, 3)).map(text), ["x/1 both 2", "x/1 one 1", "end  0"]);
});

test(
  "retained values: for new subscribers with the flag, deleted by an empty one, through kill -9",
  PEERS,
  async () => {
    using folder = temporaryFolder();
    await using gateway = await startGateway(folder.path);
    const publish = async (...args: string[]) => assert.equal((await mosquittoPub(gateway.port(), ...args)).code, 0);
    await publish("-t", "kept/0", "-m", "old", "-r", "-q", "1");
    await publish("-t", "kept/0", "-m", "zero", "-r", "-q", "0");
    await publish("-t", "kept/1", "-m", "one", "-r", "-q", "1", ...V5);
    await publish("-t", "kept/2", "-m", "two", "-r", "-q", "2");
    await publish("-t", "kept/gone", "-m", "x", "-r", "-q", "1");
    await publish("-t", "kept/gone", "-n", "-r", "-q", "1");
    await publish("-t", "kept/not", "-m", "x", "-q", "1");
    const expected = ["kept/0 zero 0 r", "kept/1 one 1 r", "kept/2 two 2 r"];

    const look = async (): Promise<void> => {
      for (const version of [V311, V5]) {
        await using sub = await mosquittoSub(gateway.port(), ...version, "-t", "kept/#", "-q", "2", "-C", "3");
        assert.deepEqual((await sub.take(3)).map(text).sort(), expected);
        assert.equal(await sub.end(), 0);
      }
      await using paho = await Paho.start({ id: "looks", port: gateway.port(), version: 4 });
      await paho.subscribe("kept/#", 2);
      assert.deepEqual((await paho.take(3)).map(text).sort(), expected);
    };
    await look();
    await gateway.end("SIGKILL");
    await gateway.start();
    await look();

    // What is live does not carry the flag; a subscriber with Retain As Published (5.0) sees it.
    await using live = await MqttCollector.open(gateway.port(), "live/#");
    await live.client.subscribeAsync("as/#", { qos: 1, rap: true });
    await live.client.publishAsync("live/1", "x", { qos: 1, retain: true });
    await live.client.publishAsync("as/1", "x", { qos: 1, retain: true });
    assert.deepEqual((await takeFrom(live, 2)).map(text), ["live/1 x 1", "as/1 x 1 r"]);
    // Retain Handling: 2 = never, 1 = only for a new subscription.
    await live.client.subscribeAsync("live/#", { qos: 1, rh: 2 });
    await live.client.subscribeAsync("live/#", { qos: 1, rh: 1 });
    await live.client.subscribeAsync("live/#", { qos: 1, rh: 0 });
    await live.client.subscribeAsync("kept/2", { qos: 1, rh: 1 });
    assert.deepEqual((await takeFrom(live, 2)).map(text), ["live/1 x 1 r", "kept/2 two 1 r"]);

    // mosquitto_sub --remove-retained empties it.
    await using remover = await mosquittoSub(gateway.port(), "-t", "kept/#", "-q", "1", "--remove-retained");
    await remover.take(3);
    await eventually("all are gone", async () => {
      await using sub = await mosquittoSub(gateway.port(), "-t", "kept/#", "-E");
      await sub.end();
      return sub.messages.length === 0;
    });
  },
);

test("wills: published when the peer is killed, not when it says goodbye", PEERS, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  const port = gateway.port();
  await using watcher = await MqttCollector.open(port, "will/#");
  await watcher.client.subscribeAsync("will/#", { qos: 2 });
  for (const [name, version] of [
    ["311", V311],
    ["5", V5],
  ] as const) {
    const will = ["--will-topic", `will/${name}`, "--will-payload", "gone", "--will-qos", "1", "--will-retain"];
    const polite = await mosquittoSub(port, ...version, "-t", "x", "-i", `polite${name}`, ...will);
    await polite.end("SIGTERM");
    // In 5.0 its goodbye asks for the will (0x04).
    if (version === V5) assert.deepEqual((await takeFrom(watcher, 1)).map(text), [`will/${name} gone 1`]);
    const killed = await mosquittoSub(port, ...version, "-t", "x", "-i", `killed${name}`, ...will);
    await killed.end("SIGKILL");
    assert.deepEqual((await takeFrom(watcher, 1)).map(text), [`will/${name} gone 1`]);
  }
  for (const version of [3, 4, 5] as const) {
    const will = { topic: `will/paho${version}`, payload: "gone", qos: 2, retain: false };
    const polite = await Paho.start({ id: "polite", port, version, will });
    await polite.leave();
    const killed = await Paho.start({ id: "killed", port, version, will });
    await killed.program.end("SIGKILL");
    assert.deepEqual((await takeFrom(watcher, 1)).map(text), [`will/paho${version} gone 2`]);
  }
  for (const version of [4, 5] as const) {
    const will = { topic: `will/js${version}`, payload: Buffer.from("gone"), qos: 1 as const, retain: false };
    await (await connectAsync(mqttJs(port, version, { will }))).endAsync();
    const killed = await connectAsync(mqttJs(port, version, { will }));
    killed.on("error", () => {});
    killed.stream.destroy();
    assert.deepEqual((await takeFrom(watcher, 1)).map(text), [`will/js${version} gone 1`]);
    await killed.endAsync(true);
  }
  // 5.0: the goodbye may ask for the will, and the will may wait.
  const asked = await connectAsync(
    mqttJs(port, 5, { will: { topic: "will/asked", payload: Buffer.from("x"), qos: 1, retain: false } }),
  );
  await asked.endAsync(false, { reasonCode: 4 });
  assert.deepEqual((await takeFrom(watcher, 1)).map(text), ["will/asked x 1"]);
  // The retained ones are there for who comes later.
  await using later = await mosquittoSub(port, "-t", "will/#", "-q", "1", "-C", "2");
  assert.deepEqual((await later.take(2)).map(text).sort(), ["will/311 gone 1 r", "will/5 gone 1 r"]);
  assert.equal(watcher.messages.length, 0);
});

test("a client id that connects again takes the session over: the old connection is told 0x8E and its will is published", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  const port = gateway.port();
  await using watcher = await MqttCollector.open(port, "will");
  const will = { topic: "will", payload: Buffer.from("taken over"), qos: 1 as const, retain: false };
  const first = await connectAsync(mqttJs(port, 5, { clientId: "same", will }));
  let reason = 0;
  first.on("error", () => {});
  first.on("disconnect", (packet) => {
    reason = packet.reasonCode ?? 0;
  });
  const second = await connectAsync(mqttJs(port, 4, { clientId: "same" }));
  await eventually("the first is told", () => reason === 0x8e);
  assert.deepEqual((await takeFrom(watcher, 1)).map(text), ["will taken over 1"]);
  await second.publishAsync("will", "second lives", { qos: 1 });
  assert.equal((await watcher.take(1))[0]?.payload, "second lives");
  await first.endAsync(true);
  await second.endAsync();
});

test("a persistent session gets what came while it was away, also over SIGTERM and kill -9", PEERS, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  const sub311 = () => mosquittoSub(gateway.port(), ...V311, "-c", "-i", "sub311", "-q", "2", "-t", "s/#");
  const sub5 = () => mosquittoSub(gateway.port(), ...V5, "-c", "-x", "3600", "-i", "sub5", "-q", "1", "-t", "s/#");
  const paho4 = () => Paho.start({ id: "paho4", port: gateway.port(), version: 4, clean: false });
  const paho5 = () => Paho.start({ id: "paho5", port: gateway.port(), version: 5, clean: false, expiry: 3600 });
  const js = () => MqttCollector.open(gateway.port(), "s/#", persistent("js"));

  for (const start of [sub311, sub5]) await (await start()).end("SIGTERM");
  for (const start of [paho4, paho5]) {
    const paho = await start();
    assert.equal(paho.present, false);
    await paho.subscribe("s/#", 2);
    await paho.leave();
  }
  await (await js()).client.endAsync();

  let number = 0;
  const expected = { at1: [] as string[], at2: [] as string[] };
  const publish = async (): Promise<void> => {
    for (const qos of [0, 1, 2] as const) {
      const payload = `n${number++}`;
      const { code } = await mosquittoPub(gateway.port(), "-t", "s/1", "-m", payload, "-q", `${qos}`);
      assert.equal(code, 0);
      if (qos === 0) continue; // is for those who are there
      expected.at1.push(`s/1 ${payload} 1`);
      expected.at2.push(`s/1 ${payload} ${qos}`);
    }
  };
  await publish();
  assert.equal(await gateway.end("SIGTERM"), 0);
  await gateway.start();
  await publish();
  await gateway.end("SIGKILL");
  await gateway.start();
  await publish();

  for (const [start, wanted] of [
    [sub311, expected.at2],
    [sub5, expected.at1],
  ] as const) {
    await using sub = await start();
    assert.deepEqual(byQos(await sub.take(wanted.length)), wanted.toSorted(lastNumber));
    await sub.end("SIGTERM");
  }
  for (const start of [paho4, paho5]) {
    await using paho = await start();
    assert.equal(paho.present, true);
    assert.deepEqual(byQos(await paho.take(expected.at2.length)), expected.at2.toSorted(lastNumber));
  }
  await using collector = await js();
  assert.deepEqual((await takeFrom(collector, expected.at1.length)).map(text), expected.at1);

  // A clean start forgets it.
  await (await Paho.start({ id: "paho4", port: gateway.port(), version: 4, clean: true })).leave();
  const again = await paho4();
  assert.equal(again.present, false);
  await again.leave();
});

test(
  "5.0: user properties, content type, response topic and expiry reach the subscriber; subscription identifiers, too",
  PEERS,
  async () => {
    using folder = temporaryFolder();
    await using gateway = await startGateway(folder.path);
    await using collector = await MqttCollector.open(gateway.port(), "none");
    await collector.client.subscribeAsync("p/#", { qos: 1, properties: { subscriptionIdentifier: 42 } });
    const property = ["-D", "publish"];
    const { code } = await mosquittoPub(
      gateway.port(),
      ...[...V5, "-t", "p/1", "-m", "x", "-q", "1"],
      ...[...property, "content-type", "text/plain", ...property, "response-topic", "answer/here"],
      ...[...property, "correlation-data", "c1", ...property, "user-property", "k", "v1"],
      ...[...property, "user-property", "k", "v2", ...property, "message-expiry-interval", "100"],
    );
    assert.equal(code, 0);
    const [message] = await collector.take(1);
    const got = message?.packet.properties;
    assert.deepEqual(
      [got?.contentType, got?.responseTopic, got?.correlationData?.toString(), got?.subscriptionIdentifier],
      ["text/plain", "answer/here", "c1", 42],
    );
    assert.deepEqual({ ...got?.userProperties }, { k: ["v1", "v2"] });
    assert.ok((got?.messageExpiryInterval ?? 0) > 90 && (got?.messageExpiryInterval ?? 0) <= 100);
  },
);

test("500 messages of each QoS from one client to another of the other make, in order", PEERS, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  const COUNT = 500;
  const lines = Array.from({ length: COUNT }, (_, i) => `n${i}`);
  for (const qos of [0, 1, 2] as const) {
    await using sub = await mosquittoSub(gateway.port(), ...V5, "-t", `bulk/${qos}`, "-q", "2");
    await using paho = await Paho.start({ id: `bulk${qos}`, port: gateway.port(), version: 4 });
    await paho.subscribe(`bulk/${qos}`, 2);
    const client = await connectAsync(mqttJs(gateway.port(), 5));
    await Promise.all(lines.map((line) => client.publishAsync(`bulk/${qos}`, line, { qos })));
    for (const receiver of [sub, paho]) {
      assert.deepEqual(
        (await receiver.take(COUNT)).map(({ payload }) => payload),
        lines,
      );
    }
    await client.endAsync();
  }
});
