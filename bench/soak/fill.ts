/**
 * Fills what the gateway keeps up to a limit, so that what is weighed before and after a soak is equally full: routes,
 * CoAP exchanges, the ledger of drops, the index of retained values.
 */
import { createSocket } from "node:dgram";
import { seededRandom } from "../../src/base/random.ts";
import { SoakClient } from "./client.ts";
import { CON, coapRequest, GET } from "./lives/datagrams.ts";
import type { World } from "./world.ts";

/** Some more than core/route-cache has entries, for the sets are hit at random. */
const TOPICS = 6_000;
const TOPICS_PER_BURST = 500;
/** Some more than protocol/coap/exchange-table has entries; and how many are under way at once. */
const EXCHANGES = 4_300;
const EXCHANGES_AT_ONCE = 50;
/** Some more than core/ledger has entries and core/drop-counts receivers. */
const SESSIONS = 300;
/** `retained_messages` of the soak's gateway. */
export const RETAINED_MAX = 300;
/** Message Expiry Interval of a second. */
const EXPIRY = [0x02, 0, 0, 0, 1];

export async function fill(world: World): Promise<void> {
  await fillRoutes(world);
  await fillExchanges(world);
  await fillLedger(world);
  await fillRetained(world);
}

async function withClient(world: World, live: (client: SoakClient) => Promise<void>): Promise<void> {
  const client = SoakClient.tcp(world.ports.mqtt, 5);
  await client.connect({ clientId: `fills-${world.next()}` });
  await live(client);
  await client.leave();
}

function fillRoutes(world: World): Promise<void> {
  return withClient(world, async (client) => {
    await client.subscribe(["$SYS/#", `fill/${world.next()}`], 0);
    for (let i = 0; i < TOPICS; i += TOPICS_PER_BURST) {
      for (let j = 0; j < TOPICS_PER_BURST; j++) await client.publish({ topic: `fill/${i + j}/of/${world.next()}` });
      await client.publish({ topic: "fill/end", qos: 1 });
    }
  });
}

async function fillExchanges(world: World): Promise<void> {
  const socket = createSocket("udp4");
  let sent = 0;
  await new Promise<void>((resolve) => {
    const next = (): void => {
      if (sent >= EXCHANGES) resolve();
      else socket.send(coapRequest(CON, GET, sent++, "health"), world.ports.coap, "127.0.0.1");
    };
    socket.on("message", next);
    socket.bind(0, "127.0.0.1", () => {
      for (let i = 0; i < EXCHANGES_AT_ONCE; i++) next();
    });
  });
  await new Promise<void>((resolve) => socket.close(() => resolve()));
}

/** Sessions that expire with a message each. */
async function fillLedger(world: World): Promise<void> {
  const n = world.next();
  const park = async (i: number): Promise<void> => {
    const client = SoakClient.tcp(world.ports.mqtt, 5);
    await client.connect({ clientId: `filled-${n}-${i}`, clean: false, expirySeconds: 2 });
    await client.subscribe([`fill/ledger/${n}`], 1);
    await client.cut();
  };
  await Promise.all(Array.from({ length: SESSIONS }, (_, i) => park(i)));
  await withClient(world, (client) => client.publish({ topic: `fill/ledger/${n}`, qos: 1 }));
}

async function fillRetained(world: World): Promise<void> {
  const random = seededRandom(world.next());
  await withClient(world, async (client) => {
    for (let i = 0; i < RETAINED_MAX; i++) {
      const topic = `fill/${world.next()}/retained`;
      await client.publish({ topic, payload: "x".repeat(50 * random()), qos: 0, retain: true }, ...EXPIRY);
    }
    await client.publish({ topic: "fill/end", qos: 1 });
  });
}
