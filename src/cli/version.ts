import { version } from "../base/version.ts";
import { OK, say } from "./arguments.ts";

export function printVersion(args: string[]): number {
  say(
    args.includes("--json")
      ? JSON.stringify({ version: version(), node: process.versions.node })
      : `sluice ${version()}`,
  );
  return OK;
}
