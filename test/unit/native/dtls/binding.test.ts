// Test whether the addon holds against its own caller, too: arguments of every kind, objects in every state, the loader.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import { addonFile } from "../../../../scripts/addon.mjs";
import { ROOT } from "../../../../scripts/root.mjs";
import {
  type DtlsSession,
  ESTABLISHED,
  loadDtls,
  loadDtlsFrom,
  RECORD_BYTES_MAX,
} from "../../../../src/native/dtls/binding.ts";
import { addon, client, DtlsPair, requireAddon, server } from "../../../support/dtls-pair.ts";
import { eventually } from "../../../support/eventually.ts";

const work = mkdtempSync(join(tmpdir(), "sluice-dtls-"));
after(() => rmSync(work, { recursive: true, force: true }));

const skip = requireAddon();
const psk = [{ identity: Buffer.from("sensor-1"), key: Buffer.from("key") }];
const PEER = Buffer.from("peer");

/** What no argument of the API is; some of it looks as if. */
const WRONG: readonly unknown[] = [
  undefined,
  null,
  true,
  -1,
  0.5,
  Number.NaN,
  2 ** 40,
  1n,
  "text",
  Symbol("s"),
  [],
  {},
  () => 0,
  new ArrayBuffer(8),
  { length: 8, byteLength: 8 },
  new Proxy(new Uint8Array(8), {}),
];

test("there is an addon, over this node's OpenSSL", { skip }, () => {
  assert.equal(addon().openssl, process.versions.openssl.replace(/\+.*/, ""));
});

test("arguments of other types throw TypeErrors or RangeErrors, and do nothing else", { skip }, () => {
  const pair = new DtlsPair(server({ psk }), client({ psk })).settle();
  const context = server({ psk });
  const session = pair.session as unknown as Record<string, (...args: unknown[]) => unknown>;
  const calls: readonly ((value: unknown) => unknown)[] = [
    (value) => session["receive"]?.(value),
    (value) => session["read"]?.(value),
    (value) => session["send"]?.(value, 0, 1),
    (value) => context.hello(value as never, PEER),
    (value) => context.hello(Buffer.alloc(80), value as never),
    (value) => server({ psk: [value as never] }),
    (value) => server({ psk: [{ identity: value as never, key: Buffer.from("k") }] }),
    (value) => server({ psk: [{ identity: Buffer.from("i"), key: value as never }] }),
  ];
  for (const call of calls)
    for (const value of WRONG) assert.throws(() => call(value), /^(Type|Range)Error/, String(call));
  const indices = WRONG.filter((value) => typeof value !== "bigint" || value > 1);
  for (const value of indices) {
    assert.throws(() => session["send"]?.(PEER, value, 1), /^(Type|Range)Error/);
    assert.throws(() => session["send"]?.(PEER, 0, value), /^(Type|Range)Error/);
  }
  pair.send("client", "still whole");
  assert.deepEqual(pair.received.server, ["still whole"]);
});

test("options of other types throw, each by its name", { skip }, () => {
  const make = (options: object) => () => new (addon().DtlsContext)({ role: "server", psk, ...options } as never);
  for (const name of ["mtu", "retransmitMs", "ticketSeconds", "cookieSeconds"]) {
    for (const value of ["1", -1, 0.5, 1e12, Number.NaN, {}])
      assert.throws(make({ [name]: value }), new RegExp(`^(Type|Range)Error: ${name}`));
  }
  for (const name of ["cert", "key", "ca"]) assert.throws(make({ [name]: "PEM" }), new RegExp(`TypeError: ${name}`));
  for (const name of ["insecure", "requireClientCert"])
    assert.throws(make({ [name]: 1 }), new RegExp(`TypeError: ${name}`));
  assert.throws(make({ role: "both" }), /TypeError: role/);
  assert.throws(make({ psk: {} }), /TypeError: psk/);
  assert.throws(make({ cipherList: "a\0b" }), /TypeError: cipherList/);
  assert.throws(make({ mtu: 255 }), /RangeError: mtu is not within 256 to 16384/);
  assert.throws(
    make({ psk: [{ identity: Buffer.alloc(257, 1), key: PEER }] }),
    /psk\[0\].identity is not 1 to 256 bytes/,
  );
  assert.throws(make({ psk: [{ identity: PEER, key: Buffer.alloc(257) }] }), /psk\[0\].key is not 1 to 256 bytes/);
  assert.throws(make({ psk: [{ identity: Buffer.alloc(0), key: PEER }] }), /psk\[0\].identity/);
  assert.throws(() => client({ psk: [psk[0]!, psk[0]!] }), /a client has one psk/);
  assert.throws(() => client({ psk: [{ identity: Buffer.from("a\0b"), key: PEER }] }), /NUL/);
  assert.throws(() => new (addon().DtlsContext)(undefined as never), /TypeError: options/);
  assert.throws(() => (addon().DtlsContext as unknown as (o: object) => void)({ role: "server", psk }), /TypeError/);
});

