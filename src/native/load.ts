/** How a native addon is found and loaded: `<name>-<cpu>.node`, beside the bundle or in build/. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Addon {
  /** Name of the file. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** Changes whenever the addon's API does: a leftover of an older build is refused. */
  readonly revision: number;
}

const CPUS = ["x64", "arm64"];

/**
 * @param places where it may lie; the first one that is there is taken
 * @returns the addon, or the reason why there is none, for a log or a complaint
 */
export function loadAddon<T>(
  addon: Addon,
  places: readonly string[] = folders(),
  cpu: string = process.arch,
): T | string {
  const { name, title, revision } = addon;
  const find = (forCpu: string): string | undefined =>
    places.map((folder) => join(folder, `${name}-${forCpu}.node`)).find((file) => existsSync(file));
  const file = find(cpu);
  if (file === undefined) {
    const other = CPUS.find((forCpu) => find(forCpu) !== undefined);
    if (other !== undefined) return `the ${title} addon is built for ${other}, this is ${cpu}`;
    return `the ${title} addon is not built (npm run build says what it needs)`;
  }
  const module = { exports: {} as { readonly revision?: number } };
  try {
    // It is linked with -z now: a symbol that this node does not have is missed here, not when it is called.
    process.dlopen(module, file);
  } catch (error) {
    return `the ${title} addon does not load: ${error instanceof Error ? error.message : String(error)}`;
  }
  const { exports } = module;
  if (exports.revision !== revision) return `the ${title} addon ${file} is of another version than this program`;
  return exports as T;
}

/** From the sources, the bundle build/sluice.mjs, a chunk of it, the library in build/library and its chunks. */
function folders(): string[] {
  const here = dirname(fileURLToPath(import.meta.url));
  return [here, join(here, ".."), join(here, "../.."), join(here, "../../build")];
}
