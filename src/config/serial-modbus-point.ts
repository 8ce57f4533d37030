/** `serial[].modbus.slaves[].groups[].points[]`: the values of a slave, and what bus, slave and group say for all of them. */
import type { Section } from "./section.ts";
import { isOwnTopic, topicProblem } from "./topics.ts";

export type ModbusTable = "coil" | "discrete" | "holding" | "input";
export type ModbusOrder = "big" | "little";

const TYPES = ["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bool", "text"] as const;
export type ModbusType = (typeof TYPES)[number];

export interface ModbusPoint {
  readonly name: string;
  readonly topic: string;
  readonly table: ModbusTable;
  /** From 0, as on the wire. */
  readonly address: number;
  /** Bits or registers. */
  readonly count: number;
  readonly type: ModbusType;
  /** The lowest bit, where a value is not a whole register. */
  readonly bit: number;
  /** Of the value within its register; 0 = whole registers. */
  readonly bits: number;
  /** Words for numbers; others are published as they are. */
  readonly names: readonly (readonly [raw: number, name: string])[] | null;
  readonly layout: { readonly wordOrder: ModbusOrder; readonly byteOrder: ModbusOrder };
  readonly scale: number;
  readonly offset: number;
  readonly unit: string | null;
  readonly publish: "change" | "always";
  readonly deadband: number;
  /** Of the value published last; the larger of both holds. */
  readonly deadbandPercent: number;
  readonly repeatMs: number | "off";
  readonly payload: "number" | "json";
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Whether `<topic>/set` writes it. */
  readonly write: boolean;
  /** With the function that writes several, for devices that know no other. */
  readonly writeMultiple: boolean;
  /** Bits of a register with the function that changes no others; else it is read, changed and written. */
  readonly maskWrite: boolean;
  /** What was written is read back before a command is done. */
  readonly verify: boolean;
  readonly min: number | null;
  readonly max: number | null;
}

/** What a bus, a slave or a group says for all points below it. */
export interface PointDefaults {
  readonly topic: string;
  readonly wordOrder: ModbusOrder;
  readonly byteOrder: ModbusOrder;
  readonly publish: "change" | "always";
  readonly repeatMs: number | "off";
  readonly payload: "number" | "json";
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly writeMultiple: boolean;
  readonly maskWrite: boolean;
  readonly verify: boolean;
}

const ADDRESSES = 65_536;
const TEXT_REGISTERS_MAX = 123;
const DAY_MS = 86_400_000;
const NUMBER_MAX = 1e12;
const NAMES_MAX = 64;

export const DEFAULTS: PointDefaults = {
  topic: "serial/{line}/{slave}/{point}",
  wordOrder: "big",
  byteOrder: "big",
  publish: "change",
  repeatMs: "off",
  payload: "number",
  qos: 1,
  retain: false,
  writeMultiple: false,
  maskWrite: false,
  verify: false,
};

export function readPointDefaults(section: Section, above: PointDefaults): PointDefaults {
  return {
    topic: section.text("topic", above.topic),
    wordOrder: section.oneOf("word_order", ["big", "little"], above.wordOrder),
    byteOrder: section.oneOf("byte_order", ["big", "little"], above.byteOrder),
    publish: section.oneOf("publish", ["change", "always"], above.publish),
    repeatMs: section.duration("repeat", above.repeatMs, 1000, DAY_MS, "off"),
    payload: section.oneOf("payload", ["number", "json"], above.payload),
    qos: section.oneOf("qos", [0, 1, 2], above.qos),
    retain: section.flag("retain", above.retain),
    writeMultiple: section.flag("write_multiple", above.writeMultiple),
    maskWrite: section.flag("mask_write", above.maskWrite),
    verify: section.flag("verify", above.verify),
  };
}

export function readPoint(section: Section, placeNames: Record<string, string>, above: PointDefaults): ModbusPoint {
  const { wordOrder, byteOrder, topic: template, ...inherited } = readPointDefaults(section, above);
  const address = readAddress(section);
  const table = section.oneOf("table", ["coil", "discrete", "holding", "input"], "holding");
  const isBits = table === "coil" || table === "discrete";
  const name = section.name("name", `${table}-${address}`);
  const type = section.oneOf("type", TYPES, isBits ? "bool" : "uint16");
  if (isBits && type !== "bool") section.complain("type", `${type} does not fit a ${table}`, "a single bit is a bool");
  const isNumber = type !== "bool" && type !== "text";
  const needsBit = type === "bool" && !isBits;
  if (needsBit && !section.has("bit")) section.complain("bit", "is missing", "say which bit of the register, from 0");
  const bit = needsBit || type === "uint16" ? section.count("bit", 0, 0, 15) : 0;
  const bits = needsBit ? 1 : type === "uint16" ? readBits(section, bit) : 0;
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
  const bound = (key: string): number | null =>
    isNumber && section.has(key) ? section.number(key, 0, -Number.MAX_VALUE, Number.MAX_VALUE) : null;
  const offset = isNumber ? section.number("offset", 0, -NUMBER_MAX, NUMBER_MAX) : 0;
  const names = isNumber ? readNames(section, scale !== 1 || offset !== 0 || type.startsWith("float")) : null;
  const point: ModbusPoint = {
    ...inherited,
    name,
    topic: readTopic(section, "topic", template, { ...placeNames, point: name }),
    table,
    address,
    count,
    type,
    bit,
    bits,
    names,
    layout: { wordOrder, byteOrder },
    scale: scale === 0 ? 1 : scale,
    offset,
    unit: section.text("unit", null),
    ...(isNumber ? readDeadband(section) : { deadband: 0, deadbandPercent: 0 }),
    write,
    min: bound("min"),
    max: bound("max"),
  };
  section.finish();
  return point;
}

