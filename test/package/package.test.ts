// Test whether what scripts/package.ts packs is complete, holds nothing superfluous and serves a publish, on both CPUs.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { connectAsync } from "mqtt";
import { ROOT } from "../../scripts/root.mjs";
import { ESTABLISHED } from "../../src/native/dtls/binding.ts";
import { client } from "../support/dtls-pair.ts";
import { DtlsUdpClient } from "../support/dtls-udp.ts";
import { eventually } from "../support/eventually.ts";
import { peerPath, requirePeer, requireThat, type Skip } from "../support/peers.ts";

/** e_machine in the ELF header. */
const MACHINE = { x64: 62, arm64: 183 } as const;
type Arch = keyof typeof MACHINE;
/** Where Debian's libc6-arm64-cross puts the loader and libraries of arm64. */
const ARM64_LIBS = "/usr/aarch64-linux-gnu";
const PACKED_BYTES_MAX = 64 * 1024 * 1024;
const SUPERFLUOUS = /\.(h|hpp|cc?|cpp|gyp|d\.ts|ts|map|md|ps1)$|\/(npm|npx|corepack|include|share)(\/|$)/;

const work = mkdtempSync(join(tmpdir(), "sluice-package-"));
after(() => rmSync(work, { recursive: true, force: true }));

const emulated: Skip =
  process.arch === "arm64"
    ? false
    : requirePeer("qemu-aarch64") ||
      requireThat(
        hasLibraries(),
        "libc6-arm64-cross, libstdc++6-arm64-cross and libgcc-s1-arm64-cross are not installed",
      );

const SKIP: Readonly<Record<Arch, Skip>> = {
  x64: requireThat(process.arch === "x64", "the x64 package runs on x64"),
  arm64: emulated,
};

/** What compiles the DTLS addon. */
const COMPILER: Readonly<Record<Arch, Skip>> = {
  x64: requirePeer(process.arch === "x64" ? "g++" : "x86_64-linux-gnu-g++"),
  arm64: requirePeer(process.arch === "arm64" ? "g++" : "aarch64-linux-gnu-g++"),
};

for (const arch of ["x64", "arm64"] as const) {
  test(`the ${arch} package`, { skip: COMPILER[arch] }, async (t) => {
    const home = unpack(arch);

    await t.test(`${arch}: holds what runs and nothing else`, () => {
      const files = readdirSync(home, { recursive: true, encoding: "utf8" });
      for (const wanted of [
        "bin/node",
        "bin/sluice",
        "lib/sluice.mjs",
        `lib/dtls-${arch}.node`,
        `lib/tty-${arch}.node`,
        "sluice.service",
        "sluice.yaml",
        "LICENSE",
        "licenses/node",
      ]) {
        assert.ok(files.includes(wanted), `${wanted} is packed`);
      }
      assert.deepEqual(
        files.filter((file) => SUPERFLUOUS.test(file) && file !== "README.md"),
        [],
      );
      const binaries = files.filter((file) => file === "bin/node" || file.endsWith(".node"));
      assert.equal(binaries.length, 5, binaries.join());
      for (const file of binaries) assert.equal(machineOf(join(home, file)), MACHINE[arch], file);
    });

    if (SKIP[arch] === false && arch !== process.arch) emulate(home);

    await t.test(`${arch}: its first configuration fits and has no mistake`, { skip: SKIP[arch] }, () => {
      const args = ["check", "--config", join(home, "sluice.yaml")];
      const { status, stdout, stderr } = spawnSync(join(home, "bin/sluice"), args, {
        encoding: "utf8",
        env: { PATH: "" },
      });
      assert.equal(status, 0, stdout + stderr);
    });

    await t.test(`${arch}: starts, serves a publish, shakes hands over DTLS`, { skip: SKIP[arch] }, async () => {
      const config = join(work, `${arch}.yaml`);
      const keys = join(work, `${arch}.psk`);
      writeFileSync(keys, "device:a key of the device\n", { mode: 0o600 });
      const listeners = [
        `{type: mqtt, bind: "127.0.0.1:0"}`,
        `{type: coap, bind: "127.0.0.1:0", dtls: {psk_file: ${keys}}}`,
      ];
      writeFileSync(config, `data_dir: ${join(work, `data-${arch}`)}\nlisteners: [${listeners.join(", ")}]\n`);
      // Nothing from this machine: no PATH, no variables.
      const gateway = spawn(join(home, "bin/sluice"), ["run", "--config", config], {
        cwd: work,
        env: { PATH: "" },
        stdio: ["ignore", "pipe", "pipe"],
      });
      const ended = new Promise<number | null>((resolve) => gateway.once("exit", resolve));
      try {
        const ports = await portsOf(gateway);
        await publishAndReceive(ports.mqtt);
        await shakeHands(ports.coap);
      } finally {
        gateway.kill("SIGTERM");
      }
      assert.equal(await ended, 0);
    });
  });
}

