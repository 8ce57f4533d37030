// Observing topics over CoAP on the running gateway: libcoap's client, npm's coap, and clients by hand.
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { Agent, type ObserveReadStream, request } from "coap";
import mqtt from "mqtt";
import { LibcoapObserver } from "../support/coap-peers.ts";
import { requireDtls } from "../support/coaps-peer.ts";
import { dtlsHome } from "../support/dtls-home.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { RawCoap } from "../support/raw-coap.ts";

const LISTENERS = [
  { type: "mqtt", bind: "127.0.0.1:0" },
  { type: "http", bind: "127.0.0.1:0" },
  { type: "coap", bind: "127.0.0.1:0" },
];

async function startGateway(folder: string, config: Record<string, unknown> = {}): Promise<GatewayProcess> {
  const gateway = new GatewayProcess(folder, { listeners: LISTENERS, ...config });
  await gateway.start();
  return gateway;
}

async function counters(gateway: GatewayProcess): Promise<Record<string, number>> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return (JSON.parse(stdout) as { counters: Record<string, number> }).counters;
}

/** Waits until so many observe. */
async function observers(gateway: GatewayProcess, count: number): Promise<void> {
  await eventually(`${count} observers`, async () => (await counters(gateway))["coap.observers"] === count);
}

async function publish(gateway: GatewayProcess, topic: string, value: string, retain = false): Promise<void> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${gateway.port()}`, { protocolVersion: 5 });
  await client.publishAsync(topic, value, { qos: 1, retain });
  await client.endAsync();
}

test("libcoap observes what MQTT, HTTP and CoAP publish, and its Ctrl-C ends the observation", {
  skip: requirePeer("coap-client"),
}, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  await publish(gateway, "hall/temperature", "21.0", true);
  await using observer = new LibcoapObserver(gateway, "/ps/hall/temperature");
  await observer.sees("21.0");
  await publish(gateway, "hall/temperature", "21.5", true);
  await observer.sees("21.5");
  const url = `http://127.0.0.1:${gateway.port("http")}/topics/hall/temperature`;
  assert.equal((await fetch(url, { method: "PUT", body: "22.0" })).ok, true);
  await observer.sees("22.0");
  using device = await RawCoap.open(gateway);
  assert.equal((await device.put("/ps/hall/temperature", "22.5")).code, "2.04");
  await observer.sees("22.5");
  assert.match(observer.text, /Observe:/);
  assert.match(observer.text, /t:CON c:2\.05/);
  assert.equal((await counters(gateway))["coap.observers"], 1);
  await observer.end("SIGINT");
  await observers(gateway, 0);
});

test("libcoap observes a wildcard: Location-Path names the topics, retained values come first", {
  skip: requirePeer("coap-client"),
}, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  await publish(gateway, "hall/line-1/speed", "7", true);
  await publish(gateway, "hall/line-2/speed", "8", true);
  await publish(gateway, "hall/line-2/state", "on", true);
  await using observer = new LibcoapObserver(gateway, "/ps/hall/%2B/speed");
  await observer.sees("8");
  await publish(gateway, "hall/line-1/speed", "9");
  await observer.sees("9");
  assert.deepEqual(observer.values.slice(-3), ["7", "8", "9"]);
  assert.match(observer.text, /Location-Path:ps, Location-Path:hall, Location-Path:line-2, Location-Path:speed/);
  assert.doesNotMatch(observer.text, /state/);
});

test("libcoap observes a value of 5,000 bytes: each notification's rest is fetched in blocks, retained or not", {
  skip: requirePeer("coap-client"),
}, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  const value = (letter: string): string =>
    Array.from({ length: 1000 }, (_, i) => letter + String(i).padStart(4, "0")).join("");
  await publish(gateway, "big", value("a"), true);
  await using observer = new LibcoapObserver(gateway, "/ps/big");
  await eventually("the first value", () => observer.text.includes("a0999"));
  await publish(gateway, "big", value("b"), true);
  await eventually("a retained one", () => observer.text.includes("b0999"));
  await publish(gateway, "big", value("c"));
  await eventually("one that is not retained", () => observer.text.includes("c0999"));
});

