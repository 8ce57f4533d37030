import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, lstatSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { hashLike, parsePasswordFile } from "../../../src/core/password-file.ts";
import { SCRAM_OK, ScramClient, ScramServer } from "../../../src/core/scram.ts";
import { temporaryFolder } from "../../support/gateway-process.ts";
import { Mosquitto } from "../../support/mosquitto.ts";
import { connect } from "../../support/mqtt-packets.ts";
import { peerPath, requirePeer } from "../../support/peers.ts";
import { RawMqtt } from "../../support/raw-mqtt.ts";
import { sluice } from "./sluice.ts";

async function verifies(file: string, user: string, password: string): Promise<boolean> {
  const record = parsePasswordFile(readFileSync(file, "utf8"), file, []).get(user)?.password;
  return record != null && (await hashLike(record, Buffer.from(password))).equals(record.hash);
}

test("adds, changes and deletes a user and leaves the rest of the file as it is", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "passwd");
  assert.deepEqual(await sluice(["passwd", file, "anna", "--stdin"], "first\n"), {
    code: 0,
    stdout: "anna added\n",
    stderr: "",
  });
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.ok(await verifies(file, "anna", "first"));

  writeFileSync(file, `# ours\nzoe:odd line\n${readFileSync(file, "utf8")}\nannabel:x\n`);
  const changed = await sluice(
    ["passwd", file, "anna", "--stdin", "--iterations", "7", "--json"],
    "pass: wörd\r\nrest",
  );
  assert.deepEqual(JSON.parse(changed.stdout), { event: "changed", file, user: "anna" });
  assert.ok(await verifies(file, "anna", "pass: wörd"));
  assert.match(
    readFileSync(file, "utf8"),
    /^# ours\nzoe:odd line\nanna:\$7\$7\$[^\n]+\nanna:\$scram-sha-256\$4096\$[^\n]+\n\nannabel:x\n$/,
  );

  assert.equal((await sluice(["passwd", file, "anna", "-D"])).stdout, "anna deleted\n");
  assert.equal(readFileSync(file, "utf8"), "# ours\nzoe:odd line\n\nannabel:x\n");
  const gone = await sluice(["passwd", file, "anna", "-D"]);
  assert.deepEqual([gone.code, gone.stderr], [1, `sluice: ${file} has no user anna\n`]);
  assert.deepEqual(readdirSync(folder.path), ["passwd"], "nothing temporary stays");
});

test("what it writes proves a login by SCRAM, and mosquitto still reads the file", {
  skip: requirePeer("mosquitto"),
}, async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "passwd");
  for (const user of ["anna", "zoe"]) await sluice(["passwd", file, user, "--stdin", "--iterations", "5000"], "wörd\n");
  const users = parsePasswordFile(readFileSync(file, "utf8"), file, []);
  const client = new ScramClient("anna", "wörd", "n0nce");
  const server = new ScramServer();
  assert.equal(
    server.first(Buffer.from(client.first), "ours", (user) => users.get(user)?.scram ?? null),
    SCRAM_OK,
  );
  assert.match(server.answer, /,i=5000$/);
  assert.equal(server.final(Buffer.from(client.final(server.answer, 5000) as string)), SCRAM_OK);
  assert.ok(client.verifies(server.answer));

  await using broker = await Mosquitto.start(folder.path, [`password_file ${file}`, "allow_anonymous false"]);
  for (const [user, password, refused] of [
    ["anna", "wörd", false],
    ["zoe", "wörd", false],
    ["zoe", "word", true],
  ] as const) {
    using raw = await RawMqtt.open(broker.port);
    raw.send(connect({ version: 4, clientId: user, user, password }));
    assert.equal((await raw.next()).body[1] !== 0, refused, `${user} with ${password}`);
  }
});

test("keeps mode and links, but never lets the world read", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "real");
  const link = join(folder.path, "link");
  writeFileSync(file, "");
  chmodSync(file, 0o664);
  symlinkSync("real", link);
  assert.equal((await sluice(["passwd", link, "anna", "--stdin"], "x")).code, 0);
  assert.equal(lstatSync(link).isSymbolicLink(), true);
  assert.equal(statSync(file).mode & 0o777, 0o660);
  assert.ok(await verifies(file, "anna", "x"));
});

test("refuses an empty password, a huge one, and a folder that is not there", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "passwd");
  for (const input of ["", "\n", "x".repeat(1025), "a\tb"]) {
    assert.equal((await sluice(["passwd", file, "anna", "--stdin"], input)).code, 2);
  }
  assert.deepEqual(readdirSync(folder.path), []);
  const { code, stderr } = await sluice(["passwd", join(folder.path, "none/passwd"), "anna", "--stdin"], "x");
  assert.equal(code, 1);
  assert.match(stderr, /ENOENT/);
});

/** What a person at a terminal sees, and the exit code. `script` makes the terminal. */
async function atTerminal(args: string, typed: readonly string[]): Promise<{ code: number | null; screen: string }> {
  const main = join(import.meta.dirname, "../../../src/main.ts");
  const child = spawn(peerPath("script"), ["-qec", `${process.execPath} ${main} ${args}`, "/dev/null"], {
    stdio: ["pipe", "pipe", "ignore"],
    env: { ...process.env, NODE_OPTIONS: "", NODE_TEST_CONTEXT: "" },
  });
  let screen = "";
  const left = [...typed];
  child.stdout.on("data", (text: Buffer) => {
    screen += text;
    if (/: $/.test(screen)) child.stdin.write(left.shift() ?? "");
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, screen };
}

test("asks at a terminal, twice, without echo", { skip: requirePeer("script") }, async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "passwd");
  const good = await atTerminal(`passwd ${file} anna`, ["secreX\x7ft\r", "no\x15secret\r"]);
  assert.equal(good.code, 0, good.screen);
  assert.match(good.screen, /^Password for anna: \r?\nOnce more: \r?\nanna added\r?\n$/);
  assert.ok(await verifies(file, "anna", "secret"));
  const differ = await atTerminal(`passwd ${file} anna`, ["one\r", "two\r"]);
  assert.equal(differ.code, 2);
  assert.match(differ.screen, /the two passwords differ/);
  assert.equal((await atTerminal(`passwd ${file} anna`, ["\x03"])).code, 2);
  assert.ok(await verifies(file, "anna", "secret"), "unchanged");
});