function unpack(arch: Arch): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, "scripts/package.ts"), "--arch", arch], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  const archive = stdout.trim();
  assert.ok(statSync(archive).size < PACKED_BYTES_MAX, "the package stays small");
  assert.equal(spawnSync("tar", ["-xzf", archive, "-C", work]).status, 0);
  return join(work, archive.slice(archive.lastIndexOf("/") + 1, -".tar.gz".length));
}

/**
 * Puts qemu in front of the packed node. The gateway starts itself again to read its configuration, so its idea of
 * what it runs on has to be the same script.
 */
function emulate(home: string): void {
  const node = join(home, "bin/node");
  const real = join(home, "bin/node.arm64");
  const execPath = join(home, "exec-path.mjs");
  renameSync(node, real);
  writeFileSync(execPath, `process.execPath = ${JSON.stringify(node)};\n`);
  const command = [peerPath("qemu-aarch64"), "-L", ARM64_LIBS, real, "--import", execPath];
  writeFileSync(node, `#!/bin/sh\nexec ${command.map((word) => `'${word}'`).join(" ")} "$@"\n`, { mode: 0o755 });
}

function machineOf(file: string): number {
  const header = Buffer.alloc(20);
  const fd = openSync(file, "r");
  readSync(fd, header, 0, header.length, 0);
  closeSync(fd);
  assert.equal(header.toString("latin1", 1, 4), "ELF");
  return header.readUInt16LE(18);
}

/** The ports in the `ready` line. */
async function portsOf(gateway: ChildProcess): Promise<{ mqtt: number; coap: number }> {
  return await new Promise((resolve, reject) => {
    let said = "";
    const listen = (text: string) => {
      said += text;
      const [line = ""] = said.match(/^.*\bready\b.*\n/m) ?? [];
      const [mqtt = 0, coap = 0] = [...line.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
      if (line !== "") resolve({ mqtt, coap });
    };
    gateway.stdout?.setEncoding("utf8").on("data", listen);
    gateway.stderr?.setEncoding("utf8").on("data", listen);
    gateway.once("error", reject);
    gateway.once("exit", (code) => reject(new Error(`it ended with ${code} before it was ready:\n${said}`)));
  });
}

async function shakeHands(port: number): Promise<void> {
  const psk = [{ identity: Buffer.from("device"), key: Buffer.from("a key of the device") }];
  const device = new DtlsUdpClient(client({ psk }), port);
  await eventually("the handshake is complete", () => (device.association.bits & ESTABLISHED) !== 0);
  device.close();
}

/** QoS 1 to a persistent session: the store, and with it the native part, takes part. */
async function publishAndReceive(port: number): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    clientId: "package-test",
    clean: false,
    reconnectPeriod: 0,
    connectTimeout: 60_000,
  });
  const received = new Promise<string>((resolve) =>
    client.once("message", (_, payload) => resolve(payload.toString())),
  );
  await client.subscribeAsync("package/test", { qos: 1 });
  await client.publishAsync("package/test", "served", { qos: 1 });
  assert.equal(await received, "served");
  await client.endAsync();
}

function hasLibraries(): boolean {
  try {
    return ["libc.so.6", "libstdc++.so.6", "libgcc_s.so.1"].every(
      (name) => readFileSync(join(ARM64_LIBS, "lib", name)).length > 0,
    );
  } catch {
    return false;
  }
}
