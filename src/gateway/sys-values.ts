/**
 * What `$SYS` says: Mosquitto's names where they mean the same here, and the gateway's own. The table in README.md
 * lists them, with those of Mosquitto's that are left out and why.
 */
import { version } from "../base/version.ts";
import type { SysTopics } from "../core/sys-topics.ts";
import type { Ground, Rooms } from "./rooms.ts";

/** Enters everything but the uplinks. */
export function addSysValues(sys: SysTopics, { config, clock, counters }: Ground, rooms: Omit<Rooms, "sys">): void {
  const { registry, retained, router, store } = rooms;
  const count = (name: string) => (): number => counters.get(name);
  const startedMs = clock.nowMs();

  sys.add("broker/version", () => `sluice version ${version()}`);
  sys.add("broker/uptime", () => `${Math.floor((clock.nowMs() - startedMs) / 1000)} seconds`);

  const disconnected = (): number => registry.count - registry.connectedCount;
  sys.add("broker/clients/total", () => registry.count);
  for (const name of ["connected", "active"]) sys.add(`broker/clients/${name}`, () => registry.connectedCount);
  for (const name of ["disconnected", "inactive"]) sys.add(`broker/clients/${name}`, disconnected);
  sys.add("broker/clients/maximum", () => registry.connectedMax);
  sys.add("broker/clients/expired", count("session.expired"));

  const stored = (): number => counters.get("store.log_rows") + retained.count;
  for (const name of ["messages/stored", "store/messages/count"]) sys.add(`broker/${name}`, stored);
  sys.add("broker/retained messages/count", () => retained.count);
  // To the router a shared group is one more subscription.
  sys.add("broker/subscriptions/count", () => router.subscriptionCount - counters.get("share.groups"));
  sys.add("broker/shared_subscriptions/count", count("share.subscriptions"));
  sys.add("broker/messages/inflight", () => registry.inFlight);
  sys.add("broker/packet/out/bytes", count("transport.unsent_bytes"));
  sys.addWithPeak("broker/heap/current", "broker/heap/maximum", heapBytes);

  const dropped = (): number => counters.get("drops.queue-full") + counters.get("drops.output-full");
  sys.add("broker/connections/socket/count", count("transport.accepted"));
  sys.add("broker/messages/received", count("mqtt.packets_received"));
  sys.add("broker/messages/sent", count("mqtt.packets_sent"));
  sys.add("broker/bytes/received", count("transport.bytes_received"));
  sys.add("broker/bytes/sent", count("transport.bytes_sent"));
  sys.add("broker/publish/messages/received", count("mqtt.publish.received"));
  sys.add("broker/publish/messages/sent", count("mqtt.publish.sent"));
  sys.add("broker/publish/messages/dropped", dropped);
  sys.add("broker/publish/bytes/received", count("mqtt.publish.bytes_received"));
  sys.add("broker/publish/bytes/sent", count("mqtt.publish.bytes_sent"));

  sys.addLoad("broker/load/messages/received", count("mqtt.packets_received"));
  sys.addLoad("broker/load/messages/sent", count("mqtt.packets_sent"));
  sys.addLoad("broker/load/publish/received", count("mqtt.publish.received"));
  sys.addLoad("broker/load/publish/sent", count("mqtt.publish.sent"));
  sys.addLoad("broker/load/publish/dropped", dropped);
  sys.addLoad("broker/load/bytes/received", count("transport.bytes_received"));
  sys.addLoad("broker/load/bytes/sent", count("transport.bytes_sent"));
  sys.addLoad("broker/load/sockets", count("transport.accepted"));
  sys.addLoad("broker/load/connections", count("mqtt.connect.received"));

  sys.addOwn("node", () => config.node);
  sys.addOwn("memory.rss_bytes", () => process.memoryUsage.rss());
  sys.addOwn("memory.limit_bytes", () => config.memoryLimitBytes);
  sys.addOwn("store.health", () => store.health);
  sys.addOwn("store.reason", () => store.status().reason || NONE);
  sys.addOwn("store.max_bytes", () => config.store.maxBytes);
  sys.addOwn("store.budget.state", () => store.writeBudget.state);
  sys.addOwn("store.budget.bytes_per_day", () => config.store.writeBudgetPerDay);
  if (config.store.endurance !== null) {
    sys.addOwn("store.wear.used_percent", () => store.writeBudget.wear()?.usedPercent.toFixed(3) ?? NONE);
    sys.addOwn("store.wear.years_left", () => store.writeBudget.wear()?.yearsLeft?.toFixed(1) ?? NONE);
  }
  sys.addOwn("clock.state", () => store.ages.status().state);
  sys.addOwn("clock.off_time_since", () => {
    const { offTimeSinceMs } = store.ages.status();
    return offTimeSinceMs === 0 ? NONE : new Date(offTimeSinceMs).toISOString();
  });
}

/** An empty payload would say that there is no value. */
export const NONE = "none";

/** What objects and buffers take. */
function heapBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
