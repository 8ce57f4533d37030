/** What the tests of a file share: one running product, the tests' registration by version, and how to look at silence. */
import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../../support/gateway-process.ts";
import { type ConnectFields, type Packet, PINGRESP, pingreq, type Version } from "../../support/mqtt-packets.ts";
import { RawMqtt } from "../../support/raw-mqtt.ts";

export const NAMES: Readonly<Record<Version, string>> = { 4: "3.1.1", 5: "5.0" };
const PREFIXES: Readonly<Record<Version, string>> = { 4: "MQTT311-", 5: "MQTT5-" };

/** For each version in which a statement exists, its numbers there: { 4: ["3.1.0-1"], 5: ["3.1.0-1"] }. */
export type Ids = Partial<Readonly<Record<Version, readonly string[]>>>;

/**
 * One test per version that has ids; the title names exactly the ids of the version that the test speaks. A rule that the
 * specifications do not number has none in the list, and its section in the sentence.
 */
export function forVersions(
  ids: Ids,
  sentence: string,
  run: (version: Version, t: TestContext) => Promise<void>,
): void {
  for (const version of [4, 5] as const) {
    const numbers = ids[version];
    if (numbers === undefined) continue;
    const named = numbers.map((number) => `[${PREFIXES[version]}${number}] `).join("");
    test(`${named}${sentence} (${NAMES[version]})`, { timeout: 30_000 }, (t) => run(version, t));
  }
}

/** One product process for a test file. */
export class Product {
  #gateway: GatewayProcess | null = null;

  get gateway(): GatewayProcess {
    if (this.#gateway === null) throw new Error("not started yet: use the product inside a test");
    return this.#gateway;
  }

  set gateway(started: GatewayProcess) {
    this.#gateway = started;
  }

  get port(): number {
    return this.gateway.port();
  }

  /** A connection on which nothing was said yet. It is closed at the end of the test. */
  async open(t: TestContext): Promise<RawMqtt> {
    const raw = await RawMqtt.open(this.port);
    t.after(() => raw.socket.destroy());
    return raw;
  }

  /** A connection whose CONNECT was accepted; a client id that no other test uses, unless given. */
  async connected(t: TestContext, version: Version, fields: Partial<ConnectFields> = {}): Promise<RawMqtt> {
    const raw = await RawMqtt.connected(this.port, { version, clientId: unique("client"), ...fields });
    t.after(() => raw.socket.destroy());
    return raw;
  }
}

const LISTENERS = [{ type: "mqtt", bind: "127.0.0.1:0" }];

type Config = Record<string, unknown>;

/**
 * Starts the product before the file's tests and ends it after them.
 * @param config what differs from one MQTT listener; a function gets the product's folder, to put files there
 */
export function product(config: Config | ((folder: string) => Config | Promise<Config>) = {}): Product {
  const shared = new Product();
  const folder = temporaryFolder();
  before(async () => {
    const own = typeof config === "function" ? await config(folder.path) : config;
    const gateway = new GatewayProcess(folder.path, { listeners: LISTENERS, log: { level: "warn" }, ...own });
    shared.gateway = gateway;
    await gateway.start();
  });
  after(async () => {
    await shared.gateway[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });
  return shared;
}

let used = 0;

/** A client id or topic that no other test of this process uses. */
export function unique(word: string): string {
  used++;
  return `${word}-${used}`;
}

/** Waits until the gateway has taken all that was sent to it, and takes nothing of what came but the PINGRESP. */
export async function settled(raw: RawMqtt): Promise<void> {
  raw.send(pingreq());
  const answered = (): number => raw.packets.findIndex(({ type }) => type === PINGRESP);
  await eventually("PINGRESP", () => answered() >= 0 || raw.closed);
  if (answered() < 0) throw new Error("the connection was closed");
  raw.packets.splice(answered(), 1);
}

/**
 * Takes everything that the gateway had sent by now: a PINGREQ is answered after it, so an empty list shows silence
 * without waiting for it. What another connection caused is in it once that connection is settled.
 */
export async function untilNow(raw: RawMqtt): Promise<Packet[]> {
  await settled(raw);
  return raw.packets.splice(0);
}

/** The gateway closed the connection: in 5.0 with this reason in a DISCONNECT, in 3.1.1 without a word. */
export async function assertClosed(raw: RawMqtt, version: Version, reason: number): Promise<void> {
  assert.equal(await raw.end(), version === 5 ? reason : null);
}

/** Each of these, sent on a connection of its own, closes it with this reason. */
export async function assertEachCloses(
  sluice: Product,
  t: TestContext,
  version: Version,
  reason: number,
  wrong: readonly Buffer[],
): Promise<void> {
  await Promise.all(
    wrong.map(async (packet) => {
      const client = await sluice.connected(t, version);
      client.send(packet);
      await assertClosed(client, version, reason);
    }),
  );
}
