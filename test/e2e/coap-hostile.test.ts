// Test whether the gateway, as a process with its sockets, stays silent where it must, serves others while it is flooded
// from ten thousand sources, and forgets them all.
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { memoryOf } from "../../scripts/kept/proc.ts";
import { Mutations, validMessages, wrongMessages } from "../support/coap-hostile.ts";
import { requestOf } from "../support/coap-messages.ts";
import { complaintAbout, verdictOn } from "../support/coap-oracle.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, LAUNCHER, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MovedClock } from "../support/moved-clock.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { RawCoap } from "../support/raw-coap.ts";
import { requireSpoof, spoof } from "../support/udp-spoof.ts";

/** `npm test -- --long SEED` goes on from another seed, for longer. */
const LONG = process.env["SLUICE_LONG"];
const SEED = LONG === undefined ? 1 : Number(LONG);
const MUTATIONS = LONG === undefined ? 6_000 : 200_000;
/** Datagrams on their way at a time; the gateway's socket holds more. */
const BATCH = 64;
const FLOOD = { count: 10_000, perSecond: 16_000 } as const;
const REQUESTS = LONG === undefined ? 40_000 : 1_000_000;
const SOURCES = 16;
const WINDOW = 4;
/** Until then code is compiled, and malloc's heap grows to what garbage there is between two collections. */
const WARM_REQUESTS = 40_000;
const RSS_GROWTH_MAX = 8e6;
/** On a machine of two cores that runs the flood and other tests, too. */
const CALM_MS = 30;
const SLOWER_MAX = 10;

async function startGateway(
  folder: string,
  listener: Record<string, unknown> = {},
  env: NodeJS.ProcessEnv = {},
): Promise<GatewayProcess> {
  const listeners = [
    { type: "mqtt", bind: "127.0.0.1:0" },
    { type: "coap", bind: "127.0.0.1:0", ...listener },
  ];
  const gateway = new GatewayProcess(folder, { listeners }, env, [LAUNCHER]);
  await gateway.start();
  return gateway;
}

let sources = 0;

/** A socket at an address that no other of this test has. */
async function stranger(): Promise<Socket> {
  const socket = createSocket("udp4");
  const n = sources++;
  socket.bind(0, `127.${1 + ((n >> 16) & 63)}.${(n >> 8) & 255}.${n & 255}`);
  await once(socket, "listening");
  return socket;
}

/** Sends each from a source of its own, a ping behind it; all that came before the ping's RST is judged. */
async function judge(gateway: GatewayProcess, batch: readonly (readonly [string, Buffer])[]): Promise<void> {
  const port = gateway.port("coap");
  const cases = await Promise.all(
    batch.map(async ([name, datagram]) => {
      const socket = await stranger();
      // A Message ID that the datagram has not.
      const pingId = ((datagram.length < 4 ? 0 : datagram.readUInt16BE(2)) ^ 0x5555).toString(16).padStart(4, "0");
      const answers: Buffer[] = [];
      let fenced = false;
      socket.on("message", (bytes) => {
        if (bytes.toString("hex") === `7000${pingId}`) fenced = true;
        else if (!isOwn(bytes)) answers.push(bytes);
      });
      const ping = () => socket.send(Buffer.from(`4000${pingId}`, "hex"), port, "127.0.0.1");
      socket.send(datagram, port, "127.0.0.1");
      ping();
      const again = setInterval(ping, 1000);
      // What waits for the disk is answered later than the ping.
      const answered = () => verdictOn(datagram).answer !== "acknowledgement" || answers.length > 0;
      return { name, datagram, socket, answers, again, isSettled: () => fenced && answered() };
    }),
  );
  try {
    const late = () => cases.filter(({ isSettled }) => !isSettled()).map(({ name }) => name);
    await eventually("all are settled", () => late().length === 0).catch((error: Error) => {
      throw new Error(`${error.message}, but for ${late()}`);
    });
    for (const { name, datagram, answers } of cases) {
      const complaint = complaintAbout(datagram, answers);
      const show = (bytes: Buffer) => bytes.subarray(0, 300).toString("hex");
      assert.equal(complaint, null, `${name}: ${complaint}\n${show(datagram)}\n${answers.map(show).join("\n")}`);
    }
  } finally {
    for (const { socket, again } of cases) {
      clearInterval(again);
      socket.close();
    }
  }
}

