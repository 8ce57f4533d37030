/** `sluice check`: everything that is wrong with a configuration, or the memory it may take. */

import { budgetTable, fits, totalBytes } from "../config/budget.ts";
import type { Config } from "../config/config.ts";
import type { SerialPlace } from "../config/serial-port.ts";
import { memoryBill } from "../gateway/bill.ts";
import { readConfiguration } from "../gateway/configuration.ts";
import { dtlsProblem } from "../transport/dtls/addon.ts";
import { OK, parse, say, USAGE, UsageError } from "./arguments.ts";
import { complaintsText } from "./complaints-text.ts";
import { dataDirOf } from "./where.ts";

export async function check(args: string[]): Promise<number> {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: {
      config: { type: "string" },
      "data-dir": { type: "string" },
      store: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  if (values.store) return store(values, positionals);
  if (positionals.length > 0 || values["data-dir"] !== undefined)
    throw new UsageError("check takes --config FILE; FILE alone and --data-dir go with --store");
  if (values.config === undefined) throw new UsageError("check needs --config FILE");
  const { config, complaints } = readConfiguration(values.config);
  if (config === null) {
    say(complaintsText(complaints, values.config, values.json));
    return USAGE;
  }
  const lines = await memoryBill(config);
  const { memoryLimitBytes } = config;
  const fit = fits(lines, memoryLimitBytes);
  const notes = [...notesOf(config), ...(await lineNotes(config)), ...(await modbusNotes(config))];
  if (values.json)
    say(JSON.stringify({ event: "bill", lines, totalBytes: totalBytes(lines), memoryLimitBytes, fits: fit, notes }));
  else say([budgetTable(lines, memoryLimitBytes), ...notes.map((note) => `note: ${note}`)].join("\n"));
  return fit ? OK : USAGE;
}

/** What is right, and gives something up that is promised otherwise. */
function notesOf({ uplinks, listeners }: Config): string[] {
  const notes: string[] = [];
  for (const [i, { coap }] of listeners.entries()) {
    const problem = (coap?.dtls ?? null) === null ? null : dtlsProblem();
    if (problem !== null) notes.push(`listeners[${i}].dtls: this listener will be refused, all others run: ${problem}`);
  }
  for (const [i, { drain, connect, sessionExpiryMs }] of uplinks.entries()) {
    const note = (key: string, words: string): number => notes.push(`uplinks[${i}].${key}: ${words}`);
    if (drain !== "oldest-first")
      note("drain", `with ${drain} the messages of a topic reach the server in another order than they came`);
    if (connect !== null && sessionExpiryMs <= connect.everyMs)
      note("session_expiry", "the server forgets the session, and what it has for it, before the next connection");
  }
  return notes;
}

/** What lines ask of their driver, where the addon that asks it is not there. */
async function lineNotes({ serial }: Config): Promise<string[]> {
  const lines = serial.filter(({ place }) => place.kind === "device" || place.kind === "match");
  if (lines.length === 0) return [];
  const { notesWithoutAddon, ttyAddon } = await import("../transport/serial/driver.ts");
  const addon = ttyAddon();
  if (typeof addon !== "string") return [];
  return lines.flatMap((line) =>
    notesWithoutAddon(line, addon).map((note) => `serial[${serial.indexOf(line)}].${note}`),
  );
}

/** Polls that their bus has no time for, and frames that are most likely not those of the other end. */
async function modbusNotes({ serial }: Config): Promise<string[]> {
  if (serial.every(({ protocol }) => protocol !== "modbus")) return [];
  const { busTimeNote, charactersOf } = await import("../protocol/modbus/bus-time.ts");
  return serial.flatMap((line, i) => {
    if (line.protocol !== "modbus") return [];
    const notes = [transportNote(line.modbus.transport, line.place), busTimeNote(line.modbus, charactersOf(line))];
    return notes.flatMap((note) => (note === null ? [] : `serial[${i}].modbus: ${note}`));
  });
}

const MODBUS_TCP_PORT = 502;

function transportNote(transport: "rtu" | "tcp", place: SerialPlace): string | null {
  if (transport === "rtu" && place.kind === "tcp" && place.port === MODBUS_TCP_PORT)
    return "port 502 is that of Modbus TCP: transport: tcp, unless a serial server passes RTU on there";
  if (transport === "tcp" && (place.kind === "device" || place.kind === "match"))
    return "what is behind a serial device speaks RTU, most likely: transport: rtu";
  return null;
}

async function store(
  values: { config?: string | undefined; "data-dir"?: string | undefined; json: boolean },
  files: readonly string[],
): Promise<number> {
  const given = files.length + (values.config === undefined ? 0 : 1) + (values["data-dir"] === undefined ? 0 : 1);
  if (given > 1) throw new UsageError("check --store takes one of FILE, --config and --data-dir");
  const { checkStore } = await import("./check-store.ts");
  return checkStore(await dataDirOf(values.config, values["data-dir"]), files[0], values.json);
}
