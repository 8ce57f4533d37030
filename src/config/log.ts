/** `log`: what is said on stderr. */
import type { LogLevel } from "../base/log.ts";
import type { Section } from "./section.ts";

export interface LogConfig {
  readonly level: LogLevel;
  readonly format: "text" | "json";
}

export function readLog(root: Section): LogConfig {
  const section = root.sectionOrEmpty("log");
  const log: LogConfig = {
    level: section.oneOf<LogLevel>("level", ["error", "warn", "info", "debug"], "info"),
    format: section.oneOf("format", ["text", "json"], "text"),
  };
  section.finish();
  return log;
}
