import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../src/base/counters.ts";
import { Flusher } from "../../../src/transport/flusher.ts";
import { outputMemory } from "../../../src/transport/output-buffers.ts";

test("a link may read 256 KiB in a turn, 64 when many read, and their share of 1 MiB between", () => {
  const flusher = new Flusher(1024 * 1024, outputMemory(1), new Counters());
  for (const [readers, kib] of [
    [0, 256],
    [1, 256],
    [4, 256],
    [8, 128],
    [16, 64],
    [1000, 64],
    [1, 256],
  ] as const) {
    flusher.readers = readers;
    flusher.endTurn();
    assert.equal(flusher.readBudgetBytes, kib * 1024, `${readers} readers`);
    assert.equal(flusher.readers, 0);
  }
});
