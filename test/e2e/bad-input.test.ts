// Mistakes of the operator: each gets an answer that says what is wrong and where, and the right exit code; a running
// gateway loses nothing by them.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { makeCertificates } from "../../scripts/demo/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector, persistent } from "../support/mqtt-collector.ts";
import { connect } from "../support/mqtt-packets.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";

const MQTT = { type: "mqtt", bind: "127.0.0.1:0" };

/** Runs a gateway that is not to start. */
async function refused(folder: string, config: string | Record<string, unknown>) {
  const file = join(folder, "sluice.yaml");
  const whole = typeof config === "string" ? config : { data_dir: join(folder, "data"), listeners: [MQTT], ...config };
  writeFileSync(file, typeof whole === "string" ? whole : JSON.stringify(whole, null, 1));
  const { code, stdout, stderr } = await sluice(["run", "--config", file]);
  assert.doesNotMatch(stdout, /^ready/m);
  assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
  return { code, text: stdout + stderr };
}

/** Whether a login is let in. */
async function login(port: number, user: string, password: string): Promise<boolean> {
  using raw = await RawMqtt.open(port);
  raw.send(connect({ version: 4, clientId: `as-${user}`, user, password }));
  return (await raw.next()).body[1] === 0;
}

test("a configuration with three mistakes: three complaints with lines and paths, exit code 2", async () => {
  using folder = temporaryFolder();
  const text = [
    `data_dir: ${join(folder.path, "data")}`,
    "listeners:",
    '  - {type: mqtt, bind: "127.0.0.1:99999"}',
    "limits: {max_connectoins: 5, inflight: 0}",
    "",
  ].join("\n");
  const run = await refused(folder.path, text);
  assert.equal(run.code, 2);
  const lines = run.text.trim().split("\n");
  assert.equal(lines.length, 3, run.text);
  assert.match(lines[0] ?? "", /sluice\.yaml:3: listeners\[0\]\.bind: .*99999/);
  assert.match(run.text, /sluice\.yaml:4: limits\.max_connectoins: unknown key; did you mean max_connections\?/);
  assert.match(run.text, /sluice\.yaml:4: limits\.inflight: 0 is out of range \(0 does not mean unlimited\)/);

  const check = await sluice(["check", "--json", "--config", join(folder.path, "sluice.yaml")]);
  assert.equal(check.code, 2);
  const { complaints } = JSON.parse(check.stdout) as { complaints: { path: string }[] };
  assert.deepEqual(complaints.map(({ path }) => path).sort(), [
    "limits.inflight",
    "limits.max_connectoins",
    "listeners[0].bind",
  ]);
});

test("text that is no YAML, a file that is not there: exit code 2 and the place", async () => {
  using folder = temporaryFolder();
  const broken = await refused(folder.path, "listeners: [\n  {type: mqtt\nnode: x\n");
  assert.equal(broken.code, 2);
  assert.match(broken.text, /sluice\.yaml:\d+: /);
  const absent = await sluice(["run", "--config", join(folder.path, "nowhere.yaml")]);
  assert.equal(absent.code, 2);
  assert.match(absent.stdout + absent.stderr, /nowhere\.yaml.*no such file/);
});

test("a port in use ends with 1 and names the listener, whatever its type", async () => {
  using folder = temporaryFolder();
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const bind = `127.0.0.1:${(server.address() as { port: number }).port}`;
  await using first = new GatewayProcess(folder.path, { listeners: [{ type: "coap", bind: "127.0.0.1:0" }] });
  await first.start();
  const taken = [
    [{ type: "mqtt", bind }, new RegExp(`listener 1 \\(mqtt ${bind}\\).*in use`)],
    [{ type: "ws", bind }, new RegExp(`listener 1 \\(ws ${bind}\\).*in use`)],
    [{ type: "http", bind }, new RegExp(`listener 1 \\(http ${bind}\\).*in use`)],
    [{ type: "coap", bind: `127.0.0.1:${first.port("coap")}` }, /listener 1 \(coap 127\.0\.0\.1:\d+\).*in use/],
  ] as const;
  await Promise.all(
    taken.map(async ([listener, words]) => {
      using own = temporaryFolder();
      const { code, text } = await refused(own.path, { listeners: [MQTT, listener] });
      assert.equal(code, 1, text);
      assert.match(text, words);
    }),
  );
  server.close();
});

