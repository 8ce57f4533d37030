// Who comes in and what they may, for others' MQTT clients: TLS with client certificates, WebSocket, unix sockets,
// passwords in Mosquitto's and our own hand, access lists, and anonymous clients on every kind of listener.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { connectAsync, type IClientOptions } from "mqtt";
import { WebSocket } from "ws";
import { type CertificatePaths, makeCertificates } from "../../scripts/demo/certificates.ts";
import { ask } from "../support/coap-peers.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { CONNACK, connect, PUBACK, publish, readSuback, subscribe, type Version } from "../support/mqtt-packets.ts";
import { mosquittoPub, mosquittoSub, Paho } from "../support/mqtt-programs.ts";
import { peerPath, requirePeer, requirePython } from "../support/peers.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";

const PEERS = { skip: requirePeer("mosquitto_pub", "mosquitto_passwd") || requirePython("paho.mqtt.client") };
const MQTT = { type: "mqtt", bind: "127.0.0.1:0" };

async function startGateway(folder: string, config: Record<string, unknown>): Promise<GatewayProcess> {
  const gateway = new GatewayProcess(folder, config);
  await gateway.start();
  return gateway;
}

/** The reason in the CONNACK; -1 = closed without one. */
async function connackOf(port: number, version: Version, user?: string, password?: string): Promise<number> {
  using raw = await RawMqtt.open(port);
  const login = { ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { password }) };
  raw.send(connect({ version, clientId: "asks", ...login }));
  const answer = await raw.next().catch(() => null);
  return answer?.type === CONNACK ? (answer.body[1] as number) : -1;
}

test("TLS with client certificates: the Common Name is the user, as the access list knows it", PEERS, async () => {
  using folder = temporaryFolder();
  const { ca, issued } = await makeCertificates(join(folder.path, "pki"), [
    { name: "gateway", usage: "server" },
    { name: "pump-7", usage: "client" },
    { name: "valve-3", usage: "client" },
  ]);
  const [server, pump, valve] = issued as [CertificatePaths, CertificatePaths, CertificatePaths];
  const foreign = await makeCertificates(join(folder.path, "foreign"), [{ name: "pump-7", usage: "client" }]);
  const stranger = foreign.issued[0] as CertificatePaths;
  const acl = join(folder.path, "acl");
  writeFileSync(
    acl,
    "pattern readwrite devices/%u/#\nuser pump-7\ntopic read orders/#\nuser valve-3\ntopic write orders/#\n",
  );
  await using gateway = await startGateway(folder.path, {
    listeners: [{ ...MQTT, tls: { cert: server.cert, key: server.key, client_ca: ca } }],
    auth: { acl_file: acl },
  });
  const port = gateway.port();
  const tls = ({ cert, key }: CertificatePaths) => ["-h", "localhost", "--cafile", ca, "--cert", cert, "--key", key];

  await using sub = await mosquittoSub(port, ...tls(pump), "-t", "#", "-q", "1");
  const send = (who: CertificatePaths, topic: string, ...args: string[]) =>
    mosquittoPub(port, ...tls(who), "-t", topic, "-m", "x", "-q", "1", ...args);
  assert.equal((await send(pump, "devices/pump-7/a")).code, 0);
  assert.equal((await send(valve, "orders/1")).code, 0);
  assert.match((await send(pump, "orders/2", "-V", "mqttv5")).output, /Publish .* failed: Not authorized/);
  assert.match((await send(valve, "devices/pump-7/b", "-V", "mqttv5")).output, /Not authorized/);
  assert.equal((await send(valve, "devices/valve-3/own")).code, 0); // pump-7 may not read it
  assert.equal((await send(valve, "orders/end")).code, 0);
  assert.deepEqual(
    (await sub.take(3)).map(({ topic }) => topic),
    ["devices/pump-7/a", "orders/1", "orders/end"],
  );
  // A user name does not make pump-7 somebody else.
  assert.match((await send(pump, "orders/3", "-V", "mqttv5", "-u", "valve-3", "-P", "x")).output, /Not authorized/);

  const paho = await Paho.start({ id: "tls", host: "localhost", port, version: 4, ca, ...valve });
  assert.equal(paho.code, 0);
  await paho.publish("orders/4", "from paho", 1);
  await paho.leave();
  const files = { ca: readFileSync(ca), cert: readFileSync(valve.cert), key: readFileSync(valve.key) };
  const js = await connectAsync({ protocol: "mqtts", host: "localhost", port, reconnectPeriod: 0, ...files });
  await js.publishAsync("orders/5", "from MQTT.js", { qos: 1 });
  await js.endAsync();
  assert.deepEqual(
    (await sub.take(2)).map(({ payload }) => payload),
    ["from paho", "from MQTT.js"],
  );

  const without = await mosquittoPub(port, "-h", "localhost", "--cafile", ca, "-t", "a", "-m", "x");
  assert.notEqual(without.code, 0, "no certificate");
  assert.notEqual((await send(stranger, "devices/pump-7/a")).code, 0, "a certificate of a foreign authority");
  assert.equal(sub.messages.length, 0);
});

