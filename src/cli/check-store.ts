/** `sluice check --store`: whether a store is whole, what lies in it for whom, and what belongs to nobody. */
import { basename, dirname, join } from "node:path";
import { controlSocket } from "../config/names.ts";
import { bytesText, durationText } from "../config/units.ts";
import type { StoreReport } from "../store/inspect.ts";
import { FAILED, OK, say, sayError } from "./arguments.ts";
import { askControl, NoGatewayError } from "./control.ts";

/** @param file a backup, or a file set aside; undefined = the store in `dataDir` */
export async function checkStore(dataDir: string, file: string | undefined, json: boolean): Promise<number> {
  try {
    const report = await reportOf(dataDir, file);
    const wrong = report.problems.length > 0;
    say(json ? JSON.stringify({ event: "store", ...report, ok: !wrong }) : reportText(report, Date.now()));
    return endUnclosed(wrong ? FAILED : OK);
  } catch (error) {
    sayError((error as Error).message);
    return endUnclosed(FAILED);
  }
}

async function reportOf(dataDir: string, file: string | undefined): Promise<StoreReport> {
  const ownFile = file !== undefined && basename(file) === "sluice.db";
  const directory = ownFile ? dirname(file) : dataDir;
  if (file === undefined || ownFile) {
    try {
      return (await askControl(controlSocket(directory), { verb: "check" })) as StoreReport;
    } catch (error) {
      if (!(error instanceof NoGatewayError)) throw error;
    }
  }
  const { inspectFile, lockStopped } = await import("../store/inspect-file.ts");
  if (file !== undefined && !ownFile) return inspectFile(file);
  // Held to the end of the process.
  lockStopped(directory);
  return inspectFile(join(directory, "sluice.db"));
}

/** Closing the database would write to it: see inspect-file.ts. */
function endUnclosed(code: number): Promise<number> {
  return new Promise(() => {
    process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
  });
}

/** @param nowMs Unix time; the gateway's own clock may stand elsewhere, then ages are left out */
export function reportText(report: StoreReport, nowMs: number): string {
  const { path, schemaVersion, integrity, databaseBytes, freeBytes, rows, bytes, problems, notes } = report;
  const size = `${bytesText(databaseBytes)}, ${bytesText(freeBytes)} of it free`;
  const words =
    integrity === null ? "not checked: the gateway runs (stop it, or check a backup)" : integrity.join("; ");
  const lines = [
    `store      ${path}, schema version ${schemaVersion}, ${size}`,
    `integrity  ${words}`,
    `log        ${rows} messages of ${bytesText(bytes)}`,
  ];
  for (const { name, rows: count, bytes: pages } of report.tables)
    if (name !== "log") lines.push(`table      ${name}: ${count} rows${pages === null ? "" : `, ${bytesText(pages)}`}`);
  for (const { kind, name, messages, bytes: waiting, oldestMs } of report.receivers) {
    const age =
      oldestMs > 0 && oldestMs <= nowMs - 1000 ? `, the oldest ${durationText(floor(nowMs - oldestMs))} old` : "";
    if (messages > 0)
      lines.push(`receiver   ${kind} ${printable(name)}: ${messages} messages, ${bytesText(waiting)}${age}`);
  }
  const idle = report.receivers.filter(({ messages }) => messages === 0).length;
  if (idle > 0) lines.push(`receiver   ${idle} with nothing waiting`);
  for (const note of notes) lines.push(`note       ${note}`);
  for (const problem of problems) lines.push(`problem    ${printable(problem)}`);
  lines.push(problems.length === 0 ? "ok" : `${problems.length} problems`);
  return lines.join("\n");
}

function floor(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

/** Text of a peer's making must not steer the terminal. */
function printable(text: string): string {
  return text.replaceAll(/[\0-\x1f\x7f-\x9f]/g, "?");
}
