/** Sessions that stay a second or two: messages wait for them, and they come back, are taken over, or expire. */
import type { Random } from "../../../src/base/random.ts";
import type { SoakClient } from "../client.ts";
import type { Live } from "../crowd.ts";
import { below, goSomehow, type World } from "../world.ts";

const MESSAGES = 5;

/** Before 5.0 a session stays until it is told to end: `session_expiry_max` of the soak's gateway ends it. */
export const sleep: Live = async (world, random) => {
  const n = world.next();
  const fields = { clientId: `sleeper-${n}`, clean: false, expirySeconds: 1 };
  const topic = `sleep/${n}/x`;
  await world.withClient(random, async (client) => {
    if (!(await client.connect(fields))) return;
    await client.subscribe([`sleep/${n}/+`, "sleep/all", `sleep/+/of-${n}`], 1 + below(random, 2));
    client.answers = below(random, 3) > 0;
    await publishTo(world, random, topic); // some of it stays in flight
    await goSomehow(random, client);
  });
  await publishTo(world, random, topic); // waits for it
  const mood = below(random, 4);
  if (mood === 0) return; // its session expires with what waits
  await world.withClient(random, async (client) => {
    if (!(await client.connect({ ...fields, clean: mood === 1 }))) return;
    await publishTo(world, random, topic);
    if (mood === 2) await takeOver(world, random, client, fields.clientId);
    await client.unsubscribe(["sleep/all"]);
    await goSomehow(random, client);
  });
};

/** Another connection takes the session, and the first sees it. */
async function takeOver(world: World, random: Random, first: SoakClient, clientId: string): Promise<void> {
  await world.withClient(random, async (client) => {
    if (!(await client.connect({ clientId, clean: false, expirySeconds: 1 }))) return;
    await first.end(1_000);
    await goSomehow(random, client);
  });
}

async function publishTo(world: World, random: Random, topic: string): Promise<void> {
  await world.withClient(random, async (client) => {
    if (!(await client.connect({ clientId: `caller-${world.next()}` }))) return;
    for (let i = 0; i < MESSAGES; i++) await client.publish({ topic, payload: `call ${i}`, qos: 1 + below(random, 2) });
    await client.publish({ topic: "sleep/all", payload: "good night" });
    await client.leave();
  });
}

/** Members of a shared subscription who come and go while messages arrive. */
export const share: Live = async (world, random) => {
  const n = world.next();
  const filter = `$share/group-${n}/share/${n}/#`;
  const member = (i: number): Promise<void> =>
    world.withClient(random, async (client) => {
      const fields = { clientId: `member-${n}-${i}`, clean: i > 0, expirySeconds: i > 0 ? 0 : 1 };
      if (!(await client.connect(fields))) return;
      await client.subscribe([filter, `$share/all/share/+/${below(random, 10)}`], 1 + below(random, 2));
      client.answers = below(random, 4) > 0;
      await publishTo(world, random, `share/${n}/${i}`);
      if (below(random, 2) === 0) await client.unsubscribe([filter]);
      await goSomehow(random, client);
    });
  await Promise.all([member(0), member(1), member(2)]);
};
