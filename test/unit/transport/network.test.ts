import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { systemNetwork } from "../../../src/transport/network.ts";

test("what interfaces have is there, written as sockets write it; what they have not is not", () => {
  for (const own of Object.values(networkInterfaces())) {
    for (const { address, family } of own ?? []) {
      assert(systemNetwork.has(address), address);
      if (family === "IPv4") assert(systemNetwork.has(`::ffff:${address}`));
      else assert(systemNetwork.has(`${address}%eth0`));
    }
  }
  assert(!systemNetwork.has("192.0.2.77"));
});

test("the fingerprint names addresses and routes, and none of the counters that change by themselves", () => {
  const [first] = Object.values(networkInterfaces()).flatMap((own) => own ?? []);
  const text = systemNetwork.fingerprint();
  if (first !== undefined) assert(text.includes(first.address));
  assert.doesNotMatch(text, /RefCnt|Use/);
});
