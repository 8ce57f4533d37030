/** How an uplink stands, for people: one line, and below it what is not as it should be. */
import { bytesText, decimalBytesText } from "../config/units.ts";
import { printable } from "./printable.ts";
import { adviceFor } from "./uplink-advice.ts";

/** The parts of `UplinkStatus` (uplink/uplink-status.ts) that are printed. */
export interface UplinkStatus {
  readonly name: string;
  readonly state: string;
  readonly url: string;
  readonly urls: readonly string[];
  readonly protocol: number | null;
  readonly forMs: number;
  readonly lastError: string | null;
  readonly lastErrorAtMs: number | null;
  readonly failedTries: number;
  readonly lastOutage: { readonly reason: string; readonly endedAtMs: number; readonly lastedMs: number } | null;
  readonly retryInMs: number | null;
  readonly heldBy: readonly string[];
  readonly spool: Waiting & { readonly classes: readonly ClassStatus[] };
  readonly inFlight: number;
  readonly window: number;
  readonly ackTimeMs: number;
  readonly forwarded: number;
  readonly sentPerSecond: number;
  readonly receivedPerSecond: number;
  readonly received: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly metered: {
    readonly pace: { readonly waitMs: number } | null;
    readonly dataCap: DataCapStatus | null;
    readonly connect: { readonly open: boolean; readonly forMs: number } | null;
  } | null;
  readonly aggregates: readonly AggregateStatus[];
}

interface DataCapStatus {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly limitBytes: number;
  readonly usedPercent: number;
  readonly endsMs: number | null;
}

interface AggregateStatus {
  readonly match: string;
  /** Messages held, that came, that were made of them, and what was not as expected. */
  readonly messages: number;
  readonly in: number;
  readonly out: number;
  readonly suppressed: number;
  readonly passedThrough: number;
  readonly closedEarly: number;
}

interface Waiting {
  readonly messages: number;
  readonly bytes: number;
  readonly oldestMs: number | null;
}

interface ClassStatus extends Waiting {
  readonly priority: number;
  readonly fullPercent: number;
}

/** A class that is so full is told of. */
const FULL_PERCENT = 80;

/** The line, and those below it. */
export function uplinkLines(uplink: UplinkStatus): string[] {
  return [headText(uplink), ...details(uplink)];
}

function headText(uplink: UplinkStatus): string {
  const { name, url, protocol, spool, inFlight, window, ackTimeMs, forwarded, received } = uplink;
  const version = protocol === null ? "" : ` by MQTT ${protocol === 5 ? "5.0" : "3.1.1"}`;
  const acknowledged = ackTimeMs === 0 ? "" : `, acknowledged in ${Math.round(ackTimeMs)} ms`;
  return [
    `${name} ${stateText(uplink)}, ${printable(url)}${version}`,
    waitingText(spool),
    `${inFlight} of ${window} under way${acknowledged}`,
    `${forwarded} forwarded${rateText(uplink.sentPerSecond)}, ${received} received${rateText(uplink.receivedPerSecond)}`,
  ].join(", ");
}

function stateText({ state, forMs }: UplinkStatus): string {
  const online = state === "live" || state === "draining";
  return online || state === "down" || state === "held"
    ? `${state} for ${spanText(forMs)}`
    : `${state}, away for ${spanText(forMs)}`;
}

function waitingText({ messages, bytes, oldestMs }: Waiting): string {
  if (messages === 0) return "nothing waits";
  const oldest = oldestMs === null ? "" : `, the oldest for ${spanText(oldestMs)}`;
  return `${messages} messages of ${bytesText(bytes)} wait${oldest}`;
}

function rateText(perSecond: number): string {
  return perSecond === 0 ? "" : ` (${perSecond} a second)`;
}

