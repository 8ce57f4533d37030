import { OK, say } from "./arguments.ts";

/** The build writes it in; from the sources there is none. */
export function version(): string {
  return process.env.SLUICE_VERSION ?? "0.0.0-source";
}

export function printVersion(args: string[]): number {
  say(
    args.includes("--json")
      ? JSON.stringify({ version: version(), node: process.versions.node })
      : `sluice ${version()}`,
  );
  return OK;
}
