// Two mosquittos as servers of one uplink. The way to the first goes and comes in the middle of QoS 2 exchanges; both keep
// our session meanwhile. Together they have everything that the gateway acknowledged, and neither has a message twice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BadLink } from "../support/bad-link.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";
import { uplinkStatus } from "../support/remote-site.ts";
import { Source } from "../support/source.ts";

const NEEDS = { skip: requirePeer("mosquitto") };

const WINDOW = 10;
/** The wait for the primary doubles while it does not last. */
const ROUNDS = 2;
const PER_ROUND = 200;

/** What arrived at one server: how often each payload did. */
async function collect(cloud: Mosquitto, peer: MqttPeer): Promise<Map<string, number>> {
  const arrived = new Map<string, number>();
  peer.onMessage = ({ payload }) => arrived.set(`${payload}`, (arrived.get(`${payload}`) ?? 0) + 1);
  await peer.connect(cloud.port);
  await peer.subscribe("site/#", 2);
  return arrived;
}

/** The log says so sooner than a status command does. */
async function isAt(gateway: GatewayProcess, link: BadLink): Promise<void> {
  await eventually(`it is at ${link.port}`, () => {
    const last = gateway.stderr.split("\n").findLast((line) => line.includes("uplink-connected"));
    return last?.includes(`:${link.port}"`) === true && link.open > 0;
  });
}

for (const protocol of [5, 4]) {
  test(
    `protocol ${protocol}: between two servers, again and again, nothing is lost, and at neither anything comes twice`,
    NEEDS,
    async () => {
      using folder = temporaryFolder();
      using folderB = temporaryFolder();
      await using a = await Mosquitto.start(folder.path);
      await using b = await Mosquitto.start(folderB.path);
      using collectorA = new MqttPeer("collector", 5);
      using collectorB = new MqttPeer("collector", 5);
      const [atA, atB] = [await collect(a, collectorA), await collect(b, collectorB)];
      await using linkA = await BadLink.open(a.port);
      await using linkB = await BadLink.open(b.port);
      const uplink = {
        name: "cloud",
        client_id: "gateway",
        url: [`mqtt://127.0.0.1:${linkA.port}`, `mqtt://127.0.0.1:${linkB.port}`],
        return_to_primary: "1s",
        protocol,
        window: WINDOW,
        forward: [{ match: "s/#", qos: 2, to: "site/{topic}" }],
      };
      await using gateway = new GatewayProcess(folder.path, {
        listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
        uplinks: [uplink],
        log: { format: "json" },
      });
      await gateway.start();
      await isAt(gateway, linkA);
      using device = new MqttPeer("source", 5, WINDOW);
      const source = new Source(device, 2, "s");
      await source.peer.connect(gateway.port());
      let published = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const gone = linkA.after(3000 + 777 * round, () => linkA.refuse(round % 2 === 0 ? "reset" : "cut"));
        published += PER_ROUND;
        await source.publishTo(published);
        await gone;
        await isAt(gateway, linkB);
        published += PER_ROUND;
        await source.publishTo(published);
        await linkA.restore();
        await isAt(gateway, linkA);
      }
      await eventually("the spool is empty", async () => (await uplinkStatus(gateway)).spool.messages === 0);
      const payloads = source.acknowledged.map(({ payload }) => payload);
      const lacking = (): string[] => payloads.filter((payload) => !atA.has(payload) && !atB.has(payload));
      await eventually("everything has arrived", () => lacking().length === 0).catch(() =>
        assert.deepEqual(lacking(), []),
      );
      for (const [name, arrived] of [
        ["a", atA],
        ["b", atB],
      ] as const) {
        assert.deepEqual(
          [...arrived].filter(([, times]) => times > 1),
          [],
          `twice at ${name}`,
        );
        assert(arrived.size > ROUNDS * WINDOW, `${name} had its part: ${arrived.size}`);
      }
      const both = payloads.filter((payload) => atA.has(payload) && atB.has(payload));
      assert(both.length <= 2 * ROUNDS * WINDOW, `${both.length} came by both`);
    },
  );
}
