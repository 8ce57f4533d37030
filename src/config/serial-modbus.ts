/** `serial[].modbus`: the slaves of a bus, what is read of each and how often, and what may be written. */
import type { Section } from "./section.ts";
import {
  DEFAULTS,
  type ModbusPoint,
  type PointDefaults,
  readPoint,
  readPointDefaults,
  readTopic,
} from "./serial-modbus-point.ts";

export interface ModbusConfig {
  readonly transport: "rtu" | "tcp";
  /** Of silence between an answer and the next request; RTU keeps 3.5 characters anyway. */
  readonly gapMs: number;
  /** Registers or bits between two points that are read along to save a request. */
  readonly maxGap: number;
  readonly backoff: { readonly baseMs: number; readonly capMs: number };
  /** Requests that may wait for their answers at a time; 1 with RTU. */
  readonly inFlight: number;
  /** After a broadcast, for all slaves to deal with it. */
  readonly turnaroundMs: number;
  /** Of commands. */
  readonly writeQos: 0 | 1;
  readonly slaves: readonly ModbusSlave[];
}

export interface ModbusSlave {
  readonly name: string;
  /** RTU: 0 is all slaves, which are written to and do not answer. */
  readonly unit: number;
  /** For an answer to begin. */
  readonly timeoutMs: number;
  /** While it answers. */
  readonly retries: number;
  /** Where online and offline go; null = nowhere. */
  readonly stateTopic: string | null;
  readonly groups: readonly ModbusGroup[];
}

export interface ModbusGroup {
  readonly intervalMs: number;
  readonly points: readonly ModbusPoint[];
  /** All values together; null = each to its point's topic. */
  readonly message: ModbusMessage | null;
}