test("certificates: absent, unreadable, no certificate, and a key of another: complaints with path and file", async () => {
  using folder = temporaryFolder();
  const { issued } = await makeCertificates(folder.path, [
    { name: "one", usage: "server" },
    { name: "two", usage: "server" },
  ]);
  const [one, two] = issued as [{ cert: string; key: string }, { cert: string; key: string }];
  const broken = join(folder.path, "broken.pem");
  writeFileSync(broken, "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
  const folderAsKey = join(folder.path, "folder.key");
  mkdirSync(folderAsKey);
  const cases: [tls: Record<string, string>, words: RegExp][] = [
    [{ cert: one.cert, key: join(folder.path, "absent.key") }, /tls\.key: .*absent\.key.*no such file/],
    [{ cert: one.cert, key: folderAsKey }, /tls\.key: .*folder\.key/],
    [{ cert: broken, key: one.key }, /tls\.cert: .*broken\.pem/],
    [{ cert: one.cert, key: two.key }, /tls\.key: .*(belong|match|another|other)/],
    [{ cert: one.cert, key: one.key, client_ca: one.key }, /tls\.client_ca: /],
  ];
  await Promise.all(
    cases.map(async ([tls, words]) => {
      using own = temporaryFolder();
      const { code, text } = await refused(own.path, { listeners: [{ ...MQTT, tls }] });
      assert.equal(code, 2, text);
      assert.match(text, words);
      assert.match(text, /listeners\[0\]\.tls/);
    }),
  );
});

test("SIGHUP: a broken file keeps what holds and says why, a good one is taken over, and a restart is asked for by key", async () => {
  using folder = temporaryFolder();
  const passwords = join(folder.path, "passwd");
  const acl = join(folder.path, "acl");
  await sluice(["passwd", "--stdin", passwords, "ann"], "first\n");
  writeFileSync(acl, "user ann\ntopic readwrite a/#\n");
  const config = {
    listeners: [MQTT],
    auth: { anonymous: "never", password_file: passwords, acl_file: acl },
    limits: { max_connections: 50 },
  };
  await using gateway = new GatewayProcess(folder.path, config);
  await gateway.start();
  const port = gateway.port();
  // This one stays through all of it.
  using witness = await RawMqtt.connected(port, { version: 4, clientId: "witness", user: "ann", password: "first" });
  const hangup = async (words: RegExp): Promise<void> => {
    const from = gateway.stderr.length;
    gateway.signal("SIGHUP");
    await eventually(`${words}\n${gateway.stderr}`, () => words.test(gateway.stderr.slice(from)));
  };
  const good = readFileSync(passwords, "utf8");

  writeFileSync(passwords, `${good}bob:$7$nonsense\n`);
  await hangup(/reload-refused .*passwd.*line=3/);
  assert.deepEqual([await login(port, "ann", "first"), await login(port, "bob", "x")], [true, false]);

  rmSync(passwords);
  await hangup(/reload-refused .*passwd.*no such file/);
  assert.equal(await login(port, "ann", "first"), true);

  writeFileSync(passwords, good);
  writeFileSync(acl, "user ann\ntopic sometimes a/#\n");
  await hangup(/reload-refused .*acl/);

  writeFileSync(gateway.configFile, "listeners: [");
  await hangup(/reload-refused .*sluice\.yaml/);
  assert.equal(await login(port, "ann", "first"), true);

  writeFileSync(acl, "user ann\ntopic readwrite b/#\n");
  await sluice(["passwd", "--stdin", passwords, "ann"], "second\n");
  gateway.configure({ ...config, limits: { max_connections: 60 }, node: "renamed" });
  await hangup(/restart-required .*node.*limits|restart-required .*limits.*node/);
  assert.deepEqual([await login(port, "ann", "first"), await login(port, "ann", "second")], [false, true]);
  assert.equal(witness.closed, false);
  await witness.subscribe(4, "b/x", 0);
});

test("a database of a newer version, and one that is not ours: exit code 1 and said so, the file left as it was", async () => {
  using folder = temporaryFolder();
  const gateway = new GatewayProcess(folder.path, { listeners: [MQTT] });
  await gateway.start();
  assert.equal(await gateway.end(), 0);
  const file = join(folder.path, "data", "sluice.db");
  const fingerprint = () => createHash("sha256").update(readFileSync(file)).digest("hex");

  const database = new Database(file);
  database.pragma("user_version = 99");
  database.close();
  const before = fingerprint();
  const newer = await refused(folder.path, {});
  assert.equal(newer.code, 1);
  assert.match(newer.text, /sluice\.db has schema version 99, written by a newer version/);
  assert.equal(fingerprint(), before);

  rmSync(file);
  const foreign = new Database(file);
  foreign.exec("CREATE TABLE bookmarks (url TEXT)");
  foreign.close();
  const other = await refused(folder.path, {});
  assert.equal(other.code, 1);
  assert.match(other.text, /sluice\.db/);
});

test("a second gateway on the same data_dir ends with 1 and names the pid; the first does not notice", async () => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, { listeners: [MQTT] });
  await gateway.start();
  await using client = await MqttCollector.open(gateway.port(), "#");
  using own = temporaryFolder();
  const second = await refused(own.path, { data_dir: join(folder.path, "data") });
  assert.equal(second.code, 1);
  assert.match(second.text, new RegExp(`in use by another gateway, pid ${gateway.pid}`));
  await client.client.publishAsync("a", "still here", { qos: 1 });
  assert.equal((await client.take(1))[0]?.payload, "still here");
  const { code } = await sluice(["status", "--data-dir", join(folder.path, "data")]);
  assert.equal(code, 0, "the control socket is the first one's");
});

