/** What every verb does with its arguments, and the exit codes. */
import { type ParseArgsConfig, parseArgs } from "node:util";

/** Exit codes: contract. */
export const OK = 0;
export const FAILED = 1;
/** Configuration or usage. */
export const USAGE = 2;
export const NO_GATEWAY = 3;

/** The command line was wrong: printed in one line, exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** By name: the gateway's bundle has a class of its own. */
export function isUsageError(error: unknown): error is UsageError {
  return error instanceof Error && error.name === "UsageError";
}

/** @throws UsageError */
export function parse<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message.split(". ")[0] ?? error.message);
    throw error;
  }
}

/** The value of an option that is a whole number. @throws UsageError */
export function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${option} ${text}: a number from ${min} to ${max} is expected`);
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function sayError(line: string): void {
  process.stderr.write(`sluice: ${line}\n`);
}