/** Six digits of a data sheet, 400001 say, are no address. */
function readAddress(section: Section): number {
  if (!section.has("address")) section.complain("address", "is missing", "give it as on the wire, from 0");
  const source = section.source("address")?.trim() ?? "";
  const sheet = /^([134])(\d{5})$/.exec(source);
  const number = Number(sheet?.[2] ?? 0);
  if (number < 1 || number > ADDRESSES) return section.count("address", 0, 0, ADDRESSES - 1);
  section.number("address", 0, 0, NUMBER_MAX);
  const table = { 1: "discrete", 3: "input", 4: "holding" }[sheet?.[1] as "1" | "3" | "4"];
  section.complain("address", `${source} is a number of a data sheet`, `table: ${table}, address: ${number - 1}`);
  return 0;
}

/** `bits: 4` from `bit`; without it a uint16 is the whole register. */
function readBits(section: Section, bit: number): number {
  if (!section.has("bits")) {
    if (section.has("bit")) section.complain("bit", "of a number says where bits begin", "say how many: bits");
    return 0;
  }
  const bits = section.count("bits", 1, 1, 15);
  if (bit + bits > 16) section.complain("bits", `${bits} from bit ${bit} end beyond 15`, "a register has 16 bits");
  return bits;
}

/** `0.5` in the value's unit, or `2%` of the value published last. */
function readDeadband(section: Section): { deadband: number; deadbandPercent: number } {
  const source = section.source("deadband");
  const percent = source === null ? null : /^(\d+(?:\.\d+)?)\s*%$/.exec(source.trim());
  if (percent === null) return { deadband: section.number("deadband", 0, 0, NUMBER_MAX), deadbandPercent: 0 };
  section.text("deadband", null);
  const deadbandPercent = Number(percent[1]);
  if (deadbandPercent > 100) section.complain("deadband", "is above 100 %", "give 0% to 100%");
  return { deadband: 0, deadbandPercent };
}

/** `names: {0: standby, 1: heating}` */
function readNames(section: Section, isScaled: boolean): [number, string][] | null {
  const inner = section.section("names");
  if (inner === null) return null;
  const names = new Map<number, string>();
  for (const key of inner.keys()) {
    const name = inner.text(key, "");
    if (!/^-?\d+$/.test(key) || !Number.isSafeInteger(Number(key)))
      inner.complain(key, "is no whole number", "names are of the numbers in the register");
    else if ([...names.values()].includes(name))
      inner.complain(key, `${name} is the name of another number`, "give each its own");
    else names.set(Number(key), name);
  }
  if (names.size > NAMES_MAX) inner.complain("", `has ${names.size} names`, `${NAMES_MAX} at most`);
  if (isScaled) section.complain("names", "are for whole numbers without scale and offset", "remove one of them");
  inner.finish();
  return [...names];
}

/** `{line}`, `{slave}` and `{point}` are the names. */
export function readTopic(section: Section, key: string, template: string, names: Record<string, string>): string {
  const topic = template.replaceAll(/\{([^{}]*)\}/g, (whole, name: string) => names[name] ?? whole);
  const unknown = /\{[^{}]*\}/.exec(topic);
  const problem =
    unknown !== null ? `has ${unknown[0]}, which is no placeholder` : (topicProblem(topic) ?? ownProblem(topic));
  if (problem !== null) {
    const known = Object.keys(names).map((name) => `{${name}}`);
    section.complain(key, `${JSON.stringify(topic)} ${problem}`, `use ${known.join(", ")} in it`);
  }
  return topic;
}

function ownProblem(topic: string): string | null {
  return isOwnTopic(topic) ? "is under $SYS, where only the gateway itself publishes" : null;
}

/** int32 has two. */
function registersOf(type: ModbusType): number {
  return Number(/\d+$/.exec(type)?.[0] ?? 16) / 16;
}
