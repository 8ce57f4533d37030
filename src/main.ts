/** `sluice`: picks the verb and loads it; each loads only what it needs. */
import { FAILED, USAGE, UsageError } from "./cli/arguments.ts";

async function main(verb: string | undefined, args: string[]): Promise<number> {
  if (args[0] === "--help" || verb === "help") return help(verb === "help" ? args[0] : verb);
  switch (verb) {
    case "run":
      return (await import("./cli/run.ts")).run(args);
    case "check":
      return (await import("./cli/check.ts")).check(args);
    case "passwd":
      return (await import("./cli/passwd.ts")).passwd(args);
    case "status":
      return (await import("./cli/status.ts")).status(args);
    case "pub":
      return (await import("./cli/pub.ts")).pub(args);
    case "sub":
      return (await import("./cli/sub.ts")).sub(args);
    case "--print-config": // for ourselves: see cli/child-configuration.ts
      return (await import("./cli/print-config.ts")).printConfig(args);
    case "--version":
      return (await import("./cli/version.ts")).printVersion(args);
    case "--help":
    case "-h":
      return help(undefined);
    case "backup":
    case "serial":
      throw new UsageError(`${verb} is not built yet`);
    default:
      throw new UsageError(verb === undefined ? "which verb?" : `there is no verb ${JSON.stringify(verb)}`);
  }
}

async function help(verb: string | undefined): Promise<number> {
  return (await import("./cli/help.ts")).printHelp(verb);
}

const [verb, ...args] = process.argv.slice(2);
try {
  process.exitCode = await main(verb, args);
} catch (error) {
  if (error instanceof UsageError) {
    process.stderr.write(`sluice: ${error.message}\nTry: sluice --help\n`);
    process.exitCode = USAGE;
  } else {
    process.stderr.write(`sluice: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = FAILED;
  }
}
