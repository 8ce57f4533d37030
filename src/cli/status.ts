/** `sluice status`: asks the running gateway how it is. */
import { defaultConfig } from "../config/config.ts";
import { controlSocket } from "../config/names.ts";
import { FAILED, NO_GATEWAY, OK, parse, say, sayError, UsageError } from "./arguments.ts";
import { askControl, NoGatewayError } from "./control.ts";
import { type Status, statusText } from "./status-text.ts";

export async function status(args: string[]): Promise<number> {
  const { values } = parse({
    args,
    options: {
      config: { type: "string" },
      "data-dir": { type: "string" },
      drops: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  if (values.config !== undefined && values["data-dir"] !== undefined) {
    throw new UsageError("--config and --data-dir both say where the gateway is; give one");
  }
  const dataDir = values["data-dir"] ?? (await dataDirOf(values.config));
  try {
    const answer = await askControl(controlSocket(dataDir), { verb: "status", drops: values.drops });
    say(values.json ? JSON.stringify(answer) : statusText(answer as Status));
    return OK;
  } catch (error) {
    sayError((error as Error).message);
    return error instanceof NoGatewayError ? NO_GATEWAY : FAILED;
  }
}

/** Only this key of the file is looked at: the gateway may run while its file is being edited. */
async function dataDirOf(file: string | undefined): Promise<string> {
  if (file === undefined) return defaultConfig().dataDir;
  const { loadDataDir } = await import("./data-dir.ts");
  return loadDataDir(file);
}
