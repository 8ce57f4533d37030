/** Where the gateway that a verb is about has its data. */
import { defaultConfig } from "../config/config.ts";
import { UsageError } from "./arguments.ts";

/** @param config `--config`  @param dataDir `--data-dir`; neither = the default  @throws UsageError */
export async function dataDirOf(config: string | undefined, dataDir: string | undefined): Promise<string> {
  if (config !== undefined && dataDir !== undefined)
    throw new UsageError("--config and --data-dir both say where the gateway is; give one");
  if (dataDir !== undefined) return dataDir;
  if (config === undefined) return defaultConfig().dataDir;
  // Only this key of the file is looked at: the gateway may run while its file is being edited.
  const { loadDataDir } = await import("./data-dir.ts");
  return loadDataDir(config);
}