test("a certificate renewed on disk is taken over by SIGHUP; connections stay", PEERS, async () => {
  using folder = temporaryFolder();
  const pki = join(folder.path, "pki");
  const first = await makeCertificates(pki, [{ name: "gateway", usage: "server" }]);
  const { cert, key } = first.issued[0] as CertificatePaths;
  const oldCa = readFileSync(first.ca);
  await using gateway = await startGateway(folder.path, { listeners: [{ ...MQTT, tls: { cert, key } }] });
  const options: IClientOptions = { protocol: "mqtts", host: "localhost", port: gateway.port(), reconnectPeriod: 0 };
  const stays = await connectAsync({ ...options, ca: oldCa });
  const { ca } = await makeCertificates(pki, [{ name: "gateway", usage: "server" }]); // another authority, same paths
  gateway.signal("SIGHUP");
  const renewed = async (): Promise<boolean> => {
    const { code } = await mosquittoPub(gateway.port(), "-h", "localhost", "--cafile", ca, "-t", "a", "-m", "x");
    return code === 0;
  };
  await eventually("the new certificate is shown", renewed);
  assert.doesNotMatch(gateway.stderr, /reload-refused/);
  await stays.publishAsync("a", "still here", { qos: 1 });
  await stays.endAsync();
  await assert.rejects(connectAsync({ ...options, ca: oldCa }));
});

test(
  "a reload that is refused for one listener's key leaves the certificates of the others as they were",
  PEERS,
  async () => {
    using folder = temporaryFolder();
    const pki = join(folder.path, "pki");
    const names = [
      { name: "gateway", usage: "server" },
      { name: "other", usage: "server" },
    ] as const;
    const first = await makeCertificates(pki, [...names]);
    const [one, two] = first.issued as [CertificatePaths, CertificatePaths];
    const oldCa = readFileSync(first.ca);
    const tls = ({ cert, key }: CertificatePaths) => ({ ...MQTT, tls: { cert, key } });
    await using gateway = await startGateway(folder.path, { listeners: [tls(one), tls(two)] });
    const options: IClientOptions = { protocol: "mqtts", host: "localhost", port: gateway.port(), reconnectPeriod: 0 };
    const { ca } = await makeCertificates(pki, [...names]);
    const key = readFileSync(two.key);
    writeFileSync(two.key, readFileSync(one.key));
    gateway.signal("SIGHUP");
    await eventually("the refusal", () => gateway.stderr.includes("reload-refused"));
    await (await connectAsync({ ...options, ca: oldCa })).endAsync();
    writeFileSync(two.key, key);
    gateway.signal("SIGHUP");
    await eventually("the reload", () => / reloaded /.test(gateway.stderr));
    await (await connectAsync({ ...options, ca: readFileSync(ca) })).endAsync();
  },
);

test("WebSocket, plain and over TLS: MQTT.js and paho; path, subprotocol and origin are looked at", PEERS, async () => {
  using folder = temporaryFolder();
  const { ca, issued } = await makeCertificates(join(folder.path, "pki"), [{ name: "gateway", usage: "server" }]);
  const { cert, key } = issued[0] as CertificatePaths;
  await using gateway = await startGateway(folder.path, {
    listeners: [
      { type: "ws", bind: "127.0.0.1:0" },
      { type: "ws", bind: "127.0.0.1:0", path: "/other", tls: { cert, key } },
      { type: "ws", bind: "127.0.0.1:0", origins: ["https://panel.local"] },
    ],
  });
  const [plain, secure, guarded] = [gateway.port("ws"), gateway.port("ws", 1), gateway.port("ws", 2)];
  await using paho = await Paho.start({ id: "ws", port: plain, version: 4, transport: "websockets" });
  assert.equal(paho.code, 0);
  await paho.subscribe("w/#", 2);
  for (const version of [4, 5] as const) {
    const js = await connectAsync(`ws://127.0.0.1:${plain}/mqtt`, { protocolVersion: version, reconnectPeriod: 0 });
    for (const qos of [0, 1, 2] as const) await js.publishAsync("w/1", `${qos}`, { qos });
    assert.deepEqual((await paho.take(3)).map(({ payload, qos }) => [payload, qos]).sort(), [
      ["0", 0],
      ["1", 1],
      ["2", 2],
    ]);
    await js.endAsync();
  }
  const wss = await connectAsync(`wss://localhost:${secure}/other`, { ca: readFileSync(ca), reconnectPeriod: 0 });
  await wss.publishAsync("w/2", "x".repeat(100_000), { qos: 1 });
  assert.equal((await paho.take(1))[0]?.payload.length, 100_000);
  await wss.endAsync();

  const upgrade = async (path: string, protocols: string[], origin?: string): Promise<number | string> => {
    const ws = new WebSocket(`ws://127.0.0.1:${guarded}${path}`, protocols, origin === undefined ? {} : { origin });
    const opened = once(ws, "open").then(() => ws.protocol);
    const refused = once(ws, "unexpected-response").then(([, response]) => response.statusCode as number);
    refused.catch(() => {});
    ws.on("error", () => {});
    try {
      return await Promise.race([opened, refused]);
    } finally {
      ws.terminate();
    }
  };
  assert.equal(await upgrade("/mqtt", ["mqtt"]), "mqtt");
  assert.equal(await upgrade("/mqtt", ["mqttv3.1", "mqtt"], "https://panel.local"), "mqtt");
  assert.equal(await upgrade("/mqtt", ["mqtt"], "https://evil.example"), 403);
  assert.equal(await upgrade("/elsewhere", ["mqtt"]), 404);
  assert.equal(await upgrade("/mqtt", ["soap"]), 400);
  assert.equal((await fetch(`http://127.0.0.1:${plain}/mqtt`)).status, 426);
});

