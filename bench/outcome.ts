/** How every bench ends: a report for people, JSON for programs and for a later `--compare`. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { compareFigures, type Figure } from "./figures.ts";
import { describeMachine, type Machine, thisMachine } from "./machine.ts";

/** For `parseArgs` of every bench. */
export const OUTCOME_OPTIONS = { json: { type: "string" }, compare: { type: "string" } } as const;

export interface Outcome {
  /** As it is called on the command line. */
  readonly bench: string;
  readonly options: { readonly json?: string | undefined; readonly compare?: string | undefined };
  /** How it was measured, for the line above the report. */
  readonly method: string;
  /** The report. */
  readonly text: string;
  readonly figures: readonly Figure[];
  /** Whatever else a program may want to know: further keys of the JSON. */
  readonly details?: Readonly<Record<string, unknown>>;
}

interface Saved {
  readonly when: string;
  readonly machine: Machine;
  readonly figures: readonly Figure[];
}

/** Prints the report, writes the JSON (build/bench/NAME.json without --json), and compares with the run of --compare. */
export function publish({ bench, options, method, text, figures, details = {} }: Outcome): void {
  const machine = thisMachine();
  const before = options.compare === undefined ? null : read(options.compare);
  process.stdout.write(`${describeMachine(machine)}; ${method}\n\n${text}\n`);
  const file = options.json ?? fileURLToPath(new URL(`../build/bench/${bench}.json`, import.meta.url));
  mkdirSync(dirname(file), { recursive: true });
  const saved = { when: new Date().toISOString(), bench, machine, method, ...details, figures };
  writeFileSync(file, `${JSON.stringify(saved, null, 1)}\n`);
  if (before === null) return;
  const compared = compareFigures(before.figures, figures);
  process.stdout.write(`\nBeside ${before.when}, ${describeMachine(before.machine)}\n\n${compared}\n`);
}

function read(file: string): Saved {
  const saved = JSON.parse(readFileSync(file, "utf8")) as Partial<Saved>;
  if (!Array.isArray(saved.figures) || saved.when === undefined || saved.machine === undefined) {
    throw new Error(`${file} was not written by a bench`);
  }
  return saved as Saved;
}
