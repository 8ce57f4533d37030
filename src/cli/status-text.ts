/** The gateway's status for people: the few numbers that say whether it is well. */
import { bytesText, decimalBytesText, durationText } from "../config/units.ts";
import { YEARS_MAX } from "../store/write-budget.ts";
import { modbusLines } from "./modbus-text.ts";
import { printable } from "./printable.ts";
import { type SerialStatus, serialLines } from "./serial-text.ts";
import { type UplinkStatus, uplinkLines } from "./uplink-text.ts";

/** The parts of `Gateway.status()` that are printed. */
export interface Status {
  readonly node: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly memory: { readonly rssBytes: number };
  readonly listeners: readonly ListenerStatus[];
  readonly sessions: { readonly count: number; readonly connected: number; readonly connectedMax: number };
  readonly subscriptions: number;
  readonly retained: { readonly messages: number; readonly bytes: number };
  readonly store: StoreStatus | null;
  readonly clock: ClockStatus | null;
  readonly serial?: readonly SerialStatus[];
  readonly uplinks: readonly UplinkStatus[];
  readonly counters: Readonly<Record<string, number>>;
  readonly drops?: readonly Drop[];
  readonly dropsByReceiver?: readonly ReceiverDrops[];
}

interface ListenerStatus {
  readonly type: string;
  readonly address: string;
  /** Why it is not open. */
  readonly refused?: string;
}

interface StoreStatus {
  readonly health: string;
  readonly reason: string;
  readonly sync: string;
  readonly rows: number;
  readonly bytes: number;
  readonly databaseBytes: number;
  readonly walBytes: number;
  readonly maxBytes: number;
  readonly damaged: Damaged | null;
  readonly written: Written;
}

interface Written {
  readonly day: Readonly<Record<string, number>>;
  readonly lifetime: { readonly total: number };
  readonly budget: {
    readonly state: string;
    readonly bytesPerDay: number | "off";
    readonly usedPercent: number;
    readonly windowMs: number;
  };
  readonly wear: {
    readonly enduranceBytes: number;
    readonly usedPercent: number;
    readonly bytesPerDay: number | null;
    readonly yearsLeft: number | null;
  } | null;
}

interface Damaged {
  readonly files: number;
  readonly bytes: number;
  readonly report: {
    readonly movedTo: string;
    readonly wallMs: number;
    readonly complete: boolean;
    readonly problem: string;
    readonly tables: Readonly<Record<string, { saved: number; lost: number; lostPages: number }>>;
  } | null;
}

interface ClockStatus {
  readonly state: string;
  readonly wallMs: number;
  readonly offTimeSinceMs: number;
  readonly offTimeCountedMs: number;
}

interface ReceiverDrops {
  readonly receiver: string;
  readonly causes: Readonly<Record<string, number>>;
}

interface Drop {
  readonly wallMs: number;
  readonly receiver: string;
  readonly topic: string;
  readonly cause: string;
  readonly count: number;
}