test("a unix socket: mode as configured, its peers count as loopback", PEERS, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "mqtt.sock");
  await using gateway = await startGateway(folder.path, {
    listeners: [{ type: "mqtt", bind: `unix:${path}`, mode: "0600" }],
    auth: { anonymous: "loopback" },
  });
  await using sub = await mosquittoSub(0, "--unix", path, "-t", "u", "-q", "1");
  assert.equal((await mosquittoPub(0, "--unix", path, "-t", "u", "-m", "through a file", "-q", "1")).code, 0);
  assert.equal((await sub.take(1))[0]?.payload, "through a file");
  const { stdout } = await promisify(execFile)("stat", ["-c", "%a", path]);
  assert.equal(stdout.trim(), "600");
  assert.equal(await gateway.end(), 0);
});

test(
  "passwords by mosquitto_passwd ($6$, $7$) and by sluice passwd; wrong ones are refused in the version's words",
  PEERS,
  async () => {
    using folder = temporaryFolder();
    const file = join(folder.path, "passwd");
    const mosquittoPasswd = (...args: string[]) => promisify(execFile)(peerPath("mosquitto_passwd"), args);
    await mosquittoPasswd("-c", "-b", file, "seven", "pass seven");
    await mosquittoPasswd("-H", "sha512", "-b", file, "six", "pass six");
    assert.equal((await sluice(["passwd", "--stdin", file, "ours"], "pass ours é\n")).code, 0);
    assert.match(readFileSync(file, "utf8"), /^seven:\$7\$[\s\S]*^six:\$6\$[\s\S]*^ours:\$7\$/m);
    await using gateway = await startGateway(folder.path, {
      listeners: [MQTT, { type: "ws", bind: "127.0.0.1:0" }],
      auth: { anonymous: "never", password_file: file },
    });
    const port = gateway.port();
    for (const [user, password] of [
      ["seven", "pass seven"],
      ["six", "pass six"],
      ["ours", "pass ours é"],
    ] as const) {
      const login = ["-u", user, "-P", password, "-t", "a", "-m", "x", "-q", "1"];
      assert.equal((await mosquittoPub(port, ...login)).code, 0, user);
      assert.equal((await mosquittoPub(port, ...login, "-V", "mqttv5")).code, 0, user);
      const paho = await Paho.start({ id: "paho", port, version: 4, user, password });
      assert.equal(paho.code, 0, user);
      await paho.leave();
      await (await connectAsync(`ws://127.0.0.1:${gateway.port("ws")}/mqtt`, { username: user, password })).endAsync();
      for (const [version, code] of [
        [4, 4],
        [5, 0x86],
      ] as const) {
        assert.equal(await connackOf(port, version, user, `${password} `), code);
        assert.equal(await connackOf(port, version, user), code);
        assert.equal(await connackOf(port, version, `${user}x`, password), code);
        assert.equal(await connackOf(port, version, "", password), code);
        assert.equal(await connackOf(port, version), version === 4 ? 5 : 0x87, "anonymous");
      }
    }
    // The hash is of this very user: another's password does not do.
    assert.equal(await connackOf(port, 4, "six", "pass seven"), 4);
    // mosquitto itself reads what we wrote.
    await mosquittoPasswd("-b", file, "ours", "pass ours, changed");
    assert.match(readFileSync(file, "utf8"), /^ours:\$7\$/m);
  },
);

