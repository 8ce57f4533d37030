/** The other end of an uplink: what takes a backlog, and says when its first and its last message came. */
import { writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import mqtt from "mqtt";
import { KeptProcess } from "../../scripts/kept/kept-process.ts";
import { programOf } from "../load/build.ts";
import type { Certificates } from "../memory/certificates.ts";
import { freePort, listens } from "../peers/peer.ts";

/** Topics of a backlog: its first and its last message have one of their own, so that they can be watched for. */
export const TOPICS = "bench";
export const FIRST = `${TOPICS}/first`;
export const BACKLOG = `${TOPICS}/backlog`;
export const LAST = `${TOPICS}/last`;

const SILENCE_MS = 120_000;
/** Mosquitto's counts come each second. */
const COUNT_MS_MAX = 4_000;

export interface Arrival {
  /** From the first message to the last. */
  readonly seconds: number;
  /** That came, repeated ones included where they cannot be told apart. */
  readonly messages: number;
  /** Came again, or after a later one; null where nobody looks. */
  readonly repeated: number | null;
  readonly disordered: number | null;
}

export interface Remote {
  readonly pid: number;
  /** The last message came. */
  readonly arrived: Promise<void>;
  /** To be asked once, when all is quiet. */
  arrival(): Promise<Arrival>;
  stop(): Promise<void>;
}

export interface RemoteOptions {
  readonly port: number;
  /** null = plain TCP. */
  readonly certificates: Certificates | null;
  readonly directory: string;
  readonly messages: number;
  /** Of 5.0: messages without PUBACK that it takes. */
  readonly receiveMaximum: number;
}

export type StartRemote = (options: RemoteOptions) => Promise<Remote>;

/** The least that a server can do, in C: what it costs is next to nothing. It checks every message. */
export const startSink: StartRemote = async ({ port, certificates, messages, receiveMaximum }) => {
  const tls =
    certificates === null ? [] : ["--certificate", certificates.broker.cert, "--key", certificates.broker.key];
  const flags = { port, topic: BACKLOG, messages, "receive-maximum": receiveMaximum };
  const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const sink = await KeptProcess.start(programOf("sink"), [...words, ...tls]);
  sink.stderr.pipe(process.stderr);
  const lines = createInterface({ input: sink.stdout });
  const all = new Promise<Arrival>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not all came in ${SILENCE_MS} ms`)), SILENCE_MS);
    void sink.exited.then(() => reject(new Error("the sink ended")));
    lines.on("line", (line) => {
      const said = JSON.parse(line) as Arrival & { readonly event: string };
      if (said.event !== "all") return;
      clearTimeout(timer);
      resolve(said);
    });
  });
  return {
    pid: sink.pid,
    arrived: all.then(() => {}),
    arrival: () => all,
    stop: async () => {
      sink.signal("SIGKILL");
      await sink.exited;
    },
  };
};

/** Debian's mosquitto, in memory, with nobody subscribed but one who watches for the first and the last message. */
export const startCloud: StartRemote = async ({ port, certificates, directory, messages, receiveMaximum }) => {
  const plainPort = await freePort();
  const file = `${directory}/cloud.conf`;
  const lines = [
    `user ${userInfo().username}`,
    "allow_anonymous true",
    "persistence false",
    "sys_interval 1",
    `max_inflight_messages ${receiveMaximum}`,
    "log_dest stderr",
    "log_type error",
    `listener ${plainPort} 127.0.0.1`,
    `listener ${port} 127.0.0.1`,
    ...(certificates === null ? [] : [`certfile ${certificates.broker.cert}`, `keyfile ${certificates.broker.key}`]),
    "",
  ];
  writeFileSync(file, lines.join("\n"));
  const broker = await KeptProcess.start("/usr/sbin/mosquitto", ["-c", file]);
  broker.stdout.resume();
  broker.stderr.resume();
  if (!(await listens(plainPort, broker, 10_000))) throw new Error("mosquitto did not start");
  const watcher = await mqtt.connectAsync(`mqtt://127.0.0.1:${plainPort}`, { reconnectPeriod: 0 });
  let firstMs = Number.NaN;
  let lastMs = Number.NaN;
  let published = 0;
  const arrived = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the last message did not come in ${SILENCE_MS} ms`)), SILENCE_MS);
    watcher.on("message", (topic, payload) => {
      if (topic === FIRST) firstMs = performance.now();
      else if (topic !== LAST) published = Number(payload);
      else {
        lastMs = performance.now();
        clearTimeout(timer);
        resolve();
      }
    });
  });
  await watcher.subscribeAsync([FIRST, LAST]);
  return {
    pid: broker.pid,
    arrived,
    arrival: async () => {
      await watcher.subscribeAsync("$SYS/broker/publish/messages/received");
      const deadline = performance.now() + COUNT_MS_MAX;
      while (performance.now() < deadline && published < messages + 2) await delay(50);
      return { seconds: (lastMs - firstMs) / 1000, messages: published - 2, repeated: null, disordered: null };
    },
    stop: async () => {
      watcher.end(true);
      broker.signal("SIGKILL");
      await broker.exited;
    },
  };
};
