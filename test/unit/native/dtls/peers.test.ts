// Test whether other people's DTLS agrees with ours: openssl as client and as server, GnuTLS as a client.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { CLOSED, type DtlsOptions, ESTABLISHED, FAILED } from "../../../../src/native/dtls/binding.ts";
import { Authority } from "../../../support/dtls-certificates.ts";
import { client, requireAddon, server } from "../../../support/dtls-pair.ts";
import { DtlsEcho, DtlsUdpClient } from "../../../support/dtls-udp.ts";
import { eventually } from "../../../support/eventually.ts";
import { peerPath, requirePeer, requirePython } from "../../../support/peers.ts";

const work = mkdtempSync(join(tmpdir(), "sluice-dtls-"));
const children: ChildProcess[] = [];
const open: { close(): void }[] = [];
after(() => {
  for (const end of open) end.close();
  for (const child of children) child.kill("SIGKILL");
  rmSync(work, { recursive: true, force: true });
});

const skip = requireAddon() || requirePeer("openssl");
const authority = skip === false ? new Authority(work) : (undefined as never);
const ca = authority?.ca;
const gateway = authority?.issue({ name: "gateway", names: ["DNS:gateway.local"] });
const rsa = authority?.issue({ name: "rsa", key: "RSA" });
const device = authority?.issue({ name: "device" });
const KEY = Buffer.from("00ff00deadbeef00", "hex");
const psk = [{ identity: Buffer.from("sensor-1"), key: KEY }];

/** A program of which we read and write the lines. */
class Program {
  readonly child: ChildProcess;
  said = "";

  constructor(program: string, args: readonly string[]) {
    this.child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    children.push(this.child);
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => (this.said += text));
  }

  async says(what: RegExp): Promise<void> {
    await eventually(`${what} in ${this.child.spawnargs.join(" ")}:\n${this.said}`, () => what.test(this.said)).catch(
      (error: Error) => assert.fail(`${error.message}\n${this.said}`),
    );
  }

  line(text: string): void {
    this.child.stdin?.write(`${text}\n`);
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGTERM");
    await once(this.child, "exit");
  }
}

function openssl(...args: string[]): Program {
  return new Program(peerPath("openssl"), args);
}

async function serve(options: Omit<DtlsOptions, "role">): Promise<{ echo: DtlsEcho; to: string }> {
  const echo = new DtlsEcho(server(options));
  open.push(echo);
  return { echo, to: `127.0.0.1:${await echo.listen()}` };
}

const CLIENTS: readonly (readonly [
  what: string,
  ours: Omit<DtlsOptions, "role">,
  args: () => string[],
  cipher: RegExp,
])[] = [
  ["PSK", { psk }, () => pskArguments("PSK-AES128-CCM8@SECLEVEL=0"), /PSK-AES128-CCM8/],
  ["PSK and GCM", { psk }, () => pskArguments("PSK-AES256-GCM-SHA384"), /PSK-AES256-GCM-SHA384/],
  ["an ECDSA certificate", gateway, () => ["-verify_return_error", "-CAfile", authority.path("ca.pem")], /ECDHE-ECDSA/],
  ["an RSA certificate", rsa, () => ["-verify_return_error", "-CAfile", authority.path("ca.pem")], /ECDHE-RSA/],
  [
    "a client certificate",
    { ...gateway, ca, requireClientCert: true },
    () => [
      "-CAfile",
      authority.path("ca.pem"),
      "-cert",
      authority.path("device.pem"),
      "-key",
      authority.path("device.key"),
    ],
    /ECDHE-ECDSA/,
  ],
];

function pskArguments(cipher: string): string[] {
  return ["-psk_identity", "sensor-1", "-psk", KEY.toString("hex"), "-cipher", cipher];
}

