// node test/conformance/mqtt/coverage.ts: prints, per section of the specifications, how many statements there are, how
// many have a test, and how many cannot be tested from outside; exits 1 when a statement has neither.
import { judge, type SectionCount } from "./judge.ts";
import { TABLE, TOTALS } from "./table.ts";
import { loadTitles } from "./titles.ts";

const { sections, complaints } = judge(TABLE, await loadTitles(), TOTALS);
const total: SectionCount = {
  name: "all",
  statements: sum((section) => section.statements),
  tested: sum((section) => section.tested),
  untestable: sum((section) => section.untestable),
};
const lines = [...sections, total].map(
  ({ name, statements, tested, untestable }) =>
    `${name.padEnd(46)} ${cell(statements)} statements ${cell(tested)} tested ${cell(untestable)} untestable`,
);
process.stdout.write(`${[...lines, ...complaints].join("\n")}\n`);
// What a test file opened when it was loaded (a timer, a server) must not keep this process.
process.exit(complaints.length === 0 ? 0 : 1);

function sum(of: (section: SectionCount) => number): number {
  return sections.reduce((count, section) => count + of(section), 0);
}

function cell(count: number): string {
  return String(count).padStart(4);
}
