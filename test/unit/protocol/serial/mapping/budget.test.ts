// What a mapping takes at its worst, against its line in the memory bill.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ManualClock } from "../../../../../src/base/clock.ts";
import { Counters } from "../../../../../src/base/counters.ts";
import { Log } from "../../../../../src/base/log.ts";
import { totalBytes } from "../../../../../src/config/budget.ts";
import { load } from "../../../../../src/config/load.ts";
import type { FramesLineConfig } from "../../../../../src/config/serial.ts";
import { MAPPED_FRAME_BYTES_MAX, SEPARATORS_MAX } from "../../../../../src/config/serial-publish.ts";
import { STORED_LATER } from "../../../../../src/core/router.ts";
import { budget, HEADER_FACTOR, JSON_FACTOR } from "../../../../../src/protocol/serial/mapping/budget.ts";
import { FrameView } from "../../../../../src/protocol/serial/mapping/frame-view.ts";
import { Mapping } from "../../../../../src/protocol/serial/mapping/mapping.ts";
import { budget as lineBudget } from "../../../../../src/protocol/serial/serial-line.ts";
import { Harness } from "../harness.ts";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

const COPIES = 64;

/** Heap that what `make` gives takes, of each copy. */
function heapBytesOf(make: (i: number) => unknown): number {
  for (let i = 0; i < 3; i++) make(i); // hidden classes, code
  gc();
  const before = process.memoryUsage().heapUsed;
  const kept = Array.from({ length: COPIES }, (_, i) => make(i));
  gc();
  const bytes = (process.memoryUsage().heapUsed - before) / COPIES;
  assert.equal(kept.length, COPIES);
  return bytes;
}

function filled(open: string, item: (i: number) => string, close: string): string {
  let text = open;
  for (let i = 0; text.length + item(i).length + 1 < MAPPED_FRAME_BYTES_MAX; i++)
    text += `${i === 0 ? "" : ","}${item(i)}`;
  return text + close;
}

const DOCUMENTS: readonly [name: string, text: string][] = [
  ["empty arrays", filled("[", () => "[]", "]")],
  ["empty objects", filled("[", () => "{}", "]")],
  ["objects with keys of their own", filled("[", (i) => `{"K${i.toString(36)}":0}`, "]")],
  ["an object of many keys", filled("{", (i) => `"K${i.toString(36)}":0`, "}")],
  ["objects as values", filled("{", (i) => `"${i.toString(36)}":{}`, "}")],
  ["arrays by an index", filled("[", () => '{"9":0}', "]")],
  ["numbers that are kept as they are written", filled("[", () => "1e999", "]")],
  ["texts", filled("[", (i) => `"${i.toString(36)}"`, "]")],
];

for (const [name, text] of DOCUMENTS) {
  test(`a frame of JSON takes no more than the bill says: ${name}`, (t) => {
    const bytes = heapBytesOf((i) => {
      const frame = new FrameView();
      frame.open(Buffer.from(text.replaceAll("K", i.toString(36))));
      return frame.json;
    });
    t.diagnostic(`${(bytes / text.length).toFixed(1)} B a byte`);
    assert.ok(bytes <= JSON_FACTOR * MAPPED_FRAME_BYTES_MAX, `${bytes} B`);
  });
}

test("a header takes no more than the bill says, by every separator that a line may have", () => {
  const separators = [",", ";", "|", "\t"];
  assert.equal(separators.length, SEPARATORS_MAX);
  const bytes = heapBytesOf((i) => {
    const frame = new FrameView();
    const names = Array.from({ length: MAPPED_FRAME_BYTES_MAX / 8 }, (_, n) =>
      `${(i * 1000 + n) % 1e7}`.padStart(7, "n"),
    );
    frame.open(Buffer.from(names.map((name, n) => `${name}${separators[n % 4]}`).join("")));
    frame.keepHeader();
    for (const separator of separators) assert.equal(frame.columnNamed("none", separator), -1);
    frame.close();
    return frame;
  });
  assert.ok(bytes <= HEADER_FACTOR * MAPPED_FRAME_BYTES_MAX, `${bytes} B`);
});

test("what a line holds of its frames while the store takes none is within its lines of the bill", async () => {
  const entries = Array.from({ length: 16 }, (_, i) => `{topic: "t/${i}", format: hex}`).join(", ");
  const { config, complaints } = load(`serial: [{port: /dev/a, publish: [${entries}]}]`, {
    directory: "/",
    checkFiles: false,
  });
  assert.deepEqual(complaints, []);
  const line = config?.serial[0] as FramesLineConfig;
  assert.ok(config !== null && line.mapping !== null);
  const log = new Log({ level: "error", format: "text", write: () => {} });
  const parts = { name: "a", clock: new ManualClock(), counters: new Counters(), log, limits: config.limits };
  const h = new Harness({ publish: new Mapping(line.mapping, parts) });
  h.outcome = STORED_LATER;
  gc();
  const before = process.memoryUsage().arrayBuffers;
  const frame = Buffer.from(`${"x".repeat(MAPPED_FRAME_BYTES_MAX - 1)}\n`);
  for (; !h.device.paused; h.published.length = 0) h.line.onData(frame);
  gc();
  await new Promise(setImmediate); // memory of Buffers is given back behind the collection
  gc();
  const held = process.memoryUsage().arrayBuffers - before;
  const bill = totalBytes([...lineBudget(config.limits, [line]), ...budget(config.limits, [line.mapping])]);
  assert.ok(held > 2 * 16 * (MAPPED_FRAME_BYTES_MAX - 1), `${held} B are held`);
  assert.ok(held <= bill, `${held} B held, ${bill} B billed`);
});