/** A CON that begins with the gateway: a ping, or a notification of what a case before began to observe. */
function isOwn(bytes: Buffer): boolean {
  const [first = 0, code] = bytes;
  return (first & 0x30) === 0 && (code === 0 || code === 0x45);
}

test("over UDP each message of the tables and what grows from them is answered as RFC 7252 says, and nothing is logged", async () => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path);
  const table = [...validMessages(), ...wrongMessages()];
  const small = table.filter(([, { length }]) => length < 2000);
  for (let at = 0; at < small.length; at += BATCH) await judge(gateway, small.slice(at, at + BATCH));
  for (const each of table) if (each[1].length >= 2000) await judge(gateway, [each]);
  const mutations = new Mutations(SEED);
  for (let count = 0; count < MUTATIONS; count += BATCH) {
    const batch = Array.from({ length: BATCH }, (_, i) => [`seed ${SEED}, ${count + i}`, mutations.next()] as const);
    await judge(gateway, batch);
  }
  assert.doesNotMatch(gateway.stderr, /warn|error/);
  assert.equal(await gateway.end(), 0);
});

/** What a flood is made of, by what it is after. */
const FLOODS: Readonly<Record<string, readonly Buffer[]>> = {
  "requests that are done": ["CON", "NON"].flatMap((type) => [
    requestOf({ code: "PUT", confirmable: type === "CON", payload: Buffer.alloc(50, "f") }, "/ps/flood/1"),
    requestOf({ confirmable: type === "CON" }, "/ps/flood/2"),
  ]),
  "acknowledgements, resets, pings and garbage": [
    "60000000",
    "70000000",
    "40000000",
    "604500004142",
    "c0010000",
    "5f010000",
  ].map((hex) => Buffer.from(hex, "hex")),
  "what others would have to remember": ["observe", "first block of a PUT", "connection", "GET a block"].map(
    (name) => validMessages().get(name) as Buffer,
  ),
};

/** Median of what each of them took, in ms. */
async function putsOneByOne(client: RawCoap, when: { over: boolean } | number): Promise<{ count: number; ms: number }> {
  const took: number[] = [];
  while (typeof when === "number" ? took.length < when : !when.over) {
    const startedMs = performance.now();
    const { code } = await client.put("/ps/good/put", `${took.length}`);
    took.push(performance.now() - startedMs);
    assert.equal(code, "2.04");
  }
  return { count: took.length, ms: took.sort((a, b) => a - b)[took.length >> 1] ?? 0 };
}

