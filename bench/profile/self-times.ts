/** The parts of a .cpuprofile that are read here. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  /** Microseconds of the monotonic clock. */
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface SelfTime {
  /** Function, file and line. */
  readonly name: string;
  /** Of the time the program was not idle. */
  readonly share: number;
}

/** Self time by function between two moments of the monotonic clock, the longest first. */
export function selfTimes(profileText: string, fromUs: number, endUs: number): SelfTime[] {
  const profile = JSON.parse(profileText) as CpuProfile;
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  let busy = 0;
  let at = profile.startTime;
  for (const [i, id] of profile.samples.entries()) {
    const name = names.get(id) ?? "";
    const time = profile.timeDeltas[i] ?? 0;
    at += time;
    if (name === "(idle)" || name === "(root)" || at < fromUs || at > endUs) continue;
    times.set(name, (times.get(name) ?? 0) + time);
    busy += time;
  }
  return [...times].map(([name, time]) => ({ name, share: time / busy })).sort((a, b) => b.share - a.share);
}

/** By the name of the function alone: files and lines are others in the next build. */
export function byFunction(times: readonly SelfTime[]): Map<string, number> {
  const shares = new Map<string, number>();
  for (const { name, share } of times) {
    const key = name.replace(/ \S+:\d+$/, "");
    shares.set(key, (shares.get(key) ?? 0) + share);
  }
  return shares;
}

function nameOf({ functionName, url, lineNumber }: CpuProfile["nodes"][number]["callFrame"]): string {
  if (url === "") return functionName || "(native)";
  const file = url.startsWith("node:") ? url : url.slice(url.lastIndexOf("/") + 1);
  return `${functionName || "(anonymous)"} ${file}:${lineNumber + 1}`;
}
