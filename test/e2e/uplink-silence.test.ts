// Servers and paths that say nothing: no answer to CONNECT or to messages, a connection whose other end is gone, a route
// that is dead without a word; and clocks that jump by fifty years meanwhile. What was acknowledged arrives, in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { FarMosquitto, MQTT_PORT } from "../support/far-mosquitto.ts";
import { Fleet, type FleetCase } from "../support/fleet.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Judge } from "../support/judge.ts";
import { MovedClock } from "../support/moved-clock.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { Namespace } from "../support/namespace.ts";
import { requirePeer, requireRoot } from "../support/peers.ts";
import { drainBegan, RemoteSite, WINDOW } from "../support/remote-site.ts";
import { Source } from "../support/source.ts";

const LONG = process.env["SLUICE_LONG"];
const CC = { skip: requirePeer("cc") };
const MOSQUITTO = { skip: requirePeer("mosquitto", "cc") };
const SPEED = 30;
const MESSAGES = LONG === undefined ? 60 : 2000;
const FIFTY_YEARS = 50 * 365 * 24 * 3600;
const NOT_ANSWERED = /no acknowledgement within/;
/** The backlog drains within a second of the link's return; a busy machine may take three times as long. */
const BACK_MS = 3000;

const SILENT: readonly FleetCase[] = [
  { name: "no-connack", manners: () => ({ onConnect: () => {} }), words: /no answer to CONNECT within 30 s/ },
  { name: "no-puback", manners: () => ({ onPublish: () => {} }), words: NOT_ANSWERED },
  { name: "no-pubrec", qos: 2, manners: () => ({ onPublish: () => {} }), words: NOT_ANSWERED },
  { name: "no-pubcomp", qos: 2, manners: () => ({ onPubrel: () => {} }), words: NOT_ANSWERED },
  {
    name: "no-pingresp",
    manners: () => ({ onPing: () => {}, onPublish: () => {} }),
    uplink: { keepalive: "20s" },
    words: /no sign of life from the server/,
  },
  {
    // More messages than the window, and the first is never answered: the others do not wait for it.
    name: "one-is-stuck",
    manners: () => {
      let first = true;
      return {
        onPublish: (connection, message) => {
          connection.take(message);
          if (!first) connection.answer(message);
          first = false;
        },
      };
    },
    words: null,
  },
];

for (const version of [5, 4] as const) {
  test(`a server that accepts and never answers, MQTT ${version}: CONNECT, PUBLISH, PUBREL, PINGREQ, one message of many`, {
    ...CC,
  }, async () => {
    using folder = temporaryFolder();
    await using fleet = await Fleet.open(
      folder.path,
      SILENT.map((spec) => ({ ...spec, version })),
    );
    await fleet.source.publishTo(MESSAGES);
    await fleet.member("one-is-stuck").judge.untilComplete();
    fleet.clock.set({ speed: SPEED });
    await fleet.untilTold();
    await fleet.heal();
    await fleet.untilComplete();
  });
}

test("a cloud with a Receive Maximum of 1 has one message at a time, at QoS 1 and 2", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  await using site = await RemoteSite.open(folder.path, { lines: ["max_inflight_messages 1"], window: 64 });
  await site.gateway.start();
  const sources = [await site.source("one", 1), await site.source("two", 2)];
  await Promise.all(sources.map((source) => source.publishTo(MESSAGES)));
  await site.judge.untilComplete();
  site.judge.verdict({ cuts: 0, window: 0 });
  assert.equal(site.tap.outstandingMax, 1);
});

test("mid-drain the other end is gone and nobody says so: noticed, and drained when the path is back", {
  ...MOSQUITTO,
}, async () => {
  using folder = temporaryFolder();
  const clock = new MovedClock(folder.path);
  await using site = await RemoteSite.open(folder.path, { env: clock.env });
  const { link, judge, gateway } = site;
  link.refuse();
  await gateway.start();
  const sources = [await site.source("one", 1, 100), await site.source("two", 2, 100)];
  await Promise.all(sources.map((source) => source.publishTo(5 * MESSAGES)));
  await drainBegan(site, () => link.restore());
  link.bytesPerSecond = 200_000;
  await link.after(5000, () => link.swallow());
  clock.set({ speed: SPEED });
  await eventually("it is noticed", () => /no acknowledgement within|no sign of life/.test(gateway.stderr), 30_000);
  await eventually("new connections get no answer", () => /timed out/.test(gateway.stderr), 30_000);
  clock.set({ speed: 1 });
  await link.restore();
  await judge.untilComplete();
  judge.verdict({ cuts: 1, window: WINDOW });
  assert.ok(site.tap.repeatedMax <= WINDOW, `${site.tap.repeatedMax} repeated`);
});

