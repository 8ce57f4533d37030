// Collects what node:test reports and says it in plain lines.
import { relative } from "node:path";
import type { EventData } from "node:test";
import { inspect } from "node:util";
import { ROOT } from "./root.mjs";

const SLOWEST = 20;
const TODO = "marked as not done yet";

interface Timed {
  readonly title: string;
  readonly ms: number;
}

/** Totals, skips with their reasons and durations of one run. */
export class TestReport {
  readonly #say: (line: string) => void;
  readonly #durations: Timed[] = [];
  readonly #skips = new Map<string, number>();
  readonly #failures: string[] = [];
  #passed = 0;
  #failed = 0;
  #skipped = 0;

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  get ok(): boolean {
    return this.#failed === 0 && this.#passed + this.#skipped > 0;
  }

  passed(event: EventData.TestPass): void {
    if (event.details.type === "suite") return;
    if (event.skip !== undefined || event.todo !== undefined) {
      this.#skip(event.skip ?? TODO);
    } else {
      this.#passed += 1;
      this.#durations.push({ title: title(event), ms: event.details.duration_ms });
    }
  }

  failed(event: EventData.TestFail): void {
    if (event.todo !== undefined) {
      this.#skip(TODO);
      return;
    }
    // A suite, or a test around others, fails because of what is inside; that was reported already.
    const { error } = event.details;
    if ("failureType" in error && error.failureType === "subtestsFailed") return;
    this.#failed += 1;
    this.#failures.push(title(event));
    this.#say(`FAILED  ${title(event)}\n${describeFailure(error)}`);
  }

  #skip(why: string | boolean): void {
    const reason = typeof why === "string" && why !== "" ? why : "no reason given";
    this.#skipped += 1;
    this.#skips.set(reason, (this.#skips.get(reason) ?? 0) + 1);
  }

  fileEnded(file: string, counts: EventData.TestSummary["counts"], ms: number): void {
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
    const failed = counts.passed + counts.skipped + counts.todo < counts.tests ? ", FAILED" : "";
    this.#say(`${file}  ${counts.passed} passed${skipped}${failed}  ${duration(ms)}`);
  }

  print(): void {
    if (this.#durations.length > 0) {
      this.#say(`\nThe ${Math.min(SLOWEST, this.#durations.length)} slowest tests:`);
      const slowest = this.#durations.toSorted((a, b) => b.ms - a.ms).slice(0, SLOWEST);
      for (const { title, ms } of slowest) this.#say(`  ${duration(ms).padStart(8)}  ${title}`);
    }
    if (this.#skips.size > 0) {
      this.#say("\nSkipped:");
      for (const [reason, count] of this.#skips) this.#say(`  ${count} x ${reason}`);
    }
    if (this.#failures.length > 0) {
      this.#say("\nFailed:");
      for (const failure of this.#failures) this.#say(`  ${failure}`);
    }
    this.#say(`\n${this.#passed} passed, ${this.#failed} failed, ${this.#skipped} skipped`);
  }
}

/** A test that threw has the error as its cause; a file that died has an exit code or a signal. */
function describeFailure(error: Error & { cause?: unknown; exitCode?: number; signal?: string }): string {
  if (error.signal) return `    the file was ended by ${error.signal}`;
  if (error.exitCode) return `    the file ended with exit code ${error.exitCode}`;
  return describeError(error.cause ?? error);
}

export function describeError(error: unknown): string {
  const text = (error instanceof Error ? (error.stack ?? String(error)) : inspect(error))
    .split("\n")
    .filter((line) => !/^\s+at .*\bnode:internal\//.test(line))
    .join("\n");
  return text.replaceAll(/^/gm, "    ");
}

function title(event: { name: string; file?: string }): string {
  return event.file === undefined || event.name === event.file
    ? relative(ROOT, event.name)
    : `${relative(ROOT, event.file)}: ${event.name}`;
}

function duration(ms: number): string {
  return ms < 1000 ? `${Math.ceil(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
