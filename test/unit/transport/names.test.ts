import assert from "node:assert/strict";
import type { LookupAddress } from "node:dns";
import { test } from "node:test";
import { addressesOf, keepAddresses } from "../../../src/transport/names.ts";

const OLD = [{ address: "192.0.2.1", family: 4 }];
const NEW = [{ address: "192.0.2.2", family: 4 }];

function failing(code: string): () => Promise<LookupAddress[]> {
  return () => Promise.reject(Object.assign(new Error(code), { code }));
}

test("what the resolver says now is taken", async () => {
  keepAddresses("cloud.example", OLD);
  const found = await addressesOf("cloud.example", true, undefined, () => Promise.resolve(NEW));
  assert.deepEqual(found, { addresses: NEW, stale: false });
});

test("while the resolver does not answer, or cannot, the addresses of before serve, if whoever is there proves who it is", async () => {
  keepAddresses("cloud.example", OLD);
  const stale = { addresses: OLD, stale: true };
  assert.deepEqual(await addressesOf("cloud.example", true, undefined, failing("EAI_AGAIN")), stale);
  await assert.rejects(addressesOf("cloud.example", false, undefined, failing("EAI_AGAIN")), { code: "EAI_AGAIN" });
  await assert.rejects(addressesOf("other.example", true, undefined, failing("EAI_AGAIN")), { code: "EAI_AGAIN" });
  let answer: (addresses: LookupAddress[]) => void = () => {};
  const silent = (): Promise<LookupAddress[]> =>
    new Promise((resolve) => {
      answer = resolve;
    });
  assert.deepEqual(await addressesOf("cloud.example", true, undefined, silent), stale);
  // One look-up at a time: the next waits for the one that is not over, and goes without it.
  assert.deepEqual(await addressesOf("cloud.example", true, undefined, () => Promise.resolve(NEW)), stale);
  answer(NEW);
  const found = await addressesOf("cloud.example", true, undefined, () => Promise.resolve(NEW));
  assert.deepEqual(found, { addresses: NEW, stale: false });
});

test("a name that is no more is not served from memory", async () => {
  keepAddresses("cloud.example", OLD);
  await assert.rejects(addressesOf("cloud.example", true, undefined, failing("ENOTFOUND")), { code: "ENOTFOUND" });
});

test("what is kept is bounded: the oldest names go", async () => {
  keepAddresses("first.example", OLD);
  for (let i = 0; i < 64; i++) keepAddresses(`n${i}.example`, OLD);
  await assert.rejects(addressesOf("first.example", true, undefined, failing("EAI_AGAIN")), { code: "EAI_AGAIN" });
  assert.equal((await addressesOf("n63.example", true, undefined, failing("EAI_AGAIN"))).stale, true);
});
