/** Where the gateway of a configuration file answers. */
import { readSmallFile } from "../config/files.ts";
import { load } from "../config/load.ts";
import { directoryOf } from "../config/names.ts";
import { UsageError } from "./arguments.ts";

/** `data_dir` of a file, whatever else is wrong with it. @throws UsageError */
export function loadDataDir(file: string): string {
  try {
    return load(readSmallFile(file), { directory: directoryOf(file), checkFiles: false }).dataDir;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
