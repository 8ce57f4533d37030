/** `sluice pub` and `sluice sub`, against our own gateway and against Debian's mosquitto over TLS. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { makeCertificates } from "../../../scripts/demo/certificates.ts";
import { temporaryFolder } from "../../support/gateway-process.ts";
import { peerPath, requirePeer } from "../../support/peers.ts";
import { Running, sluice } from "./sluice.ts";

const folder = temporaryFolder();
let gateway: Running;
let port = "";

before(async () => {
  const file = join(folder.path, "gw.yaml");
  writeFileSync(join(folder.path, "passwd"), "");
  await sluice(["passwd", join(folder.path, "passwd"), "anna", "--stdin"], "secret");
  writeFileSync(join(folder.path, "acl"), "topic #\nuser anna\ntopic read #\ntopic write a/#\n");
  const text = `data_dir: data
listeners: [{bind: "127.0.0.1:0"}]
auth: {password_file: passwd, acl_file: acl}
limits: {max_packet_bytes: 64KiB}
`;
  writeFileSync(file, text);
  gateway = new Running(["run", "--config", file]);
  [, port = ""] = await gateway.says(/^ready mqtt=127\.0\.0\.1:(\d+)$/m);
});

after(async () => {
  await gateway[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

/** A retained message proves that the subscription is in force before anything else is published. */
async function subscriber(...args: string[]): Promise<Running> {
  const topic = `ready/${Math.random()}`;
  await sluice(["pub", "-p", port, "-t", topic, "-m", "subscribed", "-r", "-q", "1"]);
  const running = new Running(["sub", "-p", port, "-t", topic, ...args]);
  await running.says(/subscribed/);
  await sluice(["pub", "-p", port, "-t", topic, "-n", "-r"]);
  running.stdout = "";
  return running;
}

for (const version of ["311", "5"]) {
  test(`what is published at QoS 0, 1 and 2 is printed, MQTT ${version}`, async () => {
    // The subscription's own topic is deleted by an empty message, which counts.
    await using sub = await subscriber("-t", "a/+", "-v", "-q", "2", "-V", version, "-C", "5");
    for (const qos of ["0", "1", "2"]) {
      const { code, stdout, stderr } = await sluice([
        "pub",
        "-p",
        port,
        "-t",
        `a/${qos}`,
        "-m",
        `wörd ${qos}`,
        "-q",
        qos,
        "-V",
        version,
      ]);
      assert.deepEqual([code, stdout, stderr], [0, "", ""]);
    }
    const { code, stdout } = await sub.ended();
    assert.equal(code, 0);
    assert.match(stdout, /^(ready\/\S+ \n)?a\/0 wörd 0\na\/1 wörd 1\na\/2 wörd 2\n$/);
  });
}

test("each line of stdin is a message; --json says how many, and shows what is not text as base64", async () => {
  await using sub = await subscriber("-t", "b", "--json", "-C", "202");
  const input = Array.from({ length: 200 }, (_, i) => `line ${i}\n`).join("");
  const { code, stdout } = await sluice(["pub", "-p", port, "-t", "b", "-l", "-q", "1", "--json"], input);
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(stdout), { event: "published", topic: "b", qos: 1, retain: false, count: 200 });
  const lines = (await sub.ended()).stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ topic }) => topic === "b");
  assert.deepEqual(
    lines.map(({ payload }) => payload),
    Array.from({ length: 200 }, (_, i) => `line ${i}`),
  );
  assert.deepEqual(lines[0], { topic: "b", qos: 0, retain: false, payload: "line 0" });
});

test("sub ends after -W seconds: with 0, or with 1 when -C wanted more", async () => {
  assert.equal((await sluice(["sub", "-p", port, "-t", "none", "-W", "1"])).code, 0);
  assert.equal((await sluice(["sub", "-p", port, "-t", "none", "-W", "1", "-C", "1"])).code, 1);
});

