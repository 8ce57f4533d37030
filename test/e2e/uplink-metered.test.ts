// Uplinks with a pace, a data cap, a connect schedule: the cloud is Debian's mosquitto behind a path that counts bytes.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { UplinkStatus } from "../../src/uplink/uplink.ts";
import { BadLink } from "../support/bad-link.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { MovedClock } from "../support/moved-clock.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto") };
const FIFTY_YEARS = 50 * 365 * 86_400;
const PAYLOAD = "x".repeat(900);

interface Site extends AsyncDisposable {
  readonly link: BadLink;
  readonly gateway: GatewayProcess;
  readonly device: MqttPeer;
  /** Payloads that the cloud got. */
  readonly arrived: string[];
  /** The same with other keys of the uplink. */
  configure(keys: Record<string, unknown>): void;
  publish(topic: string, payload: string): void;
  stored(): Promise<void>;
}

/** A gateway that is running, with a device and with an uplink that has these keys. @param env of its process */
async function site(keys: Record<string, unknown>, env: NodeJS.ProcessEnv = {}): Promise<Site> {
  await using scope = new AsyncDisposableStack();
  const cloud = scope.use(await Mosquitto.start(scope.use(temporaryFolder()).path));
  const link = scope.use(await BadLink.open(cloud.port));
  const collector = scope.use(new MqttPeer("collector", 5));
  const arrived: string[] = [];
  collector.onMessage = ({ payload }) => arrived.push(payload);
  await collector.connect(cloud.port);
  await collector.subscribe("#", 1);
  const configOf = (more: Record<string, unknown>): Record<string, unknown> => {
    const forward = [{ match: "alarm", priority: 7 }, { match: "#" }];
    const uplink = { url: `mqtt://127.0.0.1:${link.port}`, client_id: "gw", forward, ...more };
    return { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }], uplinks: [uplink] };
  };
  const gateway = scope.use(new GatewayProcess(scope.use(temporaryFolder()).path, configOf(keys), env));
  await gateway.start();
  const device = new MqttPeer("device", 5, 100);
  await device.connect(gateway.port());
  scope.defer(() => device[Symbol.dispose]());
  const all = scope.move();
  return {
    link,
    gateway,
    get device() {
      return device;
    },
    arrived,
    configure: (more) => gateway.configure(configOf(more)),
    publish(topic, payload) {
      if (!device.connected) throw new Error("the device is not connected");
      device.publish({ topic, payload, qos: 1, retain: false });
    },
    stored: () => eventually("all is acknowledged to the device", () => device.outstanding === 0),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

async function statusOf({ gateway }: Site): Promise<UplinkStatus> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return (JSON.parse(stdout) as { uplinks: UplinkStatus[] }).uplinks[0] as UplinkStatus;
}

async function counterOf({ gateway }: Site, name: string): Promise<number> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return (JSON.parse(stdout) as { counters: Record<string, number> }).counters[name] ?? -1;
}

/** Times that its pace held something up. */
const pacedOf = (at: Site): Promise<number> => counterOf(at, "uplink.cloud.paced");

async function entered(at: Site, state: UplinkStatus["state"]): Promise<UplinkStatus> {
  let status = await statusOf(at);
  await eventually(`the uplink is ${state}`, async () => {
    status = await statusOf(at);
    return status.state === state;
  });
  return status;
}

