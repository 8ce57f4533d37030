/**
 * Random runs by a seed: clients on a lossy network that observe, cancel, forget, vanish and come back, publishers, time,
 * and restarts by kill -9. What comes is newer than what came before, by RFC 7641 section 3.4. In the end who still
 * observes has the newest state of each topic, and nothing is left of the others.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "../../../../../src/base/random.ts";
import { filterMatches } from "../../../../../src/core/topic.ts";
import { type Client, type Seen, World } from "./world.ts";

const LONG = process.env.SLUICE_LONG;
const RUNS = LONG === undefined ? 40 : 2_000;
const SEED = Number(LONG ?? 1);
const CLIENTS = 6;
const TOPICS = ["a", "b", "s/1", "s/2"];
const FILTERS = ["a", "b", "s/%2B", "%23"];
const STEPS = 300;
const LOSS = 0.15;

/** What a client knows of one of its observations. */
interface View {
  readonly filter: string;
  readonly values: Map<string, string>;
  place: number;
}

class Device {
  readonly client: Client;
  readonly views = new Map<string, View>();
  /** Hears nothing and says nothing. */
  gone = false;

  constructor(index: number) {
    this.client = { address: "198.51.100.1", port: 2000 + index };
  }
}

class Run {
  w = new World();
  readonly #random: Random;
  readonly devices = Array.from({ length: CLIENTS }, (_, i) => new Device(i));
  readonly values = new Map<string, string>();
  #count = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T;
  }

  step(): void {
    const device = this.#pick(this.devices);
    const dice = this.#random();
    if (dice < 0.12) this.#observe(device);
    else if (dice < 0.16) this.#cancel(device);
    else if (dice < 0.18)
      device.views.clear(); // it has forgotten, and resets what comes
    else if (dice < 0.2) device.gone = !device.gone;
    else if (dice < 0.205) this.#restart();
    else if (dice < 0.6) this.#publish();
    else this.w.advance(Math.floor(this.#random() * (this.#random() < 0.1 ? 20_000 : 400)));
    this.hear(LOSS);
  }

  #observe(device: Device): void {
    if (device.gone) return;
    const filter = this.#pick(FILTERS);
    const token = this.#pick(["01", "02", "03"]);
    const answer = this.w.observe(
      `/ps/${filter}?clientid=d${device.client.port}&qos=${this.#pick([0, 1])}`,
      token,
      device.client,
    );
    assert.equal(answer.code, "2.05");
    const view: View = { filter: decodeURIComponent(filter), values: new Map(), place: answer.observe as number };
    device.views.set(token, view);
    if (!view.filter.match(/[+#]/)) view.values.set(view.filter, answer.payload);
  }

  #cancel(device: Device): void {
    const token = this.#pick([...device.views.keys()]);
    if (device.gone || token === undefined) return;
    this.w.observe("/ps/a", token, device.client, 1);
    device.views.delete(token);
  }

  #publish(): void {
    const topic = this.#pick(TOPICS);
    const value = `${++this.#count}`;
    this.values.set(topic, value);
    this.w.publish(topic, value, { qos: this.#pick([0, 1]), retain: true });
  }

  /** As by `kill -9`; what was retained is in the store. */
  #restart(): void {
    this.hear(LOSS);
    this.w = this.w.restarted();
  }

  /** Clients hear what was sent, but for what is lost. */
  hear(loss: number): void {
    for (let messages = this.w.take(); messages.length > 0; messages = this.w.take()) {
      for (const message of messages) this.#hearOne(message, loss);
    }
  }

  #hearOne(message: Seen, loss: number): void {
    if (message.type === "ACK" || message.type === "RST") return;
    const device = this.devices[message.port - 2000] as Device;
    if (device.gone || this.#random() < loss) return;
    const view = device.views.get(message.token);
    if (view !== undefined) this.#see(view, message);
    if (view === undefined && this.#random() >= loss) this.w.reset(message);
    else if (message.type === "CON" && this.#random() >= loss) this.w.acknowledge(message);
  }

  #see(view: View, message: Seen): void {
    assert.equal(message.code, "2.05");
    const place = message.observe as number;
    const step = (place - view.place) & 0xff_ffff;
    assert.ok(step < 2 ** 23, "a later notification is newer");
    view.place = place;
    if (message.location.length > 0) view.values.set(message.location.slice(1).join("/"), message.payload);
    else if (!view.filter.match(/[+#]/)) view.values.set(view.filter, message.payload);
  }
}

for (let seed = SEED; seed < SEED + RUNS; seed++) {
  test(`seed ${seed}: who still observes ends at the newest state, and nothing is left of the others`, () => {
    const run = new Run(seed);
    for (let i = 0; i < STEPS; i++) run.step();
    // All come back, and nothing is lost any more; each topic changes once more.
    for (const device of run.devices) device.gone = false;
    for (let i = 0; i < 300; i++) {
      run.w.advance(1_000);
      run.hear(0);
    }
    for (const topic of TOPICS) {
      run.values.set(topic, `last ${topic}`);
      run.w.publish(topic, `last ${topic}`, { qos: 1, retain: true });
    }
    for (let i = 0; i < 120; i++) {
      run.w.advance(1_000);
      run.hear(0);
    }
    const entered = run.w.count("coap.observers");
    let known = 0;
    for (const device of run.devices) {
      for (const [token, view] of device.views) {
        if (run.w.shared.observers.find(peerOf(run.w, device), Buffer.from(token, "hex").toString("latin1")) === null)
          continue;
        known++;
        for (const topic of TOPICS) {
          if (filterMatches(view.filter, topic))
            assert.equal(view.values.get(topic), run.values.get(topic), `${token} ${topic}`);
        }
      }
    }
    assert.equal(known, entered, "nobody is notified who did not ask");
    assert.equal(run.w.count("coap.notifications_waiting_bytes"), 0);
    assert.equal(
      run.w.server.endpoint.tables.peers.held,
      new Set(run.devices.filter((d) => observesAny(run.w, d))).size,
    );
  });
}

function peerOf(w: World, { client }: Device) {
  const { peers } = w.server.endpoint.tables;
  return peers.find(w.server.endpoint, peers.hashOf(client.address), client.address, client.port, null) as NonNullable<
    ReturnType<typeof peers.find>
  >;
}

function observesAny(w: World, device: Device): boolean {
  return [...device.views.keys()].some(
    (token) => w.shared.observers.find(peerOf(w, device), Buffer.from(token, "hex").toString("latin1")) !== null,
  );
}
