/** The titles of all tests under test/, by loading the files with `recorder.ts` in the place of node:test. */
import { readdirSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { takeTitles } from "./recorder.ts";

const TESTS = resolve(import.meta.dirname, "../..");
const HERE = "conformance/mqtt/";
const RECORDER = pathToFileURL(join(import.meta.dirname, "recorder.ts")).href;

/** Only for a process of its own: from now on node:test is the recorder here. */
export async function loadTitles(): Promise<Map<string, string[]>> {
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "node:test" ? { url: RECORDER, shortCircuit: true } : next(specifier, context),
  });
  const titles = new Map<string, string[]>();
  const files = readdirSync(TESTS, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".test.ts"));
  for (const file of files.sort().filter(mayNameStatements)) {
    await import(pathToFileURL(join(TESTS, file)).href);
    titles.set(file, takeTitles());
  }
  return titles;
}

/** Elsewhere a file that names a statement holds the beginning of its id, or imports what does (tables of vectors). */
function mayNameStatements(file: string): boolean {
  if (file.startsWith(HERE)) return file !== `${HERE}coverage.test.ts`;
  const text = readFileSync(join(TESTS, file), "utf8");
  return text.includes("[MQTT") || text.includes("vectors.ts");
}