test("a backlog goes at the pace of the drain: the bytes on the link are never ahead of it", MOSQUITTO, async () => {
  const rate = 20_000;
  await using at = await site({ pace: { drain: { bytes_per_second: `${rate}B` } } });
  const { link } = at;
  await entered(at, "live");
  link.refuse();
  await eventually("it is down", async () => (await statusOf(at)).lastError !== null);
  for (let i = 0; i < 60; i++) at.publish("s/a", `${PAYLOAD} ${i}`);
  await at.stored();
  const bytesBefore = link.bytesUp;
  const fromMs = performance.now();
  await link.restore();
  let aheadMax = 0;
  const watch = setInterval(() => {
    const ahead = link.bytesUp - bytesBefore - ((performance.now() - fromMs) * rate) / 1000;
    aheadMax = Math.max(aheadMax, ahead);
  }, 5);
  await link.untilConnections(2);
  const sinceMs = performance.now();
  await eventually("all of it arrived", () => at.arrived.length === 60);
  clearInterval(watch);
  const bytes = link.bytesUp - bytesBefore;
  const tookMs = performance.now() - sinceMs;
  const leastMs = (1000 * (bytes - rate)) / rate;
  assert.ok(bytes > 54_000, `${bytes} bytes`);
  assert.ok(tookMs > leastMs - 300 && tookMs < 3 * leastMs, `${tookMs} ms for ${bytes} bytes`);
  // A second's worth at once, and CONNECT, pings and acknowledgements beside it.
  assert.ok(aheadMax < rate + 1000, `${aheadMax} bytes ahead`);
  // What is published now is live, and has no limit.
  const paced = await pacedOf(at);
  assert.ok(paced > 0);
  for (let i = 0; i < 40; i++) at.publish("s/a", `${PAYLOAD} live ${i}`);
  await eventually("it arrived", () => at.arrived.length === 100);
  assert.equal(await pacedOf(at), paced);
});

