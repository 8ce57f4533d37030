// EMQX's connection mode against the running gateway: libcoap as its users have it, and a client that changes addresses.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { libcoap, libcoapBy } from "../support/coap-peers.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { RawCoap } from "../support/raw-coap.ts";

const CREDENTIALS = "clientid=123&username=valve&password=secret";

/** A gateway that lets in user "valve", whose topics are under valve/, and MQTT clients from loopback. */
async function startGateway(folder: string, heartbeat = "30s"): Promise<GatewayProcess> {
  const passwd = join(folder, "passwd");
  await sluice(["passwd", "--stdin", passwd, "valve"], "secret\n");
  writeFileSync(join(folder, "acl"), "topic read #\nuser valve\ntopic readwrite valve/#\n");
  const gateway = new GatewayProcess(folder, {
    listeners: [
      { type: "mqtt", bind: "127.0.0.1:0", anonymous: "loopback" },
      { type: "coap", bind: "127.0.0.1:0", heartbeat },
    ],
    auth: { anonymous: "never", password_file: passwd, acl_file: join(folder, "acl") },
  });
  await gateway.start();
  return gateway;
}

async function counterOf(gateway: GatewayProcess, name: string): Promise<number> {
  const { stdout } = await sluice(["status", "--json", "--data-dir", join(gateway.folder, "data")]);
  return (JSON.parse(stdout) as { counters: Record<string, number> }).counters[name] ?? 0;
}

/** The payload of libcoap's last answer. */
function payloadOf(output: string): string {
  return /c:2\.01 .*:: '(.*)'/.exec(output)?.[1] ?? "";
}

test("libcoap: a connection as EMQX's guide has it, each command from another port, with one key derivation", {
  skip: requirePeer("coap-client"),
}, async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  await using subscriber = await MqttCollector.open(gateway.port(), "#");

  assert.match(await libcoap(gateway, "/ps/valve/state", "-m", "post", "-e", "open"), /4\.01/);
  const wrong = await libcoap(
    gateway,
    "/mqtt/connection?clientid=123&username=valve&password=x",
    "-m",
    "post",
    "-e",
    "",
  );
  assert.match(wrong, /4\.01/);
  const token = payloadOf(await libcoap(gateway, `/mqtt/connection?${CREDENTIALS}`, "-m", "post", "-e", ""));
  assert.match(token, /^[A-Za-z0-9_-]{16}$/);
  const hashes = await counterOf(gateway, "auth.hashes");

  const who = `clientid=123&token=${token}`;
  const published = await libcoap(gateway, `/ps/valve/state?${who}&qos=1&retain=true`, "-m", "post", "-e", "open");
  assert.match(published, /c:2\.0[14]/);
  assert.deepEqual(
    (await subscriber.take(1)).map(({ topic, payload }) => [topic, payload]),
    [["valve/state", "open"]],
  );
  assert.match(await libcoap(gateway, `/ps/valve/state?${who}`), /c:2\.05 .*\n?[\s\S]*open/);
  assert.match(await libcoap(gateway, `/ps/pump/state?${who}`, "-m", "post", "-e", "x"), /4\.03/);
  assert.match(await libcoap(gateway, `/mqtt/connection?${who}`, "-m", "put", "-e", ""), /c:2\.04/);
  assert.equal(await counterOf(gateway, "auth.hashes"), hashes, "no key was derived for any of it");
  assert.equal(await counterOf(gateway, "coap.connections"), 1);

  assert.match(await libcoap(gateway, `/mqtt/connection?${who}`, "-m", "delete"), /c:2\.02/);
  assert.match(await libcoap(gateway, `/ps/valve/state?${who}`, "-m", "post", "-e", "shut"), /4\.01/);
  assert.equal(await counterOf(gateway, "coap.connections"), 0);
});