test("an access list with %u and %c: refused in words in 5.0, in silence before, and never delivered", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "passwd");
  const acl = join(folder.path, "acl");
  for (const user of ["ann", "bob"]) await sluice(["passwd", "--stdin", file, user], `${user}\n`);
  writeFileSync(
    acl,
    [
      "topic read public/#", // for anonymous clients
      "user ann",
      "topic readwrite shared/#",
      "topic deny shared/secret",
      "pattern readwrite u/%u/#",
      "pattern write c/%c/#",
      "",
    ].join("\n"),
  );
  await using gateway = await startGateway(folder.path, {
    listeners: [MQTT],
    auth: { anonymous: "loopback", password_file: file, acl_file: acl },
  });
  const port = gateway.port();
  for (const version of [4, 5] as const) {
    using ann = await RawMqtt.connected(port, { version, clientId: "dev1", user: "ann", password: "ann" });
    const may = async (topic: string): Promise<boolean> => {
      ann.send(publish(version, { topic, payload: "x", qos: 1, packetId: 9 }));
      const { type, body } = await ann.next();
      assert.equal(type, PUBACK);
      return (body[2] ?? 0) < 0x80;
    };
    const results = [];
    for (const topic of ["shared/1", "shared/secret", "u/ann/1", "u/bob/1", "c/dev1/1", "c/dev2/1", "public/1"]) {
      results.push(await may(topic));
    }
    // 3.1.1 has no word for it: acknowledged, and thrown away.
    assert.deepEqual(results, version === 5 ? [true, false, true, false, true, false, false] : Array(7).fill(true));

    ann.send(subscribe(version, 2, ["shared/#", 1], ["shared/secret", 1], ["u/bob/1", 1], ["c/dev1/1", 1], ["#", 1]));
    const refusal = version === 5 ? 0x87 : 0x80;
    assert.deepEqual(readSuback(version, await ann.next()), [1, refusal, refusal, refusal, 1]);
  }

  // Whatever they subscribed to, they get only what they may read.
  await using ann = await MqttCollector.open(port, "#", { clientId: "dev1", username: "ann", password: "ann" });
  await using bob = await MqttCollector.open(port, "#", { clientId: "dev2", username: "bob", password: "bob" });
  await using nobody = await MqttCollector.open(port, "#", { clientId: "dev3" });
  const say = (who: MqttCollector, topic: string) => who.client.publishAsync(topic, "x", { qos: 1 }).catch(() => {});
  await say(ann, "shared/secret");
  await say(ann, "shared/1");
  await say(ann, "c/dev1/1"); // write only: nobody reads it
  await say(bob, "u/bob/1");
  await say(bob, "u/ann/2");
  await say(nobody, "public/1"); // read only
  await say(ann, "u/ann/end");
  await say(bob, "u/bob/end");
  const topics = async (who: MqttCollector, count: number) => (await who.take(count)).map(({ topic }) => topic);
  assert.deepEqual(await topics(ann, 2), ["shared/1", "u/ann/end"]);
  assert.deepEqual(await topics(bob, 2), ["u/bob/1", "u/bob/end"]);
  assert.deepEqual(nobody.payloads, []);
});

test("anonymous: by listener and by default, on MQTT, WebSocket, HTTP and CoAP", async () => {
  using folder = temporaryFolder();
  const types = ["mqtt", "ws", "http", "coap"] as const;
  await using gateway = await startGateway(folder.path, {
    listeners: types.flatMap((type) => [
      { type, bind: "127.0.0.1:0" },
      { type, bind: "127.0.0.1:0", anonymous: "loopback" },
      { type, bind: "127.0.0.1:0", anonymous: "always" },
    ]),
    auth: { anonymous: "never" },
    memory_limit: "64MiB",
  });
  for (const [nth, allowed] of [false, true, true].entries()) {
    for (const version of [4, 5] as const) {
      const reason = await connackOf(gateway.port("mqtt", nth), version);
      assert.equal(reason, allowed ? 0 : version === 5 ? 0x87 : 5, `mqtt ${nth}`);
      const url = `ws://127.0.0.1:${gateway.port("ws", nth)}/mqtt`;
      const ws = connectAsync(url, { protocolVersion: version, reconnectPeriod: 0 }, false);
      if (allowed) await (await ws).endAsync();
      else await assert.rejects(ws, `ws ${nth}`);
    }
    const put = await fetch(`http://127.0.0.1:${gateway.port("http", nth)}/topics/a`, { method: "PUT", body: "x" });
    assert.equal(put.status, allowed ? 204 : 401, `http ${nth}`);
    assert.equal(await coapPut(gateway.port("coap", nth)), allowed ? "2.04" : "4.01", `coap ${nth}`);
  }
});

async function coapPut(port: number): Promise<string> {
  return (await ask({ port }, "/ps/a", { method: "PUT", payload: "x" })).code;
}
