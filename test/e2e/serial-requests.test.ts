// Requests over serial lines: each framing, and all that can become of a response; over pairs of pseudo terminals.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { IClientOptions } from "mqtt";
import { memoryOf } from "../../scripts/kept/proc.ts";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, LAUNCHER, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { PtyDevice } from "../support/line-device.ts";
import { MqttCollector, persistent } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";

/** On the wire in hexadecimal; what is asked and answered is without what the framing adds. */
const FRAMINGS = [
  { name: "slip", framing: "slip", asks: "01c002", heard: "c001dbdc02c0", says: "c0dbdd07c0", answer: "db07" },
  { name: "cobs", framing: "cobs", asks: "1100", heard: "02110100", says: "03112200", answer: "1122" },
  {
    name: "length",
    framing: { type: "length", bytes: 2 },
    asks: "677574",
    heard: "0003677574",
    says: "00026f6b",
    answer: "6f6b",
  },
  {
    name: "idle",
    framing: { type: "idle", gap_ms: 20 },
    check: "crc16-modbus",
    asks: "0207",
    heard: "02074112",
    says: "02074112",
    answer: "0207",
  },
] as const;

test("requests go over every framing; what silence ends is a response, too", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using stack = new AsyncDisposableStack();
  const lines = FRAMINGS.map((framing) => {
    const own = join(folder.path, framing.name);
    mkdirSync(own);
    return { ...framing, cable: stack.use(new Cable(own)) };
  });
  for (const { cable } of lines) await cable.plug();
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: lines.map((line) => ({
      name: line.name,
      port: line.cable.port,
      framing: line.framing,
      check: "check" in line ? line.check : "none",
      publish: "off",
      write: { topic: `ask/${line.name}`, format: "hex", request: { timeout: "10s" } },
    })),
  });
  await gateway.start();
  await gateway.opened(lines.length);
  await using client = await MqttCollector.open(gateway.port(), "answers/#");
  for (const { name, cable, asks, heard, says, answer } of lines) {
    const properties = { responseTopic: `answers/${name}` };
    // The second one is written when the first has its response.
    for (const _ of [1, 2]) await client.client.publishAsync(`ask/${name}`, asks, { qos: 1, properties });
    let hex = "";
    const hears = (times: number) => () => {
      hex += cable.hear().toString("hex");
      return hex === heard.repeat(times);
    };
    for (const time of [1, 2]) {
      await eventually(`${name} hears ${heard}`, hears(time));
      cable.say(Buffer.from(says, "hex"));
      const [response] = await client.take(1);
      assert.deepEqual([response?.topic, response?.payload], [`answers/${name}`, answer]);
    }
  }
  assert.equal(await gateway.end(), 0);
});

/** A line that is asked, with an access list. */
class Site implements AsyncDisposable {
  readonly folder = temporaryFolder();
  readonly cable = new Cable(this.folder.path);
  readonly gateway: GatewayProcess;

  constructor(timeout: string, limits: Record<string, unknown> = {}) {
    const acl = join(this.folder.path, "acl");
    writeFileSync(
      acl,
      "topic readwrite #\nuser serial:bus\ntopic read bus/ask\ntopic write bus/says\ntopic write answers/#\n",
    );
    const request = { timeout, match: "R*" };
    this.gateway = new GatewayProcess(this.folder.path, {
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
      auth: { anonymous: "loopback", acl_file: acl },
      limits,
      serial: [
        { name: "bus", port: this.cable.port, publish: { topic: "bus/says" }, write: { topic: "bus/ask", request } },
      ],
    });
  }

  async start(): Promise<this> {
    await this.cable.plug();
    await this.gateway.start();
    await this.gateway.opened();
    return this;
  }

  client(options: IClientOptions = {}): Promise<MqttCollector> {
    return MqttCollector.open(this.gateway.port(), "#", options);
  }

