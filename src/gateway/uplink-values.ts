/** What `$SYS` says of an uplink, besides its counters. The table in README.md lists it. */
import type { NamesUnder } from "../base/counters.ts";
import { DROP_CAUSES } from "../core/drop-causes.ts";
import type { QueueHost } from "../core/outlet.ts";
import type { SysTopics } from "../core/sys-topics.ts";
import type { Uplink } from "../uplink/uplink.ts";
import { oldestMs } from "../uplink/uplink-status.ts";
import { NONE } from "./sys-values.ts";

export function addUplinkValues(sys: SysTopics, uplink: Uplink, host: QueueHost): void {
  const { name, reach, spool } = uplink;
  const { outage } = reach;
  const { time } = host;
  const add = (value: string, read: () => string | number): void => sys.addOwn(`uplink.${name}.${value}`, read);
  uplink.watch(() => sys.tellSoon(`uplink.${name}.`, bridgeState(name)));
  // A bridge's, in Mosquitto's words.
  sys.add(bridgeState(name), () => (uplink.online ? 1 : 0));
  add("state", () => reach.state);
  add("since", () => timeText(time.wallMs() - outage.forMs));
  add("url", () => reach.url);
  add("protocol", () => uplink.protocol ?? NONE);
  add("last_error", () => outage.lastError ?? NONE);
  add("last_error_at", () => (outage.lastError === null ? NONE : timeText(outage.lastErrorAtMs)));
  add("next_try", () => (reach.retryInMs === null ? NONE : timeText(time.wallMs() + reach.retryInMs)));
  add("held_by", () => reach.heldBy.join("; ") || NONE);
  add("window", () => uplink.window);
  add("sent_per_second", () => uplink.rates.perSecond(0));
  add("received_per_second", () => uplink.rates.perSecond(1));
  if (uplink.metered?.dataCap) {
    add("data_state", () => uplink.metered?.dataCap?.state ?? NONE);
    add("data_until", () => {
      const endsMs = uplink.metered?.dataCap?.endsMs ?? null;
      return endsMs === null ? NONE : timeText(endsMs);
    });
  }
  for (const one of spool.classes) {
    const { priority } = one;
    const queue = () => spool.classOf(priority)?.queue ?? null;
    add(`priority.${priority}.messages`, () => queue()?.count ?? 0);
    add(`priority.${priority}.bytes`, () => queue()?.bytes ?? 0);
    add(`priority.${priority}.oldest_seconds`, () => {
      const of = queue();
      return of === null ? 0 : Math.floor((oldestMs(of, host) ?? 0) / 1000);
    });
  }
  add("dropped", () => Object.values(spool.dropped).reduce((sum, count) => sum + count, 0));
  for (const cause of DROP_CAUSES) add(`dropped.${cause}`, () => spool.dropped[cause] ?? 0);
}

/** Its counters are still there. */
export function removeUplinkValues(sys: SysTopics, name: string, own: NamesUnder): void {
  sys.remove(bridgeState(name));
  sys.removeOwn(own);
}

function bridgeState(uplink: string): string {
  return `broker/connection/${uplink}/state`;
}

/** To the second: computed from what is left or over, it would change with every look. */
function timeText(wallMs: number): string {
  return new Date(Math.round(wallMs / 1000) * 1000).toISOString().replace(".000Z", "Z");
}
