import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fits } from "../../../src/config/budget.ts";
import { load } from "../../../src/config/load.ts";
import { memoryBill } from "../../../src/gateway/bill.ts";

const README = readFileSync(join(import.meta.dirname, "../../../README.md"), "utf8");

test("every configuration in README.md is one, and fits in the memory it allows", async () => {
  const blocks = [...README.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = ""]) => text);
  assert.ok(blocks.length >= 8, `${blocks.length} blocks`);
  for (const text of blocks) {
    const { config, complaints } = load(text, { directory: "/none", checkFiles: false });
    assert.deepEqual(complaints, [], text);
    assert.ok(config !== null);
    // Files of passwords, rights and keys would have to be there.
    const auth = { ...config.auth, passwordFile: null, aclFile: null };
    const listeners = config.listeners.map((listener) => {
      const { coap } = listener;
      if (coap?.dtls == null) return listener;
      return { ...listener, coap: { ...coap, dtls: { ...coap.dtls, pskFile: null } } };
    });
    const bill = await memoryBill({ ...config, auth, listeners });
    assert.ok(fits(bill, config.memoryLimitBytes), text);
  }
});