test("a client behind a NAT that changes its address and port keeps its connection; without heartbeats it ends", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path, "1s");
  using home = await RawCoap.open(gateway);
  const opened = await home.request(`/mqtt/connection?${CREDENTIALS}`, { code: "POST" });
  assert.equal(opened.code, "2.01");
  const who = `clientid=123&token=${opened.payload}`;
  // More than two heartbeats in all, each half of one from another address.
  for (let i = 2; i < 7; i++) {
    const since = performance.now();
    await eventually("half a heartbeat passes", () => performance.now() - since > 500);
    using elsewhere = await RawCoap.open(gateway, { from: `127.0.0.${i}` });
    assert.equal((await elsewhere.request(`/mqtt/connection?${who}`, { code: "PUT" })).code, "2.04");
    assert.equal((await elsewhere.put(`/ps/valve/state?${who}`, String(i))).code, "2.04");
  }
  await eventually("the connection ends by silence", async () => (await counterOf(gateway, "coap.connections")) === 0);
  assert.equal(await counterOf(gateway, "coap.connections.expired"), 1);
  assert.equal((await home.request(`/mqtt/connection?${who}`, { code: "PUT" })).code, "4.01");
});

test("a second login of the client takes over; after a restart its token is worth nothing", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  using first = await RawCoap.open(gateway);
  using second = await RawCoap.open(gateway);
  const connect = async (client: RawCoap): Promise<string> => {
    const { payload } = await client.request(`/mqtt/connection?${CREDENTIALS}`, { code: "POST" });
    return `/mqtt/connection?clientid=123&token=${payload}`;
  };
  const old = await connect(first);
  const { answer, observed } = await first.observe(`/ps/valve/state${old.slice(old.indexOf("?"))}`);
  assert.deepEqual([answer.code, answer.options.has("Observe")], ["2.05", true]);
  const current = await connect(second);
  await eventually("the observation ends", () => observed.notifications.at(-1)?.code === "4.01");
  assert.equal((await first.request(old, { code: "PUT" })).code, "4.01");
  assert.equal((await second.request(current, { code: "PUT" })).code, "2.04");
  assert.equal(await gateway.end(), 0);
  await gateway.start();
  using third = await RawCoap.open(gateway);
  assert.equal((await third.request(current, { code: "PUT" })).code, "4.01");
  assert.equal((await third.request(`/mqtt/connection?${CREDENTIALS}`, { code: "POST" })).code, "2.01");
});

test("libcoap over DTLS: the token is the identity's that opened the connection, and worth nothing without it", {
  skip: requirePeer("coap-client-openssl"),
}, async () => {
  using folder = temporaryFolder();
  const psk = join(folder.path, "psk");
  writeFileSync(psk, "valve:0123456789abcdef\npump:fedcba9876543210\n");
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [
      { type: "coap", bind: "127.0.0.1:0" },
      { type: "coap", bind: "127.0.0.1:0", dtls: { psk_file: psk } },
    ],
  });
  await gateway.start();
  const secured = { host: "127.0.0.1", port: gateway.port("coap", 1) };
  const by = (identity: string, key: string, path: string, method: string): Promise<string> =>
    libcoapBy(
      { program: "coap-client-openssl", scheme: "coaps" },
      secured,
      path,
      ...["-u", identity, "-k", key, "-m", method, "-e", ""],
    );
  const [valve, pump] = [
    ["valve", "0123456789abcdef"],
    ["pump", "fedcba9876543210"],
  ] as const;
  const token = payloadOf(await by(...valve, "/mqtt/connection?clientid=d1", "post"));
  assert.match(token, /^[A-Za-z0-9_-]{16}$/);
  const path = `/mqtt/connection?clientid=d1&token=${token}`;
  assert.match(await by(...valve, path, "put"), /c:2\.04/);
  assert.match(await by(...pump, path, "put"), /4\.01/);
  assert.match(await libcoap(gateway, path, "-m", "put", "-e", ""), /4\.01/);
  assert.match(await by(...pump, "/mqtt/connection?clientid=d1", "post"), /4\.03/);
  assert.match(await by(...valve, path, "delete"), /c:2\.02/);
});
