/** Picks the verb and loads it; each loads only what it needs. */
import { UsageError } from "./arguments.ts";

/** @returns the exit code  @throws UsageError */
export async function runVerb(verb: string | undefined, args: string[]): Promise<number> {
  if (args[0] === "--help" || verb === "help") return help(verb === "help" ? args[0] : verb);
  switch (verb) {
    case "run":
      return (await import("./run.ts")).run(args);
    case "check":
      return (await import("./check.ts")).check(args);
    case "passwd":
      return (await import("./passwd.ts")).passwd(args);
    case "status":
      return (await import("./status.ts")).status(args);
    case "reload":
      return (await import("./reload.ts")).reload(args);
    case "pub":
      return (await import("./pub.ts")).pub(args);
    case "sub":
      return (await import("./sub.ts")).sub(args);
    case "--print-config": // for ourselves: see child-configuration.ts
      return (await import("./print-config.ts")).printConfig(args);
    case "--version":
      return (await import("./version.ts")).printVersion(args);
    case "--help":
    case "-h":
      return help(undefined);
    case "backup":
      return (await import("./backup.ts")).backup(args);
    case "serial":
      return (await import("./serial.ts")).serial(args);
    default:
      throw new UsageError(verb === undefined ? "which verb?" : `there is no verb ${JSON.stringify(verb)}`);
  }
}

async function help(verb: string | undefined): Promise<number> {
  return (await import("./help.ts")).printHelp(verb);
}
