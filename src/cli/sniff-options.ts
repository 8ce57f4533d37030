/** What `sluice serial sniff` is told of the line: the words of a configuration's `serial` entry, as options. */
import type { Complaint } from "../config/complaint.ts";
import { Section } from "../config/section.ts";
import { readCheck } from "../config/serial-check.ts";
import { readFraming } from "../config/serial-framing.ts";
import { type LineSettings, readLine, readPlace, type SerialPlace } from "../config/serial-port.ts";
import { parseYaml } from "../config/yaml.ts";
import { UsageError } from "./arguments.ts";

export const SNIFF_OPTIONS = {
  framing: { type: "string" },
  check: { type: "string" },
  baud: { type: "string" },
  "data-bits": { type: "string" },
  parity: { type: "string" },
  "stop-bits": { type: "string" },
  flow: { type: "string" },
  count: { type: "string", short: "C" },
  timeout: { type: "string", short: "W" },
  json: { type: "boolean", default: false },
} as const;

const LINE_OPTIONS = ["framing", "check", "baud", "data-bits", "parity", "stop-bits", "flow"] as const;

export interface SniffedLine {
  readonly place: Exclude<SerialPlace, { kind: "match" }>;
  readonly settings: LineSettings;
  readonly framing: ReturnType<typeof readFraming>;
  readonly check: ReturnType<typeof readCheck>;
}

/** @throws UsageError with all that is wrong */
export function sniffedLine(
  port: string,
  values: { readonly [Key in (typeof LINE_OPTIONS)[number]]?: string | undefined },
): SniffedLine {
  const lines = [`port: ${JSON.stringify(port)}`];
  for (const option of LINE_OPTIONS) {
    const value = values[option];
    if (value === undefined) continue;
    if (value.includes("\n")) throw new UsageError(`--${option} has a line end`);
    lines.push(`${option.replace("-", "_")}: ${value}`);
  }
  const complaints: Complaint[] = [];
  const root = parseYaml(lines.join("\n"), complaints);
  const section = new Section({ root, directory: process.cwd(), complaints }, root, "");
  const place = readPlace(section);
  const framing = readFraming(section);
  const line = { settings: readLine(section, place), framing, check: readCheck(section, framing) };
  if (complaints.length > 0) throw new UsageError(complaints.map(wordsOf).join("; "));
  if (place.kind === "match") throw new UsageError("serial sniff needs a PORT");
  return { place, ...line };
}

/** With the option in the place of the configuration's key. */
function wordsOf({ path, problem, advice }: Complaint): string {
  const [key = "", ...inner] = path.split(".");
  const name = key === "port" || key === "" ? "PORT" : [`--${key.replace("_", "-")}`, ...inner].join(" ");
  return `${name} ${problem}; ${advice}`;
}
