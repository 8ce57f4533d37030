/**
 * npm run bench -- dtls [--count N] [--sessions N] [--messages N] [--rounds N] [--json FILE] [--compare FILE]
 *
 * What DTLS costs a server: CPU time of a handshake by key, by certificate, by certificates on both sides, and resumed; of
 * an echo of 200 bytes; memory of a session that is held. The addon on bare node:dgram, and the gateway, in one run; the
 * clients are a program in C on the system's OpenSSL. How to read it: ../README.md.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { KeptProcess, lineOf } from "../../scripts/kept/kept-process.ts";
import { activityOf, memoryOf } from "../../scripts/kept/proc.ts";
import { RUN_ENV, RUN_FLAGS } from "../../scripts/root.mjs";
import { Authority } from "../../test/support/dtls-certificates.ts";
import { type Figure, median } from "../figures.ts";
import { readFlags } from "../flags.ts";
import { buildLoad, hasOpenSsl, programOf } from "../load/build.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import { startSluice } from "../peers/sluice.ts";
import { Progress } from "../progress.ts";
import { perSecond, table, threeDigits } from "../table.ts";

const run = promisify(execFile);
const SERVER = join(import.meta.dirname, "server.ts");
/** A gateway looks after itself now and then; a session's memory is weighed when that is done. */
const SETTLE_MS = 1_500;
const ECDSA = "ECDHE-ECDSA-AES128-CCM8";

/** How clients come. */
interface Case {
  readonly name: string;
  readonly mutual?: boolean;
  readonly flags: readonly string[];
}

interface Server {
  readonly name: "addon" | "gateway";
  /** Whether it asks for client certificates. */
  readonly mutual: boolean;
  readonly pid: number;
  readonly port: number;
  stop(): Promise<unknown>;
}

const values = readFlags("dtls", {
  count: { type: "string", default: "500" },
  sessions: { type: "string", default: "3000" },
  messages: { type: "string", default: "50000" },
  rounds: { type: "string", default: "3" },
  ...OUTCOME_OPTIONS,
});
if (!(await hasOpenSsl())) throw new Error("the clients need OpenSSL's headers (Debian: libssl-dev)");
const directory = mkdtempSync(`${tmpdir()}/sluice-bench-`);
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
const progress = new Progress();
const authority = new Authority(join(directory, "certificates"));
authority.issue({ name: "server" });
authority.issue({ name: "client" });
const paths = { cert: authority.path("server.pem"), key: authority.path("server.key"), ca: authority.path("ca.pem") };
const byCertificate = ["--cipher", ECDSA, "--ca", paths.ca];
const byBoth = [...byCertificate, "--cert", authority.path("client.pem"), "--key", authority.path("client.key")];
const CASES: readonly Case[] = [
  { name: "PSK, CCM8", flags: ["--cipher", "PSK-AES128-CCM8"] },
  { name: "PSK, GCM", flags: ["--cipher", "PSK-AES128-GCM-SHA256"] },
  { name: "ECDHE-ECDSA", flags: byCertificate },
  { name: "ECDHE-ECDSA, client certificate", flags: byBoth, mutual: true },
  { name: "PSK, resumed", flags: ["--cipher", "PSK-AES128-CCM8", "--resume"] },
  { name: "client certificate, resumed", flags: [...byBoth, "--resume"], mutual: true },
];
const HELD = [CASES[0]!, CASES[3]!];
const ECHOED = CASES.slice(0, 2);

interface Shaken {
  readonly count: number;
  readonly seconds: number;
  readonly clientCpuSeconds: number;
}

const figures: Figure[] = [];
const parts: string[] = [];
const servers: Server[] = [];
try {
  await buildLoad();
  for (const mutual of [false, true]) servers.push(await startAddon(mutual), await startGateway(mutual));
  parts.push(await handshakes(), await echoes());
} finally {
  for (const server of servers.splice(0)) await server.stop();
}
parts.push(await memory());
progress.clear();
publish({
  bench: "dtls",
  options: values,
  method: `${values.count} handshakes, ${values.messages} messages, ${values.sessions} sessions held; medians of ${values.rounds} rounds`,
  text: parts.join("\n\n"),
  figures,
});

async function startAddon(mutual: boolean): Promise<Server> {
  const options = JSON.stringify({ ...paths, requireClientCert: mutual });
  const child = await KeptProcess.start(process.execPath, [...RUN_FLAGS, SERVER, options], {
    ...process.env,
    ...RUN_ENV,
  });
  child.stderr.pipe(process.stderr);
  const { port } = await lineOf(child.stdout, (line) => JSON.parse(line) as { port: number }, 15_000);
  return { name: "addon", mutual, pid: child.pid, port, stop: () => child.stop() };
}

