// Test whether what a CON was answered stands, whatever happens to the gateway and its disk: kill -9 in the middle of
// publishing, uploading and deleting on a slow disk, and a disk that is full, or fails, for a while.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../src/base/random.ts";
import { requestOf } from "../support/coap-messages.ts";
import { GatewayOnDisk } from "../support/disk.ts";
import { eventually } from "../support/eventually.ts";
import type { GatewayProcess } from "../support/gateway-process.ts";
import { MqttCollector, persistent } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { type Answer, RawCoap } from "../support/raw-coap.ts";

const LONG = process.env["SLUICE_LONG"];
const SEED = LONG === undefined ? 1 : Number(LONG);
const KILLS = LONG === undefined ? 2 : 40;
const CLIENTS = 6;
/** Of a sync; the group of the commits behind it grows meanwhile. */
const SLOW_MS = 15;
const skip = requirePeer("cc");

const onDisk = (): GatewayOnDisk => new GatewayOnDisk({ type: "coap", bind: "127.0.0.1:0", rate: 100_000 });

/** A session that subscribed at QoS 1 and is away; its messages come to whoever opens it again. */
async function away(gateway: GatewayProcess, filter: string): Promise<void> {
  await using session = await MqttCollector.open(gateway.port(), filter, persistent("away"));
  assert.equal(session.messages.length, 0);
}

/** What each client was answered, and what it asked for since and knows nothing of. */
class Ledger {
  readonly published: string[] = [];
  /** Topic -> value, or null when it was deleted; what was asked last, and not answered, may hold as well. */
  readonly values = new Map<string, string | null>();
  readonly asked = new Map<string, string | null>();
}

test(`kill -9 in the middle of PUTs, uploads and DELETEs, ${KILLS} times: what was answered is there`, {
  skip,
}, async (context) => {
  await using disk = onDisk();
  const { gateway } = disk;
  await gateway.start();
  await away(gateway, "log/#");
  disk.is(`slow_us=${SLOW_MS * 1000}`);
  const random = seededRandom(SEED);
  const ledger = new Ledger();
  for (let kill = 0; kill < KILLS; kill++) {
    const killed = Promise.withResolvers<null>();
    let answers = 60 + Math.floor(random() * 120);
    const clients = Array.from({ length: CLIENTS }, async (_, n) => {
      using client = await RawCoap.open(gateway);
      for (let round = 0; ; round++) {
        if ((await Promise.race([act(client, ledger, `${kill}-${n}`, round), killed.promise])) === null) return;
        if (--answers === 0) gateway.signal("SIGKILL");
        if (answers <= 0) killed.resolve(null);
      }
    });
    await Promise.all(clients);
    await gateway.end("SIGKILL");
    await gateway.start();
    using client = await RawCoap.open(gateway);
    for (const [topic, value] of ledger.values) {
      const found = await retainedValue(client, topic);
      const wanted = [value, ledger.asked.get(topic)];
      assert.ok(
        wanted.includes(found),
        `${topic}: ${found?.slice(0, 20)} in place of ${wanted.join(" or ").slice(0, 50)}`,
      );
      ledger.values.set(topic, found);
    }
  }
  await using back = await MqttCollector.open(gateway.port(), "log/#", persistent("away"));
  const got = () => new Set(back.payloads);
  await eventually("all that was answered is delivered", () => ledger.published.every((payload) => got().has(payload)));
  context.diagnostic(`${ledger.published.length} published, ${ledger.values.size} retained topics`);
  assert.ok(ledger.published.length > 20 * KILLS && ledger.values.size > 0);
});

async function retainedValue(client: RawCoap, topic: string): Promise<string | null> {
  const { code } = await client.request(`/ps/${topic}`);
  return code === "4.04" ? null : (await client.download(`/ps/${topic}`)).toString();
}

/** One of what a client does, and what it was answered. */
async function act(client: RawCoap, ledger: Ledger, name: string, round: number): Promise<true> {
  const topic = `state/${name}`;
  const value = `${name}:${round}`.padEnd(round % 6 === 4 ? 2500 : 1, ".");
  switch (round % 6) {
    case 3:
      ledger.asked.set(topic, null);
      assert.equal((await client.request(`/ps/${topic}`, { code: "DELETE" })).code, "2.02");
      ledger.values.set(topic, null);
      break;
    case 1:
    case 4: {
      ledger.asked.set(topic, value);
      const { code } = await client.upload(`/ps/${topic}?retain=true`, Buffer.from(value), {
        options: [{ name: "292", value: Buffer.of(round) }],
      });
      assert.match(code, /2\.0[14]/);
      ledger.values.set(topic, value);
      break;
    }
    default:
      assert.equal((await client.put(`/ps/log/${name}`, value)).code, "2.04");
      ledger.published.push(value);
  }
  return true;
}

