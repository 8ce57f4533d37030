import assert from "node:assert/strict";
import { test } from "node:test";
import { Allowance } from "../../../src/base/allowance.ts";
import { InboundIds } from "../../../src/core/inbound-ids.ts";

const BITMAP = 8192;

test("up to 32 ids take nothing, more take a bitmap, and none gives it back", () => {
  const memory = new Allowance(BITMAP);
  const ids = new InboundIds(memory);
  for (let id = 1; id <= 32; id++) {
    assert.ok(ids.hasRoom());
    ids.add(id);
  }
  assert.equal(memory.used, 0);
  for (let id = 33; id <= 5000; id++) {
    assert.ok(ids.hasRoom());
    ids.add(id);
  }
  assert.equal(memory.used, BITMAP);
  assert.equal(ids.size, 5000);
  assert.deepEqual([...ids].slice(0, 3), [1, 2, 3]);
  for (let id = 1; id <= 5000; id++) assert.ok(ids.delete(id));
  assert.equal(memory.used, 0);
  assert.equal(ids.delete(1), false);
});

test("without memory there is room for 32 ids, and an end gives back what was taken", () => {
  const memory = new Allowance(BITMAP);
  const [one, two] = [new InboundIds(memory), new InboundIds(memory)];
  for (const ids of [one, two]) for (let id = 1; id <= 32; id++) ids.add(id);
  assert.ok(one.hasRoom());
  one.add(33);
  assert.equal(two.hasRoom(), false);
  one.end();
  assert.equal(memory.used, 0);
  assert.ok(two.hasRoom());
});

test("what a restart finds is kept, whatever the limit says", () => {
  const memory = new Allowance(10);
  const ids = new InboundIds(memory);
  for (let id = 1; id <= 100; id++) ids.add(id);
  assert.equal(ids.size, 100);
  assert.equal(memory.used, BITMAP);
  assert.ok(ids.hasRoom());
});
