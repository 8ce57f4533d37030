import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import test from "node:test";
import Database from "better-sqlite3";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/gateway-process.ts";
import { Running, sluice } from "./sluice.ts";

/** A configuration in a folder of its own; JSON is YAML. */
function gatewayIn(folder: string, config: Record<string, unknown> = {}): string {
  const file = join(folder, "gw.yaml");
  const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
  writeFileSync(file, JSON.stringify({ data_dir: join(folder, "data"), listeners, ...config }, null, 1));
  return file;
}

test("says ready with the bound addresses, answers status, and ends with 0 at SIGTERM", async () => {
  using folder = temporaryFolder();
  const listeners = [
    { type: "mqtt", bind: "127.0.0.1:0" },
    { type: "http", bind: "127.0.0.1:0" },
    { type: "mqtt", bind: "unix:mqtt.sock" },
  ];
  const file = gatewayIn(folder.path, { listeners, node: "gw-17" });
  const nobody = await sluice(["status", "--config", file]);
  assert.deepEqual([nobody.code, nobody.stdout], [3, ""]);
  assert.match(nobody.stderr, /^sluice: no gateway is running \(.*\/data\/control\.sock\)\n$/);

  await using gateway = new Running(["run", "--config", file]);
  const [line] = await gateway.says(/^ready .*$/m);
  assert.match(line, /^ready mqtt=127\.0\.0\.1:[1-9]\d* http=127\.0\.0\.1:[1-9]\d* mqtt=\S*mqtt\.sock$/);
  const socket = join(folder.path, "data/control.sock");
  assert.equal(statSync(socket).mode & 0o777, 0o600);

  const text = await sluice(["status", "--config", file]);
  assert.equal(text.code, 0);
  assert.match(text.stdout, /^gateway {3}gw-17, pid \d+, up \d+s?.*resident\nlistener {2}mqtt 127\.0\.0\.1:\d+\n/);
  const json = await sluice(["status", "--data-dir", join(folder.path, "data"), "--drops", "--json"]);
  const status = JSON.parse(json.stdout);
  assert.equal(status.pid, gateway.child.pid);
  assert.deepEqual(status.drops, []);

  gateway.child.kill("SIGTERM");
  const { code, stdout } = await gateway.ended();
  assert.equal(code, 0);
  assert.equal(stdout, `${line}\n`, "stdout holds one line");
  assert.equal(existsSync(socket), false);
});

test("--json says ready as one object; SIGINT ends with 0, too", async () => {
  using folder = temporaryFolder();
  await using gateway = new Running(["run", "--json", "--config", gatewayIn(folder.path)]);
  const [line] = await gateway.says(/^\{.*\}$/m);
  const { event, listeners } = JSON.parse(line);
  assert.equal(event, "ready");
  assert.equal(listeners.length, 1);
  assert.equal(listeners[0].type, "mqtt");
  assert.match(listeners[0].address, /^127\.0\.0\.1:\d+$/);
  assert.equal(typeof listeners[0].name, "string");
  gateway.child.kill("SIGINT");
  assert.equal((await gateway.ended()).code, 0);
});

test("a port in use ends with 1 and names the listener", async () => {
  using folder = temporaryFolder();
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  const listeners = [{ bind: "127.0.0.1:0" }, { type: "http", bind: `127.0.0.1:${port}` }];
  const { code, stdout, stderr } = await sluice(["run", "--config", gatewayIn(folder.path, { listeners })]);
  server.close();
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.match(stderr, new RegExp(`^sluice: listener 1 \\(http 127\\.0\\.0\\.1:${port}\\): .*in use`, "m"));
});

test("a second gateway on the same data directory ends with 1 and names the first one's pid", async () => {
  using folder = temporaryFolder();
  const file = gatewayIn(folder.path);
  await using gateway = new Running(["run", "--config", file]);
  await gateway.says(/^ready/m);
  const { code, stderr } = await sluice(["run", "--config", file]);
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`^sluice: .*pid ${gateway.child.pid}$`, "m"));
  assert.equal((await sluice(["status", "--config", file])).code, 0, "the first one still answers");
});

test("a database of a newer version ends with 1 and says so", async () => {
  using folder = temporaryFolder();
  const file = gatewayIn(folder.path);
  const first = new Running(["run", "--config", file]);
  await first.says(/^ready/m);
  first.child.kill("SIGTERM");
  await first.ended();
  const database = new Database(join(folder.path, "data/sluice.db"));
  database.pragma("user_version = 999");
  database.close();
  const { code, stderr } = await sluice(["run", "--config", file]);
  assert.equal(code, 1);
  assert.match(stderr, /^sluice: .*newer version/m);
});