for (const program of ["coap-client-openssl", "coap-client-gnutls"] as const) {
  test(`${program} observes over DTLS, values in blocks, too; its observation ends with its session`, {
    skip: requirePeer(program) || requireDtls(),
  }, async (t) => {
    const { gateway } = await dtlsHome(t, { psk_file: "psk.txt" }, {}, { "psk.txt": "panel:k3y\n" });
    await publish(gateway, "hall/temperature", "21.0", true);
    const how = { program, scheme: "coaps" } as const;
    await using observer = new LibcoapObserver(gateway, "/ps/hall/temperature", how, "-u", "panel", "-k", "k3y");
    await observer.sees("21.0");
    for (const value of ["21.5", "22.0"]) {
      await publish(gateway, "hall/temperature", value);
      await observer.sees(value);
    }
    const large = Array.from({ length: 1000 }, (_, i) => `d${String(i).padStart(4, "0")}`).join("");
    await publish(gateway, "hall/temperature", large);
    await eventually("all of a large one", () => observer.text.includes("d0999"));
    await observers(gateway, 1);
    await observer.end("SIGKILL");
    await publish(gateway, "hall/temperature", "23.0");
    await using again = new LibcoapObserver(gateway, "/ps/hall/%2B", how, "-u", "panel", "-k", "k3y");
    await again.sees("21.0"); // what is retained
    await publish(gateway, "hall/humidity", "40");
    await again.sees("40");
    await again.end("SIGINT");
    await eventually("its session is over", async () => {
      const { "coap.observers": count = 0 } = await counters(gateway);
      return count <= 1; // of the one that was killed nobody knows yet
    });
  });
}

test("npm coap observes, and deregisters when its stream is closed", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  await publish(gateway, "valve/state", "open", true);
  const agent = new Agent({ type: "udp4" });
  const observe = async (pathname: string): Promise<{ stream: ObserveReadStream; values: string[] }> => {
    const asked = request({ hostname: "127.0.0.1", port: gateway.port("coap"), pathname, observe: true, agent });
    asked.end();
    const [stream] = (await once(asked, "response")) as [ObserveReadStream];
    const values: string[] = [];
    stream.on("data", (bytes: Buffer) => values.push(bytes.toString()));
    return { stream, values };
  };
  const { stream, values } = await observe("/ps/valve/state");
  await eventually("the value at registration", () => values.at(-1) === "open");
  for (const value of ["closed", "half", "open again"]) {
    await publish(gateway, "valve/state", value, true);
    await eventually(value, () => values.at(-1) === value);
  }
  // Its agent closes with the last of its requests, and then cannot deregister: so there is another one.
  await observe("/ps/valve/%23");
  await observers(gateway, 2);
  stream.close(true);
  await observers(gateway, 1);
  agent.close();
});

test("100 clients observe one topic; those that have died are dropped, and hold up nobody", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  const clients = await Promise.all(Array.from({ length: 100 }, () => RawCoap.open(gateway)));
  try {
    const all = await Promise.all(clients.map((client) => client.observe("/ps/news?qos=1")));
    for (const { answer } of all) assert.ok(answer.options.has("Observe"));
    await publish(gateway, "news", "first");
    await eventually("all have the first", () => all.every(({ observed }) => observed.value === "first"));
    // Half of them are silent from now on.
    for (const client of clients.slice(0, 50)) client.acknowledge = false;
    for (let i = 0; i < 5; i++) {
      await publish(gateway, "news", `${i}`);
      await eventually(`the living have ${i}`, () => all.slice(50).every(({ observed }) => observed.value === `${i}`));
    }
    for (const client of clients.slice(50, 60)) client.acknowledge = "reset";
    await publish(gateway, "news", "last");
    await eventually("40 have the last", () => all.slice(60).every(({ observed }) => observed.value === "last"));
    await observers(gateway, 90);
    const { "coap.observers_reset": reset, "coap.notifications_dropped": dropped } = await counters(gateway);
    assert.deepEqual([reset, dropped], [10, 0]);
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
});

