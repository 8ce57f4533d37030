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

test("what is there already is taken anyway", () => {
  const allowance = new Allowance(1);
  allowance.takeAnyway(5);
  assert.equal(allowance.used, 5);
  assert.equal(allowance.take(1), false);
  allowance.give(5);
  assert.equal(allowance.take(1), true);
});