async function startGateway(mutual: boolean): Promise<Server> {
  const psk = join(directory, "psk.txt");
  writeFileSync(psk, "bench:0123456789abcdef\n", { mode: 0o600 });
  const { cert, key, ca } = paths;
  const dtls = `psk_file: ${psk}, cert: ${cert}, key: ${key}, ${mutual ? `client_ca: ${ca}, ` : ""}max_sessions: 4096`;
  const home = mkdtempSync(`${directory}/gateway-`);
  const config = [
    `  - {type: coap, bind: "127.0.0.1:0", dtls: {${dtls}}}`,
    "memory_limit: 64MiB",
    "limits: {handshakes_per_second: 100000}",
  ];
  const peer = await startSluice(home, { config });
  if (peer === null) throw new Error("the product is not built");
  const port = peer.ports["coaps"] ?? peer.ports["coap"] ?? 0;
  return { name: "gateway", mutual, pid: peer.pid, port, stop: async () => await peer.process?.stop() };
}

async function clients<T>(server: Server, mode: string, flags: readonly string[]): Promise<T> {
  const args = ["--port", `${server.port}`, "--mode", mode, ...flags];
  const { stdout } = await run(programOf("dtls-load"), args);
  return JSON.parse(stdout) as T;
}

async function handshakes(): Promise<string> {
  const rows = [["handshake", "addon ms", "gateway ms", "client ms", "addon rate", "gateway rate"]];
  for (const { name, flags, mutual = false } of CASES) {
    const ms = { addon: [] as number[], gateway: [] as number[] };
    const rates = { addon: [] as number[], gateway: [] as number[] };
    const theirs: number[] = [];
    for (let round = 0; round <= Number(values.rounds); round++) {
      for (const server of servers.filter((candidate) => candidate.mutual === mutual)) {
        progress.show(`${name}: ${server.name}, round ${round} of ${values.rounds}`);
        const before = activityOf(server.pid).cpuSeconds;
        const shaken = await clients<Shaken>(server, "shake", ["--count", values.count, ...flags]);
        const used = activityOf(server.pid).cpuSeconds - before;
        if (round === 0) continue; // warm-up
        ms[server.name].push((1_000 * used) / shaken.count);
        rates[server.name].push(shaken.count / shaken.seconds);
        theirs.push((1_000 * shaken.clientCpuSeconds) / shaken.count);
      }
    }
    for (const server of ["addon", "gateway"] as const)
      figures.push({ name: `${name}: ${server}, ms of CPU`, better: "less", values: ms[server] });
    const middle = [ms.addon, ms.gateway, theirs].map((all) => threeDigits(median(all)));
    rows.push([name, ...middle, ...[rates.addon, rates.gateway].map((all) => perSecond(median(all)))]);
  }
  return `CPU time of one handshake, cookie and goodbye included; clients one after the other\n\n${table(rows)}`;
}

async function echoes(): Promise<string> {
  const rows = [["echo of 200 bytes, 16 under way", "addon µs", "rate"]];
  const server = servers.find((candidate) => candidate.name === "addon" && !candidate.mutual)!;
  for (const { name, flags } of ECHOED) {
    const us: number[] = [];
    const rates: number[] = [];
    for (let round = 0; round <= Number(values.rounds); round++) {
      progress.show(`echo, ${name}: round ${round} of ${values.rounds}`);
      const before = activityOf(server.pid).cpuSeconds;
      const { count, seconds } = await clients<Shaken>(server, "echo", ["--count", values.messages, ...flags]);
      const used = activityOf(server.pid).cpuSeconds - before;
      if (round === 0) continue;
      us.push((1e6 * used) / count);
      rates.push(count / seconds);
    }
    figures.push({ name: `echo, ${name}: us of CPU`, better: "less", values: us });
    rows.push([name, threeDigits(median(us)), perSecond(median(rates))]);
  }
  return `CPU time of a message in and out\n\n${table(rows)}`;
}

/** Each in a server of its own, which nothing has made larger before. */
async function memory(): Promise<string> {
  const rows = [[`${values.sessions} sessions held`, "addon, RSS kB each", "gateway, RSS kB each"]];
  for (const { name, flags, mutual = false } of HELD) {
    const row: string[] = [];
    for (const start of [startAddon, startGateway]) {
      const server = await start(mutual);
      progress.show(`${name} held: ${server.name}`);
      await clients(server, "shake", ["--count", "200", ...flags]);
      await delay(SETTLE_MS);
      const before = memoryOf(server.pid).rssBytes;
      const args = ["--port", `${server.port}`, "--mode", "hold", "--count", values.sessions, ...flags];
      const crowd = await KeptProcess.start(programOf("dtls-load"), args, process.env);
      crowd.stderr.pipe(process.stderr);
      await lineOf(crowd.stdout, (line) => line, 60_000);
      await delay(SETTLE_MS);
      const each = (memoryOf(server.pid).rssBytes - before) / Number(values.sessions) / 1_000;
      figures.push({ name: `${name} held: ${server.name}, kB`, better: "less", values: [each] });
      row.push(threeDigits(each));
      await crowd.stop();
      await server.stop();
    }
    rows.push([name, ...row]);
  }
  return `Resident memory\n\n${table(rows)}`;
}
