// The table of statements and the tests agree; and the judge that says so does not let anything through.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { judge } from "./judge.ts";
import type { Statement } from "./statement.ts";

const A: Statement = { id: "MQTT5-1.5.4-1", words: "a" };
const B: Statement = { id: "MQTT311-1.5.3-1", words: "b" };

function complaintsOf(statements: Statement[], ...titles: string[]): readonly string[] {
  return judge([{ name: "1", statements }], new Map([["x.test.ts", titles]])).complaints;
}

test("every statement of the table has a test or a reason, and every id in a title is in the table", () => {
  const run = spawnSync(process.execPath, [join(import.meta.dirname, "coverage.ts")], {
    encoding: "utf8",
    env: { ...process.env, NODE_TEST_CONTEXT: "" },
  });
  process.stdout.write(run.stdout);
  assert.equal(run.status, 0, `${run.stdout}${run.stderr}`);
});

test("a statement that a title names is tested, also beside others", () => {
  assert.deepEqual(complaintsOf([A, B], `[${B.id}] [${A.id}] both`), []);
  const { sections } = judge([{ name: "1", statements: [A] }], new Map([["x.test.ts", [`[${A.id}] it`]]]));
  assert.deepEqual(sections, [{ name: "1", statements: 1, tested: 1, untestable: 0 }]);
});

test("a statement with a reason needs no test", () => {
  assert.deepEqual(complaintsOf([{ ...A, untestable: "it is inside" }]), []);
});

test("a statement with neither is a complaint; the same number in the other version does not help", () => {
  assert.deepEqual(complaintsOf([A], "[MQTT5-1.5.4-1 no bracket", `(${A.id}) round`), [
    `${A.id} has neither a test nor a reason`,
  ]);
  assert.match(complaintsOf([A], "[MQTT311-1.5.4-1] other version").join(), /MQTT5-1\.5\.4-1 has neither/);
});

test("a statement with both, and an id that the table does not know, are complaints", () => {
  assert.match(complaintsOf([{ ...A, untestable: "why" }], `[${A.id}] x`).join(), /a reason and a test/);
  assert.match(complaintsOf([A], `[${A.id}] x`, "[MQTT5-9.9.9-9] y").join(), /MQTT5-9\.9\.9-9 is not in the table/);
});

test("an id twice, a malformed id, no words and an empty reason are complaints", () => {
  assert.match(complaintsOf([A, A], `[${A.id}] x`).join(), /twice/);
  assert.match(complaintsOf([{ id: "MQTT-1.5.4-1", words: "a", untestable: "b" }]).join(), /not an id/);
  assert.match(complaintsOf([{ id: B.id, words: " ", untestable: "b" }]).join(), /no words/);
  assert.match(complaintsOf([{ ...B, untestable: "" }]).join(), /empty reason/);
});

test("a statement that was lost from the table is a complaint", () => {
  const titles = new Map([["x.test.ts", [`[${A.id}] [${B.id}] it`]]]);
  const table = [{ name: "1", statements: [A, B] }];
  assert.deepEqual(judge(table, titles, { MQTT5: 1, MQTT311: 1 }).complaints, []);
  assert.match(judge(table, titles, { MQTT5: 2, MQTT311: 1 }).complaints.join(), /MQTT5 has 2 statements, the table 1/);
});
