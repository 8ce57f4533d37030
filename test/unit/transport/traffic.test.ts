import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { createDial, type DialTarget } from "../../../src/transport/dialer.ts";
import { listenTcp } from "../../../src/transport/tcp.ts";
import { listenTls } from "../../../src/transport/tls.ts";
import { Traffic } from "../../../src/transport/traffic.ts";
import { eventually } from "../../support/eventually.ts";
import { Authority, type Bench, bench, Door, portOf, Recorder } from "./fixture.ts";

const NO_TLS = { ca: null, cert: null, key: null, alpn: [], servername: null };
/** Bytes of a connection around its data: SYN, FIN and their acknowledgements. */
const AROUND_MAX = 60 + 3 * 52;

function dialled(made: Bench, target: Partial<DialTarget> & { port: number }): Promise<Recorder | string> {
  return new Promise((resolve) => {
    createDial(made.transport)(
      { host: "127.0.0.1", tls: null, timeoutMs: 5000, ...target },
      (link) => resolve(new Recorder(link)),
      (error) => resolve(error.message),
    );
  });
}

/** Counts the bytes of what goes through it. */
async function counter(t: TestContext, to: number) {
  const counted = { port: 0, sent: 0, received: 0 };
  const server = createServer((client) => {
    const onward = connect(to, "127.0.0.1");
    for (const [from, other] of [
      [client, onward],
      [onward, client],
    ] as const) {
      from.on("error", () => {});
      from.on("close", () => other.destroy());
      from.on("data", (chunk: Buffer) => {
        if (from === client) counted.sent += chunk.length;
        else counted.received += chunk.length;
        other.write(chunk);
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  counted.port = (server.address() as AddressInfo).port;
  t.after(() => server.close());
  return counted;
}

test("the bytes of TLS are counted as they are on the link, those of a handshake that fails as well", async (t) => {
  const authority = new Authority(t);
  const made = bench(t);
  const door = new Door();
  const tls = { ...authority.issue("cloud"), clientCa: null };
  const options = { transport: made.transport, index: 0, type: "mqtt", host: "127.0.0.1", port: 0, tls };
  const listener = await listenTls(options, door.accept);
  made.listeners.push(listener);
  const counted = await counter(t, portOf(listener));
  const traffic = new Traffic();
  const target = { port: counted.port, traffic };

  const failed = await dialled(made, { ...target, tls: NO_TLS });
  assert.match(String(failed), /not trusted|self-signed/);
  await eventually("the server's certificate came", () => counted.received > 500);
  // Segments that are no full ones have a header each.
  assert.ok(traffic.sent >= counted.sent && traffic.sent <= counted.sent + AROUND_MAX + 8 * 52, `${traffic.sent}`);
  assert.ok(traffic.received >= counted.received, `${traffic.received} of ${counted.received}`);

  const before = traffic.sent;
  const here = await dialled(made, { ...target, tls: { ...NO_TLS, ca: authority.ca } });
  assert.ok(here instanceof Recorder, String(here));
  assert.ok(traffic.sent > before + 300, "the handshake");
  const there = await door.link(door.links.length);
  const data = Buffer.alloc(100_000, 1);
  here.link.output.append(data, 0, data.length);
  await there.until(() => there.received === data.length);
  here.link.end();
  await here.until(() => here.closes === 1);
  const { sent, received } = counted;
  assert.ok(traffic.sent > sent && traffic.sent < 1.1 * sent, `${traffic.sent} of ${sent}`);
  assert.ok(traffic.received >= received - 64, `${traffic.received} of ${received}`);
  const over = [traffic.sent, traffic.received];
  await new Promise(setImmediate);
  assert.deepEqual([traffic.sent, traffic.received], over, "it is over");
});

test("a connection in the clear costs its bytes, its packets' headers and what begins and ends it", async (t) => {
  const made = bench(t);
  const door = new Door();
  const { transport } = made;
  const listener = await listenTcp({ transport, index: 0, type: "mqtt", host: "127.0.0.1", port: 0 }, door.accept);
  made.listeners.push(listener);
  const traffic = new Traffic();
  const here = await dialled(made, { port: portOf(listener), traffic });
  assert.ok(here instanceof Recorder, String(here));
  const there = await door.link();
  assert.equal(traffic.sent, AROUND_MAX - 52);
  for (let i = 1; i <= 3; i++) {
    here.link.output.append(Buffer.from("ping"), 0, 4);
    await there.until(() => there.received === 4 * i);
    there.link.output.append(Buffer.from("pong"), 0, 4);
    await here.until(() => here.received === 4 * i);
  }
  const three = 3 * (4 + 52);
  assert.equal(traffic.received, AROUND_MAX - 52 + three);
  // Acknowledgements beside them, at most one for each that came.
  assert.ok(traffic.sent > AROUND_MAX - 52 + three && traffic.sent <= AROUND_MAX - 52 + three + 3 * 52);
  here.link.end();
  await here.until(() => here.closes === 1);
});

test("a connection that nobody accepts costs something, and so does the look-up of a name", async (t) => {
  const made = bench(t);
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  const traffic = new Traffic();
  await dialled(made, { port, traffic });
  const sent = traffic.sent;
  assert.ok(sent >= 60, `${sent}`);
  await dialled(made, { host: "localhost", port, traffic });
  assert.ok(traffic.sent >= 2 * sent + 100, `${traffic.sent}`);
});
