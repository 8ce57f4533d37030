/** A backlog for one session that is away: filling, memory, start-up with it, draining. Beside mosquitto. */
import { rmSync } from "node:fs";
import { memoryOf, writtenBytes } from "../../scripts/kept/proc.ts";
import type { Figure } from "../figures.ts";
import { drainSession, parkSession, publishDurably } from "../load/durable.ts";
import { MOSQUITTO_PERSISTENT, startMosquitto } from "../peers/mosquitto.ts";
import type { Peer } from "../peers/peer.ts";
import { startSluice } from "../peers/sluice.ts";
import { mebibytes, perSecond, table } from "../table.ts";
import { PAYLOAD_BYTES, ROOM } from "./acknowledgement.ts";
import { type LoopDelay, loopDelayFlags, STALL_HEAD, stallText, takeLoopDelay } from "./loop-delay.ts";
import type { StoreBench, StoreReport } from "./run.ts";

const SESSION = "away";
const TOPIC = "bench/backlog";
const WINDOW = 1000;
/** Grown young generations and buffers are no part of the backlog: so many messages go first and are taken again. */
const WARM_UP_MESSAGES = 100_000;

interface BacklogFigures {
  readonly storedPerSecond: number;
  /** Per message. */
  readonly writtenBytes: number;
  readonly rssBefore: number;
  readonly rssWith: number;
  readonly readyAfterKillMs: number;
  readonly readyAfterStopMs: number;
  readonly rssThen: number;
  readonly drainedPerSecond: number;
  readonly lost: number;
  readonly repeated: number;
  readonly storing: LoopDelay | null;
  readonly draining: LoopDelay | null;
}

type Start = () => Promise<Peer | null>;

export async function backlog(bench: StoreBench): Promise<StoreReport> {
  const { directory, messages, progress } = bench;
  const out = `${directory}/loop-delay.json`;
  const nodeFlags = loopDelayFlags(out);
  const brokers: { peer: "sluice" | "mosquitto"; name: string; start: Start }[] = [
    { peer: "sluice", name: "sluice", start: () => startSluice(`${directory}/backlog`, { config: ROOM, nodeFlags }) },
    {
      peer: "mosquitto",
      name: "mosquitto, autosave 1 s",
      start: () => startMosquitto(`${directory}/mosquitto-backlog`, { persistence: MOSQUITTO_PERSISTENT }),
    },
  ];
  const rows = [
    [
      `${messages.toLocaleString("en")} messages of ${PAYLOAD_BYTES} B`,
      "stored",
      "written B/msg",
      "RSS before",
      "RSS with it",
      "ready after kill -9",
      "ready after SIGTERM",
      "RSS then",
      "drained",
      `storing: ${STALL_HEAD}`,
      "draining",
    ],
  ];
  const figures: Record<string, BacklogFigures> = {};
  for (const { name, start } of brokers.filter(({ peer }) => bench.has(peer))) {
    const found = await run(bench, start, out, (text) => progress.show(`${name}: ${text}`));
    if (found === null) {
      progress.note(`${name} is not there and is left out`);
      continue;
    }
    figures[name] = found;
    rows.push([name, ...cells(found)]);
  }
  rmSync(`${directory}/backlog`, { recursive: true, force: true });
  const compared = Object.entries(figures).flatMap(([name, found]): Figure[] => [
    { name: `backlog: ${name}, stored/s`, better: "more", values: [found.storedPerSecond] },
    { name: `backlog: ${name}, RSS for it, bytes`, better: "less", values: [found.rssWith - found.rssBefore] },
    { name: `backlog: ${name}, ready after kill -9, ms`, better: "less", values: [found.readyAfterKillMs] },
    { name: `backlog: ${name}, drained/s`, better: "more", values: [found.drainedPerSecond] },
  ]);
  const text = `A backlog of ${messages.toLocaleString("en")} messages\n\n${table(rows)}`;
  return { text, details: figures, figures: compared };
}

async function run(
  bench: StoreBench,
  start: Start,
  out: string,
  say: (text: string) => void,
): Promise<BacklogFigures | null> {
  const { messages } = bench;
  let peer = await start();
  if (peer?.process == null) return null;
  try {
    const isSluice = peer.name === "sluice";
    const load = { topic: TOPIC, window: WINDOW, payloadBytes: PAYLOAD_BYTES };
    say("warm-up");
    await parkSession(peer.port, SESSION, TOPIC);
    await publishDurably(peer.port, { ...load, messages: WARM_UP_MESSAGES });
    await drainSession(peer.port, SESSION, WARM_UP_MESSAGES);
    const before = memoryOf(peer.pid).rssBytes;
    const written = writtenBytes(peer.pid);
    if (isSluice) await takeLoopDelay(peer.process, out);
    say("filling");
    const filled = await publishDurably(peer.port, { ...load, messages });
    if (filled.refused > 0) throw new Error(`${filled.refused} of ${messages} refused`);
    const storing = isSluice ? await takeLoopDelay(peer.process, out) : null;
    const withIt = memoryOf(peer.pid).rssBytes;
    const writtenBy = writtenBytes(peer.pid) - written;

    say("restart after kill -9");
    peer.process.signal("SIGKILL");
    await peer.process.exited;
    const afterKill = await timed(start);
    peer = afterKill.peer;
    say("restart after SIGTERM");
    await peer.process?.stop(60_000);
    const afterStop = await timed(start);
    peer = afterStop.peer;
    const then = memoryOf(peer.pid).rssBytes;
    if (isSluice && peer.process !== null) await takeLoopDelay(peer.process, out);

    say("draining");
    const drained = await drainSession(peer.port, SESSION, messages);
    const draining = isSluice && peer.process !== null ? await takeLoopDelay(peer.process, out) : null;
    return {
      storedPerSecond: filled.acknowledged / filled.seconds,
      writtenBytes: writtenBy / messages,
      rssBefore: before,
      rssWith: withIt,
      readyAfterKillMs: afterKill.ms,
      readyAfterStopMs: afterStop.ms,
      rssThen: then,
      drainedPerSecond: drained.received / drained.seconds,
      lost: drained.missing,
      repeated: drained.repeated,
      storing,
      draining,
    };
  } finally {
    await peer.process?.stop();
  }
}

function cells(f: BacklogFigures): string[] {
  const faults = (f.lost === 0 ? "" : `, ${f.lost} lost`) + (f.repeated === 0 ? "" : `, ${f.repeated} repeated`);
  return [
    perSecond(f.storedPerSecond),
    f.writtenBytes.toFixed(0),
    mebibytes(f.rssBefore),
    mebibytes(f.rssWith),
    `${(f.readyAfterKillMs / 1000).toFixed(2)} s`,
    `${(f.readyAfterStopMs / 1000).toFixed(2)} s`,
    mebibytes(f.rssThen),
    `${Number.isFinite(f.drainedPerSecond) ? perSecond(f.drainedPerSecond) : "nothing"}${faults}`,
    stallText(f.storing),
    stallText(f.draining),
  ];
}

async function timed(start: Start): Promise<{ peer: Peer; ms: number }> {
  const startMs = performance.now();
  const peer = await start();
  if (peer === null) throw new Error("the broker is gone");
  return { peer, ms: performance.now() - startMs };
}
