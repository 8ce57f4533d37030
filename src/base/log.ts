/**
 * One line per event, for people (text) or machines (json). Events are stable kebab-case names; what varies is in the
 * fields. Values that peers can influence are quoted, so that no peer can forge a line.
 *
 *     2026-11-21T02:19:08.123Z warn  link-refused reason="too many connections" remote=10.0.0.7:5123
 */
export type LogLevel = "error" | "warn" | "info" | "debug";
export type LogFields = Record<string, string | number | boolean | null>;

const RANK: Record<LogLevel, number> = { error: 0, warn: 1, info: 2, debug: 3 };
const PLAIN = /^[\w.:/@+#$[\]-]+$/;
/** A field's text is cut here; a topic or an error of a peer's making may be long. */
const FIELD_CHARACTERS_MAX = 2048;

export interface LogOptions {
  level: LogLevel;
  format: "text" | "json";
  /** Takes a line without its line feed; stderr when absent. */
  write?: (line: string) => void;
}

export class Log {
  level: LogLevel;
  readonly #format: "text" | "json";
  readonly #write: (line: string) => void;

  constructor(options: LogOptions) {
    this.level = options.level;
    this.#format = options.format;
    this.#write = options.write ?? writeToStderr;
  }

  error(event: string, fields?: LogFields): void {
    this.#log("error", event, fields);
  }

  warn(event: string, fields?: LogFields): void {
    this.#log("warn", event, fields);
  }

  info(event: string, fields?: LogFields): void {
    this.#log("info", event, fields);
  }

  debug(event: string, fields?: LogFields): void {
    this.#log("debug", event, fields);
  }

  #log(level: LogLevel, event: string, fields: LogFields | undefined): void {
    if (RANK[level] > RANK[this.level]) return;
    const time = new Date().toISOString();
    this.#write(this.#format === "json" ? jsonLine(time, level, event, fields) : textLine(time, level, event, fields));
  }
}

function jsonLine(time: string, level: LogLevel, event: string, fields: LogFields | undefined): string {
  const record: LogFields = { time, level, event };
  for (const name in fields) {
    const value = fields[name] ?? null;
    record[name] = typeof value === "string" ? value.slice(0, FIELD_CHARACTERS_MAX) : value;
  }
  return JSON.stringify(record);
}

function textLine(time: string, level: LogLevel, event: string, fields: LogFields | undefined): string {
  let line = `${time} ${level.padEnd(5)} ${event}`;
  for (const name in fields) line += ` ${name}=${textValue(fields[name] ?? null)}`;
  return line;
}

function textValue(value: string | number | boolean | null): string {
  if (typeof value !== "string") return String(value);
  const text = value.slice(0, FIELD_CHARACTERS_MAX);
  return PLAIN.test(text) ? text : JSON.stringify(text);
}

function writeToStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