test("what options' getters throw comes out, and what they do between two reads does no harm", { skip }, () => {
  const thrown = new Error("mine");
  const throws = {
    get key(): Buffer {
      throw thrown;
    },
  };
  const options = Object.create(throws, { role: { value: "server" }, psk: { value: psk } });
  assert.throws(() => new (addon().DtlsContext)(options), thrown);
  assert.throws(() => server({ psk: [Object.create(throws, { identity: { value: PEER } })] }), thrown);
  const identity = new Uint8Array(64).fill(65);
  const moves = {
    identity,
    get key(): Uint8Array {
      structuredClone(identity.buffer, { transfer: [identity.buffer] });
      return PEER;
    },
  };
  server({ psk: [moves] });
  assert.equal(identity.length, 0);
});

test("any view of bytes is taken as the bytes that it shows", { skip }, () => {
  const pair = new DtlsPair(server({ psk }), client({ psk })).settle();
  const buffer = new ArrayBuffer(16);
  new Uint8Array(buffer).set([65, 66, 67, 68], 4);
  for (const view of [new Uint8Array(buffer, 4, 4), new DataView(buffer, 4, 4), new Uint16Array(buffer, 4, 2)]) {
    pair.client.send(view as Uint8Array, 0, 4);
    pair.settle();
    assert.throws(() => pair.client.send(view as Uint8Array, 0, 5), /RangeError/);
    assert.throws(() => pair.client.send(view as Uint8Array, 3, 2), /RangeError/);
  }
  assert.deepEqual(pair.received.server, ["ABCD", "ABCD", "ABCD"]);
  assert.throws(() => pair.client.read(new Uint8Array(RECORD_BYTES_MAX - 1)), /RangeError: into/);
  assert.equal(pair.session?.receive(new Uint8Array(0)), 0);
});

test("a session comes from a context, and its methods want a session", { skip }, () => {
  const pair = new DtlsPair(server({ psk }), client({ psk })).settle();
  const made = Object.getPrototypeOf(pair.client) as { constructor: new () => DtlsSession };
  assert.throws(() => new made.constructor(), /TypeError: a DtlsSession comes from/);
  const methods = Object.getOwnPropertyDescriptors(made) as Record<string, PropertyDescriptor>;
  const context = server({ psk });
  for (const [name, { value, get }] of Object.entries(methods)) {
    if (name === "constructor") continue;
    for (const self of [{}, null, 7, context, Object.create(pair.client), new Proxy(pair.client, {})])
      assert.throws(() => (value ?? get).call(self, Buffer.alloc(RECORD_BYTES_MAX), 0, 1), /TypeError/, name);
  }
});

test("a freed session, and a freed context, throw and do no harm; freeing twice is nothing", { skip }, () => {
  const context = server({ psk });
  const pair = new DtlsPair(context, client({ psk })).settle();
  const session = pair.session ?? assert.fail();
  context.free();
  context.free();
  assert.throws(() => context.hello(Buffer.alloc(80), PEER), /the context is freed/);
  assert.throws(() => context.update({ psk }), /the context is freed/);
  assert.throws(() => context.rotate(), /the context is freed/);
  assert.equal(context.refusal, "");
  pair.send("client", "sessions go on");
  assert.deepEqual(pair.received.server, ["sessions go on"]);
  session.free();
  session.free();
  for (const call of [
    () => session.receive(PEER),
    () => session.read(Buffer.alloc(RECORD_BYTES_MAX)),
    () => session.send(PEER, 0, 1),
    () => session.takeOutput(),
    () => session.timeoutMs(),
    () => session.onTimeout(),
    () => session.close(),
    () => session.resumption(),
  ])
    assert.throws(call, /the session is freed/);
  const { identity, peerCertificate, cipher, resumed, payloadMax, error } = session;
  assert.deepEqual([identity, peerCertificate, cipher, resumed, payloadMax, error], [null, null, "", false, 0, ""]);
});

