// CoAP against the running gateway: libcoap's coap-client, npm's coap, and datagrams by hand.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { ask, libcoap } from "../support/coap-peers.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector, persistent } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { RawCoap } from "../support/raw-coap.ts";

const LISTENERS = [
  { type: "mqtt", bind: "127.0.0.1:0" },
  { type: "coap", bind: "127.0.0.1:0" },
];

async function startGateway(folder: string, config: Record<string, unknown> = {}): Promise<GatewayProcess> {
  const gateway = new GatewayProcess(folder, { listeners: LISTENERS, ...config });
  await gateway.start();
  return gateway;
}

test("libcoap: PUT reaches an MQTT subscriber, GET reads and DELETE clears the retained value", {
  skip: requirePeer("coap-client"),
}, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  await using subscriber = await MqttCollector.open(gateway.port(), "#");

  const put = await libcoap(gateway, "/ps/meter/1?retain=true", "-m", "put", "-e", "21.5", "-t", "50");
  assert.match(put, /t:ACK c:2\.01/);
  const [message] = await subscriber.take(1);
  assert.deepEqual([message?.topic, message?.payload], ["meter/1", "21.5"]);
  assert.equal(message?.packet.qos, 1);
  assert.equal(message?.packet.properties?.contentType, "application/json");

  const get = await libcoap(gateway, "/ps/meter/1");
  assert.match(get, /c:2\.05 .*ETag:0x[0-9a-f]{16}, Content-Format:application\/json/);
  assert.match(get, /21\.5/);
  assert.match(await libcoap(gateway, "/ps/meter/2"), /4\.04 no retained value/);

  assert.match(await libcoap(gateway, "/ps/meter/1", "-m", "delete"), /t:ACK c:2\.02/);
  assert.equal((await subscriber.take(1))[0]?.payload, "");
  assert.match(await libcoap(gateway, "/ps/meter/1"), /4\.04/);

  assert.match(await libcoap(gateway, "/mqtt/publish/meter/3", "-m", "post", "-e", "x", "-N"), /t:NON c:2\.04/);
  assert.deepEqual(
    (await subscriber.take(1)).map(({ topic, packet }) => [topic, packet.qos]),
    [["meter/3", 0]],
  );
});

test("libcoap: discovery, health, and a value of 5,000 bytes in blocks", {
  skip: requirePeer("coap-client"),
}, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  await using publisher = await MqttCollector.open(gateway.port(), "none");
  const value = Array.from({ length: 1000 }, (_, i) => String(i).padStart(5, "0")).join("");
  await publisher.client.publishAsync("big", value, { qos: 1, retain: true });
  assert.match(await libcoap(gateway, "/health"), /c:2\.05 .*[\s\S]*healthy/);
  assert.match(await libcoap(gateway, "/.well-known/core"), /<\/ps>/);
  for (const block of ["1024", "256"]) {
    const output = join(folder.path, `big-${block}`);
    await libcoap(gateway, "/ps/big", "-b", block, "-o", output);
    const { stdout } = await promisify(execFile)("cat", [output], { maxBuffer: 100_000 });
    assert.equal(stdout, value);
  }
  writeFileSync(join(folder.path, "upload"), value);
  const upload = await libcoap(gateway, "/ps/up", "-m", "put", "-f", join(folder.path, "upload"));
  assert.match(upload, /2\.04/);
});

test("npm coap: CON and NON publishes, a value in blocks, 4.00 with words, the settled value survives a kill", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  await using subscriber = await MqttCollector.open(gateway.port(), "a/#");
  assert.equal((await ask(gateway, "/ps/a/1", { method: "PUT", payload: "con" })).code, "2.04");
  assert.equal((await ask(gateway, "/ps/a/2", { method: "POST", payload: "non", confirmable: false })).code, "2.04");
  assert.deepEqual(
    (await subscriber.take(2)).map(({ topic, payload, packet }) => [topic, payload, packet.qos]),
    [
      ["a/1", "con", 1],
      ["a/2", "non", 0],
    ],
  );
  const value = Buffer.alloc(3000, "v");
  await subscriber.client.publishAsync("big", value, { qos: 1, retain: true });
  assert.deepEqual((await ask(gateway, "/ps/big", { options: { Block2: Buffer.from([0x06]) } })).payload, value);
  const wrong = await ask(gateway, "/ps/a/1?qos=7", { method: "PUT", payload: "x" });
  assert.deepEqual([wrong.code, wrong.payload.toString()], ["4.00", "qos is 0, 1 or 2"]);
  assert.equal((await ask(gateway, "/ps/kept?retain=true", { method: "PUT", payload: "kept" })).code, "2.01");
  await gateway.end("SIGKILL");
  await gateway.start();
  assert.equal((await ask(gateway, "/ps/kept")).payload.toString(), "kept");
});