test("mid-drain the clock jumps by fifty years, forth and back, and to the past: nothing is dropped", {
  ...MOSQUITTO,
}, async () => {
  using folder = temporaryFolder();
  const clock = new MovedClock(folder.path);
  await using site = await RemoteSite.open(folder.path, { env: clock.env });
  const { link, judge, gateway } = site;
  link.refuse();
  await gateway.start();
  const sources = [await site.source("one", 1, 100), await site.source("two", 2, 100)];
  await Promise.all(sources.map((source) => source.publishTo(10 * MESSAGES)));
  await drainBegan(site, () => link.restore());
  let cuts = 0;
  for (const [offsetSeconds, words] of [
    [FIFTY_YEARS, /expired on/],
    [-FIFTY_YEARS, /not valid yet/],
  ] as const) {
    link.bytesPerSecond = 200_000;
    const arrived = judge.arrived;
    clock.set({ offsetSeconds });
    await judge.untilArrived(arrived + MESSAGES); // a jump does not disturb the connection
    await link.after(1000, () => link.cut());
    cuts++;
    await eventually(`${words}`, () => words.test(gateway.stderr));
    clock.set({ offsetSeconds: 0, speed: SPEED });
    await drainBegan(site, () => link.restore());
    clock.set({ speed: 1 });
  }
  await judge.untilComplete();
  judge.verdict({ cuts, window: WINDOW });
  assert.deepEqual((await site.status()).dropped, {});
});

test("a route dies without a word and comes back, then our own interface: the backlog drains within a second of it", {
  skip: requireRoot() || requirePeer("mosquitto", "cc", "ip"),
}, async (t) => {
  using folder = temporaryFolder();
  using scope = new DisposableStack();
  const clock = new MovedClock(folder.path);
  using far = new Namespace("s");
  await using _mosquitto = await FarMosquitto.start(far, folder.path);
  const url = `mqtt://${far.address}:${MQTT_PORT}`;
  const uplink = { name: "cloud", url, bind_address: far.ownAddress, keepalive: "20s" };
  const forward = [
    { match: "s/1/#", qos: 1 },
    { match: "s/2/#", qos: 2 },
  ];
  const config = {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    uplinks: [{ ...uplink, window: WINDOW, forward }],
  };
  await using gateway = new GatewayProcess(folder.path, config, clock.env);
  await gateway.start();
  const judge = new Judge(
    (topic) => topic,
    (topic) => topic.startsWith("s/2/"),
  );
  const collector = scope.use(new MqttPeer("collector", 5));
  collector.onMessage = (message) => judge.arrive(message);
  await collector.connect(MQTT_PORT, far.address, far.otherAddress);
  await collector.subscribe("s/#", 2);
  const sources = [1, 2].map((qos) => new Source(scope.use(new MqttPeer(`q${qos}`, 5)), qos as 1 | 2, `s/${qos}`));
  for (const source of sources) {
    source.onAcknowledged = (message) => judge.acknowledged(message);
    await source.peer.connect(gateway.port());
  }
  const publishTo = (count: number): Promise<unknown> => Promise.all(sources.map((source) => source.publishTo(count)));
  clock.set({ speed: SPEED });
  await publishTo(MESSAGES);
  await judge.untilComplete();
  clock.set({ speed: 1 });

  const took: number[] = [];
  for (const [round, [die, live]] of [
    [() => far.setDeaf(true), () => far.setDeaf(false)],
    [() => far.setLink(false), () => far.setLink(true)],
  ].entries() as ArrayIterator<[number, [() => void, () => void]]>) {
    const lines = gateway.stderr.length;
    die();
    await publishTo((round + 2) * MESSAGES);
    clock.set({ speed: SPEED });
    await eventually("it is down", () => gateway.stderr.includes("uplink-down", lines), 30_000);
    const { arrived } = judge;
    clock.set({ speed: 1 });
    live();
    const from = performance.now();
    await judge.untilArrived(arrived + 1);
    took.push(Math.round(performance.now() - from));
    await judge.untilComplete();
  }
  t.diagnostic(`${took} ms from the return of the route, and of the interface, to the first message`);
  judge.verdict({ cuts: 2, window: WINDOW });
  assert.ok(Math.max(...took) < BACK_MS, `${took} ms from the return to the first message`);
});