test("a server does not connect, and a client takes no hellos", { skip }, () => {
  assert.throws(() => server({ psk }).connect(), /this is for a client's context/);
  assert.throws(() => client({ psk }).hello(Buffer.alloc(80), PEER), /this is for a server's context/);
  assert.throws(() => client({ psk }).connect({ resume: "text" as never }), /TypeError: resume/);
  client({ psk })
    .connect({ resume: Buffer.from("no session") })
    .free();
});

test("what nobody holds any more is collected, with all that it held", { skip }, async () => {
  const { setFlagsFromString } = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const before = addon().live();
  const drop = () => {
    const context = server({ psk });
    for (let i = 0; i < 100; i++) {
      const pair = new DtlsPair(context, client({ psk }));
      if (i % 2 === 0) pair.settle();
    }
  };
  drop();
  assert.ok(addon().live().sessions > before.sessions);
  await eventually("nothing is left", () => {
    collect();
    const now = addon().live();
    return now.sessions <= before.sessions && now.contexts <= before.contexts;
  });
});

test("a worker thread loads it, too, and takes what it leaves with it", { skip }, async () => {
  const code = `
    const { parentPort, workerData } = require("node:worker_threads");
    const module = { exports: {} };
    process.dlopen(module, workerData.file);
    const { DtlsContext, live } = module.exports;
    const psk = [{ identity: Buffer.from("a"), key: Buffer.from("b") }];
    globalThis.kept = Array.from({ length: 10 }, () => new DtlsContext({ role: "client", psk }).connect());
    parentPort.postMessage(live().sessions);
  `;
  const before = addon().live();
  const folder = process.env["SLUICE_DTLS_ADDON"];
  const file = folder === undefined ? addonFile("dtls") : join(folder, `dtls-${process.arch}.node`);
  const worker = new Worker(code, { eval: true, workerData: { file } });
  const [inside] = await new Promise<unknown[]>((resolve, reject) => {
    const said: unknown[] = [];
    worker.on("message", (message) => said.push(message));
    worker.on("error", reject);
    worker.on("exit", () => resolve(said));
  });
  assert.equal(inside, before.sessions + 10);
  assert.ok(addon().live().sessions <= before.sessions);
});

test("the loader says in words why there is no addon", () => {
  const other = process.arch === "x64" ? "arm64" : "x64";
  assert.match(String(loadDtlsFrom([work], process.arch)), /^the DTLS addon is not built \(/);
  writeFileSync(join(work, `dtls-${other}.node`), "");
  assert.equal(loadDtlsFrom([work], process.arch), `the DTLS addon is built for ${other}, this is ${process.arch}`);
  writeFileSync(join(work, `dtls-${process.arch}.node`), "no ELF");
  assert.match(
    String(loadDtlsFrom([work], process.arch)),
    /^the DTLS addon does not load: .*(file too short|invalid ELF)/,
  );
  assert.equal(loadDtls(), loadDtls());
});

test("an addon of another version, and a module that is none, are refused", { skip }, () => {
  const folder = mkdtempSync(join(work, "other-"));
  copyFileSync(join(ROOT, "node_modules/better-sqlite3/prebuilds/linux-x64.node"), join(folder, "dtls-x64.node"));
  if (process.arch === "x64")
    assert.match(String(loadDtlsFrom([folder], "x64")), /is of another version than this program/);
});

test("an established pair has nothing more to say about itself", { skip }, () => {
  const pair = new DtlsPair(server({ psk }), client({ psk })).settle();
  assert.equal(pair.bits.client, ESTABLISHED);
  assert.deepEqual([pair.client.error, pair.session?.error, pair.client.peerCertificate], ["", "", null]);
});
