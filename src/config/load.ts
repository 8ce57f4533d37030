/** From the text of a configuration file to a Config, or to everything that is wrong with it. */
import type { Complaint } from "./complaint.ts";
import { type Config, readConfig } from "./config.ts";
import { checkFiles } from "./files.ts";
import { lineOf } from "./node.ts";
import { parseYaml } from "./yaml.ts";

export interface LoadOptions {
  /** Relative paths of the configuration start here: the folder of its file. */
  directory: string;
  /** Whether the files that it names must be readable; false = only the text is judged. */
  checkFiles?: boolean;
}

export interface Loaded {
  /** null when there is any complaint. */
  config: Config | null;
  /** Even with complaints: where a gateway with this configuration answers. */
  dataDir: string;
  /** In order of lines. */
  complaints: Complaint[];
}

export function load(text: string, options: LoadOptions): Loaded {
  const complaints: Complaint[] = [];
  const root = parseYaml(text, complaints);
  const config = readConfig({ root, directory: options.directory, complaints });
  if (options.checkFiles !== false) {
    checkFiles(config, (path, problem, advice) =>
      complaints.push({ file: null, path, line: lineOf(root, path), problem, advice }),
    );
  }
  complaints.sort((a, b) => a.line - b.line);
  return { config: complaints.length === 0 ? config : null, dataDir: config.dataDir, complaints };
}