test("what a CON was answered 2.04 for waits in an offline session, through kill -9", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  {
    await using first = await MqttCollector.open(gateway.port(), "log/#", persistent("offline"));
    assert.equal(first.messages.length, 0);
  }
  const acknowledged: string[] = [];
  const senders = Array.from({ length: 8 }, async (_, sender) => {
    for (let i = 0; i < 25; i++) {
      const { code } = await ask(gateway, `/ps/log/${sender}`, { method: "PUT", payload: `${sender}:${i}` });
      assert.equal(code, "2.04");
      acknowledged.push(`${sender}:${i}`);
    }
  });
  await Promise.all(senders);
  await gateway.end("SIGKILL");
  await gateway.start();
  await using back = await MqttCollector.open(gateway.port(), "log/#", persistent("offline"));
  await eventually("all of them are delivered", () => new Set(back.payloads).size === acknowledged.length);
  assert.deepEqual(new Set(back.payloads), new Set(acknowledged));
});

test("a full queue that must not lose anything: 5.03 with Max-Age, nobody gets it, and room again later", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path, {
    limits: { session_queue_messages: 2, session_when_full: "refuse" },
  });
  {
    await using first = await MqttCollector.open(gateway.port(), "log", persistent("offline"));
    assert.equal(first.messages.length, 0);
  }
  await using live = await MqttCollector.open(gateway.port(), "log");
  const put = (payload: string) => ask(gateway, "/ps/log", { method: "PUT", payload });
  assert.deepEqual([(await put("1")).code, (await put("2")).code], ["2.04", "2.04"]);
  const refused = await put("3");
  assert.equal(refused.code, "5.03");
  assert.equal(refused.headers["Max-Age"], 10);
  {
    await using back = await MqttCollector.open(gateway.port(), "log", persistent("offline"));
    assert.deepEqual(
      (await back.take(2)).map(({ payload }) => payload),
      ["1", "2"],
    );
    assert.equal((await put("4")).code, "2.04");
    assert.equal((await back.take(1))[0]?.payload, "4");
  }
  await live.take(3);
  assert.deepEqual(live.payloads, []);
});

test("passwords and access list: 4.01, 4.03 and 2.01; a login by password is remembered", async () => {
  using folder = temporaryFolder();
  const passwords = join(folder.path, "passwd");
  const acl = join(folder.path, "acl");
  writeFileSync(passwords, "", { mode: 0o600 });
  assert.equal((await sluice(["passwd", passwords, "anna", "--stdin"], "pass word\n")).code, 0);
  writeFileSync(acl, "user anna\ntopic write own/anna/#\ntopic read own/#\n");
  const auth = { anonymous: "never", password_file: passwords, acl_file: acl };
  await using gateway = await startGateway(folder.path, { auth });
  const put = async (path: string) => (await ask(gateway, path, { method: "PUT", payload: "x" })).code;
  assert.equal(await put("/ps/own/anna/1"), "4.01");
  assert.equal(await put("/ps/own/anna/1?username=anna&password=wrong"), "4.01");
  assert.equal(await put("/ps/other?username=anna&password=pass word"), "4.03");
  assert.equal(await put("/ps/own/anna/1?username=anna&password=pass word&retain=true"), "2.01");
  const get = async (path: string) => (await ask(gateway, path)).code;
  assert.equal(await get("/ps/own/anna/1?u=anna&p=pass word"), "2.05");
  assert.equal(await get("/ps/own/anna/1"), "4.01");
  assert.equal(await get("/ps/other?u=anna&p=pass word"), "4.03");
  assert.equal(await get("/health"), "2.05");
});

test("RFC 7252: ping gets RST, garbage nothing, a repeated CON the same bytes and one delivery", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  await using subscriber = await MqttCollector.open(gateway.port(), "#");
  using peer = await RawCoap.open(gateway);
  const send = (hex: string) => peer.send(hex);
  for (const garbage of [
    "",
    "ff",
    "400112",
    "80010001",
    "c0010001",
    "50000001",
    "60000001",
    "70000001",
    "5f01000101",
  ]) {
    send(garbage);
  }
  send("49 01 0002 010203040506070809"); // CON, token of 9 bytes
  send("40 00 0003"); // ping
  const put = "42 03 0004 abcd b2 7073 01 64 ff 31"; // CON PUT /ps/d "1"
  send(put);
  await eventually("RST, RST, ACK", () => peer.received.length >= 3);
  send(put);
  send(put);
  await eventually("the ACK twice more", () => peer.received.length >= 5);
  send("50 03 0005 b2 7073 01 65 ff 32"); // NON PUT /ps/e "2"
  send("50 03 0005 b2 7073 01 65 ff 32");
  send("40 00 0006");
  await eventually("the last ping's RST", () => peer.received.includes("70000006"));
  assert.deepEqual(peer.received.slice(0, 5), ["70000002", "70000003", "62440004abcd", "62440004abcd", "62440004abcd"]);
  assert.equal(peer.received.length, 7, `one answer to the NON, and the RST: ${peer.received}`);
  assert.match(peer.received[5] ?? "", /^5044....$/);
  const messages = await subscriber.take(2);
  assert.deepEqual(
    messages.map(({ topic }) => topic),
    ["d", "e"],
  );
  assert.equal(await gateway.end(), 0);
});
