import assert from "node:assert/strict";
import { test } from "node:test";
import { sniffedLine } from "../../../../src/cli/sniff/options.ts";

test("a framing whose brace is not closed is said to be just that, and not to hide the port", () => {
  const framing = "{type: fixed, bytes: 7";
  assert.throws(() => sniffedLine("/dev/a", { framing, check: "xor8" }), {
    message: `--framing ${framing} is no YAML: are all braces and quotes closed?`,
  });
  const { framing: read, check } = sniffedLine("/dev/a", { framing: `${framing}}`, check: "xor8" });
  assert.deepEqual([read.type, check?.type], ["fixed", "xor8"]);
});
