// RFC 7959 section 7: blocks of what a client may not read or write.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { sluice } from "../../support/gateway-process.ts";
import { blockValue, Option } from "./bytes.ts";
import { get, product, put } from "./harness.ts";

const LOGIN = "username=anna&password=secret";
const VALUE = "a value of anna's that takes several blocks of sixteen bytes each";

const gateway = product(async (folder) => {
  const passwords = join(folder, "passwd");
  const acl = join(folder, "acl");
  writeFileSync(passwords, "", { mode: 0o600 });
  assert.equal((await sluice(["passwd", passwords, "anna", "--stdin"], "secret\n")).code, 0);
  writeFileSync(acl, "topic readwrite open/#\nuser anna\ntopic readwrite anna/#\n");
  return { auth: { anonymous: "always", password_file: passwords, acl_file: acl } };
});

test("[RFC7959-7-1] every block of a value is under the same rights as the whole, read and written", async (t) => {
  const raw = await gateway.open(t);
  assert.match((await raw.ask(put(`/ps/anna/value?retain=true&${LOGIN}`, VALUE))).code, /^2\.0[14]$/);
  for (let num = 0; num < 5; num++) {
    const block = [Option.Block2, blockValue(num, false, 0)] as const;
    assert.equal((await raw.ask(get("/ps/anna/value", block))).code, "4.03", `block ${num}`);
    assert.equal((await raw.ask(get(`/ps/anna/value?${LOGIN}`, block))).code, "2.05", `block ${num}`);
    assert.equal((await raw.ask(get("/ps/anna/value?username=anna&password=wrong", block))).code, "4.01");
  }
  const subscriber = await gateway.subscriber(t, "open/#");
  for (let num = 0; num < 3; num++) {
    const block = [Option.Block1, blockValue(num, num < 2, 0)] as const;
    assert.equal((await raw.ask(put("/ps/anna/upload", VALUE.slice(16 * num, 16 * num + 16), block))).code, "4.03");
  }
  assert.equal((await raw.ask(put("/ps/open/end", "end"))).code, "2.04");
  assert.deepEqual(
    (await subscriber.take(1)).map(({ payload }) => payload),
    ["end"],
  );
});

test("[RFC7959-7-2] blocks without a login do not get into the payload of one with it, from the same endpoint either", async (t) => {
  const raw = await gateway.open(t);
  const block = (num: number) => [Option.Block1, blockValue(num, num < 2, 0)] as const;
  const part = (num: number, word: string) => Buffer.from(word.repeat(16)).subarray(0, num < 2 ? 16 : 8);
  const own = (num: number) => raw.ask(put(`/ps/anna/mixed?retain=true&${LOGIN}`, part(num, "a"), block(num)));
  const other = (num: number) => raw.ask(put("/ps/anna/mixed?retain=true", part(num, "x"), block(num)));
  assert.equal((await own(0)).code, "2.31");
  assert.match((await other(0)).code, /^4\.0[13]$/);
  assert.equal((await own(1)).code, "2.31");
  assert.match((await other(2)).code, /^4\.0[138]$/);
  assert.match((await own(2)).code, /^2\.0[14]$/);
  assert.equal((await raw.ask(get(`/ps/anna/mixed?${LOGIN}`))).payload.toString(), "a".repeat(40));
});
