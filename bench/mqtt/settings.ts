/** How the brokers of a run are set up: all brokers of a workload alike. */
import { makeCertificates } from "../../scripts/demo/certificates.ts";
import { startAedes } from "../peers/aedes.ts";
import { MOSQUITTO_PERSISTENT, startMosquitto } from "../peers/mosquitto.ts";
import type { StartPeer } from "../peers/peer.ts";
import { startProbe } from "../peers/probe.ts";
import { startSluice } from "../peers/sluice.ts";

/**
 * plain: as shipped. subscriptions: room for 10,000 of them. durable: what is acknowledged is kept, on both sides. tls and
 * websocket: those listeners.
 */
export type Setting = "plain" | "subscriptions" | "durable" | "tls" | "websocket";

/** In the order of the report's columns. */
export const PEERS = ["sluice", "mosquitto", "probe", "aedes"] as const;
export type PeerName = (typeof PEERS)[number];

/** Their share of it has to do for all subscriptions; it allocates nothing. */
const ROOM_FOR_SUBSCRIPTIONS = ["memory_limit: 128MiB"];

/** The starter of each peer that takes part. */
type Starters = Partial<Readonly<Record<PeerName, StartPeer>>>;

/** @param directory  for certificates */
export async function startersOf(setting: Setting, directory: string): Promise<Starters> {
  const mosquitto: StartPeer = (own) => startMosquitto(own);
  switch (setting) {
    case "plain":
      return { sluice: (own) => startSluice(own), mosquitto, probe: startProbe, aedes: startAedes };
    case "subscriptions":
      return { sluice: (own) => startSluice(own, { config: ROOM_FOR_SUBSCRIPTIONS }), mosquitto, aedes: startAedes };
    case "durable":
      return {
        sluice: (own) => startSluice(own),
        mosquitto: (own) => startMosquitto(own, { persistence: MOSQUITTO_PERSISTENT }),
      };
    case "websocket":
      return {
        sluice: (own) => startSluice(own, { listeners: ["ws"] }),
        mosquitto: (own) => startMosquitto(own, { websocket: true }),
      };
    case "tls": {
      const { issued } = await makeCertificates(`${directory}/certificates`, [{ name: "broker", usage: "server" }]);
      const certificate = issued[0]!;
      return {
        sluice: (own) => startSluice(own, { certificate }),
        mosquitto: (own) => startMosquitto(own, { certificate }),
      };
    }
  }
}