  async counter(name: string): Promise<number> {
    const { stdout } = await sluice(["status", "--json", "--data-dir", join(this.folder.path, "data")]);
    return (JSON.parse(stdout) as { counters: Record<string, number> }).counters[name] ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    await this.cable[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

const ask = (client: MqttCollector, question: string, responseTopic: string) =>
  client.client.publishAsync("bus/ask", question, { qos: 1, properties: { responseTopic } });

/** Of what was published, without the questions. */
const said = ({ messages }: MqttCollector) =>
  messages.filter(({ topic }) => topic !== "bus/ask").map(({ topic, payload }) => `${topic} ${payload}`.trim());

test("a second answer, and one that comes too late, go the way of all frames; the next request has its own", {
  skip: requirePeer("socat"),
}, async () => {
  await using site = await new Site("3s").start();
  await using client = await site.client();
  await ask(client, "one", "answers/1");
  await eventually("the question", () => site.cable.heard === "one\n");
  site.cable.say("R 1\nR 1 again\n");
  await eventually("both", () => said(client).length === 2);
  await ask(client, "two", "answers/2");
  await eventually("the timeout", () => said(client).length === 3);
  site.cable.say("R 2 late\n");
  await eventually("the late one", () => said(client).length === 4);
  await ask(client, "three", "answers/3");
  await eventually("the question", () => site.cable.heard.endsWith("three\n"));
  site.cable.say("R 3\n");
  await eventually("the last one", () => said(client).length === 5);
  assert.deepEqual(said(client), [
    "answers/1 R 1",
    "bus/says R 1 again",
    "answers/2",
    "bus/says R 2 late",
    "answers/3 R 3",
  ]);
});

test("responses that reach nobody do not hold the wire up: denied, larger than their client takes, or nobody is there", {
  skip: requirePeer("socat"),
}, async () => {
  await using site = await new Site("60s").start();
  await using client = await site.client({ properties: { maximumPacketSize: 200 } });
  let questions = 0;
  const answered = async (by: MqttCollector, topic: string, answer: string) => {
    await ask(by, `${++questions}`, topic);
    await eventually("the question", () => site.cable.heard.endsWith(`${questions}\n`));
    site.cable.say(`R ${answer}\n`);
    await eventually("the answer", async () => (await site.counter("serial.responses")) === questions);
  };
  await answered(client, "secret/1", "denied");
  await answered(client, "answers/1", "large".repeat(50));
  const gone = await site.client();
  await ask(gone, `${++questions}`, "answers/gone");
  await gone[Symbol.asyncDispose]();
  await eventually("the question", () => site.cable.heard.endsWith(`${questions}\n`));
  site.cable.say("R to nobody\n");
  await answered(client, "answers/2", "in the end");
  await eventually("the last answer", () => said(client).includes("answers/2 R in the end"));
  assert.deepEqual(said(client), ["answers/gone R to nobody", "answers/2 R in the end"]);
  assert.equal(await site.counter("serial.responses_denied"), 1);
  assert.equal(await site.counter("serial.request_timeouts"), 0);
  assert.match(site.gateway.stderr, /serial-response-denied name=serial:bus topic=secret\/1/);
});

test("a response that its client's full session refuses is held, and the next request with it, until there is room", {
  skip: requirePeer("socat"),
}, async () => {
  await using site = await new Site("60s", { session_queue_messages: 2, session_when_full: "refuse" }).start();
  const port = site.gateway.port();
  const asker = () => MqttCollector.open(port, "answers/#", persistent("asker"));
  await (await asker())[Symbol.asyncDispose]();
  await using client = await MqttCollector.open(port, "none");
  for (const i of [1, 2, 3]) {
    await ask(client, `${i}`, "answers/1");
    await eventually("the question", () => site.cable.heard.endsWith(`${i}\n`));
    site.cable.say(`R ${i}\n`);
    await eventually("the answer", async () => (await site.counter("serial.responses")) === i);
  }
  await ask(client, "4", "answers/1");
  assert.equal(site.cable.heard, "1\n2\n3\n");
  await using back = await asker();
  await eventually("the last question", () => site.cable.heard === "1\n2\n3\n4\n");
  assert.equal(await site.counter("serial.request_timeouts"), 0);
  site.cable.say("R 4\n");
  const payloads = (await back.take(4)).map(({ payload }) => payload);
  assert.deepEqual(payloads, ["R 1", "R 2", "R 3", "R 4"]);
  assert.equal(await site.counter("serial.responses_refused"), 0);
});

test("devices that answer with 10 MB, or with garbage for ever, slow nobody beside them", {
  skip: requirePeer("python3"),
}, async () => {
  using folder = temporaryFolder();
  await using stack = new AsyncDisposableStack();
  const huge = await devices(stack, (socket) => {
    socket.on("data", () => socket.write(Buffer.alloc(10_000_000, "R")));
  });
  const chatty = await devices(stack, (socket) => {
    const garbage = Buffer.from("R garbage\n".repeat(5000));
    const say = (): void => {
      while (socket.writable && socket.write(garbage));
      socket.once("drain", say);
    };
    say();
  });
  const good = stack.use(new PtyDevice(folder.path, "good", "R "));
  await good.plug();
  const request = { timeout: "3s", match: "R*" };
  const lines = { huge, chatty, good: good.port };
  await using gateway = new GatewayProcess(
    folder.path,
    {
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
      serial: Object.entries(lines).map(([name, port]) => {
        return { name, port, publish: "off", write: { topic: `ask/${name}`, request } };
      }),
    },
    {},
    [LAUNCHER],
  );
  await gateway.start();
  await gateway.opened(3);
  await using client = await MqttCollector.open(gateway.port(), "answers/#");
  const askAt = (name: string, question: string) =>
    client.client.publishAsync(`ask/${name}`, question, { qos: 1, properties: { responseTopic: `answers/${name}` } });
  const answers = (name: string) => client.messages.filter(({ topic }) => topic === `answers/${name}`);
  const hugeAsked = 1;
  const asked = 25;
  for (let i = 0; i < hugeAsked; i++) await askAt("huge", "?");
  for (let i = 1; i <= asked; i++) {
    await askAt("chatty", "?");
    await askAt("good", `${i}`);
    await eventually("both answers", () => answers("good").length === i && answers("chatty").length === i);
  }
  await eventually("word of the timeouts", () => answers("huge").length === hugeAsked);
  assert.deepEqual([...new Set(answers("chatty").map(({ payload }) => payload))], ["R garbage"]);
  for (const { payload, packet } of answers("huge")) {
    assert.deepEqual([payload, packet.properties?.userProperties?.["serial-error"]], ["", "timeout"]);
  }
  assert.deepEqual(
    answers("good").map(({ payload }) => payload),
    Array.from({ length: asked }, (_, i) => `R ${i + 1}`),
  );
  assert.ok(memoryOf(gateway.pid).rssBytes < 128e6, "as hostile devices that are not asked");
});

/** A terminal server with `serve` for each connection. @returns its place for the configuration */
async function devices(stack: AsyncDisposableStack, serve: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}); // the gateway ends
    serve(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.defer(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `tcp://127.0.0.1:${(server.address() as { port: number }).port}`;
}
