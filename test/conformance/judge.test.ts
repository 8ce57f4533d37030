// The judge of the tables does not let anything through.
import assert from "node:assert/strict";
import { test } from "node:test";
import { complaintsAboutCases, judge } from "./judge.ts";
import type { Statement } from "./statement.ts";

const A: Statement = { id: "MQTT5-1.5.4-1", words: "a" };
const B: Statement = { id: "MQTT311-1.5.3-1", words: "b" };
const C: Statement = { id: "RFC7252-3-1", words: "c" };

function complaintsOf(statements: Statement[], ...titles: string[]): readonly string[] {
  return judge("MQTT", [{ name: "1", statements }], new Map([["x.test.ts", titles]])).complaints;
}

test("a statement that a title names is tested, also beside others", () => {
  assert.deepEqual(complaintsOf([A, B], `[${B.id}] [${A.id}] both`), []);
  const { sections } = judge("MQTT", [{ name: "1", statements: [A] }], new Map([["x.test.ts", [`[${A.id}] it`]]]));
  assert.deepEqual(sections, [{ name: "1", statements: 1, tested: 1, untestable: 0, others: 0, unmet: 0 }]);
});

test("a statement with a reason, of whichever kind, needs no test and is counted under it", () => {
  const table = [
    { ...A, untestable: "it is inside" },
    { ...B, binds: "clients" },
    { id: "MQTT5-1.5.4-2", words: "d", unmet: "not built" },
  ];
  assert.deepEqual(complaintsOf(table), []);
  const { sections } = judge("MQTT", [{ name: "1", statements: table }], new Map());
  assert.deepEqual(sections, [{ name: "1", statements: 3, tested: 0, untestable: 1, others: 1, unmet: 1 }]);
});

test("a statement with neither is a complaint; the same number in another document does not help", () => {
  assert.deepEqual(complaintsOf([A], "[MQTT5-1.5.4-1 no bracket", `(${A.id}) round`), [
    `${A.id} has neither a test nor a reason`,
  ]);
  assert.match(complaintsOf([A], "[MQTT311-1.5.4-1] other version").join(), /MQTT5-1\.5\.4-1 has neither/);
});

test("a statement with both, with two reasons, and an id that the table does not know, are complaints", () => {
  assert.match(complaintsOf([{ ...A, untestable: "why" }], `[${A.id}] x`).join(), /a reason and a test/);
  assert.match(complaintsOf([{ ...A, unmet: "why" }], `[${A.id}] x`).join(), /a reason and a test/);
  assert.match(complaintsOf([{ ...A, unmet: "why", binds: "clients" }]).join(), /has 2 reasons/);
  assert.match(complaintsOf([A], `[${A.id}] x`, "[MQTT5-9.9.9-9] y").join(), /MQTT5-9\.9\.9-9 is not in the table/);
  assert.match(complaintsOf([A], `[${A.id}] x`, "[MQTT6-1-1] y").join(), /MQTT6-1-1 is not in the table/);
});

test("an id twice, a malformed id, no words and an empty reason are complaints", () => {
  assert.match(complaintsOf([A, A], `[${A.id}] x`).join(), /twice/);
  assert.match(complaintsOf([{ id: "MQTT-1.5.4-1", words: "a", untestable: "b" }]).join(), /not an id/);
  assert.match(complaintsOf([{ ...C, untestable: "b" }]).join(), /not an id/);
  assert.match(complaintsOf([{ id: B.id, words: " ", untestable: "b" }]).join(), /no words/);
  assert.match(complaintsOf([{ ...B, untestable: "" }]).join(), /empty reason/);
});

test("the ids of another family are not this table's to judge", () => {
  const titles = new Map([["x.test.ts", [`[${A.id}] [${C.id}] both`]]]);
  assert.deepEqual(judge("MQTT", [{ name: "1", statements: [A] }], titles).complaints, []);
  assert.deepEqual(judge("RFC", [{ name: "1", statements: [C] }], titles, { RFC7252: 1 }).complaints, []);
  assert.match(judge("RFC", [], titles).complaints.join(), /RFC7252-3-1 is not in the table/);
});

test("a statement that was lost from the table is a complaint", () => {
  const titles = new Map([["x.test.ts", [`[${A.id}] [${B.id}] it`]]]);
  const table = [{ name: "1", statements: [A, B] }];
  assert.deepEqual(judge("MQTT", table, titles, { MQTT5: 1, MQTT311: 1 }).complaints, []);
  const lost = judge("MQTT", table, titles, { MQTT5: 2, MQTT311: 1 }).complaints;
  assert.match(lost.join(), /MQTT5 has 2 statements, the table 1/);
});

test("a case of a suite without a test, and one in a title that the suite does not have, are complaints", () => {
  const titles = new Map([["x.test.ts", ["TD_A_01 TD_A_02 both", "TD_A_04 this"]]]);
  assert.deepEqual(complaintsAboutCases(["TD_A_01", "TD_A_02", "TD_A_03"], titles, /TD_A_\d\d/g), [
    "TD_A_03 has no test",
    "TD_A_04 is not a case",
  ]);
});
