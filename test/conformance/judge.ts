/** Compares a table of statements with the titles of the tests: what is covered, and every way in which they disagree. */
import { type Family, ID, idsIn, type Section, type Statement } from "./statement.ts";

export interface SectionCount {
  readonly name: string;
  readonly statements: number;
  readonly tested: number;
  readonly untestable: number;
  /** They bind others. */
  readonly others: number;
  readonly unmet: number;
}

export interface Verdict {
  readonly sections: readonly SectionCount[];
  /** Sentences; the coverage is whole when there are none. */
  readonly complaints: readonly string[];
}

/** What a statement may have in the place of a test. */
const REASONS = ["untestable", "binds", "unmet"] as const;

/**
 * @param titles of all tests that would run, by file
 * @param totals statements that each specification has, by the first part of their ids
 */
export function judge(
  family: Family,
  table: readonly Section[],
  titles: ReadonlyMap<string, readonly string[]>,
  totals: Readonly<Record<string, number>> = {},
): Verdict {
  const complaints: string[] = [];
  const named = new Map<string, string>();
  for (const [file, list] of titles) {
    for (const title of list) for (const id of idsIn(title, family)) named.set(id, file);
  }
  const known = new Set<string>();
  const sections: SectionCount[] = [];
  for (const { name, statements } of table) {
    for (const statement of statements) {
      complaints.push(...complaintsAbout(statement, family, known, named.get(statement.id)));
      known.add(statement.id);
    }
    const having = (reason: (typeof REASONS)[number]) => statements.filter((one) => one[reason] !== undefined).length;
    sections.push({
      name,
      statements: statements.length,
      tested: statements.filter(({ id }) => named.has(id)).length,
      untestable: having("untestable"),
      others: having("binds"),
      unmet: having("unmet"),
    });
  }
  for (const [id, file] of named) {
    if (!known.has(id)) complaints.push(`${id} is not in the table; a title in ${file} names it`);
  }
  for (const [document, count] of Object.entries(totals)) {
    const found = [...known].filter((id) => id.startsWith(`${document}-`)).length;
    if (found !== count) complaints.push(`${document} has ${count} statements, the table ${found}`);
  }
  return { sections, complaints };
}

/** @param file of the test that names it */
function complaintsAbout(
  statement: Statement,
  family: Family,
  known: ReadonlySet<string>,
  file: string | undefined,
): string[] {
  const { id, words } = statement;
  const complaints: string[] = [];
  if (!ID.test(id) || !id.startsWith(family)) {
    complaints.push(`${id} is not an id: ${family}<document>-<section>-<n>`);
  }
  if (known.has(id)) complaints.push(`${id} stands twice in the table`);
  if (words.trim() === "") complaints.push(`${id} has no words`);
  const reasons = REASONS.map((reason) => statement[reason]).filter((reason) => reason !== undefined);
  if (file === undefined && reasons.length === 0) complaints.push(`${id} has neither a test nor a reason`);
  if (file !== undefined && reasons.length > 0) complaints.push(`${id} has a reason and a test: ${file}`);
  if (reasons.length > 1) complaints.push(`${id} has ${reasons.length} reasons`);
  if (reasons.some((reason) => reason.trim() === "")) complaints.push(`${id} has an empty reason`);
  return complaints;
}

/** Cases of others' test suites, by their ids: each is shown when a title names it, and none is named that there is not. */
export function complaintsAboutCases(
  cases: readonly string[],
  titles: ReadonlyMap<string, readonly string[]>,
  pattern: RegExp,
): string[] {
  const named = new Set([...titles.values()].flat().flatMap((title) => title.match(pattern) ?? []));
  return [
    ...cases.filter((id) => !named.has(id)).map((id) => `${id} has no test`),
    ...[...named].filter((id) => !cases.includes(id)).map((id) => `${id} is not a case`),
  ];
}
