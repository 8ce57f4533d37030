import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { RENEW_RETRY_MS } from "../../../../src/uplink/link/credentials.ts";
import { expiryOf } from "../../../../src/uplink/link/token.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import type { FakeConnection } from "../fake-server.ts";
import { forward, UplinkWorld } from "../uplink-world.ts";

const MINUTE = 60_000;

function webToken(claims: unknown): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "RS256", typ: "JWT" })}.${part(claims)}.c2lnbmF0dXJl`;
}

function signature(seconds: number): string {
  return `SharedAccessSignature sr=hub.azure-devices.net%2Fdevices%2Fgw&sig=aB%2Bc%3D&se=${seconds}`;
}

test("the expiry of a token is its exp or se; what is no token has none", () => {
  const cases: [password: string, seconds: number | null][] = [
    [webToken({ exp: 1_700_000_000 }), 1_700_000_000],
    [webToken({ exp: 1_700_000_000.5, aud: "x" }), 1_700_000_000.5],
    [signature(1_700_000_000), 1_700_000_000],
    [`${signature(1_700_000_000)}&skn=policy`, 1_700_000_000],
    ["SharedAccessSignature se=1700000000&sr=hub&sig=x", 1_700_000_000],
    [webToken({ sub: "no end" }), null],
    [webToken({ exp: "soon" }), null],
    [webToken(null), null],
    [webToken([1]), null],
    ["a.b.c", null],
    ["a password", null],
    ["", null],
    [webToken({ exp: -1 }), null],
    [webToken({ exp: 1e15 }), null],
    ["SharedAccessSignature sr=hub&sig=x", null],
    ["SharedAccessSignature sr=hub&use=1700000000", null],
    [`${webToken({ exp: 1_700_000_000 })}${"x".repeat(20_000)}`, null],
  ];
  for (const [password, seconds] of cases) {
    assert.equal(expiryOf(Buffer.from(password)), seconds === null ? null : seconds * 1000, password.slice(0, 80));
  }
});

interface Tokened {
  readonly world: UplinkWorld;
  /** Puts a token into the file that expires so long from now. */
  put(lifeMs: number): string;
}

function tokened(t: TestContext, renewBeforeMs = 5 * MINUTE): Tokened {
  const folder = mkdtempSync(join(tmpdir(), "token-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const passwordFile = join(folder, "pw");
  const options = { username: "gw", passwordFile, renewBeforeMs, keepaliveMs: 60_000_000, forward: [forward("#")] };
  const world = new UplinkWorld(options);
  return {
    world,
    put(lifeMs) {
      const token = signature(Math.round((world.server.clock.wallMs() + lifeMs) / 1000));
      writeFileSync(passwordFile, `${token}\n`);
      return token;
    },
  };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** Long enough for a look into the file, mostly: for what is not to happen. */
async function looked(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function connect({ world }: Tokened): Promise<FakeConnection> {
  await until(() => world.server.dialling);
  return world.accept(false);
}

/** A later token was found. */
function renews(world: UplinkWorld): Promise<void> {
  return until(() => world.log.some((line) => line.includes("uplink-renews")));
}

function told(world: UplinkWorld): number {
  return world.log.filter((line) => line.includes("uplink-token-expires")).length;
}

test("ahead of its expiry the file is read again, and with a later token the connection is made anew in order", async (t) => {
  const made = tokened(t);
  const { world } = made;
  made.put(60 * MINUTE);
  world.uplink.start();
  const connection = await connect(made);
  world.server.advance(54 * MINUTE);
  const later = made.put(60 * MINUTE);
  await looked();
  assert.equal(world.uplink.status().state, "live", "not before it is time");
  world.server.advance(MINUTE - 500);
  world.publish("a", "1");
  const { packetId } = connection.takeOne(codes.PUBLISH);
  world.server.advance(600);
  await renews(world);
  assert.deepEqual(connection.take(), []);
  connection.puback(packetId);
  world.persist();
  connection.takeOne(codes.DISCONNECT);
  connection.drop();
  await until(() => world.server.dialling);
  assert.equal(world.server.accept().takeOne(codes.CONNECT).connect?.password, later);
  assert.equal(world.counters.get("uplink.cloud.failures"), 0);
  assert.equal(told(world), 0);
});

test("while the file holds no later token that is said once, the file looked into again, and the connection kept", async (t) => {
  const made = tokened(t);
  const { world } = made;
  made.put(60 * MINUTE);
  world.uplink.start();
  const connection = await connect(made);
  world.server.advance(55 * MINUTE + 100);
  await until(() => told(world) > 0);
  for (let i = 0; i < 20; i++) {
    await looked();
    world.server.advance(RENEW_RETRY_MS);
  }
  assert.deepEqual([world.uplink.status().state, told(world)], ["live", 1]);
  made.put(60 * MINUTE);
  await until(() => {
    world.server.advance(RENEW_RETRY_MS);
    return world.log.some((line) => line.includes("uplink-renews"));
  });
  world.persist();
  connection.takeOne(codes.DISCONNECT);
});

test("a token that lives shorter than renew_before is replaced at half of its life", async (t) => {
  const made = tokened(t, 60 * MINUTE);
  made.put(10 * MINUTE);
  made.world.uplink.start();
  const connection = await connect(made);
  made.put(12 * MINUTE);
  made.world.server.advance(4 * MINUTE);
  await looked();
  assert(!connection.ended);
  made.world.server.advance(MINUTE + 100);
  await renews(made.world);
  made.world.persist();
  connection.takeOne(codes.DISCONNECT);
});

test("an expired token is tried, and named when the server refuses it", async (t) => {
  const made = tokened(t);
  const { world } = made;
  made.put(-60_000);
  world.uplink.start();
  await until(() => world.server.dialling);
  const connection = world.server.accept();
  connection.take();
  connection.connack({ code: codes.NOT_AUTHORIZED });
  connection.drop();
  assert.equal(
    world.uplink.status().lastError,
    "refused: not authorised; the token in password_file expired on 2023-11-14 22:12 UTC",
  );
});

test("a clock that is not set decides nothing: no token is expired, none is renewed", async (t) => {
  const made = tokened(t);
  const { world } = made;
  made.put(-60_000);
  world.clockSet = false;
  world.uplink.start();
  await until(() => world.server.dialling);
  const refused = world.server.accept();
  refused.take();
  refused.connack({ code: codes.NOT_AUTHORIZED });
  refused.drop();
  assert.equal(world.uplink.status().lastError, "refused: not authorised");
  world.server.advance(2000);
  const connection = await connect(made);
  made.put(60 * MINUTE);
  world.server.advance(10 * MINUTE);
  await looked();
  assert(!connection.ended);
  world.clockSet = true;
  world.server.advance(MINUTE);
  await renews(world);
  world.persist();
  connection.takeOne(codes.DISCONNECT);
});

test("a password of several pieces is read as a whole", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "long-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "pw");
  for (const length of [4095, 4096, 4097, 65_535]) {
    writeFileSync(path, `${"x".repeat(length - 1)}y\n`);
    const world = new UplinkWorld({ username: "gw", passwordFile: path });
    world.uplink.start();
    await until(() => world.server.dialling);
    const { connect } = world.server.accept().takeOne(codes.CONNECT);
    assert.equal(connect?.password?.length, length);
    assert.equal(connect?.password?.at(-1), "y");
  }
});

test("a password that is longer than MQTT takes is not read to its end", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "long-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "pw");
  writeFileSync(path, "x".repeat(70_000));
  const world = new UplinkWorld({ username: "gw", passwordFile: path });
  world.uplink.start();
  await until(() => world.uplink.status().lastError !== null);
  assert.match(world.uplink.status().lastError ?? "", /is longer than 65,535 bytes$/);
});