/** Each with Max-Age, and the reason in words. */
function assertRefused(answers: readonly Answer[]): void {
  for (const [n, { code, options, payload }] of answers.entries()) {
    assert.deepEqual([n, code, options.get("Max-Age")?.toString("hex")], [n, "5.03", "0a"], payload);
    assert.notEqual(payload, "");
  }
}

const BIG = Buffer.alloc(3000, "b");

/** Each way to ask for something that has to be stored. */
async function askAll(client: RawCoap): Promise<Answer[]> {
  return [
    await client.put("/ps/log/1", "refused".padEnd(900, ".")),
    await client.put("/ps/state?retain=true", "refused"),
    await client.upload("/ps/log/2", BIG),
    await client.request("/ps/state", { code: "DELETE" }),
  ];
}

/** Who is there, and needs no disk, gets what comes. */
async function assertLive(gateway: GatewayProcess, client: RawCoap): Promise<void> {
  await using live = await MqttCollector.open(gateway.port(), "live/#");
  assert.equal((await client.put("/ps/live/1", "live", { confirmable: false })).code, "2.04");
  assert.equal((await live.take(1))[0]?.payload, "live");
}

test("a disk that is full: 5.03 with Max-Age, the same to who repeats, and 2.04 when there is room", {
  skip,
}, async () => {
  await using disk = onDisk();
  const { gateway } = disk;
  await gateway.start();
  await away(gateway, "log/#");
  using client = await RawCoap.open(gateway);
  assert.equal((await client.put("/ps/state?retain=true", "before")).code, "2.01");
  disk.is("full=1");
  // Some room is left in the files that are there.
  const taken: string[] = [];
  const filler = () => `${taken.length}`.padEnd(1000, "f");
  while ((await client.put("/ps/log/filler", filler())).code === "2.04") taken.push(filler());
  assertRefused(await askAll(client));
  await assertLive(gateway, client);
  assert.equal((await client.request("/ps/state")).payload, "before");
  const messageId = client.nextMessageId();
  const again = { code: "PUT", messageId, token: Buffer.of(1), confirmable: true, payload: Buffer.from("again") };
  const first = await client.request("/ps/log/3", again);
  assertRefused([first]);

  disk.is("");
  await eventually("publishes are taken", async () => (await client.put("/ps/log/1", "later")).code === "2.04");
  const copies = client.received.length;
  client.send(requestOf(again, "/ps/log/3"));
  await eventually("an answer", () => client.received.length > copies);
  assert.equal(client.received.at(-1), first.bytes.toString("hex"), "its Message ID was answered before");
  assert.equal((await client.upload("/ps/log/2", BIG)).code, "2.04");
  assert.equal((await client.request("/ps/state", { code: "DELETE" })).code, "2.02");
  await using back = await MqttCollector.open(gateway.port(), "log/#", persistent("away"));
  await eventually("what was taken comes", () => back.payloads.includes(BIG.toString()));
  assert.deepEqual(new Set(back.payloads), new Set([...taken, "later", BIG.toString()]));
});

test("a disk that fails: 5.03 with Max-Age to all that it would keep or knows, until the gateway starts on a good one", {
  skip,
}, async () => {
  await using disk = onDisk();
  const { gateway } = disk;
  await gateway.start();
  await away(gateway, "log/#");
  using client = await RawCoap.open(gateway);
  assert.equal((await client.put("/ps/state?retain=true", "before")).code, "2.01");
  assert.equal((await client.put("/ps/other?retain=true", "other")).code, "2.01");
  disk.is("eio_sync=1");
  assertRefused(await askAll(client));
  assertRefused([await client.request("/ps/other")]);
  assertRefused([await client.request("/ps/other", { code: "DELETE" })]);
  assert.equal((await client.request("/ps/nothing")).code, "4.04");
  assert.equal((await client.request("/health")).code, "5.03");
  await assertLive(gateway, client);

  disk.is("");
  await gateway.end();
  await gateway.start();
  using after = await RawCoap.open(gateway);
  assert.equal((await after.request("/ps/other")).payload, "other");
  assert.equal((await after.upload("/ps/log/2", BIG)).code, "2.04");
  assert.equal((await after.request("/ps/state", { code: "DELETE" })).code, "2.02");
});
