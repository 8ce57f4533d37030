/** `sluice check`: everything that is wrong with a configuration, or the memory it may take. */
import { budgetTable, fits, totalBytes } from "../config/budget.ts";
import { memoryBill } from "../gateway/bill.ts";
import { readConfiguration } from "../gateway/configuration.ts";
import { OK, parse, say, USAGE, UsageError } from "./arguments.ts";
import { complaintsText } from "./complaints-text.ts";

export async function check(args: string[]): Promise<number> {
  const { values } = parse({
    args,
    options: {
      config: { type: "string" },
      store: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  if (values.store) throw new UsageError("check --store is not built yet");
  if (values.config === undefined) throw new UsageError("check needs --config FILE");
  const { config, complaints } = readConfiguration(values.config);
  if (config === null) {
    say(complaintsText(complaints, values.config, values.json));
    return USAGE;
  }
  const lines = await memoryBill(config);
  const { memoryLimitBytes } = config;
  const fit = fits(lines, memoryLimitBytes);
  if (values.json)
    say(JSON.stringify({ event: "bill", lines, totalBytes: totalBytes(lines), memoryLimitBytes, fits: fit }));
  else say(budgetTable(lines, memoryLimitBytes));
  return fit ? OK : USAGE;
}
