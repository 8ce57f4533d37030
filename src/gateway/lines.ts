/**
 * The serial lines that run, and what a reload makes of them, as `uplinks.ts` does of uplinks: one that is changed is made
 * anew from the same rows, within the turn in which its predecessor leaves. What a protocol needs is loaded with its first line.
 */
import { TimerWheel } from "../base/timer-wheel.ts";
import { linesOf, type SerialConfig } from "../config/serial.ts";
import { isWritten } from "../config/serial-modbus.ts";
import { DeliveryQueue } from "../core/delivery-queue.ts";
import type { SerialPort, SerialPortStatus } from "../transport/serial/serial-port.ts";
import { changedKeys } from "./changed-keys.ts";
import { giveUp, settled } from "./removal.ts";
import { type Ground, queueLimitsOf, type Rooms } from "./rooms.ts";
import type { RunningLine } from "./running-line.ts";

const REMOVABLE = { word: "serial", kinds: ["serial"], nameOf: (receiver: string) => receiver } as const;

interface Made {
  readonly port: SerialPort;
  /** Of what is written at QoS 1; null: nothing is. */
  readonly queue: DeliveryQueue | null;
  readonly line: RunningLine;
}

interface Entry {
  readonly config: SerialConfig;
  readonly made: Made;
}

/** What a reload would do; nothing of it is done yet. */
export interface LineChanges {
  readonly next: readonly { config: SerialConfig; entry: Entry | null; what: readonly string[] }[];
  readonly removed: readonly Entry[];
}

type Make = (config: SerialConfig) => Made;

export interface LineStatus extends SerialPortStatus {
  /** To be written, at QoS 1; null = the line takes none. */
  readonly waiting: { readonly messages: number; readonly bytes: number } | null;
}

export class SerialLines {
  readonly #ground: Ground;
  readonly #rooms: Rooms;
  #entries: readonly Entry[] = [];
  #make: Make | null = null;
  #fineWheel: TimerWheel | null = null;

  constructor(ground: Ground, rooms: Rooms) {
    this.#ground = ground;
    this.#rooms = rooms;
  }

  /** Of those that are written to at QoS 1. */
  get queues(): readonly DeliveryQueue[] {
    return this.#entries.flatMap(({ made: { queue } }) => queue ?? []);
  }