test("sub ends with 0 at SIGTERM, and quietly when nobody reads it any more", async () => {
  await using stopped = await subscriber("-t", "c");
  await using unread = await subscriber("-t", "c");
  stopped.child.kill("SIGTERM");
  unread.child.stdout?.destroy();
  await sluice(["pub", "-p", port, "-t", "c", "-m", "x", "-q", "1"]);
  for (const sub of [stopped, unread]) {
    const { code, stderr } = await sub.ended();
    assert.deepEqual([code, stderr], [0, ""]);
  }
});

/** [arguments, what is said on stderr] */
const REFUSALS: [string[], RegExp][] = [
  [["pub", "-t", "b", "-m", "x", "-q", "1", "-u", "anna", "-P", "secret"], /not authori[sz]ed/],
  [["pub", "-t", "a", "-m", "x", "-u", "anna", "-P", "wrong"], /bad user name or password/],
  [
    ["sub", "-t", "a", "-u", "anna", "-P", "wrong", "-V", "311"],
    /refused: (bad user name or password|not authori[sz]ed)/,
  ],
  [["pub", "-t", "a", "-q", "1", "-m", "x".repeat(70_000)], /\b(packet|large|bytes)\b/],
];

for (const [args, words] of REFUSALS) {
  test(`refused: ${args.join(" ").slice(0, 60)}`, async () => {
    const [verb = "", ...rest] = args;
    const { code, stdout, stderr } = await sluice([verb, "-p", port, ...rest]);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^sluice: [^\n]+\n$/);
    assert.match(stderr, words);
  });
}

test("nobody there: exit code 1, and the address in the message", async () => {
  const closed = String(await freePort());
  const { code, stderr } = await sluice(["pub", "-p", closed, "-t", "a", "-m", "x"]);
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`^sluice: 127\\.0\\.0\\.1:${closed}: .*refused`));
});

test("a server that closes without a word may want TLS: the message says what to give", async () => {
  const server = createServer((socket) => socket.once("data", () => socket.end()));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port: silent } = server.address() as AddressInfo;
  const { code, stderr } = await sluice(["pub", "-p", String(silent), "-t", "a", "-m", "x"]);
  server.close();
  assert.equal(code, 1);
  assert.match(stderr, /without an answer to CONNECT; if the port speaks TLS, give --cafile or an mqtts URL\n$/);
});

test("over TLS with a client certificate, to mosquitto", { skip: requirePeer("mosquitto") }, async () => {
  const { ca, issued } = await makeCertificates(folder.path, [
    { name: "server", usage: "server" },
    { name: "client", usage: "client" },
  ]);
  const [server, client] = issued;
  const tlsPort = String(await freePort());
  const config = join(folder.path, "mosquitto.conf");
  writeFileSync(
    config,
    `listener ${tlsPort} 127.0.0.1
cafile ${ca}
certfile ${server?.cert}
keyfile ${server?.key}
require_certificate true
allow_anonymous true
${process.geteuid?.() === 0 ? "user root\n" : ""}`,
  );
  const broker = spawn(peerPath("mosquitto"), ["-c", config], { stdio: ["ignore", "ignore", "pipe"] });
  try {
    await new Promise<void>((resolve) => {
      let log = "";
      broker.stderr.on("data", (text: Buffer) => {
        log += text;
        if (log.includes("running")) resolve();
      });
    });
    const common = ["-p", tlsPort, "-h", "localhost", "-t", "a", "-q", "1", "--cafile", ca];
    const certificate = ["--cert", client?.cert ?? "", "--key", client?.key ?? ""];
    assert.deepEqual(await sluice(["pub", ...common, ...certificate, "-m", "x", "-r"]), {
      code: 0,
      stdout: "",
      stderr: "",
    });
    assert.equal((await sluice(["sub", ...common, ...certificate, "-C", "1", "-W", "10"])).stdout, "x\n");
    const without = await sluice(["pub", ...common, "-m", "x"]);
    assert.equal(without.code, 1);
    // The alert, unless the reset that follows it was faster.
    assert.match(without.stderr, /certificate|reset by peer/);
  } finally {
    broker.kill();
    await once(broker, "exit");
  }
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}