test("a data_dir that cannot be written ends with 1 and names it", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "file");
  writeFileSync(file, "");
  chmodSync(file, 0o600);
  const { code, text } = await refused(folder.path, { data_dir: join(file, "data") });
  assert.equal(code, 1);
  assert.match(text, /file\/data/);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} ends with 0 and everything written: queue, retained values, also those of QoS 0`, async () => {
    using folder = temporaryFolder();
    // Nothing is due by itself within the test.
    await using gateway = new GatewayProcess(folder.path, { listeners: [MQTT], store: { commit_delay: "5s" } });
    await gateway.start();
    const session = await MqttCollector.open(gateway.port(), "queue/#", persistent("away"));
    await session.client.endAsync();
    const publisher = await MqttCollector.open(gateway.port(), "none");
    publisher.client.publish("state", "retained at QoS 0", { qos: 0, retain: true });
    const acknowledged = Promise.allSettled(
      [1, 2, 3].map((i) => publisher.client.publishAsync(`queue/${i}`, `${i}`, { qos: 1 })),
    );
    await publisher.client.subscribeAsync("flush"); // the gateway has read what came before
    assert.equal(await gateway.end(signal), 0);
    assert.match(gateway.stderr, /stopped/);
    publisher.client.end(true);
    await acknowledged;

    await gateway.start();
    const back = await MqttCollector.open(gateway.port(), "state", persistent("away"));
    const got = (await back.take(4)).map(({ payload }) => payload);
    assert.deepEqual(got.sort(), ["1", "2", "3", "retained at QoS 0"]);
    await back.client.endAsync(true);
  });
}
