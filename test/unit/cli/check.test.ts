import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { temporaryFolder } from "../../support/gateway-process.ts";
import { sluice } from "./sluice.ts";

const THREE_MISTAKES = `memory_limt: 16MiB
listeners:
  - {bind: "127.0.0.1"}
store: {sync: ful}
`;

test("three mistakes give three complaints and exit code 2, from check and from run", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "gw.yaml");
  writeFileSync(file, THREE_MISTAKES);
  const expected = [
    `${file}:1: memory_limt: unknown key; did you mean memory_limit?`,
    `${file}:3: listeners[0].bind: "127.0.0.1" has no port; write it like "0.0.0.0:1883", "[::]:1883" or "unix:/path"`,
    `${file}:4: store.sync: "ful" is not possible; did you mean full? possible: full, normal, off`,
  ];
  const checked = await sluice(["check", "--config", file]);
  assert.deepEqual([checked.code, checked.stdout.trimEnd().split("\n"), checked.stderr], [2, expected, ""]);
  const ran = await sluice(["run", "--config", file]);
  assert.deepEqual([ran.code, ran.stderr.trimEnd().split("\n"), ran.stdout], [2, expected, ""]);
  for (const verb of ["check", "run"]) {
    const { code, stdout } = await sluice([verb, "--config", file, "--json"]);
    assert.equal(code, 2);
    const { event, complaints } = JSON.parse(stdout);
    assert.equal(event, "complaints");
    assert.deepEqual(
      complaints.map(({ path, line }: { path: string; line: number }) => [path, line]),
      [
        ["memory_limt", 1],
        ["listeners[0].bind", 3],
        ["store.sync", 4],
      ],
    );
  }
});

test("a configuration that cannot be read is a complaint", async () => {
  for (const verb of ["check", "run"]) {
    const { code, stdout, stderr } = await sluice([verb, "--config", "/none/gw.yaml"]);
    assert.equal(code, 2);
    assert.equal(stdout + stderr, "/none/gw.yaml: cannot read /none/gw.yaml: no such file\n");
  }
});

test("bad lines in the password and ACL files are complaints with their own file and line", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "gw.yaml");
  writeFileSync(file, "auth: {password_file: passwd, acl_file: acl}\n");
  writeFileSync(join(folder.path, "passwd"), "# users\nanna:secret\n");
  writeFileSync(join(folder.path, "acl"), "topic read a\ntopic raed b\n");
  const { code, stdout } = await sluice(["check", "--config", file]);
  assert.equal(code, 2);
  assert.deepEqual(stdout.trimEnd().split("\n"), [
    `${join(folder.path, "passwd")}:2: holds a password that is not hashed; write it with: sluice passwd FILE USER`,
    `${join(folder.path, "acl")}:2: "raed" is no access; write: topic read|write|readwrite|deny FILTER`,
  ]);
});

test("the bill of the defaults fits, a line per owner", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "gw.yaml");
  writeFileSync(file, "listeners: [{type: mqtt}, {type: http}, {type: coap}]\n");
  const { code, stdout } = await sluice(["check", "--config", file]);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^total +\S+ \S+ +fits in memory_limit 16 MiB$/m);
  const bill = JSON.parse((await sluice(["check", "--config", file, "--json"])).stdout);
  assert.equal(bill.memoryLimitBytes, 16 * 2 ** 20);
  assert.equal(bill.fits, true);
  const sum = bill.lines.reduce((total: number, line: { bytes: number }) => total + line.bytes, 0);
  assert.equal(sum, bill.totalBytes);
  assert.equal(new Set(bill.lines.map((line: { owner: string }) => line.owner)).size, bill.lines.length);
});

test("polls that their bus has no time for are a note with numbers", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "gw.yaml");
  const points = Array.from({ length: 20 }, (_, i) => ({ address: 4 * i }));
  const modbus = { slaves: [{ groups: [{ interval: "500ms", points }] }] };
  const line = { port: "/dev/ttyS9", protocol: "modbus", baud: 9600, parity: "even", modbus };
  writeFileSync(file, JSON.stringify({ serial: [line] }));
  const { code, stdout } = await sluice(["check", "--config", file]);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^note: serial\[0\]\.modbus: 40 polls a second take 1048 ms of each second at 9600 baud/m);
  writeFileSync(file, JSON.stringify({ serial: [{ ...line, baud: 115_200 }] }));
  assert.doesNotMatch((await sluice(["check", "--config", file])).stdout, /polls a second/);
});

test("a transport of Modbus that most likely is not the other end's is a note", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "gw.yaml");
  const notes = async (port: string, transport: string): Promise<string[]> => {
    const modbus = { transport, slaves: [{ groups: [{ points: [{ address: 0 }] }] }] };
    writeFileSync(file, JSON.stringify({ serial: [{ port, protocol: "modbus", modbus }] }));
    const { code, stdout } = await sluice(["check", "--config", file]);
    assert.equal(code, 0, stdout);
    return stdout.split("\n").filter((line) => line.startsWith("note: serial[0].modbus: "));
  };
  assert.match((await notes("tcp://10.0.0.7:502", "rtu")).join(), /port 502 is that of Modbus TCP: transport: tcp/);
  assert.match((await notes("/dev/ttyS9", "tcp")).join(), /transport: rtu/);
  assert.deepEqual(await notes("tcp://10.0.0.7:502", "tcp"), []);
  assert.deepEqual(await notes("tcp://10.0.0.7:2001", "rtu"), []);
  assert.deepEqual(await notes("/dev/ttyS9", "rtu"), []);
});

test("what does not fit in memory_limit is neither checked nor run", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "gw.yaml");
  writeFileSync(file, `data_dir: ${folder.path}/data\nlimits: {max_connections: 50000}\n`);
  const checked = await sluice(["check", "--config", file]);
  assert.equal(checked.code, 2);
  assert.match(checked.stdout, /does not fit in memory_limit 16 MiB$/m);
  const ran = await sluice(["run", "--config", file]);
  assert.equal(ran.code, 2);
  assert.match(ran.stderr, /memory_limit/);
});

test("an order of draining that gives up the order of topics is a note, not a complaint", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "gw.yaml");
  const uplink = (name: string, drain: string): string =>
    `  - {name: ${name}, url: "mqtt://${name}.example.com", drain: ${drain}, forward: [{match: "#"}]}\n`;
  writeFileSync(file, `uplinks:\n${uplink("a", "oldest-first")}${uplink("b", "interleave")}memory_limit: 32MiB\n`);
  const notes = [
    "uplinks[1].drain: with interleave the messages of a topic reach the server in another order than they came",
  ];
  const { code, stdout } = await sluice(["check", "--config", file]);
  assert.equal(code, 0);
  assert.deepEqual(
    stdout.split("\n").filter((line) => line.startsWith("note: ")),
    notes.map((note) => `note: ${note}`),
  );
  assert.deepEqual(JSON.parse((await sluice(["check", "--config", file, "--json"])).stdout).notes, notes);
});

test("a session that the broker forgets before the uplink connects again is a note", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "gw.yaml");
  const uplink = (name: string, expiry: string): string =>
    `  - {name: ${name}, url: "mqtt://${name}.example.com", connect: {every: 15m, for: 2m}, session_expiry: ${expiry}}\n`;
  writeFileSync(file, `uplinks:\n${uplink("a", "15m")}${uplink("b", "16m")}`);
  const { stdout } = await sluice(["check", "--config", file, "--json"]);
  assert.deepEqual((JSON.parse(stdout) as { notes: string[] }).notes, [
    "uplinks[0].session_expiry: the server forgets the session, and what it has for it, before the next connection",
  ]);
});
