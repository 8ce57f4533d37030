/** Compares the table of statements with the titles of the tests: what is covered, and every way in which they disagree. */
import { ID, idsIn, type Section } from "./statement.ts";

export interface SectionCount {
  readonly name: string;
  readonly statements: number;
  readonly tested: number;
  readonly untestable: number;
}

export interface Verdict {
  readonly sections: readonly SectionCount[];
  /** Sentences; the coverage is whole when there are none. */
  readonly complaints: readonly string[];
}

/**
 * @param titles of all tests that would run, by file
 * @param totals statements that each specification has, by the first part of their ids
 */
export function judge(
  table: readonly Section[],
  titles: ReadonlyMap<string, readonly string[]>,
  totals: Readonly<Record<string, number>> = {},
): Verdict {
  const complaints: string[] = [];
  const named = new Map<string, string>();
  for (const [file, list] of titles) for (const title of list) for (const id of idsIn(title)) named.set(id, file);
  const known = new Set<string>();
  const sections: SectionCount[] = [];
  for (const { name, statements } of table) {
    let tested = 0;
    let untestable = 0;
    for (const { id, words, untestable: reason } of statements) {
      if (!ID.test(id)) complaints.push(`${id} is not an id: MQTT311-<section>-<n> or MQTT5-<section>-<n>`);
      if (known.has(id)) complaints.push(`${id} stands twice in the table`);
      if (words.trim() === "") complaints.push(`${id} has no words`);
      known.add(id);
      const file = named.get(id);
      if (file !== undefined) tested++;
      if (reason !== undefined) untestable++;
      if (file === undefined && reason === undefined) complaints.push(`${id} has neither a test nor a reason`);
      if (file !== undefined && reason !== undefined) complaints.push(`${id} has a reason and a test: ${file}`);
      if (reason?.trim() === "") complaints.push(`${id} has an empty reason`);
    }
    sections.push({ name, statements: statements.length, tested, untestable });
  }
  // While the table is being filled, only the tests made for it are held to it.
  for (const [id, file] of named)
    if (!known.has(id)) complaints.push(`${id} is not in the table; a title in ${file} names it`);
  for (const [prefix, count] of Object.entries(totals)) {
    const found = [...known].filter((id) => id.startsWith(`${prefix}-`)).length;
    if (found !== count) complaints.push(`${prefix} has ${count} statements, the table ${found}`);
  }
  return { sections, complaints };
}