function details(uplink: UplinkStatus): string[] {
  const { url, urls, lastError, lastErrorAtMs, failedTries, retryInMs, heldBy, spool, dropped, lastOutage } = uplink;
  const lines: string[] = [];
  for (const words of heldBy) lines.push(`held: ${printable(words)}`);
  if (lastError !== null) {
    const at = lastErrorAtMs === null ? "" : ` at ${timeText(lastErrorAtMs)}`;
    const retry = retryInMs === null ? "" : `, next try in ${spanText(Math.ceil(retryInMs / 1000) * 1000)}`;
    lines.push(`last error${at}: ${printable(lastError)}`);
    const advice = adviceFor(lastError);
    if (advice !== "") lines.push(`what to do: ${advice}`);
    lines.push(`${failedTries} tries failed${retry}`);
  } else if (lastOutage !== null) {
    const { reason, endedAtMs, lastedMs } = lastOutage;
    lines.push(`last outage: ${spanText(lastedMs)} until ${timeText(endedAtMs)}: ${printable(reason)}`);
  }
  const { pace = null, dataCap = null, connect = null } = uplink.metered ?? {};
  if (pace !== null && pace.waitMs > 0) lines.push(`pace: the next message goes in ${pace.waitMs} ms`);
  if (dataCap !== null) lines.push(dataCapText(dataCap));
  if (connect?.open) lines.push(`schedule: leaves in ${spanText(connect.forMs)}`);
  const place = urls.indexOf(url);
  if (place > 0) lines.push(`url ${place + 1} of ${urls.length}; the first is ${printable(urls[0] ?? "")}`);
  const waiting = spool.classes.filter(({ messages }) => messages > 0);
  for (const one of spool.classes) {
    if (one.messages === 0 || (waiting.length === 1 && one.priority === 0 && one.fullPercent < FULL_PERCENT)) continue;
    lines.push(`priority ${one.priority}: ${waitingText(one)}, ${one.fullPercent} % full`);
  }
  for (const rule of uplink.aggregates) lines.push(aggregateText(rule));
  const causes = Object.entries(dropped).filter(([, count]) => count > 0);
  if (causes.length > 0) lines.push(`lost since the start: ${causes.map(([c, n]) => `${n} ${c}`).join(", ")}`);
  return lines;
}

function dataCapText({ sentBytes, receivedBytes, limitBytes, usedPercent, endsMs }: DataCapStatus): string {
  const used = `${decimalBytesText(sentBytes + receivedBytes)} of ${decimalBytesText(limitBytes)} used`;
  const until = endsMs === null ? "until the clock is set" : `until ${timeText(endsMs)}`;
  const ways = `${decimalBytesText(sentBytes)} sent, ${decimalBytesText(receivedBytes)} received`;
  return `data cap: ${used} (${usedPercent} %) ${until}: ${ways}`;
}

function aggregateText(rule: AggregateStatus): string {
  const { match, messages, suppressed, passedThrough, closedEarly } = rule;
  const words = [`${rule.in} came`, `${rule.out} went on`, `${messages} held`];
  if (suppressed > 0) words.push(`${suppressed} unchanged`);
  if (passedThrough > 0) words.push(`${passedThrough} were no readings and passed through`);
  if (closedEarly > 0) words.push(`${closedEarly} closed early for lack of room`);
  return `gathers ${printable(match)}: ${words.join(", ")}`;
}

const UNITS: readonly (readonly [unit: string, ms: number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
];

/** The two largest units: "3h 12m". */
export function spanText(ms: number): string {
  const at = UNITS.findIndex(([, size]) => ms >= size);
  const [unit, size] = UNITS[at] ?? ["s", 1000];
  const whole = Math.floor(ms / size);
  const [next, part] = UNITS[at + 1] ?? ["", 1];
  const rest = at < 0 || next === "" ? 0 : Math.floor((ms - whole * size) / part);
  return rest === 0 ? `${whole}${unit}` : `${whole}${unit} ${rest}${next}`;
}

function timeText(wallMs: number): string {
  return new Date(wallMs).toISOString().replace(/\.\d+Z$/, "Z");
}