for (const [how, signal] of [
  ["kill -9", "SIGKILL"],
  ["an orderly restart", "SIGTERM"],
] as const) {
  test(`an observation with clientid outlives ${how}: a CON tells the present value, and it goes on`, async () => {
    using folder = temporaryFolder();
    await using gateway = await startGateway(folder.path);
    using client = await RawCoap.open(gateway);
    using nameless = await RawCoap.open(gateway);
    await publish(gateway, "set/point", "1", true);
    const { answer, observed } = await client.observe("/ps/set/point?clientid=valve-7");
    assert.equal(answer.payload, "1");
    const { observed: forgotten } = await nameless.observe("/ps/set/point");
    await publish(gateway, "set/point", "2", true);
    await eventually("2", () => observed.value === "2" && forgotten.value === "2");
    // What was acknowledged after the registration has taken its record into the store.
    const port = gateway.port("coap");
    await gateway.end(signal);
    const told = signal === "SIGTERM" ? "5.03" : "2.05";
    await eventually("who is not kept hears of an orderly end", () => forgotten.notifications.at(-1)?.code === told);
    gateway.configure({ listeners: [LISTENERS[0], LISTENERS[1], { type: "coap", bind: `127.0.0.1:${port}` }] });
    const seen = observed.notifications.length;
    await gateway.start();
    await eventually("it is told anew", () => observed.notifications.length > seen);
    const again = observed.notifications.at(-1);
    assert.deepEqual([again?.type, again?.code, again?.payload], ["CON", "2.05", "2"]);
    await publish(gateway, "set/point", "3", true);
    // `observed` passes over what is not newer by RFC 7641 section 3.4.
    await eventually("3", () => observed.value === "3");
    assert.equal(forgotten.value, "2");
    await observers(gateway, 1);
    client.acknowledge = "reset";
    await publish(gateway, "set/point", "4", true);
    await observers(gateway, 0);
  });
}

test("libcoap observes with a clientid: its observation goes on after kill -9 without a word of its own", {
  skip: requirePeer("coap-client"),
}, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  await publish(gateway, "set/point", "1", true);
  await using observer = new LibcoapObserver(gateway, "/ps/set/point?clientid=panel-1");
  await observer.sees("1");
  await publish(gateway, "set/point", "2", true);
  await observer.sees("2");
  const port = gateway.port("coap");
  await gateway.end("SIGKILL");
  gateway.configure({ listeners: [LISTENERS[0], LISTENERS[1], { type: "coap", bind: `127.0.0.1:${port}` }] });
  const seen = observer.values.length;
  await gateway.start();
  await eventually("it is told anew", () => observer.values.length > seen);
  await publish(gateway, "set/point", "3", true);
  await observer.sees("3");
  assert.equal(observer.text.match(/c:GET/g)?.length, 1);
});

test("a reload takes the right to read away: 4.03 ends the observation", async () => {
  using folder = temporaryFolder();
  const acl = `${folder.path}/acl`;
  writeFileSync(acl, "topic readwrite #\n");
  await using gateway = await startGateway(folder.path, { auth: { anonymous: "always", acl_file: acl } });
  using client = await RawCoap.open(gateway);
  const { observed } = await client.observe("/ps/plant/secret?clientid=spy");
  await publish(gateway, "plant/secret", "1");
  await eventually("1", () => observed.value === "1");
  writeFileSync(acl, "topic readwrite open/#\n");
  gateway.signal("SIGHUP");
  await eventually("4.03", () => observed.notifications.at(-1)?.code === "4.03");
  await observers(gateway, 0);
});

test("an MQTT subscriber and a CoAP observer of a filter see the same", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  await using subscriber = await MqttCollector.open(gateway.port(), "site/#");
  using client = await RawCoap.open(gateway);
  const { observed } = await client.observe("/ps/site/%23?qos=1");
  for (let i = 0; i < 10; i++) {
    await publish(gateway, `site/${i % 3}`, `${i}`);
    await eventually(`${i}`, () => observed.value === `${i}`);
  }
  const messages = await subscriber.take(10);
  assert.deepEqual(
    observed.notifications.slice(1).map(({ payload }) => payload),
    messages.map(({ payload }) => payload),
  );
});
