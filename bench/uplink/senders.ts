/** Who sends a backlog: each keeps its messages while the remote is away, and sends them by itself once it is there. */
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { KeptProcess } from "../../scripts/kept/kept-process.ts";
import { publishDurably } from "../load/durable.ts";
import type { Certificates } from "../memory/certificates.ts";
import { startMosquitto } from "../peers/mosquitto.ts";
import { freePort, type Peer } from "../peers/peer.ts";
import { startSluice } from "../peers/sluice.ts";
import { BACKLOG, FIRST, LAST, TOPICS } from "./remotes.ts";

export interface Sender {
  readonly name: string;
  readonly pid: number;
  /** Where it looks for its remote. */
  readonly remotePort: number;
  /** Its code is compiled while it runs: it drains something before what counts. */
  readonly warms: boolean;
  /** Gives it `messages` of the backlog between a first and a last one. */
  fill(messages: number): Promise<void>;
  stop(): Promise<void>;
}

export interface SenderOptions {
  readonly directory: string;
  readonly certificates: Certificates | null;
  readonly window: number;
  readonly payloadBytes: number;
  /** Flags for node where it is ours. */
  readonly nodeFlags?: readonly string[];
}

export type StartSender = (options: SenderOptions) => Promise<Sender | null>;

const FILL_WINDOW = 1000;
const MQTTJS = fileURLToPath(new URL("mqttjs-sender.mjs", import.meta.url));

async function fillBroker(port: number, messages: number, payloadBytes: number): Promise<void> {
  const load = { window: FILL_WINDOW, payloadBytes };
  await publishDurably(port, { ...load, topic: FIRST, messages: 1 });
  const { refused } = await publishDurably(port, { ...load, topic: BACKLOG, messages });
  if (refused > 0) throw new Error(`${refused} of ${messages} refused`);
  await publishDurably(port, { ...load, topic: LAST, messages: 1 });
}

function brokerSender(
  name: string,
  warms: boolean,
  peer: Peer | null,
  remotePort: number,
  payloadBytes: number,
): Sender | null {
  if (peer === null) return null;
  // That its remote is away is no news here.
  peer.process?.stderr.unpipe(process.stderr);
  peer.process?.stderr.resume();
  return {
    name,
    pid: peer.pid,
    remotePort,
    warms,
    fill: (messages) => fillBroker(peer.port, messages, payloadBytes),
    stop: async () => {
      await peer.process?.stop();
    },
  };
}

/** @param keys  of the uplink, beside those that all have */
function sluice(name: string, keys: string): StartSender {
  return async ({ directory, certificates, window, payloadBytes, nodeFlags = [] }) => {
    const remotePort = await freePort();
    const url = `mqtt${certificates === null ? "" : "s"}://127.0.0.1:${remotePort}`;
    const tls = certificates === null ? "" : `tls: {ca: ${certificates.ca}}, `;
    const config = [
      "store: {max_bytes: 4GiB}",
      `uplinks: [{name: cloud, url: "${url}", ${tls}window: ${window}, spool: {max_bytes: 2GiB}, ${keys}}]`,
    ];
    const peer = await startSluice(`${directory}/sluice`, { config, nodeFlags });
    return brokerSender(name, true, peer, remotePort, payloadBytes);
  };
}

const ALL = 'forward: [{match: "#"}]';
export const sluiceSender = sluice("sluice", ALL);
export const newestFirstSender = sluice("sluice, newest-first", `drain: newest-first, ${ALL}`);
export const interleaveSender = sluice("sluice, interleave", `drain: interleave, ${ALL}`);
export const threeRulesSender = sluice(
  "sluice, three rules",
  `forward: [{match: "alarms/#"}, {match: "sensors/+/state"}, {match: "${TOPICS}/#"}]`,
);
export const threeTopicsSender = sluice(
  "sluice, to three topics",
  `forward: [{match: "#"}, {match: "#", to: "a/{topic}"}, {match: "#", to: "b/{topic}"}]`,
);

/** @param autosave  further lines about what it writes to the disk */
function bridge(name: string, autosave: readonly string[]): StartSender {
  return async ({ directory, certificates, window, payloadBytes }) => {
    const remotePort = await freePort();
    const lines = [
      "persistence true",
      ...autosave,
      "max_queued_messages 0",
      `max_inflight_messages ${window}`,
      "connection cloud",
      `address 127.0.0.1:${remotePort}`,
      `topic ${TOPICS}/# out 1`,
      "cleansession false",
      "notifications false",
      "restart_timeout 1",
      ...(certificates === null ? [] : [`bridge_cafile ${certificates.ca}`]),
    ];
    const peer = await startMosquitto(`${directory}/${name.replaceAll(/\W+/g, "-")}`, { persistence: lines });
    return brokerSender(name, false, peer, remotePort, payloadBytes);
  };
}

export const bridgeSender = bridge("mosquitto's bridge", []);
export const savingBridgeSender = bridge("the same, autosave 1 s", ["autosave_interval 1"]);

export const mqttJsSender: StartSender = async ({ certificates, window, payloadBytes }) => {
  const remotePort = await freePort();
  const url = `mqtt${certificates === null ? "" : "s"}://127.0.0.1:${remotePort}`;
  const words = [MQTTJS, url, TOPICS, String(payloadBytes), String(window)];
  const sender = await KeptProcess.start(process.execPath, [
    ...words,
    ...(certificates === null ? [] : [certificates.ca]),
  ]);
  sender.stderr.pipe(process.stderr);
  const lines = createInterface({ input: sender.stdout });
  return {
    name: "MQTT.js",
    pid: sender.pid,
    remotePort,
    warms: true,
    fill: (messages) => {
      const filled = new Promise<void>((resolve) => {
        const onLine = (line: string): void => {
          if (line !== "filled") return;
          lines.off("line", onLine);
          resolve();
        };
        lines.on("line", onLine);
      });
      sender.write(`${messages}\n`);
      return filled;
    },
    stop: async () => {
      await sender.stop();
    },
  };
};
