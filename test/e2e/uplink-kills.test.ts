// Either end dies in the middle of a drain, again and again: mosquitto by kill -9 without memory, a cloud that keeps its
// sessions over kill -9 (another gateway), and the gateway itself. What must hold is in the judge's verdict.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "../../src/base/random.ts";
import type { BadLink } from "../support/bad-link.ts";
import { temporaryFolder } from "../support/gateway-process.ts";
import { MovedClock } from "../support/moved-clock.ts";
import { requirePeer } from "../support/peers.ts";
import { drainBegan, RemoteSite, WINDOW } from "../support/remote-site.ts";

const LONG = process.env["SLUICE_LONG"];
const SEED = Number(LONG ?? 1);
const KILLS = LONG === undefined ? 4 : 20;
/** Of a backlog, for each kill, which comes in its first half; and the bytes of a payload beside its name and number. */
const MESSAGES_PER_KILL = LONG === undefined ? 300 : 1200;
const PADDING = 60;
/** So slow that no kill comes too late. */
const BYTES_PER_SECOND = 300_000;
/** A connection that failed is tried again after up to a minute. */
const RETRY_SPEED = 60;

/** Where in the drain the next kill comes: bytes on the way up. */
function nextKill(random: Random): number {
  return 2000 + Math.floor(random() * 0.5 * MESSAGES_PER_KILL * (PADDING + 60));
}

/** Slow from the first byte: at full speed the backlog might be out before the test sees that the drain began. */
async function restoreSlow(link: BadLink): Promise<void> {
  await link.restore();
  link.bytesPerSecond = BYTES_PER_SECOND;
}

for (const cloud of ["mosquitto", "sluice"] as const) {
  const what = cloud === "mosquitto" ? "mosquitto, which keeps nothing" : "a cloud that keeps its sessions";
  for (const version of [5, 4] as const) {
    test(`${what}, is killed ${KILLS} times in mid-drain, MQTT ${version}: nothing is lost`, {
      skip: requirePeer("mosquitto", "cc"),
    }, async (t) => {
      t.diagnostic(`seed ${SEED}`);
      const random = seededRandom(SEED + version);
      using folder = temporaryFolder();
      const clock = new MovedClock(folder.path);
      await using site = await RemoteSite.open(folder.path, {
        cloud,
        version,
        env: clock.env,
        collectQos: cloud === "mosquitto" ? 0 : 2,
      });
      const { link, judge, gateway, tap } = site;
      link.refuse();
      await gateway.start();
      // Without its session the cloud forgets what it had a PUBREC for and no PUBREL: QoS 2 is only for one that keeps it.
      const sources = [await site.source("one", 1, 100, PADDING)];
      if (cloud === "sluice") sources.push(await site.source("two", 2, 100, PADDING));
      const each = ((KILLS + 1) * MESSAGES_PER_KILL) / sources.length;
      await Promise.all(sources.map((source) => source.publishTo(each)));

      clock.set({ speed: RETRY_SPEED });
      await drainBegan(site, () => restoreSlow(link));
      for (let kill = 0; kill < KILLS; kill++) {
        clock.set({ speed: 1 });
        await link.after(nextKill(random), () => {});
        clock.set({ speed: RETRY_SPEED });
        await site.restartCloud("SIGKILL");
        await drainBegan(site, () => restoreSlow(link));
      }
      clock.set({ speed: 1 });
      await judge.untilComplete();
      judge.verdict({ cuts: KILLS, window: WINDOW });
      assert.ok(tap.repeatedMax <= WINDOW, `${tap.repeatedMax} messages repeated on one connection`);
    });
  }
}

test(`the gateway is killed ${KILLS} times in mid-drain: nothing is lost, QoS 2 comes once`, {
  skip: requirePeer("mosquitto"),
}, async (t) => {
  t.diagnostic(`seed ${SEED}`);
  const random = seededRandom(SEED);
  using folder = temporaryFolder();
  await using site = await RemoteSite.open(folder.path);
  const { link, judge, gateway } = site;
  link.refuse();
  await gateway.start();
  const sources = [await site.source("one", 1, 100, PADDING), await site.source("two", 2, 100, PADDING)];
  const each = ((KILLS + 1) * MESSAGES_PER_KILL) / sources.length;
  await Promise.all(sources.map((source) => source.publishTo(each)));
  await restoreSlow(link);
  for (let kill = 0; kill < KILLS; kill++) {
    await link.after(nextKill(random), () => gateway.signal("SIGKILL"));
    await gateway.end();
    await drainBegan(site, () => gateway.start());
  }
  await judge.untilComplete();
  judge.verdict({ cuts: KILLS, window: WINDOW });
});
