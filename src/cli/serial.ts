/** `sluice serial ...`: picks what is asked of serial ports, and loads it. */
import { UsageError } from "./arguments.ts";

/** @returns the exit code  @throws UsageError */
export async function serial([verb, ...args]: string[]): Promise<number> {
  if (args[0] === "--help") return (await import("./help.ts")).printHelp(`serial ${verb}`);
  switch (verb) {
    case "list":
      return (await import("./serial-list.ts")).serialList(args);
    case "sniff":
      return (await import("./sniff/serial-sniff.ts")).serialSniff(args);
    default:
      throw new UsageError(verb === undefined ? "serial needs list or sniff" : `there is no serial ${verb}`);
  }
}
