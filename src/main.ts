/** `sluice`: runs the verb that the command line names, and turns its outcome into an exit code. */
import { FAILED, isUsageError, USAGE } from "./cli/arguments.ts";
import { runVerb } from "./cli/verbs.ts";

const [verb, ...args] = process.argv.slice(2);
try {
  process.exitCode = await runVerb(verb, args);
} catch (error) {
  if (isUsageError(error)) {
    process.stderr.write(`sluice: ${error.message}\nTry: sluice --help\n`);
    process.exitCode = USAGE;
  } else {
    process.stderr.write(`sluice: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = FAILED;
  }
}
