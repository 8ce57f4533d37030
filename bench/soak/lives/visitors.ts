/** Clients without a session that stays: filters and topics that nobody had before, every QoS, every way to go. */
import { field } from "../../../test/support/mqtt-packets.ts";
import type { Live } from "../crowd.ts";
import { below, goSomehow, KEEP_ALIVE_SECONDS, oneOf } from "../world.ts";

const ROUNDS_MAX = 4;
const PAYLOADS = ["", "21.5", "x".repeat(200), "y".repeat(5_000)];

export const visit: Live = (world, random) =>
  world.withClient(random, async (client) => {
    const n = world.next();
    if (!(await client.connect({ clientId: `visitor-${n}`, keepAliveSeconds: KEEP_ALIVE_SECONDS }))) return;
    const filters = [`visit/${n}/+`, `visit/+/room-${n % 50}`, `visit/${n}/a/b/c/d/${n}/#`, "visit/square"];
    if (below(random, 50) === 0) filters.push("$SYS/#", "#");
    await client.subscribe(filters, below(random, 3));
    for (let round = below(random, ROUNDS_MAX); round >= 0; round--) {
      const topics = [
        "visit/square",
        `visit/${n}/${round}`,
        `nobody/${n}/${round}`,
        `visit/${n}/a/b/c/d/${n}/${round}`,
      ];
      for (const topic of topics)
        await client.publish({ topic, payload: oneOf(random, PAYLOADS), qos: below(random, 3) });
    }
    if (below(random, 2) === 0) await client.unsubscribe(filters.slice(0, 2));
    await goSomehow(random, client);
  });

/** 5.0 with all that a message may carry: aliases, a reply topic, properties of the user, expiry. */
export const correspond: Live = (world, random) =>
  world.withClient(random, async (client) => {
    const n = world.next();
    if (!(await client.connect({ clientId: `writer-${n}`, properties: [0x22, 0, 8] }))) return; // Topic Alias Maximum 8
    await client.subscribe([`letters/${n}/#`], 1);
    for (let alias = 1; alias <= 4; alias++) {
      const properties = [
        ...[0x23, 0, alias], // Topic Alias
        ...[0x02, 0, 0, 0, 1 + below(random, 60)], // Message Expiry Interval
        ...[0x03, field("text/plain")],
        ...[0x08, field(`letters/${n}/reply`)],
        ...[0x26, field(`name-${n}`), field("value")],
      ];
      await client.publish({ topic: `letters/${n}/${alias}`, payload: "dear", qos: below(random, 3) }, ...properties);
    }
    await goSomehow(random, client);
  });
