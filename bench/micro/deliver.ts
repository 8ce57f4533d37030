/** The whole way of a PUBLISH without sockets: bytes in, decoded, routed, and written into the outputs of who gets it. */
import { Hub, type HubPeer } from "../../test/support/mqtt-hub.ts";
import { type Part, publish, subscribe, type Version } from "../../test/support/mqtt-packets.ts";
import type { MicroCase } from "./case.ts";

const PACKETS = 500;
/** Message Expiry Interval, Content Type. */
const PROPERTIES: readonly Part[] = [0x02, 0, 0, 0, 60, 0x03, 0, 4, "json"];

/** Its output forgets what is written there. */
function forgetful(peer: HubPeer): HubPeer {
  const output = peer.output as unknown as { buffer: Buffer; reserve: (bytes: number) => number; commit: () => void };
  output.buffer = Buffer.alloc(1 << 17);
  output.reserve = () => 0;
  output.commit = () => {};
  return peer;
}

function deliver(name: string, version: Version, subscribers: number, properties: readonly Part[] = []): MicroCase {
  const hub = new Hub();
  for (let i = 0; i < subscribers; i++) {
    const subscriber = hub.connect({ version, clientId: `subscriber-${i}` });
    subscriber.send(subscribe(version, 1, ["sensors/7/temperature", 0]));
    forgetful(subscriber);
  }
  const publisher = forgetful(hub.connect({ version, clientId: "publisher" }));
  const packet = publish(version, { topic: "sensors/7/temperature", payload: "x".repeat(64) }, ...properties);
  const chunk = Buffer.concat(Array<Buffer>(PACKETS).fill(packet));
  return {
    name: `protocol/mqtt: PUBLISH in and out, ${name}`,
    run: (times) => {
      for (let done = 0; done < times; done += PACKETS) publisher.handler.onData(chunk);
    },
  };
}

export const deliverCases: readonly (() => MicroCase)[] = [
  () => deliver("nobody subscribed", 4, 0),
  () => deliver("1 subscriber", 4, 1),
  () => deliver("20 subscribers", 4, 20),
  () => deliver("1 subscriber, 5.0 with properties", 5, 1, PROPERTIES),
];
