// How long a client that does nothing wrong waits for its own messages beside others that do.
import { once } from "node:events";
import { publish } from "./mqtt-packets.ts";
import type { RawMqtt } from "./raw-mqtt.ts";

/**
 * Sends to itself for `ms`, one message after the other, at QoS 0; it has subscribed to "bystander".
 * @returns ms, ascending
 */
export async function roundTrips(bystander: RawMqtt, ms: number): Promise<number[]> {
  const times: number[] = [];
  const message = publish(4, { topic: "bystander", payload: "x" });
  const end = performance.now() + ms;
  while (performance.now() < end) {
    const begin = performance.now();
    const arrived = once(bystander.socket, "data");
    bystander.send(message);
    await arrived;
    times.push(performance.now() - begin);
    bystander.packets.length = 0;
  }
  return times.sort((a, b) => a - b);
}
