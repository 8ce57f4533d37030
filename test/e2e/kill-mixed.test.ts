// What the gateway acknowledged survives kill -9, wherever it strikes: under QoS 0, 1 and 2 from devices here and from
// the cloud (Debian's mosquitto over TLS), with subscribers here and there, durable sessions that come and go, shared
// groups, retained values that come and go, wills, and subscriptions that change. Everybody connects again at once, so
// the first packets meet a gateway that has just begun to listen. Who promises what to whom is in mixed-load.ts.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Journal } from "../support/journal.ts";
import { Churner, Device, Hammer, Keeper, Mortals, moment, Noise, Sleeper } from "../support/mixed-load.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { readPublish } from "../support/mqtt-packets.ts";
import { MqttPeer, type Outgoing } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";

const LONG_SEED = process.env["SLUICE_LONG"];
const SEED = LONG_SEED === undefined ? 1 : Number(LONG_SEED);
/** With each version of the uplink's protocol. */
const ROUNDS = LONG_SEED === undefined ? 25 : 300;
/** Packets that the gateway sends to devices and subscribers before it is killed, at most. */
const PACKETS_MAX = 6000;
/** What a device has on its way at once. */
const WINDOW = 16;
/**
 * Mosquitto 2.0.11 counts a subscriber's window wrongly (its issue 2306): with a queue behind the window, a message that
 * comes may go out before those that wait. With so large a window nothing waits.
 */
const IN_ORDER = ["max_inflight_messages 20000"];
/** Commands on their way from the cloud at once: more than the gateway's Receive Maximum. */
const COMMANDS = 100;

/** A subscriber with a session, and what it got. */
function listen(peer: MqttPeer, also: (topic: string) => void = () => {}): Journal {
  const journal = new Journal(peer.clientId);
  peer.onMessage = (message) => {
    journal.arrive(message);
    also(message.topic);
  };
  return journal;
}

/** A different way of storing for each start: kill -9 must not get through any of them. */
function configuration(cloud: Mosquitto, random: Random, protocol: 4 | 5, port = 0): Record<string, unknown> {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  return {
    listeners: [{ type: "mqtt", bind: `127.0.0.1:${port}` }],
    memory_limit: "64MiB",
    uplinks: [
      {
        name: "cloud",
        url: `mqtts://localhost:${cloud.tlsPort}`,
        client_id: "gateway",
        protocol,
        tls: { ca: cloud.ca, cert: cloud.client.cert, key: cloud.client.key },
        forward: [
          { match: "load/q1/#", qos: 1, to: "up/{topic}" },
          { match: "load/q2/#", qos: 2, to: "up/{topic}" },
          { match: "load/q0/#", qos: 1, to: "up/{topic}" },
          { match: "will/#", qos: "keep", to: "up/{topic}" },
        ],
        receive: [{ match: "cmd/#", qos: 2, to: "down/{rest}" }],
      },
    ],
    store: { sync: pick(["full", "normal", "off"]), commit_delay: pick(["auto", "auto", "0ms", "50ms"]) },
    limits: { session_queue_messages: 1_000_000, session_queue_bytes: "256MiB", session_when_full: "refuse" },
    log: { level: "debug" },
  };
}

