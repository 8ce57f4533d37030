// Test whether the npm package serves programs: what README.md shows runs from the tarball, and its types hold for
// strict consumers under both kinds of module resolution. No registry: what it depends on is linked from here.
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { ROOT } from "../../scripts/root.mjs";
import { eventually } from "../support/eventually.ts";
import { requirePeer } from "../support/peers.ts";

const work = mkdtempSync(join(tmpdir(), "sluice-library-"));
const children: ChildProcess[] = [];
after(async () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(work, { recursive: true, force: true });
});

let tarball = "";
before(async () => {
  const args = [join(ROOT, "scripts/package.ts"), "--npm"];
  const made = execFileSync(process.execPath, args, { encoding: "utf8" }).trim();
  tarball = join(work, basename(made));
  copyFileSync(made, tarball);
  rmSync(made);
});

/** A program's folder with the package in it, and packages of ours linked beside it. */
function install(name: string, linked: readonly string[]): string {
  const home = join(work, name);
  const modules = join(home, "node_modules");
  mkdirSync(join(modules, "sluice"), { recursive: true });
  execFileSync("tar", ["-xzf", tarball, "--strip-components=1", "-C", join(modules, "sluice")]);
  for (const dependency of linked) {
    mkdirSync(join(modules, dependency, ".."), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", dependency), join(modules, dependency));
  }
  return home;
}

/** The JavaScript of README.md's section for programs: the gateway's and the client's. */
function examples(): { gateway: string; client: string } {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const section = readme.split(/^## /m).find((text) => text.startsWith("As a library")) ?? "";
  const [gateway, client, ...more] = [...section.matchAll(/^```js\n(.*?)^```/gms)].map(([, code = ""]) => code);
  assert(gateway !== undefined && client !== undefined && more.length === 0, "README.md has two examples");
  return { gateway, client };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("the examples of README.md run from the package and talk to each other", async () => {
  const { gateway, client } = examples();
  const dependencies = Object.keys(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).dependencies);
  const server = install("server", dependencies);
  const device = install("device", []); // the client needs nothing else, the store's native part least of all
  const port = `${await freePort()}`;
  writeFileSync(join(server, "example.mjs"), gateway.replaceAll("1883", port));
  writeFileSync(join(device, "example.mjs"), client.replaceAll("1883", port));

  const running = spawn(process.execPath, ["example.mjs"], { cwd: server, stdio: ["ignore", "pipe", "pipe"] });
  children.push(running);
  let said = "";
  running.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  running.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  await eventually("the gateway listens", () => said.includes("listens"));
  const { status, stdout, stderr } = spawnSync(process.execPath, ["example.mjs"], { cwd: device, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "cmd/valve open\n");
  await eventually("the gateway's program has the message", () => said.includes("sensors/valve closed"));
  running.kill("SIGTERM");
  const [code] = await once(running, "exit");
  assert.equal(code, 0, said);
});

for (const [resolution, module] of [
  ["nodenext", "nodenext"],
  ["bundler", "esnext"],
]) {
  test(`types: the examples and a strict consumer compile under moduleResolution ${resolution}`, () => {
    const { gateway, client } = examples();
    const home = install(`types-${resolution}`, ["@types/node", "undici-types"]);
    writeFileSync(join(home, "gateway.mts"), gateway);
    writeFileSync(join(home, "client.mts"), client);
    writeFileSync(join(home, "consumer.mts"), CONSUMER);
    const compilerOptions = {
      module,
      moduleResolution: resolution,
      target: "es2024",
      lib: ["es2024"],
      types: ["node"],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      noEmit: true,
    };
    writeFileSync(join(home, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.mts"] }));
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", home], { encoding: "utf8" });
    assert.equal(status, 0, stdout);
  });
}

const CONSUMER = `
import { ConfigurationError, Gateway, GatewayError, type BoundListener, type Hooks, type Message } from "sluice";
import { type Client, ClientError, type ClientEvent, connect, type ReceivedMessage } from "sluice/client";

const hooks: Hooks = { authorize: ({ name }, action, topic) => action !== "publish" || topic.startsWith(name) };
const gateway: Gateway = new Gateway({ config: {}, hooks, log: { write: (line: string) => void line } });
const listeners: readonly BoundListener[] = await gateway.start();
gateway.subscribe("a/#", async ({ topic, payload }: Message) => void (topic + payload.toString("hex")));
const states: ClientEvent["type"][] = [];
const client: Client = await connect({
  url: \`mqtt://\${listeners[0]?.address}\`,
  signal: AbortSignal.timeout(1000),
  will: { topic: "gone", payload: "", delaySeconds: 5, userProperties: [["a", "b"]] },
  reconnect: { maxDelayMs: 1000 },
  onEvent: (event) => states.push(event.type),
});
const matched: boolean = (await client.publish("a", new Uint8Array(1), { qos: 2 })).matched;
const next: IteratorResult<ReceivedMessage, undefined> = await client.messages.next();
const name: string | undefined = next.value?.properties.userProperties?.[0]?.[0];
try {
  await client.close({ timeoutMs: 1 });
} catch (error) {
  if (error instanceof ClientError && error.code === "closed") throw error;
  if (error instanceof GatewayError && error.code === "full") throw error;
  if (error instanceof ConfigurationError) throw new Error(error.complaints[0]?.path);
}
// @ts-expect-error QoS 3 does not exist
await client.publish("a", "b", { qos: 3 });
void [matched, name];
`;

test("the package holds what runs and what it says, and no source", () => {
  const home = join(install("content", []), "node_modules/sluice");
  const files = readdirSync(home, { recursive: true, encoding: "utf8" });
  for (const wanted of ["build/library/index.mjs", "build/types/client.d.ts", "build/sluice", "README.md", "LICENSE"])
    assert.ok(files.includes(wanted), `${wanted} is packed`);
  assert.deepEqual(
    files.filter((file) => /(^|\/)(src|test|bench)(\/|$)|[^d]\.ts$|\.tmp$/.test(file) && !file.endsWith(".d.ts")),
    [],
  );
});

test("the package has the addons for both CPUs", {
  skip: requirePeer("g++", "aarch64-linux-gnu-g++"),
}, () => {
  const home = join(install("addon", []), "node_modules/sluice/build");
  for (const cpu of ["x64", "arm64"]) {
    for (const name of ["dtls", "tty"]) assert.ok(readdirSync(home).includes(`${name}-${cpu}.node`), `${name} ${cpu}`);
  }
  for (const name of ["dtls", "tty"]) {
    const load = `process.dlopen(module, ${JSON.stringify(join(home, `${name}-${process.arch}.node`))})`;
    execFileSync(process.execPath, ["-e", load]);
  }
});
