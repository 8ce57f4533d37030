/** Starts the serial lines that the configuration names. Their room is loaded only then. */
import { TimerWheel } from "../base/timer-wheel.ts";
import type { SerialConfig } from "../config/serial.ts";
import { isWritten } from "../config/serial-modbus.ts";
import type { SerialMapping } from "../config/serial-publish.ts";
import { DeliveryQueue } from "../core/delivery-queue.ts";
import type { FrameMapping } from "../protocol/serial/parts.ts";
import type { SerialPortStatus } from "../transport/serial-port.ts";
import { type Ground, queueLimitsOf, type Rooms } from "./rooms.ts";

export interface SerialLines {
  /** Of those that are written to at QoS 1. */
  readonly queues: DeliveryQueue[];
  readonly ports: { status(): SerialPortStatus }[];
}

/** Opens the serial lines; forgets what the store kept for those that are no longer configured. */
export async function startSerial(ground: Ground, rooms: Rooms): Promise<SerialLines> {
  const { store, wheel, ledger, router, authority } = rooms;
  const { config, clock, counters, log, stops } = ground;
  const { serial, limits } = config;
  store.deleteOthers("serial", (name) => serial.some((line) => line.name === name && isDurable(line)));
  const queues: DeliveryQueue[] = [];
  const ports: SerialLines["ports"] = [];
  if (serial.length === 0) return { queues, ports };
  const [{ SerialPort, SerialLine }, coapLines, mqttSnLines, modbusLines] = await Promise.all([
    import("./serial-rooms.ts"),
    serial.some(({ coap }) => coap !== null) ? import("./coap-listeners.ts") : null,
    serial.some(({ mqttSn }) => mqttSn !== null) ? import("./mqtt-sn-listeners.ts") : null,
    serial.some(({ modbus }) => modbus !== null) ? import("./modbus-lines.ts") : null,
  ]);
  const common = { wheel, counters, log };
  let fine: TimerWheel | null = null;
  const busWheel = (): TimerWheel => (fine ??= fineWheel(ground));
  for (const lineConfig of serial) {
    const { name, coap, mqttSn, modbus } = lineConfig;
    const device = new SerialPort(lineConfig, { ...common, random: Math.random });
    ports.push(device);
    if (coap !== null) {
      coapLines?.startCoapLine(ground, rooms, device, name, coap);
      continue;
    }
    if (mqttSn !== null) {
      mqttSnLines?.startMqttSnLine(ground, rooms, device, name, mqttSn);
      continue;
    }
    const queue = isDurable(lineConfig) ? serialQueue(ground, rooms, name) : null;
    if (modbus !== null) {
      modbusLines?.startModbusLine(ground, rooms, device, lineConfig, queue);
      if (queue !== null) queues.push(queue);
      continue;
    }
    const publish = lineConfig.mapping === null ? lineConfig.publish : await mappingOf(lineConfig, ground);
    const parts = { ...common, busWheel, router, authority, ledger, clock, limits };
    const line = new SerialLine(device, { ...lineConfig, publish }, parts, queue);
    if (queue !== null) queues.push(queue);
    line.start();
    stops.push(() => line.close());
  }
  return { queues, ports };
}

/** Whether messages to it are kept until they are written. */
function isDurable({ write, modbus }: SerialConfig): boolean {
  return write.some(({ qos }) => qos > 0) || (modbus !== null && modbus.writeQos > 0 && isWritten(modbus));
}

/** For silences of a few ms on the wire: the gateway's own wheel would tell of them 50 ms late. */
function fineWheel({ clock, stops }: Ground): TimerWheel {
  const wheel = new TimerWheel(clock, 1);
  wheel.start();
  stops.push(() => wheel.stop());
  return wheel;
}

/** Loaded for the lines that ask for more than each frame as it is to one topic. */
async function mappingOf(
  { name, mapping }: SerialConfig,
  { clock, counters, log, config }: Ground,
): Promise<FrameMapping> {
  const { Mapping } = await import("./mapping-room.ts");
  return new Mapping(mapping as SerialMapping, { name, clock, counters, log, limits: config.limits });
}

/** The queue of a serial line's write side. */
function serialQueue(ground: Ground, { store, queueHost }: Rooms, name: string): DeliveryQueue {
  const record = store.createReceiver("serial", name);
  const queue = new DeliveryQueue(queueHost, `serial:${name}`, record, queueLimitsOf(ground.config));
  store.register(queue);
  return queue;
}
