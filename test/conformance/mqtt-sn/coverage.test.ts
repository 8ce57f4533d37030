// The table of statements and the tests agree.
import { join } from "node:path";
import { test } from "node:test";
import { assertCovered } from "../coverage-run.ts";

test("every statement of MQTT-SN has a test or a reason, and every id in a title is in the table", () => {
  assertCovered(join(import.meta.dirname, "coverage.ts"));
});
