/** Rates and latencies of PUBACK for messages that have to be stored: the whole gateway, over MQTT, beside mosquitto. */
import { cpuSeconds, writtenBytes } from "../../scripts/kept/proc.ts";
import type { Figure } from "../figures.ts";
import { parkSession, publishDurably } from "../load/durable.ts";
import { MOSQUITTO_PERSISTENT, startMosquitto } from "../peers/mosquitto.ts";
import type { Peer } from "../peers/peer.ts";
import { startSluice } from "../peers/sluice.ts";
import { microseconds, perSecond, table, threeDigits } from "../table.ts";
import { type LoopDelay, loopDelayFlags, STALL_HEAD, stallText, takeLoopDelay } from "./loop-delay.ts";
import type { StoreBench, StoreReport } from "./run.ts";

export const WINDOWS = [1, 16, 256, 1000];
export const PAYLOAD_BYTES = 200;
/** What waits is not to be refused; neither of these allocates anything. */
export const ROOM = [
  "memory_limit: 32MiB",
  "limits: {session_queue_messages: 10000000, session_queue_bytes: 8GiB}",
  "store: {max_bytes: 16GiB}",
];
const WARM_UP_MS = 500;

interface AckFigures {
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly cpuUs: number;
  /** Per message. */
  readonly writtenBytes: number;
  /** Of Sluice's event loop. */
  readonly delay: LoopDelay | null;
}

export async function acknowledgement({ directory, seconds, has, progress }: StoreBench): Promise<StoreReport> {
  const out = `${directory}/loop-delay.json`;
  const nodeFlags = loopDelayFlags(out);
  const peers: { name: string; peer: Peer }[] = [];
  const add = (name: string, peer: Peer | null): void => {
    if (peer === null) progress.note(`${name} is not there and is left out`);
    else peers.push({ name, peer });
  };
  try {
    if (has("sluice")) {
      add("sluice", await startSluice(`${directory}/sluice`, { config: ROOM, nodeFlags }));
      const atOnce = [...ROOM, 'durability: [{match: "#", commit_delay: 0ms}]'];
      add("sluice, commit_delay 0ms", await startSluice(`${directory}/at-once`, { config: atOnce, nodeFlags }));
    }
    if (has("mosquitto")) {
      const persistent = { persistence: MOSQUITTO_PERSISTENT };
      add("mosquitto, autosave 1 s", await startMosquitto(`${directory}/mosquitto`, persistent));
    }
    const rows = [
      ["window", "broker", "durable msg/s", "PUBACK p50", "p99", "CPU us/msg", "written B/msg", STALL_HEAD],
    ];
    const figures: Record<string, Record<number, AckFigures>> = {};
    for (const window of WINDOWS) {
      for (const { name, peer } of peers) {
        progress.show(`window ${window}: ${name}`);
        const found = await measure(peer, window, seconds, out);
        (figures[name] ??= {})[window] = found;
        rows.push([String(window), name, ...cells(found)]);
      }
    }
    const compared = Object.entries(figures).flatMap(([name, windows]) =>
      Object.entries(windows).flatMap(([window, found]): Figure[] => [
        { name: `window ${window}: ${name}, CPU us`, better: "less", values: [found.cpuUs] },
        { name: `window ${window}: ${name}, messages/s`, better: "more", values: [found.perSecond] },
      ]),
    );
    const title = `Acknowledged messages of ${PAYLOAD_BYTES} bytes for a session that is away (mosquitto acknowledges before it writes)`;
    return { text: `${title}\n\n${table(rows)}`, details: figures, figures: compared };
  } finally {
    await Promise.all(peers.map(({ peer }) => peer.process?.stop()));
  }
}

async function measure(peer: Peer, window: number, seconds: number, out: string): Promise<AckFigures> {
  const topic = `bench/store/${window}`;
  await parkSession(peer.port, `away-${window}`, topic);
  const isSluice = peer.name === "sluice" && peer.process !== null;
  if (isSluice && peer.process !== null) await takeLoopDelay(peer.process, out);
  const [cpu, written] = [cpuSeconds(peer.pid), writtenBytes(peer.pid)];
  const load = { topic, window, payloadBytes: PAYLOAD_BYTES };
  const result = await publishDurably(peer.port, { ...load, durationMs: seconds * 1000, warmUpMs: WARM_UP_MS });
  // CPU and bytes over the warm-up as well.
  const count = (result.acknowledged * (result.seconds + WARM_UP_MS / 1000)) / result.seconds;
  const delay: LoopDelay | null = isSluice && peer.process !== null ? await takeLoopDelay(peer.process, out) : null;
  if (result.refused > 0) throw new Error(`${peer.name} refused ${result.refused} messages`);
  return {
    perSecond: result.acknowledged / result.seconds,
    p50Us: result.p50Us,
    p99Us: result.p99Us,
    cpuUs: ((cpuSeconds(peer.pid) - cpu) * 1e6) / count,
    writtenBytes: (writtenBytes(peer.pid) - written) / count,
    delay,
  };
}

function cells({ perSecond: rate, p50Us, p99Us, cpuUs, writtenBytes: bytes, delay }: AckFigures): string[] {
  return [
    perSecond(rate),
    microseconds(p50Us),
    microseconds(p99Us),
    threeDigits(cpuUs),
    bytes.toFixed(0),
    stallText(delay),
  ];
}
