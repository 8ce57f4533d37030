/**
 * What `sluice serial sniff` is told of the line: the words of a configuration's `serial` entry as options, or the entry
 * itself by its name.
 */
import type { Complaint } from "../../config/complaint.ts";
import { Section } from "../../config/section.ts";
import type { SerialConfig } from "../../config/serial.ts";
import { readCheck } from "../../config/serial-check.ts";
import { readFraming } from "../../config/serial-framing.ts";
import { type LineSettings, readLine, readPlace, type SerialPlace } from "../../config/serial-port.ts";
import { parseYaml } from "../../config/yaml.ts";
import type { CheckOptions } from "../../wire/serial/check.ts";
import type { FramingOptions } from "../../wire/serial/framings.ts";
import { UsageError } from "../arguments.ts";

export const SNIFF_OPTIONS = {
  config: { type: "string" },
  framing: { type: "string" },
  check: { type: "string" },
  baud: { type: "string" },
  "data-bits": { type: "string" },
  parity: { type: "string" },
  "stop-bits": { type: "string" },
  flow: { type: "string" },
  write: { type: "string" },
  count: { type: "string", short: "C" },
  timeout: { type: "string", short: "W" },
  hex: { type: "boolean", default: false },
  text: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
} as const;

const LINE_OPTIONS = ["framing", "check", "baud", "data-bits", "parity", "stop-bits", "flow"] as const;
type LineValues = { readonly [Key in (typeof LINE_OPTIONS)[number]]?: string | undefined };

/** Framings that are a protocol's, whose frames are shown in words. `coap`: without slipmux. */
export const PROTOCOLS = ["slipmux", "coap", "modbus", "mqtt-sn", "mqtt-sn-length"] as const;
export type SniffedProtocol = (typeof PROTOCOLS)[number] | "frames";

/** How frames are to be found. */
export interface SniffedFrames {
  readonly protocol: SniffedProtocol;
  readonly framing: FramingOptions;
  readonly check: CheckOptions | null;
  readonly settings: LineSettings;
}

export interface SniffedLine extends SniffedFrames {
  readonly place: SerialPlace;
  /** `--baud auto`; the rate in `settings` then says nothing. */
  readonly autoBaud: boolean;
  /** `--parity` is not among what `autoBaud` tries. */
  readonly parityGiven: boolean;
}

/** @throws UsageError with all that is wrong */
export function sniffedLine(port: string, values: LineValues): SniffedLine {
  const { framing } = values;
  const protocol = PROTOCOLS.find((name) => name === framing) ?? "frames";
  const autoBaud = values.baud === "auto";
  const lines = [`port: ${JSON.stringify(port)}`];
  for (const option of LINE_OPTIONS) {
    const value = values[option];
    if (value === undefined || (option === "framing" && protocol !== "frames") || value === "auto") continue;
    if (value.includes("\n")) throw new UsageError(`--${option} has a line end`);
    const entry = `${option.replace("-", "_")}: ${value}`;
    if (!isYaml(entry)) throw new UsageError(`--${option} ${value} is no YAML: are all braces and quotes closed?`);
    lines.push(entry);
  }
  if (protocol !== "frames" && values.check !== undefined)
    throw new UsageError(`--check is part of --framing ${protocol}; leave it out`);
  const complaints: Complaint[] = [];
  const root = parseYaml(lines.join("\n"), complaints);
  const section = new Section({ root, directory: process.cwd(), complaints }, root, "");
  const place = readPlace(section);
  const config = readFraming(section);
  const frames = { settings: readLine(section, place), framing: config, check: readCheck(section, config) };
  if (complaints.length > 0) throw new UsageError(complaints.map(wordsOf).join("; "));
  if (place.kind === "match") throw new UsageError("serial sniff needs a PORT");
  if (autoBaud) complainOfAuto(place, protocol, frames);
  return { place, protocol, ...frames, autoBaud, parityGiven: values.parity !== undefined };
}

/** One at a time: a brace that is not closed takes the next ones along. */
function isYaml(entry: string): boolean {
  const complaints: Complaint[] = [];
  parseYaml(entry, complaints);
  return complaints.length === 0;
}

function complainOfAuto(
  place: SerialPlace,
  protocol: SniffedProtocol,
  { framing, check }: Omit<SniffedFrames, "protocol">,
) {
  if (place.kind !== "device")
    throw new UsageError(`--baud auto needs a device: over ${place.kind} the other end has the rate`);
  if (protocol === "frames" && check === null && framing.type !== "line")
    throw new UsageError("--baud auto needs a --check to tell a right rate by, or lines of text");
}

/** The line of a configuration. @throws UsageError */
export async function configuredLine(name: string, file: string, values: LineValues): Promise<SniffedLine> {
  const given = LINE_OPTIONS.find((option) => values[option] !== undefined);
  if (given !== undefined) throw new UsageError(`--${given} is what the configuration says; leave it or --config out`);
  const { readConfiguration } = await import("../../gateway/configuration.ts");
  const { config } = readConfiguration(file);
  if (config === null)
    throw new UsageError(`${file} is no valid configuration: sluice check --config ${file} says why`);
  const line = config.serial.find((candidate) => candidate.name === name);
  if (line !== undefined) return lineOf(line);
  const names = config.serial.map((candidate) => candidate.name).join(", ");
  throw new UsageError(`${file} has no serial line ${JSON.stringify(name)}; it has ${names === "" ? "none" : names}`);
}

function lineOf(line: SerialConfig): SniffedLine {
  const { place } = line;
  const common = { place, settings: line, autoBaud: false, parityGiven: true };
  const nothing = { framing: { type: "slip", frameBytesMax: 1 }, check: null } as const;
  switch (line.protocol) {
    case "frames":
      return { ...common, protocol: "frames", framing: line.framing, check: line.check };
    case "coap":
      return { ...common, ...nothing, protocol: line.coap.framing === "slip" ? "coap" : "slipmux" };
    case "mqtt-sn":
      return { ...common, ...nothing, protocol: line.mqttSn.framing === "slip" ? "mqtt-sn" : "mqtt-sn-length" };
    case "modbus":
      if (line.modbus.transport === "rtu") return { ...common, ...nothing, protocol: "modbus" };
      throw new UsageError(`${line.name} is Modbus TCP, where each connection hears its own answers alone`);
  }
}

/** With the option in the place of the configuration's key. */
function wordsOf({ path, problem, advice }: Complaint): string {
  const [key = "", ...inner] = path.split(".");
  const name = key === "port" || key === "" ? "PORT" : [`--${key.replace("_", "-")}`, ...inner].join(" ");
  return `${name} ${problem}; ${advice}`;
}
