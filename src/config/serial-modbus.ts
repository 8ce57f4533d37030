/** `serial[].modbus`: the slaves of a bus, what is read of each and how often, and what may be written. */
import type { Section } from "./section.ts";
import { isOwnTopic, topicProblem } from "./topics.ts";

export type ModbusTable = "coil" | "discrete" | "holding" | "input";
export type ModbusOrder = "big" | "little";

const TYPES = ["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bool", "text"] as const;
export type ModbusType = (typeof TYPES)[number];

export interface ModbusConfig {
  readonly transport: "rtu" | "tcp";
  /** For an answer to begin. */
  readonly timeoutMs: number;
  readonly retries: number;
  /** Of silence between an answer and the next request; RTU keeps 3.5 characters anyway. */
  readonly gapMs: number;
  /** Registers or bits between two points that are read along to save a request. */
  readonly maxGap: number;
  readonly backoff: { readonly baseMs: number; readonly capMs: number };
  /** Of commands. */
  readonly writeQos: 0 | 1;
  readonly slaves: readonly ModbusSlave[];
}

export interface ModbusSlave {
  readonly name: string;
  readonly unit: number;
  readonly groups: readonly ModbusGroup[];
}

export interface ModbusGroup {
  readonly intervalMs: number;
  readonly points: readonly ModbusPoint[];
}

export interface ModbusPoint {
  readonly name: string;
  readonly topic: string;
  readonly table: ModbusTable;
  /** From 0, as on the wire. */
  readonly address: number;
  /** Bits or registers. */
  readonly count: number;
  readonly type: ModbusType;
  /** Of a register, for `bool`. */
  readonly bit: number;
  readonly layout: { readonly wordOrder: ModbusOrder; readonly byteOrder: ModbusOrder };
  readonly scale: number;
  readonly offset: number;
  readonly unit: string | null;
  readonly publish: "change" | "always";
  readonly deadband: number;
  readonly repeatMs: number | "off";
  readonly payload: "number" | "json";
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Whether `<topic>/set` writes it. */
  readonly write: boolean;
  /** With the function that writes several, for devices that know no other. */
  readonly writeMultiple: boolean;
  readonly min: number | null;
  readonly max: number | null;
}

/** Whether any of its points may be. */
export function isWritten({ slaves }: ModbusConfig): boolean {
  return slaves.some(({ groups }) => groups.some(({ points }) => points.some(({ write }) => write)));
}

/** What a bus, a slave or a group says for all points below it. */
interface Inherited {
  readonly topic: string;
  readonly wordOrder: ModbusOrder;
  readonly byteOrder: ModbusOrder;
  readonly publish: "change" | "always";
  readonly repeatMs: number | "off";
  readonly payload: "number" | "json";
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

/** Of one line. */
export const MODBUS_POINTS_MAX = 1000;
export const MODBUS_SLAVES_MAX = 247;
const ADDRESSES = 65_536;
const TEXT_REGISTERS_MAX = 123;
const DAY_MS = 86_400_000;
const NUMBER_MAX = 1e12;

const DEFAULTS: Inherited = {
  topic: "serial/{line}/{slave}/{point}",
  wordOrder: "big",
  byteOrder: "big",
  publish: "change",
  repeatMs: "off",
  payload: "number",
  qos: 1,
  retain: false,
};

/** @param line the entry's name */
export function readModbus(serial: Section, line: string): ModbusConfig {
  const given = serial.has("modbus");
  if (!given) serial.complain("modbus", "is missing", "say which slaves there are");
  const section = serial.sectionOrEmpty("modbus");
  const inherited = readInherited(section, DEFAULTS);
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
    timeoutMs: section.duration("timeout", 500, 10, 60_000),
    retries: section.count("retries", 1, 0, 10),
    gapMs: section.duration("gap", 0, 0, 10_000),
    maxGap: section.count("max_gap", 0, 0, 120),
    backoff: { baseMs, capMs },
    writeQos: section.oneOf("write_qos", [0, 1], 1),
    slaves: sections.slice(0, MODBUS_SLAVES_MAX).map((slave) => readSlave(slave, line, transport, inherited)),
  };
  section.finish();
  complainOfTwins(section, config);
  return config;
}

function readSlave(section: Section, line: string, transport: string, above: Inherited): ModbusSlave {
  // 0 is for all slaves, which do not answer; on a network it is the device at the address itself.
  const unit = section.count("unit", 1, transport === "tcp" ? 0 : 1, transport === "tcp" ? 255 : 247);
  const name = section.name("name", `${unit}`);
  const inherited = readInherited(section, above);
  const groups = (section.sections("groups") ?? []).map((group) => readGroup(group, { line, slave: name }, inherited));
  if (groups.length === 0) section.complain("groups", "names none", "say what is to be read");
  section.finish();
  return { name, unit, groups };
}

function readGroup(section: Section, names: Record<string, string>, above: Inherited): ModbusGroup {
  const inherited = readInherited(section, above);
  const intervalMs = section.duration("interval", 1000, 10, DAY_MS);
  const points = (section.sections("points") ?? []).map((point) => readPoint(point, names, inherited));
  if (points.length === 0) section.complain("points", "names none", "say what is to be read");
  section.finish();
  return { intervalMs, points };
}

