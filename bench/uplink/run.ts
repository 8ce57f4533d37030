/**
 * npm run bench -- uplink [--only drain,orders,bytes,link] [--rounds N] [--cold] [--messages N] [--transports tls,tcp]
 *                         [--windows 64,20,1000] [--remotes mosquitto,sink]
 *                         [--peers sluice,mosquitto,autosave,mqttjs] [--directory DIR] [--json FILE] [--compare FILE]
 *
 * A backlog that goes out over an uplink, beside mosquitto's bridge and MQTT.js with the same; and a spool by itself in
 * each order that `drain` names; bytes on the link for each reading with rules that gather. How to read it: ../README.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import type { Figure } from "../figures.ts";
import { readFlags, wrongUse } from "../flags.ts";
import { buildLoad, hasOpenSsl } from "../load/build.ts";
import { benchCertificates, type Certificates } from "../memory/certificates.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import { Progress } from "../progress.ts";
import { bytes } from "./bytes.ts";
import { drain } from "./drain.ts";
import { link } from "./link.ts";
import { orders } from "./orders.ts";

export interface UplinkBench {
  /** On the disk that spools are on; the caller removes it. */
  readonly directory: string;
  readonly certificates: Certificates;
  readonly rounds: number;
  /** Backlogs drained before the one that counts, by who is compiled while it runs. */
  readonly warmUps: number;
  readonly messages: number;
  readonly transports: readonly string[];
  readonly windows: readonly number[];
  readonly remotes: readonly string[];
  readonly peers: readonly string[];
  /** For the gateway. */
  readonly nodeFlags: readonly string[];
  readonly progress: Progress;
}

/** For people, for programs, and for a comparison. */
export interface UplinkReport {
  readonly text: string;
  readonly details: unknown;
  readonly figures: readonly Figure[];
}

const PARTS: Readonly<Record<string, (bench: UplinkBench) => Promise<UplinkReport>>> = {
  drain,
  orders,
  bytes,
  link,
};

/** An outage is seldom the first thing in a life. */
const WARM_UPS = 2;

const values = readFlags("uplink", {
  directory: { type: "string", default: tmpdir() },
  only: { type: "string", default: Object.keys(PARTS).join() },
  rounds: { type: "string", default: "3" },
  cold: { type: "boolean", default: false },
  messages: { type: "string", default: "100000" },
  transports: { type: "string", default: "tls,tcp" },
  windows: { type: "string", default: "64,20,1000" },
  remotes: { type: "string", default: "mosquitto,sink" },
  peers: { type: "string", default: "sluice,mosquitto,autosave,mqttjs" },
  "node-flags": { type: "string", default: "" },
  ...OUTCOME_OPTIONS,
});
const parts = values.only.split(",").map((name) => {
  const part = PARTS[name];
  if (part === undefined) wrongUse("uplink", `there is no part ${name}`, [`parts: ${Object.keys(PARTS).join(" ")}`]);
  return { name, part };
});
const directory = mkdtempSync(`${values.directory}/sluice-bench-`);
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
const progress = new Progress();
await buildLoad();
const certificates = await benchCertificates(`${directory}/certificates`);
const openSsl = await hasOpenSsl();
if (!openSsl) progress.note("no OpenSSL headers: the sink has no TLS and is left out there");
const bench: UplinkBench = {
  directory,
  certificates,
  rounds: Number(values.rounds),
  warmUps: values.cold ? 0 : WARM_UPS,
  messages: Number(values.messages),
  transports: values.transports.split(","),
  windows: values.windows.split(",").map(Number),
  remotes: values.remotes.split(",").filter((name) => name !== "sink" || openSsl),
  peers: values.peers.split(","),
  nodeFlags: values["node-flags"].split(" ").filter((flag) => flag !== ""),
  progress,
};
const reports: { readonly name: string; readonly report: UplinkReport }[] = [];
for (const { name, part } of parts) {
  reports.push({ name, report: await part(bench) });
}
progress.clear();
publish({
  bench: "uplink",
  options: values,
  method: `${values.rounds} rounds, ${Number(values.messages).toLocaleString("en")} messages`,
  text: reports.map(({ report }) => report.text).join("\n\n"),
  figures: reports.flatMap(({ report }) => report.figures),
  details: Object.fromEntries(reports.map(({ name, report }) => [name, report.details])),
});
