import { readConfiguration } from "../gateway/configuration.ts";
import { OK, say } from "./arguments.ts";

/** The hidden verb: prints a Configuration as one line of JSON. */
export function printConfig(args: string[]): number {
  say(JSON.stringify(readConfiguration(args[0] ?? null)));
  return OK;
}