test("a data directory that cannot be made ends with 1 and says why", async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, "file"), "");
  const { code, stderr } = await sluice(["run", "--config", gatewayIn(folder.path, { data_dir: "file/data" })]);
  assert.equal(code, 1);
  assert.match(stderr, /^sluice: .*file\/data/m);
});

test("`sluice reload` says what was done, or everything that is wrong; several at once are all answered", async () => {
  using folder = temporaryFolder();
  const uplinks = [{ url: "mqtt://127.0.0.1:9", forward: [{ match: "#" }] }];
  const file = gatewayIn(folder.path);
  assert.equal((await sluice(["reload", "--config", file])).code, 3);
  await using gateway = new Running(["run", "--config", file]);
  await gateway.says(/^ready/m);
  gatewayIn(folder.path, { uplinks, node: "other" });
  const answers = await Promise.all([1, 2, 3].map(() => sluice(["reload", "--config", file])));
  assert.deepEqual(
    answers.map(({ code }) => code),
    [0, 0, 0],
  );
  assert.equal(answers.filter(({ stdout }) => /^uplink cloud: added$/m.test(stdout)).length, 1);
  for (const { stdout } of answers) assert.match(stdout, /^only after a restart: node$/m);
  gatewayIn(folder.path, { uplinks: [{ ...uplinks[0], polity: 1 }] });
  const refused = await sluice(["reload", "--config", file, "--json"]);
  assert.equal(refused.code, 2);
  assert.equal(
    (JSON.parse(refused.stdout) as { complaints: { path: string }[] }).complaints[0]?.path,
    "uplinks[0].polity",
  );
  gatewayIn(folder.path, {});
  assert.match((await sluice(["reload", "--config", file])).stdout, /^uplink cloud: removed$/m);
  gateway.child.kill("SIGTERM");
  assert.equal((await gateway.ended()).code, 0);
});

test("SIGHUP takes over what can change, names what needs a restart, refuses what is wrong", async () => {
  using folder = temporaryFolder();
  const file = gatewayIn(folder.path);
  await using gateway = new Running(["run", "--config", file]);
  await gateway.says(/^ready/m);

  gatewayIn(folder.path, { log: { level: "debug" }, memory_limit: "32MiB", node: "other" });
  gateway.child.kill("SIGHUP");
  await gateway.says(/info {2}reloaded .*log\.level: debug/, "stderr");
  await gateway.says(/warn {2}restart-required keys="node, memory_limit"/, "stderr");

  gatewayIn(folder.path, { log: { level: "inof" }, limts: {} });
  gateway.child.kill("SIGHUP");
  await gateway.says(/error reload-refused .*path=log\.level .*did you mean info/, "stderr");
  await gateway.says(/error reload-refused .*path=limts/, "stderr");

  writeFileSync(join(folder.path, "passwd"), "anna:secret\n");
  gatewayIn(folder.path, { auth: { password_file: "passwd" } });
  gateway.child.kill("SIGHUP");
  await gateway.says(/error reload-refused file=\S*passwd line=1 .*not hashed/, "stderr");
  assert.equal((await sluice(["status", "--config", file])).code, 0);
  gateway.child.kill("SIGTERM");
  assert.equal((await gateway.ended()).code, 0);
});

test("systemd is told about readiness, reloads, the watchdog and the end", async () => {
  using folder = temporaryFolder();
  const bin = join(folder.path, "bin");
  const told = join(folder.path, "told");
  mkdirSync(bin);
  writeFileSync(join(bin, "systemd-notify"), `#!/bin/sh\necho "$@" >> ${told}\n`);
  chmodSync(join(bin, "systemd-notify"), 0o755);
  await using gateway = new Running(["run", "--config", gatewayIn(folder.path)], {
    PATH: `${bin}${delimiter}${process.env["PATH"]}`,
    NOTIFY_SOCKET: "/none",
    WATCHDOG_USEC: "100000",
  });
  const lines = (): string[] => (existsSync(told) ? readFileSync(told, "utf8").trimEnd().split("\n") : []);
  await gateway.says(/^ready/m);
  await eventually("ready and two signs of life", () => {
    return lines()[0] === "READY=1 STATUS=1 listeners" && lines().filter((line) => line === "WATCHDOG=1").length >= 2;
  });
  gateway.child.kill("SIGHUP");
  await eventually("a reload", () => {
    const all = lines();
    const from = all.indexOf("RELOADING=1");
    return from !== -1 && all.slice(from).some((line) => line.startsWith("READY=1"));
  });
  gateway.child.kill("SIGTERM");
  assert.equal((await gateway.ended()).code, 0);
  await eventually("the end", () => lines().includes("STOPPING=1"));
});
