/** Prints, per section, how many statements there are and what they have; then the complaints. */
import { complaintsAboutCases, judge, type SectionCount } from "./judge.ts";
import type { Family, Section } from "./statement.ts";
import { loadTitles } from "./titles.ts";

const COLUMNS = ["statements", "tested", "untestable", "others", "unmet"] as const;
const HEADS: Readonly<Record<(typeof COLUMNS)[number], string>> = {
  statements: "statements",
  tested: "tested",
  untestable: "untestable",
  others: "bind others",
  unmet: "not met",
};

/** Ids of the cases of a test suite that others wrote. */
export interface Suite {
  readonly name: string;
  readonly cases: readonly string[];
  /** Finds them in titles; global. */
  readonly pattern: RegExp;
}

/** Ends this process: with 1 when there is a complaint. @param folder under test/ with the tests made for the table */
export async function report(
  family: Family,
  folder: string,
  table: readonly Section[],
  totals: Readonly<Record<string, number>>,
  suite: Suite | null = null,
): Promise<never> {
  const titles = await loadTitles(family, folder);
  const { sections, complaints: found } = judge(family, table, titles, totals);
  const missing = suite === null ? [] : complaintsAboutCases(suite.cases, titles, suite.pattern);
  const complaints = [...found, ...missing];
  const all = { name: "all", ...sumsOf(sections) };
  // A column that is empty everywhere is left out.
  const columns = COLUMNS.filter((column) => all[column] > 0);
  const lines = [...sections, all].map(
    (section) =>
      `${section.name.padEnd(46)}${columns.map((column) => ` ${String(section[column]).padStart(4)} ${HEADS[column]}`).join("")}`,
  );
  if (suite !== null) lines.push(`${suite.name.padEnd(46)} ${String(suite.cases.length).padStart(4)} cases`);
  process.stdout.write(`${[...lines, ...complaints].join("\n")}\n`);
  // What a test file opened when it was loaded (a timer, a server) must not keep this process.
  process.exit(complaints.length === 0 ? 0 : 1);
}

function sumsOf(sections: readonly SectionCount[]): Omit<SectionCount, "name"> {
  const sum = (column: (typeof COLUMNS)[number]) => sections.reduce((count, section) => count + section[column], 0);
  return {
    statements: sum("statements"),
    tested: sum("tested"),
    untestable: sum("untestable"),
    others: sum("others"),
    unmet: sum("unmet"),
  };
}
