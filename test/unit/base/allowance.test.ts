import assert from "node:assert/strict";
import { test } from "node:test";
import { Allowance } from "../../../src/base/allowance.ts";

test("takes up to its limit, exactly, and again what was given back", () => {
  const allowance = new Allowance(10);
  assert.equal(allowance.take(10), true);
  assert.equal(allowance.take(1), false);
  assert.equal(allowance.used, 10);
  allowance.give(4);
  assert.equal(allowance.take(5), false);
  assert.equal(allowance.take(4), true);
});

test("an account within another takes from both, and neither goes beyond its limit", () => {
  const all = new Allowance(10);
  const part = new Allowance(6, all);
  assert.equal(part.take(7), false);
  assert.equal(all.take(5), true);
  assert.equal(part.take(6), false);
  assert.deepEqual([part.used, all.used], [0, 5]);
  assert.equal(part.take(5), true);
  assert.equal(all.take(1), false);
  part.give(2);
  assert.equal(all.take(2), true);
  part.takeAnyway(9);
  assert.deepEqual([part.used, all.used], [12, 19]);
});

test("what is there already is taken anyway", () => {
  const allowance = new Allowance(1);
  allowance.takeAnyway(5);
  assert.equal(allowance.used, 5);
  assert.equal(allowance.take(1), false);
  allowance.give(5);
  assert.equal(allowance.take(1), true);
});
