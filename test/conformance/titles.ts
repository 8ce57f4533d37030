/** The titles of all tests under test/, by loading the files with `recorder.ts` in the place of node:test. */
import { readdirSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { takeTitles } from "./recorder.ts";
import type { Family } from "./statement.ts";

const TESTS = resolve(import.meta.dirname, "..");
const RECORDER = pathToFileURL(join(import.meta.dirname, "recorder.ts")).href;

/**
 * Only for a process of its own: from now on node:test is the recorder here.
 * @param folder under test/ whose files are all loaded; elsewhere those that name a statement
 */
export async function loadTitles(family: Family, folder: string): Promise<Map<string, string[]>> {
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "node:test" ? { url: RECORDER, shortCircuit: true } : next(specifier, context),
  });
  const titles = new Map<string, string[]>();
  const files = readdirSync(TESTS, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".test.ts"));
  for (const file of files.sort().filter((name) => mayNameStatements(name, family, folder))) {
    await import(pathToFileURL(join(TESTS, file)).href);
    titles.set(file, takeTitles());
  }
  return titles;
}

/** A file that names a statement holds the beginning of its id, or imports what does (tables of vectors). */
function mayNameStatements(file: string, family: Family, folder: string): boolean {
  if (file.startsWith("conformance/") && file.endsWith("coverage.test.ts")) return false;
  if (file.startsWith(`${folder}/`)) return true;
  const text = readFileSync(join(TESTS, file), "utf8");
  return text.includes(`[${family}`) || text.includes("vectors.ts");
}
