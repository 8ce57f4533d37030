/** Retained values that are set, replaced, read, cleared, or expire; and wills, some of which are retained. */
import type { Live } from "../crowd.ts";
import { below, oneOf, type World } from "../world.ts";

/** Message Expiry Interval of a second. */
const EXPIRY = [0x02, 0, 0, 0, 1];

export const keep: Live = (world, random) =>
  world.withClient(random, async (client) => {
    const n = world.next();
    if (!(await client.connect({ clientId: `keeper-${n}` }))) return;
    const topics = [`kept/${n}/a`, `kept/${n}/b/c`, `kept/common/${n % 40}`];
    const qos = below(random, 3);
    for (const payload of ["1", "22", "3".repeat(1 + below(random, 2_000))])
      for (const topic of topics) await client.publish({ topic, payload, qos, retain: true });
    await client.subscribe([`kept/${n}/#`, "kept/common/+"], qos);
    if (client.version === 5) {
      // It stays in the index until there is no room, and then makes some.
      await client.publish({ topic: `kept/${n}/fading`, payload: "soon gone", qos, retain: true }, ...EXPIRY);
    }
    for (const topic of topics) await client.publish({ topic, payload: "", qos: 1, retain: true });
    await client.leave();
  });

export const die: Live = async (world, random) => {
  const n = world.next();
  const topic = `will/${n}`;
  await world.withClient(random, async (client) => {
    const delay = [0x18, 0, 0, 0, below(random, 2)];
    const will = { topic, payload: "died", qos: below(random, 3), retain: below(random, 3) === 0, properties: delay };
    const fields = { clientId: `mortal-${n}`, clean: below(random, 2) === 0, expirySeconds: below(random, 3) };
    if (!(await client.connect({ ...fields, will }))) return;
    await client.subscribe(["will/+"], 1);
    await oneOf(random, [() => client.cut(), () => client.leave(), () => client.cut()])();
  });
  await clear(world, topic, random);
};

/** After the longest delay nobody will set it any more. */
async function clear(world: World, topic: string, random: () => number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await world.withClient(random, async (client) => {
    if (!(await client.connect({ clientId: `undertaker-${world.next()}` }))) return;
    await client.publish({ topic, payload: "", qos: 1, retain: true });
    await client.leave();
  });
}
