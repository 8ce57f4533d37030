// The proxy that the tests of CoAP and DTLS trust: each fault happens as often as asked, and none when none is.
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { type LossyOptions, LossyUdp } from "../../support/lossy-udp.ts";

const COUNT = 500;

async function bound(host = "127.0.0.1"): Promise<Socket> {
  const socket = createSocket(host === "127.0.0.1" ? "udp4" : "udp6");
  socket.bind(0, host);
  await once(socket, "listening");
  return socket;
}

/** A target that answers each datagram with itself, and what a client and the target heard. */
class Echo {
  readonly target: Socket;
  readonly proxy: LossyUdp;
  readonly heard: string[] = [];
  readonly ports = new Set<number>();

  private constructor(target: Socket, proxy: LossyUdp) {
    this.target = target;
    this.proxy = proxy;
    target.on("message", (bytes, { address, port }) => {
      this.heard.push(bytes.toString());
      this.ports.add(port);
      target.send(bytes, port, address);
    });
  }

  static async open(options: LossyOptions): Promise<Echo> {
    const target = await bound(options.host);
    return new Echo(target, await LossyUdp.open(target.address().port, options));
  }

  [Symbol.dispose](): void {
    this.proxy[Symbol.dispose]();
    this.target.close();
  }
}

/** Each sends `COUNT` datagrams, a few at a time. @returns what came back to the first, when all that passed is here */
async function run(echo: Echo, ...clients: Socket[]): Promise<string[]> {
  const back: string[] = [];
  let others = 0;
  for (const client of clients) {
    client.on("message", (bytes) => {
      if (client === clients[0]) back.push(bytes.toString());
      else others++;
    });
  }
  const { up, down } = echo.proxy.tally;
  for (let n = 0; n < COUNT; n++) {
    for (const client of clients) {
      client.send(`${n}`, echo.proxy.port, echo.proxy.host);
      if (n % 20 === 0) await eventually("it came", () => up.came >= n * clients.length + 1);
    }
    if (n % 20 === 19) await eventually("they came", () => up.came === (n + 1) * clients.length);
  }
  const settled = () =>
    up.passed === up.came - up.lost + up.duplicated &&
    down.came === up.passed &&
    down.passed === down.came - down.lost + down.duplicated &&
    back.length + others === down.passed;
  await eventually("all that was not lost is back", settled);
  return back;
}

test("without faults everything passes once and in order, over IPv4 and IPv6", async () => {
  for (const host of ["127.0.0.1", "::1"]) {
    using echo = await Echo.open({ host });
    const client = await bound(host);
    const back = await run(echo, client);
    assert.deepEqual(
      back,
      Array.from({ length: COUNT }, (_, n) => `${n}`),
    );
    client.close();
  }
});

test("a seed gives each client the same losses, whoever else is there, each way as often as asked", async () => {
  const lost: string[][] = [];
  for (const others of [false, true]) {
    using echo = await Echo.open({ seed: 7, up: { lose: 0.2 }, down: { lose: 0.2 } });
    const client = await bound();
    const other = await bound();
    const back = new Set(await run(echo, client, ...(others ? [other] : [])));
    const { up, down } = echo.proxy.tally;
    for (const { came, lost: gone } of [up, down]) assert.ok(gone > 0.14 * came && gone < 0.26 * came, `${gone}`);
    lost.push(Array.from({ length: COUNT }, (_, n) => `${n}`).filter((n) => !back.has(n)));
    client.close();
    other.close();
  }
  assert.deepEqual(lost[0], lost[1]);
});

test("duplicates come twice, the delayed and the overtaken come once and later than others", async () => {
  using echo = await Echo.open({ seed: 3, up: { duplicate: 0.2 }, down: { delay: 0.2, delayMs: 10, overtake: 0.2 } });
  const client = await bound();
  const back = await run(echo, client);
  const { up, down } = echo.proxy.tally;
  assert.ok(up.duplicated > 60 && up.duplicated < 140, `${up.duplicated}`);
  assert.ok(down.delayed > 60 && down.overtaken > 40, `${down.delayed}, ${down.overtaken}`);
  assert.equal(new Set(back).size, COUNT);
  assert.equal(back.length, COUNT + up.duplicated);
  assert.notDeepEqual(
    back,
    [...back].sort((a, b) => Number(a) - Number(b)),
  );
  client.close();
});

test("each client has a port of its own at the target, another one after a rebinding; fate goes before chance", async () => {
  using echo = await Echo.open({ up: { lose: 1 } });
  const { proxy } = echo;
  proxy.fate = (datagram, way) => (way === "up" && datagram.toString() === "pass" ? "pass" : null);
  const clients = [await bound(), await bound()];
  for (const client of clients) {
    client.send("gone", proxy.port, proxy.host);
    client.send("pass", proxy.port, proxy.host);
    await once(client, "message");
  }
  assert.deepEqual(echo.heard, ["pass", "pass"]);
  assert.equal(echo.ports.size, 2);
  proxy.rebind();
  clients[0]?.send("pass", proxy.port, proxy.host);
  if (clients[0] !== undefined) await once(clients[0], "message");
  assert.equal(echo.ports.size, 3);
  proxy.fate = (_, way) => (way === "down" ? "lose" : "pass");
  clients[1]?.send("no answer", proxy.port, proxy.host);
  await eventually("it is lost on its way back", () => proxy.tally.down.lost === 1);
  for (const client of clients) client.close();
});
