/**
 * The same password and ACL files under Debian's mosquitto and under ours: every user tries every topic both ways, and
 * both must come to the same answer.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before, type TestContext } from "node:test";
import mqtt from "mqtt";
import { Counters } from "../../../src/base/counters.ts";
import { FileAuthority } from "../../../src/core/authority.ts";
import { hashLike, parsePasswordFile, passwordLine } from "../../../src/core/password-file.ts";
import { peerPath, requirePeer } from "../../support/peers.ts";

const skip = requirePeer("mosquitto", "mosquitto_passwd");

const ACL = `# anonymous
topic read public/#
topic readwrite lobby
topic deny public/hidden
topic $other/x

user alice
topic alice/#
topic deny alice/secret/#
topic read shared/+/state
topic write log
topic  read   two  words

# a second section of the same user adds to the first
user bob
topic read bob
user alice
topic more/alice

user with space
topic space

pattern write devices/%c/#
pattern read homes/%u/+
pattern p/%u-%c
pattern deny devices/c-bob/locked
pattern read +/deep/#
`;

const TOPICS = [
  "public/a",
  "public",
  "public/hidden",
  "lobby",
  "lobby/x",
  "$other/x",
  "alice",
  "alice/a/b",
  "alice/secret",
  "alice/secret/x",
  "shared/1/state",
  "shared//state",
  "shared/1/2/state",
  "log",
  "two  words",
  "bob",
  "more/alice",
  "space",
  "devices/c-alice/x",
  "devices/c-alice",
  "devices/c-bob/x",
  "devices/c-bob/locked",
  "devices/c-anonymous/x",
  "homes/alice/x",
  "homes/alice/x/y",
  "homes/bob/x",
  "homes//x",
  "p/alice-c-alice",
  "p/-c-anonymous",
  "x/deep",
  "x/deep/er",
  "$x/deep",
  "nowhere",
];

const USERS = ["", "alice", "bob", "with space"];
const PASSWORD = "secret";

let directory = "";
let broker: ChildProcess;
let port = 0;

before(async () => {
  if (skip !== false) return;
  directory = mkdtempSync(join(tmpdir(), "sluice-authority-"));
  port = await freePort();
  const users = await Promise.all(USERS.slice(1).map((user) => passwordLine(user, Buffer.from(PASSWORD))));
  writeFileSync(
    join(directory, "passwd"),
    `${users.join("\n")}\n${await passwordLine("root", Buffer.from(PASSWORD))}\n`,
  );
  writeFileSync(join(directory, "acl"), `${ACL}\nuser root\ntopic #\ntopic $other/#\ntopic $x/#\n`);
  const config = `listener ${port} 127.0.0.1
allow_anonymous true
password_file ${directory}/passwd
acl_file ${directory}/acl
${process.geteuid?.() === 0 ? "user root\n" : ""}`;
  writeFileSync(join(directory, "mosquitto.conf"), config);
  broker = spawn(peerPath("mosquitto"), ["-c", join(directory, "mosquitto.conf")], { stdio: "ignore" });
});

after(async () => {
  if (skip !== false) return;
  const ended = once(broker, "exit");
  broker.kill();
  await ended;
  rmSync(directory, { recursive: true });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function connect(t: TestContext, user: string, clientId: string): Promise<mqtt.MqttClient> {
  const credentials = user === "" ? {} : { username: user, password: PASSWORD };
  const url = `mqtt://127.0.0.1:${port}`;
  const client = await mqtt.connectAsync(url, { protocolVersion: 5, clientId, reconnectPeriod: 50, ...credentials });
  t.after(() => client.end(true));
  return client;
}

test("the same answers as mosquitto for every user, topic and direction", { skip }, async (t) => {
  const authority = new FileAuthority(new Counters());
  const read = (file: string) => ({ text: readFileSync(join(directory, file), "utf8"), file });
  assert.deepEqual(authority.reload({ anonymous: "always", passwords: read("passwd"), acl: read("acl") }), []);

  const root = await connect(t, "root", "root");
  for (const user of USERS) {
    const clientId = `c-${user === "" ? "anonymous" : user}`;
    const client = await connect(t, user, clientId);
    const received = new Set<string>();
    client.on("message", (topic) => received.add(topic));
    await client.subscribeAsync(["#", "$other/x", "$x/#"]);
    for (const topic of TOPICS) await root.publishAsync(topic, "x", { qos: 1 });
    // Whatever was to come has come when this is answered.
    await client.subscribeAsync("end");
    const principal = { name: user, clientId };
    for (const topic of TOPICS) {
      assert.equal(authority.mayRead(principal, topic), received.has(topic), `${user || "anonymous"} reads ${topic}`);
    }
    for (const topic of TOPICS) {
      const accepted = await client.publishAsync(topic, "x", { qos: 1 }).then(
        () => true,
        () => false,
      );
      assert.equal(authority.mayPublish(principal, topic), accepted, `${user || "anonymous"} writes ${topic}`);
    }
  }
});

for (const kind of ["sha512", "sha512-pbkdf2"]) {
  test(`a hash by mosquitto_passwd -H ${kind} is verified`, { skip }, async () => {
    const file = join(directory, kind);
    writeFileSync(file, "");
    const run = spawnSync(peerPath("mosquitto_passwd"), ["-H", kind, "-b", file, "carol", "pässword"]);
    assert.equal(run.status, 0, String(run.stderr));
    const record = parsePasswordFile(readFileSync(file, "utf8"), file, []).get("carol")?.password;
    assert.ok(record != null);
    assert.deepEqual(await hashLike(record, Buffer.from("pässword")), record.hash);
  });
}
