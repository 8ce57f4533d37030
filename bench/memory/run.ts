/**
 * npm run bench -- memory [--connections N] [--only parts|connections|sessions] [--json FILE] [--compare FILE]
 *
 * Memory of Sluice at rest, part by part beside a bare Node server; and what an idle connection costs over TCP, TLS and
 * WebSocket, beside bare servers, mosquitto and aedes; and a session.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import type { Figure } from "../figures.ts";
import { readFlags, wrongUse } from "../flags.ts";
import { buildLoad } from "../load/build.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import { Progress } from "../progress.ts";
import { table } from "../table.ts";
import { benchCertificates } from "./certificates.ts";
import { weighConnections } from "./connections.ts";
import { weighParts } from "./parts.ts";

const values = readFlags("memory", {
  connections: { type: "string", default: "4000" },
  only: { type: "string" },
  ...OUTCOME_OPTIONS,
});
const TABLES = ["parts", "connections", "sessions"];
if (values.only !== undefined && !TABLES.includes(values.only)) {
  wrongUse("memory", `there is no ${values.only}`, [`--only: ${TABLES.join(" ")}`]);
}
const directory = mkdtempSync(`${tmpdir()}/sluice-bench-`);
const progress = new Progress();
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
await buildLoad();
const certificates = await benchCertificates(`${directory}/certificates`);
const rows: string[][][] = [];
const figures: Figure[] = [];
const isAsked = (table: string): boolean => values.only === undefined || values.only === table;
if (isAsked("parts")) rows.push(await weighParts(directory, certificates, progress, figures));
for (const kind of ["connections", "sessions"] as const) {
  const count = Number(values.connections);
  if (isAsked(kind)) {
    rows.push(await weighConnections(kind, directory, certificates.broker, count, progress, figures));
  }
}
progress.clear();
const text = rows.map(table).join("\n\n");
publish({ bench: "memory", options: values, method: `${values.connections} idle connections`, text, figures });
