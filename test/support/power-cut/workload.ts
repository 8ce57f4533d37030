/**
 * The recorded process: a gateway without sockets, its clients, and what they do to it, as a seed says. Ends itself.
 *
 *   node workload.ts DIR JSON      JSON: see Orders; earlier lives are read from standard input, as lines of a `World`
 */
import fs from "node:fs";
import { SystemClock } from "../../../src/base/clock.ts";
import { type Random, seededRandom } from "../../../src/base/random.ts";
import { WorldClient } from "./client.ts";
import { startCore } from "./core.ts";
import { Gatherer } from "./gatherer.ts";
import { HASTY, PUBLISHERS, RECEIVERS } from "./habits.ts";
import { World } from "./world.ts";
import { applyOrder, type Surroundings } from "./wrong-orders.ts";

export interface Orders {
  readonly seed: number;
  /** Of the event loop. */
  readonly turns: number;
  /** kill: SIGKILL after the last turn. close: an orderly end. fail: SIGKILL after the disk has failed. */
  readonly end: "kill" | "close" | "fail";
  /** A name of WRONG_ORDERS, "full" or "". */
  readonly order: string;
  readonly payloadBytes: number;
  readonly commitDelayMs: number;
}

const TOPICS = 3;
const RETAINED_TOPICS = 4;

const [dir, text] = process.argv.slice(2);
if (dir === undefined || text === undefined) throw new Error("usage: workload.ts DIR JSON");
const orders = JSON.parse(text) as Orders;
const random: Random = seededRandom(orders.seed);
const around: Surroundings = { sync: "full", closeWhileGated: false, onDatabaseSync: () => {} };
applyOrder(orders.order, around);

const world = new World();
for (const line of fs.readFileSync(0, "utf8").split("\n")) if (line !== "") world.apply(line);

function say(line: string): void {
  fs.writeSync(1, `${line}\n`);
  world.apply(line);
}

const core = await startCore(dir, new SystemClock(), { sync: around.sync, commitDelayMs: orders.commitDelayMs });
say("life");
const gatherer = new Gatherer(core, say);
const violations: string[] = [];
const clientOf = (name: string): WorldClient => new WorldClient(name, world, orders.payloadBytes, say, violations);
const publishers = PUBLISHERS.map(clientOf);
const receivers = RECEIVERS.map((habits) => ({ ...habits, client: clientOf(habits.name) }));
/** Wrong orders are to be found by what is promised to all. */
const hasty = orders.order === "";
let ending = false;

async function close(): Promise<void> {
  if (ending) return;
  ending = true;
  await core.stop();
  process.exit(violations.length > 0 ? 3 : 0);
}
around.onDatabaseSync = () => {
  if (around.closeWhileGated && turn > orders.turns / 2) void close();
};

function publishSome(client: WorldClient): void {
  if (client.link === null) client.connect(core.mqtt);
  if (!client.state.sure) {
    if (!client.asking) client.subscribe(`ctl/${client.name}/+`, 0);
    return;
  }
  if (random() < 0.002) {
    client.drop();
    return;
  }
  if (random() < 0.6) return;
  for (let n = Math.floor(random() * 4); n >= 0; n--) {
    const retain = random() < 0.15;
    const topic = retain ? `r${Math.floor(random() * RETAINED_TOPICS)}` : String(Math.floor(random() * TOPICS));
    const qos = random() < 0.6 ? 1 : random() < 0.8 ? 2 : 0;
    client.publish(
      `m/${client.name}/${hasty && client.name === HASTY ? "h" : ""}${topic}`,
      qos,
      retain,
      retain && random() < 0.3,
    );
  }
}

function receiveSome({ client, pace, leaves, returns, qos }: (typeof receivers)[number]): void {
  if (client.link === null) {
    if (random() < returns || client.state.filters.size === 0) client.connect(core.mqtt, random() < 0.1);
    return;
  }
  client.acknowledge(pace);
  if (client.asking) return;
  const filter = `m/${PUBLISHERS[Math.floor(random() * PUBLISHERS.length)]}/+`;
  const has = client.state.filters.has(filter);
  if (!has && (client.state.filters.size === 0 || random() < 0.2)) client.subscribe(filter, qos);
  else if (has && client.state.filters.size > 1 && random() < 0.005) client.unsubscribe(filter);
  else if (random() < leaves) {
    if (random() < 0.1) client.end();
    else client.drop();
  }
}

let turn = 0;
for (; turn < orders.turns && !ending; turn++) {
  for (const client of publishers) publishSome(client);
  for (const receiver of receivers) receiveSome(receiver);
  if (random() < 0.05) gatherer.meet(random() < 0.7);
  await new Promise((resolve) => (random() < 0.5 ? setImmediate(resolve) : setTimeout(resolve, 1)));
  for (const client of publishers) client.receive();
  for (const { client } of receivers) client.receive();
  if (core.failed()) break;
}
if (violations.length > 0) process.stderr.write(`${violations.join("\n")}\n`);
if (ending || orders.end === "close") await close();
else process.kill(process.pid, "SIGKILL");
