/**
 * A memory cgroup of our own, v1 or v2, whichever the machine has. What the kernel counts in it: anonymous memory,
 * page cache (which it takes back when the limit is near), and kernel objects.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requireRoot, requireThat, type Skip } from "./peers.ts";

const V1 = "/sys/fs/cgroup/memory";
const V2 = "/sys/fs/cgroup";

export interface CgroupMemory {
  readonly usedBytes: number;
  readonly peakBytes: number;
  /** Neither file nor kernel object: what cannot be taken back without swap. */
  readonly anonymousBytes: number;
  readonly fileBytes: number;
  /** Processes the kernel killed. */
  readonly oomKills: number;
}

export class MemoryCgroup {
  readonly #path: string;
  readonly #v2: boolean;

  private constructor(path: string, v2: boolean) {
    this.#path = path;
    this.#v2 = v2;
  }

  /** Throws where there are none; see `requireMemoryCgroup`. */
  static make(name: string, limitBytes: number): MemoryCgroup {
    const v1 = existsSync(join(V1, "memory.limit_in_bytes"));
    const group = new MemoryCgroup(join(v1 ? V1 : V2, `${name}-${process.pid}`), !v1);
    mkdirSync(group.#path);
    group.#write(v1 ? "memory.limit_in_bytes" : "memory.max", limitBytes);
    return group;
  }

  /** Words in front of a command that make it run in here. */
  get entrance(): readonly string[] {
    return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', join(this.#path, "cgroup.procs")];
  }

  memory(): CgroupMemory {
    const stat = this.#read("memory.stat");
    if (this.#v2) {
      return {
        usedBytes: Number(this.#read("memory.current")),
        peakBytes: existsSync(join(this.#path, "memory.peak")) ? Number(this.#read("memory.peak")) : 0,
        anonymousBytes: field(stat, "anon"),
        fileBytes: field(stat, "file"),
        oomKills: field(this.#read("memory.events"), "oom_kill"),
      };
    }
    return {
      usedBytes: Number(this.#read("memory.usage_in_bytes")),
      peakBytes: Number(this.#read("memory.max_usage_in_bytes")),
      anonymousBytes: field(stat, "total_rss"),
      fileBytes: field(stat, "total_cache"),
      oomKills: field(this.#read("memory.oom_control"), "oom_kill"),
    };
  }

  /** Every process in it must have ended. */
  [Symbol.dispose](): void {
    rmdirSync(this.#path);
  }

  #read(file: string): string {
    return readFileSync(join(this.#path, file), "utf8");
  }

  #write(file: string, value: number): void {
    writeFileSync(join(this.#path, file), String(value));
  }
}

/** Value for a test's `skip`. */
export function requireMemoryCgroup(): Skip {
  const root = requireRoot();
  if (root !== false) return root;
  if (existsSync(join(V1, "memory.limit_in_bytes"))) return false;
  const subtree = join(V2, "cgroup.subtree_control");
  const has = existsSync(subtree) && readFileSync(subtree, "utf8").split(/\s/).includes("memory");
  return requireThat(has, "this machine has no memory cgroups");
}

function field(text: string, key: string): number {
  return Number(new RegExp(`^${key} (\\d+)$`, "m").exec(text)?.[1] ?? Number.NaN);
}
