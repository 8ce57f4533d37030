// Two gateways between the same two brokers: a ring. What goes out comes back by the other way, and must stop there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto") };
const MESSAGES = 40;

interface Rules {
  readonly forward: string;
  readonly receive: string;
}

async function statusOf(gateway: GatewayProcess): Promise<{
  counters: Record<string, number>;
  uplinks: { state: string; spool: { messages: number } }[];
}> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return JSON.parse(stdout);
}

class Ring implements AsyncDisposable {
  readonly one: Mosquitto;
  readonly two: Mosquitto;
  readonly #stack = new AsyncDisposableStack();

  constructor(one: Mosquitto, two: Mosquitto) {
    this.one = this.#stack.use(one);
    this.two = this.#stack.use(two);
  }

  static async open(): Promise<Ring> {
    const folders = new DisposableStack();
    const start = (): Promise<Mosquitto> => Mosquitto.start(folders.use(temporaryFolder()).path);
    const ring = new Ring(await start(), await start());
    ring.#stack.defer(() => folders.dispose());
    return ring;
  }

  /** A gateway with an uplink to each broker. */
  async gateway(node: string, uplink: Record<string, unknown>, { forward, receive }: Rules): Promise<GatewayProcess> {
    const folder = this.#stack.use(temporaryFolder());
    const uplinks = [this.one, this.two].map(({ port }, i) => ({
      name: `m${i + 1}`,
      url: `mqtt://127.0.0.1:${port}`,
      client_id: node,
      ...uplink,
      forward: [{ match: forward, qos: 1 }],
      receive: [{ match: receive, qos: 1 }],
    }));
    const gateway = new GatewayProcess(folder.path, {
      node,
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
      uplinks,
    });
    this.#stack.use(gateway);
    await gateway.start();
    await eventually(`${node} is live`, async () => (await statusOf(gateway)).uplinks.every((u) => u.state === "live"));
    return gateway;
  }

  /** What a client at `port` gets, in the order it comes. */
  async listen(port: number, filter: string): Promise<string[]> {
    const peer = this.#stack.use(new MqttPeer(`listener-${port}`, 5));
    const got: string[] = [];
    peer.onMessage = ({ payload }) => got.push(payload);
    await peer.connect(port);
    await peer.subscribe(filter, 1);
    return got;
  }

  async publish(port: number, topic: string, prefix: string): Promise<void> {
    const peer = this.#stack.use(new MqttPeer(`source-${port}-${prefix}`, 5));
    let acknowledged = 0;
    peer.onAcknowledged = () => acknowledged++;
    await peer.connect(port);
    for (let i = 0; i < MESSAGES; i++) peer.publish({ topic, payload: `${prefix}${i}`, qos: 1, retain: false });
    await eventually("all are acknowledged", () => acknowledged === MESSAGES);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync().then(() => undefined);
  }
}

/** Nothing is under way any more. */
async function quiet(...gateways: readonly GatewayProcess[]): Promise<void> {
  let before = "";
  await eventually("the ring is quiet", async () => {
    const all = await Promise.all(gateways.map(statusOf));
    const now = JSON.stringify(
      all.map(({ counters }) =>
        Object.entries(counters).filter(([name]) => /^uplink\..*(sent|received|looped)$/.test(name)),
      ),
    );
    const isQuiet = now === before && all.every(({ uplinks }) => uplinks.every(({ spool }) => spool.messages === 0));
    before = now;
    return isQuiet;
  });
}

/** How often each payload with this prefix came. */
function times(got: readonly string[], prefix: string): number[] {
  const counts = new Map<string, number>();
  for (const payload of got) if (payload.startsWith(prefix)) counts.set(payload, (counts.get(payload) ?? 0) + 1);
  return [...new Set(counts.size === MESSAGES ? counts.values() : [...counts.values(), counts.size - MESSAGES])];
}

test(
  "5.0: what goes round a ring of two brokers and two gateways stops at the gateway that it has passed",
  MOSQUITTO,
  async () => {
    await using ring = await Ring.open();
    const rules = { forward: "ring/#", receive: "ring/#" };
    const a = await ring.gateway("gw-a", { protocol: 5 }, rules);
    const b = await ring.gateway("gw-b", { protocol: 5 }, rules);
    const atA = await ring.listen(a.port(), "ring/#");
    const atB = await ring.listen(b.port(), "ring/#");
    const atOne = await ring.listen(ring.one.port, "ring/#");
    const atTwo = await ring.listen(ring.two.port, "ring/#");
    await ring.publish(a.port(), "ring/x", "a");
    const looped = async (gateway: GatewayProcess): Promise<number> => {
      const { counters } = await statusOf(gateway);
      return (counters["uplink.m1.looped"] ?? 0) + (counters["uplink.m2.looped"] ?? 0);
    };
    await eventually("both ways round end at a", async () => (await looped(a)) === 2 * MESSAGES);
    await quiet(a, b);
    assert.deepEqual([times(atA, "a"), times(atB, "a")], [[1], [2]], "b has two ways to a");
    assert.deepEqual([times(atOne, "a"), times(atTwo, "a")], [[2], [2]], "from a, and round by b");
    assert.equal(await looped(b), 0);
    // What begins at a broker has no mark, and gets one from each gateway.
    await ring.publish(ring.one.port, "ring/y", "m");
    await eventually(
      "both ways round",
      async () => (await looped(a)) + (await looped(b)) >= 2 * MESSAGES + 2 * MESSAGES,
    );
    await quiet(a, b);
    assert.deepEqual([times(atOne, "m"), times(atTwo, "m")], [[3], [2]], "itself, and once round by each gateway");
    assert.equal((await looped(a)) + (await looped(b)), 4 * MESSAGES);
  },
);

for (const [name, uplink] of [
  ["3.1.1, by the bridge bit", { protocol: 4 }],
  ["5.0, by No Local alone", { protocol: 5, loop_mark: false }],
] as const) {
  test(`${name}: what a gateway sends does not come back to it, though it receives everything`, MOSQUITTO, async () => {
    await using ring = await Ring.open();
    const a = await ring.gateway("gw-a", uplink, { forward: "a/#", receive: "#" });
    const b = await ring.gateway("gw-b", uplink, { forward: "b/#", receive: "#" });
    const atA = await ring.listen(a.port(), "#");
    const atB = await ring.listen(b.port(), "#");
    const atOne = await ring.listen(ring.one.port, "#");
    await ring.publish(a.port(), "a/x", "a");
    await ring.publish(b.port(), "b/x", "b");
    await eventually("all are there", () => atA.length >= 3 * MESSAGES && atB.length >= 3 * MESSAGES);
    await quiet(a, b);
    assert.deepEqual([times(atA, "a"), times(atA, "b")], [[1], [2]], "its own once, the other's from each broker");
    assert.deepEqual([times(atB, "b"), times(atB, "a")], [[1], [2]]);
    assert.deepEqual([times(atOne, "a"), times(atOne, "b")], [[1], [1]]);
  });
}
