/** When nobody is there any more: what the gateway then has to be rid of. */
import type { SoakedGateway, Status } from "./gateway.ts";

/** Zero when no client is there and no session waits for one. */
const ZERO = [
  "session.count",
  "session.in_flight",
  "session.subscription_bytes",
  "session.will_bytes",
  "share.groups",
  "share.subscriptions",
  "share.waiting",
  "transport.connections",
  "transport.waiting",
  "transport.unsent_bytes",
  "mqtt.connections",
  "mqtt.input_bytes",
  "mqtt.alias_bytes",
  "mqtt.ack_bytes",
  "mqtt.auth.exchanges",
  "queue.waiting_bytes",
  "queue.latest_bytes",
  "store.log_rows",
  "store.pending_bytes",
] as const;
/** The longest wait of an uplink before its next try is 60 s. */
const QUIET_MS_MAX = 80_000;
const LOOK_MS = 200;

/** Waits until nothing is left to do. @throws with what is left when that does not happen */
export async function untilQuiet(gateway: SoakedGateway): Promise<void> {
  const deadline = performance.now() + QUIET_MS_MAX;
  for (;;) {
    const left = restOf(await gateway.status());
    if (left.length === 0) return;
    if (performance.now() > deadline) throw new Error(`not quiet after ${QUIET_MS_MAX / 1_000} s: ${left.join(", ")}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function restOf({ counters, uplinks }: Status): string[] {
  const left: string[] = ZERO.filter((name) => counters[name] !== 0).map((name) => `${name} ${counters[name]}`);
  for (const { name, state, spool, inFlight } of uplinks) {
    if (state !== "live" || spool.messages > 0 || inFlight > 0)
      left.push(`uplink ${name} is ${state} with ${spool.messages} messages`);
  }
  return left;
}
