/** A backlog goes out: how fast, and what it costs sender and receiver. */
import { mkdirSync, rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { cpuSeconds, memoryOf } from "../../scripts/kept/proc.ts";
import { type Figure, median } from "../figures.ts";
import type { Certificates } from "../memory/certificates.ts";
import { mebibytes, perSecond, table, threeDigits } from "../table.ts";
import { type Arrival, type StartRemote, startCloud, startSink } from "./remotes.ts";
import type { UplinkBench, UplinkReport } from "./run.ts";
import {
  bridgeSender,
  interleaveSender,
  mqttJsSender,
  newestFirstSender,
  type Sender,
  type StartSender,
  savingBridgeSender,
  sluiceSender,
  threeRulesSender,
  threeTopicsSender,
} from "./senders.ts";

export const PAYLOAD_BYTES = 200;
const QUIET_MS = 300;
/** CPU time in it of a process that does nothing any more: a tick of the clock that it is counted with. */
const QUIET_SECONDS = 0.015;
const MEMORY_EVERY_MS = 50;

const SENDERS: Readonly<Record<string, StartSender>> = {
  sluice: sluiceSender,
  mosquitto: bridgeSender,
  autosave: savingBridgeSender,
  mqttjs: mqttJsSender,
  "newest-first": newestFirstSender,
  interleave: interleaveSender,
  "three-rules": threeRulesSender,
  "three-topics": threeTopicsSender,
};
const REMOTES: Readonly<Record<string, { readonly title: string; readonly start: StartRemote }>> = {
  mosquitto: { title: "mosquitto", start: startCloud },
  sink: { title: "a sink", start: startSink },
};

/** One row of the table, for each sender. */
interface Case {
  readonly title: string;
  readonly transport: string;
  readonly remote: string;
  readonly window: number;
}

interface Drained extends Arrival {
  readonly perSecond: number;
  /** Of the sender and of the receiver, per message. */
  readonly cpuUs: number;
  readonly remoteCpuUs: number;
  readonly rssBefore: number;
  readonly rssPeak: number;
}

/** By case and sender, in order of the rounds. */
type Results = Map<Case, Map<string, Drained[]>>;

export async function drain(bench: UplinkBench): Promise<UplinkReport> {
  const cases: Case[] = [];
  for (const transport of bench.transports) {
    for (const window of bench.windows) {
      for (const remote of bench.remotes) {
        const title = `${transport.toUpperCase()} to ${REMOTES[remote]?.title ?? remote}, window ${window}`;
        cases.push({ title, transport, remote, window });
      }
    }
  }
  const results: Results = new Map();
  for (const [i, one] of cases.entries()) {
    const certificates = one.transport === "tls" ? bench.certificates : null;
    results.set(one, await runCase({ ...bench, directory: `${bench.directory}/case-${i}` }, one, certificates));
  }
  return report(bench, results);
}

async function runCase(
  bench: UplinkBench,
  one: Case,
  certificates: Certificates | null,
): Promise<Map<string, Drained[]>> {
  const found = new Map<string, Drained[]>();
  for (let round = 1; round <= bench.rounds; round++) {
    for (const peer of bench.peers) {
      bench.progress.show(`${one.title}: ${peer}, round ${round} of ${bench.rounds}`);
      const directory = `${bench.directory}/${round}-${peer}`;
      mkdirSync(directory, { recursive: true });
      const options = { directory, certificates, window: one.window, payloadBytes: PAYLOAD_BYTES };
      const sender = (await SENDERS[peer]?.({ ...options, nodeFlags: bench.nodeFlags })) ?? null;
      if (sender === null) continue;
      try {
        for (let i = 0; sender.warms && i < bench.warmUps; i++) await drainOnce(bench, one, sender, certificates);
        const drained = await drainOnce(bench, one, sender, certificates);
        found.set(sender.name, [...(found.get(sender.name) ?? []), drained]);
      } finally {
        await sender.stop();
        rmSync(directory, { recursive: true, force: true });
      }
    }
  }
  return found;
}

/** Again when the sender was there before the watcher, and nobody saw the first message. */
async function drainOnce(
  bench: UplinkBench,
  one: Case,
  sender: Sender,
  certificates: Certificates | null,
): Promise<Drained> {
  for (;;) {
    const drained = await drainNow(bench, one, sender, certificates);
    if (Number.isFinite(drained.seconds)) return drained;
  }
}

async function drainNow(
  bench: UplinkBench,
  one: Case,
  sender: Sender,
  certificates: Certificates | null,
): Promise<Drained> {
  const { messages } = bench;
  await sender.fill(messages);
  await quiet(sender.pid);
  const rssBefore = memoryOf(sender.pid).rssBytes;
  const before = cpuSeconds(sender.pid);
  const remote = await (REMOTES[one.remote]?.start ?? startSink)({
    port: sender.remotePort,
    certificates,
    directory: bench.directory,
    messages,
    receiveMaximum: one.window,
  });
  let rssPeak = rssBefore;
  const watch = setInterval(() => {
    rssPeak = Math.max(rssPeak, memoryOf(sender.pid).rssBytes);
  }, MEMORY_EVERY_MS);
  try {
    await remote.arrived;
    // What is left to do belongs to it: acknowledgements, rows to delete, commits.
    await quiet(sender.pid);
    const spent = cpuSeconds(sender.pid) - before;
    const remoteSpent = cpuSeconds(remote.pid);
    const arrival = await remote.arrival();
    return {
      ...arrival,
      perSecond: messages / arrival.seconds,
      cpuUs: (spent * 1e6) / messages,
      remoteCpuUs: (remoteSpent * 1e6) / messages,
      rssBefore,
      rssPeak,
    };
  } finally {
    clearInterval(watch);
    await remote.stop();
  }
}

/** Returns once the process does nothing any more. */
async function quiet(pid: number): Promise<void> {
  for (let last = Number.NEGATIVE_INFINITY; ; ) {
    const now = cpuSeconds(pid);
    if (now - last < QUIET_SECONDS) return;
    last = now;
    await delay(QUIET_MS);
  }
}

function report(bench: UplinkBench, results: Results): UplinkReport {
  const head = ["a backlog goes out", "sender", "messages/s", "CPU us each", "receiver's", "RSS before", "peak"];
  const rows = [head];
  const figures: Figure[] = [];
  const faults: string[] = [];
  for (const [{ title }, senders] of results) {
    for (const [sender, rounds] of senders) {
      const all = <K extends keyof Drained>(key: K): number[] => rounds.map((round) => round[key] as number);
      rows.push([
        title,
        sender,
        spread(all("perSecond"), perSecond),
        spread(all("cpuUs"), threeDigits),
        threeDigits(median(all("remoteCpuUs"))),
        mebibytes(median(all("rssBefore"))),
        mebibytes(Math.max(...all("rssPeak"))),
      ]);
      const name = `${title}: ${sender}`;
      figures.push(
        { name: `${name}, messages/s`, better: "more", values: all("perSecond") },
        { name: `${name}, CPU us each`, better: "less", values: all("cpuUs") },
        { name: `${name}, RSS more while it goes out, bytes`, better: "less", values: rounds.map(grown) },
      );
      faults.push(...rounds.flatMap((round) => faultsOf(round, bench.messages)).map((text) => `${name}: ${text}`));
    }
  }
  const details = [...results].map(([one, senders]) => ({ ...one, senders: Object.fromEntries(senders) }));
  const head1 = `${bench.messages.toLocaleString("en")} messages of ${PAYLOAD_BYTES} B at QoS 1`;
  return { text: [head1, table(rows), ...faults].join("\n\n"), details, figures };
}

function grown({ rssPeak, rssBefore }: Drained): number {
  return rssPeak - rssBefore;
}

function spread(values: readonly number[], format: (value: number) => string): string {
  if (values.length < 2) return format(values[0] ?? Number.NaN);
  return `${format(median(values))} (${format(Math.min(...values))} to ${format(Math.max(...values))})`;
}

function faultsOf(found: Drained, messages: number): string[] {
  const out: string[] = [];
  if (found.messages !== messages) out.push(`${found.messages} of ${messages} came`);
  if ((found.repeated ?? 0) > 0) out.push(`${found.repeated} came again`);
  if ((found.disordered ?? 0) > 0) out.push(`${found.disordered} came after a later one`);
  return out;
}