test("while ten thousand forged sources flood it, a client is served, and all are forgotten", {
  skip: requireSpoof() || requirePeer("cc"),
  timeout: 60_000,
}, async (context) => {
  using folder = temporaryFolder();
  const clock = new MovedClock(folder.path);
  await using gateway = await startGateway(folder.path, { rate: 1_000_000 }, clock.env);
  await using subscriber = await MqttCollector.open(gateway.port(), "good/#");
  using client = await RawCoap.open(gateway);
  const calm = await putsOneByOne(client, 200);
  using watcher = await RawCoap.open(gateway);
  const early = await watcher.observe("/ps/watched/early");
  assert.ok(early.answer.options.has("Observe"));
  const served: number[] = [];
  for (const [what, templates] of Object.entries(FLOODS)) {
    const flood = { over: false };
    const flooding = spoof(gateway.port("coap"), templates, FLOOD).finally(() => {
      flood.over = true;
    });
    const { count, ms } = await putsOneByOne(client, flood);
    await flooding;
    context.diagnostic(`${what}: ${count} PUTs, median ${ms.toFixed(2)} ms; calm ${calm.ms.toFixed(2)} ms`);
    assert.ok(ms < Math.max(CALM_MS, SLOWER_MAX * calm.ms), `${what}: ${ms} ms; ${calm.ms} ms when it is calm`);
    assert.ok(count > 20, `${count} during ${what}`);
    served.push(count);
  }
  const before = memoryOf(gateway.pid).rssBytes;
  for (const templates of Object.values(FLOODS)) await spoof(gateway.port("coap"), templates, FLOOD);
  await putsOneByOne(client, 10);
  const { messages } = subscriber;
  const puts = served.reduce((sum, count) => sum + count, calm.count + 10);
  await eventually("each of the client's is there", () => messages.length === puts);
  tell(context, before, gateway);
  // Who observed before is still told, and who comes now finds room as soon as the forged ones have been silent for long.
  clock.set({ speed: 10 });
  let late = await watcher.observe("/ps/watched/late");
  await eventually("an observer is entered", async () => {
    if (!late.answer.options.has("Observe")) late = await watcher.observe("/ps/watched/late");
    return late.answer.options.has("Observe");
  });
  for (const topic of ["early", "late"]) assert.equal((await client.put(`/ps/watched/${topic}`, topic)).code, "2.04");
  await eventually("both are told", () => early.observed.value === "early" && late.observed.value === "late");
  const upload = async () => (await client.upload("/ps/good/big", Buffer.alloc(3000, "b"))).code;
  await eventually("an upload is taken", async () => (await upload()) === "2.04");
  assert.doesNotMatch(gateway.stderr, /error/);
});

function tell(context: TestContext, before: number, gateway: GatewayProcess): void {
  const after = memoryOf(gateway.pid).rssBytes;
  context.diagnostic(`RSS ${(before / 1e6).toFixed(1)} MB, then ${(after / 1e6).toFixed(1)} MB`);
  assert.ok(after - before < RSS_GROWTH_MAX, `RSS went from ${before} to ${after}`);
}

test(`${REQUESTS} CON PUTs from ${SOURCES} sources leave RSS within 8 MB`, async (context) => {
  using folder = temporaryFolder();
  await using gateway = await startGateway(folder.path, { rate: 1_000_000 });
  await putMany(gateway, WARM_REQUESTS);
  const before = memoryOf(gateway.pid).rssBytes;
  await putMany(gateway, REQUESTS);
  tell(context, before, gateway);
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  const { counters } = JSON.parse(stdout) as { counters: Record<string, number> };
  assert.ok((counters["coap.received"] ?? 0) >= REQUESTS + WARM_REQUESTS);
});

/** Each source has a few on their way, sends the next when one is acknowledged, and what the kernel lost again. */
async function putMany(gateway: GatewayProcess, count: number): Promise<void> {
  const port = gateway.port("coap");
  const template = requestOf({ code: "PUT", confirmable: true, payload: Buffer.alloc(50, "x") }, "/ps/many/x");
  await Promise.all(
    Array.from({ length: SOURCES }, async () => {
      const socket = await stranger();
      const waiting = new Map<number, Buffer>();
      let next = 0;
      const send = () => {
        const datagram = Buffer.from(template);
        const messageId = next++ & 0xffff;
        datagram.writeUInt16BE(messageId, 2);
        waiting.set(messageId, datagram);
        socket.send(datagram, port, "127.0.0.1");
      };
      socket.on("message", (bytes) => {
        assert.equal(bytes[1], 0x44);
        if (waiting.delete(bytes.readUInt16BE(2)) && next < count / SOURCES) send();
      });
      for (let n = 0; n < WINDOW; n++) send();
      const again = setInterval(() => {
        for (const datagram of waiting.values()) socket.send(datagram, port, "127.0.0.1");
      }, 2000);
      await eventually("all are acknowledged", () => waiting.size === 0, 60_000);
      clearInterval(again);
      socket.close();
    }),
  );
}
