/** The flags of every bench. */
import { type ParseArgsConfig, parseArgs } from "node:util";

/** What a bench takes; a default that is a number says that the flag is one, above 0. */
type Flags = NonNullable<ParseArgsConfig["options"]>;

/** The flags that `bench` was called with. A mistake in them ends it with exit code 2 and says which there are. */
export function readFlags<const T extends Flags>(
  bench: string,
  options: T,
): ReturnType<typeof parseArgs<{ options: T }>>["values"] {
  try {
    const { values } = parseArgs({ options });
    for (const [name, { default: usual }] of Object.entries<Flags[string]>(options)) {
      const value = (values as Readonly<Record<string, unknown>>)[name];
      if (isPositive(usual) && !isPositive(value)) throw new Error(`--${name}: ${value} is not a number above 0`);
    }
    return values;
  } catch (error) {
    return wrongUse(bench, (error as Error).message.split(". ")[0]!, [`flags: --${Object.keys(options).join(" --")}`]);
  }
}

/** Tells what is wrong and what there is, and ends. */
export function wrongUse(bench: string, complaint: string, offers: readonly string[]): never {
  process.stderr.write(`bench ${bench}: ${complaint}\n${offers.join("\n")}\n`);
  process.exit(2);
}

function isPositive(value: unknown): boolean {
  return typeof value === "string" && Number(value) > 0;
}