  /** In the order of the configuration. */
  status(): readonly LineStatus[] {
    return this.#entries.map(({ made: { port, line, queue } }) => {
      const waiting = queue === null ? null : { messages: queue.count, bytes: queue.bytes };
      return { ...port.status(), waiting, ...line.status?.() };
    });
  }

  /** Starts those of the configuration; gives up what waits for those that it does not have any more. */
  async start(): Promise<void> {
    const { serial } = this.#ground.config;
    giveUp(this.#rooms, this.#ground, REMOVABLE, (name) => serial.some((line) => line.name === name));
    await this.apply(await this.prepare(serial));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#entries.map(({ made: { line } }) => line.stop()));
    for (const entry of this.#entries) this.#leave(entry);
    this.#entries = [];
    this.#fineWheel?.stop();
  }

  // ---- changes -----------------------------------------------------------------------------------------------

  /** Loads what `next` needs and compares it with what runs. @throws when a part cannot be loaded */
  async prepare(next: readonly SerialConfig[]): Promise<LineChanges> {
    if (next.length > 0) this.#make = await this.#load(next);
    const before = new Map(this.#entries.map((entry) => [entry.config.name, entry]));
    return {
      removed: this.#entries.filter(({ config }) => !next.some(({ name }) => name === config.name)),
      next: next.map((config) => {
        const entry = before.get(config.name) ?? null;
        return { config, entry, what: entry === null ? [] : differences(entry.config, config) };
      }),
    };
  }

  /**
   * Puts it to use. Those that are added are receivers when what it returns is resolved.
   * @returns what was done, in words
   */
  async apply({ next, removed }: LineChanges): Promise<string[]> {
    const changed = next.filter(({ what }) => what.length > 0).flatMap(({ entry }) => entry ?? []);
    const going = [...removed, ...changed];
    // All of them, before any other opens: one may have the port that another had.
    await Promise.all(going.map(({ made }) => made.line.stop()));
    if (going.length > 0) await settled(this.#rooms);
    // From here one turn: nothing is published in between.
    for (const entry of going) this.#leave(entry);
    const done: string[] = [];
    this.#entries = next.map(({ config, entry, what }) => {
      const { name } = config;
      if (entry !== null && what.length === 0) return entry;
      done.push(entry === null ? `serial ${name}: added` : `serial ${name}: ${what.join(", ")} changed`);
      return { config, made: this.#started(config) };
    });
    for (const { config } of removed) {
      const { messages } = giveUp(this.#rooms, this.#ground, REMOVABLE, (name) => name !== config.name);
      const lost = messages === 0 ? "" : `, ${messages} messages that waited for it were given up`;
      done.push(`serial ${config.name}: removed${lost}`);
    }
    return done;
  }

  #started(config: SerialConfig): Made {
    // What waited for a line that is not written to at QoS 1 any more.
    if (!isDurable(config)) giveUp(this.#rooms, this.#ground, REMOVABLE, (name) => name !== config.name);
    const made = (this.#make as Make)(config);
    made.line.start();
    return made;
  }

  #leave({ made: { line, queue } }: Entry): void {
    line.leave();
    queue?.end();
  }

  // ---- making ------------------------------------------------------------------------------------------------

  async #load(next: readonly SerialConfig[]): Promise<Make> {
    const speaks = (protocol: SerialConfig["protocol"]): boolean => next.some((line) => line.protocol === protocol);
    const maps = linesOf(next, "frames").some(({ mapping }) => mapping !== null);
    const [{ SerialPort }, frames, mappings, coap, mqttSn, modbus] = await Promise.all([
      import("../transport/serial/serial-port.ts"),
      speaks("frames") ? import("./frame-lines.ts") : null,
      maps ? import("./mapping-room.ts") : null,
      speaks("coap") ? import("./coap-listeners.ts") : null,
      speaks("mqtt-sn") ? import("./mqtt-sn-listeners.ts") : null,
      speaks("modbus") ? import("./modbus-lines.ts") : null,
    ]);
    const ground = this.#ground;
    const rooms = this.#rooms;
    const { wheel, transport } = rooms;
    const { flusher } = transport;
    const { clock, counters, log } = ground;
    const loaded = <T>(room: T | null): T => {
      if (room === null) throw new Error("a serial line of a protocol that was not loaded");
      return room;
    };
    return (config) => {
      const port = new SerialPort(config, { wheel, counters, log, clock, flusher, random: Math.random });
      const queue = isDurable(config) ? this.#queueOf(config.name) : null;
      const made = (line: RunningLine): Made => ({ port, queue, line });
      switch (config.protocol) {
        case "frames": {
          const Mapping = mappings?.Mapping ?? null;
          return made(loaded(frames).createFrameLine(ground, rooms, this.#busWheel, Mapping, port, config, queue));
        }
        case "coap":
          return made(loaded(coap).createCoapLine(ground, rooms, port, config));
        case "mqtt-sn":
          return made(loaded(mqttSn).createMqttSnLine(ground, rooms, port, config));
        case "modbus":
          return made(loaded(modbus).createModbusLine(ground, rooms, port, config, queue));
      }
    };
  }

  #queueOf(name: string): DeliveryQueue {
    const { store, queueHost } = this.#rooms;
    const record = store.createReceiver("serial", name);
    const queue = new DeliveryQueue(queueHost, `serial:${name}`, record, queueLimitsOf(this.#ground.config));
    store.register(queue);
    return queue;
  }

  /** For silences of a few ms on the wire: the gateway's own wheel would tell of them 50 ms late. */
  readonly #busWheel = (): TimerWheel => {
    if (this.#fineWheel === null) {
      this.#fineWheel = new TimerWheel(this.#ground.clock, 1);
      this.#fineWheel.start();
    }
    return this.#fineWheel;
  };
}

/** Whether messages to it are kept until they are written. */
function isDurable(line: SerialConfig): boolean {
  if (line.protocol === "frames") return line.write.some(({ qos }) => qos > 0);
  return line.protocol === "modbus" && line.modbus.writeQos > 0 && isWritten(line.modbus);
}

/** Keys of the configuration that are not what they were. */
function differences(before: SerialConfig, after: SerialConfig): string[] {
  if (before.protocol !== after.protocol) return ["protocol"];
  return changedKeys(before, after, { place: "port", mapping: "publish" });
}