/** Each device's last retained value that was acknowledged, or a newer one, is what a new subscriber is told. */
async function findRetained(port: number, devices: readonly Device[]): Promise<void> {
  using raw = await RawMqtt.connected(port, { version: 4, clientId: "looks-at-retained" });
  await raw.subscribe(4, "load/+/+/state", 0);
  const numbers = () =>
    new Map(raw.packets.map((packet) => readPublish(4, packet).payload.split(" ") as [string, string]));
  await eventually(`retained values: ${devices.map(({ retained }) => retained)}`, () =>
    devices.every(({ peer, retained }) => Number(numbers().get(peer.clientId) ?? -1) >= retained),
  );
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Resolves when `peers` have got so many packets more, and a moment has passed. */
async function someMoment(peers: readonly MqttPeer[], random: Random): Promise<void> {
  let left = Math.floor(random() ** 2 * PACKETS_MAX);
  await new Promise<void>((done) => {
    for (const peer of peers) {
      peer.onPacket = () => {
        if (left-- === 0) done();
      };
    }
  });
  await moment(random() * 20);
}

async function killAgainAndAgain(t: TestContext, protocol: 4 | 5): Promise<void> {
  t.diagnostic(`seed ${SEED}`);
  const random = seededRandom(SEED);
  const port = await freePort();
  using folder = temporaryFolder();
  await using cloud = await Mosquitto.start(folder.path, IN_ORDER);
  await using gateway = new GatewayProcess(folder.path, configuration(cloud, random, protocol, port));
  using scope = new DisposableStack();
  const peer = (clientId: string, version: 4 | 5): MqttPeer => scope.use(new MqttPeer(clientId, version));

  const devices = [
    new Device(peer("one-v4", 4), 1, "load"),
    new Device(peer("one-v5", 5), 1, "load"),
    new Device(peer("two-v4", 4), 2, "load"),
    new Device(peer("two-v5", 5), 2, "load"),
  ];
  const commander = new Device(peer("commander", 4), 2, "cmd", Number.POSITIVE_INFINITY); // at the cloud
  const atLeastOnce = peer("at-least-once", 4);
  const exactlyOnce = peer("exactly-once", 5);
  const atCloud = peer("at-cloud", 5);
  const local = listen(atLeastOnce);
  // Commands go on at the pace at which they arrive, or thousands would wait at the cloud while the gateway is away.
  commander.paced = true;
  const exact = listen(exactlyOnce, (topic) => {
    if (topic.startsWith("down/") && commander.loading) commander.publish();
  });
  const remote = listen(atCloud);
  const crew = new Journal("crew");
  const sleepers = [new Sleeper(peer("sleeper-v4", 4)), new Sleeper(peer("sleeper-v5", 5))];
  const members = [new Sleeper(peer("member-v4", 4), crew), new Sleeper(peer("member-v5", 5), crew)];
  const resting = [...sleepers, ...members];
  const keepers = [new Keeper(peer("keeper-v4", 4), 1), new Keeper(peer("keeper-v5", 5), 2)];
  const churner = new Churner();
  const mortals = new Mortals();
  const noise = new Noise();
  const always = [...devices.map((device) => device.peer), atLeastOnce, exactlyOnce];
  const locals = [...always, ...resting.map((sleeper) => sleeper.peer), ...keepers.map((keeper) => keeper.peer)];

  await gateway.start();
  await Promise.all([atCloud.connect(cloud.port), commander.peer.connect(cloud.port)]);
  for (const local of locals) await local.connect(port);
  // SUBACK says that the session is stored.
  for (const { peer } of [...devices, ...keepers, commander]) await peer.subscribe("nothing", 0);
  await atLeastOnce.subscribe("load/#", 1);
  for (const filter of ["load/#", "down/#", "will/#"]) await exactlyOnce.subscribe(filter, 2);
  await sleepers[0]?.peer.subscribe("load/#", 1);
  await sleepers[1]?.peer.subscribe("load/#", 2);
  for (const { peer } of members) {
    await peer.subscribe("$share/crew/load/q1/#", 1);
    await peer.subscribe("$share/crew/load/q2/#", 2);
  }
  await atCloud.subscribe("up/#", 2);
  await eventually("the uplink has subscribed", () => / gateway 2 cmd\/#/.test(cloud.output));
  const hammer = scope.use(new Hammer(always, port));
  for (const device of devices) for (let i = 0; i < WINDOW; i++) device.publish();
  for (let i = 0; i < COMMANDS; i++) commander.publish();
  for (const keeper of keepers) keeper.start();

  for (let round = 0; round < ROUNDS; round++) {
    const others = Promise.all([
      mortals.round(port),
      churner.round(port, random),
      noise.round(port),
      ...resting.map((sleeper) => sleeper.round(port, random)),
      ...(round === 0 ? [] : keepers.map(({ peer }) => peer.connect(port).catch(() => {}))),
    ]);
    others.catch(() => {}); // not now: when the round is over
    await someMoment(always, random);
    await gateway.end("SIGKILL");
    await others;
    await eventually("all noticed", () => resting.every(({ peer }) => !peer.connected));
    gateway.configure(configuration(cloud, random, protocol, port));
    await gateway.start();
    await findRetained(port, devices);
    for (const keeper of keepers) await keeper.check(port);
  }

  // Everything that is under way arrives.
  for (const { peer } of [...resting, ...keepers]) await peer.connect(port);
  const all = [...devices, ...keepers, commander];
  for (const device of all) device.loading = false;
  await settled(all, "all messages are acknowledged");
  const load = devices.flatMap(({ acknowledged }) => acknowledged);
  const missing = () => [
    ...[local, exact, crew, ...sleepers.map(({ journal }) => journal)].flatMap((journal) => journal.missing(load)),
    ...exact.missing(commander.acknowledged, (topic) => topic.replace("cmd/", "down/")),
    ...exact.missing(mortals.due),
    ...[...load, ...mortals.due].filter((known) => remote.missing([known], (topic) => `up/${topic}`).length > 0),
  ];
  await eventually("all is where it should be", () => missing().length === 0, 15_000).catch(() => {});
  assert.deepEqual(missing().slice(0, 20), [], "lost");

  // After an orderly restart nothing of it comes again: a last message on each topic is behind all that could.
  assert.equal(await gateway.end("SIGTERM"), 0);
  await gateway.start();
  await eventually("all are back", () => hammer.connected());
  for (const { peer } of resting) await peer.connect(port);
  for (const device of [...devices, commander]) device.finish();
  await settled([...devices, commander], "the last messages are acknowledged");
  load.push(...devices.flatMap(({ acknowledged }) => acknowledged.slice(-3)));
  await eventually("the last messages have come", () => missing().length === 0);
  const isOnce = (topic: string) => topic.includes("q2");
  const strict = [exact, remote, crew, sleepers[1]?.journal as Journal];
  assert.deepEqual(
    strict.flatMap((journal) => journal.repeated(isOnce)),
    [],
    "twice",
  );
  const journals = [local, exact, remote, ...sleepers.map(({ journal }) => journal)];
  for (const journal of journals) assert.deepEqual(journal.disorder, [], journal.receiver);
  const raised = mortals.never.filter((known) => exact.times(known) > 0);
  assert.deepEqual(raised, [], "wills of who had said goodbye");
  for (const { clientId, violations } of [...locals, atCloud, commander.peer]) {
    assert.deepEqual(violations, [], clientId);
  }
  assert.ok(mortals.due.length >= ROUNDS && churner.acknowledged >= ROUNDS, "there was something to lose");
  t.diagnostic(
    `${load.length} messages up, ${commander.acknowledged.length} down, ${mortals.due.length} wills, ` +
      `${churner.acknowledged} subscriptions changed, ${ROUNDS} kills`,
  );
}

for (const protocol of [5, 4] as const) {
  test(
    `nothing acknowledged is lost by kill -9, and at QoS 2 nothing comes twice; uplink with MQTT ${protocol}`,
    {
      skip: requirePeer("mosquitto"),
    },
    (t) => killAgainAndAgain(t, protocol),
  );
}

async function settled(devices: readonly { readonly peer: MqttPeer }[], what: string): Promise<void> {
  await eventually(what, () => devices.every(({ peer }) => peer.outstanding === 0));
}

test("a cloud that sends its whole queue at once, far beyond our Receive Maximum, is put up with", {
  skip: requirePeer("mosquitto"),
}, async () => {
  const COUNT = 1250; // of each QoS; OWED_MAX is 1024
  using folder = temporaryFolder();
  await using cloud = await Mosquitto.start(folder.path);
  await using gateway = new GatewayProcess(folder.path, configuration(cloud, seededRandom(SEED), 5));
  await gateway.start();
  using subscriber = new MqttPeer("subscriber", 5);
  const journal = listen(subscriber);
  await subscriber.connect(gateway.port());
  await subscriber.subscribe("down/#", 2);
  await eventually("the uplink has subscribed", () => / gateway 2 cmd\/#/.test(cloud.output));
  assert.equal(await gateway.end("SIGTERM"), 0);

  const published: Outgoing[] = [];
  for (const qos of [1, 2] as const) {
    using publisher = new MqttPeer(`publisher-${qos}`, 5);
    await publisher.connect(cloud.port);
    for (let i = 0; i < COUNT; i++) {
      const message = { topic: `cmd/q${qos}`, payload: `${qos} ${i}`, qos, retain: false };
      publisher.publish(message);
      published.push(message);
    }
    await eventually("the cloud has it", () => publisher.outstanding === 0);
  }

  await gateway.start();
  await subscriber.connect(gateway.port());
  const missing = () => journal.missing(published, (topic) => topic.replace("cmd/", "down/"));
  await eventually("all has come", () => missing().length === 0, 30_000).catch(() => {});
  assert.deepEqual(missing().slice(0, 20), []);
  assert.deepEqual(
    journal.repeated((topic) => topic === "down/q2"),
    [],
  );
  assert.deepEqual([journal.disorder, subscriber.violations], [[], []]);
});
