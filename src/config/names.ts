/** Names and places that follow from a configuration; loads nothing of it. */
import { dirname, join, resolve } from "node:path";

/** The key of the configuration file that a key of Config comes from: "dataDir" is "data_dir". */
export function keyName(key: string): string {
  if (key === "memoryLimitBytes") return "memory_limit";
  if (key === "sysIntervalMs") return "sys_interval";
  return key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Where a running gateway answers. */
export function controlSocket(dataDir: string): string {
  return join(dataDir, "control.sock");
}

/** Folder that relative paths of the configuration start from. */
export function directoryOf(configFile: string): string {
  return dirname(resolve(configFile));
}