export interface ModbusMessage {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

/** Whether any of its points may be. */
export function isWritten({ slaves }: ModbusConfig): boolean {
  return slaves.some(({ groups }) => groups.some(({ points }) => points.some(({ write }) => write)));
}

/** Of one line. */
export const MODBUS_POINTS_MAX = 1000;
const MODBUS_SLAVES_MAX = 247;
/** As many as the MODBUS Messaging on TCP/IP Implementation Guide V1.0b has a server take. */
const IN_FLIGHT_MAX = 16;
const DAY_MS = 86_400_000;

/** What is said for all groups below. */
interface Inherited extends PointDefaults {
  /** Values one by one, or all of a group in one message. */
  readonly message: "points" | "group";
  /** Topic of a slave's state, or off. */
  readonly state: string;
  readonly timeoutMs: number;
  readonly retries: number;
}

const SLAVE_DEFAULTS = { message: "points", state: "off", timeoutMs: 500, retries: 1 } as const;

/** @param line the entry's name */
export function readModbus(serial: Section, line: string): ModbusConfig {
  const given = serial.has("modbus");
  if (!given) serial.complain("modbus", "is missing", "say which slaves there are");
  const section = serial.sectionOrEmpty("modbus");
  const inherited = readInherited(section, { ...DEFAULTS, ...SLAVE_DEFAULTS });
  const backoff = section.sectionOrEmpty("backoff");
  const baseMs = backoff.duration("min", 1000, 100, DAY_MS);
  const capMs = backoff.duration("max", Math.max(30_000, baseMs), baseMs, DAY_MS);
  backoff.finish();
  const transport = section.oneOf("transport", ["rtu", "tcp"], "rtu");
  const sections = section.sections("slaves") ?? [];
  if (given && sections.length === 0)
    section.complain("slaves", "names none", "give at least one: {unit: 1, groups: [...]}");
  if (sections.length > MODBUS_SLAVES_MAX)
    section.complain("slaves", `has ${sections.length} entries`, `${MODBUS_SLAVES_MAX} at most`);
  const config: ModbusConfig = {
    transport,
    gapMs: section.duration("gap", 0, 0, 10_000),
    maxGap: section.count("max_gap", 0, 0, 120),
    backoff: { baseMs, capMs },
    inFlight: section.count("in_flight", 1, 1, IN_FLIGHT_MAX),
    turnaroundMs: section.duration("turnaround", 100, 0, 10_000),
    writeQos: section.oneOf("write_qos", [0, 1], 1),
    slaves: sections.slice(0, MODBUS_SLAVES_MAX).map((slave) => readSlave(slave, line, transport, inherited)),
  };
  if (transport === "rtu" && config.inFlight > 1)
    section.complain("in_flight", "above 1 needs transport: tcp", "RTU does not say which request an answer is for");
  section.finish();
  complainOfTwins(section, config);
  return config;
}

function readSlave(section: Section, line: string, transport: string, above: Inherited): ModbusSlave {
  // On a network 0 is the device at the address itself.
  const unit = section.count("unit", 1, 0, transport === "tcp" ? 255 : 247);
  const name = section.name("name", unit === 0 && transport === "rtu" ? "all" : `${unit}`);
  const inherited = readInherited(section, above);
  const names = { line, slave: name };
  const groups = (section.sections("groups") ?? []).map((group, g) => readGroup(group, g, names, inherited));
  const stateTopic = inherited.state === "off" ? null : readTopic(section, "state", inherited.state, names);
  if (unit === 0 && transport === "rtu") complainOfReads(section, groups);
  if (groups.length === 0) section.complain("groups", "names none", "say what is to be read");
  section.finish();
  return { name, unit, timeoutMs: inherited.timeoutMs, retries: inherited.retries, stateTopic, groups };
}

/** Nobody answers a broadcast. */
function complainOfReads(section: Section, groups: readonly ModbusGroup[]): void {
  for (const [g, { points }] of groups.entries()) {
    for (const [p, { write, verify, bits, table, maskWrite }] of points.entries()) {
      const complain = (key: string, problem: string, advice: string): void =>
        section.complain(
          `groups[${g}].points[${p}].${key}`,
          `${problem}: unit 0 is all slaves, and none answers`,
          advice,
        );
      if (!write) complain("write", "is missing", "write: true, or give the slave's unit");
      if (verify) complain("verify", "needs an answer", "turn it off here");
      if (bits > 0 && table === "holding" && !maskWrite) complain("bit", "needs a read", "say mask_write: true");
    }
  }
}

function readGroup(section: Section, index: number, names: Record<string, string>, above: Inherited): ModbusGroup {
  const defaults = readPointDefaults(section, above);
  const { topic, qos, retain } = defaults;
  const name = section.name("name", `${index + 1}`);
  const intervalMs = section.duration("interval", 1000, 10, DAY_MS);
  const points = (section.sections("points") ?? []).map((point) => readPoint(point, names, defaults));
  if (points.length === 0) section.complain("points", "names none", "say what is to be read");
  const together = readMessage(section, above) === "group";
  const message = together
    ? { topic: readTopic(section, "topic", topic, { ...names, point: name }), qos, retain }
    : null;
  section.finish();
  return { intervalMs, points, message };
}

function readInherited(section: Section, above: Inherited): Inherited {
  return {
    ...readPointDefaults(section, above),
    message: readMessage(section, above),
    state: section.text("state", above.state),
    timeoutMs: section.duration("timeout", above.timeoutMs, 10, 60_000),
    retries: section.count("retries", above.retries, 0, 10),
  };
}

function readMessage(section: Section, above: Inherited): Inherited["message"] {
  return section.oneOf("message", ["points", "group"], above.message);
}

function complainOfTwins(section: Section, { slaves }: ModbusConfig): void {
  const names = new Set<string>();
  const units = new Map<number, string>();
  const topics = new Map<string, string>();
  const take = (topic: string, path: string): void => {
    const other = topics.get(topic);
    if (other !== undefined)
      section.complain(`${path}.topic`, `${topic} is that of ${other}`, "give each a topic of its own");
    topics.set(topic, path);
  };
  let count = 0;
  for (const [s, slave] of slaves.entries()) {
    if (names.has(slave.name))
      section.complain(`slaves[${s}].name`, `${slave.name} is the name of another slave`, "give each its own");
    names.add(slave.name);
    const unit = units.get(slave.unit);
    if (unit !== undefined)
      section.complain(`slaves[${s}].unit`, `${slave.unit} is that of ${unit}`, "give it once, with all its groups");
    units.set(slave.unit, `slaves[${s}]`);
    for (const [g, group] of slave.groups.entries()) {
      if (group.message !== null) take(group.message.topic, `slaves[${s}].groups[${g}]`);
      for (const [p, point] of group.points.entries()) {
        count++;
        take(point.topic, `slaves[${s}].groups[${g}].points[${p}]`);
      }
    }
  }
  if (count > MODBUS_POINTS_MAX)
    section.complain("slaves", `have ${count} points`, `${MODBUS_POINTS_MAX} at most on one line`);
}
