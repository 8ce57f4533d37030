// What the gateway acknowledged survives kill -9, wherever it strikes: under QoS 1 and QoS 2 load from several devices,
// with subscribers here and at the cloud (Debian's mosquitto over TLS), in both directions. Messages are recognised by
// source and number in the payload.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Journal, numberOf } from "../support/journal.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { readPublish } from "../support/mqtt-packets.ts";
import { MqttPeer, type Outgoing } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";

const LONG_SEED = process.env["SLUICE_LONG"];
const SEED = LONG_SEED === undefined ? 1 : Number(LONG_SEED);
const ROUNDS = LONG_SEED === undefined ? 14 : 300;
/** Packets that the gateway sends to devices and subscribers before it is killed, at most. */
const PACKETS_MAX = 6000;
/** What a device has on its way at once. */
const WINDOW = 16;
/** Commands on their way from the cloud at once: more than the gateway's Receive Maximum. */
const COMMANDS = 100;

/** Publishes as fast as it is answered: two topics in turn, and every eighth message a retained value. */
class Device {
  readonly peer: MqttPeer;
  readonly acknowledged: Outgoing[] = [];
  /** Number of the last retained value that was acknowledged. */
  retained = -1;
  loading = true;
  /** The test says when the next message is due; else an acknowledgement does. */
  paced = false;
  readonly #qos: 1 | 2;
  readonly #topic: string;
  readonly #retainEvery: number;
  #next = 0;

  /** @param root of its topics: root/q1/name/0  @param retainEvery of its messages are retained values */
  constructor(peer: MqttPeer, qos: 1 | 2, root: string, retainEvery = 8) {
    this.peer = peer;
    this.#qos = qos;
    this.#retainEvery = retainEvery;
    this.#topic = `${root}/q${qos}/${peer.clientId}`;
    peer.onAcknowledged = (message) => {
      this.acknowledged.push(message);
      if (message.retain) this.retained = Math.max(this.retained, numberOf(message.payload));
      if (this.loading && !this.paced) this.publish();
    };
  }

  publish(): void {
    const number = this.#next++;
    const retain = number % this.#retainEvery === this.#retainEvery - 1;
    this.#publish(retain ? "state" : String(number % 2), number, retain);
  }

  /** A last message on each topic, behind whatever else is on its way. */
  finish(): void {
    for (const topic of ["0", "1", "state"]) this.#publish(topic, this.#next++, false);
  }

  #publish(topic: string, number: number, retain: boolean): void {
    const payload = `${this.peer.clientId} ${number}`;
    this.peer.publish({ topic: `${this.#topic}/${topic}`, payload, qos: this.#qos, retain });
  }
}

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
function configuration(cloud: Mosquitto, random: Random, protocol: 4 | 5): Record<string, unknown> {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
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

/** Connects all; whoever is interrupted by the kill is connected in the next round. */
function connectAll(peers: readonly MqttPeer[], port: number): Promise<unknown> {
  return Promise.allSettled(peers.map((peer) => peer.connect(port)));
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
  await new Promise((done) => setTimeout(done, random() * 20));
}

async function killAgainAndAgain(t: TestContext, protocol: 4 | 5): Promise<void> {
  t.diagnostic(`seed ${SEED}`);
  const random = seededRandom(SEED);
  using folder = temporaryFolder();
  await using cloud = await Mosquitto.start(folder.path);
  await using gateway = new GatewayProcess(folder.path, configuration(cloud, random, protocol));
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
  const locals = [...devices.map((device) => device.peer), atLeastOnce, exactlyOnce];
  const local = listen(atLeastOnce);
  // Commands go on at the pace at which they arrive, or thousands would wait at the cloud while the gateway is away.
  commander.paced = true;
  const exact = listen(exactlyOnce, (topic) => {
    if (topic.startsWith("down/") && commander.loading) commander.publish();
  });
  const remote = listen(atCloud);

  await gateway.start();
  await Promise.all([atCloud.connect(cloud.port), commander.peer.connect(cloud.port)]);
  for (const local of locals) await local.connect(gateway.port());
  // SUBACK says that the session is stored.
  for (const { peer } of [...devices, commander]) await peer.subscribe("nothing", 0);
  await atLeastOnce.subscribe("load/#", 1);
  await exactlyOnce.subscribe("load/#", 2);
  await exactlyOnce.subscribe("down/#", 2);
  await atCloud.subscribe("up/#", 2);
  await eventually("the uplink has subscribed", () => / gateway 2 cmd\/#/.test(cloud.output));
  for (const device of devices) for (let i = 0; i < WINDOW; i++) device.publish();
  for (let i = 0; i < COMMANDS; i++) commander.publish();

  for (let round = 0; round < ROUNDS; round++) {
    await someMoment(locals, random);
    await gateway.end("SIGKILL");
    await eventually("all noticed", () => locals.every(({ connected }) => !connected));
    gateway.configure(configuration(cloud, random, protocol));
    await gateway.start();
    await findRetained(gateway.port(), devices);
    void connectAll(locals, gateway.port());
  }

  // Everything that is under way arrives.
  const all = [...devices, commander];
  for (const device of all) device.loading = false;
  await settled(all, "all messages are acknowledged");
  const load = devices.flatMap(({ acknowledged }) => acknowledged);
  const missing = () => [
    ...local.missing(load),
    ...exact.missing(load),
    ...exact.missing(commander.acknowledged, (topic) => topic.replace("cmd/", "down/")),
    ...remote.missing(load, (topic) => `up/${topic}`),
  ];
  await eventually("all is where it should be", () => missing().length === 0, 10_000).catch(() => {});
  assert.deepEqual(missing().slice(0, 20), [], "lost");

  // After an orderly restart nothing of it comes again: a last message on each topic is behind all that could.
  assert.equal(await gateway.end("SIGTERM"), 0);
  await gateway.start();
  await connectAll(locals, gateway.port());
  for (const device of all) device.finish();
  await settled(all, "the last messages are acknowledged");
  load.push(...devices.flatMap(({ acknowledged }) => acknowledged.slice(-3)));
  await eventually("the last messages have come", () => missing().length === 0);
  const isOnce = (topic: string) => topic.includes("q2/");
  assert.deepEqual([...exact.repeated(isOnce), ...remote.repeated(isOnce)], [], "twice");
  for (const journal of [local, exact, remote]) assert.deepEqual(journal.disorder, [], journal.receiver);
  for (const { clientId, violations } of [...locals, atCloud, commander.peer]) {
    assert.deepEqual(violations, [], clientId);
  }
  t.diagnostic(`${load.length} messages up, ${commander.acknowledged.length} down, ${ROUNDS} kills`);
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

async function settled(devices: readonly Device[], what: string): Promise<void> {
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
