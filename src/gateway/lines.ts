/** Starts the serial lines and uplinks that the configuration names. Their rooms are loaded only then. */
import { DeliveryQueue } from "../core/delivery-queue.ts";
import type { Uplink } from "../uplink/uplink.ts";
import { type Ground, queueLimitsOf, type Rooms } from "./rooms.ts";

/**
 * Opens the serial lines; forgets what the store kept for those that are no longer configured.
 * @returns the queues of those that are written to at QoS 1
 */
export async function startSerial(ground: Ground, rooms: Rooms): Promise<DeliveryQueue[]> {
  const { store, wheel, ledger, router, authority } = rooms;
  const { config, clock, counters, log, stops } = ground;
  const { serial, limits } = config;
  store.deleteOthers("serial", (name) => serial.some((line) => line.name === name && (line.write?.qos ?? 0) > 0));
  const queues: DeliveryQueue[] = [];
  if (serial.length === 0) return queues;
  const [{ SerialPort }, { SerialLine }] = await Promise.all([
    import("../transport/serial-port.ts"),
    import("../protocol/serial/serial-line.ts"),
  ]);
  const common = { wheel, counters, log };
  for (const lineConfig of serial) {
    const { name, port, baud, write } = lineConfig;
    const device = new SerialPort({ name, path: port, baud }, { ...common, random: Math.random });
    const queue = write !== null && write.qos > 0 ? serialQueue(ground, rooms, name) : null;
    const line = new SerialLine(device, lineConfig, { ...common, router, authority, ledger, clock, limits }, queue);
    if (queue !== null) queues.push(queue);
    line.start();
    stops.push(() => line.close());
  }
  return queues;
}

/** The queue of a serial line's write side. */
function serialQueue(ground: Ground, { store, queueHost }: Rooms, name: string): DeliveryQueue {
  const record = store.createReceiver("serial", name);
  const queue = new DeliveryQueue(queueHost, `serial:${name}`, record, queueLimitsOf(ground.config));
  store.register(queue);
  return queue;
}

/** Starts the uplinks; forgets the spools of those that are no longer configured. */
export async function startUplinks(ground: Ground, rooms: Rooms): Promise<Uplink[]> {
  const { store, wheel, queueHost, router, transport } = rooms;
  const { config, counters, log, stops } = ground;
  const { uplinks, node, limits } = config;
  store.deleteOthers("uplink", (name) => uplinks.some((uplink) => uplink.name === name));
  if (uplinks.length === 0) return [];
  const [{ Uplink }, { createDial }] = await Promise.all([
    import("../uplink/uplink.ts"),
    import("../transport/dialer.ts"),
  ]);
  const common = { wheel, counters, log, random: Math.random };
  return uplinks.map((uplinkConfig) => {
    const uplink = new Uplink(uplinkConfig, {
      ...common,
      host: queueHost,
      router,
      dial: createDial(transport),
      node,
      limits,
    });
    uplink.start();
    stops.push(() => uplink.stop());
    return uplink;
  });
}
