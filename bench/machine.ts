import { readFileSync } from "node:fs";
import { arch, availableParallelism, release, totalmem } from "node:os";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
}

export function thisMachine(): Machine {
  const cpu = /^model name\s*: (.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? arch();
  return {
    cpu,
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: `Linux ${release().split("-")[0]}`,
    node: process.version,
  };
}

export function describeMachine(machine: Machine): string {
  return `${machine.cores} x ${machine.cpu}, ${machine.kernel}, Node ${machine.node.slice(1)}`;
}
