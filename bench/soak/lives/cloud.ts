/** Traffic over the uplink, both ways; the soak cuts it meanwhile. */
import { SoakClient } from "../client.ts";
import type { Live } from "../crowd.ts";
import { below } from "../world.ts";

const MESSAGES = 5;

export const report: Live = (world, random) =>
  world.withClient(random, async (client) => {
    const n = world.next();
    if (!(await client.connect({ clientId: `meter-${n}` }))) return;
    for (let i = 0; i < MESSAGES; i++)
      await client.publish({ topic: `up/${n}/${i}`, payload: "17", qos: below(random, 3), retain: false });
    await client.leave();
  });

/** A program in the cloud talks to what is at home. */
export const command: Live = async (world, random) => {
  if (world.ports.cloud === 0) return;
  const client = SoakClient.tcp(world.ports.cloud, 4);
  const n = world.next();
  if (!(await client.connect({ clientId: `office-${n}` }))) return;
  for (let i = 0; i < MESSAGES; i++)
    await client.publish({ topic: `down/${n}/${i}`, payload: "off", qos: below(random, 3) });
  await client.leave();
};