test("with the data cap reached it is held over kill -9 and spools; a higher cap by reload drains it", {
  ...MOSQUITTO,
}, async () => {
  const cap = (perMonth: string): Record<string, unknown> => ({ data_cap: { per_month: perMonth } });
  await using at = await site(cap("40KB"));
  const { link, gateway } = at;
  await entered(at, "live");
  const messages = 100;
  let published = 0;
  // One at a time, as the connection may end at any of them.
  while (published < messages) {
    at.publish("s/a", `${PAYLOAD} ${published++}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await at.stored();
  const held = await entered(at, "held");
  assert.match(held.heldBy.join(), /^the data cap of 40 KB is reached, until 20\d\d-\d\d-01 00:00 UTC$/);
  assert.match(gateway.stderr, /uplink-data-cap-reached/);
  const { dataCap } = held.metered ?? {};
  assert.equal(dataCap?.state, "reached");
  const used = (dataCap?.sentBytes ?? 0) + (dataCap?.receivedBytes ?? 0);
  const onLink = link.bytesUp + link.bytesDown;
  assert.ok(used >= onLink && used < 2 * onLink, `${used} counted, ${onLink} bytes without headers passed`);
  assert.ok(at.arrived.length < messages, "not all went");
  const { stdout } = await sluice(["status", "--config", gateway.configFile]);
  assert.match(stdout, /^ +data cap: \d+(\.\d)? KB of 40 KB used \(\d+(\.\d)? %\) until 20\S+-01T00:00:00Z: /m);

  await gateway.end("SIGKILL");
  const connections = link.connections;
  await gateway.start();
  const again = await entered(at, "held");
  const usedAgain = (again.metered?.dataCap?.sentBytes ?? 0) + (again.metered?.dataCap?.receivedBytes ?? 0);
  assert.ok(usedAgain >= 40_000 && usedAgain <= used + 1000, `${usedAgain} after kill -9, ${used} before`);
  assert.equal(link.connections, connections, "it did not connect");
  assert.equal(again.spool.messages, held.spool.messages);

  at.configure(cap("10MB"));
  const { code, stdout: said } = await sluice(["reload", "--config", gateway.configFile]);
  assert.equal(code, 0, said);
  await eventually("all of it arrived", () => new Set(at.arrived).size === messages);
  const drained = await entered(at, "live");
  const usedThen = (drained.metered?.dataCap?.sentBytes ?? 0) + (drained.metered?.dataCap?.receivedBytes ?? 0);
  assert.ok(usedThen >= usedAgain, "it counts on");
  assert.equal(drained.metered?.dataCap?.state, "ok");
});

test("kill -9 does not take back what the month has used", MOSQUITTO, async () => {
  await using at = await site({ data_cap: { per_month: "55KB", when_reached: "warn" } });
  const cap = async () => {
    const { metered } = await statusOf(at);
    if (!metered?.dataCap) throw new Error("no data cap");
    return { ...metered.dataCap, used: metered.dataCap.sentBytes + metered.dataCap.receivedBytes };
  };
  await entered(at, "live");
  for (let i = 0; i < 50; i++) at.publish("s/a", `${PAYLOAD} ${i}`);
  await eventually("they are counted", async () => (await cap()).state !== "ok");
  await at.stored();
  // Else it would go with other things, within a minute.
  await eventually("that it is told of is in the store", async () => (await cap()).unsavedBytes < 10_000);
  const { used, unsavedBytes } = await cap();
  await at.gateway.end("SIGKILL");
  await at.gateway.start();
  const after = await cap();
  assert.ok(used > 44_000 && after.used >= used - unsavedBytes, `${after.used} of ${used}, ${unsavedBytes} not stored`);
  assert.notEqual(after.state, "ok");
});

test("the month of a data cap ends when it is over, not by a clock at 1970 or 50 years ahead", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  const clock = new MovedClock(folder.path);
  clock.set({ speed: 20 });
  await using at = await site({ data_cap: { per_month: "20KB" } }, clock.env);
  const { gateway } = at;
  await entered(at, "live");
  for (let i = 0; i < 30; i++) at.publish("s/a", `${PAYLOAD} ${i}`);
  await at.stored();
  const { metered } = await entered(at, "held");
  const endsMs = metered?.dataCap?.endsMs ?? 0;
  for (const [i, offsetSeconds] of [FIFTY_YEARS, 0].entries()) {
    clock.set({ offsetSeconds });
    await eventually("the clock was looked at", async () => (await counterOf(at, "clock.corrections")) > i);
    const { state, metered: still } = await statusOf(at);
    assert.deepEqual([state, still?.dataCap?.state, still?.dataCap?.endsMs], ["held", "reached", endsMs]);
  }
  await gateway.end("SIGKILL");
  clock.set({ offsetSeconds: -Date.now() / 1000, boot: 2 });
  await gateway.start();
  const { state, metered: after } = await statusOf(at);
  assert.deepEqual([state, after?.dataCap?.state, after?.dataCap?.endsMs], ["held", "reached", endsMs]);

  clock.set({ offsetSeconds: 32 * 86_400 });
  const { metered: next } = await entered(at, "live");
  assert.ok((next?.dataCap?.endsMs ?? 0) > endsMs);
  assert.equal(next?.dataCap?.state, "ok");
  assert.match(gateway.stderr, /uplink-data-period/);
});

test("between its windows it is away and spools; an alarm connects at once, and the rest goes with it", {
  ...MOSQUITTO,
}, async () => {
  await using at = await site({ connect: { every: "1d", for: "1s", urgent_priority: 7 } });
  const { link } = at;
  const { heldBy } = await entered(at, "held");
  assert.match(heldBy.join(), /^connects at (20\d\d-\d\d-\d\d )?\d\d:\d\d UTC$/);
  assert.equal(link.connections, 1);
  for (let i = 0; i < 5; i++) at.publish("s/a", `${i}`);
  await at.stored();
  assert.equal((await statusOf(at)).state, "held");
  assert.deepEqual([link.connections, at.arrived], [1, []]);
  at.publish("alarm", "fire");
  await eventually("all of it arrived", () => at.arrived.length === 6);
  assert.deepEqual(at.arrived, ["fire", "0", "1", "2", "3", "4"]);
  assert.equal(link.connections, 2);
  await entered(at, "held");
  assert.equal(link.open, 0, "it left");
});

test("it connects again and again, and each time what waited goes out", MOSQUITTO, async () => {
  await using at = await site({ connect: { every: "2s", for: "1s" } });
  const { link } = at;
  for (let round = 1; round <= 2; round++) {
    await entered(at, "held");
    at.publish("s/a", `${round}`);
    await at.stored();
    await eventually("it arrived", () => at.arrived.length === round);
  }
  assert.deepEqual(at.arrived, ["1", "2"]);
  assert.ok(link.connections >= 3, `${link.connections} connections`);
  assert.doesNotMatch(at.gateway.stderr, /uplink-down/, "it left in order, each time");
});
