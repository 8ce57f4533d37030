// Test whether the library's client keeps its promises at real servers, the product and mosquitto: over cut
// connections, a server that restarts without its sessions, WebSocket, TLS and a unix socket.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { makeCertificates } from "../../scripts/demo/certificates.ts";
import { seededRandom } from "../../src/base/random.ts";
import { type Client, type ClientEvent, type ConnectOptions, connect } from "../../src/client.ts";
import { BadLink } from "../support/bad-link.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { requirePeer } from "../support/peers.ts";

const QUICK: ConnectOptions["reconnect"] = { minDelayMs: 20, maxDelayMs: 50 };
const MOSQUITTO = requirePeer("mosquitto");

interface Server extends AsyncDisposable {
  readonly port: number;
}

async function product(folder: string): Promise<Server> {
  const limits = { handshakes_per_second: 10_000 };
  const gateway = new GatewayProcess(folder, { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }], limits });
  await gateway.start();
  return { port: gateway.port(), [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() };
}

const SERVERS = {
  sluice: { start: product, skip: false },
  mosquitto: { start: (folder: string): Promise<Server> => Mosquitto.start(folder), skip: MOSQUITTO },
} as const;

/** Takes messages for ever. */
async function collect(client: Client, into: string[]): Promise<void> {
  for await (const { topic, payload } of client.messages) into.push(`${topic} ${payload}`);
}

for (const name of ["sluice", "mosquitto"] as const) {
  for (const protocol of [5, 4] as const) {
    const { start, skip } = SERVERS[name];
    test(`${name}, MQTT ${protocol}: connections cut in the middle lose nothing; QoS 2 arrives once, in order`, {
      skip,
    }, async () => {
      using folder = temporaryFolder();
      await using server = await start(folder.path);
      await using outbound = await BadLink.open(server.port);
      await using inbound = await BadLink.open(server.port);
      const session = { protocol, cleanStart: false, sessionExpirySeconds: 600, reconnect: QUICK } as const;
      const got: string[] = [];
      await using subscriber = await connect({
        ...session,
        url: `mqtt://127.0.0.1:${inbound.port}`,
        clientId: "subscriber",
      });
      await subscriber.subscribe("q/#", { qos: 2 });
      const collecting = collect(subscriber, got);
      await using publisher = await connect({
        ...session,
        url: `mqtt://127.0.0.1:${outbound.port}`,
        clientId: "publisher",
      });
      const random = seededRandom(protocol * 7);
      for (let part = 0; part < 4; part++) {
        const cuts =
          part === 3 ? [] : [outbound, inbound].map((proxy) => proxy.cutAfter(50 + Math.floor(random() * 250)));
        const published = Array.from({ length: 60 }, (_, i) => {
          const qos = i % 2 === 0 ? 1 : 2;
          return publisher.publish(`q/${qos}`, `${part * 60 + i}`, { qos });
        });
        await Promise.all(published);
        await Promise.all(cuts);
      }
      const count = (qos: number): Set<string> => new Set(got.filter((text) => text.startsWith(`q/${qos}`)));
      await eventually("all are there", () => count(1).size === 120 && count(2).size === 120);
      const twos = got.filter((text) => text.startsWith("q/2"));
      assert.deepEqual(
        twos,
        Array.from({ length: 120 }, (_, i) => `q/2 ${2 * i + 1}`),
      );
      assert(outbound.connections >= 4 && inbound.connections >= 4);
      await subscriber.close();
      await collecting;
    });
  }

  test(`${name}: a server that restarts without its sessions is subscribed to again`, {
    skip: SERVERS[name].skip,
  }, async () => {
    using folder = temporaryFolder();
    const events: ClientEvent[] = [];
    let restart: () => Promise<void>;
    let port: number;
    await using stack = new AsyncDisposableStack();
    if (name === "sluice") {
      const first = stack.use(new GatewayProcess(folder.path, { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }] }));
      await first.start();
      port = first.port();
      restart = async () => {
        await first.end("SIGKILL");
        first.configure({
          data_dir: join(folder.path, "other"),
          listeners: [{ type: "mqtt", bind: `127.0.0.1:${port}` }],
        });
        await first.start();
      };
    } else {
      const broker = stack.use(await Mosquitto.start(folder.path));
      port = broker.port;
      restart = async () => {
        await broker.stop();
        await broker.restart();
      };
    }
    await using client = await connect({
      url: `mqtt://127.0.0.1:${port}`,
      clientId: "c",
      sessionExpirySeconds: 600,
      reconnect: QUICK,
      onEvent: (event) => events.push(event),
    });
    await client.subscribe("t", { qos: 1 });
    await restart();
    await eventually("connected again", () => events.filter(({ type }) => type === "connected").length === 2);
    await client.publish("t", "after", { qos: 1 });
    assert.equal(`${(await client.messages.next()).value?.payload}`, "after");
  });
}

