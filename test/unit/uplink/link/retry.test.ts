import assert from "node:assert/strict";
import { test } from "node:test";
import { LOOK_MS, LOOK_ONLINE_MS, STABLE_MS } from "../../../../src/uplink/link/reach.ts";
import { RETRY_CAP_MS, Retry, synEveryMs, UNREACHED_MS } from "../../../../src/uplink/link/retry.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import { forward, published, UplinkWorld } from "../uplink-world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

test("where nobody is reached the wait is 0.75 s for ten minutes, then an 800th of the outage", () => {
  const retry = new Retry(() => 1);
  assert.deepEqual(
    [0, MINUTE, 10 * MINUTE, HOUR, 10 * HOUR, 100 * HOUR].map((outageMs) => retry.next(true, outageMs)),
    [UNREACHED_MS, UNREACHED_MS, UNREACHED_MS, 4500, 45_000, RETRY_CAP_MS],
  );
  assert.equal(new Retry(() => 0).next(true, 0), UNREACHED_MS / 2);
  assert.deepEqual([synEveryMs(0), synEveryMs(HOUR), synEveryMs(24 * HOUR)], [UNREACHED_MS, 4500, 15_000]);
});

test("the time between two SYNs is whole milliseconds", () => {
  assert(Number.isInteger(synEveryMs(1_234_567.89)));
});

test("a day without anybody is a few thousand tries", () => {
  const retry = new Retry(() => 0.5);
  let tries = 0;
  for (let at = 0; at < 24 * HOUR; tries++) at += retry.next(true, at);
  assert(tries > 4000 && tries < 8000, `${tries}`);
});

test("a link that comes back after ten minutes drains its backlog within a second, without a new publish", async () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  const connection = world.connect();
  world.server.advance(STABLE_MS + 50);
  for (const { type } of connection.take()) if (type === codes.PINGREQ) connection.send(Buffer.from([0xd0, 0]));
  connection.drop("connection reset by peer (ECONNRESET)");
  world.publish("a", "1");
  world.persist();
  for (let waited = 0; waited < 10 * MINUTE; waited += 50) {
    if (world.server.dialling) world.server.refuse("cloud:1883: connection refused (ECONNREFUSED)", true);
    world.server.advance(50);
  }
  for (let waited = 0; !world.server.dialling; waited += 50) {
    assert(waited <= 1000, "tried within a second");
    world.server.advance(50);
  }
  assert.deepEqual(published(await world.serve(world.accept())), ["a 1 1"]);
});

test("a server that took the connection and closed it without a word counts as nobody; one behind TLS does not", () => {
  const waits = (tls: boolean): number => {
    const url = tls ? "mqtts://cloud:8883" : "mqtt://cloud:1883";
    const files = { ca: null, cert: null, key: null, alpn: [], servername: null };
    const world = new UplinkWorld({ urls: [url], protocol: 4, tls: tls ? files : null });
    world.uplink.start();
    for (let i = 0; i < 8; i++) {
      world.server.accept().drop();
      if (i < 7) world.server.advance((world.uplink.status().retryInMs ?? 0) + 50);
    }
    return world.uplink.status().retryInMs ?? 0;
  };
  assert.equal(waits(false), UNREACHED_MS);
  assert.equal(waits(true), RETRY_CAP_MS);
});

test("a change of addresses or routes is tried at once, while waiting and while dialling", () => {
  const world = new UplinkWorld({});
  world.uplink.start();
  world.server.advance(20 * HOUR);
  world.server.refuse("cloud:1883: network unreachable (ENETUNREACH)", true);
  assert.equal(world.uplink.status().retryInMs, RETRY_CAP_MS);
  world.server.advance(5000);
  assert(!world.server.dialling);
  world.network.now = "eth0 wwan0";
  world.server.advance(LOOK_MS + 50);
  assert(world.server.dialling);
  assert.equal(world.server.dials.length, 2);
  world.server.advance(10_000);
  assert.equal(world.server.dials.length, 2, "no change, no new dial");
  world.network.now = "eth0";
  world.server.advance(LOOK_MS + 50);
  assert.equal(world.server.dials.length, 3, "dialled anew");
  assert(world.server.dialling);
});

test("a change of the network does not hurry a server that was reached and refused us", () => {
  const world = new UplinkWorld({});
  world.uplink.start();
  const connection = world.server.accept();
  connection.take();
  connection.connack({ code: codes.NOT_AUTHORIZED });
  connection.drop();
  world.network.now = "eth0 wwan0";
  world.server.advance(LOOK_MS + 50);
  assert(!world.server.dialling);
});

test("a connection whose local address is gone is given up and made anew", () => {
  const world = new UplinkWorld({});
  const connection = world.connect();
  world.network.now = "eth0 wwan0";
  world.server.advance(LOOK_ONLINE_MS + 50);
  assert(!connection.ended, "another interface is no trouble");
  world.network.gone = connection.localAddress;
  world.server.advance(LOOK_ONLINE_MS + 50);
  assert(connection.ended);
  connection.drop();
  assert.equal(world.uplink.status().lastError, "the local address 10.0.0.2 is gone");
});

test("a local address that no interface has, from the beginning, is not missed", () => {
  const world = new UplinkWorld({});
  world.network.gone = "10.0.0.2";
  const connection = world.connect();
  assert.equal(connection.localAddress, "10.0.0.2");
  world.server.advance(4 * LOOK_ONLINE_MS);
  assert(!connection.ended);
});

test("held, stopped and after the end nobody looks at the network", async () => {
  const world = new UplinkWorld({});
  world.uplink.start();
  world.uplink.hold("schedule");
  world.network.now = "other";
  world.server.advance(10_000);
  assert(!world.server.dialling);
  await world.uplink.stop();
  world.network.now = "another";
  world.server.advance(10_000);
  assert(!world.server.dialling);
});