function readInherited(section: Section, above: Inherited): Inherited {
  return {
    topic: section.text("topic", above.topic),
    wordOrder: section.oneOf("word_order", ["big", "little"], above.wordOrder),
    byteOrder: section.oneOf("byte_order", ["big", "little"], above.byteOrder),
    publish: section.oneOf("publish", ["change", "always"], above.publish),
    repeatMs: section.duration("repeat", above.repeatMs, 1000, DAY_MS, "off"),
    payload: section.oneOf("payload", ["number", "json"], above.payload),
    qos: section.oneOf("qos", [0, 1, 2], above.qos),
    retain: section.flag("retain", above.retain),
  };
}

function readPoint(section: Section, names: Record<string, string>, above: Inherited): ModbusPoint {
  const { wordOrder, byteOrder, topic: template, ...inherited } = readInherited(section, above);
  const address = section.count("address", 0, 0, ADDRESSES - 1);
  if (!section.has("address")) section.complain("address", "is missing", "give it as on the wire, from 0");
  const table = section.oneOf("table", ["coil", "discrete", "holding", "input"], "holding");
  const isBits = table === "coil" || table === "discrete";
  const name = section.name("name", `${table}-${address}`);
  const type = section.oneOf("type", TYPES, isBits ? "bool" : "uint16");
  if (isBits && type !== "bool") section.complain("type", `${type} does not fit a ${table}`, "a single bit is a bool");
  const isNumber = type !== "bool" && type !== "text";
  const needsBit = type === "bool" && !isBits;
  if (needsBit && !section.has("bit")) section.complain("bit", "is missing", "say which bit of the register, from 0");
  const count = type === "text" ? section.count("length", 1, 1, TEXT_REGISTERS_MAX) : isBits ? 1 : registersOf(type);
  if (address + count > ADDRESSES)
    section.complain("address", `${address} and ${count - 1} more are not there`, "end at 65535");
  const scale = isNumber ? section.number("scale", 1, -NUMBER_MAX, NUMBER_MAX) : 1;
  if (scale === 0) section.complain("scale", "0 makes all values one", "leave it out, or give another number");
  const write = section.flag("write", false);
  if (write && (table === "discrete" || table === "input"))
    section.complain(
      "write",
      `${table === "input" ? "an" : "a"} ${table} is only read`,
      "holding and coil may be written",
    );
  if (write && needsBit) section.complain("write", "a bit of a register is not written", "write the whole register");
  const bound = (key: string): number | null =>
    isNumber && section.has(key) ? section.number(key, 0, -Number.MAX_VALUE, Number.MAX_VALUE) : null;
  const point: ModbusPoint = {
    ...inherited,
    name,
    topic: readTopic(section, template, { ...names, point: name }),
    table,
    address,
    count,
    type,
    bit: needsBit ? section.count("bit", 0, 0, 15) : 0,
    layout: { wordOrder, byteOrder },
    scale: scale === 0 ? 1 : scale,
    offset: isNumber ? section.number("offset", 0, -NUMBER_MAX, NUMBER_MAX) : 0,
    unit: section.text("unit", null),
    deadband: isNumber ? section.number("deadband", 0, 0, NUMBER_MAX) : 0,
    write,
    writeMultiple: section.flag("write_multiple", false),
    min: bound("min"),
    max: bound("max"),
  };
  section.finish();
  return point;
}

/** `{line}`, `{slave}` and `{point}` are the names. */
function readTopic(section: Section, template: string, names: Record<string, string>): string {
  const topic = template.replaceAll(/\{([^{}]*)\}/g, (whole, name: string) => names[name] ?? whole);
  const unknown = /\{[^{}]*\}/.exec(topic);
  const problem =
    unknown !== null ? `has ${unknown[0]}, which is no placeholder` : (topicProblem(topic) ?? ownProblem(topic));
  if (problem !== null)
    section.complain("topic", `${JSON.stringify(topic)} ${problem}`, "use {line}, {slave} and {point} in it");
  return topic;
}

function ownProblem(topic: string): string | null {
  return isOwnTopic(topic) ? "is under $SYS, where only the gateway itself publishes" : null;
}

/** int32 has two. */
function registersOf(type: ModbusType): number {
  return Number(/\d+$/.exec(type)?.[0] ?? 16) / 16;
}

function complainOfTwins(section: Section, { slaves }: ModbusConfig): void {
  const names = new Set<string>();
  const topics = new Map<string, string>();
  let count = 0;
  for (const [s, slave] of slaves.entries()) {
    if (names.has(slave.name))
      section.complain(`slaves[${s}].name`, `${slave.name} is the name of another slave`, "give each its own");
    names.add(slave.name);
    for (const [g, group] of slave.groups.entries()) {
      for (const [p, point] of group.points.entries()) {
        count++;
        const path = `slaves[${s}].groups[${g}].points[${p}]`;
        const other = topics.get(point.topic);
        if (other !== undefined)
          section.complain(`${path}.topic`, `${point.topic} is that of ${other}`, "give each point a topic of its own");
        topics.set(point.topic, path);
      }
    }
  }
  if (count > MODBUS_POINTS_MAX)
    section.complain("slaves", `have ${count} points`, `${MODBUS_POINTS_MAX} at most on one line`);
}