for (const [what, ours, args, cipher] of CLIENTS) {
  test(`openssl s_client comes by ${what}, is echoed and says goodbye`, { skip }, async () => {
    const { echo, to } = await serve(ours);
    const peer = openssl("s_client", "-dtls1_2", "-connect", to, ...args());
    await peer.says(/Cipher +(is|:) /);
    peer.line("over and back");
    await peer.says(/^over and back$/m);
    assert.match(echo.latest?.session.cipher ?? "", cipher);
    peer.line("Q");
    await eventually("it said goodbye", () => ((echo.latest?.bits ?? 0) & CLOSED) !== 0);
    await peer.end();
  });
}

test("openssl s_client with DTLS 1.0 is refused", { skip }, async () => {
  const { echo, to } = await serve({ psk });
  const peer = openssl("s_client", "-dtls1", "-connect", to, ...pskArguments("ALL:@SECLEVEL=0"));
  await peer.says(/alert protocol version|no protocols available/);
  assert.equal(echo.latest, undefined);
  await peer.end();
});

test("openssl s_client that wants to shake hands anew gets no, and gives up", { skip }, async () => {
  const { echo, to } = await serve({ psk });
  const peer = openssl("s_client", "-dtls1_2", "-connect", to, ...pskArguments("PSK-AES128-GCM-SHA256"));
  await peer.says(/Cipher +(is|:) /);
  peer.line("before");
  await peer.says(/^before$/m);
  peer.line("R");
  await peer.says(/no renegotiation/);
  await eventually("it gave up", () => ((echo.latest?.bits ?? 0) & (FAILED | CLOSED)) !== 0);
  await peer.end();
});

for (const [what, args, theirs] of [
  ["PSK", ["-nocert", "-psk_identity", "sensor-1", "-psk", KEY.toString("hex")], { psk }],
  ["its certificate", ["-cert", "gateway.pem", "-key", "gateway.key"], { ca }],
  [
    "both certificates",
    ["-cert", "gateway.pem", "-key", "gateway.key", "-Verify", "3", "-CAfile", "ca.pem"],
    { ca, ...device },
  ],
] as const) {
  test(`our client comes to openssl s_server by ${what}`, { skip }, async () => {
    const port = await freePort();
    const paths = args.map((arg) => (/\.(pem|key)$/.test(arg) ? authority.path(arg) : arg));
    const peer = openssl("s_server", "-dtls1_2", "-listen", "-accept", `127.0.0.1:${port}`, ...paths);
    await peer.says(/ACCEPT/);
    const ours = new DtlsUdpClient(client(theirs), port);
    open.push(ours);
    await eventually("established", () => (ours.association.bits & ESTABLISHED) !== 0);
    ours.association.send(Buffer.from("from us\n"));
    await peer.says(/^from us$/m);
    peer.line("from them");
    await eventually("its answer", () => ours.association.received.join("").includes("from them"));
    await peer.end();
  });
}

test("GnuTLS comes by identities and keys with NULs, whole; what is cut at a NUL is not known", {
  skip: skip || requirePython("ctypes; ctypes.CDLL('libgnutls.so.30')"),
}, async () => {
  const identity = Buffer.from("00610062ff00", "hex");
  const { echo, to } = await serve({
    psk: [
      { identity, key: KEY },
      { identity: Buffer.from("00", "hex"), key: Buffer.from("other") },
      { identity: Buffer.from("ab"), key: KEY },
    ],
  });
  const port = to.split(":")[1]!;
  const come = async (id: Buffer) => {
    const peer = new Program("/usr/bin/python3", [
      join(import.meta.dirname, "../../../support/gnutls_peer.py"),
      port,
      id.toString("hex"),
      KEY.toString("hex"),
    ]);
    await once(peer.child, "close");
    return peer.said.trim();
  };
  assert.equal(await come(identity), "hello");
  assert.deepEqual(echo.latest?.session.identity, identity);
  assert.equal(await come(Buffer.from("ab")), "hello");
  for (const other of ["0061", "00610062ff", "00610062ff0000", "6100"])
    assert.match(await come(Buffer.from(other, "hex")), /alert|PSK/i, other);
});

async function freePort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}