test("TCP, TLS, WebSocket, secure WebSocket and a unix socket, from the client and from sluice pub and sub", async () => {
  using folder = temporaryFolder();
  const { ca, issued } = await makeCertificates(join(folder.path, "certificates"), [
    { name: "gateway", usage: "server" },
  ]);
  const socket = join(folder.path, "mqtt.sock");
  const tls = issued[0];
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [
      { type: "mqtt", bind: "127.0.0.1:0" },
      { type: "mqtt", bind: "127.0.0.1:0", tls },
      { type: "ws", bind: "127.0.0.1:0", path: "/mqtt" },
      { type: "ws", bind: "127.0.0.1:0", path: "/other", tls },
      { type: "mqtt", bind: `unix:${socket}` },
    ],
  });
  await gateway.start();
  const urls = [
    `mqtt://127.0.0.1:${gateway.port()}`,
    `mqtts://localhost:${gateway.port("mqtt", 1)}`,
    `ws://127.0.0.1:${gateway.port("ws")}`,
    `wss://localhost:${gateway.port("ws", 1)}/other`,
    `unix:${socket}`,
  ];
  for (const url of urls) {
    await using client = await connect({ url, tls: { ca }, protocol: url.startsWith("unix") ? 3 : 5, clientId: "c" });
    await client.subscribe("t", { qos: 2 });
    const payload = Buffer.alloc(100_000, url);
    await client.publish("t", payload, { qos: 2 });
    assert(payload.equals((await client.messages.next()).value?.payload ?? Buffer.alloc(0)), url);
    const secure = /^(mqtts|wss)/.test(url) ? ["--cafile", ca] : [];
    const { code, stderr } = await sluice(["pub", "--url", url, ...secure, "-t", "t", "-m", "by hand", "-q", "1"]);
    assert.equal(code, 0, stderr);
    assert.equal(`${(await client.messages.next()).value?.payload}`, "by hand");
  }
  await assert.rejects(connect({ url: `ws://127.0.0.1:${gateway.port("ws")}/wrong` }), {
    code: "unreachable",
    message: /404/,
  });
  await assert.rejects(connect({ url: `mqtts://localhost:${gateway.port("mqtt", 1)}` }), { code: "unreachable" });
  await assert.rejects(connect({ url: `unix:${socket}.none` }), { code: "unreachable" });
});

test("[MQTT5-3.3.4-9] manual acknowledgement holds the server back at receiveMaximum", async () => {
  using folder = temporaryFolder();
  await using server = await product(folder.path);
  const url = `mqtt://127.0.0.1:${server.port}`;
  await using client = await connect({ url, manualAcknowledge: true, receiveMaximum: 3, sessionExpirySeconds: 60 });
  await client.subscribe("t", { qos: 1 });
  for (let i = 0; i < 5; i++) await client.publish("t", `${i}`, { qos: 1 });
  await client.publish("t", "free"); // QoS 0 is not held back
  const first = await client.messages.next();
  const others = [await client.messages.next(), await client.messages.next(), await client.messages.next()];
  assert.deepEqual(
    others.map(({ value }) => `${value?.payload}`),
    ["1", "2", "free"],
  );
  first.value?.acknowledge();
  assert.equal(`${(await client.messages.next()).value?.payload}`, "3");
});