export function statusText(status: Status): string {
  const rows: [string, string][] = [
    [
      "gateway",
      `${printable(status.node)}, pid ${status.pid}, up ${status.uptimeSeconds === 0 ? "0s" : durationText(status.uptimeSeconds * 1000)}, ${bytesText(status.memory.rssBytes)} resident`,
    ],
    ...status.listeners.map(({ type, address, refused }): [string, string] => [
      "listener",
      `${type} ${address}${refused === undefined ? "" : ` refused: ${printable(refused)}`}`,
    ]),
    [
      "sessions",
      `${status.sessions.connected} connected of ${status.sessions.count}, at most ${status.sessions.connectedMax}, ${status.subscriptions} subscriptions`,
    ],
    ["traffic", trafficText(status.counters)],
    ...coapRow(status.counters),
    ...dtlsRow(status.counters),
    ["retained", `${status.retained.messages} messages, ${bytesText(status.retained.bytes)}`],
  ];
  if (status.store !== null) rows.push(["store", storeText(status.store)]);
  if (status.store !== null) rows.push(["written", writtenText(status.store.written)]);
  if (status.store?.written.wear) rows.push(["wear", wearText(status.store.written.wear)]);
  if (status.clock !== null) rows.push(["clock", clockText(status.clock)]);
  if (status.store?.damaged) rows.push(["damaged", damagedText(status.store.damaged)]);
  for (const port of status.serial ?? []) {
    for (const [i, line] of serialLines(port).entries()) rows.push(i === 0 ? ["serial", line] : ["", `  ${line}`]);
    if (port.modbus !== undefined) for (const line of modbusLines(port.modbus)) rows.push(["", `  ${printable(line)}`]);
  }
  for (const uplink of status.uplinks) {
    for (const [i, line] of uplinkLines(uplink).entries()) rows.push(i === 0 ? ["uplink", line] : ["", `  ${line}`]);
  }
  rows.push(["drops", dropsText(status.counters)]);
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`);
  if (status.drops !== undefined)
    lines.push(...receiverTable(status.dropsByReceiver ?? []), ...lastDrops(status.drops));
  return lines.join("\n");
}

/** Receivers down, causes across. */
function receiverTable(receivers: readonly ReceiverDrops[]): string[] {
  if (receivers.length === 0) return [];
  const causes = [...new Set(receivers.flatMap(({ causes }) => Object.keys(causes)))];
  const cells = [
    ["receiver", ...causes],
    ...receivers.map(({ receiver, causes: counts }) => [
      printable(receiver),
      ...causes.map((c) => `${counts[c] ?? "-"}`),
    ]),
  ];
  const widths = (cells[0] as string[]).map((_, column) =>
    Math.max(...cells.map((row) => (row[column] as string).length)),
  );
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number))).join("  ");
  return ["", "messages lost since the first start", ...cells.map((row) => `  ${line(row)}`)];
}

function lastDrops(drops: readonly Drop[]): string[] {
  return drops.length === 0 ? [] : ["", "the last of them", ...drops.map((drop) => `  ${dropText(drop)}`)];
}

function storeText(store: StoreStatus): string {
  const health = store.reason === "" ? store.health : `${store.health} (${printable(store.reason)})`;
  const used = bytesText(store.databaseBytes + store.walBytes);
  const waiting = `${store.rows} messages of ${bytesText(store.bytes)} wait`;
  return `${health}, sync ${store.sync}, ${waiting}, ${used} of ${bytesText(store.maxBytes)} on disk`;
}

function writtenText({ day, lifetime, budget }: Written): string {
  const parts = Object.entries(day).filter(([name, bytes]) => name !== "total" && bytes > 0);
  const classes = parts.map(([name, bytes]) => `${name} ${bytesText(bytes)}`).join(", ");
  const { state, bytesPerDay, usedPercent, windowMs } = budget;
  const of = bytesPerDay === "off" ? "without a budget" : `${usedPercent.toFixed(1)} % of ${bytesText(bytesPerDay)}`;
  const window =
    state === "widened" || state === "spent"
      ? `, budget ${state}: commits wait ${durationText(Math.round(windowMs))}`
      : "";
  const today = `${bytesText(day["total"] ?? 0)} today, ${of}${window}`;
  return `${today}${classes === "" ? "" : ` (${classes})`}; ${bytesText(lifetime.total)} in all`;
}

function wearText({ enduranceBytes, usedPercent, bytesPerDay, yearsLeft }: NonNullable<Written["wear"]>): string {
  const used = `${usedPercent.toFixed(usedPercent < 1 ? 3 : 1)} % of ${decimalBytesText(enduranceBytes)} used`;
  if (bytesPerDay === null || yearsLeft === null) return `${used}, no pace yet in the first hour`;
  const years = yearsLeft >= YEARS_MAX ? `more than ${YEARS_MAX} years` : `${yearsLeft.toFixed(1)} years`;
  return `${used}, the rest lasts ${years} at ${decimalBytesText(bytesPerDay)} a day`;
}

function clockText({ state, wallMs, offTimeSinceMs, offTimeCountedMs }: ClockStatus): string {
  const time = new Date(wallMs).toISOString();
  if (state === "set") {
    return `set, ${time}${offTimeCountedMs < 1000 ? "" : `, ${secondsText(offTimeCountedMs)} of off-time counted`}`;
  }
  const since =
    offTimeSinceMs === 0 ? "" : `: off-time since ${new Date(offTimeSinceMs).toISOString()} is not counted yet`;
  return state === "unset"
    ? `not set, it shows ${time}${since}`
    : `behind the last time stored, it shows ${time}${since}`;
}

function secondsText(ms: number): string {
  return durationText(Math.floor(ms / 1000) * 1000);
}

function damagedText({ files, bytes, report }: Damaged): string {
  const kept = `${files} ${files === 1 ? "file" : "files"} set aside, ${bytesText(bytes)}`;
  if (report === null) return kept;
  const sum = (key: "saved" | "lost" | "lostPages"): number =>
    Object.values(report.tables).reduce((total, count) => total + count[key], 0);
  const lost = `${sum("lost")} rows and ${sum("lostPages")} pages lost`;
  const end = report.complete ? "" : ` (${printable(report.problem)})`;
  return `${kept}; of ${printable(report.movedTo)} ${sum("saved")} rows were saved, ${lost}${end}`;
}

function trafficText(counters: Readonly<Record<string, number>>): string {
  const count = (name: string): number => counters[name] ?? 0;
  const bytes = (name: string): string => bytesText(count(`transport.bytes_${name}`));
  const packets = `${count("mqtt.packets_received")} MQTT packets received, ${count("mqtt.packets_sent")} sent`;
  return `${bytes("received")} received, ${bytes("sent")} sent, ${packets}`;
}

/** Nothing until a CoAP listener has been opened. */
function coapRow(counters: Readonly<Record<string, number>>): [string, string][] {
  if (counters["coap.received"] === undefined) return [];
  const count = (name: string): number => counters[`coap.${name}`] ?? 0;
  const messages = `${count("received")} messages received, ${count("published")} published`;
  return [["coap", `${messages}; ${count("observers")} observers, ${count("connections")} connections`]];
}

/** Nothing until a DTLS listener has been opened. */
function dtlsRow(counters: Readonly<Record<string, number>>): [string, string][] {
  if (counters["dtls.sessions"] === undefined) return [];
  const count = (name: string): number => counters[`dtls.${name}`] ?? 0;
  const failed = count("failed");
  const causes = Object.entries(counters)
    .filter(([name, value]) => name.startsWith("dtls.failed.") && value > 0)
    .map(([name, value]) => `${value} ${name.slice("dtls.failed.".length)}`);
  const failures = failed === 0 ? "" : ` (${causes.join(", ")})`;
  const now = `${count("sessions")} sessions, ${count("half_open")} in a handshake`;
  return [["dtls", `${now}; ${count("handshakes")} handshakes, ${failed} failed${failures}`]];
}

function dropsText(counters: Readonly<Record<string, number>>): string {
  const causes = Object.entries(counters).filter(([name, value]) => name.startsWith("drops.") && value > 0);
  return causes.length === 0 ? "none" : causes.map(([name, value]) => `${value} ${name.slice(6)}`).join(", ");
}

function dropText({ wallMs, receiver, topic, cause, count }: Drop): string {
  return `${new Date(wallMs).toISOString()} ${printable(receiver)}: ${count} ${cause}, first of ${printable(topic)}`;
}
